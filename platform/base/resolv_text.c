/* SPDX-License-Identifier: Apache-2.0 */
/* See resolv_text.h. What the original says is looked for once per keyword; what is written is short enough to be searched. */
#include "platform/base/resolv_text.h"

#include <string.h>

struct out {
    char *text;
    size_t len;
    bool full;
};

struct slice {
    const char *p;
    size_t n;
};

static void add(struct out *o, const char *bytes, size_t n)
{
    o->full = o->full || n > RESOLV_TEXT_MAX - o->len;
    if (o->full)
        return;
    memcpy(o->text + o->len, bytes, n);
    o->len += n;
}

static void add_text(struct out *o, const char *text)
{
    add(o, text, strlen(text));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice next_line(struct slice *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct slice line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t used = line.n + (end ? 1 : 0);

    rest->p += used;
    rest->n -= used;
    return line;
}

/* Empty: there is no other, or a comment begins. */
static struct slice next_word(struct slice *line)
{
    while (line->n > 0 && is_blank(line->p[0])) {
        line->p++;
        line->n--;
    }
    struct slice word = {line->p, 0};
    while (word.n < line->n && !is_blank(word.p[word.n]))
        word.n++;
    if (word.n > 0 && (word.p[0] == '#' || word.p[0] == ';'))
        word.n = 0;
    line->p += word.n;
    line->n -= word.n;
    return word;
}

static bool is_plain(struct slice word)
{
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] <= ' ' || word.p[i] > '~')
            return false;
    }
    return word.n > 0;
}

static bool begins(struct slice s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static bool has_word(struct slice line, struct slice word)
{
    for (;;) {
        struct slice it = next_word(&line);
        if (it.n == 0)
            return false;
        if (it.n == word.n && memcmp(it.p, word.p, word.n) == 0)
            return true;
    }
}

/* All words that follow the keyword anywhere, each once, on the line that begins at `start`. */
static void add_kept(struct out *o, size_t start, struct slice text, const char *keyword)
{
    while (text.n > 0 && !o->full) {
        struct slice line = next_line(&text), word = next_word(&line);
        if (!begins(word, keyword) || word.n != strlen(keyword))
            continue;
        while ((word = next_word(&line)).n > 0 && !o->full) {
            if (begins(word, "ndots:") || !is_plain(word) ||
                has_word((struct slice){o->text + start, o->len - start}, word))
                continue;
            if (o->len == start)
                add_text(o, keyword);
            add(o, " ", 1);
            add(o, word.p, word.n);
        }
    }
}

static void add_servers(struct out *o, const struct resolv_text_wish *wish)
{
    char ip[IP_TEXT_MAX];

    for (unsigned i = 0; i < wish->servers_n; i++) {
        add_text(o, "nameserver ");
        add_text(o, ip_addr_format(&wish->servers[i], ip, sizeof ip));
        add_text(o, "\n");
    }
}

static enum err add_search(struct out *o, const struct resolv_text_wish *wish)
{
    for (unsigned i = 0; i < wish->search_n; i++) {
        struct slice domain = {wish->search[i], strlen(wish->search[i])};
        if (!is_plain(domain))
            return ERR_INVALID;
        add_text(o, i == 0 ? "search " : " ");
        add(o, domain.p, domain.n);
    }
    if (wish->search_n > 0)
        add_text(o, "\n");
    return ERR_OK;
}

enum err resolv_text_rewrite(char out[RESOLV_TEXT_MAX], size_t *out_len, const char *text,
                             size_t len, const struct resolv_text_wish *wish)
{
    struct out o = {.text = out};
    struct slice original = {text, len};

    ASSERT(wish->servers_n > 0);
    *out_len = 0;
    add_text(&o, RESOLV_TEXT_MARKER "\n"
                                    "# The system asks the resolvers of a tunnel. When that ends, "
                                    "the text from before comes back from\n# ");
    add_text(&o, wish->backup);
    add_text(&o, "\n# To keep changes of your own, remove the first line.\n");
    add_servers(&o, wish);
    if (add_search(&o, wish) != ERR_OK)
        return ERR_INVALID;
    size_t sortlist = o.len;
    add_kept(&o, sortlist, original, "sortlist");
    if (o.len > sortlist)
        add_text(&o, "\n");
    size_t options = o.len;
    add_kept(&o, options, original, "options");
    add_text(&o, o.len > options ? " ndots:1\n" : "options ndots:1\n");
    if (o.full)
        return ERR_NO_SPACE;
    *out_len = o.len;
    return ERR_OK;
}

bool resolv_text_is_ours(const char *text, size_t len)
{
    return begins((struct slice){text, len}, RESOLV_TEXT_MARKER);
}

bool resolv_text_is_tailed(const char *text, size_t len, const char *original, size_t original_len)
{
    if (len <= original_len || memcmp(text, original, original_len) != 0)
        return false;
    struct slice tail = {text + original_len, len - original_len};
    if (!begins(tail, RESOLV_TEXT_TAIL))
        return false;
    for (size_t i = RESOLV_TEXT_TAIL_LEN; i < tail.n; i++) {
        if (tail.p[i] != '\n')
            return false;
    }
    return true;
}
