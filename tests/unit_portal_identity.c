/* SPDX-License-Identifier: Apache-2.0 */
/* The device's identifier against the check values of the specification, and the User-Agent. */
#include "control/portal/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define UUID "7cc8d8a2-6f2b-4f0c-9c0e-3f9a4b2f6a11"

static void test_machine_id(void **state)
{
    static const char id[] = "0123456789abcdef0123456789abcdef\n";
    char out[IDENTITY_HEX_LEN + 1], gateway[IDENTITY_HEX_LEN + 1];
    (void)state;
    identity_from_machine_id(out, IDENTITY_KEY_CLIENT, id, sizeof id - 1);
    assert_string_equal(out, "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c");
    identity_from_machine_id(gateway, IDENTITY_KEY_GATEWAY, id, sizeof id - 1);
    assert_string_not_equal(gateway, out);
    identity_from_machine_id(gateway, IDENTITY_KEY_CLIENT, id, sizeof id - 2); /* no line feed */
    assert_string_not_equal(gateway, out);
}

static void test_external_id(void **state)
{
    static const struct {
        const char *id, *want; /* NULL: refused */
    } cases[] = {
        {UUID, "daac79fd0567c694cbcca8a20f092e029fe430f1dfe046ebf3b6c0e909c92c1f"},
        {"my-laptop", "my-laptop"},
        {"25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c",
         "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c"},
        {"", NULL},
        {"two\nlines", NULL},
        {"caf\xc3\xa9", NULL},
    };
    char out[IDENTITY_EXTERNAL_ID_MAX + 1], text[IDENTITY_EXTERNAL_ID_MAX + 2];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i].id);
        enum err err = identity_external_id(out, cases[i].id);
        assert_int_equal(err, cases[i].want ? ERR_OK : ERR_INVALID);
        if (cases[i].want)
            assert_string_equal(out, cases[i].want);
    }
    memset(text, 'a', sizeof text);
    text[IDENTITY_EXTERNAL_ID_MAX + 1] = 0;
    assert_int_equal(identity_external_id(out, text), ERR_INVALID);
    text[IDENTITY_EXTERNAL_ID_MAX] = 0;
    assert_int_equal(identity_external_id(out, text), ERR_OK);
    assert_string_equal(out, text);
}

static void test_uuid_forms(void **state)
{
    static const char *const yes[] = {UUID, ("{" UUID "}"), ("urn:uuid:" UUID),
                                      "7cc8d8a26f2b4f0c9c0e3f9a4b2f6a11",
                                      "7CC8D8A2-6F2B-4F0C-9C0E-3F9A4B2F6A11"};
    static const char *const no[] = {"",
                                     "7cc8d8a2",
                                     ("{" UUID),
                                     ("(" UUID ")"),
                                     ("URN:UUID:" UUID),
                                     "urn:uuid:7cc8d8a26f2b4f0c9c0e3f9a4b2f6a11",
                                     "7cc8d8a2-6f2b-4f0c-9c0e-3f9a4b2f6a1g",
                                     "7cc8d8a26-f2b-4f0c-9c0e-3f9a4b2f6a11",
                                     "7cc8d8a26f2b4f0c9c0e3f9a4b2f6a11-",
                                     "7cc8d8a26f2b4f0c9c0e3f9a4b2f6a1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(identity_is_uuid(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        print_message("%s\n", no[i]);
        assert_false(identity_is_uuid(no[i]));
    }
}

static void test_user_agent(void **state)
{
    struct identity_agent a = {.os = "Ubuntu",
                               .os_version = "22.4.0",
                               .component = "headless-client",
                               .version = "1.5.12",
                               .arch = "x86_64",
                               .kernel = "6.8.0-40-generic"};
    char out[IDENTITY_USER_AGENT_MAX + 1];
    (void)state;
    assert_int_equal(identity_user_agent(out, sizeof out, &a), ERR_OK);
    assert_string_equal(out, "Ubuntu/22.4.0 headless-client/1.5.12 (x86_64; 6.8.0-40-generic)");
    assert_int_equal(identity_user_agent(out, strlen(out) + 1, &a), ERR_OK);
    assert_int_equal(identity_user_agent(out, strlen(out), &a), ERR_NO_SPACE);
    a.arch = NULL;
    a.os = "Arch Linux/\xc3\xbc\r\n";
    a.os_version = "\xff";
    assert_int_equal(identity_user_agent(out, sizeof out, &a), ERR_OK);
    assert_string_equal(out, "Arch-Linux-/unknown headless-client/1.5.12");
}

static void test_versions(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {{"1.5.12", true},   {"0.0.0", true},     {"10.20.30", true}, {"1.5", false},
                 {"", false},        {"1.5.12.1", false}, {"v1.5.12", false}, {"1.05.1", false},
                 {"1..2", false},    {"1.5.", false},     {"1.5.x", false},   {"1.5.12 ", false},
                 {"1.5.1-rc", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct identity_agent a = {.os = "Debian",
                                         .os_version = "12",
                                         .component = "headless-client",
                                         .version = cases[i].text};
        char out[IDENTITY_USER_AGENT_MAX + 1];
        print_message("%s\n", cases[i].text);
        assert_int_equal(identity_user_agent(out, sizeof out, &a),
                         cases[i].good ? ERR_OK : ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine_id), cmocka_unit_test(test_external_id),
        cmocka_unit_test(test_uuid_forms), cmocka_unit_test(test_user_agent),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
