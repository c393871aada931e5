/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WireGuard session: one pair of transport keys with its counters and replay window.
 *
 * Made by control (heap, keys), installed by a command, then owned by the worker that owns the peer until it gives
 * it back by an acknowledgement; control wipes and frees it.
 */
#ifndef FZ_SESSION_H
#define FZ_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/crypt.h"
#include "engine/replay.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"
#include "platform/base/time.h"

struct peer;

struct session {
    /* sending */
    struct crypt_key send_key;
    uint64_t send_counter; /* next to use */
    uint32_t remote_index;
    bool initiator;  /* we sent the initiation: we rekey */
    bool given_back; /* ended, but still held */
    uint16_t holds;  /* queued batches that use it */
    time_ns created;
    struct peer *peer; /* owner worker's; set when installed */

    /* receiving */
    uint32_t local_index __attribute__((aligned(CACHE_LINE)));
    struct crypt_key receive_key;
    struct replay replay;
};

/* Session may still seal: not too old, counters left. */
static inline bool session_can_send(const struct session *s, time_ns now)
{
    return time_since(now, s->created) < WG_REJECT_AFTER_NS &&
           s->send_counter < WG_REJECT_AFTER_MESSAGES;
}

static inline bool session_can_receive(const struct session *s, time_ns now)
{
    return time_since(now, s->created) < WG_REJECT_AFTER_NS;
}

/* A new handshake is due because of what is being sent. */
static inline bool session_rekey_on_send(const struct session *s, time_ns now)
{
    return s->send_counter >= WG_REKEY_AFTER_MESSAGES ||
           (s->initiator && time_since(now, s->created) >= WG_REKEY_AFTER_NS);
}

/* ... because of what is being received, so that a one-way flow never stops. */
static inline bool session_rekey_on_receive(const struct session *s, time_ns now)
{
    return s->initiator && time_since(now, s->created) >= WG_REKEY_ON_RECEIVE_NS;
}

#endif
