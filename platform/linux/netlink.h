/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel over libmnl, one at a time, as a rule to its routing socket (rtnetlink).
 *
 * Every answer is matched by sequence number, so the rest of an abandoned exchange cannot be taken for the answer to
 * the next one. The text of an extended acknowledgement is kept for error messages. One owner thread per socket.
 *
 *   struct netlink_buf b;
 *   struct nlmsghdr *h = netlink_begin(&b, RTM_NEWLINK, 0);
 *   ... mnl_nlmsg_put_extra_header, mnl_attr_put ...
 *   int e = netlink_ack(&n, h);
 */
#ifndef FZ_LINUX_NETLINK_H
#define FZ_LINUX_NETLINK_H

#include <stdint.h>

#include <libmnl/libmnl.h>

#include "platform/base/err.h"

enum {
    NETLINK_REQUEST_MAX = 1024,
    NETLINK_TEXT_MAX = 160
};

struct netlink {
    struct mnl_socket *socket;
    uint32_t seq;
    void *answer;                /* receive buffer */
    char text[NETLINK_TEXT_MAX]; /* why the kernel refused the last request, "" if it did not say */
};

/* Room for one request. */
struct netlink_buf {
    char bytes[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
};

/*
 * Called per answer message, and with NULL before the first one and whenever the dump starts over because the kernel's
 * tables changed meanwhile: forget what was collected.
 */
typedef void (*netlink_fn)(void *arg, const struct nlmsghdr *h);

enum err netlink_open(struct netlink *n) MUST_USE;
/* A socket to another part of the kernel than routing, such as NETLINK_NETFILTER. */
enum err netlink_open_protocol(struct netlink *n, int protocol) MUST_USE;
void netlink_close(struct netlink *n);

/* An empty request of `type` with NLM_F_REQUEST and `flags`. */
struct nlmsghdr *netlink_begin(struct netlink_buf *b, uint16_t type, uint16_t flags);

/* The functions below return 0 or a positive errno. */

/* Sends a request that changes something and waits for its acknowledgement. */
int netlink_ack(struct netlink *n, struct nlmsghdr *h);
/* Sends a request for one object (RTM_GETROUTE, RTM_GETLINK); fn is called once with it. */
int netlink_get(struct netlink *n, struct nlmsghdr *h, netlink_fn fn, void *arg);
/* Sends a request for a table; fn is called per entry. EAGAIN: it never stood still. */
int netlink_dump(struct netlink *n, struct nlmsghdr *h, netlink_fn fn, void *arg);

/* For exchanges of another form. The length of what has come into `answer`, or a negative errno. */
ssize_t netlink_receive(struct netlink *n);
/* The errno of an NLMSG_ERROR, 0 for an acknowledgement; keeps its text. */
int netlink_error(struct netlink *n, const struct nlmsghdr *h);

/* The kernel's text if it gave one, else the errno's. */
const char *netlink_text(const struct netlink *n, int error);

/* Keeps a tunnel device from ever giving itself a link-local IPv6 address, and so from router solicitations. */
int netlink_no_link_local(struct netlink *n, uint32_t ifindex);

#endif
