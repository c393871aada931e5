/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_cage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/usage.h"
#include "platform/paths.h"

static int complain(const char *what)
{
    return usage_fail_run("net", "cannot %s: %s", what, strerror(errno));
}

/* ---- inside ---- */

/* Ends with the process outside. `alive` is at its end if that has happened already. */
static void end_with_parent(int alive)
{
    struct pollfd p = {.fd = alive, .events = POLLIN};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll(&p, 1, 0) != 0)
        _exit(BENCH_FAILED);
}

/* A file system of the cage's own at `dir`. */
static int cover(const char *dir)
{
    char what[128];

    snprintf(what, sizeof what, "mount a file system at %s", dir);
    if ((mkdir(dir, 0755) != 0 && errno != EEXIST) ||
        mount("fzbench", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
        return complain(what);
    return BENCH_OK;
}

static int make_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return complain("make a mount namespace");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        return complain("mount /proc");
    int code = cover(NET_CAGE_DIR);
    return code == BENCH_OK ? cover(paths_run()) : code;
}

static void inside(int (*body)(void *arg), void *arg, const sigset_t *mask, int alive)
{
    end_with_parent(alive);
    /* So that the terminal's Ctrl-C reaches only the process outside, and traffic does not fail before it is ended. */
    setsid();
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, mask, NULL);
    int code = make_mounts();
    if (code == BENCH_OK)
        code = body(arg);
    fflush(NULL);
    _exit(code);
}

/* ---- outside ---- */

/* Waits for the end of `pid`, or for a signal, which ends it. The kernel ends all others before waitpid returns. */
static int wait_for(pid_t pid, const sigset_t *stop)
{
    int status = 0, caught = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        int signo = sigwaitinfo(stop, NULL);
        if (signo > 0 && signo != SIGCHLD && caught == 0) {
            caught = signo;
            kill(pid, SIGKILL);
        }
    }
    if (caught == 0 && WIFEXITED(status))
        return WEXITSTATUS(status);
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr); /* the line of progress may stand there without its end */
    if (caught != 0)
        usage_fail_run("net", "stopped by signal %d", caught);
    else
        usage_fail_run("net", "the measuring process was killed by signal %d", WTERMSIG(status));
    return 128 + (caught != 0 ? caught : WTERMSIG(status));
}

/* Blocked for the rest of the process, so that none is lost between two waits. */
static void block_signals(sigset_t *stop, sigset_t *before)
{
    struct sigaction hup;

    signal(SIGCHLD, SIG_DFL); /* if it is ignored, there is nothing to wait for */
    sigemptyset(stop);
    sigaddset(stop, SIGCHLD);
    sigaddset(stop, SIGINT);
    sigaddset(stop, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN) /* else: nohup */
        sigaddset(stop, SIGHUP);
    sigprocmask(SIG_BLOCK, stop, before);
}

/* A process that is the first of a new namespace of processes; later ones of the caller are where the caller is. */
static pid_t fork_first(void)
{
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    pid_t pid = own >= 0 && unshare(CLONE_NEWPID) == 0 ? fork() : -1;

    if (pid > 0 && setns(own, CLONE_NEWPID) != 0) {
        kill(pid, SIGKILL);
        pid = -1;
    }
    if (own >= 0)
        close(own);
    return pid;
}

int net_cage_run(int (*body)(void *arg), void *arg)
{
    int alive[2];
    sigset_t stop, before;

    fflush(NULL);
    if (pipe2(alive, O_CLOEXEC) != 0)
        return complain("make a pipe");
    block_signals(&stop, &before);
    pid_t pid = fork_first();
    if (pid < 0)
        return complain("make a namespace of processes");
    if (pid == 0) {
        close(alive[1]);
        inside(body, arg, &before, alive[0]);
    }
    close(alive[0]);
    int code = wait_for(pid, &stop);
    close(alive[1]);
    return code;
}
