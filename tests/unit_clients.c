/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a gateway lets in and until when, with the peers, the loop and both clocks faked: what happens is noted in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/clients.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"

#define SEC(n)  ((time_ns)(n)*NS_PER_SEC)
#define MINUTES INT64_C(60)
#define HOURS   INT64_C(3600)

static struct {
    time_ns now;
    int64_t wall;
    struct loop_timer *timer;
    bool armed; /* the timer may be gone */
    char events[1024];
    enum node_connect connect;
    struct node_peer connected;
    char ufrag[16], remote_password[16];
    struct ip_prefix allowed[2];
    uint32_t group;
    bool portal_away;
} fake;

static struct clients *s;

/* ---- the world ---- */

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
    *seconds = (uint64_t)fake.wall;
    *nanoseconds = 999999999;
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

/* Both clocks go on; the timer fires when it is due. Returns how often. */
static unsigned pass(int64_t seconds)
{
    time_ns end = fake.now + SEC(seconds);
    unsigned fired = 0;

    while (loop_timer_armed(fake.timer) && fake.timer->deadline <= end) {
        time_ns at = time_max(fake.now, fake.timer->deadline);
        assert_in_range(++fired, 1, 100);
        fake.wall += (int64_t)((at - fake.now) / NS_PER_SEC);
        fake.now = at;
        loop_timer_clear(NULL, fake.timer);
        fake.timer->fire(fake.timer->arg);
    }
    fake.wall += (int64_t)((end - fake.now) / NS_PER_SEC);
    fake.now = end;
    return fired;
}

static void note(const char *name, const char *detail)
{
    size_t len = strlen(fake.events);

    snprintf(fake.events + len, sizeof fake.events - len, "%s%s ", name, detail);
    assert_true(strlen(fake.events) < sizeof fake.events - 1);
}

static void assert_events(const char *text)
{
    assert_string_equal(fake.events, text);
    fake.events[0] = '\0';
}

static const char *in_brackets(const struct uuid *id)
{
    static char text[8];

    snprintf(text, sizeof text, "(%u)", id->bytes[0]);
    return text;
}

/* ---- the peers ---- */

enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner)
{
    (void)p;
    note("connect", in_brackets(&peer->id));
    fake.connected = *peer;
    snprintf(fake.ufrag, sizeof fake.ufrag, "%s", peer->ufrag);
    snprintf(fake.remote_password, sizeof fake.remote_password, "%s", peer->remote_password);
    assert_int_equal(inner->allowed_n, ARRAY_LEN(fake.allowed));
    memcpy(fake.allowed, inner->allowed, sizeof fake.allowed);
    fake.group = inner->group;
    return fake.connect;
}

void peers_close(struct peers *p, const struct uuid *id)
{
    (void)p;
    note("close", in_brackets(id));
}

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT);

    assert_ptr_equal(arg, &fake);
    assert_non_null(text);
    note(name, text);
    free(text);
    return fake.portal_away ? ERR_CLOSED : ERR_OK;
}

/* ---- arranging ---- */

static int set_up(void **state)
{
    static const struct clients_events events = {on_push};

    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.now = SEC(1000);
    fake.wall = 1785600000;
    s = clients_new(NULL, NULL, &events, &fake);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clients_free(s);
    assert_false(fake.armed);
    return 0;
}

static struct uuid id_of(unsigned n)
{
    return (struct uuid){{(uint8_t)n}};
}

static struct gateway_message_authorization authorization(unsigned client, unsigned resource,
                                                          int64_t expires_at)
{
    struct gateway_message_authorization m = {
        .ref = "signed",
        .resource = {.id = id_of(resource), .name = "Lab"},
        .client = {.id = id_of(client), .public_key = {1}, .preshared_key = {2}},
        .client_ice = {"theirs", "their password"},
        .gateway_ice = {"ours", "our password"},
        .expires_at = expires_at};

    assert_int_equal(ip_addr_parse(&m.client.ipv4, "100.70.12.4"), ERR_OK);
    assert_int_equal(ip_addr_parse(&m.client.ipv6, "fd00:2021:1111::4"), ERR_OK);
    return m;
}

#define ANSWER "authorization_created{\"ref\":\"signed\"} "

static void authorize(unsigned client, unsigned resource, int64_t expires_at)
{
    struct gateway_message_authorization m = authorization(client, resource, expires_at);
    clients_authorize(s, &m);
}

/* Nobody looks at what has happened so far. */
static void authorized(unsigned client, unsigned resource, int64_t expires_at)
{
    authorize(client, resource, expires_at);
    fake.events[0] = '\0';
}

static void reject(unsigned client, unsigned resource)
{
    struct uuid c = id_of(client), r = id_of(resource);
    clients_reject(s, &c, &r);
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

static void keep(json_t *list)
{
    clients_keep(s, list);
    json_decref(list);
}

/* ---- authorisations ---- */

static void test_answer_comes_after_the_connection(void **state)
{
    struct ip_prefix v4, v6;

    (void)state;
    assert_int_equal(ip_prefix_parse(&v4, "100.70.12.4/32"), ERR_OK);
    assert_int_equal(ip_prefix_parse(&v6, "fd00:2021:1111::4/128"), ERR_OK);
    authorize(1, 11, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER); /* its candidates are told by a later turn of the loop */
    assert_int_equal(fake.connected.role, ICE_CONTROLLED);
    assert_int_equal(fake.connected.kind, ICE_GATEWAY);
    assert_string_equal(fake.ufrag, "ours");
    assert_string_equal(fake.remote_password, "their password");
    assert_int_equal(fake.connected.public_key[0], 1);
    assert_int_equal(fake.connected.preshared_key[0], 2);
    assert_true(ip_addr_equal(&fake.allowed[0].ip, &v4.ip) && fake.allowed[0].len == v4.len);
    assert_true(ip_addr_equal(&fake.allowed[1].ip, &v6.ip) && fake.allowed[1].len == v6.len);
    assert_int_equal(fake.group, TUNNEL_NO_GROUP);
    fake.connect = NODE_REUSED;
    authorize(1, 12, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER);
    fake.portal_away = true;
    authorize(1, 13, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER);
}

static void test_without_relays(void **state)
{
    (void)state;
    fake.connect = NODE_NO_RELAYS;
    authorize(1, 11, fake.wall + 10);
    assert_events("connect(1) no_relays{} ");
    assert_int_equal(pass(20), 0); /* nothing was granted */
    reject(1, 11);
    assert_events("");
}

static void test_that_cannot_be_used(void **state)
{
    (void)state;
    fake.connect = NODE_INVALID;
    authorize(1, 11, fake.wall + 10);
    assert_events("connect(1) ");
    assert_int_equal(pass(20), 0);
}

/* ---- the end of grants ---- */

static void test_rejecting_the_last_one_disconnects(void **state)
{
    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(1, 12, MESSAGE_NEVER);
    authorized(2, 11, MESSAGE_NEVER);
    reject(1, 13);
    reject(3, 11);
    reject(1, 11);
    reject(1, 11);
    assert_events("");
    reject(1, 12);
    assert_events("close(1) ");
    reject(1, 12);
    assert_events("");
    reject(2, 11);
    assert_events("close(2) ");
}

static void test_granted_twice_is_rejected_once(void **state)
{
    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(1, 11, MESSAGE_NEVER);
    reject(1, 11);
    assert_events("close(1) ");
}

/* Ids that are the same in their first bytes share a place in the table. */
static void test_clients_of_one_bucket(void **state)
{
    struct gateway_message_authorization m[3];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = authorization(7, 11, MESSAGE_NEVER);
        m[i].client.id.bytes[15] = (uint8_t)i;
        clients_authorize(s, &m[i]);
    }
    fake.events[0] = '\0';
    clients_reject(s, &m[1].client.id, &m[1].resource.id);
    clients_reject(s, &m[1].client.id, &m[1].resource.id);
    assert_events("close(7) ");
    clients_reject(s, &m[2].client.id, &m[2].resource.id);
    clients_reject(s, &m[0].client.id, &m[0].resource.id);
    assert_events("close(7) close(7) ");
}

/* ---- expiry ---- */

static void test_expires(void **state)
{
    (void)state;
    authorized(1, 11, fake.wall + 100);
    authorized(1, 12, fake.wall + 50);
    authorized(2, 11, fake.wall + 30);
    authorized(3, 11, MESSAGE_NEVER);
    pass(29);
    assert_events("");
    pass(1);
    assert_events("close(2) ");
    pass(69);
    assert_events("");
    pass(1);
    assert_events("close(1) ");
    assert_false(fake.armed);
    reject(3, 11);
    assert_events("close(3) ");
}

static void test_expired_before_it_came(void **state)
{
    (void)state;
    authorized(1, 11, fake.wall - 5);
    authorized(2, 11, fake.wall);
    pass(0);
    assert_events("close(1) close(2) ");
}

static void test_another_grant_extends_it(void **state)
{
    (void)state;
    authorized(1, 11, fake.wall + 30);
    authorized(1, 11, fake.wall + 90);
    pass(89);
    assert_events("");
    pass(1);
    assert_events("close(1) ");
    authorized(1, 11, fake.wall + 90);
    authorized(1, 11, fake.wall + 30); /* and shortens it */
    pass(30);
    assert_events("close(1) ");
}

/* The wall clock counts, which may be set: it is looked at now and then. */
static void test_wall_clock_is_set(void **state)
{
    (void)state;
    authorized(1, 11, fake.wall + 10 * HOURS);
    assert_in_range(pass(2 * HOURS + 1), 2, 3);
    fake.wall += 9 * HOURS;
    pass(HOURS);
    assert_events("close(1) ");
    authorized(2, 11, fake.wall + 60);
    fake.wall -= 10 * MINUTES;
    pass(10 * MINUTES + 59);
    assert_events("");
    pass(1);
    assert_events("close(2) ");
}

/* ---- the list of init ---- */

static void test_list_keeps_and_drops(void **state)
{
    json_t *list = json_array();

    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(1, 12, MESSAGE_NEVER);
    authorized(2, 11, MESSAGE_NEVER);
    authorized(3, 11, fake.wall + 10);
    authorized(4, 11, fake.wall + 10);
    add_listed(list, 1, 12, fake.wall + 100);
    add_listed(list, 3, 11, MESSAGE_NEVER);
    add_listed(list, 9, 11, MESSAGE_NEVER); /* of before this process */
    add_listed(list, 1, 14, MESSAGE_NEVER);
    keep(list);
    assert_events("close(2) close(4) ");
    pass(99);
    assert_events("");
    pass(1);
    assert_events("close(1) "); /* it had no other one any more */
    pass(10 * HOURS);
    assert_events("");
    reject(9, 11);
    assert_events("");
    reject(3, 11);
    assert_events("close(3) ");
}

static void test_element_that_is_wrong_is_left_out(void **state)
{
    json_t *list = json_array();

    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(2, 11, MESSAGE_NEVER);
    json_array_append_new(list, json_integer(7));
    json_array_append_new(list, json_pack("{s:s}", "client_id", "nobody"));
    add_listed(list, 2, 11, MESSAGE_NEVER);
    keep(list);
    assert_events("close(1) ");
}

static void test_empty_list(void **state)
{
    (void)state;
    keep(json_array());
    assert_events("");
    authorized(1, 11, fake.wall + 100);
    keep(json_array());
    assert_events("close(1) ");
    assert_false(fake.armed);
}

/* ---- connections ---- */

/* Of the end of a connection nobody tells the clients: what was granted is kept, and ends as ever. */
static void test_connection_end_keeps_grants(void **state)
{
    json_t *list = json_array();

    (void)state;
    authorized(1, 11, fake.wall + 100);
    add_listed(list, 1, 11, fake.wall + 200);
    keep(list); /* the portal still knows of it */
    fake.connect = NODE_CREATED;
    authorized(1, 12, fake.wall + 300);
    pass(200);
    assert_events("");
    pass(100);
    assert_events("close(1) ");
}

static void test_very_many(void **state)
{
    struct gateway_message_authorization m = authorization(1, 11, fake.wall + 50);

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        store_le32(m.client.id.bytes + 4, i);
        store_le32(m.client.id.bytes, i * 7);
        clients_authorize(s, &m);
        fake.events[0] = '\0';
    }
    for (unsigned i = 0; i < 5000; i += 2) {
        store_le32(m.client.id.bytes + 4, i);
        store_le32(m.client.id.bytes, i * 7);
        clients_reject(s, &m.client.id, &m.resource.id);
        assert_true(strncmp(fake.events, "close(", 6) == 0);
        fake.events[0] = '\0';
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answer_comes_after_the_connection),
        TEST(test_without_relays),
        TEST(test_that_cannot_be_used),
        TEST(test_rejecting_the_last_one_disconnects),
        TEST(test_granted_twice_is_rejected_once),
        TEST(test_clients_of_one_bucket),
        TEST(test_expires),
        TEST(test_expired_before_it_came),
        TEST(test_another_grant_extends_it),
        TEST(test_wall_clock_is_set),
        TEST(test_list_keeps_and_drops),
        TEST(test_element_that_is_wrong_is_left_out),
        TEST(test_empty_list),
        TEST(test_connection_end_keeps_grants),
        TEST(test_very_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
