/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/value.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The units of a quantity, the largest first; `one` is how many of the stored unit it is. */
struct unit {
    const char *name;
    uint64_t one;
};

static const struct unit durations[] = {
    {"s", NS_PER_SEC}, {"ms", NS_PER_MS}, {"us", NS_PER_US}, {"ns", 1}, {NULL, 0}};
static const struct unit shares[] = {{"%", 10000}, {NULL, 0}};
static const struct unit rates[] = {
    {"gbit", 1000000000}, {"mbit", 1000000}, {"kbit", 1000}, {"bit", 1}, {NULL, 0}};
static const struct unit sizes[] = {
    {"GB", 1000000000}, {"MB", 1000000}, {"KB", 1000}, {"B", 1}, {NULL, 0}};

enum {
    DIGITS_MAX = 15 /* before the point, and behind it */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits to a number; false: too many of them. */
static bool take_digits(const char **text, uint64_t *v)
{
    const char *start = *text;

    *v = 0;
    for (; is_digit(**text); (*text)++)
        *v = *text - start < DIGITS_MAX ? *v * 10 + (uint64_t)(**text - '0') : *v;
    return *text - start <= DIGITS_MAX;
}

/* What stands behind the point, of `one`; false: more digits than `one` has a whole number for. */
static bool take_fraction(const char **text, uint64_t one, uint64_t *v)
{
    *v = 0;
    if (**text != '.')
        return true;
    (*text)++;
    if (!is_digit(**text))
        return false;
    for (; is_digit(**text); (*text)++) {
        if ((one == 0 || one % 10 != 0) && **text != '0')
            return false;
        one /= 10;
        *v += one * (uint64_t)(**text - '0');
    }
    return true;
}

static const struct unit *unit_at(const struct unit *units, const char *name)
{
    for (; units->name; units++) {
        if (strcasecmp(units->name, name) == 0)
            return units;
    }
    return NULL;
}

static bool parse(uint64_t *out, const char *text, const struct unit *units, uint64_t max)
{
    const char *unit = text + strspn(text, "0123456789.");
    const struct unit *u = unit_at(units, unit);
    uint64_t whole, part;

    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    if (!u || !is_digit(text[0]) || !take_digits(&text, &whole) ||
        !take_fraction(&text, u->one, &part) || text != unit || whole > max / u->one)
        return false;
    *out = whole * u->one + part;
    return *out <= max;
}

static char *format(uint64_t v, const struct unit *units, char buf[VALUE_TEXT_MAX])
{
    const struct unit *u = units;

    while (u[1].name && v < u->one)
        u++;
    int n = snprintf(buf, VALUE_TEXT_MAX, "%llu", (unsigned long long)(v / u->one));
    if (v % u->one != 0) {
        int digits = 0;
        for (uint64_t one = u->one; one > 1; one /= 10)
            digits++;
        n += snprintf(buf + n, VALUE_TEXT_MAX - (size_t)n, ".%0*llu", digits,
                      (unsigned long long)(v % u->one));
        while (buf[n - 1] == '0')
            n--;
    }
    snprintf(buf + n, VALUE_TEXT_MAX - (size_t)n, "%s", u->name);
    return buf;
}

static char *format_text(const char *text, char buf[VALUE_TEXT_MAX])
{
    snprintf(buf, VALUE_TEXT_MAX, "%s", text);
    return buf;
}

bool value_duration_parse(time_ns *out, const char *text)
{
    return parse(out, text, durations, VALUE_DURATION_MAX);
}

char *value_duration_format(time_ns v, char buf[VALUE_TEXT_MAX])
{
    return v == 0 ? format_text("0", buf) : format(v, durations, buf);
}

bool value_share_parse(uint32_t *out, const char *text)
{
    uint64_t v;

    if (!parse(&v, text, shares, 1000000))
        return false;
    *out = (uint32_t)v;
    return true;
}

char *value_share_format(uint32_t v, char buf[VALUE_TEXT_MAX])
{
    return v == 0 ? format_text("0", buf) : format(v, shares, buf);
}

bool value_rate_parse(uint64_t *out, const char *text)
{
    if (strcmp(text, "none") == 0)
        text = "0";
    return parse(out, text, rates, VALUE_RATE_MAX) && (*out == 0 || *out >= VALUE_RATE_MIN);
}

char *value_rate_format(uint64_t v, char buf[VALUE_TEXT_MAX])
{
    return v == 0 ? format_text("none", buf) : format(v, rates, buf);
}

bool value_queue_parse(uint64_t *packets, uint64_t *bytes, const char *text)
{
    const char *rest = text;

    *packets = *bytes = 0;
    if (strcmp(text, "none") == 0)
        return true;
    if (is_digit(text[0]) && text[strspn(text, "0123456789")] == '\0')
        return take_digits(&rest, packets) && *packets <= VALUE_QUEUE_MAX;
    return parse(bytes, text, sizes, VALUE_QUEUE_MAX);
}

char *value_queue_format(uint64_t packets, uint64_t bytes, char buf[VALUE_TEXT_MAX])
{
    if (packets != 0)
        snprintf(buf, VALUE_TEXT_MAX, "%llu", (unsigned long long)packets);
    return packets != 0 ? buf : bytes == 0 ? format_text("none", buf) : format(bytes, sizes, buf);
}
