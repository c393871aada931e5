/* SPDX-License-Identifier: Apache-2.0 */
/* See member.h. */
#include "control/member.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "control/portal/messages.h"
#include "control/portal/requests.h"
#include "control/system_names.h"
#include "control/wiped.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/instance.h"
#include "platform/paths.h"
#include "platform/random.h"
#include "platform/routes.h"
#include "platform/service.h"
#include "platform/tun.h"

enum {
    MEMBER_MTU = 1280
};

/* Whoever changes the network may tell us a moment later, and the portal takes one connection per second. */
#define RECONNECT_AFTER_NS (500 * NS_PER_MS)

void member_stop(struct member *m, enum member_end end, const char *why)
{
    if (m->end == MEMBER_STOPPED) {
        m->end = end;
        snprintf(m->why, sizeof m->why, "%s", why);
        if (end != MEMBER_STOPPED)
            log_error(m->role->name, "%s", m->why);
    }
    /* First the peers leave their relays; whoever is impatient says it twice. */
    if (m->ending || !m->peers)
        loop_stop(m->loop);
    else
        peers_shut_down(m->peers);
    m->ending = true;
}

void member_new_identity(struct member *m)
{
    uint8_t key[WG_KEY_LEN];

    random_bytes(key, sizeof key);
    noise_identity_init(&m->identity, key);
    secure_wipe(key, sizeof key);
}

/* ---- the tunnel ---- */

static void on_gone(void *arg)
{
    struct member *m = arg;
    char why[MEMBER_WHY_MAX];

    snprintf(why, sizeof why, "the TUN device %s has been taken away", tunnel_name(m->tunnel));
    member_stop(m, MEMBER_FAILED, why);
}

static enum err tunnel_up(struct member *m, char *why, unsigned why_size)
{
    struct ip_prefix addresses[2] = {ip_prefix_host(&m->ipv4), ip_prefix_host(&m->ipv6)};
    struct config config = {.addresses = addresses,
                            .addresses_n = ARRAY_LEN(addresses),
                            .mtu = MEMBER_MTU,
                            .table = CONFIG_TABLE_OFF};
    enum err err;

    device_update_init(&config.device);
    config.device.has_private_key = true;
    config.device.replace_peers = true;
    memcpy(config.device.private_key, m->identity.private_key, sizeof config.device.private_key);
    config.device.has_fwmark = true;
    config.device.fwmark = MEMBER_MARK;
    struct tunnel_options options = m->options->tunnel;
    options.gone = on_gone;
    options.gone_arg = m;
    peers_tunnel_options(m->peers, &options);
    options.guarded = m->role->guarded;
    options.role = m->role->engine;
    options.source_resolve = m->egress.source != NULL; /* wanted, or sockets cannot be marked */
    err = tunnel_new(&m->tunnel, m->loop, &config, &options, why, why_size);
    device_update_fini(&config.device);
    if (err == ERR_OK) {
        egress_set_tun(&m->egress, tunnel_ifindex(m->tunnel));
        tunnel_p2p_addresses(m->tunnel, &m->ipv4, &m->ipv6);
        member_host_up(m);
        peers_attach(m->peers, m->tunnel);
    }
    return err;
}

static enum err change_address(struct member *m, struct ip_addr *address, const struct ip_addr *to,
                               char *why, unsigned why_size)
{
    struct ip_prefix from = ip_prefix_host(address), wanted = ip_prefix_host(to);
    enum err err = ERR_OK;

    if (!ip_addr_equal(address, to))
        err = tunnel_readdress(m->tunnel, &from, &wanted, why, why_size);
    *address = *to;
    return err;
}

static void first_up(struct member *m)
{
    log_info(m->role->name, "%s", tunnel_summary(m->tunnel));
    m->role->up(m->arg);
    if (!m->ending)
        service_ready(tunnel_summary(m->tunnel));
    if (m->options->exit_when_up)
        member_stop(m, MEMBER_STOPPED, "");
}

void member_set_addresses(struct member *m, const struct ip_addr *ipv4, const struct ip_addr *ipv6)
{
    char why[MEMBER_WHY_MAX] = "the tunnel does not start", v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];
    bool first = !m->tunnel;
    enum err err;

    if (!first && ip_addr_equal(&m->ipv4, ipv4) && ip_addr_equal(&m->ipv6, ipv6))
        return;
    if (first) {
        m->ipv4 = *ipv4;
        m->ipv6 = *ipv6;
        err = tunnel_up(m, why, sizeof why);
    } else {
        err = change_address(m, &m->ipv4, ipv4, why, sizeof why);
        if (err == ERR_OK)
            err = change_address(m, &m->ipv6, ipv6, why, sizeof why);
        tunnel_p2p_addresses(m->tunnel, &m->ipv4, &m->ipv6);
    }
    if (err != ERR_OK) {
        member_stop(m, MEMBER_FAILED, why);
        return;
    }
    log_info(m->role->name, "our addresses are %s and %s", ip_addr_format(&m->ipv4, v4, sizeof v4),
             ip_addr_format(&m->ipv6, v6, sizeof v6));
    if (first)
        first_up(m);
}

/* ---- the portal ---- */

static void on_relay(void *arg, enum relay_change change, const struct relay *r)
{
    static const char *const changes[] = {
        [RELAY_ADDED] = "new", [RELAY_CHANGED] = "changed", [RELAY_REMOVED] = "gone"};
    const struct member *m = arg;
    char v4[SOCK_ADDR_TEXT_MAX], v6[SOCK_ADDR_TEXT_MAX];

    log_info(m->role->name, "relay %s%s%s: %s",
             r->v4.ip.family ? sock_addr_format(&r->v4, v4, sizeof v4) : "",
             r->v4.ip.family && r->v6.ip.family ? " and " : "",
             r->v6.ip.family ? sock_addr_format(&r->v6, v6, sizeof v6) : "", changes[change]);
}

enum err member_push(void *arg, const char *name, const json_t *payload)
{
    struct member *m = arg;
    return m->portal ? portal_io_push(m->portal, name, payload) : ERR_CLOSED;
}

/* The peers get what the message names, of a relay what holds now. */
void member_relays(struct member *m, const json_t *named, const json_t *gone)
{
    struct node_relay_config add[RELAYS_MAX];
    struct uuid remove[RELAYS_MAX];
    unsigned added = 0, removed = 0;

    relays_remove(&m->relays, gone);
    relays_upsert(&m->relays, named);
    for (unsigned i = 0; i < m->relays.n; i++) {
        const struct relay *r = &m->relays.list[i];
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
    unsigned bad = peers_update_relays(m->peers, remove, removed, add, added);
    if (bad > 0)
        log_warn(m->role->name, "%u relays cannot be used", bad);
}

void member_candidates(struct member *m, const struct uuid *peer, bool added, const json_t *lines)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = message_text_at(lines, i);
        if (line && !peers_candidate(m->peers, peer, added, line))
            log_debug(m->role->name, "a candidate is of no use: %s", line);
    }
}

static void on_joined(void *arg)
{
    struct member *m = arg;
    json_t *payload = request_capabilities(false);

    if (portal_io_push(m->portal, REQUEST_CAPABILITIES, payload) != ERR_OK)
        log_warn("portal", "the portal takes no messages");
    json_decref(payload);
    peers_portal(m->peers, true);
    service_status("signed in");
}

static void on_message(void *arg, const char *name, const json_t *payload)
{
    struct member *m = arg;
    m->role->message(m->arg, name, payload);
}

static void on_ended(void *arg, enum portal_io_end end, const char *why)
{
    member_stop(arg, end == PORTAL_IO_TOKEN_INVALID ? MEMBER_TOKEN_REJECTED : MEMBER_FAILED, why);
}

static void on_away(void *arg, const char *why, time_ns delay_ns)
{
    struct member *m = arg;
    char status[MEMBER_WHY_MAX];

    (void)delay_ns;
    peers_portal(m->peers, false);
    snprintf(status, sizeof status, "%sthe portal is away: %s",
             m->tunnel ? "the tunnel is up, " : "", why);
    service_status(status);
}

static const struct portal_io_events portal_events = {on_joined, on_message, on_away, on_ended};

static enum err open_portal(struct member *m, char *why, unsigned why_size)
{
    const struct member_options *o = m->options;
    const struct url_param params[] = {{"external_id", o->external_id},
                                       {"name", o->name},
                                       {"device_serial", o->device_serial},
                                       {"device_uuid", o->device_uuid},
                                       {NULL, NULL}};
    const struct portal_io_options options = {.url = &o->api,
                                              .endpoint = m->role->endpoint,
                                              .params = params,
                                              .token = o->token,
                                              .user_agent = o->user_agent,
                                              .topic = m->role->name,
                                              .join_payload = json_null(),
                                              .ca_file = o->ca_file,
                                              .egress = &m->egress,
                                              .max_partition_ns = o->max_partition_ns,
                                              .names = m->names};
    return portal_io_new(&m->portal, m->loop, &options, m->identity.public_key, &portal_events, m,
                         why, why_size);
}

void member_reconnect(struct member *m)
{
    loop_timer_clear(m->loop, &m->reconnect);
    m->put_off = false;
    peers_portal(m->peers, false);
    member_host_resolvers(m);
    portal_io_reset(m->portal, m->identity.public_key);
}

/* ---- the peers ---- */

static bool on_candidates(void *arg, const struct uuid *peer, bool added, const char *const *lines,
                          size_t n)
{
    struct member *m = arg;
    json_t *payload = m->role->lines(peer, lines, n);
    enum err err = member_push(m, added ? m->role->candidates : m->role->invalidated, payload);

    json_decref(payload);
    return err == ERR_OK;
}

static void log_path(const struct member *m, const char *what, const struct uuid *peer,
                     const char *how, const struct node_path *path)
{
    char id[UUID_TEXT_MAX], to[SOCK_ADDR_TEXT_MAX];

    uuid_format(peer, id);
    log_info(m->role->name, "%s to %s %s%s %s: %s", what, m->role->peer, id, how,
             node_path_text(path->kind), sock_addr_format(&path->peer, to, sizeof to));
}

static void on_up(void *arg, const struct uuid *peer, const struct node_path *path)
{
    struct member *m = arg;

    log_path(m, "connected", peer, ",", path);
    if (m->role->connected)
        m->role->connected(m->arg, peer);
}

static void on_path(void *arg, const struct uuid *peer, const struct node_path *path)
{
    log_path(arg, "the path", peer, " is now", path);
}

static void on_peer_ended(void *arg, const struct uuid *peer, const struct peers_end *end)
{
    struct member *m = arg;
    char id[UUID_TEXT_MAX];

    uuid_format(peer, id);
    log_info(m->role->name, "the connection to %s %s has ended: %s", m->role->peer, id, end->why);
    m->role->ended(m->arg, peer, end);
}

/* Without the portal the peers would not hear of the new address. The key stays, and with it all connections. */
static void on_address_lost(void *arg, const struct ip_addr *ip)
{
    struct member *m = arg;
    char text[IP_TEXT_MAX];

    if (!m->portal || !portal_io_uses(m->portal, ip))
        return;
    log_info(m->role->name, "our address %s is gone: a new connection to the portal",
             ip_addr_format(ip, text, sizeof text));
    if (!loop_timer_armed(&m->reconnect))
        loop_timer_set(m->loop, &m->reconnect, clock_now() + RECONNECT_AFTER_NS);
}

/* Not just before a move, which has a new connection of its own: the portal would keep that one waiting. */
static void on_reconnect(void *arg)
{
    struct member *m = arg;
    bool wait = m->settling && !m->put_off;

    m->put_off = wait; /* once: a network may never settle */
    if (wait)
        loop_timer_set(m->loop, &m->reconnect, clock_now() + RECONNECT_AFTER_NS);
    else
        member_reconnect(m);
}

static void on_ready(void *arg)
{
    struct member *m = arg;
    m->role->ready(m->arg);
}

static void on_no_relays(void *arg)
{
    struct member *m = arg;
    json_t *payload = request_relays();

    if (member_push(m, REQUEST_RELAYS, payload) != ERR_OK)
        log_debug(m->role->name, "there are no relays, and the portal is away");
    json_decref(payload);
}

static void on_wanted(void *arg, void *resource_arg)
{
    struct member *m = arg;
    m->role->wanted(m->arg, resource_arg);
}

static void on_stub(void *arg, const uint8_t *packet, size_t len)
{
    struct member *m = arg;
    m->role->stub(m->arg, packet, len);
}

static void on_dns(void *arg, const uint8_t *packet, size_t len)
{
    struct member *m = arg;
    m->role->dns(m->arg, packet, len);
}

static void on_prohibited(void *arg, const struct ip_addr *destination)
{
    struct member *m = arg;
    m->role->prohibited(m->arg, destination);
}

static void on_peers_down(void *arg)
{
    struct member *m = arg;
    loop_stop(m->loop);
}

static void on_inner(void *arg, const struct uuid *peer, const uint8_t *packet, size_t len)
{
    struct member *m = arg;
    m->role->inner(m->arg, peer, packet, len);
}

static const struct peers_events peers_events = {
    on_candidates, on_up,     on_path, on_peer_ended, on_address_lost, on_ready,     on_no_relays,
    on_inner,      on_wanted, on_stub, on_dns,        on_prohibited,   on_peers_down};

/* ---- signals ---- */

static void on_stop(void *arg)
{
    member_stop(arg, MEMBER_STOPPED, "");
}

static void on_hangup(void *arg)
{
    struct member *m = arg;
    member_host_handled(m);
    m->role->hangup(m->arg);
}

static void on_counters(void *arg)
{
    struct member *m = arg;
    if (m->tunnel)
        tunnel_log_counters(m->tunnel);
    uint64_t lost = peers_inner_lost(m->peers);
    if (lost > 0)
        log_info(m->role->name, "counter inner_lost=%llu", (unsigned long long)lost);
    if (m->role->counters)
        m->role->counters(m->arg);
}

static enum err add_signals(struct member *m)
{
    static const struct {
        int signo;
        loop_fn cb;
    } signals[] = {
        {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_hangup}, {SIGUSR1, on_counters}};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(signals) && err == ERR_OK; i++)
        err = loop_add_signal(m->loop, signals[i].signo, signals[i].cb, m);
    return err;
}

/* ---- life ---- */

/* Nobody else may use the tables, a client of somebody else's neither, which one knows by its device. */
static enum err take_network(struct member *m, char *why, unsigned why_size)
{
    enum err err = instance_take(&m->instance, why, why_size);

    if (err == ERR_OK)
        err = tun_name_free(paths_tun(), why, why_size);
    return err == ERR_OK ? tun_name_free(m->options->tunnel.tun_name, why, why_size) : err;
}

static enum err start(struct member *m, char *why, unsigned why_size)
{
    enum err err = take_network(m, why, why_size);

    if (err != ERR_OK)
        return err;
    routes_product_recover(MEMBER_MARK);
    routes_recover(); /* a setting of others is taken back only if no such rules are left */
    err = loop_new(&m->loop);
    /* Before any thread exists, so that all of them inherit the blocked signals. */
    if (err == ERR_OK)
        err = add_signals(m);
    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot set up the event loop: %s", err_text(err));
        return err;
    }
    member_new_identity(m);
    m->peers = peers_new(m->loop, &peers_events, m);
    err = egress_open(&m->egress, MEMBER_MARK, m->options->tunnel.source_resolve, m->role->name,
                      why, why_size);
    if (err == ERR_OK)
        err = member_host_open(m, why, why_size);
    if (err == ERR_OK)
        err =
            system_names_new(&m->names, m->loop, m->dns, &m->egress, m->role->name, why, why_size);
    return err == ERR_OK ? open_portal(m, why, why_size) : err;
}

enum err member_open(struct member *m, const struct member_options *o,
                     const struct member_role *role, void *arg)
{
    *m = (struct member){.options = o, .role = role, .arg = arg, .end = MEMBER_STOPPED};
    wiped_json();
    relays_init(&m->relays, on_relay, m);
    loop_timer_init(&m->reconnect, on_reconnect, m);
    enum err err = start(m, m->why, sizeof m->why);
    if (err != ERR_OK) {
        m->end = MEMBER_FAILED;
        log_error(role->name, "%s", m->why);
    }
    return err;
}

void member_run(struct member *m)
{
    if (loop_run(m->loop) != ERR_OK)
        member_stop(m, MEMBER_FAILED, "the event loop failed");
    service_stopping();
}

void member_close(struct member *m)
{
    if (m->loop)
        loop_timer_clear(m->loop, &m->reconnect);
    portal_io_free(m->portal);
    names_free(m->names);
    member_host_close(m);
    egress_close(&m->egress);
    if (m->tunnel)
        tunnel_free(m->tunnel);
    peers_free(m->peers);
    relays_fini(&m->relays);
    if (m->loop)
        loop_free(m->loop);
    noise_identity_wipe(&m->identity);
    instance_release(m->instance);
}
