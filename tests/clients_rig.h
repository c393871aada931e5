/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of a gateway's clients: the loop and both clocks faked, and what the portal says. The peers are each test's own. */
#ifndef FZ_TESTS_CLIENTS_RIG_H
#define FZ_TESTS_CLIENTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/clients.h"
#include "control/tunnel_gateway.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"

#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    TIMERS_MAX = 6000
};

static struct {
    time_ns now;
    int64_t wall;
    struct loop_timer *timers[TIMERS_MAX];
    size_t armed;
} world;

static void world_begin(void)
{
    memset(&world, 0, sizeof world);
    world.now = SEC(1000);
    world.wall = 1785600000;
}

/* ---- the clocks and the loop ---- */

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
    *seconds = (uint64_t)world.wall;
    *nanoseconds = 0;
}

void loop_timer_init(struct loop_timer *timer, loop_fn fire, void *arg)
{
    *timer = (struct loop_timer){TIME_NEVER, LOOP_TIMER_OFF, fire, arg};
}

void loop_timer_clear(struct loop *l, struct loop_timer *timer)
{
    struct loop_timer *last;

    (void)l;
    if (!loop_timer_armed(timer))
        return;
    last = world.timers[--world.armed];
    world.timers[timer->heap_index] = last;
    last->heap_index = timer->heap_index;
    timer->heap_index = LOOP_TIMER_OFF;
}

void loop_timer_set(struct loop *l, struct loop_timer *timer, time_ns deadline)
{
    loop_timer_clear(l, timer);
    timer->deadline = deadline;
    if (deadline == TIME_NEVER)
        return;
    assert_true(world.armed < TIMERS_MAX);
    timer->heap_index = world.armed;
    world.timers[world.armed++] = timer;
}

static struct loop_timer *first_timer(void)
{
    struct loop_timer *first = NULL;

    for (size_t i = 0; i < world.armed; i++) {
        if (!first || world.timers[i]->deadline < first->deadline)
            first = world.timers[i];
    }
    return first;
}

/* Both clocks go on; what is due fires. Returns how often. */
static unsigned pass(int64_t seconds)
{
    time_ns end = world.now + SEC(seconds);
    unsigned fired = 0;

    for (struct loop_timer *t; (t = first_timer()) && t->deadline <= end;) {
        time_ns at = time_max(world.now, t->deadline);
        assert_in_range(++fired, 1, 100);
        world.wall += (int64_t)((at - world.now) / NS_PER_SEC);
        world.now = at;
        loop_timer_clear(NULL, t);
        t->fire(t->arg);
    }
    world.wall += (int64_t)((end - world.now) / NS_PER_SEC);
    world.now = end;
    return fired;
}

/* ---- what the portal says ---- */

static struct uuid id_of(unsigned n)
{
    return (struct uuid){{(uint8_t)n}};
}

static struct gateway_message_authorization authorization(unsigned client, unsigned resource,
                                                          int64_t expires_at)
{
    struct gateway_message_authorization m = {
        .ref = "signed",
        .resource = {.kind = RESOURCE_INTERNET, .id = id_of(resource), .name = "Lab"},
        .client = {.id = id_of(client), .public_key = {1}, .preshared_key = {2}},
        .client_ice = {"theirs", "their password"},
        .gateway_ice = {"ours", "our password"},
        .expires_at = expires_at};

    assert_int_equal(ip_addr_parse(&m.client.ipv4, "100.70.12.4"), ERR_OK);
    assert_int_equal(ip_addr_parse(&m.client.ipv6, "fd00:2021:1111::4"), ERR_OK);
    return m;
}

static struct message_resource resource_of(unsigned n, enum message_resource_kind kind,
                                           const char *address, const char *filters)
{
    struct message_resource r = {.kind = kind, .id = id_of(n), .name = "Lab", .address = address};

    if (kind == RESOURCE_CIDR)
        assert_int_equal(ip_prefix_parse(&r.prefix, address), ERR_OK);
    r.filters = filters ? json_loads(filters, 0, NULL) : NULL;
    assert_true(!filters || r.filters);
    return r;
}

static void resource_free(struct message_resource *r)
{
    json_decref((json_t *)(uintptr_t)r->filters);
}

static void add_listed(json_t *list, unsigned client, unsigned resource, int64_t expires_at)
{
    struct uuid c = id_of(client), r = id_of(resource);
    char c_text[UUID_TEXT_MAX], r_text[UUID_TEXT_MAX];
    json_t *e;

    uuid_format(&c, c_text);
    uuid_format(&r, r_text);
    e = json_pack("{s:s,s:s}", "client_id", c_text, "resource_id", r_text);
    assert_non_null(e);
    if (expires_at != MESSAGE_NEVER)
        json_object_set_new(e, "expires_at", json_integer(expires_at));
    json_array_append_new(list, e);
}

#endif
