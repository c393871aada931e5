/* SPDX-License-Identifier: Apache-2.0 */
/* Peers and paths of the tunnel: what its workers are told, in which order, and what it says to whoever finds the paths. */
#include "tests/tunnel_p2p_rig.h"

#define LAB "10.0.0.0/24"

/* ---- peers ---- */

static void test_peer_added(void **state)
{
    (void)state;
    struct tunnel_peer *client = add_peer(1, TUNNEL_NO_GROUP, false, NULL);
    struct tunnel_peer *gateway = add_peer(2, 5, true, NULL);

    assert_false(fake.peers[client->slot]->waits); /* before it has a path nobody sends to it */
    assert_true(fake.peers[gateway->slot]->waits);
    assert_int_equal(gateway->owner, 5 % WORKERS);
    assert_int_equal(slot_routed("100.64.0.1/32"), client->slot); /* at once */
    assert_int_equal(slot_routed("100.64.0.2/32"), gateway->slot);
    assert_int_equal(t->peers_n, 2);
}

/* No route leads to it any more before it goes. */
static void test_peer_removed(void **state)
{
    (void)state;
    struct tunnel_peer *p = add_peer(1, 1, true, NULL);
    uint32_t slot = p->slot;

    events_come();
    forget_steps();
    tunnel_p2p_remove(t, p);
    assert_step(0, PUBLISHED);
    assert_int_equal(assert_step(1, COMMAND_PEER_REMOVE)->slot, slot);
    assert_int_equal(slot_routed("100.64.0.1/32"), UINT32_MAX);
    p = add_peer(1, 1, true, NULL); /* it comes back, while its old place is not free yet */
    assert_int_not_equal(p->slot, slot);
    assert_int_equal(slot_routed("100.64.0.1/32"), p->slot);
}

static void test_too_many(void **state)
{
    (void)state;
    struct tunnel_peer *last = NULL;

    for (unsigned i = 0; i < TUNNEL_PEERS_MAX; i++) {
        t->routes_failed = fake.routes_fail = true; /* thousands of times all routes take long */
        last = add_peer(i, 0, true, NULL);
        assert_non_null(last);
    }
    fake.routes_fail = false;
    pass(SEC(1));
    assert_null(add_peer(20000, 0, true, NULL));
    tunnel_p2p_remove(t, last);
    assert_null(add_peer(20000, 0, true, NULL)); /* its place is not free yet */
    events_come();
    assert_non_null(add_peer(20000, 0, true, NULL));
}

/* ---- paths and datagrams ---- */

static void test_path(void **state)
{
    (void)state;
    int mark;
    struct tunnel_peer *p = add_peer(1, 1, true, &mark);
    struct node_path direct = {.kind = NODE_PEER_TO_PEER,
                               .to = addr("198.51.100.1:52625"),
                               .from = addr("192.0.2.10:52625")};
    struct node_path relayed = {
        .kind = NODE_RELAY_TO_PEER, .to = addr("203.0.113.1:3478"), .channel = 0x4123};

    forget_steps();
    tunnel_p2p_path(p, &relayed);
    const struct command *c = assert_step(0, COMMAND_ENDPOINT);
    assert_int_equal(c->slot, p->slot);
    assert_true(sock_addr_equal(&c->endpoint.to, &relayed.to));
    assert_int_equal(c->endpoint.channel, 0x4123);
    assert_int_equal(c->endpoint.from.ip.family, ADDR_NONE);
    c = assert_step(1, COMMAND_DATAGRAM);
    assert_int_equal(c->slot, p->slot);
    assert_int_equal(fake.steps[1].worker, p->owner);
    assert_int_equal(c->datagram.len, CHANNEL_HEADER_LEN + WG_INITIATION_LEN);
    assert_int_equal(channel_parse(c->datagram.bytes, c->datagram.len), 0x4123);
    assert_true(sock_addr_equal(&c->datagram.to, &relayed.to));
    assert_int_equal(c->datagram.from.ip.family, ADDR_NONE);
    forget_steps();
    tunnel_p2p_path(p, &direct);
    c = assert_step(0, COMMAND_ENDPOINT);
    assert_int_equal(c->endpoint.channel, 0);
    assert_true(ip_addr_equal(&c->endpoint.from.ip, &direct.from.ip));
    assert_int_equal(c->endpoint.from.ifindex, 0); /* the mark decides */
    pass(SEC(6));
    c = step_of(COMMAND_DATAGRAM); /* the retry */
    assert_int_equal(c->datagram.len, WG_INITIATION_LEN);
    assert_true(ip_addr_equal(&c->datagram.from.ip, &direct.from.ip));
}

static void packet_comes(const char *to, uint32_t ifindex, const char *from)
{
    struct sock_addr a = addr(to);
    struct event_packet *e = &fake.packets[fake.packets_n++];

    *e = (struct event_packet){.peer = EVENT_NO_PEER,
                               .from = addr(from),
                               .to = {.ip = a.ip, .ifindex = ifindex},
                               .len = 20};
    events_come();
}

static uint32_t ifindex_of(const char *from)
{
    struct node_transmit d = {.to = addr("203.0.113.1:3478"), .from = addr(from), .len = 20};

    forget_steps();
    tunnel_p2p_send(t, &d);
    const struct command *c = assert_step(0, COMMAND_DATAGRAM);
    assert_true(ip_addr_equal(&c->datagram.from.ip, &d.from.ip));
    return c->datagram.from.ifindex;
}

static void test_packets_and_where_they_came_in(void **state)
{
    (void)state;
    struct sock_addr local = addr("192.0.2.10:52625"), from = addr("203.0.113.1:3478");

    packet_comes("192.0.2.10:52625", 7, "203.0.113.1:3478");
    assert_true(sock_addr_equal(&fake.local, &local) && sock_addr_equal(&fake.from, &from));
    packet_comes("[2001:db8::1]:1", 8, "[2001:db8::2]:3478");
    assert_int_equal(fake.local.port, 52626); /* the socket's, of its family */
    assert_int_equal(ifindex_of("192.0.2.10:52625"), 0);
    t->egress.source = (struct source *)t;
    assert_int_equal(ifindex_of("192.0.2.10:52625"), 7);
    assert_int_equal(ifindex_of("[2001:db8::1]:52626"), 8);
    assert_int_equal(ifindex_of("192.0.2.11:52625"), 0); /* it is nowhere */
    assert_int_equal(fake.interfaces_asked, 1);
    assert_int_equal(ifindex_of("192.0.2.12:52625"), 6); /* nothing came there yet */
    assert_int_equal(ifindex_of("192.0.2.12:52625"), 6);
    assert_int_equal(fake.interfaces_asked, 2);
    packet_comes("192.0.2.10:52625", 9, "203.0.113.1:3478");
    assert_int_equal(ifindex_of("192.0.2.10:52625"), 9); /* the address has moved */
    fake.packets[fake.packets_n++] =
        (struct event_packet){.peer = EVENT_NO_PEER, .from = from, .len = 20};
    events_come(); /* its socket is gone */
    assert_int_equal(fake.packet_events, 3);
}

/* From inside the tunnel: its peer is told, unless that has been removed meanwhile. */
static void test_inner_packets(void **state)
{
    (void)state;
    struct tunnel_peer *p = add_peer(1, 1, true, &fake.ups);

    for (unsigned i = 0; i < 2; i++)
        fake.packets[fake.packets_n++] = (struct event_packet){
            .kind = EVENT_PACKET_INNER, .peer = p->slot, .len = 48, .bytes = {(uint8_t)(0x60 + i)}};
    events_come();
    assert_int_equal(fake.packet_events, 0);
    assert_ptr_equal(fake.peer_arg, &fake.ups);
    assert_int_equal(fake.inner_len, 48);
    fake.inner_len = 0;
    fake.packets[fake.packets_n++] =
        (struct event_packet){.kind = EVENT_PACKET_INNER, .peer = p->slot + 1, .len = 48};
    events_come();
    assert_int_equal(fake.inner_len, 0);
    forget_steps();
    tunnel_p2p_packet_to(p, (const uint8_t *)"goodbye", 7);
    assert_int_equal(assert_step(0, COMMAND_PACKET)->block->len, 7);
    assert_memory_equal(assert_step(0, COMMAND_PACKET)->block->bytes, "goodbye", 7);
    free(assert_step(0, COMMAND_PACKET)->block);
}

static void test_source_of_paths(void **state)
{
    (void)state;
    struct tunnel_peer *p = add_peer(1, 1, true, NULL);
    struct node_path path = {.kind = NODE_PEER_TO_PEER,
                             .to = addr("198.51.100.1:52625"),
                             .from = addr("192.0.2.10:52625")};

    t->egress.source = (struct source *)t;
    packet_comes("192.0.2.10:52625", 7, "203.0.113.1:3478");
    forget_steps();
    tunnel_p2p_path(p, &path);
    assert_int_equal(assert_step(0, COMMAND_ENDPOINT)->endpoint.from.ifindex, 7);
    assert_int_equal(step_of(COMMAND_DATAGRAM)->datagram.from.ifindex, 7);
}

/* The interface of an address was not to be found when the path came; it is when the network has settled. */
static void test_source_found_later(void **state)
{
    (void)state;
    struct tunnel_peer *p = add_peer(1, 1, true, NULL), *other = add_peer(2, 1, true, NULL);
    struct node_path path = {.kind = NODE_PEER_TO_PEER,
                             .to = addr("198.51.100.1:52625"),
                             .from = addr("192.0.2.11:52625")};

    t->egress.source = (struct source *)t;
    tunnel_p2p_path(p, &path);
    assert_int_equal(step_of(COMMAND_ENDPOINT)->endpoint.from.ifindex, 0);
    packet_comes("192.0.2.11:52625", 8, "203.0.113.1:3478");
    forget_steps();
    tunnel_p2p_sources(t);
    assert_int_equal(assert_step(0, COMMAND_ENDPOINT)->endpoint.from.ifindex, 8);
    assert_int_equal(assert_step(0, COMMAND_ENDPOINT)->slot, p->slot);
    assert_int_equal(fake.steps_n, 1); /* the other one has no path */
    (void)other;
    t->egress.source = NULL;
    forget_steps();
    tunnel_p2p_sources(t);
    assert_int_equal(fake.steps_n, 0);
}

static void test_datagram_of_nobody(void **state)
{
    (void)state;
    struct node_transmit d = {.to = addr("203.0.113.1:3478"), .len = 3, .bytes = "abc"};

    tunnel_p2p_send(t, &d);
    const struct command *c = assert_step(0, COMMAND_DATAGRAM);
    assert_int_equal(c->slot, COMMAND_NO_PEER);
    assert_int_equal(fake.steps[0].worker, THREADS - 1);
    assert_int_equal(c->datagram.from.ip.family, ADDR_NONE);
    assert_int_equal(c->datagram.len, 3);
    assert_memory_equal(c->datagram.bytes, "abc", 3);
}

static void test_address_lost(void **state)
{
    (void)state;
    struct sock_addr lost = addr("192.0.2.10:1");

    fake.edges[fake.edges_n++] =
        (struct event_edge){.kind = EVENT_EDGE_ADDRESS_LOST, .lost = lost.ip};
    events_come();
    assert_true(ip_addr_equal(&fake.lost, &lost.ip));
}

/* All workers say it. */
static void test_device_gone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        fake.edges[fake.edges_n++] =
            (struct event_edge){.kind = EVENT_EDGE_TUN_GONE, .worker = (uint8_t)i};
    events_come();
    assert_int_equal(fake.gone, 1);
}

/* ---- handshakes ---- */

static const struct node_path path_1 = {
    .kind = NODE_RELAY_TO_RELAY,
    .to = {.ip = {.family = ADDR_V4, .bytes = {203, 0, 113, 1}}, .port = 3478},
    .channel = 0x4001};

/* The remote's answer to what has left. */
static void remote_answers(unsigned n, const struct command *c)
{
    struct noise_identity id = remote_of(n);
    const uint8_t *initiation = c->datagram.bytes + CHANNEL_HEADER_LEN;
    struct wg_fresh fresh = {.noise = {.ephemeral = {77}, .local_index = 1234}};
    struct wg_peer_config config = {.identity = &id, .psk = {0x42}, .timing = P2P_PEER_TIMING};
    struct event_handshake *e = &fake.handshakes[fake.handshakes_n++];
    struct noise_opened opened;
    struct wg_peer wg;
    struct wg_datagram d;

    memcpy(config.public_key, t->identity->public_key, WG_KEY_LEN);
    wg_peer_init(&wg, &config, 1, fake.now);
    assert_true(noise_initiation_open(&opened, &id, initiation));
    assert_int_equal(wg_peer_handle_initiation(&wg, fake.now, &opened, &path_1.to, &fresh),
                     WG_OUTCOME_ACCEPTED);
    assert_true(wg_peer_poll_transmit(&wg, &d));
    *e = (struct event_handshake){.from = path_1.to, .channel = 0x4001, .len = (uint8_t)d.len};
    memcpy(e->bytes, d.bytes, d.len);
    events_come();
}

static void test_up(void **state)
{
    (void)state;
    int mark;
    struct tunnel_peer *p = add_peer(1, 1, true, &mark);

    tunnel_p2p_path(p, &path_1);
    forget_steps();
    tunnel_p2p_again(p); /* an attempt is under way */
    assert_null(step_of(COMMAND_DATAGRAM));
    pass(SEC(6));
    remote_answers(1, step_of(COMMAND_DATAGRAM));
    assert_int_equal(fake.ups, 1);
    assert_ptr_equal(fake.peer_arg, &mark);
    assert_non_null(step_of(COMMAND_SESSION_ADD));
    assert_non_null(step_of(COMMAND_KEEPALIVE));
    assert_null(step_of(COMMAND_ENDPOINT)); /* nothing is learned from whence it came */
    pass(SEC(20));
    forget_steps();
    tunnel_p2p_again(p);
    assert_non_null(step_of(COMMAND_DATAGRAM));
}

/* The gateway goes on with its half of the connection, and knows what was sent before. */
static void test_new_connection_after_the_clock_was_set_back(void **state)
{
    (void)state;
    int mark;
    struct noise_identity id = remote_of(1);
    struct wg_peer_config config = {.identity = &id, .psk = {0x42}, .timing = P2P_PEER_TIMING};
    struct noise_opened opened;
    struct wg_peer wg;

    memcpy(config.public_key, t->identity->public_key, WG_KEY_LEN);
    wg_peer_init(&wg, &config, 1, fake.now);
    for (unsigned i = 0; i < 3; i++) {
        struct wg_fresh fresh = {.noise = {.ephemeral = {77}, .local_index = 1234 + i}};
        struct tunnel_peer *p = add_peer(1, 1, true, &mark);
        forget_steps();
        tunnel_p2p_path(p, &path_1);
        assert_true(noise_initiation_open(
            &opened, &id, step_of(COMMAND_DATAGRAM)->datagram.bytes + CHANNEL_HEADER_LEN));
        assert_int_equal(wg_peer_handle_initiation(&wg, fake.now, &opened, &path_1.to, &fresh),
                         WG_OUTCOME_ACCEPTED);
        tunnel_p2p_remove(t, p);
        events_come();
        pass(NS_PER_SEC);
        fake.clock_set_s -= 3600;
    }
}

static void test_want(void **state)
{
    (void)state;
    struct tunnel_peer *p = add_peer(1, TUNNEL_NO_GROUP, false, NULL);

    forget_steps();
    edge_comes(p->slot, EDGE_WANT_HANDSHAKE);
    assert_null(step_of(COMMAND_DATAGRAM));
    tunnel_p2p_path(p, &path_1);
    assert_null(step_of(COMMAND_DATAGRAM)); /* the other side begins */
    edge_comes(p->slot, EDGE_WANT_HANDSHAKE);
    assert_int_equal(step_of(COMMAND_DATAGRAM)->datagram.len,
                     CHANNEL_HEADER_LEN + WG_INITIATION_LEN);
}

static void test_failed(void **state)
{
    (void)state;
    int mark;
    struct tunnel_peer *p = add_peer(1, 1, true, &mark);

    tunnel_p2p_path(p, &path_1);
    pass(SEC(20) - 1);
    assert_int_equal(fake.failures, 0);
    forget_steps();
    pass(1);
    assert_int_equal(fake.failures, 1);
    assert_ptr_equal(fake.peer_arg, &mark);
    assert_int_equal(step_of(COMMAND_STAGE_PURGE)->slot, p->slot);
}

static void test_traffic(void **state)
{
    (void)state;
    int mark;
    struct tunnel_peer *p = add_peer(1, 1, true, &mark);

    edge_comes(p->slot, 0);
    assert_int_equal(fake.traffics, 0);
    fake.activity.last_sent = fake.activity.last_packet = 5;
    edge_comes(p->slot, 0);
    assert_int_equal(fake.traffics, 1);
    assert_ptr_equal(fake.peer_arg, &mark);
    assert_true(fake.traffic.sent && fake.traffic.packets && !fake.traffic.received);
    edge_comes(p->slot, 0); /* nothing since */
    assert_int_equal(fake.traffics, 1);
    fake.activity.last_received = 6; /* a keepalive */
    edge_comes(p->slot, 0);
    assert_int_equal(fake.traffics, 2);
    assert_true(!fake.traffic.sent && !fake.traffic.packets && fake.traffic.received);
}

static void test_routes_of_the_host(void **state)
{
    (void)state;
    struct ip_prefix p = prefix(LAB);

    tunnel_p2p_route(t, &p, true);
    assert_int_equal(fake.host_routes, 1);
    tunnel_p2p_route(t, &p, false);
    assert_int_equal(fake.host_routes, 0);
    fake.host_err = ERR_NOT_FOUND;
    tunnel_p2p_route(t, &p, false); /* it goes on */
    assert_int_equal(fake.host_routes, -1);
}

/* Without policy routing a default route would catch our own datagrams, unless they are bound to their way out. */
static void test_rules_of_the_host(void **state)
{
    static const struct {
        enum err v4, v6;
        unsigned v6_sockets;
        bool resolve;
        enum err err;
        bool default_route;
    } cases[] = {
        {ERR_OK, ERR_OK, 1, false, ERR_OK, true},
        {ERR_OK, ERR_UNSUPPORTED, 0, false, ERR_OK, true},
        {ERR_OK, ERR_UNSUPPORTED, 1, false, ERR_OK, false},
        {ERR_UNSUPPORTED, ERR_UNSUPPORTED, 1, false, ERR_OK, false},
        {ERR_UNSUPPORTED, ERR_UNSUPPORTED, 1, true, ERR_OK, true},
        {ERR_PERMISSION, ERR_OK, 1, false, ERR_PERMISSION, true},
        {ERR_OK, ERR_PERMISSION, 1, false, ERR_PERMISSION, true},
    };
    struct ip_prefix all = prefix("0.0.0.0/0"), lab = prefix(LAB);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake.host_routes = 0;
        fake.rules_err[0] = cases[i].v4;
        fake.rules_err[1] = cases[i].v6;
        t->unsteered = false;
        t->v6.n = cases[i].v6_sockets;
        t->options.source_resolve = cases[i].resolve;
        assert_int_equal(tunnel_p2p_rules(t), cases[i].err);
        tunnel_p2p_route(t, &all, true);
        assert_int_equal(fake.host_routes, cases[i].default_route);
        tunnel_p2p_route(t, &lab, true);
        assert_int_equal(fake.host_routes, cases[i].default_route + 1);
    }
    t->v6.n = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_peer_added),
        TEST(test_peer_removed),
        TEST(test_too_many),
        TEST(test_path),
        TEST(test_packets_and_where_they_came_in),
        TEST(test_inner_packets),
        TEST(test_source_of_paths),
        TEST(test_source_found_later),
        TEST(test_datagram_of_nobody),
        TEST(test_address_lost),
        TEST(test_device_gone),
        TEST(test_up),
        TEST(test_new_connection_after_the_clock_was_set_back),
        TEST(test_want),
        TEST(test_failed),
        TEST(test_traffic),
        TEST(test_routes_of_the_host),
        TEST(test_rules_of_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
