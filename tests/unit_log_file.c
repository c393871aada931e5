/* SPDX-License-Identifier: Apache-2.0 */
/* The log file in a real folder: names, modes, order, deletion under its feet, growth, and the cleanup. */
#include "control/log_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"

#define BASE "firezone-headless-client"

static char folder[64];
static int real_stderr;

/* A new folder, and no lines on the terminal. */
static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/unit_log_file.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    fflush(stderr);
    real_stderr = dup(2);
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    close(null);
    return 0;
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static int tear_down(void **state)
{
    (void)state;
    dup2(real_stderr, 2);
    close(real_stderr);
    remove_folder();
    return 0;
}

static struct log_file *open_in(const char *dir, uint64_t cap)
{
    struct log_file *f;
    char why[256] = "";
    if (log_file_open(&f, dir, BASE, cap, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    return f;
}

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The names in the folder in their order, apart from the link; at most 16. */
struct names {
    char at[16][256];
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct names names_in(const char *dir)
{
    struct names names = {.n = 0};
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] == '.' || strstr(e->d_name, ".latest"))
            continue;
        assert_true(names.n < ARRAY_LEN(names.at));
        snprintf(names.at[names.n++], sizeof names.at[0], "%s", e->d_name);
    }
    closedir(d);
    qsort(names.at, names.n, sizeof names.at[0], by_name);
    return names;
}

static const char *content(const char *path)
{
    static char text[1 << 20];
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    close(fd);
    text[n] = '\0';
    return text;
}

/* Waits until the file has the words: the thread writes in its own time. */
static void wait_for(const char *path, const char *words)
{
    for (int i = 0; i < 5000; i++) {
        if (access(path, R_OK) == 0 && strstr(content(path), words))
            return;
        usleep(1000);
    }
    fail_msg("%s lacks '%s'", path, words);
}

/* Names have seconds. */
static void wait_for_next_second(void)
{
    time_t now = time(NULL);
    while (time(NULL) == now)
        usleep(5000);
    usleep(20000); /* time() is coarse */
}

static void name_mode_and_order(void **state)
{
    (void)state;
    char dir[128], target[256] = "";
    mode_t mask = umask(077);
    struct stat st;
    unsigned y, mo, d, h, mi, s;
    int end = 0;

    snprintf(dir, sizeof dir, "%s/a/b/", folder);
    struct log_file *f = open_in(dir, LOG_FILE_CAP);
    umask(mask);
    for (int i = 0; i < 500; i++)
        log_info("test", "line %d.", i);
    log_debug("test", "unwanted");
    log_file_close(f);
    log_info("test", "behind the end");

    struct names names = names_in(dir);
    assert_int_equal(names.n, 1);
    assert_int_equal(
        sscanf(names.at[0], BASE ".%4u-%2u-%2u-%2u-%2u-%2u.log%n", &y, &mo, &d, &h, &mi, &s, &end),
        6);
    assert_int_equal(strlen(names.at[0]), sizeof BASE - 1 + 1 + 19 + 4);
    assert_int_equal(end, (int)strlen(names.at[0]));
    const char *path = path_of("a/b/" BASE ".latest");
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    assert_string_equal(target, names.at[0]);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    const char *at = content(path);
    for (int i = 0; i < 500; i++) {
        char words[32];
        snprintf(words, sizeof words, " INFO test: line %d.\n", i);
        at = strstr(at, words);
        assert_non_null(at);
    }
    assert_null(strstr(content(path), "unwanted"));
    assert_null(strstr(content(path), "behind the end"));
    assert_int_equal(content(path)[0], '2'); /* a stamp */
}

static void refusals(void **state)
{
    (void)state;
    struct log_file *f;
    char why[256] = "";

    assert_int_equal(log_file_open(&f, folder, BASE, 0, why, sizeof why), ERR_INVALID);
    assert_null(f);
    assert_non_null(strstr(why, "cap of 0"));
    assert_int_equal(names_in(folder).n, 0);
    close(open(path_of("file"), O_CREAT | O_WRONLY, 0600));
    assert_int_not_equal(log_file_open(&f, path_of("file"), BASE, 1000, why, sizeof why), ERR_OK);
    assert_non_null(strstr(why, "cannot open the log folder"));
    assert_non_null(strstr(why, "/file"));
    log_file_close(NULL);
}

/* Two at a time, and a name that something else has: each gets a file of its own. */
static void names_are_not_shared(void **state)
{
    (void)state;
    char name[256];
    time_t now;
    struct tm tm;
    struct log_file *f;

    wait_for_next_second();
    now = time(NULL);
    for (int i = 0; i < 3; i++) { /* what may be neither followed, nor waited for, nor written */
        time_t at = now + i;
        gmtime_r(&at, &tm);
        strftime(name, sizeof name, BASE ".%Y-%m-%d-%H-%M-%S.log", &tm);
        if (i == 0)
            assert_int_equal(symlink("elsewhere", path_of(name)), 0);
        else if (i == 1)
            assert_int_equal(mkfifo(path_of(name), 0600), 0);
        else
            close(open(path_of(name), O_CREAT | O_WRONLY, 0644));
    }
    for (int i = 0; i < 2; i++) {
        f = open_in(folder, LOG_FILE_CAP);
        log_info("test", "run %d.", i);
        log_file_close(f);
    }
    assert_int_not_equal(access(path_of("elsewhere"), F_OK), 0);
    struct names names = names_in(folder);
    assert_int_equal(names.n, 5);
    assert_string_equal(names.at[2], name);
    assert_string_equal(content(path_of(names.at[2])), "");
    for (int i = 0; i < 2; i++) {
        char words[32];
        snprintf(words, sizeof words, "test: run %d.\n", i);
        assert_non_null(strstr(content(path_of(names.at[3 + i])), words));
    }
}

/* Something of the link's name that is no link is not ours; a link to elsewhere is, but not what it leads to. */
static void link_is_replaced_only_if_it_is_one(void **state)
{
    (void)state;
    struct stat st;

    close(open(path_of(BASE ".latest"), O_CREAT | O_WRONLY, 0600));
    log_file_close(open_in(folder, LOG_FILE_CAP));
    assert_int_equal(lstat(path_of(BASE ".latest"), &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_size, 0);
    assert_int_equal(unlink(path_of(BASE ".latest")), 0);
    assert_int_equal(symlink("/nowhere", path_of(BASE ".latest")), 0);
    log_file_close(open_in(folder, LOG_FILE_CAP));
    assert_int_equal(stat(path_of(BASE ".latest"), &st), 0);
}

static void deleted_files_are_replaced(void **state)
{
    (void)state;
    struct log_file *f = open_in(folder, LOG_FILE_CAP);
    struct names first = names_in(folder);

    assert_int_equal(first.n, 1);
    log_info("test", "one");
    wait_for(path_of(BASE ".latest"), "test: one\n");
    assert_int_equal(unlink(path_of(first.at[0])), 0);
    wait_for_next_second();
    log_info("test", "two");
    wait_for(path_of(BASE ".latest"), "test: two\n");
    struct names second = names_in(folder);
    assert_int_equal(second.n, 1);
    assert_string_not_equal(first.at[0], second.at[0]);
    /* moved away is as good as deleted */
    char moved[128];
    snprintf(moved, sizeof moved, "%s/%s", folder, "moved");
    assert_int_equal(rename(path_of(second.at[0]), moved), 0);
    wait_for_next_second();
    log_info("test", "three");
    wait_for(path_of(BASE ".latest"), "test: three\n");
    /* the folder, too */
    remove_folder();
    log_info("test", "four");
    wait_for(path_of(BASE ".latest"), "test: four\n");
    log_file_close(f);
    assert_int_equal(names_in(folder).n, 1);
}

/* One endless run fills several files, each a little larger than half the cap. */
static void large_files_are_followed(void **state)
{
    (void)state;
    const uint64_t cap = 64 << 10;
    struct log_file *f = open_in(folder, cap);
    static char text[1000];

    memset(text, 'x', sizeof text - 1);
    for (int file = 0; file < 3; file++) {
        for (int i = 0; i < 40; i++)
            log_info("test", "%s", text);
        log_info("test", "file %d.", file);
        char words[32];
        snprintf(words, sizeof words, "file %d.", file);
        wait_for(path_of(BASE ".latest"), words);
        wait_for_next_second();
    }
    log_file_close(f);
    struct names names = names_in(folder);
    assert_int_equal(names.n, 3);
    for (size_t i = 0; i < names.n; i++) {
        char words[32];
        snprintf(words, sizeof words, "file %zu.", i);
        assert_non_null(strstr(content(path_of(names.at[i])), words));
    }
}

static void make_file(const char *name, off_t size, time_t age_s)
{
    int fd = open(path_of(name), O_CREAT | O_WRONLY, 0600);
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

#define OLD(letter) "gui-client.2026-01-01-12-34-" letter ".log"

/* Only what our programs have written, and that one is not who is writing. */
static void cleans_up_at_the_start(void **state)
{
    (void)state;
    const off_t mib = 1 << 20;

    make_file(OLD("01"), 40 * mib, 5000);
    make_file(OLD("02"), 40 * mib, 4000);
    make_file(OLD("03"), 40 * mib, 3000);
    make_file(OLD("04"), 50 * mib, 200);
    make_file(OLD("05"), 1 * mib, -5000);
    make_file("f.log", 500 * mib, 9000);
    make_file("f.txt", 500 * mib, 9000);
    assert_int_equal(symlink(OLD("04"), path_of(OLD("06"))), 0);
    assert_int_equal(mkdir(path_of(OLD("07")), 0700), 0);
    struct log_file *f = open_in(folder, LOG_FILE_CAP);
    for (int i = 0; i < 2000 && access(path_of(OLD("02")), F_OK) == 0; i++)
        usleep(1000);
    log_file_close(f);
    struct names names = names_in(folder);
    static const char *const left[] = {"f.log",   "f.txt",   BASE,      OLD("03"),
                                       OLD("04"), OLD("05"), OLD("06"), OLD("07")};
    assert_int_equal(names.n, ARRAY_LEN(left));
    for (size_t i = 0; i < names.n; i++)
        assert_memory_equal(names.at[i], left[i], strlen(left[i]));
}

enum {
    THREADS = 4,
    LINES_EACH = 2000
};

static void *log_much(void *arg)
{
    int *id = arg;
    for (int i = 0; i < LINES_EACH; i++)
        log_info("thread", "%d: %d", *id, i);
    return NULL;
}

/* Each line is in the file or counted as lost. */
static void many_threads(void **state)
{
    (void)state;
    struct log_file *f = open_in(folder, LOG_FILE_CAP);
    pthread_t threads[THREADS];
    int ids[THREADS];
    unsigned lines = 0;
    unsigned long long lost = 0, n;

    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, &ids[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_file_close(f);
    for (const char *at = content(path_of(BASE ".latest")); *at; at = strchr(at, '\n') + 1) {
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        const char *count = strstr(at, "too fast: ");
        if (memmem(at, (size_t)(end - at), " INFO thread: ", 14))
            lines++;
        else if (count && count < end && sscanf(count, "too fast: %llu", &n) == 1)
            lost += n;
    }
    assert_int_equal(lines + lost, THREADS * LINES_EACH);
}

/* Whoever is killed leaves whole lines, and nothing but a file and the link to it. */
static void killed(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct log_file *f;
        char why[256];
        if (log_file_open(&f, folder, BASE, LOG_FILE_CAP, why, sizeof why) != ERR_OK)
            _exit(1);
        for (int i = 0; i < 100; i++)
            log_info("test", "line %d.", i);
        pause();
        _exit(2);
    }
    for (int i = 0; i < 5000 && access(path_of(BASE ".latest"), R_OK) != 0; i++)
        usleep(1000);
    wait_for(path_of(BASE ".latest"), "line 99.\n");
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(names_in(folder).n, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(killed), /* before this process has had threads */
        TEST(name_mode_and_order),
        TEST(refusals),
        TEST(names_are_not_shared),
        TEST(link_is_replaced_only_if_it_is_one),
        TEST(deleted_files_are_replaced),
        TEST(large_files_are_followed),
        TEST(cleans_up_at_the_start),
        TEST(many_threads),
    };
    return cmocka_run_group_tests_name("log_file", tests, NULL, NULL);
}
