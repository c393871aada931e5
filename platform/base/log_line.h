/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a line of the log looks like.
 *
 *   2026-03-01T12:34:56.789Z  INFO tunnel: message          the level takes five columns
 *   {"time":"2026-03-01T12:34:56.789Z","level":"INFO","target":"tunnel","message":"message"}
 *
 * A message is one line whatever it contains: control characters are escaped (\n, \t and so on; else \xNN in text and
 * \u00NN in JSON), what is no UTF-8 becomes U+FFFD. Pure; any thread.
 */
#ifndef FZ_BASE_LOG_LINE_H
#define FZ_BASE_LOG_LINE_H

#include <stddef.h>

#include "platform/base/log.h"

enum {
    LOG_STAMP_LEN = 24, /* "2026-03-01T12:34:56.789Z" */
    LOG_LEVEL_LEN = 5,
    LOG_COLOUR_MAX = 32 /* what colours add to a line */
};

struct log_record {
    const char *stamp; /* LOG_STAMP_LEN characters */
    enum log_level level;
    const char *module;
    const char *message;
    size_t message_len; /* a character that ends amid its bytes there is left out */
};

/*
 * Writes the line with its line feed, no zero, into LOG_LINE_MAX bytes, and returns its length. A text line begins with
 * the stamp, a space, the level and a space.
 */
size_t log_line(char *out, enum log_format format, const struct log_record *r);

/*
 * The text line `line` of `n` bytes again, with the stamp dimmed and the level coloured, into n + LOG_COLOUR_MAX bytes.
 * Returns its length.
 */
size_t log_line_colour(char *out, const char *line, size_t n, enum log_level level);

#endif
