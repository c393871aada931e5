/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/allocations.h"

#include <string.h>

enum {
    PORTS = 65536
};

void allocations_init(struct allocations *s, uint16_t lowest_port, uint16_t highest_port,
                      uint32_t size, struct draw *draw)
{
    *s = (struct allocations){.lowest_port = lowest_port,
                              .highest_port = highest_port,
                              .size = size,
                              .key = draw_u64(draw)};
    s->slots = mem_zalloc(size, sizeof *s->slots);
    s->heap = mem_zalloc(size, sizeof *s->heap);
    s->by_port = mem_zalloc(PORTS, sizeof *s->by_port);
    chain_init(&s->by_client, size);
    chain_init(&s->by_user, size);
    TAILQ_INIT(&s->free);
    TAILQ_INIT(&s->reports);
    for (uint32_t i = 0; i < size; i++)
        TAILQ_INSERT_TAIL(&s->free, &s->slots[i], queue);
}

void allocations_fini(struct allocations *s)
{
    chain_fini(&s->by_client);
    chain_fini(&s->by_user);
    free(s->by_port);
    free(s->heap);
    free(s->slots);
}

static uint32_t index_of(const struct allocations *s, const struct allocation *a)
{
    return (uint32_t)(a - s->slots);
}

static uint64_t hash_user(const struct allocations *s, const uint8_t user[CREDENTIALS_USER_LEN])
{
    return hash_word(s->key, load_be64(user)); /* it is a hash already */
}

struct allocation *allocations_of_client(const struct allocations *s,
                                         const struct sock_addr *client)
{
    uint32_t i = chain_first(&s->by_client, hash_addr(s->key, client));

    while (i != CHAIN_END && !sock_addr_equal(&s->slots[i].client, client))
        i = s->by_client.next[i];
    return i != CHAIN_END ? &s->slots[i] : NULL;
}

struct allocation *allocations_of_user(const struct allocations *s,
                                       const uint8_t user[CREDENTIALS_USER_LEN])
{
    uint32_t i = chain_first(&s->by_user, hash_user(s, user));

    while (i != CHAIN_END && memcmp(s->slots[i].user, user, CREDENTIALS_USER_LEN) != 0)
        i = s->by_user.next[i];
    return i != CHAIN_END ? &s->slots[i] : NULL;
}

struct allocation *allocations_of_port(const struct allocations *s, uint16_t port)
{
    struct allocation *a = s->by_port[port] ? &s->slots[s->by_port[port] - 1] : NULL;

    return a && a->state != ALLOCATION_CLOSING ? a : NULL;
}

/* ---- the heap: no element ends before its parent ---- */

static void put(struct allocations *s, uint32_t at, struct allocation *a)
{
    s->heap[at] = a;
    a->heap_at = at;
}

static void sift_up(struct allocations *s, struct allocation *a)
{
    uint32_t at = a->heap_at;

    while (at > 0 && s->heap[(at - 1) / 2]->expires_at > a->expires_at) {
        put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(s, at, a);
}

static void sift_down(struct allocations *s, struct allocation *a)
{
    uint32_t at = a->heap_at;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < s->used && s->heap[child + 1]->expires_at < s->heap[child]->expires_at)
            child++;
        if (child >= s->used || s->heap[child]->expires_at >= a->expires_at)
            break;
        put(s, at, s->heap[child]);
        at = child;
    }
    put(s, at, a);
}

static void settle(struct allocations *s, struct allocation *a)
{
    sift_up(s, a);
    sift_down(s, a);
}

struct allocation *allocations_first(const struct allocations *s)
{
    return s->used > 0 ? s->heap[0] : NULL;
}

void allocations_extend(struct allocations *s, struct allocation *a, time_ns expires_at)
{
    a->expires_at = expires_at;
    settle(s, a);
}

/* ---- in and out ---- */

bool allocations_have_room(const struct allocations *s)
{
    return !TAILQ_EMPTY(&s->free) && s->ports_used <= (uint32_t)s->highest_port - s->lowest_port;
}

/* One is free. */
static uint16_t choose_port(const struct allocations *s, struct draw *draw)
{
    uint32_t n = (uint32_t)s->highest_port - s->lowest_port + 1;
    uint32_t i = (uint32_t)(draw_u64(draw) % n);

    while (s->by_port[s->lowest_port + i])
        i = (i + 1) % n;
    return (uint16_t)(s->lowest_port + i);
}

struct allocation *allocations_add(struct allocations *s, const struct allocation *with,
                                   struct draw *draw)
{
    struct allocation *a = TAILQ_FIRST(&s->free);
    uint32_t i;

    if (!allocations_have_room(s))
        return NULL;
    TAILQ_REMOVE(&s->free, a, queue);
    i = index_of(s, a);
    *a = (struct allocation){.state = ALLOCATION_OPENING,
                             .client = with->client,
                             .families = with->families,
                             .expires_at = with->expires_at,
                             .port = choose_port(s, draw)};
    memcpy(a->user, with->user, sizeof a->user);
    LIST_INIT(&a->channels);
    chain_add(&s->by_client, hash_addr(s->key, &a->client), i);
    chain_add(&s->by_user, hash_user(s, a->user), i);
    s->by_port[a->port] = i + 1;
    s->ports_used++;
    TAILQ_INSERT_TAIL(&s->reports, a, queue);
    a->heap_at = s->used++;
    sift_up(s, a);
    return a;
}

static void release(struct allocations *s, struct allocation *a)
{
    s->by_port[a->port] = 0;
    s->ports_used--;
    *a = (struct allocation){.state = ALLOCATION_FREE};
    TAILQ_INSERT_TAIL(&s->free, a, queue);
}

void allocations_remove(struct allocations *s, struct allocation *a)
{
    struct allocation *last = s->heap[--s->used];
    uint32_t at = a->heap_at;

    ASSERT(a->state == ALLOCATION_OPENING || a->state == ALLOCATION_OPEN);
    ASSERT(LIST_EMPTY(&a->channels));
    if (last != a) {
        put(s, at, last);
        settle(s, last);
    }
    chain_remove(&s->by_client, hash_addr(s->key, &a->client), index_of(s, a));
    chain_remove(&s->by_user, hash_user(s, a->user), index_of(s, a));
    if (a->state == ALLOCATION_OPENING) { /* nobody has heard of it */
        TAILQ_REMOVE(&s->reports, a, queue);
        release(s, a);
        return;
    }
    a->state = ALLOCATION_CLOSING;
    TAILQ_INSERT_TAIL(&s->reports, a, queue);
}

void allocations_not_opened(struct allocations *s, struct allocation *a)
{
    if (a->state == ALLOCATION_OPEN) {
        a->state = ALLOCATION_OPENING;
        TAILQ_INSERT_HEAD(&s->reports, a, queue);
    }
    allocations_remove(s, a);
}

bool allocations_report(struct allocations *s, struct relay_port *out)
{
    struct allocation *a = TAILQ_FIRST(&s->reports);

    if (!a)
        return false;
    TAILQ_REMOVE(&s->reports, a, queue);
    *out = (struct relay_port){
        .port = a->port, .families = a->families, .open = a->state == ALLOCATION_OPENING};
    if (a->state == ALLOCATION_OPENING)
        a->state = ALLOCATION_OPEN;
    else
        release(s, a);
    return true;
}
