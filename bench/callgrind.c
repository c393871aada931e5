/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench under callgrind, see callgrind.h. */
#include "bench/callgrind.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    ARGS_MAX = 32,
    OWN_ARGS = 8 /* valgrind, its options, and the program */
};

static bool fail(char *why, size_t why_size, const char *text)
{
    snprintf(why, why_size, "%s", text);
    return false;
}

/* The program's output is read to its end; the rest of it is for nobody. */
static void first_line(int fd, char *line, size_t size)
{
    FILE *f = fdopen(fd, "r");
    char rest[256];
    line[0] = 0;
    if (!f) {
        close(fd);
        return;
    }
    if (fgets(line, (int)size, f))
        line[strcspn(line, "\n")] = 0;
    while (fgets(rest, sizeof rest, f))
        ;
    fclose(f);
}

/* The cost of a callgrind file: its line "totals: N" or "summary: N". */
static bool read_total(const char *path, uint64_t *out)
{
    FILE *f = fopen(path, "r");
    char line[512];
    bool found = false;
    unsigned long long n;
    if (!f)
        return false;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "totals: %llu", &n) == 1 || sscanf(line, "summary: %llu", &n) == 1) {
            *out = n;
            found = true;
        }
    }
    fclose(f);
    return found;
}

static int run(char **argv, char *line, size_t line_size)
{
    posix_spawn_file_actions_t actions;
    int out[2], status = -1;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) != 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    if (error != 0) {
        close(out[0]);
        errno = error;
        return -1;
    }
    first_line(out[0], line, line_size);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

bool callgrind_run(const char *const *args, uint64_t *instructions, char *line, size_t line_size,
                   char *why, size_t why_size)
{
    const char *folder = getenv("TMPDIR");
    char self[1024], file[1024], option[sizeof file + 32];
    /* Without fair-sched a thread that polls keeps the other one, which would end it, waiting for up to a minute. */
    char *argv[ARGS_MAX] = {"valgrind",
                            "--tool=callgrind",
                            "--collect-atstart=no",
                            "--fair-sched=try",
                            "--vgdb=no",
                            "-q",
                            option,
                            self};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int len = snprintf(file, sizeof file, "%s/fzbench-callgrind-XXXXXX", folder ? folder : "/tmp");
    int fd = len < (int)sizeof file ? mkstemp(file) : -1, status;
    bool ok;

    if (n <= 0 || fd < 0)
        return fail(why, why_size, "cannot make a temporary file in $TMPDIR, or /tmp");
    self[n] = 0;
    close(fd);
    snprintf(option, sizeof option, "--callgrind-out-file=%s", file);
    for (int i = 0; args[i] && i + OWN_ARGS + 1 < ARGS_MAX; i++)
        argv[OWN_ARGS + i] = (char *)(uintptr_t)args[i]; /* execve changes none */
    status = run(argv, line, line_size);
    if (status < 0)
        ok = fail(why, why_size, "valgrind cannot be started; install the package valgrind");
    else if (status != 0)
        ok = fail(why, why_size, "the program failed under valgrind");
    else
        ok = read_total(file, instructions) ||
             fail(why, why_size, "valgrind wrote no count; is it callgrind 3.10 or newer?");
    unlink(file);
    return ok;
}
