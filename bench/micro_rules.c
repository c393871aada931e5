/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what a packet costs by the rules of a client (its policy, with few and with many resources; adopting another
 * one) and of a gateway (a name's address, new flows and known ones).
 */
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "engine/checksum.h"
#include "engine/filter.h"
#include "engine/grants_private.h"
#include "engine/policy.h"
#include "engine/rewrite.h"
#include "engine/wire/ranges.h"
#include "platform/base/mem.h"

enum {
    PACKETS = 256,
    PACKET_LEN = IPV4_HEADER_MIN + TCP_HEADER_MIN,
    FLOWS_KNOWN = 60000 /* of each client, a little less than its share */
};

enum rules_kind {
    RULES_NETWORK, /* CIDR */
    RULES_NAME,
    RULES_ADOPT /* reads the snapshot, as a worker does in each of its loops */
};

/* A TCP packet with right checksums, from the host 100.64.0.1. */
static void packet_write(uint8_t p[PACKET_LEN], const struct ip_addr *to, uint16_t port)
{
    static const uint8_t from[] = {100, 64, 0, 1};

    memset(p, 0, PACKET_LEN);
    p[0] = 0x45;
    store_be16(p + IPV4_OFF_TOTAL_LEN, PACKET_LEN);
    p[IPV4_OFF_TTL] = 64;
    p[IPV4_OFF_PROTO] = IP_PROTO_TCP;
    memcpy(p + IPV4_OFF_SRC, from, 4);
    memcpy(p + IPV4_OFF_DST, to->bytes, 4);
    checksum_store(p + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(p, IPV4_HEADER_MIN, 0)));
    uint8_t *tcp = p + IPV4_HEADER_MIN;
    store_be16(tcp + TCP_OFF_SRC_PORT, port);
    store_be16(tcp + TCP_OFF_DST_PORT, 443);
    tcp[TCP_OFF_DATA] = TCP_HEADER_MIN / 4 << 4;
    tcp[TCP_OFF_FLAGS] = TCP_F_ACK;
    checksum_store(tcp + TCP_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(
                       tcp, TCP_HEADER_MIN, checksum_pseudo_v4(p, IP_PROTO_TCP, TCP_HEADER_MIN))));
}

/* ---- a client's policy ---- */

struct rules {
    enum rules_kind kind;
    struct snapshot_domain domain;
    struct policy *policy;
    struct policy_names names;
    uint8_t packets[PACKETS][PACKET_LEN];
    unsigned went;
};

static struct ip_addr network(uint32_t i)
{
    const uint8_t ip[] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
    return ip_addr_v4(ip);
}

static struct policy *policy_of(unsigned resources)
{
    static const uint8_t own[] = {100, 64, 0, 1};
    static const struct filter_rule https = {FILTER_TCP, 443, 443};
    struct engine_resource *list = mem_zalloc(resources + 1, sizeof *list);
    struct engine_policy_route *routes = mem_zalloc(resources, sizeof *routes);
    struct engine_policy p = {.ipv4 = ip_addr_v4(own),
                              .resources = list,
                              .resources_n = resources + 1,
                              .routes = routes,
                              .routes_n = resources};

    for (uint32_t i = 0; i < resources; i++) {
        list[i] = (struct engine_resource){
            .kind = ENGINE_RESOURCE_CIDR, .waits = ENGINE_NONE, .rules = &https, .rules_n = 1};
        routes[i] = (struct engine_policy_route){{network(i), 24}, i, 1};
    }
    list[resources] = (struct engine_resource){.kind = ENGINE_RESOURCE_DNS, .waits = ENGINE_NONE};
    struct policy *policy = mem_check(policy_new(&p, NULL));
    free(list);
    free(routes);
    return policy;
}

static void *open_rules(const struct micro_case *c, unsigned *items)
{
    struct rules *r = mem_zalloc(1, sizeof *r);

    r->kind = (enum rules_kind)c->kind;
    snapshot_domain_init(&r->domain, 1);
    r->policy = policy_of(c->len);
    for (uint32_t i = 0; i < PACKETS; i++) {
        const struct engine_name_target name = {
            .resource = c->len, .v4 = true, .v6 = true, .waits = ENGINE_NONE};
        struct ip_addr to = network(i % c->len);
        to.bytes[3] = 7;
        if (r->kind == RULES_NAME) {
            to = proxy_addr_v4(i, i % PROXY_PER_NAME);
            if (policy_names_set(&r->names, &r->domain, i, &name, 1) != ERR_OK)
                abort();
        }
        packet_write(r->packets[i], &to, (uint16_t)(1024 + i));
    }
    *items = PACKETS;
    return r;
}

static void prepare_rules(void *state)
{
    struct rules *r = state;
    r->went = 0;
}

static void work_rules(void *state)
{
    struct rules *r = state;

    for (unsigned i = 0; i < PACKETS; i++) {
        const struct policy *policy = snapshot_read(&r->policy);
        struct policy_choice choice;
        struct ip_view v;
        if (r->kind == RULES_ADOPT) {
            r->went += policy != NULL;
            continue;
        }
        r->went += ip_parse(&v, r->packets[i], PACKET_LEN) &&
                   policy_decide(policy, &r->names, &v, r->packets[i], &choice) == VERDICT_N;
    }
}

static bool check_rules(void *state)
{
    const struct rules *r = state;
    return r->went == PACKETS;
}

static void close_rules(void *state)
{
    struct rules *r = state;

    policy_free(r->policy);
    policy_names_fini(&r->names);
    snapshot_domain_fini(&r->domain);
    free(r);
}

/* ---- a gateway's NAT ---- */

struct nat_rig {
    bool fresh; /* each packet is a flow of its own */
    struct nat nat;
    struct grants *grants;
    struct nat_peer peer;
    uint32_t flow;
    struct ip_addr proxy;
    uint8_t packets[PACKETS][PACKET_LEN];
    unsigned went;
};

static void *open_nat(const struct micro_case *c, unsigned *items)
{
    static const uint8_t own[] = {100, 64, 0, 1}, real[] = {192, 0, 2, 1};
    const struct engine_grant grant = {.kind = ENGINE_GRANT_DNS};
    const struct engine_grants grants = {.ipv4 = ip_addr_v4(own), .grants = &grant, .n = 1};
    struct engine_translation t = {.domain = 1, .n = 1};
    struct nat_rig *r = mem_zalloc(1, sizeof *r);

    r->fresh = c->kind;
    r->proxy = t.pairs[0].proxy = proxy_addr_v4(0, 0);
    t.pairs[0].real = ip_addr_v4(real);
    r->grants = mem_check(grants_new(&grants));
    if (nat_init(&r->nat, UINT64_C(0x1234567887654321)) != ERR_OK ||
        nat_translate(&r->nat, &r->peer, 0, &t) != NAT_OK)
        abort();
    *items = PACKETS;
    return r;
}

/* When the client's share is used up its flows go, and it begins anew. */
static void prepare_nat(void *state)
{
    struct nat_rig *r = state;

    r->went = 0;
    if (r->fresh && r->flow + PACKETS > FLOWS_KNOWN) {
        nat_clear(&r->nat, &r->peer);
        struct engine_translation t = {.domain = 1, .n = 1};
        t.pairs[0].proxy = r->proxy;
        t.pairs[0].real = ip_addr_v4((const uint8_t[]){192, 0, 2, 1});
        if (nat_translate(&r->nat, &r->peer, 0, &t) != NAT_OK)
            abort();
        r->flow = 0;
    }
    for (uint32_t i = 0; i < PACKETS; i++)
        packet_write(r->packets[i], &r->proxy, (uint16_t)(1 + (r->fresh ? r->flow + i : i)));
    r->flow += PACKETS;
}

static void work_nat(void *state)
{
    struct nat_rig *r = state;

    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t *p = r->packets[i];
        struct nat_session *s;
        struct ip_view v;
        if (!ip_parse(&v, p, PACKET_LEN) || !ip_l4_valid(&v, p))
            return;
        struct packet_class class = packet_classify(&v, p);
        const struct nat_translation *t = nat_find(&r->nat, 0, 4, ip_dst_ptr(p, 4));
        if (grants_decide(r->grants, t, 4, ip_dst_ptr(p, 4), class.kind, class.dst) !=
                GRANTS_PERMIT ||
            nat_out(&r->nat, &r->peer, t, NAT_TCP, class.src, NS_PER_SEC, &s) != NAT_OK)
            return;
        nat_seen_out(s, TCP_F_ACK, NS_PER_SEC);
        const struct rewrite w = {
            .addr_end = REWRITE_DST, .addr = s->real, .port = nat_outside_port(s)};
        rewrite_packet(&v, p, &w);
        r->went++;
    }
}

static bool check_nat(void *state)
{
    struct nat_rig *r = state;
    bool ok = r->went == PACKETS;

    for (unsigned i = 0; i < PACKETS && ok; i++)
        ok = checksum_finish(checksum_partial(r->packets[i], IPV4_HEADER_MIN, 0)) == 0 &&
             r->packets[i][IPV4_OFF_DST] == 192;
    return ok;
}

static void close_nat(void *state)
{
    struct nat_rig *r = state;

    nat_fini(&r->nat);
    grants_free(r->grants);
    free(r);
}

static const struct micro_ops rules_ops = {open_rules, prepare_rules, work_rules, check_rules,
                                           close_rules},
                              nat_ops = {open_nat, prepare_nat, work_nat, check_nat, close_nat};

void micro_rules_cases(struct micro_list *l)
{
    static const char *const kinds[] = {"network", "name", "adopt"};
    struct micro_case c = {.item = "packet", .counted = true, .ops = &rules_ops};

    for (c.kind = RULES_NETWORK; c.kind <= RULES_ADOPT; c.kind++) {
        c.len = 10;
        micro_list_add(l, &c, false, "policy/%s/10", kinds[c.kind]);
        c.len = 10000;
        micro_list_add(l, &c, true, "policy/%s/10000", kinds[c.kind]);
    }
    c = (struct micro_case){.item = "packet", .counted = true, .ops = &nat_ops};
    micro_list_add(l, &c, false, "nat/known_flow");
    c.kind = 1;
    c.item = "flow";
    micro_list_add(l, &c, false, "nat/new_flow");
}
