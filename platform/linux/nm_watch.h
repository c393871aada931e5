/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells when NetworkManager has another primary connection: the machine is elsewhere. Control role. Source: spec/platform.md 2.6.
 *
 * NetworkManager may start and end at any time; that it does is no move. Without signals it never wakes the loop up.
 */
#ifndef FZ_LINUX_NM_WATCH_H
#define FZ_LINUX_NM_WATCH_H

#include "platform/base/err.h"
#include "platform/loop.h"

struct nm_watch;

/* moved: from the loop, once per change, not debounced; it may free the watch. ERR_NOT_FOUND: no system bus runs. */
enum err nm_watch_new(struct nm_watch **out, struct loop *l, loop_fn moved, void *arg) MUST_USE;
/* NULL is fine. */
void nm_watch_free(struct nm_watch *w);

#endif
