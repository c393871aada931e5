/* SPDX-License-Identifier: Apache-2.0 */
/* Where the token comes from and goes to: a variable that vanishes, a credential, a file with its rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/token.h"
#include "platform/base/bytes.h"

#define SECRET "n.SFMyNTY.what-nobody-may-see"

static char folder[] = P_tmpdir "/unit_token.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void write_text(const char *name, const char *text, mode_t mode)
{
    write_file(name, text, strlen(text), mode);
}

static void expect(const char *name, enum err err, const char *part)
{
    struct secret token;
    char why[400] = "";

    assert_int_equal(token_load(&token, in_folder(name), why, sizeof why), err);
    if (err == ERR_OK) {
        assert_string_equal(token.text, SECRET);
        assert_int_equal(token.len, strlen(SECRET));
    } else {
        assert_null(token.text);
        if (!strstr(why, part) || !strstr(why, in_folder(name)) || strstr(why, "SFMyNTY"))
            fail_msg("'%s' instead of '%s'", why, part);
    }
    secret_free(&token);
    assert_null(token.text);
}

/* Neither the value nor the name stays where the environment was. */
static void test_variable(void **state)
{
    static char entry[] = TOKEN_VARIABLE "=  " SECRET "\n", again[] = TOKEN_VARIABLE "=twice";
    char other[] = TOKEN_VARIABLE "S=kept", *fresh[] = {entry, other, again, NULL}, **old = environ;
    struct secret token;
    char why[200];

    (void)state;
    environ = fresh;
    assert_int_equal(token_take_variable(&token, why, sizeof why), ERR_OK);
    assert_ptr_equal(fresh[0], other);
    assert_null(fresh[1]);
    assert_null(getenv(TOKEN_VARIABLE));
    environ = old;
    assert_string_equal(token.text, SECRET);
    for (size_t i = 0; i < sizeof entry; i++)
        assert_int_equal(entry[i], 0);
    for (size_t i = 0; i < sizeof again; i++)
        assert_int_equal(again[i], 0);
    secret_free(&token);

    assert_int_equal(token_take_variable(&token, why, sizeof why), ERR_OK);
    assert_null(token.text);
    setenv(TOKEN_VARIABLE, "", 1);
    assert_int_equal(token_take_variable(&token, why, sizeof why), ERR_OK);
    assert_null(token.text);
    setenv(TOKEN_VARIABLE, " \n", 1);
    assert_int_equal(token_take_variable(&token, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, "$FIREZONE_TOKEN: it is empty");
    setenv(TOKEN_VARIABLE, SECRET "\x01", 1);
    assert_int_equal(token_take_variable(&token, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, "$FIREZONE_TOKEN: it has characters that no token has");
    assert_null(token.text);
    assert_null(getenv(TOKEN_VARIABLE));
}

static void test_file(void **state)
{
    (void)state;
    expect("missing", ERR_NOT_FOUND, "there is no token: $FIREZONE_TOKEN is not set");
    if (geteuid() != 0) {
        write_text("mine", SECRET, 0600);
        expect("mine", ERR_INVALID, "its owner must be root, not user");
        return;
    }
    write_text("good", SECRET, 0600);
    expect("good", ERR_OK, NULL);
    write_text("lines", "\n" SECRET " \r\n", 0400);
    expect("lines", ERR_OK, NULL);
    static const mode_t modes[] = {0700, 0500, 0640, 0620, 0610, 0604, 0602, 0601, 0666, 0100};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        char part[64];
        write_text("mode", SECRET, modes[i]);
        snprintf(part, sizeof part, "its mode must be 0400 or 0600, not 0%o", modes[i]);
        expect("mode", ERR_INVALID, part);
    }
    write_text("user", SECRET, 0600);
    assert_int_equal(chown(in_folder("user"), 1, 0), 0);
    expect("user", ERR_INVALID, "its owner must be root, not user 1");
    assert_int_equal(chown(in_folder("user"), 0, 1), 0);
    expect("user", ERR_INVALID, "its group must be root, not group 1");
    write_text("empty", "", 0600);
    expect("empty", ERR_INVALID, "it is empty");
    write_text("blank", " \n", 0600);
    expect("blank", ERR_INVALID, "it is empty");
    write_file("binary", SECRET "\0", sizeof SECRET, 0600);
    expect("binary", ERR_INVALID, "it has characters that no token has");
    assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
    expect("folder", ERR_INVALID, "it is not a regular file");
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    expect("fifo", ERR_INVALID, "it is not a regular file");
    assert_int_equal(symlink("good", in_folder("link")), 0);
    expect("link", ERR_INVALID, "it is a symbolic link");
    assert_int_equal(symlink("nowhere", in_folder("dangling")), 0);
    expect("dangling", ERR_INVALID, "it is a symbolic link");
}

static void test_size(void **state)
{
    static char text[TOKEN_MAX + 1];
    struct secret token;
    char why[200];

    (void)state;
    if (geteuid() != 0)
        skip();
    memset(text, 'a', sizeof text);
    write_file("large", text, TOKEN_MAX, 0600);
    assert_int_equal(token_load(&token, in_folder("large"), why, sizeof why), ERR_OK);
    assert_int_equal(token.len, TOKEN_MAX);
    secret_free(&token);
    write_file("large", text, TOKEN_MAX + 1, 0600);
    assert_int_equal(token_load(&token, in_folder("large"), why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "it is larger than 8 KiB"));
}

/* What the service manager keeps for us may belong to another user and be a link; nothing else is better for its name. */
static void test_credential(void **state)
{
    (void)state;
    write_text("good", SECRET, 0600);
    assert_int_equal(mkdir(in_folder("credentials"), 0700), 0);
    setenv("CREDENTIALS_DIRECTORY", in_folder("credentials"), 1);
    expect("missing", ERR_NOT_FOUND, "there is no token");
    write_text("credentials/other", SECRET, 0440);
    if (geteuid() == 0)
        assert_int_equal(chown(in_folder("credentials/other"), 1, 1), 0);
    expect("credentials/other", ERR_OK, NULL);
    expect("credentials/../mode", geteuid() == 0 ? ERR_INVALID : ERR_NOT_FOUND, "");
    write_text("credentials/open", SECRET, 0444);
    expect("credentials/open", ERR_INVALID, "not 0444");
    assert_int_equal(symlink("other", in_folder("credentials/" TOKEN_VARIABLE)), 0);
    struct secret token;
    char why[400];
    assert_int_equal(token_load(&token, NULL, why, sizeof why), ERR_OK);
    assert_string_equal(token.text, SECRET);
    secret_free(&token);
    expect("missing", ERR_NOT_FOUND, "there is no token"); /* who names a file wants that one */
    unlink(in_folder("credentials/" TOKEN_VARIABLE));
    write_text("credentials/" TOKEN_VARIABLE, "", 0400);
    assert_int_equal(token_load(&token, NULL, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, "the credential FIREZONE_TOKEN: it is empty");
    unsetenv("CREDENTIALS_DIRECTORY");
}

/* Without a file to fall back on. */
static void test_credential_alone(void **state)
{
    struct secret token;
    char why[400];

    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(token_load_credential(&token, why, sizeof why), ERR_NOT_FOUND);
    assert_string_equal(
        why, "there is no token: neither $FIREZONE_TOKEN nor a credential of that name is set");
    assert_int_equal(mkdir(in_folder("alone"), 0700), 0);
    setenv("CREDENTIALS_DIRECTORY", in_folder("alone"), 1);
    assert_int_equal(token_load_credential(&token, why, sizeof why), ERR_NOT_FOUND);
    write_text("alone/" TOKEN_VARIABLE, " " SECRET "\n", 0400);
    assert_int_equal(token_load_credential(&token, why, sizeof why), ERR_OK);
    assert_string_equal(token.text, SECRET);
    secret_free(&token);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_store(void **state)
{
    struct secret token;
    struct stat st;
    char why[300];

    (void)state;
    if (geteuid() != 0)
        skip();
    secret_new(&token, 100);
    token.len = (size_t)snprintf(token.text, 100, "%s", SECRET);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(token_store(&token, in_folder("a/b/token"), why, sizeof why), ERR_OK);
        expect("a/b/token", ERR_OK, NULL);
        assert_int_equal(stat(in_folder("a/b/token"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_size, strlen(SECRET));
        write_text("a/b/token", "something much longer that belonged to an earlier sign-in", 0666);
    }
    assert_int_equal(token_store(&token, in_folder("good/token"), why, sizeof why), ERR_IO);
    assert_non_null(strstr(why, "cannot store the token in "));
    assert_null(strstr(why, SECRET));
    assert_int_equal(token_store(&token, in_folder("folder"), why, sizeof why), ERR_IO);
    secret_free(&token);
}

/* A token is in no file but its own, even if the process is told to end while it writes. */
static void test_store_interrupted(void **state)
{
    struct secret token;
    char why[300];

    (void)state;
    if (geteuid() != 0)
        skip();
    for (unsigned delay_us = 0; delay_us < 3000; delay_us += 30) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            secret_new(&token, 100);
            token.len = (size_t)snprintf(token.text, 100, "%s", SECRET);
            for (;;)
                (void)!token_store(&token, in_folder("i/token"), why, sizeof why);
        }
        for (unsigned tries = 0; access(in_folder("i"), F_OK) != 0 && tries < 5000; tries++)
            usleep(1000); /* the first one has to make it */
        usleep(5000 + delay_us);
        kill(child, SIGTERM);
        assert_int_equal(waitpid(child, NULL, 0), child);
        DIR *d = opendir(in_folder("i"));
        assert_non_null(d);
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
            if (e->d_name[0] != '.')
                assert_string_equal(e->d_name, "token");
        }
        closedir(d);
    }
}

/* What a process that was killed has left goes with the next sign-in. */
static void test_store_unfinished(void **state)
{
    struct secret token;
    char why[300];

    (void)state;
    if (geteuid() != 0)
        skip();
    secret_new(&token, 100);
    token.len = (size_t)snprintf(token.text, 100, "%s", SECRET);
    write_text("token.new", "a part of a tok", 0600);
    assert_int_equal(token_store(&token, in_folder("token"), why, sizeof why), ERR_OK);
    assert_int_not_equal(access(in_folder("token.new"), F_OK), 0);
    expect("token", ERR_OK, NULL);
    secret_free(&token);
}

/* The kernel lists what applies to each mapping. */
static void test_memory(void **state)
{
    struct secret s;
    char line[256];
    bool here = false, undumped = false;

    (void)state;
    secret_new(&s, 10);
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (!maps)
        skip();
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = (uintptr_t)s.text >= from && (uintptr_t)s.text < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            undumped = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    assert_true(undumped);
    secret_free(&s);
    secret_free(&s);
}

static int begin(void **state)
{
    (void)state;
    unsetenv(TOKEN_VARIABLE);
    unsetenv("CREDENTIALS_DIRECTORY");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variable),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_credential),
        cmocka_unit_test(test_credential_alone),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_store_interrupted),
        cmocka_unit_test(test_store_unfinished),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
