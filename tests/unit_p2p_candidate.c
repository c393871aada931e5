/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates: their priorities, which addresses can be one's, and their lines. */
#include "control/p2p/candidate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static struct candidate make(enum candidate_kind kind, const char *at, const char *local)
{
    struct sock_addr a = addr(at), l = addr(local);
    return candidate_make(kind, &a, &l);
}

static enum err parse(struct candidate_line *out, const char *line)
{
    return candidate_parse(out, line, strlen(line));
}

static const char LOCAL4[] = "192.0.2.10:52625", LOCAL6[] = "[2001:db8::a]:52625";
static const char PUBLIC4[] = "198.51.100.9:40000", PUBLIC6[] = "[2001:db8::b]:52625";

static void test_what_make_sets(void **state)
{
    struct sock_addr local = addr(LOCAL4), public = addr(PUBLIC4);
    struct candidate c;
    (void)state;

    c = make(CANDIDATE_HOST, LOCAL4, LOCAL4);
    assert_true(sock_addr_equal(&c.addr, &local) && sock_addr_equal(&c.base, &local));
    assert_int_equal(c.raddr.ip.family, ADDR_NONE);
    assert_int_equal(c.local.ip.family, ADDR_NONE);
    c = make(CANDIDATE_SRFLX, PUBLIC4, LOCAL4);
    assert_true(sock_addr_equal(&c.addr, &public) && sock_addr_equal(&c.base, &local));
    assert_int_equal(c.raddr.ip.family, ADDR_V4);
    assert_int_equal(c.raddr.port, 0);
    c = make(CANDIDATE_PRFLX, PUBLIC4, LOCAL4);
    assert_true(sock_addr_equal(&c.addr, &public) && sock_addr_equal(&c.base, &local));
    assert_int_equal(c.raddr.ip.family, ADDR_NONE);
    c = make(CANDIDATE_RELAY, PUBLIC6, LOCAL4);
    assert_true(sock_addr_equal(&c.base, &c.addr) && sock_addr_equal(&c.local, &local));
    assert_int_equal(c.raddr.ip.family, ADDR_V6);
}

static void test_priorities(void **state)
{
    static const struct {
        enum candidate_kind kind;
        const char *at, *local;
        unsigned same;
        uint32_t priority;
    } cases[] = {
        {CANDIDATE_HOST, LOCAL6, LOCAL6, 0, 2130706431},
        {CANDIDATE_HOST, LOCAL4, LOCAL4, 0, 2130706175},
        {CANDIDATE_SRFLX, PUBLIC6, LOCAL6, 0, 1686110207},
        {CANDIDATE_SRFLX, PUBLIC4, LOCAL4, 0, 1686109951},
        {CANDIDATE_RELAY, PUBLIC6, LOCAL6, 0, 37748735},
        {CANDIDATE_RELAY, PUBLIC4, LOCAL4, 0, 37748479},
        {CANDIDATE_HOST, LOCAL4, LOCAL4, 1, 126u << 24 | 65532 << 8 | 255},
        {CANDIDATE_SRFLX, PUBLIC6, LOCAL6, 3, 100u << 24 | 32761 << 8 | 255},
        {CANDIDATE_PRFLX, PUBLIC6, LOCAL6, 0, 110u << 24 | 49151 << 8 | 255},
        {CANDIDATE_PRFLX, PUBLIC4, LOCAL4, 2, 110u << 24 | 49146 << 8 | 255},
        {CANDIDATE_RELAY, PUBLIC6, LOCAL4, 0, 2u << 24 | 15383 << 8 | 255},
        {CANDIDATE_RELAY, PUBLIC4, LOCAL6, 1, 2u << 24 | 15380 << 8 | 255},
        {CANDIDATE_RELAY, PUBLIC4, LOCAL6, 1000, 2u << 24 | 13382 << 8 | 255},
        {CANDIDATE_RELAY, PUBLIC4, LOCAL6, UINT32_MAX, 2u << 24 | 13382 << 8 | 255},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct candidate c = make(cases[i].kind, cases[i].at, cases[i].local);
        assert_int_equal(candidate_priority(&c, cases[i].same), cases[i].priority);
    }
    assert_int_equal(candidate_prflx_priority(2130706175), 110u << 24 | 65534 << 8 | 255);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"192.0.2.1:1", true},        {"192.0.2.1:0", false},   {"0.0.0.0:1", false},
        {"255.255.255.255:1", false}, {"224.0.0.1:1", false},   {"239.255.255.255:1", false},
        {"240.0.0.1:1", true},        {"169.254.1.1:1", false}, {"169.253.1.1:1", true},
        {"127.0.0.1:1", true},        {"[::]:1", false},        {"[::1]:1", true},
        {"[ff02::1]:1", false},       {"[fe80::1]:1", true},    {"[2001:db8::1]:1", true},
        {"[2001:db8::1]:0", false},
    };
    struct sock_addr none = {.port = 1};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sock_addr a = addr(cases[i].text);
        assert_int_equal(candidate_addr_ok(&a), cases[i].ok);
    }
    assert_false(candidate_addr_ok(&none));
}

static void test_lines_as_written(void **state)
{
    static const struct {
        enum candidate_kind kind;
        const char *at, *local, *ufrag, *expected; /* without the foundation */
    } cases[] = {
        {CANDIDATE_HOST, LOCAL4, LOCAL4, "cluf",
         " 1 udp 2130706175 192.0.2.10 52625 typ host ufrag cluf"},
        {CANDIDATE_SRFLX, PUBLIC4, LOCAL4, "cluf",
         " 1 udp 1686109951 198.51.100.9 40000 typ srflx raddr 0.0.0.0 rport 0 ufrag cluf"},
        {CANDIDATE_RELAY, PUBLIC6, LOCAL6, NULL,
         " 1 udp 37748735 2001:db8::b 52625 typ relay raddr :: rport 0"},
        {CANDIDATE_PRFLX, PUBLIC4, LOCAL4, NULL, " 1 udp 1858076415 198.51.100.9 40000 typ prflx"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct candidate c = make(cases[i].kind, cases[i].at, cases[i].local);
        char line[CANDIDATE_LINE_MAX];
        struct candidate_line back;
        size_t len;

        c.priority = candidate_priority(&c, 0);
        len = candidate_format(&c, cases[i].ufrag, line);
        assert_int_equal(len, strlen(line));
        assert_memory_equal(line, "candidate:", 10);
        assert_string_equal(line + 10 + strspn(line + 10, "0123456789"), cases[i].expected);

        assert_int_equal(parse(&back, line), ERR_OK);
        c.base = c.addr; /* what the other end knows of it */
        assert_true(candidate_equal(&back.candidate, &c));
        assert_int_equal(back.candidate.priority, c.priority);
        assert_int_equal(back.ufrag != NULL, cases[i].ufrag != NULL);
        if (back.ufrag)
            assert_memory_equal(back.ufrag, "cluf", back.ufrag_len);
    }
}

static void test_ufrags_as_written(void **state)
{
    char longest[CANDIDATE_UFRAG_MAX + 2], line[CANDIDATE_LINE_MAX];
    struct candidate c =
        make(CANDIDATE_RELAY, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", LOCAL6);
    size_t len;
    (void)state;

    memset(longest, 'Z', sizeof longest);
    longest[CANDIDATE_UFRAG_MAX + 1] = '\0';
    c.raddr = addr("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
    c.priority = UINT32_MAX;
    assert_int_equal(candidate_format(&c, longest, line), 0);
    longest[CANDIDATE_UFRAG_MAX] = '\0';
    len = candidate_format(&c, longest, line);
    assert_int_equal(len, strlen(line));
    assert_int_equal(candidate_format(&c, "a b", line), 0);
    assert_int_equal(candidate_format(&c, "", line), 0);
    len = candidate_format(&c, "a+/9", line);
    assert_int_equal(len, strlen(line));
}

static void test_lines_that_are_read(void **state)
{
    static const struct {
        const char *line, *at, *raddr;
        enum candidate_kind kind;
        uint32_t priority;
    } cases[] = {
        {"candidate:8254131446092720581 1 udp 2130706431 192.0.2.10 52625 typ host",
         "192.0.2.10:52625", NULL, CANDIDATE_HOST, 2130706431},
        {"candidate:x 1 UDP 0 2001:db8::1 9 typ srflx raddr 192.0.2.10 rport 52625",
         "[2001:db8::1]:9", "192.0.2.10:52625", CANDIDATE_SRFLX, 0},
        {"candidate: x 1 uDp 4294967295 192.0.2.10 1\ttyp  relay rport 0 raddr 0.0.0.0 ",
         "192.0.2.10:1", "0.0.0.0:0", CANDIDATE_RELAY, UINT32_MAX},
        {"candidate:x 1 udp 1 192.0.2.10 1 typ prflx", "192.0.2.10:1", NULL, CANDIDATE_PRFLX, 1},
        /* half of a related address, unknown keys, a key without value */
        {"candidate:x 1 udp 1 192.0.2.10 1 typ srflx raddr 192.0.2.1", "192.0.2.10:1", NULL,
         CANDIDATE_SRFLX, 1},
        {"candidate:x 1 udp 1 192.0.2.10 1 typ srflx rport 1", "192.0.2.10:1", NULL,
         CANDIDATE_SRFLX, 1},
        {"candidate:x 1 udp 1 192.0.2.10 1 typ host generation 0 network-id raddr tcptype active",
         "192.0.2.10:1", NULL, CANDIDATE_HOST, 1},
        {"candidate:x 1 udp 1 192.0.2.10 1 typ host raddr", "192.0.2.10:1", NULL, CANDIDATE_HOST,
         1},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sock_addr at = addr(cases[i].at), raddr = {.port = 0};
        struct candidate_line l;

        if (cases[i].raddr)
            raddr = addr(cases[i].raddr);
        assert_int_equal(parse(&l, cases[i].line), ERR_OK);
        assert_int_equal(l.candidate.kind, cases[i].kind);
        assert_int_equal(l.candidate.transport, CANDIDATE_UDP);
        assert_true(sock_addr_equal(&l.candidate.addr, &at));
        assert_true(sock_addr_equal(&l.candidate.base, &at));
        assert_true(sock_addr_equal(&l.candidate.raddr, &raddr));
        assert_int_equal(l.candidate.priority, cases[i].priority);
        assert_null(l.ufrag);
    }
}

static void test_other_transports_are_no_error(void **state)
{
    static const char *const names[] = {"tcp", "TCP", "ssltcp", "tls"};
    struct candidate_line l;
    char line[128];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(line, sizeof line, "candidate:x 1 %s 1 192.0.2.10 9 typ host tcptype so ufrag ab",
                 names[i]);
        assert_int_equal(parse(&l, line), ERR_OK);
        assert_int_equal(l.candidate.transport, CANDIDATE_OTHER);
        assert_int_equal(l.ufrag_len, 2);
    }
}

static void test_lines_that_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "candidate",
        "candidate:",
        "a=candidate:x 1 udp 1 192.0.2.10 1 typ host",
        "Candidate:x 1 udp 1 192.0.2.10 1 typ host",
        "candidate:x 2 udp 1 192.0.2.10 1 typ host",
        "candidate:x 0 udp 1 192.0.2.10 1 typ host",
        "candidate:x one udp 1 192.0.2.10 1 typ host",
        "candidate:x 1 sctp 1 192.0.2.10 1 typ host",
        "candidate:x 1 udp -1 192.0.2.10 1 typ host",
        "candidate:x 1 udp 4294967296 192.0.2.10 1 typ host",
        "candidate:x 1 udp 00000000001 192.0.2.10 1 typ host",
        "candidate:x 1 udp 1 [2001:db8::1] 1 typ host",
        "candidate:x 1 udp 1 abc.local 1 typ host",
        "candidate:x 1 udp 1 192.0.2.10 65536 typ host",
        "candidate:x 1 udp 1 192.0.2.10 0 typ host",
        "candidate:x 1 udp 1 0.0.0.0 1 typ host",
        "candidate:x 1 udp 1 192.0.2.10 1 typ",
        "candidate:x 1 udp 1 192.0.2.10 1 typ other",
        "candidate:x 1 udp 1 192.0.2.10 1 type host",
        "candidate:x 1 udp 1 192.0.2.10 1 typ srflx raddr x rport 1",
        "candidate:x 1 udp 1 192.0.2.10 1 typ srflx raddr 192.0.2.1 rport x",
        "candidate:x 1 udp 1 192.0.2.10 1 typ srflx rport 65536",
        "candidate:x 1 udp 1 192.0.2.10 1 typ host tcptype maybe",
    };
    char long_line[CANDIDATE_LINE_INPUT_MAX + 2];
    struct candidate_line l;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(&l, cases[i]), ERR_PARSE);
        assert_int_equal(l.candidate.addr.ip.family, ADDR_NONE);
    }
    snprintf(long_line, sizeof long_line, "candidate:x 1 udp 1 192.0.2.10 1 typ host ufrag %01990u",
             7);
    assert_int_equal(parse(&l, long_line), ERR_OK);
    assert_int_equal(candidate_parse(&l, long_line, CANDIDATE_LINE_INPUT_MAX + 1), ERR_PARSE);
}

/* No prefix of a line reads beyond its end, and a zero byte is no end of an address. */
static void test_ends_of_lines(void **state)
{
    static const char line[] = "candidate:x 1 udp 1 192.0.2.10 1 typ srflx raddr 192.0.2.1 rport 1";
    static const char zero[] = "candidate:x 1 udp 1 192.0.2.10\0 1 typ host";
    struct candidate_line l;
    (void)state;

    for (size_t len = 0; len < sizeof line; len++) {
        char copy[sizeof line];
        memset(copy, ' ', sizeof copy);
        memcpy(copy, line, len);
        (void)!candidate_parse(&l, copy, len);
        assert_true(!l.ufrag);
    }
    assert_int_equal(candidate_parse(&l, zero, sizeof zero - 1), ERR_PARSE);
}

static void test_what_an_invalidation_matches(void **state)
{
    struct candidate a = make(CANDIDATE_SRFLX, PUBLIC4, LOCAL4), b = a;
    (void)state;

    b.priority = 5;
    assert_true(candidate_equal(&a, &b));
    b = a, b.kind = CANDIDATE_RELAY;
    assert_false(candidate_equal(&a, &b));
    b = a, b.addr.port++;
    assert_false(candidate_equal(&a, &b));
    b = a, b.base.port++;
    assert_false(candidate_equal(&a, &b));
    b = a, b.raddr.port++;
    assert_false(candidate_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_make_sets),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_lines_as_written),
        cmocka_unit_test(test_ufrags_as_written),
        cmocka_unit_test(test_lines_that_are_read),
        cmocka_unit_test(test_other_transports_are_no_error),
        cmocka_unit_test(test_lines_that_are_refused),
        cmocka_unit_test(test_ends_of_lines),
        cmocka_unit_test(test_what_an_invalidation_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
