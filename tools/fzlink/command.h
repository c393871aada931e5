/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `fzlink ctl`: their texts to settings, and counters to their answers. JSON in, JSON out; touches nothing
 * else.
 */
#ifndef FZ_TOOLS_FZLINK_COMMAND_H
#define FZ_TOOLS_FZLINK_COMMAND_H

#include <jansson.h>

#include "platform/linux/why.h"
#include "tools/fzlink/link.h"

enum command {
    COMMAND_SET,   /* change settings: one or several of those that `show` shows */
    COMMAND_SHOW,  /* what is set */
    COMMAND_STATS, /* counters since the start */
    COMMANDS
};

/* For `fzlink ctl help`; static storage. */
const char *command_help(void);

/* ERR_PARSE, ERR_INVALID: `why` is one clear sentence. settings: changed by COMMAND_SET, on success only. */
enum err command_parse(enum command *out, struct settings *settings, const json_t *command,
                       struct why why) MUST_USE;

/* New references. */
json_t *command_show(const struct settings *settings);
json_t *command_stats(const struct link_stats stats[DIRECTIONS]);

#endif
