/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal says, as the state of this client. */
#include "control/client.h"

#include <stdio.h>
#include <string.h>

#include "control/access.h"
#include "control/client_dns.h"
#include "control/portal/messages.h"
#include "control/portal/requests.h"
#include "control/resources.h"
#include "control/tunnel_p2p.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

enum {
    LISTED_MAX = 50 /* resources that one message logs one by one */
};

struct client {
    struct member member;
    struct resources resources;
    struct access *access;
    struct client_dns *dns;
    unsigned listed; /* by the message that is being worked off */
};

/* ---- what the portal says ---- */

static void on_resource(void *arg, enum resource_change change, const struct resource *r)
{
    static const char *const changes[] = {[RESOURCE_ADDED] = "new",
                                          [RESOURCE_CHANGED] = "changed",
                                          [RESOURCE_REMOVED] = "no longer ours"};
    static const char *const kinds[] = {[RESOURCE_DNS] = "dns",
                                        [RESOURCE_CIDR] = "cidr",
                                        [RESOURCE_INTERNET] = "internet",
                                        [RESOURCE_STATIC_POOL] = "device pool",
                                        [RESOURCE_DYNAMIC_POOL] = "device pool"};
    struct client *c = arg;
    enum log_level level = c->listed++ < LISTED_MAX ? LOG_INFO : LOG_DEBUG;

    log_write(level, "client", "resource '%s' (%s%s%s)%s%s: %s", r->name, kinds[r->kind],
              r->address[0] ? " " : "", r->address, r->site_name ? " in site " : "",
              r->site_name ? r->site_name : "", changes[change]);
    access_resource(c->access, change, r);
    client_dns_resource(c->dns, change, r);
}

static void on_init(struct client *c, const struct message *m)
{
    resources_replace(&c->resources, m->resources);
    if (c->listed > LISTED_MAX)
        log_info("client", "and %u more (--log-level debug lists all)", c->listed - LISTED_MAX);
    member_relays(&c->member, m->relays, NULL);
    unsigned relays = c->member.relays.n;
    log_info("client", "init received: %zu resource%s, %u relay%s", c->resources.n,
             c->resources.n == 1 ? "" : "s", relays, relays == 1 ? "" : "s");
    client_dns_settings(c->dns, &m->interface_);
    member_set_addresses(&c->member, &m->interface_.ipv4, &m->interface_.ipv6);
    access_ask_held(c->access);
}

static void carry_out(struct client *c, const struct message *m, const char *name)
{
    c->listed = 0;
    switch (m->kind) {
    case MESSAGE_INIT:
        on_init(c, m);
        break;
    case MESSAGE_CONFIG_CHANGED:
        log_info("client", "the settings of our interface have changed");
        client_dns_settings(c->dns, &m->interface_);
        member_set_addresses(&c->member, &m->interface_.ipv4, &m->interface_.ipv6);
        break;
    case MESSAGE_RESOURCE_UPSERTED:
        resources_upsert(&c->resources, &m->resource);
        break;
    case MESSAGE_RESOURCE_DELETED:
        if (!resources_remove(&c->resources, &m->resource_id))
            log_debug("client", "a resource that is not known was deleted");
        break;
    case MESSAGE_RELAYS_PRESENCE:
        member_relays(&c->member, m->relays, m->gone);
        break;
    case MESSAGE_AUTHORIZATION_CREATED:
        access_granted(c->access, &m->authorization);
        break;
    case MESSAGE_AUTHORIZATION_FAILED:
        access_refused(c->access, m);
        break;
    case MESSAGE_CANDIDATES_ADDED:
    case MESSAGE_CANDIDATES_REMOVED:
        member_candidates(&c->member, &m->gateway, m->kind == MESSAGE_CANDIDATES_ADDED,
                          m->candidates);
        break;
    case MESSAGE_DOMAIN_RESOLVED:
    case MESSAGE_DOMAIN_FAILED:
        log_debug("client", "nothing was asked that '%s' could answer", name);
        break;
    case MESSAGE_DIRECT_AUTHORIZED:
    case MESSAGE_DIRECT_DENIED:
    case MESSAGE_DIRECT_REVOKED:
    case MESSAGE_DIRECT_FILTERS_UPDATED:
    case MESSAGE_CLIENT_CANDIDATES_ADDED:
    case MESSAGE_CLIENT_CANDIDATES_REMOVED:
    case MESSAGE_CLIENT_CANDIDATES_UNDELIVERED:
    case MESSAGE_UNKNOWN:
    case MESSAGE_OBSOLETE:
        log_debug("client", "the message '%s' is of no use here", name);
        break;
    }
}

static void on_message(void *arg, const char *name, const json_t *payload)
{
    struct client *c = arg;
    struct fields f = {.failed = false};
    struct message m;

    if (message_read(&m, name, payload, &f))
        carry_out(c, &m, name);
    else
        log_warn("portal", "a message is dropped: %s: %s", name, f.why);
    message_wipe(&m);
}

/* ---- another network ---- */

static void on_key_applied(void *arg, enum err err)
{
    (void)arg;
    if (err != ERR_OK && err != ERR_CLOSED)
        log_error("client", "the new key is not in use: %s", err_text(err));
}

/* Another network, perhaps: nobody shall be able to tell that both were us. */
static void on_moved(void *arg, const char *why)
{
    struct client *c = arg;
    struct member *m = &c->member;
    struct device_update update;

    log_info("client", "%s: new sockets, a new key, a new connection to the portal", why);
    access_reset(c->access);
    peers_reset(m->peers);
    client_dns_moved(c->dns);
    member_new_identity(m);
    if (m->tunnel) {
        device_update_init(&update);
        update.has_private_key = true;
        memcpy(update.private_key, m->identity.private_key, sizeof update.private_key);
        tunnel_apply_give(m->tunnel, &update, on_key_applied, c);
        if (tunnel_roam(m->tunnel) != ERR_OK)
            log_error("client", "there are no new sockets");
    }
    member_reconnect(m);
}

static void on_hangup(void *arg)
{
    on_moved(arg, "SIGHUP");
}

/* ---- life ---- */

/* Ours, those of names, and the stubs', of which those of IPv6 lie outside the names'. Source: spec/tunnel.md 1.1, 4. */
static const char *const ranges[] = {"100.64.0.0/11", "fd00:2021:1111::/107", "100.96.0.0/11",
                                     "fd00:2021:1111:8000::/107",
                                     "fd00:2021:1111:8000:100:100:111:0/120"};

static void on_up(void *arg)
{
    struct client *c = arg;

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        struct ip_prefix prefix;
        enum err err = ip_prefix_parse(&prefix, ranges[i]);
        ASSERT(err == ERR_OK);
        tunnel_p2p_route(c->member.tunnel, &prefix, true);
    }
    access_attach(c->access, c->member.tunnel);
    client_dns_up(c->dns);
}

static void on_resolvers(void *arg)
{
    struct client *c = arg;
    if (c->dns)
        client_dns_resolvers(c->dns);
}

static void on_ready(void *arg)
{
    struct client *c = arg;
    access_ask_held(c->access);
}

static void on_connected(void *arg, const struct uuid *gateway)
{
    struct client *c = arg;
    access_connected(c->access, gateway);
}

static void on_peer_ended(void *arg, const struct uuid *gateway, const struct peers_end *end)
{
    struct client *c = arg;
    access_ended(c->access, gateway, end->in_use);
}

static void on_wanted(void *arg, void *resource_arg)
{
    struct client *c = arg;
    access_wanted(c->access, resource_arg);
}

static void on_inner(void *arg, const struct uuid *gateway, const uint8_t *packet, size_t len)
{
    struct client *c = arg;
    access_inner(c->access, gateway, packet, len);
}

static void on_prohibited(void *arg, const struct ip_addr *destination)
{
    struct client *c = arg;
    access_prohibited(c->access, destination);
}

static void on_stub(void *arg, const uint8_t *packet, size_t len)
{
    struct client *c = arg;
    client_dns_stub(c->dns, packet, len);
}

static void on_dns(void *arg, const uint8_t *packet, size_t len)
{
    struct client *c = arg;
    client_dns_packet(c->dns, packet, len);
}

static void on_counters(void *arg)
{
    const struct client *c = arg;
    client_dns_log(c->dns);
}

static void on_granted(void *arg, const struct uuid *resource, const struct access_gateway *gateway)
{
    struct client *c = arg;
    if (gateway)
        client_dns_granted(c->dns, resource);
}

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    struct client *c = arg;
    return member_push(&c->member, name, payload);
}

static const struct access_events access_events = {on_push, on_granted};

static const struct member_role role = {
    .name = "client",
    .endpoint = CLIENT_ENDPOINT,
    .message = on_message,
    .hangup = on_hangup,
    .moved = on_moved,
    .up = on_up,
    .resolvers = on_resolvers,
    .counters = on_counters,
    .ready = on_ready,
    .guarded = true,
    .engine = ENGINE_CLIENT,
    .peer = "gateway",
    .candidates = REQUEST_CANDIDATES_ADDED,
    .invalidated = REQUEST_CANDIDATES_REMOVED,
    .lines = request_candidates,
    .connected = on_connected,
    .ended = on_peer_ended,
    .inner = on_inner,
    .wanted = on_wanted,
    .stub = on_stub,
    .dns = on_dns,
    .prohibited = on_prohibited,
};

enum member_end client_run(const struct client_options *o, char *why, unsigned why_size)
{
    struct client *c = mem_zalloc(1, sizeof *c);
    enum member_end end;

    resources_init(&c->resources, on_resource, c);
    if (member_open(&c->member, &o->member, &role, c) == ERR_OK) {
        c->access =
            access_new(c->member.loop, c->member.peers, o->internet_resource, &access_events, c);
        c->dns = client_dns_new(&c->member, c->access, why, why_size);
        if (c->dns)
            member_run(&c->member);
        else
            member_stop(&c->member, MEMBER_FAILED, why);
        client_dns_free(c->dns);
        access_free(c->access);
    }
    member_close(&c->member);
    resources_fini(&c->resources);
    snprintf(why, why_size, "%s", c->member.why);
    end = c->member.end;
    free(c);
    return end;
}
