/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/io_spin.h"

#include <sched.h>

#include "platform/clock.h"
#include "platform/linux/cpu_quota.h"

void io_spin_init(struct io_spin *s)
{
    *s = (struct io_spin){.rationed = cpu_quota("/proc/self/cgroup", "/proc/self/mountinfo") != 0};
}

time_ns io_spin_begin(struct io_spin *s, time_ns deadline)
{
    s->began = 0;
    if (s->rationed || s->bulk_waits > 0)
        return 0;
    s->began = clock_now();
    if (s->short_waits < IO_SPIN_SHORT_WAITS)
        return 0;
    return time_min(s->began + IO_SPIN_NS, deadline);
}

bool io_spin_again(time_ns until)
{
    sched_yield();
    return clock_now() < until;
}

static bool is_bulk(const struct io_rx *out, unsigned n)
{
    bool bulk = n > IO_SPIN_BULK_RECORDS;
    for (unsigned i = 0; i < n && !bulk; i++)
        bulk = out[i].len > IO_SPIN_BULK_BYTES;
    return bulk;
}

void io_spin_end(struct io_spin *s, const struct io_rx *out, unsigned n)
{
    if (is_bulk(out, n))
        s->bulk_waits = IO_SPIN_BULK_WAITS;
    else if (s->bulk_waits > 0)
        s->bulk_waits--;
    if (s->began == 0)
        return;
    if (time_since(clock_now(), s->began) > IO_SPIN_SHORT_NS)
        s->short_waits = 0;
    else if (s->short_waits < IO_SPIN_SHORT_WAITS)
        s->short_waits++;
    s->began = 0;
}
