/* SPDX-License-Identifier: Apache-2.0 */
#include "control/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

void resources_init(struct resources *s, resource_changed changed, void *arg)
{
    *s = (struct resources){.changed = changed, .arg = arg};
}

static void free_list(struct resource **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

void resources_fini(struct resources *s)
{
    free_list(s->list, s->n);
    s->list = NULL;
    s->n = 0;
}

/* ---- one resource ---- */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *put_text(char **at, const char *text)
{
    char *copy = *at;
    size_t size = text_size(text);

    if (!text)
        return NULL;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

/* Copies the lists of the message, which lie one behind the other at `at`, and returns where they end. */
static char *put_lists(struct resource *r, const struct message_resource *m, void *at)
{
    struct message_filter *filters = at;
    struct message_device *devices = (void *)(filters + json_array_size(m->filters));
    _Static_assert(_Alignof(struct message_device) <= _Alignof(struct message_filter), "the order");

    r->devices = devices;
    r->filters = filters;
    while (r->devices_n < json_array_size(m->devices)) {
        devices[r->devices_n] = message_device_at(m->devices, r->devices_n);
        r->devices_n++;
    }
    while (r->filters_n < json_array_size(m->filters)) {
        filters[r->filters_n] = message_filter_at(m->filters, r->filters_n);
        r->filters_n++;
    }
    return (char *)(devices + r->devices_n);
}

static struct resource *copy_of(const struct message_resource *m)
{
    char prefix[IP_PREFIX_TEXT_MAX] = "";
    const char *address = m->address ? m->address : prefix;

    if (m->kind == RESOURCE_CIDR)
        ip_prefix_format(&m->prefix, prefix, sizeof prefix);
    size_t size = sizeof(struct resource) +
                  json_array_size(m->devices) * sizeof(struct message_device) +
                  json_array_size(m->filters) * sizeof(struct message_filter) + text_size(m->name) +
                  text_size(address) + text_size(m->description) + text_size(m->site_name);
    struct resource *r = mem_zalloc(1, size);
    char *at = put_lists(r, m, r + 1);

    r->kind = m->kind;
    r->id = m->id;
    r->name = put_text(&at, m->name);
    r->address = put_text(&at, address);
    r->description = put_text(&at, m->description);
    r->prefix = m->prefix;
    r->ip_stack = m->ip_stack;
    r->can_be_disabled = m->can_be_disabled;
    r->site = m->site;
    r->site_name = put_text(&at, m->site_name);
    return r;
}

static bool same_filters(const struct resource *a, const struct resource *b)
{
    for (size_t i = 0; i < a->filters_n; i++) {
        const struct message_filter *x = &a->filters[i], *y = &b->filters[i];
        if (x->protocol != y->protocol || x->port_first != y->port_first ||
            x->port_last != y->port_last)
            return false;
    }
    return true;
}

static bool same_devices(const struct resource *a, const struct resource *b)
{
    for (size_t i = 0; i < a->devices_n; i++) {
        const struct message_device *x = &a->devices[i], *y = &b->devices[i];
        if (!uuid_equal(&x->client, &y->client) || !ip_addr_equal(&x->ipv4, &y->ipv4) ||
            !ip_addr_equal(&x->ipv6, &y->ipv6))
            return false;
    }
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* All but the id. The prefix is in the address. */
static bool same(const struct resource *a, const struct resource *b)
{
    return a->kind == b->kind && a->filters_n == b->filters_n && a->devices_n == b->devices_n &&
           same_text(a->name, b->name) && same_text(a->address, b->address) &&
           same_text(a->description, b->description) && same_text(a->site_name, b->site_name) &&
           a->ip_stack == b->ip_stack && a->can_be_disabled == b->can_be_disabled &&
           uuid_equal(&a->site, &b->site) && same_filters(a, b) && same_devices(a, b);
}

/* ---- the list ---- */

static int by_id(const void *a, const void *b)
{
    const struct resource *const *x = a, *const *y = b;
    return memcmp(&(*x)->id, &(*y)->id, sizeof(struct uuid));
}

/* Where the id is, or belongs. */
static size_t position(const struct resources *s, const struct uuid *id)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&s->list[middle]->id, id, sizeof *id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct resources *s, size_t i, const struct uuid *id)
{
    return i < s->n && memcmp(&s->list[i]->id, id, sizeof *id) == 0;
}

const struct resource *resources_find(const struct resources *s, const struct uuid *id)
{
    size_t i = position(s, id);
    return is_at(s, i, id) ? s->list[i] : NULL;
}

void resources_upsert(struct resources *s, const struct message_resource *m)
{
    struct resource *r = copy_of(m), *old;
    size_t i = position(s, &m->id);

    if (!is_at(s, i, &m->id)) {
        s->list = mem_grow(s->list, s->n, sizeof *s->list);
        memmove(s->list + i + 1, s->list + i, (s->n - i) * sizeof *s->list);
        s->list[i] = r;
        s->n++;
        s->changed(s->arg, RESOURCE_ADDED, r);
        return;
    }
    old = s->list[i];
    s->list[i] = r;
    if (!same(old, r))
        s->changed(s->arg, RESOURCE_CHANGED, r);
    free(old);
}

bool resources_remove(struct resources *s, const struct uuid *id)
{
    size_t i = position(s, id);
    struct resource *r;

    if (!is_at(s, i, id))
        return false;
    r = s->list[i];
    s->n--;
    memmove(s->list + i, s->list + i + 1, (s->n - i) * sizeof *s->list);
    s->changed(s->arg, RESOURCE_REMOVED, r);
    free(r);
    return true;
}

/* ---- all of them ---- */

static struct resource **read_all(const json_t *list, size_t *n)
{
    struct resource **all = NULL;
    struct message_resource m;

    *n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct fields f = {.failed = false};
        if (message_resource_at(&m, list, i, &f)) {
            all = mem_grow(all, *n, sizeof *all);
            all[(*n)++] = copy_of(&m);
        } else if (f.failed) {
            log_warn("portal", "a resource is left out: %s", f.why);
        }
    }
    return all;
}

/* Sorts, and keeps the last of those with one id. */
static size_t sort_unique(struct resource **all, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        all[i]->order = i; /* qsort does not keep the order of equals */
    if (n > 0)
        qsort(all, n, sizeof *all, by_id);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_id(&all[kept - 1], &all[i]) == 0) {
            struct resource *last = all[kept - 1]->order > all[i]->order ? all[kept - 1] : all[i];
            free(last == all[i] ? all[kept - 1] : all[i]);
            all[kept - 1] = last;
        } else {
            all[kept++] = all[i];
        }
    }
    return kept;
}

void resources_replace(struct resources *s, const json_t *list)
{
    struct resources old = *s;
    size_t n, i = 0;

    s->list = read_all(list, &n);
    s->n = sort_unique(s->list, n);
    /* What is gone first, so that nobody sees two resources where there was one with another id. */
    for (size_t k = 0; k < old.n; k++) {
        if (!resources_find(s, &old.list[k]->id))
            s->changed(s->arg, RESOURCE_REMOVED, old.list[k]);
    }
    for (size_t k = 0; k < s->n; k++) {
        while (i < old.n && by_id(&old.list[i], &s->list[k]) < 0)
            i++;
        if (i == old.n || by_id(&old.list[i], &s->list[k]) != 0)
            s->changed(s->arg, RESOURCE_ADDED, s->list[k]);
        else if (!same(old.list[i], s->list[k]))
            s->changed(s->arg, RESOURCE_CHANGED, s->list[k]);
    }
    free_list(old.list, old.n);
}
