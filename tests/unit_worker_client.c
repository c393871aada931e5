/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's rules in a worker: packets that wait and go on in order, names that a gateway does not know yet, refusals, stubs,
 * what control sends, and what is accepted of a gateway. Peer 0 is the gateway; 1, 2, ... are records where packets wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/client.h"
#include "engine/icmp.h"
#include "engine/wire/inner.h"
#include "engine/wire/ranges.h"
#include "tests/support/count_instructions.h"
#include "tests/support/inner_packet.h"
#include "tests/worker_rig.c"

enum {
    GATEWAY,
    WAITS, /* of resource 0 */
    WAITS_OTHER,
    WAITS_NAME,
    PEERS,

    CIDR = 0,
    NAMED,
    OWN, /* the gateway's addresses */
    RESOURCES
};

#define OURS       "100.64.0.1"
#define IN_CIDR    "10.0.0.7"
#define GATEWAY_IP "100.64.0.9"
#define STUB       "100.100.111.1"

static const struct engine_config config = {
    .workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true, .role = ENGINE_CLIENT};
static struct engine_resource resources[RESOURCES];
static uint8_t packet[2048];

static struct ip_addr ip(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static uint32_t value(unsigned peer)
{
    return engine_peer_value(rig.peers[peer]);
}

static void publish(void)
{
    const struct engine_policy_route routes[] = {{{ip("10.0.0.0"), 8}, CIDR, 1},
                                                 {{ip(GATEWAY_IP), 32}, OWN, 0},
                                                 {{ip("fd09::"), 16}, CIDR, 1}};
    const struct engine_policy p = {.ipv4 = ip(OURS),
                                    .ipv6 = ip("fd00:2021:1111::1"),
                                    .stubs = {ip(STUB)},
                                    .stubs_n = 1,
                                    .resources = resources,
                                    .resources_n = RESOURCES,
                                    .routes = routes,
                                    .routes_n = ARRAY_LEN(routes)};
    assert_int_equal(engine_set_policy(rig.engine, &p), ERR_OK);
}

static void set_name(uint32_t name, bool hold, uint32_t waits)
{
    const struct engine_name_target t = {
        .resource = NAMED, .generation = 1, .v4 = true, .v6 = true, .hold = hold, .waits = waits};
    assert_int_equal(engine_set_name(rig.engine, name, &t, 1), ERR_OK);
}

/* Nothing is granted; the gateway can be sent to. */
static void start(void) REQUIRES_ROLE(role_worker)
{
    rig_start(&config, PEERS);
    rig_session(GATEWAY);
    for (unsigned i = WAITS; i < PEERS; i++) {
        engine_peer_wait_for_path(rig.peers[i]);
        rig_path(i, NULL, NULL, 0);
        (void)engine_peer_take_edges(rig.peers[i]);
    }
    resources[CIDR] = (struct engine_resource){
        .kind = ENGINE_RESOURCE_CIDR, .peer = ENGINE_NONE, .waits = value(WAITS)};
    resources[NAMED] = (struct engine_resource){.kind = ENGINE_RESOURCE_DNS,
                                                .generation = 1,
                                                .peer = ENGINE_NONE,
                                                .waits = value(WAITS_OTHER)};
    resources[OWN] = (struct engine_resource){
        .kind = ENGINE_RESOURCE_GATEWAY, .peer = value(GATEWAY), .waits = ENGINE_NONE};
    publish();
}

static void grant(unsigned resource, bool on)
{
    resources[resource].peer = on ? value(GATEWAY) : ENGINE_NONE;
    publish();
}

/* ---- packets ---- */

static size_t build(const struct inner *s, const struct ip_addr *from, const struct ip_addr *to)
{
    size_t len = inner_build(packet, s), n = s->version == 6 ? 16 : 4;

    memcpy(packet + (n == 4 ? 12 : 8), from->bytes, n);
    memcpy(packet + (n == 4 ? 16 : 24), to->bytes, n);
    return len;
}

/* A frame of the host's, not yet read. */
static void feed_bytes(size_t len)
{
    struct io_rx *rx = rig_record(0, IO_RX_TUN);

    assert_non_null(rx);
    memset(rx->data, 0, IO_VNET_LEN);
    memcpy(rx->data + IO_VNET_LEN, packet, len);
    rx->len = (uint32_t)(IO_VNET_LEN + len);
}

/* UDP of the host's with `payload` bytes, by which it is known again. */
static void feed(const char *to, uint16_t port, unsigned payload) REQUIRES_ROLE(role_worker)
{
    const struct inner s = {
        .version = 4, .proto = 17, .sport = 1000, .dport = port, .payload = payload};
    struct ip_addr src = ip(OURS), dst = ip(to);

    feed_bytes(build(&s, &src, &dst));
    rig_loop(0);
}

static void replay(unsigned slot) REQUIRES_ROLE(role_worker)
{
    rig_command(0, &(struct command){.kind = COMMAND_STAGE_REPLAY, .slot = slot});
}

/* What the gateway was sent since `at`: UDP payloads, in order; returns how many datagrams there are in all. */
static unsigned sent_from;

static void expect_sent(unsigned n, ...)
{
    unsigned seen = 0, first = 0;
    va_list args;
    va_start(args, n);
    for (unsigned i = 0; i < rig.io[0].sends_n; i++) {
        const struct io_send *s = &rig.io[0].sends[i];
        for (uint32_t at = 0; at < s->len; at += s->segment_size, first++) {
            size_t len = size_min(s->segment_size, s->len - at);
            if (first < sent_from)
                continue;
            assert_true(seen++ < n);
            assert_int_equal(len - WG_DATA_OVERHEAD - 28, va_arg(args, int));
        }
    }
    va_end(args);
    assert_int_equal(seen, n);
    sent_from = first;
}

static bool wanted(unsigned record)
{
    return engine_peer_take_edges(rig.peers[record]) & EDGE_WANT_HANDSHAKE;
}

/* ---- waiting ---- */

static void waits_until_granted(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    sent_from = 0;
    start();
    for (unsigned i = 0; i < 3; i++)
        feed(IN_CIDR, 80, 10 + i);
    expect_sent(0);
    assert_true(wanted(WAITS));
    assert_false(wanted(WAITS_OTHER));
    assert_int_equal(rig_out(), 0);

    grant(CIDR, true);
    replay(WAITS);
    expect_sent(3, 10, 11, 12);
    feed(IN_CIDR, 80, 13);
    expect_sent(1, 13);
    assert_int_equal(rig_out(), 4);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 4);

    grant(CIDR, false); /* it waits again */
    feed(IN_CIDR, 80, 14);
    expect_sent(0);
    assert_int_equal(rig.peers[WAITS]->staged_n, 1);
    replay(WAITS); /* nothing has changed */
    expect_sent(0);
    rig_stop();
    sent_from = 0;
}

/* Published, but the command has not come: the next packet takes those that wait along, in front. */
static void nothing_overtakes(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    sent_from = 0;
    start();
    feed(IN_CIDR, 80, 10);
    feed(IN_CIDR, 80, 11);
    grant(CIDR, true);
    feed(IN_CIDR, 80, 12);
    expect_sent(3, 10, 11, 12);
    replay(WAITS);
    expect_sent(0);
    rig_stop();
}

/* Trains are used up: what waits goes on later, and what comes after it stays behind it. */
static void without_trains(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    sent_from = 0;
    start();
    grant(CIDR, true);
    rig.io[0].hold = true;
    unsigned n = 0;
    while (rig.engine->workers[0]->trains_free_n >= 3 && n < 200)
        feed(IN_CIDR, 80, 100 + n++);
    grant(CIDR, false);
    feed(IN_CIDR, 80, 10);
    feed(IN_CIDR, 80, 11);
    grant(CIDR, true);
    replay(WAITS);
    assert_int_equal(rig.peers[WAITS]->staged_n, 2);
    feed(IN_CIDR, 80, 12);
    assert_int_equal(rig.engine->workers[0]->frames.n, 1);
    sent_from = n;
    expect_sent(0);
    rig.io[0].hold = false;
    rig_land(0, IO_SENT);
    for (unsigned i = 0; i < 3; i++)
        rig_loop(0);
    expect_sent(3, 10, 11, 12);
    assert_int_equal(rig_out(), n + 3);
    rig_stop();
}

/* What waited is decided anew: it may be another resource's, or nobody's. */
static void decided_once_more(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    static const struct filter_rule only_443 = {FILTER_TCP, 443, 443};
    sent_from = 0;
    start();
    feed(IN_CIDR, 80, 10);
    resources[CIDR].rules = &only_443;
    resources[CIDR].rules_n = 1;
    grant(CIDR, true);
    replay(WAITS);
    expect_sent(0);
    assert_int_equal(rig_count(VERDICT_OUT_PROHIBITED), 1);
    assert_int_equal(rig.io[0].delivered, 1); /* the sender is told */

    resources[CIDR].rules_n = 0;
    grant(CIDR, false);
    feed(IN_CIDR, 80, 11);
    resources[CIDR].kind = ENGINE_RESOURCE_NONE;
    publish();
    replay(WAITS);
    assert_int_equal(rig_count(VERDICT_OUT_NO_ROUTE), 1);
    assert_int_equal(rig.peers[WAITS]->staged_n, 0);
    assert_int_equal(rig_out(), 2);
    rig_stop();
}

/* Repetitions are worth nothing while they wait; a connection's SYN takes the place of its last one. */
static void repetitions(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    struct inner syn = {.version = 4, .proto = 6, .sport = 5, .dport = 80, .flags = TCP_F_SYN};
    struct ip_addr src = ip(OURS), dst = ip(IN_CIDR);

    sent_from = 0;
    start();
    feed(IN_CIDR, 80, 10);
    feed(IN_CIDR, 80, 10);
    assert_int_equal(rig_count(VERDICT_OUT_REPEATED), 1);
    for (uint16_t id = 1; id <= 3; id++) {
        syn.id = id;
        feed_bytes(build(&syn, &src, &dst));
        rig_loop(0);
    }
    assert_int_equal(rig_count(VERDICT_OUT_REPEATED), 3);
    assert_int_equal(rig.peers[WAITS]->staged_n, 2);
    syn.seq = 1; /* another connection */
    feed_bytes(build(&syn, &src, &dst));
    rig_loop(0);
    syn.flags = TCP_F_SYN | TCP_F_ACK;
    feed_bytes(build(&syn, &src, &dst));
    rig_loop(0);
    assert_int_equal(rig.peers[WAITS]->staged_n, 4);
    stage_pop(rig.engine->workers[0], rig.peers[WAITS]);
    count(rig.engine->workers[0], VERDICT_OUT_STOPPED, 1);
    uint32_t len;
    const uint8_t *kept = stage_peek(rig.engine->workers[0], rig.peers[WAITS], &len);
    assert_int_equal(load_be16(kept + 4), 3); /* the latest */
    rig_stop();
}

static void limits(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    sent_from = 0;
    start();
    engine_peer_stage_limit(rig.peers[WAITS], 2);
    for (unsigned i = 0; i < 5; i++)
        feed(IN_CIDR, 80, 10 + i);
    assert_int_equal(rig_count(VERDICT_OUT_STAGE_FULL), 3);
    grant(CIDR, true);
    replay(WAITS);
    expect_sent(2, 13, 14);
    assert_int_equal(rig_out(), 5);
    rig_stop();
}

/* ---- names ---- */

#define NAME_IP "100.96.0.6" /* an address of name 1 */

static void names_hold(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    sent_from = 0;
    start();
    feed(NAME_IP, 80, 10); /* no such name */
    assert_int_equal(rig_count(VERDICT_OUT_NO_ROUTE), 1);
    set_name(1, true, value(WAITS_NAME));
    feed(NAME_IP, 80, 11); /* the resource is not granted */
    assert_true(wanted(WAITS_OTHER));
    grant(NAMED, true);
    feed(NAME_IP, 80,
         12); /* it is, but the gateway does not know the name: both wait there, in order */
    expect_sent(0);
    assert_int_equal(rig.peers[WAITS_OTHER]->staged_n, 0);
    assert_int_equal(rig.peers[WAITS_NAME]->staged_n, 2);

    set_name(1, false, value(WAITS_NAME));
    feed(NAME_IP, 80, 13);
    expect_sent(3, 11, 12, 13);
    set_name(1, false, ENGINE_NONE);
    feed(NAME_IP, 80, 14);
    expect_sent(1, 14);

    set_name(1, true, ENGINE_NONE); /* it cannot be reached */
    feed(NAME_IP, 80, 15);
    assert_int_equal(rig_count(VERDICT_OUT_NAME_UNKNOWN), 1);
    assert_int_equal(engine_set_name(rig.engine, 1, NULL, 0), ERR_OK);
    feed(NAME_IP, 80, 16);
    assert_int_equal(rig_count(VERDICT_OUT_NO_ROUTE), 2);
    assert_int_equal(rig_out(), 7);
    rig_stop();
}

/* ---- refusals and stubs ---- */

static void refused(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    static const struct filter_rule only_443 = {FILTER_UDP, 443, 443};
    struct ip_view v;
    struct icmp_quote q;

    sent_from = 0;
    start();
    resources[CIDR].rules = &only_443;
    resources[CIDR].rules_n = 1;
    grant(CIDR, true);
    feed(IN_CIDR, 80, 10);
    expect_sent(0);
    assert_int_equal(rig_count(VERDICT_OUT_PROHIBITED), 1);
    assert_int_equal(rig.io[0].delivered, 1);
    const uint8_t *answer = rig.io[0].frame + IO_VNET_LEN;
    assert_true(ip_parse(&v, answer, rig.io[0].frame_len - IO_VNET_LEN));
    assert_true(icmp_error_parse(&q, &v, answer) && icmp_is_prohibited(&q));
    assert_int_equal(q.dst, 80);
    feed(IN_CIDR, 443, 11);
    expect_sent(1, 11);
    rig_stop();
}

/* A super-packet to a stub is that many events; those that do not fit are counted. */
static void stubs(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    struct event_packet e;

    sent_from = 0;
    start();
    feed(STUB, 53, 30);
    assert_true(engine_pop_dns(rig.engine, &e));
    assert_int_equal(e.kind, EVENT_PACKET_STUB);
    assert_int_equal(e.peer, EVENT_NO_PEER);
    assert_int_equal(e.len, 58);
    assert_memory_equal(e.bytes, packet, 12);
    assert_false(engine_pop_dns(rig.engine, &e));

    assert_true(rig_feed_segments(0, 0, 5));
    struct io_rx *rx = &rig.io[0].queue[rig.io[0].queue_n - 1];
    memcpy(rx->data + IO_VNET_LEN + 12, ip(OURS).bytes, 4);
    memcpy(rx->data + IO_VNET_LEN + 16, ip(STUB).bytes, 4);
    store_be16(rx->data + IO_VNET_LEN + 22, 53);
    rig_loop(0);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(engine_pop_dns(rig.engine, &e));
        assert_int_equal(e.len, 428);
    }
    assert_int_equal(rig_count(VERDICT_OUT_STUB), 6);
    for (unsigned i = 0; i < RING_DNS - 1 + 10; i++)
        feed(STUB, 53, 30);
    assert_int_equal(rig_count(VERDICT_OUT_STUB_FULL), 10);
    assert_int_equal(rig_out(), 6 + RING_DNS - 1 + 10);
    rig_stop();
}

/* ---- control's own packets ---- */

static void inject(const char *to, unsigned payload) REQUIRES_ROLE(role_worker)
{
    const struct inner s = {
        .version = 4, .proto = 17, .sport = 40000, .dport = 53, .payload = payload};
    struct ip_addr src = ip(OURS), dst = ip(to);

    engine_inject(rig.engine, packet, (uint32_t)build(&s, &src, &dst));
    rig_loop(0);
}

static void injected(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    struct event_ack a;

    sent_from = 0;
    start();
    inject(IN_CIDR, 1000); /* waits like the host's */
    assert_true(wanted(WAITS));
    expect_sent(0);
    grant(CIDR, true);
    replay(WAITS);
    inject(IN_CIDR, 11);
    expect_sent(2, 1000, 11);
    inject("192.0.2.1", 12);
    inject(STUB, 12);
    expect_sent(0);
    assert_int_equal(rig_tally(TALLY_CONTROL_FAILED), 2);
    assert_false(engine_pop_ack(rig.engine, &a)); /* the blocks are the engine's business */
    inject(IN_CIDR, 13);                          /* its block is still out when all ends */
    rig_stop();
}

/* ---- from the gateway ---- */

/* It sends the packet, which is read. */
static void receive(size_t len) REQUIRES_ROLE(role_worker)
{
    unsigned n = rig.io[0].sends_n;

    rig_command(0, &(struct command){.kind = COMMAND_PACKET,
                                     .slot = GATEWAY,
                                     .block = engine_block_new(packet, (uint32_t)len)});
    assert_int_equal(rig.io[0].sends_n, n + 1);
    rig_receive(0, 0, n, "192.0.2.2:1");
    rig_loop(0);
}

static void receive_udp(const char *from, const char *to, uint16_t sport, uint16_t dport)
    REQUIRES_ROLE(role_worker)
{
    const struct inner s = {
        .version = 4, .proto = 17, .sport = sport, .dport = dport, .payload = 20};
    struct ip_addr src = ip(from), dst = ip(to);

    receive(build(&s, &src, &dst));
}

static void accepted(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    receive_udp(GATEWAY_IP, OURS, 5, 6);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1);
    receive_udp(IN_CIDR, OURS, 5, 6); /* not granted */
    assert_int_equal(rig_count(VERDICT_IN_BAD_SOURCE), 1);
    grant(CIDR, true);
    receive_udp(IN_CIDR, OURS, 5, 6);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 2);
    receive_udp(IN_CIDR, "100.64.0.2", 5, 6);
    assert_int_equal(rig_count(VERDICT_IN_BAD_DESTINATION), 1);
    receive_udp(NAME_IP, OURS, 5, 6);
    assert_int_equal(rig_count(VERDICT_IN_BAD_SOURCE), 2);
    set_name(1, false, ENGINE_NONE);
    receive_udp(NAME_IP, OURS, 5, 6); /* its resource is another's */
    assert_int_equal(rig_count(VERDICT_IN_BAD_SOURCE), 3);
    grant(NAMED, true);
    receive_udp(NAME_IP, OURS, 5, 6);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 3);
    const struct inner fragment = {.version = 4, .proto = 17, .frag = 0x2000, .payload = 20};
    struct ip_addr src = ip(IN_CIDR), dst = ip(OURS);
    receive(build(&fragment, &src, &dst));
    assert_int_equal(rig_count(VERDICT_IN_FRAGMENT), 1);
    assert_int_equal(rig_in(), 8);
    rig_stop();
}

/* An error of `from` about a UDP packet of ours to `to`. */
static void receive_error(const char *from, const char *to, uint16_t sport, uint16_t dport)
    REQUIRES_ROLE(role_worker)
{
    const struct inner s = {
        .version = 4, .proto = 17, .sport = sport, .dport = dport, .payload = 20};
    struct ip_addr src = ip(OURS), dst = ip(to), by = ip(from);
    uint8_t error[ICMP_ERROR_MAX];
    struct ip_view v;

    assert_true(ip_parse(&v, packet, build(&s, &src, &dst)));
    size_t len = icmp_error_write(error, &v, packet, ICMP_PROHIBITED);
    memcpy(packet, error, len);
    memcpy(packet + 12, by.bytes, 4);
    receive(len);
}

static void prohibited(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    struct event_packet e;
    struct ip_addr about = ip(IN_CIDR);

    start();
    grant(CIDR, true);
    receive_error(GATEWAY_IP, IN_CIDR, 5, 80);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1); /* the host learns of it, too */
    assert_true(engine_pop_packet(rig.engine, &e));
    assert_int_equal(e.kind, EVENT_PACKET_PROHIBITED);
    assert_int_equal(e.peer, GATEWAY);
    assert_true(ip_addr_equal(&e.about, &about));
    for (unsigned i = 0; i < 40; i++)
        receive_error(GATEWAY_IP, IN_CIDR, 5, 80);
    unsigned n = 0;
    while (engine_pop_packet(rig.engine, &e))
        n++;
    assert_int_equal(n, 16);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 41);
    rig_stop();
}

/* Answers to control's own queries, and errors about them. */
static void watched(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    struct event_packet e;

    start();
    grant(CIDR, true);
    receive_udp(IN_CIDR, OURS, 53, 40000);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1);
    engine_watch_port(rig.engine, ENGINE_WATCH_UDP, 40000, true);
    receive_udp(IN_CIDR, OURS, 53, 40000);
    assert_true(engine_pop_dns(rig.engine, &e));
    assert_int_equal(e.kind, EVENT_PACKET_DNS);
    assert_int_equal(e.peer, GATEWAY);
    assert_int_equal(e.len, 48);
    receive_udp(GATEWAY_IP, OURS, 53535, 40000);
    assert_true(engine_pop_dns(rig.engine, &e));
    receive_udp(IN_CIDR, OURS, 54, 40000);            /* no DNS server */
    receive_udp(IN_CIDR, OURS, 53, 40001);            /* not watched */
    receive_udp("10.0.0.7", "100.64.0.3", 53, 40000); /* not for us */
    assert_false(engine_pop_dns(rig.engine, &e));
    receive_error(GATEWAY_IP, IN_CIDR, 40000, 53);
    assert_true(engine_pop_dns(rig.engine, &e));
    engine_watch_port(rig.engine, ENGINE_WATCH_UDP, 40000, false);
    receive_udp(IN_CIDR, OURS, 53, 40000);
    assert_false(engine_pop_dns(rig.engine, &e));
    assert_int_equal(rig_count(VERDICT_IN_PUNTED), 3);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 4);
    assert_int_equal(rig_count(VERDICT_IN_BAD_DESTINATION), 1);
    rig_stop();
}

/* ---- what another policy costs a worker ---- */

static void one_loop(void *arg)
{
    (void)arg;
    role_enter(&role_worker);
    rig_loop(0);
    role_leave(&role_worker);
}

/* Instructions of the loop that adopts a policy of `n` resources with a prefix each. */
static long adoption(unsigned n) REQUIRES_ROLE(role_worker)
{
    struct engine_resource *list = calloc(n, sizeof *list);
    struct engine_policy_route *routes = calloc(n, sizeof *routes);
    struct engine_policy p = {
        .ipv4 = ip(OURS), .resources = list, .resources_n = n, .routes = routes, .routes_n = n};

    assert_true(list && routes);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t net[] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
        list[i] = (struct engine_resource){
            .kind = ENGINE_RESOURCE_CIDR, .peer = ENGINE_NONE, .waits = value(WAITS)};
        routes[i] = (struct engine_policy_route){{ip_addr_v4(net), 24}, i, 1};
    }
    assert_int_equal(engine_set_policy(rig.engine, &p), ERR_OK);
    long instructions = count_instructions(one_loop, NULL);
    rig_loop(0);
    assert_ptr_equal(rig.engine->workers[0]->policy, rig.engine->policy);
    free(list);
    free(routes);
    return instructions;
}

static void adopting_costs_the_same(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    long idle = count_instructions(one_loop, NULL), few = adoption(10), many = adoption(10000);
    if (idle == -1) {
        print_message("skipped: programs may not be traced here\n");
        skip();
    }
    print_message(
        "%ld instructions with 10 resources, %ld with 10,000, %ld if there is nothing to adopt\n",
        few, many, idle);
    assert_true(idle > 0 && few > 0 && many > 0);
    assert_in_range(many, 1, few + few / 10);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_until_granted),
        cmocka_unit_test(nothing_overtakes),
        cmocka_unit_test(without_trains),
        cmocka_unit_test(decided_once_more),
        cmocka_unit_test(repetitions),
        cmocka_unit_test(limits),
        cmocka_unit_test(names_hold),
        cmocka_unit_test(refused),
        cmocka_unit_test(stubs),
        cmocka_unit_test(injected),
        cmocka_unit_test(accepted),
        cmocka_unit_test(prohibited),
        cmocka_unit_test(watched),
        cmocka_unit_test(adopting_costs_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
