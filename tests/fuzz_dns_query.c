/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a query to a stub that has some resources. What it answers is an answer to just that question. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/dns/stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_name(void *arg, uint32_t index, const char *name, const struct uuid *resources,
                    const uint8_t *ip_stacks, unsigned n)
{
    (void)arg, (void)index, (void)resources, (void)ip_stacks;
    ASSERT(strlen(name) <= DNS_STUB_NAME_MAX && n > 0 && n <= DNS_STUB_RESOURCES_MAX);
}

static void on_answered(void *arg, uint32_t index)
{
    (void)arg;
    ASSERT(index == 0);
}

static struct dns_stub *new_stub(void)
{
    static const struct dns_stub_events events = {.name = on_name, .answered = on_answered};
    static const char *const patterns[] = {"a.example", "*.example", "**.org", "?"};
    struct dns_stub *s = dns_stub_new(1, &events, NULL);
    char why[128];

    for (uint8_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct uuid id = {{i}};
        enum message_ip_stack stack = i == 1 ? IP_STACK_V4 : i == 2 ? IP_STACK_V6 : IP_STACK_DUAL;
        ASSERT(dns_stub_set(s, &id, patterns[i], stack, why, sizeof why) == ERR_OK);
    }
    return s;
}

static void check_reply(const struct dns_query *q, const uint8_t *bytes, size_t len)
{
    ares_dns_record_t *record = NULL;

    ASSERT(dns_head_answered(&q->head, bytes, len));
    ASSERT(memcmp(bytes, q->head.bytes, 2) == 0);
    ASSERT(memcmp(bytes + DNS_HEADER_LEN, q->head.bytes + DNS_HEADER_LEN,
                  q->head.len - DNS_HEADER_LEN) == 0);
    ASSERT(ares_dns_parse(bytes, len, 0, &record) == ARES_SUCCESS);
    ASSERT(ares_dns_record_query_cnt(record) == 1);
    ares_dns_record_destroy(record);
}

static void check_heads(const struct dns_query *q, const uint8_t *data, size_t size)
{
    struct dns_head head = q->head;
    uint8_t *answer = malloc(size);

    ASSERT(answer);
    memcpy(answer, data, size);
    ASSERT(q->head.len <= size && memcmp(q->head.bytes, data, q->head.len) == 0);
    ASSERT(!dns_head_answered(&q->head, answer, size));
    answer[2] |= 0x80;
    ASSERT(dns_head_answered(&q->head, answer, size));
    dns_head_truncated(&head, answer);
    check_reply(q, head.bytes, head.len);
    dns_head_reply(&head, ARES_RCODE_SERVFAIL);
    check_reply(q, head.bytes, head.len);
    free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_stub_reply reply;
    struct dns_query q;

    if (dns_query_read(&q, data, size) != ERR_OK)
        return 0;
    check_heads(&q, data, size);
    struct dns_stub *s = new_stub();
    for (unsigned i = 0; i < 2; i++)
        if (dns_stub_decide(s, &q, &reply) == DNS_STUB_ANSWER)
            check_reply(&q, reply.bytes, reply.len);
    ASSERT(dns_stub_names(s) <= 1);
    dns_stub_free(s);
    dns_query_fini(&q);
    return 0;
}
