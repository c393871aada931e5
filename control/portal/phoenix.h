/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Phoenix channel over one WebSocket after another: joins, keeps the beat, holds messages back until it has joined,
 * and says what a received text frame means. It knows frames, not sockets.
 *
 *   socket open:    phoenix_opened; then phoenix_poll_transmit until false, here and after all that follows
 *   frame received: phoenix_handle_input
 *   time:           phoenix_handle_timeout when phoenix_poll_timeout says so
 *   socket closed:  phoenix_closed; what was not sent is forgotten, nothing is carried over to the next socket
 *
 * Frames are those of the serializer 1.0.0: one JSON object with topic, event, payload and ref, whose ref is a number that
 * starts at 0 with each socket. Sans-IO; control role. Source: spec/portal.md 4.
 */
#ifndef FZ_CONTROL_PORTAL_PHOENIX_H
#define FZ_CONTROL_PORTAL_PHOENIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "platform/base/err.h"
#include "platform/base/time.h"

#define PHOENIX_HEARTBEAT_NS    (10 * NS_PER_SEC)
#define PHOENIX_JOIN_TIMEOUT_NS (5 * NS_PER_SEC)
/* DEVIATE: upstream waits for ever for the close that the portal sends after phx_error. */
#define PHOENIX_CRASH_NS (10 * NS_PER_SEC)

enum {
    PHOENIX_UNANSWERED_MAX = 3, /* heartbeats; with one more the connection is lost */
    PHOENIX_QUEUE_BYTES = 65536,
    PHOENIX_TOPIC_MAX = 31,
    PHOENIX_JOIN_MAX = 255,  /* bytes of the join's payload as JSON */
    PHOENIX_REJOINS_MAX = 3, /* on one socket; then it is lost */
    PHOENIX_WHY_MAX = 256,
    /* What poll_transmit writes at most: a message, and around it the topic, the names of the members and the ref. */
    PHOENIX_FRAME_MAX = PHOENIX_QUEUE_BYTES + 256
};

enum phoenix_state {
    PHOENIX_CLOSED,      /* there is no socket */
    PHOENIX_EXPECT_JOIN, /* the portal has not answered the join yet */
    PHOENIX_JOINED,
    PHOENIX_ENDED /* an event of one of the last three kinds was given: nothing more comes of this socket */
};

enum phoenix_kind {
    PHOENIX_NOTHING, /* an answer, a heartbeat */
    PHOENIX_JOIN_ACCEPTED, /* messages go out now; once per join, so a second time after PHOENIX_REJOINING */
    PHOENIX_REJOINING, /* the portal's channel had ended: why. What it refused is lost, what is queued waits */
    PHOENIX_MESSAGE, /* name and payload are set, until phoenix_event_release, which only this kind needs */
    PHOENIX_IGNORED, /* malformed, unknown, or an error that has no consequence: `why` is for the log */
    PHOENIX_LOST,         /* close the socket and connect again: why */
    PHOENIX_JOIN_REFUSED, /* fatal: why is the portal's reason */
    PHOENIX_TOKEN_EXPIRED /* fatal */
};

struct phoenix_event {
    enum phoenix_kind kind;
    const char *name; /* as the portal sent it: not for a log */
    json_t *payload;  /* borrowed from `frame` */
    json_t *frame;
    char why[PHOENIX_WHY_MAX]; /* printable ASCII */
};

/* A message is kept as the text between the first and the last member of its frame: `"event":"...","payload":...`. */
struct phoenix_queue {
    size_t len;
    char bytes[PHOENIX_QUEUE_BYTES]; /* uint32_t length, text, and the next */
};

struct phoenix {
    enum phoenix_state state;
    char topic[PHOENIX_TOPIC_MAX + 1];
    json_t *join_payload;
    bool join_due;
    unsigned heartbeats_due; /* more than one: the socket takes nothing */
    uint64_t next_ref, join_ref;
    uint64_t unanswered[PHOENIX_UNANSWERED_MAX];
    unsigned unanswered_n;
    unsigned rejoins;
    time_ns heartbeat_at, join_until;
    time_ns
        crashed_until; /* the portal's channel crashed: the socket should be closed by then; TIME_NEVER */
    struct phoenix_queue queue;
};

/* topic: at most PHOENIX_TOPIC_MAX characters. join_payload: at most PHOENIX_JOIN_MAX bytes of JSON; a reference is taken. */
void phoenix_init(struct phoenix *p, const char *topic, json_t *join_payload);
void phoenix_fini(struct phoenix *p);

void phoenix_opened(struct phoenix *p, time_ns now);
void phoenix_closed(struct phoenix *p);

/* One whole text frame. */
void phoenix_handle_input(struct phoenix *p, time_ns now, const char *text, size_t len,
                          struct phoenix_event *out);
void phoenix_event_release(struct phoenix_event *event);

/*
 * Queues a message for the channel's topic; one that equals a queued one is not queued twice. name: a literal, nothing in it
 * needs an escape. The payload is borrowed. ERR_CLOSED: there is no socket. ERR_FULL: not now. ERR_NO_SPACE: it never fits.
 */
enum err phoenix_push(struct phoenix *p, const char *name, const json_t *payload) MUST_USE;

/* The next frame to send, with a terminator that `len` does not count. `out` has PHOENIX_FRAME_MAX bytes. False: none. */
bool phoenix_poll_transmit(struct phoenix *p, char *out, size_t *len);
/* Whether it would give one. */
bool phoenix_wants_transmit(const struct phoenix *p);

/* `out->kind` is PHOENIX_NOTHING or PHOENIX_LOST. */
void phoenix_handle_timeout(struct phoenix *p, time_ns now, struct phoenix_event *out);
time_ns phoenix_poll_timeout(const struct phoenix *p);

#endif
