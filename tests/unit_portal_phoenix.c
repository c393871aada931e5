/* SPDX-License-Identifier: Apache-2.0 */
/* A Phoenix channel against a scripted portal: joining, heartbeats, messages held back, every control message. */
#include "control/portal/phoenix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static struct phoenix p;
static struct phoenix_event event;
static char sent[PHOENIX_FRAME_MAX];

static const time_ns start = 1000 * NS_PER_SEC;

static int set_up(void **state)
{
    json_t *none = json_null();
    (void)state;
    phoenix_init(&p, "client", none);
    event = (struct phoenix_event){.kind = PHOENIX_NOTHING};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    phoenix_event_release(&event);
    phoenix_fini(&p);
    return 0;
}

static void expect_sent(const char *want)
{
    size_t len;
    assert_true(phoenix_poll_transmit(&p, sent, &len));
    assert_string_equal(sent, want);
    assert_int_equal(len, strlen(want));
}

static void expect_nothing_sent(void)
{
    size_t len;
    assert_false(phoenix_poll_transmit(&p, sent, &len));
}

static enum phoenix_kind receive_at(time_ns now, const char *text)
{
    phoenix_event_release(&event);
    phoenix_handle_input(&p, now, text, strlen(text), &event);
    return event.kind;
}

static enum phoenix_kind receive(const char *text)
{
    return receive_at(start + NS_PER_SEC, text);
}

static enum phoenix_kind wait_until(time_ns now)
{
    phoenix_event_release(&event);
    phoenix_handle_timeout(&p, now, &event);
    return event.kind;
}

#define JOIN_REPLY                                                                                 \
    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\",\"response\":{}},\"ref\":0}"

static void open_and_join(void)
{
    phoenix_opened(&p, start);
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    assert_int_equal(receive(JOIN_REPLY), PHOENIX_JOIN_ACCEPTED);
}

static bool push(const char *name, const char *payload)
{
    json_t *value = json_loads(payload, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    enum err err = phoenix_push(&p, name, value);
    json_decref(value);
    return err == ERR_OK;
}

static void test_closed(void **state)
{
    (void)state;
    expect_nothing_sent();
    assert_false(push("no_relays", "{}"));
    assert_int_equal(phoenix_poll_timeout(&p), TIME_NEVER);
    assert_int_equal(receive(JOIN_REPLY), PHOENIX_NOTHING);
    assert_int_equal(wait_until(start), PHOENIX_NOTHING);
    phoenix_closed(&p);
}

static void test_messages_wait_for_the_join(void **state)
{
    (void)state;
    phoenix_opened(&p, start);
    assert_true(push("no_relays", "{}"));
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    expect_nothing_sent();
    assert_int_equal(receive(JOIN_REPLY), PHOENIX_JOIN_ACCEPTED);
    expect_sent("{\"topic\":\"client\",\"event\":\"no_relays\",\"payload\":{},\"ref\":1}");
    expect_nothing_sent();
}

/* The beat goes on while the join is pending. */
static void test_heartbeat_before_join(void **state)
{
    (void)state;
    phoenix_opened(&p, start);
    p.join_until = TIME_NEVER - 1;
    assert_true(push("no_relays", "{}"));
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    assert_int_equal(phoenix_poll_timeout(&p), start + PHOENIX_HEARTBEAT_NS);
    assert_int_equal(wait_until(start + PHOENIX_HEARTBEAT_NS), PHOENIX_NOTHING);
    expect_sent("{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":1}");
    expect_nothing_sent();
}

static void test_join_timeout(void **state)
{
    (void)state;
    phoenix_opened(&p, start);
    assert_int_equal(phoenix_poll_timeout(&p), start + PHOENIX_JOIN_TIMEOUT_NS);
    assert_int_equal(wait_until(start + PHOENIX_JOIN_TIMEOUT_NS - 1), PHOENIX_NOTHING);
    assert_int_equal(wait_until(start + PHOENIX_JOIN_TIMEOUT_NS), PHOENIX_LOST);
    assert_non_null(strstr(event.why, "join"));
    assert_int_equal(phoenix_poll_timeout(&p), TIME_NEVER);
    expect_nothing_sent();
    assert_int_equal(receive(JOIN_REPLY), PHOENIX_NOTHING);
}

static void test_join_refused(void **state)
{
    (void)state;
    phoenix_opened(&p, start);
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\","
                "\"response\":{\"reason\":\"disabled\"}},\"ref\":0}"),
        PHOENIX_JOIN_REFUSED);
    assert_string_equal(event.why, "disabled");
    assert_false(push("no_relays", "{}"));
}

static void test_heartbeats(void **state)
{
    char want[128], answer[128];
    (void)state;
    open_and_join();
    for (unsigned i = 1; i <= 100; i++) {
        time_ns now = start + i * PHOENIX_HEARTBEAT_NS;
        assert_int_equal(phoenix_poll_timeout(&p), now);
        assert_int_equal(wait_until(now), PHOENIX_NOTHING);
        snprintf(want, sizeof want,
                 "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":%u}", i);
        expect_sent(want);
        expect_nothing_sent();
        snprintf(answer, sizeof answer,
                 "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
                 "\"response\":{}},\"ref\":%u}",
                 i);
        assert_int_equal(receive(answer), PHOENIX_NOTHING);
        assert_int_equal(p.unanswered_n, 0);
    }
}

/* Three may be outstanding; the fourth, 40 s after the last sign of life, ends it. Late answers count. */
static void test_heartbeat_loss(void **state)
{
    size_t len;
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        open_and_join();
        for (unsigned i = 1; i <= 3; i++) {
            assert_int_equal(wait_until(start + i * PHOENIX_HEARTBEAT_NS), PHOENIX_NOTHING);
            assert_true(phoenix_poll_transmit(&p, sent, &len));
        }
        if (late)
            receive("{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
                    "\"response\":{}},\"ref\":2}");
        assert_int_equal(wait_until(start + 4 * PHOENIX_HEARTBEAT_NS),
                         late ? PHOENIX_NOTHING : PHOENIX_LOST);
        phoenix_closed(&p);
    }
}

/* A socket that takes nothing: heartbeats that were never sent count as well. */
static void test_heartbeat_stuck(void **state)
{
    unsigned i = 1;
    (void)state;
    open_and_join();
    while (i < 10 && wait_until(start + i * PHOENIX_HEARTBEAT_NS) == PHOENIX_NOTHING)
        i++;
    assert_int_equal(i, 4);
    assert_non_null(strstr(event.why, "heartbeats"));
}

static void test_same_message_once(void **state)
{
    (void)state;
    open_and_join();
    assert_true(push("create_flow", "{\"resource_id\":\"a\"}"));
    assert_true(push("create_flow", "{\"resource_id\":\"b\"}"));
    assert_true(push("create_flow", "{\"resource_id\":\"a\"}"));
    expect_sent(
        "{\"topic\":\"client\",\"event\":\"create_flow\",\"payload\":{\"resource_id\":\"a\"},"
        "\"ref\":1}");
    assert_true(push("create_flow", "{\"resource_id\":\"a\"}")); /* the other one is on its way */
    expect_sent(
        "{\"topic\":\"client\",\"event\":\"create_flow\",\"payload\":{\"resource_id\":\"b\"},"
        "\"ref\":2}");
    expect_sent(
        "{\"topic\":\"client\",\"event\":\"create_flow\",\"payload\":{\"resource_id\":\"a\"},"
        "\"ref\":3}");
    expect_nothing_sent();
}

static void test_queue_full(void **state)
{
    char payload[1024];
    unsigned taken = 0;
    size_t len;
    (void)state;
    open_and_join();
    for (;; taken++) {
        snprintf(payload, sizeof payload, "\"%01000u\"", taken);
        if (!push("x", payload))
            break;
    }
    assert_in_range(taken, PHOENIX_QUEUE_BYTES / 1100, PHOENIX_QUEUE_BYTES / 1000);
    for (unsigned i = 0; i < taken; i++)
        assert_true(phoenix_poll_transmit(&p, sent, &len));
    expect_nothing_sent();
    assert_true(push("x", payload));

    /* The largest message there can be. */
    phoenix_closed(&p);
    open_and_join();
    json_t *big = NULL;
    static char text[PHOENIX_QUEUE_BYTES];
    memset(text, 'a', sizeof text);
    for (size_t n = sizeof text; n > sizeof text - 100; n--) {
        big = json_stringn(text, n);
        enum err err = phoenix_push(&p, "x", big);
        json_decref(big);
        if (err == ERR_OK)
            break;
        assert_int_equal(err, ERR_NO_SPACE);
    }
    assert_true(phoenix_poll_transmit(&p, sent, &len));
    assert_true(len > PHOENIX_QUEUE_BYTES - 100);
}

/* Nothing is carried from one socket to the next, and refs begin anew. */
static void test_reconnect_forgets(void **state)
{
    (void)state;
    open_and_join();
    assert_true(push("no_relays", "{}"));
    phoenix_closed(&p);
    open_and_join();
    expect_nothing_sent();
}

static void test_message(void **state)
{
    (void)state;
    open_and_join();
    assert_int_equal(receive("{\"topic\":\"client\",\"event\":\"resource_deleted\","
                             "\"payload\":\"7d1a\",\"ref\":null,\"more\":[1]}"),
                     PHOENIX_MESSAGE);
    assert_string_equal(event.name, "resource_deleted");
    assert_string_equal(json_string_value(event.payload), "7d1a");
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"init\",\"payload\":{\"a\":1},\"ref\":null}"),
        PHOENIX_MESSAGE);
    assert_int_equal(json_integer_value(json_object_get(event.payload, "a")), 1);
}

/* Also between join and reply: the portal may be faster than its own answer. */
static void test_message_before_reply(void **state)
{
    (void)state;
    phoenix_opened(&p, start);
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":null}"),
        PHOENIX_MESSAGE);
}

static void test_ignored(void **state)
{
    static const char *const frames[] = {
        "",
        "{",
        "[]",
        "1",
        "{}",
        "{\"topic\":\"client\",\"event\":\"init\",\"ref\":null}",
        "{\"topic\":\"client\",\"event\":1,\"payload\":{},\"ref\":null}",
        "{\"topic\":null,\"event\":\"init\",\"payload\":{},\"ref\":null}",
        "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":\"1\"}",
        "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":1.5}",
        "{\"topic\":\"other\",\"event\":\"init\",\"payload\":{},\"ref\":null}",
        "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{},\"ref\":0}",
        "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\"},\"ref\":null}",
        "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\","
        "\"response\":{\"reason\":\"unknown_message\"}},\"ref\":9}",
        "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\"},\"ref\":9}",
        "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"certificate_revoked\"},"
        "\"ref\":null}",
        "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":null,\"ref\":null}",
        "{\"topic\":\"client\",\"event\":\"init\",\"payload\":\"\xff\",\"ref\":null}",
    };
    (void)state;
    open_and_join();
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        print_message("%s\n", frames[i]);
        assert_int_equal(receive(frames[i]), PHOENIX_IGNORED);
        assert_true(event.why[0] != 0);
        assert_int_equal(p.state, PHOENIX_JOINED);
    }
    assert_true(push("no_relays", "{}"));
    expect_sent("{\"topic\":\"client\",\"event\":\"no_relays\",\"payload\":{},\"ref\":1}");
}

/* The channel ended on the portal's side, the socket did not: join again on it. */
static void test_unmatched_topic(void **state)
{
    static const char unmatched[] =
        "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
        "\"error\",\"response\":{\"reason\":\"unmatched topic\"}},\"ref\":1}";
    (void)state;
    open_and_join();
    assert_true(push("no_relays", "{}"));
    expect_sent("{\"topic\":\"client\",\"event\":\"no_relays\",\"payload\":{},\"ref\":1}");
    assert_true(push("create_flow", "{}"));
    assert_int_equal(receive(unmatched), PHOENIX_REJOINING);
    assert_int_equal(receive(unmatched),
                     PHOENIX_IGNORED); /* of a second message: one join is enough */
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":2}");
    expect_nothing_sent();
    assert_int_equal(receive(unmatched), PHOENIX_IGNORED);  /* not the join's */
    assert_int_equal(receive(JOIN_REPLY), PHOENIX_NOTHING); /* nor is this */
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
                "\"ok\",\"response\":{}},\"ref\":2}"),
        PHOENIX_JOIN_ACCEPTED);
    expect_sent("{\"topic\":\"client\",\"event\":\"create_flow\",\"payload\":{},\"ref\":3}");
}

/* A portal that takes the join and nothing after it: not for ever, and not as fast as it answers. */
static void test_endless_rejoin(void **state)
{
    char text[256];
    size_t len;
    (void)state;
    open_and_join();
    for (unsigned i = 0; i <= PHOENIX_REJOINS_MAX; i++) {
        assert_true(push("no_relays", "{}"));
        assert_true(phoenix_poll_transmit(&p, sent, &len));
        snprintf(text, sizeof text,
                 "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\","
                 "\"response\":{\"reason\":\"unmatched topic\"}},\"ref\":%u}",
                 2 * i + 1);
        enum phoenix_kind kind = receive(text);
        assert_int_equal(kind, i < PHOENIX_REJOINS_MAX ? PHOENIX_REJOINING : PHOENIX_LOST);
        if (kind == PHOENIX_LOST)
            break;
        assert_true(phoenix_poll_transmit(&p, sent, &len));
        snprintf(text, sizeof text,
                 "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\"},"
                 "\"ref\":%u}",
                 2 * i + 2);
        assert_int_equal(receive(text), PHOENIX_JOIN_ACCEPTED);
    }
}

/* The portal closes the socket after this; if it does not, we do. */
static void test_crashed_channel(void **state)
{
    (void)state;
    open_and_join();
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_error\",\"payload\":{},\"ref\":null}"),
        PHOENIX_IGNORED);
    assert_int_equal(wait_until(start + PHOENIX_CRASH_NS), PHOENIX_NOTHING);
    assert_int_equal(phoenix_poll_timeout(&p), start + NS_PER_SEC + PHOENIX_CRASH_NS);
    assert_int_equal(wait_until(start + NS_PER_SEC + PHOENIX_CRASH_NS), PHOENIX_LOST);
}

/* What the portal says is quoted, but cannot forge a line of a log or command a terminal. */
static void test_quotes_are_printable(void **state)
{
    static const char *const frames[] = {
        ("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\","
         "\"response\":{\"reason\":\"\\u001b[2J\\nforged\"}},\"ref\":9}"),
        "{\"topic\":\"other\",\"event\":\"\\u001b[2J\\n\\u00e4\",\"payload\":{},\"ref\":null}",
        "\x1b[2J\n",
    };
    (void)state;
    open_and_join();
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        assert_int_equal(receive(frames[i]), PHOENIX_IGNORED);
        for (const char *c = event.why; *c; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
}

/* As the answer to the join itself it is final: the topic is wrong. */
static void test_unmatched_topic_of_join(void **state)
{
    (void)state;
    phoenix_opened(&p, start);
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
                "\"error\",\"response\":{\"reason\":\"unmatched topic\"}},\"ref\":0}"),
        PHOENIX_JOIN_REFUSED);
}

static void test_close(void **state)
{
    (void)state;
    open_and_join();
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}"),
        PHOENIX_LOST);
    assert_false(push("no_relays", "{}"));
}

static void test_token_expired(void **state)
{
    (void)state;
    open_and_join();
    assert_int_equal(
        receive("{\"topic\":\"sockets:1\",\"event\":\"disconnect\",\"payload\":{\"reason\":"
                "\"token_expired\"},\"ref\":null}"),
        PHOENIX_TOKEN_EXPIRED);
    /* What follows does not turn it into a retry. */
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}"),
        PHOENIX_NOTHING);
    phoenix_closed(&p);
}

static void test_long_reason_is_cut(void **state)
{
    static char frame[4096];
    (void)state;
    phoenix_opened(&p, start);
    expect_sent("{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
    snprintf(frame, sizeof frame,
             "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\","
             "\"response\":{\"reason\":\"%01000d\"}},\"ref\":0}",
             1);
    assert_int_equal(receive(frame), PHOENIX_JOIN_REFUSED);
    assert_int_equal(strlen(event.why), PHOENIX_WHY_MAX - 1);
}

static void test_join_payload(void **state)
{
    json_t *secret = json_pack("{s:s}", "stamp_secret", "a\"b");
    struct phoenix relay;
    size_t len;
    (void)state;
    phoenix_init(&relay, "relay", secret);
    json_decref(secret);
    phoenix_opened(&relay, start);
    assert_true(phoenix_poll_transmit(&relay, sent, &len));
    assert_string_equal(sent,
                        "{\"topic\":\"relay\",\"event\":\"phx_join\",\"payload\":{\"stamp_secret\":"
                        "\"a\\\"b\"},\"ref\":0}");
    phoenix_closed(&relay);
    phoenix_fini(&relay);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_closed),
        TEST(test_messages_wait_for_the_join),
        TEST(test_heartbeat_before_join),
        TEST(test_join_timeout),
        TEST(test_join_refused),
        TEST(test_heartbeats),
        TEST(test_heartbeat_loss),
        TEST(test_heartbeat_stuck),
        TEST(test_same_message_once),
        TEST(test_queue_full),
        TEST(test_reconnect_forgets),
        TEST(test_message),
        TEST(test_message_before_reply),
        TEST(test_ignored),
        TEST(test_unmatched_topic),
        TEST(test_unmatched_topic_of_join),
        TEST(test_endless_rejoin),
        TEST(test_crashed_channel),
        TEST(test_quotes_are_printable),
        TEST(test_close),
        TEST(test_token_expired),
        TEST(test_long_reason_is_cut),
        TEST(test_join_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
