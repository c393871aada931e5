/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/cli.h"

#define ARGS_MAX 12

static enum err parse(struct cli *out, const char *const *args, char *why, unsigned why_size)
{
    static char words[ARGS_MAX][64];
    static char *argv[ARGS_MAX + 1];
    int argc = 0;

    for (; args[argc]; argc++) {
        assert_true(argc < ARGS_MAX && strlen(args[argc]) < sizeof words[0]);
        strcpy(words[argc], args[argc]);
        argv[argc] = words[argc];
    }
    argv[argc] = NULL;
    return cli_parse(out, argc, argv, why, why_size);
}

static void test_actions(void **state)
{
    static const struct {
        const char *args[ARGS_MAX];
        enum cli_action action;
    } cases[] = {
        {{"fzportal", "--config", "a"}, CLI_SERVE},
        {{"fzportal", "-ca"}, CLI_SERVE},
        {{"fzportal", "--config=a", "--check"}, CLI_CHECK},
        {{"fzportal", "--help"}, CLI_HELP},
        {{"fzportal", "-h"}, CLI_HELP},
        {{"fzportal", "--config", "a", "--help", "--nonsense"}, CLI_HELP},
        {{"fzportal", "--version"}, CLI_VERSION},
        {{"fzportal", "ctl", "status"}, CLI_CTL},
        {{"fzportal", "ctl", "help"}, CLI_CTL_HELP},
        {{"fzportal", "ctl", "help", "a=b"}, CLI_CTL},
        {{"fzportal", "ctl", "--help"}, CLI_HELP},
    };
    char why[256];
    struct cli c;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(&c, cases[i].args, why, sizeof why), ERR_OK);
        assert_int_equal(c.action, cases[i].action);
        assert_non_null(c.help);
    }
}

static void test_serve(void **state)
{
    const char *const args[] = {"fzportal", "-l",       "[::1]:0",    "--config",
                                "c.ini",    "--listen", "0.0.0.0:81", NULL};
    const char *const more[] = {"fzportal",  "-cc",    "--tls-cert",        "a", "--tls-key=b",
                                "--control", "/run/x", "--log-level=debug", NULL};
    char why[256];
    struct cli c;
    (void)state;

    assert_int_equal(parse(&c, args, why, sizeof why), ERR_OK);
    assert_string_equal(c.config_path, "c.ini");
    assert_int_equal(c.listen_n, 2);
    assert_int_equal(c.listen[0].ip.family, ADDR_V6);
    assert_int_equal(c.listen[0].port, 0);
    assert_int_equal(c.listen[1].port, 81);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_null(c.control_path);
    assert_null(c.certificate);
    assert_int_equal(parse(&c, more, why, sizeof why), ERR_OK);
    assert_int_equal(c.listen_n, 0);
    assert_string_equal(c.certificate, "a");
    assert_string_equal(c.key, "b");
    assert_string_equal(c.control_path, "/run/x");
    assert_int_equal(c.log_level, LOG_DEBUG);
}

/* Options end at the command, so that values may look like them. */
static void test_ctl(void **state)
{
    const char *const args[] = {"fzportal", "ctl",  "--control", "x",       "--timeout=3",
                                "--raw",    "kick", "--control", "--raw=1", NULL};
    char why[256];
    struct cli c;
    (void)state;

    assert_int_equal(parse(&c, args, why, sizeof why), ERR_OK);
    assert_string_equal(c.control_path, "x");
    assert_true(c.raw);
    assert_true(c.timeout == 3 * NS_PER_SEC);
    assert_int_equal(c.words_n, 3);
    assert_string_equal(c.words[0], "kick");
    assert_string_equal(c.words[2], "--raw=1");
}

static void test_wrong(void **state)
{
    static const struct {
        const char *args[ARGS_MAX];
        const char *why;
    } cases[] = {
        {{"fzportal", "--check"}, "--config FILE is missing"},
        {{"fzportal", "--config"}, "option '--config' needs a value"},
        {{"fzportal", "--config="}, "--config: the name of the file is empty"},
        {{"fzportal", "--nonsense"}, "unknown option '--nonsense'"},
        {{"fzportal", "-x"}, "unknown option '-x'"},
        {{"fzportal", "--check=1"}, "option '--check' takes no value"},
        {{"fzportal", "-ca", "b"}, "unexpected argument 'b'"},
        {{"fzportal", "-ca", "ctl"}, "unexpected argument 'ctl'"},
        {{"fzportal", "-ca", "-l", "127.0.0.1"},
         "--listen: '127.0.0.1' is not ADDR:PORT or [ADDR]:PORT"},
        {{"fzportal", "-ca", "-l", "::1:8081"},
         "--listen: '::1:8081' is not ADDR:PORT or [ADDR]:PORT"},
        {{"fzportal", "-ca", "-l", "localhost:8081"},
         "--listen: 'localhost:8081' is not ADDR:PORT or [ADDR]:PORT"},
        {{"fzportal", "-ca", "-l", "127.0.0.1:80"},
         "--listen: clients take port 80 for 443; use another one"},
        {{"fzportal", "-ca", "--tls-cert", "x"}, "--tls-cert and --tls-key go together"},
        {{"fzportal", "-ca", "--tls-key", "x"}, "--tls-cert and --tls-key go together"},
        {{"fzportal", "-ca", "--log-level", "loud"},
         "--log-level: 'loud' is none of error, warn, info, debug, trace"},
        {{"fzportal", "ctl"}, "ctl: a command is missing"},
        {{"fzportal", "ctl", "--timeout", "0", "a"},
         "--timeout: '0' is not a number of seconds from 1 to 99999"},
        {{"fzportal", "ctl", "--timeout", "1s", "a"},
         "--timeout: '1s' is not a number of seconds from 1 to 99999"},
        {{"fzportal", "ctl", "--config", "a"}, "unknown option '--config'"},
    };
    char why[256];
    struct cli c;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(&c, cases[i].args, why, sizeof why), ERR_PARSE);
        assert_string_equal(why, cases[i].why);
    }
}

static void test_many_addresses(void **state)
{
    static char program[] = "fzportal", config[] = "-ca", flag[] = "-l", address[] = "127.0.0.1:0";
    char why[256], *argv[2 + 2 * (SERVER_LISTEN_MAX + 1)];
    int argc = 0;
    struct cli c;
    (void)state;

    argv[argc++] = program;
    argv[argc++] = config;
    for (unsigned i = 0; i < SERVER_LISTEN_MAX; i++) {
        argv[argc++] = flag;
        argv[argc++] = address;
    }
    assert_int_equal(cli_parse(&c, argc, argv, why, sizeof why), ERR_OK);
    assert_int_equal(c.listen_n, SERVER_LISTEN_MAX);
    argv[argc++] = flag;
    argv[argc++] = address;
    assert_int_equal(cli_parse(&c, argc, argv, why, sizeof why), ERR_PARSE);
    assert_string_equal(why, "--listen: at most 8 addresses");
}

/* No line is too long for a terminal. */
static void test_help(void **state)
{
    const char *at = cli_help();
    (void)state;

    assert_non_null(strstr(at, "Usage: fzportal --config FILE"));
    for (; *at; at += strcspn(at, "\n") + 1)
        assert_true(strcspn(at, "\n") <= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_actions),
                                       cmocka_unit_test(test_serve),
                                       cmocka_unit_test(test_ctl),
                                       cmocka_unit_test(test_wrong),
                                       cmocka_unit_test(test_many_addresses),
                                       cmocka_unit_test(test_help)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
