/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the IP parser: views stay inside the packet and agree with it; the CE mark keeps checksums right. */
#include <stdlib.h>

#include "engine/wire/ip.h"
#include "tests/support/inner_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(const struct ip_view *v, const uint8_t *p, size_t len)
{
    ASSERT(v->version == p[0] >> 4 && (v->version == 4 || v->version == 6));
    ASSERT(v->total_len <= len && v->total_len >= (v->version == 4 ? 20 : 40));
    ASSERT(v->ecn == ip_get_ecn(p));
    ASSERT(v->l4_off < v->total_len);
    ASSERT(v->l4_off == 0 || v->l4_off >= (v->version == 4 ? (p[0] & 15) * 4 : 40));
    bool ports = !v->fragment && v->l4_off != 0 && v->total_len - v->l4_off >= 4 &&
                 (v->proto == 6 || v->proto == 17);
    ASSERT(v->src_port == (ports ? load_be16(p + v->l4_off) : 0));
    ASSERT(v->dst_port == (ports ? load_be16(p + v->l4_off + 2) : 0));
    if (ip_l4_valid(v, p)) {
        ASSERT(!v->fragment && v->l4_off != 0);
        ASSERT(v->proto != 17 || load_be16(p + v->l4_off + 4) == v->total_len - v->l4_off);
        ASSERT(v->proto != 6 || v->total_len - v->l4_off >= 20);
    }
}

static void check_ce(const struct ip_view *v, const uint8_t *p)
{
    uint8_t *marked = malloc(v->total_len);
    ASSERT(marked != NULL);
    memcpy(marked, p, v->total_len);
    ip_set_ce(marked);
    ASSERT(ip_get_ecn(marked) == (v->ecn == ECN_NOT_ECT ? ECN_NOT_ECT : ECN_CE));
    if (v->version == 4) {
        size_t header_len = (p[0] & 15u) * 4;
        bool was_right = inner_sum(p, header_len, 0) == 0xffff;
        ASSERT((inner_sum(marked, header_len, 0) == 0xffff) == was_right);
        marked[10] = p[10];
        marked[11] = p[11];
    }
    marked[1] = p[1];
    ASSERT(memcmp(marked, p, v->total_len) == 0);
    free(marked);
}

/* Field by field: a view has padding. */
static bool same_view(const struct ip_view *a, const struct ip_view *b)
{
    return a->version == b->version && a->proto == b->proto && a->ecn == b->ecn &&
           a->fragment == b->fragment && a->l4_off == b->l4_off && a->total_len == b->total_len &&
           a->src_port == b->src_port && a->dst_port == b->dst_port;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_view v, again;
    if (!ip_parse(&v, data, size))
        return 0;
    check_view(&v, data, size);
    /* Only the packet itself counts, not what lies behind it. */
    uint8_t *cut = malloc(v.total_len);
    ASSERT(cut != NULL);
    memcpy(cut, data, v.total_len);
    ASSERT(ip_parse(&again, cut, v.total_len));
    ASSERT(same_view(&v, &again));
    ASSERT(!ip_parse(&again, cut, v.total_len - 1));
    check_view(&v, cut, v.total_len);
    check_ce(&v, cut);
    free(cut);
    return 0;
}
