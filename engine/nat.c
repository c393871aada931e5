/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/nat.h"

#include <string.h>

#include "engine/wire/ip.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    SWEEP_ALWAYS = 4, /* flows looked at for each new one, */
    SWEEP_FULL =
        32, /* once the table has been full; enough while a 32nd of the flows has ended, wherever they lie, */
    SWEEP_NONE = 64, /* when there is no room, */
    SWEEP_SHARE = 16 /* and of a client that has its share */
};

_Static_assert(sizeof(struct nat_flow) == CACHE_LINE, "one cache line per flow");
_Static_assert(sizeof(struct nat_name) == 2 * CACHE_LINE, "two cache lines per name");

/* ---- memory ---- */

static size_t part(size_t *at, size_t size)
{
    size_t begin = *at;
    *at += ALIGN_UP(size, (size_t)CACHE_LINE);
    return begin;
}

/* Offsets of the tables, and their size in all. */
static size_t layout(uint32_t entries, uint32_t clients, size_t at[6])
{
    size_t size = 0;

    at[0] = part(&size, (entries + (size_t)1) * sizeof(struct nat_name));
    at[1] = part(&size, (entries + (size_t)1) * sizeof(struct nat_flow));
    for (unsigned i = 2; i < 5; i++)
        at[i] = part(&size, (size_t)entries * sizeof(uint32_t));
    at[5] = part(&size, (size_t)clients * sizeof(struct nat_client));
    return size;
}

size_t nat_size(uint32_t entries, uint32_t clients)
{
    size_t at[6];
    return layout(entries, clients, at);
}

void nat_init(struct nat *n, void *memory, uint32_t entries, uint32_t clients, uint64_t seed)
{
    uint8_t *p = memory;
    size_t at[6];

    ASSERT(entries >= 64 && (entries & (entries - 1)) == 0);
    layout(entries, clients, at);
    *n = (struct nat){.seed = seed, .entries = entries, .clients_n = clients, .hand = 1};
    n->names = (struct nat_name *)(void *)(p + at[0]);
    n->flows = (struct nat_flow *)(void *)(p + at[1]);
    n->names_hash = (uint32_t *)(void *)(p + at[2]);
    n->inside_hash = (uint32_t *)(void *)(p + at[3]);
    n->outside_hash = (uint32_t *)(void *)(p + at[4]);
    n->clients = (struct nat_client *)(void *)(p + at[5]);
}

/* ---- hashes: clients choose what goes in, so they depend on the seed ---- */

#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t *bucket(const struct nat *n, uint32_t *table, uint64_t key)
{
    uint64_t h = mix(key ^ n->seed, MULTIPLIER);
    return &table[mix(h, n->seed | 1) & (n->entries - 1)];
}

static uint32_t *names_bucket(const struct nat *n, uint32_t owner, unsigned version, uint32_t proxy)
{
    return bucket(n, n->names_hash, mix(owner + n->seed, version) ^ proxy);
}

static uint32_t *inside_bucket(const struct nat *n, uint32_t name, uint8_t proto, uint16_t port)
{
    return bucket(n, n->inside_hash, (uint64_t)name << 32 | (uint32_t)proto << 16 | port);
}

/* real: 16 bytes */
static uint32_t *outside_bucket(const struct nat *n, uint32_t owner, uint8_t proto, uint16_t port,
                                const uint8_t *real)
{
    uint64_t address = mix(load_le64(real) ^ n->seed, load_le64(real + 8) ^ ~n->seed);
    return bucket(n, n->outside_hash,
                  address ^ ((uint64_t)owner << 32 | (uint32_t)proto << 16 | port));
}

/* ---- pools and lists ---- */

static struct nat_client *client_at(const struct nat *n, uint32_t client)
{
    ASSERT(client < n->clients_n);
    return &n->clients[client];
}

/* `dead` gets all of a list, by links that the caller has joined. */
static void list_append(struct nat_list *dead, const struct nat_list *list, uint32_t *last_link)
{
    if (list->n == 0)
        return;
    if (dead->n == 0)
        dead->first = list->first;
    else
        *last_link = list->first;
    dead->last = list->last;
    dead->n += list->n;
}

void nat_forget(struct nat *n, uint32_t client)
{
    struct nat_client *p = client_at(n, client);
    struct nat_list *names = &n->names_pool.dead, *flows = &n->flows_pool.dead;

    list_append(names, &p->names, &n->names[names->last].client_next);
    list_append(flows, &p->flows, &n->flows[flows->last].client_next);
    *p = (struct nat_client){.tenant = p->tenant};
}

void nat_adopt(struct nat *n, uint32_t client, uint32_t tenant)
{
    if (client_at(n, client)->tenant == tenant)
        return;
    nat_forget(n, client);
    client_at(n, client)->tenant = tenant;
}

static void owner_give(struct nat *n, struct nat_client *p)
{
    if (p->owner == 0)
        p->owner = ++n->owners == 0 ? ++n->owners : n->owners;
}

/* ---- names ---- */

static void name_unhash(struct nat *n, uint32_t index)
{
    const struct nat_name *x = &n->names[index];
    uint32_t *link = names_bucket(n, x->owner, x->version, x->proxy);

    while (*link != index)
        link = &n->names[*link].hash_next;
    *link = x->hash_next;
}

/* 0: there is none. */
static uint32_t name_take(struct nat *n)
{
    struct nat_pool *pool = &n->names_pool;
    uint32_t index = pool->dead.first;

    if (pool->dead.n > 0) {
        name_unhash(n, index);
        pool->dead.first = n->names[index].client_next;
        pool->dead.n--;
        return index;
    }
    return pool->touched < n->entries ? ++pool->touched : 0;
}

uint32_t nat_names_room(const struct nat *n, uint32_t client)
{
    const struct nat_pool *pool = &n->names_pool;
    uint32_t share = n->entries / NAT_SHARE - client_at(n, client)->names.n;

    return (uint32_t)size_min(share, pool->dead.n + (n->entries - pool->touched));
}

static struct nat_name *name_lookup(const struct nat *n, uint32_t owner, unsigned version,
                                    uint32_t proxy)
{
    for (uint32_t i = *names_bucket(n, owner, version, proxy); i != 0; i = n->names[i].hash_next) {
        struct nat_name *x = &n->names[i];
        if (x->proxy == proxy && x->owner == owner && x->version == version)
            return x;
    }
    return NULL;
}

struct nat_name *nat_name_find(const struct nat *n, uint32_t client, unsigned version,
                               const uint8_t *addr)
{
    uint32_t owner = client_at(n, client)->owner;

    if (owner == 0 || !range_is_proxy(version, addr))
        return NULL;
    return name_lookup(n, owner, version, load_be32(addr + (version == 4 ? 0 : 12)));
}

void nat_name_proxy(const struct nat_name *name, uint8_t *out)
{
    struct ip_addr first = proxy_addr_v6(0, 0);

    if (name->version == 6)
        memcpy(out, first.bytes, 12);
    store_be32(out + (name->version == 4 ? 0 : 12), name->proxy);
}

static enum nat_result name_add(struct nat *n, uint32_t client, unsigned version, uint32_t proxy,
                                struct nat_name **out)
{
    struct nat_client *p = client_at(n, client);

    if (p->names.n >= n->entries / NAT_SHARE)
        return NAT_SHARE_FULL;
    uint32_t index = name_take(n);
    if (index == 0)
        return NAT_FULL;
    owner_give(n, p);
    struct nat_name *x = *out = &n->names[index];
    uint32_t *link = names_bucket(n, p->owner, version, proxy);
    *x = (struct nat_name){.owner = p->owner,
                           .hash_next = *link,
                           .client_next = p->names.first,
                           .proxy = proxy,
                           .version = (uint8_t)version};
    *link = index;
    if (p->names.n++ == 0)
        p->names.last = index;
    p->names.first = index;
    return NAT_OK;
}

/* False: there is no room, and nothing has changed but that those that are over are gone. */
static bool grants_add(struct nat_name *x, uint16_t grant, nat_grant_over_fn over, const void *arg)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < x->grants_n; i++) {
        if (x->grants[i] != grant && !over(arg, x->grants[i]))
            x->grants[kept++] = x->grants[i];
    }
    x->grants_n = (uint8_t)kept;
    if (kept == NAT_GRANTS_MAX)
        return false;
    x->grants[x->grants_n++] = grant;
    return true;
}

enum nat_result nat_name_set(struct nat *n, uint32_t client, const struct ip_addr *proxy,
                             const struct ip_addr *real, uint64_t domain, uint16_t grant,
                             nat_grant_over_fn over, const void *arg)
{
    unsigned version = proxy->family;
    uint32_t last = load_be32(proxy->bytes + (version == 4 ? 0 : 12));
    enum nat_result result = NAT_OK;

    if ((version != 4 && version != 6) || !range_is_proxy(version, proxy->bytes))
        return NAT_NO_PROXY;
    struct nat_name *x = nat_name_find(n, client, version, proxy->bytes);
    if (!x)
        result = name_add(n, client, version, last, &x);
    if (result != NAT_OK)
        return result;
    if (!grants_add(x, grant, over, arg))
        return NAT_GRANTS_FULL;
    x->domain = domain;
    x->has_real = real->family == version && !range_is_special(version, real->bytes);
    memset(x->real, 0, sizeof x->real);
    if (x->has_real)
        memcpy(x->real, real->bytes, version == 4 ? 4 : 16);
    return NAT_OK;
}

/* ---- the life of flows ---- */

static time_ns end_of(const struct nat_flow *f)
{
    uint64_t seconds = f->proto == IP_PROTO_TCP ? NAT_TCP_S : NAT_OTHER_S;

    if (f->flags & NAT_RST)
        return f->last;
    if (!(f->flags & NAT_ANSWERED))
        seconds = NAT_UNANSWERED_S;
    if ((f->flags & (NAT_FIN_OUT | NAT_FIN_IN)) == (NAT_FIN_OUT | NAT_FIN_IN))
        seconds = NAT_CLOSING_S;
    return f->last + seconds * NS_PER_SEC;
}

bool nat_has_ended(const struct nat_flow *flow, time_ns now)
{
    return now >= end_of(flow);
}

static void flow_unhash_inside(struct nat *n, uint32_t index)
{
    struct nat_flow *f = &n->flows[index];
    uint32_t *link = inside_bucket(n, f->name, f->proto, f->port);

    if (f->flags & NAT_REPLACED)
        return;
    while (*link != index)
        link = &n->flows[*link].inside_next;
    *link = f->inside_next;
    f->flags |= NAT_REPLACED;
}

static void flow_unhash(struct nat *n, uint32_t index)
{
    struct nat_flow *f = &n->flows[index];
    uint32_t *link = outside_bucket(n, f->owner, f->proto, f->outer_port, f->real);

    flow_unhash_inside(n, index);
    while (*link != index)
        link = &n->flows[*link].outside_next;
    *link = f->outside_next;
    f->proto = 0;
}

static void flow_unlist(struct nat *n, struct nat_list *list, uint32_t index)
{
    const struct nat_flow *f = &n->flows[index];

    *(f->client_previous ? &n->flows[f->client_previous].client_next : &list->first) =
        f->client_next;
    *(f->client_next ? &n->flows[f->client_next].client_previous : &list->last) =
        f->client_previous;
    list->n--;
}

static void flow_list(struct nat *n, struct nat_list *list, uint32_t index)
{
    struct nat_flow *f = &n->flows[index];

    f->client_previous = list->last;
    f->client_next = 0;
    *(list->last ? &n->flows[list->last].client_next : &list->first) = index;
    list->last = index;
    list->n++;
}

static void flow_remove(struct nat *n, uint32_t index)
{
    struct nat_flow *f = &n->flows[index];

    flow_unhash(n, index);
    flow_unlist(n, &client_at(n, f->client)->flows, index);
    f->client_next = n->flows_pool.free;
    n->flows_pool.free = index;
}

/* Removes those of the next `count` that ended `kept` ago. */
static void sweep(struct nat *n, unsigned count, uint64_t kept, time_ns now)
{
    for (unsigned i = 0; i < count && n->flows_pool.touched > 0; i++) {
        const struct nat_flow *f = &n->flows[n->hand];
        bool valid = f->proto != 0 && client_at(n, f->client)->owner == f->owner;
        if (valid && time_since(now, end_of(f)) >= kept && nat_has_ended(f, now))
            flow_remove(n, n->hand);
        n->hand = n->hand < n->flows_pool.touched ? n->hand + 1 : 1;
    }
}

/* The client's oldest make room if they have ended; else they are looked at last from now on. */
static void sweep_client(struct nat *n, struct nat_list *list, time_ns now)
{
    for (unsigned i = 0; i < SWEEP_SHARE && list->n > 0; i++) {
        uint32_t index = list->first;
        if (nat_has_ended(&n->flows[index], now)) {
            flow_remove(n, index);
            continue;
        }
        flow_unlist(n, list, index);
        flow_list(n, list, index);
    }
}

/* 0: there is none. */
static uint32_t flow_take(struct nat *n, time_ns now)
{
    struct nat_pool *pool = &n->flows_pool;
    uint32_t index = pool->dead.first;

    if (pool->dead.n > 0) {
        flow_unhash(n, index);
        pool->dead.first = n->flows[index].client_next;
        pool->dead.n--;
        return index;
    }
    if (pool->free == 0 && pool->touched < n->entries)
        return ++pool->touched;
    if (pool->free == 0)
        sweep(n, SWEEP_NONE, 0, now);
    index = pool->free;
    if (index != 0)
        pool->free = n->flows[index].client_next;
    return index;
}

/* ---- flows ---- */

/* real: 16 bytes */
static uint32_t outside_find(const struct nat *n, uint32_t owner, unsigned version, uint8_t proto,
                             uint16_t port, const uint8_t *real)
{
    uint32_t i = *outside_bucket(n, owner, proto, port, real);

    while (i != 0) {
        const struct nat_flow *f = &n->flows[i];
        if (f->owner == owner && f->outer_port == port && f->proto == proto &&
            f->version == version && memcmp(f->real, real, sizeof f->real) == 0)
            return i;
        i = f->outside_next;
    }
    return 0;
}

static uint32_t inside_find(const struct nat *n, const struct nat_name *name, uint32_t index,
                            uint8_t proto, uint16_t port)
{
    uint32_t i = *inside_bucket(n, index, proto, port);

    while (i != 0) {
        const struct nat_flow *f = &n->flows[i];
        if (f->name == index && f->port == port && f->proto == proto && f->owner == name->owner)
            return i;
        i = f->inside_next;
    }
    return 0;
}

/* The i-th outer port that is tried. */
static uint16_t candidate(const struct nat *n, uint16_t port, const struct nat_name *name,
                          unsigned i)
{
    if (i == 0)
        return port;
    if (i < NAT_NEAR_TRIES)
        return (uint16_t)((port + i - 1) % UINT16_MAX + 1);
    uint64_t key = (uint64_t)name->proxy << 32 | (uint32_t)port << 16 | i;
    return (uint16_t)(mix(mix(key ^ n->seed, MULTIPLIER), n->seed | 1) % UINT16_MAX + 1);
}

/* One that no living flow to the same place has. */
static bool port_find(struct nat *n, const struct nat_name *name, uint8_t proto, uint16_t port,
                      time_ns now, uint16_t *out)
{
    for (unsigned i = 0; i < NAT_TRIES_MAX; i++) {
        *out = candidate(n, port, name, i);
        uint32_t other = outside_find(n, name->owner, name->version, proto, *out, name->real);
        if (other != 0 && !nat_has_ended(&n->flows[other], now))
            continue;
        if (other != 0)
            flow_remove(n, other);
        return true;
    }
    return false;
}

static enum nat_result flow_add(struct nat *n, uint32_t client, const struct nat_name *name,
                                uint8_t proto, uint16_t port, time_ns now, struct nat_flow **out)
{
    struct nat_client *p = client_at(n, client);
    uint32_t name_index = (uint32_t)(name - n->names);
    bool was_full = n->flows_pool.touched == n->entries;
    uint16_t outer;

    if (UNLIKELY(was_full))
        sweep(n, SWEEP_FULL, 0, now);
    else
        sweep(n, SWEEP_ALWAYS, NAT_KEPT_S * NS_PER_SEC, now);
    if (p->flows.n >= n->entries / NAT_SHARE)
        sweep_client(n, &p->flows, now);
    if (p->flows.n >= n->entries / NAT_SHARE)
        return NAT_SHARE_FULL;
    if (!port_find(n, name, proto, port, now, &outer))
        return NAT_NO_PORT;
    uint32_t index = flow_take(n, now);
    if (index == 0)
        return NAT_FULL;
    struct nat_flow *f = *out = &n->flows[index];
    uint32_t *inside = inside_bucket(n, name_index, proto, port);
    uint32_t *outside = outside_bucket(n, name->owner, proto, outer, name->real);
    *f = (struct nat_flow){.owner = name->owner,
                           .client = client,
                           .name = name_index,
                           .inside_next = *inside,
                           .outside_next = *outside,
                           .proto = proto,
                           .port = port,
                           .outer_port = outer,
                           .version = name->version,
                           .last = now};
    memcpy(f->real, name->real, sizeof f->real);
    *inside = *outside = index;
    flow_list(n, &p->flows, index);
    return NAT_OK;
}

enum nat_result nat_outbound(struct nat *n, uint32_t client, const struct nat_name *name,
                             uint8_t proto, uint16_t port, uint8_t tcp_flags, time_ns now,
                             struct nat_flow **flow)
{
    DASSERT(name->owner == client_at(n, client)->owner);
    if (!name->has_real)
        return NAT_NO_ADDRESS;
    uint32_t index = inside_find(n, name, (uint32_t)(name - n->names), proto, port);
    if (LIKELY(index != 0 && !nat_has_ended(&n->flows[index], now))) {
        struct nat_flow *f = *flow = &n->flows[index];
        f->last = now;
        f->flags |= (uint8_t)((tcp_flags & TCP_F_FIN ? NAT_FIN_OUT : 0) |
                              (tcp_flags & TCP_F_RST ? NAT_RST : 0));
        return NAT_OK;
    }
    if (index != 0)
        flow_unhash_inside(n, index);
    return flow_add(n, client, name, proto, port, now, flow);
}

struct nat_flow *nat_outside(const struct nat *n, uint32_t client, unsigned version, uint8_t proto,
                             uint16_t port, const uint8_t *real)
{
    uint32_t owner = client_at(n, client)->owner;
    uint8_t padded[16] = {0};

    if (owner == 0)
        return NULL;
    memcpy(padded, real, version == 4 ? 4 : 16);
    uint32_t index = outside_find(n, owner, version, proto, port, padded);
    return index != 0 ? &n->flows[index] : NULL;
}

void nat_inbound(struct nat_flow *flow, uint8_t tcp_flags, time_ns now)
{
    flow->last = now;
    flow->flags |= (uint8_t)(NAT_ANSWERED | (tcp_flags & TCP_F_FIN ? NAT_FIN_IN : 0) |
                             (tcp_flags & TCP_F_RST ? NAT_RST : 0));
}
