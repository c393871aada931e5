/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Egress contract: what keeps the sockets of the process out of its own tunnel, on every way: a mark that the host's rules
 * look at, or the source address and the interface of the best way that is not our TUN, or both. Control role.
 * Source: spec/platform.md 3.3, 5.1, 5.6; design.md 5.
 */
#ifndef FZ_PLATFORM_EGRESS_H
#define FZ_PLATFORM_EGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/source.h"

/* Whoever makes sockets gets it by pointer, for as long as it makes some; NULL: nothing is done to them. */
struct egress {
    uint32_t mark; /* SO_MARK; 0: none */
    struct source
        *source; /* looks the way up for every destination; NULL: it is the kernel's choice */
};

/*
 * Finds out what this process may do. mark: 0 for none. resolve: look sources up, whether sockets can be marked or not;
 * without it that is done only where marking is not permitted, which is logged.
 * ERR_PERMISSION: neither is possible, and `why` is one clear sentence: every socket could run into the tunnel.
 */
enum err egress_open(struct egress *e, uint32_t mark, bool resolve, const char *module, char *why,
                     unsigned why_size) MUST_USE;
void egress_close(struct egress *e);

/* The TUN was (re)created; 0: gone. */
void egress_set_tun(struct egress *e, uint32_t ifindex);

#endif
