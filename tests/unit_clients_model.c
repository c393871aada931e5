/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a gateway lets in, against a table of what each client was granted: after each of many random messages, ends of connections and
 * whiles the engine, the peers and whoever asks know what the table says, and an index has never become another resource's.
 */
#include "tests/clients_rig.h"
#include "tests/support/random.h"

enum {
    CLIENTS = 4,
    RESOURCES = 6,
    PLACES = 5,
    INDICES_MAX = 512,
    STEPS = 30000,
    NO_INDEX = -1
};

static const struct {
    enum message_resource_kind kind;
    enum engine_grant_kind engine_kind;
    const char *address;
} places[PLACES] = {
    {RESOURCE_DNS, ENGINE_GRANT_DNS, "a.example.com"},
    {RESOURCE_DNS, ENGINE_GRANT_DNS, "*.example.com"},
    {RESOURCE_CIDR, ENGINE_GRANT_CIDR, "10.0.0.0/8"},
    {RESOURCE_CIDR, ENGINE_GRANT_CIDR, "10.0.0.0/9"},
    {RESOURCE_INTERNET, ENGINE_GRANT_INTERNET, NULL},
};

static const char *const filters[] = {"[]", "[{\"protocol\":\"icmp\"}]",
                                      "[{\"protocol\":\"icmp\"},{\"protocol\":\"tcp\"}]"};

/* What should be. */
static struct model {
    bool connected, moved; /* moved: has its other address */
    struct {
        bool live;
        unsigned place, rules;
        time_ns expires_at;
        int index; /* of this connection */
    } grants[RESOURCES];
    unsigned owners[INDICES_MAX]; /* resource and place, from 1; 0: nobody's yet */
} model[CLIENTS];

/* What the peers and the engine were told. */
struct tunnel_peer {
    bool connected;
    size_t n;
    struct engine_grant grants[RESOURCES];
    struct ip_addr ipv4;
};
static struct tunnel_peer peers[CLIENTS];
static unsigned answers, connects;

static struct clients *s;

static uint64_t rng_state = 7;

static unsigned below(unsigned n)
{
    return random_below(&rng_state, n);
}

/* ---- the peers and the engine ---- */

static unsigned number_of(const struct uuid *id)
{
    assert_in_range(id->bytes[0], 1, CLIENTS);
    return id->bytes[0] - 1;
}

enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner)
{
    struct tunnel_peer *x = &peers[number_of(&peer->id)];
    bool there = x->connected;

    (void)p, (void)inner;
    connects++;
    if (there && below(4) > 0)
        return NODE_REUSED;
    *x = (struct tunnel_peer){.connected = true};
    return there ? NODE_REPLACED : NODE_CREATED;
}

void peers_close(struct peers *p, const struct uuid *id)
{
    (void)p;
    peers[number_of(id)] = (struct tunnel_peer){.connected = false};
}

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
    struct tunnel_peer *x = &peers[number_of(id)];

    (void)p;
    return x->connected ? x : NULL;
}

void tunnel_gateway_grants(struct tunnel_peer *p, const struct engine_grants *g)
{
    assert_true(p->connected);
    assert_in_range(g->n, 1, RESOURCES);
    p->n = g->n;
    memcpy(p->grants, g->grants, g->n * sizeof *g->grants);
    p->ipv4 = g->ipv4;
}

static void on_renewed(void *arg, const struct uuid *client)
{
    struct model *m = &model[number_of(client)];

    (void)arg;
    memset(m->owners, 0, sizeof m->owners);
    for (unsigned r = 0; r < RESOURCES; r++)
        m->grants[r].index = NO_INDEX;
}

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    (void)arg, (void)name, (void)payload;
    answers++;
    return ERR_OK;
}

/* ---- comparing ---- */

static void settle(void)
{
    for (unsigned c = 0; c < CLIENTS; c++) {
        unsigned live = 0;
        for (unsigned r = 0; r < RESOURCES; r++) {
            model[c].grants[r].live &= model[c].grants[r].expires_at > world.now;
            live += model[c].grants[r].live;
        }
        model[c].connected &= live > 0;
    }
}

static void check_index(struct model *m, unsigned r, unsigned index)
{
    unsigned owner = 1 + r * PLACES + m->grants[r].place;

    assert_in_range(index, 0, INDICES_MAX - 1);
    if (m->grants[r].index != NO_INDEX)
        assert_int_equal(m->grants[r].index, index);
    assert_true(m->owners[index] == 0 || m->owners[index] == owner);
    m->owners[index] = owner;
    m->grants[r].index = (int)index;
}

static const struct engine_grant *published(const struct tunnel_peer *p, unsigned index)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->grants[i].index == index)
            return &p->grants[i];
    }
    fail_msg("grant %u is not told", index);
    return NULL;
}

static void check_grant(unsigned c, unsigned r, unsigned *orders)
{
    struct uuid client = id_of(c + 1), resource = id_of(r + 1);
    struct model *m = &model[c];
    struct clients_resource out;
    bool live = clients_resource(s, &client, &resource, &out);

    assert_int_equal(live, m->grants[r].live);
    if (!live)
        return;
    assert_int_equal(out.kind, places[m->grants[r].place].kind);
    if (out.kind == RESOURCE_DNS) {
        assert_true(dns_pattern_match(&out.pattern, "a.example.com"));
        assert_int_equal(dns_pattern_match(&out.pattern, "b.example.com"), m->grants[r].place == 1);
    }
    if (!m->connected)
        return;
    check_index(m, r, out.index);
    const struct engine_grant *g = published(&peers[c], out.index);
    assert_int_equal(g->kind, places[m->grants[r].place].engine_kind);
    assert_int_equal(g->rules_n, m->grants[r].rules);
    if (g->kind == ENGINE_GRANT_CIDR)
        assert_int_equal(g->prefix.len, m->grants[r].place == 2 ? 8 : 9);
    assert_true(g->order < *orders); /* the greater id is asked first */
    *orders = g->order;
}

static void check(void)
{
    for (unsigned c = 0; c < CLIENTS; c++) {
        unsigned orders = UINT32_MAX, live = 0;
        assert_int_equal(peers[c].connected, model[c].connected);
        for (unsigned r = 0; r < RESOURCES; r++) {
            check_grant(c, r, &orders);
            live += model[c].grants[r].live;
        }
        assert_int_equal(peers[c].n, model[c].connected ? live : 0);
    }
}

/* ---- what happens ---- */

static time_ns instant_of(int64_t expires_at)
{
    if (expires_at == MESSAGE_NEVER)
        return TIME_NEVER;
    return expires_at <= world.wall ? world.now : world.now + SEC(expires_at - world.wall);
}

static int64_t some_expiry(void)
{
    switch (below(8)) {
    case 0:
        return MESSAGE_NEVER;
    case 1:
        return world.wall - below(3);
    default:
        return world.wall + 1 + below(60);
    }
}

static void model_clear(unsigned c)
{
    for (unsigned r = 0; r < RESOURCES; r++)
        model[c].grants[r].live = false;
    model[c].connected = false;
}

static void authorize(unsigned c, unsigned r)
{
    unsigned place = below(3) ? r % PLACES : below(PLACES), rules = below(ARRAY_LEN(filters));
    struct gateway_message_authorization m = authorization(c + 1, r + 1, some_expiry());
    bool internet = places[place].kind == RESOURCE_INTERNET;

    m.resource = resource_of(r + 1, places[place].kind, places[place].address,
                             internet ? NULL : filters[rules]);
    if (below(30) == 0) {
        model[c].moved = !model[c].moved;
        model_clear(c);
    }
    m.client.ipv4.bytes[3] = model[c].moved ? 5 : 4;
    clients_authorize(s, &m);
    if (model[c].grants[r].place != place)
        model[c].grants[r].index = NO_INDEX;
    model[c].connected = true;
    model[c].grants[r].live = true;
    model[c].grants[r].place = place;
    model[c].grants[r].rules = internet ? 0 : rules;
    model[c].grants[r].expires_at = instant_of(m.expires_at);
    assert_true(ip_addr_equal(&peers[c].ipv4, &m.client.ipv4));
    resource_free(&m.resource);
}

static void reject(unsigned c, unsigned r)
{
    struct uuid client = id_of(c + 1), resource = id_of(r + 1);

    clients_reject(s, &client, &resource);
    model[c].grants[r].live = false;
}

static void change_expiry(unsigned c, unsigned r)
{
    struct uuid client = id_of(c + 1), resource = id_of(r + 1);
    int64_t expires_at = some_expiry();

    clients_expire(s, &client, &resource, expires_at);
    model[c].grants[r].expires_at = instant_of(expires_at);
}

static void change_filters(unsigned r)
{
    unsigned place = below(PLACES), rules = below(ARRAY_LEN(filters));
    bool internet = places[place].kind == RESOURCE_INTERNET;
    struct message_resource m = resource_of(r + 1, places[place].kind, places[place].address,
                                            internet ? NULL : filters[rules]);

    clients_update(s, &m);
    for (unsigned c = 0; c < CLIENTS; c++) {
        if (places[model[c].grants[r].place].kind == m.kind)
            model[c].grants[r].rules = internet ? 0 : rules;
    }
    resource_free(&m);
}

static void keep_some(void)
{
    json_t *list = json_array();

    for (unsigned c = 0; c < CLIENTS; c++) {
        for (unsigned r = 0; r < RESOURCES; r++) {
            int64_t expires_at = some_expiry();
            bool listed = below(10) > 0;
            if (listed)
                add_listed(list, c + 1, r + 1, expires_at);
            model[c].grants[r].live &= listed;
            model[c].grants[r].expires_at = instant_of(expires_at);
        }
    }
    clients_keep(s, list);
    json_decref(list);
}

/* By itself, or with a goodbye. */
static void connection_ends(unsigned c)
{
    struct uuid client = id_of(c + 1);

    if (!peers[c].connected)
        return;
    peers[c] = (struct tunnel_peer){.connected = false};
    model[c].connected = false;
    if (below(2) == 0)
        return;
    clients_left(s, &client);
    model_clear(c);
}

static void step(void)
{
    unsigned c = below(CLIENTS), r = below(RESOURCES), what = below(100);

    if (what < 40)
        authorize(c, r);
    else if (what < 60)
        reject(c, r);
    else if (what < 70)
        change_expiry(c, r);
    else if (what < 80)
        change_filters(r);
    else if (what < 82)
        keep_some();
    else if (what < 85)
        connection_ends(c);
    else
        pass(below(20));
    pass(0); /* what was over when it came */
    settle();
}

static void test_random(void **state)
{
    static const struct clients_events events = {on_push, on_renewed};

    (void)state;
    world_begin();
    s = clients_new(NULL, NULL, &events, NULL);
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        check();
    }
    assert_int_equal(answers, connects);
    assert_in_range(connects, STEPS / 4, STEPS);
    clients_free(s);
    assert_int_equal(world.armed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
