/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes written in hexadecimal, as test vectors have them. Aborts on anything else. */
#ifndef FZ_TESTS_HEX_H
#define FZ_TESTS_HEX_H

#include <stdint.h>
#include <string.h>

#include "platform/base/err.h"

static inline uint8_t hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    ASSERT(at != NULL);
    return (uint8_t)(at - digits);
}

/* Returns how many bytes there are, at most max. */
static inline uint32_t hex_decode(uint8_t *out, size_t max, const char *text)
{
    size_t n = strlen(text) / 2;
    ASSERT(strlen(text) % 2 == 0 && n <= max);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return (uint32_t)n;
}

#endif
