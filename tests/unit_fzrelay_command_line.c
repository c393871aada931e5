/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of fzrelay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzrelay/command_line.h"

enum {
    WORDS_MAX = 16
};

static char why[256];

/* `line`: words separated by single spaces. */
static enum err parse(struct command_line *c, const char *line)
{
    static char text[512];
    static char *words[WORDS_MAX + 2];
    int n = 1;

    words[0] = (char *)(uintptr_t) "fzrelay";
    strcpy(text, line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        assert_true(n <= WORDS_MAX);
        words[n++] = word;
    }
    words[n] = NULL;
    why[0] = '\0';
    return command_line_parse(c, n, words, why, sizeof why);
}

static void test_defaults(void **state)
{
    struct command_line c;
    (void)state;

    assert_int_equal(parse(&c, "--public-ip4 203.0.113.7"), ERR_OK);
    assert_int_equal(c.action, COMMAND_SERVE);
    assert_int_equal(c.listen4.ip.family, ADDR_V4);
    assert_int_equal(c.listen4.port, 3478);
    assert_false(c.listen4_told);
    assert_int_equal(c.listen6.ip.family, ADDR_NONE);
    assert_true(c.lowest_port == 49152 && c.highest_port == 65535 && c.gso && !c.has_portal);
}

static void test_all(void **state)
{
    struct command_line c;
    (void)state;

    assert_int_equal(parse(&c, "--public-ip4 203.0.113.7 --public-ip6=2001:db8::7 -l 127.0.0.1:0 "
                               "--listen [::1]:99 --lowest-port 5 --highest-port 6 --no-gso"),
                     ERR_OK);
    assert_true(c.listen4_told && c.listen4.port == 0 && c.listen4.ip.bytes[0] == 127);
    assert_true(c.listen6_told && c.listen6.port == 99);
    assert_true(c.lowest_port == 5 && c.highest_port == 6 && !c.gso);
    assert_int_equal(parse(&c, "--public-ip6 ::1 --portal-url ws://p:81 --token t --name n "
                               "--ca-file f --secret-file s --control c --log-level debug"),
                     ERR_OK);
    assert_true(c.has_portal && c.portal.port == 81 && !c.portal.tls);
    assert_string_equal(c.token, "t");
    assert_string_equal(c.name, "n");
    assert_string_equal(c.ca_file, "f");
    assert_string_equal(c.secret_file, "s");
    assert_string_equal(c.control_path, "c");
    assert_int_equal(c.log_level, LOG_DEBUG);
}

static void test_commands(void **state)
{
    struct command_line c;
    (void)state;

    assert_int_equal(parse(&c, "credentials --stamp-secret s --expiry 7 --user k"), ERR_OK);
    assert_true(c.action == COMMAND_CREDENTIALS && c.expiry == 7);
    assert_string_equal(c.user, "k");
    assert_int_equal(parse(&c, "ceiling --size 9 --datagrams 10"), ERR_OK);
    assert_true(c.action == COMMAND_CEILING && c.size == 9 && c.datagrams == 10);
    assert_int_equal(parse(&c, "ctl --timeout 3 --raw drop port=7 --all"), ERR_OK);
    assert_true(c.action == COMMAND_CTL && c.words_n == 3 && c.raw);
    assert_string_equal(c.words[2], "--all");
    assert_true(c.timeout == 3 * NS_PER_SEC);
    assert_int_equal(parse(&c, "ctl help"), ERR_OK);
    assert_int_equal(c.action, COMMAND_CTL_HELP);
    static const char *const help[] = {"-h", "--help", "ctl -h", "ceiling -h",
                                       "credentials --help"};
    for (size_t i = 0; i < ARRAY_LEN(help); i++) {
        assert_int_equal(parse(&c, help[i]), ERR_OK);
        assert_int_equal(c.action, COMMAND_HELP);
        assert_non_null(strstr(c.help, "Usage: fzrelay"));
    }
    assert_int_equal(parse(&c, "--version"), ERR_OK);
    assert_int_equal(c.action, COMMAND_VERSION);
}

static void test_wrong(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"--no-gso", "--public-ip4 or --public-ip6 is missing"},
        {"--public-ip4 ::1", "'::1' is not an IPv4 address"},
        {"--public-ip6 1.2.3.4", "'1.2.3.4' is not an IPv6 address"},
        {"--public-ip4 1.2.3.4 --listen 1.2.3.4", "is not ADDR:PORT"},
        {"--public-ip4 1.2.3.4 -l 1.2.3.4:5 -l 1.2.3.4:6", "one address per family"},
        {"--public-ip4 1.2.3.4 -l [::1]:5", "an IPv6 address without --public-ip6"},
        {"--public-ip6 ::1 -l 1.2.3.4:5", "an IPv4 address without --public-ip4"},
        {"--public-ip4 1.2.3.4 --lowest-port 0", "not a number from 1 to 65535"},
        {"--public-ip4 1.2.3.4 --highest-port 65536", "not a number from 1 to 65535"},
        {"--public-ip4 1.2.3.4 --highest-port 1", "--lowest-port is above --highest-port"},
        {"--public-ip4 1.2.3.4 --portal-url nonsense", "--portal-url: "},
        {"--public-ip4 1.2.3.4 --token t", "--token without --portal-url"},
        {"--public-ip4 1.2.3.4 --stamp-secret a --secret-file b", "exclude each other"},
        {"--public-ip4 1.2.3.4 --log-level loud", "'loud' is none of"},
        {"--public-ip4 1.2.3.4 --control=", "--control: the value is empty"},
        {"--public-ip4 1.2.3.4 --no-gso=1", "option '--no-gso' takes no value"},
        {"--public-ip4", "option '--public-ip4' needs a value"},
        {"--public-ip4 1.2.3.4 more", "unexpected argument 'more'"},
        {"--nonsense", "unknown option '--nonsense'"},
        {"-x", "unknown option '-x'"},
        {"credentials", "--stamp-secret or --secret-file is missing"},
        {"credentials --stamp-secret a --salt b:c", "a ':' cannot be in it"},
        {"credentials --stamp-secret a --salt b --user c", "exclude each other"},
        {"credentials --stamp-secret a --expiry -1", "--expiry"},
        {"ceiling --size 1401", "--size"},
        {"ceiling --datagrams 0", "--datagrams"},
        {"ctl", "a command is missing"},
        {"ctl --timeout 0 stats", "--timeout"},
    };
    struct command_line c;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(&c, cases[i].line), ERR_PARSE);
        if (!strstr(why, cases[i].why))
            fail_msg("'%s': no '%s' in '%s'", cases[i].line, cases[i].why, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
