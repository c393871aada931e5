/* SPDX-License-Identifier: Apache-2.0 */
/* The channel of clients, of both generations. Source: spec/portal.md 7 and 12. */
#ifndef FZ_TOOLS_FZPORTAL_CLIENT_H
#define FZ_TOOLS_FZPORTAL_CLIENT_H

#include "tools/fzportal/session.h"

void portal_client_joined(struct portal_session *s);
void portal_client_left(struct portal_session *s);
enum session_result portal_client_message(struct portal_session *s, const char *event,
                                          const json_t *payload, const json_t *ref);

void portal_client_push_init(struct portal_session *s);
void portal_client_push_config(struct portal_session *s);

#endif
