/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/net_command.h"
#include "platform/base/bytes.h"

#define A "192.0.2.2"
#define B "198.51.100.2"

/* One host and its link to a router. */
struct host {
    const char *device, *prefix;       /* its end */
    const char *port, *gateway_prefix; /* the router's */
    const char *gateway;               /* NULL: no default route leads there */
};

static const struct host hosts[] = {
    {"veth-a", A "/24", "to-a", "192.0.2.1/24", "192.0.2.1"},
    {"veth-b", B "/24", "to-b", "198.51.100.1/24", "198.51.100.1"},
    {"veth-s", NET_HOSTS_SERVER "/24", "to-s", "203.0.113.1/24", "203.0.113.1"},
};

/* An answer to an address of the tunnel would not get out of it. */
static const struct host behind = {"veth-w", NET_HOSTS_BEHIND "/24", "to-w", "10.20.0.1/24", NULL};

/* Both paths are forwarded by as many rules. */
#define RULES(verdict)                                                                             \
    "table inet fzbench { chain forward { type filter hook forward priority filter; "              \
    "iifname \"to-a\" oifname \"to-b\" meta l4proto udp " verdict "; "                             \
    "iifname \"to-b\" oifname \"to-a\" meta l4proto udp " verdict "; }; }"

static enum err switch_off(int ns, const char *device, struct why why)
{
    return net_command_run(ns,
                           NET_COMMAND("ethtool", "-K", device, "tx-udp-segmentation", "off", "gso",
                                       "off", "gro", "off", "tso", "off"),
                           why);
}

static enum err set_up(int ns, const char *device, const char *prefix, bool offloads,
                       struct why why)
{
    enum err err = offloads ? ERR_OK : switch_off(ns, device, why);

    if (err == ERR_OK)
        err = net_command_run(ns, NET_COMMAND("ip", "address", "add", prefix, "dev", device), why);
    if (err == ERR_OK)
        err = net_command_run(ns, NET_COMMAND("ip", "link", "set", device, "up"), why);
    return err;
}

static enum err join(int router, int ns, const struct host *host, bool offloads, struct why why)
{
    char there[40];

    snprintf(there, sizeof there, "/proc/1/fd/%d", ns);
    enum err err =
        net_command_run(router,
                        NET_COMMAND("ip", "link", "add", host->port, "mtu", "1500", "type", "veth",
                                    "peer", "name", host->device, "mtu", "1500", "netns", there),
                        why);
    if (err == ERR_OK)
        err = set_up(router, host->port, host->gateway_prefix, offloads, why);
    if (err == ERR_OK)
        err = set_up(ns, host->device, host->prefix, offloads, why);
    if (err == ERR_OK && host->gateway != NULL)
        err = net_command_run(
            ns, NET_COMMAND("ip", "route", "add", "default", "via", host->gateway), why);
    return err;
}

/* In the namespace in which the process is. */
static enum err forward_packets(struct why why)
{
    int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, "1", 1) == 1;
    int error = errno;

    if (fd >= 0)
        close(fd);
    return good ? ERR_OK
                : why_fail(why, err_from_errno(error), "cannot make a router: %s", strerror(error));
}

/* Leaves the process in b, as the rig does. */
static enum err make_namespaces(struct net_hosts *h, bool with_behind, struct why why)
{
    int *const all[] = {&h->rig.behind, &h->rig.server, &h->router, &h->rig.ns[NET_A],
                        &h->rig.ns[NET_B]};
    enum err err = ERR_OK;

    for (size_t i = with_behind ? 0 : 1; err == ERR_OK && i < ARRAY_LEN(all); i++) {
        err = net_rig_namespace(all[i], why);
        if (err == ERR_OK && all[i] == &h->router)
            err = forward_packets(why);
    }
    return err;
}

enum err net_hosts_init(struct net_hosts *h, const struct net_hosts_config *config, struct why why)
{
    *h = (struct net_hosts){.rig = {.ns = {-1, -1},
                                    .address = {A, B},
                                    .behind = -1,
                                    .behind_address = NET_HOSTS_BEHIND,
                                    .server = -1,
                                    .fzlink = -1},
                            .router = -1};
    enum err err = make_namespaces(h, config->behind, why);
    const int ns[] = {h->rig.ns[NET_A], h->rig.ns[NET_B], h->rig.server};

    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(hosts); i++)
        err = join(h->router, ns[i], &hosts[i], config->offloads, why);
    if (err == ERR_OK && config->behind)
        err = join(h->rig.ns[NET_B], h->rig.behind, &behind, config->offloads, why);
    if (err == ERR_OK)
        err = net_command_run(
            h->router, NET_COMMAND("nft", config->relayed ? RULES("drop") : RULES("accept")), why);
    if (err != ERR_OK)
        net_hosts_fini(h);
    return err;
}

enum err net_hosts_masquerade(const struct net_hosts *h, const char *tun, const char *range,
                              struct why why)
{
    char rules[256];

    snprintf(rules, sizeof rules,
             "table ip fzbench { chain uplinks { type nat hook postrouting priority srcnat; "
             "iifname \"%s\" ip saddr %s masquerade; }; }",
             tun, range);
    enum err err = forward_packets(why);
    return err == ERR_OK ? net_command_run(h->rig.ns[NET_B], NET_COMMAND("nft", rules), why) : err;
}

void net_hosts_fini(struct net_hosts *h)
{
    net_rig_fini(&h->rig);
    if (h->router >= 0)
        close(h->router);
    h->router = -1;
}
