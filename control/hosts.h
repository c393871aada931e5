/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts file, hosts(5): the addresses of one name. Sans-IO; control role. Source: spec/portal.md 1.6. */
#ifndef FZ_CONTROL_HOSTS_H
#define FZ_CONTROL_HOSTS_H

#include <stddef.h>

#include "platform/base/addr.h"

/*
 * Writes the addresses of all lines of `text` that have `host` among their names to `out`, at most `max`, port 0, without
 * duplicates, and returns how many. As for the C library case does not matter. Lines that it does not understand are passed over.
 */
unsigned hosts_find(struct sock_addr *out, unsigned max, const char *text, size_t len,
                    const char *host, ifindex_fn ifindex);

#endif
