/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of fzlink: arguments to plain values. Touches nothing but them. */
#ifndef FZ_TOOLS_FZLINK_CLI_H
#define FZ_TOOLS_FZLINK_CLI_H

#include <stdbool.h>

#include "platform/base/time.h"
#include "platform/linux/why.h"
#include "tools/fzlink/link.h"

#define CLI_PROGRAM "fzlink"

enum cli_action {
    CLI_HELP,    /* print `help` and succeed */
    CLI_VERSION, /* print the version and succeed */
    CLI_LINK,
    CLI_CEILING, /* measure what a link can carry here */
    CLI_CTL,     /* send a command */
    CLI_CTL_HELP /* list the commands */
};

struct cli {
    enum cli_action action;
    const char *help; /* text for CLI_HELP; static storage */
    struct link_config link;
    unsigned ends;            /* bit 0: --a was given; bit 1: --b */
    const char *control_path; /* NULL: none; an argument, as the text below */
    double seconds;           /* CLI_CEILING: of each figure */
    /* CLI_CTL */
    char *const *words; /* COMMAND [NAME=VALUE]... */
    int words_n;
};

/*
 * Parses the arguments, which it may reorder and which must outlive `out`. ERR_PARSE, ERR_INVALID: wrong usage, `why` is one clear
 * sentence. Not reentrant (getopt).
 */
enum err cli_parse(struct cli *out, int argc, char **argv, struct why why) MUST_USE;

/* The help text of the program as a whole; static storage. */
const char *cli_help(void);

#endif
