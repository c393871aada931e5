/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorisations: which client may reach which resource by which gateway or other client, and until when. They begin when
 * that is asked, are kept after the sockets are gone, and repeated when the one that enforces them comes back.
 * Source: spec/portal.md 6, 8.1.
 */
#ifndef FZ_TOOLS_FZPORTAL_GRANTS_H
#define FZ_TOOLS_FZPORTAL_GRANTS_H

#include "tools/fzportal/model.h"

/* New, or in place of the one there is, with another id. s: of the client. */
struct grant *portal_grant_put(struct portal_session *s, struct device *peer,
                               const struct portal_id *resource, const struct policy *policy,
                               int64_t expires_at);
/* NULL: there is none. */
struct grant *portal_grant_find(const struct portal *p, const struct device *client,
                                const struct device *peer, const struct portal_id *resource);
/* Forgets it, after its peer, if online, was told to enforce that: reject_access. */
void portal_grant_revoke(struct portal *p, struct grant *g);
/* Those of a resource, or of a client's token; NULL: of any. */
void portal_grants_revoke(struct portal *p, const char *resource_id, const struct token *token);
void portal_grants_revoke_policy(struct portal *p, const struct policy *policy);
/* It ends at another time; its peer, if online, is told as gateways of 1.5 were: access_authorization_expiry_updated. */
void portal_grant_move(struct grant *g, int64_t expires_at);
/* Forgets those that have expired, of which nobody needs to be told. */
void portal_grants_prune(struct portal *p);
void portal_grants_fini(struct portal *p);

/* The member `authorizations` of the init of who enforces them. */
json_t *portal_grants_for(const struct portal *p, const struct device *peer);

#endif
