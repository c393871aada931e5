/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rig of the tests of control/access: the tunnel, the peers, the portal, the loop and the clock are faked, and each keeps what
 * it was told. Included once per test program.
 */
#ifndef FZ_TEST_ACCESS_RIG_H
#define FZ_TEST_ACCESS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/access.h"
#include "control/portal/requests.h"
#include "control/tunnel_policy.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"

#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    RESOURCES_MAX = 20000,
    ROUTE_US = 20, /* what a route of the host takes */
    PIECE_LIMIT_US = 2100,
    GATEWAYS_MAX = 100
};

struct tunnel_peer {
    struct uuid id;
};

struct tunnel_resource {
    struct tunnel_resource_spec spec;
    struct ip_prefix prefixes[2];
    struct filter_rule rules[4];
    bool used;
    struct tunnel_peer *peer;
};

static struct {
    time_ns now;
    struct loop_timer *timer;
    bool armed; /* the timer may be gone */
    struct tunnel_resource resources[RESOURCES_MAX];
    unsigned resources_n, room;
    unsigned adds_tried, grants;
    int routes; /* of the host now */
    unsigned route_changes;

    enum node_connect connect;
    unsigned connects, closes;
    struct node_peer connected;
    char ufrag[16], remote_password[16];
    struct ip_prefix allowed[2];
    uint32_t group;
    struct tunnel_peer gateway;
    bool has_gateway;
    size_t listed;

    bool up;                          /* packets reach the gateway */
    char said[1024], names[64 << 10]; /* told by the tunnel's functions since the last look */
    unsigned grants_told;

    bool portal_there, no_relay;
    char name[64], payload[8192];
    unsigned pushes;
    char logged[256];
} fake;

static struct access *a;

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
    fake.armed = false;
}

void loop_timer_set(struct loop *l, struct loop_timer *timer, time_ns deadline)
{
    (void)l;
    timer->deadline = deadline;
    timer->heap_index = 0;
    fake.armed = true;
}

/* Fires the timer if it is due within `ns`. */
static bool fire(time_ns ns)
{
    time_ns begin;

    if (!loop_timer_armed(fake.timer) || fake.timer->deadline > fake.now + ns)
        return false;
    begin = fake.now = time_max(fake.now, fake.timer->deadline);
    loop_timer_clear(NULL, fake.timer);
    fake.timer->fire(fake.timer->arg);
    assert_in_range(fake.now - begin, 0, PIECE_LIMIT_US * NS_PER_US);
    return true;
}

static unsigned settle(void)
{
    unsigned steps = 0;

    while (fire(0))
        assert_in_range(++steps, 1, 10000);
    return steps;
}

/* ---- the tunnel ---- */

struct tunnel_resource *tunnel_resource_add(struct tunnel *t,
                                            const struct tunnel_resource_spec *spec)
{
    struct tunnel_resource *r = fake.resources;

    (void)t;
    fake.adds_tried++;
    if (fake.resources_n == fake.room)
        return NULL;
    r += fake.resources_n;
    if (r->used)
        for (r = fake.resources; r->used;)
            r++;
    fake.resources_n++;
    *r = (struct tunnel_resource){.spec = *spec, .used = true};
    assert_in_range(spec->prefixes_n, 0, ARRAY_LEN(r->prefixes));
    assert_in_range(spec->rules_n, 0, ARRAY_LEN(r->rules));
    memcpy(r->prefixes, spec->prefixes, spec->prefixes_n * sizeof r->prefixes[0]);
    if (spec->rules_n > 0)
        memcpy(r->rules, spec->rules, spec->rules_n * sizeof r->rules[0]);
    return r;
}

void tunnel_resource_grant(struct tunnel_resource *r, struct tunnel_peer *p)
{
    size_t n = strlen(fake.names);

    assert_true(r->used);
    if (p)
        assert_int_equal(r->spec.group, fake.group);
    if (p && r->peer != p)
        fake.grants++;
    if (p)
        snprintf(fake.names + n, sizeof fake.names - n, "grant ");
    r->peer = p;
}

void tunnel_resource_remove(struct tunnel_resource *r)
{
    assert_true(r->used);
    r->used = false;
    fake.resources_n--;
}

/* As text: number, and of each target its resource's first byte, families, whether packets are held, and kept. */
void tunnel_name_set(struct tunnel *t, uint32_t name, const struct tunnel_name_target *targets,
                     unsigned n)
{
    char *out = fake.names;
    size_t at = strlen(out);

    (void)t;
    at += (size_t)snprintf(out + at, sizeof fake.names - at, "%u:", name);
    for (unsigned i = 0; i < n; i++) {
        assert_true(targets[i].resource->used);
        at += (size_t)snprintf(out + at, sizeof fake.names - at, "%u%s%s%s%s,",
                               targets[i].resource->spec.id.bytes[0], targets[i].v4 ? "4" : "",
                               targets[i].v6 ? "6" : "", targets[i].holds ? "h" : "",
                               targets[i].keeps ? "k" : "");
    }
    snprintf(out + at, sizeof fake.names - at, " ");
}

void tunnel_p2p_packet_to(struct tunnel_peer *p, const uint8_t *packet, size_t len)
{
    size_t n = strlen(fake.said);

    assert_ptr_equal(p, &fake.gateway);
    assert_in_range(len, 48, 1280);
    assert_int_equal(packet[40], 0); /* AssignedIps */
    snprintf(fake.said + n, sizeof fake.said - n, "%.*s ", (int)(len - 48),
             (const char *)packet + 48);
}

void tunnel_p2p_route(struct tunnel *t, const struct ip_prefix *prefix, bool add)
{
    (void)t, (void)prefix;
    fake.now += ROUTE_US * NS_PER_US;
    fake.routes += add ? 1 : -1;
    fake.route_changes++;
}

/* ---- the peers ---- */

enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner)
{
    (void)p;
    fake.connects++;
    fake.connected = *peer;
    snprintf(fake.ufrag, sizeof fake.ufrag, "%s", peer->ufrag);
    snprintf(fake.remote_password, sizeof fake.remote_password, "%s", peer->remote_password);
    assert_int_equal(inner->allowed_n, ARRAY_LEN(fake.allowed));
    memcpy(fake.allowed, inner->allowed, sizeof fake.allowed);
    fake.group = inner->group;
    if (fake.connect <= NODE_REPLACED) {
        fake.has_gateway = true;
        fake.gateway.id = peer->id;
    }
    return fake.connect;
}

bool peers_ready(const struct peers *p)
{
    (void)p;
    return !fake.no_relay;
}

struct tunnel_peer *peers_find(const struct peers *p, const struct uuid *id)
{
    (void)p;
    return fake.has_gateway && uuid_equal(&fake.gateway.id, id) ? &fake.gateway : NULL;
}

bool peers_is_up(const struct peers *p, const struct uuid *id)
{
    return fake.up && peers_find(p, id);
}

void peers_close(struct peers *p, const struct uuid *id)
{
    (void)p;
    assert_true(uuid_equal(&fake.gateway.id, id));
    fake.closes++;
}

size_t peers_list(const struct peers *p, struct uuid *ids, size_t max)
{
    size_t n = fake.listed < max ? fake.listed : max;

    (void)p;
    for (size_t i = 0; i < n; i++)
        ids[i] = (struct uuid){{9, (uint8_t)i}};
    return n;
}

/* ---- the portal ---- */

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    char *text;

    assert_ptr_equal(arg, &fake);
    if (!fake.portal_there)
        return ERR_CLOSED;
    text = json_dumps(payload, JSON_COMPACT);
    assert_non_null(text);
    snprintf(fake.name, sizeof fake.name, "%s", name);
    snprintf(fake.payload, sizeof fake.payload, "%s", text);
    free(text);
    fake.pushes++;
    return ERR_OK;
}

static void on_granted(void *arg, const struct uuid *resource, const struct access_gateway *gateway)
{
    (void)arg, (void)resource;
    fake.grants_told += gateway != NULL;
}

static inline void on_log(void *arg, const char *line, size_t len)
{
    (void)arg;
    snprintf(fake.logged, sizeof fake.logged, "%.*s", (int)len, line);
}

/* ---- arranging ---- */

static bool use_internet; /* from the next set-up on */

static int set_up(void **state)
{
    static const struct access_events events = {on_push, on_granted};

    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.now = SEC(1000);
    fake.room = RESOURCES_MAX;
    fake.portal_there = true;
    a = access_new(NULL, NULL, use_internet, &events, &fake);
    access_attach(a, (struct tunnel *)&fake);
    assert_int_equal(settle(), 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    access_free(a);
    assert_false(fake.armed);
    return 0;
}

static struct uuid id_of(unsigned n)
{
    return (struct uuid){{(uint8_t)n, (uint8_t)(n >> 8), 0x60}};
}

static struct resource cidr(unsigned n, const char *prefix)
{
    struct resource r = {.kind = RESOURCE_CIDR,
                         .id = id_of(n),
                         .name = "Lab",
                         .address = "",
                         .site = {{0x51, 2, 3, 4, 5}}};

    assert_int_equal(ip_prefix_parse(&r.prefix, prefix), ERR_OK);
    return r;
}

static void change(enum resource_change what, const struct resource *r)
{
    access_resource(a, what, r);
    settle();
}

/* The resource of a prefix, as the tunnel has it; NULL: none. */
static struct tunnel_resource *resource_of(const char *prefix)
{
    struct ip_prefix p;

    assert_int_equal(ip_prefix_parse(&p, prefix), ERR_OK);
    for (unsigned i = 0; i < RESOURCES_MAX; i++) {
        struct tunnel_resource *r = &fake.resources[i];
        for (size_t j = 0; r->used && j < r->spec.prefixes_n; j++) {
            if (r->prefixes[j].len == p.len && ip_addr_equal(&r->prefixes[j].ip, &p.ip))
                return r;
        }
    }
    return NULL;
}

static inline void added(unsigned n, const char *prefix)
{
    struct resource r = cidr(n, prefix);
    change(RESOURCE_ADDED, &r);
}

static void wanted(const char *prefix)
{
    access_wanted(a, resource_of(prefix)->spec.arg);
}

static struct message_authorization grant_of(unsigned n)
{
    struct message_authorization m = {.resource = id_of(n),
                                      .gateway = {{9, 9}},
                                      .site = {{0x51, 2, 3, 4, 5}},
                                      .gateway_key = {1},
                                      .preshared_key = {2},
                                      .client_ice = {"ours", "our password"},
                                      .gateway_ice = {"theirs", "their password"}};

    assert_int_equal(ip_addr_parse(&m.gateway_ipv4, "100.71.0.9"), ERR_OK);
    assert_int_equal(ip_addr_parse(&m.gateway_ipv6, "fd00:2021:1111::9"), ERR_OK);
    return m;
}

static void granted(unsigned n)
{
    struct message_authorization m = grant_of(n);
    access_granted(a, &m);
}

static inline void refused(unsigned n)
{
    struct message m = {.resource_id = id_of(n), .reason = FAIL_OFFLINE};
    access_refused(a, &m);
}

/* The tunnel lets it wait again, and says so. */
static inline void connection_ends(bool in_use)
{
    struct uuid gateway = fake.gateway.id;

    fake.has_gateway = false;
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        fake.resources[i].peer = NULL;
    access_ended(a, &gateway, in_use);
}

#define LAB "10.0.0.0/24"

#endif
