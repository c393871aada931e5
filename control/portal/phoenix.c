/* SPDX-License-Identifier: Apache-2.0 */
/* See phoenix.h. */
#include "control/portal/phoenix.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    NAME_SHOWN_MAX = 60 /* of what the other side sent, in a reason */
};

void phoenix_init(struct phoenix *p, const char *topic, json_t *join_payload)
{
    ASSERT(strlen(topic) <= PHOENIX_TOPIC_MAX);
    memset(p, 0, sizeof *p);
    memcpy(p->topic, topic, strlen(topic));
    p->join_payload = json_incref(join_payload);
    ASSERT(json_dumpb(join_payload, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) - 1 <
           PHOENIX_JOIN_MAX);
}

void phoenix_fini(struct phoenix *p)
{
    json_decref(p->join_payload);
    p->join_payload = NULL;
}

/* ---- state ---- */

static void set_state(struct phoenix *p, enum phoenix_state next)
{
    static const unsigned legal[] = {
        [PHOENIX_CLOSED] = 1u << PHOENIX_CLOSED | 1u << PHOENIX_EXPECT_JOIN,
        [PHOENIX_EXPECT_JOIN] = 1u << PHOENIX_CLOSED | 1u << PHOENIX_JOINED | 1u << PHOENIX_ENDED,
        [PHOENIX_JOINED] = 1u << PHOENIX_CLOSED | 1u << PHOENIX_EXPECT_JOIN | 1u << PHOENIX_ENDED,
        [PHOENIX_ENDED] = 1u << PHOENIX_CLOSED,
    };
    ASSERT(legal[p->state] & 1u << next);
    p->state = next;
}

static void join(struct phoenix *p, time_ns now)
{
    set_state(p, PHOENIX_EXPECT_JOIN);
    p->join_due = true;
    p->join_until = now + PHOENIX_JOIN_TIMEOUT_NS;
}

void phoenix_opened(struct phoenix *p, time_ns now)
{
    ASSERT(p->state == PHOENIX_CLOSED);
    p->next_ref = 0;
    p->unanswered_n = 0;
    p->heartbeats_due = 0;
    p->heartbeat_at = now + PHOENIX_HEARTBEAT_NS;
    p->crashed_until = TIME_NEVER;
    p->rejoins = 0;
    p->queue.len = 0;
    join(p, now);
}

void phoenix_closed(struct phoenix *p)
{
    set_state(p, PHOENIX_CLOSED);
    p->queue.len = 0;
}

static bool is_open(const struct phoenix *p)
{
    return p->state == PHOENIX_EXPECT_JOIN || p->state == PHOENIX_JOINED;
}

/* ---- what is said of a frame ---- */

__attribute__((format(printf, 3, 4))) static void say(struct phoenix_event *out,
                                                      enum phoenix_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->why, sizeof out->why, fmt, ap);
    va_end(ap);
    for (char *c = out->why; *c; c++) { /* it quotes the portal, and goes to logs and terminals */
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
    out->kind = kind;
}

static void end(struct phoenix *p, struct phoenix_event *out, enum phoenix_kind kind,
                const char *why)
{
    set_state(p, PHOENIX_ENDED);
    say(out, kind, "%.*s", PHOENIX_WHY_MAX - 1, why);
}

void phoenix_event_release(struct phoenix_event *event)
{
    json_decref(event->frame);
    *event = (struct phoenix_event){.kind = PHOENIX_NOTHING};
}

/* ---- input ---- */

struct frame {
    const char *topic, *name;
    const json_t *payload;
    bool has_ref;
    uint64_t ref;
};

static bool parse_frame(struct frame *f, const json_t *root, struct phoenix_event *out)
{
    const json_t *ref = json_object_get(root, "ref");

    f->topic = json_string_value(json_object_get(root, "topic"));
    f->name = json_string_value(json_object_get(root, "event"));
    f->payload = json_object_get(root, "payload");
    f->has_ref = json_is_integer(ref);
    f->ref = f->has_ref ? (uint64_t)json_integer_value(ref) : 0;
    if (!f->topic || !f->name)
        say(out, PHOENIX_IGNORED, "a frame without topic or event");
    else if (!f->payload)
        say(out, PHOENIX_IGNORED, "%.*s: no payload", NAME_SHOWN_MAX, f->name);
    else if (ref && !f->has_ref && !json_is_null(ref))
        say(out, PHOENIX_IGNORED, "%.*s: ref is neither a number nor null", NAME_SHOWN_MAX,
            f->name);
    else
        return true;
    return false;
}

static bool take_unanswered(struct phoenix *p, uint64_t ref)
{
    for (unsigned i = 0; i < p->unanswered_n; i++) {
        if (p->unanswered[i] != ref)
            continue;
        p->unanswered[i] = p->unanswered[--p->unanswered_n];
        return true;
    }
    return false;
}

static bool is_join_ref(const struct phoenix *p, uint64_t ref)
{
    return p->state == PHOENIX_EXPECT_JOIN && !p->join_due && ref == p->join_ref;
}

static void reply_error(struct phoenix *p, time_ns now, const struct frame *f,
                        struct phoenix_event *out)
{
    const json_t *response = json_object_get(f->payload, "response");
    const char *reason = json_string_value(json_object_get(response, "reason"));

    if (!reason)
        reason = "no reason given";
    if (is_join_ref(p, f->ref)) {
        end(p, out, PHOENIX_JOIN_REFUSED, reason);
        return;
    }
    bool ended = strcmp(reason, "unmatched topic") == 0 && strcmp(f->topic, p->topic) == 0 &&
                 p->state == PHOENIX_JOINED && f->ref > p->join_ref;
    if (ended && p->rejoins++ == PHOENIX_REJOINS_MAX) {
        end(p, out, PHOENIX_LOST, "the portal's channel ends again and again");
        return;
    }
    if (ended) /* but the socket has not */
        join(p, now);
    say(out, ended ? PHOENIX_REJOINING : PHOENIX_IGNORED, "the portal refused message %llu: %.*s",
        (unsigned long long)f->ref, NAME_SHOWN_MAX, reason);
}

/* Upstream's programs want `response` to be exactly {}; whoever writes a portal has to mind that. */
static void reply(struct phoenix *p, time_ns now, const struct frame *f, struct phoenix_event *out)
{
    const char *status = json_string_value(json_object_get(f->payload, "status"));

    if (!status || !f->has_ref) {
        say(out, PHOENIX_IGNORED, "phx_reply without status or ref");
    } else if (strcmp(status, "ok") != 0) {
        reply_error(p, now, f, out);
    } else if (is_join_ref(p, f->ref)) {
        set_state(p, PHOENIX_JOINED);
        out->kind = PHOENIX_JOIN_ACCEPTED;
    } else {
        take_unanswered(p, f->ref);
    }
}

static void disconnect(struct phoenix *p, const struct frame *f, struct phoenix_event *out)
{
    const char *reason = json_string_value(json_object_get(f->payload, "reason"));

    if (reason && strcmp(reason, "token_expired") == 0)
        end(p, out, PHOENIX_TOKEN_EXPIRED,
            "the portal ended the session: token expired, or used elsewhere");
    else
        say(out, PHOENIX_IGNORED, "disconnect: %.*s", NAME_SHOWN_MAX,
            reason ? reason : "no reason given");
}

static void dispatch(struct phoenix *p, time_ns now, const struct frame *f,
                     struct phoenix_event *out)
{
    if (strcmp(f->name, "phx_reply") == 0) {
        reply(p, now, f, out);
    } else if (strcmp(f->name, "disconnect") == 0) { /* of whatever topic */
        disconnect(p, f, out);
    } else if (strcmp(f->topic, p->topic) != 0) {
        say(out, PHOENIX_IGNORED, "%.*s: of another topic", NAME_SHOWN_MAX, f->name);
    } else if (strcmp(f->name, "phx_close") == 0) {
        end(p, out, PHOENIX_LOST, "the portal closed the channel");
    } else if (strcmp(f->name, "phx_error") == 0) { /* the portal closes the socket next */
        p->crashed_until = time_min(p->crashed_until, now + PHOENIX_CRASH_NS);
        say(out, PHOENIX_IGNORED, "the portal's channel crashed");
    } else {
        out->kind = PHOENIX_MESSAGE;
        out->name = f->name;
        out->payload = json_object_get(out->frame, "payload");
    }
}

void phoenix_handle_input(struct phoenix *p, time_ns now, const char *text, size_t len,
                          struct phoenix_event *out)
{
    json_error_t error;
    struct frame f;

    *out = (struct phoenix_event){.kind = PHOENIX_NOTHING};
    if (!is_open(p))
        return;
    out->frame = json_loadb(text, len, 0, &error);
    if (!out->frame)
        say(out, PHOENIX_IGNORED, "a frame that is no JSON object, offset %d: %.*s", error.position,
            NAME_SHOWN_MAX, error.text);
    else if (parse_frame(&f, out->frame, out))
        dispatch(p, now, &f, out);
    if (out->kind != PHOENIX_MESSAGE) {
        json_decref(out->frame);
        out->frame = NULL;
    }
}

/* ---- output ---- */

static size_t queue_entry(const struct phoenix_queue *q, size_t at)
{
    uint32_t len;
    memcpy(&len, q->bytes + at, sizeof len);
    return len;
}

static bool queue_has(const struct phoenix_queue *q, const char *text, size_t len)
{
    for (size_t at = 0; at < q->len; at += sizeof(uint32_t) + queue_entry(q, at)) {
        if (queue_entry(q, at) == len && memcmp(q->bytes + at + sizeof(uint32_t), text, len) == 0)
            return true;
    }
    return false;
}

static void queue_drop_first(struct phoenix_queue *q)
{
    size_t gone = sizeof(uint32_t) + queue_entry(q, 0);
    memmove(q->bytes, q->bytes + gone, q->len - gone);
    q->len -= gone;
}

/* "event":<name>,"payload":<payload>: what stands between topic and ref. Returns its length, 0: it does not fit. */
static size_t write_body(char *out, size_t size, const char *name, const json_t *payload)
{
    int head = snprintf(out, size, "\"event\":\"%s\",\"payload\":", name);
    if (head < 0 || (size_t)head >= size)
        return 0;
    size_t room = size - (size_t)head;
    size_t n = json_dumpb(payload, out + head, room, JSON_COMPACT | JSON_ENCODE_ANY);
    return n > 0 && n <= room ? (size_t)head + n : 0;
}

enum err phoenix_push(struct phoenix *p, const char *name, const json_t *payload)
{
    struct phoenix_queue *q = &p->queue;
    size_t start = q->len + sizeof(uint32_t);

    if (!is_open(p))
        return ERR_CLOSED;
    if (start >= sizeof q->bytes)
        return ERR_FULL;
    char *text = q->bytes + start;
    uint32_t len = (uint32_t)write_body(text, sizeof q->bytes - start, name, payload);
    if (len == 0)
        return q->len > 0 ? ERR_FULL : ERR_NO_SPACE;
    if (queue_has(q, text, len))
        return ERR_OK;
    memcpy(q->bytes + q->len, &len, sizeof len);
    q->len = start + len;
    return ERR_OK;
}

/* {"topic":<topic>,<body>,"ref":<ref>}; the body is bounded by PHOENIX_QUEUE_BYTES. */
static void write_frame(char *out, size_t *len, const char *topic, const char *body,
                        size_t body_len, uint64_t ref)
{
    int n = snprintf(out, PHOENIX_FRAME_MAX, "{\"topic\":\"%s\",%.*s,\"ref\":%llu}", topic,
                     (int)body_len, body, (unsigned long long)ref);
    ASSERT(n > 0 && n < PHOENIX_FRAME_MAX);
    *len = (size_t)n;
}

static void write_join(struct phoenix *p, char *out, size_t *len)
{
    static const char name[] = "phx_join";
    char body[sizeof name + 32 + PHOENIX_JOIN_MAX];
    size_t n = write_body(body, sizeof body, name, p->join_payload);
    ASSERT(n > 0);
    p->join_due = false;
    p->join_ref = p->next_ref++;
    write_frame(out, len, p->topic, body, n, p->join_ref);
    secure_wipe(body, sizeof body); /* a relay's holds a secret */
}

static void write_heartbeat(struct phoenix *p, char *out, size_t *len)
{
    static const char body[] = "\"event\":\"heartbeat\",\"payload\":{}";
    p->heartbeats_due = 0;
    ASSERT(p->unanswered_n < PHOENIX_UNANSWERED_MAX);
    p->unanswered[p->unanswered_n++] = p->next_ref;
    write_frame(out, len, "phoenix", body, sizeof body - 1, p->next_ref++);
}

bool phoenix_wants_transmit(const struct phoenix *p)
{
    return is_open(p) && (p->join_due || p->heartbeats_due > 0 ||
                          (p->state == PHOENIX_JOINED && p->queue.len > 0));
}

bool phoenix_poll_transmit(struct phoenix *p, char *out, size_t *len)
{
    if (!phoenix_wants_transmit(p))
        return false;
    if (p->join_due) {
        write_join(p, out, len);
    } else if (p->heartbeats_due > 0) {
        write_heartbeat(p, out, len);
    } else {
        write_frame(out, len, p->topic, p->queue.bytes + sizeof(uint32_t),
                    queue_entry(&p->queue, 0), p->next_ref++);
        queue_drop_first(&p->queue);
    }
    return true;
}

/* ---- time ---- */

void phoenix_handle_timeout(struct phoenix *p, time_ns now, struct phoenix_event *out)
{
    *out = (struct phoenix_event){.kind = PHOENIX_NOTHING};
    if (p->state == PHOENIX_EXPECT_JOIN && now >= p->join_until) {
        end(p, out, PHOENIX_LOST, "the portal did not answer the join");
        return;
    }
    if (is_open(p) && now >= p->crashed_until) {
        end(p, out, PHOENIX_LOST, "the portal's channel crashed");
        return;
    }
    if (!is_open(p) || now < p->heartbeat_at)
        return;
    /* One that could not be sent in all the time counts like one that was not answered. */
    if (p->unanswered_n + p->heartbeats_due >= PHOENIX_UNANSWERED_MAX) {
        end(p, out, PHOENIX_LOST, "the portal did not answer the heartbeats");
        return;
    }
    p->heartbeats_due++;
    p->heartbeat_at = now + PHOENIX_HEARTBEAT_NS;
}

time_ns phoenix_poll_timeout(const struct phoenix *p)
{
    if (!is_open(p))
        return TIME_NEVER;
    time_ns at = time_min(p->heartbeat_at, p->crashed_until);
    return p->state == PHOENIX_EXPECT_JOIN ? time_min(at, p->join_until) : at;
}
