/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: who has ever come, by (actor of the token, external id) for clients and (site, external id) for gateways. Ids,
 * addresses and secrets come of the seed and these two, so they are the same after a restart with the same seed.
 * Source: spec/portal.md 2.
 */
#ifndef FZ_TOOLS_FZPORTAL_DEVICES_H
#define FZ_TOOLS_FZPORTAL_DEVICES_H

#include "tools/fzportal/model.h"

/* NULL: it is new, and there are too many already. *created: it is new, and `token` its token; another one keeps its own. */
struct device *portal_device_get(struct portal *p, struct token *token, const char *external_id,
                                 bool *created);
struct device *portal_device_find(const struct portal *p, const char *id_text);
/*
 * Those of a list of ids that are devices of this role, each once; of more than PORTAL_RECEIVERS_MAX ids the rest does not
 * count. Returns how many.
 */
size_t portal_devices_listed(const struct portal *p, const json_t *ids, enum portal_role role,
                             struct device *out[PORTAL_RECEIVERS_MAX]);
struct device *portal_device_by_ip(const struct portal *p, const struct ip_addr *ip);
/* False: not in the range that devices get theirs from, or another device has it. */
bool portal_device_may_have(const struct portal *p, const struct device *d,
                            const struct ip_addr *ip);
/* Which it may have. */
void portal_device_set_ip(struct portal *p, struct device *d, const struct ip_addr *ip);
/* Is it one of a pool's members? */
bool portal_device_is_member(const struct device *d, const struct portal_list *members);
void portal_devices_fini(struct portal *p);

/* {"ipv4":...,"ipv6":...} */
json_t *portal_device_addresses(const struct device *d);
/* As one end of a derivation, with the key it has now. */
struct derive_end portal_device_end(const struct device *d);

#endif
