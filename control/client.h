/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Firezone client from sign-in to exit: the session with the portal, the tunnel, signals. This is what
 * `firezone-headless-client` runs without a command. One per process; control role.
 */
#ifndef FZ_CONTROL_CLIENT_H
#define FZ_CONTROL_CLIENT_H

#include <stdbool.h>

#include "control/portal/url.h"
#include "control/tunnel.h"
#include "platform/base/time.h"

/* All text is borrowed until client_run returns. */
struct client_options {
    struct url api;
    const char *ca_file;          /* a private CA beside the system's store; NULL: none */
    const char *token;            /* printable ASCII without spaces; never logged */
    const char *external_id;      /* as sent: identity_external_id */
    const char *name;             /* of this device, for people */
    const char *device_serial;    /* NULL: not known */
    const char *device_uuid;      /* NULL: not known */
    const char *user_agent;       /* identity_user_agent */
    time_ns max_partition_ns;     /* TIME_NEVER: no limit */
    bool exit_when_up;            /* --exit: ends as if told to once the tunnel is up */
    bool internet_resource;       /* use the Internet resource if there is one */
    struct tunnel_options tunnel; /* tun_name: what the device shall be called */
};

enum client_end {
    CLIENT_STOPPED,       /* told to */
    CLIENT_FAILED,        /* why */
    CLIENT_TOKEN_REJECTED /* why; the same token is of no use any more */
};

/*
 * Runs until a signal or a failure ends it, and takes everything down. why: one clear sentence, which is in the log as well. The
 * caller has hardened the process; no thread may exist yet but that of the log.
 */
enum client_end client_run(const struct client_options *o, char *why, unsigned why_size) MUST_USE;

#endif
