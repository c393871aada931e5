/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the development relay: datagrams of clients and peers, time, and faults in any order. Whatever comes, what it sends is
 * well-formed and goes where it belongs, a port is opened before it is used and closed once, tables do not overflow, and time
 * never stands still.
 *
 * Input: steps, each a byte for what, a byte for who, a byte for the length (of raw bytes), and those bytes:
 *   0 raw bytes to the client-facing port     1 a request: method, flags, channel, peer, lifetime; authentic unless a flag says no
 *   2 channel data: channel, bytes            3 a datagram to an open port from a peer
 *   4 time passes: two bytes, in units of 100 ms                        5 a fault
 */
#include <stdlib.h>
#include <string.h>

#include "control/p2p/stun.h"
#include "platform/base/bytes.h"
#include "tools/fzportal/derive.h"
#include "tools/fzrelay/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CLIENTS = 8,
    PORTS = 6,
    FIRST_PORT = 50000,
    STEPS_MAX = 400
};

struct world {
    struct relay_server *r;
    time_ns now;
    bool open[PORTS];
    char nonces[CLIENTS][40];
    uint8_t keys[CLIENTS][STUN_KEY_LEN];
};

static struct sock_addr client_addr(unsigned i)
{
    struct sock_addr a = {.port = (uint16_t)(4000 + i)};

    a.ip = i % 2 ? ip_addr_v4("\xc0\0\2\1") : ip_addr_v6("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1");
    return a;
}

static struct sock_addr peer_addr(unsigned i)
{
    struct sock_addr a = {.port = (uint16_t)(5000 + i / 2 % 4)};

    a.ip =
        i % 2 ? ip_addr_v4("\xc6\x33\x64\1") : ip_addr_v6("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2");
    return a;
}

/* Two clients share a username. */
static void username(char out[32], unsigned i)
{
    static const char names[][16] = {"1900000000:a", "1900000000:b", "1900000000:c", "1:expired"};
    memcpy(out, names[i % 4], 16);
}

static void ports(struct world *w)
{
    struct relay_port p;

    while (relay_poll_port(w->r, &p)) {
        unsigned i = p.port - FIRST_PORT;
        ASSERT(i < PORTS && w->open[i] != p.open && p.families > 0 && p.families < 4);
        w->open[i] = p.open;
    }
}

static void reply(struct world *w, unsigned who, const struct relay_datagram *out)
{
    struct sock_addr from = client_addr(who);
    struct stun_message m;

    ASSERT(stun_parse(&m, out->bytes, out->len) == ERR_OK);
    ASSERT(m.class == STUN_SUCCESS || m.class == STUN_ERROR);
    ASSERT(m.software.len > 0 && (m.class == STUN_ERROR) == (m.error != 0));
    ASSERT(out->port == 0 && out->header_len == 0 && sock_addr_equal(&out->to, &from));
    ASSERT((m.error == 401 || m.error == 438) == (m.nonce.len == 36));
    if (m.nonce.len == 36)
        memcpy(w->nonces[who], m.nonce.bytes, 36);
}

static void to_client_port(struct world *w, unsigned who, const uint8_t *bytes, size_t len)
{
    const struct sock_addr from = client_addr(who);
    uint8_t *exact = malloc(len > 0 ? len : 1);
    struct relay_datagram out;

    ASSERT(exact);
    if (len > 0)
        memcpy(exact, bytes, len);
    enum relay_verdict v = relay_handle_client(w->r, w->now, 1800000000, &from, exact, len, &out);
    ports(w);
    ASSERT(v < RELAY_VERDICT_COUNT && v != RELAY_TO_CLIENT);
    if (v == RELAY_REPLY)
        reply(w, who, &out);
    if (v == RELAY_TO_PEER)
        ASSERT(w->open[out.port - FIRST_PORT] && out.bytes >= exact + 4 &&
               out.bytes + out.len <= exact + len && out.header_len == 0);
    free(exact);
}

/* b: method, flags, channel, peer, lifetime */
static void request(struct world *w, unsigned who, const uint8_t *b)
{
    static const enum stun_method methods[] = {STUN_ALLOCATE,     STUN_REFRESH,
                                               STUN_CHANNEL_BIND, STUN_CREATE_PERMISSION,
                                               STUN_BINDING,      STUN_SEND};
    const struct stun_id id = {{b[0], b[1]}};
    const struct sock_addr peer = peer_addr(b[3]);
    uint8_t buf[512];
    struct stun_writer s;
    char name[32];

    username(name, who);
    stun_begin(&s, buf, sizeof buf, methods[b[0] % ARRAY_LEN(methods)], STUN_REQUEST, &id);
    if (!(b[1] & 1))
        stun_add_transport(&s, b[1] & 2 ? 6 : STUN_UDP);
    if (b[1] & 4)
        stun_add_family(&s, STUN_REQUESTED_ADDRESS_FAMILY, b[1] & 8 ? ADDR_V4 : ADDR_V6);
    if (b[1] & 16)
        stun_add_family(&s, STUN_ADDITIONAL_ADDRESS_FAMILY, b[1] & 8 ? ADDR_V4 : ADDR_V6);
    if (b[1] & 32)
        stun_add_u32(&s, STUN_LIFETIME, b[4] * 20U);
    stun_add_channel(&s, (uint16_t)(0x3ffe + b[2] % 8));
    stun_add_address(&s, STUN_XOR_PEER_ADDRESS, &peer);
    stun_add_text(&s, STUN_USERNAME, name);
    stun_add_text(&s, STUN_NONCE, w->nonces[who]);
    stun_add_integrity(&s, w->keys[who], STUN_KEY_LEN);
    size_t len = stun_finish(&s);
    ASSERT(len > 0);
    if (b[1] & 64)
        buf[b[4] % len] ^= (uint8_t)(1 + b[3]);
    to_client_port(w, who, buf, len);
}

static void channel_data(struct world *w, unsigned who, const uint8_t *bytes, size_t len)
{
    uint8_t buf[4 + 256];

    channel_write(buf, (uint16_t)(0x3ffe + bytes[0] % 8), (uint16_t)(len - 1));
    memcpy(buf + 4, bytes + 1, len - 1);
    to_client_port(w, who, buf, len + 3);
}

static void from_peer(struct world *w, unsigned who, const uint8_t *bytes, size_t len)
{
    const struct sock_addr from = peer_addr(who / PORTS);
    struct relay_datagram out;
    uint16_t port = (uint16_t)(FIRST_PORT + who % PORTS);
    bool was_open = w->open[port - FIRST_PORT];

    enum relay_verdict v = relay_handle_peer(w->r, w->now, port, &from, bytes, len, &out);
    ports(w);
    ASSERT(v < RELAY_VERDICT_COUNT && v != RELAY_REPLY && v != RELAY_TO_PEER);
    if (v == RELAY_TO_CLIENT)
        ASSERT(was_open && out.port == 0 && out.bytes == bytes && out.len == len &&
               out.header_len == 4 && load_be16(out.header + 2) == len && out.header[0] >> 4 == 4);
}

static void pass(struct world *w, uint64_t ms)
{
    time_ns end = w->now + ms * NS_PER_MS;

    while (relay_poll_timeout(w->r) <= end) {
        w->now = time_max(w->now, relay_poll_timeout(w->r));
        relay_handle_timeout(w->r, w->now);
        ASSERT(relay_poll_timeout(w->r) > w->now);
        ports(w);
    }
    w->now = end;
}

static void fault(struct world *w, unsigned what, const uint8_t *b)
{
    struct relay_datagram out;

    if (what % 5 == 0)
        relay_freeze(w->r, b[0] % 16 < 4 ? b[0] % 4 : 0);
    else if (what % 5 == 1)
        relay_plan_error(w->r, STUN_ALLOCATE + b[0] % 2, (uint16_t)(300 + b[1] * 2), 1 + b[2] % 2);
    else if (what % 5 == 2)
        relay_forget_nonces(w->r);
    else if (what % 5 == 3)
        relay_drop(w->r, b[0] % 8 ? (uint16_t)(FIRST_PORT + b[0] % PORTS) : 0);
    else if (w->open[b[0] % PORTS] == false)
        ASSERT(!relay_port_failed(w->r, (uint16_t)(FIRST_PORT + b[0] % PORTS), &out));
    ports(w);
}

static void step(struct world *w, unsigned what, unsigned who, const uint8_t *bytes, size_t len)
{
    uint8_t b[8] = {0};

    memcpy(b, bytes, size_min(len, sizeof b));
    if (what % 6 == 0)
        to_client_port(w, who % CLIENTS, bytes, len);
    else if (what % 6 == 1)
        request(w, who % CLIENTS, b);
    else if (what % 6 == 2 && len > 0)
        channel_data(w, who % CLIENTS, bytes, len);
    else if (what % 6 == 3)
        from_peer(w, who, bytes, len);
    else if (what % 6 == 4)
        pass(w, load_be16(b) * UINT64_C(100));
    else if (what % 6 == 5)
        fault(w, who, b);
}

static void make_keys(struct world *w)
{
    char name[32], password[DERIVE_RELAY_PASSWORD_LEN + 1];

    for (unsigned i = 0; i < CLIENTS; i++) {
        username(name, i);
        derive_relay_password(password, atoll(name), "secret", strchr(name, ':') + 1);
        stun_turn_key(w->keys[i], name, RELAY_REALM, password);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct relay_config config = {.public4 = ip_addr_v4("\xcb\0\x71\7"),
                                        .public6 = client_addr(0).ip,
                                        .lowest_port = FIRST_PORT,
                                        .highest_port = FIRST_PORT + PORTS - 1,
                                        .channels_max = 12,
                                        .nonces_max = 6,
                                        .stamp_secret = "secret",
                                        .seed = {1}};
    struct world w = {.now = NS_PER_SEC};
    struct relay_stats stats;

    ASSERT(relay_new(&w.r, &config) == ERR_OK);
    make_keys(&w);
    for (unsigned i = 0; i < STEPS_MAX && size >= 3; i++) {
        size_t len = size_min(data[2], size - 3);
        step(&w, data[0], data[1], data + 3, len);
        relay_stats(w.r, &stats);
        ASSERT(stats.allocations <= PORTS && stats.channels <= 12 && stats.nonces <= 6);
        data += 3 + len;
        size -= 3 + len;
    }
    pass(&w, 4600 * UINT64_C(1000));
    relay_drop(w.r, 0);
    ports(&w);
    for (unsigned i = 0; i < PORTS; i++)
        ASSERT(!w.open[i]);
    relay_free(w.r);
    return 0;
}
