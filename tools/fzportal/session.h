/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portal's end of a Phoenix socket with its one channel: frames in and out, joins, heartbeats, the ways a channel ends.
 * What the channel's messages mean is the business of client.h, gateway.h and relays.h.
 *
 *   EXPECT_JOIN -(phx_join)-> JOINED -(phx_leave, phx_close)-> EXPECT_JOIN
 *   any -(crash, disconnect, time, the socket)-> OVER
 *
 * Source: spec/portal.md 4 and 5.
 */
#ifndef FZ_TOOLS_FZPORTAL_SESSION_H
#define FZ_TOOLS_FZPORTAL_SESSION_H

#include "tools/fzportal/model.h"

enum session_close {
    SESSION_CLOSE_NONE = 0, /* without a close frame */
    SESSION_CLOSE_NORMAL = 1000,
    SESSION_CLOSE_AWAY = 1001,
    SESSION_CLOSE_ERROR = 1011, /* a frame that is none */
    SESSION_CLOSE_RESTART = 1012
};

/* What a role makes of a message. */
enum session_result {
    SESSION_DONE,
    SESSION_UNKNOWN, /* no such event, or its payload is not what it needs: unknown_message */
    SESSION_CRASH    /* malformed */
};

/* New, in the portal's lists, without a role's data. */
struct portal_session *portal_session_new(struct portal *p, void *user);
/* Who is in no list any more, and over. */
void portal_session_free(struct portal_session *s);
/* Ends what goes with a joined channel; the frames that say so are the caller's. */
void portal_session_left(struct portal_session *s, enum session_state next);

const char *portal_session_topic(const struct portal_session *s);

/* To the peer, on the channel's topic; the payload is taken. Nothing if it is over. */
void portal_session_push(struct portal_session *s, const char *event, json_t *payload);
/* `response` is taken; `ref` is borrowed. */
void portal_session_reply(struct portal_session *s, const char *topic, json_t *ref,
                          const char *status, json_t *response);

/* Any frame; `payload` and `ref` are borrowed. */
void portal_session_push_raw(struct portal_session *s, const char *topic, const char *event,
                             json_t *payload, json_t *ref);

/* phx_error, then close 1012. */
void portal_session_crash(struct portal_session *s);
/* disconnect with this reason and phx_close, then close 1000 (relays: 1001). */
void portal_session_disconnect(struct portal_session *s, const char *reason);
/* phx_close: the channel is over, the socket is not. */
void portal_session_close_channel(struct portal_session *s);
/* The socket is over; without a close frame so is what was queued, or what another end had left to send. */
void portal_session_end(struct portal_session *s, unsigned close_code);

/* Puts off the end of one that is silent. */
void portal_session_touch(struct portal_session *s);
void portal_session_input(struct portal_session *s, const char *text, size_t len);
/* Drops those with the longest queues while all queues together are too long; not in the middle of anything. */
void portal_sessions_bound(struct portal *p);
/* Drops those that were silent for too long. */
void portal_session_idle(struct portal *p);

#endif
