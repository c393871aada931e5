/* SPDX-License-Identifier: Apache-2.0 */
/* Making and reading peers and sessions: the control side of engine.h. */
#include "engine/peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/grants_private.h"

static void *alloc_or_abort(size_t size)
{
    void *p = aligned_alloc(CACHE_LINE, ALIGN_UP(size, (size_t)CACHE_LINE));
    if (!p) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    memset(p, 0, size);
    return p;
}

struct peer *engine_peer_new(uint32_t slot, unsigned owner)
{
    struct peer *p = alloc_or_abort(sizeof *p);
    p->slot = slot;
    p->value = slot | (uint32_t)owner << ENGINE_OWNER_SHIFT;
    p->staged_max = PEER_STAGED_MAX;
    return p;
}

void engine_peer_wait_for_path(struct peer *p)
{
    p->waits_for_path = true;
}

void engine_peer_client(struct peer *p, uint32_t client, uint32_t tenant)
{
    ASSERT(client < ENGINE_PEERS_MAX);
    p->client = client;
    p->tenant = tenant;
}

void engine_peer_stage_limit(struct peer *p, uint16_t packets)
{
    ASSERT(packets >= 1 && packets <= PEER_STAGED_MAX);
    p->staged_max = packets;
}

struct command_block *engine_block_new(const uint8_t *bytes, uint32_t len)
{
    struct command_block *b = alloc_or_abort(sizeof *b + len);

    ASSERT(len <= UINT16_MAX);
    b->len = (uint16_t)len;
    memcpy(b->bytes, bytes, len);
    return b;
}

void engine_peer_free(struct peer *p)
{
    if (p)
        grants_free(p->grants);
    free(p);
}

uint32_t engine_peer_value(const struct peer *p)
{
    return p->value;
}

void engine_peer_activity(const struct peer *p, struct peer_activity *out)
{
    const struct peer_shared *s = &p->shared;
    *out = (struct peer_activity){
        .unanswered_since = counter_read(&s->unanswered_since),
        .unacked_since = counter_read(&s->unacked_since),
        .last_sent = counter_read(&s->last_sent),
        .last_received = counter_read(&s->last_received),
        .last_packet = counter_read(&s->last_packet),
        .rx_bytes = counter_read(&s->rx_bytes),
        .tx_bytes = counter_read(&s->tx_bytes),
        .current_index = (uint32_t)counter_read(&s->current_index),
    };
    seqlock_read(&s->endpoint, &out->endpoint, sizeof out->endpoint);
}

uint32_t engine_peer_take_edges(struct peer *p)
{
    return edge_take(&p->shared.edges);
}

void engine_peer_arm(struct peer *p, uint32_t bits)
{
    arm_set(&p->shared.armed, bits);
}

void engine_peer_disarm(struct peer *p, uint32_t bits)
{
    arm_clear(&p->shared.armed, bits);
}

struct session *engine_session_new(uint32_t local_index, uint32_t remote_index, bool initiator,
                                   time_ns created, const uint8_t send_key[CRYPT_KEY_LEN],
                                   const uint8_t receive_key[CRYPT_KEY_LEN])
{
    struct session *s = alloc_or_abort(sizeof *s);
    s->local_index = local_index;
    s->remote_index = remote_index;
    s->initiator = initiator;
    s->created = created;
    crypt_key_init(&s->send_key, send_key);
    crypt_key_init(&s->receive_key, receive_key);
    replay_init(&s->replay);
    return s;
}

uint32_t engine_session_index(const struct session *s)
{
    return s->local_index;
}

void engine_session_free(struct session *s)
{
    crypt_key_fini(&s->send_key);
    crypt_key_fini(&s->receive_key);
    secure_wipe(s, sizeof *s);
    free(s);
}
