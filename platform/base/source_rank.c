/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing route and source address. The route lookup does what the kernels do, minus our TUN:
 * tables (tiers) in turn; within one, the longest prefix and then the lowest metric. The address
 * rules are numbered as in RFC 6724 section 5.
 */
#include "platform/base/source_rank.h"

#include <string.h>

#include "platform/base/bytes.h"

/* ---- addresses: scope, label, common prefix ---- */

/* RFC 4007 scopes, as in multicast addresses; a larger one reaches farther. */
enum scope {
    SCOPE_HOST = 1,
    SCOPE_LINK = 2,
    SCOPE_SITE = 5,
    SCOPE_GLOBAL = 14
};

struct labelled {
    uint8_t bytes[16];
    uint8_t len;
    uint8_t label;
};

/* RFC 6724 section 2.1, the labels of its default policy table; longest prefix first. */
static const struct labelled labels[] = {
    {{[15] = 1}, 128, 0},                /* ::1 */
    {{[10] = 0xff, [11] = 0xff}, 96, 4}, /* ::ffff:0:0/96 */
    {{0}, 96, 3},                        /* ::/96 */
    {{0x20, 0x01, 0, 0}, 32, 5},         /* 2001::/32, Teredo */
    {{0x20, 0x02}, 16, 2},               /* 2002::/16, 6to4 */
    {{0x3f, 0xfe}, 16, 12},              /* 3ffe::/16, 6bone */
    {{0xfe, 0xc0}, 10, 11},              /* fec0::/10, site-local */
    {{0xfc}, 7, 13},                     /* fc00::/7, unique local */
};

enum {
    LABEL_DEFAULT = 1
};

static unsigned label_of(const struct ip_addr *a)
{
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        struct ip_prefix p = {.ip = ip_addr_v6(labels[i].bytes), .len = labels[i].len};
        if (ip_prefix_contains(&p, a))
            return labels[i].label;
    }
    return LABEL_DEFAULT;
}

/* RFC 6724 section 3.1 and 3.2; private v4 addresses are global there. */
static enum scope scope_of(const struct ip_addr *a)
{
    const uint8_t *b = a->bytes;
    static const uint8_t loopback[16] = {[15] = 1};
    if (a->family == ADDR_V4) {
        if (b[0] == 127)
            return SCOPE_HOST;
        return b[0] == 169 && b[1] == 254 ? SCOPE_LINK : SCOPE_GLOBAL;
    }
    if (memcmp(b, loopback, sizeof loopback) == 0)
        return SCOPE_HOST;
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
        return SCOPE_LINK;
    return b[0] == 0xfe && (b[1] & 0xc0) == 0xc0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* Number of leading bits that a and b share, at most `max` (same family). */
static unsigned common_bits(const struct ip_addr *a, const struct ip_addr *b, unsigned max)
{
    unsigned n = 0;
    while (n < max && ((a->bytes[n / 8] ^ b->bytes[n / 8]) & (0x80 >> n % 8)) == 0)
        n++;
    return n;
}

static bool same_subnet(const struct source_address *a, const struct ip_addr *other)
{
    struct ip_prefix p = {.ip = a->ip, .len = a->prefix_len};
    return ip_prefix_contains(&p, other);
}

static bool is_destination(const struct ip_addr *dst)
{
    static const uint8_t zero[16] = {0};
    if (dst->family == ADDR_V4)
        return memcmp(dst->bytes, zero, 4) != 0 && (dst->bytes[0] & 0xf0) != 0xe0;
    return dst->family == ADDR_V6 && memcmp(dst->bytes, zero, 16) != 0 && dst->bytes[0] != 0xff;
}

/* ---- interfaces ---- */

struct query {
    const struct source_tables *tables;
    const struct ip_addr *dst;
    uint32_t tun_ifindex;
};

/* The interface, if it is up and not ours; else NULL. */
static const struct source_link *usable_link(const struct query *q, uint32_t ifindex)
{
    if (ifindex == 0 || ifindex == q->tun_ifindex)
        return NULL;
    for (size_t i = 0; i < q->tables->links_len; i++)
        if (q->tables->links[i].ifindex == ifindex)
            return q->tables->links[i].up ? &q->tables->links[i] : NULL;
    return NULL;
}

/* ---- source address for a route ---- */

/* May `a` be a source for q through r at all? The scope must reach as far as the destination's. */
static bool address_suits(const struct query *q, const struct source_route *r,
                          const struct source_address *a)
{
    if (a->ip.family != q->dst->family || !a->usable || !usable_link(q, a->ifindex))
        return false;
    if (r->from.ip.family != ADDR_NONE && !ip_prefix_contains(&r->from, &a->ip))
        return false;
    if (ip_addr_equal(&a->ip, q->dst))
        return true;
    enum scope scope = scope_of(&a->ip), wanted = scope_of(q->dst);
    /*
     * v4 link-local hosts are commonly reached from, and reach, ordinary addresses (RFC 3927
     * section 2.7).
     */
    bool reaches = scope >= wanted || (q->dst->family == ADDR_V4 && scope == SCOPE_LINK &&
                                       r->gateway.family == ADDR_NONE);
    /* An address of another interface must be valid everywhere. */
    return reaches && (a->ifindex == r->ifindex || scope >= SCOPE_SITE);
}

/* true, false, or no difference: the rules below return > 0 if a is better, < 0 if b is. */
static int prefer(bool a, bool b)
{
    return (int)a - (int)b;
}

/* Rule 2: the smallest scope that still reaches; both may fall short (v4), then the larger one. */
static int compare_scope(const struct ip_addr *a, const struct ip_addr *b,
                         const struct ip_addr *dst)
{
    enum scope sa = scope_of(a), sb = scope_of(b), wanted = scope_of(dst);
    if (sa == sb)
        return 0;
    if (sa < sb)
        return sa >= wanted ? 1 : -1;
    return sb >= wanted ? -1 : 1;
}

/* The rules that only make sense for one family: what v4 kernels do, and rules 6 to 8. */
static int compare_by_family(const struct query *q, const struct source_route *r,
                             const struct source_address *a, const struct source_address *b)
{
    if (q->dst->family == ADDR_V4) {
        const struct ip_addr *hop = r->gateway.family == ADDR_V4 ? &r->gateway : q->dst;
        int c = prefer(same_subnet(a, hop), same_subnet(b, hop));
        return c != 0 ? c : prefer(!a->secondary, !b->secondary);
    }
    unsigned wanted = label_of(q->dst);
    int c = prefer(label_of(&a->ip) == wanted, label_of(&b->ip) == wanted); /* 6 */
    if (c == 0)
        c = prefer(!a->temporary, !b->temporary); /* 7, turned around: stable ones */
    if (c == 0)                                   /* 8 */
        c = (int)common_bits(&a->ip, q->dst, a->prefix_len) -
            (int)common_bits(&b->ip, q->dst, b->prefix_len);
    return c;
}

static int compare_addresses(const struct query *q, const struct source_route *r,
                             const struct source_address *a, const struct source_address *b)
{
    int c = prefer(ip_addr_equal(&a->ip, q->dst), ip_addr_equal(&b->ip, q->dst)); /* 1 */
    if (c == 0)
        c = compare_scope(&a->ip, &b->ip, q->dst); /* 2 */
    if (c == 0)
        c = prefer(!a->deprecated,
                   !b->deprecated); /* 3; 4 is about home agents, 5 is in choose_address */
    return c != 0 ? c : compare_by_family(q, r, a, b);
}

/* The route's own preferred source: taken if it is an address of this host, not of our TUN. */
static bool preferred_source(const struct query *q, const struct source_route *r,
                             struct ip_addr *out)
{
    if (r->preferred.family != q->dst->family)
        return false;
    if (r->from.ip.family != ADDR_NONE && !ip_prefix_contains(&r->from, &r->preferred))
        return false;
    for (size_t i = 0; i < q->tables->addresses_len; i++) {
        const struct source_address *a = &q->tables->addresses[i];
        if (a->usable && ip_addr_equal(&a->ip, &r->preferred) && usable_link(q, a->ifindex)) {
            *out = r->preferred;
            return true;
        }
    }
    return false;
}

/*
 * The best address of the route's interface; if that has none that suits, of the others (unnumbered
 * links).
 */
static bool choose_address(const struct query *q, const struct source_route *r, struct ip_addr *out)
{
    const struct source_address *best = NULL;
    bool best_is_own = false;
    if (preferred_source(q, r, out))
        return true;
    for (size_t i = 0; i < q->tables->addresses_len; i++) {
        const struct source_address *a = &q->tables->addresses[i];
        bool own = a->ifindex == r->ifindex;
        if (!address_suits(q, r, a) || (best_is_own && !own))
            continue;
        if (best && own == best_is_own && compare_addresses(q, r, a, best) <= 0)
            continue;
        best = a;
        best_is_own = own;
    }
    if (best)
        *out = best->ip;
    return best != NULL;
}

/* ---- route ---- */

static uint64_t effective_metric(const struct source_route *r, const struct source_link *link)
{
    bool is_v4 = r->dst.ip.family == ADDR_V4;
    return (uint64_t)r->metric + (!link ? 0 : is_v4 ? link->metric_v4 : link->metric_v6);
}

/* A covering route, and where it stands. */
struct candidate {
    const struct source_route *route;
    uint64_t metric;
    struct ip_addr source; /* of unicast and local routes */
};

static bool goes_before(const struct candidate *a, const struct candidate *b)
{
    if (a->route->tier != b->route->tier)
        return a->route->tier < b->route->tier;
    if (a->route->dst.len != b->route->dst.len)
        return a->route->dst.len > b->route->dst.len;
    unsigned a_from = a->route->from.ip.family ? a->route->from.len : 0;
    unsigned b_from = b->route->from.ip.family ? b->route->from.len : 0;
    if (a_from != b_from)
        return a_from > b_from;
    return a->metric < b->metric;
}

/*
 * Does route r serve q? Fills *c. Routes without a usable interface or source do not exist for us.
 */
static bool make_candidate(const struct query *q, const struct source_route *r, struct candidate *c)
{
    if (!ip_prefix_contains(&r->dst, q->dst))
        return false;
    *c = (struct candidate){.route = r};
    const struct source_link *link = usable_link(q, r->ifindex);
    switch (r->type) {
    case SOURCE_ROUTE_UNICAST:
    case SOURCE_ROUTE_LOCAL:
        c->metric = effective_metric(r, link);
        return link && choose_address(q, r, &c->source);
    case SOURCE_ROUTE_REJECT:
    case SOURCE_ROUTE_THROW:
        c->metric = effective_metric(r, NULL);
        return true;
    }
    return false;
}

/* The best candidate of tier `first` or later; its route is NULL if there is none. */
static struct candidate best_candidate(const struct query *q, uint64_t first)
{
    struct candidate best = {.route = NULL};
    for (size_t i = 0; i < q->tables->routes_len; i++) {
        const struct source_route *r = &q->tables->routes[i];
        struct candidate c;
        if (r->tier < first || !make_candidate(q, r, &c))
            continue;
        if (!best.route || goes_before(&c, &best))
            best = c;
    }
    return best;
}

enum err source_rank(const struct source_tables *t, const struct ip_addr *dst, uint32_t tun_ifindex,
                     struct ip_source *out)
{
    struct query q = {.tables = t, .dst = dst, .tun_ifindex = tun_ifindex};
    uint64_t first = 0;
    memset(out, 0, sizeof *out);
    if (!is_destination(dst))
        return ERR_INVALID;
    for (;;) {
        struct candidate best = best_candidate(&q, first);
        if (!best.route || best.route->type == SOURCE_ROUTE_REJECT)
            return ERR_UNREACHABLE;
        if (best.route->type != SOURCE_ROUTE_THROW) {
            *out = (struct ip_source){.ip = best.source, .ifindex = best.route->ifindex};
            return ERR_OK;
        }
        first = (uint64_t)best.route->tier + 1;
    }
}
