/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of the node: datagrams, events, texts; see node.h. */
#include "control/p2p/node_private.h"
#include "platform/base/err.h"

static bool transmit_relay(struct node *n, struct node_transmit *out)
{
    struct turn_datagram d;

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used || !r->sends)
            continue;
        r->sends = turn_poll_transmit(&r->turn, &d);
        if (!r->sends)
            continue;
        *out = (struct node_transmit){.to = d.to, .len = d.len};
        memcpy(out->bytes, d.bytes, d.len);
        return true;
    }
    return false;
}

/* As channel data. Without a channel it is not sent, but a channel is on its way. */
static bool wrap(struct node *n, struct node_connection *c, time_ns now,
                 const struct ice_datagram *d, struct node_transmit *out)
{
    enum addr_family family = (enum addr_family)d->from.ip.family;
    struct sock_addr ours, server;
    uint16_t channel;

    if (!c->relay || !turn_relayed(&c->relay->turn, family, &ours) ||
        !sock_addr_equal(&ours, &d->from) || !turn_server(&c->relay->turn, &server))
        return false;
    channel = turn_channel_for(&c->relay->turn, now, &d->to);
    if (channel == 0) {
        node_bind(n, c, now, &d->to);
        return false;
    }
    turn_note_data_sent(&c->relay->turn, now);
    c->relay->stale = true;
    *out = (struct node_transmit){.to = server, .len = (uint16_t)(CHANNEL_HEADER_LEN + d->len)};
    channel_write(out->bytes, channel, d->len);
    memcpy(out->bytes + CHANNEL_HEADER_LEN, d->bytes, d->len);
    return true;
}

/* True if the first connection had something, whether or not it could be sent. */
static bool transmit_connection(struct node *n, struct node_transmit *out, bool *sent)
{
    struct node_connection *c;
    struct ice_datagram d;

    while (node_link_used(&n->transmits)) {
        c = CONTAINER_OF(n->transmits.next, struct node_connection, transmits);
        if (!ice_poll_transmit(&c->ice, &d)) {
            node_link_remove(&c->transmits);
            continue;
        }
        *sent = true;
        if (d.relayed)
            *sent = wrap(n, c, n->now, &d, out);
        else {
            *out = (struct node_transmit){.to = d.to, .from = d.from, .len = d.len};
            memcpy(out->bytes, d.bytes, d.len);
        }
        return true;
    }
    return false;
}

bool node_poll_transmit(struct node *n, struct node_transmit *out)
{
    bool sent = false;

    while (!sent) {
        if (transmit_relay(n, out))
            return true;
        if (!transmit_connection(n, out, &sent))
            return false;
    }
    return true;
}

static bool poll_relay_event(struct node *n, struct node_event *out)
{
    if (n->lost_count > 0) {
        out->kind = NODE_EVENT_RELAY_LOST;
        out->relay = n->lost[0].id;
        out->relay_failure = n->lost[0].failure;
        memmove(n->lost, n->lost + 1, --n->lost_count * sizeof n->lost[0]);
        return true;
    }
    if (!n->no_relays)
        return false;
    n->no_relays = false;
    out->kind = NODE_EVENT_NO_RELAYS;
    return true;
}

static bool poll_signal(struct node *n, struct node_connection *c, struct node_event *out)
{
    const struct node_signal *s = &c->signals[c->signal_first];
    size_t len;

    if (c->signal_count == 0)
        return false;
    out->kind = s->invalidated ? NODE_EVENT_CANDIDATE_INVALIDATED : NODE_EVENT_CANDIDATE_ADDED;
    len = candidate_format(&s->candidate, s->invalidated ? NULL : c->ice.own.ufrag, out->line);
    ASSERT(len > 0);
    c->signal_first = (c->signal_first + 1) % NODE_SIGNAL_MAX;
    c->signal_count--;
    node_take_agent_events(n, c, n->now);
    return true;
}

static bool poll_path(struct node_connection *c, struct node_event *out)
{
    if (!node_path_equal(&c->path, &c->told_path)) {
        c->told_path = c->path;
        out->path = c->path;
        out->kind = c->path.kind == NODE_PATH_NONE ? NODE_EVENT_PATH_LOST : NODE_EVENT_PATH;
        return true;
    }
    if (c->up_told || c->told_path.kind == NODE_PATH_NONE)
        return false;
    c->up_told = true;
    out->kind = NODE_EVENT_UP;
    return true;
}

static bool poll_connection_event(struct node *n, struct node_connection *c, struct node_event *out)
{
    if (!c->end)
        return poll_signal(n, c, out) || poll_path(c, out);
    out->kind = c->end == NODE_END_FAILED ? NODE_EVENT_FAILED : NODE_EVENT_CLOSED;
    out->failure = c->failure;
    node_link_remove(&c->events);
    return true;
}

bool node_poll_event(struct node *n, struct node_event *out)
{
    memset(out, 0, offsetof(struct node_event, line) + 1);
    if (poll_relay_event(n, out))
        return true;
    while (node_link_used(&n->events)) {
        struct node_connection *c = CONTAINER_OF(n->events.next, struct node_connection, events);
        out->connection = c;
        if (poll_connection_event(n, c, out))
            return true;
        node_link_remove(&c->events);
    }
    return false;
}

const char *node_verdict_text(enum node_verdict verdict)
{
    static const char *const texts[] = {
#define X(name, text) text,
        NODE_VERDICT_LIST(X)
#undef X
    };
    ASSERT((size_t)verdict < ARRAY_LEN(texts));
    return texts[verdict];
}

const char *node_path_text(enum node_path_kind kind)
{
    static const char *const texts[] = {"none", "peer to peer", "peer to relay", "relay to peer",
                                        "relay to relay"};
    ASSERT((size_t)kind < ARRAY_LEN(texts));
    return texts[kind];
}
