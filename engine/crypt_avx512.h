/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20-Poly1305 of a whole batch of packets at once, on CPUs with AVX-512 (F, VL, BW, DQ, IFMA, VBMI2), where it is
 * about twice as fast as one packet after the other on Zen 4, which does 512-bit operations in halves.
 *
 * The packets are sorted by length and cut into sets of up to 32, 16, 8 or 4, so that the 32 blocks of a ChaCha20
 * step and the eight messages of a Poly1305 step are mostly full; the one-time keys are ordinary blocks among the others,
 * so neither they nor the tails of packets cost a step of their own. Up to three packets go to BoringSSL.
 *
 * Secrets: branches and addresses depend on lengths, counters, batch size and the validity of tags only. Opening
 * checks the tags of a set before it decrypts, and writes nothing to packets that are not authentic. What a set leaves
 * in memory and registers (keys, key stream, everything computed from them) is wiped before a call returns; what
 * BoringSSL leaves of the packets that it gets is not.
 */
#ifndef FZ_CRYPT_AVX512_H
#define FZ_CRYPT_AVX512_H

#include <stdbool.h>

#include "engine/crypt.h"

extern const struct crypt_backend_ops crypt_boringssl_ops; /* crypt.c: what single packets go to */
extern const struct crypt_backend_ops crypt_avx512_ops;    /* use it only if the next says true */

/* The CPU has the instructions, and the operating system saves the registers. */
bool crypt_avx512_usable(void);

#endif
