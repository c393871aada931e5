/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DoH over loopback against a server of HTTP/2 on the same loop. The first label of a name says what the server does with it; it
 * counts the connections and the requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/base64.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/dns/doh.h"
#include "control/dns/doh_link.h"
#include "control/dns/upstream.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "tests/support/netns.h"
#include "tests/support/test_ca.h"

enum {
    ID = 0x1234,
    PORT = 8443,
    BIG_LEN = 65535,
    CHUNK = 8192,
    ANSWERS_MAX = 1100
};

/* ---- the server ---- */

struct server {
    struct loop *loop;
    struct lws_loop *lws;
    struct loop_timer timer;
    struct lws *doomed;
    unsigned connections, requests, strange; /* strange: requests that no client should send */
    bool mute;                               /* says nothing to anybody */
    unsigned closes;                         /* so many of the next requests end their connection */
};

/* Of a stream. */
struct reply {
    uint8_t *bytes;
    size_t len, sent;
};

static size_t take_query(struct server *s, struct lws *wsi, uint8_t *query)
{
    char text[4096], accept[64] = "", uri[128] = "";
    int n = lws_get_urlarg_by_name_safe(wsi, "dns", text, sizeof text);
    size_t len = 0;

    lws_hdr_copy(wsi, accept, sizeof accept, WSI_TOKEN_HTTP_ACCEPT);
    lws_hdr_copy(wsi, uri, sizeof uri, WSI_TOKEN_GET_URI);
    if (n <= 0 || strcmp(accept, "application/dns-message") != 0 ||
        strcmp(uri, "/dns-query") != 0 || strpbrk(text, "+/="))
        s->strange++;
    for (char *at = text; *at; at++)
        *at = *at == '-' ? '+' : *at == '_' ? '/' : *at;
    while (n > 0 && n % 4 != 0)
        text[n++] = '=';
    if (n <= 0 || !EVP_DecodeBase64(query, &len, 4096, (const uint8_t *)text, (size_t)n) ||
        len < 17 || load_be16(query) != 0) {
        s->strange++;
        return 0;
    }
    return len;
}

static bool is(const uint8_t *m, const char *label)
{
    return m[12] == strlen(label) && memcmp(m + 13, label, m[12]) == 0;
}

static int send_headers(struct lws *wsi, unsigned status, const char *type, bool end)
{
    uint8_t buffer[LWS_PRE + 1024], *start = buffer + LWS_PRE, *at = start;

    if (lws_add_http_header_status(wsi, status, &at, buffer + sizeof buffer) ||
        lws_add_http_header_by_name(wsi, (const uint8_t *)"content-type:", (const uint8_t *)type,
                                    (int)strlen(type), &at, buffer + sizeof buffer) ||
        lws_finalize_http_header(wsi, &at, buffer + sizeof buffer))
        return -1;
    enum lws_write_protocol how = LWS_WRITE_HTTP_HEADERS;
    if (end)
        how |= LWS_WRITE_H2_STREAM_END;
    return lws_write(wsi, start, (size_t)(at - start), how) < 0;
}

/* Non-zero: the stream ends. */
static int serve(struct server *s, struct lws *wsi, struct reply *r)
{
    uint8_t m[4096];
    size_t len = take_query(s, wsi, m);

    s->requests++;
    if (s->mute || len == 0 || is(m, "silent"))
        return 0;
    if (s->closes > 0) {
        s->closes--;
        s->doomed = lws_get_network_wsi(wsi);
        loop_timer_set(s->loop, &s->timer, loop_now(s->loop));
        return 0;
    }
    if (is(m, "bare"))
        return send_headers(wsi, 404, "text/plain", true);
    m[2] |= 0x80;
    m[3] |= 0x80;
    if (is(m, "other"))
        m[14] ^= 1;
    r->len = is(m, "big") ? BIG_LEN : is(m, "huge") ? BIG_LEN + 1 : is(m, "short") ? 11 : len;
    r->bytes = calloc(1, r->len);
    memcpy(r->bytes, m, size_min(len, r->len));
    lws_callback_on_writable(wsi);
    return send_headers(wsi,
                        is(m, "status")  ? 404
                        : is(m, "moved") ? 302
                                         : 200,
                        is(m, "type") ? "text/html" : "application/dns-message", false);
}

static int write_body(struct lws *wsi, struct reply *r)
{
    uint8_t buffer[LWS_PRE + CHUNK];

    if (!r->bytes)
        return 0;
    long allowed = lws_get_peer_write_allowance(wsi);
    size_t n = size_min(CHUNK, r->len - r->sent);
    if (allowed >= 0)
        n = size_min(n, (size_t)allowed);
    if (n == 0)
        return 0;
    memcpy(buffer + LWS_PRE, r->bytes + r->sent, n);
    r->sent += n;
    bool end = r->sent == r->len;
    if (lws_write(wsi, buffer + LWS_PRE, n, end ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    if (!end)
        lws_callback_on_writable(wsi);
    return end && lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int serve_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                          size_t len)
{
    struct server *s = lws_context_user(lws_get_context(wsi));
    struct reply *r = user;

    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        s->connections++;
        return 0;
    case LWS_CALLBACK_HTTP:
        return serve(s, wsi, r);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return write_body(wsi, r);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (r) {
            free(r->bytes);
            r->bytes = NULL;
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static void on_doom(void *arg)
{
    struct server *s = arg;

    lws_set_timeout(s->doomed, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_SYNC);
    lws_loop_kick(s->lws);
}

static void server_start(struct server *s, struct loop *l, const struct test_ca *ca,
                         const char *alpn)
{
    static const struct lws_protocols protocols[] = {
        {"http", serve_callback, sizeof(struct reply), 4096, 0, NULL, 0}, LWS_PROTOCOL_LIST_TERM};
    const struct lws_context_creation_info info = {
        .port = PORT,
        .protocols = protocols,
        .user = s,
        .alpn = alpn,
        .ssl_cert_filepath = ca->certificate,
        .ssl_private_key_filepath = ca->key,
        .max_http_header_data2 = 8192,
        .pt_serv_buf_size = 16384,
        .http2_settings = {1, 4096, 0, 200, 65535, 16384},
    };

    s->loop = l;
    loop_timer_init(&s->timer, on_doom, s);
    assert_int_equal(lws_loop_new(&s->lws, l, &info), ERR_OK);
}

static void server_stop(struct server *s)
{
    lws_loop_free(s->lws);
    s->lws = NULL;
}

/* ---- the asker ---- */

struct answer {
    uint64_t id;
    enum err err;
    size_t len;
    uint8_t head[64];
};

struct rig {
    unsigned sockets;
    struct test_ca ca;
    char hosts[96];
    struct loop *loop;
    struct server server;
    struct names *names;
    struct dns_asker *asker;
    struct loop_timer guard;
    struct answer answers[ANSWERS_MAX];
    unsigned n, stop_after;
    bool ask_in_done;
};

static const char url[] = "https://doh.test:8443/dns-query";

static unsigned open_sockets(void)
{
    unsigned n = 0;
    struct stat st;

    for (int fd = 0; fd < 1024; fd++)
        n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    return n;
}

static enum err ask(struct rig *r, uint64_t id, const char *label);

static void on_answer(void *arg, uint64_t id, enum err err, const uint8_t *bytes, size_t len)
{
    struct rig *r = arg;
    struct answer *a = &r->answers[r->n++];

    *a = (struct answer){.id = id, .err = err, .len = len};
    if (err == ERR_OK)
        memcpy(a->head, bytes, size_min(len, sizeof a->head));
    if (r->ask_in_done) {
        r->ask_in_done = false;
        assert_int_equal(ask(r, id + 1, "plain"), ERR_OK);
        assert_int_equal(ask(r, id + 2, "plain"), ERR_OK);
        dns_asker_cancel(r->asker, id + 2);
    }
    if (r->n == r->stop_after)
        loop_stop(r->loop);
}

static void on_guard(void *arg)
{
    loop_stop(((struct rig *)arg)->loop);
}

static void set_url(struct rig *r, const char *text)
{
    const struct dns_upstream u = {.kind = DNS_DOH, .url = text};
    dns_asker_set(r->asker, &u, text ? 1 : 0);
}

static struct rig *rig_new(const char *san, const struct egress *egress)
{
    struct rig *r = calloc(1, sizeof *r);

    r->sockets = open_sockets();
    test_ca_make(&r->ca, san);
    snprintf(r->hosts, sizeof r->hosts, "%s/hosts", r->ca.folder);
    FILE *f = fopen(r->hosts, "w");
    assert_non_null(f);
    fputs("127.0.0.1 doh.test\n", f);
    fclose(f);
    assert_int_equal(loop_new(&r->loop), ERR_OK);
    loop_timer_init(&r->guard, on_guard, r);
    assert_int_equal(names_new(&r->names, r->loop, NULL, 0, egress, r->hosts), ERR_OK);
    const struct dns_asker_config config = {
        .loop = r->loop, .egress = egress, .names = r->names, .ca_file = r->ca.ca};
    assert_int_equal(dns_asker_new(&r->asker, &config, on_answer, r), ERR_OK);
    return r;
}

static struct rig *rig_start(void)
{
    struct rig *r = rig_new("DNS:doh.test", NULL);

    server_start(&r->server, r->loop, &r->ca, "h2");
    set_url(r, url);
    return r;
}

static void rig_stop(struct rig *r)
{
    dns_asker_free(r->asker);
    names_free(r->names);
    server_stop(&r->server);
    loop_free(r->loop);
    unlink(r->hosts);
    test_ca_remove(&r->ca);
    assert_int_equal(open_sockets(), r->sockets);
    assert_int_equal(r->server.strange, 0);
    free(r);
}

/* "<label>.test", A, IN */
static size_t query_write(uint8_t *m, const char *label)
{
    size_t n = strlen(label), len = 12;

    memset(m, 0, 12);
    store_be16(m, ID);
    m[2] = 1; /* recursion is desired */
    m[5] = 1;
    m[len++] = (uint8_t)n;
    memcpy(m + len, label, n);
    len += n;
    memcpy(m + len, "\4test\0\0\1\0\1", 10);
    return len + 10;
}

static enum err ask(struct rig *r, uint64_t id, const char *label)
{
    uint8_t query[128];
    size_t len = query_write(query, label);
    const struct dns_upstream u = {.kind = DNS_DOH, .url = url};
    unsigned n = r->n;
    enum err err = dns_asker_ask(r->asker, id, &u, id % 2 ? DNS_TCP : DNS_UDP, query, len);

    assert_int_equal(r->n, n);
    return err;
}

/* Until there are so many answers, or the time is over. */
static void run(struct rig *r, unsigned answers, unsigned ms)
{
    r->stop_after = answers;
    loop_timer_set(r->loop, &r->guard, clock_now() + ms * NS_PER_MS);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &r->guard);
}

static const struct answer *one(struct rig *r, const char *label)
{
    unsigned n = r->n;

    assert_int_equal(ask(r, 77, label), ERR_OK);
    run(r, n + 1, 20000);
    assert_int_equal(r->n, n + 1);
    assert_int_equal(r->answers[n].id, 77);
    return &r->answers[n];
}

/* ---- tests ---- */

static void test_urls(void **state)
{
    static const struct {
        const char *text, *authority, *target; /* NULL: refused */
    } cases[] = {
        {"https://dns.google/dns-query", "dns.google", "/dns-query?dns="},
        {"HTTPS://DNS.Google:8443/a/", "dns.google:8443", "/a/?dns="},
        {"https://192.0.2.1", "192.0.2.1", "/?dns="},
        {"http://dns.google/dns-query", NULL, NULL},
        {"wss://dns.google/dns-query", NULL, NULL},
        {"dns.google/dns-query", NULL, NULL},
        {"https:///dns-query", NULL, NULL},
        {"https://dns.google/dns-query?a=b", NULL, NULL},
        {"https://dns.google/dns-query#a", NULL, NULL},
        {"https://user@dns.google/dns-query", NULL, NULL},
        {"https://[2001:db8::1]/dns-query", NULL, NULL},
        {"https://dns.google/dns query", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct doh_url parsed;
        char why[128] = "";
        enum err err = doh_url_parse(&parsed, cases[i].text, why, sizeof why);
        if (!cases[i].target) {
            if (err != ERR_INVALID || why[0] == '\0')
                fail_msg("case %zu", i);
            continue;
        }
        assert_int_equal(err, ERR_OK);
        assert_string_equal(parsed.authority, cases[i].authority);
        assert_string_equal(parsed.target, cases[i].target);
    }
}

static void test_answers(void **state)
{
    static const struct {
        const char *label;
        enum err err;
        size_t len; /* 0: the query's */
    } cases[] = {
        {"plain", ERR_OK, 0},       {"PlAiN", ERR_OK, 0},     {"status", ERR_PARSE, 0},
        {"plain", ERR_OK, 0},       {"bare", ERR_PARSE, 0},   {"moved", ERR_PARSE, 0},
        {"type", ERR_PARSE, 0},     {"big", ERR_OK, BIG_LEN}, {"huge", ERR_PARSE, 0},
        {"other", ERR_PARSE, 0},    {"short", ERR_PARSE, 0},  {"big", ERR_OK, BIG_LEN},
        {"silent", ERR_TIMEOUT, 0}, {"plain", ERR_OK, 0},
    };
    struct rig *r = rig_start();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t query[128];
        size_t len = query_write(query, cases[i].label);
        const struct answer *a = one(r, cases[i].label);
        if (a->err != cases[i].err)
            fail_msg("case %zu: %s", i, err_text(a->err));
        if (a->err != ERR_OK)
            continue;
        if (a->len != (cases[i].len > 0 ? cases[i].len : len))
            fail_msg("case %zu: %zu bytes", i, a->len);
        assert_int_equal(load_be16(a->head), ID);
        assert_memory_equal(a->head + 12, query + 12, len - 12);
    }
    /* One connection until it had fallen silent; the first request of each was nobody's. */
    assert_int_equal(r->server.connections, 2);
    assert_int_equal(r->server.requests, ARRAY_LEN(cases) + 2);
    rig_stop(r);
}

static void test_many(void **state)
{
    struct rig *r = rig_start();

    (void)state;
    for (unsigned i = 0; i < DNS_ASKER_MAX; i++)
        assert_int_equal(ask(r, i, "plain"), ERR_OK);
    assert_int_equal(ask(r, DNS_ASKER_MAX, "plain"), ERR_FULL);
    run(r, DNS_ASKER_MAX, 20000);
    assert_int_equal(r->n, DNS_ASKER_MAX);
    for (unsigned i = 0; i < r->n; i++)
        assert_int_equal(r->answers[i].err, ERR_OK);
    assert_true(r->server.connections >= DNS_ASKER_MAX / DOH_REQUESTS_MAX);
    assert_true(r->server.connections <= DNS_ASKER_MAX / DOH_REQUESTS_MAX + 1);
    rig_stop(r);
}

/* Queries under way when the server closes the connection are asked again, but not for ever. */
static void test_closed(void **state)
{
    struct rig *r = rig_start();

    (void)state;
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    r->server.closes = 1;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(ask(r, i, "plain"), ERR_OK);
    run(r, 9, 20000);
    assert_int_equal(r->n, 9);
    for (unsigned i = 1; i < 9; i++)
        assert_int_equal(r->answers[i].err, ERR_OK);
    assert_int_equal(r->server.connections, 2);
    r->server.closes = 3; /* the query, the first request of the next connection ... */
    assert_int_not_equal(one(r, "plain")->err, ERR_OK);
    rig_stop(r);
}

/* Nobody waits for them any more; the connection stays in use until there are too many of them. */
static void test_cancelled(void **state)
{
    struct rig *r = rig_start();

    (void)state;
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(ask(r, i, "silent"), ERR_OK);
    run(r, 100, 50);
    for (unsigned i = 0; i < 20; i++)
        dns_asker_cancel(r->asker, i);
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    assert_int_equal(r->server.connections, 1);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(ask(r, i, "silent"), ERR_OK);
    run(r, 100, 50);
    for (unsigned i = 0; i < 20; i++)
        dns_asker_cancel(r->asker, i);
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    assert_int_equal(r->server.connections, 2);
    r->ask_in_done = true;
    assert_int_equal(ask(r, 100, "plain"), ERR_OK);
    run(r, r->n + 2, 20000);
    assert_int_equal(r->answers[r->n - 1].id, 101);
    assert_int_equal(ask(r, 102, "silent"), ERR_OK); /* freed with it */
    rig_stop(r);
}

static void test_roam(void **state)
{
    struct rig *r = rig_start();

    (void)state;
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    assert_int_equal(ask(r, 1, "silent"), ERR_OK);
    run(r, 100, 50);
    dns_asker_roam(r->asker);
    run(r, 100, 100);
    assert_int_equal(r->n, 1);
    assert_int_equal(r->server.connections, 2);
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    assert_int_equal(r->server.connections, 2);
    dns_asker_roam(r->asker);
    dns_asker_roam(r->asker); /* while it connects */
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    rig_stop(r);
}

static void test_set(void **state)
{
    static const char other[] = "https://doh.test:8443/other";
    struct rig *r = rig_start();

    (void)state;
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    assert_int_equal(ask(r, 1, "silent"), ERR_OK);
    set_url(r, url); /* nothing new */
    run(r, 100, 50);
    assert_int_equal(r->server.connections, 1);
    set_url(r, "http://doh.test/"); /* of no use */
    assert_int_equal(ask(r, 2, "plain"), ERR_NOT_FOUND);
    run(r, 100, 50);
    assert_int_equal(r->n, 1);
    set_url(r, other);
    set_url(r, NULL);
    set_url(r, url);
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    rig_stop(r);
}

/* No server, one that says nothing, one with another's certificate, one without HTTP/2: queries that wait fail, then at once for a while. */
static void test_unreachable(void **state)
{
    static const struct {
        const char *san, *alpn;
        bool nobody;
    } cases[] = {
        {"DNS:doh.test", "h2", true},
        {"DNS:other.test", "h2", false},
        {"DNS:doh.test", "http/1.1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *r = rig_new(cases[i].san, NULL);
        if (!cases[i].nobody)
            server_start(&r->server, r->loop, &r->ca, cases[i].alpn);
        set_url(r, url);
        for (unsigned q = 0; q < 3; q++)
            assert_int_equal(ask(r, q, "plain"), ERR_OK);
        run(r, 3, 20000);
        assert_int_equal(r->n, 3);
        for (unsigned q = 0; q < 3; q++)
            assert_true(r->answers[q].err != ERR_OK && r->answers[q].err != ERR_TIMEOUT);
        assert_int_equal(ask(r, 4, "plain"), ERR_UNREACHABLE);
        assert_int_equal(r->server.requests, 0);
        run(r, 100, DOH_REST_MIN_MS + 50);
        rig_stop(r);
    }
}

static void test_marked(void **state)
{
    static const struct egress egress = {.mark = 0xfd002021};
    struct rig *r = rig_new("DNS:doh.test", &egress);
    unsigned n = 0;

    (void)state;
    server_start(&r->server, r->loop, &r->ca, "h2");
    set_url(r, url);
    assert_int_equal(one(r, "plain")->err, ERR_OK);
    for (int fd = 0; fd < 1024; fd++) {
        uint32_t mark = 0;
        socklen_t len = sizeof mark;
        n += getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len) == 0 && mark == egress.mark;
    }
    assert_int_equal(n, 1);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),      cmocka_unit_test(test_answers),
        cmocka_unit_test(test_many),      cmocka_unit_test(test_closed),
        cmocka_unit_test(test_cancelled), cmocka_unit_test(test_roam),
        cmocka_unit_test(test_set),       cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_marked),
    };
    netns_enter_or_skip();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
