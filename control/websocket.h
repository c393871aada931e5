/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WebSocket to the portal over a TCP connection that exists already (dial.h): upgrade, text frames, and the whole
 * answer when the upgrade is refused. Control role. Source: spec/portal.md 1; RFC 6455.
 */
#ifndef FZ_CONTROL_WEBSOCKET_H
#define FZ_CONTROL_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "control/lws_loop.h"
#include "control/portal/url.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    WEBSOCKET_MESSAGE_MAX = 64 << 20, /* as upstream's library */
    WEBSOCKET_BODY_MAX = 4096,        /* of a refused upgrade; the rest is not read */
    WEBSOCKET_HEADERS_MAX = 4,
    WEBSOCKET_WHY_MAX = 192
};

struct websocket;

struct websocket_header {
    const char *name; /* lower case, with the colon */
    const char *value;
};

struct websocket_request {
    const struct url *url;
    const char *target;    /* url_target */
    struct sock_addr peer; /* where `fd` is connected to */
    int fd;                /* taken over, also on failure */
    const struct websocket_header
        *headers; /* copied by the time of the upgrade: they outlive `opened` and `refused` */
    unsigned headers_n;
};

/* None of them may free the WebSocket; websocket_close is allowed. After `refused` and `closed` nothing more comes. */
struct websocket_events {
    void (*opened)(void *arg);
    void (*refused)(void *arg, unsigned status, const char *retry_after, const char *body,
                    size_t len);
    void (*text)(void *arg, const char *text, size_t len); /* a whole message */
    /* Writes the next message into `out` and returns true, or returns false: nothing to send. more: there is another one. */
    bool (*next)(void *arg, char *out, size_t *len, bool *more);
    void (*closed)(void *arg, const char *why);
};

/* For the context of lws_loop_new. */
extern const struct lws_protocols websocket_protocols[];

/* next writes at most `frame_max` bytes. */
enum err websocket_open(struct websocket **out, struct lws_loop *s,
                        const struct websocket_request *r, size_t frame_max,
                        const struct websocket_events *events, void *arg) MUST_USE;
/* There may be something for `next`. */
void websocket_kick(struct websocket *w);
/* Ends it: no callback any more. Freed when libwebsockets has let go of it. NULL: nothing. */
void websocket_close(struct websocket *w);

#endif
