/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals and opens a batch with the backend under test, and its packets one by one with BoringSSL's, and checks everything
 * that must hold for any batch:
 *
 *   - the sealed packets are equal, byte for byte;
 *   - exactly the packets that were not changed on the way open, and give the plaintext;
 *   - a changed one leaves no plaintext: where it is opened in place the ciphertext or zeros, elsewhere what was there
 *     before or zeros;
 *   - what is sealed or opened from elsewhere stays as it is, and nothing outside of a packet is written or, which only
 *     AddressSanitizer sees, read.
 *
 * A violation aborts. Include once per program.
 */
#ifndef FZ_TESTS_CRYPT_PAIR_H
#define FZ_TESTS_CRYPT_PAIR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/crypt.h"
#include "platform/base/bytes.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define PAIR_POISON(at, n)   __asan_poison_memory_region(at, n)
#define PAIR_UNPOISON(at, n) __asan_unpoison_memory_region(at, n)
#endif
#endif
#ifndef PAIR_POISON
#define PAIR_POISON(at, n)   ((void)(at), (void)(n))
#define PAIR_UNPOISON(at, n) ((void)(at), (void)(n))
#endif

enum {
    PAIR_GUARD = 64, /* bytes around each packet */
    PAIR_GUARD_BYTE = 0xa5,
    PAIR_OLD_BYTE = 0x3c, /* what a destination holds before */
    PAIR_POOL = 1 << 17,
    PAIR_BYTES = PAIR_GUARD + CRYPT_BATCH_MAX * (CRYPT_LEN_MAX + CRYPT_TAG_LEN + PAIR_GUARD)
};

/* A packet, and how it is treated. */
struct pair_case {
    uint32_t len;
    uint64_t counter;
    bool seal_from, open_from; /* not in place */
    uint8_t change;            /* bits of the byte at change_at that change on the way; 0: none */
    uint32_t change_at;        /* below len + CRYPT_TAG_LEN */
};

/* One area per packet, tag included, with guards before, between and behind. */
struct pair_buffer {
    uint8_t *at[CRYPT_BATCH_MAX], *end;
    uint8_t bytes[PAIR_BYTES];
};

struct pair {
    struct crypt tested, reference;
    struct crypt_key key;
    struct pair_buffer plain, want, got, sealed;
    uint8_t pool[PAIR_POOL]; /* random, where plaintexts come from */
    const struct pair_case *cases;
    unsigned n;
};

static inline uint64_t pair_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint64_t pair_random_below(uint64_t *state, uint64_t n)
{
    return (pair_random(state) >> 16) % n;
}

#define PAIR_CHECK(pair, i, cond)                                                                  \
    do {                                                                                           \
        if (!(cond))                                                                               \
            pair_fail(pair, i, #cond, __LINE__);                                                   \
    } while (0)

static inline void pair_fail(const struct pair *p, unsigned i, const char *cond, int line)
{
    const struct pair_case *c = &p->cases[i];
    fprintf(stderr,
            "crypt_pair.h:%d: %s, packet %u of %u: not %s (len %u, counter %llx, seal_from %d, "
            "open_from %d, change %02x at %u)\n",
            line, crypt_name(&p->tested), i, p->n, cond, (unsigned)c->len,
            (unsigned long long)c->counter, c->seal_from, c->open_from, c->change,
            (unsigned)c->change_at);
    abort();
}

static inline void pair_init(struct pair *p, enum crypt_backend tested,
                             const uint8_t raw[CRYPT_KEY_LEN], uint64_t seed)
{
    ASSERT(crypt_init(&p->tested, tested) == ERR_OK);
    ASSERT(crypt_init(&p->reference, CRYPT_BORINGSSL) == ERR_OK);
    crypt_key_init(&p->key, raw);
    for (size_t i = 0; i < PAIR_POOL; i += 8)
        store_le64(p->pool + i, pair_random(&seed));
}

static inline void pair_fini(struct pair *p)
{
    crypt_key_fini(&p->key);
}

static inline uint32_t pair_full_len(const struct pair_case *c)
{
    return c->len + CRYPT_TAG_LEN;
}

static inline void pair_place(struct pair_buffer *b, const struct pair *p)
{
    uint8_t *at = b->bytes + PAIR_GUARD;
    for (unsigned i = 0; i < p->n; i++) {
        b->at[i] = at;
        at += pair_full_len(&p->cases[i]) + PAIR_GUARD;
    }
    b->end = at;
}

static inline void pair_guard(struct pair_buffer *b, const struct pair *p)
{
    memset(b->bytes, PAIR_GUARD_BYTE, PAIR_GUARD);
    PAIR_POISON(b->bytes, PAIR_GUARD);
    for (unsigned i = 0; i < p->n; i++) {
        uint8_t *end = b->at[i] + pair_full_len(&p->cases[i]);
        memset(end, PAIR_GUARD_BYTE, PAIR_GUARD);
        PAIR_POISON(end, PAIR_GUARD);
    }
}

static inline void pair_check_guards(struct pair_buffer *b, const struct pair *p)
{
    uint8_t guard[PAIR_GUARD];
    memset(guard, PAIR_GUARD_BYTE, sizeof guard);
    PAIR_UNPOISON(b->bytes, (size_t)(b->end - b->bytes));
    PAIR_CHECK(p, 0, memcmp(b->bytes, guard, PAIR_GUARD) == 0);
    for (unsigned i = 0; i < p->n; i++)
        PAIR_CHECK(p, i, memcmp(b->at[i] + pair_full_len(&p->cases[i]), guard, PAIR_GUARD) == 0);
}

static inline bool pair_all(const uint8_t *at, size_t n, uint8_t byte)
{
    return n == 0 || (at[0] == byte && memcmp(at, at + 1, n - 1) == 0);
}

/* `want` from `plain`, packet by packet. */
static inline void pair_seal_reference(struct pair *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct crypt_packet one = {.data = p->want.at[i],
                                   .from = p->plain.at[i],
                                   .len = p->cases[i].len,
                                   .counter = p->cases[i].counter};
        crypt_seal(&p->reference, &p->key, &one, 1);
    }
}

static inline void pair_seal(struct pair *p)
{
    struct crypt_packet packets[CRYPT_BATCH_MAX];
    for (unsigned i = 0; i < p->n; i++) {
        const struct pair_case *c = &p->cases[i];
        packets[i] =
            (struct crypt_packet){.data = p->got.at[i], .len = c->len, .counter = c->counter};
        memset(p->got.at[i], PAIR_OLD_BYTE, pair_full_len(c));
        if (c->seal_from)
            packets[i].from = p->plain.at[i];
        else
            memcpy(p->got.at[i], p->plain.at[i], c->len);
    }
    pair_guard(&p->plain, p);
    pair_guard(&p->got, p);
    crypt_seal(&p->tested, &p->key, packets, p->n);
    pair_check_guards(&p->plain, p);
    pair_check_guards(&p->got, p);
    for (unsigned i = 0; i < p->n; i++)
        PAIR_CHECK(p, i, memcmp(p->got.at[i], p->want.at[i], pair_full_len(&p->cases[i])) == 0);
}

/* Whether packet i of `packets`, just opened, is as it must be. */
static inline void pair_check_opened(struct pair *p, unsigned i, const struct crypt_packet *x)
{
    const struct pair_case *c = &p->cases[i];
    const uint8_t *data = p->got.at[i], *tag = data + c->len, *sealed = p->sealed.at[i];
    PAIR_CHECK(p, i, x->ok == (c->change == 0));
    if (x->ok)
        PAIR_CHECK(p, i, memcmp(data, p->plain.at[i], c->len) == 0);
    else if (c->open_from)
        PAIR_CHECK(p, i, pair_all(data, c->len, PAIR_OLD_BYTE) || pair_all(data, c->len, 0));
    else
        PAIR_CHECK(p, i, memcmp(data, sealed, c->len) == 0 || pair_all(data, c->len, 0));
    if (c->open_from)
        PAIR_CHECK(p, i, pair_all(tag, CRYPT_TAG_LEN, PAIR_OLD_BYTE));
    else
        PAIR_CHECK(p, i, memcmp(tag, sealed + c->len, CRYPT_TAG_LEN) == 0);
}

/* Opens what `sealed` holds. `want` is the copy that must not change. */
static inline void pair_open(struct pair *p)
{
    struct crypt_packet packets[CRYPT_BATCH_MAX];
    unsigned unchanged = 0;
    for (unsigned i = 0; i < p->n; i++) {
        const struct pair_case *c = &p->cases[i];
        uint32_t full_len = pair_full_len(c);
        packets[i] = (struct crypt_packet){
            .data = p->got.at[i], .len = c->len, .counter = c->counter, .ok = c->change != 0};
        p->want.at[i][c->change_at] ^= c->change;
        memcpy(p->sealed.at[i], p->want.at[i], full_len);
        if (c->open_from) {
            packets[i].from = p->sealed.at[i];
            memset(p->got.at[i], PAIR_OLD_BYTE, full_len);
        } else {
            memcpy(p->got.at[i], p->sealed.at[i], full_len);
        }
        unchanged += c->change == 0;
    }
    pair_guard(&p->got, p);
    pair_guard(&p->sealed, p);
    unsigned opened = crypt_open(&p->tested, &p->key, packets, p->n);
    pair_check_guards(&p->got, p);
    pair_check_guards(&p->sealed, p);
    for (unsigned i = 0; i < p->n; i++) {
        PAIR_CHECK(p, i, memcmp(p->sealed.at[i], p->want.at[i], pair_full_len(&p->cases[i])) == 0);
        pair_check_opened(p, i, &packets[i]);
    }
    PAIR_CHECK(p, 0, opened == unchanged);
}

/* The same packets, changed or not, through the reference: the cases say the truth about what is authentic. */
static inline void pair_open_reference(struct pair *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct crypt_packet one = {
            .data = p->want.at[i], .len = p->cases[i].len, .counter = p->cases[i].counter};
        PAIR_CHECK(p, i, crypt_open(&p->reference, &p->key, &one, 1) == (p->cases[i].change == 0));
    }
}

/* Plaintexts are taken from the pool, as `seed` says. */
static inline void pair_run(struct pair *p, const struct pair_case *cases, unsigned n,
                            uint64_t seed)
{
    p->cases = cases;
    p->n = n;
    pair_place(&p->plain, p);
    pair_place(&p->want, p);
    pair_place(&p->got, p);
    pair_place(&p->sealed, p);
    for (unsigned i = 0; i < n; i++) {
        size_t from = (size_t)pair_random_below(&seed, PAIR_POOL - cases[i].len);
        memcpy(p->plain.at[i], p->pool + from, cases[i].len);
    }
    pair_seal_reference(p);
    pair_seal(p);
    pair_open(p);
    pair_open_reference(p);
}

#endif
