/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway learns of a name: in every order of questions, answers and silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/name_gate.h"

#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

static const time_ns start = SEC(1000);

/* One character per step: a(ssign) s(ent) y(es) n(o) r(eset) and digits: so many seconds later. What is seen is appended to
   each 'a': + to be sent, - not; and at the end: state, H for holding. */
static void run(const char *steps, const char *seen)
{
    struct name_gate g = {0};
    time_ns now = start;
    char out[64] = "";
    size_t n = 0;

    for (const char *p = steps; *p; p++) {
        if (*p == 'a')
            out[n++] = name_gate_assign(&g, now) ? '+' : '-';
        else if (*p == 's')
            name_gate_sent(&g, now);
        else if (*p == 'y' || *p == 'n')
            name_gate_status(&g, *p == 'y');
        else if (*p == 'r')
            name_gate_reset(&g);
        else
            now += SEC(*p - '0');
    }
    out[n++] = "UAKR"[g.state];
    if (g.holds)
        out[n++] = 'H';
    assert_string_equal(out, seen);
}

static void test_life(void **state)
{
    (void)state;
    static const struct {
        const char *steps, *seen;
    } cases[] = {
        {"", "U"},
        {"as", "+AH"},
        {"asy", "+K"},
        {"asn", "+R"},
        /* Nothing was sent yet: there is no connection. */
        {"a9a", "++AH"},
        {"aas", "++AH"},
        /* Once more while it is not answered: from 2 s on. */
        {"as1a", "+-AH"},
        {"as2a", "++AH"},
        /* The gateway shall look the name up again: packets go on meanwhile. */
        {"asy1a", "+-K"},
        {"asy2as", "++A"},
        {"asy2asy", "++K"},
        {"asy2asn", "++R"},
        /* It has refused; packets pass, and are answered by the gateway, until the client tries again. */
        {"asn1a", "+-R"},
        {"asn2as", "++AH"},
        /* Answers that nobody expects. */
        {"y", "U"},
        {"n", "U"},
        {"asyn", "+R"},
        {"asny", "+K"},
        {"asyr", "+U"},
        {"asyras", "++AH"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        run(cases[i].steps, cases[i].seen);
}

static void test_repetitions(void **state)
{
    (void)state;
    static const unsigned waits[] = {2, 4, 8, 16, 32, 32, 32};
    struct name_gate g = {0};
    time_ns now = start;

    assert_int_equal(name_gate_poll_timeout(&g), TIME_NEVER);
    assert_true(name_gate_assign(&g, now));
    assert_int_equal(name_gate_poll_timeout(&g), TIME_NEVER);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        name_gate_sent(&g, now);
        assert_int_equal(name_gate_poll_timeout(&g), now + SEC(waits[i]));
        now = name_gate_poll_timeout(&g);
        assert_true(name_gate_assign(&g, now));
    }
    for (unsigned i = 0; i < 300; i++)
        name_gate_sent(&g, now);
    assert_int_equal(name_gate_poll_timeout(&g), now + SEC(32));
    name_gate_status(&g, true);
    assert_int_equal(name_gate_poll_timeout(&g), TIME_NEVER);
    now += SEC(2);
    assert_true(name_gate_assign(&g, now));
    name_gate_sent(&g, now);
    assert_int_equal(name_gate_poll_timeout(&g), now + SEC(2)); /* counted anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_repetitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
