/* SPDX-License-Identifier: Apache-2.0 */
/* See config_dns.h. */
#include "control/config_dns.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LABEL_MAX = 63
};

struct word {
    const char *p;
    size_t n;
};

struct result {
    char *why;
    unsigned size;
};

__attribute__((format(printf, 2, 3))) static enum err refuse(struct result r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r.why, r.size, fmt, ap);
    va_end(ap);
    return ERR_PARSE;
}

static bool separates(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct word next_word(struct word *rest)
{
    while (rest->n > 0 && separates(rest->p[0])) {
        rest->p++;
        rest->n--;
    }
    struct word w = {rest->p, 0};
    while (w.n < rest->n && !separates(w.p[w.n]))
        w.n++;
    rest->p += w.n;
    rest->n -= w.n;
    return w;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether an address is meant. */
static bool is_address(struct word w)
{
    bool numeric = true;

    for (size_t i = 0; i < w.n; i++)
        numeric = numeric && (is_digit(w.p[i]) || w.p[i] == '.');
    return numeric || memchr(w.p, ':', w.n);
}

/* Labels of letters, digits, - and _, with single dots between and perhaps one at the end. */
static bool is_domain(struct word w)
{
    size_t label = 0, len = w.n - (w.p[w.n - 1] == '.');

    if (len == 0 || len > CONFIG_DNS_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = w.p[i];
        if (c != '.' && c != '-' && c != '_' && !is_digit(c) && !is_letter(c))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_MAX || (c == '.' && (i == 0 || w.p[i - 1] == '.')))
            return false;
    }
    return label > 0;
}

static enum err add_server(struct config_dns *d, struct word w, struct result r)
{
    static const uint8_t zero[16];
    char text[IP_TEXT_MAX];
    struct ip_addr ip;

    if (w.n >= sizeof text)
        return refuse(r, "an entry is neither an IP address nor a domain");
    memcpy(text, w.p, w.n);
    text[w.n] = '\0';
    if (ip_addr_parse(&ip, text) != ERR_OK)
        return refuse(r, "an entry is not an IP address (without port and interface)");
    if (memcmp(ip.bytes, zero, sizeof zero) == 0 ||
        (ip.family == ADDR_V4 ? ip.bytes[0] >= 224 : ip.bytes[0] == 0xff))
        return refuse(r, "a server's address cannot be unspecified, multicast or broadcast");
    for (unsigned i = 0; i < d->servers_n; i++) {
        if (ip_addr_equal(&d->servers[i], &ip))
            return ERR_OK;
    }
    if (d->servers_n == CONFIG_DNS_SERVERS_MAX)
        return refuse(r, "more than %d servers", CONFIG_DNS_SERVERS_MAX);
    d->servers[d->servers_n++] = ip;
    return ERR_OK;
}

static enum err add_domain(struct config_dns *d, struct word w, struct result r)
{
    if (!is_domain(w))
        return refuse(r, "an entry is neither an IP address nor a domain");
    for (unsigned i = 0; i < d->search_n; i++) {
        if (strlen(d->search[i]) == w.n && memcmp(d->search[i], w.p, w.n) == 0)
            return ERR_OK;
    }
    if (d->search_n == CONFIG_DNS_SEARCH_MAX)
        return refuse(r, "more than %d search domains", CONFIG_DNS_SEARCH_MAX);
    memcpy(d->search[d->search_n], w.p, w.n);
    d->search[d->search_n++][w.n] = '\0';
    return ERR_OK;
}

enum err config_dns_add(struct config_dns *d, const char *value, size_t len, char *why,
                        unsigned why_size)
{
    struct word rest = {value, len}, w;
    struct result r = {why, why_size};
    unsigned words = 0;

    for (; (w = next_word(&rest)).n > 0; words++) {
        enum err err = is_address(w) ? add_server(d, w, r) : add_domain(d, w, r);
        if (err != ERR_OK)
            return err;
    }
    return words > 0 ? ERR_OK : refuse(r, "expected addresses of servers, and search domains");
}
