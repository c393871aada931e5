/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The development portal's sockets: listens, upgrades, carries frames between libwebsockets and `struct portal`, keeps its
 * timer, and breaks things on request where a portal that works could not. One per process; control role.
 *
 * From a device a message may have SERVER_MESSAGE_MAX bytes in any number of fragments; a longer one ends the connection with
 * 1009. To a device any length goes out as one frame.
 */
#ifndef FZ_TOOLS_FZPORTAL_SERVER_H
#define FZ_TOOLS_FZPORTAL_SERVER_H

#include <jansson.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/loop.h"
#include "tools/fzportal/portal.h"

enum {
    SERVER_LISTEN_MAX = 8,
    SERVER_MESSAGE_MAX = 65536
};

struct server_options {
    struct sock_addr listen[SERVER_LISTEN_MAX];
    unsigned listen_n;
    const char *certificate, *key; /* PEM files; NULL, both: plain ws:// */
};

struct server;

/* Can the certificate be used? On failure `why` is one clear sentence. */
enum err server_check(const struct server_options *o, char *why, unsigned why_size) MUST_USE;

/* p: borrowed until server_free, which reports the end of all its sessions. On failure `why` is one clear sentence. */
enum err server_new(struct server **out, struct loop *l, struct portal *p,
                    const struct server_options *o, char *why, unsigned why_size) MUST_USE;
void server_free(struct server *s);

/* Where it listens: i below listen_n. */
const struct sock_addr *server_addr(const struct server *s, unsigned i);

/* A command of the control interface: the faults of sockets here, all others by the portal. A new reference, never NULL. */
json_t *server_control(struct server *s, const json_t *command);

#endif
