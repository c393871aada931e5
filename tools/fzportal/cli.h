/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of fzportal: arguments to plain values. Touches nothing but them. Control role. */
#ifndef FZ_TOOLS_FZPORTAL_CLI_H
#define FZ_TOOLS_FZPORTAL_CLI_H

#include <stdbool.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/log.h"
#include "platform/base/time.h"
#include "tools/fzportal/server.h"

#define CLI_PROGRAM "fzportal"

enum cli_action {
    CLI_HELP,    /* print `help` and succeed */
    CLI_VERSION, /* print the version and succeed */
    CLI_SERVE,
    CLI_CHECK,   /* only read the configuration and the certificate */
    CLI_CTL,     /* send a command */
    CLI_CTL_HELP /* list the commands */
};

struct cli {
    enum cli_action action;
    const char *help;        /* text for CLI_HELP; static storage */
    const char *config_path; /* an argument, as all text below */
    struct sock_addr listen[SERVER_LISTEN_MAX];
    unsigned listen_n;             /* 0: as the configuration says */
    const char *certificate, *key; /* NULL, both: as the configuration says */
    const char *control_path;      /* NULL: as the configuration says */
    enum log_level log_level;
    /* CLI_CTL */
    char *const *words; /* COMMAND [KEY=VALUE]... */
    int words_n;
    bool raw; /* print the answer as it came */
    time_ns timeout;
};

/*
 * Parses the arguments, which it may reorder and which must outlive `out`. ERR_PARSE: wrong usage, `why` is one clear sentence.
 * Not reentrant (getopt).
 */
enum err cli_parse(struct cli *out, int argc, char **argv, char *why, unsigned why_size) MUST_USE;

/* The help text of the program as a whole; static storage. */
const char *cli_help(void);

#endif
