/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One descriptor and one timer of the loop stand for all of sd-bus: after each of its functions that sends or receives, both are
 * set to what it waits for. Slots are floating, so that everything registered with a connection ends with it.
 */
#include "platform/linux/bus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/linux/why.h"

#define MODULE "bus"

#define DBUS_NAME  "org.freedesktop.DBus"
#define DBUS_PATH  "/org/freedesktop/DBus"
#define DBUS_ERROR DBUS_NAME ".Error."

enum {
    STEP_MESSAGES = 16, /* per iteration of the loop, then others have their turn */
    PAUSE_FIRST_MS = 250,
    PAUSE_MAX_MS = 32000,
    MATCH_MAX = 1024
};

struct bus {
    struct loop *loop;
    sd_bus *handle; /* NULL: away */
    int fd;         /* as the loop knows it; -1: it does not */
    bool broken;    /* the connection is of no use: to be ended when no callback runs */
    struct loop_timer timer;
    uint64_t pause_ms; /* the last one between two attempts; 0: all is well */
    struct bus_watch *watches;
};

static int connect_again(struct bus *b);

/* The loop's clock counts suspend, sd-bus' does not: what is left is the same in both unless the machine sleeps. */
static time_ns from_monotonic(uint64_t usec)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t now_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    /* rounded up: sd-bus must find it due */
    return clock_now() + (usec > now_us ? (usec - now_us + 1) * NS_PER_US : 0);
}

static void fd_forget(struct bus *b)
{
    if (b->fd >= 0)
        loop_del_fd(b->loop, b->fd);
    b->fd = -1;
}

static void schedule_again(struct bus *b)
{
    b->pause_ms = b->pause_ms == 0 ? PAUSE_FIRST_MS : b->pause_ms * 2;
    if (b->pause_ms > PAUSE_MAX_MS)
        b->pause_ms = PAUSE_MAX_MS;
    loop_timer_set(b->loop, &b->timer, clock_now() + b->pause_ms * NS_PER_MS);
}

static void drop_connection(struct bus *b)
{
    fd_forget(b);
    sd_bus_close_unref(b->handle);
    b->handle = NULL;
    b->broken = false;
    for (struct bus_watch *w = b->watches; w; w = w->next)
        w->owner[0] = '\0';
}

static void lost(struct bus *b, int r)
{
    drop_connection(b);
    if (b->pause_ms == 0)
        log_warn(MODULE, "the system bus is away (%s), trying to connect again", strerror(-r));
    schedule_again(b);
}

static void break_off(struct bus *b)
{
    b->broken = true;
    loop_timer_set(b->loop, &b->timer, 0);
}

static void fd_ready(void *arg, unsigned events);

/* Sets descriptor and timer to what sd-bus waits for. more: there is something to process already. */
static void rearm(struct bus *b, bool more)
{
    int fd = sd_bus_get_fd(b->handle), events = sd_bus_get_events(b->handle);
    uint64_t due = 0;
    unsigned wanted = 0;

    /* A connection that has ended says so when it is processed. */
    if (fd < 0 || events < 0 || sd_bus_get_timeout(b->handle, &due) < 0) {
        fd_forget(b);
        loop_timer_set(b->loop, &b->timer, 0);
        return;
    }
    if (events & POLLIN)
        wanted |= LOOP_READ;
    if (events & POLLOUT)
        wanted |= LOOP_WRITE;
    if (fd != b->fd) {
        fd_forget(b);
        if (loop_add_fd(b->loop, fd, wanted, fd_ready, b) != ERR_OK) {
            break_off(b);
            return;
        }
        b->fd = fd;
    } else if (loop_mod_fd(b->loop, fd, wanted) != ERR_OK) {
        break_off(b);
        return;
    }
    if (more || due == 0 || b->broken)
        loop_timer_set(b->loop, &b->timer, 0);
    else
        loop_timer_set(b->loop, &b->timer, due == UINT64_MAX ? TIME_NEVER : from_monotonic(due));
}

static void process(struct bus *b)
{
    int r = 1;

    for (unsigned n = 0; r > 0 && !b->broken && n < STEP_MESSAGES; n++)
        r = sd_bus_process(b->handle, NULL);
    if (b->broken)
        r = -EPROTO;
    if (r < 0)
        lost(b, r);
    else
        rearm(b, r > 0);
}

static void fd_ready(void *arg, unsigned events)
{
    (void)events;
    process(arg);
}

static void timer_due(void *arg)
{
    struct bus *b = arg;

    if (b->handle) {
        process(b);
        return;
    }
    int r = connect_again(b);
    if (r < 0) {
        log_debug(MODULE, "the system bus is still away: %s", strerror(-r));
        schedule_again(b);
    }
}

/* Watches */

static int properties_changed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct bus_watch *w = arg;
    const char *sender = sd_bus_message_get_sender(m);

    (void)error;
    if (sender && w->owner[0] != '\0' && strcmp(sender, w->owner) == 0)
        w->changed(w->arg, m);
    return 0;
}

static int owner_changed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct bus_watch *w = arg;
    const char *sender = sd_bus_message_get_sender(m), *name, *before, *owner;

    (void)error;
    if (!sender || strcmp(sender, DBUS_NAME) != 0 ||
        sd_bus_message_read(m, "sss", &name, &before, &owner) < 0 || strcmp(name, w->service) != 0)
        return 0;
    snprintf(w->owner, sizeof w->owner, "%s", owner);
    log_debug(MODULE, "%s %s", w->service, owner[0] != '\0' ? "has started" : "has ended");
    if (owner[0] != '\0')
        w->renewed(w->arg, BUS_SERVICE_STARTED);
    return 0;
}

/* The answer comes after those to what was sent before: the matches are in force. */
static int owner_known(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct bus_watch *w = arg;
    const char *owner = "";

    (void)error;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e ? bus_error_class(e) != ERR_NOT_FOUND : sd_bus_message_read(m, "s", &owner) < 0) {
        /* One that ends already has more to say. */
        if (sd_bus_is_open(w->bus->handle) > 0)
            break_off(w->bus);
        return 0;
    }
    snprintf(w->owner, sizeof w->owner, "%s", owner);
    if (w->bus->pause_ms > 0)
        log_info(MODULE, "the system bus is back");
    w->bus->pause_ms = 0;
    w->renewed(w->arg, BUS_WATCH_IN_FORCE);
    return 0;
}

/* If the bus refuses a match, sd-bus ends the connection. */
static int watch_start(struct bus_watch *w)
{
    sd_bus *handle = w->bus->handle;
    char match[MATCH_MAX];
    int n, r;

    n = snprintf(match, sizeof match,
                 "type='signal',sender='%s',path='%s',interface='%s.Properties',"
                 "member='PropertiesChanged'%s%s%s",
                 w->service, w->path, DBUS_NAME, w->iface ? ",arg0='" : "",
                 w->iface ? w->iface : "", w->iface ? "'" : "");
    ASSERT(n > 0 && (size_t)n < sizeof match);
    r = sd_bus_add_match_async(handle, NULL, match, properties_changed, NULL, w);
    if (r < 0)
        return r;
    n = snprintf(match, sizeof match,
                 "type='signal',sender='%s',path='%s',interface='%s',member='NameOwnerChanged',"
                 "arg0='%s'",
                 DBUS_NAME, DBUS_PATH, DBUS_NAME, w->service);
    ASSERT(n > 0 && (size_t)n < sizeof match);
    r = sd_bus_add_match_async(handle, NULL, match, owner_changed, NULL, w);
    if (r < 0)
        return r;
    return sd_bus_call_method_async(handle, NULL, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetNameOwner",
                                    owner_known, w, "s", w->service);
}

void bus_watch(struct bus *b, struct bus_watch *w)
{
    ASSERT(strlen(w->service) <= BUS_NAME_MAX);
    w->bus = b;
    w->owner[0] = '\0';
    w->next = b->watches;
    b->watches = w;
    if (!b->handle)
        return;
    if (watch_start(w) < 0)
        break_off(b);
    else
        rearm(b, false);
}

/* The connection */

static int connect_again(struct bus *b)
{
    int r = sd_bus_open_system_with_description(&b->handle, "firezone");

    if (r < 0) {
        b->handle = NULL;
        return r;
    }
    for (struct bus_watch *w = b->watches; w && r >= 0; w = w->next)
        r = watch_start(w);
    if (r < 0) {
        drop_connection(b);
        return r;
    }
    rearm(b, false);
    return 0;
}

time_ns bus_until(void)
{
    return clock_now() + BUS_CALL_MS * NS_PER_MS;
}

/* Microseconds until `until`, 0: none. */
static uint64_t time_left(time_ns until)
{
    return time_since(until, clock_now()) / NS_PER_US;
}

/* The handshake, which no other message can precede. 0 or a negative errno. */
static int wait_ready(struct bus *b, time_ns until)
{
    if (b->handle && (b->broken || sd_bus_is_open(b->handle) <= 0))
        drop_connection(b);
    int r = b->handle ? 0 : connect_again(b);

    while (r >= 0) {
        r = sd_bus_is_ready(b->handle);
        if (r != 0)
            break;
        r = sd_bus_process(b->handle, NULL);
        if (r != 0)
            continue;
        uint64_t left = time_left(until);
        if (left == 0)
            return -ETIMEDOUT;
        r = sd_bus_wait(b->handle, left);
        if (r == -EINTR)
            r = 0;
    }
    return r < 0 ? r : 0;
}

bool bus_ready(struct bus *b, time_ns until)
{
    int r = wait_ready(b, until);

    if (b->handle)
        rearm(b, false);
    else if (!loop_timer_armed(&b->timer))
        schedule_again(b);
    return r == 0;
}

enum err bus_open(struct bus **out, struct loop *l, char *why, unsigned why_size)
{
    struct bus *b = mem_zalloc(1, sizeof *b);
    struct why text = {why, why_size};

    *out = NULL;
    b->loop = l;
    b->fd = -1;
    loop_timer_init(&b->timer, timer_due, b);
    int r = wait_ready(b, bus_until());
    if (r == 0) {
        rearm(b, false);
        *out = b;
        return ERR_OK;
    }
    bus_close(b);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return why_fail(text, ERR_NOT_FOUND, "the system bus (D-Bus) does not run: start dbus");
    if (r == -ETIMEDOUT)
        return why_fail(text, ERR_TIMEOUT,
                        "the system bus (D-Bus) does not answer: see whether dbus runs well");
    return why_fail(text, err_from_errno(-r), "cannot connect to the system bus (D-Bus): %s",
                    strerror(-r));
}

void bus_close(struct bus *b)
{
    if (!b)
        return;
    loop_timer_clear(b->loop, &b->timer);
    fd_forget(b);
    sd_bus_close_unref(b->handle);
    free(b);
}

/* Calls */

sd_bus_message *bus_request(struct bus *b, const char *service, const char *path, const char *iface,
                            const char *member)
{
    sd_bus_message *m = NULL;

    if (!b->handle ||
        sd_bus_message_new_method_call(b->handle, &m, service, path, iface, member) < 0)
        return NULL;
    return m;
}

enum err bus_call(struct bus *b, sd_bus_message *m, time_ns until, sd_bus_error *error,
                  sd_bus_message **reply)
{
    if (reply)
        *reply = NULL;
    if (!m || !b->handle) {
        sd_bus_message_unref(m);
        sd_bus_error_set_const(error, SD_BUS_ERROR_DISCONNECTED, "the system bus is away");
        return ERR_CLOSED;
    }
    uint64_t left = time_left(until);
    /* 0 would mean sd-bus' own, long limit */
    int r = sd_bus_call(b->handle, m, left > 0 ? left : 1, error, reply);
    sd_bus_message_unref(m);
    rearm(b, false); /* others' messages may have been read */
    if (r >= 0)
        return ERR_OK;
    if (!sd_bus_error_is_set(error))
        sd_bus_error_set_errno(error, r);
    return bus_error_class(error);
}

enum err bus_send(struct bus *b, sd_bus_message *m, sd_bus_message_handler_t done, void *arg)
{
    int r = -ENOTCONN;

    if (m && b->handle) {
        r = sd_bus_call_async(b->handle, NULL, m, done, arg, BUS_CALL_MS * 1000);
        rearm(b, false);
    }
    sd_bus_message_unref(m);
    return r >= 0 ? ERR_OK : ERR_CLOSED;
}

enum err bus_error_class(const sd_bus_error *e)
{
    static const struct {
        const char *name;
        enum err err;
    } classes[] = {
        {DBUS_ERROR "ServiceUnknown", ERR_NOT_FOUND},
        {DBUS_ERROR "NameHasNoOwner", ERR_NOT_FOUND},
        {DBUS_ERROR "Spawn.", ERR_NOT_FOUND}, /* the bus could not start it */
        {"org.freedesktop.systemd1.", ERR_NOT_FOUND},
        {DBUS_ERROR "AccessDenied", ERR_PERMISSION},
        {DBUS_ERROR "AuthFailed", ERR_PERMISSION},
        {DBUS_ERROR "InteractiveAuthorizationRequired", ERR_PERMISSION},
        {"org.freedesktop.PolicyKit1.Error.NotAuthorized", ERR_PERMISSION},
        {DBUS_ERROR "NoReply", ERR_TIMEOUT},
        {DBUS_ERROR "Timeout", ERR_TIMEOUT},
        {DBUS_ERROR "TimedOut", ERR_TIMEOUT},
        {DBUS_ERROR "Disconnected", ERR_CLOSED},
        {"System.Error.ECONNRESET", ERR_CLOSED},
        {"System.Error.ENOTCONN", ERR_CLOSED},
        {DBUS_ERROR "UnknownMethod", ERR_UNSUPPORTED},
        {DBUS_ERROR "UnknownObject", ERR_UNSUPPORTED},
        {DBUS_ERROR "UnknownInterface", ERR_UNSUPPORTED},
        {DBUS_ERROR "UnknownProperty", ERR_UNSUPPORTED},
    };

    for (unsigned i = 0; e->name && i < sizeof classes / sizeof classes[0]; i++) {
        size_t len = strlen(classes[i].name);
        bool family = classes[i].name[len - 1] == '.';
        if (family ? strncmp(e->name, classes[i].name, len) == 0
                   : strcmp(e->name, classes[i].name) == 0)
            return classes[i].err;
    }
    return ERR_IO;
}

const char *bus_error_text(const sd_bus_error *e)
{
    if (e->message && e->message[0] != '\0')
        return e->message;
    return e->name ? e->name : "no answer";
}
