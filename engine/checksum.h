/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum (RFC 1071) at memory speed. Portable, sans-IO; any thread.
 *
 * A *sum* is a uint64_t: the ones' complement sum of 16-bit words as they lie in memory, not folded, not
 * complemented. What the functions below return is less than 2^34, so sums of pieces are simply added; every piece but
 * the last has an even length. Because words are taken in memory order, a 16- or 32-bit field loaded with memcpy is
 * a sum too, and checksum_fold gives a value that is stored with memcpy, never byte-swapped (RFC 1071 section 2 (B)).
 */
#ifndef FZ_CHECKSUM_H
#define FZ_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* init + the sum of the n bytes at `p`, any alignment. init: 0 or the sum of what lies before, of even length. */
uint64_t checksum_partial(const void *p, size_t n, uint64_t init);

/* As checksum_partial, and copies the bytes to `dst` in the same pass. The areas do not overlap. */
uint64_t checksum_copy(void *dst, const void *src, size_t n, uint64_t init);

/*
 * The pseudo-header sum of the packet at `ip` (RFC 9293 3.1, 8200 8.1): its addresses, `proto`, and `l4_len`, the
 * bytes of transport header and payload. Take IPv4 or IPv6 by name.
 */
static inline uint64_t checksum_pseudo_v4(const uint8_t *ip, uint8_t proto, uint32_t l4_len);
static inline uint64_t checksum_pseudo_v6(const uint8_t *ip, uint8_t proto, uint32_t l4_len);

/* A sum folded to 16 bits, in memory order, *not* complemented. 0 only if the sum is 0. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    uint64_t s = (sum & 0xffffffff) + (sum >> 32); /* 33 bits */
    s = (s & 0xffff) + (s >> 16);                  /* 18 bits */
    s = (s & 0xffff) + (s >> 16);                  /* 17 bits */
    return (uint16_t)((s & 0xffff) + (s >> 16));
}

/* The value of a checksum field: fold and complement. UDP sends 0xffff for 0 (RFC 768). */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

static inline uint16_t checksum_finish_udp(uint64_t sum)
{
    uint16_t c = (uint16_t)~checksum_fold(sum);
    return c != 0 ? c : 0xffff;
}

/* Stores a value of checksum_fold or checksum_finish. */
static inline void checksum_store(void *p, uint16_t value)
{
    memcpy(p, &value, sizeof value);
}

/* `value`, a number, as the sum of the two bytes it becomes on the wire. */
static inline uint64_t checksum_be16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint64_t checksum_be32(uint32_t value)
{
    return __builtin_bswap32(value);
}

/* The sum of 4 or 8 bytes at `p`, any alignment. */
static inline uint64_t checksum_load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t checksum_load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return (v & 0xffffffff) + (v >> 32);
}

static inline uint64_t checksum_pseudo_v4(const uint8_t *ip, uint8_t proto, uint32_t l4_len)
{
    return checksum_load64(ip + 12) + checksum_be32(l4_len) + checksum_be16(proto);
}

static inline uint64_t checksum_pseudo_v6(const uint8_t *ip, uint8_t proto, uint32_t l4_len)
{
    return checksum_load64(ip + 8) + checksum_load64(ip + 16) + checksum_load64(ip + 24) +
           checksum_load64(ip + 32) + checksum_be32(l4_len) + checksum_be16(proto);
}

#endif
