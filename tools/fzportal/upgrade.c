/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzportal/upgrade.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/linux/addr_os.h"

enum {
    NONCE_TEXT_LEN = 24 /* 16 bytes in base64 */
};

static const char token_header[] = "x-authorization:";
static const char token_prefix[] = "Bearer ";

/* ---- the request ---- */

/* NULL: no such header. */
static char *header(struct lws *wsi, enum lws_token_indexes h)
{
    int len = lws_hdr_total_length(wsi, h);
    char *text;

    if (len <= 0)
        return NULL;
    text = mem_zalloc((size_t)len + 1, 1);
    if (lws_hdr_copy(wsi, text, len + 1, h) < 0)
        text[0] = '\0';
    return text;
}

static void trim_end(char *text)
{
    size_t n = strlen(text);

    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        text[--n] = '\0';
}

/* NULL: no such header, or one that is not a bearer's. */
static char *bearer(struct lws *wsi)
{
    int len = lws_hdr_custom_length(wsi, token_header, (int)sizeof token_header - 1);
    char *text, *token = NULL;

    if (len <= 0)
        return NULL;
    text = mem_zalloc((size_t)len + 1, 1);
    if (lws_hdr_custom_copy(wsi, text, len + 1, token_header, (int)sizeof token_header - 1) >= 0 &&
        strncmp(text, token_prefix, sizeof token_prefix - 1) == 0) {
        trim_end(text);
        token =
            mem_dup_text(text + sizeof token_prefix - 1, strlen(text) - sizeof token_prefix + 1);
    }
    secure_wipe(text, (size_t)len);
    free(text);
    return token;
}

/* One argument as application/x-www-form-urlencoded; its first '=' is the separator. Returns the end. */
static char *encode(char *at, const uint8_t *bytes, size_t len)
{
    bool separated = false;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = bytes[i];
        if (c == '=' && !separated) {
            separated = true;
            *at++ = '=';
        } else if (c == ' ') {
            *at++ = '+';
        } else if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                   (c != 0 && strchr("-._*", c))) {
            *at++ = (char)c;
        } else {
            at += sprintf(at, "%%%02X", c);
        }
    }
    return at;
}

static char *query(struct lws *wsi)
{
    size_t total = (size_t)lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    uint8_t *argument = mem_zalloc(UPGRADE_HEADERS_MAX, 1);
    /* Each byte at most three, and an '&' per argument, which is at least one byte with its separator. */
    char *text = mem_zalloc(3 * (total + 1) + UPGRADE_HEADERS_MAX, 1), *at = text;
    int n;

    for (int i = 0; (n = lws_hdr_copy_fragment(wsi, (char *)argument, UPGRADE_HEADERS_MAX,
                                               WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0;
         i++) {
        /* An empty one at the end is taken for an empty path, and becomes "/". */
        if (n == 0 || (n == 1 && argument[0] == '/'))
            continue;
        if (at > text)
            *at++ = '&';
        at = encode(at, argument, (size_t)n);
    }
    secure_wipe(argument, UPGRADE_HEADERS_MAX);
    free(argument);
    return text;
}

static struct ip_addr peer(struct lws *wsi)
{
    union addr_os name = {0};
    socklen_t len = sizeof name;
    struct sock_addr a = {0};

    if (getpeername(lws_get_socket_fd(wsi), &name.sa, &len) == 0)
        addr_os_from(&a, &name);
    return a.ip;
}

static char *path(struct lws *wsi)
{
    char *uri;
    int len;

    if (lws_http_get_uri_and_method(wsi, &uri, &len) < 0)
        return mem_zalloc(1, 1);
    return mem_dup_text(uri, (size_t)len);
}

void upgrade_read(struct upgrade *u, struct lws *wsi)
{
    u->path = path(wsi);
    u->query = query(wsi);
    u->token = bearer(wsi);
    u->user_agent = header(wsi, WSI_TOKEN_HTTP_USER_AGENT);
    u->origin = header(wsi, WSI_TOKEN_ORIGIN);
    u->host = header(wsi, WSI_TOKEN_HOST);
    u->request = (struct portal_request){.path = u->path,
                                         .query = u->query,
                                         .token = u->token,
                                         .user_agent = u->user_agent,
                                         .origin = u->origin,
                                         .host = u->host,
                                         .secure = lws_is_ssl(wsi) != 0,
                                         .from = peer(wsi)};
}

static void wipe_text(char *text)
{
    if (text)
        secure_wipe(text, strlen(text));
    free(text);
}

void upgrade_wipe(struct upgrade *u)
{
    wipe_text(u->query);
    wipe_text(u->token);
    free(u->path);
    free(u->user_agent);
    free(u->origin);
    free(u->host);
    memset(u, 0, sizeof *u);
}

/* Is `word` one of a list with commas? */
static bool lists(const char *list, const char *word)
{
    size_t n = strlen(word);

    while (*list) {
        list += strspn(list, " \t,");
        size_t len = strcspn(list, " \t,");
        if (len == n && strncasecmp(list, word, n) == 0)
            return true;
        list += len;
    }
    return false;
}

/* Does the header have `word`? Longer ones than anybody needs do not count. */
static bool header_lists(struct lws *wsi, enum lws_token_indexes h, const char *word)
{
    char text[256];

    return lws_hdr_copy(wsi, text, sizeof text, h) > 0 && lists(text, word);
}

bool upgrade_valid(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0 &&
           header_lists(wsi, WSI_TOKEN_UPGRADE, "websocket") &&
           header_lists(wsi, WSI_TOKEN_CONNECTION, "upgrade") &&
           header_lists(wsi, WSI_TOKEN_VERSION, "13") &&
           lws_hdr_total_length(wsi, WSI_TOKEN_KEY) == NONCE_TEXT_LEN &&
           lws_hdr_total_length(wsi, WSI_TOKEN_HOST) > 0;
}

/* ---- the answer ---- */

const char *upgrade_title(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < ARRAY_LEN(titles); i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Unknown";
}

/* NULL: an empty body. RFC 9457. */
static char *problem(const struct portal_answer *a)
{
    json_t *json;
    char *text;

    if (a->code[0] == '\0')
        return NULL;
    json = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title",
                     upgrade_title(a->status), "status", (int)a->status, "detail", a->detail,
                     "code", a->code);
    text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static bool is_location(const struct portal_answer *a)
{
    const char *at = a->detail;

    while (*at > ' ' && *at <= '~')
        at++;
    return a->status / 100 == 3 && at > a->detail && *at == '\0';
}

char *upgrade_answer(const struct portal_answer *a, size_t *len)
{
    char *body = problem(a);
    size_t body_len = body ? strlen(body) : 0, size = 1024 + body_len;
    char *out = mem_zalloc(size, 1);
    int n = snprintf(out, size, "HTTP/1.1 %u %s\r\n", a->status, upgrade_title(a->status));

    if (body)
        n += snprintf(out + n, size - (size_t)n,
                      "Content-Type: application/problem+json; charset=utf-8\r\n");
    if (a->retry_after_s >= 0)
        n += snprintf(out + n, size - (size_t)n, "Retry-After: %" PRId64 "\r\n", a->retry_after_s);
    if (is_location(a))
        n += snprintf(out + n, size - (size_t)n, "Location: %s\r\n", a->detail);
    n += snprintf(out + n, size - (size_t)n, "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                  body_len, body ? body : "");
    ASSERT((size_t)n < size);
    free(body);
    *len = (size_t)n;
    return out;
}
