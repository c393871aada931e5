/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzlink: a link with delay, loss and the like between two network namespaces. This file: the life of the process. In reading order:
 * impair (what becomes of a packet, and when), lane (one direction), end (a device), link (all of it), settings and
 * value (their texts), command (`fzlink ctl`), ceiling (what it can carry).
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/version.h"
#include "platform/base/mem.h"
#include "platform/loop.h"
#include "platform/process.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/ctl_command.h"
#include "tools/ctl/ctl_server.h"
#include "tools/fzlink/ceiling.h"
#include "tools/fzlink/cli.h"
#include "tools/fzlink/command.h"
#include "tools/fzlink/link.h"

enum {
    EXIT_USAGE = 2,
    WHY_MAX = 512,
    CTL_SECONDS = 10
};

struct app {
    struct loop *loop;
    struct loop_bell bell; /* a device is gone */
    struct link link;
    struct ctl_server *control;
    bool broken;
};

__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
    char line[WHY_MAX + 64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, CLI_PROGRAM ": %s\n", line);
    return EXIT_FAILURE;
}

static int flush(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS
                                                  : fail("cannot write to the standard output");
}

/* ---- ctl ---- */

static int ctl(const struct cli *c)
{
    const struct ctl_command command = {
        .program = CLI_PROGRAM,
        .path = c->control_path,
        .words = c->words,
        .words_n = c->words_n,
        .timeout = CTL_SECONDS * NS_PER_SEC,
    };
    return ctl_command_run(&command);
}

static json_t *on_command(void *arg, const json_t *json)
{
    struct app *app = arg;
    struct settings settings = app->link.settings;
    struct link_stats stats[DIRECTIONS];
    char why[WHY_MAX] = "";
    enum command command;

    if (command_parse(&command, &settings, json, (struct why){why, sizeof why}) != ERR_OK)
        return ctl_error(why);
    switch (command) {
    case COMMAND_SET:
        link_set(&app->link, &settings);
        return command_show(&settings);
    case COMMAND_SHOW:
        return command_show(&settings);
    case COMMAND_STATS:
        for (unsigned i = 0; i < DIRECTIONS; i++)
            link_read_stats(&app->link, (enum direction)i, &stats[i]);
        return command_stats(stats);
    case COMMANDS:
        break;
    }
    return ctl_error("");
}

/* ---- life ---- */

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static void on_broken(void *arg)
{
    struct app *app = arg;
    app->broken = true;
    loop_stop(app->loop);
}

/* Another thread. */
static void report_broken(void *arg)
{
    const struct app *app = arg;
    loop_bell_ring(&app->bell);
}

static enum err start_loop(struct app *app, struct why why)
{
    enum err err = loop_new(&app->loop);

    if (err == ERR_OK)
        err = loop_add_signal(app->loop, SIGTERM, on_stop, app->loop);
    if (err == ERR_OK)
        err = loop_add_signal(app->loop, SIGINT, on_stop, app->loop);
    if (err == ERR_OK)
        err = ctl_server_hangup(app->loop);
    if (err == ERR_OK)
        err = loop_bell_add(app->loop, &app->bell, on_broken, app);
    return err == ERR_OK ? ERR_OK
                         : why_fail(why, err, "cannot set up the event loop: %s", err_text(err));
}

static int run(const struct cli *c)
{
    char text[WHY_MAX] = "";
    struct why why = {text, sizeof text};
    struct link_config config = c->link;
    struct app app = {.bell = {.fd = -1}};
    int code = EXIT_SUCCESS;

    config.broken = report_broken;
    config.arg = &app;
    enum err err = start_loop(&app, why);
    if (err == ERR_OK)
        err = link_open(&app.link, &config, why);
    if (err == ERR_OK && c->control_path)
        err = ctl_server_new(&app.control, app.loop, c->control_path, on_command, &app, text,
                             sizeof text);
    if (err != ERR_OK)
        code = fail("%s", text);
    else
        code = puts("ready") >= 0 ? flush() : EXIT_FAILURE;
    if (code == EXIT_SUCCESS && loop_run(app.loop) != ERR_OK)
        code = fail("the event loop failed");
    if (app.broken)
        code = fail("a device of the link has been taken away");
    ctl_server_free(app.control);
    link_close(&app.link);
    if (app.bell.fd >= 0)
        loop_bell_del(app.loop, &app.bell);
    loop_free(app.loop);
    return code;
}

static int ceiling(const struct cli *c)
{
    char text[WHY_MAX] = "";

    return ceiling_run(&c->link, c->seconds, stdout, (struct why){text, sizeof text}) == ERR_OK
               ? flush()
               : fail("%s", text);
}

int main(int argc, char **argv)
{
    struct cli cli;
    char why[WHY_MAX] = "";

    process_harden();
    if (argc <= 1) {
        fputs(cli_help(), stderr);
        return EXIT_USAGE;
    }
    if (cli_parse(&cli, argc, argv, (struct why){why, sizeof why}) != ERR_OK) {
        fail("%s; see '%s --help'", why, CLI_PROGRAM);
        return EXIT_USAGE;
    }
    switch (cli.action) {
    case CLI_HELP:
        fputs(cli.help, stdout);
        return flush();
    case CLI_VERSION:
        puts(CLI_PROGRAM " " FZ_VERSION);
        return flush();
    case CLI_CTL_HELP:
        fputs(command_help(), stdout);
        return flush();
    case CLI_CTL:
        return ctl(&cli);
    case CLI_CEILING:
        return ceiling(&cli);
    case CLI_LINK:
        return run(&cli);
    }
    return EXIT_FAILURE;
}
