/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket over loopback, against a server in a thread that answers by the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/base64.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/websocket.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "platform/tcp.h"

enum {
    PARTS_MAX = 6,
    REQUEST_MAX = 4096
};

struct part {
    const char *bytes;
    size_t len;
};

#define PART(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

struct server {
    int listener;
    bool upgrade;                 /* answers 101 first */
    bool keep_open;               /* leaves it to the client to end the connection */
    unsigned close_code;          /* of the client's closing frame */
    struct part parts[PARTS_MAX]; /* sent one after the other, with a pause between */
    char request[REQUEST_MAX];
    char received[256]; /* the frames of the client, unmasked, one after the other */
    size_t received_len;
    pthread_t thread;
};

struct rig {
    struct loop *loop;
    struct lws_loop *s;
    struct websocket *w;
    struct loop_timer guard;
    bool opened, closed;
    unsigned refused;
    char retry_after[64], body[256], why[WEBSOCKET_WHY_MAX], text[256];
    unsigned texts, texts_wanted, to_send;
};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void send_all(int fd, const char *bytes, size_t len)
{
    assert_int_equal(write(fd, bytes, len), len);
}

static void answer_upgrade(struct server *s, int fd)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *key = strstr(s->request, "Sec-WebSocket-Key: ");
    char joined[128], reply[256];
    uint8_t hash[SHA_DIGEST_LENGTH], accept64[64];

    assert_non_null(key);
    key += strlen("Sec-WebSocket-Key: ");
    int n = snprintf(joined, sizeof joined, "%.*s%s", (int)strcspn(key, "\r"), key, guid);
    SHA1((const uint8_t *)joined, (size_t)n, hash);
    EVP_EncodeBlock(accept64, hash, sizeof hash);
    n = snprintf(reply, sizeof reply,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 (const char *)accept64);
    send_all(fd, reply, (size_t)n);
}

/* Frames below 126 bytes, as the tests send them. */
static void take_frames(struct server *s, const uint8_t *bytes, size_t len)
{
    while (len >= 6 && len >= 6u + (bytes[1] & 0x7f)) {
        size_t n = bytes[1] & 0x7f;
        if ((bytes[0] & 0xf) == 1) {
            for (size_t i = 0; i < n && s->received_len + 1 < sizeof s->received; i++)
                s->received[s->received_len++] = (char)(bytes[6 + i] ^ bytes[2 + i % 4]);
        }
        if ((bytes[0] & 0xf) == 8 && n >= 2)
            s->close_code = (unsigned)(bytes[6] ^ bytes[2]) << 8 | (bytes[7] ^ bytes[3]);
        bytes += 6 + n;
        len -= 6 + n;
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    uint8_t bytes[1024];
    size_t len = 0;
    ssize_t n;
    int fd = accept(s->listener, NULL, NULL);

    while (!strstr(s->request, "\r\n\r\n") && len + 1 < sizeof s->request &&
           (n = read(fd, s->request + len, sizeof s->request - 1 - len)) > 0)
        len += (size_t)n;
    if (s->upgrade)
        answer_upgrade(s, fd);
    for (unsigned i = 0; i < PARTS_MAX && s->parts[i].len > 0; i++) {
        send_all(fd, s->parts[i].bytes, s->parts[i].len);
        pause_ms(20);
    }
    if (!s->keep_open)
        shutdown(fd, SHUT_WR);
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        take_frames(s, bytes, (size_t)n);
    close(fd);
    return NULL;
}

/* ---- the client ---- */

static void on_opened(void *arg)
{
    struct rig *r = arg;
    r->opened = true;
}

static void on_refused(void *arg, unsigned status, const char *retry_after, const char *body,
                       size_t len)
{
    struct rig *r = arg;
    r->refused = status;
    snprintf(r->retry_after, sizeof r->retry_after, "%s", retry_after ? retry_after : "none");
    snprintf(r->body, sizeof r->body, "%.*s", (int)len, body);
    r->w = NULL;
    loop_stop(r->loop);
}

static void on_text(void *arg, const char *text, size_t len)
{
    struct rig *r = arg;
    snprintf(r->text, sizeof r->text, "%.*s", (int)len, text);
    if (++r->texts == r->texts_wanted)
        loop_stop(r->loop);
}

static bool on_next(void *arg, char *out, size_t *len, bool *more)
{
    struct rig *r = arg;
    if (r->to_send == 0)
        return false;
    *len = (size_t)sprintf(out, "{%u}", r->to_send--);
    *more = r->to_send > 0;
    return true;
}

static void on_closed(void *arg, const char *why)
{
    struct rig *r = arg;
    r->closed = true;
    snprintf(r->why, sizeof r->why, "%s", why);
    r->w = NULL;
    loop_stop(r->loop);
}

static const struct websocket_events events = {on_opened, on_refused, on_text, on_next, on_closed};

static void on_guard(void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop);
}

static struct sock_addr listen_at(struct server *s)
{
    struct sock_addr a = {0};
    union addr_os name;
    assert_int_equal(ip_addr_parse(&a.ip, "127.0.0.1"), ERR_OK);
    socklen_t len = addr_os_to(&name, &a);

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, &name.sa, len), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, &name.sa, &len), 0);
    addr_os_from(&a, &name);
    return a;
}

static struct sock_addr server_start(struct server *s)
{
    struct sock_addr a = listen_at(s);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return a;
}

/* Runs until it is refused or closed, at most 10 s. */
static struct rig run_until(struct server *s, unsigned to_send, unsigned texts_wanted)
{
    static const struct websocket_header headers[] = {{"x-authorization:", "Bearer secret"}};
    struct rig r = {.to_send = to_send, .texts_wanted = texts_wanted};
    char why[128];
    struct url url;

    assert_int_equal(url_parse(&url, "ws://portal.test:8080", why, sizeof why), ERR_OK);
    assert_int_equal(loop_new(&r.loop), ERR_OK);
    const struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                                   .protocols = websocket_protocols};
    assert_int_equal(lws_loop_new(&r.s, r.loop, &info), ERR_OK);
    struct websocket_request request = {.url = &url,
                                        .target = "/client/v2/websocket?name=a+b",
                                        .peer = server_start(s),
                                        .headers = headers,
                                        .headers_n = ARRAY_LEN(headers)};
    assert_int_equal(tcp_connect(&request.fd, &request.peer, NULL, why, sizeof why), ERR_OK);
    assert_int_equal(websocket_open(&r.w, r.s, &request, 1024, &events, &r), ERR_OK);
    loop_timer_init(&r.guard, on_guard, &r);
    loop_timer_set(r.loop, &r.guard, clock_now() + 10 * NS_PER_SEC);
    assert_int_equal(loop_run(r.loop), ERR_OK);
    loop_timer_clear(r.loop, &r.guard);
    websocket_close(r.w);
    if (s->keep_open) { /* what it still has to say */
        loop_timer_set(r.loop, &r.guard, clock_now() + 200 * NS_PER_MS);
        assert_int_equal(loop_run(r.loop), ERR_OK);
    }
    lws_loop_free(r.s);
    loop_free(r.loop);
    pthread_join(s->thread, NULL);
    close(s->listener);
    return r;
}

static struct rig run(struct server *s, unsigned to_send)
{
    return run_until(s, to_send, 0);
}

static void test_messages(void **state)
{
    (void)state;
    struct server s = {.upgrade = true,
                       .parts = {PART("\x81\x05hello"), PART("\x01\x03one\x80"), PART("\x03two"),
                                 PART("\x88\x02\x03\xf4")}};
    struct rig r = run(&s, 2);

    assert_true(r.opened);
    assert_int_equal(r.texts, 2);
    assert_string_equal(r.text, "onetwo");
    assert_true(r.closed);
    assert_string_equal(s.received, "{2}{1}");
    assert_non_null(strstr(s.request, "GET /client/v2/websocket?name=a+b HTTP/1.1\r\n"));
    assert_non_null(strstr(s.request, "Host: portal.test\r\n"));
    assert_non_null(strcasestr(s.request, "x-authorization: Bearer secret\r\n"));
    assert_null(strcasestr(s.request, "origin:"));
    assert_null(strcasestr(s.request, "sec-websocket-protocol"));
    assert_null(strcasestr(s.request, "sec-websocket-extensions"));
}

static void test_refused(void **state)
{
    static const struct refusal {
        struct part parts[3];
        unsigned status;
        const char *retry_after, *body;
    } cases[] = {
        {{PART("HTTP/1.1 401 Unauthorized\r\nContent-Length: 24\r\n\r\n"), PART("{\"code\":\"inva"),
          PART("lid_token\"}")},
         401,
         "none",
         "{\"code\":\"invalid_token\"}"},
        {{PART("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}")},
         503,
         "7",
         "{}"},
        {{PART("HTTP/1.1 403 Forbidden\r\n\r\nForbidden")}, 403, "none", "Forbidden"},
        {{PART("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")},
         302,
         "none",
         ""},
    };
    (void)state;

    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        const struct refusal *c = &cases[i / 2];
        struct server s = {.keep_open = i % 2 == 1};
        if (s.keep_open && !strstr(c->parts[0].bytes, "Content-Length"))
            continue; /* only the end of the connection is the end of the body */
        memcpy(s.parts, c->parts, sizeof c->parts);
        struct rig r = run(&s, 1);
        assert_false(r.opened);
        assert_false(r.closed);
        assert_int_equal(r.refused, c->status);
        assert_string_equal(r.retry_after, c->retry_after);
        assert_string_equal(r.body, c->body);
    }
}

static void test_broken(void **state)
{
    static const struct {
        bool upgrade;
        struct part part;
    } cases[] = {
        {false, PART("SSH-2.0-server\r\n")},
        {false, PART("\r\n")},
        {true, PART("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffhuge")},
        {true, PART("\x83\x05hello")}, /* a reserved opcode */
        {true, PART("\x81\x85"
                    "abcdhello")},   /* masked by the server */
        {true, PART("\x81\x05hel")}, /* ends within a frame */
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct server s = {.upgrade = cases[i].upgrade, .parts = {cases[i].part}};
        struct rig r = run(&s, 0);
        assert_true(r.closed);
        assert_string_not_equal(r.why, "");
        assert_int_equal(r.texts, 0);
    }
}

/* The client ends it: with a closing frame, code 1000. */
static void test_goodbye(void **state)
{
    (void)state;
    struct server s = {
        .upgrade = true, .keep_open = true, .parts = {PART("\x81\x00"), PART("\x81\x05hello")}};
    struct rig r = run_until(&s, 0, 2);

    assert_int_equal(r.texts, 2);
    assert_string_equal(r.text, "hello");
    assert_int_equal(s.close_code, 1000);
}

static unsigned open_files(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/*
 * The peer is gone between the end of the race and the upgrade, and it is closed at each stage before it is open: nothing is left,
 * and the next one works.
 */
static void test_never_open(void **state)
{
    (void)state;
    struct rig r = {.to_send = 0};
    char why[128];
    struct url url;
    unsigned before;
    const struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                                   .protocols = websocket_protocols};

    assert_int_equal(url_parse(&url, "ws://portal.test:8080", why, sizeof why), ERR_OK);
    assert_int_equal(loop_new(&r.loop), ERR_OK);
    assert_int_equal(lws_loop_new(&r.s, r.loop, &info), ERR_OK);
    loop_timer_init(&r.guard, on_guard, &r);
    before = open_files();
    for (unsigned i = 0; i < 20; i++) {
        struct server s = {.upgrade = true};
        struct websocket_request request = {.url = &url, .target = "/", .peer = listen_at(&s)};
        assert_int_equal(tcp_connect(&request.fd, &request.peer, NULL, why, sizeof why), ERR_OK);
        int fd = accept(s.listener, NULL, NULL);
        assert_true(fd >= 0);
        if (i % 2 == 0) { /* reset */
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
            close(fd);
            pause_ms(5);
        }
        r.closed = false;
        if (websocket_open(&r.w, r.s, &request, 1024, &events, &r) == ERR_OK && i % 4 != 0) {
            websocket_close(r.w);
            r.w = NULL;
        }
        loop_timer_set(r.loop, &r.guard, clock_now() + 20 * NS_PER_MS);
        assert_int_equal(loop_run(r.loop), ERR_OK);
        if (i % 2 != 0)
            close(fd);
        close(s.listener);
        assert_null(r.w);
        assert_int_equal(open_files(), before);
    }
    loop_timer_clear(r.loop, &r.guard);
    lws_loop_free(r.s);
    loop_free(r.loop);
}

int main(void)
{
    lws_set_log_level(0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_broken), cmocka_unit_test(test_goodbye),
        cmocka_unit_test(test_never_open)};
    setenv("http_proxy", "http://user:word@127.0.0.1:1", 1); /* nobody is asked for the way */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
