/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway's real workers, with several clients that send to names while control changes what these may reach: what the network
 * answers comes back as the name's, and what has been taken away is over. Side a has all clients, side b is the gateway.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/grants.h"
#include "engine/wire/ranges.h"
#include "platform/clock.h"
#include "tests/engine_pair.c"

enum {
    CLIENTS = 6,
    ROUNDS = 40,
    BURST = 8, /* of each client's packets, from as many ports */
    PAYLOAD = 100,
    WAIT_MS = 10000
};

static struct pair pair;

/* ---- what clients may reach ---- */

/* permitted: their name's ports are those that are used. */
static void set_grants(unsigned client, bool permitted)
{
    const struct filter_rule rule = {FILTER_UDP, permitted ? 9 : 10, 10};
    const uint8_t net[4] = {192, 168, 0, 0};
    const struct engine_grant list[] = {
        {.index = 1, .kind = ENGINE_GRANT_DNS, .rules = &rule, .rules_n = 1},
        {.index = 2, .kind = ENGINE_GRANT_CIDR, .prefix = {ip_addr_v4(net), 16}}};
    uint8_t own[4];

    inner_address(own, true, client);
    const struct engine_grants g = {.ipv4 = ip_addr_v4(own), .grants = list, .n = ARRAY_LEN(list)};
    assert_int_equal(engine_set_grants(pair.b.engine, pair.b.peers[client], &g), ERR_OK);
}

/* Waits for the answer; tells whether there was room. */
static bool translate(unsigned client, uint64_t domain)
{
    struct engine_translation t = {.slot = client, .grant = 1, .domain = domain, .n = 1};
    uint8_t real[4];

    inner_address(real, false, client);
    t.pairs[0].proxy = proxy_addr_v4(client, 0);
    t.pairs[0].real = ip_addr_v4(real);
    engine_command(pair.b.engine, client % pair.config.workers,
                   &(struct command){.kind = COMMAND_TRANSLATE, .slot = client, .translation = &t});
    return pair_wait_acks(&pair.b, ACK_TRANSLATED, 1, WAIT_MS) == 1;
}

/* The clients' end sends what is for names, and believes what comes from them. */
static void route_names(void)
{
    struct engine_route routes[CLIENTS];

    for (unsigned i = 0; i < CLIENTS; i++)
        routes[i] =
            (struct engine_route){{proxy_addr_v4(i, 0), 32}, engine_peer_value(pair.a.peers[i])};
    assert_int_equal(engine_set_routes(pair.a.engine, routes, CLIENTS), ERR_OK);
}

static void start(const struct pair_config *config)
{
    const uint8_t own[4] = {100, 64, 0, 1};
    struct ip_addr v4 = ip_addr_v4(own), none = {0};

    pair_start(&pair, config);
    engine_set_gateway(pair.b.engine, &v4, &none);
    route_names();
    for (unsigned i = 0; i < CLIENTS; i++) {
        set_grants(i, true);
        assert_true(translate(i, 1));
    }
}

/* ---- packets ---- */

static void put_address(uint8_t *p, unsigned at, const struct ip_addr *a)
{
    memcpy(p + at, a->bytes, 4);
    memset(p + IPV4_OFF_CHECKSUM, 0, 2);
    checksum_store(p + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(p, 20, 0)));
    memset(p + 26, 0, 2);
    uint64_t sum = checksum_pseudo_v4(p, IP_PROTO_UDP, 8 + PAYLOAD);
    checksum_store(p + 26, checksum_finish_udp(checksum_partial(p + 20, 8 + PAYLOAD, sum)));
}

static void send_to_name(unsigned client, uint16_t port, uint32_t sequence)
{
    uint8_t packet[28 + PAYLOAD];
    struct ip_addr name = proxy_addr_v4(client, 0);
    unsigned len = pair_packet(packet, true, client, port, sequence, PAYLOAD);

    put_address(packet, IPV4_OFF_DST, &name);
    while (!pair_write(&pair.a, client, packet, len))
        usleep(100);
}

static bool checksums_right(const uint8_t *p)
{
    uint64_t sum = checksum_pseudo_v4(p, IP_PROTO_UDP, 8 + PAYLOAD);
    return checksum_fold(checksum_partial(p, 20, 0)) == 0xffff &&
           checksum_fold(checksum_partial(p + 20, 8 + PAYLOAD, sum)) == 0xffff;
}

/* One that came out of the gateway goes back to where it is from. False: none came. */
static bool echo_one(void)
{
    static uint8_t frame[2048];
    unsigned len = pair_read(&pair.b, frame, sizeof frame, WAIT_MS);
    uint8_t *p = frame + IO_VNET_LEN, swap[4];

    if (len == 0)
        return false;
    assert_int_equal(len, IO_VNET_LEN + 28 + PAYLOAD);
    assert_true(checksums_right(p));
    assert_memory_equal(p + IPV4_OFF_DST, "\x0a\x01", 2); /* a real address */
    unsigned client = p[IPV4_OFF_SRC + 2];
    memcpy(swap, p + IPV4_OFF_SRC, 4);
    memcpy(p + IPV4_OFF_SRC, p + IPV4_OFF_DST, 4);
    memcpy(p + IPV4_OFF_DST, swap, 4);
    memcpy(swap, p + 20, 2);
    memcpy(p + 20, p + 22, 2);
    memcpy(p + 22, swap, 2);
    while (!pair_write(&pair.b, client, p, 28 + PAYLOAD))
        usleep(100);
    return true;
}

/* An answer came back from the name that was asked. */
static void take_answer(void)
{
    static uint8_t frame[2048];
    unsigned len = pair_read(&pair.a, frame, sizeof frame, WAIT_MS);
    const uint8_t *p = frame + IO_VNET_LEN;

    assert_int_equal(len, IO_VNET_LEN + 28 + PAYLOAD);
    assert_true(checksums_right(p));
    struct ip_addr name = proxy_addr_v4(p[IPV4_OFF_DST + 2], 0);
    assert_memory_equal(p + IPV4_OFF_SRC, name.bytes, 4);
    assert_int_equal(load_be16(p + 22), load_be32(p + 28)); /* the port it was sent from */
}

static void exchange(uint32_t round)
{
    for (unsigned i = 0; i < CLIENTS * BURST; i++)
        send_to_name(i % CLIENTS, (uint16_t)(1000 + i / CLIENTS), round);
    for (unsigned i = 0; i < CLIENTS * BURST; i++) {
        assert_true(echo_one());
        set_grants(i % CLIENTS, true); /* while packets are under way */
    }
    for (unsigned i = 0; i < CLIENTS * BURST; i++)
        take_answer();
}

/* A packet is there before it is counted. */
static void wait_for(enum verdict v, uint64_t n)
{
    time_ns end = clock_now() + WAIT_MS * NS_PER_MS;

    while (pair_count(&pair.b, v) < n && clock_now() < end)
        usleep(1000);
    assert_int_equal(pair_count(&pair.b, v), n);
}

static void names_while_grants_change(void **state)
{
    static const struct pair_config configs[] = {
        {.workers = 1,
         .peers = CLIENTS,
         .io = IO_EPOLL,
         .sessions = true,
         .b_role = ENGINE_GATEWAY},
        /* Frames and datagrams are handed to the worker that has the client. */
        {.workers = 3,
         .peers = CLIENTS,
         .io = IO_EPOLL,
         .sessions = true,
         .b_role = ENGINE_GATEWAY}};

    (void)state;
    for (unsigned m = 0; m < ARRAY_LEN(configs); m++) {
        start(&configs[m]);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            exchange(round);
            assert_true(translate(round % CLIENTS, 1));
        }
        wait_for(VERDICT_IN_FORWARDED, ROUNDS * CLIENTS * BURST);
        wait_for(VERDICT_OUT_FORWARDED, ROUNDS * CLIENTS * BURST);
        pair_stop(&pair);
    }
}

/* The client is told, by its own session; another one is not concerned. */
static void taken_away(void **state)
{
    static const struct pair_config config = {
        .workers = 2, .peers = CLIENTS, .io = IO_EPOLL, .sessions = true, .b_role = ENGINE_GATEWAY};
    static uint8_t frame[2048];
    struct ip_addr name = proxy_addr_v4(1, 0);

    (void)state;
    start(&config);
    exchange(0);
    set_grants(1, false);
    send_to_name(1, 1000, 1);
    assert_true(pair_read(&pair.a, frame, sizeof frame, WAIT_MS) > 0);
    const uint8_t *p = frame + IO_VNET_LEN;
    assert_int_equal(p[IPV4_OFF_PROTO], IP_PROTO_ICMP);
    assert_memory_equal(p + IPV4_OFF_SRC, name.bytes, 4);
    assert_int_equal(p[20], ICMPV4_TYPE_UNREACHABLE);
    assert_int_equal(p[21], ICMPV4_CODE_PROHIBITED);
    wait_for(VERDICT_IN_PROHIBITED, 1);
    send_to_name(2, 1000, 1);
    assert_true(echo_one());
    take_answer();
    set_grants(1, true);
    send_to_name(1, 1000, 2);
    assert_true(echo_one());
    take_answer();
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_while_grants_change),
        cmocka_unit_test(taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
