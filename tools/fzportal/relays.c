/* SPDX-License-Identifier: Apache-2.0 */
/* See relays.h. */
#include "tools/fzportal/relays.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/session.h"
#include "tools/fzportal/tokens.h"

/* ---- relays ---- */

static struct relay *find(const struct portal *p, const char *id)
{
    struct relay *r;
    for (r = TAILQ_FIRST(&p->relays); r; r = TAILQ_NEXT(r, order)) {
        if (strcmp(r->id.text, id) == 0)
            return r;
    }
    return NULL;
}

/* Changes are told a while after the last of them. */
static void changed(struct portal *p)
{
    p->presence_at = p->t.now + p->config->presence_ms * NS_PER_MS;
}

static struct relay *add(struct portal *p, const char *secret, const struct portal_id *id)
{
    struct relay *r = mem_zalloc(1, sizeof *r);
    if (secret)
        r->secret = mem_dup_text(secret, strlen(secret));
    r->id = *id;
    TAILQ_INSERT_TAIL(&p->relays, r, order);
    p->relays_n++;
    return r;
}

static void free_relay(struct relay *r)
{
    if (r->secret)
        secure_wipe(r->secret, strlen(r->secret));
    free(r->secret);
    free(r);
}

static void drop(struct portal *p, struct relay *r)
{
    TAILQ_REMOVE(&p->relays, r, order);
    p->relays_n--;
    free_relay(r);
}

void portal_relays_init(struct portal *p)
{
    for (size_t i = 0; i < p->config->relays_n; i++) {
        const struct portal_config_relay *c = &p->config->relays[i];
        struct portal_id id = c->secret ? portal_id_of(derive_relay_id(c->secret))
                                        : portal_named_id(p, NULL, "relay", c->name);
        struct relay *r = add(p, c->secret, &id);
        r->username = c->username;
        r->password = c->password;
        r->v4 = c->ipv4;
        r->v6 = c->ipv6;
        r->port = c->port;
        r->name = c->name;
    }
}

void portal_relays_fini(struct portal *p)
{
    struct relay *next;
    for (struct relay *r = TAILQ_FIRST(&p->relays); r; r = next) {
        next = TAILQ_NEXT(r, order);
        free_relay(r);
    }
}

/* ---- the channel ---- */

bool portal_relay_may_join(const json_t *payload)
{
    const char *secret = json_string_value(json_object_get(payload, "stamp_secret"));
    return secret && *secret;
}

void portal_relay_joined(struct portal_session *s, const json_t *payload)
{
    struct portal *p = s->portal;
    const char *secret = json_string_value(json_object_get(payload, "stamp_secret"));
    struct portal_id id = portal_id_of(derive_relay_id(secret));
    const struct relay *old = find(p, id.text);

    if (old && !old->session) { /* the secret of a static one: there can be only one of that id */
        portal_session_close_channel(s);
        return;
    }
    if (old) /* the same relay on another socket, whose leaving frees it */
        portal_session_close_channel(old->session);
    struct relay *r = add(p, secret, &id);
    r->v4 = s->v4;
    r->v6 = s->v6;
    r->port = s->port;
    r->session = s;
    s->relay = r;
    portal_session_push(s, "init", json_object());
    changed(p);
}

void portal_relay_left(struct portal_session *s)
{
    if (!s->relay)
        return;
    drop(s->portal, s->relay);
    s->relay = NULL;
    changed(s->portal);
}

/* ---- who holds which ---- */

static bool holds(const struct portal_session *s, const char *id)
{
    for (unsigned i = 0; i < s->relays_n; i++) {
        if (strcmp(s->relays[i].text, id) == 0)
            return true;
    }
    return false;
}

/* Further relays until it holds enough; which ones come first depends on the device, so that the load spreads. */
static bool fill(struct portal_session *s)
{
    const struct portal *p = s->portal;
    unsigned before = s->relays_n;
    size_t skip = p->relays_n > 0 ? s->device->id.uuid.bytes[15] % p->relays_n : 0;

    for (int round = 0; round < 2; round++) {
        size_t i = 0;
        const struct relay *r;
        for (r = TAILQ_FIRST(&p->relays); r; r = TAILQ_NEXT(r, order)) {
            bool turn = (i++ < skip) == (round == 1);
            if (turn && s->relays_n < PORTAL_RELAYS_PER_DEVICE && !holds(s, r->id.text))
                s->relays[s->relays_n++] = r->id;
        }
    }
    return s->relays_n > before;
}

/* One entry for each address, side by side. */
static void append(json_t *list, const struct portal_session *s, const struct relay *r)
{
    int64_t expiry = s->role == PORTAL_CLIENT ? s->token->expires_at : PORTAL_GATEWAY_RELAY_EXPIRY;
    const struct ip_addr *const addrs[] = {&r->v4, &r->v6};
    struct derive_relay c;

    if (r->secret)
        derive_relay(&c, expiry, r->secret, s->key);
    for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
        const struct sock_addr addr = {.ip = *addrs[i], .port = r->port};
        char text[SOCK_ADDR_TEXT_MAX];
        if (addr.ip.family == ADDR_NONE)
            continue;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "id", r->id.text, "type",
                                        "turn", "addr", sock_addr_format(&addr, text, sizeof text),
                                        "username", r->secret ? c.username : r->username,
                                        "password", r->secret ? c.password : r->password,
                                        "expires_at", (json_int_t)expiry));
    }
    secure_wipe(&c, sizeof c);
}

static json_t *held(const struct portal_session *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < s->relays_n; i++) {
        const struct relay *r = find(s->portal, s->relays[i].text);
        if (r)
            append(list, s, r);
    }
    return list;
}

/* Forgets those that are gone, of which a list is returned. */
static json_t *forget_gone(struct portal_session *s)
{
    json_t *gone = json_array();
    unsigned n = 0;
    for (unsigned i = 0; i < s->relays_n; i++) {
        if (find(s->portal, s->relays[i].text))
            s->relays[n++] = s->relays[i];
        else
            json_array_append_new(gone, json_string(s->relays[i].text));
    }
    s->relays_n = n;
    return gone;
}

json_t *portal_relays_for(struct portal_session *s)
{
    json_decref(forget_gone(s));
    fill(s);
    return held(s);
}

static void push(struct portal_session *s, json_t *gone)
{
    portal_session_push(s, "relays_presence",
                        json_pack("{s:o, s:o}", "disconnected_ids", gone, "connected", held(s)));
}

void portal_relays_presence(struct portal_session *s)
{
    json_t *gone = forget_gone(s);
    fill(s);
    push(s, gone);
}

void portal_relays_tell(struct portal *p)
{
    struct portal_session *s;

    if (p->presence_at > p->t.now)
        return;
    p->presence_at = TIME_NEVER;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (s->role == PORTAL_RELAY || s->state != SESSION_JOINED)
            continue;
        json_t *gone = forget_gone(s);
        if (fill(s) || json_array_size(gone) > 0)
            push(s, gone);
        else
            json_decref(gone);
    }
}
