/* SPDX-License-Identifier: Apache-2.0 */
/* The development portal's server over loopback: upgrades, messages, ends of connections. */
#include "tests/fzportal_rig.h"

/* ---- upgrades ---- */

static void check_request(const struct rig *rig, const char *target, const char *headers,
                          const char *wanted)
{
    struct peer p;

    peer_upgrade(&p, rig, target, headers);
    peer_text(&p, "request");
    peer_expect(&p, 0x81, wanted);
    peer_close(&p);
}

static void client_requests(struct rig *rig)
{
    char long_text[4097], *headers, *target, *wanted;

    check_request(rig, "/client/v2/websocket", "", "/client/v2/websocket||none|none|127.0.0.1");
    check_request(rig, "/relay/websocket?",
                  "X-Authorization: Bearer .SFMyNTY.g2gDaA-_x  \r\nUser-Agent: a/1 (b; c)\r\n",
                  "/relay/websocket||.SFMyNTY.g2gDaA-_x|a/1 (b; c)|127.0.0.1");
    check_request(rig, "/client/v2/websocket", "Origin: http://portal.test\r\n",
                  "/client/v2/websocket||none|none|127.0.0.1|http://portal.test");
    /* Not a bearer's, and not the right header. */
    check_request(rig, "/client/v2/websocket",
                  "X-Authorization: bearer a\r\nAuthorization: Bearer b\r\n",
                  "/client/v2/websocket||none|none|127.0.0.1");
    check_request(rig,
                  "/client/v2/websocket?&external_id=ab&name=build+box%207&&public_key=A%2B%2f%3D&"
                  "empty=&flag&x=a=b%26c&u=%C3%BC&",
                  "X-AUTHORIZATION: Bearer t\r\n",
                  "/client/v2/websocket|external_id=ab&name=build+box+7&public_key=A%2B%2F%3D&"
                  "empty=&flag&x=a%3Db%26c&u=%C3%BC|t|none|127.0.0.1");
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    headers = fake_format("X-Authorization: Bearer %s\r\nUser-Agent: %s\r\n", long_text, long_text);
    target = fake_format("/client/v2/websocket?name=%s", long_text);
    wanted = fake_format("/client/v2/websocket|name=%s|%s|%s|127.0.0.1", long_text, long_text,
                         long_text);
    check_request(rig, target, headers, wanted);
    free(headers);
    free(target);
    free(wanted);
    rig_await_sessions(rig, 0);
}

static void test_requests(void **state)
{
    (void)state;
    rig_test(client_requests);
}

/* The whole answer to a request without an upgrade to 101, as text. NULL: hung up. */
static char *ask(const struct rig *rig, const char *target, const char *headers)
{
    struct peer p = {.fd = peer_connect(rig)};
    char *head = peer_request(&p, target, headers), *all = NULL, *at;

    if (head) {
        at = strcasestr(head, "\r\nContent-Length: ");
        if (!at)
            fail_msg("no length: %s", head);
        size_t len = (size_t)atoi(at + 18);
        char *body = mem_zalloc(len + 1, 1);
        assert_true(peer_read(&p, (uint8_t *)body, len));
        assert_int_equal(peer_end(&p, 10000), PEER_EOF);
        all = fake_format("%s%s", head, body);
        free(body);
    }
    free(head);
    close(p.fd);
    return all;
}

static void check_answer(const struct rig *rig, const char *target, const char *headers,
                         const char *wanted)
{
    char *got = ask(rig, target, headers);

    assert_non_null(got);
    assert_string_equal(got, wanted);
    free(got);
}

static void client_refused(struct rig *rig)
{
    check_answer(rig, "/refuse/401/0?a=b", WS_HEADERS,
                 "HTTP/1.1 401 Unauthorized\r\n"
                 "Content-Type: application/problem+json; charset=utf-8\r\n"
                 "Content-Length: 105\r\nConnection: close\r\n\r\n"
                 "{\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,"
                 "\"detail\":\"it is \\\"refused\\\"\",\"code\":\"code_401\"}");
    check_answer(rig, "/refuse/503/8", WS_HEADERS,
                 "HTTP/1.1 503 Service Unavailable\r\n"
                 "Content-Type: application/problem+json; charset=utf-8\r\nRetry-After: 7\r\n"
                 "Content-Length: 112\r\nConnection: close\r\n\r\n"
                 "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                 "\"detail\":\"it is \\\"refused\\\"\",\"code\":\"code_503\"}");
    check_answer(rig, "/refuse/307/0", WS_HEADERS,
                 "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://other.test/\r\n"
                 "Content-Length: 0\r\nConnection: close\r\n\r\n");
    check_answer(rig, "/refuse/403/0", WS_HEADERS,
                 "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void test_refused(void **state)
{
    (void)state;
    rig_test(client_refused);
}

#define EMPTY_400 "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#define EMPTY_404 "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

/* Requests that are no upgrade, or no request at all. */
static void client_plain(struct rig *rig)
{
    static const char *const broken[] = {
        "Host: a\r\n",
        "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: c2hvcnQ=\r\n",
        "Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    };
    char *big = mem_zalloc(70001, 1), *headers;

    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        check_answer(rig, "/client/v2/websocket?a=b", broken[i], EMPTY_400);
    check_answer(rig, "/", "Host: a\r\n", EMPTY_404);
    check_answer(rig, "/client/v3/websocket", "Host: a\r\n", EMPTY_404);
    memset(big, 'a', 70000);
    headers = fake_format("%sX-Big: %s\r\n", WS_HEADERS, big);
    assert_null(ask(rig, "/client/v2/websocket", headers));
    free(headers);
    headers = fake_format("/client/v2/websocket?%s", big);
    assert_null(ask(rig, headers, WS_HEADERS));
    free(headers);
    for (unsigned i = 0; i < 2000; i++)
        memcpy(big + 3 * i, "&a=", 3);
    headers = fake_format("/client/v2/websocket?%.6000s", big);
    assert_null(ask(rig, headers, WS_HEADERS));
    free(headers);
    free(big);
    /* It still works. */
    check_request(rig, "/client/v2/websocket", "", "/client/v2/websocket||none|none|127.0.0.1");
}

static void test_plain(void **state)
{
    (void)state;
    rig_test(client_plain);
}

/* ---- messages ---- */

static void client_messages(struct rig *rig)
{
    char *text = mem_zalloc(SERVER_MESSAGE_MAX + 1, 1);
    struct peer p;

    peer_open(&p, rig);
    peer_text(&p, "echo hello");
    peer_expect(&p, 0x81, "hello");
    peer_text(&p, "");
    peer_expect(&p, 0x81, "got 0 bytes");
    /* Fragments, with a ping among them. */
    peer_frame(&p, 0x01, "echo o", 6);
    peer_frame(&p, 0x89, "ping", 4);
    peer_frame(&p, 0x00, "", 0);
    peer_frame(&p, 0x80, "ne", 2);
    peer_expect(&p, 0x8a, "ping");
    peer_expect(&p, 0x81, "one");
    /* Binary ones are ignored. */
    peer_frame(&p, 0x82, "echo no", 7);
    peer_text(&p, "echo yes");
    peer_expect(&p, 0x81, "yes");
    memset(text, 'x', SERVER_MESSAGE_MAX + 1);
    peer_frame(&p, 0x81, text, SERVER_MESSAGE_MAX);
    peer_expect(&p, 0x81, "got 65536 bytes");
    peer_frame(&p, 0x01, text, SERVER_MESSAGE_MAX);
    peer_frame(&p, 0x80, text, 1);
    peer_expect_close(&p, 1009);
    peer_close(&p);
    free(text);
    rig_await_sessions(rig, 0);
}

static void test_messages(void **state)
{
    (void)state;
    rig_test(client_messages);
}

static void await_heard(const struct rig *rig, int n)
{
    for (unsigned i = 0; i < 1000; i++) {
        if (rig_command(rig, "{\"command\":\"count\"}", "heard") >= n)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("not heard %d times", n);
}

/* Whatever comes shows that somebody is there. */
static void client_heard(struct rig *rig)
{
    struct peer p;

    peer_open(&p, rig);
    peer_frame(&p, 0x01, "echo ", 5); /* goes on */
    await_heard(rig, 1);
    peer_frame(&p, 0x8a, "pong", 4);
    await_heard(rig, 2);
    peer_frame(&p, 0x80, "x", 1);
    peer_expect(&p, 0x81, "x");
    await_heard(rig, 3);
    peer_frame(&p, 0x82, "\x01", 1); /* binary */
    await_heard(rig, 4);
    peer_close(&p);
}

static void test_heard(void **state)
{
    (void)state;
    rig_test(client_heard);
}

/* A reader that takes its time. */
static void client_big(struct rig *rig)
{
    enum {
        BIG = 5000000
    };
    struct peer p, q;
    char *text, number[16];
    size_t len;

    peer_open(&p, rig);
    peer_open(&q, rig);
    peer_text(&p, "big 5000000");
    peer_text(&p, "many 2000");
    peer_text(&q, "echo meanwhile");
    peer_expect(&q, 0x81, "meanwhile");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    peer_text(&q, "echo again");
    peer_expect(&q, 0x81, "again");
    assert_int_equal(peer_take(&p, &text, &len), 0x81);
    assert_int_equal(len, BIG);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != (char)('a' + i % 23))
            fail_msg("byte %zu is wrong", i);
    }
    free(text);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(number, sizeof number, "%u", i);
        peer_expect(&p, 0x81, number);
    }
    /* Gone in the middle of one. */
    peer_text(&p, "big 5000000");
    assert_true(peer_read(&p, NULL, 1000));
    peer_close(&p);
    rig_await_sessions(rig, 1);
    peer_close(&q);
}

static void test_big(void **state)
{
    (void)state;
    rig_test(client_big);
}

/* ---- ends ---- */

static void client_ends(struct rig *rig)
{
    static const unsigned codes[] = {1000, 1001, 1012, 4000};
    struct peer p;

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        char command[32];
        uint8_t echo[2];
        peer_open(&p, rig);
        snprintf(command, sizeof command, "close %u", codes[i]);
        peer_text(&p, "echo last");
        peer_text(&p, command);
        peer_expect(&p, 0x81, "last");
        peer_expect_close(&p, codes[i]);
        store_be16(echo, (uint16_t)codes[i]);
        peer_frame(&p, 0x88, echo, 2);
        assert_int_equal(peer_end(&p, 10000), PEER_EOF);
        peer_close(&p);
    }
    /* Without a closing frame, at once. */
    peer_open(&p, rig);
    peer_text(&p, "close 0");
    assert_int_equal(peer_end(&p, 10000), PEER_EOF);
    peer_close(&p);
    /* By the client, in both ways. */
    peer_open(&p, rig);
    peer_frame(&p, 0x88, "\x03\xe8", 2);
    peer_expect_close(&p, 1000);
    peer_close(&p);
    peer_open(&p, rig);
    peer_close(&p);
    /* What is no WebSocket frame. */
    peer_open(&p, rig);
    peer_write(&p, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 14);
    while (peer_fill(&p, 10000) > 0)
        peer_use(&p, p.in_len);
    peer_close(&p);
    rig_await_sessions(rig, 0);
}

static void test_ends(void **state)
{
    (void)state;
    rig_test(client_ends);
}

/* Who reads no more keeps no session that has ended. */
static void client_never_reads(struct rig *rig)
{
    struct peer p, q;

    peer_open(&p, rig);
    peer_text(&p, "big 50000000");
    peer_text(&p, "big 50000000");
    peer_text(&p, "close 0");
    rig_await_sessions(rig, 0);
    peer_open(&q, rig);
    peer_text(&q, "big 50000000");
    peer_text(&q, "big 50000000");
    peer_text(&q, "close 1012");
    rig_await_sessions(rig, 0);
    peer_close(&p);
    peer_close(&q);
}

static void test_never_reads(void **state)
{
    (void)state;
    rig_test(client_never_reads);
}

static void client_link(struct rig *rig)
{
    struct peer p, q;
    uint16_t port = rig->at.port;

    for (unsigned i = 0; i < 3; i++) {
        peer_open(&p, rig);
        peer_open(&q, rig);
        rig_command(rig, "{\"command\":\"stop\"}", "");
        assert_true(peer_end(&p, 10000) != PEER_SILENT);
        assert_true(peer_end(&q, 10000) != PEER_SILENT);
        assert_int_equal(peer_connect(rig), -1);
        rig_await_sessions(rig, 0);
        rig_command(rig, "{\"command\":\"stop\"}", "");
        peer_close(&p);
        peer_close(&q);
        rig_command(rig, "{\"command\":\"start\"}", "");
        assert_int_equal(server_addr(rig->server, 0)->port, port);
    }
    peer_open(&p, rig);
    peer_text(&p, "echo back");
    peer_expect(&p, 0x81, "back");
    peer_close(&p);
}

static void test_link(void **state)
{
    (void)state;
    rig_test(client_link);
}

/* Open sessions, a half request and a silent connection when the server goes. */
static void client_leave(struct rig *rig)
{
    static struct peer p[20];

    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        peer_open(&p[i], rig);
    peer_text(&p[0], "big 5000000");
    peer_expect(&p[1], 0x81, (peer_text(&p[1], "echo x"), "x"));
    int fd = peer_connect(rig);
    assert_int_equal(write(fd, "GET / HT", 8), 8);
    (void)peer_connect(rig);
    rig_await_sessions(rig, ARRAY_LEN(p));
}

static void test_leave(void **state)
{
    (void)state;
    rig_test(client_leave);
}

static void test_refuses_to_start(void **state)
{
    struct rig rig = {0};
    struct server_options o = {.listen_n = 1};
    struct server *other;
    char why[256], wanted[256], text[SOCK_ADDR_TEXT_MAX];
    (void)state;

    rig_start(&rig);
    o.listen[0] = rig.at;
    assert_int_equal(server_new(&other, rig.loop, &rig.portal, &o, why, sizeof why), ERR_IN_USE);
    snprintf(wanted, sizeof wanted, "cannot listen on %s: Address already in use",
             sock_addr_format(&rig.at, text, sizeof text));
    assert_string_equal(why, wanted);
    assert_int_equal(sock_addr_parse(&o.listen[0], "192.0.2.1:8081"), ERR_OK);
    assert_int_not_equal(server_new(&other, rig.loop, &rig.portal, &o, why, sizeof why), ERR_OK);
    assert_string_equal(why, "cannot listen on 192.0.2.1:8081: Cannot assign requested address");
    o.certificate = o.key = "/nonexistent/file";
    assert_int_not_equal(server_check(&o, why, sizeof why), ERR_OK);
    assert_non_null(strstr(why, "cannot use /nonexistent/file as the certificate: "));
    rig_stop(&rig);
}

static void test_ipv6(void **state)
{
    struct rig rig = {0};
    struct server_options o = {.listen_n = 2};
    struct server *other;
    char why[256];
    (void)state;

    rig_start(&rig);
    assert_int_equal(sock_addr_parse(&o.listen[0], "[::1]:0"), ERR_OK);
    assert_int_equal(sock_addr_parse(&o.listen[1], "127.0.0.1:0"), ERR_OK);
    enum err err = server_new(&other, rig.loop, &rig.portal, &o, why, sizeof why);
    if (err != ERR_OK) { /* no IPv6 here */
        print_message("%s\n", why);
        rig_stop(&rig);
        skip();
    }
    assert_int_equal(server_addr(other, 0)->ip.family, ADDR_V6);
    assert_int_not_equal(server_addr(other, 0)->port, server_addr(other, 1)->port);
    server_free(other);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_big),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_never_reads),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_refuses_to_start),
        cmocka_unit_test(test_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
