/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked what we do not know ourselves, and by which transport a question came. Values; control role. */
#ifndef FZ_CONTROL_DNS_SERVER_H
#define FZ_CONTROL_DNS_SERVER_H

#include <string.h>

#include "platform/base/addr.h"

enum {
    DNS_PORT = 53
};

enum dns_transport {
    DNS_UDP,
    DNS_TCP
};

enum dns_server_kind {
    DNS_DO53,
    DNS_DOH
};

struct dns_upstream {
    enum dns_server_kind kind;
    struct sock_addr server; /* DNS_DO53 */
    const char *url;         /* DNS_DOH: https; borrowed */
};

static inline bool dns_upstream_equal(const struct dns_upstream *a, const struct dns_upstream *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == DNS_DOH ? strcmp(a->url, b->url) == 0
                              : sock_addr_equal(&a->server, &b->server);
}

#endif
