/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line at a time: comment and white space off, then a section header or `Key = Value`, whose key selects a row of
 * `rules`. Values are slices of the input. What only the whole file can tell (missing and repeated things) is checked
 * at the end of a section or of the file.
 */
#include "control/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/key_text.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    ADDRESSES_MAX = 256,
    KEY_NAME_MAX = 19, /* of our keys; longer words are not echoed: they could be secret */
    TABLE_MAIN = 254,
    TABLE_DEFAULT = 253
};

enum section {
    SECTION_NONE,
    SECTION_INTERFACE,
    SECTION_PEER
};

struct slice {
    const char *p;
    size_t n;
};

struct parser {
    struct config *out;
    struct config_error *e;
    unsigned line, section_line, mtu_line;
    enum section section;
    uint32_t seen;           /* rows of `rules` used in this section */
    bool interface_seen;     /* the section itself */
    unsigned *peer_lines;    /* of each peer's PublicKey */
    size_t peer_lines_n;     /* == peers that have one */
    const struct rule *rule; /* of the current line */
};

struct rule {
    const char *name;
    enum section section;
    bool many; /* may be repeated */
    enum err (*parse)(struct parser *p, struct slice value);
    const char *advice; /* notices: what happens and what to do instead */
};

__attribute__((format(printf, 2, 3))) static enum err fail(struct parser *p, const char *fmt, ...)
{
    va_list ap;

    p->e->line = p->line;
    va_start(ap, fmt);
    vsnprintf(p->e->message, sizeof p->e->message, fmt, ap);
    va_end(ap);
    return ERR_PARSE;
}

/* Slices */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Cuts off and returns what stands before `separator`; all of it if there is none. */
static struct slice slice_cut(struct slice *rest, char separator)
{
    const char *at = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
    struct slice head = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    size_t used = head.n + (at ? 1 : 0);
    rest->p += used;
    rest->n -= used;
    return head;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool slice_is(struct slice s, const char *word)
{
    size_t n = strlen(word);
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (lower(s.p[i]) != lower(word[i]))
            return false;
    }
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_hex(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* True if all characters are hexadecimal digits or in `more`. */
static bool slice_only(struct slice s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_hex(s.p[i]) && !strchr(more, s.p[i]))
            return false;
    }
    return true;
}

/* A terminated copy. False: too long. */
static bool slice_copy(struct slice s, char *out, size_t size)
{
    if (s.n >= size)
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* Decimal, or hexadecimal after 0x, at most `max`. */
static bool slice_number(struct slice s, uint32_t max, uint32_t *out)
{
    bool hex = s.n > 2 && s.p[0] == '0' && lower(s.p[1]) == 'x';
    uint64_t v = 0;

    if (s.n == 0 || s.n > 12)
        return false;
    for (size_t i = hex ? 2 : 0; i < s.n; i++) {
        if (hex ? !is_hex(s.p[i]) : !is_digit(s.p[i]))
            return false;
        unsigned digit =
            is_digit(s.p[i]) ? (unsigned)(s.p[i] - '0') : (unsigned)(lower(s.p[i]) - 'a') + 10;
        v = v * (hex ? 16 : 10) + digit;
        if (v > max)
            return false;
    }
    *out = (uint32_t)v;
    return true;
}

static bool slice_decimal(struct slice s, uint32_t max, uint32_t *out)
{
    return !(s.n > 1 && lower(s.p[1]) == 'x') && slice_number(s, max, out);
}

/* What may be shown of a bad address: text without a letter beyond f is no key. */
static const char *address_echo(struct slice s, char *buf, size_t size)
{
    if (s.n == 0 || s.n > IP_PREFIX_TEXT_MAX || !slice_only(s, ".:/"))
        snprintf(buf, size, "an entry");
    else
        snprintf(buf, size, "\"%.*s\"", (int)s.n, s.p);
    return buf;
}

/* Values */

static enum err parse_key(struct parser *p, struct slice value, uint8_t *key)
{
    if (key_base64_decode(key, value.p, value.n) != ERR_OK)
        return fail(p, "not a key: expected 44 characters of base64");
    return ERR_OK;
}

static enum err parse_private_key(struct parser *p, struct slice value)
{
    struct device_update *d = &p->out->device;

    if (parse_key(p, value, d->private_key) != ERR_OK)
        return ERR_PARSE;
    if (ct_is_zero(d->private_key, DEVICE_KEY_LEN))
        return fail(p, "the key is all zero");
    d->has_private_key = true;
    return ERR_OK;
}

static enum err parse_listen_port(struct parser *p, struct slice value)
{
    uint32_t port;

    if (!slice_decimal(value, 65535, &port))
        return fail(p, "expected a port number from 0 to 65535");
    p->out->device.has_listen_port = true;
    p->out->device.listen_port = (uint16_t)port;
    return ERR_OK;
}

static enum err parse_fwmark(struct parser *p, struct slice value)
{
    uint32_t mark = 0;

    if (!slice_is(value, "off") && !slice_number(value, UINT32_MAX, &mark))
        return fail(p, "expected a number (decimal, or hexadecimal after 0x) or \"off\"");
    p->out->device.has_fwmark = true;
    p->out->device.fwmark = mark;
    return ERR_OK;
}

static enum err parse_mtu(struct parser *p, struct slice value)
{
    p->mtu_line = p->line;
    if (!slice_decimal(value, CONFIG_MTU_MAX, &p->out->mtu) || p->out->mtu < CONFIG_MTU_MIN)
        return fail(p, "expected a number from %d to %d", CONFIG_MTU_MIN, CONFIG_MTU_MAX);
    return ERR_OK;
}

static enum err parse_table(struct parser *p, struct slice value)
{
    struct config *c = p->out;

    c->table = CONFIG_TABLE_NUMBER;
    if (slice_is(value, "auto"))
        c->table = CONFIG_TABLE_AUTO;
    else if (slice_is(value, "off"))
        c->table = CONFIG_TABLE_OFF;
    else if (slice_is(value, "main"))
        c->table_number = TABLE_MAIN;
    else if (slice_is(value, "default"))
        c->table_number = TABLE_DEFAULT;
    else if (!slice_number(value, UINT32_MAX, &c->table_number) || c->table_number == 0)
        return fail(p, "expected \"auto\", \"off\", \"main\" or a table number");
    return ERR_OK;
}

static enum err parse_prefix(struct parser *p, struct slice item, struct ip_prefix *out)
{
    char text[IP_PREFIX_TEXT_MAX + 8], echo[IP_PREFIX_TEXT_MAX + 8];

    if (!slice_copy(item, text, sizeof text) || ip_prefix_parse(out, text) != ERR_OK)
        return fail(p, "%s is not an IP address with an optional /length",
                    address_echo(item, echo, sizeof echo));
    return ERR_OK;
}

static enum err add_address(struct parser *p, const struct ip_prefix *prefix)
{
    static const uint8_t zero[16];
    struct config *c = p->out;
    bool v4 = prefix->ip.family == ADDR_V4;

    if (memcmp(prefix->ip.bytes, zero, sizeof zero) == 0 ||
        (v4 ? prefix->ip.bytes[0] >= 224 : prefix->ip.bytes[0] == 0xff))
        return fail(p, "an address of an interface cannot be unspecified, multicast or broadcast");
    for (size_t i = 0; i < c->addresses_n; i++) {
        if (ip_addr_equal(&c->addresses[i].ip, &prefix->ip))
            return fail(p, "the same address was given before");
    }
    if (c->addresses_n == ADDRESSES_MAX)
        return fail(p, "more than %d addresses", ADDRESSES_MAX);
    c->addresses = mem_grow(c->addresses, c->addresses_n, sizeof *c->addresses);
    c->addresses[c->addresses_n++] = *prefix;
    return ERR_OK;
}

static enum err parse_address(struct parser *p, struct slice value)
{
    struct ip_prefix prefix = {0};

    do {
        struct slice item = slice_trim(slice_cut(&value, ','));
        if (parse_prefix(p, item, &prefix) != ERR_OK || add_address(p, &prefix) != ERR_OK)
            return ERR_PARSE;
    } while (value.n > 0 || value.p[-1] == ',');
    return ERR_OK;
}

static enum err parse_dns(struct parser *p, struct slice value)
{
    char why[96];

    if (config_dns_add(&p->out->dns, value.p, value.n, why, sizeof why) != ERR_OK)
        return fail(p, "%s", why);
    return ERR_OK;
}

static struct device_peer_update *peer(struct parser *p)
{
    return &p->out->device.peers[p->out->device.peers_n - 1];
}

static enum err parse_allowed_ips(struct parser *p, struct slice value)
{
    struct ip_prefix prefix;

    if (value.n == 0)
        return ERR_OK; /* "AllowedIPs =" says: none */
    do {
        struct slice item = slice_trim(slice_cut(&value, ','));
        if (parse_prefix(p, item, &prefix) != ERR_OK)
            return ERR_PARSE;
        ip_prefix_mask(&prefix);
        device_peer_allow(peer(p), &prefix, false);
    } while (value.n > 0 || value.p[-1] == ',');
    return ERR_OK;
}

static enum err parse_public_key(struct parser *p, struct slice value)
{
    if (parse_key(p, value, peer(p)->public_key) != ERR_OK)
        return ERR_PARSE;
    if (ct_is_zero(peer(p)->public_key, DEVICE_KEY_LEN))
        return fail(p, "the key is all zero");
    p->peer_lines = mem_grow(p->peer_lines, p->peer_lines_n, sizeof *p->peer_lines);
    p->peer_lines[p->peer_lines_n++] = p->line;
    return ERR_OK;
}

static enum err parse_preshared_key(struct parser *p, struct slice value)
{
    peer(p)->has_psk = true;
    return parse_key(p, value, peer(p)->psk);
}

static enum err parse_keepalive(struct parser *p, struct slice value)
{
    uint32_t seconds = 0;

    if (!slice_is(value, "off") && !slice_decimal(value, 65535, &seconds))
        return fail(p, "expected seconds from 0 to 65535 or \"off\"");
    peer(p)->has_keepalive = true;
    peer(p)->keepalive_seconds = (uint16_t)seconds;
    return ERR_OK;
}

/* What stands in the brackets of "[host]:port": an IPv6 address, perhaps with a scope. */
static enum err parse_endpoint_v6(struct parser *p, struct slice host, uint32_t port)
{
    struct device_peer_update *u = peer(p);
    struct slice rest = host, ip = slice_cut(&rest, '%');
    char text[IP_TEXT_MAX];
    uint32_t scope = 0;
    bool scoped = ip.n != host.n;

    if (!slice_copy(ip, text, sizeof text) || ip_addr_parse(&u->endpoint.ip, text) != ERR_OK ||
        u->endpoint.ip.family != ADDR_V6 || (scoped && (rest.n == 0 || rest.n > 15)))
        return fail(p, "expected an IPv6 address in the brackets");
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] <= ' ' || rest.p[i] > '~' || strchr("/%[]:", rest.p[i]))
            return fail(p, "the name of the interface after '%%' has forbidden characters");
    }
    if (scoped && !slice_decimal(rest, UINT32_MAX, &scope)) {
        /* The interface has a name: the system's resolver translates it. */
        memset(&u->endpoint, 0, sizeof u->endpoint);
        slice_copy(host, u->endpoint_host, sizeof u->endpoint_host);
        u->endpoint_port = (uint16_t)port;
        return ERR_OK;
    }
    u->endpoint.port = (uint16_t)port;
    u->endpoint.scope = scope;
    return ERR_OK;
}

/* An IPv4 address or a name. */
static enum err parse_endpoint_host(struct parser *p, struct slice host, uint32_t port)
{
    struct device_peer_update *u = peer(p);
    bool numeric = true;

    if (host.n == 0 || !slice_copy(host, u->endpoint_host, sizeof u->endpoint_host))
        return fail(p, "expected a host name or an address before ':port'");
    if (memchr(host.p, ':', host.n))
        return fail(p, "write an IPv6 address in brackets: [address]:port");
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!is_alpha(c) && !is_digit(c) && !strchr("-._", c))
            return fail(p, "the host name has forbidden characters");
        numeric = numeric && (is_digit(c) || c == '.');
    }
    u->endpoint_port = (uint16_t)port;
    if (!numeric)
        return ERR_OK;
    if (ip_addr_parse(&u->endpoint.ip, u->endpoint_host) != ERR_OK)
        return fail(p, "not an IPv4 address");
    u->endpoint.port = (uint16_t)port;
    u->endpoint_host[0] = '\0';
    u->endpoint_port = 0;
    return ERR_OK;
}

static enum err parse_endpoint(struct parser *p, struct slice value)
{
    size_t colon = value.n;
    uint32_t port;

    while (colon > 0 && value.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || (value.p[0] == '[' && (colon < 3 || value.p[colon - 2] != ']')))
        return fail(p, "expected host:port, address:port or [address]:port");
    struct slice host = {value.p, colon - 1};
    struct slice port_text = {value.p + colon, value.n - colon};
    if (!slice_decimal(port_text, 65535, &port) || port == 0)
        return fail(p, "expected a port number from 1 to 65535 after the last ':'");
    peer(p)->has_endpoint = true;
    if (value.p[0] != '[')
        return parse_endpoint_host(p, host, port);
    return parse_endpoint_v6(p, (struct slice){host.p + 1, host.n - 2}, port);
}

/* Keys for wg-quick's shell */

static enum err note(struct parser *p, struct slice value)
{
    struct config *c = p->out;
    char text[256];

    (void)value;
    int n = snprintf(text, sizeof text, "%s (line %u) %s", p->rule->name, p->line, p->rule->advice);
    c->notices = mem_grow(c->notices, c->notices_n, sizeof *c->notices);
    c->notices[c->notices_n++] = mem_dup_text(text, (size_t)n);
    return ERR_OK;
}

static enum err note_save_config(struct parser *p, struct slice value)
{
    if (slice_is(value, "false"))
        return ERR_OK;
    if (!slice_is(value, "true"))
        return fail(p, "expected \"true\" or \"false\"");
    return note(p, value);
}

static const struct rule rules[] = {
    {"PrivateKey", SECTION_INTERFACE, false, parse_private_key, NULL},
    {"ListenPort", SECTION_INTERFACE, false, parse_listen_port, NULL},
    {"FwMark", SECTION_INTERFACE, false, parse_fwmark, NULL},
    {"Address", SECTION_INTERFACE, true, parse_address, NULL},
    {"MTU", SECTION_INTERFACE, false, parse_mtu, NULL},
    {"Table", SECTION_INTERFACE, false, parse_table, NULL},
    {"DNS", SECTION_INTERFACE, true, parse_dns, NULL},
    {"PreUp", SECTION_INTERFACE, true, note,
     "is not run; run the command before this program starts (systemd: ExecStartPre=)"},
    {"PostUp", SECTION_INTERFACE, true, note,
     "is not run; run the command when this program has reported ready (systemd: ExecStartPost=)"},
    {"PreDown", SECTION_INTERFACE, true, note,
     "is not run; run the command before you stop this program (systemd: ExecStop=)"},
    {"PostDown", SECTION_INTERFACE, true, note,
     "is not run; run the command after this program has ended (systemd: ExecStopPost=)"},
    {"SaveConfig", SECTION_INTERFACE, false, note_save_config,
     "is not done: this file is never written; save the running state with 'wg showconf <tun>'"},
    {"PublicKey", SECTION_PEER, false, parse_public_key, NULL},
    {"PresharedKey", SECTION_PEER, false, parse_preshared_key, NULL},
    {"AllowedIPs", SECTION_PEER, true, parse_allowed_ips, NULL},
    {"Endpoint", SECTION_PEER, false, parse_endpoint, NULL},
    {"PersistentKeepalive", SECTION_PEER, false, parse_keepalive, NULL},
};

static const char *const section_names[] = {"", "[Interface]", "[Peer]"};

/* Remembers the key for the message, unless it could be secret: a word that is no identifier is not echoed. */
static void remember_key(struct parser *p, struct slice key)
{
    bool plain = key.n > 0 && key.n <= KEY_NAME_MAX && is_alpha(key.p[0]);

    for (size_t i = 0; i < key.n && plain; i++)
        plain = is_alpha(key.p[i]) || is_digit(key.p[i]) || key.p[i] == '_';
    p->e->key[0] = '\0';
    if (plain)
        slice_copy(key, p->e->key, sizeof p->e->key);
}

static enum err section_end(struct parser *p)
{
    p->e->key[0] = '\0';
    if (p->section == SECTION_PEER && p->peer_lines_n != p->out->device.peers_n) {
        p->line = p->section_line;
        return fail(p, "this [Peer] has no PublicKey");
    }
    return ERR_OK;
}

static enum err section_start(struct parser *p, struct slice s)
{
    unsigned line = p->line;

    if (section_end(p) != ERR_OK)
        return ERR_PARSE;
    if (slice_is(s, section_names[SECTION_INTERFACE])) {
        if (p->interface_seen)
            return fail(p, "a second [Interface] section");
        p->section = SECTION_INTERFACE;
        p->interface_seen = true;
    } else if (slice_is(s, section_names[SECTION_PEER])) {
        p->section = SECTION_PEER;
        device_update_peer(&p->out->device)->replace_allowed = true;
    } else {
        return fail(p, "unknown section; expected [Interface] or [Peer]");
    }
    p->section_line = line;
    p->seen = 0;
    return ERR_OK;
}

static enum err parse_line(struct parser *p, struct slice s)
{
    p->e->key[0] = '\0';
    s = slice_trim(slice_cut(&s, '#'));
    if (s.n == 0)
        return ERR_OK;
    if (s.p[0] == '[')
        return section_start(p, s);
    if (!memchr(s.p, '=', s.n))
        return fail(p, "expected 'Key = Value' or a section");
    struct slice key = slice_trim(slice_cut(&s, '=')), value = slice_trim(s);
    remember_key(p, key);
    size_t i = 0;
    while (i < ARRAY_LEN(rules) && !slice_is(key, rules[i].name))
        i++;
    if (i == ARRAY_LEN(rules))
        return fail(p, "unknown key");
    p->rule = &rules[i];
    if (p->section == SECTION_NONE)
        return fail(p, "a key before the first section");
    if (rules[i].section != p->section)
        return fail(p, "belongs in %s", section_names[rules[i].section]);
    if (!rules[i].many && (p->seen & UINT32_C(1) << i))
        return fail(p, "given twice in one section");
    p->seen |= UINT32_C(1) << i;
    if (value.n == 0 && rules[i].parse != parse_allowed_ips)
        return fail(p, "the value is missing");
    return rules[i].parse(p, value);
}

/* The file as a whole */

struct peer_line {
    const uint8_t *key;
    unsigned line;
};

static int peer_line_compare(const void *a, const void *b)
{
    const struct peer_line *x = a, *y = b;
    int order = memcmp(x->key, y->key, DEVICE_KEY_LEN);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static enum err check_peers_differ(struct parser *p)
{
    size_t n = p->out->device.peers_n;
    struct peer_line *sorted = mem_zalloc(n, sizeof *sorted);
    enum err err = ERR_OK;

    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct peer_line){p->out->device.peers[i].public_key, p->peer_lines[i]};
    qsort(sorted, n, sizeof *sorted, peer_line_compare);
    for (size_t i = 1; i < n && err == ERR_OK; i++) {
        if (memcmp(sorted[i - 1].key, sorted[i].key, DEVICE_KEY_LEN) == 0) {
            p->line = sorted[i].line;
            snprintf(p->e->key, sizeof p->e->key, "PublicKey");
            err = fail(p, "the same peer as in line %u", sorted[i - 1].line);
        }
    }
    free(sorted);
    return err;
}

static enum err check_mtu(struct parser *p)
{
    const struct config *c = p->out;

    if (c->mtu == 0 || c->mtu >= CONFIG_MTU_MIN_V6)
        return ERR_OK;
    for (size_t i = 0; i < c->addresses_n; i++) {
        if (c->addresses[i].ip.family == ADDR_V6) {
            p->line = p->mtu_line;
            snprintf(p->e->key, sizeof p->e->key, "MTU");
            return fail(p, "IPv6 (see Address) needs at least %d", CONFIG_MTU_MIN_V6);
        }
    }
    return ERR_OK;
}

static enum err finish(struct parser *p)
{
    if (section_end(p) != ERR_OK)
        return ERR_PARSE;
    p->line = 0;
    if (!p->interface_seen)
        return fail(p, "there is no [Interface] section");
    if (!p->out->device.has_private_key)
        return fail(p, "[Interface] has no PrivateKey");
    return check_peers_differ(p) != ERR_OK || check_mtu(p) != ERR_OK ? ERR_PARSE : ERR_OK;
}

enum err config_parse(struct config *out, const char *text, size_t len, struct config_error *e)
{
    struct parser p = {.out = out, .e = e};
    struct slice rest = {text, len};
    enum err err = ERR_OK;

    memset(out, 0, sizeof *out);
    memset(e, 0, sizeof *e);
    device_update_init(&out->device);
    out->device.replace_peers = true;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        rest = (struct slice){text + 3, len - 3};
    if (len > CONFIG_FILE_MAX)
        err = fail(&p, "more than %d MiB", CONFIG_FILE_MAX >> 20);
    else if (len > 0 && memchr(text, '\0', len))
        err = fail(&p, "not a text file: it has a zero byte");
    while (err == ERR_OK && rest.n > 0) {
        p.line++;
        err = parse_line(&p, slice_cut(&rest, '\n'));
    }
    if (err == ERR_OK)
        err = finish(&p);
    free(p.peer_lines);
    if (err != ERR_OK)
        config_fini(out);
    return err;
}

void config_fini(struct config *c)
{
    for (size_t i = 0; i < c->notices_n; i++)
        free(c->notices[i]);
    free(c->notices);
    free(c->addresses);
    device_update_fini(&c->device);
    memset(c, 0, sizeof *c);
}
