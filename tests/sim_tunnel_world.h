/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of the simulated tunnels: the ends that there are, time, timers, entropy, and one queue of all that is to be done, so that
 * a run depends on nothing but its seed. Included once per program.
 */
#ifndef FZ_TESTS_SIM_TUNNEL_WORLD_H
#define FZ_TESTS_SIM_TUNNEL_WORLD_H

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/host_resolver.h"
#include "control/resources.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/random.h"

#define MS(n)  ((time_ns)(n)*NS_PER_MS)
#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    WORLD_ENDS_MAX = 1200,
    WORLD_WALL = 1785600000, /* Unix seconds at time 0 */
    WORLD_STEPS_MAX = 2000000
};

struct peers {
    struct end *end;
    struct link *links; /* sim_tunnel_links.h */
    bool closing;       /* the end leaves: nothing new begins */
};

/* A client or a gateway. */
struct end {
    unsigned number, life;
    bool gateway;
    struct uuid id;
    uint8_t private_key[WG_KEY_LEN], public_key[WG_KEY_LEN];
    struct ip_addr ipv4, ipv6; /* in the tunnel */
    struct below *below;
    struct tunnel *tunnel;
    struct peers peers;

    struct resources resources; /* of a client, with the next two */
    struct access *access;
    struct dns_stub *stub;

    struct clients *clients; /* of a gateway, with the next two */
    struct gateway_names *names;
    struct gateway_nat *nat;
};

enum work_kind {
    WORK_COMMANDS,  /* of control, for the end's worker */
    WORK_EVENTS,    /* of the worker, for control */
    WORK_DATA,      /* a packet inside the tunnel arrives */
    WORK_HANDSHAKE, /* a datagram of WireGuard's does */
    WORK_TUN,       /* the host sends a packet */
    WORK_OTHER      /* `run` knows */
};

struct work {
    struct work *next;
    enum work_kind kind;
    unsigned end, life; /* whose; nothing is done for one that has ended */
    uint32_t index;     /* DATA: of the receiver's session */
    struct sock_addr from;
    void (*run)(struct end *e, const void *data);
    uint32_t len;
    uint8_t bytes[] __attribute__((aligned(8)));
};

static struct world {
    time_ns now;
    uint64_t random, seed;
    struct work *first, **last;
    struct loop_timer *timers[1 << 16]; /* a heap */
    size_t timers_n;
    struct end *ends[WORLD_ENDS_MAX]; /* NULL: it is not there */
    unsigned lives;
    /* A packet comes out of the end's TUN. */
    void (*tun)(struct end *e, const uint8_t *packet, size_t len);
    /* Something for the portal. */
    enum err (*push)(struct end *e, const char *name, const json_t *payload);
    /* What a name has now; as the host's resolver. */
    void (*resolve)(const char *name, struct host_answer *out);
} world;

static struct end *end_at(unsigned number)
{
    return number < WORLD_ENDS_MAX ? world.ends[number] : NULL;
}

static struct uuid end_id(unsigned number)
{
    return (struct uuid){{(uint8_t)number, (uint8_t)(number >> 8), 0xe0}};
}

static struct end *end_of_id(const struct uuid *id)
{
    return end_at((unsigned)id->bytes[1] << 8 | id->bytes[0]);
}

/* Its own address in the tunnel. */
static const struct ip_addr *at_family(const struct end *e, unsigned family)
{
    return family == ADDR_V4 ? &e->ipv4 : &e->ipv6;
}

/* The run has shown what may not be. */
static inline void world_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
static inline void world_fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "seed %llu, at %.3f s: ", (unsigned long long)world.seed,
            (double)world.now / 1e9);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* ---- chance and time ---- */

static uint64_t world_random(void)
{
    uint64_t z = world.random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned world_below(unsigned n)
{
    return (unsigned)(world_random() % n);
}

void random_bytes(void *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)world_random();
}

uint32_t random_u32(void)
{
    return (uint32_t)world_random();
}

time_ns clock_now(void)
{
    return world.now;
}

uint64_t clock_thread_cpu(void)
{
    return 0;
}

void clock_wall(uint64_t *seconds, uint32_t *nanoseconds)
{
    *seconds = WORLD_WALL + world.now / NS_PER_SEC;
    *nanoseconds = (uint32_t)(world.now % NS_PER_SEC);
}

static int64_t world_wall(void)
{
    return (int64_t)(WORLD_WALL + world.now / NS_PER_SEC);
}

/* ---- the loop ---- */

time_ns loop_now(const struct loop *l)
{
    (void)l;
    return world.now;
}

void loop_timer_init(struct loop_timer *timer, loop_fn fire, void *arg)
{
    *timer = (struct loop_timer){TIME_NEVER, LOOP_TIMER_OFF, fire, arg};
}

static void timer_put(size_t at, struct loop_timer *timer)
{
    world.timers[at] = timer;
    timer->heap_index = at;
}

/* From place `at`, towards the root or away from it. */
static void timer_sift(size_t at, struct loop_timer *timer)
{
    while (at > 0 && world.timers[(at - 1) / 2]->deadline > timer->deadline) {
        timer_put(at, world.timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (size_t child; (child = 2 * at + 1) < world.timers_n;) {
        if (child + 1 < world.timers_n &&
            world.timers[child + 1]->deadline < world.timers[child]->deadline)
            child++;
        if (world.timers[child]->deadline >= timer->deadline)
            break;
        timer_put(at, world.timers[child]);
        at = child;
    }
    timer_put(at, timer);
}

void loop_timer_clear(struct loop *l, struct loop_timer *timer)
{
    size_t at = timer->heap_index;

    (void)l;
    if (at == LOOP_TIMER_OFF)
        return;
    timer->heap_index = LOOP_TIMER_OFF;
    struct loop_timer *last = world.timers[--world.timers_n];
    if (last != timer)
        timer_sift(at, last);
}

void loop_timer_set(struct loop *l, struct loop_timer *timer, time_ns deadline)
{
    loop_timer_clear(l, timer);
    timer->deadline = deadline;
    if (deadline == TIME_NEVER)
        return;
    ASSERT(world.timers_n < ARRAY_LEN(world.timers));
    timer_sift(world.timers_n++, timer);
}

/* ---- what is to be done ---- */

static struct work *work_new(enum work_kind kind, struct end *e, size_t len)
{
    struct work *x = mem_zalloc(1, sizeof *x + len);

    x->kind = kind;
    x->end = e->number;
    x->life = e->life;
    x->len = (uint32_t)len;
    *world.last = x;
    world.last = &x->next;
    return x;
}

/* data: copied. */
static void world_later(struct end *e, void (*run)(struct end *e, const void *data),
                        const void *data, size_t len)
{
    struct work *x = work_new(WORK_OTHER, e, len);

    x->run = run;
    memcpy(x->bytes, data, len);
}

static inline void world_begin(uint64_t seed)
{
    world.seed = world.random = seed;
    world.now = SEC(1000) + 987654321;
    world.last = &world.first;
}

#endif
