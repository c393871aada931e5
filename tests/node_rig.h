/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the node: one node in virtual time, relays that answer everything at once unless a test says otherwise, and one
 * peer: an ICE agent with one host address, which is reached directly or through the node's relays only.
 */
#ifndef FZ_TESTS_NODE_RIG_H
#define FZ_TESTS_NODE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "control/p2p/node.h"
#include "platform/base/bytes.h"

#define MS(n)  ((time_ns)(n)*NS_PER_MS)
#define SEC(n) ((time_ns)(n)*NS_PER_SEC)
#define BEGIN  SEC(1000)

enum {
    RIG_RELAYS = 3,
    RIG_CHANNELS = 512,
    RIG_EVENTS = 256,
    RIG_ROUNDS = 2000
};

static const char LOCAL[] = "192.0.2.10:52625", PUBLIC[] = "198.51.100.9:40000";
static const char PEER[] = "192.0.2.77:52625", PEER_RELAYED[] = "203.0.113.99:50000";
static const char PASSWORD[] = "secret";

struct fake_relay {
    struct sock_addr server, relayed;
    char user[16];
    bool silent;            /* answers nothing */
    unsigned refuses_binds; /* the first so many, of which `refusals` were */
    unsigned refusals;
    unsigned refuses;    /* the code of the error by which ALLOCATE is answered; 0: none */
    bool wrong_password; /* 401 to everything */
    bool forgets;        /* it has no allocation: 437 until the next ALLOCATE */
    unsigned bindings, allocations, refreshes, deletions, binds;
    struct sock_addr channels[RIG_CHANNELS]; /* whose channel 0x4000 + i is */
};

static struct rig {
    struct node n;
    struct node_connection c;
    struct fake_relay relays[RIG_RELAYS];
    struct ice peer;
    bool has_peer, peer_deaf; /* deaf: nothing from or to it arrives */
    bool direct, peer_relayed;
    bool hold_signals;              /* candidates are not exchanged */
    struct sock_addr local, mapped; /* our address, and as relays see it */
    time_ns now;
    struct node_event events[RIG_EVENTS];
    unsigned event_count;
    struct node_transmit last; /* that is not for a relay's client */
    unsigned strange;          /* transmits to nobody known */
    unsigned refused;          /* from an address that is not ours */
} rig;

static inline struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static inline void assert_addr(const struct sock_addr *a, const char *text)
{
    char buf[SOCK_ADDR_TEXT_MAX];
    assert_string_equal(sock_addr_format(a, buf, sizeof buf), text);
}

static inline struct uuid uuid_of(unsigned number)
{
    struct uuid u = {{(uint8_t)(number >> 8), (uint8_t)number, 1}};
    return u;
}

static inline struct node_peer peer_config(unsigned number)
{
    struct node_peer p = {.id = uuid_of(number),
                          .role = ICE_CONTROLLING,
                          .kind = ICE_CLIENT,
                          .ufrag = "abcd",
                          .password = "ourpassword",
                          .remote_ufrag = "efgh",
                          .remote_password = "theirpassword"};
    p.public_key[0] = p.preshared_key[0] = 1;
    return p;
}

/* ---- relays ---- */

static inline struct fake_relay *relay_at(const struct sock_addr *server)
{
    for (unsigned i = 0; i < RIG_RELAYS; i++) {
        if (sock_addr_equal(&rig.relays[i].server, server))
            return &rig.relays[i];
    }
    return NULL;
}

static inline enum node_verdict arrives(const char *from, const void *bytes, size_t len,
                                        struct node_received *out)
{
    struct sock_addr f = addr(from);
    return node_handle_input(&rig.n, rig.now, &rig.local, &f, bytes, len, out);
}

static inline void relay_sends(const struct fake_relay *r, const void *bytes, size_t len)
{
    struct node_received out;
    (void)node_handle_input(&rig.n, rig.now, &rig.local, &r->server, bytes, len, &out);
}

static inline void relay_succeeds(struct fake_relay *r, const struct stun_message *m,
                                  struct stun_writer *w)
{
    bool deletes = m->has & STUN_HAS_LIFETIME && m->lifetime_s == 0;

    switch (m->method) {
    case STUN_BINDING:
        r->bindings++;
        stun_add_address(w, STUN_XOR_MAPPED_ADDRESS, &rig.mapped);
        break;
    case STUN_ALLOCATE:
        r->allocations++;
        memset(r->channels, 0, sizeof r->channels);
        stun_add_address(w, STUN_XOR_RELAYED_ADDRESS, &r->relayed);
        stun_add_u32(w, STUN_LIFETIME, 600);
        break;
    case STUN_REFRESH:
        *(deletes ? &r->deletions : &r->refreshes) += 1;
        stun_add_u32(w, STUN_LIFETIME, deletes ? 0 : 600);
        break;
    case STUN_CHANNEL_BIND:
        r->binds++;
        assert_true(m->channel >= CHANNEL_FIRST && m->channel < CHANNEL_FIRST + RIG_CHANNELS);
        r->channels[m->channel - CHANNEL_FIRST] = m->peer;
        break;
    }
}

static inline void relay_answers(struct fake_relay *r, const struct stun_message *m)
{
    bool first = m->method != STUN_BINDING && !m->nonce.bytes;
    unsigned error = 0;
    uint8_t buf[512], key[STUN_KEY_LEN];
    struct stun_writer w;

    if (r->silent)
        return;
    if (m->method != STUN_BINDING && (first || r->wrong_password))
        error = 401;
    else if (m->method == STUN_ALLOCATE)
        error = r->refuses, r->forgets = false;
    else if (m->method != STUN_BINDING && r->forgets)
        error = 437;
    else if (m->method == STUN_CHANNEL_BIND && r->refusals < r->refuses_binds)
        error = 508, r->refusals++;
    stun_begin(&w, buf, sizeof buf, (enum stun_method)m->method, error ? STUN_ERROR : STUN_SUCCESS,
               &m->id);
    if (error)
        stun_add_error(&w, error, "because");
    if (error == 401) {
        stun_add_text(&w, STUN_REALM, "firezone");
        stun_add_text(&w, STUN_NONCE, "nonce");
    }
    if (!error)
        relay_succeeds(r, m, &w);
    stun_turn_key(key, r->user, "firezone", PASSWORD);
    if (m->method != STUN_BINDING)
        stun_add_integrity(&w, key, sizeof key);
    assert_true(stun_finish(&w) > 0);
    relay_sends(r, buf, stun_finish(&w));
}

/* A payload from behind the relay. */
static inline enum node_verdict through_relay(const struct fake_relay *r, const char *peer,
                                              const void *bytes, size_t len,
                                              struct node_received *out)
{
    struct sock_addr from = addr(peer);
    uint8_t buf[512];

    for (uint16_t i = 0; i < RIG_CHANNELS; i++) {
        if (!sock_addr_equal(&r->channels[i], &from))
            continue;
        channel_write(buf, (uint16_t)(CHANNEL_FIRST + i), (uint16_t)len);
        memcpy(buf + CHANNEL_HEADER_LEN, bytes, len);
        return node_handle_input(&rig.n, rig.now, &rig.local, &r->server, buf,
                                 len + CHANNEL_HEADER_LEN, out);
    }
    return NODE_VERDICT_COUNT;
}

/* ---- the peer ---- */

static inline void peer_receives(const struct sock_addr *at, const struct sock_addr *from,
                                 const uint8_t *bytes, size_t len)
{
    struct stun_message m;

    if (rig.peer_deaf || stun_parse(&m, bytes, len) != ERR_OK)
        return;
    (void)ice_handle_input(&rig.peer, rig.now, at, from, &m);
}

/* Where the peer's datagrams get to. */
static inline void peer_sends(const struct ice_datagram *d)
{
    struct node_received out;
    char from[SOCK_ADDR_TEXT_MAX];

    if (rig.peer_deaf)
        return;
    sock_addr_format(&d->from, from, sizeof from);
    if (sock_addr_equal(&d->to, &rig.local) && (rig.direct || d->relayed)) {
        (void)arrives(from, d->bytes, d->len, &out);
        return;
    }
    for (unsigned i = 0; i < RIG_RELAYS; i++) {
        if (sock_addr_equal(&d->to, &rig.relays[i].relayed) && !rig.relays[i].silent)
            (void)through_relay(&rig.relays[i], from, d->bytes, d->len, &out);
    }
}

static inline void dispatch(const struct node_transmit *d)
{
    struct fake_relay *r = relay_at(&d->to);
    struct sock_addr peer = addr(PEER), relayed = addr(PEER_RELAYED);
    uint16_t channel = channel_parse(d->bytes, d->len);
    struct stun_message m;

    if (!r && !sock_addr_equal(&d->from, &rig.local)) {
        rig.refused++;
        return;
    }
    if (!r) {
        rig.last = *d;
        if (rig.direct && sock_addr_equal(&d->to, &peer))
            peer_receives(&peer, &rig.local, d->bytes, d->len);
        else if (rig.peer_relayed && sock_addr_equal(&d->to, &relayed))
            peer_receives(&relayed, &rig.local, d->bytes, d->len);
        else
            rig.strange++;
        return;
    }
    assert_int_equal(d->from.ip.family, ADDR_NONE);
    if (channel == 0) {
        assert_int_equal(stun_parse(&m, d->bytes, d->len), ERR_OK);
        relay_answers(r, &m);
        return;
    }
    rig.last = *d;
    assert_true(channel < CHANNEL_FIRST + RIG_CHANNELS);
    if (r->silent)
        return;
    peer_receives(&r->channels[channel - CHANNEL_FIRST], &r->relayed, d->bytes + CHANNEL_HEADER_LEN,
                  d->len - CHANNEL_HEADER_LEN);
}

static inline void signal_to_peer(const struct node_event *e)
{
    struct candidate_line line;

    assert_int_equal(candidate_parse(&line, e->line, strlen(e->line)), ERR_OK);
    if (!rig.has_peer || rig.hold_signals)
        return;
    if (e->kind == NODE_EVENT_CANDIDATE_ADDED)
        (void)ice_add_remote(&rig.peer, rig.now, &line);
    else
        (void)ice_invalidate_remote(&rig.peer, rig.now, &line);
}

static inline void signal_from_peer(const struct ice_event *e)
{
    char line[CANDIDATE_LINE_MAX];
    bool added = e->kind == ICE_EVENT_CANDIDATE_ADDED;

    if (rig.hold_signals || (!added && e->kind != ICE_EVENT_CANDIDATE_INVALIDATED))
        return;
    assert_true(candidate_format(&e->candidate, added ? "efgh" : NULL, line) > 0);
    if (added)
        (void)node_add_candidate(&rig.n, rig.now, &rig.c, line);
    else
        (void)node_invalidate_candidate(&rig.n, rig.now, &rig.c, line);
}

/* ---- time ---- */

static inline void pump(void)
{
    struct node_transmit t;
    struct ice_datagram d;
    struct ice_event e;
    unsigned rounds = 0;
    bool more;

    do {
        more = false;
        while (node_poll_transmit(&rig.n, &t)) {
            dispatch(&t);
            more = true;
        }
        while (node_poll_event(&rig.n, &rig.events[rig.event_count])) {
            const struct node_event *event = &rig.events[rig.event_count];
            if (event->line[0])
                signal_to_peer(event);
            assert_true(++rig.event_count < RIG_EVENTS);
            more = true;
        }
        while (rig.has_peer && ice_poll_transmit(&rig.peer, &d)) {
            peer_sends(&d);
            more = true;
        }
        while (rig.has_peer && ice_poll_event(&rig.peer, &e)) {
            signal_from_peer(&e);
            more = true;
        }
        assert_true(++rounds < RIG_ROUNDS);
    } while (more);
}

/* Until BEGIN + `at`. */
static inline void run_until(time_ns at)
{
    for (;;) {
        time_ns peer, due;
        pump();
        peer = rig.has_peer ? ice_poll_timeout(&rig.peer) : TIME_NEVER;
        due = time_min(node_poll_timeout(&rig.n), peer);
        if (due > BEGIN + at)
            break;
        rig.now = time_max(rig.now, due);
        node_handle_timeout(&rig.n, rig.now);
        if (rig.has_peer)
            ice_handle_timeout(&rig.peer, rig.now);
        assert_true(node_poll_timeout(&rig.n) > rig.now);
    }
    rig.now = BEGIN + at;
}

static inline void run_for(time_ns span)
{
    run_until(rig.now - BEGIN + span);
}

/* ---- events ---- */

static inline void forget_events(void)
{
    rig.event_count = 0;
}

/* The last one of a kind; NULL: none since they were forgotten. */
static inline const struct node_event *told(enum node_event_kind kind)
{
    for (unsigned i = rig.event_count; i-- > 0;) {
        if (rig.events[i].kind == kind)
            return &rig.events[i];
    }
    return NULL;
}

static inline unsigned told_count(enum node_event_kind kind)
{
    unsigned count = 0;

    for (unsigned i = 0; i < rig.event_count; i++)
        count += rig.events[i].kind == kind;
    return count;
}

/* True if a candidate of this kind and address was signalled. */
static inline bool told_line(enum node_event_kind kind, const char *type, const char *at)
{
    struct sock_addr wanted = addr(at);

    for (unsigned i = 0; i < rig.event_count; i++) {
        struct candidate_line line;
        if (rig.events[i].kind != kind)
            continue;
        assert_int_equal(candidate_parse(&line, rig.events[i].line, strlen(rig.events[i].line)),
                         ERR_OK);
        if (sock_addr_equal(&line.candidate.addr, &wanted) &&
            strcmp(candidate_kind_text(line.candidate.kind), type) == 0)
            return true;
    }
    return false;
}

/* ---- the usual beginnings ---- */

static inline void start(void)
{
    static const uint8_t seed[NODE_SEED_LEN] = {42};

    memset(&rig, 0, sizeof rig);
    rig.now = BEGIN;
    rig.local = addr(LOCAL);
    rig.mapped = addr(PUBLIC);
    for (unsigned i = 0; i < RIG_RELAYS; i++) {
        struct fake_relay *r = &rig.relays[i];
        char text[SOCK_ADDR_TEXT_MAX];
        snprintf(text, sizeof text, "203.0.113.%u:3478", i + 1);
        r->server = addr(text);
        snprintf(text, sizeof text, "203.0.113.%u:%u", i + 1, 49200 + i);
        r->relayed = addr(text);
        snprintf(r->user, sizeof r->user, "user%u", i);
    }
    node_init(&rig.n, seed, rig.now);
}

static inline struct node_relay_config relay_config(unsigned i)
{
    return (struct node_relay_config){.id = uuid_of(0x100 + i),
                                      .v4 = rig.relays[i].server,
                                      .username = rig.relays[i].user,
                                      .password = PASSWORD};
}

/* The portal's list: the first `count` relays. */
static inline void add_relays(unsigned count)
{
    struct node_relay_config configs[RIG_RELAYS];

    for (unsigned i = 0; i < count; i++)
        configs[i] = relay_config(i);
    assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, configs, count), 0);
    pump();
}

static inline void remove_relay(unsigned i)
{
    struct uuid id = uuid_of(0x100 + i);
    assert_int_equal(node_update_relays(&rig.n, rig.now, &id, 1, NULL, 0), 0);
}

static inline void peer_begins(enum ice_role role, enum ice_kind kind)
{
    static const uint8_t seed[ICE_SEED_LEN] = {9};
    struct ice_config config = {.role = role,
                                .kind = kind,
                                .ufrag = "efgh",
                                .password = "theirpassword",
                                .remote_ufrag = "abcd",
                                .remote_password = "ourpassword",
                                .tag = 7};
    struct sock_addr host = addr(PEER), relayed = addr(PEER_RELAYED);
    struct candidate c = candidate_make(CANDIDATE_HOST, &host, &host);

    assert_int_equal(ice_init(&rig.peer, &config, seed, rig.now), ERR_OK);
    rig.has_peer = true;
    assert_true(ice_add_local(&rig.peer, rig.now, &c));
    c = candidate_make(CANDIDATE_RELAY, &relayed, &host);
    if (rig.peer_relayed)
        assert_true(ice_add_local(&rig.peer, rig.now, &c));
}

static inline enum node_connect connect_to(unsigned number)
{
    struct node_peer p = peer_config(number);
    return node_connect(&rig.n, rig.now, &p, &rig.c);
}

/* A node on `relays` relays, and a connection with the peer. */
static inline void start_connected(unsigned relays, bool direct, bool peer_relayed)
{
    start();
    rig.direct = direct;
    rig.peer_relayed = peer_relayed;
    add_relays(relays);
    peer_begins(ICE_CONTROLLED, ICE_GATEWAY);
    assert_int_equal(connect_to(1), NODE_CREATED);
    run_for(SEC(3));
}

/* The relay that the connection uses. */
static inline struct fake_relay *used_relay(void)
{
    assert_non_null(rig.c.relay);
    return relay_at(&rig.c.relay->turn.servers[0]);
}

static inline unsigned used_number(void)
{
    return (unsigned)(used_relay() - rig.relays);
}

#endif
