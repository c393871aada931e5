/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocations: by client, by username, by port, and by the time at which they end (a heap). What leaves the table stays in
 * its slot until the port is reported closed. Pure but for the memory it begins with; one thread.
 */
#ifndef FZ_TOOLS_FZRELAY_ALLOCATIONS_H
#define FZ_TOOLS_FZRELAY_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "platform/base/addr.h"
#include "platform/base/time.h"
#include "tools/fzrelay/chain.h"
#include "tools/fzrelay/credentials.h"
#include "tools/fzrelay/draw.h"
#include "tools/fzrelay/relay.h"

struct channel;

enum allocation_state {
    ALLOCATION_FREE,
    ALLOCATION_OPENING, /* its port has still to be reported */
    ALLOCATION_OPEN,
    ALLOCATION_CLOSING /* in no index; the same */
};

LIST_HEAD(allocation_channels, channel);

struct allocation {
    enum allocation_state state;
    struct sock_addr client;
    uint8_t user[CREDENTIALS_USER_LEN];
    uint16_t port;
    uint8_t families; /* set of enum relay_families */
    uint32_t heap_at;
    time_ns expires_at;
    struct allocation_channels channels;
    unsigned channels_n;
    TAILQ_ENTRY(allocation) queue; /* of free ones, or of what has to be reported */
};

TAILQ_HEAD(allocation_queue, allocation);

struct allocations {
    struct allocation *slots;
    uint32_t size, used; /* used: OPENING and OPEN */
    struct chain by_client, by_user;
    uint32_t *by_port; /* slot + 1; 0: free */
    uint32_t ports_used;
    uint16_t lowest_port, highest_port;
    struct allocation **heap;
    uint64_t key;
    struct allocation_queue free, reports;
};

void allocations_init(struct allocations *s, uint16_t lowest_port, uint16_t highest_port,
                      uint32_t size, struct draw *draw);
void allocations_fini(struct allocations *s);

/* NULL: none. */
struct allocation *allocations_of_client(const struct allocations *s,
                                         const struct sock_addr *client);
struct allocation *allocations_of_user(const struct allocations *s,
                                       const uint8_t user[CREDENTIALS_USER_LEN]);
struct allocation *allocations_of_port(const struct allocations *s, uint16_t port);
/* The one that ends first. */
struct allocation *allocations_first(const struct allocations *s);

/* False: allocations_add would find no port. */
bool allocations_have_room(const struct allocations *s);
/* NULL: there is no room. `with`: client, user, families and expires_at, the client without an allocation. */
struct allocation *allocations_add(struct allocations *s, const struct allocation *with,
                                   struct draw *draw);
void allocations_extend(struct allocations *s, struct allocation *a, time_ns expires_at);
/* It has no channels any more. */
void allocations_remove(struct allocations *s, struct allocation *a);
/* What was reported to be opened last could not be: it is removed without another report. */
void allocations_not_opened(struct allocations *s, struct allocation *a);
/* As relay_poll_port. */
bool allocations_report(struct allocations *s, struct relay_port *out);

#endif
