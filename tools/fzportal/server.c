/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening sockets are ours and not libwebsockets', which takes over what they accept: they can be closed and opened again,
 * and say clearly why they cannot.
 */
#include "tools/fzportal/server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "tools/fzportal/faults.h"
#include "tools/fzportal/server_private.h"
#include "tools/fzportal/upgrade.h"

enum {
    READ_CHUNK = 4096,
    WRITE_CHUNK = 262144,
    FRAME_KEPT_MAX = 1 << 20, /* a bigger buffer is given back */
    HANDSHAKES_MAX = 256,     /* that libwebsockets keeps headers of at a time */
    HANDSHAKE_TIMEOUT_S = 15,
    FINISH_TIMEOUT_S = 3 /* for what is queued when a session ends */
};

static struct portal_time now(void)
{
    uint64_t seconds;
    uint32_t nanoseconds;

    clock_wall(&seconds, &nanoseconds);
    return (struct portal_time){.now = clock_now(), .unix_seconds = (int64_t)seconds};
}

/* ---- from the portal to the sockets ---- */

void server_kill(struct conn *c, bool reset)
{
    const struct linger at_once = {.l_onoff = 1};

    if (c->killed)
        return;
    c->killed = true;
    if (reset)
        (void)setsockopt(lws_get_socket_fd(c->wsi), SOL_SOCKET, SO_LINGER, &at_once,
                         sizeof at_once);
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
}

bool server_send_raw(struct conn *c, const void *bytes, size_t len, bool last)
{
    if (c->raw || c->killed)
        return false;
    c->raw = mem_zalloc(LWS_PRE + len, 1);
    memcpy(c->raw + LWS_PRE, bytes, len);
    c->raw_len = len;
    c->raw_last = last;
    lws_callback_on_writable(c->wsi);
    return true;
}

static void end_session(struct conn *c)
{
    struct portal_session *session = c->session;

    c->session = NULL;
    if (session)
        portal_closed(c->server->portal, now(), session);
}

void server_freeze(struct conn *c, bool frozen)
{
    if (c->frozen == frozen || c->killed)
        return;
    c->frozen = frozen;
    lws_rx_flow_control(c->wsi, !frozen);
    if (!frozen && !c->session)
        server_kill(c, false);
    else if (!frozen)
        lws_callback_on_writable(c->wsi);
}

/* Its session is over. Who does not read what is left for him does not keep it for long. */
static void finish(struct conn *c, unsigned code)
{
    if (c->frozen) {
        /* The other side cannot be told: for the portal the connection is gone, the device still believes in it. */
        end_session(c);
    } else if (code == 0) {
        end_session(c);
        server_kill(c, false);
    } else {
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, FINISH_TIMEOUT_S);
    }
}

/* It has something to send, or is over. */
static void wake(struct conn *c)
{
    unsigned code;

    if (portal_session_over(c->session, &code))
        finish(c, code);
    if (c->established && !c->killed && !c->frozen)
        lws_callback_on_writable(c->wsi);
}

static void set_listening(struct server *s, bool listening)
{
    for (unsigned i = 0; i < s->listeners_n; i++)
        listener_open(s->listeners[i], listening);
    if (listening)
        return;
    for (struct conn *c = s->conns; c; c = c->next)
        server_kill(c, false);
}

/* After anything that was told to the portal. */
static void pump(struct server *s)
{
    struct portal_session *session;

    if (s->closing)
        return;
    while ((session = portal_poll_ready(s->portal)))
        wake(portal_session_user(session));
    set_listening(s, portal_listening(s->portal));
    loop_timer_set(s->loop, &s->timer, portal_poll_timeout(s->portal));
    lws_loop_kick(s->lws);
}

static void on_timer(void *arg)
{
    struct server *s = arg;

    portal_handle_timeout(s->portal, now());
    pump(s);
}

static int send_raw(struct conn *c)
{
    uint8_t *raw = c->raw;

    c->raw = NULL;
    /* On a WebSocket this type means: no framing. */
    int sent = lws_write(c->wsi, raw + LWS_PRE, c->raw_len, LWS_WRITE_HTTP);
    free(raw);
    lws_callback_on_writable(c->wsi);
    return sent < 0 || c->raw_last ? -1 : 0;
}

static int send_frame(struct conn *c, const char *text, size_t len)
{
    struct server *s = c->server;

    if (LWS_PRE + len > s->frame_size) {
        free(s->frame);
        s->frame_size = LWS_PRE + size_max(len, 4096);
        s->frame = mem_zalloc(s->frame_size, 1);
    }
    memcpy(s->frame + LWS_PRE, text, len);
    /* Takes all of it, and comes back here when all of it is in the socket. */
    int sent = lws_write(c->wsi, s->frame + LWS_PRE, len, LWS_WRITE_TEXT);
    if (s->frame_size > FRAME_KEPT_MAX) {
        free(s->frame);
        s->frame = NULL;
        s->frame_size = 0;
    }
    lws_callback_on_writable(c->wsi);
    return sent < (int)len ? -1 : 0;
}

/* One frame at a time, so that the portal's queue and not libwebsockets' is where they wait. */
static int on_writable(struct conn *c)
{
    const char *text;
    size_t len;
    unsigned code;

    if (c->killed)
        return -1;
    if (c->frozen)
        return 0;
    if (c->raw)
        return send_raw(c);
    if (!c->session)
        return -1;
    if (portal_poll_transmit(c->session, &text, &len))
        return send_frame(c, text, len);
    if (!portal_session_over(c->session, &code))
        return 0;
    if (code != 0)
        lws_close_reason(c->wsi, (enum lws_close_status)code, NULL, 0);
    return -1;
}

/* ---- from the sockets to the portal ---- */

static bool append(struct conn *c, const void *bytes, size_t len)
{
    if (len > SERVER_MESSAGE_MAX - c->message_len)
        return false;
    if (c->message_len + len > c->message_size) {
        c->message_size = size_max(c->message_len + len, 2 * c->message_size);
        c->message = mem_check(realloc(c->message, c->message_size));
    }
    if (len > 0)
        memcpy(c->message + c->message_len, bytes, len);
    c->message_len += len;
    return true;
}

static int on_receive(struct conn *c, const void *bytes, size_t len)
{
    if (!c->session || c->killed)
        return 0;
    portal_heard(c->server->portal, now(), c->session);
    if (!append(c, bytes, len)) {
        log_info("server", "a message of more than %d bytes: connection closed",
                 SERVER_MESSAGE_MAX);
        lws_close_reason(c->wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, NULL, 0);
        return -1;
    }
    if (lws_remaining_packet_payload(c->wsi) > 0 || !lws_is_final_fragment(c->wsi))
        return 0;
    len = c->message_len;
    c->message_len = 0;
    if (lws_frame_is_binary(c->wsi)) {
        log_debug("server", "ignored a binary message of %zu bytes", len);
        return 0;
    }
    portal_handle_input(c->server->portal, now(), c->session, c->message ? c->message : "", len);
    pump(c->server);
    return 0;
}

static int answer(struct lws *wsi, const struct portal_answer *a)
{
    size_t len;
    char *text = upgrade_answer(a, &len);
    uint8_t *buffer = mem_zalloc(LWS_PRE + len, 1);

    memcpy(buffer + LWS_PRE, text, len);
    int sent = lws_write(wsi, buffer + LWS_PRE, len, LWS_WRITE_HTTP_HEADERS);
    free(buffer);
    free(text);
    return sent < (int)len ? -1 : 0;
}

static bool path_known(const char *path)
{
    static const char *const paths[] = {"/client/v2/websocket", "/gateway/v2/websocket",
                                        "/client/websocket", "/gateway/websocket",
                                        "/relay/websocket"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (strcmp(paths[i], path) == 0)
            return true;
    }
    return false;
}

/* A request that is no upgrade. -1: done with the connection. */
static int on_plain(struct lws *wsi)
{
    struct portal_answer a = {.retry_after_s = -1};
    char *uri;
    int len;

    if (lws_http_get_uri_and_method(wsi, &uri, &len) < 0)
        return -1;
    a.status = path_known(uri) ? 400 : 404;
    log_debug("server", "a request that is no upgrade: %u", a.status);
    (void)answer(wsi, &a);
    return -1;
}

static void link_conn(struct server *s, struct conn *c)
{
    c->server = s;
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    lws_set_opaque_user_data(c->wsi, c);
}

static void free_conn(struct conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else if (c->server->conns == c)
        c->server->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c->message);
    free(c->raw);
    free(c);
}

/* 0: go on with 101. 1: it is answered. -1: hang up. */
static int on_upgrade(struct server *s, struct lws *wsi)
{
    struct portal_answer a = {.retry_after_s = -1};
    char from[IP_TEXT_MAX];
    struct upgrade u;
    struct conn *c;

    if (s->closing || s->frozen || !portal_listening(s->portal))
        return -1;
    if (!upgrade_valid(wsi))
        return on_plain(wsi);
    c = mem_zalloc(1, sizeof *c);
    c->wsi = wsi;
    upgrade_read(&u, wsi);
    c->session = portal_upgrade(s->portal, now(), &u.request, c, &a);
    if (c->session) {
        log_info("server", "%s from %s", u.path,
                 ip_addr_format(&u.request.from, from, sizeof from));
        link_conn(s, c);
    } else {
        log_info("server", "refused %s: %u %s %s", u.path, a.status, a.code, a.detail);
        free(c);
        c = NULL;
    }
    upgrade_wipe(&u);
    pump(s);
    return c ? 0 : answer(wsi, &a) == 0 ? 1 : -1;
}

static int on_conn(struct conn *c, enum lws_callback_reasons reason, void *in, size_t len)
{
    struct server *s = c->server;

    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        c->established = true; /* which ended whatever timeout there was */
        if (c->session)
            wake(c);
        else
            lws_callback_on_writable(c->wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return on_receive(c, in, len);
    case LWS_CALLBACK_RECEIVE_PONG: /* libwebsockets keeps empty ones, and pings, to itself */
        if (c->session)
            portal_heard(s->portal, now(), c->session);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writable(c);
    case LWS_CALLBACK_CLOSED:
        end_session(c);
        pump(s);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(c->wsi, NULL);
        end_session(c);
        free_conn(c);
        pump(s);
        return 0;
    default:
        return 0;
    }
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct conn *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    (void)user;
    if (c)
        return on_conn(c, reason, in, len);
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(lws_context_user(lws_get_context(wsi)), wsi);
    case LWS_CALLBACK_HTTP:
        return on_plain(wsi);
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {"phoenix", callback, 0, READ_CHUNK, 0, NULL, WRITE_CHUNK}, LWS_PROTOCOL_LIST_TERM};

static void on_accepted(void *arg, int fd_give)
{
    struct server *s = arg;
    const lws_sock_file_fd_type fd = {.sockfd = fd_give};

    if (!lws_adopt_descriptor_vhost(
            s->vhost, LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL, fd, NULL, NULL))
        log_debug("server", "a connection ended before it began");
    lws_loop_kick(s->lws);
}

/* ---- life ---- */

static enum err tls_failed(SSL_CTX *ctx, const char *what, const char *file, char *why,
                           unsigned why_size)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    snprintf(why, why_size, "cannot use %s as the %s: %s", file, what,
             reason ? reason : "unknown reason");
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return ERR_INVALID;
}

/* Also before each start, since libwebsockets does not tell what is wrong. */
enum err server_check(const struct server_options *o, char *why, unsigned why_size)
{
    SSL_CTX *ctx;

    if (!o->certificate)
        return ERR_OK;
    ERR_clear_error();
    ctx = mem_check(SSL_CTX_new(TLS_method()));
    if (SSL_CTX_use_certificate_chain_file(ctx, o->certificate) != 1)
        return tls_failed(ctx, "certificate", o->certificate, why, why_size);
    if (SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return tls_failed(ctx, "certificate's key", o->key, why, why_size);
    SSL_CTX_free(ctx);
    return ERR_OK;
}

static enum err start_lws(struct server *s, const struct server_options *o, char *why,
                          unsigned why_size)
{
    static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0,
                                            .secs_since_valid_hangup = 0};
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .user = s,
        .retry_and_idle_policy = &no_pings,
        .max_http_header_data2 = UPGRADE_HEADERS_MAX,
        .max_http_header_pool = HANDSHAKES_MAX,
        .timeout_secs = HANDSHAKE_TIMEOUT_S,
        .alpn = "http/1.1",
        .ssl_cert_filepath = o->certificate,
        .ssl_private_key_filepath = o->key,
    };
    enum err err = lws_loop_new(&s->lws, s->loop, &info);

    if (err == ERR_OK)
        s->vhost = lws_get_vhost_by_name(lws_loop_context(s->lws), "default");
    if (!s->vhost)
        snprintf(why, why_size, "cannot set up libwebsockets");
    return s->vhost ? ERR_OK : ERR_IO;
}

enum err server_new(struct server **out, struct loop *l, struct portal *p,
                    const struct server_options *o, char *why, unsigned why_size)
{
    struct server *s = mem_zalloc(1, sizeof *s);
    enum err err;

    *out = NULL;
    ASSERT(o->listen_n > 0 && o->listen_n <= SERVER_LISTEN_MAX && !o->certificate == !o->key);
    s->loop = l;
    s->portal = p;
    loop_timer_init(&s->timer, on_timer, s);
    err = server_check(o, why, why_size);
    if (err == ERR_OK)
        err = start_lws(s, o, why, why_size);
    for (unsigned i = 0; i < o->listen_n && err == ERR_OK; i++) {
        err = listener_new(&s->listeners[i], l, &o->listen[i], on_accepted, s, why, why_size);
        s->listeners_n += err == ERR_OK;
    }
    if (err != ERR_OK) {
        server_free(s);
        return err;
    }
    pump(s);
    *out = s;
    return ERR_OK;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    s->closing = true;
    for (unsigned i = 0; i < s->listeners_n; i++)
        listener_free(s->listeners[i]);
    lws_loop_free(s->lws);
    ASSERT(!s->conns);
    loop_timer_clear(s->loop, &s->timer);
    free(s->frame);
    free(s);
}

const struct sock_addr *server_addr(const struct server *s, unsigned i)
{
    return listener_addr(s->listeners[i]);
}

json_t *server_control(struct server *s, const json_t *command)
{
    json_t *reply = faults_handle(s, command);

    if (!reply)
        reply = portal_control(s->portal, now(), command);
    pump(s);
    return reply;
}
