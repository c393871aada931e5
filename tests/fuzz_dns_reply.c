/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of what is read of DNS messages from others: in a stream, messages are found as a plain reading of the whole finds
 * them, however it is cut; and an answer that is taken has the id and the question of its query.
 * Input: a stream, cut as the last byte of it says. Its first two messages are also a query and an answer.
 */
#include "control/dns/reply.h"

#include "platform/base/bytes.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The message at the head of the stream as a plain reading has it. False: it is not whole. */
static bool plain_next(const uint8_t **at, size_t *left, const uint8_t **message, size_t *len)
{
    if (*left < 2)
        return false;
    *len = load_be16(*at);
    if (*left - 2 < *len)
        return false;
    *message = *at + 2;
    *at += 2 + *len;
    *left -= 2 + *len;
    return true;
}

static void check_stream(const uint8_t *data, size_t size, size_t at_once)
{
    struct reply_stream s = {0};
    const uint8_t *at = data, *message;
    size_t left = size, len, n;
    uint8_t *room;

    for (size_t done = 0; done < size; done += n) {
        reply_stream_room(&s, &room, &n);
        n = size_min(size_min(n, at_once), size - done);
        memcpy(room, data + done, n);
        if (!reply_stream_took(&s, n))
            continue;
        ASSERT(plain_next(&at, &left, &message, &len));
        ASSERT(len == s.len && (len == 0 || memcmp(message, s.message, len) == 0));
        reply_stream_next(&s);
    }
    ASSERT(!plain_next(&at, &left, &message, &len));
    reply_stream_next(&s);
}

static void check_match(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len)
{
    uint8_t echo[512];

    if (!reply_is_query(query, query_len))
        return;
    if (reply_matches(query, query_len, answer, len))
        ASSERT(len >= 12 && memcmp(query, answer, 2) == 0 && (answer[2] & 0x80));
    ASSERT(!reply_matches(query, query_len, query, query_len));
    if (query_len > sizeof echo)
        return;
    memcpy(echo, query, query_len);
    echo[2] |= 0x80;
    ASSERT(reply_matches(query, query_len, echo, query_len));
    echo[1] ^= 1;
    ASSERT(!reply_matches(query, query_len, echo, query_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *query, *answer;
    size_t query_len, len;

    if (size == 0)
        return 0;
    check_stream(data, size, 1u + data[size - 1] % 64);
    if (plain_next(&data, &size, &query, &query_len)) {
        check_match(query, query_len, query, query_len);
        if (plain_next(&data, &size, &answer, &len))
            check_match(query, query_len, answer, len);
    }
    return 0;
}
