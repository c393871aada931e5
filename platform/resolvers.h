/* SPDX-License-Identifier: Apache-2.0 */
/* Resolvers contract: which DNS servers the system uses. Control role. Source: spec/platform.md 2.5 and 5.8. */
#ifndef FZ_PLATFORM_RESOLVERS_H
#define FZ_PLATFORM_RESOLVERS_H

#include <stddef.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    RESOLVERS_MAX = 8
};

/*
 * The servers of `path` (NULL: the system's own /etc/resolv.conf) in its order, with port 53 and the scope of link-local ones; more
 * than RESOLVERS_MAX are left out. A file without any, or no file, means 127.0.0.1, as for the C library. On failure (ERR_PERMISSION,
 * ERR_IO) `why` is a short phrase.
 */
enum err resolvers_read(struct sock_addr *out, unsigned *n, const char *path, char *why,
                        unsigned why_size) MUST_USE;

/*
 * The servers in the text of such a file; n may become 0. As the C library it ignores what it does not understand, but takes
 * white space before a keyword. Left out: link-local servers of interfaces that are not there, and duplicates.
 */
void resolvers_parse(struct sock_addr *out, unsigned *n, const char *text, size_t len,
                     ifindex_fn ifindex);

#endif
