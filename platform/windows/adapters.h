/* SPDX-License-Identifier: Apache-2.0 */
/* The system's list of adapters, and which of them may carry what is ours. Control role. Source: spec/platform.md 3.3. */
#ifndef FZ_WINDOWS_ADAPTERS_H
#define FZ_WINDOWS_ADAPTERS_H

#include "platform/base/err.h"
#include "platform/windows/ip_helper.h"

/* *list is for ip_helper.adapter_at, and the caller's to free. On failure it is NULL. */
enum err adapters_read(const struct ip_helper *h, void **list) MUST_USE;

/* tun_luid: 0 as long as it is not known, then an adapter that is called like ours counts as ours. */
bool adapter_is_ours(const struct ip_helper_adapter *a, uint64_t tun_luid);
/* Up, and not ours. */
bool adapter_is_usable(const struct ip_helper_adapter *a, uint64_t tun_luid);
bool adapter_has_address(const struct ip_helper_adapter *a, const struct ip_addr *address);
/* The interface's index for addresses like this; 0: the adapter does not have the family. */
uint32_t adapter_index(const struct ip_helper_adapter *a, const struct ip_addr *ip);

/* Whether the address is good on its link only. */
bool adapter_link_only(const struct ip_addr *ip);

/* The effective metric of a route: the system tells that of the interface apart, and counts 0 where it does not. */
uint64_t adapter_metric(const struct ip_helper *h, const struct ip_helper_route *route,
                        unsigned family);

#endif
