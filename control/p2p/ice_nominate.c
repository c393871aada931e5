/* SPDX-License-Identifier: Apache-2.0 */
/* Which pair is nominated and selected; see ice.h. */
#include "control/p2p/ice_private.h"

/* True if `p` may be selected at all. */
static bool works(const struct ice *a, const struct ice_pair *p)
{
    return a->role == ICE_CONTROLLING ? p->schedule.answered_at > 0 : p->nominated;
}

/*
 * What was answered comes before what never was: of a controlled agent's pairs, whose nomination may be an old request that somebody
 * sends again from elsewhere.
 */
static bool better(const struct ice *a, const struct ice_pair *p, const struct ice_pair *than)
{
    bool doubt = ice_schedule_doubtful(&p->schedule, a->timing);

    if (!than)
        return true;
    if (doubt != ice_schedule_doubtful(&than->schedule, a->timing))
        return !doubt;
    if ((p->schedule.answered_at > 0) != (than->schedule.answered_at > 0))
        return p->schedule.answered_at > 0;
    return p->priority > than->priority;
}

void ice_nominate(struct ice *a, time_ns now)
{
    struct ice_pair *best = NULL, *selected = ice_pairs_selected(&a->pairs);

    for (unsigned i = 0; i < a->pairs.count; i++) {
        struct ice_pair *p = &a->pairs.at[i];
        if (works(a, p) && better(a, p, best))
            best = p;
    }
    if (selected)
        selected->selected = false;
    if (!best)
        return;
    best->selected = true;
    /* One more check of what nobody answers would only put off its end. */
    if (!best->nominated && !ice_schedule_doubtful(&best->schedule, a->timing))
        ice_schedule_hasten(&best->schedule, now);
    best->nominated = true;
}

void ice_nominated_by_peer(struct ice *a, struct ice_pair *pair, time_ns now)
{
    struct ice_pair *selected = ice_pairs_selected(&a->pairs);

    if (pair->nominated)
        return;
    if (selected && selected != pair)
        ice_schedule_suspect(&selected->schedule, now);
    pair->nominated = true;
    ice_schedule_hasten(&pair->schedule, now);
}

/* Twice heard on `heard` since the last time on the selected one, and not just now. */
void ice_notice_silence(struct ice *a, const struct ice_pair *heard, time_ns now)
{
    struct ice_pair *p = ice_pairs_selected(&a->pairs);
    time_ns last;

    if (!p || p == heard || !heard->nominated)
        return;
    last = ice_schedule_heard_at(&p->schedule);
    if (heard->schedule.requested_before_at > last && time_since(now, last) >= ICE_SILENCE_NS &&
        time_since(now, p->schedule.last_at) >= ICE_SILENCE_NS &&
        !ice_schedule_doubtful(&p->schedule, a->timing))
        ice_schedule_restart(&p->schedule, now);
}
