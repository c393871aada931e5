/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of DNS as they come from others: is this the answer to that query, and where does one end in a stream of TCP. The
 * records are nobody's business here. Control role. Source: RFC 1035 4.1 and 4.2.2, RFC 5452 9.1.
 */
#ifndef FZ_CONTROL_DNS_REPLY_H
#define FZ_CONTROL_DNS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/dns/message.h"

/* A query with one question. */
bool reply_is_query(const uint8_t *bytes, size_t len);

/*
 * `answer` is a response with the id and the question of `query` (reply_is_query). Case does not matter. A server that could
 * not read the query, or does not want to, may leave the question out.
 */
bool reply_matches(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len);

/* ---- the stream: two bytes of length before each message ---- */

struct reply_stream {
    uint8_t head[2];
    unsigned head_n;
    uint8_t *message; /* NULL: the length has not come yet, or is 0 */
    size_t len, have;
};

/* Where the next bytes of the stream belong, at most `n` of them, which is never 0. */
void reply_stream_room(struct reply_stream *s, uint8_t **at, size_t *n);
/* So many have come there. True: the message is whole; reply_stream_next comes before more room. */
bool reply_stream_took(struct reply_stream *s, size_t n);
/* Frees the message. For the end of it, too. */
void reply_stream_next(struct reply_stream *s);

#endif
