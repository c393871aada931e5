/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one client may reach through a gateway. Workers know each grant by its index, which translations of names refer to: it never
 * becomes another resource's while the client is known, and a resource that is granted once more has the one it had,
 * so that what the client knows of its names still holds. Out of memory is fatal. Control role. Source: spec/tunnel.md 8.1, 8.2.
 */
#ifndef FZ_CONTROL_GRANTS_H
#define FZ_CONTROL_GRANTS_H

#include "control/dns/pattern.h"
#include "control/portal/resource.h"
#include "engine/grants.h"
#include "platform/base/time.h"

enum {
    GRANTS_MAX = 16384 /* of one client; those that are over count, too */
};

struct grant {
    struct uuid resource;
    bool live;                       /* false: over, and only its index is taken */
    bool listed;                     /* the caller's */
    enum message_resource_kind kind; /* RESOURCE_DNS, RESOURCE_CIDR, RESOURCE_INTERNET */
    char *address;                   /* RESOURCE_DNS: text of the pattern */
    struct dns_pattern pattern;      /* RESOURCE_DNS; one that is not valid matches nothing */
    struct ip_prefix prefix;         /* RESOURCE_CIDR */
    struct filter_rule *rules;
    size_t rules_n; /* 0: everything is permitted */
    time_ns expires_at;
};

/* All zero: none. */
struct grants {
    struct grant *list; /* by index */
    unsigned n, live;
};

void grants_fini(struct grants *g);

/* A live one; NULL: none. Valid until the next change. */
struct grant *grants_find(const struct grants *g, const struct uuid *resource);
static inline uint16_t grants_index(const struct grants *g, const struct grant *grant)
{
    return (uint16_t)(grant - g->list);
}

/* A new one, or one that there is with all that is said now. False: too many. */
bool grants_put(struct grants *g, const struct message_resource *r, time_ns expires_at);
void grants_remove(struct grants *g, struct grant *grant);
/* False: it is of another kind. */
bool grants_set_filters(struct grant *grant, const struct message_resource *r);

/* TIME_NEVER: none expires. */
time_ns grants_first_expiry(const struct grants *g);

/* For the engine: an array of g->live elements; free it. Rules are borrowed. */
struct engine_grant *grants_for_engine(const struct grants *g);

#endif
