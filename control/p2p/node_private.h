/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the node (node.h) call of each other. Pure; control role. */
#ifndef FZ_CONTROL_P2P_NODE_PRIVATE_H
#define FZ_CONTROL_P2P_NODE_PRIVATE_H

#include "control/p2p/node.h"
#include "platform/base/bytes.h"

/* Random bytes; len: up to 64. */
void node_draw(struct node *n, void *out, size_t len);

/* The time of an input: a reading that is older than the last one counts as that. */
static inline time_ns node_advance(struct node *n, time_ns now)
{
    n->now = time_max(n->now, now);
    return n->now;
}

/* ---- node.c ---- */

static inline struct node_connection *node_of_all(struct node_link *l)
{
    return CONTAINER_OF(l, struct node_connection, all);
}

bool node_path_equal(const struct node_path *a, const struct node_path *b);
/* What does not fit into the queue of signals stays with the agent. */
void node_take_agent_events(struct node *n, struct node_connection *c, time_ns now);
/* Draws all conclusions from what has happened to the agent or its relay. */
void node_settle(struct node *n, struct node_connection *c, time_ns now);
/* It is in use: not idle any more, or not for a while. */
void node_active(struct node_connection *c, time_ns now);

/* ---- node_relays.c ---- */

/* The relay with this address; NULL: none. */
struct node_relay *node_relay_of(struct node *n, const struct sock_addr *server);
bool node_relay_is_old(const struct node *n, const struct ip_addr *ip);
/* Draws the conclusions of an input of the relay. */
void node_relay_settle(struct node *n, struct node_relay *r, time_ns now);
/* Removes relays that have failed, and finds another one for the connections that need one. */
void node_relays_step(struct node *n, time_ns now);
void node_relays_timeout(struct node *n, time_ns now);
time_ns node_relays_due(struct node *n);
/* Without conclusions: there is no connection. */
void node_relays_restart(struct node *n, time_ns now);
void node_relays_close(struct node *n, time_ns now);
void node_relay_wipe(struct node_relay *r);

/* ---- node_addresses.c ---- */

/* A relay for a new connection; NULL: none has answered. */
struct node_relay *node_relay_choose(struct node *n);
/* Gives the connection all that the relays know of our addresses; binds channels to the peer's. */
void node_relay_assign(struct node *n, struct node_connection *c, struct node_relay *r,
                       time_ns now);
/* A channel to the peer on the connection's relay, which has one. Not if it has had too many; a later try may do. */
void node_bind(struct node *n, struct node_connection *c, time_ns now,
               const struct sock_addr *peer);
/* No way through it works: whether it still has our allocation is asked now, not only when half of its lifetime is over. */
void node_relay_doubt(struct node_relay *r, time_ns now);
/* The same; gives the channel to send on; 0: none yet. */
uint16_t node_channel(struct node *n, struct node_connection *c, time_ns now,
                      const struct sock_addr *peer);
/* One of its candidates was added or has become invalid. */
void node_relay_candidate(struct node *n, const struct node_relay *r, const struct turn_event *e,
                          time_ns now);
/* Its relayed addresses, as far as connections know them, are not valid any more. */
void node_relay_invalidate(struct node *n, const struct node_relay *r, time_ns now);
/* channel: 0: all its channels have changed. */
void node_relay_channels(struct node *n, const struct node_relay *r, uint16_t channel, time_ns now);
/* Finds a relay for the connections that have none, */
void node_relays_migrate(struct node *n, time_ns now);
/* and one that has an allocation, if there is, for those whose relay has refused one. */
void node_relays_leave_refusing(struct node *n, time_ns now);
/* The connection is without relay. */
void node_relay_leave(struct node *n, struct node_connection *c);

#endif
