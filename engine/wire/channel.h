/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TURN channel data over UDP: a header of four bytes before the payload, no padding.
 *
 *    0               2               4
 *    +---------------+---------------+----------------+
 *    | channel number| length        | payload ...    |
 *    +---------------+---------------+----------------+
 *
 * Only channels 0x4000 to 0x4fff are used, so that the first byte tells them from STUN (0 to 3) and WireGuard (1 to 4
 * with three zero bytes). Source: RFC 8656 sections 12.4 and 12. Header only; any thread.
 */
#ifndef FZ_ENGINE_WIRE_CHANNEL_H
#define FZ_ENGINE_WIRE_CHANNEL_H

#include <stdint.h>

#include "platform/base/bytes.h"

enum {
    CHANNEL_HEADER_LEN = 4,
    CHANNEL_FIRST = 0x4000,
    CHANNEL_LAST = 0x4fff
};

/* The channel of an untrusted datagram whose length field is exactly right; 0: it is no channel data. */
static inline uint16_t channel_parse(const uint8_t *bytes, size_t len)
{
    if (len < CHANNEL_HEADER_LEN || bytes[0] >> 4 != CHANNEL_FIRST >> 12 ||
        load_be16(bytes + 2) != len - CHANNEL_HEADER_LEN)
        return 0;
    return load_be16(bytes);
}

static inline void channel_write(uint8_t *bytes, uint16_t channel, uint16_t payload_len)
{
    store_be16(bytes, channel);
    store_be16(bytes + 2, payload_len);
}

#endif
