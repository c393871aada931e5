/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections as the tunnel has them, a client's and a gateway's: a node, a handshake machine with real keys, and what is between them, in
 * a simulated network with relays and a portal whose news are late. Whenever there is a way, a session comes to be in both directions
 * within the times of its timers; after each fault it comes back, or is given up and comes back by another authorisation. Nothing leaves
 * without a path, or to one that was replaced.
 *
 * Prints how long it takes from the client's authorisation to a session that works, by the NATs of both ends. Then random scenarios run for
 * a few seconds. `sim_p2p_peer SEED` runs one scenario only and says what happens.
 */
#include <stdlib.h>
#include <time.h>

#define WORLD_RELAYS 2

#include "tests/node_world.h"
#include "tests/p2p_peer_rig.h"
#include "tests/support/sim_seconds.h"
#include "tools/fzportal/derive.h"

#define MS(n)  ((time_ns)(n)*NS_PER_MS)
#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    CLIENT,
    GATEWAY,
    MAIL_MAX = 512,
    TABLE_RUNS = 20,
    FAULTS_PER_SCENARIO = 3,
    SECONDS = 6 /* of processor time, for scenarios */
};

/*
 * Bounds: of the set-up, ICE and two initiations; after a fault: that the path is dead is known after 18.5 s or, when nothing was sent, at
 * the second check of an idle agent; an attempt at a handshake takes 20 s, and begins 15 s after the first packet that nobody answers.
 * Each hop loses datagrams, so that per cent of loss cost.
 */
#define SETUP_BOUND_NS    SEC(18)
#define RECOVERY_BOUND_NS SEC(80)
#define LOSS_BOUND_NS     SEC(12) /* per cent, in addition */
#define EXPIRY            INT64_C(1900000000)

const char *malloc_conf =
    "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0"; /* relays come and go in thousands */

enum mail_kind {
    MAIL_CANDIDATE,
    MAIL_INVALIDATION,
    MAIL_REQUEST,    /* client to portal: it wants the gateway */
    MAIL_CREATE,     /* portal to gateway */
    MAIL_AUTHORIZED, /* portal to client */
    MAIL_RELAYS      /* portal to an end: its list */
};

struct mail {
    time_ns at;
    enum mail_kind kind;
    unsigned to;
    unsigned keys[2]; /* of the ends when it was posted: it is void when they have changed */
    char line[CANDIDATE_LINE_MAX];
};

static struct world world;

struct end {
    struct node node;
    struct node_connection connection;
    struct side side;
    bool connected; /* the connection is the node's */
    bool failed;    /* WireGuard's word */
    unsigned key;   /* changes when it restarts, or its network does */
    struct node_path path;
};

static struct sim {
    struct end ends[2];
    struct mail mails[MAIL_MAX];
    unsigned mail_count;
    time_ns last_mail_at[2];
    bool begun, verbose;
    bool wants, gateway_wants; /* packets of the client, of the gateway's own */
    unsigned place;
    uint32_t numbers;
    time_ns asked_at; /* 0: no authorisation is under way */
    time_ns authorised_at;
    time_ns probe_at, probe_every;
    time_ns toggle_at[4]; /* when direct ways are blocked, or free again */
    uint64_t probes, answered;
    unsigned long failures;
} sim;

static void say(const char *what, unsigned number)
{
    if (sim.verbose)
        printf("%9.3f %s %u\n", (double)(world.now - SEC(1000)) / 1e9, what, number);
}

static void say_of(unsigned end, const char *what, unsigned number)
{
    if (sim.verbose)
        printf("%9.3f %s %s %u\n", (double)(world.now - SEC(1000)) / 1e9,
               end == CLIENT ? "client:" : "gateway:", what, number);
}

/* ---- the portal ---- */

static void post(enum mail_kind kind, unsigned to, const char *line)
{
    struct mail *m = &sim.mails[sim.mail_count++];

    ASSERT(sim.mail_count < MAIL_MAX);
    m->at = world.now + MS(20) + world_random(&world) % MS(80);
    m->at = sim.last_mail_at[to] = time_max(m->at, sim.last_mail_at[to]); /* in order */
    m->kind = kind;
    m->to = to;
    m->keys[CLIENT] = sim.ends[CLIENT].key;
    m->keys[GATEWAY] = sim.ends[GATEWAY].key;
    snprintf(m->line, sizeof m->line, "%s", line);
}

static void give_relays(unsigned end)
{
    struct node_relay_config list[WORLD_RELAYS];
    char names[WORLD_RELAYS][32], passwords[WORLD_RELAYS][DERIVE_RELAY_PASSWORD_LEN + 1];

    memset(list, 0, sizeof list);
    for (unsigned i = 0; i < WORLD_RELAYS; i++) {
        snprintf(names[i], sizeof names[i], "%lld:end%ukey%u", (long long)EXPIRY, end,
                 sim.ends[end].key);
        derive_relay_password(passwords[i], EXPIRY, WORLD_SECRET, strchr(names[i], ':') + 1);
        list[i] = (struct node_relay_config){.v4 = world.relays[i].v4,
                                             .v6 = world.relays[i].v6,
                                             .username = names[i],
                                             .password = passwords[i]};
        list[i].id.bytes[0] = (uint8_t)(i + 1);
    }
    ASSERT(node_update_relays(&sim.ends[end].node, world.now, NULL, 0, list, WORLD_RELAYS) == 0);
}

/* A function of the keys of both, as the portal's are. */
static struct node_peer authorisation(unsigned end)
{
    static char ufrags[2][16], passwords[2][32];
    unsigned keys[2] = {sim.ends[CLIENT].key, sim.ends[GATEWAY].key};
    struct node_peer p = {.role = end == CLIENT ? ICE_CONTROLLING : ICE_CONTROLLED,
                          .kind = end == CLIENT ? ICE_CLIENT : ICE_GATEWAY};

    for (unsigned i = 0; i < 2; i++) {
        snprintf(ufrags[i], sizeof ufrags[i], "%c%02u%02u", i == CLIENT ? 'c' : 'g', keys[0],
                 keys[1]);
        snprintf(passwords[i], sizeof passwords[i], "password-%u-%u-%u", i, keys[0], keys[1]);
    }
    p.id.bytes[0] = (uint8_t)(end + 1);
    p.ufrag = ufrags[end], p.password = passwords[end];
    p.remote_ufrag = ufrags[!end], p.remote_password = passwords[!end];
    memcpy(p.public_key, sim.ends[!end].side.identity.public_key, sizeof p.public_key);
    p.preshared_key[0] = (uint8_t)(keys[0] + keys[1]);
    return p;
}

static bool connect_end(unsigned end)
{
    struct end *e = &sim.ends[end];
    struct node_peer p = authorisation(end);

    enum node_connect result = node_connect(&e->node, world.now, &p, &e->connection);
    say_of(end, "connects:", result);
    switch (result) {
    case NODE_CREATED:
    case NODE_REPLACED:
        side_begin(&e->side, world.now, end == CLIENT, p.public_key, p.preshared_key[0]);
        e->path = (struct node_path){.kind = NODE_PATH_NONE};
        e->connected = true;
        e->failed = false;
        break;
    case NODE_REUSED:
        ASSERT(e->connected);
        side_again(&e->side, world.now);
        break;
    case NODE_NO_RELAYS:
        post(MAIL_RELAYS, end, "");
        return false;
    case NODE_INVALID:
        ASSERT(!"the credentials are good");
    }
    return true;
}

static void deliver(const struct mail *m)
{
    struct end *e = &sim.ends[m->to];
    bool is_void = m->keys[CLIENT] != sim.ends[CLIENT].key ||
                   m->keys[GATEWAY] != sim.ends[GATEWAY].key || world.ends[m->to].asleep;

    if (is_void && m->kind != MAIL_RELAYS)
        return;
    switch (m->kind) {
    case MAIL_CANDIDATE:
        if (e->connected)
            (void)node_add_candidate(&e->node, world.now, &e->connection, m->line);
        break;
    case MAIL_INVALIDATION:
        if (e->connected)
            (void)node_invalidate_candidate(&e->node, world.now, &e->connection, m->line);
        break;
    case MAIL_REQUEST:
        post(MAIL_CREATE, GATEWAY, "");
        break;
    case MAIL_CREATE:
        if (connect_end(GATEWAY))
            post(MAIL_AUTHORIZED, CLIENT, "");
        break;
    case MAIL_AUTHORIZED:
        sim.asked_at = 0;
        if (connect_end(CLIENT) && sim.authorised_at == 0)
            sim.authorised_at = world.now;
        break;
    case MAIL_RELAYS:
        give_relays(m->to);
        break;
    }
}

/* ---- the tunnel ---- */

static struct end *end_of_side(struct side *s)
{
    return &sim.ends[s->id];
}

static void on_send(struct side *s, const struct sock_addr *from, const struct sock_addr *to,
                    const uint8_t *bytes, size_t len)
{
    struct end *e = end_of_side(s);

    ASSERT(e->connected && e->path.kind != NODE_PATH_NONE);
    ASSERT(sock_addr_equal(to, &e->path.to) && sock_addr_equal(from, &e->path.from) &&
           channel_parse(bytes, len) == e->path.channel);
    ASSERT(!world.ends[s->id].asleep);
    end_sends(&world, s->id, from, to, bytes, len);
}

static void on_token(struct side *s, uint64_t token)
{
    if (s->id == GATEWAY)
        side_data(s, world.now, token);
    else
        sim.answered = token > sim.answered ? token : sim.answered;
}

static void on_traffic(struct side *s, bool sent, bool packet)
{
    struct end *e = end_of_side(s);
    struct node_traffic traffic = {.sent = sent, .received = !sent, .packets = packet};

    node_note_traffic(&e->node, world.now, &e->connection, traffic);
}

static void on_news(struct side *s, enum p2p_peer_news news)
{
    say_of(s->id, news == P2P_PEER_UP ? "is up" : "has failed", s->failures);
    if (news == P2P_PEER_FAILED)
        end_of_side(s)->failed = true;
}

static const struct side_calls calls = {on_send, on_token, on_traffic, on_news};

/* ---- the ends ---- */

static void connection_ends(unsigned end)
{
    struct end *e = &sim.ends[end];

    e->connected = e->failed = false;
    e->path = (struct node_path){.kind = NODE_PATH_NONE};
    side_wipe(&e->side);
    memset(&e->connection, 0xa5, sizeof e->connection);
    if (end == CLIENT)
        sim.asked_at = 0;
}

static void take_event(unsigned end, const struct node_event *event)
{
    struct end *e = &sim.ends[end];

    switch (event->kind) {
    case NODE_EVENT_CANDIDATE_ADDED:
        post(MAIL_CANDIDATE, !end, event->line);
        break;
    case NODE_EVENT_CANDIDATE_INVALIDATED:
        post(MAIL_INVALIDATION, !end, event->line);
        break;
    case NODE_EVENT_PATH:
        say_of(end, node_path_text(event->path.kind), event->path.channel);
        e->path = event->path;
        side_path(&e->side, world.now, &event->path);
        break;
    case NODE_EVENT_PATH_LOST:
        say_of(end, "path lost", 0);
        break;
    case NODE_EVENT_FAILED:
    case NODE_EVENT_CLOSED:
        say_of(end, "connection ends:", event->kind);
        ASSERT(e->connected && event->connection == &e->connection);
        connection_ends(end);
        break;
    case NODE_EVENT_NO_RELAYS:
        post(MAIL_RELAYS, end, "");
        break;
    case NODE_EVENT_UP:
    case NODE_EVENT_RELAY_LOST:
        break;
    }
}

static void transmit(unsigned end)
{
    struct node_transmit t;
    unsigned rounds = 0;

    while (node_poll_transmit(&sim.ends[end].node, &t)) {
        ASSERT(++rounds < 2000);
        end_sends(&world, end, &t.from, &t.to, t.bytes, t.len);
    }
}

static void drain(unsigned end)
{
    struct end *e = &sim.ends[end];
    struct node_event event;
    unsigned rounds = 0;

    if (e->failed) {
        e->failed = false;
        sim.failures++;
        node_close(&e->node, world.now, &e->connection);
    }
    transmit(end);
    while (node_poll_event(&e->node, &event)) {
        ASSERT(++rounds < 2000);
        take_event(end, &event);
    }
    transmit(end);
}

static void receive(unsigned end, const struct world_packet *p, const struct sock_addr *local)
{
    struct end *e = &sim.ends[end];
    struct node_received at;

    if (node_handle_input(&e->node, world.now, local, &p->from, p->bytes, p->len, &at) ==
            NODE_WIREGUARD &&
        e->connected)
        (void)side_receive(&e->side, world.now, &at.from, p->bytes + at.offset, at.len);
}

static void probe(void)
{
    struct end *client = &sim.ends[CLIENT], *gateway = &sim.ends[GATEWAY];

    sim.probe_at = world.now + sim.probe_every;
    if (!client->connected && (sim.asked_at == 0 || world.now >= sim.asked_at + SEC(2)) &&
        node_has_relay(&client->node)) {
        say("client asks", 0);
        sim.asked_at = world.now;
        post(MAIL_REQUEST, CLIENT, "");
    }
    sim.probes++;
    if (sim.gateway_wants && gateway->connected && !world.ends[GATEWAY].asleep) {
        side_want(&gateway->side, world.now);
        side_settle(&gateway->side, world.now);
    }
    if (client->connected)
        side_data(&client->side, world.now, sim.probes);
}

/* ---- time ---- */

static time_ns next_time(void)
{
    bool probes = sim.wants && !world.ends[CLIENT].asleep;
    time_ns due = time_min(world_due(&world), probes ? sim.probe_at : TIME_NEVER);

    for (unsigned i = 0; i < 2; i++) {
        struct end *e = &sim.ends[i];
        if (world.ends[i].asleep)
            continue;
        due = time_min(due, node_poll_timeout(&e->node));
        if (e->connected)
            due = time_min(due, wg_peer_poll_timeout(&e->side.wg));
    }
    for (unsigned i = 0; i < sim.mail_count; i++)
        due = time_min(due, sim.mails[i].at);
    for (unsigned i = 0; i < ARRAY_LEN(sim.toggle_at); i++)
        due = time_min(due, sim.toggle_at[i]);
    return due;
}

static void deliver_mails(void)
{
    for (unsigned i = 0; i < sim.mail_count;) {
        struct mail m = sim.mails[i];
        if (m.at > world.now) {
            i++;
            continue;
        }
        memmove(&sim.mails[i], &sim.mails[i + 1], (--sim.mail_count - i) * sizeof m);
        deliver(&m);
    }
}

static void toggle(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(sim.toggle_at); i++) {
        if (sim.toggle_at[i] > world.now)
            continue;
        sim.toggle_at[i] = TIME_NEVER;
        world.blocked = !world.blocked;
        say("direct ways are blocked:", world.blocked);
    }
}

static void step(time_ns until)
{
    struct world_packet p;
    struct sock_addr local;
    unsigned end;

    world.now = time_max(world.now, time_min(next_time(), until));
    toggle();
    while (world_receive(&world, &p, &end, &local)) {
        receive(end, &p, &local);
        drain(end);
    }
    deliver_mails();
    if (sim.wants && world.now >= sim.probe_at && !world.ends[CLIENT].asleep)
        probe();
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = &sim.ends[i];
        if (world.ends[i].asleep)
            continue;
        if (world.now >= node_poll_timeout(&e->node))
            node_handle_timeout(&e->node, world.now);
        side_timeout(&e->side, world.now);
        drain(i);
    }
}

static void run_for(time_ns span)
{
    time_ns until = world.now + span;

    while (world.now < until)
        step(until);
}

static void give_up(time_ns bound, uint64_t seed)
{
    fprintf(stderr, "seed %llu: no packet is answered after %.0f s\n", (unsigned long long)seed,
            (double)bound / 1e9);
    for (unsigned i = 0; i < 2; i++) {
        const struct end *e = &sim.ends[i];
        fprintf(stderr, "%s: %s, path %s, handshake %s, %s\n", i == CLIENT ? "client" : "gateway",
                e->connected ? "connected" : "not connected", node_path_text(e->path.kind),
                e->connected ? wg_peer_state_text(e->side.wg.state) : "-",
                e->connected && e->side.ups > 0 ? "up" : "not up");
    }
    exit(1);
}

/* Until a packet that the client gets from now on is answered. */
static void run_until_answered(time_ns bound, uint64_t seed)
{
    time_ns begun = world.now;
    uint64_t before = sim.probes;

    bound += world.loss * LOSS_BOUND_NS;
    sim.wants = true;
    sim.probe_every = MS(50);
    sim.probe_at = world.now;
    while (sim.answered <= before) {
        step(begun + bound);
        if (world.now >= begun + bound)
            give_up(bound, seed);
    }
    sim.probe_every = SEC(1);
    for (unsigned i = 0; i < 2; i++) /* the ends may see the end of it at different times */
        ASSERT(!sim.ends[i].connected || sim.ends[i].side.ups == 1 || !sim.ends[!i].connected ||
               sim.ends[!i].side.ups == 1);
}

/* ---- scenarios ---- */

struct setting {
    enum nat nats[2];
    bool v4[2], v6[2];
    unsigned loss;
};

static void identity(unsigned end, uint64_t seed)
{
    struct end *e = &sim.ends[end];
    uint8_t key[WG_KEY_LEN] = {(uint8_t)(end + 1), (uint8_t)e->key};

    store_le64(key + 8, seed);
    noise_identity_init(&e->side.identity, key);
}

static void end_begins(unsigned end, uint64_t seed)
{
    struct end *e = &sim.ends[end];
    uint8_t bytes[NODE_SEED_LEN] = {(uint8_t)end, (uint8_t)e->key};

    store_be64(bytes + 2, seed);
    e->side.id = end;
    e->side.calls = &calls;
    e->side.numbers = &sim.numbers;
    identity(end, seed);
    node_init(&e->node, bytes, world.now);
}

static void begin(uint64_t seed, const struct setting *s)
{
    bool verbose = sim.verbose;
    unsigned long failures = sim.failures;

    world_init(&world, seed);
    for (unsigned i = 0; i < 2 && sim.begun; i++)
        node_fini(&sim.ends[i].node);
    memset(&sim, 0, sizeof sim);
    sim.begun = true;
    sim.verbose = verbose;
    sim.failures = failures;
    for (unsigned i = 0; i < ARRAY_LEN(sim.toggle_at); i++)
        sim.toggle_at[i] = TIME_NEVER;
    world.delay_ns = MS(5 + world_below(&world, 30));
    world.jitter_ns = MS(world_below(&world, 20));
    world.loss = s->loss;
    for (unsigned i = 0; i < 2; i++) {
        world.ends[i].nat = s->nats[i];
        end_moves(&world.ends[i], i, 0, s->v4[i], s->v6[i]);
        end_begins(i, seed);
        give_relays(i);
        drain(i);
    }
    run_for(SEC(2)); /* of having started, before somebody wants something */
}

/* ---- faults ---- */

enum fault {
    FAULT_NONE,
    FAULT_RELAY_FORGETS,
    FAULT_ROAM,
    FAULT_NAT_REBOOTS,
    FAULT_CLIENT_SLEEPS,
    FAULT_GATEWAY_SLEEPS,
    FAULT_CLIENT_RESTARTS,
    FAULT_GATEWAY_RESTARTS,
    FAULT_BLOCKED,
    FAULT_TOGGLED, /* blocked and free again in short succession */
    FAULT_BOTH,    /* begin a handshake at the same time */
    FAULT_QUIET,
    FAULT_COUNT
};

static const char *const FAULTS[] = {"none",
                                     "relay forgets",
                                     "roam",
                                     "NAT reboots",
                                     "client sleeps",
                                     "gateway sleeps",
                                     "client restarts",
                                     "gateway restarts",
                                     "blocked",
                                     "blocked and free",
                                     "both begin",
                                     "quiet"};

static void roam(const struct setting *s, uint64_t seed)
{
    struct end *client = &sim.ends[CLIENT];

    end_moves(&world.ends[CLIENT], CLIENT, ++sim.place, s->v4[CLIENT], s->v6[CLIENT]);
    node_reset(&client->node, world.now);
    sim.asked_at = 0;
    drain(CLIENT);
    ASSERT(!client->connected);
    client->key++;
    identity(CLIENT, seed);
    post(MAIL_RELAYS, CLIENT, "");
}

/* The process begins anew; the other end does not hear of it. */
static void restart(unsigned end, uint64_t seed)
{
    struct end *e = &sim.ends[end];

    node_fini(&e->node);
    connection_ends(end);
    e->key++;
    world.ends[end].asleep = true; /* what comes meanwhile finds nobody */
    end_begins(end, seed);
    run_for(world_random(&world) % SEC(5));
    world.ends[end].asleep = false;
    post(MAIL_RELAYS, end, "");
}

static void sleep_of(unsigned end)
{
    world.ends[end].asleep = true;
    run_for(world_random(&world) % SEC(world_below(&world, 4) ? 100 : 3000));
    world.ends[end].asleep = false;
}

static void toggle_soon(time_ns within)
{
    for (unsigned i = 0; i < ARRAY_LEN(sim.toggle_at); i++)
        sim.toggle_at[i] = world.now + world_random(&world) % within;
}

static void both_begin(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = &sim.ends[i];
        if (!e->connected)
            continue;
        p2p_peer_want(&e->side.p2p, &e->side.wg, world.now, side_fresh(&e->side, world.now));
        side_settle(&e->side, world.now);
    }
}

static void happens(enum fault fault, const struct setting *s, uint64_t seed)
{
    switch (fault) {
    case FAULT_RELAY_FORGETS:
        (void)relay_drop(world.relays[world_below(&world, WORLD_RELAYS)].brain, 0);
        break;
    case FAULT_ROAM:
        roam(s, seed);
        break;
    case FAULT_NAT_REBOOTS:
        nat_reboot(&world.ends[world_below(&world, 2)]);
        break;
    case FAULT_CLIENT_SLEEPS:
    case FAULT_GATEWAY_SLEEPS:
        sleep_of(fault == FAULT_CLIENT_SLEEPS ? CLIENT : GATEWAY);
        break;
    case FAULT_CLIENT_RESTARTS:
    case FAULT_GATEWAY_RESTARTS:
        restart(fault == FAULT_CLIENT_RESTARTS ? CLIENT : GATEWAY, seed);
        break;
    case FAULT_BLOCKED:
        world.blocked = !world.blocked;
        break;
    case FAULT_TOGGLED:
        toggle_soon(SEC(30));
        run_for(SEC(30));
        break;
    case FAULT_BOTH:
        both_begin();
        break;
    case FAULT_QUIET:
        sim.wants = false;
        run_for(world_random(&world) % SEC(world_below(&world, 2) ? 300 : 1500));
        break;
    case FAULT_NONE:
    case FAULT_COUNT:
        break;
    }
}

static struct setting random_setting(uint64_t seed)
{
    static const uint8_t families[][2] = {{1, 1}, {1, 0}, {0, 1}, {1, 1}};
    static struct world w;
    struct setting s = {.loss = 0};

    w.random = seed * 77;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *family = families[world_below(&w, ARRAY_LEN(families))];
        s.nats[i] = (enum nat)world_below(&w, NAT_COUNT);
        s.v4[i] = family[0], s.v6[i] = family[1];
    }
    s.loss = world_below(&w, 2) ? world_below(&w, 31) : 0;
    return s;
}

static time_ns worst[FAULT_COUNT][2]; /* without loss, with */
static unsigned long counts[FAULT_COUNT];

static void took(enum fault fault, time_ns since)
{
    time_ns *w = &worst[fault][world.loss > 0];

    *w = time_max(*w, world.now - since);
    counts[fault]++;
}

static void scenario(uint64_t seed)
{
    struct setting s = random_setting(seed);
    time_ns since;

    begin(seed, &s);
    say("loss", s.loss);
    sim.gateway_wants = world_below(&world, 2);
    if (world_below(&world, 2))
        toggle_soon(SEC(3)); /* while they find each other, and shake hands */
    since = world.now;
    run_until_answered(world.now < sim.toggle_at[0] && sim.toggle_at[0] != TIME_NEVER
                           ? RECOVERY_BOUND_NS
                           : SETUP_BOUND_NS,
                       seed);
    took(FAULT_NONE, since);
    for (unsigned i = 0; i < FAULTS_PER_SCENARIO; i++) {
        enum fault fault = (enum fault)(1 + world_below(&world, FAULT_COUNT - 1));
        run_for(world_random(&world) % SEC(40));
        sim.gateway_wants = world_below(&world, 2);
        if (sim.verbose)
            printf("---- %s\n", FAULTS[fault]);
        happens(fault, &s, seed);
        since = world.now;
        run_until_answered(RECOVERY_BOUND_NS, seed);
        took(fault, since);
    }
}

/* ---- set-up times ---- */

static int by_time(const void *a, const void *b)
{
    time_ns x = *(const time_ns *)a, y = *(const time_ns *)b;
    return x < y ? -1 : x > y;
}

static void table_row(enum nat client, enum nat gateway)
{
    static const char *const nats[] = {"none", "full cone", "address", "port", "symmetric"};
    static const unsigned losses[] = {0, 10};

    printf("%-10s %-10s", nats[client], nats[gateway]);
    for (unsigned l = 0; l < ARRAY_LEN(losses); l++) {
        time_ns times[TABLE_RUNS];
        for (unsigned i = 0; i < TABLE_RUNS; i++) {
            struct setting s = {.nats = {client, gateway}, .v4 = {true, true}, .loss = losses[l]};
            uint64_t seed = 1000000 + 100 * (client * NAT_COUNT + gateway) + i;
            begin(seed, &s);
            run_until_answered(SETUP_BOUND_NS, seed);
            times[i] = world.now - sim.authorised_at;
        }
        qsort(times, TABLE_RUNS, sizeof times[0], by_time);
        printf("  | %6.0f %6.0f", (double)times[TABLE_RUNS / 2] / 1e6,
               (double)times[TABLE_RUNS * 99 / 100] / 1e6);
    }
    printf("\n");
}

static void table(void)
{
    printf("From the authorisation to a session in ms, p50 and p99; without loss, with 10 %%\n");
    printf("client     gateway\n");
    for (unsigned i = 0; i < NAT_COUNT; i++) {
        for (unsigned j = 0; j < NAT_COUNT; j++)
            table_row((enum nat)i, (enum nat)j);
    }
}

int main(int argc, char **argv)
{
    unsigned seconds = sim_seconds(SECONDS);
    uint64_t seed = 1;

    if (argc > 1) {
        sim.verbose = true;
        scenario(strtoull(argv[1], NULL, 0));
        return 0;
    }
    table();
    for (clock_t begun = clock(); (clock() - begun) / CLOCKS_PER_SEC < (clock_t)seconds;)
        scenario(seed++);
    printf(
        "\n%llu scenarios, in which WireGuard gave up %lu times; the longest time until a packet "
        "is answered, s\n",
        (unsigned long long)seed - 1, sim.failures);
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        printf("%-16s %6lu  %6.1f %6.1f\n", FAULTS[i], counts[i], (double)worst[i][0] / 1e9,
               (double)worst[i][1] / 1e9);
    return 0;
}
