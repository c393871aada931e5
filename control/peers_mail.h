/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for one peer that wait for the portal: new candidates and such that are not valid any more, in one message each.
 * Control role. Source: spec/p2p.md 6.2.
 */
#ifndef FZ_CONTROL_PEERS_MAIL_H
#define FZ_CONTROL_PEERS_MAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "control/peers.h"

enum {
    PEERS_MAIL_MAX = 64 /* of each kind; the oldest is given up */
};

struct peers_mail_list {
    char *lines[PEERS_MAIL_MAX];
    bool known[PEERS_MAIL_MAX]; /* of added ones: the peer has it from before */
    size_t n;
};

struct peers_mail {
    struct peers_mail_list added, removed;
};

/* Zeroed memory is an empty mail. */
void peers_mail_fini(struct peers_mail *m);
void peers_mail_clear(struct peers_mail *m);
void peers_mail_add(struct peers_mail *m, const char *line);
/* One that still waits to be added was never there, unless the peer has it from before. */
void peers_mail_remove(struct peers_mail *m, const char *line);
/* Hands out all, by events->candidates. True: nothing is left; else the portal took not all of it. */
bool peers_mail_flush(struct peers_mail *m, const struct peers_events *events, void *arg,
                      const struct uuid *peer);

#endif
