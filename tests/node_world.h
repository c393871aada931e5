/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated network for nodes: ends behind NATs or firewalls, relays, and datagrams that are lost, late and out of order as
 * a seed says. All addresses of a datagram on its way are public ones.
 */
#ifndef FZ_TESTS_NODE_WORLD_H
#define FZ_TESTS_NODE_WORLD_H

#include <stdio.h>

#include "control/p2p/node.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum nat {
    NAT_NONE,
    NAT_FULL_CONE,
    NAT_ADDRESS_RESTRICTED,
    NAT_PORT_RESTRICTED,
    NAT_SYMMETRIC, /* and port restricted */
    NAT_COUNT
};

enum {
    WORLD_ENDS = 2,
    WORLD_RELAYS = 4,
    WORLD_ALLOCATIONS = 8,
    WORLD_CHANNELS = 128,
    WORLD_MAPPINGS = 1024,
    WORLD_IN_FLIGHT = 4096,
    WORLD_PORT = 52625
};

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

struct world_allocation {
    bool used;
    struct sock_addr client;
    char user[32];
    uint16_t port;
    time_ns expires_at;
    struct {
        struct sock_addr peer;
        uint16_t number;
        time_ns bound_at;
    } channels[WORLD_CHANNELS];
    unsigned channel_count;
};

struct world_relay {
    bool up;
    struct sock_addr v4, v6;
    struct world_allocation allocations[WORLD_ALLOCATIONS];
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
    uint16_t next_relay_port;
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

/* An end sends; from: ADDR_NONE: as the system chooses. */
static inline void end_sends(struct world *w, unsigned end, const struct sock_addr *from,
                             const struct sock_addr *to, const uint8_t *bytes, size_t len)
{
    struct world_end *e = &w->ends[end], *other = &w->ends[!end];
    struct sock_addr host = end_host(e, to->ip.family), source = host;

    /* After a change of the network an old source address sends nothing. */
    if (host.ip.family == ADDR_NONE ||
        (from->ip.family != ADDR_NONE && !sock_addr_equal(from, &host)))
        return;
    if (w->blocked && !is_relay_ip(w, &to->ip))
        return;
    if (w->same_lan && sock_addr_equal(to, &other->host4)) {
        world_send(w, &host, to, bytes, len);
        return;
    }
    if (e->nat != NAT_NONE) {
        uint16_t port = nat_port(e, to);
        if (to->ip.family == ADDR_V4)
            source = (struct sock_addr){.ip = e->outside, .port = port};
    }
    world_send(w, &source, to, bytes, len);
}

/* ---- relays ---- */

static inline struct world_allocation *allocation_of(struct world_relay *r, time_ns now,
                                                     const struct sock_addr *client)
{
    for (unsigned i = 0; i < WORLD_ALLOCATIONS; i++) {
        struct world_allocation *a = &r->allocations[i];
        if (a->used && now >= a->expires_at)
            a->used = false;
        if (a->used && sock_addr_equal(&a->client, client))
            return a;
    }
    return NULL;
}

static inline struct world_allocation *allocation_of_port(struct world_relay *r, time_ns now,
                                                          uint16_t port)
{
    for (unsigned i = 0; i < WORLD_ALLOCATIONS; i++) {
        struct world_allocation *a = &r->allocations[i];
        if (a->used && a->port == port && now < a->expires_at)
            return a;
    }
    return NULL;
}

/* One for each user. */
static inline struct world_allocation *allocation_new(struct world *w, struct world_relay *r,
                                                      const struct sock_addr *client,
                                                      const char *user)
{
    struct world_allocation *unused = NULL;

    for (unsigned i = 0; i < WORLD_ALLOCATIONS; i++) {
        struct world_allocation *a = &r->allocations[i];
        if (a->used && strcmp(a->user, user) == 0)
            a->used = false;
        if (!a->used)
            unused = a;
    }
    if (!unused)
        return NULL;
    *unused = (struct world_allocation){.used = true, .client = *client};
    snprintf(unused->user, sizeof unused->user, "%s", user);
    w->next_relay_port = (uint16_t)(w->next_relay_port < 49152 ? 49152 : w->next_relay_port + 1);
    unused->port = w->next_relay_port;
    unused->expires_at = w->now + 600 * NS_PER_SEC;
    return unused;
}

/* The error of a bind; 0: none. */
static inline unsigned allocation_bind(struct world_allocation *a, time_ns now,
                                       const struct stun_message *m)
{
    for (unsigned i = 0; i < a->channel_count; i++) {
        bool same_peer = sock_addr_equal(&a->channels[i].peer, &m->peer);
        bool same_number = a->channels[i].number == m->channel;
        bool old = now - a->channels[i].bound_at >= 900 * NS_PER_SEC;
        if (same_peer && same_number) {
            a->channels[i].bound_at = now;
            return 0;
        }
        if (old && (same_peer || same_number))
            a->channels[i--] = a->channels[--a->channel_count];
        else if (same_peer || same_number)
            return 400;
    }
    if (a->channel_count == WORLD_CHANNELS)
        return 508;
    a->channels[a->channel_count].peer = m->peer;
    a->channels[a->channel_count].number = m->channel;
    a->channels[a->channel_count++].bound_at = now;
    return 0;
}

static inline unsigned relay_carries_out(struct world *w, struct world_relay *r,
                                         const struct sock_addr *client,
                                         const struct stun_message *m, const char *user,
                                         struct stun_writer *out)
{
    struct world_allocation *a = allocation_of(r, w->now, client);
    bool deletes = m->has & STUN_HAS_LIFETIME && m->lifetime_s == 0;
    struct sock_addr relayed;

    if (!!a == (m->method == STUN_ALLOCATE))
        return 437;
    switch (m->method) {
    case STUN_ALLOCATE:
        a = allocation_new(w, r, client, user);
        if (!a)
            return 508;
        relayed = (struct sock_addr){.ip = r->v4.ip, .port = a->port};
        stun_add_address(out, STUN_XOR_RELAYED_ADDRESS, &relayed);
        relayed.ip = r->v6.ip;
        stun_add_address(out, STUN_XOR_RELAYED_ADDRESS, &relayed);
        stun_add_address(out, STUN_XOR_MAPPED_ADDRESS, client);
        stun_add_u32(out, STUN_LIFETIME, 600);
        return 0;
    case STUN_REFRESH:
        a->used = !deletes;
        a->expires_at = w->now + 600 * NS_PER_SEC;
        stun_add_u32(out, STUN_LIFETIME, deletes ? 0 : 600);
        return 0;
    case STUN_CHANNEL_BIND:
        return allocation_bind(a, w->now, m);
    }
    return 400;
}

static inline void relay_asked(struct world *w, struct world_relay *r, const struct world_packet *p)
{
    struct stun_message m;
    struct stun_writer out;
    uint8_t success[512], failure[512], key[STUN_KEY_LEN];
    char user[32] = "";
    unsigned error = 401;

    if (stun_parse(&m, p->bytes, p->len) != ERR_OK || m.class != STUN_REQUEST)
        return;
    stun_begin(&out, success, sizeof success, (enum stun_method)m.method, STUN_SUCCESS, &m.id);
    if (m.method == STUN_BINDING) {
        stun_add_address(&out, STUN_XOR_MAPPED_ADDRESS, &p->from);
        world_send(w, &p->to, &p->from, success, stun_finish(&out));
        return;
    }
    if (m.username.len >= sizeof user || !m.username.bytes)
        return;
    memcpy(user, m.username.bytes, m.username.len);
    stun_turn_key(key, user, "firezone", user); /* the password is the name */
    ASSERT(stun_integrity_ok(&m, key, sizeof key));
    if (m.nonce.bytes)
        error = relay_carries_out(w, r, &p->from, &m, user, &out);
    if (error) {
        stun_begin(&out, failure, sizeof failure, (enum stun_method)m.method, STUN_ERROR, &m.id);
        stun_add_error(&out, error, "because");
        if (error == 401) {
            stun_add_text(&out, STUN_REALM, "firezone");
            stun_add_text(&out, STUN_NONCE, "nonce");
        }
    }
    stun_add_integrity(&out, key, sizeof key);
    ASSERT(stun_finish(&out) > 0);
    world_send(w, &p->to, &p->from, error ? failure : success, stun_finish(&out));
}

static inline void relay_from_client(struct world *w, struct world_relay *r,
                                     const struct world_packet *p)
{
    uint16_t number = channel_parse(p->bytes, p->len);
    struct world_allocation *a;

    if (number == 0) {
        relay_asked(w, r, p);
        return;
    }
    a = allocation_of(r, w->now, &p->from);
    for (unsigned i = 0; a && i < a->channel_count; i++) {
        const struct sock_addr *peer = &a->channels[i].peer;
        struct sock_addr from = {.ip = peer->ip.family == ADDR_V4 ? r->v4.ip : r->v6.ip,
                                 .port = a->port};
        if (a->channels[i].number == number && w->now - a->channels[i].bound_at < 600 * NS_PER_SEC)
            world_send(w, &from, peer, p->bytes + CHANNEL_HEADER_LEN, p->len - CHANNEL_HEADER_LEN);
    }
}

static inline void relay_from_peer(struct world *w, struct world_relay *r,
                                   const struct world_packet *p)
{
    struct world_allocation *a = allocation_of_port(r, w->now, p->to.port);
    uint8_t bytes[NODE_DATAGRAM_MAX + CHANNEL_HEADER_LEN];

    for (unsigned i = 0; a && i < a->channel_count; i++) {
        if (!sock_addr_equal(&a->channels[i].peer, &p->from) ||
            w->now - a->channels[i].bound_at >= 600 * NS_PER_SEC)
            continue;
        channel_write(bytes, a->channels[i].number, p->len);
        memcpy(bytes + CHANNEL_HEADER_LEN, p->bytes, p->len);
        world_send(w, a->client.ip.family == ADDR_V4 ? &r->v4 : &r->v6, &a->client, bytes,
                   p->len + (size_t)CHANNEL_HEADER_LEN);
        return;
    }
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
        if (relay && relay->up && out->to.port == NODE_RELAY_PORT)
            relay_from_client(w, relay, out);
        else if (relay && relay->up)
            relay_from_peer(w, relay, out);
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
    char text[32];

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
