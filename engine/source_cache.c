/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared table and the parking lots of the source cache.
 *
 * A slot is a sequence lock with one writer. Its words are atomics, so that a reader that races
 * with the writer reads old or new words but never has undefined behaviour; the sequence number
 * tells whether they belong together.
 *
 *   writer: seq = odd (relaxed); each word (release); seq = even (release)
 *   reader: s = seq (acquire), must be even; each word (acquire); seq (relaxed) must still be s
 *
 * A word written after the odd seq carries that seq with it (release store, acquire load), so a
 * reader that saw one new word sees seq changed at its second look. A reader that starts at the new
 * even seq (acquire of the last release) sees all new words. No fence is needed, hence nothing that
 * ThreadSanitizer cannot follow.
 *
 * The epoch counts whatever makes an answer wrong that was right before: a new generation, and a
 * destination's answer or failure in place of another one. It changes after the table did. A reader
 * that keeps a copy notes the epoch it read before it searched; the copy is good while the epoch
 * is that one.
 *
 * Sets are filled from way 0 and slots are never emptied, only overwritten: the first unused slot
 * ends a search.
 */
#include "engine/source_cache.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"

enum {
    READ_TRIES_MAX = 4, /* a reader gives up on a slot under change: a miss, never a wait */
    SLOT_WORDS = 6,
    PARKED_NONE = UINT16_MAX
};

enum slot_kind {
    SLOT_UNUSED,
    SLOT_ANSWER,
    SLOT_FAILURE
};

/* Word indices of a slot. */
enum {
    WORD_DST_HI,
    WORD_DST_LO,
    WORD_META, /* destination family, source family << 8, kind << 16, ifindex << 32 */
    WORD_A,    /* answer: source bytes 0..7; failure: when */
    WORD_B,    /* answer: source bytes 8..15; failure: its number */
    WORD_GENERATION
};

struct slot {
    uint64_t seq; /* even: stable; 0: never used */
    uint64_t word[SLOT_WORDS];
    uint64_t stamp; /* control only: when it was written, for eviction */
};
_Static_assert(sizeof(struct slot) == CACHE_LINE, "one slot, one cache line");

struct source_cache {
    uint64_t
        writes; /* control only: publishes and failures so far; stamps slots, numbers failures */
    uint8_t pad[CACHE_LINE];
    struct slot *slots; /* SETS x WAYS, cache-line aligned */
    uint64_t seed;
    uint64_t generation; /* written by control, read by all */
    uint64_t epoch;      /* likewise; starts at 1 */
};

/* A slot's content, consistent. */
struct view {
    enum slot_kind kind;
    uint64_t generation;
    uint64_t a, b;
    uint32_t ifindex;
    uint8_t source_family;
};

struct source_cache *source_cache_new(uint64_t seed)
{
    size_t table = SOURCE_CACHE_CAPACITY * sizeof(struct slot);
    struct source_cache *c = calloc(1, sizeof *c + CACHE_LINE + table);
    if (!c)
        return NULL;
    uint8_t *p = (uint8_t *)(c + 1);
    p += (0 - (uintptr_t)p) % CACHE_LINE;
    c->slots = (struct slot *)(void *)p;
    c->seed = seed;
    c->generation = 1;
    c->epoch = 1;
    return c;
}

void source_cache_free(struct source_cache *c)
{
    free(c);
}

/* ---- generation ---- */

/*
 * Control. Pairs with the load in epoch_of; sequentially consistent for the same reason as the
 * generation's.
 */
static void epoch_advance(struct source_cache *c)
{
    __atomic_exchange_n(&c->epoch, c->epoch + 1, __ATOMIC_SEQ_CST);
}

/* Any thread. Acquire: a search that follows sees the table as it was then, or newer. */
static inline uint64_t epoch_of(const struct source_cache *c)
{
    return __atomic_load_n(&c->epoch, __ATOMIC_ACQUIRE);
}

uint64_t source_cache_generation(const struct source_cache *c)
{
    /* Acquire: pairs with source_cache_invalidate. */
    return __atomic_load_n(&c->generation, __ATOMIC_ACQUIRE);
}

uint64_t source_cache_invalidate(struct source_cache *c)
{
    uint64_t next = c->generation + 1; /* own field */
    /*
     * Pairs with the load in source_cache_generation. A lookup that is ordered after this call by
     * any message between the threads sees the new value by coherence alone. The sequentially
     * consistent exchange also drains the store buffer before returning, which covers a lookup that
     * is later in real time only.
     */
    __atomic_exchange_n(&c->generation, next, __ATOMIC_SEQ_CST);
    epoch_advance(c);
    return next;
}

/* ---- slots ---- */

/* Both halves of a 128-bit product, folded; the seed keeps remote parties from choosing the result. */
static inline uint64_t hash_of(const struct ip_addr *dst, uint64_t seed)
{
    uint64_t low = load_le64(dst->bytes) ^ seed;
    uint64_t high = load_le64(dst->bytes + 8) ^ (UINT64_C(0x9e3779b97f4a7c15) + dst->family);
    unsigned __int128 product = (unsigned __int128)low * (high ^ seed << 32);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline struct slot *set_of(const struct source_cache *c, const struct ip_addr *dst)
{
    return c->slots + (hash_of(dst, c->seed) % SOURCE_CACHE_SETS) * SOURCE_CACHE_WAYS;
}

static inline bool words_match(const uint64_t *w, const struct ip_addr *dst)
{
    return w[WORD_DST_HI] == load_le64(dst->bytes) && w[WORD_DST_LO] == load_le64(dst->bytes + 8) &&
           (w[WORD_META] & 0xff) == dst->family;
}

enum slot_read {
    SLOT_READ_OK,
    SLOT_READ_UNUSED,
    SLOT_READ_BUSY
};

/* Any thread: a consistent copy of the slot's words; gives up after a few tries. */
static inline enum slot_read slot_read(const struct slot *s, uint64_t w[SLOT_WORDS])
{
    for (unsigned i = 0; i < READ_TRIES_MAX; i++) {
        uint64_t before = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
        if (before == 0)
            return SLOT_READ_UNUSED;
        if (before & 1)
            continue;
#pragma GCC unroll 6
        for (unsigned k = 0; k < SLOT_WORDS; k++)
            w[k] = __atomic_load_n(&s->word[k], __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&s->seq, __ATOMIC_RELAXED) == before)
            return SLOT_READ_OK;
    }
    return SLOT_READ_BUSY;
}

/* Control only. */
static void slot_write(struct slot *s, const uint64_t w[SLOT_WORDS], uint64_t stamp)
{
    uint64_t seq = s->seq; /* own field */
    __atomic_store_n(&s->seq, seq + 1, __ATOMIC_RELAXED);
    for (unsigned k = 0; k < SLOT_WORDS; k++)
        __atomic_store_n(&s->word[k], w[k], __ATOMIC_RELEASE);
    __atomic_store_n(&s->seq, seq + 2, __ATOMIC_RELEASE);
    s->stamp = stamp;
}

/*
 * Any thread: what the table holds for dst in generation `oldest` or a newer one. A reader that
 * loaded its generation just before a change may meet an answer of the next one: newer is fine,
 * older is not.
 */
static bool find(const struct source_cache *c, const struct ip_addr *dst, uint64_t oldest,
                 struct view *out)
{
    const struct slot *s = set_of(c, dst);
    uint64_t high = load_le64(dst->bytes), low = load_le64(dst->bytes + 8);
    for (unsigned i = 0; i < SOURCE_CACHE_WAYS; i++, s++) {
        uint64_t w[SLOT_WORDS];
        /* Another destination, or one in the middle of a change: passed over without a copy. */
        if (__atomic_load_n(&s->word[WORD_DST_HI], __ATOMIC_RELAXED) != high ||
            __atomic_load_n(&s->word[WORD_DST_LO], __ATOMIC_RELAXED) != low) {
            if (__atomic_load_n(&s->seq, __ATOMIC_RELAXED) == 0)
                return false;
            continue;
        }
        enum slot_read r = slot_read(s, w);
        if (r == SLOT_READ_UNUSED)
            return false;
        if (r == SLOT_READ_BUSY || !words_match(w, dst))
            continue;
        *out = (struct view){
            .kind = (enum slot_kind)(w[WORD_META] >> 16 & 0xff),
            .generation = w[WORD_GENERATION],
            .a = w[WORD_A],
            .b = w[WORD_B],
            .ifindex = (uint32_t)(w[WORD_META] >> 32),
            .source_family = (uint8_t)(w[WORD_META] >> 8),
        };
        return out->generation >= oldest; /* a destination has one slot only */
    }
    return false;
}

static void view_source(const struct view *v, struct ip_source *out)
{
    *out = (struct ip_source){.ip.family = v->source_family, .ifindex = v->ifindex};
    store_le64(out->ip.bytes, v->a);
    store_le64(out->ip.bytes + 8, v->b);
}

bool source_cache_lookup(const struct source_cache *c, const struct ip_addr *dst,
                         struct ip_source *out)
{
    struct view v;
    if (!find(c, dst, source_cache_generation(c), &v) || v.kind != SLOT_ANSWER)
        return false;
    view_source(&v, out);
    return true;
}

/* ---- control: writing ---- */

/* How gladly a slot is given up; the highest goes first. */
enum eviction_class {
    EVICT_ANSWER,
    EVICT_FAILURE,
    EVICT_UNUSED,
    EVICT_STALE, /* before an unused one, which keeps searches short */
    EVICT_SAME   /* the destination itself */
};

static enum eviction_class eviction_class(const struct slot *s, const struct ip_addr *dst,
                                          uint64_t generation)
{
    if (s->seq == 0)
        return EVICT_UNUSED;
    if (words_match(s->word, dst))
        return EVICT_SAME;
    if (s->word[WORD_GENERATION] != generation)
        return EVICT_STALE;
    return (s->word[WORD_META] >> 16 & 0xff) == SLOT_FAILURE ? EVICT_FAILURE : EVICT_ANSWER;
}

/*
 * The slot that dst is written to. Only control writes, so plain reads of its own words are fine.
 */
static struct slot *choose_slot(struct source_cache *c, const struct ip_addr *dst)
{
    struct slot *set = set_of(c, dst), *best = set;
    enum eviction_class best_class = eviction_class(set, dst, c->generation);
    for (unsigned i = 1; i < SOURCE_CACHE_WAYS; i++) {
        struct slot *s = set + i;
        enum eviction_class class = eviction_class(s, dst, c->generation);
        bool better = class > best_class || (class == best_class && s->stamp < best->stamp);
        if (better) {
            best = s;
            best_class = class;
        }
        if (s->seq == 0)
            break; /* the first unused slot: what follows is unused too, and order must hold */
    }
    return best;
}

static void put(struct source_cache *c, const struct ip_addr *dst, enum slot_kind kind,
                const struct view *v)
{
    uint64_t w[SLOT_WORDS] = {
        [WORD_DST_HI] = load_le64(dst->bytes),
        [WORD_DST_LO] = load_le64(dst->bytes + 8),
        [WORD_META] = (uint64_t)dst->family | (uint64_t)v->source_family << 8 |
                      (uint64_t)kind << 16 | (uint64_t)v->ifindex << 32,
        [WORD_A] = v->a,
        [WORD_B] = v->b,
        [WORD_GENERATION] = v->generation,
    };
    struct slot *s = choose_slot(c, dst);
    bool replaces = s->seq != 0 && words_match(s->word, dst);
    slot_write(s, w, c->writes);
    if (replaces)
        epoch_advance(c);
}

bool source_cache_publish(struct source_cache *c, uint64_t generation, const struct ip_addr *dst,
                          const struct ip_source *source)
{
    ASSERT(source->ip.family != ADDR_NONE);
    if (generation != c->generation)
        return false;
    c->writes++;
    struct view v = {
        .generation = generation,
        .a = load_le64(source->ip.bytes),
        .b = load_le64(source->ip.bytes + 8),
        .ifindex = source->ifindex,
        .source_family = source->ip.family,
    };
    put(c, dst, SLOT_ANSWER, &v);
    return true;
}

bool source_cache_fail(struct source_cache *c, uint64_t generation, const struct ip_addr *dst,
                       time_ns now)
{
    if (generation != c->generation)
        return false;
    c->writes++;
    struct view v = {.generation = generation, .a = now, .b = c->writes};
    put(c, dst, SLOT_FAILURE, &v);
    return true;
}

enum source_question source_cache_question(const struct source_cache *c, const struct ip_addr *dst,
                                           time_ns now)
{
    struct view v;
    if (!find(c, dst, c->generation, &v))
        return SOURCE_QUESTION_RESOLVE;
    if (v.kind == SLOT_FAILURE && time_since(now, v.a) >= SOURCE_ASK_INTERVAL_NS)
        return SOURCE_QUESTION_RESOLVE;
    return SOURCE_QUESTION_ANSWERED;
}

/* ---- worker: parking ---- */

void source_parking_init(struct source_parking *p)
{
    memset(p, 0, sizeof *p);
    for (unsigned i = 0; i < SOURCE_PARKED_MAX; i++)
        p->item[i].next = (uint16_t)(i + 1 < SOURCE_PARKED_MAX ? i + 1 : PARKED_NONE);
}

static struct source_parked_destination *parked_find(struct source_parking *p,
                                                     const struct ip_addr *dst)
{
    for (unsigned i = 0; i < p->destinations; i++)
        if (p->destination[i].len > 0 && ip_addr_equal(&p->destination[i].dst, dst))
            return &p->destination[i];
    return NULL;
}

/* An unused destination slot, or NULL. */
static struct source_parked_destination *parked_open(struct source_parking *p,
                                                     const struct ip_addr *dst)
{
    unsigned i = 0;
    while (i < p->destinations && p->destination[i].len > 0)
        i++;
    if (i == SOURCE_PARKED_DESTINATIONS_MAX)
        return NULL;
    if (i == p->destinations)
        p->destinations++;
    p->destination[i] = (struct source_parked_destination){.dst = *dst};
    return &p->destination[i];
}

static void parked_push(struct source_parking *p, struct source_parked_destination *d,
                        void *datagram, time_ns now)
{
    uint16_t i = p->free_head;
    p->free_head = p->item[i].next;
    p->item[i] =
        (struct source_parked_item){.datagram = datagram, .parked_at = now, .next = PARKED_NONE};
    if (d->len == 0)
        d->head = i;
    else
        p->item[d->tail].next = i;
    d->tail = i;
    d->len++;
    p->len++;
}

static void *parked_pop(struct source_parking *p, struct source_parked_destination *d)
{
    uint16_t i = d->head;
    d->head = p->item[i].next;
    p->item[i].next = p->free_head;
    p->free_head = i;
    d->len--;
    p->len--;
    while (p->destinations > 0 && p->destination[p->destinations - 1].len == 0)
        p->destinations--;
    return p->item[i].datagram;
}

/* What the table says about a destination now. */
struct knowledge {
    uint64_t generation; /* current one, read before the search */
    bool known;          /* view is of this generation (or newer) */
    struct view view;
};

static struct knowledge ask_table(const struct source_cache *c, const struct ip_addr *dst)
{
    struct knowledge k = {.generation = source_cache_generation(c)};
    k.known = find(c, dst, k.generation, &k.view);
    return k;
}

/* The failure that answers the question put last: any that was not known when it was put. */
static bool is_failed(const struct source_parked_destination *d, const struct knowledge *k)
{
    return k->known && k->view.kind == SLOT_FAILURE && k->view.b > d->failure_seen;
}

static bool is_answered(const struct knowledge *k)
{
    return k->known && k->view.kind == SLOT_ANSWER;
}

/*
 * Records that dst is asked about now, knowing k. A change of the table after k was read counts as
 * an answer.
 */
static void note_question(struct source_parked_destination *d, const struct knowledge *k,
                          time_ns now)
{
    d->asked_at = now;
    d->asked_generation = k->generation;
    if (k->known && k->view.kind == SLOT_FAILURE)
        d->failure_seen = k->view.b;
}

static bool question_due(const struct source_parked_destination *d, const struct knowledge *k,
                         time_ns now)
{
    if (is_answered(k) || is_failed(d, k))
        return false;
    return d->asked_generation != k->generation ||
           time_since(now, d->asked_at) >= SOURCE_ASK_INTERVAL_NS;
}

/* dst already has parked datagrams: behind them, whatever the table says by now. */
static enum source_result queue_behind(const struct source_cache *c, struct source_parking *p,
                                       struct source_parked_destination *d, time_ns now,
                                       void *datagram)
{
    if (d->len >= SOURCE_PARKED_PER_DESTINATION_MAX || p->len >= SOURCE_PARKED_MAX)
        return SOURCE_DROP_FULL;
    struct knowledge k = ask_table(c, &d->dst);
    parked_push(p, d, datagram, now);
    if (!question_due(d, &k, now))
        return SOURCE_PARKED;
    note_question(d, &k, now);
    return SOURCE_PARKED_ASK;
}

static inline struct source_memo *memo_of(struct source_parking *p, const struct ip_addr *dst)
{
    uint64_t h = (load_le64(dst->bytes) ^ load_le64(dst->bytes + 8)) * UINT64_C(0x9e3779b97f4a7c15);
    return &p->memo[h >> (64 - SOURCE_MEMO_BITS)];
}

/* Where the worker itself has no answer, or datagrams wait. */
static __attribute__((noinline)) enum source_result
resolve_by_table(const struct source_cache *c, struct source_parking *p, const struct ip_addr *dst,
                 time_ns now, void *datagram, struct ip_source *out)
{
    uint64_t epoch = epoch_of(c);
    struct source_parked_destination *d = UNLIKELY(p->len > 0) ? parked_find(p, dst) : NULL;
    if (d)
        return queue_behind(c, p, d, now, datagram);
    struct knowledge k = ask_table(c, dst);
    if (LIKELY(is_answered(&k))) {
        view_source(&k.view, out);
        *memo_of(p, dst) = (struct source_memo){.epoch = epoch, .dst = *dst, .source = *out};
        return SOURCE_HIT;
    }
    if (k.known && time_since(now, k.view.a) < SOURCE_ASK_INTERVAL_NS)
        return SOURCE_DROP_FAILED;
    d = p->len < SOURCE_PARKED_MAX ? parked_open(p, dst) : NULL;
    if (!d)
        return SOURCE_DROP_FULL;
    parked_push(p, d, datagram, now);
    note_question(d, &k, now);
    return SOURCE_PARKED_ASK;
}

enum source_result source_cache_resolve(const struct source_cache *c, struct source_parking *p,
                                        const struct ip_addr *dst, time_ns now, void *datagram,
                                        struct ip_source *out)
{
    const struct source_memo *m = memo_of(p, dst);
    if (UNLIKELY(p->len > 0 || m->epoch != epoch_of(c) || !ip_addr_equal(&m->dst, dst)))
        return resolve_by_table(c, p, dst, now, datagram, out);
    *out = m->source;
    return SOURCE_HIT;
}

static void release(struct source_parking *p, struct source_parked_destination *d,
                    enum source_release what, struct source_released *out)
{
    out->what = what;
    out->dst = d->dst;
    out->datagram = what == SOURCE_RELEASE_ASK ? NULL : parked_pop(p, d);
}

/* One step for one destination; false: it has to wait. */
static bool poll_destination(struct source_parking *p, struct source_parked_destination *d,
                             const struct source_cache *c, time_ns now, struct source_released *out)
{
    struct knowledge k = ask_table(c, &d->dst);
    if (is_answered(&k)) {
        view_source(&k.view, &out->source);
        release(p, d, SOURCE_RELEASE_SEND, out);
        return true;
    }
    uint64_t age = time_since(now, p->item[d->head].parked_at);
    if (is_failed(d, &k) || age >= SOURCE_PARKED_AGE_MAX) {
        release(p, d, SOURCE_RELEASE_DROP, out);
        return true;
    }
    if (question_due(d, &k, now)) {
        note_question(d, &k, now);
        release(p, d, SOURCE_RELEASE_ASK, out);
        return true;
    }
    return false;
}

bool source_parking_poll(struct source_parking *p, const struct source_cache *c, time_ns now,
                         struct source_released *out)
{
    memset(out, 0, sizeof *out);
    /*
     * Goes on where the last call stopped, so that draining one destination does not scan the
     * others each time.
     */
    for (unsigned n = p->destinations; n > 0; n--) {
        if (p->cursor >= p->destinations)
            p->cursor = 0;
        struct source_parked_destination *d = &p->destination[p->cursor];
        if (d->len > 0 && poll_destination(p, d, c, now, out))
            return true;
        p->cursor++;
    }
    return false;
}

time_ns source_parking_poll_timeout(const struct source_parking *p)
{
    time_ns at = TIME_NEVER;
    for (unsigned i = 0; i < p->destinations; i++) {
        const struct source_parked_destination *d = &p->destination[i];
        if (d->len == 0)
            continue;
        at = time_min(at, d->asked_at + SOURCE_ASK_INTERVAL_NS);
        at = time_min(at, p->item[d->head].parked_at + SOURCE_PARKED_AGE_MAX);
    }
    return at;
}

bool source_parking_flush(struct source_parking *p, struct source_released *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < p->destinations; i++) {
        if (p->destination[i].len == 0)
            continue;
        release(p, &p->destination[i], SOURCE_RELEASE_DROP, out);
        return true;
    }
    return false;
}
