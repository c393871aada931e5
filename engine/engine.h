/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: N worker threads that move packets between the TUN and UDP sockets. It decides nothing: which peers
 * there are, their keys, paths and routes come from control by commands (engine/command.h) and snapshots; what
 * control must know comes back as events (engine/event.h) and counters.
 *
 * All functions here are for the control thread. Memory for packets is allocated by engine_new and engine_start only.
 */
#ifndef FZ_ENGINE_H
#define FZ_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/command.h"
#include "engine/counters.h"
#include "engine/crypt.h"
#include "engine/event.h"
#include "engine/wire/wg.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/time.h"
#include "platform/io.h"

struct engine;
struct peer;
struct session;

/*
 * A peer's slot is its number for its whole life; the owner worker's number stands in the top bits, so that a route
 * value or a receiver index tells the owner without a lookup.
 */
enum {
    ENGINE_WORKERS_MAX = 64,
    ENGINE_OWNER_SHIFT = 26,
    ENGINE_PEERS_MAX = 1 << 16, /* per engine */
    ENGINE_SESSION_BITS = 18 /* low bits of a receiver index: entry in the owner's session table */
};

/* When a worker asks others to seal and open batches for it (engine/help.h). */
enum engine_helpers {
    ENGINE_HELPERS_AUTO, /* when it has a backlog although it has a CPU to itself */
    ENGINE_HELPERS_OFF,
    ENGINE_HELPERS_ALWAYS /* whenever it has a backlog */
};

/* By what rules packets pass between the TUN and peers. */
enum engine_role {
    ENGINE_WIREGUARD, /* AllowedIPs: engine_set_routes */
    ENGINE_CLIENT,
    ENGINE_GATEWAY
};

struct engine_config {
    unsigned workers; /* 1..ENGINE_WORKERS_MAX */
    enum io_backend io;
    enum crypt_backend crypto;
    uint32_t mtu;        /* largest inner packet; lowered to what a UDP datagram carries */
    uint32_t peers_max;  /* slots, <= ENGINE_PEERS_MAX */
    bool pad;            /* pad plaintext to 16 bytes (plain WireGuard); Firezone mode does not */
    bool source_resolve; /* datagrams without a source go through the source cache */
    /*
     * A peer is sent to where control says, whatever path its own packets take; relays' channel data is understood. Else it is
     * where it was heard last (roaming).
     */
    bool fixed_paths;
    enum engine_role role;
    enum engine_helpers helpers;
    bool gate; /* one thread more, which owns no peers and gets all handshake messages */
    bool pin;  /* worker i runs on the i-th usable CPU only */
};

/* What the workers read and write; the descriptors stay the caller's and outlive the engine. */
struct engine_tun {
    int fds[ENGINE_WORKERS_MAX];
    unsigned queues;   /* 1: worker 0 reads for all, every worker writes to fds[0] */
    unsigned offloads; /* enum tun_offload */
    uint32_t ifindex;  /* what comes in by it on a socket is not meant for us; 0: not known */
};

/* ERR_UNSUPPORTED if the I/O or crypto backend asked for is not there; `why`: one clear sentence. */
enum err engine_new(struct engine **out, const struct engine_config *config, char *why,
                    unsigned why_size) MUST_USE;
/* Starts the workers. On error nothing runs. */
enum err engine_start(struct engine *e, const struct engine_tun *tun, char *why,
                      unsigned why_size) MUST_USE;
/* Stops and joins the workers (they let go of all descriptors first), frees everything. Accepts NULL. */
void engine_free(struct engine *e);

/* Workers that own peers. */
unsigned engine_workers(const struct engine *e);
/* With the gate: how many sockets a group needs, and whom roams and counters concern. */
unsigned engine_threads(const struct engine *e);
const char *engine_io_name(const struct engine *e);
const char *engine_crypto_name(const struct engine *e);
const struct counters *engine_counters(const struct engine *e, unsigned worker);
const struct io_stats *engine_io_stats(const struct engine *e, unsigned worker);

/* Becomes readable when events wait; engine_events_begin empties it and must come before the pops. */
int engine_event_fd(const struct engine *e);
void engine_events_begin(struct engine *e);
/* Pops one event of one kind, round robin over the workers. False: none. */
bool engine_pop_edge(struct engine *e, struct event_edge *out);
bool engine_pop_ack(struct engine *e, struct event_ack *out);
bool engine_pop_handshake(struct engine *e, struct event_handshake *out);
bool engine_pop_packet(struct engine *e, struct event_packet *out);
bool engine_pop_dns(struct engine *e, struct event_packet *out);
/* Events were left for later: makes engine_event_fd readable again. */
void engine_events_again(struct engine *e);

/*
 * Queues a command for a worker and wakes it if it sleeps. Never lost: what does not fit waits in an overflow list,
 * which engine_commands_flush moves on (false: something still waits; call again within a millisecond or so).
 */
void engine_command(struct engine *e, unsigned worker, const struct command *c);
bool engine_commands_flush(struct engine *e);
/* For COMMAND_PACKET and COMMAND_INJECT. Out of memory is fatal. */
struct command_block *engine_block_new(const uint8_t *bytes, uint32_t len);

/* ---- configuration, as snapshots ---- */

/* One AllowedIPs entry: where packets to the prefix go. */
struct engine_route {
    struct ip_prefix prefix;
    uint32_t peer; /* engine_peer_value */
};
/* Replaces all routes. ERR_NO_MEMORY: the old ones stay. */
enum err engine_set_routes(struct engine *e, const struct engine_route *routes, size_t n) MUST_USE;
/* What handshake messages are checked against: our public key, and a random secret for cookies. */
void engine_set_gate(struct engine *e, const uint8_t public_key[WG_KEY_LEN],
                     const uint8_t secret[32]);
/* A new secret; cookies of the one before stay valid until the next call. */
void engine_rotate_gate(struct engine *e, const uint8_t secret[32]);
/* Frees what no worker uses any more; call now and then. */
void engine_reclaim(struct engine *e);

/* ---- source addresses (engine/source_cache.h) ---- */

/* A worker asked about dst: true if it has to be resolved, for the generation in *generation. */
bool engine_source_wanted(struct engine *e, const struct ip_addr *dst, time_ns now,
                          uint64_t *generation);
/* The answer; source NULL: there is none. Then send COMMAND_SOURCE_ANSWER to the worker that asked. */
void engine_source_answer(struct engine *e, uint64_t generation, const struct ip_addr *dst,
                          const struct ip_source *source, time_ns now);
/* At a network change, before anything else: all answers are forgotten. */
void engine_sources_invalidate(struct engine *e);

/* ---- peers and sessions ---- */

/* A peer's record, to be given to worker `owner` by COMMAND_PEER_ADD. Out of memory is fatal. */
struct peer *engine_peer_new(uint32_t slot, unsigned owner);
/* Before it is added: packets wait for its first path as they do for a session; else they are dropped. */
void engine_peer_wait_for_path(struct peer *p);
/* Before it is added: so many packets are staged at most, up to 128 (as without this). */
void engine_peer_stage_limit(struct peer *p, uint16_t packets);
/* After ACK_PEER_GONE. */
void engine_peer_free(struct peer *p);
/* slot | owner << ENGINE_OWNER_SHIFT: what routes and edges carry. */
uint32_t engine_peer_value(const struct peer *p);

/* What control reads of a peer. Times are 0 for never; see control/wg/timers.h for their use. */
struct peer_activity {
    time_ns unanswered_since; /* first data sent with nothing authenticated received since */
    time_ns unacked_since;    /* first data received with nothing sent since */
    time_ns last_sent;        /* authenticated traversal */
    time_ns last_received;
    uint64_t rx_bytes, tx_bytes; /* authentic datagrams, handshakes included, as `wg show` counts */
    uint32_t current_index;      /* local index of the session in use for sending, 0: none */
    time_ns last_packet;         /* an inner packet, in either direction */
    struct sock_addr endpoint;   /* family ADDR_NONE: not known */
};
void engine_peer_activity(const struct peer *p, struct peer_activity *out);
/* The edges raised since the last call (enum edge_bit). */
uint32_t engine_peer_take_edges(struct peer *p);
/* Which timers control has running (enum arm_bit): the worker raises no edge for those. */
void engine_peer_arm(struct peer *p, uint32_t bits);
/* After this, look at the activity once more: see platform/base/edge.h. */
void engine_peer_disarm(struct peer *p, uint32_t bits);

struct session *engine_session_new(uint32_t local_index, uint32_t remote_index, bool initiator,
                                   time_ns created, const uint8_t send_key[CRYPT_KEY_LEN],
                                   const uint8_t receive_key[CRYPT_KEY_LEN]);
uint32_t engine_session_index(const struct session *s);
/* After ACK_SESSION_GONE. Wipes. */
void engine_session_free(struct session *s);

#endif
