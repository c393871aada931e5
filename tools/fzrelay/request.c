/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and their answers. Source: spec/p2p.md 12.3 and 12.4. */
#include <stdio.h>
#include <string.h>

#include "control/p2p/stun.h"
#include "platform/base/bytes.h"
#include "tools/fzrelay/credentials.h"
#include "tools/fzrelay/relay_private.h"

/* A request under way. */
struct request {
    struct relay_server *relay;
    time_ns now;
    int64_t unix_s;
    const struct sock_addr *from;
    struct stun_message m;
    bool named; /* it has a username, so the answer is authenticated */
    struct credentials who;
    uint8_t key[STUN_KEY_LEN];
    struct stun_writer answer;
};

static const char *reason_of(unsigned code)
{
    switch (code) {
#define X(number, text)                                                                            \
    case number:                                                                                   \
        return text;
        RELAY_ERRORS(X)
#undef X
    }
    return "Refused";
}

static void count_error(struct relay_server *r, unsigned code)
{
    enum relay_error e = RELAY_ERROR_OTHER;

    switch (code) {
#define X(number, text)                                                                            \
    case number:                                                                                   \
        e = RELAY_ERROR_##number;                                                                  \
        break;
        RELAY_ERRORS(X)
#undef X
    }
    r->stats.errors[e]++;
}

/* ---- answers ---- */

static void begin(struct request *q, enum stun_class class)
{
    stun_begin(&q->answer, q->relay->reply, sizeof q->relay->reply, (enum stun_method)q->m.method,
               class, &q->m.id);
    stun_add_text(&q->answer, STUN_SOFTWARE, RELAY_SOFTWARE);
}

static void refuse(struct request *q, unsigned code)
{
    begin(q, STUN_ERROR);
    stun_add_error(&q->answer, code, reason_of(code));
    count_error(q->relay, code);
}

/* 401 and 438 tell what to authenticate with. */
static void challenge(struct request *q, unsigned code)
{
    char nonce[NONCE_LEN + 1];

    refuse(q, code);
    nonces_issue(&q->relay->nonces, q->from, &q->relay->draw, nonce);
    stun_add_text(&q->answer, STUN_REALM, RELAY_REALM);
    stun_add_text(&q->answer, STUN_NONCE, nonce);
}

static enum relay_verdict finish(struct request *q, struct relay_datagram *out)
{
    if (q->named)
        stun_add_integrity(&q->answer, q->key, sizeof q->key);
    secure_wipe(q->key, sizeof q->key);
    *out = (struct relay_datagram){
        .to = *q->from, .bytes = q->relay->reply, .len = stun_finish(&q->answer)};
    ASSERT(out->len > 0); /* REPLY_MAX is enough for all of them */
    return RELAY_REPLY;
}

/* ---- methods ---- */

static uint32_t lifetime(const struct request *q)
{
    if (!(q->m.has & STUN_HAS_LIFETIME))
        return RELAY_LIFETIME_S;
    return q->m.lifetime_s < RELAY_LIFETIME_MAX_S ? q->m.lifetime_s : RELAY_LIFETIME_MAX_S;
}

static time_ns end_of(const struct request *q, uint32_t lifetime_s)
{
    return q->now + lifetime_s * NS_PER_SEC;
}

static uint8_t family_bit(unsigned family)
{
    return family == ADDR_V4 ? RELAY_V4 : RELAY_V6;
}

static uint8_t our_families(const struct relay_server *r)
{
    return (uint8_t)((r->public4.family == ADDR_V4 ? RELAY_V4 : 0) |
                     (r->public6.family == ADDR_V6 ? RELAY_V6 : 0));
}

/* The families of the allocation, or 0 and the error. */
static uint8_t choose_families(const struct request *q, unsigned *error)
{
    uint8_t ours = our_families(q->relay), wanted;

    if (q->m.additional_family == ADDR_V4 ||
        (q->m.additional_family != ADDR_NONE && q->m.requested_family != ADDR_NONE)) {
        *error = 400;
        return 0;
    }
    if (q->m.additional_family != ADDR_NONE)
        return ours;
    wanted = q->m.requested_family == ADDR_V6 ? RELAY_V6 : RELAY_V4;
    *error = 440;
    return wanted & ours;
}

static void add_relayed(struct request *q, const struct ip_addr *ip, const struct allocation *a)
{
    const struct sock_addr addr = {.ip = *ip, .port = a->port};

    if (a->families & family_bit(ip->family))
        stun_add_address(&q->answer, STUN_XOR_RELAYED_ADDRESS, &addr);
}

static void make_allocation(struct request *q, uint8_t families)
{
    struct relay_server *r = q->relay;
    struct allocation with = {.client = *q->from, .families = families}, *a;
    uint32_t seconds = lifetime(q);

    credentials_user(with.user, &q->who);
    with.expires_at = end_of(q, seconds);
    a = allocations_of_user(&r->allocations, with.user);
    if (a)
        relay_delete(r, a);
    a = allocations_add(&r->allocations, &with, &r->draw);
    ASSERT(a); /* there was room before */
    relay_reckon(r);
    r->opening = (struct opening){.port = a->port, .client = *q->from, .id = q->m.id};
    memcpy(r->opening.key, q->key, sizeof r->opening.key);
    begin(q, STUN_SUCCESS);
    if (r->public4.family == ADDR_V4)
        add_relayed(q, &r->public4, a);
    if (r->public6.family == ADDR_V6)
        add_relayed(q, &r->public6, a);
    stun_add_address(&q->answer, STUN_XOR_MAPPED_ADDRESS, q->from);
    stun_add_u32(&q->answer, STUN_LIFETIME, seconds);
}

void relay_refuse_opening(struct relay_server *r, struct relay_datagram *out)
{
    struct request q = {.relay = r,
                        .from = &r->opening.client,
                        .m = {.method = STUN_ALLOCATE, .id = r->opening.id},
                        .named = true};

    memcpy(q.key, r->opening.key, sizeof q.key);
    refuse(&q, 508);
    (void)finish(&q, out);
}

static void allocate(struct request *q)
{
    unsigned error = 0;
    uint8_t families;

    if (allocations_of_client(&q->relay->allocations, q->from)) {
        refuse(q, 437);
        return;
    }
    if (!allocations_have_room(&q->relay->allocations)) {
        refuse(q, 508);
        return;
    }
    if (q->m.transport != STUN_UDP) {
        refuse(q, 400);
        return;
    }
    families = choose_families(q, &error);
    if (families)
        make_allocation(q, families);
    else
        refuse(q, error);
}

static void refresh(struct request *q)
{
    struct relay_server *r = q->relay;
    struct allocation *a = allocations_of_client(&r->allocations, q->from);
    uint32_t seconds = lifetime(q);

    if (!a) {
        refuse(q, 437);
        return;
    }
    if (seconds == 0)
        relay_delete(r, a);
    else
        allocations_extend(&r->allocations, a, end_of(q, seconds));
    relay_reckon(r);
    begin(q, STUN_SUCCESS);
    stun_add_u32(&q->answer, STUN_LIFETIME, seconds);
}

/* 0: it is bound. */
static unsigned bind_channel(struct request *q)
{
    struct relay_server *r = q->relay;
    struct allocation *a = allocations_of_client(&r->allocations, q->from);
    struct channel *c, *other;

    if (!a)
        return 437;
    if (q->m.channel < CHANNEL_FIRST || q->m.channel > CHANNEL_LAST)
        return 400;
    if (!(a->families & family_bit(q->m.peer.ip.family)))
        return 443;
    c = channels_of_number(&r->channels, a, q->m.channel);
    other = channels_of_peer(&r->channels, a, &q->m.peer);
    if (c != other)
        return 400;
    if (c)
        channels_renew(&r->channels, c, q->now);
    else
        c = channels_add(&r->channels, a, q->m.channel, &q->m.peer, q->now);
    relay_reckon(r);
    return c ? 0 : 508;
}

static void channel_bind(struct request *q)
{
    unsigned code = bind_channel(q);

    if (code)
        refuse(q, code);
    else
        begin(q, STUN_SUCCESS);
}

static void binding(struct request *q)
{
    begin(q, STUN_SUCCESS);
    stun_add_address(&q->answer, STUN_XOR_MAPPED_ADDRESS, q->from);
}

/* ---- authentication ---- */

/* As the client computed it, with padding of zeros. */
static bool padding_is_zero(const struct stun_message *m)
{
    for (size_t at = STUN_HEADER_LEN, end; at < m->integrity_at; at = end) {
        size_t len = load_be16(m->bytes + at + 2);
        end = at + 4 + ALIGN_UP(len, 4);
        if (!ct_is_zero(m->bytes + at + 4 + len, end - at - 4 - len))
            return false;
    }
    return true;
}

/* The error; 0: it is who it says. */
static unsigned authenticate(struct request *q)
{
    if (!(q->m.has & STUN_HAS_INTEGRITY) || !q->named)
        return 401;
    switch (nonces_use(&q->relay->nonces, q->from, q->m.nonce)) {
    case NONCE_NONE:
        return 401;
    case NONCE_STALE:
        return 438;
    case NONCE_GOOD:
        break;
    }
    if (q->who.expiry < q->unix_s || !padding_is_zero(&q->m) ||
        !stun_integrity_ok(&q->m, q->key, sizeof q->key))
        return 401;
    return 0;
}

/* The error that was planned for it; 0: none. */
static unsigned take_plan(struct request *q)
{
    for (unsigned i = 0; i < RELAY_PLANS_MAX; i++) {
        struct plan *p = &q->relay->plans[i];
        if (p->count > 0 && p->method == q->m.method) {
            p->count--;
            return p->code;
        }
    }
    return 0;
}

static void serve(struct request *q)
{
    unsigned code = authenticate(q);

    if (code == 0 && (code = take_plan(q)) == 438)
        nonces_forget_client(&q->relay->nonces, q->from);
    if (code == 401 || code == 438)
        challenge(q, code);
    else if (code != 0)
        refuse(q, code);
    else if (q->m.method == STUN_ALLOCATE)
        allocate(q);
    else if (q->m.method == STUN_REFRESH)
        refresh(q);
    else if (q->m.method == STUN_CHANNEL_BIND)
        channel_bind(q);
    else
        begin(q, STUN_SUCCESS); /* CREATE-PERMISSION: there are none */
}

/* What the method cannot do without. */
static bool is_complete(const struct stun_message *m)
{
    switch (m->method) {
    case STUN_BINDING:
    case STUN_REFRESH:
    case STUN_CREATE_PERMISSION:
        return true;
    case STUN_ALLOCATE:
        return m->has & STUN_HAS_TRANSPORT;
    case STUN_CHANNEL_BIND:
        return m->has & STUN_HAS_CHANNEL && m->peer.ip.family != ADDR_NONE;
    }
    return false; /* an unknown method */
}

enum relay_verdict relay_request(struct relay_server *r, time_ns now, int64_t unix_s,
                                 const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                 struct relay_datagram *out)
{
    struct request q = {.relay = r, .now = now, .unix_s = unix_s, .from = from};
    enum err err = stun_parse(&q.m, bytes, len);

    if (err == ERR_INVALID)
        return RELAY_DROP_NOT_TURN;
    if (q.m.class != STUN_REQUEST)
        return RELAY_DROP_NOT_REQUEST;
    if (err != ERR_OK || !is_complete(&q.m)) {
        refuse(&q, 400);
        return finish(&q, out);
    }
    if (q.m.method == STUN_BINDING) {
        binding(&q);
        return finish(&q, out);
    }
    if (q.m.username.bytes) {
        if (!credentials_parse(&q.who, q.m.username))
            return RELAY_DROP_USERNAME;
        credentials_key(q.key, &q.who, r->stamp_secret);
        q.named = true;
    }
    serve(&q);
    return finish(&q, out);
}
