/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client's packets may reach (ENGINE_CLIENT), as control tells the workers: resources, which prefixes lead to them, which
 * names' proxy addresses do (engine/wire/ranges.h), the peer that each is granted through, and the record where its packets wait
 * until it is. Workers decide every packet from snapshots of this; each function replaces one with a single pointer.
 *
 * A packet from the TUN is decided in this order; what it ends with is a verdict of engine/counters.h:
 *
 *     not whole -> to many -> not from us -> to us -> to a stub -> neither TCP, UDP nor echo
 *     a name's address: the first of its targets whose filters permit it
 *     else prefixes, the longest first: a gateway's own address, then CIDR resources, then the Internet, of the first kind that
 *         covers the destination the first whose filters permit it; the tunnel's own ranges are never the Internet
 *     one is found: to its peer, or it waits. One is found that does not permit it: the sender gets an ICMP error
 *
 * Control thread. Source: spec/tunnel.md 5.
 */
#ifndef FZ_ENGINE_CLIENT_H
#define FZ_ENGINE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/filter.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"

/* No peer, no record. */
#define ENGINE_NONE UINT32_MAX

enum {
    ENGINE_STUBS_MAX = 16,
    ENGINE_NAMES_MAX = 1 << 19,
    ENGINE_NAME_TARGETS_MAX = 32
};

enum engine_resource_kind {
    ENGINE_RESOURCE_NONE, /* an index that is not in use */
    ENGINE_RESOURCE_DNS,
    ENGINE_RESOURCE_CIDR,
    ENGINE_RESOURCE_INTERNET,
    ENGINE_RESOURCE_GATEWAY /* a gateway's own addresses */
};

struct engine_resource {
    uint8_t kind;        /* enum engine_resource_kind */
    uint32_t generation; /* differs between resources that have had the same index */
    uint32_t peer;       /* engine_peer_value of the gateway; ENGINE_NONE: it is not granted */
    /*
     * engine_peer_value of a record that control has added and that has no path (engine_peer_wait_for_path). Without a peer
     * packets are staged there, and its EDGE_WANT_HANDSHAKE tells control. With one, what is staged there goes on first: before the
     * resource's next packet, or by COMMAND_STAGE_REPLAY; each is decided once more. ENGINE_NONE: none.
     */
    uint32_t waits;
    const struct filter_rule *rules; /* copied; none: everything */
    size_t rules_n;
};

struct engine_policy_route {
    struct ip_prefix prefix;
    uint32_t resource; /* index; of kind CIDR, INTERNET or GATEWAY */
    uint32_t order;    /* within one prefix, ascending */
};

struct engine_policy {
    struct ip_addr ipv4, ipv6; /* our own; ADDR_NONE: the family is off */
    struct ip_addr stubs[ENGINE_STUBS_MAX];
    unsigned stubs_n;
    const struct engine_resource *resources; /* by index */
    size_t resources_n;
    const struct engine_policy_route *routes;
    size_t routes_n;
    bool same_routes; /* routes are ignored: those of the policy before stay */
};

/* Replaces all of it; copied. ERR_NO_MEMORY: the old one stays. */
enum err engine_set_policy(struct engine *e, const struct engine_policy *p) MUST_USE;

struct engine_name_target {
    uint32_t resource,
        generation; /* as in the policy; passed over when that has another generation */
    bool v4, v6;    /* the families that it has */
    bool
        hold; /* packets wait in `waits` although it is granted; without `waits` they are dropped */
    uint32_t waits; /* as of a resource; what is staged there goes on first once `hold` is false */
};

/* Replaces the targets of a name, in order of precedence; n 0: it has none any more. ERR_NO_MEMORY: the old ones stay. */
enum err engine_set_name(struct engine *e, uint32_t name, const struct engine_name_target *targets,
                         unsigned n) MUST_USE;

/* Control's own DNS traffic with peers, from ports of its own. */
enum engine_watch {
    ENGINE_WATCH_UDP,
    ENGINE_WATCH_TCP
};
/* What comes from a peer's port 53 or 53535 to this port, ICMP errors too, is an EVENT_PACKET_DNS. */
void engine_watch_port(struct engine *e, enum engine_watch what, uint16_t port, bool on);
/* A packet of control's that is decided as the host's are, but for stubs. */
void engine_inject(struct engine *e, const uint8_t *packet, uint32_t len);

#endif
