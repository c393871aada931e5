/* SPDX-License-Identifier: Apache-2.0 */
/* See portal.h. */
#include "tools/fzportal/portal.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/admission.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/flows.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/peers.h"
#include "tools/fzportal/relays.h"
#include "tools/fzportal/resources.h"
#include "tools/fzportal/session.h"
#include "tools/fzportal/tokens.h"

#define PRUNE_NS (60 * NS_PER_SEC)

enum err portal_new(struct portal **out, const struct portal_config *config, const uint8_t seed[32],
                    struct portal_time t)
{
    struct portal *p = mem_zalloc(1, sizeof *p);

    p->config = config;
    memcpy(p->seed, seed, sizeof p->seed);
    p->t = t;
    p->started_at = t.unix_seconds;
    p->listening = true;
    p->queued_bytes_max = PORTAL_QUEUED_BYTES_MAX;
    p->presence_at = TIME_NEVER;
    p->pools_at = TIME_NEVER;
    p->prune_at = t.now + PRUNE_NS;
    TAILQ_INIT(&p->resources);
    TAILQ_INIT(&p->devices);
    TAILQ_INIT(&p->relays);
    TAILQ_INIT(&p->sessions);
    TAILQ_INIT(&p->idle);
    TAILQ_INIT(&p->idle_relays);
    TAILQ_INIT(&p->ready);
    TAILQ_INIT(&p->grants);
    TAILQ_INIT(&p->pendings);
    TAILQ_INIT(&p->stubs);
    p->account_id = portal_named_id(p, &config->account_id, "account", config->account);
    portal_config_dns_copy(&p->dns, &config->dns);
    portal_resources_init(p);
    portal_tokens_init(p);
    portal_relays_init(p);
    *out = p;
    return ERR_OK;
}

static void free_session(struct portal *p, struct portal_session *s)
{
    portal_session_end(s, SESSION_CLOSE_NONE);
    if (s->is_ready)
        TAILQ_REMOVE(&p->ready, s, ready);
    TAILQ_REMOVE(&p->sessions, s, order);
    portal_session_free(s);
}

void portal_free(struct portal *p)
{
    struct portal_session *s;

    if (!p)
        return;
    while ((s = TAILQ_FIRST(&p->sessions)))
        free_session(p, s);
    portal_flows_fini(p);
    portal_grants_fini(p);
    portal_devices_fini(p);
    portal_relays_fini(p);
    portal_tokens_fini(p);
    portal_resources_fini(p);
    portal_config_dns_fini(&p->dns);
    secure_wipe(p, sizeof *p);
    free(p);
}

struct portal_session *portal_upgrade(struct portal *p, struct portal_time t,
                                      const struct portal_request *r, void *user,
                                      struct portal_answer *answer)
{
    p->t = t;
    return portal_admit(p, r, user, answer);
}

void *portal_session_user(const struct portal_session *s)
{
    return s->user;
}

void portal_heard(struct portal *p, struct portal_time t, struct portal_session *s)
{
    p->t = t;
    portal_session_touch(s);
}

void portal_handle_input(struct portal *p, struct portal_time t, struct portal_session *s,
                         const char *text, size_t len)
{
    p->t = t;
    portal_session_input(s, text, len);
}

void portal_closed(struct portal *p, struct portal_time t, struct portal_session *s)
{
    p->t = t;
    free_session(p, s);
}

/* ---- time ---- */

static time_ns in_seconds(const struct portal *p, int64_t unix_seconds)
{
    if (unix_seconds == INT64_MAX)
        return TIME_NEVER;
    int64_t left = unix_seconds - p->t.unix_seconds;
    return p->t.now + (left > 0 ? (uint64_t)left * NS_PER_SEC : 0);
}

time_ns portal_poll_timeout(const struct portal *p)
{
    const struct portal_session *s = TAILQ_FIRST(&p->idle), *r = TAILQ_FIRST(&p->idle_relays);
    const struct pending *q = TAILQ_FIRST(&p->pendings);
    time_ns at = time_min(time_min(p->presence_at, p->pools_at), in_seconds(p, p->expiry_next));

    if (s)
        at = time_min(at, s->idle_at);
    if (r)
        at = time_min(at, r->idle_at);
    if (q)
        at = time_min(at, q->deadline);
    if (!TAILQ_EMPTY(&p->grants) || p->buckets.n > 0)
        at = time_min(at, p->prune_at);
    return at;
}

void portal_handle_timeout(struct portal *p, struct portal_time t)
{
    p->t = t;
    portal_session_idle(p);
    portal_flows_expire(p);
    if (t.unix_seconds >= p->expiry_next)
        portal_tokens_expire(p);
    portal_relays_tell(p);
    portal_pools_tell(p);
    if (t.now >= p->prune_at) {
        p->prune_at = t.now + PRUNE_NS;
        portal_grants_prune(p);
        portal_connects_prune(p);
    }
}

/* ---- out ---- */

struct portal_session *portal_poll_ready(struct portal *p)
{
    portal_sessions_bound(p);
    struct portal_session *s = TAILQ_FIRST(&p->ready);
    if (s) {
        TAILQ_REMOVE(&p->ready, s, ready);
        s->is_ready = false;
    }
    return s;
}

bool portal_session_over(const struct portal_session *s, unsigned *close_code)
{
    *close_code = s->close_code;
    return s->state == SESSION_OVER;
}

bool portal_listening(const struct portal *p)
{
    return p->listening;
}
