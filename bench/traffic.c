/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and datagrams of bulk TCP flows, see traffic.h. */
#include "bench/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/checksum.h"
#include "engine/segment.h"
#include "engine/wire/channel.h"
#include "engine/wire/ip.h"
#include "engine/wire/wg.h"

enum {
    IP_TOTAL_MAX = 65535,
    HEADERS = IPV4_HEADER_MIN + TCP_HEADER_MIN,
    BATCH = CRYPT_BATCH_MAX,
    RECEIVED_MAX = 65000 /* datagrams with all headers and tags in one GRO receive */
};

struct ip_addr traffic_address(unsigned peer, bool remote)
{
    uint8_t bytes[4] = {10, (uint8_t)(remote ? 1 : 0), (uint8_t)peer, 1};
    return ip_addr_v4(bytes);
}

/* The super-packet: header checksum right, transport checksum partial, as the kernel hands it over. */
static void make_frame(struct traffic *t, unsigned peer, bool inbound)
{
    uint8_t *p = t->frame + VNET_HDR_LEN, *tcp = p + IPV4_HEADER_MIN;
    unsigned payload = t->inner_len - HEADERS, total = HEADERS + payload * t->per_frame;
    struct vnet_hdr h = {.flags = VNET_F_NEEDS_CSUM,
                         .gso_type = VNET_GSO_TCPV4,
                         .hdr_len = HEADERS,
                         .gso_size = (uint16_t)payload,
                         .csum_start = IPV4_HEADER_MIN,
                         .csum_offset = TCP_OFF_CHECKSUM};
    struct ip_addr src = traffic_address(peer, inbound), dst = traffic_address(peer, !inbound);

    memcpy(t->frame, &h, sizeof h);
    memset(p, 0, HEADERS);
    p[0] = 0x45;
    store_be16(p + IPV4_OFF_TOTAL_LEN, (uint16_t)total);
    store_be16(p + IPV4_OFF_FRAG, IPV4_FRAG_DF);
    p[IPV4_OFF_TTL] = 64;
    p[IPV4_OFF_PROTO] = IP_PROTO_TCP;
    memcpy(p + IPV4_OFF_SRC, src.bytes, 4);
    memcpy(p + IPV4_OFF_DST, dst.bytes, 4);
    checksum_store(p + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(p, IPV4_HEADER_MIN, 0)));
    store_be16(tcp + TCP_OFF_SRC_PORT, 5201);
    store_be16(tcp + TCP_OFF_DST_PORT, 40000);
    tcp[TCP_OFF_DATA] = TCP_HEADER_MIN / 4 << 4;
    tcp[TCP_OFF_FLAGS] = TCP_F_ACK;
    store_be16(tcp + TCP_OFF_WINDOW, 65535);
    checksum_store(tcp + TCP_OFF_CHECKSUM,
                   checksum_fold(checksum_pseudo_v4(p, IP_PROTO_TCP, total - IPV4_HEADER_MIN)));
    for (unsigned i = 0; i < payload * t->per_frame; i++)
        p[HEADERS + i] = (uint8_t)(i * 31 + (i >> 8));
    t->frame_len = VNET_HDR_LEN + total;
}

static void set_seq(struct traffic *t)
{
    store_be32(t->frame + VNET_HDR_LEN + IPV4_HEADER_MIN + TCP_OFF_SEQ, t->seq);
}

/* Packets of `inner_len` bytes, as the engine itself would cut the frame. */
static void make_segments(struct traffic *t)
{
    struct segment_plan plan;
    struct vnet_hdr h;

    memcpy(&h, t->frame, sizeof h);
    if (segment_plan(&plan, &h, t->frame + VNET_HDR_LEN, t->frame_len - VNET_HDR_LEN,
                     t->inner_len) != SEGMENT_OK ||
        plan.n != t->per_frame) {
        fprintf(stderr, "fzbench: the benchmark's own frame cannot be split\n");
        abort();
    }
    for (unsigned i = 0; i < plan.n; i++)
        segment_write(&plan, i, t->plain + (size_t)i * t->inner_len);
}

void traffic_init(struct traffic *t, const struct traffic_config *c)
{
    unsigned payload = c->inner_len - HEADERS;
    ASSERT(c->inner_len >= TRAFFIC_INNER_MIN);
    memset(t, 0, sizeof *t);
    t->inner_len = c->inner_len;
    t->channel = c->channel;
    t->stride = c->inner_len + WG_DATA_OVERHEAD + (c->channel != 0 ? CHANNEL_HEADER_LEN : 0);
    t->per_frame = (unsigned)size_min((IP_TOTAL_MAX - HEADERS) / payload, BATCH);
    t->per_frame = (unsigned)size_min(t->per_frame, RECEIVED_MAX / t->stride);
    t->receiver = c->receiver;
    crypt_key_init(&t->key, c->key);
    enum err err = crypt_init(&t->crypt, CRYPT_AUTO);
    ASSERT(err == ERR_OK); /* "auto" finds one on every machine */
    make_frame(t, c->peer, c->inbound);
    make_segments(t);
}

void traffic_fini(struct traffic *t)
{
    crypt_key_fini(&t->key);
}

uint32_t traffic_frame(const struct traffic *t, uint8_t *out)
{
    memcpy(out, t->frame, t->frame_len);
    return t->frame_len;
}

uint32_t traffic_datagrams(struct traffic *t, uint8_t *out)
{
    struct crypt_packet packets[BATCH];

    set_seq(t);
    make_segments(t);
    t->seq += t->per_frame * (t->inner_len - HEADERS);
    for (unsigned i = 0; i < t->per_frame; i++) {
        uint8_t *message = out + (size_t)i * t->stride;
        if (t->channel != 0) {
            channel_write(message, t->channel, (uint16_t)(t->stride - CHANNEL_HEADER_LEN));
            message += CHANNEL_HEADER_LEN;
        }
        store_le32(message, WG_KIND_DATA);
        store_le32(message + WG_DATA_RECEIVER, t->receiver);
        store_le64(message + WG_DATA_COUNTER, t->counter);
        packets[i] = (struct crypt_packet){.data = message + WG_DATA_PACKET,
                                           .from = t->plain + (size_t)i * t->inner_len,
                                           .len = t->inner_len,
                                           .counter = t->counter++};
    }
    crypt_seal(&t->crypt, &t->key, packets, t->per_frame);
    return t->per_frame * t->stride;
}

bool traffic_verify(struct traffic *t, const uint8_t *datagram, uint32_t len)
{
    static uint8_t opened[TRAFFIC_FRAME_MAX]; /* one thread verifies */
    struct crypt_packet p = {.data = opened, .len = t->inner_len};

    if (len != t->stride)
        return false;
    if (t->channel != 0) {
        if (channel_parse(datagram, len) != t->channel)
            return false;
        datagram += CHANNEL_HEADER_LEN;
    }
    p.from = datagram + WG_DATA_PACKET;
    p.counter = load_le64(datagram + WG_DATA_COUNTER);
    size_t segment = p.counter % t->per_frame;
    return load_le32(datagram) == WG_KIND_DATA && crypt_open(&t->crypt, &t->key, &p, 1) == 1 &&
           memcmp(opened, t->plain + segment * t->inner_len, t->inner_len) == 0;
}
