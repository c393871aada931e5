/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_dns_load.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/net_clock.h"
#include "bench/net_pace.h"
#include "bench/net_rtt.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    BATCH = NET_PACE_BATCH,
    IDS = 1 << 16,
    SAMPLES_MAX = 4 << 20
};

#define WAIT_NS (NET_DNS_WAIT_MS * NS_PER_MS)

/* The query that has an id. */
struct slot {
    uint64_t sent_ns;
    uint32_t name;
    bool waits; /* for its answer */
};

struct net_dns_load {
    int fd;
    enum net_dns_kind kind;
    uint64_t next;    /* number of the next query; the id is its end */
    uint64_t waiting; /* slots that do */
    struct slot slots[IDS];
    struct net_dns_query queries[NET_DNS_NAMES];
    struct net_dns_found found; /* of this run */
    uint64_t *samples;          /* found.good of them */
    uint8_t out[BATCH][NET_DNS_QUERY_MAX], in[BATCH][NET_DNS_ANSWER_MAX];
};

struct net_dns_load *net_dns_load_new(int fd, enum net_dns_kind kind)
{
    struct net_dns_load *l = mem_zalloc(1, sizeof *l);

    l->fd = fd;
    l->kind = kind;
    l->samples = mem_zalloc(SAMPLES_MAX, sizeof *l->samples);
    for (unsigned i = 0; i < NET_DNS_NAMES; i++)
        net_dns_query_write(&l->queries[i], kind, i);
    return l;
}

void net_dns_load_free(struct net_dns_load *l)
{
    if (l == NULL)
        return;
    free(l->samples);
    free(l);
}

/* ---- sending and receiving ---- */

/* Whoever had this id has not got his answer. */
static void lose(struct net_dns_load *l, struct slot *slot)
{
    l->found.lost += slot->waits;
    l->waiting -= slot->waits;
    slot->waits = false;
}

static void lose_all(struct net_dns_load *l)
{
    for (unsigned i = 0; i < IDS; i++)
        lose(l, &l->slots[i]);
}

/* What a full queue, an interruption, or an ICMP error comes to is seen by what is missing. */
static bool is_passing(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == EINTR || error == ECONNREFUSED;
}

/* Sends n queries, or fewer if the kernel takes fewer. False with errno. */
static bool send_queries(struct net_dns_load *l, unsigned n, struct net_pace *pace)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec iov[BATCH];

    for (unsigned i = 0; i < n; i++) {
        const struct net_dns_query *q = &l->queries[(l->next + i) % NET_DNS_NAMES];
        memcpy(l->out[i], q->bytes, q->len);
        store_be16(l->out[i], (uint16_t)(l->next + i));
        iov[i] = (struct iovec){l->out[i], q->len};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    uint64_t now = net_clock_now();
    int sent = sendmmsg(l->fd, messages, n, MSG_DONTWAIT);
    if (sent < 0 && !is_passing(errno))
        return false;
    for (int i = 0; i < sent; i++) {
        struct slot *slot = &l->slots[l->next % IDS];
        lose(l, slot);
        *slot = (struct slot){now, (uint32_t)(l->next % NET_DNS_NAMES), true};
        l->waiting++;
        l->next++;
        l->found.asked++;
        pace->sent++;
    }
    return true;
}

static void take_answer(struct net_dns_load *l, const uint8_t *answer, size_t len, uint64_t now)
{
    struct slot *slot = len >= 2 ? &l->slots[load_be16(answer)] : NULL;

    if (slot == NULL || !slot->waits)
        return; /* it is too late */
    enum net_dns_verdict verdict =
        net_dns_query_check(&l->queries[slot->name], l->kind, answer, len);
    if (verdict == NET_DNS_OTHER)
        return;
    if (verdict == NET_DNS_FAILED)
        l->found.failed++;
    else
        l->samples[l->found.good++] = now - slot->sent_ns;
    slot->waits = false;
    l->waiting--;
}

/* Takes what is there. False with errno; *n: how many there were. */
static bool receive_answers(struct net_dns_load *l, unsigned *n)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec iov[BATCH];

    for (unsigned i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){l->in[i], NET_DNS_ANSWER_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(l->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    uint64_t now = net_clock_now();
    *n = got > 0 ? (unsigned)got : 0;
    if (got < 0 && !is_passing(errno))
        return false;
    for (unsigned i = 0; i < *n; i++)
        take_answer(l, l->in[i], messages[i].msg_len, now);
    return true;
}

/* Until there is an answer, or it is that time. */
static void wait_for_answer(const struct net_dns_load *l, uint64_t until_ns)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    uint64_t now = net_clock_now();
    uint64_t ns = until_ns > now ? until_ns - now : 0;
    struct timespec ts = {(time_t)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC)};

    (void)ppoll(&p, 1, &ts, NULL);
}

/* ---- a run ---- */

/* How many are to be sent now, and if none, when the next one may be. */
static unsigned due(struct net_dns_load *l, struct net_pace *pace, uint64_t now, uint64_t *next)
{
    if (pace->per_ns > 0) {
        uint64_t n = net_pace_due(pace, now);
        *next = net_pace_next(pace);
        return n >= net_pace_batch(pace) ? (unsigned)size_min(n, BATCH) : 0;
    }
    const struct slot *last = &l->slots[(l->next - 1) % IDS];
    *next = last->sent_ns + WAIT_NS;
    if (l->waiting > 0 && now >= *next)
        lose_all(l);
    return l->waiting == 0;
}

static bool run(struct net_dns_load *l, struct net_pace *pace, uint64_t end)
{
    uint64_t last = end + WAIT_NS;

    for (;;) {
        uint64_t now = net_clock_now(), next = last;
        bool over = now >= end || l->found.asked == SAMPLES_MAX - BATCH;
        unsigned n = over ? 0 : due(l, pace, now, &next), got;
        if (over && (l->waiting == 0 || now >= last))
            return true;
        if (n > 0 && !send_queries(l, n, pace))
            return false;
        if (!receive_answers(l, &got))
            return false;
        if (n == 0 && got == 0)
            wait_for_answer(l, over || next < end ? next : end);
    }
}

static double percentile(struct net_dns_load *l, double percent)
{
    size_t n = l->found.good;

    return n > 0 ? (double)net_rtt_percentile(l->samples, n, percent) / (double)NS_PER_US : 0;
}

enum err net_dns_load_run(struct net_dns_load *l, double per_second, double seconds,
                          struct net_dns_found *out, struct why why)
{
    uint64_t start = net_clock_now();
    struct net_pace pace;

    l->found = (struct net_dns_found){.seconds = seconds};
    net_pace_init(&pace, per_second, start);
    if (!run(l, &pace, start + (uint64_t)(seconds * (double)NS_PER_SEC)))
        return why_fail(why, ERR_IO, "cannot ask the client's DNS service: %s", strerror(errno));
    lose_all(l);
    l->found.p50_us = percentile(l, 50);
    l->found.p99_us = percentile(l, 99);
    l->found.p999_us = percentile(l, 99.9);
    *out = l->found;
    return ERR_OK;
}

bool net_dns_load_passed(const struct net_dns_found *f, double per_second)
{
    return f->lost == 0 && f->failed == 0 && (double)f->asked >= 0.95 * per_second * f->seconds;
}
