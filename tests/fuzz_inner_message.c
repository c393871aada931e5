/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the control packets about names. What is accepted keeps its promises, and is the same once it was written and read again.
 * Input: the event, then the body.
 */
#include "control/inner_message.h"

#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_domain(const char *domain)
{
    size_t len = strlen(domain);

    ASSERT(len >= 1 && len <= INNER_DOMAIN_MAX + 1);
    for (size_t i = 0; i < len; i++)
        ASSERT(domain[i] > ' ' && domain[i] <= '~');
}

static void assigned_ips(const uint8_t *packet, size_t len)
{
    uint8_t again[INNER_PACKET_MAX];
    struct inner_assigned_ips m, back;
    struct fields f;

    if (!inner_read_assigned_ips(&m, packet, len, &f)) {
        ASSERT(f.why[0]);
        return;
    }
    ASSERT(m.n <= INNER_IPS_MAX);
    check_domain(m.domain);
    for (unsigned i = 0; i < m.n; i++)
        ASSERT(m.ips[i].family == ADDR_V4 || m.ips[i].family == ADDR_V6);
    len = inner_write_assigned_ips(again, &m);
    ASSERT(len > 0 || m.n > 16);
    if (len > 0) {
        ASSERT(inner_read_assigned_ips(&back, again, len, &f));
        ASSERT(uuid_equal(&m.resource, &back.resource) && strcmp(m.domain, back.domain) == 0);
        ASSERT(m.n == back.n && memcmp(m.ips, back.ips, sizeof m.ips) == 0);
    }
}

static void domain_status(const uint8_t *packet, size_t len)
{
    uint8_t again[INNER_PACKET_MAX];
    struct inner_domain_status m, back;
    struct fields f;

    if (!inner_read_domain_status(&m, packet, len, &f)) {
        ASSERT(f.why[0]);
        return;
    }
    check_domain(m.domain);
    len = inner_write_domain_status(again, &m);
    ASSERT(inner_read_domain_status(&back, again, len, &f));
    ASSERT(uuid_equal(&m.resource, &back.resource) && strcmp(m.domain, back.domain) == 0);
    ASSERT(m.active == back.active);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t packet[INNER_PACKET_MAX];

    if (size == 0 || size - 1 > sizeof packet - INNER_LEN_MIN)
        return 0;
    inner_write_goodbye(packet);
    packet[INNER_OFF_EVENT] = data[0] & 1;
    store_be16(packet + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(8 + size - 1));
    memcpy(packet + INNER_LEN_MIN, data + 1, size - 1);
    if (packet[INNER_OFF_EVENT] == INNER_ASSIGNED_IPS)
        assigned_ips(packet, INNER_LEN_MIN + size - 1);
    else
        domain_status(packet, INNER_LEN_MIN + size - 1);
    return 0;
}
