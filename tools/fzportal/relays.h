/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays: those that connect and those of the configuration; which devices hold which, with which credentials, and what they
 * are told when that changes. Source: spec/portal.md 6, 7.1 (relays_presence), 9 and 10.3.
 */
#ifndef FZ_TOOLS_FZPORTAL_RELAYS_H
#define FZ_TOOLS_FZPORTAL_RELAYS_H

#include "tools/fzportal/model.h"

void portal_relays_init(struct portal *p);
void portal_relays_fini(struct portal *p);

/* A relay's channel. */
bool portal_relay_may_join(const json_t *payload);
void portal_relay_joined(struct portal_session *s, const json_t *payload);
void portal_relay_left(struct portal_session *s);

/* The member `relays` of a device's init; the session holds what it lists from now on. */
json_t *portal_relays_for(struct portal_session *s);
/* The answer to no_relays. */
void portal_relays_presence(struct portal_session *s);
/* Tells devices what has changed, once the changes have been collected for long enough. */
void portal_relays_tell(struct portal *p);

#endif
