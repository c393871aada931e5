/* SPDX-License-Identifier: Apache-2.0 */
/* See host_resolver.h. */
#include "control/host_resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cares_io.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/file.h"

/* Whoever forges answers has to guess the port of these few, and then of others. */
enum {
    QUERIES_PER_SOCKET = 16
};

#define RESOLV_CONF "/etc/resolv.conf"

struct host_resolver {
    const char *resolv_conf, *hosts; /* NULL: those of the system */
    struct cares_io io;
    struct file_stamp read; /* what resolv.conf was */
};

struct host_question {
    host_answered done;
    void *arg;
};

/* ---- answers ---- */

static void keep(struct host_answer *a, const struct ares_addrinfo_node *node)
{
    if (a->n == HOST_ADDRS_MAX)
        return;
    if (node->ai_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, node->ai_addr, sizeof in);
        a->addrs[a->n++] = ip_addr_v4(&in.sin_addr);
    } else if (node->ai_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, node->ai_addr, sizeof in6);
        a->addrs[a->n++] = ip_addr_v6(&in6.sin6_addr);
    }
}

/* What the hosts file says has no TTL and costs nothing to ask again. After a time-out a family may be missing. */
static uint32_t ttl_of(const struct ares_addrinfo *info, int timeouts)
{
    int ttl = INT32_MAX;

    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
        ttl = c->ttl < ttl ? c->ttl : ttl;
    return !info->nodes || timeouts > 0 || ttl < 0 ? 0 : (uint32_t)ttl;
}

static enum host_outcome outcome_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return HOST_ADDRESSES;
    case ARES_ETIMEOUT:
        return HOST_SILENT;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return HOST_GIVEN_UP;
    default:
        return HOST_NO_ADDRESSES;
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct host_question *q = arg;
    struct host_answer a = {.outcome = outcome_of(status)};

    for (const struct ares_addrinfo_node *n = info ? info->nodes : NULL; n; n = n->ai_next)
        keep(&a, n);
    if (info)
        a.ttl_s = ttl_of(info, timeouts);
    if (a.outcome == HOST_ADDRESSES && a.n == 0)
        a.outcome = HOST_NO_ADDRESSES;
    if (a.outcome != HOST_ADDRESSES && a.outcome != HOST_GIVEN_UP)
        log_debug("names", "a name of a resource: %s", ares_strerror(status));
    ares_freeaddrinfo(info);
    q->done(q->arg, &a);
    free(q);
}

void host_resolver_ask(struct host_resolver *r, const char *name, host_answered done, void *arg)
{
    static const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT,
                                                     .ai_family = AF_UNSPEC};
    struct host_question *q = mem_zalloc(1, sizeof *q);

    *q = (struct host_question){done, arg};
    ares_getaddrinfo(r->io.channel, name, NULL, &hints, on_answer, q);
    cares_io_arm(&r->io);
}

/* ---- life ---- */

/* c-ares' own query cache has no limit. On failure the channel stays as it was. */
static enum err open_channel(struct host_resolver *r, const char **why)
{
    char order[] = "fb"; /* the hosts file, then DNS */
    struct ares_options options = {.flags = ARES_FLAG_EDNS | ARES_FLAG_NOALIASES,
                                   .lookups = order,
                                   .udp_max_queries = QUERIES_PER_SOCKET,
                                   .qcache_max_ttl = 0};
    int mask = ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_UDP_MAX_QUERIES | ARES_OPT_QUERY_CACHE;

    if (r->resolv_conf) {
        options.resolvconf_path = mem_dup_text(r->resolv_conf, strlen(r->resolv_conf));
        mask |= ARES_OPT_RESOLVCONF;
    }
    if (r->hosts) {
        options.hosts_path = mem_dup_text(r->hosts, strlen(r->hosts));
        mask |= ARES_OPT_HOSTS_FILE;
    }
    enum err err = cares_io_open(&r->io, &options, mask, why);
    free(options.resolvconf_path);
    free(options.hosts_path);
    return err;
}

static struct file_stamp stamp(const struct host_resolver *r)
{
    return file_stamp(r->resolv_conf ? r->resolv_conf : RESOLV_CONF);
}

bool host_resolver_is_stale(const struct host_resolver *r)
{
    struct file_stamp now = stamp(r);
    return !file_stamp_equal(&now, &r->read);
}

/* It counts as read also if it is of no use: another try is for another file. */
static enum err start(struct host_resolver *r, const char **why)
{
    r->read = stamp(r);
    return open_channel(r, why);
}

void host_resolver_restart(struct host_resolver *r)
{
    const char *why;

    if (start(r, &why) != ERR_OK)
        log_warn("names", "the host's resolver: %s", why);
}

enum err host_resolver_new(struct host_resolver **out, struct loop *l, const struct egress *egress,
                           const char *resolv_conf, const char *hosts, char *why, unsigned why_size)
{
    struct host_resolver *r = mem_zalloc(1, sizeof *r);
    const char *reason = "c-ares does not start";
    enum err err = ERR_IO;

    *out = NULL;
    r->resolv_conf = resolv_conf;
    r->hosts = hosts;
    cares_io_init(&r->io, l, egress, NULL, NULL, NULL);
    if (ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS) {
        err = start(r, &reason);
        if (err == ERR_OK) {
            *out = r;
            return ERR_OK;
        }
        ares_library_cleanup();
    }
    free(r);
    snprintf(why, why_size, "the host's resolver cannot be set up: %s", reason);
    return err;
}

void host_resolver_free(struct host_resolver *r)
{
    if (!r)
        return;
    cares_io_close(&r->io);
    ares_library_cleanup();
    free(r);
}
