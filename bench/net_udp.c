/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_udp.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/net_pace.h"
#include "bench/net_traffic.h"
#include "platform/base/bytes.h"
#include "platform/base/counter.h"

enum {
    HEADERS = 28, /* IPv4 and UDP */
    PAYLOAD = NET_UDP_PACKET - HEADERS,
    BATCH = NET_PACE_BATCH,
    QUIET_MS = 50,   /* nothing came for so long: nothing is on its way */
    DRAIN_MS = 2000, /* at most */
};

struct net_udp_receiver {
    struct counter trial;    /* written by the parent: what counts now */
    struct counter received; /* written by the receiver: of all trials, each only in its time */
    int fd;
} __attribute__((aligned(CACHE_LINE)));

/* ---- receiving ---- */

static void receive(void *arg)
{
    struct net_udp_receiver *r = arg;
    static uint8_t data[BATCH][PAYLOAD];
    static struct mmsghdr messages[BATCH];
    struct iovec iov[BATCH];

    for (unsigned i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){data[i], PAYLOAD};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    for (;;) {
        int n = recvmmsg(r->fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR)
            return;
        uint64_t trial = counter_read(&r->trial), good = 0;
        for (int i = 0; i < n; i++)
            good += messages[i].msg_len == PAYLOAD && load_le64(data[i]) == trial;
        counter_add(&r->received, good);
    }
}

/* ---- sending ---- */

/* Sends `n` packets; how many the kernel took. False: it will not take any. */
static bool send_batch(int fd, struct mmsghdr *messages, uint64_t n, uint64_t *taken)
{
    int got = sendmmsg(fd, messages, (unsigned)size_min(n, BATCH), 0);

    *taken = got > 0 ? (uint64_t)got : 0;
    return got >= 0 || errno == EAGAIN || errno == ENOBUFS || errno == EINTR;
}

static bool send_all(int fd, uint64_t trial, double packets_per_second, uint64_t end_ns,
                     uint64_t *sent)
{
    static uint8_t payload[PAYLOAD];
    struct mmsghdr messages[BATCH];
    struct iovec iov = {payload, PAYLOAD};
    struct net_pace pace;

    net_pace_init(&pace, packets_per_second, net_clock_now());
    store_le64(payload, trial);
    for (unsigned i = 0; i < BATCH; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
    for (uint64_t now; (now = net_clock_now()) < end_ns;) {
        uint64_t due = net_pace_due(&pace, now), taken;
        if (due < net_pace_batch(&pace)) {
            net_clock_sleep_until(net_pace_next(&pace));
            continue;
        }
        if (!send_batch(fd, messages, due, &taken))
            return false;
        pace.sent += taken;
    }
    *sent = pace.sent;
    return true;
}

/* ---- trials ---- */

/* Waits until nothing more comes; what has come since `before`. */
static uint64_t drain(const struct net_udp *udp, uint64_t before, uint64_t sent)
{
    uint64_t last = counter_read(&udp->receiver->received);
    uint64_t now = net_clock_now(), quiet_since = now;
    uint64_t end = now + DRAIN_MS * NS_PER_MS + udp->link_delay;

    while (last - before < sent && now < end &&
           now - quiet_since < QUIET_MS * NS_PER_MS + udp->link_delay) {
        net_clock_sleep(5 * NS_PER_MS);
        now = net_clock_now();
        uint64_t received = counter_read(&udp->receiver->received);
        if (received != last)
            quiet_since = now;
        last = received;
    }
    return last - before;
}

enum err net_udp_try(struct net_udp *udp, double packets_per_second, double seconds,
                     struct net_udp_trial *out, struct why why)
{
    uint64_t before = counter_read(&udp->receiver->received), start = net_clock_now();
    uint64_t end = start + (uint64_t)(seconds * (double)NS_PER_SEC), sent = 0;

    counter_set(&udp->receiver->trial, ++udp->trial);
    if (!send_all(udp->tx, udp->trial, packets_per_second, end, &sent))
        return why_fail(why, ERR_IO, "cannot send UDP: %s", strerror(errno));
    *out = (struct net_udp_trial){.sent = sent, .seconds = seconds};
    out->received = drain(udp, before, sent);
    out->offered = (double)sent >= 0.95 * packets_per_second * seconds;
    return ERR_OK;
}

bool net_udp_passed(const struct net_udp_trial *trial, double loss)
{
    double sent = (double)trial->sent;
    uint64_t lost = trial->sent > trial->received ? trial->sent - trial->received : 0;
    /* Three standard deviations of what chance takes. */
    double by_link = loss * sent + 3 * sqrt(loss * sent);
    return trial->offered && ((double)lost - by_link) * 1000 <= sent;
}

double net_udp_gbit(const struct net_udp_trial *trial)
{
    return (double)trial->received * NET_UDP_PACKET * 8 / 1e9 / trial->seconds;
}

/* ---- begin and end ---- */

static bool force_buffer(int fd, int option)
{
    const int size = NET_UDP_BUFFER;
    return setsockopt(fd, SOL_SOCKET, option, &size, sizeof size) == 0;
}

static bool make_sockets(struct net_udp *udp, const struct net_tunnel *t)
{
    udp->tx = net_rig_socket(t->rig, NET_A, SOCK_DGRAM);
    udp->rx = net_tunnel_server(t, SOCK_DGRAM);
    return udp->tx >= 0 && udp->rx >= 0 && force_buffer(udp->tx, SO_SNDBUFFORCE) &&
           force_buffer(udp->rx, SO_RCVBUFFORCE) && net_tunnel_connect(t, udp->tx, udp->rx);
}

enum err net_udp_start(struct net_udp *udp, const struct net_tunnel *t, struct why why)
{
    *udp = (struct net_udp){.tx = -1, .rx = -1, .link_delay = t->rig->link ? t->rig->link->rtt : 0};
    udp->receiver = net_traffic_share(sizeof *udp->receiver);
    bool ok = udp->receiver != NULL && make_sockets(udp, t);
    if (ok) {
        udp->receiver->fd = udp->rx;
        udp->pid = net_traffic_fork(receive, udp->receiver);
        ok = udp->pid > 0;
    }
    if (!ok) {
        (void)why_fail(why, ERR_IO, "cannot set up UDP through %s: %s", t->impl->name,
                       strerror(errno));
        net_udp_stop(udp);
        return ERR_IO;
    }
    prctl(PR_SET_TIMERSLACK, 1); /* this process sends */
    return ERR_OK;
}

void net_udp_stop(struct net_udp *udp)
{
    net_command_kill(udp->pid);
    if (udp->tx >= 0)
        close(udp->tx);
    if (udp->rx >= 0)
        close(udp->rx);
    net_traffic_unshare(udp->receiver, sizeof *udp->receiver);
    *udp = (struct net_udp){.tx = -1, .rx = -1};
}
