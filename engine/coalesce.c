/* SPDX-License-Identifier: Apache-2.0 */
/* Joining packets: is it eligible, which item holds its flow, does it continue that item. */
#include "engine/coalesce.h"

#include <string.h>

#include "engine/checksum.h"
#include "platform/base/bytes.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    NO_SLOT = COALESCE_SLOTS,
    IP_LEN_MAX = 65535
};

_Static_assert(sizeof(struct coalesce_item) == CACHE_LINE, "one cache line per item");
_Static_assert(COALESCE_ITEMS_MAX <= 255, "an index and 0 fit a byte");
_Static_assert(2 * COALESCE_ITEMS_MAX <= COALESCE_SLOTS, "probing always finds a free slot");

/* What coalesce_add knows of the packet at hand. */
struct candidate {
    uint8_t *packet;
    uint32_t header_len; /* IP and transport; 0: not eligible for a merge */
    uint32_t payload;
    uint32_t l4_off;
    uint32_t ports; /* as they lie in memory */
    uint8_t version;
    uint8_t proto;
    uint8_t psh;
};

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t load64(const uint8_t *p)
{
    return load_le64(p);
}

/* Sum over a header of 20 bytes; 0xffff if its checksum is right. */
static inline uint16_t header_sum_v4(const uint8_t *p)
{
    return checksum_fold(checksum_load64(p) + checksum_load64(p + 8) + checksum_load32(p + 16));
}

/* Fills header_len, payload and psh if the packet may open an item; else header_len stays 0. */
static inline void judge(struct candidate *d, uint32_t len, const struct ip_view *v)
{
    const uint8_t *l4 = d->packet + d->l4_off;
    uint32_t l4_len = v->total_len - d->l4_off, l4_header = UDP_HEADER;
    if (d->proto == IP_PROTO_TCP) {
        if (l4_len < TCP_HEADER_MIN)
            return;
        l4_header = (l4[TCP_OFF_DATA] >> 4) * 4u;
        d->psh = l4[TCP_OFF_FLAGS] & TCP_F_PSH;
        uint16_t rest = load_be16(l4 + TCP_OFF_DATA) & (0x0fff & ~TCP_F_PSH);
        if (rest != TCP_F_ACK || l4_header < TCP_HEADER_MIN)
            return;
    } else if (l4_len < UDP_HEADER || load_be16(l4 + UDP_OFF_LEN) != l4_len ||
               load16(l4 + UDP_OFF_CHECKSUM) == 0) {
        return;
    }
    if (l4_header >= l4_len || len != v->total_len || len > IP_LEN_MAX)
        return;
    /* No options, no extension headers, header checksum right. */
    if (v->version == 4 ? d->l4_off != IPV4_HEADER_MIN || header_sum_v4(d->packet) != 0xffff
                        : d->l4_off != IPV6_HEADER)
        return;
    d->header_len = d->l4_off + l4_header;
    d->payload = l4_len - l4_header;
}

static inline uint64_t flow_hash(const struct candidate *d)
{
    const uint64_t k = UINT64_C(0x9e3779b97f4a7c15), k2 = UINT64_C(0xc2b2ae3d27d4eb4f);
    const uint8_t *p = d->packet;
    uint64_t h = (((uint64_t)d->proto << 32) + d->ports) * k2;
    if (d->version == 4) {
        h += load64(p + IPV4_OFF_SRC);
    } else {
        h += (load64(p + IPV6_OFF_SRC) + load64(p + IPV6_OFF_SRC + 8) * k) * k2;
        h += load64(p + IPV6_OFF_DST) + load64(p + IPV6_OFF_DST + 8) * k;
    }
    h ^= h >> 32;
    return h * k;
}

static inline bool same_flow(const struct coalesce_item *it, const struct candidate *d)
{
    const uint8_t *a = it->packet, *b = d->packet;
    if (it->version != d->version || it->proto != d->proto || load32(a + it->l4_off) != d->ports)
        return false;
    if (d->version == 4)
        return load64(a + IPV4_OFF_SRC) == load64(b + IPV4_OFF_SRC);
    a += IPV6_OFF_SRC;
    b += IPV6_OFF_SRC;
    return ((load64(a) ^ load64(b)) | (load64(a + 8) ^ load64(b + 8)) |
            (load64(a + 16) ^ load64(b + 16)) | (load64(a + 24) ^ load64(b + 24))) == 0;
}

/* The slot of the flow, or the free one where it belongs. */
static inline uint32_t find_slot(const struct coalesce *c, const struct candidate *d, uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 40), at = (uint32_t)(hash >> 32) % COALESCE_SLOTS;
    for (;; at = (at + 1) % COALESCE_SLOTS) {
        uint32_t entry = c->slots[at];
        if (entry == 0)
            return at;
        if (entry >> 8 == tag && same_flow(&c->items[(entry & 0xff) - 1], d))
            return at;
    }
}

/*
 * Differences in the fields of two IP headers without options that must be equal: all but length, id and checksum.
 * Words are little-endian: the first byte is the lowest.
 */
static inline uint64_t difference_v4(const uint8_t *a, const uint8_t *b)
{
    return ((load64(a) ^ load64(b)) & UINT64_C(0xffff00000000ffff)) |
           ((load64(a + 8) ^ load64(b + 8)) & UINT64_C(0xffffffff0000ffff)) |
           (load32(a + 16) ^ load32(b + 16));
}

static inline uint64_t difference_v6(const uint8_t *a, const uint8_t *b)
{
    return ((load64(a) ^ load64(b)) & UINT64_C(0xffff0000ffffffff)) |
           (load64(a + 8) ^ load64(b + 8)) | (load64(a + 16) ^ load64(b + 16)) |
           (load64(a + 24) ^ load64(b + 24)) | (load64(a + 32) ^ load64(b + 32));
}

/*
 * Sum of what difference_v4 leaves out, folded; never 0, since the length is not. Of two headers without a difference
 * and with equal sums either both have a right checksum or neither.
 */
static inline uint16_t varying_v4(const uint8_t *p)
{
    uint32_t len_id = load32(p + IPV4_OFF_TOTAL_LEN);
    uint32_t sum = (len_id & 0xffff) + (len_id >> 16) + load16(p + IPV4_OFF_CHECKSUM);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Differences of two TCP headers: all but ports, sequence number, PSH and checksum. */
static inline uint64_t difference_tcp(const uint8_t *a, const uint8_t *b, uint32_t header_len)
{
    uint64_t diff = load32(a + TCP_OFF_ACK) ^ load32(b + TCP_OFF_ACK);
    diff |= (load64(a + TCP_OFF_DATA) ^ load64(b + TCP_OFF_DATA)) & UINT64_C(0xffff0000fffff7ff);
    uint32_t i = TCP_HEADER_MIN;
    for (; i + 8 <= header_len; i += 8)
        diff |= load64(a + i) ^ load64(b + i);
    if (i < header_len)
        diff |= load32(a + i) ^ load32(b + i);
    return diff;
}

/*
 * Does the packet continue the item? The item's first packet was judged; one whose headers are equal to it needs
 * only the checks of what is not compared.
 */
ALWAYS_INLINE bool continues(const struct coalesce_item *it, const uint8_t *b, uint32_t len,
                             const struct ip_view *v)
{
    const uint8_t *a = it->packet;
    uint32_t payload = len - it->header_len; /* a short packet wraps around */
    if (payload - 1 >= it->size || len != v->total_len ||
        it->total + payload > IP_LEN_MAX + VNET_HDR_LEN || it->n_iov == COALESCE_IOV_MAX)
        return false;
    uint32_t l4_off = it->version == 4 ? IPV4_HEADER_MIN : IPV6_HEADER;
    if (load32(a + l4_off) != load32(b + l4_off)) /* ports; other flows end here */
        return false;
    if (it->version == 4) {
        bool id_matters = (b[IPV4_OFF_FRAG] & (IPV4_FRAG_DF >> 8)) == 0;
        if (difference_v4(a, b) != 0 || varying_v4(b) != it->varying ||
            (id_matters && load_be16(b + IPV4_OFF_ID) != it->next_id))
            return false;
    } else if (difference_v6(a, b) != 0) {
        return false;
    }
    a += l4_off;
    b += l4_off;
    if (it->proto == IP_PROTO_UDP)
        return load_be16(b + UDP_OFF_LEN) == payload + UDP_HEADER &&
               load16(b + UDP_OFF_CHECKSUM) != 0;
    return load_be32(b + TCP_OFF_SEQ) == it->next_seq &&
           difference_tcp(a, b, it->header_len - l4_off) == 0;
}

static bool l4_sum_right(const struct coalesce_item *it, const uint8_t *p, uint32_t payload)
{
    uint32_t l4_len = it->header_len - it->l4_off + payload;
    uint64_t pseudo = it->version == 4 ? checksum_pseudo_v4(p, it->proto, l4_len)
                                       : checksum_pseudo_v6(p, it->proto, l4_len);
    return checksum_fold(checksum_partial(p + it->l4_off, l4_len, pseudo)) == 0xffff;
}

/* COALESCE_VERIFY: the sum of a packet, and of the first one when it gets company. Their headers are equal. */
static bool sums_right(const struct coalesce_item *it, const uint8_t *packet, uint32_t payload)
{
    return l4_sum_right(it, packet, payload) &&
           (it->n_iov > 1 || l4_sum_right(it, it->packet, it->size));
}

/* True: the packet is now the last one of the item. */
ALWAYS_INLINE bool join(struct coalesce *c, struct coalesce_item *it, uint8_t *packet, uint32_t len,
                        const struct ip_view *v)
{
    if (it->epoch != c->epoch || !continues(it, packet, len, v))
        return false;
    uint32_t payload = len - it->header_len;
    if (UNLIKELY((c->offloads & COALESCE_VERIFY) != 0 && !sums_right(it, packet, payload)))
        return false;
    if (it->n_iov == 1) {
        it->iov = c->lists[it - c->items];
        it->iov[0] = it->one;
    }
    it->iov[it->n_iov++] = (struct coalesce_iov){packet + it->header_len, payload};
    it->total += payload;
    it->next_seq += payload;
    it->next_id++;
    if (it->proto == IP_PROTO_TCP)
        it->psh = packet[it->l4_off + TCP_OFF_FLAGS] & TCP_F_PSH;
    if (it->psh || payload < it->size)
        it->epoch = c->epoch - 1;
    return true;
}

/* A new item of one packet; NULL: all are used. */
static inline struct coalesce_item *append(struct coalesce *c, uint8_t *packet, uint32_t len)
{
    if (UNLIKELY(c->n == COALESCE_ITEMS_MAX))
        return NULL;
    struct coalesce_item *it = &c->items[c->n++];
    memset(packet - VNET_HDR_LEN, 0, VNET_HDR_LEN);
    it->one = (struct coalesce_iov){packet - VNET_HDR_LEN, len + VNET_HDR_LEN};
    it->iov = &it->one;
    it->n_iov = 1;
    it->total = len + VNET_HDR_LEN;
    it->slot = NO_SLOT;
    return it;
}

/* Makes the newest item the one that its flow continues. */
static inline void open_item(struct coalesce *c, struct coalesce_item *it,
                             const struct candidate *d, uint32_t slot, uint64_t hash)
{
    const uint8_t *p = d->packet;
    it->packet = d->packet;
    it->next_seq = load_be32(p + d->l4_off + TCP_OFF_SEQ) + d->payload; /* UDP: unused */
    it->epoch = c->epoch;
    it->size = (uint16_t)d->payload;
    it->header_len = (uint16_t)d->header_len;
    it->varying = varying_v4(p);
    it->next_id = (uint16_t)(load_be16(p + IPV4_OFF_ID) + 1); /* v6: unused */
    it->l4_off = (uint8_t)d->l4_off;
    it->version = d->version;
    it->proto = d->proto;
    it->psh = 0;
    it->slot = (uint16_t)slot;
    c->n_flows += c->slots[slot] == 0;
    c->slots[slot] = (uint32_t)(hash >> 40) << 8 | c->n;
    c->recent = it;
}

void coalesce_init(struct coalesce *c, unsigned offloads)
{
    c->n = 0;
    c->epoch = 1;
    c->n_flows = 0;
    c->recent = NULL;
    c->offloads = offloads;
    memset(c->slots, 0, sizeof c->slots);
}

/* The packet does not continue the most recent item. Its flow may have another one. Kept out of the short path. */
static __attribute__((noinline)) bool add_to_flow(struct coalesce *c, uint8_t *packet, uint32_t len,
                                                  const struct ip_view *v)
{
    struct candidate d = {.packet = packet,
                          .l4_off = v->l4_off,
                          .ports = load32(packet + v->l4_off),
                          .version = v->version,
                          .proto = v->proto};
    uint64_t hash = flow_hash(&d);
    uint32_t slot = find_slot(c, &d, hash);
    if (c->slots[slot] != 0) {
        struct coalesce_item *it = &c->items[(c->slots[slot] & 0xff) - 1];
        if (join(c, it, packet, len, v)) {
            c->recent = it;
            return true;
        }
        it->epoch = c->epoch - 1;
    }
    judge(&d, len, v);
    struct coalesce_item *it = append(c, packet, len);
    if (it != NULL && d.header_len != 0 && !d.psh)
        open_item(c, it, &d, slot, hash);
    return it != NULL;
}

bool coalesce_add(struct coalesce *c, uint8_t *packet, uint32_t len, const struct ip_view *v)
{
    if (LIKELY(c->recent != NULL) && join(c, c->recent, packet, len, v))
        return true;
    bool flow = v->proto == IP_PROTO_TCP || v->proto == IP_PROTO_UDP;
    if (UNLIKELY(v->l4_off == 0 || v->fragment || (flow && v->total_len - v->l4_off < 4))) {
        c->epoch++; /* it may belong to any flow: all items close */
        return append(c, packet, len) != NULL;
    }
    unsigned offload = v->proto == IP_PROTO_TCP ? COALESCE_TCP : COALESCE_UDP;
    if (flow && (c->offloads & offload) != 0)
        return add_to_flow(c, packet, len, v);
    return append(c, packet, len) != NULL;
}

/* v4: total length and header checksum, RFC 1624 since the old one was right. v6: payload length. */
static void finish_ip(uint8_t *p, uint8_t version, uint32_t ip_len)
{
    if (version == 6) {
        store_be16(p + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(ip_len - IPV6_HEADER));
        return;
    }
    uint64_t sum = (uint16_t)~load16(p + IPV4_OFF_CHECKSUM) +
                   (uint64_t)(uint16_t)~load16(p + IPV4_OFF_TOTAL_LEN);
    store_be16(p + IPV4_OFF_TOTAL_LEN, (uint16_t)ip_len);
    checksum_store(p + IPV4_OFF_CHECKSUM, checksum_finish(sum + checksum_be16((uint16_t)ip_len)));
}

static void finish_item(const struct coalesce_item *it)
{
    uint8_t *p = it->packet, *l4 = p + it->l4_off;
    uint32_t ip_len = it->total - VNET_HDR_LEN, l4_len = ip_len - it->l4_off;
    struct vnet_hdr h = {.flags = VNET_F_NEEDS_CSUM,
                         .gso_type = VNET_GSO_UDP_L4,
                         .hdr_len = it->header_len,
                         .gso_size = it->size,
                         .csum_start = it->l4_off,
                         .csum_offset = UDP_OFF_CHECKSUM};
    finish_ip(p, it->version, ip_len);
    if (it->proto == IP_PROTO_TCP) {
        h.gso_type = it->version == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
        h.csum_offset = TCP_OFF_CHECKSUM;
        l4[TCP_OFF_FLAGS] |= it->psh;
    } else {
        store_be16(l4 + UDP_OFF_LEN, (uint16_t)l4_len);
    }
    /* The kernel adds the rest when it splits, and complements. */
    uint64_t pseudo = it->version == 4 ? checksum_pseudo_v4(p, it->proto, l4_len)
                                       : checksum_pseudo_v6(p, it->proto, l4_len);
    checksum_store(l4 + h.csum_offset, checksum_fold(pseudo));
    memcpy(p - VNET_HDR_LEN, &h, sizeof h);
}

void coalesce_finish(struct coalesce *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->items[i].n_iov > 1)
            finish_item(&c->items[i]);
}

void coalesce_reset(struct coalesce *c)
{
    for (uint32_t i = 0; i < c->n && c->n_flows != 0; i++)
        if (c->items[i].slot != NO_SLOT)
            c->slots[c->items[i].slot] = 0;
    c->n = 0;
    c->n_flows = 0;
    c->recent = NULL;
}
