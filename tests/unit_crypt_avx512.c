/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AVX-512 backend against EVP_AEAD: every length up to an Ethernet frame's in batches of every size, and the shapes
 * that its sets and lanes make special. Random batches are in diff_crypt.c.
 */
#include "engine/crypt_avx512.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#ifndef _WIN32
#include <sys/mman.h>
#endif

#include "tests/support/crypt_pair.h"
#include "tests/support/wg_vectors.h"

enum {
    LEN_MAX = 1500,
    SLOT = 2 * PAIR_GUARD + LEN_MAX + CRYPT_TAG_LEN + PAIR_GUARD,
#ifdef FZ_DEBUG
    LEN_STEP = 13, /* shares no factor with 64 */
#else
    LEN_STEP = 1,
#endif
    BATCH_STEP_ALL_LENS = 9 /* batch sizes that see every length in any build */
};

static struct pair pair;

static int set_up(void **state)
{
    (void)state;
    if (crypt_avx512_usable())
        pair_init(&pair, CRYPT_AVX512, hs_initiator_send, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (crypt_avx512_usable())
        pair_fini(&pair);
    return 0;
}

static void skip_where_unusable(void)
{
    if (!crypt_avx512_usable()) {
        print_message("this CPU has no AVX-512 with IFMA and VBMI2\n");
        skip();
    }
}

/* ---- every length in every batch size ---- */

/* The same 64 packets in all batches of a length; a batch of n is a part of them. */
struct every {
    uint32_t len;
    uint64_t counters[CRYPT_BATCH_MAX];
    uint8_t plain[CRYPT_BATCH_MAX][SLOT], want[CRYPT_BATCH_MAX][SLOT], got[CRYPT_BATCH_MAX][SLOT];
};

static struct every every;

/* Its data begin at each place of a cache line. */
static uint8_t *got_at(unsigned i)
{
    return every.got[i] + PAIR_GUARD + i;
}

/* EVP_AEAD itself. Counters of neighbours are far apart. */
static void every_prepare(uint32_t len)
{
    uint64_t seed = 1 + len;
    every.len = len;
    for (unsigned i = 0; i < CRYPT_BATCH_MAX; i++) {
        uint8_t nonce[12] = {0};
        size_t sealed_len;
        every.counters[i] = pair_random(&seed);
        store_le64(nonce + 4, every.counters[i]);
        memcpy(every.plain[i], pair.pool + pair_random_below(&seed, PAIR_POOL - LEN_MAX), len);
        assert_int_equal(EVP_AEAD_CTX_seal(&pair.key.aead, every.want[i], &sealed_len,
                                           sizeof every.want[i], nonce, sizeof nonce,
                                           every.plain[i], len, NULL, 0),
                         1);
        assert_int_equal(sealed_len, len + CRYPT_TAG_LEN);
    }
}

static unsigned every_index(unsigned n, unsigned i)
{
    return (n * 11 + i) % CRYPT_BATCH_MAX;
}

/* Writes nothing but `len` bytes and, when sealing, the tag; what is behind was never written for shorter ones either. */
static bool guards_stand(unsigned i)
{
    const uint8_t *data = got_at(i);
    return pair_all(data - PAIR_GUARD, PAIR_GUARD, PAIR_GUARD_BYTE) &&
           pair_all(data + every.len + CRYPT_TAG_LEN, PAIR_GUARD, PAIR_GUARD_BYTE);
}

static void every_seal(unsigned n, bool from)
{
    struct crypt_packet p[CRYPT_BATCH_MAX];
    for (unsigned i = 0; i < n; i++) {
        unsigned k = every_index(n, i);
        p[i] = (struct crypt_packet){
            .data = got_at(i), .len = every.len, .counter = every.counters[k]};
        if (from)
            p[i].from = every.plain[k];
        else
            memcpy(p[i].data, every.plain[k], every.len);
    }
    crypt_seal(&pair.tested, &pair.key, p, n);
    for (unsigned i = 0; i < n; i++) {
        if (memcmp(p[i].data, every.want[every_index(n, i)], every.len + CRYPT_TAG_LEN) != 0 ||
            !guards_stand(i))
            fail_msg("sealing packet %u of %u, %u bytes", i, n, (unsigned)every.len);
    }
}

static void every_open(unsigned n, bool from)
{
    struct crypt_packet p[CRYPT_BATCH_MAX];
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *sealed = every.want[every_index(n, i)];
        p[i] = (struct crypt_packet){
            .data = got_at(i), .len = every.len, .counter = every.counters[every_index(n, i)]};
        if (from) {
            p[i].from = sealed;
            memset(p[i].data + every.len, PAIR_OLD_BYTE, CRYPT_TAG_LEN);
        } else {
            memcpy(p[i].data, sealed, every.len + CRYPT_TAG_LEN);
        }
    }
    unsigned opened = crypt_open(&pair.tested, &pair.key, p, n);
    for (unsigned i = 0; i < n; i++) {
        unsigned k = every_index(n, i);
        const uint8_t *tag = p[i].data + every.len;
        bool tag_stands = from ? pair_all(tag, CRYPT_TAG_LEN, PAIR_OLD_BYTE)
                               : memcmp(tag, every.want[k] + every.len, CRYPT_TAG_LEN) == 0;
        if (!p[i].ok || memcmp(p[i].data, every.plain[k], every.len) != 0 || !tag_stands ||
            !guards_stand(i))
            fail_msg("opening packet %u of %u, %u bytes", i, n, (unsigned)every.len);
    }
    assert_int_equal(opened, n);
}

static void test_every_length_and_batch_size(void **state)
{
    (void)state;
    skip_where_unusable();
    memset(every.got, PAIR_GUARD_BYTE, sizeof every.got);
    for (uint32_t len = 0; len <= LEN_MAX; len++) {
        unsigned step = len % LEN_STEP == 0 ? 1 : BATCH_STEP_ALL_LENS;
        every_prepare(len);
        for (unsigned n = 1; n <= CRYPT_BATCH_MAX; n += step) {
            every_seal(n, (len + n) % 2 == 0);
            every_open(n, (len + n / 2) % 2 == 0);
        }
    }
}

/* ---- shapes ---- */

static struct pair_case cases[CRYPT_BATCH_MAX];

/* All in place from counter 0. */
static void cases_clear(void)
{
    memset(cases, 0, sizeof cases);
    for (unsigned i = 0; i < CRYPT_BATCH_MAX; i++)
        cases[i].counter = i;
}

/* Sizes around those at which a batch is cut otherwise. */
static const unsigned sizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  12, 13,
                                 15, 16, 17, 19, 28, 29, 31, 32, 33, 45, 64};

static void test_counters(void **state)
{
    static const struct {
        uint64_t first, step;
    } runs[] = {
        {0, 1},
        {UINT32_MAX - 5, 1},
        {(UINT64_C(1) << 32) - 32, 1},
        {UINT64_MAX - 63, 1},
        {UINT64_MAX - 5, 1}, /* and on with 0: of no use, but the nonce is just a number */
        {63, UINT64_MAX},    /* falling */
        {7, UINT64_C(1) << 32},
        {7, UINT64_C(0x100000001)},
        {5, 0},
    };
    (void)state;
    skip_where_unusable();
    for (size_t r = 0; r < ARRAY_LEN(runs); r++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            cases_clear();
            for (unsigned i = 0; i < sizes[s]; i++) {
                cases[i].len = (i * 37 + (unsigned)r) % 200;
                cases[i].counter = runs[r].first + i * runs[r].step;
                cases[i].seal_from = s % 2 == 0;
            }
            pair_run(&pair, cases, sizes[s], r);
        }
    }
}

/* As segmentation makes them: equal but for the last one. */
static void test_short_last(void **state)
{
    static const uint32_t full[] = {64, 128, 576, 1280, 1420};
    (void)state;
    skip_where_unusable();
    for (size_t f = 0; f < ARRAY_LEN(full); f++) {
        for (uint32_t last = 0; last < full[f]; last += 1 + last / 80) {
            unsigned n = sizes[(last + f) % ARRAY_LEN(sizes)];
            cases_clear();
            for (unsigned i = 0; i < n; i++) {
                cases[i].len = i + 1 < n ? full[f] : last;
                cases[i].open_from = last % 3 == 0;
            }
            pair_run(&pair, cases, n, last);
        }
    }
}

enum {
    MIXED_KINDS = 8
};

static uint32_t mixed_len(unsigned kind, unsigned i, unsigned n)
{
    switch (kind) {
    case 0: /* rising, so that sorting moves all */
        return i * 23;
    case 1: /* falling */
        return (n - i) * 17;
    case 2: /* short and long by turns */
        return i % 2 ? 40 : 1420;
    case 3: /* one long among empty ones */
        return i == n / 2 ? LEN_MAX : 0;
    case 4: /* one empty among long ones */
        return i == n / 2 ? 0 : LEN_MAX;
    case 5: /* around the blocks of both */
        return 63 + i % 3;
    case 6:
        return 15 + i % 3;
    default:
        return (i * 97 + n) % 700;
    }
}

static void test_mixed_lengths(void **state)
{
    (void)state;
    skip_where_unusable();
    for (unsigned kind = 0; kind < MIXED_KINDS; kind++) {
        for (unsigned n = 1; n <= CRYPT_BATCH_MAX; n++) {
            cases_clear();
            for (unsigned i = 0; i < n; i++) {
                cases[i].len = mixed_len(kind, i, n);
                cases[i].seal_from = (kind + i) % 2;
                cases[i].open_from = (n + i) % 2;
            }
            pair_run(&pair, cases, n, kind);
        }
    }
}

static void test_longest(void **state)
{
    (void)state;
    skip_where_unusable();
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            cases_clear();
            for (unsigned i = 0; i < sizes[s]; i++) {
                bool longest = kind == 0 || (kind == 1 ? i == sizes[s] / 2 : i % 4 == 0);
                cases[i].len = longest ? CRYPT_LEN_MAX - i * (kind == 2) : 100 * i;
                cases[i].seal_from = kind == 1;
                cases[i].open_from = kind == 2;
            }
            pair_run(&pair, cases, sizes[s], kind);
        }
    }
}

#ifndef _WIN32

enum {
    PAGE = 4096
};

/* At the very beginning or end of a page without neighbours, both where it comes from and where it goes. */
static uint8_t *at_page_edge(uint8_t *mapped, unsigned i, uint32_t full_len, bool end)
{
    uint8_t *page = mapped + (size_t)(2 * i + 1) * PAGE;
    return end ? page + PAGE - full_len : page;
}

static void check_at_page_edges(uint8_t *mapped, unsigned n, unsigned kind, bool end)
{
    struct crypt_packet p[CRYPT_BATCH_MAX];
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = mixed_len(kind, i, n);
        uint8_t *data = at_page_edge(mapped, i, len + CRYPT_TAG_LEN, end);
        uint8_t *from = at_page_edge(mapped, CRYPT_BATCH_MAX + i, len, end);
        memcpy(from, pair.pool + i, len);
        p[i] = (struct crypt_packet){.data = data, .from = from, .len = len, .counter = i};
    }
    crypt_seal(&pair.tested, &pair.key, p, n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t full_len = p[i].len + CRYPT_TAG_LEN;
        uint8_t *from = at_page_edge(mapped, CRYPT_BATCH_MAX + i, full_len, end);
        memcpy(from, p[i].data, full_len);
        p[i].from = from;
        p[i].data = at_page_edge(mapped, i, p[i].len, end);
    }
    assert_int_equal(crypt_open(&pair.tested, &pair.key, p, n), n);
    for (unsigned i = 0; i < n; i++)
        assert_memory_equal(p[i].data, pair.pool + i, p[i].len);
}

static void test_page_edges(void **state)
{
    const size_t mapped_len = (size_t)(4 * CRYPT_BATCH_MAX + 1) * PAGE;
    (void)state;
    skip_where_unusable();
    uint8_t *mapped = mmap(NULL, mapped_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(mapped != MAP_FAILED);
    for (unsigned i = 0; i < 2 * CRYPT_BATCH_MAX; i++)
        assert_int_equal(
            mprotect(mapped + (size_t)(2 * i + 1) * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
    for (unsigned kind = 0; kind < MIXED_KINDS; kind++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            check_at_page_edges(mapped, sizes[s], kind, false);
            check_at_page_edges(mapped, sizes[s], kind, true);
        }
    }
    munmap(mapped, mapped_len);
}

#endif

/* One packet of a batch, changed in each of its bytes. */
static void test_change_of_each_byte(void **state)
{
    static const uint32_t lens[] = {0, 1, 16, 63, 64, 65, 150};
    (void)state;
    skip_where_unusable();
    for (size_t l = 0; l < ARRAY_LEN(lens); l++) {
        for (uint32_t at = 0; at < lens[l] + CRYPT_TAG_LEN; at++) {
            unsigned n = sizes[(at + l) % ARRAY_LEN(sizes)];
            struct pair_case *victim = &cases[at % n];
            cases_clear();
            for (unsigned i = 0; i < n; i++) {
                cases[i].len = i % 5 == at % 5 ? lens[l] : 80;
                cases[i].open_from = (at + i) % 2;
            }
            victim->len = lens[l];
            victim->change_at = at;
            victim->change = (uint8_t)(1u << at % 8);
            pair_run(&pair, cases, n, at);
        }
    }
}

/* Each packet alone, every second one, all but one, and all of a batch, in the first and last byte and in the tag. */
static void test_change_of_each_packet(void **state)
{
    (void)state;
    skip_where_unusable();
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        unsigned n = sizes[s];
        for (unsigned victim = 0; victim < n + 3; victim++) {
            cases_clear();
            for (unsigned i = 0; i < n; i++) {
                bool alone = i == victim, some = victim == n && i % 2, rest = victim == n + 1 && i;
                cases[i].len = 30 + (i * 61 + victim) % 260;
                cases[i].open_from = victim % 2;
                if (!alone && !some && !rest && victim != n + 2)
                    continue;
                cases[i].change = 0x80;
                cases[i].change_at = victim % 3 == 0   ? 0
                                     : victim % 3 == 1 ? cases[i].len - 1
                                                       : cases[i].len + i % CRYPT_TAG_LEN;
            }
            pair_run(&pair, cases, n, victim);
        }
    }
}

/* Packets under another counter, and under another key. */
static void test_other_nonce_and_key(void **state)
{
    static uint8_t data[CRYPT_BATCH_MAX][256 + CRYPT_TAG_LEN], sealed[sizeof data];
    struct crypt_packet p[CRYPT_BATCH_MAX];
    struct crypt_key other;
    (void)state;
    skip_where_unusable();
    crypt_key_init(&other, hs_responder_send);
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        unsigned n = sizes[s];
        for (unsigned i = 0; i < n; i++)
            p[i] = (struct crypt_packet){.data = data[i], .len = 3 * i, .counter = 100 + i};
        crypt_seal(&pair.tested, &pair.key, p, n);
        memcpy(sealed, data, sizeof data);
        for (unsigned i = 0; i < n; i++) {
            p[i].ok = true;
            p[i].counter = 101 + i; /* the neighbour's */
        }
        assert_int_equal(crypt_open(&pair.tested, &pair.key, p, n), 0);
        memcpy(data, sealed, sizeof data);
        for (unsigned i = 0; i < n; i++) {
            assert_false(p[i].ok);
            p[i].counter = 100 + i;
        }
        assert_int_equal(crypt_open(&pair.tested, &other, p, n), 0);
        memcpy(data, sealed, sizeof data);
        assert_int_equal(crypt_open(&pair.tested, &pair.key, p, n), n);
    }
    crypt_key_fini(&other);
}

static void test_choice(void **state)
{
    struct crypt c;
    enum crypt_backend b;
    (void)state;
    assert_int_equal(crypt_backend_parse(&b, "avx512"), ERR_OK);
    assert_int_equal(b, CRYPT_AVX512);
    if (crypt_avx512_usable()) {
        assert_int_equal(crypt_init(&c, CRYPT_AVX512), ERR_OK);
        assert_string_equal(crypt_name(&c), "avx512");
        assert_int_equal(crypt_init(&c, CRYPT_AUTO), ERR_OK);
        assert_string_equal(crypt_name(&c), "avx512");
    } else {
        assert_int_equal(crypt_init(&c, CRYPT_AVX512), ERR_UNSUPPORTED);
        assert_int_equal(crypt_init(&c, CRYPT_AUTO), ERR_OK);
        assert_string_equal(crypt_name(&c), "boringssl");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_every_length_and_batch_size),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_short_last),
        cmocka_unit_test(test_mixed_lengths),
        cmocka_unit_test(test_longest),
#ifndef _WIN32
        cmocka_unit_test(test_page_edges),
#endif
        cmocka_unit_test(test_change_of_each_byte),
        cmocka_unit_test(test_change_of_each_packet),
        cmocka_unit_test(test_other_nonce_and_key),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
