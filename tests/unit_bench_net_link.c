/* SPDX-License-Identifier: Apache-2.0 */
/* What fzlink's log and its counters say, and what the link carries at most. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "bench/net_link.c"

static char path[] = "/tmp/net_link-XXXXXX";

static int make_log(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int remove_log(void **state)
{
    (void)state;
    return unlink(path);
}

/* `repeats` lines of nothing of interest, then the text. */
static void write_log(unsigned repeats, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    while (repeats-- > 0)
        fputs("a line of the log\n", f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void test_last_error(void **state)
{
    static const struct {
        unsigned repeats;
        const char *text, *why;
    } cases[] = {
        {0, "", "it said nothing"},
        {0, "ready\n", "it said nothing"},
        {0, "fzlink: no process 7\n", "no process 7"},
        {0, "ready\nfzlink: the first\nfzlink: the last\n", "the last"},
        {0, "ready\nfzlink: the last\na note\n", "the last"},
        {0, "ready\nterminate\n\n", "terminate"},
        {0, "no line end", "no line end"},
        {1000, "fzlink: the last\n", "the last"},
    };
    char text[256], wanted[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_log(cases[i].repeats, cases[i].text);
        assert_int_equal(fail_log("has ended", path, (struct why){text, sizeof text}), ERR_IO);
        snprintf(wanted, sizeof wanted, "fzlink has ended: %s", cases[i].why);
        assert_string_equal(text, wanted);
    }
    assert_int_equal(fail_log("has ended", "/nowhere/at/all", (struct why){text, sizeof text}),
                     ERR_IO);
    assert_string_equal(text, "fzlink has ended: it said nothing");
}

#define DIRECTION(queue, full, overruns, refused, malformed)                                       \
    "{\"offered\":9,\"lost\":8,\"dropped_queue\":" #queue ",\"dropped_full\":" #full               \
    ",\"overruns\":" #overruns ",\"refused\":" #refused ",\"malformed\":" #malformed "}"
#define NOTHING DIRECTION(0, 0, 0, 0, 0)

/* Losses are what it was told to make; all else counts. */
static void test_drops(void **state)
{
    static const struct {
        const char *answer;
        bool good;
        uint64_t n;
    } cases[] = {
        {"{\"ok\":true,\"a_to_b\":" NOTHING ",\"b_to_a\":" NOTHING "}", true, 0},
        {"{\"ok\":true,\"a_to_b\":" DIRECTION(1, 20, 300, 4000, 50000) ",\"b_to_a\":" NOTHING "}",
         true, 54321},
        {"{\"ok\":true,\"a_to_b\":" NOTHING ",\"b_to_a\":" DIRECTION(0, 65536, 0, 0, 0) "}", true,
         65536},
        {"{\"ok\":true,\"a_to_b\":" NOTHING "}", false, 0},
        {"{\"ok\":true,\"a_to_b\":" NOTHING ",\"b_to_a\":{\"overruns\":0}}", false, 0},
        {"fzlink: nobody listens there\n", false, 0},
        {"", false, 0},
    };
    uint64_t n;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(sum_drops(&n, cases[i].answer), cases[i].good);
        if (cases[i].good)
            assert_int_equal(n, cases[i].n);
    }
}

static const char *note_of(const struct result *r, size_t i)
{
    return r->rows[i].note ? r->rows[i].note : "";
}

/* Rows of that part and that setting, the ratio among them; what was noted before stays. */
static void test_mark(void **state)
{
    static const char *const names[] = {
        "net/tcp1/forward/mtu1420-rtt0-loss0/ours", "net/tcp1/forward/mtu1420-rtt0-loss0/ratio",
        "net/tcp1/back/mtu1420-rtt0-loss0/ours",    "net/tcp1/forward/mtu1420-rtt10ms-loss0/ours",
        "net/udp/forward/mtu1420-rtt0-loss0/ours",
    };
    struct result r;

    (void)state;
    result_init(&r, "net");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        result_add(&r, names[i], "Gbit/s", RESULT_HIGHER, GATE_NONE, 1);
    result_note(&r, names[2], "above half of what the link carries");
    net_link_mark(&r, "tcp1", "mtu1420-rtt0-loss0", 0);
    assert_string_equal(note_of(&r, 0), "");
    net_link_mark(&r, "tcp1", "mtu1420-rtt0-loss0", 17);
    assert_string_equal(note_of(&r, 0), "fzlink dropped 17 packets of its own accord");
    assert_string_equal(note_of(&r, 1), "fzlink dropped 17 packets of its own accord");
    assert_string_equal(
        note_of(&r, 2),
        "above half of what the link carries; fzlink dropped 17 packets of its own accord");
    assert_string_equal(note_of(&r, 3), "");
    assert_string_equal(note_of(&r, 4), "");
    result_fini(&r);
}

/* 65,536 packets of 1420 bytes in 100 ms are 7.4 Gbit/s. */
static void test_limit(void **state)
{
    const struct net_link_setting none = {.rtt = 0}, far = {.rtt = 200 * NS_PER_MS},
                                  near_by = {.rtt = 2 * NS_PER_MS};
    double limit;

    (void)state;
    assert_true(net_link_limit(20, &none, 1420) == 20);
    assert_true(net_link_limit(20, &near_by, 1420) == 20);
    limit = net_link_limit(20, &far, 1420);
    assert_true(limit > 7.44 && limit < 7.45);
    assert_true(net_link_limit(5, &far, 1420) == 5);
    assert_true(net_link_limit(20, &far, 710) == limit / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_last_error, make_log, remove_log),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
