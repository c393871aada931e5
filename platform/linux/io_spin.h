/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a worker that has run out of work looks for more for a moment before it sleeps. Waking a sleeping CPU costs more
 * than all else that happens to a lone packet: a request and its answer are four such wake-ups. So a worker whose last
 * waits were all short stays awake for the next one, yielding the CPU to whoever else wants it. Never beside bulk, where
 * waiting for more makes batches larger, and not where a control group rations CPU time. Called by the thread that owns the
 * backend.
 */
#ifndef FZ_LINUX_IO_SPIN_H
#define FZ_LINUX_IO_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/io.h"

#define IO_SPIN_NS       (60 * NS_PER_US)  /* how long it looks: rather more than a wake-up takes */
#define IO_SPIN_SHORT_NS (150 * NS_PER_US) /* a wait up to which another like it is expected */

enum {
    IO_SPIN_SHORT_WAITS = 4, /* so many in a row */
    IO_SPIN_BULK_RECORDS = 4,
    IO_SPIN_BULK_BYTES =
        2048,                /* one record of more than that, or more records than that, is bulk */
    IO_SPIN_BULK_WAITS = 255 /* so long after bulk there is none */
};

struct io_spin {
    bool rationed;
    uint8_t short_waits, bulk_waits;
    time_ns began; /* of the present wait; 0: not measured */
};

void io_spin_init(struct io_spin *s);

/* Before a wait that may block, until `deadline`. Until when to look for work first; 0: not at all. */
time_ns io_spin_begin(struct io_spin *s, time_ns deadline);
/* Between two looks. False: it is time to sleep. */
bool io_spin_again(time_ns until);
/* When the wait is over; `out` is what it brought. */
void io_spin_end(struct io_spin *s, const struct io_rx *out, unsigned n);

#endif
