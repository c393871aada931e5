/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads of what a gateway sends, as the specification shows them. */
#include "control/portal/gateway_requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define C1 "c0a80000-0000-4000-8000-000000000004"

/* Takes the payload. */
static void expect(json_t *payload, const char *want)
{
    char text[1024];
    size_t n = json_dumpb(payload, text, sizeof text - 1, JSON_COMPACT);
    assert_true(n > 0 && n < sizeof text);
    text[n] = 0;
    assert_string_equal(text, want);
    json_decref(payload);
}

static void test_payloads(void **state)
{
    static const char *const candidates[] = {
        "candidate:7f1 1 udp 2113929471 192.0.2.15 51820 typ host", "candidate:\"\\"};
    struct uuid client;
    (void)state;
    assert_true(uuid_parse(&client, C1));
    expect(gateway_request_authorized("SFMyNTY.\"opaque\""),
           "{\"ref\":\"SFMyNTY.\\\"opaque\\\"\"}");
    expect(gateway_request_candidates(&client, candidates, 2),
           "{\"client_ids\":[\"" C1
           "\"],\"candidates\":[\"candidate:7f1 1 udp 2113929471 192.0.2.15 "
           "51820 typ host\",\"candidate:\\\"\\\\\"]}");
    expect(gateway_request_candidates(&client, NULL, 0),
           "{\"client_ids\":[\"" C1 "\"],\"candidates\":[]}");
}

/* The portal answers any other name with an error. */
static void test_names(void **state)
{
    (void)state;
    assert_string_equal(GATEWAY_REQUEST_AUTHORIZED, "authorization_created");
    assert_string_equal(GATEWAY_REQUEST_CANDIDATES_ADDED, "broadcast_ice_candidates");
    assert_string_equal(GATEWAY_REQUEST_CANDIDATES_REMOVED, "broadcast_invalidated_ice_candidates");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
