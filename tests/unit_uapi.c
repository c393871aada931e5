/* SPDX-License-Identifier: Apache-2.0 */
/* The userspace API's text: requests to updates, status to replies, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/uapi.h"
#include "platform/base/bytes.h"

#define HEX_1 "77076d0a7318a57d3c16c17251b26645df4c2f92ebc099c4b9f5c0b3d9c8b11a"
#define HEX_2 "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
#define HEX_0 "0000000000000000000000000000000000000000000000000000000000000000"

static void test_request_end(void **state)
{
    static const struct {
        const char *text;
        size_t end;
    } cases[] = {
        {"", 0},          {"\n", 0},           {"get=1", 0},     {"get=1\n", 0},
        {"get=1\n\n", 7}, {"get=1\n\nset", 7}, {"a\nb\nc\n", 0}, {"a\nb\n\nc\n\n", 5},
        {"\n\n", 2},      {"a\n\n\n\n", 3},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text), end = 0;
        assert_int_equal(uapi_request_end(cases[i].text, len, 0), cases[i].end);
        /* the same, byte by byte as a slow client sends it */
        for (size_t n = 1; n <= len && end == 0; n++)
            end = uapi_request_end(cases[i].text, n, n - 1);
        assert_int_equal(end, cases[i].end);
    }
}

static void test_request_op(void **state)
{
    static const struct {
        const char *text;
        enum uapi_op op;
    } cases[] = {
        {"get=1\n\n", UAPI_GET},        {"set=1\n\n", UAPI_SET},
        {"set=1\nfoo=1\n\n", UAPI_SET}, {"get=1\nx=1\n\n", UAPI_UNKNOWN},
        {"get=2\n\n", UAPI_UNKNOWN},    {"set=10\n\n", UAPI_UNKNOWN},
        {"\n\n", UAPI_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(uapi_request_op(cases[i].text, strlen(cases[i].text)), cases[i].op);
}

static const char *prefix_text(const struct device_allowed *a)
{
    static char buf[IP_PREFIX_TEXT_MAX];
    return ip_prefix_format(&a->prefix, buf, sizeof buf);
}

static void test_set(void **state)
{
    static const char text[] = "set=1\n"
                               "private_key=" HEX_1 "\n"
                               "listen_port=51820\n"
                               "fwmark=4294967295\n"
                               "replace_peers=true\n"
                               "public_key=" HEX_2 "\n"
                               "update_only=true\n"
                               "preshared_key=" HEX_1 "\n"
                               "protocol_version=1\n"
                               "endpoint=[2001:db8::1]:5\n"
                               "persistent_keepalive_interval=65535\n"
                               "replace_allowed_ips=true\n"
                               "allowed_ip=10.1.2.3/8\n"
                               "allowed_ip=-fd00::1/64\n"
                               "public_key=" HEX_1 "\n"
                               "remove=true\n"
                               "\n";
    struct device_update u;
    unsigned line;

    (void)state;
    assert_int_equal(uapi_parse_set(&u, text, sizeof text - 1, &line), ERR_OK);
    assert_true(u.has_private_key && u.has_listen_port && u.has_fwmark && u.replace_peers);
    assert_int_equal(u.private_key[0], 0x77);
    assert_int_equal(u.listen_port, 51820);
    assert_int_equal(u.fwmark, UINT32_MAX);
    assert_int_equal(u.peers_n, 2);
    const struct device_peer_update *p = &u.peers[0];
    assert_int_equal(p->public_key[0], 0x85);
    assert_true(p->update_only && p->has_psk && p->has_endpoint && p->has_keepalive &&
                p->replace_allowed);
    assert_false(p->remove);
    assert_int_equal(p->psk[31], 0x1a);
    assert_int_equal(p->endpoint.port, 5);
    assert_int_equal(p->endpoint.ip.bytes[1], 1);
    assert_int_equal(p->keepalive_seconds, 65535);
    assert_int_equal(p->allowed_n, 2);
    assert_string_equal(prefix_text(&p->allowed[0]), "10.0.0.0/8");
    assert_false(p->allowed[0].remove);
    assert_string_equal(prefix_text(&p->allowed[1]), "fd00::/64");
    assert_true(p->allowed[1].remove);
    p = &u.peers[1];
    assert_true(p->remove);
    assert_false(p->update_only || p->has_psk || p->has_endpoint || p->has_keepalive ||
                 p->replace_allowed);
    device_update_fini(&u);
}

static void test_set_nothing(void **state)
{
    static const struct device_update zero;
    struct device_update u;
    unsigned line;

    (void)state;
    assert_int_equal(uapi_parse_set(&u, "set=1\n\n", 7, &line), ERR_OK);
    assert_memory_equal(&u, &zero, sizeof u);
}

static void test_set_scoped_endpoint(void **state)
{
    static const char text[] = "set=1\npublic_key=" HEX_2 "\nendpoint=[fe80::1%eth0.1]:51820\n\n";
    struct device_update u;
    unsigned line;

    (void)state;
    assert_int_equal(uapi_parse_set(&u, text, sizeof text - 1, &line), ERR_OK);
    assert_true(u.peers[0].has_endpoint);
    assert_string_equal(u.peers[0].endpoint_host, "fe80::1%eth0.1");
    assert_int_equal(u.peers[0].endpoint_port, 51820);
    assert_int_equal(u.peers[0].endpoint.ip.family, ADDR_NONE);
    device_update_fini(&u);
}

static void test_set_refused(void **state)
{
    static const char *const device_lines[] = {
        ("private_key=" HEX_1 "0"),
        "private_key=",
        "private_key",
        "listen_port=65536",
        "listen_port=-1",
        "listen_port=",
        "fwmark=0x10",
        "fwmark=4294967296",
        "replace_peers=false",
        "replace_peers=",
        ("preshared_key=" HEX_1),
        "foo=1",
        "=1",
        "public_key=12",
        "listen_port= 1",
        "Listen_port=1",
    };
    static const char *const peer_lines[] = {
        "remove=false",
        "update_only=1",
        "protocol_version=2",
        "endpoint=1.2.3.4",
        "endpoint=1.2.3.4:0",
        "endpoint=host:1",
        "endpoint=[::1]:",
        "endpoint=[::1]:70000",
        "endpoint=",
        "allowed_ip=10.0.0.0",
        "allowed_ip=/8",
        "allowed_ip=10.0.0.0/33",
        "allowed_ip=--::/0",
        "allowed_ip=",
        "listen_port=1",
        "replace_peers=true",
        "endpoint=[1.2.3.4%a]:1",
        "endpoint=[fe80::1%]:1",
        "endpoint=[fe80::1%a b]:1",
        "endpoint=[fe80::1%0123456789abcdef]:1",
        "endpoint=%x]:1",
        "endpoint=[fe80::1%eth0]:0",
        "persistent_keepalive_interval=off",
        "preshared_key=xyz",
    };
    struct device_update u;
    unsigned line;
    char text[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(device_lines); i++) {
        int n = snprintf(text, sizeof text, "set=1\nfwmark=1\n%s\n\n", device_lines[i]);
        if (uapi_parse_set(&u, text, (size_t)n, &line) != ERR_PARSE)
            fail_msg("accepted: %s", device_lines[i]);
        assert_int_equal(line, 3);
        assert_false(u.has_fwmark); /* all or nothing */
    }
    for (size_t i = 0; i < ARRAY_LEN(peer_lines); i++) {
        int n = snprintf(text, sizeof text, "set=1\npublic_key=" HEX_1 "\n%s\n\n", peer_lines[i]);
        if (uapi_parse_set(&u, text, (size_t)n, &line) != ERR_PARSE)
            fail_msg("accepted: %s", peer_lines[i]);
        assert_int_equal(line, 3);
        assert_int_equal(u.peers_n, 0);
    }
    assert_int_equal(uapi_parse_set(&u, "get=1\n\n", 7, &line), ERR_PARSE);
    assert_int_equal(uapi_parse_set(&u, "set=1\nfwmark=1\n", 15, &line), ERR_PARSE); /* not whole */
    assert_int_equal(uapi_parse_set(&u, "set=1\nfwmark=1\0\n\n", 17, &line), ERR_PARSE);
}

static void test_long_line_refused(void **state)
{
    char text[UAPI_LINE_MAX + 64];
    struct device_update u;
    unsigned line;

    (void)state;
    memset(text, '1', sizeof text);
    memcpy(text, "set=1\nfwmark=", 13);
    memcpy(text + sizeof text - 2, "\n\n", 2);
    assert_int_equal(uapi_parse_set(&u, text, sizeof text, &line), ERR_PARSE);
    assert_int_equal(line, 2);
}

/* The whole reply, fetched through a buffer of `size` bytes. */
static char *get_all(const struct device_status *s, size_t size)
{
    struct uapi_get g;
    char *all = calloc(1, 1 << 20), *chunk = malloc(size);
    size_t len = 0, n;

    uapi_get_init(&g, s);
    while ((n = uapi_get_next(&g, chunk, size)) > 0) {
        assert_true(n <= size);
        assert_int_equal(chunk[n - 1], '\n');
        memcpy(all + len, chunk, n);
        len += n;
    }
    assert_int_equal(uapi_get_next(&g, chunk, size), 0);
    free(chunk);
    return all;
}

static void test_get(void **state)
{
    struct ip_prefix allowed[2] = {{.ip = {ADDR_V4, {10}}, .len = 8},
                                   {.ip = {ADDR_V6, {0}}, .len = 0}};
    struct device_peer_status peers[2] = {
        {.endpoint = {.ip = {ADDR_V4, {192, 0, 2, 1}}, .port = 51820},
         .handshake_seconds = 1700000000,
         .handshake_nanoseconds = 5,
         .rx_bytes = UINT64_MAX,
         .tx_bytes = 2,
         .keepalive_seconds = 25,
         .allowed = allowed,
         .allowed_n = 2},
        {.psk = {1}},
    };
    struct device_status s = {.listen_port = 7, .fwmark = 51820, .peers = peers, .peers_n = 2};

    (void)state;
    s.private_key[31] = 0xab;
    peers[0].public_key[0] = 0xcd;
    char *text = get_all(&s, UAPI_CHUNK_MIN);
    assert_string_equal(
        text, "private_key=00000000000000000000000000000000000000000000000000000000000000ab\n"
              "listen_port=7\n"
              "fwmark=51820\n"
              "public_key=cd00000000000000000000000000000000000000000000000000000000000000\n"
              "preshared_key=" HEX_0 "\n"
              "protocol_version=1\n"
              "endpoint=192.0.2.1:51820\n"
              "last_handshake_time_sec=1700000000\n"
              "last_handshake_time_nsec=5\n"
              "tx_bytes=2\n"
              "rx_bytes=18446744073709551615\n"
              "persistent_keepalive_interval=25\n"
              "allowed_ip=10.0.0.0/8\n"
              "allowed_ip=::/0\n"
              "public_key=" HEX_0 "\n"
              "preshared_key=0100000000000000000000000000000000000000000000000000000000000000\n"
              "protocol_version=1\n"
              "last_handshake_time_sec=0\n"
              "last_handshake_time_nsec=0\n"
              "tx_bytes=0\n"
              "rx_bytes=0\n"
              "persistent_keepalive_interval=0\n"
              "errno=0\n\n");
    free(text);
}

static void test_get_empty(void **state)
{
    struct device_status s = {0};
    char *text = get_all(&s, UAPI_CHUNK_MIN);

    (void)state;
    assert_string_equal(text, "errno=0\n\n");
    free(text);
}

/* Many peers give the same text whatever the size of the buffer. */
static void test_get_in_pieces(void **state)
{
    enum {
        PEERS = 300,
        ALLOWED = 40
    };
    static struct ip_prefix allowed[ALLOWED];
    static struct device_peer_status peers[PEERS];
    struct device_status s = {.peers = peers, .peers_n = PEERS};

    (void)state;
    for (unsigned i = 0; i < ALLOWED; i++)
        allowed[i] = (struct ip_prefix){.ip = {ADDR_V6, {0xfd, (uint8_t)i, 1, 2, 3, 4, 5, 6, 7}},
                                        .len = 128};
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i].public_key[0] = (uint8_t)i;
        peers[i].endpoint =
            (struct sock_addr){.ip = allowed[0].ip, .port = 65535, .scope = UINT32_MAX};
        peers[i].allowed = allowed;
        peers[i].allowed_n = i % ALLOWED;
    }
    char *a = get_all(&s, UAPI_CHUNK_MIN), *b = get_all(&s, 1 << 19);
    assert_string_equal(a, b);
    unsigned lines = 0;
    for (const char *at = strchr(a, '\n'); at; at = strchr(at + 1, '\n'))
        lines++;
    unsigned prefixes = 0;
    for (unsigned i = 0; i < PEERS; i++)
        prefixes += i % ALLOWED;
    assert_int_equal(lines, 9 * PEERS + prefixes + 2);
    free(a);
    free(b);
}

static void test_reply(void **state)
{
    char buf[UAPI_CHUNK_MIN], expected[32];

    (void)state;
    assert_int_equal(uapi_reply(buf, sizeof buf, UAPI_SET, ERR_OK), 9);
    assert_string_equal(buf, "errno=0\n\n");
    uapi_reply(buf, sizeof buf, UAPI_SET, ERR_IN_USE);
    snprintf(expected, sizeof expected, "errno=-%d\n\n", EADDRINUSE);
    assert_string_equal(buf, expected);
    uapi_reply(buf, sizeof buf, UAPI_GET, ERR_PARSE);
    snprintf(expected, sizeof expected, "errno=%d\n\n", EINVAL);
    assert_string_equal(buf, expected);
    for (enum err e = ERR_INVALID; e <= ERR_IO; e++) {
        uapi_reply(buf, sizeof buf, UAPI_GET, e);
        assert_true(atoi(buf + 6) > 0);
    }
}

/* A piece at a time gives what the whole does. */
static void test_set_in_pieces(void **state)
{
    static const char text[] = "set=1\nlisten_port=7\nfwmark=9\nreplace_peers=true\n\n";
    static const char bad[] = "set=1\nlisten_port=7\nfwmark=x\n\n";
    struct device_update u;
    struct uapi_set s;

    (void)state;
    uapi_set_init(&s, &u, text, sizeof text - 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(uapi_set_next(&s, 1), ERR_AGAIN);
    assert_int_equal(uapi_set_next(&s, 1), ERR_OK);
    assert_int_equal(u.listen_port, 7);
    assert_int_equal(u.fwmark, 9);
    assert_true(u.replace_peers);
    device_update_fini(&u);

    uapi_set_init(&s, &u, bad, sizeof bad - 1);
    assert_int_equal(uapi_set_next(&s, 1), ERR_AGAIN);
    assert_int_equal(uapi_set_next(&s, 1), ERR_PARSE);
    assert_int_equal(s.line, 3);
    assert_false(u.has_listen_port); /* nothing is left of it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_end),
        cmocka_unit_test(test_request_op),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_nothing),
        cmocka_unit_test(test_set_scoped_endpoint),
        cmocka_unit_test(test_set_refused),
        cmocka_unit_test(test_long_line_refused),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_get_empty),
        cmocka_unit_test(test_get_in_pieces),
        cmocka_unit_test(test_set_in_pieces),
        cmocka_unit_test(test_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
