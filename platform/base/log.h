/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per call on a stream and, the same line, to a sink (the log file). Never called on a packet path, never
 * given a secret: log files leave the machine. Any thread; a call is one write(2), so lines of threads do not mix. Nobody waits
 * for whoever reads the stream: lines that he does not take are counted, and the log tells him when he does again.
 *
 * Which lines exist is the filter's decision, platform/base/log_filter.h; what a line looks like is said in
 * platform/base/log_line.h.
 */
#ifndef FZ_BASE_LOG_H
#define FZ_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"

enum log_level {
    LOG_OFF = -1, /* as a limit: no line at all */
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
    LOG_TRACE
};

enum log_format {
    LOG_TEXT,
    LOG_JSON
};

enum {
    LOG_MESSAGE_MAX = 1024, /* longer messages are cut */
    LOG_LINE_MAX =
        2048 /* of a whole line with its line feed; a message that needs more escapes is cut */
};

struct log_filter;

/* All modules at `level`; LOG_INFO until something else is set. */
void log_set_level(enum log_level level);

/* Copies the filter, which replaces the one before. What threads may still be reading of that one is never freed. */
void log_set_filter(const struct log_filter *filter);

/*
 * Sets the stream and the format, and finds out once what the stream is: text has colours on a terminal unless NO_COLOR is set,
 * and no time stamps if the journal reads it, which has its own. Before other threads exist. Without this call: plain text on
 * stderr.
 */
void log_set_output(int fd, enum log_format format);

/*
 * Every line is handed to `sink` as well, with its line feed and time stamp and without colours. It must not log and must
 * not block. NULL: none; on return no thread is inside the sink before.
 */
typedef void (*log_sink_fn)(void *arg, const char *line, size_t len);
void log_set_sink(log_sink_fn sink, void *arg);

/* Whether a line of some module can have this level. */
bool log_enabled(enum log_level level);

/* "error", "warn", "info", "debug", "trace". Returns ERR_OK or ERR_PARSE. */
enum err log_level_parse(enum log_level *out, const char *text) MUST_USE;

/* module: short static name, the filter's target; fmt: printf style, no newline. */
void log_write(enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(module, ...) log_write(LOG_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...)  log_write(LOG_WARN, module, __VA_ARGS__)
#define log_info(module, ...)  log_write(LOG_INFO, module, __VA_ARGS__)
#define log_debug(module, ...)                                                                     \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, module, __VA_ARGS__);                                             \
    } while (0)

#endif
