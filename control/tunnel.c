/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the tunnel up and taking it down: device, engine, sockets, host configuration; updates and status. */
#include "control/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/keylog.h"
#include "control/tunnel_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/thread.h"

enum {
    MTU_DEFAULT = 1420,
    MTU_OVERHEAD = 80,  /* IPv6 40, UDP 8, WireGuard 32 */
    TABLE_FIRST = 51820 /* where wg-quick starts, too */
};

static enum err fail(char *why, unsigned size, enum err e, const char *what, const char *detail)
{
    snprintf(why, size, "%s: %s", what, detail);
    return e;
}

static bool has_default_route(const struct config *config, unsigned family)
{
    for (size_t i = 0; i < config->device.peers_n; i++) {
        const struct device_peer_update *p = &config->device.peers[i];
        for (size_t k = 0; k < p->allowed_n; k++) {
            const struct ip_prefix *prefix = &p->allowed[k].prefix;
            if (prefix->len == 0 && (family == ADDR_NONE || prefix->ip.family == family))
                return true;
        }
    }
    return false;
}

/* ---- host configuration ---- */

/* The smallest path MTU towards the endpoints that are known now, less the tunnel's overhead. */
static uint32_t mtu_choose(struct tunnel *t, const struct config *config)
{
    uint32_t best = 0, path;

    if (config->mtu)
        return config->mtu;
    for (size_t i = 0; i < config->device.peers_n; i++) {
        const struct device_peer_update *p = &config->device.peers[i];
        if (p->has_endpoint && !p->endpoint_host[0] &&
            routes_path_mtu(t->host, &p->endpoint.ip, t->mark, &path) == ERR_OK &&
            (best == 0 || path < best))
            best = path;
    }
    if (best == 0)
        return MTU_DEFAULT;
    best = best > CONFIG_MTU_MAX ? CONFIG_MTU_MAX : best;
    return best > CONFIG_MTU_MIN_V6 + MTU_OVERHEAD ? best - MTU_OVERHEAD : CONFIG_MTU_MIN_V6;
}

/* Mark and table of a tunnel that takes the default route: one number for both, free on this host. */
static enum err mark_choose(struct tunnel *t, const struct config *config, uint32_t *table)
{
    enum err err = ERR_OK;

    *table = 0;
    t->mark = config->device.has_fwmark ? config->device.fwmark : 0;
    if (config->table == CONFIG_TABLE_NUMBER)
        *table = config->table_number;
    if (config->table != CONFIG_TABLE_AUTO || !has_default_route(config, ADDR_NONE))
        return ERR_OK;
    if (t->mark)
        *table = t->mark;
    else if ((err = routes_free_table(t->host, TABLE_FIRST, table)) == ERR_OK)
        t->mark = *table;
    return err;
}

/* A machine without IPv6 still gets the IPv4 part of its configuration. */
static enum err tolerate_no_v6(const struct ip_prefix *prefix, enum err err)
{
    char text[IP_PREFIX_TEXT_MAX];
    if (err != ERR_UNSUPPORTED || prefix->ip.family != ADDR_V6)
        return err;
    log_warn("tunnel", "left out %s: IPv6 is switched off on this machine",
             ip_prefix_format(prefix, text, sizeof text));
    return ERR_OK;
}

/*
 * The network of one of our addresses leads into the tunnel already, and with that address as source, which a longer
 * route without a preferred source would not keep. wg-quick leaves such routes out, too.
 */
static bool on_link(const struct config *config, const struct ip_prefix *prefix)
{
    for (size_t i = 0; i < config->addresses_n; i++) {
        struct ip_prefix network = config->addresses[i];
        ip_prefix_mask(&network);
        if (network.len <= prefix->len && ip_prefix_contains(&network, &prefix->ip))
            return true;
    }
    return false;
}

static enum err host_routes(struct tunnel *t, const struct config *config, uint32_t table)
{
    enum err err = ERR_OK;

    if (config->table == CONFIG_TABLE_OFF)
        return ERR_OK;
    for (size_t i = 0; i < config->device.peers_n; i++) {
        const struct device_peer_update *p = &config->device.peers[i];
        for (size_t k = 0; k < p->allowed_n && err == ERR_OK; k++) {
            const struct ip_prefix *prefix = &p->allowed[k].prefix;
            bool own_table = prefix->len == 0 || config->table == CONFIG_TABLE_NUMBER;
            if (own_table || !on_link(config, prefix))
                err = tolerate_no_v6(prefix, routes_add(t->host, prefix, own_table ? table : 0));
        }
    }
    return err;
}

static enum err default_rules_add(struct tunnel *t)
{
    enum err err = ERR_OK;
    if (t->default_families & 1)
        err = routes_default_rules(t->host, ADDR_V4, t->mark, t->default_table);
    if (err == ERR_OK && (t->default_families & 2)) {
        err = routes_default_rules(t->host, ADDR_V6, t->mark, t->default_table);
        if (err == ERR_UNSUPPORTED && t->v6.n == 0)
            err = ERR_OK;
    }
    return err;
}

bool tunnel_names_wait(const struct tunnel *t)
{
    return resolve_pending(t->resolve);
}

void tunnel_names_came(struct tunnel *t)
{
    if (resolve_pending(t->resolve))
        return;
    if (t->options.named)
        t->options.named(t->options.named_arg);
    if (!t->default_waits)
        return;
    t->default_waits = false;
    if (default_rules_add(t) != ERR_OK && t->options.failed)
        t->options.failed(t->options.failed_arg, routes_why(t->host));
    else
        log_info("tunnel", "the default route leads into the tunnel now");
}

/* Name queries of ours would go into a tunnel that cannot come up without their answer, so they come first. */
static enum err host_default(struct tunnel *t, const struct config *config, uint32_t table)
{
    if (config->table != CONFIG_TABLE_AUTO)
        return ERR_OK;
    t->default_families = (has_default_route(config, ADDR_V4) ? 1u : 0u) |
                          (has_default_route(config, ADDR_V6) ? 2u : 0u);
    t->default_table = table;
    t->default_waits = t->default_families != 0 && resolve_pending(t->resolve);
    if (!t->default_waits)
        return default_rules_add(t);
    log_info("tunnel", "the default route is taken once the endpoints' names are resolved");
    return ERR_OK;
}

static void on_link_news(void *arg, unsigned events)
{
    struct tunnel *t = arg;
    (void)events;
    routes_watch(t->host);
}

/* Without it the tunnel works as long as nobody sets the device down. */
static void host_watch(struct tunnel *t)
{
    int fd = routes_watch_fd(t->host);
    if (fd < 0 || loop_add_fd(t->loop, fd, LOOP_READ, on_link_news, t) != ERR_OK)
        log_debug("tunnel", "the device is not watched");
    else
        t->link_fd = fd;
}

static enum err host_configure(struct tunnel *t, const struct config *config, uint32_t table)
{
    enum err err = routes_link_mtu(t->host, t->mtu);
    for (size_t i = 0; i < config->addresses_n && err == ERR_OK; i++)
        err =
            tolerate_no_v6(&config->addresses[i], routes_addr_add(t->host, &config->addresses[i]));
    if (err == ERR_OK)
        err = routes_link_up(t->host);
    if (err == ERR_OK && t->options.p2p)
        err = tunnel_p2p_rules(t);
    if (err == ERR_OK)
        err = host_routes(t, config, table);
    return err == ERR_OK ? host_default(t, config, table) : err;
}

enum err tunnel_readdress(struct tunnel *t, const struct ip_prefix *from,
                          const struct ip_prefix *to, char *why, unsigned why_size)
{
    enum err err = tolerate_no_v6(to, routes_addr_add(t->host, to));

    /* The new one first: a device without any address would lose more. */
    if (err == ERR_OK)
        err = tolerate_no_v6(from, routes_addr_del(t->host, from));
    if (err != ERR_OK)
        snprintf(why, why_size, "%s", routes_why(t->host));
    return err;
}

/* ---- up ---- */

static void on_overflow(void *arg)
{
    struct tunnel *t = arg;
    if (!engine_commands_flush(t->engine))
        loop_timer_set(t->loop, &t->overflow_timer, clock_now() + NS_PER_MS);
}

static enum err device_up(struct tunnel *t, unsigned workers, char *why, unsigned why_size)
{
    struct tun_config tun = {.name = t->options.tun_name,
                             .queues = workers,
                             .offloads =
                                 t->options.offloads ? TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP : 0,
                             .steering = t->options.steering};
    enum err err = tun_open(&t->tun, &tun, why, why_size);
    if (err != ERR_OK)
        return err;
    err = routes_new(&t->host, tun_ifindex(t->tun));
    if (err != ERR_OK)
        return fail(why, why_size, err, "cannot configure the network", err_text(err));
    return ERR_OK;
}

static enum err engine_up(struct tunnel *t, unsigned workers, char *why, unsigned why_size)
{
    struct engine_config config = {.workers = workers,
                                   .io = t->options.io,
                                   .crypto = (enum crypt_backend)t->options.crypto,
                                   .helpers = (enum engine_helpers)t->options.helpers,
                                   .mtu = t->mtu,
                                   .peers_max = TUNNEL_PEERS_MAX,
                                   .pad = !t->options.p2p,
                                   .fixed_paths = t->options.p2p != NULL,
                                   .gate = true,
                                   .role = t->options.role,
                                   .source_resolve = t->egress.source != NULL};
    struct engine_tun tun = {.queues = tun_queues(t->tun),
                             .offloads = tun_offloads(t->tun),
                             .ifindex = tun_ifindex(t->tun)};
    enum err err = engine_new(&t->engine, &config, why, why_size);

    if (err != ERR_OK)
        return err;
    for (unsigned i = 0; i < tun.queues; i++)
        tun.fds[i] = tun_fd(t->tun, i);
    return engine_start(t->engine, &tun, why, why_size);
}

static enum err sockets_up(struct tunnel *t, const struct config *config, char *why,
                           unsigned why_size)
{
    uint16_t port = config->device.has_listen_port ? config->device.listen_port : 0;
    enum err err = tunnel_sockets_open(t, port, &t->v4, &t->v6, why, why_size);
    if (err != ERR_OK)
        return err;
    t->port = t->v4.n > 0 ? t->v4.port : t->v6.port;
    tunnel_sockets_hand_out(t);
    return ERR_OK;
}

static enum err control_up(struct tunnel *t, const struct config *config, char *why,
                           unsigned why_size)
{
    enum err err = resolve_new(&t->resolve, t->loop, tunnel_resolved, t, NULL);
    if (err != ERR_OK)
        return fail(why, why_size, err, "cannot start the name resolver", err_text(err));
    err = loop_add_fd(t->loop, engine_event_fd(t->engine), LOOP_READ, tunnel_on_events, t);
    if (err != ERR_OK)
        return fail(why, why_size, err, "cannot watch the workers", err_text(err));
    noise_identity_init(t->identity, config->device.private_key);
    keylog_identity(t->identity->private_key);
    tunnel_gate_publish(t, false);
    err = tunnel_update_now(t, &config->device);
    return err == ERR_OK ? ERR_OK : fail(why, why_size, err, "cannot add the peers", err_text(err));
}

static void summarise(struct tunnel *t)
{
    unsigned offloads = tun_offloads(t->tun);
    char ports[32];

    if (t->v4.n > 0 && t->v6.n > 0 && t->v4.port != t->v6.port)
        snprintf(ports, sizeof ports, "ports %u and %u", t->v4.port, t->v6.port);
    else
        snprintf(ports, sizeof ports, "port %u", t->port);
    snprintf(t->summary, sizeof t->summary,
             "%s is up: %s, mtu %u, %u worker%s, io %s, crypto %s, tun %s%s%s, udp %s%s%s, %s",
             tun_name(t->tun), ports, t->mtu, engine_workers(t->engine),
             engine_workers(t->engine) == 1 ? "" : "s", engine_io_name(t->engine),
             engine_crypto_name(t->engine), offloads & TUN_OFFLOAD_TCP ? "tso" : "plain",
             offloads & TUN_OFFLOAD_UDP ? "+uso" : "", tun_steered(t->tun) ? "+steering" : "",
             t->v4.gso || t->v6.gso ? "gso" : "plain", t->v4.gro || t->v6.gro ? "+gro" : "",
             t->v4.steered || t->v6.steered ? "+steering" : "",
             t->egress.source ? "source resolve" : "source mark");
}

enum err tunnel_new(struct tunnel **out, struct loop *loop, const struct config *config,
                    const struct tunnel_options *options, char *why, unsigned why_size)
{
    unsigned workers = options->workers ? options->workers : thread_cpus_usable();
    uint32_t table = 0;
    enum err err;

    *out = NULL;
    struct tunnel *t = calloc(1, sizeof *t);
    if (!t)
        return fail(why, why_size, ERR_NO_MEMORY, "cannot start", err_text(ERR_NO_MEMORY));
    t->loop = loop;
    t->link_fd = -1;
    t->options = *options;
    allowed_init(&t->allowed);
    index_init(&t->indices);
    loop_timer_init(&t->overflow_timer, on_overflow, t);
    tunnel_updates_init(t);
    tunnel_roam_init(t);
    tunnel_policy_init(t);
    workers = workers < ENGINE_WORKERS_MAX ? workers : ENGINE_WORKERS_MAX - 1; /* and the gate */

    if ((err = device_up(t, workers, why, why_size)) != ERR_OK)
        goto out;
    if ((err = mark_choose(t, config, &table)) != ERR_OK) {
        snprintf(why, why_size, "%s", routes_why(t->host));
        goto out;
    }
    err = egress_open(&t->egress, t->mark, options->source_resolve, "tunnel", why, why_size);
    if (err != ERR_OK)
        goto out;
    egress_set_tun(&t->egress, tun_ifindex(t->tun));
    t->mtu = mtu_choose(t, config);
    if ((err = engine_up(t, workers, why, why_size)) != ERR_OK ||
        (err = sockets_up(t, config, why, why_size)) != ERR_OK ||
        (err = control_up(t, config, why, why_size)) != ERR_OK)
        goto out;
    if ((err = host_configure(t, config, table)) != ERR_OK) {
        snprintf(why, why_size, "%s", routes_why(t->host));
        goto out;
    }
    host_watch(t);
    summarise(t);
    *out = t;
    return ERR_OK;
out:
    tunnel_free(t);
    return err;
}

void tunnel_free(struct tunnel *t)
{
    if (!t)
        return;
    if (t->link_fd >= 0)
        loop_del_fd(t->loop, t->link_fd);
    if (t->host)
        routes_free(t->host);
    if (t->engine)
        loop_del_fd(t->loop, engine_event_fd(t->engine));
    tunnel_policy_fini(t);
    tunnel_updates_fini(t);
    loop_timer_clear(t->loop, &t->overflow_timer);
    loop_timer_clear(t->loop, &t->roam.retry);
    if (t->resolve)
        resolve_free(t->resolve);
    engine_free(t->engine);
    if (t->v4.n > 0)
        udp_group_close(&t->v4);
    if (t->v6.n > 0)
        udp_group_close(&t->v6);
    if (t->roam.have_next && t->roam.next_v4.n > 0)
        udp_group_close(&t->roam.next_v4);
    if (t->roam.have_next && t->roam.next_v6.n > 0)
        udp_group_close(&t->roam.next_v6);
    egress_close(&t->egress);
    if (t->tun)
        tun_free(t->tun);
    index_fini(&t->indices);
    allowed_fini(&t->allowed);
    secure_wipe(t, sizeof *t); /* the private key, too */
    free(t);
}

const char *tunnel_name(const struct tunnel *t)
{
    return tun_name(t->tun);
}

uint32_t tunnel_ifindex(const struct tunnel *t)
{
    return tun_ifindex(t->tun);
}

void tunnel_ways_changed(struct tunnel *t)
{
    engine_sources_invalidate(t->engine);
    memset(t->p2p.sources, 0, sizeof t->p2p.sources);
}

const char *tunnel_summary(const struct tunnel *t)
{
    return t->summary;
}

/* ---- updates ---- */

static enum err port_change(struct tunnel *t, uint16_t port)
{
    char why[256];

    if (port == t->port || t->roam.have_next)
        return t->roam.have_next ? ERR_IN_USE : ERR_OK;
    enum err err =
        tunnel_sockets_open(t, port, &t->roam.next_v4, &t->roam.next_v6, why, sizeof why);
    if (err != ERR_OK) {
        log_warn("tunnel", "listen port unchanged: %s", why);
        return err;
    }
    t->roam.have_next = true;
    t->port = t->roam.next_v4.n > 0 ? t->roam.next_v4.port : t->roam.next_v6.port;
    tunnel_roam_begin(t);
    return ERR_OK;
}

/* Where sockets cannot be marked, their sources and interfaces keep them out of the tunnel. */
static enum err mark_sockets(struct tunnel *t, uint32_t mark)
{
    struct udp_group *groups[] = {&t->v4, &t->v6, &t->roam.next_v4, &t->roam.next_v6};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(groups) && err == ERR_OK; i++) {
        if (groups[i]->n > 0 && (i < 2 || t->roam.have_next))
            err = udp_group_set_mark(groups[i], mark);
    }
    return err;
}

static enum err mark_change(struct tunnel *t, uint32_t mark)
{
    enum err err = mark_sockets(t, mark);

    if (err == ERR_OK)
        t->egress.mark = mark;
    else if (t->egress.source)
        err = ERR_OK;
    if (err == ERR_OK)
        t->mark = mark;
    return err;
}

enum err tunnel_settings_apply(struct tunnel *t, const struct device_update *u)
{
    enum err err = ERR_OK;

    if (u->has_listen_port)
        err = port_change(t, u->listen_port);
    if (err == ERR_OK && u->has_fwmark)
        err = mark_change(t, u->fwmark);
    return err;
}

enum err tunnel_roam(struct tunnel *t)
{
    tunnel_roam_begin(t);
    return ERR_OK;
}

/* ---- status ---- */

static void peer_status(const struct tunnel_peer *p, struct device_peer_status *out)
{
    struct peer_activity a;

    engine_peer_activity(p->engine_peer, &a);
    memcpy(out->public_key, p->wg.remote.public_key, sizeof out->public_key);
    memcpy(out->psk, p->wg.remote.psk, sizeof out->psk);
    out->endpoint = a.endpoint.ip.family != ADDR_NONE ? a.endpoint : p->wg.endpoint;
    out->handshake_seconds = p->handshake_seconds;
    out->handshake_nanoseconds = p->handshake_nanoseconds;
    out->rx_bytes = a.rx_bytes;
    out->tx_bytes = a.tx_bytes;
    out->keepalive_seconds = p->keepalive_seconds;
}

/* Each peer's prefixes; two passes over the table, whatever the number of peers. by_slot: where each peer's status is. */
static void allowed_status(const struct tunnel *t, struct device_peer_status **by_slot)
{
    const struct allowed_entry *e;
    size_t cursor = 0;

    while ((e = allowed_next(&t->allowed, &cursor)) != NULL)
        by_slot[e->owner]->allowed_n++;
    for (uint32_t i = 0; i < t->slots_used; i++) {
        struct device_peer_status *s = by_slot[i];
        if (!s)
            continue;
        s->allowed = s->allowed_n ? calloc(s->allowed_n, sizeof *s->allowed) : NULL;
        if (s->allowed_n && !s->allowed)
            abort();
        s->allowed_n = 0;
    }
    cursor = 0;
    while ((e = allowed_next(&t->allowed, &cursor)) != NULL) {
        struct device_peer_status *s = by_slot[e->owner];
        s->allowed[s->allowed_n++] = e->prefix;
    }
}

void tunnel_status(struct tunnel *t, struct device_status *out)
{
    struct device_peer_status **by_slot;

    memset(out, 0, sizeof *out);
    memcpy(out->private_key, t->identity->private_key, sizeof out->private_key);
    out->listen_port = t->port;
    out->fwmark = t->mark;
    if (t->peers_n == 0)
        return;
    out->peers = calloc(t->peers_n, sizeof *out->peers);
    by_slot = calloc(t->slots_used, sizeof(struct device_peer_status *));
    if (!out->peers || !by_slot)
        abort();
    for (uint32_t i = 0; i < t->slots_used; i++) {
        if (!t->peers[i])
            continue;
        by_slot[i] = &out->peers[out->peers_n++];
        peer_status(t->peers[i], by_slot[i]);
    }
    allowed_status(t, by_slot);
    free(by_slot);
}

static const char *const outcome_names[WG_OUTCOME_COUNT] = {
#define X(name, text) #name,
    WG_OUTCOME_LIST(X)
#undef X
};

void tunnel_log_counters(const struct tunnel *t)
{
    uint64_t sum;
    unsigned workers = engine_threads(t->engine);

    for (unsigned v = 0; v < VERDICT_N; v++) {
        sum = 0;
        for (unsigned i = 0; i < workers; i++)
            sum += counter_read(&engine_counters(t->engine, i)->verdicts[v]);
        if (sum)
            log_info("tunnel", "counter %s=%llu", verdict_name((enum verdict)v),
                     (unsigned long long)sum);
    }
    for (unsigned k = 0; k < TALLY_N; k++) {
        sum = 0;
        for (unsigned i = 0; i < workers; i++)
            sum += counter_read(&engine_counters(t->engine, i)->tallies[k]);
        if (sum)
            log_info("tunnel", "counter %s=%llu", tally_name((enum tally)k),
                     (unsigned long long)sum);
    }
    for (unsigned o = 0; o < WG_OUTCOME_COUNT; o++) {
        if (t->handshakes[o])
            log_info("tunnel", "counter handshake_%s=%llu", outcome_names[o],
                     (unsigned long long)t->handshakes[o]);
    }
    if (t->handshakes_unknown_peer)
        log_info("tunnel", "counter handshake_unknown_peer=%llu",
                 (unsigned long long)t->handshakes_unknown_peer);
    if (t->packets_ignored)
        log_info("tunnel", "counter packets_ignored=%llu", (unsigned long long)t->packets_ignored);
}
