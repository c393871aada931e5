/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One query to one DNS server outside the tunnel, by plain UDP or TCP: a socket of its own, so that the kernel chooses a new random port,
 * and the bytes of the query as they are. What does not come from the server, or does not answer the query (reply.h), is not
 * seen. Control role.
 *
 * DEVIATE: upstream sends a UDP query once; here it is repeated after DO53_REPEAT_MS, as one lost datagram would cost the asker
 * a time-out of his own. Truncated answers are passed on.
 * Source: spec/tunnel.md 7.6, spec/platform.md 5.7.
 */
#ifndef FZ_CONTROL_DNS_DO53_H
#define FZ_CONTROL_DNS_DO53_H

#include <stddef.h>
#include <stdint.h>

#include "control/dns/message.h"
#include "control/dns/server.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    DO53_TOTAL_MS = 5000,
    DO53_REPEAT_MS = 1000
};

struct do53;

struct do53_request {
    const struct sock_addr *server;
    enum dns_transport transport;
    const uint8_t *query; /* reply_is_query; copied */
    size_t len;
};

/*
 * Called once, from the loop and never from do53_start, unless the query is cancelled; it is gone then. answer: with ERR_OK; valid for the
 * call. ERR_TIMEOUT; otherwise the server cannot be reached or has closed the connection.
 */
typedef void (*do53_done)(void *arg, enum err err, const uint8_t *answer, size_t len);

/*
 * egress: as dns_socket_open; borrowed. An error other than ERR_OK ends the matter at once: `done` is not called. ERR_PERMISSION: the
 * socket cannot be kept out of the tunnel, trying again is of no use.
 */
enum err do53_start(struct do53 **out, struct loop *l, const struct egress *egress,
                    const struct do53_request *r, do53_done done, void *arg) MUST_USE;
/* `done` is not called. NULL: nothing. */
void do53_cancel(struct do53 *q);

#endif
