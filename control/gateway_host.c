/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_host.h. */
#include "control/gateway_host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/gateway_dns.h"
#include "control/member.h"
#include "control/tunnel_p2p.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/sentinel.h"
#include "platform/forwarding.h"

#define MODULE "gateway"

enum {
    REASON_MAX = 160
};

struct gateway_host {
    struct member *member;
    struct forwarding *forwarding; /* NULL: not ours to do */
    struct gateway_dns *dns;
    struct ip_addr ipv4, ipv6; /* on which it serves */
};

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    enum err err = ip_prefix_parse(&p, text);

    ASSERT(err == ERR_OK);
    return p;
}

enum err gateway_host_serve(struct gateway_host *h, char *why, unsigned why_size)
{
    const struct member *m = h->member;

    if (ip_addr_equal(&h->ipv4, &m->ipv4) && ip_addr_equal(&h->ipv6, &m->ipv6))
        return ERR_OK;
    h->ipv4 = m->ipv4;
    h->ipv6 = m->ipv6;
    return gateway_dns_serve(h->dns, &h->ipv4, &h->ipv6, GATEWAY_DNS_PORT, why, why_size);
}

/* A host that cannot be set up may be set up already, in another way. */
static enum err forward_packets(struct gateway_host *h, const struct ip_prefix *v4,
                                const struct ip_prefix *v6, char *why, unsigned why_size)
{
    enum err err =
        forwarding_new(&h->forwarding, tunnel_name(h->member->tunnel), v4, v6, why, why_size);
    size_t len = strlen(why);

    if (err != ERR_OK)
        snprintf(why + len, why_size - len, "; --no-forwarding leaves that to others");
    return err;
}

static enum err start(struct gateway_host *h, bool forward, char *why, unsigned why_size)
{
    /* Where all clients and gateways have their addresses. Source: spec/tunnel.md 1.1. */
    const struct ip_prefix v4 = prefix("100.64.0.0/11"), v6 = prefix("fd00:2021:1111::/107");
    const struct member *m = h->member;
    enum err err = ERR_OK;

    tunnel_p2p_route(m->tunnel, &v4, true);
    tunnel_p2p_route(m->tunnel, &v6, true);
    if (forward)
        err = forward_packets(h, &v4, &v6, why, why_size);
    if (err == ERR_OK)
        err = gateway_dns_new(&h->dns, m->loop, tunnel_name(m->tunnel), &m->egress, why, why_size);
    if (err == ERR_OK)
        err = gateway_host_serve(h, why, why_size);
    return err;
}

enum err gateway_host_new(struct gateway_host **out, struct member *m, bool forward, char *why,
                          unsigned why_size)
{
    struct gateway_host *h = mem_zalloc(1, sizeof *h);
    enum err err;

    *out = NULL;
    h->member = m;
    err = start(h, forward, why, why_size);
    if (err != ERR_OK) {
        gateway_host_free(h);
        return err;
    }
    gateway_host_resolvers(h);
    *out = h;
    return ERR_OK;
}

void gateway_host_free(struct gateway_host *h)
{
    if (!h)
        return;
    gateway_dns_free(h->dns);
    forwarding_free(h->forwarding);
    free(h);
}

void gateway_host_renew(struct gateway_host *h)
{
    if (h && h->forwarding)
        forwarding_renew(h->forwarding);
}

/* If they cannot be read, those that there were are asked on. */
void gateway_host_resolvers(struct gateway_host *h)
{
    struct sock_addr resolvers[RESOLVERS_MAX];
    char reason[REASON_MAX];
    unsigned n = 0, kept = 0;

    if (!h)
        return;
    if (dns_control_resolvers(h->member->dns, resolvers, &n, reason, sizeof reason) != ERR_OK) {
        log_warn(MODULE, "the system's resolvers cannot be read: %s", reason);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!sentinel_contains(&resolvers[i].ip))
            resolvers[kept++] = resolvers[i];
    }
    gateway_dns_set_resolvers(h->dns, resolvers, kept);
}

void gateway_host_log(const struct gateway_host *h)
{
    struct gateway_dns_counts c;

    if (!h)
        return;
    gateway_dns_counts(h->dns, &c);
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {{"passed_on", c.passed_on}, {"refused", c.refused},
                    {"malformed", c.malformed}, {"over_limit", c.over_limit},
                    {"failed", c.failed},       {"truncated", c.truncated}};
    for (unsigned i = 0; i < ARRAY_LEN(counters); i++) {
        if (counters[i].value > 0)
            log_info(MODULE, "counter dns_%s=%" PRIu64, counters[i].name, counters[i].value);
    }
}
