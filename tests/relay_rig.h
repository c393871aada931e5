/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the development relay: a relay in virtual time, and clients that ask it. What was answered is parsed, and an answer
 * that has to be authenticated is looked at with the client's own key.
 */
#ifndef FZ_TESTS_RELAY_RIG_H
#define FZ_TESTS_RELAY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/p2p/stun.h"
#include "platform/base/bytes.h"
#include "tools/fzportal/derive.h"
#include "tools/fzrelay/relay.h"

#define RIG_SECRET "0000000000000000000000000000000000000000000000000000000000000000"
#define RIG_UNIX   INT64_C(1785500000)
#define RIG_START  (1000 * NS_PER_SEC)
#define RIG_EXPIRY INT64_C(1900000000)

struct rig {
    struct relay_server *r;
    time_ns now;
    int64_t unix_s;
    enum relay_verdict verdict; /* of the last datagram */
    struct relay_datagram out;
    uint8_t bytes[512]; /* the last answer */
    struct stun_message m;
    unsigned opened, closed; /* ports */
};

struct rig_client {
    struct sock_addr addr;
    char username[STUN_USERNAME_MAX + 1];
    uint8_t key[STUN_KEY_LEN];
    char nonce[64]; /* empty: none */
};

/* A request; what is zero is left out. */
struct rig_ask {
    enum stun_method method;
    enum stun_class class;
    bool no_transport, no_integrity, no_username, no_nonce, wrong_key, fingerprint;
    uint8_t transport; /* 0: UDP */
    enum addr_family requested, additional;
    bool has_lifetime;
    uint32_t lifetime_s;
    uint16_t channel;
    struct sock_addr peer;
    const char *nonce; /* instead of the client's */
};

static inline struct sock_addr rig_addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static inline struct ip_addr rig_ip(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static inline struct relay_config rig_config(void)
{
    return (struct relay_config){.public4 = rig_ip("203.0.113.7"),
                                 .public6 = rig_ip("2001:db8::7"),
                                 .lowest_port = 49152,
                                 .highest_port = 65535,
                                 .stamp_secret = RIG_SECRET,
                                 .seed = {1, 2, 3}};
}

static inline void rig_start_with(struct rig *g, const struct relay_config *config)
{
    *g = (struct rig){.now = RIG_START, .unix_s = RIG_UNIX};
    assert_int_equal(relay_new(&g->r, config), ERR_OK);
}

static inline void rig_start(struct rig *g)
{
    struct relay_config c = rig_config();
    rig_start_with(g, &c);
}

static inline void rig_stop(struct rig *g)
{
    relay_free(g->r);
}

static inline void rig_ports(struct rig *g)
{
    struct relay_port p;
    while (relay_poll_port(g->r, &p)) {
        g->opened += p.open;
        g->closed += !p.open;
    }
}

/* Time passes; what is due happens when it is due. */
static inline void rig_pass(struct rig *g, uint64_t ms)
{
    time_ns end = g->now + ms * NS_PER_MS;
    while (relay_poll_timeout(g->r) <= end) {
        g->now = time_max(g->now, relay_poll_timeout(g->r));
        relay_handle_timeout(g->r, g->now);
        assert_true(relay_poll_timeout(g->r) > g->now);
    }
    g->unix_s += (int64_t)(end / NS_PER_SEC) - (int64_t)(g->now / NS_PER_SEC);
    g->now = end;
    rig_ports(g);
}

static inline void rig_client_as(struct rig_client *c, const char *addr, const char *username)
{
    char password[DERIVE_RELAY_PASSWORD_LEN + 1];
    const char *colon = strchr(username, ':');

    *c = (struct rig_client){.addr = rig_addr(addr)};
    snprintf(c->username, sizeof c->username, "%s", username);
    derive_relay_password(password, atoll(username), RIG_SECRET, colon ? colon + 1 : "");
    stun_turn_key(c->key, username, "firezone", password);
}

static inline void rig_client(struct rig_client *c, const char *addr, const char *salt)
{
    char username[64];
    snprintf(username, sizeof username, "%lld:%s", (long long)RIG_EXPIRY, salt);
    rig_client_as(c, addr, username);
}

static inline void rig_input(struct rig *g, const struct sock_addr *from, const void *bytes,
                             size_t len)
{
    uint8_t copy[65536];

    memcpy(copy, bytes, len);
    memset(&g->out, 0, sizeof g->out);
    g->verdict = relay_handle_client(g->r, g->now, g->unix_s, from, copy, len, &g->out);
    rig_ports(g);
    if (g->verdict != RELAY_REPLY)
        return;
    assert_true(g->out.len <= sizeof g->bytes && g->out.header_len == 0 && g->out.port == 0);
    assert_true(sock_addr_equal(&g->out.to, from));
    memcpy(g->bytes, g->out.bytes, g->out.len);
    assert_int_equal(stun_parse(&g->m, g->bytes, g->out.len), ERR_OK);
    assert_true(stun_text_is(g->m.software, "firezone-relay; rev=xxxx"));
}

static inline size_t rig_write(uint8_t *buf, size_t size, const struct rig_client *c,
                               const struct rig_ask *a)
{
    const struct stun_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
    const char *nonce = a->nonce ? a->nonce : c->nonce;
    uint8_t wrong[STUN_KEY_LEN] = {0};
    struct stun_writer w;

    stun_begin(&w, buf, size, a->method, a->class, &id);
    if (a->method == STUN_ALLOCATE && !a->no_transport)
        stun_add_transport(&w, a->transport ? a->transport : STUN_UDP);
    if (a->requested)
        stun_add_family(&w, STUN_REQUESTED_ADDRESS_FAMILY, a->requested);
    if (a->additional)
        stun_add_family(&w, STUN_ADDITIONAL_ADDRESS_FAMILY, a->additional);
    if (a->has_lifetime)
        stun_add_u32(&w, STUN_LIFETIME, a->lifetime_s);
    if (a->peer.ip.family)
        stun_add_address(&w, STUN_XOR_PEER_ADDRESS, &a->peer);
    if (a->channel)
        stun_add_channel(&w, a->channel);
    if (!a->no_username)
        stun_add_text(&w, STUN_USERNAME, c->username);
    stun_add_text(&w, STUN_REALM, "firezone");
    if (!a->no_nonce && nonce[0])
        stun_add_text(&w, STUN_NONCE, nonce);
    if (!a->no_integrity)
        stun_add_integrity(&w, a->wrong_key ? wrong : c->key, STUN_KEY_LEN);
    if (a->fingerprint)
        stun_add_fingerprint(&w);
    return stun_finish(&w);
}

static inline void rig_ask(struct rig *g, const struct rig_client *c, struct rig_ask a)
{
    uint8_t buf[1024];
    size_t len = rig_write(buf, sizeof buf, c, &a);

    assert_true(len > 0);
    rig_input(g, &c->addr, buf, len);
}

/* The last answer is this error; 0: a success. Authenticated for the client, or not at all (NULL). */
static inline void rig_expect(const struct rig *g, unsigned code, const struct rig_client *c)
{
    assert_int_equal(g->verdict, RELAY_REPLY);
    assert_int_equal(g->m.class, code ? STUN_ERROR : STUN_SUCCESS);
    assert_int_equal(g->m.error, code);
    if (c)
        assert_true(stun_integrity_ok(&g->m, c->key, sizeof c->key));
    else
        assert_false(g->m.has & STUN_HAS_INTEGRITY);
}

/* The nonce of the last answer. */
static inline void rig_take_nonce(const struct rig *g, struct rig_client *c)
{
    assert_int_equal(g->m.nonce.len, 36);
    memcpy(c->nonce, g->m.nonce.bytes, 36);
    c->nonce[36] = '\0';
}

static inline void rig_login(struct rig *g, struct rig_client *c)
{
    rig_ask(g, c, (struct rig_ask){.method = STUN_REFRESH, .no_nonce = true});
    rig_expect(g, 401, c);
    rig_take_nonce(g, c);
}

/* Logs in and allocates; returns the port. */
static inline uint16_t rig_allocate(struct rig *g, struct rig_client *c, struct rig_ask a)
{
    rig_login(g, c);
    a.method = STUN_ALLOCATE;
    rig_ask(g, c, a);
    rig_expect(g, 0, c);
    return g->m.relayed4.port ? g->m.relayed4.port : g->m.relayed6.port;
}

static inline void rig_bind(struct rig *g, const struct rig_client *c, uint16_t channel,
                            const char *peer)
{
    rig_ask(
        g, c,
        (struct rig_ask){.method = STUN_CHANNEL_BIND, .channel = channel, .peer = rig_addr(peer)});
}

/* Channel data with this text. */
static inline void rig_send(struct rig *g, const struct rig_client *c, uint16_t channel,
                            const char *text)
{
    uint8_t buf[256];
    size_t len = strlen(text);

    channel_write(buf, channel, (uint16_t)len);
    memcpy(buf + 4, text, len);
    rig_input(g, &c->addr, buf, len + 4);
}

static inline void rig_peer(struct rig *g, uint16_t port, const char *from, const char *text)
{
    struct sock_addr a = rig_addr(from);

    memset(&g->out, 0, sizeof g->out);
    g->verdict =
        relay_handle_peer(g->r, g->now, port, &a, (const uint8_t *)text, strlen(text), &g->out);
    rig_ports(g);
}

static inline struct relay_stats rig_stats(const struct rig *g)
{
    struct relay_stats s;
    relay_stats(g->r, &s);
    return s;
}

#endif
