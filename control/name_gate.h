/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a gateway knows which proxy addresses a client has given to a name: the client says so (AssignedIps), the gateway
 * looks the name up and answers (DomainStatus). Until it has answered the first time, packets to these addresses are held.
 *
 *                assign: send            status: active
 *     UNKNOWN ------------------> ASKED ----------------> KNOWN
 *                                 |   ^ \                   |
 *                    no answer:   +---+  \ status: else     | assign: send, without holding packets
 *                    send again           v                 |
 *                                       REFUSED ------------+--> ASKED
 *
 * One per gateway, name and resource. DEVIATE: what is not answered is repeated by time, not by the next packet only, and a
 * gateway is not told of the same name more often than every 2 s. Pure; control role. Source: spec/tunnel.md 6.3.
 */
#ifndef FZ_CONTROL_NAME_GATE_H
#define FZ_CONTROL_NAME_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/err.h"
#include "platform/base/time.h"

#define NAME_GATE_AGAIN_NS (2 * NS_PER_SEC)

enum {
    NAME_GATE_DOUBLINGS = 4 /* of the time between two repetitions */
};

enum name_gate_state {
    NAME_GATE_UNKNOWN,
    NAME_GATE_ASKED,
    NAME_GATE_KNOWN,
    NAME_GATE_REFUSED
};

/* Zeroed memory is UNKNOWN. */
struct name_gate {
    uint8_t state; /* enum name_gate_state */
    bool holds;    /* packets wait */
    uint8_t tries; /* since the last answer */
    time_ns sent_at;
};

/*
 * The resource is granted, or the name was asked for and answered: the gateway shall (still) know it. True: AssignedIps is to be
 * sent now, and name_gate_sent called. Also when nothing could be sent before.
 */
bool name_gate_assign(struct name_gate *g, time_ns now) MUST_USE;
/* AssignedIps has been given to the tunnel. */
void name_gate_sent(struct name_gate *g, time_ns now);
/* The gateway's answer. */
void name_gate_status(struct name_gate *g, bool active);
/* The connection is over, or the resource is not granted any more. */
void name_gate_reset(struct name_gate *g);

/* When to send again although nobody asks; TIME_NEVER: not at all. */
time_ns name_gate_poll_timeout(const struct name_gate *g);

#endif
