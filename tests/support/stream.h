/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a list of inner packets through a struct coalesce and checks everything that must hold for any input:
 *
 *   - every packet comes out exactly once, and gather lists stay inside the packets;
 *   - packets of one flow keep their order, and nothing passes a fragment or a packet without a flow;
 *   - splitting each item gives the packets back byte for byte. Permitted: another IPv4 id where DF is set, and a right
 *     TCP or UDP checksum in place of a wrong one.
 *
 * A violation aborts. Packets lie in heap blocks of their exact size (virtio header included). Include once per program.
 */
#ifndef FZ_TESTS_STREAM_H
#define FZ_TESTS_STREAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/coalesce.h"
#include "engine/segment.h"
#include "platform/base/bytes.h"
#include "tests/support/inner_packet.h"

enum {
    STREAM_MAX = 1024,
    NO_ITEM = 0xffff
};

struct stream_packet {
    uint8_t *block; /* VNET_HDR_LEN bytes, then the packet */
    uint8_t *packet;
    uint8_t *original;
    uint32_t len;
    struct ip_view view;
    unsigned item;  /* which item it went to, counted over all batches */
    unsigned place; /* and its index there */
};

struct stream {
    unsigned n;     /* packets */
    unsigned begun; /* packets written in earlier batches */
    unsigned items; /* items written */
    unsigned place; /* position of the last emitted packet */
    struct stream_packet packets[STREAM_MAX];
    unsigned position[STREAM_MAX]; /* of packet i in the output */
};

/* Copies the packet. False: it is not a packet, or there is no room. `len` may exceed the IP length. */
static inline bool stream_add(struct stream *s, const uint8_t *p, uint32_t len)
{
    struct ip_view v;
    if (s->n == STREAM_MAX || !ip_parse(&v, p, len))
        return false;
    struct stream_packet *k = &s->packets[s->n++];
    k->block = malloc(VNET_HDR_LEN + len);
    k->original = malloc(len);
    ASSERT(k->block != NULL && k->original != NULL);
    k->packet = k->block + VNET_HDR_LEN;
    memset(k->block, 0xa5, VNET_HDR_LEN);
    memcpy(k->packet, p, len);
    memcpy(k->original, p, len);
    k->len = len;
    k->view = v;
    k->item = NO_ITEM;
    return true;
}

static inline void stream_clear(struct stream *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        free(s->packets[i].block);
        free(s->packets[i].original);
    }
    s->n = s->begun = s->items = s->place = 0;
}

/* The flow cannot be told. */
static inline bool stream_is_barrier(const struct stream_packet *k)
{
    const struct ip_view *v = &k->view;
    return v->fragment || v->l4_off == 0 ||
           ((v->proto == 6 || v->proto == 17) && v->total_len < v->l4_off + 4u);
}

static inline bool stream_same_flow(const struct stream_packet *a, const struct stream_packet *b)
{
    size_t at = a->view.version == 4 ? 12 : 8, n = a->view.version == 4 ? 8 : 32;
    return a->view.version == b->view.version && a->view.proto == b->view.proto &&
           a->view.src_port == b->view.src_port && a->view.dst_port == b->view.dst_port &&
           memcmp(a->original + at, b->original + at, n) == 0;
}

/* Compares what came out of a merged item with what went in. */
static inline void stream_check_bytes(const struct stream_packet *k, const uint8_t *out,
                                      uint32_t len)
{
    static uint8_t wanted[65536], got[65536];
    ASSERT(len == k->len && len == k->view.total_len);
    memcpy(wanted, k->original, len);
    memcpy(got, out, len);
    size_t l4 = k->view.l4_off, at = l4 + (k->view.proto == 6 ? 16 : 6);
    ASSERT(inner_l4_sum(got, len, l4, k->view.proto) == 0xffff);
    /* A right checksum was kept (0 and 0xffff are the same number); a wrong one may have been replaced. */
    memset(wanted + at, 0, 2);
    memset(got + at, 0, 2);
    if (k->view.version == 4) {
        ASSERT(inner_sum(out, 20, 0) == 0xffff);
        if (k->original[6] & 0x40) {
            memset(wanted + 4, 0, 2);
            memset(got + 4, 0, 2);
            memset(wanted + 10, 0, 2);
            memset(got + 10, 0, 2);
        }
    }
    ASSERT(memcmp(wanted, got, len) == 0);
}

static inline struct stream_packet *stream_find(struct stream *s, const struct coalesce_iov *iov,
                                                bool first)
{
    const uint8_t *base = iov->base;
    for (unsigned i = s->begun; i < s->n; i++) {
        struct stream_packet *k = &s->packets[i];
        if (base >= k->block && base < k->packet + k->len) {
            ASSERT(k->item == NO_ITEM); /* once only */
            ASSERT(base + iov->len == k->packet + k->len);
            ASSERT(first ? base == k->block : base > k->packet);
            return k;
        }
    }
    ASSERT(!"an iov that lies in no packet");
    return NULL;
}

/* Gathers and splits one item. */
static inline void stream_check_item(struct stream *s, const struct coalesce_item *it)
{
    static uint8_t frame[VNET_HDR_LEN + 65536], out[65536];
    struct stream_packet *packets[COALESCE_IOV_MAX];
    size_t len = 0;
    ASSERT(it->n_iov >= 1 && it->n_iov <= COALESCE_IOV_MAX);
    for (unsigned i = 0; i < it->n_iov; i++) {
        packets[i] = stream_find(s, &it->iov[i], i == 0);
        packets[i]->item = s->items;
        packets[i]->place = i;
        s->position[packets[i] - s->packets] = s->place++;
        ASSERT(it->iov[i].len <= sizeof frame - len);
        memcpy(frame + len, it->iov[i].base, it->iov[i].len);
        len += it->iov[i].len;
    }
    ASSERT(len == it->total);
    s->items++;
    struct vnet_hdr h;
    memcpy(&h, frame, sizeof h);
    if (it->n_iov == 1) {
        static const struct vnet_hdr zero;
        ASSERT(memcmp(&h, &zero, sizeof h) == 0);
        ASSERT(memcmp(frame + VNET_HDR_LEN, packets[0]->original, packets[0]->len) == 0);
        return;
    }
    struct segment_plan plan;
    ASSERT(segment_plan(&plan, &h, frame + VNET_HDR_LEN, len - VNET_HDR_LEN, 65535) == SEGMENT_OK);
    ASSERT(plan.n == it->n_iov);
    ASSERT(h.flags == VNET_F_NEEDS_CSUM && h.hdr_len == plan.header_len);
    ASSERT(h.csum_start == plan.l4_off && h.csum_offset == (h.gso_type == 5 ? 6 : 16));
    for (unsigned i = 0; i < plan.n; i++) {
        segment_write(&plan, i, out);
        stream_check_bytes(packets[i], out, segment_len(&plan, i));
    }
    /* The kernel's starting value: the pseudo-header over the whole, not complemented. */
    uint8_t *field = frame + VNET_HDR_LEN + h.csum_start + h.csum_offset;
    uint16_t start = load_be16(field);
    inner_be16(field, 0);
    uint8_t *p = frame + VNET_HDR_LEN;
    size_t ip_len = len - VNET_HDR_LEN;
    uint32_t l4 = inner_sum(p + h.csum_start, ip_len - h.csum_start, 0);
    uint32_t with_pseudo = inner_l4_sum(p, ip_len, h.csum_start, h.gso_type == 5 ? 17 : 6);
    ASSERT((start + l4) % 0xffff == with_pseudo % 0xffff);
}

/* Finishes the batch, checks what came out, and resets. */
static inline void stream_flush(struct stream *s, struct coalesce *c, unsigned until)
{
    coalesce_finish(c);
    for (unsigned i = 0; i < c->n; i++)
        stream_check_item(s, &c->items[i]);
    coalesce_reset(c);
    ASSERT(s->place == until); /* every packet came out */
    for (unsigned i = s->begun; i < until; i++)
        for (unsigned k = i + 1; k < until; k++) {
            const struct stream_packet *a = &s->packets[i], *b = &s->packets[k];
            if (stream_is_barrier(a) || stream_is_barrier(b) || stream_same_flow(a, b))
                ASSERT(s->position[i] < s->position[k]);
        }
    s->begun = until;
}

/* All packets, in batches of at most `batch`. */
static inline void stream_run(struct stream *s, struct coalesce *c, unsigned batch)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct stream_packet *k = &s->packets[i];
        if (i - s->begun == batch)
            stream_flush(s, c, i);
        if (!coalesce_add(c, k->packet, k->len, &k->view)) {
            ASSERT(c->n == COALESCE_ITEMS_MAX);
            stream_flush(s, c, i);
            ASSERT(coalesce_add(c, k->packet, k->len, &k->view));
        }
    }
    stream_flush(s, c, s->n);
}

#endif
