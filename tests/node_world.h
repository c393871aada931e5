/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated network for nodes: ends behind NATs or firewalls, relays (tools/fzrelay), and datagrams that are lost, late and out of order as
 * a seed says. All addresses of a datagram on its way are public ones.
 */
#ifndef FZ_TESTS_NODE_WORLD_H
#define FZ_TESTS_NODE_WORLD_H

#include <stdio.h>

#include "control/p2p/node.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"
#include "tools/fzrelay/relay.h"

enum nat {
    NAT_NONE,
    NAT_FULL_CONE,
    NAT_ADDRESS_RESTRICTED,
    NAT_PORT_RESTRICTED,
    NAT_SYMMETRIC, /* and port restricted */
    NAT_COUNT
};

#ifndef WORLD_RELAYS
#define WORLD_RELAYS 4
#endif

enum {
    WORLD_ENDS = 2,
    WORLD_MAPPINGS = 1024,
    WORLD_IN_FLIGHT = 4096,
    WORLD_PORT = 52625
};
#define WORLD_SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WORLD_UNIX   INT64_C(1785500000)

struct nat_mapping {
    struct sock_addr to;
    uint16_t port; /* outside */
};

struct world_end {
    enum nat nat;                  /* of IPv4; of IPv6 a firewall of that kind */
    struct sock_addr host4, host6; /* ADDR_NONE: none */
    struct ip_addr outside;        /* of the NAT */
    uint16_t port, next_port;
    struct nat_mapping mappings[WORLD_MAPPINGS]; /* ring */
    unsigned mapping_count;
    bool asleep;
};

struct world_relay {
    bool up;
    struct sock_addr v4, v6;
    struct relay_server *brain;
};

struct world_packet {
    time_ns at;
    struct sock_addr from, to;
    uint16_t len;
    uint8_t bytes[NODE_DATAGRAM_MAX];
};

struct world {
    uint64_t random;
    time_ns now;
    unsigned loss; /* per cent */
    time_ns delay_ns, jitter_ns;
    bool blocked; /* between the ends only relays help */
    bool same_lan;
    struct world_end ends[WORLD_ENDS];
    struct world_relay relays[WORLD_RELAYS];
    struct world_packet flight[WORLD_IN_FLIGHT];
    unsigned in_flight;
};

static inline uint64_t world_random(struct world *w)
{
    uint64_t z = (w->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline unsigned world_below(struct world *w, unsigned limit)
{
    return (unsigned)(world_random(w) % limit);
}

static inline struct sock_addr world_addr(const char *ip, uint16_t port)
{
    struct sock_addr a = {.port = port};
    ASSERT(ip_addr_parse(&a.ip, ip) == ERR_OK);
    return a;
}

/* From one public address to another, unless it is lost. */
static inline void world_send(struct world *w, const struct sock_addr *from,
                              const struct sock_addr *to, const uint8_t *bytes, size_t len)
{
    struct world_packet *p = &w->flight[w->in_flight];

    if (from->ip.family != to->ip.family || world_below(w, 100) < w->loss)
        return;
    ASSERT(w->in_flight < WORLD_IN_FLIGHT && len <= sizeof p->bytes);
    p->at = w->now + w->delay_ns + world_random(w) % (w->jitter_ns + 1);
    p->from = *from;
    p->to = *to;
    p->len = (uint16_t)len;
    memcpy(p->bytes, bytes, len);
    w->in_flight++;
}

/* ---- NATs ---- */

static inline uint16_t nat_port(struct world_end *e, const struct sock_addr *to)
{
    struct nat_mapping *m;
    unsigned known = e->mapping_count < WORLD_MAPPINGS ? e->mapping_count : WORLD_MAPPINGS;

    for (unsigned i = 0; i < known; i++) {
        if (sock_addr_equal(&e->mappings[i].to, to))
            return e->mappings[i].port;
    }
    m = &e->mappings[e->mapping_count++ % WORLD_MAPPINGS];
    m->to = *to;
    m->port = e->port;
    if (e->nat == NAT_SYMMETRIC && to->ip.family == ADDR_V4) {
        e->next_port = (uint16_t)(e->next_port < 20000 ? 20000 : e->next_port + 1);
        m->port = e->next_port;
    }
    return m->port;
}

static inline bool nat_admits(const struct world_end *e, uint16_t port,
                              const struct sock_addr *from)
{
    unsigned known = e->mapping_count < WORLD_MAPPINGS ? e->mapping_count : WORLD_MAPPINGS;

    for (unsigned i = 0; i < known; i++) {
        const struct nat_mapping *m = &e->mappings[i];
        if (m->port != port || m->to.ip.family != from->ip.family)
            continue;
        if (e->nat == NAT_FULL_CONE || sock_addr_equal(&m->to, from) ||
            (e->nat == NAT_ADDRESS_RESTRICTED && ip_addr_equal(&m->to.ip, &from->ip)))
            return true;
    }
    return false;
}

/* All mappings are forgotten; others come. */
static inline void nat_reboot(struct world_end *e)
{
    e->mapping_count = 0;
    e->port = (uint16_t)(e->port + 17);
    e->next_port = (uint16_t)(e->next_port + 501);
}

static inline struct sock_addr end_host(const struct world_end *e, uint8_t family)
{
    return family == ADDR_V4 ? e->host4 : e->host6;
}

/* The end whose public address this is, and where inside the datagram gets to; WORLD_ENDS: none. */
static inline unsigned end_of(struct world *w, const struct sock_addr *from,
                              const struct sock_addr *to, struct sock_addr *local)
{
    for (unsigned i = 0; i < WORLD_ENDS; i++) {
        struct world_end *e = &w->ends[i];
        *local = end_host(e, to->ip.family);
        if (local->ip.family == ADDR_NONE)
            continue;
        if (sock_addr_equal(local, to)) {
            bool inside = e->nat != NAT_NONE && to->ip.family == ADDR_V4;
            bool open = e->nat == NAT_NONE || (inside && w->same_lan);
            return open || (!inside && nat_admits(e, e->port, from)) ? i : WORLD_ENDS;
        }
        if (e->nat != NAT_NONE && ip_addr_equal(&e->outside, &to->ip))
            return nat_admits(e, to->port, from) ? i : WORLD_ENDS;
    }
    return WORLD_ENDS;
}

static inline bool is_relay_ip(const struct world *w, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < WORLD_RELAYS; i++) {
        if (ip_addr_equal(&w->relays[i].v4.ip, ip) || ip_addr_equal(&w->relays[i].v6.ip, ip))
            return true;
    }
    return false;
}

/* An end sends; from: ADDR_NONE: as the system chooses. False: the system refuses, as it is not the end's address. */
static inline bool end_sends(struct world *w, unsigned end, const struct sock_addr *from,
                             const struct sock_addr *to, const uint8_t *bytes, size_t len)
{
    struct world_end *e = &w->ends[end], *other = &w->ends[!end];
    struct sock_addr host = end_host(e, to->ip.family), source = host;

    if (from->ip.family != ADDR_NONE && !sock_addr_equal(from, &host))
        return false;
    if (host.ip.family == ADDR_NONE || (w->blocked && !is_relay_ip(w, &to->ip)))
        return true;
    if (w->same_lan && sock_addr_equal(to, &other->host4)) {
        world_send(w, &host, to, bytes, len);
        return true;
    }
    if (e->nat != NAT_NONE) {
        uint16_t port = nat_port(e, to);
        if (to->ip.family == ADDR_V4)
            source = (struct sock_addr){.ip = e->outside, .port = port};
    }
    world_send(w, &source, to, bytes, len);
    return true;
}

/* ---- relays ---- */

/* A datagram to one of its addresses. */
static inline void relay_receives(struct world *w, struct world_relay *r,
                                  const struct world_packet *p)
{
    int64_t unix_s = WORLD_UNIX + (int64_t)(w->now / NS_PER_SEC);
    uint8_t bytes[CHANNEL_HEADER_LEN + NODE_DATAGRAM_MAX];
    struct relay_datagram out;
    struct relay_port port;
    struct sock_addr from;
    enum relay_verdict verdict;

    relay_handle_timeout(r->brain, w->now);
    verdict =
        p->to.port == NODE_RELAY_PORT
            ? relay_handle_client(r->brain, w->now, unix_s, &p->from, p->bytes, p->len, &out)
            : relay_handle_peer(r->brain, w->now, p->to.port, &p->from, p->bytes, p->len, &out);
    while (relay_poll_port(r->brain, &port))
        continue;
    if (verdict != RELAY_REPLY && verdict != RELAY_TO_PEER && verdict != RELAY_TO_CLIENT)
        return;
    from = out.to.ip.family == ADDR_V4 ? r->v4 : r->v6;
    if (out.port != 0)
        from.port = out.port;
    ASSERT(out.header_len + out.len <= sizeof bytes);
    memcpy(bytes, out.header, out.header_len);
    memcpy(bytes + out.header_len, out.bytes, out.len);
    world_send(w, &from, &out.to, bytes, out.header_len + out.len);
}

static inline void relay_begins(struct world_relay *r, unsigned number)
{
    struct relay_config config = {.public4 = r->v4.ip,
                                  .public6 = r->v6.ip,
                                  .lowest_port = 49152,
                                  .highest_port = 49407,
                                  .channels_max = 1024,
                                  .nonces_max = 64,
                                  .stamp_secret = WORLD_SECRET,
                                  .seed = {(uint8_t)number}};
    struct relay_port port;

    relay_free(r->brain);
    ASSERT(relay_new(&r->brain, &config) == ERR_OK);
    while (relay_poll_port(r->brain, &port))
        continue;
}

/* ---- time ---- */

static inline time_ns world_due(const struct world *w)
{
    time_ns due = TIME_NEVER;

    for (unsigned i = 0; i < w->in_flight; i++)
        due = time_min(due, w->flight[i].at);
    return due;
}

/* Moves what is due at a relay on; gives what gets to an end. False: nothing (more). */
static inline bool world_receive(struct world *w, struct world_packet *out, unsigned *end,
                                 struct sock_addr *local)
{
    for (unsigned i = 0; i < w->in_flight;) {
        struct world_relay *relay = NULL;
        if (w->flight[i].at > w->now) {
            i++;
            continue;
        }
        *out = w->flight[i];
        w->flight[i] = w->flight[--w->in_flight];
        for (unsigned j = 0; j < WORLD_RELAYS; j++) {
            if (ip_addr_equal(&out->to.ip, &w->relays[j].v4.ip) ||
                ip_addr_equal(&out->to.ip, &w->relays[j].v6.ip))
                relay = &w->relays[j];
        }
        if (relay && relay->up)
            relay_receives(w, relay, out);
        if (relay)
            continue;
        *end = end_of(w, &out->from, &out->to, local);
        if (*end < WORLD_ENDS && !w->ends[*end].asleep)
            return true;
    }
    return false;
}

static inline void world_init(struct world *w, uint64_t seed)
{
    struct relay_server *brains[WORLD_RELAYS];
    char text[32];

    for (unsigned i = 0; i < WORLD_RELAYS; i++)
        brains[i] = w->relays[i].brain;
    memset(w, 0, offsetof(struct world, flight));
    w->in_flight = 0;
    w->random = seed;
    w->now = 1000 * NS_PER_SEC;
    for (unsigned i = 0; i < WORLD_RELAYS; i++) {
        w->relays[i].up = true;
        snprintf(text, sizeof text, "203.0.113.%u", i + 1);
        w->relays[i].v4 = world_addr(text, NODE_RELAY_PORT);
        snprintf(text, sizeof text, "2001:db8:1::%u", i + 1);
        w->relays[i].v6 = world_addr(text, NODE_RELAY_PORT);
        w->relays[i].brain = brains[i];
        relay_begins(&w->relays[i], i);
    }
}

/* An end moves to network number `place`. */
static inline void end_moves(struct world_end *e, unsigned end, unsigned place, bool v4, bool v6)
{
    uint8_t ip[16] = {10, (uint8_t)(1 + end), (uint8_t)place, 2};

    if (e->nat == NAT_NONE)
        ip[0] = 198, ip[1] = 51, ip[2] = (uint8_t)(100 + end), ip[3] = (uint8_t)(place + 1);
    e->host4 = e->host6 = (struct sock_addr){.port = 0};
    if (v4)
        e->host4 = (struct sock_addr){.ip = ip_addr_v4(ip), .port = WORLD_PORT};
    ip[0] = 198, ip[1] = 18, ip[2] = (uint8_t)end, ip[3] = (uint8_t)(place + 1);
    e->outside = ip_addr_v4(ip);
    memset(ip, 0, sizeof ip);
    ip[0] = 0x20, ip[1] = 1, ip[2] = 0xd, ip[3] = 0xb8;
    ip[4] = (uint8_t)(16 + end), ip[5] = (uint8_t)place, ip[15] = 2;
    if (v6)
        e->host6 = (struct sock_addr){.ip = ip_addr_v6(ip), .port = WORLD_PORT};
    e->mapping_count = 0;
    e->port = (uint16_t)(40000 + 100 * end + place);
}

#endif
