/* SPDX-License-Identifier: Apache-2.0 */
/* The state of gateway_dns.h, shared by its files: gateway_dns.c (queries, resolvers, UDP) and gateway_dns_tcp.c. Control role. */
#ifndef FZ_CONTROL_GATEWAY_DNS_PRIVATE_H
#define FZ_CONTROL_GATEWAY_DNS_PRIVATE_H

#include <stdbool.h>

#include "control/dns/reply.h"
#include "control/dns/upstream.h"
#include "control/gateway_dns.h"
#include "control/gateway_dns_query.h"

struct listener {
    struct gateway_dns *d;
    int fd; /* -1: none */
};

/* One that a resolver has been asked. */
struct query {
    uint64_t id;           /* its place is its last digits */
    struct stream *stream; /* NULL: by UDP */
    int fd;                /* of UDP */
    struct sock_addr client;
    struct gateway_dns_reply reply; /* if the resolvers fail */
    uint8_t *bytes;
    size_t len;
    unsigned resolver, tries;
};

struct resolver {
    struct dns_upstream upstream;
    time_ns failed_at; /* TIME_NEVER: has answered since, or was not asked */
};

/* A connection. What it reads stops while it has enough queries, or does not take its answers. */
struct stream {
    struct stream *next, **link;
    struct gateway_dns *d;
    int fd;
    struct sock_addr client;
    struct reply_stream in;
    uint8_t *out; /* NULL: nothing is to be sent */
    size_t out_len, out_sent;
    unsigned queries;
    bool eof; /* the client says nothing more */
    struct loop_timer idle;
};

struct gateway_dns {
    struct loop *loop;
    const char *device;
    struct dns_asker *asker;
    struct listener udp[2], tcp[2];
    struct resolver resolvers[RESOLVERS_MAX];
    unsigned resolvers_n;
    struct query *queries[GATEWAY_DNS_QUERIES_MAX]; /* NULL: free */
    unsigned queries_n;
    uint64_t serial;
    struct stream *streams;
    unsigned streams_n;
    struct gateway_dns_counts counts;
    uint8_t buffer[GATEWAY_DNS_UDP_QUERY_MAX];
};

/*
 * A query has come; stream: NULL, by UDP on `fd`. It is answered at once, by a call of gateway_dns_stream_answer perhaps, or later.
 * False: it is none, or there are too many.
 */
bool gateway_dns_query(struct gateway_dns *d, struct stream *stream, int fd,
                       const struct sock_addr *client, const uint8_t *bytes, size_t len);
/* The stream is gone: so are its queries. */
void gateway_dns_forget(struct gateway_dns *d, const struct stream *stream);

/* A connection waits. arg: the listener. */
void gateway_dns_accept(void *arg, unsigned events);
/* May close the stream, but not before the caller's next turn of the loop. */
void gateway_dns_stream_answer(struct stream *s, const uint8_t *bytes, size_t len);
void gateway_dns_streams_close(struct gateway_dns *d);

#endif
