/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/stub_private.h"

#include "engine/wire/ranges.h"

enum {
    RESOURCE_BITS = 14,
    NAME_BITS = 18
};

/* ---- the order of resources of a name ---- */

static bool precedes(const struct stub_resource *a, const struct stub_resource *b)
{
    int order = dns_pattern_compare(a->text, b->text);
    return order != 0 ? order < 0 : memcmp(a->id.bytes, b->id.bytes, UUID_LEN) > 0;
}

/* ---- names ---- */

struct stub_name *stub_name_find(const struct dns_stub *s, const char *text)
{
    uint64_t hash = dns_hash(s->secret, text, strlen(text));

    for (struct dns_link *l = dns_map_find(&s->by_text, hash); l; l = dns_map_next(l->next, hash)) {
        struct stub_name *n = CONTAINER_OF(l, struct stub_name, link);
        if (strcmp(n->text, text) == 0)
            return n;
    }
    return NULL;
}

struct stub_name *stub_name_add(struct dns_stub *s, const char *text)
{
    size_t len = strlen(text);

    if (s->names_n == s->names_max)
        return NULL;
    struct stub_name *n = mem_zalloc(1, sizeof *n + len + 1);
    memcpy(n->text, text, len);
    n->index = s->names_n;
    n->generation = s->generation - 1;
    s->names = mem_grow(s->names, s->names_n, sizeof *s->names);
    s->names[s->names_n++] = n;
    dns_map_add(&s->by_text, &n->link, dns_hash(s->secret, text, len));
    return n;
}

static void report(struct dns_stub *s, const struct stub_name *n)
{
    struct uuid ids[DNS_STUB_RESOURCES_MAX];
    uint8_t stacks[DNS_STUB_RESOURCES_MAX];
    unsigned count = 0;

    for (const struct stub_tie *t = n->ties; t; t = t->name_next) {
        if (!t->resource->listed)
            continue;
        ids[count] = t->resource->id;
        stacks[count++] = t->resource->ip_stack;
    }
    s->events.name(s->arg, n->index, n->text, ids, stacks, count);
}

const struct stub_resource *stub_best(const struct stub_name *n)
{
    const struct stub_tie *t = n->ties;

    while (!t->resource->listed)
        t = t->name_next;
    return t->resource;
}

/* ---- ties ---- */

static void tie_add(struct stub_tie **at, struct stub_name *n, struct stub_resource *r)
{
    struct stub_tie *t = mem_zalloc(1, sizeof *t);

    *t = (struct stub_tie){.name = n, .resource = r, .name_next = *at, .next = r->ties};
    *at = t;
    if (r->ties)
        r->ties->prev = t;
    r->ties = t;
}

static void tie_remove(struct stub_tie **at)
{
    struct stub_tie *t = *at;
    struct stub_resource *r = t->resource;

    *at = t->name_next;
    if (r->after == t)
        r->after = t->next;
    if (t->next)
        t->next->prev = t->prev;
    if (t->prev)
        t->prev->next = t->next;
    else
        r->ties = t->next;
    free(t);
}

/* Where the name's tie to the resource is; of none, the end. */
static struct stub_tie **tie_find(struct stub_name *n, const struct stub_resource *r)
{
    struct stub_tie **at = &n->ties;

    while (*at && (*at)->resource != r)
        at = &(*at)->name_next;
    return at;
}

/* Where it belongs. */
static struct stub_tie **tie_place(struct stub_name *n, const struct stub_resource *r)
{
    struct stub_tie **at = &n->ties;

    while (*at && precedes((*at)->resource, r))
        at = &(*at)->name_next;
    return at;
}

/* A resource that has gone is remembered for the sake of its names only. */
static void forget_if_unused(struct dns_stub *s, struct stub_resource *r)
{
    if (r->listed || r->ties || r->at_work)
        return;
    if (!r->doomed)
        dns_map_remove(&s->by_id, &r->by_id);
    free(r);
}

/* Of more than a name can have, the last one that is not listed goes, or else the last. */
static void keep_within_limit(struct dns_stub *s, struct stub_name *n)
{
    struct stub_tie **last = NULL, **unlisted = NULL;
    unsigned count = 0;

    for (struct stub_tie **at = &n->ties; *at; at = &(*at)->name_next, count++) {
        last = at;
        if (!(*at)->resource->listed)
            unlisted = at;
    }
    if (count <= DNS_STUB_RESOURCES_MAX)
        return;
    struct stub_tie **victim = unlisted ? unlisted : last;
    struct stub_resource *r = (*victim)->resource;
    tie_remove(victim);
    forget_if_unused(s, r);
}

void stub_tie(struct dns_stub *s, struct stub_name *n, const struct stub_matches *m)
{
    bool changed = false;

    for (unsigned i = 0; i < m->n; i++) {
        if (*tie_find(n, m->list[i]))
            continue;
        tie_add(tie_place(n, m->list[i]), n, m->list[i]);
        keep_within_limit(s, n);
        changed = true;
    }
    n->generation = s->generation;
    n->v4 = m->v4;
    n->v6 = m->v6;
    n->matched = m->n > 0;
    s->counters.resources_full += m->too_many;
    if (changed)
        report(s, n);
}

/* ---- which patterns match ---- */

static void match_one(struct stub_matches *m, struct stub_resource *r)
{
    unsigned at = m->n;

    m->v4 |= r->ip_stack != IP_STACK_V6;
    m->v6 |= r->ip_stack != IP_STACK_V4;
    if (m->n == DNS_STUB_RESOURCES_MAX) {
        m->too_many = true;
        at--;
        if (!precedes(r, m->list[at]))
            return;
    } else {
        m->n++;
    }
    for (; at > 0 && precedes(r, m->list[at - 1]); at--)
        m->list[at] = m->list[at - 1];
    m->list[at] = r;
}

/* Each end of the name, from all of it to nothing, can be what follows a pattern's last wildcard. */
void stub_match(const struct dns_stub *s, const char *name, struct stub_matches *m)
{
    size_t left = strlen(name);

    m->n = 0;
    m->v4 = m->v6 = m->too_many = false;
    for (const char *end = name; end;) {
        uint64_t hash = dns_hash(s->secret, end, left);
        for (struct dns_link *l = dns_map_find(&s->by_end, hash); l;
             l = dns_map_next(l->next, hash)) {
            struct stub_resource *r = CONTAINER_OF(l, struct stub_resource, by_end);
            if (dns_pattern_match(&r->pattern, name))
                match_one(m, r);
        }
        const char *dot = strchr(end, '.');
        const char *next = dot ? dot + 1 : left > 0 ? end + left : NULL;
        left -= next ? (size_t)(next - end) : 0;
        end = next;
    }
}

/* ---- resources ---- */

static uint64_t end_hash(const struct dns_stub *s, const char *pattern)
{
    const char *end = dns_pattern_literal_end(pattern);
    size_t len = strlen(end);
    char *lower = mem_dup_text(end, len);

    for (char *c = lower; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + ('a' - 'A')) : *c;
    uint64_t hash = dns_hash(s->secret, lower, len);
    free(lower);
    return hash;
}

static struct stub_resource *find(const struct dns_stub *s, const struct uuid *id)
{
    uint64_t hash = dns_hash(s->secret, id->bytes, UUID_LEN);

    for (struct dns_link *l = dns_map_find(&s->by_id, hash); l; l = dns_map_next(l->next, hash)) {
        struct stub_resource *r = CONTAINER_OF(l, struct stub_resource, by_id);
        if (uuid_equal(&r->id, id))
            return r;
    }
    return NULL;
}

static void set_listed(struct dns_stub *s, struct stub_resource *r, bool listed)
{
    if (r->listed == listed)
        return;
    r->listed = listed;
    if (!r->pattern.text)
        return;
    if (listed)
        dns_map_add(&s->by_end, &r->by_end, end_hash(s, r->text));
    else
        dns_map_remove(&s->by_end, &r->by_end);
}

/* Its names are to be reported, from the first one on. */
static void queue(struct dns_stub *s, struct stub_resource *r)
{
    r->after = r->ties;
    if (r->at_work)
        return;
    r->at_work = true;
    r->work_next = NULL;
    if (s->work_first)
        s->work_last->work_next = r;
    else
        s->work_first = r;
    s->work_last = r;
}

static void doom(struct dns_stub *s, struct stub_resource *r)
{
    set_listed(s, r, false);
    dns_map_remove(&s->by_id, &r->by_id);
    r->doomed = true;
    queue(s, r);
}

static struct stub_resource *add(struct dns_stub *s, const struct uuid *id, const char *pattern)
{
    size_t len = strlen(pattern);
    struct stub_resource *r = mem_zalloc(1, sizeof *r + len + 1);

    memcpy(r->text, pattern, len);
    r->id = *id;
    dns_map_add(&s->by_id, &r->by_id, dns_hash(s->secret, id->bytes, UUID_LEN));
    return r;
}

enum err dns_stub_set(struct dns_stub *s, const struct uuid *id, const char *pattern,
                      enum message_ip_stack ip_stack, char *why, unsigned why_size)
{
    struct stub_resource *r = find(s, id);

    s->generation++;
    if (r && strcmp(r->text, pattern) != 0) {
        doom(s, r);
        r = NULL;
    }
    if (!r)
        r = add(s, id, pattern);
    enum err err = dns_pattern_init(&r->pattern, r->text, why, why_size);
    r->ip_stack = (uint8_t)ip_stack;
    set_listed(s, r, true);
    queue(s, r);
    dns_stub_step(s);
    return err;
}

void dns_stub_remove(struct dns_stub *s, const struct uuid *id)
{
    struct stub_resource *r = find(s, id);

    if (!r || !r->listed)
        return;
    s->generation++;
    set_listed(s, r, false);
    queue(s, r);
    dns_stub_step(s);
}

/* ---- what changes mean for names ---- */

static void work_done(struct dns_stub *s, struct stub_resource *r)
{
    s->work_first = r->work_next;
    r->at_work = false;
    forget_if_unused(s, r);
}

static void work_on(struct dns_stub *s, struct stub_resource *r)
{
    struct stub_name *n = r->after->name;

    if (r->doomed)
        tie_remove(tie_find(n, r));
    else
        r->after = r->after->next;
    report(s, n);
}

bool dns_stub_step(struct dns_stub *s)
{
    for (unsigned left = DNS_STUB_STEP; s->work_first && left > 0; left--) {
        if (s->work_first->after)
            work_on(s, s->work_first);
        else
            work_done(s, s->work_first);
    }
    return s->work_first != NULL;
}

/* ---- life ---- */

struct dns_stub *dns_stub_new(uint64_t secret, const struct dns_stub_events *events, void *arg)
{
    struct dns_stub *s = mem_zalloc(1, sizeof *s);

    s->secret = secret;
    s->events = *events;
    s->arg = arg;
    s->names_max = PROXY_NAMES;
    dns_map_init(&s->by_id, RESOURCE_BITS);
    dns_map_init(&s->by_end, RESOURCE_BITS);
    dns_map_init(&s->by_text, NAME_BITS);
    return s;
}

void dns_stub_free(struct dns_stub *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->names_n; i++) {
        while (s->names[i]->ties)
            tie_remove(&s->names[i]->ties);
        free(s->names[i]);
    }
    while (s->work_first)
        work_done(s, s->work_first);
    for (size_t i = 0; i < (size_t)1 << RESOURCE_BITS; i++) {
        while (s->by_id.buckets[i]) {
            struct dns_link *l = s->by_id.buckets[i];
            s->by_id.buckets[i] = l->next;
            free(CONTAINER_OF(l, struct stub_resource, by_id));
        }
    }
    dns_map_fini(&s->by_id);
    dns_map_fini(&s->by_end);
    dns_map_fini(&s->by_text);
    free(s->names);
    free(s);
}
