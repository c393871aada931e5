/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_rtt.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/net_traffic.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    PAYLOAD = 56, /* as ping */
    SAMPLES_MAX = 4 << 20,
    SAMPLES_MIN = 10,
    LOST_S = 1
};

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t net_rtt_percentile(uint64_t *samples, size_t n, double percent)
{
    ASSERT(n > 0 && percent > 0 && percent <= 100);
    qsort(samples, n, sizeof *samples, by_size);
    /* What is lost in the multiplication must not lead to the next rank. */
    size_t rank = (size_t)ceil(percent * (double)n / 100 - 1e-9);
    return samples[rank > 0 ? rank - 1 : 0];
}

static void echo(void *arg)
{
    const int *fd = arg;
    uint8_t data[PAYLOAD];
    struct sockaddr_in from;

    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(*fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0)
            (void)sendto(*fd, data, (size_t)n, 0, (const struct sockaddr *)&from, len);
    }
}

/* One round trip: its time, or that of waiting if it is lost. Answers to earlier ones are ignored. */
static uint64_t round_trip(int fd, uint64_t number, bool *lost)
{
    uint8_t data[PAYLOAD] = {0};
    uint64_t start = net_clock_now();

    store_le64(data, number);
    *lost = send(fd, data, sizeof data, 0) != (ssize_t)sizeof data;
    while (!*lost) {
        ssize_t n = recv(fd, data, sizeof data, 0);
        uint64_t now = net_clock_now();
        if (n == PAYLOAD && load_le64(data) == number)
            return now - start;
        *lost = (n < 0 && errno != EINTR) || now - start >= LOST_S * NS_PER_SEC;
    }
    net_clock_sleep_until(start + LOST_S * NS_PER_SEC);
    return net_clock_now() - start;
}

static enum err run(struct net_rtt *out, int fd, double seconds, struct why why)
{
    uint64_t end = net_clock_now() + (uint64_t)(seconds * (double)NS_PER_SEC);
    uint64_t *samples = mem_zalloc(SAMPLES_MAX, sizeof *samples);
    enum err err = ERR_OK;

    *out = (struct net_rtt){0};
    while (out->n < SAMPLES_MAX && (net_clock_now() < end || out->n < SAMPLES_MIN)) {
        bool lost;
        samples[out->n] = round_trip(fd, out->n, &lost);
        out->n++;
        out->lost += lost;
    }
    if (out->lost >= out->n / 2)
        err = why_fail(why, ERR_TIMEOUT, "%zu of %zu echoes were lost", out->lost, out->n);
    out->p50_us = (double)net_rtt_percentile(samples, out->n, 50) / (double)NS_PER_US;
    out->p99_us = (double)net_rtt_percentile(samples, out->n, 99) / (double)NS_PER_US;
    free(samples);
    return err;
}

enum err net_rtt_measure(struct net_rtt *out, const struct net_tunnel *t, double seconds,
                         struct why why)
{
    int tx = net_rig_socket(t->rig, NET_A, SOCK_DGRAM);
    int rx = net_tunnel_server(t, SOCK_DGRAM);
    const struct timeval wait = {.tv_sec = LOST_S};
    pid_t server = -1;
    enum err err;

    if (tx >= 0 && rx >= 0 && setsockopt(tx, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
        net_tunnel_connect(t, tx, rx))
        server = net_traffic_fork(echo, &rx);
    if (server > 0)
        err = run(out, tx, seconds, why);
    else
        err = why_fail(why, ERR_IO, "cannot set up an echo through %s: %s", t->impl->name,
                       strerror(errno));
    net_command_kill(server);
    if (tx >= 0)
        close(tx);
    if (rx >= 0)
        close(rx);
    return err;
}
