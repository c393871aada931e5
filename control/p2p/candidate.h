/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICE candidates: addresses at which an end may be reached, their priorities, and their lines of text as the portal carries
 * them between two ends.
 *
 *     candidate:<foundation> 1 udp <priority> <ip> <port> typ <host|srflx|prflx|relay>[ raddr <ip> rport <port>][ ufrag <ufrag>]
 *
 * Pure; control role. Source: spec/p2p.md 6.1, 6.3, 6.5; RFC 8839 section 5.1 for the grammar.
 */
#ifndef FZ_CONTROL_P2P_CANDIDATE_H
#define FZ_CONTROL_P2P_CANDIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"

enum candidate_kind {
    CANDIDATE_HOST,
    CANDIDATE_SRFLX, /* server reflexive: our address as a relay sees it */
    CANDIDATE_PRFLX, /* peer reflexive: an address as the peer sees it */
    CANDIDATE_RELAY
};

enum candidate_transport {
    CANDIDATE_UDP,
    CANDIDATE_OTHER /* tcp, ssltcp, tls: understood, but never used */
};

enum {
    CANDIDATE_UFRAG_MAX = 256,
    CANDIDATE_LINE_MAX = 512,       /* of what we write, with its terminator */
    CANDIDATE_LINE_INPUT_MAX = 2048 /* longer lines are not read */
};

struct candidate {
    enum candidate_kind kind;
    enum candidate_transport transport;
    struct sock_addr addr;
    /* Where it is sent from: host, relay: `addr`; srflx, prflx: our host address. Of a parsed line: `addr`. */
    struct sock_addr base;
    /* Only a part of what identifies it: srflx, relay: the unspecified address and port 0. ADDR_NONE: none. */
    struct sock_addr raddr;
    /* relay of our own: our address towards the relay. ADDR_NONE else. */
    struct sock_addr local;
    uint32_t priority; /* 0: not yet known */
};

/* A parsed line. */
struct candidate_line {
    struct candidate candidate;
    const char *ufrag; /* of who sent it, borrowed from the line, not terminated; NULL: none */
    size_t ufrag_len;
};

/* A host, srflx, prflx or relay candidate of our own without priority. local: base of srflx and prflx, `local` of relay. */
struct candidate candidate_make(enum candidate_kind kind, const struct sock_addr *addr,
                                const struct sock_addr *local);

/*
 * False for addresses that cannot be a candidate's: unspecified, multicast, broadcast, IPv4 link-local, port 0. Loopback
 * is possible.
 */
bool candidate_addr_ok(const struct sock_addr *addr);

/*
 * The priority of a local candidate, which has its addresses. same_count: existing local candidates of the same kind and
 * family.
 */
uint32_t candidate_priority(const struct candidate *c, unsigned same_count);
/* The priority of a candidate as if it were peer reflexive, for the attribute PRIORITY of a check. */
uint32_t candidate_prflx_priority(uint32_t priority);

/* What an invalidation matches: address, base, raddr and kind. */
bool candidate_equal(const struct candidate *a, const struct candidate *b);

/*
 * ERR_PARSE: not a candidate line, of another component than 1, or with an address that cannot be a candidate's. A line of another
 * transport is no error. len: without a terminator.
 */
enum err candidate_parse(struct candidate_line *out, const char *line, size_t len) MUST_USE;

/*
 * The line, terminated. ufrag: NULL for an invalidation. Returns its length; 0: a ufrag that is none or longer than
 * CANDIDATE_UFRAG_MAX.
 */
size_t candidate_format(const struct candidate *c, const char *ufrag, char out[CANDIDATE_LINE_MAX]);

/* True for what may stand in a line as ufrag: letters, digits, '+' and '/', at most CANDIDATE_UFRAG_MAX of them. */
bool candidate_ufrag_ok(const char *ufrag);

/* "host", "srflx", ...; static. */
const char *candidate_kind_text(enum candidate_kind kind);

#endif
