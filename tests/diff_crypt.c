/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random batches, each backend that this CPU runs against BoringSSL one packet at a time. Half of the batches
 * are changed on the way: one packet, some, or all of them; the first or the last byte, the tag, or any. See crypt_pair.h
 * for what is checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/crypt_pair.h"

enum {
#ifdef FZ_DEBUG
    PACKETS = 200 * 1000,
#else
    PACKETS = 2400 * 1000,
#endif
    PACKETS_BORINGSSL = PACKETS / 8 /* the backend is hardly more than the reference */
};

static uint64_t random_state;
static struct pair pair;

static uint32_t below(uint32_t n)
{
    return (uint32_t)pair_random_below(&random_state, n);
}

/* The kinds of batches: equal lengths and a shorter last one, as segmentation makes them; similar ones; any. */
static void random_lens(struct pair_case *c, unsigned n)
{
    static const uint32_t limits[] = {17, 65, 129, 300, 300, 700, 1501};
    uint32_t limit = limits[below(ARRAY_LEN(limits))], base = below(limit);
    unsigned kind = below(4);
    if (below(5000) == 0)
        limit = CRYPT_LEN_MAX + 1;
    for (unsigned i = 0; i < n; i++)
        c[i].len = kind == 0 ? base : kind == 1 ? size_min(base + below(20), limit) : below(limit);
    if (kind == 0)
        c[n - 1].len = below(base + 1);
}

static void random_counters(struct pair_case *c, unsigned n)
{
    static const uint64_t bases[] = {0, UINT32_MAX - 40, UINT64_MAX - 70, UINT64_C(1) << 63};
    unsigned kind = below(8);
    uint64_t base = kind < 4 ? bases[kind] : pair_random(&random_state);
    for (unsigned i = 0; i < n; i++)
        c[i].counter = kind == 7 ? pair_random(&random_state) : base + i;
}

static void random_change(struct pair_case *c)
{
    uint32_t full_len = c->len + CRYPT_TAG_LEN;
    switch (below(4)) {
    case 0:
        c->change_at = 0;
        break;
    case 1:
        c->change_at = c->len > 0 ? c->len - 1 : 0;
        break;
    case 2:
        c->change_at = c->len + below(CRYPT_TAG_LEN);
        break;
    default:
        c->change_at = below(full_len);
        break;
    }
    c->change = (uint8_t)(below(2) ? 1u << below(8) : 1 + below(255));
}

/* Returns how many packets it changed. */
static unsigned random_changes(struct pair_case *c, unsigned n)
{
    unsigned kind = below(6), changed = 0;
    for (unsigned i = 0; i < n && kind < 3; i++) {
        if (kind == 0 ? i == n - 1 : kind == 1 ? below(4) == 0 : true) {
            random_change(&c[i]);
            changed++;
        }
    }
    return changed;
}

static void run_backend(enum crypt_backend backend, unsigned long packets_max)
{
    uint8_t raw[CRYPT_KEY_LEN];
    unsigned long packets = 0, changed = 0;
    random_state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < sizeof raw; i += 8)
        store_le64(raw + i, pair_random(&random_state));
    pair_init(&pair, backend, raw, random_state);
    while (packets < packets_max) {
        struct pair_case cases[CRYPT_BATCH_MAX] = {0};
        unsigned n = 1 + below(CRYPT_BATCH_MAX);
        unsigned place = below(3);
        random_lens(cases, n);
        random_counters(cases, n);
        for (unsigned i = 0; i < n; i++) {
            cases[i].seal_from = place == 0 || (place == 2 && below(2));
            cases[i].open_from = place == 1 || (place == 2 && below(2));
        }
        changed += random_changes(cases, n);
        pair_run(&pair, cases, n, pair_random(&random_state));
        packets += n;
    }
    pair_fini(&pair);
    print_message("%s: %lu packets, %lu of them changed\n", crypt_name(&pair.tested), packets,
                  changed);
}

static void test_boringssl(void **state)
{
    (void)state;
    run_backend(CRYPT_BORINGSSL, PACKETS_BORINGSSL);
}

static void test_avx512(void **state)
{
    struct crypt c;
    (void)state;
    if (crypt_init(&c, CRYPT_AVX512) != ERR_OK) {
        print_message("this CPU has no AVX-512 with IFMA and VBMI2\n");
        skip();
    }
    run_backend(CRYPT_AVX512, PACKETS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boringssl),
        cmocka_unit_test(test_avx512),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
