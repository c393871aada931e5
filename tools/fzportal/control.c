/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. */
#include "tools/fzportal/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/session.h"

/* ---- what all of them need ---- */

json_t *portal_order_done(void)
{
    return json_pack("{s:b}", "ok", 1);
}

json_t *portal_order_count(const char *what, size_t n)
{
    return json_pack("{s:b, s:I}", "ok", 1, what, (json_int_t)n);
}

json_t *portal_order_failed(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *json = json_pack("{s:b, s:s}", "ok", 0, "error", text);
    /* What was quoted may have been cut within a character. */
    return json ? json : json_pack("{s:b, s:s}", "ok", 0, "error", "wrong, and not UTF-8");
}

const char *portal_order_text(const struct order *o, const char *key)
{
    return json_string_value(json_object_get(o->command, key));
}

bool portal_order_number(const struct order *o, const char *key, int64_t min, int64_t max,
                         int64_t *out)
{
    const json_t *value = json_object_get(o->command, key);
    if (!value)
        return true;
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= min && *out <= max;
}

bool portal_order_flag(const struct order *o, const char *key, bool *good)
{
    const json_t *value = json_object_get(o->command, key);
    *good = !value || json_is_boolean(value);
    return !value || json_is_true(value);
}

static bool is_called(const struct device *d, const char *text)
{
    return strcmp(d->id.text, text) == 0 || strcmp(d->external_id, text) == 0 ||
           (d->name && strcmp(d->name, text) == 0);
}

struct device *portal_order_device(const struct order *o, const char *text)
{
    struct device *d, *found = NULL;
    unsigned n = 0;
    for (d = TAILQ_FIRST(&o->p->devices); d; d = TAILQ_NEXT(d, order)) {
        if (text && is_called(d, text)) {
            found = d;
            n++;
        }
    }
    return n == 1 ? found : NULL;
}

static const char *const roles[] = {
    [PORTAL_CLIENT] = "client", [PORTAL_GATEWAY] = "gateway", [PORTAL_RELAY] = "relay"};

bool portal_order_role(const char *text, enum portal_role *out)
{
    for (size_t i = 0; text && i < ARRAY_LEN(roles); i++) {
        if (strcmp(text, roles[i]) == 0) {
            *out = (enum portal_role)i;
            return true;
        }
    }
    return false;
}

const char *portal_role_text(enum portal_role role)
{
    return roles[role];
}

/* ---- which sessions ---- */

static const char *const selectors[] = {"session", "role", "device", "token", "all"};

static bool means(const struct portal_session *s, const char *key, const json_t *value)
{
    const char *text = json_string_value(value);
    enum portal_role role;

    if (strcmp(key, "session") == 0)
        return json_is_integer(value) && (uint64_t)json_integer_value(value) == s->number;
    if (strcmp(key, "all") == 0)
        return json_is_true(value);
    if (strcmp(key, "role") == 0)
        return portal_order_role(text, &role) && role == s->role;
    if (strcmp(key, "device") == 0)
        return text && s->device && is_called(s->device, text);
    return text && strcmp(s->token->config->name, text) == 0;
}

bool portal_session_meant(const struct portal_session *s, const json_t *command)
{
    bool said = false;
    for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
        const json_t *value = json_object_get(command, selectors[i]);
        if (!value)
            continue;
        if (s->state == SESSION_OVER || !means(s, selectors[i], value))
            return false;
        said = true;
    }
    return said;
}

/* ---- the table ---- */

static json_t *order_help(const struct order *o);

static json_t *order_stop(const struct order *o)
{
    o->p->listening = false;
    return portal_order_done();
}

static json_t *order_start(const struct order *o)
{
    o->p->listening = true;
    return portal_order_done();
}

enum {
    SELECTS = 1, /* its sessions are said by selectors, at least one of which is needed */
    FREE = 2     /* it looks at its keys itself */
};

#define SELECTOR_ARGUMENTS "[session=N] [role=ROLE] [device=NAME] [token=NAME] [all=true]"

static const struct command {
    struct ctl_help help;
    json_t *(*carry_out)(const struct order *o);
    unsigned flags;
    const char *keys; /* each between spaces */
} commands[] = {
    {{"help", "", "What commands there are."}, order_help, 0, " "},
    {{"state", "[part=PART]",
      "All that the portal knows but secrets, or a part of it: tokens, sites, devices, sessions, resources, policies, relays, authorizations, pending or refusals."},
     portal_order_state,
     0,
     " part "},
    {{"resource_add", "name=NAME type=TYPE [KEY=VALUE]...",
      "Adds a resource; keys as in a [resource] section. Who may see it is told of it."},
     portal_order_resource_add,
     FREE,
     NULL},
    {{"resource_change", "name=NAME KEY=VALUE...",
      "Changes some keys of a resource; an empty value takes a key away."},
     portal_order_resource_change,
     FREE,
     NULL},
    {{"resource_remove", "name=NAME", "Removes a resource, and revokes what it allowed."},
     portal_order_resource_remove,
     0,
     " name "},
    {{"dns", "mode=MODE [servers=LIST] [url=URL] [search_domain=NAME]",
      "Replaces the DNS settings; all clients are told of them."},
     portal_order_dns,
     FREE,
     NULL},
    {{"address", "device=NAME [ipv4=ADDRESS] [ipv6=ADDRESS]",
      "Gives a client or gateway other addresses in the tunnel, and a new init."},
     portal_order_address,
     0,
     " device ipv4 ipv6 "},
    {{"expire", "token=NAME [in=SECONDS]",
      "The token is valid for so long from now (default: no longer at all), and may be renewed so."},
     portal_order_expire,
     0,
     " token in "},
    {{"revoke", "[client=NAME] [resource=NAME] [peer=NAME]",
      "Revokes authorisations of which all that is said is true; who enforces them is told."},
     portal_order_revoke,
     0,
     " client resource peer "},
    {{"lifetime", "in=SECONDS [client=NAME] [resource=NAME] [peer=NAME]",
      "Authorisations of which all that is said is true end so long from now; who enforces them is told, as gateways of 1.5 were."},
     portal_order_lifetime,
     0,
     " in client resource peer "},
    {{"policy", "name=NAME [on=false]",
      "Takes a policy away, and what it allowed, or brings it back; clients are told which resources that shows or hides."},
     portal_order_policy,
     0,
     " name on "},
    {{"kick", SELECTOR_ARGUMENTS " [how=HOW] [code=N] [reason=TEXT]",
      "Ends sessions. how: close (with a close frame of `code`, default 1012), drop (without one), phx_close (the channel only), disconnect (with `reason`, default token_expired), crash."},
     portal_order_kick,
     SELECTS,
     " how code reason "},
    {{"silence", SELECTOR_ARGUMENTS " [on=false]",
      "Heartbeats are not answered; all=true: nor those of sessions to come."},
     portal_order_silence,
     SELECTS,
     " on "},
    {{"stall", SELECTOR_ARGUMENTS " [on=false]",
      "Joins are not answered; all=true: nor those of sessions to come."},
     portal_order_stall,
     SELECTS,
     " on "},
    {{"init", SELECTOR_ARGUMENTS, "Sends clients and gateways their init again."},
     portal_order_init,
     SELECTS,
     " "},
    {{"send", SELECTOR_ARGUMENTS " event=EVENT [payload=JSON] [topic=TOPIC] [ref=REF]",
      "Sends a frame as it is, for events that nobody knows (default: payload {}, the session's topic, ref null)."},
     portal_order_send,
     SELECTS,
     " event payload topic ref "},
    {{"refuse", "status=N [code=TEXT] [detail=TEXT] [retry_after=SECONDS] [count=N] [role=ROLE]",
      "The next `count` upgrades (default 1) are answered so; count=0 alone takes all such orders back."},
     portal_order_refuse,
     0,
     " status code detail retry_after count role "},
    {{"stop", "", "No new connections: the portal does not listen."}, order_stop, 0, " "},
    {{"start", "", "It listens again."}, order_start, 0, " "},
};

const struct ctl_help *portal_command_at(size_t i)
{
    return i < ARRAY_LEN(commands) ? &commands[i].help : NULL;
}

static json_t *order_help(const struct order *o)
{
    json_t *list = json_array();
    (void)o;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", commands[i].help.name,
                                              "arguments", commands[i].help.arguments, "what",
                                              commands[i].help.what));
    return json_pack("{s:b, s:o}", "ok", 1, "commands", list);
}

static bool is_selector(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
        if (strcmp(key, selectors[i]) == 0)
            return true;
    }
    return false;
}

/* NULL: all keys are known, and enough is said. */
static json_t *check_keys(const struct command *c, const json_t *command)
{
    void *iter = json_object_iter((json_t *)(uintptr_t)command);
    bool selected = false;
    char word[64];

    for (; iter && !(c->flags & FREE);
         iter = json_object_iter_next((json_t *)(uintptr_t)command, iter)) {
        const char *key = json_object_iter_key(iter);
        snprintf(word, sizeof word, " %.40s ", key);
        if (c->flags & SELECTS && is_selector(key))
            selected = true;
        else if (strcmp(key, "command") != 0 && (strchr(key, ' ') || !strstr(c->keys, word)))
            return portal_order_failed("%s: no such key as \"%.40s\"", c->help.name, key);
    }
    if (c->flags & SELECTS && !selected)
        return portal_order_failed("%s: say which sessions by session, role, device, token or all",
                                   c->help.name);
    return NULL;
}

json_t *portal_control(struct portal *p, struct portal_time t, const json_t *command)
{
    const struct order o = {p, command};
    const char *name = portal_order_text(&o, "command");

    p->t = t;
    if (!name)
        return portal_order_failed("\"command\" is missing");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].help.name, name) != 0)
            continue;
        json_t *wrong = check_keys(&commands[i], command);
        return wrong ? wrong : commands[i].carry_out(&o);
    }
    return portal_order_failed("%.40s: no such command; \"help\" lists them", name);
}
