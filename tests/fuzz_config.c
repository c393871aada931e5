/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a configuration file. What is accepted is written out again in canonical form and must mean the same; what is refused must
 * say why, and leave nothing behind.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"
#include "control/key_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
    char *bytes;
    size_t len, size;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;

    if (t->size - t->len < 512) {
        t->size = 2 * t->size + 4096;
        t->bytes = realloc(t->bytes, t->size);
        ASSERT(t->bytes);
    }
    va_start(ap, fmt);
    t->len += (size_t)vsnprintf(t->bytes + t->len, t->size - t->len, fmt, ap);
    va_end(ap);
}

static const char *key_text(const uint8_t *key)
{
    static char buf[KEY_BASE64_LEN + 1];
    key_base64_encode(buf, key);
    return buf;
}

static void render_peer(struct text *t, const struct device_peer_update *p)
{
    char buf[SOCK_ADDR_TEXT_MAX];

    add(t, "[Peer]\nPublicKey = %s\n", key_text(p->public_key));
    if (p->has_psk)
        add(t, "PresharedKey = %s\n", key_text(p->psk));
    if (p->has_endpoint && p->endpoint_host[0])
        add(t, strchr(p->endpoint_host, ':') ? "Endpoint = [%s]:%u\n" : "Endpoint = %s:%u\n",
            p->endpoint_host, p->endpoint_port);
    else if (p->has_endpoint)
        add(t, "Endpoint = %s\n", sock_addr_format(&p->endpoint, buf, sizeof buf));
    if (p->has_keepalive)
        add(t, "PersistentKeepalive = %u\n", p->keepalive_seconds);
    for (size_t i = 0; i < p->allowed_n; i++)
        add(t, "AllowedIPs = %s\n", ip_prefix_format(&p->allowed[i].prefix, buf, sizeof buf));
}

static void render(struct text *t, const struct config *c)
{
    char buf[IP_PREFIX_TEXT_MAX];

    add(t, "[Interface]\nPrivateKey = %s\n", key_text(c->device.private_key));
    if (c->device.has_listen_port)
        add(t, "ListenPort = %u\n", c->device.listen_port);
    if (c->device.has_fwmark)
        add(t, "FwMark = 0x%x\n", (unsigned)c->device.fwmark);
    if (c->mtu)
        add(t, "MTU = %u\n", (unsigned)c->mtu);
    if (c->table == CONFIG_TABLE_NUMBER)
        add(t, "Table = %u\n", (unsigned)c->table_number);
    else
        add(t, "Table = %s\n", c->table == CONFIG_TABLE_OFF ? "off" : "auto");
    for (size_t i = 0; i < c->addresses_n; i++)
        add(t, "Address = %s\n", ip_prefix_format(&c->addresses[i], buf, sizeof buf));
    for (unsigned i = 0; i < c->dns.servers_n; i++)
        add(t, "DNS = %s\n", ip_addr_format(&c->dns.servers[i], buf, sizeof buf));
    for (unsigned i = 0; i < c->dns.search_n; i++)
        add(t, "DNS = %s\n", c->dns.search[i]);
    for (size_t i = 0; i < c->device.peers_n; i++)
        render_peer(t, &c->device.peers[i]);
}

static void check_limits(const struct config *c)
{
    ASSERT(c->device.has_private_key && c->device.replace_peers);
    ASSERT(c->mtu == 0 || (c->mtu >= CONFIG_MTU_MIN && c->mtu <= CONFIG_MTU_MAX));
    ASSERT(c->table != CONFIG_TABLE_NUMBER || c->table_number != 0);
    ASSERT(c->dns.servers_n <= CONFIG_DNS_SERVERS_MAX && c->dns.search_n <= CONFIG_DNS_SEARCH_MAX);
    for (unsigned i = 0; i < c->dns.search_n; i++)
        ASSERT(c->dns.search[i][0] && !strpbrk(c->dns.search[i], " \t\r\n#;,:"));
    for (size_t i = 0; i < c->device.peers_n; i++) {
        const struct device_peer_update *p = &c->device.peers[i];
        ASSERT(!p->remove && !p->update_only && p->replace_allowed);
        ASSERT(!p->has_endpoint ||
               (p->endpoint_host[0] ? p->endpoint_port != 0 && p->endpoint.ip.family == ADDR_NONE
                                    : p->endpoint.port != 0 && p->endpoint.ip.family != ADDR_NONE));
        for (size_t k = 0; k < p->allowed_n; k++) {
            struct ip_prefix masked = p->allowed[k].prefix;
            ip_prefix_mask(&masked);
            ASSERT(memcmp(&masked, &p->allowed[k].prefix, sizeof masked) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config a, b;
    struct config_error e;
    struct text first = {0}, second = {0};

    if (config_parse(&a, (const char *)data, size, &e) != ERR_OK) {
        ASSERT(e.message[0] && strlen(e.message) < sizeof e.message - 1 && !a.device.peers &&
               !a.addresses);
        return 0;
    }
    check_limits(&a);
    render(&first, &a);
    ASSERT(config_parse(&b, first.bytes, first.len, &e) == ERR_OK);
    render(&second, &b);
    ASSERT(first.len == second.len && memcmp(first.bytes, second.bytes, first.len) == 0);
    ASSERT(a.device.peers_n == b.device.peers_n && b.notices_n == 0);
    ASSERT(a.dns.servers_n == b.dns.servers_n && a.dns.search_n == b.dns.search_n);
    free(first.bytes);
    free(second.bytes);
    config_fini(&a);
    config_fini(&b);
    return 0;
}
