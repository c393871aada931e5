/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firezone-headless-client: from the command line to the command. What makes it fail is one line on stderr. All else is in the
 * log, which is on stdout where the portal's other clients have it, and on stderr for `wireguard`. Exit code: 0 after a requested stop, 2 for wrong usage, 77 for a rejected token, else 1.
 */
#include <stdlib.h>
#include <unistd.h>

#include "control/log_file.h"
#include "control/options.h"
#include "control/report.h"
#include "control/sign.h"
#include "control/standalone.h"
#include "control/token.h"
#include "control/version.h"
#include "control/wireguard.h"
#include "platform/base/log.h"
#include "platform/base/log_filter.h"
#include "platform/base/mem.h"
#include "platform/process.h"

static const char *variable(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static enum err set_filter(const char *text, char *why, unsigned why_size)
{
    struct log_filter *filter = mem_zalloc(1, sizeof *filter);
    enum err err = log_filter_parse(filter, text, why, why_size);

    if (err == ERR_OK)
        log_set_filter(filter);
    free(filter);
    return err;
}

/*
 * The one place where the options become the log's. The file has a thread of its own; it blocks all signals, and what may be
 * done only before there are threads has been done. Returns EXIT_SUCCESS or the exit code.
 */
static int set_up_log(const struct options *o, struct log_file **file)
{
    char why[REPORT_WHY_MAX];

    log_set_output(o->action == OPTIONS_RUN ? STDOUT_FILENO : STDERR_FILENO, o->log_format);
    log_set_level(o->log_level);
    if (o->log_filter && set_filter(o->log_filter, why, sizeof why) != ERR_OK) {
        report_failure("%s: %s", o->log_filter_by, why);
        return EXIT_USAGE;
    }
    if (o->action == OPTIONS_RUN && o->log_dir &&
        log_file_open(file, o->log_dir, OPTIONS_PROGRAM, LOG_FILE_CAP, why, sizeof why) != ERR_OK)
        return report_failure("%s", why);
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
    struct log_file *log_file = NULL;
    char why[REPORT_WHY_MAX];

    process_harden();
    if (options_parse(&options, &input, why, sizeof why) != ERR_OK) {
        report_failure("%s; see '%s --help'", why, OPTIONS_PROGRAM);
        return EXIT_USAGE;
    }
    /* Before the log, which starts a thread for its file. */
    if (options.action == OPTIONS_RUN && token_take_variable(&token, why, sizeof why) != ERR_OK)
        return report_failure("%s", why);
    int code = set_up_log(&options, &log_file);
    if (code == EXIT_SUCCESS)
        code = run(&options, &token);
    secret_free(&token);
    log_file_close(log_file);
    return code;
}
