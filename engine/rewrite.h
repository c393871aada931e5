/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges an address and a port of a packet and keeps its checksums right (RFC 1624), also of a packet whose transport checksum is
 * still to be finished (virtio NEEDS_CSUM: the field holds the pseudo-header's sum). Portable, sans-IO; any thread.
 */
#ifndef FZ_REWRITE_H
#define FZ_REWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/wire/ip.h"

enum rewrite_end {
    REWRITE_SRC,
    REWRITE_DST
};

struct rewrite {
    enum rewrite_end addr_end,
        port_end; /* which address, and which port; of an echo there is only the identifier */
    const uint8_t *addr; /* the new one, of the packet's family */
    uint16_t port;       /* the new one */
    bool partial;        /* the transport checksum is not finished */
};

/* v: of this packet, which is TCP, UDP or an echo and accepted by ip_l4_valid; its ports follow. */
void rewrite_packet(struct ip_view *v, uint8_t *packet, const struct rewrite *r);

#endif
