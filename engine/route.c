/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building the route table and searching it.
 *
 * Build: sort the entries by address and length (a covering prefix then comes right before what it
 * covers), drop duplicates, and sweep once with a stack of open prefixes. The sweep links every
 * entry to its next shorter one and writes the boundaries: addresses at which the longest match
 * changes.
 *
 * The boundaries are a static search tree without pointers. Level 0 is the root; a node is NODE_V4
 * (or NODE_V6) keys; key j of a level is the first key of node j of the level below. Descending
 * takes the last key <= address; the first key of the whole tree is address 0, so there always is
 * one. The last node of a level is padded; an index past the level's end is moved back to its end,
 * which also makes the padding value harmless.
 */
#include "engine/route.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"

enum {
    NODE_V4 = 16, /* int32 keys: one cache line */
    NODE_V6 = 8,  /* pairs of uint64: two cache lines */
    LEVELS_MAX = 11,
    STACK_MAX = 129 /* prefixes that can cover one address: lengths 0..128 */
};

struct entry {
    uint32_t value;
    uint32_t next; /* index into entries, or ROUTE_NONE */
    uint32_t len;
};

/*
 * Keys of one level: `count` real ones, starting at node number `first_node` of the tree's key
 * array.
 */
struct level {
    uint32_t first_node;
    uint32_t count;
};

struct tree {
    const uint8_t *keys;   /* nodes of all levels, one after the other; cache-line aligned */
    const uint32_t *first; /* per lowest-level key: index of the first entry, or ROUTE_NONE */
    uint32_t levels;
    struct level level[LEVELS_MAX];
};

struct route_table {
    struct tree v4, v6;
    const struct entry *entries;
    uint32_t entries_len;
};

/* A v6 node: first the upper halves of its keys, then the lower halves. */
struct node_v6 {
    uint64_t hi[NODE_V6];
    uint64_t lo[NODE_V6];
};

/* v4 keys are stored with the top bit flipped, since SSE2 compares signed integers only. */
typedef int32_t v4_lanes __attribute__((vector_size(16)));
#define V4_BIAS UINT32_C(0x80000000)

/* ---- lookup ---- */

/* Number of the node's 16 keys that are <= x; the node is one cache line. */
static inline uint32_t count_le_v4(const uint8_t *node, int32_t x)
{
    v4_lanes needle = {x, x, x, x}, a, b, c, d;
    memcpy(&a, node, sizeof a);
    memcpy(&b, node + 16, sizeof b);
    memcpy(&c, node + 32, sizeof c);
    memcpy(&d, node + 48, sizeof d);
    v4_lanes minus_greater = ((a > needle) + (b > needle)) + ((c > needle) + (d > needle));
    v4_lanes greater = -minus_greater; /* a true lane was -1 */
    uint64_t half[2];
    memcpy(half, &greater, sizeof half);
    uint64_t sums = half[0] + half[1]; /* lanes are at most 8: nothing carries */
    return NODE_V4 - (uint32_t)sums - (uint32_t)(sums >> 32);
}

static uint32_t find_v4(const struct tree *t, uint32_t addr)
{
    int32_t x = (int32_t)(addr ^ V4_BIAS);
    uint32_t node = 0;
    for (uint32_t l = 0; l < t->levels; l++) {
        const struct level *level = &t->level[l];
        const uint8_t *keys = t->keys + (size_t)(level->first_node + node) * CACHE_LINE;
        uint32_t i = node * NODE_V4 + count_le_v4(keys, x) - 1;
        node = i < level->count ? i : level->count - 1;
    }
    return t->first[node];
}

static inline uint32_t count_le_v6(const struct node_v6 *node, uint64_t hi, uint64_t lo)
{
    uint32_t n = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i < NODE_V6; i++)
        n += (node->hi[i] < hi) | ((node->hi[i] == hi) & (node->lo[i] <= lo));
    return n;
}

static uint32_t find_v6(const struct tree *t, uint64_t hi, uint64_t lo)
{
    const struct node_v6 *nodes = (const struct node_v6 *)(const void *)t->keys;
    uint32_t node = 0;
    for (uint32_t l = 0; l < t->levels; l++) {
        const struct level *level = &t->level[l];
        uint32_t i = node * NODE_V6 + count_le_v6(&nodes[level->first_node + node], hi, lo) - 1;
        node = i < level->count ? i : level->count - 1;
    }
    return t->first[node];
}

/* Moves the cursor to entry `index`; returns its value. */
static inline uint32_t cursor_set(struct route_cursor *c, uint32_t index)
{
    c->index = index;
    return index == ROUTE_NONE ? ROUTE_NONE : c->table->entries[index].value;
}

uint32_t route_lookup_first(const struct route_table *t, unsigned version, const uint8_t *dst,
                            struct route_cursor *c)
{
    c->table = t;
    if (version == 4)
        return cursor_set(c, find_v4(&t->v4, load_be32(dst)));
    if (version == 6)
        return cursor_set(c, find_v6(&t->v6, load_be64(dst), load_be64(dst + 8)));
    return cursor_set(c, ROUTE_NONE);
}

uint32_t route_lookup_next(struct route_cursor *c)
{
    if (c->index == ROUTE_NONE)
        return ROUTE_NONE;
    return cursor_set(c, c->table->entries[c->index].next);
}

unsigned route_cursor_prefix_len(const struct route_cursor *c)
{
    return c->index == ROUTE_NONE ? 0 : c->table->entries[c->index].len;
}

/* ---- build: sorting ---- */

/*
 * An entry while it is sorted. v4 addresses stand in the upper 32 bits, so that one code serves
 * both families.
 */
struct key {
    uint64_t hi, lo;
    uint32_t family_len; /* family, then prefix length */
    uint32_t value;
    uint32_t order;
    uint32_t position; /* in the caller's array */
};

static inline uint32_t key_len(const struct key *k)
{
    return k->family_len & 0xff;
}

static inline bool key_is_v6(const struct key *k)
{
    return k->family_len >> 8 == ADDR_V6;
}

static inline int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/*
 * Family first, then address, then length: families form two runs, covers precede what they cover.
 */
static inline int compare_prefix(const struct key *a, const struct key *b)
{
    if (key_is_v6(a) != key_is_v6(b))
        return key_is_v6(a) ? 1 : -1;
    if (a->hi != b->hi)
        return compare_u64(a->hi, b->hi);
    if (a->lo != b->lo)
        return compare_u64(a->lo, b->lo);
    return compare_u64(a->family_len, b->family_len);
}

/* Order within one prefix. */
static inline int compare_order(const struct key *a, const struct key *b)
{
    if (a->order != b->order)
        return compare_u64(a->order, b->order);
    return compare_u64(a->position, b->position);
}

/* Brings duplicates next to each other, the one to keep first. */
static int compare_for_duplicates(const struct key *a, const struct key *b)
{
    int c = compare_prefix(a, b);
    if (c == 0)
        c = compare_u64(a->value, b->value);
    return c != 0 ? c : compare_order(a, b);
}

static int compare_final(const struct key *a, const struct key *b)
{
    int c = compare_prefix(a, b);
    return c != 0 ? c : compare_order(a, b);
}

typedef int (*compare_fn)(const struct key *a, const struct key *b);

static inline void insertion_sort(struct key *k, size_t n, compare_fn compare)
{
    for (size_t i = 1; i < n; i++) {
        struct key key = k[i];
        size_t j = i;
        for (; j > 0 && compare(&k[j - 1], &key) > 0; j--)
            k[j] = k[j - 1];
        k[j] = key;
    }
}

static inline void merge(struct key *out, const struct key *a, size_t a_len, const struct key *b,
                         size_t b_len, compare_fn compare)
{
    while (a_len > 0 && b_len > 0) {
        bool take_b = compare(b, a) < 0;
        const struct key *next =
            take_b ? b : a; /* no branch: it would be mispredicted half the time */
        *out++ = *next;
        b += take_b;
        b_len -= take_b;
        a += !take_b;
        a_len -= !take_b;
    }
    memcpy(out, a, a_len * sizeof *a);
    memcpy(out + a_len, b, b_len * sizeof *b);
}

/*
 * Bottom-up merge sort with the comparison inlined; libc's qsort is slower and, on some systems,
 * quadratic. tmp: n keys. The result is in k.
 */
static inline __attribute__((always_inline)) void sort_keys(struct key *k, struct key *tmp,
                                                            size_t n, compare_fn compare)
{
    enum {
        RUN = 8
    };
    struct key *from = k, *to = tmp;
    for (size_t i = 0; i < n; i += RUN)
        insertion_sort(k + i, size_min(RUN, n - i), compare);
    for (size_t run = RUN; run < n; run *= 2) {
        for (size_t i = 0; i < n; i += 2 * run) {
            size_t a_len = size_min(run, n - i), b_len = size_min(run, n - i - a_len);
            merge(to + i, from + i, a_len, from + i + a_len, b_len, compare);
        }
        struct key *swap = from;
        from = to;
        to = swap;
    }
    if (from != k)
        memcpy(k, from, n * sizeof *k);
}

/* Sorts, removes duplicates (same prefix and value), returns how many are left. */
static size_t sort_unique(struct key *k, struct key *tmp, size_t n)
{
    size_t kept = 0;
    sort_keys(k, tmp, n, compare_for_duplicates);
    bool several = false;
    for (size_t i = 0; i < n; i++) {
        bool same_prefix = kept > 0 && compare_prefix(&k[kept - 1], &k[i]) == 0;
        if (same_prefix && k[kept - 1].value == k[i].value)
            continue;
        several |= same_prefix;
        k[kept++] = k[i];
    }
    if (several)
        sort_keys(k, tmp, kept, compare_final);
    return kept;
}

/* ---- build: sweep ---- */

/* An address from which on `first` is the longest match. */
struct boundary {
    uint64_t hi, lo;
    uint32_t first;
};

struct open_prefix {
    uint64_t end_hi, end_lo;
    uint32_t first; /* its first entry */
};

struct sweep {
    struct boundary *out;
    size_t out_len;
    struct open_prefix stack[STACK_MAX];
    unsigned depth;
};

/*
 * A boundary at the address of the previous one replaces it; one that changes nothing is left out.
 */
static void emit(struct sweep *s, uint64_t hi, uint64_t lo, uint32_t first)
{
    struct boundary *last = s->out_len > 0 ? &s->out[s->out_len - 1] : NULL;
    if (last && last->hi == hi && last->lo == lo)
        last->first = first;
    else if (!last || last->first != first)
        s->out[s->out_len++] = (struct boundary){.hi = hi, .lo = lo, .first = first};
}

static uint32_t sweep_top(const struct sweep *s)
{
    return s->depth > 0 ? s->stack[s->depth - 1].first : ROUTE_NONE;
}

/* Closes the innermost prefix: what covers it takes over after its end. */
static void sweep_close(struct sweep *s)
{
    const struct open_prefix *p = &s->stack[--s->depth];
    uint64_t lo = p->end_lo + 1, hi = p->end_hi + (lo == 0);
    bool wrapped = lo == 0 && hi == 0;
    if (!wrapped)
        emit(s, hi, lo, sweep_top(s));
}

static bool ends_before(const struct open_prefix *p, const struct key *k)
{
    return p->end_hi < k->hi || (p->end_hi == k->hi && p->end_lo < k->lo);
}

static void sweep_open(struct sweep *s, const struct key *k, uint32_t first)
{
    uint32_t len = key_len(k);
    uint64_t host_hi = len >= 64 ? 0 : UINT64_MAX >> len;
    uint64_t host_lo = len <= 64 ? UINT64_MAX : len == 128 ? 0 : UINT64_MAX >> (len - 64);
    ASSERT(s->depth < STACK_MAX);
    s->stack[s->depth++] =
        (struct open_prefix){.end_hi = k->hi | host_hi, .end_lo = k->lo | host_lo, .first = first};
    emit(s, k->hi, k->lo, first);
}

/*
 * One family: keys sorted, entries[i] belongs to k[i] and is filled; returns the number of
 * boundaries written.
 */
static size_t sweep_family(const struct key *k, size_t n, uint32_t base, struct entry *entries,
                           struct boundary *out)
{
    struct sweep s = {.out = out};
    size_t i = 0;
    emit(&s, 0, 0, ROUTE_NONE);
    while (i < n) {
        size_t group = i + 1;
        while (group < n && compare_prefix(&k[i], &k[group]) == 0)
            group++;
        while (s.depth > 0 && ends_before(&s.stack[s.depth - 1], &k[i]))
            sweep_close(&s);
        uint32_t shorter = sweep_top(&s);
        sweep_open(&s, &k[i], base + (uint32_t)i);
        for (; i < group; i++)
            entries[i] = (struct entry){
                .value = k[i].value,
                .next = i + 1 < group ? base + (uint32_t)i + 1 : shorter,
                .len = key_len(&k[i]),
            };
    }
    while (s.depth > 0)
        sweep_close(&s);
    return s.out_len;
}

/* ---- build: the search trees ---- */

/* Sets level sizes for n lowest-level keys; returns the number of nodes of all levels. */
static size_t tree_plan(struct tree *t, size_t n, size_t node_keys)
{
    size_t counts[LEVELS_MAX], nodes = 0;
    unsigned levels = 0;
    for (;;) {
        ASSERT(levels < LEVELS_MAX);
        counts[levels++] = n;
        if (n <= node_keys)
            break;
        n = (n + node_keys - 1) / node_keys;
    }
    t->levels = levels;
    for (unsigned l = 0; l < levels; l++) { /* the root comes first */
        size_t count = counts[levels - 1 - l];
        t->level[l] = (struct level){.first_node = (uint32_t)nodes, .count = (uint32_t)count};
        nodes += (count + node_keys - 1) / node_keys;
    }
    return nodes;
}

/* Key `i` of level l is boundary i * node_keys^(levels below). */
static void tree_fill_v4(const struct tree *t, uint8_t *keys, const struct boundary *b)
{
    size_t step = 1;
    for (uint32_t l = t->levels; l-- > 0; step *= NODE_V4) {
        uint8_t *level = keys + (size_t)t->level[l].first_node * CACHE_LINE;
        uint32_t padded = (uint32_t)ALIGN_UP(t->level[l].count, NODE_V4);
        for (uint32_t i = 0; i < padded; i++) {
            uint32_t k = i < t->level[l].count ? (uint32_t)(b[i * step].hi >> 32) : UINT32_MAX;
            store_le32(level + (size_t)i * 4, k ^ V4_BIAS);
        }
    }
}

static void tree_fill_v6(const struct tree *t, uint8_t *keys, const struct boundary *b)
{
    struct node_v6 *nodes = (struct node_v6 *)(void *)keys;
    size_t step = 1;
    for (uint32_t l = t->levels; l-- > 0; step *= NODE_V6) {
        struct node_v6 *level = nodes + t->level[l].first_node;
        uint32_t padded = (uint32_t)ALIGN_UP(t->level[l].count, NODE_V6);
        for (uint32_t i = 0; i < padded; i++) {
            bool real = i < t->level[l].count;
            level[i / NODE_V6].hi[i % NODE_V6] = real ? b[i * step].hi : UINT64_MAX;
            level[i / NODE_V6].lo[i % NODE_V6] = real ? b[i * step].lo : UINT64_MAX;
        }
    }
}

/* ---- build: putting it together ---- */

/*
 * Everything in one allocation: header, keys of both trees (cache-line aligned), first[] of both,
 * entries.
 */
static struct route_table *table_assemble(const struct boundary *b4, size_t n4,
                                          const struct boundary *b6, size_t n6,
                                          const struct entry *entries, size_t n)
{
    struct tree v4 = {.levels = 0}, v6 = {.levels = 0};
    size_t keys4 = tree_plan(&v4, n4, NODE_V4) * CACHE_LINE;
    size_t keys6 = tree_plan(&v6, n6, NODE_V6) * sizeof(struct node_v6);
    size_t firsts = (n4 + n6) * sizeof(uint32_t), entries_size = n * sizeof *entries;
    struct route_table *t = malloc(sizeof *t + CACHE_LINE + keys4 + keys6 + firsts + entries_size);
    if (!t)
        return NULL;
    uint8_t *p = (uint8_t *)(t + 1);
    p += (0 - (uintptr_t)p) % CACHE_LINE;
    v4.keys = p;
    tree_fill_v4(&v4, p, b4);
    p += keys4;
    v6.keys = p;
    tree_fill_v6(&v6, p, b6);
    p += keys6;
    uint32_t *first = (uint32_t *)(void *)p;
    v4.first = first;
    for (size_t i = 0; i < n4; i++)
        *first++ = b4[i].first;
    v6.first = first;
    for (size_t i = 0; i < n6; i++)
        *first++ = b6[i].first;
    if (n > 0)
        memcpy(first, entries, entries_size);
    *t = (struct route_table){
        .v4 = v4, .v6 = v6, .entries = (void *)first, .entries_len = (uint32_t)n};
    return t;
}

/* Work memory of one build. */
struct work {
    struct key *keys, *tmp;
    struct entry *entries;
    struct boundary *boundaries; /* v4, then v6: at most 2n + 1 each family, n shared */
};

static void work_fini(struct work *w)
{
    free(w->keys);
    free(w->tmp);
    free(w->entries);
    free(w->boundaries);
}

static bool work_init(struct work *w, size_t n)
{
    w->keys = malloc((n + 1) * sizeof *w->keys);
    w->tmp = malloc((n + 1) * sizeof *w->tmp);
    w->entries = malloc((n + 1) * sizeof *w->entries);
    w->boundaries = malloc((2 * n + 2) * sizeof *w->boundaries);
    return w->keys && w->tmp && w->entries && w->boundaries;
}

static bool prefix_valid(const struct ip_prefix *p)
{
    return (p->ip.family == ADDR_V4 || p->ip.family == ADDR_V6) && p->len <= ip_addr_bits(&p->ip);
}

static bool key_from_entry(struct key *k, const struct route_entry *e, uint32_t position)
{
    struct ip_prefix p = e->prefix;
    if (!prefix_valid(&p) || e->value == ROUTE_NONE)
        return false;
    ip_prefix_mask(&p); /* also clears what v4 does not use */
    *k = (struct key){
        .hi = load_be64(p.ip.bytes),
        .lo = load_be64(p.ip.bytes + 8),
        .family_len = (uint32_t)p.ip.family << 8 | p.len,
        .value = e->value,
        .order = e->order,
        .position = position,
    };
    return true;
}

struct route_table *route_build(const struct route_entry *entries, size_t n)
{
    struct work w = {NULL, NULL, NULL, NULL};
    struct route_table *t = NULL;
    if (n > ROUTE_ENTRIES_MAX || !work_init(&w, n))
        goto out;
    for (size_t i = 0; i < n; i++)
        if (!key_from_entry(&w.keys[i], &entries[i], (uint32_t)i))
            goto out;
    n = sort_unique(w.keys, w.tmp, n);
    size_t v4 = 0;
    while (v4 < n && !key_is_v6(&w.keys[v4]))
        v4++;
    size_t n4 = sweep_family(w.keys, v4, 0, w.entries, w.boundaries);
    size_t n6 = sweep_family(w.keys + v4, n - v4, (uint32_t)v4, w.entries + v4, w.boundaries + n4);
    t = table_assemble(w.boundaries, n4, w.boundaries + n4, n6, w.entries, n);
out:
    work_fini(&w);
    return t;
}

void route_table_free(void *table)
{
    free(table);
}

size_t route_table_len(const struct route_table *t)
{
    return t->entries_len;
}

/* ---- builder ---- */

void route_builder_init(struct route_builder *b)
{
    *b = (struct route_builder){.entries = NULL};
}

enum err route_builder_add(struct route_builder *b, const struct ip_prefix *prefix, uint32_t value)
{
    if (!prefix_valid(prefix) || value == ROUTE_NONE || b->len >= ROUTE_ENTRIES_MAX)
        return ERR_INVALID;
    if (b->len == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 64;
        struct route_entry *grown = realloc(b->entries, capacity * sizeof *grown);
        if (!grown)
            return ERR_NO_MEMORY;
        b->entries = grown;
        b->capacity = capacity;
    }
    b->entries[b->len] =
        (struct route_entry){.prefix = *prefix, .value = value, .order = (uint32_t)b->len};
    b->len++;
    return ERR_OK;
}

struct route_table *route_builder_build(const struct route_builder *b)
{
    return route_build(b->entries, b->len);
}

void route_builder_fini(struct route_builder *b)
{
    free(b->entries);
    *b = (struct route_builder){.entries = NULL};
}
