/* SPDX-License-Identifier: Apache-2.0 */
/* The development portal's end of a Phoenix socket: frames, joins, heartbeats, ends. */
#include "tests/portal_rig.h"
#include "tools/fzportal/model.h"

#define UNMATCHED "{\"status\":\"error\",\"response\":{\"reason\":\"unmatched topic\"}}"
#define UNKNOWN   "{\"status\":\"error\",\"response\":{\"reason\":\"unknown_message\"}}"
#define OK        "{\"status\":\"ok\",\"response\":{}}"

static struct portal_session *open_client(struct rig *rig)
{
    return rig_client_as(rig, "/client/v2/websocket", "a", ".laptop", RIG_CLIENT);
}

static void test_join(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = open_client(&rig);
    rig_send(&rig, s, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    rig_expect_text(s,
                    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" OK ",\"ref\":0}");
    json_decref(rig_expect(s, "init"));
    rig_expect_nothing(s);
    /* Once more on the same socket: the channel begins anew. */
    rig_say(&rig, s, "client", "phx_join", "{}", 5);
    rig_expect_payload(s, "phx_close", "{}");
    rig_expect_text(s,
                    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" OK ",\"ref\":5}");
    json_decref(rig_expect(s, "init"));
    rig_expect_nothing(s);
    rig_stop(&rig);
}

static void test_topics(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = open_client(&rig);
    rig_say(&rig, s, "gateway", "phx_join", "null", 0);
    rig_expect_text(s, "{\"topic\":\"gateway\",\"event\":\"phx_reply\",\"payload\":" UNMATCHED
                       ",\"ref\":0}");
    rig_say(&rig, s, "client", "no_relays", "{}", 1);
    rig_expect_text(s, "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" UNMATCHED
                       ",\"ref\":1}");
    json_decref(rig_join(&rig, s, "client"));
    rig_say(&rig, s, "relay", "x", "{}", 2);
    rig_expect_text(s, "{\"topic\":\"relay\",\"event\":\"phx_reply\",\"payload\":" UNMATCHED
                       ",\"ref\":2}");
    rig_say(&rig, s, "phoenix", "x", "{}", 3);
    rig_expect_text(s, "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":" UNMATCHED
                       ",\"ref\":3}");
    rig_say(&rig, s, "client", "x", "{}", 4);
    rig_expect_text(s, "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" UNKNOWN
                       ",\"ref\":4}");
    rig_say(&rig, s, "client", "phx_leave", "{}", 5);
    rig_expect_text(s,
                    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" OK ",\"ref\":5}");
    rig_expect_payload(s, "phx_close", "{}");
    rig_say(&rig, s, "client", "phx_leave", "{}", 6);
    rig_expect_text(s,
                    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" OK ",\"ref\":6}");
    rig_expect_alive(s);
    rig_stop(&rig);
}

/* Refs come back as they were. */
static void test_refs(void **state)
{
    static const char *const refs[] = {"null", "0", "9007199254740993", "\"text\""};
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = open_client(&rig);
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        char in[256], out[256];
        snprintf(
            in, sizeof in,
            "{\"ref\":%s,\"payload\":{},\"event\":\"heartbeat\",\"topic\":\"phoenix\",\"x\":1}",
            refs[i]);
        snprintf(out, sizeof out,
                 "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":" OK ",\"ref\":%s}",
                 refs[i]);
        rig_send(&rig, s, in);
        rig_expect_text(s, out);
    }
    rig_stop(&rig);
}

static void test_frames_that_are_none(void **state)
{
    static const char *const frames[] = {
        "",
        "x",
        "[]",
        "null",
        "[null,null,\"client\",\"phx_join\",{}]",
        "{\"event\":\"heartbeat\",\"payload\":{},\"ref\":1}",
        "{\"topic\":\"phoenix\",\"payload\":{},\"ref\":1}",
        "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"ref\":1}",
        "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{}}",
        "{\"topic\":1,\"event\":\"heartbeat\",\"payload\":{},\"ref\":1}",
        "{\"topic\":\"phoenix\",\"event\":null,\"payload\":{},\"ref\":1}",
        "{\"topic\":\"\xff\",\"event\":\"x\",\"payload\":{},\"ref\":1}",
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct portal_session *s = open_client(&rig);
        rig_send(&rig, s, frames[i]);
        rig_expect_nothing(s);
        rig_expect_over(s, 1011);
        rig_send(&rig, s,
                 "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":1}");
        rig_expect_nothing(s);
        rig_close(&rig, s);
    }
    rig_stop(&rig);
}

static void test_crash(void **state)
{
    static const struct {
        const char *event, *payload;
    } cases[] = {
        {"request_authorization", "{\"resource_id\":\"x\",\"connected_gateway_ids\":[]}"},
        {"request_authorization", "{\"resource_id\":7}"},
        {"request_authorization",
         "{\"resource_id\":\"11111111-1111-4111-8111-111111111111\",\"connected_gateway_ids\":7}"},
        {"new_gateway_ice_candidates", "{\"gateway_id\":7,\"candidates\":[]}"},
        {"new_gateway_ice_candidates", "{\"gateway_id\":\"x\",\"candidates\":\"y\"}"},
        {"broadcast_ice_candidates", "{\"gateway_ids\":\"x\",\"candidates\":[]}"},
        {"resolve_device_pool_domain", "{\"resource_id\":\"x\",\"domain\":\"y\"}"},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct portal_session *s = rig_client(&rig, "a", ".laptop");
        rig_say(&rig, s, "client", cases[i].event, cases[i].payload, 1);
        rig_expect_text(
            s, "{\"topic\":\"client\",\"event\":\"phx_error\",\"payload\":{},\"ref\":null}");
        rig_expect_nothing(s);
        rig_expect_over(s, 1012);
        rig_close(&rig, s);
    }
    rig_stop(&rig);
}

/* A payload without what its event needs is as good as an event that nobody knows. */
static void test_unknown(void **state)
{
    static const struct {
        const char *event, *payload;
    } cases[] = {
        {"request_authorization", "{}"},        {"request_authorization", "null"},
        {"request_authorization", "[]"},        {"new_gateway_ice_candidates", "{}"},
        {"broadcast_ice_candidates", "{}"},     {"resolve_device_pool_domain", "{}"},
        {"create_flow", "{\"resource_id\":7}"}, {"authorization_created", "{}"},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = rig_client(&rig, "a", ".laptop");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rig_say(&rig, s, "client", cases[i].event, cases[i].payload, 1);
        rig_expect_text(s, "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":" UNKNOWN
                           ",\"ref\":1}");
    }
    rig_stop(&rig);
}

static void test_not_answered(void **state)
{
    static const char *const events[] = {"set_snownet_capabilities", "request_device_access"};
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = rig_client(&rig, "a", ".laptop");
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        rig_say(&rig, s, "client", events[i], "{\"iceless\":true,\"ipv4\":\"100.64.0.1\"}", 1);
    rig_say(&rig, s, "client", "new_gateway_ice_candidates",
            "{\"gateway_id\":\"nobody\",\"candidates\":[\"x\"]}", 1);
    rig_expect_nothing(s);
    rig_expect_alive(s);
    rig_stop(&rig);
}

static void test_idle(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = open_client(&rig), *g = rig_gateway(&rig, "g");
    struct portal_session *r = rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    struct portal_session *busy = open_client(&rig);
    for (int i = 0; i < 4; i++) {
        rig_wait_ms(&rig, 9999);
        rig_say(&rig, busy, "phoenix", "heartbeat", "{}", i);
        if (i < 3)
            rig_expect_alive(c);
    }
    rig_expect_over(c, 0);
    rig_expect_over(g, 0);
    rig_expect_alive(r);
    rig_expect_alive(busy);
    rig_wait_ms(&rig, 1004);
    rig_expect_over(r, 0);
    rig_close(&rig, c);
    rig_close(&rig, g);
    rig_close(&rig, r);
    rig_wait_ms(&rig, 36000);
    rig_expect_over(busy, 0);
    rig_stop(&rig);
}

/* The newer socket of a device wins; its older one has to sign in again. */
static void test_eviction(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *old = rig_client(&rig, "a", ".laptop");
    struct portal_session *other = rig_client(&rig, "b", ".laptop");
    struct portal_session *newer = open_client(&rig);
    rig_expect_nothing(old);
    json_decref(rig_join(&rig, newer, "client"));
    rig_expect_payload(old, "disconnect", "{\"reason\":\"token_expired\"}");
    rig_expect_payload(old, "phx_close", "{}");
    rig_expect_over(old, 1000);
    rig_expect_alive(other);
    rig_close(&rig, old);
    rig_expect_alive(newer);
    rig_expect_nothing(newer);
    rig_stop(&rig);
}

/* Each session is given once per change. */
static void test_ready(void **state)
{
    struct rig rig;
    const char *text;
    size_t len;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *a = open_client(&rig);
    assert_null(portal_poll_ready(rig.p));
    rig_say(&rig, a, "phoenix", "heartbeat", "{}", 0);
    rig_say(&rig, a, "phoenix", "heartbeat", "{}", 1);
    assert_ptr_equal(portal_poll_ready(rig.p), a);
    assert_null(portal_poll_ready(rig.p));
    assert_true(portal_poll_transmit(a, &text, &len));
    assert_true(portal_poll_transmit(a, &text, &len));
    assert_false(portal_poll_transmit(a, &text, &len));
    rig_send(&rig, a, "x");
    assert_ptr_equal(portal_poll_ready(rig.p), a);
    rig_expect_over(a, 1011);
    rig_send(&rig, a, "x");
    assert_null(portal_poll_ready(rig.p));
    rig_say(&rig, open_client(&rig), "phoenix", "heartbeat", "{}", 0);
    rig_close(&rig, a);
    rig_stop(&rig); /* with one that is ready */
}

/* Data that is no whole message counts as well. */
static void test_heard(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = open_client(&rig);
    rig_wait_ms(&rig, 36999);
    portal_heard(rig.p, rig.t, s);
    rig_wait_ms(&rig, 36999);
    rig_expect_alive(s);
    rig_wait_ms(&rig, 1);
    rig_expect_over(s, 0);
    portal_heard(rig.p, rig.t, s);
    rig_expect_over(s, 0);
    rig_stop(&rig);
}

/* Without a closing frame nothing is left to be sent. */
static void test_drop(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = open_client(&rig);
    rig_say(&rig, s, "phoenix", "heartbeat", "{}", 1);
    rig_order(&rig, "{\"command\":\"kick\",\"all\":true,\"how\":\"drop\"}");
    rig_expect_over(s, 0);
    rig_expect_nothing(s);
    rig_stop(&rig);
}

static void test_bounded_queue(void **state)
{
    struct rig rig;
    unsigned code;
    int n = 0;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = open_client(&rig);
    while (!portal_session_over(s, &code) && n < 200000) {
        rig_say(&rig, s, "phoenix", "heartbeat", "{}", n);
        n++;
    }
    assert_int_equal(n, 65537);
    rig_expect_over(s, 0);
    rig_stop(&rig);
}

/* If all queues together are too long, those with the longest ones pay, even if they are over but for what is to be sent. */
static void test_bounded_queues(void **state)
{
    struct rig rig;
    struct portal_session *s[3];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (int i = 0; i < 3; i++) {
        s[i] = open_client(&rig);
        for (int n = 0; n < 100 * (i + 1); n++)
            rig_say(&rig, s[i], "phoenix", "heartbeat", "{}", n);
    }
    rig_order(&rig, "{\"command\":\"kick\",\"session\":2}");
    while (portal_poll_ready(rig.p))
        ;
    rig_expect_over(s[1], 1012);
    rig.p->queued_bytes_max = rig.p->queued_bytes;
    assert_null(portal_poll_ready(rig.p));
    rig_say(&rig, s[0], "phoenix", "heartbeat", "{}", 0);
    assert_ptr_equal(portal_poll_ready(rig.p), s[0]);
    rig_expect_over(s[2], 0);
    rig_expect_nothing(s[2]);
    assert_ptr_equal(portal_poll_ready(rig.p), s[2]);
    assert_null(portal_poll_ready(rig.p));
    rig.p->queued_bytes_max = rig.p->queued_bytes - 1;
    assert_ptr_equal(portal_poll_ready(rig.p), s[1]);
    rig_expect_over(s[1], 0);
    rig_expect_nothing(s[1]);
    assert_null(portal_poll_ready(rig.p));
    rig_expect_alive(s[0]);
    for (int n = 0; n < 101; n++)
        json_decref(rig_frame(s[0]));
    assert_int_equal(rig.p->queued_bytes, 0);
    rig_stop(&rig);
}

static void test_version_that_is_none(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s =
        rig_client_as(&rig, "/client/v2/websocket", "a", ".laptop", "X/1 headless-client/1.5");
    rig_say(&rig, s, "client", "phx_join", "null", 0);
    json_decref(rig_frame(s));
    rig_expect_payload(s, "phx_error", "{}");
    rig_expect_over(s, 1012);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_refs),
        cmocka_unit_test(test_frames_that_are_none),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_not_answered),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_bounded_queue),
        cmocka_unit_test(test_version_that_is_none),
        cmocka_unit_test(test_bounded_queues),
        cmocka_unit_test(test_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
