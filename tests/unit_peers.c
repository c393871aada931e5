/* SPDX-License-Identifier: Apache-2.0 */
/* The connections between the node and the tunnel, both faked: what each of them says when, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/peers.h"
#include "engine/wire/inner.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"

enum {
    CONNECTIONS_MAX = 8
};

struct tunnel_peer {
    void *arg;
    uint8_t key;
    unsigned again, paths;
};

static struct {
    time_ns now, due;
    struct loop_timer *timer;

    /* the node's: those that are connected, and events that wait */
    struct node_connection *connections[CONNECTIONS_MAX];
    enum node_connect connect; /* of one that it does not know */
    struct node_event queue[16];
    unsigned queue_n, transmits;

    /* the tunnel's */
    const struct tunnel_p2p_events *events;
    void *arg;
    struct tunnel_peer *peers[CONNECTIONS_MAX];
    unsigned room, sent, goodbyes;
    bool relay; /* one has answered */

    char told[512];
    unsigned inner_n[5]; /* by the first byte of the peer's id */
} fake;

static struct peers *p;

static void tell(const char *what, unsigned number)
{
    size_t len = strlen(fake.told);
    snprintf(fake.told + len, sizeof fake.told - len, "%s%u ", what, number);
}

static void assert_told(const char *text)
{
    assert_string_equal(fake.told, text);
    fake.told[0] = '\0';
}

/* ---- the clock and the loop ---- */

time_ns clock_now(void)
{
    return fake.now;
}

uint64_t clock_thread_cpu(void)
{
    return 0;
}

void clock_wall(uint64_t *seconds, uint32_t *nanoseconds)
{
    *seconds = 1700000000;
    *nanoseconds = 0;
}

void loop_timer_init(struct loop_timer *timer, loop_fn fire, void *arg)
{
    *timer = (struct loop_timer){TIME_NEVER, LOOP_TIMER_OFF, fire, arg};
    fake.timer = timer;
}

void loop_timer_clear(struct loop *l, struct loop_timer *timer)
{
    (void)l;
    timer->heap_index = LOOP_TIMER_OFF;
}

void loop_timer_set(struct loop *l, struct loop_timer *timer, time_ns deadline)
{
    (void)l;
    timer->deadline = deadline;
    timer->heap_index = deadline == TIME_NEVER ? LOOP_TIMER_OFF : 0;
}

/* The loop is back. */
static void turn(void)
{
    for (unsigned i = 0; loop_timer_armed(fake.timer) && fake.timer->deadline <= fake.now; i++) {
        assert_in_range(i, 0, 100);
        loop_timer_clear(NULL, fake.timer);
        fake.timer->fire(fake.timer->arg);
    }
}

/* ---- the node ---- */

#pragma GCC diagnostic ignored "-Wunused-parameter"

void node_init(struct node *n, const uint8_t seed[NODE_SEED_LEN], time_ns now)
{
}

void node_fini(struct node *n)
{
}

struct node_connection *node_find(const struct node *n, const struct uuid *id)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake.connections[i] && uuid_equal(&fake.connections[i]->id, id))
            return fake.connections[i];
    }
    return NULL;
}

enum node_connect node_connect(struct node *n, time_ns now, const struct node_peer *peer,
                               struct node_connection *c)
{
    struct node_connection *known = node_find(n, &peer->id);
    unsigned i = 0;

    assert_true(!known || known == c);
    if (fake.connect == NODE_NO_RELAYS || fake.connect == NODE_INVALID)
        return fake.connect;
    if (known && c->public_key[0] == peer->public_key[0])
        return NODE_REUSED;
    c->id = peer->id;
    c->public_key[0] = peer->public_key[0];
    if (known)
        return NODE_REPLACED;
    while (fake.connections[i])
        i++;
    assert_in_range(i, 0, CONNECTIONS_MAX - 1);
    fake.connections[i] = c;
    return NODE_CREATED;
}

static struct node_event *event_comes(enum node_event_kind kind, struct node_connection *c)
{
    struct node_event *e = &fake.queue[fake.queue_n++];

    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->connection = c;
    return e;
}

static void connection_ends(struct node_connection *c, enum node_event_kind kind)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake.connections[i] == c) {
            fake.connections[i] = NULL;
            event_comes(kind, c);
        }
    }
}

void node_close(struct node *n, time_ns now, struct node_connection *c)
{
    connection_ends(c, NODE_EVENT_CLOSED);
}

void node_reset(struct node *n, time_ns now)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake.connections[i])
            connection_ends(fake.connections[i], NODE_EVENT_CLOSED);
    }
}

bool node_poll_event(struct node *n, struct node_event *out)
{
    if (fake.queue_n == 0)
        return false;
    *out = fake.queue[0];
    memmove(fake.queue, fake.queue + 1, --fake.queue_n * sizeof fake.queue[0]);
    return true;
}

void node_address_lost(struct node *n, time_ns now, const struct ip_addr *ip)
{
    tell("address", ip->bytes[0]);
}

void node_ask_relays(struct node *n, time_ns now)
{
}

bool node_has_relay(const struct node *n)
{
    return fake.relay;
}

bool node_poll_transmit(struct node *n, struct node_transmit *out)
{
    if (fake.transmits == 0)
        return false;
    fake.transmits--;
    return true;
}

time_ns node_poll_timeout(struct node *n)
{
    return fake.due;
}

void node_handle_timeout(struct node *n, time_ns now)
{
    fake.due = TIME_NEVER;
}

enum node_verdict node_handle_input(struct node *n, time_ns now, const struct sock_addr *local,
                                    const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                    struct node_received *out)
{
    fake.transmits++; /* it answers */
    return NODE_CONSUMED;
}

void node_note_traffic(struct node *n, time_ns now, struct node_connection *c,
                       struct node_traffic traffic)
{
    tell("traffic", c->id.bytes[0]);
}

bool node_add_candidate(struct node *n, time_ns now, struct node_connection *c, const char *line)
{
    return true;
}

bool node_invalidate_candidate(struct node *n, time_ns now, struct node_connection *c,
                               const char *line)
{
    return false;
}

unsigned node_update_relays(struct node *n, time_ns now, const struct uuid *remove,
                            unsigned remove_count, const struct node_relay_config *add,
                            unsigned add_count)
{
    return 0;
}

void node_shut_down(struct node *n, time_ns now)
{
    node_reset(n, now);
}

bool node_is_down(const struct node *n)
{
    return fake.queue_n == 0;
}

const char *node_path_text(enum node_path_kind kind)
{
    return "a path";
}

/* ---- the tunnel ---- */

struct tunnel_peer *tunnel_p2p_add(struct tunnel *t, const struct tunnel_p2p_peer *config)
{
    unsigned i = 0;

    for (unsigned j = 0; j < CONNECTIONS_MAX; j++) /* as the header demands */
        assert_true(!fake.peers[j] || fake.peers[j]->key != config->public_key[0]);
    while (i < fake.room && fake.peers[i])
        i++;
    if (i == fake.room)
        return NULL;
    fake.peers[i] = calloc(1, sizeof *fake.peers[i]);
    fake.peers[i]->arg = config->arg;
    fake.peers[i]->key = config->public_key[0];
    return fake.peers[i];
}

void tunnel_p2p_remove(struct tunnel *t, struct tunnel_peer *peer)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake.peers[i] == peer)
            fake.peers[i] = NULL;
    }
    tell("remove", peer->key);
    free(peer);
}

void tunnel_p2p_path(struct tunnel_peer *peer, const struct node_path *path)
{
    peer->paths++;
    if (peer->paths == 1)
        fake.events->peer(fake.arg, peer->arg, P2P_PEER_UP);
}

void tunnel_p2p_packet_to(struct tunnel_peer *peer, const uint8_t *packet, size_t len)
{
    assert_int_equal(len, INNER_LEN_MIN);
    assert_int_equal(packet[INNER_OFF_EVENT], INNER_GOODBYE);
    fake.goodbyes++;
}

void tunnel_p2p_again(struct tunnel_peer *peer)
{
    peer->again++;
}

void tunnel_p2p_send(struct tunnel *t, const struct node_transmit *datagram)
{
    fake.sent++;
}

/* ---- the owner ---- */

static bool on_candidates(void *arg, const struct uuid *peer, bool added, const char *const *lines,
                          size_t n)
{
    tell(added ? "added" : "removed", (unsigned)n);
    return true;
}

static void on_up(void *arg, const struct uuid *peer, const struct node_path *path)
{
    tell("up", peer->bytes[0]);
}

static void on_path(void *arg, const struct uuid *peer, const struct node_path *path)
{
    tell("path", peer->bytes[0]);
}

static void on_ended(void *arg, const struct uuid *peer, const struct peers_end *end)
{
    tell("ended", peer->bytes[0]);
}

static void on_address_lost(void *arg, const struct ip_addr *ip)
{
    tell("lost", ip->bytes[0]);
}

static void on_ready(void *arg)
{
    tell("ready", 0);
}

static void on_no_relays(void *arg)
{
    tell("no relays", 0);
}

static void on_inner(void *arg, const struct uuid *peer, const uint8_t *packet, size_t len)
{
    tell("inner", packet[INNER_OFF_EVENT]);
    fake.inner_n[peer->bytes[0]]++;
}

static void on_wanted(void *arg, void *resource_arg)
{
    tell("wanted", 0);
}

static void on_stub(void *arg, const uint8_t *packet, size_t len)
{
    tell("stub", (unsigned)len);
}

static void on_dns(void *arg, const uint8_t *packet, size_t len)
{
    tell("dns", (unsigned)len);
}

static void on_prohibited(void *arg, const struct ip_addr *destination)
{
    tell("prohibited", 0);
}

static void on_down(void *arg)
{
    tell("down", 0);
}

static const struct peers_events events = {
    on_candidates, on_up,     on_path, on_ended, on_address_lost, on_ready, on_no_relays,
    on_inner,      on_wanted, on_stub, on_dns,   on_prohibited,   on_down};

static int set_up(void **state)
{
    struct tunnel_options o = {0};

    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.now = NS_PER_SEC;
    fake.due = TIME_NEVER;
    fake.room = CONNECTIONS_MAX;
    p = peers_new(NULL, &events, &fake);
    peers_tunnel_options(p, &o);
    fake.events = o.p2p;
    fake.arg = o.p2p_arg;
    peers_attach(p, (struct tunnel *)&fake);
    turn();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peers_free(p);
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        free(fake.peers[i]);
    return 0;
}

static enum node_connect connect_to(unsigned id, uint8_t key)
{
    struct node_peer peer = {.id = {{(uint8_t)id}}, .role = ICE_CONTROLLING, .public_key = {key}};
    struct peers_inner inner = {.group = 1};

    return peers_connect(p, &peer, &inner);
}

static struct tunnel_peer *peer_of(unsigned id)
{
    struct uuid u = {{(uint8_t)id}};
    return peers_find(p, &u);
}

static struct node_connection *connection_of(unsigned id)
{
    struct uuid u = {{(uint8_t)id}};
    return node_find(NULL, &u);
}

static void wireguard_fails(unsigned id)
{
    fake.events->peer(fake.arg, peer_of(id)->arg, P2P_PEER_FAILED);
}

/* ---- connections ---- */

static void test_connect(void **state)
{
    struct tunnel_peer *peer;

    (void)state;
    assert_int_equal(connect_to(1, 5), NODE_CREATED);
    peer = peer_of(1);
    assert_non_null(peer);
    assert_int_equal(connect_to(1, 5), NODE_REUSED);
    assert_ptr_equal(peer_of(1), peer);
    assert_int_equal(peer->again, 1);
    assert_int_equal(connect_to(1, 6), NODE_REPLACED);
    assert_told("remove5 ");
    assert_int_equal(peer_of(1)->key, 6);
    fake.connect = NODE_NO_RELAYS;
    assert_int_equal(connect_to(2, 7), NODE_NO_RELAYS);
    fake.connect = NODE_INVALID;
    assert_int_equal(connect_to(1, 7), NODE_INVALID);
    assert_null(peer_of(2));
    assert_int_equal(peer_of(1)->key, 6); /* as it was */
    turn();
    assert_told("");
}

static void test_too_many(void **state)
{
    (void)state;
    fake.room = 1;
    assert_int_equal(connect_to(1, 5), NODE_CREATED);
    assert_int_equal(connect_to(2, 6), NODE_INVALID);
    assert_null(peer_of(2));
    assert_int_equal(connect_to(2, 6), NODE_INVALID); /* before the loop is back */
    turn();
    assert_null(connection_of(2));
    assert_non_null(peer_of(1));
    fake.room = 2;
    assert_int_equal(connect_to(2, 6), NODE_CREATED);
}

static void test_path_and_up(void **state)
{
    (void)state;
    (void)connect_to(1, 5);
    event_comes(NODE_EVENT_PATH, connection_of(1));
    assert_told("");
    turn();
    assert_told("up1 ");
    fake.events->traffic(fake.arg, peer_of(1)->arg, (struct node_traffic){.sent = true});
    turn();
    assert_int_equal(peer_of(1)->paths, 1);
    assert_told("traffic1 ");
}

static void test_end(void **state)
{
    struct uuid ids[4];

    (void)state;
    (void)connect_to(1, 5);
    (void)connect_to(2, 6);
    assert_int_equal(peers_list(p, ids, 4), 2);
    assert_int_equal(peers_list(p, ids, 1), 1);
    wireguard_fails(1);
    assert_int_equal(peers_list(p, ids, 4), 1);
    assert_int_equal(ids[0].bytes[0], 2);
    assert_told(""); /* not while the tunnel is at it */
    turn();
    assert_told("remove5 ended1 ");
    connection_ends(connection_of(2), NODE_EVENT_FAILED);
    turn();
    fake.now++;
    fake.due = fake.now;
    turn();
}

/* An authorisation that comes between the end of a connection and the loop begins a new one. */
static void test_connect_when_it_has_just_failed(void **state)
{
    (void)state;
    (void)connect_to(1, 5);
    wireguard_fails(1);
    assert_int_equal(connect_to(1, 5), NODE_CREATED);
    assert_told("remove5 ended1 ");
    turn();
    assert_told("");
    assert_non_null(peer_of(1));
    connection_ends(connection_of(1), NODE_EVENT_FAILED); /* ICE's word */
    assert_int_equal(connect_to(1, 5), NODE_CREATED);
    assert_told("remove5 ended1 ");
    turn();
    assert_non_null(peer_of(1));
}

/* ---- the rest ---- */

/* The peer is told that it is left, if there is a session to tell it with; one that has said goodbye itself is not. */
static void test_goodbye(void **state)
{
    uint8_t packet[INNER_LEN_MIN];

    (void)state;
    for (unsigned i = 1; i <= 4; i++) {
        (void)connect_to(i, 4 + i);
        if (i > 1)
            event_comes(NODE_EVENT_PATH, connection_of(i));
        turn();
    }
    assert_told("up2 up3 up4 ");
    connection_ends(connection_of(1), NODE_EVENT_CLOSED);
    fake.events->sockets(fake.arg);
    turn();
    assert_told("remove5 ended1 ");
    assert_int_equal(fake.goodbyes, 0);
    connection_of(2)->end = NODE_END_CLOSED;
    connection_ends(connection_of(2), NODE_EVENT_CLOSED);
    fake.events->sockets(fake.arg);
    turn();
    assert_told("remove6 ended2 ");
    assert_int_equal(fake.goodbyes, 1);
    inner_write_goodbye(packet);
    packet[INNER_OFF_EVENT] = INNER_DOMAIN_STATUS;
    fake.events->inner(fake.arg, peer_of(3)->arg, packet, sizeof packet);
    packet[INNER_OFF_EVENT] = INNER_GOODBYE;
    fake.events->inner(fake.arg, peer_of(3)->arg, packet, sizeof packet - 1);
    assert_told("");
    turn();
    assert_told("inner1 ");
    fake.events->inner(fake.arg, peer_of(3)->arg, packet, sizeof packet);
    assert_told(""); /* not while the tunnel is at it */
    turn();
    assert_told("remove7 ended3 ");
    assert_int_equal(fake.goodbyes, 1);
    peers_reset(p); /* the old network is gone */
    assert_told("remove8 ended4 ");
    assert_int_equal(fake.goodbyes, 1);
}

/* One of them sends without end. */
static void test_share_of_the_queue(void **state)
{
    uint8_t packet[INNER_LEN_MIN];

    (void)state;
    (void)connect_to(1, 5);
    (void)connect_to(2, 6);
    turn();
    inner_write_goodbye(packet);
    packet[INNER_OFF_EVENT] = INNER_ASSIGNED_IPS;
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < 2000; i++)
            fake.events->inner(fake.arg, peer_of(1)->arg, packet, sizeof packet);
        fake.events->inner(fake.arg, peer_of(2)->arg, packet, sizeof packet);
        turn();
        assert_int_equal(fake.inner_n[1], round * 256);
        assert_int_equal(fake.inner_n[2], round);
        assert_int_equal(peers_inner_lost(p), round * (2000 - 256));
    }
    fake.told[0] = '\0';
    /* Those of a connection before do not count against the one there is. */
    for (unsigned i = 0; i < 100; i++)
        fake.events->inner(fake.arg, peer_of(1)->arg, packet, sizeof packet);
    connection_ends(connection_of(1), NODE_EVENT_FAILED);
    fake.events->sockets(fake.arg);
    turn();
    (void)connect_to(1, 7);
    for (unsigned i = 0; i < 256; i++)
        fake.events->inner(fake.arg, peer_of(1)->arg, packet, sizeof packet);
    turn();
    assert_int_equal(peers_inner_lost(p), 2 * (2000 - 256));
}

/* An address that vanishes, a relay that answers: their news goes on. */
static void test_news(void **state)
{
    const struct ip_addr gone = {.family = ADDR_V4, .bytes = {7}};

    (void)state;
    fake.events->address_lost(fake.arg, &gone);
    assert_told("address7 lost7 ");
    assert_false(peers_ready(p));
    turn();
    assert_told("");
    fake.relay = true;
    fake.events->sockets(fake.arg);
    turn();
    assert_true(peers_ready(p));
    assert_told("ready0 ");
    fake.events->sockets(fake.arg);
    turn();
    assert_told("");
}

static void test_mail(void **state)
{
    struct node_event *e;

    (void)state;
    (void)connect_to(1, 5);
    for (unsigned i = 0; i < 3; i++) {
        e = event_comes(NODE_EVENT_CANDIDATE_ADDED, connection_of(1));
        snprintf(e->line, sizeof e->line, "candidate:1 1 udp 5 192.0.2.1 %u typ host ufrag a", i);
    }
    fake.events->sockets(fake.arg);
    turn();
    assert_told(""); /* the portal is away */
    peers_portal(p, true);
    turn();
    assert_told("added3 ");
    peers_portal(p, false);
    e = event_comes(NODE_EVENT_CANDIDATE_INVALIDATED, connection_of(1));
    snprintf(e->line, sizeof e->line, "candidate:1 1 udp 5 192.0.2.1 0 typ host");
    fake.events->sockets(fake.arg);
    turn();
    (void)connect_to(1, 6); /* of another connection now */
    peers_portal(p, true);
    turn();
    assert_told("remove5 ");
}

static void test_reset(void **state)
{
    struct sock_addr nowhere = {.port = 0};

    (void)state;
    (void)connect_to(1, 5);
    (void)connect_to(2, 6);
    peers_reset(p);
    assert_told("remove5 ended1 remove6 ended2 "); /* at once */
    fake.events->packet(fake.arg, &nowhere, &nowhere, NULL, 0);
    turn();
    assert_int_equal(fake.sent, 0); /* the old sockets are going */
    fake.events->sockets(fake.arg);
    turn();
    assert_int_equal(fake.sent, 1);
}

static void test_shut_down(void **state)
{
    (void)state;
    (void)connect_to(1, 5);
    peers_shut_down(p);
    assert_told("");
    turn();
    assert_told("remove5 ended1 down0 ");
}

static void test_no_relays(void **state)
{
    (void)state;
    event_comes(NODE_EVENT_NO_RELAYS, NULL);
    fake.events->sockets(fake.arg);
    turn();
    assert_told("no relays0 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connect),
        TEST(test_too_many),
        TEST(test_path_and_up),
        TEST(test_end),
        TEST(test_connect_when_it_has_just_failed),
        TEST(test_goodbye),
        TEST(test_share_of_the_queue),
        TEST(test_news),
        TEST(test_mail),
        TEST(test_reset),
        TEST(test_shut_down),
        TEST(test_no_relays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
