/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/net_traffic.h"
#include "platform/base/bytes.h"
#include "platform/base/counter.h"

enum {
    BLOCK = 128 * 1024,
    BEHIND_MS = 10, /* a paced sender that was held up longer does not catch up with the rest */
    CONNECT_S = 5
};

struct net_tcp_stream {
    struct counter received;
    int tx, rx;
    double bytes_per_ns; /* 0: as many as go */
} __attribute__((aligned(CACHE_LINE)));

static char block[BLOCK];

static void send_stream(void *arg)
{
    const struct net_tcp_stream *s = arg;
    uint64_t start = net_clock_now();
    double sent = 0;

    for (;;) {
        ssize_t n = send(s->tx, block, sizeof block, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return;
        if (s->bytes_per_ns <= 0)
            continue;
        sent += n > 0 ? (double)n : 0;
        uint64_t now = net_clock_now(), due = start + (uint64_t)(sent / s->bytes_per_ns);
        if (due > now)
            net_clock_sleep_until(due);
        else if (now - due > BEHIND_MS * NS_PER_MS)
            start += now - due - BEHIND_MS * NS_PER_MS;
    }
}

static void receive_stream(void *arg)
{
    struct net_tcp_stream *s = arg;

    for (;;) {
        ssize_t n = recv(s->rx, block, sizeof block, 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        counter_add(&s->received, n > 0 ? (uint64_t)n : 0);
    }
}

static bool set_timeout(int fd, int option, time_t seconds)
{
    const struct timeval tv = {.tv_sec = seconds};
    return setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv) == 0;
}

/* Closing drops what is queued, so that nothing of it is in the way of the next measurement. */
static bool end_abruptly(int fd)
{
    const struct linger l = {.l_onoff = 1};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0;
}

/* A connection from a to b; both its ends are this process's. */
static bool connect_stream(struct net_tcp_stream *s, const struct net_tunnel *t, enum net_side from)
{
    int *const client = from == NET_A ? &s->tx : &s->rx;
    int *const server = from == NET_A ? &s->rx : &s->tx;
    int listener = net_tunnel_server(t, SOCK_STREAM);

    *client = net_rig_socket(t->rig, NET_A, SOCK_STREAM);
    if (listener >= 0 && *client >= 0 && set_timeout(listener, SO_RCVTIMEO, CONNECT_S) &&
        set_timeout(*client, SO_SNDTIMEO, CONNECT_S) && listen(listener, 1) == 0 &&
        net_tunnel_connect(t, *client, listener))
        *server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    bool ok = *server >= 0 && set_timeout(*client, SO_SNDTIMEO, 0) && end_abruptly(s->tx) &&
              end_abruptly(s->rx);
    int error = errno;
    if (listener >= 0)
        close(listener);
    errno = error == EINPROGRESS || error == EAGAIN ? ETIMEDOUT : error;
    return ok;
}

static enum err start_stream(struct net_tcp *tcp, struct net_tcp_stream *s,
                             const struct net_tunnel *t, enum net_side from, struct why why)
{
    if (!connect_stream(s, t, from))
        return why_fail(why, ERR_IO, "no TCP connection through %s: %s", t->impl->name,
                        strerror(errno));
    pid_t receiver = net_traffic_fork(receive_stream, s);
    tcp->pids[tcp->pids_n++] = receiver;
    pid_t sender = net_traffic_fork(send_stream, s);
    tcp->pids[tcp->pids_n++] = sender;
    return receiver > 0 && sender > 0
               ? ERR_OK
               : why_fail(why, ERR_IO, "cannot start a process: %s", strerror(errno));
}

enum err net_tcp_start(struct net_tcp *tcp, const struct net_tunnel *t, enum net_side from,
                       unsigned streams, double gbit, struct why why)
{
    enum err err = ERR_OK;

    ASSERT(streams >= 1 && streams <= NET_TCP_STREAMS_MAX);
    *tcp = (struct net_tcp){0};
    tcp->streams = net_traffic_share(NET_TCP_STREAMS_MAX * sizeof *tcp->streams);
    if (tcp->streams == NULL)
        return why_fail(why, ERR_NO_MEMORY, "no shared memory: %s", strerror(errno));
    for (unsigned i = 0; i < NET_TCP_STREAMS_MAX; i++)
        tcp->streams[i].tx = tcp->streams[i].rx = -1;
    for (unsigned i = 0; err == ERR_OK && i < streams; i++) {
        tcp->streams[i].bytes_per_ns = gbit / 8;
        err = start_stream(tcp, &tcp->streams[i], t, from, why);
    }
    if (err != ERR_OK)
        net_tcp_stop(tcp);
    return err;
}

uint64_t net_tcp_received(const struct net_tcp *tcp)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < NET_TCP_STREAMS_MAX; i++)
        sum += counter_read(&tcp->streams[i].received);
    return sum;
}

void net_tcp_stop(struct net_tcp *tcp)
{
    for (unsigned i = 0; i < tcp->pids_n; i++)
        net_command_kill(tcp->pids[i]);
    for (unsigned i = 0; tcp->streams != NULL && i < NET_TCP_STREAMS_MAX; i++) {
        if (tcp->streams[i].tx >= 0)
            close(tcp->streams[i].tx);
        if (tcp->streams[i].rx >= 0)
            close(tcp->streams[i].rx);
    }
    net_traffic_unshare(tcp->streams, NET_TCP_STREAMS_MAX * sizeof *tcp->streams);
    *tcp = (struct net_tcp){0};
}
