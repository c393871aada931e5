/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and parses UDP message headers; classifies send errors. */
#include "platform/linux/udp_msg.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "platform/base/bytes.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    ECN_MASK = 3
};

_Static_assert(sizeof(union addr_os) <= UDP_IN_NAME, "sender address");
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) <=
                   UDP_IN_CONTROL,
               "ancillary data of a receive");

static uint8_t *put_cmsg(uint8_t *at, int level, int type, const void *value, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)at;
    c->cmsg_len = CMSG_LEN(len);
    c->cmsg_level = level;
    c->cmsg_type = type;
    memcpy(CMSG_DATA(c), value, len);
    return at + CMSG_SPACE(len);
}

static uint8_t *put_source(uint8_t *at, unsigned family, const struct ip_source *from)
{
    if (family == ADDR_V4) {
        struct in_pktinfo info = {.ipi_ifindex = (int)from->ifindex};
        memcpy(&info.ipi_spec_dst, from->ip.bytes, sizeof info.ipi_spec_dst);
        return put_cmsg(at, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    struct in6_pktinfo info = {.ipi6_ifindex = from->ifindex};
    memcpy(&info.ipi6_addr, from->ip.bytes, sizeof info.ipi6_addr);
    return put_cmsg(at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

void udp_msg_build(struct msghdr *header, struct udp_out *out, const struct io_send *send,
                   uint32_t offset, uint32_t len, uint16_t segment_size)
{
    unsigned family = send->to.ip.family;
    uint8_t *end = out->control;

    out->iov = (struct iovec){send->data + offset, len};
    if (send->from.ip.family != ADDR_NONE || send->from.ifindex != 0)
        end = put_source(end, family, &send->from);
    if (send->ecn != 0) {
        int tos = send->ecn & ECN_MASK;
        end = family == ADDR_V4 ? put_cmsg(end, IPPROTO_IP, IP_TOS, &tos, sizeof tos)
                                : put_cmsg(end, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    }
    if (segment_size != 0)
        end = put_cmsg(end, IPPROTO_UDP, UDP_SEGMENT, &segment_size, sizeof segment_size);
    *header = (struct msghdr){
        .msg_name = &out->to,
        .msg_namelen = addr_os_to(&out->to, &send->to),
        .msg_iov = &out->iov,
        .msg_iovlen = 1,
        .msg_control = end == out->control ? NULL : out->control,
        .msg_controllen = (size_t)(end - out->control),
    };
}

#define CMSG_KEY(level, type) ((uint64_t)(unsigned)(level) << 32 | (unsigned)(type))

/* One ancillary item; what is unknown or shorter than its type is passed over. */
static void parse_cmsg(struct io_rx *rx, const struct cmsghdr *c)
{
    const uint8_t *value = CMSG_DATA(c);
    size_t len = c->cmsg_len - CMSG_LEN(0);
    struct in_pktinfo v4;
    struct in6_pktinfo v6;
    int size;

    switch (CMSG_KEY(c->cmsg_level, c->cmsg_type)) {
    case CMSG_KEY(IPPROTO_UDP, UDP_GRO):
        if (len < sizeof size)
            break;
        memcpy(&size, value, sizeof size);
        if (size > 0 && (unsigned)size < rx->segment_size)
            rx->segment_size = (uint16_t)size;
        break;
    case CMSG_KEY(IPPROTO_IP, IP_PKTINFO):
        if (len < sizeof v4)
            break;
        memcpy(&v4, value, sizeof v4);
        rx->to.ip = ip_addr_v4(&v4.ipi_addr);
        rx->to.ifindex = (uint32_t)v4.ipi_ifindex;
        break;
    case CMSG_KEY(IPPROTO_IPV6, IPV6_PKTINFO):
        if (len < sizeof v6)
            break;
        memcpy(&v6, value, sizeof v6);
        rx->to.ip = ip_addr_v6(&v6.ipi6_addr);
        rx->to.ifindex = v6.ipi6_ifindex;
        break;
    case CMSG_KEY(IPPROTO_IP, IP_TOS):        /* one byte */
    case CMSG_KEY(IPPROTO_IPV6, IPV6_TCLASS): /* an int; this is its low byte */
        if (len >= 1)
            rx->ecn = value[0] & ECN_MASK;
        break;
    }
}

bool udp_msg_parse(struct io_rx *rx, const struct udp_in *in)
{
    const uint8_t *at = in->control;
    size_t left = in->control_len;

    addr_os_from(&rx->from, in->name);
    if (UNLIKELY(in->flags & (MSG_TRUNC | MSG_CTRUNC)) || rx->from.ip.family == ADDR_NONE)
        return false;
    rx->ecn = 0;
    rx->segment_size = (uint16_t)(rx->len > 0 ? rx->len : 1);
    rx->to.ip.family = ADDR_NONE;
    rx->to.ifindex = 0;
    while (left >= CMSG_LEN(0)) {
        const struct cmsghdr *c = (const struct cmsghdr *)(const void *)at;
        if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > left)
            break;
        parse_cmsg(rx, c);
        size_t step = CMSG_ALIGN(c->cmsg_len);
        if (step >= left)
            break;
        at += step;
        left -= step;
    }
    return true;
}

static struct udp_verdict give_up(enum io_result result)
{
    return (struct udp_verdict){UDP_GIVE_UP, result};
}

/* Errors of a segmented send that the same bytes as single datagrams may not meet. */
static bool may_be_gso(int error)
{
    return error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH || error == EIO ||
           error == EMSGSIZE || error == EOPNOTSUPP;
}

struct udp_verdict udp_send_judge(int error, bool segmented, bool retried)
{
    if (error == EAGAIN)
        return (struct udp_verdict){UDP_WAIT, IO_SENT};
    if (segmented && may_be_gso(error))
        return (struct udp_verdict){UDP_SPLIT, IO_SENT};
    switch (error) {
    case EINVAL:
    case EADDRNOTAVAIL:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENODEV:
    case ENXIO:
    case EIO:
        return give_up(IO_PATH_LOST);
    case EMSGSIZE:
        return give_up(IO_TOO_BIG);
    case ENOBUFS:
    case ENOMEM:
        return give_up(IO_NO_BUFFER);
    case EPERM:
    case EACCES:
        return give_up(IO_DENIED);
    case EBADF:
    case ENOTSOCK:
        return give_up(IO_CLOSED);
    }
    /* An interrupted call, or an error that lay pending on the socket and is now taken. */
    if (!retried)
        return (struct udp_verdict){UDP_AGAIN, IO_SENT};
    return give_up(IO_FAILED);
}

enum udp_gso udp_gso_judge(int error, bool worked)
{
    /* No checksum offload on the way out, or no such feature: every run would fail. */
    if (error == EIO || error == EOPNOTSUPP)
        return UDP_GSO_OFF;
    /* A segment above the path MTU can be fragmented as a datagram, not as a segment. */
    if (error == EMSGSIZE)
        return UDP_GSO_AVOID;
    /* Older kernels say EINVAL for that too, so it convicts only a socket that never segmented. */
    return worked ? UDP_GSO_AVOID : UDP_GSO_OFF;
}

enum io_result udp_result_worse(enum io_result a, enum io_result b)
{
    static const uint8_t rank[] = {
        [IO_SENT] = 0,    [IO_NO_BUFFER] = 1, [IO_FAILED] = 2, [IO_DENIED] = 3,
        [IO_TOO_BIG] = 4, [IO_PATH_LOST] = 5, [IO_CLOSED] = 6,
    };
    return rank[a] >= rank[b] ? a : b;
}
