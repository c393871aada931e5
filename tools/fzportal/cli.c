/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzportal/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char serve_help[] =
    "Usage: " CLI_PROGRAM " --config FILE [OPTION]...\n"
    "       " CLI_PROGRAM " ctl [OPTION]... COMMAND [KEY=VALUE]...\n"
    "       " CLI_PROGRAM " --help | --version\n"
    "\n"
    "A development portal: clients, gateways and relays connect to it as to the real one.\n"
    "Runs in the foreground until SIGTERM or SIGINT; prints 'ready' once it can be used.\n"
    "\n"
    "  -c, --config FILE        the account: tokens, sites, resources, policies (required)\n"
    "      --check              check the configuration and exit\n"
    "  -l, --listen ADDR:PORT   where to listen, up to 8 times; [ADDR]:PORT for IPv6; port 0\n"
    "                           is any free one, 80 is refused, since clients cannot be told\n"
    "                           to use it (default: as configured, else 127.0.0.1:8081)\n"
    "      --tls-cert FILE      certificate chain, PEM: wss:// instead of ws://\n"
    "      --tls-key FILE       its key, PEM\n"
    "      --control PATH       the control socket (default: as configured, else\n"
    "                           fzportal.sock in the user's runtime folder)\n"
    "      --log-level LEVEL    error, warn, info, debug or trace (default info)\n"
    "  -h, --help\n"
    "      --version\n"
    "\n"
    "Exit code: 0 after SIGTERM or SIGINT, 2 for wrong usage, 1 for any other error.\n";

static const char ctl_help[] =
    "Usage: " CLI_PROGRAM " ctl [OPTION]... COMMAND [KEY=VALUE]...\n"
    "       " CLI_PROGRAM " ctl help\n"
    "\n"
    "Sends a command to a running " CLI_PROGRAM
    " and prints its answer. 'ctl help' lists the commands.\n"
    "\n"
    "  VALUE                is a number, true, false, null, an object or an array if it is one\n"
    "                       in JSON, and a string otherwise; KEY:=VALUE takes JSON only\n"
    "      --control PATH   the control socket (default: fzportal.sock in the user's\n"
    "                       runtime folder)\n"
    "      --raw            print the answer as it came, one line\n"
    "      --timeout S      wait so many seconds for the answer (default 10)\n"
    "  -h, --help\n"
    "\n"
    "Exit code: 0 if it was done, 1 if not (the reason is on stderr), 2 for wrong usage.\n";

/* The long-only options, above all characters. */
enum {
    FLAG_CHECK = 256,
    FLAG_TLS_CERT,
    FLAG_TLS_KEY,
    FLAG_CONTROL,
    FLAG_LOG_LEVEL,
    FLAG_VERSION,
    FLAG_RAW,
    FLAG_TIMEOUT
};

static const struct option serve_flags[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, FLAG_CHECK},
    {"listen", required_argument, NULL, 'l'},
    {"tls-cert", required_argument, NULL, FLAG_TLS_CERT},
    {"tls-key", required_argument, NULL, FLAG_TLS_KEY},
    {"control", required_argument, NULL, FLAG_CONTROL},
    {"log-level", required_argument, NULL, FLAG_LOG_LEVEL},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, FLAG_VERSION},
    {NULL, 0, NULL, 0},
};

static const struct option ctl_flags[] = {
    {"control", required_argument, NULL, FLAG_CONTROL},
    {"raw", no_argument, NULL, FLAG_RAW},
    {"timeout", required_argument, NULL, FLAG_TIMEOUT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct why {
    char *buf;
    unsigned size;
};

__attribute__((format(printf, 2, 3))) static enum err fail(const struct why *why, const char *fmt,
                                                           ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why->buf, why->size, fmt, ap);
    va_end(ap);
    return ERR_PARSE;
}

/* getopt reported ':' or '?'. */
static enum err fail_getopt(const struct why *why, int code, const struct option *flags,
                            char *const *argv)
{
    const char *arg = argv[optind - 1];

    if (optopt == 0)
        return fail(why, "unknown option '%s'", arg);
    for (; flags->name; flags++) {
        if (flags->val == optopt && strchr(arg, '='))
            return fail(why, "option '--%s' takes no value", flags->name);
    }
    if (code == ':')
        return fail(why, "option '%s' needs a value", arg);
    return fail(why, "unknown option '-%c'", optopt);
}

static enum err take_text(const char **out, const char *flag, const char *value,
                          const struct why *why)
{
    *out = value;
    return value[0] != '\0' ? ERR_OK : fail(why, "%s: the name of the file is empty", flag);
}

static enum err take_listen(struct cli *c, const char *value, const struct why *why)
{
    struct sock_addr *a = &c->listen[c->listen_n];

    if (c->listen_n == SERVER_LISTEN_MAX)
        return fail(why, "--listen: at most %d addresses", SERVER_LISTEN_MAX);
    if (sock_addr_parse(a, value) != ERR_OK)
        return fail(why, "--listen: '%s' is not ADDR:PORT or [ADDR]:PORT", value);
    if (a->port == 80)
        return fail(why, "--listen: clients take port 80 for 443; use another one");
    c->listen_n++;
    return ERR_OK;
}

static enum err take_timeout(struct cli *c, const char *value, const struct why *why)
{
    size_t n = strlen(value);
    int seconds = n >= 1 && n <= 5 && strspn(value, "0123456789") == n ? atoi(value) : 0;

    if (seconds == 0)
        return fail(why, "--timeout: '%s' is not a number of seconds from 1 to 99999", value);
    c->timeout = (time_ns)seconds * NS_PER_SEC;
    return ERR_OK;
}

static enum err take_flag(struct cli *c, int flag, const char *value, const struct why *why)
{
    switch (flag) {
    case 'c':
        return take_text(&c->config_path, "--config", value, why);
    case 'l':
        return take_listen(c, value, why);
    case FLAG_TLS_CERT:
        return take_text(&c->certificate, "--tls-cert", value, why);
    case FLAG_TLS_KEY:
        return take_text(&c->key, "--tls-key", value, why);
    case FLAG_CONTROL:
        return take_text(&c->control_path, "--control", value, why);
    case FLAG_LOG_LEVEL:
        return log_level_parse(&c->log_level, value) == ERR_OK
                   ? ERR_OK
                   : fail(why, "--log-level: '%s' is none of error, warn, info, debug, trace",
                          value);
    case FLAG_TIMEOUT:
        return take_timeout(c, value, why);
    case FLAG_RAW:
        c->raw = true;
        return ERR_OK;
    case FLAG_CHECK:
        c->action = CLI_CHECK;
        return ERR_OK;
    case FLAG_VERSION:
        c->action = CLI_VERSION;
        return ERR_OK;
    case 'h':
        c->action = CLI_HELP;
        return ERR_OK;
    default:
        ASSERT(!"a flag of the table is not handled");
    }
}

/* Ends early at --help and --version. */
static enum err take_flags(struct cli *c, const char *letters, const struct option *flags, int argc,
                           char **argv, const struct why *why)
{
    opterr = 0;
    optind = 0; /* getopt starts anew */
    for (;;) {
        int flag = getopt_long(argc, argv, letters, flags, NULL);
        if (flag == -1)
            return ERR_OK;
        if (flag == '?' || flag == ':')
            return fail_getopt(why, flag, flags, argv);
        enum err err = take_flag(c, flag, optarg, why);
        if (err != ERR_OK || c->action == CLI_HELP || c->action == CLI_VERSION)
            return err;
    }
}

/* The words behind "ctl"; values may begin with a dash. */
static enum err parse_ctl(struct cli *c, int argc, char **argv, const struct why *why)
{
    c->action = CLI_CTL;
    c->help = ctl_help;
    enum err err = take_flags(c, "+:h", ctl_flags, argc, argv, why);
    if (err != ERR_OK || c->action == CLI_HELP)
        return err;
    if (optind >= argc)
        return fail(why, "ctl: a command is missing");
    c->words = argv + optind;
    c->words_n = argc - optind;
    if (c->words_n == 1 && strcmp(c->words[0], "help") == 0)
        c->action = CLI_CTL_HELP;
    return ERR_OK;
}

enum err cli_parse(struct cli *out, int argc, char **argv, char *why_buf, unsigned why_size)
{
    struct why why = {why_buf, why_size};

    *out = (struct cli){
        .action = CLI_SERVE, .help = serve_help, .log_level = LOG_INFO, .timeout = 10 * NS_PER_SEC};
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return parse_ctl(out, argc - 1, argv + 1, &why);
    enum err err = take_flags(out, ":c:l:h", serve_flags, argc, argv, &why);
    if (err != ERR_OK || out->action == CLI_HELP || out->action == CLI_VERSION)
        return err;
    if (optind < argc)
        return fail(&why, "unexpected argument '%s'", argv[optind]);
    if (!out->config_path)
        return fail(&why, "--config FILE is missing");
    if (!out->certificate != !out->key)
        return fail(&why, "--tls-cert and --tls-key go together");
    return ERR_OK;
}

const char *cli_help(void)
{
    return serve_help;
}
