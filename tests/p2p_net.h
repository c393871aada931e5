/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated network of two ends for tests of what finds paths: each end has a host address, perhaps an IPv6 one, behind a NAT of one of
 * five kinds, and perhaps an address on a relay. Datagrams are lost, late and out of order as a seed says.
 */
#ifndef FZ_TESTS_P2P_NET_H
#define FZ_TESTS_P2P_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

enum net_nat {
    NET_OPEN, /* no NAT */
    NET_FULL_CONE,
    NET_ADDRESS_RESTRICTED,
    NET_PORT_RESTRICTED,
    NET_SYMMETRIC, /* and port restricted */
    NET_NAT_COUNT
};

enum {
    NET_MAPPINGS_MAX = 256,
    NET_IN_FLIGHT_MAX = 2048,
    NET_DATAGRAM_MAX = 512
};

/* What a NAT knows: that datagrams went from the outside port to `to`. */
struct net_mapping {
    struct sock_addr to;
    uint16_t port;
};

struct net_end {
    enum net_nat nat;
    struct sock_addr host4, host6, relay4; /* ADDR_NONE: none */
    struct ip_addr outside;
    uint16_t port, next_port; /* of a cone; of the next symmetric mapping */
    bool relay_up;
    struct net_mapping mappings[NET_MAPPINGS_MAX];
    unsigned mapping_count;
};

struct net_packet {
    time_ns at;
    unsigned end; /* that receives it */
    struct sock_addr local, from;
    uint16_t len;
    uint8_t bytes[NET_DATAGRAM_MAX];
};

struct net {
    uint64_t seed;
    unsigned loss_percent;
    time_ns delay_min_ns, delay_max_ns;
    bool direct_up; /* else only relays are reached */
    bool same_lan;
    struct net_end ends[2];
    struct net_packet flight[NET_IN_FLIGHT_MAX];
    unsigned in_flight;
};

static inline uint64_t net_random(struct net *n)
{
    uint64_t z = (n->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline unsigned net_below(struct net *n, unsigned limit)
{
    return (unsigned)(net_random(n) % limit);
}

static inline struct sock_addr net_addr(const char *text, uint16_t port)
{
    struct sock_addr a = {.port = port};
    ASSERT(ip_addr_parse(&a.ip, text) == ERR_OK);
    return a;
}

/* The outside address of what an end sends to `to`, which its NAT remembers. */
static inline struct sock_addr net_map(struct net_end *e, const struct sock_addr *to)
{
    struct sock_addr from = {.ip = e->outside, .port = e->port};

    if (e->nat == NET_OPEN)
        return e->host4;
    for (unsigned i = 0; i < e->mapping_count; i++) {
        if (sock_addr_equal(&e->mappings[i].to, to)) {
            from.port = e->mappings[i].port;
            return from;
        }
    }
    ASSERT(e->mapping_count < NET_MAPPINGS_MAX);
    if (e->nat == NET_SYMMETRIC)
        from.port = e->next_port++;
    e->mappings[e->mapping_count++] = (struct net_mapping){.to = *to, .port = from.port};
    return from;
}

static inline bool net_admits(const struct net_end *e, uint16_t port, const struct sock_addr *from)
{
    for (unsigned i = 0; i < e->mapping_count; i++) {
        const struct net_mapping *m = &e->mappings[i];
        if (m->port != port)
            continue;
        if (e->nat == NET_FULL_CONE || sock_addr_equal(&m->to, from) ||
            (e->nat == NET_ADDRESS_RESTRICTED && ip_addr_equal(&m->to.ip, &from->ip)))
            return true;
    }
    return false;
}

/* Forgets all mappings and uses other ports. */
static inline void net_reboot_nat(struct net_end *e)
{
    e->mapping_count = 0;
    e->port = (uint16_t)(e->port + 7);
    e->next_port = (uint16_t)(e->next_port + 1000);
}

/* From a public address to one: true if it gets to an end. */
static inline bool net_route_public(struct net *n, const struct sock_addr *from,
                                    const struct sock_addr *to, bool through_relay,
                                    struct net_packet *out)
{
    for (unsigned i = 0; i < 2; i++) {
        struct net_end *e = &n->ends[i];
        *out = (struct net_packet){.end = i, .local = *to, .from = *from};
        if (sock_addr_equal(&e->relay4, to))
            return e->relay_up;
        if (e->nat == NET_OPEN && sock_addr_equal(&e->host4, to))
            return n->direct_up || through_relay;
        out->local = e->host4;
        if (e->nat != NET_OPEN && ip_addr_equal(&e->outside, &to->ip))
            return (n->direct_up || through_relay) && net_admits(e, to->port, from);
    }
    return false;
}

/* Where a datagram of an end gets to. False: nowhere. */
static inline bool net_route(struct net *n, unsigned end, const struct sock_addr *from,
                             const struct sock_addr *to, struct net_packet *out)
{
    struct net_end *e = &n->ends[end], *other = &n->ends[1 - end];
    struct sock_addr outside;

    *out = (struct net_packet){.end = 1 - end, .local = *to, .from = *from};
    if (sock_addr_equal(from, &e->relay4))
        return e->relay_up && net_route_public(n, from, to, true, out);
    if (from->ip.family == ADDR_V6)
        return n->direct_up && sock_addr_equal(to, &other->host6);
    ASSERT(sock_addr_equal(from, &e->host4));
    if (other->nat != NET_OPEN && sock_addr_equal(to, &other->host4))
        return n->direct_up && n->same_lan;
    if (to->ip.bytes[0] == 10) /* private */
        return false;
    outside = net_map(e, to);
    return net_route_public(n, &outside, to, false, out) && out->end != end;
}

static inline void net_send(struct net *n, time_ns now, unsigned end, const struct sock_addr *from,
                            const struct sock_addr *to, const uint8_t *bytes, uint16_t len)
{
    struct net_packet p;

    if (!net_route(n, end, from, to, &p) || net_below(n, 100) < n->loss_percent)
        return;
    ASSERT(n->in_flight < NET_IN_FLIGHT_MAX && len <= NET_DATAGRAM_MAX);
    p.at = now + n->delay_min_ns + net_random(n) % (n->delay_max_ns - n->delay_min_ns + 1);
    p.len = len;
    memcpy(p.bytes, bytes, len);
    n->flight[n->in_flight++] = p;
}

static inline time_ns net_poll_timeout(const struct net *n)
{
    time_ns at = TIME_NEVER;

    for (unsigned i = 0; i < n->in_flight; i++)
        at = time_min(at, n->flight[i].at);
    return at;
}

/* False: nothing (more) has arrived. */
static inline bool net_receive(struct net *n, time_ns now, struct net_packet *out)
{
    for (unsigned i = 0; i < n->in_flight; i++) {
        if (n->flight[i].at > now)
            continue;
        *out = n->flight[i];
        n->flight[i] = n->flight[--n->in_flight];
        return true;
    }
    return false;
}

#endif
