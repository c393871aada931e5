/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client, but for rules of its own: for tests of the gateway's. It is all of firezone-headless-client, with two functions of
 * the engine replaced by the linker (--wrap, see the Makefile):
 *
 *     what the host sends in an IPv4 packet of protocol 253, which is for experiments, goes to the gateway as it is, whatever it
 *         is, without that packet's header;
 *     what comes from the gateway goes to the host, for whomever it may be, and refusals are not heard.
 *
 * For one worker and one gateway. No shipped program is linked with it.
 */
#include <string.h>

#include "engine/nat_packet.h"
#include "engine/worker.h"

enum {
    PROTO_RAW = 253
};

enum egress_result __real_client_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker);
enum egress_result __wrap_client_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker);
bool __real_client_accepts(struct worker *w, const struct peer *p, const struct ip_view *v,
                           const uint8_t *packet) REQUIRES_ROLE(role_worker);
bool __wrap_client_accepts(struct worker *w, const struct peer *p, const struct ip_view *v,
                           const uint8_t *packet) REQUIRES_ROLE(role_worker);

/* Whoever we are connected with. */
static struct peer *gateway_of(struct worker *w) REQUIRES_ROLE(role_worker)
{
    for (uint32_t i = 0; i < w->engine->config.peers_max; i++) {
        struct peer *p = w->peers[i];
        if (p && p->endpoint.ip.family != ADDR_NONE && p->current &&
            session_can_send(p->current, w->now))
            return p;
    }
    return NULL;
}

enum egress_result __wrap_client_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
{
    const uint8_t *packet = rx->data + IO_VNET_LEN;
    struct ip_view v;

    if (rx->len <= IO_VNET_LEN || !ip_parse(&v, packet, rx->len - IO_VNET_LEN) || v.version != 4 ||
        v.proto != PROTO_RAW)
        return __real_client_frame(w, rx, origin);
    uint32_t len = v.total_len - v.l4_off;
    struct peer *p = gateway_of(w);
    uint8_t *dst = p && egress_room(w, 1) ? train_append(w, p, p->current, len, ECN_NOT_ECT) : NULL;
    if (dst)
        memcpy(dst, packet + v.l4_off, len);
    else
        count(w, VERDICT_OUT_NO_SESSION, 1);
    return EGRESS_DONE;
}

bool __wrap_client_accepts(struct worker *w, const struct peer *p, const struct ip_view *v,
                           const uint8_t *packet)
{
    const struct counter *counts = w->counters->verdicts;

    if (!ip_l4_valid(v, packet) || packet_classify(v, packet).kind == PACKET_ICMP_ERROR)
        return true;
    uint64_t punted = counter_read(&counts[VERDICT_IN_PUNTED]);
    return __real_client_accepts(w, p, v, packet) ||
           counter_read(&counts[VERDICT_IN_PUNTED]) == punted;
}
