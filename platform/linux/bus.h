/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system bus (D-Bus), attached to an event loop, over libsystemd's sd-bus. Control role: all calls and all callbacks are
 * of the loop's thread. Source: the D-Bus specification, sd-bus(3), spec/platform.md 2.6.
 *
 * The bus may go away: what waits for an answer gets an error, it is connected to again with growing pauses, the watches are put
 * in force again, and their owners are told. While nothing is sent or received it never wakes the loop up.
 *
 *   sd_bus_message *m = bus_request(b, "org.example", "/org/example", "org.example.Manager", "Flush");
 *   ... sd_bus_message_append ...
 *   err = bus_call(b, m, until, &error, &reply);
 */
#ifndef FZ_LINUX_BUS_H
#define FZ_LINUX_BUS_H

#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "platform/base/err.h"
#include "platform/base/time.h"
#include "platform/loop.h"

enum {
    BUS_CALL_MS = 2000, /* the longest that anything here waits */
    BUS_NAME_MAX = 255
};

struct bus;

/* Why what was learned of a service may be old. */
enum bus_renewal {
    BUS_WATCH_IN_FORCE,  /* the watch is, for the first time or again after the bus was away */
    BUS_SERVICE_STARTED, /* the service was not there before, or is another process now */
};

/*
 * A watched object of a service. Embedded in its owner, who lives until bus_close and does not call that from a callback. Signals
 * from anyone but the service are not reported.
 */
struct bus_watch {
    const char *service; /* its well-known name */
    const char *path;
    const char *iface; /* whose properties; NULL: all of the object */
    /* m: the body of PropertiesChanged, unread. */
    void (*changed)(void *arg, sd_bus_message *m);
    void (*renewed)(void *arg, enum bus_renewal what);
    void *arg;

    /* bus.c's own */
    struct bus *bus;
    struct bus_watch *next;
    char owner[BUS_NAME_MAX + 1]; /* the service's unique name, "" while it is not there */
};

/*
 * Connects to DBUS_SYSTEM_BUS_ADDRESS or to the system's own. Waits for it at most BUS_CALL_MS. ERR_NOT_FOUND: no bus runs. On
 * failure `why` is one clear sentence.
 */
enum err bus_open(struct bus **out, struct loop *l, char *why, unsigned why_size) MUST_USE;
/* What waits for an answer never gets one. Not from a callback of it. NULL is fine. */
void bus_close(struct bus *b);

/* From now on; a service that starts later counts, too. */
void bus_watch(struct bus *b, struct bus_watch *w);

/* BUS_CALL_MS from now. */
time_ns bus_until(void);
/* True if the bus is there, or is again before `until`: it does not wait for the end of a pause. Not from a callback of a bus. */
bool bus_ready(struct bus *b, time_ns until) MUST_USE;

/* An empty method call; NULL: the bus is away. */
sd_bus_message *bus_request(struct bus *b, const char *service, const char *path, const char *iface,
                            const char *member);

/*
 * Sends `m` (which is given away; NULL: ERR_CLOSED) and waits for the answer until `until`. *reply (NULL: not wanted) is the
 * caller's to unref. error: set on failure, to be freed by the caller; initialise it with SD_BUS_ERROR_NULL. Returns ERR_OK or
 * what bus_error_class makes of the error.
 */
enum err bus_call(struct bus *b, sd_bus_message *m, time_ns until, sd_bus_error *error,
                  sd_bus_message **reply) MUST_USE;

/*
 * Sends `m` (given away; NULL: ERR_CLOSED). Within BUS_CALL_MS `done` gets the answer, or an error of the same form, or, if the bus
 * goes away, perhaps nothing before the watches are renewed.
 */
enum err bus_send(struct bus *b, sd_bus_message *m, sd_bus_message_handler_t done,
                  void *arg) MUST_USE;

/*
 * ERR_NOT_FOUND: the service does not run. ERR_PERMISSION, ERR_TIMEOUT, ERR_CLOSED (the bus is away), ERR_UNSUPPORTED (the service
 * does not know the call), ERR_IO: anything else that a service may say.
 */
enum err bus_error_class(const sd_bus_error *e);
/* For a sentence; never NULL. */
const char *bus_error_text(const sd_bus_error *e);

#endif
