/* SPDX-License-Identifier: Apache-2.0 */
/* A resource of every kind, and each of its members gone wrong. */
#include "control/portal/resource.h"

#include "tests/support/portal_payload.h"

#define UPSERTED "resource_created_or_updated"
#define SITES    "\"sites\":[{\"id\":\"" S1 "\",\"name\":\"Frankfurt\"}]"
#define DNS                                                                                        \
    "{\"type\":\"dns\",\"id\":\"" R1 "\",\"name\":\"Git\",\"address\":\"*.git.corp.example\","     \
    "\"address_description\":\"the repositories\",\"ip_stack\":\"ipv6_only\","                     \
    "\"filters\":[{\"protocol\":\"tcp\",\"port_range_start\":443,\"port_range_end\":444}]," SITES  \
    ",\"new\":1}"
#define CIDR                                                                                       \
    "{\"type\":\"cidr\",\"id\":\"" R1 "\",\"name\":\"Lab\",\"address\":\"10.20.0.0/16\","          \
    "\"address_description\":null,\"filters\":[{\"protocol\":\"udp\"},{\"protocol\":\"icmp\"},"    \
    "{\"protocol\":\"tcp\",\"port_range_start\":null,\"port_range_end\":80}]," SITES "}"
#define INTERNET "{\"type\":\"internet\",\"id\":\"" R1 "\",\"can_be_disabled\":true," SITES "}"
#define STATIC_POOL                                                                                \
    "{\"type\":\"static_device_pool\",\"id\":\"" R1 "\",\"name\":\"Cameras\",\"filters\":[],"      \
    "\"devices\":[{\"client_id\":\"" C1 "\",\"ipv4\":\"100.64.1.38/32\","                          \
    "\"ipv6\":\"fd00:2021:1111::125/128\"},{\"id\":\"" G1 "\",\"ipv4\":\"100.64.1.39\","           \
    "\"ipv6\":\"fd00:2021:1111::126\",\"new\":1}]}"
#define DYNAMIC_POOL                                                                               \
    "{\"type\":\"dynamic_device_pool\",\"id\":\"" R1 "\",\"name\":\"Laptops\","                    \
    "\"address\":\"*.laptops.example.com\",\"filters\":[{\"protocol\":\"icmp\"}]}"

static const struct message_resource *resource(const char *text)
{
    assert_true(payload_read(UPSERTED, text));
    assert_int_equal(m.kind, MESSAGE_RESOURCE_UPSERTED);
    expect_uuid(&m.resource.id, R1);
    return &m.resource;
}

static void expect_filter(const json_t *filters, size_t i, enum message_protocol protocol,
                          unsigned first, unsigned last)
{
    struct message_filter filter = message_filter_at(filters, i);
    assert_int_equal(filter.protocol, protocol);
    assert_int_equal(filter.port_first, first);
    assert_int_equal(filter.port_last, last);
}

static void test_dns(void **state)
{
    static const struct payload_member members[] = {
        {"type", false, "7", "not a text"},
        {"id", false, "\"x\"", "not a UUID"},
        {"name", false, "[]", "not a text"},
        {"address", false, "\"\"", "empty"},
        {"address_description", true, "1", "not a text"},
        {"ip_stack", true, "\"ipv5_only\"", "not known"},
        {"filters", true, "{}", "not a list"},
        {"filters[0].protocol", false, "\"sctp\"", "not known"},
        {"filters[0].port_range_start", true, "70000", "out of range"},
        {"filters[0].port_range_end", true, "\"444\"", "not a whole number"},
        {"filters[0].port_range_end", true, "442", "lies before port_range_start"},
        {"sites", false, "{}", "not a list"},
        {"sites[0].id", false, "[]", "not a text"},
        {"sites[0].name", false, "false", "not a text"},
    };
    const struct message_resource *r = resource(DNS);
    (void)state;
    assert_int_equal(r->kind, RESOURCE_DNS);
    assert_string_equal(r->name, "Git");
    assert_string_equal(r->address, "*.git.corp.example");
    assert_string_equal(r->description, "the repositories");
    assert_int_equal(r->ip_stack, IP_STACK_V6);
    assert_int_equal(json_array_size(r->filters), 1);
    expect_filter(r->filters, 0, PROTOCOL_TCP, 443, 444);
    expect_uuid(&r->site, S1);
    assert_string_equal(r->site_name, "Frankfurt");
    EXPECT_MEMBERS(UPSERTED, DNS, members);
}

static void test_cidr(void **state)
{
    static const struct payload_member members[] = {
        {"type", false, "null", "not a text"},
        {"id", false, "5", "not a text"},
        {"name", false, "\"\"", "empty"},
        {"address", false, "\"10.0.0.1\"", "not an address with a /length"},
        {"address", false, "\"10.0.0.0/33\"", "not an address with a /length"},
        {"address", false, "\"10.20.0.1/16\"", "bits are set behind the /length"},
        {"address_description", true, "[]", "not a text"},
        {"filters", true, "\"\"", "not a list"},
        {"sites", false, "0", "not a list"},
        {"sites[0].id", false, "\"\"", "empty"},
    };
    const struct message_resource *r = resource(CIDR);
    (void)state;
    assert_int_equal(r->kind, RESOURCE_CIDR);
    expect_ip(&r->prefix.ip, "10.20.0.0");
    assert_int_equal(r->prefix.len, 16);
    assert_null(r->description);
    assert_int_equal(json_array_size(r->filters), 3);
    expect_filter(r->filters, 0, PROTOCOL_UDP, 0, 65535);
    assert_int_equal(message_filter_at(r->filters, 1).protocol, PROTOCOL_ICMP);
    expect_filter(r->filters, 2, PROTOCOL_TCP, 0, 80);
    EXPECT_MEMBERS(UPSERTED, CIDR, members);
}

static void test_internet(void **state)
{
    static const struct payload_member members[] = {
        {"type", false, "{}", "not a text"},
        {"id", false, "[]", "not a text"},
        {"can_be_disabled", true, "1", "neither true nor false"},
        {"sites", false, "null", "not a list"},
    };
    const struct message_resource *r = resource(INTERNET);
    (void)state;
    assert_int_equal(r->kind, RESOURCE_INTERNET);
    assert_string_equal(r->name, "Internet Resource");
    assert_true(r->can_be_disabled);
    EXPECT_MEMBERS(UPSERTED, INTERNET, members);
}

static void test_static_pool(void **state)
{
    static const struct payload_member members[] = {
        {"type", false, "[]", "not a text"},
        {"id", false, "\"c0a8\"", "not a UUID"},
        {"name", false, "5", "not a text"},
        {"filters", true, "5", "not a list"},
        {"devices", true, "{}", "not a list"},
        {"devices[0].client_id", false, "\"x\"", "not a UUID"},
        {"devices[0].ipv4", false, "\"100.64.1.0/24\"", "not an IPv4 address"},
        {"devices[0].ipv4", false, "\"fd00::1/128\"", "not an IPv4 address"},
        {"devices[0].ipv6", false, "\"fd00::/32\"", "not an IPv6 address"},
        {"devices[1].ipv6", false, "5", "not a text"},
    };
    const struct message_resource *r = resource(STATIC_POOL);
    (void)state;
    assert_int_equal(r->kind, RESOURCE_STATIC_POOL);
    assert_string_equal(r->name, "Cameras");
    assert_int_equal(json_array_size(r->devices), 2);
    struct message_device device = message_device_at(r->devices, 0);
    expect_uuid(&device.client, C1);
    expect_ip(&device.ipv4, "100.64.1.38");
    expect_ip(&device.ipv6, "fd00:2021:1111::125");
    device = message_device_at(r->devices, 1);
    expect_uuid(&device.client, G1);
    expect_ip(&device.ipv4, "100.64.1.39");
    expect_ip(&device.ipv6, "fd00:2021:1111::126");
    assert_true(uuid_is_nil(&r->site));
    assert_null(r->site_name);
    EXPECT_MEMBERS(UPSERTED, STATIC_POOL, members);
}

static void test_dynamic_pool(void **state)
{
    static const struct payload_member members[] = {
        {"type", false, "[]", "not a text"},   {"id", false, "{}", "not a text"},
        {"name", false, "null", "not a text"}, {"address", false, "[]", "not a text"},
        {"filters", true, "5", "not a list"},  {"filters[0].protocol", false, "\"\"", "empty"},
    };
    const struct message_resource *r = resource(DYNAMIC_POOL);
    (void)state;
    assert_int_equal(r->kind, RESOURCE_DYNAMIC_POOL);
    assert_string_equal(r->name, "Laptops");
    assert_string_equal(r->address, "*.laptops.example.com");
    assert_int_equal(message_filter_at(r->filters, 0).protocol, PROTOCOL_ICMP);
    EXPECT_MEMBERS(UPSERTED, DYNAMIC_POOL, members);
}

/* What older portals write, and what may be left out. */
static void test_spellings(void **state)
{
    static const struct {
        const char *text;
        enum message_ip_stack stack;
    } stacks[] = {{"", IP_STACK_DUAL},
                  {",\"ip_stack\":\"dual\"", IP_STACK_DUAL},
                  {",\"ip_stack\":\"ipv4_only\"", IP_STACK_V4},
                  {",\"ip_stack\":\"ipv6_only\"", IP_STACK_V6}};
    char text[400];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
        snprintf(text, sizeof text,
                 "{\"type\":\"dns\",\"id\":\"" R1 "\",\"name\":\"a\",\"address\":\"b\","
                 "\"address_description\":\"\",\"gateway_groups\":[{\"id\":\"" S1
                 "\",\"name\":\"c\"}]%s}",
                 stacks[i].text);
        const struct message_resource *r = resource(text);
        assert_int_equal(r->ip_stack, stacks[i].stack);
        assert_null(r->description);
        assert_null(r->filters);
        assert_string_equal(r->site_name, "c");
    }
    assert_null(
        resource("{\"type\":\"static_device_pool\",\"id\":\"" R1 "\",\"name\":\"a\"}")->devices);
}

static void test_refused(void **state)
{
    static const struct {
        const char *payload, *why;
    } cases[] = {
        {"5", "type: missing"},
        {"[]", "type: missing"},
        {("{\"type\":\"internet\",\"id\":\"" R1 "\",\"sites\":[]}"), "sites[0]: not an object"},
        {("{\"type\":\"internet\",\"id\":\"" R1 "\",\"gateway_groups\":[5]}"),
         "gateway_groups[0]: not an object"},
        {("{\"type\":\"dns\",\"id\":\"" R1 "\",\"name\":\"a\",\"filters\":[[]]}"),
         "filters[0]: not an object"},
        {("{\"type\":\"static_device_pool\",\"id\":\"" R1 "\",\"name\":\"a\",\"devices\":[5]}"),
         "devices[0]: not an object"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_false(payload_read(UPSERTED, cases[i].payload));
        assert_string_equal(f.why, cases[i].why);
    }
    assert_true(payload_read(UPSERTED, "{\"type\":\"wormhole\"}"));
    assert_int_equal(m.kind, MESSAGE_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_teardown(name, payload_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dns),          TEST(test_cidr),      TEST(test_internet), TEST(test_static_pool),
        TEST(test_dynamic_pool), TEST(test_spellings), TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
