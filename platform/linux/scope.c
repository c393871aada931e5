/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/scope.h"

#include <net/if.h>

uint32_t scope_ifindex(const char *name)
{
    return if_nametoindex(name);
}
