/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of filters' classes and ICMP errors. Input: an IP packet. What is written about it can be read and parsed, and says the same.
 */
#include "engine/filter.h"
#include "engine/icmp.h"

#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_quote(const struct ip_view *v, const uint8_t *packet)
{
    struct icmp_quote q;

    if (packet_classify(v, packet).kind != PACKET_ICMP_ERROR || !icmp_error_parse(&q, v, packet))
        return;
    ASSERT(q.version == v->version && q.from.family == v->version && q.to.family == v->version);
    ASSERT(q.at == v->l4_off + ICMP_HEADER && q.l4_at > q.at);
    ASSERT(q.l4_at + 4u <= v->total_len);
}

static void check_error(const struct ip_view *v, const uint8_t *packet, enum icmp_reason reason)
{
    uint8_t out[ICMP_ERROR_MAX];
    struct icmp_quote q;
    struct ip_view e;

    size_t len = icmp_error_write(out, v, packet, reason);
    if (len == 0)
        return;
    ASSERT(ip_parse(&e, out, len) && e.total_len == len && ip_l4_valid(&e, out));
    ASSERT(packet_classify(&e, out).kind == PACKET_ICMP_ERROR);
    if (icmp_error_parse(&q, &e, out))
        ASSERT(icmp_is_prohibited(&q) == (reason == ICMP_PROHIBITED) && q.proto == v->proto);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_view v;

    if (!ip_parse(&v, data, size) || !ip_l4_valid(&v, data))
        return 0;
    check_quote(&v, data);
    check_error(&v, data, ICMP_PROHIBITED);
    check_error(&v, data, ICMP_NETWORK);
    return 0;
}
