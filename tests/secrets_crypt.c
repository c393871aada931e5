/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No branch and no address of the AVX-512 backend depends on a secret. MemorySanitizer sees it: key and plaintext are
 * marked as uninitialised, and it ends the program at the first branch, address or mask of a load or store that is
 * computed from such a value. What is public is marked as initialised again: ciphertext and tag on their way, and
 * whether a tag is right (FZ_DECLASSIFY in the backend). This is about the source: it is compiled by clang and not
 * optimised, so that each condition written there is a branch; no other compiler's output is watched.
 *
 * For most operations MemorySanitizer tracks single bits. But clang 14 leaves them in place where a sum carries, a
 * product spreads or a permutation of two vectors moves them; it looks at one bit of what is compared, unless told
 * otherwise (-msan-handle-icmp-exact); and it reports what it does not know, which is the one test for zero. These
 * operations are wrapped here: a result lane with any uninitialised bit behind it is uninitialised as a whole.
 * test_operations shows for every operation used that a bit reaches all that it changes. That nothing gets lost on the
 * way is seen at the end, where all that was sealed or opened must be uninitialised.
 *
 * Built by `make secrets` only. Exit code 77: this CPU lacks the instructions.
 */
#include <immintrin.h>
#include <sanitizer/msan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/avx512.h"

AVX512_BEGIN

/* ---- which bits are uninitialised: MemorySanitizer's shadow, at a fixed distance on x86-64 Linux ---- */

/* Otherwise what is stored to the shadow would be marked as initialised, in the shadow's shadow, which is the value. */
#define NOT_WATCHED  __attribute__((noinline, disable_sanitizer_instrumentation))
#define shadow_of(p) ((volatile uint64_t *)((uintptr_t)(p) ^ UINT64_C(0x500000000000)))

static NOT_WATCHED uint64_t shadow_get(const uint64_t *p)
{
    return *shadow_of(p);
}

static NOT_WATCHED void shadow_set(uint64_t *p, uint64_t bits)
{
    *shadow_of(p) = bits;
    __asm__ volatile("" ::: "memory");
}

/* Every lane of `lane_bits` of the result that has an uninitialised bit in one of n operands becomes so as a whole. */
static NOT_WATCHED void shadow_spread(vec *result, const vec *operands, int n, int lane_bits)
{
    uint64_t bits[8] = {0}, any = 0;
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < n; k++)
            bits[i] |= shadow_of(&operands[k])[i];
        any |= bits[i];
    }
    for (int i = 0; i < 8; i++) {
        uint64_t low = lane_bits == 512 ? any : lane_bits == 64 ? bits[i] : (uint32_t)bits[i];
        uint64_t high = lane_bits == 32 ? bits[i] >> 32 : low;
        shadow_of(result)[i] |= (low ? UINT32_MAX : 0) | (high ? ~(uint64_t)UINT32_MAX : 0);
    }
    __asm__ volatile("" ::: "memory");
}

INLINE vec spread(vec result, vec a, vec b, vec c, int lane_bits)
{
    vec out = result, operands[3] = {a, b, c};
    shadow_spread(&out, operands, 3, lane_bits);
    return out;
}

/* ---- the operations that are wrapped ---- */

INLINE vec wrapped_add_epi32(vec a, vec b)
{
    return spread(_mm512_add_epi32(a, b), a, b, b, 32);
}

INLINE vec wrapped_add_epi64(vec a, vec b)
{
    return spread(_mm512_add_epi64(a, b), a, b, b, 64);
}

INLINE vec wrapped_madd52lo_epu64(vec a, vec b, vec c)
{
    return spread(_mm512_madd52lo_epu64(a, b, c), a, b, c, 64);
}

INLINE vec wrapped_madd52hi_epu64(vec a, vec b, vec c)
{
    return spread(_mm512_madd52hi_epu64(a, b, c), a, b, c, 64);
}

INLINE vec wrapped_permutex2var_epi64(vec a, vec index, vec b)
{
    return spread(_mm512_permutex2var_epi64(a, index, b), a, index, b, 512);
}

INLINE int wrapped_testz_si128(__m128i a, __m128i b)
{
    uint64_t words[2];
    _mm_storeu_si128((__m128i *)(void *)words, _mm_and_si128(a, b));
    return (words[0] | words[1]) == 0;
}

AVX512_END

#define _mm512_add_epi32                  wrapped_add_epi32
#define _mm512_add_epi64                  wrapped_add_epi64
#define _mm512_mask_add_epi64(s, m, a, b) _mm512_mask_mov_epi64(s, m, wrapped_add_epi64(a, b))
#define _mm512_madd52lo_epu64             wrapped_madd52lo_epu64
#define _mm512_madd52hi_epu64             wrapped_madd52hi_epu64
#define _mm512_permutex2var_epi64         wrapped_permutex2var_epi64
#define _mm_testz_si128                   wrapped_testz_si128

/* What the backend declassifies stays secret when a test wants to see it caught. */
static bool declassify = true;
#define __msan_unpoison(p, n) (declassify ? (__msan_unpoison)(p, n) : (void)0)
#define FZ_DECLASSIFY         1
#include "engine/crypt_avx512.c"
#undef __msan_unpoison

/* Has no key here; packets that go to it stay as they are. */
static void nothing_seal(const struct crypt_key *k, struct crypt_packet *p, unsigned n)
{
    (void)k, (void)p, (void)n;
}

static unsigned nothing_open(const struct crypt_key *k, struct crypt_packet *p, unsigned n)
{
    (void)k, (void)p, (void)n;
    return 0;
}

const struct crypt_backend_ops crypt_boringssl_ops = {
    .name = "none",
    .seal = nothing_seal,
    .open = nothing_open,
};

const char *__msan_default_options(void)
{
    return "exitcode=98"; /* its own is 77, which means skipped here */
}

enum {
    MSAN_EXIT = 98,
    SLOT = 1700,
    GUARD = 32
};

/* ---- the operations: does a change of one bit reach initialised bits? ---- */

AVX512_BEGIN

/* a, b and c may be secret; all masks and indexes of the backend are public. */
#define OPERATIONS(X)                                                                              \
    X(add_epi32, _mm512_add_epi32(a, b))                                                           \
    X(add_epi64, _mm512_add_epi64(a, b))                                                           \
    X(and, _mm512_and_si512(a, b))                                                                 \
    X(or, _mm512_or_si512(a, b))                                                                   \
    X(xor, _mm512_xor_si512(a, b))                                                                 \
    X(slli_epi64, _mm512_slli_epi64(a, 24))                                                        \
    X(srli_epi64, _mm512_srli_epi64(a, 44))                                                        \
    X(rol_epi32, _mm512_rol_epi32(a, 7))                                                           \
    X(rolv_epi32, _mm512_rolv_epi32(a, _mm512_set1_epi32(16)))                                     \
    X(shrdi_epi64, _mm512_shrdi_epi64(a, b, 44))                                                   \
    X(madd52lo, _mm512_madd52lo_epu64(a, b, c))                                                    \
    X(madd52hi, _mm512_madd52hi_epu64(a, b, c))                                                    \
    X(unpacklo_epi32, _mm512_unpacklo_epi32(a, b))                                                 \
    X(unpackhi_epi32, _mm512_unpackhi_epi32(a, b))                                                 \
    X(unpacklo_epi64, _mm512_unpacklo_epi64(a, b))                                                 \
    X(unpackhi_epi64, _mm512_unpackhi_epi64(a, b))                                                 \
    X(shuffle_i32x4_44, _mm512_shuffle_i32x4(a, b, 0x44))                                          \
    X(shuffle_i32x4_dd, _mm512_shuffle_i32x4(a, b, 0xdd))                                          \
    X(shuffle_i64x2_ee, _mm512_shuffle_i64x2(a, b, 0xee))                                          \
    X(shuffle_i64x2_88, _mm512_shuffle_i64x2(a, b, 0x88))                                          \
    X(permutex2var, _mm512_permutex2var_epi64(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b))  \
    X(cvtepu32_epi64, _mm512_cvtepu32_epi64(_mm512_castsi512_si256(a)))                            \
    X(extracti64x4, _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(a, 1)))                        \
    X(cvtepi64_epi32, _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(a)),         \
                                         _mm512_cvtepi64_epi32(b), 1))                             \
    X(mask_mov, _mm512_mask_mov_epi64(a, 0x5a, b))                                                 \
    X(mask_or, _mm512_mask_or_epi64(a, 0x5a, b, c))                                                \
    X(mask_add, _mm512_mask_add_epi64(a, 0x5a, b, c))                                              \
    X(test_mask,                                                                                   \
      _mm512_mask_mov_epi64(a, _mm512_test_epi64_mask(c, _mm512_set1_epi64(1ll << 42)), b))        \
    X(cmplt_mask, _mm512_mask_mov_epi64(a, _mm512_cmplt_epu64_mask(a, c), b))                      \
    X(load_bytes, load_masked(a))                                                                  \
    X(store_bytes, store_masked(a, b))                                                             \
    X(set1_epi32, set1_of_word(a))                                                                 \
    X(testz, testz_lane(a, b))

INLINE vec load_masked(vec a)
{
    vec memory = a;
    return _mm512_maskz_loadu_epi8(0xfff0ff0ff00f0f01, &memory);
}

INLINE vec store_masked(vec a, vec b)
{
    vec memory = a;
    _mm512_mask_storeu_epi8(&memory, 0xfff0ff0ff00f0f01, b);
    return memory;
}

INLINE vec set1_of_word(vec a)
{
    uint32_t words[16];
    _mm512_storeu_si512(words, a);
    return _mm512_set1_epi32((int)words[5]);
}

INLINE vec testz_lane(vec a, vec b)
{
    return _mm512_set1_epi64(_mm_testz_si128(_mm512_castsi512_si128(a), _mm512_castsi512_si128(b)));
}

typedef vec (*operation)(vec a, vec b, vec c);
#define X(name, expression)                                                                        \
    static NOINLINE vec operation_##name(vec a, vec b, vec c)                                      \
    {                                                                                              \
        (void)a, (void)b, (void)c;                                                                 \
        return expression;                                                                         \
    }
OPERATIONS(X)
#undef X

static const struct {
    const char *name;
    operation run;
} operations[] = {
#define X(name, expression) {#name, operation_##name},
    OPERATIONS(X)
#undef X
};

static uint64_t random_state = 7;

static uint64_t next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Long runs of equal bits carry far. */
static void random_vector(vec *v)
{
    uint64_t words[8];
    for (int i = 0; i < 8; i++)
        words[i] = next_random() & 1 ? next_random() : (uint64_t)0 - (next_random() >> 63);
    memcpy(v, words, sizeof words);
}

/* One bit of one operand is uninitialised: all bits of the result that it changes must be. */
static bool operation_is_tracked(operation run, unsigned operand, unsigned bit)
{
    vec v[3], first, second;
    uint64_t words[2][8];
    bool tracked = true;
    for (int i = 0; i < 3; i++)
        random_vector(&v[i]);
    first = run(v[0], v[1], v[2]);
    memcpy(words[0], &first, sizeof first);
    ((uint64_t *)(void *)&v[operand])[bit / 64] ^= UINT64_C(1) << bit % 64;
    shadow_set((uint64_t *)(void *)&v[operand] + bit / 64, UINT64_C(1) << bit % 64);
    second = run(v[0], v[1], v[2]);
    memcpy(words[1], &second, sizeof second);
    for (int i = 0; i < 8; i++) {
        uint64_t secret = shadow_get(&words[1][i]);
        __msan_unpoison(&words[1][i], 8);
        tracked &= ((words[0][i] ^ words[1][i]) & ~secret) == 0;
    }
    return tracked;
}

AVX512_END

static void test_operations(void)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        for (unsigned round = 0; round < 3000; round++) {
            unsigned operand = (unsigned)(next_random() >> 32) % 3;
            unsigned bit = (unsigned)(next_random() >> 32) % 512;
            if (!operation_is_tracked(operations[i].run, operand, bit)) {
                printf("MemorySanitizer loses track in %s\n", operations[i].name);
                exit(1);
            }
        }
    }
    printf("%zu operations are tracked\n", ARRAY_LEN(operations));
}

/* ---- batches ---- */

static struct crypt_key key;
static uint8_t data[CRYPT_BATCH_MAX][SLOT], from[CRYPT_BATCH_MAX][SLOT];
static struct crypt_packet packets[CRYPT_BATCH_MAX];

static void check(bool ok, const char *what, unsigned n, unsigned i)
{
    if (!ok) {
        printf("%s, packet %u of %u\n", what, i, n);
        exit(1);
    }
}

/* All of n bytes, or none. */
static bool all_secret(const uint8_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (__msan_test_shadow(at + i, 1) != 0)
            return false;
    }
    return true;
}

static bool none_secret(const uint8_t *at, size_t n)
{
    return __msan_test_shadow(at, n) == -1;
}

static uint32_t len_of(unsigned shape, unsigned n, unsigned i)
{
    switch (shape) {
    case 0:
        return 100;
    case 1: /* a short last one */
        return i + 1 < n ? 300 : 40;
    case 2:
        return (i * 37) % 150;
    case 3:
        return 0;
    case 4:
        return 63 + i % 3;
    default:
        return i % 7 ? 20 : 1420;
    }
}

static void make_key_secret(void)
{
    for (unsigned i = 0; i < CRYPT_KEY_LEN; i++)
        key.raw[i] = (uint8_t)(i * 7);
    __msan_poison(&key, sizeof key);
}

/* With a secret key all that comes out is secret, whether or not the plaintext is. */
static void seal_batch(unsigned shape, unsigned n, bool elsewhere)
{
    bool secret_plaintext = (n + shape) % 2;
    memset(data, 1, sizeof data);
    memset(from, 2, sizeof from);
    make_key_secret();
    for (unsigned i = 0; i < n; i++) {
        packets[i] = (struct crypt_packet){
            .data = data[i] + GUARD, .len = len_of(shape, n, i), .counter = UINT32_MAX - 3 + i};
        if (elsewhere)
            packets[i].from = from[i];
        if (secret_plaintext)
            __msan_poison(elsewhere ? from[i] : packets[i].data, packets[i].len);
    }
    crypt_avx512_ops.seal(&key, packets, n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t full_len = packets[i].len + CRYPT_TAG_LEN;
        check(all_secret(packets[i].data, full_len), "not all is secret when sealed", n, i);
        check(none_secret(packets[i].data - GUARD, GUARD) &&
                  none_secret(packets[i].data + full_len, GUARD),
              "neighbours became secret when sealed", n, i);
    }
}

/* Opens what seal_batch() left; the plaintext is secret again, `ok` and packets that are not are public. */
static void open_batch(unsigned n, bool elsewhere, unsigned forged)
{
    unsigned count = 0, opened;
    __msan_unpoison(data, sizeof data);
    __msan_unpoison(from, sizeof from);
    for (unsigned i = 0; i < n; i++) {
        if (forged > 0 && i % forged == 0)
            packets[i].data[packets[i].len + 5] ^= 1;
        packets[i].from = NULL;
        if (elsewhere) {
            memcpy(from[i], packets[i].data, packets[i].len + CRYPT_TAG_LEN);
            packets[i].from = from[i];
        }
    }
    opened = crypt_avx512_ops.open(&key, packets, n);
    for (unsigned i = 0; i < n; i++) {
        const struct crypt_packet *p = &packets[i];
        check(none_secret((const uint8_t *)&p->ok, sizeof p->ok), "validity is secret", n, i);
        check(p->ok == !(forged > 0 && i % forged == 0), "wrongly opened or not opened", n, i);
        check(p->ok ? all_secret(p->data, p->len) : none_secret(p->data, p->len),
              "wrong secrets when opened", n, i);
        check(none_secret(p->data - GUARD, GUARD) && none_secret(p->data + p->len, GUARD),
              "neighbours became secret when opened", n, i);
        count += p->ok;
    }
    check(opened == count, "wrong count", n, 0);
}

static void test_batches(void)
{
    unsigned batches = 0;
    for (unsigned n = 3; n <= CRYPT_BATCH_MAX; n++) {
        if (sets_cover(n) < n) /* the rest would go to BoringSSL */
            continue;
        for (unsigned shape = 0; shape < 6; shape++) {
            for (unsigned forged = 0; forged < 3; forged++, batches += 2) {
                seal_batch(shape, n, forged % 2);
                open_batch(n, (forged + n) % 2, forged);
            }
        }
    }
    printf("no branch or address of %u batches depends on a secret\n", batches);
}

/* ---- would it be seen? ---- */

static volatile int sink;

static void branch_on_secret(void)
{
    uint8_t secret = 1;
    __msan_poison(&secret, 1);
    if (secret)
        sink = 1;
}

static void address_from_secret(void)
{
    static const uint8_t table[256] = {1};
    uint8_t secret = 1;
    __msan_poison(&secret, 1);
    sink = table[secret];
}

/* The backend itself: its one branch on something computed from the key, no longer declassified. */
static void branch_in_backend(void)
{
    seal_batch(0, 8, false);
    declassify = false;
    open_batch(8, false, 0);
}

/* A length computed from the key. */
static void secret_length(void)
{
    seal_batch(0, 8, false);
    packets[3].len ^= key.raw[0] & 1;
    crypt_avx512_ops.seal(&key, packets, 8);
}

static void quietly(void)
{
}

static int exit_code_of(void (*f)(void))
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        f();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void test_failures(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        int exit_code;
    } cases[] = {
        {"nothing", quietly, 0},
        {"a branch on a secret", branch_on_secret, MSAN_EXIT},
        {"an address from a secret", address_from_secret, MSAN_EXIT},
        {"a branch of the backend on a secret", branch_in_backend, MSAN_EXIT},
        {"a length from a secret", secret_length, MSAN_EXIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int code = exit_code_of(cases[i].run);
        if (code != cases[i].exit_code) {
            printf("%s: exit code %d, not %d\n", cases[i].name, code, cases[i].exit_code);
            exit(1);
        }
    }
    printf("branches on secrets and addresses from them are caught\n");
}

int main(void)
{
    if (!crypt_avx512_usable()) {
        puts("this CPU has no AVX-512 with IFMA and VBMI2");
        return 77;
    }
    test_failures();
    test_operations();
    test_batches();
    return 0;
}
