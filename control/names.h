/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that the client itself needs (the portal's), resolved so that the answer does not depend on its own tunnel: c-ares
 * asks given servers, the system's resolvers as they were captured before the tunnel took over DNS, from sockets that stay
 * out of it (egress.h); the hosts file is read, too. Runs on the control thread's loop, without threads. Control role.
 *
 * All servers are asked for A and AAAA at once, by UDP with one repetition after a second. If there is no address after 2 s,
 * not in the hosts file either, and not every question has an answer, those are asked once more by TCP.
 * DEVIATE: upstream does not repeat, and waits 2 s for every server. Here a dead server costs little beside a live one: when one
 * has answered both questions and there is an address, the others have NAMES_GRACE_MS left. Names in the hosts file are
 * compared without case, as the C library does.
 * Source: spec/portal.md 1.6, spec/platform.md 5.8.
 */
#ifndef FZ_CONTROL_NAMES_H
#define FZ_CONTROL_NAMES_H

#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    NAMES_SERVERS_MAX = 8,
    NAMES_ADDRS_MAX = 16,
    NAMES_WHY_MAX = 160,
    NAMES_TOTAL_MS = 5000, /* a lookup ends by then, whatever happens */
    NAMES_GRACE_MS = 250
};

struct names;
struct names_query;

struct names_result {
    /*
     * ERR_OK: n >= 1. ERR_NOT_FOUND: all that has answered says that there is no such name, or no address. ERR_AGAIN: no server
     * has answered, or could tell. ERR_PERMISSION: a socket cannot be kept out of the tunnel, trying again is of no use.
     */
    enum err err;
    /* Of the servers IPv6, then IPv4, then the hosts file's; with the port, without duplicates. */
    struct sock_addr addrs[NAMES_ADDRS_MAX];
    unsigned n;
    char why[NAMES_WHY_MAX]; /* on failure: one phrase that names the host */
};

/* Called once, from the loop and never from names_lookup itself, unless the query is cancelled. The query is gone then. */
typedef void (*names_done)(void *arg, const struct names_result *result);

/*
 * servers: with ports, scopes for link-local ones; copied. egress: of every socket; borrowed; NULL: none. hosts_path: "/etc/hosts" but
 * in tests; read anew for each lookup. ERR_NO_MEMORY, ERR_INVALID (servers).
 */
enum err names_new(struct names **out, struct loop *l, const struct sock_addr *servers, unsigned n,
                   const struct egress *egress, const char *hosts_path) MUST_USE;
/* Cancels all queries. NULL: nothing. */
void names_free(struct names *s);

/*
 * Other servers from now on (the system's have changed); queries under way go on with the old ones. n may be 0. ERR_INVALID: more
 * than NAMES_SERVERS_MAX, or one is no address; then nothing changes.
 */
enum err names_set_servers(struct names *s, const struct sock_addr *servers, unsigned n) MUST_USE;
/*
 * The network has changed: open sockets are given up, queries under way are sent again, to the servers of now. Their time
 * goes on.
 */
void names_roam(struct names *s);

/* host: a name, or a literal address (IPv6 without brackets), which is answered without asking anybody. ERR_NO_MEMORY. */
enum err names_lookup(struct names *s, struct names_query **out, const char *host, uint16_t port,
                      names_done done, void *arg) MUST_USE;
/* `done` is not called. NULL: nothing. */
void names_cancel(struct names_query *q);

#endif
