/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping the workers, and control's side of the queues and snapshots. */
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/cookie_gate.h"
#include "engine/worker.h"
#include "platform/random.h"
#include "platform/thread.h"
#include "platform/tun.h"
#include "platform/udp.h"

_Static_assert((int)TUN_OFFLOAD_TCP == (int)COALESCE_TCP, "offload bits are passed through");
_Static_assert((int)TUN_OFFLOAD_UDP == (int)COALESCE_UDP, "offload bits are passed through");
_Static_assert((int)UDP_OWNER_SHIFT == (int)ENGINE_OWNER_SHIFT, "sockets are steered by owner");

static const uint64_t one = 1;

enum err engine_new(struct engine **out, const struct engine_config *config, char *why,
                    unsigned why_size)
{
    struct crypt probe;

    ASSERT(config->workers >= 1 && config->workers + config->gate <= ENGINE_WORKERS_MAX);
    ASSERT(config->peers_max >= 1 && config->peers_max <= ENGINE_PEERS_MAX);
    *out = NULL;
    if (crypt_init(&probe, config->crypto) != ERR_OK) {
        snprintf(why, why_size,
                 "this CPU cannot run the chosen --crypto backend; use --crypto auto");
        return ERR_UNSUPPORTED;
    }
    struct engine *e = aligned_alloc(CACHE_LINE, ALIGN_UP(sizeof *e, CACHE_LINE));
    if (!e)
        goto no_memory;
    memset(e, 0, sizeof *e);
    e->event_fd = -1;
    e->config = *config;
    e->config.mtu = (uint32_t)size_min(config->mtu, IO_GSO_BYTES_MAX - WG_DATA_OVERHEAD);
    e->workers_n = config->workers + (config->gate ? 1 : 0);
    snapshot_domain_init(&e->domain, e->workers_n);
    e->counters = aligned_alloc(CACHE_LINE, sizeof *e->counters * e->workers_n);
    e->sources = source_cache_new((uint64_t)random_u32() << 32 | random_u32());
    if (!e->counters || !e->sources)
        goto no_memory;
    memset(e->counters, 0, sizeof *e->counters * e->workers_n);
    e->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->event_fd < 0) {
        snprintf(why, why_size, "cannot make an event descriptor: too many open files?");
        engine_free(e);
        return ERR_IO;
    }
    sleeper_prepare(&e->control);
    for (unsigned i = 0; i < e->workers_n; i++) {
        struct worker *w = aligned_alloc(CACHE_LINE, ALIGN_UP(sizeof *w, CACHE_LINE));
        if (!w)
            goto no_memory;
        memset(w, 0, sizeof *w);
        e->workers[i] = w;
        if (worker_init(w, e, i) != ERR_OK)
            goto no_memory;
    }
    *out = e;
    return ERR_OK;
no_memory:
    snprintf(why, why_size, "not enough memory for %u workers", config->workers);
    engine_free(e);
    return ERR_NO_MEMORY;
}

/* All results are there, and nobody writes them any more. */
static enum err first_failure(const struct engine *e)
{
    for (unsigned i = 0; i < e->workers_n; i++) {
        if (e->workers[i]->start_result != ERR_OK)
            return e->workers[i]->start_result;
    }
    return ERR_OK;
}

bool engine_worker_started(struct worker *w)
{
    /* Nobody may be woken before its backend exists, and nobody stays when another one failed. */
    pthread_barrier_wait(&w->engine->started);
    if (first_failure(w->engine) == ERR_OK)
        return true;
    if (w->start_result == ERR_OK)
        io_detach_tun(w->io);
    return false;
}

enum err engine_start(struct engine *e, const struct engine_tun *tun, char *why, unsigned why_size)
{
    e->tun = *tun;
    pthread_barrier_init(&e->started, NULL, e->workers_n + 1);
    for (unsigned i = 0; i < e->workers_n; i++) {
        char name[16];
        snprintf(name, sizeof name, i < e->config.workers ? "fz-worker-%u" : "fz-gate-%u", i);
        int cpu = e->config.pin && i < e->config.workers ? thread_cpu_nth(i) : -1;
        /* A thread that cannot be started would leave the others at the barrier: fatal, like out of memory. */
        if (thread_start(&e->workers[i]->thread, name, cpu, worker_main, e->workers[i]) != ERR_OK) {
            fprintf(stderr, "cannot start worker thread %u of %u\n", i, e->workers_n);
            abort();
        }
        e->workers[i]->started = true;
    }
    pthread_barrier_wait(&e->started);
    enum err err = first_failure(e);
    e->running = err == ERR_OK;
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot start the %s I/O backend: %s",
                 e->config.io == IO_URING ? "io_uring" : "chosen", err_text(err));
    return err;
}

/* ---- taking down: whatever was handed to the engine is freed by it ---- */

static void peer_free_all(struct peer *p)
{
    struct session *sessions[] = {p->current, p->previous, p->next};
    for (unsigned i = 0; i < ARRAY_LEN(sessions); i++) {
        if (sessions[i])
            engine_session_free(sessions[i]);
    }
    engine_peer_free(p);
}

static void command_free(const struct command *c)
{
    if (c->kind == COMMAND_PEER_ADD)
        engine_peer_free(c->peer);
    else if (c->kind == COMMAND_SESSION_ADD)
        engine_session_free(c->session);
    else if (c->kind == COMMAND_PACKET || c->kind == COMMAND_INJECT)
        free(c->block);
}

static void ack_free(const struct event_ack *a)
{
    if (a->kind == ACK_SESSION_GONE)
        engine_session_free(a->session);
    else if (a->kind == ACK_PEER_GONE)
        engine_peer_free(a->peer);
    else if (a->kind == ACK_BLOCK)
        free(a->block);
}

static void worker_free(struct engine *e, unsigned i)
{
    struct worker *w = e->workers[i];
    struct command c;
    struct event_ack a;

    while (w->commands.slots && command_ring_pop_spsc(&w->commands, &c))
        command_free(&c);
    while (w->acks.slots && ack_ring_pop_spsc(&w->acks, &a))
        ack_free(&a);
    for (uint32_t slot = 0; w->peers && slot < e->config.peers_max; slot++) {
        if (w->peers[slot])
            peer_free_all(w->peers[slot]);
    }
    for (size_t k = 0; k < e->overflow[i].n; k++)
        command_free(&e->overflow[i].items[e->overflow[i].head + k]);
    free(e->overflow[i].items);
    if (w->io)
        io_free(w->io);
    worker_fini(w);
    free(w);
}

static void gate_free(void *gate)
{
    if (!gate)
        return;
    cookie_gate_wipe(gate);
    free(gate);
}

/* True: every worker has taken all its commands, which wait while nobody takes the acknowledgements. */
static bool commands_taken(struct engine *e)
{
    struct event_ack a;
    while (engine_pop_ack(e, &a))
        ack_free(&a);
    bool all = engine_commands_flush(e);
    for (unsigned i = 0; i < e->workers_n; i++)
        all = all && command_ring_len(&e->workers[i]->commands) == 0;
    return all;
}

void engine_free(struct engine *e)
{
    bool started = false;

    if (!e)
        return;
    for (unsigned i = 0; i < e->workers_n; i++) {
        started = started || (e->workers[i] && e->workers[i]->started);
        if (e->running)
            engine_command(e, i, &(struct command){.kind = COMMAND_STOP});
    }
    while (e->running && !commands_taken(e))
        usleep(1000);
    for (unsigned i = 0; i < e->workers_n; i++) {
        if (e->workers[i] && e->workers[i]->started)
            pthread_join(e->workers[i]->thread, NULL);
    }
    for (unsigned i = 0; i < e->workers_n; i++) {
        if (e->workers[i])
            worker_free(e, i);
    }
    if (started)
        pthread_barrier_destroy(&e->started);
    snapshot_domain_fini(&e->domain);
    route_table_free(e->routes);
    free(e->own);
    policy_free(e->policy);
    policy_names_fini(&e->names);
    gate_free(e->gate);
    if (e->sources)
        source_cache_free(e->sources);
    if (e->event_fd >= 0)
        close(e->event_fd);
    free(e->counters);
    free(e);
}

/* ---- looking ---- */

unsigned engine_workers(const struct engine *e)
{
    return e->config.workers;
}

unsigned engine_threads(const struct engine *e)
{
    return e->workers_n;
}

const char *engine_io_name(const struct engine *e)
{
    return io_name(e->workers[0]->io);
}

const char *engine_crypto_name(const struct engine *e)
{
    return crypt_name(&e->workers[0]->crypt);
}

const struct counters *engine_counters(const struct engine *e, unsigned worker)
{
    return &e->counters[worker];
}

const struct io_stats *engine_io_stats(const struct engine *e, unsigned worker)
{
    return io_stats(e->workers[worker]->io);
}

/* ---- events ---- */

int engine_event_fd(const struct engine *e)
{
    return e->event_fd;
}

void engine_events_begin(struct engine *e)
{
    uint64_t n;
    if (read(e->event_fd, &n, sizeof n) < 0)
        n = 0; /* nothing signalled: called on suspicion */
    sleeper_prepare(&e->control);
}

void engine_events_again(struct engine *e)
{
    if (write(e->event_fd, &one, sizeof one) < 0)
        return; /* saturated: readable anyway */
}

#define POP(e, kind, ring, out)                                                                    \
    for (unsigned k_ = 0; k_ < (e)->workers_n; k_++) {                                             \
        struct worker *w_ = (e)->workers[(e)->next_pop[kind]];                                     \
        (e)->next_pop[kind] = ((e)->next_pop[kind] + 1) % (e)->workers_n;                          \
        if (ring##_ring_pop_spsc(&w_->ring##s, (out)))                                             \
            return w_;                                                                             \
    }                                                                                              \
    return NULL

static struct worker *pop_edge(struct engine *e, struct event_edge *out)
{
    POP(e, 0, edge, out);
}

static struct worker *pop_ack(struct engine *e, struct event_ack *out)
{
    POP(e, 1, ack, out);
}

static struct worker *pop_handshake(struct engine *e, struct event_handshake *out)
{
    POP(e, 2, handshake, out);
}

static struct worker *pop_packet(struct engine *e, struct event_packet *out)
{
    POP(e, 3, packet, out);
}

static struct worker *pop_dns(struct engine *e, struct event_packet *out)
{
    for (unsigned i = 0; i < e->config.workers; i++) {
        struct worker *w = e->workers[e->next_pop[4]];
        e->next_pop[4] = (e->next_pop[4] + 1) % e->config.workers;
        if (dns_ring_pop_spsc(&w->dns, out))
            return w;
    }
    return NULL;
}

bool engine_pop_edge(struct engine *e, struct event_edge *out)
{
    return pop_edge(e, out) != NULL;
}

static void wake_worker(struct worker *w)
{
    if (sleeper_must_wake(&w->sleeper) && w->io)
        io_wake(w->io);
}

bool engine_pop_ack(struct engine *e, struct event_ack *out)
{
    struct worker *w;

    do {
        w = pop_ack(e, out);
        /* Its commands may wait for room in the ring, which this made. */
        if (w && command_ring_len(&w->commands) > 0)
            wake_worker(w);
        if (w && out->kind == ACK_BLOCK)
            free(out->block);
    } while (w && out->kind == ACK_BLOCK);
    return w != NULL;
}

bool engine_pop_handshake(struct engine *e, struct event_handshake *out)
{
    return pop_handshake(e, out) != NULL;
}

bool engine_pop_packet(struct engine *e, struct event_packet *out)
{
    return pop_packet(e, out) != NULL;
}

bool engine_pop_dns(struct engine *e, struct event_packet *out)
{
    return e->config.role == ENGINE_CLIENT && pop_dns(e, out) != NULL;
}

/* ---- commands ---- */

static void overflow_push(struct overflow *o, const struct command *c)
{
    if (o->head + o->n == o->capacity) {
        size_t capacity = o->n * 2 + 64;
        struct command *items = malloc(capacity * sizeof *items);
        if (!items) {
            fprintf(stderr, "out of memory\n");
            abort();
        }
        if (o->n > 0)
            memcpy(items, o->items + o->head, o->n * sizeof *items);
        free(o->items);
        *o = (struct overflow){.items = items, .n = o->n, .capacity = capacity};
    }
    o->items[o->head + o->n++] = *c;
}

static bool overflow_flush(struct engine *e, unsigned i)
{
    struct overflow *o = &e->overflow[i];
    bool moved = false;
    while (o->n > 0 && command_ring_push_spsc(&e->workers[i]->commands, &o->items[o->head])) {
        secure_wipe(&o->items[o->head], sizeof o->items[0]);
        o->head++;
        o->n--;
        moved = true;
    }
    if (o->n == 0)
        o->head = 0;
    if (moved)
        wake_worker(e->workers[i]);
    return o->n == 0;
}

void engine_command(struct engine *e, unsigned worker, const struct command *c)
{
    ASSERT(worker < e->workers_n);
    if (!overflow_flush(e, worker) || !command_ring_push_spsc(&e->workers[worker]->commands, c)) {
        overflow_push(&e->overflow[worker], c);
        return;
    }
    wake_worker(e->workers[worker]);
}

bool engine_commands_flush(struct engine *e)
{
    bool all = true;
    for (unsigned i = 0; i < e->workers_n; i++)
        all = overflow_flush(e, i) && all;
    return all;
}

/* ---- snapshots ---- */

enum err engine_set_routes(struct engine *e, const struct engine_route *routes, size_t n)
{
    struct route_builder b;
    enum err err = ERR_OK;

    route_builder_init(&b);
    for (size_t i = 0; i < n && err == ERR_OK; i++)
        err = route_builder_add(&b, &routes[i].prefix, routes[i].peer);
    struct route_table *table = err == ERR_OK ? route_builder_build(&b) : NULL;
    route_builder_fini(&b);
    if (!table)
        return err != ERR_OK ? err : ERR_NO_MEMORY;
    snapshot_publish(&e->domain, &e->routes, table, route_table_free);
    snapshot_reclaim(&e->domain);
    return ERR_OK;
}

/* A copy of `from`, or zeroes. */
static struct cookie_gate *gate_new(const struct cookie_gate *from)
{
    struct cookie_gate *gate = calloc(1, sizeof *gate);
    if (!gate) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    if (from)
        *gate = *from;
    return gate;
}

void engine_set_gate(struct engine *e, const uint8_t public_key[WG_KEY_LEN],
                     const uint8_t secret[32])
{
    struct cookie_gate *next = gate_new(NULL);
    cookie_gate_init(next, public_key, secret);
    snapshot_publish(&e->domain, &e->gate, next, gate_free);
    snapshot_reclaim(&e->domain);
}

void engine_rotate_gate(struct engine *e, const uint8_t secret[32])
{
    struct cookie_gate *next = gate_new(e->gate);
    cookie_gate_rotate(next, secret);
    snapshot_publish(&e->domain, &e->gate, next, gate_free);
    snapshot_reclaim(&e->domain);
}

void engine_reclaim(struct engine *e)
{
    snapshot_reclaim(&e->domain);
}

/* ---- source addresses ---- */

bool engine_source_wanted(struct engine *e, const struct ip_addr *dst, time_ns now,
                          uint64_t *generation)
{
    *generation = source_cache_generation(e->sources);
    return source_cache_question(e->sources, dst, now) == SOURCE_QUESTION_RESOLVE;
}

void engine_source_answer(struct engine *e, uint64_t generation, const struct ip_addr *dst,
                          const struct ip_source *source, time_ns now)
{
    /* False: the network changed meanwhile. The worker asks again. */
    if (source)
        (void)source_cache_publish(e->sources, generation, dst, source);
    else
        (void)source_cache_fail(e->sources, generation, dst, now);
}

void engine_sources_invalidate(struct engine *e)
{
    source_cache_invalidate(e->sources);
}
