/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates that wait for the portal: what cancels out, what is given up, what goes together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/peers_mail.h"
#include "platform/base/bytes.h"

#define HOST(n, rest)  "candidate:1 1 udp 2130706431 192.0.2." #n " 52625 typ host" rest
#define OTHER(n, rest) "candidate:9 1 udp 5 192.0.2." #n " 52625 typ host" rest

static struct peers_mail mail;

static struct {
    char text[8192];
    unsigned calls, refuses; /* refuses: the call with this number, from 1 on */
    struct uuid peer;
} heard;

static bool on_candidates(void *arg, const struct uuid *peer, bool added, const char *const *lines,
                          size_t n)
{
    size_t len = strlen(heard.text);

    assert_ptr_equal(arg, &heard);
    assert_true(n > 0);
    heard.calls++;
    if (heard.calls == heard.refuses)
        return false;
    heard.peer = *peer;
    len += (size_t)snprintf(heard.text + len, sizeof heard.text - len, "%s", added ? "+" : "-");
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(heard.text + len, sizeof heard.text - len, "%s|", lines[i]);
        assert_true(len < sizeof heard.text);
    }
    return true;
}

static void assert_flushes(const char *text)
{
    static const struct peers_events events = {.candidates = on_candidates};
    const struct uuid peer = {{7}};

    memset(&heard, 0, sizeof heard);
    assert_true(peers_mail_flush(&mail, &events, &heard, &peer));
    assert_string_equal(heard.text, text);
    if (text[0])
        assert_true(uuid_equal(&heard.peer, &peer));
}

/* What the portal does not take stays. */
static void test_refused(void **state)
{
    static const struct peers_events events = {.candidates = on_candidates};
    const struct uuid peer = {{7}};
    (void)state;

    peers_mail_add(&mail, "candidate:1 1 udp 5 192.0.2.1 1 typ host");
    peers_mail_remove(&mail, "candidate:1 1 udp 5 192.0.2.2 1 typ host");
    for (unsigned refuses = 1; refuses <= 2; refuses++) {
        memset(&heard, 0, sizeof heard);
        heard.refuses = refuses;
        assert_false(peers_mail_flush(&mail, &events, &heard, &peer));
        assert_int_equal(mail.added.n, refuses == 1 ? 1 : 0);
        assert_int_equal(mail.removed.n, 1);
    }
    assert_flushes("-candidate:1 1 udp 5 192.0.2.2 1 typ host|");
}

static int set_up(void **state)
{
    (void)state;
    memset(&mail, 0, sizeof mail);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peers_mail_fini(&mail);
    return 0;
}

static void test_each_kind_in_one_message_and_in_order(void **state)
{
    (void)state;
    assert_flushes("");
    assert_int_equal(heard.calls, 0);
    peers_mail_add(&mail, HOST(1, " ufrag a"));
    peers_mail_remove(&mail, HOST(8, ""));
    peers_mail_add(&mail, HOST(2, " ufrag a"));
    peers_mail_remove(&mail, HOST(9, ""));
    assert_flushes(
        "+" HOST(1, " ufrag a") "|" HOST(2, " ufrag a") "|"
                                                        "-" HOST(8, "") "|" HOST(9, "") "|");
    assert_int_equal(heard.calls, 2);
    assert_flushes(""); /* they are gone */
}

static void test_a_line_waits_once(void **state)
{
    (void)state;
    peers_mail_add(&mail, HOST(1, " ufrag a"));
    peers_mail_add(&mail, HOST(1, " ufrag a"));
    peers_mail_remove(&mail, HOST(2, ""));
    peers_mail_remove(&mail, HOST(2, ""));
    assert_flushes("+" HOST(1, " ufrag a") "|-" HOST(2, "") "|");
}

/* The line that takes a candidate back names no user, and may have another priority. */
static void test_what_was_not_sent_is_not_taken_back(void **state)
{
    (void)state;
    peers_mail_add(&mail, HOST(1, " ufrag a"));
    peers_mail_add(&mail, HOST(2, " ufrag a"));
    peers_mail_remove(&mail, OTHER(1, ""));
    assert_flushes("+" HOST(2, " ufrag a") "|");
    peers_mail_remove(&mail, HOST(2, "")); /* that one was sent */
    assert_flushes("-" HOST(2, "") "|");
}

static void test_back_before_it_was_taken_back(void **state)
{
    (void)state;
    peers_mail_remove(&mail, HOST(1, ""));
    peers_mail_remove(&mail, HOST(2, ""));
    peers_mail_add(&mail, OTHER(1, " ufrag a"));
    assert_flushes(
        "+" OTHER(1, " ufrag a") "|-" HOST(2, "") "|"); /* it may have another priority now */
    /* The peer has it all the while. */
    peers_mail_remove(&mail, HOST(1, ""));
    peers_mail_add(&mail, HOST(1, " ufrag a"));
    peers_mail_add(&mail, HOST(3, " ufrag a"));
    peers_mail_remove(&mail, HOST(3, ""));
    peers_mail_remove(&mail, HOST(1, ""));
    assert_flushes("-" HOST(1, "") "|");
}

static void test_other_candidates_do_not_cancel_out(void **state)
{
    static const char *const others[] = {
        "candidate:1 1 udp 2130706431 192.0.2.1 52626 typ host",  /* port */
        "candidate:1 1 udp 2130706431 192.0.2.11 52625 typ host", /* address */
        "candidate:1 1 udp 2130706431 192.0.2.1 52625 typ srflx raddr 10.0.0.1 rport 52625",
        "candidate:1 1 udp 2130706431",
        "",
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        char text[512];
        peers_mail_add(&mail, HOST(1, " ufrag a"));
        peers_mail_remove(&mail, others[i]);
        snprintf(text, sizeof text, "+%s|-%s|", HOST(1, " ufrag a"), others[i]);
        assert_flushes(text);
    }
}

static void test_related_address_is_part_of_a_candidate(void **state)
{
#define MAPPED(rest) "candidate:2 1 udp 7 203.0.113.5 4000 typ srflx raddr 10.0.0." rest
    (void)state;
    peers_mail_add(&mail, MAPPED("1 rport 52625 ufrag a"));
    peers_mail_add(&mail, MAPPED("2 rport 52625 ufrag a"));
    peers_mail_remove(&mail, MAPPED("2 rport 52625"));
    assert_flushes("+" MAPPED("1 rport 52625 ufrag a") "|");
}

static void numbered(char line[64], unsigned i)
{
    snprintf(line, 64, "candidate:1 1 udp 5 192.0.2.1 %u typ host", i);
}

static void test_the_oldest_is_given_up(void **state)
{
    char text[sizeof heard.text] = "", line[64];
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < PEERS_MAIL_MAX + 3; i++) {
        numbered(line, i);
        peers_mail_add(&mail, line);
        numbered(line, 1000 + i);
        peers_mail_remove(&mail, line);
    }
    for (unsigned i = 3; i < PEERS_MAIL_MAX + 3; i++) {
        numbered(line, i);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s|", i == 3 ? "+" : "", line);
    }
    for (unsigned i = 3; i < PEERS_MAIL_MAX + 3; i++) {
        numbered(line, 1000 + i);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s|", i == 3 ? "-" : "", line);
    }
    assert_flushes(text);
}

static void test_clear(void **state)
{
    (void)state;
    peers_mail_add(&mail, HOST(1, " ufrag a"));
    peers_mail_remove(&mail, HOST(2, ""));
    peers_mail_clear(&mail);
    assert_flushes("");
    peers_mail_remove(&mail, HOST(1, "")); /* nothing to cancel out with */
    assert_flushes("-" HOST(1, "") "|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_kind_in_one_message_and_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_line_waits_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_not_sent_is_not_taken_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_back_before_it_was_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_candidates_do_not_cancel_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_related_address_is_part_of_a_candidate, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_oldest_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clear, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
