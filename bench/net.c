/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench net: whole tunnels. The plan: for each setting a fresh rig with a tunnel of every implementation, then rounds
 * of all parts, in which the implementations take turns. The files in reading order: net_cage (nothing is left behind),
 * net_rig (namespaces and link), net_link (an emulated one), net_tunnel (the programs), net_hosts, net_names and net_path (those of
 * Firezone, and what they are compared with), net_tcp, net_udp, net_rtt, net_dns (traffic), net_usage, net_calls (what it costs), net_parts
 * (what is measured), net_rows (what it is called).
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/net_cage.h"
#include "bench/net_calls.h"
#include "bench/net_command.h"
#include "bench/net_link.h"
#include "bench/net_names.h"
#include "bench/net_options.h"
#include "bench/net_parts.h"
#include "bench/net_path.h"
#include "bench/net_rig.h"
#include "bench/net_rows.h"
#include "bench/net_tunnel.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/usage.h"
#include "platform/clock.h"

enum {
    WHY_MAX = 1024
};

struct plan {
    struct net_options options;
    char programs[NET_IMPLS_MAX][NET_PATH_MAX];
    char fzlink[NET_PATH_MAX];
    struct net_path_programs firezone;
    struct net_path paths[NET_IMPLS_MAX]; /* of Firezone's implementations, in their order */
    double ceiling_gbit[2];    /* of fzlink without and with offloads; 0: not yet measured */
    uint64_t drops[NET_PARTS]; /* of fzlink's own accord, in this setting */
    uint64_t drops_before;     /* those of all parts */
    struct net_figures figures[NET_IMPLS_MAX]; /* of the part that is measured now */
    struct result result;
    struct result ratios; /* of paths, in this setting: they come after its other rows */
    struct progress progress;
    uint64_t total_ms, done_ms; /* planned */
};

/* ---- what must be there ---- */

static enum err need_program(const char *name, const char *package, struct why why)
{
    char path[NET_PATH_MAX];
    return net_command_find(path, sizeof path, name)
               ? ERR_OK
               : why_fail(why, ERR_NOT_FOUND, "needs the program %s: install the package %s", name,
                          package);
}

/* So that nobody waits for minutes and then cannot have the file. */
static enum err need_folder(const char *file, struct why why)
{
    char path[NET_PATH_MAX];

    snprintf(path, sizeof path, "%s", file);
    const char *folder = dirname(path);
    return access(folder, W_OK) == 0
               ? ERR_OK
               : why_fail(why, err_from_errno(errno), "--json: cannot write to %s: %s", folder,
                          strerror(errno));
}

static enum err check_needs(struct plan *p, struct why why)
{
    const struct net_options *o = &p->options;
    enum err err = ERR_OK;

    if (geteuid() != 0)
        return why_fail(why, ERR_PERMISSION, "needs root (network namespaces)");
    if (access("/dev/net/tun", F_OK) != 0)
        return why_fail(why, ERR_UNSUPPORTED,
                        "there is no /dev/net/tun: the kernel module tun is missing");
    err = need_program("ip", "iproute2", why);
    for (size_t i = 0; err == ERR_OK && i < o->offloads_n; i++) {
        if (!o->offloads[i])
            err = need_program("ethtool", "ethtool", why);
    }
    if (err == ERR_OK && o->json != NULL)
        err = need_folder(o->json, why);
    for (size_t i = 0; err == ERR_OK && i < o->impls_n; i++)
        err = net_tunnel_find(p->programs[i], sizeof p->programs[i], &o->impls[i], why);
    if (err == ERR_OK && o->paths)
        err = need_program("nft", "nftables", why);
    if (err == ERR_OK && o->paths)
        err = net_path_find(&p->firezone, why);
    if (err == ERR_OK && o->rtts_n > 0)
        err = net_link_find(p->fzlink, sizeof p->fzlink, why);
    return err;
}

/* ---- inside the cage ---- */

static uint64_t planned_ms(const struct net_options *o, enum net_part part)
{
    return (uint64_t)(net_parts_seconds(part, o) * 1000);
}

static void show_progress(struct plan *p, const char *setting, unsigned round, enum net_part part,
                          const char *impl)
{
    char label[128];

    snprintf(label, sizeof label, "%s, round %u of %u: %s, %s", setting, round + 1,
             p->options.rounds, net_part_name(part), impl);
    progress_show(&p->progress, p->done_ms, label, clock_now());
    p->done_ms += planned_ms(&p->options, part);
}

/* What fzlink has dropped since the last time is this part's. */
static enum err count_drops(struct plan *p, enum net_part part, struct why why)
{
    uint64_t n;
    enum err err = net_link_drops(&n, p->fzlink, why);

    if (err != ERR_OK)
        return err;
    p->drops[part] += n - p->drops_before;
    p->drops_before = n;
    return ERR_OK;
}

static enum err measure(struct plan *p, enum net_part part, size_t i,
                        const struct net_tunnel *tunnel, struct why why)
{
    const struct net_options *o = &p->options;
    enum err err = net_parts_measure(part, o, tunnel, &p->figures[i], why);
    /* What is wrong with the path is also why something could not be measured. */
    enum err path = o->paths ? net_path_check(&p->paths[i], why) : ERR_OK;

    return path != ERR_OK ? path : err;
}

/* One part of one round: everyone's turn, the first of whom is another one each time. */
static enum err run_part(struct plan *p, const char *setting, const struct net_tunnel *tunnels,
                         unsigned round, enum net_part part, struct why why)
{
    const struct net_options *o = &p->options;
    enum err err = ERR_OK;

    memset(p->figures, 0, sizeof p->figures);
    for (size_t k = 0; err == ERR_OK && k < o->impls_n; k++) {
        size_t i = (k + round) % o->impls_n;
        show_progress(p, setting, round, part, o->impls[i].name);
        err = measure(p, part, i, &tunnels[i], why);
    }
    if (err == ERR_OK)
        err = net_rig_check(tunnels[0].rig, why);
    if (err == ERR_OK && tunnels[0].rig->link)
        err = count_drops(p, part, why);
    if (err != ERR_OK)
        return err;
    net_rows_add(&p->result, setting, o->impls, p->figures, o->impls_n);
    net_rows_add_ratios(o->paths ? &p->ratios : &p->result, setting, o->impls, p->figures,
                        o->impls_n);
    return ERR_OK;
}

static enum err run_rounds(struct plan *p, const char *setting, const struct net_tunnel *tunnels,
                           struct why why)
{
    enum err err = ERR_OK;

    for (unsigned round = 0; err == ERR_OK && round < p->options.rounds; round++) {
        for (unsigned part = 0; err == ERR_OK && part < NET_PARTS; part++) {
            if (p->options.parts[part])
                err = run_part(p, setting, tunnels, round, (enum net_part)part, why);
        }
    }
    return err;
}

static enum err measure_ceiling(struct plan *p, bool offloads, struct why why)
{
    double *gbit = &p->ceiling_gbit[offloads];

    return *gbit > 0 ? ERR_OK : net_link_ceiling(gbit, p->fzlink, offloads, why);
}

static void mark_rows(struct plan *p, const char *setting, unsigned mtu, bool offloads,
                      const struct net_link_setting *link)
{
    net_rows_mark(&p->result, setting, net_link_limit(p->ceiling_gbit[offloads], link, mtu));
    for (unsigned part = 0; part < NET_PARTS; part++)
        net_link_mark(&p->result, net_part_name((enum net_part)part), setting, p->drops[part]);
}

/* link: NULL: a veth pair. */
static enum err run_setting(struct plan *p, unsigned mtu, bool offloads,
                            const struct net_link_setting *link, struct why why)
{
    const struct net_options *o = &p->options;
    struct net_tunnel tunnels[NET_IMPLS_MAX] = {0};
    struct net_rig rig;
    char setting[96];

    memset(p->drops, 0, sizeof p->drops);
    p->drops_before = 0;
    net_rows_setting(setting, sizeof setting, mtu, offloads);
    if (link)
        net_rows_setting_link(setting, sizeof setting, link);
    enum err err = link ? measure_ceiling(p, offloads, why) : ERR_OK;
    if (err == ERR_OK)
        err = net_rig_init(&rig, offloads, link, p->fzlink, why);
    if (err != ERR_OK)
        return err;
    for (unsigned i = 0; err == ERR_OK && i < o->impls_n; i++) {
        const struct net_tunnel_config config = {.rig = &rig,
                                                 .impl = &o->impls[i],
                                                 .path = p->programs[i],
                                                 .index = i,
                                                 .mtu = mtu,
                                                 .workers = o->workers};
        err = net_tunnel_start(&tunnels[i], &config, why);
    }
    if (err == ERR_OK)
        err = run_rounds(p, setting, tunnels, why);
    progress_clear(&p->progress);
    if (link)
        mark_rows(p, setting, mtu, offloads, link);
    for (size_t i = 0; i < o->impls_n; i++)
        net_tunnel_stop(&tunnels[i]);
    net_rig_fini(&rig);
    return err;
}

static void mark_paths(struct plan *p, const char *setting)
{
    const struct net_options *o = &p->options;

    for (size_t i = 0; i < o->impls_n; i++) {
        if (o->impls[i].relayed)
            net_rows_mark_relayed(&p->result, setting, o->impls[i].name, p->paths[i].kind);
    }
    net_rows_mark_goals(&p->result, setting);
    if (o->dns_rate >= NET_DNS_RATE_GOAL)
        net_rows_mark_dns(&p->result, setting, o->impls[0].name);
}

/* Each path has hosts of its own, so that neither can take the other's. */
static enum err run_paths(struct plan *p, bool offloads, struct why why)
{
    const struct net_options *o = &p->options;
    struct net_tunnel tunnels[NET_IMPLS_MAX] = {0};
    enum err err = ERR_OK;
    char setting[96];

    net_rows_setting(setting, sizeof setting, NET_MTU_FIREZONE, offloads);
    for (unsigned i = 0; err == ERR_OK && i < o->impls_n; i++) {
        const struct net_path_config config = {.impl = &o->impls[i],
                                               .programs = &p->firezone,
                                               .client = p->programs[i],
                                               .index = i,
                                               .workers = o->workers,
                                               .offloads = offloads,
                                               .behind = o->behind};
        err = net_path_start(&p->paths[i], &tunnels[i], &config, why);
    }
    result_init(&p->ratios, "net");
    if (err == ERR_OK)
        err = run_rounds(p, setting, tunnels, why);
    progress_clear(&p->progress);
    net_rows_append(&p->result, &p->ratios);
    result_fini(&p->ratios);
    mark_paths(p, setting);
    for (size_t i = 0; i < o->impls_n; i++)
        net_path_stop(&p->paths[i], &tunnels[i]);
    return err;
}

static enum err run_links(struct plan *p, unsigned mtu, bool offloads, struct why why)
{
    const struct net_options *o = &p->options;
    if (o->paths)
        return run_paths(p, offloads, why);
    enum err err = o->rtts_n == 0 ? run_setting(p, mtu, offloads, NULL, why) : ERR_OK;

    for (size_t i = 0; err == ERR_OK && i < o->rtts_n; i++) {
        for (size_t k = 0; err == ERR_OK && k < o->losses_n; k++) {
            const struct net_link_setting link = {.rtt = o->rtts[i], .loss = o->losses[k]};
            err = run_setting(p, mtu, offloads, &link, why);
        }
    }
    return err;
}

static enum err run_all(struct plan *p, struct why why)
{
    const struct net_options *o = &p->options;
    enum err err = ERR_OK;

    for (size_t m = 0; err == ERR_OK && m < o->mtus_n; m++) {
        for (size_t k = 0; err == ERR_OK && k < o->offloads_n; k++)
            err = run_links(p, o->mtus[m], o->offloads[k], why);
    }
    return err;
}

/* System calls cannot be counted everywhere; then all else is measured, unless they were asked for. */
static enum err prepare_calls(struct net_options *o, struct why why)
{
    if (!o->parts[NET_CALLS] && !o->parts[NET_PACED])
        return ERR_OK;
    o->count_calls = net_calls_prepare(why) == ERR_OK;
    if (o->count_calls)
        return ERR_OK;
    if (o->parts_chosen && o->parts[NET_CALLS])
        return ERR_UNSUPPORTED;
    usage_warn("net", "without the part calls: %s", why.text);
    o->parts[NET_CALLS] = false;
    return ERR_OK;
}

static void begin_progress(struct plan *p)
{
    const struct net_options *o = &p->options;

    for (unsigned part = 0; part < NET_PARTS; part++)
        p->total_ms += o->parts[part] ? planned_ms(o, (enum net_part)part) : 0;
    p->total_ms *= o->mtus_n * o->offloads_n * o->impls_n * o->rounds;
    if (o->rtts_n > 0)
        p->total_ms *= o->rtts_n * o->losses_n;
    progress_init_stderr(&p->progress, p->total_ms, clock_now());
}

static int body(void *arg)
{
    struct plan *p = arg;
    char text[WHY_MAX] = "";
    struct why why = {text, sizeof text};
    int code = BENCH_OK;

    if (prepare_calls(&p->options, why) != ERR_OK)
        return usage_fail_run("net", "%s", text);
    if ((p->options.impls[0].by_name || p->options.parts[NET_DNS]) &&
        net_names_prepare(why) != ERR_OK)
        return usage_fail_run("net", "%s", text);
    begin_progress(p);
    result_init(&p->result, "net");
    if (run_all(p, why) != ERR_OK)
        code = usage_fail_run("net", "%s", text);
    if (p->result.n > 0)
        result_print(&p->result, stdout);
    if (code == BENCH_OK && p->options.json != NULL &&
        result_save(&p->result, p->options.json, text, sizeof text) != ERR_OK)
        code = usage_fail_run("net", "%s", text);
    result_fini(&p->result);
    return code;
}

int bench_net(int argc, char **argv)
{
    static struct plan plan;
    char text[WHY_MAX] = "";
    struct why why = {text, sizeof text};

    if (net_options_parse(&plan.options, argc, argv, why) != ERR_OK)
        return usage_fail("net", "%s", text);
    if (plan.options.help)
        return fputs(net_options_help(), stdout) >= 0 ? BENCH_OK : BENCH_FAILED;
    if (check_needs(&plan, why) != ERR_OK)
        return usage_fail_run("net", "%s", text);
    return net_cage_run(body, &plan);
}
