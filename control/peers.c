/* SPDX-License-Identifier: Apache-2.0 */
#include "control/peers.h"

#include <stdlib.h>
#include <string.h>

#include "control/peers_mail.h"
#include "engine/wire/inner.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    OUTPUTS_PER_STEP = 512,
    INNER_MAX =
        1024, /* control packets that wait for the loop; later ones are lost, as on any network */
    INNER_PEER_MAX = INNER_MAX / 4, /* of them of one peer */
    INNER_PER_STEP = 64
};

struct connection {
    struct node_connection link; /* of the node while it is connected */
    struct tunnel_peer *peer;
    bool up;
    bool failed;      /* WireGuard's word */
    bool goodbye;     /* the peer's */
    unsigned inner_n; /* that wait */
    struct peers_mail mail;
    struct connection *next, **at;
};

/* A control packet that came from inside the tunnel. */
struct inner {
    struct uuid from;
    struct inner *next;
    size_t len;
    uint8_t packet[];
};

struct peers {
    struct loop *loop;
    const struct peers_events *events;
    void *arg;
    struct tunnel *tunnel; /* NULL: not yet */
    struct node node;
    struct loop_timer timer;
    struct connection *list;
    struct inner *inner, **inner_end;
    unsigned inner_n;
    uint64_t inner_lost;
    bool roaming; /* there are no sockets to send by */
    bool ready;   /* told */
    bool portal_there, some_failed, some_mail, shutting_down;
};

/* Callbacks of the tunnel only note things; this has the rest done when the loop is back. */
static void wake(struct peers *p)
{
    loop_timer_set(p->loop, &p->timer, clock_now());
}

static struct connection *of_link(struct node_connection *link)
{
    return CONTAINER_OF(link, struct connection, link);
}

static struct connection *find(const struct peers *p, const struct uuid *id)
{
    struct node_connection *link = node_find(&p->node, id);
    return link ? of_link(link) : NULL;
}

/* ---- what the tunnel says ---- */

static void on_packet(void *arg, const struct sock_addr *local, const struct sock_addr *from,
                      const uint8_t *bytes, size_t len)
{
    struct peers *p = arg;
    struct node_received at;

    (void)node_handle_input(&p->node, clock_now(), local, from, bytes, len, &at);
    wake(p);
}

static void on_sockets(void *arg)
{
    struct peers *p = arg;

    p->roaming = false;
    wake(p);
}

static void on_address_lost(void *arg, const struct ip_addr *ip)
{
    struct peers *p = arg;
    char text[IP_TEXT_MAX];

    log_debug("peers", "our address %s is gone", ip_addr_format(ip, text, sizeof text));
    node_address_lost(&p->node, clock_now(), ip);
    p->events->address_lost(p->arg, ip);
    wake(p);
}

static void on_peer(void *arg, void *peer_arg, enum p2p_peer_news news)
{
    struct peers *p = arg;
    struct connection *c = peer_arg;

    if (news == P2P_PEER_UP) {
        c->up = true;
        p->events->up(p->arg, &c->link.id, &c->link.path);
    } else {
        c->failed = p->some_failed = true;
        wake(p);
    }
}

static void on_inner(void *arg, void *peer_arg, const uint8_t *packet, size_t len)
{
    struct peers *p = arg;
    struct connection *c = peer_arg;

    if (len < INNER_LEN_MIN)
        return;
    wake(p);
    if (packet[INNER_OFF_EVENT] == INNER_GOODBYE) {
        c->goodbye = p->some_failed = true;
        return;
    }
    if (p->inner_n == INNER_MAX || c->inner_n == INNER_PEER_MAX) {
        p->inner_lost++;
        return;
    }
    struct inner *i = mem_zalloc(1, sizeof *i + len);
    i->from = c->link.id;
    i->len = len;
    memcpy(i->packet, packet, len);
    *p->inner_end = i;
    p->inner_end = &i->next;
    p->inner_n++;
    c->inner_n++;
}

static void on_traffic(void *arg, void *peer_arg, struct node_traffic traffic)
{
    struct peers *p = arg;
    struct connection *c = peer_arg;

    node_note_traffic(&p->node, clock_now(), &c->link, traffic);
    wake(p);
}

static void on_wanted(void *arg, void *resource_arg)
{
    struct peers *p = arg;
    p->events->wanted(p->arg, resource_arg);
}

static void on_stub(void *arg, const uint8_t *packet, size_t len)
{
    struct peers *p = arg;
    p->events->stub(p->arg, packet, len);
}

static void on_dns(void *arg, const uint8_t *packet, size_t len)
{
    struct peers *p = arg;
    p->events->dns(p->arg, packet, len);
}

static void on_prohibited(void *arg, const struct ip_addr *destination)
{
    struct peers *p = arg;
    p->events->prohibited(p->arg, destination);
}

static const struct tunnel_p2p_events tunnel_events = {
    on_packet,  on_sockets, on_address_lost, on_peer, on_inner,
    on_traffic, on_wanted,  on_stub,         on_dns,  on_prohibited};

/* ---- what the node says ---- */

/* Best effort: it goes out before the worker lets go of the peer. */
static void say_goodbye(struct connection *c)
{
    uint8_t packet[INNER_LEN_MIN];

    inner_write_goodbye(packet);
    tunnel_p2p_packet_to(c->peer, packet, sizeof packet);
}

static void connection_end(struct peers *p, struct connection *c, const char *why)
{
    struct uuid id = c->link.id;
    bool in_use = c->up && !c->link.idle, goodbye = c->goodbye;

    if (c->up && !c->failed && !c->goodbye && !p->roaming && c->link.end == NODE_END_CLOSED)
        say_goodbye(c);
    if (c->peer)
        tunnel_p2p_remove(p->tunnel, c->peer);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    peers_mail_fini(&c->mail);
    secure_wipe(c, sizeof *c);
    free(c);
    p->events->ended(p->arg, &id, &(struct peers_end){in_use, goodbye, why});
}

static void new_path(struct peers *p, struct connection *c, const struct node_path *path)
{
    bool was_up = c->up;

    log_debug("peers", "a path: %s", node_path_text(path->kind));
    if (c->peer)
        tunnel_p2p_path(c->peer, path);
    if (was_up)
        p->events->path(p->arg, &c->link.id, path);
}

static void take_event(struct peers *p, const struct node_event *e)
{
    struct connection *c = e->connection ? of_link(e->connection) : NULL;
    char text[UUID_TEXT_MAX];

    switch (e->kind) {
    case NODE_EVENT_CANDIDATE_ADDED:
        peers_mail_add(&c->mail, e->line);
        p->some_mail = true;
        break;
    case NODE_EVENT_CANDIDATE_INVALIDATED:
        peers_mail_remove(&c->mail, e->line);
        p->some_mail = true;
        break;
    case NODE_EVENT_PATH:
        new_path(p, c, &e->path);
        break;
    case NODE_EVENT_PATH_LOST:
        log_debug("peers", "no path is left for now");
        break;
    case NODE_EVENT_UP:
        break;
    case NODE_EVENT_FAILED:
        connection_end(p, c, ice_failure_text(e->failure));
        break;
    case NODE_EVENT_CLOSED:
        connection_end(p, c,
                       c->goodbye  ? "the peer has closed it"
                       : c->failed ? "the peer does not answer"
                                   : "closed");
        break;
    case NODE_EVENT_RELAY_LOST:
        uuid_format(&e->relay, text);
        log_warn("peers", "relay %s is of no use: %s", text, turn_failure_text(e->relay_failure));
        break;
    case NODE_EVENT_NO_RELAYS:
        p->events->no_relays(p->arg);
        break;
    }
}

static void close_failed(struct peers *p)
{
    p->some_failed = false;
    for (struct connection *c = p->list; c; c = c->next) {
        if (c->failed || c->goodbye)
            node_close(&p->node, clock_now(), &c->link);
    }
}

static void send_mail(struct peers *p)
{
    if (!p->portal_there || !p->some_mail)
        return;
    p->some_mail = false;
    for (struct connection *c = p->list; c; c = c->next)
        p->some_mail |= !peers_mail_flush(&c->mail, p->events, p->arg, &c->link.id);
}

static void take_events(struct peers *p)
{
    struct node_event e;

    while (node_poll_event(&p->node, &e))
        take_event(p, &e);
}

/* False: there may be more. */
static bool take_outputs(struct peers *p)
{
    struct node_transmit datagram;
    struct node_event e;
    unsigned n = 0;

    while (p->tunnel && !p->roaming && n < OUTPUTS_PER_STEP &&
           node_poll_transmit(&p->node, &datagram)) {
        tunnel_p2p_send(p->tunnel, &datagram);
        n++;
    }
    while (n < OUTPUTS_PER_STEP && node_poll_event(&p->node, &e)) {
        take_event(p, &e);
        n++;
    }
    return n < OUTPUTS_PER_STEP;
}

/* False: there may be more. */
static bool take_inner(struct peers *p)
{
    for (unsigned n = 0; p->inner && n < INNER_PER_STEP; n++) {
        struct inner *i = p->inner;
        p->inner = i->next;
        if (--p->inner_n == 0)
            p->inner_end = &p->inner;
        struct connection *c = find(p, &i->from);
        if (c && c->inner_n > 0) /* 0: this one is of a connection before */
            c->inner_n--;
        if (c)
            p->events->inner(p->arg, &i->from, i->packet, i->len);
        free(i);
    }
    return !p->inner;
}

static void look_at_relays(struct peers *p)
{
    bool ready = node_has_relay(&p->node);

    if (ready == p->ready)
        return;
    p->ready = ready;
    if (ready)
        p->events->ready(p->arg);
}

static void on_timer(void *arg)
{
    struct peers *p = arg;

    if (p->some_failed)
        close_failed(p);
    if (node_poll_timeout(&p->node) <= clock_now())
        node_handle_timeout(&p->node, clock_now());
    bool done = take_outputs(p);
    done = take_inner(p) && done;
    send_mail(p);
    look_at_relays(p);
    if (!done)
        wake(p);
    else if (!loop_timer_armed(&p->timer)) /* else one of the events has woken us */
        loop_timer_set(p->loop, &p->timer, node_poll_timeout(&p->node));
    if (p->shutting_down && node_is_down(&p->node)) {
        p->shutting_down = false;
        p->events->down(p->arg);
    }
}

/* ---- life ---- */

struct peers *peers_new(struct loop *l, const struct peers_events *events, void *arg)
{
    struct peers *p = mem_zalloc(1, sizeof *p);
    uint8_t seed[NODE_SEED_LEN];

    p->loop = l;
    p->events = events;
    p->arg = arg;
    p->inner_end = &p->inner;
    loop_timer_init(&p->timer, on_timer, p);
    random_bytes(seed, sizeof seed);
    node_init(&p->node, seed, clock_now());
    secure_wipe(seed, sizeof seed);
    return p;
}

void peers_free(struct peers *p)
{
    if (!p)
        return;
    loop_timer_clear(p->loop, &p->timer);
    node_fini(&p->node);
    while (p->inner) {
        struct inner *i = p->inner;
        p->inner = i->next;
        free(i);
    }
    while (p->list) {
        struct connection *c = p->list;
        p->list = c->next;
        peers_mail_fini(&c->mail);
        secure_wipe(c, sizeof *c);
        free(c);
    }
    secure_wipe(p, sizeof *p);
    free(p);
}

void peers_tunnel_options(struct peers *p, struct tunnel_options *o)
{
    o->p2p = &tunnel_events;
    o->p2p_arg = p;
}

void peers_attach(struct peers *p, struct tunnel *t)
{
    p->tunnel = t;
    wake(p);
}

bool peers_ready(const struct peers *p)
{
    return node_has_relay(&p->node);
}

/* ---- what the portal says ---- */

unsigned peers_update_relays(struct peers *p, const struct uuid *remove, unsigned remove_count,
                             const struct node_relay_config *add, unsigned add_count)
{
    unsigned bad = node_update_relays(&p->node, clock_now(), remove, remove_count, add, add_count);
    wake(p);
    return bad;
}

static bool tunnel_side(struct peers *p, struct connection *c, const struct node_peer *peer,
                        const struct peers_inner *inner)
{
    struct tunnel_p2p_peer config = {.public_key = peer->public_key,
                                     .preshared_key = peer->preshared_key,
                                     .allowed = inner->allowed,
                                     .allowed_n = inner->allowed_n,
                                     .controlling = peer->role == ICE_CONTROLLING,
                                     .group = inner->group,
                                     .tenant = inner->tenant,
                                     .arg = c};

    if (c->peer)
        tunnel_p2p_remove(p->tunnel, c->peer);
    c->failed = c->goodbye = c->up = false;
    c->peer = tunnel_p2p_add(p->tunnel, &config);
    return c->peer != NULL;
}

static struct connection *connection_new(struct peers *p)
{
    struct connection *c = mem_zalloc(1, sizeof *c);

    c->next = p->list;
    c->at = &p->list;
    if (c->next)
        c->next->at = &c->next;
    p->list = c;
    return c;
}

static void connection_undo(struct connection *c)
{
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    free(c);
}

enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner)
{
    struct connection *known, *c;
    enum node_connect result;

    /* One that is over is of no use to this peer, and the tunnel has its key. */
    if (p->some_failed)
        close_failed(p);
    take_events(p);
    known = find(p, &peer->id);
    c = known ? known : connection_new(p);
    result = node_connect(&p->node, clock_now(), peer, &c->link);
    wake(p);
    switch (result) {
    case NODE_CREATED:
    case NODE_REPLACED:
        peers_mail_clear(&c->mail);
        if (tunnel_side(p, c, peer, inner))
            break;
        log_warn("peers", "too many peers");
        c->failed = p->some_failed = true;
        return NODE_INVALID;
    case NODE_REUSED:
        tunnel_p2p_again(c->peer);
        break;
    case NODE_NO_RELAYS:
    case NODE_INVALID:
        if (!known)
            connection_undo(c);
        break;
    }
    return result;
}

struct tunnel_peer *peers_find(const struct peers *p, const struct uuid *id)
{
    const struct connection *c = find(p, id);
    return c ? c->peer : NULL;
}

struct tunnel *peers_tunnel(const struct peers *p)
{
    return p->tunnel;
}

bool peers_is_up(const struct peers *p, const struct uuid *id)
{
    const struct connection *c = find(p, id);
    return c && c->up && !c->failed && !c->goodbye;
}

size_t peers_list(const struct peers *p, struct uuid *ids, size_t max)
{
    size_t n = 0;

    for (const struct connection *c = p->list; c && n < max; c = c->next) {
        if (c->peer && !c->failed && !c->goodbye)
            ids[n++] = c->link.id;
    }
    return n;
}

uint64_t peers_inner_lost(const struct peers *p)
{
    return p->inner_lost;
}

void peers_close(struct peers *p, const struct uuid *id)
{
    struct connection *c = find(p, id);

    if (c)
        node_close(&p->node, clock_now(), &c->link);
    wake(p);
}

bool peers_candidate(struct peers *p, const struct uuid *id, bool added, const char *line)
{
    struct connection *c = find(p, id);

    if (!c)
        return false;
    wake(p);
    return added ? node_add_candidate(&p->node, clock_now(), &c->link, line)
                 : node_invalidate_candidate(&p->node, clock_now(), &c->link, line);
}

void peers_portal(struct peers *p, bool there)
{
    p->portal_there = there;
    if (!there)
        return;
    node_ask_relays(&p->node, clock_now());
    wake(p);
}

void peers_reset(struct peers *p)
{
    p->roaming = p->tunnel != NULL;
    node_reset(&p->node, clock_now());
    for (struct connection *c = p->list; c; c = c->next)
        peers_mail_clear(&c->mail);
    take_events(p); /* at once: no packet shall go the old ways */
    wake(p);
}

void peers_shut_down(struct peers *p)
{
    p->shutting_down = true;
    node_shut_down(&p->node, clock_now());
    wake(p);
}
