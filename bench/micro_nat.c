/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what a worker of a gateway pays for packets to names of DNS resources, with 64 clients, all tables full, and all of
 * its rules: the first packet of a flow, for which ended ones make room; the others; and answers, as far as the NAT has to do
 * with them. Control must hear of none.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "engine/grants_private.h"
#include "engine/nat_packet.h"
#include "engine/wire/ranges.h"
#include "engine/worker.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    CLIENTS = 64,
    NAMES = 4, /* of each client, with as many addresses each */
    GRANTS = 32,
    BATCH = 1024,
    LEN = 40, /* TCP without data */
    DNS_GRANT = 5
};

enum kind {
    NAT_NEW,
    NAT_KNOWN,
    NAT_BACK
};

struct gateway {
    enum kind kind;
    struct engine *engine;
    struct worker *worker;
    struct peer *peers[CLIENTS];
    uint64_t flows; /* begun so far */
    uint64_t first; /* flow of this batch */
    unsigned done;
    uint8_t bytes[BATCH][64];
    uint8_t kept[BATCH][64]; /* answers to known flows */
};

/* ---- the world ---- */

static void add_grants(struct gateway *g, struct peer *p, uint32_t i)
{
    static const struct filter_rule rules[] = {{FILTER_TCP, 80, 443}, {FILTER_UDP, 53, 53}};
    struct engine_grant list[GRANTS] = {{0}};
    const uint8_t own[4] = {100, 64, 1, (uint8_t)i};

    for (unsigned k = 0; k < GRANTS; k++) {
        const uint8_t net[4] = {10, (uint8_t)k, 0, 0};
        list[k] = (struct engine_grant){.index = (uint16_t)k,
                                        .kind = k % 2 ? ENGINE_GRANT_DNS : ENGINE_GRANT_CIDR,
                                        .prefix = {ip_addr_v4(net), 16},
                                        .rules = rules,
                                        .rules_n = ARRAY_LEN(rules)};
    }
    const struct engine_grants grants = {.ipv4 = ip_addr_v4(own), .grants = list, .n = GRANTS};
    enum err err = engine_set_grants(g->engine, p, &grants);
    ASSERT(err == ERR_OK);
}

static void add_client(struct gateway *g, uint32_t i) REQUIRES_ROLE(role_worker)
{
    struct peer *p = g->peers[i] = engine_peer_new(i, 0);

    engine_peer_client(p, i, 1);
    worker_execute(g->worker, &(struct command){.kind = COMMAND_PEER_ADD, .slot = i, .peer = p});
    add_grants(g, p, i);
    for (uint32_t name = 0; name < NAMES; name++) {
        struct engine_translation t = {
            .slot = i, .grant = DNS_GRANT, .domain = name, .n = PROXY_PER_NAME};
        for (unsigned k = 0; k < t.n; k++) {
            const uint8_t real[4] = {10, 200, (uint8_t)name, (uint8_t)k};
            t.pairs[k].proxy = proxy_addr_v4(name, k);
            t.pairs[k].real = ip_addr_v4(real);
        }
        bool ok = gateway_translate(g->worker, p, &t);
        ASSERT(ok);
    }
}

/* ---- packets ---- */

/* Of the flow of this number: no two within 2^20 are equal. */
static struct peer *make_packet(struct gateway *g, uint64_t flow, uint8_t *p)
{
    uint32_t client = flow % CLIENTS;
    struct ip_addr proxy =
        proxy_addr_v4((uint32_t)(flow >> 6) % NAMES, (flow >> 8) % PROXY_PER_NAME);

    memset(p, 0, LEN);
    p[0] = 0x45;
    store_be16(p + IPV4_OFF_TOTAL_LEN, LEN);
    p[IPV4_OFF_TTL] = 64;
    p[IPV4_OFF_PROTO] = IP_PROTO_TCP;
    memcpy(p + IPV4_OFF_SRC, (const uint8_t[]){100, 64, 1, (uint8_t)client}, 4);
    memcpy(p + IPV4_OFF_DST, proxy.bytes, 4);
    store_be16(p + 20 + TCP_OFF_SRC_PORT, (uint16_t)(1024 + (flow >> 10) % 60000));
    store_be16(p + 20 + TCP_OFF_DST_PORT, 443);
    p[20 + TCP_OFF_DATA] = 5 << 4;
    p[20 + TCP_OFF_FLAGS] = TCP_F_ACK;
    return g->peers[client];
}

static void send_batch(struct gateway *g) REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct peer *p = g->peers[(g->first + i) % CLIENTS];
        struct ip_view v;
        g->done += ip_parse(&v, g->bytes[i], LEN) && gateway_accepts(g->worker, p, &v, g->bytes[i]);
    }
}

static void answer_batch(struct gateway *g)
{
    struct nat *n = &g->worker->nat;

    for (unsigned i = 0; i < BATCH; i++) {
        uint8_t *p = g->bytes[i], proxy[16];
        uint32_t client = (uint32_t)((g->first + i) % CLIENTS);
        struct ip_view v;
        if (!ip_parse(&v, p, LEN) || !ip_l4_valid(&v, p))
            continue;
        struct nat_flow *f = nat_outside(n, client, 4, v.proto, v.dst_port, ip_src_ptr(p, 4));
        if (!f || nat_has_ended(f, g->worker->now))
            continue;
        const struct nat_name *name = nat_flow_name(n, f);
        nat_name_proxy(name, proxy);
        if (grants_decide(g->peers[client]->grants, name, 4, proxy, PACKET_TCP, v.src_port) !=
            GRANTS_PERMIT)
            continue;
        nat_inbound(f, p[20 + TCP_OFF_FLAGS], g->worker->now);
        nat_packet_inbound(p, &v, proxy, f->port, false);
        g->done++;
    }
}

/* ---- the loop ---- */

static void prepare(void *state)
{
    struct gateway *g = state;

    g->done = 0;
    if (g->kind == NAT_NEW) { /* those of a minute ago have ended */
        g->worker->now += NS_PER_SEC / 4;
        g->first = g->flows;
        g->flows += BATCH;
    }
    if (g->kind == NAT_BACK) {
        memcpy(g->bytes, g->kept, sizeof g->bytes);
        return;
    }
    for (unsigned i = 0; i < BATCH; i++)
        make_packet(g, g->first + i, g->bytes[i]);
}

static void work(void *state)
{
    role_enter(&role_worker);
    if (((struct gateway *)state)->kind == NAT_BACK)
        answer_batch(state);
    else
        send_batch(state);
    role_leave(&role_worker);
}

static bool check(void *state)
{
    const struct gateway *g = state;
    bool ok =
        g->done == BATCH && counter_read(&g->worker->counters->verdicts[VERDICT_IN_PUNTED]) == 0;

    for (unsigned i = 0; i < BATCH; i++)
        ok = ok && (g->kind == NAT_BACK ? g->bytes[i][IPV4_OFF_SRC] == 100
                                        : g->bytes[i][IPV4_OFF_DST] == 10);
    return ok;
}

/* What answers the packets of this batch, which have been sent. */
static void keep_answers(struct gateway *g)
{
    for (unsigned i = 0; i < BATCH; i++) {
        uint8_t *p = g->kept[i];
        const uint8_t *sent = g->bytes[i];
        memcpy(p, sent, LEN);
        memcpy(p + IPV4_OFF_SRC, sent + IPV4_OFF_DST, 4);
        memcpy(p + IPV4_OFF_DST, sent + IPV4_OFF_SRC, 4);
        memcpy(p + 20, sent + 22, 2);
        memcpy(p + 22, sent + 20, 2);
    }
}

static void *open_gateway(const struct micro_case *c, unsigned *items)
{
    const struct engine_config config = {.workers = 1,
                                         .crypto = CRYPT_BORINGSSL,
                                         .mtu = 1280,
                                         .peers_max = CLIENTS,
                                         .fixed_paths = true,
                                         .role = ENGINE_GATEWAY};
    struct gateway *g = mem_zalloc(1, sizeof *g);
    char why[256];

    enum err err = engine_new(&g->engine, &config, why, sizeof why);
    ASSERT(err == ERR_OK);
    g->worker = g->engine->workers[0];
    g->worker->now = 1000 * NS_PER_SEC;
    g->worker->nat.seed = UINT64_C(0x1234567887654321); /* so that runs are alike */
    role_enter(&role_worker);
    for (uint32_t i = 0; i < CLIENTS; i++)
        add_client(g, i);
    role_leave(&role_worker);
    g->kind = NAT_NEW;
    while (g->flows < NAT_ENTRIES_MAX + NAT_ENTRIES_MAX / 4) {
        prepare(g);
        work(g);
    }
    keep_answers(g);
    g->kind = (enum kind)c->kind;
    *items = BATCH;
    return g;
}

static void close_gateway(void *state)
{
    struct gateway *g = state;

    engine_free(g->engine);
    free(g);
}

static const struct micro_ops ops = {open_gateway, prepare, work, check, close_gateway};

void micro_nat_cases(struct micro_list *l)
{
    struct micro_case c = {.item = "flow", .counted = true, .ops = &ops, .kind = NAT_NEW};

    micro_list_add(l, &c, false, "nat/new");
    c.item = "packet";
    c.kind = NAT_KNOWN;
    micro_list_add(l, &c, false, "nat/known");
    c.kind = NAT_BACK;
    micro_list_add(l, &c, false, "nat/back");
}
