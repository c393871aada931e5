/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients and gateways of the real control code and the real rules of the workers, under a portal that changes its mind: resources come,
 * change and go, policies are granted, revoked and run out, ends come and go, names move. After each change packets are sent, by the
 * clients' own rules and past them, and what arrives is compared with what sim_tunnel_model.h says.
 *
 * SIM_SEED: the first seed; SIM_STEPS: events of each run. A run that fails says its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/sim_tunnel_probe.h"

enum {
    RUNS = 12,
    STEPS = 400,
    SITES = 4,
    GATEWAYS = 6, /* two at the first two sites */
    CLIENTS = 5,
    PROBES_PER_STEP = 5,
    CROWD = 1024,
    CROWD_STEPS = 60
};

/* ---- what happens ---- */

static void random_zone(int name)
{
    memset(zone.has[name], 0, sizeof zone.has[name]);
    for (unsigned i = world_below(6); i > 0; i--) {
        unsigned at = world_below(world_below(4) ? 8 : ZONE);
        zone.has[name][at] = zone.had[name][at] = true;
    }
}

static struct place random_place(void)
{
    static const enum kind kinds[] = {DNS, DNS, DNS, CIDR, CIDR, CIDR, INTERNET};
    struct place x = {.kind = kinds[world_below(ARRAY_LEN(kinds))],
                      .site = world_below(portal.sites_n - 1),
                      .rules = world_below(ARRAY_LEN(RULES)),
                      .stack = world_below(2) ? DUAL : (enum stack)world_below(3)};

    x.address = world_below(x.kind == DNS ? ARRAY_LEN(PATTERNS) : ARRAY_LEN(NETWORKS));
    if (x.kind == INTERNET)
        x.site = portal.sites_n - 1;
    return x;
}

/* There is one at most, as the portal has it. */
static bool internet_is_there(void)
{
    for (unsigned r = 0; r < RESOURCES; r++) {
        if (portal.places[r].there && portal.places[r].kind == INTERNET)
            return true;
    }
    return false;
}

static int64_t random_until(void)
{
    return world_below(3) ? 0 : world_wall() + 1 + world_below(200);
}

static void place_appears(unsigned r)
{
    struct place x = random_place();

    while (x.kind == INTERNET && internet_is_there())
        x = random_place();
    place_begin(r, &x);
    for (unsigned c = 0; c < portal.clients_n; c++) {
        if (world_below(3))
            policy_set(c, r, random_until());
    }
}

static void place_becomes(unsigned r)
{
    struct place x = portal.places[r], other = random_place();

    switch (world_below(4)) {
    case 0:
        x.address = world_below(x.kind == DNS ? ARRAY_LEN(PATTERNS) : ARRAY_LEN(NETWORKS));
        break;
    case 1:
        x.site = x.kind == INTERNET || other.kind == INTERNET ? x.site : other.site;
        break;
    case 2:
        x.stack = other.stack;
        break;
    default:
        x.rules = other.rules;
        break;
    }
    place_change(r, &x);
}

/* Perhaps to be back at once. */
static void gateway_ends(unsigned g)
{
    if (gateway_of(g))
        end_goes(gateway_of(g), world_below(2));
    if (world_below(3))
        gateway_comes(g);
}

static void client_begins_anew(unsigned c)
{
    struct uuid id = client_of(c)->id;

    end_goes(client_of(c), world_below(2));
    if (world_below(3) == 0)
        world_run(SEC(world_below(60)));
    for (unsigned g = 0; g < portal.gateways_n; g++) {
        if (gateway_of(g) && world_below(2))
            link_lost(gateway_of(g), &id);
    }
    client_comes(c);
}

/* The client finds out, and perhaps the gateway as well. */
static void connection_breaks(unsigned c)
{
    struct end *e = client_of(c);
    struct link *x = some_link(e);

    if (!x)
        return;
    if (world_below(2))
        link_lost(end_of_id(&x->id), &e->id);
    link_lost(e, &x->id);
}

static void probe_something(unsigned client, bool quick)
{
    struct ip_addr to;

    if (world_below(2)) {
        probe(client, (int)world_below(NAMES), NULL, quick);
        return;
    }
    to = ip_of(TARGETS[world_below(ARRAY_LEN(TARGETS))]);
    probe(client, NO_NAME, &to, quick);
}

static void portal_breaks(void)
{
    portal.away = true;
    for (unsigned i = 0; i < PROBES_PER_STEP; i++)
        probe_something(world_below(portal.clients_n), false);
    portal.away = false;
    for (unsigned g = 0; g < portal.gateways_n; g++) {
        if (gateway_of(g))
            gateway_joins(gateway_of(g));
    }
    for (unsigned c = 0; c < portal.clients_n; c++)
        client_joins(client_of(c));
}

/* What the portal decides, and where names lead. */
static void something_changes(void)
{
    unsigned r = world_below(RESOURCES), c = world_below(portal.clients_n);

    switch (world_below(8)) {
    case 0:
        place_end(r);
        break;
    case 1:
    case 2:
        if (portal.places[r].there)
            place_becomes(r);
        else
            place_appears(r);
        break;
    case 3:
        policy_end(c, r);
        break;
    case 4:
    case 5:
    case 6:
        if (portal.places[r].there)
            policy_set(c, r, random_until());
        break;
    default:
        random_zone((int)world_below(NAMES));
        break;
    }
}

static void something_happens(void)
{
    unsigned c = world_below(portal.clients_n), g = world_below(portal.gateways_n);

    switch (world_below(16)) {
    case 0:
        gateway_ends(g);
        break;
    case 1:
        client_begins_anew(c);
        break;
    case 2:
        connection_breaks(c);
        break;
    case 3:
        portal_breaks();
        break;
    case 4:
    case 5:
        world_run(SEC(world_below(world_below(6) ? 40 : 900)));
        break;
    default:
        something_changes();
        break;
    }
    if (!gateway_of(g) && world_below(2))
        gateway_comes(g);
    world_settle();
}

/* ---- the runs ---- */

static unsigned long number_from(const char *variable, unsigned long otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoul(text, NULL, 0) : otherwise;
}

static void resolve(const char *name, struct host_answer *out)
{
    for (unsigned i = 0; i < NAMES; i++) {
        for (unsigned k = 0; k < ZONE && strcmp(name, NAME_TEXTS[i]) == 0; k++) {
            if (zone.has[i][k])
                out->addrs[out->n++] = zone_addr((int)i, k);
        }
    }
}

static void begin(uint64_t seed, unsigned gateways, unsigned sites, unsigned clients)
{
    memset(&portal, 0, sizeof portal);
    memset(&zone, 0, sizeof zone);
    memset(&sim, 0, sizeof sim);
    world_begin(seed);
    world.tun = on_tun;
    world.push = portal_push;
    world.resolve = resolve;
    portal.gateways_n = gateways;
    portal.sites_n = sites;
    portal.clients_n = clients;
    for (unsigned g = 0; g < gateways; g++) {
        portal.sites[g] = g % sites;
        gateway_comes(g);
    }
    for (int i = 0; i < NAMES; i++)
        random_zone(i);
    for (unsigned c = 0; c < clients; c++)
        client_comes(c);
    for (unsigned r = 0; r < RESOURCES; r++)
        place_appears(r);
    world_settle();
}

static void result(const char *of)
{
    printf(
        "seed %llu, %s: of %lu packets %lu had to arrive, of %lu hostile ones %lu were refused\n",
        (unsigned long long)world.seed, of, sim.sent, sim.musts, sim.hostile, sim.refused);
}

static void finish(void)
{
    for (unsigned i = WORLD_ENDS_MAX; i-- > 0;) {
        if (world.ends[i])
            end_stop(world.ends[i], false);
    }
    world_settle();
    if (world.timers_n != 0)
        world_fail("%zu timers are left", world.timers_n);
}

/* ---- a crowd ---- */

static unsigned links_up(const struct end *e)
{
    unsigned n = 0;

    for (const struct link *x = e->peers.links; x; x = x->next)
        n += x->up;
    return n;
}

/* Somewhere that everybody may go to. */
static void all_connect(void)
{
    static const struct place place = {.kind = CIDR, .address = 5};
    const struct ip_addr to = ip_of("203.0.113.5");

    for (unsigned r = 0; r < RESOURCES; r++) {
        if (r == 0 || (portal.places[r].kind == CIDR && portal.places[r].address == 5))
            place_end(r);
    }
    place_begin(0, &place);
    for (unsigned c = 0; c < portal.clients_n; c++) {
        policy_set(c, 0, 0);
        probe(c, NO_NAME, &to, true);
        probe_something(c, true);
    }
    if (links_up(gateway_of(0)) != portal.clients_n)
        world_fail("%u clients are connected", links_up(gateway_of(0)));
}

static void crowd_step(void)
{
    unsigned c = world_below(portal.clients_n);

    if (world_below(4) == 0)
        client_begins_anew(c);
    else
        something_changes();
    world_settle();
    for (unsigned k = 0; k < PROBES_PER_STEP; k++) {
        probe_something(world_below(portal.clients_n), true);
        attack(world_below(portal.clients_n));
    }
}

/* Nothing of any client is left at the gateway, and there was room for all. */
static void expect_empty(struct end *gateway)
{
    const struct tunnel *t = gateway->tunnel;
    const struct nat *nat = &gateway->below->worker->nat;
    const struct counters *counters = &gateway->below->counters;

    if (gateway_nat_count(gateway->nat, GATEWAY_NAT_FULL) != 0 ||
        counter_read(&counters->tallies[TALLY_TRANSLATIONS_FULL]) != 0 ||
        counter_read(&counters->verdicts[VERDICT_IN_PUNT_FULL]) != 0)
        world_fail("there was not room for all");

    if (gateway->peers.links || t->peers_n != 0 || t->slots_leaving != 0 || t->allowed.used != 0)
        world_fail("%zu peers and %zu addresses are left", t->peers_n, t->allowed.used);
    for (unsigned i = 0; i < BELOW_CLIENTS; i++) {
        if (nat->clients[i].names.n != 0 || nat->clients[i].flows.n != 0)
            world_fail("%u names and %u flows of client number %u are left",
                       nat->clients[i].names.n, nat->clients[i].flows.n, i);
    }
    for (uint32_t i = 0; i < TUNNEL_PEERS_MAX; i++) {
        if (gateway->below->worker->peers[i])
            world_fail("the worker still has a peer");
    }
    for (unsigned c = 0; c < portal.clients_n; c++) {
        for (unsigned r = 0; r < RESOURCES; r++) {
            struct uuid id = end_id(portal.gateways_n + c);
            struct clients_resource out;
            if (clients_resource(gateway->clients, &id, &portal.places[r].id, &out))
                world_fail("client %u still has access", c);
        }
    }
}

/* Half of them say goodbye, the others lose what they were permitted. */
static void all_leave(void)
{
    for (unsigned c = 0; c < portal.clients_n; c++) {
        if (c % 2)
            end_goes(client_of(c), true);
        for (unsigned r = 0; r < RESOURCES && c % 2 == 0; r++)
            policy_end(c, r);
    }
    world_settle();
    expect_empty(gateway_of(0));
}

static void crowd(void **state)
{
    (void)state;
    begin(number_from("SIM_SEED", 100), 2, 2, CROWD);
    all_connect();
    for (unsigned long step = number_from("SIM_STEPS", CROWD_STEPS); step > 0; step--)
        crowd_step();
    end_goes(gateway_of(0), false);
    gateway_comes(0);
    all_connect();
    result("the crowd");
    all_leave();
    finish();
}

/* ---- all ---- */

static void random_runs(void **state)
{
    unsigned long seed = number_from("SIM_SEED", 1), steps = number_from("SIM_STEPS", STEPS);
    unsigned runs = getenv("SIM_SEED") ? 1 : RUNS;

    (void)state;
    for (unsigned i = 0; i < runs; i++) {
        begin(seed + i, GATEWAYS, SITES, CLIENTS);
        for (unsigned long step = 0; step < steps; step++) {
            something_happens();
            for (unsigned k = 0; k < PROBES_PER_STEP; k++)
                probe_something(world_below(CLIENTS), false);
            for (unsigned k = 0; k < PROBES_PER_STEP; k++)
                attack(world_below(CLIENTS));
        }
        result("a run");
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_runs), cmocka_unit_test(crowd)};

    log_set_level(getenv("SIM_LOG") ? LOG_DEBUG : LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
