/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine without threads, sockets and ciphers, below the real control code: the real rules of the workers, their commands, staging
 * and key slots, and in place of trains the world's queue. Included once per program.
 *
 *     TUN --- egress.c, client.c, gateway.c ---> train_append --- queue ---> data_comes --- client.c, gateway.c ---> TUN
 *     tunnel.h --- engine_command --- queue ---> execute.c --- rings ---> tunnel_on_events
 */
#ifndef FZ_TESTS_SIM_TUNNEL_ENGINE_H
#define FZ_TESTS_SIM_TUNNEL_ENGINE_H

#include "control/tunnel_private.h"
#include "engine/grants.h"
#include "engine/policy.h"
#include "engine/wire/inner.h"
#include "engine/wire/ranges.h"
#include "engine/worker.h"
#include "tests/sim_tunnel_world.h"

enum {
    BELOW_MTU = 1280,
    BELOW_STAGE = 256, /* packets that wait at an end */
    BELOW_TRAINS = 40, /* always free */
    BELOW_NAT = 1 << 15,
    BELOW_CLIENTS = 2048 /* of a gateway */
};

struct io {
    struct end *end;
};

/* The part of an end that is below control. */
struct below {
    struct engine engine; /* first */
    struct counters counters;
    struct worker *worker;
    struct io io;
    struct command *commands;
    size_t commands_n;
    bool commands_queued, events_queued;
};

static void events_soon(struct end *e)
{
    struct below *b = e->below;

    if (!b->events_queued)
        (void)work_new(WORK_EVENTS, e, 0);
    b->events_queued = true;
}

/* ---- the engine: control's side ---- */

static struct below *below_of(struct engine *e)
{
    return (struct below *)(void *)e;
}

unsigned engine_workers(const struct engine *e)
{
    return e->config.workers;
}

unsigned engine_threads(const struct engine *e)
{
    return e->workers_n;
}

void engine_command(struct engine *e, unsigned worker, const struct command *c)
{
    struct below *b = below_of(e);

    ASSERT(worker == 0);
    b->commands = mem_grow(b->commands, b->commands_n, sizeof *b->commands);
    b->commands[b->commands_n++] = *c;
    if (!b->commands_queued)
        (void)work_new(WORK_COMMANDS, b->io.end, 0);
    b->commands_queued = true;
}

bool engine_commands_flush(struct engine *e)
{
    (void)e;
    return true;
}

void engine_events_begin(struct engine *e)
{
    (void)e;
}

void engine_events_again(struct engine *e)
{
    events_soon(below_of(e)->io.end);
}

bool engine_pop_edge(struct engine *e, struct event_edge *out)
{
    return edge_ring_pop_spsc(&e->workers[0]->edges, out);
}

bool engine_pop_ack(struct engine *e, struct event_ack *out)
{
    while (ack_ring_pop_spsc(&e->workers[0]->acks, out)) {
        if (out->kind != ACK_BLOCK)
            return true;
        free(out->block);
    }
    return false;
}

bool engine_pop_handshake(struct engine *e, struct event_handshake *out)
{
    return handshake_ring_pop_spsc(&e->workers[0]->handshakes, out);
}

bool engine_pop_packet(struct engine *e, struct event_packet *out)
{
    return packet_ring_pop_spsc(&e->workers[0]->packets, out);
}

bool engine_pop_dns(struct engine *e, struct event_packet *out)
{
    return e->config.role == ENGINE_CLIENT && dns_ring_pop_spsc(&e->workers[0]->dns, out);
}

enum err engine_set_routes(struct engine *e, const struct engine_route *routes, size_t n)
{
    struct route_builder b;
    enum err err = ERR_OK;

    route_builder_init(&b);
    for (size_t i = 0; i < n && err == ERR_OK; i++)
        err = route_builder_add(&b, &routes[i].prefix, routes[i].peer);
    ASSERT(err == ERR_OK);
    snapshot_publish(&e->domain, &e->routes, route_builder_build(&b), route_table_free);
    route_builder_fini(&b);
    snapshot_reclaim(&e->domain);
    return ERR_OK;
}

void engine_reclaim(struct engine *e)
{
    snapshot_reclaim(&e->domain);
}

/* ---- the engine: what its rules stand on ---- */

static bool raised_lately(const struct worker *w, time_ns *last)
{
    bool lately = *last != 0 && time_since(w->now, *last) < SEC(1);

    if (!lately)
        *last = w->now;
    return lately;
}

void worker_raise(struct worker *w, struct peer *p, uint32_t bits)
{
    struct event_edge e = {.kind = EVENT_EDGE_PEER, .slot = p->slot};

    if ((bits & EDGE_WANT_HANDSHAKE) && raised_lately(w, &p->asked_at))
        bits &= ~(uint32_t)EDGE_WANT_HANDSHAKE;
    if (bits == 0 || !edge_raise(&p->shared.edges, bits))
        return;
    bool pushed = edge_ring_push_spsc(&w->edges, &e);
    ASSERT(pushed);
    events_soon(w->io->end);
}

void worker_ack(struct worker *w, const struct event_ack *ack)
{
    bool pushed = ack_ring_push_spsc(&w->acks, ack);

    ASSERT(pushed);
    events_soon(w->io->end);
}

/* Whose socket has this address; NULL: nobody's. */
static struct end *end_of_address(const struct sock_addr *a)
{
    return end_at((unsigned)a->ip.bytes[2] << 8 | a->ip.bytes[3]);
}

static struct sock_addr world_address(unsigned number)
{
    const uint8_t bytes[4] = {198, 18, (uint8_t)(number >> 8), (uint8_t)number};

    return (struct sock_addr){.ip = ip_addr_v4(bytes), .port = TUNNEL_P2P_PORT};
}

uint8_t *train_append(struct worker *w, struct peer *p, struct session *s, uint32_t len,
                      uint8_t ecn)
{
    static uint8_t nowhere[BELOW_MTU];
    struct peer_shared *shared = &p->shared;
    struct end *to = end_of_address(&p->endpoint);

    (void)ecn;
    ASSERT(len <= BELOW_MTU);
    s->send_counter++;
    counter_set(&shared->last_sent, w->now);
    counter_set(&shared->unacked_since, 0);
    if (len > 0) {
        counter_set(&shared->last_packet, w->now);
        count(w, VERDICT_OUT_FORWARDED, 1);
    }
    if (len > 0 && counter_read(&shared->unanswered_since) == 0) {
        counter_set(&shared->unanswered_since, w->now);
        if (arm_missing(&shared->armed, ARM_ANSWER))
            worker_raise(w, p, EDGE_DATA_SENT);
    }
    if (session_rekey_on_send(s, w->now))
        worker_raise(w, p, EDGE_WANT_HANDSHAKE);
    if (!to)
        return nowhere;
    struct work *x = work_new(WORK_DATA, to, len);
    x->index = s->remote_index;
    return x->bytes;
}

bool train_send_small(struct worker *w, const struct sock_addr *to, const struct ip_source *from,
                      const uint8_t *bytes, size_t len)
{
    struct end *e = end_of_address(to);

    (void)from;
    if (!e)
        return true;
    struct work *x = work_new(WORK_HANDSHAKE, e, len);
    memcpy(x->bytes, bytes, len);
    x->from = world_address(w->io->end->number);
    return true;
}

void io_tun_write(struct io *io, struct io_frame *frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ASSERT(frames[i].n_iov == 1);
        world.tun(io->end, (const uint8_t *)frames[i].iov->iov_base + VNET_HDR_LEN,
                  frames[i].iov->iov_len - VNET_HDR_LEN);
    }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define NOTHING(name, ...)                                                                         \
    void name(__VA_ARGS__)                                                                         \
    {                                                                                              \
    }
#define REFUSED(type, name, ...)                                                                   \
    type name(__VA_ARGS__)                                                                         \
    {                                                                                              \
        return (type)0;                                                                            \
    }
NOTHING(train_flush, struct worker *w)
NOTHING(train_flush_peer, struct worker *w, struct peer *p)
NOTHING(train_collect, struct worker *w)
NOTHING(train_collect_queued, struct worker *w, bool wait)
NOTHING(train_drop_parked, struct worker *w)
NOTHING(help_work, struct worker *w)
NOTHING(help_drain, struct worker *w)
NOTHING(io_flush, struct io *io)
NOTHING(io_detach_udp, struct io *io)
NOTHING(engine_set_gate, struct engine *e, const uint8_t key[32], const uint8_t secret[32])
NOTHING(engine_rotate_gate, struct engine *e, const uint8_t secret[32])
NOTHING(engine_source_answer, struct engine *e, uint64_t generation, const struct ip_addr *dst,
        const struct ip_source *source, time_ns now)
NOTHING(engine_sources_invalidate, struct engine *e)
NOTHING(resolve_add, struct resolve *r, const char *host, uint16_t port, void *tag)
NOTHING(resolve_cancel, struct resolve *r, const void *tag)
NOTHING(resolve_retry_now, struct resolve *r)
NOTHING(tunnel_names_came, struct tunnel *tunnel)
NOTHING(udp_group_close, struct udp_group *g)
REFUSED(bool, handoff_lend, struct worker *w, unsigned target, const struct io_rx *rx)
REFUSED(enum err, io_attach_udp, struct io *io, unsigned family, int fd)
REFUSED(bool, engine_source_wanted, struct engine *e, const struct ip_addr *dst, time_ns now,
        uint64_t *generation)
REFUSED(enum err, source_resolve, struct source *s, const struct ip_addr *dst,
        struct ip_source *out)
REFUSED(uint32_t, source_interface, struct source *s, const struct ip_addr *address)
REFUSED(enum err, routes_product_add, struct routes *r, const struct ip_prefix *dst)
REFUSED(enum err, routes_product_del, struct routes *r, const struct ip_prefix *dst)
REFUSED(enum err, routes_product_rules, struct routes *r, unsigned family, uint32_t mark)
REFUSED(enum err, routes_product_guard, struct routes *r, unsigned family)
REFUSED(enum err, routes_lan_sync, struct routes *r)
REFUSED(const char *, routes_why, const struct routes *r)
REFUSED(bool, tun_steered, const struct tun *tun)
REFUSED(enum err, tun_write, struct tun *tun, const uint8_t *packet, size_t len)
REFUSED(enum err, tun_steer_set, struct tun *tun, const struct ip_prefix *prefix, unsigned queue)
REFUSED(enum err, tun_steer_clear, struct tun *tun, const struct ip_prefix *prefix)
REFUSED(enum err, tunnel_settings_apply, struct tunnel *tunnel, const struct device_update *update)
REFUSED(enum err, udp_group_open, struct udp_group *g, const struct udp_config *config, char *why,
        unsigned why_size)
#pragma GCC diagnostic pop

/* ---- the engine: its life ---- */

static void rings_init(struct worker *w, bool gateway)
{
    bool ok = edge_ring_init(&w->edges, 4096) == ERR_OK &&
              ack_ring_init(&w->acks, 8192) == ERR_OK &&
              handshake_ring_init(&w->handshakes, gateway ? 2048 : 64) == ERR_OK &&
              packet_ring_init(&w->packets, RING_PACKETS) == ERR_OK &&
              dns_ring_init(&w->dns, 16) == ERR_OK;

    ASSERT(ok);
}

static void stage_small(struct stage_pool *s)
{
    *s = (struct stage_pool){.slot_size = BELOW_MTU, .n = BELOW_STAGE, .free_n = BELOW_STAGE};
    s->bytes = mem_zalloc(BELOW_STAGE, BELOW_MTU);
    s->lens = mem_zalloc(BELOW_STAGE, sizeof *s->lens);
    s->free_list = mem_zalloc(BELOW_STAGE, sizeof *s->free_list);
    for (uint16_t i = 0; i < BELOW_STAGE; i++)
        s->free_list[i] = i;
}

static struct below *below_new(struct end *end, enum engine_role role)
{
    size_t size = ALIGN_UP(sizeof(struct below), (size_t)CACHE_LINE);
    struct below *b = mem_check(aligned_alloc(CACHE_LINE, size));
    struct worker *w =
        mem_check(aligned_alloc(CACHE_LINE, ALIGN_UP(sizeof(struct worker), (size_t)CACHE_LINE)));
    struct engine *e = &b->engine;

    memset(b, 0, size);
    memset(w, 0, sizeof *w);
    e->config = (struct engine_config){.workers = 1,
                                       .mtu = BELOW_MTU,
                                       .peers_max = TUNNEL_PEERS_MAX,
                                       .fixed_paths = true,
                                       .role = role};
    e->workers_n = 1;
    e->workers[0] = w;
    e->counters = &b->counters;
    snapshot_domain_init(&e->domain, 1);
    snapshot_reader_offline(&e->domain, 0); /* it never reads while control writes */
    w->engine = e;
    w->domain = &e->domain;
    w->counters = e->counters;
    w->io = &b->io;
    w->peers = mem_zalloc(e->config.peers_max, sizeof(void *));
    w->sessions = mem_zalloc(SESSION_TABLE, sizeof(void *));
    w->trains_free_n = BELOW_TRAINS;
    rings_init(w, role == ENGINE_GATEWAY);
    stage_small(&w->stage);
    if (role == ENGINE_GATEWAY) {
        size_t nat = nat_size(BELOW_NAT, BELOW_CLIENTS);
        w->nat_memory = mem_check(aligned_alloc(CACHE_LINE, ALIGN_UP(nat, (size_t)CACHE_LINE)));
        memset(w->nat_memory, 0, nat);
        nat_init(&w->nat, w->nat_memory, BELOW_NAT, BELOW_CLIENTS, world_random());
    }
    b->worker = w;
    b->io.end = end;
    return b;
}

static void peer_free_all(struct peer *p)
{
    struct session *sessions[] = {p->current, p->previous, p->next};

    for (unsigned i = 0; i < ARRAY_LEN(sessions); i++) {
        if (sessions[i])
            engine_session_free(sessions[i]);
    }
    engine_peer_free(p);
}

/* Control has taken all acknowledgements. */
static void below_free(struct below *b)
{
    struct worker *w = b->worker;
    struct engine *e = &b->engine;

    for (uint32_t i = 0; i < e->config.peers_max; i++) {
        if (w->peers[i])
            peer_free_all(w->peers[i]);
    }
    edge_ring_fini(&w->edges);
    ack_ring_fini(&w->acks);
    handshake_ring_fini(&w->handshakes);
    packet_ring_fini(&w->packets);
    dns_ring_fini(&w->dns);
    stage_fini(&w->stage);
    free(w->nat_memory);
    free(w->peers);
    free(w->sessions);
    free(w);
    snapshot_domain_fini(&e->domain);
    route_table_free(e->routes);
    free(e->own);
    policy_free(e->policy);
    policy_names_fini(&e->names);
    free(b->commands);
    free(b);
}

/* ---- the engine: the worker's loop, in pieces ---- */

static struct worker *worker_begin(struct end *e)
{
    struct worker *w = e->below->worker;

    w->now = world.now;
    w->routes = snapshot_read(&w->engine->routes);
    w->policy = snapshot_read(&w->engine->policy);
    return w;
}

static void commands_run(struct end *e)
{
    struct below *b = e->below;
    size_t n = b->commands_n;
    struct command *list = b->commands;

    b->commands = NULL;
    b->commands_n = 0;
    b->commands_queued = false;
    role_enter(&role_worker);
    for (size_t i = 0; i < n; i++)
        worker_execute(worker_begin(e), &list[i]);
    role_leave(&role_worker);
    free(list);
}

/* An authentic packet, as engine/ingress.c takes it. */
static void data_enters(struct worker *w, struct peer *p, uint8_t *packet, uint32_t len)
    REQUIRES_ROLE(role_worker)
{
    struct ip_view v;

    if (!ip_parse(&v, packet, len)) {
        count(w, VERDICT_IN_BAD_PACKET, 1);
        return;
    }
    if (v.proto == INNER_PROTO && inner_is_control(&v, packet)) {
        gate_inner(w, p, packet, v.total_len);
        events_soon(w->io->end);
        return;
    }
    if (w->engine->config.role == ENGINE_CLIENT ? !client_accepts(w, p, &v, packet)
                                                : !gateway_accepts(w, p, &v, packet))
        return;
    count(w, VERDICT_IN_FORWARDED, 1);
    world.tun(w->io->end, packet, v.total_len);
}

static void data_comes(struct end *e, struct work *x)
{
    struct worker *w = worker_begin(e);
    struct session *s = w->sessions[x->index & (SESSION_TABLE - 1)];

    if (!s || s->local_index != x->index || !session_can_receive(s, w->now)) {
        count(w, VERDICT_IN_NO_SESSION, 1);
        return;
    }
    struct peer *p = s->peer;
    struct peer_shared *shared = &p->shared;
    role_enter(&role_worker);
    bool confirmed = keys_confirm(w, p, s);
    if (x->len > 0)
        data_enters(w, p, x->bytes, x->len);
    if (confirmed) {
        worker_raise(w, p, EDGE_CONFIRMED);
        egress_staged(w, p);
    }
    counter_set(&shared->last_received, w->now);
    counter_set(&shared->unanswered_since, 0);
    if (x->len > 0)
        counter_set(&shared->last_packet, w->now);
    if (x->len > 0 && counter_read(&shared->unacked_since) == 0) {
        counter_set(&shared->unacked_since, w->now);
        if (arm_missing(&shared->armed, ARM_REPLY))
            worker_raise(w, p, EDGE_DATA_RECEIVED);
    }
    role_leave(&role_worker);
    events_soon(e); /* for what client.c has reported */
}

static void handshake_comes(struct end *e, const struct work *x)
{
    struct event_handshake h = {.from = x->from, .len = (uint8_t)x->len};

    ASSERT(x->len <= sizeof h.bytes);
    h.to.ip = world_address(e->number).ip;
    memcpy(h.bytes, x->bytes, x->len);
    if (handshake_ring_push_spsc(&e->below->worker->handshakes, &h))
        events_soon(e);
}

/* The host's packet, which the end may take for its own only if its rules say so. */
static void tun_read(struct end *e, const struct work *x)
{
    uint8_t frame[IO_VNET_LEN + BELOW_MTU] = {0};
    struct io_rx rx = {.data = frame, .len = IO_VNET_LEN + x->len, .kind = IO_RX_TUN};

    memcpy(frame + IO_VNET_LEN, x->bytes, x->len);
    role_enter(&role_worker);
    enum egress_result result = egress_frame(worker_begin(e), &rx, 0);
    role_leave(&role_worker);
    ASSERT(result == EGRESS_DONE);
    events_soon(e);
}

static void world_tun(struct end *e, const uint8_t *packet, size_t len)
{
    memcpy(work_new(WORK_TUN, e, len)->bytes, packet, len);
}

/* ---- all that is to be done ---- */

static void work_do(struct work *x)
{
    struct end *e = end_at(x->end);

    if (!e || e->life != x->life)
        return;
    switch (x->kind) {
    case WORK_COMMANDS:
        commands_run(e);
        break;
    case WORK_EVENTS:
        e->below->events_queued = false;
        tunnel_on_events(e->tunnel, 0);
        break;
    case WORK_DATA:
        data_comes(e, x);
        break;
    case WORK_HANDSHAKE:
        handshake_comes(e, x);
        break;
    case WORK_TUN:
        tun_read(e, x);
        break;
    case WORK_OTHER:
        x->run(e, x->bytes);
        break;
    }
}

static void queue_run(void)
{
    unsigned long steps = 0;

    while (world.first) {
        struct work *x = world.first;
        world.first = x->next;
        if (!world.first)
            world.last = &world.first;
        if (++steps > WORLD_STEPS_MAX)
            world_fail("it does not come to rest");
        work_do(x);
        free(x);
    }
}

static void world_run(time_ns span)
{
    time_ns end = world.now + span;
    unsigned fired = 0;

    queue_run();
    while (world.timers_n > 0 && world.timers[0]->deadline <= end) {
        struct loop_timer *timer = world.timers[0];
        fired = timer->deadline > world.now ? 0 : fired + 1;
        if (fired > WORLD_STEPS_MAX)
            world_fail("time does not go on");
        world.now = time_max(world.now, timer->deadline);
        loop_timer_clear(NULL, timer);
        timer->fire(timer->arg);
        queue_run();
    }
    world.now = end;
}

/* Until nothing is left that takes no time. */
static void world_settle(void)
{
    world_run(0);
}

#endif
