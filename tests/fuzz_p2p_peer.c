/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of what is between paths and WireGuard: the input is a script for two sides on a bad network (paths, losses, copies, time, packets,
 * restarts, authorisations). Nothing leaves without a path, or to one that was replaced; up is told once and after both of its reasons.
 * In the end the network heals, and a session has to work in both directions, perhaps after a new authorisation.
 *
 * Script: pairs of bytes, operation and argument; the lowest bit of the argument is the side.
 */
#include "tests/p2p_peer_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OPS_MAX = 100,
    FLIGHT_MAX = 64,
    STEPS_MAX = 20000
};

enum op {
    OP_PATH,       /* number argument / 2 % 4, the last two through a relay */
    OP_WAIT_SHORT, /* up to 2.5 s */
    OP_WAIT_LONG,  /* up to 255 s */
    OP_DATA,
    OP_BOTH, /* have a packet at the same time */
    OP_WANT,
    OP_AGAIN,
    OP_LOSE, /* by the bits of the argument, the next eight datagrams */
    OP_COPY, /* the next datagram arrives once more, much later */
    OP_RESTART,
    OP_SUSPEND, /* time passes, and what is due is not done before; up to 1275 s */
    OP_DELAY,
    OP_PATH_DEAD, /* what is sent by the present path is lost, until there is another one */
    OP_COUNT
};

struct datagram {
    time_ns at;
    unsigned to;
    size_t len;
    uint8_t bytes[NODE_DATAGRAM_MAX];
};

static struct side sides[2];
static struct datagram flight[FLIGHT_MAX];
static unsigned in_flight;
static time_ns now, delay;
static uint32_t numbers;
static uint8_t lose_bits;
static bool copy, dead[2];
static struct node_path paths[2]; /* as last told */
static uint64_t tokens[2];        /* the newest that arrived */
static uint64_t last_token;

static struct node_path path_of(unsigned side, unsigned number)
{
    uint8_t ip[4] = {198, 51, (uint8_t)side, (uint8_t)(number + 1)};
    struct node_path p = {.kind = number < 2 ? NODE_PEER_TO_PEER : NODE_RELAY_TO_PEER};

    p.to = p.peer = (struct sock_addr){.ip = ip_addr_v4(ip), .port = 52625};
    ip[0] = 10;
    if (number < 2)
        p.from = (struct sock_addr){.ip = ip_addr_v4(ip), .port = 52625};
    else
        p.channel = (uint16_t)(CHANNEL_FIRST + number);
    return p;
}

/* ---- the network ---- */

static void put(unsigned to, const uint8_t *bytes, size_t len, time_ns at)
{
    struct datagram *d = &flight[in_flight];

    if (in_flight == FLIGHT_MAX)
        return;
    in_flight++;
    d->at = at;
    d->to = to;
    d->len = len;
    memcpy(d->bytes, bytes, len);
}

static void on_send(struct side *s, const struct sock_addr *from, const struct sock_addr *to,
                    const uint8_t *bytes, size_t len)
{
    const struct node_path *p = &paths[s->id];
    size_t head = p->channel ? CHANNEL_HEADER_LEN : 0;
    bool lost = lose_bits & 1;

    ASSERT(p->kind != NODE_PATH_NONE && sock_addr_equal(to, &p->to));
    ASSERT(sock_addr_equal(from, &p->from) && channel_parse(bytes, len) == p->channel);
    lose_bits >>= 1;
    if (!lost && !dead[s->id])
        put(!s->id, bytes + head, len - head, now + delay);
    if (copy)
        put(!s->id, bytes + head, len - head, now + delay + 7 * NS_PER_SEC);
    copy = false;
}

static void on_token(struct side *s, uint64_t token)
{
    tokens[s->id] = token > tokens[s->id] ? token : tokens[s->id];
}

static void on_traffic(struct side *s, bool sent, bool packet)
{
    (void)packet;
    ASSERT(s->alive && (!sent || paths[s->id].kind != NODE_PATH_NONE));
}

static void on_news(struct side *s, enum p2p_peer_news news)
{
    ASSERT(s->alive && (news == P2P_PEER_FAILED || s->ups == 1));
}

static const struct side_calls calls = {on_send, on_token, on_traffic, on_news};

/* ---- lives ---- */

static void identity(unsigned i)
{
    uint8_t key[WG_KEY_LEN] = {(uint8_t)(i + 1)};

    store_le32(key + 4, ++numbers);
    noise_identity_init(&sides[i].identity, key);
}

/* The connection begins anew at one side; the other one goes on as it was. */
static void begin(unsigned i)
{
    side_begin(&sides[i], now, i == 0, sides[!i].identity.public_key, 0x42);
    paths[i] = (struct node_path){.kind = NODE_PATH_NONE};
    dead[i] = false;
}

static void set_path(unsigned i, unsigned number)
{
    paths[i] = path_of(i, number);
    dead[i] = false;
    side_path(&sides[i], now, &paths[i]);
}

/* What failed is given up, as the connections' owner does: the other side does not hear of it. */
static void end_failed(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (sides[i].failures > 0)
            begin(i);
    }
}

/* ---- time ---- */

static void check(void)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct side *s = &sides[i];
        bool both = s->complete && s->p2p.path.kind != NODE_PATH_NONE;
        ASSERT(s->alive && s->failures == 0 && s->ups == both);
        ASSERT(s->wg.event_count == 0);
        ASSERT(s->wg.datagram_count == 0 || s->p2p.path.kind == NODE_PATH_NONE);
        /* Without a path it starts nothing, and a session of the other one is none yet. */
        ASSERT(s->p2p.path.kind != NODE_PATH_NONE ||
               (s->wg.state != WG_PEER_INITIATOR_EXPECT_RESPONSE && s->p2p.begun_at == 0));
    }
}

static bool step(time_ns end)
{
    struct sock_addr from = {.port = 9};
    time_ns due = TIME_NEVER;
    unsigned first = 0;

    for (unsigned i = 0; i < in_flight; i++) {
        if (flight[i].at < due)
            due = flight[first = i].at;
    }
    for (unsigned i = 0; i < 2; i++)
        due = time_min(due, wg_peer_poll_timeout(&sides[i].wg));
    if (due > end)
        return false;
    now = time_max(now, due);
    if (in_flight > 0 && flight[first].at <= now) {
        struct datagram d = flight[first];
        flight[first] = flight[--in_flight];
        (void)side_receive(&sides[d.to], now, &from, d.bytes, d.len);
    }
    for (unsigned i = 0; i < 2; i++)
        side_timeout(&sides[i], now);
    end_failed();
    check();
    return true;
}

static void run(time_ns span)
{
    time_ns end = now + span;
    unsigned steps = 0;

    while (step(end))
        ASSERT(++steps < STEPS_MAX);
    now = end;
}

/* ---- the script ---- */

static void perform(enum op op, uint8_t argument)
{
    unsigned i = argument & 1;

    switch (op) {
    case OP_PATH:
        set_path(i, argument / 2 % 4);
        break;
    case OP_WAIT_SHORT:
        run(argument * 10 * NS_PER_MS);
        break;
    case OP_WAIT_LONG:
        run(argument * NS_PER_SEC);
        break;
    case OP_DATA:
        side_data(&sides[i], now, ++last_token);
        break;
    case OP_BOTH:
        side_data(&sides[i], now, ++last_token);
        side_data(&sides[!i], now, ++last_token);
        break;
    case OP_WANT:
        side_want(&sides[i], now);
        side_settle(&sides[i], now);
        break;
    case OP_AGAIN:
        side_again(&sides[i], now);
        break;
    case OP_LOSE:
        lose_bits = argument;
        break;
    case OP_COPY:
        copy = true;
        break;
    case OP_RESTART:
        if (argument & 2) { /* the process: others hear of its new key */
            identity(i);
            begin(!i);
        }
        begin(i);
        break;
    case OP_SUSPEND:
        now += argument * 5 * NS_PER_SEC;
        break;
    case OP_DELAY:
        delay = (time_ns)argument * argument * NS_PER_MS / 8;
        break;
    case OP_PATH_DEAD:
        dead[i] = true;
        break;
    case OP_COUNT:
        break;
    }
    end_failed();
    check();
}

/*
 * Good paths, and packets of both sides each second, for one side an authorisation whenever it has failed. A gateway that goes on with an old
 * session answers a client's new one at once; longer than a detection of 15 s and an attempt of 20 s takes nothing.
 */
static void heal(void)
{
    uint64_t before[2];

    lose_bits = 0;
    copy = false;
    delay = 10 * NS_PER_MS;
    run(10 * NS_PER_SEC);
    for (unsigned second = 0; second < 60; second++) {
        for (unsigned i = 0; i < 2; i++) {
            if (paths[i].kind == NODE_PATH_NONE || dead[i])
                set_path(i, second % 4);
            side_data(&sides[i], now, ++last_token);
        }
        end_failed();
        check();
        run(NS_PER_SEC);
    }
    before[0] = tokens[0], before[1] = tokens[1];
    for (unsigned i = 0; i < 2; i++)
        side_data(&sides[i], now, ++last_token);
    run(NS_PER_SEC);
    for (unsigned i = 0; i < 2; i++)
        ASSERT(tokens[i] > before[i] && sides[i].ups == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    now = 1000 * NS_PER_SEC;
    delay = 10 * NS_PER_MS;
    numbers = in_flight = lose_bits = 0;
    last_token = tokens[0] = tokens[1] = 0;
    copy = false;
    memset(sides, 0, sizeof sides);
    for (unsigned i = 0; i < 2; i++) {
        sides[i].id = i;
        sides[i].calls = &calls;
        sides[i].numbers = &numbers;
        identity(i);
    }
    begin(0);
    begin(1);
    for (size_t i = 0; i + 1 < size && i < 2 * OPS_MAX; i += 2)
        perform((enum op)(data[i] % OP_COUNT), data[i + 1]);
    heal();
    return 0;
}
