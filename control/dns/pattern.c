/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern is read where it stands: it is checked once, and its syntax is simple enough to be understood again at each match.
 * Neither `*` nor `**` needs more than one place to go back to, the last one of each kind: what an earlier one could still take
 * over, the later one can as well.
 */
#include "control/dns/pattern.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- characters ---- */

enum {
    NOT_UTF8 = 0x110000 /* plus the byte, so that the order stays total */
};

/* How many bytes the character at `s`, which is not at its end, takes. */
static unsigned char_len(const char *s)
{
    uint8_t lead = (uint8_t)*s;
    unsigned n = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 1;

    for (unsigned i = 1; i < n; i++) {
        if (((uint8_t)s[i] & 0xc0) != 0x80)
            return 1;
    }
    return n;
}

static uint32_t char_at(const char *s)
{
    static const uint8_t lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint8_t lead = (uint8_t)*s;
    unsigned n = char_len(s);

    if (n == 1)
        return lead < 0x80 ? lead : NOT_UTF8 + lead;
    uint32_t c = lead & lead_bits[n];
    for (unsigned i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)s[i] & 0x3f);
    return c;
}

static uint32_t lower(uint32_t c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool is_letter(uint32_t c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* ---- one token: `?`, `*`, a class or a character ---- */

/* The ']' of the class at `s`, which has at least one member, maybe a ']'; NULL: there is none. */
static const char *class_end(const char *s)
{
    s += s[1] == '!' ? 2 : 1;
    return *s ? strchr(s + char_len(s), ']') : NULL;
}

static const char *token_end(const char *s)
{
    return *s == '[' ? class_end(s) + 1 : s + char_len(s);
}

/* Letters at both ends of a range: in either case. */
static bool in_range(uint32_t c, uint32_t first, uint32_t last)
{
    if (is_letter(first) && is_letter(last) && lower(c) >= lower(first) && lower(c) <= lower(last))
        return true;
    return c >= first && c <= last;
}

static bool in_class(const char *class, uint32_t c)
{
    const char *end = class_end(class);
    bool except = class[1] == '!', found = false;

    for (const char *s = class + (except ? 2 : 1); s < end && !found;) {
        const char *next = s + char_len(s), *last = next + 1;
        if (next < end && *next == '-' && last < end) {
            found = in_range(c, char_at(s), char_at(last));
            s = last + char_len(last);
        } else {
            found = lower(c) == lower(char_at(s));
            s = next;
        }
    }
    return found != except;
}

/* c: not a '.'. */
static bool token_takes(const char *token, uint32_t c)
{
    switch (*token) {
    case '?':
        return true;
    case '[':
        return in_class(token, c);
    default:
        return lower(char_at(token)) == lower(c);
    }
}

/* ---- labels ---- */

static bool label_ends(const char *s)
{
    return *s == 0 || *s == '.';
}

/* Past its '.', if it has one. */
static const char *next_label(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? dot + 1 : name + strlen(name);
}

/*
 * One label of a pattern against one of a name. Returns where that of the pattern ends, NULL if it does not match; in *name_end
 * where the name's does.
 */
static const char *match_label(const char *pattern, const char *name, const char **name_end)
{
    const char *star = NULL, *from = NULL;

    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (label_ends(name) && label_ends(pattern)) {
            *name_end = name;
            return pattern;
        } else if (!label_ends(name) && !label_ends(pattern) &&
                   token_takes(pattern, char_at(name))) {
            pattern = token_end(pattern);
            name += char_len(name);
        } else if (star && !label_ends(from)) {
            from += char_len(from);
            pattern = star;
            name = from;
        } else {
            return NULL;
        }
    }
}

static bool is_any_labels(const char *label)
{
    return label[0] == '*' && label[1] == '*';
}

/* Both NULL once nothing is left; a name that has ended has no label to give. */
static bool match_labels(const char *pattern, const char *name)
{
    const char *any = NULL, *from = NULL;

    for (;;) {
        if (pattern && is_any_labels(pattern)) {
            any = pattern + 2;
            if (*any == 0 || any[1] == 0)
                return name != NULL;
            pattern = ++any;
            from = name;
            continue;
        }
        if (!pattern && !name)
            return true;
        const char *name_end = NULL;
        const char *end = pattern && name ? match_label(pattern, name, &name_end) : NULL;
        if (end) {
            pattern = *end ? end + 1 : NULL;
            name = *name_end ? name_end + 1 : NULL;
            continue;
        }
        if (!any || !from)
            return false;
        from = next_label(from);
        if (*from == 0)
            return false;
        pattern = any;
        name = from;
    }
}

bool dns_pattern_match(const struct dns_pattern *p, const char *name)
{
    if (!p->text)
        return false;
    if (p->text[0] == '*' && p->text[1] == '.' && strcmp(p->text + 2, name) == 0)
        return true;
    return match_labels(p->text, name);
}

/* ---- what is valid ---- */

/* NULL: nothing is wrong with the '*' at `s`, of which there are *n in a row. */
static const char *stars_wrong(const char *text, const char *s, size_t *n)
{
    *n = strspn(s, "*");
    if (*n == 1)
        return NULL;
    if (*n > 2)
        return "has more than two '*' in a row";
    bool whole = (s == text || s[-1] == '.') && label_ends(s + 2);
    return whole ? NULL : "has '**' beside other characters of a label";
}

enum err dns_pattern_init(struct dns_pattern *p, const char *text, char *why, unsigned why_size)
{
    const char *wrong = NULL;

    p->text = NULL;
    for (const char *s = text; *s && !wrong;) {
        size_t n = 0;
        if (*s == '*') {
            wrong = stars_wrong(text, s, &n);
            s += n;
        } else if (*s == '[' && !class_end(s)) {
            wrong = "has a '[' without its ']'";
        } else {
            s = token_end(s);
        }
    }
    if (wrong) {
        snprintf(why, why_size, "the pattern '%s' %s: it matches no name", text, wrong);
        return ERR_INVALID;
    }
    p->text = text;
    return ERR_OK;
}

const char *dns_pattern_literal_end(const char *text)
{
    const char *literal = text;
    bool wild = false;

    for (const char *s = text; *s; s = token_end(s)) {
        if (*s == '.' && wild) {
            literal = s + 1;
            wild = false;
        } else if (strchr("*?[", *s)) {
            wild = true;
        }
    }
    return wild ? "" : literal;
}

/* ---- precedence ---- */

/* The character that ends at `end`; moves `end` to where it begins. */
static uint32_t char_before(const char *start, const char **end)
{
    const char *s = *end - 1;

    while (s > start && *end - s < 4 && ((uint8_t)*s & 0xc0) == 0x80)
        s--;
    if (s + char_len(s) != *end)
        s = *end - 1;
    *end = s;
    return char_at(s);
}

/* The order of the places where wildcards differ from anything else. */
static int wildness(uint32_t c)
{
    return c == '*' ? 2 : c == '?' ? 1 : 0;
}

int dns_pattern_compare(const char *a, const char *b)
{
    const char *end_a = a + strlen(a), *end_b = b + strlen(b);

    while (end_a > a && end_b > b) {
        uint32_t x = char_before(a, &end_a), y = char_before(b, &end_b);
        if (x == y)
            continue;
        if (wildness(x) != wildness(y))
            return wildness(x) - wildness(y);
        return x > y ? -1 : 1;
    }
    return (end_a > a) - (end_b > b);
}
