/* SPDX-License-Identifier: Apache-2.0 */
/* The sub-command `TOOL ctl` of the tools that have a control socket, and the help on what it takes. Waits; main thread. */
#ifndef FZ_TOOLS_CTL_CTL_COMMAND_H
#define FZ_TOOLS_CTL_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/time.h"
#include "tools/ctl/ctl.h"

enum {
    CTL_PATH_MAX = 256,
    CTL_EXIT_USAGE = 2
};

struct ctl_command {
    const char *program;
    const char *path;   /* of the control socket */
    char *const *words; /* as ctl_build */
    int words_n;
    ctl_text_fn is_text; /* as ctl_build */
    time_ns timeout;
    bool raw; /* print the answer as it came, also that of a failure */
};

/*
 * Where a tool's socket is unless it is told: PROGRAM.sock in $XDG_RUNTIME_DIR unless that is another user's, else in /run/user/UID if
 * that is there, else, for root, in /run, for others in /tmp/PROGRAM-UID. Returns `buf`.
 */
const char *ctl_usual_path(char buf[CTL_PATH_MAX], const char *program);

/* One entry of the list of commands, wrapped for a terminal. */
void ctl_print_help(const struct ctl_help *h);

/* Sends the command and prints the answer. Exit code: 0 if it was done, 2 for wrong usage, else 1; errors are one line on stderr. */
int ctl_command_run(const struct ctl_command *c);

#endif
