/* SPDX-License-Identifier: Apache-2.0 */
/* The set of relays: two addresses become one relay, changes are reported, what is wrong is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/relays.h"
#include "platform/base/bytes.h"

#define ID_A "60e05bd1-b195-4f2f-9411-2fa7197a5c88"
#define ID_B "70e05bd1-b195-4f2f-9411-2fa7197a5c88"

struct heard {
    char text[512];
    size_t len;
};

static void on_change(void *arg, enum relay_change change, const struct relay *r)
{
    static const char signs[] = {[RELAY_ADDED] = '+', [RELAY_CHANGED] = '~', [RELAY_REMOVED] = '-'};
    struct heard *h = arg;
    h->len += (size_t)snprintf(h->text + h->len, sizeof h->text - h->len, "%c%02x:%s%s%s ",
                               signs[change], r->id.bytes[0], r->v4.ip.family ? "4" : "",
                               r->v6.ip.family ? "6" : "", r->username);
}

static void expect_heard(struct heard *h, const char *text)
{
    assert_string_equal(h->text, text);
    memset(h, 0, sizeof *h);
}

static void upsert(struct relays *s, const char *text)
{
    json_error_t error;
    json_t *list = json_loads(text, 0, &error);
    assert_non_null(list);
    relays_upsert(s, list);
    json_decref(list);
}

#define TURN(id, addr, user)                                                                       \
    "{\"id\":\"" id "\",\"type\":\"turn\",\"addr\":\"" addr "\",\"username\":\"" user              \
    "\",\"password\":\"p\",\"expires_at\":1785600000}"

static void test_changes(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct relays s;
    json_t *gone;

    relays_init(&s, on_change, &h);
    upsert(&s, "[" TURN(ID_A, "203.0.113.7:3478", "u") "," TURN(
                   ID_A, "[2001:db8::7]:3478", "u") "," TURN(ID_B, "198.51.100.4:3478", "v") "]");
    expect_heard(&h, "+60:46u +70:4v ");
    assert_int_equal(s.n, 2);
    upsert(&s, "[" TURN(ID_B, "198.51.100.4:3478", "v") "]");
    expect_heard(&h, "");
    upsert(&s, "[" TURN(ID_B, "198.51.100.4:3478", "w") "]");
    expect_heard(&h, "~70:4w ");

    gone = json_pack("[s, s, i]", ID_A, "00000000-0000-4000-8000-000000000000", 7);
    relays_remove(&s, gone);
    json_decref(gone);
    expect_heard(&h, "-60:46u ");
    assert_int_equal(s.n, 1);
    assert_string_equal(s.list[0].username, "w");
    relays_upsert(&s, NULL);
    relays_remove(&s, NULL);
    expect_heard(&h, "");
    relays_fini(&s);
}

static void test_bad_elements(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct relays s;
    char text[2048], user[RELAY_CREDENTIAL_MAX + 2];

    memset(user, 'u', sizeof user - 1);
    user[sizeof user - 1] = '\0';
    relays_init(&s, on_change, &h);
    upsert(&s, "[7, {\"id\":\"" ID_A "\",\"type\":\"stun\",\"addr\":\"203.0.113.7:3478\"},"
               "{\"id\":\"" ID_A "\",\"type\":\"turn\",\"addr\":\"203.0.113.7\"}]");
    snprintf(text, sizeof text,
             "[{\"id\":\"" ID_A
             "\",\"type\":\"turn\",\"addr\":\"203.0.113.7:1\",\"username\":\"%s\","
             "\"password\":\"p\",\"expires_at\":1}," TURN(ID_B, "203.0.113.7:1", "v") "]",
             user);
    upsert(&s, text);
    expect_heard(&h, "+70:4v ");
    relays_fini(&s);
}

static void test_too_many(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct relays s;
    char text[4096] = "[";

    for (unsigned i = 0; i <= RELAYS_MAX; i++)
        snprintf(
            text + strlen(text), sizeof text - strlen(text),
            "%s{\"id\":\"%02x000000-0000-4000-8000-000000000000\",\"type\":\"turn\","
            "\"addr\":\"192.0.2.1:%u\",\"username\":\"u\",\"password\":\"p\",\"expires_at\":1}",
            i ? "," : "", i, i + 1);
    strcat(text, "]");
    relays_init(&s, on_change, &h);
    upsert(&s, text);
    assert_int_equal(s.n, RELAYS_MAX);
    memset(&h, 0, sizeof h);
    upsert(&s, "[" TURN(ID_B, "192.0.2.1:1", "v") "]");
    expect_heard(&h, "-00:4u +70:4v ");
    assert_int_equal(s.n, RELAYS_MAX);
    relays_fini(&s);
    for (unsigned i = 0; i < sizeof s.list; i++)
        assert_int_equal(((const uint8_t *)s.list)[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_bad_elements),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
