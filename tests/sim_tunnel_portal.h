/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portal of the simulated tunnels: which resources there are, at which site, who may reach them until when, and the messages by
 * which clients and gateways hear of it. Its state is what sim_tunnel_model.h goes by. Ends are numbered: gateways, then clients.
 * Included once per program. Source: spec/portal.md 7, 8.
 */
#ifndef FZ_TESTS_SIM_TUNNEL_PORTAL_H
#define FZ_TESTS_SIM_TUNNEL_PORTAL_H

#include "control/portal/gateway_requests.h"
#include "control/portal/requests.h"
#include "tests/sim_tunnel_ends.h"

enum {
    RESOURCES = 12,
    CLIENTS_MAX = WORLD_ENDS_MAX,
    MESSAGE_MAX = 16 << 10
};

enum kind {
    DNS,
    CIDR,
    INTERNET
};

enum stack {
    DUAL,
    ONLY_V4,
    ONLY_V6
};

static const char *const PATTERNS[] = {"a.example.com",   "*.example.com", "**.example.com",
                                       "*.b.example.com", "*.corp.net",    "lone.internal"};

static const char *const NETWORKS[] = {"10.0.0.0/8",      "10.1.0.0/16",        "10.1.2.0/24",
                                       "10.1.2.3/32",     "192.168.7.0/24",     "203.0.113.0/24",
                                       "2001:db8:1::/48", "2001:db8:1:2::3/128"};

enum protocol {
    TCP,
    UDP,
    ICMP
};

struct rule {
    enum protocol protocol;
    unsigned first, last;
};

static const struct rules {
    unsigned n;
    struct rule list[3];
} RULES[] = {
    {0, {{TCP, 0, 0}}},   {0, {{TCP, 0, 0}}},
    {1, {{TCP, 80, 80}}}, {2, {{TCP, 443, 445}, {ICMP, 0, 65535}}},
    {1, {{UDP, 53, 53}}}, {3, {{UDP, 1000, 2000}, {TCP, 22, 22}, {TCP, 80, 100}}},
};

struct place {
    bool there;
    enum kind kind;
    unsigned address; /* of PATTERNS or NETWORKS */
    enum stack stack;
    unsigned site, rules;
    struct uuid id; /* never another's */
};

struct permit {
    bool there;
    int64_t until; /* Unix seconds; 0: for ever */
};

static struct {
    unsigned gateways_n, clients_n, sites_n; /* the last site has the Internet and nothing else */
    bool away; /* clients and gateways do not reach it; nothing changes meanwhile */
    unsigned sites[WORLD_ENDS_MAX]; /* of gateways */
    unsigned serial;
    struct place places[RESOURCES];
    struct permit policies[CLIENTS_MAX][RESOURCES];
    unsigned grants[CLIENTS_MAX][RESOURCES]; /* bits of the gateways that it was granted through */
} portal;

static struct end *gateway_of(unsigned g)
{
    return end_at(g);
}

/* NULL: it is not there. */
static struct end *client_of(unsigned c)
{
    return end_at(portal.gateways_n + c);
}

static bool policy_holds(const struct permit *p)
{
    return p->there && (p->until == 0 || world_wall() < p->until);
}

/* ---- what it says ---- */

struct letter {
    char name[64], json[MESSAGE_MAX];
};

static void end_hears(struct end *e, const void *data)
{
    const char *name = data, *json = name + strlen(name) + 1;
    json_t *payload = json_loads(json, JSON_DECODE_ANY, NULL);

    ASSERT(payload);
    (e->gateway ? gateway_message : client_message)(e, name, payload);
    json_decref(payload);
}

/* Name and text, one after the other. Takes the payload. */
static void post(struct end *e, void (*to)(struct end *e, const void *data), const char *name,
                 json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t n = strlen(name) + 1;

    ASSERT(text);
    char *both = mem_zalloc(n + strlen(text) + 1, 1);
    memcpy(both, name, n);
    memcpy(both + n, text, strlen(text) + 1);
    world_later(e, to, both, n + strlen(text) + 1);
    free(both);
    free(text);
    json_decref(payload);
}

static void tell(struct end *e, const char *name, json_t *payload)
{
    if (e)
        post(e, end_hears, name, payload);
    else
        json_decref(payload);
}

static json_t *id_json(const struct uuid *id)
{
    char text[UUID_TEXT_MAX];

    uuid_format(id, text);
    return json_string(text);
}

static json_t *ip_json(const struct ip_addr *ip)
{
    char text[IP_TEXT_MAX];
    return json_string(ip_addr_format(ip, text, sizeof text));
}

static json_t *key_json(const uint8_t key[WG_KEY_LEN])
{
    char text[KEY_BASE64_LEN + 1];

    key_base64_encode(text, key);
    return json_string(text);
}

static struct uuid site_id(unsigned site)
{
    return (struct uuid){{0x51, (uint8_t)site}};
}

static json_t *rules_json(const struct rules *rules)
{
    static const char *const names[] = {"tcp", "udp", "icmp"};
    json_t *list = json_array();

    for (unsigned i = 0; i < rules->n; i++) {
        const struct rule *x = &rules->list[i];
        json_array_append_new(list, json_pack("{s:s,s:i,s:i}", "protocol", names[x->protocol],
                                              "port_range_start", (int)x->first, "port_range_end",
                                              (int)x->last));
    }
    return list;
}

/* As both clients and gateways understand it. */
static json_t *place_json(const struct place *x)
{
    static const char *const kinds[] = {"dns", "cidr", "internet"}, *const stacks[] = {"dual",
                                                                                       "ipv4_only",
                                                                                       "ipv6_only"};
    struct uuid site = site_id(x->site);
    json_t *o = json_pack("{s:s,s:o,s:s,s:[{s:o,s:s}],s:o}", "type", kinds[x->kind], "id",
                          id_json(&x->id), "name", "Lab", "sites", "id", id_json(&site), "name",
                          "Site", "filters", rules_json(&RULES[x->rules]));

    ASSERT(o);
    if (x->kind == DNS)
        json_object_set_new(o, "ip_stack", json_string(stacks[x->stack]));
    if (x->kind != INTERNET)
        json_object_set_new(
            o, "address",
            json_string(x->kind == DNS ? PATTERNS[x->address] : NETWORKS[x->address]));
    return o;
}

static json_t *pair_json(unsigned c, const struct place *x)
{
    struct uuid client = end_id(portal.gateways_n + c);
    return json_pack("{s:o,s:o}", "client_id", id_json(&client), "resource_id", id_json(&x->id));
}

/* Who speaks with whom: another process of either has others. */
static json_t *ice_json(const struct end *a, const struct end *b)
{
    char text[32];

    snprintf(text, sizeof text, "u%uto%u", a->life, b->life);
    return json_pack("{s:s,s:s}", "username", text, "password", "0123456789012345678901");
}

static json_t *psk_json(const struct end *client, const struct end *gateway)
{
    uint8_t key[WG_KEY_LEN] = {1};

    store_le32(key + 4, client->life);
    store_le32(key + 8, gateway->life);
    return key_json(key);
}

static json_t *authorization_json(unsigned c, unsigned r, const struct end *gateway)
{
    const struct end *client = client_of(c);
    const struct permit *policy = &portal.policies[c][r];
    char ref[64];
    json_t *o;

    snprintf(ref, sizeof ref, "%u %u %u", c, r, client->life);
    o = json_pack("{s:s,s:o,s:{s:o,s:o,s:o,s:o,s:o},s:o,s:o}", "ref", ref, "resource",
                  place_json(&portal.places[r]), "client", "id", id_json(&client->id), "public_key",
                  key_json(client->public_key), "preshared_key", psk_json(client, gateway), "ipv4",
                  ip_json(&client->ipv4), "ipv6", ip_json(&client->ipv6), "client_ice_credentials",
                  ice_json(client, gateway), "gateway_ice_credentials", ice_json(gateway, client));
    ASSERT(o);
    if (policy->until != 0)
        json_object_set_new(o, "expires_at", json_integer(policy->until));
    return o;
}

/* ---- what it is asked ---- */

/* One of the site's that there are, if there is one of those that the client is connected with; NULL: none. */
static struct end *gateway_choose(unsigned site, const json_t *connected)
{
    struct end *found = NULL;
    unsigned first = world_below(portal.gateways_n);

    for (unsigned i = 0; i < portal.gateways_n; i++) {
        struct end *g = gateway_of((first + i) % portal.gateways_n);
        if (!g || portal.sites[g->number] != site)
            continue;
        found = found ? found : g;
        for (size_t k = 0; k < json_array_size(connected); k++) {
            struct uuid id;
            if (uuid_parse(&id, json_string_value(json_array_get(connected, k))) &&
                uuid_equal(&id, &g->id))
                return g;
        }
    }
    return found;
}

static void refuse(struct end *client, const struct uuid *resource, const char *reason)
{
    tell(client, "authorization_creation_failed",
         json_pack("{s:o,s:s}", "resource_id", id_json(resource), "reason", reason));
}

static void client_asks(struct end *e, const json_t *payload)
{
    unsigned c = e->number - portal.gateways_n, r = 0;
    struct uuid id;

    if (!uuid_parse(&id, json_string_value(json_object_get(payload, "resource_id"))))
        world_fail("a client asks for nothing");
    while (r < RESOURCES && !(portal.places[r].there && uuid_equal(&portal.places[r].id, &id)))
        r++;
    if (r == RESOURCES || !policy_holds(&portal.policies[c][r])) {
        refuse(e, &id, r == RESOURCES ? "not_found" : "forbidden");
        return;
    }
    struct end *gateway =
        gateway_choose(portal.places[r].site, json_object_get(payload, "connected_gateway_ids"));
    if (!gateway) {
        refuse(e, &id, "offline");
        return;
    }
    portal.grants[c][r] |= 1u << gateway->number;
    tell(gateway, GATEWAY_MESSAGE_AUTHORIZATION, authorization_json(c, r, gateway));
}

static void gateway_answers(struct end *gateway, const json_t *payload)
{
    unsigned c, r, life;
    const struct place *x;
    struct end *e;

    if (sscanf(json_string_value(json_object_get(payload, "ref")), "%u %u %u", &c, &r, &life) != 3)
        world_fail("a gateway answers something else");
    x = &portal.places[r];
    e = client_of(c);
    if (!e || e->life != life || !(portal.grants[c][r] & 1u << gateway->number))
        return;
    struct uuid site = site_id(x->site);
    tell(e, "authorization_created",
         json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "resource_id", id_json(&x->id),
                   "gateway_id", id_json(&gateway->id), "site_id", id_json(&site),
                   "gateway_public_key", key_json(gateway->public_key), "preshared_key",
                   psk_json(e, gateway), "gateway_ipv4", ip_json(&gateway->ipv4), "gateway_ipv6",
                   ip_json(&gateway->ipv6), "client_ice_credentials", ice_json(e, gateway),
                   "gateway_ice_credentials", ice_json(gateway, e)));
}

static void portal_hears(struct end *e, const void *data)
{
    const char *name = data, *json = name + strlen(name) + 1;
    json_t *payload = json_loads(json, JSON_DECODE_ANY, NULL);

    ASSERT(payload);
    if (!e->gateway && strcmp(name, REQUEST_AUTHORIZATION) == 0)
        client_asks(e, payload);
    else if (e->gateway && strcmp(name, GATEWAY_REQUEST_AUTHORIZED) == 0)
        gateway_answers(e, payload);
    else if (strcmp(name, REQUEST_RELAYS) != 0) /* there are none here */
        world_fail("the portal does not understand '%s'", name);
    json_decref(payload);
}

static enum err portal_push(struct end *e, const char *name, const json_t *payload)
{
    if (portal.away)
        return ERR_CLOSED;
    post(e, portal_hears, name, json_deep_copy(payload));
    return ERR_OK;
}

/* ---- what changes ---- */

/* Whoever it was granted through hears that it is over. */
static void grant_end(unsigned c, unsigned r)
{
    for (unsigned g = 0; g < portal.gateways_n; g++) {
        if (portal.grants[c][r] & 1u << g)
            tell(gateway_of(g), "reject_access", pair_json(c, &portal.places[r]));
    }
    portal.grants[c][r] = 0;
}

static void policy_set(unsigned c, unsigned r, int64_t until)
{
    struct permit *p = &portal.policies[c][r];
    bool there = p->there;

    *p = (struct permit){true, until};
    if (!there) {
        tell(client_of(c), "resource_created_or_updated", place_json(&portal.places[r]));
        return;
    }
    if (until == 0) { /* there is no message for it: it is granted once more when it is asked for */
        grant_end(c, r);
        return;
    }
    for (unsigned g = 0; g < portal.gateways_n; g++) {
        json_t *o = pair_json(c, &portal.places[r]);
        json_object_set_new(o, "expires_at", json_integer(until));
        if (portal.grants[c][r] & 1u << g)
            tell(gateway_of(g), "access_authorization_expiry_updated", o);
        else
            json_decref(o);
    }
}

static void policy_end(unsigned c, unsigned r)
{
    if (!portal.policies[c][r].there)
        return;
    grant_end(c, r);
    portal.policies[c][r].there = false;
    tell(client_of(c), "resource_deleted", id_json(&portal.places[r].id));
}

static void place_end(unsigned r)
{
    for (unsigned c = 0; c < portal.clients_n; c++)
        policy_end(c, r);
    portal.places[r].there = false;
}

/* Nobody may reach it yet. */
static void place_begin(unsigned r, const struct place *x)
{
    portal.places[r] = *x;
    portal.places[r].there = true;
    portal.serial++;
    portal.places[r].id = (struct uuid){
        {(uint8_t)world_below(256), (uint8_t)portal.serial, (uint8_t)(portal.serial >> 8), 0x60}};
}

/* All but its kind may be another. Grants for what leads elsewhere are over; filters alone are told. */
static void place_change(unsigned r, const struct place *to)
{
    struct place *x = &portal.places[r];
    bool moved = to->address != x->address || to->stack != x->stack || to->site != x->site;

    for (unsigned c = 0; c < portal.clients_n && moved; c++)
        grant_end(c, r);
    x->address = to->address;
    x->stack = to->stack;
    x->site = to->site;
    x->rules = to->rules;
    for (unsigned g = 0; g < portal.gateways_n && !moved; g++)
        tell(gateway_of(g), "resource_updated", place_json(x));
    for (unsigned c = 0; c < portal.clients_n; c++) {
        if (portal.policies[c][r].there)
            tell(client_of(c), "resource_created_or_updated", place_json(x));
    }
}

/* ---- ends that come ---- */

static json_t *interface_json(const struct end *e)
{
    return json_pack("{s:o,s:o}", "ipv4", ip_json(&e->ipv4), "ipv6", ip_json(&e->ipv6));
}

/* It has joined, perhaps once more. */
static void client_joins(struct end *e)
{
    unsigned c = e->number - portal.gateways_n;
    json_t *list = json_array();

    for (unsigned r = 0; r < RESOURCES; r++) {
        if (portal.policies[c][r].there)
            json_array_append_new(list, place_json(&portal.places[r]));
    }
    tell(e, "init", json_pack("{s:o,s:o}", "interface", interface_json(e), "resources", list));
}

static void client_comes(unsigned c)
{
    client_joins(end_start(portal.gateways_n + c, false));
}

/* With what was granted through it, also before it was there. */
static void gateway_joins(struct end *e)
{
    json_t *list = json_array();

    for (unsigned c = 0; c < portal.clients_n; c++) {
        for (unsigned r = 0; r < RESOURCES; r++) {
            int64_t until = portal.policies[c][r].until;
            if (!(portal.grants[c][r] & 1u << e->number))
                continue;
            json_t *o = pair_json(c, &portal.places[r]);
            if (until != 0)
                json_object_set_new(o, "expires_at", json_integer(until));
            json_array_append_new(list, o);
        }
    }
    tell(e, "init", json_pack("{s:o,s:o}", "interface", interface_json(e), "authorizations", list));
}

static void gateway_comes(unsigned g)
{
    gateway_joins(end_start(g, true));
}

/* All that were connected with it find out. */
static void end_goes(struct end *e, bool goodbye)
{
    struct uuid id = e->id;

    bool gateway = e->gateway;
    end_stop(e, goodbye);
    world_settle();
    for (unsigned i = 0; i < WORLD_ENDS_MAX && gateway; i++) {
        if (world.ends[i] && !world.ends[i]->gateway)
            link_lost(world.ends[i], &id);
    }
}

#endif
