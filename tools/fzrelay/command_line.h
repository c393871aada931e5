/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of fzrelay: arguments to plain values. Touches nothing but them. Control role. */
#ifndef FZ_TOOLS_FZRELAY_COMMAND_LINE_H
#define FZ_TOOLS_FZRELAY_COMMAND_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/portal/url.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/log.h"
#include "platform/base/time.h"

#define COMMAND_LINE_PROGRAM "fzrelay"

enum command_action {
    COMMAND_HELP,    /* print `help` and succeed */
    COMMAND_VERSION, /* print the version and succeed */
    COMMAND_SERVE,
    COMMAND_CREDENTIALS,
    COMMAND_CEILING,
    COMMAND_CTL,     /* send a command */
    COMMAND_CTL_HELP /* list the commands */
};

struct command_line {
    enum command_action action;
    const char *help;                /* text for COMMAND_HELP; static storage */
    struct ip_addr public4, public6; /* ADDR_NONE: none, not both */
    struct sock_addr listen4,
        listen6; /* any address, unless it was told; ADDR_NONE: not this family */
    bool listen4_told, listen6_told;
    uint16_t lowest_port, highest_port;
    bool gso;
    bool has_portal;
    struct url portal;
    /* Arguments; NULL: not said. */
    const char *token, *name, *ca_file, *stamp_secret, *secret_file, *control_path;
    enum log_level log_level;
    /* COMMAND_CREDENTIALS */
    int64_t expiry;
    const char *user, *salt; /* the public key of the user, or the salt itself */
    /* COMMAND_CEILING */
    unsigned size, datagrams;
    /* COMMAND_CTL */
    char *const *words; /* COMMAND [KEY=VALUE]... */
    int words_n;
    bool raw; /* print the answer as it came */
    time_ns timeout;
};

/*
 * Parses the arguments, which it may reorder and which must outlive `out`. ERR_PARSE: wrong usage, `why` is one clear sentence.
 * Not reentrant (getopt).
 */
enum err command_line_parse(struct command_line *out, int argc, char **argv, char *why,
                            unsigned why_size) MUST_USE;

/* The help text of the program as a whole; static storage. */
const char *command_line_help(void);

#endif
