/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libinih splits lines into keys and values; its reader, which sees each line first, counts them and follows the sections, so
 * that empty ones count and long names are not cut. What only the whole file can tell is checked at its end.
 */
#include "tools/fzportal/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "tools/fzportal/config_check.h"
#include "tools/fzportal/value.h"

enum {
    LINE_MAX_BYTES = 4096,
    TOKEN_LIFETIME_S = 30 * 86400,
    RELAY_PORT = 3478
};

#define AT(type, member) offsetof(struct type, member)

/* ---- the tables ---- */

static const struct value_rule portal_rules[] = {
    {"listen", VALUE_SOCK_ADDR, AT(portal_config, listen), 0, 0, NULL},
    {"control", VALUE_TEXT, AT(portal_config, control), 0, 0, NULL},
    {"certificate", VALUE_TEXT, AT(portal_config, certificate), 0, 0, NULL},
    {"key", VALUE_TEXT, AT(portal_config, key), 0, 0, NULL},
    {"seed", VALUE_TEXT, AT(portal_config, seed), 0, 0, NULL},
    {"connect_limit", VALUE_BOOL, AT(portal_config, connect_limit), 0, 0, NULL},
    {"connect_refill", VALUE_NUMBER, AT(portal_config, connect_refill), 1, 1000000, NULL},
    {"connect_capacity", VALUE_NUMBER, AT(portal_config, connect_capacity), 1, 1000000, NULL},
    {"idle", VALUE_DURATION, AT(portal_config, idle_s), 0, 0, NULL},
    {"idle_relay", VALUE_DURATION, AT(portal_config, idle_relay_s), 0, 0, NULL},
    {"answer_timeout", VALUE_DURATION, AT(portal_config, answer_s), 0, 0, NULL},
    {"presence_delay_ms", VALUE_NUMBER, AT(portal_config, presence_ms), 0, 60000, NULL},
    {.key = NULL},
};

static const struct value_rule account_rules[] = {
    {"id", VALUE_UUID, AT(portal_config, account_id), 0, 0, NULL},
    {"ipv4_masquerade", VALUE_BOOL, AT(portal_config, masquerade_v4), 0, 0, NULL},
    {"ipv6_masquerade", VALUE_BOOL, AT(portal_config, masquerade_v6), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule feature_rules[] = {
    {"iceless", VALUE_BOOL, AT(portal_config, iceless), 0, 0, NULL},
    {"client_to_client", VALUE_BOOL, AT(portal_config, client_to_client), 0, 0, NULL},
    {"internet_resource", VALUE_BOOL, AT(portal_config, internet), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule flow_rules[] = {
    {"url", VALUE_TEXT, AT(portal_config, flow_url), 0, 0, NULL},
    {"interval", VALUE_NUMBER, AT(portal_config, flow_interval_s), 0, 86400, NULL},
    {"batch", VALUE_NUMBER, AT(portal_config, flow_batch), 1, 10000, NULL},
    {"uploads", VALUE_BOOL, AT(portal_config, flow_uploads), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_word dns_modes[] = {{"system", PORTAL_DNS_SYSTEM},
                                              {"custom", PORTAL_DNS_CUSTOM},
                                              {"secure", PORTAL_DNS_SECURE},
                                              {NULL, 0}};
static const struct value_rule dns_rules[] = {
    {"mode", VALUE_WORD, AT(portal_config_dns, mode), 0, 0, dns_modes},
    {"servers", VALUE_LIST, AT(portal_config_dns, servers), 0, 0, NULL},
    {"url", VALUE_TEXT, AT(portal_config_dns, url), 0, 0, NULL},
    {"search_domain", VALUE_TEXT, AT(portal_config_dns, search_domain), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule client_token_rules[] = {
    {"token", VALUE_TOKEN, AT(portal_config_token, text), 0, 0, NULL},
    {"groups", VALUE_LIST, AT(portal_config_token, groups), 0, 0, NULL},
    {"actor", VALUE_TEXT, AT(portal_config_token, actor), 0, 0, NULL},
    {"email", VALUE_TEXT, AT(portal_config_token, email), 0, 0, NULL},
    {"user", VALUE_BOOL, AT(portal_config_token, is_user), 0, 0, NULL},
    {"lifetime", VALUE_DURATION, AT(portal_config_token, lifetime_s), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule gateway_token_rules[] = {
    {"token", VALUE_TOKEN, AT(portal_config_token, text), 0, 0, NULL},
    {"site", VALUE_TEXT, AT(portal_config_token, site), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule relay_token_rules[] = {
    {"token", VALUE_TOKEN, AT(portal_config_token, text), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule site_rules[] = {
    {"id", VALUE_UUID, AT(portal_config_site, id), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_word kinds[] = {{"dns", PORTAL_DNS},
                                          {"cidr", PORTAL_CIDR},
                                          {"ip", PORTAL_IP},
                                          {"internet", PORTAL_INTERNET},
                                          {"static_device_pool", PORTAL_STATIC_POOL},
                                          {"dynamic_device_pool", PORTAL_DYNAMIC_POOL},
                                          {NULL, 0}};
static const struct value_word stacks[] = {{"dual", PORTAL_STACK_DUAL},
                                           {"ipv4_only", PORTAL_STACK_V4},
                                           {"ipv6_only", PORTAL_STACK_V6},
                                           {NULL, 0}};
static const struct value_rule resource_rules[] = {
    {"id", VALUE_UUID, AT(portal_config_resource, id), 0, 0, NULL},
    {"type", VALUE_WORD, AT(portal_config_resource, kind), 0, 0, kinds},
    {"address", VALUE_TEXT, AT(portal_config_resource, address), 0, 0, NULL},
    {"address_description", VALUE_TEXT, AT(portal_config_resource, description), 0, 0, NULL},
    {"ip_stack", VALUE_WORD, AT(portal_config_resource, stack), 0, 0, stacks},
    {"filters", VALUE_FILTERS, AT(portal_config_resource, filters), 0, 0, NULL},
    {"site", VALUE_TEXT, AT(portal_config_resource, site), 0, 0, NULL},
    {"members", VALUE_LIST, AT(portal_config_resource, members), 0, 0, NULL},
    {"can_be_disabled", VALUE_BOOL, AT(portal_config_resource, can_be_disabled), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule policy_rules[] = {
    {"id", VALUE_UUID, AT(portal_config_policy, id), 0, 0, NULL},
    {"groups", VALUE_LIST, AT(portal_config_policy, groups), 0, 0, NULL},
    {"resources", VALUE_LIST, AT(portal_config_policy, resources), 0, 0, NULL},
    {"violates", VALUE_LIST, AT(portal_config_policy, violates), 0, 0, NULL},
    {"lifetime", VALUE_DURATION, AT(portal_config_policy, lifetime_s), 0, 0, NULL},
    {.key = NULL},
};

static const struct value_rule relay_rules[] = {
    {"ipv4", VALUE_IPV4, AT(portal_config_relay, ipv4), 0, 0, NULL},
    {"ipv6", VALUE_IPV6, AT(portal_config_relay, ipv6), 0, 0, NULL},
    {"port", VALUE_PORT, AT(portal_config_relay, port), 0, 0, NULL},
    {"stamp_secret", VALUE_SECRET, AT(portal_config_relay, secret), 0, 0, NULL},
    {"username", VALUE_TEXT, AT(portal_config_relay, username), 0, 0, NULL},
    {"password", VALUE_TEXT, AT(portal_config_relay, password), 0, 0, NULL},
    {.key = NULL},
};

/* Sections with a name are elements of an array, whose structures begin with the name; the others are there once. */
struct section {
    const char *word;
    const struct value_rule *rules;
    size_t at, count_at, size; /* size 0: part of the configuration, at `at` */
    enum portal_role role;
};

static const struct section sections[] = {
    {"portal", portal_rules, 0, 0, 0, 0},
    {"account", account_rules, 0, 0, 0, 0},
    {"features", feature_rules, 0, 0, 0, 0},
    {"flow-logs", flow_rules, 0, 0, 0, 0},
    {"dns", dns_rules, AT(portal_config, dns), 0, 0, 0},
#define MANY(word, rules, type, array, role)                                                       \
    {                                                                                              \
        word, rules, AT(portal_config, array), AT(portal_config, array##_n), sizeof(struct type),  \
            role                                                                                   \
    }
    MANY("client-token", client_token_rules, portal_config_token, tokens, PORTAL_CLIENT),
    MANY("gateway-token", gateway_token_rules, portal_config_token, tokens, PORTAL_GATEWAY),
    MANY("relay-token", relay_token_rules, portal_config_token, tokens, PORTAL_RELAY),
    MANY("site", site_rules, portal_config_site, sites, 0),
    MANY("resource", resource_rules, portal_config_resource, resources, 0),
    MANY("policy", policy_rules, portal_config_policy, policies, 0),
    MANY("relay", relay_rules, portal_config_relay, relays, 0),
#undef MANY
};

/* ---- reading ---- */

struct loader {
    struct portal_config *c;
    const char *file;
    const char *rest; /* of the text */
    char *why;
    unsigned why_size;
    unsigned line;
    bool indented, failed;
    const struct section *section;
    uint32_t sections_seen; /* those that are there once */
    void *target;
    uint32_t keys_seen;
    const struct value_rule *last; /* what an indented line goes on with */
};

__attribute__((format(printf, 3, 4))) static int fail(struct loader *l, unsigned line,
                                                      const char *fmt, ...)
{
    char text[256];
    va_list ap;

    if (l->failed)
        return 0;
    l->failed = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (line > 0)
        snprintf(l->why, l->why_size, "%s:%u: %s", l->file, line, text);
    else
        snprintf(l->why, l->why_size, "%s: %s", l->file, text);
    return 0;
}

/* A new element at the end of the section's array. */
static void *append(struct portal_config *c, const struct section *s, char *name, unsigned line)
{
    struct head { /* how all of them begin */
        char *name;
        unsigned line;
    };
    void **array = (void **)(void *)((char *)c + s->at);
    size_t *n = (size_t *)(void *)((char *)c + s->count_at);

    *array = mem_grow(*array, *n, s->size);
    void *item = (char *)*array + (*n)++ * s->size;
    memset(item, 0, s->size);
    struct head head = {name, line};
    memcpy(item, &head, sizeof head.name + sizeof head.line);
    return item;
}
_Static_assert(AT(portal_config_token, line) == sizeof(char *) &&
                   AT(portal_config_site, line) == sizeof(char *) &&
                   AT(portal_config_resource, line) == sizeof(char *) &&
                   AT(portal_config_policy, line) == sizeof(char *) &&
                   AT(portal_config_relay, line) == sizeof(char *),
               "name and line come first");

static void begin_named(struct loader *l, const struct section *s, const char *name, size_t len)
{
    l->target = append(l->c, s, mem_dup_text(name, len), l->line);
    if (s->rules == resource_rules)
        ((struct portal_config_resource *)l->target)->can_be_disabled = true;
    if (s->rules == relay_rules)
        ((struct portal_config_relay *)l->target)->port = RELAY_PORT;
    if (s->at == AT(portal_config, tokens)) {
        struct portal_config_token *t = l->target;
        t->role = s->role;
        t->lifetime_s = TOKEN_LIFETIME_S;
    }
}

static void begin_once(struct loader *l, const struct section *s, const char *name, size_t len)
{
    uint32_t bit = UINT32_C(1) << (s - sections);
    bool account = s->rules == account_rules;

    if (l->sections_seen & bit)
        fail(l, l->line, "[%s]: this section is there already", s->word);
    l->sections_seen |= bit;
    l->target = (char *)l->c + s->at;
    if (account && len > 0) {
        free(l->c->account);
        l->c->account = mem_dup_text(name, len);
        l->c->account_line = l->line;
    } else if (account || len > 0) {
        fail(l, l->line, "[%s]: this section %s name", s->word, account ? "needs a" : "has no");
    }
}

/* text: "[word name]" and perhaps a comment. */
static void begin_section(struct loader *l, const char *text)
{
    const char *end = strchr(text, ']'), *word = text + 1 + strspn(text + 1, " \t");

    l->section = NULL;
    l->last = NULL;
    l->keys_seen = 0;
    if (!end) {
        fail(l, l->line, "']' is missing");
        return;
    }
    const char *behind = end + 1 + strspn(end + 1, " \t\r\n");
    if (*behind && *behind != ';' && *behind != '#') {
        fail(l, l->line, "there is something behind ']'");
        return;
    }
    size_t word_len = strcspn(word, " \t]");
    const char *name = word + word_len + strspn(word + word_len, " \t");
    while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t len = end > name ? (size_t)(end - name) : 0;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (strlen(sections[i].word) == word_len && memcmp(sections[i].word, word, word_len) == 0)
            l->section = &sections[i];
    }
    if (!l->section)
        fail(l, l->line, "[%.*s]: no such section", (int)size_min(word_len, 40), word);
    else if (l->section->size == 0)
        begin_once(l, l->section, name, len);
    else if (len == 0 || len > PORTAL_NAME_MAX)
        fail(l, l->line, "[%s]: a name of 1 to 255 bytes is needed", l->section->word);
    else
        begin_named(l, l->section, name, len);
}

/* Gives libinih the next line; NULL: no more. */
static char *read_line(char *out, int size, void *stream)
{
    struct loader *l = stream;
    size_t len = strcspn(l->rest, "\n"), whole = len + (l->rest[len] == '\n');

    if (l->failed || whole == 0)
        return NULL;
    l->line++;
    if (whole >= (size_t)size || whole > LINE_MAX_BYTES) {
        fail(l, l->line, "the line is longer than %u bytes", LINE_MAX_BYTES);
        return NULL;
    }
    memcpy(out, l->rest, whole);
    out[whole] = 0;
    l->rest += whole;
    const char *text = out;
    if (l->line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    size_t indent = strspn(text, " \t\v\f\r");
    l->indented = indent > 0;
    if (text[indent] == '[' && indent > 0)
        fail(l, l->line, "a section has to begin at the start of its line");
    else if (text[indent] == '[')
        begin_section(l, text);
    return l->failed ? NULL : out;
}

static int set_key(void *user, const char *section, const char *key, const char *value)
{
    struct loader *l = user;
    char why[160];
    (void)section;

    if (l->failed)
        return 0;
    if (!l->section)
        return fail(l, l->line, "%.40s: outside of any section", key);
    bool more = l->indented && l->last;
    const struct value_rule *rule = more ? l->last : portal_value_rule(l->section->rules, key);
    if (!rule) {
        portal_value_keys(l->section->rules, why, sizeof why);
        return fail(l, l->line, "%.40s: no such key of [%s], which has %s", key, l->section->word,
                    why);
    }
    uint32_t bit = UINT32_C(1) << (rule - l->section->rules);
    if (more && rule->kind != VALUE_LIST && rule->kind != VALUE_FILTERS)
        return fail(l, l->line, "%s: its value has one line", rule->key);
    if (!more && (l->keys_seen & bit))
        return fail(l, l->line, "%s: this key is there already", rule->key);
    l->keys_seen |= bit;
    l->last = rule;
    if (portal_value_set(l->target, rule, value, more, why, sizeof why) != ERR_OK)
        return fail(l, l->line, "%s: %s", rule->key, why);
    if (rule->words == kinds)
        ((struct portal_config_resource *)l->target)->has_kind = true;
    return 1;
}

static void set_defaults(struct portal_config *c)
{
    memset(c, 0, sizeof *c);
    ASSERT(sock_addr_parse(&c->listen, "127.0.0.1:8081") == ERR_OK);
    c->connect_limit = true;
    c->connect_refill = 1;
    c->connect_capacity = 1;
    c->idle_s = 37;
    c->idle_relay_s = 41;
    c->answer_s = 15;
    c->presence_ms = 1000;
    c->account = mem_dup_text("development", strlen("development"));
    c->masquerade_v4 = c->masquerade_v6 = true;
    c->client_to_client = c->internet = true;
    c->flow_url = mem_dup_text("https://flow-api.firezone.dev/", 30);
    c->flow_batch = 1000;
}

enum err portal_config_parse(struct portal_config *out, const char *text, const char *name,
                             char *why, unsigned why_size)
{
    struct loader l = {.c = out, .file = name, .rest = text, .why = why, .why_size = why_size};
    char reason[256];
    unsigned line = 0;

    set_defaults(out);
    ini_use_stack = false;
    ini_max_line = LINE_MAX_BYTES + 8;
    ini_initial_alloc = LINE_MAX_BYTES + 8;
    int status = ini_parse_stream(read_line, &l, set_key, &l);
    if (status > 0 && !l.failed)
        fail(&l, (unsigned)status, "neither a section nor key = value");
    if (status < 0)
        fail(&l, 0, "out of memory");
    if (!l.failed && !portal_config_check(out, &line, reason, sizeof reason))
        fail(&l, line, "%s", reason);
    if (!l.failed)
        return ERR_OK;
    portal_config_fini(out);
    return ERR_PARSE;
}

enum err portal_config_load(struct portal_config *out, const char *path, char *why,
                            unsigned why_size)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t len = 0, got;
    enum err err = ERR_OK;

    memset(out, 0, sizeof *out);
    if (!file) {
        err = err_from_errno(errno);
        snprintf(why, why_size, "%s: %s", path, err_text(err));
        return err;
    }
    do {
        char *bigger = mem_check(realloc(text, len + 65537));
        text = bigger;
        got = fread(text + len, 1, 65536, file);
        len += got;
    } while (got > 0 && len <= PORTAL_CONFIG_FILE_MAX);
    text[len] = 0;
    if (ferror(file))
        err = ERR_IO;
    else if (len > PORTAL_CONFIG_FILE_MAX)
        err = ERR_NO_SPACE;
    if (err != ERR_OK)
        snprintf(why, why_size, "%s: %s", path, err_text(err));
    else if (strlen(text) != len)
        snprintf(why, why_size, "%s: a zero byte: this is no text", path), err = ERR_PARSE;
    else
        err = portal_config_parse(out, text, path, why, why_size);
    free(text);
    fclose(file);
    return err;
}

static void free_many(struct portal_config *c, const struct section *s)
{
    char *array = *(char **)(void *)((char *)c + s->at);
    size_t n = *(size_t *)(void *)((char *)c + s->count_at);
    for (size_t i = 0; i < n; i++) {
        void *item = array + i * s->size;
        portal_value_fini(item, s->rules);
        free(*(char **)item);
        *(char **)item = NULL;
    }
}

void portal_config_fini(struct portal_config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (sections[i].size > 0)
            free_many(c, &sections[i]);
        else
            portal_value_fini((char *)c + sections[i].at, sections[i].rules);
    }
    free(c->tokens);
    free(c->sites);
    free(c->resources);
    free(c->policies);
    free(c->relays);
    free(c->account);
    memset(c, 0, sizeof *c);
}

/* ---- single keys, for the control interface ---- */

static enum err set_one(void *target, const struct value_rule *rules, const char *key,
                        const char *value, char *why, unsigned why_size)
{
    char reason[160];
    const struct value_rule *rule = portal_value_rule(rules, key);

    if (!rule) {
        portal_value_keys(rules, reason, sizeof reason);
        snprintf(why, why_size, "%.40s: no such key, there are %s", key, reason);
        return ERR_NOT_FOUND;
    }
    enum err err = portal_value_set(target, rule, value, false, reason, sizeof reason);
    if (err != ERR_OK)
        snprintf(why, why_size, "%s: %s", key, reason);
    return err;
}

enum err portal_config_resource_set(struct portal_config_resource *r, const char *key,
                                    const char *value, char *why, unsigned why_size)
{
    enum err err = set_one(r, resource_rules, key, value, why, why_size);
    if (err == ERR_OK && strcmp(key, "type") == 0)
        r->has_kind = true;
    return err;
}

enum err portal_config_resource_clear(struct portal_config_resource *r, const char *key, char *why,
                                      unsigned why_size)
{
    const struct value_rule *rule = portal_value_rule(resource_rules, key);
    if (!rule || rule->words == kinds || rule->kind == VALUE_UUID || rule->kind == VALUE_BOOL) {
        snprintf(why, why_size, "%.40s: %s", key, rule ? "cannot be empty" : "no such key");
        return ERR_INVALID;
    }
    portal_value_clear(r, rule);
    return ERR_OK;
}

void portal_config_resource_copy(struct portal_config_resource *out,
                                 const struct portal_config_resource *from)
{
    memset(out, 0, sizeof *out);
    out->name = mem_dup_text(from->name, strlen(from->name));
    out->line = from->line;
    out->has_kind = from->has_kind;
    portal_value_copy(out, from, resource_rules);
}

void portal_config_resource_fini(struct portal_config_resource *r)
{
    portal_value_fini(r, resource_rules);
    free(r->name);
    memset(r, 0, sizeof *r);
}

enum err portal_config_dns_set(struct portal_config_dns *d, const char *key, const char *value,
                               char *why, unsigned why_size)
{
    return set_one(d, dns_rules, key, value, why, why_size);
}

void portal_config_dns_copy(struct portal_config_dns *out, const struct portal_config_dns *from)
{
    memset(out, 0, sizeof *out);
    portal_value_copy(out, from, dns_rules);
}

void portal_config_dns_fini(struct portal_config_dns *d)
{
    portal_value_fini(d, dns_rules);
    memset(d, 0, sizeof *d);
}
