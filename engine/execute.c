/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of control, one function per kind. Runs between two batches: no train is open and no packet is pending. */
#include <string.h>
#include <time.h>

#include "engine/worker.h"
#include "platform/base/log.h"

static void set_endpoint(struct worker *w, struct peer *p, const struct sock_addr *to,
                         const struct ip_source *from, uint16_t channel) REQUIRES_ROLE(role_worker)
{
    train_flush_peer(w, p);
    if (channel != p->channel)
        train_collect_queued(w, true); /* they are framed for the path they leave on */
    p->endpoint = *to;
    p->source = *from;
    p->channel = channel;
    seqlock_write(&p->shared.endpoint, &p->endpoint, sizeof p->endpoint);
    /* Control decided this before it saw an older report of ours, perhaps: it looks at the result again. */
    worker_raise(w, p, EDGE_ENDPOINT);
    egress_staged(w, p);
}

static void peer_remove(struct worker *w, uint32_t slot) REQUIRES_ROLE(role_worker)
{
    struct peer *p = w->peers[slot];
    if (!p)
        return;
    keys_drop_all(w, p);
    help_drain(w);
    stage_purge(w, p, VERDICT_OUT_STAGE_PURGED);
    w->peers[slot] = NULL;
    worker_ack(w, &(struct event_ack){.kind = ACK_PEER_GONE, .peer = p});
}

static void session_add(struct worker *w, struct peer *p, struct session *s)
    REQUIRES_ROLE(role_worker)
{
    if (!p) { /* removed meanwhile */
        worker_ack(w, &(struct event_ack){.kind = ACK_SESSION_GONE, .session = s});
        return;
    }
    keys_install(w, p, s);
    egress_staged(w, p);
}

static void handshake_failed(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker)
{
    stage_purge(w, p, VERDICT_OUT_STAGE_PURGED);
    counter_set(&p->shared.unanswered_since, 0);
    counter_set(&p->shared.unacked_since, 0);
}

/* Decided with what control has published before. */
static void replay(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker)
{
    w->policy = snapshot_read(&w->engine->policy);
    client_replay(w, p);
}

static void block_send(struct worker *w, struct peer *p, const struct command *c)
    REQUIRES_ROLE(role_worker)
{
    if (c->kind == COMMAND_INJECT) {
        w->policy = snapshot_read(&w->engine->policy);
        client_inject(w, c->block->bytes, c->block->len);
    } else if (p) {
        egress_packet(w, p, c->block->bytes, c->block->len);
    }
    worker_ack(w, &(struct event_ack){.kind = ACK_BLOCK, .block = c->block});
}

/* Everything that was framed leaves, or is dropped, before the sockets do. */
static void sockets_drop(struct worker *w) REQUIRES_ROLE(role_worker)
{
    train_flush(w);
    help_drain(w);
    train_drop_parked(w);
    io_flush(w->io);
    io_detach_udp(w->io);
    train_collect(w);
    w->sockets_epoch++;
    for (uint32_t i = 0; i < w->engine->config.peers_max; i++) {
        if (w->peers[i])
            memset(&w->peers[i]->source, 0, sizeof w->peers[i]->source);
    }
    worker_ack(w, &(struct event_ack){.kind = ACK_SOCKETS_DROPPED});
}

static void socket_attach(struct worker *w, unsigned family, int fd) REQUIRES_ROLE(role_worker)
{
    if (fd >= 0 && io_attach_udp(w->io, family, fd) != ERR_OK)
        log_error("worker", "%u: cannot use its IPv%u socket", w->index, family);
}

static void freeze(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC)};
    nanosleep(&ts, NULL);
}

void worker_execute(struct worker *w, const struct command *c)
{
    struct peer *p = c->slot < w->engine->config.peers_max ? w->peers[c->slot] : NULL;

    switch ((enum command_kind)c->kind) {
    case COMMAND_PEER_ADD:
        ASSERT(!p);
        w->peers[c->peer->slot] = c->peer;
        gateway_adopt(w, c->peer);
        break;
    case COMMAND_PEER_REMOVE:
        peer_remove(w, c->slot);
        break;
    case COMMAND_ENDPOINT:
        if (p)
            set_endpoint(w, p, &c->endpoint.to, &c->endpoint.from, c->endpoint.channel);
        break;
    case COMMAND_SESSION_ADD:
        session_add(w, p, c->session);
        break;
    case COMMAND_SESSIONS_DROP:
        if (p) {
            keys_drop_all(w, p);
            p->asked_at = 0; /* what is staged still wants a handshake, and now */
            egress_staged(w, p);
        }
        break;
    case COMMAND_STAGE_PURGE:
        if (p)
            handshake_failed(w, p);
        break;
    case COMMAND_STAGE_REPLAY:
        if (p)
            replay(w, p);
        break;
    case COMMAND_KEEPALIVE:
        if (p)
            egress_keepalive(w, p);
        break;
    case COMMAND_DATAGRAM:
        if (train_send_small(w, &c->datagram.to, &c->datagram.from, c->datagram.bytes,
                             c->datagram.len) &&
            p)
            counter_add(&p->shared.tx_bytes, c->datagram.len);
        break;
    case COMMAND_PACKET:
    case COMMAND_INJECT:
        block_send(w, p, c);
        break;
    case COMMAND_CLIENT_FORGET:
        gateway_forget(w, c->slot);
        break;
    case COMMAND_TRANSLATE:
        worker_ack(w, &(struct event_ack){.kind = ACK_TRANSLATED,
                                          .translation = c->translation,
                                          .done = p && gateway_translate(w, p, c->translation)});
        break;
    case COMMAND_SOCKETS_DROP:
        sockets_drop(w);
        break;
    case COMMAND_SOCKETS_SET:
        socket_attach(w, ADDR_V4, c->sockets.v4);
        socket_attach(w, ADDR_V6, c->sockets.v6);
        break;
    case COMMAND_SOURCE_ANSWER:
        break; /* the loop looks at what is parked */
    case COMMAND_ECHO:
        worker_ack(w, &(struct event_ack){.kind = ACK_ECHO, .token = c->token});
        break;
    case COMMAND_FREEZE:
        freeze(c->token);
        break;
    case COMMAND_FREEZE_JOB:
        w->freeze_job_ns = c->token;
        break;
    case COMMAND_STOP:
        w->running = false;
        break;
    }
}
