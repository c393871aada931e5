/* SPDX-License-Identifier: Apache-2.0 */
/* See candidate.h. */
#include "control/p2p/candidate.h"

#include <stdio.h>

#include "platform/base/bytes.h"

/* Of local preferences and types; see candidate_priority. */
enum {
    TYPE_SHIFT = 24,
    PREFERENCE_SHIFT = 8,
    COMPONENT_PART = 255, /* 256 - component */
    OTHER_FAMILY_COST = 1000,
    PREFERENCE_MAX_COUNT = 1000 /* more candidates of a kind all have the preference of this one */
};

static const struct kind {
    const char *text;
    uint32_t type, start;
} KINDS[] = {
    [CANDIDATE_HOST] = {"host", 126, 65535},
    [CANDIDATE_SRFLX] = {"srflx", 100, 32767},
    [CANDIDATE_PRFLX] = {"prflx", 110, 49151},
    [CANDIDATE_RELAY] = {"relay", 2, 16383},
};

const char *candidate_kind_text(enum candidate_kind kind)
{
    ASSERT((size_t)kind < ARRAY_LEN(KINDS));
    return KINDS[kind].text;
}

static struct sock_addr unspecified(uint8_t family)
{
    return (struct sock_addr){.ip.family = family};
}

struct candidate candidate_make(enum candidate_kind kind, const struct sock_addr *addr,
                                const struct sock_addr *local)
{
    struct candidate c = {.kind = kind, .addr = *addr, .base = *addr};

    if (kind == CANDIDATE_SRFLX || kind == CANDIDATE_PRFLX)
        c.base = *local;
    if (kind == CANDIDATE_SRFLX || kind == CANDIDATE_RELAY)
        c.raddr = unspecified(addr->ip.family);
    if (kind == CANDIDATE_RELAY)
        c.local = *local;
    return c;
}

bool candidate_addr_ok(const struct sock_addr *addr)
{
    const uint8_t *b = addr->ip.bytes;

    if (addr->port == 0 || addr->ip.family == ADDR_NONE || ct_is_zero(b, ip_addr_len(&addr->ip)))
        return false;
    if (addr->ip.family == ADDR_V6)
        return b[0] != 0xff;
    if (b[0] == 169 && b[1] == 254)
        return false;
    return b[0] >> 4 != 0xe && load_be32(b) != UINT32_MAX;
}

uint32_t candidate_priority(const struct candidate *c, unsigned same_count)
{
    const struct kind *k = &KINDS[c->kind];
    uint32_t preference = k->start;

    preference -= 2 * (uint32_t)size_min(same_count, PREFERENCE_MAX_COUNT);
    if (c->addr.ip.family == ADDR_V4)
        preference -= 1;
    if (c->kind == CANDIDATE_RELAY && c->local.ip.family != c->addr.ip.family)
        preference -= OTHER_FAMILY_COST;
    return k->type << TYPE_SHIFT | preference << PREFERENCE_SHIFT | COMPONENT_PART;
}

uint32_t candidate_prflx_priority(uint32_t priority)
{
    const uint32_t lower = (UINT32_C(1) << TYPE_SHIFT) - 1;

    return KINDS[CANDIDATE_PRFLX].type << TYPE_SHIFT | (priority & lower);
}

bool candidate_equal(const struct candidate *a, const struct candidate *b)
{
    return a->kind == b->kind && sock_addr_equal(&a->addr, &b->addr) &&
           sock_addr_equal(&a->base, &b->base) && sock_addr_equal(&a->raddr, &b->raddr);
}

/* ---- parsing ---- */

struct token {
    const char *text; /* NULL: the line is at its end */
    size_t len;
};

struct reader {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct token next_token(struct reader *r)
{
    struct token t = {NULL, 0};

    while (r->at < r->end && is_space(*r->at))
        r->at++;
    if (r->at == r->end)
        return t;
    t.text = r->at;
    while (r->at < r->end && !is_space(*r->at))
        r->at++;
    t.len = (size_t)(r->at - t.text);
    return t;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool token_is(struct token t, const char *text)
{
    return t.text && t.len == strlen(text) && memcmp(t.text, text, t.len) == 0;
}

static bool token_is_any_case(struct token t, const char *text)
{
    if (!t.text || t.len != strlen(text))
        return false;
    for (size_t i = 0; i < t.len; i++) {
        if (lower(t.text[i]) != text[i])
            return false;
    }
    return true;
}

/* Decimal digits only, at most `max`. */
static bool token_number(struct token t, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;

    if (!t.text || t.len > 10)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        if (t.text[i] < '0' || t.text[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(t.text[i] - '0');
    }
    *out = (uint32_t)n;
    return n <= max;
}

static bool token_ip(struct token t, struct ip_addr *out)
{
    char text[IP_TEXT_MAX];

    if (!t.text || t.len >= sizeof text || memchr(t.text, '\0', t.len))
        return false;
    memcpy(text, t.text, t.len);
    text[t.len] = '\0';
    return ip_addr_parse(out, text) == ERR_OK;
}

static bool token_port(struct token t, uint16_t *out)
{
    uint32_t n;

    if (!token_number(t, UINT16_MAX, &n))
        return false;
    *out = (uint16_t)n;
    return true;
}

static bool token_transport(struct token t, enum candidate_transport *out)
{
    *out = token_is_any_case(t, "udp") ? CANDIDATE_UDP : CANDIDATE_OTHER;
    return *out == CANDIDATE_UDP || token_is_any_case(t, "tcp") || token_is_any_case(t, "ssltcp") ||
           token_is_any_case(t, "tls");
}

static bool token_kind(struct token t, enum candidate_kind *out)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (token_is(t, KINDS[i].text)) {
            *out = (enum candidate_kind)i;
            return true;
        }
    }
    return false;
}

static bool token_tcptype(struct token t)
{
    return token_is(t, "active") || token_is(t, "passive") || token_is(t, "so");
}

/* foundation component transport priority ip port "typ" kind */
static bool parse_fixed(struct candidate *c, struct reader *r)
{
    struct token foundation = next_token(r);
    uint32_t component;

    if (!foundation.text || !token_number(next_token(r), UINT32_MAX, &component) || component != 1)
        return false;
    if (!token_transport(next_token(r), &c->transport) ||
        !token_number(next_token(r), UINT32_MAX, &c->priority))
        return false;
    if (!token_ip(next_token(r), &c->addr.ip) || !token_port(next_token(r), &c->addr.port))
        return false;
    return token_is(next_token(r), "typ") && token_kind(next_token(r), &c->kind);
}

/* Pairs of a key and a value, of which unknown ones are skipped. A last key without value is one of those. */
static bool parse_pairs(struct candidate_line *out, struct reader *r)
{
    struct sock_addr raddr = {.port = 0};
    bool has_ip = false, has_port = false;
    struct token key, value;

    while ((key = next_token(r)).text && (value = next_token(r)).text) {
        if (token_is(key, "raddr")) {
            if (!token_ip(value, &raddr.ip))
                return false;
            has_ip = true;
        } else if (token_is(key, "rport")) {
            if (!token_port(value, &raddr.port))
                return false;
            has_port = true;
        } else if (token_is(key, "tcptype")) {
            if (!token_tcptype(value))
                return false;
        } else if (token_is(key, "ufrag")) {
            out->ufrag = value.text;
            out->ufrag_len = value.len;
        }
    }
    if (has_ip && has_port)
        out->candidate.raddr = raddr;
    return true;
}

enum err candidate_parse(struct candidate_line *out, const char *line, size_t len)
{
    static const char prefix[] = "candidate:";
    const size_t prefix_len = sizeof prefix - 1;
    struct candidate *c = &out->candidate;
    struct reader r;

    *out = (struct candidate_line){.ufrag = NULL};
    if (len < prefix_len || len > CANDIDATE_LINE_INPUT_MAX || memcmp(line, prefix, prefix_len) != 0)
        return ERR_PARSE;
    r = (struct reader){line + prefix_len, line + len};
    if (!parse_fixed(c, &r) || !parse_pairs(out, &r) || !candidate_addr_ok(&c->addr)) {
        *out = (struct candidate_line){.ufrag = NULL};
        return ERR_PARSE;
    }
    c->base = c->addr;
    return ERR_OK;
}

/* ---- writing ---- */

/* The characters that the grammar of SDP gives it. */
bool candidate_ufrag_ok(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        bool letter = lower(text[i]) >= 'a' && lower(text[i]) <= 'z';
        if (!digit && !letter && text[i] != '+' && text[i] != '/')
            return false;
    }
    return len > 0 && len <= CANDIDATE_UFRAG_MAX;
}

/* Equal for candidates of the same kind and base address, as far as anybody cares: FNV-1a. */
static uint32_t foundation(const struct candidate *c)
{
    uint32_t hash = UINT32_C(2166136261);
    size_t len = ip_addr_len(&c->base.ip);

    hash = (hash ^ (uint32_t)c->kind) * UINT32_C(16777619);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ c->base.ip.bytes[i]) * UINT32_C(16777619);
    return hash;
}

size_t candidate_format(const struct candidate *c, const char *ufrag, char out[CANDIDATE_LINE_MAX])
{
    char ip[IP_TEXT_MAX], related[IP_TEXT_MAX];
    size_t len;

    out[0] = '\0';
    if (ufrag && !candidate_ufrag_ok(ufrag))
        return 0;
    ASSERT(c->addr.ip.family != ADDR_NONE && c->transport == CANDIDATE_UDP);
    len = (size_t)snprintf(out, CANDIDATE_LINE_MAX, "candidate:%u 1 udp %u %s %u typ %s",
                           foundation(c), c->priority, ip_addr_format(&c->addr.ip, ip, sizeof ip),
                           c->addr.port, candidate_kind_text(c->kind));
    if (c->raddr.ip.family != ADDR_NONE)
        len +=
            (size_t)snprintf(out + len, CANDIDATE_LINE_MAX - len, " raddr %s rport %u",
                             ip_addr_format(&c->raddr.ip, related, sizeof related), c->raddr.port);
    if (ufrag)
        len += (size_t)snprintf(out + len, CANDIDATE_LINE_MAX - len, " ufrag %s", ufrag);
    ASSERT(len < CANDIDATE_LINE_MAX);
    return len;
}
