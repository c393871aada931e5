/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS tables: whole ones, those without the structure or its strings, and damaged ones. */
#include "control/dmi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define BIOS                                                                                       \
    "\x00\x06\x00\x00\x01\x02"                                                                     \
    "Maker\0"                                                                                      \
    "1.0\0"                                                                                        \
    "\0"
#define NO_TEXT                                                                                    \
    "\x10\x05\x10\x00\xff"                                                                         \
    "\0\0"
#define UUID                 "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
#define UUID_WANT            "00112233-4455-6677-8899-aabbccddeeff"
#define ZERO                 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ONES                 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
#define SYSTEM(uuid, number) "\x01\x1b\x01\x00\x01\x02\x03" number uuid "\x06\x05\x06"
#define STRINGS(serial)                                                                            \
    "Maker\0"                                                                                      \
    "Model\0"                                                                                      \
    "1\0" serial "\0"                                                                              \
    "sku\0"                                                                                        \
    "family\0"                                                                                     \
    "\0"
#define END                                                                                        \
    "\x7f\x04\xfe\xff"                                                                             \
    "\0\0"

struct table {
    const char *bytes;
    size_t len;
    const char *serial, *uuid;
};
#define TABLE(text) text, sizeof(text) - 1

static void parse(struct dmi *out, const char *bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1); /* so that one byte too many is seen */
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    dmi_parse(out, copy, len);
    free(copy);
}

static void test_tables(void **state)
{
    static const struct table tables[] = {
        {TABLE(BIOS SYSTEM(UUID, "\x04") STRINGS("MN06PQRS") END), "MN06PQRS", UUID_WANT},
        {TABLE(NO_TEXT BIOS NO_TEXT SYSTEM(UUID, "\x04") STRINGS(" a b ") END), "a b", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x04") STRINGS("x")), "x", UUID_WANT}, /* no end */
        {TABLE(SYSTEM(UUID, "\x04") STRINGS("123456789") END), "", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x04") STRINGS("1234567890") END), "1234567890", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x04") STRINGS("   ") END), "", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x04") STRINGS("caf\xc3\xa9") END), "", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x00") STRINGS("x") END), "", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x07") STRINGS("x") END), "", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\xff") STRINGS("x") END), "", UUID_WANT},
        {TABLE(SYSTEM(UUID, "\x04") "\0\0" END), "", UUID_WANT},
        {TABLE(SYSTEM(ZERO, "\x04") STRINGS("x") END), "x", ""},
        {TABLE(SYSTEM(ONES, "\x04") STRINGS("x") END), "x", ""},
        {TABLE("\x01\x08\x01\x00\x01\x02\x03\x01"
               "old\0\0" END),
         "old", ""},
        {TABLE("\x01\x07\x01\x00\x01\x02\x03"
               "old\0\0" END),
         "", ""},
        {TABLE("\x01\x17\x01\x00\x01\x02\x03\x01" UUID "old\0\0" END), "", ""}, /* a byte too few */
        {TABLE(BIOS END SYSTEM(UUID, "\x04") STRINGS("x")), "", ""},
        {TABLE(BIOS END), "", ""},
        {TABLE(""), "", ""},
        {TABLE("\x01\x03\x01\x00"
               "\0\0"),
         "", ""},
        {TABLE("\x01\xff\x01\x00"
               "\0\0"),
         "", ""},
        {TABLE("\x01\x04\x01\x00"), "", ""},
        {TABLE("\x01\x04\x01\x00"
               "\0"),
         "", ""},
        {TABLE("\x01\x04\x01\x00"
               "endless"),
         "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        struct dmi dmi;
        parse(&dmi, tables[i].bytes, tables[i].len);
        if (strcmp(dmi.serial, tables[i].serial) != 0 || strcmp(dmi.uuid, tables[i].uuid) != 0)
            fail_msg("table %zu: '%s' '%s'", i, dmi.serial, dmi.uuid);
    }
}

/* Wherever it is cut, the answer is the whole one or none. */
static void test_cut(void **state)
{
    static const char table[] = BIOS NO_TEXT SYSTEM(UUID, "\x04") STRINGS("MN06PQRS") END;

    (void)state;
    for (size_t len = 0; len < sizeof table; len++) {
        struct dmi dmi;
        parse(&dmi, table, len);
        assert_true(dmi.serial[0] ? strcmp(dmi.serial, "MN06PQRS") == 0 : dmi.uuid[0] == '\0');
    }
}

static void test_long_serial(void **state)
{
    static const char head[] = "\x01\x08\x01\x00\x01\x02\x03\x01";
    char table[sizeof head + DMI_SERIAL_MAX + 8];

    (void)state;
    for (size_t n = DMI_SERIAL_MAX; n <= DMI_SERIAL_MAX + 1; n++) {
        struct dmi dmi;
        memset(table, 0, sizeof table);
        memcpy(table, head, sizeof head - 1);
        memset(table + sizeof head - 1, 's', n);
        parse(&dmi, table, sizeof head - 1 + n + 2);
        assert_int_equal(strlen(dmi.serial), n == DMI_SERIAL_MAX ? DMI_SERIAL_MAX : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_long_serial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
