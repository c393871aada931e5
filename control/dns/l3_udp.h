/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks DNS servers that are reached through the tunnel, by UDP: a query becomes one IP packet from a port of its own, which is
 * watched from then on. What the server's answer is comes from its address to this port with the query's id and question; the
 * first one counts. There are no retries: whoever asks by UDP has his own.
 *
 * A query that was not answered in time stays known for as long again, so that its port is ours and a late answer does not get to
 * the host. Of L3_UDP_MAX the oldest such one makes room for another.
 *
 *     ask -> PENDING --answer, ICMP error--> free
 *               | L3_UDP_TIMEOUT_NS
 *               v
 *             LATE --L3_UDP_TIMEOUT_NS--> free
 *
 * No event comes from within l3_udp_ask but `packet` and `watch`. Sans-IO; control role. Source: spec/tunnel.md 7.7.
 */
#ifndef FZ_CONTROL_DNS_L3_UDP_H
#define FZ_CONTROL_DNS_L3_UDP_H

#include "control/dns/l3_message.h"
#include "platform/base/addr.h"
#include "platform/base/time.h"

#define L3_UDP_TIMEOUT_NS (10 * NS_PER_SEC)

enum {
    L3_UDP_MAX = 1024
};

struct l3_udp_events {
    /* Into the tunnel. */
    void (*packet)(void *arg, const uint8_t *packet, uint32_t len);
    /* Packets of the tunnel to this port, and ICMP errors about those from it, are to be given to l3_udp_input, or not any more. */
    void (*watch)(void *arg, uint16_t port, bool on);
    /*
     * How l3_udp_ask ended. ERR_OK: with this answer. ERR_TIMEOUT; ERR_UNREACHABLE: an ICMP error; ERR_CLOSED: l3_udp_reset.
     * May ask again.
     */
    void (*asked)(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len);
};

enum l3_udp_phase {
    L3_UDP_FREE,
    L3_UDP_PENDING,
    L3_UDP_LATE
};

struct l3_udp_query {
    uint8_t phase;          /* enum l3_udp_phase */
    uint16_t older, newer;  /* of the list of all that are not free; L3_UDP_MAX: none */
    uint16_t port, message; /* ours; its id */
    struct ip_addr own;
    struct sock_addr server;
    struct l3_question question;
    uint64_t id; /* the asker's */
    time_ns deadline;
};

struct l3_udp_counters {
    uint64_t asked, answered;
    uint64_t timed_out, unreachable; /* reported as such */
    uint64_t full;                   /* not taken: L3_UDP_MAX wait for their answers */
    uint64_t late, mismatched;       /* packets that are no answer, and were dropped */
};

/* About 130 KiB. */
struct l3_udp {
    const struct l3_udp_events *events;
    void *arg;
    struct l3_random random;
    struct l3_udp_query queries[L3_UDP_MAX];
    uint16_t oldest, newest, free; /* free: the first of them, `newer` is the next */
    struct l3_udp_counters counters;
};

/* seed: random, secret. */
void l3_udp_init(struct l3_udp *u, const uint8_t seed[L3_SEED_LEN],
                 const struct l3_udp_events *events, void *arg);

/*
 * own: our address in the tunnel, of the server's family. ERR_INVALID: it is of the other one, or the query is shorter than a
 * header or does not fit into a packet. ERR_FULL: too many wait for their answers. Else `asked` says how it ends.
 */
enum err l3_udp_ask(struct l3_udp *u, uint64_t id, const struct sock_addr *server,
                    const struct ip_addr *own, const uint8_t *query, size_t len,
                    time_ns now) MUST_USE;

/* A packet of the tunnel. True: it was about one of our ports. */
bool l3_udp_input(struct l3_udp *u, const uint8_t *packet, size_t len);

/* All that wait end with ERR_CLOSED, and nothing is watched. */
void l3_udp_reset(struct l3_udp *u);

/* When l3_udp_handle_timeout is due; TIME_NEVER. */
time_ns l3_udp_poll_timeout(const struct l3_udp *u);
void l3_udp_handle_timeout(struct l3_udp *u, time_ns now);

#endif
