/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer's grants as its worker reads them: an immutable snapshot of engine/grants.h's structure, and the decision about one
 * packet. Private to engine/. Building: control (heap). Deciding: any thread, no allocation.
 */
#ifndef FZ_GRANTS_PRIVATE_H
#define FZ_GRANTS_PRIVATE_H

#include "engine/grants.h"
#include "engine/nat.h"
#include "engine/route.h"

struct grant {
    const struct filter *filter;
    uint32_t place; /* in the list that it was built of */
    uint16_t index;
    uint8_t kind;
};

struct grants {
    bool has_v4, has_v6, internet;
    uint8_t v4[4], v6[16];      /* the peer's own */
    struct route_table *routes; /* CIDR; values: places in `list`; NULL: there are none */
    size_t n;
    struct grant list[]; /* by index; behind it their filters */
};

/* NULL: out of memory. */
struct grants *grants_new(const struct engine_grants *from) MUST_USE;
/* Accepts NULL; suits snapshot_publish. */
void grants_free(void *grants);

enum grants_answer {
    GRANTS_PERMIT,
    GRANTS_PROHIBIT,
    GRANTS_REJECT /* of the Internet, but none that it leads to */
};

/*
 * Whether packets of this kind go to, or come from, an address beyond the tunnel's hosts; port: of that end. name: what a proxy
 * address stands for; NULL: it is none, or stands for nothing. One grant that permits it will do.
 * DEVIATE: upstream does not ask about networks where the Internet is granted; here they are asked first.
 */
enum grants_answer grants_decide(const struct grants *g, const struct nat_name *name,
                                 unsigned version, const uint8_t *addr, uint8_t kind,
                                 uint16_t port);

/* The DNS grant of this index; NULL: it is over. g may be NULL. */
const struct grant *grants_dns(const struct grants *g, uint16_t index);

static inline bool grants_are_of(const struct grants *g, unsigned version, const uint8_t *addr)
{
    return version == 4 ? g->has_v4 && memcmp(addr, g->v4, 4) == 0
                        : g->has_v6 && memcmp(addr, g->v6, 16) == 0;
}

#endif
