/* SPDX-License-Identifier: Apache-2.0 */
/* See duration.h. */
#include "control/duration.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "platform/base/bytes.h"

#define MINUTE (60 * NS_PER_SEC)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define MONTH  (UINT64_C(2630016) * NS_PER_SEC)
#define YEAR   (UINT64_C(31557600) * NS_PER_SEC)

/* Case matters: m is a minute, M a month. */
static const struct {
    const char *names; /* a space behind each */
    time_ns ns;
} units[] = {
    {"ns nsec nanos ", 1},
    {"us usec micros ", NS_PER_US},
    {"ms msec millis ", NS_PER_MS},
    {"s sec secs second seconds ", NS_PER_SEC},
    {"m min mins minute minutes ", MINUTE},
    {"h hr hrs hour hours ", HOUR},
    {"d day days ", DAY},
    {"w wk wks week weeks ", 7 * DAY},
    {"M month months ", MONTH},
    {"y yr yrs year years ", YEAR},
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static bool has_name(const char *names, const char *text, size_t len)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        if (n == len && memcmp(names, text, n) == 0)
            return true;
        names += n + 1;
    }
    return false;
}

/* 0: there is no such unit. */
static time_ns unit_ns(const char *text, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (has_name(units[i].names, text, len))
            return units[i].ns;
    }
    return 0;
}

static bool parse_number(uint64_t *out, const char **text)
{
    const char *start = *text;

    for (*out = 0; **text >= '0' && **text <= '9'; ++*text) {
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(**text - '0'), out))
            return false;
    }
    return *text != start;
}

static void skip_spaces(const char **text)
{
    *text += strspn(*text, " \t");
}

enum err duration_parse(time_ns *out, const char *text)
{
    time_ns sum = 0, part;
    uint64_t n;

    skip_spaces(&text);
    if (text[0] == '0' && text[1 + strspn(text + 1, " \t")] == '\0') {
        *out = 0;
        return ERR_OK;
    }
    do {
        if (!parse_number(&n, &text))
            return ERR_PARSE;
        skip_spaces(&text);
        size_t len = strspn(text, letters);
        time_ns unit = unit_ns(text, len);
        if (unit == 0)
            return ERR_PARSE;
        text += len;
        skip_spaces(&text);
        if (__builtin_mul_overflow(n, unit, &part) || __builtin_add_overflow(sum, part, &sum))
            sum = TIME_NEVER;
    } while (*text);
    *out = sum;
    return ERR_OK;
}
