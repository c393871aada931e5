/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes that depend on a secret seed only: SHA-256 of seed and a counter. Pure; one thread. */
#ifndef FZ_TOOLS_FZRELAY_DRAW_H
#define FZ_TOOLS_FZRELAY_DRAW_H

#include <stdint.h>

enum {
    DRAW_SEED_LEN = 32
};

struct draw {
    uint8_t seed[DRAW_SEED_LEN];
    uint64_t count;
};

void draw_init(struct draw *d, const uint8_t seed[DRAW_SEED_LEN]);
void draw_wipe(struct draw *d);

void draw_bytes16(struct draw *d, uint8_t out[16]);
uint64_t draw_u64(struct draw *d);

#endif
