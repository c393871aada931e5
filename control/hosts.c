/* SPDX-License-Identifier: Apache-2.0 */
#include "control/hosts.h"

#include <stdbool.h>
#include <string.h>

struct text {
    const char *p, *end;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* False: the line has no more words. */
static bool next_word(struct text *line, struct text *word)
{
    while (line->p < line->end && is_blank(*line->p))
        line->p++;
    word->p = line->p;
    while (line->p < line->end && !is_blank(*line->p))
        line->p++;
    word->end = line->p;
    return word->p < word->end;
}

/* Without what a '#' begins. False: the file has no more lines. */
static bool next_line(struct text *file, struct text *line)
{
    if (file->p >= file->end)
        return false;
    const char *eol = memchr(file->p, '\n', (size_t)(file->end - file->p));
    line->p = file->p;
    line->end = eol ? eol : file->end;
    file->p = eol ? eol + 1 : file->end;
    const char *comment = memchr(line->p, '#', (size_t)(line->end - line->p));
    if (comment)
        line->end = comment;
    return true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(const struct text *word, const char *host, size_t host_len)
{
    if ((size_t)(word->end - word->p) != host_len)
        return false;
    for (size_t i = 0; i < host_len; i++) {
        if (lower(word->p[i]) != lower(host[i]))
            return false;
    }
    return true;
}

static bool known(const struct sock_addr *list, unsigned n, const struct sock_addr *addr)
{
    for (unsigned i = 0; i < n; i++) {
        if (sock_addr_equal(&list[i], addr))
            return true;
    }
    return false;
}

unsigned hosts_find(struct sock_addr *out, unsigned max, const char *text, size_t len,
                    const char *host, ifindex_fn ifindex)
{
    struct text file = {text, text + len}, line, address, name;
    size_t host_len = strlen(host);
    unsigned n = 0;

    while (n < max && next_line(&file, &line)) {
        bool named = false;
        if (!next_word(&line, &address))
            continue;
        while (!named && next_word(&line, &name))
            named = same_name(&name, host, host_len);
        if (named &&
            ip_scoped_parse(&out[n], address.p, (size_t)(address.end - address.p), ifindex) ==
                ERR_OK &&
            !known(out, n, &out[n]))
            n++;
    }
    return n;
}
