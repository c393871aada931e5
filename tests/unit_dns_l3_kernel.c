/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's TCP, through a TUN in a namespace of its own, as client of our server and as server of our client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "control/dns/l3_packet.h"
#include "control/dns/l3_tcp.h"
#include "control/dns/server.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "platform/tun.h"
#include "tests/support/netns.h"

enum {
    VNET_LEN = 10,
    QUERIES = 20,
    LEN_MAX = 65535,
    QUERY_LEN = 24
};

/* A socket of the kernel's, with what it is to send and has received. */
struct end {
    int fd;
    size_t out_len, out_at, in_len;
    uint8_t out[LEN_MAX * 4], in[LEN_MAX * 4];
};

struct rig {
    struct tun *tun;
    struct l3_tcp *t;
    struct ip_addr sentinels[2];
    /* Queries of the server, to be answered in the reverse order. */
    unsigned queries_n;
    uint64_t clients[QUERIES];
    uint8_t *queries[QUERIES];
    size_t lens[QUERIES];
    /* Answers of the client. */
    unsigned asked;
    enum err errs[QUERIES];
    size_t answer_lens[QUERIES];
    uint16_t ids[QUERIES];
};

static void to_tun(void *arg, const uint8_t *packet, uint32_t len)
{
    struct rig *r = arg;
    uint8_t frame[VNET_LEN + L3_MTU] = {0};

    memcpy(frame + VNET_LEN, packet, len);
    assert_int_equal(write(tun_fd(r->tun, 0), frame, VNET_LEN + len), VNET_LEN + len);
}

static void on_watch(void *arg, uint16_t port, bool on)
{
    (void)arg;
    (void)port;
    (void)on;
}

static void on_query(void *arg, uint64_t client, const struct ip_addr *sentinel,
                     const uint8_t *query, size_t len)
{
    struct rig *r = arg;

    (void)sentinel;
    assert_true(r->queries_n < QUERIES);
    r->clients[r->queries_n] = client;
    r->lens[r->queries_n] = len;
    r->queries[r->queries_n] = mem_zalloc(len, 1);
    memcpy(r->queries[r->queries_n++], query, len);
}

static void on_asked(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len)
{
    struct rig *r = arg;

    assert_true(id < QUERIES);
    r->asked++;
    r->errs[id] = err;
    r->answer_lens[id] = len;
    r->ids[id] = len > 0 ? l3_message_id(answer) : 0;
}

static const struct l3_tcp_events EVENTS = {to_tun, to_tun, on_watch, on_query, on_asked};

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static int set_up(void **state)
{
    static const uint8_t seed[L3_SEED_LEN] = {9};
    struct tun_config config = {.name = "l3", .queues = 1};
    struct rig *r = mem_zalloc(1, sizeof *r);
    char why[256] = "";

    assert_int_equal(tun_open(&r->tun, &config, why, sizeof why), ERR_OK);
    assert_true(netns_ip("link set l3 mtu 1280 up"));
    assert_true(netns_ip("addr add 100.64.0.7/16 dev l3"));
    assert_true(netns_ip("addr add fd00:2021:1111::7/64 dev l3 nodad"));
    assert_true(netns_ip("route add 100.100.111.0/24 dev l3"));
    assert_true(netns_ip("route add fd00:2021:1111:8000::/64 dev l3"));
    assert_int_equal(l3_tcp_new(&r->t, seed, &EVENTS, r, clock_now(), why, sizeof why), ERR_OK);
    r->sentinels[0] = addr("100.100.111.1");
    r->sentinels[1] = addr("fd00:2021:1111:8000::53");
    l3_tcp_set_sentinels(r->t, r->sentinels, 2, clock_now());
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    l3_tcp_free(r->t);
    tun_free(r->tun);
    for (unsigned i = 0; i < r->queries_n; i++)
        free(r->queries[i]);
    free(r);
    return 0;
}

/* ---- the loop ---- */

static void from_tun(struct rig *r)
{
    uint8_t frame[VNET_LEN + 2048];
    ssize_t n;

    while ((n = read(tun_fd(r->tun, 0), frame, sizeof frame)) > VNET_LEN) {
        const uint8_t *packet = frame + VNET_LEN;
        struct ip_view v;
        if (!ip_parse(&v, packet, (size_t)n - VNET_LEN))
            continue;
        struct ip_addr to = ip_dst(packet, v.version);
        if (ip_addr_equal(&to, &r->sentinels[0]) || ip_addr_equal(&to, &r->sentinels[1]))
            l3_tcp_from_host(r->t, packet, v.total_len, clock_now());
        else
            l3_tcp_from_tunnel(r->t, packet, v.total_len, clock_now());
    }
}

static void run_end(struct end *e)
{
    ssize_t n;

    while (e->out_at < e->out_len && (n = send(e->fd, e->out + e->out_at, e->out_len - e->out_at,
                                               MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
        e->out_at += (size_t)n;
    while ((n = recv(e->fd, e->in + e->in_len, sizeof e->in - e->in_len, MSG_DONTWAIT)) > 0)
        e->in_len += (size_t)n;
}

/* One round, of at most 50 ms. */
static void step(struct rig *r, struct end *e)
{
    struct pollfd fds[2] = {{.fd = tun_fd(r->tun, 0), .events = POLLIN},
                            {.fd = e ? e->fd : -1, .events = POLLIN}};

    if (e && e->out_at < e->out_len)
        fds[1].events |= POLLOUT;
    poll(fds, 2, 50);
    from_tun(r);
    if (e)
        run_end(e);
    time_ns now = clock_now();
    if (l3_tcp_poll_timeout(r->t) <= now)
        l3_tcp_handle_timeout(r->t, now);
}

/* ---- the kernel asks ---- */

static size_t frame_query(uint8_t *out, unsigned id, size_t len)
{
    store_be16(out, (uint16_t)len);
    for (size_t i = 0; i < len; i++)
        out[2 + i] = (uint8_t)(i * 31 + id);
    store_be16(out + 2, (uint16_t)id);
    return 2 + len;
}

static void the_kernel_asks_our_server(void **state)
{
    static const size_t LENS[] = {40, LEN_MAX, 12, 3000};
    struct rig *r = *state;
    time_ns end = clock_now() + 30 * NS_PER_SEC;

    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct end *e = mem_zalloc(1, sizeof *e);
        struct sock_addr to = {.ip = r->sentinels[v6], .port = DNS_PORT};
        union addr_os os;
        unsigned base = r->queries_n;

        e->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(e->fd >= 0);
        socklen_t os_len = addr_os_to(&os, &to);
        assert_int_equal(connect(e->fd, &os.sa, os_len), -1);
        assert_int_equal(errno, EINPROGRESS);
        for (unsigned i = 0; i < ARRAY_LEN(LENS); i++)
            e->out_len += frame_query(e->out + e->out_len, i, LENS[i]);
        while (r->queries_n < base + ARRAY_LEN(LENS) && clock_now() < end)
            step(r, e);
        assert_int_equal(r->queries_n, base + ARRAY_LEN(LENS));
        for (unsigned i = r->queries_n; i-- > base;)
            l3_tcp_answer(r->t, r->clients[i], r->queries[i], r->lens[i], clock_now());
        while (e->in_len < e->out_len && clock_now() < end)
            step(r, e);
        assert_int_equal(e->in_len, e->out_len);
        const uint8_t *in = e->in;
        for (unsigned i = ARRAY_LEN(LENS); i-- > 0;) {
            uint8_t *expected = mem_zalloc(2 + LENS[i], 1);
            size_t len = frame_query(expected, i, LENS[i]);
            assert_memory_equal(in, expected, len);
            in += len;
            free(expected);
        }
        close(e->fd);
        free(e);
    }
    assert_int_equal(l3_tcp_counters(r->t)->packets_bad, 0);
    assert_int_equal(l3_tcp_counters(r->t)->accepted, 2);
}

/* ---- the kernel answers ---- */

/* Every whole query becomes an answer of `answer_len` bytes. */
static void answer_queries(struct end *e, size_t answer_len)
{
    size_t at = 0;

    while (e->in_len - at >= 2 + QUERY_LEN) {
        uint8_t *out = e->out + e->out_len;
        assert_int_equal(load_be16(e->in + at), QUERY_LEN);
        assert_true(e->out_len + 2 + answer_len <= sizeof e->out);
        memset(out, 0, 2 + answer_len);
        store_be16(out, (uint16_t)answer_len);
        memcpy(out + 2, e->in + at + 2, QUERY_LEN);
        out[4] |= 0x80;
        e->out_len += 2 + answer_len;
        at += 2 + QUERY_LEN;
    }
    memmove(e->in, e->in + at, e->in_len - at);
    e->in_len -= at;
}

static enum err ask(struct rig *r, unsigned id, bool v6)
{
    static const uint8_t tail[12] = {1, 'a', 2, 'b', 'c', 0, 0, 1, 0, 1};
    struct sock_addr to = {.ip = addr(v6 ? "fd00:2021:1111::7" : "100.64.0.7"), .port = DNS_PORT};
    struct ip_addr own = addr(v6 ? "fd00:2021:1111::9" : "100.64.0.9");
    uint8_t query[QUERY_LEN] = {0};

    store_be16(query, (uint16_t)(700 + id));
    query[5] = 1;
    memcpy(query + 12, tail, sizeof tail);
    return l3_tcp_ask(r->t, id, &to, &own, query, sizeof query, clock_now());
}

static void the_kernel_answers_our_client(void **state)
{
    struct rig *r = *state;
    time_ns end = clock_now() + 30 * NS_PER_SEC;

    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct end *e = mem_zalloc(1, sizeof *e);
        struct sock_addr at = {.ip = addr(v6 ? "fd00:2021:1111::7" : "100.64.0.7"),
                               .port = DNS_PORT};
        union addr_os os;
        int listener =
            socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        socklen_t os_len = addr_os_to(&os, &at);
        assert_int_equal(bind(listener, &os.sa, os_len), 0);
        assert_int_equal(listen(listener, 5), 0);
        e->fd = -1;
        r->asked = 0;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(ask(r, i, v6), ERR_OK);
        while (r->asked < 3 && clock_now() < end) {
            step(r, e->fd >= 0 ? e : NULL);
            if (e->fd < 0)
                e->fd = accept(listener, NULL, NULL);
            else
                answer_queries(e, LEN_MAX);
        }
        assert_int_equal(r->asked, 3);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(r->errs[i], ERR_OK);
            assert_int_equal(r->answer_lens[i], LEN_MAX);
            assert_int_equal(r->ids[i], 700 + i);
        }
        /* The server goes; what is asked then has another connection, which is refused. */
        close(listener);
        close(e->fd);
        for (unsigned i = 0; i < 3; i++)
            step(r, NULL);
        assert_int_equal(ask(r, 3, v6), ERR_OK);
        while (r->asked < 4 && clock_now() < end)
            step(r, NULL);
        assert_int_equal(r->asked, 4);
        assert_int_equal(r->errs[3], ERR_CLOSED);
        free(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kernel_asks_our_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_kernel_answers_our_client, set_up, tear_down),
    };
    netns_enter_or_skip();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
