/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TURN relay as upstream's clients and gateways use it: what it does with a datagram, as a function of state, time and bytes. It
 * has one client-facing port and a port per allocation, of one or both families; somebody else owns the sockets.
 *
 *     client ----- channel data, requests ----> [client-facing port | relay | port of its allocation] ----- payload ----> peer
 *
 * A datagram leads to one datagram at most. After every call that takes a time, relay_poll_port is drained, before a reply
 * is sent. All tables have their size from the start: what does not fit is refused (508), the oldest nonce gives way.
 *
 * Not stated by the specification: a channel number outside 0x4000 to 0x4fff is refused with 400, as it could carry nothing.
 * Sans-IO, one thread. Source: spec/p2p.md 12; RFC 8656.
 */
#ifndef FZ_TOOLS_FZRELAY_RELAY_H
#define FZ_TOOLS_FZRELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/wire/channel.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

enum {
    RELAY_SEED_LEN = 32,
    RELAY_SECRET_MAX = 127,
    RELAY_CHANNELS_MAX = 65536,
    RELAY_NONCES_MAX = 65536,
    RELAY_NONCE_USES = 10000,
    RELAY_LIFETIME_S = 600,
    RELAY_LIFETIME_MAX_S = 3600,
    RELAY_PLANS_MAX = 8
};
#define RELAY_REALM       "firezone"
#define RELAY_SOFTWARE    "firezone-relay; rev=xxxx"
#define RELAY_CHANNEL_NS  (600 * NS_PER_SEC) /* from bind to unbind */
#define RELAY_RESERVED_NS (900 * NS_PER_SEC) /* from bind until number and peer are free */

/* What became of a datagram. */
#define RELAY_VERDICTS(X)                                                                          \
    X(REPLY, "replies")                                                                            \
    X(TO_PEER, "to_peers")                                                                         \
    X(TO_CLIENT, "to_clients")                                                                     \
    X(DROP_FROZEN, "drop_frozen")                                                                  \
    X(DROP_PORT_ZERO, "drop_port_zero")                                                            \
    X(DROP_NOT_TURN, "drop_not_turn")                                                              \
    X(DROP_NOT_REQUEST, "drop_not_request")                                                        \
    X(DROP_USERNAME, "drop_username")                                                              \
    X(DROP_NO_ALLOCATION, "drop_no_allocation")                                                    \
    X(DROP_NO_CHANNEL, "drop_no_channel")                                                          \
    X(DROP_STRANGER, "drop_stranger")                                                              \
    X(DROP_TOO_LONG, "drop_too_long")

enum relay_verdict {
#define X(name, text) RELAY_##name,
    RELAY_VERDICTS(X)
#undef X
    RELAY_VERDICT_COUNT
};

/* The errors it answers with; 403 only if it is told to (relay_plan_error). */
#define RELAY_ERRORS(X)                                                                            \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(403, "Forbidden")                                                                            \
    X(437, "Allocation Mismatch")                                                                  \
    X(438, "Stale Nonce")                                                                          \
    X(440, "Address Family not Supported")                                                         \
    X(443, "Peer Address Family Mismatch")                                                         \
    X(486, "Allocation Quota Reached")                                                             \
    X(508, "Insufficient Capacity")

enum relay_error {
#define X(code, text) RELAY_ERROR_##code,
    RELAY_ERRORS(X)
#undef X
    RELAY_ERROR_OTHER,
    RELAY_ERROR_COUNT
};

enum relay_families {
    RELAY_V4 = 1,
    RELAY_V6 = 2
};

/* One to send: `header`, then `bytes`. */
struct relay_datagram {
    struct sock_addr to; /* its family tells which of the port's sockets sends it */
    uint16_t port;       /* of the allocation; 0: the client-facing one */
    uint8_t header_len;  /* 0 or CHANNEL_HEADER_LEN */
    uint8_t header[CHANNEL_HEADER_LEN];
    const uint8_t *bytes; /* of the input, or of the relay's until its next call */
    size_t len;
};

struct relay_config {
    struct ip_addr public4, public6; /* ADDR_NONE: none, but not both */
    uint16_t lowest_port, highest_port;
    uint32_t allocations_max, channels_max, nonces_max; /* 0: as many as there are ports, RELAY_* */
    const char *stamp_secret;
    uint8_t seed[RELAY_SEED_LEN]; /* random, secret: of nonces, ports, hashes */
};

struct relay_server;

/* ERR_INVALID: no address, no ports, or a secret that is empty or too long. Out of memory is fatal. */
enum err relay_new(struct relay_server **out, const struct relay_config *config) MUST_USE;
void relay_free(struct relay_server *r);

/* ---- inputs ---- */

/* A datagram to the client-facing port. unix_s: seconds since 1970. out: set if the verdict is to send something. */
enum relay_verdict relay_handle_client(struct relay_server *r, time_ns now, int64_t unix_s,
                                       const struct sock_addr *from, const uint8_t *bytes,
                                       size_t len, struct relay_datagram *out);
/* One to an allocation's port. */
enum relay_verdict relay_handle_peer(struct relay_server *r, time_ns now, uint16_t port,
                                     const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                     struct relay_datagram *out);
/* TIME_NEVER: nothing can expire. */
time_ns relay_poll_timeout(const struct relay_server *r);
void relay_handle_timeout(struct relay_server *r, time_ns now);

/* ---- ports ---- */

struct relay_port {
    uint16_t port;
    uint8_t families; /* set of enum relay_families */
    bool open;        /* false: to be closed */
};

/* The next port to open or to close; false: none. It is closed before it comes again. */
bool relay_poll_port(struct relay_server *r, struct relay_port *out);
/*
 * The port that was reported last cannot be opened: the allocation is gone. True: *out is to be sent instead of the reply that
 * told of it (508).
 */
bool relay_port_failed(struct relay_server *r, uint16_t port, struct relay_datagram *out) MUST_USE;

/* ---- faults, and what one may want to know ---- */

enum relay_freeze {
    RELAY_FREEZE_NOTHING = 0,
    RELAY_FREEZE_REQUESTS = 1,
    RELAY_FREEZE_DATA = 2 /* both directions */
};

/* As if the datagrams had not come. */
void relay_freeze(struct relay_server *r, unsigned what);
/*
 * The next `count` requests of a method (enum stun_method) that are authentic get this error. False: no error code, or RELAY_PLANS_MAX
 * are under way.
 */
bool relay_plan_error(struct relay_server *r, uint16_t method, uint16_t code, uint32_t count);
/* No nonce is valid any more. */
void relay_forget_nonces(struct relay_server *r);
/* No credentials of before are valid any more; allocations stay. ERR_INVALID: as relay_new. */
enum err relay_set_secret(struct relay_server *r, const char *secret) MUST_USE;
const char *relay_secret(const struct relay_server *r);
/* Deletes the allocation with this port; 0: all. Returns how many there were. */
unsigned relay_drop(struct relay_server *r, uint16_t port);

struct relay_allocation {
    struct sock_addr client;
    uint16_t port;
    uint8_t families;
    unsigned channels; /* bound or reserved */
    time_ns expires_at;
};

/* One by one: *cursor is 0 at first. False: no more. */
bool relay_next_allocation(const struct relay_server *r, uint32_t *cursor,
                           struct relay_allocation *out);

struct relay_stats {
    uint64_t verdicts[RELAY_VERDICT_COUNT];
    uint64_t errors[RELAY_ERROR_COUNT];
    uint64_t bytes_to_peers, bytes_to_clients; /* payload */
    uint32_t allocations, channels, nonces;    /* that there are */
};

void relay_stats(const struct relay_server *r, struct relay_stats *out);

const char *relay_verdict_text(enum relay_verdict v);
/* "400"; "other" */
const char *relay_error_text(enum relay_error e);

#endif
