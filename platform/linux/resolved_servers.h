/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DNS servers in what systemd-resolved tells of itself. Any thread. Source: org.freedesktop.resolve1(5).
 */
#ifndef FZ_LINUX_RESOLVED_SERVERS_H
#define FZ_LINUX_RESOLVED_SERVERS_H

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/resolvers.h"

/*
 * properties: all of the manager, a{sv}, unread. Gives those that it asks, in its order and each once: the configured ones, else the
 * current one, else those for when there are none. Left out: the ones of link `own_ifindex` (0: no link), the addresses at which
 * resolved itself listens, and entries that are no addresses. n may become 0. ERR_PARSE: not of the documented types.
 */
enum err resolved_servers_read(sd_bus_message *properties, uint32_t own_ifindex,
                               struct sock_addr out[RESOLVERS_MAX], unsigned *n) MUST_USE;

#endif
