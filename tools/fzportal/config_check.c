/* SPDX-License-Identifier: Apache-2.0 */
/* See config_check.h. Names are sorted once, so that 10,000 of them are no trouble. */
#include "tools/fzportal/config_check.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"

struct name {
    const char *text;
    unsigned line;
};

struct names {
    struct name *at;
    size_t n;
};

struct checker {
    const struct portal_config *c;
    struct names tokens, sites, resources, policies, relays;
    unsigned *line;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static bool wrong(struct checker *k, unsigned line,
                                                        const char *fmt, ...)
{
    va_list ap;
    *k->line = line;
    va_start(ap, fmt);
    vsnprintf(k->why, k->why_size, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- names ---- */

static int by_text_and_line(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    if (order != 0)
        return order;
    return x->line < y->line ? -1 : x->line > y->line;
}

static int by_text(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return strcmp(x->text, y->text);
}

static bool names_have(const struct names *names, const char *text)
{
    const struct name key = {text, 0};
    return bsearch(&key, names->at, names->n, sizeof *names->at, by_text) != NULL;
}

static bool names_sort(struct checker *k, struct names *names, const char *what)
{
    qsort(names->at, names->n, sizeof *names->at, by_text_and_line);
    for (size_t i = 0; i < names->n; i++) {
        json_t *json = json_string(names->at[i].text);
        json_decref(json);
        if (!json)
            return wrong(k, names->at[i].line, "the name of a %s is not UTF-8", what);
        if (i > 0 && strcmp(names->at[i - 1].text, names->at[i].text) == 0)
            return wrong(k, names->at[i].line, "there is a %s called \"%.60s\" already, in line %u",
                         what, names->at[i].text, names->at[i - 1].line);
    }
    return true;
}

#define NAMES_COLLECT(names, array, count)                                                         \
    do {                                                                                           \
        (names)->at = mem_zalloc(count, sizeof *(names)->at);                                      \
        for (size_t name_i = 0; name_i < (count); name_i++)                                        \
            (names)->at[(names)->n++] = (struct name){(array)[name_i].name, (array)[name_i].line}; \
    } while (0)

static bool collect(struct checker *k)
{
    const struct portal_config *c = k->c;
    NAMES_COLLECT(&k->tokens, c->tokens, c->tokens_n);
    NAMES_COLLECT(&k->sites, c->sites, c->sites_n);
    NAMES_COLLECT(&k->resources, c->resources, c->resources_n);
    NAMES_COLLECT(&k->policies, c->policies, c->policies_n);
    NAMES_COLLECT(&k->relays, c->relays, c->relays_n);
    return names_sort(k, &k->tokens, "token") && names_sort(k, &k->sites, "site") &&
           names_sort(k, &k->resources, "resource") && names_sort(k, &k->policies, "policy") &&
           names_sort(k, &k->relays, "relay");
}

/* ---- ids ---- */

struct stated_id {
    struct uuid id;
    const char *name;
    unsigned line;
};

struct stated_ids {
    struct stated_id *at;
    size_t n;
};

static int by_id_and_line(const void *a, const void *b)
{
    const struct stated_id *x = a, *y = b;
    int order = memcmp(&x->id, &y->id, sizeof x->id);
    if (order != 0)
        return order;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Frees them. */
static bool ids_differ(struct checker *k, struct stated_ids *ids, const char *what)
{
    bool good = true;
    qsort(ids->at, ids->n, sizeof *ids->at, by_id_and_line);
    for (size_t i = 1; i < ids->n && good; i++) {
        if (memcmp(&ids->at[i - 1].id, &ids->at[i].id, sizeof ids->at[i].id) == 0)
            good = wrong(k, ids->at[i].line, "[%s %.60s]: id: that of line %u is the same", what,
                         ids->at[i].name, ids->at[i - 1].line);
    }
    free(ids->at);
    return good;
}

#define IDS_COLLECT(ids, array, count)                                                             \
    do {                                                                                           \
        static const struct uuid unsaid;                                                           \
        (ids)->at = mem_zalloc(count, sizeof *(ids)->at);                                          \
        (ids)->n = 0;                                                                              \
        for (size_t id_i = 0; id_i < (count); id_i++) {                                            \
            if (memcmp(&(array)[id_i].id, &unsaid, sizeof unsaid) != 0)                            \
                (ids)->at[(ids)->n++] =                                                            \
                    (struct stated_id){(array)[id_i].id, (array)[id_i].name, (array)[id_i].line};  \
        }                                                                                          \
    } while (0)

static bool check_ids(struct checker *k)
{
    const struct portal_config *c = k->c;
    struct stated_ids sites, resources, policies;
    IDS_COLLECT(&sites, c->sites, c->sites_n);
    IDS_COLLECT(&resources, c->resources, c->resources_n);
    IDS_COLLECT(&policies, c->policies, c->policies_n);
    bool good = ids_differ(k, &sites, "site");
    good = ids_differ(k, &resources, "resource") && good;
    return ids_differ(k, &policies, "policy") && good;
}

/* ---- resources ---- */

static bool is_pattern(const char *address)
{
    size_t len = strlen(address);
    return len > 0 && len <= 253 && address[0] != '.' && !strstr(address, "..") &&
           strspn(address, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*?") ==
               len;
}

static const char *address_fault(const struct portal_config_resource *r)
{
    struct ip_prefix prefix, masked;
    struct ip_addr ip;

    switch (r->kind) {
    case PORTAL_DNS:
    case PORTAL_DYNAMIC_POOL:
        return r->address && is_pattern(r->address) ? NULL : "not a name or pattern";
    case PORTAL_CIDR:
        if (!r->address || !strchr(r->address, '/') ||
            ip_prefix_parse(&prefix, r->address) != ERR_OK)
            return "not a network such as 10.20.0.0/16";
        masked = prefix;
        ip_prefix_mask(&masked);
        return ip_addr_equal(&masked.ip, &prefix.ip) ? NULL : "bits are set behind the /length";
    case PORTAL_IP:
        return r->address && ip_addr_parse(&ip, r->address) == ERR_OK ? NULL : "not an IP address";
    case PORTAL_INTERNET:
    case PORTAL_STATIC_POOL:
        return r->address ? "a resource of this type has none" : NULL;
    }
    return NULL;
}

static enum err key_wrong(char *why, unsigned why_size, const char *key, const char *what)
{
    snprintf(why, why_size, "%s: %s", key, what);
    return ERR_INVALID;
}

/* All but the existence of the site. */
static enum err resource_check(const struct portal_config_resource *r, char *why, unsigned why_size)
{
    bool pool = r->kind == PORTAL_STATIC_POOL || r->kind == PORTAL_DYNAMIC_POOL;

    if (!r->has_kind)
        return key_wrong(why, why_size, "type", "missing");
    const char *fault = address_fault(r);
    if (fault)
        return key_wrong(why, why_size, "address",
                         r->address || !strncmp(fault, "a r", 3) ? fault : "missing");
    if (r->stack != PORTAL_STACK_UNSAID && r->kind != PORTAL_DNS)
        return key_wrong(why, why_size, "ip_stack", "only dns resources have one");
    if (r->filters.n > 0 && r->kind == PORTAL_INTERNET)
        return key_wrong(why, why_size, "filters", "the Internet resource has none");
    if (r->members.n > 0 && !pool)
        return key_wrong(why, why_size, "members", "only device pools have them");
    if (!r->site && !pool)
        return key_wrong(why, why_size, "site", "missing");
    if (r->site && pool)
        return key_wrong(why, why_size, "site", "device pools have none");
    return ERR_OK;
}

enum err portal_config_resource_check(const struct portal_config *c,
                                      const struct portal_config_resource *r, char *why,
                                      unsigned why_size)
{
    enum err err = resource_check(r, why, why_size);
    bool found = !r->site;
    for (size_t i = 0; i < c->sites_n && !found; i++)
        found = strcmp(c->sites[i].name, r->site) == 0;
    return err != ERR_OK || found ? err : key_wrong(why, why_size, "site", "there is no such site");
}

static bool check_resources(struct checker *k)
{
    unsigned internets = 0;
    char why[128];
    for (size_t i = 0; i < k->c->resources_n; i++) {
        const struct portal_config_resource *r = &k->c->resources[i];
        enum err err = resource_check(r, why, sizeof why);
        if (err == ERR_OK && r->site && !names_have(&k->sites, r->site))
            err = key_wrong(why, sizeof why, "site", "there is no such site");
        if (err == ERR_OK && r->kind == PORTAL_INTERNET && ++internets > 1)
            err = key_wrong(why, sizeof why, "type", "there is an internet resource already");
        if (err != ERR_OK)
            return wrong(k, r->line, "[resource %.60s]: %s", r->name, why);
    }
    return true;
}

/* ---- the rest ---- */

/* A name whose labels DNS can carry. */
static bool is_name(const char *name)
{
    if (!is_pattern(name) || strpbrk(name, "*?"))
        return false;
    for (const char *label = name; *label; label += *label == '.') {
        size_t len = strcspn(label, ".");
        if (len > 63)
            return false;
        label += len;
    }
    return true;
}

/* The length of a port with its colon; 0: none, or not a port. */
static size_t port_length(const char *text)
{
    size_t digits = *text == ':' ? strspn(text + 1, "0123456789") : 0;
    unsigned long port = digits > 0 && digits <= 5 ? strtoul(text + 1, NULL, 10) : 0;
    return port > 0 && port <= UINT16_MAX ? digits + 1 : 0;
}

/* NULL: a URL that a resolver for DNS over HTTPS can have: https, a host, perhaps a port and a path. */
static const char *url_fault(const char *url)
{
    char host[256];
    struct ip_addr ip;

    if (strncmp(url, "https://", 8) != 0)
        return "it has to begin with https://";
    bool literal = url[8] == '[';
    url += 8 + literal;
    size_t len = strcspn(url, literal ? "]/?#" : ":/?#");
    snprintf(host, sizeof host, "%.*s", (int)size_min(len, sizeof host - 1), url);
    url += len;
    if (literal ? *url != ']' || ip_addr_parse(&ip, host) != ERR_OK || ip.family != ADDR_V6
                : len >= sizeof host || !is_name(host))
        return "there is no host in it";
    url += literal;
    url += port_length(url);
    for (const char *at = url; *at; at++) {
        if (*at <= ' ' || *at > '~')
            return "a URL is printable ASCII without spaces";
    }
    if (*url && *url != '/')
        return *url == '?' || *url == '#' ? "a query or fragment has no place in it"
                                          : "there is something behind the host";
    return strpbrk(url, "?#") ? "a query or fragment has no place in it" : NULL;
}

enum err portal_config_dns_check(const struct portal_config_dns *d, char *why, unsigned why_size)
{
    struct ip_addr ip;
    if (d->servers.n > PORTAL_DNS_SERVERS_MAX)
        return key_wrong(why, why_size, "servers", "more than 8");
    for (size_t i = 0; i < d->servers.n; i++) {
        if (ip_addr_parse(&ip, d->servers.at[i]) != ERR_OK)
            return key_wrong(why, why_size, "servers", "not IP addresses");
    }
    if (d->mode == PORTAL_DNS_CUSTOM && d->servers.n == 0)
        return key_wrong(why, why_size, "servers", "mode custom needs some");
    if (d->mode == PORTAL_DNS_SECURE && !d->url)
        return key_wrong(why, why_size, "url", "mode secure needs one");
    if (d->url && url_fault(d->url))
        return key_wrong(why, why_size, "url", url_fault(d->url));
    if (d->search_domain && !is_name(d->search_domain))
        return key_wrong(why, why_size, "search_domain", "not a name");
    return ERR_OK;
}

static int by_token_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool check_tokens(struct checker *k)
{
    const struct portal_config *c = k->c;
    const char **texts = mem_zalloc(c->tokens_n, sizeof *texts);
    size_t n = 0;
    bool good = true;

    for (size_t i = 0; i < c->tokens_n && good; i++) {
        const struct portal_config_token *t = &c->tokens[i];
        if (t->text)
            texts[n++] = t->text;
        if (t->role == PORTAL_GATEWAY && !t->site)
            good = wrong(k, t->line, "[gateway-token %.60s]: site: missing", t->name);
        else if (t->role == PORTAL_GATEWAY && !names_have(&k->sites, t->site))
            good = wrong(k, t->line, "[gateway-token %.60s]: site: there is no such site", t->name);
    }
    qsort(texts, n, sizeof *texts, by_token_text);
    for (size_t i = 1; i < n && good; i++) {
        if (strcmp(texts[i - 1], texts[i]) == 0)
            good = wrong(k, 0, "token: two sections have the same one");
    }
    free(texts);
    return good;
}

static bool check_policies(struct checker *k)
{
    for (size_t i = 0; i < k->c->policies_n; i++) {
        const struct portal_config_policy *p = &k->c->policies[i];
        if (p->groups.n == 0 || p->resources.n == 0)
            return wrong(k, p->line, "[policy %.60s]: %s: missing", p->name,
                         p->groups.n == 0 ? "groups" : "resources");
        for (size_t j = 0; j < p->resources.n; j++) {
            const char *name = p->resources.at[j];
            if (strcmp(name, "*") != 0 && !names_have(&k->resources, name))
                return wrong(k, p->line,
                             "[policy %.60s]: resources: there is none called \"%.60s\"", p->name,
                             name);
        }
    }
    return true;
}

static bool check_credentials(struct checker *k, const struct portal_config_relay *r)
{
    if (!r->username != !r->password)
        return wrong(k, r->line, "[relay %.60s]: username and password need each other", r->name);
    if (r->secret && r->username)
        return wrong(k, r->line, "[relay %.60s]: stamp_secret: username and password are literal",
                     r->name);
    if (!r->secret && !r->username)
        return wrong(k, r->line, "[relay %.60s]: stamp_secret, or username and password: missing",
                     r->name);
    return true;
}

static bool check_relays(struct checker *k)
{
    for (size_t i = 0; i < k->c->relays_n; i++) {
        const struct portal_config_relay *r = &k->c->relays[i];
        if (r->ipv4.family == ADDR_NONE && r->ipv6.family == ADDR_NONE)
            return wrong(k, r->line, "[relay %.60s]: ipv4 or ipv6: missing", r->name);
        if (!check_credentials(k, r))
            return false;
        for (size_t j = 0; j < i && r->secret; j++) {
            const char *other = k->c->relays[j].secret;
            if (other && strcmp(other, r->secret) == 0)
                return wrong(k, r->line, "[relay %.60s]: stamp_secret: another relay has the same",
                             r->name);
        }
    }
    return true;
}

static bool check_once(struct checker *k)
{
    const struct portal_config *c = k->c;
    char why[128];
    if (!c->certificate != !c->key)
        return wrong(k, 0, "[portal]: certificate and key need each other");
    for (const char *at = c->account; *at; at++) {
        bool good =
            (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_' || *at == '-';
        if (!good)
            return wrong(k, c->account_line,
                         "[account]: its name may have small letters, digits, '_' and '-'");
    }
    if (portal_config_dns_check(&c->dns, why, sizeof why) != ERR_OK)
        return wrong(k, 0, "[dns]: %s", why);
    return true;
}

bool portal_config_check(const struct portal_config *c, unsigned *line, char *why, size_t why_size)
{
    struct checker k = {.c = c, .line = line, .why = why, .why_size = why_size};
    bool good = collect(&k) && check_ids(&k) && check_once(&k) && check_tokens(&k) &&
                check_resources(&k) && check_policies(&k) && check_relays(&k);
    free(k.tokens.at);
    free(k.sites.at);
    free(k.resources.at);
    free(k.policies.at);
    free(k.relays.at);
    return good;
}
