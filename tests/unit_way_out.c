/* SPDX-License-Identifier: Apache-2.0 */
/* What makes one way out another one. Reading them is a part of unit_netwatch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/linux/way_out.h"

enum {
    OK = NET_ADDRESS_GLOBAL | NET_ADDRESS_USABLE,
    OLD = OK | NET_ADDRESS_DEPRECATED,
    WAITING = NET_ADDRESS_GLOBAL,
    FAILED = NET_ADDRESS_GLOBAL | NET_ADDRESS_FAILED,
    ADDRESSES_MAX = 2
};

/* gateway 0: no route; addresses are told apart by one byte, 0: none. */
struct way {
    uint8_t gateway;
    struct {
        uint8_t id;
        uint32_t state;
    } addresses[ADDRESSES_MAX];
};

static struct way_out build(const struct way *way, struct way_address addresses[ADDRESSES_MAX])
{
    struct way_out w = {.exists = way->gateway != 0, .addresses = addresses};

    w.route.hops_len = 1;
    w.route.hops[0].gateway = (struct ip_addr){.family = ADDR_V4, .bytes = {way->gateway}};
    for (size_t i = 0; i < ADDRESSES_MAX && way->addresses[i].id != 0; i++)
        addresses[w.addresses_len++] = (struct way_address){
            .ip = {.family = ADDR_V4, .bytes = {way->addresses[i].id}},
            .state = way->addresses[i].state,
        };
    return w;
}

static void test_compare(void **state)
{
    static const struct {
        struct way last, now;
        enum way_change expected;
    } cases[] = {
        {{0}, {0}, WAY_NONE},
        {{1, {{5, OK}}}, {0}, WAY_NONE},
        {{0}, {1, {{5, OK}}}, WAY_FIRST},
        {{1, {{5, OK}}}, {1, {{5, OK}}}, WAY_SAME},
        {{1, {{5, OK}}}, {2, {{5, OK}}}, WAY_ROUTE},
        {{1, {{5, OK}}}, {1, {{6, OK}, {5, OK}}}, WAY_SAME},
        {{1, {{5, OK}}}, {1, {{6, OK}}}, WAY_ADDRESS},
        {{1, {{5, OK}, {6, OK}}}, {1, {{5, OK}}}, WAY_ADDRESS},
        {{1, {{5, OK}}}, {1, {{0}}}, WAY_ADDRESS},
        {{1, {{5, OK}}}, {1, {{5, OLD}, {6, OK}}}, WAY_SAME},
        {{1, {{5, OLD}, {6, OK}}}, {1, {{6, OK}}}, WAY_SAME},
        {{1, {{5, OK}}}, {1, {{5, WAITING}}}, WAY_SAME},
        {{1, {{5, OK}}}, {1, {{5, FAILED}}}, WAY_ADDRESS},
        {{1, {{5, WAITING}}}, {1, {{0}}}, WAY_SAME},
        {{1, {{5, FAILED}}}, {1, {{0}}}, WAY_SAME},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct way_address last_room[ADDRESSES_MAX], now_room[ADDRESSES_MAX];
        struct way_out last = build(&cases[i].last, last_room);
        struct way_out now = build(&cases[i].now, now_room);
        enum way_change got = way_out_compare(&last, &now);
        if (got != cases[i].expected)
            fail_msg("case %zu: %d, not %d", i, (int)got, (int)cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
