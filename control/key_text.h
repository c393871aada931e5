/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two text forms of a 32-byte WireGuard key: base64 (files, 44 characters) and hexadecimal (userspace API, 64).
 * Neither table look-ups nor branches depend on the key. Pure; any thread.
 */
#ifndef FZ_CONTROL_KEY_TEXT_H
#define FZ_CONTROL_KEY_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    KEY_LEN = 32,
    KEY_BASE64_LEN = 44,
    KEY_HEX_LEN = 64
};

/* `out` gets KEY_BASE64_LEN or KEY_HEX_LEN characters and a terminator. Wipe it if the key is secret. */
void key_base64_encode(char *out, const uint8_t *key);
void key_hex_encode(char *out, const uint8_t *key);

/*
 * Only the canonical form is accepted: exactly that many characters, base64 with its '=' and zero spare bits, hex in
 * either case. On ERR_PARSE `key` is zero.
 */
enum err key_base64_decode(uint8_t *key, const char *text, size_t len) MUST_USE;
enum err key_hex_decode(uint8_t *key, const char *text, size_t len) MUST_USE;

#endif
