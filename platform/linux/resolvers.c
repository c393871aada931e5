/* SPDX-License-Identifier: Apache-2.0 */
/* resolv.conf(5). */
#include "platform/resolvers.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "platform/file.h"
#include "platform/scope.h"

enum {
    DNS_PORT = 53,
    FILE_MAX = 1 << 20
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

static const char *word_end(const char *p, const char *end)
{
    while (p < end && !is_blank(*p) && *p != '#' && *p != ';' && *p != '\r')
        p++;
    return p;
}

static bool known(const struct sock_addr *list, unsigned n, const struct sock_addr *addr)
{
    for (unsigned i = 0; i < n; i++) {
        if (sock_addr_equal(&list[i], addr))
            return true;
    }
    return false;
}

/* False: the line names no server. */
static bool parse_line(struct sock_addr *out, const char *p, const char *end, ifindex_fn ifindex)
{
    static const char keyword[] = "nameserver";

    p = skip_blanks(p, end);
    if ((size_t)(end - p) < sizeof keyword || memcmp(p, keyword, sizeof keyword - 1) != 0)
        return false;
    p += sizeof keyword - 1;
    if (!is_blank(*p))
        return false;
    p = skip_blanks(p, end);
    if (ip_scoped_parse(out, p, (size_t)(word_end(p, end) - p), ifindex) != ERR_OK)
        return false;
    out->port = DNS_PORT;
    return true;
}

void resolvers_parse(struct sock_addr *out, unsigned *n, const char *text, size_t len,
                     ifindex_fn ifindex)
{
    const char *end = text + len;

    *n = 0;
    while (text < end && *n < RESOLVERS_MAX) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        if (!eol)
            eol = end;
        if (parse_line(&out[*n], text, eol, ifindex) && !known(out, *n, &out[*n]))
            ++*n;
        text = eol < end ? eol + 1 : end;
    }
}

enum err resolvers_read(struct sock_addr *out, unsigned *n, const char *path, char *why,
                        unsigned why_size)
{
    static const uint8_t loopback[] = {127, 0, 0, 1};
    struct file_content file;
    enum err err = file_read(&file, path ? path : "/etc/resolv.conf", FILE_MAX, why, why_size);

    *n = 0;
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err == ERR_PERMISSION ? err : ERR_IO;
    if (err == ERR_OK) {
        resolvers_parse(out, n, file.bytes, file.len, scope_ifindex);
        file_content_wipe(&file);
    }
    if (*n == 0)
        out[(*n)++] = (struct sock_addr){.ip = ip_addr_v4(loopback), .port = DNS_PORT};
    return ERR_OK;
}
