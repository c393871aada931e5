/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/reply.h"

#include "control/dns/message.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    FLAG_RESPONSE = 0x8000,
    RCODE_MASK = 0xf,
    RCODE_NAME_ERROR = 3
};

static uint16_t flags_of(const uint8_t *bytes)
{
    return load_be16(bytes + 2);
}

static uint16_t questions_of(const uint8_t *bytes)
{
    return load_be16(bytes + 4);
}

bool reply_is_query(const uint8_t *bytes, size_t len)
{
    return len <= DNS_MESSAGE_MAX && dns_question_len(bytes, len) != 0 &&
           !(flags_of(bytes) & FLAG_RESPONSE);
}

static bool may_lack_question(unsigned rcode)
{
    return rcode != 0 && rcode != RCODE_NAME_ERROR;
}

bool reply_matches(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len)
{
    if (len < DNS_HEADER_LEN || memcmp(query, answer, 2) != 0 ||
        !(flags_of(answer) & FLAG_RESPONSE))
        return false;
    if (questions_of(answer) == 0)
        return may_lack_question(flags_of(answer) & RCODE_MASK);
    return dns_question_same(query, query_len, answer, len);
}

/* ---- the stream ---- */

void reply_stream_room(struct reply_stream *s, uint8_t **at, size_t *n)
{
    if (s->head_n < sizeof s->head) {
        *at = s->head + s->head_n;
        *n = sizeof s->head - s->head_n;
    } else {
        *at = s->message + s->have;
        *n = s->len - s->have;
    }
    ASSERT(*n > 0);
}

bool reply_stream_took(struct reply_stream *s, size_t n)
{
    if (s->head_n < sizeof s->head) {
        s->head_n += (unsigned)n;
        if (s->head_n < sizeof s->head)
            return false;
        s->len = load_be16(s->head);
        if (s->len > 0)
            s->message = mem_zalloc(s->len, 1);
    } else {
        s->have += n;
    }
    ASSERT(s->have <= s->len);
    return s->have == s->len;
}

void reply_stream_next(struct reply_stream *s)
{
    free(s->message);
    *s = (struct reply_stream){0};
}
