/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: its text, and its files in a /run of its own. */
#include "platform/linux/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/paths.h"
#include "tests/support/netns.h"

#define BOOT "7d9f1c2e-0a55-4d7e-9a53-0c5c2f6f4a11"
#define HEAD "firezone-journal 1\nboot " BOOT "\nnetns 4097\n"
#define V4   "steering v4 mark 51820 table 51821 bypass 32000 steer 32760\n"
#define V4_8 V4 V4 V4 V4 V4 V4 V4 V4
#define V6   "steering v6 mark 1 table 4294967295 bypass 32098 steer 32100\n"

static const struct journal_entry marks = {.kind = JOURNAL_MARKS};
static const struct journal_entry steering = {.kind = JOURNAL_STEERING,
                                              .steering = {ADDR_V4, 51820, 51821, 32000, 32760}};

/* ---- the text ---- */

static void text_there_and_back(void **state)
{
    (void)state;
    struct journal_text t;
    const char *text = HEAD "marks\n" V4 V6;
    char again[JOURNAL_TEXT_MAX];
    size_t at;

    assert_true(journal_text_parse(&t, text, strlen(text)));
    assert_string_equal(t.scope.boot, BOOT);
    assert_int_equal(t.scope.netns, 4097);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.entries[0].kind, JOURNAL_MARKS);
    assert_int_equal(t.entries[1].kind, JOURNAL_STEERING);
    assert_int_equal(t.entries[1].steering.family, ADDR_V4);
    assert_int_equal(t.entries[1].steering.mark, 51820);
    assert_int_equal(t.entries[1].steering.table, 51821);
    assert_int_equal(t.entries[1].steering.bypass, 32000);
    assert_int_equal(t.entries[1].steering.steer, 32760);
    assert_int_equal(t.entries[2].steering.family, ADDR_V6);
    at = journal_text_head(again, sizeof again, &t.scope);
    for (size_t i = 0; i < t.n; i++)
        at += journal_text_line(again + at, sizeof again - at, &t.entries[i]);
    assert_int_equal(at, strlen(text));
    assert_string_equal(again, text);
}

/* n: of the entries that count; -1: the text is worth nothing. */
static const struct {
    const char *text;
    int n;
} texts[] = {
    {HEAD, 0},
    {"firezone-journal 1\nboot -\nnetns 0\nmarks\n", 1},
    {HEAD "marks\nsteering v4 mark 5", 1}, /* torn */
    {HEAD "marks\nfoo", 1},
    {HEAD "marks\nfoo\n", -1},
    {"", -1},
    {"firezone-journal 1\nboot " BOOT "\nnetns 40", -1},
    {"firezone-journal 1\nboot " BOOT "\nnetns 4097", -1},
    {"firezone-journal 2\nboot " BOOT "\nnetns 4097\n", -1},
    {"firezone-journal 1\nboot \nnetns 4097\n", -1},
    {"firezone-journal 1\nboot 7d9f1c2e\nnetns 4097\n", -1},
    {"firezone-journal 1\nboot " BOOT "\nnetns -1\n", -1},
    {"firezone-journal 1\nboot " BOOT "\nnetns 18446744073709551616\n", -1},
    {"firezone-journal 1\nboot " BOOT "\nnetns 04097\n", -1},
    {"firezone-journal 1\nboot  " BOOT "\nnetns 4097\n", -1},
    {HEAD "\n", -1},
    {HEAD "marks \n", -1},
    {HEAD "marks\r\n", -1},
    {HEAD "steering v5 mark 51820 table 51821 bypass 32000 steer 32760\n", -1},
    {HEAD "steering v4 mark 0 table 51821 bypass 32000 steer 32760\n", -1},
    {HEAD "steering v4 mark 51820 table 0 bypass 32000 steer 32760\n", -1},
    {HEAD "steering v4 mark 51820 table 51821 bypass 100 steer 32760\n", -1},
    {HEAD "steering v4 mark 51820 table 51821 bypass 32000 steer 32766\n", -1},
    {HEAD "steering v4 mark 4294967297 table 51821 bypass 32000 steer 32760\n", -1},
    {HEAD "steering v4 mark +51820 table 51821 bypass 32000 steer 32760\n", -1},
    {HEAD "steering v4 mark 51820 table 51821 bypass 32000 steer 32760 more\n", -1},
    {HEAD "sysctl ipv4 forwarding all 0\n", 1},
    {HEAD "sysctl ipv6 accept_ra eth0 1\nmarks\nsysctl ipv4 accept_redirects default 0\n", 3},
    {HEAD "sysctl ipv4 accept_ra eth0 1\n", -1},
    {HEAD "sysctl ipv4 forwarding ../../x 0\n", -1},
    {HEAD "sysctl ipv4 forwarding .. 0\n", -1},
    {HEAD "sysctl ipv4 forwarding sixteenletters16 0\n", -1},
    {HEAD "sysctl ipv4 forwarding all -1\n", -1},
    {HEAD "sysctl ipv4 forwarding all 4294967296\n", -1},
    {HEAD "sysctl ipv4 forwarding all\n", -1},
    {HEAD "sysctl ipv4 forwarding all 0 0\n", -1},
    {HEAD V4_8 V4_8 V4_8 V4_8, 32},
    {HEAD V4_8 V4_8 V4_8 V4_8 V4, -1},
};

static void texts_strictly(void **state)
{
    (void)state;
    struct journal_text t;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        bool ok = journal_text_parse(&t, texts[i].text, strlen(texts[i].text));
        if (ok != (texts[i].n >= 0) || (ok && (int)t.n != texts[i].n) || (!ok && t.n != 0))
            fail_msg("case %zu: %d, %zu entries", i, ok, t.n);
    }
    assert_false(journal_text_parse(&t, HEAD "marks\n\0marks\n", sizeof HEAD + 12));
}

static void scopes(void **state)
{
    (void)state;
    const struct journal_scope a = {BOOT, 7}, other_netns = {BOOT, 8}, unknown = {"-", 7},
                               other_boot = {"8d9f1c2e-0a55-4d7e-9a53-0c5c2f6f4a11", 7};

    assert_true(journal_scope_here(&a, &a));
    assert_true(journal_scope_here(&unknown, &a));
    assert_true(journal_scope_here(&a, &unknown));
    assert_false(journal_scope_here(&a, &other_netns));
    assert_false(journal_scope_here(&a, &other_boot));
    assert_true(journal_scope_over(&a, &other_boot));
    assert_false(journal_scope_over(&a, &other_netns));
    assert_false(journal_scope_over(&a, &unknown));
}

/* ---- the files ---- */

struct seen {
    unsigned calls;
    size_t n;
    bool answer;
};

static bool on_undo(void *arg, const struct journal_text *text)
{
    struct seen *s = arg;
    s->calls++;
    s->n += text->n;
    return s->answer;
}

static struct seen recover_all(bool answer)
{
    struct seen s = {.answer = answer};
    journal_recover(on_undo, &s);
    return s;
}

static unsigned files(void)
{
    unsigned n = 0;
    char command[128];
    snprintf(command, sizeof command, "ls -A %s 2>/dev/null | wc -l", paths_run());
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    pclose(f);
    return n;
}

/* A process that notes something and is killed. */
static void killed_run(void)
{
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct journal j;
        journal_init(&j);
        journal_note(&j, &marks);
        journal_note(&j, &steering);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void clean_end(void **state)
{
    (void)state;
    struct journal j;

    assert_int_equal(recover_all(true).calls, 0); /* not even a folder */
    journal_init(&j);
    journal_close(&j, true); /* nothing noted: no file */
    assert_int_equal(files(), 0);
    journal_init(&j);
    journal_note(&j, &marks);
    assert_int_equal(files(), 1);
    journal_note(&j, &steering);
    assert_int_equal(files(), 1);
    assert_int_equal(recover_all(true).calls, 0); /* it lives */
    assert_int_equal(files(), 1);
    journal_close(&j, true);
    assert_int_equal(files(), 0);
}

static void what_the_dead_have_left(void **state)
{
    (void)state;
    struct journal j;
    struct seen s;

    journal_init(&j);
    journal_note(&j, &marks);
    killed_run();
    killed_run();
    assert_int_equal(files(), 3);
    s = recover_all(false); /* it does not work this time */
    assert_int_equal(s.calls, 2);
    assert_int_equal(s.n, 4);
    assert_int_equal(files(), 3);
    s = recover_all(true);
    assert_int_equal(s.calls, 2);
    assert_int_equal(files(), 1);
    assert_int_equal(recover_all(true).calls, 0);
    journal_close(&j, false); /* something is left */
    assert_int_equal(recover_all(true).calls, 1);
    assert_int_equal(files(), 0);
}

static void of_another_namespace(void **state)
{
    (void)state;
    int status;

    killed_run();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWNET) != 0 || recover_all(true).calls != 0 ? 1 : 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(files(), 1);
    assert_int_equal(recover_all(true).calls, 1);
    assert_int_equal(files(), 0);
}

static void put(const char *name, const char *text, mode_t mode)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", paths_run(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void files_of_others(void **state)
{
    (void)state;
    char path[256], target[256];

    (void)mkdir(paths_run(), 0755);
    put("network-1-0.journal", HEAD V4, 0600);        /* another boot */
    put("network-2-0.journal", "rm -rf /", 0600);     /* nonsense */
    put("network-3-0.journal", HEAD "marks\n", 0666); /* anybody could have written it */
    put("network-4-0.text", HEAD, 0600);              /* not a journal */
    snprintf(path, sizeof path, "%s/network-5-0.journal", paths_run());
    snprintf(target, sizeof target, "%s/network-4-0.text", paths_run());
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/network-6-0.journal", paths_run());
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(recover_all(true).calls, 0);
    assert_int_equal(files(), 4);
    snprintf(path, sizeof path, "rm -r %s", paths_run());
    assert_int_equal(system(path), 0);
}

/* A folder that others can write to, or one that cannot be made. */
static void no_folder(void **state)
{
    (void)state;
    struct journal j;

    assert_int_equal(mkdir(paths_run(), 0755), 0);
    assert_int_equal(chmod(paths_run(), 0777), 0);
    journal_init(&j);
    journal_note(&j, &marks);
    journal_note(&j, &marks);
    assert_true(j.none);
    assert_int_equal(files(), 0);
    assert_int_equal(recover_all(true).calls, 0);
    journal_close(&j, true);
    assert_int_equal(rmdir(paths_run()), 0);
    assert_int_equal(symlink("/run", paths_run()), 0);
    journal_init(&j);
    journal_note(&j, &marks);
    assert_true(j.none);
    journal_close(&j, true);
    assert_int_equal(unlink(paths_run()), 0);
}

static void too_many_entries(void **state)
{
    (void)state;
    struct journal j;

    journal_init(&j);
    for (unsigned i = 0; i < JOURNAL_ENTRIES_MAX + 3; i++)
        journal_note(&j, &steering);
    assert_true(j.none);
    journal_close(&j, false);
    assert_int_equal(recover_all(true).n, JOURNAL_ENTRIES_MAX);
}

int main(void)
{
    netns_enter_or_skip();
    if (!netns_private_run()) {
        fprintf(stderr, "skipped: no privilege to make a mount namespace\n");
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_there_and_back),
        cmocka_unit_test(texts_strictly),
        cmocka_unit_test(scopes),
        cmocka_unit_test(clean_end),
        cmocka_unit_test(what_the_dead_have_left),
        cmocka_unit_test(of_another_namespace),
        cmocka_unit_test(files_of_others),
        cmocka_unit_test(no_folder),
        cmocka_unit_test(too_many_entries),
    };
    log_set_level(LOG_WARN);
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
