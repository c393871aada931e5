/* SPDX-License-Identifier: Apache-2.0 */
/* See ice_message.h. */
#include "control/p2p/ice_message.h"

#include "platform/base/blake2s.h"
#include "platform/base/bytes.h"

enum {
    HASHED_LEN = 8, /* tag and serial */
    ROLE_CONFLICT = 487
};

/* Two ways of the same key: to mask the serial, and to authenticate the id. */
static void hash(uint8_t out[16], const uint8_t key[ICE_KEY_LEN], uint32_t tag, uint32_t serial,
                 char purpose)
{
    uint8_t in[HASHED_LEN + 1];

    store_be32(in, tag);
    store_be32(in + 4, serial);
    in[HASHED_LEN] = (uint8_t)purpose;
    blake2s_mac16(out, key, ICE_KEY_LEN, in, sizeof in);
}

static uint32_t mask(const uint8_t key[ICE_KEY_LEN], uint32_t tag)
{
    uint8_t out[16];
    hash(out, key, tag, 0, 'm');
    return load_be32(out);
}

struct stun_id ice_id_make(uint32_t tag, const uint8_t key[ICE_KEY_LEN], uint32_t serial)
{
    struct stun_id id;
    uint8_t out[16];

    hash(out, key, tag, serial, 'a');
    store_be32(id.bytes, tag);
    store_be32(id.bytes + 4, serial ^ mask(key, tag));
    memcpy(id.bytes + 8, out, 4);
    return id;
}

bool ice_id_open(const struct stun_id *id, uint32_t tag, const uint8_t key[ICE_KEY_LEN],
                 uint32_t *serial)
{
    struct stun_id made;

    if (ice_id_tag(id) != tag)
        return false;
    *serial = load_be32(id->bytes + 4) ^ mask(key, tag);
    made = ice_id_make(tag, key, *serial);
    return stun_id_equal(id, &made);
}

uint32_t ice_id_tag(const struct stun_id *id)
{
    return load_be32(id->bytes);
}

static size_t finish(struct stun_writer *w, const char *password)
{
    size_t len;

    stun_add_integrity(w, password, strlen(password));
    stun_add_fingerprint(w);
    len = stun_finish(w);
    ASSERT(len > 0);
    return len;
}

size_t ice_write_check(uint8_t out[ICE_DATAGRAM_MAX], const struct ice_check *check,
                       const struct ice_credentials *own, const struct ice_credentials *remote)
{
    char username[2 * ICE_UFRAG_MAX + 2];
    size_t before = strlen(remote->ufrag), after = strlen(own->ufrag);
    struct stun_writer w;

    memcpy(username, remote->ufrag, before);
    username[before] = ':';
    memcpy(username + before + 1, own->ufrag, after);
    stun_begin(&w, out, ICE_DATAGRAM_MAX, STUN_BINDING, STUN_REQUEST, &check->id);
    stun_add_bytes(&w, STUN_USERNAME, username, before + 1 + after);
    stun_add_u64(&w, check->role == ICE_CONTROLLING ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED,
                 check->tie_breaker);
    stun_add_u32(&w, STUN_PRIORITY, check->priority);
    if (check->use_candidate)
        stun_add_empty(&w, STUN_USE_CANDIDATE);
    return finish(&w, remote->password);
}

size_t ice_write_success(uint8_t out[ICE_DATAGRAM_MAX], const struct stun_id *id,
                         const struct sock_addr *mapped, const struct ice_credentials *own)
{
    struct stun_writer w;

    stun_begin(&w, out, ICE_DATAGRAM_MAX, STUN_BINDING, STUN_SUCCESS, id);
    stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, mapped);
    return finish(&w, own->password);
}

size_t ice_write_conflict(uint8_t out[ICE_DATAGRAM_MAX], const struct stun_id *id,
                          const struct ice_credentials *own)
{
    struct stun_writer w;

    stun_begin(&w, out, ICE_DATAGRAM_MAX, STUN_BINDING, STUN_ERROR, id);
    stun_add_error(&w, ROLE_CONFLICT, "Role Conflict");
    return finish(&w, own->password);
}
