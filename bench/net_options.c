/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_options.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/net_options_private.h"
#include "platform/base/bytes.h"
#include "tools/fzlink/value.h"

enum {
    FLAG_IMPL = 256,
    FLAG_AGAINST,
    FLAG_AGAINST_CLIENT,
    FLAG_VARIANT,
    FLAG_CLIENT,
    FLAG_RIVAL,
    FLAG_WORKERS,
    FLAG_MTU,
    FLAG_OFFLOADS,
    FLAG_RTT,
    FLAG_LOSS,
    FLAG_PATH,
    FLAG_FIREZONE,
    FLAG_RESOURCE,
    FLAG_ONLY,
    FLAG_ROUNDS,
    FLAG_SECONDS,
    FLAG_RATE,
    FLAG_DNS_RATE,
    FLAG_JSON
};

#define RATE_TCP  2.0
#define RATE_PATH 0.5

enum {
    RTT_MAX_MS = 500, /* part rtt waits for a second */
    LOSS_MAX = 200000 /* with more there is no telling what a tunnel or TCP is worth */
};

static const struct option flags[] = {
    {"impl", required_argument, NULL, FLAG_IMPL},
    {"against", required_argument, NULL, FLAG_AGAINST},
    {"against-client", required_argument, NULL, FLAG_AGAINST_CLIENT},
    {"variant", required_argument, NULL, FLAG_VARIANT},
    {"client", required_argument, NULL, FLAG_CLIENT},
    {"rival", required_argument, NULL, FLAG_RIVAL},
    {"workers", required_argument, NULL, FLAG_WORKERS},
    {"mtu", required_argument, NULL, FLAG_MTU},
    {"offloads", required_argument, NULL, FLAG_OFFLOADS},
    {"rtt", required_argument, NULL, FLAG_RTT},
    {"loss", required_argument, NULL, FLAG_LOSS},
    {"path", required_argument, NULL, FLAG_PATH},
    {"firezone", no_argument, NULL, FLAG_FIREZONE},
    {"resource", required_argument, NULL, FLAG_RESOURCE},
    {"only", required_argument, NULL, FLAG_ONLY},
    {"rounds", required_argument, NULL, FLAG_ROUNDS},
    {"seconds", required_argument, NULL, FLAG_SECONDS},
    {"rate", required_argument, NULL, FLAG_RATE},
    {"dns-rate", required_argument, NULL, FLAG_DNS_RATE},
    {"json", required_argument, NULL, FLAG_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

const char *net_part_name(enum net_part part)
{
    static const char *const names[] = {
#define X(name, text) text,
        NET_PART_LIST(X)
#undef X
    };
    ASSERT(part < NET_PARTS);
    return names[part];
}

/* ---- values ---- */

/* The whole text is a number between `min` and `max`. */
static bool number(double *out, const char *text, double min, double max)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(v) || v < min || v > max)
        return false;
    *out = v;
    return true;
}

static bool whole(unsigned *out, const char *text, unsigned min, unsigned max)
{
    double v;

    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) ||
        !number(&v, text, min, max))
        return false;
    *out = (unsigned)v;
    return true;
}

static enum err parse_mtus(struct net_options *o, const char *list, struct why why)
{
    char word[NET_NAME_MAX];

    o->mtus_n = 0;
    for (const char *rest = list; net_options_word(&rest, word);) {
        unsigned mtu;
        if (!whole(&mtu, word, NET_MTU_MIN, NET_MTU_MAX))
            return why_fail(why, ERR_PARSE, "--mtu: '%s' is not a number from %d to %d", word,
                            NET_MTU_MIN, NET_MTU_MAX);
        for (size_t i = 0; i < o->mtus_n; i++) {
            if (o->mtus[i] == mtu)
                return why_fail(why, ERR_PARSE, "--mtu: %u is there twice", mtu);
        }
        if (o->mtus_n == NET_MTUS_MAX)
            return why_fail(why, ERR_PARSE, "--mtu: more than %d", NET_MTUS_MAX);
        o->mtus[o->mtus_n++] = mtu;
    }
    return ERR_OK;
}

static enum err parse_offloads(struct net_options *o, const char *list, struct why why)
{
    char word[NET_NAME_MAX];

    o->offloads_n = 0;
    for (const char *rest = list; net_options_word(&rest, word);) {
        bool on = strcmp(word, "on") == 0;
        if (!on && strcmp(word, "off") != 0)
            return why_fail(why, ERR_PARSE, "--offloads: '%s' is neither on nor off", word);
        if (o->offloads_n == 2 || (o->offloads_n == 1 && o->offloads[0] == on))
            return why_fail(why, ERR_PARSE, "--offloads: '%s' is there twice", word);
        o->offloads[o->offloads_n++] = on;
    }
    return ERR_OK;
}

static enum err parse_rtts(struct net_options *o, const char *list, struct why why)
{
    char word[NET_NAME_MAX];

    o->rtts_n = 0;
    for (const char *rest = list; net_options_word(&rest, word);) {
        time_ns rtt;
        if (!value_duration_parse(&rtt, word) || rtt > RTT_MAX_MS * NS_PER_MS)
            return why_fail(why, ERR_PARSE, "--rtt: '%s' is not a time up to 500ms, such as 10ms",
                            word);
        for (size_t i = 0; i < o->rtts_n; i++) {
            if (o->rtts[i] == rtt)
                return why_fail(why, ERR_PARSE, "--rtt: %s is there twice", word);
        }
        if (o->rtts_n == NET_LINKS_MAX)
            return why_fail(why, ERR_PARSE, "--rtt: more than %d", NET_LINKS_MAX);
        o->rtts[o->rtts_n++] = rtt;
    }
    return ERR_OK;
}

static enum err parse_losses(struct net_options *o, const char *list, struct why why)
{
    char word[NET_NAME_MAX];

    o->losses_n = 0;
    for (const char *rest = list; net_options_word(&rest, word);) {
        uint32_t loss;
        if (!value_share_parse(&loss, word) || loss > LOSS_MAX)
            return why_fail(why, ERR_PARSE, "--loss: '%s' is not a share up to 20%%, such as 1%%",
                            word);
        for (size_t i = 0; i < o->losses_n; i++) {
            if (o->losses[i] == loss)
                return why_fail(why, ERR_PARSE, "--loss: %s is there twice", word);
        }
        if (o->losses_n == NET_LINKS_MAX)
            return why_fail(why, ERR_PARSE, "--loss: more than %d", NET_LINKS_MAX);
        o->losses[o->losses_n++] = loss;
    }
    return ERR_OK;
}

#define PART_NAMES "tcp1,tcp4,udp,rtt,cpu,paced,calls,dns"

static enum err parse_parts(struct net_options *o, const char *list, struct why why)
{
    char word[NET_NAME_MAX];

    o->parts_chosen = true;
    memset(o->parts, 0, sizeof o->parts);
    for (const char *rest = list; net_options_word(&rest, word);) {
        unsigned part = 0;
        while (part < NET_PARTS && strcmp(word, net_part_name((enum net_part)part)) != 0)
            part++;
        if (part == NET_PARTS)
            return why_fail(why, ERR_PARSE, "--only: '%s' is none of %s", word, PART_NAMES);
        o->parts[part] = true;
    }
    return ERR_OK;
}

/* ---- flags ---- */

static enum err parse_impl(struct net_chosen *c, int flag, const char *value, struct why why)
{
    bool is_go = strcmp(value, "wireguard-go") == 0;

    if (flag == FLAG_VARIANT) {
        if (c->variants_n == NET_IMPLS_MAX)
            return why_fail(why, ERR_PARSE, "more than %d implementations", NET_IMPLS_MAX);
        c->variants[c->variants_n++] = value;
    } else if (flag == FLAG_AGAINST) {
        if (!is_go)
            return why_fail(why, ERR_PARSE,
                            "--against: '%s' is not wireguard-go (see also --variant and "
                            "--against-client)",
                            value);
        c->against_go = true;
    } else {
        if (!is_go && strcmp(value, "ours") != 0)
            return why_fail(why, ERR_PARSE, "--impl: '%s' is neither ours nor wireguard-go", value);
        c->impl = value;
    }
    return ERR_OK;
}

static enum err parse_number(struct net_options *o, int flag, const char *value, struct why why)
{
    switch (flag) {
    case FLAG_WORKERS:
        if (!whole(&o->workers, value, 1, 64))
            return why_fail(why, ERR_PARSE, "--workers: '%s' is not a number from 1 to 64", value);
        return ERR_OK;
    case FLAG_ROUNDS:
        if (!whole(&o->rounds, value, 1, NET_ROUNDS_MAX))
            return why_fail(why, ERR_PARSE, "--rounds: '%s' is not a number from 1 to %d", value,
                            NET_ROUNDS_MAX);
        return ERR_OK;
    case FLAG_SECONDS:
        if (!number(&o->seconds, value, 0.2, 3600))
            return why_fail(why, ERR_PARSE, "--seconds: '%s' is not a number from 0.2 to 3600",
                            value);
        return ERR_OK;
    case FLAG_DNS_RATE:
        if (!number(&o->dns_rate, value, NET_DNS_RATE_MIN, NET_DNS_RATE_MAX))
            return why_fail(why, ERR_PARSE, "--dns-rate: '%s' is not a number from %d to %d", value,
                            NET_DNS_RATE_MIN, NET_DNS_RATE_MAX);
        return ERR_OK;
    default:
        ASSERT(flag == FLAG_RATE);
        if (!number(&o->rate_gbit, value, 0.01, 1000))
            return why_fail(why, ERR_PARSE, "--rate: '%s' is not a number from 0.01 to 1000",
                            value);
        return ERR_OK;
    }
}

/* An empty path is a variable of a script that is not set. */
static enum err parse_path(const char **out, const char *flag, const char *value, struct why why)
{
    if (value[0] == '\0')
        return why_fail(why, ERR_PARSE, "%s: the name of the file is empty", flag);
    *out = value;
    return ERR_OK;
}

/* What a tunnel of Firezone has no use for. */
static bool for_plain_tunnels(int flag)
{
    static const int list[] = {FLAG_IMPL,    FLAG_AGAINST, FLAG_AGAINST_CLIENT,
                               FLAG_VARIANT, FLAG_RIVAL,   FLAG_MTU,
                               FLAG_RTT,     FLAG_LOSS};

    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        if (list[i] == flag)
            return true;
    }
    return false;
}

static enum err parse_flag(struct net_options *o, struct net_chosen *c, int flag, struct why why)
{
    switch (flag) {
    case FLAG_PATH:
        c->path = optarg;
        o->paths = true;
        return ERR_OK;
    case FLAG_FIREZONE:
        c->firezone = o->paths = o->behind = true;
        return ERR_OK;
    case FLAG_RESOURCE:
        c->resource = optarg;
        return ERR_OK;
    case FLAG_CLIENT:
        return parse_path(&c->client, "--client", optarg, why);
    case FLAG_RIVAL:
        return parse_path(&c->rival, "--rival", optarg, why);
    case FLAG_AGAINST_CLIENT:
        return parse_path(&c->older, "--against-client", optarg, why);
    case FLAG_JSON:
        return parse_path(&o->json, "--json", optarg, why);
    case FLAG_MTU:
        return parse_mtus(o, optarg, why);
    case FLAG_OFFLOADS:
        return parse_offloads(o, optarg, why);
    case FLAG_RTT:
        return parse_rtts(o, optarg, why);
    case FLAG_LOSS:
        return parse_losses(o, optarg, why);
    case FLAG_ONLY:
        return parse_parts(o, optarg, why);
    case FLAG_IMPL:
    case FLAG_AGAINST:
    case FLAG_VARIANT:
        return parse_impl(c, flag, optarg, why);
    case 'h':
        o->help = true;
        return ERR_OK;
    default:
        return parse_number(o, flag, optarg, why);
    }
}

static enum err fail_getopt(int code, char *const *argv, struct why why)
{
    const char *arg = argv[optind - 1];

    if (code == ':')
        return why_fail(why, ERR_PARSE, "option '%s' needs a value", arg);
    if (optopt == 'h' || optopt == FLAG_FIREZONE)
        return why_fail(why, ERR_PARSE, "option '--%s' takes no value",
                        optopt == 'h' ? "help" : "firezone");
    return why_fail(why, ERR_PARSE, "unknown option '%s'", arg);
}

/* What depends on whether there are paths. */
static void set_defaults(struct net_options *o)
{
    static const bool plain[NET_PARTS] = {[NET_TCP1] = true, [NET_TCP4] = true, [NET_UDP] = true,
                                          [NET_RTT] = true,  [NET_CPU] = true,  [NET_CALLS] = true};
    static const bool paths[NET_PARTS] = {
        [NET_TCP1] = true, [NET_PACED] = true, [NET_CALLS] = true};
    static const bool behind[NET_PARTS] = {[NET_TCP1] = true, [NET_TCP4] = true};

    if (o->rate_gbit <= 0)
        o->rate_gbit = o->paths ? RATE_PATH : RATE_TCP;
    if (!o->parts_chosen)
        memcpy(o->parts, o->behind ? behind : o->paths ? paths : plain, sizeof o->parts);
}

enum err net_options_parse(struct net_options *out, int argc, char **argv, struct why why)
{
    struct net_chosen c = {.impl = "ours"};
    enum err err = ERR_OK;

    *out = (struct net_options){.mtus = {1420},
                                .mtus_n = 1,
                                .offloads = {true},
                                .offloads_n = 1,
                                .rounds = 5,
                                .seconds = 3,
                                .dns_rate = NET_DNS_RATE_GOAL};
    optind = 0;
    while (err == ERR_OK && !out->help) {
        int index = 0, flag = getopt_long(argc, argv, ":h", flags, &index);
        if (flag == -1)
            break;
        if (for_plain_tunnels(flag))
            c.plain = flags[index].name;
        err = flag == '?' || flag == ':' ? fail_getopt(flag, argv, why)
                                         : parse_flag(out, &c, flag, why);
    }
    if (err != ERR_OK || out->help)
        return err;
    if (optind < argc)
        return why_fail(why, ERR_PARSE, "unexpected argument '%s'", argv[optind]);
    /* What one of the lists leaves open is none of it. */
    out->rtts_n += out->losses_n > 0 && out->rtts_n == 0;
    out->losses_n += out->rtts_n > 0 && out->losses_n == 0;
    if (c.resource != NULL && !c.firezone)
        return why_fail(why, ERR_PARSE, "--resource: only possible together with --firezone");
    if (out->parts[NET_DNS] && !c.firezone)
        return why_fail(why, ERR_PARSE, "--only: dns is only possible together with --firezone");
    set_defaults(out);
    return net_options_impls(out, &c, why);
}
