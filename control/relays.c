/* SPDX-License-Identifier: Apache-2.0 */
#include "control/relays.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"

void relays_init(struct relays *s, relay_changed changed, void *arg)
{
    *s = (struct relays){.changed = changed, .arg = arg};
}

void relays_fini(struct relays *s)
{
    secure_wipe(s->list, sizeof s->list);
    s->n = 0;
}

static struct relay *find(struct relay *list, unsigned n, const struct uuid *id)
{
    for (unsigned i = 0; i < n; i++) {
        if (memcmp(&list[i].id, id, sizeof *id) == 0)
            return &list[i];
    }
    return NULL;
}

static bool put_text(char out[RELAY_CREDENTIAL_MAX + 1], const char *text)
{
    size_t len = strlen(text);

    if (len > RELAY_CREDENTIAL_MAX)
        return false;
    memcpy(out, text, len + 1);
    return true;
}

/* Adds an element to those that were read before it. NULL: it was added; else why it is of no use. */
static const char *add(struct relay *list, unsigned *n, const struct message_relay *m)
{
    struct relay *r = find(list, *n, &m->id);

    if (!r && *n == RELAYS_MAX)
        return "there are too many";
    if (!r) {
        r = &list[(*n)++];
        r->id = m->id;
    }
    if (!put_text(r->username, m->username) || !put_text(r->password, m->password))
        return "its credentials are too long";
    r->expires_at = m->expires_at;
    *(m->addr.ip.family == ADDR_V4 ? &r->v4 : &r->v6) = m->addr;
    return NULL;
}

static unsigned read_all(struct relay list[RELAYS_MAX], const json_t *json)
{
    struct message_relay m;
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(json); i++) {
        struct fields f = {.failed = false};
        const char *why = NULL;
        if (message_relay_at(&m, json, i, &f))
            why = add(list, &n, &m);
        else if (f.failed)
            why = f.why;
        if (why)
            log_warn("portal", "a relay is left out: %s", why);
    }
    return n;
}

static bool same(const struct relay *a, const struct relay *b)
{
    return sock_addr_equal(&a->v4, &b->v4) && sock_addr_equal(&a->v6, &b->v6) &&
           strcmp(a->username, b->username) == 0 && strcmp(a->password, b->password) == 0 &&
           a->expires_at == b->expires_at;
}

static void take_out(struct relays *s, struct relay *r)
{
    struct relay gone = *r;

    *r = s->list[--s->n];
    secure_wipe(&s->list[s->n], sizeof gone);
    s->changed(s->arg, RELAY_REMOVED, &gone);
    secure_wipe(&gone, sizeof gone);
}

/* One that the portal has not named again makes room. */
static void make_room(struct relays *s, struct relay *list, unsigned n)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (!find(list, n, &s->list[i].id)) {
            take_out(s, &s->list[i]);
            return;
        }
    }
}

static void upsert(struct relays *s, const struct relay *new)
{
    struct relay *r = find(s->list, s->n, &new->id);

    if (r && same(r, new))
        return;
    enum relay_change change = r ? RELAY_CHANGED : RELAY_ADDED;
    if (!r)
        r = &s->list[s->n++];
    memcpy(r, new, sizeof *r);
    s->changed(s->arg, change, r);
}

void relays_upsert(struct relays *s, const json_t *json)
{
    struct relay list[RELAYS_MAX] = {{.expires_at = 0}};
    unsigned n = read_all(list, json);

    for (unsigned i = 0; i < n; i++) {
        if (list[i].v4.ip.family == ADDR_NONE && list[i].v6.ip.family == ADDR_NONE)
            continue;
        if (s->n == RELAYS_MAX && !find(s->list, s->n, &list[i].id))
            make_room(s, list, n);
        upsert(s, &list[i]);
    }
    secure_wipe(list, sizeof list);
}

bool relays_named(const json_t *list, const struct uuid *id)
{
    struct message_relay m;

    for (size_t i = 0; i < json_array_size(list); i++) {
        struct fields f = {.failed = false};
        if (message_relay_at(&m, list, i, &f) && uuid_equal(&m.id, id))
            return true;
    }
    return false;
}

void relays_remove(struct relays *s, const json_t *ids)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        struct fields f = {.failed = false};
        struct relay *r;
        struct uuid id;
        if (!message_uuid_at(&id, ids, i, &f)) {
            log_warn("portal", "%s", f.why);
            continue;
        }
        r = find(s->list, s->n, &id);
        if (r)
            take_out(s, r);
    }
}
