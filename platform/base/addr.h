/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses, transport addresses and prefixes as plain values, with their text forms.
 * Portable, sans-IO; any thread.
 */
#ifndef FZ_BASE_ADDR_H
#define FZ_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "platform/base/err.h"

enum addr_family {
    ADDR_NONE = 0,
    ADDR_V4 = 4,
    ADDR_V6 = 6
};

/* An IP address. v4 uses bytes[0..3], network order; the rest is zero, so that memcmp compares. */
struct ip_addr {
    uint8_t family; /* enum addr_family */
    uint8_t bytes[16];
};

/* A transport address. scope: interface index of a link-local v6 address, else 0. */
struct sock_addr {
    struct ip_addr ip;
    uint16_t port; /* host order */
    uint32_t scope;
};

/* A prefix; bits beyond `len` are zero once ip_prefix_mask was called. */
struct ip_prefix {
    struct ip_addr ip;
    uint8_t len;
};

/* Where a datagram leaves: source address and interface; family ADDR_NONE means "the kernel chooses". */
struct ip_source {
    struct ip_addr ip;
    uint32_t ifindex;
};

enum {
    IP_TEXT_MAX = 46,
    SOCK_ADDR_TEXT_MAX = 64,
    IP_PREFIX_TEXT_MAX = 50
};

static inline uint8_t ip_addr_bits(const struct ip_addr *a)
{
    return a->family == ADDR_V4 ? 32 : 128;
}

static inline size_t ip_addr_len(const struct ip_addr *a)
{
    return a->family == ADDR_V4 ? 4 : 16;
}

static inline bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static inline bool sock_addr_equal(const struct sock_addr *a, const struct sock_addr *b)
{
    return a->port == b->port && a->scope == b->scope && ip_addr_equal(&a->ip, &b->ip);
}

/* From `4` or `16` network-order bytes. */
struct ip_addr ip_addr_v4(const void *bytes4);
struct ip_addr ip_addr_v6(const void *bytes16);

/* The prefix that has this address and no other. */
static inline struct ip_prefix ip_prefix_host(const struct ip_addr *ip)
{
    struct ip_prefix p = {.ip = *ip, .len = ip_addr_bits(ip)};
    return p;
}

/* Zeroes the host bits. */
void ip_prefix_mask(struct ip_prefix *p);

/* True if `a` is inside `p` (same family). */
bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a);

/* Text to value; the whole string must match, no white space. Return ERR_OK or ERR_PARSE. */
enum err ip_addr_parse(struct ip_addr *out, const char *text) MUST_USE;
/* "10.0.0.0/8", "::/0"; without "/len" a host prefix. Host bits are kept: mask them if wanted. */
enum err ip_prefix_parse(struct ip_prefix *out, const char *text) MUST_USE;
/* "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%3]:51820" (numeric scope only). */
enum err sock_addr_parse(struct sock_addr *out, const char *text) MUST_USE;

/* The index of the interface with this name; 0: there is none. */
typedef uint32_t (*ifindex_fn)(const char *name);
/*
 * An address without a port, `len` bytes: "192.0.2.1", "2001:db8::1", "fe80::1%3", "fe80::1%eth0". Only a link-local
 * one keeps its scope, whose name `ifindex` (NULL: numbers only) must know.
 */
enum err ip_scoped_parse(struct sock_addr *out, const char *text, size_t len,
                         ifindex_fn ifindex) MUST_USE;

/* Value to text, always terminated; return `buf`. Sizes: the *_TEXT_MAX constants above. */
const char *ip_addr_format(const struct ip_addr *a, char *buf, size_t size);
const char *ip_prefix_format(const struct ip_prefix *p, char *buf, size_t size);
const char *sock_addr_format(const struct sock_addr *a, char *buf, size_t size);

#endif
