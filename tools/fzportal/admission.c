/* SPDX-License-Identifier: Apache-2.0 */
/* See admission.h. */
#include "tools/fzportal/admission.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "platform/base/mem.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/peers.h"
#include "tools/fzportal/query.h"
#include "tools/fzportal/session.h"
#include "tools/fzportal/tokens.h"

enum {
    RELAY_PORT = 3478
};

struct endpoint {
    const char *path;
    enum portal_role role;
    bool v2;
};

static const struct endpoint endpoints[] = {
    {"/client/v2/websocket", PORTAL_CLIENT, true}, {"/gateway/v2/websocket", PORTAL_GATEWAY, true},
    {"/relay/websocket", PORTAL_RELAY, true},      {"/client/websocket", PORTAL_CLIENT, false},
    {"/gateway/websocket", PORTAL_GATEWAY, false},
};

/* One upgrade on its way through the checks, which all return false once `answer` says why not. */
struct visit {
    struct portal *p;
    const struct portal_request *r;
    struct portal_answer *answer;
    const struct endpoint *endpoint;
    struct query query;
    struct token *token;
    struct device *device;
    bool created;
    struct ip_addr v4, v6; /* relays */
    uint16_t port;
};

static bool refuse(struct visit *v, unsigned status, const char *code, const char *detail)
{
    memset(v->answer, 0, sizeof *v->answer);
    v->answer->status = status;
    v->answer->retry_after_s = -1;
    snprintf(v->answer->code, sizeof v->answer->code, "%s", code);
    snprintf(v->answer->detail, sizeof v->answer->detail, "%s", detail);
    return false;
}

/* ---- before the parameters count ---- */

static bool check_path(struct visit *v)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        if (strcmp(endpoints[i].path, v->r->path) == 0)
            v->endpoint = &endpoints[i];
    }
    return v->endpoint || refuse(v, 404, "", "");
}

/* Refusals that somebody asked for through the control interface. */
static bool check_orders(struct visit *v)
{
    struct portal *p = v->p;
    for (unsigned i = 0; i < p->refusals_n; i++) {
        struct refusal *f = &p->refusals[i];
        if (!f->any_role && f->role != v->endpoint->role)
            continue;
        *v->answer = f->answer;
        if (--f->left == 0) {
            p->refusals_n--;
            memmove(f, f + 1, (p->refusals_n - i) * sizeof *f);
        }
        return false;
    }
    return true;
}

static bool read_port(const char *text, uint16_t *out)
{
    char *end;
    unsigned long n = text && *text ? strtoul(text, &end, 10) : RELAY_PORT;
    if (text && *text && (*text < '0' || *text > '9' || *end || n == 0 || n > UINT16_MAX))
        return false;
    *out = (uint16_t)n;
    return true;
}

/* Splits "host:port" or "[host]:port"; without a port *port stays. False: neither. */
static bool read_authority(const char *text, size_t *host_len, uint16_t *port)
{
    size_t len = text[0] == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":");
    if (len == 0 || len > strlen(text))
        return false;
    *host_len = len;
    return !text[len] || (text[len] == ':' && text[len + 1] && read_port(text + len + 1, port));
}

/* An origin, which only a browser sends, has to be of the same scheme, host and port as the request. */
static bool check_origin(struct visit *v)
{
    const struct portal_request *r = v->r;
    const char *scheme = r->secure ? "https://" : "http://";
    uint16_t port = r->secure ? 443 : 80, origin_port = port;
    size_t len, origin_len;

    if (!r->origin)
        return true;
    if (!r->host || strncasecmp(r->origin, scheme, strlen(scheme)) != 0)
        return refuse(v, 403, "", "");
    const char *origin = r->origin + strlen(scheme);
    bool same = read_authority(r->host, &len, &port) &&
                read_authority(origin, &origin_len, &origin_port) && len == origin_len &&
                strncasecmp(origin, r->host, len) == 0 && port == origin_port;
    return same || refuse(v, 403, "", "");
}

static bool check_query(struct visit *v)
{
    if (!query_parse(&v->query, v->r->query))
        return refuse(v, 400, "", "");
    const char *vsn = query_get(&v->query, "vsn");
    return !vsn || strcmp(vsn, "1.0.0") == 0 || refuse(v, 403, "", "");
}

static bool check_token(struct visit *v)
{
    const char *text = v->r->token ? v->r->token : query_get(&v->query, "token");

    if (!text || !*text)
        return refuse(v, 401, "missing_token", "Missing token");
    if (!portal_connect_permitted(v->p, &v->r->from, text)) {
        refuse(v, 503, "rate_limit", "Too many connections, try again later");
        v->answer->retry_after_s = 1;
        return false;
    }
    v->token = portal_token_find(v->p, v->endpoint->role, text);
    return v->token || refuse(v, 401, "invalid_token", "Invalid token");
}

/* ---- parameters of devices ---- */

struct faults {
    size_t len;
    char text[PORTAL_DETAIL_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void fault(struct faults *f, const char *fmt, ...)
{
    va_list ap;
    if (f->len > 0 && f->len + 2 < sizeof f->text)
        f->len += (size_t)snprintf(f->text + f->len, sizeof f->text - f->len, "; ");
    va_start(ap, fmt);
    int n = vsnprintf(f->text + f->len, sizeof f->text - f->len, fmt, ap);
    va_end(ap);
    f->len = size_min(f->len + (size_t)n, sizeof f->text - 1);
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

static void check_length(struct faults *f, const struct visit *v, const char *name)
{
    const char *value = query_get(&v->query, name);
    if (value && characters(value) > PORTAL_NAME_MAX)
        fault(f, "%s should be at most 255 character(s)", name);
}

static const char *external_id(const struct visit *v)
{
    const char *id = query_get(&v->query, "external_id");
    return id ? id : query_get(&v->query, "firezone_id");
}

static void check_key(struct faults *f, const struct visit *v)
{
    const char *key = query_get(&v->query, "public_key");
    uint8_t bytes[KEY_LEN];
    if (!key || !*key)
        fault(f, "public_key can't be blank");
    else if (strlen(key) != KEY_BASE64_LEN)
        fault(f, "public_key should be 44 character(s)");
    else if (key_base64_decode(bytes, key, KEY_BASE64_LEN) != ERR_OK)
        fault(f, "public_key must be a base64-encoded string");
}

static bool check_device(struct visit *v)
{
    static const char *const lengths[] = {"name", "device_serial", "device_uuid",
                                          "identifier_for_vendor", "firebase_installation_id"};
    const char *id = external_id(v);
    struct faults f = {.len = 0};
    struct agent agent;

    if (!id || !id[strspn(id, " ")])
        fault(&f, "external_id can't be blank");
    else if (characters(id) > PORTAL_NAME_MAX)
        fault(&f, "external_id should be at most 255 character(s)");
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        check_length(&f, v, lengths[i]);
    check_key(&f, v);
    agent_parse(&agent, v->r->user_agent ? v->r->user_agent : "");
    if (v->endpoint->role == PORTAL_CLIENT && agent.component == AGENT_NONE)
        fault(&f, "user_agent is invalid");
    if (f.len > 0)
        return refuse(v, 400, "invalid_connect_params", f.text);
    v->device = portal_device_get(v->p, v->token, id, &v->created);
    if (!v->device)
        return refuse(v, 500, "unhandled_connect_error", "Too many devices");
    if (v->endpoint->role == PORTAL_GATEWAY && v->device->session)
        return refuse(v, 409, "gateway_already_connected", "Gateway is already connected");
    return true;
}

static void keep(char **to, const char *value)
{
    free(*to);
    *to = value && *value ? mem_dup_text(value, strlen(value)) : NULL;
}

/* Without spaces around it; one that says nothing is made up. */
static void keep_name(struct device *d, const char *name)
{
    char made[32];
    name = name ? name + strspn(name, " \t\r\n") : "";
    size_t len = strlen(name);
    while (len > 0 && strchr(" \t\r\n", name[len - 1]))
        len--;
    free(d->name);
    d->name = NULL;
    if (len > 0) {
        d->name = mem_dup_text(name, len);
        return;
    }
    snprintf(made, sizeof made, "%s-%.8s", d->role == PORTAL_CLIENT ? "client" : "gateway",
             d->id.text);
    d->name = mem_dup_text(made, strlen(made));
}

static void keep_device(struct visit *v, struct portal_session *s)
{
    struct device *d = v->device;
    portal_pools_before(v->p, d, v->created);
    d->token = v->token;
    keep_name(d, query_get(&v->query, "name"));
    keep(&d->serial, query_get(&v->query, "device_serial"));
    keep(&d->uuid, query_get(&v->query, "device_uuid"));
    keep(&d->vendor_id, query_get(&v->query, "identifier_for_vendor"));
    keep(&d->firebase_id, query_get(&v->query, "firebase_installation_id"));
    memcpy(s->key, query_get(&v->query, "public_key"), KEY_BASE64_LEN);
    s->device = d;
    portal_pools_after(v->p, d);
}

/* ---- parameters of relays ---- */

static bool read_ip(const char *text, enum addr_family family, struct ip_addr *out)
{
    if (!text || !*text)
        return true;
    return ip_addr_parse(out, text) == ERR_OK && out->family == family;
}

static bool check_relay(struct visit *v)
{
    bool good = read_ip(query_get(&v->query, "ipv4"), ADDR_V4, &v->v4) &&
                read_ip(query_get(&v->query, "ipv6"), ADDR_V6, &v->v6) &&
                read_port(query_get(&v->query, "port"), &v->port) &&
                (v->v4.family != ADDR_NONE || v->v6.family != ADDR_NONE);
    return good || refuse(v, 500, "unhandled_connect_error", "Unhandled connect error");
}

/* ---- in ---- */

static struct portal_session *enter(struct visit *v, void *user)
{
    struct portal *p = v->p;
    struct portal_session *s = portal_session_new(p, user);
    bool relay = v->endpoint->role == PORTAL_RELAY;

    s->role = v->endpoint->role;
    s->v2 = v->endpoint->v2;
    s->token = v->token;
    s->from = v->r->from;
    agent_parse(&s->agent, v->r->user_agent ? v->r->user_agent : "");
    s->v4 = v->v4;
    s->v6 = v->v6;
    s->port = v->port;
    s->idle_at = p->t.now + (relay ? p->config->idle_relay_s : p->config->idle_s) * NS_PER_SEC;
    TAILQ_INSERT_TAIL(&p->sessions, s, order);
    TAILQ_INSERT_TAIL(relay ? &p->idle_relays : &p->idle, s, idle);
    if (!relay)
        keep_device(v, s);
    return s;
}

struct portal_session *portal_admit(struct portal *p, const struct portal_request *r, void *user,
                                    struct portal_answer *answer)
{
    struct visit v = {.p = p, .r = r, .answer = answer};
    struct portal_session *s = NULL;

    if (check_path(&v) && check_orders(&v) && check_origin(&v) && check_query(&v) &&
        check_token(&v) && (v.endpoint->role == PORTAL_RELAY ? check_relay(&v) : check_device(&v)))
        s = enter(&v, user);
    query_fini(&v.query);
    return s;
}
