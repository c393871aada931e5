/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be reachable, and what may be: told from the state of the portal and of the zone by looking at all of it, without any of
 * the code that is tested. A packet that must arrive does; one that arrives may. In between lies little: what a client sends by a
 * resource that it may not use any more, and a gateway lets through by another one. Included once per program.
 * Source: spec/tunnel.md 3.2, 5.1, 5.2, 7.3, 8.3.
 */
#ifndef FZ_TESTS_SIM_TUNNEL_MODEL_H
#define FZ_TESTS_SIM_TUNNEL_MODEL_H

#include "tests/sim_tunnel_portal.h"

enum {
    NAMES = 9,
    NAME_ADDRS_MAX = 4,
    ZONE = 16, /* addresses that names may have */
    NO_NAME = -1,
    MUST_HOLD_S = 90 /* longer than the tries of one probe take */
};

static const char *const NAME_TEXTS[NAMES] = {
    "a.example.com", "b.example.com", "x.b.example.com", "y.x.b.example.com", "example.com",
    "host.corp.net", "corp.net",      "lone.internal",   "secret.internal"};

/* own: each name has another, by the third byte. good: a resource may have it. */
static const struct {
    const char *text;
    bool own, good;
} ZONE_ADDRS[ZONE] = {{"198.51.0.1", true, true},          {"198.51.0.2", true, true},
                      {"198.51.100.3", false, true},       {"10.1.2.3", false, true},
                      {"172.16.0.5", true, true},          {"2001:db8:7::1", true, true},
                      {"2001:db8:7::2", false, true},      {"fd12:3456::9", true, true},
                      {"127.0.0.1", false, false},         {"100.64.0.4", false, false},
                      {"100.96.0.2", false, false},        {"100.100.111.1", false, false},
                      {"169.254.9.9", false, false},       {"fe80::7", false, false},
                      {"fd00:2021:1111::4", false, false}, {"::ffff:10.1.2.3", false, false}};

/* By index of ZONE_ADDRS. */
static struct {
    bool has[NAMES][ZONE], had[NAMES][ZONE];
} zone;

/* What is sent, and what became of it. */
struct probe {
    unsigned client;
    int name; /* NO_NAME: an address */
    struct ip_addr to;
    enum protocol protocol;
    unsigned port;
    uint16_t from_port;
    bool hostile;

    bool arrived, answered, prohibited;
    struct ip_addr at; /* where it arrived */
};

static struct ip_addr ip_of(const char *text)
{
    struct ip_addr a;

    if (ip_addr_parse(&a, text) != ERR_OK)
        world_fail("%s is no address", text);
    return a;
}

static bool in_network(const struct ip_addr *a, const char *text)
{
    struct ip_prefix p;

    if (ip_prefix_parse(&p, text) != ERR_OK)
        world_fail("%s is no network", text);
    return ip_prefix_contains(&p, a);
}

/* ---- resources ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && name[n - m - 1] == '.' && strcmp(name + n - m, end) == 0;
}

/* Patterns here begin with '*.' or '**.', or have no wildcard. */
static bool pattern_has(const char *pattern, const char *name)
{
    if (strncmp(pattern, "**.", 3) == 0)
        return strcmp(name, pattern + 3) == 0 || ends_with(name, pattern + 3);
    if (strncmp(pattern, "*.", 2) != 0)
        return strcmp(name, pattern) == 0;
    if (strcmp(name, pattern + 2) == 0)
        return true;
    return ends_with(name, pattern + 2) &&
           strlen(name) - strlen(pattern + 2) == (size_t)(strchr(name, '.') - name) + 1;
}

/* The greater the more specific. */
static unsigned pattern_rank(const char *pattern)
{
    size_t stars = strspn(pattern, "*"), n = strlen(pattern) - stars - (stars > 0);
    return (unsigned)(3 * n + 2 - stars);
}

static bool rules_permit(const struct rules *rules, enum protocol protocol, unsigned port)
{
    for (unsigned i = 0; i < rules->n; i++) {
        const struct rule *x = &rules->list[i];
        if (x->protocol == protocol && (protocol == ICMP || (x->first <= port && port <= x->last)))
            return true;
    }
    return rules->n == 0;
}

static bool place_permits(const struct place *x, const struct probe *p)
{
    /* The portal has no filters for the Internet. */
    return x->kind == INTERNET || rules_permit(&RULES[x->rules], p->protocol, p->port);
}

static bool stack_has(enum stack stack, unsigned family)
{
    return stack == DUAL || (stack == ONLY_V4) == (family == ADDR_V4);
}

static bool is_internet(const struct ip_addr *a)
{
    static const char *const others[] = {"10.0.0.0/8",  "172.16.0.0/12",  "192.168.0.0/16",
                                         "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
                                         "224.0.0.0/3", "::1/128",        "::ffff:0:0/96",
                                         "fc00::/7",    "fe80::/10",      "ff00::/8"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (in_network(a, others[i]))
            return false;
    }
    return true;
}

/* The probe's destination is the resource's. Gateways are not told of stacks: they are for clients to go by. */
static bool place_covers(const struct place *x, const struct probe *p)
{
    if (!x->there)
        return false;
    if (x->kind == DNS)
        return p->name != NO_NAME && pattern_has(PATTERNS[x->address], NAME_TEXTS[p->name]) &&
               (p->hostile || stack_has(x->stack, p->to.family));
    if (p->name != NO_NAME)
        return false;
    return x->kind == CIDR ? in_network(&p->to, NETWORKS[x->address]) : is_internet(&p->to);
}

/* a is chosen before b, of one kind, if both permit the packet. */
static bool place_before(const struct place *a, const struct place *b)
{
    unsigned rank[2];
    const struct place *x[2] = {a, b};

    for (unsigned i = 0; i < 2; i++) {
        if (x[i]->kind == DNS)
            rank[i] = pattern_rank(PATTERNS[x[i]->address]);
        else
            rank[i] =
                x[i]->kind == CIDR ? (unsigned)atoi(strchr(NETWORKS[x[i]->address], '/') + 1) : 0;
    }
    if (rank[0] != rank[1])
        return rank[0] > rank[1];
    return memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes) > 0;
}

/* The resource by which the client sends it; NULL: it does not; refused: because of filters. */
static const struct place *place_of(const struct probe *p, unsigned *resource, bool *refused)
{
    static const enum kind kinds[] = {DNS, CIDR, INTERNET};

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        const struct place *best = NULL;
        bool any = false;
        for (unsigned r = 0; r < RESOURCES; r++) {
            const struct place *x = &portal.places[r];
            if (x->kind != kinds[k] || !portal.policies[p->client][r].there || !place_covers(x, p))
                continue;
            any = true;
            if (place_permits(x, p) && (!best || place_before(x, best))) {
                best = x;
                *resource = r;
            }
        }
        *refused = any && !best;
        if (any)
            return best;
    }
    return NULL;
}

/* Its client tells whoever sends it that it is prohibited. */
static bool model_refuses(const struct probe *p)
{
    unsigned r;
    bool refused;

    (void)place_of(p, &r, &refused);
    return refused;
}

/* The client has addresses for the name. */
static bool name_known(unsigned client, int name, unsigned family, bool *addresses)
{
    bool known = false;

    *addresses = false;
    for (unsigned r = 0; r < RESOURCES; r++) {
        const struct place *x = &portal.places[r];
        if (!x->there || x->kind != DNS || !portal.policies[client][r].there ||
            !pattern_has(PATTERNS[x->address], NAME_TEXTS[name]))
            continue;
        known = true;
        *addresses |= stack_has(x->stack, family);
    }
    return known;
}

static inline void link_print(const struct end *e, const struct uuid *id)
{
    const struct link *x = link_find(&e->peers, id);
    const struct peer *p = x ? x->peer->engine_peer : NULL;

    fprintf(stderr, "%s %u: %s%s%s%s%s%s%s\n", e->gateway ? "gateway" : "client", e->number,
            x ? "a connection" : "none", x && x->up ? ", up" : "", x && x->failed ? ", failed" : "",
            x && x->goodbye ? ", left" : "", x && x->closing ? ", closing" : "",
            p && p->current ? ", a session" : "",
            p && p->endpoint.ip.family != ADDR_NONE ? ", a path" : "");
}

/* For whoever looks into a failure: what the probe could go by. */
static inline void places_print(const struct probe *p)
{
    const struct end *e = client_of(p->client);

    for (unsigned g = 0; e && g < portal.gateways_n; g++) {
        struct uuid id = end_id(g);
        link_print(e, &id);
        if (gateway_of(g))
            link_print(gateway_of(g), &e->id);
    }
    for (unsigned r = 0; r < RESOURCES; r++) {
        const struct place *x = &portal.places[r];
        const struct permit *y = &portal.policies[p->client][r];
        if (!place_covers(x, p))
            continue;
        fprintf(stderr,
                "resource %u (id %02x, %s, site %u, rules %u): %s, until %lld, by gateways %#x\n",
                r, x->id.bytes[0],
                x->kind == DNS    ? PATTERNS[x->address]
                : x->kind == CIDR ? NETWORKS[x->address]
                                  : "Internet",
                x->site, x->rules, y->there ? "policy" : "no policy", (long long)y->until,
                portal.grants[p->client][r]);
    }
}

/* ---- answers ---- */

static struct ip_addr zone_addr(int name, unsigned i)
{
    struct ip_addr a = ip_of(ZONE_ADDRS[i].text);

    if (ZONE_ADDRS[i].own)
        a.bytes[2] ^= (uint8_t)name;
    return a;
}

static bool zone_has(int name, unsigned family)
{
    for (unsigned i = 0; i < ZONE; i++) {
        if (zone.has[name][i] && ZONE_ADDRS[i].good && zone_addr(name, i).family == family)
            return true;
    }
    return false;
}

/* set: what the name has, or had. */
static bool zone_is(const bool *set, int name, const struct ip_addr *a)
{
    for (unsigned i = 0; i < ZONE; i++) {
        struct ip_addr x = zone_addr(name, i);
        if (set[i] && ZONE_ADDRS[i].good && ip_addr_equal(&x, a))
            return true;
    }
    return false;
}

static bool site_is_served(unsigned site)
{
    for (unsigned g = 0; g < portal.gateways_n; g++) {
        if (gateway_of(g) && portal.sites[g] == site)
            return true;
    }
    return false;
}

static bool model_must(const struct probe *p)
{
    unsigned r = 0;
    bool refused;
    const struct place *x = place_of(p, &r, &refused);

    if (!x || portal.away || !site_is_served(x->site))
        return false;
    const struct permit *policy = &portal.policies[p->client][r];
    if (policy->until != 0 && policy->until < world_wall() + MUST_HOLD_S)
        return false;
    return x->kind != DNS || zone_has(p->name, p->to.family);
}

/* The client, if it is honest, sends it to this gateway. */
static bool model_sends(const struct probe *p, unsigned gateway)
{
    unsigned r;
    bool refused;
    const struct place *x = place_of(p, &r, &refused);

    return x && x->site == portal.sites[gateway];
}

/* It has arrived at p->at, through this gateway. */
static bool model_may(const struct probe *p, unsigned gateway)
{
    if (p->name == NO_NAME ? !ip_addr_equal(&p->at, &p->to)
                           : !zone_is(zone.had[p->name], p->name, &p->at))
        return false;
    for (unsigned r = 0; r < RESOURCES; r++) {
        const struct place *x = &portal.places[r];
        if (place_covers(x, p) && place_permits(x, p) && x->site == portal.sites[gateway] &&
            policy_holds(&portal.policies[p->client][r]))
            return true;
    }
    return false;
}

#endif
