/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the portal for access and what its answers do, with the tunnel, the peers, the loop and the clock faked: each keeps what it was told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/access.h"
#include "control/portal/requests.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"

#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    DESTINATIONS_MAX = 20000,
    ROUTE_US = 20, /* what a route of the host takes */
    PIECE_LIMIT_US = 2100,
    GATEWAYS_MAX = 100
};

struct tunnel_peer {
    struct uuid id;
};

struct tunnel_destination {
    struct ip_prefix prefix;
    uint32_t group;
    void *arg;
    bool used;
    struct tunnel_peer *peer;
};

static struct {
    time_ns now;
    struct loop_timer *timer;
    bool armed; /* the timer may be gone */
    struct tunnel_destination destinations[DESTINATIONS_MAX];
    unsigned destinations_n, room;
    unsigned adds_tried, grants;
    struct tunnel_destination *holder; /* of 10.0.0.0/24: who has its packets */
    int routes;                        /* of the host now */
    unsigned route_changes;

    enum node_connect connect;
    unsigned connects;
    struct node_peer connected;
    char ufrag[16], remote_password[16];
    struct ip_prefix allowed[2];
    uint32_t group;
    struct tunnel_peer gateway;
    bool has_gateway;
    size_t listed;

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

static bool is_watched(const struct ip_prefix *p)
{
    struct ip_prefix watched;

    assert_int_equal(ip_prefix_parse(&watched, "10.0.0.0/24"), ERR_OK);
    return p->len == watched.len && ip_addr_equal(&p->ip, &watched.ip);
}

struct tunnel_destination *tunnel_destination_add(struct tunnel *t, const struct ip_prefix *prefix,
                                                  uint32_t group, void *arg)
{
    struct tunnel_destination *d = fake.destinations;

    (void)t;
    fake.adds_tried++;
    if (fake.destinations_n == fake.room)
        return NULL;
    d += fake.destinations_n;
    if (d->used)
        for (d = fake.destinations; d->used;)
            d++;
    fake.destinations_n++;
    *d = (struct tunnel_destination){.prefix = *prefix, .group = group, .arg = arg, .used = true};
    if (is_watched(prefix))
        fake.holder = d;
    return d;
}

void tunnel_destination_grant(struct tunnel_destination *d, struct tunnel_peer *p)
{
    assert_true(d->used);
    assert_int_equal(d->group, fake.group);
    fake.grants++;
    d->peer = p;
    if (is_watched(&d->prefix))
        fake.holder = d;
}

bool tunnel_destination_granted(const struct tunnel_destination *d)
{
    assert_true(d->used);
    return d->peer != NULL;
}

void tunnel_destination_remove(struct tunnel_destination *d)
{
    assert_true(d->used);
    d->used = false;
    fake.destinations_n--;
    if (fake.holder == d)
        fake.holder = NULL;
}

void tunnel_destination_restore(struct tunnel_destination *d)
{
    assert_true(d->used);
    if (is_watched(&d->prefix))
        fake.holder = d;
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

static void on_log(void *arg, const char *line, size_t len)
{
    (void)arg;
    snprintf(fake.logged, sizeof fake.logged, "%.*s", (int)len, line);
}

/* ---- arranging ---- */

static int set_up(void **state)
{
    static const struct access_events events = {on_push};

    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.now = SEC(1000);
    fake.room = DESTINATIONS_MAX;
    fake.portal_there = true;
    a = access_new(NULL, NULL, &events, &fake);
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
    struct resource r = {
        .kind = RESOURCE_CIDR, .id = id_of(n), .name = "Lab", .site = {{0x51, 2, 3, 4, 5}}};

    assert_int_equal(ip_prefix_parse(&r.prefix, prefix), ERR_OK);
    return r;
}

static void change(enum resource_change what, const struct resource *r)
{
    access_resource(a, what, r);
    settle();
}

/* The destination of a resource; NULL: none. */
static struct tunnel_destination *destination_of(const char *prefix)
{
    struct ip_prefix p;

    assert_int_equal(ip_prefix_parse(&p, prefix), ERR_OK);
    for (unsigned i = 0; i < DESTINATIONS_MAX; i++) {
        struct tunnel_destination *d = &fake.destinations[i];
        if (d->used && d->prefix.len == p.len && ip_addr_equal(&d->prefix.ip, &p.ip))
            return d;
    }
    return NULL;
}

static void added(unsigned n, const char *prefix)
{
    struct resource r = cidr(n, prefix);
    change(RESOURCE_ADDED, &r);
}

static void wanted(const char *prefix)
{
    access_wanted(a, destination_of(prefix)->arg);
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

static void refused(unsigned n)
{
    struct message m = {.resource_id = id_of(n), .reason = FAIL_OFFLINE};
    access_refused(a, &m);
}

/* The tunnel lets it wait again, and says so. */
static void connection_ends(bool in_use)
{
    struct uuid gateway = fake.gateway.id;

    fake.has_gateway = false;
    for (unsigned i = 0; i < DESTINATIONS_MAX; i++)
        fake.destinations[i].peer = NULL;
    access_ended(a, &gateway, in_use);
}

#define LAB "10.0.0.0/24"

/* ---- asking ---- */

static void test_asks_at_the_first_packet(void **state)
{
    (void)state;
    added(1, LAB);
    assert_int_equal(fake.routes, 1);
    assert_int_equal(fake.pushes, 0);
    fake.listed = 2;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    assert_string_equal(fake.name, REQUEST_AUTHORIZATION);
    assert_string_equal(fake.payload,
                        "{\"resource_id\":\"01006000-0000-0000-0000-000000000000\","
                        "\"connected_gateway_ids\":[\"09000000-0000-0000-0000-000000000000\","
                        "\"09010000-0000-0000-0000-000000000000\"]}");
}

static void test_asks_again_not_too_soon(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    wanted(LAB);
    fake.now += SEC(2) - 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    wanted("10.0.1.0/24"); /* each for itself */
    assert_int_equal(fake.pushes, 2);
    fake.now += 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 3);
}

static void test_names_no_more_gateways_than_fit(void **state)
{
    (void)state;
    added(1, LAB);
    fake.listed = GATEWAYS_MAX;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    assert_non_null(strstr(fake.payload, "093f0000-"));
    assert_null(strstr(fake.payload, "09400000-"));
}

static void test_held_while_the_portal_is_away(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    fake.portal_there = false;
    wanted(LAB);
    wanted(LAB);
    granted(1); /* it was not asked for */
    assert_int_equal(fake.connects, 0);
    fake.portal_there = true;
    access_ask_held(a);
    assert_int_equal(fake.pushes, 1); /* once, and only this one */
    access_ask_held(a);
    assert_int_equal(fake.pushes, 1);
    wanted(LAB); /* counted from when it was sent */
    assert_int_equal(fake.pushes, 1);
    granted(1);
    assert_int_equal(fake.grants, 1);
}

static void test_another_network(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    wanted(LAB);
    wanted("10.0.1.0/24");
    refused(2);
    access_reset(a);
    granted(1); /* with keys that are not ours any more */
    assert_int_equal(fake.connects, 0);
    wanted("10.0.1.0/24"); /* at once */
    assert_int_equal(fake.pushes, 3);
    access_ask_held(a); /* what was not answered */
    assert_int_equal(fake.pushes, 4);
    assert_non_null(strstr(fake.payload, "01006000"));
    granted(1);
    assert_int_equal(fake.grants, 1);
}

/* ---- answers ---- */

static void test_grant_connects(void **state)
{
    struct ip_prefix v4, v6;

    (void)state;
    assert_int_equal(ip_prefix_parse(&v4, "100.71.0.9/32"), ERR_OK);
    assert_int_equal(ip_prefix_parse(&v6, "fd00:2021:1111::9/128"), ERR_OK);
    added(1, LAB);
    wanted(LAB);
    granted(1);
    assert_int_equal(fake.connects, 1);
    assert_int_equal(fake.connected.role, ICE_CONTROLLING);
    assert_int_equal(fake.connected.kind, ICE_CLIENT);
    assert_string_equal(fake.ufrag, "ours");
    assert_string_equal(fake.remote_password, "their password");
    assert_int_equal(fake.connected.public_key[0], 1);
    assert_int_equal(fake.connected.preshared_key[0], 2);
    assert_true(ip_addr_equal(&fake.allowed[0].ip, &v4.ip) && fake.allowed[0].len == v4.len);
    assert_true(ip_addr_equal(&fake.allowed[1].ip, &v6.ip) && fake.allowed[1].len == v6.len);
    assert_int_not_equal(fake.group, TUNNEL_NO_GROUP);
    assert_ptr_equal(destination_of(LAB)->peer, &fake.gateway);
}

static void test_unsolicited_grants_are_ignored(void **state)
{
    struct message_authorization m;

    (void)state;
    granted(1); /* of no resource */
    added(1, LAB);
    granted(1);
    assert_int_equal(fake.connects, 0);
    wanted(LAB);
    granted(1);
    granted(1); /* once more */
    assert_int_equal(fake.connects, 1);
    fake.now += SEC(2);
    wanted(LAB);
    m = grant_of(1);
    m.site.bytes[0]++; /* its packets could not be moved there */
    access_granted(a, &m);
    assert_int_equal(fake.connects, 1);
}

static void test_grant_without_relays(void **state)
{
    (void)state;
    added(1, LAB);
    wanted(LAB);
    fake.connect = NODE_NO_RELAYS;
    granted(1);
    assert_int_equal(fake.pushes, 2);
    assert_string_equal(fake.name, REQUEST_RELAYS);
    assert_string_equal(fake.payload, "{}");
    assert_int_equal(fake.grants, 0);
    fake.connect = NODE_CREATED;
    granted(1); /* it has to be asked for anew */
    assert_int_equal(fake.grants, 0);
    access_ask_held(a); /* which is done when a relay answers */
    assert_int_equal(fake.pushes, 3);
    assert_string_equal(fake.name, REQUEST_AUTHORIZATION);
    granted(1);
    assert_int_equal(fake.grants, 1);
}

/* Nothing is asked before a relay has answered; if that takes long the portal is asked for others. */
static void test_waits_for_a_relay(void **state)
{
    (void)state;
    added(1, LAB);
    fake.no_relay = true;
    wanted(LAB);
    access_ask_held(a);
    fake.now += SEC(1);
    wanted(LAB);
    assert_int_equal(fake.pushes, 0);
    fake.now += SEC(1);
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    assert_string_equal(fake.name, REQUEST_RELAYS);
    fake.no_relay = false;
    access_ask_held(a);
    assert_int_equal(fake.pushes, 2);
    assert_string_equal(fake.name, REQUEST_AUTHORIZATION);
    access_ask_held(a);
    assert_int_equal(fake.pushes, 2);
    granted(1);
    assert_int_equal(fake.grants, 1);
}

static void test_grant_that_cannot_be_used(void **state)
{
    (void)state;
    added(1, LAB);
    wanted(LAB);
    fake.connect = NODE_INVALID;
    granted(1);
    assert_int_equal(fake.grants, 0);
    assert_int_equal(fake.pushes, 1);
}

static void test_refused(void **state)
{
    (void)state;
    refused(1); /* of no resource */
    added(1, LAB);
    wanted(LAB);
    refused(1);
    granted(1);
    assert_int_equal(fake.connects, 0);
    fake.now += SEC(2) - 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    fake.now += 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 2);
}

static void test_asks_again_when_the_connection_has_ended(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    wanted(LAB);
    granted(1);
    wanted("10.0.1.0/24");
    connection_ends(false);
    (void)settle();
    assert_int_equal(fake.pushes, 2);
    wanted(LAB); /* at once */
    assert_int_equal(fake.pushes, 3);
    assert_non_null(strstr(fake.payload, "01006000"));
    wanted("10.0.1.0/24"); /* this one is still being asked for */
    assert_int_equal(fake.pushes, 3);
    fake.connect = NODE_REUSED;
    granted(2);
    granted(1);
    assert_int_equal(fake.grants, 3);
}

/* A download: there are packets only from the other side, and they do not come any more. */
static void test_asks_again_for_what_was_in_use(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    added(3, "10.0.2.0/24");
    wanted(LAB);
    granted(1);
    wanted("10.0.1.0/24");
    granted(2);
    connection_ends(true);
    assert_int_equal(fake.pushes, 2); /* not from within */
    (void)settle();
    assert_int_equal(fake.pushes, 4);
    granted(1);
    granted(2);
    assert_int_equal(fake.grants, 4);
    /* On another network, when the portal is there again. */
    fake.portal_there = false;
    connection_ends(true);
    access_reset(a);
    (void)settle();
    fake.portal_there = true;
    access_ask_held(a);
    assert_int_equal(fake.pushes, 6);
    access_ask_held(a);
    assert_int_equal(fake.pushes, 6);
}

/* ---- resources ---- */

static void test_without_a_tunnel_they_wait(void **state)
{
    static const struct access_events events = {on_push};
    struct resource r = cidr(1, LAB);

    (void)state;
    access_free(a);
    a = access_new(NULL, NULL, &events, &fake);
    access_resource(a, RESOURCE_ADDED, &r);
    assert_int_equal(settle(), 0);
    assert_int_equal(fake.destinations_n, 0);
    granted(1);
    access_attach(a, (struct tunnel *)&fake);
    settle();
    assert_int_equal(fake.destinations_n, 1);
    assert_int_equal(fake.routes, 1);
}

static void test_renamed_disturbs_nothing(void **state)
{
    struct resource r = cidr(1, LAB);
    char name[] = "Lab 2"; /* gone after the call */

    (void)state;
    added(1, LAB);
    wanted(LAB);
    granted(1);
    r.name = name;
    change(RESOURCE_CHANGED, &r);
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(fake.route_changes, 1);
    assert_ptr_equal(destination_of(LAB)->peer, &fake.gateway);
    log_set_sink(on_log, NULL);
    connection_ends(false);
    wanted(LAB);
    log_set_sink(NULL, NULL);
    assert_non_null(strstr(fake.logged, "'Lab 2'"));
}

static void test_changed(void **state)
{
    struct resource r = cidr(1, "10.0.7.0/24");

    (void)state;
    added(1, LAB);
    wanted(LAB);
    change(RESOURCE_CHANGED, &r);
    assert_null(destination_of(LAB));
    assert_non_null(destination_of("10.0.7.0/24"));
    assert_int_equal(fake.routes, 1);
    granted(1); /* of what it was before */
    assert_int_equal(fake.connects, 0);
    wanted("10.0.7.0/24");
    granted(1);
    assert_int_equal(fake.grants, 1);
    r.site.bytes[1]++; /* its gateways are others */
    change(RESOURCE_CHANGED, &r);
    assert_null(destination_of("10.0.7.0/24")->peer);
    r.kind = RESOURCE_DNS;
    change(RESOURCE_CHANGED, &r);
    assert_int_equal(fake.destinations_n, 0);
    assert_int_equal(fake.routes, 0);
}

static void test_removed(void **state)
{
    struct resource r = cidr(1, LAB), other = cidr(2, "10.0.1.0/24");

    (void)state;
    other.kind = RESOURCE_DNS; /* none of ours */
    change(RESOURCE_ADDED, &other);
    change(RESOURCE_REMOVED, &other);
    assert_int_equal(fake.adds_tried, 0);
    access_resource(a, RESOURCE_ADDED, &r); /* and gone before it had a route */
    access_resource(a, RESOURCE_REMOVED, &r);
    settle();
    assert_int_equal(fake.route_changes, 0);
    added(1, LAB);
    wanted(LAB);
    change(RESOURCE_REMOVED, &r);
    assert_int_equal(fake.routes, 0);
    granted(1);
    refused(1);
    connection_ends(false);
    access_ask_held(a);
    assert_int_equal(fake.connects, 0);
    assert_int_equal(fake.destinations_n, 0);
}

/* Whichever of them goes, packets find the other one. */
static void test_two_with_one_prefix(void **state)
{
    struct resource first = cidr(1, LAB), second = cidr(2, LAB);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        change(RESOURCE_ADDED, &first);
        change(RESOURCE_ADDED, &second);
        assert_int_equal(fake.routes, 1);
        change(RESOURCE_REMOVED, i == 0 ? &first : &second);
        assert_int_equal(fake.routes, 1);
        assert_non_null(fake.holder);
        fake.pushes = 0;
        fake.now += SEC(2);
        access_wanted(a, fake.holder->arg);
        assert_int_equal(fake.pushes, 1);
        assert_non_null(strstr(fake.payload, i == 0 ? "02006000" : "01006000"));
        change(RESOURCE_REMOVED, i == 0 ? &second : &first);
        assert_int_equal(fake.routes, 0);
        assert_null(fake.holder);
    }
}

static void add_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t bytes[4] = {11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct resource r = cidr(i, LAB);
        r.prefix = (struct ip_prefix){.ip = ip_addr_v4(bytes), .len = 32};
        access_resource(a, RESOURCE_ADDED, &r);
    }
}

/* `fire` asserts that no step takes long. */
static void test_very_many_in_pieces(void **state)
{
    (void)state;
    add_many(10000);
    assert_int_equal(fake.route_changes, 0); /* not while the portal's message is read */
    assert_in_range(settle(), 10000 * ROUTE_US / PIECE_LIMIT_US, 10000 * ROUTE_US / 1900 + 1);
    assert_int_equal(fake.destinations_n, 10000);
    assert_int_equal(fake.routes, 10000);
}

/* Those that do not fit cost next to nothing, and come when there is room. */
static void test_more_than_fit(void **state)
{
    struct ip_prefix p;
    struct resource r;

    (void)state;
    fake.room = 500;
    add_many(2000);
    settle();
    assert_int_equal(fake.destinations_n, 500);
    fake.adds_tried = 0;
    for (unsigned i = 0; i < 10; i++)
        assert_true(fire(SEC(1)));
    assert_int_equal(fake.adds_tried, 10);
    assert_int_equal(fake.routes, 500);
    fake.room = 501;
    assert_true(fire(SEC(1)));
    settle();
    assert_int_equal(fake.destinations_n, 501);
    p = fake.destinations[0].prefix; /* one of those that have a place */
    r = cidr(load_be32(p.ip.bytes) & 0xffff, LAB);
    change(RESOURCE_REMOVED, &r);
    assert_int_equal(fake.destinations_n, 500);
    assert_true(fire(SEC(1)));
    settle();
    assert_int_equal(fake.destinations_n, 501);
    fake.room = DESTINATIONS_MAX;
    assert_true(fire(SEC(1)));
    settle();
    assert_int_equal(fake.destinations_n, 1999);
    assert_false(fire(SEC(10)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_asks_at_the_first_packet),
        TEST(test_asks_again_not_too_soon),
        TEST(test_names_no_more_gateways_than_fit),
        TEST(test_held_while_the_portal_is_away),
        TEST(test_another_network),
        TEST(test_grant_connects),
        TEST(test_unsolicited_grants_are_ignored),
        TEST(test_grant_without_relays),
        TEST(test_waits_for_a_relay),
        TEST(test_asks_again_for_what_was_in_use),
        TEST(test_grant_that_cannot_be_used),
        TEST(test_refused),
        TEST(test_asks_again_when_the_connection_has_ended),
        TEST(test_without_a_tunnel_they_wait),
        TEST(test_renamed_disturbs_nothing),
        TEST(test_changed),
        TEST(test_removed),
        TEST(test_two_with_one_prefix),
        TEST(test_very_many_in_pieces),
        TEST(test_more_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
