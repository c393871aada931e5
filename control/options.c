/* SPDX-License-Identifier: Apache-2.0 */
/* Two levels, each one getopt_long run: the program's own flags up to the command, then the command's. */
#include "control/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char program_help[] =
    "Usage: " OPTIONS_PROGRAM " COMMAND [OPTION]...\n"
    "       " OPTIONS_PROGRAM " --help | --version\n"
    "\n"
    "Commands:\n"
    "  wireguard    run a plain WireGuard tunnel from a wg-quick style file\n"
    "\n"
    "'" OPTIONS_PROGRAM " COMMAND --help' lists the options of a command.\n";

static const char wireguard_help[] =
    "Usage: " OPTIONS_PROGRAM " wireguard --config FILE [OPTION]...\n"
    "\n"
    "Runs a WireGuard tunnel in the foreground until SIGTERM or SIGINT.\n"
    "'wg show', 'wg set' and 'wg syncconf' work on it.\n"
    "\n"
    "  -c, --config FILE      configuration in the format of wg-quick (required)\n"
    "      --check            check the configuration and exit\n"
    "      --tun NAME         name of the network interface\n"
    "                         (default: that of FILE without .conf)\n"
    "      --workers N        worker threads, 1 to 64 (default: one per usable CPU)\n"
    "      --io KIND          auto, uring or epoll (default: auto)\n"
    "      --crypto KIND      auto, avx512 or boringssl (default: auto)\n"
    "      --helpers KIND     workers help one that cannot keep up: auto, off or\n"
    "                         always (default: auto)\n"
    "      --source-ip KIND   how encrypted packets stay out of the tunnel:\n"
    "                         mark (firewall mark and rules, default) or\n"
    "                         resolve (explicit source address and interface)\n"
    "      --no-steering      no BPF programs that spread packets over workers\n"
    "      --no-offload       no segmentation offloads\n"
    "      --log-level LEVEL  error, warn, info, debug or trace (default: info)\n"
    "  -h, --help             this text\n"
    "\n"
    "Signals: SIGHUP takes new sockets after a network change, SIGUSR1 logs the\n"
    "counters. Exit code: 0 after SIGTERM or SIGINT, 2 for wrong usage, 1 for\n"
    "any other error.\n";

/* The long-only options, above all characters. */
enum {
    FLAG_CHECK = 256,
    FLAG_TUN,
    FLAG_WORKERS,
    FLAG_IO,
    FLAG_CRYPTO,
    FLAG_HELPERS,
    FLAG_SOURCE_IP,
    FLAG_NO_STEERING,
    FLAG_NO_OFFLOAD,
    FLAG_LOG_LEVEL
};

static const struct option program_flags[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const struct option wireguard_flags[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, FLAG_CHECK},
    {"tun", required_argument, NULL, FLAG_TUN},
    {"workers", required_argument, NULL, FLAG_WORKERS},
    {"io", required_argument, NULL, FLAG_IO},
    {"crypto", required_argument, NULL, FLAG_CRYPTO},
    {"helpers", required_argument, NULL, FLAG_HELPERS},
    {"source-ip", required_argument, NULL, FLAG_SOURCE_IP},
    {"no-steering", no_argument, NULL, FLAG_NO_STEERING},
    {"no-offload", no_argument, NULL, FLAG_NO_OFFLOAD},
    {"log-level", required_argument, NULL, FLAG_LOG_LEVEL},
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

/*
 * getopt reported ':' or '?'. Which of the two stands for an unwanted value differs between systems, hence the look at
 * the argument itself.
 */
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
    /* A letter; it may stand amid others, and then `arg` is not yet the word that has it. */
    return fail(why, "unknown option '-%c'", optopt);
}

/* Names of interfaces that neither the kernel nor a shell trips over. */
static bool tun_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-";
    size_t n = strlen(name);

    return n >= 1 && n < TUN_NAME_MAX && strspn(name, allowed) == n && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* As wg-quick: the file's name without its folder and ".conf". */
static void tun_name_derive(struct options *o)
{
    const char *slash = strrchr(o->config_path, '/');
    const char *base = slash ? slash + 1 : o->config_path;
    size_t n = strlen(base);
    char name[TUN_NAME_MAX];

    if (n <= 5 || strcmp(base + n - 5, ".conf") != 0 || n - 5 >= sizeof name)
        return;
    memcpy(name, base, n - 5);
    name[n - 5] = '\0';
    if (tun_name_valid(name))
        memcpy(o->tun_name, name, sizeof name);
}

static enum err parse_tun(struct options *o, const char *value, const struct why *why)
{
    if (!tun_name_valid(value))
        return fail(why,
                    "--tun: '%s' is not the name of an interface (1 to %d of A-Z a-z 0-9 _=+.-)",
                    value, TUN_NAME_MAX - 1);
    snprintf(o->tun_name, sizeof o->tun_name, "%s", value);
    return ERR_OK;
}

static enum err parse_workers(struct options *o, const char *value, const struct why *why)
{
    size_t n = strlen(value);

    o->workers = n <= 3 && strspn(value, "0123456789") == n ? (unsigned)atoi(value) : 0;
    if (o->workers < 1 || o->workers > OPTIONS_WORKERS_MAX)
        return fail(why, "--workers: '%s' is not a number from 1 to %d", value,
                    OPTIONS_WORKERS_MAX);
    return ERR_OK;
}

static enum err parse_io(struct options *o, const char *value, const struct why *why)
{
    if (strcmp(value, "auto") == 0)
        o->io = IO_AUTO;
    else if (strcmp(value, "uring") == 0)
        o->io = IO_URING;
    else if (strcmp(value, "epoll") == 0)
        o->io = IO_EPOLL;
    else
        return fail(why, "--io: '%s' is none of auto, uring, epoll", value);
    return ERR_OK;
}

static enum err parse_helpers(struct options *o, const char *value, const struct why *why)
{
    static const char *const names[] = {[ENGINE_HELPERS_AUTO] = "auto",
                                        [ENGINE_HELPERS_OFF] = "off",
                                        [ENGINE_HELPERS_ALWAYS] = "always"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            o->helpers = (enum engine_helpers)i;
            return ERR_OK;
        }
    }
    return fail(why, "--helpers: '%s' is none of auto, off, always", value);
}

static enum err parse_source_ip(struct options *o, const char *value, const struct why *why)
{
    o->source_resolve = strcmp(value, "resolve") == 0;
    if (!o->source_resolve && strcmp(value, "mark") != 0)
        return fail(why, "--source-ip: '%s' is none of mark, resolve", value);
    return ERR_OK;
}

static enum err wireguard_flag(struct options *o, int flag, const char *value,
                               const struct why *why)
{
    switch (flag) {
    case 'c':
        o->config_path = value;
        return value[0] != '\0' ? ERR_OK : fail(why, "--config: the name of the file is empty");
    case 'h':
        o->action = OPTIONS_HELP;
        o->help = wireguard_help;
        return ERR_OK;
    case FLAG_CHECK:
        o->action = OPTIONS_CHECK_WIREGUARD;
        return ERR_OK;
    case FLAG_TUN:
        return parse_tun(o, value, why);
    case FLAG_WORKERS:
        return parse_workers(o, value, why);
    case FLAG_IO:
        return parse_io(o, value, why);
    case FLAG_CRYPTO:
        return crypt_backend_parse(&o->crypto, value) == ERR_OK
                   ? ERR_OK
                   : fail(why, "--crypto: '%s' is none of auto, avx512, boringssl", value);
    case FLAG_HELPERS:
        return parse_helpers(o, value, why);
    case FLAG_SOURCE_IP:
        return parse_source_ip(o, value, why);
    case FLAG_NO_STEERING:
        o->steering = false;
        return ERR_OK;
    case FLAG_NO_OFFLOAD:
        o->offloads = false;
        return ERR_OK;
    case FLAG_LOG_LEVEL:
        return log_level_parse(&o->log_level, value) == ERR_OK
                   ? ERR_OK
                   : fail(why, "--log-level: '%s' is none of error, warn, info, debug, trace",
                          value);
    default:
        ASSERT(!"a flag of the table is not handled");
    }
}

static enum err parse_wireguard(struct options *o, int argc, char **argv, const struct why *why)
{
    o->action = OPTIONS_RUN_WIREGUARD;
    optind = 0; /* getopt starts anew */
    for (;;) {
        int flag = getopt_long(argc, argv, ":c:h", wireguard_flags, NULL);
        if (flag == -1)
            break;
        if (flag == '?' || flag == ':')
            return fail_getopt(why, flag, wireguard_flags, argv);
        enum err err = wireguard_flag(o, flag, optarg, why);
        if (err != ERR_OK || o->action == OPTIONS_HELP)
            return err;
    }
    if (optind < argc)
        return fail(why, "unexpected argument '%s'", argv[optind]);
    if (!o->config_path)
        return fail(why, "wireguard: --config FILE is missing");
    if (o->tun_name[0] == '\0')
        tun_name_derive(o);
    return ERR_OK;
}

enum err options_parse(struct options *out, int argc, char **argv, char *why_buf, unsigned why_size)
{
    struct why why = {why_buf, why_size};

    *out = (struct options){
        .help = program_help, .steering = true, .offloads = true, .log_level = LOG_INFO};
    opterr = 0;
    optind = 0;
    int flag = getopt_long(argc, argv, "+:hV", program_flags, NULL);
    if (flag == '?' || flag == ':')
        return fail_getopt(&why, flag, program_flags, argv);
    if (flag == 'h' || flag == 'V') {
        out->action = flag == 'h' ? OPTIONS_HELP : OPTIONS_VERSION;
        return ERR_OK;
    }
    if (optind >= argc)
        return fail(&why, "a command is missing");
    if (strcmp(argv[optind], "wireguard") != 0)
        return fail(&why, "unknown command '%s'", argv[optind]);
    int skip = optind;
    return parse_wireguard(out, argc - skip, argv + skip, &why);
}

const char *options_help(void)
{
    return program_help;
}
