/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingress: received datagrams are classified, opened in batches per session, checked, joined to super-packets and
 * written to the TUN. Everything happens in place, in the receive buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/wire/channel.h"
#include "engine/wire/inner.h"
#include "engine/wire/ip.h"
#include "engine/wire/wg.h"
#include "engine/worker.h"
#include "platform/base/cache.h"

enum err ingress_pool_init(struct worker *w)
{
    if (w->engine->config.workers < 2 || worker_is_gate(w))
        return ERR_OK;
    w->open_jobs_block = calloc(WORKER_OPEN_JOBS, sizeof *w->open_jobs_block);
    w->open_jobs_bytes = aligned_alloc(4096, (size_t)WORKER_OPEN_JOB_BYTES * WORKER_OPEN_JOBS);
    if (!w->open_jobs_block || !w->open_jobs_bytes)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < WORKER_OPEN_JOBS; i++) {
        struct open_job *j = &w->open_jobs_block[i];
        j->bytes = w->open_jobs_bytes + (size_t)WORKER_OPEN_JOB_BYTES * i;
        j->next = w->open_jobs_free;
        w->open_jobs_free = j;
    }
    return ERR_OK;
}

void ingress_pool_fini(struct worker *w)
{
    free(w->open_jobs_block);
    free(w->open_jobs_bytes);
}

static void job_release(struct worker *w, struct open_job *j) REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < j->rx_n; i++)
        handoff_unhold(w, IO_RX_UDP, j->rx[i].buffer);
    keys_unhold(w, j->batch.session);
    j->next = w->open_jobs_free;
    w->open_jobs_free = j;
}

void ingress_release(struct worker *w)
{
    DASSERT(w->coalesce.n == 0);
    while (w->open_jobs_delivered) {
        struct open_job *j = w->open_jobs_delivered;
        w->open_jobs_delivered = j->next;
        job_release(w, j);
    }
}

static void tun_write(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct coalesce *c = &w->coalesce;
    struct io_frame frames[COALESCE_ITEMS_MAX];
    bool refused = false;

    if (c->n == 0)
        return;
    coalesce_finish(c);
    for (unsigned i = 0; i < c->n; i++)
        frames[i] = (struct io_frame){.iov = (const struct iovec *)(const void *)c->items[i].iov,
                                      .n_iov = (uint16_t)c->items[i].n_iov};
    io_tun_write(w->io, frames, c->n);
    tally(w, TALLY_TUN_FRAMES_WRITTEN, c->n);
    for (unsigned i = 0; i < c->n; i++) {
        count(w, frames[i].error ? VERDICT_IN_TUN_FAILED : VERDICT_IN_FORWARDED, c->items[i].n_iov);
        refused = refused || (frames[i].error == EINVAL && c->items[i].n_iov > 1);
    }
    coalesce_reset(c);
    if (UNLIKELY(refused)) { /* source: spec/platform.md 2.1, for the rest of the session */
        c->offloads = 0;
        tally(w, TALLY_COALESCE_OFF, 1);
    }
}

/* An authentic, non-empty plaintext of `len` bytes. Returns whether it was a packet of the peer. */
static void deliver(struct worker *w, struct peer *p, uint8_t *packet, uint32_t len,
                    uint8_t outer_ecn) REQUIRES_ROLE(role_worker)
{
    struct ip_view v;

    if (!ip_parse(&v, packet, len)) {
        count(w, VERDICT_IN_BAD_PACKET, 1);
        return;
    }
    if (UNLIKELY(v.total_len > w->engine->config.mtu) &&
        w->engine->config.role != ENGINE_WIREGUARD) { /* where all have the same MTU */
        count(w, VERDICT_IN_TOO_BIG, 1);
        return;
    }
    if (UNLIKELY(v.proto == INNER_PROTO) && w->engine->config.fixed_paths &&
        inner_is_control(&v, packet)) {
        gate_inner(w, p, packet, v.total_len);
        return;
    }
    if (w->engine->config.role != ENGINE_WIREGUARD) {
        if (w->engine->config.role == ENGINE_CLIENT ? !client_accepts(w, p, &v, packet)
                                                    : !gateway_accepts(w, p, &v, packet))
            return;
    } else if (!w->routes ||
               !route_covers(w->routes, v.version, ip_src_ptr(packet, v.version), p->value)) {
        count(w, VERDICT_IN_BAD_SOURCE, 1);
        return;
    }
    if (UNLIKELY(outer_ecn == ECN_CE && (v.ecn == ECN_ECT0 || v.ecn == ECN_ECT1))) {
        ip_set_ce(packet);
        v.ecn = ECN_CE;
    }
    if (!coalesce_add(&w->coalesce, packet, v.total_len, &v)) {
        tun_write(w);
        if (!coalesce_add(&w->coalesce, packet, v.total_len, &v))
            count(w, VERDICT_IN_BAD_PACKET, 1);
    }
}

/* The peer is where its last authentic packet came from (roaming, WireGuard paper section 2.1). */
static void note_endpoint(struct worker *w, struct peer *p, const struct io_rx *rx)
    REQUIRES_ROLE(role_worker)
{
    struct ip_source to = rx->to;

    if (!w->engine->config.source_resolve && rx->from.scope == 0)
        to.ifindex = 0; /* the kernel routes; the mark keeps it out of our TUN */
    if (UNLIKELY(!sock_addr_equal(&p->endpoint, &rx->from))) {
        p->endpoint = rx->from;
        seqlock_write(&p->shared.endpoint, &p->endpoint, sizeof p->endpoint);
        worker_raise(w, p, EDGE_ENDPOINT);
    }
    if (to.ip.family != ADDR_NONE) /* else the socket it came by is gone */
        p->source = to;
}

/* What the peer's timers learn from authentic packets. */
static void note_received(struct worker *w, struct peer *p, const struct session *s, uint64_t bytes,
                          bool data) REQUIRES_ROLE(role_worker)
{
    struct peer_shared *shared = &p->shared;

    counter_add(&shared->rx_bytes, bytes);
    counter_set(&shared->last_received, w->now);
    if (data)
        counter_set(&shared->last_packet, w->now);
    if (counter_read(&shared->unanswered_since) != 0)
        counter_set(&shared->unanswered_since, 0);
    if (data && counter_read(&shared->unacked_since) == 0) {
        counter_set(&shared->unacked_since, w->now);
        if (arm_missing(&shared->armed, ARM_REPLY))
            worker_raise(w, p, EDGE_DATA_RECEIVED);
    }
    if (session_rekey_on_receive(s, w->now))
        worker_raise(w, p, EDGE_WANT_HANDSHAKE);
}

static bool commit_replay(struct worker *w, struct session *s, const struct crypt_packet *packet)
    REQUIRES_ROLE(role_worker)
{
    if (!packet->ok) {
        count(w, VERDICT_IN_BAD_TAG, 1);
        return false;
    }
    switch (replay_commit(&s->replay, packet->counter)) {
    case REPLAY_OK:
        return true;
    case REPLAY_OLD:
        count(w, VERDICT_IN_REPLAY_OLD, 1);
        return false;
    case REPLAY_DUPLICATE:
    case REPLAY_LIMIT:
        count(w, VERDICT_IN_REPLAY_DUPLICATE, 1);
        return false;
    }
    return false;
}

/* Delivers what is authentic of an opened batch, in the order it came. */
static void open_deliver(struct worker *w, const struct open_batch *b) REQUIRES_ROLE(role_worker)
{
    struct session *s = b->session;
    const struct io_rx *last = NULL;
    uint64_t bytes = 0;
    bool data = false;

    tally(w, TALLY_OPEN_BATCHES, 1);
    for (unsigned i = 0; i < b->n; i++) {
        const struct crypt_packet *packet = &b->packets[i];
        if (!commit_replay(w, s, packet))
            continue;
        last = b->rx[i];
        bytes += WG_DATA_OVERHEAD + packet->len;
        if (packet->len == 0) {
            count(w, VERDICT_IN_KEEPALIVE, 1);
            continue;
        }
        data = true;
        deliver(w, s->peer, packet->data, packet->len, b->ecn[i]);
    }
    if (!last)
        return;
    struct peer *p = s->peer;
    tally(w, TALLY_IN_BYTES, bytes);
    if (!b->relayed && !w->engine->config.fixed_paths)
        note_endpoint(w, p, last);
    if (keys_confirm(w, p, s)) {
        worker_raise(w, p, EDGE_CONFIRMED);
        egress_staged(w, p);
    }
    note_received(w, p, p->current ? p->current : s, bytes, data);
}

/* ---- batches that helpers may open ---- */

static struct open_job *job_take(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct open_job *j = w->open_jobs_free;
    if (j)
        w->open_jobs_free = j->next;
    return j;
}

/* `batch` into `j`, with the records that it came by. */
static void job_fill(struct worker *w, struct open_job *j, const struct open_batch *batch)
    REQUIRES_ROLE(role_worker)
{
    const struct io_rx *from = NULL;

    j->batch.session = batch->session;
    j->batch.n = batch->n;
    j->batch.borrowed = false;
    j->batch.relayed = batch->relayed;
    j->rx_n = 0;
    for (unsigned i = 0; i < batch->n; i++) {
        const struct crypt_packet *x = &batch->packets[i];
        /* Not `ok`: a helper that was given up may be writing it. */
        j->batch.packets[i] = (struct crypt_packet){
            .data = x->data, .from = x->from, .len = x->len, .counter = x->counter};
        j->batch.ecn[i] = batch->ecn[i];
        if (batch->rx[i] != from) {
            from = batch->rx[i];
            j->rx[j->rx_n++] = *from;
            handoff_hold(w, IO_RX_UDP, from->buffer);
        }
        j->batch.rx[i] = &j->rx[j->rx_n - 1];
    }
    keys_hold(batch->session);
}

/* Packets of `j` are opened to its own memory, with room before each for a header. False: there is not enough. */
static bool job_move(struct open_job *j)
{
    struct open_batch *b = &j->batch;
    uint32_t at = 0;

    for (unsigned i = 0; i < b->n; i++)
        at += ALIGN_UP(WG_DATA_PACKET + b->packets[i].len + WG_TAG_LEN, 64u);
    if (at > WORKER_OPEN_JOB_BYTES)
        return false;
    at = 0;
    for (unsigned i = 0; i < b->n; i++) {
        struct crypt_packet *x = &b->packets[i];
        if (!x->from)
            x->from = x->data;
        x->data = j->bytes + at + WG_DATA_PACKET;
        at += ALIGN_UP(WG_DATA_PACKET + x->len + WG_TAG_LEN, 64u);
    }
    return true;
}

static void batch_open(struct worker *w, struct open_batch *b) REQUIRES_ROLE(role_worker)
{
    crypt_open(&w->crypt, &b->session->receive_key, b->packets, b->n);
}

/* Behind the batches that are queued already, on offer if it is worth it. */
static void open_queue(struct worker *w, struct open_batch *b) REQUIRES_ROLE(role_worker)
{
    struct ticket_queue *q = &w->help.queues[HELP_OPEN];
    struct open_job *j = NULL;

    /* Buffers of other workers go back at the end of this loop. */
    if (b->borrowed || ticket_queue_len(q) == TICKET_QUEUE_SIZE)
        ingress_collect(w, true);
    else if (ticket_queue_len(q) > 0 || help_wants(w, b->n)) {
        if (!w->open_jobs_free)
            ingress_collect(w, true);
        j = job_take(w);
    }
    if (!j) { /* nothing is queued */
        batch_open(w, b);
        open_deliver(w, b);
        return;
    }
    job_fill(w, j, b);
    bool offered = help_wants(w, b->n) && job_move(j);
    if (!offered)
        batch_open(w, &j->batch);
    j->job.kind = HELP_OPEN;
    j->job.head = 0;
    j->job.n = (uint16_t)b->n;
    j->job.key = &b->session->receive_key;
    j->job.packets = j->batch.packets;
    help_queue(w, &j->job, offered);
}

/* A helper stands still with `j`: it is opened once more, in a place of its own. NULL: there is none. */
static struct open_job *job_again(struct worker *w, struct open_job *j) REQUIRES_ROLE(role_worker)
{
    struct open_job *again = job_take(w);
    if (!again)
        return NULL;
    job_fill(w, again, &j->batch);
    bool moved = job_move(again);
    ASSERT(moved); /* as it did the first time */
    batch_open(w, &again->batch);
    tally(w, TALLY_HELP_LATE, 1);
    return again;
}

static void delivered_add(struct worker *w, struct open_job *j) REQUIRES_ROLE(role_worker)
{
    j->next = w->open_jobs_delivered;
    w->open_jobs_delivered = j;
}

static void jobs_collect_late(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct open_job **link = &w->open_jobs_late;
    while (*link) {
        struct open_job *j = *link;
        if (!ticket_is_done(&j->job.ticket)) {
            link = &j->next;
            continue;
        }
        *link = j->next;
        w->help.late_n--;
        delivered_add(w, j);
    }
}

/* Asks for the headers that a helper has written. */
static void batch_fetch(const struct open_batch *b)
{
    for (unsigned i = 0; i < b->n; i++)
        cache_fetch(b->packets[i].data);
}

void ingress_collect(struct worker *w, bool wait)
{
    struct help_job *job;

    jobs_collect_late(w);
    while ((job = help_first(w, HELP_OPEN)) != NULL) {
        struct open_job *j = CONTAINER_OF(job, struct open_job, job), *again = NULL;
        bool late;
        if (!help_settle(w, job, wait, &late)) {
            if (!late)
                break;
            if (!(again = job_again(w, j))) {
                if (!wait)
                    break;
                continue;
            }
        }
        ticket_pop(&w->help.queues[HELP_OPEN]);
        if (again) {
            j->next = w->open_jobs_late;
            w->open_jobs_late = j;
            w->help.late_n++;
            j = again;
        }
        batch_fetch(&j->batch);
        open_deliver(w, &j->batch);
        delivered_add(w, j);
    }
    tun_write(w);
}

/* ---- the pending batch ---- */

static void open_flush(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct open_batch *b = &w->open;

    if (b->n == 0)
        return;
    if (UNLIKELY(w->help.busy)) {
        open_queue(w, b);
    } else {
        batch_open(w, b);
        open_deliver(w, b);
    }
    b->n = 0;
    b->session = NULL;
    b->borrowed = b->relayed = false;
}

void ingress_flush(struct worker *w)
{
    open_flush(w);
    tun_write(w);
}

static struct session *session_find(struct worker *w, uint32_t index) REQUIRES_ROLE(role_worker)
{
    struct session *s = w->sessions[index & (SESSION_TABLE - 1)];
    return s && s->local_index == index ? s : NULL;
}

/* A data message for a session of this worker; channel: it came through this one, 0: through none. */
static void ingress_data(struct worker *w, const struct io_rx *rx, uint8_t *msg, uint32_t len,
                         uint16_t channel, bool borrowed) REQUIRES_ROLE(role_worker)
{
    struct open_batch *b = &w->open;
    uint32_t index = load_le32(msg + WG_DATA_RECEIVER);
    uint64_t counter = load_le64(msg + WG_DATA_COUNTER);

    /* Before the lookup: opening may end sessions (keys_confirm). */
    if (b->n == CRYPT_BATCH_MAX || (b->n > 0 && b->session->local_index != index))
        open_flush(w);
    struct session *s = session_find(w, index);
    if (!s) {
        count(w, VERDICT_IN_NO_SESSION, 1);
        return;
    }
    if (UNLIKELY(channel != 0 && !w->engine->config.fixed_paths)) {
        if (channel != s->peer->channel || !sock_addr_equal(&s->peer->endpoint, &rx->from)) {
            count(w, VERDICT_IN_BAD_CHANNEL, 1);
            return;
        }
        b->relayed = true;
    }
    if (!session_can_receive(s, w->now)) {
        count(w, VERDICT_IN_SESSION_EXPIRED, 1);
        return;
    }
    switch (replay_check(&s->replay, counter)) {
    case REPLAY_OK:
        break;
    case REPLAY_OLD:
        count(w, VERDICT_IN_REPLAY_OLD, 1);
        return;
    case REPLAY_DUPLICATE:
    case REPLAY_LIMIT:
        count(w, VERDICT_IN_REPLAY_DUPLICATE, 1);
        return;
    }
    b->session = s;
    b->borrowed |= borrowed;
    b->ecn[b->n] = rx->ecn;
    b->rx[b->n] = rx;
    b->packets[b->n++] = (struct crypt_packet){
        .data = msg + WG_DATA_PACKET, .len = len - WG_DATA_OVERHEAD, .counter = counter};
}

/* Whom a data message belongs to: the worker that its receiver index names. */
static unsigned data_owner(const struct worker *w, const uint8_t *msg) REQUIRES_ROLE(role_worker)
{
    unsigned owner = owner_of(load_le32(msg + WG_DATA_RECEIVER));
    return owner < w->engine->workers_n ? owner : w->index;
}

/* The same for any datagram; all others belong to who read them. */
static unsigned datagram_owner(const struct worker *w, const uint8_t *msg, uint32_t len)
    REQUIRES_ROLE(role_worker)
{
    unsigned head = channel_parse(msg, len) != 0 ? CHANNEL_HEADER_LEN : 0;
    return wg_message_kind(msg + head, len - head) == WG_KIND_DATA ? data_owner(w, msg + head)
                                                                   : w->index;
}

/* Lends all consecutive datagrams from `at` on that belong to `owner`. Returns where they end. */
static uint32_t lend_run(struct worker *w, const struct io_rx *rx, uint32_t at, unsigned owner)
    REQUIRES_ROLE(role_worker)
{
    struct io_rx part = *rx;
    uint32_t end = at, n = 0;

    while (end < rx->len) {
        uint32_t len = (uint32_t)size_min(rx->segment_size, rx->len - end);
        if (end > at && datagram_owner(w, rx->data + end, len) != owner)
            break;
        end += len;
        n++;
    }
    part.data += at;
    part.len = end - at;
    if (!handoff_lend(w, owner, &part))
        count(w, VERDICT_IN_HANDOFF_FULL, n);
    return end;
}

/*
 * A data message at `head` bytes behind `at`, which arrived through `channel` if that is not 0. Returns where it, or the
 * run of messages that was lent to another worker with it, ends.
 */
static inline uint32_t ingress_message(struct worker *w, const struct io_rx *rx, uint32_t at,
                                       uint32_t len, uint16_t channel, bool borrowed)
    REQUIRES_ROLE(role_worker)
{
    unsigned head = channel != 0 ? CHANNEL_HEADER_LEN : 0;
    uint8_t *msg = rx->data + at + head;
    unsigned owner = data_owner(w, msg);

    if (UNLIKELY(owner != w->index && !borrowed))
        return lend_run(w, rx, at, owner);
    ingress_data(w, rx, msg, len - head, channel, borrowed);
    return at + len;
}

/* What is no data: channel data with a handshake message in it, and all the rest. */
static void ingress_other(struct worker *w, const struct io_rx *rx, const uint8_t *msg,
                          uint32_t len, uint16_t channel) REQUIRES_ROLE(role_worker)
{
    if (channel != 0 && w->engine->config.fixed_paths &&
        wg_message_kind(msg + CHANNEL_HEADER_LEN, len - CHANNEL_HEADER_LEN) != WG_KIND_NONE)
        gate_handshake(w, rx, msg + CHANNEL_HEADER_LEN, len - CHANNEL_HEADER_LEN, channel);
    else
        gate_other(w, rx, msg, len, channel);
}

/* Somebody behind the tunnel speaks to our outer sockets. An answer would go back in, and so a handshake in circles. */
static bool from_own_tun(const struct worker *w, const struct io_rx *rx) REQUIRES_ROLE(role_worker)
{
    return rx->to.ifindex != 0 && rx->to.ifindex == w->engine->tun.ifindex;
}

void ingress_datagrams(struct worker *w, const struct io_rx *rx, unsigned origin)
{
    bool borrowed = origin != w->index;

    if (rx->len == 0)
        count(w, VERDICT_IN_MALFORMED, 1);
    if (UNLIKELY(from_own_tun(w, rx))) {
        count(w, VERDICT_IN_OWN_TUN, (rx->len + rx->segment_size - 1) / rx->segment_size);
        return;
    }
    for (uint32_t at = 0; at < rx->len;) {
        uint8_t *msg = rx->data + at;
        uint32_t len = (uint32_t)size_min(rx->segment_size, rx->len - at);
        uint16_t channel;
        switch (wg_message_kind(msg, len)) {
        case WG_KIND_DATA:
            at = ingress_message(w, rx, at, len, 0, borrowed);
            continue;
        case WG_KIND_INITIATION:
        case WG_KIND_RESPONSE:
        case WG_KIND_COOKIE_REPLY:
            gate_handshake(w, rx, msg, len, 0);
            break;
        case WG_KIND_NONE:
            channel = channel_parse(msg, len);
            if (channel != 0 && wg_message_kind(msg + CHANNEL_HEADER_LEN,
                                                len - CHANNEL_HEADER_LEN) == WG_KIND_DATA) {
                at = ingress_message(w, rx, at, len, channel, borrowed);
                continue;
            }
            ingress_other(w, rx, msg, len, channel);
            break;
        }
        at += len;
    }
}
