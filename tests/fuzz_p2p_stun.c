/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the STUN parser: what it accepts lies within the datagram, and is the same after it was written and read again.
 * Input: a datagram, which is also tried with a header that fits its length.
 */
#include "control/p2p/stun.h"

#include "platform/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_MAX = 4096
};

static void check_text(const struct stun_message *m, struct stun_text t)
{
    ASSERT(t.bytes ? t.bytes >= m->bytes + STUN_HEADER_LEN && t.bytes + t.len <= m->bytes + m->len
                   : t.len == 0);
}

static void add_text(struct stun_writer *w, enum stun_attr attr, struct stun_text t)
{
    if (t.bytes)
        stun_add_bytes(w, attr, t.bytes, t.len);
}

static void add_address(struct stun_writer *w, enum stun_attr attr, const struct sock_addr *a)
{
    if (a->ip.family != ADDR_NONE)
        stun_add_address(w, attr, a);
}

static size_t write_again(uint8_t *buf, size_t size, const struct stun_message *m)
{
    struct stun_writer w;

    stun_begin(&w, buf, size, (enum stun_method)m->method, m->class, &m->id);
    add_text(&w, STUN_USERNAME, m->username);
    add_text(&w, STUN_REALM, m->realm);
    add_text(&w, STUN_NONCE, m->nonce);
    add_text(&w, STUN_SOFTWARE, m->software);
    add_address(&w, STUN_XOR_MAPPED_ADDRESS, &m->mapped);
    add_address(&w, STUN_XOR_PEER_ADDRESS, &m->peer);
    add_address(&w, STUN_XOR_RELAYED_ADDRESS, &m->relayed6);
    add_address(&w, STUN_XOR_RELAYED_ADDRESS, &m->relayed4);
    if (m->has & STUN_HAS_ERROR)
        stun_add_error(&w, m->error, "");
    if (m->has & STUN_HAS_CHANNEL)
        stun_add_channel(&w, m->channel);
    if (m->has & STUN_HAS_LIFETIME)
        stun_add_u32(&w, STUN_LIFETIME, m->lifetime_s);
    if (m->requested_family != ADDR_NONE)
        stun_add_family(&w, STUN_REQUESTED_ADDRESS_FAMILY, (enum addr_family)m->requested_family);
    if (m->additional_family != ADDR_NONE)
        stun_add_family(&w, STUN_ADDITIONAL_ADDRESS_FAMILY, (enum addr_family)m->additional_family);
    if (m->has & STUN_HAS_TRANSPORT)
        stun_add_transport(&w, m->transport);
    if (m->has & STUN_HAS_PRIORITY)
        stun_add_u32(&w, STUN_PRIORITY, m->priority);
    if (m->has & STUN_HAS_USE_CANDIDATE)
        stun_add_empty(&w, STUN_USE_CANDIDATE);
    if (m->has & STUN_HAS_CONTROLLED)
        stun_add_u64(&w, STUN_ICE_CONTROLLED, m->controlled);
    if (m->has & STUN_HAS_CONTROLLING)
        stun_add_u64(&w, STUN_ICE_CONTROLLING, m->controlling);
    if (m->has & STUN_HAS_INTEGRITY)
        stun_add_integrity(&w, "key", 3);
    if (m->has & STUN_HAS_FINGERPRINT)
        stun_add_fingerprint(&w);
    return stun_finish(&w);
}

static void check_same_text(struct stun_text a, struct stun_text b)
{
    ASSERT(!a.bytes == !b.bytes && a.len == b.len);
    ASSERT(a.len == 0 || memcmp(a.bytes, b.bytes, a.len) == 0);
}

static void check_same(const struct stun_message *a, const struct stun_message *b)
{
    ASSERT(a->method == b->method && a->class == b->class && stun_id_equal(&a->id, &b->id));
    ASSERT(a->has == b->has);
    check_same_text(a->username, b->username);
    check_same_text(a->realm, b->realm);
    check_same_text(a->nonce, b->nonce);
    check_same_text(a->software, b->software);
    ASSERT(sock_addr_equal(&a->mapped, &b->mapped) && sock_addr_equal(&a->peer, &b->peer));
    ASSERT(sock_addr_equal(&a->relayed4, &b->relayed4) &&
           sock_addr_equal(&a->relayed6, &b->relayed6));
    ASSERT(a->error == b->error && a->channel == b->channel && a->lifetime_s == b->lifetime_s);
    ASSERT(a->requested_family == b->requested_family &&
           a->additional_family == b->additional_family && a->transport == b->transport);
    ASSERT(a->priority == b->priority && a->controlled == b->controlled &&
           a->controlling == b->controlling);
    ASSERT(stun_is_ice_request(a) == stun_is_ice_request(b) &&
           stun_is_ice_success(a) == stun_is_ice_success(b));
}

static void check(const uint8_t *bytes, size_t len)
{
    static uint8_t again[2 * INPUT_MAX];
    struct stun_text receiver, sender;
    struct stun_message m, n;
    size_t again_len;

    if (stun_parse(&m, bytes, len) != ERR_OK)
        return;
    check_text(&m, m.username);
    check_text(&m, m.realm);
    check_text(&m, m.nonce);
    check_text(&m, m.software);
    check_text(&m, m.reason);
    if (stun_username_split(&m, &receiver, &sender)) {
        check_text(&m, receiver);
        check_text(&m, sender);
        ASSERT(receiver.len + 1 + sender.len == m.username.len && sender.len > 0);
    }
    (void)stun_integrity_ok(&m, "key", 3);
    again_len = write_again(again, sizeof again, &m);
    ASSERT(again_len > 0 && stun_parse(&n, again, again_len) == ERR_OK);
    check_same(&m, &n);
    ASSERT(n.unknown == 0);
    ASSERT(stun_integrity_ok(&n, "key", 3) == !!(n.has & STUN_HAS_INTEGRITY));
    ASSERT(stun_fingerprint_ok(&n) == !!(n.has & STUN_HAS_FINGERPRINT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t fitting[INPUT_MAX];

    if (size > INPUT_MAX)
        return 0;
    check(data, size);
    if (size < STUN_HEADER_LEN)
        return 0;
    size = size / 4 * 4;
    memcpy(fitting, data, size);
    fitting[0] &= 0x3f;
    store_be16(fitting + 2, (uint16_t)(size - STUN_HEADER_LEN));
    store_be32(fitting + 4, STUN_COOKIE);
    check(fitting, size);
    return 0;
}
