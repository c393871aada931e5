/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch leaves behind. A call runs on a stack of its own, twice: same addresses, lengths, counters and validity,
 * other key and other plaintext. Stack and registers must be equal afterwards, so nothing in them depends on a secret:
 * not the key, r, s or key stream as such, and nothing computed from them either. The control runs the same code
 * without the wiping, where key and differences must be seen. Packets that go to BoringSSL are not covered.
 */
#include "engine/crypt_avx512.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#define INSTRUMENTED                                                                               \
    (__has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer))
#else
#define INSTRUMENTED 0
#endif

#ifdef HAVE_AVX512_CODE

enum {
    SLOT = 1600,
    STACK_LEN = 64 << 10,
    UNTOUCHED = 0x5a
};

/* Those that a function may change, after the call. */
struct registers {
    uint8_t zmm[32][64];
    uint64_t mask[8];
    uint64_t word[9]; /* rax rcx rdx rsi rdi r8 r9 r10 r11 */
};

struct traces {
    uint8_t stack[STACK_LEN];
    struct registers registers;
};

/* What a run works on; at the same addresses in all of them. */
static struct crypt_key key;
static uint8_t data[CRYPT_BATCH_MAX][SLOT];
static struct crypt_packet packets[CRYPT_BATCH_MAX];
static unsigned n_packets, n_opened;
static uint8_t stack[STACK_LEN] __attribute__((aligned(64)));
static struct registers registers;

static struct traces traces[2]; /* of two runs */

static void run_seal(void)
{
    crypt_avx512_ops.seal(&key, packets, n_packets);
}

static void run_open(void)
{
    n_opened = crypt_avx512_ops.open(&key, packets, n_packets);
}

AVX512_BEGIN

static void run_unwiped(void)
{
    struct crypt_packet *sorted[CRYPT_BATCH_MAX];
    struct set s;
    sort_packets(sorted, packets, n_packets);
    (void)sets_each(&s, &key, sorted, n_packets, false);
}

/* f preserves rbx and r12 in either calling convention; Windows' lets it use 32 bytes of its caller's frame. */
static NOINLINE void call_on_stack(void (*f)(void))
{
    _Static_assert(offsetof(struct registers, mask) == 2048, "as in the assembly");
    _Static_assert(offsetof(struct registers, word) == 2112, "as in the assembly");
    __asm__ volatile("movq %[r], %%r12\n\t"
                     "movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "call *%[f]\n\t"
                     "movq %%rbx, %%rsp\n\t"
                     ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,"
                     "26,27,28,29,30,31\n\t"
                     "vmovdqu64 %%zmm\\i, 64*\\i(%%r12)\n\t"
                     ".endr\n\t"
                     ".irp i,0,1,2,3,4,5,6,7\n\t"
                     "kmovq %%k\\i, 2048+8*\\i(%%r12)\n\t"
                     ".endr\n\t"
                     ".irp r,rax,rcx,rdx,rsi,rdi,r8,r9,r10,r11\n\t"
                     "movq %%\\r, 2112(%%r12)\n\t"
                     "addq $8, %%r12\n\t"
                     ".endr"
                     :
                     : [f] "r"(f), [r] "r"(&registers), [top] "r"(stack + STACK_LEN - 128)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
                       "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19",
                       "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
                       "xmm28", "xmm29", "xmm30", "xmm31", "memory", "cc");
}

AVX512_END

static const uint32_t equal_lens[] = {1280}, short_lens[] = {0, 1, 15, 40, 64},
                      mixed_lens[] = {1500, 1280, 90, 577, 16, 0, 1420, 64, 333},
                      last_lens[] = {1420, 1420, 1420, 1420, 1420, 1420, 1420, 700};
static const struct {
    const uint32_t *lens;
    unsigned n_lens;
} shapes[] = {
    {equal_lens, ARRAY_LEN(equal_lens)},
    {short_lens, ARRAY_LEN(short_lens)},
    {mixed_lens, ARRAY_LEN(mixed_lens)},
    {last_lens, ARRAY_LEN(last_lens)},
};

/* Key and plaintext of run `which`. */
static void prepare(unsigned which, unsigned shape, unsigned n)
{
    for (unsigned i = 0; i < CRYPT_KEY_LEN; i++)
        key.raw[i] = (uint8_t)(0x80 + which * 77 + i * 5);
    n_packets = n;
    for (unsigned i = 0; i < n; i++) {
        memset(data[i], (int)(which * 0x91 + i), SLOT);
        packets[i] = (struct crypt_packet){
            .data = data[i],
            .len = shapes[shape].lens[i % shapes[shape].n_lens],
            .counter = UINT64_C(0xfffffff0) + i,
        };
    }
}

static void run(unsigned which, void (*f)(void))
{
    memset(stack, UNTOUCHED, sizeof stack);
    call_on_stack(f);
    memcpy(traces[which].stack, stack, sizeof stack);
    traces[which].registers = registers;
}

/* Bytes of the two runs that differ. */
static size_t differences(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] != y[i];
    return count;
}

/* Aligned words of the stack and of the registers that are one of the key's. */
static size_t key_words_in(const struct traces *t)
{
    size_t count = 0;
    for (size_t at = 0; at + 4 <= sizeof *t; at += 4) {
        for (size_t k = 0; k < CRYPT_KEY_LEN; k += 4)
            count += load_le32((const uint8_t *)t + at) == load_le32(key.raw + k);
    }
    return count;
}

/* The deepest byte that was written, counted from the top. */
static size_t depth(const struct traces *t)
{
    size_t at = 0;
    while (at < STACK_LEN && t->stack[at] == UNTOUCHED)
        at++;
    return STACK_LEN - at;
}

static void assert_no_traces(const char *what, unsigned shape, unsigned n)
{
    size_t on_stack = differences(traces[0].stack, traces[1].stack, STACK_LEN);
    size_t in_registers =
        differences(&traces[0].registers, &traces[1].registers, sizeof traces[0].registers);
    if (on_stack > 0 || in_registers > 0)
        fail_msg("%s %u, shape %u: %zu bytes of stack and %zu of registers depend on the key", what,
                 n, shape, on_stack, in_registers);
    assert_int_equal(key_words_in(&traces[1]), 0);
    assert_true(depth(&traces[1]) < STACK_LEN / 2); /* the stack was large enough */
}

/* No packet of n goes to BoringSSL. */
static bool all_in_sets(unsigned n)
{
    return sets_cover(n) == n;
}

static void skip_where_unusable(void)
{
    if (!crypt_avx512_usable()) {
        print_message("this CPU has no AVX-512 with IFMA and VBMI2\n");
        skip();
    }
    if (INSTRUMENTED) {
        print_message("sanitizers use the stack in ways of their own\n");
        skip();
    }
}

static void test_control(void **state)
{
    (void)state;
    skip_where_unusable();
    for (unsigned which = 0; which < 2; which++) {
        prepare(which, 0, 32);
        run(which, run_unwiped);
    }
    assert_true(key_words_in(&traces[1]) >= CRYPT_KEY_LEN / 4);
    assert_true(differences(traces[0].stack, traces[1].stack, STACK_LEN) > 4096);
    assert_true(
        differences(&traces[0].registers, &traces[1].registers, sizeof traces[0].registers) > 256);
}

static void test_seal(void **state)
{
    (void)state;
    skip_where_unusable();
    for (unsigned shape = 0; shape < ARRAY_LEN(shapes); shape++) {
        for (unsigned n = 3; n <= CRYPT_BATCH_MAX; n++) {
            if (!all_in_sets(n))
                continue;
            for (unsigned which = 0; which < 2; which++) {
                prepare(which, shape, n);
                run(which, run_seal);
            }
            assert_no_traces("seal", shape, n);
        }
    }
}

/* Every `forged`-th packet is not authentic; 0: all are. */
static void open_without_traces(unsigned shape, unsigned n, unsigned forged)
{
    for (unsigned which = 0; which < 2; which++) {
        unsigned bad = 0;
        prepare(which, shape, n);
        run_seal();
        for (unsigned i = 0; forged > 0 && i < n; i += forged, bad++)
            data[i][packets[i].len + 3] ^= 1;
        run(which, run_open);
        assert_int_equal(n_opened, n - bad);
    }
    assert_no_traces("open", shape, n);
}

static void test_open(void **state)
{
    (void)state;
    skip_where_unusable();
    for (unsigned shape = 0; shape < ARRAY_LEN(shapes); shape++) {
        for (unsigned n = 3; n <= CRYPT_BATCH_MAX; n++) {
            for (unsigned forged = 0; all_in_sets(n) && forged < 4; forged++)
                open_without_traces(shape, n, forged);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("this architecture has no AVX-512");
    return 77;
}

#endif
