/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TURN client of control/p2p on one UDP socket and a real clock.
 *
 *   turn_client [-u user] [-p password] [-P port] [-s speed] RELAY...
 *
 * RELAY: ADDRESS:PORT, one or one of each family. PORT is our own one. The protocol's clock runs `speed` (1) times as fast as time.
 * Commands on the standard input:
 *
 *   bind ADDRESS:PORT           makes a channel for the peer
 *   send ADDRESS:PORT N MS      sends N datagrams to it, each with its number (1, 2, ...), MS apart
 *   lose                        another socket, with another port, of which the protocol is not told
 *   restart, refresh, close     what turn.h says of them
 *   quit                        ends the program, without a word to the relay
 *
 * Prints a line for each event, "state TEXT" when that changes, "data PEER TEXT" for what peers send, "unsent PEER" if there is no
 * channel for it, and the messages: "> METHOD", "< METHOD success|error CODE [sealed]"; sealed: with MESSAGE-INTEGRITY.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/p2p/turn.h"
#include "engine/wire/channel.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    STREAMS_MAX = 8,
    DATAGRAM_MAX = 2048,
    WORD_MAX = 128
};

struct stream {
    struct sock_addr peer;
    unsigned left, number;
    time_ns every, next_at; /* by the real clock */
};

static struct client {
    int fd;
    unsigned speed;
    time_ns begin;
    enum turn_state told;
    struct turn turn;
    struct stream streams[STREAMS_MAX];
} client;

static void die(const char *what)
{
    fprintf(stderr, "turn_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void die_usage(const char *what)
{
    fprintf(stderr, "turn_client: %s\n", what);
    exit(2);
}

/* The protocol's time. */
static time_ns now_of(const struct client *c)
{
    return c->begin + (clock_now() - c->begin) * c->speed;
}

static const char *text_of(const struct sock_addr *a)
{
    static char text[SOCK_ADDR_TEXT_MAX];
    return sock_addr_format(a, text, sizeof text);
}

static struct sock_addr parse(const char *text)
{
    struct sock_addr a;
    if (sock_addr_parse(&a, text) != ERR_OK)
        die_usage("an address is ADDRESS:PORT, or [ADDRESS]:PORT");
    return a;
}

/* ---- the socket: of IPv6, with IPv4 as mapped addresses ---- */

static struct sockaddr_in6 to_mapped(const struct sock_addr *a)
{
    struct sockaddr_in6 out = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

    if (a->ip.family == ADDR_V4) {
        out.sin6_addr.s6_addr[10] = out.sin6_addr.s6_addr[11] = 0xff;
        memcpy(out.sin6_addr.s6_addr + 12, a->ip.bytes, 4);
    } else {
        memcpy(&out.sin6_addr, a->ip.bytes, 16);
    }
    return out;
}

static struct sock_addr from_mapped(const struct in6_addr *ip, uint16_t port)
{
    return (struct sock_addr){.ip = IN6_IS_ADDR_V4MAPPED(ip) ? ip_addr_v4(ip->s6_addr + 12)
                                                             : ip_addr_v6(ip->s6_addr),
                              .port = ntohs(port)};
}

static void open_socket(struct client *c, uint16_t port)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int off = 0, on = 1;

    c->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
        setsockopt(c->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0 ||
        bind(c->fd, (struct sockaddr *)&local, sizeof local) < 0)
        die("the socket");
}

static void transmit(struct client *c, const struct sock_addr *to, const uint8_t *bytes, size_t n)
{
    struct sockaddr_in6 at = to_mapped(to);

    if (sendto(c->fd, bytes, n, 0, (struct sockaddr *)&at, sizeof at) < 0)
        printf("no way to %s: %s\n", text_of(to), strerror(errno));
}

/* False: nothing is there. An ICMP error is nothing, too. */
static bool receive(struct client *c, uint8_t *bytes, size_t *n, struct sock_addr *from,
                    struct sock_addr *local)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct sockaddr_in6 at, own;
    socklen_t own_len = sizeof own;
    struct iovec iov = {bytes, DATAGRAM_MAX};
    struct msghdr m = {.msg_name = &at,
                       .msg_namelen = sizeof at,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t len = recvmsg(c->fd, &m, 0);

    if (len < 0)
        return false;
    if (getsockname(c->fd, (struct sockaddr *)&own, &own_len) < 0)
        die("getsockname");
    *n = (size_t)len;
    *from = from_mapped(&at.sin6_addr, at.sin6_port);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        struct in6_pktinfo info;
        if (h->cmsg_level != IPPROTO_IPV6 || h->cmsg_type != IPV6_PKTINFO)
            continue;
        memcpy(&info, CMSG_DATA(h), sizeof info);
        own.sin6_addr = info.ipi6_addr;
    }
    *local = from_mapped(&own.sin6_addr, own.sin6_port);
    return true;
}

/* ---- what is told ---- */

static const char *method_text(unsigned method)
{
    return method == STUN_BINDING        ? "binding"
           : method == STUN_ALLOCATE     ? "allocate"
           : method == STUN_REFRESH      ? "refresh"
           : method == STUN_CHANNEL_BIND ? "channel-bind"
                                         : "another";
}

static void tell_request(const uint8_t *bytes, size_t n)
{
    struct stun_message m;

    if (stun_parse(&m, bytes, n) != ERR_OK)
        die_usage("a request that is no STUN message");
    printf("> %s%s\n", method_text(m.method),
           (m.has & STUN_HAS_LIFETIME) && m.lifetime_s == 0 ? " delete" : "");
}

static void tell_answer(const uint8_t *bytes, size_t n, bool taken)
{
    const char *sealed, *ignored = taken ? "" : " ignored";
    struct stun_message m;

    if (stun_parse(&m, bytes, n) != ERR_OK) {
        printf("< %u bytes of something\n", (unsigned)n);
        return;
    }
    sealed = m.has & STUN_HAS_INTEGRITY ? " sealed" : "";
    if (m.class == STUN_ERROR)
        printf("< %s error %u%s%s\n", method_text(m.method), m.error, sealed, ignored);
    else if (m.class == STUN_SUCCESS && (m.has & STUN_HAS_LIFETIME))
        printf("< %s success lifetime %u%s%s\n", method_text(m.method), m.lifetime_s, sealed,
               ignored);
    else
        printf("< %s %s%s%s\n", method_text(m.method),
               m.class == STUN_SUCCESS ? "success" : "indication", sealed, ignored);
}

static void tell_event(const struct turn_event *e)
{
    switch (e->kind) {
    case TURN_EVENT_DEALLOCATED:
        puts("deallocated");
        break;
    case TURN_EVENT_CANDIDATE_INVALIDATED:
    case TURN_EVENT_CANDIDATE_ADDED:
        printf("%s %s %s\n", e->kind == TURN_EVENT_CANDIDATE_ADDED ? "candidate" : "invalid",
               candidate_kind_text(e->candidate.kind), text_of(&e->candidate.addr));
        break;
    case TURN_EVENT_ALLOCATED:
        puts("allocated");
        break;
    case TURN_EVENT_CHANNEL_LOST:
    case TURN_EVENT_CHANNEL_BOUND:
        printf("%s %#x %s\n", e->kind == TURN_EVENT_CHANNEL_BOUND ? "bound" : "lost",
               (unsigned)e->channel, text_of(&e->peer));
        break;
    case TURN_EVENT_FAILED:
        printf("failed: %s\n", turn_failure_text(e->failure));
        break;
    case TURN_EVENT_CLOSED:
        puts("closed");
        break;
    }
}

static void drain(struct client *c)
{
    struct turn_datagram d;
    struct turn_event e;

    while (turn_poll_transmit(&c->turn, &d)) {
        tell_request(d.bytes, d.len);
        transmit(c, &d.to, d.bytes, d.len);
    }
    while (turn_poll_event(&c->turn, &e))
        tell_event(&e);
    if (c->turn.state != c->told)
        printf("state %s\n", turn_state_text(c->turn.state));
    c->told = c->turn.state;
}

/* ---- inputs ---- */

static void take_data(struct client *c, const struct sock_addr *from, const uint8_t *bytes,
                      size_t n)
{
    uint16_t channel = channel_parse(bytes, n);
    struct sock_addr server, peer;

    if (channel == 0 || !turn_server(&c->turn, &server) || !sock_addr_equal(&server, from) ||
        !turn_peer_of(&c->turn, now_of(c), channel, &peer)) {
        printf("dropped %u bytes from %s\n", (unsigned)n, text_of(from));
        return;
    }
    turn_note_data_received(&c->turn, now_of(c), channel);
    printf("data %s %.*s\n", text_of(&peer), (int)(n - CHANNEL_HEADER_LEN),
           (const char *)bytes + CHANNEL_HEADER_LEN);
}

static void take_datagrams(struct client *c)
{
    uint8_t bytes[DATAGRAM_MAX];
    struct sock_addr from, local;
    size_t n;

    while (receive(c, bytes, &n, &from, &local)) {
        if (n > 0 && bytes[0] <= 3) {
            bool taken = turn_handle_input(&c->turn, now_of(c), &local, &from, bytes, n);
            tell_answer(bytes, n, taken);
            drain(c);
        } else {
            take_data(c, &from, bytes, n);
        }
    }
}

static void send_one(struct client *c, struct stream *s)
{
    uint16_t channel = turn_channel_for(&c->turn, now_of(c), &s->peer);
    uint8_t bytes[CHANNEL_HEADER_LEN + 16];
    struct sock_addr server;

    int n = snprintf((char *)bytes + CHANNEL_HEADER_LEN, sizeof bytes - CHANNEL_HEADER_LEN, "%u",
                     ++s->number);
    s->left--;
    s->next_at += s->every;
    if (channel == 0 || !turn_server(&c->turn, &server)) {
        printf("unsent %s\n", text_of(&s->peer));
        return;
    }
    channel_write(bytes, channel, (uint16_t)n);
    transmit(c, &server, bytes, CHANNEL_HEADER_LEN + (size_t)n);
    turn_note_data_sent(&c->turn, now_of(c));
}

static void begin_stream(struct client *c, const char *peer, unsigned count, unsigned every_ms)
{
    struct stream *s = c->streams;
    struct sock_addr addr = parse(peer);

    while (s < c->streams + STREAMS_MAX && !sock_addr_equal(&s->peer, &addr) && s->number > 0)
        s++;
    if (s == c->streams + STREAMS_MAX)
        die_usage("too many streams");
    s->peer = addr;
    s->left = count;
    s->every = every_ms * NS_PER_MS;
    s->next_at = clock_now();
}

/* False: it was the last one. */
static bool take_command(struct client *c)
{
    char line[3 * WORD_MAX], word[WORD_MAX] = "", peer[WORD_MAX] = "";
    unsigned count = 0, every_ms = 0;
    struct sock_addr addr;

    if (!fgets(line, sizeof line, stdin))
        return false;
    int words = sscanf(line, "%127s %127s %u %u", word, peer, &count, &every_ms);
    if (words == 2 && strcmp(word, "bind") == 0) {
        addr = parse(peer);
        if (!turn_bind(&c->turn, now_of(c), &addr))
            printf("unbindable %s\n", peer);
    } else if (words == 4 && strcmp(word, "send") == 0) {
        begin_stream(c, peer, count, every_ms);
    } else if (words == 1 && strcmp(word, "lose") == 0) {
        close(c->fd);
        open_socket(c, 0);
    } else if (words == 1 && strcmp(word, "restart") == 0) {
        turn_restart(&c->turn, now_of(c));
    } else if (words == 1 && strcmp(word, "refresh") == 0) {
        turn_refresh(&c->turn, now_of(c));
    } else if (words == 1 && strcmp(word, "close") == 0) {
        turn_close(&c->turn, now_of(c));
    } else if (words == 1 && strcmp(word, "quit") == 0) {
        return false;
    } else {
        die_usage("an unknown command");
    }
    return true;
}

/* ---- the loop ---- */

/* The time until something is due, rounded up. */
static int wait_ms(const struct client *c)
{
    time_ns due = turn_poll_timeout(&c->turn), real = clock_now(), wait = TIME_NEVER;

    if (due != TIME_NEVER)
        wait = time_since(due, now_of(c)) / c->speed;
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        if (c->streams[i].left > 0)
            wait = time_min(wait, time_since(c->streams[i].next_at, real));
    }
    return wait == TIME_NEVER ? -1 : (int)((wait + NS_PER_MS - 1) / NS_PER_MS);
}

static void run(struct client *c)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
        drain(c);
        if (poll(p, 2, wait_ms(c)) < 0)
            die("poll");
        if (p[0].revents)
            take_datagrams(c);
        if (p[1].revents && !take_command(c))
            return;
        if (turn_poll_timeout(&c->turn) <= now_of(c))
            turn_handle_timeout(&c->turn, now_of(c));
        for (unsigned i = 0; i < STREAMS_MAX; i++) {
            if (c->streams[i].left > 0 && clock_now() >= c->streams[i].next_at)
                send_one(c, &c->streams[i]);
        }
    }
}

int main(int argc, char **argv)
{
    struct turn_config config = {.username = "alice", .password = "secret"};
    uint8_t seed[TURN_SEED_LEN];
    uint16_t port = 0;
    int o;

    client.speed = 1;
    while ((o = getopt(argc, argv, "u:p:P:s:")) != -1) {
        if (o == 'u')
            config.username = optarg;
        else if (o == 'p')
            config.password = optarg;
        else if (o == 'P')
            port = (uint16_t)atoi(optarg);
        else if (o == 's' && atoi(optarg) > 0)
            client.speed = (unsigned)atoi(optarg);
        else
            die_usage("wrong arguments");
    }
    for (; optind < argc; optind++) {
        struct sock_addr a = parse(argv[optind]);
        *(a.ip.family == ADDR_V4 ? &config.v4 : &config.v6) = a;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what is left */
    open_socket(&client, port);
    random_bytes(seed, sizeof seed);
    client.begin = clock_now();
    if (turn_init(&client.turn, &config, seed, client.begin) != ERR_OK)
        die_usage("no relay, or too long a user name");
    client.told = client.turn.state;
    run(&client);
    turn_wipe(&client.turn);
    return 0;
}
