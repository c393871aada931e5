/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the tunnel under peers whose paths somebody else finds: the real control files on a fake engine, host, loop and clock. Commands
 * and publications of routes are kept in the order in which the workers would see them.
 */
#ifndef FZ_TESTS_TUNNEL_P2P_RIG_H
#define FZ_TESTS_TUNNEL_P2P_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/tunnel_private.h"
#include "engine/grants.h"
#include "engine/wire/channel.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"

#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    WORKERS = 3,
    THREADS = WORKERS + 1, /* the last one has no peers */
    STEPS_MAX = 256,       /* that are kept */
    QUEUE_MAX = 16,
    PUBLISHED = 0xff, /* kind of a step: routes, or a policy */
    NAMED = 0xfe,     /* the same: a name */
    ACKS_MAX = 4 * TUNNEL_PEERS_MAX,
    POLICY_ROUTES_MAX = 64 /* that are kept */
};

struct peer {
    uint32_t slot;
    unsigned owner;
    bool waits;
    uint16_t waits_max;
};

struct step {
    unsigned worker;
    struct command c;
};

static struct {
    time_ns now;
    int64_t clock_set_s; /* by how much the wall clock was */
    struct loop_timer *timers[TUNNEL_PEERS_MAX + 16];
    size_t timers_n;

    struct step steps[STEPS_MAX];
    unsigned steps_n;
    struct peer *peers[TUNNEL_PEERS_MAX];
    struct event_ack acks[ACKS_MAX];
    size_t acks_begin, acks_end;
    struct engine_route *routes;
    size_t routes_n;
    bool routes_fail;
    struct engine_policy policy; /* with copies of its lists */
    struct engine_policy_route policy_routes[POLICY_ROUTES_MAX];
    struct engine_resource resources[POLICY_ROUTES_MAX];
    struct engine_name_target name[ENGINE_NAME_TARGETS_MAX]; /* the one set last */
    unsigned name_n;
    uint32_t name_number;
    struct peer *granted_to; /* of a gateway */
    size_t granted_n;
    struct ip_addr gateway;

    struct event_edge edges[QUEUE_MAX];
    unsigned edges_n;
    uint32_t edge_bits;
    struct event_packet packets[QUEUE_MAX];
    unsigned packets_n;
    struct event_handshake handshakes[QUEUE_MAX];
    unsigned handshakes_n;
    struct peer_activity activity;

    int host_routes;
    enum err host_err;
    enum err rules_err[2];
    unsigned rules;

    /* what the tunnel says */
    void *wanted;
    unsigned gone, wanteds, ups, failures, traffics, packet_events, interfaces_asked;
    void *peer_arg;
    struct node_traffic traffic;
    struct sock_addr local, from;
    struct ip_addr lost;
    size_t inner_len;
    uint8_t inner_first;
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
    *seconds = (uint64_t)(1700000000 + fake.clock_set_s) + fake.now / NS_PER_SEC;
    *nanoseconds = 0;
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

/* Timers that are due within `ns` fire, each at its time. */
static inline void pass(time_ns ns)
{
    time_ns end = fake.now + ns;

    for (unsigned fired = 0;; fired++) {
        struct loop_timer *best = NULL;
        assert_in_range(fired, 0, 10000);
        for (size_t i = 0; i < fake.timers_n; i++) {
            if (!best || fake.timers[i]->deadline < best->deadline)
                best = fake.timers[i];
        }
        if (!best || best->deadline > end)
            break;
        fake.now = time_max(fake.now, best->deadline);
        loop_timer_clear(NULL, best);
        best->fire(best->arg);
    }
    fake.now = end;
}

/* ---- the engine ---- */

unsigned engine_workers(const struct engine *e)
{
    (void)e;
    return WORKERS;
}

unsigned engine_threads(const struct engine *e)
{
    (void)e;
    return THREADS;
}

static void keep_step(unsigned worker, const struct command *c)
{
    if (fake.steps_n < STEPS_MAX)
        fake.steps[fake.steps_n++] = (struct step){worker, *c};
}

static bool routed(uint32_t slot)
{
    for (size_t i = 0; i < fake.routes_n; i++) {
        if ((fake.routes[i].peer & ((1u << ENGINE_OWNER_SHIFT) - 1)) == slot)
            return true;
    }
    return false;
}

void engine_command(struct engine *e, unsigned worker, const struct command *c)
{
    (void)e;
    keep_step(worker, c);
    switch ((enum command_kind)c->kind) {
    case COMMAND_PEER_ADD:
        assert_null(fake.peers[c->slot]);
        assert_int_equal(c->peer->owner, worker);
        if (fake.steps_n <
            STEPS_MAX) /* not for thousands: packets of its predecessor would reach it */
            assert_false(routed(c->slot));
        fake.peers[c->slot] = c->peer;
        break;
    case COMMAND_PEER_REMOVE:
        assert_non_null(fake.peers[c->slot]);
        assert_int_equal(fake.peers[c->slot]->owner, worker);
        assert_true(fake.acks_end < ACKS_MAX);
        fake.acks[fake.acks_end++] =
            (struct event_ack){.kind = ACK_PEER_GONE, .peer = fake.peers[c->slot]};
        break;
    case COMMAND_STAGE_REPLAY:
        assert_int_equal(fake.peers[c->slot]->owner, worker);
        break;
    case COMMAND_ECHO:
        fake.acks[fake.acks_end++] = (struct event_ack){.kind = ACK_ECHO, .token = c->token};
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

enum err engine_set_routes(struct engine *e, const struct engine_route *routes, size_t n)
{
    (void)e;
    if (fake.routes_fail)
        return ERR_NO_MEMORY;
    free(fake.routes);
    fake.routes = calloc(n + 1, sizeof *routes);
    memcpy(fake.routes, routes, n * sizeof *routes);
    fake.routes_n = n;
    keep_step(0, &(struct command){.kind = PUBLISHED});
    return ERR_OK;
}

enum err engine_set_policy(struct engine *e, const struct engine_policy *p)
{
    (void)e;
    if (fake.routes_fail)
        return ERR_NO_MEMORY;
    assert_in_range(p->resources_n, 0, TUNNEL_PEERS_MAX);
    fake.policy = *p;
    memcpy(fake.resources, p->resources,
           size_min(p->resources_n, POLICY_ROUTES_MAX) * sizeof fake.resources[0]);
    if (!p->same_routes) {
        fake.routes_n = p->routes_n;
        memcpy(fake.policy_routes, p->routes,
               size_min(p->routes_n, POLICY_ROUTES_MAX) * sizeof fake.policy_routes[0]);
    }
    keep_step(0, &(struct command){.kind = PUBLISHED});
    return ERR_OK;
}

enum err engine_set_name(struct engine *e, uint32_t name, const struct engine_name_target *targets,
                         unsigned n)
{
    (void)e;
    fake.name_number = name;
    fake.name_n = n;
    if (n > 0)
        memcpy(fake.name, targets, n * sizeof *targets);
    keep_step(0, &(struct command){.kind = NAMED, .slot = name});
    return ERR_OK;
}

enum err engine_set_grants(struct engine *e, struct peer *p, const struct engine_grants *g)
{
    (void)e;
    fake.granted_to = p;
    fake.granted_n = g->n;
    return ERR_OK;
}

void engine_set_gateway(struct engine *e, const struct ip_addr *ipv4, const struct ip_addr *ipv6)
{
    (void)e, (void)ipv6;
    fake.gateway = *ipv4;
}

struct peer *engine_peer_new(uint32_t slot, unsigned owner)
{
    struct peer *p = calloc(1, sizeof *p);
    p->slot = slot;
    p->owner = owner;
    return p;
}

struct command_block *engine_block_new(const uint8_t *bytes, uint32_t len)
{
    struct command_block *b = malloc(sizeof *b + len);
    assert_non_null(b);
    b->len = (uint16_t)len;
    memcpy(b->bytes, bytes, len);
    return b;
}

void engine_peer_free(struct peer *p)
{
    free(p);
}

void engine_peer_wait_for_path(struct peer *p)
{
    p->waits = true;
}

void engine_peer_client(struct peer *p, uint32_t client, uint32_t tenant)
{
    (void)p;
    (void)client;
    (void)tenant;
}

void engine_peer_stage_limit(struct peer *p, uint16_t packets)
{
    p->waits_max = packets;
}

uint32_t engine_peer_value(const struct peer *p)
{
    return p->slot | (uint32_t)p->owner << ENGINE_OWNER_SHIFT;
}

void engine_peer_activity(const struct peer *p, struct peer_activity *out)
{
    (void)p;
    *out = fake.activity;
}

uint32_t engine_peer_take_edges(struct peer *p)
{
    uint32_t bits = fake.edge_bits;
    assert_non_null(p);
    fake.edge_bits = 0;
    return bits;
}

#define POPS(name, type, queue, count)                                                             \
    bool name(struct engine *e, type *out)                                                         \
    {                                                                                              \
        (void)e;                                                                                   \
        if (count == 0)                                                                            \
            return false;                                                                          \
        *out = queue[0];                                                                           \
        memmove(queue, queue + 1, --count * sizeof queue[0]);                                      \
        return true;                                                                               \
    }
POPS(engine_pop_edge, struct event_edge, fake.edges, fake.edges_n)
POPS(engine_pop_packet, struct event_packet, fake.packets, fake.packets_n)
POPS(engine_pop_handshake, struct event_handshake, fake.handshakes, fake.handshakes_n)

uint32_t engine_session_index(const struct session *s)
{
    (void)s;
    return 0;
}

struct session *engine_session_new(uint32_t local_index, uint32_t remote_index, bool initiator,
                                   time_ns created, const uint8_t send_key[32],
                                   const uint8_t receive_key[32])
{
    (void)local_index, (void)remote_index, (void)initiator, (void)created, (void)send_key,
        (void)receive_key;
    return (struct session *)&fake;
}

/* ---- the host ---- */

enum err routes_product_add(struct routes *r, const struct ip_prefix *dst)
{
    (void)r, (void)dst;
    fake.host_routes++;
    return fake.host_err;
}

enum err routes_product_del(struct routes *r, const struct ip_prefix *dst)
{
    (void)r, (void)dst;
    fake.host_routes--;
    return fake.host_err;
}

enum err routes_product_rules(struct routes *r, unsigned family, uint32_t mark)
{
    (void)r, (void)mark;
    fake.rules++;
    return fake.rules_err[family == ADDR_V6];
}

enum err routes_lan_sync(struct routes *r)
{
    (void)r;
    return fake.host_err;
}

const char *routes_why(const struct routes *r)
{
    (void)r;
    return "because";
}

bool tun_steered(const struct tun *tun)
{
    (void)tun;
    return false;
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
IGNORED(engine_inject, struct engine *e, const uint8_t *packet, uint32_t len)
IGNORED(engine_watch_port, struct engine *e, enum engine_watch what, uint16_t port, bool on)
IGNORED(engine_peer_arm, struct peer *p, uint32_t bits)
IGNORED(engine_peer_disarm, struct peer *p, uint32_t bits)
IGNORED(engine_events_begin, struct engine *e)
IGNORED(engine_events_again, struct engine *e)
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
IGNORED(udp_group_close, struct udp_group *g)
REFUSED(bool, engine_source_wanted, struct engine *e, const struct ip_addr *dst, time_ns now,
        uint64_t *generation)
REFUSED(enum err, source_resolve, struct source *s, const struct ip_addr *dst,
        struct ip_source *out)

/* One address of ours that nothing has come to yet. */
uint32_t source_interface(struct source *s, const struct ip_addr *address)
{
    fake.interfaces_asked++;
    return address->bytes[3] == 12 ? 6 : 0;
}

REFUSED(enum err, routes_product_guard, struct routes *r, unsigned family)
REFUSED(enum err, tun_write, struct tun *tun, const uint8_t *packet, size_t len)
REFUSED(bool, engine_pop_dns, struct engine *e, struct event_packet *out)
REFUSED(enum err, tun_steer_set, struct tun *tun, const struct ip_prefix *prefix, unsigned queue)
REFUSED(enum err, tun_steer_clear, struct tun *tun, const struct ip_prefix *prefix)
REFUSED(enum err, tunnel_settings_apply, struct tunnel *tunnel, const struct device_update *update)
REFUSED(enum err, udp_group_open, struct udp_group *g, const struct udp_config *config, char *why,
        unsigned why_size)

/* ---- whoever finds the paths ---- */

static void on_packet(void *arg, const struct sock_addr *local, const struct sock_addr *from,
                      const uint8_t *bytes, size_t len)
{
    fake.packet_events++;
    fake.local = *local;
    fake.from = *from;
}

static void on_sockets(void *arg)
{
    fail();
}

static void on_gone(void *arg)
{
    assert_ptr_equal(arg, &fake);
    fake.gone++;
}

static void on_address_lost(void *arg, const struct ip_addr *ip)
{
    fake.lost = *ip;
}

static void on_peer(void *arg, void *peer_arg, enum p2p_peer_news news)
{
    assert_ptr_equal(arg, &fake);
    fake.peer_arg = peer_arg;
    fake.ups += news == P2P_PEER_UP;
    fake.failures += news == P2P_PEER_FAILED;
}

static void on_inner(void *arg, void *peer_arg, const uint8_t *packet, size_t len)
{
    fake.peer_arg = peer_arg;
    fake.inner_len = len;
    fake.inner_first = packet[0];
}

static void on_traffic(void *arg, void *peer_arg, struct node_traffic traffic)
{
    fake.peer_arg = peer_arg;
    fake.traffic = traffic;
    fake.traffics++;
}

static void on_wanted(void *arg, void *resource_arg)
{
    assert_ptr_equal(arg, &fake);
    fake.wanted = resource_arg;
    fake.wanteds++;
}

static void on_dns(void *arg, const uint8_t *packet, size_t len)
{
    fail();
}

static void on_prohibited(void *arg, const struct ip_addr *destination)
{
    fake.lost = *destination;
}

static const struct tunnel_p2p_events events = {on_packet, on_sockets,   on_address_lost, on_peer,
                                                on_inner,  on_traffic,   on_wanted,       on_dns,
                                                on_dns,    on_prohibited};

/* ---- arranging ---- */

static int set_up(void **state)
{
    (void)state;
    const uint8_t key[32] = {1};

    memset(&fake, 0, sizeof fake);
    fake.now = SEC(1000);
    t = calloc(1, sizeof *t);
    t->options.p2p = &events;
    t->options.p2p_arg = &fake;
    t->options.gone = on_gone;
    t->options.gone_arg = &fake;
    t->v4.port = 52625;
    t->v6.port = 52626;
    allowed_init(&t->allowed);
    index_init(&t->indices);
    tunnel_updates_init(t);
    tunnel_roam_init(t);
    tunnel_policy_init(t);
    loop_timer_init(&t->overflow_timer, NULL, NULL);
    noise_identity_init(t->identity, key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tunnel_policy_fini(t);
    tunnel_updates_fini(t);
    assert_int_equal(fake.timers_n, 0);
    for (uint32_t i = 0; i < TUNNEL_PEERS_MAX; i++)
        free(fake.peers[i]);
    free(fake.routes);
    index_fini(&t->indices);
    allowed_fini(&t->allowed);
    free(t);
    return 0;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    assert_int_equal(ip_prefix_parse(&p, text), ERR_OK);
    return p;
}

static inline struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static struct noise_identity remote_of(unsigned n)
{
    struct noise_identity id;
    uint8_t key[WG_KEY_LEN] = {7};
    store_le32(key + 8, n);
    noise_identity_init(&id, key);
    return id;
}

static struct tunnel_peer *add_peer(unsigned n, uint32_t group, bool controlling, void *arg)
{
    static const uint8_t psk[WG_KEY_LEN] = {0x42};
    uint8_t bytes[4] = {100, 64, (uint8_t)(n >> 8), (uint8_t)n};
    struct ip_prefix own = {.ip = ip_addr_v4(bytes), .len = 32};
    uint8_t key[WG_KEY_LEN] = {9};
    struct noise_identity remote;
    struct tunnel_p2p_peer config = {.public_key = key,
                                     .preshared_key = psk,
                                     .allowed = &own,
                                     .allowed_n = 1,
                                     .controlling = controlling,
                                     .group = group,
                                     .arg = arg};

    store_le32(key + 8, n);
    if (arg) { /* one that is spoken with */
        remote = remote_of(n);
        memcpy(key, remote.public_key, sizeof key);
    }
    return tunnel_p2p_add(t, &config);
}

static void forget_steps(void)
{
    fake.steps_n = 0;
}

static void events_come(void)
{
    tunnel_on_events(t, 0);
}

/* The number-th step is this one. */
static const struct command *assert_step(unsigned number, unsigned kind)
{
    assert_true(number < fake.steps_n);
    assert_int_equal(fake.steps[number].c.kind, kind);
    return &fake.steps[number].c;
}

static const struct command *step_of(enum command_kind kind)
{
    for (unsigned i = 0; i < fake.steps_n; i++) {
        if (fake.steps[i].c.kind == kind)
            return &fake.steps[i].c;
    }
    return NULL;
}

/* Whom packets to the prefix get to, as published. */
static inline uint32_t slot_routed(const char *text)
{
    struct ip_prefix p = prefix(text);

    for (size_t i = 0; i < fake.routes_n; i++) {
        if (fake.routes[i].prefix.len == p.len && ip_addr_equal(&fake.routes[i].prefix.ip, &p.ip))
            return fake.routes[i].peer & ((1u << ENGINE_OWNER_SHIFT) - 1);
    }
    return UINT32_MAX;
}

static inline void edge_comes(uint32_t slot, uint32_t bits)
{
    fake.edge_bits = bits;
    fake.edges[fake.edges_n++] = (struct event_edge){.kind = EVENT_EDGE_PEER, .slot = slot};
    events_come();
}

#endif
