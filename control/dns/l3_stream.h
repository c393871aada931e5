/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection of lwIP as two sequences of DNS messages, each with its length in front. What lwIP calls only notes what
 * happened and calls `changed`; messages are taken, and connections closed, from outside of it.
 * Control role. Source: RFC 1035 section 4.2.2.
 */
#ifndef FZ_CONTROL_DNS_L3_STREAM_H
#define FZ_CONTROL_DNS_L3_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    L3_STREAM_PREFIX = 2
};

struct tcp_pcb;
struct l3_out;
struct l3_stream;

typedef void (*l3_stream_changed)(void *arg, struct l3_stream *s);

struct l3_stream {
    struct tcp_pcb *pcb; /* NULL: not open, or lwIP has let it go */
    bool connected;
    bool ended;  /* the other side sends no more */
    bool failed; /* it was reset, or lwIP gave up */
    l3_stream_changed changed;
    void *arg;
    /* What was received: from in_at on it is to be taken. */
    uint8_t *in;
    uint32_t in_at, in_len, in_max;
    uint32_t withheld; /* of the window; not given back yet */
    /* What is to be sent, and how much of the first lwIP has. */
    struct l3_out *out, **out_end;
    uint32_t out_len, out_at;
};

/* The stream owns the connection, to which `changed` happens: bytes came or were acknowledged, it ended or failed. */
void l3_stream_open(struct l3_stream *s, struct tcp_pcb *pcb, l3_stream_changed changed, void *arg);

/* The next whole message, until the next call of a function of the stream; it is writable. False: there is none yet. */
bool l3_stream_take(struct l3_stream *s, uint8_t **message, size_t *len);
/* Lets the other side send as much as was taken or has yet to become a message. */
void l3_stream_give_window(struct l3_stream *s);

/* Copies it. */
void l3_stream_put(struct l3_stream *s, const uint8_t *message, size_t len);
/* Hands to lwIP what that takes. */
void l3_stream_flush(struct l3_stream *s);

/* In peace, after all that lwIP has; or with a reset. The stream is empty then. */
void l3_stream_close(struct l3_stream *s);
void l3_stream_abort(struct l3_stream *s);

#endif
