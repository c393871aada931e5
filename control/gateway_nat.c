/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_nat.h. */
#include "control/gateway_nat.h"

#include <stdlib.h>
#include <string.h>

#include "engine/wire/ranges.h"
#include "platform/base/blake2s.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/random.h"

enum {
    BUCKETS = 256,
    HASH_KEY_LEN = 16
};

/* One AssignedIps on its way. */
struct request {
    struct gateway_nat *nat;
    struct uuid client;
    struct inner_assigned_ips said;
    char name[INNER_DOMAIN_MAX + 1]; /* lower case, without the dot at the end */
    struct gateway_names_query query;
    struct tunnel_translation translation;
    bool translating; /* a worker has it */
    bool forgotten;   /* nobody waits for the answer */
    struct request *next;
};

struct gateway_nat {
    struct peers *peers;
    struct clients *clients;
    struct gateway_names *names;
    uint8_t hash_key[HASH_KEY_LEN];
    struct request *buckets[BUCKETS]; /* by client */
    unsigned under_way;
    uint64_t counts[GATEWAY_NAT_COUNT_N];
};

/* ---- names and addresses ---- */

/* In lower case, without the dot at the end. */
static void name_of(char out[INNER_DOMAIN_MAX + 1], const char *domain)
{
    size_t len = strlen(domain);

    len -= domain[len - 1] == '.';
    for (size_t i = 0; i < len; i++) {
        bool upper = domain[i] >= 'A' && domain[i] <= 'Z';
        out[i] = (char)(domain[i] + (upper ? 'a' - 'A' : 0));
    }
    out[len] = 0;
}

static uint64_t hash_of(const struct gateway_nat *n, const char *name)
{
    struct blake2s hash;
    uint8_t digest[8];

    blake2s_init(&hash, sizeof digest, n->hash_key, sizeof n->hash_key);
    blake2s_update(&hash, name, strlen(name));
    blake2s_final(&hash, digest);
    return load_le64(digest);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ip_addr)); /* the family comes first */
}

static void sort_set(struct inner_assigned_ips *m)
{
    unsigned n = 0;

    qsort(m->ips, m->n, sizeof m->ips[0], compare);
    for (unsigned i = 0; i < m->n; i++) {
        if (n == 0 || !ip_addr_equal(&m->ips[n - 1], &m->ips[i]))
            m->ips[n++] = m->ips[i];
    }
    m->n = n;
}

void gateway_nat_pairs(struct engine_translation *out, struct inner_assigned_ips *proxies,
                       const struct gateway_name_addrs *reals)
{
    unsigned v4 = 0; /* the first so many are of this family */
    unsigned next_v4 = 0, next_v6 = 0;

    while (v4 < reals->n && reals->ips[v4].family == ADDR_V4)
        v4++;
    sort_set(proxies);
    out->n = (uint8_t)proxies->n;
    for (unsigned i = 0; i < proxies->n; i++) {
        out->pairs[i].proxy = proxies->ips[i];
        out->pairs[i].real = (struct ip_addr){.family = ADDR_NONE};
        if (proxies->ips[i].family == ADDR_V4 && v4 > 0)
            out->pairs[i].real = reals->ips[next_v4++ % v4];
        else if (proxies->ips[i].family == ADDR_V6 && reals->n > v4)
            out->pairs[i].real = reals->ips[v4 + next_v6++ % (reals->n - v4)];
    }
}

/* ---- answers ---- */

static void answer(struct gateway_nat *n, const struct uuid *client,
                   const struct inner_assigned_ips *said, bool active)
{
    struct tunnel_peer *peer = peers_find(n->peers, client);
    struct inner_domain_status m = {.resource = said->resource, .active = active};
    uint8_t packet[INNER_PACKET_MAX];

    memcpy(m.domain, said->domain, sizeof m.domain);
    size_t len = inner_write_domain_status(packet, &m);
    if (!peer || len == 0)
        return;
    n->counts[GATEWAY_NAT_ACTIVE] += active;
    tunnel_p2p_packet_to(peer, packet, len);
}

static bool is_proxy(const struct ip_addr *ip)
{
    uint32_t name = ip->family == ADDR_V4 ? proxy_name_v4(ip->bytes) : proxy_name_v6(ip->bytes);
    return name != PROXY_NAME_NONE;
}

/* A pattern's first '*.' may leave nothing before it, and there case matters; where either spelling is right the name is. */
static bool matches(const struct dns_pattern *p, const char *domain)
{
    char name[INNER_DOMAIN_MAX + 1];
    size_t len;

    name_of(name, domain);
    if (dns_pattern_match(p, name))
        return true;
    len = strlen(name);
    memcpy(name, domain, len);
    return dns_pattern_match(p, name);
}

/* What is wrong with it, counted. NULL: nothing. */
static uint64_t *objection(struct gateway_nat *n, const struct uuid *client,
                           const struct inner_assigned_ips *said, struct clients_resource *r)
{
    if (!clients_resource(n->clients, client, &said->resource, r) || r->kind != RESOURCE_DNS)
        return &n->counts[GATEWAY_NAT_FORBIDDEN];
    if (!matches(&r->pattern, said->domain))
        return &n->counts[GATEWAY_NAT_MISMATCHED];
    for (unsigned i = 0; i < said->n; i++) {
        if (!is_proxy(&said->ips[i]))
            return &n->counts[GATEWAY_NAT_STRANGE];
    }
    return NULL;
}

/* ---- the course of a request ---- */

static struct request **bucket_of(struct gateway_nat *n, const struct uuid *client)
{
    return &n->buckets[load_le32(client->bytes) % BUCKETS];
}

static struct request *request_new(struct gateway_nat *n, const struct uuid *client,
                                   const struct inner_assigned_ips *said)
{
    struct request *r = mem_zalloc(1, sizeof *r), **at = bucket_of(n, client);

    r->nat = n;
    r->client = *client;
    r->said = *said;
    name_of(r->name, said->domain);
    r->next = *at;
    *at = r;
    n->under_way++;
    return r;
}

static void request_end(struct request *r)
{
    struct request **at = bucket_of(r->nat, &r->client);

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    r->nat->under_way--;
    gateway_names_cancel(&r->query);
    free(r);
}

static void finish(struct request *r, bool active)
{
    if (!r->forgotten)
        answer(r->nat, &r->client, &r->said, active);
    request_end(r);
}

static void on_translated(struct tunnel_translation *x, bool done)
{
    struct request *r = CONTAINER_OF(x, struct request, translation);
    struct gateway_nat *n = r->nat;
    struct clients_resource resource;

    if (!r->forgotten && !done) {
        n->counts[GATEWAY_NAT_NO_ROOM]++;
    } else if (!r->forgotten && objection(n, &r->client, &r->said, &resource)) {
        n->counts[GATEWAY_NAT_REVOKED]++;
        done = false;
    }
    finish(r, done);
}

/*
 * The name may not have its addresses now. If another one had them the client has begun to count anew: what it sends there is not for
 * that one, and the worker forgets it before the client has the answer and goes on sending.
 */
static void refuse(struct request *r)
{
    struct tunnel_peer *peer = peers_find(r->nat->peers, &r->client);

    if (!peer || r->said.n == 0) {
        finish(r, false);
        return;
    }
    gateway_nat_pairs(&r->translation.engine, &r->said, &(struct gateway_name_addrs){.n = 0});
    r->translation.engine.refused = true;
    r->translation.engine.domain = hash_of(r->nat, r->name);
    r->translation.done = on_translated;
    r->translating = true;
    tunnel_gateway_translate(peer, &r->translation);
    answer(r->nat, &r->client, &r->said, false);
    r->forgotten = true;
}

static void translate(struct request *r, uint16_t index, const struct gateway_name_addrs *addrs)
{
    struct tunnel_peer *peer = peers_find(r->nat->peers, &r->client);

    gateway_nat_pairs(&r->translation.engine, &r->said, addrs);
    if (r->said.n == 0 || !peer) {
        finish(r, peer != NULL);
        return;
    }
    r->translation.engine.grant = index;
    r->translation.engine.domain = hash_of(r->nat, r->name);
    r->translation.done = on_translated;
    r->translating = true;
    tunnel_gateway_translate(peer, &r->translation);
}

/* Names without addresses are active, too: the client's packets get an answer then. */
static void on_resolved(struct gateway_names_query *q, const struct gateway_name_addrs *addrs)
{
    struct request *r = CONTAINER_OF(q, struct request, query);
    struct gateway_nat *n = r->nat;
    struct clients_resource resource;

    if (!addrs) {
        n->counts[GATEWAY_NAT_UNRESOLVED]++;
        refuse(r);
    } else if (objection(n, &r->client, &r->said, &resource)) {
        n->counts[GATEWAY_NAT_REVOKED]++;
        refuse(r);
    } else {
        translate(r, resource.index, addrs);
    }
}

/* The same that is under way; NULL: there is none. */
static struct request *find_same(struct gateway_nat *n, const struct uuid *client,
                                 const struct inner_assigned_ips *said)
{
    struct request *r = *bucket_of(n, client);

    while (r && (!uuid_equal(&r->client, client) || r->translating ||
                 !uuid_equal(&r->said.resource, &said->resource) ||
                 !inner_domain_equal(r->said.domain, said->domain)))
        r = r->next;
    return r;
}

/* NULL: too many are under way, counted. */
static struct request *request_admit(struct gateway_nat *n, const struct uuid *client,
                                     const struct inner_assigned_ips *said)
{
    unsigned others = 0;

    for (const struct request *r = *bucket_of(n, client); r; r = r->next)
        others += uuid_equal(&r->client, client);
    if (n->under_way < GATEWAY_NAT_MAX && others < GATEWAY_NAT_CLIENT_MAX)
        return request_new(n, client, said);
    n->counts[GATEWAY_NAT_FULL]++;
    return NULL;
}

static void begin(struct gateway_nat *n, const struct uuid *client,
                  const struct inner_assigned_ips *said)
{
    struct request *r = find_same(n, client, said);

    if (r) {
        r->said = *said;
        return;
    }
    r = request_admit(n, client, said);
    if (!r)
        return;
    r->query.done = on_resolved;
    if (gateway_names_ask(n->names, &r->query, r->name) == ERR_OK)
        return;
    n->counts[GATEWAY_NAT_FULL]++;
    request_end(r);
}

static void reject(struct gateway_nat *n, const struct uuid *client,
                   const struct inner_assigned_ips *said)
{
    struct request *r = request_admit(n, client, said);

    if (r)
        refuse(r);
}

void gateway_nat_packet(struct gateway_nat *n, const struct uuid *client, const uint8_t *packet,
                        size_t len)
{
    struct inner_assigned_ips said;
    struct clients_resource resource;
    struct fields f;

    if (packet[INNER_OFF_EVENT] != INNER_ASSIGNED_IPS) {
        n->counts[GATEWAY_NAT_OTHER]++;
        return;
    }
    if (!inner_read_assigned_ips(&said, packet, len, &f)) {
        log_debug("names", "a client's addresses for a name are malformed: %s", f.why);
        n->counts[GATEWAY_NAT_MALFORMED]++;
        return;
    }
    uint64_t *wrong = objection(n, client, &said, &resource);
    if (!wrong) {
        begin(n, client, &said);
        return;
    }
    ++*wrong;
    log_debug("names", "a client may not have addresses for %s", said.domain);
    if (wrong == &n->counts[GATEWAY_NAT_STRANGE])
        answer(n, client, &said, false);
    else
        reject(n, client, &said);
}

void gateway_nat_forget(struct gateway_nat *n, const struct uuid *client)
{
    for (struct request *r = *bucket_of(n, client), *next; r; r = next) {
        next = r->next;
        if (!uuid_equal(&r->client, client))
            continue;
        r->forgotten = true;
        if (!r->translating)
            request_end(r);
    }
}

/* ---- life ---- */

uint64_t gateway_nat_count(const struct gateway_nat *n, enum gateway_nat_count what)
{
    return n->counts[what];
}

void gateway_nat_log(const struct gateway_nat *n)
{
#define NAME(id, name) name,
    static const char *const names[] = {GATEWAY_NAT_COUNTS(NAME)};
#undef NAME

    for (unsigned i = 0; i < GATEWAY_NAT_COUNT_N; i++) {
        if (n->counts[i])
            log_info("gateway", "counter %s=%llu", names[i], (unsigned long long)n->counts[i]);
    }
}

struct gateway_nat *gateway_nat_new(struct peers *peers, struct clients *clients,
                                    struct gateway_names *names)
{
    struct gateway_nat *n = mem_zalloc(1, sizeof *n);

    n->peers = peers;
    n->clients = clients;
    n->names = names;
    random_bytes(n->hash_key, sizeof n->hash_key);
    return n;
}

void gateway_nat_close(struct gateway_nat *n)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct request *r = n->buckets[i], *next; r; r = next) {
            next = r->next;
            r->forgotten = true;
            if (!r->translating)
                request_end(r);
        }
    }
}

void gateway_nat_free(struct gateway_nat *n)
{
    if (!n)
        return;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (n->buckets[i]) {
            struct request *r = n->buckets[i];
            n->buckets[i] = r->next;
            free(r);
        }
    }
    free(n);
}
