/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential tests of segmentation and coalescing, on random input that is repeatable:
 *
 *   - random streams of many flows (TCP with options, UDP, both families, ECN, DF clear, fragments and oddities mixed in)
 *     are grouped exactly as a naive reference groups them, and splitting the result gives the stream back;
 *   - random super-packets split as a naive reference splits them, and joining the segments gives the super-packet back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/coalesce.h"
#include "tests/support/stream.h"

static struct coalesce coalescer;
static struct stream stream;
static uint64_t random_state;

/* xorshift64*: repeatable on every system. */
static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static bool one_in(uint32_t n)
{
    return random_below(n) == 0;
}

/* ---- the reference: slow, field by field, from the bytes ---- */

enum reference_kind {
    REF_OTHER,   /* no flow of ours: alone, closes nothing */
    REF_BARRIER, /* closes all */
    REF_ALONE,   /* closes its flow */
    REF_ELIGIBLE
};

struct reference_item {
    const struct stream_packet *first, *last;
    unsigned count, bytes;
    bool open, flow;
};

static uint32_t be(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static size_t header_of(const struct stream_packet *k)
{
    size_t l4 = k->view.l4_off;
    return k->view.proto == 6 ? l4 + (k->original[l4 + 12] >> 4) * 4u : l4 + 8;
}

static enum reference_kind kind_of(const struct stream_packet *k, unsigned offloads)
{
    const uint8_t *p = k->original, *l4 = p + k->view.l4_off;
    bool tcp = k->view.proto == 6;
    if (stream_is_barrier(k))
        return REF_BARRIER;
    if ((!tcp && k->view.proto != 17) || !(offloads & (tcp ? COALESCE_TCP : COALESCE_UDP)))
        return REF_OTHER;
    if (k->len != k->view.total_len || k->len > 65535)
        return REF_ALONE;
    if (k->view.version == 4 ? p[0] != 0x45 || inner_sum(p, 20, 0) != 0xffff : k->view.l4_off != 40)
        return REF_ALONE;
    size_t l4_len = k->len - k->view.l4_off;
    if (tcp &&
        (l4_len < 20 || (l4[13] != 0x10 && l4[13] != 0x18) || (l4[12] & 15) != 0 || l4[12] < 0x50))
        return REF_ALONE;
    if (!tcp && (l4_len < 8 || be(l4 + 4, 2) != l4_len || be(l4 + 6, 2) == 0))
        return REF_ALONE;
    return header_of(k) < k->len ? REF_ELIGIBLE : REF_ALONE;
}

static bool reference_joins(const struct reference_item *it, const struct stream_packet *k)
{
    const struct stream_packet *f = it->first, *last = it->last;
    const uint8_t *a = f->original, *b = k->original, *l = last->original;
    size_t h = header_of(k), l4 = k->view.l4_off;
    if (h != header_of(f) || k->len > f->len || last->len < f->len)
        return false;
    if (it->count == COALESCE_IOV_MAX || it->bytes + k->len - h > 65535)
        return false;
    if (k->view.version == 4) {
        if (a[1] != b[1] || a[8] != b[8] || be(a + 6, 2) != be(b + 6, 2))
            return false;
        if (!(b[6] & 0x40) && be(b + 4, 2) != ((be(l + 4, 2) + 1) & 0xffff))
            return false;
    } else if (be(a, 4) != be(b, 4) || a[7] != b[7]) {
        return false;
    }
    if (k->view.proto == 17)
        return true;
    a += l4;
    b += l4;
    l += l4;
    if (l[13] & 8)
        return false;
    return be(b + 4, 4) == (uint32_t)(be(l + 4, 4) + (last->len - h)) &&
           be(a + 8, 4) == be(b + 8, 4) && be(a + 14, 2) == be(b + 14, 2) &&
           be(a + 18, 2) == be(b + 18, 2) && memcmp(a + 20, b + 20, h - l4 - 20) == 0;
}

/* Says for each packet which item it must end in; the last batch ends where 128 items are used. */
static void reference_group(const struct stream *s, unsigned offloads, unsigned *expected)
{
    static struct reference_item items[STREAM_MAX];
    unsigned n = 0, batch_begin = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct stream_packet *k = &s->packets[i];
        enum reference_kind kind = kind_of(k, offloads);
        struct reference_item *it = NULL;
        for (unsigned m = batch_begin; m < n; m++) {
            if (kind == REF_BARRIER)
                items[m].open = false;
            else if (items[m].flow && kind != REF_OTHER && stream_same_flow(items[m].first, k))
                it = &items[m];
        }
        if (it && it->open && kind == REF_ELIGIBLE && reference_joins(it, k)) {
            it->last = k;
            it->count++;
            it->bytes += k->len - (unsigned)header_of(k);
            expected[i] = (unsigned)(it - items);
            continue;
        }
        if (n - batch_begin == COALESCE_ITEMS_MAX)
            batch_begin = n;
        bool psh =
            kind == REF_ELIGIBLE && k->view.proto == 6 && (k->original[k->view.l4_off + 13] & 8);
        items[n] = (struct reference_item){.first = k, .last = k, .count = 1, .bytes = k->len};
        items[n].open = kind == REF_ELIGIBLE && !psh;
        items[n].flow = kind == REF_ELIGIBLE || kind == REF_ALONE;
        expected[i] = n++;
    }
}

/* ---- random streams ---- */

static struct inner random_flow(void)
{
    static const uint8_t tos[] = {0, 0, 1, 2, 3, 0xb8};
    struct inner f = {.version = one_in(2) ? 4 : 6, .proto = one_in(3) ? 17 : 6};
    f.src = (uint8_t)random_below(3);
    f.dst = (uint8_t)random_below(3);
    f.sport = (uint16_t)random_below(4);
    f.dport = (uint16_t)random_below(4);
    f.tos = tos[random_below(sizeof tos)];
    f.ttl = (uint8_t)(60 + random_below(2));
    f.flow = random_below(2) * 0x1234;
    f.seq = one_in(4) ? 0xffffff00 : random_below(1u << 31);
    f.ack = random_below(100);
    f.window = (uint16_t)random_below(2);
    f.flags = TCP_F_ACK;
    f.tcp_extra = one_in(2) ? 12 : 4 * random_below(11);
    f.tcp_option = random_below(2);
    f.payload = one_in(5) ? 1 + random_below(9) : one_in(6) ? 20000 : 100 + random_below(1300);
    if (f.version == 4)
        f.frag = one_in(2) ? 0x4000 : 0;
    return f;
}

/* Changes one thing of the packet at hand, often enough to meet each rule. */
static void make_odd(struct inner *p)
{
    static const uint8_t flags[] = {0x11, 0x18, 0x12, 0x14, 0x30, 0x50, 0x90, 0x08};
    switch (random_below(18)) {
    case 0:
        p->tos ^= (uint8_t)(1 << random_below(8));
        break;
    case 1:
        p->ttl++;
        break;
    case 2:
        p->flags = flags[random_below(sizeof flags)];
        break;
    case 3:
    case 4:
        p->payload = random_below(p->payload + 3);
        break;
    case 5:
        p->payload = 0;
        break;
    case 6:
        p->seq += random_below(3) - 1;
        break;
    case 7:
        p->ack++;
        break;
    case 8:
        p->window++;
        break;
    case 9:
        p->tcp_option++;
        break;
    case 10:
        p->tcp_extra = 4 * random_below(11);
        break;
    case 11:
        p->ip_extra = p->version == 4 ? 4 * random_below(11) : 8 * random_below(3);
        break;
    case 12:
        p->frag = p->version == 4 ? (uint16_t)(random_below(8) << 13 | random_below(2))
                                  : (uint16_t)(one_in(2) ? 0xffff : random_below(20));
        break;
    case 13:
        p->bad_ip_checksum = true;
        break;
    case 14:
        p->bad_l4_checksum = true;
        break;
    case 15:
        p->no_udp_checksum = true;
        break;
    case 16:
        p->id++;
        break;
    default:
        p->flow++;
        break;
    }
}

/* Adds the next packet of flow `f`, perhaps odd, and moves the flow on. */
static void add_packet(struct inner *f, unsigned oddness)
{
    static uint8_t buf[70000];
    struct inner p = *f;
    p.fill = random_below(1u << 30);
    if (one_in(oddness))
        make_odd(&p);
    if (p.proto == 6 && one_in(30))
        p.flags |= TCP_F_PSH;
    uint32_t len = (uint32_t)inner_build(buf, &p);
    if (one_in(oddness * 20)) { /* truncated inside the transport header */
        uint32_t l4 = (p.version == 4 ? 20 + p.ip_extra : 40), cut = random_below(20);
        if (len > l4 + cut) {
            len = l4 + cut;
            inner_be16(buf + (p.version == 4 ? 2 : 4), p.version == 4 ? len : len - 40);
        }
    }
    if (one_in(oddness * 20)) /* any byte of the headers */
        buf[random_below((uint32_t)size_min(len, 80))] ^= (uint8_t)(1 << random_below(8));
    if (one_in(oddness * 20)) { /* padding that was not cut */
        memset(buf + len, 0, 16);
        len += 1 + random_below(15);
    }
    stream_add(&stream, buf, len); /* false for a few of those flipped bytes */
    f->seq += p.payload;
    f->id = (uint16_t)(p.id + (f->frag ? random_below(3) : 1));
}

static void check_stream(unsigned offloads)
{
    static unsigned expected[STREAM_MAX];
    coalesce_init(&coalescer, offloads);
    stream_run(&stream, &coalescer, STREAM_MAX);
    reference_group(&stream, offloads, expected);
    for (unsigned i = 0; i < stream.n; i++)
        if (stream.packets[i].item != expected[i])
            fail_msg("packet %u went to item %u, not %u", i, stream.packets[i].item, expected[i]);
}

static void test_random_streams(void **state)
{
    (void)state;
    unsigned packets = 0, items = 0;
    random_state = 1;
    for (unsigned round = 0; round < 3000; round++) {
        struct inner flows[60];
        unsigned n_flows = 1 + random_below(one_in(5) ? ARRAY_LEN(flows) : 5);
        unsigned n = 1 + random_below(one_in(10) ? 400 : 80), at = 0;
        unsigned oddness = one_in(2) ? 4 : 40;
        for (unsigned i = 0; i < n_flows; i++)
            flows[i] = random_flow();
        for (unsigned i = 0; i < n; i++) {
            if (one_in(4))
                at = random_below(n_flows);
            add_packet(&flows[at], oddness);
        }
        check_stream(one_in(8) ? random_below(4) : COALESCE_TCP | COALESCE_UDP);
        packets += stream.n;
        items += stream.items;
        stream_clear(&stream);
    }
    print_message("%u packets in %u items\n", packets, items);
    assert_true(items < packets * 3 / 4); /* the streams do exercise merging, */
    assert_true(items > packets / 8);     /* and not merging */
}

/* ---- random super-packets ---- */

/* Takes segment `i` of `super` (whose headers are `header` bytes) apart and together again, by hand. */
static size_t reference_segment(uint8_t *out, const uint8_t *super, size_t header,
                                const struct inner *s, unsigned i, unsigned size)
{
    unsigned n = (s->payload + size - 1) / size;
    unsigned payload = i + 1 < n ? size : s->payload - i * size;
    size_t len = header + payload, l4 = header - (s->proto == 6 ? 20 + s->tcp_extra : 8);
    memcpy(out, super, header);
    memcpy(out + header, super + header + (size_t)i * size, payload);
    if (s->version == 4) {
        inner_be16(out + 2, (uint32_t)len);
        inner_be16(out + 4, s->id + i);
        inner_be16(out + 10, 0);
        inner_be16(out + 10, (uint16_t)~inner_sum(out, l4, 0));
    } else {
        inner_be16(out + 4, (uint32_t)len - 40);
    }
    size_t field = l4 + (s->proto == 6 ? 16 : 6);
    if (s->proto == 6) {
        inner_be32(out + l4 + 4, s->seq + i * size);
        if (i + 1 < n)
            out[l4 + 13] &= (uint8_t)~9;
        if (i > 0)
            out[l4 + 13] &= 0x7f;
    } else {
        inner_be16(out + l4 + 4, payload + 8);
    }
    inner_be16(out + field, 0);
    uint16_t sum = (uint16_t)~inner_l4_sum(out, len, l4, s->proto);
    inner_be16(out + field, s->proto == 17 && sum == 0 ? 0xffff : sum);
    return len;
}

/* A super-packet as the kernel hands it out: vnet header in front, checksum field started. */
static size_t random_super(uint8_t *frame, struct inner *s, struct vnet_hdr *h)
{
    uint8_t *p = frame + VNET_HDR_LEN;
    *s = random_flow();
    s->flags = one_in(3) ? TCP_F_ACK | TCP_F_PSH : TCP_F_ACK;
    if (one_in(8))
        s->flags = (uint8_t)(TCP_F_ACK | (random_below(256) & ~6u));
    if (one_in(8))
        s->ip_extra = s->version == 4 ? 4 * random_below(11) : 8 * random_below(5);
    s->id = (uint16_t)(one_in(3) ? 0xfff0 : random_below(65536));
    s->fill = random_below(1u << 30);
    unsigned size = 1 + random_below(one_in(3) ? 100 : 1400);
    s->payload = 1 + random_below((uint32_t)size_min(65000, (size_t)size * (one_in(4) ? 256 : 50)));
    size_t len = inner_build(p, s), l4 = len - s->payload - (s->proto == 6 ? 20 + s->tcp_extra : 8);
    *h = (struct vnet_hdr){.flags = VNET_F_NEEDS_CSUM,
                           .gso_size = (uint16_t)size,
                           .hdr_len = (uint16_t)(len - s->payload),
                           .csum_start = (uint16_t)l4,
                           .csum_offset = s->proto == 6 ? 16 : 6};
    h->gso_type = s->proto == 17    ? VNET_GSO_UDP_L4
                  : s->version == 4 ? VNET_GSO_TCPV4
                                    : VNET_GSO_TCPV6;
    uint8_t pseudo[40] = {0};
    size_t n = s->version == 4 ? 8 : 32;
    memcpy(pseudo, p + (s->version == 4 ? 12 : 8), n);
    inner_be32(pseudo + n, (uint32_t)(len - l4));
    inner_be32(pseudo + n + 4, s->proto);
    inner_be16(p + l4 + h->csum_offset, inner_sum(pseudo, n + 8, 0));
    memcpy(frame, h, sizeof *h);
    return len;
}

/* Would the coalescer take all segments of this into one item? */
static bool is_joinable(const struct inner *s, const struct segment_plan *plan)
{
    return s->ip_extra == 0 && plan->n > 1 && plan->n <= COALESCE_IOV_MAX &&
           (s->proto == 17 || (s->flags & ~TCP_F_PSH) == TCP_F_ACK);
}

/* The only item holds exactly the frame that was split. */
static void expect_frame(const uint8_t *frame, size_t len)
{
    static uint8_t got[70000];
    size_t at = 0;
    coalesce_finish(&coalescer);
    assert_int_equal(coalescer.n, 1);
    assert_int_equal(coalescer.items[0].total, len);
    for (unsigned i = 0; i < coalescer.items[0].n_iov; i++) {
        memcpy(got + at, coalescer.items[0].iov[i].base, coalescer.items[0].iov[i].len);
        at += coalescer.items[0].iov[i].len;
    }
    assert_int_equal(at, len);
    assert_memory_equal(got, frame, len);
    coalesce_reset(&coalescer);
}

static void test_random_super_packets(void **state)
{
    (void)state;
    static uint8_t frame[70000], segments[SEGMENT_COUNT_MAX][1600], expected[1600];
    unsigned joined = 0;
    random_state = 2;
    for (unsigned round = 0; round < 4000; round++) {
        struct inner s;
        struct vnet_hdr h;
        struct segment_plan plan;
        size_t len = random_super(frame, &s, &h), header = len - s.payload;
        const uint8_t *super = frame + VNET_HDR_LEN;
        assert_int_equal(segment_plan(&plan, &h, super, len, 65535), SEGMENT_OK);
        assert_int_equal(plan.n, (s.payload + h.gso_size - 1u) / h.gso_size);
        coalesce_init(&coalescer, COALESCE_TCP | COALESCE_UDP | COALESCE_VERIFY);
        for (unsigned i = 0; i < plan.n; i++) {
            uint8_t *out = segments[i] + VNET_HDR_LEN;
            size_t n = reference_segment(expected, super, header, &s, i, h.gso_size);
            assert_int_equal(segment_len(&plan, i), n);
            segment_write(&plan, i, out);
            assert_memory_equal(out, expected, n);
            struct ip_view v;
            assert_true(ip_parse(&v, out, n) && v.total_len == n);
            if (is_joinable(&s, &plan))
                assert_true(coalesce_add(&coalescer, out, (uint32_t)n, &v));
        }
        if (is_joinable(&s, &plan)) {
            expect_frame(frame, VNET_HDR_LEN + len);
            joined++;
        }
    }
    assert_true(joined > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_streams),
        cmocka_unit_test(test_random_super_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
