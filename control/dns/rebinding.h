/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of DNS servers that rebind: with addresses that only our own stub gives out, those that stand for names of resources, and
 * its own. A name of anybody's would lead to a resource with them, and a program that trusts names, a browser above all, would let
 * who has that name at it.
 *
 * Read here as leniently as by whoever reads most: records of any section and class, addresses of IPv4 within IPv6, and the hints of
 * SVCB and HTTPS. Pure; control role. Source: spec/tunnel.md 1.1; RFC 1035 section 4.1, RFC 9460 section 2.2 and 7.3.
 * DEVIATE: upstream passes on what servers say.
 */
#ifndef FZ_CONTROL_DNS_REBINDING_H
#define FZ_CONTROL_DNS_REBINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* at: where the records of the message begin, behind its question. */
bool dns_rebinds(const uint8_t *message, size_t len, size_t at);

#endif
