/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries to upstream resolvers outside the tunnel: by Do53 (do53.h), a socket per query, or by DoH (doh.h), a connection per
 * URL. All sockets are kept out of the tunnel. Answers come back with the id of the query, unchanged otherwise; a truncated one
 * is the client's business. Control role. Source: spec/tunnel.md 7.6.
 */
#ifndef FZ_CONTROL_DNS_UPSTREAM_H
#define FZ_CONTROL_DNS_UPSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "control/dns/server.h"
#include "control/names.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    DNS_ASKER_MAX = 1000 /* queries under way */
};

struct dns_asker;

/* All is borrowed until dns_asker_free. */
struct dns_asker_config {
    struct loop *loop;
    const struct egress *egress; /* of all sockets; NULL: none */
    struct names *names;         /* for the hosts of DoH; NULL: there is none */
    const char *ca_file; /* beside the system's store; NULL: none. Checked before (ca_file.h) */
};

/*
 * Called once for each query that dns_asker_ask has taken, from the loop and never from a call of this module, unless the query is
 * cancelled or dropped. answer: with ERR_OK; valid for the call. ERR_TIMEOUT: 5 s are over. ERR_PERMISSION: sockets cannot be
 * kept out of the tunnel. All else: the server cannot be asked. It may ask and cancel, but not set, roam or free.
 */
typedef void (*dns_asked)(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len);

enum err dns_asker_new(struct dns_asker **out, const struct dns_asker_config *c, dns_asked done,
                       void *arg) MUST_USE;
/* Drops all queries and closes everything. NULL: nothing. */
void dns_asker_free(struct dns_asker *a);

/*
 * The upstreams of now: DoH connections are set up at once, those of URLs that are not listed any more close, and queries to them
 * are dropped.
 */
void dns_asker_set(struct dns_asker *a, const struct dns_upstream *upstreams, unsigned n);

/*
 * query: copied. id: of no query that is under way. On failure `done` is not called: ERR_PARSE, no query with one question;
 * ERR_FULL; ERR_NOT_FOUND, a URL that was not set, or is none; what do53_start and doh_ask say.
 */
enum err dns_asker_ask(struct dns_asker *a, uint64_t id, const struct dns_upstream *u,
                       enum dns_transport t, const uint8_t *query, size_t len) MUST_USE;
/* No-op without such a query. */
void dns_asker_cancel(struct dns_asker *a, uint64_t id);

/* The network has changed: all queries are dropped without a word, DoH connections are made anew. */
void dns_asker_roam(struct dns_asker *a);

#endif
