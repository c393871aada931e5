/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/l3_message.h"

#include "control/dns/question.h"
#include "platform/base/blake2s.h"

enum {
    OFF_FLAGS = 2,
    OFF_QUESTIONS = 4,
    FLAG_RESPONSE = 0x80, /* of the first byte */
    RCODE_MASK = 0x0f     /* of the second */
};

uint32_t l3_random_draw(struct l3_random *r)
{
    uint8_t out[16];

    r->drawn++;
    blake2s_mac16(out, r->seed, sizeof r->seed, &r->drawn, sizeof r->drawn);
    return load_le32(out);
}

uint16_t l3_random_port(struct l3_random *r)
{
    return (uint16_t)(L3_PORT_MIN + l3_random_draw(r) % (65536 - L3_PORT_MIN));
}

static bool digest(uint8_t out[L3_DIGEST_LEN], const struct l3_random *key, const uint8_t *message,
                   size_t len)
{
    uint8_t text[DNS_QUESTION_MAX];
    size_t n = dns_question_len(message, len);

    if (n == 0)
        return false;
    dns_question_fold(text, message, n);
    blake2s_mac16(out, key->seed, sizeof key->seed, text, n);
    return true;
}

void l3_question_init(struct l3_question *q, const struct l3_random *key, const uint8_t *query,
                      size_t len)
{
    q->whole = digest(q->digest, key, query, len);
}

bool l3_question_answered(const struct l3_question *q, const struct l3_random *key,
                          const uint8_t *message, size_t len)
{
    uint8_t theirs[L3_DIGEST_LEN];

    if (len < L3_MESSAGE_MIN || (message[OFF_FLAGS] & FLAG_RESPONSE) == 0)
        return false;
    if (!q->whole)
        return true;
    if (load_be16(message + OFF_QUESTIONS) == 0)
        return (message[OFF_FLAGS + 1] & RCODE_MASK) != 0;
    return digest(theirs, key, message, len) && memcmp(theirs, q->digest, sizeof theirs) == 0;
}
