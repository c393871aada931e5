/* SPDX-License-Identifier: Apache-2.0 */
/* How the sub-commands of fzbench speak: one line on stderr that says what is wrong, and what to do about wrong usage. */
#ifndef FZ_BENCH_USAGE_H
#define FZ_BENCH_USAGE_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

struct usage_args {
    int argc;
    char **argv;
};

/*
 * "fzbench COMMAND: problem; 'fzbench COMMAND --help' tells more". command: "diff", or "" for fzbench itself. Returns
 * BENCH_USAGE.
 */
int usage_fail(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same for the ':' or '?' that getopt_long returned: `code`. It was called with opterr = 0, with short options that
 * begin with ':', and with these long ones.
 */
int usage_fail_getopt(const char *command, int code, const struct option *flags, char *const *argv);

/* The value of an option: a whole number from min to max, in digits only. */
bool usage_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/*
 * A command line of long options without other arguments: prints `help` for --help, and hands each other option to
 * `take`, which says whether its value is possible. Returns -1 to go on, or the exit code.
 */
int usage_parse(const char *command, const char *help, const struct option *flags,
                bool (*take)(void *options, int flag, const char *value), void *options,
                struct usage_args args);

/* "fzbench COMMAND: problem". Returns BENCH_FAILED. */
int usage_fail_run(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "fzbench COMMAND: warning: text" */
void usage_warn(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
