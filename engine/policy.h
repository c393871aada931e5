/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's policy as the workers read it: immutable snapshots that engine/client.h's structures are compiled to, and the
 * decision about one packet. Private to engine/. Building: control (heap). Deciding: any thread, no allocation.
 */
#ifndef FZ_POLICY_H
#define FZ_POLICY_H

#include "engine/client.h"
#include "engine/counters.h"
#include "engine/route.h"
#include "engine/wire/ip.h"
#include "platform/base/snapshot.h"

struct policy_resource {
    const struct filter *filter;
    uint32_t peer, waits, generation;
    uint8_t kind;
};

/* Shared by policies with the same routes; control counts. */
struct policy_routes {
    struct route_table *table; /* values: indexes of resources */
    unsigned users;
};

struct policy {
    bool has_v4, has_v6;
    uint8_t v4[4], v6[16]; /* our own */
    unsigned stubs_n;
    struct ip_addr stubs[ENGINE_STUBS_MAX];
    struct policy_routes *routes;
    size_t resources_n;
    struct policy_resource resources[]; /* behind them their filters */
};

struct policy_name {
    unsigned n;
    struct engine_name_target targets[];
};

/* Names by index: pages come when they are needed and stay. All pointers are snapshots. */
enum {
    POLICY_PAGE_NAMES = 4096,
    POLICY_PAGES = ENGINE_NAMES_MAX / POLICY_PAGE_NAMES
};

struct policy_page {
    struct policy_name *names[POLICY_PAGE_NAMES];
};

struct policy_names {
    struct policy_page *pages[POLICY_PAGES];
};

/* before: the policy whose routes are kept with same_routes; NULL: none. NULL: out of memory. */
struct policy *policy_new(const struct engine_policy *from, const struct policy *before) MUST_USE;
/* Accepts NULL; suits snapshot_publish. */
void policy_free(void *policy);

enum err policy_names_set(struct policy_names *names, struct snapshot_domain *d, uint32_t name,
                          const struct engine_name_target *targets, unsigned n) MUST_USE;
void policy_names_fini(struct policy_names *names);

/* Where a packet goes. */
struct policy_choice {
    const struct policy_resource *resource;
    const struct engine_name_target *target; /* NULL: it is no name's */
};

/*
 * Decides the packet, whose IP header and transport header lie at `packet` (v: its view). VERDICT_N: to the choice; VERDICT_OUT_STUB: it
 * is for control; VERDICT_OUT_PROHIBITED: its sender is told so; otherwise it is dropped. p: NULL before there is a policy.
 */
enum verdict policy_decide(const struct policy *p, const struct policy_names *names,
                           const struct ip_view *v, const uint8_t *packet,
                           struct policy_choice *choice);

/* Whom the chosen packet is for: the peer, or the record where it waits; ENGINE_NONE: neither. */
static inline uint32_t policy_destination(const struct policy_choice *c)
{
    if (c->resource->peer == ENGINE_NONE)
        return c->resource->waits;
    return c->target && c->target->hold ? c->target->waits : c->resource->peer;
}

/* The packet is for us. */
bool policy_is_own(const struct policy *p, unsigned version, const uint8_t *addr);
/* Something that is granted through the peer (engine_peer_value) has this address. */
bool policy_covers(const struct policy *p, const struct policy_names *names, unsigned version,
                   const uint8_t *addr, uint32_t peer);

#endif
