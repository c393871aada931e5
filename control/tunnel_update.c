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
    ROUTES_ALONE = 1024,    /* with more of them, publishing gets a piece of its own */
    ROUTES_RETRY_MS = 100
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

static bool time_is_up(time_ns end)
{
    return clock_now() >= end;
}

static void jobs_wake(struct tunnel *t)
{
    if (t->jobs.waiting)
        loop_timer_set(t->loop, &t->jobs.timer, clock_now());
}

/* ---- slots ---- */

static bool slot_find(struct tunnel *t, uint32_t *slot)
{
    while (t->slot_free_from < TUNNEL_PEERS_MAX) {
        *slot = t->slot_free_from;
        if (!t->peers[*slot] && !t->slot_leaving[*slot])
            return true;
        t->slot_free_from++;
    }
    return false;
}

static void slot_hold(struct tunnel *t, uint32_t slot, uint8_t why)
{
    ASSERT(why && !t->slot_leaving[slot]);
    t->slot_leaving[slot] = why;
    t->slots_leaving++;
}

static void slot_release(struct tunnel *t, uint32_t slot, uint8_t why)
{
    if (!(t->slot_leaving[slot] & why))
        return;
    t->slot_leaving[slot] &= (uint8_t)~why;
    if (t->slot_leaving[slot])
        return;
    t->slots_leaving--;
    if (slot < t->slot_free_from)
        t->slot_free_from = slot;
    jobs_wake(t);
}

void tunnel_peer_gone(struct tunnel *t, struct peer *p)
{
    slot_release(t, engine_peer_value(p) & ((1u << ENGINE_OWNER_SHIFT) - 1), SLOT_HELD_BY_WORKER);
    engine_peer_free(p);
}

/* ---- routes ---- */

static enum err routes_set(struct tunnel *t)
{
    struct engine_route *routes = malloc((t->allowed.used + 1) * sizeof *routes);
    const struct allowed_entry *e;
    size_t cursor = 0, n = 0;

    if (!routes)
        return ERR_NO_MEMORY;
    while ((e = allowed_next(&t->allowed, &cursor)) != NULL)
        routes[n++] = (struct engine_route){
            .prefix = e->prefix, .peer = engine_peer_value(t->peers[e->owner]->engine_peer)};
    enum err err = engine_set_routes(t->engine, routes, n);
    free(routes);
    return err;
}

/* On failure the old routes stay, with the slots they lead to, and it is tried again in a while. */
static enum err routes_publish(struct tunnel *t)
{
    if (!t->routes_dirty)
        return ERR_OK;
    enum err err = routes_set(t);
    if (err != ERR_OK) {
        if (!t->routes_failed)
            log_error("tunnel", "the old AllowedIPs stay in use for now: %s", err_text(err));
        t->routes_failed = true;
        loop_timer_set(t->loop, &t->routes_timer, clock_now() + ROUTES_RETRY_MS * NS_PER_MS);
        return err;
    }
    if (t->routes_failed)
        log_info("tunnel", "the new AllowedIPs are in use");
    t->routes_failed = t->routes_dirty = false;
    loop_timer_clear(t->loop, &t->routes_timer);
    for (uint32_t i = 0; i < t->slots_used; i++)
        slot_release(t, i, SLOT_HELD_BY_ROUTES);
    return ERR_OK;
}

static void on_routes_timer(void *arg)
{
    struct tunnel *t = arg;
    if (t->jobs.first && !t->jobs.waiting)
        return; /* its end publishes */
    if (routes_publish(t) != ERR_OK)
        log_debug("tunnel", "the old AllowedIPs still stay in use");
}

/* ---- by public key ---- */

static struct tunnel_peer **key_bucket(struct tunnel *t, const uint8_t *key)
{
    return &t->by_key[load_le32(key) % ARRAY_LEN(t->by_key)];
}

struct tunnel_peer *tunnel_peer_find(struct tunnel *t, const uint8_t public_key[WG_KEY_LEN])
{
    struct tunnel_peer *p = *key_bucket(t, public_key);
    while (p && memcmp(p->wg.remote.public_key, public_key, WG_KEY_LEN) != 0)
        p = p->hash_next;
    return p;
}

/* ---- adding and removing ---- */

static unsigned least_loaded_worker(const struct tunnel *t)
{
    unsigned best = 0;
    for (unsigned i = 1; i < engine_workers(t->engine); i++) {
        if (t->worker_load[i] < t->worker_load[best])
            best = i;
    }
    return best;
}

static struct tunnel_peer *peer_add(struct tunnel *t, const uint8_t *public_key, uint32_t slot)
{
    struct wg_peer_config config = {.identity = t->identity, .timing = WG_TIMING_DEFAULT};
    struct tunnel_peer *p = mem_zalloc(1, sizeof *p);

    memcpy(config.public_key, public_key, WG_KEY_LEN);
    p->tunnel = t;
    p->slot = slot;
    p->owner = least_loaded_worker(t);
    p->engine_peer = engine_peer_new(slot, p->owner);
    wg_peer_init(&p->wg, &config, random_u32(), clock_now());
    secure_wipe(&config, sizeof config);
    tunnel_peer_timer_init(p);
    t->peers[slot] = p;
    t->peers_n++;
    t->worker_load[p->owner]++;
    if (slot >= t->slots_used)
        t->slots_used = slot + 1;
    struct tunnel_peer **bucket = key_bucket(t, public_key);
    p->hash_next = *bucket;
    *bucket = p;
    tunnel_command(
        t, p->owner,
        &(struct command){.kind = COMMAND_PEER_ADD, .slot = slot, .peer = p->engine_peer});
    return p;
}

static void steer(struct tunnel *t, const struct ip_prefix *prefix, const struct tunnel_peer *owner)
{
    enum err err;
    if (!tun_steered(t->tun))
        return;
    err = owner ? tun_steer_set(t->tun, prefix, owner->owner) : tun_steer_clear(t->tun, prefix);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        log_debug("tunnel", "steering map: %s; packets reach their worker by rings", err_text(err));
}

/* The peer's record in the engine is freed when the worker let go of it (ACK_PEER_GONE). */
static void peer_forget(struct tunnel *t, struct tunnel_peer *p)
{
    struct tunnel_peer **link = key_bucket(t, p->wg.remote.public_key);
    while (*link != p)
        link = &(*link)->hash_next;
    *link = p->hash_next;
    for (unsigned i = 0; i < TUNNEL_INDICES_MAX; i++) {
        if (p->indices[i].index == 0)
            continue;
        if (p->indices[i].session)
            index_orphan(&t->indices, p->indices[i].index);
        else
            index_release(&t->indices, p->indices[i].index);
    }
    loop_timer_clear(t->loop, &p->timer);
    if (t->resolve)
        resolve_cancel(t->resolve, p);
    wg_peer_fini(&p->wg);
    t->peers[p->slot] = NULL;
    t->peers_n--;
    t->worker_load[p->owner]--;
    secure_wipe(p, sizeof *p);
    free(p);
}

/* False: the time is up, some may be left. */
static bool allowed_clear(struct tunnel *t, const struct tunnel_peer *p, time_ns end)
{
    struct ip_prefix prefix;
    unsigned n = 0;

    while (allowed_take(&t->allowed, p->slot, &prefix)) {
        t->routes_dirty = true;
        steer(t, &prefix, NULL);
        if (++n % PREFIXES_PER_LOOK == 0 && time_is_up(end))
            return false;
    }
    return true;
}

/* False: the time is up. What the workers route by may lead to the slot until routes without it are published. */
static bool peer_remove(struct tunnel *t, struct tunnel_peer *p, time_ns end)
{
    if (!allowed_clear(t, p, end))
        return false;
    slot_hold(t, p->slot, SLOT_HELD_BY_WORKER | (t->routes_dirty ? SLOT_HELD_BY_ROUTES : 0));
    tunnel_command(t, p->owner, &(struct command){.kind = COMMAND_PEER_REMOVE, .slot = p->slot});
    peer_forget(t, p);
    return true;
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
    if (own && !peer_remove(t, own, end))
        return PROGRESS_AGAIN;
    while (j->at < t->slots_used) {
        struct tunnel_peer *p = t->peers[j->at++];
        if (p && tunnel_peer_refresh(p) && time_is_up(end))
            return PROGRESS_AGAIN;
    }
    noise_identity_wipe(&t->identities[t->identity == &t->identities[0]]);
    return PROGRESS_DONE;
}

static enum progress replace_step(struct tunnel *t, struct tunnel_job *j, time_ns end)
{
    while (j->update->replace_peers && j->at < t->slots_used) {
        struct tunnel_peer *p = t->peers[j->at];
        if (p && !peer_remove(t, p, end))
            return PROGRESS_AGAIN;
        j->at++;
        if (p && time_is_up(end))
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
        steer(t, &a->prefix, a->remove ? NULL : p);
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
        if (!slot_find(t, &slot)) {
            if (t->slots_leaving > 0)
                return PROGRESS_WAIT;
            log_warn("tunnel", "too many peers: at most %d", TUNNEL_PEERS_MAX);
            j->err = ERR_FULL;
            return PROGRESS_DONE;
        }
        *out = peer_add(t, u->public_key, slot);
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
        return !p || peer_remove(t, p, end) ? PROGRESS_DONE : PROGRESS_AGAIN;
    }
    enum progress progress = peer_begin(t, j, &p);
    if (progress != PROGRESS_DONE || !p)
        return progress;
    if (u->replace_allowed && j->prefix_at == 0 && !allowed_clear(t, p, end))
        return PROGRESS_AGAIN;
    while (j->prefix_at < u->allowed_n) {
        peer_allow(t, p, &u->allowed[j->prefix_at++]);
        if (j->prefix_at % PREFIXES_PER_LOOK == 0 && time_is_up(end))
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
        if (time_is_up(end))
            return PROGRESS_AGAIN;
    }
    return PROGRESS_DONE;
}

static enum progress routes_step(struct tunnel *t, struct tunnel_job *j)
{
    enum err err = routes_publish(t);
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
    return routes_publish(t) == ERR_OK && slot_find(t, &slot);
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
        if (progress == PROGRESS_AGAIN || time_is_up(end)) {
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
    loop_timer_init(&t->routes_timer, on_routes_timer, t);
}

void tunnel_updates_fini(struct tunnel *t)
{
    while (t->jobs.first)
        job_end(t, ERR_CLOSED);
    loop_timer_clear(t->loop, &t->jobs.timer);
    loop_timer_clear(t->loop, &t->routes_timer);
    for (uint32_t i = 0; i < t->slots_used; i++) {
        if (t->peers[i])
            peer_forget(t, t->peers[i]);
    }
}
