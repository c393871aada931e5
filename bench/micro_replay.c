/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: the replay window's check and commit of each packet, in order and out of order. */
#include <stdlib.h>

#include "bench/micro.h"
#include "engine/replay.h"
#include "platform/base/mem.h"

enum {
    PACKETS = 4096,
    MIXED = 64 /* packets that arrive in another order among themselves */
};

struct window {
    struct replay replay;
    uint64_t base;
    uint32_t order[PACKETS];
    uint8_t checked[PACKETS], committed[PACKETS];
};

static void *open_window(const struct micro_case *c, unsigned *items)
{
    struct window *w = mem_zalloc(1, sizeof *w);
    replay_init(&w->replay);
    /* An odd factor reaches each of the MIXED places once. */
    for (uint32_t i = 0; i < PACKETS; i++)
        w->order[i] = i / MIXED * MIXED + i % MIXED * (c->kind ? 29 : 1) % MIXED;
    *items = PACKETS;
    return w;
}

static void prepare_window(void *state)
{
    struct window *w = state;
    w->base += PACKETS;
    memset(w->checked, REPLAY_LIMIT, sizeof w->checked);
    memset(w->committed, REPLAY_LIMIT, sizeof w->committed);
}

static void work_window(void *state)
{
    struct window *w = state;
    for (unsigned i = 0; i < PACKETS; i++) {
        uint64_t counter = w->base + w->order[i];
        w->checked[i] = (uint8_t)replay_check(&w->replay, counter);
        w->committed[i] = (uint8_t)replay_commit(&w->replay, counter);
    }
}

static bool check_window(void *state)
{
    struct window *w = state;
    bool ok = replay_check(&w->replay, w->base) == REPLAY_DUPLICATE &&
              replay_check(&w->replay, w->base + PACKETS - 1) == REPLAY_DUPLICATE;
    for (unsigned i = 0; i < PACKETS; i++)
        ok &= w->checked[i] == REPLAY_OK && w->committed[i] == REPLAY_OK;
    return ok;
}

static const struct micro_ops ops = {open_window, prepare_window, work_window, check_window, free};

void micro_replay_cases(struct micro_list *l)
{
    struct micro_case c = {.item = "packet", .counted = true, .ops = &ops};

    micro_list_add(l, &c, false, "replay/in_order");
    c.kind = 1;
    micro_list_add(l, &c, false, "replay/mixed");
}
