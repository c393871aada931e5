/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay with real sockets on an event loop: one per family that faces clients, and one per allocation and family. One thread.
 */
#ifndef FZ_TOOLS_FZRELAY_RELAY_IO_H
#define FZ_TOOLS_FZRELAY_RELAY_IO_H

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/loop.h"
#include "tools/fzrelay/relay.h"
#include "tools/fzrelay/udp_batch.h"

struct relay_io;

struct relay_io_options {
    struct relay_config relay;
    /* Where clients come in; ADDR_NONE: not with this family. The sockets of allocations have the same address. */
    struct sock_addr listen4, listen6;
    bool gso;
};

/* On failure `why` is one sentence. */
enum err relay_io_new(struct relay_io **out, struct loop *l, const struct relay_io_options *o,
                      char *why, unsigned why_size) MUST_USE;
void relay_io_free(struct relay_io *s);

struct relay_server *relay_io_relay(struct relay_io *s);
/* After anything that was done to it from outside. */
void relay_io_settle(struct relay_io *s);
/* Where it listens; false: not with this family. */
bool relay_io_listens(const struct relay_io *s, enum addr_family family, struct sock_addr *out);
const struct inbox_stats *relay_io_received(const struct relay_io *s);
const struct outbox_stats *relay_io_sent(const struct relay_io *s);

#endif
