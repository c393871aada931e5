/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One datagram of every size there and back, compared byte by byte.
 *
 *   echo serve PORT                          answers UDP datagrams of both families until it is ended
 *   echo udp ADDRESS PORT MIN MAX [-w window] [-f] [-z]
 *   echo icmp ADDRESS MIN MAX [-w window] [-f]
 *
 * MIN and MAX are payload bytes. At most `window` (32) datagrams are under way. -f permits fragments; without it a
 * size that does not fit the path is an error. Prints one line; exit code 1 names the sizes that were lost or damaged.
 *
 * UDP transmits a checksum that comes out as 0 as 0xffff (RFC 768). wireguard-go does not when it completes checksums
 * for its TUN device, and the receiver drops such a datagram over IPv6 (RFC 8200, 8.1); one datagram in 65,536 is
 * concerned. So the content avoids that checksum; with -z every datagram of at least two bytes has it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE_MAX_UDP = 65507,
    ICMP_HEADER = 8,
    UDP_HEADER = 8,
    WAIT_MS = 2000
};

struct sweep {
    int fd;
    int family;
    bool icmp;
    uint16_t id; /* ICMP echo identifier */
    unsigned window;
    bool zero; /* -z */
    uint32_t
        header; /* UDP: sum of the words of addresses, ports and protocol, the same in both directions */
    bool seen[SIZE_MAX_UDP + 1];
};

static void die(const char *what)
{
    fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

static uint32_t sum_words(const uint8_t *p, unsigned len)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * The content depends on the size, so that a datagram cut or extended on the way is found out. The first bytes see to
 * the checksum.
 */
static void fill(const struct sweep *s, uint8_t *data, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        data[i] = (uint8_t)(size * 131 + i * 17 + (i >> 8));
    if (s->icmp)
        return;
    if (s->zero && size >= 2)
        data[0] = data[1] = 0;
    /* The length counts twice: in the pseudo header and in the UDP header. */
    uint16_t sum = fold(s->header + 2 * (UDP_HEADER + size) + sum_words(data, size));
    if (s->zero && size >= 2) {
        data[0] = (uint8_t)(~sum >> 8);
        data[1] = (uint8_t)~sum;
    } else if (sum == 0xffff && size > 0) {
        data[0]++;
    }
}

static void serve(uint16_t port)
{
    static uint8_t data[65536];
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, from;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0, size = 16 << 20;
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        die("bind");
    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);
        if (n >= 0 && sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
            fprintf(stderr, "echo: answer of %zd bytes: %s\n", n, strerror(errno));
    }
}

static uint32_t address_sum(const struct sockaddr_storage *a)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    if (a->ss_family == AF_INET)
        return ntohs(v4->sin_port) + sum_words((const uint8_t *)&v4->sin_addr, 4);
    return ntohs(v6->sin6_port) + sum_words((const uint8_t *)&v6->sin6_addr, 16);
}

/* What the connected socket's datagrams have in common in their UDP checksum, but for their length. */
static uint32_t header_sum(int fd)
{
    struct sockaddr_storage local, remote;
    socklen_t local_len = sizeof local, remote_len = sizeof remote;
    if (getsockname(fd, (struct sockaddr *)&local, &local_len) < 0 ||
        getpeername(fd, (struct sockaddr *)&remote, &remote_len) < 0)
        die("the socket's addresses");
    return IPPROTO_UDP + address_sum(&local) + address_sum(&remote);
}

static void open_sweep(struct sweep *s, const char *address, const char *port, bool fragments)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *to;
    struct timeval wait = {0, 20000};
    int size = 16 << 20, discover = fragments ? IP_PMTUDISC_DONT : IP_PMTUDISC_DO;

    if (getaddrinfo(address, port, &hints, &to) != 0) {
        fprintf(stderr, "echo: bad address %s\n", address);
        exit(2);
    }
    s->family = to->ai_family;
    int protocol = s->family == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6;
    s->fd = s->icmp ? socket(s->family, SOCK_RAW, protocol) : socket(s->family, SOCK_DGRAM, 0);
    if (s->fd < 0)
        die("socket");
    if (connect(s->fd, to->ai_addr, to->ai_addrlen) < 0)
        die(address);
    freeaddrinfo(to);
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (s->family == AF_INET)
        setsockopt(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof discover);
    else
        setsockopt(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof discover);
    s->id = (uint16_t)getpid();
    s->header = s->icmp ? 0 : header_sum(s->fd);
}

/* The UDP checksum of a datagram without payload. */
static uint16_t checksum_of_none(const struct sweep *s)
{
    return (uint16_t)~fold(s->header + 2 * UDP_HEADER);
}

static void send_one(struct sweep *s, unsigned size)
{
    static uint8_t data[ICMP_HEADER + SIZE_MAX_UDP];
    unsigned header = s->icmp ? ICMP_HEADER : 0;

    fill(s, data + header, size);
    if (s->icmp) {
        uint16_t id = htons(s->id), number = htons((uint16_t)size);
        memset(data, 0, ICMP_HEADER);
        data[0] = s->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
        memcpy(data + 4, &id, sizeof id);
        memcpy(data + 6, &number, sizeof number);
        if (s->family == AF_INET) { /* the kernel fills the ICMPv6 checksum */
            uint16_t sum = htons((uint16_t)~fold(sum_words(data, header + size)));
            memcpy(data + 2, &sum, sizeof sum);
        }
    }
    if (send(s->fd, data, header + size, 0) != (ssize_t)(header + size)) {
        fprintf(stderr, "echo: sending %u bytes: %s\n", size, strerror(errno));
        exit(1);
    }
}

/* Strips what a raw socket delivers before the payload. False: not an answer to us. */
static bool strip(const struct sweep *s, const uint8_t **p, unsigned *len)
{
    if (!s->icmp)
        return true;
    unsigned ip = s->family == AF_INET && *len >= 20 ? (**p & 15u) * 4 : 0;
    if (*len < ip + ICMP_HEADER)
        return false;
    const uint8_t *h = *p + ip;
    uint16_t id;
    memcpy(&id, h + 4, sizeof id);
    *p += ip + ICMP_HEADER;
    *len -= ip + ICMP_HEADER;
    return h[0] == (s->family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) && ntohs(id) == s->id;
}

/* Returns the size of the next answer, -1: none came in time. Ends the program on a damaged one. */
static int receive_one(struct sweep *s)
{
    static uint8_t data[65536 + 60], sent[65536 + 60];
    ssize_t n = recv(s->fd, data, sizeof data, 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("receiving");
    if (n < 0)
        return -1;
    const uint8_t *p = data;
    unsigned len = (unsigned)n;
    if (!strip(s, &p, &len))
        return -1;
    fill(s, sent, len);
    for (unsigned i = 0; i < len; i++) {
        if (p[i] != sent[i]) {
            fprintf(stderr, "echo: datagram of %u bytes damaged at offset %u\n", len, i);
            exit(1);
        }
    }
    return (int)len;
}

static int run_sweep(struct sweep *s, unsigned min, unsigned max)
{
    unsigned next = min, back = 0, total = max - min + 1, lost = 0;
    uint64_t last = now_ms();

    while (back < total && now_ms() - last < WAIT_MS) {
        while (next <= max && next - min - back < s->window)
            send_one(s, next++);
        int size = receive_one(s);
        if (size < (int)min || size > (int)max || s->seen[size])
            continue;
        s->seen[size] = true;
        back++;
        last = now_ms();
    }
    for (unsigned size = min; size <= max; size++) {
        if (!s->seen[size] && lost++ < 10)
            fprintf(stderr, "echo: datagram of %u bytes did not come back\n", size);
    }
    printf("sizes=%u back=%u lost=%u\n", total, back, lost);
    return lost != 0;
}

int main(int argc, char **argv)
{
    static struct sweep s = {.window = 32};
    bool fragments = false;
    int c;

    if (argc == 3 && strcmp(argv[1], "serve") == 0) /* does not return */
        serve((uint16_t)atoi(argv[2]));
    while ((c = getopt(argc, argv, "w:fz")) != -1) {
        if (c == 'w')
            s.window = (unsigned)atoi(optarg);
        else if (c == 'f')
            fragments = true;
        else if (c == 'z')
            s.zero = true;
        else
            return 2;
    }
    argc -= optind;
    argv += optind;
    s.icmp = argc == 4 && strcmp(argv[0], "icmp") == 0;
    if (!s.icmp && !(argc == 5 && strcmp(argv[0], "udp") == 0)) {
        fprintf(
            stderr,
            "usage: echo serve PORT | echo udp ADDRESS PORT MIN MAX | echo icmp ADDRESS MIN MAX\n");
        return 2;
    }
    unsigned min = (unsigned)atoi(argv[argc - 2]), max = (unsigned)atoi(argv[argc - 1]);
    if (min > max || max > SIZE_MAX_UDP)
        return 2;
    open_sweep(&s, argv[1], s.icmp ? NULL : argv[2], fragments);
    while (!s.icmp &&
           checksum_of_none(&s) == 0) { /* an empty datagram cannot avoid it: another port does */
        close(s.fd);
        open_sweep(&s, argv[1], argv[2], fragments);
    }
    return run_sweep(&s, min, max);
}
