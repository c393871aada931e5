/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Firezone gateway from sign-in to exit: the session with the portal, the tunnel, signals. This is what `firezone-gateway`
 * runs. One per process; control role.
 */
#ifndef FZ_CONTROL_GATEWAY_H
#define FZ_CONTROL_GATEWAY_H

#include "control/member.h"

#define GATEWAY_ENDPOINT "gateway/v2/websocket"

/*
 * forward: the gateway makes its host forward what clients send (gateway_host.h). Runs until a signal or a failure ends it, and takes everything down. why: one clear sentence, which is in the log as well. The
 * caller has hardened the process; no thread may exist yet but that of the log.
 */
enum member_end gateway_run(const struct member_options *o, bool forward, char *why,
                            unsigned why_size) MUST_USE;

#endif
