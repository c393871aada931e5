/* SPDX-License-Identifier: Apache-2.0 */
/* What lwIP calls of ours. */
#ifndef LWIP_ARCH_HOOKS_H
#define LWIP_ARCH_HOOKS_H

#include "lwip/ip_addr.h"

/* The initial sequence number of a connection. */
u32_t lwip_hook_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port);

#endif
