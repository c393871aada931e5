/* SPDX-License-Identifier: Apache-2.0 */
/* Splits at commas, then at the last '='. */
#include "platform/base/log_filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"

enum {
    SHOWN_MAX = 64 /* of a bad directive, in the sentence about it */
};

/* A part of the text. */
struct span {
    const char *at;
    size_t n;
};

static const char *const level_names[] = {"off", "error", "warn", "info", "debug", "trace"};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool span_is(struct span s, const char *word)
{
    size_t i = 0;
    while (i < s.n && word[i] != '\0' && lower(s.at[i]) == word[i])
        i++;
    return i == s.n && word[i] == '\0';
}

static bool level_of(enum log_level *out, struct span s)
{
    for (int i = 0; i < (int)ARRAY_LEN(level_names); i++) {
        if (span_is(s, level_names[i]) || (s.n == 1 && s.at[0] == '0' + i)) {
            *out = (enum log_level)(LOG_OFF + i);
            return true;
        }
    }
    return false;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
    while (s.n > 0 && blank(s.at[0])) {
        s.at++;
        s.n--;
    }
    while (s.n > 0 && blank(s.at[s.n - 1]))
        s.n--;
    return s;
}

/* What module paths of programs consist of; no spans in brackets, no fields in braces. */
static bool target_valid(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = lower(s.at[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("_:.-/", c)))
            return false;
    }
    return s.n > 0;
}

/* The directive in the sentence: cut, and without anything that could disturb a terminal. */
static void shown(char *out, struct span s)
{
    size_t n = s.n < SHOWN_MAX ? s.n : SHOWN_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.at[i] >= ' ' && s.at[i] < 127 ? s.at[i] : '?');
    snprintf(out + n, 4, "%s", n < s.n ? "..." : "");
}

static enum err refuse(char *why, unsigned why_size, struct span s, const char *reason)
{
    char text[SHOWN_MAX + 4];
    shown(text, s);
    snprintf(why, why_size, "log filter: '%s' %s", text, reason);
    return ERR_PARSE;
}

static enum err add_target(struct log_filter *f, struct span name, enum log_level level)
{
    unsigned i = 0;

    while (i < f->targets_n && !(strlen(f->targets[i].name) == name.n &&
                                 memcmp(f->targets[i].name, name.at, name.n) == 0))
        i++;
    if (i == LOG_FILTER_TARGETS_MAX)
        return ERR_FULL;
    if (i == f->targets_n)
        f->targets_n++;
    memcpy(f->targets[i].name, name.at, name.n);
    f->targets[i].name[name.n] = '\0';
    f->targets[i].level = level;
    return ERR_OK;
}

static enum err parse_directive(struct log_filter *f, struct span s, char *why, unsigned why_size)
{
    struct span name = s, value;
    enum log_level level;

    while (name.n > 0 && name.at[name.n - 1] != '=')
        name.n--;
    if (name.n == 0) {
        return level_of(&f->level, s)
                   ? ERR_OK
                   : refuse(why, why_size, s,
                            "is neither a level (off, error, warn, info, debug, trace) nor "
                            "target=level");
    }
    value = trim((struct span){name.at + name.n, s.n - name.n});
    name.n--;
    name = trim(name);
    if (!level_of(&level, value))
        return refuse(why, why_size, s,
                      "has no level (off, error, warn, info, debug, trace) behind its '='");
    if (!target_valid(name))
        return refuse(why, why_size, s,
                      "has no target before its '=': letters, digits and _ : . - / are allowed");
    if (name.n >= LOG_FILTER_TARGET_SIZE)
        return refuse(why, why_size, s, "has a target of more than 63 characters");
    if (add_target(f, name, level) != ERR_OK)
        return refuse(why, why_size, s, "is one target too many: at most 32 are allowed");
    return ERR_OK;
}
_Static_assert(LOG_FILTER_TARGET_SIZE == 64 && LOG_FILTER_TARGETS_MAX == 32, "texts above");

enum err log_filter_parse(struct log_filter *out, const char *text, char *why, unsigned why_size)
{
    struct log_filter f = {.level = LOG_INFO};

    for (const char *end; *text != '\0'; text = end + (*end == ',')) {
        end = text + strcspn(text, ",");
        struct span s = trim((struct span){text, (size_t)(end - text)});
        if (s.n > 0 && parse_directive(&f, s, why, why_size) != ERR_OK)
            return ERR_PARSE;
    }
    *out = f;
    return ERR_OK;
}

enum log_level log_filter_level(const struct log_filter *filter, const char *module)
{
    for (unsigned i = 0; i < filter->targets_n; i++) {
        if (strcmp(filter->targets[i].name, module) == 0)
            return filter->targets[i].level;
    }
    return filter->level;
}

enum log_level log_filter_level_max(const struct log_filter *filter)
{
    enum log_level max = filter->level;
    for (unsigned i = 0; i < filter->targets_n; i++) {
        if (filter->targets[i].level > max)
            max = filter->targets[i].level;
    }
    return max;
}
