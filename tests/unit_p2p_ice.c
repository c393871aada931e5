/* SPDX-License-Identifier: Apache-2.0 */
/* An ICE agent in virtual time: its messages, the schedule of its checks, the candidates of both ends. */
#include "tests/ice_rig.h"

/* ---- messages ---- */

static void test_messages(void **state)
{
    static const uint8_t expected[] = {
        0x00, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 1,    2,    3,    4,    5,    6,
        7,    8,    9,    10,   11,   12,   0x00, 0x06, 0x00, 0x09, 'g',  'w',  'u',  'f',
        ':',  'c',  'l',  'u',  'f',  0,    0,    0,    0x80, 0x2a, 0x00, 0x08, 0x11, 0x22,
        0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x00, 0x24, 0x00, 0x04, 0x6e, 0xff, 0xfe, 0xff,
        0x00, 0x25, 0x00, 0x00, 0x00, 0x08, 0x00, 0x14, 0xff, 0xe2, 0xa7, 0x4f, 0xe0, 0x21,
        0xa3, 0xb8, 0x1a, 0xc1, 0x53, 0x95, 0x4c, 0xd3, 0x26, 0x58, 0x3e, 0x33, 0x6d, 0x67,
        0x80, 0x28, 0x00, 0x04, 0x8d, 0xd6, 0x52, 0xc8};
    struct ice_check check = {.id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
                              .role = ICE_CONTROLLING,
                              .use_candidate = true,
                              .priority = 0x6efffeff,
                              .tie_breaker = UINT64_C(0x1122334455667788)};
    uint8_t out[ICE_DATAGRAM_MAX], key[ICE_KEY_LEN] = {3};
    struct stun_id id;
    uint32_t serial;
    (void)state;

    assert_int_equal(ice_write_check(out, &check, &OURS, &THEIRS), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);

    id = ice_id_make(7, key, 12345);
    assert_true(ice_id_open(&id, 7, key, &serial));
    assert_int_equal(serial, 12345);
    assert_int_equal(ice_id_tag(&id), 7);
    assert_false(ice_id_open(&id, 8, key, &serial));
    for (unsigned bit = 0; bit < 8 * STUN_ID_LEN; bit++) {
        struct stun_id wrong = id;
        wrong.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(ice_id_open(&wrong, 7, key, &serial));
    }
}

static void test_check_content(void **state)
{
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_true(transmit(&r));
    assert_true(stun_is_ice_request(&r.sent));
    assert_true(stun_text_is(r.sent.username, "gwuf:cluf"));
    assert_true(stun_integrity_ok(&r.sent, THEIRS.password, strlen(THEIRS.password)));
    assert_true(stun_fingerprint_ok(&r.sent));
    assert_int_equal(r.sent.priority, candidate_prflx_priority(2130706175));
    assert_true(r.sent.has & STUN_HAS_CONTROLLED && r.sent.controlled == r.ice.tie_breaker);
    assert_false(r.sent.has & (STUN_HAS_CONTROLLING | STUN_HAS_USE_CANDIDATE));
    assert_true(ice_owns_id(&r.ice, &r.sent.id));
    assert_int_equal(ice_id_tag(&r.sent.id), 0xabcd);
    assert_false(r.out.relayed);
    assert_quiet(&r);
}

static void test_config(void **state)
{
    struct ice_config config = {.ufrag = "a", .password = "b", .remote_ufrag = "c"};
    char long_text[ICE_PASSWORD_MAX + 2] = {0};
    struct ice a;
    (void)state;

    memset(long_text, 'x', sizeof long_text - 1);
    config.remote_password = "";
    assert_int_equal(ice_init(&a, &config, SEED, START), ERR_INVALID);
    config.remote_password = long_text;
    assert_int_equal(ice_init(&a, &config, SEED, START), ERR_INVALID);
    config.remote_password = long_text + 1;
    assert_int_equal(ice_init(&a, &config, SEED, START), ERR_OK);
    assert_true(sizeof a < 24 * 1024);
}

/* ---- the schedule ---- */

/* Check number i is sent at times_ms[i]; then nothing but the end is due at given_up_ms. */
static void assert_schedule(struct rig *r, const unsigned *times_ms, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(i == 0 ? r->now - START : advance(r), MS(times_ms[i]));
        assert_true(transmit(r));
        assert_quiet(r);
    }
}

static void test_schedule_unanswered(void **state)
{
    static const unsigned client[] = {0,    250,  750,  1750,  3250,  4750,
                                      6250, 7750, 9250, 10750, 12250, 13750};
    static const unsigned gateway[] = {0,     250,   750,   1750,  3750, 7750,
                                       15750, 30750, 45750, 60750, 75750};
    struct ice_event e;
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_schedule(&r, client, ARRAY_LEN(client));
    assert_int_equal(r.ice.state, ICE_CHECKING);
    assert_int_equal(advance(&r), MS(15250));
    assert_int_equal(r.ice.state, ICE_DISCONNECTED);
    assert_int_equal(r.ice.pairs.count, 0);
    assert_int_equal(advance(&r), MS(17250));
    assert_true(next_event(&r, ICE_EVENT_FAILED, &e));
    assert_int_equal(e.failure, ICE_FAILURE_DISCONNECTED);
    assert_false(ice_poll_event(&r.ice, &e));
    assert_true(ice_poll_timeout(&r.ice) == TIME_NEVER);
    assert_false(add_remote(&r, CANDIDATE_HOST, "198.51.100.8:1"));

    begin_pair(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_schedule(&r, gateway, ARRAY_LEN(gateway));
    for (unsigned i = ARRAY_LEN(gateway); i < 45; i++) {
        (void)advance(&r);
        assert_true(transmit(&r));
    }
    assert_int_equal(advance(&r), MS(615750 - 15000));
    assert_int_equal(r.ice.state, ICE_DISCONNECTED);
}

/* How long after the last answered check's successor a pair of this kind is given up. */
static time_ns silence_until_given_up(enum ice_kind kind, bool idle)
{
    struct rig r;
    time_ns first;

    begin_pair(&r, kind == ICE_GATEWAY ? ICE_CONTROLLED : ICE_CONTROLLING, kind);
    ice_set_idle(&r.ice, r.now, idle);
    for (int i = 0; i < 50; i++) {
        assert_true(transmit(&r));
        assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        if (!transmit(&r))
            (void)advance(&r);
        else
            assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED), (void)advance(&r);
    }
    first = r.now;
    while (r.ice.pairs.count > 0)
        (void)advance(&r);
    return r.now - first;
}

static void test_silence(void **state)
{
    (void)state;
    assert_int_equal(silence_until_given_up(ICE_CLIENT, false), MS(16500));
    assert_int_equal(silence_until_given_up(ICE_CLIENT, true), MS(100000));
    assert_int_equal(silence_until_given_up(ICE_CLIENT_TO_CLIENT, false), MS(16500));
    assert_int_equal(silence_until_given_up(ICE_CLIENT_TO_CLIENT, true), MS(16500));
    assert_int_equal(silence_until_given_up(ICE_GATEWAY, false), MS(615500));
    assert_int_equal(silence_until_given_up(ICE_GATEWAY, true), MS(1000000));
}

/* 1.5 s between checks that are answered; after silence they come at 0.5 s, 1 s, 1.5 s. */
static void test_speeds_up(void **state)
{
    static const unsigned after[] = {1500, 2000, 3000, 4500, 6000, 7500};
    struct rig r;
    time_ns first;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT);
    for (int i = 0; i < 15; i++) {
        while (transmit(&r))
            assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        (void)advance(&r);
    }
    first = r.now - START;
    for (unsigned i = 0; i < ARRAY_LEN(after); i++)
        assert_int_equal(advance(&r), first + MS(after[i]));
}

static void test_late_answers(void **state)
{
    struct ice_datagram first;
    struct stun_message sent;
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLED, ICE_CLIENT_TO_CLIENT);
    assert_true(transmit(&r));
    first = r.out;
    assert_int_equal(stun_parse(&sent, first.bytes, first.len), ERR_OK);
    for (int i = 0; i < 4; i++)
        (void)advance(&r);
    r.sent = sent;
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_int_equal(r.ice.pairs.at[0].schedule.unanswered, 4);
    while (r.now < START + MS(10001))
        (void)advance(&r);
    r.sent = sent;
    assert_int_equal(answer(&r), ICE_VERDICT_UNEXPECTED);
}

/* While the peer's requests come in, a pair is not given up. */
static void test_requests_keep(void **state)
{
    struct rig r;
    time_ns last = 0;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT);
    while (r.now < START + MS(20000)) {
        (void)advance(&r);
        if (r.now > START + MS(9000)) {
            assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_ACCEPTED);
            last = r.now;
        }
        while (transmit(&r))
            ;
    }
    assert_int_equal(r.ice.pairs.count, 1);
    while (r.ice.pairs.count > 0) {
        (void)advance(&r);
        while (transmit(&r))
            ;
    }
    assert_true(r.now >= last + ICE_REQUEST_COUNTS_NS);
    assert_true(r.now <= last + ICE_REQUEST_COUNTS_NS + MS(1500));
}

static void test_idle(void **state)
{
    struct rig r;
    time_ns last;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT);
    for (int i = 0; i < 10; i++) {
        last = r.now;
        while (transmit(&r))
            assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        (void)advance(&r);
    }
    while (transmit(&r))
        assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    last = r.now;
    r.now += MS(100);
    ice_set_idle(&r.ice, r.now, true);
    assert_quiet(&r);
    assert_int_equal(ice_poll_timeout(&r.ice), last + MS(25000));
    (void)advance(&r);
    assert_true(transmit(&r));
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    last = r.now;
    r.now += MS(5000);
    ice_set_idle(&r.ice, r.now, false);
    assert_true(transmit(&r)); /* long due */
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_int_equal(ice_poll_timeout(&r.ice), r.now + MS(1500));
}

/* ---- candidates ---- */

static void test_local_candidates(void **state)
{
    static const struct {
        enum candidate_kind kind;
        const char *at, *local;
        uint32_t priority;
    } cases[] = {
        {CANDIDATE_HOST, "[2001:db8::1]:52625", "[2001:db8::1]:52625", 2130706431},
        {CANDIDATE_HOST, HOST, HOST, 2130706175},
        {CANDIDATE_HOST, "192.0.2.11:52625", "192.0.2.11:52625", 2130706175 - 512},
        {CANDIDATE_SRFLX, "198.51.100.1:1000", HOST, 1686109951},
        {CANDIDATE_RELAY, RELAYED, HOST, 37748479},
        {CANDIDATE_RELAY, "[2001:db8::5]:50000", HOST, 37748735 - 256000},
    };
    struct ice_event e;
    struct rig r;
    uint32_t last = UINT32_MAX;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(add_local(&r, cases[i].kind, cases[i].at, cases[i].local));
        assert_int_equal(r.ice.candidates.locals[i].candidate.priority, cases[i].priority);
        assert_false(add_local(&r, cases[i].kind, cases[i].at, cases[i].local));
    }
    assert_false(add_local(&r, CANDIDATE_HOST, "169.254.1.1:1", "169.254.1.1:1"));
    assert_false(add_local(&r, CANDIDATE_SRFLX, HOST, HOST));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(next_event(&r, ICE_EVENT_CANDIDATE_ADDED, &e));
        assert_true(e.candidate.priority < last);
        last = e.candidate.priority;
    }
    assert_false(ice_poll_event(&r.ice, &e));

    /* Only the end of relayed ones is signalled. */
    assert_true(remove_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_false(remove_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(remove_local(&r, CANDIDATE_RELAY, RELAYED, HOST));
    assert_true(ice_poll_event(&r.ice, &e));
    assert_int_equal(e.kind, ICE_EVENT_CANDIDATE_INVALIDATED);
    assert_int_equal(e.candidate.kind, CANDIDATE_RELAY);
    assert_false(ice_poll_event(&r.ice, &e));
    ice_signal_again(&r.ice);
    for (int i = 0; i < 4; i++)
        assert_true(next_event(&r, ICE_EVENT_CANDIDATE_ADDED, &e));
    assert_false(ice_poll_event(&r.ice, &e));
    /* What was never told needs no end. */
    assert_true(add_local(&r, CANDIDATE_RELAY, RELAYED, HOST));
    assert_true(remove_local(&r, CANDIDATE_RELAY, RELAYED, HOST));
    assert_false(ice_poll_event(&r.ice, &e));
}

/* Without NAT a server reflexive candidate is the host candidate, whichever came first. */
static void test_local_redundancy(void **state)
{
    struct ice_event e;
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_local(&r, CANDIDATE_SRFLX, HOST, HOST));
    assert_true(add_remote(&r, CANDIDATE_HOST, PEER));
    assert_true(transmit(&r));
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(next_event(&r, ICE_EVENT_CANDIDATE_ADDED, &e));
    assert_int_equal(e.candidate.kind, CANDIDATE_HOST);
    assert_false(next_event(&r, ICE_EVENT_NOMINATED, &e));
    assert_int_equal(r.ice.pairs.count, 1);
    assert_true(r.ice.pairs.at[0].nominated && r.ice.pairs.at[0].selected);
    assert_int_equal(r.ice.pairs.at[0].priority >> 32, 2130706175);
}

static void test_pair_redundancy(void **state)
{
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_local(&r, CANDIDATE_SRFLX, "198.51.100.1:1000", HOST));
    assert_true(add_remote(&r, CANDIDATE_HOST, "[2001:db8::7]:1"));
    assert_int_equal(r.ice.pairs.count, 1);
    assert_true(add_remote(&r, CANDIDATE_SRFLX, PEER));
    assert_int_equal(r.ice.pairs.count, 1);
    /* Each takes the place of the better one that ends. */
    assert_true(invalidate(&r, CANDIDATE_HOST, PEER));
    assert_int_equal(r.ice.pairs.count, 1);
    assert_int_equal(r.ice.candidates.remotes[r.ice.pairs.at[0].remote].candidate.kind,
                     CANDIDATE_SRFLX);
    assert_true(remove_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_int_equal(r.ice.pairs.count, 1);
    assert_int_equal(r.ice.candidates.locals[r.ice.pairs.at[0].local].candidate.kind,
                     CANDIDATE_SRFLX);
}

static void test_remote_lines(void **state)
{
    static const char good[] =
        "candidate:1 1 udp 2130706175 198.51.100.7 52625 typ host ufrag gwuf";
    static const char other[] = "candidate:1 1 udp 213 198.51.100.8 52625 typ host ufrag gwu";
    static const char tcp[] = "candidate:1 1 tcp 213 198.51.100.8 52625 typ host";
    static const char relay[] =
        "candidate:1 1 udp 213 198.51.100.9 1 typ relay raddr 0.0.0.0 rport 0 ufrag gwuf";
    static const char relay_end[] =
        "candidate:2 1 udp 99 198.51.100.9 1 typ relay raddr 0.0.0.0 rport 0";
    static const char relay_wrong[] =
        "candidate:2 1 udp 99 198.51.100.9 1 typ relay raddr 0.0.0.0 rport 1";
    struct candidate_line line;
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_int_equal(candidate_parse(&line, good, strlen(good)), ERR_OK);
    assert_true(ice_add_remote(&r.ice, r.now, &line));
    assert_int_equal(candidate_parse(&line, other, strlen(other)), ERR_OK);
    assert_false(ice_add_remote(&r.ice, r.now, &line));
    assert_int_equal(candidate_parse(&line, tcp, strlen(tcp)), ERR_OK);
    assert_false(ice_add_remote(&r.ice, r.now, &line));
    assert_int_equal(candidate_parse(&line, relay, strlen(relay)), ERR_OK);
    assert_true(ice_add_remote(&r.ice, r.now, &line));
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_int_equal(r.ice.pairs.count, 2);
    assert_int_equal(candidate_parse(&line, relay_wrong, strlen(relay_wrong)), ERR_OK);
    assert_false(ice_invalidate_remote(&r.ice, r.now, &line));
    assert_int_equal(candidate_parse(&line, relay_end, strlen(relay_end)), ERR_OK);
    assert_true(ice_invalidate_remote(&r.ice, r.now, &line));
    assert_false(ice_invalidate_remote(&r.ice, r.now, &line));
    assert_int_equal(r.ice.pairs.count, 1);
    /* No answer to what was invalidated, until it is signalled again. */
    assert_int_equal(request(&r, HOST, "198.51.100.9:1", false), ICE_VERDICT_INVALIDATED);
    assert_int_equal(candidate_parse(&line, relay, strlen(relay)), ERR_OK);
    assert_true(ice_add_remote(&r.ice, r.now, &line));
    assert_int_equal(request(&r, HOST, "198.51.100.9:1", false), ICE_VERDICT_ACCEPTED);
}

static void test_optimistic(void **state)
{
    struct sock_addr guess = addr("198.51.100.7:52625");
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(add_remote(&r, CANDIDATE_HOST, "10.0.0.7:52625"));
    assert_true(add_remote(&r, CANDIDATE_HOST, "[2001:db8::7]:52625"));
    assert_int_equal(r.ice.pairs.count, 1);
    assert_true(add_remote(&r, CANDIDATE_SRFLX, "198.51.100.7:4444"));
    assert_int_equal(r.ice.pairs.count, 3);
    assert_true(ice_remote_at(&r.ice.candidates, &guess) != ICE_NONE);
    /* Signalled after all. */
    assert_true(add_remote(&r, CANDIDATE_SRFLX, "198.51.100.7:52625"));
    assert_int_equal(r.ice.pairs.count, 3);
    assert_false(r.ice.candidates.remotes[ice_remote_at(&r.ice.candidates, &guess)].optimistic);
    /* Not more than two at a time, and eight at all. */
    for (uint16_t i = 0; i < 9; i++) {
        struct candidate_line line = line_of(CANDIDATE_HOST, "10.0.0.7:1");
        unsigned before = r.ice.pairs.count;
        line.candidate.addr.port = line.candidate.base.port = (uint16_t)(1000 + i);
        assert_true(ice_add_remote(&r.ice, r.now, &line));
        assert_true(r.ice.pairs.count <= before + 3);
    }
    assert_int_equal(r.ice.pairs.count, 3 + 9 + ICE_OPTIMISTIC_MAX);
}

static void test_candidate_timeout(void **state)
{
    struct ice_event e;
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_int_equal(advance(&r), ICE_CANDIDATE_TIMEOUT_NS);
    assert_true(next_event(&r, ICE_EVENT_FAILED, &e));
    assert_int_equal(e.failure, ICE_FAILURE_NO_CANDIDATES);

    /* None that fits. */
    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(add_remote(&r, CANDIDATE_HOST, "[2001:db8::7]:1"));
    assert_int_equal(r.ice.state, ICE_NEW);
    assert_int_equal(advance(&r), ICE_CANDIDATE_TIMEOUT_NS);
    assert_int_equal(r.ice.state, ICE_DISCONNECTED);
    r.now += MS(1000);
    assert_true(add_local(&r, CANDIDATE_HOST, "[2001:db8::1]:1", "[2001:db8::1]:1"));
    assert_int_equal(r.ice.state, ICE_CHECKING);
    assert_true(remove_local(&r, CANDIDATE_HOST, "[2001:db8::1]:1", "[2001:db8::1]:1"));
    assert_int_equal(r.ice.state, ICE_DISCONNECTED);
    assert_int_equal(advance(&r), MS(13000));
    assert_int_equal(r.ice.state, ICE_FAILED);
}

/* More of everything than there is room for. */
static void test_bounds(void **state)
{
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLED, ICE_GATEWAY);
    for (uint16_t i = 1; i <= 20; i++) {
        struct sock_addr a = addr("10.0.0.1:1");
        struct candidate c;
        a.port = i;
        c = candidate_make(CANDIDATE_HOST, &a, &a);
        assert_int_equal(ice_add_local(&r.ice, r.now, &c), i <= ICE_LOCAL_MAX - ICE_LOCAL_RELAYED);
    }
    for (uint16_t i = 1; i <= 100; i++) {
        struct candidate_line line = line_of(CANDIDATE_RELAY, PEER_RELAYED);
        line.candidate.addr.port = line.candidate.base.port = i;
        line.candidate.priority += 256u * i; /* each better than those before */
        assert_true(ice_add_remote(&r.ice, r.now, &line));
        assert_int_equal(r.ice.pairs.count,
                         size_min(ICE_PAIR_MAX, (ICE_LOCAL_MAX - ICE_LOCAL_RELAYED) * i));
    }
    /* Of a hundred pairs, those of the last candidates remain. */
    for (unsigned i = 0; i < r.ice.pairs.count; i++)
        assert_true(r.ice.candidates.remotes[r.ice.pairs.at[i].remote].candidate.addr.port >= 92);
    for (unsigned i = 0; i < ICE_ANSWER_MAX; i++)
        assert_int_equal(request(&r, "10.0.0.1:3", PEER_RELAYED, false), ICE_VERDICT_ACCEPTED);
    assert_int_equal(request(&r, "10.0.0.1:3", PEER_RELAYED, false), ICE_VERDICT_FULL);
    for (unsigned i = 0; i < ICE_ANSWER_MAX; i++)
        assert_answered(&r, "10.0.0.1:3", PEER_RELAYED);
}

static void test_texts(void **state)
{
    (void)state;
    for (int i = 0; i < ICE_STATE_COUNT; i++)
        assert_true(ice_state_text((enum ice_state)i)[0] != '\0');
    for (int i = 0; i < ICE_VERDICT_COUNT; i++)
        assert_true(ice_verdict_text((enum ice_verdict)i)[0] != '\0');
    assert_string_not_equal(ice_failure_text(ICE_FAILURE_DISCONNECTED),
                            ice_failure_text(ICE_FAILURE_NO_CANDIDATES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_check_content),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_schedule_unanswered),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_speeds_up),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_requests_keep),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_local_candidates),
        cmocka_unit_test(test_local_redundancy),
        cmocka_unit_test(test_pair_redundancy),
        cmocka_unit_test(test_remote_lines),
        cmocka_unit_test(test_optimistic),
        cmocka_unit_test(test_candidate_timeout),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
