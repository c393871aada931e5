/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a sub-command of fzbench inside a test and keeps what it prints. One thread. */
#ifndef FZ_TESTS_BENCH_RUN_H
#define FZ_TESTS_BENCH_RUN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BENCH_RUN_ARGUMENTS_MAX = 16,
    BENCH_RUN_TEXT_MAX = 65536
};

struct bench_run {
    int code;
    char out[BENCH_RUN_TEXT_MAX], err[BENCH_RUN_TEXT_MAX];
};

/* Puts a temporary file in the place of `stream`; returns what to restore. */
static inline int bench_run_divert(FILE *stream, FILE *file)
{
    fflush(stream);
    int saved = dup(fileno(stream));
    if (saved < 0 || dup2(fileno(file), fileno(stream)) < 0)
        abort();
    return saved;
}

static inline void bench_run_restore(FILE *stream, int saved, FILE *file, char *text)
{
    fflush(stream);
    if (dup2(saved, fileno(stream)) < 0)
        abort();
    close(saved);
    rewind(file);
    text[fread(text, 1, BENCH_RUN_TEXT_MAX - 1, file)] = '\0';
    fclose(file);
}

/* argv: the sub-command's, NULL at the end. */
static inline void bench_run(struct bench_run *run, int (*command)(int, char **),
                             const char *const *argv)
{
    char *copy[BENCH_RUN_ARGUMENTS_MAX + 1] = {NULL};
    FILE *out = tmpfile(), *err = tmpfile();
    int argc = 0;

    if (!out || !err)
        abort();
    for (; argv[argc] && argc < BENCH_RUN_ARGUMENTS_MAX; argc++)
        copy[argc] = (char *)(uintptr_t)argv[argc];
    int saved_out = bench_run_divert(stdout, out), saved_err = bench_run_divert(stderr, err);
    run->code = command(argc, copy);
    bench_run_restore(stdout, saved_out, out, run->out);
    bench_run_restore(stderr, saved_err, err, run->err);
}

#endif
