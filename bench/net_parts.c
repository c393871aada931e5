/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_parts.h"

#include <math.h>

#include "bench/net_calls.h"
#include "bench/net_clock.h"
#include "bench/net_dns.h"
#include "bench/net_rtt.h"
#include "bench/net_search.h"
#include "bench/net_tcp.h"
#include "bench/net_udp.h"
#include "bench/net_usage.h"

enum {
    WARM_UP_MS = 500, /* until TCP has found its rate; not measured */
    SETTLE_MS = 100   /* until queues are empty */
};

#define UDP_TRIAL_MIN_S  0.25
#define UDP_START_PPS    50e3
#define UDP_MIN_PPS      1e3
#define UDP_MAX_PPS      16e6
#define UDP_GAP          1.05
#define UDP_TRIALS_ABOUT 11
#define PACED_WARM_UP_S  0.2

static const struct net_unit gbit_s = {"Gbit/s", RESULT_HIGHER, GATE_NONE};
static const struct net_unit rate = {"Gbit/s", RESULT_NEITHER, GATE_NONE}; /* as it was told to */
static const struct net_unit cores_per_gbit_s = {"cores per Gbit/s", RESULT_LOWER, GATE_NONE};
static const struct net_unit mib_per_process = {"MiB per process", RESULT_LOWER, GATE_NONE};
static const struct net_unit us = {"us", RESULT_LOWER, GATE_NONE};
static const struct net_unit calls_per_mib = {"calls/MiB", RESULT_LOWER, GATE_SYSCALLS};
static const struct net_unit operations_per_mib = {"operations/MiB", RESULT_NEITHER, GATE_NONE};
static const struct net_unit per_cent = {"%", RESULT_LOWER, GATE_NONE};

/* The state of all that is counted, at one moment. */
struct mark {
    uint64_t at_ns, bytes;
    double cpu[NET_SIDES], machine_cpu; /* seconds */
};

/* What happened between two of them. */
struct span {
    double seconds, gbit, cpu[NET_SIDES], tunnel_cpu, machine_cpu;
};

static void pause_seconds(double seconds)
{
    net_clock_sleep((uint64_t)(seconds * (double)NS_PER_SEC));
}

static struct mark take_mark(const struct net_tcp *tcp, const struct net_tunnel *t)
{
    return (struct mark){.at_ns = net_clock_now(),
                         .bytes = net_tcp_received(tcp),
                         .cpu = {net_usage_cpu(t->pids[NET_A]), net_usage_cpu(t->pids[NET_B])},
                         .machine_cpu = net_usage_machine()};
}

/* TCP doubles its rate each round trip, and slows down again. */
static void warm_up(const struct net_tunnel *t)
{
    net_clock_sleep(WARM_UP_MS * NS_PER_MS + (t->rig->link ? 20 * t->rig->link->rtt : 0));
}

/* Lets TCP run for some time and sees what happens meanwhile. */
static enum err watch(const struct net_tcp *tcp, const struct net_tunnel *t, double seconds,
                      struct span *out, struct why why)
{
    struct mark a = take_mark(tcp, t);
    pause_seconds(seconds);
    struct mark b = take_mark(tcp, t);

    *out = (struct span){.seconds = (double)(b.at_ns - a.at_ns) / (double)NS_PER_SEC,
                         .gbit = (double)(b.bytes - a.bytes) * 8 / 1e9,
                         .cpu = {b.cpu[NET_A] - a.cpu[NET_A], b.cpu[NET_B] - a.cpu[NET_B]},
                         .machine_cpu = b.machine_cpu - a.machine_cpu};
    out->tunnel_cpu = out->cpu[NET_A] + out->cpu[NET_B];
    enum err err = net_tunnel_check(t, why);
    if (err == ERR_OK && out->gbit <= 0)
        err = why_fail(why, ERR_TIMEOUT, "TCP through %s carries nothing", t->impl->name);
    return err;
}

/* The whole of it: start, warm up, watch, stop. gbit 0: as much as goes. */
static enum err watch_tcp(const struct net_tunnel *t, enum net_side from, unsigned streams,
                          double gbit, double seconds, struct span *out, struct why why)
{
    struct net_tcp tcp;
    enum err err = net_tcp_start(&tcp, t, from, streams, gbit, why);

    if (err != ERR_OK)
        return err;
    warm_up(t);
    err = watch(&tcp, t, seconds, out, why);
    net_tcp_stop(&tcp);
    net_clock_sleep(SETTLE_MS * NS_PER_MS);
    return err;
}

static enum err measure_tcp(enum net_part part, const struct net_options *o,
                            const struct net_tunnel *t, struct net_figures *out, struct why why)
{
    const char *name = net_part_name(part);
    unsigned streams = part == NET_TCP1 ? 1 : 4;
    struct span span;

    enum err err = watch_tcp(t, NET_A, streams, 0, o->seconds, &span, why);
    if (err != ERR_OK)
        return err;
    net_rows_figure(out, name, "forward", &gbit_s, span.gbit / span.seconds);
    net_rows_figure(out, name, "forward-cpu", &cores_per_gbit_s, span.tunnel_cpu / span.gbit);
    if (o->paths) {
        net_rows_figure(out, name, "forward-client", &cores_per_gbit_s,
                        span.cpu[NET_A] / span.gbit);
        net_rows_figure(out, name, "forward-gateway", &cores_per_gbit_s,
                        span.cpu[NET_B] / span.gbit);
    }
    err = watch_tcp(t, NET_B, streams, 0, o->seconds, &span, why);
    if (err != ERR_OK)
        return err;
    net_rows_figure(out, name, "back", &gbit_s, span.gbit / span.seconds);
    net_rows_figure(out, name, "rss", &mib_per_process,
                    (net_usage_rss(t->pids[NET_A]) + net_usage_rss(t->pids[NET_B])) / 2);
    return ERR_OK;
}

/* ---- UDP ---- */

static double udp_trial_seconds(const struct net_options *o)
{
    return fmax(UDP_TRIAL_MIN_S, o->seconds / 3);
}

static enum err search_udp(struct net_udp *udp, double seconds, double loss, double *gbit,
                           struct why why)
{
    struct net_search s;

    *gbit = 0;
    net_search_init(&s, UDP_START_PPS, UDP_MIN_PPS, UDP_MAX_PPS, UDP_GAP);
    while (!net_search_done(&s)) {
        struct net_udp_trial trial;
        bool passed = false;
        /* Twice: an interruption of a moment, by what else runs on the machine, is no property of the tunnel. */
        for (unsigned i = 0; !passed && i < 2; i++) {
            enum err err = net_udp_try(udp, s.next, seconds, &trial, why);
            if (err != ERR_OK)
                return err;
            passed = net_udp_passed(&trial, loss);
        }
        if (passed)
            *gbit = net_udp_gbit(&trial);
        net_search_report(&s, passed);
    }
    return ERR_OK;
}

/* The share of packets that the link between the tunnel's ends loses. */
static double link_loss(const struct net_tunnel *t)
{
    return t->rig->link ? (double)t->rig->link->loss / 1e6 : 0;
}

static enum err measure_udp(const struct net_options *o, const struct net_tunnel *t,
                            struct net_figures *out, struct why why)
{
    struct net_udp udp;
    double gbit;
    enum err err = net_udp_start(&udp, t, why);

    if (err != ERR_OK)
        return err;
    err = search_udp(&udp, udp_trial_seconds(o), link_loss(t), &gbit, why);
    net_udp_stop(&udp);
    if (err == ERR_OK)
        err = net_tunnel_check(t, why);
    if (err == ERR_OK)
        net_rows_figure(out, net_part_name(NET_UDP), "forward", &gbit_s, gbit);
    net_clock_sleep(SETTLE_MS * NS_PER_MS);
    return err;
}

/* ---- round trips ---- */

static void add_rtt(struct net_figures *out, const char *p50, const char *p99,
                    const struct net_rtt *rtt)
{
    const char *name = net_part_name(NET_RTT);
    net_rows_figure(out, name, p50, &us, rtt->p50_us);
    net_rows_figure(out, name, p99, &us, rtt->p99_us);
}

static enum err measure_rtt(const struct net_options *o, const struct net_tunnel *t,
                            struct net_figures *out, struct why why)
{
    struct net_tcp tcp;
    struct net_rtt rtt;
    enum err err = net_rtt_measure(&rtt, t, o->seconds, why);

    if (err != ERR_OK)
        return err;
    add_rtt(out, "idle-p50", "idle-p99", &rtt);
    err = net_tcp_start(&tcp, t, NET_A, 1, 0, why);
    if (err != ERR_OK)
        return err;
    warm_up(t);
    err = net_rtt_measure(&rtt, t, o->seconds, why);
    net_tcp_stop(&tcp);
    if (err == ERR_OK)
        err = net_tunnel_check(t, why);
    if (err == ERR_OK)
        add_rtt(out, "loaded-p50", "loaded-p99", &rtt);
    net_clock_sleep(SETTLE_MS * NS_PER_MS);
    return err;
}

/* ---- CPU time and system calls ---- */

static enum err measure_cpu(const struct net_options *o, const struct net_tunnel *t,
                            struct net_figures *out, struct why why)
{
    const char *name = net_part_name(NET_CPU);
    struct span span;
    enum err err = watch_tcp(t, NET_A, 1, o->rate_gbit, o->seconds, &span, why);

    if (err != ERR_OK)
        return err;
    net_rows_figure(out, name, "rate", &rate, span.gbit / span.seconds);
    net_rows_figure(out, name, "tunnel", &cores_per_gbit_s, span.tunnel_cpu / span.gbit);
    net_rows_figure(out, name, "machine", &cores_per_gbit_s, span.machine_cpu / span.gbit);
    return ERR_OK;
}

static enum err count_calls(const struct net_tcp *tcp, const struct net_tunnel *t, double seconds,
                            struct net_figures *out, struct why why)
{
    const char *name = net_part_name(NET_CALLS);
    struct net_calls calls;
    struct span span;
    enum err err = net_calls_start(&calls, t->pids, NET_SIDES, why);

    if (err == ERR_OK) {
        uint64_t system = net_calls_read(&calls, NET_CALLS_SYSTEM);
        uint64_t uring = net_calls_read(&calls, NET_CALLS_URING);
        err = watch(tcp, t, seconds, &span, why);
        system = net_calls_read(&calls, NET_CALLS_SYSTEM) - system;
        uring = net_calls_read(&calls, NET_CALLS_URING) - uring;
        double mib = span.gbit * 1e9 / 8 / (1 << 20);
        if (err == ERR_OK)
            net_rows_figure(out, name, "system", &calls_per_mib, (double)system / mib);
        if (err == ERR_OK && t->impl->kind != NET_WIREGUARD_GO)
            net_rows_figure(out, name, "io_uring", &operations_per_mib, (double)uring / mib);
    }
    net_calls_stop(&calls);
    return err;
}

static enum err measure_calls(const struct net_options *o, const struct net_tunnel *t,
                              struct net_figures *out, struct why why)
{
    struct net_tcp tcp;
    enum err err = net_tcp_start(&tcp, t, NET_A, 1, 0, why);

    if (err != ERR_OK)
        return err;
    warm_up(t);
    err = count_calls(&tcp, t, o->seconds / 2, out, why);
    net_tcp_stop(&tcp);
    net_clock_sleep(SETTLE_MS * NS_PER_MS);
    return err;
}

/* ---- datagrams at an equal rate ---- */

struct paced {
    struct net_udp_trial trial;
    double gbit; /* that arrived */
    double cpu[NET_SIDES], user, relay_cpu;
};

static double user_of_both(const struct net_tunnel *t)
{
    return net_usage_user(t->pids[NET_A]) + net_usage_user(t->pids[NET_B]);
}

static enum err run_paced(struct net_udp *udp, const struct net_options *o,
                          const struct net_tunnel *t, double seconds, struct paced *out,
                          struct why why)
{
    double pps = o->rate_gbit * 1e9 / 8 / NET_UDP_PACKET;
    double before[] = {net_usage_cpu(t->pids[NET_A]), net_usage_cpu(t->pids[NET_B])};
    double relay_before = net_usage_cpu(t->relay), user_before = user_of_both(t);
    enum err err = net_udp_try(udp, pps, seconds, &out->trial, why);

    out->relay_cpu = net_usage_cpu(t->relay) - relay_before;
    out->user = user_of_both(t) - user_before;
    for (unsigned side = 0; side < NET_SIDES; side++)
        out->cpu[side] = net_usage_cpu(t->pids[side]) - before[side];
    out->gbit = net_udp_gbit(&out->trial) * out->trial.seconds;
    if (err == ERR_OK)
        err = net_tunnel_check(t, why);
    if (err == ERR_OK && out->trial.received == 0)
        err = why_fail(why, ERR_TIMEOUT, "UDP through %s carries nothing", t->impl->name);
    return err;
}

static void add_paced(const struct net_tunnel *t, const struct paced *paced,
                      struct net_figures *out)
{
    const char *name = net_part_name(NET_PACED);
    const struct net_udp_trial *trial = &paced->trial;
    uint64_t lost = trial->sent > trial->received ? trial->sent - trial->received : 0;

    net_rows_figure(out, name, "rate", &rate, paced->gbit / trial->seconds);
    net_rows_figure(out, name, "lost", &per_cent, 100 * (double)lost / (double)trial->sent);
    net_rows_figure(out, name, "client", &cores_per_gbit_s, paced->cpu[NET_A] / paced->gbit);
    net_rows_figure(out, name, "gateway", &cores_per_gbit_s, paced->cpu[NET_B] / paced->gbit);
    net_rows_figure(out, name, "tunnel", &cores_per_gbit_s,
                    (paced->cpu[NET_A] + paced->cpu[NET_B]) / paced->gbit);
    net_rows_figure(out, name, "user", &cores_per_gbit_s, paced->user / paced->gbit);
    if (t->relay > 0)
        net_rows_figure(out, name, "relay", &cores_per_gbit_s, paced->relay_cpu / paced->gbit);
}

static enum err count_paced(struct net_udp *udp, const struct net_options *o,
                            const struct net_tunnel *t, struct net_figures *out, struct why why)
{
    struct net_calls calls;
    struct paced paced;
    enum err err = net_calls_start(&calls, t->pids, NET_SIDES, why);

    if (err == ERR_OK) {
        uint64_t n = net_calls_read(&calls, NET_CALLS_SYSTEM);
        err = run_paced(udp, o, t, o->seconds / 2, &paced, why);
        n = net_calls_read(&calls, NET_CALLS_SYSTEM) - n;
        if (err == ERR_OK)
            net_rows_figure(out, net_part_name(NET_PACED), "calls", &calls_per_mib,
                            (double)n / (paced.gbit * 1e9 / 8 / (1 << 20)));
    }
    net_calls_stop(&calls);
    return err;
}

static enum err measure_paced(const struct net_options *o, const struct net_tunnel *t,
                              struct net_figures *out, struct why why)
{
    struct net_udp udp;
    struct paced paced;
    enum err err = net_udp_start(&udp, t, why);

    if (err != ERR_OK)
        return err;
    err = run_paced(&udp, o, t, PACED_WARM_UP_S, &paced, why);
    if (err == ERR_OK)
        err = run_paced(&udp, o, t, o->seconds, &paced, why);
    if (err == ERR_OK) {
        add_paced(t, &paced, out);
        err = o->count_calls ? count_paced(&udp, o, t, out, why) : ERR_OK;
    }
    net_udp_stop(&udp);
    net_clock_sleep(SETTLE_MS * NS_PER_MS);
    return err;
}

enum err net_parts_measure(enum net_part part, const struct net_options *o,
                           const struct net_tunnel *t, struct net_figures *out, struct why why)
{
    switch (part) {
    case NET_TCP1:
    case NET_TCP4:
        return measure_tcp(part, o, t, out, why);
    case NET_UDP:
        return measure_udp(o, t, out, why);
    case NET_RTT:
        return measure_rtt(o, t, out, why);
    case NET_CPU:
        return measure_cpu(o, t, out, why);
    case NET_PACED:
        return measure_paced(o, t, out, why);
    case NET_CALLS:
        return measure_calls(o, t, out, why);
    case NET_DNS:
        return net_dns_measure(o, t, out, why);
    case NET_PARTS:
        break;
    }
    ASSERT(!"a part that there is not");
    return ERR_INVALID;
}

double net_parts_seconds(enum net_part part, const struct net_options *o)
{
    const double overhead = 0.6;

    switch (part) {
    case NET_TCP1:
    case NET_TCP4:
    case NET_RTT:
        return 2 * (o->seconds + overhead);
    case NET_UDP:
        return UDP_TRIALS_ABOUT * (udp_trial_seconds(o) + 0.1);
    case NET_CPU:
        return o->seconds + overhead;
    case NET_PACED:
        return o->seconds * (o->count_calls ? 1.5 : 1) + overhead;
    case NET_CALLS:
        return o->seconds / 2 + overhead;
    case NET_DNS:
        return net_dns_seconds(o);
    case NET_PARTS:
        break;
    }
    return 0;
}
