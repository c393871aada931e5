/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PropertiesChanged of org.freedesktop.NetworkManager. The primary connection is known by its object path; "/" means that there is
 * none. One that starts says "/" first, and then often the same as the one before it: until it has a connection again its changes
 * only count if the path is another one.
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
#define PRIMARY    "PrimaryConnection"

enum {
    PATH_TEXT_MAX = 256
};

struct nm_watch {
    struct loop *loop;
    struct bus *bus;
    struct bus_watch watch;
    struct loop_timer tell; /* due at once: `moved` is called when sd-bus does not run */
    loop_fn moved;
    void *arg;
    char primary[PATH_TEXT_MAX]; /* the last one; "": not known yet */
    bool settled;                /* false: after a start, until there is a connection */
    bool baseline;               /* what comes next is what there is, not a move */
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

static void remember(struct nm_watch *w, const char *path)
{
    snprintf(w->primary, sizeof w->primary, "%s", path);
}

static bool is_none(const char *path)
{
    return strcmp(path, "/") == 0;
}

/* The answer to what the primary connection is. */
static void take_answer(struct nm_watch *w, const char *path)
{
    bool baseline = w->baseline;

    w->baseline = false;
    if (!w->settled && is_none(path))
        return;
    bool other = strcmp(w->primary, path) != 0;
    bool counts = !w->settled && !baseline;
    w->settled = true;
    remember(w, path);
    if (other && counts)
        tell_moved(w);
}

static int answered(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct nm_watch *w = arg;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const char *path;

    (void)error;
    if (e) {
        w->baseline = false;
        log_debug(MODULE, "NetworkManager: %s", bus_error_text(e));
        return 0;
    }
    if (sd_bus_message_read(m, "v", "o", &path) < 0) {
        log_debug(MODULE, "NetworkManager names its primary connection in an unknown form");
        return 0;
    }
    take_answer(w, path);
    return 0;
}

/* It is not started for this. */
static void ask(struct nm_watch *w)
{
    sd_bus_message *m = bus_request(w->bus, SERVICE, OBJECT, PROPERTIES, "Get");

    if (m && (sd_bus_message_append(m, "ss", SERVICE, PRIMARY) < 0 ||
              sd_bus_message_set_auto_start(m, false) < 0))
        m = sd_bus_message_unref(m);
    if (bus_send(w->bus, m, answered, w) != ERR_OK)
        log_debug(MODULE, "the system bus is away");
}

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
        w->baseline = false;
        ask(w);
        return;
    }
    if (path)
        remember(w, path);
    else
        ask(w);
    tell_moved(w);
}

static void renewed(void *arg, enum bus_renewal what)
{
    struct nm_watch *w = arg;

    w->settled = false;
    w->baseline = false;
    if (what == BUS_WATCH_IN_FORCE) {
        w->baseline = w->primary[0] == '\0';
        ask(w);
    }
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
