/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received datagrams of all sorts through two workers: data, handshakes, STUN and bytes, in channels or not, several in
 * one receive, with lengths that lie, with and without fixed paths. Each ends in one verdict, control hears of what it is
 * said to hear of, buffers come back, and fixed paths stay. The input is a script of receives.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)
#define assert_true(x)         CHECK(x)
#define assert_non_null(x)     CHECK((x) != NULL)
#define assert_int_equal(a, b) CHECK((a) == (b))

#include "control/wg/cookie.h"
#include "engine/wire/channel.h"
#include "tests/worker_rig.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PEERS = 4,
    CHANNEL = 0x4001,
    RECEIVES_MAX = 24, /* of an input; fewer than a worker has buffers */
    DATAGRAM_MAX = 2048,
    DATAGRAMS_MAX = 5,
    ROUNDS_MAX = 64
};

static const uint8_t our_key[WG_KEY_LEN] = {7}, secret[32] = {9};
static const char *const addresses[] = {"192.0.2.9:3478", "[2001:db8::9]:3478", "198.51.100.7:1",
                                        "192.0.2.1:51820"};

static struct script {
    const uint8_t *data;
    size_t left;
    bool fixed;
    struct cookie cookie; /* of who sends handshakes */
    uint64_t counters[PEERS];
    uint8_t *receives[RECEIVES_MAX]; /* exactly sized, so that no byte around them is read */
    unsigned receives_n;
    uint64_t datagrams;
} s;

static uint8_t take(void)
{
    if (s.left == 0)
        return 0;
    s.left--;
    return *s.data++;
}

static unsigned take_bytes(uint8_t *out, unsigned n)
{
    n = (unsigned)size_min(n, s.left);
    memcpy(out, s.data, n);
    s.data += n;
    s.left -= n;
    return n;
}

/* ---- datagrams ---- */

/* A data message as a peer sends it, or nearly. */
static unsigned make_data(uint8_t *out) REQUIRES_ROLE(role_worker)
{
    unsigned i = take() % PEERS, what = take(), len = 20 + 5u * take();
    struct worker *w = rig.engine->workers[i % rig.engine->workers_n];
    const struct session *session = rig.peers[i]->current;

    if (!session)
        return 0;
    rig_packet(out + WG_DATA_PACKET, what & 1 ? (i + 1) % PEERS : i, len, what >> 1 & 3);
    if (what & 8)
        out[WG_DATA_PACKET] = take(); /* no IP */
    if (what & 16)
        len = 0;
    store_le32(out, WG_KIND_DATA);
    store_le32(out + WG_DATA_RECEIVER, session->local_index);
    if (what & 32) {
        out[WG_DATA_RECEIVER + 3] ^= take();
    }
    uint64_t counter = what & 64 ? take() : s.counters[i]++;
    store_le64(out + WG_DATA_COUNTER, counter);
    struct crypt_packet packet = {.data = out + WG_DATA_PACKET, .len = len, .counter = counter};
    crypt_seal(&w->crypt, &session->send_key, &packet, 1);
    if (what & 128)
        out[WG_DATA_PACKET + len] ^= 1; /* the tag */
    return len + WG_DATA_OVERHEAD;
}

static unsigned make_handshake(uint8_t *out, uint32_t kind)
{
    unsigned len = kind == WG_KIND_INITIATION ? WG_INITIATION_LEN : WG_RESPONSE_LEN;

    memset(out, take(), len);
    store_le32(out, kind);
    cookie_add_macs(&s.cookie, rig.now, out, len);
    return len;
}

static unsigned make_fixed_size(uint8_t *out, uint32_t kind, unsigned len)
{
    memset(out, take(), len);
    store_le32(out, kind);
    return len;
}

static unsigned make_stun(uint8_t *out)
{
    unsigned len = 20 + 6u * take();

    memset(out, 0, len);
    store_be16(out, take());
    store_be16(out + 2, (uint16_t)(len - 20));
    store_be32(out + 4, 0x2112a442);
    return len;
}

static unsigned make_inner(uint8_t *out, unsigned kind) REQUIRES_ROLE(role_worker)
{
    switch (kind % 8) {
    case 0:
    case 1:
        return make_data(out);
    case 2:
        return make_handshake(out, WG_KIND_INITIATION);
    case 3:
        return make_handshake(out, WG_KIND_RESPONSE);
    case 4:
        return make_fixed_size(out, WG_KIND_COOKIE_REPLY, WG_COOKIE_REPLY_LEN);
    case 5:
        return make_fixed_size(out, take(), take());
    case 6:
        return make_stun(out);
    default:
        return take_bytes(out, take());
    }
}

static unsigned make_datagram(uint8_t *out) REQUIRES_ROLE(role_worker)
{
    unsigned kind = take(), head = kind & 8 ? CHANNEL_HEADER_LEN : 0;
    unsigned len = make_inner(out + head, kind);

    if (head) {
        uint16_t channel = (uint16_t)(CHANNEL + (kind & 16 ? take() * 17 : 0));
        channel_write(out, channel, (uint16_t)(kind & 32 ? len + take() - 2 : len));
    }
    if (kind & 64 && len > 0)
        out[take() % (head + len)] ^= take();
    return head + len;
}

/* Some datagrams as one receive: all but the last as long as the first, or cut anywhere. */
static void receive(void) REQUIRES_ROLE(role_worker)
{
    static uint8_t bytes[DATAGRAMS_MAX * DATAGRAM_MAX], one[DATAGRAM_MAX];
    unsigned how = take(), n = 1 + (how >> 3 & 3), len = 0, segment = 0;

    for (unsigned i = 0; i < n; i++) {
        memset(one, 0, sizeof one);
        unsigned made = make_datagram(one);
        if (i == 0)
            segment = made;
        made = i + 1 < n ? segment : (unsigned)size_min(made, segment);
        memcpy(bytes + len, one, made);
        len += made;
    }
    if (how & 32)
        segment = 1 + 4u * take();
    if (segment == 0) /* never 0, of an empty datagram either */
        segment = 1;
    struct io_rx *rx = rig_record(how & 1, IO_RX_UDP);
    CHECK(rx);
    rx->data = s.receives[s.receives_n++] = malloc(len > 0 ? len : 1);
    CHECK(rx->data);
    memcpy(rx->data, bytes, len);
    rx->len = len;
    rx->segment_size = (uint16_t)segment;
    rx->ecn = how >> 6;
    CHECK(sock_addr_parse(&rx->from, addresses[how >> 1 & 3]) == ERR_OK);
    if (rx->from.ip.family == ADDR_V4)
        rx->to.ip = ip_addr_v4((const uint8_t[4]){192, 0, 2, 2});
    s.datagrams += len > 0 ? (len + segment - 1) / segment : 1;
}

/* ---- an input ---- */

static void start_once(void) REQUIRES_ROLE(role_worker)
{
    const struct engine_config config = {
        .workers = 2, .crypto = CRYPT_AUTO, .helpers = ENGINE_HELPERS_OFF};

    if (rig.engine)
        return;
    rig_start(&config, PEERS);
    engine_set_gate(rig.engine, our_key, secret);
}

/* Everything as after the start, but for the counters. */
static void begin(unsigned paths) REQUIRES_ROLE(role_worker)
{
    rig.now += 1000 * NS_PER_SEC;
    rig.engine->config.fixed_paths = s.fixed;
    cookie_init(&s.cookie, our_key);
    for (unsigned i = 0; i < PEERS; i++) {
        rig_command(i % 2, &(struct command){.kind = COMMAND_SESSIONS_DROP, .slot = i});
        rig_path(i, addresses[(paths + i) % 4], NULL,
                 (paths >> i & 1) != 0 ? (uint16_t)(CHANNEL + i) : 0);
        rig_session(i);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct worker *w = rig.engine->workers[i];
        w->load_until = w->load_window_start = w->cookies_full_at = 0;
        if (paths & 16)
            w->load_until = rig.now + NS_PER_SEC;
    }
}

static void loops(void) REQUIRES_ROLE(role_worker)
{
    rig_loop(0);
    rig_loop(1);
}

/* All that was sent is something that a peer understands. */
static void check_sent(void)
{
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < rig.io[i].sends_n; k++) {
            const struct io_send *x = &rig.io[i].sends[k];
            const uint8_t *bytes = rig.io[i].sent[k];
            size_t len = size_min(x->len, x->segment_size);
            unsigned head = channel_parse(bytes, len) != 0 ? CHANNEL_HEADER_LEN : 0;
            CHECK(wg_message_kind(bytes + head, len - head) != WG_KIND_NONE);
            CHECK(s.fixed || head == 0);
        }
        rig.io[i].sends_n = 0;
    }
}

static void check_events(uint64_t handshakes, uint64_t packets)
{
    struct event_handshake h;
    struct event_packet p;
    struct event_edge e;
    struct event_ack a;

    while (engine_pop_handshake(rig.engine, &h)) {
        CHECK(s.fixed || h.channel == 0);
        CHECK(wg_message_kind(h.bytes, h.len) > WG_KIND_NONE);
        CHECK(wg_message_kind(h.bytes, h.len) < WG_KIND_DATA);
        handshakes--;
    }
    while (engine_pop_packet(rig.engine, &p)) {
        CHECK(p.len > 0 && p.len <= EVENT_PACKET_MAX);
        CHECK(s.fixed || channel_parse(p.bytes, p.len) == 0);
        packets--;
    }
    CHECK(handshakes == 0 && packets == 0);
    while (engine_pop_edge(rig.engine, &e))
        (void)engine_peer_take_edges(rig.peers[e.slot]);
    while (engine_pop_ack(rig.engine, &a)) {
        CHECK(a.kind == ACK_SESSION_GONE);
        engine_session_free(a.session);
    }
}

static void check_paths(unsigned paths)
{
    for (unsigned i = 0; i < PEERS && s.fixed; i++) {
        struct sock_addr to;
        CHECK(sock_addr_parse(&to, addresses[(paths + i) % 4]) == ERR_OK);
        CHECK(sock_addr_equal(&to, &rig.peers[i]->endpoint));
        CHECK(rig.peers[i]->source.ip.family == ADDR_NONE);
    }
}

static void run(void) REQUIRES_ROLE(role_worker)
{
    unsigned paths = take(), rounds = 0;

    start_once();
    s.fixed = take() & 1;
    begin(paths);
    check_events(0, 0);
    rig.io[0].sends_n = rig.io[1].sends_n = 0;
    uint64_t in = rig_in(), handshakes = rig_count(VERDICT_IN_HANDSHAKE),
             packets = rig_count(VERDICT_IN_PUNTED);
    while (s.left > 0 && s.receives_n < RECEIVES_MAX) {
        receive();
        if (take() & 1)
            loops();
    }
    do
        loops();
    while (rig_used(0, IO_RX_UDP) + rig_used(1, IO_RX_UDP) > 0 && ++rounds < ROUNDS_MAX);
    CHECK(rounds < ROUNDS_MAX);
    CHECK(rig_in() - in == s.datagrams);
    check_sent();
    check_events(rig_count(VERDICT_IN_HANDSHAKE) - handshakes,
                 rig_count(VERDICT_IN_PUNTED) - packets);
    check_paths(paths);
    for (unsigned i = 0; i < s.receives_n; i++)
        free(s.receives[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&s, 0, sizeof s);
    s.data = data;
    s.left = size;
    role_enter(&role_worker);
    run();
    role_leave(&role_worker);
    return 0;
}
