/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WireGuard on the wire: the four messages, their classification, and the protocol's constants.
 *
 * Source: "WireGuard: Next Generation Kernel Network Tunnel" (the paper), section 5.4 for the messages, 6 for the
 * timers. Integers are little-endian, offsets count from the first byte of the UDP payload. Header only; any thread.
 */
#ifndef FZ_ENGINE_WIRE_WG_H
#define FZ_ENGINE_WIRE_WG_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/time.h"

enum {
    WG_KEY_LEN = 32,
    WG_MAC_LEN = 16,
    WG_TAG_LEN = 16,
    WG_NONCE_LEN = 24, /* of a cookie reply */
    WG_COOKIE_LEN = 16,
    WG_TIMESTAMP_LEN = 12, /* TAI64N */
    WG_HANDSHAKE_LEN_MAX = 148
};

/* The first byte; the three that follow it are zero. */
enum wg_kind {
    WG_KIND_NONE = 0, /* not a well-formed message */
    WG_KIND_INITIATION = 1,
    WG_KIND_RESPONSE = 2,
    WG_KIND_COOKIE_REPLY = 3,
    WG_KIND_DATA = 4
};

/*
 * Initiation, section 5.4.2:
 *    0               4               8
 *    +-------+-------+---------------+-------------------------------+
 *    | 1     | 0 0 0 | sender index  | unencrypted ephemeral, 32     |
 *    +-------+-------+---------------+-------------------------------+
 *  40| encrypted static, 32 + 16     | 88: encrypted timestamp 12+16 |
 *    +-------------------------------+-------------------------------+
 * 116| mac1, 16                      | 132: mac2, 16                 |
 *    +-------------------------------+-------------------------------+ 148
 */
enum wg_initiation_layout {
    WG_INITIATION_SENDER = 4,
    WG_INITIATION_EPHEMERAL = 8,
    WG_INITIATION_STATIC = 40,
    WG_INITIATION_TIMESTAMP = 88,
    WG_INITIATION_MAC1 = 116,
    WG_INITIATION_MAC2 = 132,
    WG_INITIATION_LEN = 148
};

/*
 * Response, section 5.4.3:
 *    0               4               8               12
 *    +-------+-------+---------------+---------------+---------------+
 *    | 2     | 0 0 0 | sender index  | receiver index| ephemeral, 32 |
 *    +-------+-------+---------------+---------------+---------------+
 *  44| encrypted nothing, 0 + 16     | 60: mac1, 16  | 76: mac2, 16  |
 *    +-------------------------------+---------------+---------------+ 92
 */
enum wg_response_layout {
    WG_RESPONSE_SENDER = 4,
    WG_RESPONSE_RECEIVER = 8,
    WG_RESPONSE_EPHEMERAL = 12,
    WG_RESPONSE_NOTHING = 44,
    WG_RESPONSE_MAC1 = 60,
    WG_RESPONSE_MAC2 = 76,
    WG_RESPONSE_LEN = 92
};

/*
 * Cookie reply, section 5.4.7:
 *    0               4               8
 *    +-------+-------+---------------+-------------------------------+
 *    | 3     | 0 0 0 | receiver index| nonce, 24                     |
 *    +-------+-------+---------------+-------------------------------+
 *  32| encrypted cookie, 16 + 16                                     |
 *    +---------------------------------------------------------------+ 64
 */
enum wg_cookie_reply_layout {
    WG_COOKIE_REPLY_RECEIVER = 4,
    WG_COOKIE_REPLY_NONCE = 8,
    WG_COOKIE_REPLY_COOKIE = 32,
    WG_COOKIE_REPLY_LEN = 64
};

/*
 * Transport data, section 5.4.6:
 *    0               4               8               16
 *    +-------+-------+---------------+---------------+---------------+
 *    | 4     | 0 0 0 | receiver index| counter, 8    | packet + 16   |
 *    +-------+-------+---------------+---------------+---------------+ 32 + n
 */
enum wg_data_layout {
    WG_DATA_RECEIVER = 4,
    WG_DATA_COUNTER = 8,
    WG_DATA_PACKET = 16,
    WG_DATA_HEADER_LEN = 16,
    WG_DATA_LEN_MIN = 32, /* of a keepalive: an empty packet */
    WG_DATA_OVERHEAD = 32,
    WG_DATA_PADDING = 16 /* packets are padded to a multiple of this, not beyond the MTU */
};

/* Section 6.1, messages. */
#define WG_REKEY_AFTER_MESSAGES  (UINT64_C(1) << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13)) /* 2^64 - 2^13 - 1 */

/* Section 6.1, times. Names without a unit in the paper; here nanoseconds. */
#define WG_REKEY_AFTER_NS         (120 * NS_PER_SEC)
#define WG_REJECT_AFTER_NS        (180 * NS_PER_SEC)
#define WG_REKEY_ATTEMPT_NS       (90 * NS_PER_SEC)
#define WG_REKEY_TIMEOUT_NS       (5 * NS_PER_SEC)
#define WG_KEEPALIVE_TIMEOUT_NS   (10 * NS_PER_SEC)
#define WG_REKEY_JITTER_NS        (333 * NS_PER_MS) /* section 6.4: at most a third of a second */
#define WG_ZERO_KEYS_NS           (3 * WG_REJECT_AFTER_NS)
#define WG_COOKIE_LIFETIME_NS     (120 * NS_PER_SEC) /* section 5.4.7; also the secret's */
#define WG_INITIATION_INTERVAL_NS (20 * NS_PER_MS)   /* the kernel's: 50 per second and peer */

/* An initiator whose session is this old when data *arrives* starts over, so that a one-way flow never stops. */
#define WG_REKEY_ON_RECEIVE_NS (WG_REJECT_AFTER_NS - WG_KEEPALIVE_TIMEOUT_NS - WG_REKEY_TIMEOUT_NS)

/*
 * Classifies an untrusted datagram: type, zero reserved bytes, and exactly the size of a handshake message or at
 * least that of an empty data message. Fields of the layouts above may be read without further length checks.
 */
static inline enum wg_kind wg_message_kind(const uint8_t *bytes, size_t len)
{
    if (len < WG_DATA_LEN_MIN)
        return WG_KIND_NONE;
    switch (load_le32(bytes)) {
    case WG_KIND_DATA:
        return WG_KIND_DATA;
    case WG_KIND_INITIATION:
        return len == WG_INITIATION_LEN ? WG_KIND_INITIATION : WG_KIND_NONE;
    case WG_KIND_RESPONSE:
        return len == WG_RESPONSE_LEN ? WG_KIND_RESPONSE : WG_KIND_NONE;
    case WG_KIND_COOKIE_REPLY:
        return len == WG_COOKIE_REPLY_LEN ? WG_KIND_COOKIE_REPLY : WG_KIND_NONE;
    default:
        return WG_KIND_NONE;
    }
}

/* Offset of mac1 in a message that carries MACs (initiation, response): both end with mac1 and mac2. */
static inline size_t wg_mac1_offset(size_t len)
{
    return len - 2 * WG_MAC_LEN;
}

static inline size_t wg_mac2_offset(size_t len)
{
    return len - WG_MAC_LEN;
}

#endif
