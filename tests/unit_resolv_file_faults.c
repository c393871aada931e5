/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolv.conf taken over and given back while the process is killed, or the disk fails, at each system call in turn. After a kill the
 * file still has a server, and recovery gives back the bytes that it had; after a failure it has them at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/file.h"
#include "platform/resolvers.h"
#include "tests/support/resolv_rig.h"

/* The next call is number 1. */
static struct {
    unsigned calls, kill_at, fail_at;
    int error;
    bool half; /* a write that fails has written a half */
} plan;

/* False: the call fails. */
static bool step(void)
{
    plan.calls++;
    if (plan.calls == plan.kill_at)
        raise(SIGKILL);
    errno = plan.error;
    return plan.calls != plan.fail_at;
}

/* A write of more than a page can be cut off by a kill. */
static ssize_t write_step(int fd, const void *bytes, size_t n, off_t at)
{
    if (!step()) {
        ssize_t half = plan.half ? pwrite(fd, bytes, n / 2, at) : -1;
        plan.fail_at = half > 0 ? plan.calls + 1 : plan.fail_at;
        errno = plan.error;
        return half;
    }
    if (n <= RESOLV_PAGE && at == 0)
        return pwrite(fd, bytes, n, at);
    ssize_t half = pwrite(fd, bytes, n / 2, at);
    if (!step()) {
        plan.fail_at++; /* the rest, too */
        return half;
    }
    return pwrite(fd, (const char *)bytes + half, n - (size_t)half, at + half) + half;
}

#define open(...)                  (step() ? open(__VA_ARGS__) : -1)
#define pwrite(...)                write_step(__VA_ARGS__)
#define ftruncate(fd, n)           (step() ? ftruncate(fd, n) : -1)
#define fsync(fd)                  (step() ? fsync(fd) : -1)
#define flock(fd, how)             (step() ? flock(fd, how) : -1)
#define fallocate(fd, mode, at, n) (step() ? fallocate(fd, mode, at, n) : -1)
#define rename(from, to)           (step() ? rename(from, to) : -1)
#define unlink(path)               (step() ? unlink(path) : -1)
#define fchmod(fd, mode)           (step() ? fchmod(fd, mode) : -1)
#include "platform/linux/resolv_file.c"
#include "platform/linux/resolv_write.c"
#undef open
#undef pwrite
#undef ftruncate
#undef fsync
#undef flock
#undef fallocate
#undef rename
#undef unlink
#undef fchmod

static struct resolv_rig rig;
static struct ip_addr servers[3];
static const char *const search[] = {"inside.example"};

static const struct resolv_text_wish one = {.servers = servers, .servers_n = 1};
static const struct resolv_text_wish more = {
    .servers = servers, .servers_n = 3, .search = search, .search_n = 1};

static int set_up(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof plan);
    assert_true(resolv_rig_begin(&rig));
    assert_int_equal(ip_addr_parse(&servers[0], "100.100.111.1"), ERR_OK);
    assert_int_equal(ip_addr_parse(&servers[1], "100.100.111.2"), ERR_OK);
    assert_int_equal(ip_addr_parse(&servers[2], "fd00:2021:1111:8000:100:100:111:3"), ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    resolv_rig_end(&rig);
    return 0;
}

/* A whole life: fewer servers, more, fewer again, none. */
static enum err live(char *why, unsigned why_size)
{
    static const struct resolv_text_wish *const wishes[] = {&one, &more, &one};
    struct resolv_file f;
    enum err err = ERR_OK, last;
    bool done;

    resolv_file_init(&f, &rig.paths);
    for (size_t i = 0; i < ARRAY_LEN(wishes) && err == ERR_OK; i++)
        err = resolv_file_set(&f, wishes[i], why, why_size);
    last = resolv_file_revert(&f, &done, why, why_size);
    return err != ERR_OK ? err : last;
}

/* Returns whether it was killed. */
static bool live_in_child(unsigned kill_at)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        char why[512];
        plan.calls = 0;
        plan.kill_at = kill_at;
        _exit(live(why, sizeof why) == ERR_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* The system still has somebody to ask: its own server or ours. */
static void expect_works(void)
{
    struct sock_addr found[RESOLVERS_MAX], own = {0};
    struct file_content now;
    char why[128];
    unsigned n;

    assert_int_equal(sock_addr_parse(&own, "192.0.2.1:53"), ERR_OK);
    assert_int_equal(file_read(&now, rig.file, 1 << 24, why, sizeof why), ERR_OK);
    resolvers_parse(found, &n, now.bytes, now.len, NULL);
    file_content_wipe(&now);
    assert_true(n > 0);
    assert_true(sock_addr_equal(&found[0], &own) || ip_addr_equal(&found[0].ip, &servers[0]));
}

/* Whom the system asks on its own is known at any time. */
static void expect_own_server(void)
{
    struct sock_addr found[RESOLVERS_MAX], own = {0};
    char why[512];
    unsigned n;

    assert_int_equal(sock_addr_parse(&own, "192.0.2.1:53"), ERR_OK);
    assert_int_equal(resolv_file_servers(&rig.paths, found, &n, why, sizeof why), ERR_OK);
    assert_int_equal(n, 1);
    assert_true(sock_addr_equal(&found[0], &own));
}

/* Of each length that changes how the file is written. */
static unsigned lengths(size_t out[128])
{
    static const size_t fixed[] = {21,   100,  1000, 3966, 3967, 3999, 4000,  4001,
                                   4062, 4063, 4095, 4096, 4097, 8192, 10001, 70000};
    char page[RESOLV_PAGE];
    size_t len = 0;
    unsigned n = 0;
    struct resolv_text_wish wish = more;

    wish.backup = rig.backup;
    assert_int_equal(resolv_text_rewrite(page, &len, "", 0, &wish), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        out[n++] = fixed[i];
    for (size_t i = len - 2; i <= len + 2; i++)
        out[n++] = i;
    out[n++] = len - RESOLV_TEXT_TAIL_LEN - 1;
    out[n++] = len - RESOLV_TEXT_TAIL_LEN;
    out[n++] = len - RESOLV_TEXT_TAIL_LEN + 1;
    return n;
}

static void kill_everywhere(const char *text, size_t len, bool has_server, unsigned *kills)
{
    char why[512];
    bool done;

    for (unsigned at = 1;; at++) {
        assert_true(resolv_rig_write(rig.file, text, len));
        if (!live_in_child(at))
            break;
        ++*kills;
        if (has_server) {
            expect_works();
            expect_own_server();
        }
        assert_int_equal(resolv_file_recover(&rig.paths, &done, why, sizeof why), ERR_OK);
        if (!resolv_rig_has(rig.file, text, len))
            fail_msg("%zu bytes, call %u", len, at);
        assert_int_equal(resolv_file_recover(&rig.paths, &done, why, sizeof why), ERR_OK);
        assert_false(done);
        assert_false(live_in_child(0)); /* and all is as if nothing had been */
        assert_true(resolv_rig_has(rig.file, text, len));
    }
    assert_true(resolv_rig_has(rig.file, text, len));
}

static void test_killed_at_each_call(void **state)
{
    size_t sizes[128];
    unsigned n = lengths(sizes), kills = 0;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        char *text = resolv_rig_text(sizes[i]);
        assert_non_null(text);
        kill_everywhere(text, sizes[i], true, &kills);
        free(text);
    }
    kill_everywhere("", 0, false, &kills);
    kill_everywhere("\n", 1, false, &kills);
    kill_everywhere("# none\noptions edns0", 20, false, &kills);
    print_message("killed %u times\n", kills);
    assert_true(kills > 200);
}

/* The run after a kill is killed as well, while it gives back what the first has left. */
static void test_killed_while_recovering(void **state)
{
    static const size_t sizes[] = {21, 3000, 4050, 9000};
    char why[512];
    bool done;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *text = resolv_rig_text(sizes[i]);
        unsigned kills = 0;
        for (unsigned first = 1, second = 1; first < 40; second++) {
            assert_true(resolv_rig_write(rig.file, text, sizes[i]));
            (void)live_in_child(first);
            int status = 0;
            pid_t pid = fork();
            if (pid == 0) {
                plan.calls = 0;
                plan.kill_at = second;
                _exit(resolv_file_recover(&rig.paths, &done, why, sizeof why) == ERR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            expect_works();
            assert_int_equal(resolv_file_recover(&rig.paths, &done, why, sizeof why), ERR_OK);
            assert_true(resolv_rig_has(rig.file, text, sizes[i]));
            kills += WIFSIGNALED(status);
            if (!WIFSIGNALED(status)) {
                assert_int_equal(status, 0);
                first++;
                second = 0;
            }
        }
        assert_true(kills > 10);
        free(text);
    }
}

/* error: of call `at`. Returns whether there was such a call. */
static bool fail_at(const char *text, size_t len, unsigned at, int error, bool half)
{
    struct resolv_file f;
    char why[512] = "";
    bool done;

    assert_true(resolv_rig_write(rig.file, text, len));
    resolv_file_init(&f, &rig.paths);
    plan.calls = 0;
    plan.fail_at = at;
    plan.error = error;
    plan.half = half;
    enum err err = resolv_file_set(&f, &more, why, sizeof why);
    bool met = plan.calls >= at;
    plan.fail_at = 0;
    if (err != ERR_OK) {
        assert_true(strlen(why) > 20 && strstr(why, "--dns-control disabled"));
        if (!resolv_rig_has(rig.file, text, len))
            fail_msg("%zu bytes, call %u: not the original", len, at);
        assert_int_equal(f.fd, -1);
    } else {
        assert_true(resolv_file_is_ours(&rig.paths));
    }
    assert_int_equal(resolv_file_revert(&f, &done, why, sizeof why), ERR_OK);
    assert_true(resolv_rig_has(rig.file, text, len));
    assert_int_equal(resolv_file_recover(&rig.paths, &done, why, sizeof why), ERR_OK);
    assert_false(done);
    return met;
}

static void test_fails_at_each_call(void **state)
{
    static const int errors[] = {ENOSPC, EDQUOT, EPERM};
    size_t sizes[128];
    unsigned n = lengths(sizes), failures = 0;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        char *text = resolv_rig_text(sizes[i]);
        for (size_t k = 0; k < 2 * ARRAY_LEN(errors); k++) {
            for (unsigned at = 1; fail_at(text, sizes[i], at, errors[k / 2], k % 2); at++)
                failures++;
        }
        free(text);
    }
    assert_true(failures > 500);
}

/* What is there already stays in force when it cannot be changed, and can be given back. */
static void test_change_fails(void **state)
{
    char *text = resolv_rig_text(300), why[512], ours[RESOLV_PAGE];
    size_t ours_len;
    bool done;

    (void)state;
    for (unsigned at = 1, met = 1; met; at++) {
        struct resolv_file f;
        plan.fail_at = 0;
        plan.half = at % 2;
        plan.error = ENOSPC;
        assert_true(resolv_rig_write(rig.file, text, 300));
        resolv_file_init(&f, &rig.paths);
        assert_int_equal(resolv_file_set(&f, &one, why, sizeof why), ERR_OK);
        memcpy(ours, f.ours, f.ours_len);
        ours_len = f.ours_len;
        plan.calls = 0;
        plan.fail_at = (at + 1) / 2;
        enum err err = resolv_file_set(&f, &more, why, sizeof why);
        met = plan.calls >= (at + 1) / 2;
        plan.fail_at = 0;
        assert_int_equal(err != ERR_OK, met);
        if (err != ERR_OK)
            assert_true(resolv_rig_has(rig.file, ours, ours_len));
        assert_int_equal(resolv_file_revert(&f, &done, why, sizeof why), ERR_OK);
        assert_true(resolv_rig_has(rig.file, text, 300));
    }
    free(text);
}

/* What could not be given back is given back by the next run. */
static void test_revert_fails(void **state)
{
    static const size_t sizes[] = {21, 3000, 4050, 9000};
    char why[512];
    bool done;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *text = resolv_rig_text(sizes[i]);
        for (unsigned at = 1, met = 1; met; at++) {
            struct resolv_file f;
            plan.fail_at = 0;
            plan.error = EIO;
            assert_true(resolv_rig_write(rig.file, text, sizes[i]));
            resolv_file_init(&f, &rig.paths);
            assert_int_equal(resolv_file_set(&f, &more, why, sizeof why), ERR_OK);
            plan.calls = 0;
            plan.fail_at = at;
            enum err err = resolv_file_revert(&f, &done, why, sizeof why);
            met = plan.calls >= at;
            plan.fail_at = 0;
            assert_int_equal(err != ERR_OK, met);
            expect_works();
            assert_int_equal(resolv_file_recover(&rig.paths, &done, why, sizeof why), ERR_OK);
            assert_true(resolv_rig_has(rig.file, text, sizes[i]));
        }
        free(text);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed_at_each_call), TEST(test_killed_while_recovering),
        TEST(test_fails_at_each_call),  TEST(test_change_fails),
        TEST(test_revert_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
