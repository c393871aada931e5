/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's NAT against a model that looks through lists: random flows of several clients through several names, answers, ends,
 * time, renumbering; and its bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/nat.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"

enum {
    PEERS = 3,
    PROXIES = 4,
    REALS = 2,
    FLOWS_MAX = 4096
};

static uint64_t rng_state = 3;

/* xorshift64: below n. */
static uint32_t below(uint32_t n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32) % n;
}

/* ---- the model ---- */

struct flow {
    bool used;
    unsigned peer, proxy, real, proto;
    uint16_t inside, outside;
    time_ns last, last_out;
    bool answered, fin_out, fin_in, reset;
};

static struct model {
    struct nat nat;
    struct nat_peer peers[PEERS];
    int real
        [PEERS]
        [PROXIES]; /* of each translation; -1: none of this family, -2: there is no translation */
    uint64_t domain[PEERS][PROXIES];
    struct flow flows[FLOWS_MAX];
    time_ns now;
} m;

static struct ip_addr proxy_of(unsigned i)
{
    return ip_addr_v4((const uint8_t[]){100, 96, 0, (uint8_t)(1 + i)});
}

static struct ip_addr real_of(unsigned i)
{
    return ip_addr_v4((const uint8_t[]){10, 0, 0, (uint8_t)(1 + i)});
}

static bool alive(const struct flow *f)
{
    time_ns ttl = f->proto == NAT_TCP ? 7440 : 120;

    if (!f->used || m.now >= f->last + ttl * NS_PER_SEC)
        return false;
    if (!f->answered && m.now >= f->last_out + 60 * NS_PER_SEC)
        return false;
    if (f->fin_out && f->fin_in && m.now >= f->last + 5 * NS_PER_SEC)
        return false;
    return !f->reset || m.now < f->last + NS_PER_SEC;
}

static struct flow *flow_inside(unsigned peer, unsigned proto, uint16_t port, unsigned proxy)
{
    for (unsigned i = 0; i < FLOWS_MAX; i++) {
        struct flow *f = &m.flows[i];
        if (alive(f) && f->peer == peer && f->proto == proto && f->inside == port &&
            f->proxy == proxy)
            return f;
    }
    return NULL;
}

static struct flow *flow_outside(unsigned peer, unsigned proto, uint16_t port, unsigned real)
{
    for (unsigned i = 0; i < FLOWS_MAX; i++) {
        struct flow *f = &m.flows[i];
        if (alive(f) && f->peer == peer && f->proto == proto && f->outside == port &&
            f->real == real)
            return f;
    }
    return NULL;
}

static void forget_peer(unsigned peer)
{
    for (unsigned i = 0; i < FLOWS_MAX; i++)
        m.flows[i].used = m.flows[i].used && m.flows[i].peer != peer;
    for (unsigned i = 0; i < PROXIES; i++)
        m.real[peer][i] = -2;
}

static struct flow *flow_new(unsigned peer, unsigned proto, uint16_t port, unsigned proxy)
{
    struct flow *f = NULL;

    for (unsigned i = 0; i < FLOWS_MAX && !f; i++) {
        if (!alive(&m.flows[i]))
            f = &m.flows[i];
    }
    assert_non_null(f);
    *f = (struct flow){.peer = peer,
                       .proxy = proxy,
                       .real = (unsigned)m.real[peer][proxy],
                       .proto = proto,
                       .inside = port,
                       .outside = port,
                       .last_out = m.now,
                       .last = m.now};
    while (flow_outside(peer, proto, f->outside, f->real))
        f->outside = f->outside == 65535 ? 1 : f->outside + 1;
    f->used = true;
    return f;
}

/* ---- steps ---- */

static void step_translate(void)
{
    unsigned peer = below(PEERS), first = below(PROXIES), n = 1 + below(2);
    struct engine_translation t = {.grant = (uint16_t)below(3), .domain = 1 + first / 2};

    if (below(60) == 0)
        t.domain += 10; /* renumbered */
    for (unsigned i = 0; i < n && first + i < PROXIES; i++) {
        int real = (int)below(REALS + 1) - 1;
        t.pairs[t.n].proxy = proxy_of(first + i);
        if (real >= 0)
            t.pairs[t.n].real = real_of((unsigned)real);
        t.n++;
    }
    bool other = false;
    for (unsigned i = 0; i < t.n; i++)
        other |= m.real[peer][first + i] != -2 && m.domain[peer][first + i] != t.domain;
    if (other)
        forget_peer(peer);
    assert_int_equal(nat_translate(&m.nat, &m.peers[peer], peer, &t), NAT_OK);
    for (unsigned i = 0; i < t.n; i++) {
        m.domain[peer][first + i] = t.domain;
        m.real[peer][first + i] =
            t.pairs[i].real.family == ADDR_NONE ? -1 : t.pairs[i].real.bytes[3] - 1;
    }
}

static uint8_t random_flags(void)
{
    unsigned r = below(12);
    return r == 0 ? TCP_F_RST : r < 3 ? TCP_F_FIN : TCP_F_ACK;
}

static void step_out(void)
{
    unsigned peer = below(PEERS), proxy = below(PROXIES), proto = below(3);
    uint16_t port = (uint16_t)(below(2) ? 65533 + below(3) : 1 + below(4));
    struct ip_addr ip = proxy_of(proxy);
    const struct nat_translation *t = nat_find(&m.nat, peer, 4, ip.bytes);
    struct nat_session *s;
    uint8_t flags = proto == NAT_TCP ? random_flags() : 0;

    assert_int_equal(t != NULL, m.real[peer][proxy] != -2);
    if (!t)
        return;
    assert_int_equal(t->has_real, m.real[peer][proxy] >= 0);
    if (!t->has_real)
        return;
    struct flow *f = flow_inside(peer, proto, port, proxy);
    bool new = !f;
    if (new)
        f = flow_new(peer, proto, port, proxy);
    assert_int_equal(nat_out(&m.nat, &m.peers[peer], t, (enum nat_proto)proto, port, m.now, &s),
                     NAT_OK);
    assert_int_equal(nat_outside_port(s), f->outside);
    struct ip_addr real = real_of(f->real);
    assert_memory_equal(s->real, real.bytes, 16);
    nat_seen_out(s, new ? 0 : flags, m.now);
    f->last = f->last_out = m.now;
    f->fin_out |= !new && (flags & TCP_F_FIN);
    f->reset |= !new && (flags & TCP_F_RST);
}

static void step_in(void)
{
    unsigned peer = below(PEERS), real = below(REALS), proto = below(3);
    uint16_t port = (uint16_t)(below(2) ? 65533 + below(3) : 1 + below(6));
    struct flow *f = flow_outside(peer, proto, port, real);
    uint8_t flags = proto == NAT_TCP ? random_flags() : 0;
    struct ip_addr ip = real_of(real);
    bool expired;
    struct nat_session *s =
        nat_in(&m.nat, peer, (enum nat_proto)proto, port, 4, ip.bytes, m.now, &expired);

    assert_int_equal(s != NULL, f != NULL);
    if (!s)
        return;
    struct ip_addr proxy = proxy_of(f->proxy);
    assert_false(expired);
    assert_int_equal(nat_inside_port(s), f->inside);
    assert_memory_equal(s->proxy, proxy.bytes, 16);
    nat_seen_in(s, flags, m.now);
    f->last = m.now;
    f->answered = true;
    f->fin_in |= (flags & TCP_F_FIN) != 0;
    f->reset |= (flags & TCP_F_RST) != 0;
}

static void against_model(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    m.now = 1000 * NS_PER_SEC;
    assert_int_equal(nat_init(&m.nat, 99), ERR_OK);
    for (unsigned peer = 0; peer < PEERS; peer++)
        forget_peer(peer);
    for (unsigned step = 0; step < 60000; step++) {
        unsigned what = below(100);
        m.now += below(4) == 0 ? below(2000) * NS_PER_MS : 0;
        m.now += below(3000) == 0 ? 8000 * NS_PER_SEC : 0;
        if (what < 5) {
            step_translate();
        } else if (what < 60) {
            step_out();
        } else if (what < 99) {
            step_in();
        } else if (below(20) == 0) {
            unsigned peer = below(PEERS);
            nat_clear(&m.nat, &m.peers[peer]);
            forget_peer(peer);
            assert_int_equal(m.peers[peer].sessions_n, 0);
            assert_int_equal(m.peers[peer].translations_n, 0);
        }
    }
    nat_fini(&m.nat);
}

/* ---- bounds ---- */

static const struct nat_translation *one_name(struct nat_peer *p, uint32_t slot, unsigned proxy)
{
    struct engine_translation t = {.domain = 1, .n = 1};
    struct ip_addr ip = proxy_of(proxy);

    t.pairs[0].proxy = ip;
    t.pairs[0].real = real_of(0);
    assert_int_equal(nat_translate(&m.nat, p, slot, &t), NAT_OK);
    return nat_find(&m.nat, slot, 4, ip.bytes);
}

static void shares(void **state)
{
    enum {
        CLIENTS = NAT_SHARE + 1
    };
    static struct nat_peer peers[CLIENTS];
    unsigned full = 0, share = 0, n = 0;
    struct nat_session *s;

    (void)state;
    memset(peers, 0, sizeof peers);
    assert_int_equal(nat_init(&m.nat, 7), ERR_OK);
    for (unsigned peer = 0; peer < CLIENTS; peer++) {
        const struct nat_translation *t[PROXIES];
        for (unsigned i = 0; i < PROXIES; i++)
            t[i] = one_name(&peers[peer], peer, i);
        for (uint32_t i = 0; i < 66000; i++) {
            enum nat_result r = nat_out(&m.nat, &peers[peer], t[0], i < 65535 ? NAT_TCP : NAT_UDP,
                                        (uint16_t)(1 + i % 65535), NS_PER_SEC, &s);
            n += r == NAT_OK;
            full += r == NAT_FULL;
            share += r == NAT_SHARE_FULL;
        }
    }
    assert_int_equal(n, NAT_SESSIONS_MAX);
    assert_int_equal(share, NAT_SHARE * (66000 - NAT_SESSIONS_MAX / NAT_SHARE));
    assert_int_equal(full, 66000);
    /* What has expired makes room again, a little with each. */
    const struct nat_translation *t = one_name(&peers[0], 0, 0);
    assert_int_equal(nat_out(&m.nat, &peers[NAT_SHARE], one_name(&peers[NAT_SHARE], NAT_SHARE, 0),
                             NAT_UDP, 7, 100 * NS_PER_SEC, &s),
                     NAT_OK);
    nat_clear(&m.nat, &peers[0]);
    assert_null(nat_find(&m.nat, 0, 4, t->proxy));
    assert_int_equal(peers[0].sessions_n, 0);
    nat_fini(&m.nat);
}

/* Another flow has the port: the next is taken; a search ends. */
static void ports(void **state)
{
    static struct nat_peer p;
    struct nat_session *s;

    (void)state;
    memset(&p, 0, sizeof p);
    assert_int_equal(nat_init(&m.nat, 7), ERR_OK);
    (void)one_name(&p, 0, 0);
    const struct nat_translation *a = one_name(&p, 0, 0), *b = one_name(&p, 0, 1);
    for (unsigned i = 0; i < NAT_PORT_TRIES; i++)
        assert_int_equal(nat_out(&m.nat, &p, a, NAT_UDP, (uint16_t)(65000 + i), 1, &s), NAT_OK);
    assert_int_equal(nat_out(&m.nat, &p, b, NAT_UDP, 65001, 1, &s), NAT_OK);
    assert_int_equal(nat_outside_port(s), 65000 + NAT_PORT_TRIES);
    assert_int_equal(nat_inside_port(s), 65001);
    assert_int_equal(nat_out(&m.nat, &p, b, NAT_UDP, 65000, 1, &s), NAT_NO_PORT);
    assert_int_equal(nat_out(&m.nat, &p, b, NAT_TCP, 65000, 1, &s), NAT_OK);
    nat_fini(&m.nat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_model),
        cmocka_unit_test(shares),
        cmocka_unit_test(ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
