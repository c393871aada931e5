/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads of what a client sends, as the specification shows them. */
#include "control/portal/requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define R1 "3b0c7a52-0000-4000-8000-000000000001"
#define G1 "9d2e0000-0000-4000-8000-000000000002"
#define G2 "9d2e0000-0000-4000-8000-000000000003"

static struct uuid uuid(const char *text)
{
    struct uuid u;
    assert_true(uuid_parse(&u, text));
    return u;
}

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

static void test_all(void **state)
{
    static const char *const candidates[] = {
        "candidate:7f1 1 udp 2113929471 192.0.2.15 51820 typ host", "candidate:\"\\"};
    struct uuid resource = uuid(R1), gateways[] = {uuid(G1), uuid(G2)};
    (void)state;
    expect(request_capabilities(true), "{\"iceless\":true}");
    expect(request_capabilities(false), "{\"iceless\":false}");
    expect(request_relays(), "{}");
    expect(request_authorization(&resource, gateways, 2),
           "{\"resource_id\":\"" R1 "\",\"connected_gateway_ids\":[\"" G1 "\",\"" G2 "\"]}");
    expect(request_authorization(&resource, NULL, 0),
           "{\"resource_id\":\"" R1 "\",\"connected_gateway_ids\":[]}");
    expect(request_candidates(&gateways[0], candidates, 2),
           "{\"gateway_id\":\"" G1 "\",\"candidates\":[\"candidate:7f1 1 udp 2113929471 192.0.2.15 "
           "51820 typ host\",\"candidate:\\\"\\\\\"]}");
}

static void test_direct(void **state)
{
    static const char *const candidates[] = {"candidate:1"};
    struct uuid pool = uuid(R1), client = uuid(G1);
    struct ip_addr ip;
    (void)state;
    assert_int_equal(ip_addr_parse(&ip, "100.64.1.38"), ERR_OK);
    expect(request_direct(&pool, &ip),
           "{\"resource_id\":\"" R1 "\",\"connected_gateway_ids\":[],\"ipv4\":\"100.64.1.38\"}");
    assert_int_equal(ip_addr_parse(&ip, "fd00:2021:1111::125"), ERR_OK);
    expect(request_direct(&pool, &ip),
           "{\"resource_id\":\"" R1
           "\",\"connected_gateway_ids\":[],\"ipv6\":\"fd00:2021:1111::125\"}");
    expect(request_client_candidates(&client, candidates, 1),
           "{\"client_id\":\"" G1 "\",\"candidates\":[\"candidate:1\"]}");
    expect(request_client_candidates(&client, NULL, 0),
           "{\"client_id\":\"" G1 "\",\"candidates\":[]}");
    expect(request_domain(&pool, "dev-42.laptops.example.com"),
           "{\"resource_id\":\"" R1 "\",\"domain\":\"dev-42.laptops.example.com\"}");
}

/* The portal answers any other name with an error. */
static void test_names(void **state)
{
    (void)state;
    assert_string_equal(REQUEST_CAPABILITIES, "set_snownet_capabilities");
    assert_string_equal(REQUEST_AUTHORIZATION, "request_authorization");
    assert_string_equal(REQUEST_CANDIDATES_ADDED, "new_gateway_ice_candidates");
    assert_string_equal(REQUEST_CANDIDATES_REMOVED, "invalidate_gateway_ice_candidates");
    assert_string_equal(REQUEST_CLIENT_CANDIDATES_ADDED, "new_client_ice_candidates");
    assert_string_equal(REQUEST_CLIENT_CANDIDATES_REMOVED, "invalidate_client_ice_candidates");
    assert_string_equal(REQUEST_DOMAIN, "resolve_device_pool_domain");
    assert_string_equal(REQUEST_RELAYS, "no_relays");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
