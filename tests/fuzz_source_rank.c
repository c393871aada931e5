/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source ranking over arbitrary tables. Whatever they hold, an answer leaves by an interface that
 * is up and not our TUN, from a usable address of the destination's family that is not the TUN's,
 * along a covering route of that interface; and rows of the TUN change nothing. Input: a byte per
 * count, then rows; exhausted input reads as zeroes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/source_rank.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ROWS_MAX = 12,
    IFINDEX_MAX = 5,
    TUN = 4
};

struct input {
    const uint8_t *data;
    size_t left;
};

struct host {
    struct source_link links[ROWS_MAX];
    struct source_address addresses[ROWS_MAX];
    struct source_route routes[ROWS_MAX];
    struct source_tables tables;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++;
}

/* Few distinct addresses, so that routes cover destinations. */
static struct ip_addr take_addr(struct input *in, unsigned family)
{
    static const uint8_t first[] = {0x20, 0xfd, 0xfe, 0x00, 0xff, 10, 169, 127};
    struct ip_addr a = {.family = (uint8_t)family};
    uint8_t kind = take(in);
    a.bytes[0] = first[kind & 7];
    a.bytes[1] = kind & 8 ? 0x80 : kind & 16 ? 254 : 0;
    a.bytes[3] = take(in);
    if (family == ADDR_V6)
        a.bytes[15] = a.bytes[3];
    return a;
}

static unsigned take_family(struct input *in)
{
    return take(in) & 1 ? ADDR_V6 : ADDR_V4;
}

static struct ip_prefix take_prefix(struct input *in, unsigned family)
{
    struct ip_prefix p = {.ip = take_addr(in, family)};
    p.len = (uint8_t)(take(in) % (ip_addr_bits(&p.ip) + 1u));
    ip_prefix_mask(&p);
    return p;
}

static struct source_route take_route(struct input *in)
{
    unsigned family = take_family(in);
    uint8_t kind = take(in);
    struct source_route r = {
        .type = (enum source_route_type)(kind & 7 ? SOURCE_ROUTE_UNICAST : kind >> 3 & 3),
        .tier = kind >> 5 & 1,
        .dst = take_prefix(in, family),
        .ifindex = take(in) % (IFINDEX_MAX + 1),
        .metric = take(in) & 1 ? UINT32_MAX : take(in),
    };
    uint8_t with = take(in);
    if (with & 1)
        r.gateway = take_addr(in, with & 8 ? ADDR_V6 : family);
    if (with & 2)
        r.preferred = take_addr(in, family);
    if ((with & 0x14) == 0x14)
        r.from = take_prefix(in, family);
    return r;
}

static void take_host(struct input *in, struct host *h)
{
    size_t links = take(in) % (ROWS_MAX + 1), addresses = take(in) % (ROWS_MAX + 1),
           routes = take(in) % (ROWS_MAX + 1);
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < links; i++)
        h->links[i] = (struct source_link){.ifindex = (uint32_t)i % IFINDEX_MAX + 1,
                                           .up = take(in) & 1,
                                           .metric_v4 = take(in),
                                           .metric_v6 = take(in)};
    for (size_t i = 0; i < addresses; i++) {
        unsigned family = take_family(in);
        struct ip_prefix p = {.ip = take_addr(in, family)};
        uint8_t flags = take(in);
        h->addresses[i] = (struct source_address){
            .ifindex = take(in) % (IFINDEX_MAX + 1),
            .ip = p.ip,
            .prefix_len = (uint8_t)(take(in) % (ip_addr_bits(&p.ip) + 1u)),
            .usable = !(flags & 1),
            .deprecated = flags & 2,
            .temporary = flags & 4,
            .secondary = flags & 8,
        };
    }
    for (size_t i = 0; i < routes; i++)
        h->routes[i] = take_route(in);
    h->tables = (struct source_tables){h->links, links, h->addresses, addresses, h->routes, routes};
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool link_up(const struct source_tables *t, uint32_t ifindex)
{
    for (size_t i = 0; i < t->links_len; i++)
        if (t->links[i].ifindex == ifindex)
            return t->links[i].up;
    return false;
}

static bool address_exists(const struct source_tables *t, const struct ip_addr *a)
{
    for (size_t i = 0; i < t->addresses_len; i++)
        if (t->addresses[i].usable && t->addresses[i].ifindex != TUN &&
            link_up(t, t->addresses[i].ifindex) && ip_addr_equal(&t->addresses[i].ip, a))
            return true;
    return false;
}

static bool route_exists(const struct source_tables *t, const struct ip_addr *dst, uint32_t ifindex)
{
    for (size_t i = 0; i < t->routes_len; i++)
        if (t->routes[i].ifindex == ifindex && t->routes[i].type <= SOURCE_ROUTE_LOCAL &&
            ip_prefix_contains(&t->routes[i].dst, dst))
            return true;
    return false;
}

/* Removes the TUN's link, addresses and usable routes. */
static void remove_tun(struct host *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->tables.links_len; i++)
        if (h->links[i].ifindex != TUN)
            h->links[n++] = h->links[i];
    h->tables.links_len = n;
    n = 0;
    for (size_t i = 0; i < h->tables.addresses_len; i++)
        if (h->addresses[i].ifindex != TUN)
            h->addresses[n++] = h->addresses[i];
    h->tables.addresses_len = n;
    n = 0;
    for (size_t i = 0; i < h->tables.routes_len; i++)
        if (h->routes[i].ifindex != TUN || h->routes[i].type > SOURCE_ROUTE_LOCAL)
            h->routes[n++] = h->routes[i];
    h->tables.routes_len = n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct host h;
    struct ip_source out, again;
    unsigned family = take_family(&in);
    struct ip_addr dst = take_addr(&in, family);
    take_host(&in, &h);
    enum err e = source_rank(&h.tables, &dst, TUN, &out);
    if (e == ERR_OK) {
        require(out.ifindex != TUN && link_up(&h.tables, out.ifindex));
        require(out.ip.family == dst.family && address_exists(&h.tables, &out.ip));
        require(route_exists(&h.tables, &dst, out.ifindex));
    } else {
        require(e == ERR_UNREACHABLE || e == ERR_INVALID);
        require(out.ip.family == ADDR_NONE && out.ifindex == 0);
    }
    remove_tun(&h);
    require(source_rank(&h.tables, &dst, 0, &again) == e);
    require(ip_addr_equal(&out.ip, &again.ip) && out.ifindex == again.ifindex);
    return 0;
}
