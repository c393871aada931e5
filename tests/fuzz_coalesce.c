/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of coalescing. The input is a script: first byte: offloads (low 3 bits) and batch size; then steps of 4 bytes, each of
 * which adds a packet of one of 8 flows and may change one of its fields or bytes, or adds raw bytes as a packet.
 * tests/support/stream.h checks order, bytes and bounds of whatever comes out.
 */
#include <stdlib.h>

#include "tests/support/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PACKETS_MAX = 150,
    STEP = 4
};

static struct coalesce coalescer;
static struct stream stream;
static uint8_t packet[70000];

static void change(struct inner *p, unsigned what, uint8_t value)
{
    switch (what) {
    case 1:
        p->tos = value;
        break;
    case 2:
        p->flags = value;
        break;
    case 3:
        p->payload = value;
        break;
    case 4:
        p->seq += value - 128u;
        break;
    case 5:
        p->frag = (uint16_t)((value & 0xf0) << 8 | (value & 15));
        break;
    case 6:
        p->ip_extra = p->version == 4 ? value % 11 * 4u : value % 4 * 8u;
        break;
    case 7:
        p->tcp_extra = value % 11 * 4u;
        break;
    case 8:
        p->tcp_option = value;
        break;
    case 9:
        p->id = value;
        break;
    case 10:
        p->bad_l4_checksum = true;
        break;
    case 11:
        p->bad_ip_checksum = true;
        break;
    case 12:
        p->flow = value;
        break;
    case 13:
        p->payload = value * 256u;
        break;
    default:
        break;
    }
}

/* One step: flow and size class, change and value. */
static void add_step(struct inner *flows, const uint8_t *step)
{
    struct inner *f = &flows[step[0] & 7], p = *f;
    unsigned what = step[1] & 15;
    p.fill = step[3];
    if (step[0] & 8)
        p.flags = TCP_F_ACK | TCP_F_PSH;
    change(&p, what, step[2]);
    uint32_t len = (uint32_t)inner_build(packet, &p);
    if (what == 14) /* one bit of the first 128 bytes */
        packet[(step[2] & 127) % len] ^= (uint8_t)(1 << (step[3] & 7));
    if (what == 15 && len > (step[2] & 127u)) { /* cut, with a length that agrees */
        len = (step[2] & 127) > 40 ? step[2] & 127 : len;
        inner_be16(packet + (p.version == 4 ? 2 : 4), p.version == 4 ? len : len - 40);
    }
    if (stream.n < PACKETS_MAX)
        stream_add(&stream, packet, len);
    f->seq += p.payload;
    f->id++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inner flows[8];
    for (unsigned i = 0; i < ARRAY_LEN(flows); i++) {
        flows[i] = (struct inner){.version = i & 1 ? 4 : 6, .proto = i & 2 ? 6 : 17};
        flows[i].sport = (uint16_t)(i & 4);
        flows[i].payload = 50 + 60 * i;
        flows[i].flags = TCP_F_ACK;
        flows[i].tcp_extra = i & 4 ? 12 : 0;
        flows[i].frag = i == 3 || i == 5 ? 0x4000 : 0;
    }
    if (size == 0)
        return 0;
    unsigned batch = 1u + (data[0] >> 3) * 16u;
    coalesce_init(&coalescer, data[0] & 7);
    for (size_t at = 1; at + STEP <= size; at += STEP) {
        const uint8_t *step = data + at;
        if (step[0] < 0xf0) {
            add_step(flows, step);
        } else { /* raw: the bytes that follow */
            size_t n = size_min(step[1], size - at - STEP);
            if (stream.n < PACKETS_MAX)
                stream_add(&stream, step + STEP, (uint32_t)n);
            at += n;
        }
    }
    stream_run(&stream, &coalescer, batch);
    stream_clear(&stream);
    return 0;
}
