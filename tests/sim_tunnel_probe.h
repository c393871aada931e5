/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sent through the simulated tunnels: packets of the hosts of clients, as their rules let them through, and packets that no
 * honest client sends, past them. Whoever a packet reaches sends it back. All that comes out of a TUN is judged as it does.
 * Included once per program.
 */
#ifndef FZ_TESTS_SIM_TUNNEL_PROBE_H
#define FZ_TESTS_SIM_TUNNEL_PROBE_H

#include "tests/sim_tunnel_model.h"
#include "tests/support/inner_packet.h"

enum {
    PROBES = 1 << 16, /* that are remembered: longer than one waits anywhere */
    PAYLOAD = 8,
    MARK = 0x5a17,   /* before a probe's number */
    PORTS_AGAIN = 2, /* those below are used more than once: flows go on as they began */
    TRIES = 8,
    TRIES_VAIN = 2
};

static struct {
    struct probe probes[PROBES];
    unsigned probes_n;    /* so far */
    struct probe *latest; /* others have waited, since before something has changed perhaps */
    uint16_t from_port;
    unsigned long sent, musts, hostile, refused;
} sim;

/* ---- packets ---- */

static size_t l4_at(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? 20 : 40;
}

static unsigned proto_of(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? packet[9] : packet[6];
}

static struct ip_addr addr_at(const uint8_t *packet, bool source)
{
    if (packet[0] >> 4 == 4)
        return ip_addr_v4(packet + (source ? 12 : 16));
    return ip_addr_v6(packet + (source ? 8 : 24));
}

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void checksum_set(uint8_t *packet, size_t len)
{
    size_t at = l4_at(packet);
    unsigned proto = proto_of(packet);
    uint8_t *field = packet + at + (proto == 6 ? 16 : proto == 17 ? 6 : 2);

    inner_be16(field, 0);
    uint16_t sum = (uint16_t) ~(proto == 1 ? inner_sum(packet + at, len - at, 0)
                                           : inner_l4_sum(packet, len, at, proto));
    inner_be16(field, proto == 17 && sum == 0 ? 0xffff : sum); /* 0: there is none */
    if (at == 20) {
        inner_be16(packet + 10, 0);
        inner_be16(packet + 10, (uint16_t)~inner_sum(packet, 20, 0));
    }
}

static bool checksums_right(const uint8_t *packet, size_t len)
{
    size_t at = l4_at(packet);
    unsigned proto = proto_of(packet);

    return (at == 40 || inner_sum(packet, 20, 0) == 0xffff) &&
           (proto == 1 ? inner_sum(packet + at, len - at, 0)
                       : inner_l4_sum(packet, len, at, proto)) == 0xffff;
}

/* A probe's packet, with its number as payload. */
static size_t probe_write(uint8_t *out, const struct probe *p, const struct ip_addr *from)
{
    bool v4 = p->to.family == ADDR_V4;
    struct inner s = {.version = v4 ? 4 : 6,
                      .proto = p->protocol == TCP ? 6 : 17,
                      .ttl = 64,
                      .sport = p->from_port,
                      .dport = (uint16_t)p->port,
                      .flags = TCP_F_SYN,
                      .payload = PAYLOAD};
    size_t len = inner_build(out, &s), at = l4_at(out), n = ip_addr_len(&p->to);

    memcpy(out + (v4 ? 12 : 8), from->bytes, n);
    memcpy(out + (v4 ? 16 : 24), p->to.bytes, n);
    inner_be32(out + len - PAYLOAD, MARK);
    inner_be32(out + len - 4, (uint32_t)(p - sim.probes));
    if (p->protocol == ICMP) {
        out[v4 ? 9 : 6] = v4 ? 1 : 58;
        memset(out + at, 0, 8);
        out[at] = v4 ? 8 : 128;
        inner_be16(out + at + 4, p->from_port);
    }
    checksum_set(out, len);
    return len;
}

/* The probe that a packet is, or answers; NULL: none. */
static struct probe *probe_of(const uint8_t *packet, size_t len)
{
    uint8_t mark[4];

    inner_be32(mark, MARK);
    if (len < l4_at(packet) + 8 + PAYLOAD || memcmp(packet + len - PAYLOAD, mark, 4) != 0)
        return NULL;
    unsigned number = (unsigned)be16(packet + len - 4) << 16 | be16(packet + len - 2);
    return number < PROBES ? &sim.probes[number] : NULL;
}

/* What the host that it is for answers: the same, back. */
static void echo(struct end *gateway, const uint8_t *packet, size_t len)
{
    uint8_t answer[BELOW_MTU];
    size_t at = l4_at(packet), n = at == 20 ? 4 : 16, src = at == 20 ? 12 : 8;

    memcpy(answer, packet, len);
    memcpy(answer + src, packet + src + n, n);
    memcpy(answer + src + n, packet + src, n);
    if (proto_of(packet) == 1 || proto_of(packet) == 58) {
        answer[at] = at == 20 ? 0 : 129;
    } else {
        memcpy(answer + at, packet + at + 2, 2);
        memcpy(answer + at + 2, packet + at, 2);
    }
    checksum_set(answer, len);
    world_tun(gateway, answer, len);
}

static const char *text_of(const struct ip_addr *a)
{
    static char texts[4][IP_TEXT_MAX];
    static unsigned next;
    return ip_addr_format(a, texts[next++ % 4], IP_TEXT_MAX);
}

static const char *probe_text(const struct probe *p)
{
    static const char *const protocols[] = {"tcp", "udp", "icmp"};
    static char text[200];

    snprintf(text, sizeof text, "%s%u's %s %u to %s (%s)",
             p->hostile ? "hostile client " : "client ", p->client, protocols[p->protocol], p->port,
             p->name == NO_NAME ? "an address" : NAME_TEXTS[p->name], text_of(&p->to));
    return text;
}

#define probe_fail(p, ...) (places_print(p), world_fail(__VA_ARGS__))

/* ---- what comes out ---- */

/* A hostile client may have told of another name by this address, which it may reach as well. */
static bool may_arrive(const struct probe *p, unsigned gateway)
{
    struct probe like = *p;
    bool may = model_may(p, gateway);

    if (!p->hostile || p->name == NO_NAME || p->name == NAMES - 1)
        return may;
    for (like.name = 0; like.name < NAMES - 1 && !may; like.name++)
        may = model_may(&like, gateway);
    return may;
}

static void out_of_gateway(struct end *e, const uint8_t *packet, size_t len)
{
    struct probe *p = probe_of(packet, len);

    if (!p || !checksums_right(packet, len))
        world_fail("gateway %u: what comes out is no probe, or spoilt", e->number);
    struct end *client = client_of(p->client);
    struct ip_addr from = addr_at(packet, true);
    if (!client || !ip_addr_equal(&from, at_family(client, from.family)))
        world_fail("gateway %u: %s arrives, from %s", e->number, probe_text(p), text_of(&from));
    if (p->arrived)
        world_fail("gateway %u: %s arrives twice", e->number, probe_text(p));
    p->at = addr_at(packet, false);
    if (!may_arrive(p, e->number))
        probe_fail(p, "gateway %u: %s arrives at %s, which it may not", e->number, probe_text(p),
                   text_of(&p->at));
    if (p == sim.latest && !p->hostile && !model_sends(p, e->number))
        probe_fail(p, "gateway %u: %s arrives, but its client should not send it there", e->number,
                   probe_text(p));
    if (p->protocol != ICMP && be16(packet + l4_at(packet) + 2) != p->port)
        world_fail("gateway %u: %s arrives at another port", e->number, probe_text(p));
    p->arrived = true;
    echo(e, packet, len);
}

/* An ICMP error, perhaps about the latest probe; of others there may be some under way. */
static void error_taken(const uint8_t *packet, size_t len)
{
    struct probe *p = sim.latest;
    size_t at = l4_at(packet), quote = at + 8;
    bool v4 = at == 20;

    if (len < quote + at + 8)
        world_fail("an ICMP error without what it is about");
    struct ip_addr to = addr_at(packet + quote, false);
    const uint8_t *l4 = packet + quote + at;
    uint16_t port = be16(l4 + (p->protocol == ICMP ? 4 : 0));
    if (ip_addr_equal(&to, &p->to) && port == p->from_port)
        p->prohibited = packet[at] == (v4 ? 3 : 1) && packet[at + 1] == (v4 ? 13 : 1);
}

static void out_of_client(struct end *e, const uint8_t *packet, size_t len)
{
    struct probe *p = probe_of(packet, len);
    size_t at = l4_at(packet);
    struct ip_addr from = addr_at(packet, true);
    bool icmp = proto_of(packet) == 1 || proto_of(packet) == 58;

    if (!checksums_right(packet, len))
        world_fail("client %u: what comes out is spoilt", e->number - portal.gateways_n);
    if (icmp && packet[at] != (at == 20 ? 0 : 129)) {
        error_taken(packet, len);
        return;
    }
    if (!p || client_of(p->client) != e)
        world_fail("client %u: what comes out is none of its own", e->number - portal.gateways_n);
    if (!ip_addr_equal(&from, &p->to))
        world_fail("%s is answered from %s", probe_text(p), text_of(&from));
    if (icmp ? be16(packet + at + 4) != p->from_port
             : be16(packet + at) != p->port || be16(packet + at + 2) != p->from_port)
        world_fail("%s is answered by another port, or to one", probe_text(p));
    p->answered = true;
}

static void on_tun(struct end *e, const uint8_t *packet, size_t len)
{
    (e->gateway ? out_of_gateway : out_of_client)(e, packet, len);
}

/* ---- probing ---- */

/* One that is not used again for long. */
static uint16_t port_new(void)
{
    if (sim.from_port < PORTS_AGAIN)
        sim.from_port = PORTS_AGAIN;
    return sim.from_port++;
}

static struct probe *probe_new(unsigned client)
{
    struct probe *p = &sim.probes[sim.probes_n++ % PROBES];

    *p = (struct probe){.client = client, .name = NO_NAME};
    sim.latest = p;
    p->from_port = port_new();
    return p;
}

/* Asked for as the host would, each time: the gateway looks the name up anew then. False: there is nothing to be sent. */
static bool probe_resolve(struct probe *p, unsigned family)
{
    struct ip_addr list[PROXY_PER_NAME];
    bool addresses, known = name_known(p->client, p->name, family, &addresses);
    unsigned n;

    if (client_resolve(client_of(p->client), NAME_TEXTS[p->name], family, list, ARRAY_LEN(list),
                       &n) != known ||
        (n > 0) != addresses)
        world_fail("client %u: %s is %sknown, and has %u addresses", p->client, NAME_TEXTS[p->name],
                   known ? "un" : "", n);
    if (n > 0)
        p->to = list[p->from_port < PORTS_AGAIN ? 0 : world_below(n)];
    return n > 0;
}

/* The same from another port, as an application tries again. */
static struct probe *probe_again(const struct probe *like)
{
    struct probe copy = *like, *p = probe_new(copy.client);

    copy.from_port = p->from_port;
    copy.arrived = copy.answered = copy.prohibited = false;
    *p = copy;
    return p;
}

static void probe_once(struct probe *p)
{
    uint8_t packet[BELOW_MTU];
    struct end *e = client_of(p->client);

    world_tun(e, packet, probe_write(packet, p, at_family(e, p->to.family)));
    world_settle();
}

/* Where the name is now; a flow that has begun before stays where it was. */
static bool is_current(const struct probe *p)
{
    return p->name == NO_NAME || p->from_port < PORTS_AGAIN ||
           zone_is(zone.has[p->name], p->name, &p->at);
}

/* One that must arrive does after some tries: access has to be asked for, and what a name has may be known from before. */
static void probe_tries(struct probe *p, bool quick)
{
    bool must = model_must(p), by_name = p->name != NO_NAME;
    unsigned family = p->to.family, tries = must ? TRIES : quick ? 1 : TRIES_VAIN;

    sim.sent++;
    sim.musts += must;
    for (unsigned i = 0; i < tries; i++) {
        if (i > 0) {
            world_run(MS(quick ? 200 * i : 500 + world_below(2500)));
            p = probe_again(p);
            if (by_name && !probe_resolve(p, family))
                return;
        }
        probe_once(p);
        if (model_refuses(p) && !p->prohibited)
            probe_fail(p, "%s is not prohibited", probe_text(p));
        if (!p->answered && !quick)
            world_run(MS(world_below(800)));
        if (p->answered && (!must || is_current(p)))
            break;
    }
    if (must && !p->answered)
        probe_fail(p, "%s %s", probe_text(p), p->arrived ? "has no answer" : "does not arrive");
    if (must && !is_current(p))
        world_fail("%s arrives at %s, where the name is no more", probe_text(p), text_of(&p->at));
}

/* to: NULL: the name. quick: as little time passes as possible. */
static void probe(unsigned client, int name, const struct ip_addr *to, bool quick)
{
    static const struct {
        enum protocol protocol;
        unsigned port;
    } ports[] = {{TCP, 80}, {TCP, 443}, {TCP, 22}, {UDP, 53}, {UDP, 1500}, {ICMP, 0}};
    struct probe *p = probe_new(client);
    unsigned port = world_below(ARRAY_LEN(ports));

    p->name = name;
    /* Not to addresses: what comes from one to a port that a name of it has a flow from is taken for that. */
    if (!to && world_below(3) == 0)
        p->from_port = (uint16_t)world_below(PORTS_AGAIN);
    p->protocol = ports[port].protocol;
    p->port = ports[port].port;
    if (to)
        p->to = *to;
    else if (!probe_resolve(p, world_below(3) ? ADDR_V4 : ADDR_V6))
        return;
    world_settle();
    probe_tries(p, quick);
}

/* ---- past the rules of a client ---- */

/* What the gateway has refused, by any of its counters. */
static uint64_t refusals(const struct end *e)
{
    uint64_t sum = 0;

    for (unsigned v = VERDICT_IN_PUNTED + 1; v < VERDICT_IN_TUN_FAILED; v++)
        sum += counter_read(&e->below->counters.verdicts[v]);
    return sum;
}

/* A link of the client's that works; NULL: it has none. */
static struct link *some_link(struct end *e)
{
    struct link *found = NULL;
    unsigned n = 0;

    for (struct link *x = e->peers.links; x; x = x->next) {
        if (x->up && !x->failed && !x->goodbye && !x->closing && end_of_id(&x->id) &&
            world_below(++n) == 0)
            found = x;
    }
    return found;
}

static const char *const TARGETS[] = {"10.1.2.3",
                                      "10.1.2.9",
                                      "10.1.9.9",
                                      "10.200.0.1",
                                      "192.168.7.7",
                                      "192.168.8.8",
                                      "203.0.113.5",
                                      "8.8.8.8",
                                      "2001:db8:1:2::3",
                                      "2001:db8:1::9",
                                      "2001:db8:9::9",
                                      "172.16.5.5",
                                      "100.64.0.8",
                                      "100.100.111.1",
                                      "127.0.0.1",
                                      "fd00:2021:1111::8",
                                      "fd00:2021:1111:8000:100:100:111:1",
                                      "224.0.0.1",
                                      "fe80::1",
                                      "198.51.100.1",
                                      "100.127.0.1",
                                      "fd00:2021:1111:8000::7777"};

/* Proxy addresses for a name that is the client's own to choose, with a resource that may be another's. */
static void forge_names(const struct link *x)
{
    const struct place *place = &portal.places[world_below(RESOURCES)];
    struct inner_assigned_ips m = {.resource = place->id};
    uint8_t packet[INNER_PACKET_MAX];

    snprintf(m.domain, sizeof m.domain, "%s", NAME_TEXTS[NAMES - 1]);
    m.n = 1 + world_below(4);
    for (unsigned i = 0; i < m.n; i++)
        m.ips[i] = world_below(4) ? proxy_addr_v4(PROXY_NAMES - 1 - world_below(2), i)
                                  : ip_of(TARGETS[world_below(ARRAY_LEN(TARGETS))]);
    size_t len = inner_write_assigned_ips(packet, &m);
    tunnel_p2p_packet_to(x->peer, packet, len);
    world_run(MS(400));
}

/* Where it is to go: anywhere, to what the gateway has been told of a name, honestly or not. */
static void attack_aim(struct probe *p)
{
    p->hostile = true;
    p->protocol = (enum protocol)world_below(3);
    p->port = world_below(3) ? 1 + world_below(2000) : 80;
    switch (world_below(4)) {
    case 0:
        p->name = NAMES - 1;
        p->to = proxy_addr_v4(PROXY_NAMES - 1 - world_below(2), world_below(4));
        return;
    case 1:
        p->name = (int)world_below(NAMES - 1);
        p->from_port = (uint16_t)world_below(PORTS_AGAIN);
        if (probe_resolve(p, world_below(3) ? ADDR_V4 : ADDR_V6)) {
            world_run(MS(400));
            return;
        }
        break;
    default:
        break;
    }
    p->name = NO_NAME;
    p->from_port = port_new();
    p->to = ip_of(TARGETS[world_below(ARRAY_LEN(TARGETS))]);
}

/* What no honest client sends. What arrives is judged as it comes out; what does not is counted as refused. */
static void attack(unsigned client)
{
    struct end *e = client_of(client);
    struct link *x = some_link(e);
    uint8_t packet[BELOW_MTU];

    if (x && world_below(4) == 0)
        forge_names(x);
    struct probe *p = probe_new(client);
    attack_aim(p);
    if (!(x = some_link(e)))
        return;
    struct end *gateway = end_of_id(&x->id);
    struct ip_addr from = *at_family(e, p->to.family);
    bool forged = world_below(4) == 0;
    if (forged)
        from.bytes[ip_addr_len(&from) - 1] ^= (uint8_t)(1 + world_below(255));
    uint64_t before = refusals(gateway);
    tunnel_p2p_packet_to(x->peer, packet, probe_write(packet, p, &from));
    world_settle();
    sim.hostile++;
    if (forged && p->arrived)
        world_fail("%s arrives, from another's address", probe_text(p));
    if (!p->arrived && refusals(gateway) == before)
        world_fail("%s is not counted", probe_text(p));
    sim.refused += !p->arrived;
    world_run(MS(10));
}

#endif
