/* SPDX-License-Identifier: Apache-2.0 */
/* See uuid.h. */
#include "control/portal/uuid.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool uuid_parse(struct uuid *out, const char *text)
{
    for (unsigned i = 0; i < UUID_LEN; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return *text == 0;
}

void uuid_format(const struct uuid *uuid, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < UUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[uuid->bytes[i] >> 4];
        *out++ = digits[uuid->bytes[i] & 15];
    }
    *out = 0;
}
