/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the development relay by themselves: credentials, random values, nonces, the table of allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/hex.h"
#include "tools/fzportal/derive.h"
#include "tools/fzrelay/allocations.h"
#include "tools/fzrelay/credentials.h"
#include "tools/fzrelay/nonces.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static struct stun_text text_of(const char *text)
{
    return (struct stun_text){.bytes = (const uint8_t *)text, .len = (uint16_t)strlen(text)};
}

/* The vectors of the specification: from a username to the key, and messages made with it. */
static void test_credentials(void **state)
{
    static const char *const messages[] = {
        "000300582112a4420102030405060708090a0b0c0019000411000000800000040200000080220007736e6f776e65"
        "740000060011313930303030303030303a63324673644100000000140008666972657a6f6e650008001433415"
        "66f5872308d4379f6d0ee54821ec9750da7",
        "000900842112a4420102030405060708090a0b0c001200080001ec83ea12d545000c00044000000080220007736e"
        "6f776e65740000060011313930303030303030303a63324673644100000000140008666972657a6f6e6500150"
        "02431313131313131312d323232322d343333332d383434342d35353535353535353535353500080014a94705"
        "98384a7806e4a8a58df3a0ff4ec697a9a5"};
    uint8_t bytes[256], key[STUN_KEY_LEN], wanted[STUN_KEY_LEN];
    struct credentials c;
    struct stun_message m;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        uint32_t len = hex_decode(bytes, sizeof bytes, messages[i]);
        assert_int_equal(stun_parse(&m, bytes, len), ERR_OK);
        assert_true(credentials_parse(&c, m.username));
        assert_int_equal(c.expiry, 1900000000);
        assert_string_equal(c.salt, "c2FsdA");
        credentials_key(key, &c, ZEROS);
        hex_decode(wanted, sizeof wanted, "a440636b915db50fb08a702fcc249a75");
        assert_memory_equal(key, wanted, sizeof key);
        assert_true(stun_integrity_ok(&m, key, sizeof key));
    }
    char password[DERIVE_RELAY_PASSWORD_LEN + 1];
    derive_relay_password(password, 1685984278, "1cab293a-4032-46f4-862a-40e5d174b0d2",
                          "uvdgKvS9GXYZ_vmv");
    assert_string_equal(password, "6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg");
}

static void test_username_with_zero(void **state)
{
    struct credentials c;
    (void)state;

    struct stun_text t = {.bytes = (const uint8_t *)"1:a\0b", .len = 5};
    assert_false(credentials_parse(&c, t));
    t.len = 3;
    assert_true(credentials_parse(&c, t));
    char longest[STUN_USERNAME_MAX + 2];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "1:", 2);
    longest[STUN_USERNAME_MAX] = '\0';
    assert_true(credentials_parse(&c, text_of(longest)));
    assert_string_equal(c.username, longest);
}

static void test_draw(void **state)
{
    static const uint8_t seed[DRAW_SEED_LEN] = {1};
    struct draw a, b;
    (void)state;

    draw_init(&a, seed);
    draw_init(&b, seed);
    uint64_t first = draw_u64(&a);
    assert_int_equal(first, draw_u64(&b));
    assert_int_not_equal(first, draw_u64(&a));
    draw_wipe(&a);
    assert_int_equal(a.seed[0], 0);
}

static void test_nonce_cases(void **state)
{
    static const uint8_t seed[DRAW_SEED_LEN] = {1};
    struct sock_addr client = {.ip = {ADDR_V4, {192, 0, 2, 1}}, .port = 1};
    struct draw draw;
    struct nonces s;
    char text[NONCE_LEN + 1], again[NONCE_LEN + 1];
    (void)state;

    draw_init(&draw, seed);
    nonces_init(&s, 8, &draw);
    nonces_issue(&s, &client, &draw, text);
    nonces_issue(&s, &client, &draw, again);
    assert_string_equal(text, again);
    for (char *c = again; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 32 : *c);
    assert_int_equal(nonces_use(&s, &client, text_of(again)), NONCE_GOOD);
    again[0] = again[0] == '0' ? '1' : '0';
    assert_int_equal(nonces_use(&s, &client, text_of(again)), NONCE_STALE);
    assert_int_equal(nonces_use(&s, &client, (struct stun_text){.len = 0}), NONCE_NONE);
    nonces_forget_client(&s, &client);
    assert_int_equal(nonces_use(&s, &client, text_of(text)), NONCE_STALE);
    nonces_forget_client(&s, &client);
    assert_int_equal(s.used, 0);
    nonces_fini(&s);
}

/* ---- the table of allocations, against a plain list ---- */

enum {
    SIZE = 40,
    CLIENTS = 60,
    STEPS = 20000
};

struct plain {
    bool there;
    struct allocation *a;
    time_ns expires_at;
};

static struct sock_addr client_of(unsigned i)
{
    return (struct sock_addr){.ip = {ADDR_V6, {0x20, 1, 0xd, 0xb8, [15] = (uint8_t)(i % 7)}},
                              .port = (uint16_t)(1000 + i)};
}

static void user_of(uint8_t user[CREDENTIALS_USER_LEN], unsigned i)
{
    memset(user, 0, CREDENTIALS_USER_LEN);
    user[i % 2 ? 0 : 31] = (uint8_t)(i + 1);
}

static void compare(const struct allocations *s, const struct plain *plain)
{
    unsigned n = 0;
    time_ns first = TIME_NEVER;

    for (unsigned i = 0; i < CLIENTS; i++) {
        uint8_t user[CREDENTIALS_USER_LEN];
        struct sock_addr client = client_of(i);
        user_of(user, i);
        struct allocation *wanted = plain[i].there ? plain[i].a : NULL;
        assert_ptr_equal(allocations_of_client(s, &client), wanted);
        assert_ptr_equal(allocations_of_user(s, user), wanted);
        if (!wanted)
            continue;
        n++;
        first = time_min(first, plain[i].expires_at);
        assert_ptr_equal(allocations_of_port(s, wanted->port), wanted);
        assert_true(wanted->port >= 1000 && wanted->port < 1000 + SIZE + 5);
    }
    assert_int_equal(s->used, n);
    assert_int_equal(n > 0 ? allocations_first(s)->expires_at : TIME_NEVER, first);
}

static void step(struct allocations *s, struct plain *p, unsigned i, struct draw *draw)
{
    uint64_t random = draw_u64(draw);
    time_ns at = random >> 40;
    struct allocation with = {.client = client_of(i), .families = 1, .expires_at = at};

    user_of(with.user, i);
    if (!p->there) {
        bool room = allocations_have_room(s);
        p->a = allocations_add(s, &with, draw);
        assert_int_equal(p->a != NULL, room);
        p->there = p->a != NULL;
        p->expires_at = at;
    } else if (random & 1) {
        allocations_remove(s, p->a);
        p->there = false;
    } else {
        allocations_extend(s, p->a, at);
        p->expires_at = at;
    }
}

static void test_allocations(void **state)
{
    static const uint8_t seed[DRAW_SEED_LEN] = {9};
    struct plain plain[CLIENTS] = {{0}};
    bool open[65536] = {false};
    struct allocations s;
    struct relay_port port;
    struct draw draw;
    unsigned full = 0;
    (void)state;

    draw_init(&draw, seed);
    allocations_init(&s, 1000, 1000 + SIZE + 4, SIZE, &draw);
    for (unsigned n = 0; n < STEPS; n++) {
        unsigned i = (unsigned)(draw_u64(&draw) % CLIENTS);
        full += !allocations_have_room(&s);
        step(&s, &plain[i], i, &draw);
        if (n % 16 == 0)
            compare(&s, plain);
        while (draw_u64(&draw) % 4 && allocations_report(&s, &port)) {
            assert_int_equal(open[port.port], !port.open);
            open[port.port] = port.open;
        }
    }
    assert_true(full > 100);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (plain[i].there)
            allocations_remove(&s, plain[i].a);
    }
    while (allocations_report(&s, &port))
        open[port.port] = port.open;
    for (unsigned i = 0; i < 65536; i++)
        assert_false(open[i]);
    assert_int_equal(s.ports_used, 0);
    allocations_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials), cmocka_unit_test(test_username_with_zero),
        cmocka_unit_test(test_draw),        cmocka_unit_test(test_nonce_cases),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
