/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels of all allocations: by number, by peer, and by age. A channel carries data for RELAY_CHANNEL_NS after the last bind;
 * its number and its peer are reserved until RELAY_RESERVED_NS. Pure but for the memory it begins with; one thread.
 */
#ifndef FZ_TOOLS_FZRELAY_CHANNELS_H
#define FZ_TOOLS_FZRELAY_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "platform/base/addr.h"
#include "platform/base/time.h"
#include "tools/fzrelay/allocations.h"
#include "tools/fzrelay/chain.h"
#include "tools/fzrelay/draw.h"
#include "tools/fzrelay/relay.h"

struct channel {
    struct allocation *owner; /* NULL: free */
    struct sock_addr peer;
    uint16_t number;
    time_ns bound_at; /* the last time */
    LIST_ENTRY(channel) of_owner;
    TAILQ_ENTRY(channel) queue; /* by age, or of free ones */
};

TAILQ_HEAD(channel_queue, channel);

struct channels {
    struct channel *slots;
    uint32_t size, used;
    struct chain by_number, by_peer;
    uint64_t key;
    struct channel_queue free, by_age; /* the oldest first */
};

void channels_init(struct channels *s, uint32_t size, struct draw *draw);
void channels_fini(struct channels *s);

/* One that is bound or reserved; NULL: none. */
struct channel *channels_of_number(const struct channels *s, const struct allocation *a,
                                   uint16_t number);
struct channel *channels_of_peer(const struct channels *s, const struct allocation *a,
                                 const struct sock_addr *peer);

/* NULL: there is no room. Neither number nor peer is in use. */
struct channel *channels_add(struct channels *s, struct allocation *a, uint16_t number,
                             const struct sock_addr *peer, time_ns now);
void channels_renew(struct channels *s, struct channel *c, time_ns now);
void channels_remove(struct channels *s, struct channel *c);
void channels_remove_all(struct channels *s, struct allocation *a);

/* It carries data. */
static inline bool channel_is_bound(const struct channel *c, time_ns now)
{
    return time_since(now, c->bound_at) < RELAY_CHANNEL_NS;
}

/* When the oldest one is free to be used for something else; TIME_NEVER: there is none. */
static inline time_ns channels_next_end(const struct channels *s)
{
    const struct channel *c = TAILQ_FIRST(&s->by_age);
    return c ? c->bound_at + RELAY_RESERVED_NS : TIME_NEVER;
}

#endif
