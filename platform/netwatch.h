/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network watch contract: tells when the host's network changes under the tunnel. Control role. Source: spec/platform.md 2.4
 * and 2.6, design.md 6.
 *
 * Changes of the own TUN and of the tables that are ours do not count. Tickless: without changes it never wakes the loop up.
 *
 * The machine has moved when, after a change and the debounce, its default route is another one than before (interface,
 * gateway, preferred source address), or its interface has lost an address that was in use; and when it was suspended, as soon as
 * there is a way out again.
 * Not when the default route is gone (there is nowhere to go), when it comes back as it was, when there is a route more in the
 * other family, or an address more.
 */
#ifndef FZ_PLATFORM_NETWATCH_H
#define FZ_PLATFORM_NETWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"
#include "platform/loop.h"

struct netwatch;

enum {
    NETWATCH_OWN_TABLES_MAX = 8
};

struct netwatch_config {
    const uint32_t *own_tables; /* routing tables that we fill; Linux */
    size_t own_tables_len;
    bool network_manager; /* ask it, too, where it runs; Linux */
};

/* From the loop. All may be called for one change, in this order. None may call netwatch_free. */
struct netwatch_events {
    /* At once, and once per batch: a link, an address, a route or a rule has changed; answers about how to reach somebody may be others now. */
    void (*ways)(void *arg);
    /* The same, when it has been quiet for 500 ms (and no later than 2 s after the first change). */
    void (*settled)(void *arg);
    /* Debounced: the machine is elsewhere now. why: a phrase for the log ("the default route has changed", "the machine was suspended for 12 s"). */
    void (*moved)(void *arg, const char *why);
};

/* On failure `why` is one clear sentence. */
enum err netwatch_new(struct netwatch **out, struct loop *l, const struct netwatch_config *config,
                      const struct netwatch_events *events, void *arg, char *why,
                      unsigned why_size) MUST_USE;
void netwatch_free(struct netwatch *w);

/* The TUN was (re)created; 0: gone. */
void netwatch_set_tun(struct netwatch *w, uint32_t ifindex);

/*
 * Somebody else, who knows networks by more than their addresses, says that the machine has moved. Told as `moved` after the
 * debounce, with `why` unless a change that was found says more; together with what is found then, and not again when it comes
 * less than 5 s after that. While the default route is gone it waits for the next one. Calls no event itself.
 */
void netwatch_hint(struct netwatch *w, const char *why);
/* The owner has just done by itself what it does after a move: what is there now is nothing to tell. */
void netwatch_handled(struct netwatch *w);

#endif
