/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS control contract: makes the system ask resolvers of ours, takes that back, and knows whom the system asks otherwise.
 * Control role. Source: spec/platform.md 2.5 and 2.6.
 *
 * Whatever happens to the process, the host gets its resolvers back: at its end by dns_control_free, after a crash by
 * dns_control_recover of the next run.
 */
#ifndef FZ_PLATFORM_DNS_CONTROL_H
#define FZ_PLATFORM_DNS_CONTROL_H

#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/loop.h"
#include "platform/resolvers.h"

struct dns_control;

enum dns_method {
    DNS_METHOD_DISABLED,
    DNS_METHOD_ETC_RESOLV_CONF,
    DNS_METHOD_SYSTEMD_RESOLVED
};

enum {
    DNS_SERVERS_MAX = 8,
    DNS_SEARCH_MAX = 6
};

/* What the system shall do. */
struct dns_settings {
    uint32_t tun_ifindex;
    const char *tun_name;
    struct ip_addr servers[DNS_SERVERS_MAX]; /* asked at port 53 */
    unsigned servers_n;                      /* 0: nothing is changed */
    const char *search[DNS_SEARCH_MAX];      /* domains; borrowed for the call */
    unsigned search_n;
};

/* Undoes what a run that was killed has left, whichever its method was; before any TUN is opened. Logs what it did. */
void dns_control_recover(void);

/* The method that fits how this system is set up. */
enum dns_method dns_control_guess(void);

/*
 * changed: the system's resolvers may be others now; also called once, from the loop, after this. On failure `why` is one
 * clear sentence that says what to do: the method is not to be had on this machine.
 */
enum err dns_control_new(struct dns_control **out, enum dns_method method, struct loop *l,
                         loop_fn changed, void *arg, char *why, unsigned why_size) MUST_USE;
/* Takes everything back first. NULL is fine. */
void dns_control_free(struct dns_control *c);

/* May be called again, with other settings. On failure the system asks whom it asked before, and `why` is one sentence. */
enum err dns_control_set(struct dns_control *c, const struct dns_settings *s, char *why,
                         unsigned why_size) MUST_USE;
void dns_control_revert(struct dns_control *c);
/* The system forgets the answers that it has kept. A failure is logged. */
void dns_control_flush(struct dns_control *c);

/* Whom the system asks on its own, in its order, with ports; what dns_control_set has put there is left out. */
enum err dns_control_resolvers(struct dns_control *c, struct sock_addr out[RESOLVERS_MAX],
                               unsigned *n, char *why, unsigned why_size) MUST_USE;

#endif
