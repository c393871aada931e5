/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential test of the source ranking: random tables of interfaces, addresses, routes and metrics against a naive
 * reference. The reference looks at all bits one by one, knows scopes and labels as the RFCs list them, gives every
 * address a row of marks and every route a sort key, and sorts. It knows nothing of a TUN: our TUN is a host without that
 * interface. Each table has its own seed, which a failure names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/source_rank.h"

enum {
    TABLES = 120000,
    PROBES = 3, /* of each table */
    ROWS_MAX = 14,
    IFINDEX_MAX = 5,
    TUN = 4,
    TUN_MARK = 0x77, /* in every address of the TUN, and in none of another interface */
    MARKS = 7
};

struct host {
    struct source_link links[ROWS_MAX];
    struct source_address addresses[ROWS_MAX];
    struct source_route routes[ROWS_MAX];
    struct source_tables tables;
};

/* What the tables led to, so that all of it is known to have happened. */
struct seen {
    unsigned answers, unreachable, invalid, v4, v6;
    unsigned rejected, thrown, preferred, borrowed, unlike_with_tun, down_covers;
};

static uint64_t random_state;

/* xorshift64*: repeatable on every system. */
static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static bool one_in(uint32_t n)
{
    return random_below(n) == 0;
}

/* ---- random tables ---- */

/* Few distinct ones, of all scopes and labels, so that routes cover destinations and addresses share subnets. */
static struct ip_addr random_addr(unsigned family, bool of_tun)
{
    static const uint8_t v4[][2] = {{10, 0}, {10, 1}, {192, 168}, {169, 254}, {127, 0}, {224, 0}};
    static const uint8_t v6[][4] = {
        {0x20, 0x01, 0x0d, 0xb8}, {0x20, 0x01, 0, 0}, {0x20, 0x02, 10, 0},
        {0x3f, 0xfe, 0, 0},       {0xfd, 0x00, 0, 1}, {0xfe, 0x80, 0, 0},
        {0xfe, 0xc0, 0, 0},       {0xff, 0x02, 0, 0}, {0, 0, 0, 0},
        {0x20, 0x01, 0x0d, 0xb9}};
    struct ip_addr a = {.family = (uint8_t)family};
    uint8_t mark = of_tun ? TUN_MARK : (uint8_t)random_below(2);
    if (family == ADDR_V4) {
        if (!one_in(40))
            memcpy(a.bytes, v4[random_below(one_in(8) ? 6 : 4)], 2);
        a.bytes[2] = mark;
        a.bytes[3] = (uint8_t)random_below(4);
        return a;
    }
    memcpy(a.bytes, v6[random_below(ARRAY_LEN(v6))], 4);
    if (a.bytes[0] == 0 && one_in(2))
        memset(a.bytes + 10, 0xff, 2); /* v4-mapped */
    a.bytes[a.bytes[0] == 0 ? 13 : 7] = mark;
    a.bytes[15] = (uint8_t)random_below(4);
    return a;
}

static unsigned random_family(void)
{
    return one_in(2) ? ADDR_V6 : ADDR_V4;
}

static struct ip_prefix random_prefix(unsigned family)
{
    struct ip_prefix p = {.ip = random_addr(family, one_in(6))};
    unsigned bits = ip_addr_bits(&p.ip);
    p.len = (uint8_t)(one_in(3)   ? 0
                      : one_in(3) ? bits - random_below(5)
                                  : random_below(bits / 8 + 1) * 8);
    ip_prefix_mask(&p);
    return p;
}

static struct source_route random_route(const struct source_tables *t)
{
    static const enum source_route_type types[] = {SOURCE_ROUTE_LOCAL, SOURCE_ROUTE_REJECT,
                                                   SOURCE_ROUTE_THROW};
    unsigned family = random_family();
    struct source_route r = {
        .type = one_in(4) ? types[random_below(3)] : SOURCE_ROUTE_UNICAST,
        .tier = random_below(3),
        .dst = random_prefix(family),
        .ifindex = random_below(IFINDEX_MAX + 2),
        .metric = one_in(8) ? UINT32_MAX : random_below(4) * 50,
    };
    if (one_in(2))
        r.gateway = random_addr(one_in(6) ? random_family() : family, one_in(6));
    if (one_in(4) && t->addresses_len > 0)
        r.preferred = t->addresses[random_below((uint32_t)t->addresses_len)].ip;
    else if (one_in(8))
        r.preferred = random_addr(one_in(8) ? random_family() : family, one_in(4));
    if (one_in(6))
        r.from = random_prefix(family);
    return r;
}

static struct source_address random_address(void)
{
    unsigned family = random_family();
    uint32_t ifindex = random_below(IFINDEX_MAX + 2);
    struct source_address a = {
        .ifindex = ifindex,
        .ip = random_addr(family, ifindex == TUN),
        .usable = !one_in(6),
        .deprecated = one_in(4),
        .temporary = one_in(4),
        .secondary = one_in(4),
    };
    unsigned bits = ip_addr_bits(&a.ip);
    a.prefix_len = (uint8_t)(one_in(4) ? bits : bits / 4 * (1 + random_below(3)));
    return a;
}

static void random_host(struct host *h)
{
    memset(h, 0, sizeof *h);
    struct source_tables *t = &h->tables;
    /* 1 to IFINDEX_MAX in a random order, some missing; IFINDEX_MAX + 1 and 0 are never there. */
    uint32_t first = random_below(IFINDEX_MAX);
    for (uint32_t i = 0; i < IFINDEX_MAX; i++) {
        if (one_in(12))
            continue;
        h->links[t->links_len++] = (struct source_link){
            .ifindex = (first + i) % IFINDEX_MAX + 1,
            .up = !one_in(4),
            .metric_v4 = random_below(3) * 50,
            .metric_v6 = random_below(3) * 50,
        };
    }
    t->addresses_len = random_below(ROWS_MAX + 1);
    t->routes_len = random_below(ROWS_MAX + 1);
    t->links = h->links;
    t->addresses = h->addresses;
    t->routes = h->routes;
    for (size_t i = 0; i < t->addresses_len; i++)
        h->addresses[i] = random_address();
    for (size_t i = 0; i < t->routes_len; i++)
        h->routes[i] = random_route(t);
}

/* ---- the reference ---- */

static unsigned bit(const struct ip_addr *a, unsigned i)
{
    return a->bytes[i / 8] >> (7 - i % 8) & 1;
}

static int same_bits(const struct ip_addr *a, const struct ip_addr *b, unsigned max)
{
    for (unsigned i = 0; i < max; i++)
        if (bit(a, i) != bit(b, i))
            return (int)i;
    return (int)max;
}

static bool covers(const struct ip_addr *net, unsigned len, const struct ip_addr *a)
{
    return net->family == a->family && same_bits(net, a, len) == (int)len;
}

struct class
{
    const char *prefix;
    int value;
};

static int classify(const struct class *classes, size_t n, const struct ip_addr *a, int otherwise)
{
    int longest = -1;
    for (size_t i = 0; i < n; i++) {
        struct ip_prefix p;
        assert_int_equal(ip_prefix_parse(&p, classes[i].prefix), ERR_OK);
        if ((int)p.len > longest && covers(&p.ip, p.len, a)) {
            longest = p.len;
            otherwise = classes[i].value;
        }
    }
    return otherwise;
}

/* RFC 4007 as RFC 6724 section 3 maps addresses to it: interface-local 1, link-local 2, site-local 5, global 14. */
static int scope(const struct ip_addr *a)
{
    static const struct class scopes[] = {{"127.0.0.0/8", 1},
                                          {"169.254.0.0/16", 2},
                                          {"::1/128", 1},
                                          {"fe80::/10", 2},
                                          {"fec0::/10", 5}};
    return classify(scopes, ARRAY_LEN(scopes), a, 14);
}

static int label(const struct ip_addr *a)
{
    static const struct class labels[] = {{"::1/128", 0},   {"::/0", 1},       {"::ffff:0:0/96", 4},
                                          {"2002::/16", 2}, {"2001::/32", 5},  {"fc00::/7", 13},
                                          {"::/96", 3},     {"fec0::/10", 11}, {"3ffe::/16", 12}};
    return classify(labels, ARRAY_LEN(labels), a, -1);
}

static const struct source_link *up_link(const struct source_tables *t, uint32_t ifindex)
{
    for (size_t i = 0; i < t->links_len; i++)
        if (t->links[i].ifindex == ifindex && t->links[i].up)
            return &t->links[i];
    return NULL;
}

static bool may_be_source(const struct source_tables *t, const struct source_route *r,
                          const struct ip_addr *dst, const struct source_address *a)
{
    bool own = a->ifindex == r->ifindex, on_link = r->gateway.family == ADDR_NONE;
    int reach = scope(&a->ip);
    if (!a->usable || a->ip.family != dst->family || !up_link(t, a->ifindex))
        return false;
    if (r->from.ip.family != ADDR_NONE && !covers(&r->from.ip, r->from.len, &a->ip))
        return false;
    if (ip_addr_equal(&a->ip, dst))
        return true;
    if (!own && reach <= 2)
        return false;
    return reach >= scope(dst) || (dst->family == ADDR_V4 && reach == 2 && on_link);
}

/* Larger is better, the first mark that differs decides. */
static void give_marks(const struct source_route *r, const struct ip_addr *dst,
                       const struct source_address *a, int marks[MARKS])
{
    const struct ip_addr *hop = r->gateway.family == ADDR_V4 ? &r->gateway : dst;
    int reach = scope(&a->ip);
    marks[0] = a->ifindex == r->ifindex;
    marks[1] = ip_addr_equal(&a->ip, dst);
    marks[2] = reach >= scope(dst) ? 100 - reach : reach;
    marks[3] = !a->deprecated;
    if (dst->family == ADDR_V4) {
        marks[4] = covers(&a->ip, a->prefix_len, hop);
        marks[5] = !a->secondary;
        marks[6] = 0;
    } else {
        marks[4] = label(&a->ip) == label(dst);
        marks[5] = !a->temporary;
        marks[6] = same_bits(&a->ip, dst, a->prefix_len);
    }
}

static bool is_better(const int a[MARKS], const int b[MARKS])
{
    for (unsigned i = 0; i < MARKS; i++)
        if (a[i] != b[i])
            return a[i] > b[i];
    return false;
}

/* The row of the source through r; NULL: there is none. */
static const struct source_address *
source_of(const struct source_tables *t, const struct source_route *r, const struct ip_addr *dst)
{
    const struct source_address *best = NULL;
    int best_marks[MARKS], marks[MARKS];
    for (size_t i = 0; i < t->addresses_len; i++) {
        const struct source_address *a = &t->addresses[i];
        bool allowed = r->from.ip.family == ADDR_NONE || covers(&r->from.ip, r->from.len, &a->ip);
        if (a->ip.family == dst->family && a->usable && allowed && up_link(t, a->ifindex) &&
            ip_addr_equal(&a->ip, &r->preferred))
            return a;
    }
    for (size_t i = 0; i < t->addresses_len; i++) {
        const struct source_address *a = &t->addresses[i];
        if (!may_be_source(t, r, dst, a))
            continue;
        give_marks(r, dst, a, marks);
        if (best && !is_better(marks, best_marks))
            continue;
        best = a;
        memcpy(best_marks, marks, sizeof marks);
    }
    return best;
}

struct way {
    const struct source_route *route;
    const struct source_address *source;
    uint64_t key[5]; /* smaller goes first */
};

static int compare_ways(const void *va, const void *vb)
{
    const struct way *a = va, *b = vb;
    for (unsigned i = 0; i < 5; i++)
        if (a->key[i] != b->key[i])
            return a->key[i] < b->key[i] ? -1 : 1;
    return 0;
}

static size_t ways_to(const struct source_tables *t, const struct ip_addr *dst, struct way *ways)
{
    size_t n = 0;
    for (size_t i = 0; i < t->routes_len; i++) {
        const struct source_route *r = &t->routes[i];
        bool carries = r->type == SOURCE_ROUTE_UNICAST || r->type == SOURCE_ROUTE_LOCAL;
        const struct source_link *link = carries ? up_link(t, r->ifindex) : NULL;
        const struct source_address *source = link ? source_of(t, r, dst) : NULL;
        if (!covers(&r->dst.ip, r->dst.len, dst) || (carries && !source))
            continue;
        uint64_t extra = !link ? 0 : dst->family == ADDR_V4 ? link->metric_v4 : link->metric_v6;
        unsigned from = r->from.ip.family == ADDR_NONE ? 0 : r->from.len;
        ways[n++] = (struct way){
            r, source, {r->tier, 128u - r->dst.len, 128u - from, r->metric + extra, i}};
    }
    qsort(ways, n, sizeof *ways, compare_ways);
    return n;
}

static enum err reference(const struct source_tables *t, const struct ip_addr *dst,
                          struct ip_source *out, struct seen *seen)
{
    static const struct class nowhere[] = {
        {"0.0.0.0/32", 1}, {"224.0.0.0/4", 1}, {"::/128", 1}, {"ff00::/8", 1}};
    struct way ways[ROWS_MAX];
    *out = (struct ip_source){.ifindex = 0};
    if (classify(nowhere, ARRAY_LEN(nowhere), dst, 0))
        return ERR_INVALID;
    size_t n = ways_to(t, dst, ways), i = 0;
    while (i < n && ways[i].route->type == SOURCE_ROUTE_THROW) {
        uint32_t thrown = ways[i].route->tier;
        while (i < n && ways[i].route->tier == thrown)
            i++;
        seen->thrown += i < n;
    }
    seen->rejected += i < n && ways[i].route->type == SOURCE_ROUTE_REJECT;
    if (i == n || ways[i].route->type == SOURCE_ROUTE_REJECT)
        return ERR_UNREACHABLE;
    *out = (struct ip_source){.ip = ways[i].source->ip, .ifindex = ways[i].route->ifindex};
    seen->preferred += ip_addr_equal(&ways[i].route->preferred, &out->ip);
    seen->borrowed += ways[i].source->ifindex != out->ifindex;
    return ERR_OK;
}

/* The same host without the TUN. What only forbids stays: it needs no interface. */
static void without_tun(const struct host *h, struct host *out)
{
    struct source_tables *t = &out->tables;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < h->tables.links_len; i++)
        if (h->links[i].ifindex != TUN)
            out->links[t->links_len++] = h->links[i];
    for (size_t i = 0; i < h->tables.addresses_len; i++)
        if (h->addresses[i].ifindex != TUN)
            out->addresses[t->addresses_len++] = h->addresses[i];
    for (size_t i = 0; i < h->tables.routes_len; i++) {
        const struct source_route *r = &h->routes[i];
        bool forbids = r->type == SOURCE_ROUTE_REJECT || r->type == SOURCE_ROUTE_THROW;
        if (r->ifindex != TUN || forbids)
            out->routes[t->routes_len++] = *r;
    }
    t->links = out->links;
    t->addresses = out->addresses;
    t->routes = out->routes;
}

/* ---- comparing ---- */

static bool same_source(const struct ip_source *a, const struct ip_source *b)
{
    return ip_addr_equal(&a->ip, &b->ip) && a->ifindex == b->ifindex;
}

/* Never the TUN, never its address, never an interface that is down, whatever the reference says. */
static void check_answer(uint64_t seed, const struct source_tables *t, const struct ip_source *s)
{
    bool known = false;
    if (s->ifindex == TUN || !up_link(t, s->ifindex))
        fail_msg("seed %u: interface %u is down, or our TUN", (unsigned)seed, (unsigned)s->ifindex);
    for (size_t i = 0; i < t->addresses_len; i++) {
        const struct source_address *a = &t->addresses[i];
        if (!ip_addr_equal(&a->ip, &s->ip))
            continue;
        if (a->ifindex == TUN)
            fail_msg("seed %u: an address of our TUN", (unsigned)seed);
        known |= a->usable && up_link(t, a->ifindex);
    }
    if (!known)
        fail_msg("seed %u: no usable address of an interface that is up", (unsigned)seed);
}

static void note(struct seen *seen, const struct source_tables *t, const struct ip_addr *dst,
                 enum err e, const struct ip_source *got)
{
    struct ip_source with_tun;
    seen->invalid += e == ERR_INVALID;
    seen->unreachable += e == ERR_UNREACHABLE;
    if (source_rank(t, dst, 0, &with_tun) != e || !same_source(&with_tun, got))
        seen->unlike_with_tun++;
    if (e != ERR_OK)
        return;
    seen->answers++;
    seen->v4 += dst->family == ADDR_V4;
    seen->v6 += dst->family == ADDR_V6;
    for (size_t i = 0; i < t->routes_len; i++)
        if (t->routes[i].ifindex != TUN && !up_link(t, t->routes[i].ifindex) &&
            covers(&t->routes[i].dst.ip, t->routes[i].dst.len, dst)) {
            seen->down_covers++;
            break;
        }
}

static void compare(uint64_t seed, struct seen *seen)
{
    struct host h, bare;
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    random_host(&h);
    without_tun(&h, &bare);
    for (unsigned i = 0; i < PROBES; i++) {
        struct ip_source got, expected;
        char a[IP_TEXT_MAX], b[IP_TEXT_MAX], c[IP_TEXT_MAX];
        struct ip_addr dst = random_addr(random_family(), one_in(8));
        memset(&got, 0xff, sizeof got);
        enum err e = source_rank(&h.tables, &dst, TUN, &got);
        enum err wanted = reference(&bare.tables, &dst, &expected, seen);
        if (e != wanted || !same_source(&got, &expected))
            fail_msg("seed %u, probe %u, %s: %s, %s dev %u, not %s, %s dev %u", (unsigned)seed, i,
                     ip_addr_format(&dst, a, sizeof a), err_text(e),
                     ip_addr_format(&got.ip, b, sizeof b), (unsigned)got.ifindex, err_text(wanted),
                     ip_addr_format(&expected.ip, c, sizeof c), (unsigned)expected.ifindex);
        if (e == ERR_OK)
            check_answer(seed, &h.tables, &got);
        note(seen, &h.tables, &dst, e, &got);
    }
}

static void test_random_tables(void **state)
{
    struct seen seen = {0};
    (void)state;
    print_message("seeds 1 to %u\n", (unsigned)TABLES);
    for (uint64_t seed = 1; seed <= TABLES; seed++)
        compare(seed, &seen);
    const unsigned counts[] = {seen.answers,  seen.unreachable,     seen.invalid,    seen.v4,
                               seen.v6,       seen.rejected,        seen.thrown,     seen.preferred,
                               seen.borrowed, seen.unlike_with_tun, seen.down_covers};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i] < TABLES / 200)
            fail_msg("count %zu is only %u", i, counts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
