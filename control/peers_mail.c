/* SPDX-License-Identifier: Apache-2.0 */
#include "control/peers_mail.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

enum {
    FIELDS_BEFORE_ADDRESS = 4 /* foundation, component, transport, priority: they may differ */
};

static void take_out(struct peers_mail_list *l, size_t i)
{
    free(l->lines[i]);
    l->n--;
    memmove(&l->lines[i], &l->lines[i + 1], (l->n - i) * sizeof l->lines[0]);
    memmove(&l->known[i], &l->known[i + 1], (l->n - i) * sizeof l->known[0]);
}

static void put(struct peers_mail_list *l, const char *line, bool known)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->lines[i], line) == 0)
            return;
    }
    if (l->n == PEERS_MAIL_MAX)
        take_out(l, 0);
    l->known[l->n] = known;
    l->lines[l->n++] = mem_dup_text(line, strlen(line));
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

/* True: it waited. known: what the list says of it. */
static bool cancel(struct peers_mail_list *l, const char *line, bool *known)
{
    for (size_t i = 0; i < l->n; i++) {
        if (same_candidate(l->lines[i], line)) {
            *known = l->known[i];
            take_out(l, i);
            return true;
        }
    }
    return false;
}

void peers_mail_add(struct peers_mail *m, const char *line)
{
    bool unused;
    bool known = cancel(&m->removed, line, &unused);

    put(&m->added, line, known);
}

void peers_mail_remove(struct peers_mail *m, const char *line)
{
    bool known = true;

    (void)cancel(&m->added, line, &known);
    if (known)
        put(&m->removed, line, false);
}

static void clear(struct peers_mail_list *l)
{
    while (l->n > 0)
        take_out(l, l->n - 1);
}

void peers_mail_clear(struct peers_mail *m)
{
    clear(&m->added);
    clear(&m->removed);
}

void peers_mail_fini(struct peers_mail *m)
{
    peers_mail_clear(m);
}

/* True: nothing is left. */
static bool hand_out(struct peers_mail_list *l, const struct peers_events *events, void *arg,
                     const struct uuid *peer, bool added)
{
    if (l->n > 0 && !events->candidates(arg, peer, added, (const char *const *)l->lines, l->n))
        return false;
    clear(l);
    return true;
}

bool peers_mail_flush(struct peers_mail *m, const struct peers_events *events, void *arg,
                      const struct uuid *peer)
{
    return hand_out(&m->added, events, arg, peer, true) &&
           hand_out(&m->removed, events, arg, peer, false);
}
