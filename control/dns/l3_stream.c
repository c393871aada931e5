/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/l3_stream.h"

#include "control/dns/l3_message.h"
#include "engine/wire/ip.h"
#include "platform/base/mem.h"

#include <lwip/priv/tcp_priv.h>

enum {
    IN_MIN = 2048,
    /* A message that is not whole, and a window's worth of others behind it. */
    IN_MAX = L3_STREAM_PREFIX + L3_MESSAGE_MAX + TCP_WND,
    CLOSING_TICKS = 20 * 1000 / TCP_SLOW_INTERVAL
};

struct l3_out {
    struct l3_out *next;
    uint32_t len;
    uint8_t bytes[];
};

/* ---- what lwIP calls ---- */

static bool append(struct l3_stream *s, const struct pbuf *p)
{
    uint32_t need = s->in_len - s->in_at + p->tot_len;

    if (need > IN_MAX)
        return false;
    if (s->in_at > 0) {
        memmove(s->in, s->in + s->in_at, s->in_len - s->in_at);
        s->in_len -= s->in_at;
        s->in_at = 0;
    }
    if (need > s->in_max) {
        uint32_t max = s->in_max > 0 ? s->in_max : IN_MIN;
        while (max < need)
            max *= 2;
        s->in = mem_check(realloc(s->in, max));
        s->in_max = max;
    }
    pbuf_copy_partial(p, s->in + s->in_len, p->tot_len, 0);
    s->in_len = need;
    return true;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct l3_stream *s = arg;

    (void)pcb;
    (void)err;
    if (!p) {
        s->ended = true;
    } else {
        if (!append(s, p))
            s->failed = true;
        s->withheld += p->tot_len;
        pbuf_free(p);
    }
    s->changed(s->arg, s);
    return LWIP_ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct l3_stream *s = arg;

    (void)pcb;
    (void)len;
    s->changed(s->arg, s);
    return LWIP_ERR_OK;
}

/* lwIP has freed the pcb. */
static void on_err(void *arg, err_t err)
{
    struct l3_stream *s = arg;

    (void)err;
    s->pcb = NULL;
    s->failed = true;
    s->changed(s->arg, s);
}

void l3_stream_open(struct l3_stream *s, struct tcp_pcb *pcb, l3_stream_changed changed, void *arg)
{
    memset(s, 0, sizeof *s);
    s->pcb = pcb;
    s->changed = changed;
    s->arg = arg;
    s->out_end = &s->out;
    tcp_arg(pcb, s);
    tcp_recv(pcb, on_recv);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_err);
    tcp_nagle_disable(pcb); /* messages are written in one piece */
}

/* ---- in ---- */

bool l3_stream_take(struct l3_stream *s, uint8_t **message, size_t *len)
{
    uint32_t have = s->in_len - s->in_at;

    if (have == 0) {
        free(s->in);
        s->in = NULL;
        s->in_at = s->in_len = s->in_max = 0;
    }
    if (have < L3_STREAM_PREFIX)
        return false;
    uint32_t n = load_be16(s->in + s->in_at);
    if (have < L3_STREAM_PREFIX + n)
        return false;
    *message = s->in + s->in_at + L3_STREAM_PREFIX;
    *len = n;
    s->in_at += L3_STREAM_PREFIX + n;
    return true;
}

void l3_stream_give_window(struct l3_stream *s)
{
    if (s->withheld == 0 || !s->pcb)
        return;
    tcp_recved(s->pcb, (u16_t)s->withheld); /* at most TCP_WND */
    s->withheld = 0;
}

/* ---- out ---- */

void l3_stream_put(struct l3_stream *s, const uint8_t *message, size_t len)
{
    struct l3_out *o = mem_zalloc(1, sizeof *o + L3_STREAM_PREFIX + len);

    o->len = (uint32_t)(L3_STREAM_PREFIX + len);
    store_be16(o->bytes, (uint16_t)len);
    memcpy(o->bytes + L3_STREAM_PREFIX, message, len);
    *s->out_end = o;
    s->out_end = &o->next;
    s->out_len += o->len;
}

static void drop_first(struct l3_stream *s)
{
    struct l3_out *o = s->out;

    s->out = o->next;
    if (!s->out)
        s->out_end = &s->out;
    s->out_len -= o->len;
    s->out_at = 0;
    free(o);
}

void l3_stream_flush(struct l3_stream *s)
{
    bool wrote = false;

    while (s->connected && s->pcb && s->out) {
        const struct l3_out *o = s->out;
        u16_t n = (u16_t)size_min(o->len - s->out_at, tcp_sndbuf(s->pcb));
        u8_t more = o->next || s->out_at + n < o->len ? TCP_WRITE_FLAG_MORE : 0;
        if (n == 0 ||
            tcp_write(s->pcb, o->bytes + s->out_at, n, TCP_WRITE_FLAG_COPY | more) != LWIP_ERR_OK)
            break; /* again when something is acknowledged, or with the next tick */
        wrote = true;
        s->out_at += n;
        if (s->out_at == o->len)
            drop_first(s);
    }
    if (wrote)
        tcp_output(s->pcb);
}

/* ---- the end ---- */

static struct tcp_pcb *let_go(struct l3_stream *s)
{
    struct tcp_pcb *pcb = s->pcb;

    while (s->out)
        drop_first(s);
    free(s->in);
    s->in = NULL;
    s->in_at = s->in_len = s->in_max = 0;
    s->pcb = NULL;
    if (pcb) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
    }
    return pcb;
}

static err_t give_up(void *arg, struct tcp_pcb *pcb)
{
    (void)arg;
    tcp_abort(pcb);
    return LWIP_ERR_ABRT;
}

/* Whoever does not take part in the end of a connection does not keep its memory. */
void l3_stream_close(struct l3_stream *s)
{
    l3_stream_give_window(s); /* or lwIP takes it for unread, and resets */
    struct tcp_pcb *pcb = let_go(s);
    if (!pcb)
        return;
    tcp_setprio(pcb, TCP_PRIO_MIN);
    tcp_poll(pcb, give_up, CLOSING_TICKS);
    if (tcp_close(pcb) != LWIP_ERR_OK)
        tcp_abort(pcb);
}

void l3_stream_abort(struct l3_stream *s)
{
    struct tcp_pcb *pcb = let_go(s);

    if (pcb)
        tcp_abort(pcb);
}
