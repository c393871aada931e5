/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the node: relays and peers that say anything, a portal that wants anything, losses and time, in any order.
 *
 * What the events say is kept and compared with what the node has; the memory of a connection that has ended is spoilt. What was due
 * is done. Input: steps, each a byte whose lower four bits say what happens and whose upper four are a number; some take bytes that
 * follow.
 */
#include "control/p2p/node.h"

#include "platform/base/bytes.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_TIME,    /* number * 0.5 s */
    STEP_SLEEP,   /* number * 60 s */
    STEP_DUE,     /* what is due next is done; number times */
    STEP_CONNECT, /* connection number & 3; the next byte says in which way */
    STEP_CLOSE,
    STEP_CANDIDATE,  /* of connection number & 3; the next byte says which */
    STEP_INVALIDATE, /* the same */
    STEP_TRAFFIC,
    STEP_RELAYS, /* number: bits of those that are there; the next byte: of those removed, and their credentials */
    STEP_RELAY_SUCCESS, /* to the number-th last request; the next byte says what is in it */
    STEP_RELAY_ERROR,   /* the same, by error number */
    STEP_CHECK_SUCCESS, /* to the number-th last check; the next byte: where it comes from */
    STEP_CHECK_REQUEST, /* of connection number & 3; the same */
    STEP_RAW,           /* number * 4 bytes that follow, from where the next byte says */
    STEP_RESET,         /* number 15: the end; 8 to 14: an address is lost, mostly ours */
    STEP_DRAIN
};

enum {
    RELAYS = 3,
    CONNECTIONS = 4,
    KEPT = 16, /* requests and checks that may still be answered */
    ADDRESSES = 16
};

static const uint16_t CODES[] = {400, 401, 437, 438, 420, 500, 508, 443};

static struct node node;
static struct node_connection connections[CONNECTIONS];

struct kept {
    bool valid;
    struct stun_id id;
    struct sock_addr to;
    uint16_t method, channel;
    struct sock_addr relay; /* a check that went through it */
};

static struct {
    time_ns now;
    struct kept requests[KEPT], checks[KEPT];
    unsigned next_request, next_check;
    bool alive[CONNECTIONS];
    struct node_path paths[CONNECTIONS];
    unsigned users[RELAYS]; /* generations of credentials */
    uint32_t transaction;
} world;

static struct sock_addr relay_addr(unsigned i)
{
    uint8_t ip[4] = {203, 0, 113, (uint8_t)(i + 1)};
    return (struct sock_addr){.ip = ip_addr_v4(ip), .port = NODE_RELAY_PORT};
}

/* 0: our own; the next are relays' relayed addresses; then anybody's. */
static struct sock_addr address(unsigned i)
{
    uint8_t ip[4] = {192, 0, 2, 10},
            six[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct sock_addr a = {.ip = ip_addr_v4(ip), .port = 52625};

    i %= ADDRESSES;
    if (i > 0 && i <= RELAYS) {
        a = relay_addr(i - 1);
        a.port = (uint16_t)(49152 + i);
    } else if (i > 12) {
        six[15] = (uint8_t)i;
        a.ip = ip_addr_v6(six);
    } else if (i > 0) {
        ip[3] = (uint8_t)(20 + i / 2);
        a.ip = ip_addr_v4(ip);
        a.port = (uint16_t)(5000 + i);
    }
    return a;
}

/* ---- outputs ---- */

static void keep(struct kept *list, unsigned *next, const struct kept *k)
{
    list[*next] = *k;
    *next = (*next + 1) % KEPT;
}

static void transmit(void)
{
    struct node_transmit t;
    unsigned n = 0;

    while (node_poll_transmit(&node, &t)) {
        uint16_t channel = channel_parse(t.bytes, t.len);
        size_t head = channel ? CHANNEL_HEADER_LEN : 0;
        struct kept k = {.valid = true, .to = t.to, .channel = channel};
        struct stun_message m;
        ASSERT(++n < 20000 && t.to.ip.family != ADDR_NONE && t.to.port != 0);
        ASSERT(stun_parse(&m, t.bytes + head, t.len - head) == ERR_OK);
        ASSERT(!channel || (t.from.ip.family == ADDR_NONE && t.to.port == NODE_RELAY_PORT));
        k.id = m.id;
        k.method = m.method;
        if (stun_is_ice_request(&m))
            keep(world.checks, &world.next_check, &k);
        else if (m.class == STUN_REQUEST)
            keep(world.requests, &world.next_request, &k);
    }
}

static void note_event(const struct node_event *e)
{
    struct candidate_line line;
    size_t i = e->connection ? (size_t)(e->connection - connections) : 0;

    ASSERT(i < CONNECTIONS && (!e->connection || world.alive[i]));
    switch (e->kind) {
    case NODE_EVENT_CANDIDATE_ADDED:
    case NODE_EVENT_CANDIDATE_INVALIDATED:
        ASSERT(candidate_parse(&line, e->line, strlen(e->line)) == ERR_OK);
        ASSERT(!!line.ufrag == (e->kind == NODE_EVENT_CANDIDATE_ADDED));
        break;
    case NODE_EVENT_PATH:
        ASSERT(e->path.kind != NODE_PATH_NONE);
        ASSERT((e->path.channel != 0) == (e->path.from.ip.family == ADDR_NONE));
        world.paths[i] = e->path;
        break;
    case NODE_EVENT_PATH_LOST:
        ASSERT(world.paths[i].kind != NODE_PATH_NONE);
        world.paths[i].kind = NODE_PATH_NONE;
        break;
    case NODE_EVENT_UP:
        ASSERT(world.paths[i].kind != NODE_PATH_NONE);
        break;
    case NODE_EVENT_FAILED:
    case NODE_EVENT_CLOSED:
        world.alive[i] = false;
        memset(&connections[i], 0xa5, sizeof connections[i]);
        break;
    case NODE_EVENT_RELAY_LOST:
    case NODE_EVENT_NO_RELAYS:
        ASSERT(!e->connection);
        break;
    }
}

static void drain(void)
{
    struct node_event e;
    unsigned n = 0, alive = 0, homeless = 0;

    transmit();
    while (node_poll_event(&node, &e)) {
        ASSERT(++n < 2000);
        note_event(&e);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct uuid id = {{(uint8_t)(i + 1)}};
        ASSERT(node_find(&node, &id) == (world.alive[i] ? &connections[i] : NULL));
        if (!world.alive[i])
            continue;
        alive++;
        homeless += !connections[i].relay;
        ASSERT(connections[i].path.kind == world.paths[i].kind);
    }
    ASSERT(alive == node.connections && homeless == node.homeless);
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
        unsigned users = 0;
        for (unsigned j = 0; j < CONNECTIONS; j++)
            users += world.alive[j] && connections[j].relay == &node.relays[i];
        ASSERT(users == node.relays[i].users);
    }
}

static void handle_timeout(void)
{
    node_handle_timeout(&node, world.now);
    ASSERT(node_poll_timeout(&node) > world.now);
}

/* ---- inputs ---- */

static void connect_one(unsigned i, uint8_t how)
{
    static const char *const ufrags[] = {"aaaa", "bbbb", "cccc", ""};
    struct node_peer p = {.id = {{(uint8_t)(i + 1)}},
                          .role = how & 1 ? ICE_CONTROLLING : ICE_CONTROLLED,
                          .kind = (enum ice_kind)(how >> 1 & 1),
                          .ufrag = ufrags[how >> 2 & 3],
                          .password = "own",
                          .remote_ufrag = "peer",
                          .remote_password = "theirs",
                          .public_key = {how >> 4 & 1}};
    enum node_connect result;

    drain(); /* whose memory it is */
    result = node_connect(&node, world.now, &p, &connections[i]);
    ASSERT(result != NODE_CREATED || !world.alive[i]);
    ASSERT((result != NODE_REUSED && result != NODE_REPLACED) || world.alive[i]);
    if (result == NODE_CREATED || result == NODE_REPLACED) {
        world.alive[i] = true;
        world.paths[i].kind = NODE_PATH_NONE;
    }
}

static void candidate(unsigned i, uint8_t what, bool added)
{
    static const enum candidate_kind kinds[] = {CANDIDATE_HOST, CANDIDATE_SRFLX, CANDIDATE_RELAY,
                                                CANDIDATE_PRFLX};
    struct sock_addr addr = address(what), base = address(4);
    struct candidate c;
    char line[CANDIDATE_LINE_MAX];

    base.ip.family = addr.ip.family;
    c = candidate_make(kinds[what >> 4 & 3], &addr, &base);
    c.priority = 1000u * what + 1;
    if (!world.alive[i] || candidate_format(&c, what & 128 ? "peer" : NULL, line) == 0)
        return;
    if (added)
        (void)node_add_candidate(&node, world.now, &connections[i], line);
    else
        (void)node_invalidate_candidate(&node, world.now, &connections[i], line);
}

static void relays(unsigned there, uint8_t what)
{
    struct node_relay_config list[RELAYS];
    struct uuid removed[RELAYS];
    char names[RELAYS][16];
    unsigned count = 0, remove_count = 0;

    for (unsigned i = 0; i < RELAYS; i++) {
        if (what >> i & 1)
            removed[remove_count++] = (struct uuid){{(uint8_t)(i + 1)}};
        if (what >> (i + 3) & 1)
            world.users[i] = (world.users[i] + 1) % 10;
        if (!(there >> i & 1))
            continue;
        memcpy(names[count], "user00", 7);
        names[count][4] = (char)('0' + i);
        names[count][5] = (char)('0' + world.users[i]);
        list[count] = (struct node_relay_config){.id = {{(uint8_t)(i + 1)}},
                                                 .v4 = relay_addr(i),
                                                 .username = names[count],
                                                 .password = "password"};
        count++;
    }
    (void)node_update_relays(&node, world.now, removed, remove_count, list, count);
}

/* From a relay or anybody; what it says is compared with who it was. */
static void arrives(const struct sock_addr *from, const uint8_t *bytes, size_t len)
{
    struct sock_addr local = address(0);
    struct node_received out;
    enum node_verdict v = node_handle_input(&node, world.now, &local, from, bytes, len, &out);

    ASSERT(out.offset + out.len == len);
    ASSERT((out.channel != 0) == (out.offset == CHANNEL_HEADER_LEN));
    ASSERT(v != NODE_WIREGUARD || bytes[out.offset] <= 4);
}

static void relay_answers(unsigned number, bool error, uint8_t what)
{
    const struct kept *k = &world.requests[(world.next_request + KEPT - 1 - number) % KEPT];
    uint8_t buf[256], key[STUN_KEY_LEN];
    struct sock_addr mapped = address(what), relayed;
    struct stun_writer w;
    unsigned i = k->to.ip.bytes[3] - 1u;
    char name[] = "user00";

    if (!k->valid || i >= RELAYS)
        return;
    stun_begin(&w, buf, sizeof buf, (enum stun_method)k->method, error ? STUN_ERROR : STUN_SUCCESS,
               &k->id);
    if (error) {
        stun_add_error(&w, CODES[what % ARRAY_LEN(CODES)], "");
        stun_add_bytes(&w, STUN_NONCE, &what, 1);
    } else {
        stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
        relayed = address(i + 1);
        if (what & 64)
            relayed.port = (uint16_t)(relayed.port + 100);
        stun_add_address(&w, STUN_XOR_RELAYED_ADDRESS, &relayed);
        stun_add_u32(&w, STUN_LIFETIME, 600);
    }
    name[4] = (char)('0' + i);
    name[5] = (char)('0' + world.users[i]);
    stun_turn_key(key, name, "firezone", "password");
    stun_add_integrity(&w, key, sizeof key);
    arrives(&k->to, buf, stun_finish(&w));
}

/* Directly, or through the relay of `how`. */
static void from_peer(uint8_t how, uint8_t *bytes, size_t len)
{
    uint8_t wrapped[512];
    struct sock_addr from = how & 64 ? relay_addr(how >> 4 & 3) : address(how);

    if (!(how & 64)) {
        arrives(&from, bytes, len);
        return;
    }
    channel_write(wrapped, (uint16_t)(CHANNEL_FIRST + (how & 15)), (uint16_t)len);
    memcpy(wrapped + CHANNEL_HEADER_LEN, bytes, len);
    arrives(&from, wrapped, len + CHANNEL_HEADER_LEN);
}

static void check_answered(unsigned number, uint8_t how)
{
    const struct kept *k = &world.checks[(world.next_check + KEPT - 1 - number) % KEPT];
    struct sock_addr mapped = address(how >> 4);
    struct stun_writer w;
    uint8_t buf[256];

    if (!k->valid)
        return;
    stun_begin(&w, buf, sizeof buf, STUN_BINDING, how & 128 ? STUN_ERROR : STUN_SUCCESS, &k->id);
    if (how & 128)
        stun_add_error(&w, 487, "");
    else
        stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
    stun_add_integrity(&w, "theirs", 6);
    from_peer(how & 127, buf, stun_finish(&w));
}

static void check_requested(unsigned i, uint8_t how)
{
    struct stun_id id = {{1}};
    struct stun_writer w;
    uint8_t buf[256];
    char name[128];

    if (!world.alive[i])
        return;
    store_be32(id.bytes + 4, world.transaction++);
    strcpy(name, connections[i].ice.own.ufrag);
    strcat(name, ":peer");
    stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &id);
    stun_add_text(&w, STUN_USERNAME, name);
    stun_add_u32(&w, STUN_PRIORITY, 1 + how);
    stun_add_u64(&w, how & 128 ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, how);
    if (how & 128)
        stun_add_empty(&w, STUN_USE_CANDIDATE);
    stun_add_integrity(&w, "own", 3);
    from_peer(how & 127, buf, stun_finish(&w));
}

static void traffic(unsigned number)
{
    struct node_traffic t = {number & 4, number & 8, number & 12};
    struct sock_addr from = relay_addr(number & 3);

    if (world.alive[number & 3])
        node_note_traffic(&node, world.now, &connections[number & 3], t);
    node_note_channel(&node, world.now, &from, (uint16_t)(CHANNEL_FIRST + number));
}

/* Nothing is sent from it any more. */
static void lose_address(unsigned number)
{
    struct sock_addr lost = address(number);

    node_address_lost(&node, world.now, &lost.ip);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        const struct node_connection *c = &connections[i];
        if (!world.alive[i] || c->end || node.closing)
            continue;
        ASSERT(!ip_addr_equal(&c->path.from.ip, &lost.ip));
        for (unsigned j = 0; j < ICE_LOCAL_MAX; j++) {
            const struct ice_local *l = &c->ice.candidates.locals[j];
            ASSERT(l->state != ICE_LIVE || l->candidate.kind == CANDIDATE_RELAY ||
                   !ip_addr_equal(&l->candidate.base.ip, &lost.ip));
        }
    }
}

/* True if the step takes a byte more. */
static bool takes_byte(enum step step)
{
    return step == STEP_CONNECT || step == STEP_CANDIDATE || step == STEP_INVALIDATE ||
           (step >= STEP_RELAYS && step <= STEP_RAW);
}

static void do_step(enum step step, unsigned number, uint8_t more, const uint8_t *data, size_t size)
{
    struct sock_addr from = more & 64 ? relay_addr(more & 3) : address(more);

    switch (step) {
    case STEP_TIME:
        world.now += number * 500 * NS_PER_MS;
        break;
    case STEP_SLEEP:
        world.now += number * 60 * NS_PER_SEC;
        break;
    case STEP_DUE:
        for (unsigned i = 0; i <= number && node_poll_timeout(&node) != TIME_NEVER; i++) {
            world.now = time_max(world.now, node_poll_timeout(&node));
            handle_timeout();
            transmit();
        }
        break;
    case STEP_CONNECT:
        connect_one(number % CONNECTIONS, more);
        break;
    case STEP_CLOSE:
        if (world.alive[number % CONNECTIONS])
            node_close(&node, world.now, &connections[number % CONNECTIONS]);
        break;
    case STEP_CANDIDATE:
    case STEP_INVALIDATE:
        candidate(number % CONNECTIONS, more, step == STEP_CANDIDATE);
        break;
    case STEP_TRAFFIC:
        traffic(number);
        break;
    case STEP_RELAYS:
        relays(number, more);
        break;
    case STEP_RELAY_SUCCESS:
    case STEP_RELAY_ERROR:
        relay_answers(number, step == STEP_RELAY_ERROR, more);
        break;
    case STEP_CHECK_SUCCESS:
        check_answered(number, more);
        break;
    case STEP_CHECK_REQUEST:
        check_requested(number % CONNECTIONS, more);
        break;
    case STEP_RAW:
        arrives(&from, data, size);
        break;
    case STEP_RESET:
        if (number == 15)
            node_shut_down(&node, world.now);
        else if (number >= 8)
            lose_address(number < 13 ? 0 : number);
        else
            node_reset(&node, world.now);
        break;
    case STEP_DRAIN:
        drain();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[NODE_SEED_LEN];

    memset(&world, 0, sizeof world);
    world.now = NS_PER_SEC;
    node_init(&node, seed, world.now);
    while (size > 0) {
        enum step step = (enum step)(*data & 15);
        unsigned number = *data >> 4;
        uint8_t more = 0;
        size_t n;
        data++, size--;
        if (takes_byte(step) && size > 0) {
            more = *data;
            data++, size--;
        }
        n = step == STEP_RAW ? size_min(number * 4, size) : 0;
        do_step(step, number, more, data, n);
        data += n, size -= n;
        transmit();
    }
    handle_timeout();
    drain();
    node_fini(&node);
    return 0;
}
