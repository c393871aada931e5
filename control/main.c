/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firezone-headless-client: from the command line to the command. Errors up to the start of a tunnel are one line on stderr;
 * from then on the log tells. Exit code: 0 after a requested stop, 2 for wrong usage, 77 for a rejected token, else 1.
 */
#include <stdlib.h>
#include <string.h>

#include "control/options.h"
#include "control/report.h"
#include "control/sign.h"
#include "control/standalone.h"
#include "control/token.h"
#include "control/version.h"
#include "control/wireguard.h"
#include "platform/base/log.h"
#include "platform/process.h"

static const char *variable(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

/*
 * LOG SET-UP: the one place where the options become the log's; before any thread. Of a filter only the form LEVEL is
 * understood, one with targets leaves the level as it is.
 */
static int set_up_log(const struct options *o)
{
    enum log_level level = o->log_level;

    if (o->log_filter && !strpbrk(o->log_filter, ",=") &&
        log_level_parse(&level, o->log_filter) != ERR_OK) {
        report_failure("%s: none of error, warn, info, debug, trace", o->log_filter_by);
        return EXIT_USAGE;
    }
    log_set_level(level);
    return EXIT_SUCCESS;
}

static int run(const struct options *o, struct secret *token)
{
    switch (o->action) {
    case OPTIONS_HELP:
        return report_text("%s", o->help);
    case OPTIONS_VERSION:
        return report_text(OPTIONS_PROGRAM " " FZ_VERSION "\n");
    case OPTIONS_SIGN_IN:
        return sign_in_main(o);
    case OPTIONS_SIGN_OUT:
        return sign_out_main(o);
    case OPTIONS_RUN:
        return standalone_main(o, token);
    case OPTIONS_CHECK_WIREGUARD:
    case OPTIONS_RUN_WIREGUARD:
        return wireguard_main(o);
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const struct options_input input = {.argc = argc, .argv = argv, .lookup = variable};
    struct options options;
    struct secret token = {0};
    char why[REPORT_WHY_MAX];

    process_harden();
    if (options_parse(&options, &input, why, sizeof why) != ERR_OK) {
        report_failure("%s; see '%s --help'", why, OPTIONS_PROGRAM);
        return EXIT_USAGE;
    }
    /* Before the log, which may start a thread. */
    if (options.action == OPTIONS_RUN && token_take_variable(&token, why, sizeof why) != ERR_OK)
        return report_failure("%s", why);
    int code = set_up_log(&options);
    if (code == EXIT_SUCCESS)
        code = run(&options, &token);
    secret_free(&token);
    return code;
}
