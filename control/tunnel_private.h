/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel's state, shared by its files: tunnel.c (bringing up, taking down, host configuration), tunnel_update.c
 * (updates, in pieces), tunnel_table.c (adding and removing peers, AllowedIPs), tunnel_peers.c (the peers' handshakes) and tunnel_events.c (what the
 * workers report, roaming). Control role.
 */
#ifndef FZ_CONTROL_TUNNEL_PRIVATE_H
#define FZ_CONTROL_TUNNEL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/allowed.h"
#include "control/index.h"
#include "control/resolve.h"
#include "control/tunnel_policy.h"
#include "control/wg/handshake.h"
#include "engine/engine.h"
#include "platform/clock.h"
#include "platform/egress.h"
#include "platform/routes.h"
#include "platform/tun.h"
#include "platform/udp.h"

enum {
    TUNNEL_PEERS_MAX = 16384,
    TUNNEL_INDICES_MAX =
        16, /* per peer: in-flight initiations and sessions, some of them on their way out */
    TUNNEL_INDICES_OWN = 6 /* of these, kept for what we start ourselves */
};

struct tunnel_peer {
    struct tunnel *tunnel;
    struct wg_peer wg;
    struct peer *engine_peer;
    uint32_t slot;
    unsigned owner; /* worker */
    struct loop_timer timer;
    uint32_t armed; /* enum arm_bit as last told to the worker */

    struct sock_addr heard_from; /* the last handshake message, and where it came in */
    struct ip_source heard_at;

    /* Receiver indices we hold for it. */
    struct {
        uint32_t index;
        bool session; /* belongs to a session that the worker has */
    } indices[TUNNEL_INDICES_MAX];

    uint64_t last_timestamp_ns; /* of the newest initiation */

    uint64_t handshake_seconds; /* wall clock */
    uint32_t handshake_nanoseconds;
    uint16_t keepalive_seconds;
    struct tunnel_peer *hash_next; /* by public key */

    /* tunnel_p2p.c */
    struct p2p_peer p2p;
    void *arg;
    time_ns seen_sent, seen_received, seen_packet; /* as the worker published them last */
};

/* Changing sockets: the workers let go, then the new ones are handed out. */
struct tunnel_roam {
    unsigned acks_missing; /* 0: no change under way */
    bool again;            /* another one was asked for meanwhile */
    bool have_next;        /* `next` is open already (port change) */
    struct udp_group next_v4, next_v6;
    struct loop_timer retry; /* the sockets could not be opened: tried again */
    time_ns retry_after;     /* 0: the sockets are open */
};

/* Why the slot of a removed peer is not free yet. */
enum slot_leaving {
    SLOT_HELD_BY_WORKER = 1 << 0, /* it has not confirmed the removal */
    SLOT_HELD_BY_ROUTES = 1 << 1  /* the published routes may still lead to it */
};

#define TUNNEL_NO_SLOT UINT32_MAX

enum {
    TUNNEL_WAITS_MAX = 128 /* packets that wait for one peer or resource */
};

struct tunnel_resource {
    struct tunnel *tunnel;
    struct tunnel_resource_spec spec; /* with copies of its lists */
    uint32_t index, generation;       /* as the engine has it */
    uint32_t
        waits; /* slot of the record where its packets wait; TUNNEL_NO_SLOT: a gateway's own addresses have none */
    struct tunnel_peer *peer; /* it is granted through; NULL: none */
};

/* What the workers of a client decide by, tunnel_policy.c and tunnel_names.c. */
struct tunnel_policy {
    struct ip_addr ipv4, ipv6;
    struct ip_addr stubs[ENGINE_STUBS_MAX];
    unsigned stubs_n;
    struct tunnel_resource **resources; /* by index */
    size_t resources_n, resources_free; /* no index below is free */
    uint32_t generation;
    struct tunnel_resource *waiting[TUNNEL_PEERS_MAX]; /* by slot */
    bool dirty, routes_dirty;                          /* what is published is older */
    struct loop_timer timer;
    struct tunnel_leaving {
        uint32_t slot;
        unsigned owner;
    } * leaving; /* to be removed once it is published that they are gone */
    size_t leaving_n;
    struct tunnel_name **names; /* by number */
    size_t names_n;
    struct tunnel_release {
        uint32_t name, slot;
        uint64_t token;
    } * releases; /* the worker has not confirmed yet */
    size_t releases_n;
    uint64_t token;
};

struct tunnel {
    struct loop *loop;
    struct tunnel_options options;
    struct engine *engine;
    struct tun *tun;
    struct udp_group v4, v6; /* n == 0: not open */
    uint16_t port;
    uint32_t mark;        /* what the rules of the host look at */
    struct egress egress; /* how the sockets keep out of the TUN */
    uint32_t mtu;
    struct routes *host;
    int link_fd; /* routes_watch_fd; -1: not watched */
    struct resolve *resolve;
    struct tunnel_roam roam;

    /* Ours, one of the two; the other one is that of peers which do not know of the change yet. */
    struct noise_identity *identity, identities[2];
    time_ns gate_secret_at;
    uint64_t fresh_timestamp_ns; /* last handed out */
    uint64_t timestamp_base_ns;  /* with options.p2p: at time 0; 0: not known yet */

    struct peer *records[TUNNEL_PEERS_MAX];      /* by slot: what the engine has there */
    struct tunnel_peer *peers[TUNNEL_PEERS_MAX]; /* by slot */
    size_t peers_n;
    uint32_t slots_used;                    /* highest slot ever used + 1 */
    uint8_t slot_leaving[TUNNEL_PEERS_MAX]; /* set of enum slot_leaving */
    uint32_t slots_leaving;                 /* how many are not 0 */
    uint32_t slot_free_from;                /* no slot below is free */
    unsigned worker_load[ENGINE_WORKERS_MAX];
    struct tunnel_peer *by_key[4096];
    struct allowed allowed;
    bool routes_dirty,
        routes_failed; /* what is published is older than `allowed`; and could not be replaced */
    struct loop_timer routes_timer;
    struct index_table indices;

    /* Updates in the order in which they came; the first one is being worked off. */
    struct {
        struct tunnel_job *first, **last;
        struct loop_timer timer;
        bool running, waiting; /* waiting: for a free slot */
    } jobs;

    struct tunnel_policy policy;

    struct {
        struct ip_source sources[8]; /* addresses of ours that datagrams came to; ring */
        unsigned sources_next;
    } p2p;

    struct loop_timer overflow_timer;
    uint64_t packets_ignored, handshakes[WG_OUTCOME_COUNT], handshakes_unknown_peer;
    bool gone;          /* the device is */
    bool unsteered;     /* with options.p2p: the kernel has no policy routing */
    bool default_waits; /* default-route rules wait until the endpoints' names are resolved */
    uint32_t default_table;
    unsigned default_families; /* bit 0: v4, bit 1: v6 */
    char summary[256];
};

/* tunnel_update.c */
void tunnel_updates_init(struct tunnel *t);
/* Ends all updates with ERR_CLOSED and frees the peers. */
void tunnel_updates_fini(struct tunnel *t);
/* The peers of a first configuration, without pieces: before the loop runs. */
enum err tunnel_update_now(struct tunnel *t, const struct device_update *update) MUST_USE;
/* A slot is free again. */
void tunnel_jobs_wake(struct tunnel *t);

/* tunnel_table.c */
#define TUNNEL_ANY_WORKER UINT_MAX
struct tunnel_peer_spec {
    const uint8_t *public_key;
    uint32_t slot;
    unsigned owner; /* TUNNEL_ANY_WORKER: the one with the fewest */
    struct wg_timing timing;
    bool waits_for_path;     /* packets are kept for a peer that has none yet */
    uint32_t client, tenant; /* of a gateway: engine_peer_client */
};
bool tunnel_slot_find(struct tunnel *t, uint32_t *slot);
/* A peer as the engine sees it. waits: so many packets at most while it has no path; 0: none. */
struct peer *tunnel_record_add(struct tunnel *t, uint32_t slot, unsigned owner, uint16_t waits);
/* The same in two steps: what it has to know goes in between. */
struct peer *tunnel_record_new(struct tunnel *t, uint32_t slot, unsigned owner, uint16_t waits);
void tunnel_record_give(struct tunnel *t, struct peer *record, uint32_t slot, unsigned owner);
/* The worker lets go; the record is freed by ACK_PEER_GONE. What the workers route by may lead to the slot until routes
   without it are published. */
void tunnel_record_remove(struct tunnel *t, uint32_t slot, unsigned owner);
/* The same when there are no workers any more. */
void tunnel_record_forget(struct tunnel *t, uint32_t slot, unsigned owner);
struct tunnel_peer *tunnel_peer_find(struct tunnel *t, const uint8_t public_key[WG_KEY_LEN]);
struct tunnel_peer *tunnel_peer_add(struct tunnel *t, const struct tunnel_peer_spec *spec);
/* False: the time is up, some may be left. */
bool tunnel_allowed_clear(struct tunnel *t, const struct tunnel_peer *p, time_ns end);
/* False: the time is up. */
bool tunnel_peer_remove(struct tunnel *t, struct tunnel_peer *p, time_ns end);
/* All but its record. */
void tunnel_peer_forget(struct tunnel *t, struct tunnel_peer *p);
/* Its worker let go of it. */
void tunnel_peer_gone(struct tunnel *t, struct peer *p);
/* Packets of the TUN to the prefix go to this worker's queue; TUNNEL_ANY_WORKER: to none in particular. */
void tunnel_steer(struct tunnel *t, const struct ip_prefix *prefix, unsigned owner);
/* All that belong to one group have the same worker. */
unsigned tunnel_worker_of_group(const struct tunnel *t, uint32_t group);
/* On failure the old routes stay, with the slots they lead to, and it is tried again in a while. */
enum err tunnel_routes_publish(struct tunnel *t);
/* The same from the loop, once for many changes. */
void tunnel_routes_soon(struct tunnel *t);
void tunnel_on_routes_timer(void *arg);
static inline bool tunnel_time_is_up(time_ns end)
{
    return clock_now() >= end;
}

/* tunnel_peers.c */
void tunnel_peer_timer_init(struct tunnel_peer *p);
/* True if the peer did not know our present identity; now it does. */
bool tunnel_peer_refresh(struct tunnel_peer *p);
/* After any call into p->wg: carries out what it asks for and arms its timer. */
void tunnel_peer_drive(struct tunnel_peer *p);
void tunnel_peer_endpoint(struct tunnel_peer *p, const struct sock_addr *to, bool tell_wg);
/* Whether the peer may start one more session: false while its worker does not give old ones back. */
bool tunnel_indices_left(struct tunnel *t, struct tunnel_peer *p);
struct wg_fresh tunnel_fresh(struct tunnel *t, struct tunnel_peer *p);
/* After the call that `fresh` was for. */
void tunnel_fresh_done(struct tunnel *t, struct tunnel_peer *p, struct wg_fresh *fresh);
void tunnel_session_gone(struct tunnel *t, struct session *s, uint32_t local_index);
void tunnel_gate_publish(struct tunnel *t, bool rotate);
/* A command; retried from a timer if the worker's queue is full. */
void tunnel_command(struct tunnel *t, unsigned worker, const struct command *c);
void tunnel_resolved(void *arg, void *tag, const struct sock_addr *addrs, unsigned n);

/* tunnel.c: a name was resolved; the default route and the system's DNS may be taken once none is missing. */
void tunnel_names_came(struct tunnel *t);
/* Listen port and mark. */
enum err tunnel_settings_apply(struct tunnel *t, const struct device_update *update) MUST_USE;

/* tunnel_p2p.c, which is of no use without options.p2p. */
void tunnel_p2p_packet(struct tunnel *t, const struct event_packet *e);
void tunnel_p2p_want(struct tunnel_peer *p, struct wg_fresh *fresh);
void tunnel_p2p_note(struct tunnel_peer *p, const struct wg_event *e);
void tunnel_p2p_transmit(struct tunnel_peer *p);
void tunnel_p2p_traffic(struct tunnel_peer *p);
enum err tunnel_p2p_rules(struct tunnel *t) MUST_USE;

/* tunnel_policy.c, of a client only. */
void tunnel_policy_init(struct tunnel *t);
void tunnel_policy_fini(struct tunnel *t);
void tunnel_policy_wanted(struct tunnel *t, uint32_t slot);
void tunnel_policy_peer_add(struct tunnel_peer *peer, const struct ip_prefix *own, size_t n);
/* Whatever was granted to it waits again. */
void tunnel_policy_peer_remove(struct tunnel_peer *peer);
void tunnel_policy_publish(struct tunnel *t);
void tunnel_policy_soon(struct tunnel *t);
/* TUNNEL_NO_SLOT: ENGINE_NONE. */
uint32_t tunnel_slot_value(const struct tunnel *t, uint32_t slot);
/* Records where packets wait. TUNNEL_NO_SLOT: there are too many. */
uint32_t tunnel_wait_new(struct tunnel *t, unsigned owner, uint16_t packets_max);
/* What waits there takes its way now. */
void tunnel_wait_replay(struct tunnel *t, uint32_t slot, unsigned owner);
void tunnel_wait_leave(struct tunnel *t, uint32_t slot, unsigned owner);

/* tunnel_gateway.c */
void tunnel_gateway_translated(struct engine_translation *translation, bool done);

/* tunnel_names.c */
void tunnel_names_echo(struct tunnel *t, uint64_t token);
void tunnel_names_fini(struct tunnel *t);

/* tunnel_events.c */
void tunnel_on_events(void *arg, unsigned events);
enum err tunnel_sockets_open(struct tunnel *t, uint16_t port, struct udp_group *v4,
                             struct udp_group *v6, char *why, unsigned why_size) MUST_USE;
void tunnel_sockets_hand_out(struct tunnel *t);
void tunnel_roam_init(struct tunnel *t);
/* Starts a change of sockets; with have_next those in roam.next_* are taken. */
void tunnel_roam_begin(struct tunnel *t);

#endif
