/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/question.h"

#include "platform/base/bytes.h"

enum {
    OFF_QUESTIONS = 4,
    NAME_MAX = 255,
    LABEL_MAX = 63,
    TYPE_AND_CLASS = 4
};

size_t dns_question_len(const uint8_t *message, size_t len)
{
    size_t at = DNS_HEADER_LEN;

    if (len <= DNS_HEADER_LEN || load_be16(message + OFF_QUESTIONS) != 1)
        return 0;
    while (at < len && message[at] != 0) {
        if (message[at] > LABEL_MAX)
            return 0;
        at += 1u + message[at];
    }
    at += 1;
    if (at + TYPE_AND_CLASS > len || at > DNS_HEADER_LEN + NAME_MAX)
        return 0;
    return at + TYPE_AND_CLASS - DNS_HEADER_LEN;
}

/* Lengths of labels are below the letters. */
void dns_question_fold(uint8_t out[DNS_QUESTION_MAX], const uint8_t *message, size_t len)
{
    const uint8_t *question = message + DNS_HEADER_LEN;

    for (size_t i = 0; i < len; i++) {
        bool upper = i + TYPE_AND_CLASS < len && question[i] >= 'A' && question[i] <= 'Z';
        out[i] = upper ? (uint8_t)(question[i] - 'A' + 'a') : question[i];
    }
}

bool dns_question_same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    uint8_t a_text[DNS_QUESTION_MAX], b_text[DNS_QUESTION_MAX];
    size_t n = dns_question_len(a, a_len);

    if (n == 0 || n != dns_question_len(b, b_len))
        return false;
    dns_question_fold(a_text, a, n);
    dns_question_fold(b_text, b, n);
    return memcmp(a_text, b_text, n) == 0;
}
