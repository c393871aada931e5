/* SPDX-License-Identifier: Apache-2.0 */
#include "control/websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/tcp.h"

enum {
    MESSAGE_KEPT_MAX = 65536, /* of the buffer, from one message to the next */
    CLOSE_S = 2               /* for the closing frame to leave */
};

struct websocket {
    struct lws_loop *s;
    struct lws *wsi; /* NULL: in websocket_open */
    int fd;          /* -1: given to libwebsockets */
    bool gone;       /* libwebsockets let go of it in websocket_open, which frees it */
    bool established, closing;
    const struct websocket_header *headers;
    unsigned headers_n;
    const struct websocket_events *events; /* NULL: nobody wants to hear any more */
    void *arg;
    char *message; /* what has come of it; may hold secrets */
    size_t message_len, message_size;
    unsigned refused; /* the status */
    char retry_after[64];
    char body[WEBSOCKET_BODY_MAX];
    size_t body_len;
    size_t frame_max;
    unsigned char *frame; /* LWS_PRE, then frame_max */
};

static int append_headers(struct websocket *w, struct lws *wsi, unsigned char **at, size_t len)
{
    unsigned char *end = *at + len;

    for (unsigned i = 0; i < w->headers_n; i++) {
        const struct websocket_header *h = &w->headers[i];
        if (lws_add_http_header_by_name(wsi, (const unsigned char *)h->name,
                                        (const unsigned char *)h->value, (int)strlen(h->value), at,
                                        end))
            return -1;
    }
    return 0;
}

static void tell_closed(struct websocket *w, const char *why)
{
    const struct websocket_events *e = w->events;

    w->events = NULL;
    if (e && w->refused)
        e->refused(w->arg, w->refused, w->retry_after[0] ? w->retry_after : NULL, w->body,
                   w->body_len);
    else if (e)
        e->closed(w->arg, why);
}

/* why: of libwebsockets, with a line feed, perhaps; or NULL. */
static void tell_failed(struct websocket *w, const char *why)
{
    char line[WEBSOCKET_WHY_MAX];

    snprintf(line, sizeof line, "%s", why ? why : "the connection failed");
    line[strcspn(line, "\n")] = '\0';
    tell_closed(w, line);
}

/* False: of a response to a request of whatever kind, this one has no body. */
static bool has_body(struct lws *wsi, unsigned status)
{
    char length[32];

    if (status == 204 || status == 304)
        return false;
    return lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0 ||
           strtoull(length, NULL, 10) > 0;
}

/* Non-zero: there is nothing more to come. libwebsockets would keep a connection without a body open, and say nothing. */
static int response(struct websocket *w, struct lws *wsi)
{
    unsigned status = lws_http_client_http_response(wsi);

    if (status == 101)
        return 0;
    w->refused = status;
    if (lws_hdr_copy(wsi, w->retry_after, sizeof w->retry_after, WSI_TOKEN_HTTP_RETRY_AFTER) < 0)
        w->retry_after[0] = '\0';
    return has_body(wsi, status) ? 0 : -1;
}

static int read_body(struct lws *wsi)
{
    char buffer[LWS_PRE + 1024], *at = buffer + LWS_PRE;
    int len = 1024;
    return lws_http_client_read(wsi, &at, &len) < 0 ? -1 : 0; /* calls back with what it has read */
}

/* Non-zero: enough. */
static int take_body(struct websocket *w, const void *bytes, size_t len)
{
    size_t n = size_min(len, sizeof w->body - w->body_len);
    memcpy(w->body + w->body_len, bytes, n);
    w->body_len += n;
    return w->body_len == sizeof w->body ? -1 : 0;
}

static void drop_message(struct websocket *w)
{
    if (w->message)
        secure_wipe(w->message, w->message_size);
    free(w->message);
    w->message = NULL;
    w->message_size = 0;
    w->message_len = 0;
}

static bool append(struct websocket *w, const void *bytes, size_t len)
{
    if (len > WEBSOCKET_MESSAGE_MAX - w->message_len)
        return false;
    if (w->message_len + len > w->message_size) {
        size_t size = size_max(w->message_len + len, 2 * w->message_size), had = w->message_len;
        char *grown = malloc(size);
        if (!grown)
            return false;
        if (had > 0)
            memcpy(grown, w->message, had);
        drop_message(w);
        w->message = grown;
        w->message_size = size;
        w->message_len = had;
    }
    if (len > 0)
        memcpy(w->message + w->message_len, bytes, len);
    w->message_len += len;
    return true;
}

static int receive(struct websocket *w, struct lws *wsi, const void *bytes, size_t len)
{
    if (!append(w, bytes, len)) {
        tell_closed(w, "a message is too long");
        return -1;
    }
    if (lws_remaining_packet_payload(wsi) > 0 || !lws_is_final_fragment(wsi))
        return 0;
    if (w->events && !lws_frame_is_binary(wsi))
        w->events->text(w->arg, w->message ? w->message : "", w->message_len);
    w->message_len = 0;
    if (w->message_size > MESSAGE_KEPT_MAX)
        drop_message(w);
    return w->events ? 0 : -1;
}

static int send_next(struct websocket *w, struct lws *wsi)
{
    size_t len;
    bool more;

    if (!w->events->next(w->arg, (char *)w->frame + LWS_PRE, &len, &more))
        return 0;
    ASSERT(len <= w->frame_max);
    int sent = lws_write(wsi, w->frame + LWS_PRE, len, LWS_WRITE_TEXT);
    secure_wipe(w->frame + LWS_PRE, len);
    if (more)
        lws_callback_on_writable(wsi);
    return sent < (int)len ? -1 : 0;
}

static void websocket_free(struct websocket *w)
{
    if (w->fd >= 0)
        tcp_close(w->fd);
    drop_message(w);
    free(w->frame);
    free(w);
}

static void let_go(struct websocket *w, const struct lws *wsi)
{
    lws_loop_forget(w->s, wsi);
    tell_closed(w, "the connection ended");
    if (w->wsi)
        websocket_free(w);
    else
        w->gone = true;
}

static int say_goodbye(struct lws *wsi)
{
    lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    return -1;
}

/* The steps of an upgrade that nobody waits for any more; each of them would also take back the order to end. */
static bool must_end(enum lws_callback_reasons reason)
{
    return reason == LWS_CALLBACK_CONNECTING ||
           reason == LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER ||
           reason == LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP ||
           reason == LWS_CALLBACK_CLIENT_ESTABLISHED;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct websocket *w = lws_get_opaque_user_data(wsi);

    if (!w)
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    if (w->closing && !w->established && must_end(reason))
        return -1;
    switch (reason) {
    case LWS_CALLBACK_CONNECTING: {
        int fd = w->fd;
        w->fd = -1;
        return fd < 0 || lws_loop_replace(w->s, (int)(intptr_t)in, fd) != ERR_OK;
    }
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return append_headers(w, wsi, in, len);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        return response(w, wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
        return read_body(wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        return take_body(w, in, len);
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        return -1;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        tell_failed(w, in);
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        w->established = true;
        if (w->events)
            w->events->opened(w->arg);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(w, wsi, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return w->events ? send_next(w, wsi) : say_goodbye(wsi);
    case LWS_CALLBACK_CLIENT_CLOSED:
        tell_closed(w, "the portal closed the connection");
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        let_go(w, wsi);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

const struct lws_protocols websocket_protocols[] = {{"", callback, 0, 4096, 0, NULL, 0},
                                                    LWS_PROTOCOL_LIST_TERM};

/* No keep-alive of libwebsockets' own: the channel has its heartbeats, and not every proxy answers pings. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

static enum err connect_over(struct websocket *w, const struct websocket_request *r)
{
    char address[IP_TEXT_MAX], host[URL_HOST_MAX + 3];
    struct lws_client_connect_info info = {
        .context = lws_loop_context(w->s),
        .address = ip_addr_format(&r->peer.ip, address, sizeof address),
        .port = r->peer.port,
        .host = url_host_header(r->url, host, sizeof host),
        .path = r->target,
        .alpn = "http/1.1",
        .local_protocol_name = websocket_protocols[0].name,
        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (r->url->tls ? LCCSCF_USE_SSL : 0),
        .opaque_user_data = w,
        .retry_and_idle_policy = &no_pings,
    };
    struct lws *wsi = lws_client_connect_via_info(&info);

    /* It may be gone although there is a result. */
    if (!wsi || w->gone)
        return ERR_IO;
    w->wsi = wsi;
    return ERR_OK;
}

enum err websocket_open(struct websocket **out, struct lws_loop *s,
                        const struct websocket_request *r, size_t frame_max,
                        const struct websocket_events *events, void *arg)
{
    struct websocket *w = calloc(1, sizeof *w);
    enum err err;

    *out = NULL;
    if (w)
        w->frame = malloc(LWS_PRE + frame_max);
    if (!w || !w->frame) {
        free(w);
        tcp_close(r->fd);
        return ERR_NO_MEMORY;
    }
    w->s = s;
    w->fd = r->fd;
    w->headers = r->headers;
    w->headers_n = r->headers_n;
    w->frame_max = frame_max;
    w->arg = arg;
    /* Without events nothing is reported of a failure in here, which the result tells. */
    err = connect_over(w, r);
    if (err != ERR_OK) {
        websocket_free(w);
        return err;
    }
    w->events = events;
    lws_loop_kick(s);
    *out = w;
    return ERR_OK;
}

void websocket_kick(struct websocket *w)
{
    if (w->wsi)
        lws_callback_on_writable(w->wsi);
}

void websocket_close(struct websocket *w)
{
    if (!w)
        return;
    w->events = NULL;
    w->closing = true;
    if (w->established) {
        lws_set_timeout(w->wsi, PENDING_TIMEOUT_CLOSE_SEND, CLOSE_S);
        lws_callback_on_writable(w->wsi);
    } else {
        lws_set_timeout(w->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
    }
    lws_loop_kick(w->s);
}
