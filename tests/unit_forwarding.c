/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gateway changes of its host, and that all is as before afterwards, in a network namespace of its own:
 *
 *   up0   192.0.2.1/24       its own forwarding is off, as the host's
 *   up1   forwards IPv4 and IPv6 although the host does not
 *   up2   takes router advertisements in any case
 *   tun0  stands for the TUN
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/forwarding.h"
#include "platform/routes.h"
#include "tests/support/netns.h"

#define ROUTER_V4 "cat /proc/sys/net/ipv4/ip_forward"
#define ROUTER_V6 "cat /proc/sys/net/ipv6/conf/all/forwarding"
#define RULESET   "nft list ruleset"

/* What others have: a firewall that drops, one that does not, and what looks like ours. */
static const char firewall[] =
    "table ip filter {\n"
    "  chain FORWARD {\n"
    "    type filter hook forward priority filter; policy drop;\n"
    "    ip daddr 10.99.0.0/16 counter drop\n"
    "    iifname \"tun0\" accept comment \"firezone\"\n"
    "  }\n"
    "  chain INPUT { type filter hook input priority filter; policy drop; }\n"
    "}\n"
    "table inet other {\n"
    "  chain forward { type filter hook forward priority 10; policy accept; }\n"
    "}\n"
    "table ip6 filter {\n"
    "  chain odd-NAME_1 { type filter hook forward priority filter; policy drop; }\n"
    "}\n";

static char *output(const char *command)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
    pclose(f);
    return text;
}

static void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static void expect(const char *command, const char *text, bool there)
{
    char *is = output(command);
    if ((strstr(is, text) != NULL) != there)
        fail_msg("'%s' of `%s` is %s there:\n%s", text, command, there ? "not" : "still", is);
    free(is);
}

static char *host_state(void)
{
    return output(RULESET
                  "; cd /proc/sys/net && grep -r . ipv4/conf ipv6/conf ipv4/ip_forward 2>/dev/null"
                  " | grep -v stable_secret | sort");
}

/* Frees it. */
static void expect_state(char *before)
{
    char *now = host_state();
    assert_string_equal(now, before);
    free(now);
    free(before);
}

static enum err start(struct forwarding **f, char why[256])
{
    struct ip_prefix v4, v6;

    why[0] = '\0';
    assert_int_equal(ip_prefix_parse(&v4, "100.64.0.0/11"), ERR_OK);
    assert_int_equal(ip_prefix_parse(&v6, "fd00:2021:1111::/107"), ERR_OK);
    return forwarding_new(f, "tun0", &v4, &v6, why, 256);
}

static struct forwarding *started(void)
{
    struct forwarding *f;
    char why[256];

    if (start(&f, why) != ERR_OK)
        fail_msg("%s", why);
    return f;
}

static void expect_set_up(void)
{
    expect(ROUTER_V4, "1", true);
    expect(ROUTER_V6, "1", true);
    expect("cat /proc/sys/net/ipv4/conf/tun0/forwarding", "1", true);
    expect("cat /proc/sys/net/ipv6/conf/up0/accept_ra", "2", true);
    expect(RULESET, "iifname \"tun0\" ip saddr 100.64.0.0/11 masquerade", true);
    expect(RULESET, "iifname \"tun0\" ip6 saddr fd00:2021:1111::/107 masquerade", true);
    expect(RULESET, "oifname \"tun0\" ip saddr 100.64.0.0/11 counter", true);
    expect(RULESET, "oifname \"tun0\" ip6 saddr fd00:2021:1111::/107 counter", true);
}

static int set_up(void **state)
{
    (void)state;
    shell("nft flush ruleset; for i in up0 up1 up2 tun0; do ip link del $i 2>/dev/null;"
          " ip tuntap add $i mode tun || exit 1; ip link set $i up || exit 1; done;"
          "cd /proc/sys/net; echo 0 >ipv4/ip_forward; echo 0 >ipv6/conf/all/forwarding;"
          "ip addr add 192.0.2.1/24 dev up0; echo 1 >ipv4/conf/up1/forwarding;"
          "echo 1 >ipv6/conf/up1/forwarding; echo 2 >ipv6/conf/up2/accept_ra;"
          "echo 0 >ipv4/conf/all/accept_redirects");
    return 0;
}

static void load_firewall(void)
{
    FILE *f = popen("nft -f -", "w");
    assert_non_null(f);
    fputs(firewall, f);
    assert_int_equal(pclose(f), 0);
}

/* ---- tests ---- */

static void all_is_as_before(void **state)
{
    (void)state;
    char *before = host_state();
    struct forwarding *f = started();

    expect_set_up();
    expect("cat /proc/sys/net/ipv6/conf/up2/accept_ra", "2", true);
    forwarding_free(f);
    expect_state(before);
    forwarding_free(NULL);
}

static void a_router_stays_one(void **state)
{
    (void)state;
    shell("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    char *before = host_state();
    struct forwarding *f = started();

    expect("cat /proc/sys/net/ipv6/conf/up0/accept_ra", "1", true); /* its owner knows why */
    forwarding_free(f);
    expect_state(before);
}

static void others_that_drop_let_pass(void **state)
{
    (void)state;
    load_firewall();
    char *before = host_state();
    struct forwarding *f = started();

    expect(
        "nft list chain ip filter FORWARD",
        "\t\tip daddr 10.99.0.0/16 counter packets 0 bytes 0 drop\n"
        "\t\tiifname \"tun0\" accept comment \"firezone\"\n"
        "\t\tiifname \"tun0\" counter packets 0 bytes 0 accept comment \"firezone-gateway tun0\"\n"
        "\t\toifname \"tun0\" counter packets 0 bytes 0 accept comment \"firezone-gateway tun0\"\n\t}",
        true);
    expect("nft list table ip6 filter", "firezone-gateway", true);
    expect("nft list chain ip filter INPUT", "firezone", false);
    expect("nft list table inet other", "firezone", false);
    forwarding_free(f);
    expect_state(before);
}

static void what_is_taken_back_comes_again(void **state)
{
    (void)state;
    char *before = host_state();
    struct forwarding *f = started();
    char *with = host_state();

    forwarding_renew(f);
    expect_state(with);
    shell("nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward;"
          "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
    expect(RULESET, "masquerade", true); /* nobody else can */
    forwarding_renew(f);
    expect_set_up();
    forwarding_free(f);
    expect_state(before);

    /* others' rules were loaded anew */
    load_firewall();
    before = host_state();
    f = started();
    with = host_state();
    shell("nft delete table ip filter; nft delete table ip6 filter; nft delete table inet other");
    load_firewall();
    expect(RULESET, "comment \"firezone-gateway tun0\"", false);
    forwarding_renew(f);
    expect("nft list chain ip filter FORWARD", "comment \"firezone-gateway tun0\"", true);
    forwarding_renew(f);
    forwarding_renew(f);
    free(with);
    forwarding_free(f);
    expect_state(before);
}

static void killed(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)started();
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void a_killed_run_is_undone(void **state)
{
    (void)state;
    load_firewall();
    char *before = host_state();

    killed();
    expect(ROUTER_V4, "1", true);
    expect(RULESET, "masquerade", false); /* has gone with it */
    expect(RULESET, "comment \"firezone-gateway tun0\"", true);
    routes_recover();
    expect(ROUTER_V4, "0", true);
    forwarding_free(started());
    expect_state(before);

    /* killed again and again, and another TUN in between */
    before = host_state();
    for (unsigned i = 0; i < 3; i++) {
        killed();
        routes_recover();
    }
    struct forwarding *f = started();
    expect_set_up();
    forwarding_free(f);
    expect_state(before);
}

static void interfaces_come_and_go(void **state)
{
    (void)state;
    char *before = host_state();
    struct forwarding *f = started();

    shell("ip tuntap add late0 mode tun; ip link del up1");
    expect("cat /proc/sys/net/ipv4/conf/late0/forwarding", "1", true);
    forwarding_free(f);
    expect("cat /proc/sys/net/ipv4/conf/late0/forwarding", "0", true);
    expect(ROUTER_V6, "0", true);
    shell("ip link del late0");
    free(before);
}

/* More than a journal has room for. */
static void many_interfaces(void **state)
{
    (void)state;
    shell("for i in $(seq 50); do ip tuntap add many$i mode tun || exit 1; done");
    char *before = host_state();
    struct forwarding *f = started();

    expect("cat /proc/sys/net/ipv6/conf/many50/accept_ra", "2", true);
    forwarding_free(f);
    expect_state(before);
    killed();
    routes_recover();
    expect(ROUTER_V4, "0", true);
    expect(ROUTER_V6, "0", true);
    shell("for i in $(seq 50); do ip link del many$i; done");
}

/* ---- packets: tun0 is the clients' side, out0 the network's, with their frames in our hands ---- */

static int device(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
    return fd;
}

/* Waits for a UDP packet of the family, as the host says things of its own. 0: none comes. */
static size_t take(int fd, unsigned version, uint8_t packet[2048])
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (poll(&p, 1, 3000) > 0) {
        ssize_t n = read(fd, packet, 2048);
        unsigned protocol = n < 20 ? 0 : version == 4 ? packet[9] : packet[6];
        if (n >= 28 && packet[0] >> 4 == version && protocol == IPPROTO_UDP)
            return (size_t)n;
    }
    return 0;
}

static uint16_t sum(const uint8_t *bytes, size_t len, uint32_t start)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        start += load_be16(bytes + i);
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return (uint16_t)start;
}

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    if (ip_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

/* Four bytes by UDP. */
static size_t make(uint8_t *p, const char *from, uint16_t from_port, const char *to,
                   uint16_t to_port)
{
    struct ip_addr src = addr(from), dst = addr(to);
    size_t addr_len = ip_addr_len(&src), head = src.family == ADDR_V6 ? 40 : 20;
    size_t at = src.family == ADDR_V6 ? 8 : 12, udp_len = 12;

    memset(p, 0, head + udp_len);
    if (src.family == ADDR_V6) {
        p[0] = 0x60;
        p[5] = (uint8_t)udp_len;
        p[6] = IPPROTO_UDP;
        p[7] = 64;
    } else {
        p[0] = 0x45;
        p[3] = (uint8_t)(head + udp_len);
        p[8] = 64;
        p[9] = IPPROTO_UDP;
    }
    memcpy(p + at, src.bytes, addr_len);
    memcpy(p + at + addr_len, dst.bytes, addr_len);
    if (src.family == ADDR_V4)
        store_be16(p + 10, (uint16_t)~sum(p, head, 0));
    store_be16(p + head, from_port);
    store_be16(p + head + 2, to_port);
    store_be16(p + head + 4, (uint16_t)udp_len);
    uint32_t pseudo = sum(p + at, 2 * addr_len, IPPROTO_UDP + (uint32_t)udp_len);
    store_be16(p + head + 6, (uint16_t)~sum(p + head, udp_len, pseudo));
    return head + udp_len;
}

static void expect_address(const uint8_t *packet, bool destination, const char *text)
{
    struct ip_addr a = addr(text);
    size_t len = ip_addr_len(&a), at = (a.family == ADDR_V6 ? 8 : 12) + (destination ? len : 0);
    assert_memory_equal(packet + at, a.bytes, len);
}

/* Out by the uplink in the host's name, and the answer back to the client. */
static void there_and_back(int tun, int out, const char *client, const char *host,
                           const char *server)
{
    uint8_t p[2048];
    unsigned version = addr(client).family == ADDR_V6 ? 6 : 4;
    size_t len = make(p, client, 1111, server, 2222), head = version == 6 ? 40 : 20;

    assert_int_equal(write(tun, p, len), len);
    assert_true(take(out, version, p) > 0);
    expect_address(p, false, host);
    expect_address(p, true, server);
    len = make(p, server, 2222, host, load_be16(p + head));
    assert_int_equal(write(out, p, len), len);
    assert_true(take(tun, version, p) > 0);
    expect_address(p, false, server);
    expect_address(p, true, client);
}

/* Of two that come from the network for the client only the second, which has an address there, gets to it. */
static void not_in_the_tunnels_name(int tun, int out, const char *forged, const char *right,
                                    const char *client)
{
    uint8_t p[2048];
    size_t len = make(p, forged, 1111, client, 2222);

    assert_int_equal(write(out, p, len), len);
    len = make(p, right, 1111, client, 2222);
    assert_int_equal(write(out, p, len), len);
    assert_true(take(tun, addr(client).family == ADDR_V6 ? 6 : 4, p) > 0);
    expect_address(p, false, right);
}

static void packets_are_masqueraded(void **state)
{
    (void)state;
    load_firewall();
    shell("ip tuntap add out0 mode tun");
    int tun = device("tun0"), out = device("out0");
    shell("ip link set out0 up; ip addr add 198.51.100.1/24 dev out0;"
          "ip addr add 2001:db8::1/64 dev out0 nodad; ip route add 100.64.0.0/11 dev tun0;"
          "ip route add fd00:2021:1111::/107 dev tun0");
    struct forwarding *f = started();
    uint8_t p[2048];

    there_and_back(tun, out, "100.64.0.5", "198.51.100.1", "198.51.100.9");
    there_and_back(tun, out, "fd00:2021:1111::5", "2001:db8::1", "2001:db8::9");
    shell("ip addr add fd00:2021:1111::1/128 dev tun0 nodad;"
          "for i in all out0; do echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter; done");
    not_in_the_tunnels_name(tun, out, "100.64.0.9", "198.51.100.9", "100.64.0.5");
    not_in_the_tunnels_name(tun, out, "fd00:2021:1111::1", "2001:db8::9", "fd00:2021:1111::5");
    /* another source is not one of the clients: as it is */
    size_t len = make(p, "100.128.0.5", 1111, "198.51.100.9", 2222);
    shell("ip route add 100.128.0.0/24 dev tun0");
    assert_int_equal(write(tun, p, len), len);
    assert_true(take(out, 4, p) > 0);
    expect_address(p, false, "100.128.0.5");
    forwarding_free(f);
    close(tun);
    close(out);
    shell("ip link del out0");
}

/* ---- what is missing; each in a process of its own ---- */

static void in_child(void (*run)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void refused(enum err expected, const char *reason)
{
    struct forwarding *f;
    char why[256];
    enum err err = start(&f, why);

    if (err != expected || f || !strstr(why, reason)) {
        fprintf(stderr, "%d: %s\n", err, why);
        _exit(1);
    }
}

static void without_privilege(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(2);
    refused(ERR_PERMISSION, "CAP_NET_ADMIN");
}

static void with_hidden_settings(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, "/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        _exit(2);
    refused(ERR_PERMISSION, "net.ipv4.ip_forward is off");
}

static void without_ipv6(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/proc/sys/net/ipv6", "tmpfs", 0, NULL) != 0)
        _exit(2);
    struct forwarding *f = started();
    expect(RULESET, "table ip6", false);
    expect(RULESET, "ip saddr 100.64.0.0/11 masquerade", true);
    forwarding_renew(f);
    forwarding_free(f);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    char *before = host_state();

    in_child(without_privilege);
    in_child(with_hidden_settings);
    in_child(without_ipv6);
    expect_state(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_is_as_before, set_up),
        cmocka_unit_test_setup(a_router_stays_one, set_up),
        cmocka_unit_test_setup(others_that_drop_let_pass, set_up),
        cmocka_unit_test_setup(what_is_taken_back_comes_again, set_up),
        cmocka_unit_test_setup(a_killed_run_is_undone, set_up),
        cmocka_unit_test_setup(interfaces_come_and_go, set_up),
        cmocka_unit_test_setup(many_interfaces, set_up),
        cmocka_unit_test_setup(packets_are_masqueraded, set_up),
        cmocka_unit_test_setup(what_is_missing_is_named, set_up),
    };

    netns_enter_or_skip();
    if (!netns_private_run())
        return TEST_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
