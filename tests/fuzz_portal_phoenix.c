/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the Phoenix channel: a script of what portal, socket, user and time do. Whatever happens, frames that go out
 * are JSON with the next ref, nothing goes out before the join, and an ended channel says nothing more.
 *
 * Input: steps, each a byte whose low three bits say what happens; the rest is a small number.
 */
#include "control/portal/phoenix.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_OPEN,     /* or close */
    STEP_TIME,     /* number * 0.5 s */
    STEP_TRANSMIT, /* number + 1 frames */
    STEP_REPLY_OK, /* to the message `number` before the last one */
    STEP_REPLY_ERROR,
    STEP_PUSH,
    STEP_FRAME,  /* the next 16 * number bytes as they are */
    STEP_MESSAGE /* the same as the payload of a message */
};

struct script {
    struct phoenix p;
    time_ns now;
    uint64_t refs; /* sent on this socket */
    bool joined;
    const uint8_t *data;
    size_t size;
};

static char out[PHOENIX_FRAME_MAX];

static void check_event(struct script *s, const struct phoenix_event *e, enum phoenix_state before)
{
    switch (e->kind) {
    case PHOENIX_NOTHING:
        break;
    case PHOENIX_JOIN_ACCEPTED:
        ASSERT(before == PHOENIX_EXPECT_JOIN && s->p.state == PHOENIX_JOINED);
        s->joined = true;
        break;
    case PHOENIX_MESSAGE:
        ASSERT(e->name && e->payload);
        break;
    case PHOENIX_REJOINING:
        ASSERT(before == PHOENIX_JOINED && s->p.state == PHOENIX_EXPECT_JOIN);
        break;
    case PHOENIX_IGNORED:
        ASSERT(e->why[0]);
        break;
    case PHOENIX_LOST:
    case PHOENIX_JOIN_REFUSED:
    case PHOENIX_TOKEN_EXPIRED:
        ASSERT(s->p.state == PHOENIX_ENDED && memchr(e->why, 0, sizeof e->why));
        break;
    }
    for (const char *c = e->why; *c; c++)
        ASSERT(*c >= ' ' && *c <= '~');
    ASSERT(e->kind == PHOENIX_MESSAGE || !e->frame);
    ASSERT(before != PHOENIX_CLOSED || e->kind == PHOENIX_NOTHING);
    ASSERT(before != PHOENIX_ENDED || e->kind == PHOENIX_NOTHING);
}

static void receive(struct script *s, const char *text, size_t len)
{
    enum phoenix_state before = s->p.state;
    struct phoenix_event e;
    phoenix_handle_input(&s->p, s->now, text, len, &e);
    check_event(s, &e, before);
    phoenix_event_release(&e);
}

static void open_or_close(struct script *s)
{
    if (s->p.state == PHOENIX_CLOSED) {
        phoenix_opened(&s->p, s->now);
        s->refs = 0;
        s->joined = false;
    } else {
        phoenix_closed(&s->p);
    }
}

static void pass_time(struct script *s, unsigned n)
{
    enum phoenix_state before = s->p.state;
    struct phoenix_event e;
    s->now += n * 500 * NS_PER_MS;
    phoenix_handle_timeout(&s->p, s->now, &e);
    check_event(s, &e, before);
    phoenix_event_release(&e);
    ASSERT(phoenix_poll_timeout(&s->p) > s->now || s->p.state == PHOENIX_EXPECT_JOIN);
}

static void transmit(struct script *s, unsigned n)
{
    size_t len;
    while (n-- > 0 && phoenix_poll_transmit(&s->p, out, &len)) {
        json_t *frame = json_loadb(out, len, 0, NULL);
        ASSERT(frame && json_object_size(frame) == 4);
        ASSERT((uint64_t)json_integer_value(json_object_get(frame, "ref")) == s->refs++);
        const char *name = json_string_value(json_object_get(frame, "event"));
        ASSERT(s->p.state == PHOENIX_EXPECT_JOIN || s->p.state == PHOENIX_JOINED);
        ASSERT(strcmp(name, "user") != 0 || s->joined);
        json_decref(frame);
    }
}

static void reply(struct script *s, unsigned n, bool ok)
{
    json_t *frame =
        json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:I}", "topic", "client", "event", "phx_reply",
                  "payload", "status", ok ? "ok" : "error", "response", "reason",
                  n % 2 ? "unmatched topic" : "x", "ref", (json_int_t)s->refs - 1 - (json_int_t)n);
    size_t len = json_dumpb(frame, out, sizeof out, 0);
    json_decref(frame);
    receive(s, out, len);
}

static size_t take(struct script *s, unsigned n, const char **text)
{
    size_t len = size_min(s->size, (size_t)n * 16);
    *text = (const char *)s->data;
    s->data += len;
    s->size -= len;
    return len;
}

static void message(struct script *s, unsigned n)
{
    static const char head[] = "{\"topic\":\"client\",\"ref\":null,\"event\":\"init\",\"payload\":";
    char frame[sizeof head + 512];
    const char *text;
    size_t len = take(s, n, &text), at = sizeof head - 1;
    memcpy(frame, head, at);
    memcpy(frame + at, text, len);
    frame[at + len] = '}';
    receive(s, frame, at + len + 1);
}

static void push(struct script *s, unsigned n)
{
    static char text[31 * 400];
    bool open = s->p.state == PHOENIX_EXPECT_JOIN || s->p.state == PHOENIX_JOINED;
    memset(text, 'a' + (int)(s->size % 26), sizeof text);
    json_t *payload = json_stringn(text, (size_t)n * 400);
    enum err err = phoenix_push(&s->p, "user", payload);
    ASSERT((err == ERR_CLOSED) == !open && (err == ERR_OK || err == ERR_CLOSED || err == ERR_FULL));
    json_decref(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {.now = 1000 * NS_PER_SEC, .data = data, .size = size};
    const char *text;

    phoenix_init(&s.p, "client", json_null());
    while (s.size > 0) {
        unsigned byte = *s.data++, n = byte >> 3;
        s.size--;
        switch ((enum step)(byte & 7)) {
        case STEP_OPEN:
            open_or_close(&s);
            break;
        case STEP_TIME:
            pass_time(&s, n);
            break;
        case STEP_TRANSMIT:
            transmit(&s, n + 1);
            break;
        case STEP_REPLY_OK:
        case STEP_REPLY_ERROR:
            reply(&s, n, (byte & 7) == STEP_REPLY_OK);
            break;
        case STEP_PUSH:
            push(&s, n);
            break;
        case STEP_FRAME: {
            size_t len = take(&s, n, &text);
            receive(&s, text, len);
            break;
        }
        case STEP_MESSAGE:
            message(&s, n);
            break;
        }
    }
    phoenix_fini(&s.p);
    return 0;
}
