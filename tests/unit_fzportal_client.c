/* SPDX-License-Identifier: Apache-2.0 */
/* What the development portal tells clients of the account: init, resources by version, DNS, changes. */
#include <time.h>

#include "tests/portal_rig.h"

#define CLIENT_V2 "/client/v2/websocket"

/* The resource called so in an init; NULL: it is not there. */
static const json_t *resource_in(const json_t *init, const char *name)
{
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(init, "resources"), i, r)
    {
        const char *text = json_string_value(json_object_get(r, "name"));
        if (strcmp(text ? text : rig_text(r, "type"), name) == 0)
            return r;
    }
    return NULL;
}

static void test_init(void **state)
{
    struct rig rig;
    char site[37], lab[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    rig_id(&rig, "sites", "Main", site);
    rig_id(&rig, "resources", "Lab", lab);
    json_t *init =
        rig_join(&rig, rig_client_as(&rig, CLIENT_V2, "a", ".laptop", RIG_CLIENT), "client");
    json_t *face = json_object_get(init, "interface");
    struct ip_addr ip;
    struct ip_prefix range;
    assert_int_equal(json_object_size(init), 5);
    assert_int_equal(ip_addr_parse(&ip, rig_text(face, "ipv4")), ERR_OK);
    assert_int_equal(ip_prefix_parse(&range, "100.64.0.0/11"), ERR_OK);
    assert_true(ip_prefix_contains(&range, &ip));
    assert_int_equal(ip_addr_parse(&ip, rig_text(face, "ipv6")), ERR_OK);
    assert_int_equal(ip_prefix_parse(&range, "fd00:2021:1111::/107"), ERR_OK);
    assert_true(ip_prefix_contains(&range, &ip));
    assert_true(json_is_null(json_object_get(face, "search_domain")));
    assert_int_equal(json_array_size(json_object_get(face, "upstream_do53")), 0);
    assert_true(json_is_array(json_object_get(face, "upstream_doh")));
    assert_true(json_is_array(json_object_get(face, "upstream_dns")));
    assert_int_equal(json_array_size(json_object_get(init, "relays")), 0);
    assert_int_equal(json_array_size(json_object_get(init, "authorizations")), 0);
    json_t *wanted = json_pack("{s:s, s:i, s:i}", "api_url", "https://flow-api.firezone.dev/",
                               "upload_interval_secs", 0, "upload_batch_size", 1000);
    assert_true(json_equal(json_object_get(init, "flow_logs"), wanted));
    json_decref(wanted);

    assert_int_equal(json_array_size(json_object_get(init, "resources")), 6);
    wanted = json_pack("{s:s, s:s, s:s, s:s, s:n, s:[], s:[{s:s, s:s}]}", "type", "cidr", "id", lab,
                       "name", "Lab", "address", "10.20.0.0/16", "address_description", "filters",
                       "sites", "id", site, "name", "Main");
    assert_true(json_equal(resource_in(init, "Lab"), wanted));
    json_decref(wanted);
    wanted = json_pack("[{s:s, s:i, s:i}, {s:s}]", "protocol", "tcp", "port_range_start", 443,
                       "port_range_end", 443, "protocol", "icmp");
    assert_true(json_equal(json_object_get(resource_in(init, "Git"), "filters"), wanted));
    json_decref(wanted);
    assert_string_equal(rig_text(resource_in(init, "Far"), "type"), "cidr");
    assert_string_equal(rig_text(resource_in(init, "Far"), "address"), "10.9.9.9/32");
    assert_non_null(resource_in(init, "Vault"));
    json_decref(init);
    rig_stop(&rig);
}

/* The same device is the same after a reconnect, and with the same seed after a restart. */
static void test_stable(void **state)
{
    struct rig rig;
    json_t *inits[3];
    (void)state;

    for (int round = 0; round < 3; round++) {
        if (round != 1)
            rig_start(&rig, RIG_CONFIG);
        inits[round] =
            rig_join(&rig, rig_client_as(&rig, CLIENT_V2, "a", ".laptop", RIG_CLIENT), "client");
        if (round != 0)
            rig_stop(&rig);
    }
    assert_true(json_equal(inits[0], inits[1]));
    assert_true(json_equal(inits[0], inits[2]));
    for (int round = 0; round < 3; round++)
        json_decref(inits[round]);
}

static void test_versions(void **state)
{
    static const struct {
        const char *agent;
        bool sites, pools;
    } cases[] = {
        {"X/1 headless-client/1.5.12", true, true},  {"X/1 headless-client/1.5.9", true, true},
        {"X/1 headless-client/1.5.8", true, false},  {"X/1 headless-client/1.5.6", true, false},
        {"X/1 headless-client/1.5.5", false, false}, {"X/1 gui-client/1.5.9", false, false},
        {"X/1 gui-client/1.5.10", true, false},      {"X/1 connlib/1.5.13", true, true},
        {"X/1 apple-client/1.5.11", true, false},    {"X/1 apple-client/1.5.15", true, false},
        {"X/1 apple-client/1.5.16", true, true},     {"X/1 android-client/1.5.8", true, false},
        {"X/1 android-client/1.5.11", true, true},   {"X/1 headless-client/2.0.0", true, true},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct portal_session *s =
            rig_client_as(&rig, "/client/websocket", "a", ".laptop", cases[i].agent);
        json_t *init = rig_join(&rig, s, "client");
        const json_t *lab = resource_in(init, "Lab");
        print_message("%s\n", cases[i].agent);
        assert_int_equal(json_object_get(lab, "sites") != NULL, cases[i].sites);
        assert_int_equal(json_object_get(lab, "gateway_groups") != NULL, !cases[i].sites);
        assert_int_equal(resource_in(init, "Cameras") != NULL, cases[i].pools);
        assert_int_equal(resource_in(init, "Cams") != NULL, cases[i].pools);
        json_decref(init);
        rig_close(&rig, s);
    }
    rig_stop(&rig);
}

/* Service accounts get pools from 1.5.9, whatever the program. */
static void test_pools_of_services(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\n[client-token s]\ntoken = .s\n"
                    "[resource P]\ntype = static_device_pool\n");
    struct portal_session *s = rig_client_as(&rig, CLIENT_V2, "a", ".s", "X/1 apple-client/1.5.9");
    json_t *init = rig_join(&rig, s, "client");
    assert_non_null(resource_in(init, "P"));
    json_decref(init);
    rig_stop(&rig);
}

static void test_old_patterns(void **state)
{
    static const char config[] =
        "[portal]\nconnect_limit = no\n[client-token s]\ntoken = .s\n[site A]\n"
        "[resource one]\ntype = dns\naddress = *.a.example\nsite = A\n"
        "[resource any]\ntype = dns\naddress = **.b.example\nsite = A\n"
        "[resource odd]\ntype = dns\naddress = a?.*.example\nsite = A\n"
        "[resource all]\ntype = internet\nsite = A\n";
    struct rig rig;
    (void)state;

    rig_start(&rig, config);
    struct portal_session *s =
        rig_client_as(&rig, "/client/websocket", "a", ".s", "X/1 gui-client/1.1.9");
    json_t *init = rig_join(&rig, s, "client");
    assert_string_equal(rig_text(resource_in(init, "one"), "address"), "?.a.example");
    assert_string_equal(rig_text(resource_in(init, "any"), "address"), "*.b.example");
    assert_null(resource_in(init, "odd"));
    assert_null(resource_in(init, "internet"));
    json_decref(init);
    init = rig_join(&rig, rig_client_as(&rig, CLIENT_V2, "b", ".s", RIG_CLIENT), "client");
    assert_string_equal(rig_text(resource_in(init, "any"), "address"), "**.b.example");
    assert_non_null(resource_in(init, "odd"));
    assert_true(json_is_true(json_object_get(resource_in(init, "internet"), "can_be_disabled")));
    assert_null(json_object_get(resource_in(init, "internet"), "name"));
    json_decref(init);
    rig_stop(&rig);
}

static void test_policies(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    json_t *init =
        rig_join(&rig, rig_client_as(&rig, CLIENT_V2, "a", ".camera", RIG_CLIENT), "client");
    assert_int_equal(json_array_size(json_object_get(init, "resources")), 0);
    json_decref(init);
    rig_stop(&rig);
}

static void test_dns(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_order(&rig, "{\"command\":\"dns\",\"mode\":\"custom\",\"servers\":[\"9.9.9.9\","
                    "\"2620:fe::fe\"],\"search_domain\":\"corp.example\"}");
    json_t *config = rig_expect(s, "config_changed"), *face = json_object_get(config, "interface");
    json_t *wanted = json_pack("[{s:s}, {s:s}]", "ip", "9.9.9.9", "ip", "2620:fe::fe");
    assert_true(json_equal(json_object_get(face, "upstream_do53"), wanted));
    json_decref(wanted);
    wanted = json_pack("[{s:s, s:s}, {s:s, s:s}]", "protocol", "ip_port", "address", "9.9.9.9:53",
                       "protocol", "ip_port", "address", "[2620:fe::fe]:53");
    assert_true(json_equal(json_object_get(face, "upstream_dns"), wanted));
    json_decref(wanted);
    assert_string_equal(rig_text(face, "search_domain"), "corp.example");
    json_decref(config);
    rig_order(&rig, "{\"command\":\"dns\",\"mode\":\"secure\",\"url\":\"https://dns.example/q\"}");
    config = rig_expect(s, "config_changed");
    face = json_object_get(config, "interface");
    wanted = json_pack("[{s:s}]", "url", "https://dns.example/q");
    assert_true(json_equal(json_object_get(face, "upstream_doh"), wanted));
    assert_int_equal(json_array_size(json_object_get(face, "upstream_do53")), 0);
    json_decref(wanted);
    json_decref(config);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

static void test_resource_changes(void **state)
{
    struct rig rig;
    char id[40];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = rig_client(&rig, "a", ".laptop");
    struct portal_session *old =
        rig_client_as(&rig, "/client/websocket", "b", ".laptop", "X/1 headless-client/1.5.4");
    struct portal_session *blind = rig_client(&rig, "c", ".camera");
    json_decref(rig_join(&rig, old, "client"));
    rig_wait_ms(&rig, 200);
    json_decref(rig_expect(s, "resource_created_or_updated")); /* the pool with the camera */
    id[0] = '"';
    rig_id(&rig, "resources", "Lab", id + 1);
    strcat(id, "\"");

    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Lab\",\"filters\":\"tcp/80\"}");
    json_t *view = rig_expect(s, "resource_created_or_updated");
    assert_int_equal(json_array_size(json_object_get(view, "filters")), 1);
    assert_non_null(json_object_get(view, "sites"));
    json_decref(view);
    view = rig_expect(old, "resource_created_or_updated");
    assert_non_null(json_object_get(view, "gateway_groups"));
    json_decref(view);
    /* In another site: in place, or anew for clients that cannot. */
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Lab\",\"site\":\"Other\"}");
    json_decref(rig_expect(s, "resource_created_or_updated"));
    rig_expect_payload(old, "resource_deleted", id);
    json_decref(rig_expect(old, "resource_created_or_updated"));
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Lab\",\"type\":\"dns\","
                    "\"address\":\"lab.example\",\"ip_stack\":\"ipv4_only\"}");
    rig_expect_payload(s, "resource_deleted", id);
    view = rig_expect(s, "resource_created_or_updated");
    assert_string_equal(rig_text(view, "ip_stack"), "ipv4_only");
    json_decref(view);
    rig_expect_payload(old, "resource_deleted", id);
    json_decref(rig_expect(old, "resource_created_or_updated"));
    rig_order(&rig, "{\"command\":\"resource_remove\",\"name\":\"Lab\"}");
    rig_expect_payload(s, "resource_deleted", id);
    rig_expect_payload(old, "resource_deleted", id);
    rig_expect_nothing(s);
    rig_expect_nothing(old);
    rig_expect_nothing(blind);
    rig_stop(&rig);
}

static void test_resource_added(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\n[client-token a]\ntoken = .laptop\n[site A]\n");
    struct portal_session *s = rig_client(&rig, "a", ".laptop");
    json_t *answer = rig_control(
        &rig, "{\"command\":\"resource_add\",\"name\":\"N\",\"type\":\"ip\",\"address\":"
              "\"2001:db8::1\",\"site\":\"A\",\"filters\":[\"udp/5-6\",\"tcp\"]}");
    json_t *view = rig_expect(s, "resource_created_or_updated");
    assert_string_equal(rig_text(view, "id"), rig_text(answer, "id"));
    assert_string_equal(rig_text(view, "address"), "2001:db8::1/128");
    assert_int_equal(json_array_size(json_object_get(view, "filters")), 2);
    json_decref(view);
    json_decref(answer);
    rig_stop(&rig);
}

static void test_address(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"a\",\"ipv4\":\"100.64.7.7\"}");
    json_t *init = rig_expect(s, "init");
    assert_string_equal(rig_text(json_object_get(init, "interface"), "ipv4"), "100.64.7.7");
    json_decref(init);
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"g\",\"ipv6\":\"fd00:2021:1111::77\"}");
    init = rig_expect(g, "init");
    assert_string_equal(rig_text(json_object_get(init, "interface"), "ipv6"), "fd00:2021:1111::77");
    json_decref(init);
    json_t *answer =
        rig_control(&rig, "{\"command\":\"address\",\"device\":\"g\",\"ipv4\":\"100.64.7.7\"}");
    assert_string_equal(rig_text(answer, "error"), "ipv4: not a free address of 100.64.0.0/11");
    json_decref(answer);
    rig_expect_nothing(g);
    /* Both or neither. */
    answer = rig_control(&rig, "{\"command\":\"address\",\"device\":\"a\",\"ipv4\":\"100.64.8.8\","
                               "\"ipv6\":\"fd00:2021:1111::77\"}");
    assert_string_equal(rig_text(answer, "error"),
                        "ipv6: not a free address of fd00:2021:1111::/107");
    json_decref(answer);
    rig_order(&rig, "{\"command\":\"init\",\"device\":\"a\"}");
    init = rig_expect(s, "init");
    assert_string_equal(rig_text(json_object_get(init, "interface"), "ipv4"), "100.64.7.7");
    json_decref(init);
    rig_stop(&rig);
}

/* An init of 10,000 resources is made quickly, and once more for the next client. */
static void test_many_resources(void **state)
{
    enum {
        N = 10000
    };
    struct rig rig;
    char *text = malloc(N * 100);
    size_t len = (size_t)sprintf(
        text, "[portal]\nconnect_limit = no\n[client-token a]\ntoken = .laptop\n[site A]\n");
    (void)state;

    for (int i = 0; i < N; i++)
        len += (size_t)sprintf(text + len,
                               "[resource r%d]\ntype = ip\naddress = 10.0.%d.%d\nsite = A\n", i,
                               i / 250, i % 250);
    rig_start(&rig, text);
    free(text);
    clock_t start = clock();
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof id, "c%d", i);
        struct portal_session *s = rig_client_as(&rig, CLIENT_V2, id, ".laptop", RIG_CLIENT);
        json_t *init = rig_join(&rig, s, "client");
        assert_int_equal(json_array_size(json_object_get(init, "resources")), N);
        json_decref(init);
    }
    print_message("%ld ms for each\n", (long)((clock() - start) * 1000 / CLOCKS_PER_SEC / 5));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_stable),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_pools_of_services),
        cmocka_unit_test(test_old_patterns),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_resource_changes),
        cmocka_unit_test(test_resource_added),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_many_resources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
