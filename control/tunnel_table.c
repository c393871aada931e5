/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peers of a tunnel: their slots, look-ups, AllowedIPs as routes of the workers; adding and removing them. A slot is
 * free again when nobody refers to it any more: the worker, and the published routes.
 */
#include <string.h>

#include "control/tunnel_private.h"
#include "engine/grants.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    PREFIXES_PER_LOOK = 32, /* at the clock */
    ROUTES_RETRY_MS = 100
};

/* ---- slots ---- */

bool tunnel_slot_find(struct tunnel *t, uint32_t *slot)
{
    while (t->slot_free_from < TUNNEL_PEERS_MAX) {
        *slot = t->slot_free_from;
        if (!t->records[*slot] && !t->slot_leaving[*slot])
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
    tunnel_jobs_wake(t);
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
        routes[n++] = (struct engine_route){.prefix = e->prefix,
                                            .peer = engine_peer_value(t->records[e->owner])};
    enum err err = engine_set_routes(t->engine, routes, n);
    free(routes);
    return err;
}

enum err tunnel_routes_publish(struct tunnel *t)
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

void tunnel_routes_soon(struct tunnel *t)
{
    if (!loop_timer_armed(&t->routes_timer))
        loop_timer_set(t->loop, &t->routes_timer, clock_now());
}

void tunnel_on_routes_timer(void *arg)
{
    struct tunnel *t = arg;
    if (t->jobs.first && !t->jobs.waiting)
        return; /* its end publishes */
    if (tunnel_routes_publish(t) != ERR_OK)
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

unsigned tunnel_worker_of_group(const struct tunnel *t, uint32_t group)
{
    return group % engine_workers(t->engine);
}

struct peer *tunnel_record_new(struct tunnel *t, uint32_t slot, unsigned owner, uint16_t waits)
{
    struct peer *record = engine_peer_new(slot, owner);

    ASSERT(!t->records[slot]);
    if (waits > 0) {
        engine_peer_wait_for_path(record);
        engine_peer_stage_limit(record, waits);
    }
    t->records[slot] = record;
    t->worker_load[owner]++;
    if (slot >= t->slots_used)
        t->slots_used = slot + 1;
    return record;
}

void tunnel_record_give(struct tunnel *t, struct peer *record, uint32_t slot, unsigned owner)
{
    tunnel_command(t, owner,
                   &(struct command){.kind = COMMAND_PEER_ADD, .slot = slot, .peer = record});
}

struct peer *tunnel_record_add(struct tunnel *t, uint32_t slot, unsigned owner, uint16_t waits)
{
    struct peer *record = tunnel_record_new(t, slot, owner, waits);

    tunnel_record_give(t, record, slot, owner);
    return record;
}

void tunnel_record_remove(struct tunnel *t, uint32_t slot, unsigned owner)
{
    slot_hold(t, slot, SLOT_HELD_BY_WORKER | (t->routes_dirty ? SLOT_HELD_BY_ROUTES : 0));
    tunnel_command(t, owner, &(struct command){.kind = COMMAND_PEER_REMOVE, .slot = slot});
    tunnel_record_forget(t, slot, owner);
}

void tunnel_record_forget(struct tunnel *t, uint32_t slot, unsigned owner)
{
    t->records[slot] = NULL;
    t->worker_load[owner]--;
}

struct tunnel_peer *tunnel_peer_add(struct tunnel *t, const struct tunnel_peer_spec *spec)
{
    struct wg_peer_config config = {.identity = t->identity, .timing = spec->timing};
    struct tunnel_peer *p = mem_zalloc(1, sizeof *p);

    memcpy(config.public_key, spec->public_key, WG_KEY_LEN);
    p->tunnel = t;
    p->slot = spec->slot;
    p->owner = spec->owner == TUNNEL_ANY_WORKER ? least_loaded_worker(t) : spec->owner;
    wg_peer_init(&p->wg, &config, random_u32(), clock_now());
    secure_wipe(&config, sizeof config);
    tunnel_peer_timer_init(p);
    t->peers[p->slot] = p;
    t->peers_n++;
    struct tunnel_peer **bucket = key_bucket(t, spec->public_key);
    p->hash_next = *bucket;
    *bucket = p;
    p->engine_peer =
        tunnel_record_new(t, p->slot, p->owner, spec->waits_for_path ? TUNNEL_WAITS_MAX : 0);
    if (t->options.role == ENGINE_GATEWAY)
        engine_peer_client(p->engine_peer, spec->client, spec->tenant);
    tunnel_record_give(t, p->engine_peer, p->slot, p->owner);
    return p;
}

void tunnel_steer(struct tunnel *t, const struct ip_prefix *prefix, unsigned owner)
{
    enum err err;
    if (!tun_steered(t->tun))
        return;
    err = owner == TUNNEL_ANY_WORKER ? tun_steer_clear(t->tun, prefix)
                                     : tun_steer_set(t->tun, prefix, owner);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        log_debug("tunnel", "steering map: %s; packets reach their worker by rings", err_text(err));
}

void tunnel_peer_forget(struct tunnel *t, struct tunnel_peer *p)
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
    secure_wipe(p, sizeof *p);
    free(p);
}

bool tunnel_allowed_clear(struct tunnel *t, const struct tunnel_peer *p, time_ns end)
{
    struct ip_prefix prefix;
    unsigned n = 0;

    while (allowed_take(&t->allowed, p->slot, &prefix)) {
        t->routes_dirty = true;
        tunnel_steer(t, &prefix, TUNNEL_ANY_WORKER);
        if (++n % PREFIXES_PER_LOOK == 0 && tunnel_time_is_up(end))
            return false;
    }
    return true;
}

bool tunnel_peer_remove(struct tunnel *t, struct tunnel_peer *p, time_ns end)
{
    if (!tunnel_allowed_clear(t, p, end))
        return false;
    tunnel_record_remove(t, p->slot, p->owner);
    tunnel_peer_forget(t, p);
    return true;
}
