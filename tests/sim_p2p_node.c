/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes, a client's and a gateway's, in a simulated network with relays and a portal, whose news are late. Whatever happens
 * to the network: as long as both reach a relay, datagrams get through soon, and again after each fault.
 *
 * Prints how long it takes from the first packet to the first answer, by the NATs of both ends. Then random scenarios run for a few
 * seconds, $SIM_SECONDS if that is less. `sim_p2p_node SEED` runs one scenario only and says what happens; with a COUNT, that many
 * from there on.
 */
#include <stdlib.h>
#include <time.h>

#include "tests/node_world.h"
#include "tests/support/sim_seconds.h"
#include "tools/fzportal/derive.h"

#define MS(n)  ((time_ns)(n)*NS_PER_MS)
#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    CLIENT,
    GATEWAY,
    MAIL_MAX = 512,
    PROBE_LEN = 32,
    TABLE_RUNS = 50,
    FAULTS_PER_SCENARIO = 12,
#ifdef FZ_DEBUG
    SCENARIOS_MIN = 100,
#else
    SCENARIOS_MIN = 1000,
#endif
    SECONDS = 8 /* of processor time */
};

/*
 * Bounds: of the set-up; after a fault. Each hop loses datagrams, and four lost ones in a row
 * make a relay fail, so that per cent of loss cost.
 */
#define SETUP_BOUND_NS    SEC(12)
#define RECOVERY_BOUND_NS SEC(100)
/* The other end hears of it by the portal; what it knows by itself only, such as a peer reflexive address, it has to doubt first. */
#define VANISHED_GATEWAY_BOUND_NS SEC(7)
#define VANISHED_BOUND_NS                                                                          \
    SEC(3) /* without loss, after an address of the client has vanished: it sends all the time */
#define LOSS_BOUND_NS SEC(10) /* per cent, in addition */

enum mail_kind {
    MAIL_CANDIDATE,
    MAIL_INVALIDATION,
    MAIL_REQUEST,    /* client to portal: it wants the gateway */
    MAIL_CREATE,     /* portal to gateway */
    MAIL_AUTHORIZED, /* portal to client */
    MAIL_RELAYS,     /* portal to an end: its list */
    MAIL_PRESENCE    /* portal to an end: the relay `number` is gone, the others are there */
};

struct mail {
    time_ns at;
    enum mail_kind kind;
    unsigned to, number;
    char line[CANDIDATE_LINE_MAX];
};

#define EXPIRY INT64_C(1900000000) /* of the credentials for relays */

static struct world world;

struct end {
    struct node_connection connection;
    bool connected; /* the connection is the node's */
    unsigned key;   /* changes when the client's network does */
    unsigned user;  /* generation of the credentials for relays */
    struct node_path path;
    struct node node; /* the last */
};

static struct sim {
    struct mail mails[MAIL_MAX];
    unsigned mail_count;
    time_ns last_mail_at[2];
    bool listed[WORLD_RELAYS];
    bool begun, verbose;
    unsigned refused_by;
    time_ns refused_at; /* since the last fault an address was refused, first at; 0: none was */
    bool wants;         /* the client has packets */
    unsigned place;
    time_ns asked_at; /* 0: no authorisation is under way */
    time_ns probe_at, probe_every;
    uint64_t probes, answered; /* numbers of the last sent, of the last answered */
    struct end ends[2];        /* the last */
} sim;

static void say(const char *what, unsigned number)
{
    if (sim.verbose)
        printf("%9.3f %s %u\n", (double)(world.now - SEC(1000)) / 1e9, what, number);
}

/* ---- the portal ---- */

static void post(enum mail_kind kind, unsigned to, unsigned number, const char *line)
{
    struct mail *m = &sim.mails[sim.mail_count++];

    ASSERT(sim.mail_count < MAIL_MAX);
    m->at = world.now + MS(20) + world_random(&world) % MS(80);
    m->at = sim.last_mail_at[to] = time_max(m->at, sim.last_mail_at[to]); /* in order */
    m->kind = kind;
    m->to = to;
    m->number = number;
    snprintf(m->line, sizeof m->line, "%s", line);
}

struct credentials {
    char name[32], password[DERIVE_RELAY_PASSWORD_LEN + 1];
};

/* What is in the list of an end. */
static unsigned relay_list(unsigned end, struct node_relay_config out[WORLD_RELAYS],
                           struct credentials names[WORLD_RELAYS])
{
    unsigned count = 0;

    for (unsigned i = 0; i < WORLD_RELAYS; i++) {
        if (!sim.listed[i])
            continue;
        snprintf(names[count].name, sizeof names[count].name, "%lld:end%ukey%u", (long long)EXPIRY,
                 end, sim.ends[end].user);
        derive_relay_password(names[count].password, EXPIRY, WORLD_SECRET,
                              strchr(names[count].name, ':') + 1);
        out[count] = (struct node_relay_config){.v4 = world.relays[i].v4,
                                                .v6 = world.relays[i].v6,
                                                .username = names[count].name,
                                                .password = names[count].password};
        out[count++].id.bytes[0] = (uint8_t)(i + 1);
    }
    return count;
}

static void give_relays(unsigned end, bool presence, unsigned gone)
{
    struct node_relay_config list[WORLD_RELAYS];
    struct credentials names[WORLD_RELAYS];
    struct uuid id = {{(uint8_t)(gone + 1)}};
    unsigned count = relay_list(end, list, names);

    ASSERT(node_update_relays(&sim.ends[end].node, world.now, &id, presence, list, count) == 0);
}

static struct node_peer authorisation(unsigned end)
{
    static char ufrags[2][16], passwords[2][16];
    unsigned key = sim.ends[CLIENT].key;
    struct node_peer p = {.role = end == CLIENT ? ICE_CONTROLLING : ICE_CONTROLLED,
                          .kind = end == CLIENT ? ICE_CLIENT : ICE_GATEWAY};

    for (unsigned i = 0; i < 2; i++) {
        snprintf(ufrags[i], sizeof ufrags[i], "%c%03u", i == CLIENT ? 'c' : 'g', key);
        snprintf(passwords[i], sizeof passwords[i], "password-%u-%u", i, key);
    }
    p.id.bytes[0] = (uint8_t)(end + 1);
    p.ufrag = ufrags[end], p.password = passwords[end];
    p.remote_ufrag = ufrags[!end], p.remote_password = passwords[!end];
    p.public_key[0] = (uint8_t)(end == CLIENT ? 0 : key);
    return p;
}

static bool connect_end(unsigned end)
{
    struct end *e = &sim.ends[end];
    struct node_peer p = authorisation(end);
    enum node_connect result = node_connect(&e->node, world.now, &p, &e->connection);

    say(end == CLIENT ? "client connects:" : "gateway connects:", result);
    ASSERT(result != NODE_INVALID);
    if (result == NODE_NO_RELAYS) {
        post(MAIL_RELAYS, end, 0, "");
        return false;
    }
    if (result != NODE_REUSED)
        e->path = (struct node_path){.kind = NODE_PATH_NONE};
    e->connected = true;
    return true;
}

static void deliver(const struct mail *m)
{
    struct end *e = &sim.ends[m->to];

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
        post(MAIL_CREATE, GATEWAY, m->number, "");
        break;
    case MAIL_CREATE:
        if (m->number == sim.ends[CLIENT].key && connect_end(GATEWAY))
            post(MAIL_AUTHORIZED, CLIENT, m->number, "");
        break;
    case MAIL_AUTHORIZED:
        if (m->number != e->key)
            break;
        sim.asked_at = 0;
        (void)connect_end(CLIENT);
        break;
    case MAIL_RELAYS:
        give_relays(m->to, false, 0);
        break;
    case MAIL_PRESENCE:
        give_relays(m->to, true, m->number);
        break;
    }
}

/* ---- the ends ---- */

static void take_event(unsigned end, const struct node_event *e)
{
    struct end *self = &sim.ends[end];

    switch (e->kind) {
    case NODE_EVENT_CANDIDATE_ADDED:
        post(MAIL_CANDIDATE, !end, 0, e->line);
        break;
    case NODE_EVENT_CANDIDATE_INVALIDATED:
        post(MAIL_INVALIDATION, !end, 0, e->line);
        break;
    case NODE_EVENT_PATH:
        self->path = e->path;
        say(end == CLIENT ? "client's path:" : "gateway's path:", e->path.kind);
        break;
    case NODE_EVENT_PATH_LOST:
        say("path lost by", end);
        self->path = (struct node_path){.kind = NODE_PATH_NONE};
        break;
    case NODE_EVENT_UP:
        ASSERT(self->path.kind != NODE_PATH_NONE);
        break;
    case NODE_EVENT_FAILED:
    case NODE_EVENT_CLOSED:
        ASSERT(self->connected && e->connection == &self->connection);
        say(end == CLIENT ? "client's connection ends:" : "gateway's connection ends:", e->kind);
        self->connected = false;
        self->path = (struct node_path){.kind = NODE_PATH_NONE};
        memset(&self->connection, 0xa5, sizeof self->connection);
        break;
    case NODE_EVENT_RELAY_LOST:
        say("relay lost:", e->relay.bytes[0]);
        break;
    case NODE_EVENT_NO_RELAYS:
        post(MAIL_RELAYS, end, 0, "");
        break;
    }
}

static void address_lost(unsigned end, const struct ip_addr *ip)
{
    say("address lost by", end);
    if (sim.refused_at == 0) {
        sim.refused_at = world.now;
        sim.refused_by = end;
    }
    node_address_lost(&sim.ends[end].node, world.now, ip);
}

/* As a node's owner does: what the system refuses to send says that an address is gone. */
static void send_from(unsigned end, const struct sock_addr *from, const struct sock_addr *to,
                      const uint8_t *bytes, size_t len)
{
    if (end_sends(&world, end, from, to, bytes, len))
        return;
    address_lost(end, &from->ip);
}

static void drain(unsigned end)
{
    struct node *n = &sim.ends[end].node;
    struct node_transmit t;
    struct node_event e;
    unsigned rounds = 0;

    while (node_poll_transmit(n, &t)) {
        ASSERT(++rounds < 2000);
        send_from(end, &t.from, &t.to, t.bytes, t.len);
    }
    while (node_poll_event(n, &e)) {
        ASSERT(++rounds < 2000);
        take_event(end, &e);
    }
    while (node_poll_transmit(n, &t))
        send_from(end, &t.from, &t.to, t.bytes, t.len);
}

/* A datagram of WireGuard's on the path of an end. */
static void send_data(unsigned end, uint64_t number)
{
    const struct node_traffic traffic = {.sent = true, .packets = true};
    struct end *e = &sim.ends[end];
    uint8_t bytes[CHANNEL_HEADER_LEN + PROBE_LEN] = {0};
    size_t head = e->path.channel ? CHANNEL_HEADER_LEN : 0;

    if (!e->connected)
        return;
    if (e->path.kind != NODE_PATH_NONE) {
        if (head)
            channel_write(bytes, e->path.channel, PROBE_LEN);
        bytes[head] = 4;
        store_be64(bytes + head + 16, number);
        send_from(end, &e->path.from, &e->path.to, bytes, head + PROBE_LEN);
    }
    node_note_traffic(&e->node, world.now, &e->connection, traffic);
}

static void receive(unsigned end, const struct world_packet *p, const struct sock_addr *local)
{
    const struct node_traffic traffic = {.received = true, .packets = true};
    struct end *e = &sim.ends[end];
    struct node_received out;
    uint64_t number;

    if (node_handle_input(&e->node, world.now, local, &p->from, p->bytes, p->len, &out) !=
        NODE_WIREGUARD)
        return;
    ASSERT(out.len == PROBE_LEN);
    number = load_be64(p->bytes + out.offset + 16);
    if (e->connected)
        node_note_traffic(&e->node, world.now, &e->connection, traffic);
    if (end == GATEWAY)
        send_data(GATEWAY, number);
    else if (number > sim.answered)
        sim.answered = number;
}

static void probe(void)
{
    sim.probe_at = world.now + sim.probe_every;
    if (!sim.ends[CLIENT].connected && (sim.asked_at == 0 || world.now >= sim.asked_at + SEC(2)) &&
        node_has_relay(&sim.ends[CLIENT].node)) {
        say("client asks", 0);
        sim.asked_at = world.now;
        post(MAIL_REQUEST, CLIENT, sim.ends[CLIENT].key, "");
    }
    send_data(CLIENT, ++sim.probes);
}

/* ---- time ---- */

static time_ns next_time(void)
{
    bool probes = sim.wants && !world.ends[CLIENT].asleep;
    time_ns due = time_min(world_due(&world), probes ? sim.probe_at : TIME_NEVER);

    for (unsigned i = 0; i < 2; i++) {
        if (!world.ends[i].asleep)
            due = time_min(due, node_poll_timeout(&sim.ends[i].node));
    }
    for (unsigned i = 0; i < sim.mail_count; i++)
        due = time_min(due, sim.mails[i].at);
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

static void step(time_ns until)
{
    struct world_packet p;
    struct sock_addr local;
    unsigned end;

    world.now = time_max(world.now, time_min(next_time(), until));
    while (world_receive(&world, &p, &end, &local)) {
        receive(end, &p, &local);
        drain(end);
    }
    deliver_mails();
    if (sim.wants && world.now >= sim.probe_at && !world.ends[CLIENT].asleep)
        probe();
    for (unsigned i = 0; i < 2; i++) {
        if (!world.ends[i].asleep && world.now >= node_poll_timeout(&sim.ends[i].node))
            node_handle_timeout(&sim.ends[i].node, world.now);
        drain(i);
    }
}

static void run_for(time_ns span)
{
    time_ns until = world.now + span;

    while (world.now < until)
        step(until);
}

/* Until a datagram that is sent from now on is answered; the time it takes. bound: or the program ends. */
static time_ns run_until_answered(time_ns bound, uint64_t seed)
{
    time_ns begun = world.now;
    uint64_t before = sim.probes;

    bound += world.loss * LOSS_BOUND_NS;
    sim.wants = true;
    sim.probe_every = MS(20);
    sim.probe_at = world.now;
    while (sim.answered <= before) {
        step(begun + bound);
        if (world.now >= begun + bound) {
            fprintf(stderr,
                    "seed %llu: no datagram gets through after %.0f s (client %s, gateway %s)\n",
                    (unsigned long long)seed, (double)bound / 1e9,
                    node_path_text(sim.ends[CLIENT].path.kind),
                    node_path_text(sim.ends[GATEWAY].path.kind));
            exit(1);
        }
    }
    sim.probe_every = SEC(1);
    return world.now - begun;
}

/* ---- scenarios ---- */

struct setting {
    enum nat nats[2];
    bool v4[2], v6[2];
    unsigned loss;
};

static void begin(uint64_t seed, const struct setting *s)
{
    bool verbose = sim.verbose;

    world_init(&world, seed);
    for (unsigned i = 0; i < 2 && sim.begun; i++)
        node_fini(&sim.ends[i].node);
    memset(&sim, 0, offsetof(struct sim, ends));
    for (unsigned i = 0; i < 2; i++)
        memset(&sim.ends[i], 0, offsetof(struct end, node));
    sim.begun = true;
    sim.verbose = verbose;
    sim.listed[0] = sim.listed[1] = true;
    world.delay_ns = MS(5 + world_below(&world, 30));
    world.jitter_ns = MS(world_below(&world, 20));
    world.loss = s->loss;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[NODE_SEED_LEN] = {(uint8_t)i};
        store_be64(bytes + 1, seed);
        world.ends[i].nat = s->nats[i];
        end_moves(&world.ends[i], i, 0, s->v4[i], s->v6[i]);
        node_init(&sim.ends[i].node, bytes, world.now);
        give_relays(i, false, 0);
        drain(i);
    }
    run_for(SEC(2)); /* of having started, before somebody wants something */
}

/* ---- faults ---- */

enum fault {
    FAULT_NONE,
    FAULT_RELAY_DIES,
    FAULT_RELAY_ADDED,
    FAULT_RELAY_FORGETS,
    FAULT_CREDENTIALS,
    FAULT_ROAM,
    FAULT_VANISHED,
    FAULT_NAT_REBOOTS,
    FAULT_SLEEP,
    FAULT_BLOCKED,
    FAULT_UNBLOCKED,
    FAULT_QUIET,
    FAULT_COUNT
};

static const char *const FAULTS[] = {"none",        "relay dies", "relay added", "relay forgets",
                                     "credentials", "roam",       "vanished",    "NAT reboots",
                                     "sleep",       "blocked",    "unblocked",   "quiet"};

/* The number-th relay that is listed, or that is not. */
static unsigned pick_relay(bool listed)
{
    unsigned first = world_below(&world, WORLD_RELAYS);

    for (unsigned i = 0; i < WORLD_RELAYS; i++) {
        unsigned j = (first + i) % WORLD_RELAYS;
        if (sim.listed[j] == listed)
            return j;
    }
    return WORLD_RELAYS;
}

static void relay_dies(void)
{
    unsigned gone = pick_relay(true), other = pick_relay(false);

    world.relays[gone].up = false;
    (void)relay_drop(world.relays[gone].brain, 0);
    sim.listed[gone] = false;
    if (other < WORLD_RELAYS) {
        sim.listed[other] = true;
        world.relays[other].up = true;
    }
    run_for(SEC(1) + world_random(&world) % SEC(4));
    for (unsigned i = 0; i < 2; i++)
        post(MAIL_PRESENCE, i, gone, "");
}

static void roam(const struct setting *s)
{
    struct end *client = &sim.ends[CLIENT];

    end_moves(&world.ends[CLIENT], CLIENT, ++sim.place, s->v4[CLIENT], s->v6[CLIENT]);
    node_reset(&client->node, world.now);
    client->key++;
    sim.asked_at = 0;
    drain(CLIENT);
    ASSERT(!client->connected);
    post(MAIL_RELAYS, CLIENT, 0, "");
}

/* The end's addresses become others, or are only said to be gone, and nobody says that the network has changed. */
static void vanish(unsigned end, const struct setting *s)
{
    const struct world_end *e = &world.ends[end];

    if (world_below(&world, 4)) {
        end_moves(&world.ends[end], end, ++sim.place, s->v4[end], s->v6[end]);
        return;
    }
    address_lost(end, s->v4[end] ? &e->host4.ip : &e->host6.ip);
    drain(end);
}

static void happens(enum fault fault, const struct setting *s)
{
    unsigned end = world_below(&world, 2), relay;

    sim.refused_at = 0;
    switch (fault) {
    case FAULT_RELAY_DIES:
        relay_dies();
        break;
    case FAULT_RELAY_ADDED:
        relay = pick_relay(false);
        if (relay < WORLD_RELAYS && pick_relay(true) < WORLD_RELAYS) {
            sim.listed[relay] = world.relays[relay].up = true;
            for (unsigned i = 0; i < 2; i++)
                post(MAIL_RELAYS, i, 0, "");
        }
        break;
    case FAULT_RELAY_FORGETS:
        relay = pick_relay(true);
        (void)relay_drop(world.relays[relay].brain, 0);
        break;
    case FAULT_CREDENTIALS:
        sim.ends[end].user++;
        post(MAIL_RELAYS, end, 0, "");
        break;
    case FAULT_ROAM:
        roam(s);
        break;
    case FAULT_VANISHED:
        vanish(end, s);
        break;
    case FAULT_NAT_REBOOTS:
        nat_reboot(&world.ends[end]);
        break;
    case FAULT_SLEEP:
        world.ends[CLIENT].asleep = true;
        run_for(world_random(&world) % SEC(world_below(&world, 4) ? 100 : 3000));
        world.ends[CLIENT].asleep = false;
        break;
    case FAULT_BLOCKED:
        world.blocked = true;
        break;
    case FAULT_UNBLOCKED:
        world.blocked = false;
        break;
    case FAULT_QUIET:
        sim.wants = false;
        run_for(world_random(&world) % SEC(300));
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

static time_ns worst[FAULT_COUNT];
static unsigned long counts[FAULT_COUNT];

/* An end that only sends through a relay is refused nothing. */
static void assert_prompt(uint64_t seed)
{
    time_ns bound = sim.refused_by == CLIENT ? VANISHED_BOUND_NS : VANISHED_GATEWAY_BOUND_NS;

    if (sim.refused_at == 0 || world.now <= sim.refused_at + bound)
        return;
    fprintf(stderr, "seed %llu: %.1f s from the refusal of an address to the next answer\n",
            (unsigned long long)seed, (double)(world.now - sim.refused_at) / 1e9);
    exit(1);
}

static void scenario(uint64_t seed)
{
    struct setting s = random_setting(seed);
    time_ns took;

    begin(seed, &s);
    say("loss", s.loss);
    took = run_until_answered(SETUP_BOUND_NS, seed);
    worst[FAULT_NONE] = time_max(worst[FAULT_NONE], took);
    counts[FAULT_NONE]++;
    for (unsigned i = 0; i < FAULTS_PER_SCENARIO; i++) {
        enum fault fault = (enum fault)(1 + world_below(&world, FAULT_COUNT - 1));
        run_for(world_random(&world) % SEC(40));
        if (sim.verbose)
            printf("---- %s\n", FAULTS[fault]);
        happens(fault, &s);
        took = run_until_answered(RECOVERY_BOUND_NS, seed);
        if (fault == FAULT_VANISHED && s.loss == 0)
            assert_prompt(seed);
        worst[fault] = time_max(worst[fault], took);
        counts[fault]++;
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
    static const unsigned losses[] = {0, 10, 30};

    printf("%-10s %-10s", nats[client], nats[gateway]);
    for (unsigned l = 0; l < ARRAY_LEN(losses); l++) {
        time_ns times[TABLE_RUNS];
        unsigned direct = 0;
        for (unsigned i = 0; i < TABLE_RUNS; i++) {
            struct setting s = {.nats = {client, gateway}, .v4 = {true, true}, .loss = losses[l]};
            uint64_t seed = 1000000 + 100 * (client * NAT_COUNT + gateway) + i;
            begin(seed, &s);
            times[i] = run_until_answered(SETUP_BOUND_NS, seed);
            run_for(SEC(5));
            direct += sim.ends[CLIENT].path.kind == NODE_PEER_TO_PEER;
        }
        qsort(times, TABLE_RUNS, sizeof times[0], by_time);
        printf("  | %6.0f %6.0f  %3u %%", (double)times[TABLE_RUNS / 2] / 1e6,
               (double)times[TABLE_RUNS * 99 / 100] / 1e6, 100 * direct / TABLE_RUNS);
    }
    printf("\n");
}

static void table(void)
{
    printf(
        "Set-up in ms, p50 and p99, and how often the path is direct after 5 s; without loss, with 10 %%, with 30 %%\n");
    printf("client     gateway\n");
    for (unsigned i = 0; i < NAT_COUNT; i++) {
        for (unsigned j = 0; j < NAT_COUNT; j++)
            table_row((enum nat)i, (enum nat)j);
    }
}

static void results(uint64_t scenarios)
{
    printf("\n%llu scenarios; the longest time until datagrams get through again, s\n",
           (unsigned long long)scenarios);
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        printf("%-14s %6lu  %6.1f\n", FAULTS[i], counts[i], (double)worst[i] / 1e9);
}

int main(int argc, char **argv)
{
    clock_t begun = clock();
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, first = seed;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1;
    unsigned seconds = sim_seconds(SECONDS);
    uint64_t least = seconds == SECONDS ? SCENARIOS_MIN : 0;

    sim.verbose = argc == 2;
    if (argc == 1)
        table();
    while (argc > 1 ? seed < first + count
                    : seed <= least || (clock() - begun) / CLOCKS_PER_SEC < (clock_t)seconds)
        scenario(seed++);
    if (argc != 2)
        results(seed - first);
    return 0;
}
