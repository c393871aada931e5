/* SPDX-License-Identifier: Apache-2.0 */
/* Interface names as scopes of link-local addresses. Any thread. */
#ifndef FZ_PLATFORM_SCOPE_H
#define FZ_PLATFORM_SCOPE_H

#include <stdint.h>

/* The index of the interface with this name; 0: there is none. An ifindex_fn (platform/base/addr.h). */
uint32_t scope_ifindex(const char *name);

#endif
