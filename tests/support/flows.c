/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered datagrams in many flows: shows loss, reordering within a flow, duplicates, damage and silence.
 *
 *   flows send PORT ADDRESS[,ADDRESS...] [-f flows] [-r datagrams/s, all flows] [-s payload bytes] [-t seconds]
 *                                        [-g datagrams per GSO send] [-b first flow number]
 *   flows receive PORT [-t at most seconds] [-i end after this many idle milliseconds, once something came]
 *
 * A flow is one source port and one destination; the flows go round the destinations. Each prints one line of
 * key=value words at its end. `receive` exits with 1 if a flow was reordered or a datagram damaged.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FLOWS_MAX = 4096,
    PAYLOAD_MAX = 65507,
    BATCH = 64,
    MAGIC = 0x464c4f57
};

struct header {
    uint32_t magic, flow;
    uint64_t number, sent_ns;
};

struct flow {
    uint64_t next, received, reordered, duplicates;
    uint64_t last_ns;
};

struct totals {
    uint64_t received, reordered, duplicates, corrupt, lost, gap_ns;
    unsigned flows;
};

struct options {
    unsigned flows, payload, segments, first;
    double rate, seconds;
    unsigned idle_ms;
    uint16_t port;
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "flows: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* What stands at offset i of a datagram, after the header. */
static uint8_t filler(const struct header *h, unsigned i)
{
    return (uint8_t)(h->number * 31 + h->flow * 7 + i);
}

static void fill(uint8_t *p, unsigned len, uint32_t flow, uint64_t number)
{
    struct header h = {MAGIC, flow, number, now_ns()};
    memcpy(p, &h, sizeof h);
    for (unsigned i = sizeof h; i < len; i++)
        p[i] = filler(&h, i);
}

/* ---- sending ---- */

static int open_flow(const char *address, uint16_t port)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *to;
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &to) != 0) {
        fprintf(stderr, "flows: bad address %s\n", address);
        exit(2);
    }
    int fd = socket(to->ai_family, SOCK_DGRAM, 0), size = 4 << 20;
    if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) < 0)
        die(address);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    freeaddrinfo(to);
    return fd;
}

static bool send_run(int fd, uint8_t *data, unsigned total, uint16_t segment)
{
    char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct iovec iov = {data, total};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (segment < total) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(c), &segment, sizeof segment);
    }
    return sendmsg(fd, &m, 0) == (ssize_t)total;
}

static int run_sender(char *addresses, const struct options *o)
{
    static int fds[FLOWS_MAX];
    static uint64_t numbers[FLOWS_MAX];
    static uint8_t data[PAYLOAD_MAX];
    char *list[FLOWS_MAX];
    unsigned n = 0;
    uint64_t sent = 0, refused = 0;

    for (char *a = strtok(addresses, ","); a != NULL && n < FLOWS_MAX; a = strtok(NULL, ","))
        list[n++] = a;
    for (unsigned f = 0; f < o->flows; f++)
        fds[f] = open_flow(list[f % n], o->port);

    uint64_t start = now_ns(), end = start + (uint64_t)(o->seconds * 1e9);
    for (unsigned f = 0; !stopped; f = (f + 1) % o->flows) {
        for (unsigned i = 0; i < o->segments; i++)
            fill(data + i * o->payload, o->payload, o->first + f, numbers[f] + i);
        /* A refused run keeps its numbers: the socket's queue was full, nothing was lost on the way. */
        if (send_run(fds[f], data, o->segments * o->payload, (uint16_t)o->payload)) {
            numbers[f] += o->segments;
            sent += o->segments;
        } else {
            refused++;
        }
        uint64_t now = now_ns(), due = start + (uint64_t)((double)sent / o->rate * 1e9);
        if (now >= end)
            break;
        if (due > now + 1000000) {
            struct timespec pause = {0, (long)(due - now)};
            if (due - now < 1000000000u)
                nanosleep(&pause, NULL);
        }
    }
    printf("sent=%llu refused=%llu ms=%llu\n", (unsigned long long)sent,
           (unsigned long long)refused, (unsigned long long)((now_ns() - start) / 1000000));
    return 0;
}

/* ---- receiving ---- */

static int open_receiver(uint16_t port)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0, size = 64 << 20;
    struct timeval wait = {0, 50000};
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        die("bind");
    return fd;
}

static void take(struct flow *flows, struct totals *t, const uint8_t *p, unsigned len)
{
    struct header h;
    t->received++;
    if (len < sizeof h) {
        t->corrupt++;
        return;
    }
    memcpy(&h, p, sizeof h);
    bool good = h.magic == MAGIC && h.flow < FLOWS_MAX;
    for (unsigned i = sizeof h; good && i < len; i++)
        good = p[i] == filler(&h, i);
    if (!good) {
        t->corrupt++;
        return;
    }
    struct flow *f = &flows[h.flow];
    uint64_t now = now_ns();
    if (f->received++ > 0 && now - f->last_ns > t->gap_ns)
        t->gap_ns = now - f->last_ns;
    f->last_ns = now;
    if (h.number >= f->next)
        f->next = h.number + 1;
    else if (h.number + 1 == f->next)
        f->duplicates++;
    else
        f->reordered++;
}

static void sum_up(const struct flow *flows, struct totals *t)
{
    for (unsigned i = 0; i < FLOWS_MAX; i++) {
        t->flows += flows[i].received > 0;
        t->reordered += flows[i].reordered;
        t->duplicates += flows[i].duplicates;
        uint64_t seen = flows[i].received - flows[i].duplicates;
        t->lost += flows[i].next > seen ? flows[i].next - seen : 0;
    }
}

static int run_receiver(const struct options *o)
{
    static struct flow flows[FLOWS_MAX];
    static uint8_t data[BATCH][4096];
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    struct totals t = {0};
    int fd = open_receiver(o->port);
    uint64_t last = 0, end = now_ns() + (uint64_t)(o->seconds * 1e9);

    while (!stopped && now_ns() < end) {
        for (unsigned i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){data[i], sizeof data[i]};
            m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
        }
        int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
        if (n > 0)
            last = now_ns();
        else if (last != 0 && now_ns() - last > (uint64_t)o->idle_ms * 1000000u)
            break;
        for (int i = 0; i < n; i++)
            take(flows, &t, data[i], m[i].msg_len);
    }
    sum_up(flows, &t);
    printf(
        "flows=%u received=%llu lost=%llu reordered=%llu duplicates=%llu corrupt=%llu gap_ms=%llu\n",
        t.flows, (unsigned long long)t.received, (unsigned long long)t.lost,
        (unsigned long long)t.reordered, (unsigned long long)t.duplicates,
        (unsigned long long)t.corrupt, (unsigned long long)(t.gap_ns / 1000000));
    return t.reordered != 0 || t.corrupt != 0;
}

static bool parse(struct options *o, int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "f:r:s:t:g:b:i:")) != -1) {
        switch (c) {
        case 'f':
            o->flows = (unsigned)atoi(optarg);
            break;
        case 'r':
            o->rate = atof(optarg);
            break;
        case 's':
            o->payload = (unsigned)atoi(optarg);
            break;
        case 't':
            o->seconds = atof(optarg);
            break;
        case 'g':
            o->segments = (unsigned)atoi(optarg);
            break;
        case 'b':
            o->first = (unsigned)atoi(optarg);
            break;
        case 'i':
            o->idle_ms = (unsigned)atoi(optarg);
            break;
        default:
            return false;
        }
    }
    return o->flows > 0 && o->flows + o->first <= FLOWS_MAX &&
           o->payload >= sizeof(struct header) && o->segments > 0 &&
           o->segments * o->payload <= PAYLOAD_MAX && o->rate > 0;
}

int main(int argc, char **argv)
{
    struct options o = {
        .flows = 1, .payload = 1000, .segments = 1, .rate = 1000, .seconds = 10, .idle_ms = 1000};
    struct sigaction action = {.sa_handler = stop};
    bool sender = argc >= 4 && strcmp(argv[1], "send") == 0;
    bool receiver = argc >= 3 && strcmp(argv[1], "receive") == 0;
    int used = sender ? 3 : 2;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if ((!sender && !receiver) || !parse(&o, argc - used, argv + used)) {
        fprintf(stderr,
                "usage: flows send PORT ADDRESSES [options] | flows receive PORT [options]\n");
        return 2;
    }
    o.port = (uint16_t)atoi(argv[2]);
    return sender ? run_sender(argv[3], &o) : run_receiver(&o);
}
