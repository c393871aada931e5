/* SPDX-License-Identifier: Apache-2.0 */
/* Names to addresses: answers, retries, cancelling at every moment, and that nobody waits for a stuck lookup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/resolve.c" /* looks at its requests */

enum {
    CALLS_MAX = 64
};

/* The fake system resolver, called on helper threads: "N.ok" has the address 192.0.2.N, "N.stuck" too, but waits. */
static struct {
    pthread_mutex_t lock;
    unsigned running, running_max, finished, failures_left;
    sem_t entered, release;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool fake_begin(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.running++;
    if (fake.running > fake.running_max)
        fake.running_max = fake.running;
    bool failure = fake.failures_left > 0;
    fake.failures_left -= failure;
    pthread_mutex_unlock(&fake.lock);
    return failure;
}

static enum err fake_lookup(const char *host, struct sock_addr *out, unsigned *n, char *why,
                            unsigned why_size)
{
    bool failure = fake_begin();
    uint8_t v4[4] = {192, 0, 2, 0};

    v4[3] = (uint8_t)atoi(host);
    *n = 0;
    if (strstr(host, ".stuck")) {
        sem_post(&fake.entered);
        sem_wait(&fake.release);
    }
    if (!failure) {
        out[0] = (struct sock_addr){.ip = ip_addr_v4(v4)};
        v4[0] = 10;
        out[1] = (struct sock_addr){.ip = ip_addr_v4(v4)};
        *n = 2;
    }
    snprintf(why, why_size, "no luck");
    pthread_mutex_lock(&fake.lock);
    fake.running--;
    fake.finished++;
    pthread_mutex_unlock(&fake.lock);
    return failure ? ERR_AGAIN : ERR_OK;
}

/* Until so many lookups have ended. */
static void fake_wait(unsigned finished)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.finished < finished) {
        pthread_mutex_unlock(&fake.lock);
        usleep(1000);
        pthread_mutex_lock(&fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
}

/* Until no lookup is under way. */
static void fake_wait_idle(void)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.running > 0) {
        pthread_mutex_unlock(&fake.lock);
        usleep(1000);
        pthread_mutex_lock(&fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
}

struct rig {
    struct loop *loop;
    struct resolve *resolve;
    unsigned calls, stop_after;
    void *tags[CALLS_MAX];
    struct sock_addr first[CALLS_MAX];
    void *pair[2]; /* tags: the callback for one cancels the other */
};

static void on_done(void *arg, void *tag, const struct sock_addr *addrs, unsigned n)
{
    struct rig *rig = arg;

    assert_int_equal(n, 2);
    assert_int_equal(addrs[1].ip.bytes[0], 10);
    assert_int_equal(addrs[0].port, addrs[1].port);
    rig->tags[rig->calls] = tag;
    rig->first[rig->calls++] = addrs[0];
    if (rig->pair[0])
        resolve_cancel(rig->resolve, rig->pair[tag == rig->pair[0]]);
    if (rig->calls == rig->stop_after)
        loop_stop(rig->loop);
}

static void rig_start(struct rig *rig)
{
    *rig = (struct rig){0};
    fake_wait_idle();
    fake.failures_left = fake.running_max = fake.finished = 0;
    sem_init(&fake.entered, 0, 0);
    sem_init(&fake.release, 0, 0);
    assert_int_equal(loop_new(&rig->loop), ERR_OK);
    assert_int_equal(resolve_new(&rig->resolve, rig->loop, on_done, rig, fake_lookup), ERR_OK);
}

static void rig_stop(struct rig *rig)
{
    resolve_free(rig->resolve);
    loop_free(rig->loop);
}

static void run_until(struct rig *rig, unsigned calls)
{
    rig->stop_after = calls;
    assert_int_equal(loop_run(rig->loop), ERR_OK);
    assert_int_equal(rig->calls, calls);
}

static void test_answer(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    assert_false(resolve_pending(rig.resolve));
    resolve_add(rig.resolve, "7.ok", 51820, &rig);
    assert_true(resolve_pending(rig.resolve));
    run_until(&rig, 1);
    assert_ptr_equal(rig.tags[0], &rig);
    assert_int_equal(rig.first[0].port, 51820);
    assert_int_equal(rig.first[0].ip.bytes[3], 7);
    assert_false(resolve_pending(rig.resolve));
    rig_stop(&rig);
}

static void test_many_names_few_threads(void **state)
{
    enum {
        NAMES = 50
    };
    struct rig rig;
    bool seen[NAMES] = {false};

    (void)state;
    rig_start(&rig);
    for (unsigned i = 0; i < NAMES; i++) {
        char host[16];
        snprintf(host, sizeof host, "%u.ok", i);
        resolve_add(rig.resolve, host, (uint16_t)(i + 1), NULL);
    }
    run_until(&rig, NAMES);
    for (unsigned i = 0; i < NAMES; i++) {
        unsigned name = rig.first[i].ip.bytes[3];
        assert_false(seen[name]);
        seen[name] = true;
        assert_int_equal(rig.first[i].port, name + 1);
    }
    assert_in_range(fake.running_max, 1, RESOLVE_THREADS_MAX);
    rig_stop(&rig);
}

/* Waits in the loop's place for the answer, so that the loop's time stands still; returns the wait for the retry. */
static uint64_t run_until_retry(struct rig *rig)
{
    struct request *q = rig->resolve->requests.next;

    while (!loop_timer_armed(&q->retry)) {
        usleep(1000);
        jobs_done(rig->resolve);
    }
    return q->retry.deadline - loop_now(rig->loop);
}

static void test_retry_backs_off(void **state)
{
    static const unsigned waits_s[] = {1, 2, 4, 8, 16, 20, 20};
    struct rig rig;

    (void)state;
    rig_start(&rig);
    fake.failures_left = ARRAY_LEN(waits_s);
    resolve_add(rig.resolve, "3.ok", 1, NULL);
    for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
        struct request *q = rig.resolve->requests.next;
        uint64_t wait = run_until_retry(&rig);
        assert_int_equal(wait, waits_s[i] * NS_PER_SEC);
        loop_timer_clear(rig.loop, &q->retry); /* time flies */
        q->retry.fire(q->retry.arg);
    }
    assert_int_equal(rig.calls, 0);
    run_until(&rig, 1);
    assert_int_equal(rig.first[0].ip.bytes[3], 3);
    rig_stop(&rig);
}

static void test_retry_now(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    fake.failures_left = 3;
    resolve_add(rig.resolve, "3.ok", 1, NULL);
    run_until_retry(&rig);
    resolve_retry_now(rig.resolve);
    run_until_retry(&rig);
    resolve_retry_now(rig.resolve);
    assert_int_equal(run_until_retry(&rig), NS_PER_SEC); /* no back-off after it */
    resolve_retry_now(rig.resolve);
    resolve_retry_now(rig.resolve); /* already asked */
    run_until(&rig, 1);
    assert_int_equal(fake.finished, 4);
    rig_stop(&rig);
}

static void test_cancel_waiting(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    fake.failures_left = 1;
    resolve_add(rig.resolve, "3.ok", 1, &rig);
    run_until_retry(&rig);
    resolve_cancel(rig.resolve, &rig);
    assert_false(resolve_pending(rig.resolve));
    rig_stop(&rig);
}

static void test_cancel_in_flight(void **state)
{
    struct rig rig;
    int a, b;

    (void)state;
    rig_start(&rig);
    resolve_add(rig.resolve, "1.stuck", 1, &a);
    sem_wait(&fake.entered);
    resolve_cancel(rig.resolve, &a);
    assert_false(resolve_pending(rig.resolve));
    sem_post(&fake.release);
    resolve_add(rig.resolve, "2.ok", 2, &b);
    run_until(&rig, 1);
    assert_ptr_equal(rig.tags[0], &b);
    rig_stop(&rig);
}

static void test_cancel_from_callback(void **state)
{
    struct rig rig;
    int a, b;

    (void)state;
    rig_start(&rig);
    resolve_add(rig.resolve, "1.stuck", 1, &a);
    resolve_add(rig.resolve, "2.stuck", 1, &b);
    sem_wait(&fake.entered);
    sem_wait(&fake.entered);
    rig.pair[0] = &a;
    rig.pair[1] = &b;
    sem_post(&fake.release);
    sem_post(&fake.release);
    fake_wait(2);
    while (rig.calls == 0 || rig.resolve->cancelled.next != &rig.resolve->cancelled)
        jobs_done(rig.resolve); /* sees both answers at once, or one after the other */
    assert_int_equal(rig.calls, 1);
    assert_false(resolve_pending(rig.resolve));
    rig_stop(&rig);
}

/* The resolver goes while lookups are stuck and queued; the threads clean up when the system answers at last. */
static void test_free_with_stuck_lookups(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    for (unsigned i = 0; i < RESOLVE_THREADS_MAX + 3; i++)
        resolve_add(rig.resolve, "1.stuck", 1, i & 1 ? &rig : NULL);
    for (unsigned i = 0; i < RESOLVE_THREADS_MAX; i++)
        sem_wait(&fake.entered);
    resolve_cancel(rig.resolve, &rig);
    rig_stop(&rig);
    for (unsigned i = 0; i < RESOLVE_THREADS_MAX; i++)
        sem_post(&fake.release);
    fake_wait(RESOLVE_THREADS_MAX);
    fake_wait_idle();
    assert_int_equal(fake.finished, RESOLVE_THREADS_MAX); /* the queued ones were never asked */
    assert_int_equal(rig.calls, 0);
}

/* Literals need no name server. */
static void test_system_lookup(void **state)
{
    struct sock_addr addrs[LOOKUP_MAX];
    unsigned n;
    char why[96], text[SOCK_ADDR_TEXT_MAX];

    (void)state;
    assert_int_equal(lookup_host("127.0.0.1", addrs, &n, why, sizeof why), ERR_OK);
    assert_int_equal(n, 1);
    assert_string_equal(sock_addr_format(&addrs[0], text, sizeof text), "127.0.0.1:0");
    assert_int_equal(lookup_host("2001:db8::1", addrs, &n, why, sizeof why), ERR_OK);
    assert_string_equal(sock_addr_format(&addrs[0], text, sizeof text), "[2001:db8::1]:0");
    assert_int_equal(lookup_host("fe80::1%lo", addrs, &n, why, sizeof why), ERR_OK);
    assert_int_equal(addrs[0].scope, if_nametoindex("lo"));
    assert_int_not_equal(lookup_host("fe80::1%no-such-link", addrs, &n, why, sizeof why), ERR_OK);
    assert_int_equal(n, 0);
    assert_true(strlen(why) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_many_names_few_threads),
        cmocka_unit_test(test_retry_backs_off),
        cmocka_unit_test(test_retry_now),
        cmocka_unit_test(test_cancel_waiting),
        cmocka_unit_test(test_cancel_in_flight),
        cmocka_unit_test(test_cancel_from_callback),
        cmocka_unit_test(test_free_with_stuck_lookups),
        cmocka_unit_test(test_system_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
