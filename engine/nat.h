/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway's tables for names of resources: **translations**, which say for what real address one of a client's proxy addresses
 * stands and by which grants, and **sessions**, the flows through them. A client keeps its source address (the kernel
 * masquerades it); destination and, where two flows would be one, source port or echo identifier are exchanged.
 *
 *              client                     gateway                         network
 *     src client:port, dst proxy   -->   session: inside (proto, port, proxy)    src client:q, dst real
 *     src proxy, dst client:port   <--            outside (proto, q, real)  <--  src real, dst client:q
 *
 * One worker's; it owns the peers of the clients that are in them. Bounded: each table has a fixed number of entries, of which a client
 * gets a share, and a search for a free port ends. Entries are looked at for expiry when they are met, and a few with each new one.
 * Source: spec/tunnel.md 8.4, 8.5. Memory is allocated by nat_init only, and touched when it is used.
 */
#ifndef FZ_NAT_H
#define FZ_NAT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/grants.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

#define NAT_TTL_TCP_NS        (7440 * NS_PER_SEC)
#define NAT_TTL_NS            (120 * NS_PER_SEC) /* UDP, echo */
#define NAT_TTL_UNANSWERED_NS (60 * NS_PER_SEC)
#define NAT_TTL_FINISHED_NS   (5 * NS_PER_SEC) /* FIN both ways */
#define NAT_TTL_RESET_NS      (1 * NS_PER_SEC)

enum {
    NAT_SESSIONS_MAX = 1 << 18,
    NAT_TRANSLATIONS_MAX = 1 << 18,
    NAT_SHARE = 4,      /* a client has at most this part of either */
    NAT_GRANTS_MAX = 8, /* of one translation; the latest stay */
    NAT_PORT_TRIES = 512,
    NAT_SWEEP = 4 /* entries looked at with each new session */
};

enum nat_proto {
    NAT_TCP,
    NAT_UDP,
    NAT_ECHO
};

/* The part of the tables that is a client's. It outlives the client's peers: who comes back finds his flows again. */
struct nat_peer {
    uint32_t tenant; /* which of the clients that have had this number */
    uint32_t sessions, sessions_n;
    uint32_t translations, translations_n;
};

struct nat_translation {
    uint64_t domain;
    uint32_t client;
    uint32_t next; /* of a chain; indexes + 1, 0: none; so below */
    uint32_t peer_prev, peer_next;
    uint8_t version;
    bool has_real;
    uint8_t grants_n;
    uint16_t grants[NAT_GRANTS_MAX];
    uint8_t proxy[16], real[16];
};

struct nat_session {
    uint64_t inside, outside; /* client, version, protocol, port; 0: the entry is free */
    uint32_t next_inside, next_outside;
    uint32_t peer_prev, peer_next;
    struct nat_peer *peer;
    time_ns last, last_out;
    bool answered, fin_out, fin_in, reset;
    uint8_t proxy[16], real[16];
};

struct nat {
    uint64_t secret;
    struct nat_peer *peers; /* by the client's number, below ENGINE_PEERS_MAX */
    struct nat_session *sessions;
    struct nat_translation *translations;
    uint32_t *by_inside, *by_outside, *by_proxy; /* chains */
    uint32_t sessions_used,
        sessions_free; /* used: entries that were ever; free: a list of those that are again */
    uint32_t translations_used, translations_free;
    uint32_t sweep;
};

enum nat_result {
    NAT_OK,
    NAT_FULL,       /* the table is */
    NAT_SHARE_FULL, /* the client has its share */
    NAT_NO_PORT
};

/* secret: random. */
enum err nat_init(struct nat *n, uint64_t secret) MUST_USE;
void nat_fini(struct nat *n);

/* The client's entries are gone. */
void nat_clear(struct nat *n, struct nat_peer *p);
/* The number is this tenant's from now on: what is of another one is gone. */
void nat_adopt(struct nat *n, uint32_t client, uint32_t tenant);

/*
 * Sets up what the translation says. Another name on one of its addresses: the client's entries go first. On failure some of it
 * may be there.
 */
enum nat_result nat_translate(struct nat *n, struct nat_peer *p, uint32_t client,
                              const struct engine_translation *t);
/* NULL: the address stands for nothing. addr: 4 or 16 bytes. */
const struct nat_translation *nat_find(const struct nat *n, uint32_t client, unsigned version,
                                       const uint8_t *addr);

/* The session of a flow from `port` through the translation, which has a real address; a new one if there is none. */
enum nat_result nat_out(struct nat *n, struct nat_peer *p, const struct nat_translation *t,
                        enum nat_proto proto, uint16_t port, time_ns now, struct nat_session **out);
/* The session that a packet from `real` to `port` belongs to; NULL: none. One that has expired is gone then. */
struct nat_session *nat_in(struct nat *n, uint32_t client, enum nat_proto proto, uint16_t port,
                           unsigned version, const uint8_t *real, time_ns now, bool *expired);

/* A packet of it was seen; flags: of TCP, else 0. */
void nat_seen_out(struct nat_session *s, uint8_t tcp_flags, time_ns now);
void nat_seen_in(struct nat_session *s, uint8_t tcp_flags, time_ns now);

static inline uint16_t nat_inside_port(const struct nat_session *s)
{
    return (uint16_t)s->inside;
}

static inline uint16_t nat_outside_port(const struct nat_session *s)
{
    return (uint16_t)s->outside;
}

#endif
