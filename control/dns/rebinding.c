/* SPDX-License-Identifier: Apache-2.0 */
/* See rebinding.h. */
#include "control/dns/rebinding.h"

#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "platform/base/sentinel.h"

enum {
    LABEL_MAX = 63,
    POINTER = 0xc0, /* bits of its first byte of two */
    RECORD_FIXED = 10,
    OFF_LEN = 8,

    TYPE_A = 1,
    TYPE_AAAA = 28,
    TYPE_SVCB = 64,
    TYPE_HTTPS = 65,
    HINT_V4 = 4, /* keys of their parameters */
    HINT_V6 = 6
};

static bool is_ours(unsigned version, const uint8_t *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (version == 6 && memcmp(addr, mapped, sizeof mapped) == 0) {
        version = 4;
        addr += sizeof mapped;
    }
    return range_is_proxy(version, addr) || sentinel_has(version, addr);
}

static bool has_ours(unsigned version, const uint8_t *addrs, size_t len)
{
    size_t one = version == 4 ? 4 : 16;

    for (; len >= one; len -= one, addrs += one) {
        if (is_ours(version, addrs))
            return true;
    }
    return false;
}

/* Where the name at `at` ends; more than `len`: it does not. */
static size_t name_end(const uint8_t *bytes, size_t len, size_t at)
{
    while (at < len && bytes[at] != 0) {
        if (bytes[at] >= POINTER)
            return at + 2;
        if (bytes[at] > LABEL_MAX)
            return len + 1;
        at += 1u + bytes[at];
    }
    return at + 1;
}

static bool hints_are_ours(const uint8_t *data, size_t len)
{
    size_t at = name_end(data, len, 2); /* behind the priority */

    while (at + 4 <= len) {
        unsigned key = load_be16(data + at);
        size_t n = load_be16(data + at + 2);
        at += 4;
        if (n > len - at)
            break;
        if ((key == HINT_V4 && has_ours(4, data + at, n)) ||
            (key == HINT_V6 && has_ours(6, data + at, n)))
            return true;
        at += n;
    }
    return false;
}

bool dns_rebinds(const uint8_t *message, size_t len, size_t at)
{
    while ((at = name_end(message, len, at)) + RECORD_FIXED <= len) {
        unsigned type = load_be16(message + at);
        size_t n = load_be16(message + at + OFF_LEN);
        const uint8_t *data = message + at + RECORD_FIXED;
        at += RECORD_FIXED;
        if (n > len - at)
            break;
        if ((type == TYPE_A && has_ours(4, data, n)) ||
            (type == TYPE_AAAA && has_ours(6, data, n)) ||
            ((type == TYPE_SVCB || type == TYPE_HTTPS) && hints_are_ours(data, n)))
            return true;
        at += n;
    }
    return false;
}
