/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the whole handshake: the input is a script for two peers on a bad link (data, time, loss, forgery, replay,
 * load, restarts, configuration). Never accepted: what was tampered with, or sent before. Never exceeded: the rate of
 * initiations, the queues, one look per timer. In the end the link heals and data has to get through both ways.
 *
 * Script: pairs of bytes, operation and argument.
 */
#include "tests/support/wg_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OPS_MAX = 80,
    KEPT_MAX = 16
};

enum op {
    OP_DATA,
    OP_WAIT_SHORT, /* up to 2.5 s */
    OP_WAIT_LONG,  /* up to 255 s */
    OP_LOSE,       /* by the bits of the argument, the next eight packets */
    OP_FORGE,      /* one bit of the next handshake message, mac1 made to fit */
    OP_DAMAGE,     /* one bit of the next handshake message */
    OP_REPLAY,
    OP_LOAD,
    OP_RESTART,
    OP_PSK,
    OP_KEEPALIVE,
    OP_EXPIRE,
    OP_ROTATE,
    OP_DELAY,
    OP_WANT,
    OP_TIMEOUT, /* a call that is not due */
    OP_COUNT
};

static struct pair pair;
static struct pair_packet kept[KEPT_MAX]; /* handshake messages as they were sent */
static bool kept_accepted[KEPT_MAX];
static unsigned kept_count;
static uint8_t lose_bits, forge_bit;
static bool forge, damage, regular;

/* The part that nobody without the keys can make. */
static void sealed_part(const struct pair_packet *packet, unsigned *from, unsigned *to)
{
    *from = packet->kind == WG_KIND_RESPONSE ? WG_RESPONSE_EPHEMERAL : 8;
    *to = packet->kind == WG_KIND_COOKIE_REPLY ? WG_COOKIE_REPLY_LEN
                                               : (unsigned)wg_mac1_offset(packet->len);
}

static void forge_packet(struct pair *p, struct pair_packet *packet)
{
    unsigned from, to;
    sealed_part(packet, &from, &to);
    unsigned at = from + forge_bit / 8u * 7u % (to - from);
    packet->bytes[at] ^= (uint8_t)(1u << forge_bit % 8);
    packet->tampered = true;
    if (packet->kind != WG_KIND_COOKIE_REPLY) {
        struct cookie c;
        cookie_init(&c, p->node[packet->to].identity.public_key);
        cookie_add_macs(&c, p->now, packet->bytes, packet->len);
    }
    forge = false;
}

static void damage_packet(struct pair_packet *packet)
{
    unsigned at = 4 + forge_bit / 8u * 7u % (unsigned)(wg_mac2_offset(packet->len) - 4);
    packet->bytes[at] ^= (uint8_t)(1u << forge_bit % 8);
    packet->tampered = true;
    damage = false;
}

static bool link_filter(struct pair *p, struct pair_packet *packet)
{
    bool lost = lose_bits & 1;
    lose_bits >>= 1;
    if (packet->kind != WG_KIND_DATA) {
        if (kept_count < KEPT_MAX)
            kept[kept_count++] = *packet;
        if (forge)
            forge_packet(p, packet);
        else if (damage)
            damage_packet(packet);
    }
    return !lost;
}

static void check(const struct pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct pair_node *n = &p->node[i];
        const struct timers *t = &n->peer.timers;
        bool expects_response = n->peer.state == WG_PEER_INITIATOR_EXPECT_RESPONSE;
        bool expects_slot = n->peer.state == WG_PEER_INITIATOR_EXPECT_SLOT;
        ASSERT(n->bad_key == 0);
        ASSERT(n->peer.event_count == 0 && n->peer.datagram_count == 0);
        ASSERT(wg_peer_poll_timeout(&n->peer) >= p->now);
        ASSERT(timers_on(t, TIMER_RETRANSMIT) == (expects_response || expects_slot));
        ASSERT(timers_on(t, TIMER_ATTEMPT) == expects_response);
        if (regular && n->shortest_gap > 0)
            ASSERT(n->shortest_gap >= WG_REKEY_TIMEOUT_NS);
    }
}

/* pair_step with a look at what comes of forged messages. */
static void run(time_ns duration)
{
    time_ns limit = pair.now + duration;
    unsigned steps = 0;
    for (;;) {
        unsigned accepted[2], tampered = 0;
        for (unsigned i = 0; i < pair.packet_count; i++)
            tampered += pair.packets[i].tampered;
        for (unsigned i = 0; i < 2; i++)
            accepted[i] = pair.node[i].outcomes[WG_OUTCOME_ACCEPTED];
        if (!pair_step(&pair, limit))
            break;
        for (unsigned i = 0; i < pair.packet_count; i++)
            tampered -= pair.packets[i].tampered;
        if (tampered == 1) /* it was delivered in this step */
            for (unsigned i = 0; i < 2; i++)
                ASSERT(pair.node[i].outcomes[WG_OUTCOME_ACCEPTED] == accepted[i]);
        ASSERT(++steps < 5000);
        check(&pair);
    }
}

static void replay(uint8_t argument)
{
    if (kept_count == 0)
        return;
    unsigned i = argument % kept_count;
    struct pair_packet packet = kept[i];
    packet.to ^= argument >> 7; /* also to the wrong one, reflected */
    packet.from = pair.node[1 - packet.to].address;
    enum wg_outcome outcome = pair_deliver(&pair, &packet);
    if (outcome == WG_OUTCOME_ACCEPTED && packet.to == kept[i].to) {
        /* The link may have lost the original; but once is enough. A restart forgets what it has seen. */
        ASSERT(!kept_accepted[i] || !regular);
        kept_accepted[i] = true;
    } else {
        ASSERT(outcome != WG_OUTCOME_ACCEPTED);
    }
}

static void forget_worker(struct pair_node *n)
{
    n->next.valid = n->current.valid = n->previous.valid = false;
    memset(&n->activity, 0, sizeof n->activity);
    n->armed = n->staged = 0;
}

static void set_psk(struct pair_node *n, uint8_t value)
{
    uint8_t psk[WG_KEY_LEN];
    memset(psk, value, sizeof psk);
    wg_peer_set_psk(&n->peer, psk);
}

static void configure(enum op op, struct pair_node *n, uint8_t argument)
{
    static const struct wg_timing timing[4] = {
        WG_TIMING_DEFAULT,
        WG_TIMING_DEFAULT,
        {20 * NS_PER_SEC, 5 * NS_PER_SEC, 10 * NS_PER_SEC, true, true},
        {90 * NS_PER_SEC, 2 * NS_PER_SEC, 5 * NS_PER_SEC, true, false},
    };
    uint8_t secret[32] = {argument};
    switch (op) {
    case OP_RESTART:
        regular = false;
        forget_worker(n);
        pair_peer_init(&pair, n->id, &timing[argument >> 1 & 3]);
        break;
    case OP_PSK:
        set_psk(n, argument & 2 ? 0x42 : argument);
        break;
    case OP_KEEPALIVE:
        wg_peer_set_keepalive(&n->peer, pair.now, (argument >> 1) * NS_PER_SEC);
        break;
    case OP_EXPIRE:
        regular = false;
        wg_peer_expire(&n->peer);
        break;
    default: /* OP_ROTATE */
        cookie_gate_rotate(&n->gate, secret);
        break;
    }
    pair_settle(&pair, n);
}

static void perform(enum op op, uint8_t argument)
{
    struct pair_node *n = &pair.node[argument & 1];
    switch (op) {
    case OP_DATA:
        pair_data(&pair, argument & 1);
        break;
    case OP_WAIT_SHORT:
        run(argument * 10 * NS_PER_MS);
        break;
    case OP_WAIT_LONG:
        run(argument * NS_PER_SEC);
        break;
    case OP_LOSE:
        lose_bits = argument;
        break;
    case OP_FORGE:
    case OP_DAMAGE:
        *(op == OP_FORGE ? &forge : &damage) = true;
        forge_bit = argument;
        break;
    case OP_REPLAY:
        replay(argument);
        break;
    case OP_LOAD:
        n->under_load = argument & 2;
        break;
    case OP_RESTART:
    case OP_PSK:
    case OP_KEEPALIVE:
    case OP_EXPIRE:
    case OP_ROTATE:
        configure(op, n, argument);
        break;
    case OP_DELAY:
        pair.delay = argument * argument * NS_PER_MS / 4;
        break;
    case OP_WANT:
        pair_want(&pair, n);
        pair_settle(&pair, n);
        break;
    case OP_TIMEOUT:
        wg_peer_handle_timeout(&n->peer, pair.now, &n->activity, pair_fresh(&pair, n));
        pair_settle(&pair, n);
        break;
    case OP_COUNT:
        break;
    }
    check(&pair);
}

/* Nothing of the past may keep two honest peers on a good link from talking. */
static void heal(void)
{
    unsigned received[2];
    forge = damage = false;
    lose_bits = 0;
    pair.delay = 10 * NS_PER_MS;
    for (unsigned i = 0; i < 2; i++) {
        pair.node[i].under_load = false;
        set_psk(&pair.node[i], 0x42);
    }
    run(60 * NS_PER_SEC); /* what is under way arrives; an attempt comes to its next retry */
    for (unsigned second = 0; second < 40; second++) {
        pair_data(&pair, 0);
        pair_data(&pair, 1);
        run(NS_PER_SEC);
    }
    received[0] = pair.node[0].data_received;
    received[1] = pair.node[1].data_received;
    pair_data(&pair, 0);
    pair_data(&pair, 1);
    run(NS_PER_SEC);
    ASSERT(pair.node[0].data_received == received[0] + 1);
    ASSERT(pair.node[1].data_received == received[1] + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wg_timing plain = WG_TIMING_DEFAULT;
    pair_init(&pair, &plain);
    pair.filter = link_filter;
    memset(kept_accepted, 0, sizeof kept_accepted);
    kept_count = lose_bits = forge_bit = 0;
    forge = damage = false;
    regular = true;
    for (size_t i = 0; i + 1 < size && i < 2 * OPS_MAX; i += 2)
        perform((enum op)(data[i] % OP_COUNT), data[i + 1]);
    heal();
    return 0;
}
