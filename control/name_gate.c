/* SPDX-License-Identifier: Apache-2.0 */
#include "control/name_gate.h"

#include <string.h>

static void ask(struct name_gate *g, bool holds)
{
    g->state = NAME_GATE_ASKED;
    g->holds = holds;
    g->tries = 0;
}

static bool lately(const struct name_gate *g, time_ns now)
{
    return g->sent_at != 0 && time_since(now, g->sent_at) < NAME_GATE_AGAIN_NS;
}

bool name_gate_assign(struct name_gate *g, time_ns now)
{
    if (lately(g, now))
        return false;
    switch ((enum name_gate_state)g->state) {
    case NAME_GATE_UNKNOWN:
    case NAME_GATE_REFUSED:
        ask(g, true);
        break;
    case NAME_GATE_KNOWN:
        ask(g, false);
        break;
    case NAME_GATE_ASKED:
        break;
    }
    return true;
}

void name_gate_sent(struct name_gate *g, time_ns now)
{
    g->sent_at = now;
    if (g->tries < UINT8_MAX)
        g->tries++;
}

void name_gate_status(struct name_gate *g, bool active)
{
    if (g->state == NAME_GATE_UNKNOWN)
        return;
    g->state = active ? NAME_GATE_KNOWN : NAME_GATE_REFUSED;
    g->holds = false;
}

void name_gate_reset(struct name_gate *g)
{
    memset(g, 0, sizeof *g);
}

time_ns name_gate_poll_timeout(const struct name_gate *g)
{
    unsigned doublings = g->tries < 1 ? 0 : g->tries - 1u;

    if (g->state != NAME_GATE_ASKED || g->sent_at == 0)
        return TIME_NEVER;
    doublings = doublings < NAME_GATE_DOUBLINGS ? doublings : NAME_GATE_DOUBLINGS;
    return g->sent_at + (NAME_GATE_AGAIN_NS << doublings);
}
