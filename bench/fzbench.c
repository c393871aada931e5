/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench: measures the data plane, compares what was measured. Finds the sub-command; the rest is its own. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/usage.h"
#include "platform/base/bytes.h"

/* What is not linked in is not offered. */
#pragma weak bench_micro
#pragma weak bench_pipeline
#pragma weak bench_net
#pragma weak bench_diff
#pragma weak bench_report

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"micro", bench_micro, "measure the parts of the packet path, one by one"},
    {"pipeline", bench_pipeline, "measure the whole engine without devices and sockets"},
    {"net", bench_net, "measure tunnels between network namespaces (root)"},
    {"diff", bench_diff, "compare two results; a regression fails"},
    {"report", bench_report, "make a web page of one or more results"},
};

static void print_help(void)
{
    fputs("Usage: fzbench COMMAND [OPTION]...\n"
          "       fzbench --help\n"
          "\n"
          "Measures the data plane, and compares what was measured.\n"
          "\n"
          "Commands:\n",
          stdout);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].run)
            printf("  %-10s %s\n", commands[i].name, commands[i].what);
    }
    fputs("\n"
          "'fzbench COMMAND --help' lists the options of a command.\n"
          "\n"
          "Exit code: 0; 1 if something could not be done, or if 'diff' found a\n"
          "regression; 2 for wrong usage.\n",
          stdout);
}

static int run(int argc, char **argv)
{
    if (argc < 2)
        return usage_fail("", "a command is missing");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return BENCH_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].run && strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return usage_fail("", "unknown %s '%s'", argv[1][0] == '-' ? "option" : "command", argv[1]);
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout))
        return usage_fail_run("", "cannot write to the standard output");
    return code;
}
