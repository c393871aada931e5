/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the NAT. Input: steps of a client's life. Byte 0 of each says what is done and to whom; packets take the rest of the
 * input, up to 255 bytes behind a length. No state may be lost: tables count right at the end, and packets stay whole.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/filter.h"
#include "engine/icmp.h"
#include "engine/nat.h"
#include "engine/nat_packet.h"
#include "engine/wire/ranges.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ENTRIES = 64,
    SLOTS = 4
};

struct world {
    struct nat nat;
    time_ns now;
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct world *w)
{
    if (w->left == 0)
        return 0;
    w->left--;
    return *w->data++;
}

static bool never_over(const void *arg, uint16_t grant)
{
    (void)arg;
    return grant == UINT16_MAX;
}

static void step_name(struct world *w, uint32_t slot)
{
    uint8_t which = take(w), bytes[16] = {10, 0, 0, take(w)};
    struct ip_addr proxy =
        which & 1 ? proxy_addr_v6(0, which / 2 % 4) : proxy_addr_v4(0, which / 2 % 4);
    struct ip_addr real = which & 64  ? (struct ip_addr){0}
                          : which & 1 ? ip_addr_v6(bytes)
                                      : ip_addr_v4(bytes);
    enum nat_result r =
        nat_name_set(&w->nat, slot, &proxy, &real, take(w), take(w), never_over, NULL);

    ASSERT(r == NAT_OK || r == NAT_FULL || r == NAT_SHARE_FULL || r == NAT_GRANTS_FULL);
}

static uint16_t l4_port(const struct ip_view *v, const uint8_t *p, bool src)
{
    if (v->proto == IP_PROTO_TCP || v->proto == IP_PROTO_UDP)
        return src ? v->src_port : v->dst_port;
    return load_be16(p + v->l4_off + ICMP_OFF_ECHO_ID);
}

static void step_out(struct world *w, uint32_t slot, struct ip_view *v, uint8_t *p)
{
    struct nat_name *name = nat_name_find(&w->nat, slot, v->version, ip_dst_ptr(p, v->version));
    struct nat_flow *f;

    if (!name)
        return;
    uint8_t flags = v->proto == IP_PROTO_TCP ? p[v->l4_off + TCP_OFF_FLAGS] : 0;
    if (nat_outbound(&w->nat, slot, name, v->proto, l4_port(v, p, true), flags, w->now, &f) !=
        NAT_OK)
        return;
    nat_packet_outbound(p, v, f->real, f->outer_port);
    ASSERT(nat_outside(&w->nat, slot, v->version, v->proto, f->outer_port, f->real) == f);
}

static void step_in(struct world *w, uint32_t slot, struct ip_view *v, uint8_t *p, bool partial)
{
    const uint8_t *src = ip_src_ptr(p, v->version);
    struct nat_flow *f =
        nat_outside(&w->nat, slot, v->version, v->proto, l4_port(v, p, false), src);
    uint8_t proxy[16];

    if (!f || nat_has_ended(f, w->now))
        return;
    nat_inbound(f, v->proto == IP_PROTO_TCP ? p[v->l4_off + TCP_OFF_FLAGS] : 0, w->now);
    nat_name_proxy(nat_flow_name(&w->nat, f), proxy);
    nat_packet_inbound(p, v, proxy, f->port, partial);
}

static void step_error(struct world *w, uint32_t slot, const struct ip_view *v, const uint8_t *p)
{
    uint8_t out[ICMP_ERROR_MAX], proxy[16];
    struct icmp_quote q;
    struct ip_view e;

    if (!icmp_error_parse(&q, v, p))
        return;
    struct nat_flow *f = nat_outside(&w->nat, slot, q.version, q.proto, q.src, q.to.bytes);
    if (!f)
        return;
    nat_name_proxy(nat_flow_name(&w->nat, f), proxy);
    size_t len = nat_packet_error(out, v, p, &q, proxy, f->port);
    ASSERT(ip_parse(&e, out, len) && e.total_len == len && ip_l4_valid(&e, out));
    ASSERT(icmp_error_parse(&q, &e, out) && q.src == f->port);
    ASSERT(memcmp(q.to.bytes, proxy, v->version == 4 ? 4 : 16) == 0);
}

static void step_packet(struct world *w, uint32_t slot, uint8_t what)
{
    size_t len = size_min(take(w), w->left);
    uint8_t *p = malloc(len + 1); /* so that nothing behind it can be touched unseen */
    struct ip_view v, again;

    ASSERT(p);
    if (len > 0)
        memcpy(p, w->data, len);
    w->data += len;
    w->left -= len;
    p = realloc(p, len + (len == 0));
    if (p && ip_parse(&v, p, len) && ip_l4_valid(&v, p)) {
        uint8_t kind = packet_classify(&v, p).kind;
        if (kind == PACKET_ICMP_ERROR)
            step_error(w, slot, &v, p);
        else if (packet_is_flow(kind) && what & 1)
            step_out(w, slot, &v, p);
        else if (packet_is_flow(kind))
            step_in(w, slot, &v, p, (what & 2) != 0);
        ASSERT(ip_parse(&again, p, len) && ip_l4_valid(&again, p));
        ASSERT(again.src_port == v.src_port && again.dst_port == v.dst_port);
    }
    free(p);
}

/* Every flow that is in use is on one list. */
static void check_tables(const struct nat *n)
{
    uint32_t listed = n->flows_pool.dead.n, used = 0;

    for (uint32_t i = 0; i < SLOTS; i++) {
        ASSERT(n->clients[i].flows.n <= ENTRIES / NAT_SHARE);
        listed += n->clients[i].flows.n;
    }
    for (uint32_t i = 1; i <= n->flows_pool.touched; i++)
        used += n->flows[i].proto != 0;
    ASSERT(used == listed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now = NS_PER_SEC, .data = data, .left = size};
    uint8_t *memory = calloc(1, nat_size(ENTRIES, SLOTS) + CACHE_LINE);

    ASSERT(memory);
    nat_init(&w.nat, memory + -(uintptr_t)memory % CACHE_LINE, ENTRIES, SLOTS, 3);
    while (w.left > 0) {
        uint8_t step = take(&w);
        uint32_t slot = step >> 6;
        switch (step & 7) {
        case 0:
            step_name(&w, slot);
            break;
        case 1:
            w.now += (uint64_t)take(&w) * (step & 8 ? 60 : 1) * NS_PER_SEC;
            break;
        case 2:
            nat_forget(&w.nat, slot);
            break;
        default:
            step_packet(&w, slot, step >> 3);
        }
    }
    check_tables(&w.nat);
    free(memory);
    return 0;
}
