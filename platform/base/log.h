/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per call on stderr, level and module first. Never called on a packet path, never given a
 * secret. The level is set once before threads start; a call is one write(2), so lines of threads do not mix.
 */
#ifndef FZ_BASE_LOG_H
#define FZ_BASE_LOG_H

#include <stdbool.h>

#include "platform/base/err.h"

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
    LOG_TRACE
};

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* "error", "warn", "info", "debug", "trace". Returns ERR_OK or ERR_PARSE. */
enum err log_level_parse(enum log_level *out, const char *text) MUST_USE;

/* module: short static name; fmt: printf style, no newline. Longer lines are cut at 1 KiB. */
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
