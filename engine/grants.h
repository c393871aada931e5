/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gateway's clients may reach (ENGINE_GATEWAY), as control tells the workers: for each peer its grants, which replace all
 * that it had, and for names of DNS resources the real addresses that a peer's proxy addresses stand for.
 *
 * Control thread. Source: spec/tunnel.md 8.
 */
#ifndef FZ_ENGINE_GRANTS_H
#define FZ_ENGINE_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/filter.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    ENGINE_TRANSLATION_MAX = 32 /* addresses */
};

enum engine_grant_kind {
    ENGINE_GRANT_DNS,
    ENGINE_GRANT_CIDR,
    ENGINE_GRANT_INTERNET
};

struct engine_grant {
    uint16_t index; /* of the grant with this peer; never another resource's while the peer lives */
    uint8_t kind;   /* enum engine_grant_kind */
    struct ip_prefix prefix;         /* CIDR */
    uint32_t order;                  /* of CIDR with one prefix the lowest is asked first */
    const struct filter_rule *rules; /* copied; none: everything is permitted */
    size_t rules_n;
};

struct engine_grants {
    struct ip_addr ipv4, ipv6; /* the peer's own */
    const struct engine_grant *grants;
    size_t n;
};

/* All that the peer may reach from now on. ERR_NO_MEMORY: what it had stays. */
enum err engine_set_grants(struct engine *e, struct peer *p,
                           const struct engine_grants *g) MUST_USE;

/*
 * Before it is added: it is the peer of this client. What the NAT knows of a client outlives its peers, which have the same owner;
 * COMMAND_CLIENT_FORGET ends it, or another tenant. client: below ENGINE_PEERS_MAX; tenant: differs between clients that have
 * had the number one after the other.
 */
void engine_peer_client(struct peer *p, uint32_t client, uint32_t tenant);

/* Our own addresses in the tunnel, which every peer may reach. */
void engine_set_gateway(struct engine *e, const struct ip_addr *ipv4, const struct ip_addr *ipv6);

/*
 * For COMMAND_TRANSLATE: control's, and the worker's to read until ACK_TRANSLATED. If one of the addresses stands for another name
 * already the peer has renumbered, and all that was known of its names and flows to them is forgotten first.
 */
struct engine_translation {
    uint32_t slot;
    bool refused;    /* the addresses stand for nothing: only the last sentence counts */
    uint16_t grant;  /* index of the one that leads to these addresses, too */
    uint64_t domain; /* the name: equal for equal ones only */
    uint8_t n;
    struct {
        struct ip_addr proxy, real; /* real: of the same family, or of ADDR_NONE: there is none */
    } pairs[ENGINE_TRANSLATION_MAX];
};

#endif
