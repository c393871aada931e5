/* SPDX-License-Identifier: Apache-2.0 */
/* How many instructions a function takes, on every machine the same: a child process does it in single steps. */
#ifndef FZ_TESTS_SUPPORT_COUNT_INSTRUCTIONS_H
#define FZ_TESTS_SUPPORT_COUNT_INSTRUCTIONS_H

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * In user space, with some of the C library's around them. What it does to memory is lost with the child. -1: the system does not permit
 * this; -2: the child has failed.
 */
static long count_instructions(void (*f)(void *), void *arg)
{
    long n = 0;
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        raise(SIGSTOP);
        f(arg);
        raise(SIGSTOP);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return -1;
    do {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child)
            return -2;
        n++;
    } while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        n = -2;
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return n;
}

#endif
