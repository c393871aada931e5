/* SPDX-License-Identifier: Apache-2.0 */
/* The portal's address and the request target made from it. */
#include "control/portal/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static void test_good(void **state)
{
    static const struct {
        const char *text;
        bool tls;
        const char *host;
        uint16_t port;
        const char *path;
    } cases[] = {
        {"wss://api.firezone.dev/", true, "api.firezone.dev", 443, "/"},
        {"wss://api.firezone.dev", true, "api.firezone.dev", 443, "/"},
        {"https://API.Firezone.DEV:8443/a/b/", true, "api.firezone.dev", 8443, "/a/b"},
        {"ws://portal:8081", false, "portal", 8081, "/"},
        {"ws://portal", false, "portal", 443, "/"},
        {"http://portal:80?x=1", false, "portal", 80, "/"},
        {"HTTP://portal:/a#b", false, "portal", 443, "/a"},
        {"ws://127.0.0.1:8081/x?y", false, "127.0.0.1", 8081, "/x"},
        {"wss://[2001:DB8::7]:8443/", true, "2001:db8::7", 8443, "/"},
        {"wss://[::1]", true, "::1", 443, "/"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        char why[128];
        print_message("%s\n", cases[i].text);
        assert_int_equal(url_parse(&url, cases[i].text, why, sizeof why), ERR_OK);
        assert_int_equal(url.tls, cases[i].tls);
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_string_equal(url.path, cases[i].path);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "begin with"},
        {"api.firezone.dev", "begin with"},
        {"ftp://api.firezone.dev", "begin with"},
        {"wsss://api.firezone.dev", "begin with"},
        {"://api.firezone.dev", "begin with"},
        {"wss://", "host"},
        {"wss:///x", "host"},
        {"wss://:443", "host"},
        {"wss://a b/", "host"},
        {"wss://b\xc3\xbc"
         "cher.example/",
         "host"},
        {"wss://user:secret@host/", "user name"},
        {"wss://host:0", "port"},
        {"wss://host:65536", "port"},
        {"wss://host:99999999999999999999", "port"},
        {"wss://host:-1", "port"},
        {"wss://host:8x", "port"},
        {"wss://[::1", "']'"},
        {"wss://[::1]x", "port"},
        {"wss://[]/", "host"},
        {"wss://[portal]/", "host"},
        {"wss://[127.0.0.1]/", "host"},
        {"wss://host/a b", "path"},
        {"wss://host/\r\nX-Evil: 1", "path"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        char why[128] = "";
        print_message("%s\n", cases[i].text);
        assert_int_equal(url_parse(&url, cases[i].text, why, sizeof why), ERR_PARSE);
        assert_non_null(strstr(why, cases[i].why));
        assert_null(strstr(why, "secret"));
    }
}

static void test_long(void **state)
{
    char text[1200], why[128];
    struct url url;
    (void)state;

    snprintf(text, sizeof text, "wss://%0253d/", 0);
    assert_int_equal(url_parse(&url, text, why, sizeof why), ERR_OK);
    snprintf(text, sizeof text, "wss://%0254d/", 0);
    assert_int_equal(url_parse(&url, text, why, sizeof why), ERR_PARSE);
    snprintf(text, sizeof text, "wss://h/%0510d", 0);
    assert_int_equal(url_parse(&url, text, why, sizeof why), ERR_OK);
    snprintf(text, sizeof text, "wss://h/%0511d", 0);
    assert_int_equal(url_parse(&url, text, why, sizeof why), ERR_PARSE);
}

static void test_target(void **state)
{
    const struct url_param params[] = {{"external_id", "daac79fd"},
                                       {"name", "build+box 7/\xc3\xa4"},
                                       {"device_serial", NULL},
                                       {"public_key", "AAEC/w+Hh8="},
                                       {NULL, NULL}};
    const char *want = "/client/v2/websocket?external_id=daac79fd&name=build%2Bbox+7%2F%C3%A4"
                       "&public_key=AAEC%2Fw%2BHh8%3D";
    const struct url_param none[] = {{"name", NULL}, {NULL, NULL}};
    struct url url;
    char why[128], out[256];
    (void)state;

    assert_int_equal(url_parse(&url, "wss://h/", why, sizeof why), ERR_OK);
    assert_int_equal(url_target(out, sizeof out, &url, "client/v2/websocket", params), ERR_OK);
    assert_string_equal(out, want);
    assert_int_equal(url_target(out, strlen(want) + 1, &url, "client/v2/websocket", params),
                     ERR_OK);
    assert_int_equal(url_target(out, strlen(want), &url, "client/v2/websocket", params),
                     ERR_NO_SPACE);
    assert_int_equal(url_parse(&url, "wss://h/base/path/", why, sizeof why), ERR_OK);
    assert_int_equal(url_target(out, sizeof out, &url, "relay/websocket", none), ERR_OK);
    assert_string_equal(out, "/base/path/relay/websocket");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
