/* SPDX-License-Identifier: Apache-2.0 */
/* See query.h. */
#include "tools/fzportal/query.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place, `len` bytes. False: as above. */
static bool decode(char *text, size_t len)
{
    char *out = text;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(text[i + 2]);
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0)
            return false;
        *out++ = c;
    }
    *out = 0;
    json_t *json = json_string(text);
    json_decref(json);
    return json != NULL;
}

static bool add(struct query *q, char *text, size_t len)
{
    char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;

    if (len == 0)
        return true;
    if (q->n == QUERY_PARAMS_MAX)
        return false;
    q->names[q->n] = text;
    q->values[q->n] = equals ? equals + 1 : "";
    q->n++;
    if (equals && !decode(equals + 1, len - name_len - 1))
        return false;
    return decode(text, name_len);
}

bool query_parse(struct query *q, const char *text)
{
    size_t len = strlen(text);

    memset(q, 0, sizeof *q);
    if (len > QUERY_BYTES_MAX)
        return false;
    q->bytes = mem_dup_text(text, len);
    q->bytes_n = len;
    for (char *c = q->bytes, *end = c + len; c < end;) {
        size_t param = strcspn(c, "&");
        if (!add(q, c, param))
            return false;
        c += param + 1;
    }
    return true;
}

void query_fini(struct query *q)
{
    if (q->bytes)
        secure_wipe(q->bytes, q->bytes_n);
    free(q->bytes);
    memset(q, 0, sizeof *q);
}

const char *query_get(const struct query *q, const char *name)
{
    for (size_t i = q->n; i-- > 0;) {
        if (strcmp(q->names[i], name) == 0)
            return q->values[i];
    }
    return NULL;
}
