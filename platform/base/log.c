/* SPDX-License-Identifier: Apache-2.0 */
/* Decides, formats a line, and hands it to the stream in one write and to the sink. */
#include "platform/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "platform/base/log_filter.h"
#include "platform/base/log_line.h"
#include "platform/base/stream.h"

/* A filter that was set, and those before it. */
struct filter_node {
    struct log_filter filter;
    struct filter_node *before;
};

/* The most that a line of any module may say: nearly all lines that are not wanted cost this load. */
static enum log_level level_max = LOG_INFO;
static struct filter_node
    *current; /* NULL: level_max holds for all modules; released to log_write */

/* Set before other threads exist. */
static int stream = 2; /* stderr */
static enum log_format format_now = LOG_TEXT;
static bool coloured, stamps_left_out;

static pthread_mutex_t stream_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long long
    untaken; /* lines since the last one that the stream took; guarded by stream_lock */

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink_fn
    sink_now; /* guarded by sink_lock, as sink_arg; tested without it, for a line that nobody takes */
static void *sink_arg;

void log_set_level(enum log_level level)
{
    struct log_filter filter = {.level = level};
    log_set_filter(&filter);
}

void log_set_filter(const struct log_filter *filter)
{
    enum log_level max = log_filter_level_max(filter);
    struct filter_node *before = __atomic_load_n(&current, __ATOMIC_RELAXED);

    /* a level alone needs no memory, unless a filter must be taken back */
    if (filter->targets_n > 0 || before) {
        struct filter_node *node = malloc(sizeof *node);
        ASSERT(node);
        node->filter = *filter;
        node->before = before;
        __atomic_store_n(&current, node, __ATOMIC_RELEASE); /* acquired by allowed */
    }
    __atomic_store_n(&level_max, max, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
    return level <= __atomic_load_n(&level_max, __ATOMIC_RELAXED);
}

static bool allowed(enum log_level level, const char *module)
{
    if (!log_enabled(level))
        return false;
    const struct filter_node *node = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
    return !node || level <= log_filter_level(&node->filter, module);
}

enum err log_level_parse(enum log_level *out, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_PARSE;
}

#ifndef _WIN32
/* systemd names the stream it gave to the service, "device:inode": a child may have been given another one. */
static bool read_by_journal(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    char rest;

    return text && sscanf(text, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static bool on_terminal(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return (!no_color || no_color[0] == '\0') && isatty(fd) == 1;
}
#else
static bool read_by_journal(int fd)
{
    (void)fd;
    return false;
}

/* A console shows colours only if it was told to interpret them. */
static bool on_terminal(int fd)
{
    (void)fd;
    return false;
}
#endif

void log_set_output(int fd, enum log_format format)
{
    stream = stream_open(fd);
    format_now = format;
    coloured = format == LOG_TEXT && on_terminal(fd);
    stamps_left_out = format == LOG_TEXT && read_by_journal(fd);
}

void log_set_sink(log_sink_fn sink, void *arg)
{
    pthread_mutex_lock(&sink_lock);
    __atomic_store_n(&sink_now, sink, __ATOMIC_RELAXED);
    sink_arg = arg;
    pthread_mutex_unlock(&sink_lock);
}

/* UTC wall clock, millisecond resolution: LOG_STAMP_LEN characters. */
static void format_stamp(char *buf, size_t size)
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
    snprintf(buf + n, size - n, ".%03dZ", (int)(ts.tv_nsec / 1000000));
}

/* On its own, so that the buffer is on the stack of those only who see colours. */
__attribute__((noinline)) static bool write_coloured(const char *line, size_t n,
                                                     enum log_level level)
{
    char copy[LOG_LINE_MAX + LOG_COLOUR_MAX];
    n = log_line_colour(copy, line, n, level);
    return stream_write(stream, copy, n, 0);
}
_Static_assert(LOG_LINE_MAX + LOG_COLOUR_MAX <= STREAM_LINE_MAX, "a line is one write");

static bool write_line(const char *line, size_t n, enum log_level level)
{
    size_t skip = stamps_left_out ? LOG_STAMP_LEN + 1 : 0;

    if (coloured)
        return write_coloured(line, n, level);
    return stream_write(stream, line + skip, n - skip, 0);
}

/* What is lacking, to whoever reads again. */
__attribute__((noinline)) static bool tell_untaken(const char *stamp)
{
    char message[96], line[LOG_LINE_MAX];
    int n =
        snprintf(message, sizeof message, "lines that could not be written here: %llu", untaken);
    const struct log_record record = {.stamp = stamp,
                                      .level = LOG_WARN,
                                      .module = "log",
                                      .message = message,
                                      .message_len = (size_t)n};

    return write_line(line, log_line(line, format_now, &record), LOG_WARN);
}

static void to_stream(const char *line, size_t n, enum log_level level, const char *stamp)
{
    pthread_mutex_lock(&stream_lock);
    if (untaken > 0 && tell_untaken(stamp))
        untaken = 0;
    if (untaken > 0 || !write_line(line, n, level))
        untaken++;
    pthread_mutex_unlock(&stream_lock);
}

static void to_sink(const char *line, size_t n)
{
    if (!__atomic_load_n(&sink_now, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&sink_lock);
    if (sink_now)
        sink_now(sink_arg, line, n);
    pthread_mutex_unlock(&sink_lock);
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
    char message[LOG_MESSAGE_MAX + 1], stamp[LOG_STAMP_LEN + 16] = "", line[LOG_LINE_MAX];
    va_list ap;

    if (!allowed(level, module))
        return;
    va_start(ap, fmt);
    int body = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    format_stamp(stamp, sizeof stamp);
    struct log_record record = {
        .stamp = stamp,
        .level = level,
        .module = module,
        .message = message,
        .message_len = body < 0                 ? 0
                       : body > LOG_MESSAGE_MAX ? LOG_MESSAGE_MAX
                                                : (size_t)body,
    };
    size_t n = log_line(line, format_now, &record);
    to_stream(line, n, level, stamp);
    to_sink(line, n);
}
