/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses at which our own DNS stub answers. A resolver with one of them is never asked: a file that was left behind must not
 * make us ask ourselves. Header only; any thread. Source: spec/platform.md 0.
 */
#ifndef FZ_BASE_SENTINEL_H
#define FZ_BASE_SENTINEL_H

#include "platform/base/addr.h"
#include "platform/base/bytes.h"

static inline bool sentinel_contains(const struct ip_addr *ip)
{
    static const struct ip_prefix ranges[] = {
        {.ip = {.family = ADDR_V4, .bytes = {100, 100, 111}}, .len = 24},
        {.ip = {.family = ADDR_V6,
                .bytes = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0, 1, 0, 1, 0, 1, 0x11}},
         .len = 120},
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (ip_prefix_contains(&ranges[i], ip))
            return true;
    }
    return false;
}

#endif
