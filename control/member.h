/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client and a gateway have in common as members of a Firezone network, from sign-in to exit: the loop and its signals,
 * the key, the name resolver, the connection to the portal, relays and peers, and the tunnel, which comes up with the first `init`, as that brings its
 * addresses, and stays up while the portal is away. One per process; control role.
 */
#ifndef FZ_CONTROL_MEMBER_H
#define FZ_CONTROL_MEMBER_H

#include <stdbool.h>

#include "control/peers.h"
#include "control/portal_io.h"
#include "control/relays.h"
#include "control/tunnel.h"
#include "control/wg/noise.h"
#include "platform/dns_control.h"

#define MEMBER_MARK                                                                                \
    0xfd002021u /* of every socket that must stay out of the tunnel; spec/platform.md 0 */

struct instance;

enum {
    MEMBER_WHY_MAX = PORTAL_IO_WHY_MAX
};

/* All text is borrowed until member_close. */
struct member_options {
    struct url api;
    const char *ca_file;          /* a private CA beside the system's store; NULL: none */
    const char *token;            /* printable ASCII without spaces; never logged */
    const char *external_id;      /* as sent: identity_external_id */
    const char *name;             /* of this device, for people */
    const char *device_serial;    /* NULL: not known */
    const char *device_uuid;      /* NULL: not known */
    const char *user_agent;       /* identity_user_agent */
    time_ns max_partition_ns;     /* TIME_NEVER: no limit */
    enum dns_method dns;          /* how the system is told whom to ask for names */
    bool dns_asked;               /* this method and no other */
    bool exit_when_up;            /* --exit: ends as if told to once the tunnel is up */
    struct tunnel_options tunnel; /* tun_name: what the device shall be called */
};

enum member_end {
    MEMBER_STOPPED,       /* told to */
    MEMBER_FAILED,        /* why */
    MEMBER_TOKEN_REJECTED /* why; the same token is of no use any more */
};

/* What differs. Static. */
struct member_role {
    const char *name;     /* "client": of the portal's topic and in the log */
    const char *endpoint; /* "client/v2/websocket" */
    /* Both are valid for the call only. */
    void (*message)(void *arg, const char *name, const json_t *payload);
    void (*hangup)(void *arg); /* SIGHUP */
    /* The machine is in another network. why: a phrase. */
    void (*moved)(void *arg, const char *why);
    void (*up)(void *arg);        /* the tunnel has come up */
    void (*resolvers)(void *arg); /* the system's may be others now; NULL: does not care */
    void (*ready)(void *arg);     /* a relay has answered, again */

    bool guarded; /* see tunnel_options */
    enum engine_role engine;

    /* Peers. */
    const char *peer; /* "gateway": what the other side is */
    const char *candidates,
        *invalidated; /* the messages with lines for a peer, and their payload */
    json_t *(*lines)(const struct uuid *peer, const char *const *lines, size_t n);
    void (*connected)(void *arg, const struct uuid *peer); /* NULL: does not care */
    void (*ended)(void *arg, const struct uuid *peer, const struct peers_end *end);
    /* As peers_events. */
    void (*inner)(void *arg, const struct uuid *peer, const uint8_t *packet, size_t len);
    void (*wanted)(void *arg, void *resource_arg);
    void (*stub)(void *arg, const uint8_t *packet, size_t len); /* NULL: none come */
    void (*dns)(void *arg, const uint8_t *packet, size_t len);
    void (*prohibited)(void *arg, const struct ip_addr *destination);
    void (*counters)(void *arg); /* SIGUSR1; NULL: has none of its own */
};

struct member {
    const struct member_options *options;
    const struct member_role *role;
    void *arg; /* of the role's functions */
    struct instance *instance;
    struct loop *loop;
    struct egress egress; /* of all sockets but the tunnel's, which has its own */
    struct names *names;
    struct netwatch *netwatch;
    struct dns_control *dns;
    struct portal_io *portal;
    struct tunnel *tunnel; /* NULL: no `init` has come yet */
    struct ip_addr ipv4, ipv6;
    struct noise_identity identity;
    struct relays relays;
    struct peers *peers;
    struct loop_timer reconnect; /* the portal's connection has lost its address */
    bool put_off;                /* that has been put off once */
    bool settling; /* the host's network is changing, and whether it has moved is not known yet */
    bool ending;

    enum member_end end;
    char why[MEMBER_WHY_MAX];
};

/*
 * Makes everything ready but the tunnel. The caller has hardened the process; no thread may exist yet but that of the log. On
 * failure the end is known, and member_run must not follow. member_close follows in any case.
 */
enum err member_open(struct member *m, const struct member_options *o,
                     const struct member_role *role, void *arg) MUST_USE;
/* Until a signal, member_stop or a failure ends it. */
void member_run(struct member *m);
/* Takes everything down, but leaves `end` and `why`, one clear sentence, which is in the log as well. */
void member_close(struct member *m);

/* The first reason counts. why: one sentence; "" for MEMBER_STOPPED. */
void member_stop(struct member *m, enum member_end end, const char *why);

/* What `init` says: the tunnel comes up with these addresses, or changes to them. If that fails, the member stops. */
void member_set_addresses(struct member *m, const struct ip_addr *ipv4, const struct ip_addr *ipv6);

/* member_host.c: watches the host's network and resolvers. */
enum err member_host_open(struct member *m, char *why, unsigned why_size) MUST_USE;
void member_host_close(struct member *m);
/* The tunnel has come up. */
void member_host_up(struct member *m);
/* The system's resolvers are read anew. */
void member_host_resolvers(struct member *m);
/* What is done after a move has just been done. */
void member_host_handled(struct member *m);

/* A new key, of the identity only: tunnel and portal have to be told. */
void member_new_identity(struct member *m);

/* A new connection to the portal, with the key that there is now, and with resolvers as they are now. */
void member_reconnect(struct member *m);
/* What the portal says of relays; gone: NULL for `init`. */
void member_relays(struct member *m, const json_t *named, const json_t *gone);
/* ERR_CLOSED: the portal is away. arg: the member. */
enum err member_push(void *arg, const char *name, const json_t *payload);
/* Lines of a peer's message, from the portal. */
void member_candidates(struct member *m, const struct uuid *peer, bool added, const json_t *lines);

#endif
