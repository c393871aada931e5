/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I/O backend (platform/io.h) without system calls: frames and datagrams come from memory and go nowhere, so that
 * the engine's own work can be counted. It takes the place of the real ones in fzbench at link time.
 *
 * A worker that is a source gets `burst` buffers of traffic in each io_wait, and what it does from there to its next
 * io_wait is counted. Making the traffic is not. Other workers wait as they would.
 */
#ifndef FZ_BENCH_IO_MEMORY_H
#define FZ_BENCH_IO_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/count.h"
#include "bench/traffic.h"

enum {
    IO_MEMORY_WORKERS_MAX = 16
};

enum io_memory_phase {
    IO_MEMORY_IDLE, /* sources give nothing, and wait */
    IO_MEMORY_WARM, /* traffic, not counted */
    IO_MEMORY_COUNT
};

struct io_memory_plan {
    bool ingress;     /* datagrams, else TUN frames */
    unsigned sources; /* workers 0 to sources - 1 */
    unsigned burst;   /* buffers per io_wait */
    /*
     * ingress: so many buffers are made at once, and the next ones when all have come back; until then every moment
     * counts. 0: as many as io_wait gives. Helpers would do a part of their work while datagrams are made.
     */
    unsigned chunk;
    uint64_t
        packets; /* each source goes idle when it has given so many while counting; 0: no limit */
    struct traffic *traffic[IO_MEMORY_WORKERS_MAX];
};

struct io_memory_totals {
    struct counts counts;
    uint64_t packets;  /* given while counting */
    uint64_t sends;    /* io_udp_send: a GSO send each */
    uint64_t frames;   /* io_tun_write: a write each */
    uint64_t bytes;    /* sent or written */
    uint64_t verified; /* egress: datagrams that were opened and compared, while warming up */
    uint64_t wrong;
};

/* Before engine_start. Keeps the pointer. */
void io_memory_use(const struct io_memory_plan *plan);
/* Any thread. */
void io_memory_phase(enum io_memory_phase phase);
/* All sources have given their packets (with a limit), or are idle. */
bool io_memory_done(void);
/* Of a worker; call it when it is idle, or stopped. */
struct io_memory_totals io_memory_totals(unsigned worker);

#endif
