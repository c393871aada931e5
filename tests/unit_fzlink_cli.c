/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of fzlink: defaults, every option, and what is said about wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzlink/cli.h"

enum {
    ARGS_MAX = 32
};

#define ENDS "--a left:l0:192.0.2.1/24,2001:db8::1/64 --b 17:l1:192.0.2.2/24 "

/* Splits `line` at spaces; "~" stands for an empty argument. */
static enum err parse(struct cli *c, const char *line, char why[256])
{
    static char storage[512], program[] = "fzlink";
    char *rest = storage;
    static char *argv[ARGS_MAX + 1];
    int argc = 0;

    assert_true(strlen(line) < sizeof storage);
    strcpy(storage, line);
    argv[argc++] = program;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        if (strcmp(word, "~") == 0)
            *word = '\0';
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    memset(why, 0, 256);
    return cli_parse(c, argc, argv, (struct why){why, 256});
}

static void parse_ok(struct cli *c, const char *line)
{
    char why[256];

    if (parse(c, line, why) != ERR_OK)
        fail_msg("'%s' was refused: %s", line, why);
}

static void test_defaults(void **state)
{
    struct cli c;

    (void)state;
    parse_ok(&c, ENDS);
    assert_int_equal(c.action, CLI_LINK);
    assert_string_equal(c.link.ends[0].netns, "left");
    assert_string_equal(c.link.ends[0].device, "l0");
    assert_int_equal(c.link.ends[0].addrs_n, 2);
    assert_int_equal(c.link.ends[0].addrs[0].len, 24);
    assert_int_equal(c.link.ends[0].addrs[1].ip.family, ADDR_V6);
    assert_string_equal(c.link.ends[1].netns, "17");
    assert_int_equal(c.link.mtu, 1500);
    assert_int_equal(c.link.seed, 1);
    assert_true(c.link.offloads);
    assert_null(c.control_path);
    for (unsigned i = 0; i < DIRECTIONS; i++) {
        const struct impair_settings *s = &c.link.settings.of[i];
        assert_true(s->delay == 0 && s->jitter == 0 && s->loss == 0 && s->reorder == 0 &&
                    s->duplicate == 0 && s->rate == 0 && s->queue_packets == 1000 &&
                    s->queue_bytes == 0);
    }
}

static void test_values(void **state)
{
    struct cli c;

    (void)state;
    parse_ok(&c, ENDS "--delay 10ms --jitter 2ms/1ms --loss=1% --reorder 0.1% --duplicate 0.2%/0 "
                      "--rate 100mbit/none --queue 1MB --mtu 1400 --offloads off --seed 42 "
                      "--control /tmp/c");
    const struct impair_settings *a = &c.link.settings.of[A_TO_B], *b = &c.link.settings.of[B_TO_A];
    assert_true(a->delay == 10 * NS_PER_MS && b->delay == 10 * NS_PER_MS);
    assert_true(a->jitter == 2 * NS_PER_MS && b->jitter == NS_PER_MS);
    assert_true(a->loss == 10000 && b->loss == 10000);
    assert_true(a->reorder == 1000 && b->reorder == 1000);
    assert_true(a->duplicate == 2000 && b->duplicate == 0);
    assert_true(a->rate == 100000000 && b->rate == 0);
    assert_true(a->queue_bytes == 1000000 && a->queue_packets == 0);
    assert_int_equal(c.link.mtu, 1400);
    assert_false(c.link.offloads);
    assert_int_equal(c.link.seed, 42);
    assert_string_equal(c.control_path, "/tmp/c");
}

static void test_actions(void **state)
{
    struct cli c;

    (void)state;
    parse_ok(&c, "--help --nonsense");
    assert_int_equal(c.action, CLI_HELP);
    parse_ok(&c, "--version");
    assert_int_equal(c.action, CLI_VERSION);
    parse_ok(&c, "--ceiling --seconds 3");
    assert_int_equal(c.action, CLI_CEILING);
    assert_true(c.seconds == 3);
    parse_ok(&c, "ctl help");
    assert_int_equal(c.action, CLI_CTL_HELP);
    parse_ok(&c, "ctl --help");
    assert_int_equal(c.action, CLI_HELP);
    parse_ok(&c, "ctl --control /tmp/c set loss=1%");
    assert_int_equal(c.action, CLI_CTL);
    assert_int_equal(c.words_n, 2);
    assert_string_equal(c.words[1], "loss=1%");
    assert_string_equal(c.control_path, "/tmp/c");
}

static void test_refused(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"--nonsense", "unknown option '--nonsense'"},
        {"-x", "unknown option '-x'"},
        {"--delay", "option '--delay' needs a value"},
        {"--help=yes", "option '--help' takes no value"},
        {ENDS "stray", "unexpected argument 'stray'"},
        {"--delay 1ms", "--a is missing"},
        {"--a l:d:192.0.2.1/24", "--b is missing"},
        {ENDS "--a l:d:192.0.2.1/24", "--a is there twice"},
        {"--a l", "'l' is not NETNS:DEVICE:ADDR[,ADDR]"},
        {"--a l:d", "'l:d' is not NETNS:DEVICE:ADDR[,ADDR]"},
        {"--a l:d:", "'l:d:' is not NETNS:DEVICE:ADDR[,ADDR]"},
        {"--a :d:192.0.2.1/24", "':d:192.0.2.1/24' is not NETNS:DEVICE:ADDR[,ADDR]"},
        {"--a ..:d:192.0.2.1/24", "'..' is no name of a namespace"},
        {"--a l:d:192.0.2.1/33",
         "'l:d:192.0.2.1/33': the addresses are not ADDR/LENGTH with commas between them"},
        {"--a l:d:192.0.2.1,,",
         "'l:d:192.0.2.1,,': the addresses are not ADDR/LENGTH with commas between them"},
        {"--a l:d:::1,::2,::3,::4,::5,::6,::7,::8,::9", "more than 8 addresses for d"},
        {ENDS "--mtu 575", "--mtu: '575' is not a number from 576 to 9216"},
        {ENDS "--mtu 1500b", "--mtu: '1500b' is not a number from 576 to 9216"},
        {ENDS "--seed -1", "--seed: '-1' is not a number of at most 18 digits"},
        {ENDS "--seconds 61", "--seconds: '61' is not a number from 1 to 60"},
        {ENDS "--offloads maybe", "--offloads: 'maybe' is neither on nor off"},
        {ENDS "--control ~", "--control: the name of the socket is empty"},
        {ENDS "--jitter 1ms", "the jitter is at most the delay"},
        {ENDS "--ceiling", "--ceiling has ends of its own"},
        {"--ceiling --loss 50%",
         "--ceiling is of a link without impairment: only --seconds and --offloads go with it"},
        {"--ceiling --jitter 1ms",
         "--ceiling is of a link without impairment: only --seconds and --offloads go with it"},
        {"--ceiling --mtu 9000",
         "--ceiling is of a link without impairment: only --seconds and --offloads go with it"},
        {"--ceiling --control /tmp/x",
         "--ceiling is of a link without impairment: only --seconds and --offloads go with it"},
        {"ctl --control /tmp/c", "ctl: a command is missing"},
        {"ctl stats", "ctl: --control PATH is missing"},
        {"ctl --delay 1ms stats", "unknown option '--delay'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cli c;
        char why[256];
        if (parse(&c, cases[i].line, why) == ERR_OK)
            fail_msg("'%s' was taken", cases[i].line);
        assert_string_equal(why, cases[i].why);
    }
}

/* The help names every setting. */
static void test_help(void **state)
{
    char option[32];

    (void)state;
    for (unsigned i = 0; i < SETTINGS; i++) {
        snprintf(option, sizeof option, "--%s ", settings_name((enum setting)i));
        assert_non_null(strstr(cli_help(), option));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
        cmocka_unit_test(test_actions),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
