/* SPDX-License-Identifier: Apache-2.0 */
/* The state of access.h, shared by its files. Control role. */
#ifndef FZ_CONTROL_ACCESS_PRIVATE_H
#define FZ_CONTROL_ACCESS_PRIVATE_H

#include "control/access.h"
#include "control/name_gate.h"
#include "control/tunnel_policy.h"

enum {
    ACCESS_BUCKETS = 4096,
    ACCESS_PREFIXES_MAX = 2, /* the Internet has one of each family */
    ACCESS_STEP_US = 2000
};

struct access_name;

/* What a name has of one of its resources. */
struct name_target {
    struct access_name *name;
    struct entry *entry;
    bool v4, v6;
    struct name_gate gate;            /* of the entry's gateway */
    struct name_target *next, **link; /* of the entry; the one asked for last comes first */
    struct name_target *asked,
        **asks; /* of those whose gateway has not answered; asks NULL: it is none */
};

struct access_name {
    uint32_t number;
    char *text;
    unsigned n;
    struct name_target targets[];
};

/* One prefix of a resource. */
struct way {
    struct entry *entry;
    struct ip_prefix prefix;
    bool routed; /* there is a route of the host, which may be another's with the same prefix */
    struct way *next_prefix; /* of a bucket */
};

struct entry {
    struct uuid resource, site;
    struct access_gateway gateway; /* nil: none */
    char *name;
    enum message_resource_kind kind;
    char *pattern; /* RESOURCE_DNS */
    enum message_ip_stack ip_stack;
    struct filter_rule *rules;
    size_t rules_n;
    struct tunnel_resource *tunnel; /* NULL: there is no tunnel, or no room */
    struct way ways[ACCESS_PREFIXES_MAX];
    unsigned ways_n;
    struct name_target *names;
    time_ns asked_at;           /* 0: not, or it may be asked again */
    bool pending, held;         /* an answer is expected; to be asked when the portal is there */
    bool names_left;            /* some names' gateways have not been told yet */
    struct entry *next, **link; /* of all */
    struct entry *next_id;      /* of a bucket */
};

struct access {
    struct loop *loop;
    struct peers *peers;
    struct tunnel *tunnel;
    const struct access_events *events;
    void *arg;
    bool internet; /* the Internet resource is in use */
    struct entry *list, *by_id[ACCESS_BUCKETS];
    struct way *by_prefix[ACCESS_BUCKETS];
    struct access_name **names; /* by number */
    size_t names_n;
    struct name_target *asked, **asked_end; /* whose gateways have not answered, in their order */
    /* Some have no route yet, or some names are not told yet: thousands are not done in one step. */
    struct loop_timer timer;
    bool full; /* the tunnel has no room for more */
};

/* access.c */
struct entry *access_find(struct access *a, const struct uuid *resource);
/* Of the longest prefix that has the address; of several the one with the greatest id. */
struct entry *access_find_addr(struct access *a, const struct ip_addr *addr);
/* All that are granted and whose prefixes have the address are asked for. False: there are none. */
bool access_want_granted(struct access *a, const struct ip_addr *addr);
/* All gateways of a site are on one worker, so that what waits can be moved to whichever is granted. */
uint32_t access_group_of(const struct uuid *site);

/* access_grants.c: the portal is asked, unless it was lately. */
void access_entry_want(struct access *a, struct entry *e);

/* access_names.c */
/* The tunnel has it now. */
void access_names_reachable(struct access *a, struct entry *e);
/* Before it is granted: packets to its names wait until the gateway knows them. */
void access_names_grant(struct access *a, struct entry *e);
/* Its gateway is connected. */
void access_names_connected(struct access *a, struct entry *e);
/* It is granted to nobody any more; after the tunnel knows. */
void access_names_ended(struct access *a, struct entry *e);
/* No name belongs to it any more: before the tunnel's resource goes. */
void access_names_forget(struct access *a, struct entry *e);
/* What is due. False: the time is up. */
bool access_names_step(struct access *a, time_ns end);
time_ns access_names_poll_timeout(const struct access *a);
/*
 * The resources that an address of a name's belongs to are asked for: all that are granted or, if there is none, the first. False: it
 * is no such address.
 */
bool access_names_want(struct access *a, const struct ip_addr *proxy);
void access_names_fini(struct access *a);

#endif
