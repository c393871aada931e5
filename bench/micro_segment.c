/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: whole TUN frames of bulk TCP cut into finished packets, straight to their place in a train. */
#include <stdlib.h>

#include "bench/micro.h"
#include "bench/traffic.h"
#include "engine/checksum.h"
#include "engine/segment.h"
#include "engine/wire/ip.h"
#include "engine/wire/wg.h"
#include "platform/base/mem.h"

enum {
    FRAMES = 4, /* as many as a worker gets at once in fzbench pipeline */
    SLOT = 66 * 1024
};

struct cut {
    struct traffic *traffic;
    uint8_t *frames, *trains; /* FRAMES x SLOT */
    unsigned written;
};

/* The transport checksum of an IPv4 packet is right. */
static bool is_finished(const uint8_t *packet, size_t len)
{
    struct ip_view v;
    if (!ip_parse(&v, packet, len) || v.version != 4 || v.total_len != len)
        return false;
    uint32_t l4_len = v.total_len - v.l4_off;
    return checksum_fold(checksum_partial(packet + v.l4_off, l4_len,
                                          checksum_pseudo_v4(packet, v.proto, l4_len))) == 0xffff;
}

static void *open_cut(const struct micro_case *c, unsigned *items)
{
    static const uint8_t key[CRYPT_KEY_LEN] = {1};
    struct cut *s = mem_zalloc(1, sizeof *s);
    s->traffic = mem_zalloc(1, sizeof *s->traffic);
    s->frames = mem_check(aligned_alloc(64, (size_t)FRAMES * SLOT));
    s->trains = mem_check(aligned_alloc(64, (size_t)FRAMES * SLOT));
    memset(s->trains, 0, (size_t)FRAMES * SLOT);
    traffic_init(s->traffic,
                 &(struct traffic_config){.inner_len = c->len, .receiver = 1, .key = key});
    for (unsigned i = 0; i < FRAMES; i++)
        traffic_frame(s->traffic, s->frames + (size_t)i * SLOT);
    for (unsigned i = 0; i < s->traffic->per_frame; i++)
        ASSERT(is_finished(s->traffic->plain + (size_t)i * c->len, c->len));
    *items = FRAMES * s->traffic->per_frame;
    return s;
}

static void prepare_cut(void *state)
{
    struct cut *s = state;
    size_t last = (size_t)(s->traffic->per_frame - 1);
    s->written = 0;
    memset(s->trains + (FRAMES - 1) * (size_t)SLOT +
               last * (s->traffic->inner_len + WG_DATA_OVERHEAD),
           0, s->traffic->inner_len);
}

static void work_cut(void *state)
{
    struct cut *s = state;
    unsigned stride = s->traffic->inner_len + WG_DATA_OVERHEAD;

    for (unsigned f = 0; f < FRAMES; f++) {
        const uint8_t *frame = s->frames + (size_t)f * SLOT;
        struct segment_plan plan;
        struct vnet_hdr h;

        memcpy(&h, frame, sizeof h);
        if (segment_plan(&plan, &h, frame + VNET_HDR_LEN, s->traffic->frame_len - VNET_HDR_LEN,
                         s->traffic->inner_len) != SEGMENT_OK)
            return;
        for (unsigned i = 0; i < plan.n; i++)
            segment_write(&plan, i, s->trains + (size_t)f * SLOT + (size_t)i * stride);
        s->written += plan.n;
    }
}

/* The last train is what the flow's packets are. */
static bool check_cut(void *state)
{
    struct cut *s = state;
    const struct traffic *t = s->traffic;
    const uint8_t *train = s->trains + (FRAMES - 1) * (size_t)SLOT;
    bool ok = s->written == FRAMES * t->per_frame;

    for (unsigned i = 0; i < t->per_frame; i++)
        ok &= memcmp(train + (size_t)i * (t->inner_len + WG_DATA_OVERHEAD),
                     t->plain + (size_t)i * t->inner_len, t->inner_len) == 0;
    return ok;
}

static void close_cut(void *state)
{
    struct cut *s = state;
    traffic_fini(s->traffic);
    free(s->traffic);
    free(s->frames);
    free(s->trains);
    free(s);
}

static const struct micro_ops ops = {open_cut, prepare_cut, work_cut, check_cut, close_cut};

void micro_segment_cases(struct micro_list *l)
{
    static const unsigned lengths[] = {64, 512, 1280, 1420};
    struct micro_case c = {.item = "packet", .counted = true, .ops = &ops};

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        c.len = lengths[i];
        micro_list_add(l, &c, false, "segment/tcp4/%u", c.len);
    }
}
