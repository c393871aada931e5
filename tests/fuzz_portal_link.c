/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the link: what the socket, the portal and time do, in any order. A failure always leads to another attempt or
 * to the end, never to silence: as long as it has not ended, something is due.
 *
 * Input: steps, each a byte whose low three bits say what happens; the rest is a small number.
 */
#include "control/portal/link.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_TIME, /* number * 0.5 s */
    STEP_DUE,  /* until something is due */
    STEP_CONNECTED,
    STEP_REFUSED, /* by status number */
    STEP_LOST,
    STEP_RECEIVE, /* frame number */
    STEP_TRANSMIT,
    STEP_RESET
};

static const char *const frames[] = {
    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\"},\"ref\":0}",
    "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\"},\"ref\":0}",
    "{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}",
    "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},\"ref\":null}",
    "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":null}",
    ("{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\",\"response\":"
     "{\"reason\":\"unmatched topic\"}},\"ref\":9}"),
    "{",
};

static const struct {
    unsigned status;
    const char *retry_after, *body;
} answers[] = {{503, NULL, ""}, {503, "3", ""},
               {429, "0", ""},  {401, NULL, "{\"code\":\"invalid_token\"}"},
               {401, NULL, ""}, {308, NULL, ""}};

static char out[PHOENIX_FRAME_MAX];

static void check(const struct link *l, const struct link_event *e, time_ns now)
{
    switch (e->kind) {
    case LINK_NOTHING:
        break;
    case LINK_CONNECT:
        ASSERT(l->state == LINK_CONNECTING && e->attempt == l->attempt);
        break;
    case LINK_JOINED:
        ASSERT(l->state == LINK_OPEN && l->channel.state == PHOENIX_JOINED);
        break;
    case LINK_MESSAGE:
        ASSERT(l->state == LINK_OPEN && e->channel.payload);
        break;
    case LINK_IGNORED:
        ASSERT(l->state == LINK_OPEN && e->why[0]);
        break;
    case LINK_RETRY:
        ASSERT(l->state == LINK_WAITING && e->why[0]);
        ASSERT(l->attempted_at == 0 || l->until >= l->attempted_at + LINK_ATTEMPT_MIN_NS);
        ASSERT(l->until == now + e->delay_ns && e->delay_ns <= 2 * BACKOFF_MAX_NS);
        break;
    case LINK_FAILED:
        ASSERT(l->state == LINK_ENDED && e->why[0]);
        break;
    }
    ASSERT((link_poll_timeout(l) == TIME_NEVER) == (l->state == LINK_ENDED));
    ASSERT((l->channel.state == PHOENIX_CLOSED) == (l->state != LINK_OPEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link l;
    time_ns now = 1000 * NS_PER_SEC;

    link_init(&l, "client", json_null(), size > 0 && data[0] & 1 ? 100 * NS_PER_SEC : TIME_NEVER,
              size, now);
    for (size_t i = 0; i < size; i++) {
        struct link_event e = {.kind = LINK_NOTHING};
        struct problem problem;
        unsigned n = data[i] >> 3;
        uint32_t attempt = l.attempt - (n == 31); /* now and then news of the one before */
        size_t len;
        switch ((enum step)(data[i] & 7)) {
        case STEP_TIME:
            now += n * 500 * NS_PER_MS;
            link_handle_timeout(&l, now, &e);
            break;
        case STEP_DUE:
            if (link_poll_timeout(&l) != TIME_NEVER)
                now = time_max(now, link_poll_timeout(&l));
            link_handle_timeout(&l, now, &e);
            break;
        case STEP_CONNECTED:
            link_upgrading(&l, now, attempt);
            link_connected(&l, now, attempt);
            break;
        case STEP_REFUSED:
            n %= ARRAY_LEN(answers);
            problem_parse(&problem, answers[n].status, answers[n].retry_after, 0, answers[n].body,
                          strlen(answers[n].body));
            link_refused(&l, now, attempt, &problem, &e);
            break;
        case STEP_LOST:
            if (n & 1)
                link_unreachable(&l, now, attempt, "no route", &e);
            else
                link_lost(&l, now, attempt, "lost", &e);
            break;
        case STEP_RECEIVE:
            n %= ARRAY_LEN(frames);
            link_handle_input(&l, now, attempt, frames[n], strlen(frames[n]), &e);
            break;
        case STEP_TRANSMIT:
            link_poll_transmit(&l, out, &len);
            break;
        case STEP_RESET:
            link_reset(&l, now);
            break;
        }
        check(&l, &e, now);
        link_event_release(&e);
    }
    link_fini(&l);
    return 0;
}
