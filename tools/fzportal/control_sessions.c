/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about sessions, and about those to come. See control.h. */
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/client.h"
#include "tools/fzportal/control.h"
#include "tools/fzportal/gateway.h"
#include "tools/fzportal/session.h"

/* Carries something out on each session that is meant. */
static json_t *each(const struct order *o, bool (*act)(struct portal_session *s, const void *how),
                    const void *how)
{
    struct portal_session *s;
    size_t n = 0;
    for (s = TAILQ_FIRST(&o->p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (portal_session_meant(s, o->command))
            n += act(s, how);
    }
    return n > 0 ? portal_order_count("sessions", n) : portal_order_failed("no such session");
}

/* ---- kick ---- */

enum kick_how {
    KICK_CLOSE,
    KICK_DROP,
    KICK_PHX_CLOSE,
    KICK_DISCONNECT,
    KICK_CRASH
};

struct kick {
    enum kick_how how;
    unsigned code;
    const char *reason;
};

static bool kick(struct portal_session *s, const void *data)
{
    const struct kick *k = data;
    switch (k->how) {
    case KICK_CLOSE:
        portal_session_end(s, k->code);
        break;
    case KICK_DROP:
        portal_session_end(s, SESSION_CLOSE_NONE);
        break;
    case KICK_PHX_CLOSE:
        portal_session_close_channel(s);
        break;
    case KICK_DISCONNECT:
        portal_session_disconnect(s, k->reason);
        break;
    case KICK_CRASH:
        portal_session_crash(s);
        break;
    }
    return true;
}

json_t *portal_order_kick(const struct order *o)
{
    static const char *const hows[] = {"close", "drop", "phx_close", "disconnect", "crash"};
    const json_t *how = json_object_get(o->command, "how");
    const json_t *reason = json_object_get(o->command, "reason");
    struct kick k = {KICK_CLOSE, SESSION_CLOSE_RESTART, "token_expired"};
    int64_t code = k.code;
    size_t i = 0;

    while (how && i < ARRAY_LEN(hows) &&
           (!json_is_string(how) || strcmp(hows[i], json_string_value(how)) != 0))
        i++;
    if (i == ARRAY_LEN(hows))
        return portal_order_failed("kick: how: close, drop, phx_close, disconnect or crash");
    k.how = (enum kick_how)i;
    if (!portal_order_number(o, "code", 1000, 4999, &code))
        return portal_order_failed("kick: code: not a number from 1000 to 4999");
    k.code = (unsigned)code;
    if (reason && !json_is_string(reason))
        return portal_order_failed("kick: reason: not a text");
    if (reason)
        k.reason = json_string_value(reason);
    return each(o, kick, &k);
}

/* ---- silence and stall ---- */

static bool set_silent(struct portal_session *s, const void *on)
{
    s->silent = *(const bool *)on;
    return true;
}

static bool set_stalled(struct portal_session *s, const void *on)
{
    s->stall_join = *(const bool *)on;
    return true;
}

static json_t *set_fault(const struct order *o, const char *name,
                         bool (*act)(struct portal_session *s, const void *how), bool *to_come)
{
    bool good, on = portal_order_flag(o, "on", &good);
    struct portal_session *s;
    size_t n = 0;

    if (!good)
        return portal_order_failed("%s: on: neither true nor false", name);
    if (!json_is_true(json_object_get(o->command, "all")))
        return each(o, act, &on);
    *to_come = on;
    for (s = TAILQ_FIRST(&o->p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (portal_session_meant(s, o->command))
            n += act(s, &on);
    }
    return portal_order_count("sessions", n);
}

json_t *portal_order_silence(const struct order *o)
{
    return set_fault(o, "silence", set_silent, &o->p->silent);
}

json_t *portal_order_stall(const struct order *o)
{
    return set_fault(o, "stall", set_stalled, &o->p->stall_joins);
}

/* ---- init and send ---- */

static bool send_init(struct portal_session *s, const void *how)
{
    (void)how;
    if (s->state != SESSION_JOINED)
        return false;
    switch (s->role) {
    case PORTAL_CLIENT:
        portal_client_push_init(s);
        break;
    case PORTAL_GATEWAY:
        portal_gateway_push_init(s);
        break;
    case PORTAL_RELAY:
        portal_session_push(s, "init", json_object());
        break;
    }
    return true;
}

json_t *portal_order_init(const struct order *o)
{
    return each(o, send_init, NULL);
}

static bool send_frame(struct portal_session *s, const void *data)
{
    const struct order *o = data;
    const char *topic = portal_order_text(o, "topic");
    json_t *payload = json_object_get(o->command, "payload");
    payload = payload ? json_incref(payload) : json_object();
    portal_session_push_raw(s, topic ? topic : portal_session_topic(s),
                            portal_order_text(o, "event"), payload,
                            json_object_get(o->command, "ref"));
    json_decref(payload);
    return true;
}

json_t *portal_order_send(const struct order *o)
{
    const json_t *topic = json_object_get(o->command, "topic");
    if (!portal_order_text(o, "event"))
        return portal_order_failed("send: event: missing, or not a text");
    if (topic && !json_is_string(topic))
        return portal_order_failed("send: topic: not a text");
    return each(o, send_frame, o);
}

/* ---- refuse ---- */

static const char *fill_answer(const struct order *o, struct portal_answer *a)
{
    const json_t *code = json_object_get(o->command, "code");
    const json_t *detail = json_object_get(o->command, "detail");
    int64_t status = 0;

    a->retry_after_s = -1;
    if (!portal_order_number(o, "status", 300, 599, &status) || status == 0)
        return "status: a number from 300 to 599 is needed";
    if (!portal_order_number(o, "retry_after", 0, INT32_MAX, &a->retry_after_s))
        return "retry_after: not a number of seconds";
    if ((code && !json_is_string(code)) || json_string_length(code) > PORTAL_CODE_MAX)
        return "code: not a text of at most 63 bytes";
    if ((detail && !json_is_string(detail)) || json_string_length(detail) > PORTAL_DETAIL_MAX)
        return "detail: not a text of at most 255 bytes";
    a->status = (unsigned)status;
    snprintf(a->code, sizeof a->code, "%s", code ? json_string_value(code) : "");
    snprintf(a->detail, sizeof a->detail, "%s", detail ? json_string_value(detail) : "");
    return NULL;
}

json_t *portal_order_refuse(const struct order *o)
{
    const json_t *role = json_object_get(o->command, "role");
    struct portal *p = o->p;
    struct refusal f = {.any_role = !role};
    int64_t count = 1;

    if (!portal_order_number(o, "count", 0, UINT32_MAX, &count))
        return portal_order_failed("refuse: count: not a number");
    if (count == 0) {
        p->refusals_n = 0;
        return portal_order_done();
    }
    const char *why = fill_answer(o, &f.answer);
    if (why)
        return portal_order_failed("refuse: %s", why);
    if (role && !portal_order_role(json_string_value(role), &f.role))
        return portal_order_failed("refuse: role: client, gateway or relay");
    if (p->refusals_n == PORTAL_REFUSALS_MAX)
        return portal_order_failed("refuse: there are %d such orders already", PORTAL_REFUSALS_MAX);
    f.left = (uint32_t)count;
    p->refusals[p->refusals_n++] = f;
    return portal_order_done();
}
