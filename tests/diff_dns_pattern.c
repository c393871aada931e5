/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential test of patterns: random ones against a matcher that tries everything, and against the definition of their
 * order. Also that what a pattern matches has its literal end.
 */
#include "control/dns/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

enum {
    ROUNDS = 400000,
    TEXT_MAX = 64
};

static uint64_t random_state = 7;

/* xorshift64*: repeatable on every system. */
static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static void random_text(char *out, const char *const *pieces, uint32_t n, uint32_t max)
{
    *out = 0;
    for (uint32_t left = random_below(max); left > 0; left--)
        strcat(out, pieces[random_below(n)]);
}

static const char *const name_pieces[] = {"a", "b", "B", "c", ".", "."};
static const char *const pattern_pieces[] = {"a",    "b",    "C",     ".",  ".",   ".",
                                             "?",    "*",    "*",     "**", "**.", ".**",
                                             "[ab]", "[!a]", "[a-b]", "*.", "?."};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* The classes above. */
static bool class_takes(const char *class, char c)
{
    bool in = class[1] == '!' ? lower(c) != 'a' : lower(c) == 'a' || lower(c) == 'b';
    return in && c != '.';
}

/* Everything a wildcard could stand for is tried. */
static bool naive(const char *pattern, const char *name)
{
    if (*pattern == 0)
        return *name == 0;
    if (pattern[0] == '*' && pattern[1] == '*') {
        if (pattern[2] == 0)
            return true;
        for (const char *n = name;; n = strchr(n, '.') + 1) {
            if (naive(pattern + 3, n))
                return true;
            if (!strchr(n, '.'))
                /* All that is left, where nothing needs to follow. */
                return pattern[3] == 0;
        }
    }
    if (*pattern == '*') {
        for (;; name++) {
            if (naive(pattern + 1, name))
                return true;
            if (*name == 0 || *name == '.')
                return false;
        }
    }
    if (*name == 0)
        return false;
    if (*pattern == '?')
        return *name != '.' && naive(pattern + 1, name + 1);
    if (*pattern == '[')
        return class_takes(pattern, *name) && naive(strchr(pattern, ']') + 1, name + 1);
    return lower(*pattern) == lower(*name) && naive(pattern + 1, name + 1);
}

static bool naive_with_parent(const char *pattern, const char *name)
{
    if (strncmp(pattern, "*.", 2) == 0 && strcmp(pattern + 2, name) == 0)
        return true;
    return naive(pattern, name);
}

/* As text, without looking at what stands between: the rules of spec 7.3. */
static bool naive_valid(const char *pattern)
{
    for (const char *s = strstr(pattern, "**"); s; s = strstr(s + 2, "**")) {
        bool left = s == pattern || s[-1] == '.', right = s[2] == 0 || s[2] == '.';
        if (!left || !right)
            return false;
    }
    return true;
}

static bool has_literal_end(const char *pattern, const char *name)
{
    const char *end = dns_pattern_literal_end(pattern);
    size_t end_len = strlen(end), len = strlen(name);

    if (end_len == 0)
        return true;
    if (len < end_len || strcasecmp(name + len - end_len, end) != 0)
        return false;
    return len == end_len || name[len - end_len - 1] == '.';
}

static void test_match(void **state)
{
    unsigned matches = 0, refused = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct dns_pattern p;
        char pattern[TEXT_MAX], name[TEXT_MAX], why[160];
        random_text(pattern, pattern_pieces, ARRAY_LEN(pattern_pieces), 9);
        random_text(name, name_pieces, ARRAY_LEN(name_pieces), 12);
        /* Names have no empty labels. */
        if (strstr(name, "..") || name[0] == '.' || (*name && name[strlen(name) - 1] == '.'))
            continue;
        bool valid = dns_pattern_init(&p, pattern, why, sizeof why) == ERR_OK;
        if (valid != naive_valid(pattern))
            fail_msg("'%s' is valid: %d", pattern, valid);
        if (!valid) {
            refused++;
            continue;
        }
        bool match = dns_pattern_match(&p, name);
        if (match != naive_with_parent(pattern, name))
            fail_msg("'%s' matches '%s': %d", pattern, name, match);
        if (match && !has_literal_end(pattern, name))
            fail_msg("'%s' matches '%s'", pattern, name);
        matches += match;
    }
    assert_true(matches > 1000 && refused > 1000);
}

/* Where a character, or the end (0), stands at the first place where two texts differ. */
static int rank(unsigned char c)
{
    return c == '*' ? 1002 : c == '?' ? 1001 : c == 0 ? 0 : 256 - c;
}

static int naive_compare(const char *a, const char *b)
{
    size_t x = strlen(a), y = strlen(b);

    while (x > 0 && y > 0 && a[x - 1] == b[y - 1])
        x--, y--;
    return rank(x > 0 ? (unsigned char)a[x - 1] : 0) - rank(y > 0 ? (unsigned char)b[y - 1] : 0);
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void test_compare(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char a[TEXT_MAX], b[TEXT_MAX];
        random_text(a, pattern_pieces, ARRAY_LEN(pattern_pieces), 6);
        random_text(b, pattern_pieces, ARRAY_LEN(pattern_pieces), 6);
        if (sign(dns_pattern_compare(a, b)) != sign(naive_compare(a, b)) ||
            sign(dns_pattern_compare(b, a)) != -sign(dns_pattern_compare(a, b)))
            fail_msg("'%s' and '%s': %d", a, b, dns_pattern_compare(a, b));
    }
}

/* What would take for ever if every `*` were tried with every other. */
static void test_many_stars(void **state)
{
    static const char pattern[] =
        "**.*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b.**.*a*a*a*a*a*a*a*a*a*a*b.**.c";
    char name[254] = "", why[160];
    struct dns_pattern p;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        strcat(name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.");
    strcat(name, "d");
    assert_int_equal(dns_pattern_init(&p, pattern, why, sizeof why), ERR_OK);
    assert_false(dns_pattern_match(&p, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_match), cmocka_unit_test(test_compare),
                                       cmocka_unit_test(test_many_stars)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
