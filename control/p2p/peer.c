/* SPDX-License-Identifier: Apache-2.0 */
#include "control/p2p/peer.h"

#include <string.h>

#include "engine/wire/channel.h"

_Static_assert(CHANNEL_HEADER_LEN + WG_HANDSHAKE_LEN_MAX <= NODE_DATAGRAM_MAX, "they fit");

void p2p_peer_init(struct p2p_peer *p, bool controlling)
{
    memset(p, 0, sizeof *p);
    p->controlling = controlling;
}

static enum p2p_peer_news look(struct p2p_peer *p)
{
    if (p->up_told || !p->complete || p->path.kind == NODE_PATH_NONE)
        return P2P_PEER_NO_NEWS;
    p->up_told = true;
    return P2P_PEER_UP;
}

static void begin(struct p2p_peer *p, struct wg_peer *wg, time_ns now, struct wg_fresh *fresh)
{
    if (!p->controlling || (p->begun_at != 0 && time_since(now, p->begun_at) < P2P_PEER_QUIET_NS))
        return;
    p->begun_at = now;
    wg_peer_want_handshake(wg, now, fresh);
}

enum p2p_peer_news p2p_peer_set_path(struct p2p_peer *p, struct wg_peer *wg, time_ns now,
                                     const struct node_path *path, struct wg_fresh *fresh)
{
    p->path = *path;
    begin(p, wg, now, fresh);
    return look(p);
}

void p2p_peer_again(struct p2p_peer *p, struct wg_peer *wg, time_ns now, struct wg_fresh *fresh)
{
    if (p->path.kind != NODE_PATH_NONE)
        begin(p, wg, now, fresh);
}

void p2p_peer_want(const struct p2p_peer *p, struct wg_peer *wg, time_ns now,
                   struct wg_fresh *fresh)
{
    if (p->path.kind != NODE_PATH_NONE)
        wg_peer_want_handshake(wg, now, fresh);
}

enum p2p_peer_news p2p_peer_note(struct p2p_peer *p, const struct wg_event *event)
{
    switch (event->kind) {
    case WG_EVENT_HANDSHAKE_COMPLETE:
        p->complete = true;
        return look(p);
    case WG_EVENT_HANDSHAKE_FAILED:
    case WG_EVENT_SESSIONS_EXPIRED:
        return P2P_PEER_FAILED;
    case WG_EVENT_SESSION_NEW:
    case WG_EVENT_SEND_KEEPALIVE:
    case WG_EVENT_ENDPOINT:
        break;
    }
    return P2P_PEER_NO_NEWS;
}

bool p2p_peer_poll_transmit(const struct p2p_peer *p, struct wg_peer *wg, struct node_transmit *out)
{
    unsigned head = p->path.channel != 0 ? CHANNEL_HEADER_LEN : 0;
    struct wg_datagram d;

    if (p->path.kind == NODE_PATH_NONE || !wg_peer_poll_transmit(wg, &d))
        return false;
    out->to = p->path.to;
    out->from = p->path.from;
    if (head != 0)
        channel_write(out->bytes, p->path.channel, d.len);
    memcpy(out->bytes + head, d.bytes, d.len);
    out->len = (uint16_t)(head + d.len);
    return true;
}
