/* SPDX-License-Identifier: Apache-2.0 */
/* The node's relays: the portal's news of them, their inputs and times, and their end. See node.h. */
#include "control/p2p/node_private.h"
#include "platform/base/err.h"

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

/* ---- removing ---- */

void node_relay_wipe(struct node_relay *r)
{
    turn_wipe(&r->turn);
    secure_wipe(r->username, sizeof r->username);
    secure_wipe(r->password, sizeof r->password);
    r->used = false;
}

static void remove_relay(struct node *n, struct node_relay *r, time_ns now)
{
    struct node_link *next;

    node_relay_invalidate(n, r, now);
    for (unsigned i = 0; i < ARRAY_LEN(r->turn.servers); i++)
        remember(n, &r->turn.servers[i].ip);
    node_relay_wipe(r);
    for (struct node_link *l = n->all.next; l != &n->all; l = next) {
        struct node_connection *c = node_of_all(l);
        next = l->next;
        if (c->relay != r)
            continue;
        node_relay_leave(n, c);
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
    node_relays_migrate(n, now);
    node_relays_leave_refusing(n, now);
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
            node_relay_candidate(n, r, &e, now);
            break;
        case TURN_EVENT_ALLOCATED:
            node_relay_channels(n, r, 0, now);
            break;
        case TURN_EVENT_CHANNEL_LOST:
            node_relay_channels(n, r, e.channel, now);
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
    node_relay_invalidate(n, r, now);
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
