/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of fzbench net: defaults, every flag, and what is said about wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/net_options.h"
#include "platform/base/bytes.h"

enum {
    ARGS_MAX = 24
};

/* Splits `line` at spaces; "~" stands for an empty argument, and for a space inside of one. */
static enum err parse(struct net_options *o, const char *line, char *why, unsigned why_size)
{
    static char storage[512], command[] = "net";
    char *argv[ARGS_MAX + 1], *rest = storage;
    int argc = 0;

    assert_true(strlen(line) < sizeof storage);
    strcpy(storage, line);
    argv[argc++] = command;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        if (strcmp(word, "~") == 0)
            *word = '\0';
        for (char *space; (space = strchr(word, '~')) != NULL;)
            *space = ' ';
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    memset(why, 0, why_size);
    return net_options_parse(o, argc, argv, (struct why){why, why_size});
}

static void parse_ok(struct net_options *o, const char *line)
{
    char why[256];

    if (parse(o, line, why, sizeof why) != ERR_OK)
        fail_msg("'%s' was refused: %s", line, why);
}

static void test_defaults(void **state)
{
    struct net_options o;

    (void)state;
    parse_ok(&o, "");
    assert_false(o.help);
    assert_int_equal(o.impls_n, 1);
    assert_string_equal(o.impls[0].name, "ours");
    assert_int_equal(o.impls[0].kind, NET_OURS);
    assert_null(o.impls[0].path);
    assert_null(o.impls[0].flags);
    assert_int_equal(o.mtus_n, 1);
    assert_int_equal(o.mtus[0], 1420);
    assert_int_equal(o.offloads_n, 1);
    assert_true(o.offloads[0]);
    assert_false(o.paths);
    for (unsigned part = 0; part < NET_PARTS; part++)
        assert_int_equal(o.parts[part], part != NET_PACED && part != NET_DNS);
    assert_false(o.parts_chosen);
    assert_int_equal(o.rounds, 5);
    assert_true(o.seconds == 3 && o.rate_gbit == 2 && o.dns_rate == 10000);
    assert_int_equal(o.workers, 0);
    assert_null(o.json);
    assert_true(o.rtts_n == 0 && o.losses_n == 0);
}

static void test_values(void **state)
{
    struct net_options o;

    (void)state;
    parse_ok(&o,
             "--mtu 1280,1440,1420 --offloads=off,on --only tcp4,calls --rounds 7 --seconds 0.5 "
             "--rate 0.25 --workers 3 --json out.json");
    assert_int_equal(o.mtus_n, 3);
    assert_int_equal(o.mtus[0], 1280);
    assert_int_equal(o.mtus[1], 1440);
    assert_int_equal(o.mtus[2], 1420);
    assert_int_equal(o.offloads_n, 2);
    assert_false(o.offloads[0]);
    assert_true(o.offloads[1]);
    for (unsigned part = 0; part < NET_PARTS; part++)
        assert_int_equal(o.parts[part], part == NET_TCP4 || part == NET_CALLS);
    assert_true(o.parts_chosen);
    assert_int_equal(o.rounds, 7);
    assert_true(o.seconds == 0.5 && o.rate_gbit == 0.25);
    assert_int_equal(o.workers, 3);
    assert_string_equal(o.json, "out.json");
    parse_ok(&o, "--rtt 10ms,0.5ms --loss 0,1%");
    assert_int_equal(o.rtts_n, 2);
    assert_true(o.rtts[0] == 10 * NS_PER_MS && o.rtts[1] == 500 * NS_PER_US);
    assert_int_equal(o.losses_n, 2);
    assert_true(o.losses[0] == 0 && o.losses[1] == 10000);
    parse_ok(&o, "--rtt 50ms");
    assert_true(o.losses_n == 1 && o.losses[0] == 0);
    parse_ok(&o, "--loss 1%");
    assert_true(o.rtts_n == 1 && o.rtts[0] == 0);
    parse_ok(&o, "--help --nonsense-after-it");
    assert_true(o.help);
}

/* In which order the flags come does not matter; ours is first, then wireguard-go, the baseline, and variants. */
static void test_implementations(void **state)
{
    struct net_options o;

    (void)state;
    parse_ok(&o, "--variant epoll=--io=epoll --variant plain=--no-offload~--workers~1 "
                 "--against-client /old/client --against wireguard-go --rival /go --client /new");
    assert_int_equal(o.impls_n, 5);
    assert_string_equal(o.impls[0].name, "ours");
    assert_string_equal(o.impls[0].path, "/new");
    assert_string_equal(o.impls[1].name, "wireguard-go");
    assert_int_equal(o.impls[1].kind, NET_WIREGUARD_GO);
    assert_string_equal(o.impls[1].path, "/go");
    assert_string_equal(o.impls[2].name, "baseline");
    assert_int_equal(o.impls[2].kind, NET_OURS);
    assert_string_equal(o.impls[2].path, "/old/client");
    assert_string_equal(o.impls[3].name, "epoll");
    assert_string_equal(o.impls[3].path, "/new");
    assert_string_equal(o.impls[3].flags, "--io=epoll");
    assert_string_equal(o.impls[4].name, "plain");
    assert_string_equal(o.impls[4].flags, "--no-offload --workers 1");

    parse_ok(&o, "--impl wireguard-go");
    assert_int_equal(o.impls_n, 1);
    assert_string_equal(o.impls[0].name, "wireguard-go");
    assert_int_equal(o.impls[0].kind, NET_WIREGUARD_GO);
}

/* In whichever order they are asked for, the relayed one is compared with the direct one. */
static void test_paths(void **state)
{
    static const char *const both[] = {"--path direct,relayed", "--path=relayed,direct"};
    struct net_options o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        parse_ok(&o, both[i]);
        assert_true(o.paths);
        assert_int_equal(o.impls_n, 2);
        assert_string_equal(o.impls[0].name, "relayed");
        assert_true(o.impls[0].relayed);
        assert_string_equal(o.impls[1].name, "direct");
        assert_false(o.impls[1].relayed);
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(o.impls[k].kind, NET_FIREZONE);
            assert_null(o.impls[k].path);
        }
        assert_true(o.mtus_n == 1 && o.mtus[0] == 1280);
        assert_true(o.rate_gbit == 0.5 && o.seconds == 3);
        for (unsigned part = 0; part < NET_PARTS; part++)
            assert_int_equal(o.parts[part],
                             part == NET_TCP1 || part == NET_PACED || part == NET_CALLS);
        assert_false(o.parts_chosen);
    }
    parse_ok(&o, "--rate 0.25 --only cpu,paced --path relayed --client /new --workers 2 "
                 "--offloads on,off");
    assert_int_equal(o.impls_n, 1);
    assert_string_equal(o.impls[0].name, "relayed");
    assert_string_equal(o.impls[0].path, "/new");
    assert_true(o.rate_gbit == 0.25);
    assert_int_equal(o.workers, 2);
    assert_int_equal(o.offloads_n, 2);
    for (unsigned part = 0; part < NET_PARTS; part++)
        assert_int_equal(o.parts[part], part == NET_CPU || part == NET_PACED);
    parse_ok(&o, "--path direct");
    assert_int_equal(o.impls_n, 1);
    assert_string_equal(o.impls[0].name, "direct");
}

/* Firezone is compared with a plain tunnel, which is of the same client. */
static void test_firezone(void **state)
{
    struct net_options o;

    (void)state;
    parse_ok(&o, "--firezone --client /new --rounds 7");
    assert_true(o.paths && o.behind);
    assert_int_equal(o.impls_n, 2);
    assert_string_equal(o.impls[0].name, "firezone");
    assert_int_equal(o.impls[0].kind, NET_FIREZONE);
    assert_string_equal(o.impls[1].name, "wireguard");
    assert_int_equal(o.impls[1].kind, NET_OURS);
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(o.impls[i].path, "/new");
        assert_false(o.impls[i].relayed || o.impls[i].by_name);
    }
    assert_true(o.mtus_n == 1 && o.mtus[0] == 1280);
    assert_int_equal(o.rounds, 7);
    for (unsigned part = 0; part < NET_PARTS; part++)
        assert_int_equal(o.parts[part], part == NET_TCP1 || part == NET_TCP4);
    parse_ok(&o, "--only paced --firezone");
    for (unsigned part = 0; part < NET_PARTS; part++)
        assert_int_equal(o.parts[part], part == NET_PACED);
    assert_true(o.rate_gbit == 0.5);
    parse_ok(&o, "--resource name --firezone");
    assert_string_equal(o.impls[0].name, "firezone-name");
    assert_true(o.impls[0].by_name && !o.impls[1].by_name);
    parse_ok(&o, "--firezone --resource address");
    assert_string_equal(o.impls[0].name, "firezone");
    assert_false(o.impls[0].by_name);
    parse_ok(&o, "--path direct");
    assert_false(o.behind);
}

/* A plain tunnel has no names; beside another part it is there for that. */
static void test_dns(void **state)
{
    struct net_options o;

    (void)state;
    parse_ok(&o, "--only dns --firezone --dns-rate 1000");
    assert_true(o.parts[NET_DNS] && o.dns_rate == 1000);
    assert_int_equal(o.impls_n, 1);
    assert_string_equal(o.impls[0].name, "firezone");
    parse_ok(&o, "--firezone --only tcp1,dns");
    assert_int_equal(o.impls_n, 2);
}

static void test_refused(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"--nonsense", "unknown option '--nonsense'"},
        {"-x", "unknown option '-x'"},
        {"--mtu", "option '--mtu' needs a value"},
        {"--help=yes", "option '--help' takes no value"},
        {"stray", "unexpected argument 'stray'"},
        {"--mtu 1279", "--mtu: '1279' is not a number from 1280 to 1440"},
        {"--mtu 1441", "--mtu: '1441' is not a number from 1280 to 1440"},
        {"--mtu 1420,", "--mtu: '' is not a number from 1280 to 1440"},
        {"--mtu 1420,1280,1420", "--mtu: 1420 is there twice"},
        {"--mtu 1,2", "--mtu: '1' is not a number from 1280 to 1440"},
        {"--mtu +1420", "--mtu: '+1420' is not a number from 1280 to 1440"},
        {"--offloads maybe", "--offloads: 'maybe' is neither on nor off"},
        {"--offloads on,on", "--offloads: 'on' is there twice"},
        {"--rtt 10", "--rtt: '10' is not a time up to 500ms, such as 10ms"},
        {"--rtt 501ms", "--rtt: '501ms' is not a time up to 500ms, such as 10ms"},
        {"--rtt 1ms,1000us", "--rtt: 1000us is there twice"},
        {"--rtt 1ms,2ms,3ms,4ms,5ms,6ms,7ms,8ms,9ms", "--rtt: more than 8"},
        {"--loss 1", "--loss: '1' is not a share up to 20%, such as 1%"},
        {"--loss 21%", "--loss: '21%' is not a share up to 20%, such as 1%"},
        {"--loss 1%,2%,1%", "--loss: 1% is there twice"},
        {"--path", "option '--path' needs a value"},
        {"--path ~", "--path: '' is neither direct nor relayed"},
        {"--path direct,", "--path: '' is neither direct nor relayed"},
        {"--path relay", "--path: 'relay' is neither direct nor relayed"},
        {"--path direct,relayed,direct", "--path: direct is there twice"},
        {"--path direct --mtu 1280", "--path: not possible together with --mtu"},
        {"--rtt 10ms --path direct", "--path: not possible together with --rtt"},
        {"--loss 1% --path direct", "--path: not possible together with --loss"},
        {"--path direct --impl ours", "--path: not possible together with --impl"},
        {"--path relayed --against wireguard-go", "--path: not possible together with --against"},
        {"--path relayed --against-client /x",
         "--path: not possible together with --against-client"},
        {"--path relayed --variant a=b", "--path: not possible together with --variant"},
        {"--path relayed --rival /x", "--path: not possible together with --rival"},
        {"--firezone=yes", "option '--firezone' takes no value"},
        {"--firezone direct", "unexpected argument 'direct'"},
        {"--firezone --path direct", "--firezone: not possible together with --path"},
        {"--mtu 1280 --firezone", "--firezone: not possible together with --mtu"},
        {"--firezone --rtt 10ms", "--firezone: not possible together with --rtt"},
        {"--firezone --against wireguard-go", "--firezone: not possible together with --against"},
        {"--firezone --variant a=b", "--firezone: not possible together with --variant"},
        {"--firezone --resource host", "--resource: 'host' is neither address nor name"},
        {"--resource name", "--resource: only possible together with --firezone"},
        {"--path direct --resource name", "--resource: only possible together with --firezone"},
        {"--path direct --rate 500M", "--rate: '500M' is not a number from 0.01 to 1000"},
        {"--rate 0", "--rate: '0' is not a number from 0.01 to 1000"},
        {"--only tcp1,tcp2", "--only: 'tcp2' is none of tcp1,tcp4,udp,rtt,cpu,paced,calls,dns"},
        {"--only ~", "--only: '' is none of tcp1,tcp4,udp,rtt,cpu,paced,calls,dns"},
        {"--only dns", "--only: dns is only possible together with --firezone"},
        {"--only dns --path direct", "--only: dns is only possible together with --firezone"},
        {"--dns-rate 99", "--dns-rate: '99' is not a number from 100 to 1000000"},
        {"--dns-rate 10k", "--dns-rate: '10k' is not a number from 100 to 1000000"},
        {"--rounds 0", "--rounds: '0' is not a number from 1 to 1000"},
        {"--rounds 1.5", "--rounds: '1.5' is not a number from 1 to 1000"},
        {"--rounds 99999999999", "--rounds: '99999999999' is not a number from 1 to 1000"},
        {"--seconds 0.1", "--seconds: '0.1' is not a number from 0.2 to 3600"},
        {"--seconds nan", "--seconds: 'nan' is not a number from 0.2 to 3600"},
        {"--seconds 1s", "--seconds: '1s' is not a number from 0.2 to 3600"},
        {"--rate -1", "--rate: '-1' is not a number from 0.01 to 1000"},
        {"--workers 65", "--workers: '65' is not a number from 1 to 64"},
        {"--json ~", "--json: the name of the file is empty"},
        {"--client ~", "--client: the name of the file is empty"},
        {"--impl kernel", "--impl: 'kernel' is neither ours nor wireguard-go"},
        {"--against epoll", "--against: 'epoll' is not wireguard-go (see also --variant and "
                            "--against-client)"},
        {"--impl wireguard-go --against wireguard-go",
         "there are two implementations named 'wireguard-go'"},
        {"--variant epoll", "--variant: 'epoll' is not NAME=FLAGS with a name of 1 to 23 of a-z "
                            "0-9 _.-"},
        {"--variant =x", "--variant: '=x' is not NAME=FLAGS with a name of 1 to 23 of a-z 0-9 "
                         "_.-"},
        {"--variant a/b=x", "--variant: 'a/b=x' is not NAME=FLAGS with a name of 1 to 23 of a-z "
                            "0-9 _.-"},
        {"--variant ours=x", "there are two implementations named 'ours'"},
        {"--variant ratio=x", "--variant: rows named 'ratio' are something else"},
        {"--variant a= --variant a=", "there are two implementations named 'a'"},
        {"--variant a= --variant b= --variant c= --variant d= --variant e= --variant f=",
         "more than 6 implementations"},
        {"--variant a= --variant b= --variant c= --variant d= --variant e= --variant f= --variant "
         "g=",
         "more than 6 implementations"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_options o;
        char why[256];
        if (parse(&o, cases[i].line, why, sizeof why) != ERR_PARSE)
            fail_msg("'%s' was taken", cases[i].line);
        assert_string_equal(why, cases[i].why);
    }
}

/* The help names every part. */
static void test_help(void **state)
{
    (void)state;
    for (unsigned part = 0; part < NET_PARTS; part++)
        assert_non_null(strstr(net_options_help(), net_part_name((enum net_part)part)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_values),
        cmocka_unit_test(test_implementations), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_firezone),        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
