/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's request for a resource behind a gateway: which gateway, what it is asked, and what the client gets when it has
 * agreed, or has not in time. The authorisation is there from the moment the gateway is asked, so that it can be revoked
 * whatever comes in between. Source: spec/portal.md 7.1, 8 and 12.
 */
#ifndef FZ_TOOLS_FZPORTAL_FLOWS_H
#define FZ_TOOLS_FZPORTAL_FLOWS_H

#include "tools/fzportal/model.h"

/*
 * The client may reach `r` by `policy`. connected: ids of gateways it knows, the preferred one first; a list or NULL. False:
 * a gateway is there, but the request had no ref (`has_ref`), of which the real portal's channel crashes.
 */
bool portal_flow_request(struct portal_session *client, struct resource *r,
                         const struct policy *policy, const json_t *connected, bool has_ref);
/* What else it may get. violated: properties of `forbidden`, taken, or NULL. */
void portal_flow_refuse(struct portal_session *client, const char *resource_id, const char *reason,
                        json_t *violated);
/* The gateway agrees. False: no request of this ref waits for it. */
bool portal_flow_agree(struct portal_session *gateway, const char *ref);
/* The client has gone: nobody is to get the answers. */
void portal_flows_forget(struct portal_session *client);
/* The resource is gone, or another one: what its gateways answer means nothing any more. */
void portal_flows_cancel(struct portal *p, const struct resource *r);
/* Gives up on gateways that did not answer. */
void portal_flows_expire(struct portal *p);
void portal_flows_fini(struct portal *p);

/* When an authorisation by this policy ends. */
int64_t portal_flow_expiry(const struct portal *p, const struct token *t,
                           const struct policy *policy);
/* Who asks, for who is asked; and the pair of credentials. New references. */
json_t *portal_flow_subject(const struct portal_session *client);
json_t *portal_flow_ice(const struct derive_ice *ice);

#endif
