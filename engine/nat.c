/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/nat.h"

#include <stdlib.h>
#include <string.h>

#include "engine/wire/ip.h"
#include "platform/base/bytes.h"

enum {
    BUCKETS = 1 << 18
};

enum err nat_init(struct nat *n, uint64_t secret)
{
    memset(n, 0, sizeof *n);
    n->secret = secret;
    n->sessions = calloc(NAT_SESSIONS_MAX, sizeof *n->sessions);
    n->translations = calloc(NAT_TRANSLATIONS_MAX, sizeof *n->translations);
    n->by_inside = calloc(BUCKETS, sizeof *n->by_inside);
    n->by_outside = calloc(BUCKETS, sizeof *n->by_outside);
    n->by_proxy = calloc(BUCKETS, sizeof *n->by_proxy);
    n->peers = calloc(ENGINE_PEERS_MAX, sizeof *n->peers);
    return n->peers && n->sessions && n->translations && n->by_inside && n->by_outside &&
                   n->by_proxy
               ? ERR_OK
               : ERR_NO_MEMORY;
}

void nat_fini(struct nat *n)
{
    free(n->peers);
    free(n->sessions);
    free(n->translations);
    free(n->by_inside);
    free(n->by_outside);
    free(n->by_proxy);
}

/* ---- keys ---- */

/* Never 0. */
static uint64_t key_of(uint32_t client, unsigned version, unsigned proto, uint16_t port)
{
    return (uint64_t)client << 32 | (uint64_t)version << 24 | (uint64_t)proto << 16 | port;
}

static void addr_copy(uint8_t out[16], unsigned version, const uint8_t *addr)
{
    memset(out, 0, 16);
    memcpy(out, addr, version == 4 ? 4 : 16);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t bucket_of(const struct nat *n, uint64_t key, const uint8_t addr[16])
{
    uint64_t h = mix(load_le64(addr) ^ n->secret, UINT64_C(0x9e3779b97f4a7c15));

    h = mix(load_le64(addr + 8) ^ h, UINT64_C(0xd6e8feb86659fd93));
    return (uint32_t)(mix(key ^ h, UINT64_C(0xa0761d6478bd642f) ^ n->secret << 1) % BUCKETS);
}

/* ---- sessions ---- */

static time_ns expires(const struct nat_session *s)
{
    bool tcp = (s->inside >> 16 & 0xff) == NAT_TCP;
    time_ns at = s->last + (tcp ? NAT_TTL_TCP_NS : NAT_TTL_NS);

    if (!s->answered)
        at = time_min(at, s->last_out + NAT_TTL_UNANSWERED_NS);
    if (s->fin_out && s->fin_in)
        at = time_min(at, s->last + NAT_TTL_FINISHED_NS);
    if (s->reset)
        at = time_min(at, s->last + NAT_TTL_RESET_NS);
    return at;
}

static uint32_t *chain_inside(const struct nat *n, const struct nat_session *s)
{
    return &n->by_inside[bucket_of(n, s->inside, s->proxy)];
}

static uint32_t *chain_outside(const struct nat *n, const struct nat_session *s)
{
    return &n->by_outside[bucket_of(n, s->outside, s->real)];
}

static void session_remove(struct nat *n, struct nat_session *s)
{
    uint32_t index = (uint32_t)(s - n->sessions) + 1, *at;

    for (at = chain_inside(n, s); *at != index;)
        at = &n->sessions[*at - 1].next_inside;
    *at = s->next_inside;
    for (at = chain_outside(n, s); *at != index;)
        at = &n->sessions[*at - 1].next_outside;
    *at = s->next_outside;
    *(s->peer_prev ? &n->sessions[s->peer_prev - 1].peer_next : &s->peer->sessions) = s->peer_next;
    if (s->peer_next)
        n->sessions[s->peer_next - 1].peer_prev = s->peer_prev;
    s->peer->sessions_n--;
    s->inside = 0;
    s->next_inside = n->sessions_free;
    n->sessions_free = index;
}

static void sweep(struct nat *n, unsigned entries, time_ns now)
{
    for (unsigned i = 0; i < entries && n->sessions_used > 0; i++) {
        n->sweep = n->sweep + 1 < n->sessions_used ? n->sweep + 1 : 0;
        struct nat_session *s = &n->sessions[n->sweep];
        if (s->inside != 0 && expires(s) <= now)
            session_remove(n, s);
    }
}

/* NULL: there is none left. */
static struct nat_session *session_take(struct nat *n, time_ns now)
{
    sweep(n, NAT_SWEEP, now);
    if (n->sessions_free == 0 && n->sessions_used == NAT_SESSIONS_MAX)
        sweep(n, NAT_SWEEP * 16, now);
    uint32_t index = n->sessions_free;
    if (index != 0)
        n->sessions_free = n->sessions[index - 1].next_inside;
    else if (n->sessions_used < NAT_SESSIONS_MAX)
        index = ++n->sessions_used;
    return index != 0 ? &n->sessions[index - 1] : NULL;
}

static struct nat_session *find_inside(const struct nat *n, uint64_t key, const uint8_t proxy[16])
{
    uint32_t i = n->by_inside[bucket_of(n, key, proxy)];

    while (i != 0 &&
           (n->sessions[i - 1].inside != key || memcmp(n->sessions[i - 1].proxy, proxy, 16) != 0))
        i = n->sessions[i - 1].next_inside;
    return i != 0 ? &n->sessions[i - 1] : NULL;
}

static struct nat_session *find_outside(const struct nat *n, uint64_t key, const uint8_t real[16])
{
    uint32_t i = n->by_outside[bucket_of(n, key, real)];

    while (i != 0 &&
           (n->sessions[i - 1].outside != key || memcmp(n->sessions[i - 1].real, real, 16) != 0))
        i = n->sessions[i - 1].next_outside;
    return i != 0 ? &n->sessions[i - 1] : NULL;
}

/* The first port from `port` on that no flow to the real address has. 0: none was found. */
static uint16_t port_free(struct nat *n, const struct nat_translation *t, enum nat_proto proto,
                          uint16_t port, time_ns now)
{
    for (unsigned i = 0; i < NAT_PORT_TRIES; i++, port++) {
        if (port == 0)
            port = 1;
        struct nat_session *s =
            find_outside(n, key_of(t->client, t->version, proto, port), t->real);
        if (s && expires(s) <= now) {
            session_remove(n, s);
            s = NULL;
        }
        if (!s)
            return port;
    }
    return 0;
}

static void session_link(struct nat *n, struct nat_peer *p, struct nat_session *s)
{
    uint32_t index = (uint32_t)(s - n->sessions) + 1, *at;

    at = chain_inside(n, s);
    s->next_inside = *at;
    *at = index;
    at = chain_outside(n, s);
    s->next_outside = *at;
    *at = index;
    s->peer = p;
    s->peer_prev = 0;
    s->peer_next = p->sessions;
    if (p->sessions)
        n->sessions[p->sessions - 1].peer_prev = index;
    p->sessions = index;
    p->sessions_n++;
}

enum nat_result nat_out(struct nat *n, struct nat_peer *p, const struct nat_translation *t,
                        enum nat_proto proto, uint16_t port, time_ns now, struct nat_session **out)
{
    uint64_t key = key_of(t->client, t->version, proto, port);
    struct nat_session *s = find_inside(n, key, t->proxy);

    if (s && expires(s) > now) {
        *out = s;
        return NAT_OK;
    }
    if (s)
        session_remove(n, s);
    if (p->sessions_n >= NAT_SESSIONS_MAX / NAT_SHARE)
        return NAT_SHARE_FULL;
    /* An identifier may be 0, a port is not. */
    uint16_t outside = port_free(n, t, proto, port, now);
    if (outside == 0)
        return NAT_NO_PORT;
    s = session_take(n, now);
    if (!s)
        return NAT_FULL;
    *s = (struct nat_session){.inside = key,
                              .outside = key_of(t->client, t->version, proto, outside),
                              .last = now,
                              .last_out = now};
    memcpy(s->proxy, t->proxy, 16);
    memcpy(s->real, t->real, 16);
    session_link(n, p, s);
    *out = s;
    return NAT_OK;
}

struct nat_session *nat_in(struct nat *n, uint32_t client, enum nat_proto proto, uint16_t port,
                           unsigned version, const uint8_t *real, time_ns now, bool *expired)
{
    uint8_t addr[16];

    addr_copy(addr, version, real);
    struct nat_session *s = find_outside(n, key_of(client, version, proto, port), addr);
    *expired = s && expires(s) <= now;
    if (*expired) {
        session_remove(n, s);
        s = NULL;
    }
    return s;
}

void nat_seen_out(struct nat_session *s, uint8_t tcp_flags, time_ns now)
{
    s->last = s->last_out = now;
    s->fin_out |= (tcp_flags & TCP_F_FIN) != 0;
    s->reset |= (tcp_flags & TCP_F_RST) != 0;
}

void nat_seen_in(struct nat_session *s, uint8_t tcp_flags, time_ns now)
{
    s->last = now;
    s->answered = true;
    s->fin_in |= (tcp_flags & TCP_F_FIN) != 0;
    s->reset |= (tcp_flags & TCP_F_RST) != 0;
}

/* ---- translations ---- */

static uint32_t *chain_proxy(const struct nat *n, uint32_t client, unsigned version,
                             const uint8_t proxy[16])
{
    return &n->by_proxy[bucket_of(n, key_of(client, version, 0, 0), proxy)];
}

static struct nat_translation *find_proxy(const struct nat *n, uint32_t client, unsigned version,
                                          const uint8_t proxy[16])
{
    for (uint32_t i = *chain_proxy(n, client, version, proxy); i != 0;) {
        struct nat_translation *t = &n->translations[i - 1];
        if (t->client == client && t->version == version && memcmp(t->proxy, proxy, 16) == 0)
            return t;
        i = t->next;
    }
    return NULL;
}

const struct nat_translation *nat_find(const struct nat *n, uint32_t client, unsigned version,
                                       const uint8_t *addr)
{
    uint8_t proxy[16];

    addr_copy(proxy, version, addr);
    return find_proxy(n, client, version, proxy);
}

static void translation_remove(struct nat *n, struct nat_peer *p, struct nat_translation *t)
{
    uint32_t index = (uint32_t)(t - n->translations) + 1;
    uint32_t *at = chain_proxy(n, t->client, t->version, t->proxy);

    while (*at != index)
        at = &n->translations[*at - 1].next;
    *at = t->next;
    *(t->peer_prev ? &n->translations[t->peer_prev - 1].peer_next : &p->translations) =
        t->peer_next;
    if (t->peer_next)
        n->translations[t->peer_next - 1].peer_prev = t->peer_prev;
    p->translations_n--;
    t->next = n->translations_free;
    n->translations_free = index;
}

void nat_clear(struct nat *n, struct nat_peer *p)
{
    while (p->sessions)
        session_remove(n, &n->sessions[p->sessions - 1]);
    while (p->translations)
        translation_remove(n, p, &n->translations[p->translations - 1]);
}

void nat_adopt(struct nat *n, uint32_t client, uint32_t tenant)
{
    struct nat_peer *p = &n->peers[client];

    if (p->tenant == tenant)
        return;
    nat_clear(n, p);
    p->tenant = tenant;
}

static enum nat_result translation_add(struct nat *n, struct nat_peer *p, uint32_t client,
                                       const struct ip_addr *proxy, struct nat_translation **out)
{
    uint32_t index = n->translations_free;

    if (p->translations_n >= NAT_TRANSLATIONS_MAX / NAT_SHARE)
        return NAT_SHARE_FULL;
    if (index != 0)
        n->translations_free = n->translations[index - 1].next;
    else if (n->translations_used < NAT_TRANSLATIONS_MAX)
        index = ++n->translations_used;
    else
        return NAT_FULL;
    struct nat_translation *t = &n->translations[index - 1];
    *t = (struct nat_translation){
        .client = client, .version = proxy->family, .peer_next = p->translations};
    addr_copy(t->proxy, proxy->family, proxy->bytes);
    uint32_t *chain = chain_proxy(n, client, t->version, t->proxy);
    t->next = *chain;
    *chain = index;
    if (p->translations)
        n->translations[p->translations - 1].peer_prev = index;
    p->translations = index;
    p->translations_n++;
    *out = t;
    return NAT_OK;
}

static void grant_add(struct nat_translation *t, uint16_t grant)
{
    for (unsigned i = 0; i < t->grants_n; i++) {
        if (t->grants[i] == grant)
            return;
    }
    if (t->grants_n == NAT_GRANTS_MAX) {
        memmove(t->grants, t->grants + 1, (NAT_GRANTS_MAX - 1) * sizeof t->grants[0]);
        t->grants_n--;
    }
    t->grants[t->grants_n++] = grant;
}

static bool renumbered(const struct nat *n, uint32_t client, const struct engine_translation *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct ip_addr *proxy = &t->pairs[i].proxy;
        const struct nat_translation *x = nat_find(n, client, proxy->family, proxy->bytes);
        if (x && x->domain != t->domain)
            return true;
    }
    return false;
}

enum nat_result nat_translate(struct nat *n, struct nat_peer *p, uint32_t client,
                              const struct engine_translation *t)
{
    if (renumbered(n, client, t))
        nat_clear(n, p);
    for (unsigned i = 0; i < t->n; i++) {
        const struct ip_addr *proxy = &t->pairs[i].proxy, *real = &t->pairs[i].real;
        uint8_t addr[16];
        addr_copy(addr, proxy->family, proxy->bytes);
        struct nat_translation *x = find_proxy(n, client, proxy->family, addr);
        enum nat_result result = x ? NAT_OK : translation_add(n, p, client, proxy, &x);
        if (result != NAT_OK)
            return result;
        x->domain = t->domain;
        x->has_real = real->family == proxy->family;
        addr_copy(x->real, proxy->family, real->bytes);
        grant_add(x, t->grant);
    }
    return NAT_OK;
}
