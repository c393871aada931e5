/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a stub: resources, names, and the ties between them. Private to stub.c and stub_tables.c; control role. */
#ifndef FZ_CONTROL_DNS_STUB_PRIVATE_H
#define FZ_CONTROL_DNS_STUB_PRIVATE_H

#include "control/dns/map.h"
#include "control/dns/pattern.h"
#include "control/dns/stub.h"

struct stub_name;

/* A pair of id and pattern. By its id one finds the latest. */
struct stub_resource {
    struct dns_link by_id, by_end; /* by_end: what follows the pattern's last wildcard */
    struct uuid id;
    struct dns_pattern pattern;
    uint8_t ip_stack;
    bool listed;            /* false: it has gone and may come back, or is doomed */
    bool doomed;            /* its pattern has changed: it goes when its last tie has */
    bool at_work;           /* in the queue, see below */
    struct stub_tie *ties;  /* its names */
    struct stub_tie *after; /* while at work: the next of them */
    struct stub_resource *work_next;
    char text[]; /* the pattern */
};

/* A name was resolved for a resource. */
struct stub_tie {
    struct stub_name *name;
    struct stub_resource *resource;
    struct stub_tie *name_next;
    struct stub_tie *prev, *next; /* of the resource */
};

struct stub_name {
    struct dns_link link;
    struct stub_tie *ties; /* most specific first */
    uint64_t
        generation; /* of the resources, when it was matched; v4, v6, matched are of that time */
    uint32_t index;
    bool v4, v6; /* some resource has the family */
    bool matched;
    char text[];
};

/* The resources whose patterns match a name, the most specific first. */
struct stub_matches {
    struct stub_resource *list[DNS_STUB_RESOURCES_MAX];
    unsigned n;
    bool v4, v6, too_many;
};

struct dns_stub {
    uint64_t secret;
    struct dns_stub_events events;
    void *arg;
    struct dns_map by_id, by_end, by_text;
    struct stub_name **names; /* by index */
    uint32_t names_n, names_max;
    uint64_t generation;
    struct stub_resource *work_first, *work_last; /* whose names are to be reported */
    struct dns_stub_counters counters;
};

struct stub_name *stub_name_find(const struct dns_stub *s, const char *text);
/* NULL: there is no address left. */
struct stub_name *stub_name_add(struct dns_stub *s, const char *text);

void stub_match(const struct dns_stub *s, const char *name, struct stub_matches *m);
/* The matches are of now. Reports the name if it has a resource more. */
void stub_tie(struct dns_stub *s, struct stub_name *n, const struct stub_matches *m);
/* The most specific resource of a name that is up to date; it has one. */
const struct stub_resource *stub_best(const struct stub_name *n);

#endif
