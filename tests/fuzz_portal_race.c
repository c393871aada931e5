/* SPDX-License-Identifier: Apache-2.0 */
/* The race between addresses as a script: which addresses, then failures and the passing of time in any order. */
#include <stdint.h>

#include "control/portal/race.h"
#include "platform/base/bytes.h"

static unsigned read_addrs(struct sock_addr *out, unsigned max, const uint8_t **data, size_t *size)
{
    unsigned n = 0;

    while (n<max && * size> 0 && **data != 0xff) {
        uint8_t ip[16] = {0x20, 0x01};
        ip[15] = (*data)[0] & 0x3f;
        out[n] = (struct sock_addr){.port = 443};
        out[n++].ip = (*data)[0] & 0x40 ? ip_addr_v6(ip) : ip_addr_v4(ip + 12);
        ++*data, --*size;
    }
    if (*size > 0)
        ++*data, --*size;
    return n;
}

/* Whoever comes back when told to gets on: an attempt starts, or the race is lost. */
static void check_progress(const struct race *r)
{
    struct race copy = *r;
    time_ns at = race_poll_timeout(r);
    unsigned index;

    ASSERT(at <= r->end_at);
    ASSERT(race_poll_start(&copy, at, &index) || race_lost(&copy, at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sock_addr addrs[2 * RACE_MAX];
    struct race r;
    time_ns now = NS_PER_SEC, begin = now;
    unsigned started = 0, index;

    race_init(&r, addrs, read_addrs(addrs, ARRAY_LEN(addrs), &data, &size), now);
    ASSERT(r.n <= RACE_MAX);
    for (; size > 0; data++, size--) {
        while (race_poll_start(&r, now, &index)) {
            ASSERT(index == started && started < r.n);
            ASSERT(now < begin + RACE_TIMEOUT_NS);
            started++;
        }
        check_progress(&r);
        if (*data < 0x40)
            now += (time_ns)*data * 20 * NS_PER_MS;
        else if (*data < 0x80)
            now = time_max(now, race_poll_timeout(&r));
        else if (started > 0)
            race_failed(&r, now, *data % started);
    }
    ASSERT(!race_lost(&r, now) || now >= r.end_at || started == r.n);
    return 0;
}
