/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance contract: one client or gateway per network, since both want the same device, ports, routes and rules. It ends with the
 * process in any case. Control thread.
 */
#ifndef FZ_PLATFORM_INSTANCE_H
#define FZ_PLATFORM_INSTANCE_H

#include "platform/base/err.h"

struct instance;

/* ERR_IN_USE: there is another one; `why` names it. */
enum err instance_take(struct instance **out, char *why, unsigned why_size) MUST_USE;
/* NULL: does nothing. */
void instance_release(struct instance *i);

#endif
