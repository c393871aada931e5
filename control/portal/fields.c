/* SPDX-License-Identifier: Apache-2.0 */
/* See fields.h. */
#include "control/portal/fields.h"

#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"

void fields_fail(struct fields *f, const char *key, const char *what)
{
    size_t path = strlen(f->path);

    if (f->failed)
        return;
    f->failed = true;
    if (!key && path > 0)
        path--; /* the '.' */
    snprintf(f->why, sizeof f->why, "%.*s%s: %s", (int)path, f->path,
             key ? key : (path == 0 ? "payload" : ""), what);
}

struct fields_mark fields_enter(struct fields *f, const char *key, int index)
{
    struct fields_mark mark = {strlen(f->path)};
    char *at = f->path + mark.len;
    size_t room = sizeof f->path - mark.len;

    if (index < 0)
        snprintf(at, room, "%s.", key);
    else
        snprintf(at, room, "%s[%d].", key, index);
    return mark;
}

void fields_leave(struct fields *f, struct fields_mark mark)
{
    f->path[mark.len] = 0;
}

/* ---- JSON's own types ---- */

static const json_t *member(struct fields *f, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        fields_fail(f, key, "missing");
    return value;
}

static bool is_absent(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value);
}

const char *fields_spelling(const json_t *object, const char *current, const char *older)
{
    return json_object_get(object, current) || !json_object_get(object, older) ? current : older;
}

const json_t *fields_object(struct fields *f, const json_t *object, const char *key)
{
    const json_t *value = member(f, object, key);
    if (value && !json_is_object(value))
        fields_fail(f, key, "not an object");
    return f->failed ? NULL : value;
}

const json_t *fields_object_or_null(struct fields *f, const json_t *object, const char *key)
{
    return is_absent(object, key) ? NULL : fields_object(f, object, key);
}

const json_t *fields_list(struct fields *f, const json_t *object, const char *key)
{
    const json_t *value = member(f, object, key);
    if (value && !json_is_array(value))
        fields_fail(f, key, "not a list");
    return f->failed ? NULL : value;
}

const json_t *fields_list_or_null(struct fields *f, const json_t *object, const char *key)
{
    return is_absent(object, key) ? NULL : fields_list(f, object, key);
}

const json_t *fields_element(struct fields *f, const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    if (!json_is_object(value))
        fields_fail(f, NULL, "not an object");
    return f->failed ? NULL : value;
}

static const char *checked_text(struct fields *f, const char *key, const json_t *value,
                                size_t len_max)
{
    const char *text = json_string_value(value);
    if (!text)
        fields_fail(f, key, "not a text");
    else if (text[0] == 0)
        fields_fail(f, key, "empty");
    else if (json_string_length(value) > len_max)
        fields_fail(f, key, "too long");
    return f->failed ? "" : text;
}

const char *fields_text_within(struct fields *f, const json_t *object, const char *key,
                               size_t len_max)
{
    const json_t *value = member(f, object, key);
    return value ? checked_text(f, key, value, len_max) : "";
}

const char *fields_text(struct fields *f, const json_t *object, const char *key)
{
    return fields_text_within(f, object, key, FIELDS_TEXT_MAX);
}

const char *fields_text_or_null(struct fields *f, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    bool empty = json_is_string(value) && json_string_length(value) == 0;
    return is_absent(object, key) || empty ? NULL : checked_text(f, key, value, FIELDS_TEXT_MAX);
}

bool fields_bool_or(struct fields *f, const json_t *object, const char *key, bool absent)
{
    const json_t *value = json_object_get(object, key);
    if (is_absent(object, key))
        return absent;
    if (!json_is_boolean(value))
        fields_fail(f, key, "neither true nor false");
    return json_is_true(value);
}

int64_t fields_integer(struct fields *f, const json_t *object, const char *key, int64_t min,
                       int64_t max)
{
    const json_t *value = member(f, object, key);
    int64_t n = json_integer_value(value);
    if (value && !json_is_integer(value))
        fields_fail(f, key, "not a whole number");
    else if (value && (n < min || n > max))
        fields_fail(f, key, "out of range");
    return f->failed ? min : n;
}

int64_t fields_integer_or(struct fields *f, const json_t *object, const char *key, int64_t min,
                          int64_t max, int64_t absent)
{
    return is_absent(object, key) ? absent : fields_integer(f, object, key, min, max);
}

unsigned fields_choice(struct fields *f, const json_t *object, const char *key,
                       const char *const *names, unsigned n)
{
    const char *text = fields_text(f, object, key);
    unsigned i = 0;
    while (i < n && strcmp(text, names[i]) != 0)
        i++;
    return i;
}

/* ---- the protocol's types ---- */

struct uuid fields_uuid(struct fields *f, const json_t *object, const char *key)
{
    const char *text = fields_text(f, object, key);
    struct uuid uuid = {{0}};
    if (!f->failed && !uuid_parse(&uuid, text))
        fields_fail(f, key, "not a UUID");
    return uuid;
}

struct uuid fields_uuid_or_nil(struct fields *f, const json_t *object, const char *key)
{
    struct uuid nil = {{0}};
    return is_absent(object, key) ? nil : fields_uuid(f, object, key);
}

static const char *not_of(enum addr_family family)
{
    return family == ADDR_V4   ? "not an IPv4 address"
           : family == ADDR_V6 ? "not an IPv6 address"
                               : "not an IP address";
}

struct ip_addr fields_ip(struct fields *f, const json_t *object, const char *key,
                         enum addr_family family)
{
    const char *text = fields_text(f, object, key);
    struct ip_addr ip = {0};
    if (!f->failed &&
        (ip_addr_parse(&ip, text) != ERR_OK || (family != ADDR_NONE && ip.family != family)))
        fields_fail(f, key, not_of(family));
    return ip;
}

struct ip_addr fields_host(struct fields *f, const json_t *object, const char *key,
                           enum addr_family family)
{
    const char *text = fields_text(f, object, key);
    struct ip_prefix host = {.len = 0};
    if (!f->failed && (ip_prefix_parse(&host, text) != ERR_OK || host.ip.family != family ||
                       host.len != ip_addr_bits(&host.ip)))
        fields_fail(f, key, not_of(family));
    return host.ip;
}

struct ip_addr fields_host_or_none(struct fields *f, const json_t *object, const char *key,
                                   enum addr_family family)
{
    struct ip_addr none = {0};
    return is_absent(object, key) ? none : fields_host(f, object, key, family);
}

struct ip_prefix fields_prefix(struct fields *f, const json_t *object, const char *key)
{
    const char *text = fields_text(f, object, key);
    struct ip_prefix prefix = {0};
    if (f->failed)
        return prefix;
    if (!strchr(text, '/') || ip_prefix_parse(&prefix, text) != ERR_OK) {
        fields_fail(f, key, "not an address with a /length");
        return prefix;
    }
    struct ip_prefix masked = prefix;
    ip_prefix_mask(&masked);
    if (!ip_addr_equal(&masked.ip, &prefix.ip))
        fields_fail(f, key, "bits are set behind the /length");
    return masked;
}

struct sock_addr fields_sock_addr(struct fields *f, const json_t *object, const char *key)
{
    const char *text = fields_text(f, object, key);
    struct sock_addr addr = {.port = 0};
    if (!f->failed && (sock_addr_parse(&addr, text) != ERR_OK || addr.port == 0))
        fields_fail(f, key, "not an address and port");
    return addr;
}

void fields_key(struct fields *f, const json_t *object, const char *key, uint8_t out[KEY_LEN])
{
    const char *text = fields_text(f, object, key);
    memset(out, 0, KEY_LEN);
    if (!f->failed && key_base64_decode(out, text, strlen(text)) != ERR_OK)
        fields_fail(f, key, "not a key in base64");
}
