/* SPDX-License-Identifier: Apache-2.0 */
/* See dmi.h. */
#include "control/dmi.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"

enum {
    HEADER_LEN = 4,
    TYPE_SYSTEM = 1,
    TYPE_END = 127,
    AT_SERIAL = 7,
    AT_UUID = 8,
    UUID_LEN = 16
};

/* What boards have whose maker did not fill it in. */
static const char placeholder[] = "123456789";

struct structure {
    uint8_t type;
    uint8_t fields_len; /* with the header */
    const uint8_t *fields;
    const uint8_t *strings;
    size_t strings_len; /* without the last zero byte */
};

/* Takes the first structure off the table. False: the table ends, or is damaged from here on. */
static bool next(struct structure *out, const uint8_t **table, size_t *len)
{
    if (*len < HEADER_LEN || (*table)[1] < HEADER_LEN || (size_t)(*table)[1] + 2 > *len)
        return false;
    *out = (struct structure){.type = (*table)[0], .fields_len = (*table)[1], .fields = *table};
    out->strings = *table + out->fields_len;
    size_t left = *len - out->fields_len, end = 0;
    while (end + 2 <= left && (out->strings[end] != 0 || out->strings[end + 1] != 0))
        end++;
    if (end + 2 > left)
        return false;
    out->strings_len = end > 0 ? end + 1 : 0;
    *table = out->strings + end + 2;
    *len = left - end - 2;
    return true;
}

/* The string with this number, without its zero byte; NULL: there is none. */
static const char *string(const struct structure *s, unsigned number, size_t *len)
{
    const uint8_t *text = s->strings;
    size_t left = s->strings_len;

    while (number > 0 && left > 0) {
        const uint8_t *end = memchr(text, 0, left);
        if (!end)
            return NULL;
        *len = (size_t)(end - text);
        if (--number == 0)
            return (const char *)text;
        left -= *len + 1;
        text = end + 1;
    }
    return NULL;
}

/* Without spaces around it; nothing if it is too long or has other characters than printable ASCII. */
static void take_serial(char *out, const char *text, size_t len)
{
    while (len > 0 && text[0] == ' ')
        text++, len--;
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (len > DMI_SERIAL_MAX)
        return;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return;
    }
    if (len == sizeof placeholder - 1 && memcmp(text, placeholder, len) == 0)
        return;
    memcpy(out, text, len);
    out[len] = '\0';
}

static bool all_equal(const uint8_t *bytes, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

/* The first three fields are little-endian numbers. All zero: not set yet; all ones: there is none. */
static void take_uuid(char *out, const uint8_t *u)
{
    if (all_equal(u, UUID_LEN, 0) || all_equal(u, UUID_LEN, 0xff))
        return;
    snprintf(out, DMI_UUID_LEN + 1,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[3], u[2],
             u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
}

void dmi_parse(struct dmi *out, const void *table, size_t len)
{
    const uint8_t *bytes = table;
    struct structure s;
    const char *text;
    size_t text_len;

    *out = (struct dmi){0};
    while (next(&s, &bytes, &len) && s.type != TYPE_END) {
        if (s.type != TYPE_SYSTEM)
            continue;
        if (s.fields_len > AT_SERIAL && (text = string(&s, s.fields[AT_SERIAL], &text_len)))
            take_serial(out->serial, text, text_len);
        if (s.fields_len >= AT_UUID + UUID_LEN)
            take_uuid(out->uuid, s.fields + AT_UUID);
        return;
    }
}
