/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What client and gateway tell each other about the names of DNS resources, as the control packets of engine/wire/inner.h:
 *
 *     client --- AssignedIps: the addresses that stand for a name ------------> gateway
 *     client <-- DomainStatus: packets to them get there from now on, or not -- gateway
 *
 * A packet of a peer is read without trust: what is wrong in it is noted, and it is to be passed over.
 * Pure; control role. Source: spec/tunnel.md 6.1, 6.2.
 */
#ifndef FZ_CONTROL_INNER_MESSAGE_H
#define FZ_CONTROL_INNER_MESSAGE_H

#include "control/portal/fields.h"
#include "engine/wire/inner.h"

enum {
    INNER_DOMAIN_MAX = 253, /* in presentation form, without the dot at the end */
    INNER_IPS_MAX = 32,     /* upstream sends 4 or 8 */
    INNER_PACKET_MAX = IPV6_MTU_MIN
};

struct inner_assigned_ips {
    struct uuid resource;
    char domain[INNER_DOMAIN_MAX + 2]; /* as it came: perhaps with a dot at the end */
    unsigned n;
    struct ip_addr ips[INNER_IPS_MAX];
};

struct inner_domain_status {
    struct uuid resource;
    char domain[INNER_DOMAIN_MAX + 2];
    bool active;
};

/*
 * packet: a control packet of this event (packet[INNER_OFF_EVENT]), `len` bytes, the IPv6 header included. False: it is malformed, and
 * `f->why` says where.
 */
bool inner_read_assigned_ips(struct inner_assigned_ips *m, const uint8_t *packet, size_t len,
                             struct fields *f);
bool inner_read_domain_status(struct inner_domain_status *m, const uint8_t *packet, size_t len,
                              struct fields *f);

/* Return the length of the packet; 0: it does not fit. The longest name does with twice the addresses that upstream sends. */
size_t inner_write_assigned_ips(uint8_t packet[INNER_PACKET_MAX],
                                const struct inner_assigned_ips *m);
size_t inner_write_domain_status(uint8_t packet[INNER_PACKET_MAX],
                                 const struct inner_domain_status *m);

/* The same name: case and a dot at the end do not matter. */
bool inner_domain_equal(const char *a, const char *b);

#endif
