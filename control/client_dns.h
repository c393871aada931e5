/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the host of a client: the stub resolver (dns/service.h) with its ways in and out. Packets of the host to a sentinel come
 * as events of the tunnel and are answered by packets; whom the stub does not know is asked for outside the tunnel
 * (dns/upstream.h), or inside it when the server is a resource itself; names of a site are asked for at its gateway. The host
 * is told of the sentinels (dns_control.h).
 *
 *     host --stub packets--> +------------+ --recursion--> dns/upstream.h, l3_udp.h, l3_tcp.h
 *          <----answers----- | client_dns | --names------> access.h
 *     portal --servers-----> +------------+ --sentinels--> dns_control.h, tunnel_policy.h
 *
 * Control role. Source: spec/tunnel.md 4, 7.
 */
#ifndef FZ_CONTROL_CLIENT_DNS_H
#define FZ_CONTROL_CLIENT_DNS_H

#include "control/access.h"
#include "control/member.h"
#include "control/portal/messages.h"
#include "control/resources.h"

struct client_dns;

/* Both are borrowed. NULL: it cannot be; why: one sentence. */
struct client_dns *client_dns_new(struct member *m, struct access *a, char *why, unsigned why_size);
/* While the tunnel still stands. NULL is fine. */
void client_dns_free(struct client_dns *d);

/* The tunnel has come up. */
void client_dns_up(struct client_dns *d);
/* What the portal says of servers and the search domain; copied. */
void client_dns_settings(struct client_dns *d, const struct message_interface *from);
/* The system's own resolvers may be others now. */
void client_dns_resolvers(struct client_dns *d);
/* After access.h. */
void client_dns_resource(struct client_dns *d, enum resource_change change,
                         const struct resource *r);
/* Another network; after access_reset. */
void client_dns_moved(struct client_dns *d);

/* All that are not 0 (SIGUSR1). */
void client_dns_log(const struct client_dns *d);

/* Events of access and of the tunnel. */
void client_dns_granted(struct client_dns *d, const struct uuid *resource);
void client_dns_stub(struct client_dns *d, const uint8_t *packet, size_t len);
void client_dns_packet(struct client_dns *d, const uint8_t *packet, size_t len);

#endif
