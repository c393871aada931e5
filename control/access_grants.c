/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the portal for access, its answers, and the end of what it has granted. */
#include <string.h>

#include "control/access_private.h"
#include "control/portal/requests.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"

#define ASK_AGAIN_NS (2 * NS_PER_SEC) /* per resource. Source: spec/tunnel.md 1.3 */

enum {
    CONNECTED_MAX = 64 /* gateways that a request names */
};

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

void access_entry_want(struct access *a, struct entry *e)
{
    if (e->asked_at != 0 && time_since(clock_now(), e->asked_at) < ASK_AGAIN_NS)
        return;
    if (peers_ready(a->peers))
        ask(a, e);
    else
        wait_for_relays(a, e);
}

void access_wanted(struct access *a, void *resource_arg)
{
    access_entry_want(a, resource_arg);
}

const struct access_gateway *access_want(struct access *a, const struct uuid *resource)
{
    struct entry *e = access_find(a, resource);

    if (e && !uuid_is_nil(&e->gateway.id))
        return &e->gateway;
    if (e)
        access_entry_want(a, e);
    return NULL;
}

/*
 * DEVIATE: upstream asks for the resource that is first for the destination. By whose filters the packet went is not told, so that
 * here all are asked for that it may have gone by: else one that has run out is never asked for while another is before it.
 */
void access_prohibited(struct access *a, const struct ip_addr *destination)
{
    if (access_names_want(a, destination) || access_want_granted(a, destination))
        return;
    struct entry *e = access_find_addr(a, destination);
    if (e)
        access_entry_want(a, e);
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
        .allowed = allowed, .allowed_n = ARRAY_LEN(allowed), .group = access_group_of(&m->site)};

    memcpy(peer.public_key, m->gateway_key, sizeof peer.public_key);
    memcpy(peer.preshared_key, m->preshared_key, sizeof peer.preshared_key);
    enum node_connect result = peers_connect(a->peers, &peer, &inner);
    secure_wipe(&peer, sizeof peer);
    return result;
}

/* Before the tunnel lets packets go there names wait for the gateway to know them. */
static void grant(struct access *a, struct entry *e, const struct message_authorization *m)
{
    struct tunnel_peer *gateway = peers_find(a->peers, &m->gateway);

    log_info("access", "resource '%s': access granted", e->name);
    if (!gateway || !e->tunnel)
        return;
    if (!uuid_is_nil(&e->gateway.id) && !uuid_equal(&e->gateway.id, &m->gateway))
        access_names_ended(a, e);
    e->gateway =
        (struct access_gateway){.id = m->gateway, .ipv4 = m->gateway_ipv4, .ipv6 = m->gateway_ipv6};
    access_names_grant(a, e);
    tunnel_resource_grant(e->tunnel, gateway);
    a->events->granted(a->arg, &e->resource, &e->gateway);
}

void access_granted(struct access *a, const struct message_authorization *m)
{
    struct entry *e = access_find(a, &m->resource);

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
    struct entry *e = access_find(a, &m->resource_id);

    if (!e)
        return;
    e->pending = false;
    log_warn("access", "resource '%s': access refused: %s", e->name, reasons[m->reason]);
}

/* What was granted waits again (tunnel_p2p_remove). Not from here: the portal may be about to get another key. */
void access_ended(struct access *a, const struct uuid *gateway, bool in_use)
{
    for (struct entry *e = a->list; e; e = e->next) {
        if (!uuid_equal(&e->gateway.id, gateway))
            continue;
        e->gateway = (struct access_gateway){.id = {{0}}};
        if (e->tunnel)
            tunnel_resource_grant(e->tunnel, NULL);
        access_names_ended(a, e);
        a->events->granted(a->arg, &e->resource, NULL);
        e->held = e->held || (in_use && !e->pending);
        if (!e->pending)
            e->asked_at = 0;
        if (e->held)
            loop_timer_set(a->loop, &a->timer, clock_now());
    }
}

void access_connected(struct access *a, const struct uuid *gateway)
{
    for (struct entry *e = a->list; e; e = e->next) {
        if (uuid_equal(&e->gateway.id, gateway))
            access_names_connected(a, e);
    }
}
