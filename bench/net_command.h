/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs, found and run without a shell, in a network namespace of the caller's choice. */
#ifndef FZ_BENCH_NET_COMMAND_H
#define FZ_BENCH_NET_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "platform/base/err.h"
#include "platform/linux/why.h"

enum {
    NET_PATH_MAX = 1024 /* of a program; longer ones are not found */
};

/* Looks in PATH, and where the tools of the administrator are. False: it is nowhere. */
bool net_command_find(char *path, size_t size, const char *name);

/* Looks where fzbench is. Outside the cage, whose /proc is another one. False: it is not there, or cannot be run. */
bool net_command_beside(char *path, size_t size, const char *name);

/*
 * Runs argv[0] (a path, or a name to be found) in network namespace `ns` (a descriptor) and waits. Success is exit code
 * 0; otherwise `why` has the command and what it said.
 */
enum err net_command_run(int ns, const char *const argv[], struct why why) MUST_USE;
#define NET_COMMAND(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The same in the background with all output to `log`. Returns the process id; -1 and `why` if that failed. */
pid_t net_command_start(int ns, const char *const argv[], const char *log, struct why why);

/* Waits at most `seconds`; true if it ended, with the status of waitpid. */
bool net_command_wait(pid_t pid, double seconds, int *status);
/* It has not ended; false for pids below 1, too. */
bool net_command_runs(pid_t pid);
/* SIGKILL, and waits. Ignores pids below 1. */
void net_command_kill(pid_t pid);

#endif
