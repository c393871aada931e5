/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 reverse-path checks: with a default route through the tunnel, the kernel asks of a datagram that comes in over
 * the real uplink whether its sender would be reached that way. Control thread.
 */
#ifndef FZ_LINUX_REVERSE_PATH_H
#define FZ_LINUX_REVERSE_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/linux/netlink.h"

/* Whether the check is blind to firewall marks now. False where that is not known. */
bool reverse_path_without_marks(void);
/* Lets the check see firewall marks (src_valid_mark). True if it was off before, that is, if there is something to undo. */
bool reverse_path_use_marks(void);
/* Undoes it, unless another tunnel's inverted mark rule is still there: then it stays on for good. */
void reverse_path_restore(struct netlink *n);

/* Warns if the check is strict on an interface other than the tunnel: then the answers of peers are dropped. */
void reverse_path_warn(struct netlink *n, uint32_t tun_ifindex);

#endif
