/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Poly1305 of the AVX-512 backend on extreme values: r near 0 and all ones, blocks of ff, sums that end near the
 * prime and near 2^128. The reference multiplies by doubling and adding modulo 2^130 - 5: slow, and without carries
 * between limbs to get wrong. It is not BoringSSL's standalone Poly1305, which some of these values are wrong with in
 * the pinned version.
 */
#include "tests/support/crypt_inner.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#ifdef HAVE_AVX512_CODE

enum {
#ifdef FZ_DEBUG
    ROUNDS = 1500,
#else
    ROUNDS = 12000,
#endif
    LEN_MAX = 16 * 16
};

__extension__ typedef unsigned __int128 uint128;

static const uint128 R_MASK =
    (uint128)UINT64_C(0x0ffffffc0ffffffc) << 64 | UINT64_C(0x0ffffffc0fffffff);
static const uint128 P_LOW = ~(uint128)0 - 4; /* the prime is 3 * 2^128 + P_LOW */

/* ---- the reference ---- */

/* low + 2^128 high, below the prime when reduced. */
struct number {
    uint128 low;
    uint64_t high;
};

static struct number number_reduce(struct number a)
{
    if (a.high > 3 || (a.high == 3 && a.low >= P_LOW)) {
        a.high -= 3 + (a.low < P_LOW);
        a.low -= P_LOW;
    }
    return a;
}

/* Sums below twice the prime. */
static struct number number_add(struct number a, struct number b)
{
    struct number sum = {a.low + b.low, a.high + b.high};
    sum.high += sum.low < a.low;
    return number_reduce(sum);
}

static struct number number_multiply(struct number a, uint128 r)
{
    struct number product = {0, 0};
    for (int bit = 127; bit >= 0; bit--) {
        product = number_add(product, product);
        if (r >> bit & 1)
            product = number_add(product, a);
    }
    return product;
}

/* The sum before s is added, of whole blocks. */
static struct number reference_sum(const uint8_t r_bytes[16], const uint8_t *data, uint32_t len)
{
    struct number h = {0, 0};
    uint128 r;
    memcpy(&r, r_bytes, sizeof r);
    for (uint32_t at = 0; at < len; at += 16) {
        struct number block = {0, 1};
        memcpy(&block.low, data + at, sizeof block.low);
        h = number_multiply(number_add(h, block), r & R_MASK);
    }
    return h;
}

static void reference_tag(uint8_t tag[CRYPT_TAG_LEN], struct number h, const uint8_t s_bytes[16])
{
    uint128 s;
    memcpy(&s, s_bytes, sizeof s);
    s += h.low;
    memcpy(tag, &s, sizeof s);
}

/* ---- extreme values ---- */

static uint64_t random_state = 20;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d) >> 16) % n);
}

static void random_bytes(uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)below(256);
}

static void extreme_r(uint8_t r[16])
{
    switch (below(6)) {
    case 0:
        memset(r, 0xff, 16);
        break;
    case 1: /* 0 to 7 */
        memset(r, 0, 16);
        r[0] = (uint8_t)below(8);
        break;
    case 2: /* one bit */
        memset(r, 0, 16);
        r[below(16)] = (uint8_t)(1u << below(8));
        break;
    case 3:
        memset(r, (int)below(256), 16);
        break;
    case 4: /* all ones but for one byte */
        memset(r, 0xff, 16);
        r[below(16)] = (uint8_t)below(256);
        break;
    default:
        random_bytes(r, 16);
        break;
    }
}

static void extreme_block(uint8_t b[16])
{
    switch (below(6)) {
    case 0:
        memset(b, 0xff, 16);
        break;
    case 1: /* just below 2^128 */
        memset(b, 0xff, 16);
        b[0] = (uint8_t)(0xf0 + below(16));
        break;
    case 2: /* 0 to 15 */
        memset(b, 0, 16);
        b[0] = (uint8_t)below(16);
        break;
    case 3: /* 2^127 */
        memset(b, 0, 16);
        b[15] = 0x80;
        break;
    case 4: /* limbs that are full or empty */
        for (unsigned i = 0; i < 16; i++)
            b[i] = i == 5 || i == 10 ? (uint8_t)(below(4) * 0x55) : below(2) ? 0xff : 0;
        break;
    default:
        random_bytes(b, 16);
        break;
    }
}

/* For a sum h: so that the tag comes out near 0, 2^64 or 2^128, among others. */
static void extreme_s(uint8_t s[16], struct number h)
{
    uint128 value;
    random_bytes(s, 16);
    memcpy(&value, s, sizeof value);
    switch (below(5)) {
    case 0:
        value = ~(uint128)0;
        break;
    case 1:
        value = 0;
        break;
    case 2:
        value = 2 - h.low + below(5) - 4;
        break;
    case 3:
        value = (value >> 64 << 64) | (uint64_t)(2 - h.low + below(5) - 4);
        break;
    default:
        break;
    }
    memcpy(s, &value, sizeof value);
}

/*
 * With r = 1 the sum is that of the blocks, each of which counts 2^128 more: three that make up the prime and up to 8
 * less or more.
 */
static void near_prime(uint8_t r[16], uint8_t data[48])
{
    uint128 a, b, c;
    memset(r, 0, 16);
    r[0] = 1;
    random_bytes(data, 32);
    memcpy(&a, data, sizeof a);
    memcpy(&b, data + 16, sizeof b);
    a >>= 1;
    b >>= 2; /* their sum fits */
    c = P_LOW - a - b + below(17) - 8;
    memcpy(data, &a, sizeof a);
    memcpy(data + 16, &b, sizeof b);
    memcpy(data + 32, &c, sizeof c);
}

/* ---- tests ---- */

struct eight {
    uint8_t key[POLY_LANES][CRYPT_KEY_LEN], data[POLY_LANES][LEN_MAX + BLOCK];
    uint32_t len[POLY_LANES];
};

static void check_tags(const struct eight *e, uint8_t tag[POLY_LANES][CRYPT_TAG_LEN])
{
    for (unsigned i = 0; i < POLY_LANES; i++) {
        uint8_t want[CRYPT_TAG_LEN];
        struct number h = reference_sum(e->key[i], e->data[i], e->len[i]);
        reference_tag(want, h, e->key[i] + 16);
        if (memcmp(tag[i], want, sizeof want) != 0)
            fail_msg("lane %u, %u bytes", i, (unsigned)e->len[i]);
    }
}

static void run(const struct eight *e)
{
    uint8_t tag[POLY_LANES][CRYPT_TAG_LEN];
    const uint8_t *data[POLY_LANES];
    for (unsigned i = 0; i < POLY_LANES; i++)
        data[i] = e->data[i];
    inner_poly(tag, e->key, data, e->len);
    check_tags(e, tag);
}

static void skip_where_unusable(void)
{
    if (!crypt_avx512_usable()) {
        print_message(INNER_UNUSABLE);
        skip();
    }
}

static void test_reference(void **state)
{
    /* 2 (2^130 - 6) = 2^130 - 7 modulo 2^130 - 5; (2^130 - 6)^2 is not needed: factors have 124 bits */
    struct number almost = {P_LOW - 1, 3}, twice = number_multiply(almost, 2);
    struct number sum = number_add(almost, (struct number){1, 0});
    (void)state;
    assert_true(twice.low == P_LOW - 2 && twice.high == 3);
    assert_true(sum.low == 0 && sum.high == 0);
    /* 2^128 * 2^3 = 2 * 2^130 = 10 */
    sum = number_multiply((struct number){0, 1}, 8);
    assert_true(sum.low == 10 && sum.high == 0);
}

static void test_extreme(void **state)
{
    static struct eight e;
    (void)state;
    skip_where_unusable();
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < POLY_LANES; i++) {
            e.len[i] = 16 * below(LEN_MAX / 16 + 1) >> below(3) & ~15u;
            for (uint32_t at = 0; at < e.len[i]; at += 16)
                extreme_block(e.data[i] + at);
            extreme_r(e.key[i]);
            extreme_s(e.key[i] + 16, reference_sum(e.key[i], e.data[i], e.len[i]));
        }
        run(&e);
    }
}

static void test_near_prime(void **state)
{
    static struct eight e;
    unsigned at_prime = 0;
    (void)state;
    skip_where_unusable();
    for (unsigned round = 0; round < ROUNDS / 8; round++) {
        for (unsigned i = 0; i < POLY_LANES; i++) {
            e.len[i] = 48;
            near_prime(e.key[i], e.data[i]);
            struct number h = reference_sum(e.key[i], e.data[i], e.len[i]);
            assert_true((h.high == 0 && h.low <= 8) || (h.high == 3 && h.low >= P_LOW - 8));
            at_prime += h.high == 0 && h.low == 0;
            extreme_s(e.key[i] + 16, h);
        }
        run(&e);
    }
    assert_true(at_prime > 0);
}

AVX512_BEGIN

/* As the sets call it: any lengths, padded, and followed by the block of lengths. */
static NOINLINE void run_messages(const struct eight *e, int eights)
{
    struct poly p[2];
    struct messages m[2];
    for (int k = 0; k < eights; k++) {
        inner_poly_init(&p[k], e[k].key);
        for (unsigned i = 0; i < POLY_LANES; i++) {
            m[k].at[i] = (uintptr_t)e[k].data[i];
            m[k].len[i] = e[k].len[i];
        }
    }
    if (eights == 2)
        poly_messages(p, m, 2);
    else
        poly_messages(p, m, 1);
    for (int k = 0; k < eights; k++) {
        uint8_t tag[POLY_LANES][CRYPT_TAG_LEN];
        struct eight padded = e[k];
        inner_poly_tags(tag, &p[k]);
        for (unsigned i = 0; i < POLY_LANES; i++) {
            uint32_t len = padded.len[i], up = ALIGN_UP(len, 16);
            memset(padded.data[i] + len, 0, up - len);
            store_le64(padded.data[i] + up, 0);
            store_le64(padded.data[i] + up + 8, len);
            padded.len[i] = up + 16;
        }
        check_tags(&padded, tag);
    }
}

AVX512_END

static void test_messages(void **state)
{
    static struct eight e[2];
    (void)state;
    skip_where_unusable();
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool equal = below(2), close = below(2);
        uint32_t base = below(LEN_MAX + 1);
        for (unsigned k = 0; k < 2; k++) {
            for (unsigned i = 0; i < POLY_LANES; i++) {
                e[k].len[i] = equal ? base : below(LEN_MAX + 1);
                if (close && !equal)
                    e[k].len[i] = (base + below(4)) % LEN_MAX;
                for (uint32_t at = 0; at < LEN_MAX + BLOCK; at += 16)
                    extreme_block(e[k].data[i] + at);
                extreme_r(e[k].key[i]);
                random_bytes(e[k].key[i] + 16, 16);
            }
        }
        run_messages(e, round % 2 ? 2 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_extreme),
        cmocka_unit_test(test_near_prime),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts(INNER_UNUSABLE);
    return 77;
}

#endif
