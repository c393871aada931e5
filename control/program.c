/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "control/program.h"

#include <stdlib.h>
#include <unistd.h>

#include "control/log_file.h"
#include "control/report.h"
#include "control/token.h"
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
        log_file_open(file, o->log_dir, report_program, LOG_FILE_CAP, why, sizeof why) != ERR_OK)
        return report_failure("%s", why);
    return EXIT_SUCCESS;
}

int program_begin(struct program *p, enum options_program which, int argc, char **argv)
{
    const struct options_input input = {
        .program = which, .argc = argc, .argv = argv, .lookup = variable};
    char why[REPORT_WHY_MAX];

    *p = (struct program){.log_file = NULL};
    process_harden();
    if (options_parse(&p->options, &input, why, sizeof why) != ERR_OK) {
        report_failure("%s; see '%s --help'", why, report_program);
        return EXIT_USAGE;
    }
    /* Before the log, which starts a thread for its file. */
    if (p->options.action == OPTIONS_RUN &&
        token_take_variable(&p->token, why, sizeof why) != ERR_OK)
        return report_failure("%s", why);
    return set_up_log(&p->options, &p->log_file);
}

void program_end(struct program *p)
{
    secret_free(&p->token);
    log_file_close(p->log_file);
}
