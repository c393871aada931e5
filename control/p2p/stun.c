/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of stun.h. */
#include "control/p2p/stun.h"

#include "control/p2p/stun_auth.h"
#include "platform/base/bytes.h"

enum {
    ATTR_HEADER_LEN = 4,
    WIRE_V4 = 1,
    WIRE_V6 = 2,
    COMPREHENSION_OPTIONAL = 0x8000
};

/* An attribute of the datagram. */
struct attr {
    uint16_t type, len, at; /* at: offset of the attribute */
    const uint8_t *value;
};

/* Header: method and class are interleaved, M11-M7 C1 M6-M4 C0 M3-M0. */
static bool parse_header(struct stun_message *out, const uint8_t *bytes, size_t len)
{
    uint16_t type;

    *out = (struct stun_message){.bytes = bytes};
    if (len < STUN_HEADER_LEN || len > UINT16_MAX || len % 4 != 0 || bytes[0] >> 6 != 0 ||
        (size_t)load_be16(bytes + 2) + STUN_HEADER_LEN != len ||
        load_be32(bytes + 4) != STUN_COOKIE)
        return false;
    type = load_be16(bytes);
    out->len = (uint16_t)len;
    out->method = (uint16_t)((type & 0x000f) | (type & 0x00e0) >> 1 | (type & 0x3e00) >> 2);
    out->class = (enum stun_class)((type >> 4 & 1) | (type >> 7 & 2));
    memcpy(out->id.bytes, bytes + 8, STUN_ID_LEN);
    return true;
}

static bool parse_text(struct stun_text *out, const struct attr *a, uint16_t max)
{
    if (a->len > max)
        return false;
    if (!out->bytes)
        *out = (struct stun_text){.bytes = a->value, .len = a->len};
    return true;
}

/* For what comes first; the value of a repeated attribute has to be well-formed, too. */
static bool is_first(struct stun_message *m, enum stun_has bit)
{
    if (m->has & bit)
        return false;
    m->has |= bit;
    return true;
}

static bool parse_address(struct sock_addr *out, const struct stun_message *m, const struct attr *a)
{
    uint8_t mask[16], ip[16];
    size_t n = a->len == 8 ? 4 : 16;

    if ((a->len != 8 && a->len != 20) || a->value[1] != (n == 4 ? WIRE_V4 : WIRE_V6))
        return false;
    store_be32(mask, STUN_COOKIE);
    memcpy(mask + 4, m->id.bytes, STUN_ID_LEN);
    for (size_t i = 0; i < n; i++)
        ip[i] = a->value[4 + i] ^ mask[i];
    *out = (struct sock_addr){.port = (uint16_t)(load_be16(a->value + 2) ^ STUN_COOKIE >> 16)};
    out->ip = n == 4 ? ip_addr_v4(ip) : ip_addr_v6(ip);
    return true;
}

static bool parse_first_address(struct sock_addr *out, const struct stun_message *m,
                                const struct attr *a)
{
    struct sock_addr addr;

    if (!parse_address(&addr, m, a))
        return false;
    if (out->ip.family == ADDR_NONE)
        *out = addr;
    return true;
}

static bool parse_relayed(struct stun_message *m, const struct attr *a)
{
    struct sock_addr addr;

    if (!parse_address(&addr, m, a))
        return false;
    return parse_first_address(addr.ip.family == ADDR_V4 ? &m->relayed4 : &m->relayed6, m, a);
}

static bool parse_error(struct stun_message *m, const struct attr *a)
{
    unsigned hundreds, rest;

    if (a->len < 4 || a->len - 4 > STUN_TEXT_MAX)
        return false;
    hundreds = a->value[2] & 7;
    rest = a->value[3];
    if (hundreds < 3 || hundreds > 6 || rest > 99)
        return false;
    if (is_first(m, STUN_HAS_ERROR)) {
        m->error = (uint16_t)(hundreds * 100 + rest);
        m->reason = (struct stun_text){.bytes = a->value + 4, .len = (uint16_t)(a->len - 4)};
    }
    return true;
}

static bool parse_family(uint8_t *out, const struct attr *a)
{
    if (a->len != 4 || (a->value[0] != WIRE_V4 && a->value[0] != WIRE_V6))
        return false;
    if (*out == ADDR_NONE)
        *out = a->value[0] == WIRE_V4 ? ADDR_V4 : ADDR_V6;
    return true;
}

static bool parse_u32(struct stun_message *m, enum stun_has bit, uint32_t *out,
                      const struct attr *a)
{
    if (a->len != 4)
        return false;
    if (is_first(m, bit))
        *out = load_be32(a->value);
    return true;
}

static bool parse_u64(struct stun_message *m, enum stun_has bit, uint64_t *out,
                      const struct attr *a)
{
    if (a->len != 8)
        return false;
    if (is_first(m, bit))
        *out = load_be64(a->value);
    return true;
}

/* CHANNEL-NUMBER and REQUESTED-TRANSPORT: a value and reserved bytes. */
static bool parse_padded(struct stun_message *m, const struct attr *a)
{
    if (a->len != 4)
        return false;
    if (a->type == STUN_CHANNEL_NUMBER && is_first(m, STUN_HAS_CHANNEL))
        m->channel = load_be16(a->value);
    if (a->type == STUN_REQUESTED_TRANSPORT && is_first(m, STUN_HAS_TRANSPORT))
        m->transport = a->value[0];
    return true;
}

static bool parse_use_candidate(struct stun_message *m, const struct attr *a)
{
    if (a->len != 0)
        return false;
    m->has |= STUN_HAS_USE_CANDIDATE;
    return true;
}

static bool parse_integrity(struct stun_message *m, const struct attr *a)
{
    if (a->len != STUN_INTEGRITY_LEN)
        return false;
    m->has |= STUN_HAS_INTEGRITY;
    m->integrity_at = a->at;
    return true;
}

/* Nothing follows it. */
static bool parse_fingerprint(struct stun_message *m, const struct attr *a)
{
    if (a->len != 4 || a->at + ATTR_HEADER_LEN + a->len != m->len)
        return false;
    m->has |= STUN_HAS_FINGERPRINT;
    m->fingerprint_at = a->at;
    return true;
}

bool stun_fingerprint_ok(const struct stun_message *m)
{
    return (m->has & STUN_HAS_FINGERPRINT) &&
           load_be32(m->bytes + m->fingerprint_at + ATTR_HEADER_LEN) ==
               stun_auth_fingerprint(m->bytes, m->fingerprint_at);
}

static bool parse_unknown(struct stun_message *m, const struct attr *a)
{
    if (a->type < COMPREHENSION_OPTIONAL && m->unknown == 0)
        m->unknown = a->type;
    return true;
}

static bool parse_attr(struct stun_message *m, const struct attr *a)
{
    if (a->type == STUN_FINGERPRINT)
        return parse_fingerprint(m, a);
    if (m->has & STUN_HAS_INTEGRITY) /* anybody may have added it */
        return true;
    switch (a->type) {
    case STUN_USERNAME:
        return parse_text(&m->username, a, STUN_USERNAME_MAX);
    case STUN_REALM:
        return parse_text(&m->realm, a, STUN_TEXT_MAX);
    case STUN_NONCE:
        return parse_text(&m->nonce, a, STUN_TEXT_MAX);
    case STUN_SOFTWARE:
        return parse_text(&m->software, a, STUN_TEXT_MAX);
    case STUN_MESSAGE_INTEGRITY:
        return parse_integrity(m, a);
    case STUN_ERROR_CODE:
        return parse_error(m, a);
    case STUN_UNKNOWN_ATTRIBUTES:
        return true;
    case STUN_CHANNEL_NUMBER:
    case STUN_REQUESTED_TRANSPORT:
        return parse_padded(m, a);
    case STUN_LIFETIME:
        return parse_u32(m, STUN_HAS_LIFETIME, &m->lifetime_s, a);
    case STUN_XOR_PEER_ADDRESS:
        return parse_first_address(&m->peer, m, a);
    case STUN_XOR_RELAYED_ADDRESS:
        return parse_relayed(m, a);
    case STUN_XOR_MAPPED_ADDRESS:
        return parse_first_address(&m->mapped, m, a);
    case STUN_REQUESTED_ADDRESS_FAMILY:
        return parse_family(&m->requested_family, a);
    case STUN_ADDITIONAL_ADDRESS_FAMILY:
        return parse_family(&m->additional_family, a);
    case STUN_PRIORITY:
        return parse_u32(m, STUN_HAS_PRIORITY, &m->priority, a);
    case STUN_USE_CANDIDATE:
        return parse_use_candidate(m, a);
    case STUN_ICE_CONTROLLED:
        return parse_u64(m, STUN_HAS_CONTROLLED, &m->controlled, a);
    case STUN_ICE_CONTROLLING:
        return parse_u64(m, STUN_HAS_CONTROLLING, &m->controlling, a);
    default:
        return parse_unknown(m, a);
    }
}

static bool parse_attrs(struct stun_message *m)
{
    for (size_t at = STUN_HEADER_LEN, next; at < m->len; at = next) {
        struct attr a = {.at = (uint16_t)at};
        if (m->len - at < ATTR_HEADER_LEN)
            return false;
        a.type = load_be16(m->bytes + at);
        a.len = load_be16(m->bytes + at + 2);
        a.value = m->bytes + at + ATTR_HEADER_LEN;
        next = at + ATTR_HEADER_LEN + ALIGN_UP((size_t)a.len, 4);
        if (next > m->len || !parse_attr(m, &a))
            return false;
    }
    return true;
}

enum err stun_parse(struct stun_message *out, const void *bytes, size_t len)
{
    if (!parse_header(out, bytes, len)) {
        *out = (struct stun_message){.len = 0};
        return ERR_INVALID;
    }
    if (!parse_attrs(out)) {
        *out = (struct stun_message){.method = out->method, .class = out->class, .id = out->id};
        return ERR_PARSE;
    }
    return ERR_OK;
}

bool stun_integrity_ok(const struct stun_message *m, const void *key, size_t key_len)
{
    uint8_t expected[STUN_INTEGRITY_LEN];
    bool equal;

    if (!(m->has & STUN_HAS_INTEGRITY))
        return false;
    stun_auth_integrity(expected, m->bytes, m->integrity_at, key, key_len);
    equal = ct_equal(expected, m->bytes + m->integrity_at + ATTR_HEADER_LEN, sizeof expected);
    secure_wipe(expected, sizeof expected);
    return equal;
}

bool stun_username_split(const struct stun_message *m, struct stun_text *receiver,
                         struct stun_text *sender)
{
    const struct stun_text *u = &m->username;
    const uint8_t *colon = u->len > 0 ? memchr(u->bytes, ':', u->len) : NULL;
    uint16_t before;

    if (!colon || colon + 1 == u->bytes + u->len)
        return false;
    before = (uint16_t)(colon - u->bytes);
    *receiver = (struct stun_text){.bytes = u->bytes, .len = before};
    *sender = (struct stun_text){.bytes = colon + 1, .len = (uint16_t)(u->len - before - 1)};
    return true;
}

bool stun_is_ice_request(const struct stun_message *m)
{
    const uint32_t needed = STUN_HAS_INTEGRITY | STUN_HAS_PRIORITY;
    struct stun_text receiver, sender;

    return m->method == STUN_BINDING && m->class == STUN_REQUEST && (m->has & needed) == needed &&
           stun_username_split(m, &receiver, &sender);
}

bool stun_is_ice_success(const struct stun_message *m)
{
    return m->method == STUN_BINDING && m->class == STUN_SUCCESS && m->has & STUN_HAS_INTEGRITY &&
           m->mapped.ip.family != ADDR_NONE;
}
