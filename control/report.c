/* SPDX-License-Identifier: Apache-2.0 */
#include "control/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/base/stream.h"

enum {
    WAIT_MAX_MS = 1000
};

int report_failure(const char *fmt, ...)
{
    char why[REPORT_WHY_MAX], line[REPORT_WHY_MAX + 64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    int n = snprintf(line, sizeof line, "%s: %s\n", report_program, why);
    /* Where nobody reads, there is nobody to tell. */
    (void)stream_write(stream_open(STDERR_FILENO), line, (size_t)n, WAIT_MAX_MS);
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
