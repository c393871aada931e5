/* SPDX-License-Identifier: Apache-2.0 */
/* Name lookup contract: the system's resolver. Blocks for as long as the system likes: helper threads only. */
#ifndef FZ_PLATFORM_LOOKUP_H
#define FZ_PLATFORM_LOOKUP_H

#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    LOOKUP_MAX = 16
};

/*
 * The addresses of `host` (a name or a literal, also with a named scope) in the system's order of preference; port 0,
 * scope filled, duplicates removed. n: 1..LOOKUP_MAX on ERR_OK. On failure (ERR_NOT_FOUND: no such name, ERR_AGAIN:
 * the resolver did not answer, ERR_IO) `why` is a short phrase.
 */
typedef enum err (*lookup_fn)(const char *host, struct sock_addr *out, unsigned *n, char *why,
                              unsigned why_size);

enum err lookup_host(const char *host, struct sock_addr *out, unsigned *n, char *why,
                     unsigned why_size) MUST_USE;

#endif
