/* SPDX-License-Identifier: Apache-2.0 */
/* The method etc-resolv-conf in a folder of its own: what the file has after what happened, and what is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/dns_etc_resolv_conf.h"
#include "tests/support/resolv_rig.h"

#define ORIGINAL "# by hand\nnameserver 192.0.2.1\nsearch old.example\noptions ndots:4 edns0\n"

static const struct dns_method_ops *const ops = &dns_etc_resolv_conf;
static struct resolv_rig rig;
static struct loop *loop;
static unsigned changes;
static char why[512];

static void on_changed(void *arg)
{
    (void)arg;
    changes++;
    loop_stop(loop);
}

static void on_timeout(void *arg)
{
    loop_stop(arg);
}

/* Returns how many changes there were: waits for one, or for as long. */
static unsigned changes_within(uint64_t ms)
{
    struct loop_timer timer;

    changes = 0;
    loop_timer_init(&timer, on_timeout, loop);
    loop_timer_set(loop, &timer, clock_now() + ms * NS_PER_MS);
    assert_int_equal(loop_run(loop), ERR_OK);
    loop_timer_clear(loop, &timer);
    return changes;
}

static int set_up(void **state)
{
    (void)state;
    assert_true(resolv_rig_begin(&rig));
    assert_true(resolv_rig_write(rig.file, ORIGINAL, strlen(ORIGINAL)));
    assert_int_equal(loop_new(&loop), ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    resolv_rig_end(&rig);
    return 0;
}

static void *opened(void)
{
    void *self = NULL;
    if (dns_etc_resolv_conf_open_at(&self, &rig.paths, loop, on_changed, NULL, why, sizeof why) !=
        ERR_OK)
        fail_msg("%s", why);
    return self;
}

static void closed(void *self)
{
    ops->revert(self);
    ops->close(self);
}

static enum err set(void *self, const char *server, const char *domain)
{
    struct dns_settings s = {.tun_name = "tun-test", .servers_n = server ? 1 : 0};

    if (server)
        assert_int_equal(ip_addr_parse(&s.servers[0], server), ERR_OK);
    if (domain)
        s.search[s.search_n++] = domain;
    return ops->set(self, &s, why, sizeof why);
}

static void put(const char *path, const char *text)
{
    assert_true(resolv_rig_write(path, text, strlen(text)));
}

static void expect(const char *path, const char *text)
{
    struct file_content now;

    assert_int_equal(file_read(&now, path, 1 << 20, why, sizeof why), ERR_OK);
    assert_string_equal(now.bytes, text);
    file_content_wipe(&now);
}

/* The file is ours and has all of these lines. */
static void expect_ours(const char *const *lines)
{
    struct file_content now;

    assert_int_equal(file_read(&now, rig.file, 1 << 20, why, sizeof why), ERR_OK);
    assert_true(resolv_text_is_ours(now.bytes, now.len));
    assert_null(strstr(now.bytes, "192.0.2.1"));
    for (; *lines; lines++) {
        if (!strstr(now.bytes, *lines))
            fail_msg("no '%s' in: %s", *lines, now.bytes);
    }
    file_content_wipe(&now);
}

static void expect_servers(void *self, const char *text)
{
    struct sock_addr found[RESOLVERS_MAX];
    char all[RESOLVERS_MAX * (SOCK_ADDR_TEXT_MAX + 1)] = "", one[SOCK_ADDR_TEXT_MAX];
    unsigned n;

    assert_int_equal(ops->resolvers(self, found, &n, why, sizeof why), ERR_OK);
    for (unsigned i = 0; i < n; i++) {
        strcat(all, sock_addr_format(&found[i], one, sizeof one));
        strcat(all, " ");
    }
    assert_string_equal(all, text);
}

static void recover(void)
{
    dns_etc_resolv_conf_recover(&rig.paths);
}

/* Ends as a process that is killed: nothing is given back, the lock is gone. */
static void crash(void *self)
{
    struct resolv_file *f = self;
    assert_true(f->fd >= 0);
    close(f->fd);
    f->fd = -1;
    ops->revert(self);
    ops->close(self);
}

static void test_happy_path(void **state)
{
    static const char *const first[] = {"nameserver 100.100.111.1\n", "search a.example\n",
                                        "options edns0 ndots:1\n", NULL};
    static const char *const second[] = {
        "nameserver fd00:2021:1111:8000::5\noptions edns0 ndots:1\n", NULL};
    struct stat before, after;
    void *self = opened();

    (void)state;
    assert_int_equal(chmod(rig.file, 0640), 0);
    assert_int_equal(stat(rig.file, &before), 0);
    assert_int_equal(set(self, "100.100.111.1", "a.example"), ERR_OK);
    expect_ours(first);
    expect(rig.backup, ORIGINAL);
    expect_servers(self, "192.0.2.1:53 ");
    assert_int_equal(set(self, "fd00:2021:1111:8000::5", NULL), ERR_OK);
    expect_ours(second);
    expect(rig.backup, ORIGINAL);
    expect_servers(self, "192.0.2.1:53 ");
    assert_int_equal(stat(rig.file, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
    ops->revert(self);
    expect(rig.file, ORIGINAL);
    expect_servers(self, "192.0.2.1:53 ");
    assert_int_equal(set(self, "100.100.111.1", "a.example"), ERR_OK);
    expect_ours(first);
    closed(self);
    expect(rig.file, ORIGINAL);
    expect(rig.backup, ORIGINAL); /* it is kept */
    assert_int_equal(stat(rig.backup, &after), 0);
    assert_int_equal(after.st_mode & 07777, 0640);
}

static void test_no_servers(void **state)
{
    void *self = opened();

    (void)state;
    assert_int_equal(set(self, NULL, "a.example"), ERR_OK);
    expect(rig.file, ORIGINAL);
    assert_false(file_exists(rig.backup));
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    assert_int_equal(set(self, NULL, NULL), ERR_OK);
    expect(rig.file, ORIGINAL);
    closed(self);
    expect(rig.file, ORIGINAL);
}

static void test_idempotence(void **state)
{
    static const char *const lines[] = {"nameserver 100.100.111.1\n", NULL};
    void *self = opened();

    (void)state;
    ops->revert(self);
    expect(rig.file, ORIGINAL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
        expect_ours(lines);
    }
    for (int i = 0; i < 3; i++) {
        ops->revert(self);
        recover();
        expect(rig.file, ORIGINAL);
    }
    closed(self);
    for (int i = 0; i < 2; i++) { /* run twice */
        self = opened();
        assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
        closed(self);
        expect(rig.file, ORIGINAL);
    }
}

static void test_crash(void **state)
{
    static const char *const lines[] = {"nameserver 100.100.111.2\n", "options edns0 ndots:1\n",
                                        NULL};
    void *self = opened();

    (void)state;
    assert_int_equal(set(self, "100.100.111.1", "a.example"), ERR_OK);
    crash(self);
    self = opened();
    expect_servers(self, "192.0.2.1:53 ");
    closed(self);
    recover();
    expect(rig.file, ORIGINAL);

    self = opened(); /* without recovery: the file is not its own backup afterwards */
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    crash(self);
    self = opened();
    assert_int_equal(set(self, "100.100.111.2", NULL), ERR_OK);
    expect_ours(lines);
    expect(rig.backup, ORIGINAL);
    closed(self);
    expect(rig.file, ORIGINAL);
}

/* With the marker the edit is lost, as its text says; without it the file is whoever's wrote it. */
static void test_crash_and_edit(void **state)
{
    static const char edits[][160] = {
        RESOLV_TEXT_MARKER "\n",
        RESOLV_TEXT_MARKER
        "\nnameserver 192.0.2.77\nnameserver 192.0.2.78\nnameserver 192.0.2.79\n",
        RESOLV_TEXT_MARKER "\r\nx",
    };
    void *self;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        self = opened();
        assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
        crash(self);
        put(rig.file, edits[i]);
        recover();
        expect(rig.file, ORIGINAL);
    }
    char *huge = resolv_rig_text(100000);
    memcpy(huge, RESOLV_TEXT_MARKER "\n", strlen(RESOLV_TEXT_MARKER) + 1);
    put(rig.file, huge);
    recover();
    expect(rig.file, ORIGINAL);
    free(huge);

    self = opened();
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    crash(self);
    put(rig.file, "nameserver 192.0.2.9\n");
    recover();
    expect(rig.file, "nameserver 192.0.2.9\n");
    self = opened();
    expect_servers(self, "192.0.2.9:53 ");
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    expect(rig.backup, "nameserver 192.0.2.9\n");
    closed(self);
    expect(rig.file, "nameserver 192.0.2.9\n");
}

/* An edit between two clean runs stays, though the first one's backup is still there. */
static void test_edit_between_runs(void **state)
{
    void *self = opened();

    (void)state;
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    closed(self);
    put(rig.file, "");
    recover();
    expect(rig.file, "");
    put(rig.file, "nameserver 192.0.2.9");
    recover();
    expect(rig.file, "nameserver 192.0.2.9");
    self = opened();
    expect_servers(self, "192.0.2.9:53 ");
    closed(self);
}

static void test_without_backup(void **state)
{
    struct sock_addr found[RESOLVERS_MAX];
    unsigned n;
    void *self;

    (void)state;
    for (int i = 0; i < 2; i++) {
        put(rig.file, RESOLV_TEXT_MARKER "\nnameserver 100.100.111.1\n");
        if (i == 1) /* it has nothing to give back */
            put(rig.backup, RESOLV_TEXT_MARKER "\nnameserver 100.100.111.1\n");
        recover();
        self = opened();
        assert_int_not_equal(set(self, "100.100.111.2", NULL), ERR_OK);
        assert_non_null(strstr(why, "remove its first line"));
        assert_int_not_equal(ops->resolvers(self, found, &n, why, sizeof why), ERR_OK);
        assert_int_equal(n, 0);
        closed(self);
        expect(rig.file, RESOLV_TEXT_MARKER "\nnameserver 100.100.111.1\n");
    }
}

static enum err open_fails(void)
{
    void *self;
    return dns_etc_resolv_conf_open_at(&self, &rig.paths, loop, on_changed, NULL, why, sizeof why);
}

static void test_link(void **state)
{
    char target[256];
    void *self = opened();

    (void)state;
    snprintf(target, sizeof target, "%s/stub", rig.folder);
    assert_int_equal(rename(rig.file, target), 0);
    assert_int_equal(symlink("stub", rig.file), 0);
    assert_int_equal(open_fails(), ERR_UNSUPPORTED);
    assert_non_null(strstr(why, "symbolic link"));
    assert_non_null(strstr(why, "--dns-control systemd-resolved"));
    assert_non_null(strstr(why, "--dns-control disabled"));
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_UNSUPPORTED);
    assert_non_null(strstr(why, "symbolic link"));
    expect(target, ORIGINAL);
    expect_servers(self, "192.0.2.1:53 ");
    put(target, RESOLV_TEXT_MARKER "\n");
    put(rig.backup, ORIGINAL);
    recover(); /* of what it has not written it writes nothing */
    expect(target, RESOLV_TEXT_MARKER "\n");
    closed(self);
    unlink(target);
}

static void test_odd_files(void **state)
{
    (void)state;
    void *self = opened();
    unlink(rig.file);
    assert_int_equal(open_fails(), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "does not exist: create it"));
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "does not exist: create it"));
    assert_false(file_exists(rig.file));
    expect_servers(self, "127.0.0.1:53 ");
    recover();
    assert_int_equal(mkdir(rig.file, 0755), 0);
    assert_int_equal(open_fails(), ERR_UNSUPPORTED);
    assert_non_null(strstr(why, "not a regular file"));
    rmdir(rig.file);
    assert_int_equal(mkfifo(rig.file, 0644), 0);
    assert_int_equal(open_fails(), ERR_UNSUPPORTED);
    closed(self);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 20, 25, 4096, 5001, 1 << 20};
    void *self = opened();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *text = resolv_rig_text(sizes[i]);
        assert_true(resolv_rig_write(rig.file, text, sizes[i]));
        assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
        assert_true(resolv_file_is_ours(&rig.paths));
        ops->revert(self);
        assert_true(resolv_rig_has(rig.file, text, sizes[i]));
        free(text);
    }
    char *text = resolv_rig_text((1 << 20) + 1);
    assert_true(resolv_rig_write(rig.file, text, (1 << 20) + 1));
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_NO_SPACE);
    assert_non_null(strstr(why, "larger than 1024 KiB"));
    assert_true(resolv_rig_has(rig.file, text, (1 << 20) + 1));
    free(text);
    closed(self);
}

/* flock belongs to the open file, so one process can be two here. */
static void test_live_owner(void **state)
{
    static const char *const lines[] = {"nameserver 100.100.111.1\n", NULL};
    void *self = opened(), *other = opened();

    (void)state;
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    recover();
    expect_ours(lines);
    assert_int_equal(set(other, "100.100.111.2", NULL), ERR_IN_USE);
    assert_non_null(strstr(why, "another process has the system's DNS"));
    expect_ours(lines);
    expect_servers(other, "192.0.2.1:53 ");
    ops->revert(other);
    expect_ours(lines);
    closed(self);
    expect(rig.file, ORIGINAL);
    assert_int_equal(set(other, "100.100.111.2", NULL), ERR_OK);
    closed(other);
    expect(rig.file, ORIGINAL);
}

static void replace_file(const char *text)
{
    char fresh[256];

    snprintf(fresh, sizeof fresh, "%s/fresh", rig.folder);
    put(fresh, text);
    assert_int_equal(rename(fresh, rig.file), 0);
}

/* Others write the file while it is ours: it is theirs then. */
static void test_others_write(void **state)
{
    static const char *const lines[] = {"nameserver 100.100.111.3\n", NULL};
    void *self = opened(), *other;

    (void)state;
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    put(rig.file, "nameserver 192.0.2.8\n");
    assert_int_equal(changes_within(5000), 1);
    expect_servers(self, "192.0.2.8:53 ");
    ops->revert(self);
    expect(rig.file, "nameserver 192.0.2.8\n");

    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK);
    replace_file("nameserver 192.0.2.9\n");
    assert_int_equal(changes_within(5000), 1);
    other = opened();
    assert_int_equal(set(other, "100.100.111.3", NULL), ERR_OK); /* it has no lock on this one */
    ops->revert(self);
    expect_ours(lines);
    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_IN_USE);
    closed(other);
    expect(rig.file, "nameserver 192.0.2.9\n");

    assert_int_equal(set(self, "100.100.111.3", NULL), ERR_OK); /* who asks again gets it again */
    replace_file("nameserver 192.0.2.10\n");
    assert_int_equal(set(self, "100.100.111.3", NULL), ERR_OK);
    expect_ours(lines);
    expect(rig.backup, "nameserver 192.0.2.10\n");
    replace_file(RESOLV_TEXT_MARKER "\n# edited\n");
    closed(self);
    expect(rig.file, "nameserver 192.0.2.10\n");
}

static void test_changes(void **state)
{
    char target[256];
    void *self = opened();

    (void)state;
    put(rig.file, "nameserver 192.0.2.2\n");
    assert_int_equal(changes_within(5000), 1);
    replace_file("nameserver 192.0.2.3\n");
    assert_int_equal(changes_within(5000), 1);
    put(rig.file, "nameserver 192.0.2.4\n"); /* the new one is watched */
    assert_int_equal(changes_within(5000), 1);
    unlink(rig.file);
    assert_int_equal(changes_within(5000), 1);
    put(rig.file, "nameserver 192.0.2.5\n");
    assert_int_equal(changes_within(5000), 1);
    expect_servers(self, "192.0.2.5:53 ");

    assert_int_equal(set(self, "100.100.111.1", NULL), ERR_OK); /* nothing that we do is one */
    assert_int_equal(changes_within(500), 0);
    assert_int_equal(set(self, "100.100.111.2", NULL), ERR_OK);
    ops->revert(self);
    assert_int_equal(changes_within(500), 0);
    put(rig.file, "nameserver 192.0.2.5\n"); /* nor what changes nothing */
    put(rig.backup, "x");
    assert_int_equal(changes_within(500), 0);

    snprintf(target, sizeof target, "%s/sub", rig.folder);
    assert_int_equal(mkdir(target, 0700), 0);
    strcat(target, "/stub");
    put(target, "nameserver 192.0.2.6\n");
    unlink(rig.file);
    assert_int_equal(symlink("sub/stub", rig.file), 0);
    assert_int_equal(changes_within(5000), 1);
    snprintf(target, sizeof target, "%s/sub/fresh", rig.folder);
    put(target, "nameserver 192.0.2.7\n");
    snprintf(target, sizeof target, "cd %s/sub && mv fresh stub", rig.folder);
    assert_int_equal(system(target), 0);
    assert_int_equal(changes_within(5000), 1);
    expect_servers(self, "192.0.2.7:53 ");
    closed(self);
    snprintf(target, sizeof target, "rm -r %s/sub", rig.folder);
    assert_int_equal(system(target), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_happy_path),     TEST(test_no_servers),     TEST(test_idempotence),
        TEST(test_crash),          TEST(test_crash_and_edit), TEST(test_edit_between_runs),
        TEST(test_without_backup), TEST(test_link),           TEST(test_odd_files),
        TEST(test_sizes),          TEST(test_live_owner),     TEST(test_others_write),
        TEST(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
