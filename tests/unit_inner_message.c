/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of names inside the tunnel: the bytes, what is accepted, and why something is not. */
#include "control/inner_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "platform/base/bytes.h"

#define ID "3b0c0000-0000-4000-8000-00000000000a"

static uint8_t packet[INNER_PACKET_MAX];

/* A packet with this body. */
static size_t packet_of(unsigned event, const char *body)
{
    size_t len = strlen(body);

    assert_true(INNER_LEN_MIN + len <= sizeof packet);
    inner_write_goodbye(packet);
    packet[INNER_OFF_EVENT] = (uint8_t)event;
    store_be16(packet + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(8 + len));
    memcpy(packet + INNER_LEN_MIN, body, len);
    return INNER_LEN_MIN + len;
}

static struct ip_addr ip(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static struct uuid id(void)
{
    struct uuid u;
    assert_true(uuid_parse(&u, ID));
    return u;
}

static void assert_packet(size_t len, unsigned event, const char *body)
{
    struct ip_view v;

    assert_int_equal(len, INNER_LEN_MIN + strlen(body));
    assert_true(ip_parse(&v, packet, len));
    assert_int_equal(v.total_len, len);
    assert_true(inner_is_control(&v, packet));
    assert_int_equal(packet[INNER_OFF_EVENT], event);
    assert_memory_equal(packet + INNER_LEN_MIN, body, strlen(body));
}

static void test_assigned_ips(void **state)
{
    struct inner_assigned_ips m = {.resource = id(), .domain = "db.example.com", .n = 3}, back;
    struct fields f;
    size_t len;

    (void)state;
    m.ips[0] = ip("100.96.0.1");
    m.ips[1] = ip("100.96.0.2");
    m.ips[2] = ip("fd00:2021:1111:8000::");
    memset(packet, 0xff, sizeof packet);
    len = inner_write_assigned_ips(packet, &m);
    assert_packet(len, INNER_ASSIGNED_IPS,
                  "{\"resource\":\"" ID "\",\"domain\":\"db.example.com\",\"proxy_ips\":["
                  "\"100.96.0.1\",\"100.96.0.2\",\"fd00:2021:1111:8000::\"]}");
    assert_true(inner_read_assigned_ips(&back, packet, len, &f));
    assert_true(uuid_equal(&back.resource, &m.resource));
    assert_string_equal(back.domain, m.domain);
    assert_int_equal(back.n, m.n);
    assert_memory_equal(back.ips, m.ips, sizeof m.ips);
}

static void test_domain_status(void **state)
{
    struct inner_domain_status m = {.resource = id(), .domain = "db.example.com.", .active = true};
    struct inner_domain_status back;
    struct fields f;
    size_t len = inner_write_domain_status(packet, &m);

    (void)state;
    assert_packet(len, INNER_DOMAIN_STATUS,
                  "{\"resource\":\"" ID "\",\"domain\":\"db.example.com.\",\"status\":\"Active\"}");
    assert_true(inner_read_domain_status(&back, packet, len, &f));
    assert_true(back.active && uuid_equal(&back.resource, &m.resource));
    assert_string_equal(back.domain, m.domain);
    m.active = false;
    len = inner_write_domain_status(packet, &m);
    assert_packet(len, INNER_DOMAIN_STATUS,
                  "{\"resource\":\"" ID
                  "\",\"domain\":\"db.example.com.\",\"status\":\"Inactive\"}");
    assert_true(inner_read_domain_status(&back, packet, len, &f));
    assert_false(back.active);
}

/* Escapes at their longest, and the addresses that upstream sends. */
static void test_what_fits(void **state)
{
    struct inner_assigned_ips m = {.resource = id(), .n = 8};
    struct inner_domain_status s = {.resource = id()};

    (void)state;
    memset(m.domain, '\\', INNER_DOMAIN_MAX);
    memcpy(s.domain, m.domain, sizeof s.domain);
    for (unsigned i = 0; i < INNER_IPS_MAX; i++)
        m.ips[i] = ip("fd00:2021:1111:8000:1111:2222:3333:4444");
    assert_int_not_equal(inner_write_assigned_ips(packet, &m), 0);
    assert_int_not_equal(inner_write_domain_status(packet, &s), 0);
    m.n = INNER_IPS_MAX;
    assert_int_equal(inner_write_assigned_ips(packet, &m), 0);
    memset(m.domain, 'a', INNER_DOMAIN_MAX);
    m.n = 16;
    assert_int_not_equal(inner_write_assigned_ips(packet, &m), 0);
}

#define R "\"resource\":\"" ID "\","
#define D "\"domain\":\"db.example.com\","

static const struct {
    bool status;
    const char *body, *why; /* NULL: it is accepted */
} bodies[] = {
    {false, "{" R D "\"proxy_ips\":[]}", NULL},
    {false, "{\"new\":[{}]," D R "\"proxy_ips\":[\"::1\"]}", NULL},
    {false, "", "payload: not an object in JSON"},
    {false, "[]", "payload: not an object in JSON"},
    {false, "{" R D "\"proxy_ips\":[]", "payload: not an object in JSON"},
    {false, "{" R D "\"proxy_ips\":[]} x", "payload: not an object in JSON"},
    {false, "{" R R D "\"proxy_ips\":[]}", "payload: not an object in JSON"},
    {false, "{" D "\"proxy_ips\":[]}", "resource: missing"},
    {false, "{\"resource\":7," D "\"proxy_ips\":[]}", "resource: not a text"},
    {false, "{\"resource\":\"" ID "0\"," D "\"proxy_ips\":[]}", "resource: not a UUID"},
    {false, "{" R "\"proxy_ips\":[]}", "domain: missing"},
    {false, "{" R "\"domain\":\"\",\"proxy_ips\":[]}", "domain: empty"},
    {false, "{" R "\"domain\":\".\",\"proxy_ips\":[]}", "domain: not a name"},
    {false, "{" R "\"domain\":\"a b\",\"proxy_ips\":[]}", "domain: not a name"},
    {false, "{" R "\"domain\":\"\xc3\xa4.de\",\"proxy_ips\":[]}", "domain: not a name"},
    {false, "{" R "\"domain\":\"a\\nb\",\"proxy_ips\":[]}", "domain: not a name"},
    {false, "{" R D "\"status\":\"Active\"}", "proxy_ips: missing"},
    {false, "{" R D "\"proxy_ips\":\"100.96.0.1\"}", "proxy_ips: not a list"},
    {false, "{" R D "\"proxy_ips\":[\"100.96.0.1/32\"]}", "proxy_ips: not IP addresses"},
    {false, "{" R D "\"proxy_ips\":[\"100.96.0.1\",1]}", "proxy_ips: not IP addresses"},
    {true, "{" R D "\"status\":\"Active\"}", NULL},
    {true, "{" R D "\"status\":\"\"}", NULL},
    {true, "{" R D "\"status\":\"active\"}", NULL},
    {true, "{" R D "\"status\":true}", "status: not a text"},
    {true, "{" R D "\"proxy_ips\":[]}", "status: missing"},
    {true, "{" R "\"status\":\"Active\"}", "domain: missing"},
};

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        size_t len = packet_of(bodies[i].status, bodies[i].body);
        uint8_t *exact = malloc(len); /* so that reading on is seen */
        struct inner_assigned_ips a;
        struct inner_domain_status s;
        struct fields f;
        assert_non_null(exact);
        memcpy(exact, packet, len);
        bool good = bodies[i].status ? inner_read_domain_status(&s, exact, len, &f)
                                     : inner_read_assigned_ips(&a, exact, len, &f);
        free(exact);
        if (good != !bodies[i].why || strcmp(f.why, good ? "" : bodies[i].why) != 0)
            fail_msg("body %zu: '%s'", i, f.why);
        if (good && bodies[i].status)
            assert_int_equal(s.active, strstr(bodies[i].body, "\"Active\"") != NULL);
    }
}

static void test_lengths(void **state)
{
    struct inner_assigned_ips m;
    struct fields f;
    size_t len = packet_of(INNER_ASSIGNED_IPS, "{" R D "\"proxy_ips\":[]}");
    char body[512];

    (void)state;
    assert_true(inner_read_assigned_ips(&m, packet, len, &f));
    for (size_t shorter = 0; shorter < len; shorter++)
        assert_false(inner_read_assigned_ips(&m, packet, shorter, &f));
    store_be16(packet + IPV6_OFF_PAYLOAD_LEN, 7);
    assert_false(inner_read_assigned_ips(&m, packet, len, &f));
    for (int dots = 0; dots < 2; dots++) {
        for (int over = 0; over < 2; over++) {
            snprintf(body, sizeof body, "{" R "\"domain\":\"%0*d%s\",\"proxy_ips\":[]}",
                     INNER_DOMAIN_MAX + over, 0, dots ? "." : "");
            assert_int_equal(
                inner_read_assigned_ips(&m, packet, packet_of(INNER_ASSIGNED_IPS, body), &f),
                !over);
        }
    }
}

static void test_too_many_addresses(void **state)
{
    char body[1024] = "{" R D "\"proxy_ips\":[\"1.1.1.1\"";
    struct inner_assigned_ips m;
    struct fields f;

    (void)state;
    for (unsigned i = 1; i < INNER_IPS_MAX; i++)
        strcat(body, ",\"1.1.1.1\"");
    size_t len = strlen(body);
    strcat(body, "]}");
    assert_true(inner_read_assigned_ips(&m, packet, packet_of(INNER_ASSIGNED_IPS, body), &f));
    assert_int_equal(m.n, INNER_IPS_MAX);
    strcpy(body + len, ",\"1.1.1.1\"]}");
    assert_false(inner_read_assigned_ips(&m, packet, packet_of(INNER_ASSIGNED_IPS, body), &f));
    assert_string_equal(f.why, "proxy_ips: too many");
}

static void test_names(void **state)
{
    (void)state;
    assert_true(inner_domain_equal("db.example.com", "DB.Example.com."));
    assert_true(inner_domain_equal("a.", "a"));
    assert_false(inner_domain_equal("db.example.com", "db.example.co"));
    assert_false(inner_domain_equal("a..", "a"));
    assert_false(inner_domain_equal("", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assigned_ips),
        cmocka_unit_test(test_domain_status),
        cmocka_unit_test(test_what_fits),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_too_many_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
