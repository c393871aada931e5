/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of everything that looks at an unauthenticated WireGuard datagram: classification, the gate, and the first
 * step of each handshake message. Whatever is accepted must be, byte for byte, what the known transcript holds.
 *
 * Input: flags, then the datagram. Flag 1: make mac1 valid first. 2: the gate is under load. 4: the source is IPv6.
 */
#include "control/wg/cookie.h"
#include "control/wg/noise.h"
#include "engine/cookie_gate.h"
#include "platform/base/bytes.h"
#include "tests/support/wg_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FLAG_MAC1 = 1,
    FLAG_LOAD = 2,
    FLAG_V6 = 4
};

static const time_ns now = 1000 * NS_PER_SEC;

static struct noise_identity initiator, responder;
static struct noise_remote to_responder, to_initiator;
static struct cookie_gate initiator_gate, responder_gate;
static bool ready;

static void prepare(void)
{
    noise_identity_init(&initiator, hs_si);
    noise_identity_init(&responder, hs_sr);
    noise_remote_init(&to_responder, &initiator, hs_sr_public, hs_psk);
    noise_remote_init(&to_initiator, &responder, hs_si_public, hs_psk);
    cookie_gate_init(&initiator_gate, hs_si_public, hs_cookie_secret);
    cookie_gate_init(&responder_gate, hs_sr_public, hs_cookie_secret);
    ready = true;
}

static bool same(const uint8_t *msg, const uint8_t *known, size_t from, size_t to)
{
    return memcmp(msg + from, known + from, to - from) == 0;
}

/* A reply that the gate makes must be one that the sender of the message accepts. */
static void check_reply(const struct cookie_gate *gate, const uint8_t *msg, size_t len,
                        const struct sock_addr *from, const uint8_t public_key[WG_KEY_LEN])
{
    uint8_t reply[WG_COOKIE_REPLY_LEN], copy[WG_HANDSHAKE_LEN_MAX];
    struct cookie c;
    cookie_gate_reply(gate, msg, len, from, hs_cookie_nonce, reply);
    ASSERT(wg_message_kind(reply, sizeof reply) == WG_KIND_COOKIE_REPLY);
    memcpy(copy, msg, len);
    cookie_init(&c, public_key);
    cookie_add_macs(&c, now, copy, len);
    ASSERT(same(copy, msg, 0, wg_mac2_offset(len)));
    ASSERT(cookie_consume_reply(&c, now, reply));
    cookie_add_macs(&c, now, copy, len);
    ASSERT(cookie_gate_check(gate, copy, len, from, true) == COOKIE_MAC2_VALID);
}

static bool passes(const struct cookie_gate *gate, uint8_t *msg, size_t len, uint8_t flags,
                   const uint8_t public_key[WG_KEY_LEN])
{
    struct sock_addr from = {.port = 51820};
    from.ip.family = flags & FLAG_V6 ? ADDR_V6 : ADDR_V4;
    memcpy(from.ip.bytes, (const uint8_t[]){192, 0, 2, 7}, 4);
    if (flags & FLAG_MAC1) {
        struct cookie c;
        uint8_t mac2[WG_MAC_LEN];
        memcpy(mac2, msg + wg_mac2_offset(len), sizeof mac2);
        cookie_init(&c, public_key);
        cookie_add_macs(&c, now, msg, len);
        memcpy(msg + wg_mac2_offset(len), mac2, sizeof mac2);
    }
    switch (cookie_gate_check(gate, msg, len, &from, flags & FLAG_LOAD)) {
    case COOKIE_MAC1_INVALID:
        ASSERT(!(flags & FLAG_MAC1));
        return false;
    case COOKIE_REPLY_NEEDED:
        ASSERT(flags & FLAG_LOAD);
        check_reply(gate, msg, len, &from, public_key);
        return false;
    case COOKIE_MAC1_VALID:
        ASSERT(!(flags & FLAG_LOAD));
        return true;
    case COOKIE_MAC2_VALID:
        ASSERT(flags & FLAG_LOAD);
        ASSERT(same(msg, hs_initiation_mac2, 0, WG_INITIATION_LEN));
        return true;
    }
    return false;
}

static void try_initiation(const uint8_t *msg)
{
    struct noise_opened opened;
    struct noise_remote remote = to_initiator;
    if (!noise_initiation_open(&opened, &responder, msg))
        return;
    ASSERT(same(msg, hs_initiation, WG_INITIATION_EPHEMERAL, WG_INITIATION_TIMESTAMP));
    if (noise_initiation_accept(&opened, &remote, now) != NOISE_OK) {
        ASSERT(memcmp(&remote, &to_initiator, sizeof remote) == 0);
        return;
    }
    ASSERT(same(msg, hs_initiation, WG_INITIATION_EPHEMERAL, WG_INITIATION_MAC1));
    ASSERT(noise_initiation_accept(&opened, &remote, now + NS_PER_SEC) != NOISE_OK);
}

static void try_response(const uint8_t *msg)
{
    struct noise_fresh fresh = {.local_index = HS_INDEX_I};
    struct noise_pending pending;
    struct noise_keys keys;
    uint8_t initiation[WG_INITIATION_LEN];
    memcpy(fresh.ephemeral, hs_ei, sizeof fresh.ephemeral);
    memcpy(fresh.timestamp, hs_timestamp, sizeof fresh.timestamp);
    ASSERT(noise_initiation_create(&pending, initiation, &initiator, &to_responder, &fresh));
    if (noise_response_consume(&keys, &pending, &initiator, &to_responder, msg))
        ASSERT(same(msg, hs_response, WG_RESPONSE_EPHEMERAL, WG_RESPONSE_MAC1));
}

static void try_cookie_reply(const uint8_t *msg)
{
    uint8_t initiation[WG_INITIATION_LEN];
    struct cookie c;
    memcpy(initiation, hs_initiation, sizeof initiation);
    cookie_init(&c, hs_sr_public);
    cookie_add_macs(&c, now, initiation, sizeof initiation);
    if (cookie_consume_reply(&c, now, msg))
        ASSERT(same(msg, hs_cookie_reply, 0, WG_COOKIE_REPLY_LEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t msg[WG_HANDSHAKE_LEN_MAX];
    if (!ready)
        prepare();
    if (size == 0)
        return 0;
    uint8_t flags = data[0];
    const uint8_t *bytes = data + 1;
    size_t len = size - 1;
    enum wg_kind kind = wg_message_kind(bytes, len);
    memcpy(msg, bytes, size_min(len, sizeof msg));

    switch (kind) {
    case WG_KIND_INITIATION:
        if (passes(&responder_gate, msg, len, flags, hs_sr_public))
            try_initiation(msg);
        break;
    case WG_KIND_RESPONSE:
        if (passes(&initiator_gate, msg, len, flags, hs_si_public))
            try_response(msg);
        break;
    case WG_KIND_COOKIE_REPLY:
        try_cookie_reply(msg);
        break;
    case WG_KIND_DATA:
        ASSERT(len >= WG_DATA_LEN_MIN && bytes[0] == 4);
        break;
    case WG_KIND_NONE:
        break;
    }
    ASSERT(kind == WG_KIND_NONE || (bytes[1] | bytes[2] | bytes[3]) == 0);
    return 0;
}
