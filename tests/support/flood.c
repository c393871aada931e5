/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods a WireGuard port over IPv4 from random spoofed sources. Needs CAP_NET_RAW; for network namespaces only.
 *
 *   flood KIND ADDRESS PORT [-k responder's public key, base64] [-r datagrams/s] [-t seconds] [-s source net a.b.c.d/len]
 *
 * KIND: garbage   random bytes in the size and with the type of handshake messages (148 and 92 bytes in turn)
 *       mac1      initiations whose MAC1 is right for the key, all else random
 *       junk      the sizes of `garbage`, no WireGuard type
 * Prints what it sent and the rate it reached.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
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

#include "platform/base/blake2s.h"

enum {
    INITIATION_LEN = 148,
    RESPONSE_LEN = 92,
    MAC1_OFFSET = 116,
    KEY_LEN = 32,
    POOL = 8192, /* different messages */
    BATCH = 50
};

struct datagram {
    struct iphdr ip;
    struct udphdr udp;
    uint8_t payload[INITIATION_LEN];
} __attribute__((packed));

static struct datagram pool[POOL];
static uint64_t random_state;
static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

/* splitmix64: the flood only has to be diverse. */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool base64_key(uint8_t key[KEY_LEN], const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned n = 0, have = 0;
    for (; *text != '\0' && *text != '=' && n < KEY_LEN; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            key[n++] = (uint8_t)(bits >> have);
        }
    }
    return n == KEY_LEN;
}

static void make_payload(struct datagram *d, unsigned len, uint8_t type, const uint8_t *mac1_key)
{
    for (unsigned i = 0; i < INITIATION_LEN; i++)
        d->payload[i] = (uint8_t)next_random();
    if (type != 0)
        memcpy(d->payload, (uint8_t[4]){type, 0, 0, 0}, 4);
    if (mac1_key != NULL)
        blake2s_mac16(d->payload + MAC1_OFFSET, mac1_key, BLAKE2S_KEY_LEN, d->payload, MAC1_OFFSET);
    d->udp.len = htons((uint16_t)(sizeof d->udp + len));
}

static void make_pool(const char *kind, const struct sockaddr_in *to, const uint8_t *mac1_key)
{
    bool typed = strcmp(kind, "junk") != 0;
    for (unsigned i = 0; i < POOL; i++) {
        struct datagram *d = &pool[i];
        bool response = mac1_key == NULL && i % 2 == 1;
        unsigned len = response ? RESPONSE_LEN : INITIATION_LEN;
        make_payload(d, len, typed ? (uint8_t)(1 + response) : 0, mac1_key);
        if (!typed)
            d->payload[0] |= 0x80;
        d->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
        d->ip.tot_len = htons((uint16_t)(sizeof d->ip + sizeof d->udp + len));
        d->ip.daddr = to->sin_addr.s_addr;
        d->udp.dest = to->sin_port;
    }
}

/* Gives the next datagrams of the pool new sources; returns how many the kernel took. */
static int send_batch(int fd, struct sockaddr_in *to, uint32_t net, unsigned prefix, unsigned first)
{
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        struct datagram *d = &pool[(first + i) % POOL];
        uint64_t r = next_random();
        uint32_t host = prefix == 0 ? (uint32_t)r : (uint32_t)r & (0xffffffffu >> prefix);
        d->ip.saddr = htonl(net | host);
        d->udp.source = htons((uint16_t)(1024 + (r >> 32) % 60000));
        iov[i] = (struct iovec){d, ntohs(d->ip.tot_len)};
        m[i] = (struct mmsghdr){
            .msg_hdr = {
                .msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    int n = sendmmsg(fd, m, BATCH, 0);
    if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
        perror("flood: sendmmsg");
        exit(1);
    }
    return n;
}

static void run(int fd, struct sockaddr_in *to, uint32_t net, unsigned prefix, double rate,
                double seconds)
{
    uint64_t start = now_ns(), now = start, sent = 0;
    while (!stopped && now - start < (uint64_t)(seconds * 1e9)) {
        int n = send_batch(fd, to, net, prefix, (unsigned)(sent % POOL));
        sent += n > 0 ? (uint64_t)n : 0;
        uint64_t due = start + (uint64_t)((double)sent / rate * 1e9);
        now = now_ns();
        if (due > now + 200000) {
            struct timespec pause = {0, (long)(due - now)};
            nanosleep(&pause, NULL);
            now = now_ns();
        }
    }
    double took = (double)(now - start) / 1e9;
    printf("sent=%llu rate=%.0f\n", (unsigned long long)sent, took > 0 ? (double)sent / took : 0);
}

static bool parse_net(const char *text, uint32_t *net, unsigned *prefix)
{
    char copy[32];
    struct in_addr a;
    snprintf(copy, sizeof copy, "%s", text);
    char *slash = strchr(copy, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    *prefix = (unsigned)atoi(slash + 1);
    if (inet_pton(AF_INET, copy, &a) != 1 || *prefix > 31)
        return false;
    *net = ntohl(a.s_addr) & ~(0xffffffffu >> *prefix);
    return true;
}

int main(int argc, char **argv)
{
    uint8_t key[KEY_LEN], mac1_key[BLAKE2S_HASH_LEN];
    bool keyed = false, good = true;
    double rate = 100000, seconds = 5;
    uint32_t net = 10u << 24;
    unsigned prefix = 8;
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct sigaction action = {.sa_handler = stop};
    int c;

    while ((c = getopt(argc, argv, "k:r:t:s:")) != -1) {
        if (c == 'k')
            good = keyed = base64_key(key, optarg);
        else if (c == 'r')
            rate = atof(optarg);
        else if (c == 't')
            seconds = atof(optarg);
        else if (c != 's' || !parse_net(optarg, &net, &prefix))
            good = false;
    }
    bool mac1 = argc - optind == 3 && strcmp(argv[optind], "mac1") == 0;
    if (!good || argc - optind != 3 || inet_pton(AF_INET, argv[optind + 1], &to.sin_addr) != 1 ||
        (mac1 && !keyed) || rate < 1) {
        fprintf(
            stderr,
            "usage: flood garbage|mac1|junk ADDRESS PORT [-k KEY] [-r RATE] [-t SECONDS] [-s NET]\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[optind + 2]));
    random_state = now_ns();
    blake2s_hash2(mac1_key, "mac1----", 8, key, mac1 ? KEY_LEN : 0);
    make_pool(argv[optind], &to, mac1 ? mac1_key : NULL);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), size = 4 << 20;
    if (fd < 0) {
        perror("flood: socket");
        return 1;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    run(fd, &to, net, prefix, rate, seconds);
    return 0;
}
