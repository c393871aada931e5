/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many datagrams the relay can forward per second of CPU time: a relay in a thread of its own, a client and a peer over
 * loopback. Loopback charges the receiving end's work in the kernel to the sender, so the figure is on the safe side.
 */
#ifndef FZ_TOOLS_FZRELAY_CEILING_H
#define FZ_TOOLS_FZRELAY_CEILING_H

#include <stdint.h>

#include "platform/base/err.h"

enum {
    CEILING_ROWS = 4,
    CEILING_SIZE_MAX = 1400
};

struct ceiling_row {
    const char *what;
    uint64_t forwarded, lost; /* datagrams */
    uint64_t cpu_ns;          /* of the relay's thread */
};

/* size: of a payload; datagrams: to send for each row. Waits. On failure `why` is one sentence. */
enum err ceiling_measure(struct ceiling_row rows[CEILING_ROWS], unsigned size, unsigned datagrams,
                         char *why, unsigned why_size) MUST_USE;

#endif
