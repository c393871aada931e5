/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of l3_tcp, for its three parts: the stack and its settling (l3_tcp.c), server and client.
 *
 * Streams that changed are listed, and settled when lwIP is through. What is done then may change others, which are settled in turn by
 * the same loop: nothing is entered twice.
 *
 * lwIP's interfaces stand for the host and the tunnel. Each takes on the address of the packet that comes in, as it is decided here
 * what is for us.
 */
#ifndef FZ_CONTROL_DNS_L3_TCP_PRIVATE_H
#define FZ_CONTROL_DNS_L3_TCP_PRIVATE_H

#include "control/dns/l3_packet.h"
#include "control/dns/l3_stream.h"
#include "control/dns/l3_tcp.h"

#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>

enum l3_owner {
    L3_OF_CLIENT, /* struct l3_client */
    L3_OF_REMOTE  /* struct l3_remote */
};

/* What is settled: the head of both kinds of connections. */
struct l3_conn {
    struct l3_stream stream;
    uint8_t owner; /* enum l3_owner */
    bool used;
    bool listed;
    struct l3_conn *next; /* of those to be settled */
    time_ns active;       /* the last time that something happened */
};

/* A connection of the server. */
struct l3_client {
    struct l3_conn conn;
    struct ip_addr sentinel;
    uint32_t generation; /* of its place: tells a client from those before */
    unsigned waiting;    /* queries that have no answer yet */
};

/* A query of l3_tcp_ask. */
struct l3_ask {
    struct l3_ask *next; /* of its connection's */
    uint64_t id;
    uint16_t wire, message; /* its id on the way, and its own */
    bool late;              /* reported; only its answer is still expected */
    bool retried;
    time_ns deadline;
    struct l3_question question;
    uint32_t len;
    uint8_t query[];
};

/* A connection of the client. */
struct l3_remote {
    struct l3_conn conn;
    struct sock_addr server, own;
    struct l3_ask *asks, **asks_end;
    unsigned waiting; /* those that are not late */
    bool answered;    /* there was an answer: the server is one */
    bool spent;       /* it gets no more queries */
};

/* The port of one that has ended. */
struct l3_closed {
    struct sock_addr server, own; /* family ADDR_NONE: free */
    time_ns until;
};

struct l3_tcp {
    const struct l3_tcp_events *events;
    void *arg;
    struct l3_random random;
    time_ns now, tick; /* tick: when lwIP's timers are due */
    struct netif host, tunnel;
    struct tcp_pcb *listener;
    bool mute; /* no packets go out */
    bool settling;
    struct l3_conn *changed, **changed_end;
    struct l3_tcp_counters counters;

    struct ip_addr sentinels[L3_TCP_SENTINELS_MAX];
    unsigned sentinels_n;
    struct l3_client clients[L3_TCP_CLIENTS_MAX + 1]; /* one more, until another is closed */
    unsigned clients_n;
    uint32_t out_len; /* of all answers that wait */

    struct l3_remote remotes[L3_TCP_SERVERS_MAX];
    struct l3_closed closed[L3_TCP_CLOSED_MAX];
    unsigned asks_n;
};

/* ---- l3_tcp.c ---- */

void l3_tcp_changed(void *arg, struct l3_stream *s);
/* Settles everything that has changed; at the end of every function of the interface. */
void l3_tcp_settle(struct l3_tcp *t);
/* To be called first by every function of the interface that is told the time. */
void l3_tcp_at(struct l3_tcp *t, time_ns now);
/* A packet for lwIP, which is for us. */
void l3_tcp_give(struct l3_tcp *t, struct netif *from, const struct ip_view *v,
                 const uint8_t *packet);
void l3_to_lwip(ip_addr_t *out, const struct ip_addr *a);
void l3_from_lwip(struct ip_addr *out, const ip_addr_t *a);

/* ---- l3_tcp_server.c ---- */

enum err l3_server_init(struct l3_tcp *t);
void l3_server_settle(struct l3_tcp *t, struct l3_client *c);
void l3_server_tick(struct l3_tcp *t);
void l3_server_fini(struct l3_tcp *t);

/* ---- l3_tcp_client.c ---- */

void l3_client_settle(struct l3_tcp *t, struct l3_remote *r);
void l3_client_tick(struct l3_tcp *t);
void l3_client_fini(struct l3_tcp *t);
time_ns l3_client_poll_timeout(const struct l3_tcp *t);

#endif
