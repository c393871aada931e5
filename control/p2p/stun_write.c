/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of stun.h. */
#include "control/p2p/stun.h"
#include "control/p2p/stun_auth.h"
#include "platform/base/bytes.h"

enum {
    ATTR_HEADER_LEN = 4,
    WIRE_V4 = 1,
    WIRE_V6 = 2,
    ERROR_MIN = 300,
    ERROR_MAX = 699
};

void stun_begin(struct stun_writer *w, void *buf, size_t size, enum stun_method method,
                enum stun_class class, const struct stun_id *id)
{
    unsigned m = method, c = class;

    ASSERT(m < 1 << 12 && c < 4);
    *w = (struct stun_writer){.bytes = buf, .size = (uint16_t)size_min(size, UINT16_MAX)};
    if (w->size < STUN_HEADER_LEN) {
        w->failed = true;
        return;
    }
    store_be16(w->bytes, (uint16_t)((m & 0x00f) | (m & 0x070) << 1 | (m & 0xf80) << 2 |
                                    (c & 1) << 4 | (c & 2) << 7));
    store_be16(w->bytes + 2, 0);
    store_be32(w->bytes + 4, STUN_COOKIE);
    memcpy(w->bytes + 8, id->bytes, STUN_ID_LEN);
    w->len = STUN_HEADER_LEN;
}

/* Where the value of a new attribute goes, zeroed with its padding; NULL: no room. The length field covers it already. */
static uint8_t *add(struct stun_writer *w, enum stun_attr attr, size_t len)
{
    size_t padded = ALIGN_UP(len, 4);
    uint8_t *at = w->bytes + w->len;

    if (w->failed || len > UINT16_MAX || padded + ATTR_HEADER_LEN > (size_t)w->size - w->len) {
        w->failed = true;
        return NULL;
    }
    store_be16(at, (uint16_t)attr);
    store_be16(at + 2, (uint16_t)len);
    memset(at + ATTR_HEADER_LEN, 0, padded);
    w->len = (uint16_t)(w->len + ATTR_HEADER_LEN + padded);
    store_be16(w->bytes + 2, (uint16_t)(w->len - STUN_HEADER_LEN));
    return at + ATTR_HEADER_LEN;
}

static size_t bytes_max(enum stun_attr attr)
{
    return attr == STUN_USERNAME ? STUN_USERNAME_MAX : STUN_TEXT_MAX;
}

void stun_add_bytes(struct stun_writer *w, enum stun_attr attr, const void *value, size_t len)
{
    uint8_t *v = len <= bytes_max(attr) ? add(w, attr, len) : NULL;

    if (!v)
        w->failed = true;
    else if (len > 0)
        memcpy(v, value, len);
}

void stun_add_text(struct stun_writer *w, enum stun_attr attr, const char *text)
{
    stun_add_bytes(w, attr, text, strlen(text));
}

void stun_add_u32(struct stun_writer *w, enum stun_attr attr, uint32_t value)
{
    uint8_t *v = add(w, attr, 4);

    if (v)
        store_be32(v, value);
}

void stun_add_u64(struct stun_writer *w, enum stun_attr attr, uint64_t value)
{
    uint8_t *v = add(w, attr, 8);

    if (v)
        store_be64(v, value);
}

void stun_add_empty(struct stun_writer *w, enum stun_attr attr)
{
    add(w, attr, 0);
}

void stun_add_address(struct stun_writer *w, enum stun_attr attr, const struct sock_addr *addr)
{
    bool is_v4 = addr->ip.family == ADDR_V4;
    size_t n = is_v4 ? 4 : 16;
    uint8_t *v = is_v4 || addr->ip.family == ADDR_V6 ? add(w, attr, 4 + n) : NULL;

    if (!v) {
        w->failed = true;
        return;
    }
    v[1] = is_v4 ? WIRE_V4 : WIRE_V6;
    store_be16(v + 2, (uint16_t)(addr->port ^ STUN_COOKIE >> 16));
    /* Cookie and transaction id are the mask, as they stand in the header. */
    for (size_t i = 0; i < n; i++)
        v[4 + i] = addr->ip.bytes[i] ^ w->bytes[4 + i];
}

void stun_add_family(struct stun_writer *w, enum stun_attr attr, enum addr_family family)
{
    uint8_t *v = family != ADDR_NONE ? add(w, attr, 4) : NULL;

    if (v)
        v[0] = family == ADDR_V4 ? WIRE_V4 : WIRE_V6;
    else
        w->failed = true;
}

void stun_add_transport(struct stun_writer *w, uint8_t protocol)
{
    uint8_t *v = add(w, STUN_REQUESTED_TRANSPORT, 4);

    if (v)
        v[0] = protocol;
}

void stun_add_channel(struct stun_writer *w, uint16_t channel)
{
    uint8_t *v = add(w, STUN_CHANNEL_NUMBER, 4);

    if (v)
        store_be16(v, channel);
}

void stun_add_error(struct stun_writer *w, unsigned code, const char *reason)
{
    const uint8_t *text = (const uint8_t *)reason;
    size_t len = strlen(reason);
    bool ok = code >= ERROR_MIN && code <= ERROR_MAX && len <= STUN_TEXT_MAX;
    uint8_t *v = ok ? add(w, STUN_ERROR_CODE, 4 + len) : NULL;

    if (!v) {
        w->failed = true;
        return;
    }
    v[2] = (uint8_t)(code / 100);
    v[3] = (uint8_t)(code % 100);
    memcpy(v + 4, text, len);
}

void stun_add_integrity(struct stun_writer *w, const void *key, size_t key_len)
{
    uint16_t at = w->len;
    uint8_t *v = add(w, STUN_MESSAGE_INTEGRITY, STUN_INTEGRITY_LEN);

    if (v)
        stun_auth_integrity(v, w->bytes, at, key, key_len);
}

void stun_add_fingerprint(struct stun_writer *w)
{
    uint16_t at = w->len;
    uint8_t *v = add(w, STUN_FINGERPRINT, 4);

    if (v)
        store_be32(v, stun_auth_fingerprint(w->bytes, at));
}

size_t stun_finish(struct stun_writer *w)
{
    return w->failed ? 0 : w->len;
}
