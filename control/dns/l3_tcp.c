/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/l3_tcp.h"

#include <stdio.h>

#include "control/dns/l3_tcp_private.h"
#include "platform/base/blake2s.h"
#include "platform/base/mem.h"

#include <arch/hooks.h>
#include <lwip/init.h>
#include <lwip/ip.h>

#define TICK_NS (TCP_TMR_INTERVAL * NS_PER_MS)

enum {
    TICKS_MAX = 40 /* that are made up for after a long pause: 10 s */
};

/* ---- lwIP ---- */

void l3_to_lwip(ip_addr_t *out, const struct ip_addr *a)
{
    memset(out, 0, sizeof *out);
    if (a->family == ADDR_V6) {
        IP_SET_TYPE_VAL(*out, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(out)->addr, a->bytes, 16);
    } else {
        IP_SET_TYPE_VAL(*out, IPADDR_TYPE_V4);
        memcpy(&ip_2_ip4(out)->addr, a->bytes, 4);
    }
}

void l3_from_lwip(struct ip_addr *out, const ip_addr_t *a)
{
    *out = IP_IS_V6(a) ? ip_addr_v6(ip_2_ip6(a)->addr) : ip_addr_v4(&ip_2_ip4(a)->addr);
}

static void send_out(struct netif *n, struct pbuf *p)
{
    struct l3_tcp *t = n->state;
    uint8_t packet[L3_MTU];

    if (p->tot_len > sizeof packet) {
        t->counters.packets_too_big++;
        return;
    }
    if (t->mute)
        return;
    pbuf_copy_partial(p, packet, p->tot_len, 0);
    if (n == &t->host)
        t->events->to_host(t->arg, packet, p->tot_len);
    else
        t->events->to_tunnel(t->arg, packet, p->tot_len);
}

static err_t output_v4(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
    (void)to;
    send_out(n, p);
    return LWIP_ERR_OK;
}

static err_t output_v6(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
    (void)to;
    send_out(n, p);
    return LWIP_ERR_OK;
}

static err_t on_netif(struct netif *n)
{
    n->mtu = L3_MTU;
    n->output = output_v4;
    n->output_ip6 = output_v6;
    return LWIP_ERR_OK;
}

/* RFC 6528: a clock of 4 microseconds, from where on depends on the connection. The stack's state is at the default interface. */
u32_t lwip_hook_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                    u16_t remote_port)
{
    struct {
        struct ip_addr local, remote;
        uint16_t local_port, remote_port;
    } ends;
    const struct l3_tcp *t = netif_default->state;
    uint8_t out[16];

    memset(&ends, 0, sizeof ends);
    l3_from_lwip(&ends.local, local);
    l3_from_lwip(&ends.remote, remote);
    ends.local_port = local_port;
    ends.remote_port = remote_port;
    blake2s_mac16(out, t->random.seed, sizeof t->random.seed, &ends, sizeof ends);
    return load_le32(out) + (uint32_t)(t->now / (4 * NS_PER_US));
}

static void take_on(struct netif *n, const struct ip_addr *a)
{
    if (a->family == ADDR_V6) {
        l3_to_lwip(&n->ip6_addr[0], a);
        n->ip6_addr_state[0] = IP6_ADDR_PREFERRED;
    } else {
        l3_to_lwip(&n->ip_addr, a);
    }
}

/* Options and extension headers are not for us, and not for lwIP to find its way through. */
static bool is_plain(const struct ip_view *v)
{
    return v->l4_off == (v->version == 4 ? IPV4_HEADER_MIN : IPV6_HEADER);
}

void l3_tcp_give(struct l3_tcp *t, struct netif *from, const struct ip_view *v,
                 const uint8_t *packet)
{
    struct ip_addr to = ip_dst(packet, v->version);
    u16_t len = (u16_t)v->total_len;

    if (!is_plain(v)) {
        t->counters.packets_bad++;
        return;
    }
    struct pbuf *p = pbuf_alloc(PBUF_RAW, len, PBUF_POOL);
    if (p && pbuf_take(p, packet, len) == LWIP_ERR_OK) {
        take_on(from, &to);
        ip_input(p, from);
    } else {
        t->counters.packets_lost++;
        if (p)
            pbuf_free(p);
    }
    PBUF_CHECK_FREE_OOSEQ();
}

/* ---- settling ---- */

void l3_tcp_changed(void *arg, struct l3_stream *s)
{
    struct l3_conn *c = CONTAINER_OF(s, struct l3_conn, stream);
    struct l3_tcp *t = arg;

    c->active = t->now;
    if (c->listed)
        return;
    c->listed = true;
    c->next = NULL;
    *t->changed_end = c;
    t->changed_end = &c->next;
}

void l3_tcp_settle(struct l3_tcp *t)
{
    if (t->settling)
        return;
    t->settling = true;
    while (t->changed) {
        struct l3_conn *c = t->changed;
        t->changed = c->next;
        if (!t->changed)
            t->changed_end = &t->changed;
        c->listed = false;
        if (!c->used)
            continue;
        if (c->owner == L3_OF_CLIENT)
            l3_server_settle(t, CONTAINER_OF(c, struct l3_client, conn));
        else
            l3_client_settle(t, CONTAINER_OF(c, struct l3_remote, conn));
    }
    t->settling = false;
}

/* ---- time ---- */

static bool has_connections(void)
{
    return tcp_active_pcbs || tcp_tw_pcbs;
}

/* Ticks are for connections: without any the clock of lwIP stands still. */
void l3_tcp_at(struct l3_tcp *t, time_ns now)
{
    t->now = now;
    if (!has_connections())
        t->tick = now + TICK_NS;
}

time_ns l3_tcp_poll_timeout(const struct l3_tcp *t)
{
    return time_min(has_connections() ? t->tick : TIME_NEVER, l3_client_poll_timeout(t));
}

void l3_tcp_handle_timeout(struct l3_tcp *t, time_ns now)
{
    l3_tcp_at(t, now);
    for (unsigned i = 0; i < TICKS_MAX && t->tick <= now; i++) {
        t->tick += TICK_NS;
        tcp_tmr();
    }
    if (t->tick <= now)
        t->tick = now + TICK_NS;
    l3_server_tick(t);
    l3_client_tick(t);
    PBUF_CHECK_FREE_OOSEQ();
    l3_tcp_settle(t);
}

/* ---- life ---- */

enum err l3_tcp_new(struct l3_tcp **out, const uint8_t seed[L3_SEED_LEN],
                    const struct l3_tcp_events *events, void *arg, time_ns now, char *why,
                    unsigned why_size)
{
    *out = NULL;
    if (netif_list) {
        snprintf(why, why_size,
                 "the TCP stack for DNS exists once in a process and is in use: "
                 "free the one before");
        return ERR_IN_USE;
    }
    lwip_init();
    struct l3_tcp *t = mem_zalloc(1, sizeof *t);
    t->events = events;
    t->arg = arg;
    t->now = now;
    t->tick = now + TICK_NS;
    t->changed_end = &t->changed;
    l3_random_init(&t->random, seed);
    netif_add(&t->host, NULL, NULL, NULL, t, on_netif, ip_input);
    netif_add(&t->tunnel, NULL, NULL, NULL, t, on_netif, ip_input);
    netif_set_default(&t->host);
    netif_set_up(&t->host);
    netif_set_link_up(&t->host);
    netif_set_up(&t->tunnel);
    netif_set_link_up(&t->tunnel);
    enum err e = l3_server_init(t);
    if (e != ERR_OK) {
        snprintf(why, why_size, "the TCP stack for DNS cannot listen: %s", err_text(e));
        l3_tcp_free(t);
        return e;
    }
    *out = t;
    return ERR_OK;
}

void l3_tcp_free(struct l3_tcp *t)
{
    if (!t)
        return;
    t->mute = true;
    l3_server_fini(t);
    l3_client_fini(t);
    while (tcp_active_pcbs)
        tcp_abandon(tcp_active_pcbs, 0);
    while (tcp_tw_pcbs)
        tcp_abandon(tcp_tw_pcbs, 0);
    netif_remove(&t->tunnel);
    netif_remove(&t->host);
    secure_wipe(&t->random, sizeof t->random);
    free(t);
}

const struct l3_tcp_counters *l3_tcp_counters(const struct l3_tcp *t)
{
    return &t->counters;
}
