/* SPDX-License-Identifier: Apache-2.0 */
/* The engine between memory and memory, see pipeline_run.h. */
#include "bench/pipeline_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/io_memory.h"
#include "bench/traffic.h"
#include "engine/coalesce.h"
#include "engine/engine.h"
#include "engine/wire/channel.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/thread.h"

enum {
    WARM_MS = 30,
    SETTLE_MS = 5,
    PATIENCE_MS = 20000, /* valgrind is slow */
    SLOT_BYTES = 66 * 1024,
    CHUNK = 32
};

struct bench_engine {
    struct engine *engine;
    struct traffic *traffic[IO_MEMORY_WORKERS_MAX];
    struct io_memory_plan plan;
};

static void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0)
        ;
}

/* Frees what the workers give back; there is nothing else to control. */
static void take_events(struct engine *e)
{
    struct event_edge edge;
    struct event_ack ack;
    engine_events_begin(e);
    while (engine_pop_edge(e, &edge))
        ;
    while (engine_pop_ack(e, &ack)) {
        if (ack.kind == ACK_SESSION_GONE)
            engine_session_free(ack.session);
        else if (ack.kind == ACK_PEER_GONE)
            engine_peer_free(ack.peer);
    }
}

static uint64_t total(const struct engine *e, enum verdict v)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < engine_workers(e); i++)
        sum += counter_read(&engine_counters(e, i)->verdicts[v]);
    return sum;
}

/* A peer with a session at worker `i`, and traffic to it, or from it. */
static void add_peer(struct bench_engine *b, const struct pipeline_case *c, unsigned i,
                     struct engine_route *route)
{
    uint32_t index = (uint32_t)i << ENGINE_OWNER_SHIFT | (i + 1);
    struct peer *p = engine_peer_new(i, i);
    struct command endpoint = {.kind = COMMAND_ENDPOINT, .slot = i};
    uint8_t key[CRYPT_KEY_LEN];

    memset(key, (int)(i + 1), sizeof key);
    b->traffic[i] = mem_zalloc(1, sizeof *b->traffic[i]);
    traffic_init(b->traffic[i], &(struct traffic_config){.peer = i,
                                                         .inbound = c->ingress,
                                                         .inner_len = c->inner_len,
                                                         .channel = c->channel ? CHANNEL_FIRST : 0,
                                                         .receiver = index,
                                                         .key = key});
    endpoint.endpoint.channel = b->traffic[i]->channel;
    b->plan.traffic[i] = b->traffic[i];
    *route = (struct engine_route){.prefix = {.ip = traffic_address(i, true), .len = 32},
                                   .peer = engine_peer_value(p)};
    endpoint.endpoint.to =
        (struct sock_addr){.ip = ip_addr_v4((const uint8_t[]){192, 0, 2, 1}), .port = 1};
    engine_command(b->engine, i, &(struct command){.kind = COMMAND_PEER_ADD, .slot = i, .peer = p});
    engine_command(b->engine, i, &endpoint);
    engine_command(b->engine, i,
                   &(struct command){
                       .kind = COMMAND_SESSION_ADD,
                       .slot = i,
                       .session = engine_session_new(index, index, true, clock_now(), key, key)});
}

static bool start(struct bench_engine *b, const struct pipeline_case *c, char *why, size_t why_size)
{
    struct engine_config config = {.workers = c->workers,
                                   .fixed_paths = c->channel,
                                   .crypto = c->crypto,
                                   .mtu = c->inner_len,
                                   .peers_max = IO_MEMORY_WORKERS_MAX,
                                   .helpers = ENGINE_HELPERS_ALWAYS,
                                   .pin = true};
    struct engine_tun tun = {.queues = c->workers, .offloads = COALESCE_TCP | COALESCE_UDP};
    struct engine_route routes[IO_MEMORY_WORKERS_MAX];

    memset(b, 0, sizeof *b);
    b->plan = (struct io_memory_plan){.ingress = c->ingress,
                                      .sources = c->peers,
                                      .burst = PIPELINE_BURST,
                                      .chunk = c->apart && c->ingress ? CHUNK : 0,
                                      .packets = c->packets};
    if (engine_new(&b->engine, &config, why, (unsigned)why_size) != ERR_OK)
        return false;
    for (unsigned i = 0; i < c->workers; i++)
        tun.fds[i] = (int)i;
    for (unsigned i = 0; i < c->peers; i++)
        add_peer(b, c, i, &routes[i]);
    io_memory_use(&b->plan);
    if (engine_set_routes(b->engine, routes, c->peers) != ERR_OK) {
        snprintf(why, why_size, "not enough memory for the routes");
        return false;
    }
    return engine_start(b->engine, &tun, why, (unsigned)why_size) == ERR_OK;
}

static void stop(struct bench_engine *b)
{
    engine_free(b->engine);
    for (unsigned i = 0; i < ARRAY_LEN(b->traffic); i++) {
        if (b->traffic[i])
            traffic_fini(b->traffic[i]);
        free(b->traffic[i]);
    }
}

static bool wait_done(struct bench_engine *b)
{
    for (unsigned ms = 0; ms < PATIENCE_MS; ms++) {
        if (io_memory_done())
            return true;
        take_events(b->engine);
        sleep_ms(1);
    }
    return false;
}

/* The count when the last batches are back from helpers. */
static uint64_t settled(const struct bench_engine *b, enum verdict v)
{
    uint64_t last, n = total(b->engine, v);
    do {
        last = n;
        sleep_ms(SETTLE_MS);
        n = total(b->engine, v);
    } while (n != last);
    return n;
}

/* Counts for c->ms, or until each source has given its packets. */
static bool count(struct bench_engine *b, const struct pipeline_case *c,
                  struct pipeline_outcome *out)
{
    double rate = count_clock_rate();
    time_ns begin = clock_now();

    io_memory_phase(IO_MEMORY_COUNT);
    for (unsigned ms = 0; ms < c->ms && c->packets == 0; ms++) {
        sleep_ms(1);
        take_events(b->engine);
    }
    if (c->packets > 0 && !wait_done(b))
        return false;
    out->wall_ns = clock_now() - begin;
    io_memory_phase(IO_MEMORY_IDLE);
    out->clock_rate = (rate + count_clock_rate()) / 2;
    return wait_done(b);
}

static void add_totals(struct pipeline_outcome *out, const struct io_memory_totals *t)
{
    out->counts.ns += t->counts.ns;
    out->counts.instructions += t->counts.instructions;
    out->counts.cycles += t->counts.cycles;
    out->counts.allocated += t->counts.allocated;
    out->packets += t->packets;
    out->sends += t->sends;
    out->frames += t->frames;
    out->bytes += t->bytes;
    if (t->packets > 0 && t->counts.ns > 0)
        out->rate += (double)t->packets / (double)t->counts.ns;
}

/* Everything that was given arrived, and what was looked at was right. */
static bool check(const struct bench_engine *b, const struct pipeline_case *c, uint64_t before,
                  uint64_t packets, char *why, size_t why_size)
{
    enum verdict forwarded = c->ingress ? VERDICT_IN_FORWARDED : VERDICT_OUT_FORWARDED;
    uint64_t arrived = total(b->engine, forwarded) - before;
    struct io_memory_totals t = io_memory_totals(0);

    /* The last batches may still be with a helper. */
    for (unsigned ms = 0; ms < PATIENCE_MS && arrived != packets; ms++) {
        sleep_ms(1);
        arrived = total(b->engine, forwarded) - before;
    }
    if (arrived != packets)
        snprintf(why, why_size, "%llu of %llu packets arrived", (unsigned long long)arrived,
                 (unsigned long long)packets);
    else if (!c->ingress && (t.verified == 0 || t.wrong > 0))
        snprintf(why, why_size, "%llu of %llu datagrams that were opened are not what was sent",
                 (unsigned long long)t.wrong, (unsigned long long)t.verified);
    else
        return true;
    return false;
}

bool pipeline_run(const struct pipeline_case *c, struct pipeline_outcome *out, char *why,
                  size_t why_size)
{
    struct bench_engine b;
    bool ok = false;

    memset(out, 0, sizeof *out);
    if (!start(&b, c, why, why_size))
        goto out;
    out->crypto = engine_crypto_name(b.engine);
    io_memory_phase(IO_MEMORY_WARM);
    sleep_ms(WARM_MS);
    io_memory_phase(IO_MEMORY_IDLE);
    if (!wait_done(&b)) {
        snprintf(why, why_size, "the workers do not come to rest");
        goto out;
    }
    uint64_t before = settled(&b, c->ingress ? VERDICT_IN_FORWARDED : VERDICT_OUT_FORWARDED);
    if (!count(&b, c, out)) {
        snprintf(why, why_size, "the workers do not come to an end");
        goto out;
    }
    for (unsigned i = 0; i < c->workers; i++) {
        struct io_memory_totals t = io_memory_totals(i);
        add_totals(out, &t);
    }
    ok = check(&b, c, before, out->packets, why, why_size);
out:
    stop(&b);
    return ok;
}

/* ---- the AEAD alone ---- */

struct aead_loop {
    const struct pipeline_case *c;
    struct count count;
    uint64_t packets;
    time_ns until;
    bool failed;
};

static void *aead_main(void *arg)
{
    struct aead_loop *l = arg;
    uint8_t raw[CRYPT_KEY_LEN] = {1};
    struct traffic *t = mem_zalloc(1, sizeof *t);
    uint8_t *slots = mem_check(aligned_alloc(64, (size_t)PIPELINE_BURST * SLOT_BYTES));
    struct crypt_packet packets[CRYPT_BATCH_MAX];
    struct crypt crypt;

    traffic_init(t,
                 &(struct traffic_config){.inner_len = l->c->inner_len, .receiver = 1, .key = raw});
    l->failed = crypt_init(&crypt, l->c->crypto) != ERR_OK;
    memset(slots, 1, (size_t)PIPELINE_BURST * SLOT_BYTES);
    count_open(&l->count);
    while (!l->failed &&
           (l->c->packets > 0 ? l->packets < l->c->packets : clock_now() < l->until)) {
        for (unsigned s = 0; s < PIPELINE_BURST; s++) {
            for (unsigned i = 0; i < t->per_frame; i++)
                packets[i] = (struct crypt_packet){.data = slots + s * SLOT_BYTES +
                                                           i * (t->inner_len + WG_DATA_OVERHEAD) +
                                                           WG_DATA_PACKET,
                                                   .len = t->inner_len,
                                                   .counter = l->packets + i};
            if (!l->c->ingress)
                count_begin(&l->count);
            crypt_seal(&crypt, &t->key, packets, t->per_frame);
            if (l->c->ingress) {
                count_begin(&l->count);
                l->failed |= crypt_open(&crypt, &t->key, packets, t->per_frame) != t->per_frame;
            }
            count_end(&l->count);
            l->packets += t->per_frame;
        }
    }
    count_close(&l->count);
    traffic_fini(t);
    free(t);
    free(slots);
    return NULL;
}

bool pipeline_ceiling(const struct pipeline_case *c, struct pipeline_outcome *out, char *why,
                      size_t why_size)
{
    struct aead_loop loops[IO_MEMORY_WORKERS_MAX];
    pthread_t threads[IO_MEMORY_WORKERS_MAX];
    unsigned started = 0;
    bool ok = true;

    memset(out, 0, sizeof *out);
    memset(loops, 0, sizeof loops);
    time_ns begin = clock_now();
    for (; started < c->workers; started++) {
        loops[started] = (struct aead_loop){.c = c, .until = begin + c->ms * NS_PER_MS};
        if (thread_start(&threads[started], "fz-aead", thread_cpu_nth(started), aead_main,
                         &loops[started]) != ERR_OK)
            break;
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        struct io_memory_totals t = {.counts = loops[i].count.sum, .packets = loops[i].packets};
        add_totals(out, &t);
        ok &= !loops[i].failed;
    }
    out->wall_ns = clock_now() - begin;
    if (!ok || started < c->workers)
        snprintf(why, why_size, "the AEAD alone cannot be measured: %s",
                 ok ? "no thread could be started" : "this CPU lacks the chosen --crypto");
    return ok && started == c->workers;
}
