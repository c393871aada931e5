/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TUN egress: splits a super-packet (TSO, USO) into packets of wire size, written straight to their place in the
 * outgoing train. Portable, sans-IO, no allocation; worker role.
 *
 * segment_plan looks at the virtio header and the packet once, checks everything, and sums the parts of the headers
 * that all segments share; segment_write then emits one finished packet: headers, payload copied and summed in one
 * pass, checksums. Segments may be written in any order, and only some of them.
 * Source: virtio 1.2 section 5.1.6 (header), Linux TUN/TAP (native byte order, 10 bytes), RFC 9293, 3168 6.1.2 (CWR).
 */
#ifndef FZ_SEGMENT_H
#define FZ_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    VNET_HDR_LEN = 10,

    VNET_F_NEEDS_CSUM = 1, /* flags */

    VNET_GSO_NONE = 0, /* gso_type */
    VNET_GSO_TCPV4 = 1,
    VNET_GSO_TCPV6 = 4,
    VNET_GSO_UDP_L4 = 5,
    VNET_GSO_ECN = 0x80, /* ORed to a TCP type: the first segment carries CWR */

    SEGMENT_COUNT_MAX = 256
};

/* struct virtio_net_hdr as on the TUN descriptor; native byte order. */
struct vnet_hdr {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len; /* only a hint, never trusted */
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
};
_Static_assert(sizeof(struct vnet_hdr) == VNET_HDR_LEN, "the kernel's layout");

enum segment_status {
    SEGMENT_OK,
    SEGMENT_MALFORMED,   /* headers do not fit the packet, or each other */
    SEGMENT_TOO_BIG,     /* a resulting packet would be longer than mtu */
    SEGMENT_UNKNOWN_GSO, /* a gso_type we do not split */
    SEGMENT_TOO_MANY     /* more than SEGMENT_COUNT_MAX segments */
};

/* How to cut one packet. The first four fields are for the caller, the rest belongs to segment_write. */
struct segment_plan {
    uint32_t n;          /* segments, 1..SEGMENT_COUNT_MAX */
    uint32_t full_len;   /* IP length of segments 0..n-2 */
    uint32_t last_len;   /* IP length of segment n-1 */
    uint32_t header_len; /* IP + transport header; 0: one packet, not split */

    uint32_t size;         /* payload of a full segment */
    uint32_t seq;          /* TCP: sequence number of segment 0 */
    const uint8_t *packet; /* borrowed until the last segment_write */
    uint64_t l4_sum;       /* pseudo-header and transport header without what varies */
    uint32_t ip_sum;       /* v4 header without total length, id, checksum */
    uint16_t id;           /* v4: identification of segment 0 */
    uint16_t l4_off;       /* transport header; single packet: csum_start */
    uint16_t csum_off;     /* single packet: csum_offset */
    uint8_t kind;          /* enum segment_kind (segment.c) */
    uint8_t version;
    uint16_t flags_first; /* TCP bytes 12 and 13 (data offset, flags), host order: first, */
    uint16_t flags_mid;   /* middle */
    uint16_t flags_last;  /* and last segment; one segment: unchanged */
};

/*
 * Plans the packet at `packet` (`len` bytes, starting with the IP header) that came with virtio header `h`. mtu: the
 * largest inner IP packet permitted, up to 65535. `packet` is neither changed nor copied.
 *
 * gso NONE: one packet, whose checksum segment_write finishes if VNET_F_NEEDS_CSUM asks for it (csum_start and
 * csum_offset are bounds-checked; its IP header is not looked at). TCP and UDP_L4: the headers are taken from the packet,
 * whose IP length must be `len`; IPv4 with options and IPv6 with hop-by-hop or destination options are split, too;
 * fragments, other extension headers and empty payloads are malformed. An unknown type is seen first; then checks
 * come in the order of enum segment_status.
 */
enum segment_status segment_plan(struct segment_plan *s, const struct vnet_hdr *h,
                                 const uint8_t *packet, size_t len, uint32_t mtu) MUST_USE;

/* IP length of segment i. */
static inline uint32_t segment_len(const struct segment_plan *s, unsigned i)
{
    return i + 1 < s->n ? s->full_len : s->last_len;
}

/*
 * Writes packet i (i < s->n): exactly segment_len(s, i) bytes at `dst`, which does not overlap the super-packet.
 * IPv4 id += i; TCP seq += i * size, FIN and PSH on the last segment only, CWR on the first only.
 */
void segment_write(const struct segment_plan *s, unsigned i, uint8_t *dst);

#endif
