/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves the userspace API on a local socket: several clients, each with its own buffers, all through the loop. What a
 * request does is up to `struct uapi_server_ops`. One client does one small step per turn of the loop; replies are
 * produced piece by piece. Control role.
 */
#ifndef FZ_CONTROL_UAPI_SERVER_H
#define FZ_CONTROL_UAPI_SERVER_H

#include "control/device.h"
#include "platform/base/err.h"
#include "platform/loop.h"

#define UAPI_SERVER_DIR "/var/run/wireguard" /* where `wg` looks */

enum {
    UAPI_SERVER_CLIENTS_MAX = 16, /* more wait in the socket's backlog */
    UAPI_SERVER_IDLE_S = 30       /* a client that neither sends nor receives is dropped */
};

struct uapi_pending; /* a set request without its reply */

struct uapi_server_ops {
    /* Takes what *update holds. Calls uapi_server_applied once, at once or later; until then the client waits. */
    void (*apply_give)(void *ctx, struct device_update *update, struct uapi_pending *pending);
    /* Fills `out`; the server calls device_status_fini. */
    void (*status)(void *ctx, struct device_status *out);
    void *ctx;
};

struct uapi_server;

/*
 * Listens on dir/NAME.sock. Errors as local_listen: `why` holds one clear sentence, ERR_IN_USE means that another
 * process serves this name.
 */
enum err uapi_server_new(struct uapi_server **out, struct loop *l, const char *dir,
                         const char *name, const struct uapi_server_ops *ops, char *why,
                         unsigned why_size) MUST_USE;
/* What became of the request. Also allowed when its client or the server is gone. */
void uapi_server_applied(struct uapi_pending *pending, enum err err);
/* Drops all clients and removes the socket. */
void uapi_server_free(struct uapi_server *s);

#endif
