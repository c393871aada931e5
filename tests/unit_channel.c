/* SPDX-License-Identifier: Apache-2.0 */
/* Channel-data headers. */
#include "engine/wire/channel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_parse(void **state)
{
    static const struct {
        uint8_t bytes[8];
        size_t len;
        uint16_t channel;
    } cases[] = {
        {{0x40, 0x00, 0, 4, 1, 2, 3, 4}, 8, 0x4000},
        {{0x4f, 0xff, 0, 0}, 4, 0x4fff},
        {{0x40, 0x01, 0, 4, 1, 2, 3, 4}, 7, 0}, /* too short for its length */
        {{0x40, 0x01, 0, 3, 1, 2, 3, 4}, 8, 0}, /* and too long */
        {{0x40, 0x01, 0}, 3, 0},
        {{0}, 0, 0},
        {{0x50, 0x00, 0, 0}, 4, 0}, /* a channel, but not one that is used */
        {{0x3f, 0xff, 0, 0}, 4, 0},
        {{4, 0, 0, 0, 0, 0, 0, 0}, 8, 0}, /* WireGuard */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(channel_parse(cases[i].bytes, cases[i].len), cases[i].channel);
}

static void test_write(void **state)
{
    uint8_t bytes[4 + 300];
    (void)state;
    channel_write(bytes, 0x4123, 300);
    assert_int_equal(bytes[0], 0x41);
    assert_int_equal(bytes[1], 0x23);
    assert_int_equal(bytes[2], 1);
    assert_int_equal(bytes[3], 44);
    assert_int_equal(channel_parse(bytes, sizeof bytes), 0x4123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
