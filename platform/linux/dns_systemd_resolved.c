/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd-resolved gets our servers for the TUN's link and asks them for all names. It forgets them with the link, so nothing is
 * left of a run that was killed; what it forgets when it starts anew itself it is told again. Source: org.freedesktop.resolve1(5),
 * spec/platform.md 2.5.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/linux/bus.h"
#include "platform/linux/dns_method.h"
#include "platform/linux/resolved_servers.h"
#include "platform/linux/why.h"

#define MODULE "dns_control"

#define SERVICE      "org.freedesktop.resolve1"
#define OBJECT       "/org/freedesktop/resolve1"
#define MANAGER      SERVICE ".Manager"
#define PROPERTIES   "org.freedesktop.DBus.Properties"
#define NO_SUCH_LINK SERVICE ".NoSuchLink"

enum {
    DEBOUNCE_MS = 200,
    LINK_RETRY_MS = 20,
    DOMAIN_TEXT_MAX = 256
};

struct resolved {
    struct loop *loop;
    struct bus *bus;
    struct bus_watch watch;
    struct loop_timer debounce;
    loop_fn changed;
    void *arg;
    /* What it has been told; no servers: nothing. */
    struct dns_settings told;
    char tun_name[IF_NAMESIZE];
    char search[DNS_SEARCH_MAX][DOMAIN_TEXT_MAX];
    bool flush_warned;
};

/* What it is told of the link, one call each */

static int put_servers(sd_bus_message *m, const struct dns_settings *s)
{
    int r = sd_bus_message_open_container(m, 'a', "(iay)");

    for (unsigned i = 0; i < s->servers_n && r >= 0; i++) {
        const struct ip_addr *ip = &s->servers[i];
        r = sd_bus_message_open_container(m, 'r', "iay");
        if (r >= 0)
            r = sd_bus_message_append(m, "i", ip->family == ADDR_V4 ? AF_INET : AF_INET6);
        if (r >= 0)
            r = sd_bus_message_append_array(m, 'y', ip->bytes, ip_addr_len(ip));
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* A domain is searched and asked for here; a route-only one is only asked for here, and "." is all of them. */
static int put_domains(sd_bus_message *m, const struct dns_settings *s)
{
    int r = sd_bus_message_open_container(m, 'a', "(sb)");

    for (unsigned i = 0; i < s->search_n && r >= 0; i++)
        r = sd_bus_message_append(m, "(sb)", s->search[i], false);
    if (r >= 0)
        r = sd_bus_message_append(m, "(sb)", ".", true);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_default_route(sd_bus_message *m, const struct dns_settings *s)
{
    (void)s;
    return sd_bus_message_append(m, "b", true);
}

/* Without it resolved does not ask here for names of a single label. */
static int put_llmnr(sd_bus_message *m, const struct dns_settings *s)
{
    (void)s;
    return sd_bus_message_append(m, "s", "yes");
}

/* Our stub speaks plain DNS and signs nothing, whatever the system wants of others. */
static int put_no(sd_bus_message *m, const struct dns_settings *s)
{
    (void)s;
    return sd_bus_message_append(m, "s", "no");
}

static const struct setting {
    const char *member;
    int (*put)(sd_bus_message *m, const struct dns_settings *s);
    bool optional; /* an older resolved does not know it, and does the same without */
} settings[] = {
    {"SetLinkDNS", put_servers, false},
    {"SetLinkDomains", put_domains, false},
    {"SetLinkDefaultRoute", put_default_route, true},
    {"SetLinkDNSOverTLS", put_no, true},
    {"SetLinkDNSSEC", put_no, false},
    {"SetLinkLLMNR", put_llmnr, false},
};

enum {
    SETTINGS_N = sizeof settings / sizeof settings[0]
};

static sd_bus_message *request_link(struct resolved *d, const char *member, uint32_t ifindex)
{
    sd_bus_message *m = bus_request(d->bus, SERVICE, OBJECT, MANAGER, member);

    if (m && sd_bus_message_append(m, "i", (int)ifindex) < 0)
        m = sd_bus_message_unref(m);
    return m;
}

static sd_bus_message *request_setting(struct resolved *d, const struct setting *setting,
                                       const struct dns_settings *s)
{
    sd_bus_message *m = request_link(d, setting->member, s->tun_ifindex);

    if (m && setting->put(m, s) < 0)
        m = sd_bus_message_unref(m);
    return m;
}

/* Errors */

static bool is_no_such_link(const sd_bus_error *e)
{
    return e->name && strcmp(e->name, NO_SUCH_LINK) == 0;
}

/* doing: what it was asked for, as in "cannot ..." */
static enum err explain(struct why why, enum err err, const sd_bus_error *e, const char *doing)
{
    if (err == ERR_NOT_FOUND || err == ERR_CLOSED)
        return why_fail(why, err,
                        "systemd-resolved does not run: start it, or use --dns-control "
                        "etc-resolv-conf or disabled");
    if (err == ERR_PERMISSION)
        return why_fail(
            why, err,
            "systemd-resolved does not let this user %s (%s): run as root, or have polkit "
            "allow the actions " SERVICE ".*",
            doing, bus_error_text(e));
    if (err == ERR_TIMEOUT)
        return why_fail(why, err,
                        "systemd-resolved does not answer: restart it, or use --dns-control "
                        "etc-resolv-conf or disabled");
    return why_fail(why, err, "systemd-resolved cannot %s: %s", doing, bus_error_text(e));
}

/* Whom it asks */

/* *reply: all properties, the caller's to unref. */
static enum err get_properties(struct resolved *d, sd_bus_message **reply, struct why why)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    time_ns until = bus_until();
    enum err err = ERR_CLOSED;

    *reply = NULL;
    if (bus_ready(d->bus, until)) {
        sd_bus_message *m = bus_request(d->bus, SERVICE, OBJECT, PROPERTIES, "GetAll");
        if (m && sd_bus_message_append(m, "s", MANAGER) < 0)
            m = sd_bus_message_unref(m);
        err = bus_call(d->bus, m, until, &error, reply);
    }
    if (err != ERR_OK)
        err = explain(why, err, &error, "tell its DNS servers");
    sd_bus_error_free(&error);
    return err;
}

static enum err resolved_resolvers(void *self, struct sock_addr out[RESOLVERS_MAX], unsigned *n,
                                   char *why, unsigned why_size)
{
    struct resolved *d = self;
    struct why text = {why, why_size};
    sd_bus_message *reply;
    enum err err = get_properties(d, &reply, text);

    *n = 0;
    if (err != ERR_OK)
        return err;
    err = resolved_servers_read(reply, d->told.tun_ifindex, out, n);
    sd_bus_message_unref(reply);
    if (err != ERR_OK) {
        log_warn(MODULE, "systemd-resolved lists its DNS servers in an unknown form");
        return why_fail(
            text, err,
            "systemd-resolved lists its DNS servers in an unknown form: use --dns-control "
            "etc-resolv-conf or disabled");
    }
    return ERR_OK;
}

/* Setting and taking back */

/* A link that was made a moment ago may not have come to its knowledge yet. */
static bool link_may_come(const struct dns_settings *s, const sd_bus_error *error, time_ns until)
{
    char name[IF_NAMESIZE];

    if (!is_no_such_link(error) || !if_indextoname(s->tun_ifindex, name) || clock_now() >= until)
        return false;
    poll(NULL, 0, LINK_RETRY_MS);
    return true;
}

static enum err apply(struct resolved *d, const struct setting *setting,
                      const struct dns_settings *s, time_ns until, struct why why)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    enum err err;
    char doing[64];

    for (;;) {
        sd_bus_message *m = request_setting(d, setting, s);
        if (!m)
            return why_fail(why, ERR_INVALID, "%s: cannot put it into a message", setting->member);
        err = bus_call(d->bus, m, until, &error, NULL);
        if (err == ERR_OK || !link_may_come(s, &error, until))
            break;
        sd_bus_error_free(&error);
    }
    if (err == ERR_UNSUPPORTED && setting->optional)
        err = ERR_OK;
    snprintf(doing, sizeof doing, "take DNS servers for %s", s->tun_name);
    if (err != ERR_OK)
        err = explain(why, err, &error, doing);
    sd_bus_error_free(&error);
    return err;
}

static int told_again(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct resolved *d = arg;
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)error;
    if (!e || bus_error_class(e) == ERR_UNSUPPORTED)
        return 0;
    if (is_no_such_link(e) || bus_error_class(e) == ERR_NOT_FOUND)
        log_debug(MODULE, "%s is not set up again: %s", d->tun_name, bus_error_text(e));
    else
        log_warn(MODULE, "systemd-resolved does not take DNS servers for %s again: %s", d->tun_name,
                 bus_error_text(e));
    return 0;
}

static void tell_again(struct resolved *d)
{
    for (unsigned i = 0; i < SETTINGS_N; i++) {
        sd_bus_message *m = request_setting(d, &settings[i], &d->told);
        if (bus_send(d->bus, m, told_again, d) != ERR_OK)
            return; /* the bus is away: the next renewal comes */
    }
}

static void forget(struct resolved *d)
{
    d->told = (struct dns_settings){.tun_ifindex = d->told.tun_ifindex};
}

static void remember(struct resolved *d, const struct dns_settings *s)
{
    d->told = *s;
    snprintf(d->tun_name, sizeof d->tun_name, "%s", s->tun_name);
    d->told.tun_name = d->tun_name;
    for (unsigned i = 0; i < s->search_n; i++) {
        snprintf(d->search[i], sizeof d->search[i], "%s", s->search[i]);
        d->told.search[i] = d->search[i];
    }
}

static int reverted(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)arg;
    (void)error;
    if (e)
        log_debug(MODULE, "systemd-resolved: %s", bus_error_text(e));
    return 0;
}

/* It is not started for this. */
static sd_bus_message *request_revert(struct resolved *d, uint32_t ifindex)
{
    sd_bus_message *m = request_link(d, "RevertLink", ifindex);

    if (m && sd_bus_message_set_auto_start(m, false) < 0)
        m = sd_bus_message_unref(m);
    return m;
}

static enum err resolved_set(void *self, const struct dns_settings *s, char *why, unsigned why_size)
{
    struct resolved *d = self;
    struct why text = {why, why_size};
    time_ns until = bus_until();
    enum err err = ERR_OK;

    ASSERT(s->servers_n <= DNS_SERVERS_MAX && s->search_n <= DNS_SEARCH_MAX);
    if (s->servers_n == 0) {
        log_warn(MODULE, "no DNS servers for %s: systemd-resolved keeps what it has", s->tun_name);
        return ERR_OK;
    }
    for (unsigned i = 0; i < s->search_n; i++) {
        if (strlen(s->search[i]) >= DOMAIN_TEXT_MAX)
            return why_fail(text, ERR_INVALID, "a search domain is too long");
    }
    if (!bus_ready(d->bus, until))
        err = explain(text, ERR_CLOSED, NULL, "");
    for (unsigned i = 0; i < SETTINGS_N && err == ERR_OK; i++)
        err = apply(d, &settings[i], s, until, text);
    if (err == ERR_OK) {
        remember(d, s);
        return ERR_OK;
    }
    /* Some of it may be in force, or what was set before. It may not answer: it is not waited for. */
    d->told.tun_ifindex = s->tun_ifindex;
    forget(d);
    if (bus_send(d->bus, request_revert(d, s->tun_ifindex), reverted, d) != ERR_OK)
        log_debug(MODULE, "the system bus is away: nothing is taken back");
    return err;
}

static void resolved_revert(void *self)
{
    struct resolved *d = self;
    sd_bus_error error = SD_BUS_ERROR_NULL;

    if (d->told.servers_n == 0)
        return;
    sd_bus_message *m = request_revert(d, d->told.tun_ifindex);
    enum err err = bus_call(d->bus, m, bus_until(), &error, NULL);
    if (err == ERR_NOT_FOUND || err == ERR_CLOSED || is_no_such_link(&error))
        log_debug(MODULE, "systemd-resolved: %s", bus_error_text(&error));
    else if (err != ERR_OK)
        log_warn(MODULE, "systemd-resolved does not give %s its DNS servers back: %s", d->tun_name,
                 bus_error_text(&error));
    sd_bus_error_free(&error);
    forget(d);
}

static int flushed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct resolved *d = arg;
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)error;
    if (!e)
        return 0;
    log_write(d->flush_warned ? LOG_DEBUG : LOG_WARN, MODULE,
              "systemd-resolved does not forget the answers that it has kept: %s",
              bus_error_text(e));
    d->flush_warned = true;
    return 0;
}

static void resolved_flush(void *self)
{
    struct resolved *d = self;
    sd_bus_message *m = bus_request(d->bus, SERVICE, OBJECT, MANAGER, "FlushCaches");

    if (m && sd_bus_message_set_auto_start(m, false) < 0)
        m = sd_bus_message_unref(m);
    if (bus_send(d->bus, m, flushed, d) != ERR_OK)
        log_debug(MODULE, "the system bus is away: no answers are forgotten");
}

/* Changes */

static void debounce_due(void *arg)
{
    struct resolved *d = arg;
    d->changed(d->arg);
}

static void tell_changed(struct resolved *d)
{
    if (!loop_timer_armed(&d->debounce))
        loop_timer_set(d->loop, &d->debounce, clock_now() + DEBOUNCE_MS * NS_PER_MS);
}

static void properties_changed(void *arg, sd_bus_message *m)
{
    (void)m;
    tell_changed(arg);
}

static void renewed(void *arg, enum bus_renewal what)
{
    struct resolved *d = arg;

    if (d->told.servers_n > 0) {
        if (what == BUS_SERVICE_STARTED)
            log_info(MODULE, "systemd-resolved has started anew: %s is set up again", d->tun_name);
        tell_again(d);
    }
    tell_changed(d);
}

static void resolved_close(void *self)
{
    struct resolved *d = self;

    if (!d)
        return;
    loop_timer_clear(d->loop, &d->debounce);
    bus_close(d->bus);
    free(d);
}

static enum err resolved_open(void **self, struct loop *l, loop_fn changed, void *arg, char *why,
                              unsigned why_size)
{
    struct resolved *d = mem_zalloc(1, sizeof *d);
    struct why text = {why, why_size};
    sd_bus_message *reply;

    *self = NULL;
    d->loop = l;
    d->changed = changed;
    d->arg = arg;
    loop_timer_init(&d->debounce, debounce_due, d);
    d->watch = (struct bus_watch){.service = SERVICE,
                                  .path = OBJECT,
                                  .changed = properties_changed,
                                  .renewed = renewed,
                                  .arg = d};
    enum err err = bus_open(&d->bus, l, why, why_size);
    if (err == ERR_NOT_FOUND)
        err = explain(text, err, NULL, "");
    if (err == ERR_OK)
        err = get_properties(d, &reply, text);
    if (err != ERR_OK) {
        resolved_close(d);
        return err;
    }
    sd_bus_message_unref(reply);
    bus_watch(d->bus, &d->watch);
    *self = d;
    return ERR_OK;
}

const struct dns_method_ops dns_systemd_resolved = {
    .name = "systemd-resolved",
    .open = resolved_open,
    .close = resolved_close,
    .set = resolved_set,
    .revert = resolved_revert,
    .flush = resolved_flush,
    .resolvers = resolved_resolvers,
};
