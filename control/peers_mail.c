/* SPDX-License-Identifier: Apache-2.0 */
#include "control/peers_mail.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

enum {
    FIELDS_BEFORE_ADDRESS = 4 /* foundation, component, transport, priority: they may differ */
};

static void take_out(char **lines, size_t *n, size_t i)
{
    free(lines[i]);
    memmove(&lines[i], &lines[i + 1], (--*n - i) * sizeof *lines);
}

static void put(char **lines, size_t *n, const char *line)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(lines[i], line) == 0)
            return;
    }
    if (*n == PEERS_MAIL_MAX)
        take_out(lines, n, 0);
    lines[(*n)++] = mem_dup_text(line, strlen(line));
}

/* The address and what follows it, up to the user name; the candidate is the same if this is. */
static const char *address_part(const char *line, size_t *len)
{
    const char *at = line, *end;

    for (unsigned i = 0; i < FIELDS_BEFORE_ADDRESS && *at; i++) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    end = strstr(at, " ufrag ");
    *len = end ? (size_t)(end - at) : strlen(at);
    return at;
}

static bool same_candidate(const char *a, const char *b)
{
    size_t a_len, b_len;
    const char *pa = address_part(a, &a_len), *pb = address_part(b, &b_len);

    return a_len == b_len && memcmp(pa, pb, a_len) == 0;
}

static bool cancel(char **lines, size_t *n, const char *line)
{
    for (size_t i = 0; i < *n; i++) {
        if (same_candidate(lines[i], line)) {
            take_out(lines, n, i);
            return true;
        }
    }
    return false;
}

void peers_mail_add(struct peers_mail *m, const char *line)
{
    (void)cancel(m->removed, &m->removed_n, line);
    put(m->added, &m->added_n, line);
}

void peers_mail_remove(struct peers_mail *m, const char *line)
{
    if (!cancel(m->added, &m->added_n, line))
        put(m->removed, &m->removed_n, line);
}

void peers_mail_clear(struct peers_mail *m)
{
    while (m->added_n > 0)
        take_out(m->added, &m->added_n, m->added_n - 1);
    while (m->removed_n > 0)
        take_out(m->removed, &m->removed_n, m->removed_n - 1);
}

void peers_mail_fini(struct peers_mail *m)
{
    peers_mail_clear(m);
}

void peers_mail_flush(struct peers_mail *m, const struct peers_events *events, void *arg,
                      const struct uuid *peer)
{
    if (m->added_n > 0)
        events->candidates(arg, peer, true, (const char *const *)m->added, m->added_n);
    if (m->removed_n > 0)
        events->candidates(arg, peer, false, (const char *const *)m->removed, m->removed_n);
    peers_mail_clear(m);
}
