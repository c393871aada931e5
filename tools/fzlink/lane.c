/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/lane.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/coalesce.h"
#include "engine/segment.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/thread.h"
#include "platform/tun.h"

enum {
    FRAME_MAX = 1 << 16,
    HEADROOM = 16, /* of a slot: the virtio header, and the packet behind it is aligned */
    SLOTS = LANE_PACKETS_MAX + IMPAIR_TAKEN_MAX,
    TURN = 64 /* packets to take in before those that are due get their turn */
};

_Static_assert(sizeof(struct iovec) == sizeof(struct coalesce_iov) &&
                   offsetof(struct iovec, iov_len) == offsetof(struct coalesce_iov, len),
               "lists are handed to writev as they are");
_Static_assert((int)HEADROOM >= (int)VNET_HDR_LEN, "there is room for it");

struct lane {
    struct coalesce coalesce; /* the thread's own; here for its alignment */
    struct lane_config config;
    pthread_t thread;
    int wake; /* eventfd: look at what has changed */

    /* Settings must hold, and counters agree with each other, at the moment of an answer; hence no queue but a lock. It is
     * free nearly always, and not held over system calls. */
    pthread_mutex_t lock;
    struct impair impair;
    struct lane_stats stats; /* but `impair` */
    bool stop;

    /* The thread's own. A slot holds a packet that is under way. */
    struct impair_packet *packets;
    uint8_t *slots;
    size_t slot_size;
    uint32_t lens[SLOTS];
    uint32_t spare[SLOTS]; /* slots that hold nothing; the last one is used first */
    uint32_t spare_n;
    uint8_t frame[HEADROOM + FRAME_MAX];
};

static uint8_t *slot_packet(const struct lane *l, uint32_t slot)
{
    return l->slots + slot * l->slot_size + HEADROOM;
}

/* ---- in ---- */

/* Asks for one packet, and writes it where it waits, twice if it is doubled. Under the lock. */
static void take_packet(struct lane *l, const struct segment_plan *plan, unsigned i, time_ns now)
{
    ASSERT(l->spare_n >= IMPAIR_TAKEN_MAX);
    const uint32_t *top = &l->spare[l->spare_n - 1];
    const uint32_t names[IMPAIR_TAKEN_MAX] = {top[0], top[-1]};
    uint32_t len = segment_len(plan, i);
    unsigned taken = impair_offer(&l->impair, len, names, now);

    ASSERT(taken <= IMPAIR_TAKEN_MAX);
    for (unsigned k = 0; k < taken; k++) {
        segment_write(plan, i, slot_packet(l, names[k]));
        l->lens[names[k]] = len;
    }
    l->spare_n -= taken;
}

/* Returns the packets in it. */
static unsigned take_frame(struct lane *l, size_t len)
{
    struct segment_plan plan;
    struct vnet_hdr h;
    bool good = len > VNET_HDR_LEN;

    if (good) {
        memcpy(&h, l->frame + HEADROOM - VNET_HDR_LEN, sizeof h);
        good = segment_plan(&plan, &h, l->frame + HEADROOM, len - VNET_HDR_LEN, l->config.mtu) ==
               SEGMENT_OK;
    }
    pthread_mutex_lock(&l->lock);
    time_ns now = clock_now();
    l->stats.frames_in++;
    l->stats.malformed += !good;
    for (unsigned i = 0; good && i < plan.n; i++)
        take_packet(l, &plan, i, now);
    pthread_mutex_unlock(&l->lock);
    return good ? plan.n : 1;
}

static bool is_gone(int error)
{
    return error == EBADFD || error == ENODEV || error == EBADF;
}

/* False: the device is gone. *busy: there was something. */
static bool take_turn(struct lane *l, bool *busy)
{
    for (unsigned n = 0; n < TURN;) {
        ssize_t len =
            read(l->config.from, l->frame + HEADROOM - VNET_HDR_LEN, VNET_HDR_LEN + FRAME_MAX);
        if (len <= 0)
            return len < 0 && !is_gone(errno);
        *busy = true;
        n += take_frame(l, (size_t)len);
    }
    return true;
}

/* ---- out ---- */

static bool write_item(struct lane *l, const struct coalesce_item *item, struct lane_stats *count)
{
    ssize_t n = writev(l->config.to, (const struct iovec *)item->iov, (int)item->n_iov);

    if (n < 0 && is_gone(errno))
        return false;
    count->frames_out += n >= 0;
    count->refused += n < 0 ? item->n_iov : 0;
    return true;
}

/* A packet that no flow can be told of: an IP header that is none. */
static bool write_alone(struct lane *l, uint32_t slot, struct lane_stats *count)
{
    struct coalesce_iov iov = {slot_packet(l, slot) - VNET_HDR_LEN, VNET_HDR_LEN + l->lens[slot]};
    const struct coalesce_item item = {.iov = &iov, .n_iov = 1};

    memset(iov.base, 0, VNET_HDR_LEN);
    return write_item(l, &item, count);
}

static bool write_all(struct lane *l, const uint32_t *names, unsigned n, struct lane_stats *count)
{
    struct coalesce *c = &l->coalesce;
    bool alive = true;

    for (unsigned i = 0; alive && i < n; i++) {
        uint8_t *packet = slot_packet(l, names[i]);
        struct ip_view view;
        if (!ip_parse(&view, packet, l->lens[names[i]]))
            alive = write_alone(l, names[i], count);
        else if (!coalesce_add(c, packet, l->lens[names[i]], &view))
            ASSERT(!"as many packets as items");
    }
    coalesce_finish(c);
    for (uint32_t i = 0; alive && i < c->n; i++)
        alive = write_item(l, &c->items[i], count);
    coalesce_reset(c);
    return alive;
}

/* Likewise. *stop: it is time to. */
static bool give_turn(struct lane *l, bool *busy, bool *stop)
{
    uint32_t names[COALESCE_ITEMS_MAX];
    struct lane_stats count = {0};
    unsigned n = 0;

    pthread_mutex_lock(&l->lock);
    *stop = l->stop;
    time_ns now = clock_now();
    while (n < COALESCE_ITEMS_MAX && impair_poll(&l->impair, &names[n], now))
        n++;
    pthread_mutex_unlock(&l->lock);
    if (n == 0)
        return true;
    *busy = true;
    bool alive = write_all(l, names, n, &count);
    for (unsigned i = n; i-- > 0;)
        l->spare[l->spare_n++] = names[i];
    pthread_mutex_lock(&l->lock);
    l->stats.frames_out += count.frames_out;
    l->stats.refused += count.refused;
    pthread_mutex_unlock(&l->lock);
    return alive;
}

/* ---- the thread ---- */

/* Until a packet comes, is due, or something has changed. */
static void sleep_until_next(struct lane *l, bool loaded)
{
    struct pollfd fds[] = {{.fd = l->config.from, .events = POLLIN},
                           {.fd = l->wake, .events = POLLIN}};
    eventfd_t rings;

    pthread_mutex_lock(&l->lock);
    time_ns due = impair_poll_timeout(&l->impair);
    pthread_mutex_unlock(&l->lock);
    time_ns wait = due == TIME_NEVER ? 0 : time_since(due, clock_now());
    if (loaded)
        wait = time_max(wait, LANE_TICK);
    const struct timespec limit = {(time_t)(wait / NS_PER_SEC), (long)(wait % NS_PER_SEC)};
    if (ppoll(fds, ARRAY_LEN(fds), due == TIME_NEVER ? NULL : &limit, NULL) > 0 &&
        (fds[1].revents & POLLIN))
        (void)eventfd_read(l->wake, &rings);
}

static void *run(void *arg)
{
    struct lane *l = arg;
    bool alive = true, stop = false, loaded = false;

    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    while (alive && !stop) {
        bool got = false, gave = false;
        alive = give_turn(l, &gave, &stop) && take_turn(l, &got);
        loaded = loaded || gave;
        if (got || gave || stop || !alive)
            continue;
        sleep_until_next(l, loaded);
        loaded = false;
    }
    if (!alive)
        l->config.broken(l->config.arg);
    return NULL;
}

enum err lane_start(struct lane **out, const struct lane_config *config,
                    const struct impair_settings *settings)
{
    struct lane *l = mem_check(aligned_alloc(_Alignof(struct lane), sizeof *l));

    *out = NULL;
    memset(l, 0, sizeof *l);
    l->config = *config;
    l->slot_size = ALIGN_UP(HEADROOM + (size_t)config->mtu, CACHE_LINE);
    /* Used from one side, so that a link with little under way touches little. */
    l->slots = mmap(NULL, SLOTS * l->slot_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mem_check(l->slots == MAP_FAILED ? NULL : l->slots);
    for (l->spare_n = 0; l->spare_n < SLOTS; l->spare_n++)
        l->spare[l->spare_n] = SLOTS - 1 - l->spare_n;
    l->packets = mem_zalloc((size_t)3 * LANE_PACKETS_MAX, sizeof *l->packets);
    impair_init(&l->impair, l->packets, LANE_PACKETS_MAX, config->seed);
    impair_set(&l->impair, settings, clock_now());
    coalesce_init(&l->coalesce, (config->offloads & TUN_OFFLOAD_TCP ? COALESCE_TCP : 0) |
                                    (config->offloads & TUN_OFFLOAD_UDP ? COALESCE_UDP : 0) |
                                    COALESCE_VERIFY);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum err err = l->wake >= 0 ? ERR_OK : err_from_errno(errno);
    int failed = pthread_mutex_init(&l->lock, NULL);
    ASSERT(failed == 0);
    if (err == ERR_OK)
        err = thread_start(&l->thread, config->name, -1, run, l);
    if (err == ERR_OK)
        *out = l;
    else
        free(l); /* the process ends, and all goes with it */
    return err;
}

static void ring(struct lane *l)
{
    (void)eventfd_write(l->wake, 1);
}

void lane_stop(struct lane *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_mutex_unlock(&l->lock);
    ring(l);
    pthread_join(l->thread, NULL);
    pthread_mutex_destroy(&l->lock);
    close(l->wake);
    munmap(l->slots, SLOTS * l->slot_size);
    free(l->packets);
    free(l);
}

void lane_set(struct lane *l, const struct impair_settings *settings)
{
    pthread_mutex_lock(&l->lock);
    impair_set(&l->impair, settings, clock_now());
    pthread_mutex_unlock(&l->lock);
    ring(l);
}

void lane_read_stats(struct lane *l, struct lane_stats *out)
{
    pthread_mutex_lock(&l->lock);
    impair_set(&l->impair, &l->impair.settings,
               clock_now()); /* what has left the line by now is counted */
    *out = l->stats;
    out->impair = l->impair.stats;
    pthread_mutex_unlock(&l->lock);
}
