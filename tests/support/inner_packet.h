/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner IP packets for tests: a description of one, a builder, and a checksum written byte by byte, which shares
 * nothing with the code under test. Include once per program.
 */
#ifndef FZ_TESTS_INNER_PACKET_H
#define FZ_TESTS_INNER_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* All fields may be zero; version 0 means 4, proto 0 means TCP, flags 0 means ACK. */
struct inner {
    unsigned version;
    unsigned proto;
    uint8_t src, dst; /* last byte of the addresses */
    uint16_t sport, dport;
    uint8_t tos, ttl;
    uint16_t id;
    uint16_t frag; /* v4 flags and offset; v6: a fragment header follows if not 0 */
    uint32_t flow; /* v6 flow label */
    unsigned
        ip_extra; /* bytes of v4 options (multiple of 4) or v6 hop-by-hop options (multiple of 8) */
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    unsigned tcp_extra;  /* bytes of TCP options, multiple of 4 */
    uint32_t tcp_option; /* their content */
    unsigned payload;
    uint32_t fill; /* seed of the payload */
    bool bad_l4_checksum, bad_ip_checksum, no_udp_checksum;
};

static inline void inner_be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void inner_be32(uint8_t *p, uint32_t v)
{
    inner_be16(p, v >> 16);
    inner_be16(p + 2, v & 0xffff);
}

/* Ones' complement sum of n bytes in network order, folded, not complemented. */
static inline uint16_t inner_sum(const uint8_t *p, size_t n, uint32_t init)
{
    uint64_t sum = init;
    for (size_t i = 0; i < n; i++)
        sum += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Sum of pseudo-header and transport part; 0xffff if the checksum in it is right. */
static inline uint16_t inner_l4_sum(const uint8_t *p, size_t len, size_t l4_off, unsigned proto)
{
    bool v4 = p[0] >> 4 == 4;
    uint8_t pseudo[40] = {0};
    size_t n = v4 ? 8 : 32;
    memcpy(pseudo, p + (v4 ? 12 : 8), n);
    inner_be32(pseudo + n, (uint32_t)(len - l4_off));
    inner_be32(pseudo + n + 4, proto);
    return inner_sum(p + l4_off, len - l4_off, inner_sum(pseudo, n + 8, 0));
}

static inline size_t inner_ip_header(uint8_t *p, const struct inner *s, unsigned proto,
                                     size_t l4_total)
{
    size_t off;
    if (s->version == 6) {
        size_t ext = s->ip_extra + (s->frag ? 8 : 0);
        off = 40;
        inner_be32(p, 6u << 28 | (uint32_t)s->tos << 20 | (s->flow & 0xfffff));
        inner_be16(p + 4, (uint32_t)(ext + l4_total));
        p[6] = (uint8_t)(s->ip_extra ? 0 : s->frag ? 44 : proto);
        p[7] = s->ttl;
        for (unsigned i = 0; i < 16; i++)
            p[8 + i] = p[24 + i] = (uint8_t)(0xfd * (i == 0));
        p[23] = s->src;
        p[39] = s->dst;
        if (s->ip_extra) {
            memset(p + off, 0, s->ip_extra);
            p[off] = (uint8_t)(s->frag ? 44 : proto);
            p[off + 1] = (uint8_t)(s->ip_extra / 8 - 1);
            p[off + 2] = 1; /* PadN */
            p[off + 3] = (uint8_t)(s->ip_extra - 4);
            off += s->ip_extra;
        }
        if (s->frag) {
            memset(p + off, 0, 8);
            p[off] = (uint8_t)proto;
            inner_be16(p + off + 2, s->frag == 0xffff ? 0 : s->frag); /* 0xffff: atomic */
            off += 8;
        }
        return off;
    }
    off = 20 + s->ip_extra;
    memset(p, 0, off);
    p[0] = (uint8_t)(0x40 | off / 4);
    p[1] = s->tos;
    inner_be16(p + 2, (uint32_t)(off + l4_total));
    inner_be16(p + 4, s->id);
    inner_be16(p + 6, s->frag);
    p[8] = s->ttl;
    p[9] = (uint8_t)proto;
    memcpy(p + 12, (const uint8_t[]){100, 64, 0, s->src, 100, 64, 1, s->dst}, 8);
    memset(p + 20, 1, s->ip_extra); /* no operation */
    inner_be16(p + 10, (uint16_t)~inner_sum(p, off, 0) ^ (s->bad_ip_checksum ? 0x0100u : 0));
    return off;
}

/* Writes the packet and returns its length. */
static inline size_t inner_build(uint8_t *p, const struct inner *s)
{
    unsigned proto = s->proto ? s->proto : 6;
    size_t l4_header = proto == 6 ? 20 + s->tcp_extra : 8;
    size_t l4_total = l4_header + s->payload;
    size_t off = inner_ip_header(p, s, proto, l4_total), at;
    uint8_t *l4 = p + off;
    memset(l4, 0, l4_header);
    inner_be16(l4, s->sport);
    inner_be16(l4 + 2, s->dport);
    if (proto == 6) {
        at = 16;
        inner_be32(l4 + 4, s->seq);
        inner_be32(l4 + 8, s->ack);
        l4[12] = (uint8_t)(l4_header / 4 << 4);
        l4[13] = s->flags ? s->flags : 0x10;
        inner_be16(l4 + 14, s->window);
        for (unsigned i = 0; i < s->tcp_extra; i += 4)
            inner_be32(l4 + 20 + i, s->tcp_option + i);
    } else {
        at = 6;
        inner_be16(l4 + 4, (uint32_t)l4_total);
    }
    uint32_t x = s->fill * 2654435761u + 1;
    for (unsigned i = 0; i < s->payload; i++) {
        x = x * 1664525u + 1013904223u;
        l4[l4_header + i] = (uint8_t)(x >> 24);
    }
    uint16_t sum = (uint16_t)~inner_l4_sum(p, off + l4_total, off, proto);
    if (proto == 17 && sum == 0)
        sum = 0xffff;
    if (s->bad_l4_checksum)
        sum ^= 0x5555;
    inner_be16(l4 + at, s->no_udp_checksum ? 0 : sum);
    return off + l4_total;
}

#endif
