/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "platform/base/err.h"

enum {
    LINE_MAX_USUAL = 79,
    LINE_SIZE = 256,
    QUARTERS = 4,
    TIME_TEXT_MAX = 32
};

void progress_init(struct progress *p, FILE *out, bool in_place, uint64_t total, time_ns now)
{
    ASSERT(total > 0);
    *p = (struct progress){.out = out, .in_place = in_place, .total = total, .start = now};
}

void progress_init_stderr(struct progress *p, uint64_t total, time_ns now)
{
    progress_init(p, stderr, isatty(STDERR_FILENO) == 1, total, now);
}

/* "7 s", "3 min 07 s", "2 h 05 min" */
static const char *time_text(uint64_t ns, char *buf, size_t size)
{
    unsigned long long s = ns / NS_PER_SEC;

    if (s < 60)
        snprintf(buf, size, "%llu s", s);
    else if (s < 3600)
        snprintf(buf, size, "%llu min %02llu s", s / 60, s % 60);
    else
        snprintf(buf, size, "%llu h %02llu min", s / 3600, s / 60 % 60);
    return buf;
}

static void line_text(const struct progress *p, uint64_t done, const char *label, time_ns now,
                      char *line)
{
    char elapsed[TIME_TEXT_MAX], left[TIME_TEXT_MAX];
    uint64_t passed = time_since(now, p->start);
    double part = (double)done / (double)p->total;

    int len = snprintf(line, LINE_SIZE, "%3.0f %%, %s", part * 100,
                       time_text(passed, elapsed, sizeof elapsed));
    if (done > 0)
        len +=
            snprintf(line + len, LINE_SIZE - (size_t)len, ", about %s left",
                     time_text((uint64_t)((double)passed / part * (1 - part)), left, sizeof left));
    snprintf(line + len, LINE_SIZE - (size_t)len, ": %s", label);
}

/* A longer line would wrap, and then it cannot be rewritten. */
static int terminal_width(FILE *out)
{
    struct winsize size;

    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col - 1 < LINE_SIZE - 1 ? size.ws_col - 1 : LINE_SIZE - 1;
    return LINE_MAX_USUAL;
}

static void rewrite(struct progress *p, const char *line)
{
    int len = (int)strnlen(line, (size_t)terminal_width(p->out));

    fprintf(p->out, "\r%-*.*s", len > p->width ? len : p->width, len, line);
    fflush(p->out);
    p->width = len;
}

void progress_show(struct progress *p, uint64_t done, const char *label, time_ns now)
{
    char line[LINE_SIZE];

    done = done < p->total ? done : p->total;
    line_text(p, done, label, now, line);
    if (p->in_place) {
        rewrite(p, line);
        return;
    }
    unsigned quarter = (unsigned)((double)done / (double)p->total * QUARTERS);
    if (p->lines == QUARTERS || quarter < p->lines)
        return;
    fprintf(p->out, "%s\n", line);
    fflush(p->out);
    p->lines = quarter + 1 < QUARTERS ? quarter + 1 : QUARTERS;
}

void progress_clear(struct progress *p)
{
    if (p->width == 0)
        return;
    fprintf(p->out, "\r%*s\r", p->width, "");
    fflush(p->out);
    p->width = 0;
}
