/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzrelay: the command line, and the life of the process. Errors are one line on stderr. Exit code: 0 after a requested stop,
 * 2 for wrong usage, else 1.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/lws_loop.h"
#include "control/version.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/loop.h"
#include "platform/process.h"
#include "platform/random.h"
#include "platform/secret.h"
#include "tools/ctl/ctl_command.h"
#include "tools/ctl/ctl_server.h"
#include "tools/fzportal/derive.h"
#include "tools/fzrelay/ceiling.h"
#include "tools/fzrelay/command_line.h"
#include "tools/fzrelay/orders.h"
#include "tools/fzrelay/presence.h"
#include "tools/fzrelay/relay_io.h"

enum {
    EXIT_USAGE = 2,
    WHY_MAX = 512,
    RANDOM_SECRET_LEN = 32,
    SECRET_FILE_MAX = 4096
};

struct app {
    struct loop *loop;
    struct relay_io *io;
    struct presence *presence;
    struct ctl_server *control;
    struct orders orders;
    struct secret token;
    char secret[RELAY_SECRET_MAX + 1];
    bool said_ready;
    char ended[WHY_MAX]; /* why it cannot go on */
};

__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
    char line[WHY_MAX + 64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, COMMAND_LINE_PROGRAM ": %s\n", line);
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
    for (size_t i = 0; (h = orders_at(i)); i++)
        ctl_print_help(h);
    return flush();
}

static int ctl(const struct command_line *c)
{
    char usual[CTL_PATH_MAX];
    const struct ctl_command command = {
        .program = COMMAND_LINE_PROGRAM,
        .path = c->control_path ? c->control_path : ctl_usual_path(usual, COMMAND_LINE_PROGRAM),
        .words = c->words,
        .words_n = c->words_n,
        .is_text = orders_is_text,
        .timeout = c->timeout,
        .raw = c->raw,
    };
    return ctl_command_run(&command);
}

/* ---- the secret, and credentials ---- */

/* text: up to the end of its first line. what: where it comes from. */
static enum err take_secret(char out[RELAY_SECRET_MAX + 1], const char *text, const char *what,
                            char *why, unsigned why_size)
{
    size_t len = strcspn(text, "\r\n");

    if (len < 1 || len > RELAY_SECRET_MAX) {
        snprintf(why, why_size, "%s: a secret has 1 to %d characters", what, RELAY_SECRET_MAX);
        return ERR_INVALID;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return ERR_OK;
}

static enum err read_secret(char out[RELAY_SECRET_MAX + 1], const char *path, char *why,
                            unsigned why_size)
{
    struct file_content content;
    char reason[128];
    enum err err = file_read(&content, path, SECRET_FILE_MAX, reason, sizeof reason);

    if (err != ERR_OK) {
        snprintf(why, why_size, "%s: %s", path, reason);
        return err;
    }
    err = take_secret(out, content.bytes, path, why, why_size);
    file_content_wipe(&content);
    return err;
}

static void random_secret(char out[RELAY_SECRET_MAX + 1])
{
    uint8_t bytes[RANDOM_SECRET_LEN];

    random_bytes(bytes, sizeof bytes);
    for (unsigned i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    secure_wipe(bytes, sizeof bytes);
}

static enum err find_secret(char out[RELAY_SECRET_MAX + 1], const struct command_line *c, char *why,
                            unsigned why_size)
{
    if (c->secret_file)
        return read_secret(out, c->secret_file, why, why_size);
    if (!c->stamp_secret) {
        random_secret(out);
        return ERR_OK;
    }
    return take_secret(out, c->stamp_secret, "--stamp-secret", why, why_size);
}

static void print_credentials(const struct command_line *c, const char *secret)
{
    char password[DERIVE_RELAY_PASSWORD_LEN + 1];
    struct derive_relay d;

    if (c->salt) {
        derive_relay_password(password, c->expiry, secret, c->salt);
        printf("username %" PRId64 ":%s\npassword %s\n", c->expiry, c->salt, password);
    } else {
        derive_relay(&d, c->expiry, secret, c->user ? c->user : "");
        printf("username %s\npassword %s\n", d.username, d.password);
    }
}

static int credentials(const struct command_line *c)
{
    char secret[RELAY_SECRET_MAX + 1], why[WHY_MAX];

    if (find_secret(secret, c, why, sizeof why) != ERR_OK)
        return fail("%s", why);
    print_credentials(c, secret);
    return flush();
}

/* ---- ceiling ---- */

static int ceiling(const struct command_line *c)
{
    struct ceiling_row rows[CEILING_ROWS];
    char why[WHY_MAX];

    if (ceiling_measure(rows, c->size, c->datagrams, why, sizeof why) != ERR_OK)
        return fail("%s", why);
    printf("payload of %u bytes, over loopback\n", c->size);
    for (unsigned i = 0; i < CEILING_ROWS; i++) {
        const struct ceiling_row *r = &rows[i];
        double each = r->forwarded ? (double)r->cpu_ns / (double)r->forwarded : 0;
        double per_second = each > 0 ? 1e9 / each : 0;
        printf("%-26s %8.0f ns each  %9.0f per CPU second  %7.2f Gbit/s per core  %" PRIu64
               " lost\n",
               r->what, each, per_second, per_second * c->size * 8 / 1e9, r->lost);
    }
    return flush();
}

/* ---- serving ---- */

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static json_t *on_command(void *arg, const json_t *command)
{
    struct app *app = arg;
    json_t *answer = orders_handle(&app->orders, clock_now(), command);

    relay_io_settle(app->io);
    return answer;
}

static enum err on_secret(void *arg, const char *secret, char *why, unsigned why_size)
{
    struct app *app = arg;

    return app->presence ? presence_set_secret(app->presence, secret, why, why_size) : ERR_OK;
}

static void say_ready(struct app *app)
{
    if (app->said_ready)
        return;
    app->said_ready = true;
    puts("ready");
    fflush(stdout);
}

static void on_joined(void *arg)
{
    say_ready(arg);
}

static void on_ended(void *arg, const char *why)
{
    struct app *app = arg;

    snprintf(app->ended, sizeof app->ended, "%s", why);
    loop_stop(app->loop);
}

static const struct presence_events presence_events = {.joined = on_joined, .ended = on_ended};

static void lws_says(int level, const char *line)
{
    (void)level;
    log_debug("lws", "%.*s", (int)strcspn(line, "\n"), line);
}

/* Two descriptors an allocation. */
static void raise_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0)
        log_info("main", "the limit of open files stays where it is");
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

/*
 * Where nobody says what to listen on: on the public address if the machine has it, so that answers come from there; else, behind
 * a NAT, on any.
 */
static struct sock_addr choose_listen(const struct sock_addr *usual, const struct ip_addr *public)
{
    struct sock_addr at = {.ip = *public};
    char why[WHY_MAX];
    int fd;

    if (udp_batch_open(&fd, &at, why, sizeof why) != ERR_OK)
        return *usual;
    close(fd);
    at.port = usual->port;
    return at;
}

static enum err start_relay(struct app *app, const struct command_line *c, char *why,
                            unsigned why_size)
{
    struct relay_io_options o = {.relay = {.public4 = c->public4,
                                           .public6 = c->public6,
                                           .lowest_port = c->lowest_port,
                                           .highest_port = c->highest_port,
                                           .stamp_secret = app->secret},
                                 .listen4 = c->listen4,
                                 .listen6 = c->listen6,
                                 .gso = c->gso};
    if (!c->listen4_told && c->public4.family != ADDR_NONE)
        o.listen4 = choose_listen(&c->listen4, &c->public4);
    if (!c->listen6_told && c->public6.family != ADDR_NONE)
        o.listen6 = choose_listen(&c->listen6, &c->public6);
    random_bytes(o.relay.seed, sizeof o.relay.seed);
    enum err err = relay_io_new(&app->io, app->loop, &o, why, why_size);
    secure_wipe(o.relay.seed, sizeof o.relay.seed);
    return err;
}

static uint16_t client_port(const struct app *app)
{
    struct sock_addr at = {.port = 0};

    if (!relay_io_listens(app->io, ADDR_V4, &at) && !relay_io_listens(app->io, ADDR_V6, &at))
        return 0;
    return at.port;
}

static enum err start_presence(struct app *app, const struct command_line *c, char *why,
                               unsigned why_size)
{
    const char *token = c->token ? c->token : app->token.text;

    if (!c->has_portal)
        return ERR_OK;
    if (!token) {
        snprintf(why, why_size, "--portal-url needs --token, or the variable FIREZONE_TOKEN");
        return ERR_NOT_FOUND;
    }
    const struct presence_options o = {.url = &c->portal,
                                       .token = token,
                                       .name = c->name ? c->name : COMMAND_LINE_PROGRAM,
                                       .ca_file = c->ca_file,
                                       .public4 = c->public4,
                                       .public6 = c->public6,
                                       .port = client_port(app),
                                       .stamp_secret = app->secret};
    return presence_new(&app->presence, app->loop, &o, &presence_events, app, why, why_size);
}

static enum err start_control(struct app *app, const char *path, char *why, unsigned why_size)
{
    app->orders = (struct orders){.relay = relay_io_relay(app->io),
                                  .received = relay_io_received(app->io),
                                  .sent = relay_io_sent(app->io),
                                  .secret_changed = on_secret,
                                  .arg = app};
    return ctl_server_new(&app->control, app->loop, path, on_command, app, why, why_size);
}

static int say(struct app *app, const struct command_line *c, const char *control)
{
    static const enum addr_family families[] = {ADDR_V4, ADDR_V6};
    char text[SOCK_ADDR_TEXT_MAX];
    struct sock_addr at;

    for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
        if (relay_io_listens(app->io, families[i], &at))
            printf("listen %s\n", sock_addr_format(&at, text, sizeof text));
    }
    printf("control %s\n", control);
    if (!c->has_portal)
        print_credentials(c, app->secret);
    if (!c->has_portal)
        say_ready(app);
    return flush();
}

static int run(struct app *app)
{
    if (loop_run(app->loop) != ERR_OK)
        return fail("the event loop failed");
    return app->ended[0] ? fail("%s", app->ended) : EXIT_SUCCESS;
}

static int serve(const struct command_line *c)
{
    char why[WHY_MAX], usual[CTL_PATH_MAX];
    const char *control =
        c->control_path ? c->control_path : ctl_usual_path(usual, COMMAND_LINE_PROGRAM);
    struct app app = {0};
    int code;

    secret_take_variable(&app.token, "FIREZONE_TOKEN");
    raise_limit();
    enum err err = find_secret(app.secret, c, why, sizeof why);
    if (err == ERR_OK)
        err = start_loop(&app, why, sizeof why);
    if (err == ERR_OK)
        err = start_relay(&app, c, why, sizeof why);
    if (err == ERR_OK)
        err = start_control(&app, control, why, sizeof why);
    if (err == ERR_OK)
        err = start_presence(&app, c, why, sizeof why);
    code = err != ERR_OK ? fail("%s", why) : say(&app, c, control);
    if (code == EXIT_SUCCESS)
        code = run(&app);
    presence_free(app.presence);
    ctl_server_free(app.control);
    relay_io_free(app.io);
    loop_free(app.loop);
    secret_free(&app.token);
    secure_wipe(app.secret, sizeof app.secret);
    return code;
}

int main(int argc, char **argv)
{
    struct command_line c;
    char why[WHY_MAX];

    process_harden();
    if (argc <= 1) {
        fputs(command_line_help(), stderr);
        return EXIT_USAGE;
    }
    if (command_line_parse(&c, argc, argv, why, sizeof why) != ERR_OK) {
        fail("%s; see '%s --help'", why, COMMAND_LINE_PROGRAM);
        return EXIT_USAGE;
    }
    log_set_level(c.log_level);
    lws_set_log_level(log_enabled(LOG_DEBUG) ? LLL_ERR | LLL_WARN : 0, lws_says);
    switch (c.action) {
    case COMMAND_HELP:
        fputs(c.help, stdout);
        return flush();
    case COMMAND_VERSION:
        puts(COMMAND_LINE_PROGRAM " " FZ_VERSION);
        return flush();
    case COMMAND_CTL_HELP:
        return ctl_commands();
    case COMMAND_CTL:
        return ctl(&c);
    case COMMAND_CREDENTIALS:
        return credentials(&c);
    case COMMAND_CEILING:
        return ceiling(&c);
    case COMMAND_SERVE:
        return serve(&c);
    }
    return EXIT_FAILURE;
}
