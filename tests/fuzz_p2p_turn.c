/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the TURN client: a relay that says anything, losses, time, and what its owner asks for, in any order.
 *
 * What the events say is kept and compared with what the client answers to questions. Unless it has ended or is suspended,
 * something is due; what was due is done. Input: steps, each a byte whose lower four bits say what happens and whose upper
 * four are a number.
 */
#include "control/p2p/turn.h"

#include "platform/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_TIME,  /* number * 0.5 s */
    STEP_SLEEP, /* number * 60 s */
    STEP_DUE,
    STEP_SUCCESS,        /* to the number-th last request; the next byte says what is in it */
    STEP_ERROR,          /* the same, by error number */
    STEP_ERROR_UNSEALED, /* the same */
    STEP_RAW,            /* number bytes that follow */
    STEP_BIND,           /* peer number */
    STEP_DATA_RECEIVED,  /* channel 0x4000 + number */
    STEP_DATA_SENT,
    STEP_REFRESH, /* number & 3: what is asked, or forgotten */
    STEP_RESTART,
    STEP_CLOSE,
    STEP_TRANSMIT,
    STEP_EVENTS,
    STEP_QUESTIONS
};

enum {
    REQUESTS = 16, /* that may still be answered */
    PEERS = 16
};

static const uint16_t CODES[] = {400, 401, 437, 438, 420, 500, 508, 443};

static struct turn turn;

/* What the client's owner knows. */
static struct world {
    time_ns now;
    struct {
        bool valid;
        struct stun_id id;
        uint16_t method;
    } requests[REQUESTS];
    unsigned next_request;
    bool allocated, ended;
    bool bound[CHANNEL_LAST - CHANNEL_FIRST + 1];
    struct sock_addr peers[CHANNEL_LAST - CHANNEL_FIRST + 1];
    unsigned candidates;
} world;

static const struct sock_addr RELAY = {{ADDR_V4, {203, 0, 113, 5}}, 3478, 0};
static const struct sock_addr RELAY6 = {{ADDR_V6, {0x20, 1, 0xd, 0xb8, 5}}, 3478, 0};
static const struct sock_addr LOCAL = {{ADDR_V4, {192, 0, 2, 10}}, 52625, 0};

static struct sock_addr peer_of_number(unsigned number)
{
    struct sock_addr peer = {.port = (uint16_t)(number + 1)};
    uint8_t ip[16] = {0x20, 1, 0xd, 0xb8};

    peer.ip = number % 4 == 3 ? ip_addr_v6(ip) : ip_addr_v4(ip);
    return peer;
}

static void transmit(void)
{
    struct turn_datagram d;
    struct stun_message m;
    unsigned n = 0;

    while (turn_poll_transmit(&turn, &d)) {
        ASSERT(++n <= 4 + TURN_CHANNELS_MAX);
        ASSERT(turn_has_server(&turn, &d.to));
        ASSERT(stun_parse(&m, d.bytes, d.len) == ERR_OK && m.class == STUN_REQUEST);
        world.requests[world.next_request].valid = true;
        world.requests[world.next_request].id = m.id;
        world.requests[world.next_request].method = m.method;
        world.next_request = (world.next_request + 1) % REQUESTS;
    }
}

static void note_event(const struct turn_event *e)
{
    unsigned channel = (unsigned)e->channel - CHANNEL_FIRST;

    switch (e->kind) {
    case TURN_EVENT_DEALLOCATED:
        ASSERT(world.allocated);
        world.allocated = false;
        memset(world.bound, 0, sizeof world.bound);
        break;
    case TURN_EVENT_CANDIDATE_INVALIDATED:
        break;
    case TURN_EVENT_CANDIDATE_ADDED:
        ASSERT(candidate_addr_ok(&e->candidate.addr));
        break;
    case TURN_EVENT_ALLOCATED:
        ASSERT(!world.allocated);
        world.allocated = true;
        break;
    case TURN_EVENT_CHANNEL_LOST:
        ASSERT(world.allocated && channel < ARRAY_LEN(world.bound));
        world.bound[channel] = false;
        break;
    case TURN_EVENT_CHANNEL_BOUND:
        ASSERT(world.allocated && channel < ARRAY_LEN(world.bound));
        world.bound[channel] = true;
        world.peers[channel] = e->peer;
        break;
    case TURN_EVENT_FAILED:
    case TURN_EVENT_CLOSED:
        ASSERT(!world.allocated);
        break;
    }
}

static void fetch_events(void)
{
    struct turn_event e;
    unsigned n = 0;

    while (turn_poll_event(&turn, &e)) {
        ASSERT(++n <= 32 + TURN_CHANNELS_MAX);
        note_event(&e);
    }
    ASSERT(world.allocated == (turn.state == TURN_ALLOCATED));
}

/* Everybody agrees on the channels. */
static void ask(void)
{
    struct sock_addr peer;

    turn_handle_timeout(&turn, world.now);
    fetch_events();
    for (unsigned i = 0; i < 2 * PEERS; i++) {
        uint16_t channel = (uint16_t)(CHANNEL_FIRST + i);
        bool open = turn_peer_of(&turn, world.now, channel, &peer);
        ASSERT(open == world.bound[i]);
        ASSERT(!open || sock_addr_equal(&peer, &world.peers[i]));
        ASSERT(!open || turn_channel_for(&turn, world.now, &peer) == channel);
    }
}

static void check_timeout(void)
{
    turn_handle_timeout(&turn, world.now);
    ASSERT(turn_poll_timeout(&turn) > world.now);
    if (turn.state != TURN_SUSPENDED && turn.state != TURN_FAILED && turn.state != TURN_CLOSED)
        ASSERT(turn_poll_timeout(&turn) != TIME_NEVER);
}

/* The bits of `what` say what is in the answer. */
static void add_content(struct stun_writer *w, uint8_t what)
{
    struct sock_addr mapped = peer_of_number(what & 3), relayed = RELAY, relayed6 = RELAY6;

    relayed.port = relayed6.port = (uint16_t)(50000 + (what >> 6));
    if (what & 4)
        stun_add_address(w, STUN_XOR_MAPPED_ADDRESS, &mapped);
    if (what & 8)
        stun_add_address(w, STUN_XOR_RELAYED_ADDRESS, &relayed);
    if (what & 16)
        stun_add_address(w, STUN_XOR_RELAYED_ADDRESS, &relayed6);
    if (what & 32)
        stun_add_u32(w, STUN_LIFETIME, what >> 6 == 3 ? 0 : 600u << (what >> 6));
}

static void answer(unsigned number, enum step step, uint8_t what)
{
    unsigned i = (world.next_request + REQUESTS - 1 - number) % REQUESTS;
    bool error = step != STEP_SUCCESS;
    uint8_t buf[256], key[STUN_KEY_LEN];
    struct stun_writer w;

    if (!world.requests[i].valid)
        return;
    stun_begin(&w, buf, sizeof buf, (enum stun_method)world.requests[i].method,
               error ? STUN_ERROR : STUN_SUCCESS, &world.requests[i].id);
    if (error) {
        stun_add_error(&w, CODES[what % ARRAY_LEN(CODES)], "");
        if (what & 8)
            stun_add_bytes(&w, STUN_NONCE, &what, 1);
        if (what & 16)
            stun_add_text(&w, STUN_REALM, what & 32 ? "other" : "firezone");
    } else
        add_content(&w, what);
    if (step != STEP_ERROR_UNSEALED) {
        stun_turn_key(key, "user", "firezone", "password");
        stun_add_integrity(&w, key, sizeof key);
    }
    (void)turn_handle_input(&turn, world.now, &LOCAL, what & 64 ? &RELAY6 : &RELAY, buf,
                            stun_finish(&w));
}

static void owner_asks(unsigned what)
{
    switch (what) {
    case 0:
        turn_refresh(&turn, world.now);
        break;
    case 1:
        turn_ask(&turn, world.now);
        break;
    case 2:
        turn_check_allocation(&turn, world.now);
        break;
    case 3:
        ASSERT(!turn_forget_address(&turn, &LOCAL.ip) || !turn.candidates[0].valid);
        break;
    }
}

static void do_step(enum step step, unsigned number, const uint8_t **data, size_t *size)
{
    struct sock_addr peer = peer_of_number(number);
    size_t n = size_min(number, *size);

    switch (step) {
    case STEP_TIME:
        world.now += number * 500 * NS_PER_MS;
        break;
    case STEP_SLEEP:
        world.now += number * 60 * NS_PER_SEC;
        break;
    case STEP_DUE:
        if (turn_poll_timeout(&turn) != TIME_NEVER)
            world.now = time_max(world.now, turn_poll_timeout(&turn));
        check_timeout();
        break;
    case STEP_SUCCESS:
    case STEP_ERROR:
    case STEP_ERROR_UNSEALED:
        if (*size == 0)
            return;
        answer(number, step, **data);
        ++*data, --*size;
        break;
    case STEP_RAW:
        (void)turn_handle_input(&turn, world.now, &LOCAL, &RELAY, *data, n);
        *data += n, *size -= n;
        break;
    case STEP_BIND:
        (void)turn_bind(&turn, world.now, &peer);
        break;
    case STEP_DATA_RECEIVED:
        turn_note_data_received(&turn, world.now, (uint16_t)(CHANNEL_FIRST + number));
        break;
    case STEP_DATA_SENT:
        turn_note_data_sent(&turn, world.now);
        break;
    case STEP_REFRESH:
        owner_asks(number & 3);
        break;
    case STEP_RESTART:
        turn_restart(&turn, world.now);
        break;
    case STEP_CLOSE:
        turn_close(&turn, world.now);
        break;
    case STEP_TRANSMIT:
        transmit();
        break;
    case STEP_EVENTS:
        fetch_events();
        break;
    case STEP_QUESTIONS:
        ask();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[TURN_SEED_LEN];
    struct turn_config config = {.username = "user", .password = "password", .v4 = RELAY};

    if (size == 0)
        return 0;
    if (data[0] & 1)
        config.v6 = RELAY6;
    data++, size--;
    world = (struct world){.now = NS_PER_SEC};
    ASSERT(turn_init(&turn, &config, seed, world.now) == ERR_OK);
    while (size > 0) {
        uint8_t byte = *data;
        data++, size--;
        do_step((enum step)(byte & 15), byte >> 4, &data, &size);
    }
    transmit();
    check_timeout();
    ask();
    turn_wipe(&turn);
    return 0;
}
