/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifications of changes on Windows, with registrations of our own, on every system: what counts, and that no reader of the source cache finds an
 * older answer once control has heard of a change that a foreign thread told of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "engine/source_cache.h"
#include "platform/windows/net_change.c"
#include "platform/windows/own_hosts.c"

enum {
    OUR_LUID = 9,
    CHANGES = 2000,
    READERS = 2
};

static struct {
    net_change_fn fn[NET_CHANGE_WHATS];
    void *arg[NET_CHANGE_WHATS];
    unsigned running, refuse_at, wakes;
} fake;

static unsigned long fake_start(void *ctx, enum net_change_what what, net_change_fn fn, void *arg,
                                void **handle)
{
    (void)ctx;
    if (fake.refuse_at == (unsigned)what + 1)
        return 50;
    fake.fn[what] = fn;
    fake.arg[what] = arg;
    *handle = &fake.fn[what];
    fake.running++;
    return 0;
}

static void fake_stop(void *ctx, void *handle)
{
    (void)ctx;
    *(net_change_fn *)handle = NULL;
    fake.running--;
}

static const struct net_change_source source = {.start = fake_start, .stop = fake_stop};

static void on_wake(void *arg)
{
    (void)arg;
    fake.wakes++;
}

static struct own_hosts own = OWN_HOSTS_INIT;

static void tell(enum net_change_what what, uint64_t luid, unsigned kind)
{
    fake.fn[what](fake.arg[what], what, luid, kind, NULL);
}

static void test_what_counts(void **state)
{
    static const struct {
        enum net_change_what what;
        uint64_t luid;
        unsigned kind, bits;
    } cases[] = {
        {NET_CHANGE_ADDRESSES, 1, NET_CHANGE_ADDED, NET_CHANGE_WAYS | NET_CHANGE_MOVED},
        {NET_CHANGE_ADDRESSES, 1, NET_CHANGE_DELETED, NET_CHANGE_WAYS | NET_CHANGE_MOVED},
        {NET_CHANGE_ADDRESSES, 1, NET_CHANGE_PARAMETER, 0}, /* a lifetime is renewed */
        {NET_CHANGE_ADDRESSES, 1, NET_CHANGE_INITIAL, 0},
        {NET_CHANGE_ADDRESSES, OUR_LUID, NET_CHANGE_ADDED, 0}, /* our own address comes */
        {NET_CHANGE_ADDRESSES, 0, NET_CHANGE_ADDED, NET_CHANGE_WAYS | NET_CHANGE_MOVED},
        {NET_CHANGE_ROUTES, 1, NET_CHANGE_PARAMETER, NET_CHANGE_WAYS},
        {NET_CHANGE_ROUTES, OUR_LUID, NET_CHANGE_ADDED, 0},
        {NET_CHANGE_INTERFACES, 1, NET_CHANGE_PARAMETER, NET_CHANGE_WAYS},
        {NET_CHANGE_INTERFACES, OUR_LUID, NET_CHANGE_DELETED, 0},
    };
    struct net_change c;
    (void)state;
    memset(&fake, 0, sizeof fake);
    assert_int_equal(net_change_init(&c, &source, &own, on_wake, NULL), ERR_OK);
    net_change_set_tun(&c, OUR_LUID);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake.wakes = 0;
        tell(cases[i].what, cases[i].luid, cases[i].kind);
        tell(cases[i].what, cases[i].luid, cases[i].kind);
        assert_int_equal(fake.wakes, cases[i].bits != 0); /* once until it is taken */
        assert_int_equal(net_change_take(&c), cases[i].bits);
        assert_int_equal(net_change_take(&c), 0);
    }
    net_change_set_tun(&c, 0);
    tell(NET_CHANGE_ADDRESSES, OUR_LUID, NET_CHANGE_ADDED);
    assert_int_equal(net_change_take(&c), NET_CHANGE_WAYS | NET_CHANGE_MOVED);
    net_change_fini(&c);
    assert_int_equal(fake.running, 0);
}

/* Routes of ours to single hosts are no change of the network. */
static void test_own_routes(void **state)
{
    struct ip_addr host = {.family = ADDR_V4, .bytes = {203, 0, 113, 5}}, other = host;
    struct ip_prefix route = ip_prefix_host(&host), net = {.ip = host, .len = 31};
    struct net_change c;
    (void)state;
    memset(&fake, 0, sizeof fake);
    assert_int_equal(net_change_init(&c, &source, &own, on_wake, NULL), ERR_OK);
    net_change_fn fn = fake.fn[NET_CHANGE_ROUTES];
    fn(&c, NET_CHANGE_ROUTES, 1, NET_CHANGE_ADDED, &route);
    assert_int_equal(net_change_take(&c), NET_CHANGE_WAYS);
    own_hosts_add(&own, &host);
    fn(&c, NET_CHANGE_ROUTES, 1, NET_CHANGE_ADDED, &route);
    fn(&c, NET_CHANGE_ROUTES, 1, NET_CHANGE_DELETED, &route);
    assert_int_equal(net_change_take(&c), 0);
    fn(&c, NET_CHANGE_ROUTES, 1, NET_CHANGE_ADDED, &net);
    assert_int_equal(net_change_take(&c), NET_CHANGE_WAYS);
    /* The oldest is forgotten, if it is not one of the last. */
    for (unsigned i = 0; i < OWN_HOSTS_MAX - 1; i++) {
        other.bytes[3] = (uint8_t)(100 + i);
        own_hosts_add(&own, &other);
        own_hosts_add(&own, &other);
    }
    assert_true(own_hosts_has(&own, &host));
    other.bytes[2] = 9;
    own_hosts_add(&own, &other);
    assert_false(own_hosts_has(&own, &host));
    assert_true(own_hosts_has(&own, &other));
    other = (struct ip_addr){.family = ADDR_NONE};
    assert_false(own_hosts_has(&own, &other));
    assert_ptr_equal(own_hosts_process(), own_hosts_process());
    net_change_fini(&c);
}

static void test_the_system_refuses(void **state)
{
    struct net_change c;
    (void)state;
    for (unsigned i = 1; i <= NET_CHANGE_WHATS; i++) {
        memset(&fake, 0, sizeof fake);
        fake.refuse_at = i;
        assert_int_equal(net_change_init(&c, &source, &own, on_wake, NULL), ERR_UNSUPPORTED);
        assert_int_equal(fake.running, 0);
        net_change_fini(&c);
    }
}

/* ---- with threads: the host's way changes, the system tells, control invalidates, readers look on ---- */

struct stress {
    struct net_change change;
    struct source_cache *cache;
    struct counter way;     /* the host's, a number */
    struct counter heard;   /* what control has published the end of */
    struct counter stopped; /* 1: the end */
    struct edges woken;
};

static const struct ip_addr dst = {.family = ADDR_V4, .bytes = {203, 0, 113, 5}};

static void on_stress_wake(void *arg)
{
    struct stress *s = arg;
    (void)edge_raise(&s->woken, 1);
}

static void *system_thread(void *arg)
{
    struct stress *s = arg;
    for (unsigned i = 1; i <= CHANGES; i++) {
        counter_set(&s->way, i);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        tell(NET_CHANGE_ROUTES, 1, NET_CHANGE_PARAMETER);
        sched_yield();
    }
    return NULL;
}

/* An answer is at least as new as what control had heard of before the question. */
static void *reader_thread(void *arg)
{
    struct stress *s = arg;
    struct ip_source got;
    uintptr_t wrong = 0;
    while (counter_read(&s->stopped) == 0) {
        uint64_t heard = __atomic_load_n(&s->heard.value, __ATOMIC_ACQUIRE);
        if (source_cache_lookup(s->cache, &dst, &got) && got.ifindex < heard)
            wrong++;
    }
    return (void *)wrong;
}

static void control(struct stress *s)
{
    uint64_t last = 0;
    while (last < CHANGES) {
        if (edge_take(&s->woken) != 0 && net_change_take(&s->change) != 0) {
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            last = counter_read(&s->way);
            (void)source_cache_invalidate(s->cache);
            __atomic_store_n(&s->heard.value, last, __ATOMIC_RELEASE);
        }
        uint64_t generation = source_cache_generation(s->cache);
        struct ip_source answer = {.ip = dst, .ifindex = (uint32_t)counter_read(&s->way)};
        (void)source_cache_publish(s->cache, generation, &dst, &answer);
        sched_yield();
    }
}

static void test_threads(void **state)
{
    static struct stress s;
    pthread_t system, readers[READERS];
    void *wrong;
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&s, 0, sizeof s);
    s.cache = source_cache_new(1);
    assert_non_null(s.cache);
    assert_int_equal(net_change_init(&s.change, &source, &own, on_stress_wake, &s), ERR_OK);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, reader_thread, &s), 0);
    assert_int_equal(pthread_create(&system, NULL, system_thread, &s), 0);
    control(&s);
    assert_int_equal(pthread_join(system, NULL), 0);
    counter_set(&s.stopped, 1);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], &wrong), 0);
        assert_null(wrong);
    }
    net_change_fini(&s.change);
    source_cache_free(s.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_counts),
        cmocka_unit_test(test_own_routes),
        cmocka_unit_test(test_the_system_refuses),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
