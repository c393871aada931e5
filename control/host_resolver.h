/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses as this host resolves them: c-ares on the control thread's loop, with what resolv.conf says of servers, search
 * domains and time-outs, the hosts file first, aliases followed, from sockets that stay out of the tunnel (egress.h). A family that fails
 * has no address. resolv.conf is looked at before each question, so that a change counts at once. Control role.
 * Source: spec/tunnel.md 8.6.
 */
#ifndef FZ_CONTROL_HOST_RESOLVER_H
#define FZ_CONTROL_HOST_RESOLVER_H

#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    HOST_ADDRS_MAX = 64 /* of one answer; more are left out */
};

enum host_outcome {
    HOST_ADDRESSES,
    HOST_NO_ADDRESSES, /* no such name, or the servers have failed */
    HOST_SILENT,       /* no server has answered */
    HOST_GIVEN_UP /* host_resolver_restart or host_resolver_free: whoever asked may ask again */
};

struct host_answer {
    enum host_outcome outcome;
    uint32_t ttl_s; /* as long as all of it holds; 0: it is not to be kept */
    unsigned n;
    struct ip_addr addrs[HOST_ADDRS_MAX]; /* as they came */
};

/* Called once for each question, perhaps before host_resolver_ask returns. May not call the resolver. */
typedef void (*host_answered)(void *arg, const struct host_answer *answer);

struct host_resolver;

/*
 * egress: of every socket; borrowed; NULL: none. The paths are borrowed; NULL: those of the system. On failure c-ares
 * refuses, and `why` is a short phrase.
 */
enum err host_resolver_new(struct host_resolver **out, struct loop *l, const struct egress *egress,
                           const char *resolv_conf, const char *hosts, char *why,
                           unsigned why_size) MUST_USE;
/* NULL: nothing. */
void host_resolver_free(struct host_resolver *r);

/* The network has changed, or resolv.conf: everything is read anew, and what is asked is given up. On failure all goes on as it was. */
void host_resolver_restart(struct host_resolver *r);
/* Whether resolv.conf is another one than was read. */
bool host_resolver_is_stale(const struct host_resolver *r);

void host_resolver_ask(struct host_resolver *r, const char *name, host_answered done, void *arg);

#endif
