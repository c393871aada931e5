/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange of one request and its answers. */
#include "platform/linux/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
    /* the kernel fills at most 32 KiB per message of a dump */
    ANSWER_MAX = 32768,
    ANSWER_TIMEOUT_SEC = 5,
    DUMP_ATTEMPTS = 10
};

enum err netlink_open(struct netlink *n)
{
    return netlink_open_protocol(n, NETLINK_ROUTE);
}

enum err netlink_open_protocol(struct netlink *n, int protocol)
{
    struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_SEC};
    int on = 1;

    memset(n, 0, sizeof *n);
    n->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
    if (!n->socket)
        return err_from_errno(errno);
    n->answer = malloc(ANSWER_MAX);
    ASSERT(n->answer);
    if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int e = errno;
        netlink_close(n);
        return err_from_errno(e);
    }
    /* All only improve matters: a bounded wait, error texts, short acknowledgements, and dumps that honour filters. */
    setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    mnl_socket_setsockopt(n->socket, NETLINK_EXT_ACK, &on, sizeof on);
    mnl_socket_setsockopt(n->socket, NETLINK_CAP_ACK, &on, sizeof on);
    mnl_socket_setsockopt(n->socket, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    return ERR_OK;
}

void netlink_close(struct netlink *n)
{
    if (n->socket)
        mnl_socket_close(n->socket);
    free(n->answer);
    n->socket = NULL;
    n->answer = NULL;
}

struct nlmsghdr *netlink_begin(struct netlink_buf *b, uint16_t type, uint16_t flags)
{
    memset(b, 0, sizeof *b);
    struct nlmsghdr *h = mnl_nlmsg_put_header(b->bytes);
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    return h;
}

/* One attribute of an acknowledgement; keeps the message. */
static int take_text(const struct nlattr *attr, void *arg)
{
    struct netlink *n = arg;
    if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
        snprintf(n->text, sizeof n->text, "%.*s", (int)mnl_attr_get_payload_len(attr),
                 mnl_attr_get_str(attr));
    return MNL_CB_OK;
}

int netlink_error(struct netlink *n, const struct nlmsghdr *h)
{
    if (mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
        return EBADMSG;
    const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);
    size_t skip = sizeof *err;
    if (!(h->nlmsg_flags & NLM_F_CAPPED))
        skip += MNL_ALIGN(mnl_nlmsg_get_payload_len(&err->msg));
    if (err->error != 0 && (h->nlmsg_flags & NLM_F_ACK_TLVS) && skip < mnl_nlmsg_get_payload_len(h))
        mnl_attr_parse(h, (unsigned)skip, take_text, n);
    return -err->error;
}

/* What ends an exchange. */
enum until {
    UNTIL_ACK, /* NLMSG_ERROR, error 0 included */
    UNTIL_ONE, /* the first object, or an error */
    UNTIL_DONE /* NLMSG_DONE, or an error */
};

struct exchange {
    enum until until;
    netlink_fn fn;
    void *arg;
    bool interrupted; /* the dump is not of one moment */
    bool ended;
    int error;
};

static void take_message(struct netlink *n, struct exchange *x, const struct nlmsghdr *h)
{
    if (h->nlmsg_seq != n->seq || x->ended)
        return;
    x->interrupted = x->interrupted || (h->nlmsg_flags & NLM_F_DUMP_INTR);
    if (h->nlmsg_type == NLMSG_ERROR) {
        x->error = netlink_error(n, h);
        x->ended = true;
    } else if (h->nlmsg_type == NLMSG_DONE) {
        /* the payload is the dump's result; old kernels leave it out */
        if (mnl_nlmsg_get_payload_len(h) >= sizeof(int))
            x->error = -*(const int *)mnl_nlmsg_get_payload(h);
        x->ended = true;
    } else if (h->nlmsg_type >= NLMSG_MIN_TYPE) {
        if (x->fn && !x->interrupted)
            x->fn(x->arg, h);
        x->ended = x->until == UNTIL_ONE;
    }
}

ssize_t netlink_receive(struct netlink *n)
{
    for (;;) {
        ssize_t len = mnl_socket_recvfrom(n->socket, n->answer, ANSWER_MAX);
        if (len >= 0)
            return len;
        if (errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
}

static int exchange(struct netlink *n, struct nlmsghdr *h, struct exchange *x)
{
    n->text[0] = '\0';
    h->nlmsg_seq = ++n->seq;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
        return errno;
    while (!x->ended) {
        ssize_t len = netlink_receive(n);
        if (len < 0)
            return (int)-len;
        int left = (int)len;
        for (const struct nlmsghdr *m = n->answer; mnl_nlmsg_ok(m, left);
             m = mnl_nlmsg_next(m, &left))
            take_message(n, x, m);
    }
    return x->error;
}

int netlink_ack(struct netlink *n, struct nlmsghdr *h)
{
    struct exchange x = {.until = UNTIL_ACK};
    h->nlmsg_flags |= NLM_F_ACK;
    return exchange(n, h, &x);
}

int netlink_get(struct netlink *n, struct nlmsghdr *h, netlink_fn fn, void *arg)
{
    struct exchange x = {.until = UNTIL_ONE, .fn = fn, .arg = arg};
    fn(arg, NULL);
    return exchange(n, h, &x);
}

int netlink_dump(struct netlink *n, struct nlmsghdr *h, netlink_fn fn, void *arg)
{
    h->nlmsg_flags |= NLM_F_DUMP;
    for (unsigned i = 0; i < DUMP_ATTEMPTS; i++) {
        struct exchange x = {.until = UNTIL_DONE, .fn = fn, .arg = arg};
        fn(arg, NULL);
        int e = exchange(n, h, &x);
        if (e != 0 || !x.interrupted)
            return e;
    }
    return EAGAIN;
}

const char *netlink_text(const struct netlink *n, int error)
{
    return n->text[0] ? n->text : strerror(error);
}

int netlink_no_link_local(struct netlink *n, uint32_t ifindex)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_NEWLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);

    link->ifi_index = (int)ifindex;
    struct nlattr *families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *v6 = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, v6);
    mnl_attr_nest_end(h, families);
    return netlink_ack(n, h);
}
