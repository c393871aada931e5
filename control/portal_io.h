/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link to the portal (portal/link.h) with real names, sockets and WebSockets: for each attempt the host's name is resolved
 * anew, its addresses are raced, and the connection is upgraded. Control role.
 */
#ifndef FZ_CONTROL_PORTAL_IO_H
#define FZ_CONTROL_PORTAL_IO_H

#include <stdint.h>

#include <jansson.h>

#include "control/key_text.h"
#include "control/names.h"
#include "control/portal/url.h"
#include "platform/base/err.h"
#include "platform/base/time.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    PORTAL_IO_PARAMS_MAX = 12,
    PORTAL_IO_WHY_MAX = 640
};

struct portal_io;

enum portal_io_end {
    PORTAL_IO_TOKEN_INVALID, /* the same token is of no use any more */
    PORTAL_IO_REFUSED,       /* no further attempt would do better, or none is left */
    PORTAL_IO_UNSAFE         /* sockets cannot be kept out of the tunnel */
};

/* All text is borrowed until portal_io_free. */
struct portal_io_options {
    const struct url *url;
    const char *endpoint;           /* "client/v2/websocket" */
    const struct url_param *params; /* as url_target; public_key is added */
    const char *token, *user_agent;
    const char *topic;
    json_t *join_payload;        /* a reference is taken */
    const char *ca_file;         /* NULL: the system's store alone */
    const struct egress *egress; /* of all sockets; borrowed; NULL: none */
    time_ns max_partition_ns;
    struct names *names;
};

/* None of them may free the portal_io. */
struct portal_io_events {
    /* After each join: what the portal shall know first is to be pushed now. */
    void (*joined)(void *arg);
    /* Both are valid for the call only. */
    void (*message)(void *arg, const char *name, const json_t *payload);
    /* The connection is lost, or did not come about; the next attempt comes after delay_ns. why: one phrase. */
    void (*away)(void *arg, const char *why, time_ns delay_ns);
    /* Nothing more comes; why: one sentence. */
    void (*ended)(void *arg, enum portal_io_end end, const char *why);
};

/* The first attempt begins when the loop runs. On failure `why` is one sentence. */
enum err portal_io_new(struct portal_io **out, struct loop *l, const struct portal_io_options *o,
                       const uint8_t public_key[KEY_LEN], const struct portal_io_events *events,
                       void *arg, char *why, unsigned why_size) MUST_USE;
/* Ends the connection. Not from a callback. NULL: nothing. */
void portal_io_free(struct portal_io *p);

/* As link_push. ERR_CLOSED: there is no connection. */
enum err portal_io_push(struct portal_io *p, const char *name, const json_t *payload) MUST_USE;

/* The connection that there is, or is being made, has this address of ours. */
bool portal_io_uses(const struct portal_io *p, const struct ip_addr *ip);

/* The network has changed: a new connection, with this key from now on, as soon as the portal permits it. */
void portal_io_reset(struct portal_io *p, const uint8_t public_key[KEY_LEN]);

#endif
