/* SPDX-License-Identifier: Apache-2.0 */
/* The node's connections and its times; see node.h. */
#include "control/p2p/node.h"

#include <openssl/chacha.h>

#include "control/p2p/node_private.h"
#include "platform/base/err.h"

enum {
    DRAW_MAX = 64
};

void node_draw(struct node *n, void *out, size_t len)
{
    static const uint8_t zero[DRAW_MAX];
    uint8_t nonce[12] = {0};

    ASSERT(len <= sizeof zero);
    store_le64(nonce, n->draws++);
    CRYPTO_chacha_20(out, zero, len, n->seed, nonce, 0);
}

void node_init(struct node *n, const uint8_t seed[NODE_SEED_LEN], time_ns now)
{
    ASSERT(now > 0);
    memset(n, 0, offsetof(struct node, relays));
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++)
        memset(&n->relays[i], 0, offsetof(struct node_relay, turn.channels.slots));
    memcpy(n->seed, seed, NODE_SEED_LEN);
    n->now = now;
    node_draw(n, &n->hash_secret, sizeof n->hash_secret);
    node_link_init(&n->all);
    node_link_init(&n->transmits);
    node_link_init(&n->events);
}

static void connection_wipe(struct node_connection *c)
{
    ice_wipe(&c->ice);
    secure_wipe(c->preshared_key, sizeof c->preshared_key);
}

void node_fini(struct node *n)
{
    for (struct node_link *l = n->all.next; l != &n->all; l = l->next)
        connection_wipe(node_of_all(l));
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++)
        node_relay_wipe(&n->relays[i]);
    secure_wipe(n, offsetof(struct node, relays));
    node_link_init(&n->all);
    node_link_init(&n->transmits);
    node_link_init(&n->events);
}

/* ---- lookups ---- */

struct node_connection *node_find(const struct node *n, const struct uuid *id)
{
    uint64_t hash = node_hash(n->hash_secret, id->bytes, UUID_LEN);
    struct node_map_entry *e = node_map_find(&n->by_id, hash, NULL);

    for (; e; e = node_map_find(&n->by_id, hash, e)) {
        struct node_connection *c = CONTAINER_OF(e, struct node_connection, by_id);
        if (uuid_equal(&c->id, id))
            return c;
    }
    return NULL;
}

static uint32_t unused_tag(struct node *n)
{
    uint32_t tag;

    do
        node_draw(n, &tag, sizeof tag);
    while (node_map_find(&n->by_tag, tag, NULL));
    return tag;
}

static void maps_add(struct node *n, struct node_connection *c)
{
    const char *ufrag = c->ice.own.ufrag;

    node_map_add(&n->by_id, &c->by_id, node_hash(n->hash_secret, c->id.bytes, UUID_LEN));
    node_map_add(&n->by_tag, &c->by_tag, c->ice.tag);
    node_map_add(&n->by_ufrag, &c->by_ufrag, node_hash(n->hash_secret, ufrag, strlen(ufrag)));
}

static void maps_remove(struct node *n, struct node_connection *c)
{
    node_map_remove(&n->by_id, &c->by_id);
    node_map_remove(&n->by_tag, &c->by_tag);
    node_map_remove(&n->by_ufrag, &c->by_ufrag);
}

/* ---- paths ---- */

bool node_path_equal(const struct node_path *a, const struct node_path *b)
{
    return a->kind == b->kind && a->channel == b->channel && sock_addr_equal(&a->to, &b->to) &&
           sock_addr_equal(&a->from, &b->from) && sock_addr_equal(&a->peer, &b->peer);
}

/* False: the relayed address is not that of the connection's relay, or there is no channel yet. */
static bool path_relayed(struct node *n, struct node_connection *c, time_ns now,
                         const struct sock_addr *relayed, struct node_path *path)
{
    enum addr_family family = (enum addr_family)relayed->ip.family;
    struct sock_addr ours;

    if (!c->relay || !turn_relayed(&c->relay->turn, family, &ours) ||
        !sock_addr_equal(&ours, relayed) || !turn_server(&c->relay->turn, &path->to))
        return false;
    path->channel = node_channel(n, c, now, &path->peer);
    if (path->channel == 0)
        c->bind_at = time_max(now + NODE_BIND_NS, turn_refused_until(&c->relay->turn, &path->peer));
    return path->channel != 0;
}

static struct node_path path_now(struct node *n, struct node_connection *c, time_ns now)
{
    struct node_path none = {.kind = NODE_PATH_NONE}, path = none;
    struct ice_path selected;
    bool to_relay;

    c->bind_at = TIME_NEVER;
    if (!ice_selected(&c->ice, &selected))
        return none;
    to_relay = selected.remote_kind == CANDIDATE_RELAY;
    path.peer = selected.remote;
    if (selected.local_kind == CANDIDATE_RELAY) {
        path.kind = to_relay ? NODE_RELAY_TO_RELAY : NODE_RELAY_TO_PEER;
        return path_relayed(n, c, now, &selected.local, &path) ? path : none;
    }
    path.kind = to_relay ? NODE_PEER_TO_RELAY : NODE_PEER_TO_PEER;
    path.to = selected.remote;
    path.from = selected.local;
    return path;
}

/* ---- the life of a connection ---- */

static void connection_end(struct node *n, struct node_connection *c, enum node_end end)
{
    ASSERT(!c->end && end);
    c->end = end;
    c->failure = c->ice.failure;
    maps_remove(n, c);
    node_queue_set(&n->due, &c->due, TIME_NEVER);
    node_link_remove(&c->all);
    node_link_remove(&c->transmits);
    n->connections--;
    if (c->relay)
        node_relay_leave(n, c);
    n->homeless--;
    connection_wipe(c);
    if (!node_link_used(&c->events))
        node_link_append(&n->events, &c->events);
}

static void signal_put(struct node_connection *c, const struct ice_event *e)
{
    struct node_signal *s = &c->signals[(c->signal_first + c->signal_count++) % NODE_SIGNAL_MAX];

    s->candidate = e->candidate;
    s->invalidated = e->kind == ICE_EVENT_CANDIDATE_INVALIDATED;
}

void node_take_agent_events(struct node *n, struct node_connection *c, time_ns now)
{
    struct ice_event e;

    while (c->signal_count < NODE_SIGNAL_MAX && ice_poll_event(&c->ice, &e)) {
        switch (e.kind) {
        case ICE_EVENT_CANDIDATE_ADDED:
        case ICE_EVENT_CANDIDATE_INVALIDATED:
            signal_put(c, &e);
            break;
        case ICE_EVENT_PEER_REFLEXIVE:
            if (c->relay)
                node_bind(n, c, now, &e.candidate.addr);
            break;
        case ICE_EVENT_NOMINATED: /* these are asked for */
        case ICE_EVENT_STATE:
        case ICE_EVENT_FAILED:
            break;
        }
    }
}

/* The time at which it becomes idle as things stand. */
static time_ns idle_at(const struct node_connection *c)
{
    bool negotiated = c->ice.state == ICE_CONNECTED || c->ice.state == ICE_COMPLETED;

    return negotiated && !c->idle ? c->active_at + NODE_IDLE_NS : TIME_NEVER;
}

void node_active(struct node_connection *c, time_ns now)
{
    c->active_at = now;
    if (c->idle) {
        c->idle = false;
        ice_set_idle(&c->ice, now, false);
    }
}

/* It goes by its relay, and nothing seems to come that way any more: perhaps the relay has lost the allocation. */
static bool is_silent(struct node_connection *c)
{
    bool by_relay = c->path.kind == NODE_RELAY_TO_PEER || c->path.kind == NODE_RELAY_TO_RELAY;

    return by_relay && ice_doubtful(&c->ice);
}

void node_settle(struct node *n, struct node_connection *c, time_ns now)
{
    bool had_path = c->path.kind != NODE_PATH_NONE;
    time_ns due;

    node_take_agent_events(n, c, now);
    if (c->ice.state == ICE_FAILED) {
        if (c->relay && c->ice.failure == ICE_FAILURE_DISCONNECTED)
            node_relay_doubt(c->relay, now);
        connection_end(n, c, NODE_END_FAILED);
        return;
    }
    c->path = path_now(n, c, now);
    if (c->relay && had_path && (c->path.kind == NODE_PATH_NONE || is_silent(c)))
        node_relay_doubt(c->relay, now);
    if (!had_path && c->path.kind != NODE_PATH_NONE)
        node_active(c, now);
    due = time_min(time_min(ice_poll_timeout(&c->ice), idle_at(c)), c->bind_at);
    node_queue_set(&n->due, &c->due, due);
    if (!node_link_used(&c->transmits))
        node_link_append(&n->transmits, &c->transmits);
    if (!node_link_used(&c->events) &&
        (c->signal_count > 0 || !node_path_equal(&c->path, &c->told_path)))
        node_link_append(&n->events, &c->events);
}

static bool is_same(const struct node_connection *c, const struct node_peer *p)
{
    return c->ice.role == p->role && c->ice.kind == p->kind &&
           strcmp(c->ice.own.ufrag, p->ufrag) == 0 &&
           strcmp(c->ice.remote.ufrag, p->remote_ufrag) == 0 &&
           strcmp(c->ice.own.password, p->password) == 0 &&
           strcmp(c->ice.remote.password, p->remote_password) == 0 &&
           memcmp(c->public_key, p->public_key, NODE_KEY_LEN) == 0 &&
           ct_equal(c->preshared_key, p->preshared_key, NODE_KEY_LEN);
}

static bool credentials_ok(const struct node_peer *p)
{
    return candidate_ufrag_ok(p->ufrag) && strlen(p->ufrag) <= ICE_UFRAG_MAX &&
           candidate_ufrag_ok(p->remote_ufrag) && strlen(p->remote_ufrag) <= ICE_UFRAG_MAX &&
           p->password[0] && strlen(p->password) <= ICE_PASSWORD_MAX && p->remote_password[0] &&
           strlen(p->remote_password) <= ICE_PASSWORD_MAX;
}

static void connection_begin(struct node *n, time_ns now, const struct node_peer *p,
                             struct node_connection *c)
{
    struct ice_config config = {.role = p->role,
                                .kind = p->kind,
                                .ufrag = p->ufrag,
                                .password = p->password,
                                .remote_ufrag = p->remote_ufrag,
                                .remote_password = p->remote_password,
                                .tag = unused_tag(n)};
    uint8_t seed[ICE_SEED_LEN];

    memset(c, 0, sizeof *c);
    c->id = p->id;
    memcpy(c->public_key, p->public_key, NODE_KEY_LEN);
    memcpy(c->preshared_key, p->preshared_key, NODE_KEY_LEN);
    c->active_at = now;
    node_draw(n, seed, sizeof seed);
    if (ice_init(&c->ice, &config, seed, now) != ERR_OK)
        ASSERT(!"checked before");
    secure_wipe(seed, sizeof seed);
    node_due_init(&c->due);
    node_link_init(&c->transmits);
    node_link_init(&c->events);
    node_link_append(&n->all, &c->all);
    maps_add(n, c);
    n->connections++;
}

/* Takes it out of everything without a word. */
static void connection_forget(struct node *n, struct node_connection *c)
{
    connection_end(n, c, NODE_END_CLOSED);
    node_link_remove(&c->events);
}

enum node_connect node_connect(struct node *n, time_ns now, const struct node_peer *peer,
                               struct node_connection *c)
{
    struct node_connection *before = node_find(n, &peer->id);
    struct node_relay *relay;

    ASSERT(c && (!before || before == c));
    now = node_advance(n, now);
    if (!credentials_ok(peer) || n->closing)
        return NODE_INVALID;
    if (before && is_same(before, peer)) {
        node_active(c, now);
        ice_signal_again(&c->ice);
        /* The peer may ask because nothing gets through any more. */
        if (c->relay && peer->role == ICE_CONTROLLED)
            node_relay_doubt(c->relay, now);
        node_settle(n, c, now);
        return NODE_REUSED;
    }
    relay = node_relay_choose(n);
    if (!relay)
        return NODE_NO_RELAYS;
    if (before)
        connection_forget(n, c);
    connection_begin(n, now, peer, c);
    n->homeless++;
    node_relay_assign(n, c, relay, now);
    node_settle(n, c, now);
    return before ? NODE_REPLACED : NODE_CREATED;
}

void node_close(struct node *n, time_ns now, struct node_connection *c)
{
    (void)node_advance(n, now);
    if (!c->end)
        connection_end(n, c, NODE_END_CLOSED);
}

bool node_add_candidate(struct node *n, time_ns now, struct node_connection *c, const char *line)
{
    struct candidate_line parsed;

    now = node_advance(n, now);
    if (c->end || candidate_parse(&parsed, line, strlen(line)) != ERR_OK ||
        !ice_add_remote(&c->ice, now, &parsed))
        return false;
    node_active(c, now);
    if (c->relay && parsed.candidate.kind != CANDIDATE_HOST)
        node_bind(n, c, now, &parsed.candidate.addr);
    node_settle(n, c, now);
    return true;
}

bool node_invalidate_candidate(struct node *n, time_ns now, struct node_connection *c,
                               const char *line)
{
    struct candidate_line parsed;

    now = node_advance(n, now);
    if (c->end || candidate_parse(&parsed, line, strlen(line)) != ERR_OK ||
        !ice_invalidate_remote(&c->ice, now, &parsed))
        return false;
    node_active(c, now);
    node_settle(n, c, now);
    return true;
}

void node_note_traffic(struct node *n, time_ns now, struct node_connection *c,
                       struct node_traffic traffic)
{
    now = node_advance(n, now);
    if (c->end)
        return;
    if (c->path.channel != 0 && c->relay) {
        if (traffic.sent)
            turn_note_data_sent(&c->relay->turn, now);
        if (traffic.received)
            turn_note_data_received(&c->relay->turn, now, c->path.channel);
        c->relay->stale = true;
    }
    if (traffic.packets) {
        bool was_idle = c->idle;
        node_active(c, now);
        if (was_idle)
            node_settle(n, c, now);
    }
}

void node_note_channel(struct node *n, time_ns now, const struct sock_addr *from, uint16_t channel)
{
    struct node_relay *r = node_relay_of(n, from);

    now = node_advance(n, now);
    if (r) {
        turn_note_data_received(&r->turn, now, channel);
        r->stale = true;
    }
}

/* ---- time ---- */

time_ns node_poll_timeout(struct node *n)
{
    struct node_due *first = node_queue_first(&n->due);

    return time_min(node_relays_due(n), first ? first->at : TIME_NEVER);
}

/* Packets since the last look have moved the time at which it becomes idle, but not its place in the queue. */
static void connection_timeout(struct node *n, struct node_connection *c, time_ns now)
{
    ice_handle_timeout(&c->ice, now);
    if (now >= idle_at(c)) {
        c->idle = true;
        ice_set_idle(&c->ice, now, true);
    }
    node_settle(n, c, now);
    if (!c->end && c->due.at <= now)
        node_queue_set(&n->due, &c->due, now + 1);
}

void node_handle_timeout(struct node *n, time_ns now)
{
    struct node_due *first;

    now = node_advance(n, now);
    node_relays_timeout(n, now);
    while ((first = node_queue_first(&n->due)) && first->at <= now)
        connection_timeout(n, CONTAINER_OF(first, struct node_connection, due), now);
    node_relays_timeout(n, now); /* those that are in doubt only now */
    node_relays_step(n, now);
}

static void end_all(struct node *n)
{
    while (node_link_used(&n->all))
        connection_end(n, node_of_all(n->all.next), NODE_END_CLOSED);
}

void node_reset(struct node *n, time_ns now)
{
    now = node_advance(n, now);
    node_handle_timeout(n, now);
    end_all(n);
    n->lost_count = 0;
    n->no_relays = false;
    memset(n->vanished, 0, sizeof n->vanished);
    node_relays_restart(n, now);
}

void node_shut_down(struct node *n, time_ns now)
{
    now = node_advance(n, now);
    end_all(n);
    n->closing = true;
    node_relays_close(n, now);
}

bool node_is_down(const struct node *n)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        if (n->relays[i].used)
            return false;
    }
    return n->closing;
}
