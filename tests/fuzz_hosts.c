/* SPDX-License-Identifier: Apache-2.0 */
/* A name, a line feed, and any bytes as the hosts file. One line more at the end is found, unless there were enough before. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FOUND_MAX = 4,
    NAME_MAX_LEN = 64
};

static uint32_t fake_ifindex(const char *name)
{
    return (uint32_t)strlen(name) % 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sock_addr found[FOUND_MAX];
    char name[NAME_MAX_LEN] = "";
    const uint8_t *eol = memchr(data, '\n', size);
    size_t name_len = eol ? (size_t)(eol - data) : size;

    if (name_len >= sizeof name || memchr(data, 0, name_len))
        return 0;
    memcpy(name, data, name_len);
    const char *file = (const char *)data + name_len + (eol ? 1 : 0);
    size_t len = size - name_len - (eol ? 1 : 0);
    unsigned n = hosts_find(found, FOUND_MAX, file, len, name, fake_ifindex);
    ASSERT(n <= FOUND_MAX);
    for (unsigned i = 0; i < n; i++) {
        ASSERT(found[i].ip.family != ADDR_NONE && found[i].port == 0);
        for (unsigned k = 0; k < i; k++)
            ASSERT(!sock_addr_equal(&found[i], &found[k]));
    }
    if (n == FOUND_MAX || name_len == 0 || strpbrk(name, " \t\r#"))
        return 0;
    char *longer = malloc(len + 64 + sizeof name);
    ASSERT(longer);
    memcpy(longer, file, len);
    len += (size_t)sprintf(longer + len, "\n203.0.113.77 %s", name);
    unsigned more = hosts_find(found, FOUND_MAX, longer, len, name, NULL);
    ASSERT(more >= 1 && found[more - 1].ip.family == ADDR_V4);
    free(longer);
    return 0;
}
