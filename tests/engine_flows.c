/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered flows through a pair of engines, in every mode that they run in. Include once, after cmocka.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/segment.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"
#include "tests/engine_pair.c"

enum {
    FRAME_MAX = 10 + 65535
};

static const struct {
    const char *name;
    enum io_backend io;
    bool steering;
    unsigned workers;
} modes[] = {
    {"uring, 1 worker", IO_URING, true, 1},
    {"uring, 3 workers, steered", IO_URING, true, 3},
    {"uring, 3 workers, one queue", IO_URING, false, 3},
    {"epoll, 1 worker", IO_EPOLL, true, 1},
    {"epoll, 3 workers, steered", IO_EPOLL, true, 3},
    {"epoll, 3 workers, one queue", IO_EPOLL, false, 3},
};

/* Splits a frame that came out and checks that every flow's sequence numbers rise. Returns the packets in it. */
static unsigned check_frame(const uint8_t *frame, unsigned len, uint32_t *next, unsigned flows,
                            bool gaps_allowed)
{
    struct vnet_hdr header;
    struct segment_plan plan;
    uint8_t packet[2048];

    memcpy(&header, frame, sizeof header);
    assert_int_equal(segment_plan(&plan, &header, frame + sizeof header, len - sizeof header, 1420),
                     SEGMENT_OK);
    for (unsigned i = 0; i < plan.n; i++) {
        segment_write(&plan, i, packet);
        uint32_t flow = load_be32(packet + 28), sequence = load_be32(packet + 32);
        unsigned payload = segment_len(&plan, i) - 28;
        assert_true(flow < flows);
        if (gaps_allowed)
            assert_true(sequence >= next[flow]);
        else
            assert_int_equal(sequence, next[flow]);
        for (unsigned k = 8; k < payload; k++)
            assert_int_equal(packet[28 + k], (uint8_t)(sequence * 31 + k));
        next[flow] = sequence + 1;
    }
    return plan.n;
}

/* Sends `n` packets a flow, interleaved over peers and sizes, and drains the other side meanwhile. */
static void run_flows(struct pair *p, unsigned peers, unsigned flows_per_peer, uint32_t n)
{
    static uint8_t frame[FRAME_MAX];
    unsigned flows = peers * flows_per_peer;
    uint32_t *next = calloc(flows, sizeof *next);
    uint64_t sent = 0, received = 0;

    for (uint32_t sequence = 0; sequence < n; sequence++) {
        for (unsigned flow = 0; flow < flows; flow++) {
            uint8_t packet[1420];
            unsigned peer = flow % peers, payload = 8 + (sequence * 131 + flow * 17) % 1380;
            if (sequence % 5 < 3)
                payload = 1200; /* runs of equal size, so that GSO and coalescing happen */
            unsigned len = pair_packet(packet, true, peer, (uint16_t)flow, sequence, payload);
            while (sent - received > 256 || !pair_write(&p->a, peer, packet, len)) {
                unsigned got = pair_read(&p->b, frame, sizeof frame, 2000);
                if (got == 0)
                    pair_dump(p);
                assert_true(got > 0);
                received += check_frame(frame, got, next, flows, false);
            }
            sent++;
        }
    }
    while (received < sent) {
        unsigned got = pair_read(&p->b, frame, sizeof frame, 2000);
        if (got == 0)
            break;
        received += check_frame(frame, got, next, flows, false);
    }
    assert_int_equal(received, sent);
    assert_int_equal(pair_count(&p->b, VERDICT_IN_REPLAY_OLD), 0);
    assert_int_equal(pair_count(&p->b, VERDICT_IN_BAD_TAG), 0);
    free(next);
}
