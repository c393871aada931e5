/* SPDX-License-Identifier: Apache-2.0 */
/* Whose datagram it is: a relay's, an agent's, or WireGuard's; see node.h. Source: spec/p2p.md 3. */
#include "control/p2p/node_private.h"
#include "engine/wire/wg.h"

enum {
    STUN_BYTE_LAST = 3,
    CHANNEL_BYTE_FIRST = 0x40,
    CHANNEL_BYTE_LAST = 0x4f
};

/* A datagram on its way; what came through a relay is unwrapped in place. */
struct arrival {
    const uint8_t *bytes; /* at `offset` of what came */
    struct node_received *at;
};

/* A message of a relay. False: it is none. */
static bool from_relay(struct node *n, time_ns now, const struct arrival *a,
                       enum node_verdict *verdict)
{
    struct node_relay *r = node_relay_of(n, &a->at->from);
    struct stun_message m;

    if (stun_parse(&m, a->bytes, a->at->len) != ERR_OK)
        return false;
    if (r) {
        bool taken =
            turn_handle_input(&r->turn, now, &a->at->local, &a->at->from, a->bytes, a->at->len);
        *verdict = taken ? NODE_CONSUMED : NODE_DROP_RELAY;
        node_relay_settle(n, r, now);
        node_relays_step(n, now);
        return true;
    }
    *verdict = NODE_DROP_OLD_RELAY;
    return node_relay_is_old(n, &a->at->from.ip);
}

/* Channel data, which is unwrapped. False: it goes on, as it is or unwrapped. */
static bool from_channel(struct node *n, time_ns now, struct arrival *a, enum node_verdict *verdict)
{
    struct node_relay *r = node_relay_of(n, &a->at->from);
    uint16_t channel = channel_parse(a->bytes, a->at->len);
    struct sock_addr peer, local;

    if (channel == 0)
        return false;
    if (!r) {
        *verdict = NODE_DROP_OLD_RELAY;
        return node_relay_is_old(n, &a->at->from.ip);
    }
    *verdict = NODE_DROP_CHANNEL;
    if (!turn_peer_of(&r->turn, now, channel, &peer) ||
        !turn_relayed(&r->turn, (enum addr_family)peer.ip.family, &local))
        return true;
    turn_note_data_received(&r->turn, now, channel);
    r->stale = true;
    *a->at = (struct node_received){.local = local,
                                    .from = peer,
                                    .channel = channel,
                                    .offset = CHANNEL_HEADER_LEN,
                                    .len = a->at->len - CHANNEL_HEADER_LEN};
    a->bytes += CHANNEL_HEADER_LEN;
    return false;
}

/* The connection of a request: of those with its first name the one with both names, if there is. */
static struct node_connection *of_request(const struct node *n, const struct stun_message *m)
{
    struct stun_text own, remote;
    struct node_connection *found = NULL;
    struct node_map_entry *e = NULL;
    uint64_t hash;

    if (!stun_username_split(m, &own, &remote))
        return NULL;
    hash = node_hash(n->hash_secret, own.bytes, own.len);
    while ((e = node_map_find(&n->by_ufrag, hash, e))) {
        struct node_connection *c = CONTAINER_OF(e, struct node_connection, by_ufrag);
        if (ice_owns_request(&c->ice, m))
            return c;
        if (!found && stun_text_is(own, c->ice.own.ufrag))
            found = c;
    }
    return found;
}

static struct node_connection *of_answer(const struct node *n, const struct stun_message *m)
{
    struct node_map_entry *e = node_map_find(&n->by_tag, ice_id_tag(&m->id), NULL);

    return e ? CONTAINER_OF(e, struct node_connection, by_tag) : NULL;
}

static enum node_verdict to_agent(struct node *n, time_ns now, const struct arrival *a,
                                  const struct stun_message *m)
{
    bool request = stun_is_ice_request(m);
    bool answer = stun_is_ice_success(m) || (m->method == STUN_BINDING && m->class == STUN_ERROR);
    struct node_connection *c;
    enum ice_verdict verdict;

    if (!request && !answer)
        return NODE_DROP_STUN;
    c = request ? of_request(n, m) : of_answer(n, m);
    if (!c)
        return request ? NODE_DROP_STRANGER : NODE_DROP_ANSWER;
    verdict = ice_handle_input(&c->ice, now, &a->at->local, &a->at->from, m);
    n->refusals[verdict]++;
    node_settle(n, c, now);
    return verdict == ICE_VERDICT_ACCEPTED ? NODE_CONSUMED : NODE_DROP_AGENT;
}

static enum node_verdict demultiplex(struct node *n, time_ns now, struct arrival *a)
{
    enum node_verdict verdict;
    struct stun_message m;

    if (a->at->len == 0)
        return NODE_DROP_UNKNOWN;
    if (a->at->from.port == NODE_RELAY_PORT) {
        uint8_t first = a->bytes[0];
        if (first <= STUN_BYTE_LAST && from_relay(n, now, a, &verdict))
            return verdict;
        if (first >= CHANNEL_BYTE_FIRST && first <= CHANNEL_BYTE_LAST &&
            from_channel(n, now, a, &verdict))
            return verdict;
    }
    if (stun_parse(&m, a->bytes, a->at->len) == ERR_OK)
        return to_agent(n, now, a, &m);
    if (wg_message_kind(a->bytes, a->at->len) != WG_KIND_NONE)
        return NODE_WIREGUARD;
    return NODE_DROP_UNKNOWN;
}

enum node_verdict node_handle_input(struct node *n, time_ns now, const struct sock_addr *local,
                                    const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                    struct node_received *out)
{
    struct arrival a = {.bytes = bytes, .at = out};
    enum node_verdict verdict;

    now = node_advance(n, now);
    *out = (struct node_received){.local = *local, .from = *from, .len = len};
    verdict = demultiplex(n, now, &a);
    n->verdicts[verdict]++;
    return verdict;
}
