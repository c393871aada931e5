/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NAT's tables: random use of small ones against a model that searches lists, and what time, full tables and a client that is
 * forgotten do.
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
#include "engine/wire/ranges.h"
#include "tests/support/random.h"

enum {
    ENTRIES = 64,
    SHARE = ENTRIES / NAT_SHARE,
    SLOTS = 6,
    PROXIES = 3, /* of each family */
    REALS = 3,
    STEPS = 200000
};

static struct nat nat;
static void *memory;
static time_ns now;

/* Tables in *block, to be freed. */
static void make_nat(struct nat *n, void **block, uint32_t entries, uint32_t clients)
{
    uint8_t *bytes = calloc(1, nat_size(entries, clients) + CACHE_LINE);

    assert_non_null(bytes);
    *block = bytes;
    nat_init(n, bytes + -(uintptr_t)bytes % CACHE_LINE, entries, clients, 7);
}

static int setup(void **state)
{
    (void)state;
    make_nat(&nat, &memory, ENTRIES, SLOTS);
    now = 1000 * NS_PER_SEC;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static uint64_t rng_state = 5;

static uint32_t below(uint32_t n)
{
    return random_below(&rng_state, n);
}

static struct ip_addr proxy_at(unsigned version, unsigned i)
{
    return version == 4 ? proxy_addr_v4(0, i) : proxy_addr_v6(0, i);
}

static struct ip_addr real_at(unsigned version, unsigned i)
{
    uint8_t bytes[16] = {10, 1, 0, (uint8_t)i};
    return version == 4 ? ip_addr_v4(bytes) : ip_addr_v6(bytes); /* equal but for the family */
}

static const struct ip_addr none;

/* Odd grants are over. */
static bool is_over(const void *arg, uint16_t grant)
{
    return arg != NULL && grant % 2 == 1;
}

static enum nat_result set(uint32_t slot, const struct ip_addr *proxy, const struct ip_addr *real,
                           uint64_t domain, uint16_t grant)
{
    return nat_name_set(&nat, slot, proxy, real, domain, grant, is_over, NULL);
}

/* ---- the model ---- */

struct model_flow {
    bool used, answered, fin_out, fin_in, rst;
    unsigned slot, version, proxy, proto;
    uint16_t port, outer;
    struct ip_addr real;
    time_ns last;
};

static struct model_name {
    bool used;
    struct ip_addr real;
    uint64_t domain;
} names[SLOTS][2][PROXIES];
static struct model_flow flows[ENTRIES];

static bool lives(const struct model_flow *f)
{
    uint64_t ttl = f->proto == IP_PROTO_TCP ? 7440 : 120;

    if (!f->used || f->rst)
        return false;
    if (!f->answered && ttl > 60)
        ttl = 60;
    if (f->fin_out && f->fin_in && ttl > 5)
        ttl = 5;
    return now < f->last + ttl * NS_PER_SEC;
}

static struct model_flow *outside(unsigned slot, unsigned proto, uint16_t outer,
                                  const struct ip_addr *real)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct model_flow *f = &flows[i];
        if (lives(f) && f->slot == slot && f->proto == proto && f->outer == outer &&
            ip_addr_equal(&f->real, real))
            return f;
    }
    return NULL;
}

static unsigned count_living(unsigned slot)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        n += lives(&flows[i]) && (slot == SLOTS || flows[i].slot == slot);
    return n;
}

static struct model_flow *inside(unsigned slot, unsigned version, unsigned proxy, unsigned proto,
                                 uint16_t port)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct model_flow *f = &flows[i];
        if (lives(f) && f->slot == slot && f->version == version && f->proxy == proxy &&
            f->proto == proto && f->port == port)
            return f;
    }
    return NULL;
}

static void model_outbound(struct model_flow *want, uint8_t flags)
{
    struct model_name *name = &names[want->slot][want->version == 6][want->proxy];
    struct model_flow *f = inside(want->slot, want->version, want->proxy, want->proto, want->port);

    want->used = false;
    if (!name->used || name->real.family == ADDR_NONE)
        return;
    if (f) {
        f->last = now;
        f->fin_out |= (flags & TCP_F_FIN) != 0;
        f->rst |= (flags & TCP_F_RST) != 0;
        *want = *f;
        want->used = true;
        return;
    }
    if (count_living(want->slot) == SHARE || count_living(SLOTS) == ENTRIES)
        return;
    want->real = name->real;
    want->last = now;
    want->outer = want->port;
    while (outside(want->slot, want->proto, want->outer, &want->real))
        want->outer = want->outer == UINT16_MAX ? 1 : (uint16_t)(want->outer + 1);
    want->used = true;
    for (f = flows; lives(f); f++)
        ;
    *f = *want;
}

/* ---- one step of each kind ---- */

static uint8_t random_proto(unsigned version)
{
    static const uint8_t protos[2][3] = {{IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_ICMP},
                                         {IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_ICMPV6}};
    return protos[version == 6][below(3)];
}

static uint8_t random_flags(uint8_t proto)
{
    static const uint8_t flags[] = {0, 0, 0, 0, 0, TCP_F_FIN, TCP_F_FIN, TCP_F_RST};
    return proto == IP_PROTO_TCP ? flags[below(ARRAY_LEN(flags))] : 0;
}

static uint16_t random_port(void)
{
    static const uint16_t first[] = {0, 1, 1000, 65533};
    return (uint16_t)(first[below(4)] + below(3));
}

static void step_name(void)
{
    unsigned slot = below(SLOTS), version = below(2) ? 6 : 4, i = below(PROXIES);
    struct ip_addr proxy = proxy_at(version, i);
    struct ip_addr real = below(6) == 0 ? none : real_at(version, below(REALS));
    struct model_name *m = &names[slot][version == 6][i];

    assert_int_equal(set(slot, &proxy, &real, below(5), 1), NAT_OK);
    const struct nat_name *x = nat_name_find(&nat, slot, version, proxy.bytes);
    assert_non_null(x);
    *m = (struct model_name){true, real, x->domain};
}

static void step_outbound(void)
{
    struct model_flow want = {.slot = below(SLOTS), .version = below(2) ? 6 : 4};
    struct nat_flow *f = NULL;

    want.proxy = below(PROXIES);
    want.proto = random_proto(want.version);
    want.port = random_port();
    uint8_t flags = random_flags((uint8_t)want.proto);
    struct ip_addr proxy = proxy_at(want.version, want.proxy);
    struct nat_name *name = nat_name_find(&nat, want.slot, want.version, proxy.bytes);
    assert_int_equal(name != NULL, names[want.slot][want.version == 6][want.proxy].used);
    bool full = count_living(SLOTS) == ENTRIES, share = count_living(want.slot) == SHARE;
    model_outbound(&want, flags);
    if (!name)
        return;
    uint8_t bytes[16];
    nat_name_proxy(name, bytes);
    assert_memory_equal(bytes, proxy.bytes, ip_addr_len(&proxy));
    enum nat_result r =
        nat_outbound(&nat, want.slot, name, (uint8_t)want.proto, want.port, flags, now, &f);
    if (!want.used) {
        assert_int_equal(r, !name->has_real ? NAT_NO_ADDRESS : share ? NAT_SHARE_FULL : NAT_FULL);
        assert_true(r == NAT_NO_ADDRESS || share || full);
        return;
    }
    assert_int_equal(r, NAT_OK);
    assert_int_equal(f->outer_port, want.outer);
    assert_memory_equal(f->real, want.real.bytes, 16);
    assert_int_equal(f->port, want.port);
    assert_ptr_equal(nat_flow_name(&nat, f), name);
}

static void step_inbound(void)
{
    unsigned slot = below(SLOTS), version = below(2) ? 6 : 4;
    uint8_t proto = random_proto(version), flags = random_flags(proto);
    uint16_t port = random_port();
    struct ip_addr real = real_at(version, below(REALS));
    struct model_flow *want = outside(slot, proto, port, &real);
    struct nat_flow *f = nat_outside(&nat, slot, version, proto, port, real.bytes);

    if (!want) {
        assert_true(!f || nat_has_ended(f, now));
        return;
    }
    assert_non_null(f);
    assert_false(nat_has_ended(f, now));
    assert_int_equal(f->port, want->port);
    struct ip_addr proxy = proxy_at(version, want->proxy);
    assert_ptr_equal(nat_flow_name(&nat, f), nat_name_find(&nat, slot, version, proxy.bytes));
    nat_inbound(f, flags, now);
    want->last = now;
    want->answered = true;
    want->fin_in |= (flags & TCP_F_FIN) != 0;
    want->rst |= (flags & TCP_F_RST) != 0;
}

static void step_forget(void)
{
    unsigned slot = below(SLOTS);

    nat_forget(&nat, slot);
    memset(names[slot], 0, sizeof names[slot]);
    for (unsigned i = 0; i < ENTRIES; i++)
        flows[i].used &= flows[i].slot != slot;
}

static void test_model(void **state)
{
    static const uint64_t seconds[] = {0, 0, 0, 0, 1, 4, 30, 59, 119, 2000};

    (void)state;
    memset(names, 0, sizeof names);
    memset(flows, 0, sizeof flows);
    for (unsigned i = 0; i < STEPS; i++) {
        if (below(8) == 0)
            now += seconds[below(ARRAY_LEN(seconds))] * NS_PER_SEC + below(2) * NS_PER_SEC;
        switch (below(16)) {
        case 0:
            step_name();
            break;
        case 1:
            if (below(20) == 0)
                step_forget();
            break;
        case 2:
        case 3:
        case 4:
            step_inbound();
            break;
        default:
            step_outbound();
        }
    }
}

/* ---- by hand ---- */

static struct nat_name *name_of(uint32_t slot, unsigned i)
{
    struct ip_addr proxy = proxy_at(4, i), real = real_at(4, i % REALS);
    assert_int_equal(set(slot, &proxy, &real, 1, 1), NAT_OK);
    return nat_name_find(&nat, slot, 4, proxy.bytes);
}

static struct nat_flow *begin(uint32_t slot, const struct nat_name *name, uint8_t proto,
                              uint16_t port)
{
    struct nat_flow *f;
    assert_int_equal(nat_outbound(&nat, slot, name, proto, port, 0, now, &f), NAT_OK);
    return f;
}

/* When flows end, to the nanosecond. */
static void test_ends(void **state)
{
    static const struct {
        uint8_t proto, out, in;
        bool answered;
        uint64_t seconds;
    } rows[] = {
        {IP_PROTO_TCP, 0, 0, false, 60},          {IP_PROTO_UDP, 0, 0, false, 60},
        {IP_PROTO_TCP, 0, 0, true, 7440},         {IP_PROTO_UDP, 0, 0, true, 120},
        {IP_PROTO_ICMP, 0, 0, true, 120},         {IP_PROTO_TCP, TCP_F_FIN, 0, true, 7440},
        {IP_PROTO_TCP, 0, TCP_F_FIN, true, 7440}, {IP_PROTO_TCP, TCP_F_FIN, TCP_F_FIN, true, 5},
        {IP_PROTO_TCP, TCP_F_RST, 0, true, 0},    {IP_PROTO_TCP, 0, TCP_F_RST, true, 0},
        {IP_PROTO_TCP, TCP_F_RST, 0, false, 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct nat_name *name = name_of(0, 0);
        uint16_t port = (uint16_t)(100 + i);
        struct nat_flow *f = begin(0, name, rows[i].proto, port), *same;
        now += NS_PER_SEC / 2;
        assert_int_equal(nat_outbound(&nat, 0, name, rows[i].proto, port, rows[i].out, now, &same),
                         NAT_OK);
        assert_ptr_equal(same, f);
        now += rows[i].answered ? NS_PER_SEC / 2 : 0;
        if (rows[i].answered)
            nat_inbound(f, rows[i].in, now);
        time_ns end = now + rows[i].seconds * NS_PER_SEC;
        assert_false(end > now && nat_has_ended(f, end - 1));
        assert_true(nat_has_ended(f, end));
    }
}

/* A flow that begins with FIN or RST is not over by that. */
static void test_flags_of_first(void **state)
{
    struct nat_flow *f;

    (void)state;
    assert_int_equal(
        nat_outbound(&nat, 0, name_of(0, 0), IP_PROTO_TCP, 5, TCP_F_FIN | TCP_F_RST, now, &f),
        NAT_OK);
    assert_int_equal(f->flags, 0);
}

/* What has ended is found from outside for a while, also when another flow has its place inside. */
static void test_ended_is_known(void **state)
{
    (void)state;
    struct nat_name *name = name_of(0, 0);
    struct ip_addr old = real_at(4, 0), next = real_at(4, 1), proxy = proxy_at(4, 0);

    begin(0, name, IP_PROTO_UDP, 7);
    assert_int_equal(set(0, &proxy, &next, 1, 1), NAT_OK);
    assert_memory_equal(begin(0, name, IP_PROTO_UDP, 7)->real, old.bytes, 4); /* it stays there */
    now += 100 * NS_PER_SEC;
    assert_memory_equal(begin(0, name, IP_PROTO_UDP, 7)->real, next.bytes, 4);
    struct nat_flow *f = nat_outside(&nat, 0, 4, IP_PROTO_UDP, 7, old.bytes);
    assert_non_null(f);
    assert_true(nat_has_ended(f, now));
    now += NAT_KEPT_S * NS_PER_SEC;
    for (unsigned i = 0; i < 10; i++)
        begin(0, name, IP_PROTO_UDP, (uint16_t)(100 + i));
    assert_null(nat_outside(&nat, 0, 4, IP_PROTO_UDP, 7, old.bytes));
    assert_null(nat_outside(&nat, 1, 4, IP_PROTO_UDP, 100, next.bytes)); /* another client */
}

/* Nothing of a client that was forgotten is its own any more, or another's that has its place. */
static void test_forgotten(void **state)
{
    (void)state;
    struct ip_addr proxy = proxy_at(4, 0), real = real_at(4, 0);

    begin(0, name_of(0, 0), IP_PROTO_UDP, 1);
    begin(0, name_of(0, 0), IP_PROTO_UDP, 7);
    nat_forget(&nat, 0);
    assert_null(nat_name_find(&nat, 0, 4, proxy.bytes));
    assert_null(nat_outside(&nat, 0, 4, IP_PROTO_UDP, 7, real.bytes));
    for (uint32_t slot = 1; slot < 3; slot++) {
        struct nat_flow *f = begin(slot, name_of(slot, 1), IP_PROTO_UDP, 7);
        assert_int_equal(f->client, slot);
        assert_memory_equal(f->real, real_at(4, 1).bytes, 4);
    }
}

/* Clients have their share, and the table its size, again and again after they were forgotten. */
static void test_room(void **state)
{
    struct nat_flow *f;

    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned slot = 0; slot < 4; slot++) {
            const struct nat_name *name = name_of(slot, 0);
            for (unsigned i = 0; i < SHARE; i++)
                begin(slot, name, IP_PROTO_TCP, (uint16_t)i);
            assert_int_equal(nat_outbound(&nat, slot, name, IP_PROTO_TCP, 500, 0, now, &f),
                             NAT_SHARE_FULL);
        }
        const struct nat_name *name = name_of(4, 0);
        assert_int_equal(nat_outbound(&nat, 4, name, IP_PROTO_TCP, 1, 0, now, &f), NAT_FULL);
        nat_forget(&nat, 2);
        begin(4, name, IP_PROTO_TCP, 1);
        now += 30 * NS_PER_SEC;
        begin(4, name, IP_PROTO_TCP, 1);
        now += 30 * NS_PER_SEC; /* all others have ended */
        for (unsigned i = 0; i < SHARE; i++)
            begin(1, name_of(1, 0), IP_PROTO_UDP, (uint16_t)i);
        assert_false(nat_has_ended(begin(4, name, IP_PROTO_TCP, 1), now));
        for (unsigned slot = 0; slot < SLOTS; slot++)
            nat_forget(&nat, slot);
    }
}

static void test_names_room(void **state)
{
    struct ip_addr real = real_at(4, 0);

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned slot = 0; slot < 4; slot++) {
            assert_int_equal(nat_names_room(&nat, slot), SHARE);
            for (unsigned i = 0; i <= SHARE; i++) {
                struct ip_addr proxy = proxy_addr_v4(100 + i, 0);
                assert_int_equal(set(slot, &proxy, &real, 1, 1),
                                 i < SHARE ? NAT_OK : NAT_SHARE_FULL);
            }
            assert_int_equal(nat_names_room(&nat, slot), 0);
        }
        struct ip_addr proxy = proxy_at(6, 0);
        assert_int_equal(set(4, &proxy, &none, 1, 1), NAT_FULL);
        assert_int_equal(nat_names_room(&nat, 4), 0);
        for (unsigned slot = 0; slot < 4; slot++)
            nat_forget(&nat, slot);
    }
}

/* Beside a crowded range of ports one is found; where there is none it takes a bounded time to say so. */
static void test_ports(void **state)
{
    enum {
        MANY = 1 << 18
    };
    struct nat big;
    void *bytes;
    struct ip_addr real = real_at(4, 0);
    unsigned refused = 0;

    (void)state;
    make_nat(&big, &bytes, MANY, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct ip_addr proxy = proxy_at(4, i);
        assert_int_equal(nat_name_set(&big, 0, &proxy, &real, 1, 1, is_over, NULL), NAT_OK);
    }
    for (uint32_t i = 0; i < 30000; i++) { /* both names lead to one address */
        for (unsigned k = 0; k < 2; k++) {
            struct nat_flow *f;
            struct ip_addr proxy = proxy_at(4, k);
            uint16_t port = (uint16_t)(20000 + i);
            enum nat_result r = nat_outbound(&big, 0, nat_name_find(&big, 0, 4, proxy.bytes),
                                             IP_PROTO_UDP, port, 0, now, &f);
            refused += r == NAT_NO_PORT;
            if (r != NAT_OK)
                continue;
            assert_int_equal(nat_outside(&big, 0, 4, IP_PROTO_UDP, f->outer_port, real.bytes)->port,
                             port);
        }
    }
    assert_true(refused < 60);
    free(bytes);
}

static void test_grants(void **state)
{
    struct ip_addr proxy = proxy_at(6, 1), real = real_at(6, 1);
    static const int some;

    (void)state;
    for (uint16_t i = 0; i < NAT_GRANTS_MAX; i++)
        assert_int_equal(set(0, &proxy, &real, 1, i), NAT_OK);
    assert_int_equal(set(0, &proxy, &real, 1, 5), NAT_OK); /* it has it */
    assert_int_equal(set(0, &proxy, &real, 1, 100), NAT_GRANTS_FULL);
    assert_int_equal(nat_name_set(&nat, 0, &proxy, &real, 1, 100, is_over, &some), NAT_OK);
    const struct nat_name *x = nat_name_find(&nat, 0, 6, proxy.bytes);
    assert_int_equal(x->grants_n, NAT_GRANTS_MAX / 2 + 1);
    assert_int_equal(x->grants[x->grants_n - 1], 100);
}

/* Addresses that stand for nothing, and that nothing may stand for. */
static void test_addresses(void **state)
{
    static const struct {
        const char *proxy, *real;
        enum nat_result result;
        bool has_real;
    } rows[] = {
        {"100.96.0.1", "10.0.0.1", NAT_OK, true},
        {"100.127.255.255", "127.0.0.1", NAT_OK, true},
        {"100.96.0.2", "100.64.0.1", NAT_OK, false},
        {"100.96.0.3", "100.97.0.1", NAT_OK, false},
        {"100.96.0.4", "fd00::1", NAT_OK, false},
        {"100.95.255.255", "10.0.0.1", NAT_NO_PROXY, false},
        {"100.128.0.0", "10.0.0.1", NAT_NO_PROXY, false},
        {"fd00:2021:1111:8000::", "2001:db8::1", NAT_OK, true},
        {"fd00:2021:1111:8000::1f:ffff", "2001:db8::1", NAT_OK, true},
        {"fd00:2021:1111:8000::20:0", "2001:db8::1", NAT_NO_PROXY, false},
        {"fd00:2021:1111::1", "2001:db8::1", NAT_NO_PROXY, false},
        {"fd00:2021:1111:8000::5", "fd00:2021:1111::1", NAT_OK, false},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_addr proxy, real;
        assert_int_equal(ip_addr_parse(&proxy, rows[i].proxy), ERR_OK);
        assert_int_equal(ip_addr_parse(&real, rows[i].real), ERR_OK);
        assert_int_equal(set(0, &proxy, &real, 1, 1), rows[i].result);
        const struct nat_name *x = nat_name_find(&nat, 0, proxy.family, proxy.bytes);
        assert_int_equal(x != NULL, rows[i].result == NAT_OK);
        assert_int_equal(x && x->has_real, rows[i].has_real);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags_of_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
