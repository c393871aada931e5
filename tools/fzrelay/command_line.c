/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/command_line.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/fzrelay/ceiling.h"

enum {
    LISTEN_PORT = 3478,
    LOWEST_PORT = 49152,
    HIGHEST_PORT = 65535
};

static const char serve_help[] =
    "Usage: " COMMAND_LINE_PROGRAM " --public-ip4 ADDR [--public-ip6 ADDR] [OPTION]...\n"
    "       " COMMAND_LINE_PROGRAM " credentials --stamp-secret TEXT [OPTION]...\n"
    "       " COMMAND_LINE_PROGRAM " ceiling [OPTION]...\n"
    "       " COMMAND_LINE_PROGRAM " ctl [OPTION]... COMMAND [KEY=VALUE]...\n"
    "       " COMMAND_LINE_PROGRAM " --help | --version\n"
    "\n"
    "A development relay: TURN over UDP as clients and gateways use it. Runs in the foreground\n"
    "until SIGTERM, SIGINT or SIGHUP; prints 'ready' once it can be used.\n"
    "\n"
    "      --public-ip4 ADDR    what is announced; at least one of the two is required\n"
    "      --public-ip6 ADDR\n"
    "  -l, --listen ADDR:PORT   where clients come in, once per family; [ADDR]:PORT for IPv6;\n"
    "                           allocations use the same address (default: port 3478 of the\n"
    "                           public address if the machine has it, else of any)\n"
    "      --lowest-port N      of allocations (default 49152)\n"
    "      --highest-port N     (default 65535)\n"
    "      --portal-url URL     sign in at this portal as a relay, and be announced by it\n"
    "      --token TOKEN        with this token (default: the variable FIREZONE_TOKEN)\n"
    "      --name NAME          and this name (default: fzrelay)\n"
    "      --ca-file FILE       a private CA of the portal, PEM\n"
    "      --stamp-secret TEXT  what credentials are made from (default: random)\n"
    "      --secret-file FILE   the same, in a file\n"
    "      --no-gso             send each datagram by itself\n"
    "      --control PATH       the control socket (default: fzrelay.sock in\n"
    "                           $XDG_RUNTIME_DIR, else in /run/user/UID, else for root in /run,\n"
    "                           for others in /tmp/fzrelay-UID)\n"
    "      --log-level LEVEL    error, warn, info, debug or trace (default info)\n"
    "  -h, --help\n"
    "      --version\n"
    "\n"
    "Faults that its clients may have to live with, while it runs; 'ctl help' lists all orders:\n"
    "\n"
    "  ctl drop port=N | all=true   forgets allocations silently: their clients get 437\n"
    "  ctl expire-nonces            all nonces become stale: 438\n"
    "  ctl freeze [what=requests]   answers and forwards nothing, as a dead relay, until 'ctl thaw'\n"
    "  ctl fail code=N method=NAME count=N\n"
    "                               errors for the next requests, such as 403, 486 and 508\n"
    "  ctl secret secret=TEXT       another secret: credentials of before get 401\n"
    "\n"
    "Exit code: 0 after such a signal, 2 for wrong usage, 1 for any other error.\n";

static const char credentials_help[] =
    "Usage: " COMMAND_LINE_PROGRAM " credentials --stamp-secret TEXT [OPTION]...\n"
    "\n"
    "Prints a username and a password for a relay with this secret.\n"
    "\n"
    "      --stamp-secret TEXT, --secret-file FILE   one of them is required\n"
    "      --expiry N           Unix seconds (default: the end of the year 2037)\n"
    "      --user KEY           the user's public key, base64 (default: an empty text)\n"
    "      --salt TEXT          instead of what is made from the key\n"
    "  -h, --help\n";

static const char ceiling_help[] =
    "Usage: " COMMAND_LINE_PROGRAM " ceiling [OPTION]...\n"
    "\n"
    "Measures over loopback how many datagrams the relay forwards per second of CPU time.\n"
    "\n"
    "      --size N             bytes of payload, up to 1400 (default 1316)\n"
    "      --datagrams N        for each of the four figures (default 200000)\n"
    "  -h, --help\n";

static const char ctl_help[] =
    "Usage: " COMMAND_LINE_PROGRAM " ctl [OPTION]... COMMAND [KEY=VALUE]...\n"
    "       " COMMAND_LINE_PROGRAM " ctl help\n"
    "\n"
    "Sends a command to a running " COMMAND_LINE_PROGRAM
    " and prints its answer. 'ctl help' lists the commands.\n"
    "\n"
    "  VALUE                is a number, true, false, null, an object or an array if it is one\n"
    "                       in JSON, and a string otherwise; a secret is always a string;\n"
    "                       KEY:=VALUE takes JSON only, so KEY:='\"7\"' is a string\n"
    "      --control PATH   the control socket (default: as of the program itself)\n"
    "      --raw            print the answer as it came, one line\n"
    "      --timeout S      wait so many seconds for the answer (default 10)\n"
    "  -h, --help\n"
    "\n"
    "Exit code: 0 if it was done, 1 if not (the reason is on stderr), 2 for wrong usage.\n";

/* The long-only options, above all characters. */
enum {
    FLAG_PUBLIC4 = 256,
    FLAG_PUBLIC6,
    FLAG_LOWEST,
    FLAG_HIGHEST,
    FLAG_PORTAL,
    FLAG_TOKEN,
    FLAG_NAME,
    FLAG_CA_FILE,
    FLAG_SECRET,
    FLAG_SECRET_FILE,
    FLAG_NO_GSO,
    FLAG_CONTROL,
    FLAG_LOG_LEVEL,
    FLAG_VERSION,
    FLAG_EXPIRY,
    FLAG_USER,
    FLAG_SALT,
    FLAG_SIZE,
    FLAG_DATAGRAMS,
    FLAG_RAW,
    FLAG_TIMEOUT
};

static const struct option serve_flags[] = {
    {"public-ip4", required_argument, NULL, FLAG_PUBLIC4},
    {"public-ip6", required_argument, NULL, FLAG_PUBLIC6},
    {"listen", required_argument, NULL, 'l'},
    {"lowest-port", required_argument, NULL, FLAG_LOWEST},
    {"highest-port", required_argument, NULL, FLAG_HIGHEST},
    {"portal-url", required_argument, NULL, FLAG_PORTAL},
    {"token", required_argument, NULL, FLAG_TOKEN},
    {"name", required_argument, NULL, FLAG_NAME},
    {"ca-file", required_argument, NULL, FLAG_CA_FILE},
    {"stamp-secret", required_argument, NULL, FLAG_SECRET},
    {"secret-file", required_argument, NULL, FLAG_SECRET_FILE},
    {"no-gso", no_argument, NULL, FLAG_NO_GSO},
    {"control", required_argument, NULL, FLAG_CONTROL},
    {"log-level", required_argument, NULL, FLAG_LOG_LEVEL},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, FLAG_VERSION},
    {NULL, 0, NULL, 0},
};

static const struct option credentials_flags[] = {
    {"stamp-secret", required_argument, NULL, FLAG_SECRET},
    {"secret-file", required_argument, NULL, FLAG_SECRET_FILE},
    {"expiry", required_argument, NULL, FLAG_EXPIRY},
    {"user", required_argument, NULL, FLAG_USER},
    {"salt", required_argument, NULL, FLAG_SALT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct option ceiling_flags[] = {
    {"size", required_argument, NULL, FLAG_SIZE},
    {"datagrams", required_argument, NULL, FLAG_DATAGRAMS},
    {"help", no_argument, NULL, 'h'},
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

/* ---- values ---- */

static enum err take_ip(struct ip_addr *out, unsigned family, const char *value,
                        const struct why *why)
{
    if (ip_addr_parse(out, value) != ERR_OK || out->family != family)
        return fail(why, "'%s' is not an IPv%u address", value, family);
    return ERR_OK;
}

static enum err take_listen(struct command_line *c, const char *value, const struct why *why)
{
    struct sock_addr a;
    bool *told;

    if (sock_addr_parse(&a, value) != ERR_OK)
        return fail(why, "--listen: '%s' is not ADDR:PORT or [ADDR]:PORT", value);
    told = a.ip.family == ADDR_V4 ? &c->listen4_told : &c->listen6_told;
    if (*told)
        return fail(why, "--listen: one address per family");
    *told = true;
    *(a.ip.family == ADDR_V4 ? &c->listen4 : &c->listen6) = a;
    return ERR_OK;
}

static enum err take_number(int64_t *out, const char *flag, int64_t min, int64_t max,
                            const char *value, const struct why *why)
{
    size_t n = strlen(value);

    *out = n >= 1 && n <= 18 && strspn(value, "0123456789") == n ? atoll(value) : -1;
    if (*out < min || *out > max)
        return fail(why, "%s: '%s' is not a number from %lld to %lld", flag, value, (long long)min,
                    (long long)max);
    return ERR_OK;
}

static enum err take_port(uint16_t *out, const char *flag, const char *value, const struct why *why)
{
    int64_t n;
    enum err err = take_number(&n, flag, 1, 65535, value, why);

    if (err == ERR_OK)
        *out = (uint16_t)n;
    return err;
}

static enum err take_unsigned(unsigned *out, const char *flag, unsigned max, const char *value,
                              const struct why *why)
{
    int64_t n;
    enum err err = take_number(&n, flag, 1, max, value, why);

    if (err == ERR_OK)
        *out = (unsigned)n;
    return err;
}

static enum err take_portal(struct command_line *c, const char *value, const struct why *why)
{
    char reason[128];

    c->has_portal = url_parse(&c->portal, value, reason, sizeof reason) == ERR_OK;
    return c->has_portal ? ERR_OK : fail(why, "--portal-url: %s", reason);
}

static enum err take_text(const char **out, const char *flag, const char *value,
                          const struct why *why)
{
    *out = value;
    return value[0] != '\0' ? ERR_OK : fail(why, "%s: the value is empty", flag);
}

static enum err take_timeout(struct command_line *c, const char *value, const struct why *why)
{
    int64_t n;
    enum err err = take_number(&n, "--timeout", 1, 99999, value, why);

    if (err == ERR_OK)
        c->timeout = (time_ns)n * NS_PER_SEC;
    return err;
}

static enum err take_level(struct command_line *c, const char *value, const struct why *why)
{
    return log_level_parse(&c->log_level, value) == ERR_OK
               ? ERR_OK
               : fail(why, "--log-level: '%s' is none of error, warn, info, debug, trace", value);
}

/* One case per option. */
static enum err take_flag(struct command_line *c, int flag, const char *value,
                          const struct why *why)
{
    switch (flag) {
    case FLAG_PUBLIC4:
        return take_ip(&c->public4, ADDR_V4, value, why);
    case FLAG_PUBLIC6:
        return take_ip(&c->public6, ADDR_V6, value, why);
    case 'l':
        return take_listen(c, value, why);
    case FLAG_LOWEST:
        return take_port(&c->lowest_port, "--lowest-port", value, why);
    case FLAG_HIGHEST:
        return take_port(&c->highest_port, "--highest-port", value, why);
    case FLAG_PORTAL:
        return take_portal(c, value, why);
    case FLAG_TOKEN:
        return take_text(&c->token, "--token", value, why);
    case FLAG_NAME:
        return take_text(&c->name, "--name", value, why);
    case FLAG_CA_FILE:
        return take_text(&c->ca_file, "--ca-file", value, why);
    case FLAG_SECRET:
        return take_text(&c->stamp_secret, "--stamp-secret", value, why);
    case FLAG_SECRET_FILE:
        return take_text(&c->secret_file, "--secret-file", value, why);
    case FLAG_CONTROL:
        return take_text(&c->control_path, "--control", value, why);
    case FLAG_LOG_LEVEL:
        return take_level(c, value, why);
    case FLAG_EXPIRY:
        return take_number(&c->expiry, "--expiry", 0, INT64_C(99999999999), value, why);
    case FLAG_SIZE:
        return take_unsigned(&c->size, "--size", CEILING_SIZE_MAX, value, why);
    case FLAG_DATAGRAMS:
        return take_unsigned(&c->datagrams, "--datagrams", 100000000, value, why);
    case FLAG_TIMEOUT:
        return take_timeout(c, value, why);
    case FLAG_USER:
        c->user = value;
        return ERR_OK;
    case FLAG_SALT:
        c->salt = value;
        return ERR_OK;
    case FLAG_NO_GSO:
        c->gso = false;
        return ERR_OK;
    case FLAG_RAW:
        c->raw = true;
        return ERR_OK;
    case FLAG_VERSION:
        c->action = COMMAND_VERSION;
        return ERR_OK;
    case 'h':
        c->action = COMMAND_HELP;
        return ERR_OK;
    default:
        ASSERT(!"a flag of the table is not handled");
    }
}

static bool is_information(const struct command_line *c)
{
    return c->action == COMMAND_HELP || c->action == COMMAND_VERSION;
}

/* Ends early at --help and --version. */
static enum err take_flags(struct command_line *c, const char *letters, const struct option *flags,
                           int argc, char **argv, const struct why *why)
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
        if (err != ERR_OK || is_information(c))
            return err;
    }
}

/* ---- the commands ---- */

/* The words behind "ctl"; values may begin with a dash. */
static enum err parse_ctl(struct command_line *c, int argc, char **argv, const struct why *why)
{
    c->action = COMMAND_CTL;
    c->help = ctl_help;
    enum err err = take_flags(c, "+:h", ctl_flags, argc, argv, why);
    if (err != ERR_OK || is_information(c))
        return err;
    if (optind >= argc)
        return fail(why, "ctl: a command is missing");
    c->words = argv + optind;
    c->words_n = argc - optind;
    if (c->words_n == 1 && strcmp(c->words[0], "help") == 0)
        c->action = COMMAND_CTL_HELP;
    return ERR_OK;
}

static enum err no_more(int argc, char **argv, const struct why *why)
{
    return optind < argc ? fail(why, "unexpected argument '%s'", argv[optind]) : ERR_OK;
}

static enum err parse_ceiling(struct command_line *c, int argc, char **argv, const struct why *why)
{
    c->action = COMMAND_CEILING;
    c->help = ceiling_help;
    enum err err = take_flags(c, ":h", ceiling_flags, argc, argv, why);
    return err != ERR_OK || is_information(c) ? err : no_more(argc, argv, why);
}

static enum err check_secret(const struct command_line *c, const struct why *why)
{
    if (c->stamp_secret && c->secret_file)
        return fail(why, "--stamp-secret and --secret-file exclude each other");
    return ERR_OK;
}

static enum err parse_credentials(struct command_line *c, int argc, char **argv,
                                  const struct why *why)
{
    c->action = COMMAND_CREDENTIALS;
    c->help = credentials_help;
    enum err err = take_flags(c, ":h", credentials_flags, argc, argv, why);
    if (err == ERR_OK && !is_information(c))
        err = no_more(argc, argv, why);
    if (err != ERR_OK || is_information(c))
        return err;
    if (!c->stamp_secret && !c->secret_file)
        return fail(why, "credentials: --stamp-secret or --secret-file is missing");
    if (c->user && c->salt)
        return fail(why, "--user and --salt exclude each other");
    if (c->salt && strchr(c->salt, ':'))
        return fail(why, "--salt: a ':' cannot be in it");
    return check_secret(c, why);
}

/* Families without a public address are not served. */
static void settle_listen(struct command_line *c)
{
    if (c->public4.family == ADDR_NONE)
        c->listen4 = (struct sock_addr){.port = 0};
    else if (!c->listen4_told)
        c->listen4 = (struct sock_addr){.ip.family = ADDR_V4, .port = LISTEN_PORT};
    if (c->public6.family == ADDR_NONE)
        c->listen6 = (struct sock_addr){.port = 0};
    else if (!c->listen6_told)
        c->listen6 = (struct sock_addr){.ip.family = ADDR_V6, .port = LISTEN_PORT};
}

static enum err check_serve(struct command_line *c, const struct why *why)
{
    if (c->public4.family == ADDR_NONE && c->public6.family == ADDR_NONE)
        return fail(why, "--public-ip4 or --public-ip6 is missing");
    if (c->listen4_told && c->public4.family == ADDR_NONE)
        return fail(why, "--listen: an IPv4 address without --public-ip4");
    if (c->listen6_told && c->public6.family == ADDR_NONE)
        return fail(why, "--listen: an IPv6 address without --public-ip6");
    if (c->lowest_port > c->highest_port)
        return fail(why, "--lowest-port is above --highest-port");
    if (c->token && !c->has_portal)
        return fail(why, "--token without --portal-url");
    settle_listen(c);
    return check_secret(c, why);
}

enum err command_line_parse(struct command_line *out, int argc, char **argv, char *why_buf,
                            unsigned why_size)
{
    struct why why = {why_buf, why_size};
    const char *word = argc > 1 ? argv[1] : "";

    *out = (struct command_line){.action = COMMAND_SERVE,
                                 .help = serve_help,
                                 .lowest_port = LOWEST_PORT,
                                 .highest_port = HIGHEST_PORT,
                                 .gso = true,
                                 .log_level = LOG_INFO,
                                 .expiry = INT64_C(2145916800),
                                 .size = 1316,
                                 .datagrams = 200000,
                                 .timeout = 10 * NS_PER_SEC};
    if (strcmp(word, "ctl") == 0)
        return parse_ctl(out, argc - 1, argv + 1, &why);
    if (strcmp(word, "ceiling") == 0)
        return parse_ceiling(out, argc - 1, argv + 1, &why);
    if (strcmp(word, "credentials") == 0)
        return parse_credentials(out, argc - 1, argv + 1, &why);
    enum err err = take_flags(out, ":l:h", serve_flags, argc, argv, &why);
    if (err == ERR_OK && !is_information(out))
        err = no_more(argc, argv, &why);
    if (err != ERR_OK || is_information(out))
        return err;
    return check_serve(out, &why);
}

const char *command_line_help(void)
{
    return serve_help;
}
