/* SPDX-License-Identifier: Apache-2.0 */
/* What dns_control.c and tests need of the method besides its operations. Control role. */
#ifndef FZ_LINUX_DNS_ETC_RESOLV_CONF_H
#define FZ_LINUX_DNS_ETC_RESOLV_CONF_H

#include "platform/linux/dns_method.h"
#include "platform/linux/resolv_file.h"

/* With files other than the system's. paths outlives it. */
enum err dns_etc_resolv_conf_open_at(void **self, const struct resolv_paths *paths, struct loop *l,
                                     loop_fn changed, void *arg, char *why, unsigned why_size);

/* See dns_control_recover. */
void dns_etc_resolv_conf_recover(const struct resolv_paths *paths);

#endif
