/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/ceiling.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/thread.h"

#define ADDR_A "192.0.2.1"
#define ADDR_B "192.0.2.2"

enum {
    BATCH = 32, /* messages of a system call */
    UDP_HEADERS = 28,
    SMALL = 64,
    SEGMENTS = 40,
    CHUNK = 1 << 18, /* of a TCP stream */
    BUFFER = 16 << 20,
    WARM_UP_MS = 300
};

enum traffic {
    TRAFFIC_UDP_SMALL,
    TRAFFIC_UDP_FULL,
    TRAFFIC_TCP,
    TRAFFICS
};

static const char *const names[TRAFFICS] = {"udp64", "udp1500", "tcp"};

struct rig {
    struct link_config config;
    struct link link;
    int ns[LINK_ENDS];
    /* One traffic: the ends shut these down. */
    enum traffic traffic;
    int tx, rx;
    pthread_t sender, receiver;
};

static void pause_ms(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
        ;
}

/* ---- traffic ---- */

static int make_socket(const struct rig *r, unsigned end, int type)
{
    int size = BUFFER;
    int fd = setns(r->ns[end], CLONE_NEWNET) == 0 ? socket(AF_INET, type | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0 && type == SOCK_DGRAM) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    }
    return fd;
}

static bool bind_any(int fd, const char *address, struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;

    *at = (struct sockaddr_in){.sin_family = AF_INET};
    return inet_pton(AF_INET, address, &at->sin_addr) == 1 &&
           bind(fd, (const struct sockaddr *)at, sizeof *at) == 0 &&
           getsockname(fd, (struct sockaddr *)at, &len) == 0;
}

static bool connect_to(int fd, const struct sockaddr_in *to)
{
    return connect(fd, (const struct sockaddr *)to, sizeof *to) == 0;
}

static bool open_sockets(struct rig *r)
{
    struct sockaddr_in at;
    bool tcp = r->traffic == TRAFFIC_TCP;
    int listener = make_socket(r, 1, tcp ? SOCK_STREAM : SOCK_DGRAM);

    r->rx = -1;
    r->tx = make_socket(r, 0, tcp ? SOCK_STREAM : SOCK_DGRAM);
    bool good = listener >= 0 && r->tx >= 0 && bind_any(listener, ADDR_B, &at) &&
                (!tcp || listen(listener, 1) == 0) && connect_to(r->tx, &at);
    if (good && tcp)
        r->rx = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    else if (good)
        r->rx = listener;
    if (listener >= 0 && r->rx != listener)
        close(listener);
    if (good && r->traffic == TRAFFIC_UDP_FULL) {
        int size = (int)r->config.mtu - UDP_HEADERS;
        good = setsockopt(r->tx, SOL_UDP, UDP_SEGMENT, &size, sizeof size) == 0;
    }
    return good && r->rx >= 0;
}

static void *send_stream(int fd)
{
    uint8_t *data = mem_zalloc(CHUNK, 1);

    while (send(fd, data, CHUNK, MSG_NOSIGNAL) > 0)
        ;
    free(data);
    return NULL;
}

static void *send_datagrams(int fd, size_t size)
{
    uint8_t *data = mem_zalloc(size, 1);
    struct iovec iov = {data, size};
    struct mmsghdr messages[BATCH] = {0};
    int n;

    for (unsigned i = 0; i < BATCH; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
    do {
        n = sendmmsg(fd, messages, BATCH, MSG_NOSIGNAL);
    } while (n > 0 || (n < 0 && (errno == ENOBUFS || errno == ECONNREFUSED)));
    free(data);
    return NULL;
}

static void *send_all(void *arg)
{
    const struct rig *r = arg;

    if (r->traffic == TRAFFIC_TCP)
        return send_stream(r->tx);
    if (r->traffic == TRAFFIC_UDP_SMALL)
        return send_datagrams(r->tx, SMALL - UDP_HEADERS);
    return send_datagrams(r->tx, SEGMENTS * (r->config.mtu - UDP_HEADERS));
}

static void *receive_all(void *arg)
{
    const struct rig *r = arg;
    uint8_t *data = mem_zalloc(CHUNK, 1);

    /* Of a datagram the beginning is enough; the kernel frees it. */
    while (recv(r->rx, data, r->traffic == TRAFFIC_TCP ? CHUNK : 1, 0) > 0)
        ;
    free(data);
    return NULL;
}

static enum err start_traffic(struct rig *r, struct why why)
{
    if (!open_sockets(r))
        return why_fail(why, ERR_IO, "cannot set up %s traffic: %s", names[r->traffic],
                        strerror(errno));
    if (thread_start(&r->receiver, "ceiling-in", -1, receive_all, r) != ERR_OK ||
        thread_start(&r->sender, "ceiling-out", -1, send_all, r) != ERR_OK)
        return why_fail(why, ERR_IO, "cannot start a thread");
    return ERR_OK;
}

static void stop_traffic(struct rig *r)
{
    shutdown(r->tx, SHUT_RDWR);
    shutdown(r->rx, SHUT_RDWR);
    pthread_join(r->sender, NULL);
    pthread_join(r->receiver, NULL);
    close(r->tx);
    close(r->rx);
}

/* ---- figures ---- */

static enum err measure(struct rig *r, double seconds, FILE *out, struct why why)
{
    struct link_stats before, after;
    enum err err = start_traffic(r, why);

    if (err != ERR_OK)
        return err;
    pause_ms(WARM_UP_MS);
    link_read_stats(&r->link, A_TO_B, &before);
    time_ns start = clock_now();
    pause_ms((unsigned)(seconds * 1000));
    link_read_stats(&r->link, A_TO_B, &after);
    double s = (double)(clock_now() - start) / (double)NS_PER_SEC;
    stop_traffic(r);
    const struct impair_stats *a = &before.lane.impair, *b = &after.lane.impair;
    fprintf(out, "%-8s %10.0f packets/s %7.2f Gbit/s %10.0f frames/s %10.0f overruns/s\n",
            names[r->traffic], (double)(b->delivered - a->delivered) / s,
            (double)(b->delivered_bytes - a->delivered_bytes) * 8e-9 / s,
            (double)(after.lane.frames_in - before.lane.frames_in) / s,
            (double)(after.overruns - before.overruns) / s);
    fflush(out);
    return ERR_OK;
}

static enum err make_ends(struct rig *r, struct why why)
{
    static const char *const addrs[LINK_ENDS] = {ADDR_A "/24", ADDR_B "/24"};

    for (unsigned i = 0; i < LINK_ENDS; i++) {
        struct end_config *end = &r->config.ends[i];
        if (unshare(CLONE_NEWNET) != 0)
            return why_fail(why, err_from_errno(errno), "cannot make a network namespace: %s%s",
                            strerror(errno), errno == EPERM ? "; run as root" : "");
        r->ns[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (r->ns[i] < 0)
            return why_fail(why, ERR_IO, "cannot open a network namespace: %s", strerror(errno));
        snprintf(end->netns, sizeof end->netns, "/proc/self/fd/%d", r->ns[i]);
        snprintf(end->device, sizeof end->device, "link-%c", "ab"[i]);
        end->addrs_n = 1;
        ASSERT(ip_prefix_parse(&end->addrs[0], addrs[i]) == ERR_OK);
    }
    return ERR_OK;
}

static void broken(void *arg)
{
    (void)arg; /* nobody else knows of these devices */
}

enum err ceiling_run(const struct link_config *config, double seconds, FILE *out, struct why why)
{
    struct rig r = {.config = *config};
    enum err err = make_ends(&r, why);

    r.config.broken = broken;
    if (err == ERR_OK)
        err = link_open(&r.link, &r.config, why);
    if (err != ERR_OK)
        return err;
    for (unsigned i = 0; err == ERR_OK && i < TRAFFICS; i++) {
        r.traffic = (enum traffic)i;
        err = measure(&r, seconds, out, why);
    }
    link_close(&r.link);
    return err;
}
