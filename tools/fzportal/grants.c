/* SPDX-License-Identifier: Apache-2.0 */
/* See grants.h. */
#include "tools/fzportal/grants.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/session.h"
#include "tools/fzportal/tokens.h"

static uint64_t hash_key(const struct device *client, const struct device *peer,
                         const struct portal_id *resource)
{
    uint64_t h = table_hash(TABLE_HASH, client->id.uuid.bytes, UUID_LEN);
    h = table_hash(h, peer->id.uuid.bytes, UUID_LEN);
    return table_hash(h, resource->uuid.bytes, UUID_LEN);
}

struct grant *portal_grant_find(const struct portal *p, const struct device *client,
                                const struct device *peer, const struct portal_id *resource)
{
    struct table_link *link = table_first(&p->grants_by_key, hash_key(client, peer, resource));
    for (; link; link = table_next(link)) {
        struct grant *g = CONTAINER_OF(link, struct grant, link);
        if (g->client == client && g->peer == peer && strcmp(g->resource.text, resource->text) == 0)
            return g;
    }
    return NULL;
}

struct grant *portal_grant_put(struct portal_session *s, struct device *peer,
                               const struct portal_id *resource, const struct policy *policy,
                               int64_t expires_at)
{
    struct portal *p = s->portal;
    struct device *client = s->device;
    struct grant *g = portal_grant_find(p, client, peer, resource);
    if (!g) {
        g = mem_zalloc(1, sizeof *g);
        g->client = client;
        g->peer = peer;
        g->resource = *resource;
        table_add(&p->grants_by_key, &g->link, hash_key(client, peer, resource));
        TAILQ_INSERT_TAIL(&p->grants, g, order);
        TAILQ_INSERT_TAIL(&client->out, g, out);
        TAILQ_INSERT_TAIL(&peer->in, g, in);
    }
    g->id = portal_draw_id(p);
    g->token = s->token;
    g->policy = policy;
    g->expires_at = expires_at;
    return g;
}

static void forget(struct portal *p, struct grant *g)
{
    table_remove(&p->grants_by_key, &g->link);
    TAILQ_REMOVE(&p->grants, g, order);
    TAILQ_REMOVE(&g->client->out, g, out);
    TAILQ_REMOVE(&g->peer->in, g, in);
    free(g);
}

void portal_grant_revoke(struct portal *p, struct grant *g)
{
    if (g->peer->session)
        portal_session_push(g->peer->session, "reject_access",
                            json_pack("{s:s, s:s}", "client_id", g->client->id.text, "resource_id",
                                      g->resource.text));
    forget(p, g);
}

void portal_grants_revoke(struct portal *p, const char *resource_id, const struct token *token)
{
    struct grant *next;
    for (struct grant *g = TAILQ_FIRST(&p->grants); g; g = next) {
        next = TAILQ_NEXT(g, order);
        if ((!resource_id || strcmp(g->resource.text, resource_id) == 0) &&
            (!token || g->token == token))
            portal_grant_revoke(p, g);
    }
}

void portal_grants_revoke_policy(struct portal *p, const struct policy *policy)
{
    struct grant *next;
    for (struct grant *g = TAILQ_FIRST(&p->grants); g; g = next) {
        next = TAILQ_NEXT(g, order);
        if (g->policy == policy)
            portal_grant_revoke(p, g);
    }
}

void portal_grant_move(struct grant *g, int64_t expires_at)
{
    g->expires_at = expires_at;
    if (g->peer->session)
        portal_session_push(g->peer->session, "access_authorization_expiry_updated",
                            json_pack("{s:s, s:s, s:I}", "client_id", g->client->id.text,
                                      "resource_id", g->resource.text, "expires_at",
                                      (json_int_t)expires_at));
}

/* The peers know themselves when they are over. */
void portal_grants_prune(struct portal *p)
{
    struct grant *next;
    for (struct grant *g = TAILQ_FIRST(&p->grants); g; g = next) {
        next = TAILQ_NEXT(g, order);
        if (g->expires_at <= p->t.unix_seconds)
            forget(p, g);
    }
}

void portal_grants_fini(struct portal *p)
{
    struct grant *g;
    while ((g = TAILQ_FIRST(&p->grants)))
        forget(p, g);
    table_fini(&p->grants_by_key);
}

json_t *portal_grants_for(const struct portal *p, const struct device *peer)
{
    json_t *list = json_array();
    const struct grant *g;
    for (g = TAILQ_FIRST(&peer->in); g; g = TAILQ_NEXT(g, in)) {
        if (g->expires_at > p->t.unix_seconds)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:I}", "client_id", g->client->id.text, "resource_id",
                                g->resource.text, "expires_at", (json_int_t)g->expires_at));
    }
    return list;
}
