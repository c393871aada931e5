/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_log.h"

#include <stdio.h>
#include <string.h>

long net_log_read(const char *log, long at, void (*see)(void *arg, const char *line), void *arg)
{
    char line[NET_LOG_LINE_MAX];
    FILE *f = fopen(log, "re");

    if (f != NULL && fseek(f, at, SEEK_SET) == 0) {
        while (fgets(line, sizeof line, f) != NULL) {
            size_t n = strcspn(line, "\n");
            if (line[n] == '\0' && n < sizeof line - 1)
                break; /* it is still being written */
            at += (long)n + (line[n] == '\n');
            line[n] = '\0';
            see(arg, line);
        }
    }
    if (f != NULL)
        fclose(f);
    return at;
}

struct search {
    const char *text;
    bool found;
};

static void look(void *arg, const char *line)
{
    struct search *s = arg;
    s->found = s->found || strstr(line, s->text) != NULL;
}

bool net_log_has(const char *log, const char *text)
{
    struct search s = {.text = text};

    (void)net_log_read(log, 0, look, &s);
    return s.found;
}

static void keep(void *arg, const char *line)
{
    if (line[0] != '\0')
        snprintf(arg, NET_LOG_LINE_MAX, "%s", line);
}

void net_log_last(const char *log, char line[NET_LOG_LINE_MAX])
{
    snprintf(line, NET_LOG_LINE_MAX, "nothing");
    (void)net_log_read(log, 0, keep, line);
}
