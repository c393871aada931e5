/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: packets joined to super-packets, from one flow in order and from sixteen that take turns. */
#include <stdlib.h>

#include "bench/micro.h"
#include "bench/traffic.h"
#include "engine/coalesce.h"
#include "engine/wire/ip.h"
#include "engine/wire/wg.h"
#include "platform/base/mem.h"

enum {
    BATCHES = 4,
    BATCH_MAX = CRYPT_BATCH_MAX, /* packets that the engine opens, and then joins, at once */
    FLOWS_MANY = 16,
    HEADERS = IPV4_HEADER_MIN + TCP_HEADER_MIN,
    SAVED = 64 /* bytes from the virtio header on that coalesce_finish may change */
};

struct join {
    struct coalesce *coalesce;
    unsigned len, flows, batch; /* batch: packets, as many of each flow */
    unsigned items, packets, bytes;
    uint8_t *area;
    uint8_t *packet[BATCHES * BATCH_MAX];
    struct ip_view view[BATCHES * BATCH_MAX];
    uint8_t head[BATCHES * BATCH_MAX][SAVED];
};

/* Copies segment `index` of the flow's frame and makes it one of flow `flow`, which differs by its source port. */
static void place_packet(struct join *j, const struct traffic *t, unsigned at, unsigned flow,
                         unsigned index)
{
    uint8_t *p = j->packet[at];
    memcpy(p, t->plain + (size_t)index * t->inner_len, t->inner_len);
    store_be16(p + IPV4_HEADER_MIN + TCP_OFF_SRC_PORT, (uint16_t)(10000 + flow));
    bool parsed = ip_parse(&j->view[at], p, t->inner_len);
    ASSERT(parsed);
    memcpy(j->head[at], p - VNET_HDR_LEN, SAVED);
}

static void *open_join(const struct micro_case *c, unsigned *items)
{
    static const uint8_t key[CRYPT_KEY_LEN] = {1};
    struct join *j = mem_check(aligned_alloc(64, ALIGN_UP(sizeof *j, (size_t)64)));
    struct traffic *t = mem_zalloc(1, sizeof *t);
    unsigned stride = c->len + WG_DATA_OVERHEAD;

    memset(j, 0, sizeof *j);
    traffic_init(t, &(struct traffic_config){
                        .inbound = true, .inner_len = c->len, .receiver = 1, .key = key});
    j->len = c->len;
    j->flows = (unsigned)c->kind;
    j->batch = t->per_frame / j->flows * j->flows;
    j->coalesce = mem_check(aligned_alloc(64, ALIGN_UP(sizeof *j->coalesce, (size_t)64)));
    coalesce_init(j->coalesce, COALESCE_TCP | COALESCE_UDP);
    j->area = mem_zalloc(BATCHES * BATCH_MAX + 1, stride);
    for (unsigned i = 0; i < BATCHES * j->batch; i++) {
        j->packet[i] = j->area + (size_t)(i + 1) * stride;
        place_packet(j, t, i, i % j->flows, i % j->batch / j->flows);
    }
    traffic_fini(t);
    free(t);
    *items = BATCHES * j->batch;
    return j;
}

/* coalesce_finish changed the first packets of the items. */
static void prepare_join(void *state)
{
    struct join *j = state;
    j->items = j->packets = j->bytes = 0;
    for (unsigned i = 0; i < BATCHES * j->batch; i++)
        memcpy(j->packet[i] - VNET_HDR_LEN, j->head[i], SAVED);
}

static void work_join(void *state)
{
    struct join *j = state;
    struct coalesce *c = j->coalesce;

    for (unsigned b = 0; b < BATCHES; b++) {
        for (unsigned i = b * j->batch; i < (b + 1) * j->batch; i++) {
            if (!coalesce_add(c, j->packet[i], j->len, &j->view[i]))
                return;
        }
        coalesce_finish(c);
        for (unsigned i = 0; i < c->n; i++) {
            j->packets += c->items[i].n_iov;
            j->bytes += c->items[i].total;
        }
        j->items += c->n;
        coalesce_reset(c);
    }
}

/* One item for each flow and batch, and all payload in them. */
static bool check_join(void *state)
{
    struct join *j = state;
    unsigned packets = BATCHES * j->batch, items = BATCHES * j->flows;
    return j->items == items && j->packets == packets &&
           j->bytes == items * (VNET_HDR_LEN + HEADERS) + packets * (j->len - HEADERS);
}

static void close_join(void *state)
{
    struct join *j = state;
    free(j->coalesce);
    free(j->area);
    free(j);
}

static const struct micro_ops ops = {open_join, prepare_join, work_join, check_join, close_join};

void micro_coalesce_cases(struct micro_list *l)
{
    static const unsigned lengths[] = {64, 512, 1280, 1420};
    struct micro_case c = {.item = "packet", .counted = true, .ops = &ops};

    for (int flows = 1; flows <= FLOWS_MANY; flows += FLOWS_MANY - 1) {
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            c.kind = flows;
            c.len = lengths[i];
            micro_list_add(l, &c, false, "coalesce/%d_flow%s/%u", flows, flows > 1 ? "s" : "",
                           c.len);
        }
    }
}
