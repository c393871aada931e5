/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the log's filter and lines. An accepted filter says the same when it is written out again. A JSON line is
 * read by another reader as one flat object that holds the message, and a text line is one line. Input: a filter; behind a
 * line feed, a message.
 */
#include "platform/base/log_filter.h"
#include "platform/base/log_line.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_filter(const char *text)
{
    static const char *const names[] = {"off", "error", "warn", "info", "debug", "trace"};
    struct log_filter f, again;
    char why[256] = "", out[LOG_FILTER_TARGETS_MAX * (LOG_FILTER_TARGET_SIZE + 8) + 16];

    if (log_filter_parse(&f, text, why, sizeof why) != ERR_OK) {
        ASSERT(why[0] != '\0');
        for (const char *c = why; *c; c++)
            ASSERT(*c >= ' ' && *c < 127);
        return;
    }
    ASSERT(f.level >= LOG_OFF && f.level <= LOG_TRACE && f.targets_n <= LOG_FILTER_TARGETS_MAX);
    size_t n = (size_t)snprintf(out, sizeof out, "%s", names[f.level + 1]);
    enum log_level max = f.level;
    for (unsigned i = 0; i < f.targets_n; i++) {
        enum log_level level = log_filter_level(&f, f.targets[i].name);
        ASSERT(level == f.targets[i].level); /* no name twice */
        max = level > max ? level : max;
        n += (size_t)snprintf(out + n, sizeof out - n, ",%s=%s", f.targets[i].name,
                              names[level + 1]);
        ASSERT(n < sizeof out);
    }
    ASSERT(log_filter_level_max(&f) == max);
    ASSERT(log_filter_level(&f, "no module\n") == f.level);
    ASSERT(log_filter_parse(&again, out, why, sizeof why) == ERR_OK);
    ASSERT(again.level == f.level && again.targets_n == f.targets_n);
    for (unsigned i = 0; i < f.targets_n; i++)
        ASSERT(log_filter_level(&again, f.targets[i].name) == f.targets[i].level);
}

/* Whether `s` is UTF-8, as jansson sees it. */
static bool is_utf8(const char *s, size_t n)
{
    json_t *j = json_stringn(s, n);
    json_decref(j);
    return j != NULL;
}

static void check_line(const char *message, size_t len)
{
    struct log_record r = {"2026-03-01T12:34:56.789Z", LOG_INFO, "fuzz", message, len};
    char line[LOG_LINE_MAX], copy[LOG_LINE_MAX + LOG_COLOUR_MAX];

    size_t n = log_line(line, LOG_TEXT, &r);
    ASSERT(n <= LOG_LINE_MAX && memchr(line, '\n', n) == line + n - 1);
    for (size_t i = 0; i < n - 1; i++)
        ASSERT((uint8_t)line[i] >= ' ' && line[i] != 127);
    ASSERT(is_utf8(line, n));
    ASSERT(log_line_colour(copy, line, n, LOG_INFO) <= n + LOG_COLOUR_MAX);
    n = log_line(line, LOG_JSON, &r);
    ASSERT(n <= LOG_LINE_MAX && memchr(line, '\n', n) == line + n - 1);
    json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    ASSERT(j && json_object_size(j) == 4);
    ASSERT(strcmp(json_string_value(json_object_get(j, "target")), "fuzz") == 0);
    const json_t *got = json_object_get(j, "message");
    ASSERT(json_is_string(got));
    if (is_utf8(message, len) && n < LOG_LINE_MAX - 6) {
        ASSERT(json_string_length(got) == len);
        ASSERT(memcmp(json_string_value(got), message, len) == 0);
    }
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    char *message = memchr(text, '\n', size);
    if (message) {
        *message++ = 0;
        size_t len = size - (size_t)(message - text);
        check_line(message, len < LOG_MESSAGE_MAX ? len : LOG_MESSAGE_MAX);
    }
    check_filter(text);
    free(text);
    return 0;
}
