/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a script of what happens to a DNS service: queries, answers, failures, time, changes. Each step is a letter and what it
 * takes; a length is two bytes, and what follows it is cut at the end. See tests/dns_world.h for what has to be true.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dns_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
    const uint8_t *at, *end;
};

static unsigned take(struct script *s)
{
    return s->at < s->end ? *s->at++ : 0;
}

static const uint8_t *take_bytes(struct script *s, size_t *len)
{
    const uint8_t *bytes;

    *len = take(s) << 8;
    *len |= take(s);
    *len = *len < (size_t)(s->end - s->at) ? *len : (size_t)(s->end - s->at);
    bytes = s->at;
    s->at += *len;
    return bytes;
}

static uint8_t *copy_of(const void *bytes, size_t len, size_t room)
{
    uint8_t *copy = calloc(1, len + room + 1);

    ASSERT(copy);
    memcpy(copy, bytes, len);
    return copy;
}

static void do_query(struct world *w, struct script *s)
{
    unsigned how = take(s);
    struct dns_client from = {
        .transport = how & 1 ? DNS_TCP : DNS_UDP, .v6 = how & 2, .server = how >> 2};
    size_t len;
    const uint8_t *bytes = take_bytes(s, &len);

    if (w->waiting < DNS_SERVICE_MAX) {
        uint8_t *copy = copy_of(bytes, len, 0);
        world_query(w, &from, copy, len);
        free(copy);
    }
}

/* The query's own head with these flags and counts, and any records: an answer to it more often than not. */
static void do_answer(struct world *w, struct script *s)
{
    struct world_query *q = world_waiting(w, take(s));
    size_t len, head_len = q ? q->head.len : 0;
    const uint8_t *bytes = take_bytes(s, &len);

    if (!q)
        return;
    uint8_t *answer = copy_of(q->head.bytes, head_len, len);
    if (len > 8) {
        memcpy(answer + 2, bytes, 2);
        answer[2] |= 0x80;
        memcpy(answer + 6, bytes + 2, 6);
        memcpy(answer + head_len, bytes + 8, len - 8);
    }
    world_answered(w, q->id, answer, head_len + (len > 8 ? len - 8 : 0));
    free(answer);
}

static void do_anything(struct world *w, struct script *s)
{
    unsigned id = take(s);
    size_t len;
    const uint8_t *bytes = take_bytes(s, &len);

    world_answered(w, id, bytes, len);
    world_failed(w, id);
}

static void do_resource(struct world *w, struct script *s)
{
    static const char *const patterns[] = {"a", "*.a", "**", "?", "[", "b.**"};
    unsigned what = take(s);
    struct uuid id = {{(uint8_t)(what & 3)}};
    char why[128];

    if (what & 0x80)
        dns_service_remove(w->service, &id);
    else
        (void)!dns_service_set(w->service, &id, patterns[(what >> 2) % 6],
                               (enum message_ip_stack)((what >> 5) % 3), why, sizeof why);
}

static void step(struct world *w, struct script *s)
{
    struct world_query *q;

    switch (take(s)) {
    case 'q':
        do_query(w, s);
        break;
    case 'a':
        do_answer(w, s);
        break;
    case 'x':
        do_anything(w, s);
        break;
    case 'f':
        q = world_waiting(w, take(s));
        world_failed(w, q ? q->id : 0);
        break;
    case 't':
        world_pass(w, take(s) * 100 * NS_PER_MS);
        break;
    case 'r':
        do_resource(w, s);
        break;
    case 's':
        dns_service_servers_changed(w->service);
        break;
    case 'g':
        dns_service_again(w->service, take(s));
        break;
    case 'G':
        dns_service_again_all(w->service);
        break;
    case 'n':
        w->refuse = !w->refuse;
        break;
    default:
        break;
    }
    world_check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {data, data + size};
    struct world *w = world_new();

    while (s.at < s.end)
        step(w, &s);
    world_free(w);
    return 0;
}
