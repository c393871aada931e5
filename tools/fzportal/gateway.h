/* SPDX-License-Identifier: Apache-2.0 */
/* The channel of gateways, of both generations. Source: spec/portal.md 8 and 12. */
#ifndef FZ_TOOLS_FZPORTAL_GATEWAY_H
#define FZ_TOOLS_FZPORTAL_GATEWAY_H

#include "tools/fzportal/session.h"

void portal_gateway_joined(struct portal_session *s);
void portal_gateway_left(struct portal_session *s);
enum session_result portal_gateway_message(struct portal_session *s, const char *event,
                                           const json_t *payload, json_t *ref);

void portal_gateway_push_init(struct portal_session *s);

#endif
