/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/channels.h"

void channels_init(struct channels *s, uint32_t size, struct draw *draw)
{
    *s = (struct channels){.size = size, .key = draw_u64(draw)};
    s->slots = mem_zalloc(size, sizeof *s->slots);
    chain_init(&s->by_number, size);
    chain_init(&s->by_peer, size);
    TAILQ_INIT(&s->free);
    TAILQ_INIT(&s->by_age);
    for (uint32_t i = 0; i < size; i++)
        TAILQ_INSERT_TAIL(&s->free, &s->slots[i], queue);
}

void channels_fini(struct channels *s)
{
    chain_fini(&s->by_number);
    chain_fini(&s->by_peer);
    free(s->slots);
}

/* The port stands for the allocation, which alone has it. */
static uint64_t hash_number(const struct channels *s, const struct allocation *a, uint16_t number)
{
    return hash_word(s->key, (uint64_t)a->port << 16 | number);
}

static uint64_t hash_peer(const struct channels *s, const struct allocation *a,
                          const struct sock_addr *peer)
{
    return hash_addr(s->key ^ a->port, peer);
}

struct channel *channels_of_number(const struct channels *s, const struct allocation *a,
                                   uint16_t number)
{
    uint32_t i = chain_first(&s->by_number, hash_number(s, a, number));

    while (i != CHAIN_END && (s->slots[i].owner != a || s->slots[i].number != number))
        i = s->by_number.next[i];
    return i != CHAIN_END ? &s->slots[i] : NULL;
}

struct channel *channels_of_peer(const struct channels *s, const struct allocation *a,
                                 const struct sock_addr *peer)
{
    uint32_t i = chain_first(&s->by_peer, hash_peer(s, a, peer));

    while (i != CHAIN_END && (s->slots[i].owner != a || !sock_addr_equal(&s->slots[i].peer, peer)))
        i = s->by_peer.next[i];
    return i != CHAIN_END ? &s->slots[i] : NULL;
}

struct channel *channels_add(struct channels *s, struct allocation *a, uint16_t number,
                             const struct sock_addr *peer, time_ns now)
{
    struct channel *c = TAILQ_FIRST(&s->free);
    uint32_t i = (uint32_t)(c - s->slots);

    if (!c)
        return NULL;
    TAILQ_REMOVE(&s->free, c, queue);
    c->owner = a;
    c->peer = *peer;
    c->number = number;
    c->bound_at = now;
    chain_add(&s->by_number, hash_number(s, a, number), i);
    chain_add(&s->by_peer, hash_peer(s, a, peer), i);
    LIST_INSERT_HEAD(&a->channels, c, of_owner);
    TAILQ_INSERT_TAIL(&s->by_age, c, queue);
    a->channels_n++;
    s->used++;
    return c;
}

void channels_renew(struct channels *s, struct channel *c, time_ns now)
{
    c->bound_at = now;
    TAILQ_REMOVE(&s->by_age, c, queue);
    TAILQ_INSERT_TAIL(&s->by_age, c, queue);
}

void channels_remove(struct channels *s, struct channel *c)
{
    uint32_t i = (uint32_t)(c - s->slots);

    chain_remove(&s->by_number, hash_number(s, c->owner, c->number), i);
    chain_remove(&s->by_peer, hash_peer(s, c->owner, &c->peer), i);
    LIST_REMOVE(c, of_owner);
    TAILQ_REMOVE(&s->by_age, c, queue);
    c->owner->channels_n--;
    c->owner = NULL;
    TAILQ_INSERT_TAIL(&s->free, c, queue);
    s->used--;
}

void channels_remove_all(struct channels *s, struct allocation *a)
{
    struct channel *c;

    while ((c = LIST_FIRST(&a->channels))) {
        ASSERT(c->owner == a);
        channels_remove(s, c);
    }
}
