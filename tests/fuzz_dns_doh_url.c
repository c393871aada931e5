/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the URLs of DoH servers: what is taken is https without a query, has a host that a certificate can name, and its path
 * as it is written.
 * Input: the URL.
 */
#include "control/dns/doh_link.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char query[] = "?dns=";
    char *text = mem_dup_text((const char *)data, size);
    struct doh_url url;
    char why[128] = "";
    enum err err = doh_url_parse(&url, text, why, sizeof why);

    ASSERT(err == ERR_OK || (err == ERR_INVALID && why[0] != '\0'));
    if (err == ERR_OK) {
        size_t target = strlen(url.target), host = strlen(url.url.host), path;
        const char *slash = strchr(text + 8, '/');
        ASSERT(url.url.tls && url.url.port > 0 && host > 0 && !strpbrk(url.url.host, ":/?#@ "));
        ASSERT(strncmp(url.authority, url.url.host, host) == 0);
        ASSERT(url.authority[host] == '\0' || url.authority[host] == ':');
        path = slash ? strlen(slash) : 1;
        ASSERT(target == path + sizeof query - 1 && strcmp(url.target + path, query) == 0);
        ASSERT(memcmp(url.target, slash ? slash : "/", path) == 0);
    }
    free(text);
    return 0;
}
