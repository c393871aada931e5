/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgrades: who is let in, and with which answer everybody else is sent away. In this order: the path, refusals that were
 * asked for, the query's form and vsn, the token's presence, the limit of connects, the token, the parameters, who is there
 * already. Source: spec/portal.md 1.1 to 1.5.
 */
#ifndef FZ_TOOLS_FZPORTAL_ADMISSION_H
#define FZ_TOOLS_FZPORTAL_ADMISSION_H

#include "tools/fzportal/model.h"

/* portal_upgrade; p->t is set. */
struct portal_session *portal_admit(struct portal *p, const struct portal_request *r, void *user,
                                    struct portal_answer *answer);

#endif
