/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of the TURN client: datagrams, events, texts. See turn.h. */
#include "control/p2p/turn_private.h"

static bool transmit(const struct turn *t, struct turn_request *r, const struct turn_channel *c,
                     struct turn_datagram *out)
{
    if (!turn_request_in_flight(r) || !r->queued)
        return false;
    r->queued = false;
    turn_message_build(t, r, c, out);
    return true;
}

bool turn_poll_transmit(struct turn *t, struct turn_datagram *out)
{
    struct turn_channel *c;

    for (unsigned i = 0; i < TURN_FIXED_REQUESTS; i++) {
        if (transmit(t, turn_fixed_request(t, i), NULL, out))
            return true;
    }
    c = turn_channels_queued(&t->channels);
    if (!c || !transmit(t, &c->request, c, out))
        return false;
    turn_channels_settle(&t->channels, c);
    return true;
}

static bool poll_channel(struct turn *t, struct turn_event *out)
{
    enum turn_channel_tell tell;

    *out = (struct turn_event){.kind = TURN_EVENT_CHANNEL_BOUND};
    tell = turn_channels_tell(&t->channels, &out->channel, &out->peer);
    if (tell == TURN_TELL_LOST)
        out->kind = TURN_EVENT_CHANNEL_LOST;
    return tell != TURN_TELL_NOTHING;
}

bool turn_poll_event(struct turn *t, struct turn_event *out)
{
    if (t->down_untold) {
        t->down_untold = t->up_told = false;
        *out = (struct turn_event){.kind = TURN_EVENT_DEALLOCATED};
        return true;
    }
    if (turn_candidates_tell(t, out))
        return true;
    if (t->state == TURN_ALLOCATED && !t->up_told) {
        t->up_told = true;
        *out = (struct turn_event){.kind = TURN_EVENT_ALLOCATED};
        return true;
    }
    if (poll_channel(t, out))
        return true;
    if (!turn_ended(t) || t->end_told)
        return false;
    t->end_told = true;
    *out =
        (struct turn_event){.kind = t->state == TURN_FAILED ? TURN_EVENT_FAILED : TURN_EVENT_CLOSED,
                            .failure = t->failure};
    return true;
}

const char *turn_state_text(enum turn_state state)
{
    static const char *const texts[TURN_STATE_COUNT] = {
        [TURN_BINDING] = "awaiting the relay's first answer",
        [TURN_ALLOCATING] = "allocating",
        [TURN_DELETING] = "deleting an earlier allocation",
        [TURN_ALLOCATED] = "allocated",
        [TURN_SUSPENDED] = "refused by the relay",
        [TURN_FAILED] = "failed",
        [TURN_CLOSING] = "closing",
        [TURN_CLOSED] = "closed",
    };
    return texts[state];
}

const char *turn_failure_text(enum turn_failure failure)
{
    static const char *const texts[] = {
        [TURN_FAILURE_NO_RESPONSE] = "no response",
        [TURN_FAILURE_PROTOCOL] = "protocol failure",
        [TURN_FAILURE_AUTHENTICATION] = "authentication error",
    };
    return texts[failure];
}
