/* SPDX-License-Identifier: Apache-2.0 */
/* Sliding the replay window. */
#include "engine/replay.h"

#include <string.h>

void replay_init(struct replay *r)
{
    memset(r, 0, sizeof *r);
}

/* Makes `counter` the newest: clears the words that the window enters, at most all of them. */
static void slide(struct replay *r, uint64_t counter)
{
    uint64_t newest = counter / REPLAY_WORD_BITS;
    if (r->next > 0) {
        uint64_t current = (r->next - 1) / REPLAY_WORD_BITS;
        uint64_t entered = newest - current;
        if (entered > REPLAY_WORDS)
            entered = REPLAY_WORDS;
        for (uint64_t i = 0; i < entered; i++)
            r->words[(newest - i) % REPLAY_WORDS] = 0;
    }
    r->next = counter + 1;
}

enum replay_result replay_commit(struct replay *r, uint64_t counter)
{
    enum replay_result result = replay_check(r, counter);
    if (result != REPLAY_OK)
        return result;
    if (counter >= r->next)
        slide(r, counter);
    r->words[(counter / REPLAY_WORD_BITS) % REPLAY_WORDS] |= UINT64_C(1)
                                                             << (counter % REPLAY_WORD_BITS);
    return REPLAY_OK;
}
