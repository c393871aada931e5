/* SPDX-License-Identifier: Apache-2.0 */
/* See engine_pair.h. */
#include "tests/engine_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/checksum.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #cond, errno);           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void inner_address(uint8_t out[4], bool side_a, unsigned peer)
{
    out[0] = 10;
    out[1] = side_a ? 0 : 1;
    out[2] = (uint8_t)peer;
    out[3] = 1;
}

static void side_start(struct pair_side *s, bool side_a, const struct pair_config *config)
{
    struct engine_config engine = {.workers = config->workers,
                                   .io = config->io,
                                   .crypto = CRYPT_AUTO,
                                   .mtu = 1420,
                                   .peers_max = PAIR_PEERS_MAX,
                                   .pad = config->pad,
                                   .gate = config->gate,
                                   .helpers = config->helpers,
                                   .role = side_a ? ENGINE_WIREGUARD : config->b_role,
                                   .source_resolve = config->source_resolve};
    struct udp_config udp = {.family = ADDR_V4,
                             .sockets = config->workers + config->gate,
                             .gate = config->gate,
                             .steering = config->steering,
                             .offloads = true};
    struct engine_tun tun = {0};
    char why[256];

    s->queues = tun.queues = config->steering ? config->workers : 1;
    for (unsigned i = 0; i < tun.queues; i++) {
        int fds[2], size = 8 << 20;
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
        s->tun_ours[i] = fds[0];
        s->tun_engine[i] = tun.fds[i] = fds[1];
    }
    enum err err = engine_new(&s->engine, &engine, why, sizeof why);
    if (err == ERR_OK)
        err = engine_start(s->engine, &tun, why, sizeof why);
    if (err == ERR_OK)
        err = udp_group_open(&s->udp, &udp, why, sizeof why);
    if (err != ERR_OK) {
        fprintf(stderr, "engine pair: %s\n", why);
        exit(err == ERR_UNSUPPORTED ? 77 : 1);
    }
    for (unsigned i = 0; i < engine_threads(s->engine); i++) {
        struct command c = {.kind = COMMAND_SOCKETS_SET};
        c.sockets.v4 = s->udp.fds[i];
        c.sockets.v6 = -1;
        engine_command(s->engine, i, &c);
    }
}

static void side_peers(struct pair_side *s, bool side_a, const struct pair_config *config)
{
    struct engine_route routes[PAIR_PEERS_MAX];
    for (unsigned i = 0; i < config->peers; i++) {
        uint8_t remote[4];
        s->peers[i] = engine_peer_new(i, i % config->workers);
        inner_address(remote, !side_a, i);
        routes[i] = (struct engine_route){.prefix = {.ip = ip_addr_v4(remote), .len = 32},
                                          .peer = engine_peer_value(s->peers[i])};
        engine_command(s->engine, i % config->workers,
                       &(struct command){.kind = COMMAND_PEER_ADD, .slot = i, .peer = s->peers[i]});
    }
    CHECK(engine_set_routes(s->engine, routes, config->peers) == ERR_OK);
}

static void set_endpoint(struct pair_side *s, unsigned peer, unsigned worker, uint16_t port)
{
    struct command c = {.kind = COMMAND_ENDPOINT, .slot = peer};
    CHECK(sock_addr_parse(&c.endpoint.to, "127.0.0.1:1") == ERR_OK);
    c.endpoint.to.port = port;
    engine_command(s->engine, worker, &c);
}

void pair_install_session(struct pair *p, unsigned peer, unsigned generation)
{
    unsigned worker = peer % p->config.workers;
    uint8_t to_b[32], to_a[32];
    uint32_t index = (uint32_t)worker << ENGINE_OWNER_SHIFT |
                     (generation % 256) << ENGINE_SESSION_BITS | (peer * 8 + generation % 8);
    struct command c = {.kind = COMMAND_SESSION_ADD, .slot = peer};

    memset(to_b, (int)(peer + 1 + generation * 7), sizeof to_b);
    memset(to_a, (int)(peer + 101 + generation * 7), sizeof to_a);
    /* Both as initiator, so that each may send at once; b is ready before a starts. */
    c.session = engine_session_new(index, index, true, clock_now(), to_a, to_b);
    engine_command(p->b.engine, worker, &c);
    engine_command(p->b.engine, worker, &(struct command){.kind = COMMAND_ECHO});
    CHECK(pair_wait_acks(&p->b, ACK_ECHO, 1, 10000) == 1);
    c.session = engine_session_new(index, index, true, clock_now(), to_b, to_a);
    engine_command(p->a.engine, worker, &c);
}

void pair_start(struct pair *p, const struct pair_config *config)
{
    memset(p, 0, sizeof *p);
    p->config = *config;
    side_start(&p->a, true, config);
    side_start(&p->b, false, config);
    side_peers(&p->a, true, config);
    side_peers(&p->b, false, config);
    for (unsigned i = 0; i < config->peers && config->sessions; i++) {
        set_endpoint(&p->a, i, i % config->workers, p->b.udp.port);
        set_endpoint(&p->b, i, i % config->workers, p->a.udp.port);
        pair_install_session(p, i, 0);
    }
}

static void side_stop(struct pair_side *s)
{
    engine_free(s->engine);
    udp_group_close(&s->udp);
    for (unsigned i = 0; i < s->queues; i++) {
        close(s->tun_ours[i]);
        close(s->tun_engine[i]);
    }
}

void pair_stop(struct pair *p)
{
    side_stop(&p->a);
    side_stop(&p->b);
}

unsigned pair_queue(const struct pair_side *s, unsigned peer)
{
    return peer % s->queues;
}

unsigned pair_packet(uint8_t *out, bool from_a, unsigned peer, uint16_t flow, uint32_t sequence,
                     unsigned payload)
{
    unsigned total = 28 + payload;
    memset(out, 0, total);
    out[0] = 0x45;
    store_be16(out + IPV4_OFF_TOTAL_LEN, (uint16_t)total);
    store_be16(out + IPV4_OFF_FRAG, IPV4_FRAG_DF);
    out[IPV4_OFF_TTL] = 64;
    out[IPV4_OFF_PROTO] = IP_PROTO_UDP;
    inner_address(out + IPV4_OFF_SRC, from_a, peer);
    inner_address(out + IPV4_OFF_DST, !from_a, peer);
    checksum_store(out + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(out, 20, 0)));
    store_be16(out + 20, flow);
    store_be16(out + 22, 9);
    store_be16(out + 24, (uint16_t)(8 + payload));
    store_be32(out + 28, flow);
    store_be32(out + 32, sequence);
    for (unsigned i = 8; i < payload; i++)
        out[28 + i] = (uint8_t)(sequence * 31 + i);
    uint64_t sum = checksum_pseudo_v4(out, IP_PROTO_UDP, 8 + payload);
    checksum_store(out + 26, checksum_finish_udp(checksum_partial(out + 20, 8 + payload, sum)));
    return total;
}

bool pair_write(struct pair_side *s, unsigned peer, const uint8_t *packet, unsigned len)
{
    uint8_t header[IO_VNET_LEN] = {0};
    struct iovec iov[2] = {{header, sizeof header}, {(void *)(uintptr_t)packet, len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    return sendmsg(s->tun_ours[pair_queue(s, peer)], &msg, MSG_DONTWAIT) > 0;
}

/* One frame that is there already; shorter ones are the backend's probe whether it may write without blocking. */
static unsigned read_now(struct pair_side *s, uint8_t *out, unsigned size)
{
    for (unsigned i = 0; i < s->queues; i++) {
        ssize_t n;
        do {
            n = recv(s->tun_ours[i], out, size, MSG_DONTWAIT);
            if (n > IO_VNET_LEN)
                return (unsigned)n;
        } while (n > 0);
    }
    return 0;
}

unsigned pair_read(struct pair_side *s, uint8_t *out, unsigned size, int timeout_ms)
{
    struct pollfd fds[ENGINE_WORKERS_MAX];
    unsigned n;

    for (unsigned i = 0; i < s->queues; i++)
        fds[i] = (struct pollfd){.fd = s->tun_ours[i], .events = POLLIN};
    while ((n = read_now(s, out, size)) == 0 && poll(fds, s->queues, timeout_ms) > 0)
        ;
    return n;
}

uint64_t pair_count(const struct pair_side *s, enum verdict v)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < engine_threads(s->engine); i++)
        sum += counter_read(&engine_counters(s->engine, i)->verdicts[v]);
    return sum;
}

static void side_dump(const struct pair_side *s, const char *name)
{
    for (unsigned i = 0; i < engine_threads(s->engine); i++) {
        const struct counters *c = engine_counters(s->engine, i);
        for (unsigned v = 0; v < VERDICT_N; v++) {
            if (counter_read(&c->verdicts[v]))
                fprintf(stderr, "%s worker %u: %s=%llu\n", name, i, verdict_name((enum verdict)v),
                        (unsigned long long)counter_read(&c->verdicts[v]));
        }
        for (unsigned t = 0; t < TALLY_N; t++) {
            if (counter_read(&c->tallies[t]))
                fprintf(stderr, "%s worker %u: %s=%llu\n", name, i, tally_name((enum tally)t),
                        (unsigned long long)counter_read(&c->tallies[t]));
        }
    }
}

void pair_dump(const struct pair *p)
{
    side_dump(&p->a, "a");
    side_dump(&p->b, "b");
}

unsigned pair_wait_acks(struct pair_side *s, enum ack_kind kind, unsigned n, int timeout_ms)
{
    unsigned got = 0;
    time_ns end = clock_now() + (time_ns)timeout_ms * NS_PER_MS;
    while (got < n && clock_now() < end) {
        struct pollfd fd = {.fd = engine_event_fd(s->engine), .events = POLLIN};
        struct event_ack a;
        if (poll(&fd, 1, 100) <= 0)
            continue;
        engine_events_begin(s->engine);
        while (engine_pop_ack(s->engine, &a)) {
            got += a.kind == kind;
            if (a.kind == ACK_SESSION_GONE)
                engine_session_free(a.session);
            else if (a.kind == ACK_PEER_GONE)
                engine_peer_free(a.peer);
        }
    }
    return got;
}
