/* SPDX-License-Identifier: Apache-2.0 */
/* See resources.h. Views for today's and older clients are made once per resource, as 1,000 clients get 10,000 each. */
#include "tools/fzportal/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/tokens.h"

/* ---- looking up ---- */

struct resource *portal_resource_find(const struct portal *p, const char *id_text)
{
    struct table_link *link;
    if (!id_text)
        return NULL;
    link = table_first(&p->resources_by_id, table_hash_text(TABLE_HASH, id_text));
    for (; link; link = table_next(link)) {
        struct resource *r = CONTAINER_OF(link, struct resource, by_id);
        if (strcmp(r->id.text, id_text) == 0)
            return r;
    }
    return NULL;
}

struct resource *portal_resource_by_name(const struct portal *p, const char *name)
{
    struct table_link *link;
    if (!name)
        return NULL;
    link = table_first(&p->resources_by_name, table_hash_text(TABLE_HASH, name));
    for (; link; link = table_next(link)) {
        struct resource *r = CONTAINER_OF(link, struct resource, by_name);
        if (strcmp(r->c.name, name) == 0)
            return r;
    }
    return NULL;
}

bool portal_resource_is_pool(const struct resource *r)
{
    return r->c.kind == PORTAL_STATIC_POOL || r->c.kind == PORTAL_DYNAMIC_POOL;
}

/* ---- life ---- */

static void append_policy(struct policies *list, struct policy *policy)
{
    list->at = mem_grow(list->at, list->n, sizeof *list->at);
    list->at[list->n++] = policy;
}

/* The policies that name a resource that is new. */
static void find_policies(struct portal *p, struct resource *r)
{
    for (size_t i = 0; i < p->policies_n; i++) {
        const struct portal_config_policy *c = p->policies[i].config;
        for (size_t j = 0; c && j < c->resources.n; j++) {
            if (strcmp(c->resources.at[j], "*") != 0 && strcmp(c->resources.at[j], r->c.name) == 0)
                append_policy(&r->policies, &p->policies[i]);
        }
    }
}

static void find_site(struct portal *p, struct resource *r)
{
    r->site = NULL;
    for (size_t i = 0; r->c.site && i < p->config->sites_n; i++) {
        if (strcmp(p->sites[i].name, r->c.site) == 0)
            r->site = &p->sites[i];
    }
}

void portal_resource_forget_views(struct resource *r)
{
    for (size_t i = 0; i < ARRAY_LEN(r->views); i++) {
        json_decref(r->views[i]);
        r->views[i] = NULL;
    }
}

static struct resource *add(struct portal *p, struct portal_config_resource *c)
{
    struct portal_id id = portal_named_id(p, &c->id, "resource", c->name);
    if (portal_resource_find(p, id.text)) {
        portal_config_resource_fini(c);
        return NULL;
    }
    struct resource *r = mem_zalloc(1, sizeof *r);
    r->c = *c;
    r->id = id;
    find_site(p, r);
    table_add(&p->resources_by_id, &r->by_id, table_hash_text(TABLE_HASH, r->id.text));
    table_add(&p->resources_by_name, &r->by_name, table_hash_text(TABLE_HASH, r->c.name));
    TAILQ_INSERT_TAIL(&p->resources, r, order);
    return r;
}

struct resource *portal_resource_add(struct portal *p, struct portal_config_resource *c)
{
    struct resource *r = add(p, c);
    if (r)
        find_policies(p, r);
    return r;
}

void portal_resource_replace(struct portal *p, struct resource *r, struct portal_config_resource *c)
{
    portal_config_resource_fini(&r->c);
    table_remove(&p->resources_by_name, &r->by_name);
    r->c = *c;
    table_add(&p->resources_by_name, &r->by_name, table_hash_text(TABLE_HASH, r->c.name));
    find_site(p, r);
    portal_resource_forget_views(r);
    r->untold = false; /* who sees it is told now */
}

void portal_resource_free(struct portal *p, struct resource *r)
{
    table_remove(&p->resources_by_id, &r->by_id);
    table_remove(&p->resources_by_name, &r->by_name);
    TAILQ_REMOVE(&p->resources, r, order);
    portal_resource_forget_views(r);
    portal_config_resource_fini(&r->c);
    free((void *)r->policies.at);
    free(r);
}

/* Policies, and which resources they name; without any there is one of everything for everybody. */
static void init_policies(struct portal *p)
{
    size_t n = p->config->policies_n;

    p->policies_n = n > 0 ? n : 1;
    p->policies = mem_zalloc(p->policies_n, sizeof *p->policies);
    if (n == 0) {
        p->policies[0].id = portal_named_id(p, NULL, "policy", "everybody");
        append_policy(&p->for_all, &p->policies[0]);
    }
    for (size_t i = 0; i < n; i++) {
        struct policy *policy = &p->policies[i];
        const struct portal_config_policy *c = &p->config->policies[i];
        policy->config = c;
        policy->id = portal_named_id(p, &c->id, "policy", c->name);
        for (size_t j = 0; j < c->resources.n; j++) {
            struct resource *r = portal_resource_by_name(p, c->resources.at[j]);
            if (strcmp(c->resources.at[j], "*") == 0)
                append_policy(&p->for_all, policy);
            else if (r)
                append_policy(&r->policies, policy);
        }
    }
}

void portal_resources_init(struct portal *p)
{
    const struct portal_config *c = p->config;
    struct portal_config_resource copy;

    p->sites = mem_zalloc(c->sites_n, sizeof *p->sites);
    for (size_t i = 0; i < c->sites_n; i++) {
        p->sites[i].name = c->sites[i].name;
        p->sites[i].id = portal_named_id(p, &c->sites[i].id, "site", c->sites[i].name);
    }
    for (size_t i = 0; i < c->resources_n; i++) {
        portal_config_resource_copy(&copy, &c->resources[i]);
        ASSERT(add(p, &copy));
    }
    init_policies(p);
}

void portal_resources_fini(struct portal *p)
{
    struct resource *r;
    while ((r = TAILQ_FIRST(&p->resources)))
        portal_resource_free(p, r);
    table_fini(&p->resources_by_id);
    table_fini(&p->resources_by_name);
    free((void *)p->for_all.at);
    free(p->policies);
    free(p->sites);
}

/* ---- who may ---- */

static bool applies(const struct policy *policy, const struct token *t)
{
    const struct portal_config_policy *c = policy->config;
    if (policy->off)
        return false;
    for (size_t i = 0; c && i < c->groups.n; i++) {
        if (portal_token_has_group(t, c->groups.at[i]))
            return true;
    }
    return !c;
}

static bool conforms(const struct policy *policy)
{
    return !policy->config || policy->config->violates.n == 0;
}

/* Does an authorisation by `a` last longer than by `b`? Without a lifetime it does as long as the token. */
static bool outlasts(const struct policy *a, const struct policy *b)
{
    uint32_t x = a->config ? a->config->lifetime_s : 0, y = b->config ? b->config->lifetime_s : 0;
    return y > 0 && (x == 0 || x > y);
}

/* The better one of *best (NULL: none) and those of the list: one that is not violated, of these the one that lasts longest. */
static void find_best(const struct policy **best, const struct policies *list,
                      const struct token *t)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct policy *policy = list->at[i];
        if (!applies(policy, t))
            continue;
        if (!*best || (conforms(policy) && (!conforms(*best) || outlasts(policy, *best))))
            *best = policy;
    }
}

struct policy *portal_policy_by_name(const struct portal *p, const char *name)
{
    for (size_t i = 0; name && i < p->policies_n; i++) {
        if (strcmp(portal_policy_name(&p->policies[i]), name) == 0)
            return &p->policies[i];
    }
    return NULL;
}

const char *portal_policy_name(const struct policy *policy)
{
    return policy->config ? policy->config->name : "everybody";
}

const struct policy *portal_policy_for(const struct portal *p, const struct token *t,
                                       const struct resource *r, bool *violated)
{
    const struct policy *policy = NULL;
    find_best(&policy, &r->policies, t);
    find_best(&policy, &p->for_all, t);
    *violated = policy && !conforms(policy);
    return policy;
}

static void append_once(json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return;
    }
    json_array_append_new(list, json_string(text));
}

json_t *portal_policies_violated(const struct portal *p, const struct token *t,
                                 const struct resource *r)
{
    const struct policies *const lists[] = {&r->policies, &p->for_all};
    json_t *violated = json_array();
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (size_t j = 0; j < lists[i]->n; j++) {
            const struct policy *policy = lists[i]->at[j];
            if (conforms(policy) || !applies(policy, t))
                continue;
            for (size_t k = 0; k < policy->config->violates.n; k++)
                append_once(violated, policy->config->violates.at[k]);
        }
    }
    return violated;
}

/* Does its version know such a resource? */
static bool is_known(const struct portal *p, const struct portal_session *s,
                     const struct resource *r)
{
    switch (r->c.kind) {
    case PORTAL_DNS:
        return agent_has(&s->agent, AGENT_PATTERNS, false) || !strpbrk(r->c.address, "*?") ||
               (strncmp(r->c.address, "*", 1) == 0 &&
                !strpbrk(r->c.address + strspn(r->c.address, "*."), "*?"));
    case PORTAL_CIDR:
    case PORTAL_IP:
        return true;
    case PORTAL_INTERNET:
        return p->config->internet && agent_has(&s->agent, AGENT_INTERNET, false);
    case PORTAL_STATIC_POOL:
    case PORTAL_DYNAMIC_POOL:
        return p->config->client_to_client &&
               agent_has(&s->agent, AGENT_POOLS, !s->token->config->is_user);
    }
    return false;
}

bool portal_resource_is_visible(const struct portal *p, const struct portal_session *s,
                                const struct resource *r)
{
    bool violated;
    return is_known(p, s, r) && portal_policy_for(p, s->token, r, &violated);
}

/* ---- how it looks ---- */

json_t *portal_resource_filters(const struct resource *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->c.filters.n; i++) {
        const struct portal_filter *f = &r->c.filters.at[i];
        json_t *filter = json_pack("{s:s}", "protocol", f->protocol);
        if (f->ranged) {
            json_object_set_new(filter, "port_range_start", json_integer(f->first));
            json_object_set_new(filter, "port_range_end", json_integer(f->last));
        }
        json_array_append_new(list, filter);
    }
    return list;
}

/* An address becomes the network of that one. */
static const char *address(const struct resource *r, char text[IP_PREFIX_TEXT_MAX])
{
    struct ip_prefix prefix;
    if (r->c.kind != PORTAL_CIDR && r->c.kind != PORTAL_IP)
        return r->c.address;
    ASSERT(ip_prefix_parse(&prefix, r->c.address) == ERR_OK);
    return ip_prefix_format(&prefix, text, IP_PREFIX_TEXT_MAX);
}

static json_t *devices_of(const struct portal *p, const struct resource *r)
{
    char v4[IP_PREFIX_TEXT_MAX], v6[IP_PREFIX_TEXT_MAX];
    json_t *list = json_array();
    const struct device *d;
    for (d = TAILQ_FIRST(&p->devices); d; d = TAILQ_NEXT(d, order)) {
        if (!portal_device_is_member(d, &r->c.members))
            continue;
        const struct ip_prefix four = {d->v4, 32}, six = {d->v6, 128};
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "client_id", d->id.text, "ipv4",
                                              ip_prefix_format(&four, v4, sizeof v4), "ipv6",
                                              ip_prefix_format(&six, v6, sizeof v6)));
    }
    return list;
}

static json_t *sites_of(const struct resource *r)
{
    return json_pack("[{s:s, s:s}]", "id", r->site->id.text, "name", r->site->name);
}

static json_t *make_view(const struct portal *p, const struct resource *r, bool sites)
{
    static const char *const stacks[] = {NULL, "dual", "ipv4_only", "ipv6_only"};
    const char *sites_key = sites ? "sites" : "gateway_groups";
    char text[IP_PREFIX_TEXT_MAX];
    json_t *view = NULL;

    switch (r->c.kind) {
    case PORTAL_DNS:
    case PORTAL_CIDR:
    case PORTAL_IP:
        view =
            json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o, s:o}", "type",
                      r->c.kind == PORTAL_DNS ? "dns" : "cidr", "id", r->id.text, "name", r->c.name,
                      "address", address(r, text), "address_description", r->c.description,
                      "filters", portal_resource_filters(r), sites_key, sites_of(r));
        if (r->c.stack != PORTAL_STACK_UNSAID)
            json_object_set_new(view, "ip_stack", json_string(stacks[r->c.stack]));
        break;
    case PORTAL_INTERNET:
        view = json_pack("{s:s, s:s, s:b, s:o}", "type", "internet", "id", r->id.text,
                         "can_be_disabled", r->c.can_be_disabled, sites_key, sites_of(r));
        break;
    case PORTAL_STATIC_POOL:
        view = json_pack("{s:s, s:s, s:s, s:o, s:o}", "type", "static_device_pool", "id",
                         r->id.text, "name", r->c.name, "filters", portal_resource_filters(r),
                         "devices", devices_of(p, r));
        break;
    case PORTAL_DYNAMIC_POOL:
        view = json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "dynamic_device_pool", "id",
                         r->id.text, "name", r->c.name, "address", r->c.address, "filters",
                         portal_resource_filters(r));
        break;
    }
    return mem_check(view);
}

/* Before 1.2.0 `?` was a label and `*` any number of them. */
static json_t *old_pattern(json_t *view, const char *pattern)
{
    json_t *copy = json_copy(view);
    const char *rest = pattern + strspn(pattern, "*");
    json_object_set_new(copy, "address",
                        json_sprintf("%s%s", strncmp(pattern, "**", 2) == 0 ? "*" : "?", rest));
    json_decref(view);
    return copy;
}

json_t *portal_resource_view(struct portal *p, const struct portal_session *s, struct resource *r)
{
    bool sites = agent_has(&s->agent, AGENT_SITES, false);
    json_t **view = &r->views[sites];

    if (!*view)
        *view = make_view(p, r, sites);
    json_incref(*view);
    if (r->c.kind == PORTAL_DNS && r->c.address[0] == '*' &&
        !agent_has(&s->agent, AGENT_PATTERNS, false))
        return old_pattern(*view, r->c.address);
    return *view;
}

json_t *portal_resource_gateway_view(const struct resource *r)
{
    char text[IP_PREFIX_TEXT_MAX];
    if (r->c.kind == PORTAL_INTERNET)
        return json_pack("{s:s, s:s}", "type", "internet", "id", r->id.text);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", r->c.kind == PORTAL_DNS ? "dns" : "cidr",
                     "id", r->id.text, "name", r->c.name, "address", address(r, text), "filters",
                     portal_resource_filters(r));
}

json_t *portal_resources_for(struct portal *p, const struct portal_session *s)
{
    json_t *list = json_array();
    struct resource *r;
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order)) {
        if (portal_resource_is_visible(p, s, r))
            json_array_append_new(list, portal_resource_view(p, s, r));
    }
    return list;
}
