/* SPDX-License-Identifier: Apache-2.0 */
/* The sub-commands of fzbench: each parses its own arguments (argv[0] is its name) and returns the exit code. */
#ifndef FZ_BENCH_H
#define FZ_BENCH_H

enum {
    BENCH_OK = 0,
    BENCH_FAILED = 1, /* could not measure, or `diff` found a regression */
    BENCH_USAGE = 2
};

int bench_micro(int argc, char **argv);
int bench_pipeline(int argc, char **argv);
int bench_net(int argc, char **argv);
int bench_diff(int argc, char **argv);
int bench_report(int argc, char **argv);

#endif
