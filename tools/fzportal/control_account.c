/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about what an account has. See control.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/changes.h"
#include "tools/fzportal/control.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/peers.h"
#include "tools/fzportal/resources.h"
#include "tools/fzportal/tokens.h"

enum {
    WHY_MAX = 256
};

/* ---- values as the configuration writes them ---- */

/* A list as one text with commas; NULL: not a list of texts. */
static char *join(const json_t *list)
{
    size_t size = 1, len = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!json_is_string(json_array_get(list, i)))
            return NULL;
        size += json_string_length(json_array_get(list, i)) + 1;
    }
    char *text = mem_zalloc(1, size);
    for (size_t i = 0; i < json_array_size(list); i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s", i > 0 ? "," : "",
                                json_string_value(json_array_get(list, i)));
    return text;
}

/* NULL: of a kind that no key has. The caller frees it. */
static char *as_text(const json_t *value)
{
    char number[32];
    if (json_is_array(value))
        return join(value);
    if (json_is_string(value))
        return mem_dup_text(json_string_value(value), json_string_length(value));
    if (json_is_boolean(value))
        return mem_dup_text(json_is_true(value) ? "yes" : "no", json_is_true(value) ? 3 : 2);
    if (!json_is_integer(value))
        return NULL;
    int len = snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return mem_dup_text(number, (size_t)len);
}

typedef enum err (*set_fn)(void *target, const char *key, const char *value, char *why);

/* All keys but the command and `except`. NULL: good. */
static json_t *set_all(const struct order *o, const char *except, void *target, set_fn set)
{
    json_t *object = (json_t *)(uintptr_t)o->command;
    char why[WHY_MAX] = "not a value";

    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
        const char *key = json_object_iter_key(i);
        if (strcmp(key, "command") == 0 || strcmp(key, except) == 0)
            continue;
        char *text = as_text(json_object_iter_value(i));
        enum err err = text ? set(target, key, text, why) : ERR_PARSE;
        if (!text)
            snprintf(why, sizeof why,
                     "%.40s: neither text, number, true, false nor a list of texts", key);
        free(text);
        if (err != ERR_OK)
            return portal_order_failed("%s", why);
    }
    return NULL;
}

/* ---- resources ---- */

static enum err set_resource(void *target, const char *key, const char *value, char *why)
{
    struct portal_config_resource *c = target;
    if (*value)
        return portal_config_resource_set(c, key, value, why, WHY_MAX);
    return portal_config_resource_clear(c, key, why, WHY_MAX);
}

/* `c` is taken by `put` if all is well, and released if not. */
static json_t *check_resource(const struct order *o, struct portal_config_resource *c)
{
    char why[WHY_MAX];
    struct resource *r;

    if (portal_config_resource_check(o->p->config, c, why, sizeof why) != ERR_OK)
        return portal_order_failed("%s", why);
    for (r = TAILQ_FIRST(&o->p->resources); r; r = TAILQ_NEXT(r, order)) {
        if (c->kind == PORTAL_INTERNET && r->c.kind == PORTAL_INTERNET &&
            strcmp(r->c.name, c->name) != 0)
            return portal_order_failed("type: there is an internet resource already");
    }
    return NULL;
}

json_t *portal_order_resource_add(const struct order *o)
{
    const char *name = portal_order_text(o, "name");
    struct portal_config_resource c = {.can_be_disabled = true};

    if (!name || !*name || strlen(name) > PORTAL_NAME_MAX)
        return portal_order_failed("name: missing, empty or too long");
    if (portal_resource_by_name(o->p, name))
        return portal_order_failed("name: there is such a resource already");
    c.name = mem_dup_text(name, strlen(name));
    json_t *wrong = set_all(o, "name", &c, set_resource);
    if (!wrong)
        wrong = check_resource(o, &c);
    if (wrong) {
        portal_config_resource_fini(&c);
        return wrong;
    }
    if (!portal_change_add(o->p, &c))
        return portal_order_failed("id: another resource has it");
    return json_pack("{s:b, s:s}", "ok", 1, "id", portal_resource_by_name(o->p, name)->id.text);
}

json_t *portal_order_resource_change(const struct order *o)
{
    struct resource *r = portal_resource_by_name(o->p, portal_order_text(o, "name"));
    struct portal_config_resource c;

    if (!r)
        return portal_order_failed("name: there is no such resource");
    if (json_object_get(o->command, "id"))
        return portal_order_failed("id: cannot be changed");
    portal_config_resource_copy(&c, &r->c);
    json_t *wrong = set_all(o, "name", &c, set_resource);
    if (!wrong)
        wrong = check_resource(o, &c);
    if (wrong) {
        portal_config_resource_fini(&c);
        return wrong;
    }
    portal_change_replace(o->p, r, &c);
    return json_pack("{s:b, s:s}", "ok", 1, "id", r->id.text);
}

json_t *portal_order_resource_remove(const struct order *o)
{
    struct resource *r = portal_resource_by_name(o->p, portal_order_text(o, "name"));
    if (!r)
        return portal_order_failed("name: there is no such resource");
    portal_change_remove(o->p, r);
    return portal_order_done();
}

/* ---- DNS ---- */

static enum err set_dns(void *target, const char *key, const char *value, char *why)
{
    return *value ? portal_config_dns_set(target, key, value, why, WHY_MAX) : ERR_OK;
}

json_t *portal_order_dns(const struct order *o)
{
    struct portal_config_dns dns = {.mode = PORTAL_DNS_SYSTEM};
    char why[WHY_MAX];
    json_t *wrong = set_all(o, "", &dns, set_dns);

    if (!wrong && portal_config_dns_check(&dns, why, sizeof why) != ERR_OK)
        wrong = portal_order_failed("%s", why);
    if (wrong) {
        portal_config_dns_fini(&dns);
        return wrong;
    }
    portal_config_dns_fini(&o->p->dns);
    o->p->dns = dns;
    portal_change_dns(o->p);
    return portal_order_done();
}

/* ---- devices, tokens, authorisations ---- */

/* Without the key *ip stays. False: not one that the device may have. */
static bool read_address(const struct order *o, const struct device *d, const char *key,
                         struct ip_addr *ip)
{
    const json_t *value = json_object_get(o->command, key);
    enum addr_family family = ip->family;
    if (!value)
        return true;
    return json_is_string(value) && ip_addr_parse(ip, json_string_value(value)) == ERR_OK &&
           ip->family == family && portal_device_may_have(o->p, d, ip);
}

json_t *portal_order_address(const struct order *o)
{
    struct device *d = portal_order_device(o, portal_order_text(o, "device"));

    if (!d)
        return portal_order_failed("device: none, or several, have this id, external id or name");
    struct ip_addr v4 = d->v4, v6 = d->v6;
    if (!read_address(o, d, "ipv4", &v4))
        return portal_order_failed("ipv4: not a free address of 100.64.0.0/11");
    if (!read_address(o, d, "ipv6", &v6))
        return portal_order_failed("ipv6: not a free address of fd00:2021:1111::/107");
    portal_device_set_ip(o->p, d, &v4);
    portal_device_set_ip(o->p, d, &v6);
    portal_change_addresses(o->p, d);
    return portal_order_done();
}

json_t *portal_order_expire(const struct order *o)
{
    const char *name = portal_order_text(o, "token");
    struct token *t = name ? portal_token_by_name(o->p, name) : NULL;
    int64_t in = 0;

    if (!t)
        return portal_order_failed("token: there is none of this name");
    if (!portal_order_number(o, "in", 0, UINT32_MAX, &in))
        return portal_order_failed("in: not a number of seconds");
    t->expires_at = o->p->t.unix_seconds + in;
    portal_tokens_expire(o->p);
    return portal_order_done();
}

/* Which authorisations are meant; NULL: any. */
struct meant {
    const struct device *client, *peer;
    const struct resource *resource;
};

/* NULL: good. */
static json_t *read_meant(const struct order *o, struct meant *m)
{
    const char *name = portal_order_text(o, "resource");

    *m = (struct meant){portal_order_device(o, portal_order_text(o, "client")),
                        portal_order_device(o, portal_order_text(o, "peer")),
                        portal_resource_by_name(o->p, name)};
    if (json_object_get(o->command, "client") && !m->client)
        return portal_order_failed("client: there is none of this name");
    if (json_object_get(o->command, "peer") && !m->peer)
        return portal_order_failed("peer: there is none of this name");
    if (json_object_get(o->command, "resource") && !m->resource)
        return portal_order_failed("resource: there is none of this name");
    return NULL;
}

static bool is_meant(const struct grant *g, const struct meant *m)
{
    return (!m->client || g->client == m->client) && (!m->peer || g->peer == m->peer) &&
           (!m->resource || strcmp(g->resource.text, m->resource->id.text) == 0);
}

json_t *portal_order_revoke(const struct order *o)
{
    struct grant *next;
    struct meant m;
    size_t n = 0;
    json_t *wrong = read_meant(o, &m);

    if (wrong)
        return wrong;
    for (struct grant *g = TAILQ_FIRST(&o->p->grants); g; g = next) {
        next = TAILQ_NEXT(g, order);
        if (!is_meant(g, &m))
            continue;
        portal_grant_revoke(o->p, g);
        n++;
    }
    return portal_order_count("authorizations", n);
}

json_t *portal_order_lifetime(const struct order *o)
{
    struct grant *g;
    struct meant m;
    int64_t in = -1;
    size_t n = 0;
    json_t *wrong = read_meant(o, &m);

    if (wrong)
        return wrong;
    if (!portal_order_number(o, "in", 0, UINT32_MAX, &in) || in < 0)
        return portal_order_failed("in: a number of seconds is needed");
    for (g = TAILQ_FIRST(&o->p->grants); g; g = TAILQ_NEXT(g, order)) {
        if (!is_meant(g, &m))
            continue;
        portal_grant_move(g, o->p->t.unix_seconds + in);
        n++;
    }
    return portal_order_count("authorizations", n);
}

json_t *portal_order_policy(const struct order *o)
{
    struct policy *policy = portal_policy_by_name(o->p, portal_order_text(o, "name"));
    bool good, on = portal_order_flag(o, "on", &good);

    if (!policy)
        return portal_order_failed("name: there is no such policy");
    if (!good)
        return portal_order_failed("on: neither true nor false");
    portal_change_policy(o->p, policy, !on);
    return portal_order_done();
}
