/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PropertiesChanged of org.freedesktop.NetworkManager. Its primary connection is an object path, "/" for none, which is numbered anew
 * when it starts; the UUID of the connection stays. One that starts says "/" first, and then mostly what was there before: until it
 * has a connection again its changes only count if that is another one.
 */
#include "platform/linux/nm_watch.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/linux/bus.h"

#define MODULE "nm_watch"

#define SERVICE    "org.freedesktop.NetworkManager"
#define OBJECT     "/org/freedesktop/NetworkManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define ACTIVE     SERVICE ".Connection.Active"
#define PRIMARY    "PrimaryConnection"
#define NO_PRIMARY "/"

enum {
    ID_MAX = 64
};

struct nm_watch {
    struct loop *loop;
    struct bus *bus;
    struct bus_watch watch;
    struct loop_timer tell; /* due at once: `moved` is called when sd-bus does not run */
    loop_fn moved;
    void *arg;
    char primary[ID_MAX]; /* UUID of the last one, or NO_PRIMARY; "": not known yet */
    bool settled;         /* false: after a start, until there is a connection */
};

static void tell_due(void *arg)
{
    struct nm_watch *w = arg;
    w->moved(w->arg);
}

static void tell_moved(struct nm_watch *w)
{
    loop_timer_set(w->loop, &w->tell, 0);
}

/*
 * What the primary connection is, in two questions: its path, and that path's UUID. Each is asked to know it, or to compare it with
 * the last one.
 */

static int path_known(sd_bus_message *m, void *arg, sd_bus_error *error);
static int path_compared(sd_bus_message *m, void *arg, sd_bus_error *error);
static int uuid_known(sd_bus_message *m, void *arg, sd_bus_error *error);
static int uuid_compared(sd_bus_message *m, void *arg, sd_bus_error *error);

/* It is not started for this. */
static void ask(struct nm_watch *w, const char *path, const char *iface, const char *property,
                sd_bus_message_handler_t done)
{
    sd_bus_message *m = bus_request(w->bus, SERVICE, path, PROPERTIES, "Get");

    if (m && (sd_bus_message_append(m, "ss", iface, property) < 0 ||
              sd_bus_message_set_auto_start(m, false) < 0))
        m = sd_bus_message_unref(m);
    if (bus_send(w->bus, m, done, w) != ERR_OK)
        log_debug(MODULE, "the system bus is away");
}

static void ask_path(struct nm_watch *w, bool compare)
{
    ask(w, OBJECT, SERVICE, PRIMARY, compare ? path_compared : path_known);
}

static void take_primary(struct nm_watch *w, const char *id, bool compare)
{
    bool other = strcmp(w->primary, id) != 0;

    w->settled = true;
    snprintf(w->primary, sizeof w->primary, "%s", id);
    if (other && compare)
        tell_moved(w);
}

static void take_path(struct nm_watch *w, const char *path, bool compare)
{
    if (strcmp(path, NO_PRIMARY) != 0)
        ask(w, path, ACTIVE, "Uuid", compare ? uuid_compared : uuid_known);
    else if (w->settled)
        take_primary(w, path, compare);
}

/* The value in an answer, NULL: it has none of that type. */
static const char *read_answer(sd_bus_message *m, const char *type)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const char *value = NULL;

    if (e)
        log_debug(MODULE, "NetworkManager: %s", bus_error_text(e));
    else if (sd_bus_message_read(m, "v", type, &value) < 0)
        log_debug(MODULE, "NetworkManager answers in an unknown form");
    return value;
}

static int path_answered(sd_bus_message *m, struct nm_watch *w, bool compare)
{
    const char *path = read_answer(m, "o");

    if (path)
        take_path(w, path, compare);
    return 0;
}

static int path_known(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    (void)error;
    return path_answered(m, arg, false);
}

static int path_compared(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    (void)error;
    return path_answered(m, arg, true);
}

static int uuid_answered(sd_bus_message *m, struct nm_watch *w, bool compare)
{
    const char *uuid = read_answer(m, "s");

    if (uuid)
        take_primary(w, uuid, compare);
    return 0;
}

static int uuid_known(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    (void)error;
    return uuid_answered(m, arg, false);
}

static int uuid_compared(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    (void)error;
    return uuid_answered(m, arg, true);
}

/* Signals */

/* 1: PrimaryConnection is in it, and *path its value or NULL; 0: it is not; negative: not the documented types. */
static int read_changed(sd_bus_message *m, const char **path)
{
    const char *name;
    bool found = false;
    int r = sd_bus_message_skip(m, "s");

    *path = NULL;
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = sd_bus_message_read(m, "s", &name);
        bool is_it = r >= 0 && strcmp(name, PRIMARY) == 0;
        if (r >= 0)
            r = is_it ? sd_bus_message_read(m, "v", "o", path) : sd_bus_message_skip(m, "v");
        found = found || is_it;
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "s");
    while (r >= 0 && (r = sd_bus_message_read(m, "s", &name)) > 0)
        found = found || strcmp(name, PRIMARY) == 0;
    return r < 0 ? r : found;
}

static void properties_changed(void *arg, sd_bus_message *m)
{
    struct nm_watch *w = arg;
    const char *path;
    int r = read_changed(m, &path);

    if (r < 0)
        log_debug(MODULE, "NetworkManager tells of changes in an unknown form");
    if (r <= 0)
        return;
    if (!w->settled) {
        ask_path(w, true);
        return;
    }
    if (path)
        take_path(w, path, false);
    else
        ask_path(w, false);
    tell_moved(w);
}

/* With or without a signal: it may have been connected before anyone could listen. */
static void renewed(void *arg, enum bus_renewal what)
{
    struct nm_watch *w = arg;

    (void)what;
    w->settled = false;
    ask_path(w, w->primary[0] != '\0');
}

enum err nm_watch_new(struct nm_watch **out, struct loop *l, loop_fn moved, void *arg)
{
    struct nm_watch *w = mem_zalloc(1, sizeof *w);
    char why[256];

    *out = NULL;
    w->loop = l;
    w->moved = moved;
    w->arg = arg;
    loop_timer_init(&w->tell, tell_due, w);
    w->watch = (struct bus_watch){.service = SERVICE,
                                  .path = OBJECT,
                                  .iface = SERVICE,
                                  .changed = properties_changed,
                                  .renewed = renewed,
                                  .arg = w};
    enum err err = bus_open(&w->bus, l, why, sizeof why);
    if (err != ERR_OK) {
        log_debug(MODULE, "%s", why);
        nm_watch_free(w);
        return err;
    }
    bus_watch(w->bus, &w->watch);
    *out = w;
    return ERR_OK;
}

void nm_watch_free(struct nm_watch *w)
{
    if (!w)
        return;
    loop_timer_clear(w->loop, &w->tell);
    bus_close(w->bus);
    free(w);
}
