/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of firezone-headless-client: arguments to plain values. Touches nothing but them. Control role. */
#ifndef FZ_CONTROL_OPTIONS_H
#define FZ_CONTROL_OPTIONS_H

#include <stdbool.h>

#include "engine/engine.h"
#include "platform/base/err.h"
#include "platform/base/log.h"
#include "platform/io.h"
#include "platform/tun.h"

#define OPTIONS_PROGRAM "firezone-headless-client"

enum {
    OPTIONS_WORKERS_MAX = 64
};

enum options_action {
    OPTIONS_HELP,           /* print `help` and succeed */
    OPTIONS_VERSION,        /* print the version and succeed */
    OPTIONS_RUN_WIREGUARD,  /* the `wireguard` command */
    OPTIONS_CHECK_WIREGUARD /* only parse its configuration */
};

struct options {
    enum options_action action;
    const char *help;            /* text for OPTIONS_HELP; static storage */
    const char *config_path;     /* an argument */
    char tun_name[TUN_NAME_MAX]; /* --tun, or from the file's name; "": the kernel chooses */
    unsigned workers;            /* 0: one per usable CPU */
    enum io_backend io;
    enum crypt_backend crypto;
    enum engine_helpers helpers;
    bool source_resolve, steering, offloads;
    enum log_level log_level;
};

/*
 * Parses the arguments, which it may reorder and which must outlive `out`. ERR_PARSE: wrong usage, `why` is one clear
 * sentence. Not reentrant (getopt).
 */
enum err options_parse(struct options *out, int argc, char **argv, char *why,
                       unsigned why_size) MUST_USE;

/* The help text of the program as a whole; static storage. */
const char *options_help(void);

#endif
