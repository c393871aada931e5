/* SPDX-License-Identifier: Apache-2.0 */
/* Durations in all their spellings, sums, and what does not fit. */
#include "control/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define SEC NS_PER_SEC

static void test_accepted(void **state)
{
    static const struct {
        const char *text;
        time_ns ns;
    } cases[] = {
        {"5m", 300 * SEC},
        {"1h30m", 5400 * SEC},
        {"1h 30m", 5400 * SEC},
        {"  1 hour  30 minutes ", 5400 * SEC},
        {"30d", 2592000 * SEC},
        {"0", 0},
        {" 0 ", 0},
        {"0s", 0},
        {"7ns", 7},
        {"7nsec 1nanos", 8},
        {"7us", 7000},
        {"7usec", 7000},
        {"2micros", 2000},
        {"15ms", 15 * NS_PER_MS},
        {"15msec", 15 * NS_PER_MS},
        {"15millis", 15 * NS_PER_MS},
        {"2sec", 2 * SEC},
        {"2secs", 2 * SEC},
        {"1second", SEC},
        {"2seconds", 2 * SEC},
        {"1min2mins1minute2minutes", 360 * SEC},
        {"1hr2hrs1hour2hours", 6 * 3600 * SEC},
        {"1day2days", 3 * 86400 * SEC},
        {"1w1week2weeks1wk2wks", 49 * 86400 * SEC},
        {"1M", 2630016 * SEC},
        {"1month 2months", 3 * 2630016 * SEC},
        {"1y", 31557600 * SEC},
        {"1yr2yrs1year2years", 6 * 31557600 * SEC},
        {"584y", 584 * (31557600 * SEC)},
        {"1s1h", 3601 * SEC},
        {"600y", TIME_NEVER},
        {"500y 500y", TIME_NEVER},
        {"18446744073709551615y", TIME_NEVER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        time_ns ns = 1;
        if (duration_parse(&ns, cases[i].text) != ERR_OK)
            fail_msg("'%s' is refused", cases[i].text);
        if (ns != cases[i].ns)
            fail_msg("'%s' is %llu", cases[i].text, (unsigned long long)ns);
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "5",
        "m",
        "5 5m",
        "5m5",
        "-5m",
        "+5m",
        "5.5m",
        "5q",
        "5H",
        "5S",
        "5mm",
        "5m,3s",
        "0 0",
        "00",
        "1e3s",
        "5 m x",
        "18446744073709551616s",
        "99999999999999999999999y",
        "5minute s",
        "5 \n m",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        time_ns ns;
        if (duration_parse(&ns, cases[i]) != ERR_PARSE)
            fail_msg("'%s' is accepted", cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
