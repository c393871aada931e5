/* SPDX-License-Identifier: Apache-2.0 */
/* Two peers' handshake machines against each other in virtual time: both roles, loss, load, restarts, timers. */
#include "control/wg/handshake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/wg_pair.h"

static struct pair pair;
static struct pair_node *const a = &pair.node[0], *const b = &pair.node[1];
static const struct wg_timing plain = WG_TIMING_DEFAULT;

#define SECONDS(n) ((n)*NS_PER_SEC)
#define MILLIS(n)  ((n)*NS_PER_MS)

static int set_up(void **state)
{
    (void)state;
    pair_init(&pair, &plain);
    return 0;
}

/* Both ends hold the same session as `current`, with keys that fit. */
static void assert_connected(void)
{
    const struct noise_keys *x = &a->current.session.keys, *y = &b->current.session.keys;
    assert_true(a->current.valid && b->current.valid);
    assert_int_equal(x->local_index, y->remote_index);
    assert_int_equal(x->remote_index, y->local_index);
    assert_memory_equal(x->send, y->receive, WG_KEY_LEN);
    assert_memory_equal(x->receive, y->send, WG_KEY_LEN);
    assert_memory_not_equal(x->send, x->receive, WG_KEY_LEN);
    assert_true(a->current.session.initiator != b->current.session.initiator);
}

/* Time until the next timer, in milliseconds; -1 if none is on. */
static long next_ms(const struct pair_node *n)
{
    time_ns at = wg_peer_poll_timeout(&n->peer);
    return at == TIME_NEVER ? -1 : (long)((at - pair.now) / NS_PER_MS);
}

/* ---- filters of the link ---- */

static bool lose_all(struct pair *p, struct pair_packet *packet)
{
    (void)p, (void)packet;
    return false;
}

static bool lose_initiations(struct pair *p, struct pair_packet *packet)
{
    (void)p;
    return packet->kind != WG_KIND_INITIATION;
}

static bool lose_data(struct pair *p, struct pair_packet *packet)
{
    (void)p;
    return packet->kind != WG_KIND_DATA;
}

static struct pair_packet kept[32];
static unsigned kept_count;

static bool keep_handshakes(struct pair *p, struct pair_packet *packet)
{
    (void)p;
    if (packet->kind != WG_KIND_DATA && kept_count < ARRAY_LEN(kept))
        kept[kept_count++] = *packet;
    return true;
}

static bool keep_and_lose(struct pair *p, struct pair_packet *packet)
{
    keep_handshakes(p, packet);
    return false;
}

static void start_keeping(bool (*filter)(struct pair *, struct pair_packet *))
{
    kept_count = 0;
    pair.filter = filter;
}

/* ---- handshakes ---- */

static void handshake_by(unsigned id)
{
    struct pair_node *i = &pair.node[id], *r = &pair.node[1 - id];
    pair_data(&pair, id);
    assert_int_equal(i->peer.state, WG_PEER_INITIATOR_EXPECT_RESPONSE);
    assert_int_equal(wg_peer_edges_armed(&i->peer), WG_EDGE_HANDSHAKE | WG_EDGE_DATA_SENT);
    pair_run(&pair, MILLIS(15));
    assert_int_equal(r->peer.state, WG_PEER_RESPONDER_EXPECT_CONFIRM);
    assert_int_equal(r->completes, 0);
    pair_run(&pair, MILLIS(985));
    assert_connected();
    assert_int_equal(i->completes, 1);
    assert_int_equal(r->completes, 1);
    assert_int_equal(i->peer.state, WG_PEER_IDLE);
    assert_int_equal(r->peer.state, WG_PEER_IDLE);
    assert_int_equal(r->data_received, 1);
    assert_int_equal(i->initiations_sent, 1);
    assert_int_equal(i->keepalives_sent, 0); /* the staged packet confirmed the session */
    assert_true(i->current.session.initiator);
}

static void test_by_either_side(void **state)
{
    (void)state;
    handshake_by(0);
    pair_init(&pair, &plain);
    handshake_by(1);
}

static void test_keepalive_confirms(void **state)
{
    (void)state;
    pair_want(&pair, a);
    pair_settle(&pair, a);
    pair_run(&pair, SECONDS(1));
    assert_connected();
    assert_int_equal(a->keepalives_sent, 1);
    assert_int_equal(b->keepalives_received, 1);
    assert_int_equal(b->completes, 1);
}

static void test_staged_in_burst(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(a->wants, 1); /* one edge for twenty packets */
    assert_int_equal(b->data_received, 20);
}

/* Both start at the same moment: both sessions come up, everything gets through at once, nobody repeats anything. */
static void test_simultaneous(void **state)
{
    (void)state;
    pair_data(&pair, 0);
    pair_data(&pair, 1);
    pair_run(&pair, SECONDS(4));
    assert_int_equal(a->data_received, 1);
    assert_int_equal(b->data_received, 1);
    assert_int_equal(a->sessions, 2);
    assert_int_equal(b->sessions, 2);
    assert_int_equal(a->initiations_sent + b->initiations_sent, 2);
    assert_int_equal(a->peer.state, WG_PEER_IDLE);
    assert_int_equal(b->peer.state, WG_PEER_IDLE);
    for (int i = 0; i < 10; i++) {
        pair_data(&pair, 0);
        pair_data(&pair, 1);
        pair_run(&pair, SECONDS(1));
    }
    assert_int_equal(a->data_received, 11);
    assert_int_equal(b->data_received, 11);
    assert_int_equal(a->initiations_sent + b->initiations_sent, 2);
}

static void test_retry(void **state)
{
    (void)state;
    start_keeping(keep_and_lose);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(60));
    assert_in_range(a->initiations_sent, 60000 / 5333 + 1, 12);
    assert_true(a->shortest_gap >= SECONDS(5));
    for (unsigned i = 1; i < kept_count; i++) { /* every retry is completely new */
        time_ns gap = kept[i].at - kept[i - 1].at;
        assert_in_range(gap, SECONDS(5), SECONDS(5) + MILLIS(333));
        assert_memory_not_equal(kept[i].bytes + WG_INITIATION_SENDER,
                                kept[i - 1].bytes + WG_INITIATION_SENDER, 4);
        assert_memory_not_equal(kept[i].bytes + WG_INITIATION_EPHEMERAL,
                                kept[i - 1].bytes + WG_INITIATION_EPHEMERAL, 32);
    }
    assert_memory_not_equal(&kept[0].at, &kept[1].at, sizeof kept[0].at);
    pair.filter = NULL;
    pair_run(&pair, SECONDS(6));
    assert_connected();
    assert_int_equal(b->data_received, 1);
    assert_int_equal(a->failures, 0);
}

static void test_jitter_varies(void **state)
{
    (void)state;
    start_keeping(keep_and_lose);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(80));
    unsigned different = 0;
    for (unsigned i = 2; i < kept_count; i++)
        different += kept[i].at - kept[i - 1].at != kept[i - 1].at - kept[i - 2].at;
    assert_true(different >= 10);
}

static void give_up(const struct wg_timing *timing, time_ns attempt)
{
    pair_init(&pair, timing);
    pair.filter = lose_all;
    pair_data(&pair, 0);
    pair_data(&pair, 0);
    pair_run(&pair, attempt - 1);
    assert_int_equal(a->failures, 0);
    assert_int_equal(a->purged, 0);
    pair_run(&pair, MILLIS(1));
    assert_int_equal(a->failures, 1);
    assert_int_equal(a->purged, 2);
    assert_int_equal(a->peer.state, WG_PEER_IDLE);
    assert_int_equal(wg_peer_edges_armed(&a->peer), 0);
    assert_true(a->shortest_gap >= timing->rekey_timeout_ns);
    assert_true(a->initiations_sent > attempt / (timing->rekey_timeout_ns + MILLIS(334)));

    unsigned before = a->initiations_sent; /* quiet until somebody wants it again */
    pair_run(&pair, SECONDS(300));
    assert_int_equal(a->initiations_sent, before);

    pair.filter = NULL;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_connected();
    assert_int_equal(b->data_received, 1);
}

static void test_give_up_and_revive(void **state)
{
    const struct wg_timing ice = {SECONDS(20), SECONDS(5), SECONDS(10), false, false};
    const struct wg_timing iceless = {SECONDS(90), SECONDS(2), SECONDS(5), false, false};
    (void)state;
    give_up(&plain, SECONDS(90));
    give_up(&ice, SECONDS(20));
    give_up(&iceless, SECONDS(90));
}

/* A response that comes after giving up still makes a session. */
static void test_late_response(void **state)
{
    (void)state;
    pair.delay = SECONDS(46);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(91));
    assert_int_equal(a->failures, 1);
    pair_run(&pair, SECONDS(100));
    assert_int_equal(a->sessions + b->sessions > 1, 1);
    assert_int_equal(a->bad_key + b->bad_key, 0);
}

/* With a round trip longer than the retry interval, a response answers the initiation before the last. */
static void test_response_to_previous(void **state)
{
    (void)state;
    pair.delay = SECONDS(3);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(6));
    assert_int_equal(a->initiations_sent, 2);
    assert_int_equal(a->sessions, 1);
    assert_int_equal(a->completes, 1);
    pair_run(&pair,
             SECONDS(20)); /* the newer response replaces it, and no further initiation follows */
    assert_int_equal(a->initiations_sent, 2);
    assert_int_equal(a->sessions, 2);
    assert_connected();
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(4));
    assert_true(b->data_received >= 1);
}

/* Only two initiations are remembered. */
static void test_response_to_old(void **state)
{
    (void)state;
    start_keeping(keep_and_lose);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(11));
    assert_int_equal(kept_count, 3);
    struct pair_packet initiations[3];
    memcpy(initiations, kept, sizeof initiations);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wg_peer_index_pending(&a->peer, load_le32(initiations[i].bytes + 4)),
                         i > 0);
        start_keeping(keep_and_lose);
        pair_deliver(&pair, &initiations[i]);
        pair.now += MILLIS(20); /* not a flood */
        assert_int_equal(kept_count, 1);
        assert_int_equal(pair_deliver(&pair, &kept[0]),
                         i == 0 ? WG_OUTCOME_UNEXPECTED : WG_OUTCOME_ACCEPTED);
    }
    assert_int_equal(a->sessions, 2);
}

static void test_replays(void **state)
{
    (void)state;
    start_keeping(keep_handshakes);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(kept_count, 2);
    struct pair_packet initiation = kept[0], response = kept[1];
    assert_int_equal(pair_deliver(&pair, &initiation), WG_OUTCOME_REPLAYED);
    assert_int_equal(pair_deliver(&pair, &response), WG_OUTCOME_UNEXPECTED);
    assert_int_equal(b->responses_sent, 1);
    assert_int_equal(b->sessions, 1);
    assert_int_equal(a->sessions, 1);
    assert_connected();
}

static void test_flood(void **state)
{
    (void)state;
    start_keeping(keep_and_lose);
    pair_want(&pair, a);
    pair_settle(&pair, a);
    pair.now += MILLIS(1);
    wg_peer_reset(&a->peer); /* lets it start again at once */
    a->armed = 0;
    pair_want(&pair, a);
    pair_settle(&pair, a);
    assert_int_equal(kept_count, 2);
    struct pair_packet second = kept[1];
    assert_int_equal(pair_deliver(&pair, &kept[0]), WG_OUTCOME_ACCEPTED);
    pair.now += MILLIS(19);
    assert_int_equal(pair_deliver(&pair, &second), WG_OUTCOME_FLOODED);
    pair.now += MILLIS(1);
    assert_int_equal(pair_deliver(&pair, &second), WG_OUTCOME_ACCEPTED);
}

static void test_tampered(void **state)
{
    (void)state;
    start_keeping(keep_and_lose);
    pair_data(&pair, 0);
    struct pair_packet bad = kept[0];
    bad.bytes[WG_INITIATION_STATIC] ^= 1;
    cookie_add_macs(&a->peer.cookie, pair.now, bad.bytes, bad.len); /* get it past the gate */
    assert_int_equal(pair_deliver(&pair, &bad), WG_OUTCOME_UNAUTHENTIC);
    bad = kept[0];
    bad.bytes[WG_INITIATION_TIMESTAMP] ^= 1;
    cookie_add_macs(&a->peer.cookie, pair.now, bad.bytes, bad.len);
    assert_int_equal(pair_deliver(&pair, &bad), WG_OUTCOME_UNAUTHENTIC);
    assert_int_equal(b->sessions, 0);

    assert_int_equal(pair_deliver(&pair, &kept[0]), WG_OUTCOME_ACCEPTED);
    bad = kept[1];
    bad.bytes[WG_RESPONSE_NOTHING] ^= 1;
    cookie_add_macs(&b->peer.cookie, pair.now, bad.bytes, bad.len);
    assert_int_equal(pair_deliver(&pair, &bad), WG_OUTCOME_UNAUTHENTIC);
    assert_int_equal(a->sessions, 0);
    assert_int_equal(pair_deliver(&pair, &kept[1]), WG_OUTCOME_ACCEPTED); /* it did no harm */
    assert_int_equal(a->gate_refused + b->gate_refused, 0);
}

static void test_psk_mismatch(void **state)
{
    const uint8_t other[WG_KEY_LEN] = {1};
    (void)state;
    wg_peer_set_psk(&b->peer, other);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(100));
    assert_int_equal(a->sessions, 0);
    assert_true(a->outcomes[WG_OUTCOME_UNAUTHENTIC] > 10);
    assert_int_equal(a->failures, 1);
    assert_int_equal(b->completes, 0);

    wg_peer_set_psk(&a->peer, other);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_connected();
}

/* ---- load ---- */

static void test_responder_under_load(void **state)
{
    (void)state;
    b->under_load = true;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(b->cookie_replies_sent, 1);
    assert_int_equal(a->outcomes[WG_OUTCOME_ACCEPTED],
                     1); /* the cookie reply; nothing is sent at once */
    assert_int_equal(a->initiations_sent, 1);
    pair_run(&pair, SECONDS(5));
    assert_int_equal(a->initiations_sent, 2);
    assert_connected();
}

static void test_initiator_under_load(void **state)
{
    (void)state;
    a->under_load = true;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(a->cookie_replies_sent, 1);
    assert_int_equal(a->sessions, 0);
    pair_run(&pair, SECONDS(5)); /* the second response carries mac2 */
    assert_int_equal(a->cookie_replies_sent, 1);
    assert_connected();
}

static void test_both_under_load(void **state)
{
    (void)state;
    a->under_load = b->under_load = true;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(15));
    assert_connected();
    assert_int_equal(b->data_received, 1);
}

static void test_cookie_reply_unasked(void **state)
{
    struct pair_packet reply = {.to = 0, .kind = WG_KIND_COOKIE_REPLY, .len = WG_COOKIE_REPLY_LEN};
    (void)state;
    store_le32(reply.bytes, WG_KIND_COOKIE_REPLY);
    assert_int_equal(pair_deliver(&pair, &reply), WG_OUTCOME_UNEXPECTED);
    pair_data(&pair, 0);
    assert_int_equal(pair_deliver(&pair, &reply), WG_OUTCOME_UNAUTHENTIC);
}

/* ---- slots: never more than one handshake message per REKEY_TIMEOUT that nobody asked for ---- */

static void test_slot_after_initiation(void **state)
{
    (void)state;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    a->current.valid = false; /* the worker lost it */
    pair_data(&pair, 0);
    assert_int_equal(a->peer.state, WG_PEER_INITIATOR_EXPECT_SLOT);
    assert_int_equal(a->initiations_sent, 1);
    pair_run(&pair, SECONDS(5));
    assert_int_equal(a->initiations_sent, 2);
    assert_int_equal(a->shortest_gap, SECONDS(5));
    assert_connected();
}

/* A responder that wants a session waits for the one that the peer has just begun. */
static void test_slot_after_response(void **state)
{
    (void)state;
    pair.filter = lose_data;
    pair_data(&pair, 0);
    pair_run(&pair, MILLIS(15));
    assert_int_equal(b->responses_sent, 1);
    pair_data(&pair, 1);
    assert_int_equal(b->peer.state, WG_PEER_INITIATOR_EXPECT_SLOT);
    pair_run(&pair, SECONDS(4));
    assert_int_equal(b->initiations_sent, 0);
    pair.filter = NULL;
    pair_data(&pair, 0); /* the confirmation */
    pair_run(&pair, SECONDS(2));
    assert_int_equal(b->initiations_sent, 0);
    assert_int_equal(b->peer.state, WG_PEER_IDLE);
    assert_int_equal(a->data_received, 1);
}

/* Our attempt goes on until the peer's session is confirmed, but not before its slot. */
static void test_retry_waits_for_slot(void **state)
{
    (void)state;
    pair.filter = lose_all;
    pair_data(&pair, 1);
    pair_run(&pair, SECONDS(4));
    start_keeping(keep_handshakes);
    pair_data(&pair, 0);
    pair.delay = MILLIS(10);
    pair_run(&pair, MILLIS(15));
    assert_int_equal(b->responses_sent, 1);
    assert_int_equal(b->peer.state, WG_PEER_INITIATOR_EXPECT_RESPONSE);
    pair.filter = lose_all;
    pair.packet_count = 0; /* and the response is lost */
    pair_run(&pair, SECONDS(4) + MILLIS(900));
    assert_int_equal(b->initiations_sent, 1);
    pair_run(&pair, MILLIS(500));
    assert_int_equal(b->initiations_sent, 2);
}

static void test_want_is_idempotent(void **state)
{
    (void)state;
    pair.filter = lose_all;
    wg_peer_want_handshake(&a->peer, pair.now, pair_fresh(&pair, a));
    for (int i = 0; i < 10; i++) {
        struct wg_fresh *fresh = pair_fresh(&pair, a);
        wg_peer_want_handshake(&a->peer, pair.now, fresh);
        assert_false(fresh->used);
    }
    pair_settle(&pair, a);
    assert_int_equal(a->initiations_sent, 1);
}

/* ---- timers ---- */

static void connect_pair(void)
{
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_connected();
}

/* The receiver of data answers 10 s after the first packet if it has nothing to say, and only then. */
static void test_passive_keepalive(void **state)
{
    (void)state;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(10));
    assert_int_equal(b->keepalives_sent, 0);
    pair_run(&pair, MILLIS(100));
    assert_int_equal(b->keepalives_sent, 1);
    assert_int_equal(a->keepalives_received, 1);
    pair_run(&pair, SECONDS(100));
    assert_int_equal(b->keepalives_sent, 1);
    assert_int_equal(a->keepalives_sent, 0);
    assert_int_equal(a->initiations_sent, 1);
}

static void test_no_passive_keepalive_when_answered(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        pair_data(&pair, 0);
        pair_run(&pair, MILLIS(500));
        pair_data(&pair, 1);
        pair_run(&pair, MILLIS(500));
    }
    assert_int_equal(a->keepalives_sent + b->keepalives_sent, 0);
    assert_int_equal(a->initiations_sent, 1);
    assert_int_equal(a->data_received, 60);
}

/* One-way traffic: a keepalive every 10 s, and no handshake before its time. */
static void test_one_way(void **state)
{
    (void)state;
    for (int i = 0; i < 1100; i++) {
        pair_data(&pair, 0);
        pair_run(&pair, MILLIS(100));
    }
    assert_int_equal(a->initiations_sent, 1);
    assert_in_range(b->keepalives_sent, 9, 11);
    assert_int_equal(b->data_received, 1100);
}

/* The peer forgot everything: its silence is noticed after 15 s. */
static void test_restart_of_peer(void **state)
{
    (void)state;
    connect_pair();
    pair_run(&pair, SECONDS(30));
    pair_peer_init(&pair, 1, &plain);
    b->current.valid = b->previous.valid = b->next.valid = false;
    b->armed = 0;
    memset(&b->activity, 0, sizeof b->activity);
    unsigned received = b->data_received;

    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(15));
    assert_int_equal(a->initiations_sent, 1);
    for (int i = 0; i < 4; i++) {
        pair_data(&pair, 0);
        pair_run(&pair, MILLIS(100));
    }
    assert_int_equal(a->initiations_sent, 2);
    pair_data(&pair, 0);
    pair_run(&pair, MILLIS(100));
    assert_connected();
    assert_true(b->data_received > received);
}

/* We forgot everything: our new initiation replaces what the peer has. */
static void test_restart_of_self(void **state)
{
    (void)state;
    connect_pair();
    pair_run(&pair, SECONDS(30));
    pair_peer_init(&pair, 0, &plain);
    a->current.valid = false;
    a->armed = 0;
    memset(&a->activity, 0, sizeof a->activity);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_connected();
    assert_int_equal(b->data_received, 2);
}

/* Data sent into the void, and then nothing more: one series of attempts, then silence. */
static void test_unanswered_gives_up(void **state)
{
    (void)state;
    connect_pair();
    pair.filter = lose_all;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(16));
    assert_int_equal(a->initiations_sent, 2);
    pair_run(&pair, SECONDS(90));
    assert_int_equal(a->failures, 1);
    unsigned before = a->initiations_sent;
    pair_run(&pair, SECONDS(300));
    assert_int_equal(a->initiations_sent, before);
}

/* The thread was held up until both are due, the end of the attempt and the answer to data: one series is enough. */
static void test_failure_settles_unanswered(void **state)
{
    (void)state;
    pair.filter = lose_all;
    wg_peer_data_sent(&a->peer, pair.now);
    pair_want(&pair, a);
    pair_settle(&pair, a);
    a->activity.unanswered_since = pair.now;
    pair.now += SECONDS(200);
    wg_peer_handle_timeout(&a->peer, pair.now, &a->activity, pair_fresh(&pair, a));
    pair_settle(&pair, a);
    assert_int_equal(a->failures, 1);
    assert_int_equal(a->initiations_sent, 1);
    assert_int_equal(a->peer.state, WG_PEER_IDLE);
}

static void test_persistent_keepalive(void **state)
{
    (void)state;
    wg_peer_set_keepalive(&a->peer, pair.now, SECONDS(25));
    pair_settle(&pair, a);
    pair_run(&pair, SECONDS(1)); /* the first one, at once, starts the handshake */
    assert_connected();
    assert_int_equal(a->keepalives_sent, 1);
    pair_run(&pair, SECONDS(100));
    assert_int_equal(a->keepalives_sent, 5);
    assert_int_equal(b->keepalives_sent, 0);

    for (int i = 0; i < 40; i++) { /* not while there is traffic */
        pair_data(&pair, 0);
        pair_data(&pair, 1);
        pair_run(&pair, SECONDS(2));
    }
    assert_int_equal(a->sessions, 2);
    assert_int_equal(a->keepalives_sent, 6); /* one more: it confirmed the second session */
    wg_peer_set_keepalive(&a->peer, pair.now, 0);
    pair_run(&pair, SECONDS(60));
    assert_int_equal(a->keepalives_sent, 7); /* one more: passive, for b's last packet */
}

/* Over a whole day: each session is replaced once it is too old to be sent on, with nothing else going on. */
static void test_persistent_keepalive_rekeys(void **state)
{
    (void)state;
    wg_peer_set_keepalive(&a->peer, pair.now, SECONDS(25));
    pair_settle(&pair, a);
    pair_run(&pair, SECONDS(86400));
    assert_in_range(a->sessions, 86400 / 145, 86400 / 119);
    assert_int_equal(a->failures, 0);
    assert_int_equal(a->expiries, 0);
    assert_in_range(b->keepalives_received, 86400 / 26, 86400 / 20);
}

static void test_persistent_keepalive_survives_outage(void **state)
{
    (void)state;
    wg_peer_set_keepalive(&a->peer, pair.now, SECONDS(25));
    pair_settle(&pair, a);
    pair_run(&pair, SECONDS(10));
    pair.filter = lose_all;
    pair_run(&pair, SECONDS(1000));
    assert_true(a->failures >= 2);
    assert_int_equal(a->expiries, 1);
    pair.filter = NULL;
    pair_run(&pair, SECONDS(120));
    assert_connected();
}

static void test_expiry(void **state)
{
    (void)state;
    connect_pair();
    time_ns derived = b->current.session.created;
    pair_run(&pair, derived + SECONDS(540) - 1 - pair.now);
    assert_int_equal(b->expiries, 0);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(a->expiries, 1);
    assert_int_equal(b->expiries, 1);
    assert_int_equal(next_ms(a), -1); /* an idle peer needs no wake-ups at all */
    assert_int_equal(next_ms(b), -1);
    pair_data(&pair, 1);
    pair_run(&pair, SECONDS(1));
    assert_connected();
}

static void test_idle_is_silent(void **state)
{
    (void)state;
    assert_int_equal(next_ms(a), -1);
    connect_pair();
    pair_run(&pair, SECONDS(30)); /* timers of the edges settle */
    assert_int_equal(next_ms(a) > 400000, 1);
    assert_int_equal(pair_run(&pair, SECONDS(400)), 0);
}

static void test_unused_expiry(void **state)
{
    struct wg_timing timing = plain;
    (void)state;
    timing.expire_unused = true;
    pair_init(&pair, &timing);
    pair_run(&pair, SECONDS(539));
    assert_int_equal(a->expiries, 0);
    pair_run(&pair, SECONDS(2));
    assert_int_equal(a->expiries, 1);
}

/* Wiping keys drops what a response could answer; while an attempt is under way it does not. */
static void test_expiry_and_pending(void **state)
{
    (void)state;
    pair.filter = lose_initiations;
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(91));
    assert_int_equal(a->failures, 1);
    assert_true(a->peer.pending_valid[0] && a->peer.pending_valid[1]);
    pair_run(&pair, SECONDS(530));
    pair_data(&pair, 0);
    pair_run(&pair, MILLIS(9500));
    assert_int_equal(a->expiries, 1);
    assert_true(a->peer.pending_valid[0] && a->peer.pending_valid[1]);
    pair_run(&pair, SECONDS(700));
    assert_int_equal(a->expiries, 2);
    assert_false(a->peer.pending_valid[0] || a->peer.pending_valid[1]);
    assert_true(ct_is_zero(a->peer.pending, sizeof a->peer.pending));
}

/* Traffic for an hour: sessions change under it and not one packet is lost or delayed. */
static void test_rekey_under_traffic(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3600; i++) {
        pair_data(&pair, 0);
        pair_data(&pair, i % 2);
        pair_run(&pair, SECONDS(1));
        assert_int_equal(a->data_received + b->data_received, 2 * i);
    }
    assert_in_range(a->initiations_sent + b->initiations_sent, 28, 31);
    assert_int_equal(a->keepalives_sent + b->keepalives_sent <= 60, 1);
    assert_int_equal(a->failures + b->failures, 0);
}

/* Traffic from responder to initiator only: the initiator replaces the session at 165 s. */
static void test_rekey_on_receive(void **state)
{
    (void)state;
    pair_want(&pair, a);
    pair_settle(&pair, a);
    pair_run(&pair, SECONDS(1));
    for (int i = 0; i < 163; i++) {
        b->activity.last_sent = pair.now;
        pair_data(&pair, 1);
        pair_run(&pair, MILLIS(1000));
        a->current.session.initiator = true;
    }
    unsigned before = a->sessions;
    pair_data(&pair, 1);
    pair_run(&pair, SECONDS(3));
    pair_data(&pair, 1);
    pair_run(&pair, SECONDS(3));
    assert_true(a->sessions > before ||
                before > 1); /* its keepalives may have done it at 120 s already */
    assert_int_equal(a->data_received, 165);
}

static void test_idle_rekey(void **state)
{
    struct wg_timing timing = plain;
    (void)state;
    timing.rekey_idle = true;
    pair_init(&pair, &timing);
    connect_pair();
    time_ns created = a->current.session.created;
    pair_run(&pair, created + SECONDS(180) - 1 - pair.now);
    assert_int_equal(a->initiations_sent, 1);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(a->initiations_sent, 2);
    pair_run(&pair, SECONDS(3600));
    assert_in_range(a->sessions, 20, 22);
    assert_int_equal(b->initiations_sent, 0); /* the responder never does */
    assert_int_equal(a->expiries + b->expiries, 0);
}

static void test_edges(void **state)
{
    (void)state;
    connect_pair();
    pair_run(&pair, SECONDS(20));
    assert_int_equal(wg_peer_edges_armed(&a->peer), 0);
    assert_int_equal(wg_peer_edges_armed(&b->peer), 0);
    wg_peer_data_sent(&a->peer, pair.now);
    assert_int_equal(wg_peer_edges_armed(&a->peer), WG_EDGE_DATA_SENT);
    wg_peer_data_received(&a->peer, pair.now);
    assert_int_equal(wg_peer_edges_armed(&a->peer), WG_EDGE_DATA_SENT | WG_EDGE_DATA_RECEIVED);
    assert_in_range(next_ms(a), 9999, 10000);

    struct wg_activity seen = {.unanswered_since = pair.now + SECONDS(7)};
    pair.now += SECONDS(16);
    wg_peer_handle_timeout(&a->peer, pair.now, &seen, pair_fresh(&pair, a));
    assert_int_equal(wg_peer_edges_armed(&a->peer),
                     WG_EDGE_DATA_SENT); /* asked again later: on again, from then */
    assert_in_range(next_ms(a), 5999, 6000);
    seen.unanswered_since = 0;
    pair.now += SECONDS(7);
    wg_peer_handle_timeout(&a->peer, pair.now, &seen, pair_fresh(&pair, a));
    assert_int_equal(wg_peer_edges_armed(&a->peer), 0);
    assert_int_equal(a->peer.event_count + a->peer.datagram_count, 0);
}

/* ---- configuration ---- */

static void test_endpoint(void **state)
{
    struct wg_event e;
    struct wg_datagram d;
    (void)state;
    start_keeping(keep_and_lose);
    pair_data(&pair, 0);
    kept[0].from.port = 4242;
    pair.filter = NULL;
    struct noise_opened opened;
    assert_true(noise_initiation_open(&opened, &b->identity, kept[0].bytes));
    assert_int_equal(
        wg_peer_handle_initiation(&b->peer, pair.now, &opened, &kept[0].from, pair_fresh(&pair, b)),
        WG_OUTCOME_ACCEPTED);
    assert_true(ct_is_zero(&opened, sizeof opened));
    assert_true(wg_peer_poll_event(&b->peer, &e));
    assert_int_equal(e.kind, WG_EVENT_ENDPOINT);
    assert_true(sock_addr_equal(&e.endpoint, &kept[0].from));
    assert_true(wg_peer_poll_transmit(&b->peer, &d));
    assert_int_equal(d.to.port, 4242);
    assert_true(wg_peer_poll_event(&b->peer, &e));
    assert_int_equal(e.kind, WG_EVENT_SESSION_NEW);
    assert_false(wg_peer_poll_event(&b->peer, &e));
    assert_false(wg_peer_poll_transmit(&b->peer, &d));
    assert_true(ct_is_zero(b->peer.events, sizeof b->peer.events)); /* no key stays in the queue */

    struct sock_addr other = kept[0].from;
    other.port = 9;
    wg_peer_set_endpoint(&b->peer, &other);
    pair.now += SECONDS(5);
    wg_peer_want_handshake(&b->peer, pair.now, pair_fresh(&pair, b));
    assert_true(wg_peer_poll_transmit(&b->peer, &d));
    assert_int_equal(d.to.port, 9);
}

static void test_expire(void **state)
{
    (void)state;
    connect_pair();
    wg_peer_expire(&a->peer);
    pair_settle(&pair, a);
    assert_int_equal(a->expiries, 1);
    assert_false(a->current.valid);
    pair_data(&pair, 0); /* may start at once */
    assert_int_equal(a->initiations_sent, 2);
    pair_run(&pair, SECONDS(1));
    assert_connected();
}

static void test_set_identity(void **state)
{
    uint8_t key[32] = {9};
    (void)state;
    connect_pair();
    noise_identity_init(&a->identity, key);
    wg_peer_set_identity(&a->peer, &a->identity);
    cookie_gate_init(&a->gate, a->identity.public_key, key);
    pair_settle(&pair, a);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(1));
    assert_int_equal(b->outcomes[WG_OUTCOME_UNAUTHENTIC], 1); /* a stranger to b */
    pair_peer_init(&pair, 1, &plain);
    b->armed = 0;
    pair_run(&pair, SECONDS(6));
    assert_connected();
}

static void test_unusable_key(void **state)
{
    struct wg_peer_config config = {.identity = &a->identity, .timing = plain};
    (void)state;
    wg_peer_init(&a->peer, &config, 1, pair.now);
    pair_data(&pair, 0);
    pair_run(&pair, SECONDS(100));
    assert_int_equal(a->initiations_sent, 0);
    assert_int_equal(a->failures, 1);
}

static void test_fini_wipes(void **state)
{
    (void)state;
    pair_data(&pair, 0);
    wg_peer_fini(&a->peer);
    assert_true(ct_is_zero(&a->peer, sizeof a->peer));
}

static void test_texts(void **state)
{
    (void)state;
    for (int i = 0; i < WG_PEER_STATE_COUNT; i++)
        assert_string_not_equal(wg_peer_state_text((enum wg_peer_state)i), "?");
    for (int i = 0; i < WG_OUTCOME_COUNT; i++)
        assert_string_not_equal(wg_outcome_text((enum wg_outcome)i), "?");
}

/* ---- a bad link ---- */

static uint32_t dice;

static bool lose_a_third(struct pair *p, struct pair_packet *packet)
{
    (void)packet;
    dice = dice * 1664525 + 1013904223;
    p->delay = MILLIS(1) + dice % MILLIS(300); /* and reorder */
    return (dice >> 24) % 3 != 0;
}

static void test_lossy(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 20; seed++) {
        pair_init(&pair, &plain);
        dice = seed;
        pair.filter = lose_a_third;
        for (unsigned i = 0; i < 1200; i++) {
            dice = dice * 1664525 + 1013904223;
            if (dice >> 30 != 0)
                pair_data(&pair, dice >> 29 & 1);
            pair_run(&pair, SECONDS(1));
        }
        assert_int_equal(a->bad_key + b->bad_key, 0);
        assert_int_equal(a->failures + b->failures, 0);
        assert_true(a->data_received > 150 && b->data_received > 150);
        assert_true(a->shortest_gap == 0 || a->shortest_gap >= SECONDS(5));
        assert_true(b->shortest_gap == 0 || b->shortest_gap >= SECONDS(5));
        assert_true(a->initiations_sent + b->initiations_sent < 60);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(test_##name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(by_either_side),
        TEST(keepalive_confirms),
        TEST(staged_in_burst),
        TEST(simultaneous),
        TEST(retry),
        TEST(jitter_varies),
        TEST(give_up_and_revive),
        TEST(late_response),
        TEST(response_to_previous),
        TEST(response_to_old),
        TEST(replays),
        TEST(flood),
        TEST(tampered),
        TEST(psk_mismatch),
        TEST(responder_under_load),
        TEST(initiator_under_load),
        TEST(both_under_load),
        TEST(cookie_reply_unasked),
        TEST(slot_after_initiation),
        TEST(slot_after_response),
        TEST(retry_waits_for_slot),
        TEST(want_is_idempotent),
        TEST(passive_keepalive),
        TEST(no_passive_keepalive_when_answered),
        TEST(one_way),
        TEST(restart_of_peer),
        TEST(restart_of_self),
        TEST(unanswered_gives_up),
        TEST(failure_settles_unanswered),
        TEST(persistent_keepalive),
        TEST(persistent_keepalive_rekeys),
        TEST(persistent_keepalive_survives_outage),
        TEST(expiry),
        TEST(idle_is_silent),
        TEST(unused_expiry),
        TEST(expiry_and_pending),
        TEST(rekey_under_traffic),
        TEST(rekey_on_receive),
        TEST(idle_rekey),
        TEST(edges),
        TEST(endpoint),
        TEST(expire),
        TEST(set_identity),
        TEST(unusable_key),
        TEST(fini_wipes),
        TEST(texts),
        TEST(lossy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
