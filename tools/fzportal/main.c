/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzportal: the command line, and the life of the process. Errors are one line on stderr. Exit code: 0 after a requested stop,
 * 2 for wrong usage, else 1.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/lws_loop.h"
#include "control/version.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/loop.h"
#include "platform/process.h"
#include "platform/random.h"
#include "tools/ctl/ctl_command.h"
#include "tools/ctl/ctl_server.h"
#include "tools/fzportal/cli.h"
#include "tools/fzportal/config.h"
#include "tools/fzportal/derive.h"
#include "tools/fzportal/faults.h"
#include "tools/fzportal/portal.h"
#include "tools/fzportal/server.h"

enum {
    EXIT_USAGE = 2,
    WHY_MAX = 512
};

struct app {
    struct loop *loop;
    struct portal *portal;
    struct server *server;
    struct ctl_server *control;
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

static int ctl_commands(void)
{
    const struct ctl_help *h;

    puts("Commands, and the keys they take:\n");
    for (size_t i = 0; (h = portal_command_at(i)); i++)
        ctl_print_help(h);
    for (size_t i = 0; i < faults_commands_n; i++)
        ctl_print_help(&faults_commands[i]);
    return flush();
}

static int ctl(const struct cli *c)
{
    char usual[CTL_PATH_MAX];
    const struct ctl_command command = {
        .program = CLI_PROGRAM,
        .path = c->control_path ? c->control_path : ctl_usual_path(usual, CLI_PROGRAM),
        .words = c->words,
        .words_n = c->words_n,
        .timeout = c->timeout,
        .raw = c->raw,
    };
    return ctl_command_run(&command);
}

/* ---- what is said at the start ---- */

static const char *role_name(enum portal_role role)
{
    switch (role) {
    case PORTAL_CLIENT:
        return "client";
    case PORTAL_GATEWAY:
        return "gateway";
    case PORTAL_RELAY:
        return "relay";
    }
    return "";
}

static const char *role_program(enum portal_role role)
{
    switch (role) {
    case PORTAL_CLIENT:
        return "firezone-headless-client";
    case PORTAL_GATEWAY:
        return "firezone-gateway";
    case PORTAL_RELAY:
        return "firezone-relay";
    }
    return "";
}

/* An address that can be connected to: a wildcard stands for loopback. */
static const char *reachable(const struct sock_addr *at, char *buf, size_t size)
{
    struct sock_addr a = *at;

    if (ct_is_zero(a.ip.bytes, sizeof a.ip.bytes)) {
        if (a.ip.family == ADDR_V4)
            a.ip.bytes[0] = 127;
        a.ip.bytes[a.ip.family == ADDR_V4 ? 3 : 15] = 1;
    }
    return sock_addr_format(&a, buf, size);
}

static int say(const struct app *app, const struct server_options *o, const char *control)
{
    const char *scheme = o->certificate ? "wss" : "ws";
    char text[SOCK_ADDR_TEXT_MAX];
    struct portal_token_info t;

    for (unsigned i = 0; i < o->listen_n; i++)
        printf("listen %s://%s\n", scheme,
               sock_addr_format(server_addr(app->server, i), text, sizeof text));
    printf("control %s\n", control);
    for (size_t i = 0; portal_token_at(app->portal, i, &t); i++)
        printf("token %s %s %s\n", role_name(t.role), t.name, t.text);
    reachable(server_addr(app->server, 0), text, sizeof text);
    for (size_t i = 0; portal_token_at(app->portal, i, &t); i++)
        printf("run FIREZONE_API_URL=%s://%s FIREZONE_TOKEN=%s %s\n", scheme, text, t.text,
               role_program(t.role));
    puts("ready");
    return flush();
}

/* ---- life ---- */

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static json_t *on_command(void *arg, const json_t *command)
{
    struct app *app = arg;
    return server_control(app->server, command);
}

static void lws_says(int level, const char *line)
{
    (void)level;
    log_debug("lws", "%.*s", (int)strcspn(line, "\n"), line);
}

static enum err start_loop(struct app *app, char *why, unsigned why_size)
{
    enum err err = loop_new(&app->loop);

    if (err == ERR_OK)
        err = loop_add_signal(app->loop, SIGTERM, on_stop, app->loop);
    if (err == ERR_OK)
        err = loop_add_signal(app->loop, SIGINT, on_stop, app->loop);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot set up the event loop: %s", err_text(err));
    return err;
}

static enum err start_portal(struct app *app, const struct portal_config *config, char *why,
                             unsigned why_size)
{
    struct portal_time t = {.now = clock_now()};
    uint64_t seconds;
    uint32_t nanoseconds;
    uint8_t seed[32];

    clock_wall(&seconds, &nanoseconds);
    t.unix_seconds = (int64_t)seconds;
    if (config->seed)
        derive_seed(seed, config->seed);
    else
        random_bytes(seed, sizeof seed);
    enum err err = portal_new(&app->portal, config, seed, t);
    secure_wipe(seed, sizeof seed);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot make a portal of the configuration: %s", err_text(err));
    return err;
}

static void merge(struct server_options *o, const struct cli *c, const struct portal_config *config)
{
    bool told = c->certificate != NULL;

    *o = (struct server_options){.listen = {config->listen},
                                 .listen_n = 1,
                                 .certificate = told ? c->certificate : config->certificate,
                                 .key = told ? c->key : config->key};
    if (c->listen_n > 0) {
        memcpy(o->listen, c->listen, sizeof o->listen);
        o->listen_n = c->listen_n;
    }
}

static int serve(const struct cli *c, const struct portal_config *config)
{
    char why[WHY_MAX], usual[CTL_PATH_MAX];
    struct server_options o;
    struct app app = {0};
    const char *control = c->control_path   ? c->control_path
                          : config->control ? config->control
                                            : ctl_usual_path(usual, CLI_PROGRAM);
    int code;

    merge(&o, c, config);
    enum err err = start_loop(&app, why, sizeof why);
    if (err == ERR_OK)
        err = start_portal(&app, config, why, sizeof why);
    if (err == ERR_OK)
        err = server_new(&app.server, app.loop, app.portal, &o, why, sizeof why);
    if (err == ERR_OK)
        err = ctl_server_new(&app.control, app.loop, control, on_command, &app, why, sizeof why);
    if (err != ERR_OK)
        code = fail("%s", why);
    else
        code = say(&app, &o, control);
    if (code == EXIT_SUCCESS && loop_run(app.loop) != ERR_OK)
        code = fail("the event loop failed");
    ctl_server_free(app.control);
    server_free(app.server);
    portal_free(app.portal);
    loop_free(app.loop);
    return code;
}

static int check(const struct cli *c, const struct portal_config *config)
{
    struct server_options o;
    char why[WHY_MAX];

    merge(&o, c, config);
    if (server_check(&o, why, sizeof why) != ERR_OK)
        return fail("%s", why);
    puts("the configuration is valid");
    return flush();
}

static int with_config(const struct cli *c)
{
    struct portal_config config;
    char why[WHY_MAX];

    if (portal_config_load(&config, c->config_path, why, sizeof why) != ERR_OK)
        return fail("%s", why);
    int code = c->action == CLI_CHECK ? check(c, &config) : serve(c, &config);
    portal_config_fini(&config);
    return code;
}

int main(int argc, char **argv)
{
    struct cli cli;
    char why[WHY_MAX];

    process_harden();
    if (argc <= 1) {
        fputs(cli_help(), stderr);
        return EXIT_USAGE;
    }
    if (cli_parse(&cli, argc, argv, why, sizeof why) != ERR_OK) {
        fail("%s; see '%s --help'", why, CLI_PROGRAM);
        return EXIT_USAGE;
    }
    log_set_level(cli.log_level);
    lws_set_log_level(log_enabled(LOG_DEBUG) ? LLL_ERR | LLL_WARN : 0, lws_says);
    switch (cli.action) {
    case CLI_HELP:
        fputs(cli.help, stdout);
        return flush();
    case CLI_VERSION:
        puts(CLI_PROGRAM " " FZ_VERSION);
        return flush();
    case CLI_CTL_HELP:
        return ctl_commands();
    case CLI_CTL:
        return ctl(&cli);
    case CLI_CHECK:
    case CLI_SERVE:
        return with_config(&cli);
    }
    return EXIT_FAILURE;
}
