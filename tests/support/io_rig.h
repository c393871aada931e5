/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the I/O backends share: every test runs once per backend; helpers for addresses, devices and
 * bounded waiting. One network namespace per test program.
 */
#ifndef FZ_TEST_IO_RIG_H
#define FZ_TEST_IO_RIG_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "platform/clock.h"
#include "platform/io.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/io_backend.h"
#include "platform/udp.h"
#include "tests/support/netns.h"

struct rig_mode {
    const char *name;
    enum io_backend backend;
    unsigned limits; /* of uring_new */
};

static struct rig_mode rig_epoll = {"epoll", IO_EPOLL, 0};
static struct rig_mode rig_uring = {"uring", IO_URING, 0};
__attribute__((unused)) static struct rig_mode rig_direct = {"uring", IO_URING,
                                                             URING_NO_READ_MULTISHOT};

/* One entry of a test table per backend. */
#define RIG_TESTS(f)                                                                               \
    {#f " epoll", f, NULL, NULL, &rig_epoll},                                                      \
    {                                                                                              \
#f " uring", f, NULL, NULL, &rig_uring                                                     \
    }
#define RIG_TESTS_TUN(f)                                                                           \
    RIG_TESTS(f),                                                                                  \
    {                                                                                              \
#f " uring without multishot reads", f, NULL, NULL, &rig_direct                            \
    }

/* False (skip) where the kernel or a container refuses io_uring. */
static inline bool rig_new(struct io **io, void **state, unsigned tun_buffers, unsigned udp_buffers)
{
    const struct rig_mode *mode = *state;
    const struct io_config config = {mode->backend, tun_buffers, udp_buffers};
    const char *why = NULL;
    enum err e = mode->backend == IO_EPOLL ? io_new(io, &config)
                                           : uring_new(io, &config, mode->limits, &why);
    if (e == ERR_UNSUPPORTED) {
        print_message("skipped: %s\n", why);
        return false;
    }
    assert_int_equal(e, ERR_OK);
    assert_string_equal(io_name(*io), mode->name);
    return true;
}

#define RIG_NEW(io, tun_buffers, udp_buffers)                                                      \
    struct io *io;                                                                                 \
    if (!rig_new(&io, state, tun_buffers, udp_buffers))                                            \
    skip()

static inline time_ns rig_in_ms(unsigned ms)
{
    return clock_now() + ms * NS_PER_MS;
}

/* No test waits longer than this for something that must happen. */
static inline time_ns rig_limit(void)
{
    return rig_in_ms(20000);
}

static inline struct sock_addr rig_addr(const char *ip, uint16_t port)
{
    struct sock_addr a = {.port = port};
    assert_int_equal(ip_addr_parse(&a.ip, ip), ERR_OK);
    return a;
}

static inline struct udp_group rig_udp(unsigned family, uint16_t port, uint32_t send_bytes)
{
    struct udp_group g;
    char why[256];
    struct udp_config config = {
        .family = family, .port = port, .sockets = 1, .send_bytes = send_bytes, .offloads = true};
    enum err e = udp_group_open(&g, &config, why, sizeof why);
    if (e != ERR_OK)
        fail_msg("%s", why);
    return g;
}

static inline void rig_ifreq(const char *device, unsigned long request, struct ifreq *ifr)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(ifr->ifr_name, sizeof ifr->ifr_name, "%s", device);
    assert_int_equal(ioctl(fd, request, ifr), 0);
    close(fd);
}

static inline void rig_set_up(const char *device, bool up)
{
    struct ifreq ifr = {0};
    rig_ifreq(device, SIOCGIFFLAGS, &ifr);
    ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
    rig_ifreq(device, SIOCSIFFLAGS, &ifr);
}

static inline void rig_set_ipv4(const char *device, const char *address, const char *mask)
{
    struct ifreq ifr = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&ifr.ifr_addr, &in, sizeof in);
    rig_ifreq(device, SIOCSIFADDR, &ifr);
    inet_pton(AF_INET, mask, &in.sin_addr);
    memcpy(&ifr.ifr_netmask, &in, sizeof in);
    rig_ifreq(device, SIOCSIFNETMASK, &ifr);
}

static inline void rig_set_mtu(const char *device, int mtu)
{
    struct ifreq ifr = {.ifr_mtu = mtu};
    rig_ifreq(device, SIOCSIFMTU, &ifr);
}

/* A TUN with virtio headers, or a TAP; up, with an address of 10.9.0.0/24. -1: no such device here. */
static inline int rig_device(const char *name, short kind, const char *address)
{
    struct ifreq ifr = {.ifr_flags = (short)(kind | IFF_NO_PI)};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
        close(fd);
        return -1;
    }
    rig_set_ipv4(name, address, "255.255.255.0");
    rig_set_up(name, true);
    return fd;
}

static inline void rig_sleep_ms(unsigned ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

/* A datagram of `len` bytes. */
static inline struct io_send rig_send(uint8_t *data, uint32_t len, const struct sock_addr *to)
{
    return (struct io_send){.data = data,
                            .len = len,
                            .segment_size = (uint16_t)(len ? len : 1),
                            .result = 99,
                            .to = *to};
}

/* The next record; fails the test if there is none in time. */
static inline struct io_rx rig_receive(struct io *io)
{
    struct io_rx rx;
    time_ns limit = rig_limit();
    while (io_wait(io, &rx, 1, limit) == 0)
        if (clock_now() >= limit)
            fail_msg("nothing received");
    return rx;
}

/* True if the kernel lists the port as in use. */
static inline bool rig_port_is_bound(unsigned family, uint16_t port)
{
    char line[512], text[8];
    FILE *f = fopen(family == ADDR_V4 ? "/proc/self/net/udp" : "/proc/self/net/udp6", "r");
    bool found = false;
    snprintf(text, sizeof text, ":%04X ", port);
    assert_non_null(f);
    while (!found && fgets(line, sizeof line, f)) {
        const char *at = strstr(line, text);
        found = at && at < strchr(line, ':') + 48; /* in the local column */
    }
    fclose(f);
    return found;
}

#endif
