/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The question of a DNS message, by its bytes: where it ends, and whether two are the same. So it is told whether an answer belongs to
 * a query. Pure; control role. Source: RFC 1035 sections 4.1.2 and 2.3.3, RFC 5452 section 9.1.
 */
#ifndef FZ_CONTROL_DNS_QUESTION_H
#define FZ_CONTROL_DNS_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_HEADER_LEN = 12,
    DNS_QUESTION_MAX = 255 + 4 /* a name, type and class */
};

/*
 * How many bytes after the header the only question of a message takes. 0: it has none or several, or it is not whole, or its name points to
 * elsewhere: before it there is nothing but the header, whose bytes change.
 */
size_t dns_question_len(const uint8_t *message, size_t len);

/* message: with a question of `len` bytes. The name in lower case. */
void dns_question_fold(uint8_t out[DNS_QUESTION_MAX], const uint8_t *message, size_t len);

/* True: both messages have one question, and it is the same. Upper and lower case of the name are. */
bool dns_question_same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

#endif
