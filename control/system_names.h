/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver of the names that a member itself needs (names.h), with the system's resolvers as they are now. Our own DNS stub is
 * never one of them: a file that was left behind must not make us ask ourselves. Control role. Source: spec/platform.md 0 and 5.8.
 */
#ifndef FZ_CONTROL_SYSTEM_NAMES_H
#define FZ_CONTROL_SYSTEM_NAMES_H

#include <stdint.h>

#include "control/names.h"
#include "platform/dns_control.h"

/* module: of the log's lines. Without any resolver, the hosts file and literal addresses still work. */
enum err system_names_new(struct names **out, struct loop *l, struct dns_control *dns,
                          const struct egress *egress, const char *module, char *why,
                          unsigned why_size) MUST_USE;

/* The system's resolvers may have changed. If they cannot be read, those that there were are asked on. */
void system_names_refresh(struct names *s, struct dns_control *dns, const char *module);

#endif
