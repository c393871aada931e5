/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of AEAD batches: the fastest backend of this CPU against BoringSSL one packet at a time, see crypt_pair.h.
 * Input: key (32 bytes), counter of the first packet (8), seed of the plaintexts (1), then for each packet flags (1),
 * length (2), place and bits of a change (2, 1). The last packet is repeated as often as the low bits of the seed say.
 */
#include "tests/support/crypt_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HEAD_LEN = CRYPT_KEY_LEN + 8 + 1,
    CASE_LEN = 6,
    BYTES_MAX = 256 << 10, /* of all packets, for the sake of speed */

    SEAL_FROM = 1,
    OPEN_FROM = 2,
    CHANGE = 4,
    LONG = 8,      /* lengths up to the longest; otherwise up to 2047 */
    FAR = 16,      /* the counter is nowhere near the one before */
    SAME_LEN = 32, /* as the packet before */
};

static struct pair pair;
static bool ready;

static struct pair_case decode_case(const uint8_t *at, const struct pair_case *before)
{
    uint8_t flags = at[0];
    uint32_t number = load_be16(at + 1);
    struct pair_case c = {
        .len = flags & SAME_LEN ? before->len
               : flags & LONG   ? number
                                : number % 2048,
        .counter = before->counter + (flags & FAR ? number * UINT64_C(0x100000001000001) : 1),
        .seal_from = flags & SEAL_FROM,
        .open_from = flags & OPEN_FROM,
    };
    if (flags & CHANGE) {
        c.change = at[5];
        c.change_at = load_be16(at + 3) % (c.len + CRYPT_TAG_LEN);
    }
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair_case cases[CRYPT_BATCH_MAX], before = {0};
    unsigned n = 0, repeat;
    size_t bytes = 0;

    if (size < HEAD_LEN + CASE_LEN)
        return 0;
    if (!ready)
        pair_init(&pair, CRYPT_AUTO, data, 1);
    ready = true;
    crypt_key_fini(&pair.key);
    crypt_key_init(&pair.key, data);
    before.counter = load_le64(data + CRYPT_KEY_LEN) - 1;
    repeat = data[HEAD_LEN - 1] % CRYPT_BATCH_MAX;
    for (size_t at = HEAD_LEN; n < CRYPT_BATCH_MAX && at + CASE_LEN <= size;) {
        struct pair_case c = decode_case(data + at, &before);
        bytes += c.len;
        if (bytes > BYTES_MAX)
            break;
        cases[n++] = before = c;
        if (at + 2 * CASE_LEN <= size || repeat == 0)
            at += CASE_LEN;
        else
            repeat--;
    }
    if (n > 0)
        pair_run(&pair, cases, n, data[HEAD_LEN - 1] + 1);
    return 0;
}
