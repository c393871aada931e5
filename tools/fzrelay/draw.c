/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/draw.h"

#include <openssl/sha.h>
#include <string.h>

#include "platform/base/bytes.h"

void draw_init(struct draw *d, const uint8_t seed[DRAW_SEED_LEN])
{
    memcpy(d->seed, seed, DRAW_SEED_LEN);
    d->count = 0;
}

void draw_wipe(struct draw *d)
{
    secure_wipe(d, sizeof *d);
}

void draw_bytes16(struct draw *d, uint8_t out[16])
{
    uint8_t text[DRAW_SEED_LEN + 8], hash[SHA256_DIGEST_LENGTH];

    memcpy(text, d->seed, DRAW_SEED_LEN);
    store_be64(text + DRAW_SEED_LEN, d->count++);
    SHA256(text, sizeof text, hash);
    memcpy(out, hash, 16);
    secure_wipe(text, sizeof text);
    secure_wipe(hash, sizeof hash);
}

uint64_t draw_u64(struct draw *d)
{
    uint8_t bytes[16];

    draw_bytes16(d, bytes);
    return load_be64(bytes);
}
