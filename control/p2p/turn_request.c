/* SPDX-License-Identifier: Apache-2.0 */
/* See turn_request.h. */
#include "control/p2p/turn_request.h"

#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    ATTEMPT_BITS = TURN_ATTEMPTS - 1
};

/* Between an attempt and the next one, or the end. */
static const time_ns INTERVALS[TURN_ATTEMPTS] = {
    1000 * NS_PER_MS,
    1500 * NS_PER_MS,
    2250 * NS_PER_MS,
    3375 * NS_PER_MS,
};

void turn_request_begin(struct turn_request *r, time_ns now, enum stun_method method,
                        uint8_t server, uint8_t attempts_max, const struct stun_id *id)
{
    ASSERT(attempts_max >= 1 && attempts_max <= TURN_ATTEMPTS);
    *r = (struct turn_request){.method = (uint16_t)method,
                               .server = server,
                               .attempts_max = attempts_max,
                               .id = *id,
                               .first_at = now};
    r->id.bytes[STUN_ID_LEN - 1] &= (uint8_t)~ATTEMPT_BITS;
    (void)turn_request_again(r, now);
}

bool turn_request_again(struct turn_request *r, time_ns now)
{
    if (r->attempts == r->attempts_max)
        return false;
    r->next_at = now + INTERVALS[r->attempts++];
    r->queued = true;
    return true;
}

struct stun_id turn_request_id(const struct turn_request *r)
{
    struct stun_id id = r->id;

    if (r->method != STUN_BINDING)
        id.bytes[STUN_ID_LEN - 1] |= (uint8_t)(r->attempts - 1);
    return id;
}

bool turn_request_owns(const struct turn_request *r, const struct stun_id *id, unsigned *attempt)
{
    struct stun_id first = *id;

    if (!turn_request_in_flight(r))
        return false;
    *attempt = id->bytes[STUN_ID_LEN - 1] & ATTEMPT_BITS;
    first.bytes[STUN_ID_LEN - 1] &= (uint8_t)~ATTEMPT_BITS;
    return stun_id_equal(&first, &r->id) &&
           *attempt < (r->method == STUN_BINDING ? 1 : r->attempts);
}
