/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns_ask.h"

#include <errno.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/dns_socket.h"

/* ---- timer and readiness ---- */

/* A millisecond more than c-ares wants, whose clock is another: it must have run out by then. */
static void arm(struct dns_ask *a)
{
    struct timeval left;

    if (ares_timeout(a->channel, NULL, &left))
        loop_timer_set(a->loop, &a->timer,
                       loop_now(a->loop) + (time_ns)left.tv_sec * NS_PER_SEC +
                           (time_ns)left.tv_usec * NS_PER_US + NS_PER_MS);
    else
        loop_timer_clear(a->loop, &a->timer);
}

static void process(struct dns_ask *a, const ares_fd_events_t *events, size_t n)
{
    if (ares_process_fds(a->channel, events, n, ARES_PROCESS_FLAG_NONE) != ARES_SUCCESS)
        log_warn("names", "c-ares has run out of memory");
    arm(a);
    a->changed(a->arg);
}

static void on_timer(void *arg)
{
    process(arg, NULL, 0);
}

static void on_ready(void *arg, unsigned events)
{
    struct dns_ask_socket *s = arg;
    ares_fd_events_t e = {.fd = s->fd};

    if (events & LOOP_READ)
        e.events |= ARES_FD_EVENT_READ;
    if (events & LOOP_WRITE)
        e.events |= ARES_FD_EVENT_WRITE;
    process(s->ask, &e, 1);
}

/* ---- sockets, called by c-ares; arg: the ask ---- */

/* fd -1: a free one. */
static struct dns_ask_socket *find(struct dns_ask *a, int fd)
{
    for (unsigned i = 0; i < DNS_ASK_SOCKETS_MAX; i++) {
        if (a->sockets[i].fd == fd)
            return &a->sockets[i];
    }
    return NULL;
}

/* c-ares reads errno and tells "later" from everything else. */
static int failed(enum err err)
{
    errno = err == ERR_AGAIN ? EAGAIN : ECONNREFUSED;
    return -1;
}

/* Kept out of the tunnel and connected to the server when c-ares gets to see it. */
static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
    struct dns_ask *a = arg;
    struct dns_ask_socket *s = find(a, -1);
    char why[DNS_ASK_WHY_MAX] = "too many sockets", server[SOCK_ADDR_TEXT_MAX];
    enum err err = ERR_FULL;

    (void)domain;
    (void)protocol;
    if (s)
        err = dns_socket_open(&s->fd, &a->server, type == SOCK_STREAM, a->egress, why, sizeof why);
    if (err == ERR_OK)
        return s->fd;
    if (err == ERR_PERMISSION) {
        a->err = err;
        memcpy(a->why, why, sizeof a->why);
    }
    log_debug("names", "%s: %s", sock_addr_format(&a->server, server, sizeof server), why);
    return failed(err);
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct dns_ask *a = arg;
    struct dns_ask_socket *s = find(a, fd);

    if (s->watched)
        loop_del_fd(a->loop, fd);
    dns_socket_close(fd);
    *s = (struct dns_ask_socket){.ask = a, .fd = -1};
    return 0;
}

/* It is connected; its address is kept as the sender of what arrives. */
static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len,
                          unsigned flags, void *arg)
{
    struct dns_ask *a = arg;

    (void)fd;
    (void)flags;
    ASSERT(len <= sizeof a->server_os);
    memcpy(a->server_os, address, len);
    a->server_os_len = len;
    return 0;
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *address, ares_socklen_t *address_len, void *arg)
{
    const struct dns_ask *a = arg;
    size_t n;
    enum err err = dns_socket_recv(fd, buffer, size, &n);

    (void)flags;
    if (err != ERR_OK)
        return failed(err);
    if (address && *address_len >= a->server_os_len) {
        memcpy(address, a->server_os, a->server_os_len);
        *address_len = (ares_socklen_t)a->server_os_len;
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
    struct dns_ask *a = arg;
    struct dns_ask_socket *s = find(a, fd);
    unsigned events = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);
    enum err err = ERR_OK;

    if (events == 0 && s->watched)
        loop_del_fd(a->loop, fd);
    else if (events != 0 && s->watched)
        err = loop_mod_fd(a->loop, fd, events);
    else if (events != 0)
        err = loop_add_fd(a->loop, fd, events, on_ready, s);
    s->watched = events != 0 && err == ERR_OK;
    if (err != ERR_OK)
        log_warn("names", "cannot wait for an answer: %s", err_text(err));
}

/* ---- answers ---- */

static void keep(struct dns_question *q, const ares_dns_rr_t *rr, ares_dns_rec_type_t type)
{
    struct ip_addr ip;

    if (ares_dns_rr_get_type(rr) != type || q->n == DNS_ASK_ADDRS_MAX)
        return;
    if (type == ARES_REC_TYPE_A)
        ip = ip_addr_v4(ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR));
    else
        ip = ip_addr_v6(ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR));
    q->addrs[q->n++] = ip;
}

/* The aliases on the way are the server's business: every address in the answer counts. */
static void answered(struct dns_question *q, const ares_dns_record_t *answer)
{
    ares_dns_rec_type_t type = q == &q->ask->v4 ? ARES_REC_TYPE_A : ARES_REC_TYPE_AAAA;
    size_t n = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);

    for (size_t i = 0; i < n; i++)
        keep(q, ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i), type);
    q->outcome = q->n > 0 ? DNS_ADDRESSES : DNS_NO_ADDRESS;
}

static bool is_silence(ares_status_t status)
{
    return status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED || status == ARES_ENOMEM;
}

static void on_answer(void *arg, ares_status_t status, size_t timeouts,
                      const ares_dns_record_t *answer)
{
    struct dns_question *q = arg;
    char server[SOCK_ADDR_TEXT_MAX];

    (void)timeouts;
    q->pending = false;
    if (status == ARES_EDESTRUCTION)
        return;
    if (status == ARES_SUCCESS)
        answered(q, answer);
    else if (status == ARES_ENODATA)
        q->outcome = DNS_NO_ADDRESS;
    else if (status == ARES_ENOTFOUND || status == ARES_EBADNAME)
        q->outcome = DNS_NO_NAME;
    else if (!is_silence(status)) {
        q->outcome = DNS_FAILED;
        q->ask->failure = ares_strerror((int)status);
    }
    log_debug("names", "%s: %s: %s", sock_addr_format(&q->ask->server, server, sizeof server),
              q == &q->ask->v4 ? "A" : "AAAA", ares_strerror((int)status));
}

/* ---- life ---- */

void dns_ask_init(struct dns_ask *a, struct loop *l, const struct sock_addr *server,
                  const struct egress *egress, loop_fn changed, void *arg)
{
    *a = (struct dns_ask){
        .loop = l, .server = *server, .egress = egress, .changed = changed, .arg = arg};
    for (unsigned i = 0; i < DNS_ASK_SOCKETS_MAX; i++)
        a->sockets[i] = (struct dns_ask_socket){.ask = a, .fd = -1};
    a->v6.ask = a->v4.ask = a;
    loop_timer_init(&a->timer, on_timer, a);
}

/*
 * c-ares looks at resolv.conf, nsswitch.conf and variables such as RES_OPTIONS even when it gets all options, and some ("use-vc")
 * count in spite of them. It gives up on all of these when the first, which an option replaces, cannot be read for another reason
 * than that it is missing. The server it is told of is only a name: version 1.34.5 passes over those with a scope, and
 * open_socket knows the real one. No EDNS: it has to ask again where that is not understood, and addresses are short.
 */
static enum err open_channel(struct dns_ask *a, bool tcp)
{
    char unreadable[] = "/dev/null/none", only_dns[] = "b";
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | (tcp ? ARES_FLAG_USEVC : 0),
        .timeout = tcp ? DNS_ASK_TCP_MS : DNS_ASK_UDP_TRY_MS,
        .maxtimeout = tcp ? DNS_ASK_TCP_MS : DNS_ASK_UDP_TRY_MS,
        .tries = tcp ? 1 : DNS_ASK_UDP_TRIES,
        .lookups = only_dns,
        .sock_state_cb = watch,
        .sock_state_cb_data = a,
        .resolvconf_path = unreadable,
        .qcache_max_ttl = 0,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF |
               ARES_OPT_QUERY_CACHE | ARES_OPT_NOROTATE;

    if (ares_init_options(&a->channel, &options, mask) != ARES_SUCCESS) {
        a->channel = NULL;
        return ERR_NO_MEMORY;
    }
    if (ares_set_socket_functions_ex(a->channel, &socket_functions, a) == ARES_SUCCESS &&
        ares_set_servers_ports_csv(a->channel, "127.0.0.1") == ARES_SUCCESS)
        return ERR_OK;
    ares_destroy(a->channel);
    a->channel = NULL;
    return ERR_NO_MEMORY;
}

static void ask(struct dns_question *q, const char *host, ares_dns_rec_type_t type)
{
    if (q->outcome >= DNS_NO_NAME)
        return;
    q->pending = true;
    /* on_answer hears of every failure, perhaps before this returns. */
    ares_query_dnsrec(q->ask->channel, host, ARES_CLASS_IN, type, on_answer, q, NULL);
}

void dns_ask_send(struct dns_ask *a, const char *host, bool tcp)
{
    dns_ask_stop(a);
    if (open_channel(a, tcp) != ERR_OK) {
        log_warn("names", "c-ares has run out of memory");
        return;
    }
    ask(&a->v4, host, ARES_REC_TYPE_A);
    ask(&a->v6, host, ARES_REC_TYPE_AAAA);
    arm(a);
}

void dns_ask_stop(struct dns_ask *a)
{
    ares_channel_t *channel = a->channel;

    loop_timer_clear(a->loop, &a->timer);
    a->channel = NULL;
    ares_destroy(channel);
}
