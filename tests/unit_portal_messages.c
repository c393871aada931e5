/* SPDX-License-Identifier: Apache-2.0 */
/* The messages about the interface, relays and gateways: an example of each, and each of its members gone wrong. */
#include "control/portal/messages.h"

#include "tests/support/portal_payload.h"

#define INTERFACE                                                                                  \
    "\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00:2021:1111::a:1f04\","                 \
    "\"search_domain\":\"corp.example\",\"upstream_do53\":[{\"ip\":\"9.9.9.9\"},"                  \
    "{\"ip\":\"2620:fe::fe\"}],\"upstream_doh\":[],\"upstream_dns\":[{\"protocol\":\"ip_port\","   \
    "\"address\":\"9.9.9.9:53\"}]}"
#define SITES "\"sites\":[{\"id\":\"" S1 "\",\"name\":\"Frankfurt\"}]"
#define RELAY                                                                                      \
    "{\"id\":\"" L1                                                                                \
    "\",\"type\":\"turn\",\"addr\":\"203.0.113.7:3478\",\"username\":\"1785600000:kF\","           \
    "\"password\":\"Cq2D\",\"expires_at\":1785600000}"
#define AUTHORIZATION                                                                              \
    "{\"resource_id\":\"" R1 "\",\"gateway_id\":\"" G1 "\",\"site_id\":\"" S1 "\","                \
    "\"gateway_public_key\":\"" PUBLIC_KEY "\","                                                   \
    "\"gateway_ipv4\":\"100.71.0.9\",\"gateway_ipv6\":\"fd00:2021:1111::b:9\","                    \
    "\"preshared_key\":\"" PRESHARED_KEY "\","                                                     \
    "\"client_ice_credentials\":{\"username\":\"w7up\",\"password\":\"ksqwm66pilnb7skdwwfw3r\"},"  \
    "\"gateway_ice_credentials\":{\"username\":\"kwe6\",\"password\":\"mzkrj52x5h5ebrfdsh5iyq\"}," \
    "\"use_iceless\":false,\"flow_logs_ingest_token\":\"eyJ\"}"

static void test_init(void **state)
{
    struct message_resource r;
    struct message_relay relay;
    (void)state;
    assert_true(payload_read(
        "init", "{" INTERFACE ",\"resources\":[{\"type\":\"cidr\",\"id\":\"" R1
                "\",\"name\":\"Lab\",\"address\":\"10.20.0.0/16\","
                "\"address_description\":null,\"filters\":[{\"protocol\":\"tcp\","
                "\"port_range_start\":443,\"port_range_end\":444},{\"protocol\":\"udp\"},"
                "{\"protocol\":\"icmp\"}]," SITES "}],\"relays\":[" RELAY
                "],\"authorizations\":[],\"flow_logs\":{},\"new\":1}"));
    assert_int_equal(m.kind, MESSAGE_INIT);
    expect_ip(&m.interface_.ipv4, "100.70.12.4");
    expect_ip(&m.interface_.ipv6, "fd00:2021:1111::a:1f04");
    assert_string_equal(m.interface_.search_domain, "corp.example");
    assert_int_equal(m.interface_.do53_n, 2);
    expect_ip(&m.interface_.do53[1], "2620:fe::fe");
    assert_int_equal(m.interface_.doh_n, 0);
    assert_int_equal(json_array_size(m.resources), 1);
    assert_true(message_resource_at(&r, m.resources, 0, &f));
    assert_int_equal(r.kind, RESOURCE_CIDR);
    expect_uuid(&r.id, R1);
    assert_string_equal(r.name, "Lab");
    expect_ip(&r.prefix.ip, "10.20.0.0");
    assert_int_equal(r.prefix.len, 16);
    assert_null(r.description);
    expect_uuid(&r.site, S1);
    assert_string_equal(r.site_name, "Frankfurt");
    assert_int_equal(json_array_size(r.filters), 3);
    struct message_filter filter = message_filter_at(r.filters, 0);
    assert_int_equal(filter.protocol, PROTOCOL_TCP);
    assert_int_equal(filter.port_first, 443);
    assert_int_equal(filter.port_last, 444);
    filter = message_filter_at(r.filters, 1);
    assert_int_equal(filter.protocol, PROTOCOL_UDP);
    assert_int_equal(filter.port_first, 0);
    assert_int_equal(filter.port_last, 65535);
    assert_int_equal(message_filter_at(r.filters, 2).protocol, PROTOCOL_ICMP);
    assert_true(message_relay_at(&relay, m.relays, 0, &f));
    expect_uuid(&relay.id, L1);
    expect_ip(&relay.addr.ip, "203.0.113.7");
    assert_int_equal(relay.addr.port, 3478);
    assert_string_equal(relay.username, "1785600000:kF");
    assert_string_equal(relay.password, "Cq2D");
    assert_int_equal(relay.expires_at, 1785600000);
    assert_false(f.failed);
}

#define INIT "{" INTERFACE ",\"resources\":[],\"relays\":[],\"authorizations\":[],\"flow_logs\":{}}"

static void test_whole(void **state)
{
    static const struct payload_member members[] = {
        {"interface", false, "[]", "not an object"},
        {"interface.ipv4", false, "5", "not a text"},
        {"interface.ipv6", false, "\"fd00::g\"", "not an IPv6 address"},
        {"interface.search_domain", true, "[]", "not a text"},
        {"interface.upstream_do53", true, "{}", "not a list"},
        {"interface.upstream_do53[0].ip", false, "\"9.9.9.9:53\"", "not an IP address"},
        {"interface.upstream_doh", true, "\"\"", "not a list"},
        {"resources", true, "{}", "not a list"},
        {"relays", true, "5", "not a list"},
        {"authorizations", true, "{}", "not a list"},
    };
    (void)state;
    assert_true(payload_read("init", INIT));
    EXPECT_MEMBERS("init", INIT, members);
    /* The first seven are the interface's. */
    expect_members("config_changed", "{" INTERFACE "}", members, 7);
}

static void test_dns_modes(void **state)
{
    (void)state;
    assert_true(payload_read(
        "config_changed",
        "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"search_domain\":null}}"));
    assert_int_equal(m.interface_.do53_n + m.interface_.doh_n, 0);
    assert_null(m.interface_.search_domain);
    assert_true(payload_read(
        "config_changed",
        "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"upstream_do53\":[],"
        "\"upstream_doh\":[{\"url\":\"https://dns.google/dns-query\"}]}}"));
    assert_int_equal(m.interface_.doh_n, 1);
    assert_string_equal(m.interface_.doh[0], "https://dns.google/dns-query");
    assert_true(payload_read(
        "config_changed",
        "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"upstream_dns\":"
        "[{\"address\":\"[2620:fe::fe]:53\"}]}}"));
    assert_int_equal(m.interface_.do53_n, 1);
    expect_ip(&m.interface_.do53[0], "2620:fe::fe");
    /* More than there may be: the first eight. */
    assert_true(payload_read(
        "config_changed",
        "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"upstream_do53\":["
        "{\"ip\":\"1.1.1.1\"},{\"ip\":\"1.1.1.2\"},{\"ip\":\"1.1.1.3\"},{\"ip\":\"1.1.1.4\"},"
        "{\"ip\":\"1.1.1.5\"},{\"ip\":\"1.1.1.6\"},{\"ip\":\"1.1.1.7\"},{\"ip\":\"1.1.1.8\"},"
        "{\"ip\":\"1.1.1.9\"}]}}"));
    assert_int_equal(m.interface_.do53_n, MESSAGE_UPSTREAMS_MAX);
}

static void test_deleted(void **state)
{
    (void)state;
    assert_true(payload_read("resource_deleted", "\"" R1 "\""));
    assert_int_equal(m.kind, MESSAGE_RESOURCE_DELETED);
    expect_uuid(&m.resource_id, R1);
}

/* One that is wrong, or of another kind, costs only itself. */
static void test_bad_elements(void **state)
{
    struct message_resource r;
    struct message_relay relay;
    (void)state;
    assert_true(payload_read(
        "init", "{" INTERFACE ",\"resources\":[{\"type\":\"cidr\",\"id\":\"" R1
                "\",\"name\":\"Lab\",\"address\":\"10.20.0.1/16\"," SITES
                "},5,{\"type\":\"wormhole\"},{\"type\":\"cidr\",\"id\":\"" R1
                "\",\"name\":\"Lab\",\"address\":\"10.20.0.0/16\"," SITES
                "}],\"relays\":[{\"id\":\"x\",\"type\":\"stun\",\"addr\":\"[2001:db8::7]:3478\"},"
                "{\"type\":\"turn\",\"id\":\"" L1 "\",\"addr\":\"203.0.113.7\"}]}"));
    static const char *const why[] = {"resources[0].address: bits are set behind the /length",
                                      "resources[1]: not an object", "", ""};
    for (size_t i = 0; i < ARRAY_LEN(why); i++) {
        f = (struct fields){.failed = false};
        assert_int_equal(message_resource_at(&r, m.resources, i, &f), i == 3);
        assert_string_equal(f.why, why[i]);
        assert_string_equal(f.path, "");
    }
    assert_false(message_relay_at(&relay, m.relays, 0, &f));
    assert_false(f.failed);
    assert_false(message_relay_at(&relay, m.relays, 1, &f));
    assert_string_equal(f.why, "relays[1].addr: not an address and port");
}

static void test_relays_presence(void **state)
{
    struct uuid id;
    struct message_relay relay;
    (void)state;
    assert_true(payload_read("relays_presence",
                             "{\"disconnected_ids\":[\"" L1 "\",7],\"connected\":[" RELAY "]}"));
    assert_int_equal(m.kind, MESSAGE_RELAYS_PRESENCE);
    assert_true(message_uuid_at(&id, m.gone, 0, &f));
    expect_uuid(&id, L1);
    assert_true(message_relay_at(&relay, m.relays, 0, &f));
    assert_false(message_uuid_at(&id, m.gone, 1, &f));
    assert_string_equal(f.why, "disconnected_ids[1]: not a UUID");
}

/* Of a relay in a list, and of the message with two lists. */
static void test_relay_members(void **state)
{
    static const struct {
        const char *key, *wrong;
    } members[] = {{"type", "not a text"},     {"id", "not a text"},
                   {"addr", "not a text"},     {"username", "not a text"},
                   {"password", "not a text"}, {"expires_at", "not a whole number"}};
    static const struct payload_member lists[] = {
        {"disconnected_ids", false, "{}", "not a list"},
        {"connected", false, "5", "not a list"},
    };
    struct message_relay relay;
    char why[80];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        assert_true(payload_read("init", "{" INTERFACE ",\"relays\":[" RELAY "]}"));
        json_t *object = json_array_get(m.relays, 0);
        json_object_del(object, members[i].key);
        assert_false(message_relay_at(&relay, m.relays, 0, &f));
        snprintf(why, sizeof why, "relays[0].%s: missing", members[i].key);
        assert_string_equal(f.why, why);
        f = (struct fields){.failed = false};
        json_object_set_new(object, members[i].key, json_array());
        assert_false(message_relay_at(&relay, m.relays, 0, &f));
        snprintf(why, sizeof why, "relays[0].%s: %s", members[i].key, members[i].wrong);
        assert_string_equal(f.why, why);
    }
    EXPECT_MEMBERS("relays_presence", "{\"disconnected_ids\":[],\"connected\":[]}", lists);
}

static void test_authorization(void **state)
{
    static const uint8_t zero[KEY_LEN];
    static const struct payload_member members[] = {
        {"resource_id", false, "[]", "not a text"},
        {"gateway_id", false, "\"x\"", "not a UUID"},
        {"site_id", false, "5", "not a text"},
        {"gateway_public_key", false, "\"ICEi\"", "not a key in base64"},
        {"preshared_key", false, "{}", "not a text"},
        {"gateway_ipv4", false, "\"fd00::9\"", "not an IPv4 address"},
        {"gateway_ipv6", false, "\"100.71.0.9\"", "not an IPv6 address"},
        {"client_ice_credentials", false, "[]", "not an object"},
        {"client_ice_credentials.username", false, "5", "not a text"},
        {"client_ice_credentials.password", false, "\"\"", "empty"},
        {"gateway_ice_credentials", false, "\"\"", "not an object"},
        {"gateway_ice_credentials.username", false, "[]", "not a text"},
        {"gateway_ice_credentials.password", false, "{}", "not a text"},
        {"use_iceless", true, "0", "neither true nor false"},
    };
    (void)state;
    assert_true(payload_read("authorization_created", AUTHORIZATION));
    const struct message_authorization *a = &m.authorization;
    expect_uuid(&a->resource, R1);
    expect_uuid(&a->gateway, G1);
    expect_uuid(&a->site, S1);
    for (unsigned i = 0; i < KEY_LEN; i++)
        assert_int_equal(a->gateway_key[i], 0x20 + i);
    assert_int_equal(a->preshared_key[0], 0x9d);
    expect_ip(&a->gateway_ipv4, "100.71.0.9");
    expect_ip(&a->gateway_ipv6, "fd00:2021:1111::b:9");
    assert_string_equal(a->client_ice.username, "w7up");
    assert_string_equal(a->client_ice.password, "ksqwm66pilnb7skdwwfw3r");
    assert_string_equal(a->gateway_ice.username, "kwe6");
    assert_false(a->iceless);
    message_wipe(&m);
    assert_memory_equal(a->preshared_key, zero, KEY_LEN);
    EXPECT_MEMBERS("authorization_created", AUTHORIZATION, members);
}

/* The name of the site in older portals. */
static void test_older_site(void **state)
{
    (void)state;
    assert_true(payload_read("authorization_created", AUTHORIZATION));
    json_object_set(payload, "gateway_group_id", json_object_get(payload, "site_id"));
    json_object_del(payload, "site_id");
    assert_true(message_read(&m, "authorization_created", payload, &f));
    expect_uuid(&m.authorization.site, S1);
    json_object_set_new(payload, "gateway_group_id", json_integer(1));
    assert_false(message_read(&m, "authorization_created", payload, &f));
    assert_string_equal(f.why, "gateway_group_id: not a text");
}

#define FAILED                                                                                     \
    "{\"resource_id\":\"" R1                                                                       \
    "\",\"reason\":\"forbidden\",\"violated_properties\":[\"remote_ip\",5,"                        \
    "\"current_utc_datetime\"]}"

static void test_failed(void **state)
{
    static const struct payload_member members[] = {
        {"resource_id", false, "[]", "not a text"},
        {"reason", false, "5", "not a text"},
        {"violated_properties", true, "\"remote_ip\"", "not a list"},
    };
    static const struct {
        const char *text;
        enum message_fail_reason reason;
    } reasons[] = {{"not_found", FAIL_NOT_FOUND},
                   {"offline", FAIL_OFFLINE},
                   {"version_mismatch", FAIL_VERSION_MISMATCH},
                   {"forbidden", FAIL_FORBIDDEN},
                   {"disabled", FAIL_DISABLED},
                   {"ambiguous_address", FAIL_AMBIGUOUS_ADDRESS},
                   {"missing_address", FAIL_MISSING_ADDRESS},
                   {"invalid_address", FAIL_INVALID_ADDRESS},
                   {"because", FAIL_UNKNOWN}};
    char text[160];
    (void)state;
    assert_true(payload_read("authorization_creation_failed", FAILED));
    assert_int_equal(m.kind, MESSAGE_AUTHORIZATION_FAILED);
    expect_uuid(&m.resource_id, R1);
    assert_int_equal(json_array_size(m.violated), 3);
    assert_string_equal(message_text_at(m.violated, 0), "remote_ip");
    assert_null(message_text_at(m.violated, 1));
    assert_string_equal(message_text_at(m.violated, 2), "current_utc_datetime");
    assert_null(message_text_at(m.violated, 3));
    EXPECT_MEMBERS("authorization_creation_failed", FAILED, members);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        snprintf(text, sizeof text, "{\"resource_id\":\"" R1 "\",\"reason\":\"%s\"}",
                 reasons[i].text);
        assert_true(payload_read("authorization_creation_failed", text));
        assert_int_equal(m.reason, reasons[i].reason);
        assert_null(m.violated);
    }
}

#define CANDIDATES "{\"gateway_id\":\"" G1 "\",\"candidates\":[\"candidate:1\",null]}"

static void test_candidates(void **state)
{
    static const struct {
        const char *name;
        enum message_kind kind;
    } names[] = {{"ice_candidates", MESSAGE_CANDIDATES_ADDED},
                 {"gateway_ice_candidates", MESSAGE_CANDIDATES_ADDED},
                 {"invalidate_ice_candidates", MESSAGE_CANDIDATES_REMOVED},
                 {"invalidate_gateway_ice_candidates", MESSAGE_CANDIDATES_REMOVED}};
    static const struct payload_member members[] = {
        {"gateway_id", false, "\"x\"", "not a UUID"},
        {"candidates", false, "{}", "not a list"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(payload_read(names[i].name, CANDIDATES));
        assert_int_equal(m.kind, names[i].kind);
        expect_uuid(&m.gateway, G1);
        assert_int_equal(json_array_size(m.candidates), 2);
        assert_string_equal(message_text_at(m.candidates, 0), "candidate:1");
        assert_null(message_text_at(m.candidates, 1));
        EXPECT_MEMBERS(names[i].name, CANDIDATES, members);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *name, *payload, *why;
    } cases[] = {
        {"init", "{}", "interface: missing"},
        {"init", "null", "interface: missing"},
        {"init", "[]", "interface: missing"},
        {"init", "{\"interface\":5}", "interface: not an object"},
        {"init", "{\"interface\":{}}", "interface.ipv4: missing"},
        {"init", "{\"interface\":{\"ipv4\":\"fd00::1\"}}", "interface.ipv4: not an IPv4 address"},
        {"init", "{\"interface\":{\"ipv4\":\"\"}}", "interface.ipv4: empty"},
        {"config_changed",
         "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_do53\":[{\"ip\":\"9.9.9.9\"},7]}}",
         "interface.upstream_do53[1]: not an object"},
        {"config_changed",
         "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_doh\":[{\"url\":\"http://x\"}]}}",
         "interface.upstream_doh[0].url: does not begin with https://"},
        {"resource_deleted", "{}", "payload: not a UUID"},
        {"resource_deleted", "\"7d1a\"", "payload: not a UUID"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s %s\n", cases[i].name, cases[i].payload);
        assert_false(payload_read(cases[i].name, cases[i].payload));
        assert_string_equal(f.why, cases[i].why);
        assert_string_equal(f.path, "");
    }
    assert_true(payload_read("something_new", "{}"));
    assert_int_equal(m.kind, MESSAGE_UNKNOWN);
    assert_true(payload_read("access_authorization_expiry_updated", "null"));
    assert_int_equal(m.kind, MESSAGE_OBSOLETE);
}

#define TEST(name) cmocka_unit_test_teardown(name, payload_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init),          TEST(test_dns_modes),       TEST(test_deleted),
        TEST(test_bad_elements),  TEST(test_relays_presence), TEST(test_authorization),
        TEST(test_older_site),    TEST(test_failed),          TEST(test_whole),
        TEST(test_relay_members), TEST(test_candidates),      TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
