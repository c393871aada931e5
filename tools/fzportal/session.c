/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "tools/fzportal/session.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/client.h"
#include "tools/fzportal/gateway.h"
#include "tools/fzportal/relays.h"

/* ---- life ---- */

struct portal_session *portal_session_new(struct portal *p, void *user)
{
    struct portal_session *s = mem_zalloc(1, sizeof *s);
    s->portal = p;
    s->user = user;
    s->number = ++p->session_numbers;
    s->connected_at = p->t.unix_seconds;
    s->silent = p->silent;
    s->stall_join = p->stall_joins;
    TAILQ_INIT(&s->pendings);
    STAILQ_INIT(&s->queue);
    return s;
}

static void frame_free(struct frame *f)
{
    if (f)
        free(f->text);
    free(f);
}

static void empty_queue(struct portal_session *s)
{
    struct frame *f;
    while ((f = STAILQ_FIRST(&s->queue))) {
        STAILQ_REMOVE_HEAD(&s->queue, next);
        frame_free(f);
    }
    s->portal->queued_bytes -= s->queue_bytes;
    s->queue_bytes = s->queue_frames = 0;
}

void portal_session_free(struct portal_session *s)
{
    ASSERT(s->state != SESSION_JOINED && TAILQ_EMPTY(&s->pendings));
    empty_queue(s);
    frame_free(s->sent);
    secure_wipe(s, sizeof *s);
    free(s);
}

const char *portal_session_topic(const struct portal_session *s)
{
    static const char *const topics[] = {
        [PORTAL_CLIENT] = "client", [PORTAL_GATEWAY] = "gateway", [PORTAL_RELAY] = "relay"};
    return topics[s->role];
}

void portal_session_left(struct portal_session *s, enum session_state next)
{
    bool joined = s->state == SESSION_JOINED;
    s->state = next;
    if (!joined)
        return;
    switch (s->role) {
    case PORTAL_CLIENT:
        portal_client_left(s);
        break;
    case PORTAL_GATEWAY:
        portal_gateway_left(s);
        break;
    case PORTAL_RELAY:
        portal_relay_left(s);
        break;
    }
}

static struct sessions *idle_list(struct portal_session *s)
{
    return s->role == PORTAL_RELAY ? &s->portal->idle_relays : &s->portal->idle;
}

static void make_ready(struct portal_session *s)
{
    if (s->is_ready)
        return;
    s->is_ready = true;
    TAILQ_INSERT_TAIL(&s->portal->ready, s, ready);
}

void portal_session_end(struct portal_session *s, unsigned close_code)
{
    bool over = s->state == SESSION_OVER;

    if (over && (close_code != SESSION_CLOSE_NONE || s->close_code == SESSION_CLOSE_NONE))
        return;
    if (!over) {
        portal_session_left(s, SESSION_OVER);
        TAILQ_REMOVE(idle_list(s), s, idle);
    }
    s->close_code = close_code;
    if (close_code == SESSION_CLOSE_NONE)
        empty_queue(s);
    make_ready(s);
}

/* ---- out ---- */

static size_t cost(const struct frame *f)
{
    return f->len + sizeof *f;
}

static void enqueue(struct portal_session *s, const char *topic, const char *event, json_t *payload,
                    json_t *ref)
{
    json_t *json = json_pack("{s:s, s:s, s:o, s:O?}", "topic", topic, "event", event, "payload",
                             payload, "ref", ref);
    char *text = mem_check(json ? json_dumps(json, JSON_COMPACT) : NULL);

    json_decref(json);
    struct frame *f = mem_zalloc(1, sizeof *f);
    f->text = text;
    f->len = strlen(text);
    s->queue_bytes += cost(f);
    s->portal->queued_bytes += cost(f);
    s->queue_frames++;
    STAILQ_INSERT_TAIL(&s->queue, f, next);
    make_ready(s);
    if (s->queue_bytes > PORTAL_QUEUE_BYTES_MAX || s->queue_frames > PORTAL_QUEUE_FRAMES_MAX)
        portal_session_end(s, SESSION_CLOSE_NONE);
}

/* json_pack takes NULL for null: what is absent is null on the wire. */
void portal_session_push(struct portal_session *s, const char *event, json_t *payload)
{
    if (s->state == SESSION_OVER)
        json_decref(payload);
    else
        enqueue(s, portal_session_topic(s), event, payload, NULL);
}

void portal_session_reply(struct portal_session *s, const char *topic, json_t *ref,
                          const char *status, json_t *response)
{
    json_t *payload = json_pack("{s:s, s:o}", "status", status, "response", response);
    if (s->state == SESSION_OVER)
        json_decref(payload);
    else
        enqueue(s, topic, "phx_reply", payload, ref);
}

void portal_session_push_raw(struct portal_session *s, const char *topic, const char *event,
                             json_t *payload, json_t *ref)
{
    if (s->state != SESSION_OVER)
        enqueue(s, topic, event, json_incref(payload), ref);
}

static void reply_ok(struct portal_session *s, const char *topic, json_t *ref)
{
    portal_session_reply(s, topic, ref, "ok", json_object());
}

static void reply_error(struct portal_session *s, const char *topic, json_t *ref,
                        const char *reason)
{
    portal_session_reply(s, topic, ref, "error", json_pack("{s:s}", "reason", reason));
}

bool portal_poll_transmit(struct portal_session *s, const char **text, size_t *len)
{
    frame_free(s->sent);
    s->sent = STAILQ_FIRST(&s->queue);
    if (!s->sent)
        return false;
    STAILQ_REMOVE_HEAD(&s->queue, next);
    s->queue_bytes -= cost(s->sent);
    s->portal->queued_bytes -= cost(s->sent);
    s->queue_frames--;
    *text = s->sent->text;
    *len = s->sent->len;
    return true;
}

void portal_sessions_bound(struct portal *p)
{
    while (p->queued_bytes > p->queued_bytes_max) {
        struct portal_session *s, *longest = TAILQ_FIRST(&p->sessions);
        for (s = longest; s; s = TAILQ_NEXT(s, order)) {
            if (s->queue_bytes > longest->queue_bytes)
                longest = s;
        }
        portal_session_end(longest, SESSION_CLOSE_NONE);
    }
}

/* ---- ends ---- */

void portal_session_crash(struct portal_session *s)
{
    portal_session_push(s, "phx_error", json_object());
    portal_session_end(s, SESSION_CLOSE_RESTART);
}

void portal_session_disconnect(struct portal_session *s, const char *reason)
{
    portal_session_push(s, "disconnect", json_pack("{s:s}", "reason", reason));
    portal_session_push(s, "phx_close", json_object());
    portal_session_end(s, s->role == PORTAL_RELAY ? SESSION_CLOSE_AWAY : SESSION_CLOSE_NORMAL);
}

void portal_session_close_channel(struct portal_session *s)
{
    portal_session_push(s, "phx_close", json_object());
    if (s->state == SESSION_JOINED)
        portal_session_left(s, SESSION_EXPECT_JOIN);
}

void portal_session_touch(struct portal_session *s)
{
    const struct portal_config *c = s->portal->config;
    if (s->state == SESSION_OVER)
        return;
    s->idle_at =
        s->portal->t.now + (s->role == PORTAL_RELAY ? c->idle_relay_s : c->idle_s) * NS_PER_SEC;
    TAILQ_REMOVE(idle_list(s), s, idle);
    TAILQ_INSERT_TAIL(idle_list(s), s, idle);
}

static void drop_idle(struct portal *p, struct sessions *list)
{
    struct portal_session *s;
    while ((s = TAILQ_FIRST(list)) && s->idle_at <= p->t.now)
        portal_session_end(s, SESSION_CLOSE_NONE);
}

void portal_session_idle(struct portal *p)
{
    drop_idle(p, &p->idle);
    drop_idle(p, &p->idle_relays);
}

/* ---- in ---- */

static void handle_join(struct portal_session *s, const char *topic, const json_t *payload,
                        json_t *ref)
{
    bool good = true;

    if (strcmp(topic, portal_session_topic(s)) != 0) {
        reply_error(s, topic, ref, "unmatched topic");
        return;
    }
    if (s->stall_join)
        return;
    if (s->state == SESSION_JOINED)
        portal_session_close_channel(s);
    if (s->role == PORTAL_RELAY)
        good = portal_relay_may_join(payload);
    if (!good) {
        reply_error(s, topic, ref, "join crashed");
        return;
    }
    reply_ok(s, topic, ref);
    if (s->state != SESSION_EXPECT_JOIN) /* its queue was full */
        return;
    s->state = SESSION_JOINED;
    switch (s->role) {
    case PORTAL_CLIENT:
        portal_client_joined(s);
        break;
    case PORTAL_GATEWAY:
        portal_gateway_joined(s);
        break;
    case PORTAL_RELAY:
        portal_relay_joined(s, payload);
        break;
    }
}

static enum session_result dispatch(struct portal_session *s, const char *event,
                                    const json_t *payload, json_t *ref)
{
    switch (s->role) {
    case PORTAL_CLIENT:
        return portal_client_message(s, event, payload, ref);
    case PORTAL_GATEWAY:
        return portal_gateway_message(s, event, payload, ref);
    case PORTAL_RELAY:
        return SESSION_UNKNOWN;
    }
    return SESSION_UNKNOWN;
}

static void handle_message(struct portal_session *s, const char *topic, const char *event,
                           const json_t *payload, json_t *ref)
{
    if (s->state != SESSION_JOINED || strcmp(topic, portal_session_topic(s)) != 0) {
        if (strcmp(event, "phx_leave") == 0)
            reply_ok(s, topic, ref);
        else
            reply_error(s, topic, ref, "unmatched topic");
        return;
    }
    if (strcmp(event, "phx_leave") == 0) {
        reply_ok(s, topic, ref);
        portal_session_close_channel(s);
        return;
    }
    switch (dispatch(s, event, payload, ref)) {
    case SESSION_DONE:
        break;
    case SESSION_UNKNOWN:
        reply_error(s, topic, ref, "unknown_message");
        break;
    case SESSION_CRASH:
        portal_session_crash(s);
        break;
    }
}

void portal_session_input(struct portal_session *s, const char *text, size_t len)
{
    if (s->state == SESSION_OVER)
        return;
    portal_session_touch(s);
    json_t *frame = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    const char *topic = json_string_value(json_object_get(frame, "topic"));
    const char *event = json_string_value(json_object_get(frame, "event"));
    const json_t *payload = json_object_get(frame, "payload");
    json_t *ref = json_object_get(frame, "ref");

    if (!topic || !event || !payload || !ref)
        portal_session_end(s, SESSION_CLOSE_ERROR);
    else if (strcmp(topic, "phoenix") == 0 && strcmp(event, "heartbeat") == 0 && s->silent)
        ; /* a fault somebody asked for */
    else if (strcmp(topic, "phoenix") == 0 && strcmp(event, "heartbeat") == 0)
        reply_ok(s, topic, ref);
    else if (strcmp(event, "phx_join") == 0)
        handle_join(s, topic, payload, ref);
    else
        handle_message(s, topic, event, payload, ref);
    json_decref(frame);
}
