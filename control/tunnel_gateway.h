/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gateway's clients may reach, as the workers see it (engine/grants.h): the grants of each peer (tunnel_p2p.h), and the real
 * addresses of names. Control role; of a tunnel with the gateway's role.
 */
#ifndef FZ_CONTROL_TUNNEL_GATEWAY_H
#define FZ_CONTROL_TUNNEL_GATEWAY_H

#include "control/tunnel_p2p.h"
#include "engine/grants.h"

/* All that it may reach from now on; before the first call that is nothing. Out of memory is fatal. */
void tunnel_gateway_grants(struct tunnel_peer *p, const struct engine_grants *grants);

/* The client with this number (tunnel_p2p_peer.group) is gone: what is known of its flows and names goes. */
void tunnel_gateway_forget(struct tunnel *t, uint32_t client);

/* Real addresses for a name's proxy addresses, on their way to the worker and back. Embedded in its owner, who keeps it in place. */
struct tunnel_translation {
    struct engine_translation engine; /* but for the slot */
    /* The worker has it. done: false: there is no room. May not call the tunnel but for tunnel_p2p_packet_to. */
    void (*done)(struct tunnel_translation *x, bool done);
};
/* `done` is called even if the peer is removed meanwhile, unless the tunnel goes before. */
void tunnel_gateway_translate(struct tunnel_peer *p, struct tunnel_translation *x);

#endif
