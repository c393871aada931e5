/* SPDX-License-Identifier: Apache-2.0 */
/* UDP groups on loopback: exclusive ports, options, and which socket the steering program picks. */
#include "platform/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/linux/addr_os.h"
#include "tests/support/netns.h"

enum {
    SOCKETS = 4,
    HASHED = -1
};

static bool own_namespace;

static struct udp_config config_of(unsigned family, uint16_t port, unsigned sockets)
{
    return (struct udp_config){.family = family,
                               .port = port,
                               .sockets = sockets,
                               .send_bytes = 1 << 18,
                               .recv_bytes = 1 << 18,
                               .steering = true,
                               .offloads = true};
}

static void open_group(struct udp_group *g, const struct udp_config *c)
{
    char why[256] = "";
    enum err e = udp_group_open(g, c, why, sizeof why);
    if (e != ERR_OK)
        fail_msg("udp_group_open: %s: %s", err_text(e), why);
}

static socklen_t loopback(union addr_os *out, unsigned family, uint16_t port)
{
    struct sock_addr a = {.ip.family = (uint8_t)family, .port = port};
    static const uint8_t v4[4] = {127, 0, 0, 1};
    if (family == ADDR_V4)
        memcpy(a.ip.bytes, v4, sizeof v4);
    else
        a.ip.bytes[15] = 1;
    return addr_os_to(out, &a);
}

static int sender(unsigned family)
{
    int fd = socket(addr_os_family(family), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void send_to(int fd, const struct udp_group *g, const void *data, size_t len)
{
    union addr_os to;
    socklen_t to_len = loopback(&to, g->family, g->port);
    assert_int_equal(sendto(fd, data, len, 0, &to.sa, to_len), (ssize_t)len);
}

/* Waits for the datagram just sent, takes it out and returns the number of its socket. */
static int received_by(const struct udp_group *g)
{
    struct pollfd p[UDP_GROUP_MAX];
    uint8_t buf[2048];

    for (unsigned i = 0; i < g->n; i++)
        p[i] = (struct pollfd){.fd = g->fds[i], .events = POLLIN};
    assert_int_equal(poll(p, g->n, 5000), 1);
    for (unsigned i = 0; i < g->n; i++) {
        if (p[i].revents & POLLIN) {
            assert_true(recv(g->fds[i], buf, sizeof buf, 0) > 0);
            return (int)i;
        }
    }
    return -2;
}

/* A message whose receiver index names `owner`; the other index bits are set, as noise. */
static void fill_message(uint8_t *m, unsigned type, unsigned owner)
{
    memset(m, 0xee, 160);
    store_le32(m, type);
    uint32_t index = owner << UDP_OWNER_SHIFT | 0x02abcdef;
    if (type == 2) {
        store_le32(m + 4, 0xffffffff);
        store_le32(m + 8, index);
    } else {
        store_le32(m + 4, index);
        store_le32(m + 8, 0);
    }
}

static const struct {
    const char *name;
    unsigned type, owner, len;
    uint16_t channel; /* 0: none */
    int socket;       /* or HASHED */
} steer_cases[] = {
    {"data to 0", 4, 0, 32, 0, 0},
    {"data to 1", 4, 1, 32, 0, 1},
    {"data to 3", 4, 3, 128, 0, 3},
    {"data to nobody", 4, SOCKETS, 128, 0, HASHED},
    {"data to 63", 4, 63, 128, 0, HASHED},
    {"data too short", 4, 1, 31, 0, HASHED},
    {"response to 2", 2, 2, 92, 0, 2},
    {"response to 0", 2, 0, 92, 0, 0},
    {"response to nobody", 2, 62, 92, 0, HASHED},
    {"cookie to 1", 3, 1, 64, 0, 1},
    {"cookie to 3", 3, 3, 64, 0, 3},
    {"initiation", 1, 1, 148, 0, HASHED},
    {"type 0", 0, 1, 128, 0, HASHED},
    {"type 5", 5, 1, 128, 0, HASHED},
    {"reserved byte set", 0x01000004, 1, 128, 0, HASHED},
    {"one byte", 4, 1, 1, 0, HASHED},
    {"channel data to 2", 4, 2, 36, 0x4000, 2},
    {"channel data to 3, last channel", 4, 3, 132, 0x4fff, 3},
    {"channel response to 1", 2, 1, 96, 0x4123, 1},
    {"channel cookie to 2", 3, 2, 68, 0x4123, 2},
    {"channel initiation", 1, 2, 152, 0x4123, HASHED},
    {"channel data to nobody", 4, 9, 132, 0x4123, HASHED},
    {"channel too short", 4, 1, 8, 0x4000, HASHED},
    {"no channel number", 4, 1, 132, 0x5000, HASHED},
    {"stun", 0x0101, 1, 32, 0x0001, HASHED},
};

/* Where the 4-tuple decides, 64 senders do not all end at one of four sockets. */
static void expect_hashed(const struct udp_group *g, const char *name, const uint8_t *m, size_t len)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < 64; i++) {
        int fd = sender(g->family);
        send_to(fd, g, m, len);
        seen |= 1u << received_by(g);
        close(fd);
    }
    if ((seen & (seen - 1)) == 0)
        fail_msg("%s: always the same socket (mask 0x%x)", name, seen);
}

/* With a gate every handshake message goes to the last socket, whoever its index names. */
static int socket_with_gate(unsigned i)
{
    bool handshake = steer_cases[i].type >= 1 && steer_cases[i].type <= 3;
    bool whole = steer_cases[i].len >= (steer_cases[i].channel ? 36u : 32u);
    return handshake && whole ? SOCKETS - 1 : steer_cases[i].socket;
}

static void run_steering(unsigned family, bool gate)
{
    struct udp_config c = config_of(family, 0, SOCKETS);
    struct udp_group g;
    uint8_t buf[256];

    c.gate = gate;
    open_group(&g, &c);
    if (!g.steered) {
        udp_group_close(&g);
        skip();
    }
    for (unsigned i = 0; i < ARRAY_LEN(steer_cases); i++) {
        uint8_t *m = buf;
        int expected = gate ? socket_with_gate(i) : steer_cases[i].socket;
        if (steer_cases[i].channel) {
            store_be16(m, steer_cases[i].channel);
            store_be16(m + 2, (uint16_t)(steer_cases[i].len - 4));
            m += 4;
        }
        fill_message(m, steer_cases[i].type, steer_cases[i].owner);
        if (expected == HASHED) {
            expect_hashed(&g, steer_cases[i].name, buf, steer_cases[i].len);
            continue;
        }
        for (unsigned k = 0; k < 8; k++) {
            int fd = sender(family);
            send_to(fd, &g, buf, steer_cases[i].len);
            int got = received_by(&g);
            close(fd);
            if (got != expected)
                fail_msg("%s: socket %d instead of %d", steer_cases[i].name, got, expected);
        }
    }
    udp_group_close(&g);
}

static void steering_v4(void **state)
{
    (void)state;
    run_steering(ADDR_V4, false);
    run_steering(ADDR_V4, true);
}

static void steering_v6(void **state)
{
    (void)state;
    run_steering(ADDR_V6, false);
    run_steering(ADDR_V6, true);
}

static void steering_off_is_hashed(void **state)
{
    (void)state;
    struct udp_config c = config_of(ADDR_V4, 0, SOCKETS);
    struct udp_group g;
    uint8_t m[256];

    c.steering = false;
    open_group(&g, &c);
    assert_false(g.steered);
    fill_message(m, 4, 1);
    expect_hashed(&g, "unsteered", m, 128);
    udp_group_close(&g);
}

/* The receiver's control data: source address and interface, ECN, and the size of coalesced datagrams. */
struct received {
    ssize_t len;
    int tos, segment;
    uint32_t ifindex;
};

static void receive_with_control(int fd, struct received *r)
{
    union {
        char bytes[256];
        struct cmsghdr align;
    } control;
    static uint8_t buf[65536];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    *r = (struct received){.tos = -1, .segment = -1};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    r->len = recvmsg(fd, &m, 0);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        const void *d = CMSG_DATA(c);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            r->tos = *(const uint8_t *)d;
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
            memcpy(&r->tos, d, sizeof r->tos);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
            r->ifindex = (uint32_t)((const struct in_pktinfo *)d)->ipi_ifindex;
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
            r->ifindex = ((const struct in6_pktinfo *)d)->ipi6_ifindex;
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == 104)
            memcpy(&r->segment, d, sizeof r->segment);
    }
}

static void run_control_data(unsigned family)
{
    struct udp_config c = config_of(family, 0, SOCKETS);
    struct udp_group g;
    struct received r;
    uint8_t train[3 * 160];
    int ecn = 3, size = 160, fd = sender(family);

    open_group(&g, &c);
    assert_int_equal(setsockopt(fd, family == ADDR_V4 ? IPPROTO_IP : IPPROTO_IPV6,
                                family == ADDR_V4 ? IP_TOS : IPV6_TCLASS, &ecn, sizeof ecn),
                     0);
    for (unsigned i = 0; i < 3; i++)
        fill_message(train + i * 160, 4, 2);
    if (g.gso && g.gro && g.steered) {
        /* a train stays one receive, at the owner's socket */
        assert_int_equal(setsockopt(fd, IPPROTO_UDP, 103, &size, sizeof size), 0);
        send_to(fd, &g, train, sizeof train);
        receive_with_control(g.fds[2], &r);
        assert_int_equal(r.len, sizeof train);
        assert_int_equal(r.segment, 160);
    } else {
        send_to(fd, &g, train, 160);
        receive_with_control(g.fds[2], &r);
        assert_int_equal(r.len, 160);
    }
    assert_int_equal(r.tos & 3, 3);
    assert_int_equal(r.ifindex, if_nametoindex("lo"));
    close(fd);
    udp_group_close(&g);
}

static void control_data_v4(void **state)
{
    (void)state;
    run_control_data(ADDR_V4);
}

static void control_data_v6(void **state)
{
    (void)state;
    run_control_data(ADDR_V6);
}

static void port_is_exclusive(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, SOCKETS};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
            struct udp_config c = config_of(ADDR_V4, 0, sizes[i]);
            struct udp_group g, second;
            char why[256] = "", port[8];

            open_group(&g, &c);
            assert_int_not_equal(g.port, 0);
            c.port = g.port;
            c.sockets = sizes[k];
            assert_int_equal(udp_group_open(&second, &c, why, sizeof why), ERR_IN_USE);
            assert_int_equal(second.n, 0);
            snprintf(port, sizeof port, "%u", g.port);
            assert_non_null(strstr(why, port));
            assert_non_null(strstr(why, "already in use"));
            udp_group_close(&g);
            /* free again at once */
            open_group(&second, &c);
            udp_group_close(&second);
        }
    }
}

static void families_share_a_port(void **state)
{
    (void)state;
    struct udp_config c = config_of(ADDR_V4, 0, 2);
    struct udp_group v4, v6;

    open_group(&v4, &c);
    c.family = ADDR_V6;
    c.port = v4.port;
    open_group(&v6, &c);
    assert_int_equal(v4.port, v6.port);
    udp_group_close(&v4);
    udp_group_close(&v6);
}

static int get_int(int fd, int level, int option)
{
    int v = -1;
    socklen_t len = sizeof v;
    assert_int_equal(getsockopt(fd, level, option, &v, &len), 0);
    return v;
}

static void sockets_are_set_up(void **state)
{
    (void)state;
    struct udp_config c = config_of(ADDR_V4, 0, 3);
    struct udp_group g;

    c.mark = geteuid() == 0 ? 0x1234 : 0;
    open_group(&g, &c);
    assert_int_equal(g.n, 3);
    for (unsigned i = 0; i < g.n; i++) {
        assert_true(fcntl(g.fds[i], F_GETFD) & FD_CLOEXEC);
        assert_false(fcntl(g.fds[i], F_GETFL) & O_NONBLOCK);
        assert_int_equal(get_int(g.fds[i], SOL_SOCKET, SO_MARK), (int)c.mark);
        assert_int_equal(get_int(g.fds[i], IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DONT);
        assert_int_equal(get_int(g.fds[i], SOL_SOCKET, SO_REUSEPORT), 1);
        assert_int_equal(get_int(g.fds[i], IPPROTO_UDP, 104), g.gro);
        assert_true(get_int(g.fds[i], SOL_SOCKET, SO_SNDBUF) > 0);
    }
    if (c.mark != 0) {
        assert_int_equal(udp_group_set_mark(&g, 7), ERR_OK);
        for (unsigned i = 0; i < g.n; i++)
            assert_int_equal(get_int(g.fds[i], SOL_SOCKET, SO_MARK), 7);
    }
    udp_group_close(&g);
    assert_int_equal(g.n, 0);

    c = config_of(ADDR_V6, 0, 1);
    c.offloads = false;
    open_group(&g, &c);
    assert_false(g.gso || g.gro || g.steered);
    assert_int_equal(get_int(g.fds[0], IPPROTO_IPV6, IPV6_V6ONLY), 1);
    assert_int_equal(get_int(g.fds[0], IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_DONT);
    assert_int_equal(get_int(g.fds[0], SOL_SOCKET, SO_REUSEPORT), 0);
    udp_group_close(&g);
}

static void buffers_default_to_megabytes(void **state)
{
    (void)state;
    struct udp_config c = config_of(ADDR_V4, 0, 1);
    struct udp_group g;

    if (!own_namespace)
        skip(); /* needs CAP_NET_ADMIN to exceed the system's limit */
    c.send_bytes = c.recv_bytes = 0;
    open_group(&g, &c);
    /* the kernel reports twice what was asked */
    assert_int_equal(get_int(g.fds[0], SOL_SOCKET, SO_SNDBUF), 2 * (2 << 20));
    assert_int_equal(get_int(g.fds[0], SOL_SOCKET, SO_RCVBUF), 2 * (16 << 20));
    udp_group_close(&g);
}

static void bad_configurations(void **state)
{
    (void)state;
    struct udp_config c = config_of(ADDR_NONE, 0, 1);
    struct udp_group g;
    char why[128];

    assert_int_equal(udp_group_open(&g, &c, why, sizeof why), ERR_INVALID);
    c = config_of(ADDR_V4, 0, 0);
    assert_int_equal(udp_group_open(&g, &c, why, sizeof why), ERR_INVALID);
    c = config_of(ADDR_V4, 0, UDP_GROUP_MAX + 1);
    assert_int_equal(udp_group_open(&g, &c, why, sizeof why), ERR_INVALID);
    assert_true(strlen(why) > 0);
}

static void largest_group(void **state)
{
    (void)state;
    struct udp_config c = config_of(ADDR_V4, 0, UDP_GROUP_MAX);
    struct udp_group g;
    uint8_t m[256];

    open_group(&g, &c);
    if (g.steered) {
        int fd = sender(ADDR_V4);
        fill_message(m, 4, UDP_GROUP_MAX - 1);
        send_to(fd, &g, m, 64);
        assert_int_equal(received_by(&g), UDP_GROUP_MAX - 1);
        close(fd);
    }
    udp_group_close(&g);
}

static void addresses_convert(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1:51820", "[2001:db8::1]:1", "[fe80::1%3]:65535"};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        struct sock_addr a, b;
        union addr_os os;
        assert_int_equal(sock_addr_parse(&a, texts[i]), ERR_OK);
        socklen_t len = addr_os_to(&os, &a);
        assert_int_equal(len, a.ip.family == ADDR_V4 ? sizeof os.in : sizeof os.in6);
        assert_int_equal(os.sa.sa_family, addr_os_family(a.ip.family));
        addr_os_from(&b, &os);
        assert_true(sock_addr_equal(&a, &b));
    }
    struct sock_addr none = {0};
    union addr_os os;
    assert_int_equal(addr_os_to(&os, &none), 0);
    addr_os_from(&none, &os);
    assert_int_equal(none.ip.family, ADDR_NONE);
}

int main(void)
{
    own_namespace = netns_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steering_v4),
        cmocka_unit_test(steering_v6),
        cmocka_unit_test(steering_off_is_hashed),
        cmocka_unit_test(control_data_v4),
        cmocka_unit_test(control_data_v6),
        cmocka_unit_test(port_is_exclusive),
        cmocka_unit_test(families_share_a_port),
        cmocka_unit_test(sockets_are_set_up),
        cmocka_unit_test(buffers_default_to_megabytes),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(largest_group),
        cmocka_unit_test(addresses_convert),
    };
    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
