/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name is asked for, then ready, then perhaps kept:
 *
 *     ask ---> ASKED --- answer, time-out ---> READY --- loop ---> done, ..., done ---> KEPT until its TTL is over
 *                                                ^                                        |
 *                                                +--------------- ask --------------------+
 */
#include "control/gateway_names.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

enum {
    BUCKETS = 1024,
    NAMES_PER_STEP = 64 /* that are told in one go */
};

enum name_state {
    NAME_ASKED, /* in the order of their time-outs */
    NAME_READY,
    NAME_KEPT, /* the oldest first */
    NAME_STATES
};

/* A question to the host's resolver, which answers in any case, perhaps after we have given up. */
struct question {
    struct gateway_names *names;
    struct gateway_name *name; /* NULL: nobody waits any more */
};

struct gateway_name {
    struct gateway_name *prev, *next; /* of its state */
    struct gateway_name *hash_next;
    enum name_state state;
    struct gateway_names_query *queries;
    struct question *question; /* NULL: answered */
    time_ns until;             /* ASKED: its time-out; then: as long as it holds */
    bool known;
    struct gateway_name_addrs addrs;
    char text[];
};

struct name_list {
    struct gateway_name *first, *last;
};

struct gateway_names {
    struct loop *loop;
    struct host_resolver *resolver;
    struct gateway_name *buckets[BUCKETS];
    struct name_list lists[NAME_STATES];
    unsigned questions, kept;
    struct loop_timer timer;
    uint64_t counts[GATEWAY_NAMES_COUNT_N];
};

/* ---- addresses ---- */

bool gateway_names_allowed(const struct ip_addr *ip)
{
    static const struct ip_prefix refused[] = {
        {{ADDR_V4, {0}}, 8},
        {{ADDR_V4, {100, 64}}, 10}, /* the tunnel, proxies and stub resolvers */
        {{ADDR_V4, {127}}, 8},
        {{ADDR_V4, {169, 254}}, 16},
        {{ADDR_V4, {224}}, 4},
        {{ADDR_V4, {255, 255, 255, 255}}, 32},
        {{ADDR_V6, {0}}, 127},
        {{ADDR_V6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96},
        {{ADDR_V6, {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0, 0}}, 107},
        {{ADDR_V6, {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0}}, 107},
        {{ADDR_V6, {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0, 1, 0, 1, 0, 1, 0x11}}, 120},
        {{ADDR_V6, {0xfe, 0x80}}, 10},
        {{ADDR_V6, {0xff}}, 8},
    };

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (ip_prefix_contains(&refused[i], ip))
            return false;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ip_addr)); /* the family comes first */
}

static void take(struct gateway_names *s, struct gateway_name *name, const struct host_answer *a)
{
    struct gateway_name_addrs *out = &name->addrs;
    unsigned refused = 0, n = 0;

    out->n = 0;
    for (unsigned i = 0; i < a->n; i++) {
        if (gateway_names_allowed(&a->addrs[i]))
            out->ips[out->n++] = a->addrs[i];
        else
            refused++;
    }
    qsort(out->ips, out->n, sizeof out->ips[0], compare);
    for (unsigned i = 0; i < out->n; i++) {
        if (n == 0 || !ip_addr_equal(&out->ips[n - 1], &out->ips[i]))
            out->ips[n++] = out->ips[i];
    }
    out->n = n;
    if (refused > 0)
        log_warn("names", "%u address%s of %s cannot be those of a resource", refused,
                 refused == 1 ? "" : "es", name->text);
    s->counts[GATEWAY_NAMES_REFUSED] += refused;
}

/* ---- the table ---- */

static struct gateway_name **find(struct gateway_names *s, const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (const char *c = text; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    struct gateway_name **at = &s->buckets[hash % BUCKETS];
    while (*at && strcmp((*at)->text, text) != 0)
        at = &(*at)->hash_next;
    return at;
}

static void list_remove(struct gateway_names *s, struct gateway_name *name)
{
    struct name_list *list = &s->lists[name->state];

    *(name->prev ? &name->prev->next : &list->first) = name->next;
    *(name->next ? &name->next->prev : &list->last) = name->prev;
    name->prev = name->next = NULL;
    s->kept -= name->state == NAME_KEPT;
}

static void list_append(struct gateway_names *s, struct gateway_name *name, enum name_state state)
{
    struct name_list *list = &s->lists[state];

    name->state = state;
    name->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = name;
    list->last = name;
    s->kept += state == NAME_KEPT;
}

static void change_state(struct gateway_names *s, struct gateway_name *name, enum name_state state)
{
    list_remove(s, name);
    list_append(s, name, state);
}

/* Nothing leads to it any more; its queries stay. */
static void detach(struct gateway_names *s, struct gateway_name *name)
{
    struct gateway_name **at = find(s, name->text);

    ASSERT(*at == name);
    *at = name->hash_next;
    list_remove(s, name);
    if (name->question)
        name->question->name = NULL;
}

static void query_append(struct gateway_name *name, struct gateway_names_query *q)
{
    q->name = name;
    q->next = name->queries;
    q->at = &name->queries;
    if (q->next)
        q->next->at = &q->next;
    name->queries = q;
}

void gateway_names_cancel(struct gateway_names_query *q)
{
    if (!q->name)
        return;
    *q->at = q->next;
    if (q->next)
        q->next->at = q->at;
    q->name = NULL;
}

/* ---- the course of a name ---- */

static void arm(struct gateway_names *s)
{
    const struct gateway_name *first = s->lists[NAME_ASKED].first;

    if (s->lists[NAME_READY].first)
        loop_timer_set(s->loop, &s->timer, loop_now(s->loop));
    else
        loop_timer_set(s->loop, &s->timer, first ? first->until : TIME_NEVER);
}

static void become_ready(struct gateway_names *s, struct gateway_name *name, bool known)
{
    name->known = known;
    if (!known)
        s->counts[GATEWAY_NAMES_SILENT]++;
    change_state(s, name, NAME_READY);
    arm(s);
}

static void on_answer(void *arg, const struct host_answer *a)
{
    struct question *q = arg;
    struct gateway_names *s = q->names;
    struct gateway_name *name = q->name;

    s->questions--;
    free(q);
    if (!name)
        return;
    name->question = NULL;
    if (a->outcome == HOST_GIVEN_UP)
        return;
    take(s, name, a);
    uint32_t ttl_s = a->ttl_s < GATEWAY_NAMES_TTL_MAX_S ? a->ttl_s : GATEWAY_NAMES_TTL_MAX_S;
    name->until = loop_now(s->loop) + ttl_s * NS_PER_SEC;
    become_ready(s, name, a->outcome != HOST_SILENT);
}

static void ask_host(struct gateway_names *s, struct gateway_name *name)
{
    struct question *q = mem_zalloc(1, sizeof *q);

    *q = (struct question){s, name};
    name->question = q;
    s->questions++;
    s->counts[GATEWAY_NAMES_ASKED]++;
    host_resolver_ask(s->resolver, name->text, on_answer, q);
}

static void keep(struct gateway_names *s, struct gateway_name *name)
{
    struct gateway_name **at = find(s, name->text);

    if (*at || !name->known || name->until <= loop_now(s->loop)) {
        free(name);
        return;
    }
    if (s->kept == GATEWAY_NAMES_CACHE_MAX) {
        struct gateway_name *oldest = s->lists[NAME_KEPT].first;
        detach(s, oldest);
        free(oldest);
        at = find(s, name->text);
    }
    name->hash_next = NULL;
    *at = name;
    list_append(s, name, NAME_KEPT);
}

/* Whoever is told may ask again, for the same name too: that is another question. */
static void tell(struct gateway_names *s, struct gateway_name *name)
{
    detach(s, name);
    while (name->queries) {
        struct gateway_names_query *q = name->queries;
        gateway_names_cancel(q);
        q->done(q, name->known ? &name->addrs : NULL);
    }
    keep(s, name);
}

static void on_timer(void *arg)
{
    struct gateway_names *s = arg;
    struct gateway_name *first;

    while ((first = s->lists[NAME_ASKED].first) && first->until <= loop_now(s->loop)) {
        if (first->question)
            first->question->name = NULL;
        first->question = NULL;
        become_ready(s, first, false);
    }
    for (unsigned n = 0; n < NAMES_PER_STEP && (first = s->lists[NAME_READY].first); n++)
        tell(s, first);
    arm(s);
}

/* ---- the interface ---- */

/* NULL: too many. */
static struct gateway_name *begin(struct gateway_names *s, const char *text)
{
    size_t len = strlen(text);

    ASSERT(len <= GATEWAY_NAMES_LEN_MAX);
    if (s->questions >= GATEWAY_NAMES_MAX) {
        s->counts[GATEWAY_NAMES_FULL]++;
        return NULL;
    }
    struct gateway_name *name = mem_zalloc(1, sizeof *name + len + 1);
    memcpy(name->text, text, len + 1);
    name->until = loop_now(s->loop) + GATEWAY_NAMES_TIMEOUT_S * NS_PER_SEC;
    *find(s, text) = name;
    list_append(s, name, NAME_ASKED);
    ask_host(s, name);
    return name;
}

enum err gateway_names_ask(struct gateway_names *s, struct gateway_names_query *q, const char *name)
{
    if (host_resolver_is_stale(s->resolver))
        gateway_names_moved(s);
    struct gateway_name *known = *find(s, name);
    if (known && known->state == NAME_KEPT && known->until <= loop_now(s->loop)) {
        detach(s, known);
        free(known);
        known = NULL;
    }
    if (known && known->state == NAME_KEPT) {
        s->counts[GATEWAY_NAMES_CACHED]++;
        change_state(s, known, NAME_READY);
    }
    if (!known)
        known = begin(s, name);
    if (!known)
        return ERR_FULL;
    query_append(known, q);
    arm(s);
    return ERR_OK;
}

void gateway_names_moved(struct gateway_names *s)
{
    struct gateway_name *name;

    while ((name = s->lists[NAME_KEPT].first)) {
        detach(s, name);
        free(name);
    }
    host_resolver_restart(s->resolver);
    for (struct gateway_name *next = s->lists[NAME_ASKED].first; (name = next);) {
        next = name->next;
        if (!name->question)
            ask_host(s, name);
    }
    arm(s);
}

uint64_t gateway_names_count(const struct gateway_names *s, enum gateway_names_count what)
{
    return s->counts[what];
}

void gateway_names_log(const struct gateway_names *s)
{
#define NAME(id, name) name,
    static const char *const names[] = {GATEWAY_NAMES_COUNTS(NAME)};
#undef NAME

    for (unsigned i = 0; i < GATEWAY_NAMES_COUNT_N; i++) {
        if (s->counts[i])
            log_info("gateway", "counter %s=%llu", names[i], (unsigned long long)s->counts[i]);
    }
}

enum err gateway_names_new(struct gateway_names **out, struct loop *l, const struct egress *egress,
                           const char *resolv_conf, const char *hosts, char *why, unsigned why_size)
{
    struct gateway_names *s = mem_zalloc(1, sizeof *s);
    enum err err = host_resolver_new(&s->resolver, l, egress, resolv_conf, hosts, why, why_size);

    *out = NULL;
    if (err != ERR_OK) {
        free(s);
        return err;
    }
    s->loop = l;
    loop_timer_init(&s->timer, on_timer, s);
    *out = s;
    return ERR_OK;
}

void gateway_names_free(struct gateway_names *s)
{
    if (!s)
        return;
    loop_timer_clear(s->loop, &s->timer);
    for (unsigned state = 0; state < NAME_STATES; state++) {
        struct gateway_name *name;
        while ((name = s->lists[state].first)) {
            detach(s, name);
            while (name->queries)
                gateway_names_cancel(name->queries);
            free(name);
        }
    }
    host_resolver_free(s->resolver);
    free(s);
}
