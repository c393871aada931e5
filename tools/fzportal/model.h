/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal knows: its structures, for the files of this folder that are behind portal.h. Devices, once seen, stay
 * until the end, so that nothing that points to one has to be told when its socket goes; `session` says whether it is online.
 */
#ifndef FZ_TOOLS_FZPORTAL_MODEL_H
#define FZ_TOOLS_FZPORTAL_MODEL_H

#include <sys/queue.h>

#include "control/key_text.h"
#include "tools/fzportal/agent.h"
#include "tools/fzportal/config.h"
#include "tools/fzportal/derive.h"
#include "tools/fzportal/portal.h"
#include "tools/fzportal/table.h"

enum {
    PORTAL_RELAYS_PER_DEVICE = 2,
    PORTAL_REF_MAX = 63,
    PORTAL_DEVICES_MAX = 200000,
    PORTAL_REFUSALS_MAX = 16,
    PORTAL_QUEUE_FRAMES_MAX = 65536,
    PORTAL_QUEUE_BYTES_MAX = 64 << 20, /* an init of 10,000 resources has 3 MiB */
    PORTAL_PENDINGS_MAX = 16384,       /* of one client */
    PORTAL_PENDINGS_ALL_MAX = 65536,
    PORTAL_STUBS_MAX = 4096,
    PORTAL_RECEIVERS_MAX = 64,           /* of one message */
    PORTAL_QUEUED_BYTES_MAX = 256 << 20, /* of all sessions */
    PORTAL_POOLS_DELAY_MS = 200
};

/* Of the credentials that gateways get for relays: 2038-01-01, so that they stay the same. */
#define PORTAL_GATEWAY_RELAY_EXPIRY INT64_C(2145916800)

/* Text form of ids, ready for JSON. */
struct portal_id {
    struct uuid uuid;
    char text[UUID_TEXT_MAX];
};

struct site {
    const char *name;
    struct portal_id id;
};

struct token {
    const struct portal_config_token *config;
    struct portal_id actor_id;
    char *text;
    bool generated, revoked;
    uint8_t hash[32];   /* SHA-256 of `text` */
    const char *actor;  /* name */
    struct site *site;  /* gateways */
    int64_t expires_at; /* clients; others INT64_MAX */
};

struct policy {
    const struct portal_config_policy
        *config; /* NULL: the one for everybody that there is without any other */
    struct portal_id id;
    bool off; /* as if there were none */
};

struct policies {
    struct policy **at;
    size_t n;
};

struct resource {
    struct table_link by_id, by_name;
    TAILQ_ENTRY(resource) order;
    struct portal_config_resource c; /* own copy */
    struct portal_id id;
    struct site *site;        /* NULL: a pool */
    struct policies policies; /* those that name it; those of all resources come on top */
    json_t
        *views[2]; /* what clients get, with `gateway_groups` and with `sites`; NULL: to be made */
    bool untold;   /* a pool whose devices are others now */
    bool had;      /* during a change: the pool, the device, before it */
};

TAILQ_HEAD(grants, grant);
TAILQ_HEAD(pendings, pending);
TAILQ_HEAD(resources, resource);
TAILQ_HEAD(devices, device);
TAILQ_HEAD(relays, relay);
STAILQ_HEAD(frames, frame);

/* A client, or a gateway, by its external id; the row of the real portal's database. */
struct device {
    struct table_link by_key, by_id, by_v4, by_v6;
    TAILQ_ENTRY(device) order;
    enum portal_role role;
    struct portal_id id;
    struct token *token; /* the last one it came with */
    char *external_id, *name;
    char *serial, *uuid, *vendor_id, *firebase_id; /* NULL: not said */
    struct ip_addr v4, v6;
    uint8_t base[DERIVE_BASE_LEN];
    char key[KEY_BASE64_LEN + 1];   /* WireGuard's, of the last upgrade */
    struct portal_session *session; /* that has joined; NULL: offline */
    struct grants out, in;          /* of a client to others; of clients to this one */
};

struct relay {
    TAILQ_ENTRY(relay) order;
    struct portal_id id;
    struct ip_addr v4, v6;
    uint16_t port;
    char *secret;                    /* NULL: these are its credentials, */
    const char *username, *password; /* else they are NULL */
    const char *name;                /* of a static one, else NULL */
    struct portal_session *session;  /* NULL: static */
};

/* Client `client` may reach `resource` by `peer`, a gateway or a client, which may not have agreed yet. */
struct grant {
    struct table_link link;
    TAILQ_ENTRY(grant) order, out, in;
    struct portal_id id, resource;
    struct device *client, *peer;
    const struct token
        *token; /* of the client when it asked; the device may have come with another since */
    const struct policy *policy;
    int64_t expires_at;
};

/* A request that a gateway has not answered yet. What is left of one that nobody waits for any more is a stub, without answer. */
struct pending {
    struct table_link by_ref;
    TAILQ_ENTRY(pending) order, mine; /* by deadline; of the client's session, or of the stubs */
    char ref[PORTAL_REF_MAX + 1];
    struct portal_session *client; /* NULL: gone, or asked again */
    struct device *from, *gateway;
    struct portal_id resource;
    time_ns deadline;
    int64_t expires_at;
    json_t *answer; /* what the client gets when the gateway agrees; NULL: a stub */
};

struct frame {
    STAILQ_ENTRY(frame) next;
    char *text;
    size_t len;
};

enum session_state {
    SESSION_EXPECT_JOIN, /* no channel, or no longer */
    SESSION_JOINED,
    SESSION_OVER
};

struct portal_session {
    TAILQ_ENTRY(portal_session) order, idle, ready;
    struct portal *portal;
    void *user;
    uint64_t number; /* for the control interface */
    enum portal_role role;
    enum session_state state;
    unsigned close_code;
    bool v2, is_ready;
    struct token *token;
    struct device *device; /* NULL: a relay */
    char key[KEY_BASE64_LEN + 1];
    struct agent agent;
    struct ip_addr from;
    int64_t connected_at;
    time_ns idle_at;
    bool iceless;
    /* A relay's own. */
    struct ip_addr v4, v6;
    uint16_t port;
    struct relay *relay;
    /* Which relays a device holds. */
    struct portal_id relays[PORTAL_RELAYS_PER_DEVICE];
    unsigned relays_n;
    struct pendings pendings;
    /* Faults. */
    bool silent;     /* heartbeats are not answered */
    bool stall_join; /* joins are not */
    bool saw;        /* during a change: the resource, before it */
    struct frames queue;
    size_t queue_bytes, queue_frames;
    struct frame *sent;
};

TAILQ_HEAD(sessions, portal_session);

/* An answer that the next upgrades get instead of their own. */
struct refusal {
    uint32_t left;
    bool any_role;
    enum portal_role role;
    struct portal_answer answer;
};

struct portal {
    const struct portal_config *config;
    uint8_t seed[32];
    struct portal_time t; /* of the call that is under way */
    int64_t started_at;
    uint64_t drawn; /* how often something was made from the seed and the start */
    uint64_t session_numbers;
    struct portal_id account_id;
    bool listening;
    bool stall_joins, silent; /* of all sessions to come */

    struct token *tokens;
    int64_t expiry_next; /* of a token; INT64_MAX: none */
    struct site *sites;
    struct policy *policies;
    size_t policies_n;
    struct policies for_all; /* policies of all resources */
    struct portal_config_dns dns;

    struct resources resources;
    struct table resources_by_id, resources_by_name;
    struct devices devices;
    struct table devices_by_key, devices_by_id, devices_by_v4, devices_by_v6;
    struct relays relays;
    size_t relays_n;
    time_ns presence_at; /* TIME_NEVER: nothing to tell */
    time_ns pools_at;    /* the same of pools */

    struct sessions sessions, idle, idle_relays, ready;
    size_t queued_bytes, queued_bytes_max;
    struct grants grants;
    struct table grants_by_key;
    struct pendings pendings, stubs;
    size_t stubs_n;
    struct table pendings_by_ref;

    struct table buckets; /* of the connect limit */
    time_ns prune_at;
    struct refusal refusals[PORTAL_REFUSALS_MAX];
    unsigned refusals_n;
};

#endif
