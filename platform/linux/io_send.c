/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP send path of both backends: a FIFO per socket, sent by sendmmsg.
 *
 * `scratch` of a send is the number of its bytes that are done. A run that may not be segmented goes as single
 * datagrams, one message each, so a batch may end inside it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/log.h"
#include "platform/linux/io_backend.h"

void udp_tx_open(struct udp_tx *tx, int fd)
{
    *tx = (struct udp_tx){.fd = fd};
    tx->tail = &tx->head;
}

static void done(struct io *io, struct io_send *s)
{
    s->next = NULL;
    *io->done_tail = s;
    io->done_tail = &s->next;
}

void udp_tx_close(struct io *io, struct udp_tx *tx)
{
    struct io_send *next;
    for (struct io_send *s = tx->head; s; s = next) {
        next = s->next;
        s->result = IO_CLOSED;
        done(io, s);
    }
    udp_tx_open(tx, -1);
}

void io_udp_send(struct io *io, struct io_send *send)
{
    unsigned family = send->to.ip.family;
    struct udp_tx *tx = &io->tx[family == ADDR_V6];

    if (UNLIKELY(tx->fd < 0 || (family != ADDR_V4 && family != ADDR_V6))) {
        send->result = IO_CLOSED;
        done(io, send);
        return;
    }
    DASSERT(send->segment_size != 0);
    send->result = IO_SENT;
    send->scratch = 0;
    send->next = NULL;
    *tx->tail = send;
    tx->tail = &send->next;
}

static bool is_segmented(const struct io_send *s)
{
    return s->segment_size < s->len && s->segment_size != 0;
}

/* True if segmentation to the destination failed lately. Counts the use. */
static bool avoided(struct udp_tx *tx, const struct sock_addr *to)
{
    for (unsigned i = 0; i < tx->n_avoid; i++) {
        if (!sock_addr_equal(&tx->avoid[i].to, to))
            continue;
        if (--tx->avoid[i].sends == 0)
            tx->avoid[i] = tx->avoid[--tx->n_avoid];
        return true;
    }
    return false;
}

static void avoid(struct udp_tx *tx, const struct sock_addr *to)
{
    unsigned i = tx->n_avoid < IO_AVOID_MAX ? tx->n_avoid++ : IO_AVOID_MAX - 1;
    tx->avoid[i].to = *to;
    tx->avoid[i].sends = IO_AVOID_SENDS;
}

/* Should `s` go as single datagrams? Decided when its first byte is about to leave, kept in split_errno after that. */
static bool is_split(struct udp_tx *tx, const struct io_send *s)
{
    if (s->scratch > 0 || (s == tx->head && tx->split_errno != 0))
        return true;
    return tx->gso_off || (tx->n_avoid > 0 && avoided(tx, &s->to));
}

/*
 * Builds up to `max` messages from the head of the queue; returns their number. Stops after a run that is being
 * repeated as single datagrams, because its outcome decides how the next one is sent.
 */
static unsigned fill(struct io *io, struct udp_tx *tx, unsigned max)
{
    unsigned n = 0;
    for (struct io_send *s = tx->head; s && n < max; s = s->next) {
        if (!is_segmented(s)) {
            udp_msg_build(&io->batch[n].msg_hdr, &io->out[n], s, 0, s->len, 0);
            n++;
            continue;
        }
        if (!is_split(tx, s)) {
            udp_msg_build(&io->batch[n].msg_hdr, &io->out[n], s, 0, s->len, s->segment_size);
            n++;
            continue;
        }
        for (uint32_t at = s->scratch; at < s->len && n < max; at += s->segment_size) {
            uint32_t len = (uint32_t)size_min(s->segment_size, s->len - at);
            udp_msg_build(&io->batch[n].msg_hdr, &io->out[n], s, at, len, 0);
            n++;
        }
        if (s == tx->head && tx->split_errno != 0)
            break;
    }
    return n;
}

/* The head is complete: concludes a repetition, takes it off the queue. */
static void finish_head(struct io *io, struct udp_tx *tx)
{
    struct io_send *s = tx->head;

    if (tx->split_errno != 0 && s->result == IO_SENT) {
        switch (udp_gso_judge(tx->split_errno, tx->gso_worked)) {
        case UDP_GSO_KEEP:
            break;
        case UDP_GSO_AVOID:
            avoid(tx, &s->to);
            break;
        case UDP_GSO_OFF:
            tx->gso_off = true;
            log_info("io", "UDP segmentation offload is off for this socket: %s",
                     strerror(tx->split_errno));
            break;
        }
    }
    tx->split_errno = 0;
    tx->retried = false;
    tx->head = s->next;
    if (!tx->head)
        tx->tail = &tx->head;
    done(io, s);
}

/* The first message of the batch, `len` bytes of the head, is dealt with. */
static void advance(struct io *io, struct udp_tx *tx, uint32_t len)
{
    tx->retried = false;
    tx->head->scratch += len;
    if (tx->head->scratch >= tx->head->len)
        finish_head(io, tx);
}

/* The first message of the batch failed. Returns false if sending must wait for the socket. */
static bool head_failed(struct io *io, struct udp_tx *tx, int error)
{
    struct io_send *s = tx->head;
    uint32_t len = (uint32_t)io->out[0].iov.iov_len;
    bool segmented = is_segmented(s) && len > s->segment_size;
    struct udp_verdict v = udp_send_judge(error, segmented, tx->retried);

    switch (v.action) {
    case UDP_WAIT:
        io_count(&io->stats.eagain_udp);
        tx->blocked = true;
        return false;
    case UDP_AGAIN:
        tx->retried = true;
        return true;
    case UDP_SPLIT:
        io_count(&io->stats.gso_retries);
        tx->split_errno = error;
        return true;
    case UDP_GIVE_UP:
        break;
    }
    s->result = (uint8_t)udp_result_worse(s->result, v.result);
    /* A full queue or one datagram's size says nothing about the rest of the run; anything else does. */
    if (v.result != IO_NO_BUFFER && v.result != IO_TOO_BIG)
        len = s->len;
    advance(io, tx, len);
    return true;
}

void udp_tx_flush(struct io *io, struct udp_tx *tx)
{
    unsigned max = IO_SEND_BATCH;

    while (tx->head) {
        unsigned n = fill(io, tx, max);
        int sent = sendmmsg(tx->fd, io->batch, n, MSG_DONTWAIT);
        io_count(&io->stats.syscalls);
        for (int i = 0; i < sent; i++) {
            if (io->batch[i].msg_hdr.msg_iov->iov_len > tx->head->segment_size)
                tx->gso_worked = true;
            advance(io, tx, (uint32_t)io->batch[i].msg_hdr.msg_iov->iov_len);
        }
        if (sent < 0 && !head_failed(io, tx, errno))
            return;
        /* After a short count the next message is the one that fails: learn why with it alone. */
        max = sent > 0 && (unsigned)sent < n ? 1 : IO_SEND_BATCH;
    }
}
