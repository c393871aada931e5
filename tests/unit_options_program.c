/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own options: each flag and each variable, which of them counts, and what is said about wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/options_private.h"
#include "control/tunnel.h"
#include "platform/base/bytes.h"

enum {
    WORDS_MAX = 24
};

/* A line of words, and an environment of "NAME=value" words. "~" stands for an empty word. */
struct input {
    char line[512], env[512];
    char *argv[WORDS_MAX + 1], *variables[WORDS_MAX + 1];
    int argc;
};

static int split(char **out, char *text)
{
    int n = 0;
    for (char *word = strtok(text, " "); word && n < WORDS_MAX; word = strtok(NULL, " ")) {
        if (strcmp(word, "~") == 0)
            *word = '\0';
        out[n++] = word;
    }
    out[n] = NULL;
    return n;
}

static const char *lookup(void *ctx, const char *name)
{
    const struct input *in = ctx;
    size_t len = strlen(name);

    for (size_t i = 0; in->variables[i]; i++) {
        if (strncmp(in->variables[i], name, len) == 0 && in->variables[i][len] == '=')
            return in->variables[i] + len + 1;
    }
    return NULL;
}

/* What the options point to is valid up to the next call. */
static enum err parse(struct options *o, const char *line, const char *env, char *why)
{
    static struct input in;

    memset(why, 0, 256);
    snprintf(in.line, sizeof in.line, OPTIONS_PROGRAM " %s", line);
    snprintf(in.env, sizeof in.env, "%s", env);
    in.argc = split(in.argv, in.line);
    split(in.variables, in.env);
    const struct options_input input = {
        .argc = in.argc, .argv = in.argv, .lookup = lookup, .ctx = &in};
    return options_parse(o, &input, why, 256);
}

static void parse_ok(struct options *o, const char *line, const char *env)
{
    char why[256];
    if (parse(o, line, env, why) != ERR_OK)
        fail_msg("'%s' with '%s': %s", line, env, why);
}

static void test_defaults(void **state)
{
    static const char *const lines[] = {"", "standalone", "--", "-- standalone"};
    static const char *const envs[] = {
        "", "FIREZONE_ID= FIREZONE_API_URL= FIREZONE_FLOW_LOGS= RUST_LOG="};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines) * ARRAY_LEN(envs); i++) {
        struct options o;
        parse_ok(&o, lines[i / 2], envs[i % 2]);
        assert_int_equal(o.action, OPTIONS_RUN);
        assert_string_equal(o.tun_name, "");
        assert_int_equal(o.workers, 0);
        assert_true(o.steering && o.offloads && !o.source_resolve);
        assert_null(o.log_filter);
        assert_null(o.log_dir);
        assert_int_equal(o.log_format, LOG_TEXT);
        assert_true(o.api.tls);
        assert_int_equal(o.api.port, 443);
        assert_string_equal(o.api.host, "api.firezone.dev");
        assert_true(!o.ca_file && !o.token_path && !o.firezone_id && !o.firezone_name);
        assert_true(o.max_partition_ns == TIME_NEVER);
        assert_int_equal(o.dns, DNS_METHOD_SYSTEMD_RESOLVED);
        assert_false(o.check || o.exit_when_up || o.internet_resource || o.raise_buffers);
        assert_false(o.flow_logs || o.compat_exit || o.no_telemetry || o.force);
        assert_true(!o.telemetry_asked && !o.dns_asked);
        assert_true(o.udp_send_bytes == 0 && o.udp_recv_bytes == 0);
    }
}

/* One thing that an option sets, as text. */
static void describe(char *out, size_t size, const struct options *o, const char *what)
{
    const struct {
        const char *what, *text;
        long number;
    } values[] = {
        {"token_path", o->token_path, 0},
        {"firezone_id", o->firezone_id, 0},
        {"firezone_name", o->firezone_name, 0},
        {"ca_file", o->ca_file, 0},
        {"log_dir", o->log_dir, 0},
        {"log_filter", o->log_filter, 0},
        {"log_filter_by", o->log_filter_by, 0},
        {"telemetry", o->telemetry_asked, 0},
        {"auth_url", o->auth_url, 0},
        {"account_slug", o->account_slug, 0},
        {"api_host", o->api.host, 0},
        {"tun_name", o->tun_name, 0},
        {"dns", NULL, o->dns},
        {"dns_asked", o->dns_asked, 0},
        {"send_bytes", NULL, o->udp_send_bytes},
        {"recv_bytes", NULL, o->udp_recv_bytes},
        {"partition_s", NULL, (long)(o->max_partition_ns / NS_PER_SEC)},
        {"internet", NULL, o->internet_resource},
        {"log_format", NULL, o->log_format},
        {"flow_logs", NULL, o->flow_logs},
        {"check", NULL, o->check},
        {"exit", NULL, o->exit_when_up},
        {"inc_buf", NULL, o->raise_buffers},
        {"compat_exit", NULL, o->compat_exit},
        {"no_telemetry", NULL, o->no_telemetry},
        {"force", NULL, o->force},
        {"action", NULL, o->action},
        {"workers", NULL, o->workers},
        {"io", NULL, o->io},
        {"crypto", NULL, o->crypto},
        {"helpers", NULL, o->helpers},
        {"resolve", NULL, o->source_resolve},
        {"steering", NULL, o->steering},
        {"offloads", NULL, o->offloads},
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        if (strcmp(values[i].what, what) != 0)
            continue;
        if (values[i].text)
            snprintf(out, size, "%s", values[i].text);
        else
            snprintf(out, size, "%ld", values[i].number);
        return;
    }
    fail_msg("no value %s", what);
}

/* Flags beat variables, the first variable beats its alias. */
static void test_every_option(void **state)
{
    static const struct {
        const char *line, *env, *what, *want;
    } cases[] = {
        {"--token-path /t", "", "token_path", "/t"},
        {"--token-path=/t", "FIREZONE_TOKEN_PATH=/e", "token_path", "/t"},
        {"", "FIREZONE_TOKEN_PATH=/e", "token_path", "/e"},
        {"-i a", "", "firezone_id", "a"},
        {"-ia", "", "firezone_id", "a"},
        {"-i=a", "", "firezone_id", "a"},
        {"-i==a", "", "firezone_id", "=a"},
        {"-i -", "", "firezone_id", "-"},
        {"-i-a", "", "firezone_id", "-a"},
        {"--firezone-id=-a", "", "firezone_id", "-a"},
        {"--firezone-id==a", "", "firezone_id", "=a"},
        {"-l=/l", "", "log_dir", "/l"},
        {"--firezone-id a", "FIREZONE_ID=b", "firezone_id", "a"},
        {"", "FIREZONE_ID=b", "firezone_id", "b"},
        {"--firezone-name x", "FIREZONE_NAME=y", "firezone_name", "x"},
        {"", "FIREZONE_NAME=y", "firezone_name", "y"},
        {"--dns-control disabled", "FIREZONE_DNS_CONTROL=etc-resolv-conf", "dns", "0"},
        {"", "FIREZONE_DNS_CONTROL=etc-resolv-conf", "dns", "1"},
        {"--dns-control systemd-resolved", "FIREZONE_DNS_CONTROL=nonsense", "dns", "2"},
        {"--dns-control disabled", "FIREZONE_DNS_CONTROL=disabled", "dns_asked", "--dns-control"},
        {"", "FIREZONE_DNS_CONTROL=systemd-resolved", "dns_asked", "FIREZONE_DNS_CONTROL"},
        {"", "FIREZONE_UDP_SEND_BUFFER_SIZE=65536", "send_bytes", "65536"},
        {"", "FIREZONE_UDP_RECV_BUFFER_SIZE=1073741824", "recv_bytes", "1073741824"},
        {"-m 5m", "MAX_PARTITION_TIME=7s", "partition_s", "300"},
        {"--max-partition-time=1h30m", "", "partition_s", "5400"},
        {"", "MAX_PARTITION_TIME=30d", "partition_s", "2592000"},
        {"", "FIREZONE_MAX_PARTITION_TIME=7s", "partition_s", "7"},
        {"", "FIREZONE_MAX_PARTITION_TIME=7s MAX_PARTITION_TIME=8s", "partition_s", "8"},
        {"", "FIREZONE_MAX_PARTITION_TIME=7s MAX_PARTITION_TIME=", "partition_s", "7"},
        {"--activate-internet-resource", "", "internet", "1"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=true", "internet", "1"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=YES", "internet", "1"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=1", "internet", "1"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=No", "internet", "0"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=False", "internet", "0"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=0", "internet", "0"},
        {"", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=", "internet", "0"},
        {"--activate-internet-resource", "FIREZONE_ACTIVATE_INTERNET_RESOURCE=0", "internet", "1"},
        {"--ca-file /c", "FIREZONE_CA_FILE=/d", "ca_file", "/c"},
        {"", "FIREZONE_CA_FILE=/d", "ca_file", "/d"},
        {"-l /l", "LOG_DIR=/m", "log_dir", "/l"},
        {"--log-dir /l", "", "log_dir", "/l"},
        {"", "LOG_DIR=/m", "log_dir", "/m"},
        {"--log-level debug", "RUST_LOG=info FIREZONE_LOG=warn", "log_filter", "debug"},
        {"--log-level debug", "", "log_filter_by", "--log-level"},
        {"", "RUST_LOG=info,a=debug", "log_filter", "info,a=debug"},
        {"", "RUST_LOG=info", "log_filter_by", "RUST_LOG"},
        {"", "RUST_LOG=info FIREZONE_LOG=warn", "log_filter", "info"},
        {"", "FIREZONE_LOG=warn", "log_filter_by", "FIREZONE_LOG"},
        {"--log-format json", "", "log_format", "1"},
        {"--log-format text", "FIREZONE_LOG_FORMAT=json", "log_format", "0"},
        {"--log-format human", "FIREZONE_LOG_FORMAT=json", "log_format", "0"},
        {"", "FIREZONE_LOG_FORMAT=json", "log_format", "1"},
        {"--flow-logs", "", "flow_logs", "1"},
        {"", "FIREZONE_FLOW_LOGS=true", "flow_logs", "1"},
        {"--no-telemetry", "FIREZONE_NO_TELEMETRY=false", "no_telemetry", "1"},
        {"", "FIREZONE_NO_TELEMETRY=true", "no_telemetry", "1"},
        {"", "FIREZONE_NO_TELEMETRY=false", "telemetry", "FIREZONE_NO_TELEMETRY"},
        {"--metrics stdout", "", "telemetry", "--metrics"},
        {"--metrics otel-collector --otlp-grpc-endpoint h:4317", "", "telemetry",
         "--otlp-grpc-endpoint"},
        {"", "FIREZONE_METRICS=sentry", "telemetry", "FIREZONE_METRICS"},
        {"", "OTLP_GRPC_ENDPOINT=[::1]:4317", "telemetry", "OTLP_GRPC_ENDPOINT"},
        {"-u ws://a:80", "FIREZONE_API_URL=ws://b:80", "api_host", "a"},
        {"--api-url https://a/", "FIREZONE_API_URL=nonsense", "api_host", "a"},
        {"", "FIREZONE_API_URL=ws://b:80", "api_host", "b"},
        {"--check", "", "check", "1"},
        {"--check standalone", "", "check", "1"},
        {"--exit", "", "exit", "1"},
        {"--inc-buf", "", "inc_buf", "1"},
        {"", "FIREZONE_INC_BUF=1", "inc_buf", "1"},
        {"", "FIREZONE_COMPAT_EXIT=1", "compat_exit", "1"},
        {"--tun a", "", "tun_name", "a"},
        {"--workers 7", "", "workers", "7"},
        {"--io epoll", "", "io", "2"},
        {"--crypto boringssl", "", "crypto", "1"},
        {"--helpers off", "", "helpers", "1"},
        {"--source-ip resolve", "", "resolve", "1"},
        {"--no-steering", "", "steering", "0"},
        {"--no-offload", "", "offloads", "0"},
        {"sign-in", "", "auth_url", OPTIONS_AUTH_URL_DEFAULT},
        {"--token-path /t sign-in", "", "token_path", "/t"},
        {"sign-in --auth-base-url https://a", "FIREZONE_AUTH_BASE_URL=https://b", "auth_url",
         "https://a"},
        {"sign-in", "FIREZONE_AUTH_BASE_URL=https://b", "auth_url", "https://b"},
        {"sign-in --account-slug=a", "FIREZONE_ACCOUNT_SLUG=b", "account_slug", "a"},
        {"sign-in", "FIREZONE_ACCOUNT_SLUG=b", "account_slug", "b"},
        {"sign-in", "FIREZONE_TOKEN_PATH=/e", "token_path", "/e"},
        {"sign-out", "", "force", "0"},
        {"sign-out -f", "", "force", "1"},
        {"sign-out --force", "FIREZONE_TOKEN_PATH=/e", "token_path", "/e"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options o;
        char got[128];
        parse_ok(&o, cases[i].line, cases[i].env);
        describe(got, sizeof got, &o, cases[i].what);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("'%s' with '%s': %s is '%s'", cases[i].line, cases[i].env, cases[i].what, got);
    }
}

static void test_tunnel(void **state)
{
    struct options o;
    struct tunnel_options t;

    (void)state;
    parse_ok(&o, "--workers 3",
             "FIREZONE_UDP_SEND_BUFFER_SIZE=70000 FIREZONE_UDP_RECV_BUFFER_SIZE=90000");
    options_tunnel(&t, &o);
    assert_int_equal(t.workers, 3);
    assert_int_equal(t.udp_send_bytes, 70000);
    assert_int_equal(t.udp_recv_bytes, 90000);
}

static void test_actions(void **state)
{
    static const struct {
        const char *line;
        enum options_action action;
    } cases[] = {
        {"", OPTIONS_RUN},
        {"standalone", OPTIONS_RUN},
        {"--check", OPTIONS_RUN},
        {"sign-in", OPTIONS_SIGN_IN},
        {"sign-out", OPTIONS_SIGN_OUT},
        {"-h", OPTIONS_HELP},
        {"--help --nonsense", OPTIONS_HELP},
        {"--check --help", OPTIONS_HELP},
        {"standalone -h", OPTIONS_HELP},
        {"sign-in --help", OPTIONS_HELP},
        {"sign-out -fh", OPTIONS_HELP},
        {"-V", OPTIONS_VERSION},
        {"--version sign-in", OPTIONS_VERSION},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options o;
        parse_ok(&o, cases[i].line, "FIREZONE_METRICS=");
        assert_int_equal(o.action, cases[i].action);
    }
}

static void test_wrong_usage(void **state)
{
    static const struct {
        const char *line, *env, *why;
    } cases[] = {
        {"~", "", "unknown command ''"},
        {"up", "", "unknown command 'up'"},
        {"-", "", "unknown command '-'"},
        {"--token abc", "", "unknown option '--token'"},
        {"--token=abc", "", "unknown option '--token'"},
        {"--token-p abc", "", "unknown option '--token-p'"},
        {"-t", "", "unknown option '-t'"},
        {"--firezone-idx a", "", "unknown option '--firezone-idx'"},
        {"--compat-exit", "", "unknown option '--compat-exit'"},
        {".SFMyNTY.g2gDaANtAAAAJGM4OWJjYzhjLTk", "", "unknown command of 36 characters"},
        {"sign-in .SFMyNTY.g2gDaANtAAAAJGM4OWJjYzhjLTk", "",
         "unexpected argument of 36 characters"},
        {"sign-in x", "", "unexpected argument 'x'"},
        {"standalone sign-in", "", "unexpected argument 'sign-in'"},
        {"standalone --check", "", "option '--check' must stand before the command"},
        {"sign-out --token-path=/x", "", "option '--token-path' must stand before the command"},
        {"sign-in --force", "", "unknown option '--force'"},
        {"--auth-base-url x sign-in", "", "unknown option '--auth-base-url'"},
        {"--check=true", "", "option '--check' takes no value"},
        {"--token-path", "", "option '--token-path' needs a value"},
        {"-m", "", "option '-m' needs a value"},
        {"--token-path --check", "", "option '--token-path' needs a value"},
        {"--token-path -- sign-in", "", "option '--token-path' needs a value"},
        {"-i -x", "", "option '-i' needs a value"},
        {"-l=", "", "--log-dir: the value is empty"},
        {"--token-path ~", "", "--token-path: the value is empty"},
        {"-i ~", "", "--firezone-id: an id has 1 to 255 printable ASCII characters"},
        {"", "FIREZONE_ID=caf\xc3\xa9",
         "FIREZONE_ID: an id has 1 to 255 printable ASCII characters"},
        {"--ca-file=", "", "--ca-file: the value is empty"},
        {"--log-level ~", "", "--log-level: the value is empty"},
        {"--firezone-name ~", "", "--firezone-name: the name is empty"},
        {"--max-partition-time soon", "",
         "--max-partition-time: 'soon' is not a duration such as 5m, 1h30m or 30d"},
        {"-m5", "", "--max-partition-time: '5' is not a duration such as 5m, 1h30m or 30d"},
        {"", "MAX_PARTITION_TIME=5",
         "MAX_PARTITION_TIME: '5' is not a duration such as 5m, 1h30m or 30d"},
        {"", "FIREZONE_MAX_PARTITION_TIME=5",
         "FIREZONE_MAX_PARTITION_TIME: '5' is not a duration such as 5m, 1h30m or 30d"},
        {"--dns-control nrpt", "",
         "--dns-control: 'nrpt' is none of disabled, etc-resolv-conf, systemd-resolved"},
        {"", "FIREZONE_DNS_CONTROL=x",
         "FIREZONE_DNS_CONTROL: 'x' is none of disabled, etc-resolv-conf, systemd-resolved"},
        {"", "FIREZONE_FLOW_LOGS=on", "FIREZONE_FLOW_LOGS: 'on' is neither true nor false"},
        {"", "FIREZONE_COMPAT_EXIT=2", "FIREZONE_COMPAT_EXIT: '2' is neither true nor false"},
        {"", "FIREZONE_UDP_SEND_BUFFER_SIZE=2M",
         "FIREZONE_UDP_SEND_BUFFER_SIZE: '2M' is not a number of bytes from 1 to 1073741824"},
        {"", "FIREZONE_UDP_RECV_BUFFER_SIZE=1073741825",
         "FIREZONE_UDP_RECV_BUFFER_SIZE: '1073741825' is not a number of bytes from 1 to 1073741824"},
        {"", "FIREZONE_UDP_RECV_BUFFER_SIZE=0",
         "FIREZONE_UDP_RECV_BUFFER_SIZE: '0' is not a number of bytes from 1 to 1073741824"},
        {"--log-format xml", "", "--log-format: 'xml' is none of text, json, human"},
        {"--metrics x", "", "--metrics: 'x' is none of stdout, otel-collector, sentry"},
        {"--otlp-grpc-endpoint x", "", "--otlp-grpc-endpoint: 'x' is not of the form HOST:PORT"},
        {"-u ftp://user:secret@host", "",
         "--api-url: it must begin with wss://, ws://, https:// or http://"},
        {"", "FIREZONE_API_URL=wss://user:secret@host",
         "FIREZONE_API_URL: it must not contain a user name or password"},
        {"--workers 65", "", "--workers: '65' is not a number from 1 to 64"},
        {"--dns-control .SFMyNTY.g2gDaANtAAAAJGM4OWJjYzhjLTk", "",
         "--dns-control: the value is none of disabled, etc-resolv-conf, systemd-resolved"},
        {"sign-in --auth-base-url wss://a", "",
         "--auth-base-url: it must begin with https:// or http://"},
        {"sign-in", "FIREZONE_AUTH_BASE_URL=https://u:p@a",
         "FIREZONE_AUTH_BASE_URL: it must not contain a user name or password"},
        {"sign-in --account-slug a/b", "",
         "--account-slug: 'a/b' is not a slug (1 to 100 of A-Z a-z 0-9 _-)"},
        {"sign-in", "FIREZONE_METRICS=x",
         "FIREZONE_METRICS: 'x' is none of stdout, otel-collector, sentry"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options o;
        char why[256];
        if (parse(&o, cases[i].line, cases[i].env, why) != ERR_PARSE)
            fail_msg("'%s' with '%s' is accepted", cases[i].line, cases[i].env);
        assert_string_equal(why, cases[i].why);
    }
}

static void test_long_name(void **state)
{
    char name[OPTIONS_NAME_MAX + 2], why[256];
    char program[] = OPTIONS_PROGRAM, flag[] = "--firezone-name";
    char *argv[] = {program, flag, name, NULL};
    struct input none = {.argc = 0};
    const struct options_input in = {.argc = 3, .argv = argv, .lookup = lookup, .ctx = &none};
    struct options o;

    (void)state;
    memset(name, 'n', sizeof name);
    name[OPTIONS_NAME_MAX] = '\0';
    assert_int_equal(options_parse(&o, &in, why, sizeof why), ERR_OK);
    assert_ptr_equal(o.firezone_name, name);
    name[OPTIONS_NAME_MAX] = 'n';
    name[OPTIONS_NAME_MAX + 1] = '\0';
    assert_int_equal(options_parse(&o, &in, why, sizeof why), ERR_PARSE);
    assert_string_equal(why, "--firezone-name: the name is longer than 255 bytes");
}

/* No option is left out of the text, and no line of it is wider than a terminal. */
static void check_help(const char *help, const struct setting *settings)
{
    for (const struct setting *s = settings; s->kind != SETTING_END; s++) {
        const char *const names[] = {s->name, s->env, s->env_alias};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            if (names[i] && !strstr(help, names[i]))
                fail_msg("the help does not mention %s", names[i]);
        }
    }
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
}

static void test_help(void **state)
{
    struct options o;

    (void)state;
    check_help(options_help_client, options_client);
    check_help(options_help_client, options_engine);
    check_help(options_help_wireguard, options_wireguard);
    check_help(options_help_wireguard, options_engine);
    check_help(options_help_sign_in, options_sign_in);
    check_help(options_help_sign_out, options_sign_out);
    parse_ok(&o, "sign-out --help", "");
    assert_ptr_equal(o.help, options_help_sign_out);
    parse_ok(&o, "standalone --help", "");
    assert_ptr_equal(o.help, options_help_client);
    assert_null(strstr(o.help, "--token "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_tunnel),      cmocka_unit_test(test_actions),
        cmocka_unit_test(test_wrong_usage), cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
