/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of fzportal's sockets: the server on a loop in the main thread before a portal that obeys what it receives, and a client
 * in a thread that waits and speaks WebSocket by the letter. Exactly one file of a test program includes this.
 *
 * The portal's messages: "echo TEXT"; "big N" answers N bytes; "many N" N short ones; "close CODE"; "request" tells what the upgrade
 * said; everything else is answered by "got N bytes". Its commands: stop, start, count (of sessions); to all sessions push (text=) and end.
 */
#ifndef FZ_TESTS_FZPORTAL_RIG_H
#define FZ_TESTS_FZPORTAL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/lws_loop.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/ctl_client.h"
#include "tools/ctl/ctl_server.h"
#include "tools/fzportal/portal.h"
#include "tools/fzportal/server.h"

/* cmocka's own end the test by a jump that a thread cannot make. */
static inline void rig_check(bool good, const char *what, const char *file, int line)
{
    if (!good) {
        fprintf(stderr, "%s:%d: FAIL: %s\n", file, line, what);
        abort();
    }
}

static inline void rig_check_number(long long a, long long b, bool equal, const char *what,
                                    const char *file, int line)
{
    if ((a == b) != equal)
        fprintf(stderr, "%lld and %lld\n", a, b);
    rig_check((a == b) == equal, what, file, line);
}

static inline void rig_check_text(const char *a, const char *b, const char *what, const char *file,
                                  int line)
{
    if (strcmp(a, b) != 0)
        fprintf(stderr, "'%s' and\n'%s'\n", a, b);
    rig_check(strcmp(a, b) == 0, what, file, line);
}

#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#undef assert_int_not_equal
#undef assert_string_equal
#undef assert_memory_equal
#undef fail_msg
#define assert_true(c)     rig_check(c, #c, __FILE__, __LINE__)
#define assert_false(c)    rig_check(!(c), "not " #c, __FILE__, __LINE__)
#define assert_null(p)     rig_check(!(p), #p " is NULL", __FILE__, __LINE__)
#define assert_non_null(p) rig_check((p) != NULL, #p " is not NULL", __FILE__, __LINE__)
#define assert_int_equal(a, b)                                                                     \
    rig_check_number((long long)(a), (long long)(b), true, #a " is " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b)                                                                 \
    rig_check_number((long long)(a), (long long)(b), false, #a " is not " #b, __FILE__, __LINE__)
#define assert_string_equal(a, b)    rig_check_text(a, b, #a " is " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n) rig_check(memcmp(a, b, n) == 0, #a, __FILE__, __LINE__)
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        fprintf(stderr, __VA_ARGS__);                                                              \
        rig_check(false, "the above", __FILE__, __LINE__);                                         \
    } while (0)

/* ---- the portal ---- */

struct fake_frame {
    struct fake_frame *next;
    size_t len;
    char *text;
};

struct portal_session {
    struct portal_session *next;
    bool ready, over;
    unsigned code;
    void *user;
    char *request;
    struct fake_frame *first, *last, *sent;
};

struct portal {
    struct portal_session *sessions;
    bool stopped;
    unsigned upgrades, closed, heard;
};

__attribute__((format(printf, 1, 2))) static inline char *fake_format(const char *fmt, ...)
{
    char *text;
    va_list ap;

    va_start(ap, fmt);
    assert_true(vasprintf(&text, fmt, ap) >= 0);
    va_end(ap);
    return text;
}

static inline void fake_push(struct portal_session *s, char *text_give)
{
    struct fake_frame *f = mem_zalloc(1, sizeof *f);

    f->text = text_give;
    f->len = strlen(text_give);
    if (s->last)
        s->last->next = f;
    else
        s->first = f;
    s->last = f;
    s->ready = true;
}

struct portal_session *portal_upgrade(struct portal *p, struct portal_time t,
                                      const struct portal_request *r, void *user,
                                      struct portal_answer *answer)
{
    unsigned status, retry;
    char from[IP_TEXT_MAX];

    assert_true(t.now > 0 && t.unix_seconds > 1600000000);
    if (sscanf(r->path, "/refuse/%u/%u", &status, &retry) == 2) {
        *answer = (struct portal_answer){.status = status, .retry_after_s = (int)retry - 1};
        if (status == 307) {
            strcpy(answer->detail, "https://other.test/");
        } else if (status != 403) {
            snprintf(answer->code, sizeof answer->code, "code_%u", status);
            snprintf(answer->detail, sizeof answer->detail, "it is \"refused\"");
        }
        return NULL;
    }
    struct portal_session *s = mem_zalloc(1, sizeof *s);
    s->user = user;
    s->request = fake_format("%s|%s|%s|%s|%s%s%s", r->path, r->query, r->token ? r->token : "none",
                             r->user_agent ? r->user_agent : "none",
                             ip_addr_format(&r->from, from, sizeof from), r->origin ? "|" : "",
                             r->origin ? r->origin : "");
    assert_string_equal(r->host, "portal.test");
    s->next = p->sessions;
    p->sessions = s;
    p->upgrades++;
    return s;
}

void *portal_session_user(const struct portal_session *s)
{
    return s->user;
}

void portal_heard(struct portal *p, struct portal_time t, struct portal_session *s)
{
    (void)t;
    (void)s;
    p->heard++;
}

void portal_handle_input(struct portal *p, struct portal_time t, struct portal_session *s,
                         const char *text, size_t len)
{
    char *copy = mem_dup_text(text, len), *big;
    unsigned n;

    (void)p;
    (void)t;
    if (strncmp(copy, "echo ", 5) == 0) {
        fake_push(s, mem_dup_text(copy + 5, len - 5));
    } else if (sscanf(copy, "big %u", &n) == 1) {
        big = mem_zalloc(n + 1, 1);
        for (unsigned i = 0; i < n; i++)
            big[i] = (char)('a' + i % 23);
        fake_push(s, big);
    } else if (sscanf(copy, "many %u", &n) == 1) {
        for (unsigned i = 0; i < n; i++)
            fake_push(s, fake_format("%u", i));
    } else if (sscanf(copy, "close %u", &n) == 1) {
        s->over = s->ready = true;
        s->code = n;
    } else if (strcmp(copy, "request") == 0) {
        fake_push(s, strdup(s->request));
    } else {
        fake_push(s, fake_format("got %zu bytes", len));
    }
    free(copy);
}

static inline void fake_frame_free(struct fake_frame *f)
{
    if (f)
        free(f->text);
    free(f);
}

void portal_closed(struct portal *p, struct portal_time t, struct portal_session *s)
{
    struct portal_session **link = &p->sessions;

    (void)t;
    while (*link != s)
        link = &(*link)->next; /* crashes if it is told twice */
    *link = s->next;
    p->closed++;
    while (s->first) {
        struct fake_frame *f = s->first;
        s->first = f->next;
        fake_frame_free(f);
    }
    fake_frame_free(s->sent);
    free(s->request);
    free(s);
}

time_ns portal_poll_timeout(const struct portal *p)
{
    (void)p;
    return TIME_NEVER;
}

void portal_handle_timeout(struct portal *p, struct portal_time t)
{
    (void)p;
    (void)t;
}

struct portal_session *portal_poll_ready(struct portal *p)
{
    for (struct portal_session *s = p->sessions; s; s = s->next) {
        if (s->ready) {
            s->ready = false;
            return s;
        }
    }
    return NULL;
}

bool portal_poll_transmit(struct portal_session *s, const char **text, size_t *len)
{
    fake_frame_free(s->sent);
    s->sent = s->first;
    if (!s->sent)
        return false;
    s->first = s->sent->next;
    if (!s->first)
        s->last = NULL;
    *text = s->sent->text;
    *len = s->sent->len;
    return true;
}

bool portal_session_over(const struct portal_session *s, unsigned *close_code)
{
    *close_code = s->code;
    return s->over;
}

json_t *portal_control(struct portal *p, struct portal_time t, const json_t *command)
{
    const char *name = json_string_value(json_object_get(command, "command"));
    int n = 0;

    (void)t;
    if (strcmp(name, "stop") == 0 || strcmp(name, "start") == 0)
        p->stopped = name[2] == 'o';
    for (struct portal_session *s = p->sessions; s; s = s->next) {
        n++;
        if (strcmp(name, "push") == 0)
            fake_push(s, strdup(json_string_value(json_object_get(command, "text"))));
        if (strcmp(name, "end") == 0)
            s->over = s->ready = true;
    }
    return json_pack("{s:b, s:i, s:i, s:i, s:i}", "ok", 1, "sessions", n, "upgrades", p->upgrades,
                     "closed", p->closed, "heard", p->heard);
}

bool portal_session_meant(const struct portal_session *s, const json_t *command)
{
    (void)s;
    return json_is_true(json_object_get(command, "all"));
}

bool portal_listening(const struct portal *p)
{
    return !p->stopped;
}

/* ---- the server ---- */

struct rig {
    struct loop *loop;
    struct portal portal;
    struct server *server;
    struct ctl_server *control;
    struct loop_bell finished;
    struct loop_timer guard;
    const char *certificate, *key; /* wanted: TLS */
    char folder[64], path[96];     /* of the control socket */
    struct sock_addr at;
    void (*client)(struct rig *rig); /* in its thread */
};

static inline void rig_stop_loop(void *arg)
{
    loop_stop(arg);
}

static inline void rig_late(void *arg)
{
    (void)arg;
    fail_msg("the client is not done after 20 s");
}

static inline void *rig_run_client(void *arg)
{
    struct rig *rig = arg;

    rig->client(rig);
    loop_bell_ring(&rig->finished);
    return NULL;
}

static inline json_t *rig_on_command(void *arg, const json_t *command)
{
    return server_control(arg, command);
}

static inline void rig_start(struct rig *rig)
{
    struct server_options o = {.listen_n = 1, .certificate = rig->certificate, .key = rig->key};
    char why[256] = "";

    lws_set_log_level(0, NULL);
    log_set_level(LOG_ERROR);
    strcpy(rig->folder, P_tmpdir "/unit_fzportal.XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/socket", rig->folder);
    assert_int_equal(sock_addr_parse(&o.listen[0], "127.0.0.1:0"), ERR_OK);
    assert_int_equal(loop_new(&rig->loop), ERR_OK);
    assert_int_equal(loop_bell_add(rig->loop, &rig->finished, rig_stop_loop, rig->loop), ERR_OK);
    loop_timer_init(&rig->guard, rig_late, rig);
    loop_timer_set(rig->loop, &rig->guard, clock_now() + 20 * NS_PER_SEC);
    if (server_new(&rig->server, rig->loop, &rig->portal, &o, why, sizeof why) != ERR_OK ||
        ctl_server_new(&rig->control, rig->loop, rig->path, rig_on_command, rig->server, why,
                       sizeof why) != ERR_OK)
        fail_msg("%s", why);
    rig->at = *server_addr(rig->server, 0);
    assert_true(rig->at.port != 0);
}

/* Until the client's function returns. */
static inline void rig_run(struct rig *rig, void (*client)(struct rig *rig))
{
    pthread_t thread;

    rig->client = client;
    assert_int_equal(pthread_create(&thread, NULL, rig_run_client, rig), 0);
    assert_int_equal(loop_run(rig->loop), ERR_OK);
    pthread_join(thread, NULL);
}

static inline void rig_stop(struct rig *rig)
{
    loop_timer_clear(rig->loop, &rig->guard);
    ctl_server_free(rig->control);
    server_free(rig->server);
    assert_null(rig->portal.sessions);
    assert_int_equal(rig->portal.upgrades, rig->portal.closed);
    loop_bell_del(rig->loop, &rig->finished);
    loop_free(rig->loop);
    assert_int_equal(access(rig->path, F_OK), -1);
    assert_int_equal(rmdir(rig->folder), 0);
}

static inline void rig_test(void (*client)(struct rig *rig))
{
    struct rig rig = {0};

    rig_start(&rig);
    rig_run(&rig, client);
    rig_stop(&rig);
}

/* ---- the client, in its thread ---- */

struct peer {
    int fd;
    SSL *tls; /* NULL: plain */
    char in[8192];
    size_t in_len;
};

enum {
    PEER_EOF = -1,
    PEER_RESET = -2,
    PEER_SILENT = -3
};

/* -1: refused. */
static inline int peer_connect(const struct rig *rig)
{
    union addr_os name;
    socklen_t len = addr_os_to(&name, &rig->at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, &name.sa, len) == 0)
        return fd;
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    return -1;
}

static inline void peer_write(struct peer *p, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = p->tls ? SSL_write(p->tls, at, (int)len) : send(p->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* what is read tells */
        at += n;
        len -= (size_t)n;
    }
}

/* More bytes into `in`: their number, or PEER_*. */
static inline int peer_fill(struct peer *p, int timeout_ms)
{
    struct pollfd f = {.fd = p->fd, .events = POLLIN};

    assert_true(p->in_len < sizeof p->in);
    if ((!p->tls || SSL_pending(p->tls) == 0) && poll(&f, 1, timeout_ms) == 0)
        return PEER_SILENT;
    ssize_t n = p->tls ? SSL_read(p->tls, p->in + p->in_len, (int)(sizeof p->in - p->in_len))
                       : read(p->fd, p->in + p->in_len, sizeof p->in - p->in_len);
    if (n <= 0)
        return n < 0 && errno == ECONNRESET ? PEER_RESET : PEER_EOF;
    p->in_len += (size_t)n;
    return (int)n;
}

static inline void peer_use(struct peer *p, size_t n)
{
    p->in_len -= n;
    memmove(p->in, p->in + n, p->in_len);
}

/* Reads exactly n bytes; false at the end of the connection or after 10 s. out: NULL: nobody cares. */
static inline bool peer_read(struct peer *p, uint8_t *out, size_t n)
{
    while (n > 0) {
        if (p->in_len == 0 && peer_fill(p, 10000) <= 0)
            return false;
        size_t now = size_min(n, p->in_len);
        if (out) {
            memcpy(out, p->in, now);
            out += now;
        }
        peer_use(p, now);
        n -= now;
    }
    return true;
}

/* Nothing to be read any more: PEER_EOF, PEER_RESET or PEER_SILENT; anything else fails. */
static inline int peer_end(struct peer *p, int timeout_ms)
{
    int n = p->in_len > 0 ? (int)p->in_len : peer_fill(p, timeout_ms);

    assert_true(n <= 0);
    return n;
}

#define WS_HEADERS                                                                                 \
    "Host: portal.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                           \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* Sends a request; the answer's head, as text to be freed. NULL: hung up. */
static inline char *peer_request(struct peer *p, const char *target, const char *headers)
{
    char *text = fake_format("GET %s HTTP/1.1\r\n%s\r\n", target, headers), *end;

    peer_write(p, text, strlen(text));
    free(text);
    for (;;) {
        if ((end = memmem(p->in, p->in_len, "\r\n\r\n", 4))) {
            size_t len = (size_t)(end + 4 - p->in);
            text = mem_dup_text(p->in, len);
            peer_use(p, len);
            return text;
        }
        if (peer_fill(p, 10000) <= 0)
            return NULL;
    }
}

static inline void peer_upgrade(struct peer *p, const struct rig *rig, const char *target,
                                const char *headers)
{
    char *all = fake_format(WS_HEADERS "%s", headers), *head;

    memset(p, 0, sizeof *p);
    p->fd = peer_connect(rig);
    assert_true(p->fd >= 0);
    head = peer_request(p, target, all);
    assert_non_null(head);
    assert_non_null(strstr(head, "HTTP/1.1 101 "));
    assert_non_null(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_null(strcasestr(head, "sec-websocket-protocol"));
    assert_null(strcasestr(head, "sec-websocket-extensions"));
    free(head);
    free(all);
}

static inline void peer_open(struct peer *p, const struct rig *rig)
{
    peer_upgrade(p, rig, "/client/v2/websocket", "");
}

static inline void peer_close(struct peer *p)
{
    SSL_free(p->tls);
    close(p->fd);
}

/* first: opcode, with 0x80 for the last fragment. */
static inline void peer_frame(struct peer *p, uint8_t first, const void *bytes, size_t len)
{
    uint8_t *frame = mem_zalloc(len + 14, 1), *at = frame;

    *at++ = first;
    if (len < 126) {
        *at++ = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        *at++ = 0x80 | 126;
        store_be16(at, (uint16_t)len);
        at += 2;
    } else {
        *at++ = 0x80 | 127;
        store_be64(at, len);
        at += 8;
    }
    memcpy(at, "\x12\x34\x56\x78", 4);
    for (size_t i = 0; i < len; i++)
        at[4 + i] = ((const uint8_t *)bytes)[i] ^ at[i % 4];
    peer_write(p, frame, (size_t)(at + 4 + len - frame));
    free(frame);
}

static inline void peer_text(struct peer *p, const char *text)
{
    peer_frame(p, 0x81, text, strlen(text));
}

/* The next frame: its first byte, and its payload as text to be freed. -1: the connection ended. */
static inline int peer_take(struct peer *p, char **payload, size_t *len)
{
    uint8_t head[2], more[8];

    *payload = NULL;
    if (!peer_read(p, head, 2))
        return -1;
    assert_true((head[1] & 0x80) == 0);
    *len = head[1];
    if (*len == 126) {
        assert_true(peer_read(p, more, 2));
        *len = load_be16(more);
    } else if (*len == 127) {
        assert_true(peer_read(p, more, 8));
        *len = load_be64(more);
    }
    *payload = mem_zalloc(*len + 1, 1);
    return peer_read(p, (uint8_t *)*payload, *len) ? head[0] : -1;
}

static inline void peer_expect(struct peer *p, uint8_t first, const char *wanted)
{
    char *payload;
    size_t len;

    assert_int_equal(peer_take(p, &payload, &len), first);
    assert_string_equal(payload, wanted);
    free(payload);
}

/* A closing frame with this code is next. */
static inline void peer_expect_close(struct peer *p, unsigned code)
{
    char *payload;
    size_t len;

    assert_int_equal(peer_take(p, &payload, &len), 0x88);
    assert_true(len >= 2);
    assert_int_equal(load_be16(payload), code);
    free(payload);
}

/* Sends a command to the control socket; `field` of the answer as a number. */
static inline int rig_command(const struct rig *rig, const char *json, const char *field)
{
    json_t *command = json_loads(json, 0, NULL), *answer;
    char why[256] = "";
    int n;

    assert_non_null(command);
    if (ctl_call(&answer, rig->path, command, 10 * NS_PER_SEC, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    n = (int)json_integer_value(json_object_get(answer, field));
    json_decref(command);
    json_decref(answer);
    return n;
}

/* Until the portal has so many sessions; at most 10 s. */
static inline void rig_await_sessions(const struct rig *rig, int n)
{
    for (unsigned i = 0; i < 1000; i++) {
        if (rig_command(rig, "{\"command\":\"count\"}", "sessions") == n)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("the number of sessions does not become %d", n);
}

#endif
