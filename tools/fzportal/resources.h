/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and policies: what there is, who may see and reach it, and how each kind of peer is told of it. Who is told when
 * something changes is the business of changes.h. Source: spec/portal.md 6 and 12.
 */
#ifndef FZ_TOOLS_FZPORTAL_RESOURCES_H
#define FZ_TOOLS_FZPORTAL_RESOURCES_H

#include "tools/fzportal/model.h"

/* Sites, policies and the resources of the configuration. */
void portal_resources_init(struct portal *p);
void portal_resources_fini(struct portal *p);

/* NULL: there is none; also of text that is no id. */
struct resource *portal_resource_find(const struct portal *p, const char *id_text);
struct resource *portal_resource_by_name(const struct portal *p, const char *name);
/* Takes `c`, whose name is new. NULL: its id is in use; `c` is released. */
struct resource *portal_resource_add(struct portal *p, struct portal_config_resource *c);
/* Puts `c`, which is taken, in place of what the resource was; name and id stay. */
void portal_resource_replace(struct portal *p, struct resource *r,
                             struct portal_config_resource *c);
void portal_resource_free(struct portal *p, struct resource *r);
/* What clients get of it is not what it was. */
void portal_resource_forget_views(struct resource *r);
bool portal_resource_is_pool(const struct resource *r);

/* NULL: there is none. */
struct policy *portal_policy_by_name(const struct portal *p, const char *name);
const char *portal_policy_name(const struct policy *policy);
/* The policy by which the token's owner may reach it for longest; NULL: none. If *violated, it is only shown. */
const struct policy *portal_policy_for(const struct portal *p, const struct token *t,
                                       const struct resource *r, bool *violated);
/* What its policies violate, each once; a new reference. */
json_t *portal_policies_violated(const struct portal *p, const struct token *t,
                                 const struct resource *r);
/* Does this client get to know of it? */
bool portal_resource_is_visible(const struct portal *p, const struct portal_session *s,
                                const struct resource *r);

/* New references. */
json_t *portal_resource_view(struct portal *p, const struct portal_session *s, struct resource *r);
json_t *portal_resource_gateway_view(const struct resource *r);
json_t *portal_resource_filters(const struct resource *r);
/* All that the client may see. */
json_t *portal_resources_for(struct portal *p, const struct portal_session *s);

#endif
