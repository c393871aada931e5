/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/usage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

enum {
    PROBLEM_MAX = 1024
};

__attribute__((format(printf, 3, 0))) static void
complain(const char *command, const char *kind, const char *fmt, va_list ap, const char *hint)
{
    char problem[PROBLEM_MAX];

    vsnprintf(problem, sizeof problem, fmt, ap);
    fprintf(stderr, "fzbench%s%s: %s%s%s\n", command[0] ? " " : "", command, kind, problem, hint);
}

int usage_fail(const char *command, const char *fmt, ...)
{
    char hint[64];
    va_list ap;

    snprintf(hint, sizeof hint, "; 'fzbench%s%s --help' tells more", command[0] ? " " : "",
             command);
    va_start(ap, fmt);
    complain(command, "", fmt, ap, hint);
    va_end(ap);
    return BENCH_USAGE;
}

int usage_fail_getopt(const char *command, int code, const struct option *flags, char *const *argv)
{
    if (code == ':')
        return usage_fail(command, "option '%s' needs a value", argv[optind - 1]);
    if (optopt == 0)
        return usage_fail(command, "unknown option '%s'", argv[optind - 1]);
    for (; flags->name; flags++) {
        if (flags->val == optopt)
            return usage_fail(command, "option '--%s' takes no value", flags->name);
    }
    return usage_fail(command, "unknown option '-%c'", optopt);
}

bool usage_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0' && *out >= min && *out <= max;
}

int usage_parse(const char *command, const char *help, const struct option *flags,
                bool (*take)(void *options, int flag, const char *value), void *options,
                struct usage_args args)
{
    int flag, index = 0;
    optind = 0; /* getopt starts anew */
    opterr = 0;
    while ((flag = getopt_long(args.argc, args.argv, ":h", flags, &index)) >= 0) {
        if (flag == 'h') {
            fputs(help, stdout);
            return BENCH_OK;
        }
        if (flag == ':' || flag == '?')
            return usage_fail_getopt(command, flag, flags, args.argv);
        if (!take(options, flag, optarg))
            return usage_fail(command, "--%s: '%s' is not possible", flags[index].name, optarg);
    }
    if (optind < args.argc)
        return usage_fail(command, "unexpected argument '%s'", args.argv[optind]);
    return -1;
}

int usage_fail_run(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(command, "", fmt, ap, "");
    va_end(ap);
    return BENCH_FAILED;
}

void usage_warn(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(command, "warning: ", fmt, ap, "");
    va_end(ap);
}
