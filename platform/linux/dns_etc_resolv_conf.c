/* SPDX-License-Identifier: Apache-2.0 */
/* The methods that know /etc/resolv.conf: one that has our servers written there, and one that only looks. */
#include "platform/linux/dns_etc_resolv_conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/linux/resolv_watch.h"

#define MODULE "dns"

enum {
    WHY_MAX = 512
};

struct etc {
    struct resolv_file file;
    struct resolv_watch *watch;
    loop_fn changed;
    void *arg;
    bool applied, lost; /* our servers are there; somebody has removed them since */
};

/* What others write stays as it is: whoever fights for a file with another program loses sometimes. */
static void on_changed(void *arg)
{
    struct etc *e = arg;

    if (e->applied && !e->lost && !resolv_file_is_ours(e->file.paths)) {
        e->lost = true;
        log_info(MODULE, "%s was changed by another program", e->file.paths->file);
    }
    e->changed(e->arg);
}

static void *watch_file(const struct resolv_paths *paths, struct loop *l, loop_fn changed,
                        void *arg)
{
    struct etc *e = mem_zalloc(1, sizeof *e);

    resolv_file_init(&e->file, paths);
    e->changed = changed;
    e->arg = arg;
    e->watch = resolv_watch_new(l, paths->file, on_changed, e);
    return e;
}

enum err dns_etc_resolv_conf_open_at(void **self, const struct resolv_paths *paths, struct loop *l,
                                     loop_fn changed, void *arg, char *why, unsigned why_size)
{
    enum err err = resolv_file_check(paths, why, why_size);

    if (err == ERR_OK)
        *self = watch_file(paths, l, changed, arg);
    return err;
}

static enum err etc_open(void **self, struct loop *l, loop_fn changed, void *arg, char *why,
                         unsigned why_size)
{
    return dns_etc_resolv_conf_open_at(self, &resolv_paths_system, l, changed, arg, why, why_size);
}

static void etc_close(void *self)
{
    struct etc *e = self;

    resolv_watch_free(e->watch);
    free(e);
}

static void etc_revert(void *self)
{
    struct etc *e = self;
    char why[WHY_MAX];
    bool done;

    if (!e->applied)
        return;
    e->applied = false;
    if (resolv_file_revert(&e->file, &done, why, sizeof why) != ERR_OK)
        log_error(MODULE, "%s", why);
    else if (done)
        log_info(MODULE, "%s has its text from before", e->file.paths->file);
    e->lost = false;
    resolv_watch_settle(e->watch);
}

static enum err etc_set(void *self, const struct dns_settings *s, char *why, unsigned why_size)
{
    struct etc *e = self;
    const struct resolv_text_wish wish = {.servers = s->servers,
                                          .servers_n = s->servers_n,
                                          .search = s->search,
                                          .search_n = s->search_n};

    if (s->servers_n == 0) {
        log_warn(MODULE, "there are no resolvers to use: %s keeps its own", e->file.paths->file);
        etc_revert(self);
        return ERR_OK;
    }
    enum err err = resolv_file_set(&e->file, &wish, why, why_size);
    if (err == ERR_OK) {
        if (!e->applied || e->lost)
            log_info(MODULE, "%s has the resolvers of %s", e->file.paths->file, s->tun_name);
        e->applied = true;
        e->lost = false;
    }
    resolv_watch_settle(e->watch);
    return err;
}

static void etc_flush(void *self)
{
    (void)self; /* nobody keeps answers that is known to us */
}

static enum err etc_resolvers(void *self, struct sock_addr out[RESOLVERS_MAX], unsigned *n,
                              char *why, unsigned why_size)
{
    struct etc *e = self;
    return resolv_file_servers(e->file.paths, out, n, why, why_size);
}

const struct dns_method_ops dns_etc_resolv_conf = {
    .name = "etc-resolv-conf",
    .open = etc_open,
    .close = etc_close,
    .set = etc_set,
    .revert = etc_revert,
    .flush = etc_flush,
    .resolvers = etc_resolvers,
};

/* Also of a machine where the file is a link, or is not there. */
static enum err disabled_open(void **self, struct loop *l, loop_fn changed, void *arg, char *why,
                              unsigned why_size)
{
    (void)why;
    (void)why_size;
    *self = watch_file(&resolv_paths_system, l, changed, arg);
    return ERR_OK;
}

static enum err disabled_set(void *self, const struct dns_settings *s, char *why, unsigned why_size)
{
    (void)self;
    (void)s;
    (void)why;
    (void)why_size;
    return ERR_OK;
}

static void disabled_revert(void *self)
{
    (void)self;
}

const struct dns_method_ops dns_disabled = {
    .name = "disabled",
    .open = disabled_open,
    .close = etc_close,
    .set = disabled_set,
    .revert = disabled_revert,
    .flush = etc_flush,
    .resolvers = etc_resolvers,
};

void dns_etc_resolv_conf_recover(const struct resolv_paths *paths)
{
    char why[WHY_MAX];
    bool done = false;
    enum err err = resolv_file_recover(paths, &done, why, sizeof why);

    if (err == ERR_IN_USE)
        log_info(MODULE, "%s belongs to another process that runs: it stays as it is", paths->file);
    else if (err != ERR_OK)
        log_warn(MODULE, "%s", why);
    else if (done)
        log_info(
            MODULE,
            "%s has its text from before again, which a run that was killed had not given back",
            paths->file);
}
