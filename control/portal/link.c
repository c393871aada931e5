/* SPDX-License-Identifier: Apache-2.0 */
/* See link.h. */
#include "control/portal/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/err.h"

static void set_state(struct link *l, enum link_state next)
{
    static const unsigned legal[] = {
        [LINK_WAITING] = 1u << LINK_WAITING | 1u << LINK_CONNECTING,
        [LINK_CONNECTING] = 1u << LINK_WAITING | 1u << LINK_OPEN | 1u << LINK_ENDED,
        [LINK_OPEN] = 1u << LINK_WAITING | 1u << LINK_ENDED,
        [LINK_ENDED] = 1u << LINK_ENDED,
    };
    ASSERT(legal[l->state] & 1u << next);
    l->state = next;
    if (next != LINK_OPEN && l->channel.state != PHOENIX_CLOSED)
        phoenix_closed(&l->channel);
}

void link_init(struct link *l, const char *topic, json_t *join_payload, time_ns max_partition_ns,
               uint64_t seed, time_ns now)
{
    *l = (struct link){.state = LINK_WAITING, .until = now};
    backoff_init(&l->backoff, max_partition_ns, seed);
    phoenix_init(&l->channel, topic, join_payload);
}

void link_fini(struct link *l)
{
    phoenix_fini(&l->channel);
}

void link_event_release(struct link_event *event)
{
    phoenix_event_release(&event->channel);
    event->kind = LINK_NOTHING;
}

/* ---- failures ---- */

__attribute__((format(printf, 2, 3))) static void say(struct link_event *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->why, sizeof out->why, fmt, ap);
    va_end(ap);
}

static void fail(struct link *l, enum link_failure failure, struct link_event *out)
{
    set_state(l, LINK_ENDED);
    out->kind = LINK_FAILED;
    out->failure = failure;
}

static void wait_until(struct link *l, time_ns at)
{
    set_state(l, LINK_WAITING);
    l->until = time_max(at, l->not_before);
    if (l->attempted_at != 0)
        l->until = time_max(l->until, l->attempted_at + LINK_ATTEMPT_MIN_NS);
}

static void wait_after_reset(struct link *l, time_ns at)
{
    wait_until(l, at);
    if (l->attempted_at != 0)
        l->until =
            time_max(l->until, l->attempted_at + LINK_ATTEMPT_MIN_NS + LINK_ATTEMPT_MARGIN_NS);
}

static void wait_for(struct link *l, time_ns now, time_ns delay, struct link_event *out)
{
    wait_until(l, now + delay);
    out->kind = LINK_RETRY;
    out->delay_ns = l->until - now;
}

static bool is_current(const struct link *l, uint32_t attempt)
{
    return attempt == l->attempt && (l->state == LINK_CONNECTING || l->state == LINK_OPEN);
}

/* Waits as long as the back-off says, or gives up; `why` is in the event. */
static void retry(struct link *l, time_ns now, struct link_event *out)
{
    time_ns delay;
    if (backoff_next(&l->backoff, &delay))
        wait_for(l, now, delay, out);
    else
        fail(l, LINK_OUT_OF_RETRIES, out);
}

void link_refused(struct link *l, time_ns now, uint32_t attempt, const struct problem *problem,
                  struct link_event *out)
{
    char text[LINK_WHY_MAX - 64];

    *out = (struct link_event){.kind = LINK_NOTHING};
    if (!is_current(l, attempt) || l->state != LINK_CONNECTING)
        return;
    problem_text(problem, text, sizeof text);
    say(out, "the portal refused the connection: %s", text);
    switch (problem_class(problem)) {
    case PROBLEM_TOKEN:
        fail(l, LINK_TOKEN_INVALID, out);
        break;
    case PROBLEM_AUTH:
        fail(l, LINK_AUTH_FAILED, out);
        break;
    case PROBLEM_RETRY:
        /* What the portal wants replaces the delay, and costs nothing of the budget. */
        if (problem->retry_after_ns != TIME_NEVER) {
            l->not_before = now + problem->retry_after_ns;
            wait_for(l, now, 0, out);
        } else {
            retry(l, now, out);
        }
        break;
    }
}

void link_lost(struct link *l, time_ns now, uint32_t attempt, const char *why,
               struct link_event *out)
{
    *out = (struct link_event){.kind = LINK_NOTHING};
    if (!is_current(l, attempt))
        return;
    say(out, "%s", why);
    retry(l, now, out);
}

void link_unreachable(struct link *l, time_ns now, uint32_t attempt, const char *why,
                      struct link_event *out)
{
    if (l->reset_at == 0 || time_since(now, l->reset_at) >= LINK_UNREACHABLE_LIMIT_NS) {
        link_lost(l, now, attempt, why, out);
        return;
    }
    *out = (struct link_event){.kind = LINK_NOTHING};
    if (!is_current(l, attempt))
        return;
    say(out, "%s", why);
    wait_after_reset(l, now + LINK_UNREACHABLE_NS);
    out->kind = LINK_RETRY;
    out->delay_ns = l->until - now;
}

/* ---- the channel ---- */

static void from_channel(struct link *l, time_ns now, struct link_event *out)
{
    say(out, "%s", out->channel.why);
    switch (out->channel.kind) {
    case PHOENIX_NOTHING:
        break;
    case PHOENIX_JOIN_ACCEPTED:
        backoff_joined(&l->backoff);
        out->kind = LINK_JOINED;
        break;
    case PHOENIX_MESSAGE:
        out->kind = LINK_MESSAGE;
        break;
    case PHOENIX_REJOINING:
    case PHOENIX_IGNORED:
        out->kind = LINK_IGNORED;
        break;
    case PHOENIX_LOST:
        retry(l, now, out);
        break;
    case PHOENIX_JOIN_REFUSED:
        say(out, "the portal refused the login: %s", out->channel.why);
        fail(l, LINK_JOIN_REFUSED, out);
        break;
    case PHOENIX_TOKEN_EXPIRED:
        fail(l, LINK_TOKEN_INVALID, out);
        break;
    }
}

void link_upgrading(struct link *l, time_ns now, uint32_t attempt)
{
    if (is_current(l, attempt))
        l->attempted_at = now;
}

void link_connected(struct link *l, time_ns now, uint32_t attempt)
{
    if (!is_current(l, attempt) || l->state != LINK_CONNECTING)
        return;
    l->not_before = 0;
    set_state(l, LINK_OPEN);
    phoenix_opened(&l->channel, now);
}

void link_handle_input(struct link *l, time_ns now, uint32_t attempt, const char *text, size_t len,
                       struct link_event *out)
{
    *out = (struct link_event){.kind = LINK_NOTHING};
    if (!is_current(l, attempt) || l->state != LINK_OPEN)
        return;
    phoenix_handle_input(&l->channel, now, text, len, &out->channel);
    from_channel(l, now, out);
}

enum err link_push(struct link *l, const char *name, const json_t *payload)
{
    return phoenix_push(&l->channel, name, payload);
}

bool link_poll_transmit(struct link *l, char *out, size_t *len)
{
    return phoenix_poll_transmit(&l->channel, out, len);
}

bool link_wants_transmit(const struct link *l)
{
    return phoenix_wants_transmit(&l->channel);
}

/* ---- time ---- */

void link_handle_timeout(struct link *l, time_ns now, struct link_event *out)
{
    *out = (struct link_event){.kind = LINK_NOTHING};
    switch (l->state) {
    case LINK_WAITING:
        if (now < l->until)
            return;
        set_state(l, LINK_CONNECTING);
        l->until = now + LINK_CONNECT_TIMEOUT_NS;
        out->kind = LINK_CONNECT;
        out->attempt = ++l->attempt;
        return;
    case LINK_CONNECTING:
        if (now >= l->until)
            link_lost(l, now, l->attempt, "the connection took too long", out);
        return;
    case LINK_OPEN:
        phoenix_handle_timeout(&l->channel, now, &out->channel);
        from_channel(l, now, out);
        return;
    case LINK_ENDED:
        return;
    }
}

time_ns link_poll_timeout(const struct link *l)
{
    switch (l->state) {
    case LINK_WAITING:
    case LINK_CONNECTING:
        return l->until;
    case LINK_OPEN:
        return phoenix_poll_timeout(&l->channel);
    case LINK_ENDED:
        return TIME_NEVER;
    }
    return TIME_NEVER;
}

void link_reset(struct link *l, time_ns now)
{
    if (l->state == LINK_ENDED)
        return;
    l->reset_at = now;
    wait_after_reset(l, now);
    backoff_reset(&l->backoff);
}
