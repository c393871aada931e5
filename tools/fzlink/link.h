/* SPDX-License-Identifier: Apache-2.0 */
/* The whole link: two ends and two directions. The main thread. */
#ifndef FZ_TOOLS_FZLINK_LINK_H
#define FZ_TOOLS_FZLINK_LINK_H

#include "tools/fzlink/end.h"
#include "tools/fzlink/lane.h"
#include "tools/fzlink/settings.h"

enum {
    LINK_ENDS = 2
};

struct link_config {
    struct end_config ends[LINK_ENDS]; /* a, b */
    unsigned mtu;
    bool offloads;
    uint64_t seed;
    struct settings settings;
    /* A device has been taken away: nothing goes any more. Called by another thread. */
    void (*broken)(void *arg);
    void *arg;
};

struct link {
    struct end *ends[LINK_ENDS];
    struct lane *lanes[DIRECTIONS];
    struct settings settings;
};

/* What has happened in one direction. */
struct link_stats {
    struct lane_stats lane;
    uint64_t overruns; /* packets the kernel dropped before fzlink could read them */
};

/* Signals must be blocked already. On failure nothing is left. */
enum err link_open(struct link *l, const struct link_config *config, struct why why) MUST_USE;
void link_close(struct link *l);

/* Settings must fit together (settings_check). They hold when it returns. */
void link_set(struct link *l, const struct settings *settings);
void link_read_stats(struct link *l, enum direction direction, struct link_stats *out);

#endif
