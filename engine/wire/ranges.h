/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges that the tunnel has for itself, and in them the proxy addresses that stand for names of DNS resources: four of each
 * family per name, found by arithmetic from the name's index and back. Header only; any thread. Source: spec/tunnel.md 1.1, 7.5.
 */
#ifndef FZ_ENGINE_WIRE_RANGES_H
#define FZ_ENGINE_WIRE_RANGES_H

#include "platform/base/addr.h"
#include "platform/base/bytes.h"

enum {
    PROXY_PER_NAME = 4,                   /* addresses of each family */
    PROXY_V4_HOSTS = (1 << 21) - 2 - 256, /* of 100.96.0.0/11, without 100.100.111.0/24 */
    PROXY_NAMES = PROXY_V4_HOSTS / PROXY_PER_NAME
};

#define PROXY_NAME_NONE UINT32_MAX

/* The first of each range, and the sentinels within that of v4. */
#define PROXY_V4_FIRST    UINT32_C(0x64600001)
#define PROXY_V4_SENTINEL UINT32_C(0x64646f00)

/* Address `i`, below PROXY_PER_NAME, of a name below PROXY_NAMES. */
static inline struct ip_addr proxy_addr_v4(uint32_t name, unsigned i)
{
    uint32_t host = PROXY_V4_FIRST + name * PROXY_PER_NAME + i;
    uint8_t bytes[4];

    store_be32(bytes, host >= PROXY_V4_SENTINEL ? host + 256 : host);
    return ip_addr_v4(bytes);
}

static inline struct ip_addr proxy_addr_v6(uint32_t name, unsigned i)
{
    uint8_t bytes[16] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0};

    store_be32(bytes + 12, name * PROXY_PER_NAME + i);
    return ip_addr_v6(bytes);
}

/* The name that has the address, given or not; PROXY_NAME_NONE: it is no proxy address. */
static inline uint32_t proxy_name_v4(const uint8_t *bytes)
{
    uint32_t host = load_be32(bytes);

    if (host < PROXY_V4_FIRST || (host & 0xffffff00) == PROXY_V4_SENTINEL)
        return PROXY_NAME_NONE;
    host -= PROXY_V4_FIRST + (host > PROXY_V4_SENTINEL ? 256 : 0);
    return host / PROXY_PER_NAME < PROXY_NAMES ? host / PROXY_PER_NAME : PROXY_NAME_NONE;
}

static inline uint32_t proxy_name_v6(const uint8_t *bytes)
{
    static const uint8_t prefix[12] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0};
    uint32_t name = load_be32(bytes + 12) / PROXY_PER_NAME;

    return memcmp(bytes, prefix, sizeof prefix) == 0 && name < PROXY_NAMES ? name : PROXY_NAME_NONE;
}

/* addr: 4 or 16 bytes. It is of the ranges for hosts, names and stubs: 100.64.0.0/10, fd00:2021:1111::/48. */
static inline bool range_is_special(unsigned version, const uint8_t *addr)
{
    if (version == 4)
        return addr[0] == 100 && (addr[1] & 0xc0) == 64;
    return load_be32(addr) == 0xfd002021 && load_be16(addr + 4) == 0x1111;
}

/* It is of those for hosts: 100.64.0.0/11, fd00:2021:1111::/107. */
static inline bool range_is_host(unsigned version, const uint8_t *addr)
{
    static const uint8_t prefix[13] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11};

    if (version == 4)
        return addr[0] == 100 && (addr[1] & 0xe0) == 64;
    return memcmp(addr, prefix, sizeof prefix) == 0 && addr[13] < 32;
}

/* It is of those for names: 100.96.0.0/11, fd00:2021:1111:8000::/107. */
static inline bool range_is_proxy(unsigned version, const uint8_t *addr)
{
    static const uint8_t prefix[13] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80};

    if (version == 4)
        return addr[0] == 100 && (addr[1] & 0xe0) == 96;
    return memcmp(addr, prefix, sizeof prefix) == 0 && addr[13] < 32;
}

#endif
