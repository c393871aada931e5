/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE2s (RFC 7693), keyed and unkeyed, and what WireGuard builds on it: HMAC and the key derivation KDF1..3.
 *
 * Portable scalar code without tables indexed by data, so its time depends on lengths only. Pure: no allocation,
 * no state outside the arguments; any thread. States may hold secrets: blake2s_final and the one-shot calls wipe
 * theirs, a state that is abandoned earlier is wiped by its owner with blake2s_wipe.
 */
#ifndef FZ_BASE_BLAKE2S_H
#define FZ_BASE_BLAKE2S_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLAKE2S_BLOCK_LEN = 64,
    BLAKE2S_HASH_LEN = 32, /* also the longest digest */
    BLAKE2S_KEY_LEN = 32   /* the longest key */
};

/* A hash in progress; a plain value that may be copied to fork the computation. */
struct blake2s {
    uint32_t h[8];
    uint64_t total; /* bytes compressed so far, the key block included */
    uint8_t buf[BLAKE2S_BLOCK_LEN];
    uint8_t buf_len; /* a full buffer waits until it is known whether it is the last block */
    uint8_t hash_len;
    bool primed; /* the key block is already in h: at least one message byte must follow */
};

/* hash_len: 1..32. key_len: 0..32; 0 means unkeyed, and `key` may be NULL then. */
void blake2s_init(struct blake2s *s, size_t hash_len, const void *key, size_t key_len);

/*
 * Compresses the key block of a freshly initialised keyed state ahead of time, for a state that is copied once per
 * message. The message must not be empty afterwards.
 */
void blake2s_prime(struct blake2s *s);

void blake2s_update(struct blake2s *s, const void *data, size_t len);

/* Writes hash_len bytes to `out` and wipes the state. */
void blake2s_final(struct blake2s *s, void *out);

void blake2s_wipe(struct blake2s *s);

/* Unkeyed 32-byte hash of the concatenation of two strings; either may be empty. `out` may be one of them. */
void blake2s_hash2(uint8_t out[BLAKE2S_HASH_LEN], const void *a, size_t a_len, const void *b,
                   size_t b_len);

/* Keyed 16-byte hash, the MAC of the WireGuard paper, in one call. key_len: 1..32. `out` must not overlap `data`. */
void blake2s_mac16(uint8_t out[16], const void *key, size_t key_len, const void *data, size_t len);

/* HMAC (RFC 2104) over BLAKE2s with a 64-byte block; key of any length. `out` may be `key` or `data`. */
void blake2s_hmac(uint8_t out[BLAKE2S_HASH_LEN], const void *key, size_t key_len, const void *data,
                  size_t len);

/*
 * KDF1..3 of the WireGuard paper, section 5.4 (HKDF with an empty info string): derives up to three 32-byte outputs
 * from `key` and `input`. out2 and out3 may be NULL, out3 must be if out2 is. Any output may be `key` or `input`.
 */
void blake2s_kdf(uint8_t *out1, uint8_t *out2, uint8_t *out3, const uint8_t key[BLAKE2S_HASH_LEN],
                 const void *input, size_t input_len);

#endif
