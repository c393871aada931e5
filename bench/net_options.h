/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `fzbench net`: arguments to plain values. Touches nothing but them. */
#ifndef FZ_BENCH_NET_OPTIONS_H
#define FZ_BENCH_NET_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"
#include "platform/base/time.h"
#include "platform/linux/why.h"

enum {
    NET_IMPLS_MAX = 6,
    NET_MTUS_MAX = 8,
    NET_LINKS_MAX = 8, /* of each list */
    NET_NAME_MAX = 24,
    NET_ROUNDS_MAX = 1000,
    NET_MTU_MIN = 1280,
    NET_MTU_MAX = 1440, /* a link of 1500 bytes less IPv4, UDP and WireGuard headers */
    NET_MTU_FIREZONE = 1280,
    NET_DNS_RATE_MIN = 100,
    NET_DNS_RATE_MAX = 1000000,
    NET_DNS_RATE_GOAL = 10000 /* what the client is to answer */
};

enum net_kind {
    NET_OURS,
    NET_WIREGUARD_GO,
    NET_FIREZONE /* our client with our gateway, portal and relay */
};

/* One program that makes tunnels, and how it is to be run. */
struct net_impl {
    char name[NET_NAME_MAX]; /* in the names of rows; unique */
    enum net_kind kind;
    const char *path;  /* NULL: where it usually is */
    const char *flags; /* ours: more options, separated by spaces; or NULL */
    bool relayed;      /* Firezone: the two ends reach each other only by the relay */
    bool by_name;      /* Firezone: the resource has a name, in place of an address */
};

/* What is measured, in this order. */
#define NET_PART_LIST(X)                                                                           \
    X(TCP1, "tcp1")   /* throughput of one TCP stream, each way; CPU time and memory with it */    \
    X(TCP4, "tcp4")   /* of four streams */                                                        \
    X(UDP, "udp")     /* the highest rate of datagrams that arrives */                             \
    X(RTT, "rtt")     /* round trips, idle and beside a TCP stream */                              \
    X(CPU, "cpu")     /* CPU time at an equal rate */                                              \
    X(PACED, "paced") /* CPU time and system calls at an equal rate of datagrams */                \
    X(CALLS, "calls") /* system calls per MiB */                                                   \
    X(DNS, "dns")     /* the client's DNS service */

enum net_part {
#define X(name, text) NET_##name,
    NET_PART_LIST(X)
#undef X
    NET_PARTS
};

/* An emulated link. */
struct net_link_setting {
    time_ns rtt;   /* half of it each way */
    uint32_t loss; /* each way, in millionths */
};

struct net_options {
    bool help;
    bool paths;  /* each implementation has hosts of its own; only then is one of Firezone */
    bool behind; /* these: with one behind the gateway */
    struct net_impl impls[NET_IMPLS_MAX]; /* the first is compared with each of the others */
    size_t impls_n;
    unsigned mtus[NET_MTUS_MAX];
    size_t mtus_n;
    bool offloads[2]; /* of the link's ends */
    size_t offloads_n;
    /* Both empty: a veth pair. */
    time_ns rtts[NET_LINKS_MAX];
    uint32_t losses[NET_LINKS_MAX];
    size_t rtts_n, losses_n;
    bool parts[NET_PARTS];
    bool count_calls;                    /* they can be counted; not an option */
    bool parts_chosen;                   /* by --only: what cannot be measured is an error then */
    unsigned rounds, workers;            /* workers 0: the client's default */
    double seconds, rate_gbit, dns_rate; /* dns_rate: queries per second */
    const char *json;                    /* NULL: none */
};

/*
 * Parses the arguments, which it may reorder and which must outlive `out`. ERR_PARSE: wrong usage, `why` is one clear
 * sentence. Not reentrant (getopt).
 */
enum err net_options_parse(struct net_options *out, int argc, char **argv, struct why why) MUST_USE;

/* Static storage. */
const char *net_options_help(void);
const char *net_part_name(enum net_part part);

#endif
