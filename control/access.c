/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access.h"

#include <stdlib.h>
#include <string.h>

#include "control/portal/requests.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

#define ASK_AGAIN_NS  (2 * NS_PER_SEC) /* per resource. Source: spec/tunnel.md 1.3 */
#define ROOM_AGAIN_NS (1 * NS_PER_SEC) /* between two looks whether the tunnel has room */

enum {
    CONNECTED_MAX = 64, /* gateways that a request names */
    BUCKETS = 4096,
    STEP_US = 2000
};

enum {
    PREFIXES_MAX = 2 /* the Internet has one of each family */
};

/* One prefix of a resource. */
struct way {
    struct entry *entry;
    struct ip_prefix prefix;
    struct tunnel_destination *destination; /* NULL: there is no tunnel, or no room */
    struct way *next_prefix;                /* of a bucket */
};

struct entry {
    struct uuid resource, site;
    struct uuid gateway; /* through which it is reached; nil: none */
    char *name;
    struct way ways[PREFIXES_MAX];
    unsigned ways_n;
    time_ns asked_at;           /* 0: not, or it may be asked again */
    bool pending, held;         /* an answer is expected; to be asked when the portal is there */
    struct entry *next, **link; /* of all */
    struct entry *next_id;      /* of a bucket */
};

struct access {
    struct loop *loop;
    struct peers *peers;
    struct tunnel *tunnel;
    const struct access_events *events;
    void *arg;
    bool internet; /* the Internet resource is in use */
    struct entry *list, *by_id[BUCKETS];
    struct way *by_prefix[BUCKETS];
    /* Some have no destination yet: thousands of routes are not set in one step. */
    struct loop_timer timer;
    bool full; /* the tunnel has no room for more */
};

static struct entry **bucket_of_id(struct access *a, const struct uuid *resource)
{
    return &a->by_id[load_le32(resource->bytes) % BUCKETS];
}

static struct way **bucket_of_prefix(struct access *a, const struct ip_prefix *p)
{
    uint64_t h = (load_le64(p->ip.bytes) ^ load_le64(p->ip.bytes + 8) ^ p->len) *
                 UINT64_C(0x9e3779b97f4a7c15);
    return &a->by_prefix[(h >> 40) % BUCKETS];
}

static struct entry *find(struct access *a, const struct uuid *resource)
{
    struct entry *e = *bucket_of_id(a, resource);

    while (e && !uuid_equal(&e->resource, resource))
        e = e->next_id;
    return e;
}

/* All gateways of a site are on one worker, so that what waits can be moved to whichever is granted. */
static uint32_t group_of(const struct uuid *site)
{
    return load_le32(site->bytes) >> 1;
}

/* ---- the tunnel's side of a resource ---- */

/* Another resource's way that has the same route; NULL: none. */
static struct way *prefix_shared(struct access *a, const struct way *w)
{
    struct way *other = *bucket_of_prefix(a, &w->prefix);

    while (other && (other == w || !other->destination || other->prefix.len != w->prefix.len ||
                     !ip_addr_equal(&other->prefix.ip, &w->prefix.ip)))
        other = other->next_prefix;
    return other;
}

/* False: there is no room. */
static bool connect_prefix(struct access *a, struct way *w)
{
    struct entry *e = w->entry;

    w->destination = tunnel_destination_add(a->tunnel, &w->prefix, group_of(&e->site), e);
    if (!w->destination) {
        if (!a->full)
            log_warn("access", "resource '%s' cannot be reached: there are too many", e->name);
        a->full = true;
        return false;
    }
    a->full = false;
    if (!prefix_shared(a, w))
        tunnel_p2p_route(a->tunnel, &w->prefix, true);
    return true;
}

static void disconnect_prefix(struct access *a, struct way *w)
{
    struct way *other = prefix_shared(a, w);

    if (!w->destination)
        return;
    if (!other)
        tunnel_p2p_route(a->tunnel, &w->prefix, false);
    tunnel_destination_remove(w->destination);
    w->destination = NULL;
    if (other)
        tunnel_destination_restore(other->destination);
}

/* ---- resources ---- */

/* How it is reached. Returns how many prefixes that are; 0: it is not of a kind, or not in use. */
static unsigned prefixes_of(const struct access *a, const struct resource *r,
                            struct ip_prefix out[PREFIXES_MAX])
{
    switch (r->kind) {
    case RESOURCE_CIDR:
        out[0] = r->prefix;
        return 1;
    case RESOURCE_INTERNET:
        out[0] = (struct ip_prefix){.ip.family = ADDR_V4};
        out[1] = (struct ip_prefix){.ip.family = ADDR_V6};
        return a->internet ? 2 : 0;
    case RESOURCE_DNS:
    case RESOURCE_STATIC_POOL:
    case RESOURCE_DYNAMIC_POOL:
        break;
    }
    return 0;
}

static void add_way(struct access *a, struct entry *e, const struct ip_prefix *prefix)
{
    struct way *w = &e->ways[e->ways_n++], **bucket = bucket_of_prefix(a, prefix);

    *w = (struct way){.entry = e, .prefix = *prefix, .next_prefix = *bucket};
    *bucket = w;
}

static void add(struct access *a, const struct resource *r, const struct ip_prefix *prefixes,
                unsigned n)
{
    struct entry *e = mem_zalloc(1, sizeof *e);

    e->resource = r->id;
    e->site = r->site;
    e->name = mem_dup_text(r->name, strlen(r->name));
    e->next = a->list;
    e->link = &a->list;
    if (e->next)
        e->next->link = &e->next;
    a->list = e;
    struct entry **bucket = bucket_of_id(a, &e->resource);
    e->next_id = *bucket;
    *bucket = e;
    for (unsigned i = 0; i < n; i++)
        add_way(a, e, &prefixes[i]);
    if (a->tunnel)
        loop_timer_set(a->loop, &a->timer, clock_now());
}

static void rename_entry(struct entry *e, const char *name)
{
    free(e->name);
    e->name = mem_dup_text(name, strlen(name));
}

static void take_out_way(struct access *a, struct way *w)
{
    struct way **at = bucket_of_prefix(a, &w->prefix);

    disconnect_prefix(a, w);
    while (*at != w)
        at = &(*at)->next_prefix;
    *at = w->next_prefix;
}

static void take_out(struct access *a, struct entry *e)
{
    struct entry **at = bucket_of_id(a, &e->resource);

    for (unsigned i = 0; i < e->ways_n; i++)
        take_out_way(a, &e->ways[i]);
    while (*at != e)
        at = &(*at)->next_id;
    *at = e->next_id;
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    free(e->name);
    free(e);
}

/* False: there is no room. */
static bool connect_entry(struct access *a, struct entry *e)
{
    for (unsigned i = 0; i < e->ways_n; i++) {
        if (!e->ways[i].destination && !connect_prefix(a, &e->ways[i]))
            return false;
    }
    return true;
}

/* New ones stand at the front of the list. What shall be asked for again is, if it can. */
static void on_timer(void *arg)
{
    struct access *a = arg;
    time_ns end = clock_now() + STEP_US * NS_PER_US;

    access_ask_held(a);
    for (struct entry *e = a->list; e; e = e->next) {
        if (e->ways[e->ways_n - 1].destination)
            continue;
        if (!connect_entry(a, e)) {
            loop_timer_set(a->loop, &a->timer, clock_now() + ROOM_AGAIN_NS);
            return;
        }
        if (clock_now() >= end) {
            loop_timer_set(a->loop, &a->timer, clock_now());
            return;
        }
    }
}

/* A new name, or a description, disturbs nothing. */
static bool same_way(const struct entry *e, const struct uuid *site,
                     const struct ip_prefix *prefixes, unsigned n)
{
    bool same = e->ways_n == n && uuid_equal(&e->site, site);

    for (unsigned i = 0; i < n && same; i++)
        same = e->ways[i].prefix.len == prefixes[i].len &&
               ip_addr_equal(&e->ways[i].prefix.ip, &prefixes[i].ip);
    return same;
}

void access_resource(struct access *a, enum resource_change change, const struct resource *r)
{
    struct ip_prefix prefixes[PREFIXES_MAX];
    unsigned n = change == RESOURCE_REMOVED ? 0 : prefixes_of(a, r, prefixes);
    struct entry *e = find(a, &r->id);

    if (e && (n == 0 || !same_way(e, &r->site, prefixes, n)))
        take_out(a, e);
    else if (e)
        rename_entry(e, r->name);
    if (n > 0 && !find(a, &r->id))
        add(a, r, prefixes, n);
}

/* ---- asking ---- */

static void ask_for_relays(struct access *a)
{
    json_t *payload = request_relays();

    if (a->events->push(a->arg, REQUEST_RELAYS, payload) != ERR_OK)
        log_debug("access", "the portal is away");
    json_decref(payload);
}

static void ask(struct access *a, struct entry *e)
{
    struct uuid gateways[CONNECTED_MAX];
    size_t n = peers_list(a->peers, gateways, CONNECTED_MAX);
    json_t *payload = request_authorization(&e->resource, gateways, n);
    enum err err = a->events->push(a->arg, REQUEST_AUTHORIZATION, payload);

    json_decref(payload);
    e->held = err == ERR_CLOSED;
    e->pending = err == ERR_OK;
    if (err == ERR_OK) {
        e->asked_at = clock_now();
        log_info("access", "resource '%s': access requested", e->name);
    } else if (err != ERR_CLOSED) {
        log_warn("access", "resource '%s': the portal takes no request: %s", e->name,
                 err_text(err));
    }
}

/* A grant would be of no use before a relay has answered, and could not be asked for again at once. */
static void wait_for_relays(struct access *a, struct entry *e)
{
    log_debug("access", "resource '%s': no relay has answered yet", e->name);
    if (e->held)
        ask_for_relays(a);
    e->held = true;
    e->asked_at = clock_now();
}

void access_wanted(struct access *a, void *destination_arg)
{
    struct entry *e = destination_arg;

    if (e->asked_at != 0 && time_since(clock_now(), e->asked_at) < ASK_AGAIN_NS)
        return;
    if (peers_ready(a->peers))
        ask(a, e);
    else
        wait_for_relays(a, e);
}

void access_ask_held(struct access *a)
{
    for (struct entry *e = a->list; e && peers_ready(a->peers); e = e->next) {
        if (e->held)
            ask(a, e);
    }
}

void access_reset(struct access *a)
{
    for (struct entry *e = a->list; e; e = e->next) {
        e->held = e->held || e->pending;
        e->pending = false;
        e->asked_at = 0;
    }
}

/* ---- answers ---- */

static enum node_connect connect_gateway(struct access *a, const struct message_authorization *m)
{
    struct node_peer peer = {.id = m->gateway,
                             .role = ICE_CONTROLLING,
                             .kind = ICE_CLIENT,
                             .ufrag = m->client_ice.username,
                             .password = m->client_ice.password,
                             .remote_ufrag = m->gateway_ice.username,
                             .remote_password = m->gateway_ice.password};
    struct ip_prefix allowed[2] = {ip_prefix_host(&m->gateway_ipv4),
                                   ip_prefix_host(&m->gateway_ipv6)};
    struct peers_inner inner = {
        .allowed = allowed, .allowed_n = ARRAY_LEN(allowed), .group = group_of(&m->site)};

    memcpy(peer.public_key, m->gateway_key, sizeof peer.public_key);
    memcpy(peer.preshared_key, m->preshared_key, sizeof peer.preshared_key);
    enum node_connect result = peers_connect(a->peers, &peer, &inner);
    secure_wipe(&peer, sizeof peer);
    return result;
}

static void grant(struct access *a, struct entry *e, const struct message_authorization *m)
{
    struct tunnel_peer *gateway = peers_find(a->peers, &m->gateway);

    log_info("access", "resource '%s': access granted", e->name);
    for (unsigned i = 0; i < e->ways_n && gateway; i++) {
        if (!e->ways[i].destination)
            continue;
        tunnel_destination_grant(e->ways[i].destination, gateway);
        e->gateway = m->gateway;
    }
}

void access_granted(struct access *a, const struct message_authorization *m)
{
    struct entry *e = find(a, &m->resource);

    if (!e || !e->pending) {
        log_debug("access", "a grant that nobody has asked for is ignored");
        return;
    }
    e->pending = false;
    if (!uuid_equal(&m->site, &e->site)) {
        log_warn("access", "resource '%s': granted through a gateway of another site", e->name);
        return;
    }
    switch (connect_gateway(a, m)) {
    case NODE_CREATED:
    case NODE_REUSED:
    case NODE_REPLACED:
        grant(a, e, m);
        break;
    case NODE_NO_RELAYS:
        log_info("access", "resource '%s': there is no relay, asking again when there is", e->name);
        e->held = true;
        ask_for_relays(a);
        break;
    case NODE_INVALID:
        log_warn("access", "resource '%s': the gateway cannot be used", e->name);
        break;
    }
}

void access_refused(struct access *a, const struct message *m)
{
    static const char *const reasons[] = {
        [FAIL_NOT_FOUND] = "there is no such resource",
        [FAIL_OFFLINE] = "no gateway of its site is online",
        [FAIL_VERSION_MISMATCH] = "no gateway of its site is compatible with this client",
        [FAIL_FORBIDDEN] = "no policy permits it",
        [FAIL_DISABLED] = "it is disabled",
        [FAIL_AMBIGUOUS_ADDRESS] = "its address is ambiguous",
        [FAIL_MISSING_ADDRESS] = "an address is missing",
        [FAIL_INVALID_ADDRESS] = "its address is not valid",
        [FAIL_UNKNOWN] = "the portal gives no reason that is known"};
    struct entry *e = find(a, &m->resource_id);

    if (!e)
        return;
    e->pending = false;
    log_warn("access", "resource '%s': access refused: %s", e->name, reasons[m->reason]);
}

/* What was granted waits again (tunnel_p2p_remove). Not from here: the portal may be about to get another key. */
void access_ended(struct access *a, const struct uuid *gateway, bool in_use)
{
    for (struct entry *e = a->list; e; e = e->next) {
        if (!uuid_equal(&e->gateway, gateway))
            continue;
        e->gateway = (struct uuid){{0}};
        e->held = e->held || (in_use && !e->pending);
        if (!e->pending)
            e->asked_at = 0;
        if (e->held)
            loop_timer_set(a->loop, &a->timer, clock_now());
    }
}

/* ---- life ---- */

struct access *access_new(struct loop *l, struct peers *peers, bool internet,
                          const struct access_events *events, void *arg)
{
    struct access *a = mem_zalloc(1, sizeof *a);

    a->loop = l;
    a->peers = peers;
    a->internet = internet;
    loop_timer_init(&a->timer, on_timer, a);
    a->events = events;
    a->arg = arg;
    return a;
}

void access_attach(struct access *a, struct tunnel *t)
{
    a->tunnel = t;
    loop_timer_set(a->loop, &a->timer, clock_now());
}

void access_free(struct access *a)
{
    if (!a)
        return;
    loop_timer_clear(a->loop, &a->timer);
    while (a->list) {
        struct entry *e = a->list;
        a->list = e->next;
        free(e->name);
        free(e);
    }
    free(a);
}
