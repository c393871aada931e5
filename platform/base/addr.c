/* SPDX-License-Identifier: Apache-2.0 */
/* Text forms and prefix arithmetic. inet_pton and inet_ntop do the address syntax. */
#include "platform/base/addr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#endif

struct ip_addr ip_addr_v4(const void *bytes4)
{
    struct ip_addr a = {.family = ADDR_V4};
    memcpy(a.bytes, bytes4, 4);
    return a;
}

struct ip_addr ip_addr_v6(const void *bytes16)
{
    struct ip_addr a = {.family = ADDR_V6};
    memcpy(a.bytes, bytes16, 16);
    return a;
}

void ip_prefix_mask(struct ip_prefix *p)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned first_bit = i * 8;
        if (first_bit >= p->len)
            p->ip.bytes[i] = 0;
        else if (p->len - first_bit < 8)
            p->ip.bytes[i] &= (uint8_t)(0xff00 >> (p->len - first_bit));
    }
}

bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
    if (p->ip.family != a->family)
        return false;
    unsigned whole = p->len / 8, rest = p->len % 8;
    if (memcmp(p->ip.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((p->ip.bytes[whole] ^ a->bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

/* Decimal of at most `max`, no sign, no leading white space, whole string. */
static enum err parse_number(uint64_t *out, const char *text, uint64_t max)
{
    size_t len = strlen(text);
    if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
        return ERR_PARSE;
    *out = strtoull(text, NULL, 10);
    return *out <= max ? ERR_OK : ERR_PARSE;
}

enum err ip_addr_parse(struct ip_addr *out, const char *text)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, out->bytes) == 1) {
        out->family = ADDR_V4;
        return ERR_OK;
    }
    if (inet_pton(AF_INET6, text, out->bytes) == 1) {
        out->family = ADDR_V6;
        return ERR_OK;
    }
    memset(out, 0, sizeof *out);
    return ERR_PARSE;
}

enum err ip_prefix_parse(struct ip_prefix *out, const char *text)
{
    char host[IP_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
    uint64_t len = 0;

    memset(out, 0, sizeof *out);
    if (host_len >= sizeof host)
        return ERR_PARSE;
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (ip_addr_parse(&out->ip, host) != ERR_OK)
        return ERR_PARSE;
    out->len = ip_addr_bits(&out->ip);
    if (!slash)
        return ERR_OK;
    if (parse_number(&len, slash + 1, out->len) != ERR_OK)
        return ERR_PARSE;
    out->len = (uint8_t)len;
    return ERR_OK;
}

enum err sock_addr_parse(struct sock_addr *out, const char *text)
{
    char host[IP_TEXT_MAX + 12];
    const char *colon = strrchr(text, ':');
    uint64_t port = 0, scope = 0;

    memset(out, 0, sizeof *out);
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
        return ERR_PARSE;
    bool bracketed = text[0] == '[' && colon[-1] == ']';
    size_t skip = bracketed ? 1 : 0, host_len = (size_t)(colon - text) - 2 * skip;
    if (bracketed && colon - text < 3)
        return ERR_PARSE;
    memcpy(host, text + skip, host_len);
    host[host_len] = '\0';
    char *percent = strchr(host, '%');
    if (percent) {
        *percent = '\0';
        if (!bracketed || parse_number(&scope, percent + 1, UINT32_MAX) != ERR_OK)
            return ERR_PARSE;
    }
    if (parse_number(&port, colon + 1, 65535) != ERR_OK || ip_addr_parse(&out->ip, host) != ERR_OK)
        return ERR_PARSE;
    if ((out->ip.family == ADDR_V6) != bracketed)
        return ERR_PARSE;
    out->port = (uint16_t)port;
    out->scope = (uint32_t)scope;
    return ERR_OK;
}

static bool is_link_local(const struct ip_addr *a)
{
    return a->family == ADDR_V6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

enum err ip_scoped_parse(struct sock_addr *out, const char *text, size_t len, ifindex_fn ifindex)
{
    char host[IP_TEXT_MAX + 32];
    uint64_t scope = 0;

    memset(out, 0, sizeof *out);
    if (len >= sizeof host || memchr(text, '\0', len))
        return ERR_PARSE;
    memcpy(host, text, len);
    host[len] = '\0';
    char *percent = strchr(host, '%');
    if (percent)
        *percent++ = '\0';
    if (ip_addr_parse(&out->ip, host) != ERR_OK)
        return ERR_PARSE;
    if (!percent)
        return ERR_OK;
    if (out->ip.family == ADDR_V6 && *percent && !is_link_local(&out->ip))
        return ERR_OK;
    if (is_link_local(&out->ip) && parse_number(&scope, percent, UINT32_MAX) != ERR_OK && ifindex)
        scope = ifindex(percent);
    out->scope = (uint32_t)scope;
    if (scope > 0)
        return ERR_OK;
    memset(out, 0, sizeof *out);
    return ERR_PARSE;
}

const char *ip_addr_format(const struct ip_addr *a, char *buf, size_t size)
{
    int af = a->family == ADDR_V4 ? AF_INET : AF_INET6;
    if (a->family == ADDR_NONE || !inet_ntop(af, a->bytes, buf, (socklen_t)size))
        snprintf(buf, size, "-");
    return buf;
}

const char *ip_prefix_format(const struct ip_prefix *p, char *buf, size_t size)
{
    char ip[IP_TEXT_MAX];
    snprintf(buf, size, "%s/%u", ip_addr_format(&p->ip, ip, sizeof ip), p->len);
    return buf;
}

const char *sock_addr_format(const struct sock_addr *a, char *buf, size_t size)
{
    char ip[IP_TEXT_MAX], scope[12] = "";
    ip_addr_format(&a->ip, ip, sizeof ip);
    if (a->scope)
        snprintf(scope, sizeof scope, "%%%u", (unsigned)a->scope);
    if (a->ip.family == ADDR_V6)
        snprintf(buf, size, "[%s%s]:%u", ip, scope, a->port);
    else
        snprintf(buf, size, "%s:%u", ip, a->port);
    return buf;
}
