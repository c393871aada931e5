/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of the simulated tunnels: clients and gateways of the real control code, put together as control/client.c and
 * control/gateway.c do. In place of the host's resolver a table answers. Included once per program.
 */
#ifndef FZ_TESTS_SIM_TUNNEL_ENDS_H
#define FZ_TESTS_SIM_TUNNEL_ENDS_H

#include "control/dns/stub.h"
#include "control/key_text.h"
#include "control/portal/gateway_messages.h"
#include "tests/sim_tunnel_links.h"

/* ---- the resolver of a gateway's host ---- */

struct question {
    struct question *next;
    struct host_resolver *resolver;
    host_answered done;
    void *arg;
    char name[GATEWAY_NAMES_LEN_MAX + 1];
    struct loop_timer timer;
};

struct host_resolver {
    struct question *questions;
};

static void question_end(struct question *q, const struct host_answer *answer)
{
    struct question **at = &q->resolver->questions;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    loop_timer_clear(NULL, &q->timer);
    q->done(q->arg, answer);
    free(q);
}

static void on_question(void *arg)
{
    struct question *q = arg;
    struct host_answer answer = {.outcome = HOST_ADDRESSES, .ttl_s = world_below(4)};

    world.resolve(q->name, &answer);
    question_end(q, &answer);
}

enum err host_resolver_new(struct host_resolver **out, struct loop *l, const struct egress *egress,
                           const char *resolv_conf, const char *hosts, char *why, unsigned why_size)
{
    (void)l, (void)egress, (void)resolv_conf, (void)hosts, (void)why, (void)why_size;
    *out = mem_zalloc(1, sizeof **out);
    return ERR_OK;
}

void host_resolver_restart(struct host_resolver *r)
{
    const struct host_answer answer = {.outcome = HOST_GIVEN_UP};

    while (r->questions)
        question_end(r->questions, &answer);
}

void host_resolver_free(struct host_resolver *r)
{
    host_resolver_restart(r);
    free(r);
}

bool host_resolver_is_stale(const struct host_resolver *r)
{
    (void)r;
    return false;
}

void host_resolver_ask(struct host_resolver *r, const char *name, host_answered done, void *arg)
{
    struct question *q = mem_zalloc(1, sizeof *q);

    q->next = r->questions;
    r->questions = q;
    q->resolver = r;
    q->done = done;
    q->arg = arg;
    snprintf(q->name, sizeof q->name, "%s", name);
    loop_timer_init(&q->timer, on_question, q);
    loop_timer_set(NULL, &q->timer, world.now + (world_below(2) ? 0 : MS(world_below(300))));
}

/* ---- a client ---- */

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    return world.push(arg, name, payload);
}

static void on_granted(void *arg, const struct uuid *resource, const struct access_gateway *gateway)
{
    (void)arg, (void)resource, (void)gateway;
}

static const struct access_events access_events = {on_push, on_granted};

static void on_name(void *arg, uint32_t index, const char *name, const struct uuid *list,
                    const uint8_t *ip_stacks, unsigned n)
{
    struct end *e = arg;
    access_name(e->access, index, name, list, ip_stacks, n);
}

static void on_answered(void *arg, uint32_t index)
{
    struct end *e = arg;
    access_name_answered(e->access, index);
}

static void on_resource(void *arg, enum resource_change change, const struct resource *r)
{
    struct end *e = arg;
    char why[160];

    access_resource(e->access, change, r);
    if (change == RESOURCE_REMOVED || r->kind != RESOURCE_DNS)
        dns_stub_remove(e->stub, &r->id);
    else if (dns_stub_set(e->stub, &r->id, r->address, r->ip_stack, why, sizeof why) != ERR_OK)
        world_fail("%s", why);
    while (dns_stub_step(e->stub))
        ;
}

static void client_message(struct end *e, const char *name, const json_t *payload)
{
    struct fields f = {.failed = false};
    struct message m;

    if (!message_read(&m, name, payload, &f))
        world_fail("a client does not understand '%s': %s", name, f.why);
    if (m.kind == MESSAGE_INIT) {
        resources_replace(&e->resources, m.resources);
        tunnel_p2p_addresses(e->tunnel, &m.interface_.ipv4, &m.interface_.ipv6);
        access_ask_held(e->access);
    } else if (m.kind == MESSAGE_RESOURCE_UPSERTED) {
        resources_upsert(&e->resources, &m.resource);
    } else if (m.kind == MESSAGE_RESOURCE_DELETED) {
        (void)resources_remove(&e->resources, &m.resource_id);
    } else if (m.kind == MESSAGE_AUTHORIZATION_CREATED) {
        access_granted(e->access, &m.authorization);
    } else if (m.kind == MESSAGE_AUTHORIZATION_FAILED) {
        access_refused(e->access, &m);
    } else {
        world_fail("a client has no use for '%s'", name);
    }
    message_wipe(&m);
}

/* ---- a gateway ---- */

static void on_renewed(void *arg, const struct uuid *client)
{
    const struct end *e = arg;
    gateway_nat_forget(e->nat, client);
}

static const struct clients_events clients_events = {on_push, on_renewed};

static void gateway_message(struct end *e, const char *name, const json_t *payload)
{
    struct fields f = {.failed = false};
    struct gateway_message m;

    if (!gateway_message_read(&m, name, payload, &f))
        world_fail("a gateway does not understand '%s': %s", name, f.why);
    if (m.kind == GATEWAY_INIT) {
        tunnel_p2p_addresses(e->tunnel, &m.ipv4, &m.ipv6);
        clients_keep(e->clients, m.grants);
    } else if (m.kind == GATEWAY_AUTHORIZATION) {
        clients_authorize(e->clients, &m.authorization);
    } else if (m.kind == GATEWAY_ACCESS_REJECTED) {
        clients_reject(e->clients, &m.client, &m.resource_id);
    } else if (m.kind == GATEWAY_EXPIRY_CHANGED) {
        clients_expire(e->clients, &m.client, &m.resource_id, m.expires_at);
    } else if (m.kind == GATEWAY_RESOURCE_UPDATED) {
        clients_update(e->clients, &m.resource);
    } else {
        world_fail("a gateway has no use for '%s'", name);
    }
    gateway_message_wipe(&m);
}

/* ---- life ---- */

static void tunnel_make(struct end *e)
{
    struct tunnel *t = mem_zalloc(1, sizeof *t);

    t->engine = &e->below->engine;
    t->options.p2p = &tunnel_events;
    t->options.p2p_arg = e;
    t->options.role = e->gateway ? ENGINE_GATEWAY : ENGINE_CLIENT;
    allowed_init(&t->allowed);
    index_init(&t->indices);
    tunnel_updates_init(t);
    tunnel_roam_init(t);
    tunnel_policy_init(t);
    loop_timer_init(&t->overflow_timer, NULL, NULL);
    noise_identity_init(t->identity, e->private_key);
    memcpy(e->public_key, t->identity->public_key, sizeof e->public_key);
    e->tunnel = t;
}

static void tunnel_end(struct end *e)
{
    struct tunnel *t = e->tunnel;

    tunnel_policy_fini(t);
    tunnel_updates_fini(t);
    commands_run(e);
    for (struct event_ack a; engine_pop_ack(t->engine, &a);) {
        if (a.kind == ACK_SESSION_GONE)
            engine_session_free(a.session);
        else if (a.kind == ACK_PEER_GONE)
            engine_peer_free(a.peer);
    }
    below_free(e->below);
    index_fini(&t->indices);
    allowed_fini(&t->allowed);
    free(t);
}

static struct end *end_start(unsigned number, bool gateway)
{
    static const struct dns_stub_events stub_events = {on_name, on_answered};
    struct end *e = mem_zalloc(1, sizeof *e);
    const uint8_t v4[4] = {100, 64, (uint8_t)(number >> 8), (uint8_t)number};
    uint8_t v6[16] = {0xfd, 0, 0x20, 0x21, 0x11, 0x11};
    char why[160];

    ASSERT(number < WORLD_ENDS_MAX && !world.ends[number]);
    world.ends[number] = e;
    v6[14] = v4[2];
    v6[15] = v4[3];
    e->number = number;
    e->life = ++world.lives;
    e->gateway = gateway;
    e->id = end_id(number);
    random_bytes(e->private_key, sizeof e->private_key);
    e->ipv4 = ip_addr_v4(v4);
    e->ipv6 = ip_addr_v6(v6);
    e->below = below_new(e, gateway ? ENGINE_GATEWAY : ENGINE_CLIENT);
    e->peers.end = e;
    tunnel_make(e);
    if (gateway) {
        e->clients = clients_new(NULL, &e->peers, &clients_events, e);
        if (gateway_names_new(&e->names, NULL, NULL, NULL, NULL, why, sizeof why) != ERR_OK)
            world_fail("%s", why);
        e->nat = gateway_nat_new(&e->peers, e->clients, e->names);
        return e;
    }
    resources_init(&e->resources, on_resource, e);
    e->access = access_new(NULL, &e->peers, true, &access_events, e);
    e->stub = dns_stub_new(world_random(), &stub_events, e);
    access_attach(e->access, e->tunnel);
    return e;
}

/* goodbye: it says so to whom it is connected with; else it is gone at once, with all that it was about to do. */
static void end_stop(struct end *e, bool goodbye)
{
    e->peers.closing = true;
    for (struct link *x = e->peers.links; x && goodbye; x = x->next)
        x->closing = true;
    if (goodbye) {
        links_look(e, NULL);
        world_settle();
    }
    if (e->gateway) {
        gateway_nat_close(e->nat);
        gateway_names_free(e->names);
        clients_free(e->clients);
    } else {
        access_free(e->access);
        dns_stub_free(e->stub);
        resources_fini(&e->resources);
    }
    tunnel_end(e);
    if (e->gateway)
        gateway_nat_free(e->nat);
    while (e->peers.links) {
        struct link *x = e->peers.links;
        e->peers.links = x->next;
        free(x);
    }
    world.ends[e->number] = NULL;
    free(e);
}

/* ---- names, as the host of a client asks for them ---- */

/* Its query, into `out`; its length. */
static size_t query_write(uint8_t *out, const char *name, unsigned type)
{
    size_t n = 12;

    memset(out, 0, n);
    out[2] = 1; /* recursion desired */
    out[5] = 1; /* one question */
    for (const char *end; *name; name = *end ? end + 1 : end) {
        end = strchr(name, '.');
        end = end ? end : name + strlen(name);
        out[n++] = (uint8_t)(end - name);
        memcpy(out + n, name, (size_t)(end - name));
        n += (size_t)(end - name);
    }
    memcpy(out + n, (const uint8_t[]){0, 0, (uint8_t)type, 0, 1}, 5);
    return n + 5;
}

/* The addresses of a reply to a question of `question` bytes behind the header; how many. */
static unsigned reply_addresses(const uint8_t *p, size_t len, size_t question, unsigned family,
                                struct ip_addr *out, unsigned max)
{
    size_t at = 12 + question, size = family == ADDR_V4 ? 4 : 16;
    unsigned n = 0;

    for (unsigned left = (unsigned)p[6] << 8 | p[7]; left > 0 && n < max; left--) {
        while (at < len && p[at] != 0 && p[at] < 0xc0)
            at += p[at] + 1u;
        at += at < len && p[at] >= 0xc0 ? 2 : 1;
        if (at + 10 + size > len || p[at + 9] != size)
            return n;
        out[n++] = family == ADDR_V4 ? ip_addr_v4(p + at + 10) : ip_addr_v6(p + at + 10);
        at += 10 + size;
    }
    return n;
}

/* False: the name is none of a resource. n 0: it has no address of the family. */
static bool client_resolve(struct end *e, const char *name, unsigned family, struct ip_addr *out,
                           unsigned max, unsigned *n)
{
    uint8_t query[300];
    size_t len = query_write(query, name, family == ADDR_V4 ? 1 : 28);
    struct dns_stub_reply reply;
    struct dns_query q;

    *n = 0;
    if (dns_query_read(&q, query, len) != ERR_OK)
        world_fail("a query is none");
    enum dns_stub_decision decision = dns_stub_decide(e->stub, &q, &reply);
    dns_query_fini(&q);
    if (decision == DNS_STUB_ANSWER)
        *n = reply_addresses(reply.bytes, reply.len, len - 12, family, out, max);
    return decision == DNS_STUB_ANSWER;
}

#endif
