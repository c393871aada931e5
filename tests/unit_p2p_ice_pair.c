/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ICE agents across a simulated network (p2p_net.h) in random scenarios: kinds of NAT, relays, loss, when candidates become known.
 * If there is a path, both ends select one that works. Then something breaks: again both select a path that works, or,
 * if there is none, fail in the time that is stated. `unit_p2p_ice_pair SEED` runs one scenario, `unit_p2p_ice_pair SEED COUNT`
 * so many from there.
 */
#include "control/p2p/ice.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/base/bytes.h"
#include "tests/p2p_net.h"

#define MS(n)  ((time_ns)(n)*NS_PER_MS)
#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    SIGNALS_MAX = 64,
    SCENARIOS = 2000
};

enum fault {
    FAULT_NONE,
    FAULT_DIRECT,    /* only relays are reached from now on */
    FAULT_RELAY,     /* one is gone, and nobody notices */
    FAULT_MIGRATION, /* one is gone, and is replaced by another */
    FAULT_NAT,       /* reboots; the end learns its new address some time later */
    FAULT_ALL,
    FAULT_COUNT
};

struct message {
    time_ns at;
    unsigned end; /* that receives it */
    bool invalidates;
    char line[CANDIDATE_LINE_MAX];
};

/* A local candidate that an end learns at some time. */
struct gather {
    time_ns at;
    unsigned end;
    struct candidate candidate;
    bool removed;
};

struct sim {
    uint64_t seed;
    time_ns now, started_at[2], failed_at[2];
    struct net net;
    struct ice ice[2];
    bool running[2];
    enum fault fault;
    unsigned fault_end;
    bool conflict, idle;
    struct message signals[SIGNALS_MAX];
    unsigned signal_count;
    struct gather gathers[SIGNALS_MAX];
    unsigned gather_count;
    unsigned datagrams, nominations[2];
};

static const struct ice_credentials CREDENTIALS[2] = {{"clnt", "password-of-the-client"},
                                                      {"gway", "password-of-the-gateway"}};
static const char SERVER[] = "203.0.113.100";

/* ---- the scenario ---- */

static void gather(struct sim *s, unsigned end, time_ns at, enum candidate_kind kind,
                   const struct sock_addr *addr, const struct sock_addr *local)
{
    ASSERT(s->gather_count < SIGNALS_MAX);
    s->gathers[s->gather_count++] =
        (struct gather){.at = at, .end = end, .candidate = candidate_make(kind, addr, local)};
}

static void gather_reflexive(struct sim *s, unsigned end, time_ns at)
{
    struct net_end *e = &s->net.ends[end];
    struct sock_addr server = net_addr(SERVER, 3478), mapped = net_map(e, &server);

    gather(s, end, at, CANDIDATE_SRFLX, &mapped, &e->host4);
}

static void make_end(struct sim *s, unsigned end, bool v6, bool relay)
{
    static const char *const hosts[] = {"10.0.1.2", "10.0.2.2"};
    static const char *const outsides[] = {"198.51.100.1", "198.51.100.2"};
    static const char *const hosts6[] = {"2001:db8:1::2", "2001:db8:2::2"};
    static const char *const relays[] = {"203.0.113.1", "203.0.113.2"};
    struct net_end *e = &s->net.ends[end];
    time_ns at = s->started_at[end] + MS(net_below(&s->net, 300));

    e->nat = (enum net_nat)net_below(&s->net, NET_NAT_COUNT);
    e->outside = net_addr(outsides[end], 1).ip;
    e->port = (uint16_t)(net_below(&s->net, 2) ? 52625 : 1024 + net_below(&s->net, 10000));
    e->next_port = (uint16_t)(20000 + net_below(&s->net, 10000));
    e->host4 = net_addr(e->nat == NET_OPEN ? outsides[end] : hosts[end], 52625);
    gather(s, end, at, CANDIDATE_HOST, &e->host4, &e->host4);
    gather_reflexive(s, end, at + MS(net_below(&s->net, 50)));
    if (v6) {
        e->host6 = net_addr(hosts6[end], 52625);
        gather(s, end, at, CANDIDATE_HOST, &e->host6, &e->host6);
    }
    if (relay) {
        e->relay4 = net_addr(relays[end], (uint16_t)(50000 + net_below(&s->net, 1000)));
        e->relay_up = true;
        gather(s, end, at + MS(net_below(&s->net, 400)), CANDIDATE_RELAY, &e->relay4, &e->host4);
    }
}

static void make_agent(struct sim *s, unsigned end, bool clients)
{
    static const enum ice_kind kinds[] = {ICE_CLIENT, ICE_GATEWAY};
    struct ice_config config = {
        .role = end == 0 || s->conflict ? ICE_CONTROLLING : ICE_CONTROLLED,
        .kind = clients ? ICE_CLIENT_TO_CLIENT : kinds[end],
        .ufrag = CREDENTIALS[end].ufrag,
        .password = CREDENTIALS[end].password,
        .remote_ufrag = CREDENTIALS[1 - end].ufrag,
        .remote_password = CREDENTIALS[1 - end].password,
        .tag = end,
    };
    uint8_t seed[ICE_SEED_LEN];

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)net_random(&s->net);
    ASSERT(ice_init(&s->ice[end], &config, seed, s->started_at[end]) == ERR_OK);
}

static void make_scenario(struct sim *s, uint64_t seed)
{
    static const unsigned losses[] = {0, 0, 5, 15, 30};
    struct net *n = &s->net;
    bool clients, v6;

    memset(s, 0, sizeof *s);
    s->seed = n->seed = seed;
    s->now = SEC(1000);
    s->started_at[0] = s->now + MS(net_below(n, 500));
    s->started_at[1] = s->now;
    n->loss_percent = losses[net_below(n, ARRAY_LEN(losses))];
    n->delay_min_ns = MS(1 + net_below(n, 60));
    n->delay_max_ns = n->delay_min_ns + MS(net_below(n, 100));
    n->direct_up = net_below(n, 8) > 0;
    clients = net_below(n, 3) == 0;
    v6 = net_below(n, 6) == 0;
    s->conflict = clients && net_below(n, 4) == 0;
    s->fault = (enum fault)net_below(n, FAULT_COUNT);
    s->fault_end = net_below(n, 2);
    for (unsigned end = 0; end < 2; end++) {
        make_end(s, end, v6, net_below(n, 3) > 0);
        make_agent(s, end, clients);
    }
    n->same_lan = net_below(n, 8) == 0;
}

static void print_scenario(const struct sim *s)
{
    const struct net_end *e = s->net.ends;

    printf(
        "seed %llu: NATs %d %d, relays %d %d, IPv6 %d, direct %d, LAN %d, loss %u %%, kinds %d %d, "
        "conflict %d, fault %d at %u\n",
        (unsigned long long)s->seed, e[0].nat, e[1].nat, e[0].relay_up, e[1].relay_up,
        e[0].host6.ip.family != ADDR_NONE, s->net.direct_up, s->net.same_lan, s->net.loss_percent,
        s->ice[0].kind, s->ice[1].kind, s->conflict, s->fault, s->fault_end);
}

static void print_path(const struct sim *s, unsigned end, const struct ice_path *path)
{
    char local[SOCK_ADDR_TEXT_MAX], remote[SOCK_ADDR_TEXT_MAX];

    printf("%10.3f end %u: %s %s -> %s %s\n", (double)(s->now - SEC(1000)) / 1e9, end,
           candidate_kind_text(path->local_kind),
           sock_addr_format(&path->local, local, sizeof local),
           candidate_kind_text(path->remote_kind),
           sock_addr_format(&path->remote, remote, sizeof remote));
}

/* ---- running ---- */

static bool verbose;

static void send_signal(struct sim *s, unsigned end, const struct candidate *c, bool invalidates)
{
    struct message *signal = &s->signals[s->signal_count++];

    ASSERT(s->signal_count <= SIGNALS_MAX);
    *signal = (struct message){.at = s->now + MS(20 + net_below(&s->net, 200)),
                               .end = 1 - end,
                               .invalidates = invalidates};
    ASSERT(candidate_format(c, invalidates ? NULL : CREDENTIALS[end].ufrag, signal->line) > 0);
}

static void drain(struct sim *s, unsigned end)
{
    struct ice *a = &s->ice[end];
    struct ice_datagram d;
    struct ice_event e;

    while (ice_poll_transmit(a, &d)) {
        ASSERT(d.relayed == sock_addr_equal(&d.from, &s->net.ends[end].relay4));
        net_send(&s->net, s->now, end, &d.from, &d.to, d.bytes, d.len);
        s->datagrams++;
    }
    while (ice_poll_event(a, &e)) {
        switch (e.kind) {
        case ICE_EVENT_CANDIDATE_ADDED:
        case ICE_EVENT_CANDIDATE_INVALIDATED:
            send_signal(s, end, &e.candidate, e.kind == ICE_EVENT_CANDIDATE_INVALIDATED);
            break;
        case ICE_EVENT_NOMINATED:
            s->nominations[end]++;
            if (verbose)
                print_path(s, end, &e.path);
            break;
        case ICE_EVENT_FAILED:
            s->failed_at[end] = s->now;
            break;
        case ICE_EVENT_STATE:
        case ICE_EVENT_PEER_REFLEXIVE:
            break;
        }
        if (verbose && e.kind == ICE_EVENT_STATE)
            printf("%10.3f end %u: %s\n", (double)(s->now - SEC(1000)) / 1e9, end,
                   ice_state_text(e.state));
    }
}

static void run_signals(struct sim *s)
{
    for (unsigned i = s->signal_count; i-- > 0;) {
        struct message signal = s->signals[i];
        struct candidate_line line;
        if (signal.at > s->now || !s->running[signal.end])
            continue;
        s->signals[i] = s->signals[--s->signal_count];
        ASSERT(candidate_parse(&line, signal.line, strlen(signal.line)) == ERR_OK);
        if (signal.invalidates)
            (void)ice_invalidate_remote(&s->ice[signal.end], s->now, &line);
        else
            (void)ice_add_remote(&s->ice[signal.end], s->now, &line);
    }
}

static void run_gathers(struct sim *s)
{
    for (unsigned i = s->gather_count; i-- > 0;) {
        struct gather g = s->gathers[i];
        if (g.at > s->now || !s->running[g.end])
            continue;
        s->gathers[i] = s->gathers[--s->gather_count];
        if (g.removed)
            (void)ice_remove_local(&s->ice[g.end], s->now, &g.candidate);
        else
            (void)ice_add_local(&s->ice[g.end], s->now, &g.candidate);
    }
}

static void run_packets(struct sim *s)
{
    struct net_packet p;

    while (net_receive(&s->net, s->now, &p)) {
        enum ice_verdict verdict;
        struct stun_message m;
        if (!s->running[p.end])
            continue;
        ASSERT(stun_parse(&m, p.bytes, p.len) == ERR_OK);
        verdict = ice_handle_input(&s->ice[p.end], s->now, &p.local, &p.from, &m);
        ASSERT(verdict != ICE_VERDICT_OTHER_AGENT && verdict != ICE_VERDICT_UNAUTHENTIC &&
               verdict != ICE_VERDICT_NOT_ICE && verdict != ICE_VERDICT_FULL);
        drain(s, p.end);
    }
}

static time_ns next_time(const struct sim *s)
{
    time_ns at = net_poll_timeout(&s->net);

    for (unsigned i = 0; i < s->signal_count; i++)
        at = time_min(at, time_max(s->signals[i].at, s->started_at[s->signals[i].end]));
    for (unsigned i = 0; i < s->gather_count; i++)
        at = time_min(at, time_max(s->gathers[i].at, s->started_at[s->gathers[i].end]));
    for (unsigned end = 0; end < 2; end++)
        at = time_min(at, s->running[end] ? ice_poll_timeout(&s->ice[end]) : s->started_at[end]);
    return at;
}

static void run_until(struct sim *s, time_ns end_at)
{
    for (time_ns at; (at = next_time(s)) <= end_at;) {
        s->now = time_max(s->now, at);
        for (unsigned end = 0; end < 2; end++)
            s->running[end] |= s->now >= s->started_at[end];
        run_gathers(s);
        run_signals(s);
        run_packets(s);
        for (unsigned end = 0; end < 2; end++) {
            if (s->running[end])
                ice_handle_timeout(&s->ice[end], s->now);
            drain(s, end);
            ASSERT(!s->running[end] || ice_poll_timeout(&s->ice[end]) > s->now);
        }
    }
    s->now = end_at;
}

/* ---- what has to be ---- */

static bool path_exists(const struct sim *s)
{
    const struct net *n = &s->net;
    enum net_nat a = n->ends[0].nat, b = n->ends[1].nat;

    if (n->ends[0].relay_up || n->ends[1].relay_up)
        return true;
    if (!n->direct_up)
        return false;
    if (n->same_lan || n->ends[0].host6.ip.family != ADDR_NONE)
        return true;
    if (a == NET_SYMMETRIC)
        return b < NET_PORT_RESTRICTED;
    return b != NET_SYMMETRIC || a < NET_PORT_RESTRICTED;
}

static void fail(const struct sim *s, const char *what)
{
    struct ice_path path;

    print_scenario(s);
    for (unsigned end = 0; end < 2; end++) {
        struct ice a = s->ice[end];
        printf("end %u: %s, %u pairs\n", end, ice_state_text(a.state), a.pairs.count);
        if (ice_selected(&a, &path))
            print_path(s, end, &path);
    }
    printf("%s\n", what);
    exit(1);
}

static bool works(struct sim *s, unsigned end)
{
    struct ice *a = &s->ice[end];
    struct ice_path path;
    struct net_packet p;

    return (a->state == ICE_CONNECTED || a->state == ICE_COMPLETED) && ice_selected(a, &path) &&
           net_route(&s->net, end, &path.local, &path.remote, &p);
}

/* Within `limit` both ends send on paths that work, and do so for a while if nothing is lost. */
static void expect_connected(struct sim *s, time_ns limit, const char *what)
{
    time_ns end_at = s->now + limit;
    unsigned good = 0, needed = s->net.loss_percent > 5 ? 1 : 10;

    while (s->now < end_at && good < needed) {
        run_until(s, s->now + MS(500));
        good = works(s, 0) && works(s, 1) ? good + 1 : 0;
    }
    if (good < needed)
        fail(s, what);
}

/* The times of the tables, what the peer's last request adds, and the wait that was under way. */
static time_ns failure_limit(const struct ice *a)
{
    return a->kind == ICE_GATEWAY ? MS(615500) + MS(15000) + MS(2000) + MS(1000)
                                  : MS(16500) + MS(1500) + MS(2000) + MS(1000);
}

static void expect_failed(struct sim *s)
{
    time_ns since = s->now;

    for (unsigned end = 0; end < 2; end++) {
        run_until(s, since + failure_limit(&s->ice[end]));
        if (s->ice[end].state != ICE_FAILED)
            fail(s, "does not fail");
        ASSERT(s->failed_at[end] > 0);
    }
}

static void migrate(struct sim *s, unsigned end)
{
    struct net_end *e = &s->net.ends[end];

    if (!e->relay_up)
        return;
    gather(s, end, s->now, CANDIDATE_RELAY, &e->relay4, &e->host4);
    s->gathers[s->gather_count - 1].removed = true;
    run_until(s, s->now + MS(1));
    e->relay4.port = (uint16_t)(e->relay4.port + 1);
    gather(s, end, s->now + MS(net_below(&s->net, 1000)), CANDIDATE_RELAY, &e->relay4, &e->host4);
}

static void make_fault(struct sim *s)
{
    struct net_end *e = &s->net.ends[s->fault_end];

    switch (s->fault) {
    case FAULT_NONE:
    case FAULT_COUNT:
        break;
    case FAULT_DIRECT:
        s->net.direct_up = false;
        break;
    case FAULT_RELAY:
        e->relay_up = false;
        break;
    case FAULT_MIGRATION:
        migrate(s, s->fault_end);
        break;
    case FAULT_NAT:
        /* It may be for a gateway to be heard again, which in the time that is left for it has one check. */
        if (s->ice[1].kind == ICE_GATEWAY)
            s->net.loss_percent = 0;
        net_reboot_nat(e);
        gather_reflexive(s, s->fault_end, s->now + MS(1000 + net_below(&s->net, 9000)));
        break;
    case FAULT_ALL:
        s->net.direct_up = false;
        s->net.ends[0].relay_up = s->net.ends[1].relay_up = false;
        break;
    }
}

static void run_scenario(struct sim *s, uint64_t seed)
{
    bool lossy;

    make_scenario(s, seed);
    if (verbose)
        print_scenario(s);
    lossy = s->net.loss_percent > 5;
    if (path_exists(s))
        expect_connected(s, SEC(lossy ? 40 : 10), "do not connect");
    else
        expect_failed(s);
    if (!path_exists(s))
        return;
    run_until(s, s->now + SEC(2 + net_below(&s->net, 60))); /* by then all is gathered */
    make_fault(s);
    if (verbose)
        printf("%10.3f fault\n", (double)(s->now - SEC(1000)) / 1e9);
    if (path_exists(s))
        expect_connected(s, SEC(lossy ? 60 : 30), "do not find another path");
    else
        expect_failed(s);
}

static struct sim sim;

/* Of an assertion that failed. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    print_scenario(&sim);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SCENARIOS;

    verbose = argc == 2;
    (void)signal(SIGABRT, on_abort);
    for (uint64_t i = 0; i < count; i++)
        run_scenario(&sim, seed + i);
    return 0;
}
