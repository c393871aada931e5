/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's link with the portal over real sockets, against the development portal, both on one loop: what each of the
 * portal's misfortunes does to the link, and that nothing is left of a thousand connections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/portal_io.c"
#include "tests/support/test_ca.h"
#include "tools/fzportal/server.h"

#define TOKEN ".client-laptop"

enum {
    RECONNECTS = 1000
};

struct rig {
    struct loop *loop;
    struct portal_config config;
    struct portal *portal;
    struct server *server;
    struct names *names;
    struct portal_io *io;
    struct url url;
    struct loop_timer guard;
    const char *token, *ca_file;
    const struct test_ca *ca; /* NULL: ws:// */

    unsigned joined, inits, unknown, aways, ended;
    time_ns delay_ns; /* of the last `away` */
    char why[PORTAL_IO_WHY_MAX];
    enum portal_io_end end;
    bool reset_when_joined;
};

/* ---- what the link reports ---- */

/* The delays are unit_portal_link's affair: here the next attempt comes as soon as Retry-After permits it. */
static void hurry(struct rig *r)
{
    r->io->link.attempted_at -= LINK_ATTEMPT_MIN_NS + LINK_ATTEMPT_MARGIN_NS;
    link_reset(&r->io->link, loop_now(r->loop));
}

static void on_joined(void *arg)
{
    struct rig *r = arg;
    static const uint8_t key[KEY_LEN] = {7};

    r->joined++;
    if (r->reset_when_joined && r->joined < RECONNECTS)
        portal_io_reset(r->io, key);
    loop_stop(r->loop);
}

static void on_message(void *arg, const char *name, const json_t *payload)
{
    struct rig *r = arg;

    if (strcmp(name, "init") == 0)
        r->inits += json_is_object(json_object_get(payload, "interface"));
    else
        r->unknown += strcmp(name, "nobody_knows") == 0;
    loop_stop(r->loop);
}

static void on_away(void *arg, const char *why, time_ns delay_ns)
{
    struct rig *r = arg;

    r->aways++;
    r->delay_ns = delay_ns;
    snprintf(r->why, sizeof r->why, "%s", why);
    hurry(r);
    loop_stop(r->loop);
}

static void on_ended(void *arg, enum portal_io_end end, const char *why)
{
    struct rig *r = arg;

    r->ended++;
    r->end = end;
    snprintf(r->why, sizeof r->why, "%s", why);
    loop_stop(r->loop);
}

static const struct portal_io_events events = {on_joined, on_message, on_away, on_ended};

/* ---- the rig ---- */

static const char config_text[] =
    "[portal]\nconnect_limit = no\n"
    "[account acme]\n"
    "[client-token laptop]\ntoken = " TOKEN "\nlifetime = 1h\n"
    "[site Frankfurt]\n"
    "[resource Git]\ntype = dns\naddress = *.git.example\nsite = Frankfurt\n";

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing has come of it in 20 s");
}

/* Until the counter has reached this. */
static void await(struct rig *r, const unsigned *counter, unsigned value)
{
    loop_timer_set(r->loop, &r->guard, clock_now() + 20 * NS_PER_SEC);
    while (*counter < value)
        assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &r->guard);
}

static void on_pause(void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop);
}

/* Tried again while a frame is still on its way to the socket. */
static void command(struct rig *r, const char *text)
{
    json_t *json = json_loads(text, 0, NULL), *answer;
    struct loop_timer pause;

    assert_non_null(json);
    loop_timer_init(&pause, on_pause, r);
    answer = server_control(r->server, json);
    for (unsigned i = 0; i < 100 && !json_is_true(json_object_get(answer, "ok")); i++) {
        json_decref(answer);
        loop_timer_set(r->loop, &pause, clock_now() + 10 * NS_PER_MS);
        assert_int_equal(loop_run(r->loop), ERR_OK);
        loop_timer_clear(r->loop, &pause);
        answer = server_control(r->server, json);
    }
    if (!json_is_true(json_object_get(answer, "ok")))
        fail_msg("%s: %s", text, json_string_value(json_object_get(answer, "error")));
    json_decref(json);
    json_decref(answer);
}

static void start_portal(struct rig *r)
{
    struct server_options o = {.listen_n = 1};
    struct portal_time t = {.now = clock_now()};
    uint8_t seed[32] = {1};
    uint64_t seconds;
    uint32_t nanoseconds;
    char why[256];

    clock_wall(&seconds, &nanoseconds);
    t.unix_seconds = (int64_t)seconds;
    if (r->ca) {
        o.certificate = r->ca->certificate;
        o.key = r->ca->key;
    }
    assert_int_equal(sock_addr_parse(&o.listen[0], "127.0.0.1:0"), ERR_OK);
    if (portal_config_parse(&r->config, config_text, "test", why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    assert_int_equal(portal_new(&r->portal, &r->config, seed, t), ERR_OK);
    if (server_new(&r->server, r->loop, r->portal, &o, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
}

static void start_link(struct rig *r, const char *host)
{
    static const struct url_param params[] = {
        {"external_id", "0123456789abcdef"}, {"name", "test device"}, {NULL, NULL}};
    static const uint8_t key[KEY_LEN] = {9};
    struct portal_io_options o = {
        .url = &r->url,
        .endpoint = "client/v2/websocket",
        .params = params,
        .token = r->token ? r->token : TOKEN,
        .user_agent = "Debian/12.0.0 headless-client/1.5.12 (x86_64; 6.18.0)",
        .topic = "client",
        .join_payload = json_null(),
        .ca_file = r->ca_file,
        .max_partition_ns = TIME_NEVER,
        .names = r->names,
    };
    char text[128], why[256];

    snprintf(text, sizeof text, "%s://%s:%u", r->ca ? "wss" : "ws", host,
             server_addr(r->server, 0)->port);
    assert_int_equal(url_parse(&r->url, text, why, sizeof why), ERR_OK);
    if (portal_io_new(&r->io, r->loop, &o, key, &events, r, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
}

static void rig_begin_at(struct rig *r, const char *host)
{
    log_set_level(LOG_ERROR);
    assert_int_equal(loop_new(&r->loop), ERR_OK);
    loop_timer_init(&r->guard, on_guard, r);
    start_portal(r);
    assert_int_equal(names_new(&r->names, r->loop, NULL, 0, NULL, "/etc/hosts"), ERR_OK);
    start_link(r, host);
}

static void rig_begin(struct rig *r)
{
    rig_begin_at(r, "127.0.0.1");
    await(r, &r->inits, 1);
    assert_int_equal(r->joined, 1);
    assert_int_equal(r->aways, 0);
}

static void rig_end(struct rig *r)
{
    portal_io_free(r->io);
    names_free(r->names);
    server_free(r->server);
    portal_free(r->portal);
    portal_config_fini(&r->config);
    loop_timer_clear(r->loop, &r->guard);
    loop_free(r->loop);
}

static void expect_in_why(const struct rig *r, const char *part)
{
    if (!strstr(r->why, part))
        fail_msg("'%s' is not in '%s'", part, r->why);
}

/* The connection is lost, for this reason, and comes back. */
static void expect_return(struct rig *r, const char *why)
{
    unsigned joined = r->joined, inits = r->inits;

    await(r, &r->aways, r->aways + 1);
    expect_in_why(r, why);
    await(r, &r->joined, joined + 1);
    await(r, &r->inits, inits + 1);
}

/* ---- upgrades that are refused ---- */

static void test_join(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};
    rig_begin(&r);
    rig_end(&r);
}

static void test_invalid_token(void **state)
{
    (void)state;
    struct rig r = {.token = ".another"};

    rig_begin_at(&r, "127.0.0.1");
    await(&r, &r.ended, 1);
    assert_int_equal(r.end, PORTAL_IO_TOKEN_INVALID);
    expect_in_why(&r, "401");
    expect_in_why(&r, "invalid_token");
    assert_int_equal(r.aways, 0);
    rig_end(&r);
}

static void test_proxy_401(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};

    rig_begin(&r);
    command(&r, "{\"command\":\"refuse\",\"status\":401}");
    command(&r, "{\"command\":\"kick\",\"all\":true}");
    await(&r, &r.ended, 1);
    assert_int_equal(r.end, PORTAL_IO_REFUSED);
    rig_end(&r);
}

/* Each: what the next upgrade is answered, what the log says of it, and the least delay in seconds. */
static const struct {
    const char *refusal, *why;
    time_ns delay_s;
} refusals[] = {
    {"\"status\":503,\"code\":\"rate_limit\",\"detail\":\"slow down\",\"retry_after\":2",
     "503 rate_limit: slow down", 2},
    {"\"status\":429,\"retry_after\":2", "429", 2},
    {"\"status\":500,\"code\":\"unhandled_connect_error\"", "500 unhandled_connect_error", 0},
    {"\"status\":402,\"code\":\"limits_exceeded\",\"detail\":\"too many\"",
     "402 limits_exceeded: too many", 0},
    {"\"status\":403", "403", 0},
    {"\"status\":307,\"detail\":\"http://127.0.0.1:9/\"", "307", 0},
};

static void test_refusals(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};
    char text[256];

    rig_begin(&r);
    for (unsigned i = 0; i < ARRAY_LEN(refusals); i++) {
        unsigned inits = r.inits;
        snprintf(text, sizeof text, "{\"command\":\"refuse\",%s}", refusals[i].refusal);
        command(&r, text);
        command(&r, "{\"command\":\"kick\",\"all\":true}");
        await(&r, &r.aways, 2 * i + 1);
        await(&r, &r.aways, 2 * i + 2);
        expect_in_why(&r, refusals[i].why);
        assert_true(r.delay_ns + NS_PER_MS >= refusals[i].delay_s * NS_PER_SEC);
        await(&r, &r.inits, inits + 1);
    }
    assert_int_equal(r.ended, 0);
    rig_end(&r);
}

/* ---- connections that end ---- */

static void test_ends(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};

    rig_begin(&r);
    command(&r, "{\"command\":\"kick\",\"all\":true,\"code\":1012}");
    expect_return(&r, "the portal closed the connection");
    command(&r, "{\"command\":\"kick\",\"all\":true,\"how\":\"phx_close\"}");
    expect_return(&r, "the portal closed the channel");
    command(&r, "{\"command\":\"kick\",\"all\":true,\"how\":\"crash\"}");
    expect_return(&r, "the portal closed the connection");
    command(&r, "{\"command\":\"drop\",\"all\":true,\"reset\":true}");
    expect_return(&r, "the portal closed the connection");
    command(&r, "{\"command\":\"cut\",\"all\":true}"); /* in the middle of a frame */
    expect_return(&r, "the portal closed the connection");
    rig_end(&r);
}

/* The portal stops, and starts again. */
static void test_restart(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};

    rig_begin(&r);
    command(&r, "{\"command\":\"stop\"}");
    await(&r, &r.aways, 2);
    expect_in_why(&r, "refused");
    command(&r, "{\"command\":\"start\"}");
    await(&r, &r.inits, 2);
    rig_end(&r);
}

static void test_join_never_answered(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};

    rig_begin(&r);
    command(&r, "{\"command\":\"stall\",\"all\":true}");
    command(&r, "{\"command\":\"kick\",\"all\":true}");
    await(&r, &r.aways, 2);
    expect_in_why(&r, "did not answer the join");
    command(&r, "{\"command\":\"stall\",\"all\":true,\"on\":false}");
    await(&r, &r.inits, 2);
    rig_end(&r);
}

static void test_token_expires(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};

    rig_begin(&r);
    command(&r, "{\"command\":\"expire\",\"token\":\"laptop\"}");
    await(&r, &r.ended, 1);
    assert_int_equal(r.end, PORTAL_IO_TOKEN_INVALID);
    assert_int_equal(r.aways, 0);
    rig_end(&r);
}

/* ---- frames ---- */

/* WebSocket frames by the letter, as hexadecimal, that end the connection. */
static const char *const malformed[] = {
    "8b00",                 /* a reserved control frame */
    "c10161",               /* a bit of an extension that was not agreed on */
    "817fffffffffffffffff", /* longer than anything */
    "8000",                 /* goes on with a message that never began */
};

static void test_malformed_frames(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};
    char text[128];

    rig_begin(&r);
    for (unsigned i = 0; i < ARRAY_LEN(malformed); i++) {
        snprintf(text, sizeof text, "{\"command\":\"raw\",\"all\":true,\"hex\":\"%s\"}",
                 malformed[i]);
        command(&r, text);
        expect_return(&r, "the portal closed the connection");
    }
    rig_end(&r);
}

/* A WebSocket frame of at most 125 bytes. */
static void frame(struct rig *r, uint8_t first, const char *payload)
{
    size_t n = strlen(payload);
    char text[512];
    int len = snprintf(text, sizeof text, "{\"command\":\"raw\",\"all\":true,\"hex\":\"%02x%02x",
                       first, (unsigned)n);

    assert_true(n <= 125);
    for (size_t i = 0; i < n; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%02x", (uint8_t)payload[i]);
    snprintf(text + len, sizeof text - (size_t)len, "\"}");
    command(r, text);
}

/* What is not understood is left out, and the connection stays. */
static void test_messages(void **state)
{
    (void)state;
    struct rig r = {.loop = NULL};

    rig_begin(&r);
    frame(&r, 0x81, "{\"topic\":"); /* and no more */
    frame(&r, 0x81, "[1]");
    frame(&r, 0x81, "{\"topic\":7,\"event\":\"init\",\"payload\":{},\"ref\":null}");
    frame(&r, 0x82, "\x01\xff");
    frame(&r, 0x8a, "a pong that nobody asked for");
    command(&r, "{\"command\":\"send\",\"all\":true,\"event\":\"nobody_knows\",\"payload\":7}");
    await(&r, &r.unknown, 1);
    /* The same in three fragments, with a ping between them. */
    frame(&r, 0x01, "{\"topic\":\"client\",\"eve");
    frame(&r, 0x00, "nt\":\"nobody_knows\",\"payload\":");
    frame(&r, 0x89, "ping");
    frame(&r, 0x80, "null,\"ref\":null}");
    await(&r, &r.unknown, 2);
    assert_int_equal(r.aways, 0);
    rig_end(&r);
}

/* ---- TLS ---- */

static void test_own_ca(void **state)
{
    (void)state;
    struct test_ca ca, other;
    test_ca_make(&ca, "DNS:localhost");
    test_ca_make(&other, "DNS:localhost");

    struct rig r = {.ca = &ca, .ca_file = ca.ca};
    rig_begin_at(&r, "localhost");
    await(&r, &r.inits, 1);
    rig_end(&r);

    struct rig unknown = {.ca = &ca, .ca_file = other.ca};
    rig_begin_at(&unknown, "localhost");
    await(&unknown, &unknown.aways, 1);
    expect_in_why(&unknown, "X509_V_ERR");
    assert_int_equal(unknown.joined, 0);
    rig_end(&unknown);

    /* The name in the URL is what counts, not the address it stands for. */
    struct rig address = {.ca = &ca, .ca_file = ca.ca};
    rig_begin_at(&address, "127.0.0.1");
    await(&address, &address.aways, 1);
    expect_in_why(&address, "X509_V_ERR = 64");
    rig_end(&address);
    test_ca_remove(&ca);
    test_ca_make(&ca, "DNS:portal.test");
    struct rig name = {.ca = &ca, .ca_file = ca.ca};
    rig_begin_at(&name, "localhost");
    await(&name, &name.aways, 1);
    expect_in_why(&name, "X509_V_ERR = 62");
    assert_int_equal(name.joined, 0);
    rig_end(&name);
    test_ca_remove(&ca);
    test_ca_remove(&other);
}

static void test_bad_ca_file(void **state)
{
    (void)state;
    static const uint8_t key[KEY_LEN] = {9};
    struct test_ca ca;
    struct rig r = {.loop = NULL};
    char why[256];

    test_ca_make(&ca, "DNS:localhost");
    assert_int_equal(loop_new(&r.loop), ERR_OK);
    const char *const files[] = {"/nonexistent", ca.key};
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        const struct url_param params[] = {{NULL, NULL}};
        struct portal_io_options o = {.url = &r.url,
                                      .endpoint = "client/v2/websocket",
                                      .params = params,
                                      .token = "t",
                                      .user_agent = "a",
                                      .topic = "client",
                                      .join_payload = json_null(),
                                      .ca_file = files[i]};
        assert_int_not_equal(portal_io_new(&r.io, r.loop, &o, key, &events, &r, why, sizeof why),
                             ERR_OK);
        assert_null(r.io);
        assert_non_null(strstr(why, files[i]));
    }
    loop_free(r.loop);
    test_ca_remove(&ca);
}

/* ---- a thousand connections ---- */

static unsigned open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_reconnects(void **state)
{
    (void)state;
    struct rig r = {.reset_when_joined = true};
    unsigned files = 0;

    rig_begin_at(&r, "127.0.0.1");
    for (unsigned n = 1; n <= RECONNECTS; n++) {
        await(&r, &r.joined, n);
        if (n == 10)
            files = open_files();
        if (r.io->link.state == LINK_WAITING) {
            hurry(&r);
            settle(r.io);
        }
    }
    await(&r, &r.inits, 1);
    assert_in_range(open_files(), 1, files + 2);
    assert_int_equal(r.ended, 0);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_invalid_token),
        cmocka_unit_test(test_proxy_401),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_join_never_answered),
        cmocka_unit_test(test_token_expires),
        cmocka_unit_test(test_malformed_frames),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_own_ca),
        cmocka_unit_test(test_bad_ca_file),
        cmocka_unit_test(test_reconnects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
