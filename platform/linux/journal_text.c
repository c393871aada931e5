/* SPDX-License-Identifier: Apache-2.0 */
/* Reading is writing backwards: what is read is written again, and has to come out the same. */
#include "platform/linux/journal_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/addr.h"

#define HEAD "firezone-journal 1\nboot %s\nnetns %" PRIu64 "\n"

size_t journal_text_head(char *out, size_t size, const struct journal_scope *scope)
{
    return (size_t)snprintf(out, size, HEAD, scope->boot, scope->netns);
}

size_t journal_text_line(char *out, size_t size, const struct journal_entry *entry)
{
    const struct steering *s = &entry->steering;
    const struct sysctl *set = &entry->sysctl;

    switch (entry->kind) {
    case JOURNAL_MARKS:
        return (size_t)snprintf(out, size, "marks\n");
    case JOURNAL_STEERING:
        return (size_t)snprintf(out, size,
                                "steering v%c mark %" PRIu32 " table %" PRIu32 " bypass %" PRIu32
                                " steer %" PRIu32 "\n",
                                s->family == ADDR_V6 ? '6' : '4', s->mark, s->table, s->bypass,
                                s->steer);
    case JOURNAL_SYSCTL:
        return (size_t)snprintf(out, size, "sysctl %s %s %s %" PRIu32 "\n", sysctl_family(set->key),
                                sysctl_name(set->key), set->scope, set->value);
    }
    return 0;
}

static bool boot_ok(const char *boot)
{
    size_t len = strspn(boot, "0123456789abcdef-");
    return boot[len] == '\0' && (len == JOURNAL_BOOT_LEN || strcmp(boot, "-") == 0);
}

/* The length of the head, 0: there is none. */
static size_t parse_head(struct journal_scope *out, const char *text)
{
    char again[JOURNAL_LINE_MAX];

    if (sscanf(text, "firezone-journal 1 boot %36s netns %" SCNu64, out->boot, &out->netns) != 2 ||
        !boot_ok(out->boot))
        return 0;
    size_t len = journal_text_head(again, sizeof again, out);
    return strncmp(text, again, len) == 0 ? len : 0;
}

static bool parse_sysctl(struct sysctl *out, const char *line)
{
    char family[8], name[20];

    if (sscanf(line, "sysctl %7s %19s %15s %" SCNu32, family, name, out->scope, &out->value) != 4 ||
        !sysctl_scope_ok(out->scope))
        return false;
    for (out->key = 0; out->key < SYSCTL_KEYS; out->key++) {
        if (strcmp(sysctl_family(out->key), family) == 0 &&
            strcmp(sysctl_name(out->key), name) == 0)
            return true;
    }
    return false;
}

static bool parse_steering(struct steering *out, const char *line)
{
    char family = '4';

    if (sscanf(line,
               "steering v%c mark %" SCNu32 " table %" SCNu32 " bypass %" SCNu32 " steer %" SCNu32,
               &family, &out->mark, &out->table, &out->bypass, &out->steer) != 5)
        return false;
    out->family = family == '6' ? ADDR_V6 : ADDR_V4;
    return rule_steering_ok(out);
}

/* line: with its end. */
static bool parse_line(struct journal_entry *out, const char *line, size_t len)
{
    char text[JOURNAL_LINE_MAX], again[JOURNAL_LINE_MAX];

    if (len >= sizeof text)
        return false;
    memcpy(text, line, len);
    text[len] = '\0';
    *out = (struct journal_entry){.kind = JOURNAL_STEERING};
    if (!parse_steering(&out->steering, text)) {
        *out = (struct journal_entry){.kind = JOURNAL_SYSCTL};
        if (!parse_sysctl(&out->sysctl, text))
            *out = (struct journal_entry){.kind = JOURNAL_MARKS};
    }
    return journal_text_line(again, sizeof again, out) == len && strcmp(text, again) == 0;
}

bool journal_text_parse(struct journal_text *out, const char *text, size_t len)
{
    char head[JOURNAL_LINE_MAX];
    size_t head_len = len < sizeof head ? len : sizeof head - 1;
    const char *at = text, *stop = text + len;

    memset(out, 0, sizeof *out);
    if (len >= JOURNAL_TEXT_MAX || memchr(text, '\0', len))
        return false;
    memcpy(head, text, head_len);
    head[head_len] = '\0';
    size_t skip = parse_head(&out->scope, head);
    if (skip == 0)
        return false;
    at += skip;
    for (const char *end; (end = memchr(at, '\n', (size_t)(stop - at))) != NULL; out->n++) {
        size_t line = (size_t)(end + 1 - at);
        if (out->n == JOURNAL_ENTRIES_MAX || !parse_line(&out->entries[out->n], at, line)) {
            out->n = 0;
            return false;
        }
        at += line;
    }
    return true;
}

bool journal_scope_over(const struct journal_scope *then, const struct journal_scope *now)
{
    bool known = strcmp(then->boot, "-") != 0 && strcmp(now->boot, "-") != 0;
    return known && strcmp(then->boot, now->boot) != 0;
}

bool journal_scope_here(const struct journal_scope *then, const struct journal_scope *now)
{
    return !journal_scope_over(then, now) && then->netns == now->netns;
}
