/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of sockets, which a portal that works could not have: connections that stall, break in the middle, or carry nonsense.
 * Control role.
 */
#ifndef FZ_TOOLS_FZPORTAL_FAULTS_H
#define FZ_TOOLS_FZPORTAL_FAULTS_H

#include <jansson.h>

#include "tools/fzportal/portal.h"
#include "tools/fzportal/server.h"

extern const struct ctl_help faults_commands[];
extern const size_t faults_commands_n;

/* A command of the control interface. NULL: it is none of these. Otherwise the answer, a new reference. */
json_t *faults_handle(struct server *s, const json_t *command);

#endif
