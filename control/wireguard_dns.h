/* SPDX-License-Identifier: Apache-2.0 */
/* The system's DNS as the file of the `wireguard` command wants it (`DNS =`), while its tunnel is up. Control thread. */
#ifndef FZ_CONTROL_WIREGUARD_DNS_H
#define FZ_CONTROL_WIREGUARD_DNS_H

#include <stdint.h>

#include "control/config_dns.h"
#include "platform/loop.h"

struct options;
struct wireguard_dns;

/*
 * Finds the method; *out is NULL if there is nothing to do. Copies `wish`. On failure `why` is one clear sentence that names the option
 * to go on without.
 */
enum err wireguard_dns_new(struct wireguard_dns **out, struct loop *l, const struct options *o,
                           const struct config_dns *wish, char *why, unsigned why_size) MUST_USE;
/* Takes everything back. NULL is fine. */
void wireguard_dns_free(struct wireguard_dns *d);

/* Once, however often it is called; NULL is fine. On failure as above. */
enum err wireguard_dns_apply(struct wireguard_dns *d, const char *tun_name, uint32_t tun_ifindex,
                             char *why, unsigned why_size) MUST_USE;

#endif
