/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/2 connection to a DoH server through libwebsockets, outside the tunnel, with a stream for each GET. It is up when the
 * first request leaves it, which asks for the name servers of the root, so that a server which is none is found out at once.
 *
 * A stream that is given up stays open until its response has come, or the connection ends: libwebsockets would lose track of
 * the compressed headers of a server if it did not read all of them. It resets each stream that has ended, which servers count, and
 * gives a server leave to send for each, which adds up: a connection is not for more than some thousand requests.
 *
 * DEVIATE: upstream also talks HTTP/1.1 to a server that offers no HTTP/2. There is hardly one, and RFC 8484 5.2 recommends HTTP/2 as
 * the least.
 * Control role. Source: spec/tunnel.md 7.6; RFC 8484; RFC 9113.
 */
#ifndef FZ_CONTROL_DNS_DOH_LINK_H
#define FZ_CONTROL_DNS_DOH_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "control/lws_loop.h"
#include "control/names.h"
#include "control/portal/url.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    DOH_CONNECT_MS = 4000,      /* name, TCP and TLS together */
    DOH_IDLE_S = 120,           /* then it is closed */
    DOH_LINK_STREAMS_MAX = 64,  /* at a time; no server is known to permit fewer than 100 */
    DOH_LINK_QUERY_MAX = 2048,  /* bytes of a query */
    DOH_LINK_ANSWER_MAX = 65535 /* bytes of an answer */
};

/* Where queries go; the query itself comes behind it, in base64. */
struct doh_url {
    struct url url;
    char authority[URL_HOST_MAX + 8]; /* the host, with its port unless that is 443 */
    char target[URL_PATH_MAX + 1 + sizeof "/?dns="]; /* "/dns-query?dns=" */
};

/* ERR_INVALID: not https, with a query, or a host libwebsockets cannot check the certificate for; `why` is one phrase. */
enum err doh_url_parse(struct doh_url *out, const char *text, char *why,
                       unsigned why_size) MUST_USE;

/* All is borrowed; what makes sockets as of dns_asker_config. */
struct doh_link_config {
    struct loop *loop;
    struct lws_loop *lws; /* of doh_link_lws; outlives the link */
    const struct egress *egress;
    struct names *names;
    const struct doh_url *url;
};

struct doh_link;

/* None of them may call anything of the link but doh_link_forget. */
struct doh_link_events {
    void (*up)(void *arg);
    /*
     * What has come of a request; nothing more comes of it. query: of doh_link_get, NULL: of the first request. answer: with ERR_OK, valid
     * for the call; ERR_PARSE: the response is none of DoH, which `why` says.
     */
    void (*answered)(void *arg, void *query, enum err err, const uint8_t *answer, size_t len,
                     const char *why);
    /* It has ended, or did not come about; the link is gone. ERR_PERMISSION: as of dial.h. why: one phrase. */
    void (*gone)(void *arg, enum err err, const char *why);
};

/* A context of libwebsockets for links. ca_file: trusted beside the system's store; NULL: none. ERR_IO. */
enum err doh_link_lws(struct lws_loop **out, struct loop *l, const char *ca_file) MUST_USE;

/* Nothing is called from here. */
struct doh_link *doh_link_new(const struct doh_link_config *c, const struct doh_link_events *events,
                              void *arg);
/* No event comes any more. Not from an event. NULL: nothing. */
void doh_link_free(struct doh_link *k);

/*
 * Asks for it, not from an event; only while it is up and has room. query: at most DOH_LINK_QUERY_MAX bytes. ERR_AGAIN: not now, it is
 * still writing. ERR_IO: it cannot.
 */
enum err doh_link_get(struct doh_link *k, const uint8_t *bytes, size_t len, void *query) MUST_USE;
/* Nobody waits for it any more. No-op without such a query. */
void doh_link_forget(struct doh_link *k, const void *query);

/* Streams that are open. */
unsigned doh_link_streams(const struct doh_link *k);
/* Those of them that nobody waits for, and that the server has not ended. */
unsigned doh_link_forgotten(const struct doh_link *k);

#endif
