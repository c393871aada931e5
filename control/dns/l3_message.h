/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the DNS transports of the tunnel need of a message, which is otherwise opaque to them: its id, and whether it answers a
 * query. And the random numbers that make both hard to guess. Pure; control role. Source: RFC 1035 section 4.1, RFC 5452 section 9.
 */
#ifndef FZ_CONTROL_DNS_L3_MESSAGE_H
#define FZ_CONTROL_DNS_L3_MESSAGE_H

#include "platform/base/bytes.h"

enum {
    L3_MESSAGE_MIN = 12, /* the header */
    L3_MESSAGE_MAX = 65535,
    L3_DIGEST_LEN = 16,
    L3_SEED_LEN = 32,

    L3_PORT_MIN = 49152 /* of our own ports, up to 65535 */
};

/* Random numbers that nobody can tell who does not know the seed. */
struct l3_random {
    uint8_t seed[L3_SEED_LEN];
    uint64_t drawn;
};

/* seed: random, secret. */
static inline void l3_random_init(struct l3_random *r, const uint8_t seed[L3_SEED_LEN])
{
    memcpy(r->seed, seed, sizeof r->seed);
    r->drawn = 0;
}

uint32_t l3_random_draw(struct l3_random *r);
/* L3_PORT_MIN..65535 */
uint16_t l3_random_port(struct l3_random *r);

/* message: at least L3_MESSAGE_MIN bytes. */
static inline uint16_t l3_message_id(const uint8_t *message)
{
    return load_be16(message);
}

static inline void l3_message_set_id(uint8_t *message, uint16_t id)
{
    store_be16(message, id);
}

/* A query that is asked, as little of it as tells its answer. */
struct l3_question {
    bool whole; /* false: it has not exactly one question, all answers fit */
    uint8_t digest[L3_DIGEST_LEN];
};

/* query: at least L3_MESSAGE_MIN bytes. */
void l3_question_init(struct l3_question *q, const struct l3_random *key, const uint8_t *query,
                      size_t len);
/*
 * The message is a response and repeats the question; upper and lower case are the same. One that says that there was something
 * wrong with the query may leave it out. Ids are not looked at.
 */
bool l3_question_answered(const struct l3_question *q, const struct l3_random *key,
                          const uint8_t *message, size_t len);

#endif
