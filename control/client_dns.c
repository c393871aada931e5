/* SPDX-License-Identifier: Apache-2.0 */
#include "control/client_dns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/client_dns_private.h"
#include "control/dns/l3_packet.h"
#include "control/tunnel_p2p.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    GATEWAY_DNS_PORT = 53535,
    WHY_MAX = 256
};

void client_dns_settle(struct client_dns *d)
{
    time_ns next = dns_service_poll_timeout(d->service);

    next = time_min(next, l3_udp_poll_timeout(&d->udp));
    next = time_min(next, l3_tcp_poll_timeout(d->tcp));
    if (d->flush)
        next = 0;
    loop_timer_set(d->member->loop, &d->timer, next);
}

static void on_timer(void *arg)
{
    struct client_dns *d = arg;
    time_ns now = clock_now();

    if (d->flush && d->up)
        dns_control_flush(d->member->dns);
    d->flush = false;
    l3_udp_handle_timeout(&d->udp, now);
    l3_tcp_handle_timeout(d->tcp, now);
    dns_service_handle_timeout(d->service, now);
    client_dns_settle(d);
}

/* ---- packets ---- */

static void to_host(void *arg, const uint8_t *packet, uint32_t len)
{
    struct client_dns *d = arg;
    tunnel_p2p_to_host(d->member->tunnel, packet, len);
}

static void to_tunnel(void *arg, const uint8_t *packet, uint32_t len)
{
    struct client_dns *d = arg;
    tunnel_p2p_from_host(d->member->tunnel, packet, len);
}

static void watch_udp(void *arg, uint16_t port, bool on)
{
    struct client_dns *d = arg;
    tunnel_p2p_watch(d->member->tunnel, false, port, on);
}

static void watch_tcp(void *arg, uint16_t port, bool on)
{
    struct client_dns *d = arg;
    tunnel_p2p_watch(d->member->tunnel, true, port, on);
}

/* ---- clients by UDP ---- */

/* Of the queries that are answered, each has a place: there is always one more. */
static uint64_t client_add(struct client_dns *d, const struct ip_view *v, const uint8_t *packet)
{
    uint16_t place = d->clients_free;

    ASSERT(place != 0);
    struct udp_client *c = &d->clients[place - 1];
    d->clients_free = c->next_free;
    c->from = (struct sock_addr){.ip = ip_src(packet, v->version), .port = v->src_port};
    c->sentinel = ip_dst(packet, v->version);
    return place - 1u;
}

static struct udp_client client_take(struct client_dns *d, uint64_t token)
{
    struct udp_client c = d->clients[token];

    d->clients[token].next_free = d->clients_free;
    d->clients_free = (uint16_t)(token + 1);
    return c;
}

static void answer_by_udp(struct client_dns *d, uint64_t token, const uint8_t *answer, size_t len)
{
    struct udp_client c = client_take(d, token);
    struct sock_addr from = {.ip = c.sentinel, .port = DNS_PORT};
    uint8_t packet[L3_MTU];
    size_t packet_len = l3_packet_write_udp(packet, &from, &c.from, answer, len);

    if (packet_len > 0)
        to_host(d, packet, (uint32_t)packet_len);
}

static void query_by_udp(struct client_dns *d, const struct ip_view *v, const uint8_t *packet)
{
    struct ip_addr sentinel = ip_dst(packet, v->version);
    int server = client_dns_server(d, &sentinel);
    size_t at = v->l4_off + (size_t)UDP_HEADER;

    if (server < 0) /* it was one until a moment ago */
        return;
    struct dns_client client = {.token = client_add(d, v, packet),
                                .transport = DNS_UDP,
                                .server = (unsigned)server,
                                .v6 = v->version == 6};
    if (!dns_service_query(d->service, &client, packet + at, v->total_len - at, clock_now()))
        (void)client_take(d, client.token);
}

void client_dns_stub(struct client_dns *d, const uint8_t *packet, size_t len)
{
    struct ip_view v;

    if (!l3_packet_parse(&v, packet, len))
        return;
    if (v.proto == IP_PROTO_UDP)
        query_by_udp(d, &v, packet);
    else
        l3_tcp_from_host(d->tcp, packet, len, clock_now());
    client_dns_settle(d);
}

void client_dns_packet(struct client_dns *d, const uint8_t *packet, size_t len)
{
    if (!l3_udp_input(&d->udp, packet, len))
        (void)l3_tcp_from_tunnel(d->tcp, packet, len, clock_now());
    client_dns_settle(d);
}

/* ---- clients by TCP ---- */

static void on_tcp_query(void *arg, uint64_t token, const struct ip_addr *sentinel,
                         const uint8_t *query, size_t len)
{
    struct client_dns *d = arg;
    int server = client_dns_server(d, sentinel);
    struct dns_client client = {.token = token,
                                .transport = DNS_TCP,
                                .server = server < 0 ? 0 : (unsigned)server,
                                .v6 = sentinel->family == ADDR_V6};

    if (server < 0 || !dns_service_query(d->service, &client, query, len, clock_now()))
        l3_tcp_refuse(d->tcp, token, clock_now());
}

static void on_answer(void *arg, const struct dns_client *client, const uint8_t *answer, size_t len)
{
    struct client_dns *d = arg;

    if (client->transport == DNS_UDP)
        answer_by_udp(d, client->token, answer, len);
    else
        l3_tcp_answer(d->tcp, client->token, answer, len, clock_now());
}

/* ---- asking others ---- */

static void on_asked(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len)
{
    struct client_dns *d = arg;

    if (d->moving)
        return;
    if (err == ERR_OK)
        dns_service_answered(d->service, id, answer, len, clock_now());
    else
        dns_service_failed(d->service, id);
    client_dns_settle(d);
}

static void ask_inside(struct client_dns *d, uint64_t id, const struct dns_client *client,
                       const struct sock_addr *server, const uint8_t *query, size_t len)
{
    const struct ip_addr *own = server->ip.family == ADDR_V6 ? &d->member->ipv6 : &d->member->ipv4;
    enum err err = client->transport == DNS_UDP
                       ? l3_udp_ask(&d->udp, id, server, own, query, len, clock_now())
                       : l3_tcp_ask(d->tcp, id, server, own, query, len, clock_now());

    if (err != ERR_OK)
        dns_service_failed(d->service, id);
}

static void on_ask(void *arg, uint64_t id, const struct dns_client *client, const uint8_t *query,
                   size_t len)
{
    struct client_dns *d = arg;
    const struct dns_upstream *u = &d->sentinels.list[client->server].upstream;

    /* Only the portal means servers behind gateways; the system's are where the host is. */
    if (d->by_portal && access_reaches(d->access, &u->server.ip))
        ask_inside(d, id, client, &u->server, query, len);
    else if (dns_asker_ask(d->asker, id, u, client->transport, query, len) != ERR_OK)
        dns_service_failed(d->service, id);
}

static void site_wait(struct client_dns *d, uint64_t id, const struct uuid *resource)
{
    if (d->waiting_n < ARRAY_LEN(d->waiting))
        d->waiting[d->waiting_n++] = (struct site_query){id, *resource};
    else
        dns_service_failed(d->service, id);
}

static void on_ask_site(void *arg, uint64_t id, const struct dns_client *client,
                        const struct uuid *resource, const uint8_t *query, size_t len)
{
    struct client_dns *d = arg;
    const struct access_gateway *gateway = access_want(d->access, resource);

    if (!gateway) {
        site_wait(d, id, resource);
        return;
    }
    struct sock_addr server = {.ip = client->v6 ? gateway->ipv6 : gateway->ipv4,
                               .port = GATEWAY_DNS_PORT};
    ask_inside(d, id, client, &server, query, len);
}

void client_dns_granted(struct client_dns *d, const struct uuid *resource)
{
    unsigned n = d->waiting_n, i = 0;

    while (i < n) { /* what comes to wait meanwhile stands behind */
        uint64_t id = d->waiting[i].id;
        if (!uuid_equal(&d->waiting[i].resource, resource)) {
            i++;
            continue;
        }
        d->waiting_n--;
        n--;
        memmove(&d->waiting[i], &d->waiting[i + 1], (d->waiting_n - i) * sizeof d->waiting[0]);
        dns_service_again(d->service, id);
    }
    client_dns_settle(d);
}

static void on_cancel(void *arg, uint64_t id)
{
    struct client_dns *d = arg;
    unsigned kept = 0;

    for (unsigned i = 0; i < d->waiting_n; i++) {
        if (d->waiting[i].id != id)
            d->waiting[kept++] = d->waiting[i];
    }
    d->waiting_n = kept;
    dns_asker_cancel(d->asker, id);
}

/* ---- names ---- */

static void on_name(void *arg, uint32_t index, const char *name, const struct uuid *resources,
                    const uint8_t *ip_stacks, unsigned n)
{
    struct client_dns *d = arg;
    access_name(d->access, index, name, resources, ip_stacks, n);
}

static void on_answered(void *arg, uint32_t index)
{
    struct client_dns *d = arg;
    access_name_answered(d->access, index);
}

static const struct dns_service_events service_events = {
    on_answer, on_ask, on_ask_site, on_cancel, {on_name, on_answered}};
static const struct l3_udp_events udp_events = {to_tunnel, watch_udp, on_asked};
static const struct l3_tcp_events tcp_events = {to_host, to_tunnel, watch_tcp, on_tcp_query,
                                                on_asked};

/* Access may have made another resource of it, which knows no names. */
void client_dns_resource(struct client_dns *d, enum resource_change change,
                         const struct resource *r)
{
    char why[WHY_MAX];

    if (change != RESOURCE_ADDED)
        dns_service_remove(d->service, &r->id);
    if (change != RESOURCE_REMOVED && r->kind == RESOURCE_DNS &&
        dns_service_set(d->service, &r->id, r->address, r->ip_stack, why, sizeof why) != ERR_OK)
        log_warn("dns", "resource '%s' has no names: %s", r->name, why);
    d->flush = d->up;
    client_dns_settle(d);
}

/* ---- counters ---- */

static void log_counter(const char *name, uint64_t n)
{
    if (n > 0)
        log_info("dns", "counter %s=%" PRIu64, name, n);
}

void client_dns_log(const struct client_dns *d)
{
    const struct dns_service_counters *service = dns_service_counters(d->service);
    const struct dns_stub_counters *stub = dns_service_stub_counters(d->service);
    const struct l3_tcp_counters *tcp = l3_tcp_counters(d->tcp);

#define X(name, text) log_counter("dns_" #name, service->name);
    DNS_SERVICE_COUNTERS(X)
#undef X
#define X(name, text) log_counter("dns_stub_" #name, stub->name);
    DNS_STUB_COUNTERS(X)
#undef X
#define X(name) log_counter("dns_tcp_" #name, tcp->name);
    L3_TCP_COUNTERS(X)
#undef X
    log_counter("dns_tunnel_full", d->udp.counters.full);
    log_counter("dns_tunnel_timed_out", d->udp.counters.timed_out);
    log_counter("dns_tunnel_unreachable", d->udp.counters.unreachable);
    log_counter("dns_tunnel_mismatched", d->udp.counters.mismatched);
}

/* ---- changes ---- */

void client_dns_sentinels_changed(struct client_dns *d)
{
    struct dns_upstream upstreams[DNS_SENTINELS_MAX];
    struct ip_addr sentinels[DNS_SENTINELS_MAX];

    for (unsigned i = 0; i < d->sentinels.n; i++) {
        upstreams[i] = d->sentinels.list[i].upstream;
        sentinels[i] = d->sentinels.list[i].ip;
    }
    dns_service_servers_changed(d->service);
    dns_asker_set(d->asker, upstreams, d->sentinels.n);
    l3_tcp_set_sentinels(d->tcp, sentinels, d->sentinels.n, clock_now());
    client_dns_settle(d);
}

/* Nobody is left without an answer: what was under way is asked for once more. */
void client_dns_moved(struct client_dns *d)
{
    d->moving = true;
    l3_udp_reset(&d->udp);
    l3_tcp_reset(d->tcp, clock_now());
    d->moving = false;
    d->waiting_n = 0;
    dns_asker_roam(d->asker);
    dns_service_again_all(d->service);
    client_dns_settle(d);
}

/* ---- life ---- */

static enum err open_parts(struct client_dns *d, char *why, unsigned why_size)
{
    const struct dns_asker_config config = {.loop = d->member->loop,
                                            .egress = &d->member->egress,
                                            .names = d->member->names,
                                            .ca_file = d->member->options->ca_file};
    uint8_t seed[L3_SEED_LEN];
    uint64_t secret;

    random_bytes(&secret, sizeof secret);
    d->service = dns_service_new(secret, &service_events, d);
    random_bytes(seed, sizeof seed);
    l3_udp_init(&d->udp, seed, &udp_events, d);
    random_bytes(seed, sizeof seed);
    enum err err = l3_tcp_new(&d->tcp, seed, &tcp_events, d, clock_now(), why, why_size);
    secure_wipe(seed, sizeof seed);
    if (err != ERR_OK)
        return err;
    err = dns_asker_new(&d->asker, &config, on_asked, d);
    if (err != ERR_OK)
        snprintf(why, why_size, "the DNS client does not start: %s", err_text(err));
    return err;
}

struct client_dns *client_dns_new(struct member *m, struct access *a, char *why, unsigned why_size)
{
    struct client_dns *d = mem_zalloc(1, sizeof *d);

    d->member = m;
    d->access = a;
    loop_timer_init(&d->timer, on_timer, d);
    for (unsigned i = 0; i < ARRAY_LEN(d->clients); i++)
        d->clients[i].next_free = (uint16_t)(i + 1 < ARRAY_LEN(d->clients) ? i + 2 : 0);
    d->clients_free = 1;
    if (open_parts(d, why, why_size) == ERR_OK)
        return d;
    client_dns_free(d);
    return NULL;
}

void client_dns_free(struct client_dns *d)
{
    if (!d)
        return;
    loop_timer_clear(d->member->loop, &d->timer);
    dns_asker_free(d->asker);
    l3_tcp_free(d->tcp);
    dns_service_free(d->service);
    client_dns_host_fini(d);
    free(d);
}
