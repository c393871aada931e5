/* SPDX-License-Identifier: Apache-2.0 */
/* Every message that a gateway is told: an example of each, and each of its members gone wrong. */
#define PAYLOAD_OF_GATEWAY
#include "tests/support/portal_payload.h"

#define RELAY                                                                                      \
    "{\"id\":\"" L1                                                                                \
    "\",\"type\":\"turn\",\"addr\":\"203.0.113.7:3478\",\"username\":\"2145916800:kF\","           \
    "\"password\":\"Cq2D\",\"expires_at\":2145916800}"
#define INIT                                                                                       \
    "{\"interface\":{\"ipv4\":\"100.71.0.9\",\"ipv6\":\"fd00:2021:1111::b:9\"},"                   \
    "\"config\":{\"ipv4_masquerade_enabled\":false,\"ipv6_masquerade_enabled\":true},"             \
    "\"account_slug\":\"acme\",\"relays\":[" RELAY "],\"authorizations\":[{\"client_id\":\"" C1    \
    "\",\"resource_id\":\"" R1 "\",\"expires_at\":1785600000},{\"client_id\":\"" C1                \
    "\",\"resource_id\":\"" S1 "\",\"expires_at\":null},{\"client_id\":\"" C1 "\"}],"              \
    "\"flow_logs\":{\"api_url\":\"https://flow-api.firezone.dev/\",\"upload_interval_secs\":60,"   \
    "\"upload_batch_size\":1000},\"new\":[]}"
#define CIDR                                                                                       \
    "{\"type\":\"cidr\",\"id\":\"" R1 "\",\"name\":\"Lab\",\"address\":\"10.20.0.0/16\","          \
    "\"filters\":[{\"protocol\":\"tcp\",\"port_range_start\":443,\"port_range_end\":444}]}"
#define DNS                                                                                        \
    "{\"type\":\"dns\",\"id\":\"" R1 "\",\"name\":\"Git\",\"address\":\"*.git.corp.example\","     \
    "\"filters\":[]}"
#define AUTHORIZATION_OF(resource)                                                                 \
    "{\"ref\":\"SFMyNTY.x\",\"resource\":" resource ",\"client\":{\"id\":\"" C1                    \
    "\",\"public_key\":\"" PUBLIC_KEY "\",\"preshared_key\":\"" PRESHARED_KEY "\","                \
    "\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00:2021:1111::a:1f04\",\"version\":\"1.5.12\","         \
    "\"device_os_name\":\"Ubuntu\",\"device_os_version\":\"22.4.0\",\"device_serial\":\"S1\","     \
    "\"device_uuid\":\"U1\",\"identifier_for_vendor\":null,\"firebase_installation_id\":null},"    \
    "\"client_ice_credentials\":{\"username\":\"w7up\",\"password\":\"ksqwm66pilnb7skdwwfw3r\"},"  \
    "\"gateway_ice_credentials\":{\"username\":\"kwe6\",\"password\":\"mzkrj52x5h5ebrfdsh5iyq\"}," \
    "\"expires_at\":1785600000,\"subject\":{\"actor_id\":\"a\",\"actor_name\":\"CI\","             \
    "\"actor_email\":null,\"actor_type\":\"service_account\",\"auth_provider_id\":null,"           \
    "\"ip\":\"198.51.100.20\",\"ip_region\":\"DE\",\"ip_city\":null,\"ip_lat\":null,"              \
    "\"ip_lon\":null,\"user_agent\":\"x/1\"},\"use_iceless\":true,"                                \
    "\"flow_logs_ingest_token\":\"eyJ\"}"
#define AUTHORIZATION AUTHORIZATION_OF(CIDR)
#define PAIR          "{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1 "\"}"
#define CANDIDATES    "{\"client_id\":\"" C1 "\",\"candidates\":[\"candidate:1\",null]}"

static void test_init(void **state)
{
    struct message_grant grant;
    struct message_relay relay;
    (void)state;
    assert_true(payload_read("init", INIT));
    assert_int_equal(m.kind, GATEWAY_INIT);
    expect_ip(&m.ipv4, "100.71.0.9");
    expect_ip(&m.ipv6, "fd00:2021:1111::b:9");
    assert_false(m.masquerade_v4);
    assert_true(m.masquerade_v6);
    assert_string_equal(m.account, "acme");
    assert_int_equal(json_array_size(m.relays), 1);
    assert_true(message_relay_at(&relay, m.relays, 0, &f));
    expect_uuid(&relay.id, L1);
    assert_int_equal(relay.expires_at, 2145916800);
    assert_int_equal(json_array_size(m.grants), 3);
    assert_true(message_grant_at(&grant, m.grants, 0, &f));
    expect_uuid(&grant.client, C1);
    expect_uuid(&grant.resource, R1);
    assert_true(grant.expires_at == 1785600000);
    assert_true(message_grant_at(&grant, m.grants, 1, &f));
    assert_true(grant.expires_at == MESSAGE_NEVER);
    assert_false(message_grant_at(&grant, m.grants, 2, &f));
    assert_string_equal(f.why, "authorizations[2].resource_id: missing");
}

static void test_init_members(void **state)
{
    static const struct payload_member members[] = {
        {"interface", false, "[]", "not an object"},
        {"interface.ipv4", false, "\"fd00::1\"", "not an IPv4 address"},
        {"interface.ipv6", false, "\"100.71.0.9\"", "not an IPv6 address"},
        {"config", true, "[]", "not an object"},
        {"config.ipv4_masquerade_enabled", true, "1", "neither true nor false"},
        {"config.ipv6_masquerade_enabled", true, "\"true\"", "neither true nor false"},
        {"account_slug", true, "5", "not a text"},
        {"relays", true, "{}", "not a list"},
        {"authorizations", true, "\"\"", "not a list"},
    };
    (void)state;
    EXPECT_MEMBERS("init", INIT, members);
    assert_true(
        payload_read("init", "{\"interface\":{\"ipv4\":\"100.71.0.9\",\"ipv6\":\"fd00::1\"}}"));
    assert_true(m.masquerade_v4 && m.masquerade_v6);
    assert_null(m.account);
}

static void expect_cidr(const struct message_resource *r)
{
    assert_int_equal(r->kind, RESOURCE_CIDR);
    expect_uuid(&r->id, R1);
    assert_string_equal(r->name, "Lab");
    expect_ip(&r->prefix.ip, "10.20.0.0");
    assert_int_equal(r->prefix.len, 16);
    assert_int_equal(json_array_size(r->filters), 1);
    struct message_filter filter = message_filter_at(r->filters, 0);
    assert_int_equal(filter.protocol, PROTOCOL_TCP);
    assert_int_equal(filter.port_first, 443);
    assert_int_equal(filter.port_last, 444);
    assert_true(uuid_is_nil(&r->site));
}

static void test_authorization(void **state)
{
    (void)state;
    assert_true(payload_read("create_authorization", AUTHORIZATION));
    assert_int_equal(m.kind, GATEWAY_AUTHORIZATION);
    const struct gateway_message_authorization *a = &m.authorization;
    assert_string_equal(a->ref, "SFMyNTY.x");
    expect_cidr(&a->resource);
    expect_uuid(&a->client.id, C1);
    for (unsigned i = 0; i < KEY_LEN; i++)
        assert_int_equal(a->client.public_key[i], 0x20 + i);
    assert_int_equal(a->client.preshared_key[0], 0x9d);
    assert_int_equal(a->client.preshared_key[KEY_LEN - 1], 0xce);
    expect_ip(&a->client.ipv4, "100.70.12.4");
    expect_ip(&a->client.ipv6, "fd00:2021:1111::a:1f04");
    assert_string_equal(a->client.version, "1.5.12");
    assert_string_equal(a->client.os_name, "Ubuntu");
    assert_string_equal(a->client.os_version, "22.4.0");
    assert_string_equal(a->client.serial, "S1");
    assert_string_equal(a->client.uuid, "U1");
    assert_string_equal(a->client_ice.username, "w7up");
    assert_string_equal(a->client_ice.password, "ksqwm66pilnb7skdwwfw3r");
    assert_string_equal(a->gateway_ice.username, "kwe6");
    assert_string_equal(a->gateway_ice.password, "mzkrj52x5h5ebrfdsh5iyq");
    assert_true(a->expires_at == 1785600000);
    assert_string_equal(a->subject.actor_name, "CI");
    assert_null(a->subject.actor_email);
    assert_string_equal(a->subject.user_agent, "x/1");
    assert_true(a->iceless);
    assert_true(payload_has_secret());
    gateway_message_wipe(&m);
    assert_false(payload_has_secret());
}

static void test_authorization_members(void **state)
{
    static const struct payload_member members[] = {
        {"ref", false, "7", "not a text"},
        {"resource", false, "[]", "not an object"},
        {"resource.type", false, "\"static_device_pool\"", "not known"},
        {"resource.id", false, "\"3b0c\"", "not a UUID"},
        {"resource.name", false, "\"\"", "empty"},
        {"resource.address", false, "\"10.20.0.1/16\"", "bits are set behind the /length"},
        {"resource.filters", false, "{}", "not a list"},
        {"resource.filters[0].protocol", false, "\"gre\"", "not known"},
        {"resource.filters[0].port_range_start", true, "-1", "out of range"},
        {"resource.filters[0].port_range_end", true, "442", "lies before port_range_start"},
        {"client", false, "\"c1\"", "not an object"},
        {"client.id", false, "\"c1\"", "not a UUID"},
        {"client.public_key", false, "\"ICEi\"", "not a key in base64"},
        {"client.preshared_key", false, "\"nf/z\"", "not a key in base64"},
        {"client.ipv4", false, "\"fd00::1\"", "not an IPv4 address"},
        {"client.ipv6", false, "7", "not a text"},
        {"client.version", true, "[]", "not a text"},
        {"client.device_os_name", true, "5", "not a text"},
        {"client.device_os_version", true, "5", "not a text"},
        {"client.device_serial", true, "5", "not a text"},
        {"client.device_uuid", true, "5", "not a text"},
        {"client_ice_credentials", false, "[]", "not an object"},
        {"client_ice_credentials.username", false, "5", "not a text"},
        {"client_ice_credentials.password", false, "\"\"", "empty"},
        {"gateway_ice_credentials", false, "\"\"", "not an object"},
        {"gateway_ice_credentials.username", false, "{}", "not a text"},
        {"gateway_ice_credentials.password", false, "[]", "not a text"},
        {"expires_at", true, "1785600000.5", "not a whole number"},
        {"expires_at", true, "-1", "out of range"},
        {"subject", true, "[]", "not an object"},
        {"subject.actor_name", true, "5", "not a text"},
        {"use_iceless", true, "0", "neither true nor false"},
    };
    (void)state;
    EXPECT_MEMBERS("create_authorization", AUTHORIZATION, members);
}

/* What has no end, and what needs no name or filters. */
static void test_authorization_kinds(void **state)
{
    const struct message_resource *r = &m.authorization.resource;
    (void)state;
    assert_true(payload_read("create_authorization",
                             AUTHORIZATION_OF("{\"type\":\"internet\",\"id\":\"" R1 "\"}")));
    assert_int_equal(r->kind, RESOURCE_INTERNET);
    assert_string_equal(r->name, "Internet Resource");
    assert_null(r->filters);
    json_object_del(payload, "expires_at");
    assert_true(payload_message_read("create_authorization", payload));
    assert_true(m.authorization.expires_at == MESSAGE_NEVER);
    assert_true(payload_read("create_authorization", AUTHORIZATION_OF(DNS)));
    assert_int_equal(r->kind, RESOURCE_DNS);
    assert_string_equal(r->address, "*.git.corp.example");
    assert_int_equal(r->prefix.ip.family, ADDR_NONE);
    assert_non_null(r->filters);
}

/* It is signed by the portal, and as long as what was signed. */
static void test_long_ref(void **state)
{
    char ref[GATEWAY_REF_MAX + 2];
    (void)state;
    assert_true(payload_read("create_authorization", AUTHORIZATION));
    memset(ref, 'x', sizeof ref);
    ref[GATEWAY_REF_MAX] = '\0';
    json_object_set_new(payload, "ref", json_string(ref));
    assert_true(payload_message_read("create_authorization", payload));
    assert_string_equal(m.authorization.ref, ref);
    ref[GATEWAY_REF_MAX] = 'x';
    ref[GATEWAY_REF_MAX + 1] = '\0';
    json_object_set_new(payload, "ref", json_string(ref));
    assert_false(payload_message_read("create_authorization", payload));
    assert_string_equal(f.why, "ref: too long");
}

static void test_rejected(void **state)
{
    static const struct payload_member members[] = {
        {"client_id", false, "\"c1\"", "not a UUID"},
        {"resource_id", false, "5", "not a text"},
    };
    (void)state;
    assert_true(payload_read("reject_access", PAIR));
    assert_int_equal(m.kind, GATEWAY_ACCESS_REJECTED);
    expect_uuid(&m.client, C1);
    expect_uuid(&m.resource_id, R1);
    EXPECT_MEMBERS("reject_access", PAIR, members);
}

static void test_resource_updated(void **state)
{
    static const struct payload_member cidr[] = {
        {"type", false, "\"wormhole\"", "not known"},
        {"id", false, "5", "not a text"},
        {"name", false, "5", "not a text"},
        {"address", false, "\"10.20.0.0\"", "not an address with a /length"},
        {"filters", false, "5", "not a list"},
    };
    static const struct payload_member dns[] = {
        {"type", false, "5", "not a text"},     {"id", false, "\"\"", "empty"},
        {"name", false, "{}", "not a text"},    {"address", false, "[]", "not a text"},
        {"filters", false, "{}", "not a list"},
    };
    static const struct payload_member internet[] = {
        {"type", false, "\"dynamic_device_pool\"", "not known"},
        {"id", false, "7", "not a text"},
    };
    (void)state;
    assert_true(payload_read("resource_updated", CIDR));
    assert_int_equal(m.kind, GATEWAY_RESOURCE_UPDATED);
    expect_cidr(&m.resource);
    EXPECT_MEMBERS("resource_updated", CIDR, cidr);
    EXPECT_MEMBERS("resource_updated", DNS, dns);
    EXPECT_MEMBERS("resource_updated", "{\"type\":\"internet\",\"id\":\"" R1 "\",\"name\":5}",
                   internet);
}

static void test_candidates(void **state)
{
    static const struct payload_member members[] = {
        {"client_id", false, "\"x\"", "not a UUID"},
        {"candidates", false, "{}", "not a list"},
    };
    static const struct {
        const char *name;
        enum gateway_message_kind kind;
    } names[] = {{"ice_candidates", GATEWAY_CANDIDATES_ADDED},
                 {"invalidate_ice_candidates", GATEWAY_CANDIDATES_REMOVED}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(payload_read(names[i].name, CANDIDATES));
        assert_int_equal(m.kind, names[i].kind);
        expect_uuid(&m.client, C1);
        assert_int_equal(json_array_size(m.candidates), 2);
        assert_string_equal(message_text_at(m.candidates, 0), "candidate:1");
        assert_null(message_text_at(m.candidates, 1));
        EXPECT_MEMBERS(names[i].name, CANDIDATES, members);
    }
}

static void test_relays_presence(void **state)
{
    static const char text[] = "{\"disconnected_ids\":[\"" L1 "\"],\"connected\":[" RELAY "]}";
    static const struct payload_member members[] = {
        {"disconnected_ids", false, "{}", "not a list"},
        {"connected", false, "5", "not a list"},
    };
    struct uuid id;
    struct message_relay relay;
    (void)state;
    assert_true(payload_read("relays_presence", text));
    assert_int_equal(m.kind, GATEWAY_RELAYS_PRESENCE);
    assert_true(message_uuid_at(&id, m.gone, 0, &f));
    expect_uuid(&id, L1);
    assert_true(message_relay_at(&relay, m.relays, 0, &f));
    assert_string_equal(relay.password, "Cq2D");
    EXPECT_MEMBERS("relays_presence", text, members);
}

static void test_expiry_changed(void **state)
{
    static const struct payload_member members[] = {
        {"client_id", false, "\"c1\"", "not a UUID"},
        {"resource_id", false, "5", "not a text"},
        {"expires_at", false, "-1", "out of range"},
    };
    static const char text[] =
        "{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1 "\",\"expires_at\":1785600000}";

    (void)state;
    assert_true(payload_read("access_authorization_expiry_updated", text));
    assert_int_equal(m.kind, GATEWAY_EXPIRY_CHANGED);
    expect_uuid(&m.client, C1);
    expect_uuid(&m.resource_id, R1);
    assert_int_equal(m.expires_at, 1785600000);
    EXPECT_MEMBERS("access_authorization_expiry_updated", text, members);
}

static void test_others(void **state)
{
    (void)state;
    assert_true(payload_read("authorize_flow", "{}")); /* of the older endpoint */
    assert_int_equal(m.kind, GATEWAY_UNKNOWN);
    assert_false(payload_read("init", "[]"));
    assert_string_equal(f.why, "interface: missing");
    assert_false(payload_read("create_authorization", "null"));
    assert_string_equal(f.why, "ref: missing");
    assert_false(payload_read("resource_updated", "\"" R1 "\""));
    assert_string_equal(f.why, "type: missing");
}

#define TEST(name) cmocka_unit_test_teardown(name, payload_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init),
        TEST(test_init_members),
        TEST(test_authorization),
        TEST(test_authorization_members),
        TEST(test_authorization_kinds),
        TEST(test_long_ref),
        TEST(test_rejected),
        TEST(test_expiry_changed),
        TEST(test_resource_updated),
        TEST(test_candidates),
        TEST(test_relays_presence),
        TEST(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
