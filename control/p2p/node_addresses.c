/* SPDX-License-Identifier: Apache-2.0 */
/* What connections get of the node's relays: which one each uses, our addresses, and channels to the peers. See node.h. */
#include "control/p2p/node_private.h"
#include "platform/base/err.h"

#define SPREAD_MIN_NS (2 * NS_PER_MS)
#define DOUBT_GAP_NS  (15 * NS_PER_SEC)

/* ---- choosing one: spec 5.9 ---- */

static bool answered(const struct node_relay *r)
{
    return r->used && turn_rtt(&r->turn) > 0 && r->turn.state != TURN_FAILED &&
           r->turn.state != TURN_CLOSING && r->turn.state != TURN_CLOSED;
}

bool node_has_relay(const struct node *n)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        if (answered(&n->relays[i]))
            return true;
    }
    return false;
}

/* The median; sorts. */
static time_ns median(time_ns *of, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        for (unsigned j = i; j > 0 && of[j - 1] > of[j]; j--) {
            time_ns swap = of[j];
            of[j] = of[j - 1];
            of[j - 1] = swap;
        }
    }
    return count % 2 ? of[count / 2] : (of[count / 2 - 1] + of[count / 2]) / 2;
}

/* The round trip up to which a relay is near. */
static time_ns near_up_to(time_ns *rtts, unsigned count)
{
    time_ns middle = median(rtts, count);

    if (count <= 2)
        return rtts[0] + rtts[0] / 2;
    for (unsigned i = 0; i < count; i++)
        rtts[i] = rtts[i] > middle ? rtts[i] - middle : middle - rtts[i];
    return middle + 3 * time_max(median(rtts, count), SPREAD_MIN_NS);
}

enum {
    REFUSING = 1u << TURN_SUSPENDED,
    WORKING = 1u << TURN_ALLOCATED,
    NOT_REFUSING = ((1u << TURN_STATE_COUNT) - 1) & ~REFUSING
};

/* Those that have answered and are in one of these states, as bits. */
static unsigned eligible(struct node *n, unsigned states, struct node_relay *out[NODE_RELAYS_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (answered(r) && states >> r->turn.state & 1)
            out[count++] = r;
    }
    return count;
}

/* One of the near ones at random; NULL: none. */
static struct node_relay *choose(struct node *n, unsigned states)
{
    struct node_relay *relays[NODE_RELAYS_MAX];
    time_ns rtts[NODE_RELAYS_MAX], limit;
    unsigned count = eligible(n, states, relays), chosen = 0;
    uint32_t random;

    if (count == 0)
        return NULL;
    for (unsigned i = 0; i < count; i++)
        rtts[i] = turn_rtt(&relays[i]->turn);
    limit = near_up_to(rtts, count);
    for (unsigned i = 0; i < count; i++) {
        if (turn_rtt(&relays[i]->turn) <= limit)
            relays[chosen++] = relays[i];
    }
    ASSERT(chosen > 0);
    node_draw(n, &random, sizeof random);
    return relays[random % chosen];
}

struct node_relay *node_relay_choose(struct node *n)
{
    struct node_relay *r = choose(n, NOT_REFUSING);

    return r ? r : choose(n, REFUSING);
}

/* ---- channels ---- */

void node_bind(struct node *n, struct node_connection *c, time_ns now, const struct sock_addr *peer)
{
    struct turn *t = &c->relay->turn;
    time_ns used = time_max(c->channels_free_at, now) + NODE_CHANNEL_NS;
    bool known = turn_has_channel(t, peer);

    if ((!known && used > now + NODE_CHANNELS_MAX * NODE_CHANNEL_NS) || !turn_bind(t, now, peer)) {
        n->unbound++;
        return;
    }
    if (!known)
        c->channels_free_at = used;
    c->relay->sends = c->relay->stale = true;
}

uint16_t node_channel(struct node *n, struct node_connection *c, time_ns now,
                      const struct sock_addr *peer)
{
    uint16_t channel = turn_channel_for(&c->relay->turn, now, peer);

    if (channel == 0) {
        node_bind(n, c, now, peer);
        channel = turn_channel_for(&c->relay->turn, now, peer);
    }
    return channel;
}

void node_relay_doubt(struct node_relay *r, time_ns now)
{
    if (r->turn.state != TURN_ALLOCATED ||
        (r->doubted_at > 0 && time_since(now, r->doubted_at) < DOUBT_GAP_NS))
        return;
    r->doubted_at = now;
    turn_check_allocation(&r->turn, now);
    r->sends = r->stale = true;
}

/* An allocation that has no channels yet. A relay lets in only whom we have a channel for. */
static void bind_remotes(struct node *n, struct node_connection *c, time_ns now)
{
    c->channels_free_at = now;
    for (unsigned i = 0; i < ICE_REMOTE_MAX; i++) {
        const struct ice_remote *remote = &c->ice.candidates.remotes[i];
        if (remote->state == ICE_LIVE && !remote->optimistic &&
            remote->candidate.kind != CANDIDATE_HOST)
            node_bind(n, c, now, &remote->candidate.addr);
    }
}

/* ---- connections ---- */

/* A relay sees us there. */
static bool is_current(const struct node *n, const struct candidate *ours)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        for (unsigned j = 0; j < TURN_CANDIDATE_RELAYS && n->relays[i].used; j++) {
            const struct candidate *seen = turn_candidate(&n->relays[i].turn, j);
            if (seen && candidate_equal(seen, ours))
                return true;
        }
    }
    return false;
}

/* The oldest of our addresses that no relay sees any more makes room, though not the one that is in use. */
static void make_room(struct node *n, struct node_connection *c, time_ns now)
{
    const struct ice_pair *selected = ice_pairs_selected(&c->ice.pairs);
    int at = ICE_NONE;

    if (ice_local_room(&c->ice.candidates))
        return;
    while ((at = ice_local_older(&c->ice.candidates, at)) != ICE_NONE) {
        struct candidate old = c->ice.candidates.locals[at].candidate;
        if (is_current(n, &old) || (selected && selected->local == at))
            continue;
        (void)ice_remove_local(&c->ice, now, &old);
        return;
    }
}

static bool add_local(struct node *n, struct node_connection *c, time_ns now,
                      const struct candidate *ours)
{
    if (ours->kind != CANDIDATE_RELAY)
        make_room(n, c, now);
    return ice_add_local(&c->ice, now, ours);
}

void node_relay_assign(struct node *n, struct node_connection *c, struct node_relay *r, time_ns now)
{
    ASSERT(!c->relay && n->homeless > 0);
    c->relay = r;
    r->users++;
    n->homeless--;
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        const struct node_relay *other = &n->relays[i];
        for (unsigned j = 0; j < TURN_CANDIDATES && other->used; j++) {
            const struct candidate *ours = turn_candidate(&other->turn, j);
            if (ours && (j < TURN_CANDIDATE_RELAYS || other == r))
                (void)add_local(n, c, now, ours);
        }
    }
    bind_remotes(n, c, now);
}

void node_relay_leave(struct node *n, struct node_connection *c)
{
    ASSERT(c->relay->users > 0);
    c->relay->users--;
    c->relay = NULL;
    n->homeless++;
}

/* What the connections know of it stays; its relayed addresses went when it lost the allocation. */
static void leave_refusing(struct node *n, struct node_relay *r, time_ns now)
{
    struct node_link *next;

    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (c->relay != r)
            continue;
        node_relay_leave(n, c);
        node_relay_assign(n, c, choose(n, WORKING), now);
        node_active(c, now);
        node_settle(n, c, now);
    }
}

void node_relays_leave_refusing(struct node *n, time_ns now)
{
    struct node_relay *working[NODE_RELAYS_MAX];

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (r->used && r->users > 0 && r->turn.state == TURN_SUSPENDED &&
            eligible(n, WORKING, working) > 0)
            leave_refusing(n, r, now);
    }
}

void node_relays_migrate(struct node *n, time_ns now)
{
    struct node_link *next;

    if (n->homeless == 0 || !node_has_relay(n))
        return;
    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (c->relay)
            continue;
        node_relay_assign(n, c, node_relay_choose(n), now);
        node_active(c, now);
        node_settle(n, c, now);
    }
}

/* ---- our addresses ---- */

static struct ip_addr *vanished(struct node *n, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < NODE_VANISHED_MAX; i++) {
        if (ip_addr_equal(&n->vanished[i], ip))
            return &n->vanished[i];
    }
    return NULL;
}

static void appears(struct node *n, const struct ip_addr *ip)
{
    struct ip_addr *at = vanished(n, ip);

    if (at)
        at->family = ADDR_NONE;
}

/* False: nothing used it. */
static bool drop_address(struct node *n, time_ns now, const struct ip_addr *ip)
{
    struct node_link *next;
    bool any = false;

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++)
        any |= n->relays[i].used && turn_forget_address(&n->relays[i].turn, ip);
    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (!ice_remove_base(&c->ice, now, ip))
            continue;
        any = true;
        node_active(c, now);
        node_settle(n, c, now);
    }
    return any;
}

void node_address_lost(struct node *n, time_ns now, const struct ip_addr *ip)
{
    now = node_advance(n, now);
    if (ip->family == ADDR_NONE || n->closing || vanished(n, ip))
        return;
    n->vanished[n->vanished_next] = *ip;
    n->vanished_next = (n->vanished_next + 1) % NODE_VANISHED_MAX;
    if (drop_address(n, now, ip))
        node_ask_relays(n, now);
}

void node_ask_relays(struct node *n, time_ns now)
{
    now = node_advance(n, now);
    for (unsigned i = 0; i < NODE_RELAYS_MAX && !n->closing; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used)
            continue;
        turn_ask(&r->turn, now);
        r->sends = r->stale = true;
    }
}

void node_relay_candidate(struct node *n, const struct node_relay *r, const struct turn_event *e,
                          time_ns now)
{
    bool relayed = e->candidate.kind == CANDIDATE_RELAY;
    bool added = e->kind == TURN_EVENT_CANDIDATE_ADDED;
    struct node_link *next;

    if (added && !relayed)
        appears(n, &e->candidate.base.ip);
    /* What the network's change makes invalid has ended with the connections. */
    for (struct node_link *l = n->all.next; l != &n->all && (added || relayed); l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (relayed && c->relay != r)
            continue;
        if (added ? !add_local(n, c, now, &e->candidate)
                  : !ice_remove_local(&c->ice, now, &e->candidate))
            continue;
        node_active(c, now);
        node_settle(n, c, now);
    }
}

void node_relay_channels(struct node *n, const struct node_relay *r, uint16_t channel, time_ns now)
{
    struct node_link *next;

    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (c->relay != r || (channel != 0 && c->path.channel != channel))
            continue;
        if (channel == 0)
            bind_remotes(n, c, now);
        node_settle(n, c, now);
    }
}

void node_relay_invalidate(struct node *n, const struct node_relay *r, time_ns now)
{
    for (unsigned i = TURN_CANDIDATE_RELAYS; i < TURN_CANDIDATES; i++) {
        const struct candidate *ours = turn_candidate(&r->turn, i);
        struct turn_event e = {.kind = TURN_EVENT_CANDIDATE_INVALIDATED};
        if (!ours)
            continue;
        e.candidate = *ours;
        node_relay_candidate(n, r, &e, now);
    }
}
