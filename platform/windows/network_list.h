/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows' Network List Manager: tells when a network's connectivity changes, which addresses alone do not always show. A thread of its own
 * keeps COM; `moved` is called by threads of the system's. Source: spec/platform.md 3.6.
 */
#ifndef FZ_WINDOWS_NETWORK_LIST_H
#define FZ_WINDOWS_NETWORK_LIST_H

#include "platform/base/err.h"

struct network_list;

/* moved: any thread. ERR_UNSUPPORTED: this system has no such list, or does not tell. */
enum err network_list_new(struct network_list **out, void (*moved)(void *arg), void *arg) MUST_USE;
/* No call of `moved` runs any more when it returns; not from `moved`. NULL is fine. */
void network_list_free(struct network_list *l);

#endif
