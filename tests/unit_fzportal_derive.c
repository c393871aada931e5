/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal computes for its peers, against check values from elsewhere. */
#include "tools/fzportal/derive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT_ID  "11111111-1111-4111-8111-111111111111"
#define GATEWAY_ID "22222222-2222-4222-8222-222222222222"
#define ZEROS      "0000000000000000000000000000000000000000000000000000000000000000"

struct ends {
    uint8_t base_a[DERIVE_BASE_LEN], base_b[DERIVE_BASE_LEN];
    char key_a[KEY_BASE64_LEN + 1], key_b[KEY_BASE64_LEN + 1];
    struct derive_end a, b;
};

static void make_ends(struct ends *e)
{
    uint8_t key[2 * KEY_LEN];
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    key_base64_encode(e->key_a, key);
    key_base64_encode(e->key_b, key + KEY_LEN);
    memset(e->base_a, 1, sizeof e->base_a);
    memset(e->base_b, 2, sizeof e->base_b);
    e->a = (struct derive_end){CLIENT_ID, e->key_a, e->base_a};
    e->b = (struct derive_end){GATEWAY_ID, e->key_b, e->base_b};
}

static void test_preshared_keys(void **state)
{
    struct ends e;
    char psk[KEY_BASE64_LEN + 1];
    (void)state;

    make_ends(&e);
    assert_string_equal(e.key_a, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    derive_psk_gateway(psk, &e.a, &e.b);
    assert_string_equal(psk, "nf/zxFPO6UthXqXx5mQvtNZLT0cwCJiO6nYyJhnspc4=");
    derive_psk_client(psk, &e.a, &e.b);
    assert_string_equal(psk, "nWlL3cVFGIJXD5dqrU6tE+pFnSYNW6XMcBgz04r21is=");
}

static void test_ice(void **state)
{
    struct ends e;
    struct derive_ice i, r;
    (void)state;

    make_ends(&e);
    derive_ice(&i, &r, &e.a, &e.b);
    assert_string_equal(i.username, "w7up");
    assert_string_equal(i.password, "ksqwm66pilnb7skdwwfw3r");
    assert_string_equal(r.username, "kwe6");
    assert_string_equal(r.password, "mzkrj52x5h5ebrfdsh5iyq");
}

static void test_relays(void **state)
{
    struct ends e;
    struct derive_relay c;
    char id[UUID_TEXT_MAX];
    (void)state;

    make_ends(&e);
    derive_relay(&c, 1785600000, ZEROS, e.key_a);
    assert_string_equal(c.username, "1785600000:kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY");
    assert_string_equal(c.password, "Cq2DMrvzZ8gxMW0tnCzfNVSWP2yOXgaEP6Sr049zZaY");
    struct uuid uuid = derive_relay_id(ZEROS);
    uuid_format(&uuid, id);
    assert_string_equal(id, "60e05bd1-b195-4f2f-9411-2fa7197a5c88");
    derive_relay_password(c.password, 1892160000,
                          "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab",
                          "n23JJ2wKKtt30oXi");
    assert_string_equal(c.password, "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68");
}

/* SHA-256 of "abc", FIPS 180-4. */
static void test_seed(void **state)
{
    uint8_t seed[32];
    (void)state;

    derive_seed(seed, "abc");
    assert_memory_equal(seed,
                        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
                        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
                        sizeof seed);
}

static void test_seeded(void **state)
{
    static const uint8_t seed[32] = {1}, other[32] = {2};
    struct uuid a = derive_seeded_uuid(seed, "x", "y"), b = derive_seeded_uuid(seed, "xy", ""),
                c = derive_seeded_uuid(other, "x", "y"), again = derive_seeded_uuid(seed, "x", "y");
    (void)state;

    assert_memory_equal(&a, &again, sizeof a);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &c, sizeof a);
    assert_int_equal(a.bytes[6] >> 4, 4);
    assert_int_equal(a.bytes[8] >> 6, 2);
}

static void test_base64(void **state)
{
    static const struct {
        const char *data, *plain, *url;
    } cases[] = {{"", "", ""},
                 {"a", "YQ", "YQ"},
                 {"ab", "YWI", "YWI"},
                 {"abc", "YWJj", "YWJj"},
                 {"\xfb\xff\xfe", "+//+", "-__-"}};
    char text[DERIVE_BASE64_SIZE(8)];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].data);
        assert_int_equal(derive_base64(text, cases[i].data, len, false), strlen(cases[i].plain));
        assert_string_equal(text, cases[i].plain);
        derive_base64(text, cases[i].data, len, true);
        assert_string_equal(text, cases[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preshared_keys), cmocka_unit_test(test_ice),
        cmocka_unit_test(test_relays),         cmocka_unit_test(test_seeded),
        cmocka_unit_test(test_base64),         cmocka_unit_test(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
