/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps one TCP or connected UDP socket out of the tunnel. Control role. See platform/egress.h. */
#ifndef FZ_LINUX_EGRESS_SOCKET_H
#define FZ_LINUX_EGRESS_SOCKET_H

#include <stdint.h>

#include "platform/egress.h"
#include "platform/linux/why.h"

/* To be called before the socket sends or connects. mark: 0 for none. kind: "TCP" or "UDP", for `why`. */
enum err egress_mark(int fd, uint32_t mark, const char *kind, struct why why) MUST_USE;

/*
 * To be called before the socket connects to `to`. e: NULL for nothing. ERR_PERMISSION: it cannot be kept out; this will not get
 * better. ERR_UNREACHABLE: there is no way there that avoids the tunnel.
 */
enum err egress_apply(int fd, const struct egress *e, const struct sock_addr *to, const char *kind,
                      struct why why) MUST_USE;

#endif
