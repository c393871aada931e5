/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench report: results as a web page. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/report_page.h"
#include "bench/result.h"
#include "bench/save.h"
#include "bench/usage.h"
#include "platform/base/mem.h"

enum {
    FILES_MAX = 64
};

static const char help[] =
    "Usage: fzbench report FILE... [OPTION]...\n"
    "\n"
    "Makes one HTML page of result files, up to 64, that needs neither network nor\n"
    "script: a section for each command, with the runs in the order of the files and\n"
    "all others compared with the first; bars with the spread of the samples, and\n"
    "curves where names of rows end in percentiles.\n"
    "\n"
    "  -o, --output FILE  where to write it (default: the standard output)\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit code: 0; 1 if a file cannot be read or written; 2 for wrong usage.\n";

/* Reads the files into runs; *n tells how many there are now, also on failure. */
static enum err load_runs(struct report_run *runs, size_t *n, char *const *paths, size_t paths_n,
                          char *why, size_t why_size)
{
    enum err err = ERR_OK;

    for (*n = 0; *n < paths_n && err == ERR_OK; *n += err == ERR_OK) {
        runs[*n].path = paths[*n];
        err = result_load(&runs[*n].result, paths[*n], why, why_size);
    }
    return err;
}

/* output: NULL for the standard output, whose errors the program's end finds. */
static enum err write_page(const struct report_run *runs, size_t n, const char *output, char *why,
                           size_t why_size)
{
    char *text = NULL;
    size_t len = 0;

    if (!output) {
        report_page_write(stdout, runs, n);
        return ERR_OK;
    }
    FILE *page = mem_check(open_memstream(&text, &len));
    report_page_write(page, runs, n);
    if (fclose(page) != 0)
        mem_check(NULL);
    enum err err = save_whole(output, text, len, why, why_size);
    free(text);
    return err;
}

static int report(char *const *paths, size_t paths_n, const char *output)
{
    struct report_run *runs = mem_zalloc(paths_n, sizeof *runs);
    char why[512];
    size_t n;
    enum err err = load_runs(runs, &n, paths, paths_n, why, sizeof why);

    if (err == ERR_OK)
        err = write_page(runs, n, output, why, sizeof why);
    for (size_t i = 0; i < n; i++)
        result_fini(&runs[i].result);
    free(runs);
    return err == ERR_OK ? BENCH_OK : usage_fail_run("report", "%s", why);
}

int bench_report(int argc, char **argv)
{
    static const struct option flags[] = {
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *output = NULL;
    int code;

    optind = 0;
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":o:h", flags, NULL)) != -1) {
        switch (code) {
        case 'o':
            output = optarg;
            break;
        case 'h':
            return fputs(help, stdout) < 0 ? BENCH_FAILED : BENCH_OK;
        default:
            return usage_fail_getopt("report", code, flags, argv);
        }
    }
    if (optind == argc)
        return usage_fail("report", "at least one result file is needed");
    if (argc - optind > FILES_MAX)
        return usage_fail("report", "%d files are too many, %d is the limit", argc - optind,
                          FILES_MAX);
    return report(argv + optind, (size_t)(argc - optind), output);
}
