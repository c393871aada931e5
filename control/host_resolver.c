/* SPDX-License-Identifier: Apache-2.0 */
/* See host_resolver.h. */
#include "control/host_resolver.h"

#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/dns_socket.h"
#include "platform/file.h"

enum {
    SOCKETS_HASH = 64, /* by descriptor */
    SERVER_OS_MAX = 64,
    /* Whoever forges answers has to guess the port of these few, and then of others. */
    QUERIES_PER_SOCKET = 16,
    WHY_MAX = 128
};

#define RESOLV_CONF "/etc/resolv.conf"

struct host_socket {
    struct host_resolver *resolver;
    int fd;
    bool tcp, watched;
    uint8_t server_os[SERVER_OS_MAX]; /* as c-ares calls it, a struct sockaddr */
    size_t server_os_len;
    struct host_socket *next;
};

struct host_resolver {
    struct loop *loop;
    const struct egress *egress;
    const char *resolv_conf, *hosts; /* NULL: those of the system */
    ares_channel_t *channel;
    struct loop_timer timer;
    struct file_stamp read; /* what resolv.conf was */
    struct host_socket *sockets[SOCKETS_HASH];
};

struct host_question {
    host_answered done;
    void *arg;
};

/* ---- timer and readiness ---- */

/* A millisecond more than c-ares wants, whose clock is another: it must have run out by then. */
static void arm(struct host_resolver *r)
{
    struct timeval left;

    if (ares_timeout(r->channel, NULL, &left))
        loop_timer_set(r->loop, &r->timer,
                       loop_now(r->loop) + (time_ns)left.tv_sec * NS_PER_SEC +
                           (time_ns)left.tv_usec * NS_PER_US + NS_PER_MS);
    else
        loop_timer_clear(r->loop, &r->timer);
}

static void process(struct host_resolver *r, const ares_fd_events_t *events, size_t n)
{
    if (ares_process_fds(r->channel, events, n, ARES_PROCESS_FLAG_NONE) != ARES_SUCCESS)
        log_warn("names", "c-ares has run out of memory");
    arm(r);
}

static void on_timer(void *arg)
{
    process(arg, NULL, 0);
}

static void on_ready(void *arg, unsigned events)
{
    const struct host_socket *s = arg;
    ares_fd_events_t e = {.fd = s->fd};

    if (events & LOOP_READ)
        e.events |= ARES_FD_EVENT_READ;
    if (events & LOOP_WRITE)
        e.events |= ARES_FD_EVENT_WRITE;
    process(s->resolver, &e, 1);
}

/* ---- sockets, called by c-ares; arg: the resolver ---- */

static struct host_socket **find(struct host_resolver *r, int fd)
{
    struct host_socket **at = &r->sockets[(unsigned)fd % SOCKETS_HASH];

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

/* c-ares reads errno and tells "later" from everything else. */
static int failed(enum err err)
{
    errno = err == ERR_AGAIN ? EAGAIN : ECONNREFUSED;
    return -1;
}

static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
    struct host_resolver *r = arg;
    bool tcp = type == SOCK_STREAM;
    char why[WHY_MAX];
    int fd;

    (void)protocol;
    if (dns_socket_new(&fd, domain == AF_INET ? ADDR_V4 : ADDR_V6, tcp, why, sizeof why) !=
        ERR_OK) {
        log_debug("names", "no socket: %s", why);
        return failed(ERR_IO);
    }
    struct host_socket *s = mem_zalloc(1, sizeof *s), **at = find(r, fd);
    *s = (struct host_socket){.resolver = r, .fd = fd, .tcp = tcp};
    *at = s;
    return fd;
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct host_resolver *r = arg;
    struct host_socket **at = find(r, fd), *s = *at;

    if (s->watched)
        loop_del_fd(r->loop, fd);
    dns_socket_close(fd);
    *at = s->next;
    free(s);
    return 0;
}

/* The address is kept as the sender of what arrives: a connected socket hears nobody else. */
static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len,
                          unsigned flags, void *arg)
{
    struct host_resolver *r = arg;
    struct host_socket *s = *find(r, fd);
    char why[WHY_MAX];

    (void)flags;
    ASSERT(len <= sizeof s->server_os);
    memcpy(s->server_os, address, len);
    s->server_os_len = len;
    enum err err = dns_socket_connect(fd, address, len, s->tcp, r->egress, why, sizeof why);
    if (err == ERR_OK)
        return 0;
    log_debug("names", "a server cannot be asked: %s", why);
    return failed(ERR_IO);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *address, ares_socklen_t *address_len, void *arg)
{
    const struct host_socket *s = *find(arg, fd);
    size_t n;
    enum err err = dns_socket_recv(fd, buffer, size, &n);

    (void)flags;
    if (err != ERR_OK)
        return failed(err);
    if (address && *address_len >= s->server_os_len) {
        memcpy(address, s->server_os, s->server_os_len);
        *address_len = (ares_socklen_t)s->server_os_len;
    }
    return (ares_ssize_t)n;
}

static ares_ssize_t send_bytes(ares_socket_t fd, const void *bytes, size_t len, int flags,
                               const struct sockaddr *address, ares_socklen_t address_len,
                               void *arg)
{
    size_t n;
    enum err err = dns_socket_send(fd, bytes, len, &n);

    (void)flags;
    (void)address;
    (void)address_len;
    (void)arg;
    return err == ERR_OK ? (ares_ssize_t)n : failed(err);
}

/* No option, TCP Fast Open above all: the query would leave before the connection is known to stand. */
static int set_option(ares_socket_t fd, ares_socket_opt_t option, const void *value,
                      ares_socklen_t size, void *arg)
{
    (void)fd;
    (void)option;
    (void)value;
    (void)size;
    (void)arg;
    errno = ENOSYS;
    return -1;
}

static const struct ares_socket_functions_ex socket_functions = {
    .version = 1,
    .flags = ARES_SOCKFUNC_FLAG_NONBLOCKING,
    .asocket = open_socket,
    .aclose = close_socket,
    .asetsockopt = set_option,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendto = send_bytes,
};

static void watch(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct host_resolver *r = arg;
    struct host_socket *s = *find(r, fd);
    unsigned events = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);
    enum err err = ERR_OK;

    if (events == 0 && s->watched)
        loop_del_fd(r->loop, fd);
    else if (events != 0 && s->watched)
        err = loop_mod_fd(r->loop, fd, events);
    else if (events != 0)
        err = loop_add_fd(r->loop, fd, events, on_ready, s);
    s->watched = events != 0 && err == ERR_OK;
    if (err != ERR_OK)
        log_warn("names", "cannot wait for an answer: %s", err_text(err));
}

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
    ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, q);
    arm(r);
}

/* ---- life ---- */

/* Its own query cache has no limit. */
static ares_channel_t *open_channel(struct host_resolver *r)
{
    char order[] = "fb"; /* the hosts file, then DNS */
    struct ares_options options = {.flags = ARES_FLAG_EDNS | ARES_FLAG_NOALIASES,
                                   .lookups = order,
                                   .sock_state_cb = watch,
                                   .sock_state_cb_data = r,
                                   .udp_max_queries = QUERIES_PER_SOCKET,
                                   .qcache_max_ttl = 0};
    int mask = ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
               ARES_OPT_UDP_MAX_QUERIES | ARES_OPT_QUERY_CACHE;
    ares_channel_t *channel;

    if (r->resolv_conf) {
        options.resolvconf_path = mem_dup_text(r->resolv_conf, strlen(r->resolv_conf));
        mask |= ARES_OPT_RESOLVCONF;
    }
    if (r->hosts) {
        options.hosts_path = mem_dup_text(r->hosts, strlen(r->hosts));
        mask |= ARES_OPT_HOSTS_FILE;
    }
    int status = ares_init_options(&channel, &options, mask);
    free(options.resolvconf_path);
    free(options.hosts_path);
    if (status != ARES_SUCCESS) {
        log_warn("names", "the host's resolver: %s", ares_strerror(status));
        return NULL;
    }
    status = ares_set_socket_functions_ex(channel, &socket_functions, r);
    ASSERT(status == ARES_SUCCESS);
    return channel;
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

void host_resolver_restart(struct host_resolver *r)
{
    struct file_stamp now = stamp(r);
    ares_channel_t *fresh = open_channel(r), *old = r->channel;

    r->read = now; /* also if it is of no use: another try is for another file */
    if (!fresh)
        return;
    r->channel = fresh;
    ares_destroy(old);
    arm(r);
}

enum err host_resolver_new(struct host_resolver **out, struct loop *l, const struct egress *egress,
                           const char *resolv_conf, const char *hosts, char *why, unsigned why_size)
{
    struct host_resolver *r = mem_zalloc(1, sizeof *r);

    *out = NULL;
    r->loop = l;
    r->egress = egress;
    r->resolv_conf = resolv_conf;
    r->hosts = hosts;
    loop_timer_init(&r->timer, on_timer, r);
    if (ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS) {
        host_resolver_restart(r);
        if (r->channel) {
            *out = r;
            return ERR_OK;
        }
        ares_library_cleanup();
    }
    free(r);
    snprintf(why, why_size, "the host's resolver cannot be set up");
    return ERR_IO;
}

void host_resolver_free(struct host_resolver *r)
{
    if (!r)
        return;
    ares_destroy(r->channel);
    ares_library_cleanup();
    loop_timer_clear(r->loop, &r->timer);
    free(r);
}
