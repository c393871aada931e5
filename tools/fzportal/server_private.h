/* SPDX-License-Identifier: Apache-2.0 */
/* What server.c and faults.c share. Control role. */
#ifndef FZ_TOOLS_FZPORTAL_SERVER_PRIVATE_H
#define FZ_TOOLS_FZPORTAL_SERVER_PRIVATE_H

#include "control/lws_loop.h"
#include "tools/fzportal/listener.h"
#include "tools/fzportal/server.h"

/* An upgraded connection, from the upgrade until libwebsockets lets go of it. */
struct conn {
    struct server *server;
    struct conn *next, *prev;
    struct lws *wsi;
    struct portal_session *session; /* NULL: the portal knows that it is over */
    bool established;               /* 101 is on its way */
    bool frozen;                    /* neither read nor written */
    bool killed;
    char *message; /* fragments so far */
    size_t message_len, message_size;
    uint8_t *raw; /* to be sent as it is: LWS_PRE unused bytes, then raw_len */
    size_t raw_len;
    bool raw_last; /* then drop the connection */
};

struct server {
    struct loop *loop;
    struct lws_loop *lws;
    struct lws_vhost *vhost;
    struct portal *portal;
    struct loop_timer timer;
    struct listener *listeners[SERVER_LISTEN_MAX];
    unsigned listeners_n;
    struct conn *conns;
    bool frozen; /* as a whole: new connections, too */
    bool closing;
    uint8_t *frame; /* to be sent: LWS_PRE unused bytes, then the text */
    size_t frame_size;
};

/* Ends the TCP connection without a closing handshake. reset: with RST. */
void server_kill(struct conn *c, bool reset);
/* Sends bytes as they are, not as a frame, after what is being sent now. False: others are still waiting. */
bool server_send_raw(struct conn *c, const void *bytes, size_t len, bool last);
void server_freeze(struct conn *c, bool frozen);

#endif
