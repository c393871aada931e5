/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's decisions against a model that asks every rule in turn, over random policies, names and packets; and the table of
 * what is decided before any resource is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/policy.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "tests/support/inner_packet.h"
#include "tests/support/random.h"

enum {
    RESOURCES = 12,
    ROUTES = 24,
    NAMES = 6,
    RULES = 3
};

static uint64_t rng_state = 11;

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

/* ---- packets ---- */

/* From and to, as `s` says otherwise; false: not an IP packet. */
static bool packet_make(uint8_t *out, struct ip_view *v, const struct inner *s,
                        const struct ip_addr *from, const struct ip_addr *to)
{
    size_t n = s->version == 4 ? 4 : 16;
    size_t len = inner_build(out, s);

    memcpy(out + (s->version == 4 ? 12 : 8), from->bytes, n);
    memcpy(out + (s->version == 4 ? 16 : 24), to->bytes, n);
    if (s->proto == 1 || s->proto == 58) { /* an echo request */
        out[len - s->payload - 8] = s->proto == 1 ? 8 : 128;
        out[len - s->payload - 7] = 0;
    }
    return ip_parse(v, out, len);
}

/* ---- the model ---- */

static struct model {
    struct engine_policy policy;
    struct engine_resource resources[RESOURCES];
    struct filter_rule rules[RESOURCES][RULES];
    struct engine_policy_route routes[ROUTES];
    struct engine_name_target targets[NAMES][4];
    unsigned targets_n[NAMES];
} model;

static bool permits(const struct engine_resource *r, const struct inner *s)
{
    for (size_t i = 0; i < r->rules_n; i++) {
        const struct filter_rule *x = &r->rules[i];
        unsigned proto = x->protocol == FILTER_TCP ? 6 : x->protocol == FILTER_UDP ? 17 : 1;
        if (proto == 1 ? s->proto == 1 || s->proto == 58
                       : s->proto == proto && x->first <= s->dport && s->dport <= x->last)
            return true;
    }
    return r->rules_n == 0;
}

/* a goes before b, both cover the destination. */
static bool before(const struct engine_policy_route *a, const struct engine_policy_route *b)
{
    if (a->prefix.len != b->prefix.len)
        return a->prefix.len > b->prefix.len;
    return a->order < b->order;
}

/* Of this kind, the best that permits the packet, else the best; NULL: none. */
static const struct engine_policy_route *best(uint8_t kind, const struct inner *s,
                                              const struct ip_addr *to, bool *permitted)
{
    const struct engine_policy_route *found = NULL;

    *permitted = false;
    for (size_t i = 0; i < model.policy.routes_n; i++) {
        const struct engine_policy_route *x = &model.routes[i];
        const struct engine_resource *r = &model.resources[x->resource];
        if (r->kind != kind || !ip_prefix_contains(&x->prefix, to))
            continue;
        bool p = permits(r, s);
        if (!found || (p && !*permitted) || (p == *permitted && before(x, found))) {
            found = x;
            *permitted = p;
        }
    }
    return found;
}

static bool in_prefix(const struct ip_addr *a, const char *prefix)
{
    struct ip_prefix p;
    assert_int_equal(ip_prefix_parse(&p, prefix), ERR_OK);
    return ip_prefix_contains(&p, a);
}

static const struct engine_name_target *best_target(const struct inner *s, const struct ip_addr *to,
                                                    bool *any)
{
    *any = false;
    for (unsigned n = 0; n < NAMES; n++) {
        for (unsigned i = 0; i < PROXY_PER_NAME; i++) {
            struct ip_addr proxy = s->version == 4 ? proxy_addr_v4(n, i) : proxy_addr_v6(n, i);
            if (!ip_addr_equal(&proxy, to))
                continue;
            for (unsigned k = 0; k < model.targets_n[n]; k++) {
                const struct engine_name_target *t = &model.targets[n][k];
                const struct engine_resource *r = &model.resources[t->resource];
                if (r->kind != ENGINE_RESOURCE_DNS || r->generation != t->generation ||
                    !(s->version == 4 ? t->v4 : t->v6))
                    continue;
                *any = true;
                if (permits(r, s))
                    return t;
            }
        }
    }
    return NULL;
}

static enum verdict expected(const struct inner *s, const struct ip_addr *to,
                             const struct engine_resource **resource,
                             const struct engine_name_target **target)
{
    static const uint8_t kinds[] = {ENGINE_RESOURCE_GATEWAY, ENGINE_RESOURCE_CIDR,
                                    ENGINE_RESOURCE_INTERNET};
    bool any, special = in_prefix(to, "100.64.0.0/10") || in_prefix(to, "fd00:2021:1111::/48");

    *target = best_target(s, to, &any);
    if (*target) {
        *resource = &model.resources[(*target)->resource];
        return VERDICT_N;
    }
    if (any)
        return VERDICT_OUT_PROHIBITED;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        bool permitted;
        if (special && kinds[i] == ENGINE_RESOURCE_INTERNET)
            break;
        const struct engine_policy_route *r = best(kinds[i], s, to, &permitted);
        if (!r)
            continue;
        *resource = &model.resources[r->resource];
        return permitted ? VERDICT_N : VERDICT_OUT_PROHIBITED;
    }
    return VERDICT_OUT_NO_ROUTE;
}

/* ---- random ones ---- */

/* Few addresses, so that prefixes meet. */
static struct ip_addr random_addr(unsigned version)
{
    struct ip_addr a = {.family = (uint8_t)version};

    if (version == 4) {
        memcpy(a.bytes, (const uint8_t[]){10, (uint8_t)below(2), 0, (uint8_t)below(4)}, 4);
        if (below(8) == 0)
            memcpy(a.bytes, (const uint8_t[]){100, 64, 0, (uint8_t)below(4)}, 4);
    } else {
        a = ip("2001:db8::");
        if (below(8) == 0)
            a = ip("fd00:2021:1111::");
        a.bytes[7] = (uint8_t)below(2);
        a.bytes[15] = (uint8_t)below(4);
    }
    return a;
}

static void random_resources(void)
{
    for (unsigned i = 0; i < RESOURCES; i++) {
        struct engine_resource *r = &model.resources[i];
        *r = (struct engine_resource){.kind = (uint8_t)below(ENGINE_RESOURCE_GATEWAY + 1),
                                      .generation = below(3),
                                      .peer = below(3),
                                      .waits = below(3) ? 50 + i : ENGINE_NONE,
                                      .rules = model.rules[i]};
        if (below(3) == 0)
            r->peer = ENGINE_NONE;
        r->rules_n = r->kind == ENGINE_RESOURCE_GATEWAY || below(3) == 0 ? 0 : 1 + below(RULES);
        for (unsigned k = 0; k < RULES; k++) {
            uint16_t first = (uint16_t)below(4);
            model.rules[i][k] =
                (struct filter_rule){(uint8_t)below(3), first, (uint16_t)(first + below(3))};
        }
    }
}

static void random_routes(void)
{
    model.policy.routes_n = 0;
    for (unsigned i = 0; i < ROUTES; i++) {
        unsigned version = below(2) ? 4 : 6, resource = below(RESOURCES);
        struct engine_policy_route x = {
            .prefix = {.ip = random_addr(version)}, .resource = resource, .order = 1 + i};
        x.prefix.len = (uint8_t)(version == 4 ? 8 * below(5) : 16 * below(9));
        switch ((enum engine_resource_kind)model.resources[resource].kind) {
        case ENGINE_RESOURCE_DNS:
            continue;
        case ENGINE_RESOURCE_INTERNET:
            x.prefix.len = 0;
            x.order = UINT32_MAX;
            break;
        case ENGINE_RESOURCE_GATEWAY:
            x.prefix.len = ip_addr_bits(&x.prefix.ip);
            x.order = 0;
            break;
        case ENGINE_RESOURCE_NONE:
        case ENGINE_RESOURCE_CIDR:
            break;
        }
        ip_prefix_mask(&x.prefix);
        model.routes[model.policy.routes_n++] = x;
    }
}

static void random_names(void)
{
    for (unsigned n = 0; n < NAMES; n++) {
        model.targets_n[n] = below(5);
        for (unsigned k = 0; k < model.targets_n[n]; k++)
            model.targets[n][k] = (struct engine_name_target){.resource = below(RESOURCES),
                                                              .generation = below(3),
                                                              .v4 = below(4) > 0,
                                                              .v6 = below(4) > 0,
                                                              .hold = below(2),
                                                              .waits = below(2) ? 9 : ENGINE_NONE};
    }
}

static void check_packet(const struct policy *p, const struct policy_names *names)
{
    static const unsigned protos[] = {6, 17, 1};
    struct inner s = {.version = below(2) ? 4 : 6,
                      .proto = protos[below(3)],
                      .sport = 9,
                      .dport = (uint16_t)below(8),
                      .payload = 8};
    const struct engine_resource *resource = NULL;
    const struct engine_name_target *target = NULL;
    struct policy_choice choice = {NULL, NULL};
    struct ip_addr to = random_addr(s.version);
    uint8_t packet[256];
    struct ip_view v;

    if (s.proto == 1 && s.version == 6)
        s.proto = 58;
    if (below(3) == 0) {
        uint32_t name = below(NAMES + 1), i = below(PROXY_PER_NAME);
        to = s.version == 4 ? proxy_addr_v4(name, i) : proxy_addr_v6(name, i);
    }
    const struct ip_addr *own = s.version == 4 ? &model.policy.ipv4 : &model.policy.ipv6;
    assert_true(packet_make(packet, &v, &s, own, &to));
    enum verdict want = expected(&s, &to, &resource, &target);
    enum verdict got = policy_decide(p, names, &v, packet, &choice);
    if (want != got)
        fail_msg("%s instead of %s", got == VERDICT_N ? "goes" : verdict_name(got),
                 want == VERDICT_N ? "goes" : verdict_name(want));
    if (got != VERDICT_N)
        return;
    assert_ptr_equal(choice.resource, &p->resources[resource - model.resources]);
    assert_int_equal(choice.target != NULL, target != NULL);
    if (target)
        assert_memory_equal(choice.target, target, sizeof *target);
    uint32_t gone = target && target->hold ? target->waits : resource->peer;
    assert_int_equal(policy_destination(&choice),
                     resource->peer == ENGINE_NONE ? resource->waits : gone);
    if (resource->peer != ENGINE_NONE)
        assert_true(
            policy_covers(p, names, v.version, ip_dst_ptr(packet, v.version), resource->peer));
}

static void random_policies(void **state)
{
    (void)state;
    struct policy_names names = {{NULL}};
    struct snapshot_domain domain;
    struct policy *p = NULL;

    snapshot_domain_init(&domain, 1);
    model.policy = (struct engine_policy){.ipv4 = ip("100.64.9.9"),
                                          .ipv6 = ip("fd00:2021:1111::99"),
                                          .resources = model.resources,
                                          .resources_n = RESOURCES,
                                          .routes = model.routes};
    for (unsigned round = 0; round < 3000; round++) {
        random_resources();
        random_routes();
        random_names();
        struct policy *next = policy_new(&model.policy, p);
        assert_non_null(next);
        policy_free(p);
        p = next;
        for (unsigned n = 0; n < NAMES; n++)
            assert_int_equal(
                policy_names_set(&names, &domain, n, model.targets[n], model.targets_n[n]), ERR_OK);
        for (unsigned i = 0; i < 60; i++)
            check_packet(p, &names);
        snapshot_reclaim(&domain);
    }
    policy_free(p);
    policy_names_fini(&names);
    snapshot_domain_fini(&domain);
}

/* ---- what comes before resources ---- */

static void first_steps(void **state)
{
    (void)state;
    static const struct {
        struct inner s;
        const char *from, *to;
        enum verdict verdict;
    } rows[] = {
        {{.version = 4, .proto = 17}, "100.64.0.1", "10.0.0.1", VERDICT_N},
        {{.version = 6, .proto = 17}, "fd00:2021:1111::1", "2001:db8::1", VERDICT_N},
        {{.version = 4, .proto = 17, .frag = 0x2000},
         "100.64.0.1",
         "10.0.0.1",
         VERDICT_OUT_FRAGMENT},
        {{.version = 4, .proto = 17}, "100.64.0.1", "224.0.0.251", VERDICT_OUT_MULTICAST},
        {{.version = 4, .proto = 17}, "100.64.0.1", "239.255.255.255", VERDICT_OUT_MULTICAST},
        {{.version = 4, .proto = 17}, "100.64.0.1", "240.0.0.1", VERDICT_N},
        {{.version = 6, .proto = 17}, "fe80::1", "ff02::fb", VERDICT_OUT_MULTICAST},
        {{.version = 4, .proto = 17}, "100.64.0.2", "10.0.0.1", VERDICT_OUT_BAD_SOURCE},
        {{.version = 6, .proto = 17}, "fe80::1", "2001:db8::1", VERDICT_OUT_BAD_SOURCE},
        {{.version = 4, .proto = 6}, "100.64.0.1", "100.64.0.1", VERDICT_OUT_TO_SELF},
        {{.version = 6, .proto = 6}, "fd00:2021:1111::1", "fd00:2021:1111::1", VERDICT_OUT_TO_SELF},
        {{.version = 4, .proto = 17, .dport = 53}, "100.64.0.1", "100.100.111.1", VERDICT_OUT_STUB},
        {{.version = 4, .proto = 6, .dport = 53}, "100.64.0.1", "100.100.111.1", VERDICT_OUT_STUB},
        {{.version = 6, .proto = 17, .dport = 53},
         "fd00:2021:1111::1",
         "fd00:2021:1111:8000:100:100:111:0",
         VERDICT_OUT_STUB},
        {{.version = 4, .proto = 17, .dport = 54},
         "100.64.0.1",
         "100.100.111.1",
         VERDICT_OUT_STUB_OTHER},
        {{.version = 4, .proto = 1}, "100.64.0.1", "100.100.111.1", VERDICT_OUT_STUB_OTHER},
        {{.version = 4, .proto = 17, .dport = 53},
         "100.64.0.1",
         "100.100.111.2",
         VERDICT_OUT_STUB_OTHER},
        {{.version = 6, .proto = 17, .dport = 53},
         "fd00:2021:1111::1",
         "fd00:2021:1111:8000:100:100:111:ff",
         VERDICT_OUT_STUB_OTHER},
        {{.version = 4, .proto = 50}, "100.64.0.1", "10.0.0.1", VERDICT_OUT_UNSUPPORTED},
        {{.version = 4, .proto = 2}, "100.64.0.1", "10.0.0.1", VERDICT_OUT_UNSUPPORTED},
        {{.version = 4, .proto = 17}, "100.64.0.1", "100.96.0.1", VERDICT_OUT_NO_ROUTE},
        {{.version = 4, .proto = 17}, "100.64.0.1", "100.64.0.7", VERDICT_OUT_NO_ROUTE},
        {{.version = 6, .proto = 17},
         "fd00:2021:1111::1",
         "fd00:2021:1111:8000::1",
         VERDICT_OUT_NO_ROUTE},
        {{.version = 4, .proto = 17}, "100.64.0.1", "100.128.0.1", VERDICT_N},
    };
    static const struct engine_resource internet = {
        .kind = ENGINE_RESOURCE_INTERNET, .peer = 0, .waits = ENGINE_NONE};
    const struct engine_policy_route routes[] = {{{.ip = ip("0.0.0.0")}, 0, 0},
                                                 {{.ip = ip("::")}, 0, 0}};
    struct engine_policy from = {
        .ipv4 = ip("100.64.0.1"),
        .ipv6 = ip("fd00:2021:1111::1"),
        .stubs = {ip("100.100.111.1"), ip("fd00:2021:1111:8000:100:100:111:0")},
        .stubs_n = 2,
        .resources = &internet,
        .resources_n = 1,
        .routes = routes,
        .routes_n = 2};
    struct policy_names names = {{NULL}};
    struct policy *p = policy_new(&from, NULL);

    assert_non_null(p);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_addr src = ip(rows[i].from), dst = ip(rows[i].to);
        struct policy_choice choice;
        uint8_t packet[256];
        struct ip_view v;
        assert_true(packet_make(packet, &v, &rows[i].s, &src, &dst));
        enum verdict got = policy_decide(p, &names, &v, packet, &choice);
        if (got != rows[i].verdict)
            fail_msg("row %u: %s", i, got == VERDICT_N ? "goes" : verdict_name(got));
        got = policy_decide(NULL, &names, &v, packet, &choice);
        assert_true(got == VERDICT_OUT_NO_ROUTE || got == VERDICT_OUT_MULTICAST ||
                    got == VERDICT_OUT_FRAGMENT);
    }
    from.ipv6.family = ADDR_NONE; /* a family that is off has no source */
    from.same_routes = true;
    struct policy *next = policy_new(&from, p);
    assert_non_null(next);
    policy_free(p);
    assert_false(policy_is_own(next, 6, ip("fd00:2021:1111::1").bytes));
    assert_true(policy_is_own(next, 4, ip("100.64.0.1").bytes));
    assert_true(policy_covers(next, &names, 4, ip("192.0.2.1").bytes, 0));
    assert_false(policy_covers(next, &names, 4, ip("192.0.2.1").bytes, 1));
    policy_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_steps),
        cmocka_unit_test(random_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
