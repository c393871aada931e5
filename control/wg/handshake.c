/* SPDX-License-Identifier: Apache-2.0 */
/* The peer's handshake state machine, see handshake.h. */
#include "control/wg/handshake.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

/* ---- state ---- */

/* The only place that changes the state. */
static void set_state(struct wg_peer *p, enum wg_peer_state next)
{
    enum {
        IDLE = 1 << WG_PEER_IDLE,
        SLOT = 1 << WG_PEER_INITIATOR_EXPECT_SLOT,
        RESPONSE = 1 << WG_PEER_INITIATOR_EXPECT_RESPONSE,
        CONFIRM = 1 << WG_PEER_RESPONDER_EXPECT_CONFIRM
    };
    static const uint8_t legal[WG_PEER_STATE_COUNT] = {
        [WG_PEER_IDLE] = IDLE | SLOT | RESPONSE | CONFIRM,
        [WG_PEER_INITIATOR_EXPECT_SLOT] = IDLE | RESPONSE,
        [WG_PEER_INITIATOR_EXPECT_RESPONSE] = IDLE | RESPONSE,
        [WG_PEER_RESPONDER_EXPECT_CONFIRM] = IDLE | SLOT | RESPONSE | CONFIRM,
    };
    ASSERT(legal[p->state] & 1 << next);
    p->state = next;
}

/* An attempt of our own is under way. */
static bool initiating(const struct wg_peer *p)
{
    return p->state == WG_PEER_INITIATOR_EXPECT_SLOT ||
           p->state == WG_PEER_INITIATOR_EXPECT_RESPONSE;
}

static void drop_pending(struct wg_peer *p, unsigned i)
{
    noise_pending_wipe(&p->pending[i]);
    p->pending_valid[i] = false;
}

/* ---- outputs ---- */

static struct wg_event *push_event(struct wg_peer *p, enum wg_event_kind kind)
{
    /* One input makes at most four; the caller drains after each. */
    ASSERT(p->event_count < WG_PEER_EVENT_MAX);
    struct wg_event *e = &p->events[p->event_count++];
    e->kind = kind;
    return e;
}

static void push_session(struct wg_peer *p, time_ns now, const struct noise_keys *keys,
                         bool initiator)
{
    struct wg_event *e = push_event(p, WG_EVENT_SESSION_NEW);
    e->session.keys = *keys;
    e->session.initiator = initiator;
    e->session.created = now;
    timers_session_derived(&p->timers, now, initiator);
}

static void push_datagram(struct wg_peer *p, time_ns now, uint8_t *msg, size_t len)
{
    cookie_add_macs(&p->cookie, now, msg, len);
    if (p->datagram_count == WG_PEER_DATAGRAM_MAX) {
        memmove(p->datagrams, p->datagrams + 1, sizeof p->datagrams - sizeof p->datagrams[0]);
        p->datagram_count--;
    }
    struct wg_datagram *d = &p->datagrams[p->datagram_count++];
    d->to = p->endpoint;
    d->len = (uint16_t)len;
    memcpy(d->bytes, msg, len);
    p->slot_at = now + p->timers.timing.rekey_timeout_ns;
}

static void learn_endpoint(struct wg_peer *p, const struct sock_addr *from)
{
    if (sock_addr_equal(&p->endpoint, from))
        return;
    p->endpoint = *from;
    push_event(p, WG_EVENT_ENDPOINT)->endpoint = *from;
}

static void complete(struct wg_peer *p, uint32_t local_index)
{
    timers_handshake_complete(&p->timers);
    set_state(p, WG_PEER_IDLE);
    push_event(p, WG_EVENT_HANDSHAKE_COMPLETE)->local_index = local_index;
}

/* ---- our attempts ---- */

static void send_initiation(struct wg_peer *p, time_ns now, struct wg_fresh *fresh)
{
    uint8_t msg[WG_INITIATION_LEN];
    struct noise_pending pending;
    /* Nothing is sent to an unusable key; the attempt then runs out like one to a silent peer. */
    if (noise_initiation_create(&pending, msg, p->identity, &p->remote, &fresh->noise)) {
        p->pending[1] = p->pending[0];
        p->pending_valid[1] = p->pending_valid[0];
        p->pending[0] = pending;
        p->pending_valid[0] = true;
        fresh->used = true;
        push_datagram(p, now, msg, sizeof msg);
        noise_pending_wipe(&pending);
    }
    timers_initiation_sent(&p->timers, now);
    set_state(p, WG_PEER_INITIATOR_EXPECT_RESPONSE);
}

void wg_peer_want_handshake(struct wg_peer *p, time_ns now, struct wg_fresh *fresh)
{
    if (initiating(p))
        return;
    if (now >= p->slot_at) {
        send_initiation(p, now, fresh);
        return;
    }
    timers_initiation_deferred(&p->timers, p->slot_at);
    set_state(p, WG_PEER_INITIATOR_EXPECT_SLOT);
}

/* The slot or the retry timer ran out. */
static void continue_attempt(struct wg_peer *p, time_ns now, struct wg_fresh *fresh)
{
    if (now < p->slot_at) /* we responded meanwhile: leave that session time to be confirmed */
        timers_initiation_deferred(&p->timers, p->slot_at);
    else
        send_initiation(p, now, fresh);
}

static void fail_attempt(struct wg_peer *p, time_ns now)
{
    timers_handshake_failed(&p->timers, now);
    set_state(p, WG_PEER_IDLE);
    push_event(p, WG_EVENT_HANDSHAKE_FAILED);
}

/* ---- messages ---- */

enum wg_outcome wg_peer_handle_initiation(struct wg_peer *p, time_ns now,
                                          struct noise_opened *opened, const struct sock_addr *from,
                                          struct wg_fresh *fresh)
{
    uint8_t msg[WG_RESPONSE_LEN];
    struct noise_keys keys;
    enum wg_outcome outcome = WG_OUTCOME_UNAUTHENTIC;

    switch (noise_initiation_accept(opened, &p->remote, now)) {
    case NOISE_OK:
        outcome = WG_OUTCOME_ACCEPTED;
        break;
    case NOISE_UNAUTHENTIC:
        outcome = WG_OUTCOME_UNAUTHENTIC;
        break;
    case NOISE_REPLAYED:
        outcome = WG_OUTCOME_REPLAYED;
        break;
    case NOISE_FLOODED:
        outcome = WG_OUTCOME_FLOODED;
        break;
    }
    if (outcome == WG_OUTCOME_ACCEPTED &&
        noise_response_create(&keys, msg, opened, &p->remote, &fresh->noise)) {
        fresh->used = true;
        learn_endpoint(p, from);
        push_datagram(p, now, msg, sizeof msg);
        push_session(p, now, &keys, false);
        noise_keys_wipe(&keys);
        if (!initiating(p))
            set_state(p, WG_PEER_RESPONDER_EXPECT_CONFIRM);
    }
    noise_opened_wipe(opened);
    return outcome;
}

enum wg_outcome wg_peer_handle_response(struct wg_peer *p, time_ns now,
                                        const uint8_t msg[WG_RESPONSE_LEN],
                                        const struct sock_addr *from)
{
    struct noise_keys keys;
    uint32_t index = load_le32(msg + WG_RESPONSE_RECEIVER);
    unsigned i = 0;
    while (i < ARRAY_LEN(p->pending) &&
           !(p->pending_valid[i] && p->pending[i].local_index == index))
        i++;
    if (i == ARRAY_LEN(p->pending))
        return WG_OUTCOME_UNEXPECTED;
    if (!noise_response_consume(&keys, &p->pending[i], p->identity, &p->remote, msg))
        return WG_OUTCOME_UNAUTHENTIC;

    learn_endpoint(p, from);
    push_session(p, now, &keys, true);
    noise_keys_wipe(&keys);
    /*
     * This initiation and older ones are answered. A newer one may be: the responder forgets an unconfirmed session
     * when it gets the newer initiation, so that its answer to that must remain acceptable.
     */
    for (; i < ARRAY_LEN(p->pending); i++)
        drop_pending(p, i);
    complete(p, index);
    push_event(p, WG_EVENT_SEND_KEEPALIVE); /* confirms the session to the responder */
    return WG_OUTCOME_ACCEPTED;
}

enum wg_outcome wg_peer_handle_cookie_reply(struct wg_peer *p, time_ns now,
                                            const uint8_t msg[WG_COOKIE_REPLY_LEN])
{
    if (!p->cookie.awaits_reply)
        return WG_OUTCOME_UNEXPECTED;
    /* The next message carries it; nothing is sent now, or the reply would be an amplifier. */
    return cookie_consume_reply(&p->cookie, now, msg) ? WG_OUTCOME_ACCEPTED
                                                      : WG_OUTCOME_UNAUTHENTIC;
}

/* ---- edges ---- */

void wg_peer_data_sent(struct wg_peer *p, time_ns now)
{
    timers_data_sent(&p->timers, now);
}

void wg_peer_data_received(struct wg_peer *p, time_ns now)
{
    timers_data_received(&p->timers, now);
}

void wg_peer_confirmed(struct wg_peer *p, time_ns now, uint32_t local_index)
{
    (void)now;
    complete(p, local_index);
}

unsigned wg_peer_edges_armed(const struct wg_peer *p)
{
    unsigned armed = 0;
    if (initiating(p)) /* its end settles both: a new session, or a failure */
        armed |= WG_EDGE_HANDSHAKE | WG_EDGE_DATA_SENT;
    if (timers_on(&p->timers, TIMER_NEW_HANDSHAKE))
        armed |= WG_EDGE_DATA_SENT;
    if (timers_on(&p->timers, TIMER_KEEPALIVE))
        armed |= WG_EDGE_DATA_RECEIVED;
    return armed;
}

/* ---- time ---- */

time_ns wg_peer_poll_timeout(const struct wg_peer *p)
{
    return timers_next(&p->timers);
}

void wg_peer_handle_timeout(struct wg_peer *p, time_ns now, const struct wg_activity *activity,
                            struct wg_fresh *fresh)
{
    unsigned due = timers_expire(&p->timers, now, activity);

    if (due & TIMER_BIT(TIMER_ZERO_KEYS)) {
        if (!initiating(p)) /* else a response is still welcome */
            for (unsigned i = 0; i < ARRAY_LEN(p->pending); i++)
                drop_pending(p, i);
        if (p->state == WG_PEER_RESPONDER_EXPECT_CONFIRM)
            set_state(p, WG_PEER_IDLE);
        push_event(p, WG_EVENT_SESSIONS_EXPIRED);
    }
    if (due & TIMER_BIT(TIMER_ATTEMPT)) {
        fail_attempt(p, now);
        due &= ~TIMER_BIT(TIMER_NEW_HANDSHAKE); /* the question went with the attempt */
    } else if (due & TIMER_BIT(TIMER_RETRANSMIT)) {
        continue_attempt(p, now, fresh);
    }
    if (due & (TIMER_BIT(TIMER_NEW_HANDSHAKE) | TIMER_BIT(TIMER_IDLE_REKEY)))
        wg_peer_want_handshake(p, now, fresh);
    if (due & (TIMER_BIT(TIMER_KEEPALIVE) | TIMER_BIT(TIMER_PERSISTENT)))
        push_event(p, WG_EVENT_SEND_KEEPALIVE);
}

/* ---- polling ---- */

bool wg_peer_poll_transmit(struct wg_peer *p, struct wg_datagram *out)
{
    if (p->datagram_count == 0)
        return false;
    *out = p->datagrams[0];
    p->datagram_count--;
    memmove(p->datagrams, p->datagrams + 1, p->datagram_count * sizeof p->datagrams[0]);
    return true;
}

bool wg_peer_poll_event(struct wg_peer *p, struct wg_event *out)
{
    if (p->event_count == 0)
        return false;
    *out = p->events[0];
    p->event_count--;
    memmove(p->events, p->events + 1, p->event_count * sizeof p->events[0]);
    secure_wipe(&p->events[p->event_count], sizeof p->events[0]);
    return true;
}

/* ---- set-up and configuration ---- */

void wg_peer_init(struct wg_peer *p, const struct wg_peer_config *config, uint32_t seed,
                  time_ns now)
{
    memset(p, 0, sizeof *p);
    p->identity = config->identity;
    p->endpoint = config->endpoint;
    noise_remote_init(&p->remote, config->identity, config->public_key, config->psk);
    cookie_init(&p->cookie, config->public_key);
    timers_init(&p->timers, &config->timing, seed, now);
    wg_peer_set_keepalive(p, now, config->keepalive_ns);
}

void wg_peer_fini(struct wg_peer *p)
{
    secure_wipe(p, sizeof *p);
}

void wg_peer_set_endpoint(struct wg_peer *p, const struct sock_addr *endpoint)
{
    p->endpoint = *endpoint;
}

void wg_peer_set_psk(struct wg_peer *p, const uint8_t *psk)
{
    noise_remote_set_psk(&p->remote, psk);
}

void wg_peer_set_keepalive(struct wg_peer *p, time_ns now, time_ns keepalive_ns)
{
    bool turned_on = p->timers.persistent_ns == 0 && keepalive_ns > 0;
    timers_persistent_set(&p->timers, now, keepalive_ns);
    if (turned_on)
        push_event(p, WG_EVENT_SEND_KEEPALIVE);
}

void wg_peer_set_identity(struct wg_peer *p, const struct noise_identity *identity)
{
    p->identity = identity;
    noise_remote_set_identity(&p->remote, identity);
    wg_peer_expire(p);
}

void wg_peer_reset(struct wg_peer *p)
{
    timers_reset(&p->timers);
    for (unsigned i = 0; i < ARRAY_LEN(p->pending); i++)
        drop_pending(p, i);
    p->datagram_count = 0;
    p->slot_at = 0;
    set_state(p, WG_PEER_IDLE);
}

void wg_peer_expire(struct wg_peer *p)
{
    wg_peer_reset(p);
    push_event(p, WG_EVENT_SESSIONS_EXPIRED);
}

bool wg_peer_index_pending(const struct wg_peer *p, uint32_t local_index)
{
    for (unsigned i = 0; i < ARRAY_LEN(p->pending); i++)
        if (p->pending_valid[i] && p->pending[i].local_index == local_index)
            return true;
    return false;
}

const char *wg_peer_state_text(enum wg_peer_state state)
{
    switch (state) {
    case WG_PEER_IDLE:
        return "idle";
    case WG_PEER_INITIATOR_EXPECT_SLOT:
        return "initiator, expects its slot";
    case WG_PEER_INITIATOR_EXPECT_RESPONSE:
        return "initiator, expects a response";
    case WG_PEER_RESPONDER_EXPECT_CONFIRM:
        return "responder, expects confirmation";
    case WG_PEER_STATE_COUNT:
        break;
    }
    return "?";
}

const char *wg_outcome_text(enum wg_outcome outcome)
{
    switch (outcome) {
#define X(name, text)                                                                              \
    case WG_OUTCOME_##name:                                                                        \
        return text;
        WG_OUTCOME_LIST(X)
#undef X
    case WG_OUTCOME_COUNT:
        break;
    }
    return "?";
}
