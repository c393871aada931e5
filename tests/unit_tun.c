/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TUN devices in a namespace of their own: creation and its errors, offloads, and which queue the kernel's packets
 * (plain, super-packets, fragments, both families) come out of.
 */
#include "platform/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/linux/addr_os.h"
#include "tests/support/netns.h"

enum {
    QUEUES = 4,
    VNET_LEN = 10,
    GSO_TYPE = 1, /* offset in the virtio header */
    GSO_NONE = 0,
    GSO_TCP4 = 1,
    GSO_TCP6 = 4,
    GSO_UDP = 5
};

static struct tun_config config_of(const char *name, unsigned queues)
{
    return (struct tun_config){.name = name,
                               .queues = queues,
                               .offloads = TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP,
                               .steering = true};
}

static struct tun *open_tun(const struct tun_config *c)
{
    char why[256] = "";
    struct tun *t = NULL;
    enum err e = tun_open(&t, c, why, sizeof why);
    if (e != ERR_OK)
        fail_msg("tun_open: %s: %s", err_text(e), why);
    return t;
}

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *fmt, ...)
{
    char command[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static void steer_to(struct tun *t, const char *prefix, unsigned queue)
{
    struct ip_prefix p;
    assert_int_equal(ip_prefix_parse(&p, prefix), ERR_OK);
    assert_int_equal(tun_steer_set(t, &p, queue), ERR_OK);
}

/* A steered device that all of 10/8 and fd00::/8 is routed to. */
static struct tun *open_steered(void)
{
    struct tun_config c = config_of("tunsteer", QUEUES);
    struct tun *t = open_tun(&c);

    if (!tun_steered(t)) {
        tun_free(t);
        skip();
    }
    assert_int_equal(tun_queues(t), QUEUES);
    shell("ip addr add 10.0.0.1/8 dev tunsteer && ip addr add fd00::1/8 dev tunsteer nodad && "
          "ip link set tunsteer up mtu 1420");
    steer_to(t, "10.1.0.0/16", 1);
    steer_to(t, "10.2.0.0/16", 2);
    steer_to(t, "10.1.5.0/24", 3);
    steer_to(t, "10.1.5.7/32", 2);
    steer_to(t, "fd01::/16", 1);
    steer_to(t, "fd02::/16", 2);
    steer_to(t, "fd01:0:0:5::/64", 3);
    steer_to(t, "fd01:0:0:5::7/128", 2);
    return t;
}

/* One packet as the kernel handed it to a queue. */
struct taken {
    int queue;
    ssize_t len; /* without the virtio header */
    uint8_t gso_type;
    uint8_t packet[65536];
};

/* Waits for the next packet on any queue. */
static struct taken *take(const struct tun *t)
{
    static struct taken k;
    static uint8_t buf[VNET_LEN + 65536];
    struct pollfd p[QUEUES];

    for (unsigned i = 0; i < tun_queues(t); i++)
        p[i] = (struct pollfd){.fd = tun_fd(t, i), .events = POLLIN};
    assert_true(poll(p, tun_queues(t), 5000) > 0);
    for (unsigned i = 0; i < tun_queues(t); i++) {
        if (!(p[i].revents & POLLIN))
            continue;
        k.len = read(tun_fd(t, i), buf, sizeof buf) - VNET_LEN;
        assert_true(k.len > 0);
        k.queue = (int)i;
        k.gso_type = buf[GSO_TYPE];
        memcpy(k.packet, buf + VNET_LEN, (size_t)k.len);
        return &k;
    }
    fail_msg("poll lied");
    return NULL;
}

static bool nothing_left(const struct tun *t)
{
    char c[64];
    for (unsigned i = 0; i < tun_queues(t); i++) {
        if (read(tun_fd(t, i), c, sizeof c) >= 0 || errno != EAGAIN)
            return false;
    }
    return true;
}

static socklen_t address(union addr_os *out, const char *ip, uint16_t port)
{
    struct sock_addr a = {.port = port};
    assert_int_equal(ip_addr_parse(&a.ip, ip), ERR_OK);
    return addr_os_to(out, &a);
}

static void send_udp(const char *ip, size_t len, int segment)
{
    static uint8_t data[65000];
    union addr_os to;
    socklen_t to_len = address(&to, ip, 7);
    int off = IP_PMTUDISC_DONT, fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &off, sizeof off);
    if (segment)
        assert_int_equal(setsockopt(fd, IPPROTO_UDP, 103, &segment, sizeof segment), 0);
    assert_int_equal(sendto(fd, data, len, 0, &to.sa, to_len), (ssize_t)len);
    close(fd);
}

static const struct {
    const char *ip;
    int queue;
} steer_cases[] = {
    {"10.1.0.1", 1},      {"10.1.255.255", 1},  {"10.2.3.4", 2},      {"10.1.5.1", 3},
    {"10.1.5.7", 2},      {"10.1.5.8", 3},      {"10.3.0.1", 0},      {"10.200.0.9", 0},
    {"fd01::1", 1},       {"fd01:ffff::1", 1},  {"fd02::99", 2},      {"fd01:0:0:5::1", 3},
    {"fd01:0:0:5::7", 2}, {"fd01:0:0:5::8", 3}, {"fd01:0:0:6::7", 1}, {"fd03::1", 0},
};

/* Several senders each: the kernel's flow hash has no say. */
static void datagrams_are_steered(void **state)
{
    (void)state;
    struct tun *t = open_steered();

    for (unsigned i = 0; i < ARRAY_LEN(steer_cases); i++) {
        for (unsigned k = 0; k < 8; k++) {
            send_udp(steer_cases[i].ip, 100, 0);
            struct taken *p = take(t);
            if (p->queue != steer_cases[i].queue)
                fail_msg("%s: queue %d instead of %d", steer_cases[i].ip, p->queue,
                         steer_cases[i].queue);
        }
    }
    assert_true(nothing_left(t));
    tun_free(t);
}

static void udp_trains_are_steered(void **state)
{
    (void)state;
    struct tun *t = open_steered();

    if (!(tun_offloads(t) & TUN_OFFLOAD_UDP)) {
        tun_free(t);
        skip();
    }
    for (unsigned i = 0; i < ARRAY_LEN(steer_cases); i++) {
        send_udp(steer_cases[i].ip, 20 * 1000, 1000);
        struct taken *p = take(t);
        assert_int_equal(p->queue, steer_cases[i].queue);
        assert_int_equal(p->gso_type, GSO_UDP);
        assert_true(p->len > 20000);
    }
    assert_true(nothing_left(t));
    tun_free(t);
}

/* Later fragments have no ports; all must come out of one queue, in order. */
static void fragments_are_steered(void **state)
{
    (void)state;
    struct tun *t = open_steered();

    for (unsigned i = 0; i < ARRAY_LEN(steer_cases); i++) {
        send_udp(steer_cases[i].ip, 6000, 0);
        for (unsigned k = 0; k < 5; k++) {
            struct taken *p = take(t);
            assert_int_equal(p->queue, steer_cases[i].queue);
            assert_int_equal(p->gso_type, GSO_NONE);
            bool v4 = p->packet[0] >> 4 == 4;
            unsigned offset =
                v4 ? (load_be16(p->packet + 6) & 0x1fffu) * 8 : load_be16(p->packet + 42) & 0xfff8u;
            assert_int_equal(offset > 0, k > 0);
        }
    }
    assert_true(nothing_left(t));
    tun_free(t);
}

/* The IPv4 header checksum. */
static void finish_ipv4(uint8_t *ip)
{
    uint32_t sum = 0;
    store_be16(ip + 10, 0);
    for (unsigned i = 0; i < 20; i += 2)
        sum += load_be16(ip + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    store_be16(ip + 10, (uint16_t)~sum);
}

/*
 * Answers the SYN in `k` with a SYN-ACK: addresses and ports swapped. The virtio header leaves the TCP checksum to
 * the kernel, which then takes the packet on trust.
 */
static void answer_syn(const struct tun *t, const struct taken *k)
{
    uint8_t buf[VNET_LEN + 60] = {1 /* NEEDS_CSUM */};
    uint8_t *ip = buf + VNET_LEN;
    bool v4 = k->packet[0] >> 4 == 4;
    size_t ip_len = v4 ? 20 : 40, addr_len = v4 ? 4 : 16, src = v4 ? 12 : 8;
    const uint8_t *syn = k->packet + ip_len;
    uint8_t *tcp = ip + ip_len;

    memcpy(buf + 6, &(uint16_t){(uint16_t)ip_len}, 2);
    memcpy(buf + 8, &(uint16_t){16}, 2);
    memcpy(ip, k->packet, ip_len);
    memcpy(ip + src, k->packet + src + addr_len, addr_len);
    memcpy(ip + src + addr_len, k->packet + src, addr_len);
    store_be16(ip + (v4 ? 2 : 4), v4 ? 40 : 20);
    if (v4)
        finish_ipv4(ip);
    memcpy(tcp, syn + 2, 2);
    memcpy(tcp + 2, syn, 2);
    store_be32(tcp + 4, 1000);
    store_be32(tcp + 8, load_be32(syn + 4) + 1);
    tcp[12] = 5 << 4;
    tcp[13] = 0x12;
    store_be16(tcp + 14, 65535);
    size_t len = VNET_LEN + ip_len + 20;
    assert_int_equal(write(tun_fd(t, 0), buf, len), (ssize_t)len);
}

static void run_tcp(const struct tun *t, const char *ip, int queue, uint8_t gso)
{
    static uint8_t data[16384];
    union addr_os to;
    socklen_t to_len = address(&to, ip, 80);
    int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, &to.sa, to_len), -1);
    assert_int_equal(errno, EINPROGRESS);
    struct taken *k = take(t);
    assert_int_equal(k->queue, queue);
    answer_syn(t, k);
    assert_int_equal(take(t)->queue, queue); /* ACK */
    assert_true(write(fd, data, sizeof data) > 0);
    k = take(t);
    assert_int_equal(k->queue, queue);
    assert_int_equal(k->gso_type & 0x7f, gso);
    assert_true(k->len > 2000);
    /* gone without a FIN that would be sent again and again */
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    while (!nothing_left(t))
        ;
}

static void tcp_super_packets_are_steered(void **state)
{
    (void)state;
    struct tun *t = open_steered();

    if (!(tun_offloads(t) & TUN_OFFLOAD_TCP)) {
        tun_free(t);
        skip();
    }
    run_tcp(t, "10.1.9.9", 1, GSO_TCP4);
    run_tcp(t, "10.1.5.9", 3, GSO_TCP4);
    run_tcp(t, "10.77.0.1", 0, GSO_TCP4);
    run_tcp(t, "fd02::9", 2, GSO_TCP6);
    run_tcp(t, "fd01:0:0:5::9", 3, GSO_TCP6);
    tun_free(t);
}

static void steering_follows_changes(void **state)
{
    (void)state;
    struct tun *t = open_steered();
    struct ip_prefix p;

    steer_to(t, "10.2.255.255/16", 3); /* host bits do not matter; an entry can move */
    send_udp("10.2.0.1", 100, 0);
    assert_int_equal(take(t)->queue, 3);
    assert_int_equal(ip_prefix_parse(&p, "10.1.5.0/24"), ERR_OK);
    assert_int_equal(tun_steer_clear(t, &p), ERR_OK);
    send_udp("10.1.5.1", 100, 0);
    assert_int_equal(take(t)->queue, 1);
    assert_int_equal(tun_steer_clear(t, &p), ERR_NOT_FOUND);
    steer_to(t, "0.0.0.0/0", 2);
    steer_to(t, "::/0", 1);
    send_udp("10.99.0.1", 100, 0);
    assert_int_equal(take(t)->queue, 2);
    send_udp("fd99::1", 100, 0);
    assert_int_equal(take(t)->queue, 1);
    tun_free(t);
}

static void bad_steering(void **state)
{
    (void)state;
    struct tun *t = open_steered();
    struct ip_prefix p;

    assert_int_equal(ip_prefix_parse(&p, "10.9.0.0/16"), ERR_OK);
    assert_int_equal(tun_steer_set(t, &p, QUEUES), ERR_INVALID);
    p.len = 33;
    assert_int_equal(tun_steer_set(t, &p, 0), ERR_INVALID);
    assert_int_equal(tun_steer_clear(t, &p), ERR_INVALID);
    p = (struct ip_prefix){.len = 0};
    assert_int_equal(tun_steer_set(t, &p, 0), ERR_INVALID);
    tun_free(t);
}

static void steering_map_is_bounded(void **state)
{
    (void)state;
    struct tun_config c = config_of("tunfull", 2);
    struct tun *t = open_tun(&c);
    struct ip_prefix p = {.ip.family = ADDR_V4, .len = 32};
    enum err e = ERR_OK;
    unsigned n = 0;

    if (!tun_steered(t)) {
        tun_free(t);
        skip();
    }
    for (; e == ERR_OK && n < 100000; n++) {
        store_be32(p.ip.bytes, 0x0a000000 + n);
        e = tun_steer_set(t, &p, 1);
    }
    assert_int_equal(e, ERR_FULL);
    assert_int_equal(n, 65537);
    /* the other family has its own room */
    steer_to(t, "fd01::/16", 1);
    tun_free(t);
}

static void unsteered_has_one_queue(void **state)
{
    (void)state;
    struct tun_config c = config_of("tunone", 4);
    struct ip_prefix p;

    c.steering = false;
    struct tun *t = open_tun(&c);
    assert_int_equal(tun_queues(t), 1);
    assert_false(tun_steered(t));
    assert_int_equal(ip_prefix_parse(&p, "10.0.0.0/8"), ERR_OK);
    assert_int_equal(tun_steer_set(t, &p, 3), ERR_OK);
    assert_int_equal(tun_steer_clear(t, &p), ERR_OK);
    tun_free(t);
}

static void device_lives_and_goes(void **state)
{
    (void)state;
    static const unsigned queues[] = {1, 3};
    for (unsigned i = 0; i < ARRAY_LEN(queues); i++) {
        struct tun_config c = config_of("tunlife", queues[i]);
        struct tun *t = open_tun(&c);
        assert_string_equal(tun_name(t), "tunlife");
        assert_int_equal(tun_ifindex(t), if_nametoindex("tunlife"));
        assert_int_not_equal(tun_ifindex(t), 0);
        for (unsigned q = 0; q < tun_queues(t); q++) {
            assert_true(fcntl(tun_fd(t, q), F_GETFD) & FD_CLOEXEC);
            assert_true(fcntl(tun_fd(t, q), F_GETFL) & O_NONBLOCK);
        }
        tun_free(t);
        assert_int_equal(if_nametoindex("tunlife"), 0);
    }
    tun_free(NULL);
}

static void kernel_picks_a_name(void **state)
{
    (void)state;
    struct tun_config c = config_of(NULL, 2);
    struct tun *a = open_tun(&c), *b;
    c.name = "";
    b = open_tun(&c);
    assert_memory_equal(tun_name(a), "tun", 3);
    assert_string_not_equal(tun_name(a), tun_name(b));
    tun_free(a);
    tun_free(b);
}

static void name_is_exclusive(void **state)
{
    (void)state;
    for (unsigned first = 1; first <= 2; first++) {
        for (unsigned second = 1; second <= 2; second++) {
            struct tun_config c = config_of("tunbusy", first), d = config_of("tunbusy", second);
            struct tun *t = open_tun(&c), *other = NULL;
            char why[256] = "";
            assert_int_equal(tun_open(&other, &d, why, sizeof why), ERR_IN_USE);
            assert_null(other);
            assert_non_null(strstr(why, "tunbusy"));
            tun_free(t);
        }
    }
    /* an interface of another kind */
    struct tun_config c = config_of("lo", 1);
    struct tun *t = NULL;
    char why[256];
    assert_int_equal(tun_open(&t, &c, why, sizeof why), ERR_IN_USE);
}

static void bad_configurations(void **state)
{
    (void)state;
    static const char *const names[] = {"a name", "a/b",   "a:b", ".",
                                        "..",     "tun%d", "a\n", "sixteen-letters!"};
    struct tun *t = NULL;
    char why[256];

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        struct tun_config c = config_of(names[i], 1);
        why[0] = '\0';
        assert_int_equal(tun_open(&t, &c, why, sizeof why), ERR_INVALID);
        assert_true(strlen(why) > 20);
    }
    struct tun_config c = config_of("tunx", 0);
    assert_int_equal(tun_open(&t, &c, why, sizeof why), ERR_INVALID);
    c.queues = 257;
    assert_int_equal(tun_open(&t, &c, why, sizeof why), ERR_INVALID);
    assert_null(t);
}

static void offloads_are_limited(void **state)
{
    (void)state;
    static const unsigned permitted[] = {0, TUN_OFFLOAD_TCP, TUN_OFFLOAD_UDP,
                                         TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP};
    for (unsigned i = 0; i < ARRAY_LEN(permitted); i++) {
        struct tun_config c = config_of("tunoff", 1);
        c.offloads = permitted[i];
        struct tun *t = open_tun(&c);
        assert_int_equal(tun_offloads(t) & ~permitted[i], 0);
        shell("ip addr add 10.0.0.1/8 dev tunoff && ip link set tunoff up");
        if (permitted[i] == 0) {
            /* a train comes cut into packets with finished checksums */
            send_udp("10.1.1.1", 2000, 1000);
            for (unsigned k = 0; k < 2; k++) {
                struct taken *p = take(t);
                assert_int_equal(p->gso_type, GSO_NONE);
                assert_int_equal(p->len, 1028);
            }
        }
        tun_free(t);
    }
}

static void no_link_local_address(void **state)
{
    (void)state;
    struct tun_config c = config_of("tunquiet", 1);
    struct tun *t = open_tun(&c);
    char line[256];
    bool found = false;

    shell("ip link set tunquiet up");
    FILE *f = fopen("/proc/net/if_inet6", "r");
    while (f && fgets(line, sizeof line, f))
        found = found || strstr(line, "tunquiet");
    if (f)
        fclose(f);
    assert_false(found);
    tun_free(t);
}

/* ---- with fewer rights, each in a child process ---- */

static bool drop_capabilities(uint64_t dropped)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];
    if (syscall(SYS_capget, &h, d) != 0)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        d[i].effective &= ~(uint32_t)(dropped >> 32 * i);
        d[i].permitted &= ~(uint32_t)(dropped >> 32 * i);
        d[i].inheritable = 0;
    }
    return syscall(SYS_capset, &h, d) == 0;
}

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* Runs `child` and expects 0 from it; otherwise the number says what was wrong. */
static void in_child(int (*child)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int child_without_bpf(void)
{
    struct tun_config c = config_of("tunnobpf", 4);
    struct tun *t;
    char why[256];
    if (!drop_capabilities(CAP(SYS_ADMIN) | CAP(BPF)))
        return 1;
    if (tun_open(&t, &c, why, sizeof why) != ERR_OK)
        return 2;
    return tun_queues(t) == 1 && !tun_steered(t) && strcmp(tun_name(t), "tunnobpf") == 0 ? 0 : 3;
}

static int child_without_net_admin(void)
{
    struct tun_config c = config_of("tunplain", 2);
    struct tun *t;
    char why[256] = "";
    if (!drop_capabilities(CAP(NET_ADMIN)))
        return 1;
    if (tun_open(&t, &c, why, sizeof why) != ERR_PERMISSION || t != NULL)
        return 2;
    return strstr(why, "CAP_NET_ADMIN") ? 0 : 3;
}

static int child_without_node(void)
{
    struct tun_config c = config_of("tunnode", 1);
    struct tun *t;
    char why[256] = "";
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/net", "tmpfs", 0, NULL) != 0)
        return 1;
    if (tun_open(&t, &c, why, sizeof why) != ERR_OK)
        return 2; /* the node was not made */
    tun_free(t);
    if (unlink("/dev/net/tun") != 0 || !drop_capabilities(CAP(MKNOD)))
        return 3;
    if (tun_open(&t, &c, why, sizeof why) != ERR_NOT_FOUND)
        return 4;
    return strstr(why, "/dev/net/tun") ? 0 : 5;
}

static void without_bpf_one_queue(void **state)
{
    (void)state;
    in_child(child_without_bpf);
}

static void without_net_admin_an_error(void **state)
{
    (void)state;
    in_child(child_without_net_admin);
}

static void without_node_it_is_made(void **state)
{
    (void)state;
    in_child(child_without_node);
}

int main(void)
{
    netns_enter_or_skip();
    if (access("/dev/net/tun", F_OK) != 0) {
        fprintf(stderr, "skipped: no /dev/net/tun\n");
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_lives_and_goes),    cmocka_unit_test(kernel_picks_a_name),
        cmocka_unit_test(name_is_exclusive),        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(offloads_are_limited),     cmocka_unit_test(no_link_local_address),
        cmocka_unit_test(datagrams_are_steered),    cmocka_unit_test(udp_trains_are_steered),
        cmocka_unit_test(fragments_are_steered),    cmocka_unit_test(tcp_super_packets_are_steered),
        cmocka_unit_test(steering_follows_changes), cmocka_unit_test(bad_steering),
        cmocka_unit_test(steering_map_is_bounded),  cmocka_unit_test(unsteered_has_one_queue),
        cmocka_unit_test(without_bpf_one_queue),    cmocka_unit_test(without_net_admin_an_error),
        cmocka_unit_test(without_node_it_is_made),
    };
    log_set_level(LOG_WARN);
    return cmocka_run_group_tests_name("tun", tests, NULL, NULL);
}
