/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's DNS service between clients on 127.0.0.x and [::1] and two resolvers on 127.0.0.53 and .54, all on one loop. The
 * first label of a name says what the resolvers do with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway_dns.h"
#include "control/gateway_dns_query.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/base/time.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "tests/support/netns.h"

enum {
    PORT = GATEWAY_DNS_PORT,
    WAIT_S = 8,
    TYPE_A = 1,
    TYPE_TXT = 16,
    TYPE_SRV = 33,
    RCODE_SERVFAIL = 2,
    RCODE_NOTIMP = 4,
    RCODE_REFUSED = 5,
    FLAG_TC = 0x02 /* of byte 2 */
};

struct resolver_fake {
    struct loop *loop;
    int udp, tcp;
    unsigned udp_n, tcp_n;
    bool dead; /* takes queries without a word */
};

struct rig {
    struct loop *loop;
    struct gateway_dns *dns;
    struct resolver_fake resolvers[2];
    struct sock_addr resolver_addrs[2];
    struct loop_timer tick;
    bool (*until)(struct rig *r);
    time_ns end;
    /* A client's. */
    int client;
    bool tcp;
    uint8_t got[70000];
    size_t got_n;
};

static struct sock_addr at(const char *text)
{
    struct sock_addr a;
    if (sock_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

static int open_socket(const char *local, int type)
{
    struct sock_addr a = at(local);
    union addr_os name;
    socklen_t len = addr_os_to(&name, &a);
    int on = 1, fd = socket(name.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, &name.sa, len), 0);
    return fd;
}

/* ---- resolvers ---- */

static bool label_is(const uint8_t *m, const char *label)
{
    return m[12] == strlen(label) && memcmp(m + 13, label, m[12]) == 0;
}

/* In place; 0: no answer. "big": padding that nobody looks into. */
static size_t answer(struct resolver_fake *f, uint8_t *m, size_t len, size_t size)
{
    if (f->dead || label_is(m, "silent"))
        return 0;
    m[2] |= 0x80;
    m[3] = 0x80;
    if (label_is(m, "big")) {
        memset(m + len, 0xee, size - len);
        return size;
    }
    return len;
}

static void on_resolver_udp(void *arg, unsigned events)
{
    struct resolver_fake *f = arg;
    uint8_t m[3000];
    union addr_os from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(f->udp, m, sizeof m, 0, &from.sa, &from_len);

    (void)events;
    if (n < 17)
        return;
    f->udp_n++;
    size_t len = answer(f, m, (size_t)n, 1500);
    if (len > 0)
        assert_int_equal(sendto(f->udp, m, len, 0, &from.sa, from_len), len);
}

/* One query per connection, in one segment, which is what do53.h makes. */
struct connection {
    struct resolver_fake *f;
    int fd;
};

static void on_connection(void *arg, unsigned events)
{
    static uint8_t m[70000];
    struct connection *c = arg;
    struct resolver_fake *f = c->f;
    ssize_t n = recv(c->fd, m, sizeof m - 65535, 0);

    (void)events;
    if (n > 19) {
        f->tcp_n++;
        size_t len = answer(f, m + 2, (size_t)n - 2, 40000);
        store_be16(m, (uint16_t)len);
        if (len == 0)
            return; /* until the other side is tired of it */
        assert_int_equal(send(c->fd, m, len + 2, MSG_NOSIGNAL), len + 2);
    }
    loop_del_fd(f->loop, c->fd);
    close(c->fd);
    free(c);
}

static void on_resolver_tcp(void *arg, unsigned events)
{
    struct resolver_fake *f = arg;
    struct connection *c = mem_zalloc(1, sizeof *c);

    (void)events;
    *c = (struct connection){f, accept(f->tcp, NULL, NULL)};
    assert_true(c->fd >= 0);
    assert_int_equal(loop_add_fd(f->loop, c->fd, LOOP_READ, on_connection, c), ERR_OK);
}

static void resolver_open(struct rig *r, unsigned i, const char *local)
{
    struct resolver_fake *f = &r->resolvers[i];

    f->loop = r->loop;
    f->udp = open_socket(local, SOCK_DGRAM);
    f->tcp = open_socket(local, SOCK_STREAM);
    assert_int_equal(listen(f->tcp, 16), 0);
    r->resolver_addrs[i] = at(local);
    assert_int_equal(loop_add_fd(r->loop, f->udp, LOOP_READ, on_resolver_udp, f), ERR_OK);
    assert_int_equal(loop_add_fd(r->loop, f->tcp, LOOP_READ, on_resolver_tcp, f), ERR_OK);
}

static void resolver_close(struct rig *r, unsigned i)
{
    struct resolver_fake *f = &r->resolvers[i];

    if (f->udp < 0)
        return;
    loop_del_fd(r->loop, f->udp);
    loop_del_fd(r->loop, f->tcp);
    close(f->udp);
    close(f->tcp);
    f->udp = f->tcp = -1;
}

/* ---- the rig ---- */

static void on_tick(void *arg)
{
    struct rig *r = arg;

    if (r->until(r) || clock_now() > r->end)
        loop_stop(r->loop);
    else
        loop_timer_set(r->loop, &r->tick, loop_now(r->loop) + NS_PER_MS);
}

/* Runs the loop until that is so. */
static bool run(struct rig *r, bool (*until)(struct rig *r))
{
    r->until = until;
    r->end = clock_now() + WAIT_S * NS_PER_SEC;
    loop_timer_set(r->loop, &r->tick, loop_now(r->loop));
    assert_int_equal(loop_run(r->loop), ERR_OK);
    return until(r);
}

static void serve(struct rig *r)
{
    struct ip_addr v4 = at("127.0.0.1:1").ip, v6 = at("[::1]:1").ip;
    char why[256] = "";

    if (gateway_dns_serve(r->dns, &v4, &v6, PORT, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
}

static int set_up(void **state)
{
    struct rig *r = mem_zalloc(1, sizeof *r);
    char why[128];

    assert_int_equal(loop_new(&r->loop), ERR_OK);
    loop_timer_init(&r->tick, on_tick, r);
    r->client = -1;
    resolver_open(r, 0, "127.0.0.53:5300");
    resolver_open(r, 1, "127.0.0.54:5300");
    assert_int_equal(gateway_dns_new(&r->dns, r->loop, "lo", NULL, why, sizeof why), ERR_OK);
    gateway_dns_set_resolvers(r->dns, r->resolver_addrs, 2);
    serve(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    if (r->client >= 0)
        close(r->client);
    gateway_dns_free(r->dns);
    resolver_close(r, 0);
    resolver_close(r, 1);
    loop_timer_clear(r->loop, &r->tick);
    loop_free(r->loop);
    free(r);
    return 0;
}

static struct gateway_dns_counts counts(const struct rig *r)
{
    struct gateway_dns_counts c;
    gateway_dns_counts(r->dns, &c);
    return c;
}

/* ---- clients ---- */

static void client(struct rig *r, const char *local, bool tcp)
{
    struct sock_addr a = at(local);
    struct sock_addr to = at(a.ip.family == ADDR_V6 ? "[::1]:53535" : "127.0.0.1:53535");
    union addr_os name;
    socklen_t len = addr_os_to(&name, &to);

    if (r->client >= 0)
        close(r->client);
    r->client = open_socket(local, tcp ? SOCK_STREAM : SOCK_DGRAM);
    r->tcp = tcp;
    r->got_n = 0;
    int e = connect(r->client, &name.sa, len);
    assert_true(e == 0 || errno == EINPROGRESS);
}

/* label.test; id 0x1234 */
static size_t query(uint8_t *out, const char *label, unsigned type)
{
    static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
    size_t n = strlen(label);

    memcpy(out, head, sizeof head);
    out[12] = (uint8_t)n;
    memcpy(out + 13, label, n);
    memcpy(out + 13 + n, "\4test", 6);
    store_be16(out + 19 + n, (uint16_t)type);
    store_be16(out + 21 + n, 1);
    return 23 + n;
}

static bool has_room(struct rig *r)
{
    uint8_t nothing = 0;
    return send(r->client, &nothing, 0, MSG_NOSIGNAL) == 0;
}

static void say_bytes(struct rig *r, const uint8_t *bytes, size_t len)
{
    uint8_t framed[4096];

    assert_true(len + 2 <= sizeof framed);
    store_be16(framed, (uint16_t)len);
    memcpy(framed + 2, bytes, len);
    if (!r->tcp)
        assert_int_equal(send(r->client, bytes, len, 0), len);
    else {
        assert_true(run(r, has_room));
        assert_int_equal(send(r->client, framed, len + 2, MSG_NOSIGNAL), len + 2);
    }
}

static size_t say(struct rig *r, const char *label, unsigned type)
{
    uint8_t q[64];
    size_t len = query(q, label, type);

    say_bytes(r, q, len);
    return len;
}

static void take_what_is_there(struct rig *r)
{
    ssize_t n = recv(r->client, r->got + r->got_n, sizeof r->got - r->got_n, 0);
    if (n > 0)
        r->got_n += (size_t)n;
}

static bool got_answer(struct rig *r)
{
    take_what_is_there(r);
    return r->tcp ? r->got_n >= 2 && r->got_n >= 2u + load_be16(r->got) : r->got_n > 0;
}

static bool is_closed(struct rig *r)
{
    uint8_t byte;
    ssize_t n = recv(r->client, &byte, 1, MSG_PEEK);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool has_ended(struct rig *r)
{
    take_what_is_there(r);
    return is_closed(r);
}

/* The whole answer; *len without the length of TCP. */
static const uint8_t *answered(struct rig *r, size_t *len)
{
    size_t skip = r->tcp ? 2 : 0;

    if (!run(r, got_answer))
        fail_msg("no answer");
    *len = r->tcp ? load_be16(r->got) : r->got_n;
    r->got_n = 0;
    return r->got + skip;
}

static void expect_rcode(struct rig *r, unsigned rcode, size_t expected_len)
{
    size_t len;
    const uint8_t *m = answered(r, &len);

    assert_int_equal(load_be16(m), 0x1234);
    assert_true(m[2] & 0x80);
    assert_int_equal(m[3] & 0xf, rcode);
    assert_int_equal(len, expected_len);
}

/* ---- tests ---- */

static void passes_on(void **state)
{
    static const struct {
        const char *local;
        bool tcp;
        unsigned type;
    } cases[] = {
        {"127.0.0.9:0", false, TYPE_SRV}, {"127.0.0.9:0", false, TYPE_TXT},
        {"127.0.0.9:0", true, TYPE_SRV},  {"127.0.0.9:0", true, TYPE_TXT},
        {"[::1]:0", false, TYPE_SRV},     {"[::1]:0", true, TYPE_TXT},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        client(r, cases[i].local, cases[i].tcp);
        expect_rcode(r, 0, say(r, "_sip", cases[i].type));
    }
    assert_int_equal(r->resolvers[0].udp_n, 3);
    assert_int_equal(r->resolvers[0].tcp_n, 3);
    assert_int_equal(r->resolvers[1].udp_n + r->resolvers[1].tcp_n, 0);
    assert_int_equal(counts(r).passed_on, 6);
}

static void refuses_the_rest(void **state)
{
    static const unsigned types[] = {TYPE_A, 2, 5, 12, 28, 251, 252, 255, 65};
    struct rig *r = *state;
    uint8_t q[64];

    for (unsigned tcp = 0; tcp < 2; tcp++) {
        client(r, "127.0.0.9:0", tcp);
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
            expect_rcode(r, RCODE_REFUSED, say(r, "db", types[i]));
        size_t len = query(q, "db", TYPE_TXT);
        q[len - 1] = 3; /* class CH */
        say_bytes(r, q, len);
        expect_rcode(r, RCODE_REFUSED, len);
        q[len - 1] = 1;
        q[2] = 5 << 3; /* UPDATE */
        say_bytes(r, q, len);
        expect_rcode(r, RCODE_NOTIMP, len);
    }
    assert_int_equal(counts(r).refused, 2 * (ARRAY_LEN(types) + 2));
    assert_int_equal(counts(r).passed_on, 0);
    assert_int_equal(r->resolvers[0].udp_n + r->resolvers[0].tcp_n, 0);
}

static void long_answers(void **state)
{
    struct rig *r = *state;
    size_t len, asked;

    client(r, "127.0.0.9:0", false);
    asked = say(r, "big", TYPE_TXT);
    const uint8_t *m = answered(r, &len);
    assert_int_equal(len, asked);
    assert_true(m[2] & FLAG_TC);
    assert_int_equal(load_be16(m + 6) | load_be16(m + 8) | load_be16(m + 10), 0);
    assert_int_equal(counts(r).truncated, 1);
    client(r, "127.0.0.9:0", true);
    say(r, "big", TYPE_TXT);
    m = answered(r, &len);
    assert_int_equal(len, 40000);
    assert_false(m[2] & FLAG_TC);
    assert_int_equal(m[39999], 0xee);
}

static bool seen_malformed(struct rig *r)
{
    return counts(r).malformed >= 4;
}

static void what_is_no_query(void **state)
{
    struct rig *r = *state;
    uint8_t q[GATEWAY_DNS_UDP_QUERY_MAX + 1] = {0};
    size_t len = query(q, "_sip", TYPE_SRV);

    client(r, "127.0.0.9:0", false);
    say_bytes(r, q, 5);
    say_bytes(r, q, len - 1);
    say_bytes(r, q, sizeof q); /* too long */
    q[2] |= 0x80;              /* an answer */
    say_bytes(r, q, len);
    assert_true(run(r, seen_malformed));
    q[2] &= 0x7f;
    say_bytes(r, q, len);
    expect_rcode(r, 0, len); /* and no other answer */
    client(r, "127.0.0.9:0", true);
    q[2] |= 0x80;
    say_bytes(r, q, len);
    assert_true(run(r, is_closed));
    client(r, "127.0.0.9:0", true);
    assert_true(run(r, has_room));
    assert_int_equal(send(r->client, "\0\0", 2, 0), 2);
    assert_true(run(r, is_closed));
    assert_int_equal(counts(r).malformed, 6);
}

static void one_resolver_is_gone(void **state)
{
    struct rig *r = *state;

    resolver_close(r, 0); /* refuses connections */
    client(r, "127.0.0.9:0", true);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
    assert_int_equal(r->resolvers[1].tcp_n, 2);
    client(r, "127.0.0.9:0", false);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV)); /* which is known by now */
    assert_int_equal(r->resolvers[1].udp_n, 1);
    resolver_close(r, 1);
    expect_rcode(r, RCODE_SERVFAIL, say(r, "_sip", TYPE_SRV));
    gateway_dns_set_resolvers(r->dns, NULL, 0);
    expect_rcode(r, RCODE_SERVFAIL, say(r, "_sip", TYPE_SRV));
    client(r, "127.0.0.9:0", true);
    expect_rcode(r, RCODE_SERVFAIL, say(r, "_sip", TYPE_SRV));
    assert_int_equal(counts(r).failed, 3);
}

static void one_resolver_is_silent(void **state)
{
    struct rig *r = *state;

    r->resolvers[0].dead = true;
    client(r, "127.0.0.9:0", false);
    expect_rcode(r, RCODE_SERVFAIL, say(r, "_sip", TYPE_SRV)); /* after 5 s */
    unsigned asked = r->resolvers[0].udp_n;
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
    assert_int_equal(r->resolvers[0].udp_n, asked); /* comes last */
    assert_int_equal(r->resolvers[1].udp_n, 1);
    /* a list with the same ones does not change that, another order neither */
    gateway_dns_set_resolvers(r->dns, r->resolver_addrs, 2);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
    assert_int_equal(r->resolvers[1].udp_n, 2);
}

static bool seen_over_limit(struct rig *r)
{
    return counts(r).over_limit >= 3 && counts(r).passed_on >= GATEWAY_DNS_CLIENT_QUERIES_MAX;
}

static void one_client_has_its_limit(void **state)
{
    struct rig *r = *state;

    client(r, "127.0.0.9:0", false);
    for (unsigned i = 0; i < GATEWAY_DNS_CLIENT_QUERIES_MAX + 3; i++)
        say(r, "silent", TYPE_SRV);
    assert_true(run(r, seen_over_limit));
    assert_int_equal(counts(r).passed_on, GATEWAY_DNS_CLIENT_QUERIES_MAX);
    client(r, "127.0.0.10:0", false);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
}

static bool four_asked(struct rig *r)
{
    return r->resolvers[0].tcp_n >= GATEWAY_DNS_STREAM_QUERIES_MAX;
}

static void connections_have_their_limits(void **state)
{
    struct rig *r = *state;
    int fds[GATEWAY_DNS_CLIENT_STREAMS_MAX];

    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        client(r, "127.0.0.9:0", true);
        expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
        fds[i] = r->client;
        r->client = -1;
    }
    client(r, "127.0.0.9:0", true);
    assert_true(run(r, is_closed));
    assert_int_equal(counts(r).over_limit, 1);
    client(r, "127.0.0.10:0", true);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    r->resolvers[0].tcp_n = 0;
    /* A connection that asks on and on, and goes with all of its queries. */
    for (unsigned i = 0; i < 3 * GATEWAY_DNS_STREAM_QUERIES_MAX; i++)
        say(r, "_sip", TYPE_SRV);
    assert_true(run(r, four_asked));
    client(r, "127.0.0.9:0", true);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
}

/* Bytes come one by one, and two queries at once; the client says that it is done before it is answered. */
static void streams_in_pieces(void **state)
{
    struct rig *r = *state;
    uint8_t two[128];
    size_t len = query(two + 2, "_sip", TYPE_SRV);

    store_be16(two, (uint16_t)len);
    memcpy(two + 2 + len, two, 2 + len);
    client(r, "127.0.0.9:0", true);
    assert_true(run(r, has_room));
    for (size_t i = 0; i < 2 * (2 + len); i++) {
        assert_int_equal(send(r->client, two + i, 1, 0), 1);
        run(r, has_room);
    }
    shutdown(r->client, SHUT_WR);
    assert_true(run(r, has_ended));
    assert_int_equal(r->got_n, 2 * (2 + len));
    assert_true(r->got[4] & 0x80 && r->got[2 + len + 4] & 0x80);
}

static bool passed_on(struct rig *r)
{
    return counts(r).passed_on > 0;
}

static void other_addresses(void **state)
{
    struct rig *r = *state;
    struct ip_addr v4 = at("127.0.0.2:1").ip, v6 = at("[::1]:1").ip;
    char why[256];
    int taken = open_socket("127.0.0.3:53535", SOCK_DGRAM);

    client(r, "127.0.0.9:0", true);
    say(r, "silent", TYPE_SRV);
    assert_true(run(r, passed_on)); /* its query goes with it */
    assert_int_equal(gateway_dns_serve(r->dns, &v4, &v6, PORT, why, sizeof why), ERR_OK);
    assert_true(run(r, is_closed));
    v4 = at("127.0.0.3:1").ip;
    assert_int_equal(gateway_dns_serve(r->dns, &v4, &v6, PORT, why, sizeof why), ERR_IN_USE);
    assert_string_equal(
        why, "the DNS service cannot use 127.0.0.3:53535 by UDP: Address already in use");
    close(taken);
    serve(r);
    client(r, "127.0.0.9:0", false);
    expect_rcode(r, 0, say(r, "_sip", TYPE_SRV));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(passes_on),
        TEST(refuses_the_rest),
        TEST(long_answers),
        TEST(what_is_no_query),
        TEST(one_resolver_is_gone),
        TEST(one_resolver_is_silent),
        TEST(one_client_has_its_limit),
        TEST(connections_have_their_limits),
        TEST(streams_in_pieces),
        TEST(other_addresses),
    };

    netns_enter_or_skip();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
