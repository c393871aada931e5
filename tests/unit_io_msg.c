/* SPDX-License-Identifier: Apache-2.0 */
/* UDP messages: what is built is what the kernel expects, what is parsed is what it wrote, and the error policy. */
#include <errno.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platform/linux/udp_msg.h"

#define SEGMENT_OPTION 103
#define GRO_OPTION     104

/* Finds an item with libc's own walk. */
static const void *find(struct msghdr *h, int level, int type, size_t len)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == level && c->cmsg_type == type) {
            assert_int_equal(c->cmsg_len, CMSG_LEN(len));
            return CMSG_DATA(c);
        }
    }
    return NULL;
}

static void test_build_plain(void **state)
{
    (void)state;
    uint8_t bytes[100] = {0};
    struct msghdr h;
    struct udp_out out;
    struct io_send s = {.data = bytes, .len = 100, .segment_size = 100};
    assert_int_equal(sock_addr_parse(&s.to, "192.0.2.7:4242"), ERR_OK);

    udp_msg_build(&h, &out, &s, 10, 20, 0);

    assert_ptr_equal(h.msg_iov->iov_base, bytes + 10);
    assert_int_equal(h.msg_iov->iov_len, 20);
    assert_int_equal(h.msg_iovlen, 1);
    assert_null(h.msg_control);
    assert_int_equal(h.msg_controllen, 0);
    assert_int_equal(h.msg_namelen, sizeof(struct sockaddr_in));
    assert_int_equal(out.to.in.sin_port, htons(4242));
    assert_int_equal(out.to.in.sin_addr.s_addr, htonl(0xc0000207));
}

static void test_build_v4_all(void **state)
{
    (void)state;
    uint8_t bytes[100] = {0};
    struct msghdr h;
    struct udp_out out;
    struct io_send s = {.data = bytes, .len = 100, .segment_size = 40, .ecn = 2};
    assert_int_equal(sock_addr_parse(&s.to, "192.0.2.7:1"), ERR_OK);
    assert_int_equal(ip_addr_parse(&s.from.ip, "198.51.100.9"), ERR_OK);
    s.from.ifindex = 77;

    udp_msg_build(&h, &out, &s, 0, 100, 40);

    const struct in_pktinfo *info = find(&h, IPPROTO_IP, IP_PKTINFO, sizeof *info);
    const int *tos = find(&h, IPPROTO_IP, IP_TOS, sizeof *tos);
    const uint16_t *segment = find(&h, IPPROTO_UDP, SEGMENT_OPTION, sizeof *segment);
    assert_non_null(info);
    assert_int_equal(info->ipi_spec_dst.s_addr, htonl(0xc6336409));
    assert_int_equal(info->ipi_ifindex, 77);
    assert_int_equal(info->ipi_addr.s_addr, 0);
    assert_non_null(tos);
    assert_int_equal(*tos, 2);
    assert_non_null(segment);
    assert_int_equal(*segment, 40);
}

static void test_build_v6_all(void **state)
{
    (void)state;
    uint8_t bytes[100] = {0};
    struct msghdr h;
    struct udp_out out;
    struct in6_addr source;
    struct io_send s = {.data = bytes, .len = 100, .segment_size = 40, .ecn = 3};
    assert_int_equal(sock_addr_parse(&s.to, "[fe80::1%3]:5"), ERR_OK);
    assert_int_equal(ip_addr_parse(&s.from.ip, "2001:db8::9"), ERR_OK);

    udp_msg_build(&h, &out, &s, 0, 100, 40);

    const struct in6_pktinfo *info = find(&h, IPPROTO_IPV6, IPV6_PKTINFO, sizeof *info);
    const int *class = find(&h, IPPROTO_IPV6, IPV6_TCLASS, sizeof *class);
    memcpy(&source, s.from.ip.bytes, 16);
    assert_non_null(info);
    assert_memory_equal(&info->ipi6_addr, &source, 16);
    assert_int_equal(info->ipi6_ifindex, 0);
    assert_non_null(class);
    assert_int_equal(*class, 3);
    assert_non_null(find(&h, IPPROTO_UDP, SEGMENT_OPTION, 2));
    assert_true(h.msg_controllen <= UDP_OUT_CONTROL);
    assert_int_equal(h.msg_namelen, sizeof(struct sockaddr_in6));
    assert_int_equal(out.to.in6.sin6_scope_id, 3);
}

/* An interface alone steers too (no source address known). */
static void test_build_ifindex_only(void **state)
{
    (void)state;
    uint8_t byte = 0;
    struct msghdr h;
    struct udp_out out;
    struct io_send s = {.data = &byte, .len = 1, .segment_size = 1, .from.ifindex = 5};
    assert_int_equal(sock_addr_parse(&s.to, "192.0.2.7:1"), ERR_OK);

    udp_msg_build(&h, &out, &s, 0, 1, 0);

    const struct in_pktinfo *info = find(&h, IPPROTO_IP, IP_PKTINFO, sizeof *info);
    assert_non_null(info);
    assert_int_equal(info->ipi_ifindex, 5);
    assert_int_equal(info->ipi_spec_dst.s_addr, 0);
}

static size_t put(uint8_t *control, size_t at, int level, int type, const void *value, size_t len)
{
    struct cmsghdr c = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    memcpy(control + at, &c, sizeof c);
    memcpy(control + at + CMSG_LEN(0), value, len);
    return at + CMSG_SPACE(len);
}

struct parsed {
    bool ok;
    struct io_rx rx;
};

static struct parsed parse(const union addr_os *name, const uint8_t *control, size_t len, int flags)
{
    struct parsed p = {.rx.len = 3000, .rx.ecn = 9};
    struct udp_in in = {name, control, len, flags};
    p.ok = udp_msg_parse(&p.rx, &in);
    return p;
}

static const union addr_os v4_name = {.in = {.sin_family = AF_INET, .sin_port = 0x3412}};
static const union addr_os v6_name = {
    .in6 = {.sin6_family = AF_INET6, .sin6_port = 0x3412, .sin6_scope_id = 9}};

static void test_parse_v4(void **state)
{
    (void)state;
    _Alignas(8) uint8_t control[128] = {0};
    struct in_pktinfo info = {.ipi_ifindex = 4, .ipi_addr.s_addr = htonl(0x0a000001)};
    int gro = 1400;
    uint8_t tos = 0xb8 | 1;
    size_t n = put(control, 0, IPPROTO_UDP, GRO_OPTION, &gro, sizeof gro);
    n = put(control, n, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    n = put(control, n, IPPROTO_IP, IP_TOS, &tos, sizeof tos);

    struct parsed p = parse(&v4_name, control, n, 0);

    assert_true(p.ok);
    assert_int_equal(p.rx.segment_size, 1400);
    assert_int_equal(p.rx.ecn, 1);
    assert_int_equal(p.rx.to.ifindex, 4);
    assert_int_equal(p.rx.to.ip.family, ADDR_V4);
    assert_int_equal(p.rx.to.ip.bytes[0], 10);
    assert_int_equal(p.rx.from.port, 0x1234);
}

static void test_parse_v6(void **state)
{
    (void)state;
    _Alignas(8) uint8_t control[128] = {0};
    struct in6_pktinfo info = {.ipi6_ifindex = 4};
    int gro = 1400, class = 2;
    info.ipi6_addr.s6_addr[0] = 0x20;
    size_t n = put(control, 0, IPPROTO_UDP, GRO_OPTION, &gro, sizeof gro);
    n = put(control, n, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    n = put(control, n, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);

    struct parsed p = parse(&v6_name, control, n, 0);

    assert_true(p.ok);
    assert_int_equal(p.rx.segment_size, 1400);
    assert_int_equal(p.rx.ecn, 2);
    assert_int_equal(p.rx.to.ip.family, ADDR_V6);
    assert_int_equal(p.rx.to.ip.bytes[0], 0x20);
    assert_int_equal(p.rx.from.scope, 9);
}

static void test_parse_nothing(void **state)
{
    (void)state;
    struct parsed p = parse(&v4_name, NULL, 0, 0);
    assert_true(p.ok);
    assert_int_equal(p.rx.segment_size, 3000);
    assert_int_equal(p.rx.ecn, 0);
    assert_int_equal(p.rx.to.ip.family, ADDR_NONE);
    assert_int_equal(p.rx.to.ifindex, 0);
}

static void test_parse_refuses(void **state)
{
    (void)state;
    union addr_os none = {.sa.sa_family = AF_UNSPEC};
    assert_false(parse(&v4_name, NULL, 0, MSG_TRUNC).ok);
    assert_false(parse(&v4_name, NULL, 0, MSG_CTRUNC).ok);
    assert_false(parse(&none, NULL, 0, 0).ok);
}

/* Nonsense that a kernel does not write must not be believed, nor read past its end. */
static void test_parse_nonsense(void **state)
{
    (void)state;
    _Alignas(8) uint8_t control[128] = {0};
    int values[] = {0, -1, 3001, 70000};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        size_t n = put(control, 0, IPPROTO_UDP, GRO_OPTION, &values[i], sizeof values[i]);
        assert_int_equal(parse(&v4_name, control, n, 0).rx.segment_size, 3000);
    }
    for (size_t len = 0; len < 64; len++) {
        struct cmsghdr c = {.cmsg_len = len, .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        memcpy(control, &c, sizeof c);
        for (size_t n = 0; n <= 40; n++) {
            struct parsed p = parse(&v4_name, control, n, 0);
            assert_true(p.ok);
            assert_int_equal(p.rx.to.ip.family, len >= 28 && len <= n ? ADDR_V4 : ADDR_NONE);
        }
    }
}

static void test_judge(void **state)
{
    (void)state;
    static const struct {
        int error;
        bool segmented, retried;
        enum udp_action action;
        enum io_result result;
    } cases[] = {
        {EAGAIN, false, false, UDP_WAIT, 0},
        {EAGAIN, true, true, UDP_WAIT, 0},
        {EINVAL, true, false, UDP_SPLIT, 0},
        {EADDRNOTAVAIL, true, false, UDP_SPLIT, 0},
        {ENETUNREACH, true, false, UDP_SPLIT, 0},
        {EIO, true, false, UDP_SPLIT, 0},
        {EMSGSIZE, true, false, UDP_SPLIT, 0},
        {EINVAL, false, false, UDP_GIVE_UP, IO_PATH_LOST},
        {EADDRNOTAVAIL, false, false, UDP_GIVE_UP, IO_PATH_LOST},
        {ENETUNREACH, false, false, UDP_GIVE_UP, IO_PATH_LOST},
        {EHOSTUNREACH, true, false, UDP_GIVE_UP, IO_PATH_LOST},
        {ENETDOWN, true, false, UDP_GIVE_UP, IO_PATH_LOST},
        {ENODEV, false, false, UDP_GIVE_UP, IO_PATH_LOST},
        {EIO, false, false, UDP_GIVE_UP, IO_PATH_LOST},
        {EMSGSIZE, false, false, UDP_GIVE_UP, IO_TOO_BIG},
        {ENOBUFS, true, false, UDP_GIVE_UP, IO_NO_BUFFER},
        {ENOMEM, false, false, UDP_GIVE_UP, IO_NO_BUFFER},
        {EPERM, true, false, UDP_GIVE_UP, IO_DENIED},
        {EACCES, false, false, UDP_GIVE_UP, IO_DENIED},
        {EBADF, false, false, UDP_GIVE_UP, IO_CLOSED},
        {ECONNREFUSED, true, false, UDP_AGAIN, 0},
        {ECONNREFUSED, true, true, UDP_GIVE_UP, IO_FAILED},
        {EINTR, false, false, UDP_AGAIN, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct udp_verdict v = udp_send_judge(cases[i].error, cases[i].segmented, cases[i].retried);
        if (v.action != cases[i].action || (v.action == UDP_GIVE_UP && v.result != cases[i].result))
            fail_msg("case %u: action %u result %u", i, v.action, v.result);
    }
}

static void test_judge_gso(void **state)
{
    (void)state;
    assert_int_equal(udp_gso_judge(EIO, true), UDP_GSO_OFF);
    assert_int_equal(udp_gso_judge(EINVAL, false), UDP_GSO_OFF);
    assert_int_equal(udp_gso_judge(EINVAL, true), UDP_GSO_AVOID);
    assert_int_equal(udp_gso_judge(ENETUNREACH, true), UDP_GSO_AVOID);
    assert_int_equal(udp_gso_judge(EMSGSIZE, false), UDP_GSO_AVOID);
}

static void test_worse(void **state)
{
    (void)state;
    for (enum io_result r = IO_SENT; r <= IO_FAILED; r++) {
        assert_int_equal(udp_result_worse(IO_SENT, r), r);
        assert_int_equal(udp_result_worse(r, IO_SENT), r);
    }
    assert_int_equal(udp_result_worse(IO_NO_BUFFER, IO_PATH_LOST), IO_PATH_LOST);
    assert_int_equal(udp_result_worse(IO_TOO_BIG, IO_NO_BUFFER), IO_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build_plain),    cmocka_unit_test(test_build_v4_all),
        cmocka_unit_test(test_build_v6_all),   cmocka_unit_test(test_build_ifindex_only),
        cmocka_unit_test(test_parse_v4),       cmocka_unit_test(test_parse_v6),
        cmocka_unit_test(test_parse_nothing),  cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_parse_nonsense), cmocka_unit_test(test_judge),
        cmocka_unit_test(test_judge_gso),      cmocka_unit_test(test_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
