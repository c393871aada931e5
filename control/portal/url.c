/* SPDX-License-Identifier: Apache-2.0 */
/* See url.h. */
#include "control/portal/url.h"

#include <stdio.h>
#include <string.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"

static const struct {
    const char *name;
    bool tls;
} schemes[] = {{"wss", true}, {"ws", false}, {"https", true}, {"http", false}};

static enum err wrong(char *why, size_t why_size, const char *text)
{
    snprintf(why, why_size, "%s", text);
    return ERR_PARSE;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_word(const char *text, size_t len, const char *word)
{
    size_t i = 0;
    while (i < len && word[i] && lower(text[i]) == word[i])
        i++;
    return i == len && !word[i];
}

static bool parse_scheme(struct url *url, const char *text, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (same_word(text, len, schemes[i].name)) {
            url->tls = schemes[i].tls;
            return true;
        }
    }
    return false;
}

static bool parse_port(uint16_t *port, const char *text, size_t len)
{
    uint32_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || (n = n * 10 + (uint32_t)(text[i] - '0')) > UINT16_MAX)
            return false;
    }
    *port = (uint16_t)n;
    return n > 0;
}

/* A name, an IPv4 address, or what stands between the brackets of an IPv6 one. */
static bool parse_host(char *host, const char *text, size_t len, bool brackets)
{
    if (len == 0 || len > URL_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = lower(text[i]);
        if (!is_alnum(c) && !strchr(brackets ? ":." : "-._", c))
            return false;
        host[i] = c;
    }
    host[len] = 0;
    struct ip_addr ip;
    return !brackets || (ip_addr_parse(&ip, host) == ERR_OK && ip.family == ADDR_V6);
}

static enum err parse_authority(struct url *url, const char *text, size_t len, char *why,
                                size_t why_size)
{
    bool brackets = len > 0 && text[0] == '[';
    const char *host = text + brackets, *end = memchr(text, brackets ? ']' : ':', len);

    if (memchr(text, '@', len))
        return wrong(why, why_size, "it must not contain a user name or password");
    if (brackets && !end)
        return wrong(why, why_size, "']' is missing behind the address");
    if (!end)
        end = text + len;
    if (!parse_host(url->host, host, (size_t)(end - host), brackets))
        return wrong(why, why_size, "it has no valid host name or address");
    const char *rest = end + brackets;
    size_t rest_len = (size_t)(text + len - rest);
    url->port = URL_PORT_DEFAULT;
    if (rest_len == 0)
        return ERR_OK;
    if (rest[0] != ':' || (rest_len > 1 && !parse_port(&url->port, rest + 1, rest_len - 1)))
        return wrong(why, why_size, "the port must be a number from 1 to 65535");
    return ERR_OK;
}

static bool parse_path(struct url *url, const char *text, size_t len)
{
    if (len > URL_PATH_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("\"<>\\^`{|}", text[i]))
            return false;
    }
    memcpy(url->path, text, len);
    if (len > 1 && text[len - 1] == '/')
        len--;
    if (len == 0)
        url->path[len++] = '/';
    url->path[len] = 0;
    return true;
}

enum err url_parse(struct url *url, const char *text, char *why, size_t why_size)
{
    const char *authority = strstr(text, "://");

    memset(url, 0, sizeof *url);
    if (!authority || !parse_scheme(url, text, (size_t)(authority - text)))
        return wrong(why, why_size, "it must begin with wss://, ws://, https:// or http://");
    authority += 3;
    size_t authority_len = strcspn(authority, "/?#");
    const char *path = authority + authority_len;
    enum err err = parse_authority(url, authority, authority_len, why, why_size);
    if (err != ERR_OK)
        return err;
    if (!parse_path(url, path, strcspn(path, "?#")))
        return wrong(why, why_size, "its path is too long, or has characters that must be encoded");
    return ERR_OK;
}

/* ---- the request target ---- */

struct writer {
    char *out;
    size_t size, len; /* len goes on beyond size */
};

static void put(struct writer *w, char c)
{
    if (w->len < w->size)
        w->out[w->len] = c;
    w->len++;
}

static void put_text(struct writer *w, const char *text)
{
    while (*text)
        put(w, *text++);
}

static void put_encoded(struct writer *w, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (is_alnum(*text) || strchr("*-._", c)) {
            put(w, *text);
        } else if (c == ' ') {
            put(w, '+');
        } else {
            put(w, '%');
            put(w, digits[c >> 4]);
            put(w, digits[c & 15]);
        }
    }
}

enum err url_target(char *out, size_t size, const struct url *base, const char *endpoint,
                    const struct url_param *params)
{
    struct writer w = {.out = out, .size = size};
    char separator = '?';

    put_text(&w, strcmp(base->path, "/") == 0 ? "" : base->path);
    put(&w, '/');
    put_text(&w, endpoint);
    for (; params->name; params++) {
        if (!params->value)
            continue;
        put(&w, separator);
        put_encoded(&w, params->name);
        put(&w, '=');
        put_encoded(&w, params->value);
        separator = '&';
    }
    put(&w, 0);
    return w.len <= size ? ERR_OK : ERR_NO_SPACE;
}

const char *url_host_header(const struct url *url, char *out, size_t size)
{
    snprintf(out, size, strchr(url->host, ':') ? "[%s]" : "%s", url->host);
    return out;
}
