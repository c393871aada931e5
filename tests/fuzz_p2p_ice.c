/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ICE agent as a script: candidates of both ends come and go, messages of a peer that has the credentials, answers to checks in any
 * order, datagrams that are broken, and the passing of time. After each step what always has to be true is checked.
 */
#include <stdint.h>

#include "control/p2p/ice.h"
#include "platform/base/bytes.h"

static const struct ice_credentials OURS = {"cluf", "clpasswordclpassword22"};
static const struct ice_credentials THEIRS = {"gwuf", "gwpasswordgwpassword22"};

enum {
    SENT_MAX = 16,
    CHECKS_PER_STEP_MAX = 2 * ICE_PAIR_MAX + ICE_ANSWER_MAX
};

struct script {
    const uint8_t *data;
    size_t size;
    struct ice ice;
    time_ns now;
    struct ice_datagram sent[SENT_MAX]; /* our last checks */
    unsigned sent_count;
    uint32_t serial;
};

static uint8_t next(struct script *s)
{
    if (s->size == 0)
        return 0;
    s->size--;
    return *s->data++;
}

/* One of few addresses, so that they meet again; some are none of a candidate. */
static struct sock_addr next_addr(struct script *s)
{
    uint8_t b = next(s), ip[16] = {0x20, 0x01, 0x0d, 0xb8};
    struct sock_addr a = {.port = (uint16_t)(b & 3)};

    ip[12] = 10;
    ip[15] = b >> 2 & 15;
    a.ip = b & 0x40 ? ip_addr_v6(ip) : ip_addr_v4(ip + 12);
    if (b & 0x80)
        a.port = (uint16_t)(a.port + next(s));
    return a;
}

static void check_pair(struct script *s, const struct ice_pair *p)
{
    const struct ice *a = &s->ice;
    const struct ice_local *l = &a->candidates.locals[p->local];
    const struct ice_remote *r = &a->candidates.remotes[p->remote];

    ASSERT(l->state == ICE_LIVE && r->state == ICE_LIVE);
    ASSERT(l->candidate.addr.ip.family == r->candidate.addr.ip.family);
    ASSERT(ice_pairs_find(&s->ice.pairs, &a->candidates, &l->candidate.base, &r->candidate.addr) ==
           p);
    ASSERT(p->schedule.unanswered <= a->timing->attempts &&
           p->schedule.sent <= a->timing->attempts);
    ASSERT(!p->selected || p->nominated);
    if (a->state != ICE_FAILED) {
        ASSERT(p->schedule.next_at > s->now);
        ASSERT(p->schedule.next_at <= s->now + a->timing->rto_max_ns);
        ASSERT(!ice_schedule_given_up(&p->schedule, a->timing, s->now));
    }
}

static void check(struct script *s)
{
    struct ice *a = &s->ice;
    unsigned selected = 0, nominated = 0;

    ASSERT(a->pairs.count <= ICE_PAIR_MAX);
    for (unsigned i = 0; i < a->pairs.count; i++) {
        check_pair(s, &a->pairs.at[i]);
        selected += a->pairs.at[i].selected;
        nominated += a->pairs.at[i].nominated;
    }
    ASSERT(selected <= 1);
    ASSERT(ice_poll_timeout(a) > s->now);
    switch (a->state) {
    case ICE_NEW:
    case ICE_DISCONNECTED:
        ASSERT(a->pairs.count == 0);
        break;
    case ICE_CHECKING:
        ASSERT(nominated == 0);
        break;
    case ICE_CONNECTED:
        ASSERT(nominated > 0 && nominated < a->pairs.count);
        break;
    case ICE_COMPLETED:
        ASSERT(nominated > 0 && nominated == a->pairs.count);
        break;
    case ICE_FAILED:
        ASSERT(ice_poll_timeout(a) == TIME_NEVER);
        break;
    case ICE_STATE_COUNT:
        ASSERT(false);
    }
}

static void drain(struct script *s)
{
    struct ice_datagram d;
    struct ice_event e;
    unsigned n = 0, events = 0;

    while (ice_poll_transmit(&s->ice, &d)) {
        struct stun_message m;
        ASSERT(++n <= CHECKS_PER_STEP_MAX);
        ASSERT(stun_parse(&m, d.bytes, d.len) == ERR_OK && stun_fingerprint_ok(&m));
        ASSERT(d.from.ip.family == d.to.ip.family);
        if (m.class == STUN_REQUEST) {
            ASSERT(ice_owns_id(&s->ice, &m.id));
            s->sent[s->sent_count++ % SENT_MAX] = d;
        }
    }
    while (ice_poll_event(&s->ice, &e))
        ASSERT(++events <= ICE_LOCAL_MAX * 2 + ICE_REMOTE_MAX + 3);
}

static void add_or_remove(struct script *s, uint8_t op)
{
    enum candidate_kind kind = (enum candidate_kind)(next(s) & 3);
    struct sock_addr addr = next_addr(s), local = next_addr(s);
    struct candidate c = candidate_make(kind, &addr, &local);
    struct candidate_line line = {.candidate = c};

    line.candidate.base = addr;
    line.candidate.priority = (uint32_t)next(s) << 24;
    line.ufrag = op & 4 ? "gwuf" : NULL;
    line.ufrag_len = op & 8 ? 3 : 4;
    if ((op & 3) == 0)
        (void)ice_add_local(&s->ice, s->now, &c);
    else if ((op & 3) == 1)
        (void)ice_remove_local(&s->ice, s->now, &c);
    else if ((op & 3) == 2)
        (void)ice_add_remote(&s->ice, s->now, &line);
    else
        (void)ice_invalidate_remote(&s->ice, s->now, &line);
}

static void input(struct script *s, const struct sock_addr *local, const struct sock_addr *from,
                  const uint8_t *bytes, size_t len)
{
    struct stun_message m;

    if (stun_parse(&m, bytes, len) == ERR_OK)
        (void)ice_handle_input(&s->ice, s->now, local, from, &m);
}

static void request(struct script *s, uint8_t op)
{
    struct sock_addr local = next_addr(s), from = next_addr(s);
    uint8_t bytes[ICE_DATAGRAM_MAX], key[ICE_KEY_LEN] = {7};
    struct ice_check c = {.id = ice_id_make(1, key, s->serial++),
                          .role = (enum ice_role)(op & 1),
                          .use_candidate = op & 2,
                          .priority = (uint32_t)next(s) << 20,
                          .tie_breaker = op & 4 ? UINT64_MAX : 0};
    size_t len = ice_write_check(bytes, &c, &THEIRS, &OURS);

    if (op & 8)
        bytes[next(s) % len] ^= (uint8_t)(next(s) | 1);
    input(s, &local, &from, bytes, len);
}

static void answer(struct script *s, uint8_t op)
{
    const struct ice_datagram *d;
    uint8_t bytes[ICE_DATAGRAM_MAX];
    struct stun_message m;
    size_t len;

    if (s->sent_count == 0)
        return;
    d = &s->sent[next(s) % (s->sent_count < SENT_MAX ? s->sent_count : SENT_MAX)];
    ASSERT(stun_parse(&m, d->bytes, d->len) == ERR_OK);
    len = (op & 3) == 3 ? ice_write_conflict(bytes, &m.id, &THEIRS)
                        : ice_write_success(bytes, &m.id, &d->from, op & 4 ? &OURS : &THEIRS);
    if (op & 8)
        bytes[next(s) % len] ^= (uint8_t)(next(s) | 1);
    input(s, &d->from, &d->to, bytes, len);
}

static void pass_time(struct script *s, uint8_t op)
{
    if (op & 8) {
        time_ns at = ice_poll_timeout(&s->ice);
        for (unsigned i = 0; i <= (op & 7u) && at != TIME_NEVER; i++) {
            s->now = time_max(s->now, at);
            ice_handle_timeout(&s->ice, s->now);
            at = ice_poll_timeout(&s->ice);
        }
    } else {
        s->now += (time_ns)next(s) << (op & 7) << 20;
        ice_handle_timeout(&s->ice, s->now);
    }
}

static void remove_base(struct script *s)
{
    struct sock_addr base = next_addr(s);

    (void)ice_remove_base(&s->ice, s->now, &base.ip);
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        const struct ice_local *l = &s->ice.candidates.locals[i];
        ASSERT(l->state != ICE_LIVE || s->ice.state == ICE_FAILED ||
               l->candidate.kind == CANDIDATE_RELAY ||
               !ip_addr_equal(&l->candidate.base.ip, &base.ip));
    }
}

static void step(struct script *s)
{
    uint8_t op = next(s);

    switch (op >> 4) {
    default:
        add_or_remove(s, op & 15);
        break;
    case 8:
    case 9:
        request(s, op & 15);
        break;
    case 10:
    case 11:
        answer(s, op & 15);
        break;
    case 12:
        if ((op & 12) == 12)
            remove_base(s);
        else if (op & 8)
            ice_signal_again(&s->ice);
        else
            ice_set_idle(&s->ice, s->now, op & 1);
        break;
    case 13:
    case 14:
    case 15:
        pass_time(s, op & 15);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[ICE_SEED_LEN] = {1};
    struct ice_config config = {.ufrag = OURS.ufrag,
                                .password = OURS.password,
                                .remote_ufrag = THEIRS.ufrag,
                                .remote_password = THEIRS.password,
                                .tag = 9};
    static struct script s;
    uint8_t first;

    s = (struct script){.data = data, .size = size, .now = NS_PER_SEC};
    first = next(&s);
    config.role = (enum ice_role)(first & 1);
    config.kind = (enum ice_kind)((first >> 1) % 3);
    ASSERT(ice_init(&s.ice, &config, seed, s.now) == ERR_OK);
    while (s.size > 0) {
        step(&s);
        /* What is not drained at once now and then is so later. */
        if (first & 0x80 && s.size > 0 && s.data[0] & 1)
            continue;
        check(&s);
        drain(&s);
    }
    ice_wipe(&s.ice);
    return 0;
}
