/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as resolv.conf. The servers that are found, written out again, are found again. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "platform/resolvers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t fake_ifindex(const char *name)
{
    return (uint32_t)strlen(name) % 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sock_addr first[RESOLVERS_MAX], second[RESOLVERS_MAX];
    char text[RESOLVERS_MAX * 80] = "", ip[IP_TEXT_MAX];
    unsigned first_n, second_n;
    int len = 0;

    resolvers_parse(first, &first_n, (const char *)data, size, fake_ifindex);
    ASSERT(first_n <= RESOLVERS_MAX);
    for (unsigned i = 0; i < first_n; i++) {
        ASSERT(first[i].port == 53 && first[i].ip.family != ADDR_NONE);
        for (unsigned k = 0; k < i; k++)
            ASSERT(!sock_addr_equal(&first[i], &first[k]));
        len += sprintf(text + len, "nameserver %s", ip_addr_format(&first[i].ip, ip, sizeof ip));
        if (first[i].scope > 0)
            len += sprintf(text + len, "%%%u", first[i].scope);
        len += sprintf(text + len, "\n");
    }
    resolvers_parse(second, &second_n, text, (size_t)len, NULL);
    ASSERT(second_n == first_n);
    for (unsigned i = 0; i < first_n; i++)
        ASSERT(sock_addr_equal(&first[i], &second[i]));
    return 0;
}
