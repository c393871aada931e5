/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that resolv.conf says something else: written in place, replaced, or the target of its link replaced. Sleeps until
 * the kernel tells (inotify). Control thread. Source: spec/platform.md 2.6.
 */
#ifndef FZ_LINUX_RESOLV_WATCH_H
#define FZ_LINUX_RESOLV_WATCH_H

#include "platform/loop.h"

struct resolv_watch;

/*
 * changed: from the loop, 200 ms after the first sign of it, so that what is written in several steps is seen once. path outlives this.
 * Where the kernel refuses, that is logged and nothing is noticed.
 */
struct resolv_watch *resolv_watch_new(struct loop *l, const char *path, loop_fn changed, void *arg);
/* NULL is fine. */
void resolv_watch_free(struct resolv_watch *w);
/* What it says now is known, and no change. */
void resolv_watch_settle(struct resolv_watch *w);

#endif
