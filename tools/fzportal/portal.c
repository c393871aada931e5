/* SPDX-License-Identifier: Apache-2.0 */
/* See portal.h. */
#include "tools/fzportal/portal.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

struct frame {
    struct frame *next;
    char *text;
};

struct portal_session {
    struct portal_session *next, *next_ready;
    bool ready, over;
    void *user;
    struct frame *first, *last, *sent;
};

struct portal {
    struct portal_session *sessions, *ready;
};

enum err portal_new(struct portal **out, const struct portal_config *config, const uint8_t seed[32],
                    struct portal_time t)
{
    (void)config;
    (void)seed;
    (void)t;
    *out = mem_zalloc(1, sizeof **out);
    return ERR_OK;
}

static void frame_free(struct frame *f)
{
    if (f)
        free(f->text);
    free(f);
}

static void session_free(struct portal_session *s)
{
    while (s->first) {
        struct frame *f = s->first;
        s->first = f->next;
        frame_free(f);
    }
    frame_free(s->sent);
    free(s);
}

void portal_free(struct portal *p)
{
    while (p && p->sessions) {
        struct portal_session *s = p->sessions;
        p->sessions = s->next;
        session_free(s);
    }
    free(p);
}

bool portal_token_at(const struct portal *p, size_t i, struct portal_token_info *out)
{
    (void)p;
    (void)i;
    (void)out;
    return false;
}

struct portal_session *portal_upgrade(struct portal *p, struct portal_time t,
                                      const struct portal_request *r, void *user,
                                      struct portal_answer *answer)
{
    struct portal_session *s = mem_zalloc(1, sizeof *s);
    (void)t;
    (void)r;
    (void)answer;
    s->user = user;
    s->next = p->sessions;
    p->sessions = s;
    return s;
}

void *portal_session_user(const struct portal_session *s)
{
    return s->user;
}

static void push_ready(struct portal *p, struct portal_session *s)
{
    if (s->ready)
        return;
    s->ready = true;
    s->next_ready = p->ready;
    p->ready = s;
}

void portal_handle_input(struct portal *p, struct portal_time t, struct portal_session *s,
                         const char *text, size_t len)
{
    json_t *in = json_loadb(text, len, 0, NULL);
    struct frame *f = mem_zalloc(1, sizeof *f);
    (void)t;
    json_t *reply = json_pack("{s:O?, s:s, s:{s:s, s:{}}, s:O?}", "topic",
                              json_object_get(in, "topic"), "event", "phx_reply", "payload",
                              "status", "ok", "response", "ref", json_object_get(in, "ref"));
    f->text = reply ? json_dumps(reply, JSON_COMPACT) : mem_dup_text("{}", 2);
    json_decref(reply);
    json_decref(in);
    if (s->last)
        s->last->next = f;
    else
        s->first = f;
    s->last = f;
    push_ready(p, s);
}

void portal_closed(struct portal *p, struct portal_time t, struct portal_session *s)
{
    struct portal_session **link = &p->sessions;
    (void)t;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    for (link = &p->ready; s->ready && *link; link = &(*link)->next_ready) {
        if (*link == s) {
            *link = s->next_ready;
            break;
        }
    }
    session_free(s);
}

time_ns portal_poll_timeout(const struct portal *p)
{
    (void)p;
    return TIME_NEVER;
}

void portal_handle_timeout(struct portal *p, struct portal_time t)
{
    (void)p;
    (void)t;
}

struct portal_session *portal_poll_ready(struct portal *p)
{
    struct portal_session *s = p->ready;
    if (s) {
        p->ready = s->next_ready;
        s->ready = false;
    }
    return s;
}

bool portal_poll_transmit(struct portal_session *s, const char **text, size_t *len)
{
    frame_free(s->sent);
    s->sent = s->first;
    if (!s->sent)
        return false;
    s->first = s->sent->next;
    if (!s->first)
        s->last = NULL;
    *text = s->sent->text;
    *len = strlen(s->sent->text);
    return true;
}

bool portal_session_over(const struct portal_session *s, unsigned *close_code)
{
    *close_code = 0;
    return s->over;
}

json_t *portal_control(struct portal *p, struct portal_time t, const json_t *command)
{
    (void)p;
    (void)t;
    (void)command;
    return json_pack("{s:b}", "ok", 1);
}

bool portal_listening(const struct portal *p)
{
    (void)p;
    return true;
}
