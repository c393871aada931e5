/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses at which our own DNS stub answers. A resolver with one of them is never asked: a file that was left behind must not
 * make us ask ourselves. Header only; any thread. Source: spec/platform.md 0.
 */
#ifndef FZ_BASE_SENTINEL_H
#define FZ_BASE_SENTINEL_H

#include "platform/base/addr.h"
#include "platform/base/bytes.h"

/* addr: 4 or 16 bytes. 100.100.111.0/24, fd00:2021:1111:8000:100:100:111:0/120. */
static inline bool sentinel_has(unsigned version, const uint8_t *addr)
{
    static const uint8_t v4[3] = {100, 100, 111};
    static const uint8_t v6[15] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0,
                                   1,    0, 1,    0,    1,    0x11, 0};

    return version == 4 ? memcmp(addr, v4, sizeof v4) == 0 : memcmp(addr, v6, sizeof v6) == 0;
}

static inline bool sentinel_contains(const struct ip_addr *ip)
{
    return sentinel_has(ip->family, ip->bytes);
}

#endif
