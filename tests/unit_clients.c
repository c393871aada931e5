/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a gateway lets in and until when, with the peers, the loop and both clocks faked: what happens is noted in order. */
#include "tests/clients_rig.h"

#define HOURS INT64_C(3600)

enum {
    RULES_MAX = 4,
    GRANTS_SEEN_MAX = 16
};

static struct {
    char events[1024];
    enum node_connect connect;
    struct node_peer connected;
    char ufrag[16], remote_password[16];
    struct ip_prefix allowed[2];
    uint32_t group;
    bool portal_away;

    /* What the engine was told last, and how often. */
    bool no_peer;
    unsigned published;
    struct uuid published_for;
    struct engine_grants grants;
    struct engine_grant list[GRANTS_SEEN_MAX];
    struct filter_rule rules[GRANTS_SEEN_MAX][RULES_MAX];
    unsigned renewed;
} fake;

static struct clients *s;

static void note(const char *name, const char *detail)
{
    size_t len = strlen(fake.events);

    snprintf(fake.events + len, sizeof fake.events - len, "%s%s ", name, detail);
    assert_true(strlen(fake.events) < sizeof fake.events - 1);
}

static void assert_events(const char *text)
{
    assert_string_equal(fake.events, text);
    fake.events[0] = '\0';
}

static const char *in_brackets(const struct uuid *id)
{
    static char text[8];

    snprintf(text, sizeof text, "(%u)", id->bytes[0]);
    return text;
}

/* ---- the peers ---- */

enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner)
{
    (void)p;
    note("connect", in_brackets(&peer->id));
    fake.connected = *peer;
    snprintf(fake.ufrag, sizeof fake.ufrag, "%s", peer->ufrag);
    snprintf(fake.remote_password, sizeof fake.remote_password, "%s", peer->remote_password);
    assert_int_equal(inner->allowed_n, ARRAY_LEN(fake.allowed));
    memcpy(fake.allowed, inner->allowed, sizeof fake.allowed);
    fake.group = inner->group;
    return fake.connect;
}

void peers_close(struct peers *p, const struct uuid *id)
{
    (void)p;
    note("close", in_brackets(id));
}

/* The peer of a client is called as it is. */
struct tunnel_peer {
    struct uuid id;
};

struct tunnel *peers_tunnel(const struct peers *p)
{
    (void)p;
    return NULL;
}

void tunnel_gateway_forget(struct tunnel *t, uint32_t client)
{
    (void)t;
    (void)client;
}

struct tunnel_peer *peers_find(const struct peers *p, const struct uuid *id)
{
    static struct tunnel_peer peer;

    (void)p;
    peer.id = *id;
    return fake.no_peer ? NULL : &peer;
}

void tunnel_gateway_grants(struct tunnel_peer *p, const struct engine_grants *g)
{
    fake.published++;
    fake.published_for = p->id;
    fake.grants = *g;
    for (size_t i = 0; i < g->n && i < GRANTS_SEEN_MAX; i++) {
        fake.list[i] = g->grants[i];
        for (size_t k = 0; k < g->grants[i].rules_n && k < RULES_MAX; k++)
            fake.rules[i][k] = g->grants[i].rules[k];
    }
}

static void on_renewed(void *arg, const struct uuid *client)
{
    assert_ptr_equal(arg, &fake);
    (void)client;
    fake.renewed++;
}

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT);

    assert_ptr_equal(arg, &fake);
    assert_non_null(text);
    note(name, text);
    free(text);
    return fake.portal_away ? ERR_CLOSED : ERR_OK;
}

/* ---- arranging ---- */

static int set_up(void **state)
{
    static const struct clients_events events = {on_push, on_renewed};

    (void)state;
    memset(&fake, 0, sizeof fake);
    world_begin();
    s = clients_new(NULL, NULL, &events, &fake);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clients_free(s);
    assert_int_equal(world.armed, 0);
    return 0;
}

#define ANSWER "authorization_created{\"ref\":\"signed\"} "

static void authorize(unsigned client, unsigned resource, int64_t expires_at)
{
    struct gateway_message_authorization m = authorization(client, resource, expires_at);
    clients_authorize(s, &m);
}

/* Nobody looks at what has happened so far. */
static void authorized(unsigned client, unsigned resource, int64_t expires_at)
{
    authorize(client, resource, expires_at);
    fake.events[0] = '\0';
}

static void reject(unsigned client, unsigned resource)
{
    struct uuid c = id_of(client), r = id_of(resource);
    clients_reject(s, &c, &r);
}

static void keep(json_t *list)
{
    clients_keep(s, list);
    json_decref(list);
}

/* ---- authorisations ---- */

static void test_answer_comes_after_the_connection(void **state)
{
    struct ip_prefix v4, v6;

    (void)state;
    assert_int_equal(ip_prefix_parse(&v4, "100.70.12.4/32"), ERR_OK);
    assert_int_equal(ip_prefix_parse(&v6, "fd00:2021:1111::4/128"), ERR_OK);
    authorize(1, 11, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER); /* its candidates are told by a later turn of the loop */
    assert_int_equal(fake.connected.role, ICE_CONTROLLED);
    assert_int_equal(fake.connected.kind, ICE_GATEWAY);
    assert_string_equal(fake.ufrag, "ours");
    assert_string_equal(fake.remote_password, "their password");
    assert_int_equal(fake.connected.public_key[0], 1);
    assert_int_equal(fake.connected.preshared_key[0], 2);
    assert_true(ip_addr_equal(&fake.allowed[0].ip, &v4.ip) && fake.allowed[0].len == v4.len);
    assert_true(ip_addr_equal(&fake.allowed[1].ip, &v6.ip) && fake.allowed[1].len == v6.len);
    assert_int_equal(fake.group, 0); /* its number, which it keeps */
    fake.connect = NODE_REUSED;
    authorize(1, 12, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER);
    fake.portal_away = true;
    authorize(1, 13, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER);
}

static void test_without_relays(void **state)
{
    (void)state;
    fake.connect = NODE_NO_RELAYS;
    authorize(1, 11, world.wall + 10);
    assert_events("connect(1) no_relays{} ");
    assert_int_equal(pass(20), 0); /* nothing was granted */
    reject(1, 11);
    assert_events("");
}

static void test_that_cannot_be_used(void **state)
{
    (void)state;
    fake.connect = NODE_INVALID;
    authorize(1, 11, world.wall + 10);
    assert_events("connect(1) ");
    assert_int_equal(pass(20), 0);
}

/* ---- the end of grants ---- */

static void test_rejecting_the_last_one_disconnects(void **state)
{
    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(1, 12, MESSAGE_NEVER);
    authorized(2, 11, MESSAGE_NEVER);
    reject(1, 13);
    reject(3, 11);
    reject(1, 11);
    reject(1, 11);
    assert_events("");
    reject(1, 12);
    assert_events("close(1) ");
    reject(1, 12);
    assert_events("");
    reject(2, 11);
    assert_events("close(2) ");
}

static void test_granted_twice_is_rejected_once(void **state)
{
    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(1, 11, MESSAGE_NEVER);
    reject(1, 11);
    assert_events("close(1) ");
}

/* Ids that are the same in their first bytes share a place in the table. */
static void test_clients_of_one_bucket(void **state)
{
    struct gateway_message_authorization m[3];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = authorization(7, 11, MESSAGE_NEVER);
        m[i].client.id.bytes[15] = (uint8_t)i;
        clients_authorize(s, &m[i]);
    }
    fake.events[0] = '\0';
    clients_reject(s, &m[1].client.id, &m[1].resource.id);
    clients_reject(s, &m[1].client.id, &m[1].resource.id);
    assert_events("close(7) ");
    clients_reject(s, &m[2].client.id, &m[2].resource.id);
    clients_reject(s, &m[0].client.id, &m[0].resource.id);
    assert_events("close(7) close(7) ");
}

/* ---- expiry ---- */

static void test_expires(void **state)
{
    (void)state;
    authorized(1, 11, world.wall + 100);
    authorized(1, 12, world.wall + 50);
    authorized(2, 11, world.wall + 30);
    authorized(3, 11, MESSAGE_NEVER);
    pass(29);
    assert_events("");
    pass(1);
    assert_events("close(2) ");
    pass(69);
    assert_events("");
    pass(1);
    assert_events("close(1) ");
    assert_int_equal(world.armed, 0);
    reject(3, 11);
    assert_events("close(3) ");
}

static void test_expired_before_it_came(void **state)
{
    (void)state;
    authorized(1, 11, world.wall - 5);
    authorized(2, 11, world.wall);
    pass(0);
    assert_events("close(1) close(2) ");
}

static void test_another_grant_extends_it(void **state)
{
    (void)state;
    authorized(1, 11, world.wall + 30);
    authorized(1, 11, world.wall + 90);
    pass(89);
    assert_events("");
    pass(1);
    assert_events("close(1) ");
    authorized(1, 11, world.wall + 90);
    authorized(1, 11, world.wall + 30); /* and shortens it */
    pass(30);
    assert_events("close(1) ");
}

static void test_expiry_is_changed(void **state)
{
    struct uuid c = id_of(1), r = id_of(11), other = id_of(12);

    (void)state;
    clients_expire(s, &c, &r, world.wall);
    authorized(1, 11, world.wall + 30);
    clients_expire(s, &c, &r, world.wall + 90);
    clients_expire(s, &c, &other, world.wall);
    pass(89);
    assert_events("");
    pass(1);
    assert_events("close(1) ");
    authorized(1, 11, MESSAGE_NEVER);
    clients_expire(s, &c, &r, world.wall - 1);
    assert_events(""); /* not before the loop */
    pass(0);
    assert_events("close(1) ");
}

/* Only when it is told. */
static void test_wall_clock_is_set(void **state)
{
    (void)state;
    authorized(1, 11, world.wall + 100);
    world.wall += 10 * HOURS;
    pass(99);
    assert_events("");
    authorized(2, 11, world.wall + 10);
    world.wall -= 20 * HOURS;
    pass(1);
    assert_events("close(1) ");
    pass(8);
    assert_events("");
    pass(1);
    assert_events("close(2) ");
}

/* As far as the clock can tell; then for a day. */
static void test_far_future(void **state)
{
    (void)state;
    authorized(1, 11, world.wall + 100 * 365 * 24 * HOURS);
    authorized(2, 11, MESSAGE_NEVER - 1);
    pass(24 * HOURS - 1);
    assert_events("");
    pass(1);
    assert_events("close(2) ");
    reject(1, 11);
    assert_events("close(1) ");
}

/* ---- the list of init ---- */

static void test_list_keeps_and_drops(void **state)
{
    json_t *list = json_array();

    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(1, 12, MESSAGE_NEVER);
    authorized(2, 11, MESSAGE_NEVER);
    authorized(3, 11, world.wall + 10);
    authorized(4, 11, world.wall + 10);
    add_listed(list, 1, 12, world.wall + 100);
    add_listed(list, 3, 11, MESSAGE_NEVER);
    add_listed(list, 9, 11, MESSAGE_NEVER); /* of before this process */
    add_listed(list, 1, 14, MESSAGE_NEVER);
    keep(list);
    assert_events("close(2) close(4) ");
    pass(99);
    assert_events("");
    pass(1);
    assert_events("close(1) "); /* it had no other one any more */
    pass(10 * HOURS);
    assert_events("");
    reject(9, 11);
    assert_events("");
    reject(3, 11);
    assert_events("close(3) ");
}

static void test_element_that_is_wrong_is_left_out(void **state)
{
    json_t *list = json_array();

    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    authorized(2, 11, MESSAGE_NEVER);
    json_array_append_new(list, json_integer(7));
    json_array_append_new(list, json_pack("{s:s}", "client_id", "nobody"));
    add_listed(list, 2, 11, MESSAGE_NEVER);
    keep(list);
    assert_events("close(1) ");
}

static void test_empty_list(void **state)
{
    (void)state;
    keep(json_array());
    assert_events("");
    authorized(1, 11, world.wall + 100);
    keep(json_array());
    assert_events("close(1) ");
    assert_int_equal(world.armed, 0);
}

/* ---- connections ---- */

/* Of the end of a connection nobody tells the clients: what was granted is kept, and ends as ever. */
static void test_connection_end_keeps_grants(void **state)
{
    json_t *list = json_array();

    (void)state;
    authorized(1, 11, world.wall + 100);
    add_listed(list, 1, 11, world.wall + 200);
    keep(list); /* the portal still knows of it */
    fake.connect = NODE_CREATED;
    authorized(1, 12, world.wall + 300);
    pass(200);
    assert_events("");
    pass(100);
    assert_events("close(1) ");
}

/* ---- what the engine is told ---- */

static void grant(unsigned client, unsigned n, enum message_resource_kind kind, const char *address,
                  const char *filters, int64_t expires_at)
{
    struct gateway_message_authorization m = authorization(client, n, expires_at);

    m.resource = resource_of(n, kind, address, filters);
    clients_authorize(s, &m);
    resource_free(&m.resource);
}

static void updated(unsigned n, enum message_resource_kind kind, const char *address,
                    const char *filters)
{
    struct message_resource r = resource_of(n, kind, address, filters);

    clients_update(s, &r);
    resource_free(&r);
}

#define FILTERS                                                                                    \
    "[{\"protocol\":\"tcp\",\"port_range_start\":80,\"port_range_end\":81},"                       \
    "{\"protocol\":\"udp\"},{\"protocol\":\"icmp\"}]"

/* As it was told last: "kind index order rules" of each. */
static void assert_grants(const char *expected)
{
    char text[512] = "";

    assert_in_range(fake.grants.n, 0, GRANTS_SEEN_MAX);
    for (size_t i = 0; i < fake.grants.n; i++) {
        const struct engine_grant *g = &fake.list[i];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u %u %u %zu", i ? ", " : "",
                 g->kind, g->index, g->order, g->rules_n);
    }
    assert_string_equal(text, expected);
}

static void test_engine_is_told(void **state)
{
    struct ip_addr v4, v6;

    (void)state;
    grant(1, 11, RESOURCE_DNS, "*.example.com", FILTERS, MESSAGE_NEVER);
    assert_grants("0 0 0 3");
    assert_int_equal(fake.published_for.bytes[0], 1);
    assert_int_equal(ip_addr_parse(&v4, "100.70.12.4"), ERR_OK);
    assert_int_equal(ip_addr_parse(&v6, "fd00:2021:1111::4"), ERR_OK);
    assert_true(ip_addr_equal(&fake.grants.ipv4, &v4) && ip_addr_equal(&fake.grants.ipv6, &v6));
    const struct filter_rule *r = fake.rules[0];
    assert_true(r[0].protocol == FILTER_TCP && r[0].first == 80 && r[0].last == 81);
    assert_true(r[1].protocol == FILTER_UDP && r[1].first == 0 && r[1].last == 65535);
    assert_true(r[2].protocol == FILTER_ICMP);
    /* Of the same network the greater id comes first. */
    grant(1, 13, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    grant(1, 12, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    grant(1, 10, RESOURCE_INTERNET, NULL, NULL, MESSAGE_NEVER);
    assert_grants("1 1 0 0, 1 2 1 0, 0 0 2 3, 2 3 3 0");
    assert_true(fake.list[0].prefix.len == 8 && fake.list[0].prefix.ip.bytes[0] == 10);
    assert_int_equal(fake.published, 4);
    grant(2, 11, RESOURCE_INTERNET, NULL, NULL, MESSAGE_NEVER);
    assert_grants("2 0 0 0");
    assert_int_equal(fake.published_for.bytes[0], 2);
}

static void test_removal_is_told(void **state)
{
    (void)state;
    grant(1, 11, RESOURCE_CIDR, "10.0.0.0/8", "[]", world.wall + 50);
    fake.connect = NODE_REUSED;
    grant(1, 12, RESOURCE_CIDR, "11.0.0.0/8", "[]", world.wall + 100);
    grant(1, 13, RESOURCE_CIDR, "12.0.0.0/8", "[]", MESSAGE_NEVER);
    reject(1, 13);
    assert_grants("1 1 0 0, 1 0 1 0");
    pass(50);
    assert_grants("1 1 0 0");
    unsigned before = fake.published;
    pass(50); /* the last one: the connection ends */
    assert_int_equal(fake.published, before);
    assert_int_equal(fake.renewed, 2);
}

static void test_granted_again_has_its_index(void **state)
{
    (void)state;
    fake.connect = NODE_CREATED;
    grant(1, 11, RESOURCE_DNS, "a.example.com", "[]", MESSAGE_NEVER);
    fake.connect = NODE_REUSED;
    grant(1, 12, RESOURCE_DNS, "b.example.com", "[]", MESSAGE_NEVER);
    reject(1, 11);
    assert_grants("0 1 0 0");
    grant(1, 13, RESOURCE_DNS, "c.example.com", "[]", MESSAGE_NEVER);
    grant(1, 11, RESOURCE_DNS, "a.example.com", FILTERS, MESSAGE_NEVER);
    assert_grants("0 2 0 0, 0 1 1 0, 0 0 2 3");
    /* Other places are another resource, whatever its id. */
    grant(1, 12, RESOURCE_DNS, "*.example.com", "[]", MESSAGE_NEVER);
    assert_grants("0 2 0 0, 0 3 1 0, 0 0 2 3");
    grant(1, 11, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    assert_grants("0 2 0 0, 0 3 1 0, 1 4 2 0");
    grant(1, 11, RESOURCE_CIDR, "10.0.0.0/9", "[]", MESSAGE_NEVER);
    assert_grants("0 2 0 0, 0 3 1 0, 1 5 2 0");
    /* Of another connection they are the same: flows and names outlive it. */
    assert_int_equal(fake.renewed, 1);
    fake.connect = NODE_REPLACED;
    grant(1, 14, RESOURCE_INTERNET, NULL, NULL, MESSAGE_NEVER);
    assert_int_equal(fake.renewed, 2);
    assert_grants("2 6 0 0, 0 2 1 0, 0 3 2 0, 1 5 3 0");
}

static void test_update_changes_filters_alone(void **state)
{
    (void)state;
    grant(1, 11, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    grant(2, 11, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    grant(3, 12, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    unsigned before = fake.published;
    updated(11, RESOURCE_CIDR, "11.0.0.0/8", FILTERS);
    assert_int_equal(fake.published, before + 2);
    assert_grants("1 0 0 3");
    assert_int_equal(fake.list[0].prefix.ip.bytes[0], 10);
    updated(11, RESOURCE_DNS, "a", "[]");
    updated(14, RESOURCE_CIDR, "11.0.0.0/8", "[]");
    assert_int_equal(fake.published, before + 2);
    reject(1, 11);
    updated(11, RESOURCE_CIDR, "10.0.0.0/8", "[]");
    assert_int_equal(fake.published, before + 3); /* the second client */
    assert_grants("1 0 0 0");
}

static void test_without_a_connection(void **state)
{
    (void)state;
    grant(1, 11, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    grant(1, 12, RESOURCE_CIDR, "11.0.0.0/8", "[]", MESSAGE_NEVER);
    fake.no_peer = true;
    unsigned before = fake.published;
    reject(1, 11);
    updated(12, RESOURCE_CIDR, "11.0.0.0/8", FILTERS);
    assert_int_equal(fake.published, before);
    fake.no_peer = false;
    fake.connect = NODE_CREATED;
    grant(1, 13, RESOURCE_INTERNET, NULL, NULL, MESSAGE_NEVER);
    assert_grants("2 2 0 0, 1 1 1 3"); /* it has what there was before */
}

static void test_one_that_leaves_has_nothing(void **state)
{
    struct uuid one = id_of(1);
    struct clients_resource r;

    (void)state;
    authorized(1, 11, world.wall + 100);
    authorized(1, 12, MESSAGE_NEVER);
    clients_left(s, &one);
    assert_events("close(1) ");
    clients_left(s, &one);
    assert_int_equal(world.armed, 0);
    struct uuid eleven = id_of(11);
    assert_false(clients_resource(s, &one, &eleven, &r));
    authorize(1, 13, MESSAGE_NEVER);
    assert_events("connect(1) " ANSWER);
    assert_grants("2 0 0 0");
}

static void test_other_addresses_are_another_client(void **state)
{
    struct gateway_message_authorization m = authorization(1, 12, MESSAGE_NEVER);

    (void)state;
    authorized(1, 11, MESSAGE_NEVER);
    m.client.ipv4.bytes[3]++;
    clients_authorize(s, &m);
    assert_events("close(1) connect(1) " ANSWER);
    assert_grants("2 0 0 0");
    assert_true(ip_addr_equal(&fake.grants.ipv4, &m.client.ipv4));
}

static void test_what_may_be_reached(void **state)
{
    struct uuid one = id_of(1), r11 = id_of(11), r12 = id_of(12), r13 = id_of(13);
    struct clients_resource r;

    (void)state;
    grant(1, 11, RESOURCE_CIDR, "10.0.0.0/8", "[]", MESSAGE_NEVER);
    grant(1, 12, RESOURCE_DNS, "*.example.com", "[]", MESSAGE_NEVER);
    grant(1, 13, RESOURCE_DNS, "***", "[]", MESSAGE_NEVER);
    assert_true(clients_resource(s, &one, &r11, &r));
    assert_int_equal(r.kind, RESOURCE_CIDR);
    assert_true(clients_resource(s, &one, &r12, &r));
    assert_int_equal(r.index, 1);
    assert_true(dns_pattern_match(&r.pattern, "a.example.com"));
    assert_true(clients_resource(s, &one, &r13, &r));
    assert_false(dns_pattern_match(&r.pattern, "a.example.com")); /* no pattern */
    assert_false(clients_resource(s, &r11, &r11, &r));
    reject(1, 12);
    assert_false(clients_resource(s, &one, &r12, &r));
}

static void test_too_many_resources(void **state)
{
    struct gateway_message_authorization m = authorization(1, 1, MESSAGE_NEVER);

    (void)state;
    for (unsigned i = 0; i < GRANTS_MAX; i++) {
        store_le32(m.resource.id.bytes, i);
        clients_authorize(s, &m);
        fake.events[0] = '\0';
        fake.connect = NODE_REUSED;
        if (i > 0) /* over, and yet there */
            clients_reject(s, &m.client.id, &m.resource.id);
    }
    store_le32(m.resource.id.bytes, GRANTS_MAX);
    clients_authorize(s, &m);
    assert_events("connect(1) close(1) ");
    clients_authorize(s, &m);
    assert_events("connect(1) " ANSWER);
    assert_grants("2 0 0 0");
}

static void test_very_many(void **state)
{
    struct gateway_message_authorization m = authorization(1, 11, world.wall + 50);

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        store_le32(m.client.id.bytes + 4, i);
        store_le32(m.client.id.bytes, i * 7);
        clients_authorize(s, &m);
        fake.events[0] = '\0';
    }
    for (unsigned i = 0; i < 5000; i += 2) {
        store_le32(m.client.id.bytes + 4, i);
        store_le32(m.client.id.bytes, i * 7);
        clients_reject(s, &m.client.id, &m.resource.id);
        assert_true(strncmp(fake.events, "close(", 6) == 0);
        fake.events[0] = '\0';
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answer_comes_after_the_connection),
        TEST(test_without_relays),
        TEST(test_that_cannot_be_used),
        TEST(test_rejecting_the_last_one_disconnects),
        TEST(test_granted_twice_is_rejected_once),
        TEST(test_clients_of_one_bucket),
        TEST(test_expires),
        TEST(test_expired_before_it_came),
        TEST(test_another_grant_extends_it),
        TEST(test_expiry_is_changed),
        TEST(test_wall_clock_is_set),
        TEST(test_far_future),
        TEST(test_list_keeps_and_drops),
        TEST(test_element_that_is_wrong_is_left_out),
        TEST(test_empty_list),
        TEST(test_connection_end_keeps_grants),
        TEST(test_engine_is_told),
        TEST(test_removal_is_told),
        TEST(test_granted_again_has_its_index),
        TEST(test_update_changes_filters_alone),
        TEST(test_without_a_connection),
        TEST(test_one_that_leaves_has_nothing),
        TEST(test_other_addresses_are_another_client),
        TEST(test_what_may_be_reached),
        TEST(test_too_many_resources),
        TEST(test_very_many),
    };
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
