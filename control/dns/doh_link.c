/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/doh_link.h"

#include <openssl/base64.h>
#include <stdio.h>
#include <strings.h>

#include "control/dial.h"
#include "platform/base/mem.h"
#include "platform/tcp.h"

enum {
    TLS_NAME_MAX = 127, /* libwebsockets cuts what is longer */
    BASE64_MAX = (DOH_LINK_QUERY_MAX + 2) / 3 * 4,
    PATH_MAX_LEN = URL_PATH_MAX + 8 + BASE64_MAX,
    HEADERS_MAX = 8192, /* of a request and its response */
    WHY_MAX = 192
};

/* A request, or what libwebsockets has as the connection that carries them. */
struct stream {
    struct stream *next, **link;
    struct doh_link *owner;
    void *query;
    bool waited;        /* somebody wants to hear of it */
    bool ended;         /* by the server */
    bool opening, gone; /* gone: libwebsockets let go of it while it was opening */
    uint8_t *body;
    size_t len, size;
};

struct doh_link {
    struct doh_link_config config;
    const struct doh_link_events *events; /* NULL: nobody wants to hear any more */
    void *arg;
    struct names_query *lookup;
    struct dial *dial;
    struct loop_timer timer;
    int fd;             /* connected; -1: none, or given to libwebsockets */
    struct lws *wsi;    /* NULL: libwebsockets has nothing of it, or has let go of it */
    bool up;            /* `wsi` is the connection; before, it is the first request */
    struct stream self; /* of the connection */
    struct stream *streams;
    unsigned streams_n;
};

static const char media_type[] = "application/dns-message";

/* ---- the URL ---- */

static enum err wrong(char *why, unsigned why_size, const char *text)
{
    snprintf(why, why_size, "%s", text);
    return ERR_INVALID;
}

enum err doh_url_parse(struct doh_url *out, const char *text, char *why, unsigned why_size)
{
    static const char scheme[] = "https://";
    struct url *url = &out->url;

    if (strncasecmp(text, scheme, sizeof scheme - 1) != 0)
        return wrong(why, why_size, "it must begin with https://");
    if (strpbrk(text, "?#"))
        return wrong(why, why_size, "it must have no query and no fragment");
    if (url_parse(url, text, why, why_size) != ERR_OK)
        return ERR_INVALID;
    if (strchr(url->host, ':') || strlen(url->host) > TLS_NAME_MAX - 6)
        return wrong(why, why_size, "its host is too long, or an IPv6 address");
    if (url->port == URL_PORT_DEFAULT)
        snprintf(out->authority, sizeof out->authority, "%s", url->host);
    else
        snprintf(out->authority, sizeof out->authority, "%s:%u", url->host, url->port);
    /* As it is written: url_parse takes a slash off its end. */
    const char *path = strchr(text + sizeof scheme - 1, '/');
    snprintf(out->target, sizeof out->target, "%s?dns=", path ? path : "/");
    return ERR_OK;
}

/* Without padding, and with '-' and '_'. */
static void write_base64(char *out, const uint8_t *bytes, size_t len)
{
    size_t n = EVP_EncodeBlock((uint8_t *)out, bytes, len);

    while (n > 0 && out[n - 1] == '=')
        out[--n] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
    }
}

static void write_path(char path[PATH_MAX_LEN + 1], const struct doh_url *url, const uint8_t *bytes,
                       size_t len)
{
    size_t n = strlen(url->target);

    ASSERT(len <= DOH_LINK_QUERY_MAX && n + BASE64_MAX <= PATH_MAX_LEN);
    memcpy(path, url->target, n);
    write_base64(path + n, bytes, len);
}

/* ---- the end of it ---- */

static void link_done(struct doh_link *k)
{
    ASSERT(!k->streams);
    names_cancel(k->lookup);
    dial_cancel(k->dial);
    loop_timer_clear(k->config.loop, &k->timer);
    if (k->fd >= 0)
        tcp_close(k->fd);
    free(k);
}

static void tell_gone(struct doh_link *k, enum err err, const char *why)
{
    const struct doh_link_events *e = k->events;

    k->events = NULL;
    loop_timer_clear(k->config.loop, &k->timer);
    if (e)
        e->gone(k->arg, err, why);
}

/* Before libwebsockets has anything of it. */
static void fail_early(struct doh_link *k, enum err err, const char *why)
{
    tell_gone(k, err, why);
    link_done(k);
}

void doh_link_free(struct doh_link *k)
{
    if (!k)
        return;
    struct lws_loop *lws = k->config.lws;

    k->events = NULL;
    loop_timer_clear(k->config.loop, &k->timer);
    if (!k->wsi) {
        link_done(k);
        return;
    }
    /* It is gone behind this, or a little later when it has something to write. */
    lws_set_timeout(k->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_SYNC);
    lws_loop_kick(lws);
}

/* ---- streams ---- */

static struct stream *stream_new(struct doh_link *k, void *query)
{
    struct stream *s = mem_zalloc(1, sizeof *s);

    *s = (struct stream){
        .next = k->streams, .link = &k->streams, .owner = k, .query = query, .waited = true};
    if (s->next)
        s->next->link = &s->next;
    k->streams = s;
    k->streams_n++;
    return s;
}

static void stream_free(struct stream *s)
{
    if (s->next)
        s->next->link = s->link;
    *s->link = s->next;
    s->owner->streams_n--;
    free(s->body);
    free(s);
}

static void finish(struct stream *s, enum err err, const char *why)
{
    struct doh_link *k = s->owner;

    if (s->waited && k->events) {
        s->waited = false;
        k->events->answered(k->arg, s->query, err, err == ERR_OK ? s->body : NULL, s->len, why);
    }
    s->waited = false;
    free(s->body);
    s->body = NULL;
    s->len = s->size = 0;
}

/* libwebsockets calls this once before the response is there, too: then the status is 0. */
static void response(struct stream *s, struct lws *wsi)
{
    unsigned status = lws_http_client_http_response(wsi);
    char type[64] = "", why[WHY_MAX];

    if (status == 0 || !s->waited)
        return;
    if (status != 200) {
        snprintf(why, sizeof why, "it answers with status %u", status);
        finish(s, ERR_PARSE, why);
    } else if (lws_hdr_copy(wsi, type, sizeof type, WSI_TOKEN_HTTP_CONTENT_TYPE) <= 0 ||
               strcasecmp(type, media_type) != 0) {
        finish(s, ERR_PARSE, "its answers are no DNS messages");
    }
}

/* A stream that is ended from here would leave libwebsockets in the middle of a frame: it goes on, unheard. */
static void take(struct stream *s, const uint8_t *bytes, size_t len)
{
    if (!s->waited)
        return;
    if (len > DOH_LINK_ANSWER_MAX - s->len) {
        finish(s, ERR_PARSE, "an answer is too long");
        return;
    }
    if (s->len + len > s->size) {
        size_t size = size_max(s->len + len, size_min(2 * s->size, DOH_LINK_ANSWER_MAX));
        s->body = mem_check(realloc(s->body, size));
        s->size = size;
    }
    memcpy(s->body + s->len, bytes, len);
    s->len += len;
}

/* ---- the connection ---- */

static int append_accept(struct lws *wsi, unsigned char **at, size_t len)
{
    return lws_add_http_header_by_name(
        wsi, (const unsigned char *)"accept:", (const unsigned char *)media_type,
        sizeof media_type - 1, at, *at + len);
}

/* The first request is about to leave. Non-zero: it must not. */
static int established(struct doh_link *k, struct lws *wsi)
{
    struct lws *network = lws_get_network_wsi(wsi);

    if (network == wsi) {
        tell_gone(k, ERR_UNSUPPORTED, "it does not speak HTTP/2");
        return -1;
    }
    k->wsi = network;
    k->up = true;
    lws_set_opaque_user_data(network, &k->self);
    loop_timer_clear(k->config.loop, &k->timer);
    if (k->events)
        k->events->up(k->arg);
    return 0;
}

static void let_go(struct stream *s, const struct lws *wsi)
{
    struct doh_link *k = s->owner;
    bool end = s == &k->self || !k->up;

    lws_loop_forget(k->config.lws, wsi);
    if (s->opening) {
        s->gone = true;
        return;
    }
    if (s != &k->self) {
        finish(s, ERR_CLOSED, "the stream has ended");
        stream_free(s);
    }
    if (end) {
        k->wsi = NULL;
        tell_gone(k, ERR_CLOSED, "the connection ended");
    }
    if (!k->wsi && !k->streams)
        link_done(k);
}

static void connection_error(struct doh_link *k, const char *why, size_t len)
{
    char line[WHY_MAX];

    if (k->up)
        return;
    snprintf(line, sizeof line, "%.*s", (int)len, why ? why : "");
    line[strcspn(line, "\n")] = '\0';
    tell_gone(k, ERR_CLOSED, line);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct stream *s = lws_get_opaque_user_data(wsi);

    if (!s)
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    struct doh_link *k = s->owner;
    switch (reason) {
    case LWS_CALLBACK_CONNECTING: {
        int fd = k->fd;
        k->fd = -1;
        return fd < 0 || lws_loop_replace(k->config.lws, (int)(intptr_t)in, fd) != ERR_OK;
    }
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        if (!k->up && established(k, wsi) != 0)
            return -1;
        return append_accept(wsi, in, len);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        response(s, wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        take(s, in, len);
        return 0;
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        s->ended = true;
        finish(s, ERR_OK, NULL);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        connection_error(k, in, len);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        let_go(s, wsi);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static const struct lws_protocols protocols[] = {{"doh", callback, 0, 4096, 0, NULL, 0},
                                                 LWS_PROTOCOL_LIST_TERM};

/* No pings: a server that does not answer queries is left for a new connection anyway. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

enum err doh_link_lws(struct lws_loop **out, struct loop *l, const char *ca_file)
{
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .client_ssl_ca_filepath = ca_file,
        .ssl_client_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1,
        .max_http_header_data2 = HEADERS_MAX,
        .pt_serv_buf_size = 2 * HEADERS_MAX,
        .keepalive_timeout = DOH_IDLE_S,
        /* Header table, push, streams (ours count, not only the server's), window, frame. */
        .http2_settings = {1, 4096, 0, 2 * DOH_LINK_STREAMS_MAX, 0, 16384},
    };

    return lws_loop_new(out, l, &info);
}

/*
 * NULL: it cannot be sent. The first request makes the connection; the others name the host as their address, by which libwebsockets
 * finds it. They may not come when that is not there any more: libwebsockets would look the name up.
 */
static struct lws *request(struct stream *s, const char *address, const uint8_t *bytes, size_t len)
{
    const struct doh_link_config *c = &s->owner->config;
    char path[PATH_MAX_LEN + 1];
    const struct lws_client_connect_info info = {
        .context = lws_loop_context(c->lws),
        .address = address,
        .port = c->url->url.port,
        .host = c->url->authority,
        .path = path,
        .method = "GET",
        .alpn = "h2",
        .local_protocol_name = protocols[0].name,
        .ssl_connection = LCCSCF_USE_SSL | LCCSCF_PIPELINE | LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
                          LCCSCF_H2_QUIRK_NGHTTP2_END_STREAM,
        .opaque_user_data = s,
        .retry_and_idle_policy = &no_pings,
        .keep_warm_secs = DOH_IDLE_S,
    };

    write_path(path, c->url, bytes, len);
    s->opening = true;
    struct lws *wsi = lws_client_connect_via_info(&info);
    s->opening = false;
    /* It may be gone although there is a result. */
    if (wsi && !s->gone)
        return wsi;
    stream_free(s);
    return NULL;
}

static void begin_tls(struct doh_link *k, const struct sock_addr *to)
{
    static const uint8_t root_servers[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};
    char address[IP_TEXT_MAX];

    ip_addr_format(&to->ip, address, sizeof address);
    k->wsi = request(stream_new(k, NULL), address, root_servers, sizeof root_servers);
    if (k->wsi)
        lws_loop_kick(k->config.lws);
    else
        fail_early(k, ERR_IO, "the request cannot be sent");
}

static void on_dialled(void *arg, const struct dial_result *result)
{
    struct doh_link *k = arg;

    k->dial = NULL;
    if (result->err != ERR_OK) {
        fail_early(k, result->err, result->why);
        return;
    }
    k->fd = result->fd;
    begin_tls(k, &result->to);
}

static void on_resolved(void *arg, const struct names_result *result)
{
    struct doh_link *k = arg;

    k->lookup = NULL;
    if (result->err != ERR_OK)
        fail_early(k, result->err, result->why);
    else if (dial_start(&k->dial, k->config.loop, result->addrs, result->n, k->config.egress,
                        on_dialled, k) != ERR_OK)
        fail_early(k, ERR_NO_MEMORY, "there is no memory for the connection");
}

static void on_timer(void *arg)
{
    struct doh_link *k = arg;

    tell_gone(k, ERR_TIMEOUT, "it does not answer");
    doh_link_free(k);
}

struct doh_link *doh_link_new(const struct doh_link_config *c, const struct doh_link_events *events,
                              void *arg)
{
    struct doh_link *k = mem_zalloc(1, sizeof *k);
    const struct url *url = &c->url->url;

    *k = (struct doh_link){.config = *c, .events = events, .arg = arg, .fd = -1};
    k->self.owner = k;
    loop_timer_init(&k->timer, on_timer, k);
    loop_timer_set(c->loop, &k->timer, loop_now(c->loop) + DOH_CONNECT_MS * NS_PER_MS);
    enum err err = names_lookup(c->names, &k->lookup, url->host, url->port, on_resolved, k);
    (void)mem_check(err == ERR_OK ? k : NULL);
    return k;
}

/* ---- requests ---- */

enum err doh_link_get(struct doh_link *k, const uint8_t *bytes, size_t len, void *query)
{
    ASSERT(k->up && query && k->streams_n < DOH_LINK_STREAMS_MAX);
    /* It may be about to close behind that. */
    if (lws_partial_buffered(k->wsi))
        return ERR_AGAIN;
    if (!request(stream_new(k, query), k->config.url->authority, bytes, len))
        return ERR_IO;
    lws_loop_kick(k->config.lws);
    return ERR_OK;
}

void doh_link_forget(struct doh_link *k, const void *query)
{
    struct stream *s = k->streams;

    while (s && s->query != query)
        s = s->next;
    if (!s)
        return;
    s->query = NULL;
    s->waited = false;
}

unsigned doh_link_streams(const struct doh_link *k)
{
    return k->streams_n;
}

unsigned doh_link_forgotten(const struct doh_link *k)
{
    unsigned n = 0;

    for (const struct stream *s = k->streams; s; s = s->next)
        n += !s->waited && !s->ended;
    return n;
}
