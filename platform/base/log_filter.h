/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lines are logged: a level for all modules, and others for some by name. The text is that of RUST_LOG,
 *
 *   directive,directive,...     directive: LEVEL or TARGET=LEVEL, as in "info,tunnel=debug,wire=trace"
 *
 * with the levels off, error, warn, info, debug and trace, or 0 to 5, in any case. Spaces around a directive and empty
 * ones mean nothing; of two for the same target the later one holds. A target is compared with the whole name of a
 * module. Targets of other programs, such as "connlib_client_shared", match none and do no harm. Without a plain level,
 * modules that are not named stay at info. Pure; any thread.
 */
#ifndef FZ_BASE_LOG_FILTER_H
#define FZ_BASE_LOG_FILTER_H

#include "platform/base/err.h"
#include "platform/base/log.h"

enum {
    LOG_FILTER_TARGETS_MAX = 32,
    LOG_FILTER_TARGET_SIZE = 64
};

struct log_filter {
    enum log_level level; /* of modules that no target names */
    unsigned targets_n;
    struct log_filter_target {
        char name[LOG_FILTER_TARGET_SIZE];
        enum log_level level;
    } targets[LOG_FILTER_TARGETS_MAX];
};

/* ERR_PARSE: `why` is one sentence without a full stop, and `out` is not changed. */
enum err log_filter_parse(struct log_filter *out, const char *text, char *why,
                          unsigned why_size) MUST_USE;

/* The most that a line of this module may say. */
enum log_level log_filter_level(const struct log_filter *filter, const char *module);

/* The most that a line of any module may say. */
enum log_level log_filter_level_max(const struct log_filter *filter);

#endif
