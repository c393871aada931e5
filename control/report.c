/* SPDX-License-Identifier: Apache-2.0 */
#include "control/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/options.h"

int report_failure(const char *fmt, ...)
{
    char line[REPORT_WHY_MAX + 64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, OPTIONS_PROGRAM ": %s\n", line);
    return EXIT_FAILURE;
}

int report_text(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vfprintf(stdout, fmt, ap);
    va_end(ap);
    if (n < 0 || fflush(stdout) != 0)
        return report_failure("cannot write to the standard output");
    return EXIT_SUCCESS;
}
