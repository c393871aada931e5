/* SPDX-License-Identifier: Apache-2.0 */
/* What a `struct source` holds, for source.c and tcp.c. Control role. */
#ifndef FZ_WINDOWS_SOURCE_PRIVATE_H
#define FZ_WINDOWS_SOURCE_PRIVATE_H

#include "platform/source.h"
#include "platform/windows/source_best.h"

struct source {
    const struct ip_helper *helper;
    uint64_t tun_luid;
};

#endif
