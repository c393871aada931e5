/* SPDX-License-Identifier: Apache-2.0 */
/* One measurement of the engine's packet path in memory, and of the AEAD alone under the same conditions. */
#ifndef FZ_BENCH_PIPELINE_RUN_H
#define FZ_BENCH_PIPELINE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/count.h"
#include "engine/crypt.h"

enum {
    PIPELINE_BURST = 4 /* buffers of 64 KiB that a worker gets at once */
};

struct pipeline_case {
    bool ingress;
    bool channel; /* through a relay: with channel data */
    unsigned inner_len;
    unsigned workers;
    unsigned peers; /* peer i belongs to worker i; at most `workers` */
    enum crypt_backend crypto;
    bool apart;       /* traffic is made apart from counting, see io_memory.h: chunk */
    unsigned ms;      /* how long to count */
    uint64_t packets; /* or, if not 0, how many packets of each peer */
};

struct pipeline_outcome {
    struct counts counts; /* of all workers */
    uint64_t packets;     /* of all peers */
    uint64_t wall_ns;
    double
        rate; /* packets per ns, summed over the workers with peers; making traffic takes no time */
    uint64_t sends, frames, bytes;
    double clock_rate; /* cycles per ns, measured beside it */
    const char *crypto;
};

/* False: `why` says what went wrong; a packet that was lost or damaged is an error, too. */
bool pipeline_run(const struct pipeline_case *c, struct pipeline_outcome *out, char *why,
                  size_t why_size);

/* The AEAD in the same batches over the same amount of memory, on `workers` threads. */
bool pipeline_ceiling(const struct pipeline_case *c, struct pipeline_outcome *out, char *why,
                      size_t why_size);

#endif
