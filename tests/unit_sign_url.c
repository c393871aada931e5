/* SPDX-License-Identifier: Apache-2.0 */
/* The page to sign in on: bases with and without a path, slugs, and what is neither. */
#include "control/sign_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static void test_make(void **state)
{
    static const struct {
        const char *base, *slug, *want;
    } cases[] = {
        {"https://app.firezone.dev", NULL, "https://app.firezone.dev/?as=headless-client"},
        {"https://app.firezone.dev/", NULL, "https://app.firezone.dev/?as=headless-client"},
        {"https://app.firezone.dev", "acme", "https://app.firezone.dev/acme?as=headless-client"},
        {"https://app.firezone.dev/", "acme", "https://app.firezone.dev/acme?as=headless-client"},
        {"http://localhost:8080", "a_b-1", "http://localhost:8080/a_b-1?as=headless-client"},
        {"http://[::1]:8080/x", NULL, "http://[::1]:8080/x?as=headless-client"},
        {"http://[::1]:8080/x/y", "acme", "http://[::1]:8080/acme?as=headless-client"},
        {"https://a?b=c#d", NULL, "https://a/?as=headless-client"},
        {"https://a/p?b=c", "s", "https://a/s?as=headless-client"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char url[SIGN_URL_MAX], why[128];
        assert_int_equal(sign_url_check_base(cases[i].base, why, sizeof why), ERR_OK);
        assert_int_equal(sign_url_make(url, cases[i].base, cases[i].slug), ERR_OK);
        assert_string_equal(url, cases[i].want);
    }
}

static void test_refused(void **state)
{
    static const char *const bases[] = {"",         "wss://a",     "app.firezone.dev",
                                        "https://", "https://u@a", "h"};
    static const char *const slugs[] = {"", "a/b", "a b", "a?b", "caf\xc3\xa9", ".."};
    char why[128], slug[SIGN_SLUG_MAX + 2], base[SIGN_URL_MAX] = "https://a?", url[SIGN_URL_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
        why[0] = '\0';
        assert_int_equal(sign_url_check_base(bases[i], why, sizeof why), ERR_PARSE);
        assert_true(why[0] != '\0');
    }
    for (size_t i = 0; i < ARRAY_LEN(slugs); i++)
        assert_false(sign_url_is_slug(slugs[i]));
    memset(slug, 's', sizeof slug);
    slug[SIGN_SLUG_MAX + 1] = '\0';
    assert_false(sign_url_is_slug(slug));
    slug[SIGN_SLUG_MAX] = '\0';
    assert_true(sign_url_is_slug(slug));
    memset(base + 10, 'q', sizeof base - 11); /* what is long is dropped */
    assert_int_equal(sign_url_make(url, base, slug), ERR_OK);
    base[9] = '/';
    assert_int_equal(sign_url_make(url, base, NULL), ERR_NO_SPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
