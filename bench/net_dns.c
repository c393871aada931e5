/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_dns.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/net_dns_load.h"
#include "bench/net_hosts.h"
#include "bench/net_names.h"
#include "bench/net_search.h"
#include "bench/net_traffic.h"
#include "bench/net_udp.h"
#include "bench/net_usage.h"
#include "platform/base/bytes.h"
#include "platform/base/counter.h"

enum {
    SETTLE_MS = 100, /* until queues are empty */
    USE_MS = 10000,
    DISCARD_PORT = 9,
    BATCH = 48,
    TRIALS_ABOUT = 8
};

#define USED_NAME    "n0.used.test"
#define WARM_UP_S    0.2 /* in which each name is asked for, at 10,000 a second */
#define TRIAL_MIN_S  0.25
#define TRIAL_WAIT_S 1.5 /* for what is lost in one that fails, on average */
#define RATE_GAP     1.1

static const struct net_unit per_second = {"answers/s", RESULT_NEITHER, GATE_NONE}; /* as asked */
static const struct net_unit most = {"answers/s", RESULT_HIGHER, GATE_NONE};
static const struct net_unit queries = {"queries", RESULT_LOWER, GATE_ZERO};
static const struct net_unit us = {"us", RESULT_LOWER, GATE_NONE};
static const struct net_unit cores = {"cores", RESULT_LOWER, GATE_NONE};

/* Whom the client asks. */
struct server {
    struct counter answered;
    int fd;
} __attribute__((aligned(CACHE_LINE)));

struct asking {
    const struct net_options *options;
    const struct net_tunnel *tunnel;
    int fd;                /* at a, to the client's DNS service */
    struct server *server; /* shared */
    pid_t pid;
};

/* ---- the server ---- */

static void serve(void *arg)
{
    struct server *s = arg;
    static uint8_t data[BATCH][NET_DNS_ANSWER_MAX];
    static struct mmsghdr messages[BATCH];
    static struct sockaddr_in from[BATCH];
    struct iovec iov[BATCH];

    for (;;) {
        for (unsigned i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){data[i], NET_DNS_ANSWER_MAX};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                                  .msg_namelen = sizeof from[i],
                                                  .msg_iov = &iov[i],
                                                  .msg_iovlen = 1};
        }
        int n = recvmmsg(s->fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR)
            return;
        unsigned answers = 0;
        for (int i = 0; i < n; i++) {
            iov[i].iov_len = net_dns_query_answer(data[i], messages[i].msg_len);
            if (iov[i].iov_len > 0)
                messages[answers++] = messages[i];
        }
        if (answers > 0 && sendmmsg(s->fd, messages, answers, 0) > 0)
            counter_add(&s->answered, answers);
    }
}

/* ---- figures ---- */

static enum err ask(const struct asking *a, struct net_dns_load *l, double rate, double seconds,
                    struct net_dns_found *out, struct why why)
{
    enum err err = net_dns_load_run(l, rate, seconds, out, why);

    if (err == ERR_OK)
        err = net_tunnel_check(a->tunnel, why);
    if (err == ERR_OK && out->good == 0)
        err = why_fail(why, ERR_TIMEOUT, "of %llu DNS queries the client answered none%s",
                       (unsigned long long)out->asked, out->failed > 0 ? " well" : "");
    net_clock_sleep(SETTLE_MS * NS_PER_MS);
    return err;
}

static void add(struct net_figures *out, enum net_dns_kind kind, const char *what,
                const struct net_unit *unit, double value)
{
    char detail[NET_FIGURE_PATH_MAX];

    snprintf(detail, sizeof detail, "%s/%s", net_dns_kind_name(kind), what);
    net_rows_figure(out, net_part_name(NET_DNS), detail, unit, value);
}

static enum err measure_rate(const struct asking *a, struct net_dns_load *l, enum net_dns_kind kind,
                             struct net_figures *out, struct why why)
{
    const pid_t client = a->tunnel->pids[NET_A];
    struct net_dns_found f;
    enum err err = ask(a, l, a->options->dns_rate, WARM_UP_S, &f, why);
    if (err != ERR_OK)
        return err;
    double cpu = net_usage_cpu(client);
    err = ask(a, l, a->options->dns_rate, a->options->seconds, &f, why);
    if (err != ERR_OK)
        return err;
    add(out, kind, "rate", &per_second, (double)f.good / f.seconds);
    add(out, kind, "lost", &queries, (double)f.lost);
    add(out, kind, "failed", &queries, (double)f.failed);
    add(out, kind, "p50", &us, f.p50_us);
    add(out, kind, "p99", &us, f.p99_us);
    add(out, kind, "p999", &us, f.p999_us);
    add(out, kind, "client", &cores, (net_usage_cpu(client) - cpu) / f.seconds);
    return ERR_OK;
}

static enum err measure_alone(const struct asking *a, struct net_dns_load *l,
                              enum net_dns_kind kind, struct net_figures *out, struct why why)
{
    struct net_dns_found f;
    enum err err = ask(a, l, 0, a->options->seconds / 2, &f, why);

    if (err == ERR_OK) {
        add(out, kind, "alone-p50", &us, f.p50_us);
        add(out, kind, "alone-p99", &us, f.p99_us);
    }
    return err;
}

static double trial_seconds(const struct net_options *o)
{
    return fmax(TRIAL_MIN_S, o->seconds / 3);
}

static enum err measure_most(const struct asking *a, struct net_dns_load *l, enum net_dns_kind kind,
                             struct net_figures *out, struct why why)
{
    double seconds = trial_seconds(a->options);
    struct net_dns_found f;
    struct net_search s;

    net_search_init(&s, a->options->dns_rate, NET_DNS_RATE_MIN, NET_DNS_RATE_MAX, RATE_GAP);
    while (!net_search_done(&s)) {
        bool passed = false;
        /* Twice: an interruption of a moment, by what else runs on the machine, is no property of the client. */
        for (unsigned i = 0; !passed && i < 2; i++) {
            enum err err = ask(a, l, s.next, seconds, &f, why);
            if (err != ERR_OK)
                return err;
            passed = net_dns_load_passed(&f, s.next);
        }
        net_search_report(&s, passed);
    }
    add(out, kind, "most", &most, s.passed);
    return ERR_OK;
}

/* Until the gateway asks for a name, which it does once it lets the client reach the resource. */
static enum err begin_use(const struct asking *a, struct why why)
{
    uint64_t before = counter_read(&a->server->answered);
    uint64_t end = net_clock_now() + USE_MS * NS_PER_MS;
    char address[NET_INNER_MAX];
    enum err err = ERR_OK;

    while (err == ERR_OK && counter_read(&a->server->answered) == before) {
        int fd = net_rig_socket(a->tunnel->rig, NET_A, SOCK_DGRAM);
        if (fd >= 0 && net_names_ask(a->tunnel, USED_NAME, address) &&
            net_rig_connect(fd, address, DISCARD_PORT))
            (void)send(fd, "", 1, 0);
        if (fd >= 0)
            close(fd);
        err = net_tunnel_check(a->tunnel, why);
        if (err == ERR_OK && net_clock_now() >= end)
            err = net_tunnel_fail(a->tunnel, NET_B, "does not ask for the resource's name", why);
        net_clock_sleep(SETTLE_MS * NS_PER_MS);
    }
    return err;
}

static enum err measure_kind(const struct asking *a, enum net_dns_kind kind,
                             struct net_figures *out, struct why why)
{
    enum err err = kind == NET_DNS_USED ? begin_use(a, why) : ERR_OK;
    if (err != ERR_OK)
        return err;
    struct net_dns_load *l = net_dns_load_new(a->fd, kind);
    uint64_t before = counter_read(&a->server->answered);

    err = measure_alone(a, l, kind, out, why);
    if (err == ERR_OK)
        err = measure_rate(a, l, kind, out, why);
    if (err == ERR_OK && kind == NET_DNS_RESOURCE)
        err = measure_most(a, l, kind, out, why);
    net_dns_load_free(l);
    bool asked = counter_read(&a->server->answered) != before;
    if (err == ERR_OK && asked != (kind != NET_DNS_RESOURCE))
        err = why_fail(why, ERR_INVALID, "the DNS server is %s for names of the kind '%s'",
                       asked ? "asked" : "not asked", net_dns_kind_name(kind));
    return err;
}

/* ---- begin and end ---- */

static bool make_sockets(struct asking *a, const char *stub)
{
    const int size = NET_UDP_BUFFER;

    a->fd = net_rig_socket(a->tunnel->rig, NET_A, SOCK_DGRAM);
    a->server->fd = net_rig_server_socket(a->tunnel->rig, SOCK_DGRAM);
    return a->fd >= 0 && a->server->fd >= 0 &&
           setsockopt(a->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0 &&
           setsockopt(a->server->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0 &&
           net_rig_connect(a->fd, stub, NET_NAMES_PORT) &&
           net_rig_bind(a->server->fd, NET_HOSTS_SERVER, NET_NAMES_PORT);
}

static enum err begin(struct asking *a, struct why why)
{
    char stub[NET_INNER_MAX];

    if (!net_names_stub(a->tunnel, stub))
        return net_tunnel_fail(a->tunnel, NET_A, "has no DNS service", why);
    a->server = net_traffic_share(sizeof *a->server);
    if (a->server != NULL)
        a->server->fd = -1;
    if (a->server != NULL && make_sockets(a, stub))
        a->pid = net_traffic_fork(serve, a->server);
    if (a->pid <= 0)
        return why_fail(why, ERR_IO, "cannot set up DNS: %s", strerror(errno));
    prctl(PR_SET_TIMERSLACK, 1); /* this process asks */
    return ERR_OK;
}

static void end(struct asking *a)
{
    net_command_kill(a->pid);
    if (a->fd >= 0)
        close(a->fd);
    if (a->server != NULL && a->server->fd >= 0)
        close(a->server->fd);
    net_traffic_unshare(a->server, sizeof *a->server);
}

enum err net_dns_measure(const struct net_options *o, const struct net_tunnel *t,
                         struct net_figures *out, struct why why)
{
    struct asking a = {.options = o, .tunnel = t, .fd = -1};

    if (t->impl->kind != NET_FIREZONE)
        return ERR_OK;
    enum err err = begin(&a, why);
    for (unsigned kind = 0; err == ERR_OK && kind < NET_DNS_KINDS; kind++)
        err = measure_kind(&a, (enum net_dns_kind)kind, out, why);
    end(&a);
    return err;
}

double net_dns_seconds(const struct net_options *o)
{
    return NET_DNS_KINDS * (1.5 * o->seconds + WARM_UP_S) +
           TRIALS_ABOUT * (trial_seconds(o) + TRIAL_WAIT_S);
}
