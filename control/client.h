/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Firezone client from sign-in to exit: the session with the portal, the tunnel, signals. This is what
 * `firezone-headless-client` runs without a command. One per process; control role.
 */
#ifndef FZ_CONTROL_CLIENT_H
#define FZ_CONTROL_CLIENT_H

#include <stdbool.h>

#include "control/member.h"

#define CLIENT_ENDPOINT "client/v2/websocket"

struct client_options {
    struct member_options member;
    bool internet_resource; /* use the Internet resource if there is one */
};

/*
 * Runs until a signal or a failure ends it, and takes everything down. why: one clear sentence, which is in the log as well. The
 * caller has hardened the process; no thread may exist yet but that of the log.
 */
enum member_end client_run(const struct client_options *o, char *why, unsigned why_size) MUST_USE;

#endif
