/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/end.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/linux/netlink.h"
#include "platform/routes.h"

#define NETNS_DIR "/run/netns/"

enum {
    /* Frames between the kernel and fzlink: no part of the emulated queue, so it must never be what drops. */
    DEVICE_QUEUE = 8192
};

struct end {
    struct tun *tun;
    struct routes *routes;
    struct netlink netlink;
    bool netlink_open;
};

/* ---- text ---- */

/* Up to `stop` or the end; false: empty or too long. */
static bool take_word(char *out, size_t size, const char **text, char stop)
{
    const char *end = strchr(*text, stop);
    size_t len = end ? (size_t)(end - *text) : strlen(*text);

    if (len == 0 || len >= size)
        return false;
    memcpy(out, *text, len);
    out[len] = '\0';
    *text += len + (end != NULL);
    return true;
}

enum err end_parse(struct end_config *out, const char *text, struct why why)
{
    char word[IP_PREFIX_TEXT_MAX];
    const char *rest = text;

    memset(out, 0, sizeof *out);
    if (!take_word(out->netns, sizeof out->netns, &rest, ':') ||
        !take_word(out->device, sizeof out->device, &rest, ':') || *rest == '\0')
        return why_fail(why, ERR_PARSE, "'%.200s' is not NETNS:DEVICE:ADDR[,ADDR]", text);
    if (strcmp(out->netns, ".") == 0 || strcmp(out->netns, "..") == 0)
        return why_fail(why, ERR_PARSE, "'%s' is no name of a namespace", out->netns);
    while (*rest != '\0') {
        if (out->addrs_n == END_ADDRS_MAX)
            return why_fail(why, ERR_PARSE, "more than %d addresses for %s", END_ADDRS_MAX,
                            out->device);
        if (!take_word(word, sizeof word, &rest, ',') ||
            ip_prefix_parse(&out->addrs[out->addrs_n++], word) != ERR_OK)
            return why_fail(why, ERR_PARSE,
                            "'%.200s': the addresses are not ADDR/LENGTH with commas between them",
                            text);
    }
    return ERR_OK;
}

/* ---- namespaces ---- */

static enum err open_netns(int *out, const char *netns, struct why why)
{
    bool is_pid = netns[strspn(netns, "0123456789")] == '\0';
    char path[END_NETNS_MAX + 32];

    snprintf(path, sizeof path, "%s%s%s",
             strchr(netns, '/') ? ""
             : is_pid           ? "/proc/"
                                : NETNS_DIR,
             netns, is_pid ? "/ns/net" : "");
    *out = open(path, O_RDONLY | O_CLOEXEC);
    if (*out >= 0)
        return ERR_OK;
    if (errno == ENOENT)
        return is_pid ? why_fail(why, ERR_NOT_FOUND, "there is no process %s", netns)
                      : why_fail(why, ERR_NOT_FOUND, "there is no network namespace %s (%s)", netns,
                                 path);
    return why_fail(why, err_from_errno(errno), "cannot open the network namespace %s: %s%s", path,
                    strerror(errno), errno == EACCES || errno == EPERM ? "; run as root" : "");
}

/* home: where the thread is now. */
static enum err enter(const char *netns, int *home, struct why why)
{
    int fd;
    enum err err = open_netns(&fd, netns, why);

    if (err != ERR_OK)
        return err;
    *home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (*home < 0)
        err = why_fail(why, ERR_IO, "cannot open the own network namespace: %s", strerror(errno));
    else if (setns(fd, CLONE_NEWNET) != 0)
        err = errno == EPERM
                  ? why_fail(why, ERR_PERMISSION,
                             "no permission to enter the network namespace %s; run as root", netns)
              : errno == EINVAL
                  ? why_fail(why, ERR_INVALID, "%s is no network namespace", netns)
                  : why_fail(why, err_from_errno(errno),
                             "cannot enter the network namespace %s: %s", netns, strerror(errno));
    close(fd);
    if (err != ERR_OK && *home >= 0)
        close(*home);
    return err;
}

static void leave(int home)
{
    int failed = setns(home, CLONE_NEWNET);
    ASSERT(failed == 0); /* it was there before */
    close(home);
}

/* ---- the device ---- */

static enum err set_queue(struct end *e, struct why why)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_NEWLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);

    link->ifi_index = (int)tun_ifindex(e->tun);
    mnl_attr_put_u32(h, IFLA_TXQLEN, DEVICE_QUEUE);
    int error = netlink_ack(&e->netlink, h);
    return error == 0 ? ERR_OK
                      : why_fail(why, err_from_errno(error), "cannot set the queue of %s: %s",
                                 tun_name(e->tun), netlink_text(&e->netlink, error));
}

static enum err configure(struct end *e, const struct end_config *config, unsigned mtu,
                          struct why why)
{
    enum err err = routes_new(&e->routes, tun_ifindex(e->tun));

    if (err != ERR_OK)
        return why_fail(why, err, "cannot configure %s: %s", config->device, err_text(err));
    err = routes_link_mtu(e->routes, mtu);
    if (err == ERR_OK)
        err = routes_link_up(e->routes);
    for (unsigned i = 0; err == ERR_OK && i < config->addrs_n; i++)
        err = routes_addr_add(e->routes, &config->addrs[i]);
    return err == ERR_OK ? ERR_OK : why_fail(why, err, "%s", routes_why(e->routes));
}

enum err end_open(struct end **out, const struct end_config *config, unsigned mtu, bool offloads,
                  struct why why)
{
    const struct tun_config tun = {.name = config->device,
                                   .queues = 1,
                                   .offloads = offloads ? TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP : 0};
    struct end *e = mem_zalloc(1, sizeof *e);
    int home;
    enum err err = enter(config->netns, &home, why);

    *out = NULL;
    if (err != ERR_OK) {
        free(e);
        return err;
    }
    err = tun_open(&e->tun, &tun, why.text, why.size);
    if (err == ERR_OK) {
        err = netlink_open(&e->netlink);
        e->netlink_open = err == ERR_OK;
        err = err == ERR_OK ? set_queue(e, why)
                            : why_fail(why, err, "cannot open a netlink socket: %s", err_text(err));
    }
    if (err == ERR_OK)
        err = configure(e, config, mtu, why);
    if (err == ERR_OK)
        *out = e;
    else
        end_close(e);
    leave(home);
    return err;
}

void end_close(struct end *e)
{
    if (!e)
        return;
    tun_free(e->tun); /* and with it all that `routes` knows of */
    routes_free(e->routes);
    if (e->netlink_open)
        netlink_close(&e->netlink);
    free(e);
}

int end_fd(const struct end *e)
{
    return tun_fd(e->tun, 0);
}

unsigned end_offloads(const struct end *e)
{
    return tun_offloads(e->tun);
}

static int take_stats(const struct nlattr *attr, void *arg)
{
    struct rtnl_link_stats64 *stats = arg;

    if (mnl_attr_get_type(attr) == IFLA_STATS64)
        memcpy(stats, mnl_attr_get_payload(attr),
               size_min(sizeof *stats, mnl_attr_get_payload_len(attr)));
    return MNL_CB_OK;
}

static void take_link(void *arg, const struct nlmsghdr *h)
{
    if (h)
        mnl_attr_parse(h, sizeof(struct ifinfomsg), take_stats, arg);
}

uint64_t end_overruns(struct end *e)
{
    struct rtnl_link_stats64 stats = {0};
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);

    link->ifi_index = (int)tun_ifindex(e->tun);
    return netlink_get(&e->netlink, h, take_link, &stats) == 0 ? stats.tx_dropped : 0;
}
