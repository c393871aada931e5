/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's options: what they are called, what they default to, and that there is nothing else on its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/options_private.h"
#include "platform/base/bytes.h"

enum {
    WORDS_MAX = 24
};

/* "NAME=value" words. */
struct environment {
    char text[512];
    char *variables[WORDS_MAX + 1];
};

static int split(char **out, char *text)
{
    int n = 0;
    for (char *word = strtok(text, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
        out[n++] = word;
    out[n] = NULL;
    return n;
}

static const char *lookup(void *ctx, const char *name)
{
    const struct environment *e = ctx;
    size_t len = strlen(name);

    for (size_t i = 0; e->variables[i]; i++) {
        if (strncmp(e->variables[i], name, len) == 0 && e->variables[i][len] == '=')
            return e->variables[i] + len + 1;
    }
    return NULL;
}

/* What the options point to is valid up to the next call. */
static enum err parse(struct options *o, const char *line, const char *env, char *why)
{
    static struct environment environment;
    static char words[512];
    static char *argv[WORDS_MAX + 1];

    why[0] = '\0';
    snprintf(words, sizeof words, OPTIONS_PROGRAM_GATEWAY " %s", line);
    snprintf(environment.text, sizeof environment.text, "%s", env);
    split(environment.variables, environment.text);
    const struct options_input in = {.program = OPTIONS_GATEWAY,
                                     .argc = split(argv, words),
                                     .argv = argv,
                                     .lookup = lookup,
                                     .ctx = &environment};
    return options_parse(o, &in, why, 256);
}

static void parse_ok(struct options *o, const char *line, const char *env)
{
    char why[256];
    if (parse(o, line, env, why) != ERR_OK)
        fail_msg("'%s' with '%s': %s", line, env, why);
}

static void test_defaults(void **state)
{
    struct options o;

    (void)state;
    parse_ok(&o, "", "FIREZONE_ID= FIREZONE_NAME=");
    assert_int_equal(o.action, OPTIONS_RUN);
    assert_string_equal(o.api.host, "api.firezone.dev");
    assert_null(o.firezone_id);
    assert_null(o.firezone_name);
    assert_true(o.max_partition_ns == 24 * 3600 * NS_PER_SEC);
    assert_true(o.raise_buffers && o.permission_check && o.forward);
    assert_false(o.check || o.exit_when_up || o.flow_logs || o.compat_exit);
    assert_null(o.log_filter);
    assert_null(o.telemetry_asked);
    assert_string_equal(o.tun_name, "");
    assert_true(o.steering && o.offloads);
    assert_int_equal(o.workers, 0);
}

static void expect_all(const struct options *o)
{
    assert_string_equal(o->api.host, "portal.test");
    assert_string_equal(o->firezone_id, "id-1");
    assert_string_equal(o->firezone_name, "gw-1");
    assert_true(o->max_partition_ns == 5 * 60 * NS_PER_SEC);
    assert_false(o->raise_buffers);
    assert_string_equal(o->ca_file, "ca.pem");
    assert_string_equal(o->log_dir, "logs");
    assert_string_equal(o->log_filter, "debug");
    assert_int_equal(o->log_format, LOG_JSON);
    assert_true(o->flow_logs && o->no_telemetry);
}

static void test_every_option(void **state)
{
    struct options o;

    (void)state;
    parse_ok(&o,
             "--api-url ws://portal.test:8081 --firezone-id id-1 --firezone-name gw-1 "
             "--max-partition-time 5m --no-inc-buf --ca-file ca.pem --log-dir logs "
             "--log-level debug --log-format json --flow-logs --no-telemetry",
             "");
    expect_all(&o);
    parse_ok(&o,
             "-u ws://portal.test:8081 -i id-1 -n gw-1 -m 5m --no-inc-buf --ca-file=ca.pem "
             "-l logs --log-level=debug --log-format=json --flow-logs --no-telemetry",
             "FIREZONE_API_URL=ws://other FIREZONE_ID=id-2 FIREZONE_NAME=gw-2 "
             "FIREZONE_MAX_PARTITION_TIME=1h FIREZONE_NO_INC_BUF=false");
    expect_all(&o);
    parse_ok(&o, "",
             "FIREZONE_API_URL=ws://portal.test:8081 FIREZONE_ID=id-1 FIREZONE_NAME=gw-1 "
             "FIREZONE_MAX_PARTITION_TIME=5m FIREZONE_NO_INC_BUF=true FIREZONE_CA_FILE=ca.pem "
             "LOG_DIR=logs RUST_LOG=debug FIREZONE_LOG_FORMAT=json FIREZONE_FLOW_LOGS=true "
             "FIREZONE_NO_TELEMETRY=true");
    expect_all(&o);
    parse_ok(
        &o,
        "--no-check --check --exit --no-forwarding --tun tun9 --workers 3 --io epoll --no-steering",
        "FIREZONE_COMPAT_EXIT=true FIREZONE_NO_INC_BUF=false "
        "FIREZONE_UDP_SEND_BUFFER_SIZE=7 FIREZONE_UDP_RECV_BUFFER_SIZE=9");
    assert_false(o.permission_check || o.steering || o.forward);
    assert_true(o.check && o.exit_when_up && o.raise_buffers && o.compat_exit);
    assert_string_equal(o.tun_name, "tun9");
    assert_int_equal(o.workers, 3);
    assert_int_equal(o.io, IO_EPOLL);
    assert_int_equal(o.udp_send_bytes, 7);
    assert_int_equal(o.udp_recv_bytes, 9);
    parse_ok(&o, "", "FIREZONE_NO_FORWARDING=true");
    assert_false(o.forward);
}

/* The client's variable of the same meaning may be set for a client on the same machine. */
static void test_not_the_clients(void **state)
{
    struct options o;

    (void)state;
    parse_ok(&o, "", "MAX_PARTITION_TIME=5m FIREZONE_TOKEN_PATH= FIREZONE_DNS_CONTROL=nonsense");
    assert_true(o.max_partition_ns == 24 * 3600 * NS_PER_SEC);
}

static void test_wrong_usage(void **state)
{
    static const struct {
        const char *line, *env, *why;
    } cases[] = {
        {"standalone", "", "unexpected argument 'standalone'"},
        {"--check wireguard", "", "unexpected argument 'wireguard'"},
        {"n.SFMyNTY.a-token-at-the-wrong-place", "", "unexpected argument of 36 characters"},
        {"--token x", "", "unknown option '--token'"},
        {"--token-path /x", "", "unknown option '--token-path'"},
        {"--dns-control disabled", "", "unknown option '--dns-control'"},
        {"--inc-buf", "", "unknown option '--inc-buf'"},
        {"-n", "", "option '-n' needs a value"},
        {"--no-check=1", "", "option '--no-check' takes no value"},
        {"", "FIREZONE_NO_INC_BUF=perhaps",
         "FIREZONE_NO_INC_BUF: 'perhaps' is neither true nor false"},
        {"", "FIREZONE_MAX_PARTITION_TIME=soon",
         "FIREZONE_MAX_PARTITION_TIME: 'soon' is not a duration such as 5m, 1h30m or 30d"},
    };
    char why[256];
    struct options o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(&o, cases[i].line, cases[i].env, why), ERR_PARSE);
        assert_string_equal(why, cases[i].why);
    }
}

static void check_help(const struct setting *settings)
{
    for (const struct setting *s = settings; s->kind != SETTING_END; s++) {
        const char *const names[] = {s->name, s->env, s->env_alias};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            if (names[i] && !strstr(options_help_gateway, names[i]))
                fail_msg("the help does not mention %s", names[i]);
        }
    }
}

static void test_help(void **state)
{
    struct options o;

    (void)state;
    check_help(options_gateway);
    check_help(options_engine);
    for (const char *line = options_help_gateway; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    parse_ok(&o, "--help nonsense", "RUST_LOG=info");
    assert_int_equal(o.action, OPTIONS_HELP);
    assert_ptr_equal(o.help, options_help_gateway);
    assert_null(strstr(o.help, OPTIONS_PROGRAM));
    parse_ok(&o, "-V", "");
    assert_int_equal(o.action, OPTIONS_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_not_the_clients),
        cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
