/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an allocation and its times. See turn.h. */
#include "control/p2p/turn.h"

#include <openssl/chacha.h>

#include "control/p2p/turn_private.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    MISMATCHES_MAX = 2 /* 437 that are answered at once */
};

void turn_set_state(struct turn *t, enum turn_state next)
{
    enum {
        BINDING = 1 << TURN_BINDING,
        ALLOCATING = 1 << TURN_ALLOCATING,
        DELETING = 1 << TURN_DELETING,
        ALLOCATED = 1 << TURN_ALLOCATED,
        SUSPENDED = 1 << TURN_SUSPENDED,
        END = 1 << TURN_FAILED | 1 << TURN_CLOSED,
        CLOSING = 1 << TURN_CLOSING
    };
    static const uint8_t legal[TURN_STATE_COUNT] = {
        [TURN_BINDING] = BINDING | ALLOCATING | END,
        [TURN_ALLOCATING] = BINDING | ALLOCATING | DELETING | ALLOCATED | SUSPENDED | CLOSING | END,
        [TURN_DELETING] = BINDING | ALLOCATING | CLOSING | END,
        [TURN_ALLOCATED] = BINDING | ALLOCATING | CLOSING | END,
        [TURN_SUSPENDED] = BINDING | END,
        [TURN_FAILED] = BINDING | END,
        [TURN_CLOSING] = BINDING | END,
        [TURN_CLOSED] = BINDING | END,
    };
    ASSERT(legal[t->state] & 1 << next);
    if (next != t->state)
        t->end_told = false;
    t->state = next;
}

static bool in_flight(const struct turn *t)
{
    if (turn_request_in_flight(&t->binding[0]) || turn_request_in_flight(&t->binding[1]) ||
        turn_request_in_flight(&t->allocate) || turn_request_in_flight(&t->refresh))
        return true;
    return node_link_used(&t->channels.busy);
}

/* ---- requests ---- */

/* Nobody who has not seen it can guess it: the answers to BINDING have no other authentication. */
static struct stun_id new_id(struct turn *t)
{
    static const uint8_t zero[STUN_ID_LEN];
    struct stun_id id;

    CRYPTO_chacha_20(id.bytes, zero, sizeof zero, t->seed, zero, t->ids++);
    return id;
}

void turn_begin(struct turn *t, time_ns now, struct turn_request *r, enum stun_method method,
                uint8_t server, uint8_t attempts_max)
{
    struct stun_id id = new_id(t);

    turn_request_begin(r, now, method, server, attempts_max, &id);
}

time_ns turn_next_pause(struct turn *t)
{
    time_ns pause = t->pause_ns;

    t->pause_ns = time_min(2 * pause, TURN_PAUSE_MAX_NS);
    return pause;
}

void turn_allocate(struct turn *t, time_ns now)
{
    ASSERT(t->active >= 0);
    turn_set_state(t, TURN_ALLOCATING);
    if (t->mismatches > MISMATCHES_MAX)
        t->allocate_at = now + turn_next_pause(t);
    else
        turn_begin(t, now, &t->allocate, STUN_ALLOCATE, (uint8_t)t->active, TURN_ATTEMPTS);
}

void turn_delete(struct turn *t, time_ns now, uint8_t attempts_max)
{
    turn_begin(t, now, &t->refresh, STUN_REFRESH, (uint8_t)t->active, attempts_max);
    t->refresh.deletes = true;
}

/* ---- the allocation and what depends on it ---- */

void turn_invalidate(struct turn *t)
{
    turn_candidates_invalidate(t, TURN_CANDIDATE_RELAYS);
    t->down_untold = t->up_told;
    turn_channels_clear(&t->channels);
    for (unsigned i = 0; i < TURN_FIXED_REQUESTS; i++)
        turn_request_end(turn_fixed_request(t, i));
    t->allocate_at = t->refresh_at = t->expires_at = t->keepalive_at = TIME_NEVER;
}

void turn_fail(struct turn *t, enum turn_failure failure)
{
    turn_invalidate(t);
    t->active = -1;
    t->waiting_count = 0;
    t->failure = failure;
    turn_set_state(t, TURN_FAILED);
}

/* ---- channels ---- */

void turn_wait(struct turn *t, const struct sock_addr *peer)
{
    for (unsigned i = 0; i < t->waiting_count; i++) {
        if (sock_addr_equal(&t->waiting[(t->waiting_first + i) % TURN_WAITING_MAX], peer))
            return;
    }
    if (t->waiting_count == TURN_WAITING_MAX) {
        t->waiting_first = (t->waiting_first + 1) % TURN_WAITING_MAX;
        t->waiting_count--;
    }
    t->waiting[(t->waiting_first + t->waiting_count++) % TURN_WAITING_MAX] = *peer;
}

void turn_bind_waiting(struct turn *t, time_ns now)
{
    while (t->waiting_count > 0) {
        const struct sock_addr *peer = &t->waiting[t->waiting_first];
        (void)turn_bind(t, now, peer);
        t->waiting_first = (t->waiting_first + 1) % TURN_WAITING_MAX;
        t->waiting_count--;
    }
}

static void channel_begin(struct turn *t, time_ns now, struct turn_channel *c)
{
    turn_begin(t, now, &c->request, STUN_CHANNEL_BIND, (uint8_t)t->active, TURN_ATTEMPTS);
    turn_channels_settle(&t->channels, c);
}

bool turn_bind(struct turn *t, time_ns now, const struct sock_addr *peer)
{
    struct turn_channel *c;
    struct sock_addr ours;

    if (turn_ended(t) || t->state == TURN_SUSPENDED || t->state == TURN_CLOSING ||
        !candidate_addr_ok(peer))
        return false;
    if (t->state != TURN_ALLOCATED) {
        turn_wait(t, peer);
        return true;
    }
    if (!turn_relayed(t, (enum addr_family)peer->ip.family, &ours))
        return false;
    c = turn_channels_of_peer(&t->channels, peer);
    if (c && (turn_request_in_flight(&c->request) || turn_channel_open(c, now)))
        return true;
    if (!c)
        c = turn_channels_add(&t->channels, now, peer);
    if (!c || now < c->retry_at)
        return false;
    channel_begin(t, now, c);
    return true;
}

time_ns turn_refused_until(struct turn *t, const struct sock_addr *peer)
{
    const struct turn_channel *c = turn_channels_of_peer(&t->channels, peer);

    return c ? c->retry_at : 0;
}

bool turn_has_channel(struct turn *t, const struct sock_addr *peer)
{
    return turn_channels_of_peer(&t->channels, peer) != NULL;
}

uint16_t turn_channel_for(struct turn *t, time_ns now, const struct sock_addr *peer)
{
    const struct turn_channel *c = turn_channels_of_peer(&t->channels, peer);

    if (!c || (!turn_channel_open(c, now) && !turn_request_in_flight(&c->request)))
        return 0;
    return c->number;
}

bool turn_peer_of(struct turn *t, time_ns now, uint16_t channel, struct sock_addr *peer)
{
    const struct turn_channel *c = turn_channels_of_number(&t->channels, channel);

    if (!c || !turn_channel_open(c, now))
        return false;
    *peer = c->peer;
    return true;
}

void turn_note_data_sent(struct turn *t, time_ns at)
{
    if (t->state == TURN_ALLOCATED)
        t->keepalive_at = time_max(t->keepalive_at, at + TURN_KEEPALIVE_NS);
}

void turn_note_data_received(struct turn *t, time_ns at, uint16_t channel)
{
    struct turn_channel *c = turn_channels_of_number(&t->channels, channel);

    if (c && at >= c->bound_at && turn_channel_open(c, at))
        turn_channels_received(&t->channels, c);
}

/* ---- beginning and end ---- */

static void ask_addresses(struct turn *t, time_ns now)
{
    t->asked_at = now;
    t->ask_at = TIME_NEVER;
    for (uint8_t i = 0; i < 2; i++) {
        if (t->servers[i].ip.family != ADDR_NONE)
            turn_begin(t, now, &t->binding[i], STUN_BINDING, i, TURN_ATTEMPTS);
    }
}

/* As if it were new, but for the addresses that it has told. */
static void start(struct turn *t, time_ns now)
{
    turn_invalidate(t);
    t->active = -1;
    t->mapped = (struct sock_addr){.port = 0};
    t->nonce_len = 0;
    t->unauthenticated_challenges = false;
    t->mismatches = 0;
    t->rtt_ns = 0;
    t->pause_ns = TURN_PAUSE_MIN_NS;
    t->waiting_count = 0;
    turn_set_state(t, TURN_BINDING);
    ask_addresses(t, now);
}

/* All but channels that were not used. */
static void wipe(struct turn *t)
{
    secure_wipe(t, offsetof(struct turn, channels.slots));
    turn_channels_clear(&t->channels);
    t->active = -1;
    t->state = TURN_CLOSED;
    t->end_told = true;
}

void turn_wipe(struct turn *t)
{
    turn_channels_clear(&t->channels);
    wipe(t);
}

enum err turn_init(struct turn *t, const struct turn_config *config,
                   const uint8_t seed[TURN_SEED_LEN], time_ns now)
{
    wipe(t);
    if (strlen(config->username) > TURN_CREDENTIAL_MAX ||
        (config->v4.ip.family == ADDR_NONE && config->v6.ip.family == ADDR_NONE))
        return ERR_INVALID;
    ASSERT(config->v4.ip.family != ADDR_V6 && config->v6.ip.family != ADDR_V4);
    t->servers[0] = config->v4;
    t->servers[1] = config->v6;
    memcpy(t->username, config->username, strlen(config->username) + 1);
    stun_turn_key(t->key, config->username, TURN_REALM, config->password);
    memcpy(t->seed, seed, TURN_SEED_LEN);
    t->channels.hash_secret = node_hash(0, seed, TURN_SEED_LEN);
    t->end_told = false;
    start(t, now);
    return ERR_OK;
}

void turn_restart(struct turn *t, time_ns now)
{
    turn_candidates_invalidate(t, 0);
    start(t, now);
}

void turn_refresh(struct turn *t, time_ns now)
{
    if (t->state == TURN_SUSPENDED)
        start(t, now);
    else if (t->state == TURN_ALLOCATED && !turn_request_in_flight(&t->refresh)) {
        turn_begin(t, now, &t->refresh, STUN_REFRESH, (uint8_t)t->active, 1);
        t->refresh_at = TIME_NEVER;
    }
}

void turn_check_allocation(struct turn *t, time_ns now)
{
    if (t->state != TURN_ALLOCATED || turn_request_in_flight(&t->refresh))
        return;
    turn_begin(t, now, &t->refresh, STUN_REFRESH, (uint8_t)t->active, TURN_ATTEMPTS);
    t->refresh_at = TIME_NEVER;
}

/* What is in flight has perhaps been sent from an address that is no more: it begins anew. */
static void ask_all(struct turn *t, time_ns now)
{
    ask_addresses(t, now);
    if (t->state == TURN_ALLOCATED)
        turn_request_end(&t->refresh);
    turn_check_allocation(t, now);
}

void turn_ask(struct turn *t, time_ns now)
{
    if (turn_ended(t) || t->state == TURN_CLOSING)
        return;
    if (time_since(now, t->asked_at) >= TURN_ASK_GAP_NS)
        ask_all(t, now);
    else
        t->ask_at = t->asked_at + TURN_ASK_GAP_NS;
}

void turn_close(struct turn *t, time_ns now)
{
    bool has_one = t->state == TURN_ALLOCATED || t->state == TURN_DELETING ||
                   (turn_request_in_flight(&t->allocate) && t->nonce_len > 0);

    if (t->state == TURN_CLOSING || t->state == TURN_CLOSED)
        return;
    turn_invalidate(t);
    t->waiting_count = 0;
    t->ask_at = TIME_NEVER;
    turn_set_state(t, has_one ? TURN_CLOSING : TURN_CLOSED);
    if (has_one)
        turn_delete(t, now, 1);
}

/* ---- time ---- */

/* A request was never answered. */
static void give_up(struct turn *t, struct turn_request *r)
{
    if (t->state == TURN_CLOSING) {
        turn_invalidate(t);
        turn_set_state(t, TURN_CLOSED);
    } else if (r->server == t->active)
        turn_fail(t, TURN_FAILURE_NO_RESPONSE);
    else
        turn_request_end(r);
}

static void requests_timeout(struct turn *t, time_ns now)
{
    for (unsigned i = 0; i < TURN_FIXED_REQUESTS && !turn_ended(t); i++) {
        struct turn_request *r = turn_fixed_request(t, i);
        if (now >= turn_request_due(r) && !turn_request_again(r, now))
            give_up(t, r);
    }
    if (t->state == TURN_BINDING && !in_flight(t))
        turn_fail(t, TURN_FAILURE_NO_RESPONSE);
}

/* What is due leads to something that is due later, or never. */
static void channels_timeout(struct turn *t, time_ns now)
{
    struct turn_channel *c;

    while (!turn_ended(t) && (c = turn_channels_due(&t->channels, now))) {
        if (now >= turn_request_due(&c->request) && !turn_request_again(&c->request, now)) {
            turn_channels_refused(&t->channels, c, now);
            turn_check_allocation(t, now);
        }
        turn_channels_expire(&t->channels, c, now);
        if (turn_channel_wants_bind(c, now))
            channel_begin(t, now, c);
        turn_channels_settle(&t->channels, c);
    }
}

static void allocation_timeout(struct turn *t, time_ns now)
{
    struct turn_request *binding = &t->binding[t->active];

    if (now >= t->expires_at) {
        turn_invalidate(t);
        turn_allocate(t, now);
        return;
    }
    if (now >= t->refresh_at) {
        t->refresh_at = TIME_NEVER;
        turn_check_allocation(t, now);
    }
    if (now >= t->keepalive_at) {
        t->keepalive_at = now + TURN_KEEPALIVE_NS;
        if (!turn_request_in_flight(binding))
            turn_begin(t, now, binding, STUN_BINDING, (uint8_t)t->active, TURN_ATTEMPTS);
    }
    channels_timeout(t, now);
}

void turn_handle_timeout(struct turn *t, time_ns now)
{
    if (turn_ended(t))
        return;
    requests_timeout(t, now);
    if (now >= t->ask_at && !turn_ended(t))
        ask_all(t, now);
    if (t->state == TURN_ALLOCATED)
        allocation_timeout(t, now);
    if (now >= t->allocate_at) {
        t->allocate_at = TIME_NEVER;
        turn_begin(t, now, &t->allocate, STUN_ALLOCATE, (uint8_t)t->active, TURN_ATTEMPTS);
    }
}

time_ns turn_poll_timeout(const struct turn *t)
{
    time_ns due =
        time_min(time_min(t->allocate_at, t->refresh_at), time_min(t->expires_at, t->keepalive_at));

    if (turn_ended(t))
        return TIME_NEVER;
    due = time_min(due, t->ask_at);
    due = time_min(due, turn_request_due(&t->binding[0]));
    due = time_min(due, turn_request_due(&t->binding[1]));
    due = time_min(due, turn_request_due(&t->allocate));
    due = time_min(due, turn_request_due(&t->refresh));
    return time_min(due, turn_channels_poll_timeout(&t->channels));
}

/* ---- questions ---- */

bool turn_server(const struct turn *t, struct sock_addr *out)
{
    if (t->active >= 0)
        *out = t->servers[t->active];
    return t->active >= 0;
}

bool turn_has_server(const struct turn *t, const struct sock_addr *addr)
{
    return addr->ip.family != ADDR_NONE &&
           (sock_addr_equal(&t->servers[0], addr) || sock_addr_equal(&t->servers[1], addr));
}
