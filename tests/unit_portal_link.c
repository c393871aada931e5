/* SPDX-License-Identifier: Apache-2.0 */
/* The link's life in virtual time: the exact schedule of attempts, and what each failure leads to. */
#include "control/portal/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static struct link link_;
static struct link_event event;
static time_ns now;
static uint32_t attempt_;
static char sent[PHOENIX_FRAME_MAX];

static void begin(time_ns max_partition_ns)
{
    now = 1000 * NS_PER_SEC;
    link_init(&link_, "client", json_null(), max_partition_ns, 99, now);
}

static int set_up(void **state)
{
    (void)state;
    event = (struct link_event){.kind = LINK_NOTHING};
    begin(TIME_NEVER);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    link_event_release(&event);
    link_fini(&link_);
    return 0;
}

static enum link_kind timeout(void)
{
    link_event_release(&event);
    link_handle_timeout(&link_, now, &event);
    return event.kind;
}

static enum link_kind lost(const char *why)
{
    link_event_release(&event);
    link_lost(&link_, now, attempt_, why, &event);
    return event.kind;
}

static enum link_kind refused(unsigned status, const char *retry_after, const char *body)
{
    struct problem p;
    problem_parse(&p, status, retry_after, 0, body, strlen(body));
    link_event_release(&event);
    link_refused(&link_, now, attempt_, &p, &event);
    return event.kind;
}

static enum link_kind receive(const char *text)
{
    link_event_release(&event);
    link_handle_input(&link_, now, attempt_, text, strlen(text), &event);
    return event.kind;
}

/* Waits until it is due, and not before. */
static void begin_attempt(void)
{
    assert_int_equal(link_.state, LINK_WAITING);
    now = link_poll_timeout(&link_) - 1;
    assert_int_equal(timeout(), LINK_NOTHING);
    now++;
    assert_int_equal(timeout(), LINK_CONNECT);
    assert_int_equal(link_.state, LINK_CONNECTING);
    assert_int_equal(event.attempt, link_.attempt);
    attempt_ = event.attempt;
}

/* As far as the upgrade. */
static void attempt(void)
{
    begin_attempt();
    link_upgrading(&link_, now, attempt_);
}

static void open_and_join(void)
{
    size_t len;
    attempt();
    link_connected(&link_, now, attempt_);
    assert_true(link_poll_transmit(&link_, sent, &len));
    assert_int_equal(receive("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":"
                             "{\"status\":\"ok\",\"response\":{}},\"ref\":0}"),
                     LINK_JOINED);
}

static void test_first_attempts(void **state)
{
    (void)state;
    time_ns start = now;
    for (unsigned i = 0; i < 15; i++) {
        attempt();
        assert_int_equal(now, start + i * NS_PER_SEC);
        assert_int_equal(lost("connection refused"), LINK_RETRY);
        assert_int_equal(event.delay_ns, NS_PER_SEC);
        assert_string_equal(event.why, "connection refused");
    }
    attempt();
    assert_int_equal(lost("connection refused"), LINK_FAILED);
    assert_int_equal(event.failure, LINK_OUT_OF_RETRIES);
    assert_string_equal(event.why, "connection refused");
    assert_true(link_poll_timeout(&link_) == TIME_NEVER);
    assert_int_equal(timeout(), LINK_NOTHING);
    link_reset(&link_, now); /* the end is the end */
    assert_int_equal(link_.state, LINK_ENDED);
}

static void test_connect_timeout(void **state)
{
    (void)state;
    attempt();
    time_ns began = now;
    assert_int_equal(link_poll_timeout(&link_), began + LINK_CONNECT_TIMEOUT_NS);
    now = began + LINK_CONNECT_TIMEOUT_NS - 1;
    assert_int_equal(timeout(), LINK_NOTHING);
    now++;
    assert_int_equal(timeout(), LINK_RETRY);
    link_connected(&link_, now, attempt_); /* too late */
    assert_int_equal(link_.state, LINK_WAITING);
    assert_int_equal(refused(401, NULL, ""), LINK_NOTHING);
}

static void test_refusals(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum link_kind kind;
        enum link_failure failure;
    } cases[] = {
        {401, "{\"code\":\"invalid_token\",\"detail\":\"Invalid token\"}", LINK_FAILED,
         LINK_TOKEN_INVALID},
        {401, "{\"code\":\"missing_token\"}", LINK_FAILED, LINK_TOKEN_INVALID},
        {401, "", LINK_FAILED, LINK_AUTH_FAILED},
        {400, "{\"code\":\"invalid_connect_params\"}", LINK_RETRY, 0},
        {402, "{\"code\":\"limits_exceeded\"}", LINK_RETRY, 0},
        {403, "", LINK_RETRY, 0},
        {404, "", LINK_RETRY, 0},
        {308, "", LINK_RETRY, 0},
        {409, "{\"code\":\"gateway_already_connected\"}", LINK_RETRY, 0},
        {500, "", LINK_RETRY, 0},
        {503, "", LINK_RETRY, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        link_fini(&link_);
        begin(TIME_NEVER);
        attempt();
        assert_int_equal(refused(cases[i].status, NULL, cases[i].body), cases[i].kind);
        if (cases[i].kind == LINK_FAILED)
            assert_int_equal(event.failure, cases[i].failure);
        else
            assert_int_equal(event.delay_ns, NS_PER_SEC);
    }
}

/* It replaces the delay, and the budget stays as it is; less than a second is a second. */
static void test_retry_after(void **state)
{
    (void)state;
    attempt();
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(refused(503, "7", "{\"code\":\"rate_limit\"}"), LINK_RETRY);
        assert_int_equal(event.delay_ns, 7 * NS_PER_SEC);
        attempt();
    }
    assert_int_equal(refused(429, "0", ""), LINK_RETRY);
    assert_int_equal(event.delay_ns, NS_PER_SEC);
    attempt();
    assert_int_equal(backoff_left(&link_.backoff), 15 * NS_PER_SEC);
    assert_int_equal(refused(401, "7", ""), LINK_FAILED);
}

static void test_after_the_join(void **state)
{
    time_ns step = 500 * NS_PER_MS;
    (void)state;
    open_and_join();
    now += 3600 * NS_PER_SEC;
    assert_int_equal(lost("connection reset"), LINK_RETRY);
    for (unsigned i = 0; i < 30; i++) {
        /* The first one failed long after it was made, the others at once. */
        time_ns least = i > 0 ? time_max(step, LINK_ATTEMPT_MIN_NS) : step;
        assert_in_range(event.delay_ns, least, time_max(least, 2 * step - 1));
        attempt();
        assert_int_equal(lost("connection refused"), LINK_RETRY);
        step = time_min(step + step / 2, 60 * NS_PER_SEC);
    }
    open_and_join();
    now += NS_PER_SEC;
    assert_int_equal(lost("connection reset"), LINK_RETRY);
    assert_in_range(event.delay_ns, 500 * NS_PER_MS, NS_PER_SEC - 1);
}

static void test_max_partition_time(void **state)
{
    unsigned attempts = 0;
    (void)state;
    link_fini(&link_);
    begin(60 * NS_PER_SEC);
    open_and_join();
    time_ns partitioned = now;
    while (lost("connection refused") == LINK_RETRY) {
        attempt();
        attempts++;
    }
    assert_int_equal(event.failure, LINK_OUT_OF_RETRIES);
    assert_in_range(attempts, 5, 10);
    assert_true(now - partitioned <= 60 * NS_PER_SEC);
}

static void test_channel_failures(void **state)
{
    (void)state;
    open_and_join();
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}"),
        LINK_RETRY);
    assert_int_equal(link_.channel.state, PHOENIX_CLOSED);
    open_and_join();
    for (unsigned i = 0; i < 3; i++) {
        now = link_poll_timeout(&link_);
        assert_int_equal(timeout(), LINK_NOTHING);
    }
    now = link_poll_timeout(&link_);
    assert_int_equal(timeout(), LINK_RETRY);
    assert_non_null(strstr(event.why, "heartbeats"));
    open_and_join();
    assert_int_equal(receive("{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":"
                             "{\"reason\":\"token_expired\"},\"ref\":null}"),
                     LINK_FAILED);
    assert_int_equal(event.failure, LINK_TOKEN_INVALID);
}

static void test_join_failures(void **state)
{
    size_t len;
    (void)state;
    attempt();
    link_connected(&link_, now, attempt_);
    now = link_poll_timeout(&link_);
    assert_int_equal(timeout(), LINK_RETRY);
    attempt();
    link_connected(&link_, now, attempt_);
    assert_true(link_poll_transmit(&link_, sent, &len));
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
                "\"error\",\"response\":{\"reason\":\"disabled\"}},\"ref\":0}"),
        LINK_FAILED);
    assert_int_equal(event.failure, LINK_JOIN_REFUSED);
    assert_string_equal(event.why, "the portal refused the login: disabled");
}

static void test_messages(void **state)
{
    (void)state;
    open_and_join();
    assert_int_equal(
        receive("{\"topic\":\"client\",\"event\":\"init\",\"payload\":{\"a\":1},\"ref\":null}"),
        LINK_MESSAGE);
    assert_string_equal(event.channel.name, "init");
    assert_int_equal(json_object_size(event.channel.payload), 1);
    assert_int_equal(receive("x"), LINK_IGNORED);
    assert_true(event.why[0]);
}

/* What never got to the portal is nothing that it counts: between two networks it is tried again and again, for a while. */
static void test_unreachable(void **state)
{
    (void)state;
    open_and_join();
    now += 5 * NS_PER_SEC;
    link_reset(&link_, now);
    time_ns end = now + LINK_UNREACHABLE_LIMIT_NS;
    unsigned n = 0;
    for (;;) {
        begin_attempt();
        link_unreachable(&link_, now, attempt_, "no route", &event);
        assert_int_equal(event.kind, LINK_RETRY);
        if (now >= end)
            break;
        assert_int_equal(event.delay_ns, LINK_UNREACHABLE_NS);
        n++;
    }
    assert_int_equal(n, LINK_UNREACHABLE_LIMIT_NS / LINK_UNREACHABLE_NS);
    assert_true(event.delay_ns >= BACKOFF_MIN_NS);
    assert_string_equal(event.why, "no route");
    /* An attempt that is over is not told again; without a reset it is a failure as any other. */
    link_unreachable(&link_, now, attempt_, "no route", &event);
    assert_int_equal(event.kind, LINK_NOTHING);
    link_fini(&link_);
    begin(TIME_NEVER);
    begin_attempt();
    link_unreachable(&link_, now, attempt_, "no route", &event);
    assert_int_equal(event.delay_ns, BACKOFF_FIRST_DELAY_NS);
}

/* At once, from whatever it was doing; before the first join as well, and its budget begins anew. */
static void test_reset(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        attempt();
        assert_int_equal(lost("no route"), LINK_RETRY);
        now += LINK_ATTEMPT_MIN_NS / 2;
        link_reset(&link_, now);
        assert_int_equal(link_poll_timeout(&link_),
                         now + LINK_ATTEMPT_MIN_NS / 2 + LINK_ATTEMPT_MARGIN_NS);
    }
    attempt();
    link_reset(&link_, now);
    open_and_join();
    now += 5 * NS_PER_SEC;
    link_reset(&link_, now);
    assert_int_equal(link_.channel.state, PHOENIX_CLOSED);
    assert_int_equal(link_poll_timeout(&link_), now);
    attempt();
    /* What the portal wants is respected. */
    assert_int_equal(refused(503, "30", ""), LINK_RETRY);
    link_reset(&link_, now);
    assert_int_equal(link_poll_timeout(&link_), now + 30 * NS_PER_SEC);
    attempt();
}

/* News of an attempt that was given up do not touch the one after it. */
static void test_late_news(void **state)
{
    (void)state;
    attempt();
    uint32_t old = attempt_;
    link_reset(&link_, now);
    attempt();
    uint32_t current = attempt_;
    attempt_ = old;
    link_connected(&link_, now, attempt_);
    assert_int_equal(link_.state, LINK_CONNECTING);
    assert_int_equal(lost("closed"), LINK_NOTHING);
    assert_int_equal(refused(401, NULL, ""), LINK_NOTHING);
    attempt_ = current;
    link_connected(&link_, now, attempt_);
    assert_int_equal(link_.state, LINK_OPEN);
    attempt_ = old;
    assert_int_equal(receive("x"), LINK_NOTHING);
    assert_int_equal(lost("closed"), LINK_NOTHING);
    assert_int_equal(link_.state, LINK_OPEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_attempts),   TEST(test_connect_timeout), TEST(test_refusals),
        TEST(test_retry_after),      TEST(test_after_the_join),  TEST(test_max_partition_time),
        TEST(test_channel_failures), TEST(test_join_failures),   TEST(test_messages),
        TEST(test_unreachable),      TEST(test_reset),           TEST(test_late_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
