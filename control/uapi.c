/* SPDX-License-Identifier: Apache-2.0 */
/* Lines in, lines out; a key selects a row of one of two tables. */
#include "control/uapi.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/key_text.h"
#include "platform/base/bytes.h"

/* One value, terminated. */
typedef bool (*value_fn)(struct device_update *u, const char *value);

struct rule {
    const char *name;
    value_fn parse;
};

size_t uapi_request_end(const char *text, size_t len, size_t from)
{
    /* The two line feeds may lie on both sides of `from`. */
    for (size_t i = size_max(from, 1); i < len; i++) {
        const char *lf = memchr(text + i, '\n', len - i);
        if (!lf)
            return 0;
        i = (size_t)(lf - text);
        if (text[i - 1] == '\n')
            return i + 1;
    }
    return 0;
}

enum uapi_op uapi_request_op(const char *text, size_t len)
{
    static const char set[] = "set=1\n", get[] = "get=1\n\n";

    if (len == sizeof get - 1 && memcmp(text, get, sizeof get - 1) == 0)
        return UAPI_GET;
    if (len >= sizeof set - 1 && memcmp(text, set, sizeof set - 1) == 0)
        return UAPI_SET;
    return UAPI_UNKNOWN;
}

/* Values */

/* Decimal without sign or spaces. */
static bool parse_number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        v = v * 10 + (uint64_t)(*text - '0');
        if (v > max)
            return false;
    }
    *out = (uint32_t)v;
    return true;
}

static bool parse_u16(const char *text, uint16_t *out)
{
    uint32_t v;

    if (!parse_number(text, UINT16_MAX, &v))
        return false;
    *out = (uint16_t)v;
    return true;
}

static bool parse_key(const char *text, uint8_t *key)
{
    return key_hex_decode(key, text, strlen(text)) == ERR_OK;
}

/* Flags are only ever raised. */
static bool parse_true(const char *text, bool *out)
{
    *out = strcmp(text, "true") == 0;
    return *out;
}

static bool set_private_key(struct device_update *u, const char *value)
{
    u->has_private_key = true;
    return parse_key(value, u->private_key);
}

static bool set_listen_port(struct device_update *u, const char *value)
{
    u->has_listen_port = true;
    return parse_u16(value, &u->listen_port);
}

static bool set_fwmark(struct device_update *u, const char *value)
{
    u->has_fwmark = true;
    return parse_number(value, UINT32_MAX, &u->fwmark);
}

static bool set_replace_peers(struct device_update *u, const char *value)
{
    return parse_true(value, &u->replace_peers);
}

static bool set_public_key(struct device_update *u, const char *value)
{
    return parse_key(value, device_update_peer(u)->public_key);
}

static struct device_peer_update *peer(struct device_update *u)
{
    return &u->peers[u->peers_n - 1];
}

static bool set_remove(struct device_update *u, const char *value)
{
    return parse_true(value, &peer(u)->remove);
}

static bool set_update_only(struct device_update *u, const char *value)
{
    return parse_true(value, &peer(u)->update_only);
}

static bool set_preshared_key(struct device_update *u, const char *value)
{
    peer(u)->has_psk = true;
    return parse_key(value, peer(u)->psk);
}

/* "[fe80::1%eth0]:51820", as `wg` prints link-local endpoints: a host for the resolver. */
static bool set_scoped_endpoint(struct device_peer_update *p, const char *value)
{
    const char *percent = strchr(value, '%'), *end = strstr(value, "]:");
    char ip[IP_TEXT_MAX];
    struct ip_addr addr;

    if (value[0] != '[' || !percent || !end || percent > end)
        return false;
    size_t ip_len = (size_t)(percent - value) - 1, host_len = (size_t)(end - value) - 1;
    size_t scope_len = (size_t)(end - percent) - 1;
    if (ip_len >= sizeof ip || scope_len < 1 || scope_len > 15 ||
        strcspn(percent + 1, "/%[: \t\r") < scope_len)
        return false;
    memcpy(ip, value + 1, ip_len);
    ip[ip_len] = '\0';
    if (ip_addr_parse(&addr, ip) != ERR_OK || addr.family != ADDR_V6)
        return false;
    memcpy(p->endpoint_host, value + 1, host_len);
    p->endpoint_host[host_len] = '\0';
    return parse_u16(end + 2, &p->endpoint_port) && p->endpoint_port != 0;
}

static bool set_endpoint(struct device_update *u, const char *value)
{
    struct device_peer_update *p = peer(u);

    p->has_endpoint = true;
    p->endpoint_host[0] = '\0';
    p->endpoint_port = 0;
    if (sock_addr_parse(&p->endpoint, value) == ERR_OK)
        return p->endpoint.port != 0;
    memset(&p->endpoint, 0, sizeof p->endpoint);
    return set_scoped_endpoint(p, value);
}

static bool set_keepalive(struct device_update *u, const char *value)
{
    peer(u)->has_keepalive = true;
    return parse_u16(value, &peer(u)->keepalive_seconds);
}

static bool set_replace_allowed(struct device_update *u, const char *value)
{
    return parse_true(value, &peer(u)->replace_allowed);
}

static bool set_allowed_ip(struct device_update *u, const char *value)
{
    struct ip_prefix prefix;
    bool remove = value[0] == '-';

    value += remove ? 1 : 0;
    if (!strchr(value, '/') || ip_prefix_parse(&prefix, value) != ERR_OK)
        return false;
    ip_prefix_mask(&prefix);
    device_peer_allow(peer(u), &prefix, remove);
    return true;
}

static bool set_protocol_version(struct device_update *u, const char *value)
{
    (void)u;
    return strcmp(value, "1") == 0;
}

static const struct rule device_rules[] = {
    {"private_key", set_private_key},
    {"listen_port", set_listen_port},
    {"fwmark", set_fwmark},
    {"replace_peers", set_replace_peers},
};

static const struct rule peer_rules[] = {
    {"allowed_ip", set_allowed_ip},
    {"preshared_key", set_preshared_key},
    {"endpoint", set_endpoint},
    {"persistent_keepalive_interval", set_keepalive},
    {"replace_allowed_ips", set_replace_allowed},
    {"remove", set_remove},
    {"update_only", set_update_only},
    {"protocol_version", set_protocol_version},
};

/* line: "key=value", terminated, writable. */
static bool set_line(struct device_update *u, char *line)
{
    const struct rule *rules = u->peers_n > 0 ? peer_rules : device_rules;
    size_t n = u->peers_n > 0 ? ARRAY_LEN(peer_rules) : ARRAY_LEN(device_rules);
    char *value = strchr(line, '=');

    if (!value)
        return false;
    *value++ = '\0';
    if (strcmp(line, "public_key") == 0)
        return set_public_key(u, value);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(line, rules[i].name) == 0)
            return rules[i].parse(u, value);
    }
    return false;
}

void uapi_set_init(struct uapi_set *s, struct device_update *out, const char *text, size_t len)
{
    *s = (struct uapi_set){.out = out, .text = text, .len = len, .line = 1};
    device_update_init(out);
}

/* The next line; false if it is malformed. *end: it was the empty one. */
static bool set_next_line(struct uapi_set *s, bool *end)
{
    char buf[UAPI_LINE_MAX];
    const char *start = s->text + s->at;
    const char *lf = s->at < s->len ? memchr(start, '\n', s->len - s->at) : NULL;
    size_t n = lf ? (size_t)(lf - start) : 0;

    s->line++;
    s->at += n + 1;
    *end = lf == start;
    if (*end)
        return true;
    if (n == 0 || n >= sizeof buf || memchr(start, '\0', n))
        return false;
    memcpy(buf, start, n);
    buf[n] = '\0';
    bool ok = set_line(s->out, buf);
    secure_wipe(buf, n);
    return ok;
}

enum err uapi_set_next(struct uapi_set *s, unsigned lines)
{
    bool ok = true, end = false;

    if (s->at == 0) {
        ok = uapi_request_op(s->text, s->len) == UAPI_SET;
        s->at = sizeof "set=1\n" - 1;
    }
    for (; ok && !end && lines > 0; lines--)
        ok = set_next_line(s, &end);
    if (!ok) {
        device_update_fini(s->out);
        return ERR_PARSE;
    }
    return end ? ERR_OK : ERR_AGAIN;
}

enum err uapi_parse_set(struct device_update *out, const char *text, size_t len, unsigned *line)
{
    struct uapi_set s;
    enum err err;

    uapi_set_init(&s, out, text, len);
    do
        err = uapi_set_next(&s, UINT_MAX);
    while (err == ERR_AGAIN);
    *line = s.line;
    return err;
}

/* Replies */

struct writer {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(w->at, w->left, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0 && (size_t)n < w->left); /* callers leave UAPI_LINE_MAX or UAPI_CHUNK_MIN */
    w->at += n;
    w->left -= (size_t)n;
}

static void put_key(struct writer *w, const char *name, const uint8_t *key)
{
    char hex[KEY_HEX_LEN + 1];

    key_hex_encode(hex, key);
    put(w, "%s=%s\n", name, hex);
    secure_wipe(hex, sizeof hex);
}

static void put_device(struct writer *w, const struct device_status *s)
{
    if (!ct_is_zero(s->private_key, DEVICE_KEY_LEN))
        put_key(w, "private_key", s->private_key);
    if (s->listen_port)
        put(w, "listen_port=%u\n", s->listen_port);
    if (s->fwmark)
        put(w, "fwmark=%lu\n", (unsigned long)s->fwmark);
}

static void put_peer(struct writer *w, const struct device_peer_status *p)
{
    char endpoint[SOCK_ADDR_TEXT_MAX];

    put_key(w, "public_key", p->public_key);
    put_key(w, "preshared_key", p->psk);
    put(w, "protocol_version=1\n");
    if (p->endpoint.ip.family != ADDR_NONE)
        put(w, "endpoint=%s\n", sock_addr_format(&p->endpoint, endpoint, sizeof endpoint));
    put(w, "last_handshake_time_sec=%llu\n", (unsigned long long)p->handshake_seconds);
    put(w, "last_handshake_time_nsec=%lu\n", (unsigned long)p->handshake_nanoseconds);
    put(w, "tx_bytes=%llu\n", (unsigned long long)p->tx_bytes);
    put(w, "rx_bytes=%llu\n", (unsigned long long)p->rx_bytes);
    put(w, "persistent_keepalive_interval=%u\n", p->keepalive_seconds);
}

void uapi_get_init(struct uapi_get *g, const struct device_status *status)
{
    *g = (struct uapi_get){.status = status};
}

/* The next group of lines; at most UAPI_CHUNK_MIN bytes. */
static void get_step(struct uapi_get *g, struct writer *w)
{
    const struct device_status *s = g->status;
    char text[IP_PREFIX_TEXT_MAX];

    if (!g->begun) {
        put_device(w, s);
        g->begun = true;
    } else if (g->peer == s->peers_n) {
        put(w, "errno=0\n\n");
        g->done = true;
    } else if (!g->in_peer) {
        put_peer(w, &s->peers[g->peer]);
        g->in_peer = true;
        g->allowed = 0;
    } else if (g->allowed < s->peers[g->peer].allowed_n) {
        const struct ip_prefix *prefix = &s->peers[g->peer].allowed[g->allowed++];
        put(w, "allowed_ip=%s\n", ip_prefix_format(prefix, text, sizeof text));
    } else {
        g->in_peer = false;
        g->peer++;
    }
}

size_t uapi_get_next(struct uapi_get *g, char *buf, size_t size)
{
    struct writer w = {.at = buf, .left = size};

    ASSERT(size >= UAPI_CHUNK_MIN);
    while (!g->done && w.left >= UAPI_CHUNK_MIN)
        get_step(g, &w);
    return size - w.left;
}

static int errno_of(enum err err)
{
    switch (err) {
    case ERR_OK:
        return 0;
    case ERR_INVALID:
    case ERR_PARSE:
    case ERR_CRYPTO:
        return EINVAL;
    case ERR_NOT_FOUND:
        return ENOENT;
    case ERR_EXISTS:
        return EEXIST;
    case ERR_IN_USE:
        return EADDRINUSE;
    case ERR_PERMISSION:
        return EPERM;
    case ERR_UNSUPPORTED:
        return EOPNOTSUPP;
    case ERR_NO_MEMORY:
        return ENOMEM;
    case ERR_NO_SPACE:
    case ERR_FULL:
        return ENOSPC;
    case ERR_AGAIN:
        return EAGAIN;
    case ERR_TIMEOUT:
        return ETIMEDOUT;
    case ERR_UNREACHABLE:
        return ENETUNREACH;
    case ERR_CLOSED:
        return EPIPE;
    case ERR_IO:
        return EIO;
    }
    return EIO;
}

size_t uapi_reply(char *buf, size_t size, enum uapi_op op, enum err err)
{
    struct writer w = {.at = buf, .left = size};
    int number = errno_of(err);

    put(&w, "errno=%d\n\n", op == UAPI_GET ? number : -number);
    return size - w.left;
}
