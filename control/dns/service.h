/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub resolver as one machine: queries that came to a sentinel go in, each gets exactly one answer. Names of resources the
 * stub answers (stub.h); what is known already the cache (cache.h); all else is asked for, of the sentinel's server or at the site
 * of a resource, and answered when that has an answer, SERVFAIL when it has none in DNS_SERVICE_TIMEOUT_NS.
 *
 *     query --> stub --> answer
 *                | none of ours
 *                v
 *              cache --> answer
 *                |
 *                v               answered, failed, too late
 *              asked (by id) ---------------------------> answer
 *
 * What is no query is dropped. An answer has the id of its query and leaves by its transport: by UDP what is longer than
 * DNS_UDP_MESSAGE_MAX becomes "truncated". Instead of one with addresses of ours (rebinding.h) there is one without records. DEVIATE:
 * upstream leaves a UDP query whose server is silent without an answer; here it is SERVFAIL, so that the host goes on at once.
 * DEVIATE: upstream answers whatever has a question. Updates and notifications (RFC 2136, 1996) look like one for SOA, which may be
 * in the cache, and would be told of a success that there was not; they are asked for like what is not known.
 *
 * Control role; time is an argument, no socket. Source: spec/tunnel.md 7.2 to 7.8.
 */
#ifndef FZ_CONTROL_DNS_SERVICE_H
#define FZ_CONTROL_DNS_SERVICE_H

#include "control/dns/server.h"
#include "control/dns/stub.h"
#include "platform/base/time.h"

#define DNS_SERVICE_TIMEOUT_NS (10 * NS_PER_SEC)

enum {
    DNS_SERVICE_MAX = 1000,      /* queries that are asked for at a time; more get SERVFAIL */
    DNS_SERVICE_QUERY_MAX = 4096 /* bytes of one; a longer one gets SERVFAIL, too */
};

/* Where a query came from, and where its answer goes. */
struct dns_client {
    uint64_t token; /* the owner's */
    enum dns_transport transport;
    unsigned server; /* that its sentinel stands for: an index of the owner's */
    bool v6;         /* the sentinel's family */
};

/* None may call the service, but for dns_service_failed from `ask` and `ask_site`. */
struct dns_service_events {
    /* answer: valid for the call. */
    void (*answer)(void *arg, const struct dns_client *client, const uint8_t *answer, size_t len);
    /* To be asked of the client's server; ends with dns_service_answered or dns_service_failed. */
    void (*ask)(void *arg, uint64_t id, const struct dns_client *client, const uint8_t *query,
                size_t len);
    /* To be asked at the site of this resource; likewise. */
    void (*ask_site)(void *arg, uint64_t id, const struct dns_client *client,
                     const struct uuid *resource, const uint8_t *query, size_t len);
    /* Nobody waits for this any more. */
    void (*cancel)(void *arg, uint64_t id);
    /* Of the stub. */
    struct dns_stub_events names;
};

#define DNS_SERVICE_COUNTERS(X)                                                                    \
    X(queries, "queries")                                                                          \
    X(malformed, "dropped, no queries")                                                            \
    X(local, "answered by the stub")                                                               \
    X(cached, "answered from the cache")                                                           \
    X(asked, "asked of servers")                                                                   \
    X(asked_sites, "asked at sites")                                                               \
    X(answered, "answers of servers and sites")                                                    \
    X(failed, "without an answer")                                                                 \
    X(timed_out, "without an answer in time")                                                      \
    X(mismatched, "answers to something else")                                                     \
    X(rebinding, "answers with addresses of ours")                                                 \
    X(truncated, "answers that were too long for UDP")                                             \
    X(full, "refused, too many are being asked for")                                               \
    X(too_long, "refused, too long to be asked for")

struct dns_service_counters {
#define X(name, text) uint64_t name;
    DNS_SERVICE_COUNTERS(X)
#undef X
};

struct dns_service;

/* secret: random. events: copied; all get `arg`. */
struct dns_service *dns_service_new(uint64_t secret, const struct dns_service_events *events,
                                    void *arg);
/* Without an event. */
void dns_service_free(struct dns_service *s);

/* False: it is no query, and gets no answer. */
bool dns_service_query(struct dns_service *s, const struct dns_client *client, const uint8_t *query,
                       size_t len, time_ns now);
/* An id that is not known is passed over. */
void dns_service_answered(struct dns_service *s, uint64_t id, const uint8_t *answer, size_t len,
                          time_ns now);
void dns_service_failed(struct dns_service *s, uint64_t id);

/* Resources, as of the stub; what was learned of servers is forgotten. */
enum err dns_service_set(struct dns_service *s, const struct uuid *id, const char *pattern,
                         enum message_ip_stack ip_stack, char *why, unsigned why_size) MUST_USE;
void dns_service_remove(struct dns_service *s, const struct uuid *id);

/* Other servers: what is being asked of the old ones fails, and what was learned is forgotten. */
void dns_service_servers_changed(struct dns_service *s);
/* It is asked once more, under the same id: whoever asks has forgotten it. */
void dns_service_again(struct dns_service *s, uint64_t id);
void dns_service_again_all(struct dns_service *s);

/* When dns_service_handle_timeout is due; TIME_NEVER. */
time_ns dns_service_poll_timeout(const struct dns_service *s);
void dns_service_handle_timeout(struct dns_service *s, time_ns now);

const struct dns_service_counters *dns_service_counters(const struct dns_service *s);
const struct dns_stub_counters *dns_service_stub_counters(const struct dns_service *s);

#endif
