/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's decisions against a model that chooses among all entries as the specification says (tunnel.md 5.2, 8.3), over random
 * grants, names and packets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/grants_private.h"
#include "engine/wire/ranges.h"
#include "tests/support/random.h"

enum {
    GRANTS = 20,
    RULES = 3,
    WORLDS = 400,
    PACKETS = 300
};

static uint64_t rng_state = 17;

static uint32_t below(uint32_t n)
{
    return random_below(&rng_state, n);
}

static struct ip_addr ip(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

/* ---- worlds ---- */

static struct world {
    struct engine_grant list[GRANTS];
    struct filter_rule rules[GRANTS][RULES];
    size_t n;
    struct nat_name name; /* of the one proxy address that stands for something */
    struct ip_addr proxy;
} world;

static const char *const places[] = {"10.1.2.3",
                                     "10.1.2.200",
                                     "10.1.99.1",
                                     "10.200.0.1",
                                     "8.8.8.8",
                                     "192.168.1.1",
                                     "172.16.5.5",
                                     "172.40.0.1",
                                     "100.96.0.1",
                                     "100.96.0.2",
                                     "127.0.0.1",
                                     "240.0.0.1",
                                     "2001:db8::1",
                                     "2001:db8::2",
                                     "2001:db9::1",
                                     "fd11::1",
                                     "fe80::1",
                                     "::1",
                                     "fd00:2021:1111:8000::1",
                                     "fd00:2021:1111:8000::2"};

static void rules_make(struct engine_grant *x, struct filter_rule *rules)
{
    x->rules = rules;
    x->rules_n = below(RULES + 1);
    for (unsigned i = 0; i < x->rules_n; i++) {
        uint16_t first = (uint16_t)below(12);
        rules[i] = (struct filter_rule){(uint8_t)below(3), first, (uint16_t)(first + below(4))};
    }
}

static void world_make(void)
{
    static const uint8_t lens4[] = {0, 8, 16, 24, 32, 31}, lens6[] = {0, 16, 32, 64, 128, 127};

    memset(&world, 0, sizeof world);
    world.n = below(GRANTS + 1);
    for (unsigned i = 0; i < world.n; i++) {
        struct engine_grant *x = &world.list[i];
        unsigned r = below(20);
        x->index = (uint16_t)(i * 7919 % 64); /* not in order, none twice */
        x->kind = r == 0 ? ENGINE_GRANT_INTERNET : r < 8 ? ENGINE_GRANT_DNS : ENGINE_GRANT_CIDR;
        x->order = below(100) * 64 + i;
        x->prefix.ip = ip(places[below(ARRAY_LEN(places))]);
        x->prefix.len = x->prefix.ip.family == ADDR_V4 ? lens4[below(6)] : lens6[below(6)];
        ip_prefix_mask(&x->prefix);
        rules_make(x, world.rules[i]);
    }
    world.proxy = ip(below(2) ? "100.96.0.1" : "fd00:2021:1111:8000::1");
    world.name.version = world.proxy.family;
    world.name.grants_n = (uint8_t)below(5);
    for (unsigned i = 0; i < world.name.grants_n; i++)
        world.name.grants[i] = (uint16_t)below(64); /* some are over, some no DNS grant's */
}

/* ---- the model ---- */

static bool permits(const struct engine_grant *x, uint8_t kind, uint16_t port)
{
    for (size_t i = 0; i < x->rules_n; i++) {
        const struct filter_rule *r = &x->rules[i];
        bool icmp = kind != PACKET_TCP && kind != PACKET_UDP && kind != PACKET_OTHER;
        if (r->protocol == FILTER_ICMP
                ? icmp
                : kind == (r->protocol == FILTER_TCP ? PACKET_TCP : PACKET_UDP) &&
                      r->first <= port && port <= r->last)
            return true;
    }
    return x->rules_n == 0;
}

static bool leads_there(const struct engine_grant *x, const struct ip_addr *a, unsigned *len)
{
    if (x->kind == ENGINE_GRANT_CIDR) {
        *len = x->prefix.len;
        return ip_prefix_contains(&x->prefix, a);
    }
    *len = ip_addr_bits(a);
    for (unsigned i = 0;
         x->kind == ENGINE_GRANT_DNS && ip_addr_equal(a, &world.proxy) && i < world.name.grants_n;
         i++) {
        if (world.name.grants[i] == x->index)
            return true;
    }
    return false;
}

/* The greatest by: it permits, its prefix is longer, it comes first. */
static const struct engine_grant *choose(const struct ip_addr *a, uint8_t kind, uint16_t port)
{
    const struct engine_grant *best = NULL;
    unsigned best_len = 0;

    for (size_t i = 0; i < world.n; i++) {
        const struct engine_grant *x = &world.list[i];
        unsigned len;
        if (!leads_there(x, a, &len))
            continue;
        bool more = permits(x, kind, port), best_permits = best && permits(best, kind, port);
        if (!best || more > best_permits ||
            (more == best_permits &&
             (len > best_len || (len == best_len && x->order < best->order)))) {
            best = x;
            best_len = len;
        }
    }
    return best;
}

static bool rejected(const struct ip_addr *a)
{
    static const char *const ranges[] = {
        "10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
        "100.64.0.0/10", "224.0.0.0/4",   "240.0.0.0/4",    "::1",         "::ffff:0:0/96",
        "fc00::/7",      "fe80::/10",     "ff00::/8"};

    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++) {
        struct ip_prefix p;
        assert_int_equal(ip_prefix_parse(&p, ranges[i]), ERR_OK);
        if (ip_prefix_contains(&p, a))
            return true;
    }
    return false;
}

static enum grants_answer model(const struct ip_addr *a, uint8_t kind, uint16_t port)
{
    const struct engine_grant *x = choose(a, kind, port);
    bool internet = false, permitted = x && permits(x, kind, port);

    for (size_t i = 0; i < world.n && !permitted; i++) {
        if (world.list[i].kind != ENGINE_GRANT_INTERNET || range_is_proxy(a->family, a->bytes))
            continue;
        internet = true;
        permitted = !rejected(a) && permits(&world.list[i], kind, port);
    }
    return permitted ? GRANTS_PERMIT : internet && rejected(a) ? GRANTS_REJECT : GRANTS_PROHIBIT;
}

static void against_model(void **state)
{
    unsigned seen[3] = {0};

    (void)state;
    for (unsigned i = 0; i < WORLDS; i++) {
        world_make();
        const struct engine_grants from = {
            .ipv4 = ip("100.64.0.2"), .grants = world.list, .n = world.n};
        struct grants *g = grants_new(&from);
        assert_non_null(g);
        for (unsigned k = 0; k < PACKETS; k++) {
            struct ip_addr a = ip(places[below(ARRAY_LEN(places))]);
            uint8_t kind = (uint8_t)below(PACKET_OTHER + 1);
            uint16_t port = (uint16_t)below(16);
            bool named = ip_addr_equal(&a, &world.proxy);
            enum grants_answer want = model(&a, kind, port);
            assert_int_equal(
                grants_decide(g, named ? &world.name : NULL, a.family, a.bytes, kind, port), want);
            seen[want]++;
        }
        grants_free(g);
    }
    assert_true(seen[GRANTS_PERMIT] > 10000 && seen[GRANTS_PROHIBIT] > 10000 &&
                seen[GRANTS_REJECT] > 1000);
}

/* Whose packets they are. */
static void whose(void **state)
{
    const struct engine_grants from = {.ipv4 = ip("100.64.0.2"), .ipv6 = ip("fd00:2021:1111::2")};
    struct grants *g = grants_new(&from);

    (void)state;
    assert_non_null(g);
    assert_true(grants_are_of(g, 4, ip("100.64.0.2").bytes));
    assert_false(grants_are_of(g, 4, ip("100.64.0.3").bytes));
    assert_true(grants_are_of(g, 6, ip("fd00:2021:1111::2").bytes));
    assert_false(grants_are_of(g, 6, ip("fd00:2021:1111::3").bytes));
    grants_free(g);
    const struct engine_grants nobody = {.n = 0};
    g = grants_new(&nobody);
    assert_non_null(g);
    assert_false(grants_are_of(g, 4, ip("0.0.0.0").bytes));
    assert_false(grants_are_of(g, 6, ip("::").bytes));
    assert_null(grants_dns(g, 0));
    assert_null(grants_dns(NULL, 0));
    grants_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_model), cmocka_unit_test(whose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
