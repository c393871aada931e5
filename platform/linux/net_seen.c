/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array of digests. */
#include "platform/linux/net_seen.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

/* The kind is in the topmost bits of `what`, so that each has a range of its own. */
enum {
    KIND_SHIFT = 61
};
_Static_assert(NET_EVENT_NEXTHOP < 8, "a kind has three bits");

/* ---- digests: FNV-1a, 64 bits ---- */

static const uint64_t digest_empty = UINT64_C(0xcbf29ce484222325);

static uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++)
        digest = (digest ^ p[i]) * UINT64_C(0x100000001b3);
    return digest;
}

static uint64_t digest_u32(uint64_t digest, uint32_t value)
{
    return digest_bytes(digest, &value, sizeof value);
}

static uint64_t digest_ip(uint64_t digest, const struct ip_addr *ip)
{
    return digest_bytes(digest_u32(digest, ip->family), ip->bytes, sizeof ip->bytes);
}

static uint64_t digest_what(const struct net_event *e)
{
    uint64_t digest = digest_u32(digest_empty, e->ifindex);

    digest = digest_ip(digest, &e->dst.ip);
    digest = digest_u32(digest, e->dst.len);
    digest = digest_u32(digest, e->table);
    digest = digest_u32(digest, e->metric);
    digest = digest_u32(digest, e->tos);
    return digest >> (64 - KIND_SHIFT) | (uint64_t)e->kind << KIND_SHIFT;
}

static uint64_t digest_how(const struct net_event *e)
{
    uint64_t digest = digest_u32(digest_empty, e->state);

    digest = digest_u32(digest, e->mtu);
    digest = digest_u32(digest, e->master);
    digest = digest_u32(digest, e->usable);
    digest = digest_u32(digest, e->preference);
    digest = digest_u32(digest, e->nexthop_id);
    digest = digest_ip(digest, &e->source);
    for (size_t i = 0; i < e->hops_len; i++) {
        digest = digest_u32(digest, e->hops[i].ifindex);
        digest = digest_ip(digest, &e->hops[i].gateway);
    }
    return digest;
}

/* ---- the array ---- */

/* The first that is not below. */
static size_t find(const struct net_seen *s, uint64_t what)
{
    size_t low = 0, high = s->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->entries[middle].what < what)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void cut(struct net_seen *s, size_t from, size_t to)
{
    if (from == to)
        return;
    memmove(s->entries + from, s->entries + to, (s->len - to) * sizeof *s->entries);
    s->len -= to - from;
}

static void insert(struct net_seen *s, size_t at, struct net_seen_entry entry)
{
    s->entries = mem_grow(s->entries, s->len, sizeof *s->entries);
    memmove(s->entries + at + 1, s->entries + at, (s->len - at) * sizeof *s->entries);
    s->entries[at] = entry;
    s->len++;
}

static void forget_kind(struct net_seen *s, enum net_event_kind kind)
{
    cut(s, find(s, (uint64_t)kind << KIND_SHIFT), find(s, ((uint64_t)kind + 1) << KIND_SHIFT));
}

void net_seen_forget(struct net_seen *s)
{
    s->len = 0;
}

void net_seen_fini(struct net_seen *s)
{
    free(s->entries);
    *s = (struct net_seen){0};
}

/*
 * Routes that stay are told of when somebody sets them, and IPv4's vanish with their link without a word: of these
 * nothing would be known for sure.
 */
static bool is_lasting(const struct net_event *e)
{
    if (e->gone)
        return false;
    switch (e->kind) {
    case NET_EVENT_LINK:
    case NET_EVENT_ADDRESS:
        return true;
    case NET_EVENT_ROUTE:
        return e->family == ADDR_V6 && e->expires;
    case NET_EVENT_NONE:
    case NET_EVENT_RULE:
    case NET_EVENT_NEXTHOP:
        return false;
    }
    return false;
}

bool net_seen_take(struct net_seen *s, const struct net_event *e)
{
    if (e->kind == NET_EVENT_NONE)
        return false;
    struct net_seen_entry entry = {.what = digest_what(e), .how = digest_how(e)};
    size_t at = find(s, entry.what);
    bool known = at < s->len && s->entries[at].what == entry.what;
    if (!is_lasting(e)) {
        cut(s, at, known ? at + 1 : at);
    } else if (known) {
        if (s->entries[at].how == entry.how)
            return false;
        s->entries[at] = entry;
    } else {
        if (s->len >= NET_SEEN_MAX) {
            net_seen_forget(s);
            at = 0;
        }
        insert(s, at, entry);
    }
    /* A link may take its routes along without a word, if the system is set up like that. */
    if (e->kind == NET_EVENT_LINK)
        forget_kind(s, NET_EVENT_ROUTE);
    return true;
}
