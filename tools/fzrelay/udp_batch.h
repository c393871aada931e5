/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams by the batch: what a socket has, in one call, with runs of equal ones as the kernel joined them (GRO); and what is to be
 * sent, gathered from where it lies, with runs for the same destination in one call to the kernel (GSO). Nothing is allocated but
 * at the start. One thread.
 */
#ifndef FZ_TOOLS_FZRELAY_UDP_BATCH_H
#define FZ_TOOLS_FZRELAY_UDP_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

/* A socket bound to `at`, non-blocking, with GRO where there is any. On failure `why` is one sentence, *fd is -1. */
enum err udp_batch_open(int *fd, const struct sock_addr *at, char *why, unsigned why_size) MUST_USE;
/* To what it is bound. */
enum err udp_batch_bound(int fd, struct sock_addr *out) MUST_USE;

/* ---- in ---- */

struct inbox;

/* What came from one address: datagrams of `segment` bytes, of which the last may be shorter. len 0: one empty datagram. */
struct inbox_item {
    struct sock_addr from;
    const uint8_t *bytes; /* until the next inbox_receive */
    size_t len, segment;
};

struct inbox_stats {
    uint64_t calls, items;
};

struct inbox *inbox_new(void);
void inbox_free(struct inbox *b);
/* How many items there are now; 0: the socket has none. */
unsigned inbox_receive(struct inbox *b, int fd);
/* False: it was cut, or has no usable sender. */
bool inbox_get(const struct inbox *b, unsigned i, struct inbox_item *out);
/* The receive was as large as it may be: there is likely to be more. */
bool inbox_was_full(const struct inbox *b);
const struct inbox_stats *inbox_stats(const struct inbox *b);

/* ---- out ---- */

enum {
    OUTBOX_HEADER_MAX = 4
};

struct outbox;

struct outbox_stats {
    uint64_t datagrams, calls, runs; /* runs: with more than one datagram */
    uint64_t full,
        failed; /* datagrams that are lost: the socket's buffer is full, or something else */
};

/* gso: false sends each datagram on its own. */
struct outbox *outbox_new(bool gso);
void outbox_free(struct outbox *b);
/* A datagram of `header` and `bytes`, of which only the first is copied. */
void outbox_add(struct outbox *b, int fd, const struct sock_addr *to, const uint8_t *header,
                size_t header_len, const uint8_t *bytes, size_t len);
/* Sends everything; before what was added goes, and before a socket is closed. */
void outbox_flush(struct outbox *b);
const struct outbox_stats *outbox_stats(const struct outbox *b);

#endif
