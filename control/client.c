/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread of the product: what the portal says, as the state of this client. The tunnel comes up with the first `init`,
 * which brings its addresses, and stays up while the portal is away.
 */
#include "control/client.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "control/access.h"
#include "control/names.h"
#include "control/peers.h"
#include "control/portal/messages.h"
#include "control/portal/requests.h"
#include "control/portal_io.h"
#include "control/relays.h"
#include "control/resources.h"
#include "control/wg/noise.h"
#include "control/wiped.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/random.h"
#include "platform/resolvers.h"
#include "platform/service.h"

#define CLIENT_MARK                                                                                \
    0xfd002021u /* of every socket that must stay out of the tunnel; spec/platform.md 0 */

enum {
    CLIENT_MTU = 1280,
    LISTED_MAX = 50, /* resources that one message logs one by one */
    WHY_MAX = 640
};

struct client {
    const struct client_options *options;
    struct loop *loop;
    struct names *names;
    struct portal_io *portal;
    struct tunnel *tunnel; /* NULL: no `init` has come yet */
    struct ip_addr ipv4, ipv6;
    struct noise_identity identity;
    struct resources resources;
    struct relays relays;
    struct peers *peers;
    struct access *access;
    unsigned listed; /* by the message that is being worked off */

    bool ending;
    enum client_end end;
    char why[WHY_MAX];
};

/* The first reason counts. */
static void stop(struct client *c, enum client_end end, const char *why)
{
    if (c->end == CLIENT_STOPPED) {
        c->end = end;
        snprintf(c->why, sizeof c->why, "%s", why);
        if (end != CLIENT_STOPPED)
            log_error("client", "%s", c->why);
    }
    /* The peers say goodbye to their relays first. */
    if (c->ending || !c->peers)
        loop_stop(c->loop);
    else
        peers_shut_down(c->peers);
    c->ending = true;
}

/* ---- keys ---- */

static void new_identity(struct client *c)
{
    uint8_t key[WG_KEY_LEN];

    random_bytes(key, sizeof key);
    noise_identity_init(&c->identity, key);
    secure_wipe(key, sizeof key);
}

/* ---- the tunnel ---- */

static struct ip_prefix host_prefix(const struct ip_addr *ip)
{
    return (struct ip_prefix){.ip = *ip, .len = ip->family == ADDR_V4 ? 32 : 128};
}

static enum err tunnel_up(struct client *c, char *why, unsigned why_size)
{
    struct ip_prefix addresses[2] = {host_prefix(&c->ipv4), host_prefix(&c->ipv6)};
    struct config config = {.addresses = addresses,
                            .addresses_n = ARRAY_LEN(addresses),
                            .mtu = CLIENT_MTU,
                            .table = CONFIG_TABLE_OFF};
    enum err err;

    device_update_init(&config.device);
    config.device.has_private_key = true;
    config.device.replace_peers = true;
    memcpy(config.device.private_key, c->identity.private_key, sizeof config.device.private_key);
    config.device.has_fwmark = true;
    config.device.fwmark = CLIENT_MARK;
    struct tunnel_options options = c->options->tunnel;
    peers_tunnel_options(c->peers, &options);
    err = tunnel_new(&c->tunnel, c->loop, &config, &options, why, why_size);
    device_update_fini(&config.device);
    if (err == ERR_OK) {
        peers_attach(c->peers, c->tunnel);
        access_attach(c->access, c->tunnel);
    }
    return err;
}

static enum err change_address(struct client *c, struct ip_addr *address, const struct ip_addr *to,
                               char *why, unsigned why_size)
{
    struct ip_prefix from = host_prefix(address), wanted = host_prefix(to);
    enum err err = ERR_OK;

    if (!ip_addr_equal(address, to))
        err = tunnel_readdress(c->tunnel, &from, &wanted, why, why_size);
    *address = *to;
    return err;
}

static void first_up(struct client *c)
{
    log_info("client", "%s", tunnel_summary(c->tunnel));
    service_ready(tunnel_summary(c->tunnel));
    if (c->options->exit_when_up)
        stop(c, CLIENT_STOPPED, "");
}

static void set_addresses(struct client *c, const struct message_interface *m)
{
    char why[WHY_MAX] = "the tunnel does not start", v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];
    bool first = !c->tunnel;
    enum err err;

    if (!first && ip_addr_equal(&c->ipv4, &m->ipv4) && ip_addr_equal(&c->ipv6, &m->ipv6))
        return;
    if (first) {
        c->ipv4 = m->ipv4;
        c->ipv6 = m->ipv6;
        err = tunnel_up(c, why, sizeof why);
    } else {
        err = change_address(c, &c->ipv4, &m->ipv4, why, sizeof why);
        if (err == ERR_OK)
            err = change_address(c, &c->ipv6, &m->ipv6, why, sizeof why);
    }
    if (err != ERR_OK) {
        stop(c, CLIENT_FAILED, why);
        return;
    }
    log_info("client", "our addresses are %s and %s", ip_addr_format(&c->ipv4, v4, sizeof v4),
             ip_addr_format(&c->ipv6, v6, sizeof v6));
    if (first)
        first_up(c);
}

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
}

static void on_relay(void *arg, enum relay_change change, const struct relay *r)
{
    static const char *const changes[] = {
        [RELAY_ADDED] = "new", [RELAY_CHANGED] = "changed", [RELAY_REMOVED] = "gone"};
    char v4[SOCK_ADDR_TEXT_MAX], v6[SOCK_ADDR_TEXT_MAX];

    (void)arg;
    log_info("client", "relay %s%s%s: %s",
             r->v4.ip.family ? sock_addr_format(&r->v4, v4, sizeof v4) : "",
             r->v4.ip.family && r->v6.ip.family ? " and " : "",
             r->v6.ip.family ? sock_addr_format(&r->v6, v6, sizeof v6) : "", changes[change]);
}

/* The peers get what the message names: of a relay as it is now. */
static void relays_to_peers(struct client *c, const json_t *named, const json_t *gone)
{
    struct node_relay_config add[RELAYS_MAX];
    struct uuid remove[RELAYS_MAX];
    unsigned added = 0, removed = 0;

    for (unsigned i = 0; i < c->relays.n; i++) {
        const struct relay *r = &c->relays.list[i];
        if (relays_named(named, &r->id))
            add[added++] = (struct node_relay_config){.id = r->id,
                                                      .v4 = r->v4,
                                                      .v6 = r->v6,
                                                      .username = r->username,
                                                      .password = r->password};
    }
    for (size_t i = 0; i < json_array_size(gone) && removed < RELAYS_MAX; i++) {
        struct fields f = {.failed = false};
        if (message_uuid_at(&remove[removed], gone, i, &f))
            removed++;
    }
    unsigned bad = peers_update_relays(c->peers, remove, removed, add, added);
    if (bad > 0)
        log_warn("client", "%u relays cannot be used", bad);
}

static void on_candidates(struct client *c, const struct message *m)
{
    const char *line;

    for (size_t i = 0; i < json_array_size(m->candidates); i++) {
        line = message_text_at(m->candidates, i);
        if (line &&
            !peers_candidate(c->peers, &m->gateway, m->kind == MESSAGE_CANDIDATES_ADDED, line))
            log_debug("client", "a candidate is of no use: %s", line);
    }
}

static void on_init(struct client *c, const struct message *m)
{
    resources_replace(&c->resources, m->resources);
    if (c->listed > LISTED_MAX)
        log_info("client", "and %u more (--log-level debug lists all)", c->listed - LISTED_MAX);
    relays_upsert(&c->relays, m->relays);
    relays_to_peers(c, m->relays, NULL);
    log_info("client", "init received: %zu resource%s, %u relay%s", c->resources.n,
             c->resources.n == 1 ? "" : "s", c->relays.n, c->relays.n == 1 ? "" : "s");
    set_addresses(c, &m->interface_);
}

static void carry_out(struct client *c, const struct message *m, const char *name)
{
    c->listed = 0;
    switch (m->kind) {
    case MESSAGE_INIT:
        on_init(c, m);
        break;
    case MESSAGE_CONFIG_CHANGED:
        log_info("client", "the DNS settings have changed");
        break;
    case MESSAGE_RESOURCE_UPSERTED:
        resources_upsert(&c->resources, &m->resource);
        break;
    case MESSAGE_RESOURCE_DELETED:
        if (!resources_remove(&c->resources, &m->resource_id))
            log_debug("client", "a resource that is not known was deleted");
        break;
    case MESSAGE_RELAYS_PRESENCE:
        relays_remove(&c->relays, m->gone);
        relays_upsert(&c->relays, m->relays);
        relays_to_peers(c, m->relays, m->gone);
        break;
    case MESSAGE_AUTHORIZATION_CREATED:
        if (c->tunnel)
            access_granted(c->access, &m->authorization);
        break;
    case MESSAGE_AUTHORIZATION_FAILED:
        access_refused(c->access, m);
        break;
    case MESSAGE_CANDIDATES_ADDED:
    case MESSAGE_CANDIDATES_REMOVED:
        on_candidates(c, m);
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

static void on_joined(void *arg)
{
    struct client *c = arg;
    json_t *payload = request_capabilities(false);

    if (portal_io_push(c->portal, REQUEST_CAPABILITIES, payload) != ERR_OK)
        log_warn("portal", "the portal takes no messages");
    json_decref(payload);
    peers_portal(c->peers, true);
    access_portal_joined(c->access);
    service_status("signed in");
}

static void on_ended(void *arg, enum portal_io_end end, const char *why)
{
    stop(arg, end == PORTAL_IO_TOKEN_INVALID ? CLIENT_TOKEN_REJECTED : CLIENT_FAILED, why);
}

static void on_away(void *arg, const char *why, time_ns delay_ns)
{
    struct client *c = arg;
    char status[WHY_MAX];

    (void)delay_ns;
    peers_portal(c->peers, false);
    snprintf(status, sizeof status, "%sthe portal is away: %s",
             c->tunnel ? "the tunnel is up, " : "", why);
    service_status(status);
}

static const struct portal_io_events portal_events = {on_joined, on_message, on_away, on_ended};

/* ---- what the peers say ---- */

static enum err push(void *arg, const char *name, const json_t *payload)
{
    struct client *c = arg;
    return c->portal ? portal_io_push(c->portal, name, payload) : ERR_CLOSED;
}

static const struct access_events access_events = {push};

static void on_peer_candidates(void *arg, const struct uuid *peer, bool added,
                               const char *const *lines, size_t n)
{
    json_t *payload = request_candidates(peer, lines, n);

    if (push(arg, added ? REQUEST_CANDIDATES_ADDED : REQUEST_CANDIDATES_REMOVED, payload) != ERR_OK)
        log_warn("client", "the portal does not take %zu candidates", n);
    json_decref(payload);
}

static void on_peer_up(void *arg, const struct uuid *peer, const struct node_path *path)
{
    char id[UUID_TEXT_MAX], to[SOCK_ADDR_TEXT_MAX];

    (void)arg;
    uuid_format(peer, id);
    log_info("client", "connected to gateway %s, %s: %s", id, node_path_text(path->kind),
             sock_addr_format(&path->peer, to, sizeof to));
}

static void on_peer_ended(void *arg, const struct uuid *peer, const char *why)
{
    struct client *c = arg;
    char id[UUID_TEXT_MAX];

    uuid_format(peer, id);
    log_info("client", "the connection to gateway %s has ended: %s", id, why);
    access_ended(c->access, peer);
}

static void on_no_relays(void *arg)
{
    json_t *payload = request_relays();

    if (push(arg, REQUEST_RELAYS, payload) != ERR_OK)
        log_debug("client", "there are no relays, and the portal is away");
    json_decref(payload);
}

static void on_wanted(void *arg, void *destination_arg)
{
    struct client *c = arg;
    access_wanted(c->access, destination_arg);
}

static void on_peers_down(void *arg)
{
    struct client *c = arg;
    loop_stop(c->loop);
}

static const struct peers_events peers_events = {on_peer_candidates, on_peer_up, on_peer_ended,
                                                 on_no_relays,       on_wanted,  on_peers_down};

/* ---- resolvers ---- */

/* Where our own DNS stub listens: a file that we left behind must not make us ask ourselves. Source: spec/platform.md 0. */
static bool is_sentinel(const struct ip_addr *ip)
{
    static const struct ip_prefix ranges[] = {
        {.ip = {.family = ADDR_V4, .bytes = {100, 100, 111}}, .len = 24},
        {.ip = {.family = ADDR_V6,
                .bytes = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0, 1, 0, 1, 0, 1, 0x11}},
         .len = 120},
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (ip_prefix_contains(&ranges[i], ip))
            return true;
    }
    return false;
}

/* The system's resolvers as they are now. Without any, the hosts file and literal addresses still work. */
static unsigned capture_resolvers(struct sock_addr servers[RESOLVERS_MAX])
{
    char reason[WHY_MAX / 4];
    unsigned n = 0, kept = 0;

    if (resolvers_read(servers, &n, NULL, reason, sizeof reason) != ERR_OK) {
        log_warn("client", "the system's resolvers cannot be read: %s", reason);
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!is_sentinel(&servers[i].ip))
            servers[kept++] = servers[i];
    }
    return kept;
}

/* ---- signals ---- */

static void on_stop(void *arg)
{
    stop(arg, CLIENT_STOPPED, "");
}

static void on_key_applied(void *arg, enum err err)
{
    (void)arg;
    if (err != ERR_OK && err != ERR_CLOSED)
        log_error("client", "the new key is not in use: %s", err_text(err));
}

/* Another network, perhaps: nobody shall be able to tell that both were us. */
static void on_reset(void *arg)
{
    struct client *c = arg;
    struct device_update update;
    struct sock_addr servers[RESOLVERS_MAX];

    log_info("client", "SIGHUP: new sockets, a new key, a new connection to the portal");
    access_reset(c->access);
    peers_reset(c->peers);
    new_identity(c);
    if (c->tunnel) {
        device_update_init(&update);
        update.has_private_key = true;
        memcpy(update.private_key, c->identity.private_key, sizeof update.private_key);
        tunnel_apply_give(c->tunnel, &update, on_key_applied, c);
        if (tunnel_roam(c->tunnel) != ERR_OK)
            log_error("client", "there are no new sockets");
    }
    if (names_set_servers(c->names, servers, capture_resolvers(servers)) != ERR_OK)
        log_error("client", "the system's resolvers cannot be used");
    portal_io_reset(c->portal, c->identity.public_key);
}

static void on_counters(void *arg)
{
    struct client *c = arg;
    if (c->tunnel)
        tunnel_log_counters(c->tunnel);
}

static enum err add_signals(struct client *c)
{
    static const struct {
        int signo;
        loop_fn cb;
    } signals[] = {
        {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reset}, {SIGUSR1, on_counters}};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(signals) && err == ERR_OK; i++)
        err = loop_add_signal(c->loop, signals[i].signo, signals[i].cb, c);
    return err;
}

/* ---- life ---- */

static enum err open_names(struct client *c, char *why, unsigned why_size)
{
    struct sock_addr servers[RESOLVERS_MAX];
    unsigned n = capture_resolvers(servers);
    enum err err = names_new(&c->names, c->loop, servers, n, CLIENT_MARK, "/etc/hosts");

    if (err != ERR_OK)
        snprintf(why, why_size, "the name resolver does not start: %s", err_text(err));
    return err;
}

static enum err open_portal(struct client *c, char *why, unsigned why_size)
{
    const struct client_options *o = c->options;
    const struct url_param params[] = {{"external_id", o->external_id},
                                       {"name", o->name},
                                       {"device_serial", o->device_serial},
                                       {"device_uuid", o->device_uuid},
                                       {NULL, NULL}};
    const struct portal_io_options options = {.url = &o->api,
                                              .endpoint = "client/v2/websocket",
                                              .params = params,
                                              .token = o->token,
                                              .user_agent = o->user_agent,
                                              .topic = "client",
                                              .join_payload = json_null(),
                                              .ca_file = o->ca_file,
                                              .mark = CLIENT_MARK,
                                              .max_partition_ns = o->max_partition_ns,
                                              .names = c->names};
    return portal_io_new(&c->portal, c->loop, &options, c->identity.public_key, &portal_events, c,
                         why, why_size);
}

static enum err start(struct client *c, char *why, unsigned why_size)
{
    enum err err = loop_new(&c->loop);

    /* Before any thread exists, so that all of them inherit the blocked signals. */
    if (err == ERR_OK)
        err = add_signals(c);
    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot set up the event loop: %s", err_text(err));
        return err;
    }
    new_identity(c);
    c->peers = peers_new(c->loop, &peers_events, c);
    c->access = access_new(c->loop, c->peers, &access_events, c);
    err = open_names(c, why, why_size);
    return err == ERR_OK ? open_portal(c, why, why_size) : err;
}

static void finish(struct client *c)
{
    portal_io_free(c->portal);
    names_free(c->names);
    access_free(c->access);
    if (c->tunnel)
        tunnel_free(c->tunnel);
    peers_free(c->peers);
    if (c->loop)
        loop_free(c->loop);
    resources_fini(&c->resources);
    relays_fini(&c->relays);
    noise_identity_wipe(&c->identity);
}

enum client_end client_run(const struct client_options *o, char *why, unsigned why_size)
{
    struct client c = {.options = o, .end = CLIENT_STOPPED};

    wiped_json();
    resources_init(&c.resources, on_resource, &c);
    relays_init(&c.relays, on_relay, &c);
    if (start(&c, c.why, sizeof c.why) != ERR_OK) {
        c.end = CLIENT_FAILED;
        log_error("client", "%s", c.why);
    } else {
        enum err err = loop_run(c.loop);
        if (err != ERR_OK)
            stop(&c, CLIENT_FAILED, "the event loop failed");
        service_stopping();
    }
    finish(&c);
    snprintf(why, why_size, "%s", c.why);
    return c.end;
}
