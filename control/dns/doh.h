/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries to one DoH server, by its URL: over one connection (doh_link.h), which is made at once, again when a query needs it, and
 * anew after DOH_REQUESTS_MAX queries or when it has fallen silent; then the old one goes when its queries have ended.
 *
 * A query waits while the connection is made, DOH_TOTAL_MS in all; when a connection ends, its queries are asked once more. After a
 * connection that did not come about, or ended without an answer, queries fail at once for a while, which grows from
 * DOH_REST_MIN_MS to DOH_REST_MAX_MS.
 *
 * DEVIATE: upstream lets a query fail that finds no connection, and one whose connection ends.
 * Control role. Source: spec/tunnel.md 7.6; RFC 8484.
 */
#ifndef FZ_CONTROL_DNS_DOH_H
#define FZ_CONTROL_DNS_DOH_H

#include <stddef.h>
#include <stdint.h>

#include "control/lws_loop.h"
#include "control/names.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    DOH_TOTAL_MS = 5000,
    DOH_REST_MIN_MS = 500,
    DOH_REST_MAX_MS = 8000,
    DOH_REQUESTS_MAX = 500,
    DOH_QUERY_MAX = 2048
};

struct doh;
struct doh_query;

/* All is borrowed; `lws` is of doh_link_lws. */
struct doh_config {
    struct loop *loop;
    struct lws_loop *lws;
    const struct egress *egress;
    struct names *names;
};

/*
 * Called once, from the loop and never from doh_ask, unless the query is cancelled; it is gone then. answer: with ERR_OK, with the
 * id of the query; valid for the call. ERR_TIMEOUT; ERR_PARSE: the server's answer is none; otherwise it cannot be reached, ERR_PERMISSION
 * as of dial.h. It may ask and cancel.
 */
typedef void (*doh_done)(void *arg, enum err err, const uint8_t *answer, size_t len);

/* The connection begins when the loop runs. ERR_INVALID: `why` says what is wrong with the URL, in one phrase. */
enum err doh_new(struct doh **out, const struct doh_config *c, const char *url, char *why,
                 unsigned why_size) MUST_USE;
/* Drops all queries. Not from `done`. NULL: nothing. */
void doh_free(struct doh *d);

const char *doh_url(const struct doh *d);

/*
 * query: reply_is_query; copied. ERR_NO_SPACE: longer than DOH_QUERY_MAX. ERR_UNREACHABLE: the server could not be reached a
 * moment ago. `done` is not called then.
 */
enum err doh_ask(struct doh *d, struct doh_query **out, const uint8_t *query, size_t len,
                 doh_done done, void *arg) MUST_USE;
/* `done` is not called. NULL: nothing. */
void doh_cancel(struct doh_query *q);

/* The network has changed: a new connection at once. No query may be under way. Not from `done`. */
void doh_roam(struct doh *d);

#endif
