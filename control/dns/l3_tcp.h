/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS over TCP where there are no sockets, with packets in and packets out:
 *
 *     host   <--packets-->  server on the sentinel addresses, port 53  --query--> owner --l3_tcp_answer-->
 *     tunnel <--packets-->  client, a connection for each server       <--l3_tcp_ask-- owner <--asked--
 *
 * Server: a connection carries many queries at a time, whose answers may come in any order. It is closed when it has been idle, and
 * the one that has been so for longest when there are too many; it is reset for what cannot be a query. Neither more queries nor
 * more answers than a bound wait for a connection: then no more is read from it, or it is reset.
 *
 * Client: queries get ids of their own on the way. What is no answer to one of them, or an ICMP error about it, ends a connection and
 * all its queries. So does the server when it closes it, but where it had answered before they are asked once more. A query that is not
 * answered in time ends alone; its connection gets no more.
 *
 * It stands on lwIP, of whose state a process has one only: so there is one l3_tcp at a time.
 *
 * Sans-IO; control role. `now` never goes back. l3_tcp_handle_timeout runs when l3_tcp_poll_timeout says so, which is to be asked after
 * every call: every 250 ms while there are connections. `to_host` and `to_tunnel` must not call back in; the other events may call everything but
 * the functions that take packets, handle_timeout and free.
 * Source: RFC 7766, 9293; spec/tunnel.md 7.2, 7.7. Other than upstream's client, which ends all queries of a connection when one of them
 * was not answered in time, and asks nothing twice.
 */
#ifndef FZ_CONTROL_DNS_L3_TCP_H
#define FZ_CONTROL_DNS_L3_TCP_H

#include "control/dns/l3_message.h"
#include "platform/base/addr.h"
#include "platform/base/time.h"

#define L3_TCP_SERVE_IDLE_NS (30 * NS_PER_SEC) /* the server's connections, without a query */
#define L3_TCP_SERVE_HUNG_NS (60 * NS_PER_SEC) /* and with one that gets no answer */
#define L3_TCP_TIMEOUT_NS    (10 * NS_PER_SEC) /* a query of l3_tcp_ask */
#define L3_TCP_IDLE_NS       (10 * NS_PER_SEC) /* the client's connections, without a query */
#define L3_TCP_CLOSED_NS     (30 * NS_PER_SEC) /* the port of one that has ended is still watched */

enum {
    L3_TCP_CLIENTS_MAX = 256, /* connections of the server */
    L3_TCP_PIPELINE_MAX = 64, /* queries of one that wait for answers */
    L3_TCP_SENTINELS_MAX = 64,
    L3_TCP_SERVERS_MAX = 32, /* connections of the client */
    L3_TCP_CLOSED_MAX = 32,
    L3_TCP_ASKS_MAX =
        1024 /* queries of l3_tcp_ask, those included that were too late and may be answered yet */
};

struct l3_tcp_events {
    /* IP packets of at most 1280 bytes: from a sentinel; into the tunnel. */
    void (*to_host)(void *arg, const uint8_t *packet, uint32_t len);
    void (*to_tunnel)(void *arg, const uint8_t *packet, uint32_t len);
    /* Packets of the tunnel to this port, and ICMP errors about those from it, are for l3_tcp_from_tunnel, or not any more. */
    void (*watch)(void *arg, uint16_t port, bool on);
    /* A message of at least L3_MESSAGE_MIN bytes. Each is ended by l3_tcp_answer or l3_tcp_refuse. */
    void (*query)(void *arg, uint64_t client, const struct ip_addr *sentinel, const uint8_t *query,
                  size_t len);
    /*
     * How l3_tcp_ask ended. ERR_OK: with this answer. ERR_TIMEOUT; ERR_UNREACHABLE: an ICMP error; ERR_CLOSED: the connection
     * ended, or l3_tcp_reset; ERR_PARSE: the server sent what is no answer.
     */
    void (*asked)(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len);
};

#define L3_TCP_COUNTERS(X)                                                                         \
    X(accepted)     /* connections of the server */                                                \
    X(queries)      /* of theirs */                                                                \
    X(answers)      /* to them */                                                                  \
    X(answers_lost) /* their connection had ended */                                               \
    X(evicted)      /* connections closed for a newer one */                                       \
    X(idle)         /* closed, nothing had happened */                                             \
    X(malformed)    /* reset for what was no query */                                              \
    X(overflowed)   /* reset for answers that it did not take */                                   \
    X(asked)        /* queries of l3_tcp_ask */                                                    \
    X(answered)                                                                                    \
    X(retried) /* once more, by another connection */                                              \
    X(timed_out)                                                                                   \
    X(unreachable)                                                                                 \
    X(closed)                                                                                      \
    X(mismatched)      /* connections that ended for what was no answer */                         \
    X(full)            /* l3_tcp_ask that were not taken */                                        \
    X(packets_bad)     /* not TCP or ICMP, or damaged */                                           \
    X(packets_stray)   /* not for us */                                                            \
    X(packets_lost)    /* there was no memory */                                                   \
    X(packets_too_big) /* that we were to send */

struct l3_tcp_counters {
#define X(name) uint64_t name;
    L3_TCP_COUNTERS(X)
#undef X
};

struct l3_tcp;

/* seed: random, secret. ERR_IN_USE: this process has one already. `why` then holds a sentence. */
enum err l3_tcp_new(struct l3_tcp **out, const uint8_t seed[L3_SEED_LEN],
                    const struct l3_tcp_events *events, void *arg, time_ns now, char *why,
                    unsigned why_size) MUST_USE;
/* Without an event. NULL is fine. */
void l3_tcp_free(struct l3_tcp *t);

/* ---- server ---- */

/* Where it is found from now on, at most L3_TCP_SENTINELS_MAX addresses. Connections to others are reset. */
void l3_tcp_set_sentinels(struct l3_tcp *t, const struct ip_addr *list, unsigned n, time_ns now);

/* A packet of the host's to a sentinel. */
void l3_tcp_from_host(struct l3_tcp *t, const uint8_t *packet, size_t len, time_ns now);

/* Ends a query. answer: at most L3_MESSAGE_MAX bytes. The client may be gone. */
void l3_tcp_answer(struct l3_tcp *t, uint64_t client, const uint8_t *answer, size_t len,
                   time_ns now);
/* The query was none: the connection is reset. */
void l3_tcp_refuse(struct l3_tcp *t, uint64_t client, time_ns now);

/* ---- client ---- */

/*
 * own: our address in the tunnel, of the server's family. ERR_INVALID: it is of the other one, or the query is no message.
 * ERR_FULL: too many servers or queries. Else `asked` says how it ends, but not from within.
 */
enum err l3_tcp_ask(struct l3_tcp *t, uint64_t id, const struct sock_addr *server,
                    const struct ip_addr *own, const uint8_t *query, size_t len,
                    time_ns now) MUST_USE;

/* A packet of the tunnel's. True: it was about one of our ports. */
bool l3_tcp_from_tunnel(struct l3_tcp *t, const uint8_t *packet, size_t len, time_ns now);

/* All queries of l3_tcp_ask end with ERR_CLOSED, their connections are reset and nothing is watched. The server is not concerned. */
void l3_tcp_reset(struct l3_tcp *t, time_ns now);

/* ---- both ---- */

time_ns l3_tcp_poll_timeout(const struct l3_tcp *t);
void l3_tcp_handle_timeout(struct l3_tcp *t, time_ns now);

const struct l3_tcp_counters *l3_tcp_counters(const struct l3_tcp *t);

#endif
