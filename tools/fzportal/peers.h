/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that reach other clients: device pools, who belongs to them, requests for a device and names of devices.
 * Source: spec/portal.md 6, 7 and 12.
 */
#ifndef FZ_TOOLS_FZPORTAL_PEERS_H
#define FZ_TOOLS_FZPORTAL_PEERS_H

#include "tools/fzportal/session.h"

/* request_authorization for a pool, which the client may see and use. */
void portal_peer_request(struct portal_session *s, struct resource *pool,
                         const struct policy *policy, const json_t *payload);
enum session_result portal_pool_resolve(struct portal_session *s, const json_t *payload);
/* A device's addresses are new: who sees a pool with it gets the pool again, a little later. */
void portal_pools_changed_by(struct portal *p, const struct device *d);
/*
 * Before and after its name or token change; created: it is new. Who sees a pool that it joins or leaves gets that again, and
 * what the pool allowed ends for one that leaves.
 */
void portal_pools_before(struct portal *p, const struct device *d, bool created);
void portal_pools_after(struct portal *p, const struct device *d);
/* Tells of pools, once the changes have been collected for long enough. */
void portal_pools_tell(struct portal *p);
/* Denies what grants of a pool allow that are no longer covered by it. */
void portal_pool_check(struct portal *p, struct resource *pool, bool gone);

#endif
