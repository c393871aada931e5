/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a Firezone network from its options to its exit code: everything it needs is looked for in the order of
 * spec/platform.md 6.4, then it runs. Control thread; no other exists yet but that of the log.
 */
#ifndef FZ_CONTROL_MEMBER_MAIN_H
#define FZ_CONTROL_MEMBER_MAIN_H

#include "control/device_id.h"
#include "control/member.h"

struct options;
struct secret;

/* What differs. */
struct member_kind {
    const char *noun;                /* "client", in messages */
    const char *component, *version; /* of the User-Agent */
    const char *endpoint;
    struct device_id_place id;
    bool firmware; /* the portal is told of the machine's serial number and UUID */
    /* Where the environment has none. On failure `why` is one clear sentence. */
    enum err (*load_token)(struct secret *out, const struct options *o, char *why,
                           unsigned why_size);
    enum member_end (*run)(const struct member_options *m, const struct options *o, char *why,
                           unsigned why_size);
};

/* token: from the environment, or none. Returns the exit code; a failure has been reported. */
int member_main(const struct options *o, struct secret *token, const struct member_kind *kind);

#endif
