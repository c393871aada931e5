/* SPDX-License-Identifier: Apache-2.0 */
/* The bus on the loop, against a bus and a service of the test's own. */
#include "platform/linux/bus.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fake_bus.h"

#define SERVICE "org.example.Fake"
#define OBJECT  "/org/example/Fake"

/* More than BUS_CALL_MS however slow the machine is, and less than sd-bus waits by itself. */
#define LONG_NS (20 * NS_PER_SEC)

static struct fake_bus fake;

/* ---- the service ---- */

static int answer(struct fake_service *s, sd_bus_message *m)
{
    const char *text;

    if (sd_bus_message_is_method_call(m, SERVICE, "Echo")) {
        ASSERT(sd_bus_message_read(m, "s", &text) >= 0);
        return sd_bus_reply_method_return(m, "s", text);
    }
    if (sd_bus_message_is_method_call(m, SERVICE, "Never")) {
        fake_note(s, "Never");
        return 1;
    }
    if (sd_bus_message_is_method_call(m, SERVICE, "Fail")) {
        ASSERT(sd_bus_message_read(m, "s", &text) >= 0);
        return sd_bus_reply_method_errorf(m, text, "because");
    }
    return 0;
}

/* A digit: so many times 10 signals, and one of a property of another interface. */
static void order(struct fake_service *s, char order)
{
    for (int i = 0; i < (order - '0') * 10; i++)
        ASSERT(sd_bus_emit_signal(s->bus, OBJECT, "org.freedesktop.DBus.Properties",
                                  "PropertiesChanged", "sa{sv}as", SERVICE, 1, "N", "i", i,
                                  0) >= 0);
    ASSERT(sd_bus_emit_signal(s->bus, OBJECT, "org.freedesktop.DBus.Properties",
                              "PropertiesChanged", "sa{sv}as", "org.example.Other", 0, 0) >= 0);
}

static struct fake_service service = {
    .name = SERVICE, .path = OBJECT, .answer = answer, .order = order};

/* ---- the watcher ---- */

struct watcher {
    struct bus_watch watch;
    struct loop *loop;
    struct bus *bus;
    unsigned changed, in_force, started;
    unsigned want; /* of whichever counter is waited for */
    unsigned answers;
    enum err last;
};

static void watcher_changed(void *arg, sd_bus_message *m)
{
    struct watcher *w = arg;
    const char *iface;

    assert_true(sd_bus_message_read(m, "s", &iface) > 0);
    assert_string_equal(iface, SERVICE);
    w->changed++;
}

static void watcher_renewed(void *arg, enum bus_renewal what)
{
    struct watcher *w = arg;
    ++*(what == BUS_WATCH_IN_FORCE ? &w->in_force : &w->started);
}

static bool has_changed(void *arg)
{
    const struct watcher *w = arg;
    return w->changed >= w->want;
}

static bool is_in_force(void *arg)
{
    const struct watcher *w = arg;
    return w->in_force >= w->want;
}

static bool has_started(void *arg)
{
    const struct watcher *w = arg;
    return w->started >= w->want;
}

static bool has_answer(void *arg)
{
    const struct watcher *w = arg;
    return w->answers >= w->want;
}

static bool is_away(void *arg)
{
    const struct watcher *w = arg;
    return w->bus->handle == NULL;
}

static bool run_until(struct watcher *w, bool (*done)(void *arg), unsigned want)
{
    w->want = want;
    return fake_run(w->loop, done, w);
}

static void open_it(struct watcher *w)
{
    char why[256];

    *w = (struct watcher){.watch = {.service = SERVICE,
                                    .path = OBJECT,
                                    .iface = SERVICE,
                                    .changed = watcher_changed,
                                    .renewed = watcher_renewed,
                                    .arg = w}};
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(bus_open(&w->bus, w->loop, why, sizeof why), ERR_OK);
    bus_watch(w->bus, &w->watch);
    assert_true(run_until(w, is_in_force, 1));
}

static void close_it(struct watcher *w)
{
    bus_close(w->bus);
    loop_free(w->loop);
}

static sd_bus_message *request(struct watcher *w, const char *member, const char *text)
{
    sd_bus_message *m = bus_request(w->bus, SERVICE, OBJECT, SERVICE, member);
    if (m && text)
        assert_true(sd_bus_message_append(m, "s", text) >= 0);
    return m;
}

static enum err call(struct watcher *w, const char *member, const char *text)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    enum err err = bus_call(w->bus, request(w, member, text), bus_until(), &error, NULL);

    assert_true((err == ERR_OK) == !sd_bus_error_is_set(&error));
    assert_true(strlen(bus_error_text(&error)) > 0);
    sd_bus_error_free(&error);
    return err;
}

static int take_answer(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct watcher *w = arg;
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)error;
    w->answers++;
    w->last = e ? bus_error_class(e) : ERR_OK;
    return 0;
}

/* ---- the tests ---- */

static void no_bus(void **state)
{
    (void)state;
    char why[256] = "";
    struct bus *b;
    struct loop *l;
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    fake_bus_stop(&fake);
    assert_int_equal(loop_new(&l), ERR_OK);
    assert_int_equal(bus_open(&b, l, why, sizeof why), ERR_NOT_FOUND);
    assert_null(b);
    assert_non_null(strstr(why, "start"));

    /* one that takes connections and says nothing is not waited for any longer */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%s", fake.socket);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(fd, 1), 0);
    time_ns start = clock_now();
    assert_int_equal(bus_open(&b, l, why, sizeof why), ERR_TIMEOUT);
    assert_true(time_since(clock_now(), start) < LONG_NS);
    assert_non_null(strstr(why, "does not answer"));
    close(fd);
    loop_free(l);
    fake_bus_start(&fake);
}

static void calls(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        enum err err;
    } cases[] = {
        {"org.freedesktop.DBus.Error.AccessDenied", ERR_PERMISSION},
        {"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", ERR_PERMISSION},
        {"org.freedesktop.DBus.Error.ServiceUnknown", ERR_NOT_FOUND},
        {"org.freedesktop.DBus.Error.Spawn.ChildExited", ERR_NOT_FOUND},
        {"org.freedesktop.systemd1.UnitMasked", ERR_NOT_FOUND},
        {"org.freedesktop.DBus.Error.UnknownMethod", ERR_UNSUPPORTED},
        {"org.freedesktop.DBus.Error.NoReply", ERR_TIMEOUT},
        {"org.example.Whatever", ERR_IO},
    };
    struct watcher w;

    fake_service_start(&service);
    open_it(&w);
    assert_int_equal(call(&w, "Echo", "x"), ERR_OK);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(call(&w, "Fail", cases[i].error), cases[i].err);
    assert_int_equal(call(&w, "NoSuchMethod", NULL), ERR_UNSUPPORTED);

    /* an answer that does not come is not waited for long, and the next one is not taken for it */
    time_ns start = clock_now();
    assert_int_equal(call(&w, "Never", NULL), ERR_TIMEOUT);
    assert_true(time_since(clock_now(), start) < LONG_NS);
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply;
    const char *text = "";
    assert_int_equal(bus_call(w.bus, request(&w, "Echo", "y"), bus_until(), &error, &reply),
                     ERR_OK);
    assert_true(sd_bus_message_read(reply, "s", &text) > 0);
    assert_string_equal(text, "y");
    sd_bus_message_unref(reply);

    assert_int_equal(bus_send(w.bus, request(&w, "Echo", "z"), take_answer, &w), ERR_OK);
    assert_true(run_until(&w, has_answer, 1));
    assert_int_equal(w.last, ERR_OK);
    assert_int_equal(bus_send(w.bus, request(&w, "Never", NULL), take_answer, &w), ERR_OK);
    assert_true(run_until(&w, has_answer, 2));
    assert_int_equal(w.last, ERR_TIMEOUT);
    fake_service_stop(&service);
    assert_int_equal(call(&w, "Echo", "x"), ERR_NOT_FOUND);
    close_it(&w);
}

/* All are seen however many there are at once, also those that came while an answer was waited for; then nothing wakes the loop. */
static void signals(void **state)
{
    (void)state;
    struct watcher w;

    fake_service_start(&service);
    open_it(&w);
    fake_service_tell(&service, '9');
    assert_true(run_until(&w, has_changed, 90));
    fake_service_tell(&service, '9');
    assert_int_equal(call(&w, "Echo", "x"), ERR_OK);
    assert_int_equal(w.changed, 90);
    assert_true(run_until(&w, has_changed, 180));
    assert_int_equal(call(&w, "Echo", "x"), ERR_OK);
    fake_run_ms(w.loop, NULL, NULL, 20);
    assert_int_equal(w.changed, 180);
    assert_false(loop_timer_armed(&w.bus->timer));
    close_it(&w);
    fake_service_stop(&service);
}

/* Somebody else who says the same things, to us alone. */
static int nothing(struct fake_service *s, sd_bus_message *m)
{
    (void)s;
    (void)m;
    return 0;
}

static char stranger_target[BUS_NAME_MAX + 1];

static void stranger_order(struct fake_service *s, char order)
{
    sd_bus_message *m;

    (void)order;
    ASSERT(sd_bus_message_new_signal(s->bus, &m, OBJECT, "org.freedesktop.DBus.Properties",
                                     "PropertiesChanged") >= 0);
    ASSERT(sd_bus_message_append(m, "sa{sv}as", SERVICE, 0, 0) >= 0);
    ASSERT(sd_bus_send_to(s->bus, m, stranger_target, NULL) >= 0);
    sd_bus_message_unref(m);
    ASSERT(sd_bus_message_new_signal(s->bus, &m, DBUS_PATH, DBUS_NAME, "NameOwnerChanged") >= 0);
    ASSERT(sd_bus_message_append(m, "sss", SERVICE, "", ":1.1") >= 0);
    ASSERT(sd_bus_send_to(s->bus, m, stranger_target, NULL) >= 0);
    sd_bus_message_unref(m);
}

static void strangers(void **state)
{
    (void)state;
    struct fake_service stranger = {.path = OBJECT, .answer = nothing, .order = stranger_order};
    struct watcher w;
    const char *me;

    fake_service_start(&service);
    open_it(&w);
    assert_true(sd_bus_get_unique_name(w.bus->handle, &me) >= 0);
    snprintf(stranger_target, sizeof stranger_target, "%s", me);
    fake_service_start(&stranger);
    fake_service_tell(&stranger, 'x');
    fake_service_tell(&service, '1');
    assert_true(run_until(&w, has_changed, 10));
    assert_int_equal(w.changed, 10);
    assert_int_equal(w.started, 0);
    fake_service_stop(&stranger);
    close_it(&w);
    fake_service_stop(&service);
}

static void service_restart(void **state)
{
    (void)state;
    struct watcher w;

    open_it(&w);
    assert_int_equal(w.started, 0);
    fake_service_start(&service);
    assert_true(run_until(&w, has_started, 1));
    fake_service_tell(&service, '1');
    assert_true(run_until(&w, has_changed, 10));
    fake_service_stop(&service);
    fake_service_start(&service);
    assert_true(run_until(&w, has_started, 2));
    fake_service_tell(&service, '1');
    assert_true(run_until(&w, has_changed, 20));
    fake_service_tell(&service, 'q');
    fake_service_tell(&service, 'n');
    assert_true(run_until(&w, has_started, 3));
    assert_int_equal(w.in_force, 1);
    close_it(&w);
    fake_service_stop(&service);
}

static void bus_restart(void **state)
{
    (void)state;
    struct watcher w;
    char text[64] = "";

    fake_service_start(&service);
    open_it(&w);
    assert_int_equal(bus_send(w.bus, request(&w, "Never", NULL), take_answer, &w), ERR_OK);
    while (!strstr(text, "Never"))
        fake_service_read(&service, text, sizeof text);
    fake_bus_stop(&fake);
    fake_service_stop(&service);
    assert_true(run_until(&w, is_away, 0));
    assert_int_equal(w.answers, 1);
    assert_int_not_equal(w.last, ERR_OK);
    assert_null(request(&w, "Echo", "x"));
    assert_int_equal(call(&w, "Echo", "x"), ERR_CLOSED);
    assert_int_equal(bus_send(w.bus, NULL, take_answer, &w), ERR_CLOSED);
    assert_false(bus_ready(w.bus, bus_until()));

    /* the pauses grow */
    uint64_t pause = w.bus->pause_ms;
    assert_true(pause > 0);
    fake_run_ms(w.loop, NULL, NULL, 3 * PAUSE_FIRST_MS);
    assert_true(w.bus->pause_ms > pause);

    fake_bus_start(&fake);
    fake_service_start(&service);
    assert_true(run_until(&w, is_in_force, 2));
    assert_int_equal(w.bus->pause_ms, 0);
    fake_service_tell(&service, '1');
    assert_true(run_until(&w, has_changed, 10));
    assert_int_equal(call(&w, "Echo", "x"), ERR_OK);

    /* whoever cannot wait need not */
    fake_bus_stop(&fake);
    fake_service_stop(&service);
    assert_true(run_until(&w, is_away, 0));
    fake_bus_start(&fake);
    fake_service_start(&service);
    assert_true(bus_ready(w.bus, bus_until()));
    assert_int_equal(call(&w, "Echo", "x"), ERR_OK);
    assert_true(run_until(&w, is_in_force, 3));

    /* found out while waiting for an answer */
    fake_bus_stop(&fake);
    assert_int_equal(call(&w, "Echo", "x"), ERR_CLOSED);
    assert_true(run_until(&w, is_away, 0));
    fake_service_stop(&service);
    close_it(&w);
    fake_bus_start(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bus),          cmocka_unit_test(calls),
        cmocka_unit_test(signals),         cmocka_unit_test(strangers),
        cmocka_unit_test(service_restart), cmocka_unit_test(bus_restart),
    };
    log_set_level(LOG_ERROR);
    fake_bus_init(&fake);
    fake_bus_start(&fake);
    int failed = cmocka_run_group_tests_name("bus", tests, NULL, NULL);
    fake_service_stop(&service);
    fake_bus_fini(&fake);
    return failed;
}
