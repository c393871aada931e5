/* SPDX-License-Identifier: Apache-2.0 */
/* Every message about direct access between clients: an example of each, and each of its members gone wrong. */
#include "control/portal/direct.h"

#include "tests/support/portal_payload.h"

#define AUTHORIZED "client_device_access_authorized"
#define BOTH(role)                                                                                 \
    "\"client_id\":\"" C1 "\",\"client_name\":\"cam-7\",\"client_public_key\":\"" PUBLIC_KEY       \
    "\",\"client_ipv4\":\"100.64.1.38\",\"client_ipv6\":\"fd00:2021:1111::125\","                  \
    "\"preshared_key\":\"" PRESHARED_KEY "\","                                                     \
    "\"local_ice_credentials\":{\"username\":\"w7up\",\"password\":\"ksqwm66pilnb7skdwwfw3r\"},"   \
    "\"remote_ice_credentials\":{\"username\":\"kwe6\",\"password\":\"mzkrj52x5h5ebrfdsh5iyq\"},"  \
    "\"ice_role\":\"" role "\",\"use_iceless\":true,\"flow_logs_ingest_token\":\"eyJ\""
#define INITIATOR "{" BOTH("controlling") "}"
#define TARGET                                                                                     \
    "{" BOTH("controlled") ",\"resource\":{\"type\":\"static_device_pool\",\"id\":\"" R1           \
                           "\",\"name\":\"Cameras\",\"devices\":[],"                               \
                           "\"filters\":[{\"protocol\":\"tcp\",\"port_range_start\":554}]},"       \
                           "\"expires_at\":1785600000,"                                            \
                           "\"subject\":{\"actor_id\":\"a\",\"actor_name\":\"CI\","                \
                           "\"actor_email\":null,\"actor_type\":\"service_account\","              \
                           "\"auth_provider_id\":null,\"ip\":\"198.51.100.20\","                   \
                           "\"ip_region\":\"DE\",\"ip_city\":null,\"ip_lat\":null,"                \
                           "\"ip_lon\":8.6,\"user_agent\":\"x/1\"}}"

static void expect_both(void)
{
    const struct message_direct *d = &m.direct;
    assert_int_equal(m.kind, MESSAGE_DIRECT_AUTHORIZED);
    expect_uuid(&d->client, C1);
    assert_string_equal(d->client_name, "cam-7");
    for (unsigned i = 0; i < KEY_LEN; i++)
        assert_int_equal(d->client_key[i], 0x20 + i);
    assert_int_equal(d->preshared_key[0], 0x9d);
    expect_ip(&d->client_ipv4, "100.64.1.38");
    expect_ip(&d->client_ipv6, "fd00:2021:1111::125");
    assert_string_equal(d->local_ice.username, "w7up");
    assert_string_equal(d->local_ice.password, "ksqwm66pilnb7skdwwfw3r");
    assert_string_equal(d->remote_ice.username, "kwe6");
    assert_string_equal(d->remote_ice.password, "mzkrj52x5h5ebrfdsh5iyq");
    assert_true(d->iceless);
}

static void test_initiator(void **state)
{
    static const struct payload_member members[] = {
        {"client_id", false, "\"c0a8\"", "not a UUID"},
        {"client_name", true, "[]", "not a text"},
        {"client_public_key", false, "\"ICEi\"", "not a key in base64"},
        {"client_ipv4", false, "\"fd00::1\"", "not an IPv4 address"},
        {"client_ipv6", false, "7", "not a text"},
        {"preshared_key", false, "\"nf/z\"", "not a key in base64"},
        {"local_ice_credentials", false, "[]", "not an object"},
        {"local_ice_credentials.username", false, "5", "not a text"},
        {"local_ice_credentials.password", false, "\"\"", "empty"},
        {"remote_ice_credentials", false, "\"\"", "not an object"},
        {"remote_ice_credentials.username", false, "{}", "not a text"},
        {"remote_ice_credentials.password", false, "[]", "not a text"},
        {"ice_role", false, "\"neither\"", "not known"},
        {"use_iceless", true, "\"true\"", "neither true nor false"},
    };
    static const uint8_t zero[KEY_LEN];
    (void)state;
    assert_true(payload_read(AUTHORIZED, INITIATOR));
    expect_both();
    assert_true(m.direct.controlling);
    assert_false(m.direct.inbound);
    message_wipe(&m);
    assert_memory_equal(m.direct.preshared_key, zero, KEY_LEN);
    EXPECT_MEMBERS(AUTHORIZED, INITIATOR, members);
}

static void test_target(void **state)
{
    static const struct payload_member members[] = {
        {"client_id", false, "1", "not a text"},
        {"client_name", true, "1", "not a text"},
        {"client_public_key", false, "1", "not a text"},
        {"client_ipv4", false, "1", "not a text"},
        {"client_ipv6", false, "\"::/0\"", "not an IPv6 address"},
        {"preshared_key", false, "1", "not a text"},
        {"local_ice_credentials", false, "1", "not an object"},
        {"remote_ice_credentials", false, "1", "not an object"},
        {"ice_role", false, "1", "not a text"},
        {"use_iceless", true, "1", "neither true nor false"},
        {"resource", true, "[]", "not an object"},
        {"resource.id", false, "5", "not a text"},
        {"resource.filters", false, "{}", "not a list"},
        {"resource.filters[0].protocol", false, "\"gre\"", "not known"},
        {"resource.filters[0].port_range_start", true, "-1", "out of range"},
        {"expires_at", true, "1785600000.5", "not a whole number"},
        {"expires_at", true, "-1", "out of range"},
        {"subject", true, "[]", "not an object"},
        {"subject.actor_id", true, "5", "not a text"},
        {"subject.actor_name", true, "5", "not a text"},
        {"subject.actor_email", true, "5", "not a text"},
        {"subject.actor_type", true, "5", "not a text"},
        {"subject.auth_provider_id", true, "5", "not a text"},
        {"subject.ip", true, "5", "not a text"},
        {"subject.ip_region", true, "5", "not a text"},
        {"subject.ip_city", true, "5", "not a text"},
        {"subject.user_agent", true, "5", "not a text"},
    };
    const struct message_direct *d = &m.direct;
    (void)state;
    assert_true(payload_read(AUTHORIZED, TARGET));
    expect_both();
    assert_false(d->controlling);
    assert_true(d->inbound);
    expect_uuid(&d->resource, R1);
    assert_int_equal(json_array_size(d->filters), 1);
    assert_int_equal(message_filter_at(d->filters, 0).port_first, 554);
    assert_int_equal(d->expires_at, 1785600000);
    assert_string_equal(d->subject.actor_id, "a");
    assert_string_equal(d->subject.actor_name, "CI");
    assert_null(d->subject.actor_email);
    assert_string_equal(d->subject.actor_type, "service_account");
    assert_null(d->subject.auth_provider_id);
    assert_string_equal(d->subject.ip, "198.51.100.20");
    assert_string_equal(d->subject.ip_region, "DE");
    assert_null(d->subject.ip_city);
    assert_string_equal(d->subject.user_agent, "x/1");
    EXPECT_MEMBERS(AUTHORIZED, TARGET, members);

    assert_true(payload_read(AUTHORIZED, "{" BOTH("controlled") ",\"resource\":{\"id\":\"" R1
                                                                "\",\"filters\":[]}}"));
    assert_true(d->inbound);
    assert_true(d->expires_at == MESSAGE_NEVER);
    assert_null(d->subject.actor_name);
}

#define DENIED                                                                                     \
    "{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1                                              \
    "\",\"ipv4\":\"100.64.1.38\",\"ipv6\":\"fd00:2021:1111::125/128\",\"reason\":\"offline\"}"

static void test_denied(void **state)
{
    static const struct payload_member members[] = {
        {"client_id", true, "\"x\"", "not a UUID"},
        {"resource_id", true, "[]", "not a text"},
        {"ipv4", true, "\"100.64.0.0/11\"", "not an IPv4 address"},
        {"ipv6", true, "\"100.64.1.38\"", "not an IPv6 address"},
        {"reason", false, "5", "not a text"},
    };
    (void)state;
    assert_true(payload_read("client_device_access_denied", DENIED));
    assert_int_equal(m.kind, MESSAGE_DIRECT_DENIED);
    expect_uuid(&m.client, C1);
    expect_uuid(&m.resource_id, R1);
    expect_ip(&m.ipv4, "100.64.1.38");
    expect_ip(&m.ipv6, "fd00:2021:1111::125");
    assert_int_equal(m.reason, FAIL_OFFLINE);
    EXPECT_MEMBERS("client_device_access_denied", DENIED, members);

    assert_true(payload_read("client_device_access_denied",
                             "{\"ipv6\":null,\"reason\":\"ambiguous_address\"}"));
    assert_true(uuid_is_nil(&m.client));
    assert_true(uuid_is_nil(&m.resource_id));
    assert_int_equal(m.ipv4.family, ADDR_NONE);
    assert_int_equal(m.ipv6.family, ADDR_NONE);
    assert_int_equal(m.reason, FAIL_AMBIGUOUS_ADDRESS);
}

#define REVOKED "{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1 "\"}"
#define FILTERS "{\"id\":\"" R1 "\",\"filters\":[{\"protocol\":\"udp\"},{\"protocol\":\"icmp\"}]}"

static void test_inbound(void **state)
{
    static const struct payload_member revoked[] = {
        {"client_id", false, "[]", "not a text"},
        {"resource_id", false, "\"\"", "empty"},
    };
    static const struct payload_member filters[] = {
        {"id", false, "5", "not a text"},
        {"filters", false, "null", "not a list"}, /* would allow everything */
        {"filters[1].protocol", false, "[]", "not a text"},
    };
    (void)state;
    assert_true(payload_read("reject_access", REVOKED));
    assert_int_equal(m.kind, MESSAGE_DIRECT_REVOKED);
    expect_uuid(&m.client, C1);
    expect_uuid(&m.resource_id, R1);
    EXPECT_MEMBERS("reject_access", REVOKED, revoked);

    assert_true(payload_read("resource_filters_updated", FILTERS));
    assert_int_equal(m.kind, MESSAGE_DIRECT_FILTERS_UPDATED);
    expect_uuid(&m.resource_id, R1);
    assert_int_equal(json_array_size(m.filters), 2);
    assert_int_equal(message_filter_at(m.filters, 1).protocol, PROTOCOL_ICMP);
    EXPECT_MEMBERS("resource_filters_updated", FILTERS, filters);
}

#define CANDIDATES                                                                                 \
    "{\"client_id\":\"" C1 "\",\"candidates\":[\"candidate:1\",null,\"candidate:2\"]}"
#define UNDELIVERED "{\"client_id\":\"" C1 "\",\"reason\":\"offline\"}"

static void test_candidates(void **state)
{
    static const struct {
        const char *name;
        enum message_kind kind;
    } names[] = {{"client_ice_candidates", MESSAGE_CLIENT_CANDIDATES_ADDED},
                 {"invalidate_client_ice_candidates", MESSAGE_CLIENT_CANDIDATES_REMOVED}};
    static const struct payload_member members[] = {
        {"client_id", false, "7", "not a text"},
        {"candidates", false, "\"candidate:1\"", "not a list"},
    };
    static const struct payload_member undelivered[] = {
        {"client_id", false, "{}", "not a text"},
        {"reason", false, "[]", "not a text"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(payload_read(names[i].name, CANDIDATES));
        assert_int_equal(m.kind, names[i].kind);
        expect_uuid(&m.client, C1);
        assert_int_equal(json_array_size(m.candidates), 3);
        assert_string_equal(message_text_at(m.candidates, 0), "candidate:1");
        assert_null(message_text_at(m.candidates, 1));
        assert_string_equal(message_text_at(m.candidates, 2), "candidate:2");
        EXPECT_MEMBERS(names[i].name, CANDIDATES, members);
    }
    assert_true(payload_read("client_ice_candidate_error", UNDELIVERED));
    assert_int_equal(m.kind, MESSAGE_CLIENT_CANDIDATES_UNDELIVERED);
    expect_uuid(&m.client, C1);
    assert_int_equal(m.reason, FAIL_OFFLINE);
    EXPECT_MEMBERS("client_ice_candidate_error", UNDELIVERED, undelivered);
}

#define DOMAIN "{\"resource_id\":\"" R1 "\",\"domain\":\"dev-42.laptops.example.com\","
#define RESOLVED(length4, length6)                                                                 \
    DOMAIN "\"ipv4\":\"100.64.0.42" length4 "\",\"ipv6\":\"fd00:2021:1111::42" length6 "\"}"
#define UNRESOLVED DOMAIN "\"reason\":\"not_found\"}"

static void test_domains(void **state)
{
    static const char *const forms[] = {RESOLVED("", ""), RESOLVED("/32", "/128")};
    static const struct payload_member resolved[] = {
        {"resource_id", false, "5", "not a text"},
        {"domain", false, "[]", "not a text"},
        {"ipv4", false, "\"100.64.0.42/31\"", "not an IPv4 address"},
        {"ipv4", false, "\"100.64.0.42/\"", "not an IPv4 address"},
        {"ipv6", false, "\"fd00:2021:1111::42/32\"", "not an IPv6 address"},
    };
    static const struct payload_member unresolved[] = {
        {"resource_id", false, "\"x\"", "not a UUID"},
        {"domain", false, "\"\"", "empty"},
        {"reason", false, "{}", "not a text"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        assert_true(payload_read("device_pool_domain_resolved", forms[i]));
        assert_int_equal(m.kind, MESSAGE_DOMAIN_RESOLVED);
        expect_uuid(&m.resource_id, R1);
        assert_string_equal(m.domain, "dev-42.laptops.example.com");
        expect_ip(&m.ipv4, "100.64.0.42");
        expect_ip(&m.ipv6, "fd00:2021:1111::42");
        EXPECT_MEMBERS("device_pool_domain_resolved", forms[i], resolved);
    }
    assert_true(payload_read("device_pool_domain_resolution_failed", UNRESOLVED));
    assert_int_equal(m.kind, MESSAGE_DOMAIN_FAILED);
    expect_uuid(&m.resource_id, R1);
    assert_string_equal(m.domain, "dev-42.laptops.example.com");
    assert_int_equal(m.reason, FAIL_NOT_FOUND);
    EXPECT_MEMBERS("device_pool_domain_resolution_failed", UNRESOLVED, unresolved);
}

/* Those of `init`: one that is wrong costs itself. */
static void test_grants(void **state)
{
    static const char *const why[] = {"",
                                      "",
                                      "authorizations[2]: not an object",
                                      "authorizations[3].client_id: missing",
                                      "authorizations[4].resource_id: not a UUID",
                                      "authorizations[5].expires_at: not a whole number"};
    struct message_grant grant;
    (void)state;
    assert_true(payload_read(
        "init", "{\"interface\":{\"ipv4\":\"100.70.12.4\",\"ipv6\":\"fd00::1\"},\"authorizations\":"
                "[{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1 "\",\"expires_at\":1785600000},"
                "{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1 "\",\"expires_at\":null},[],"
                "{\"resource_id\":\"" R1 "\"},{\"client_id\":\"" C1 "\",\"resource_id\":\"x\"},"
                "{\"client_id\":\"" C1 "\",\"resource_id\":\"" R1 "\",\"expires_at\":\"1\"}]}"));
    assert_int_equal(json_array_size(m.grants), ARRAY_LEN(why));
    for (size_t i = 0; i < ARRAY_LEN(why); i++) {
        f = (struct fields){.failed = false};
        assert_int_equal(message_grant_at(&grant, m.grants, i, &f), i < 2);
        assert_string_equal(f.why, why[i]);
        assert_string_equal(f.path, "");
        if (i > 1)
            continue;
        expect_uuid(&grant.client, C1);
        expect_uuid(&grant.resource, R1);
        assert_true(grant.expires_at == (i == 0 ? 1785600000 : MESSAGE_NEVER));
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, payload_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_initiator),  TEST(test_target),  TEST(test_denied), TEST(test_inbound),
        TEST(test_candidates), TEST(test_domains), TEST(test_grants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
