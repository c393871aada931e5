/* SPDX-License-Identifier: Apache-2.0 */
/* A listening TCP socket on the event loop, which can be closed and opened again at the same address. Control role. */
#ifndef FZ_TOOLS_FZPORTAL_LISTENER_H
#define FZ_TOOLS_FZPORTAL_LISTENER_H

#include <stdbool.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/loop.h"

struct listener;

/* fd: non-blocking, not inherited, without Nagle's delay; the callee's to close. */
typedef void (*listener_fn)(void *arg, int fd_give);

/*
 * Listens at once. at: port 0 is any free one, which listener_addr tells. IPv6 addresses take IPv6 peers only. On failure `why`
 * is one clear sentence.
 */
enum err listener_new(struct listener **out, struct loop *l, const struct sock_addr *at,
                      listener_fn accepted, void *arg, char *why, unsigned why_size) MUST_USE;
void listener_free(struct listener *l);

const struct sock_addr *listener_addr(const struct listener *l);

/* Closed: connects are refused by the kernel. Opening that fails is tried again each second. */
void listener_open(struct listener *l, bool open);
/* Deaf: the kernel goes on completing connects, which nobody accepts. */
void listener_set_deaf(struct listener *l, bool deaf);

#endif
