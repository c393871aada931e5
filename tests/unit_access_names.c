/* SPDX-License-Identifier: Apache-2.0 */
/* Names of resources: what the tunnel and the gateway are told of them, in which order. */
#include "tests/access_rig.h"

#include "control/inner_message.h"

static struct resource dns(unsigned n, const char *pattern)
{
    return (struct resource){.kind = RESOURCE_DNS,
                             .id = id_of(n),
                             .name = "Wiki",
                             .address = pattern,
                             .site = {{0x51, 2, 3, 4, 5}}};
}

static void add_dns(unsigned n, const char *pattern)
{
    struct resource r = dns(n, pattern);
    change(RESOURCE_ADDED, &r);
}

/* resources: numbers, 0 behind the last one; stacks: of each. */
static void named(uint32_t number, const char *text, const unsigned *resources,
                  const uint8_t *stacks)
{
    struct uuid ids[4];
    unsigned n = 0;

    for (; resources[n] != 0; n++)
        ids[n] = id_of(resources[n]);
    access_name(a, number, text, ids, stacks, n);
}

static void assert_names(const char *wanted)
{
    assert_string_equal(fake.names, wanted);
    fake.names[0] = '\0';
}

static void assert_said(const char *wanted)
{
    assert_string_equal(fake.said, wanted);
    fake.said[0] = '\0';
}

static void status_comes(unsigned resource, const char *domain, bool active)
{
    struct inner_domain_status m = {.resource = id_of(resource), .active = active};
    uint8_t packet[INNER_PACKET_MAX];

    snprintf(m.domain, sizeof m.domain, "%s", domain);
    size_t len = inner_write_domain_status(packet, &m);
    assert_int_not_equal(len, 0);
    access_inner(a, &fake.gateway.id, packet, len);
}

static void want(unsigned n)
{
    struct uuid id = id_of(n);
    assert_null(access_want(a, &id));
}

#define WIKI                                                                                       \
    "{\"resource\":\"01006000-0000-0000-0000-000000000000\",\"domain\":\"wiki.lan\",\"proxy_ips\":["
#define V4 "\"100.96.0.1\",\"100.96.0.2\",\"100.96.0.3\",\"100.96.0.4\""
#define V6                                                                                         \
    "\"fd00:2021:1111:8000::\",\"fd00:2021:1111:8000::1\",\"fd00:2021:1111:8000::2\","             \
    "\"fd00:2021:1111:8000::3\""

static const unsigned only_1[] = {1, 0}, both[] = {2, 1, 0}, none[] = {0};
static const uint8_t dual[] = {IP_STACK_DUAL, IP_STACK_DUAL}, v4_only[] = {IP_STACK_V4};

/* From the question to the first packet: nothing is said before there is a grant and a connection. */
static void test_cold_start(void **state)
{
    (void)state;
    add_dns(1, "*.lan");
    named(0, "wiki.lan", only_1, dual);
    access_name_answered(a, 0);
    assert_names("0:146h, ");
    want(1);
    granted(1);
    assert_names("0:146hk, grant "); /* in this order: nothing gets through before */
    assert_said("");
    assert_int_equal(fake.grants_told, 1);
    fake.up = true;
    access_connected(a, &fake.gateway.id);
    assert_said(WIKI V4 "," V6 "]} ");
    access_connected(a, &fake.gateway.id);
    assert_said("");
    status_comes(1, "WIKI.lan.", true);
    assert_names("0:146, ");
    status_comes(1, "wiki.lan", false); /* nothing was asked */
    assert_names("");
}

static void test_asked_again_while_granted(void **state)
{
    (void)state;
    add_dns(1, "*.lan");
    want(1);
    granted(1);
    fake.up = true;
    assert_names("grant ");
    named(0, "wiki.lan", only_1, v4_only);
    access_name_answered(a, 0);
    assert_names("0:14h, 0:14hk, ");
    assert_said(WIKI V4 "]} ");
    status_comes(1, "wiki.lan", true);
    assert_names("0:14, ");
    access_name_answered(a, 0); /* lately */
    assert_said("");
    fake.now += SEC(2);
    access_name_answered(a, 0); /* the addresses behind it may be others */
    assert_said(WIKI V4 "]} ");
    assert_names(""); /* packets go on meanwhile */
    status_comes(1, "wiki.lan", false);
    assert_names("0:14, ");
    fake.now += SEC(2);
    access_name_answered(a, 0);
    assert_names("0:14hk, ");
}

static void test_repeated_by_time(void **state)
{
    (void)state;
    add_dns(1, "*.lan");
    named(0, "wiki.lan", only_1, v4_only);
    want(1);
    fake.up = true;
    granted(1);
    assert_said(WIKI V4 "]} ");
    assert_false(fire(SEC(2) - 1));
    assert_true(fire(SEC(2)));
    assert_said(WIKI V4 "]} ");
    assert_true(fire(SEC(4)));
    assert_said(WIKI V4 "]} ");
    status_comes(1, "wiki.lan", true);
    while (fire(SEC(100)))
        ;
    assert_said("");
}

static void test_connection_ends(void **state)
{
    (void)state;
    add_dns(1, "*.lan");
    named(0, "wiki.lan", only_1, v4_only);
    want(1);
    fake.up = true;
    granted(1);
    status_comes(1, "wiki.lan", true);
    fake.names[0] = fake.said[0] = '\0';
    connection_ends(false);
    assert_names("0:14h, ");
    assert_true(settle() <= 1);
    assert_said("");
    want(1);
    granted(1);
    assert_names("0:14hk, grant ");
    assert_said(WIKI V4 "]} ");
}

static void test_two_resources(void **state)
{
    struct resource r = dns(2, "wiki.*");

    (void)state;
    add_dns(1, "*.lan");
    change(RESOURCE_ADDED, &r);
    named(0, "wiki.lan", both, dual);
    assert_names("0:246h,146h, ");
    fake.up = true;
    want(1);
    granted(1);
    assert_names("0:246h,146hk, grant ");
    change(RESOURCE_REMOVED, &r);
    assert_names("0:146hk, ");
    status_comes(1, "wiki.lan", true);
    assert_names("0:146, ");
    named(0, "wiki.lan", none, dual);
    assert_names("0: ");
    access_name_answered(a, 0);
    access_name_answered(a, 99);
    assert_names("");
}

static void test_removed_with_its_gateway(void **state)
{
    struct resource r = dns(1, "*.lan");

    (void)state;
    change(RESOURCE_ADDED, &r);
    added(2, LAB);
    named(0, "wiki.lan", only_1, dual);
    fake.up = true;
    want(1);
    granted(1);
    wanted(LAB);
    granted(2);
    change(RESOURCE_REMOVED, &r);
    assert_int_equal(fake.closes, 0); /* the other one is still reached through it */
    r = cidr(2, LAB);
    change(RESOURCE_REMOVED, &r);
    assert_int_equal(fake.closes, 1);
}

static void test_prohibited(void **state)
{
    struct ip_addr proxy, lab, other;

    (void)state;
    assert_int_equal(ip_addr_parse(&proxy, "fd00:2021:1111:8000::6"), ERR_OK);
    assert_int_equal(ip_addr_parse(&lab, "10.0.0.7"), ERR_OK);
    assert_int_equal(ip_addr_parse(&other, "10.1.0.7"), ERR_OK);
    add_dns(1, "*.lan");
    added(2, LAB);
    added(3, "10.0.0.0/8");
    named(1, "wiki.lan", only_1, dual);
    access_prohibited(a, &proxy);
    assert_int_equal(fake.pushes, 1);
    assert_non_null(strstr(fake.payload, "01006000"));
    access_prohibited(a, &lab);
    assert_non_null(strstr(fake.payload, "02006000"));
    access_prohibited(a, &other);
    assert_non_null(strstr(fake.payload, "03006000"));
    assert_int_equal(fake.pushes, 3);
    access_prohibited(a, &lab);
    assert_int_equal(fake.pushes, 3);
}

/* Of those whose gateway is silent some are answered, in any order, and others come: each that is left is told again. */
static void test_some_answered(void **state)
{
    static const char *const left[] = {"w1", "w2", "w4", "w6"};
    char text[32];

    (void)state;
    add_dns(1, "*.lan");
    want(1);
    fake.up = true;
    granted(1);
    for (uint32_t i = 0; i < 7; i++) {
        snprintf(text, sizeof text, "w%u.lan", i);
        named(i, text, only_1, v4_only);
        access_name_answered(a, i);
        if (i == 3 || i == 5)
            status_comes(1, text, true); /* the last, and what comes now is behind the one before */
    }
    status_comes(1, "w0.lan", true);
    fake.said[0] = '\0';
    assert_false(fire(SEC(2) - 1));
    assert_true(fire(SEC(2)));
    for (size_t i = 0, at = 0; i < ARRAY_LEN(left); i++) {
        const char *found = strstr(fake.said + at, "\"domain\":\"w");
        assert_non_null(found);
        at = (size_t)(found - fake.said) + strlen("\"domain\":\"");
        assert_memory_equal(fake.said + at, left[i], 2);
        assert_true(i + 1 < ARRAY_LEN(left) || strstr(fake.said + at, "domain") == NULL);
    }
}

/* Due times within a tenth of a second come together, so that the timer does not look at all for each. */
static void test_told_together(void **state)
{
    (void)state;
    add_dns(1, "*.lan");
    want(1);
    fake.up = true;
    granted(1);
    for (uint32_t i = 0; i < 50; i++) {
        named(i, "wiki.lan", only_1, v4_only);
        fake.now += NS_PER_MS;
        access_name_answered(a, i);
    }
    unsigned fired = 0;
    while (fire(SEC(2) + NS_PER_SEC / 10))
        fired++;
    assert_in_range(fired, 1, 2);
}

/* Whichever of them the packet has gone by: that one is among those that are granted. */
static void test_prohibited_overlapping(void **state)
{
    struct ip_addr proxy, lab;

    (void)state;
    assert_int_equal(ip_addr_parse(&proxy, "fd00:2021:1111:8000::6"), ERR_OK);
    assert_int_equal(ip_addr_parse(&lab, "10.0.0.7"), ERR_OK);
    add_dns(1, "*.lan");
    add_dns(2, "wiki.lan");
    named(1, "wiki.lan", both, dual);
    added(3, LAB);
    added(4, LAB);
    added(5, "10.0.0.0/8");
    for (unsigned n = 1; n <= 5; n++) {
        want(n);
        if (n != 4)
            granted(n);
    }
    fake.now += SEC(2);
    fake.pushes = 0;
    access_prohibited(a, &proxy);
    assert_int_equal(fake.pushes, 2);
    access_prohibited(a, &lab);
    assert_int_equal(fake.pushes, 4); /* not the one that is not granted */
}

/* Names beyond those that were asked for last are told in pieces, and none is forgotten. */
static void test_very_many(void **state)
{
    enum {
        MANY = 1000
    };
    char text[32];

    (void)state;
    add_dns(1, "*.lan");
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "w%u.lan", i);
        named(i, text, only_1, v4_only);
    }
    fake.up = true;
    want(1);
    fake.names[0] = '\0';
    granted(1);
    assert_non_null(strstr(fake.names, "999:14hk, ")); /* the latest one first */
    settle();
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "w%u.lan", i);
        fake.names[0] = '\0';
        status_comes(1, text, true);
        snprintf(text, sizeof text, "%u:14, ", i);
        assert_string_equal(fake.names, text);
    }
}

/* A resource with other filters is another one of the tunnel's, which comes a moment after its names were assigned to it. */
static void test_changed(void **state)
{
    static const struct message_filter web = {PROTOCOL_TCP, 80, 80};
    struct resource r = dns(1, "*.lan");

    (void)state;
    add_dns(1, "*.lan");
    named(0, "wiki.lan", only_1, dual);
    assert_names("0:146h, ");
    r.filters = &web;
    r.filters_n = 1;
    access_resource(a, RESOURCE_CHANGED, &r);
    named(0, "wiki.lan", none, dual);
    named(0, "wiki.lan", only_1, dual);
    assert_names("0: 0: 0: ");
    settle();
    assert_names("0:146h, ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cold_start),       TEST(test_asked_again_while_granted),
        TEST(test_repeated_by_time), TEST(test_connection_ends),
        TEST(test_two_resources),    TEST(test_removed_with_its_gateway),
        TEST(test_prohibited),       TEST(test_prohibited_overlapping),
        TEST(test_very_many),        TEST(test_changed),
        TEST(test_some_answered),    TEST(test_told_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
