/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/sentinels.h"

#include "platform/base/mem.h"
#include "platform/base/sentinel.h"

struct servers {
    struct dns_upstream list[DNS_SENTINELS_MAX];
    unsigned n;
};

void dns_sentinels_init(struct dns_sentinels *s)
{
    *s = (struct dns_sentinels){0};
}

void dns_sentinels_fini(struct dns_sentinels *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->list[i].upstream.kind == DNS_DOH)
            free((void *)(uintptr_t)s->list[i].upstream.url);
    }
    *s = (struct dns_sentinels){0};
}

/* ---- the servers ---- */

static void add(struct servers *to, struct dns_upstream u)
{
    if (u.kind == DNS_DO53 && sentinel_contains(&u.server.ip))
        return;
    for (unsigned i = 0; i < to->n; i++) {
        if (dns_upstream_equal(&to->list[i], &u))
            return;
    }
    if (to->n < DNS_SENTINELS_MAX)
        to->list[to->n++] = u;
    else
        log_warn("dns", "more than %d DNS servers: the others are not used", DNS_SENTINELS_MAX);
}

static void choose(struct servers *to, const struct dns_sources *from)
{
    to->n = 0;
    for (size_t i = 0; i < from->do53_n; i++)
        add(to, (struct dns_upstream){.kind = DNS_DO53,
                                      .server = {.ip = from->do53[i], .port = DNS_PORT}});
    if (to->n > 0)
        return;
    for (size_t i = 0; i < from->doh_n; i++)
        add(to, (struct dns_upstream){.kind = DNS_DOH, .url = from->doh[i]});
    if (to->n > 0)
        return;
    for (size_t i = 0; i < from->system_n; i++)
        add(to, (struct dns_upstream){.kind = DNS_DO53, .server = from->system[i]});
}

/* Neither has one twice. */
static bool same_set(const struct dns_sentinels *s, const struct servers *servers)
{
    unsigned found = 0;

    for (unsigned i = 0; i < s->n; i++) {
        for (unsigned k = 0; k < servers->n; k++)
            found += dns_upstream_equal(&s->list[i].upstream, &servers->list[k]);
    }
    return found == s->n && found == servers->n;
}

/* ---- their sentinels ---- */

static struct ip_addr candidate(enum addr_family family, unsigned last)
{
    const uint8_t v4[] = {100, 100, 111, (uint8_t)last};
    const uint8_t v6[] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, 0,
                          1,    0, 1,    0,    1,    0x11, 0,    (uint8_t)last};

    return family == ADDR_V4 ? ip_addr_v4(v4) : ip_addr_v6(v6);
}

/* Two lists of the longest kind leave plenty of the 254. */
static struct ip_addr next_free(const struct dns_sentinels *before,
                                const struct dns_sentinels *after, enum addr_family family)
{
    unsigned last = family == ADDR_V4 ? 1 : 0;
    struct ip_addr ip = candidate(family, last);

    while (dns_sentinels_find(before, &ip) >= 0 || dns_sentinels_find(after, &ip) >= 0)
        ip = candidate(family, ++last);
    return ip;
}

bool dns_sentinels_update(struct dns_sentinels *s, const struct dns_sources *from)
{
    struct dns_sentinels fresh = {0};
    struct servers servers;

    choose(&servers, from);
    if (same_set(s, &servers))
        return false;
    for (unsigned i = 0; i < servers.n; i++) {
        struct dns_upstream u = servers.list[i];
        bool v6 = u.kind == DNS_DO53 && u.server.ip.family == ADDR_V6;
        if (u.kind == DNS_DOH)
            u.url = mem_dup_text(u.url, strlen(u.url));
        struct dns_sentinel *new = &fresh.list[fresh.n];
        new->ip = next_free(s, &fresh, v6 ? ADDR_V6 : ADDR_V4);
        new->upstream = u;
        fresh.n++;
    }
    dns_sentinels_fini(s);
    *s = fresh;
    return true;
}

int dns_sentinels_find(const struct dns_sentinels *s, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (ip_addr_equal(&s->list[i].ip, ip))
            return (int)i;
    }
    return -1;
}
