/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing trains: packets of one peer are collected in one block, sealed in one call and sent as few runs as
 * possible. Also single datagrams (handshake messages), and the wait for a source address.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/wire/channel.h"
#include "engine/worker.h"
#include "platform/base/cache.h"

enum {
    TRAIN_STRIDE = ALIGN_UP(IO_GSO_BYTES_MAX + 64, 4096)
};

enum err train_pool_init(struct worker *w)
{
    w->trains_block = aligned_alloc(CACHE_LINE, sizeof(struct train) * WORKER_TRAINS);
    w->trains_bytes = aligned_alloc(4096, (size_t)TRAIN_STRIDE * WORKER_TRAINS);
    w->smalls_block =
        aligned_alloc(CACHE_LINE, ALIGN_UP(sizeof(struct small_send) * WORKER_SMALLS, 64));
    if (!w->trains_block || !w->trains_bytes || !w->smalls_block)
        return ERR_NO_MEMORY;
    memset(w->trains_block, 0, sizeof(struct train) * WORKER_TRAINS);
    memset(w->smalls_block, 0, sizeof(struct small_send) * WORKER_SMALLS);
    for (unsigned i = 0; i < WORKER_TRAINS; i++) {
        struct train *t = &w->trains_block[i];
        t->tx_kind = TX_TRAIN;
        t->bytes = w->trains_bytes + (size_t)TRAIN_STRIDE * i;
        t->next = w->trains_free;
        w->trains_free = t;
    }
    w->trains_free_n = WORKER_TRAINS;
    for (unsigned i = 0; i < WORKER_SMALLS; i++) {
        struct small_send *s = &w->smalls_block[i];
        s->tx_kind = TX_SMALL;
        s->next = w->smalls_free;
        w->smalls_free = s;
    }
    return ERR_OK;
}

void train_pool_fini(struct worker *w)
{
    free(w->trains_block);
    free(w->trains_bytes);
    free(w->smalls_block);
}

static struct train *train_take(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct train *t = w->trains_free;
    if (t) {
        w->trains_free = t->next;
        w->trains_free_n--;
    }
    return t;
}

/* The memory it was sealed into. */
static void train_give_back_second(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    t->sealed_in->next = w->trains_free;
    w->trains_free = t->sealed_in;
    w->trains_free_n++;
    t->sealed_in = NULL;
}

static void train_give_back(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    if (UNLIKELY(t->sealed_in != NULL))
        train_give_back_second(w, t);
    t->next = w->trains_free;
    w->trains_free = t;
    w->trains_free_n++;
}

static void small_give_back(struct worker *w, struct small_send *s) REQUIRES_ROLE(role_worker)
{
    s->next = w->smalls_free;
    w->smalls_free = s;
}

/*
 * Counts the datagrams of a run, which end with `v`. Keepalives are no packets that were read; `keepalive_len` is the
 * length of one on this path.
 */
static void count_run(struct worker *w, const struct io_send *s, uint32_t keepalive_len,
                      enum verdict v) REQUIRES_ROLE(role_worker)
{
    unsigned n = s->segment_size >= s->len ? 1 : (s->len + s->segment_size - 1) / s->segment_size;
    unsigned keepalives = 0;

    /* Nothing is shorter, so only the last one can be one, or all are. */
    if (UNLIKELY(s->len - (n - 1) * s->segment_size == keepalive_len)) {
        keepalives = s->segment_size == keepalive_len ? n : 1;
        tally(w, v == VERDICT_OUT_FORWARDED ? TALLY_KEEPALIVES_SENT : TALLY_KEEPALIVES_FAILED,
              keepalives);
    }
    count(w, v, n - keepalives);
}

/* All packets of a train end with `v`. */
static void train_drop(struct worker *w, struct train *t, enum verdict v) REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < t->sends_n; i++)
        count_run(w, &t->sends[i], WG_DATA_LEN_MIN + t->head, v);
    train_give_back(w, t);
}

static void small_drop(struct worker *w, struct small_send *s) REQUIRES_ROLE(role_worker)
{
    tally(w, TALLY_CONTROL_FAILED, 1);
    small_give_back(w, s);
}

static void train_enqueue(struct worker *w, struct train *t, const struct ip_source *source)
    REQUIRES_ROLE(role_worker)
{
    t->sends_out = t->sends_n;
    tally(w, TALLY_UDP_SENDS, t->sends_n);
    for (unsigned i = 0; i < t->sends_n; i++) {
        t->sends[i].from = *source;
        io_udp_send(w->io, &t->sends[i]);
    }
}

static void small_enqueue(struct worker *w, struct small_send *s, const struct ip_source *source)
    REQUIRES_ROLE(role_worker)
{
    s->send.from = *source;
    tally(w, TALLY_UDP_SENDS, 1);
    io_udp_send(w->io, &s->send);
}

/*
 * True: `*source` may be used now. False: parked, or dropped (then *drop says why). While anything is parked, also
 * datagrams with a source of their own ask the cache, so that they cannot overtake what waits for the same destination.
 * An address without its interface would be sent wherever the routes lead, into our own TUN perhaps.
 */
static bool source_for(struct worker *w, const struct sock_addr *to, void *datagram,
                       struct ip_source *source, enum verdict *drop) REQUIRES_ROLE(role_worker)
{
    *drop = VERDICT_N;
    if (!w->engine->config.source_resolve)
        return true;
    if (source->ip.family != ADDR_NONE && source->ifindex == 0) {
        *drop = VERDICT_OUT_NO_SOURCE;
        return false;
    }
    if (source->ip.family != ADDR_NONE && source_parking_len(&w->parking) == 0)
        return true;
    switch (
        source_cache_resolve(w->engine->sources, &w->parking, &to->ip, w->now, datagram, source)) {
    case SOURCE_HIT:
        return true;
    case SOURCE_PARKED_ASK:
        worker_ask_source(w, &to->ip);
        return false;
    case SOURCE_PARKED:
        return false;
    case SOURCE_DROP_FULL:
        *drop = VERDICT_OUT_SOURCE_FULL;
        return false;
    case SOURCE_DROP_FAILED:
        *drop = VERDICT_OUT_NO_SOURCE;
        return false;
    }
    return false;
}

/* Parked trains are missing elsewhere: beyond a share of the pool only destinations with an answer are served. */
static bool parking_refused(struct worker *w, const struct peer *p) REQUIRES_ROLE(role_worker)
{
    struct ip_source answer;
    return w->engine->config.source_resolve && w->trains_parked_n >= WORKER_TRAINS_PARKED &&
           !source_cache_lookup(w->engine->sources, &p->endpoint.ip, &answer);
}

/* What the peer's timers learn from a sent train. */
static void note_sent(struct worker *w, struct peer *p, const struct train *t)
    REQUIRES_ROLE(role_worker)
{
    struct peer_shared *s = &p->shared;
    bool data = t->used > t->packets_n * (unsigned)(WG_DATA_LEN_MIN + t->head);

    counter_add(&s->tx_bytes, t->used);
    counter_set(&s->last_sent, w->now);
    if (counter_read(&s->unacked_since) != 0)
        counter_set(&s->unacked_since, 0);
    if (data)
        counter_set(&s->last_packet, w->now);
    if (data && counter_read(&s->unanswered_since) == 0) {
        counter_set(&s->unanswered_since, w->now);
        if (arm_missing(&s->armed, ARM_ANSWER))
            worker_raise(w, p, EDGE_DATA_SENT);
    }
    if (session_rekey_on_send(t->session, w->now))
        worker_raise(w, p, EDGE_WANT_HANDSHAKE);
}

static void train_seal(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    crypt_seal(&w->crypt, &t->session->send_key, t->packets, t->packets_n);
}

/* A sealed train leaves for the peer. */
static void train_depart(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    struct peer *p = t->peer;
    struct ip_source source = p->source;
    enum verdict drop;

    tally(w, TALLY_SEAL_BATCHES, 1);
    tally(w, TALLY_OUT_BYTES, t->used);
    note_sent(w, p, t);
    for (unsigned i = 0; i < t->sends_n; i++)
        t->sends[i].to = p->endpoint;
    if (parking_refused(w, p)) {
        train_drop(w, t, VERDICT_OUT_SOURCE_FULL);
        return;
    }
    if (source_for(w, &p->endpoint, t, &source, &drop))
        train_enqueue(w, t, &source);
    else if (drop != VERDICT_N)
        train_drop(w, t, drop);
    else
        w->trains_parked_n++;
}

/* ---- trains that helpers may seal ---- */

/* Packets and runs of `t` for the memory of `second`, where it is to be sealed. */
static void train_move(struct train *t, struct train *second)
{
    ptrdiff_t moved = second->bytes - t->bytes;
    for (unsigned i = 0; i < t->packets_n; i++) {
        struct crypt_packet *x = &t->packets[i];
        x->from = x->data;
        x->data += moved;
    }
    for (unsigned i = 0; i < t->sends_n; i++)
        t->sends[i].data += moved;
    t->sealed_in = second;
}

/* Behind the trains that are queued already, on offer if it is worth it. */
static void train_queue(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    struct ticket_queue *q = &w->help.queues[HELP_SEAL];
    bool offered = help_wants(w, t->packets_n) && w->trains_free_n > WORKER_TRAINS_KEPT;

    while (ticket_queue_len(q) == TICKET_QUEUE_SIZE)
        train_collect_queued(w, true);
    if (offered) {
        train_move(t, train_take(w));
    } else {
        train_seal(w, t);
        if (ticket_queue_len(q) == 0) {
            train_depart(w, t);
            return;
        }
    }
    keys_hold(t->session);
    t->job.kind = HELP_SEAL;
    t->job.head = (uint8_t)(WG_DATA_PACKET + t->head);
    t->job.n = t->packets_n;
    t->job.key = &t->session->send_key;
    t->job.packets = t->packets;
    help_queue(w, &t->job, offered);
}

/* A helper stands still with `t`: it is sealed once more, in a place of its own. NULL: there is none. */
static struct train *train_again(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    struct train *again = train_take(w);
    if (!again)
        return NULL;
    again->packets_n = t->packets_n;
    again->sends_n = t->sends_n;
    again->sends_out = 0;
    again->head = t->head;
    again->slot = t->slot;
    again->used = t->used;
    again->session = t->session;
    again->peer = t->peer;
    memcpy(again->bytes, t->bytes, t->used);
    for (unsigned i = 0; i < t->packets_n; i++) {
        again->packets[i] = t->packets[i];
        again->packets[i].from = NULL;
        again->packets[i].data = again->bytes + (t->packets[i].from - t->bytes);
    }
    for (unsigned i = 0; i < t->sends_n; i++) {
        again->sends[i] = t->sends[i];
        again->sends[i].data = again->bytes + (t->sends[i].data - t->sealed_in->bytes);
        again->sends[i].owner = again;
    }
    train_seal(w, again);
    tally(w, TALLY_HELP_LATE, 1);
    return again;
}

/* Trains that were sealed again, and that the helper has finished now. */
static void train_collect_late(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct train **link = &w->trains_late;
    while (*link) {
        struct train *t = *link;
        if (!ticket_is_done(&t->job.ticket)) {
            link = &t->next;
            continue;
        }
        *link = t->next;
        w->help.late_n--;
        keys_unhold(w, t->session);
        train_give_back(w, t);
    }
}

void train_collect_queued(struct worker *w, bool wait)
{
    struct help_job *job;

    train_collect_late(w);
    while ((job = help_first(w, HELP_SEAL)) != NULL) {
        struct train *t = CONTAINER_OF(job, struct train, job), *again;
        bool late;
        if (help_settle(w, job, wait, &late)) {
            struct session *s = t->session;
            ticket_pop(&w->help.queues[HELP_SEAL]);
            train_depart(w, t);
            keys_unhold(w, s);
            continue;
        }
        if (!late)
            return;
        if (!(again = train_again(w, t))) {
            if (!wait)
                return;
            continue;
        }
        ticket_pop(&w->help.queues[HELP_SEAL]);
        t->next = w->trains_late;
        w->trains_late = t;
        w->help.late_n++;
        train_depart(w, again);
    }
}

static void train_close(struct worker *w, struct train *t) REQUIRES_ROLE(role_worker)
{
    t->peer->train = NULL;
    if (UNLIKELY(w->help.busy)) {
        train_queue(w, t);
        return;
    }
    train_seal(w, t);
    train_depart(w, t);
}

/* ---- open trains ---- */

void train_flush(struct worker *w)
{
    while (w->trains_open) {
        struct train *t = w->trains_open;
        w->trains_open = t->next;
        train_close(w, t);
    }
}

void train_flush_peer(struct worker *w, struct peer *p)
{
    struct train **link = &w->trains_open;
    while (*link && (*link)->peer != p)
        link = &(*link)->next;
    if (!*link)
        return;
    struct train *t = *link;
    *link = t->next;
    train_close(w, t);
}

static struct train *train_start(struct worker *w, struct peer *p, struct session *s)
    REQUIRES_ROLE(role_worker)
{
    struct train *t = train_take(w);
    struct train **end = &w->trains_open;

    if (!t)
        return NULL;
    t->packets_n = t->sends_n = t->sends_out = 0;
    t->used = 0;
    t->run_open = false;
    t->head = p->channel != 0 ? CHANNEL_HEADER_LEN : 0;
    t->slot = p->slot;
    t->peer = p;
    t->session = s;
    t->next = NULL;
    while (*end) /* few: one open train per peer and batch */
        end = &(*end)->next;
    *end = t;
    p->train = t;
    return t;
}

/* Extends the last run by a datagram of `len` bytes, or begins a new one. */
static void run_extend(struct train *t, uint8_t *data, uint32_t len, uint8_t ecn)
{
    struct io_send *s = t->sends_n ? &t->sends[t->sends_n - 1] : NULL;

    if (s && t->run_open && s->ecn == ecn && len <= s->segment_size) {
        s->len += len;
        t->run_open = len == s->segment_size;
        return;
    }
    s = &t->sends[t->sends_n++];
    s->data = data;
    s->len = len;
    s->segment_size = (uint16_t)len;
    s->ecn = ecn;
    s->owner = t;
    t->run_open = true;
}

uint8_t *train_append(struct worker *w, struct peer *p, struct session *s, uint32_t len,
                      uint8_t ecn)
{
    const struct engine_config *config = &w->engine->config;
    uint32_t padded = len;
    if (config->pad)
        padded = (uint32_t)size_max(len, size_min(ALIGN_UP(len, WG_DATA_PADDING), config->mtu));
    uint32_t need = WG_DATA_OVERHEAD + padded + (p->channel != 0 ? CHANNEL_HEADER_LEN : 0);
    struct train *t = p->train;

    if (t &&
        (t->packets_n == CRYPT_BATCH_MAX || t->used + need > IO_GSO_BYTES_MAX || t->session != s)) {
        train_flush_peer(w, p);
        t = NULL;
    }
    if (!t && !(t = train_start(w, p, s)))
        return NULL;

    uint8_t *datagram = t->bytes + t->used, *message = datagram + t->head;
    if (t->head != 0)
        channel_write(datagram, p->channel, (uint16_t)(need - CHANNEL_HEADER_LEN));
    store_le32(message, WG_KIND_DATA);
    store_le32(message + WG_DATA_RECEIVER, s->remote_index);
    store_le64(message + WG_DATA_COUNTER, s->send_counter);
    memset(message + WG_DATA_PACKET + len, 0, padded - len);
    t->packets[t->packets_n++] = (struct crypt_packet){
        .data = message + WG_DATA_PACKET, .len = padded, .counter = s->send_counter++};
    run_extend(t, datagram, need, ecn);
    t->used += need;
    if (UNLIKELY(w->help.backlog))
        cache_claim_bytes(t->bytes + t->used, need); /* for the next packet: helpers had them */
    return message + WG_DATA_PACKET;
}

/* A way that is lost without a source that could have vanished is none: the kernel has looked for one, and found nothing. */
static enum verdict verdict_of(const struct io_send *s)
{
    switch ((enum io_result)s->result) {
    case IO_SENT:
        return VERDICT_OUT_FORWARDED;
    case IO_PATH_LOST:
        return s->from.ip.family == ADDR_NONE ? VERDICT_OUT_NO_SOURCE : VERDICT_OUT_PATH_LOST;
    case IO_TOO_BIG:
        return VERDICT_OUT_SEND_TOO_BIG;
    case IO_NO_BUFFER:
        return VERDICT_OUT_NO_BUFFER;
    case IO_DENIED:
        return VERDICT_OUT_DENIED;
    case IO_CLOSED:
        return VERDICT_OUT_NO_SOCKET;
    case IO_FAILED:
        return VERDICT_OUT_SEND_FAILED;
    }
    return VERDICT_OUT_SEND_FAILED;
}

/*
 * A vanished source address or route: the next datagram goes out without the source that failed, and control hears. A
 * source that was set meanwhile stays.
 */
static void note_path_lost(struct worker *w, uint32_t slot, const struct ip_addr *from)
    REQUIRES_ROLE(role_worker)
{
    struct peer *p = w->peers[slot];

    if (from->family != ADDR_NONE)
        worker_address_lost(w, from);
    if (!p)
        return;
    if (ip_addr_equal(&p->source.ip, from))
        memset(&p->source, 0, sizeof p->source);
    worker_raise(w, p, EDGE_PATH_LOST);
}

void train_collect(struct worker *w)
{
    struct io_send *s = io_udp_take_done(w->io);
    while (s) {
        struct io_send *next = s->next;
        uint8_t kind = *(uint8_t *)s->owner;
        if (kind == TX_TRAIN) {
            struct train *t = s->owner;
            count_run(w, s, WG_DATA_LEN_MIN + t->head, verdict_of(s));
            if (s->result == IO_PATH_LOST)
                note_path_lost(w, t->slot, &s->from.ip);
            if (--t->sends_out == 0)
                train_give_back(w, t);
        } else {
            tally(w, s->result == IO_SENT ? TALLY_CONTROL_SENT : TALLY_CONTROL_FAILED, 1);
            if (s->result == IO_PATH_LOST && s->from.ip.family != ADDR_NONE)
                worker_address_lost(w, &s->from.ip);
            small_give_back(w, s->owner);
        }
        s = next;
    }
}

static void parked_drop(struct worker *w, void *datagram) REQUIRES_ROLE(role_worker)
{
    if (*(uint8_t *)datagram == TX_TRAIN) {
        w->trains_parked_n--;
        train_drop(w, datagram, VERDICT_OUT_NO_SOURCE);
    } else {
        small_drop(w, datagram);
    }
}

void train_release_parked(struct worker *w)
{
    struct source_released r;
    while (source_parking_poll(&w->parking, w->engine->sources, w->now, &r)) {
        switch (r.what) {
        case SOURCE_RELEASE_SEND:
            if (*(uint8_t *)r.datagram == TX_TRAIN) {
                w->trains_parked_n--;
                train_enqueue(w, r.datagram, &r.source);
            } else {
                small_enqueue(w, r.datagram, &r.source);
            }
            break;
        case SOURCE_RELEASE_DROP:
            parked_drop(w, r.datagram);
            break;
        case SOURCE_RELEASE_ASK:
            worker_ask_source(w, &r.dst);
            break;
        }
    }
}

void train_drop_parked(struct worker *w)
{
    struct source_released r;
    while (source_parking_flush(&w->parking, &r))
        parked_drop(w, r.datagram);
}

bool train_send_small(struct worker *w, const struct sock_addr *to, const struct ip_source *from,
                      const uint8_t *bytes, size_t len)
{
    struct small_send *s = w->smalls_free;
    struct ip_source source = *from;
    enum verdict drop;

    if (!s || len > sizeof s->bytes) {
        tally(w, TALLY_CONTROL_FAILED, 1);
        return false;
    }
    w->smalls_free = s->next;
    memcpy(s->bytes, bytes, len);
    s->send = (struct io_send){.data = s->bytes,
                               .len = (uint32_t)len,
                               .segment_size = (uint16_t)len,
                               .to = *to,
                               .owner = s};
    if (source_for(w, to, s, &source, &drop))
        small_enqueue(w, s, &source);
    else if (drop != VERDICT_N)
        small_drop(w, s);
    return true;
}
