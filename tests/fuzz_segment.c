/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of segmentation. Input: flags (1: make the IP length agree), MTU (2 bytes), virtio header, packet. Whatever is
 * accepted gives segments within the MTU, with right checksums, that hold the payload once and in order; joining
 * them keeps the stream.
 */
#include <stdlib.h>

#include "engine/segment.h"
#include "tests/support/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct coalesce coalescer;
static struct stream stream;

/* The header fields of a segment against its super-packet. */
static void check_segment(const struct segment_plan *plan, unsigned i, const uint8_t *out,
                          const uint8_t *packet, size_t at)
{
    uint32_t len = segment_len(plan, i), header_len = plan->header_len;
    const uint8_t *l4 = out + plan->l4_off, *l4_super = packet + plan->l4_off;
    struct ip_view v;
    ASSERT(ip_parse(&v, out, len) && v.total_len == len && v.l4_off == plan->l4_off && !v.fragment);
    ASSERT(v.version == 6 || inner_sum(out, plan->l4_off, 0) == 0xffff);
    ASSERT(inner_l4_sum(out, len, plan->l4_off, v.proto) == 0xffff);
    ASSERT(memcmp(out + header_len, packet + header_len + at, len - header_len) == 0);
    ASSERT(ip_l4_valid(&v, out));
    if (v.proto == 17) {
        ASSERT(load_be16(l4 + 6) != 0);
    } else {
        ASSERT(load_be32(l4 + 4) == (uint32_t)(load_be32(l4_super + 4) + at));
        uint8_t lost = l4_super[13] ^ l4[13];
        ASSERT((lost & ~l4_super[13]) == 0 && (lost & ~(TCP_F_FIN | TCP_F_PSH | TCP_F_CWR)) == 0);
        ASSERT(i + 1 < plan->n || (lost & (TCP_F_FIN | TCP_F_PSH)) == 0);
    }
    if (v.version == 4)
        ASSERT(load_be16(out + 4) == (uint16_t)(load_be16(packet + 4) + i));
}

static void check_single(const struct segment_plan *plan, const struct vnet_hdr *h, uint8_t *out,
                         const uint8_t *packet)
{
    if (h->flags & VNET_F_NEEDS_CSUM) {
        size_t start = h->csum_start, at = start + h->csum_offset;
        uint16_t sum = (uint16_t)~inner_sum(packet + start, plan->last_len - start, 0);
        ASSERT(load_be16(out + at) % 0xffff == sum % 0xffff);
        ASSERT(h->csum_offset != 6 || load_be16(out + at) != 0);
        memcpy(out + at, packet + at, 2);
    }
    ASSERT(memcmp(out, packet, plan->last_len) == 0);
}

static void check_plan(const struct segment_plan *plan, const struct vnet_hdr *h,
                       const uint8_t *packet, size_t len, uint32_t mtu)
{
    ASSERT(plan->n >= 1 && plan->n <= SEGMENT_COUNT_MAX);
    size_t at = 0;
    for (unsigned i = 0; i < plan->n; i++) {
        uint32_t n = segment_len(plan, i);
        ASSERT(n <= mtu && n > plan->header_len);
        uint8_t *out = malloc(n);
        ASSERT(out != NULL);
        segment_write(plan, i, out);
        if (plan->header_len == 0) {
            ASSERT(plan->n == 1 && n == len);
            check_single(plan, h, out, packet);
        } else {
            check_segment(plan, i, out, packet, at);
        }
        at += n - plan->header_len;
        stream_add(&stream, out, n);
        free(out);
    }
    ASSERT(at + plan->header_len == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t fixed = 3 + VNET_HDR_LEN;
    if (size < fixed || size - fixed > 70000)
        return 0;
    size_t len = size - fixed;
    uint32_t mtu = load_be16(data + 1);
    struct vnet_hdr h;
    struct segment_plan plan;
    memcpy(&h, data + 3, sizeof h);
    uint8_t *packet = malloc(len ? len : 1), *before = malloc(len ? len : 1);
    ASSERT(packet != NULL && before != NULL);
    memcpy(packet, data + fixed, len);
    if (data[0] & 1 && len >= 40)
        inner_be16(packet + (packet[0] >> 4 == 4 ? 2 : 4),
                   (uint32_t)(packet[0] >> 4 == 4 ? len : len - 40));
    memcpy(before, packet, len);
    enum segment_status status = segment_plan(&plan, &h, packet, len, mtu);
    if (status == SEGMENT_OK)
        check_plan(&plan, &h, packet, len, mtu);
    ASSERT(memcmp(packet, before, len) == 0);
    coalesce_init(&coalescer, COALESCE_TCP | COALESCE_UDP);
    stream_run(&stream, &coalescer, STREAM_MAX);
    stream_clear(&stream);
    free(packet);
    free(before);
    return 0;
}
