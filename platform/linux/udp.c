/* SPDX-License-Identifier: Apache-2.0 */
/* UDP socket groups: options, the order of bind and SO_REUSEPORT, and the sentences for what can go wrong. */
#include "platform/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/udp_steer.h"
#include "platform/linux/why.h"

#define MODULE "udp"

/* From <linux/in6.h>, which cannot be included next to <netinet/in.h>. */
#ifndef IPV6_ADDR_PREFERENCES
#define IPV6_ADDR_PREFERENCES 72
#endif
#ifndef IPV6_PREFER_SRC_PUBLIC
#define IPV6_PREFER_SRC_PUBLIC 0x0002
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO     104
#endif

enum {
    /* At 100,000 handshake messages per second some 100 ms: longer than a thread is kept from its CPU, far shorter
     * than a handshake's retry. */
    GATE_RECV_BYTES = 8 << 20
};

static const char *family_text(unsigned family)
{
    return family == ADDR_V4 ? "IPv4" : "IPv6";
}

static int set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : errno;
}

/* The FORCE variant exceeds the system's limits and needs CAP_NET_ADMIN; the plain one is clamped silently. */
static void set_buffer(int fd, int force, int plain, uint32_t bytes)
{
    int value = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
    if (set_int(fd, SOL_SOCKET, force, value) != 0 && set_int(fd, SOL_SOCKET, plain, value) != 0)
        log_info(MODULE, "cannot set a socket buffer of %d bytes: %s", value, strerror(errno));
}

/*
 * Ancillary data the workers rely on, and path MTU discovery off: the outer datagram may be fragmented, so that a
 * link smaller than the tunnel's MTU plus overhead slows traffic down instead of swallowing it.
 */
static int set_ip_options(int fd, unsigned family)
{
    static const struct {
        uint8_t family;
        int level, option, value;
    } options[] = {
        {ADDR_V4, IPPROTO_IP, IP_PKTINFO, 1},
        {ADDR_V4, IPPROTO_IP, IP_RECVTOS, 1},
        {ADDR_V4, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
        {ADDR_V6, IPPROTO_IPV6, IPV6_V6ONLY, 1},
        {ADDR_V6, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
        {ADDR_V6, IPPROTO_IPV6, IPV6_RECVTCLASS, 1},
        {ADDR_V6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT},
    };
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        if (options[i].family != family)
            continue;
        int e = set_int(fd, options[i].level, options[i].option, options[i].value);
        if (e != 0)
            return e;
    }
    /* Temporary addresses rotate, and with them every path that peers have learned. */
    if (family == ADDR_V6 &&
        set_int(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC) != 0)
        log_debug(MODULE, "stable source addresses cannot be preferred: %s", strerror(errno));
    return 0;
}

static enum err set_options(struct udp_group *g, const struct udp_config *config, int fd,
                            struct why why)
{
    int e;

    if (config->mark != 0 && (e = set_int(fd, SOL_SOCKET, SO_MARK, (int)config->mark)) != 0)
        return why_fail(why, err_from_errno(e),
                        "cannot set the firewall mark 0x%x on a UDP socket: %s%s", config->mark,
                        strerror(e), e == EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
    if ((e = set_ip_options(fd, g->family)) != 0)
        return why_fail(why, err_from_errno(e), "cannot set up an %s UDP socket: %s",
                        family_text(g->family), strerror(e));
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF,
               config->send_bytes ? config->send_bytes : UDP_SEND_BYTES_DEFAULT);
    bool gate = config->gate && g->n == config->sockets; /* the last one */
    uint32_t recv_bytes = config->recv_bytes ? config->recv_bytes : UDP_RECV_BYTES_DEFAULT;
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, gate ? GATE_RECV_BYTES : recv_bytes);
    /* An offload counts only if every socket of the group has it. */
    g->gso = g->gso && set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0) == 0;
    g->gro = g->gro && set_int(fd, IPPROTO_UDP, UDP_GRO, 1) == 0;
    return ERR_OK;
}

static enum err bind_failed(struct why why, unsigned family, uint16_t port, int e)
{
    if (e == EADDRINUSE)
        return why_fail(why, ERR_IN_USE,
                        "UDP port %u (%s) is already in use by another process; choose another "
                        "ListenPort or stop that process",
                        port, family_text(family));
    if (e == EACCES || e == EPERM)
        return why_fail(
            why, ERR_PERMISSION,
            "no permission to use UDP port %u (%s); choose a port above 1023 or run with "
            "CAP_NET_BIND_SERVICE",
            port, family_text(family));
    if (e == EADDRNOTAVAIL || e == EAFNOSUPPORT)
        return why_fail(why, ERR_UNSUPPORTED, "%s is switched off on this machine",
                        family_text(family));
    return why_fail(why, err_from_errno(e), "cannot bind UDP port %u (%s): %s", port,
                    family_text(family), strerror(e));
}

static enum err bind_wildcard(struct udp_group *g, int fd, struct why why)
{
    struct sock_addr any = {.ip.family = (uint8_t)g->family, .port = g->port};
    union addr_os name;
    socklen_t len = addr_os_to(&name, &any);

    if (bind(fd, &name.sa, len) != 0)
        return bind_failed(why, g->family, g->port, errno);
    if (g->port != 0)
        return ERR_OK;
    len = sizeof name;
    if (getsockname(fd, &name.sa, &len) != 0)
        return why_fail(why, err_from_errno(errno), "cannot read a UDP socket's port: %s",
                        strerror(errno));
    addr_os_from(&any, &name);
    g->port = any.port;
    return ERR_OK;
}

/*
 * While a group is incomplete, datagrams would be spread differently than later, and those of one flow would meet
 * their worker by two ways, out of order. So each socket refuses everything until all are bound and steered.
 */
static int refuse_all(int fd)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : errno;
}

static void accept_all(const struct udp_group *g)
{
    for (unsigned i = 0; i < g->n && g->n > 1; i++) {
        if (set_int(g->fds[i], SOL_SOCKET, SO_DETACH_FILTER, 0) != 0)
            log_error(MODULE, "cannot open a UDP socket for traffic: %s", strerror(errno));
    }
}

/* Adds one socket to g->fds; the caller closes what is there on error. */
static enum err open_next(struct udp_group *g, const struct udp_config *config, struct why why)
{
    int e, fd = socket(addr_os_family(g->family), SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        e = errno;
        return why_fail(why, e == EAFNOSUPPORT ? ERR_UNSUPPORTED : err_from_errno(e),
                        "cannot open an %s UDP socket: %s", family_text(g->family), strerror(e));
    }
    bool first = g->n == 0;
    g->fds[g->n++] = fd;
    enum err err = set_options(g, config, fd, why);
    if (err != ERR_OK)
        return err;
    if (config->sockets > 1 && (e = refuse_all(fd)) != 0)
        return why_fail(why, err_from_errno(e), "cannot prepare a UDP socket: %s", strerror(e));
    if (!first && (e = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) != 0)
        return why_fail(why, err_from_errno(e), "cannot share UDP port %u between workers: %s",
                        g->port, strerror(e));
    if ((err = bind_wildcard(g, fd, why)) != ERR_OK)
        return err;
    /* From here on our own sockets can join; a group of one stays closed to all. */
    if (first && config->sockets > 1 && (e = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) != 0)
        return why_fail(why, err_from_errno(e), "cannot share UDP port %u between workers: %s",
                        g->port, strerror(e));
    return ERR_OK;
}

static void steer(struct udp_group *g, bool gate)
{
    int e = udp_steer_attach(g->fds[0], gate ? (int)g->n - 1 : -1);
    g->steered = e == 0;
    if (e != 0)
        log_info(MODULE,
                 "UDP steering is not available (%s): packets reach their worker by way of another",
                 strerror(e));
}

enum err udp_group_open(struct udp_group *g, const struct udp_config *config, char *why_text,
                        unsigned why_size)
{
    struct why why = {.text = why_text, .size = why_size};

    memset(g, 0, sizeof *g);
    if ((config->family != ADDR_V4 && config->family != ADDR_V6) || config->sockets == 0 ||
        config->sockets > UDP_GROUP_MAX)
        return why_fail(why, ERR_INVALID, "a UDP group of %u sockets is not possible",
                        config->sockets);
    g->family = config->family;
    g->port = config->port;
    g->gso = g->gro = config->offloads;
    while (g->n < config->sockets) {
        enum err err = open_next(g, config, why);
        if (err != ERR_OK) {
            udp_group_close(g);
            return err;
        }
    }
    if (config->steering && g->n > 1)
        steer(g, config->gate);
    accept_all(g);
    return ERR_OK;
}

void udp_group_close(struct udp_group *g)
{
    for (unsigned i = 0; i < g->n; i++)
        close(g->fds[i]);
    memset(g, 0, sizeof *g);
}

enum err udp_group_set_mark(struct udp_group *g, uint32_t mark)
{
    for (unsigned i = 0; i < g->n; i++) {
        int e = set_int(g->fds[i], SOL_SOCKET, SO_MARK, (int)mark);
        if (e != 0)
            return err_from_errno(e);
    }
    return ERR_OK;
}
