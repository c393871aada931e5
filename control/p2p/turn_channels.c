/* SPDX-License-Identifier: Apache-2.0 */
/* See turn_channels.h. */
#include "control/p2p/turn_channels.h"

#include <string.h>

#include "platform/base/err.h"

enum {
    NUMBERS = CHANNEL_LAST - CHANNEL_FIRST + 1
};

void turn_channels_clear(struct turn_channels *s)
{
    memset(s->slots, 0, s->used * sizeof s->slots[0]);
    s->used = 0;
    s->next = CHANNEL_FIRST;
}

struct turn_channel *turn_channels_of_peer(struct turn_channels *s, const struct sock_addr *peer)
{
    for (unsigned i = 0; i < s->used; i++) {
        struct turn_channel *c = &s->slots[i];
        if (c->number != 0 && !c->dead && sock_addr_equal(&c->peer, peer))
            return c;
    }
    return NULL;
}

/* A number is one slot's, be it dead or alive. */
static struct turn_channel *slot_of_number(struct turn_channels *s, uint16_t number)
{
    for (unsigned i = 0; i < s->used; i++) {
        if (s->slots[i].number == number)
            return &s->slots[i];
    }
    return NULL;
}

struct turn_channel *turn_channels_of_number(struct turn_channels *s, uint16_t number)
{
    struct turn_channel *c = number != 0 ? slot_of_number(s, number) : NULL;

    return c && !c->dead ? c : NULL;
}

/* Nobody remembers it: neither the relay nor, because it was lost minutes ago, anybody here. */
static bool recyclable(const struct turn_channel *c, time_ns now)
{
    return c->confirmed && !c->dead && !c->received && !turn_request_in_flight(&c->request) &&
           time_since(now, c->bound_at) >= TURN_CHANNEL_RESERVED_NS;
}

/* A slot: a free one, a new one, or one that nobody remembers. */
static struct turn_channel *free_slot(struct turn_channels *s, time_ns now)
{
    struct turn_channel *c = slot_of_number(s, 0);

    if (c)
        return c;
    if (s->used < TURN_CHANNELS_MAX)
        return &s->slots[s->used++];
    for (unsigned i = 0; i < s->used; i++) {
        if (recyclable(&s->slots[i], now))
            return &s->slots[i];
    }
    return NULL;
}

static uint16_t after(uint16_t number)
{
    return number == CHANNEL_LAST ? CHANNEL_FIRST : (uint16_t)(number + 1);
}

/* The slot that is to have number `s->next` from now on, which is then the first free number; NULL: none is free. */
static struct turn_channel *slot_for_next(struct turn_channels *s, time_ns now)
{
    for (unsigned i = 0; i < NUMBERS; i++, s->next = after(s->next)) {
        struct turn_channel *c = slot_of_number(s, s->next);
        if (!c)
            return free_slot(s, now);
        if (recyclable(c, now))
            return c;
    }
    return NULL;
}

struct turn_channel *turn_channels_add(struct turn_channels *s, time_ns now,
                                       const struct sock_addr *peer)
{
    struct turn_channel *c = slot_for_next(s, now);

    if (!c)
        return NULL;
    *c = (struct turn_channel){.number = s->next, .peer = *peer};
    s->next = after(s->next);
    return c;
}

void turn_channel_bound(struct turn_channel *c, time_ns now)
{
    if (!c->confirmed || c->expired)
        c->tell = TURN_TELL_BOUND;
    c->confirmed = true;
    c->expired = false;
    c->received = false;
    c->bound_at = now;
}

void turn_channel_refused(struct turn_channel *c)
{
    turn_request_end(&c->request);
    c->dead = true;
    c->tell = TURN_TELL_LOST;
}

time_ns turn_channel_due(const struct turn_channel *c)
{
    time_ns due = TIME_NEVER;

    if (c->number == 0 || c->dead || !c->confirmed)
        return due;
    if (c->received && !turn_request_in_flight(&c->request))
        due = c->bound_at + TURN_CHANNEL_REFRESH_NS;
    return c->expired ? due : time_min(due, c->bound_at + TURN_CHANNEL_LIFETIME_NS);
}

void turn_channel_expire(struct turn_channel *c, time_ns now)
{
    if (c->number == 0 || c->dead || !c->confirmed || c->expired || turn_channel_open(c, now))
        return;
    c->expired = true;
    c->tell = TURN_TELL_LOST;
}

bool turn_channel_wants_bind(const struct turn_channel *c, time_ns now)
{
    return c->number != 0 && c->confirmed && !c->dead && c->received &&
           !turn_request_in_flight(&c->request) &&
           time_since(now, c->bound_at) >= TURN_CHANNEL_REFRESH_NS;
}

enum turn_channel_tell turn_channels_tell(struct turn_channels *s, uint16_t *number,
                                          struct sock_addr *peer)
{
    for (unsigned i = 0; i < s->used; i++) {
        struct turn_channel *c = &s->slots[i];
        enum turn_channel_tell tell = (enum turn_channel_tell)c->tell;
        if (tell == TURN_TELL_NOTHING)
            continue;
        *number = c->number;
        *peer = c->peer;
        c->tell = TURN_TELL_NOTHING;
        if (c->dead)
            *c = (struct turn_channel){.number = 0};
        return tell;
    }
    return TURN_TELL_NOTHING;
}
