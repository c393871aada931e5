/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TUN ingress: joins packets of one flow into super-packets (TSO, USO) as gather lists; payload is never copied.
 * Portable, sans-IO, no allocation; worker role. One struct coalesce serves one batch at a time:
 *
 *   coalesce_init once; then per batch: coalesce_add for each packet, coalesce_finish, write items[0..n) in order,
 *   coalesce_reset.
 *
 * A packet joins only the most recent item of its 5-tuple, and only if splitting the result gives the packet back
 * byte for byte (checksums are recomputed; the IPv4 id of packets with DF set becomes that of the first packet plus
 * the index). So these must be equal: the IP header (TOS with its ECN bits, TTL, DF; v6 traffic class, flow label, hop
 * limit), TCP acknowledgement number, window and options (Linux GRO, too, does not merge across a change of the
 * window). TCP flags are exactly ACK, plus PSH on the last packet; sequence numbers are contiguous; with DF clear so
 * are IPv4 ids. Payloads have the size of the first, the last one may be shorter.
 *
 * Order: items are written in order of creation, and a packet never passes an earlier one of its flow. Whatever cannot
 * join closes its flow's open item; a fragment, or a packet whose flow cannot be told, closes all.
 *
 * The IPv4 header checksum of every packet is checked before a merge. TCP and UDP checksums are checked only if
 * COALESCE_VERIFY asks for it: a merge replaces them by "the sender vouches for it". The AEAD proves that the packet is
 * what the peer read from its TUN device; a packet that was corrupt before, on its way to a peer that forwards,
 * then loses its wrong checksum and reaches the application.
 */
#ifndef FZ_COALESCE_H
#define FZ_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/segment.h"
#include "engine/wire/ip.h"

enum {
    COALESCE_TCP = 1, /* offloads */
    COALESCE_UDP = 2,
    COALESCE_VERIFY = 4, /* check TCP and UDP checksums before a merge, as the kernel's GRO does */

    COALESCE_ITEMS_MAX = 128,
    COALESCE_IOV_MAX =
        64, /* packets in one item; also the kernel's oldest limit for UDP segments */
    COALESCE_SLOTS = 256
};

/* Layout of struct iovec. */
struct coalesce_iov {
    void *base;
    size_t len;
};

/* One write to the TUN device. The first three fields are for the caller. One cache line. */
struct coalesce_item {
    struct coalesce_iov
        *iov;       /* [0]: virtio header and the first packet; [i]: payload of packet i */
    uint32_t n_iov; /* = packets in it, 1..COALESCE_IOV_MAX */
    uint32_t total; /* bytes of all iov, virtio header included */

    uint8_t *packet;   /* the first packet */
    uint32_t next_seq; /* TCP: sequence number that continues it */
    uint32_t epoch;    /* open while equal to coalesce.epoch */
    uint16_t size;     /* payload of the first packet */
    uint16_t header_len;
    uint16_t next_id; /* v4: id that continues it, if DF is clear */
    uint16_t varying; /* v4: folded sum of length, id and checksum, what may differ in a header */
    uint8_t l4_off;
    uint8_t version;
    uint8_t proto;
    uint8_t psh;             /* TCP_F_PSH if the last packet had it */
    uint16_t slot;           /* slots[] entry that names this item; COALESCE_SLOTS: none */
    struct coalesce_iov one; /* iov[0] of an item of one packet */
};

struct coalesce {
    uint32_t n;        /* items used */
    uint32_t epoch;    /* of open items; its next value closes all */
    uint32_t n_flows;  /* slots used */
    unsigned offloads; /* may be changed between batches */
    struct coalesce_item
        *recent; /* the item that took the last packet, or NULL: tried before any look-up */
    /* Open addressing by 5-tuple: tag in the high 24 bits, item index + 1 in the low 8; 0: free. */
    uint32_t slots[COALESCE_SLOTS];
    struct coalesce_item items[COALESCE_ITEMS_MAX] __attribute__((aligned(64)));
    /* One more than needed per item, so that lists of neighbours do not share cache sets. */
    struct coalesce_iov lists[COALESCE_ITEMS_MAX][COALESCE_IOV_MAX + 1];
};

/* offloads: COALESCE_TCP | COALESCE_UDP as the TUN device accepts, 0: never merge; COALESCE_VERIFY if wanted. */
void coalesce_init(struct coalesce *c, unsigned offloads);

/*
 * Adds the packet at `packet` (`len` bytes, `v` as ip_parse found it). At least VNET_HDR_LEN bytes before it are
 * writable and belong to it. False: all items are used, nothing was added; finish, write, reset, and add again.
 * The packet is borrowed, and changed by coalesce_finish, until coalesce_reset.
 */
bool coalesce_add(struct coalesce *c, uint8_t *packet, uint32_t len,
                  const struct ip_view *v) MUST_USE;

/* Writes lengths, checksums and virtio headers of the merged items; items[0..n) are then ready to be written. */
void coalesce_finish(struct coalesce *c);

/* Forgets all items, in time that depends on their number only. */
void coalesce_reset(struct coalesce *c);

#endif
