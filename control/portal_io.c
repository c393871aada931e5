/* SPDX-License-Identifier: Apache-2.0 */
#include "control/portal_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ca_file.h"
#include "control/dial.h"
#include "control/lws_loop.h"
#include "control/portal/link.h"
#include "control/token.h"
#include "control/websocket.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/random.h"
#include "platform/tcp.h"

enum {
    TARGET_MAX = 4096,
    AUTHORIZATION_MAX = TOKEN_MAX + 16, /* behind "Bearer " */
    TLS_NAME_MAX = 127
};

struct portal_io {
    struct sock_addr local; /* of the last connection */
    struct loop *loop;
    struct portal_io_options options;
    const struct portal_io_events *events;
    void *arg;
    struct link link;
    struct loop_timer timer;
    struct lws_loop *lws;

    /* The attempt under way: at most one of the three. */
    uint32_t attempt;
    struct names_query *query;
    struct dial *dial;
    struct websocket *websocket;

    struct url_param params[PORTAL_IO_PARAMS_MAX];
    char public_key[KEY_BASE64_LEN + 1];
    char target[TARGET_MAX];
    char authorization[AUTHORIZATION_MAX]; /* holds the token */
    struct websocket_header headers[2];
};

static void end_attempt(struct portal_io *p)
{
    names_cancel(p->query);
    dial_cancel(p->dial);
    websocket_close(p->websocket);
    p->query = NULL;
    p->dial = NULL;
    p->websocket = NULL;
}

/* After anything that was told to the link. */
static void settle(struct portal_io *p)
{
    loop_timer_set(p->loop, &p->timer, link_poll_timeout(&p->link));
    if (p->websocket && link_wants_transmit(&p->link))
        websocket_kick(p->websocket);
}

static void begin(struct portal_io *p, uint32_t attempt);

static enum portal_io_end end_of(enum link_failure failure)
{
    return failure == LINK_TOKEN_INVALID ? PORTAL_IO_TOKEN_INVALID : PORTAL_IO_REFUSED;
}

static void retry(struct portal_io *p, const struct link_event *e)
{
    time_ns left = backoff_left(&p->link.backoff);
    char budget[64] = "";

    if (left != TIME_NEVER)
        snprintf(budget, sizeof budget, ", %.1f s of waiting left", (double)left / NS_PER_SEC);
    end_attempt(p);
    log_warn("portal", "hiccup: %s; the next attempt comes in %.1f s%s", e->why,
             (double)e->delay_ns / NS_PER_SEC, budget);
    p->events->away(p->arg, e->why, e->delay_ns);
}

/* Carries out what the link wants, and releases the event. */
static void handle(struct portal_io *p, struct link_event *e)
{
    switch (e->kind) {
    case LINK_NOTHING:
        break;
    case LINK_CONNECT:
        begin(p, e->attempt);
        break;
    case LINK_JOINED:
        log_info("portal", "signed in at %s", p->options.url->host);
        p->events->joined(p->arg);
        break;
    case LINK_MESSAGE:
        p->events->message(p->arg, e->channel.name, e->channel.payload);
        link_event_release(e);
        break;
    case LINK_IGNORED:
        log_debug("portal", "%s", e->why);
        break;
    case LINK_RETRY:
        retry(p, e);
        break;
    case LINK_FAILED:
        end_attempt(p);
        p->events->ended(p->arg, end_of(e->failure), e->why);
        break;
    }
    settle(p);
}

static void on_timer(void *arg)
{
    struct portal_io *p = arg;
    struct link_event e;

    link_handle_timeout(&p->link, loop_now(p->loop), &e);
    handle(p, &e);
}

static void lost(struct portal_io *p, const char *why)
{
    struct link_event e;

    link_lost(&p->link, loop_now(p->loop), p->attempt, why, &e);
    handle(p, &e);
}

static void unreachable(struct portal_io *p, const char *why)
{
    struct link_event e;

    link_unreachable(&p->link, loop_now(p->loop), p->attempt, why, &e);
    handle(p, &e);
}

/* A socket could not be kept out of the tunnel: every later one would fail as well. */
static void unsafe(struct portal_io *p, const char *why)
{
    loop_timer_clear(p->loop, &p->timer);
    end_attempt(p);
    p->events->ended(p->arg, PORTAL_IO_UNSAFE, why);
}

/* ---- the WebSocket ---- */

static void on_opened(void *arg)
{
    struct portal_io *p = arg;
    link_connected(&p->link, loop_now(p->loop), p->attempt);
    settle(p);
}

static void on_refused(void *arg, unsigned status, const char *retry_after, const char *body,
                       size_t len)
{
    struct portal_io *p = arg;
    struct link_event e;
    struct problem problem;
    uint64_t seconds;
    uint32_t nanoseconds;

    p->websocket = NULL;
    clock_wall(&seconds, &nanoseconds);
    problem_parse(&problem, status, retry_after, (int64_t)seconds, body, len);
    link_refused(&p->link, loop_now(p->loop), p->attempt, &problem, &e);
    handle(p, &e);
}

static void on_text(void *arg, const char *text, size_t len)
{
    struct portal_io *p = arg;
    struct link_event e;

    link_handle_input(&p->link, loop_now(p->loop), p->attempt, text, len, &e);
    handle(p, &e);
}

static bool on_next(void *arg, char *out, size_t *len, bool *more)
{
    struct portal_io *p = arg;
    bool any = link_poll_transmit(&p->link, out, len);

    *more = link_wants_transmit(&p->link);
    return any;
}

static void on_closed(void *arg, const char *why)
{
    struct portal_io *p = arg;
    p->websocket = NULL;
    lost(p, why);
}

static const struct websocket_events websocket_events = {on_opened, on_refused, on_text, on_next,
                                                         on_closed};

/* ---- an attempt: name, race, upgrade ---- */

static void upgrade(struct portal_io *p, int fd, const struct sock_addr *to)
{
    const struct websocket_request request = {
        .url = p->options.url,
        .target = p->target,
        .peer = *to,
        .fd = fd,
        .headers = p->headers,
        .headers_n = ARRAY_LEN(p->headers),
    };
    char addr[SOCK_ADDR_TEXT_MAX];

    p->local = tcp_local(fd);
    link_upgrading(&p->link, loop_now(p->loop), p->attempt);
    log_debug("portal", "connected to %s", sock_addr_format(to, addr, sizeof addr));
    if (websocket_open(&p->websocket, p->lws, &request, PHOENIX_FRAME_MAX, &websocket_events, p) !=
        ERR_OK)
        lost(p, "the upgrade cannot be sent");
}

static void on_dialled(void *arg, const struct dial_result *result)
{
    struct portal_io *p = arg;

    p->dial = NULL;
    if (result->err == ERR_OK)
        upgrade(p, result->fd, &result->to);
    else if (result->err == ERR_PERMISSION)
        unsafe(p, result->why);
    else if (result->err == ERR_UNREACHABLE)
        unreachable(p, result->why);
    else
        lost(p, result->why);
}

static void on_resolved(void *arg, const struct names_result *result)
{
    struct portal_io *p = arg;

    p->query = NULL;
    if (result->err == ERR_PERMISSION)
        unsafe(p, result->why);
    else if (result->err != ERR_OK)
        lost(p, result->why);
    else if (dial_start(&p->dial, p->loop, result->addrs, result->n, p->options.egress, on_dialled,
                        p) != ERR_OK)
        lost(p, "there is no memory for the connection");
}

static void begin(struct portal_io *p, uint32_t attempt)
{
    const struct url *url = p->options.url;

    end_attempt(p);
    p->attempt = attempt;
    log_debug("portal", "connecting to %s, port %u", url->host, url->port);
    if (names_lookup(p->options.names, &p->query, url->host, url->port, on_resolved, p) != ERR_OK)
        lost(p, "there is no memory for the lookup");
}

/* ---- life ---- */

static enum err set_key(struct portal_io *p, const uint8_t public_key[KEY_LEN])
{
    key_base64_encode(p->public_key, public_key);
    return url_target(p->target, sizeof p->target, p->options.url, p->options.endpoint, p->params);
}

static enum err prepare(struct portal_io *p, const uint8_t public_key[KEY_LEN], char *why,
                        unsigned why_size)
{
    unsigned n = 0;

    for (const struct url_param *q = p->options.params; q->name; q++) {
        ASSERT(n + 2 < PORTAL_IO_PARAMS_MAX);
        p->params[n++] = *q;
    }
    p->params[n] = (struct url_param){"public_key", p->public_key};
    /* Of all keys, one of nothing but '+' takes the most room. */
    memset(p->public_key, '+', KEY_BASE64_LEN);
    if (url_target(p->target, sizeof p->target, p->options.url, p->options.endpoint, p->params) !=
            ERR_OK ||
        set_key(p, public_key) != ERR_OK) {
        snprintf(why, why_size, "the portal's URL with this device's name and ids is too long");
        return ERR_NO_SPACE;
    }
    if (snprintf(p->authorization, sizeof p->authorization, "Bearer %s", p->options.token) >=
        (int)sizeof p->authorization) {
        snprintf(why, why_size, "the token is too long");
        return ERR_NO_SPACE;
    }
    p->headers[0] = (struct websocket_header){"user-agent:", p->options.user_agent};
    p->headers[1] = (struct websocket_header){"x-authorization:", p->authorization};
    return ERR_OK;
}

/* libwebsockets cuts the name at which a certificate is looked at. */
static bool name_usable(const struct url *url)
{
    return !url->tls || (!strchr(url->host, ':') && strlen(url->host) <= TLS_NAME_MAX);
}

static enum err open_lws(struct portal_io *p, char *why, unsigned why_size)
{
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = websocket_protocols,
        .client_ssl_ca_filepath = p->options.ca_file,
        .ssl_client_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1,
        .max_http_header_data = AUTHORIZATION_MAX,
        .pt_serv_buf_size = TARGET_MAX + AUTHORIZATION_MAX + 4096,
    };
    if (!name_usable(p->options.url)) {
        snprintf(
            why, why_size,
            "the portal's URL: wss:// needs a host name of at most %d characters, no IPv6 address",
            TLS_NAME_MAX);
        return ERR_INVALID;
    }
    enum err err = ERR_OK;

    /* libwebsockets would go on without a file that it cannot read. */
    if (p->options.ca_file)
        err = ca_file_check(p->options.ca_file, why, why_size);
    if (err != ERR_OK)
        return err;
    err = lws_loop_new(&p->lws, p->loop, &info);
    if (err != ERR_OK)
        snprintf(why, why_size, "the WebSocket library does not start: %s", err_text(err));
    return err;
}

enum err portal_io_new(struct portal_io **out, struct loop *l, const struct portal_io_options *o,
                       const uint8_t public_key[KEY_LEN], const struct portal_io_events *events,
                       void *arg, char *why, unsigned why_size)
{
    struct portal_io *p = calloc(1, sizeof *p);
    uint64_t seed;
    enum err err = p ? ERR_OK : ERR_NO_MEMORY;

    *out = NULL;
    if (err != ERR_OK) {
        snprintf(why, why_size, "%s", err_text(err));
        return err;
    }
    p->loop = l;
    p->options = *o;
    p->events = events;
    p->arg = arg;
    random_bytes(&seed, sizeof seed);
    loop_timer_init(&p->timer, on_timer, p);
    link_init(&p->link, o->topic, o->join_payload, o->max_partition_ns, seed, loop_now(l));
    err = prepare(p, public_key, why, why_size);
    if (err == ERR_OK)
        err = open_lws(p, why, why_size);
    if (err != ERR_OK) {
        portal_io_free(p);
        return err;
    }
    loop_timer_set(l, &p->timer, link_poll_timeout(&p->link));
    *out = p;
    return ERR_OK;
}

void portal_io_free(struct portal_io *p)
{
    if (!p)
        return;
    loop_timer_clear(p->loop, &p->timer);
    end_attempt(p);
    lws_loop_free(p->lws);
    link_fini(&p->link);
    secure_wipe(p, sizeof *p);
    free(p);
}

enum err portal_io_push(struct portal_io *p, const char *name, const json_t *payload)
{
    enum err err = link_push(&p->link, name, payload);
    settle(p);
    return err;
}

bool portal_io_uses(const struct portal_io *p, const struct ip_addr *ip)
{
    return p->websocket && ip_addr_equal(&p->local.ip, ip);
}

void portal_io_reset(struct portal_io *p, const uint8_t public_key[KEY_LEN])
{
    enum err err = set_key(p, public_key);

    ASSERT(err == ERR_OK); /* there is room for any key */
    names_roam(p->options.names);
    end_attempt(p);
    link_reset(&p->link, loop_now(p->loop));
    settle(p);
}
