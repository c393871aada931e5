/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    MTU_USUAL = 1500
};

static const char link_help[] =
    "Usage: " CLI_PROGRAM " --a NETNS:DEVICE:ADDR[,ADDR]... --b NETNS:DEVICE:ADDR[,ADDR]...\n"
    "              [OPTION]...\n"
    "       " CLI_PROGRAM " ctl --control PATH COMMAND [NAME=VALUE]...\n"
    "       " CLI_PROGRAM " --ceiling [--seconds S] [--offloads on|off]\n"
    "       " CLI_PROGRAM " --help | --version\n"
    "\n"
    "Emulates a link between two network namespaces: a TUN device in each, and what is said\n"
    "below between them. Runs in the foreground until SIGTERM, SIGINT or SIGHUP; prints\n"
    "'ready' once packets pass. The devices are gone when it is, however it ends. Needs root.\n"
    "\n"
    "  --a, --b                one end: NETNS is a name ('ip netns'), a process id or a path\n"
    "                          with a slash; ADDR is ADDR/LENGTH, at most 8 of them\n"
    "  --delay TIME            of each packet: 10ms (ns, us, ms, s)\n"
    "  --jitter TIME           more or less than the delay, at most so much; packets stay in\n"
    "                          order\n"
    "  --loss SHARE            of packets: 1%\n"
    "  --reorder SHARE         of packets that are not delayed and so overtake the others\n"
    "  --duplicate SHARE       of packets that come twice\n"
    "  --rate RATE             100mbit (bit, kbit, mbit, gbit): of IP packets, headers included\n"
    "  --queue N               what may wait for the line if there is a rate: packets, or bytes\n"
    "                          such as 1MB; what comes then is dropped (default 1000)\n"
    "                          Each of these may be two values, A-TO-B/B-TO-A: 1%/0\n"
    "  --mtu N                 576 to 9216 (default 1500)\n"
    "  --offloads on|off       frames of many packets between the kernel and fzlink, which\n"
    "                          splits them; off: each packet alone (default on)\n"
    "  --seed N                of all that is left to chance (default 1)\n"
    "  --control PATH          a socket for '" CLI_PROGRAM " ctl': change settings, read counters\n"
    "  --ceiling               measure what a link without impairment carries on this machine,\n"
    "                          between two namespaces of its own\n"
    "  --seconds S             of each figure of --ceiling, 1 to 60 (default 2)\n"
    "  -h, --help\n"
    "      --version\n"
    "\n"
    "Exit code: 0 after such a signal, 2 for wrong usage, 1 for any other error.\n";

static const char ctl_help[] =
    "Usage: " CLI_PROGRAM " ctl --control PATH COMMAND [NAME=VALUE]...\n"
    "       " CLI_PROGRAM " ctl help\n"
    "\n"
    "Sends a command to a running " CLI_PROGRAM " and prints its answer (JSON).\n"
    "\n"
    "      --control PATH   its control socket\n"
    "  -h, --help\n"
    "\n"
    "Exit code: 0 if it was done, 1 if not (the reason is on stderr), 2 for wrong usage.\n";

/* The long-only options, above all characters. FLAG_SETTING + n: the n-th setting. */
enum {
    FLAG_A = 256,
    FLAG_B,
    FLAG_MTU,
    FLAG_OFFLOADS,
    FLAG_SEED,
    FLAG_CONTROL,
    FLAG_CEILING,
    FLAG_SECONDS,
    FLAG_VERSION,
    FLAG_SETTING
};

static const struct option link_flags[] = {
    {"a", required_argument, NULL, FLAG_A},
    {"b", required_argument, NULL, FLAG_B},
    {"delay", required_argument, NULL, FLAG_SETTING + SETTING_DELAY},
    {"jitter", required_argument, NULL, FLAG_SETTING + SETTING_JITTER},
    {"loss", required_argument, NULL, FLAG_SETTING + SETTING_LOSS},
    {"reorder", required_argument, NULL, FLAG_SETTING + SETTING_REORDER},
    {"duplicate", required_argument, NULL, FLAG_SETTING + SETTING_DUPLICATE},
    {"rate", required_argument, NULL, FLAG_SETTING + SETTING_RATE},
    {"queue", required_argument, NULL, FLAG_SETTING + SETTING_QUEUE},
    {"mtu", required_argument, NULL, FLAG_MTU},
    {"offloads", required_argument, NULL, FLAG_OFFLOADS},
    {"seed", required_argument, NULL, FLAG_SEED},
    {"control", required_argument, NULL, FLAG_CONTROL},
    {"ceiling", no_argument, NULL, FLAG_CEILING},
    {"seconds", required_argument, NULL, FLAG_SECONDS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, FLAG_VERSION},
    {NULL, 0, NULL, 0},
};

static const struct option ctl_flags[] = {
    {"control", required_argument, NULL, FLAG_CONTROL},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* getopt reported ':' or '?'. */
static enum err fail_getopt(int code, const struct option *flags, char *const *argv, struct why why)
{
    const char *arg = argv[optind - 1];

    if (optopt == 0)
        return why_fail(why, ERR_PARSE, "unknown option '%.200s'", arg);
    for (; flags->name; flags++) {
        if (flags->val == optopt && strchr(arg, '='))
            return why_fail(why, ERR_PARSE, "option '--%s' takes no value", flags->name);
    }
    if (code == ':')
        return why_fail(why, ERR_PARSE, "option '%.200s' needs a value", arg);
    return why_fail(why, ERR_PARSE, "unknown option '-%c'", optopt);
}

/* Digits only. */
static bool number(uint64_t *out, const char *text, uint64_t min, uint64_t max)
{
    size_t n = strlen(text);

    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return false;
    *out = strtoull(text, NULL, 10);
    return *out >= min && *out <= max;
}

static enum err take_end(struct cli *c, unsigned i, const char *value, struct why why)
{
    if (c->ends & (1u << i))
        return why_fail(why, ERR_PARSE, "--%c is there twice", i == 0 ? 'a' : 'b');
    c->ends |= 1u << i;
    return end_parse(&c->link.ends[i], value, why);
}

static enum err take_number(struct cli *c, int flag, const char *value, struct why why)
{
    uint64_t v;

    if (flag == FLAG_MTU) {
        if (!number(&v, value, END_MTU_MIN, END_MTU_MAX))
            return why_fail(why, ERR_PARSE, "--mtu: '%.80s' is not a number from %d to %d", value,
                            END_MTU_MIN, END_MTU_MAX);
        c->link.mtu = (unsigned)v;
    } else if (flag == FLAG_SECONDS) {
        if (!number(&v, value, 1, 60))
            return why_fail(why, ERR_PARSE, "--seconds: '%.80s' is not a number from 1 to 60",
                            value);
        c->seconds = (double)v;
    } else if (!number(&c->link.seed, value, 0, UINT64_MAX)) {
        return why_fail(why, ERR_PARSE, "--seed: '%.80s' is not a number of at most 18 digits",
                        value);
    }
    return ERR_OK;
}

static enum err take_offloads(struct cli *c, const char *value, struct why why)
{
    c->link.offloads = strcmp(value, "on") == 0;
    if (c->link.offloads || strcmp(value, "off") == 0)
        return ERR_OK;
    return why_fail(why, ERR_PARSE, "--offloads: '%.80s' is neither on nor off", value);
}

static enum err take_flag(struct cli *c, int flag, const char *value, struct why why)
{
    switch (flag) {
    case FLAG_A:
    case FLAG_B:
        return take_end(c, flag == FLAG_A ? 0 : 1, value, why);
    case FLAG_MTU:
    case FLAG_SECONDS:
    case FLAG_SEED:
        return take_number(c, flag, value, why);
    case FLAG_OFFLOADS:
        return take_offloads(c, value, why);
    case FLAG_CONTROL:
        c->control_path = value;
        return value[0] != '\0'
                   ? ERR_OK
                   : why_fail(why, ERR_PARSE, "--control: the name of the socket is empty");
    case FLAG_CEILING:
        c->action = CLI_CEILING;
        return ERR_OK;
    case FLAG_VERSION:
        c->action = CLI_VERSION;
        return ERR_OK;
    case 'h':
        c->action = CLI_HELP;
        return ERR_OK;
    default:
        return settings_parse(&c->link.settings, (enum setting)(flag - FLAG_SETTING), value, why);
    }
}

/* Ends early at --help and --version. */
static enum err take_flags(struct cli *c, const char *letters, const struct option *flags, int argc,
                           char **argv, struct why why)
{
    opterr = 0;
    optind = 0; /* getopt starts anew */
    for (;;) {
        int flag = getopt_long(argc, argv, letters, flags, NULL);
        if (flag == -1)
            return ERR_OK;
        if (flag == '?' || flag == ':')
            return fail_getopt(flag, flags, argv, why);
        enum err err = take_flag(c, flag, optarg, why);
        if (err != ERR_OK || c->action == CLI_HELP || c->action == CLI_VERSION)
            return err;
    }
}

static enum err parse_ctl(struct cli *c, int argc, char **argv, struct why why)
{
    c->action = CLI_CTL;
    c->help = ctl_help;
    enum err err = take_flags(c, "+:h", ctl_flags, argc, argv, why);
    if (err != ERR_OK || c->action == CLI_HELP)
        return err;
    if (optind >= argc)
        return why_fail(why, ERR_PARSE, "ctl: a command is missing");
    c->words = argv + optind;
    c->words_n = argc - optind;
    if (c->words_n == 1 && strcmp(c->words[0], "help") == 0)
        c->action = CLI_CTL_HELP;
    else if (!c->control_path)
        return why_fail(why, ERR_PARSE, "ctl: --control PATH is missing");
    return ERR_OK;
}

/* What is measured is a link of its own that does nothing to packets. */
static enum err check_ceiling(const struct cli *c, struct why why)
{
    struct settings none;

    settings_init(&none);
    if (c->ends != 0)
        return why_fail(why, ERR_PARSE, "--ceiling has ends of its own");
    if (memcmp(&none, &c->link.settings, sizeof none) != 0 || c->link.mtu != MTU_USUAL ||
        c->control_path)
        return why_fail(why, ERR_PARSE,
                        "--ceiling is of a link without impairment: only --seconds and --offloads "
                        "go with it");
    return ERR_OK;
}

enum err cli_parse(struct cli *out, int argc, char **argv, struct why why)
{
    *out = (struct cli){.action = CLI_LINK,
                        .help = link_help,
                        .seconds = 2,
                        .link = {.mtu = MTU_USUAL, .offloads = true, .seed = 1}};
    settings_init(&out->link.settings);
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return parse_ctl(out, argc - 1, argv + 1, why);
    enum err err = take_flags(out, ":h", link_flags, argc, argv, why);
    if (err != ERR_OK || out->action == CLI_HELP || out->action == CLI_VERSION)
        return err;
    if (optind < argc)
        return why_fail(why, ERR_PARSE, "unexpected argument '%.200s'", argv[optind]);
    if (out->action == CLI_CEILING)
        return check_ceiling(out, why);
    if (out->ends != 3)
        return why_fail(why, ERR_PARSE, "--%c is missing", out->ends & 1 ? 'b' : 'a');
    return settings_check(&out->link.settings, why);
}

const char *cli_help(void)
{
    return link_help;
}
