/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of the TURN client as bytes; spec/p2p.md 5.2. */
#include "control/p2p/turn_private.h"

static void add_credentials(const struct turn *t, struct turn_request *r, struct stun_writer *w)
{
    unsigned attempt = 1u << (r->attempts - 1);

    if (t->nonce_len == 0 && t->unauthenticated_challenges) {
        r->plain_mask |= (uint8_t)attempt;
        return;
    }
    stun_add_text(w, STUN_USERNAME, t->username);
    stun_add_text(w, STUN_REALM, TURN_REALM);
    if (t->nonce_len > 0) {
        stun_add_bytes(w, STUN_NONCE, t->nonce, t->nonce_len);
        r->nonce_mask |= (uint8_t)attempt;
    }
    stun_add_integrity(w, t->key, sizeof t->key);
}

void turn_message_build(const struct turn *t, struct turn_request *r, const struct turn_channel *c,
                        struct turn_datagram *out)
{
    struct stun_id id = turn_request_id(r);
    struct stun_writer w;

    out->to = t->servers[r->server];
    stun_begin(&w, out->bytes, sizeof out->bytes, (enum stun_method)r->method, STUN_REQUEST, &id);
    if (r->method == STUN_ALLOCATE) {
        stun_add_transport(&w, STUN_UDP);
        stun_add_family(&w, STUN_ADDITIONAL_ADDRESS_FAMILY, ADDR_V6);
    }
    if (c) {
        stun_add_address(&w, STUN_XOR_PEER_ADDRESS, &c->peer);
        stun_add_channel(&w, c->number);
    }
    stun_add_text(&w, STUN_SOFTWARE, TURN_SOFTWARE);
    if (r->deletes)
        stun_add_u32(&w, STUN_LIFETIME, 0);
    if (r->method != STUN_BINDING)
        add_credentials(t, r, &w);
    out->len = (uint16_t)stun_finish(&w);
    ASSERT(out->len > 0); /* credentials and nonce have limits */
}
