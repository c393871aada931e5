/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "control/dns/question.h"
#include "platform/base/bytes.h"

#define HEAD(questions) "\x12\x34\x01\x00\x00" questions "\x00\x00\x00\x00\x00\x00"
#define A_IN            "\x00\x01\x00\x01"
#define LABEL_63        "\x3f" LETTERS_21 LETTERS_21 LETTERS_21
#define LETTERS_21      "abcdefghijklmnopqrstu"
#define LABEL_61        "\x3d" LETTERS_21 LETTERS_21 "abcdefghijklmnopqrs"
#define BYTES(text)     text, sizeof(text) - 1

static const struct {
    const char *what, *bytes;
    size_t len, question;
} messages[] = {
    {"plain", BYTES(HEAD("\1") "\3web\4test\0" A_IN), 14},
    {"the root", BYTES(HEAD("\1") "\0" A_IN), 5},
    {"with more behind it", BYTES(HEAD("\1") "\3web\4test\0" A_IN "\xc0\x0c..."), 14},
    {"zeros and dots in labels", BYTES(HEAD("\1") "\3.\0.\0" A_IN), 9},
    {"255 bytes", BYTES(HEAD("\1") LABEL_63 LABEL_63 LABEL_63 LABEL_61 "\0" A_IN), 259},
    {"256 bytes", BYTES(HEAD("\1") LABEL_63 LABEL_63 LABEL_63 LABEL_61 "\0"), 0},
    {"257 bytes", BYTES(HEAD("\1") LABEL_63 LABEL_63 LABEL_63 LABEL_63 "\0" A_IN), 0},
    {"no question", BYTES(HEAD("\0") "\3web\4test\0" A_IN), 0},
    {"two questions", BYTES(HEAD("\2") "\3web\4test\0" A_IN "\3web\4test\0" A_IN), 0},
    {"a pointer into the header", BYTES(HEAD("\1") "\3web\xc0\x02" A_IN), 0},
    {"a long label", BYTES(HEAD("\1") "\x40web\0" A_IN), 0},
    {"cut in the name", BYTES(HEAD("\1") "\3web\4te"), 0},
    {"cut before the end of the name", BYTES(HEAD("\1") "\3web\4test"), 0},
    {"cut in the type", BYTES(HEAD("\1") "\3web\4test\0\0\1\0"), 0},
    {"a header only", BYTES(HEAD("\1")), 0},
    {"half a header", "\x12\x34\x01\x00\x00\x01", 6, 0},
    {"nothing", "", 0, 0},
};

static void test_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        size_t n = dns_question_len((const uint8_t *)messages[i].bytes, messages[i].len);
        if (n != messages[i].question)
            fail_msg("%s: %zu bytes, not %zu", messages[i].what, n, messages[i].question);
    }
}

static const struct {
    const char *what, *a;
    size_t a_len;
    const char *b;
    size_t b_len;
    bool same;
} pairs[] = {
    {"the same", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3web\0" A_IN), true},
    {"other case", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3WeB\0" A_IN), true},
    {"with an answer", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3web\0" A_IN "..."),
     true},
    {"another name", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3wec\0" A_IN), false},
    {"a longer name", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3web\1a\0" A_IN), false},
    {"no letters", BYTES(HEAD("\1") "\3w@b\0" A_IN), BYTES(HEAD("\1") "\3w`b\0" A_IN), false},
    {"other labels", BYTES(HEAD("\1") "\3a\1a\0" A_IN), BYTES(HEAD("\1") "\1a\1a\0" A_IN), false},
    {"another type", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3web\0\0\x1c\0\1"),
     false},
    {"a type as if it were a letter", BYTES(HEAD("\1") "\3web\0\0\x41\0\1"),
     BYTES(HEAD("\1") "\3web\0\0\x61\0\1"), false},
    {"another class", BYTES(HEAD("\1") "\3web\0" A_IN), BYTES(HEAD("\1") "\3web\0\0\1\0\3"), false},
    {"two questions", BYTES(HEAD("\1") "\3web\0" A_IN),
     BYTES(HEAD("\2") "\3web\0" A_IN "\3web\0" A_IN), false},
    {"no question in either", BYTES(HEAD("\0")), BYTES(HEAD("\0")), false},
};

static void test_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const uint8_t *a = (const uint8_t *)pairs[i].a, *b = (const uint8_t *)pairs[i].b;
        if (dns_question_same(a, pairs[i].a_len, b, pairs[i].b_len) != pairs[i].same ||
            dns_question_same(b, pairs[i].b_len, a, pairs[i].a_len) != pairs[i].same)
            fail_msg("%s: %s", pairs[i].what, pairs[i].same ? "not the same" : "the same");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
