/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection to whichever of a host's addresses answers first: runs a race (portal/race.h) with real sockets that stay
 * out of the tunnel. Control role.
 */
#ifndef FZ_CONTROL_DIAL_H
#define FZ_CONTROL_DIAL_H

#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    DIAL_WHY_MAX = 192
};

struct dial_result {
    enum err
        err; /* ERR_PERMISSION: sockets cannot be kept out of the tunnel, trying again is of no use */
    int fd; /* connected, the receiver's from here on; -1 on failure */
    struct sock_addr to;
    char why[DIAL_WHY_MAX]; /* on failure: one phrase */
};

/* Called once, from the loop, unless the dial is cancelled before. The dial is gone when it is called. */
typedef void (*dial_done)(void *arg, const struct dial_result *result);

struct dial;

/* addrs: in the order of preference, with ports; copied. egress: as tcp_connect; borrowed. ERR_NO_MEMORY. */
enum err dial_start(struct dial **out, struct loop *l, const struct sock_addr *addrs, unsigned n,
                    const struct egress *egress, dial_done done, void *arg) MUST_USE;

/* Ends all attempts; `done` is not called. NULL: nothing. */
void dial_cancel(struct dial *d);

#endif
