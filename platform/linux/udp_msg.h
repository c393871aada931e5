/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP messages: socket addresses and ancillary data from and to the values of platform/io.h, and the rules of what
 * a send error means. Pure functions over memory, shared by the I/O backends; any thread.
 *
 * Ancillary data: IP_PKTINFO / IPV6_PKTINFO (source address, interface), IP_TOS / IPV6_TCLASS (ECN), UDP_SEGMENT
 * (outgoing) and UDP_GRO (incoming segment size).
 */
#ifndef FZ_LINUX_UDP_MSG_H
#define FZ_LINUX_UDP_MSG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "platform/io.h"
#include "platform/linux/addr_os.h"

enum {
    UDP_IN_NAME = 32,     /* room for a sender address; a multiple of the cmsg alignment */
    UDP_IN_CONTROL = 128, /* 88 bytes are needed; this much aligns the payload, see io_backend.h */
    UDP_OUT_CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
                      CMSG_SPACE(sizeof(uint16_t))
};

/* What the msghdr of one outgoing message points to. */
struct udp_out {
    union addr_os to;
    struct iovec iov;
    _Alignas(8) uint8_t control[UDP_OUT_CONTROL];
};

/*
 * Fills `header` and `out` for `len` bytes of `send` from `offset` on. segment_size: 0 for one plain datagram.
 * Sets every field of `header`; it points into `out` and to the bytes.
 */
void udp_msg_build(struct msghdr *header, struct udp_out *out, const struct io_send *send,
                   uint32_t offset, uint32_t len, uint16_t segment_size);

/* What a receive call stored. control: aligned to 8. */
struct udp_in {
    const union addr_os *name;
    const void *control;
    size_t control_len;
    int flags; /* msg_flags */
};

/*
 * Sets ecn, segment_size, from and to of `rx` (its len is an input). False if the datagram or its ancillary data was
 * cut, or the sender's family is unknown: it cannot be used.
 */
bool udp_msg_parse(struct io_rx *rx, const struct udp_in *in);

enum udp_action {
    UDP_WAIT,  /* the socket is full: send the same again once it is writable */
    UDP_AGAIN, /* send the same again at once */
    UDP_SPLIT, /* send the same bytes as single datagrams */
    UDP_GIVE_UP
};

struct udp_verdict {
    enum udp_action action;
    enum io_result result; /* meaningful with UDP_GIVE_UP */
};

/*
 * What to do after a send failed with the positive errno `error`. segmented: it used UDP_SEGMENT; retried: it is
 * the second attempt after UDP_AGAIN.
 */
struct udp_verdict udp_send_judge(int error, bool segmented, bool retried);

enum udp_gso {
    UDP_GSO_KEEP,
    UDP_GSO_AVOID, /* not to this destination for a while */
    UDP_GSO_OFF    /* not on this socket any more */
};

/*
 * What to conclude when a segmented send failed with `error` but the same bytes left as single datagrams. worked: an
 * earlier segmented send on this socket succeeded, so the fault lies with the destination (a path MTU below the
 * segment, an address that came back), not with the socket.
 */
enum udp_gso udp_gso_judge(int error, bool worked);

/* The result to report for a run whose datagrams ended differently. */
enum io_result udp_result_worse(enum io_result a, enum io_result b);

#endif
