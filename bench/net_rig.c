/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_command.h"
#include "bench/net_link.h"

static const char *const devices[NET_SIDES] = {"veth-a", "veth-b"};
static const char *const addresses[NET_SIDES] = {"192.0.2.1", "192.0.2.2"};
static const char *const prefixes[NET_SIDES] = {"192.0.2.1/24", "192.0.2.2/24"};

enum err net_rig_namespace(int *out, struct why why)
{
    if (unshare(CLONE_NEWNET) != 0)
        return why_fail(why, err_from_errno(errno), "cannot make a network namespace: %s",
                        strerror(errno));
    *out = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (*out < 0)
        return why_fail(why, ERR_IO, "cannot open the network namespace: %s", strerror(errno));
    return net_command_run(*out, NET_COMMAND("ip", "link", "set", "lo", "up"), why);
}

static enum err set_up(const struct net_rig *rig, enum net_side side, bool offloads, struct why why)
{
    const char *device = devices[side];
    enum err err = ERR_OK;

    if (!offloads)
        err = net_command_run(rig->ns[side],
                              NET_COMMAND("ethtool", "-K", device, "tx-udp-segmentation", "off",
                                          "gso", "off", "gro", "off", "tso", "off"),
                              why);
    if (err == ERR_OK)
        err = net_command_run(
            rig->ns[side], NET_COMMAND("ip", "address", "add", prefixes[side], "dev", device), why);
    if (err == ERR_OK)
        err = net_command_run(rig->ns[side], NET_COMMAND("ip", "link", "set", device, "up"), why);
    return err;
}

static enum err make_veth(const struct net_rig *rig, bool offloads, struct why why)
{
    /* "netns 1": where process 1 of the cage is, which has just entered b. */
    enum err err = net_command_run(rig->ns[NET_A],
                                   NET_COMMAND("ip", "link", "add", devices[NET_A], "mtu", "1500",
                                               "type", "veth", "peer", "name", devices[NET_B],
                                               "mtu", "1500", "netns", "1"),
                                   why);
    if (err == ERR_OK)
        err = set_up(rig, NET_A, offloads, why);
    if (err == ERR_OK)
        err = set_up(rig, NET_B, offloads, why);
    return err;
}

static enum err start_fzlink(struct net_rig *rig, bool offloads, const char *fzlink, struct why why)
{
    const struct net_link_config config = {.path = fzlink,
                                           .setting = rig->link,
                                           .offloads = offloads,
                                           .ns = {rig->ns[NET_A], rig->ns[NET_B]},
                                           .devices = {devices[NET_A], devices[NET_B]},
                                           .prefixes = {prefixes[NET_A], prefixes[NET_B]}};
    rig->fzlink = net_link_start(&config, why);
    return rig->fzlink > 0 ? ERR_OK : ERR_IO;
}

enum err net_rig_init(struct net_rig *rig, bool offloads, const struct net_link_setting *link,
                      const char *fzlink, struct why why)
{
    *rig = (struct net_rig){.ns = {-1, -1},
                            .address = {addresses[NET_A], addresses[NET_B]},
                            .behind = -1,
                            .server = -1,
                            .link = link,
                            .fzlink = -1};
    enum err err = net_rig_namespace(&rig->ns[NET_A], why);
    if (err == ERR_OK)
        err = net_rig_namespace(&rig->ns[NET_B], why);
    if (err == ERR_OK)
        err = link ? start_fzlink(rig, offloads, fzlink, why) : make_veth(rig, offloads, why);
    if (err != ERR_OK)
        net_rig_fini(rig);
    return err;
}

enum err net_rig_check(const struct net_rig *rig, struct why why)
{
    return net_link_check(rig->fzlink, why);
}

void net_rig_fini(struct net_rig *rig)
{
    net_link_stop(rig->fzlink);
    rig->fzlink = -1;
    for (unsigned side = 0; side < NET_SIDES; side++) {
        if (rig->ns[side] >= 0)
            close(rig->ns[side]);
        rig->ns[side] = -1;
    }
    if (rig->behind >= 0)
        close(rig->behind);
    if (rig->server >= 0)
        close(rig->server);
    rig->behind = rig->server = -1;
}

static int socket_in(const struct net_rig *rig, int ns, int type)
{
    if (setns(ns, CLONE_NEWNET) != 0)
        return -1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    /* Process 1 is in b whenever it does not make a socket; this cannot fail after it has worked once. */
    if (ns != rig->ns[NET_B] && setns(rig->ns[NET_B], CLONE_NEWNET) != 0 && fd >= 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int net_rig_socket(const struct net_rig *rig, enum net_side side, int type)
{
    const bool behind = side == NET_B && rig->behind >= 0;

    return socket_in(rig, behind ? rig->behind : rig->ns[side], type);
}

int net_rig_server_socket(const struct net_rig *rig, int type)
{
    return socket_in(rig, rig->server, type);
}

static struct sockaddr_in make_address(const char *address, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    ASSERT(inet_pton(AF_INET, address, &a.sin_addr) == 1);
    return a;
}

bool net_rig_connect(int fd, const char *address, uint16_t port)
{
    struct sockaddr_in a = make_address(address, port);
    return connect(fd, (const struct sockaddr *)&a, sizeof a) == 0;
}

bool net_rig_bind(int fd, const char *address, uint16_t port)
{
    struct sockaddr_in a = make_address(address, port);
    return bind(fd, (const struct sockaddr *)&a, sizeof a) == 0;
}

uint16_t net_rig_port(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port) : 0;
}
