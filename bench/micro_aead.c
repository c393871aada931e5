/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: sealing and opening, in place, by every backend that this CPU has. Packets lie as in the engine: one
 * behind the other with header and tag, in trains of `batch` packets. All batch sizes work on as much memory.
 */
#include <stdlib.h>

#include "bench/micro.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    PACKETS = 192, /* of a stretch; a multiple of each batch size */
    ALIGNMENT = 64 /* of a train's first payload */
};

enum aead_kind {
    AEAD_SEAL,
    AEAD_OPEN
};

struct aead {
    struct crypt crypt, reference;
    struct crypt_key key;
    unsigned len, batch, opened, turn;
    bool seal;
    size_t size;
    uint8_t *area, *sealed; /* the packets, and what they are when sealed */
    uint8_t *plain;         /* of each packet the same */
    uint8_t *scratch;
    struct crypt_packet packets[PACKETS];
};

static void place_packets(struct aead *a)
{
    size_t at = ALIGNMENT;
    for (unsigned i = 0; i < PACKETS; i++) {
        if (i % a->batch == 0)
            at = ALIGN_UP(at, ALIGNMENT);
        a->packets[i] =
            (struct crypt_packet){.data = a->area + at, .len = a->len, .counter = 1000 + i};
        memcpy(a->packets[i].data, a->plain, a->len);
        at += a->len + WG_DATA_OVERHEAD;
    }
    ASSERT(at <= a->size);
}

static void *open_aead(const struct micro_case *c, unsigned *items)
{
    static const uint8_t raw[CRYPT_KEY_LEN] = {1, 2, 3};
    struct aead *a = mem_zalloc(1, sizeof *a);
    enum err err = crypt_init(&a->crypt, c->crypto);
    ASSERT(err == ERR_OK); /* only usable ones are listed */
    err = crypt_init(&a->reference, CRYPT_BORINGSSL);
    ASSERT(err == ERR_OK);
    crypt_key_init(&a->key, raw);
    a->len = c->len;
    a->batch = c->batch;
    a->seal = c->kind == AEAD_SEAL;
    a->size = ALIGN_UP((size_t)PACKETS * (c->len + WG_DATA_OVERHEAD + ALIGNMENT) + ALIGNMENT,
                       (size_t)ALIGNMENT);
    a->area = mem_check(aligned_alloc(ALIGNMENT, a->size));
    a->sealed = mem_check(aligned_alloc(ALIGNMENT, a->size));
    a->plain = mem_zalloc(c->len, 1);
    a->scratch = mem_zalloc(c->len, 1);
    memset(a->area, 0, a->size);
    for (unsigned i = 0; i < c->len; i++)
        a->plain[i] = (uint8_t)(i * 7);
    place_packets(a);
    if (!a->seal) {
        for (unsigned i = 0; i < PACKETS; i += a->batch)
            crypt_seal(&a->reference, &a->key, a->packets + i, a->batch);
        memcpy(a->sealed, a->area, a->size);
    }
    *items = PACKETS;
    return a;
}

/* The packet whose turn it is to be looked at is known; when opening, all are sealed. */
static void prepare_aead(void *state)
{
    struct aead *a = state;
    a->turn = (a->turn + 1) % PACKETS;
    if (a->seal)
        memcpy(a->packets[a->turn].data, a->plain, a->len);
    else
        memcpy(a->area, a->sealed, a->size);
    a->opened = 0;
}

static void work_seal(void *state)
{
    struct aead *a = state;
    for (unsigned i = 0; i < PACKETS; i += a->batch)
        crypt_seal(&a->crypt, &a->key, a->packets + i, a->batch);
}

static void work_open(void *state)
{
    struct aead *a = state;
    for (unsigned i = 0; i < PACKETS; i += a->batch)
        a->opened += crypt_open(&a->crypt, &a->key, a->packets + i, a->batch);
}

static bool check_seal(void *state)
{
    struct aead *a = state;
    struct crypt_packet p = a->packets[a->turn];
    p.from = p.data;
    p.data = a->scratch;
    return crypt_open(&a->reference, &a->key, &p, 1) == 1 &&
           memcmp(a->scratch, a->plain, a->len) == 0;
}

static bool check_open(void *state)
{
    struct aead *a = state;
    return a->opened == PACKETS && memcmp(a->packets[a->turn].data, a->plain, a->len) == 0;
}

static void close_aead(void *state)
{
    struct aead *a = state;
    crypt_key_fini(&a->key);
    free(a->area);
    free(a->sealed);
    free(a->plain);
    free(a->scratch);
    free(a);
}

static const struct micro_ops seal_ops = {open_aead, prepare_aead, work_seal, check_seal,
                                          close_aead};
static const struct micro_ops open_ops = {open_aead, prepare_aead, work_open, check_open,
                                          close_aead};

/* One length and batch size, by each backend in turn. */
static void add_set(struct micro_list *l, enum aead_kind kind, unsigned batch, unsigned len)
{
    static const enum crypt_backend backends[] = {CRYPT_BORINGSSL, CRYPT_AVX512};
    bool seal = kind == AEAD_SEAL;
    struct micro_case c = {.item = "packet",
                           .ops = seal ? &seal_ops : &open_ops,
                           .kind = (int)kind,
                           .len = len,
                           .batch = batch};
    struct crypt crypt;

    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        c.crypto = backends[i];
        if (crypt_init(&crypt, c.crypto) != ERR_OK)
            continue;
        /* Valgrind knows no AVX-512, and BoringSSL takes packets one by one. */
        c.counted = c.crypto == CRYPT_BORINGSSL && batch == CRYPT_BATCH_MAX;
        micro_list_add(l, &c, i > 0, "aead/%s/%s/%ux%u", seal ? "seal" : "open", crypt_name(&crypt),
                       batch, len);
    }
}

void micro_aead_cases(struct micro_list *l)
{
    static const unsigned lengths[] = {64, 512, 1280, 1420};
    static const unsigned batches[] = {1, 2, 3, 4, 8, 16, 24, 32, 48, 64};

    for (int kind = AEAD_SEAL; kind <= AEAD_OPEN; kind++) {
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            for (size_t k = 0; k < ARRAY_LEN(batches); k++) {
                _Static_assert(PACKETS % 48 == 0 && PACKETS % 64 == 0, "whole batches");
                add_set(l, (enum aead_kind)kind, batches[k], lengths[i]);
            }
        }
    }
}
