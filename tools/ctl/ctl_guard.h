/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be at either end of a control socket: its user and root. Names in folders that others write to prove nothing, so both
 * ends ask the kernel who the other one is. Any thread.
 */
#ifndef FZ_TOOLS_CTL_CTL_GUARD_H
#define FZ_TOOLS_CTL_CTL_GUARD_H

#include <stdbool.h>

#include "platform/base/err.h"

/*
 * Makes the folder of a control socket, mode 0700, if it is missing. ERR_PERMISSION: it belongs to another user than this one or
 * root, or others may replace what is in it. On failure `why` is one clear sentence.
 */
enum err ctl_guard_folder(const char *folder, char *why, unsigned why_size) MUST_USE;

/* The user at the other end of a connected socket is this one or root. uid: who it is. */
bool ctl_guard_peer(int fd, unsigned *uid) MUST_USE;

#endif
