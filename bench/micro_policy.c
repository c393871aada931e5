/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: what a packet of the host costs by a client's policy, with few and with many resources; adopting another one. */
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "engine/checksum.h"
#include "engine/filter.h"
#include "engine/policy.h"
#include "engine/wire/ranges.h"
#include "platform/base/mem.h"

enum {
    PACKETS = 256,
    PACKET_LEN = IPV4_HEADER_MIN + TCP_HEADER_MIN
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

static const struct micro_ops ops = {open_rules, prepare_rules, work_rules, check_rules,
                                     close_rules};

void micro_policy_cases(struct micro_list *l)
{
    static const char *const kinds[] = {"network", "name", "adopt"};
    struct micro_case c = {.item = "packet", .counted = true, .ops = &ops};

    for (c.kind = RULES_NETWORK; c.kind <= RULES_ADOPT; c.kind++) {
        c.len = 10;
        micro_list_add(l, &c, false, "policy/%s/10", kinds[c.kind]);
        c.len = 10000;
        micro_list_add(l, &c, true, "policy/%s/10000", kinds[c.kind]);
    }
}
