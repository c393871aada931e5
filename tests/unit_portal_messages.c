/* SPDX-License-Identifier: Apache-2.0 */
/* Every message that the portal sends because of gateways: an example of each, and each of its members gone wrong. */
#include "control/portal/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define R1 "3b0c7a52-0000-4000-8000-000000000001"
#define G1 "9d2e0000-0000-4000-8000-000000000002"
#define S1 "5e1f0000-0000-4000-8000-000000000003"
#define L1 "60e05bd1-b195-4f2f-9411-2fa7197a5c88"

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
    "\"gateway_public_key\":\"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\","                     \
    "\"gateway_ipv4\":\"100.71.0.9\",\"gateway_ipv6\":\"fd00:2021:1111::b:9\","                    \
    "\"preshared_key\":\"nf/zxFPO6UthXqXx5mQvtNZLT0cwCJiO6nYyJhnspc4=\","                          \
    "\"client_ice_credentials\":{\"username\":\"w7up\",\"password\":\"ksqwm66pilnb7skdwwfw3r\"},"  \
    "\"gateway_ice_credentials\":{\"username\":\"kwe6\",\"password\":\"mzkrj52x5h5ebrfdsh5iyq\"}," \
    "\"use_iceless\":false,\"flow_logs_ingest_token\":\"eyJ\"}"

static json_t *payload;
static struct message m;
static struct fields f;

static int tear_down(void **state)
{
    (void)state;
    json_decref(payload);
    payload = NULL;
    return 0;
}

static bool read(const char *name, const char *text)
{
    json_decref(payload);
    payload = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(payload);
    return message_read(&m, name, payload, &f);
}

static void expect_uuid(const struct uuid *u, const char *text)
{
    char got[37];
    uuid_format(u, got);
    assert_string_equal(got, text);
}

static void expect_ip(const struct ip_addr *ip, const char *text)
{
    char got[IP_TEXT_MAX];
    assert_string_equal(ip_addr_format(ip, got, sizeof got), text);
}

static void test_init(void **state)
{
    struct message_resource r;
    struct message_relay relay;
    (void)state;
    assert_true(read("init",
                     "{" INTERFACE ",\"resources\":[{\"type\":\"cidr\",\"id\":\"" R1
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

static void test_dns_modes(void **state)
{
    (void)state;
    assert_true(read(
        "config_changed",
        "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"search_domain\":null}}"));
    assert_int_equal(m.interface_.do53_n + m.interface_.doh_n, 0);
    assert_null(m.interface_.search_domain);
    assert_true(
        read("config_changed",
             "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"upstream_do53\":[],"
             "\"upstream_doh\":[{\"url\":\"https://dns.google/dns-query\"}]}}"));
    assert_int_equal(m.interface_.doh_n, 1);
    assert_string_equal(m.interface_.doh[0], "https://dns.google/dns-query");
    assert_true(
        read("config_changed",
             "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"upstream_dns\":"
             "[{\"address\":\"[2620:fe::fe]:53\"}]}}"));
    assert_int_equal(m.interface_.do53_n, 1);
    expect_ip(&m.interface_.do53[0], "2620:fe::fe");
    /* More than there may be: the first eight. */
    assert_true(
        read("config_changed",
             "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\",\"upstream_do53\":["
             "{\"ip\":\"1.1.1.1\"},{\"ip\":\"1.1.1.2\"},{\"ip\":\"1.1.1.3\"},{\"ip\":\"1.1.1.4\"},"
             "{\"ip\":\"1.1.1.5\"},{\"ip\":\"1.1.1.6\"},{\"ip\":\"1.1.1.7\"},{\"ip\":\"1.1.1.8\"},"
             "{\"ip\":\"1.1.1.9\"}]}}"));
    assert_int_equal(m.interface_.do53_n, MESSAGE_UPSTREAMS_MAX);
}

static void test_resources(void **state)
{
    (void)state;
    assert_true(read(
        "resource_created_or_updated",
        "{\"type\":\"dns\",\"id\":\"" R1 "\",\"name\":\"Git\",\"address\":\"*.git.corp.example\","
        "\"address_description\":\"the repositories\",\"ip_stack\":\"ipv6_only\"," SITES "}"));
    assert_int_equal(m.kind, MESSAGE_RESOURCE_UPSERTED);
    assert_int_equal(m.resource.kind, RESOURCE_DNS);
    assert_string_equal(m.resource.address, "*.git.corp.example");
    assert_string_equal(m.resource.description, "the repositories");
    assert_int_equal(m.resource.ip_stack, IP_STACK_V6);
    assert_null(m.resource.filters);
    assert_true(read("resource_created_or_updated",
                     "{\"type\":\"internet\",\"id\":\"" R1
                     "\",\"can_be_disabled\":true,\"gateway_groups\":"
                     "[{\"id\":\"" S1 "\",\"name\":\"Internet\"}]}"));
    assert_int_equal(m.resource.kind, RESOURCE_INTERNET);
    assert_true(m.resource.can_be_disabled);
    assert_string_equal(m.resource.name, "Internet Resource");
    assert_true(read("resource_created_or_updated",
                     "{\"type\":\"static_device_pool\",\"id\":\"" R1 "\",\"devices\":[]}"));
    assert_int_equal(m.kind, MESSAGE_UNKNOWN);
    assert_true(read("resource_deleted", "\"" R1 "\""));
    assert_int_equal(m.kind, MESSAGE_RESOURCE_DELETED);
    expect_uuid(&m.resource_id, R1);
}

/* One that is wrong, or of another kind, costs only itself. */
static void test_bad_elements(void **state)
{
    struct message_resource r;
    struct message_relay relay;
    (void)state;
    assert_true(read(
        "init", "{" INTERFACE ",\"resources\":[{\"type\":\"cidr\",\"id\":\"" R1
                "\",\"name\":\"Lab\",\"address\":\"10.20.0.1/16\"," SITES
                "},5,{\"type\":\"dynamic_device_pool\"},{\"type\":\"cidr\",\"id\":\"" R1
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
    assert_true(
        read("relays_presence", "{\"disconnected_ids\":[\"" L1 "\",7],\"connected\":[" RELAY "]}"));
    assert_int_equal(m.kind, MESSAGE_RELAYS_PRESENCE);
    assert_true(message_uuid_at(&id, m.gone, 0, &f));
    expect_uuid(&id, L1);
    assert_true(message_relay_at(&relay, m.relays, 0, &f));
    assert_false(message_uuid_at(&id, m.gone, 1, &f));
    assert_string_equal(f.why, "disconnected_ids[1]: not a UUID");
}

static void test_authorization(void **state)
{
    static const uint8_t zero[KEY_LEN];
    (void)state;
    assert_true(read("authorization_created", AUTHORIZATION));
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

    assert_true(read("authorization_creation_failed",
                     "{\"resource_id\":\"" R1
                     "\",\"reason\":\"forbidden\",\"violated_properties\":[\"remote_ip\"]}"));
    assert_int_equal(m.reason, FAIL_FORBIDDEN);
    assert_true(read("authorization_creation_failed",
                     "{\"resource_id\":\"" R1 "\",\"reason\":\"because\"}"));
    assert_int_equal(m.reason, FAIL_UNKNOWN);
}

/* Each member of the largest message removed, and made a list: the reason names it. (One is optional.) */
static void test_each_member(void **state)
{
    json_t *whole = json_loads(AUTHORIZATION, 0, NULL), *value;
    const char *key;
    unsigned missing = 0, wrong = 0;
    (void)state;
    json_object_foreach(whole, key, value)
    {
        char want[80];
        json_t *less = json_copy(whole);
        json_object_del(less, key);
        if (!message_read(&m, "authorization_created", less, &f)) {
            snprintf(want, sizeof want, "%s: missing", key);
            assert_string_equal(f.why, want);
            missing++;
        }
        json_object_set_new(less, key, json_array());
        if (!message_read(&m, "authorization_created", less, &f)) {
            snprintf(want, sizeof want, "%s: n",
                     key); /* not a text, not an object, neither true nor false */
            assert_int_equal(strncmp(f.why, want, strlen(want)), 0);
            wrong++;
        }
        json_decref(less);
    }
    assert_int_equal(missing,
                     json_object_size(whole) - 2); /* use_iceless, flow_logs_ingest_token */
    assert_int_equal(wrong, json_object_size(whole) - 1);
    json_decref(whole);
}

static void test_candidates(void **state)
{
    static const struct {
        const char *name;
        enum message_kind kind;
    } names[] = {{"ice_candidates", MESSAGE_CANDIDATES_ADDED},
                 {"gateway_ice_candidates", MESSAGE_CANDIDATES_ADDED},
                 {"invalidate_ice_candidates", MESSAGE_CANDIDATES_REMOVED},
                 {"invalidate_gateway_ice_candidates", MESSAGE_CANDIDATES_REMOVED}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(read(names[i].name,
                         "{\"gateway_id\":\"" G1 "\",\"candidates\":[\"candidate:1\",null]}"));
        assert_int_equal(m.kind, names[i].kind);
        expect_uuid(&m.gateway, G1);
        assert_int_equal(json_array_size(m.candidates), 2);
        assert_string_equal(message_text_at(m.candidates, 0), "candidate:1");
        assert_null(message_text_at(m.candidates, 1));
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
        {"init", ("{" INTERFACE ",\"resources\":{}}"), "resources: not a list"},
        {"config_changed",
         "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_do53\":[{\"ip\":\"9.9.9.9\"},7]}}",
         "interface.upstream_do53[1]: not an object"},
        {"config_changed",
         "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_doh\":[{\"url\":\"http://x\"}]}}",
         "interface.upstream_doh[0].url: does not begin with https://"},
        {"resource_deleted", "{}", "payload: not a UUID"},
        {"resource_deleted", "\"7d1a\"", "payload: not a UUID"},
        {"resource_created_or_updated", "5", "type: missing"},
        {"resource_created_or_updated", ("{\"type\":\"dns\",\"id\":\"" R1 "\"}"),
         "sites[0]: not an object"},
        {"resource_created_or_updated",
         ("{\"type\":\"dns\",\"id\":\"" R1 "\"," SITES
          ",\"name\":\"x\",\"address\":\"x\",\"filters\":"
          "[{\"protocol\":\"sctp\"}]}"),
         "filters[0].protocol: not known"},
        {"resource_created_or_updated",
         ("{\"type\":\"dns\",\"id\":\"" R1 "\"," SITES
          ",\"name\":\"x\",\"address\":\"x\",\"filters\":"
          "[{\"protocol\":\"tcp\",\"port_range_start\":70000}]}"),
         "filters[0].port_range_start: out of range"},
        {"resource_created_or_updated",
         ("{\"type\":\"dns\",\"id\":\"" R1 "\"," SITES
          ",\"name\":\"x\",\"address\":\"x\",\"filters\":"
          "[{\"protocol\":\"tcp\",\"port_range_start\":2,\"port_range_end\":1}]}"),
         "filters[0].port_range_end: lies before port_range_start"},
        {"resource_created_or_updated",
         ("{\"type\":\"cidr\",\"id\":\"" R1 "\"," SITES
          ",\"name\":\"x\",\"address\":\"10.0.0.1\"}"),
         "address: not an address with a /length"},
        {"ice_candidates", "{\"gateway_id\":\"x\"}", "gateway_id: not a UUID"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s %s\n", cases[i].name, cases[i].payload);
        assert_false(read(cases[i].name, cases[i].payload));
        assert_string_equal(f.why, cases[i].why);
        assert_string_equal(f.path, "");
    }
    assert_true(read("something_new", "{}"));
    assert_int_equal(m.kind, MESSAGE_UNKNOWN);
    assert_true(read("access_authorization_expiry_updated", "null"));
    assert_int_equal(m.kind, MESSAGE_OBSOLETE);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init),         TEST(test_dns_modes),       TEST(test_resources),
        TEST(test_bad_elements), TEST(test_relays_presence), TEST(test_authorization),
        TEST(test_each_member),  TEST(test_candidates),      TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
