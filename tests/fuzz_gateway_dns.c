/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of hostile origin: what is passed on is a query for SRV or TXT, and replies repeat its id and question and nothing more. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "control/gateway_dns_query.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    HEADER_LEN = 12,
    RCODE = 0xf,
    SERVFAIL = 2,
    NOTIMP = 4,
    REFUSED = 5
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const struct gateway_dns_reply *r, const uint8_t *query)
{
    ASSERT(r->len > HEADER_LEN && r->len <= sizeof r->bytes);
    ASSERT(memcmp(r->bytes, query, 2) == 0 && r->bytes[2] & 0x80);
    ASSERT(memcmp(r->bytes + HEADER_LEN, query + HEADER_LEN, r->len - HEADER_LEN) == 0);
    ASSERT(load_be16(r->bytes + 4) == 1);
    for (unsigned i = 6; i < HEADER_LEN; i++)
        ASSERT(r->bytes[i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t answer[HEADER_LEN] = {0, 0, 0x81, 0x80, 0, 1, 0, 9};
    struct gateway_dns_reply r, again;

    switch (gateway_dns_judge(&r, data, size)) {
    case GATEWAY_DNS_DROP:
        return 0;
    case GATEWAY_DNS_ANSWER: {
        unsigned rcode = r.bytes[3] & RCODE;
        ASSERT(size >= r.len);
        check_reply(&r, data);
        ASSERT(rcode == REFUSED || rcode == NOTIMP);
        return 0;
    }
    case GATEWAY_DNS_PASS:
        break;
    }
    ASSERT(size >= r.len && memcmp(r.bytes, data, r.len) == 0);
    ASSERT(!(data[2] & 0xf8) && load_be16(data + 4) == 1);
    unsigned type = load_be16(r.bytes + r.len - 4), class = load_be16(r.bytes + r.len - 2);
    ASSERT((type == 33 || type == 16) && class == 1);
    again = r;
    gateway_dns_fail(&r);
    check_reply(&r, data);
    ASSERT((r.bytes[3] & RCODE) == SERVFAIL);
    gateway_dns_truncate(&again, answer);
    check_reply(&again, data);
    ASSERT(again.bytes[2] & 0x02);
    return 0;
}
