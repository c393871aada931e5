/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/ceiling.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/p2p/stun.h"
#include "engine/wire/channel.h"
#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/loop.h"
#include "platform/random.h"
#include "platform/thread.h"
#include "tools/fzportal/derive.h"
#include "tools/fzrelay/relay_io.h"
#include "tools/fzrelay/udp_batch.h"

enum {
    BURST = 32,
    WINDOW = 256, /* datagrams under way: less than any buffer holds */
    PATIENCE_MS = 500,
    ATTEMPTS = 3
};
#define SECRET  "ceiling"
#define EXPIRY  INT64_C(2145916800)
#define USER    "2145916800:c2FsdA"
#define SALT    "c2FsdA"
#define CHANNEL CHANNEL_FIRST

struct bench {
    struct loop *loop;
    struct relay_io *relay;
    struct loop_bell stop;
    pthread_t thread;
    bool running;
    struct sock_addr server;
    int client, peer;
    struct sock_addr peer_addr, relayed;
    uint8_t key[STUN_KEY_LEN];
    uint8_t nonce[64];
    uint16_t nonce_len;
    struct inbox *in;
    struct outbox *runs, *singles;
    uint8_t payload[CEILING_SIZE_MAX];
};

static const struct sock_addr loopback = {.ip = {ADDR_V4, {127, 0, 0, 1}}};

/* ---- the relay ---- */

static void *run(void *arg)
{
    struct bench *b = arg;

    if (loop_run(b->loop) != ERR_OK)
        log_error("ceiling", "the event loop failed");
    return NULL;
}

static void on_stop(void *arg)
{
    struct bench *b = arg;

    loop_stop(b->loop);
}

static enum err start_relay(struct bench *b, char *why, unsigned why_size)
{
    struct relay_io_options o = {.relay = {.public4 = loopback.ip,
                                           .lowest_port = 49152,
                                           .highest_port = 65535,
                                           .stamp_secret = SECRET},
                                 .listen4 = loopback,
                                 .gso = true};
    enum err err = loop_new(&b->loop);

    if (err == ERR_OK)
        err = loop_bell_add(b->loop, &b->stop, on_stop, b);
    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot set up the event loop: %s", err_text(err));
        return err;
    }
    random_bytes(o.relay.seed, sizeof o.relay.seed);
    err = relay_io_new(&b->relay, b->loop, &o, why, why_size);
    if (err != ERR_OK)
        return err;
    if (!relay_io_listens(b->relay, ADDR_V4, &b->server)) {
        snprintf(why, why_size, "the relay has no address");
        return ERR_IO;
    }
    err = thread_start(&b->thread, "relay", -1, run, b);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot start a thread: %s", err_text(err));
    b->running = err == ERR_OK;
    return err;
}

/* ---- the client's requests ---- */

static void write_request(const struct bench *b, struct stun_writer *w, uint8_t *buf, size_t size,
                          enum stun_method method)
{
    struct stun_id id;

    random_bytes(id.bytes, sizeof id.bytes);
    stun_begin(w, buf, size, method, STUN_REQUEST, &id);
    if (method == STUN_ALLOCATE)
        stun_add_transport(w, STUN_UDP);
    if (method == STUN_CHANNEL_BIND) {
        stun_add_channel(w, CHANNEL);
        stun_add_address(w, STUN_XOR_PEER_ADDRESS, &b->peer_addr);
    }
    stun_add_text(w, STUN_USERNAME, USER);
    stun_add_text(w, STUN_REALM, RELAY_REALM);
    if (b->nonce_len > 0)
        stun_add_bytes(w, STUN_NONCE, b->nonce, b->nonce_len);
    stun_add_integrity(w, b->key, sizeof b->key);
}

static bool wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, PATIENCE_MS) > 0;
}

/* The answer lies in the inbox. */
static bool ask(struct bench *b, enum stun_method method, struct stun_message *answer)
{
    struct stun_writer w;
    struct inbox_item item;
    uint8_t buf[512];

    write_request(b, &w, buf, sizeof buf, method);
    outbox_add(b->singles, b->client, &b->server, NULL, 0, buf, stun_finish(&w));
    outbox_flush(b->singles);
    return wait_for(b->client) && inbox_receive(b->in, b->client) > 0 &&
           inbox_get(b->in, 0, &item) && stun_parse(answer, item.bytes, item.len) == ERR_OK;
}

static bool request(struct bench *b, enum stun_method method)
{
    struct stun_message m;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (!ask(b, method, &m))
            continue;
        if (m.class == STUN_SUCCESS) {
            if (method == STUN_ALLOCATE)
                b->relayed = m.relayed4;
            return true;
        }
        b->nonce_len = (uint16_t)size_min(m.nonce.len, sizeof b->nonce);
        if (b->nonce_len > 0)
            memcpy(b->nonce, m.nonce.bytes, b->nonce_len);
    }
    return false;
}

static enum err prepare(struct bench *b, char *why, unsigned why_size)
{
    char password[DERIVE_RELAY_PASSWORD_LEN + 1];
    enum err err = udp_batch_open(&b->client, &loopback, why, why_size);

    if (err == ERR_OK)
        err = udp_batch_open(&b->peer, &loopback, why, why_size);
    if (err == ERR_OK)
        err = udp_batch_bound(b->peer, &b->peer_addr);
    if (err == ERR_OK)
        err = start_relay(b, why, why_size);
    if (err != ERR_OK)
        return err;
    derive_relay_password(password, EXPIRY, SECRET, SALT);
    stun_turn_key(b->key, USER, RELAY_REALM, password);
    if (!request(b, STUN_ALLOCATE) || !request(b, STUN_CHANNEL_BIND)) {
        snprintf(why, why_size, "the relay does not answer as it should");
        return ERR_IO;
    }
    return ERR_OK;
}

/* ---- data ---- */

static uint64_t cpu_ns(const struct bench *b)
{
    struct timespec t = {0, 0};
    clockid_t clock;

    if (pthread_getcpuclockid(b->thread, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static uint64_t count_arrived(struct bench *b, int fd)
{
    struct inbox_item item;
    uint64_t n = 0;

    do {
        unsigned items = inbox_receive(b->in, fd);
        for (unsigned i = 0; i < items; i++) {
            if (inbox_get(b->in, i, &item) && item.segment > 0)
                n += (item.len + item.segment - 1) / item.segment;
        }
    } while (inbox_was_full(b->in));
    return n;
}

static void pass(struct bench *b, struct ceiling_row *row, bool to_peer, struct outbox *out,
                 unsigned size, unsigned datagrams)
{
    const struct sock_addr *to = to_peer ? &b->server : &b->relayed;
    int from = to_peer ? b->client : b->peer, at = to_peer ? b->peer : b->client;
    uint8_t header[CHANNEL_HEADER_LEN];
    uint64_t sent = 0, before = cpu_ns(b);

    channel_write(header, CHANNEL, (uint16_t)size);
    while (sent < datagrams || row->forwarded + row->lost < sent) {
        while (sent < datagrams && sent - row->forwarded - row->lost + BURST <= WINDOW) {
            for (unsigned i = 0; i < BURST; i++, sent++)
                outbox_add(out, from, to, header, to_peer ? sizeof header : 0, b->payload, size);
            outbox_flush(out);
        }
        if (wait_for(at))
            row->forwarded += count_arrived(b, at);
        else
            row->lost = sent - row->forwarded;
    }
    row->cpu_ns = cpu_ns(b) - before;
}

static void stop(struct bench *b)
{
    if (b->running) {
        loop_bell_ring(&b->stop);
        pthread_join(b->thread, NULL);
    }
    relay_io_free(b->relay);
    if (b->loop) {
        loop_bell_del(b->loop, &b->stop);
        loop_free(b->loop);
    }
    if (b->client >= 0)
        close(b->client);
    if (b->peer >= 0)
        close(b->peer);
    outbox_free(b->runs);
    outbox_free(b->singles);
    inbox_free(b->in);
}

enum err ceiling_measure(struct ceiling_row rows[CEILING_ROWS], unsigned size, unsigned datagrams,
                         char *why, unsigned why_size)
{
    static const char *const what[CEILING_ROWS] = {
        "client to peer, in runs", "client to peer, singly", "peer to client, in runs",
        "peer to client, singly"};
    struct bench b = {.client = -1, .peer = -1, .stop = {.fd = -1}};
    enum err err;

    ASSERT(size > 0 && size <= CEILING_SIZE_MAX);
    b.in = inbox_new();
    b.runs = outbox_new(true);
    b.singles = outbox_new(false);
    err = prepare(&b, why, why_size);
    for (unsigned i = 0; i < CEILING_ROWS && err == ERR_OK; i++) {
        rows[i] = (struct ceiling_row){.what = what[i]};
        pass(&b, &rows[i], i < 2, i % 2 == 0 ? b.runs : b.singles, size, datagrams);
    }
    stop(&b);
    return err;
}
