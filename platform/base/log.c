/* SPDX-License-Identifier: Apache-2.0 */
/* Formats a line and hands it to stderr in one write. */
#include "platform/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef _WIN32
#include <io.h>
#define write_stderr(buf, n) _write(2, buf, (unsigned)(n))
#else
#include <unistd.h>
#define write_stderr(buf, n) write(STDERR_FILENO, buf, n)
#endif

static enum log_level level_max = LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

void log_set_level(enum log_level level)
{
    __atomic_store_n(&level_max, level, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
    return level <= __atomic_load_n(&level_max, __ATOMIC_RELAXED);
}

enum err log_level_parse(enum log_level *out, const char *text)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_PARSE;
}

/* UTC wall clock, millisecond resolution. */
static int format_stamp(char *buf, size_t size)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
#ifdef _WIN32
    gmtime_s(&tm, &ts.tv_sec);
#else
    gmtime_r(&ts.tv_sec, &tm);
#endif
    size_t n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return (int)n + snprintf(buf + n, size - n, ".%03dZ", (int)(ts.tv_nsec / 1000000));
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    if (!log_enabled(level))
        return;
    size_t n = (size_t)format_stamp(line, sizeof line);
    n += (size_t)snprintf(line + n, sizeof line - n, " %-5s %s: ", level_names[level], module);
    va_start(ap, fmt);
    int body = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n += body < 0 ? 0 : (size_t)body;
    if (n > sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    if (write_stderr(line, n) < 0)
        return; /* nowhere left to report it */
}
