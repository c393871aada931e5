/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three key slots of a peer (WireGuard paper, section 6.3): `current` seals; `next` is a session that we
 * answered and that the initiator has not used yet; `previous` still opens late packets.
 */
#include "engine/worker.h"

/* No open train holds the session any more: see train_flush_peer in the callers. */
static void session_give_back(struct worker *w, struct session **slot) REQUIRES_ROLE(role_worker)
{
    struct session *s = *slot;
    if (!s)
        return;
    *slot = NULL;
    struct session **entry = &w->sessions[s->local_index & (SESSION_TABLE - 1)];
    if (*entry == s)
        *entry = NULL;
    s->given_back = true;
    if (s->holds == 0)
        worker_ack(w, &(struct event_ack){.kind = ACK_SESSION_GONE, .session = s});
}

void keys_hold(struct session *s)
{
    s->holds++;
}

void keys_unhold(struct worker *w, struct session *s)
{
    if (--s->holds == 0 && s->given_back)
        worker_ack(w, &(struct event_ack){.kind = ACK_SESSION_GONE, .session = s});
}

static void publish_current(struct peer *p)
{
    counter_set(&p->shared.current_index, p->current ? p->current->local_index : 0);
}

void keys_install(struct worker *w, struct peer *p, struct session *s)
{
    train_flush_peer(w, p);
    /* Each authentic initiation or response leads to one session: its bytes are counted here. */
    counter_add(&p->shared.rx_bytes, s->initiator ? WG_RESPONSE_LEN : WG_INITIATION_LEN);
    /* The handshake was an authentic packet each way: nothing is unanswered. */
    counter_set(&p->shared.unanswered_since, 0);
    counter_set(&p->shared.unacked_since, 0);
    s->peer = p;
    w->sessions[s->local_index & (SESSION_TABLE - 1)] = s;
    if (s->initiator) {
        /* The responder answered, so it can receive on this session at once. */
        if (p->next) {
            session_give_back(w, &p->previous);
            p->previous = p->next;
            p->next = NULL;
            session_give_back(w, &p->current);
        } else {
            session_give_back(w, &p->previous);
            p->previous = p->current;
        }
        p->current = s;
        p->asked_at = 0;
        publish_current(p);
    } else {
        /*
         * `previous` stays until the initiator speaks: after a simultaneous start it may be what the peer still
         * sends with.
         */
        session_give_back(w, &p->next);
        p->next = s;
    }
}

bool keys_confirm(struct worker *w, struct peer *p, struct session *s)
{
    if (LIKELY(s != p->next))
        return false;
    train_flush_peer(w, p);
    session_give_back(w, &p->previous);
    p->previous = p->current;
    p->current = s;
    p->next = NULL;
    p->asked_at = 0;
    publish_current(p);
    return true;
}

void keys_drop_all(struct worker *w, struct peer *p)
{
    train_flush_peer(w, p);
    session_give_back(w, &p->current);
    session_give_back(w, &p->previous);
    session_give_back(w, &p->next);
    publish_current(p);
}
