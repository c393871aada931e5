/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/reply.h"

#include <ares.h>
#include <strings.h>

#include "control/dns/message.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    FLAG_RESPONSE = 0x8000,
    RCODE_MASK = 0xf,
    RCODE_NAME_ERROR = 3,
    QUESTION_FIXED_LEN = 4 /* type and class */
};

struct question {
    char *name; /* of c-ares */
    const uint8_t *fixed;
};

/* A question's name is written out: before it there is nothing to point to but the header, whose bytes change. */
static bool is_written_out(const uint8_t *name, size_t len)
{
    size_t at = 0;

    while (at < len && name[at] != 0 && name[at] < 0x40)
        at += name[at] + 1u;
    return at + 1 == len;
}

/* The first question. False: there is none that can be read; nothing is to be freed then. */
static bool question_read(struct question *q, const uint8_t *bytes, size_t len)
{
    long name_len;
    const uint8_t *at = bytes + DNS_HEADER_LEN;

    q->name = NULL;
    if (len <= DNS_HEADER_LEN || len > DNS_MESSAGE_MAX)
        return false;
    if (ares_expand_name(at, bytes, (int)len, &q->name, &name_len) != ARES_SUCCESS)
        return false;
    q->fixed = at + name_len;
    if (name_len > 0 && (size_t)name_len + DNS_HEADER_LEN + QUESTION_FIXED_LEN <= len &&
        is_written_out(at, (size_t)name_len))
        return true;
    ares_free_string(q->name);
    return false;
}

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
    struct question q;

    if (len <= DNS_HEADER_LEN || (flags_of(bytes) & FLAG_RESPONSE) || questions_of(bytes) != 1 ||
        !question_read(&q, bytes, len))
        return false;
    ares_free_string(q.name);
    return true;
}

static bool may_lack_question(unsigned rcode)
{
    return rcode != 0 && rcode != RCODE_NAME_ERROR;
}

static bool same_question(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len)
{
    struct question asked, answered;
    bool same;

    if (!question_read(&asked, query, query_len))
        return false;
    same = question_read(&answered, answer, len);
    if (same) {
        same = strcasecmp(asked.name, answered.name) == 0 &&
               memcmp(asked.fixed, answered.fixed, QUESTION_FIXED_LEN) == 0;
        ares_free_string(answered.name);
    }
    ares_free_string(asked.name);
    return same;
}

bool reply_matches(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len)
{
    if (len < DNS_HEADER_LEN || memcmp(query, answer, 2) != 0 ||
        !(flags_of(answer) & FLAG_RESPONSE))
        return false;
    if (questions_of(answer) == 0)
        return may_lack_question(flags_of(answer) & RCODE_MASK);
    return questions_of(answer) == 1 && same_question(query, query_len, answer, len);
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
