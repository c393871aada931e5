/* SPDX-License-Identifier: Apache-2.0 */
/* getaddrinfo. */
#include "platform/lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* False: neither IPv4 nor IPv6. */
static bool convert(struct sock_addr *out, const struct addrinfo *ai)
{
    memset(out, 0, sizeof *out);
    if (ai->ai_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, ai->ai_addr, sizeof in);
        out->ip = ip_addr_v4(&in.sin_addr);
        return true;
    }
    if (ai->ai_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, ai->ai_addr, sizeof in6);
        out->ip = ip_addr_v6(&in6.sin6_addr);
        out->scope = in6.sin6_scope_id;
        return true;
    }
    return false;
}

static bool known(const struct sock_addr *list, unsigned n, const struct sock_addr *addr)
{
    for (unsigned i = 0; i < n; i++) {
        if (sock_addr_equal(&list[i], addr))
            return true;
    }
    return false;
}

static enum err lookup_failed(int error)
{
    switch (error) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return ERR_NOT_FOUND;
    case EAI_AGAIN:
        return ERR_AGAIN;
    default:
        return ERR_IO;
    }
}

enum err lookup_host(const char *host, struct sock_addr *out, unsigned *n, char *why,
                     unsigned why_size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *list = NULL;

    *n = 0;
    int error = getaddrinfo(host, NULL, &hints, &list);
    if (error != 0) {
        snprintf(why, why_size, "%s", gai_strerror(error));
        return lookup_failed(error);
    }
    for (const struct addrinfo *ai = list; ai && *n < LOOKUP_MAX; ai = ai->ai_next) {
        if (convert(&out[*n], ai) && !known(out, *n, &out[*n]))
            ++*n;
    }
    freeaddrinfo(list);
    if (*n > 0)
        return ERR_OK;
    snprintf(why, why_size, "the name has no IP address");
    return ERR_NOT_FOUND;
}
