/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client itself answers: the names that belong to DNS resources, each with four proxy addresses of either family, which
 * it keeps for the life of the process. It also keeps which resources a name was resolved for: a resource that goes and comes back
 * with the same pattern has its names at once, one whose pattern changes loses them.
 *
 * Names are numbered as they come; engine/wire/ranges.h has the addresses that belong to a number. There are PROXY_NAMES of them:
 * every further name gets SERVFAIL, for to ask elsewhere would tell a stranger of it. So do names of which no gateway could be told
 * (longer than DNS_STUB_NAME_MAX) and those that c-ares does not write. A name has DNS_STUB_RESOURCES_MAX resources at most, the
 * most specific ones.
 *
 * A query costs some microseconds: patterns are found by the hash of what follows their last wildcard, so that only those with a
 * wildcard in their last label are all looked at, and not at all for a name that was asked for since resources last changed. What a
 * change means for the names of a resource is reported in slices, see dns_stub_step.
 *
 * Names are matched in lower case. DEVIATE: a pattern `*.example.com` thus has its parent whatever the case it is asked in, which
 * resolvers vary, and one with capitals does not have it. PTR's zones are compared without case, too.
 *
 * Control role. No clock, no socket. Source: spec/tunnel.md 7.2 to 7.5.
 */
#ifndef FZ_CONTROL_DNS_STUB_H
#define FZ_CONTROL_DNS_STUB_H

#include "control/dns/message.h"
#include "control/portal/resource.h"

enum {
    DNS_STUB_RESOURCES_MAX = 32, /* of one name */
    DNS_STUB_NAME_MAX = 253,     /* bytes of its text */
    DNS_STUB_ANSWER_MAX = 2 * DNS_HEAD_MAX + 256,
    DNS_STUB_STEP = 512 /* ties of names and resources in one step */
};

struct dns_stub_events {
    /*
     * Which resources a name belongs to now, most specific first, of equal patterns the greater id first: at each local answer that
     * changes it, and when resources come, change or go, maybe also if nothing has changed. n 0: none any more.
     */
    void (*name)(void *arg, uint32_t index, const char *name, const struct uuid *resources,
                 const uint8_t *ip_stacks /* enum message_ip_stack */, unsigned n);
    /* There is a local answer for it (A, AAAA, HTTPS, PTR), whether or not anything has changed. */
    void (*answered)(void *arg, uint32_t index);
};

enum dns_stub_decision {
    DNS_STUB_ANSWER,  /* dns_stub_reply.bytes */
    DNS_STUB_RECURSE, /* it is none of ours */
    DNS_STUB_SITE     /* to be asked at the site of dns_stub_reply.resource */
};

struct dns_stub_reply {
    size_t len;
    uint8_t bytes[DNS_STUB_ANSWER_MAX];
    struct uuid resource;
};

#define DNS_STUB_COUNTERS(X)                                                                       \
    X(answered, "answered, without those below")                                                   \
    X(names_full, "refused, all proxy addresses are given away")                                   \
    X(names_long, "refused, a gateway cannot be told of the name")                                 \
    X(names_odd, "refused, the name cannot be written")                                            \
    X(resources_full, "resources of a name left out, it has too many")

struct dns_stub_counters {
#define X(name, text) uint64_t name;
    DNS_STUB_COUNTERS(X)
#undef X
};

struct dns_stub;

/* secret: random. events: copied; they must not change the stub, nor ask it. */
struct dns_stub *dns_stub_new(uint64_t secret, const struct dns_stub_events *events, void *arg);
void dns_stub_free(struct dns_stub *s);

/* Adds or changes a resource. ERR_INVALID: there is one now, but it has no names; `why` is for the log. */
enum err dns_stub_set(struct dns_stub *s, const struct uuid *id, const char *pattern,
                      enum message_ip_stack ip_stack, char *why, unsigned why_size) MUST_USE;
/* One that is not there is passed over. */
void dns_stub_remove(struct dns_stub *s, const struct uuid *id);

/*
 * Reports the next names that changes of resources have left over, DNS_STUB_STEP at most; set and remove take the first step
 * themselves. True: more are left, call again.
 */
bool dns_stub_step(struct dns_stub *s);

enum dns_stub_decision dns_stub_decide(struct dns_stub *s, const struct dns_query *q,
                                       struct dns_stub_reply *reply);

uint32_t dns_stub_names(const struct dns_stub *s);
/* index: below dns_stub_names. In lower case. */
const char *dns_stub_name(const struct dns_stub *s, uint32_t index);
const struct dns_stub_counters *dns_stub_counters(const struct dns_stub *s);

#endif
