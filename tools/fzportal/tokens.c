/* SPDX-License-Identifier: Apache-2.0 */
/* See tokens.h. */
#include "tools/fzportal/tokens.h"

#include <inttypes.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/session.h"

enum {
    BUCKETS_MAX = 65536, /* then those that are full are forgotten at once */
    TOKEN_BYTES = 96,
    TOKEN_MARK_BYTES = 32
};

/* ---- from the seed ---- */

enum {
    DRAW_NAME_MAX = 48
};

/* What is drawn after a restart with the same seed is something else. */
static const char *draw_name(struct portal *p, char out[DRAW_NAME_MAX])
{
    snprintf(out, DRAW_NAME_MAX, "%" PRId64 " %" PRIu64, p->started_at, p->drawn++);
    return out;
}

void portal_draw(struct portal *p, void *out, size_t len)
{
    char name[DRAW_NAME_MAX];
    derive_seeded(out, len, p->seed, "draw", draw_name(p, name));
}

struct portal_id portal_id_of(struct uuid uuid)
{
    struct portal_id id = {.uuid = uuid};
    uuid_format(&uuid, id.text);
    return id;
}

struct portal_id portal_draw_id(struct portal *p)
{
    char name[DRAW_NAME_MAX];
    return portal_id_of(derive_seeded_uuid(p->seed, "draw", draw_name(p, name)));
}

struct portal_id portal_named_id(const struct portal *p, const struct uuid *stated,
                                 const char *what, const char *name)
{
    static const struct uuid none;
    if (stated && memcmp(stated, &none, sizeof none) != 0)
        return portal_id_of(*stated);
    return portal_id_of(derive_seeded_uuid(p->seed, what, name));
}

/* ---- tokens ---- */

/* Looks like a real one: nonce (empty), mark, payload and signature, all of it opaque. */
static char *make_text(const struct portal *p, const char *name)
{
    uint8_t bytes[TOKEN_BYTES], mark[TOKEN_MARK_BYTES];
    char payload[DERIVE_BASE64_SIZE(sizeof bytes)], sign[DERIVE_BASE64_SIZE(sizeof mark)];
    static const char *const parts[] = {"token 1", "token 2", "token 3"};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        derive_seeded(bytes + i * 32, 32, p->seed, parts[i], name);
    derive_seeded(mark, sizeof mark, p->seed, "token mark", name);
    derive_base64(payload, bytes, sizeof bytes, true);
    derive_base64(sign, mark, sizeof mark, true);
    size_t size = sizeof payload + sizeof sign + 16;
    char *text = mem_zalloc(1, size);
    snprintf(text, size, ".SFMyNTY.%s.%s", payload, sign);
    return text;
}

static void init_one(struct portal *p, struct token *t, const struct portal_config_token *c)
{
    t->config = c;
    t->actor = c->actor ? c->actor : c->name;
    t->actor_id = portal_named_id(p, NULL, "actor", t->actor);
    t->generated = !c->text;
    t->text = c->text ? mem_dup_text(c->text, strlen(c->text)) : make_text(p, c->name);
    SHA256((const uint8_t *)t->text, strlen(t->text), t->hash);
    t->expires_at =
        c->role == PORTAL_CLIENT ? p->t.unix_seconds + (int64_t)c->lifetime_s : INT64_MAX;
    for (size_t i = 0; c->site && i < p->config->sites_n; i++) {
        if (strcmp(p->sites[i].name, c->site) == 0)
            t->site = &p->sites[i];
    }
}

void portal_tokens_init(struct portal *p)
{
    p->tokens = mem_zalloc(p->config->tokens_n, sizeof *p->tokens);
    for (size_t i = 0; i < p->config->tokens_n; i++)
        init_one(p, &p->tokens[i], &p->config->tokens[i]);
    portal_tokens_watch(p);
}

static void wipe_text(char *text)
{
    if (text)
        secure_wipe(text, strlen(text));
    free(text);
}

static void free_buckets(struct portal *p, bool all);

void portal_tokens_fini(struct portal *p)
{
    for (size_t i = 0; p->tokens && i < p->config->tokens_n; i++)
        wipe_text(p->tokens[i].text);
    free(p->tokens);
    p->tokens = NULL;
    free_buckets(p, true);
    table_fini(&p->buckets);
}

bool portal_token_is_valid(const struct portal *p, const struct token *t)
{
    return !t->revoked && t->expires_at > p->t.unix_seconds;
}

struct token *portal_token_find(struct portal *p, enum portal_role role, const char *text)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct token *found = NULL;

    SHA256((const uint8_t *)text, strlen(text), hash);
    for (size_t i = 0; i < p->config->tokens_n; i++) {
        struct token *t = &p->tokens[i];
        if (CRYPTO_memcmp(hash, t->hash, sizeof hash) == 0)
            found = t;
    }
    return found && found->config->role == role && portal_token_is_valid(p, found) ? found : NULL;
}

struct token *portal_token_by_name(const struct portal *p, const char *name)
{
    for (size_t i = 0; i < p->config->tokens_n; i++) {
        if (strcmp(p->tokens[i].config->name, name) == 0)
            return &p->tokens[i];
    }
    return NULL;
}

bool portal_token_has_group(const struct token *t, const char *group)
{
    for (size_t i = 0; i < t->config->groups.n; i++) {
        if (strcmp(t->config->groups.at[i], group) == 0)
            return true;
    }
    return strcmp(group, "*") == 0;
}

bool portal_token_at(const struct portal *p, size_t i, struct portal_token_info *out)
{
    if (i >= p->config->tokens_n)
        return false;
    const struct token *t = &p->tokens[i];
    *out = (struct portal_token_info){t->config->role, t->config->name, t->text, t->generated};
    return true;
}

void portal_tokens_expire(struct portal *p)
{
    struct portal_session *s;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (portal_token_is_valid(p, s->token))
            continue;
        if (s->role == PORTAL_RELAY)
            portal_session_end(s, SESSION_CLOSE_AWAY);
        else
            portal_session_disconnect(s, "token_expired");
    }
    for (size_t i = 0; i < p->config->tokens_n; i++) {
        if (!portal_token_is_valid(p, &p->tokens[i]))
            portal_grants_revoke(p, NULL, &p->tokens[i]);
    }
    portal_tokens_watch(p);
}

void portal_tokens_watch(struct portal *p)
{
    p->expiry_next = INT64_MAX;
    for (size_t i = 0; i < p->config->tokens_n; i++) {
        int64_t at = p->tokens[i].expires_at;
        if (at > p->t.unix_seconds && at < p->expiry_next)
            p->expiry_next = at;
    }
}

/* ---- the limit of connects: a bucket holds as many permits as `full_at` is past, at most its capacity ---- */

struct bucket {
    struct table_link link;
    struct ip_addr from;
    uint8_t token[8]; /* of its hash */
    time_ns full_at;  /* when all permits are back */
};

static struct bucket *bucket_of(struct table_link *link)
{
    return link ? CONTAINER_OF(link, struct bucket, link) : NULL;
}

static void free_buckets(struct portal *p, bool all)
{
    for (size_t i = 0; i < p->buckets.buckets; i++) {
        for (struct table_link *link = p->buckets.at[i], *next; link; link = next) {
            struct bucket *b = bucket_of(link);
            next = link->next;
            if (!all && b->full_at > p->t.now)
                continue;
            table_remove(&p->buckets, link);
            free(b);
        }
    }
}

void portal_connects_prune(struct portal *p)
{
    free_buckets(p, false);
}

static struct bucket *find_bucket(struct portal *p, const struct ip_addr *from,
                                  const uint8_t token[8])
{
    uint64_t hash = table_hash(table_hash(TABLE_HASH, from->bytes, sizeof from->bytes), token, 8);
    struct bucket *b;
    for (b = bucket_of(table_first(&p->buckets, hash)); b; b = bucket_of(table_next(&b->link))) {
        if (ip_addr_equal(&b->from, from) && memcmp(b->token, token, sizeof b->token) == 0)
            return b;
    }
    if (p->buckets.n >= BUCKETS_MAX)
        portal_connects_prune(p);
    b = mem_zalloc(1, sizeof *b);
    b->from = *from;
    memcpy(b->token, token, sizeof b->token);
    table_add(&p->buckets, &b->link, hash);
    return b;
}

bool portal_connect_permitted(struct portal *p, const struct ip_addr *from, const char *token)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];

    if (!p->config->connect_limit)
        return true;
    SHA256((const uint8_t *)token, strlen(token), hash);
    struct bucket *b = find_bucket(p, from, hash);
    time_ns permit = NS_PER_SEC / p->config->connect_refill;
    time_ns full_at = time_max(b->full_at, p->t.now) + permit;
    if (full_at > p->t.now + permit * p->config->connect_capacity)
        return false;
    b->full_at = full_at;
    return true;
}
