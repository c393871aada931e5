/* SPDX-License-Identifier: Apache-2.0 */
/* See devices.h. */
#include "tools/fzportal/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/tokens.h"

enum {
    HOST_BITS = 21 /* of 100.64.0.0/11 and fd00:2021:1111::/107 */
};

/* ---- addresses ---- */

static struct ip_addr make_v4(uint32_t host)
{
    uint8_t bytes[4];
    store_be32(bytes, UINT32_C(0x64400000) | host);
    return ip_addr_v4(bytes);
}

static struct ip_addr make_v6(uint32_t host)
{
    uint8_t bytes[16] = {0xfd, 0x00, 0x20, 0x21, 0x11, 0x11};
    store_be32(bytes + 12, host);
    return ip_addr_v6(bytes);
}

static bool in_range(const struct ip_addr *ip)
{
    struct ip_prefix range = {make_v4(0), 32 - HOST_BITS};
    if (ip->family == ADDR_V6)
        range = (struct ip_prefix){make_v6(0), 128 - HOST_BITS};
    return ip_prefix_contains(&range, ip);
}

static uint64_t hash_ip(const struct ip_addr *ip)
{
    return table_hash(TABLE_HASH, ip->bytes, sizeof ip->bytes);
}

struct device *portal_device_by_ip(const struct portal *p, const struct ip_addr *ip)
{
    bool v4 = ip->family == ADDR_V4;
    const struct table *t = v4 ? &p->devices_by_v4 : &p->devices_by_v6;
    struct table_link *link;
    for (link = table_first(t, hash_ip(ip)); link; link = table_next(link)) {
        struct device *d = v4 ? CONTAINER_OF(link, struct device, by_v4)
                              : CONTAINER_OF(link, struct device, by_v6);
        if (ip_addr_equal(v4 ? &d->v4 : &d->v6, ip))
            return d;
    }
    return NULL;
}

bool portal_device_may_have(const struct portal *p, const struct device *d,
                            const struct ip_addr *ip)
{
    const struct device *other = portal_device_by_ip(p, ip);
    return other ? other == d : in_range(ip);
}

void portal_device_set_ip(struct portal *p, struct device *d, const struct ip_addr *ip)
{
    bool v4 = ip->family == ADDR_V4;
    struct ip_addr *own = v4 ? &d->v4 : &d->v6;
    struct table *t = v4 ? &p->devices_by_v4 : &p->devices_by_v6;
    struct table_link *link = v4 ? &d->by_v4 : &d->by_v6;

    ASSERT(portal_device_may_have(p, d, ip));
    if (own->family != ADDR_NONE)
        table_remove(t, link);
    *own = *ip;
    table_add(t, link, hash_ip(ip));
}

/* The addresses that the seed gives, or the next ones that are free; neither the first nor the last of the range. */
static void assign(struct portal *p, struct device *d, const char *name)
{
    uint32_t host, first = 1, last = (UINT32_C(1) << HOST_BITS) - 2;

    derive_seeded(&host, sizeof host, p->seed, "address", name);
    host = first + host % (last - first + 1);
    for (;;) {
        struct ip_addr v4 = make_v4(host), v6 = make_v6(host);
        if (!portal_device_by_ip(p, &v4) && !portal_device_by_ip(p, &v6)) {
            portal_device_set_ip(p, d, &v4);
            portal_device_set_ip(p, d, &v6);
            return;
        }
        host = host == last ? first : host + 1;
    }
}

/* ---- devices ---- */

static const char *owner(const struct token *t)
{
    return t->config->role == PORTAL_GATEWAY ? t->site->name : t->actor;
}

static uint64_t hash_key(enum portal_role role, const char *of, const char *external_id)
{
    uint64_t h = table_hash(TABLE_HASH, &role, sizeof role);
    return table_hash_text(table_hash_text(h, of), external_id);
}

static struct device *find_key(const struct portal *p, const struct token *t,
                               const char *external_id, uint64_t hash)
{
    struct table_link *link;
    for (link = table_first(&p->devices_by_key, hash); link; link = table_next(link)) {
        struct device *d = CONTAINER_OF(link, struct device, by_key);
        if (d->role == t->config->role && strcmp(d->external_id, external_id) == 0 &&
            strcmp(owner(d->token), owner(t)) == 0)
            return d;
    }
    return NULL;
}

struct device *portal_device_get(struct portal *p, struct token *token, const char *external_id,
                                 bool *created)
{
    enum portal_role role = token->config->role;
    uint64_t hash = hash_key(role, owner(token), external_id);
    struct device *d = find_key(p, token, external_id, hash);

    *created = !d;
    if (d)
        return d;
    if (p->devices_by_key.n >= PORTAL_DEVICES_MAX)
        return NULL;
    size_t size = strlen(owner(token)) + strlen(external_id) + 32;
    char *name = mem_zalloc(1, size);
    snprintf(name, size, "%d %s\n%s", (int)role, owner(token), external_id);
    d = mem_zalloc(1, sizeof *d);
    d->role = role;
    d->token = token;
    d->external_id = mem_dup_text(external_id, strlen(external_id));
    d->id = portal_named_id(p, NULL, "device", name);
    derive_seeded(d->base, sizeof d->base, p->seed, "psk_base", name);
    TAILQ_INIT(&d->out);
    TAILQ_INIT(&d->in);
    assign(p, d, name);
    table_add(&p->devices_by_key, &d->by_key, hash);
    table_add(&p->devices_by_id, &d->by_id, table_hash_text(TABLE_HASH, d->id.text));
    TAILQ_INSERT_TAIL(&p->devices, d, order);
    free(name);
    return d;
}

struct device *portal_device_find(const struct portal *p, const char *id_text)
{
    struct table_link *link;
    if (!id_text)
        return NULL;
    link = table_first(&p->devices_by_id, table_hash_text(TABLE_HASH, id_text));
    for (; link; link = table_next(link)) {
        struct device *d = CONTAINER_OF(link, struct device, by_id);
        if (strcmp(d->id.text, id_text) == 0)
            return d;
    }
    return NULL;
}

size_t portal_devices_listed(const struct portal *p, const json_t *ids, enum portal_role role,
                             struct device *out[PORTAL_RECEIVERS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < size_min(json_array_size(ids), PORTAL_RECEIVERS_MAX); i++) {
        struct device *d = portal_device_find(p, json_string_value(json_array_get(ids, i)));
        size_t j = 0;
        while (j < n && out[j] != d)
            j++;
        if (d && d->role == role && j == n)
            out[n++] = d;
    }
    return n;
}

bool portal_device_is_member(const struct device *d, const struct portal_list *members)
{
    if (d->role != PORTAL_CLIENT)
        return false;
    for (size_t i = 0; i < members->n; i++) {
        const char *name = members->at[i];
        if (strcmp(name, d->token->config->name) == 0 || strcmp(name, d->external_id) == 0 ||
            (d->name && strcmp(name, d->name) == 0))
            return true;
    }
    return false;
}

void portal_devices_fini(struct portal *p)
{
    struct device *d;
    while ((d = TAILQ_FIRST(&p->devices))) {
        TAILQ_REMOVE(&p->devices, d, order);
        free(d->external_id);
        free(d->name);
        free(d->serial);
        free(d->uuid);
        free(d->vendor_id);
        free(d->firebase_id);
        secure_wipe(d, sizeof *d);
        free(d);
    }
    table_fini(&p->devices_by_key);
    table_fini(&p->devices_by_id);
    table_fini(&p->devices_by_v4);
    table_fini(&p->devices_by_v6);
}

json_t *portal_device_addresses(const struct device *d)
{
    char v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];
    return json_pack("{s:s, s:s}", "ipv4", ip_addr_format(&d->v4, v4, sizeof v4), "ipv6",
                     ip_addr_format(&d->v6, v6, sizeof v6));
}

struct derive_end portal_device_end(const struct device *d)
{
    return (struct derive_end){d->id.text, d->key, d->base};
}
