/* SPDX-License-Identifier: Apache-2.0 */
/* See value.h. */
#include "tools/fzportal/value.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/config.h"

enum {
    TEXT_MAX = 1024,
    ITEMS_MAX = 100000
};

struct result {
    char *why;
    size_t size;
};

static enum err wrong(const struct result *r, const char *text)
{
    snprintf(r->why, r->size, "%s", text);
    return ERR_PARSE;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- numbers ---- */

/* A whole number at the start of `text`. False: there is none, or it is above `max`. */
static bool read_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *c = *text;
    uint64_t n = 0;
    if (*c < '0' || *c > '9')
        return false;
    for (; *c >= '0' && *c <= '9'; c++) {
        n = n * 10 + (uint64_t)(*c - '0');
        if (n > max)
            return false;
    }
    *text = c;
    *out = n;
    return true;
}

static enum err set_number(uint32_t *out, const struct value_rule *rule, const char *value,
                           const struct result *r)
{
    uint64_t n;
    if (!read_number(&value, rule->max, &n) || *value || n < rule->min) {
        snprintf(r->why, r->size, "not a whole number from %u to %u", rule->min, rule->max);
        return ERR_PARSE;
    }
    *out = (uint32_t)n;
    return ERR_OK;
}

static enum err set_port(uint16_t *out, const char *value, const struct result *r)
{
    uint64_t n;
    if (!read_number(&value, UINT16_MAX, &n) || *value || n == 0)
        return wrong(r, "not a port from 1 to 65535");
    *out = (uint16_t)n;
    return ERR_OK;
}

static enum err set_duration(uint32_t *out, const char *value, const struct result *r)
{
    static const struct {
        char suffix;
        uint32_t seconds;
    } units[] = {{0, 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t n;
    if (read_number(&value, UINT32_MAX, &n) && (!value[0] || !value[1])) {
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (*value == units[i].suffix && n > 0 && n * units[i].seconds <= UINT32_MAX) {
                *out = (uint32_t)(n * units[i].seconds);
                return ERR_OK;
            }
        }
    }
    return wrong(r, "not a duration such as 90s, 15m, 12h or 30d");
}

/* ---- words and texts ---- */

static enum err set_word(int *out, const struct value_rule *rule, const char *value,
                         const struct result *r)
{
    int len = snprintf(r->why, r->size, "not one of");
    for (const struct value_word *w = rule->words; w->text; w++) {
        if (strcmp(value, w->text) == 0) {
            *out = w->value;
            return ERR_OK;
        }
        if (len > 0 && (size_t)len < r->size)
            len += snprintf(r->why + len, r->size - (size_t)len, "%s %s",
                            w == rule->words ? "" : ",", w->text);
    }
    return ERR_PARSE;
}

static enum err set_bool(bool *out, const char *value, const struct result *r)
{
    static const struct value_word words[] = {{"yes", 1},  {"no", 0},    {"on", 1}, {"off", 0},
                                              {"true", 1}, {"false", 0}, {NULL, 0}};
    const struct value_rule rule = {.words = words};
    int n = 0;
    enum err err = set_word(&n, &rule, value, r);
    *out = n != 0;
    return err;
}

/* Valid UTF-8 and not too long: fit for JSON. */
static bool is_text(const char *value)
{
    json_t *json = strlen(value) <= TEXT_MAX ? json_string(value) : NULL;
    json_decref(json);
    return json != NULL;
}

static bool only_has(const char *value, const char *others)
{
    for (; *value; value++) {
        char c = *value;
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !strchr(others, c))
            return false;
    }
    return true;
}

static enum err set_text(char **out, const struct value_rule *rule, const char *value,
                         const struct result *r)
{
    if (!is_text(value))
        return wrong(r, "not UTF-8, or longer than 1024 bytes");
    if (!*value)
        return wrong(r, "empty");
    if (rule->kind == VALUE_TOKEN) {
        for (const char *c = value; *c; c++) {
            if (*c <= ' ' || *c > '~')
                return wrong(r, "a token is printable ASCII without spaces");
        }
    }
    if (rule->kind == VALUE_SECRET && (strlen(value) != PORTAL_SECRET_LEN ||
                                       strspn(value, "0123456789abcdef") != PORTAL_SECRET_LEN))
        return wrong(r, "not 64 lower-case hexadecimal digits");
    if (rule->kind == VALUE_SLUG && !only_has(value, "-_"))
        return wrong(r, "only letters, digits, '-' and '_' are possible");
    free(*out);
    *out = mem_dup_text(value, strlen(value));
    return ERR_OK;
}

static enum err set_uuid(struct uuid *out, const char *value, const struct result *r)
{
    return uuid_parse(out, value) ? ERR_OK : wrong(r, "not a UUID");
}

static enum err set_ip(struct ip_addr *out, enum addr_family family, const char *value,
                       const struct result *r)
{
    struct ip_addr ip;
    if (ip_addr_parse(&ip, value) != ERR_OK || ip.family != family)
        return wrong(r, family == ADDR_V4 ? "not an IPv4 address" : "not an IPv6 address");
    *out = ip;
    return ERR_OK;
}

static enum err set_sock_addr(struct sock_addr *out, const char *value, const struct result *r)
{
    if (sock_addr_parse(out, value) != ERR_OK)
        return wrong(r, "not an address and port such as 127.0.0.1:8081 or [::1]:8081");
    return ERR_OK;
}

/* ---- lists ---- */

static void list_fini(struct portal_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i]);
    free(l->at);
    memset(l, 0, sizeof *l);
}

static void filters_fini(struct portal_filters *f)
{
    free(f->at);
    memset(f, 0, sizeof *f);
}

static bool parse_filter(struct portal_filter *f, const char *text)
{
    static const char *const protocols[] = {"tcp", "udp", "icmp"};
    uint64_t first, last;
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        size_t len = strlen(protocols[i]);
        if (strncmp(text, protocols[i], len) != 0 || (text[len] != 0 && text[len] != '/'))
            continue;
        f->protocol = protocols[i];
        if (!text[len])
            return true;
        const char *c = text + len + 1;
        if (i == 2 || !read_number(&c, UINT16_MAX, &first))
            return false;
        last = first;
        if (*c == '-' && (c++, !read_number(&c, UINT16_MAX, &last)))
            return false;
        f->ranged = true;
        f->first = (uint16_t)first;
        f->last = (uint16_t)last;
        return !*c && first <= last;
    }
    return false;
}

static enum err add_item(void *target, const struct value_rule *rule, const char *item,
                         const struct result *r)
{
    if (rule->kind == VALUE_FILTERS) {
        struct portal_filters *f = target;
        struct portal_filter filter;
        if (!parse_filter(&filter, item))
            return wrong(r, "not filters such as tcp/443, udp/5000-6000, icmp");
        f->at = mem_grow(f->at, f->n, sizeof *f->at);
        f->at[f->n++] = filter;
        return ERR_OK;
    }
    struct portal_list *l = target;
    if (!is_text(item))
        return wrong(r, "not UTF-8, or longer than 1024 bytes");
    l->at = mem_grow(l->at, l->n, sizeof *l->at);
    l->at[l->n++] = mem_dup_text(item, strlen(item));
    return ERR_OK;
}

static size_t items(const void *target, const struct value_rule *rule)
{
    return rule->kind == VALUE_FILTERS ? ((const struct portal_filters *)target)->n
                                       : ((const struct portal_list *)target)->n;
}

/* Empty items are none, so that a list may end with a comma and be emptied. */
static enum err set_list(void *target, const struct value_rule *rule, const char *value, bool more,
                         const struct result *r)
{
    enum err err = ERR_OK;
    if (!more && rule->kind == VALUE_FILTERS)
        filters_fini(target);
    else if (!more)
        list_fini(target);
    while (*value && err == ERR_OK) {
        size_t len = strcspn(value, ",");
        size_t from = 0, to = len;
        while (from < to && is_space(value[from]))
            from++;
        while (to > from && is_space(value[to - 1]))
            to--;
        char *item = mem_dup_text(value + from, to - from);
        if (items(target, rule) >= ITEMS_MAX)
            err = wrong(r, "too many items");
        else if (*item)
            err = add_item(target, rule, item, r);
        free(item);
        value += len + (value[len] == ',');
    }
    return err;
}

/* ---- by table ---- */

const struct value_rule *portal_value_rule(const struct value_rule *rules, const char *key)
{
    for (; rules->key; rules++) {
        if (strcmp(rules->key, key) == 0)
            return rules;
    }
    return NULL;
}

enum err portal_value_set(void *target, const struct value_rule *rule, const char *value, bool more,
                          char *why, size_t why_size)
{
    const struct result r = {why, why_size};
    void *at = (char *)target + rule->at;

    switch (rule->kind) {
    case VALUE_TEXT:
    case VALUE_TOKEN:
    case VALUE_SECRET:
    case VALUE_SLUG:
        return set_text(at, rule, value, &r);
    case VALUE_LIST:
    case VALUE_FILTERS:
        return set_list(at, rule, value, more, &r);
    case VALUE_BOOL:
        return set_bool(at, value, &r);
    case VALUE_NUMBER:
        return set_number(at, rule, value, &r);
    case VALUE_PORT:
        return set_port(at, value, &r);
    case VALUE_DURATION:
        return set_duration(at, value, &r);
    case VALUE_WORD:
        return set_word(at, rule, value, &r);
    case VALUE_UUID:
        return set_uuid(at, value, &r);
    case VALUE_IPV4:
        return set_ip(at, ADDR_V4, value, &r);
    case VALUE_IPV6:
        return set_ip(at, ADDR_V6, value, &r);
    case VALUE_SOCK_ADDR:
        return set_sock_addr(at, value, &r);
    }
    return ERR_INVALID;
}

static void copy_list(struct portal_list *out, const struct portal_list *from)
{
    for (size_t i = 0; i < from->n; i++) {
        out->at = mem_grow(out->at, out->n, sizeof *out->at);
        out->at[out->n++] = mem_dup_text(from->at[i], strlen(from->at[i]));
    }
}

static void copy_filters(struct portal_filters *out, const struct portal_filters *from)
{
    for (size_t i = 0; i < from->n; i++) {
        out->at = mem_grow(out->at, out->n, sizeof *out->at);
        out->at[out->n++] = from->at[i];
    }
}

static size_t plain_size(enum value_kind kind)
{
    switch (kind) {
    case VALUE_BOOL:
        return sizeof(bool);
    case VALUE_NUMBER:
    case VALUE_DURATION:
        return sizeof(uint32_t);
    case VALUE_PORT:
        return sizeof(uint16_t);
    case VALUE_WORD:
        return sizeof(int);
    case VALUE_UUID:
        return sizeof(struct uuid);
    case VALUE_IPV4:
    case VALUE_IPV6:
        return sizeof(struct ip_addr);
    case VALUE_SOCK_ADDR:
        return sizeof(struct sock_addr);
    case VALUE_TEXT:
    case VALUE_TOKEN:
    case VALUE_SECRET:
    case VALUE_SLUG:
    case VALUE_LIST:
    case VALUE_FILTERS:
        break;
    }
    return 0;
}

void portal_value_clear(void *target, const struct value_rule *rule)
{
    void *at = (char *)target + rule->at;
    size_t size = plain_size(rule->kind);
    if (size > 0) {
        memset(at, 0, size);
    } else if (rule->kind == VALUE_LIST) {
        list_fini(at);
    } else if (rule->kind == VALUE_FILTERS) {
        filters_fini(at);
    } else {
        free(*(char **)at);
        *(char **)at = NULL;
    }
}

void portal_value_fini(void *target, const struct value_rule *rules)
{
    for (; rules->key; rules++)
        portal_value_clear(target, rules);
}

void portal_value_copy(void *out, const void *from, const struct value_rule *rules)
{
    for (; rules->key; rules++) {
        void *to = (char *)out + rules->at;
        const void *at = (const char *)from + rules->at;
        size_t size = plain_size(rules->kind);
        if (size > 0) {
            memcpy(to, at, size);
        } else if (rules->kind == VALUE_LIST) {
            copy_list(to, at);
        } else if (rules->kind == VALUE_FILTERS) {
            copy_filters(to, at);
        } else {
            const char *text = *(const char *const *)at;
            *(char **)to = text ? mem_dup_text(text, strlen(text)) : NULL;
        }
    }
}

void portal_value_keys(const struct value_rule *rules, char *out, size_t size)
{
    size_t len = 0;
    out[0] = 0;
    for (const struct value_rule *r = rules; r->key && len < size; r++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", r == rules ? "" : ", ", r->key);
}
