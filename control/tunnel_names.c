/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of resources, for the workers. A target that holds packets has a record for them; when it does not hold them any more
 * they go on first, and the record is given back when the worker has confirmed that.
 */
#include <stdlib.h>
#include <string.h>

#include "control/tunnel_private.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

enum {
    HELD_PACKETS_MAX = 32 /* of one name. Source: spec/tunnel.md 1.3 */
};

struct target {
    uint32_t resource, generation; /* as the engine has it */
    unsigned owner;
    bool v4, v6, holds, keeps;
    uint32_t waits; /* slot; TUNNEL_NO_SLOT: none */
};

struct tunnel_name {
    unsigned n;
    bool steered;
    struct target targets[];
};

/* ---- publishing ---- */

static void publish(struct tunnel *t, uint32_t name)
{
    struct engine_name_target targets[ENGINE_NAME_TARGETS_MAX];
    const struct tunnel_name *x = t->policy.names[name];
    unsigned n = x ? x->n : 0;

    for (unsigned i = 0; i < n; i++) {
        const struct target *y = &x->targets[i];
        targets[i] = (struct engine_name_target){.resource = y->resource,
                                                 .generation = y->generation,
                                                 .v4 = y->v4,
                                                 .v6 = y->v6,
                                                 .hold = y->holds,
                                                 .waits = tunnel_slot_value(t, y->waits)};
    }
    if (engine_set_name(t->engine, name, targets, n) != ERR_OK)
        log_error("tunnel", "not enough memory for a name: its packets take the old way");
}

/* ---- records that are given back ---- */

/* The worker confirms by a token when what waits has gone on. */
static void release(struct tunnel *t, uint32_t name, const struct target *x)
{
    struct tunnel_policy *p = &t->policy;

    tunnel_wait_replay(t, x->waits, x->owner);
    p->releases = mem_grow(p->releases, p->releases_n, sizeof *p->releases);
    p->releases[p->releases_n++] =
        (struct tunnel_release){.name = name, .slot = x->waits, .token = ++p->token};
    tunnel_command(t, x->owner, &(struct command){.kind = COMMAND_ECHO, .token = p->token});
}

static struct target *target_of_slot(struct tunnel *t, uint32_t name, uint32_t slot)
{
    struct tunnel_name *x = t->policy.names[name];

    for (unsigned i = 0; x && i < x->n; i++) {
        if (x->targets[i].waits == slot)
            return &x->targets[i];
    }
    return NULL;
}

/* It may hold packets again meanwhile, or be gone. */
static void released(struct tunnel *t, const struct tunnel_release *r)
{
    struct target *x = target_of_slot(t, r->name, r->slot);

    if (!x || x->keeps)
        return;
    x->waits = TUNNEL_NO_SLOT;
    publish(t, r->name);
    tunnel_wait_leave(t, r->slot, x->owner);
}

void tunnel_names_echo(struct tunnel *t, uint64_t token)
{
    struct tunnel_policy *p = &t->policy;

    for (size_t i = 0; i < p->releases_n; i++) {
        struct tunnel_release r = p->releases[i];
        if (r.token != token)
            continue;
        p->releases_n--;
        memmove(&p->releases[i], &p->releases[i + 1], (p->releases_n - i) * sizeof *p->releases);
        released(t, &r);
        return;
    }
}

/* ---- setting ---- */

static void name_steer(struct tunnel *t, uint32_t name, unsigned owner)
{
    for (unsigned i = 0; i < PROXY_PER_NAME; i++) {
        struct ip_addr v4 = proxy_addr_v4(name, i), v6 = proxy_addr_v6(name, i);
        struct ip_prefix p4 = ip_prefix_host(&v4), p6 = ip_prefix_host(&v6);
        tunnel_steer(t, &p4, owner);
        tunnel_steer(t, &p6, owner);
    }
}

/* Its record stays with it. */
static uint32_t keep_slot(struct tunnel_name *before, uint32_t resource, uint32_t generation)
{
    for (unsigned i = 0; before && i < before->n; i++) {
        struct target *x = &before->targets[i];
        if (x->resource == resource && x->generation == generation) {
            uint32_t slot = x->waits;
            x->waits = TUNNEL_NO_SLOT;
            return slot;
        }
    }
    return TUNNEL_NO_SLOT;
}

static void target_set(struct tunnel *t, struct tunnel_name *before, struct target *out,
                       const struct tunnel_name_target *in)
{
    const struct tunnel_resource *r = in->resource;

    *out = (struct target){.resource = r->index,
                           .generation = r->generation,
                           .owner = tunnel_worker_of_group(t, r->spec.group),
                           .v4 = in->v4,
                           .v6 = in->v6,
                           .holds = in->holds,
                           .keeps = in->holds && in->keeps};
    out->waits = keep_slot(before, r->index, r->generation);
    if (out->keeps && out->waits == TUNNEL_NO_SLOT)
        out->waits = tunnel_wait_new(t, out->owner, HELD_PACKETS_MAX);
}

/* What has gone with `before`: records that nobody has taken over. */
static void forget(struct tunnel *t, struct tunnel_name *before)
{
    for (unsigned i = 0; before && i < before->n; i++) {
        if (before->targets[i].waits != TUNNEL_NO_SLOT)
            tunnel_wait_leave(t, before->targets[i].waits, before->targets[i].owner);
    }
    free(before);
}

static bool kept_before(const struct tunnel_name *before, const struct target *x)
{
    for (unsigned i = 0; before && i < before->n; i++) {
        if (before->targets[i].resource == x->resource &&
            before->targets[i].generation == x->generation)
            return before->targets[i].keeps;
    }
    return false;
}

static void names_grow(struct tunnel_policy *p, uint32_t name)
{
    while (p->names_n <= name) {
        p->names = mem_grow(p->names, p->names_n, sizeof(void *));
        p->names[p->names_n++] = NULL;
    }
}

void tunnel_name_set(struct tunnel *t, uint32_t name, const struct tunnel_name_target *targets,
                     unsigned n)
{
    struct tunnel_policy *p = &t->policy;
    struct tunnel_name *before, *x = NULL;

    ASSERT(name < ENGINE_NAMES_MAX);
    names_grow(p, name);
    before = p->names[name];
    n = (unsigned)size_min(n, ENGINE_NAME_TARGETS_MAX);
    if (n > 0) {
        x = mem_zalloc(1, sizeof *x + n * sizeof x->targets[0]);
        x->n = n;
        for (unsigned i = 0; i < n; i++)
            target_set(t, before, &x->targets[i], &targets[i]);
    }
    bool steered = before && before->steered;
    p->names[name] = x;
    publish(t, name);
    for (unsigned i = 0; i < n; i++) {
        struct target *y = &x->targets[i];
        if (!y->keeps && y->waits != TUNNEL_NO_SLOT && kept_before(before, y))
            release(t, name, y);
    }
    if (n > 0 && !steered)
        name_steer(t, name, x->targets[0].owner);
    else if (n == 0 && steered)
        name_steer(t, name, TUNNEL_ANY_WORKER);
    if (x)
        x->steered = true;
    forget(t, before);
}

void tunnel_names_fini(struct tunnel *t)
{
    struct tunnel_policy *p = &t->policy;

    for (size_t i = 0; i < p->names_n; i++) {
        struct tunnel_name *x = p->names[i];
        for (unsigned j = 0; x && j < x->n; j++) {
            if (x->targets[j].waits != TUNNEL_NO_SLOT)
                tunnel_record_forget(t, x->targets[j].waits, x->targets[j].owner);
        }
        free(x);
    }
    free(p->names);
    free(p->releases);
}
