/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the message, a character at a time. */
#include "platform/base/log_line.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"

static const char *const level_names[] = {"ERROR", " WARN", " INFO", "DEBUG", "TRACE"};

/* The line so far. `max` leaves room for what must follow. */
struct builder {
    char *at;
    size_t n, max;
};

static bool put(struct builder *b, const char *bytes, size_t n)
{
    if (n > b->max - b->n)
        return false;
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
    return true;
}

static bool put_text(struct builder *b, const char *text)
{
    return put(b, text, strlen(text));
}

/*
 * Decodes the character at `s` (RFC 3629: no surrogates, nothing longer than needed). Returns its length; 0: `n` bytes are
 * the beginning of one; with *code = U+FFFD the length of what is none.
 */
static size_t utf8_next(uint32_t *code, const char *s, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)s[0];
    size_t len = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;

    *code = first;
    if (len == 1)
        return 1;
    *code = 0xfffd;
    if (first < 0xc2 || first > 0xf4)
        return 1;
    uint32_t c = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (i == n)
            return 0;
        if (((uint8_t)s[i] & 0xc0) != 0x80)
            return i;
        c = c << 6 | ((uint8_t)s[i] & 0x3f);
    }
    if (c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff))
        *code = c;
    return len;
}

/* "" if the character stands for itself. */
static void escape(char out[8], uint32_t code, enum log_format format)
{
    static const char letters[] = "\b\f\n\r\t", names[] = "bfnrt";
    const char *letter = code != 0 && code < ' ' ? strchr(letters, (int)code) : NULL;
    bool control = code < ' ' || (code >= 0x7f && code < 0xa0);

    out[0] = '\0';
    if (letter)
        snprintf(out, 8, "\\%c", names[letter - letters]);
    else if (control)
        snprintf(out, 8, format == LOG_JSON ? "\\u%04x" : "\\x%02x", (unsigned)code);
    else if (format == LOG_JSON && (code == '"' || code == '\\'))
        snprintf(out, 8, "\\%c", (char)code);
    else if (code == 0xfffd)
        snprintf(out, 8, "\xef\xbf\xbd");
}

/* Stops before the first character that does not fit. */
static void put_escaped(struct builder *b, const char *s, size_t n, enum log_format format)
{
    while (n > 0) {
        uint32_t code;
        char text[8];
        size_t len = utf8_next(&code, s, n);
        if (len == 0)
            return;
        escape(text, code, format);
        if (text[0] != '\0' ? !put_text(b, text) : !put(b, s, len))
            return;
        s += len;
        n -= len;
    }
}

static void text_line(struct builder *b, const struct log_record *r)
{
    static const char end[] = "\n";

    b->max -= sizeof end - 1;
    put(b, r->stamp, LOG_STAMP_LEN);
    put_text(b, " ");
    put(b, level_names[r->level], LOG_LEVEL_LEN);
    put_text(b, " ");
    put_escaped(b, r->module, strlen(r->module), LOG_TEXT);
    put_text(b, ": ");
    put_escaped(b, r->message, r->message_len, LOG_TEXT);
    b->max += sizeof end - 1;
    put_text(b, end);
}

static void json_line(struct builder *b, const struct log_record *r)
{
    static const char middle[] = "\",\"message\":\"", end[] = "\"}\n";

    b->max -= sizeof middle - 1 + sizeof end - 1;
    put_text(b, "{\"time\":\"");
    put(b, r->stamp, LOG_STAMP_LEN);
    put_text(b, "\",\"level\":\"");
    put_text(b, level_names[r->level] + (level_names[r->level][0] == ' '));
    put_text(b, "\",\"target\":\"");
    put_escaped(b, r->module, strlen(r->module), LOG_JSON);
    b->max += sizeof middle - 1;
    put_text(b, middle);
    put_escaped(b, r->message, r->message_len, LOG_JSON);
    b->max += sizeof end - 1;
    put_text(b, end);
}

size_t log_line(char *out, enum log_format format, const struct log_record *r)
{
    struct builder b = {.at = out, .max = LOG_LINE_MAX};

    ASSERT(r->level >= LOG_ERROR && r->level <= LOG_TRACE);
    if (format == LOG_JSON)
        json_line(&b, r);
    else
        text_line(&b, r);
    return b.n;
}

size_t log_line_colour(char *out, const char *line, size_t n, enum log_level level)
{
    static const char *const colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[34m",
                                          "\033[35m"};
    struct builder b = {.at = out, .max = n + LOG_COLOUR_MAX};
    const size_t level_at = LOG_STAMP_LEN + 1, rest_at = level_at + LOG_LEVEL_LEN;

    ASSERT(n >= rest_at);
    put_text(&b, "\033[2m");
    put(&b, line, LOG_STAMP_LEN);
    put_text(&b, "\033[0m ");
    put_text(&b, colours[level]);
    put(&b, line + level_at, LOG_LEVEL_LEN);
    put_text(&b, "\033[0m");
    put(&b, line + rest_at, n - rest_at);
    return b.n;
}
