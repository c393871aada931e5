/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_host.h. */
#include "control/gateway_host.h"

#include <stdlib.h>

#include "control/tunnel.h"
#include "control/tunnel_p2p.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/forwarding.h"

struct gateway_host {
    struct forwarding *forwarding; /* NULL: not ours to do */
};

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    enum err err = ip_prefix_parse(&p, text);

    ASSERT(err == ERR_OK);
    return p;
}

enum err gateway_host_new(struct gateway_host **out, struct tunnel *t, bool forward, char *why,
                          unsigned why_size)
{
    /* Where all clients and gateways have their addresses. Source: spec/tunnel.md 1.1. */
    const struct ip_prefix v4 = prefix("100.64.0.0/11"), v6 = prefix("fd00:2021:1111::/107");
    struct gateway_host *h = mem_zalloc(1, sizeof *h);

    *out = NULL;
    tunnel_p2p_route(t, &v4, true);
    tunnel_p2p_route(t, &v6, true);
    if (forward) {
        enum err err = forwarding_new(&h->forwarding, tunnel_name(t), &v4, &v6, why, why_size);
        if (err != ERR_OK) {
            gateway_host_free(h);
            return err;
        }
    }
    *out = h;
    return ERR_OK;
}

void gateway_host_renew(struct gateway_host *h)
{
    if (h && h->forwarding)
        forwarding_renew(h->forwarding);
}

void gateway_host_free(struct gateway_host *h)
{
    if (!h)
        return;
    forwarding_free(h->forwarding);
    free(h);
}
