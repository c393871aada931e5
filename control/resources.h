/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resources that the portal has granted this client, by id: a copy of what its messages say, which outlives them. Each
 * change is reported, so that whoever depends on a resource hears of it. Control role.
 */
#ifndef FZ_CONTROL_RESOURCES_H
#define FZ_CONTROL_RESOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "control/portal/messages.h"

/* One block of memory: lists and texts lie behind it. */
struct resource {
    enum message_resource_kind kind;
    struct uuid id;
    const char *name;
    const char *address;     /* a name or pattern, a prefix as text, or "" */
    const char *description; /* NULL: none */
    struct ip_prefix prefix; /* RESOURCE_CIDR */
    enum message_ip_stack ip_stack;
    bool can_be_disabled;
    struct uuid site;      /* nil: a pool, which has none */
    const char *site_name; /* NULL: likewise */
    const struct message_filter *filters;
    size_t filters_n;                     /* 0: everything is allowed */
    const struct message_device *devices; /* RESOURCE_STATIC_POOL */
    size_t devices_n;
    size_t order; /* in the message; while lists are sorted */
};

enum resource_change {
    RESOURCE_ADDED,
    RESOURCE_CHANGED,
    RESOURCE_REMOVED /* freed after the call */
};

typedef void (*resource_changed)(void *arg, enum resource_change change, const struct resource *r);

struct resources {
    struct resource **list; /* sorted by id */
    size_t n;
    resource_changed changed;
    void *arg;
};

void resources_init(struct resources *s, resource_changed changed, void *arg);
/* Reports nothing. */
void resources_fini(struct resources *s);

/*
 * From now on these and no others, as `init` says: an element that is wrong is skipped with a warning, one of a kind that is
 * not known silently, and of two with one id the last counts. What has not changed is not reported.
 */
void resources_replace(struct resources *s, const json_t *list);
void resources_upsert(struct resources *s, const struct message_resource *m);
/* False: there is none. */
bool resources_remove(struct resources *s, const struct uuid *id);

/* NULL: none. */
const struct resource *resources_find(const struct resources *s, const struct uuid *id);

#endif
