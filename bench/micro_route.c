/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: route lookups of random addresses, one family at a time, in a table of 10,000 prefixes of each
 * family. The prefixes are nested four deep, so what a lookup must find follows from the address.
 */
#include <stdlib.h>

#include "bench/micro.h"
#include "engine/route.h"
#include "platform/base/mem.h"

enum {
    PREFIXES = 10000, /* of each family; the default route is one of them */
    BRANCHES = 10,    /* of each prefix of a level, but for the last level */
    LEVELS = 4,
    OUTER = BRANCHES + BRANCHES * BRANCHES + BRANCHES * BRANCHES * BRANCHES,
    PARENTS = BRANCHES * BRANCHES * BRANCHES, /* of the last level */
    DEFAULT_VALUE = 1000000,
    LOOKUPS = 1024
};

enum route_kind {
    ROUTE_DEEP,    /* in a prefix of the last level, below three others and the default route */
    ROUTE_DEFAULT, /* the default route only */
    ROUTE_MISS     /* nothing: the table has no default route */
};

struct routes {
    struct route_table *table;
    unsigned version;
    uint8_t address[LOOKUPS][16];
    uint32_t expected[LOOKUPS], found[LOOKUPS];
};

static uint32_t random_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/*
 * Prefix `index` of a level, 0 for the outermost, as an address without host bits: 10.0.0.0 or 2001:db8::, then four
 * bits for each level.
 */
static struct ip_addr prefix_address(unsigned version, unsigned level, unsigned index)
{
    struct ip_addr a = {.family = (uint8_t)version, .bytes = {10}};
    uint32_t path = 0;
    for (unsigned l = level + 1; l-- > 0;) {
        /* The last level's index counts all parents before a parent's second child. */
        unsigned digit = l == LEVELS - 1 ? index / PARENTS : index % BRANCHES;
        path |= digit << (28 - 4 * l);
        index = l == LEVELS - 1 ? index % PARENTS : index / BRANCHES;
    }
    if (version == ADDR_V4) {
        store_be32(a.bytes, UINT32_C(10) << 24 | path >> 8);
    } else {
        store_be32(a.bytes, UINT32_C(0x20010db8));
        store_be32(a.bytes + 4, path);
    }
    return a;
}

static unsigned last_level_n(bool with_default)
{
    return PREFIXES - OUTER - (with_default ? 1 : 0);
}

static void add_family(struct route_builder *b, unsigned version, bool with_default)
{
    uint32_t value = 0;
    enum err err = ERR_OK;
    for (unsigned level = 0, n = BRANCHES; level < LEVELS; level++, n *= BRANCHES) {
        unsigned here = level == LEVELS - 1 ? last_level_n(with_default) : n;
        uint8_t len = (uint8_t)((version == ADDR_V4 ? 12 : 36) + 4 * level);
        for (unsigned i = 0; i < here && err == ERR_OK; i++) {
            struct ip_prefix p = {.ip = prefix_address(version, level, i), .len = len};
            err = route_builder_add(b, &p, value++);
        }
    }
    struct ip_prefix all = {.ip.family = (uint8_t)version};
    if (with_default && err == ERR_OK)
        err = route_builder_add(b, &all, DEFAULT_VALUE);
    ASSERT(err == ERR_OK); /* but for memory, whose lack is fatal here */
}

static void choose_address(struct routes *r, unsigned i, enum route_kind kind, uint32_t *seed)
{
    unsigned index = random_next(seed) % last_level_n(kind != ROUTE_MISS);
    struct ip_addr a = prefix_address(r->version, LEVELS - 1, index);
    unsigned host = r->version == ADDR_V4 ? 3 : 8;

    memcpy(r->address[i], a.bytes, sizeof a.bytes);
    r->address[i][host] = (uint8_t)random_next(seed);
    r->expected[i] = OUTER + index;
    if (kind == ROUTE_DEEP)
        return;
    /* Outside 10.0.0.0/8 and 2001:db8::/32, on both sides. */
    r->address[i][0] = (uint8_t)(random_next(seed) % 2 ? 1 + index % 9 : 64 + index % 128);
    store_be16(r->address[i] + 1, (uint16_t)random_next(seed));
    r->expected[i] = kind == ROUTE_DEFAULT ? (uint32_t)DEFAULT_VALUE : ROUTE_NONE;
}

static void *open_routes(const struct micro_case *c, unsigned *items)
{
    struct routes *r = mem_zalloc(1, sizeof *r);
    struct route_builder b;
    uint32_t seed = 2463534242u;

    r->version = c->len; /* of the addresses looked up; the table always has both */
    route_builder_init(&b);
    add_family(&b, ADDR_V4, c->kind != ROUTE_MISS);
    add_family(&b, ADDR_V6, c->kind != ROUTE_MISS);
    r->table = mem_check(route_builder_build(&b));
    route_builder_fini(&b);
    ASSERT(route_table_len(r->table) == 2 * PREFIXES);
    for (unsigned i = 0; i < LOOKUPS; i++)
        choose_address(r, i, (enum route_kind)c->kind, &seed);
    *items = LOOKUPS;
    return r;
}

static void prepare_routes(void *state)
{
    struct routes *r = state;
    memset(r->found, 0x55, sizeof r->found);
}

static void work_routes(void *state)
{
    struct routes *r = state;
    for (unsigned i = 0; i < LOOKUPS; i++)
        r->found[i] = route_lookup(r->table, r->version, r->address[i]);
}

static bool check_routes(void *state)
{
    struct routes *r = state;
    return memcmp(r->found, r->expected, sizeof r->found) == 0;
}

static void close_routes(void *state)
{
    struct routes *r = state;
    route_table_free(r->table);
    free(r);
}

static const struct micro_ops ops = {open_routes, prepare_routes, work_routes, check_routes,
                                     close_routes};

void micro_route_cases(struct micro_list *l)
{
    static const char *const names[] = {
        [ROUTE_DEEP] = "deep", [ROUTE_DEFAULT] = "default", [ROUTE_MISS] = "miss"};
    struct micro_case c = {.item = "lookup", .counted = true, .ops = &ops};

    for (unsigned version = ADDR_V4; version <= ADDR_V6; version += ADDR_V6 - ADDR_V4) {
        for (int kind = ROUTE_DEEP; kind <= ROUTE_MISS; kind++) {
            c.kind = kind;
            c.len = version;
            micro_list_add(l, &c, false, "route/v%u/%s", version, names[kind]);
        }
    }
}
