/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/udp_batch.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/linux/addr_os.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    BUFFER_BYTES = 8 << 20,
    IN_ITEMS = 32,
    IN_BYTES = 65536, /* no datagram is larger */
    RUNS_MAX = 64,
    RUN_DATAGRAMS_MAX = 64, /* the kernel's limit of old */
    RUN_BYTES_MAX = 65000,
    LOOK_BACK = 8
};

/* ---- sockets ---- */

static bool set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* Datagrams may be fragmented on their way: a link with a small MTU slows them down instead of swallowing them. */
static bool set_options(int fd, unsigned family)
{
    if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES))
        set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES))
        set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
    set_int(fd, IPPROTO_UDP, UDP_GRO, 1); /* without it they come one by one */
    if (family == ADDR_V4)
        return set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
           set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
}

enum err udp_batch_open(int *fd, const struct sock_addr *at, char *why, unsigned why_size)
{
    char text[SOCK_ADDR_TEXT_MAX];
    union addr_os name;
    socklen_t len = addr_os_to(&name, at);

    *fd = socket(addr_os_family(at->ip.family), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd >= 0 && set_options(*fd, at->ip.family) && bind(*fd, &name.sa, len) == 0)
        return ERR_OK;
    enum err err = err_from_errno(errno);
    snprintf(why, why_size, "cannot use UDP %s: %s", sock_addr_format(at, text, sizeof text),
             strerror(errno));
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return err;
}

enum err udp_batch_bound(int fd, struct sock_addr *out)
{
    union addr_os name = {.in6 = {.sin6_family = AF_UNSPEC}};
    socklen_t len = sizeof name;

    if (getsockname(fd, &name.sa, &len) != 0)
        return err_from_errno(errno);
    addr_os_from(out, &name);
    return ERR_OK;
}

/* ---- in ---- */

struct inbox {
    unsigned n;
    struct inbox_stats stats;
    struct mmsghdr messages[IN_ITEMS];
    struct iovec pieces[IN_ITEMS];
    union addr_os names[IN_ITEMS];
    _Alignas(8) uint8_t control[IN_ITEMS][CMSG_SPACE(sizeof(int))];
    uint8_t *bytes; /* IN_BYTES for each */
};

struct inbox *inbox_new(void)
{
    struct inbox *b = mem_zalloc(1, sizeof *b);

    b->bytes = mem_zalloc(IN_ITEMS, IN_BYTES);
    for (unsigned i = 0; i < IN_ITEMS; i++) {
        b->pieces[i] = (struct iovec){b->bytes + (size_t)i * IN_BYTES, IN_BYTES};
        b->messages[i].msg_hdr = (struct msghdr){.msg_name = &b->names[i],
                                                 .msg_iov = &b->pieces[i],
                                                 .msg_iovlen = 1,
                                                 .msg_control = b->control[i]};
    }
    return b;
}

void inbox_free(struct inbox *b)
{
    if (!b)
        return;
    free(b->bytes);
    free(b);
}

unsigned inbox_receive(struct inbox *b, int fd)
{
    int n;

    for (unsigned i = 0; i < IN_ITEMS; i++) {
        b->messages[i].msg_hdr.msg_namelen = sizeof b->names[i];
        b->messages[i].msg_hdr.msg_controllen = sizeof b->control[i];
    }
    do
        n = recvmmsg(fd, b->messages, IN_ITEMS, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    b->n = n > 0 ? (unsigned)n : 0;
    b->stats.calls++;
    b->stats.items += b->n;
    return b->n;
}

const struct inbox_stats *inbox_stats(const struct inbox *b)
{
    return &b->stats;
}

bool inbox_was_full(const struct inbox *b)
{
    return b->n == IN_ITEMS;
}

bool inbox_get(const struct inbox *b, unsigned i, struct inbox_item *out)
{
    const struct mmsghdr *m = &b->messages[i];
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg_hdr);
    int size = 0;

    addr_os_from(&out->from, &b->names[i]);
    out->bytes = b->pieces[i].iov_base;
    out->len = out->segment = m->msg_len;
    if (m->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || out->from.ip.family == ADDR_NONE)
        return false;
    if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
        memcpy(&size, CMSG_DATA(c), sizeof size);
        if (size > 0 && (size_t)size < out->len)
            out->segment = (size_t)size;
    }
    return true;
}

/* ---- out ---- */

/* Datagrams of one socket to one address: all of `segment` bytes, but the last of a closed one. */
struct run {
    int fd;
    struct sock_addr to;
    size_t segment, bytes;
    unsigned n, pieces_n;
    bool closed, sent;
    struct iovec pieces[2 * RUN_DATAGRAMS_MAX];
    uint8_t headers[RUN_DATAGRAMS_MAX][OUTBOX_HEADER_MAX];
    uint8_t pieces_of[RUN_DATAGRAMS_MAX];
};

struct outbox {
    bool gso;
    unsigned runs_n;
    struct outbox_stats stats;
    /* A batch for one socket. */
    unsigned batch_n;
    struct run *batch[RUNS_MAX];
    struct mmsghdr messages[RUNS_MAX];
    union addr_os names[RUNS_MAX];
    _Alignas(8) uint8_t control[RUNS_MAX][CMSG_SPACE(sizeof(uint16_t))];
    struct run runs[RUNS_MAX];
};

struct outbox *outbox_new(bool gso)
{
    struct outbox *b = mem_zalloc(1, sizeof *b);

    b->gso = gso;
    return b;
}

void outbox_free(struct outbox *b)
{
    free(b);
}

const struct outbox_stats *outbox_stats(const struct outbox *b)
{
    return &b->stats;
}

/* The last run to this address, if the datagram can be its next; else a new one. Their order is kept. */
static struct run *find_run(struct outbox *b, int fd, const struct sock_addr *to, size_t len)
{
    unsigned end = b->runs_n > LOOK_BACK ? b->runs_n - LOOK_BACK : 0;
    struct run *r;

    for (unsigned i = b->runs_n; b->gso && i-- > end;) {
        r = &b->runs[i];
        if (r->fd != fd || !sock_addr_equal(&r->to, to))
            continue;
        if (r->closed || r->n == RUN_DATAGRAMS_MAX || len > r->segment || len == 0 ||
            r->bytes + len > RUN_BYTES_MAX)
            break;
        return r;
    }
    if (b->runs_n == RUNS_MAX)
        outbox_flush(b);
    r = &b->runs[b->runs_n++];
    r->fd = fd;
    r->to = *to;
    r->segment = len;
    r->bytes = 0;
    r->n = r->pieces_n = 0;
    r->closed = r->sent = false;
    return r;
}

void outbox_add(struct outbox *b, int fd, const struct sock_addr *to, const uint8_t *header,
                size_t header_len, const uint8_t *bytes, size_t len)
{
    struct run *r = find_run(b, fd, to, header_len + len);
    unsigned before = r->pieces_n;

    ASSERT(header_len <= OUTBOX_HEADER_MAX);
    if (header_len > 0) {
        memcpy(r->headers[r->n], header, header_len);
        r->pieces[r->pieces_n++] = (struct iovec){r->headers[r->n], header_len};
    }
    if (len > 0) { /* sendmsg does not write to it */
        memcpy(&r->pieces[r->pieces_n].iov_base, &bytes, sizeof bytes);
        r->pieces[r->pieces_n++].iov_len = len;
    }
    r->pieces_of[r->n++] = (uint8_t)(r->pieces_n - before);
    r->bytes += header_len + len;
    r->closed = header_len + len < r->segment;
}

static void put_segment(struct msghdr *h, uint8_t *control, uint16_t segment)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)control;

    h->msg_control = control;
    h->msg_controllen = CMSG_SPACE(sizeof segment);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
}

static void prepare(struct outbox *b, unsigned i, struct run *r)
{
    struct msghdr *h = &b->messages[i].msg_hdr;

    *h = (struct msghdr){.msg_name = &b->names[i],
                         .msg_namelen = addr_os_to(&b->names[i], &r->to),
                         .msg_iov = r->pieces,
                         .msg_iovlen = r->pieces_n};
    if (r->n > 1)
        put_segment(h, b->control[i], (uint16_t)r->segment);
}

/* What the kernel refuses as a run. */
static void send_singly(struct outbox *b, const struct run *r, const struct msghdr *as)
{
    struct msghdr h = *as;

    h.msg_control = NULL;
    h.msg_controllen = 0;
    h.msg_iov = as->msg_iov;
    for (unsigned i = 0; i < r->n; i++) {
        h.msg_iovlen = r->pieces_of[i];
        b->stats.calls++;
        if (sendmsg(r->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            b->stats.datagrams++;
        else if (errno == EAGAIN)
            b->stats.full++;
        else
            b->stats.failed++;
        h.msg_iov += r->pieces_of[i];
    }
}

/* The first message of a call failed. */
static void refused(struct outbox *b, const struct run *r, const struct msghdr *h, int error)
{
    if (error == EAGAIN || error == ENOBUFS) {
        b->stats.full += r->n;
    } else if (r->n > 1) {
        if (error == EIO || error == EOPNOTSUPP) /* nothing computes checksums on the way out */
            b->gso = false;
        send_singly(b, r, h);
    } else {
        b->stats.failed++;
    }
}

static void count_sent(struct outbox *b, const struct run *r)
{
    b->stats.datagrams += r->n;
    b->stats.runs += r->n > 1;
}

static void send_batch(struct outbox *b, int fd)
{
    unsigned at = 0;

    while (at < b->batch_n) {
        int n = sendmmsg(fd, b->messages + at, b->batch_n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        b->stats.calls++;
        for (int i = 0; i < n; i++)
            count_sent(b, b->batch[at++]);
        if (n <= 0 && errno != EINTR) {
            refused(b, b->batch[at], &b->messages[at].msg_hdr, errno);
            at++;
        }
    }
}

void outbox_flush(struct outbox *b)
{
    for (unsigned i = 0; i < b->runs_n; i++) {
        if (b->runs[i].sent)
            continue;
        b->batch_n = 0;
        for (unsigned k = i; k < b->runs_n; k++) {
            if (b->runs[k].fd != b->runs[i].fd)
                continue;
            prepare(b, b->batch_n, &b->runs[k]);
            b->batch[b->batch_n++] = &b->runs[k];
            b->runs[k].sent = true;
        }
        send_batch(b, b->runs[i].fd);
    }
    b->runs_n = 0;
}
