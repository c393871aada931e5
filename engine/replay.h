/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replay window of one receiving key: a ring of bitmap words that slides with the greatest
 * counter seen (RFC 6479), 8192 packets wide, in the unreordered case one bit operation per packet.
 * Sans-IO; owned by the worker that owns the session.
 *
 * replay_check before decryption saves the work for obvious replays; replay_commit after
 * authentication decides and records. Only authenticated counters may be committed: one forged
 * greatest counter would close the window.
 */
#ifndef FZ_ENGINE_REPLAY_H
#define FZ_ENGINE_REPLAY_H

#include <stdint.h>

enum {
    REPLAY_WINDOW = 8192, /* the greatest counter and the 8191 before it are told apart */
    REPLAY_WORD_BITS = 64,
    /* One word more than the window: the newest word is only partly filled. */
    REPLAY_WORDS = REPLAY_WINDOW / REPLAY_WORD_BITS + 1
};

/* First counter that is never accepted: Reject-After-Messages, WireGuard paper section 6.1. */
#define REPLAY_COUNTER_LIMIT (UINT64_MAX - (UINT64_C(1) << 13))

enum replay_result {
    REPLAY_OK,        /* new */
    REPLAY_OLD,       /* behind the window: cannot be told from a replay */
    REPLAY_DUPLICATE, /* inside the window and seen before */
    REPLAY_LIMIT      /* at or beyond REPLAY_COUNTER_LIMIT */
};

struct replay {
    uint64_t next; /* greatest committed counter + 1; 0: none yet */
    uint64_t words[REPLAY_WORDS];
};

void replay_init(struct replay *r);

/*
 * Records `counter` if it is new. Returns what replay_check would, so of duplicates in one batch
 * the first wins.
 */
enum replay_result replay_commit(struct replay *r, uint64_t counter);

/* What the window says about `counter`; changes nothing. */
static inline enum replay_result replay_check(const struct replay *r, uint64_t counter)
{
    if (counter >= REPLAY_COUNTER_LIMIT)
        return REPLAY_LIMIT;
    if (counter >= r->next)
        return REPLAY_OK;
    if (r->next - counter > REPLAY_WINDOW)
        return REPLAY_OLD;
    uint64_t word = r->words[(counter / REPLAY_WORD_BITS) % REPLAY_WORDS];
    return (word >> (counter % REPLAY_WORD_BITS)) & 1 ? REPLAY_DUPLICATE : REPLAY_OK;
}

#endif
