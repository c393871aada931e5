/* SPDX-License-Identifier: Apache-2.0 */
/* See turn_channels.h. */
#include "control/p2p/turn_channels.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

void turn_channels_clear(struct turn_channels *s)
{
    memset(s->slots, 0, s->used * sizeof s->slots[0]);
    memset(&s->by_peer, 0, sizeof s->by_peer);
    s->used = 0;
    s->next = CHANNEL_FIRST;
    s->due.root = NULL;
    node_link_init(&s->busy);
    node_link_init(&s->queued);
    node_link_init(&s->telling);
}

/* ---- finding them ---- */

static uint64_t hash_of(const struct turn_channels *s, const struct sock_addr *peer)
{
    uint8_t bytes[sizeof peer->ip.bytes + 6];

    memcpy(bytes, peer->ip.bytes, sizeof peer->ip.bytes);
    store_be16(bytes + sizeof peer->ip.bytes, peer->port);
    store_be32(bytes + sizeof peer->ip.bytes + 2, peer->scope);
    return node_hash(s->hash_secret, bytes, sizeof bytes);
}

struct turn_channel *turn_channels_of_peer(struct turn_channels *s, const struct sock_addr *peer)
{
    uint64_t hash = hash_of(s, peer);
    struct node_map_entry *e = node_map_find(&s->by_peer, hash, NULL);

    for (; e; e = node_map_find(&s->by_peer, hash, e)) {
        struct turn_channel *c = CONTAINER_OF(e, struct turn_channel, by_peer);
        if (sock_addr_equal(&c->peer, peer))
            return c;
    }
    return NULL;
}

struct turn_channel *turn_channels_of_number(struct turn_channels *s, uint16_t number)
{
    unsigned at = (unsigned)number - CHANNEL_FIRST;

    return at < s->used && s->slots[at].number == number ? &s->slots[at] : NULL;
}

struct turn_channel *turn_channels_of_answer(struct turn_channels *s, const struct stun_id *id,
                                             unsigned *attempt)
{
    for (struct node_link *l = s->busy.next; l != &s->busy; l = l->next) {
        struct turn_channel *c = CONTAINER_OF(l, struct turn_channel, busy);
        if (turn_request_owns(&c->request, id, attempt))
            return c;
    }
    return NULL;
}

/* ---- what is to be done with them ---- */

static void link_if(bool wanted, struct node_link *list, struct node_link *l)
{
    if (wanted && !node_link_used(l))
        node_link_append(list, l);
    if (!wanted)
        node_link_remove(l);
}

static time_ns due_of(const struct turn_channel *c)
{
    time_ns due = turn_request_due(&c->request);

    if (!c->confirmed)
        return due;
    if (c->received && !turn_request_in_flight(&c->request))
        due = c->bound_at + TURN_CHANNEL_REFRESH_NS;
    return c->expired ? due : time_min(due, c->bound_at + TURN_CHANNEL_LIFETIME_NS);
}

void turn_channels_settle(struct turn_channels *s, struct turn_channel *c)
{
    bool busy = turn_request_in_flight(&c->request);

    link_if(busy, &s->busy, &c->busy);
    link_if(busy && c->request.queued, &s->queued, &c->queued);
    link_if(c->tell != TURN_TELL_NOTHING, &s->telling, &c->telling);
    node_queue_set(&s->due, &c->due, due_of(c));
}

time_ns turn_channels_poll_timeout(const struct turn_channels *s)
{
    struct node_due *first = node_queue_first(&s->due);

    return first ? first->at : TIME_NEVER;
}

struct turn_channel *turn_channels_due(const struct turn_channels *s, time_ns now)
{
    struct node_due *first = node_queue_first(&s->due);

    return first && first->at <= now ? CONTAINER_OF(first, struct turn_channel, due) : NULL;
}

struct turn_channel *turn_channels_queued(struct turn_channels *s)
{
    return node_link_used(&s->queued) ? CONTAINER_OF(s->queued.next, struct turn_channel, queued)
                                      : NULL;
}

/* ---- adding, removing ---- */

/* Nobody remembers it: neither the relay nor, because it was lost minutes ago, anybody here. */
static bool recyclable(const struct turn_channel *c, time_ns now)
{
    time_ns last = c->confirmed ? c->bound_at : c->retry_at;

    return last > 0 && !c->received && !turn_request_in_flight(&c->request) &&
           time_since(now, last) >= TURN_CHANNEL_RESERVED_NS;
}

static void release(struct turn_channels *s, struct turn_channel *c)
{
    node_map_remove(&s->by_peer, &c->by_peer);
    node_link_remove(&c->busy);
    node_link_remove(&c->queued);
    node_link_remove(&c->telling);
    node_queue_set(&s->due, &c->due, TIME_NEVER);
    *c = (struct turn_channel){.number = 0};
}

static uint16_t after(uint16_t number)
{
    return number == CHANNEL_LAST ? CHANNEL_FIRST : (uint16_t)(number + 1);
}

/* The slot of the first free number, which is `s->next` from now on; NULL: none is free. */
static struct turn_channel *free_slot(struct turn_channels *s, time_ns now)
{
    for (unsigned i = 0; i < TURN_CHANNELS_MAX; i++, s->next = after(s->next)) {
        unsigned at = s->next - CHANNEL_FIRST;
        struct turn_channel *c = &s->slots[at];
        for (; s->used <= at; s->used++)
            s->slots[s->used].number = 0;
        if (c->number != 0 && recyclable(c, now))
            release(s, c);
        if (c->number == 0)
            return c;
    }
    return NULL;
}

struct turn_channel *turn_channels_add(struct turn_channels *s, time_ns now,
                                       const struct sock_addr *peer)
{
    struct turn_channel *c = free_slot(s, now);

    if (!c)
        return NULL;
    *c = (struct turn_channel){.number = s->next, .peer = *peer};
    node_link_init(&c->busy);
    node_link_init(&c->queued);
    node_link_init(&c->telling);
    node_due_init(&c->due);
    node_map_add(&s->by_peer, &c->by_peer, hash_of(s, peer));
    s->next = after(s->next);
    return c;
}

/* ---- what happens to them ---- */

void turn_channels_bound(struct turn_channels *s, struct turn_channel *c, time_ns now)
{
    if (!c->confirmed || c->expired)
        c->tell = TURN_TELL_BOUND;
    c->confirmed = true;
    c->expired = false;
    c->received = false;
    c->bound_at = now;
    c->refusals = 0;
    c->retry_at = 0;
    turn_channels_settle(s, c);
}

void turn_channels_refused(struct turn_channels *s, struct turn_channel *c, time_ns now)
{
    turn_request_end(&c->request);
    c->confirmed = c->expired = c->received = false;
    c->retry_at = now + (TURN_CHANNEL_PAUSE_NS << c->refusals);
    c->refusals = (uint8_t)size_min(c->refusals + 1u, TURN_CHANNEL_PAUSES - 1);
    c->tell = TURN_TELL_LOST;
    turn_channels_settle(s, c);
}

void turn_channels_received(struct turn_channels *s, struct turn_channel *c)
{
    if (c->received)
        return;
    c->received = true;
    turn_channels_settle(s, c);
}

void turn_channels_expire(struct turn_channels *s, struct turn_channel *c, time_ns now)
{
    if (!c->confirmed || c->expired || turn_channel_open(c, now))
        return;
    c->expired = true;
    c->tell = TURN_TELL_LOST;
    turn_channels_settle(s, c);
}

bool turn_channel_wants_bind(const struct turn_channel *c, time_ns now)
{
    return c->confirmed && c->received && !turn_request_in_flight(&c->request) &&
           time_since(now, c->bound_at) >= TURN_CHANNEL_REFRESH_NS;
}

enum turn_channel_tell turn_channels_tell(struct turn_channels *s, uint16_t *number,
                                          struct sock_addr *peer)
{
    enum turn_channel_tell tell;
    struct turn_channel *c;

    if (!node_link_used(&s->telling))
        return TURN_TELL_NOTHING;
    c = CONTAINER_OF(s->telling.next, struct turn_channel, telling);
    tell = (enum turn_channel_tell)c->tell;
    *number = c->number;
    *peer = c->peer;
    c->tell = TURN_TELL_NOTHING;
    turn_channels_settle(s, c);
    return tell;
}
