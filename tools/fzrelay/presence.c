/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/presence.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/portal_io.h"
#include "control/version.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/resolvers.h"

#define USER_AGENT "Linux/0.0.0 relay/" FZ_PORTAL_VERSION

struct presence {
    struct loop *loop;
    struct presence_options options;
    const struct presence_events *events;
    void *arg;
    struct names *names;
    struct portal_io *portal;
    char v4[IP_TEXT_MAX], v6[IP_TEXT_MAX], port[8];
};

static void on_joined(void *arg)
{
    struct presence *p = arg;

    p->events->joined(p->arg);
}

static void on_message(void *arg, const char *name, const json_t *payload)
{
    (void)arg;
    (void)payload;
    log_debug("portal", "'%s' is of no interest", name);
}

static void on_away(void *arg, const char *why, time_ns delay_ns)
{
    (void)arg;
    (void)why;
    (void)delay_ns; /* it is logged already; those who have credentials are served */
}

static void on_ended(void *arg, enum portal_io_end end, const char *why)
{
    struct presence *p = arg;

    (void)end;
    p->events->ended(p->arg, why);
}

static const struct portal_io_events events = {
    .joined = on_joined, .message = on_message, .away = on_away, .ended = on_ended};

static const char *text_of(const struct ip_addr *ip, char *buf)
{
    return ip->family == ADDR_NONE ? NULL : ip_addr_format(ip, buf, IP_TEXT_MAX);
}

static enum err join(struct presence *p, const char *stamp_secret, char *why, unsigned why_size)
{
    static const uint8_t no_key[KEY_LEN]; /* relays have none; the portal does not look at it */
    const struct url_param params[] = {
        {"name", p->options.name},
        {"ipv4", text_of(&p->options.public4, p->v4)},
        {"ipv6", text_of(&p->options.public6, p->v6)},
        {"port", p->port},
        {NULL, NULL},
    };
    json_t *payload = json_pack("{s:s}", "stamp_secret", stamp_secret);
    const struct portal_io_options o = {.url = p->options.url,
                                        .endpoint = "relay/websocket",
                                        .params = params,
                                        .token = p->options.token,
                                        .user_agent = USER_AGENT,
                                        .topic = "relay",
                                        .join_payload = payload,
                                        .ca_file = p->options.ca_file,
                                        .max_partition_ns = TIME_NEVER,
                                        .names = p->names};
    enum err err = ERR_INVALID;

    if (payload)
        err = portal_io_new(&p->portal, p->loop, &o, no_key, &events, p, why, why_size);
    else
        snprintf(why, why_size, "the stamp secret is not UTF-8");
    json_decref(payload);
    return err;
}

static enum err make_names(struct presence *p, char *why, unsigned why_size)
{
    struct sock_addr servers[RESOLVERS_MAX];
    unsigned n = 0;
    enum err err = resolvers_read(servers, &n, NULL, why, why_size);

    if (err == ERR_OK) {
        err = names_new(&p->names, p->loop, servers, n, NULL, "/etc/hosts");
        if (err != ERR_OK)
            snprintf(why, why_size, "names cannot be resolved: %s", err_text(err));
    }
    return err;
}

enum err presence_new(struct presence **out, struct loop *l, const struct presence_options *o,
                      const struct presence_events *e, void *arg, char *why, unsigned why_size)
{
    struct presence *p = mem_zalloc(1, sizeof *p);
    enum err err;

    *out = NULL;
    p->loop = l;
    p->options = *o;
    p->options.stamp_secret = NULL;
    p->events = e;
    p->arg = arg;
    snprintf(p->port, sizeof p->port, "%u", o->port);
    err = make_names(p, why, why_size);
    if (err == ERR_OK)
        err = join(p, o->stamp_secret, why, why_size);
    if (err != ERR_OK) {
        presence_free(p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

void presence_free(struct presence *p)
{
    if (!p)
        return;
    portal_io_free(p->portal);
    names_free(p->names);
    free(p);
}

enum err presence_set_secret(struct presence *p, const char *stamp_secret, char *why,
                             unsigned why_size)
{
    struct portal_io *before = p->portal;
    enum err err;

    p->portal = NULL;
    err = join(p, stamp_secret, why, why_size);
    if (err != ERR_OK)
        p->portal = before; /* as if nothing had been said */
    else
        portal_io_free(before);
    return err;
}
