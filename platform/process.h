/* SPDX-License-Identifier: Apache-2.0 */
/* Process contract: what a program does to itself before it handles secrets, and what it is allowed to do. */
#ifndef FZ_PLATFORM_PROCESS_H
#define FZ_PLATFORM_PROCESS_H

#include <stdbool.h>

/*
 * Makes sure that the three standard descriptors exist, that no core dump can contain keys, and that a broken pipe is
 * an error code instead of a signal. Call first.
 */
void process_harden(void);

/* True if it runs for the one who may do everything: root. */
bool process_is_administrator(void);

/* True if the process may create TUN devices and change routes. The sentence says how to get there. */
bool process_may_configure_network(void);
#define PROCESS_NETWORK_HINT                                                                       \
    "needs CAP_NET_ADMIN: run as root, or run 'setcap cap_net_admin+ep' on the program"

#endif
