/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates of the tunnel and its change of sockets, with the real control files on a fake engine, loop and clock: time
 * passes only in the fake calls (and to the next timer), so that the length of a piece is exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/tunnel_private.h"
#include "engine/grants.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    WORKERS = 2,
    PEER_US = 100, /* what adding a peer takes, and what a command does */
    COMMAND_US = 20,
    STEER_US = 5,
    PIECE_LIMIT_US = 2200,
    ACKS_MAX = 2 * TUNNEL_PEERS_MAX
};

struct peer {
    uint32_t slot;
    unsigned owner;
};

static struct {
    time_ns now;
    struct loop_timer *timers[TUNNEL_PEERS_MAX + 16];
    size_t timers_n;

    struct peer *peers[TUNNEL_PEERS_MAX]; /* as the workers see them */
    bool routed[TUNNEL_PEERS_MAX];        /* in the published routes */
    size_t routes_n;
    unsigned publications;
    bool routes_fail;
    struct event_ack acks[ACKS_MAX];
    size_t acks_begin, acks_end;
    bool events_again;

    unsigned opens, opens_fail; /* of socket groups; the first so many fail */
    int last_socket;            /* handed out to worker 0 */
} fake;

static struct tunnel *t;

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
    *seconds = 1700000000 + fake.now / NS_PER_SEC;
    *nanoseconds = 0;
}

static void take_time(unsigned us)
{
    fake.now += us * NS_PER_US;
}

void loop_timer_init(struct loop_timer *timer, loop_fn fire, void *arg)
{
    *timer = (struct loop_timer){TIME_NEVER, LOOP_TIMER_OFF, fire, arg};
}

void loop_timer_clear(struct loop *l, struct loop_timer *timer)
{
    (void)l;
    if (!loop_timer_armed(timer))
        return;
    struct loop_timer *last = fake.timers[--fake.timers_n];
    fake.timers[timer->heap_index] = last;
    last->heap_index = timer->heap_index;
    timer->heap_index = LOOP_TIMER_OFF;
}

void loop_timer_set(struct loop *l, struct loop_timer *timer, time_ns deadline)
{
    loop_timer_clear(l, timer);
    timer->deadline = deadline;
    if (deadline == TIME_NEVER)
        return;
    timer->heap_index = fake.timers_n;
    fake.timers[fake.timers_n++] = timer;
}

/* Fires the earliest timer that is due within `ns`. */
static bool fire_next(time_ns ns)
{
    struct loop_timer *best = NULL;

    for (size_t i = 0; i < fake.timers_n; i++) {
        if (!best || fake.timers[i]->deadline < best->deadline)
            best = fake.timers[i];
    }
    if (!best || best->deadline > fake.now + ns)
        return false;
    fake.now = best->deadline > fake.now ? best->deadline : fake.now;
    time_ns begin = fake.now;
    loop_timer_clear(NULL, best);
    best->fire(best->arg);
    assert_in_range(fake.now - begin, 0, PIECE_LIMIT_US * NS_PER_US);
    return true;
}

/* ---- the engine ---- */

unsigned engine_workers(const struct engine *e)
{
    (void)e;
    return WORKERS;
}

unsigned engine_threads(const struct engine *e)
{
    return engine_workers(e);
}

static void ack(enum ack_kind kind, struct peer *p)
{
    assert_true(fake.acks_end < ACKS_MAX);
    fake.acks[fake.acks_end++] = (struct event_ack){.kind = (uint8_t)kind, .peer = p};
}

void engine_command(struct engine *e, unsigned worker, const struct command *c)
{
    (void)e;
    take_time(COMMAND_US);
    switch ((enum command_kind)c->kind) {
    case COMMAND_PEER_ADD:
        assert_null(fake.peers[c->slot]);
        assert_false(fake.routed[c->slot]); /* packets of its predecessor would reach it */
        fake.peers[c->slot] = c->peer;
        break;
    case COMMAND_PEER_REMOVE:
        assert_non_null(fake.peers[c->slot]);
        ack(ACK_PEER_GONE, fake.peers[c->slot]);
        break;
    case COMMAND_SOCKETS_DROP:
        ack(ACK_SOCKETS_DROPPED, NULL);
        break;
    case COMMAND_SOCKETS_SET:
        if (worker == 0)
            fake.last_socket = c->sockets.v4;
        break;
    default:
        break;
    }
}

bool engine_commands_flush(struct engine *e)
{
    (void)e;
    return true;
}

bool engine_pop_ack(struct engine *e, struct event_ack *out)
{
    (void)e;
    if (fake.acks_begin == fake.acks_end)
        return false;
    *out = fake.acks[fake.acks_begin++];
    if (out->kind == ACK_PEER_GONE)
        fake.peers[out->peer->slot] = NULL;
    return true;
}

void engine_events_again(struct engine *e)
{
    (void)e;
    fake.events_again = true;
}

static void pop_acks(void)
{
    do {
        fake.events_again = false;
        tunnel_on_events(t, 0);
    } while (fake.events_again);
}

enum err engine_set_routes(struct engine *e, const struct engine_route *routes, size_t n)
{
    (void)e;
    if (fake.routes_fail)
        return ERR_NO_MEMORY;
    memset(fake.routed, 0, sizeof fake.routed);
    for (size_t i = 0; i < n; i++)
        fake.routed[routes[i].peer & ((1u << ENGINE_OWNER_SHIFT) - 1)] = true;
    fake.routes_n = n;
    fake.publications++;
    return ERR_OK;
}

struct peer *engine_peer_new(uint32_t slot, unsigned owner)
{
    struct peer *p = calloc(1, sizeof *p);
    take_time(PEER_US);
    *p = (struct peer){slot, owner};
    return p;
}

void engine_peer_free(struct peer *p)
{
    free(p);
}

uint32_t engine_peer_value(const struct peer *p)
{
    return p->slot | (uint32_t)p->owner << ENGINE_OWNER_SHIFT;
}

void engine_peer_activity(const struct peer *p, struct peer_activity *out)
{
    (void)p;
    memset(out, 0, sizeof *out);
}

#define IGNORED(name, ...)                                                                         \
    void name(__VA_ARGS__)                                                                         \
    {                                                                                              \
    }
#define REFUSED(type, name, ...)                                                                   \
    type name(__VA_ARGS__)                                                                         \
    {                                                                                              \
        return (type)0;                                                                            \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"
IGNORED(engine_peer_wait_for_path, struct peer *p)
IGNORED(engine_peer_arm, struct peer *p, uint32_t bits)
IGNORED(engine_peer_disarm, struct peer *p, uint32_t bits)
IGNORED(engine_events_begin, struct engine *e)
IGNORED(engine_reclaim, struct engine *e)
IGNORED(engine_set_gate, struct engine *e, const uint8_t key[32], const uint8_t secret[32])
IGNORED(engine_rotate_gate, struct engine *e, const uint8_t secret[32])
IGNORED(engine_session_free, struct session *s)
IGNORED(engine_source_answer, struct engine *e, uint64_t generation, const struct ip_addr *dst,
        const struct ip_source *source, time_ns now)
IGNORED(engine_sources_invalidate, struct engine *e)
IGNORED(resolve_add, struct resolve *r, const char *host, uint16_t port, void *tag)
IGNORED(resolve_cancel, struct resolve *r, const void *tag)
IGNORED(resolve_retry_now, struct resolve *r)
IGNORED(tunnel_names_came, struct tunnel *tunnel)
REFUSED(uint32_t, engine_peer_take_edges, struct peer *p)
REFUSED(bool, engine_pop_edge, struct engine *e, struct event_edge *out)
REFUSED(bool, engine_pop_handshake, struct engine *e, struct event_handshake *out)
REFUSED(bool, engine_pop_packet, struct engine *e, struct event_packet *out)
REFUSED(bool, engine_pop_dns, struct engine *e, struct event_packet *out)
IGNORED(engine_peer_client, struct peer *p, uint32_t client, uint32_t tenant)
REFUSED(enum err, engine_set_grants, struct engine *e, struct peer *p,
        const struct engine_grants *g)
IGNORED(engine_set_gateway, struct engine *e, const struct ip_addr *ipv4,
        const struct ip_addr *ipv6)
IGNORED(engine_peer_stage_limit, struct peer *p, uint16_t packets)
IGNORED(engine_inject, struct engine *e, const uint8_t *packet, uint32_t len)
IGNORED(engine_watch_port, struct engine *e, enum engine_watch what, uint16_t port, bool on)
REFUSED(enum err, engine_set_policy, struct engine *e, const struct engine_policy *p)
REFUSED(enum err, engine_set_name, struct engine *e, uint32_t name,
        const struct engine_name_target *targets, unsigned n)
REFUSED(struct command_block *, engine_block_new, const uint8_t *bytes, uint32_t len)
REFUSED(uint32_t, engine_session_index, const struct session *s)
REFUSED(struct session *, engine_session_new, uint32_t local_index, uint32_t remote_index,
        bool initiator, time_ns created, const uint8_t send_key[32], const uint8_t receive_key[32])
REFUSED(bool, engine_source_wanted, struct engine *e, const struct ip_addr *dst, time_ns now,
        uint64_t *generation)
REFUSED(enum err, source_resolve, struct source *s, const struct ip_addr *dst,
        struct ip_source *out)
REFUSED(uint32_t, source_interface, struct source *s, const struct ip_addr *address)

REFUSED(enum err, tun_write, struct tun *tun, const uint8_t *packet, size_t len)

bool tun_steered(const struct tun *tun)
{
    return true;
}

enum err tun_steer_set(struct tun *tun, const struct ip_prefix *prefix, unsigned queue)
{
    take_time(STEER_US);
    return ERR_OK;
}

enum err tun_steer_clear(struct tun *tun, const struct ip_prefix *prefix)
{
    take_time(STEER_US);
    return ERR_OK;
}

/* ---- the rest of the tunnel ---- */

enum err tunnel_settings_apply(struct tunnel *tunnel, const struct device_update *update)
{
    return update->listen_port == 1 ? ERR_IN_USE : ERR_OK;
}

enum err udp_group_open(struct udp_group *g, const struct udp_config *config, char *why,
                        unsigned why_size)
{
    memset(g, 0, sizeof *g);
    why[0] = '\0';
    if (config->family == ADDR_V6)
        return ERR_UNSUPPORTED;
    if (fake.opens++ < fake.opens_fail)
        return ERR_IN_USE;
    *g = (struct udp_group){.n = WORKERS, .family = ADDR_V4, .port = config->port, .fds = {77, 78}};
    return ERR_OK;
}

void udp_group_close(struct udp_group *g)
{
    memset(g, 0, sizeof *g);
}

static void tunnel_begin(void)
{
    memset(&fake, 0, sizeof fake);
    fake.now = NS_PER_SEC;
    t = calloc(1, sizeof *t);
    allowed_init(&t->allowed);
    index_init(&t->indices);
    tunnel_updates_init(t);
    tunnel_roam_init(t);
    loop_timer_init(&t->overflow_timer, NULL, NULL);
    uint8_t key[32] = {1};
    noise_identity_init(t->identity, key);
}

static void tunnel_end(void)
{
    tunnel_updates_fini(t);
    loop_timer_clear(NULL, &t->roam.retry);
    assert_int_equal(fake.timers_n, 0);
    for (uint32_t i = 0; i < TUNNEL_PEERS_MAX; i++)
        free(fake.peers[i]);
    index_fini(&t->indices);
    allowed_fini(&t->allowed);
    free(t);
}

/* ---- updates ---- */

static void number_key(uint8_t key[32], uint32_t n)
{
    memset(key, 0, 32);
    store_le32(key, n + 2);
}

/* Appends peers [from, from + n), each with one prefix that carries its number. */
static void add_peers(struct device_update *u, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < from + n; i++) {
        struct device_peer_update *p = device_update_peer(u);
        uint8_t bytes[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct ip_prefix prefix = {.ip = ip_addr_v4(bytes), .len = 32};
        number_key(p->public_key, i);
        device_peer_allow(p, &prefix, false);
    }
}

static struct tunnel_peer *find(uint32_t n)
{
    uint8_t key[32];
    number_key(key, n);
    return tunnel_peer_find(t, key);
}

struct outcome {
    unsigned order; /* 0: not over */
    enum err err;
};

static unsigned over; /* updates so far */

static void applied(void *arg, enum err err)
{
    struct outcome *o = arg;
    assert_int_equal(o->order, 0);
    *o = (struct outcome){.order = ++over, .err = err};
}

static struct outcome apply(struct device_update *u, bool run)
{
    static struct outcome o;

    o.order = 0;
    time_ns begin = fake.now;
    tunnel_apply_give(t, u, applied, &o);
    assert_in_range(fake.now - begin, 0, PIECE_LIMIT_US * NS_PER_US);
    assert_int_equal(u->peers_n, 0); /* taken */
    for (unsigned turns = 0; run && o.order == 0; turns++) {
        assert_in_range(turns, 0, 10000);
        if (!fire_next(0))
            pop_acks();
    }
    return o;
}

static void test_small_update_is_applied_at_once(void **state)
{
    struct device_update u = {0};

    (void)state;
    tunnel_begin();
    add_peers(&u, 0, 5);
    assert_int_not_equal(apply(&u, false).order, 0);
    assert_int_equal(t->peers_n, 5);
    assert_int_equal(fake.routes_n, 5);
    u.has_listen_port = true;
    u.listen_port = 1;
    u.replace_peers = true;
    assert_int_equal(apply(&u, false).err, ERR_IN_USE); /* and nothing else happens */
    assert_int_equal(t->peers_n, 5);
    tunnel_end();
}

static void test_large_updates_in_pieces_and_in_order(void **state)
{
    struct device_update large = {0}, small = {0}, last = {0};
    struct outcome outcomes[3] = {{0}};
    unsigned pieces = 0, begin = over;

    (void)state;
    tunnel_begin();
    add_peers(&large, 0, 2000);
    device_update_peer(&small)->update_only = true;
    number_key(small.peers[0].public_key, 1999);
    small.peers[0].has_keepalive = true;
    small.peers[0].keepalive_seconds = 25;
    last.replace_peers = true;
    tunnel_apply_give(t, &large, applied, &outcomes[0]);
    tunnel_apply_give(t, &small, applied, &outcomes[1]);
    tunnel_apply_give(t, &last, applied, &outcomes[2]);
    assert_in_range(t->peers_n, 1, 100);
    while (outcomes[1].order == 0) {
        assert_true(fire_next(0));
        pieces++;
    }
    assert_in_range(pieces, 50, 200);
    assert_int_equal(outcomes[0].order, begin + 1);
    assert_int_equal(outcomes[1].order, begin + 2);
    assert_int_equal(find(1999)->keepalive_seconds, 25); /* it was there */
    while (outcomes[2].order == 0)
        assert_true(fire_next(0));
    assert_int_equal(t->peers_n, 0);
    assert_int_equal(fake.publications, 2); /* not once per piece */
    assert_int_equal(fake.routes_n, 0);
    tunnel_end();
}

/* One peer with more prefixes than fit into a piece, taken from others. */
static void test_prefixes_move_to_the_last_owner(void **state)
{
    struct device_update u = {0};

    (void)state;
    tunnel_begin();
    add_peers(&u, 0, 3000);
    assert_int_equal(apply(&u, true).err, ERR_OK);
    add_peers(&u, 5000, 1);
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t bytes[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
        struct ip_prefix prefix = {.ip = ip_addr_v4(bytes), .len = 32};
        device_peer_allow(&u.peers[0], &prefix, false);
    }
    assert_int_equal(apply(&u, true).err, ERR_OK);
    assert_int_equal(fake.routes_n, 3001);
    for (uint32_t i = 0; i < 3000; i++)
        assert_false(fake.routed[find(i)->slot]);
    number_key(device_update_peer(&u)->public_key, 5000);
    u.peers[0].replace_allowed = true;
    assert_int_equal(apply(&u, true).err, ERR_OK);
    assert_int_equal(fake.routes_n, 0);
    tunnel_end();
}

/* The old peers' slots are not free before their workers confirm: the update waits, and loses nobody. */
static void test_replacing_all_of_very_many(void **state)
{
    struct device_update u = {0};

    (void)state;
    tunnel_begin();
    add_peers(&u, 0, TUNNEL_PEERS_MAX);
    assert_int_equal(apply(&u, true).err, ERR_OK);
    assert_int_equal(t->peers_n, TUNNEL_PEERS_MAX);
    fake.acks_begin = fake.acks_end = 0;
    add_peers(&u, TUNNEL_PEERS_MAX, TUNNEL_PEERS_MAX);
    u.replace_peers = true;
    assert_int_equal(apply(&u, true).err, ERR_OK);
    assert_int_equal(t->peers_n, TUNNEL_PEERS_MAX);
    assert_int_equal(fake.routes_n, TUNNEL_PEERS_MAX);
    assert_null(find(0));
    assert_non_null(find(2 * TUNNEL_PEERS_MAX - 1));
    /* One more is an error, and does not wait for anything. */
    add_peers(&u, 0, 1);
    assert_int_equal(apply(&u, true).err, ERR_FULL);
    assert_int_equal(t->peers_n, TUNNEL_PEERS_MAX);
    tunnel_end();
}

static void test_slot_is_kept_while_old_routes_lead_to_it(void **state)
{
    struct device_update u = {0};

    (void)state;
    tunnel_begin();
    add_peers(&u, 0, 1);
    assert_int_equal(apply(&u, true).err, ERR_OK);
    uint32_t slot = find(0)->slot;
    fake.routes_fail = true;
    number_key(device_update_peer(&u)->public_key, 0);
    u.peers[0].remove = true;
    assert_int_equal(apply(&u, true).err, ERR_NO_MEMORY);
    pop_acks();
    assert_true(fake.routed[slot]);
    add_peers(&u, 1, 1); /* the fake engine asserts that its slot is not routed to */
    assert_int_equal(apply(&u, true).err, ERR_NO_MEMORY);
    assert_int_not_equal(find(1)->slot, slot);
    assert_true(fire_next(NS_PER_SEC)); /* fails again */
    assert_true(fake.routed[slot]);
    fake.routes_fail = false;
    assert_true(fire_next(NS_PER_SEC));
    assert_int_equal(fake.routes_n, 1);
    assert_false(fake.routed[slot]);
    assert_false(fire_next(NS_PER_SEC)); /* that is settled */
    add_peers(&u, 2, 1);
    assert_int_equal(apply(&u, true).err, ERR_OK);
    assert_int_equal(find(2)->slot, slot);
    tunnel_end();
}

static void test_identity_changes_in_pieces(void **state)
{
    struct device_update u = {0};
    struct outcome o = {0};
    uint8_t own_key[32];
    struct noise_identity next;

    (void)state;
    tunnel_begin();
    add_peers(&u, 0, 1000);
    noise_identity_init(&next, (const uint8_t[32]){9});
    memcpy(own_key, next.public_key, sizeof own_key);
    memcpy(device_update_peer(&u)->public_key, own_key, sizeof own_key);
    assert_int_equal(apply(&u, true).err, ERR_OK);
    const struct noise_identity *before = t->identity;

    u.has_private_key = true;
    u.private_key[0] = 9;
    tunnel_apply_give(t, &u, applied, &o);
    assert_int_equal(o.order, 0);
    assert_ptr_not_equal(t->identity, before);
    assert_null(tunnel_peer_find(t, own_key)); /* ourselves now */
    assert_ptr_equal(find(999)->wg.identity, before);
    assert_true(tunnel_peer_refresh(find(999))); /* as a handshake of it would */
    assert_ptr_equal(find(998)->wg.identity, before);
    while (o.order == 0)
        assert_true(fire_next(0));
    for (uint32_t i = 0; i < 1000; i++)
        assert_ptr_equal(find(i)->wg.identity, t->identity);
    assert_true(ct_is_zero(before, sizeof *before));
    u.has_private_key = true; /* the same once more: nothing happens */
    u.private_key[0] = 9;
    before = t->identity;
    assert_int_not_equal(apply(&u, false).order, 0);
    assert_ptr_equal(t->identity, before);
    tunnel_end();
}

static void test_end_while_updates_wait(void **state)
{
    struct device_update first = {0}, second = {0};
    struct outcome outcomes[2] = {{0}};

    (void)state;
    tunnel_begin();
    add_peers(&first, 0, 300);
    tunnel_apply_give(t, &first, applied, &outcomes[0]);
    tunnel_apply_give(t, &second, applied, &outcomes[1]);
    tunnel_end();
    assert_int_equal(outcomes[0].err, ERR_CLOSED);
    assert_int_equal(outcomes[1].err, ERR_CLOSED);
}

static void test_first_configuration(void **state)
{
    struct device_update u = {0};

    (void)state;
    tunnel_begin();
    add_peers(&u, 0, 3000);
    assert_int_equal(tunnel_update_now(t, &u), ERR_OK);
    assert_int_equal(t->peers_n, 3000);
    assert_int_equal(fake.routes_n, 3000);
    device_update_fini(&u);
    add_peers(&u, 3000, TUNNEL_PEERS_MAX);
    assert_int_equal(tunnel_update_now(t, &u), ERR_FULL);
    device_update_fini(&u);
    tunnel_end();
}

/* ---- sockets ---- */

static void test_roam_is_tried_until_it_works(void **state)
{
    time_ns begin, waits[9];

    (void)state;
    tunnel_begin();
    t->port = 51820;
    fake.opens_fail = ARRAY_LEN(waits);
    fake.last_socket = 5;
    tunnel_roam_begin(t);
    pop_acks();
    for (unsigned i = 0; i < ARRAY_LEN(waits); i++) {
        assert_int_equal(fake.opens, i + 1);
        assert_int_equal(fake.last_socket, -1);
        begin = fake.now;
        assert_true(fire_next(10 * NS_PER_SEC));
        waits[i] = fake.now - begin;
        pop_acks();
    }
    assert_in_range(waits[0], 95 * NS_PER_MS, 105 * NS_PER_MS);
    assert_in_range(waits[2], 395 * NS_PER_MS, 405 * NS_PER_MS);
    assert_in_range(waits[8], 4990 * NS_PER_MS, 5010 * NS_PER_MS);
    assert_int_equal(fake.last_socket, 77);
    assert_int_equal(t->v4.port, 51820);
    assert_false(fire_next(10 * NS_PER_SEC)); /* no more */
    fake.opens_fail = fake.opens + 1;
    tunnel_roam_begin(t);
    pop_acks();
    tunnel_roam_begin(t); /* a hint meanwhile does not wait for the timer */
    pop_acks();
    assert_int_equal(fake.last_socket, 77);
    assert_false(fire_next(10 * NS_PER_SEC));
    tunnel_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_update_is_applied_at_once),
        cmocka_unit_test(test_large_updates_in_pieces_and_in_order),
        cmocka_unit_test(test_prefixes_move_to_the_last_owner),
        cmocka_unit_test(test_replacing_all_of_very_many),
        cmocka_unit_test(test_slot_is_kept_while_old_routes_lead_to_it),
        cmocka_unit_test(test_identity_changes_in_pieces),
        cmocka_unit_test(test_end_while_updates_wait),
        cmocka_unit_test(test_first_configuration),
        cmocka_unit_test(test_roam_is_tried_until_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
