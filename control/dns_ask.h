/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One name's addresses, asked of one DNS server with c-ares on the control thread's loop. Control role.
 *
 * Nothing of the system's configuration counts, neither files nor environment: c-ares gets sockets to the one server and an exact
 * name. It keeps the transaction ids, repeats what is lost, goes over to TCP for a truncated answer and reads the answers.
 */
#ifndef FZ_CONTROL_DNS_ASK_H
#define FZ_CONTROL_DNS_ASK_H

#include "control/cares_io.h"
#include "platform/base/addr.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    DNS_ASK_ADDRS_MAX = 6, /* of each family */
    /* Two attempts by UDP and one by TCP, 2 s each way, as long as upstream waits for its single ones. */
    DNS_ASK_UDP_TRIES = 2,
    DNS_ASK_UDP_TRY_MS = 1000,
    DNS_ASK_TCP_MS = 2000
};

/* In the order in which one may replace the other. */
enum dns_outcome {
    DNS_SILENT,     /* no answer */
    DNS_FAILED,     /* an answer that does not tell: dns_ask.failure */
    DNS_NO_NAME,    /* there is no such name */
    DNS_NO_ADDRESS, /* it has none of this family */
    DNS_ADDRESSES
};

struct dns_question {
    struct dns_ask *ask;
    enum dns_outcome outcome;
    bool pending;
    unsigned n;
    struct ip_addr addrs[DNS_ASK_ADDRS_MAX];
};

struct dns_ask {
    struct sock_addr server;
    struct cares_io
        io; /* its channel: NULL: nothing is asked; its err: whether the server may be asked at all */
    struct dns_question v6, v4;
    const char *failure; /* static text */
};

/* changed(arg) is called from the loop when a question may have got its outcome. It may stop the ask, and free it. */
void dns_ask_init(struct dns_ask *a, struct loop *l, const struct sock_addr *server,
                  const struct egress *egress, loop_fn changed, void *arg);
/* Sends the questions to which there is no answer yet. May end at once, without `changed`: look at the fields. */
void dns_ask_send(struct dns_ask *a, const char *host, bool tcp);
/* Closes everything; outcomes stay. `changed` is not called any more. */
void dns_ask_stop(struct dns_ask *a);

static inline bool dns_ask_pending(const struct dns_ask *a)
{
    return a->v6.pending || a->v4.pending;
}

/* True if a question is left to which the server has given no answer. */
static inline bool dns_ask_unanswered(const struct dns_ask *a)
{
    return a->v6.outcome < DNS_NO_NAME || a->v4.outcome < DNS_NO_NAME;
}

#endif
