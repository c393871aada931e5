/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes are computed with masks: -1 if c lies in a range, else 0. */
#include "control/key_text.h"

#include <string.h>

#include "platform/base/bytes.h"

/* -1 if lo <= c <= hi, else 0; all values within 0..255. */
static int range_mask(int c, int lo, int hi)
{
    return ((lo - 1 - c) & (c - hi - 1)) >> 8;
}

/* 0..63 to a character of the base64 alphabet. */
static char base64_char(int v)
{
    int c = range_mask(v, 0, 25) & (v + 'A');
    c |= range_mask(v, 26, 51) & (v - 26 + 'a');
    c |= range_mask(v, 52, 61) & (v - 52 + '0');
    c |= range_mask(v, 62, 62) & '+';
    c |= range_mask(v, 63, 63) & '/';
    return (char)c;
}

/* The inverse; -1 for any other character. */
static int base64_value(char ch)
{
    int c = (unsigned char)ch, v = -1;
    v += range_mask(c, 'A', 'Z') & (c - 'A' + 1);
    v += range_mask(c, 'a', 'z') & (c - 'a' + 26 + 1);
    v += range_mask(c, '0', '9') & (c - '0' + 52 + 1);
    v += range_mask(c, '+', '+') & (62 + 1);
    v += range_mask(c, '/', '/') & (63 + 1);
    return v;
}

static char hex_char(int v)
{
    return (char)(v + '0' + (range_mask(v, 10, 15) & ('a' - '0' - 10)));
}

static int hex_value(char ch)
{
    int c = (unsigned char)ch, v = -1;
    v += range_mask(c, '0', '9') & (c - '0' + 1);
    v += range_mask(c, 'a', 'f') & (c - 'a' + 10 + 1);
    v += range_mask(c, 'A', 'F') & (c - 'A' + 10 + 1);
    return v;
}

void key_base64_encode(char *out, const uint8_t *key)
{
    uint8_t padded[33] = {0};

    memcpy(padded, key, KEY_LEN);
    for (unsigned i = 0; i < 11; i++) {
        const uint8_t *b = padded + 3 * i;
        int v = b[0] << 16 | b[1] << 8 | b[2];
        for (unsigned k = 0; k < 4; k++)
            out[4 * i + k] = base64_char(v >> (18 - 6 * k) & 63);
    }
    out[KEY_BASE64_LEN - 1] = '=';
    out[KEY_BASE64_LEN] = '\0';
    secure_wipe(padded, sizeof padded);
}

enum err key_base64_decode(uint8_t *key, const char *text, size_t len)
{
    uint8_t padded[33];
    int bad = 0;

    memset(key, 0, KEY_LEN);
    if (len != KEY_BASE64_LEN || text[KEY_BASE64_LEN - 1] != '=')
        return ERR_PARSE;
    for (unsigned i = 0; i < 11; i++) {
        int v = 0;
        for (unsigned k = 0; k < 4; k++) {
            int d = 4 * i + k == KEY_BASE64_LEN - 1 ? 0 : base64_value(text[4 * i + k]);
            bad |= d;
            v = v << 6 | (d & 63);
        }
        padded[3 * i] = (uint8_t)(v >> 16);
        padded[3 * i + 1] = (uint8_t)(v >> 8);
        padded[3 * i + 2] = (uint8_t)v;
    }
    bool ok = bad >= 0 && padded[32] == 0;
    if (ok)
        memcpy(key, padded, KEY_LEN);
    secure_wipe(padded, sizeof padded);
    return ok ? ERR_OK : ERR_PARSE;
}

void key_hex_encode(char *out, const uint8_t *key)
{
    for (unsigned i = 0; i < KEY_LEN; i++) {
        out[2 * i] = hex_char(key[i] >> 4);
        out[2 * i + 1] = hex_char(key[i] & 15);
    }
    out[KEY_HEX_LEN] = '\0';
}

enum err key_hex_decode(uint8_t *key, const char *text, size_t len)
{
    int bad = 0;

    memset(key, 0, KEY_LEN);
    if (len != KEY_HEX_LEN)
        return ERR_PARSE;
    for (unsigned i = 0; i < KEY_LEN; i++) {
        int hi = hex_value(text[2 * i]), lo = hex_value(text[2 * i + 1]);
        bad |= hi | lo;
        key[i] = (uint8_t)((hi & 15) << 4 | (lo & 15));
    }
    if (bad >= 0)
        return ERR_OK;
    secure_wipe(key, KEY_LEN);
    return ERR_PARSE;
}
