/* SPDX-License-Identifier: Apache-2.0 */
/* The node's relays: the portal's news of them, which one a connection uses, and what it makes of what they say. See node.h. */
#include "control/p2p/node_private.h"
#include "platform/base/err.h"

enum {
    CANDIDATES = 6, /* of an allocation: host, srflx, relay; of each IPv4, IPv6 */
    RELAYED = 4     /* the first relayed one */
};

#define SPREAD_MIN_NS (2 * NS_PER_MS)
#define DOUBT_GAP_NS  (15 * NS_PER_SEC)

/* ---- finding them ---- */

struct node_relay *node_relay_of(struct node *n, const struct sock_addr *server)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        if (n->relays[i].used && turn_has_server(&n->relays[i].turn, server))
            return &n->relays[i];
    }
    return NULL;
}

static struct node_relay *with_id(struct node *n, const struct uuid *id)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        if (n->relays[i].used && uuid_equal(&n->relays[i].id, id))
            return &n->relays[i];
    }
    return NULL;
}

static struct node_relay *unused(struct node *n)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        if (!n->relays[i].used)
            return &n->relays[i];
    }
    return NULL;
}

static bool any_used(const struct node *n)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        if (n->relays[i].used)
            return true;
    }
    return false;
}

bool node_relay_is_old(const struct node *n, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < NODE_OLD_RELAYS_MAX; i++) {
        if (ip_addr_equal(&n->old_relays[i], ip))
            return true;
    }
    return false;
}

static void remember(struct node *n, const struct ip_addr *ip)
{
    if (ip->family == ADDR_NONE || node_relay_is_old(n, ip))
        return;
    n->old_relays[n->old_relay_next] = *ip;
    n->old_relay_next = (n->old_relay_next + 1) % NODE_OLD_RELAYS_MAX;
}

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

/* Those with this answer to the question of an allocation being possible. */
static unsigned eligible(struct node *n, bool refused, struct node_relay *out[NODE_RELAYS_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (answered(r) && (r->turn.state == TURN_SUSPENDED) == refused)
            out[count++] = r;
    }
    return count;
}

struct node_relay *node_relay_choose(struct node *n)
{
    struct node_relay *relays[NODE_RELAYS_MAX];
    time_ns rtts[NODE_RELAYS_MAX], limit;
    unsigned count = eligible(n, false, relays), chosen = 0;
    uint32_t random;

    if (count == 0)
        count = eligible(n, true, relays);
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

/* ---- channels ---- */

void node_relay_bind(struct node_relay *r, time_ns now, const struct sock_addr *peer)
{
    (void)turn_bind(&r->turn, now, peer);
    r->sends = r->stale = true;
}

uint16_t node_relay_channel(struct node_relay *r, time_ns now, const struct sock_addr *peer)
{
    uint16_t channel = turn_channel_for(&r->turn, now, peer);

    if (channel == 0) {
        node_relay_bind(r, now, peer);
        channel = turn_channel_for(&r->turn, now, peer);
    }
    return channel;
}

void node_relay_doubt(struct node_relay *r, time_ns now)
{
    if (r->turn.state != TURN_ALLOCATED ||
        (r->doubted_at > 0 && time_since(now, r->doubted_at) < DOUBT_GAP_NS))
        return;
    r->doubted_at = now;
    r->turn.refresh_at = now;
    r->stale = true;
}

/* A relay lets in only whom we have a channel for. */
static void bind_remotes(struct node_connection *c, time_ns now)
{
    for (unsigned i = 0; i < ICE_REMOTE_MAX; i++) {
        const struct ice_remote *remote = &c->ice.candidates.remotes[i];
        if (remote->state == ICE_LIVE && !remote->optimistic &&
            remote->candidate.kind != CANDIDATE_HOST)
            node_relay_bind(c->relay, now, &remote->candidate.addr);
    }
}

/* ---- connections ---- */

void node_relay_assign(struct node *n, struct node_connection *c, struct node_relay *r, time_ns now)
{
    ASSERT(!c->relay && n->homeless > 0);
    c->relay = r;
    n->homeless--;
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        const struct node_relay *other = &n->relays[i];
        for (unsigned j = 0; j < CANDIDATES && other->used; j++) {
            const struct turn_candidate *t = &other->turn.candidates[j];
            if (t->valid && (j < RELAYED || other == r))
                (void)ice_add_local(&c->ice, now, &t->now);
        }
    }
    bind_remotes(c, now);
}

static void migrate(struct node *n, time_ns now)
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

static void candidate_changes(struct node *n, const struct node_relay *r,
                              const struct turn_event *e, time_ns now)
{
    bool relayed = e->candidate.kind == CANDIDATE_RELAY;
    bool added = e->kind == TURN_EVENT_CANDIDATE_ADDED;
    struct node_link *next;

    /* What the network's change makes invalid has ended with the connections. */
    for (struct node_link *l = n->all.next; l != &n->all && (added || relayed); l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (relayed && c->relay != r)
            continue;
        if (added ? !ice_add_local(&c->ice, now, &e->candidate)
                  : !ice_remove_local(&c->ice, now, &e->candidate))
            continue;
        node_active(c, now);
        node_settle(n, c, now);
    }
}

/* channel: 0: all channels have changed. */
static void channels_change(struct node *n, const struct node_relay *r, uint16_t channel,
                            time_ns now)
{
    struct node_link *next;

    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (c->relay != r || (channel != 0 && c->path.channel != channel))
            continue;
        if (channel == 0)
            bind_remotes(c, now);
        node_settle(n, c, now);
    }
}

/* ---- removing ---- */

void node_relay_wipe(struct node_relay *r)
{
    turn_wipe(&r->turn);
    secure_wipe(r->username, sizeof r->username);
    secure_wipe(r->password, sizeof r->password);
    r->used = false;
}

/* Its relayed addresses, as far as connections know them, are not valid any more. */
static void invalidate_relayed(struct node *n, const struct node_relay *r, time_ns now)
{
    for (unsigned i = RELAYED; i < CANDIDATES; i++) {
        struct turn_event e = {.kind = TURN_EVENT_CANDIDATE_INVALIDATED,
                               .candidate = r->turn.candidates[i].now};
        if (r->turn.candidates[i].valid)
            candidate_changes(n, r, &e, now);
    }
}

static void remove_relay(struct node *n, struct node_relay *r, time_ns now)
{
    struct node_link *next;

    invalidate_relayed(n, r, now);
    for (unsigned i = 0; i < ARRAY_LEN(r->turn.servers); i++)
        remember(n, &r->turn.servers[i].ip);
    node_relay_wipe(r);
    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (c->relay != r)
            continue;
        c->relay = NULL;
        n->homeless++;
        node_settle(n, c, now);
    }
}

static void report_lost(struct node *n, const struct node_relay *r)
{
    if (n->lost_count < ARRAY_LEN(n->lost))
        n->lost[n->lost_count++] = (struct node_lost_relay){r->id, r->turn.failure};
}

void node_relays_step(struct node *n, time_ns now)
{
    bool failed = false;

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used || (r->turn.state != TURN_FAILED && r->turn.state != TURN_CLOSED))
            continue;
        if (r->turn.state == TURN_FAILED) {
            failed = true;
            report_lost(n, r);
        }
        remove_relay(n, r, now);
    }
    if (failed && !any_used(n) && !n->closing)
        n->no_relays = true;
    migrate(n, now);
}

/* ---- inputs ---- */

void node_relay_settle(struct node *n, struct node_relay *r, time_ns now)
{
    struct turn_event e;

    r->sends = r->stale = true;
    while (turn_poll_event(&r->turn, &e)) {
        switch (e.kind) {
        case TURN_EVENT_CANDIDATE_ADDED:
        case TURN_EVENT_CANDIDATE_INVALIDATED:
            candidate_changes(n, r, &e, now);
            break;
        case TURN_EVENT_ALLOCATED:
            channels_change(n, r, 0, now);
            break;
        case TURN_EVENT_CHANNEL_LOST:
            channels_change(n, r, e.channel, now);
            break;
        case TURN_EVENT_CHANNEL_BOUND: /* data may be sent before */
        case TURN_EVENT_DEALLOCATED:   /* the candidates say it */
        case TURN_EVENT_FAILED:        /* node_relays_step */
        case TURN_EVENT_CLOSED:
            break;
        }
    }
}

time_ns node_relays_due(struct node *n)
{
    time_ns due = TIME_NEVER;

    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used)
            continue;
        if (r->stale)
            r->due_at = turn_poll_timeout(&r->turn);
        r->stale = false;
        due = time_min(due, r->due_at);
    }
    return due;
}

void node_relays_timeout(struct node *n, time_ns now)
{
    if (now < node_relays_due(n))
        return;
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used || now < r->due_at)
            continue;
        turn_handle_timeout(&r->turn, now);
        node_relay_settle(n, r, now);
    }
}

static enum err relay_begin(struct node *n, struct node_relay *r, time_ns now,
                            const struct node_relay_config *config)
{
    struct turn_config turn = {.v4 = config->v4,
                               .v6 = config->v6,
                               .username = config->username,
                               .password = config->password};
    uint8_t seed[TURN_SEED_LEN];
    enum err err;

    if (strlen(config->password) > TURN_CREDENTIAL_MAX ||
        strlen(config->username) > TURN_CREDENTIAL_MAX)
        return ERR_INVALID;
    node_draw(n, seed, sizeof seed);
    err = turn_init(&r->turn, &turn, seed, now);
    secure_wipe(seed, sizeof seed);
    if (err)
        return err;
    r->used = true;
    r->doubted_at = 0;
    r->id = config->id;
    memcpy(r->username, config->username, strlen(config->username) + 1);
    memcpy(r->password, config->password, strlen(config->password) + 1);
    node_relay_settle(n, r, now);
    return ERR_OK;
}

static bool is_same(const struct node_relay *r, const struct node_relay_config *config)
{
    return strcmp(r->username, config->username) == 0 &&
           strcmp(r->password, config->password) == 0 &&
           sock_addr_equal(&r->turn.servers[0], &config->v4) &&
           sock_addr_equal(&r->turn.servers[1], &config->v6);
}

/* Connections that use it go on using it. */
static bool upsert(struct node *n, time_ns now, const struct node_relay_config *config)
{
    struct node_relay *r = with_id(n, &config->id);

    if (r && is_same(r, config))
        return true;
    if (!r) {
        r = unused(n);
        return r && relay_begin(n, r, now, config) == ERR_OK;
    }
    invalidate_relayed(n, r, now);
    for (unsigned i = 0; i < ARRAY_LEN(r->turn.servers); i++) {
        const struct ip_addr *ip = &r->turn.servers[i].ip;
        if (!ip_addr_equal(ip, &config->v4.ip) && !ip_addr_equal(ip, &config->v6.ip))
            remember(n, ip);
    }
    if (relay_begin(n, r, now, config) == ERR_OK)
        return true;
    remove_relay(n, r, now);
    return false;
}

static bool is_listed(const struct node_relay *r, const struct node_relay_config *list,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (uuid_equal(&r->id, &list[i].id))
            return true;
    }
    return false;
}

unsigned node_update_relays(struct node *n, time_ns now, const struct uuid *remove,
                            unsigned remove_count, const struct node_relay_config *add,
                            unsigned add_count)
{
    unsigned bad = 0;

    now = node_advance(n, now);
    if (n->closing)
        return add_count;
    for (unsigned i = 0; i < remove_count; i++) {
        struct node_relay *r = with_id(n, &remove[i]);
        if (r)
            remove_relay(n, r, now);
    }
    for (unsigned i = 0; i < add_count; i++)
        bad += !upsert(n, now, &add[i]);
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used || is_listed(r, add, add_count))
            continue;
        turn_refresh(&r->turn, now);
        node_relay_settle(n, r, now);
    }
    node_relays_step(n, now);
    return bad;
}

void node_relays_restart(struct node *n, time_ns now)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used || n->closing)
            continue;
        turn_restart(&r->turn, now);
        node_relay_settle(n, r, now);
    }
}

void node_relays_close(struct node *n, time_ns now)
{
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        struct node_relay *r = &n->relays[i];
        if (!r->used)
            continue;
        turn_close(&r->turn, now);
        node_relay_settle(n, r, now);
    }
    node_relays_step(n, now);
}
