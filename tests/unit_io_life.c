/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O contract's life cycle: choice of the backend, waiting, waking, idling, detach and close under load. The same
 * tests for every backend, in a network namespace of our own.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "tests/support/io_rig.h"

enum {
    RX_MAX = 64
};

/* ---- waiting and waking ---- */

static void test_deadline(void **state)
{
    struct io_rx rx;
    RIG_NEW(io, 4, 4);
    for (unsigned ms = 0; ms < 40; ms += 10) {
        time_ns deadline = rig_in_ms(ms);
        assert_int_equal(io_wait(io, &rx, 1, deadline), 0);
        assert_true(clock_now() >= deadline);
    }
    uint64_t wakeups = counter_read(&io_stats(io)->wakeups);
    assert_int_equal(io_wait(io, &rx, 1, 0), 0);
    assert_int_equal(counter_read(&io_stats(io)->wakeups), wakeups); /* did not wait */
    io_free(io);
}

static void *wake_later(void *arg)
{
    rig_sleep_ms(1000);
    io_wake(arg);
    return NULL;
}

/* Nothing to do: not one wake-up until somebody wakes us. */
static void test_idle(void **state)
{
    struct io_rx rx;
    pthread_t thread;
    RIG_NEW(io, 4, 4);
    struct udp_group g = rig_udp(ADDR_V4, 0, 0), g6 = rig_udp(ADDR_V6, 0, 0);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    assert_int_equal(io_attach_udp(io, ADDR_V6, g6.fds[0]), ERR_OK);
    assert_int_equal(io_wait(io, &rx, 1, 0), 0);

    assert_int_equal(pthread_create(&thread, NULL, wake_later, io), 0);
    assert_int_equal(io_wait(io, &rx, 1, TIME_NEVER), 0);
    pthread_join(thread, NULL);
    assert_int_equal(counter_read(&io_stats(io)->wakeups), 1);
    assert_int_equal(counter_read(&io_stats(io)->wakeups_idle), 0);

    assert_int_equal(io_wait(io, &rx, 1, rig_in_ms(1000)), 0);
    assert_int_equal(counter_read(&io_stats(io)->wakeups), 2);
    assert_int_equal(counter_read(&io_stats(io)->wakeups_idle), 1);
    io_free(io);
    udp_group_close(&g);
    udp_group_close(&g6);
}

static void test_wake_before_wait(void **state)
{
    struct io_rx rx;
    RIG_NEW(io, 4, 4);
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned k = 0; k <= i % 3; k++)
            io_wake(io);
        assert_int_equal(io_wait(io, &rx, 1, TIME_NEVER), 0);
    }
    /* Wakes are not counted: those are used up. */
    time_ns deadline = rig_in_ms(20);
    while (clock_now() < deadline)
        io_wait(io, &rx, 1, deadline);
    assert_true(counter_read(&io_stats(io)->wakeups) < 210);
    io_free(io);
}

struct pingpong {
    struct io *io;
    unsigned turn; /* atomic: odd while it is the waker's */
};

static void *waker(void *arg)
{
    struct pingpong *p = arg;
    for (unsigned i = 0; i < 20000; i++) {
        while (!(__atomic_load_n(&p->turn, __ATOMIC_SEQ_CST) & 1))
            sched_yield();
        __atomic_add_fetch(&p->turn, 1, __ATOMIC_SEQ_CST);
        io_wake(p->io);
    }
    return NULL;
}

/* One wake per wait, from another thread: none is lost, or this never ends. */
static void test_wake_from_thread(void **state)
{
    struct io_rx rx;
    pthread_t thread;
    RIG_NEW(io, 4, 4);
    struct pingpong p = {.io = io};
    assert_int_equal(pthread_create(&thread, NULL, waker, &p), 0);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned turn = __atomic_add_fetch(&p.turn, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&p.turn, __ATOMIC_SEQ_CST) == turn)
            assert_int_equal(io_wait(io, &rx, 1, TIME_NEVER), 0);
    }
    pthread_join(thread, NULL);
    io_free(io);
}

/* ---- detach and close ---- */

struct flood {
    struct sock_addr to[2];
    bool stop; /* atomic */
};

static void *flood(void *arg)
{
    struct flood *f = arg;
    struct udp_group g[2] = {rig_udp(ADDR_V4, 0, 0), rig_udp(ADDR_V6, 0, 0)};
    static uint8_t data[1200];
    union addr_os name;
    for (unsigned i = 0; !__atomic_load_n(&f->stop, __ATOMIC_RELAXED); i++) {
        socklen_t len = addr_os_to(&name, &f->to[i % 2]);
        (void)sendto(g[i % 2].fds[0], data, sizeof data, 0, &name.sa, len);
        if (i % 64 == 0)
            sched_yield();
    }
    udp_group_close(&g[0]);
    udp_group_close(&g[1]);
    return NULL;
}

/*
 * 100 times under load: after detach and close the port is free at once (not listed, can be bound), sends that were
 * queued come back, nothing of the old sockets is reported later.
 */
static void test_rebind_under_load(void **state)
{
    static const unsigned families[2] = {ADDR_V4, ADDR_V6};
    static uint8_t data[1000];
    struct flood f = {.to = {rig_addr("127.0.0.1", 52000), rig_addr("::1", 52001)}};
    static struct io_rx rx[RX_MAX];
    pthread_t thread;
    RIG_NEW(io, 4, 32);
    assert_int_equal(pthread_create(&thread, NULL, flood, &f), 0);
    for (unsigned round = 0; round < 100; round++) {
        struct udp_group g[2];
        struct io_send sends[2];
        unsigned n = 0;
        for (unsigned i = 0; i < 2; i++) {
            g[i] = rig_udp(families[i], f.to[i].port, 0);
            assert_true(rig_port_is_bound(families[i], f.to[i].port));
            assert_int_equal(io_attach_udp(io, families[i], g[i].fds[0]), ERR_OK);
        }
        while (n == 0)
            n = io_wait(io, rx, 1 + round % RX_MAX, rig_limit());
        for (unsigned i = 0; i < 2; i++) {
            sends[i] = rig_send(data, sizeof data, &f.to[i]);
            io_udp_send(io, &sends[i]);
        }
        io_detach_udp(io);
        for (unsigned i = 0; i < n; i++)
            io_rx_give_back(io, IO_RX_UDP, rx[i].buffer);
        assert_ptr_equal(io_udp_take_done(io), &sends[0]);
        assert_int_equal(sends[0].result, IO_CLOSED);
        assert_ptr_equal(sends[0].next, &sends[1]);
        for (unsigned i = 0; i < 2; i++) {
            udp_group_close(&g[i]);
            assert_false(rig_port_is_bound(families[i], f.to[i].port));
        }
        assert_int_equal(io_wait(io, rx, RX_MAX, 0), 0);
    }
    __atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(counter_read(&io_stats(io)->rx_errors), 0);
    io_free(io);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

struct worker {
    void **state;
    struct io *io; /* NULL: no such backend here */
};

static void *work(void *arg)
{
    struct worker *w = arg;
    uint8_t data[10] = {0};
    if (!rig_new(&w->io, w->state, 4, 4)) {
        w->io = NULL;
        return NULL;
    }
    struct udp_group g = rig_udp(ADDR_V4, 53100, 0);
    struct sock_addr to = rig_addr("127.0.0.1", 53100);
    struct io_send s = rig_send(data, sizeof data, &to);
    assert_int_equal(io_attach_udp(w->io, ADDR_V4, g.fds[0]), ERR_OK);
    io_udp_send(w->io, &s);
    rig_receive(w->io); /* its buffer is never given back */
    io_udp_take_done(w->io);
    io_detach_udp(w->io);
    udp_group_close(&g);
    return NULL;
}

/* The worker's thread has ended; another one frees what is left. */
static void test_free_after_thread(void **state)
{
    struct worker w = {.state = state};
    pthread_t thread;
    unsigned before = open_descriptors();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
        pthread_join(thread, NULL);
        if (!w.io)
            skip();
        assert_false(rig_port_is_bound(ADDR_V4, 53100));
        io_free(w.io);
        assert_int_equal(open_descriptors(), before);
    }
}

/* ---- choice of the backend ---- */

static void test_config(void **state)
{
    (void)state;
    struct io *io;
    assert_int_equal(io_new(&io, &(struct io_config){IO_EPOLL, 3, 4}), ERR_INVALID);
    assert_int_equal(io_new(&io, &(struct io_config){IO_EPOLL, 4, 0}), ERR_INVALID);
    assert_int_equal(io_new(&io, &(struct io_config){IO_EPOLL, 4, 1 << 16}), ERR_INVALID);
    assert_null(io);
    io_free(NULL);
}

static bool forbid_io_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Runs in a process of its own; the exit code says which expectation failed. */
static int without_io_uring(void)
{
    struct io *io, *second;
    struct io_rx rx;
    if (!forbid_io_uring())
        return 10;
    log_set_level(LOG_ERROR);
    if (io_new(&io, &(struct io_config){IO_AUTO, 4, 4}) != ERR_OK)
        return 11;
    if (strcmp(io_name(io), "epoll") != 0)
        return 12;
    io_wake(io);
    if (io_wait(io, &rx, 1, TIME_NEVER) != 0)
        return 13;
    io_free(io);
    return io_new(&second, &(struct io_config){IO_URING, 4, 4}) == ERR_UNSUPPORTED ? 0 : 14;
}

static void test_forbidden(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(without_io_uring());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: the end of an earlier test's ring would interrupt the sleep. */
        RIG_TESTS(test_idle),
        RIG_TESTS(test_deadline),
        RIG_TESTS(test_wake_before_wait),
        RIG_TESTS(test_wake_from_thread),
        RIG_TESTS(test_rebind_under_load),
        RIG_TESTS(test_free_after_thread),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_forbidden),
    };
    netns_enter_or_skip();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
