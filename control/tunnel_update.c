/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates of the tunnel: settings, our own identity, peers and AllowedIPs. An update may bring thousands of peers, each
 * with a key agreement, so it is a job that is worked off in pieces; between two pieces the loop serves everybody else.
 * Jobs run one after the other. The routes are published once, at the end of a job, or before it waits for slots.
 */
#include <string.h>

#include "control/keylog.h"
#include "control/tunnel_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    PIECE_US = 2000,
    PREFIXES_PER_LOOK = 32, /* at the clock */
    ROUTES_ALONE = 1024     /* with more of them, publishing gets a piece of its own */
};

enum progress {
    PROGRESS_DONE,
    PROGRESS_AGAIN, /* the time is up */
    PROGRESS_WAIT   /* until a slot is free */
};

enum job_stage {
    JOB_SETTINGS,
    JOB_IDENTITY,
    JOB_REPLACE,
    JOB_PEERS,
    JOB_ROUTES,
    JOB_OVER
};

struct tunnel_job {
    const struct device_update *update; /* the configuration's, or `owned` */
    struct device_update owned;
    tunnel_applied done;
    void *arg;
    enum job_stage stage;
    enum err err; /* of the stages so far; the first one ends the job */
    bool rekey;   /* our identity is another one now */
    size_t at;    /* next slot, or peer of the update */
    bool
        in_peer; /* that peer exists and has its settings: only AllowedIPs and what follows are missing */
    size_t prefix_at; /* next of its AllowedIPs */
    struct tunnel_job *next;
};

void tunnel_jobs_wake(struct tunnel *t)
{
    if (t->jobs.waiting)
        loop_timer_set(t->loop, &t->jobs.timer, clock_now());
}

/* ---- the stages of a job: each does at least one thing before it looks at the clock ---- */

static enum progress settings_step(struct tunnel *t, struct tunnel_job *j)
{
    const struct device_update *u = j->update;
    struct noise_identity *next = &t->identities[t->identity == &t->identities[0]];

    j->err = tunnel_settings_apply(t, u);
    if (j->err != ERR_OK || !u->has_private_key)
        return PROGRESS_DONE;
    noise_identity_init(next, u->private_key);
    if (ct_equal(next, t->identity, sizeof *next)) {
        noise_identity_wipe(next);
        return PROGRESS_DONE;
    }
    j->rekey = true;
    t->identity = next;
    keylog_identity(t->identity->private_key);
    tunnel_gate_publish(t, false);
    return PROGRESS_DONE;
}

/* Peers that handshakes touch meanwhile do not wait for this: tunnel_peer_refresh. */
static enum progress identity_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    if (!j->rekey)
        return PROGRESS_DONE;
    struct tunnel_peer *own = tunnel_peer_find(t, t->identity->public_key);
    if (own && !tunnel_peer_remove(t, own, end))
        return PROGRESS_AGAIN;
    while (j->at < t->slots_used) {
        struct tunnel_peer *p = t->peers[j->at++];
        if (p && tunnel_peer_refresh(p) && tunnel_time_is_up(end))
            return PROGRESS_AGAIN;
    }
    noise_identity_wipe(&t->identities[t->identity == &t->identities[0]]);
    return PROGRESS_DONE;
}

static enum progress replace_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    while (j->update->replace_peers && j->at < t->slots_used) {
        struct tunnel_peer *p = t->peers[j->at];
        if (p && !tunnel_peer_remove(t, p, end))
            return PROGRESS_AGAIN;
        j->at++;
        if (p && tunnel_time_is_up(end))
            return PROGRESS_AGAIN;
    }
    return PROGRESS_DONE;
}

static void peer_settings(struct tunnel *t, struct tunnel_peer *p,
                          const struct device_peer_update *u)
{
    if (u->has_psk) {
        wg_peer_set_psk(&p->wg, ct_is_zero(u->psk, sizeof u->psk) ? NULL : u->psk);
        keylog_psk(u->psk);
    }
    keylog_remote(u->public_key);
    if (!u->has_endpoint)
        return;
    if (t->resolve)
        resolve_cancel(t->resolve, p);
    if (u->endpoint_host[0])
        resolve_add(t->resolve, u->endpoint_host, u->endpoint_port, p);
    else
        tunnel_peer_endpoint(p, &u->endpoint, true);
}

static void peer_allow(struct tunnel *t, struct tunnel_peer *p, const struct device_allowed *a)
{
    if (a->remove ? allowed_remove(&t->allowed, &a->prefix, p->slot)
                  : allowed_set(&t->allowed, &a->prefix, p->slot)) {
        tunnel_steer(t, &a->prefix, a->remove ? TUNNEL_ANY_WORKER : p->owner);
        t->routes_dirty = true;
    }
}

/* Finds the peer, or adds it; *out NULL and DONE: nothing is to be done for it. */
static enum progress peer_begin(struct tunnel *t, struct tunnel_job *j, struct tunnel_peer **out)
{
    const struct device_peer_update *u = &j->update->peers[j->at];
    uint32_t slot;

    *out = tunnel_peer_find(t, u->public_key);
    if (j->in_peer || (!*out && u->update_only))
        return PROGRESS_DONE;
    if (!*out) {
        if (!tunnel_slot_find(t, &slot)) {
            if (t->slots_leaving > 0)
                return PROGRESS_WAIT;
            log_warn("tunnel", "too many peers: at most %d", TUNNEL_PEERS_MAX);
            j->err = ERR_FULL;
            return PROGRESS_DONE;
        }
        *out = tunnel_peer_add(t, &(struct tunnel_peer_spec){.public_key = u->public_key,
                                                             .slot = slot,
                                                             .owner = TUNNEL_ANY_WORKER,
                                                             .timing = WG_TIMING_DEFAULT});
    }
    peer_settings(t, *out, u);
    j->in_peer = true;
    return PROGRESS_DONE;
}

static enum progress peer_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    const struct device_peer_update *u = &j->update->peers[j->at];
    struct tunnel_peer *p;

    if (memcmp(u->public_key, t->identity->public_key, WG_KEY_LEN) == 0)
        return PROGRESS_DONE; /* ourselves: WireGuard ignores such a peer */
    if (u->remove) {
        p = tunnel_peer_find(t, u->public_key);
        return !p || tunnel_peer_remove(t, p, end) ? PROGRESS_DONE : PROGRESS_AGAIN;
    }
    enum progress progress = peer_begin(t, j, &p);
    if (progress != PROGRESS_DONE || !p)
        return progress;
    if (u->replace_allowed && j->prefix_at == 0 && !tunnel_allowed_clear(t, p, end))
        return PROGRESS_AGAIN;
    while (j->prefix_at < u->allowed_n) {
        peer_allow(t, p, &u->allowed[j->prefix_at++]);
        if (j->prefix_at % PREFIXES_PER_LOOK == 0 && tunnel_time_is_up(end))
            return PROGRESS_AGAIN;
    }
    if (u->has_keepalive) {
        p->keepalive_seconds = u->keepalive_seconds;
        wg_peer_set_keepalive(&p->wg, clock_now(), u->keepalive_seconds * NS_PER_SEC);
    }
    tunnel_peer_drive(p);
    return PROGRESS_DONE;
}

static enum progress peers_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    while (j->at < j->update->peers_n && j->err == ERR_OK) {
        enum progress progress = peer_step(t, j, end);
        if (progress != PROGRESS_DONE)
            return progress;
        j->at++;
        j->in_peer = false;
        j->prefix_at = 0;
        if (tunnel_time_is_up(end))
            return PROGRESS_AGAIN;
    }
    return PROGRESS_DONE;
}

static enum progress routes_step(struct tunnel *t, struct tunnel_job *j)
{
    enum err err = tunnel_routes_publish(t);
    if (j->err == ERR_OK)
        j->err = err;
    return PROGRESS_DONE;
}

static enum progress job_stage_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    switch (j->stage) {
    case JOB_SETTINGS:
        return settings_step(t, j);
    case JOB_IDENTITY:
        return identity_step(t, j, end);
    case JOB_REPLACE:
        return replace_step(t, j, end);
    case JOB_PEERS:
        return peers_step(t, j, end);
    case JOB_ROUTES:
        return routes_step(t, j);
    case JOB_OVER:
        break;
    }
    return PROGRESS_DONE;
}

static enum progress job_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    while (j->stage != JOB_OVER) {
        enum progress progress = job_stage_step(t, j, end);
        if (progress != PROGRESS_DONE)
            return progress;
        /* What was done before an error stays, as with WireGuard, so it needs routes, too. */
        j->stage = j->err != ERR_OK && j->stage < JOB_ROUTES ? JOB_ROUTES : j->stage + 1;
        j->at = 0;
        if (j->stage == JOB_ROUTES && t->routes_dirty && t->allowed.used > ROUTES_ALONE)
            return PROGRESS_AGAIN;
    }
    return PROGRESS_DONE;
}

/* ---- the queue of jobs ---- */

static void job_end(struct tunnel *t, enum err err)
{
    struct tunnel_job *j = t->jobs.first;

    t->jobs.first = j->next;
    if (!t->jobs.first)
        t->jobs.last = &t->jobs.first;
    j->done(j->arg, err);
    device_update_fini(&j->owned);
    secure_wipe(j, sizeof *j);
    free(j);
}

/* Publishing may set slots free that only the routes still held. */
static bool wait_is_over(struct tunnel *t)
{
    uint32_t slot;
    return tunnel_routes_publish(t) == ERR_OK && tunnel_slot_find(t, &slot);
}

static void jobs_run(struct tunnel *t)
{
    time_ns end = clock_now() + PIECE_US * NS_PER_US;

    t->jobs.running = true;
    t->jobs.waiting = false;
    while (t->jobs.first) {
        enum progress progress = job_step(t, t->jobs.first, end);
        if (progress == PROGRESS_DONE)
            job_end(t, t->jobs.first->err);
        t->jobs.waiting = progress == PROGRESS_WAIT && !wait_is_over(t);
        if (t->jobs.waiting || !t->jobs.first)
            break;
        if (progress == PROGRESS_AGAIN || tunnel_time_is_up(end)) {
            loop_timer_set(t->loop, &t->jobs.timer, clock_now());
            break;
        }
    }
    t->jobs.running = false;
}

static void on_jobs_timer(void *arg)
{
    jobs_run(arg);
}

void tunnel_apply_give(struct tunnel *t, struct device_update *update, tunnel_applied done,
                       void *arg)
{
    struct tunnel_job *j = mem_zalloc(1, sizeof *j);
    bool idle = !t->jobs.first && !t->jobs.running;

    j->owned = *update;
    j->update = &j->owned;
    j->done = done;
    j->arg = arg;
    secure_wipe(update, sizeof *update); /* moved */
    *t->jobs.last = j;
    t->jobs.last = &j->next;
    if (idle)
        jobs_run(t);
}

enum err tunnel_update_now(struct tunnel *t, const struct device_update *update)
{
    struct tunnel_job j = {.update = update, .stage = JOB_REPLACE};
    enum progress progress;

    ASSERT(!t->jobs.first && t->slots_leaving == 0);
    do
        progress = job_step(t, &j, TIME_NEVER);
    while (progress == PROGRESS_AGAIN);
    ASSERT(progress == PROGRESS_DONE);
    return j.err;
}

void tunnel_updates_init(struct tunnel *t)
{
    t->identity = &t->identities[0];
    t->jobs.last = &t->jobs.first;
    loop_timer_init(&t->jobs.timer, on_jobs_timer, t);
    loop_timer_init(&t->routes_timer, tunnel_on_routes_timer, t);
}

void tunnel_updates_fini(struct tunnel *t)
{
    while (t->jobs.first)
        job_end(t, ERR_CLOSED);
    loop_timer_clear(t->loop, &t->jobs.timer);
    loop_timer_clear(t->loop, &t->routes_timer);
    for (uint32_t i = 0; i < t->slots_used; i++) {
        if (!t->peers[i])
            continue;
        tunnel_record_forget(t, i, t->peers[i]->owner);
        tunnel_peer_forget(t, t->peers[i]);
    }
}
