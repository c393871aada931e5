/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: the Internet checksum, alone and while copying, over pieces of an area that fits the L2 cache. */
#include <stdlib.h>

#include "bench/micro.h"
#include "engine/checksum.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    PIECES = 1024,
    AREA = 128 * 1024,
    STEP = 1472 /* from piece to piece: different alignments to a cache line */
};

enum checksum_kind {
    CHECKSUM_PARTIAL,
    CHECKSUM_COPY
};

struct sums {
    unsigned len, n;
    uint8_t *from, *to;
    size_t at[PIECES]; /* where they begin */
    uint16_t expected[PIECES];
    uint64_t sum[PIECES];
};

/* RFC 1071, word by word. */
static uint16_t naive(const uint8_t *p, unsigned len)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < len; i += 2) {
        uint16_t word;
        memcpy(&word, p + i, sizeof word);
        sum += word;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void *open_sums(const struct micro_case *c, unsigned *items)
{
    struct sums *s = mem_zalloc(1, sizeof *s);
    s->len = c->len;
    s->n = (unsigned)size_min(PIECES, size_max(4, 4 * AREA / c->len));
    s->from = mem_check(aligned_alloc(64, AREA));
    s->to = mem_check(aligned_alloc(64, AREA));
    memset(s->to, 0, AREA);
    for (unsigned i = 0; i < AREA; i++)
        s->from[i] = (uint8_t)((i * 2654435761u) >> 24);
    for (unsigned i = 0; i < s->n; i++) {
        s->at[i] = (size_t)i * STEP % (AREA - s->len + 1);
        s->expected[i] = naive(s->from + s->at[i], s->len);
    }
    *items = s->n;
    return s;
}

static void prepare_sums(void *state)
{
    struct sums *s = state;
    memset(s->sum, 0, sizeof s->sum);
    memset(s->to + s->at[s->n - 1], 0, s->len);
}

static void work_partial(void *state)
{
    struct sums *s = state;
    for (unsigned i = 0; i < s->n; i++)
        s->sum[i] = checksum_partial(s->from + s->at[i], s->len, 0);
}

static void work_copy(void *state)
{
    struct sums *s = state;
    for (unsigned i = 0; i < s->n; i++)
        s->sum[i] = checksum_copy(s->to + s->at[i], s->from + s->at[i], s->len, 0);
}

static bool check_partial(void *state)
{
    struct sums *s = state;
    bool ok = true;
    for (unsigned i = 0; i < s->n; i++)
        ok &= checksum_fold(s->sum[i]) == s->expected[i];
    return ok;
}

static bool check_copy(void *state)
{
    struct sums *s = state;
    size_t last = s->at[s->n - 1];
    return check_partial(state) && memcmp(s->to + last, s->from + last, s->len) == 0;
}

static void close_sums(void *state)
{
    struct sums *s = state;
    free(s->from);
    free(s->to);
    free(s);
}

static const struct micro_ops partial_ops = {open_sums, prepare_sums, work_partial, check_partial,
                                             close_sums};
static const struct micro_ops copy_ops = {open_sums, prepare_sums, work_copy, check_copy,
                                          close_sums};

void micro_checksum_cases(struct micro_list *l)
{
    static const unsigned lengths[] = {64, 512, 1280, 1420, 65536};
    struct micro_case c = {.item = "call", .counted = true};

    for (int kind = CHECKSUM_PARTIAL; kind <= CHECKSUM_COPY; kind++) {
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            c.ops = kind == CHECKSUM_COPY ? &copy_ops : &partial_ops;
            c.len = lengths[i];
            micro_list_add(l, &c, false, "checksum/%s/%u",
                           kind == CHECKSUM_COPY ? "copy" : "partial", c.len);
        }
    }
}
