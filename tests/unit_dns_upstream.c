/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries by UDP and TCP against a server in a thread on loopback. The first label of a name says what the server does with
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/dns/reply.h"
#include "control/dns/upstream.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "tests/support/netns.h"

enum {
    ID = 0x1234,
    CLIENTS_MAX = 8,
    ANSWERS_MAX = 1100,
    BIG_LEN = 65535
};

/* ---- the server ---- */

struct server {
    struct sock_addr addr;
    int udp, listener, other, stop; /* other: a UDP socket with another port */
    bool no_udp;
    pthread_t thread;
    atomic_uint udp_n, tcp_n; /* queries */
    atomic_uint port_changes; /* of the clients, by UDP */
    uint16_t last_port;
};

static bool is(const uint8_t *m, size_t len, const char *label)
{
    return len > 13 && m[12] == strlen(label) && memcmp(m + 13, label, m[12]) == 0;
}

static size_t turn_around(uint8_t *m, size_t len)
{
    m[2] |= 0x80;
    m[3] |= 0x80;
    return len;
}

static void reply_udp(struct server *s, const uint8_t *m, size_t len, const union addr_os *to,
                      socklen_t to_len, int fd)
{
    (void)s;
    assert_int_equal(sendto(fd, m, len, 0, &to->sa, to_len), len);
}

static void serve_udp(struct server *s)
{
    uint8_t m[65536];
    union addr_os from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(s->udp, m, sizeof m, 0, &from.sa, &from_len);
    struct sock_addr peer;

    if (n < 17)
        return;
    addr_os_from(&peer, &from);
    s->port_changes += peer.port != s->last_port;
    s->last_port = peer.port;
    size_t len = (size_t)n;
    unsigned before = s->udp_n++;
    if (is(m, len, "silent") || (is(m, len, "lost") && before == 0))
        return;
    if (is(m, len, "wrong")) {
        reply_udp(s, m, len, &from, from_len, s->udp); /* not even a response */
        turn_around(m, len);
        reply_udp(s, m, 5, &from, from_len, s->udp);
        reply_udp(s, m, 0, &from, from_len, s->udp);
        m[1] ^= 1;
        reply_udp(s, m, len, &from, from_len, s->udp);
        m[1] ^= 1;
        m[14] ^= 1;
        reply_udp(s, m, len, &from, from_len, s->udp);
        m[14] ^= 1;
        m[len - 1] ^= 2; /* the class */
        reply_udp(s, m, len, &from, from_len, s->udp);
        m[len - 1] ^= 2;
        m[3] |= 5; /* to be seen if it was taken */
        reply_udp(s, m, len, &from, from_len, s->other);
        m[3] &= 0xf0;
    }
    turn_around(m, len);
    if (is(m, len, "cut"))
        m[2] |= 2;
    if (is(m, len, "large"))
        len = 20000;
    if (is(m, len, "formerr")) {
        m[3] |= 1;
        memset(m + 4, 0, 8);
        len = 12;
    }
    reply_udp(s, m, len, &from, from_len, s->udp);
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void send_stream(int fd, const uint8_t *m, size_t len, size_t at_once)
{
    while (len > 0) {
        size_t n = size_min(len, at_once);
        if (send(fd, m, n, MSG_NOSIGNAL) != (ssize_t)n)
            return;
        m += n;
        len -= n;
        if (len > 0 && at_once < 100)
            pause_ms(3);
    }
}

static bool read_all(int fd, uint8_t *m, size_t len)
{
    return len == 0 || recv(fd, m, len, MSG_WAITALL) == (ssize_t)len;
}

/* False: it is closed. */
static bool serve_tcp(struct server *s, int fd)
{
    static uint8_t m[2 + BIG_LEN];
    size_t len;

    if (!read_all(fd, m, 2))
        return false;
    len = load_be16(m);
    if (!read_all(fd, m + 2, len))
        return false;
    s->tcp_n++;
    if (is(m + 2, len, "silent"))
        return true;
    if (is(m + 2, len, "close"))
        return false;
    turn_around(m + 2, len);
    if (is(m + 2, len, "wrong")) {
        send_stream(fd, (const uint8_t *)"\0\0\0\5hello", 9, 9);
        m[2] ^= 1;
        m[2 + 3] |= 5;
        send_stream(fd, m, 2 + len, BIG_LEN);
        m[2] ^= 1;
        m[2 + 3] &= 0xf0;
    }
    if (is(m + 2, len, "big")) {
        memset(m + 2 + len, 0x5a, BIG_LEN - len);
        len = BIG_LEN;
    }
    store_be16(m, (uint16_t)len);
    if (is(m + 2, len, "half")) {
        send_stream(fd, m, len - 1, BIG_LEN);
        return false;
    }
    send_stream(fd, m, 2 + len, is(m + 2, len, "parts") ? 1 : BIG_LEN);
    return true;
}

static void *server_run(void *arg)
{
    struct server *s = arg;
    struct pollfd fds[3 + CLIENTS_MAX] = {
        {.fd = s->no_udp ? -1 : s->udp, .events = POLLIN},
        {.fd = s->listener, .events = POLLIN},
        {.fd = s->stop, .events = POLLIN},
    };
    nfds_t n = 3;

    while (poll(fds, n, -1) >= 0 && !fds[2].revents) {
        if (fds[0].revents)
            serve_udp(s);
        for (nfds_t i = n; i-- > 3;) {
            if (!fds[i].revents || serve_tcp(s, fds[i].fd))
                continue;
            close(fds[i].fd);
            fds[i] = fds[--n];
        }
        if (fds[1].revents && n < ARRAY_LEN(fds))
            fds[n++] = (struct pollfd){.fd = accept(s->listener, NULL, NULL), .events = POLLIN};
    }
    while (n-- > 3)
        close(fds[n].fd);
    return NULL;
}

static int socket_at(const char *ip, uint16_t port, int type, struct sock_addr *addr)
{
    struct sock_addr a = {.port = port};
    union addr_os name;
    int fd = socket(strchr(ip, ':') ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);

    assert_int_equal(ip_addr_parse(&a.ip, ip), ERR_OK);
    socklen_t len = addr_os_to(&name, &a);
    assert_int_equal(bind(fd, &name.sa, len), 0);
    assert_int_equal(getsockname(fd, &name.sa, &len), 0);
    if (addr)
        addr_os_from(addr, &name);
    return fd;
}

/* In a namespace of the test's own every port is free. */
static void server_start(struct server *s, const char *ip)
{
    s->udp = socket_at(ip, 53, SOCK_DGRAM, &s->addr);
    s->other = socket_at(ip, 54, SOCK_DGRAM, NULL);
    s->listener = socket(strchr(ip, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    union addr_os name;
    socklen_t len = addr_os_to(&name, &s->addr);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    assert_int_equal(bind(s->listener, &name.sa, len), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    s->stop = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_stop(struct server *s)
{
    assert_int_equal(eventfd_write(s->stop, 1), 0);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->udp);
    close(s->other);
    close(s->listener);
    close(s->stop);
}

/* ---- the asker ---- */

struct answer {
    uint64_t id;
    enum err err;
    size_t len;
    uint8_t head[64];
};

struct rig {
    unsigned fds;
    struct server server;
    struct loop *loop;
    struct dns_asker *asker;
    struct loop_timer guard;
    struct answer answers[ANSWERS_MAX];
    unsigned n, stop_after;
    uint64_t ask_in_done; /* an id; 0: nothing */
};

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static enum err ask(struct rig *r, uint64_t id, enum dns_transport t, const char *label);

static void on_answer(void *arg, uint64_t id, enum err err, const uint8_t *bytes, size_t len)
{
    struct rig *r = arg;
    struct answer *a = &r->answers[r->n++];

    *a = (struct answer){.id = id, .err = err, .len = len};
    if (err == ERR_OK)
        memcpy(a->head, bytes, size_min(len, sizeof a->head));
    if (r->ask_in_done) {
        uint64_t next = r->ask_in_done;
        r->ask_in_done = 0;
        assert_int_equal(ask(r, next, DNS_UDP, "plain"), ERR_OK);
        dns_asker_cancel(r->asker, id);
    }
    if (r->n == r->stop_after)
        loop_stop(r->loop);
}

static void on_guard(void *arg)
{
    loop_stop(((struct rig *)arg)->loop);
}

static struct rig *rig_start(bool no_udp, const struct egress *egress)
{
    struct rig *r = calloc(1, sizeof *r);

    r->fds = open_fds();
    r->server.no_udp = no_udp;
    server_start(&r->server, "127.0.0.1");
    assert_int_equal(loop_new(&r->loop), ERR_OK);
    loop_timer_init(&r->guard, on_guard, r);
    const struct dns_asker_config config = {.loop = r->loop, .egress = egress};
    assert_int_equal(dns_asker_new(&r->asker, &config, on_answer, r), ERR_OK);
    return r;
}

static void rig_stop(struct rig *r)
{
    dns_asker_free(r->asker);
    loop_free(r->loop);
    server_stop(&r->server);
    assert_int_equal(open_fds(), r->fds);
    free(r);
}

/* "<label>.test", A, IN */
static size_t query_write(uint8_t *m, const char *label)
{
    size_t n = strlen(label), len = 12;

    memset(m, 0, 12);
    store_be16(m, ID);
    m[2] = 1; /* recursion is desired */
    m[5] = 1;
    m[len++] = (uint8_t)n;
    memcpy(m + len, label, n);
    len += n;
    memcpy(m + len, "\4test\0\0\1\0\1", 10);
    return len + 10;
}

static enum err ask(struct rig *r, uint64_t id, enum dns_transport t, const char *label)
{
    uint8_t query[128];
    size_t len = query_write(query, label);
    const struct dns_upstream u = {.kind = DNS_DO53, .server = r->server.addr};
    unsigned n = r->n;
    enum err err = dns_asker_ask(r->asker, id, &u, t, query, len);

    assert_int_equal(r->n, n);
    return err;
}

/* Until there are so many answers, or the time is over. */
static void run(struct rig *r, unsigned answers, unsigned ms)
{
    r->stop_after = answers;
    loop_timer_set(r->loop, &r->guard, clock_now() + ms * NS_PER_MS);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &r->guard);
}

static const struct answer *one(struct rig *r, enum dns_transport t, const char *label)
{
    unsigned n = r->n;

    assert_int_equal(ask(r, 77, t, label), ERR_OK);
    run(r, n + 1, 20000);
    assert_int_equal(r->n, n + 1);
    assert_int_equal(r->answers[n].id, 77);
    return &r->answers[n];
}

/* ---- tests ---- */

static void test_answers(void **state)
{
    static const struct {
        enum dns_transport t;
        const char *label;
        enum err err;
        size_t len; /* 0: the query's */
        unsigned flags;
    } cases[] = {
        {DNS_UDP, "plain", ERR_OK, 0, 0x8180},     {DNS_UDP, "PlAiN", ERR_OK, 0, 0x8180},
        {DNS_UDP, "wrong", ERR_OK, 0, 0x8180},     {DNS_UDP, "cut", ERR_OK, 0, 0x8380},
        {DNS_UDP, "large", ERR_OK, 20000, 0x8180}, {DNS_UDP, "formerr", ERR_OK, 12, 0x8181},
        {DNS_UDP, "silent", ERR_TIMEOUT, 0, 0},    {DNS_TCP, "plain", ERR_OK, 0, 0x8180},
        {DNS_TCP, "parts", ERR_OK, 0, 0x8180},     {DNS_TCP, "wrong", ERR_OK, 0, 0x8180},
        {DNS_TCP, "big", ERR_OK, BIG_LEN, 0x8180}, {DNS_TCP, "close", ERR_CLOSED, 0, 0},
        {DNS_TCP, "half", ERR_CLOSED, 0, 0},       {DNS_TCP, "silent", ERR_TIMEOUT, 0, 0},
    };
    struct rig *r = rig_start(false, NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t query[128];
        size_t len = query_write(query, cases[i].label);
        const struct answer *a = one(r, cases[i].t, cases[i].label);
        if (a->err != cases[i].err)
            fail_msg("case %zu: %s", i, err_text(a->err));
        if (a->err != ERR_OK)
            continue;
        if (a->len != (cases[i].len > 0 ? cases[i].len : len))
            fail_msg("case %zu: %zu bytes", i, a->len);
        assert_int_equal(load_be16(a->head), ID);
        if (load_be16(a->head + 2) != cases[i].flags)
            fail_msg("case %zu: %x", i, load_be16(a->head + 2));
        if (a->len > 12)
            assert_memory_equal(a->head + 12, query + 12, len - 12);
    }
    rig_stop(r);
}

static void test_repeated_once(void **state)
{
    struct rig *r = rig_start(false, NULL);

    (void)state;
    assert_int_equal(one(r, DNS_UDP, "lost")->err, ERR_OK);
    assert_int_equal(r->server.udp_n, 2);
    assert_int_equal(one(r, DNS_UDP, "silent")->err, ERR_TIMEOUT);
    assert_int_equal(r->server.udp_n, 4);
    assert_int_equal(r->server.port_changes, 2); /* a repetition comes from the same */
    rig_stop(r);
}

/* Nobody is there. */
static void test_refused(void **state)
{
    struct rig *r = rig_start(false, NULL);

    (void)state;
    r->server.addr.port = 5353;
    for (unsigned t = DNS_UDP; t <= DNS_TCP; t++) {
        const struct answer *a = one(r, t, "plain");
        assert_true(a->err != ERR_OK && a->err != ERR_TIMEOUT && a->err != ERR_PERMISSION);
    }
    /* No route. */
    assert_int_equal(ip_addr_parse(&r->server.addr.ip, "192.0.2.1"), ERR_OK);
    for (unsigned t = DNS_UDP; t <= DNS_TCP; t++)
        assert_int_equal(ask(r, 1, t, "plain"), ERR_UNREACHABLE);
    rig_stop(r);
}

static void test_no_queries(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"", 0},
        {"\x12\x34\1\0\0\1\0\0\0\0\0\0", 12},
        {"\x12\x34\1\0\0\1\0\0\0\0\0\0\4test", 17},
        {"\x12\x34\1\0\0\1\0\0\0\0\0\0\4test\0\0\1\0", 21},
        {"\x12\x34\1\0\0\2\0\0\0\0\0\0\4test\0\0\1\0\1", 22},
        {"\x12\x34\1\0\0\0\0\0\0\0\0\0\4test\0\0\1\0\1", 22},
        {"\x12\x34\x81\0\0\1\0\0\0\0\0\0\4test\0\0\1\0\1", 22},
        {"\x12\x34\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18},
    };
    struct rig *r = rig_start(false, NULL);
    const struct dns_upstream u = {.kind = DNS_DO53, .server = r->server.addr};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (dns_asker_ask(r->asker, 1, &u, DNS_UDP, (const uint8_t *)cases[i].bytes,
                          cases[i].len) != ERR_PARSE)
            fail_msg("case %zu", i);
    }
    const struct dns_upstream doh = {.kind = DNS_DOH, .url = "https://doh.test/dns-query"};
    uint8_t query[128];
    size_t len = query_write(query, "plain");
    assert_int_equal(dns_asker_ask(r->asker, 1, &doh, DNS_UDP, query, len), ERR_NOT_FOUND);
    rig_stop(r);
}

static void test_many(void **state)
{
    struct rig *r = rig_start(false, NULL);

    (void)state;
    for (unsigned i = 0; i < DNS_ASKER_MAX; i++)
        assert_int_equal(ask(r, i, i % 2 ? DNS_TCP : DNS_UDP, "silent"), ERR_OK);
    assert_int_equal(ask(r, DNS_ASKER_MAX, DNS_UDP, "plain"), ERR_FULL);
    dns_asker_cancel(r->asker, 500);
    dns_asker_cancel(r->asker, 0);
    dns_asker_cancel(r->asker, DNS_ASKER_MAX - 1);
    dns_asker_cancel(r->asker, 500);
    run(r, 1, 100);
    assert_int_equal(r->n, 0);
    dns_asker_roam(r->asker);
    assert_int_equal(one(r, DNS_UDP, "plain")->err, ERR_OK);
    /* Freed with queries under way. */
    assert_int_equal(ask(r, 1, DNS_UDP, "silent"), ERR_OK);
    assert_int_equal(ask(r, 2, DNS_TCP, "silent"), ERR_OK);
    rig_stop(r);
}

static void test_ask_in_done(void **state)
{
    struct rig *r = rig_start(false, NULL);

    (void)state;
    r->ask_in_done = 8;
    assert_int_equal(ask(r, 7, DNS_UDP, "plain"), ERR_OK);
    run(r, 2, 20000);
    assert_int_equal(r->n, 2);
    assert_int_equal(r->answers[1].id, 8);
    rig_stop(r);
}

static unsigned marked_sockets(uint32_t mark)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++) {
        uint32_t is = 0;
        socklen_t len = sizeof is;
        n += getsockopt(fd, SOL_SOCKET, SO_MARK, &is, &len) == 0 && is == mark;
    }
    return n;
}

static void test_marked(void **state)
{
    static const struct egress marked = {.mark = 0xfd002021};
    struct rig *r = rig_start(false, &marked);

    (void)state;
    assert_int_equal(ask(r, 1, DNS_UDP, "silent"), ERR_OK);
    assert_int_equal(marked_sockets(marked.mark), 1);
    assert_int_equal(ask(r, 2, DNS_TCP, "silent"), ERR_OK);
    assert_int_equal(marked_sockets(marked.mark), 2);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_repeated_once),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_no_queries),
        cmocka_unit_test(test_many),    cmocka_unit_test(test_ask_in_done),
        cmocka_unit_test(test_marked),
    };
    netns_enter_or_skip();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
