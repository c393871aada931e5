/* SPDX-License-Identifier: Apache-2.0 */
/* The `wireguard` command: all flags in all spellings, and what is said about wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "control/options_private.h"
#include "platform/base/bytes.h"

enum {
    ARGS_MAX = 24
};

/* The tunnel's options of `wireguard` come from its flags alone. */
static const char *no_variable(void *ctx, const char *name)
{
    (void)ctx;
    fail_msg("'wireguard' looks at %s", name);
    return NULL;
}

/* Splits `line` at spaces; "~" stands for an empty argument. */
static enum err parse(struct options *o, const char *line, char *why, unsigned why_size)
{
    static char storage[512];
    char *argv[ARGS_MAX + 1], *rest = storage;
    int argc = 0;
    static char program[] = OPTIONS_PROGRAM;

    assert_true(strlen(line) < sizeof storage);
    strcpy(storage, line);
    argv[argc++] = program;
    for (char *word = strtok(rest, " "); word; word = strtok(NULL, " ")) {
        if (strcmp(word, "~") == 0)
            *word = '\0';
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    memset(why, 0, why_size);
    const struct options_input in = {.argc = argc, .argv = argv, .lookup = no_variable};
    return options_parse(o, &in, why, why_size);
}

static void parse_ok(struct options *o, const char *line)
{
    char why[256];
    if (parse(o, line, why, sizeof why) != ERR_OK)
        fail_msg("%s: %s", line, why);
}

static void test_defaults(void **state)
{
    struct options o;

    (void)state;
    parse_ok(&o, "wireguard --config x");
    assert_int_equal(o.action, OPTIONS_RUN_WIREGUARD);
    assert_string_equal(o.config_path, "x");
    assert_string_equal(o.tun_name, "");
    assert_int_equal(o.workers, 0);
    assert_int_equal(o.io, IO_AUTO);
    assert_int_equal(o.crypto, CRYPT_AUTO);
    assert_int_equal(o.helpers, ENGINE_HELPERS_AUTO);
    assert_false(o.source_resolve);
    assert_true(o.steering && o.offloads);
    assert_int_equal(o.log_level, LOG_INFO);
    assert_null(o.dns_asked);
}

static void test_dns_control(void **state)
{
    struct options o;
    char why[256];

    (void)state;
    parse_ok(&o, "wireguard --config x --dns-control etc-resolv-conf");
    assert_int_equal(o.dns, DNS_METHOD_ETC_RESOLV_CONF);
    assert_string_equal(o.dns_asked, "--dns-control");
    parse_ok(&o, "wireguard --dns-control=disabled --config x --dns-control=systemd-resolved");
    assert_int_equal(o.dns, DNS_METHOD_SYSTEMD_RESOLVED);
    parse_ok(&o, "wireguard --config x --dns-control disabled");
    assert_int_equal(o.dns, DNS_METHOD_DISABLED);
    assert_int_equal(parse(&o, "wireguard --config x --dns-control x", why, sizeof why), ERR_PARSE);
    assert_string_equal(
        why, "--dns-control: 'x' is none of disabled, etc-resolv-conf, systemd-resolved");
}

static void test_all_flags(void **state)
{
    static const char *const lines[] = {
        "wireguard --config /a/wg0.conf --tun fz7 --workers 3 --io epoll --crypto boringssl --source-ip "
        "resolve --no-steering --no-offload --log-level trace --check",
        "wireguard --log-level=trace --no-offload --no-steering --source-ip=resolve --crypto=boringssl "
        "--io=epoll --workers=3 --tun=fz7 --check -c /a/wg0.conf",
        "wireguard -c/a/wg0.conf --io uring --io epoll --tun=a --tun=fz7 --workers 003 --crypto=boringssl "
        "--source-ip=resolve --no-steering --no-offload --log-level trace --check",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct options o;
        parse_ok(&o, lines[i]);
        assert_int_equal(o.action, OPTIONS_CHECK_WIREGUARD);
        assert_string_equal(o.config_path, "/a/wg0.conf");
        assert_string_equal(o.tun_name, "fz7");
        assert_int_equal(o.workers, 3);
        assert_int_equal(o.io, IO_EPOLL);
        assert_int_equal(o.crypto, CRYPT_BORINGSSL);
        assert_true(o.source_resolve);
        assert_false(o.steering || o.offloads);
        assert_int_equal(o.log_level, LOG_TRACE);
    }
}

static void test_tun_name_from_file(void **state)
{
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"wg0.conf", "wg0"},
        {"/etc/wireguard/my-net_1.conf", "my-net_1"},
        {"./a.conf", "a"},
        {"abcdefghijklmno.conf", "abcdefghijklmno"},
        {"abcdefghijklmnop.conf", ""},
        {"wg0.cfg", ""},
        {".conf", ""},
        {"/x/.conf", ""},
        {"/x.conf/y", ""},
        {"a%d.conf", ""},
        {"...conf", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options o;
        char line[64] = "wireguard --config ";
        strcat(line, cases[i].path);
        parse_ok(&o, line);
        assert_string_equal(o.tun_name, cases[i].name);
    }
}

static void test_help_and_version(void **state)
{
    struct options o;

    (void)state;
    parse_ok(&o, "--help");
    assert_int_equal(o.action, OPTIONS_HELP);
    assert_ptr_equal(o.help, options_help_client);
    assert_non_null(strstr(o.help, "wireguard"));
    parse_ok(&o, "-h");
    assert_int_equal(o.action, OPTIONS_HELP);
    parse_ok(&o, "--version");
    assert_int_equal(o.action, OPTIONS_VERSION);
    parse_ok(&o, "-V");
    assert_int_equal(o.action, OPTIONS_VERSION);
    parse_ok(&o, "wireguard --help --nonsense");
    assert_int_equal(o.action, OPTIONS_HELP);
    static const char *const flags[] = {
        "--config", "--check",     "--tun",         "--workers",    "--io",
        "--crypto", "--source-ip", "--no-steering", "--no-offload", "--log-level"};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        assert_non_null(strstr(o.help, flags[i]));
}

static void test_wrong_usage(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"~", "unknown command ''"},
        {"up", "unknown command 'up'"},
        {"--foo", "unknown option '--foo'"},
        {"-x", "unknown option '-x'"},
        {"--version=3", "option '--version' takes no value"},
        {"--config x wireguard", "unknown option '--config'"},
        {"--workers 3 wireguard --config x", "the options of 'wireguard' must stand behind it"},
        {"wireguard --conf x", "unknown option '--conf'"},
        {"wireguard --api-url wss://x", "unknown option '--api-url'"},
        {"wireguard", "wireguard: --config FILE is missing"},
        {"wireguard --check", "wireguard: --config FILE is missing"},
        {"wireguard --config", "option '--config' needs a value"},
        {"wireguard -c", "option '-c' needs a value"},
        {"wireguard --config ~", "--config: the name of the file is empty"},
        {"wireguard --config=", "--config: the name of the file is empty"},
        {"wireguard --config x y", "unexpected argument 'y'"},
        {"wireguard y --config x", "unexpected argument 'y'"},
        {"wireguard --config x -- --check", "unexpected argument '--check'"},
        {"wireguard --bar", "unknown option '--bar'"},
        {"wireguard --check=1 --config x", "option '--check' takes no value"},
        {"wireguard --check -zh", "unknown option '-z'"},
        {"wireguard --config x --workers 0", "--workers: '0' is not a number from 1 to 64"},
        {"wireguard --config x --workers 65", "--workers: '65' is not a number from 1 to 64"},
        {"wireguard --config x --workers=-1", "--workers: '-1' is not a number from 1 to 64"},
        {"wireguard --config x --workers 2x", "--workers: '2x' is not a number from 1 to 64"},
        {"wireguard --config x --workers ~", "--workers: '' is not a number from 1 to 64"},
        {"wireguard --config x --io select", "--io: 'select' is none of auto, uring, epoll"},
        {"wireguard --config x --helpers few", "--helpers: 'few' is none of auto, off, always"},
        {"wireguard --config x --crypto rot13",
         "--crypto: 'rot13' is none of auto, avx512, boringssl"},
        {"wireguard --config x --source-ip no", "--source-ip: 'no' is none of mark, resolve"},
        {"wireguard --config x --log-level loud",
         "--log-level: 'loud' is none of error, warn, info, debug, trace"},
        {"wireguard --config x --tun ~",
         "--tun: '' is not the name of an interface (1 to 15 of A-Z a-z 0-9 _=+.-)"},
        {"wireguard --config x --tun a/b",
         "--tun: 'a/b' is not the name of an interface (1 to 15 of A-Z a-z 0-9 _=+.-)"},
        {"wireguard --config x --tun abcdefghijklmnop",
         "--tun: 'abcdefghijklmnop' is not the name of an interface (1 to 15 of A-Z a-z 0-9 _=+.-)"},
        {"wireguard --config x --tun ..",
         "--tun: '..' is not the name of an interface (1 to 15 of A-Z a-z 0-9 _=+.-)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options o;
        char why[256];
        assert_int_equal(parse(&o, cases[i].line, why, sizeof why), ERR_PARSE);
        assert_string_equal(why, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),         cmocka_unit_test(test_dns_control),
        cmocka_unit_test(test_all_flags),        cmocka_unit_test(test_tun_name_from_file),
        cmocka_unit_test(test_help_and_version), cmocka_unit_test(test_wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
