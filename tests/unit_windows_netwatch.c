/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network watch of Windows on every system: tables, notifications, list of networks, clock and loop are the test's, and time passes when it says.
 * Also with threads that tell while the watch works and while it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "platform/windows/adapters.c"
#include "platform/windows/default_way.c"
#include "platform/windows/net_change.c"
#include "platform/windows/netwatch.c"
#include "platform/windows/own_hosts.c"
#include "platform/windows/source_best.c"
#include "tests/support/ip_helper_text.h"
#include "tests/support/loop_fake.h"

enum {
    TUN = 9,
    TELLERS = 3,
    TELLS = 3000
};

/* ---- the system ---- */

static struct fake_helper fake;
static time_ns suspended;

const struct ip_helper *ip_helper_system(void)
{
    return &fake.helper;
}

time_ns suspend_total(void)
{
    return suspended;
}

static struct {
    pthread_mutex_t lock; /* a call is over when `stop` returns */
    net_change_fn fn[NET_CHANGE_WHATS];
    void *arg[NET_CHANGE_WHATS];
    bool absent, refuses;
} notifier = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned long start_telling(void *ctx, enum net_change_what what, net_change_fn fn,
                                   void *arg, void **handle)
{
    (void)ctx;
    if (notifier.refuses && what == NET_CHANGE_INTERFACES)
        return 50;
    pthread_mutex_lock(&notifier.lock);
    notifier.fn[what] = fn;
    notifier.arg[what] = arg;
    pthread_mutex_unlock(&notifier.lock);
    *handle = &notifier.fn[what];
    return 0;
}

static void stop_telling(void *ctx, void *handle)
{
    (void)ctx;
    pthread_mutex_lock(&notifier.lock);
    *(net_change_fn *)handle = NULL;
    pthread_mutex_unlock(&notifier.lock);
}

static const struct net_change_source source = {.start = start_telling, .stop = stop_telling};

const struct net_change_source *net_change_system(void)
{
    return notifier.absent ? NULL : &source;
}

static void tell_route(enum net_change_what what, uint64_t luid, unsigned kind,
                       const struct ip_prefix *dst)
{
    pthread_mutex_lock(&notifier.lock);
    if (notifier.fn[what])
        notifier.fn[what](notifier.arg[what], what, luid, kind, dst);
    pthread_mutex_unlock(&notifier.lock);
}

static void tell(enum net_change_what what, uint64_t luid, unsigned kind)
{
    tell_route(what, luid, kind, NULL);
}

struct network_list {
    void (*moved)(void *arg);
    void *arg;
};
static struct network_list networks;
static bool no_networks;

enum err network_list_new(struct network_list **out, void (*moved)(void *arg), void *arg)
{
    *out = NULL;
    if (no_networks)
        return ERR_UNSUPPORTED;
    networks = (struct network_list){moved, arg};
    *out = &networks;
    return ERR_OK;
}

void network_list_free(struct network_list *l)
{
    if (l)
        l->moved = NULL;
}

/* ---- the rig ---- */

static struct {
    struct netwatch *w;
    unsigned ways, settled, moved;
    char why[WHY_MAX];
    uint32_t changes, seen; /* of the threads; what was there when `ways` was told last */
} rig;

static void on_ways(void *arg)
{
    (void)arg;
    rig.ways++;
    rig.seen = __atomic_load_n(&rig.changes, __ATOMIC_ACQUIRE);
}

static void on_settled(void *arg)
{
    (void)arg;
    rig.settled++;
}

static void on_move(void *arg, const char *why)
{
    (void)arg;
    rig.moved++;
    snprintf(rig.why, sizeof rig.why, "%s", why);
}

static const char *const host[] = {
    "adapter 1 up Ethernet 25 192.0.2.10/24 2001:db8::10/64",
    "adapter 2 up Wi-Fi 35 198.51.100.10/24 198.51.100.11/24",
    "adapter 9 up Firezone 1 100.64.0.1/32",
    "route 1 0.0.0.0/0 via 192.0.2.1",
    "route 2 0.0.0.0/0 via 198.51.100.1",
    "route 9 0.0.0.0/0",
    NULL,
};

static enum err open_watch(char *why, unsigned why_size)
{
    static const struct netwatch_events events = {on_ways, on_settled, on_move};
    struct netwatch_config config = {.network_manager = true};
    return netwatch_new(&rig.w, &the_loop, &config, &events, &rig, why, why_size);
}

static int set_up(void **state)
{
    char why[120];
    (void)state;
    memset(&rig, 0, sizeof rig);
    the_loop = (struct loop){.now = 100 * NS_PER_SEC};
    suspended = 1000 * NS_PER_SEC;
    notifier.absent = notifier.refuses = no_networks = false;
    fake_helper_init(&fake);
    fake_helper_describe(&fake, host);
    assert_int_equal(open_watch(why, sizeof why), ERR_OK);
    netwatch_set_tun(rig.w, TUN + 100);
    pass(10 * NS_PER_SEC);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    netwatch_free(rig.w);
    assert_null(the_loop.bell);
    assert_null(the_loop.timer);
    for (unsigned i = 0; i < NET_CHANGE_WHATS; i++)
        assert_null(notifier.fn[i]);
    assert_null(networks.moved);
    assert_int_equal(fake.tables_out, 0);
    return 0;
}

static void expect(unsigned ways, unsigned settled, unsigned moved)
{
    if (rig.ways != ways || rig.settled != settled || rig.moved != moved)
        fail_msg("ways %u, settled %u, moved %u (%s); not %u, %u, %u", rig.ways, rig.settled,
                 rig.moved, rig.why, ways, settled, moved);
}

/* One notification of a route, heard. */
static void change(void)
{
    tell(NET_CHANGE_ROUTES, 1, NET_CHANGE_PARAMETER);
    assert_true(answer_bell());
}

/* ... and the debounce over. */
static void change_and_settle(void)
{
    change();
    pass(QUIET_NS);
}

/* ---- what is told when ---- */

static void test_order_and_debounce(void **state)
{
    (void)state;
    change();
    expect(1, 0, 0);
    pass(QUIET_NS - 1);
    expect(1, 0, 0);
    pass(1);
    expect(1, 1, 0);
    pass(100 * NS_PER_SEC);
    expect(1, 1, 0);
    /* A series is told at once each, and settles no later than 2 s after its begin. */
    for (unsigned i = 0; i < 8; i++) {
        change();
        pass(QUIET_NS / 2);
    }
    expect(9, 2, 0);
    pass(QUIET_NS);
    expect(9, 2, 0);
}

static void test_what_is_ours(void **state)
{
    (void)state;
    tell(NET_CHANGE_ADDRESSES, TUN, NET_CHANGE_ADDED);
    tell(NET_CHANGE_ROUTES, TUN, NET_CHANGE_ADDED);
    tell(NET_CHANGE_ADDRESSES, 1, NET_CHANGE_PARAMETER); /* a lifetime is renewed */
    assert_false(answer_bell());
    /* The route to the portal comes and goes with each try to connect, which is not to begin the next one. */
    struct ip_addr portal = addr("203.0.113.5");
    struct ip_prefix route = ip_prefix_host(&portal);
    own_hosts_add(own_hosts_process(), &portal);
    tell_route(NET_CHANGE_ROUTES, 1, NET_CHANGE_ADDED, &route);
    tell_route(NET_CHANGE_ROUTES, 1, NET_CHANGE_DELETED, &route);
    assert_false(answer_bell());
    netwatch_set_tun(rig.w, 0);
    tell(NET_CHANGE_INTERFACES, TUN, NET_CHANGE_DELETED); /* its end is ours, too */
    assert_false(answer_bell());
    fake.metrics[0] = 0;
    fake.adapters[0].up = fake.adapters[1].up = false; /* ... and its route is no way out */
    change_and_settle();
    expect(1, 1, 0);
}

/* ---- moves ---- */

static void test_default_route(void **state)
{
    (void)state;
    fake.routes[0].next_hop = addr("192.0.2.99");
    change_and_settle();
    expect(1, 1, 1);
    assert_string_equal(rig.why, "the default route has changed");
    fake.metrics[0] = 100; /* now by Wi-Fi */
    change_and_settle();
    expect(2, 2, 2);
    fake.adapters[1].addresses_n--;
    tell(NET_CHANGE_ADDRESSES, 2, NET_CHANGE_DELETED);
    assert_true(answer_bell());
    pass(QUIET_NS);
    expect(3, 3, 3);
    assert_string_equal(rig.why, "an address of the default route's interface is gone");
    fake.adapters[1].addresses[fake.adapters[1].addresses_n++] = prefix("198.51.100.77/24");
    change_and_settle(); /* one more */
    expect(4, 4, 3);
}

static void test_gone_and_back(void **state)
{
    (void)state;
    fake.adapters[0].up = fake.adapters[1].up = false;
    change_and_settle();
    expect(1, 1, 0); /* nowhere to go */
    fake.adapters[0].up = true;
    change_and_settle();
    expect(2, 2, 0); /* as it was */
    fake.adapters[0].up = false;
    change_and_settle();
    fake.adapters[1].up = true;
    change_and_settle();
    expect(4, 4, 1);
}

static void test_second_family(void **state)
{
    (void)state;
    static const char *const v6[] = {"route 1 ::/0 via fe80::1", NULL};
    fake_helper_describe(&fake, v6);
    change_and_settle();
    expect(1, 1, 0);
    fake.routes_n--;
    change_and_settle();
    expect(2, 2, 0);
}

static void test_first_way(void **state)
{
    char why[120];
    (void)state;
    netwatch_free(rig.w);
    fake.adapters[0].up = fake.adapters[1].up = false;
    assert_int_equal(open_watch(why, sizeof why), ERR_OK);
    fake.adapters[1].up = true;
    change_and_settle();
    expect(1, 1, 1);
    assert_string_equal(rig.why, "there is a default route now");
}

/* The list of networks knows of moves that addresses do not show; together with one that they show it is one. */
static void test_list_of_networks(void **state)
{
    (void)state;
    networks.moved(networks.arg);
    networks.moved(networks.arg);
    assert_true(answer_bell());
    assert_false(answer_bell());
    expect(1, 0, 0);
    pass(QUIET_NS);
    expect(1, 1, 1);
    assert_string_equal(rig.why, "Windows says that a network has changed");
    pass(NS_PER_SEC);
    networks.moved(networks.arg); /* is late about the same */
    assert_true(answer_bell());
    pass(QUIET_NS);
    expect(2, 2, 1);
    pass(HINT_AFTER_NS);
    networks.moved(networks.arg);
    fake.routes[0].next_hop = addr("192.0.2.99");
    assert_true(answer_bell());
    pass(QUIET_NS);
    expect(3, 3, 2);
    assert_string_equal(rig.why, "the default route has changed");
}

static void test_hints(void **state)
{
    (void)state;
    netwatch_hint(rig.w, "somebody says so");
    expect(0, 0, 0);
    pass(QUIET_NS);
    expect(1, 1, 1);
    assert_string_equal(rig.why, "somebody says so");
    pass(HINT_AFTER_NS);
    fake.adapters[0].up = fake.adapters[1].up = false;
    netwatch_hint(rig.w, "another network");
    pass(QUIET_NS);
    expect(2, 2, 1); /* waits for the next way out */
    fake.adapters[0].up = true;
    change_and_settle();
    expect(3, 3, 2);
    assert_string_equal(rig.why, "another network");
    fake.routes[0].next_hop = addr("192.0.2.99");
    change();
    netwatch_handled(rig.w); /* the owner knows */
    pass(QUIET_NS);
    expect(4, 4, 2);
}

static void test_suspend(void **state)
{
    (void)state;
    suspended += NS_PER_SEC;
    change_and_settle();
    expect(1, 1, 0); /* too short */
    suspended += 12 * NS_PER_SEC;
    fake.adapters[0].up = fake.adapters[1].up = false;
    change_and_settle();
    expect(2, 2, 0); /* no way out on waking up */
    fake.adapters[0].up = true;
    change_and_settle();
    expect(3, 3, 1);
    assert_string_equal(rig.why, "the machine was suspended for 12 s");
    change();
    suspended += 3 * NS_PER_SEC;
    pass(QUIET_NS); /* the debounce looks, too */
    expect(5, 4, 2);
    assert_string_equal(rig.why, "the machine was suspended for 3 s");
}

/* ---- failures ---- */

static void test_unreadable_tables(void **state)
{
    (void)state;
    fake.routes[0].next_hop = addr("192.0.2.99");
    fake.table_error = 5;
    change_and_settle();
    expect(1, 1, 0);
    fake.table_error = 0;
    change_and_settle(); /* the next change has them read again */
    expect(2, 2, 1);
}

static void test_set_up_fails(void **state)
{
    char why[120];
    (void)state;
    netwatch_free(rig.w);
    for (unsigned i = 0; i < 4; i++) {
        the_loop.bell_fails = i == 0;
        notifier.absent = i == 1;
        notifier.refuses = i == 2;
        fake.table_error = i == 3 ? 5 : 0;
        why[0] = '\0';
        enum err err = open_watch(why, sizeof why);
        assert_int_not_equal(err, ERR_OK);
        assert_null(rig.w);
        assert_true(why[0] != '\0');
        assert_null(the_loop.bell);
        assert_null(notifier.fn[0]);
        assert_null(networks.moved);
    }
    the_loop.bell_fails = notifier.absent = notifier.refuses = false;
    fake.table_error = 0;
    no_networks = true; /* is no reason to fail */
    assert_int_equal(open_watch(why, sizeof why), ERR_OK);
    change_and_settle();
    expect(1, 1, 0);
}

/* ---- threads of the system's ---- */

static void *teller(void *arg)
{
    uintptr_t what = (uintptr_t)arg;
    for (unsigned i = 0; i < TELLS; i++) {
        __atomic_fetch_add(&rig.changes, 1, __ATOMIC_RELEASE);
        tell((enum net_change_what)what, 1, NET_CHANGE_ADDED);
        if (i % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void start_tellers(pthread_t threads[TELLERS])
{
    for (uintptr_t i = 0; i < TELLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, teller, (void *)(i % NET_CHANGE_WHATS)),
                         0);
}

/* No change is without a `ways` after it. */
static void test_threads_tell(void **state)
{
    pthread_t threads[TELLERS];
    (void)state;
    start_tellers(threads);
    while (__atomic_load_n(&rig.changes, __ATOMIC_ACQUIRE) < TELLERS * TELLS) {
        (void)answer_bell();
        pass(NS_PER_MS);
    }
    for (unsigned i = 0; i < TELLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)answer_bell();
    assert_int_equal(rig.seen, TELLERS * TELLS);
    assert_in_range(rig.ways, 1, TELLERS * TELLS);
    assert_int_equal(rig.moved, 0);
    unsigned settled = rig.settled;
    pass(LATEST_NS);
    assert_int_equal(rig.settled, settled + 1);
}

/* It ends while they tell; nobody calls it any more then. */
static void test_end_while_threads_tell(void **state)
{
    pthread_t threads[TELLERS];
    char why[120];
    (void)state;
    start_tellers(threads);
    for (unsigned i = 0; i < 50; i++) {
        (void)answer_bell();
        netwatch_free(rig.w);
        (void)__atomic_exchange_n(&the_loop.rung, 0, __ATOMIC_ACQ_REL);
        assert_int_equal(open_watch(why, sizeof why), ERR_OK);
        sched_yield();
    }
    for (unsigned i = 0; i < TELLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(order_and_debounce),     TEST(what_is_ours),  TEST(default_route),
        TEST(gone_and_back),          TEST(second_family), TEST(first_way),
        TEST(list_of_networks),       TEST(hints),         TEST(suspend),
        TEST(unreadable_tables),      TEST(set_up_fails),  TEST(threads_tell),
        TEST(end_while_threads_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
