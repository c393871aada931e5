/* SPDX-License-Identifier: Apache-2.0 */
/* Routes to single hosts on Windows: counted, swept, and never somebody else's. On every system, with a table of routes of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/windows/host_route.c"
#include "platform/windows/own_hosts.c"
#include "tests/support/ip_helper_fake.h"

static struct fake_helper fake;
static struct host_routes routes;
static struct own_hosts own = OWN_HOSTS_INIT;

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    if (ip_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

/* By the gateway 192.0.2.1 of adapter 1, or that of another. */
static struct ip_helper_route way(uint64_t luid)
{
    struct ip_helper_route r = {.luid = luid, .ifindex = (uint32_t)luid + 100, .metric = 7};
    r.dst = (struct ip_prefix){.ip.family = ADDR_V4};
    r.next_hop = addr("192.0.2.1");
    r.protocol = 1;
    return r;
}

static struct ip_helper_route *present(const char *dst, unsigned len, uint32_t protocol)
{
    struct ip_helper_route *r = &fake.routes[fake.routes_n++];
    *r = (struct ip_helper_route){.luid = 1, .protocol = protocol};
    r->dst = (struct ip_prefix){.ip = addr(dst), .len = (uint8_t)len};
    r->next_hop = addr(r->dst.ip.family == ADDR_V6 ? "fe80::1" : "192.0.2.254");
    return r;
}

static unsigned routes_to(const char *dst)
{
    struct ip_addr a = addr(dst);
    unsigned n = 0;
    for (unsigned i = 0; i < fake.routes_n; i++)
        n +=
            ip_addr_equal(&fake.routes[i].dst.ip, &a) && fake.routes[i].dst.len == ip_addr_bits(&a);
    return n;
}

static int set_up(void **state)
{
    (void)state;
    fake_helper_init(&fake);
    host_routes_init(&routes, &fake.helper, &own);
    return 0;
}

static struct host_route *get(const char *dst, uint64_t luid)
{
    struct ip_addr a = addr(dst);
    struct ip_helper_route w = way(luid);
    struct host_route *out;
    assert_int_equal(host_routes_get(&routes, &a, &w, &out), ERR_OK);
    assert_non_null(out);
    return out;
}

static void test_made_and_removed(void **state)
{
    (void)state;
    struct host_route *a = get("203.0.113.5", 1);
    assert_int_equal(fake.routes_n, 1);
    const struct ip_helper_route *r = &fake.routes[0];
    struct ip_addr hop = addr("192.0.2.1");
    assert_int_equal(r->dst.len, 32);
    assert_int_equal(r->luid, 1);
    assert_int_equal(r->ifindex, 101);
    assert_true(ip_addr_equal(&r->next_hop, &hop));
    assert_int_equal(r->protocol, IP_HELPER_PROTOCOL_NETMGMT);
    host_routes_put(&routes, a);
    assert_int_equal(fake.routes_n, 0);
    host_routes_put(&routes, NULL);
    struct ip_addr host = addr("203.0.113.5"), other = addr("203.0.113.99");
    assert_true(own_hosts_has(&own, &host)); /* also when it is gone: it is told of later */
    assert_false(own_hosts_has(&own, &other));
    host_routes_sweep(&routes, &other);
    assert_true(own_hosts_has(&own, &other));
}

static void test_counted(void **state)
{
    (void)state;
    struct host_route *a = get("203.0.113.5", 1), *b = get("203.0.113.5", 1),
                      *c = get("203.0.113.6", 1), *d = get("203.0.113.5", 2); /* another way */
    assert_ptr_equal(a, b);
    assert_int_equal(fake.routes_n, 3);
    host_routes_put(&routes, a);
    assert_int_equal(routes_to("203.0.113.5"), 2);
    host_routes_put(&routes, d);
    assert_int_equal(routes_to("203.0.113.5"), 1);
    host_routes_put(&routes, b);
    assert_int_equal(routes_to("203.0.113.5"), 0);
    assert_int_equal(routes_to("203.0.113.6"), 1);
    host_routes_put(&routes, c);
    assert_int_equal(fake.routes_n, 0);
    (void)get("203.0.113.5", 1);
    (void)get("203.0.113.5", 1);
    (void)get("2001:db8::5", 1);
    host_routes_fini(&routes);
    assert_int_equal(fake.routes_n, 0);
}

/* What was there before stays there. */
static void test_somebody_elses(void **state)
{
    (void)state;
    struct ip_helper_route *r = present("203.0.113.5", 32, 1);
    r->next_hop = addr("192.0.2.1");
    struct host_route *a = get("203.0.113.5", 1);
    assert_int_equal(fake.routes_n, 1);
    host_routes_put(&routes, a);
    assert_int_equal(fake.routes_n, 1);
}

static void test_swept(void **state)
{
    struct ip_addr dst = addr("203.0.113.5"), v6 = addr("2001:db8::5");
    (void)state;
    (void)present("203.0.113.5", 32, IP_HELPER_PROTOCOL_NETMGMT); /* the first row counts, too */
    (void)present("203.0.113.5", 32, 2);                          /* the address of an interface */
    (void)present("203.0.113.0", 24, IP_HELPER_PROTOCOL_NETMGMT);
    (void)present("203.0.113.6", 32, IP_HELPER_PROTOCOL_NETMGMT);
    present("203.0.113.5", 32, IP_HELPER_PROTOCOL_NETMGMT)->loopback = true;
    (void)present("2001:db8::5", 128, IP_HELPER_PROTOCOL_NETMGMT);
    (void)present("203.0.113.5", 32, IP_HELPER_PROTOCOL_NETMGMT); /* and the last */
    fake.routes[6].next_hop = addr("192.0.2.77");
    struct ip_helper_route *by_3 = present("0.0.0.0", 0, 2);
    by_3->luid = 3;
    by_3->next_hop = addr("192.0.2.1");
    struct host_route *used = get("203.0.113.5", 3);
    host_routes_sweep(&routes, &dst);
    assert_int_equal(fake.routes_n, 7);
    assert_int_equal(routes_to("203.0.113.5"), 3); /* interface, loopback, in use */
    assert_int_equal(routes_to("2001:db8::5"), 1);
    host_routes_sweep(&routes, &v6);
    assert_int_equal(routes_to("2001:db8::5"), 0);
    assert_int_equal(fake.tables_out, 0);
    host_routes_put(&routes, used);
    assert_int_equal(routes_to("203.0.113.5"), 2);
    struct ip_addr first = addr("203.0.113.0"); /* also the name of a network */
    unsigned before = fake.routes_n;
    host_routes_sweep(&routes, &first);
    assert_int_equal(fake.routes_n, before);
}

/* The machine has left the network of a gateway while a connection by it lives: a new one must not find that route. */
static void test_stale(void **state)
{
    struct ip_addr dst = addr("203.0.113.5");
    (void)state;
    struct ip_helper_route *by_default = present("0.0.0.0", 0, 2);
    by_default->next_hop = addr("192.0.2.1");
    struct host_route *old = get("203.0.113.5", 1), *other = get("203.0.113.6", 1);
    host_routes_sweep(&routes, &dst);
    assert_int_equal(routes_to("203.0.113.5"), 1); /* confirmed */
    fake.routes[0].next_hop = addr("198.51.100.1");
    host_routes_sweep(&routes, &dst);
    assert_int_equal(routes_to("203.0.113.5"), 0);
    assert_int_equal(routes_to("203.0.113.6"), 1); /* when somebody connects there */
    fake.routes[0].next_hop = addr("192.0.2.1");   /* and back again */
    struct host_route *new = get("203.0.113.5", 1);
    assert_ptr_not_equal(old, new);
    assert_int_equal(routes_to("203.0.113.5"), 1);
    host_routes_put(&routes, old); /* is not the new one's end */
    assert_int_equal(routes_to("203.0.113.5"), 1);
    host_routes_sweep(&routes, &dst);
    assert_int_equal(routes_to("203.0.113.5"), 1);
    host_routes_put(&routes, new);
    host_routes_put(&routes, other);
    assert_int_equal(fake.routes_n, 1);
}

/* An adapter that goes away takes its routes along; who connects when it is back is kept out of the tunnel, too. */
static void test_made_again(void **state)
{
    struct ip_addr dst = addr("203.0.113.5");
    struct ip_helper_route w = way(1);
    struct host_route *out;
    (void)state;
    struct host_route *a = get("203.0.113.5", 1);
    fake.routes_n = 0;
    assert_ptr_equal(get("203.0.113.5", 1), a);
    assert_int_equal(routes_to("203.0.113.5"), 1);
    fake.routes_n = 0;
    fake.create_error = 5;
    assert_int_equal(host_routes_get(&routes, &dst, &w, &out), ERR_PERMISSION);
    assert_null(out);
    fake.create_error = 0;
    assert_ptr_equal(get("203.0.113.5", 1), a); /* the failure is no user */
    host_routes_put(&routes, a);
    host_routes_put(&routes, a);
    assert_int_equal(routes_to("203.0.113.5"), 1);
    host_routes_put(&routes, a);
    assert_int_equal(fake.routes_n, 0);
    /* Somebody else's that went, and that we had to make: ours to remove. */
    present("203.0.113.5", 32, 1)->next_hop = addr("192.0.2.1");
    a = get("203.0.113.5", 1);
    fake.routes_n = 0;
    assert_ptr_equal(get("203.0.113.5", 1), a);
    host_routes_put(&routes, a);
    host_routes_put(&routes, a);
    assert_int_equal(fake.routes_n, 0);
}

/* ---- random orders, against numbers of users ---- */

enum {
    HOSTS = 4,
    WAYS = 2,
    HELD = 12,
    STEPS = 40000
};

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

static const char *const hosts[HOSTS] = {"203.0.113.5", "203.0.113.6", "203.0.113.7",
                                         "203.0.113.8"};

static bool has_route(unsigned number, uint64_t luid)
{
    struct ip_addr a = addr(hosts[number]);
    for (unsigned i = 0; i < fake.routes_n; i++) {
        if (ip_addr_equal(&fake.routes[i].dst.ip, &a) && fake.routes[i].luid == luid &&
            fake.routes[i].dst.len == 32)
            return true;
    }
    return false;
}

static void lose(unsigned number, uint64_t luid)
{
    struct ip_addr a = addr(hosts[number]);
    for (unsigned i = 0; i < fake.routes_n; i++) {
        if (ip_addr_equal(&fake.routes[i].dst.ip, &a) && fake.routes[i].luid == luid &&
            fake.routes[i].dst.len == 32) {
            fake.routes[i] = fake.routes[--fake.routes_n];
            return;
        }
    }
}

/*
 * A route is there as long as it has users, whatever is swept in between, and somebody else's always. One that got lost is there
 * again when the next user comes.
 */
static void test_random_orders(void **state)
{
    struct {
        struct host_route *route;
        unsigned number;
        uint64_t luid;
    } held[HELD] = {{0}};
    unsigned users[HOSTS][WAYS + 1] = {{0}};
    bool lost[HOSTS][WAYS + 1] = {{0}};
    (void)state;
    for (uint64_t luid = 1; luid <= WAYS; luid++) {
        struct ip_helper_route *r = present("0.0.0.0", 0, 2);
        r->luid = luid;
        r->next_hop = addr("192.0.2.1");
    }
    (void)present(hosts[0], 32, 2);
    fake.routes[2].luid = 7;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = pick(HELD);
        if (pick(16) == 0) {
            unsigned number = pick(HOSTS);
            uint64_t luid = 1 + pick(WAYS);
            lose(number, luid);
            lost[number][luid] = true;
        } else if (pick(8) == 0) {
            struct ip_addr a = addr(hosts[pick(HOSTS)]);
            host_routes_sweep(&routes, &a);
        } else if (held[i].route) {
            host_routes_put(&routes, held[i].route);
            held[i].route = NULL;
            users[held[i].number][held[i].luid]--;
        } else {
            held[i].number = pick(HOSTS);
            held[i].luid = 1 + pick(WAYS);
            held[i].route = get(hosts[held[i].number], held[i].luid);
            users[held[i].number][held[i].luid]++;
            lost[held[i].number][held[i].luid] = false;
        }
        unsigned expected = 3;
        for (unsigned n = 0; n < HOSTS; n++) {
            for (uint64_t luid = 1; luid <= WAYS; luid++) {
                bool there = users[n][luid] > 0 && !lost[n][luid];
                assert_int_equal(has_route(n, luid), there);
                expected += there;
            }
        }
        assert_int_equal(fake.routes_n, expected);
        assert_int_equal(fake.tables_out, 0);
    }
    host_routes_fini(&routes);
    assert_int_equal(fake.routes_n, 3);
}

static void test_errors(void **state)
{
    struct ip_addr dst = addr("203.0.113.5");
    struct ip_helper_route w = way(1);
    struct host_route *out;
    (void)state;
    fake.create_error = 5; /* access denied */
    assert_int_equal(host_routes_get(&routes, &dst, &w, &out), ERR_PERMISSION);
    assert_null(out);
    assert_null(routes.list);
    fake.create_error = 0;
    out = get("203.0.113.5", 1);
    fake.delete_error = IP_HELPER_NOT_FOUND; /* the adapter has taken it along */
    host_routes_put(&routes, out);
    assert_null(routes.list);
    fake.delete_error = 5;
    out = get("203.0.113.6", 1);
    host_routes_put(&routes, out); /* logged */
    assert_null(routes.list);
    fake.table_error = 50;
    host_routes_sweep(&routes, &dst); /* logged */
    assert_int_equal(fake.tables_out, 0);
    fake.helper.get_routes = NULL;
    host_routes_sweep(&routes, &dst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_made_and_removed, set_up),
        cmocka_unit_test_setup(test_counted, set_up),
        cmocka_unit_test_setup(test_somebody_elses, set_up),
        cmocka_unit_test_setup(test_swept, set_up),
        cmocka_unit_test_setup(test_stale, set_up),
        cmocka_unit_test_setup(test_random_orders, set_up),
        cmocka_unit_test_setup(test_made_again, set_up),
        cmocka_unit_test_setup(test_errors, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
