/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_command.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/net_clock.h"
#include "platform/base/bytes.h"

enum {
    OUTPUT_MAX = 300, /* of what a command said */
    NOT_EXECUTED = 127
};

static bool executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool net_command_find(char *path, size_t size, const char *name)
{
    const char *list = getenv("PATH");
    const char *folders[] = {list != NULL ? list : "", "/usr/sbin:/sbin:/usr/bin:/bin"};

    for (size_t i = 0; i < 2; i++) {
        const char *folder = folders[i];
        while (*folder != '\0') {
            size_t n = strcspn(folder, ":");
            int len = snprintf(path, size, "%.*s/%s", (int)n, folder, name);
            if (n > 0 && len > 0 && (size_t)len < size && executable(path))
                return true;
            folder += n + (folder[n] == ':');
        }
    }
    return false;
}

bool net_command_beside(char *path, size_t size, const char *name)
{
    char own[NET_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

    own[n > 0 ? n : 0] = '\0';
    int len = snprintf(path, size, "%s/%s", dirname(own), name);
    return n > 0 && len > 0 && (size_t)len < size && executable(path);
}

/* ---- in the new process ---- */

static void execute(int ns, const char *path, const char *const argv[], int output)
{
    int null = open("/dev/null", O_RDONLY);

    /* execv's prototype does not say that it leaves the texts as they are. */
    union {
        const char *const *in;
        char *const *out;
    } args = {argv};
    signal(SIGPIPE, SIG_DFL);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0)
        _exit(NOT_EXECUTED);
    if (setns(ns, CLONE_NEWNET) != 0)
        dprintf(STDERR_FILENO, "cannot enter the network namespace: %s\n", strerror(errno));
    else if (execv(path, args.out) != 0)
        dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
    _exit(NOT_EXECUTED);
}

/* ---- outside ---- */

static enum err fail_command(const char *const argv[], const char *said, struct why why)
{
    char line[400];
    size_t n = 0;

    for (size_t i = 0; argv[i] != NULL && n < sizeof line; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", i > 0 ? " " : "", argv[i]);
    return why_fail(why, ERR_IO, "'%s' failed: %s", line,
                    said[0] != '\0' ? said : "it said nothing");
}

/* All that comes; only its beginning is kept, without the last line's end. */
static void read_output(int fd, char said[OUTPUT_MAX])
{
    char part[512];
    size_t n = 0;

    for (;;) {
        ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size_t keep = size_min((size_t)got, OUTPUT_MAX - 1 - n);
        memcpy(said + n, part, keep);
        n += keep;
    }
    while (n > 0 && said[n - 1] == '\n')
        n--;
    said[n] = '\0';
}

static bool resolve(char path[NET_PATH_MAX], const char *name)
{
    if (strchr(name, '/') == NULL)
        return net_command_find(path, NET_PATH_MAX, name);
    snprintf(path, NET_PATH_MAX, "%s", name);
    return true;
}

enum err net_command_run(int ns, const char *const argv[], struct why why)
{
    char path[NET_PATH_MAX], said[OUTPUT_MAX];
    int output[2], status = 0;

    if (!resolve(path, argv[0]))
        return why_fail(why, ERR_NOT_FOUND, "there is no program '%s'", argv[0]);
    if (pipe2(output, O_CLOEXEC) != 0)
        return why_fail(why, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        execute(ns, path, argv, output[1]);
    close(output[1]);
    if (pid > 0)
        read_output(output[0], said);
    close(output[0]);
    if (pid < 0)
        return why_fail(why, ERR_IO, "cannot start a process: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail_command(argv, said, why);
    return ERR_OK;
}

pid_t net_command_start(int ns, const char *const argv[], const char *log, struct why why)
{
    char path[NET_PATH_MAX];
    int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (output < 0 || !resolve(path, argv[0])) {
        (void)why_fail(why, ERR_IO, "cannot start %s: %s", argv[0], strerror(errno));
        if (output >= 0)
            close(output);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        execute(ns, path, argv, output);
    close(output);
    if (pid < 0)
        (void)why_fail(why, ERR_IO, "cannot start a process: %s", strerror(errno));
    return pid;
}

bool net_command_wait(pid_t pid, double seconds, int *status)
{
    uint64_t end = net_clock_now() + (uint64_t)(seconds * (double)NS_PER_SEC);

    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        if (net_clock_now() >= end)
            return false;
        net_clock_sleep(10 * NS_PER_MS);
    }
}

bool net_command_runs(pid_t pid)
{
    siginfo_t info = {0};

    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

void net_command_kill(pid_t pid)
{
    if (pid < 1)
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
