/* SPDX-License-Identifier: Apache-2.0 */
/* See problem.h. */
#include "control/portal/problem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "platform/base/bytes.h"

enum {
    HTTP_UNAUTHORIZED = 401,
    RETRY_AFTER_MAX_S = 24 * 3600, /* a mistake should not lock a client out for longer */
    SECONDS_PER_DAY = 86400
};

/* ---- Retry-After ---- */

/* Days from 1970-01-01 to a date of the Gregorian calendar; month from 0. */
static int64_t days_since_1970(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t last = year - 1;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t days = last * 365 + last / 4 - last / 100 + last / 400 - 719162;
    return days + before[month] + (leap && month > 1) + day - 1;
}

static int month_number(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *at = strlen(name) == 3 ? strstr(names, name) : NULL;
    return at && (at - names) % 3 == 0 ? (int)((at - names) / 3) : -1;
}

/* The three forms of RFC 9110 5.6.7; the two obsolete ones are still to be understood. */
static bool parse_date(const char *text, int64_t *out)
{
    char name[4] = "";
    int year, day, hour, minute, second, end = 0, month;

    if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &day, name, &year, &hour,
               &minute, &second, &end) == 6 &&
        end > 0) {
        /* Sun, 06 Nov 1994 08:49:37 GMT */
    } else if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &day, name, &year,
                      &hour, &minute, &second, &end) == 6 &&
               end > 0) {
        year += year < 70 ? 2000 : 1900; /* Sunday, 06-Nov-94 08:49:37 GMT */
    } else if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", name, &day, &hour,
                      &minute, &second, &year, &end) != 6 ||
               end == 0) {
        return false; /* Sun Nov  6 08:49:37 1994 */
    }
    month = month_number(name);
    if (text[end] || month < 0 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60 || year < 1970)
        return false;
    *out = days_since_1970(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    return true;
}

/* Seconds, or a date, which means none if it has passed. */
static time_ns parse_retry_after(const char *text, int64_t unix_now)
{
    int64_t seconds = 0;

    text += strspn(text, " \t");
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits + strspn(text + digits, " \t")] == 0) {
        for (size_t i = 0; i < digits && seconds <= RETRY_AFTER_MAX_S; i++)
            seconds = seconds * 10 + (text[i] - '0');
    } else if (parse_date(text, &seconds)) {
        seconds -= unix_now;
        if (seconds > RETRY_AFTER_MAX_S) /* our clock is wrong, or theirs */
            return TIME_NEVER;
    } else {
        return TIME_NEVER;
    }
    if (seconds < 0)
        seconds = 0;
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    return (time_ns)seconds * NS_PER_SEC;
}

/* ---- the body ---- */

/* What is not printable ASCII becomes '?': the text goes to logs and terminals. */
static void copy_printable(char *out, size_t size, const char *text)
{
    size_t n = 0;
    if (!text)
        text = "";
    for (; n < size - 1 && text[n]; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = 0;
}

void problem_parse(struct problem *p, unsigned status, const char *retry_after, int64_t unix_now,
                   const char *body, size_t len)
{
    *p = (struct problem){.status = status, .retry_after_ns = TIME_NEVER};
    if (retry_after)
        p->retry_after_ns = parse_retry_after(retry_after, unix_now);
    json_t *root = json_loadb(body, len, 0, NULL);
    copy_printable(p->code, sizeof p->code, json_string_value(json_object_get(root, "code")));
    copy_printable(p->detail, sizeof p->detail, json_string_value(json_object_get(root, "detail")));
    json_decref(root);
}

enum problem_class problem_class(const struct problem *p)
{
    if (p->status != HTTP_UNAUTHORIZED)
        return PROBLEM_RETRY;
    return strcmp(p->code, "invalid_token") == 0 || strcmp(p->code, "missing_token") == 0
               ? PROBLEM_TOKEN
               : PROBLEM_AUTH;
}

void problem_text(const struct problem *p, char *out, size_t size)
{
    snprintf(out, size, "HTTP status %u%s%s%s%s", p->status, p->code[0] ? " " : "", p->code,
             p->detail[0] ? ": " : "", p->detail);
}
