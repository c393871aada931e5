/* SPDX-License-Identifier: Apache-2.0 */
/* Sees the TUN go down and come up, which makes the kernel forget what was set on it. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/linux/route_read.h"
#include "platform/linux/routes_private.h"

#define MODULE "routes"

/* Of a message about a link: each is a datagram of its own, and begins with what counts here. */
enum {
    NEWS_MAX = 1024
};

int routes_watch_fd(struct routes *r)
{
    struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

    if (r->watch >= 0)
        return r->watch;
    r->watch = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (r->watch >= 0 && bind(r->watch, (const struct sockaddr *)&groups, sizeof groups) != 0) {
        close(r->watch);
        r->watch = -1;
    }
    return r->watch;
}

/* Down and up again within one batch has dropped everything as well. */
static void take_flags(struct routes *r, unsigned flags)
{
    if (!r->down && !(flags & IFF_UP))
        log_info(MODULE,
                 "%s was set down: traffic takes the host's other routes until it is up again",
                 r->name);
    if (r->down && (flags & IFF_UP)) {
        routes_repair(r);
        log_info(MODULE, "%s is up again", r->name);
    }
    r->down = !(flags & IFF_UP);
}

static void take_news(struct routes *r, const struct nlmsghdr *h)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(h);

    if (h->nlmsg_type == RTM_NEWLINK && mnl_nlmsg_get_payload_len(h) >= sizeof *link &&
        (uint32_t)link->ifi_index == r->ifindex)
        take_flags(r, link->ifi_flags);
}

void routes_watch(struct routes *r)
{
    char bytes[NEWS_MAX] __attribute__((aligned(8)));
    struct sockaddr_nl from = {.nl_pid = 0};
    struct link_state now;
    ssize_t len;

    for (;;) {
        socklen_t from_len = sizeof from;
        len =
            recvfrom(r->watch, bytes, sizeof bytes, MSG_TRUNC, (struct sockaddr *)&from, &from_len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            break;
        if (from.nl_pid != 0 || len < (ssize_t)NLMSG_LENGTH(sizeof(struct ifinfomsg)))
            continue;
        take_news(r, (const void *)bytes);
    }
    if (errno == ENOBUFS && link_read(&r->netlink, r->ifindex, &now) == 0) {
        r->down = r->down || (now.flags & IFF_UP); /* it may have been, unseen */
        take_flags(r, now.flags);
    }
}
