/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: several clients, each line a command, each answer a line, in order; a client that does not take its answers
 * is not read any more. Control role.
 */
#ifndef FZ_TOOLS_CTL_CTL_SERVER_H
#define FZ_TOOLS_CTL_CTL_SERVER_H

#include <jansson.h>

#include "platform/base/err.h"
#include "platform/loop.h"

enum {
    CTL_CLIENTS_MAX = 32 /* more wait in the socket's backlog */
};

struct ctl_server;

/* A command, {"command":"...", ...}. Returns the answer, a new reference. */
typedef json_t *(*ctl_fn)(void *arg, const json_t *command);

/*
 * SIGHUP stops the loop, so that no socket is left behind, unless the process ignores it or the loop has another use for it.
 * ctl_server_new does this; a program that starts threads before that does it before them.
 */
enum err ctl_server_hangup(struct loop *l) MUST_USE;

/*
 * Commands are taken from this user and root. path: its folder is made if it is missing, and checked (ctl_guard_folder). On failure
 * `why` is one clear sentence; ERR_IN_USE: another process serves it.
 */
enum err ctl_server_new(struct ctl_server **out, struct loop *l, const char *path, ctl_fn handle,
                        void *arg, char *why, unsigned why_size) MUST_USE;
/* Drops all clients and removes the socket. */
void ctl_server_free(struct ctl_server *s);

#endif
