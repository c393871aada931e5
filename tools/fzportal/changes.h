/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator changes while peers are connected, and who is told of it how. Source: spec/portal.md 6 to 8.
 */
#ifndef FZ_TOOLS_FZPORTAL_CHANGES_H
#define FZ_TOOLS_FZPORTAL_CHANGES_H

#include "tools/fzportal/model.h"

/* Takes `c`, which was checked. False: a resource has its id; `c` is released. */
bool portal_change_add(struct portal *p, struct portal_config_resource *c);
/* Takes `c`, which was checked and has the name of `r`. */
void portal_change_replace(struct portal *p, struct resource *r, struct portal_config_resource *c);
void portal_change_remove(struct portal *p, struct resource *r);
/* Off: it is as if there were no such policy, and what it allowed is revoked. */
void portal_change_policy(struct portal *p, struct policy *policy, bool off);
/* The DNS settings are others now. */
void portal_change_dns(struct portal *p);
/* A device's addresses are. */
void portal_change_addresses(struct portal *p, struct device *d);

#endif
