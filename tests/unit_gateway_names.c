/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of resources against a small DNS server on the same loop, in a namespace of its own. The first label of a name says what the
 * server does with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway_names.c" /* lets time pass for what it keeps */
#include "platform/clock.h"
#include "tests/support/netns.h"

enum {
    MESSAGE_MAX = 1500,
    MARK = 0xfd002021
};

static struct {
    struct loop *loop;
    int udp, listener, client;
    unsigned udp_n, tcp_n, a_n;
    char asked[512]; /* by A queries, in order */
    char resolv_conf[64], hosts[64], folder[32];
    struct egress egress;
    unsigned done, right; /* answers; which came with addresses */
    char text[1024];      /* of the last one */
} rig;

static struct gateway_names *s;

/* ---- the server ---- */

static unsigned put_rr(uint8_t *m, unsigned len, unsigned type, unsigned ttl, const void *data,
                       unsigned data_len)
{
    store_be16(m + len, 0xc00c);
    store_be16(m + len + 2, (uint16_t)type);
    store_be16(m + len + 4, 1);
    store_be32(m + len + 6, ttl);
    store_be16(m + len + 10, (uint16_t)data_len);
    memcpy(m + len + 12, data, data_len);
    store_be16(m + 6, (uint16_t)(load_be16(m + 6) + 1));
    return len + 12 + data_len;
}

static unsigned put_addrs(uint8_t *m, unsigned len, unsigned type, const char *texts)
{
    char copy[256], *rest = NULL;
    struct ip_addr ip;

    snprintf(copy, sizeof copy, "%s", texts);
    for (char *t = strtok_r(copy, " ", &rest); t; t = strtok_r(NULL, " ", &rest)) {
        assert_int_equal(ip_addr_parse(&ip, t), ERR_OK);
        if ((type == 1) == (ip.family == ADDR_V4))
            len = put_rr(m, len, type, 60, ip.bytes, (unsigned)ip_addr_len(&ip));
    }
    return len;
}

static const struct {
    const char *label, *addrs;
} zone[] = {
    {"two", "192.0.2.9 192.0.2.1 2001:db8::2 2001:db8::1"},
    {"only4", "192.0.2.1"},
    {"only6", "2001:db8::1"},
    {"half", "192.0.2.1"},
    {"same", "192.0.2.1 192.0.2.1 10.0.0.1"},
    {"big", "192.0.2.1"},
    {"bad", "127.0.0.1 100.64.0.1 100.96.0.1 100.100.111.1 10.0.0.1 0.0.0.0 224.0.0.1 ::1 :: "
            "fd00:2021:1111::1 fd00:2021:1111:8000::1 fd00:2021:1111:8000:100:100:111:1 "
            "::ffff:10.0.0.1 fe80::1 ff02::1 fd00::1"},
};

/* Answers in place. 0: says nothing. */
static unsigned serve(uint8_t *m, unsigned len, bool tcp)
{
    char name[256] = "", label[64] = "";
    unsigned at = 12, type;

    while (m[at] != 0) {
        size_t have = strlen(name);
        assert_true(at + m[at] + 6u <= len);
        snprintf(name + have, sizeof name - have, "%s%.*s", have ? "." : "", m[at], m + at + 1);
        at += m[at] + 1u;
    }
    snprintf(label, sizeof label, "%.*s", m[12], m + 13);
    type = load_be16(m + at + 1);
    at += 5;
    rig.udp_n += !tcp;
    rig.tcp_n += tcp;
    rig.a_n += type == 1;
    if (type == 1) {
        snprintf(rig.asked + strlen(rig.asked), sizeof rig.asked - strlen(rig.asked), "%s ", name);
    }
    store_be16(m + 2, 0x8180);
    memset(m + 6, 0, 6);
    if (strcmp(label, "silent") == 0)
        return 0;
    if (strcmp(label, "fail") == 0 || (strcmp(label, "half") == 0 && type != 1)) {
        m[3] |= 2;
        return at;
    }
    if (strcmp(label, "big") == 0 && !tcp) {
        m[2] |= 2;
        return at;
    }
    if (strcmp(label, "alias") == 0) {
        at = put_rr(m, at, 5, 7, "\4real\4test", 11);
        at = put_rr(m, at, type, 60, "\xc0\0\2\7\0\0\0\0\0\0\0\0\0\0\0", type == 1 ? 4 : 16);
        /* of the alias, not of the name that was asked */
        unsigned owner = at - 12 - (type == 1 ? 4 : 16);
        store_be16(m + owner, (uint16_t)(0xc000 | (owner - 11)));
        return at;
    }
    for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
        if (strcmp(label, zone[i].label) == 0)
            return put_addrs(m, at, type, zone[i].addrs);
    }
    m[3] |= 3;
    return at;
}

static void on_udp(void *arg, unsigned events)
{
    uint8_t m[MESSAGE_MAX];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;

    (void)arg, (void)events;
    ssize_t n = recvfrom(rig.udp, m, 512, 0, (struct sockaddr *)&from, &from_len);
    unsigned len = n > 17 ? serve(m, (unsigned)n, false) : 0;
    if (len > 0)
        assert_int_equal(sendto(rig.udp, m, len, 0, (struct sockaddr *)&from, from_len), len);
}

static void on_client(void *arg, unsigned events)
{
    uint8_t in[MESSAGE_MAX], out[MESSAGE_MAX + 2];
    ssize_t n = recv(rig.client, in, sizeof in, MSG_DONTWAIT);

    (void)arg, (void)events;
    if (n <= 0) {
        loop_del_fd(rig.loop, rig.client);
        close(rig.client);
        rig.client = -1;
        return;
    }
    for (ssize_t at = 0; at + 2 < n; at += 2 + load_be16(in + at)) {
        memcpy(out + 2, in + at + 2, load_be16(in + at));
        unsigned len = serve(out + 2, load_be16(in + at), true);
        store_be16(out, (uint16_t)len);
        assert_int_equal(send(rig.client, out, len + 2, 0), len + 2);
    }
}

static void on_listener(void *arg, unsigned events)
{
    (void)arg, (void)events;
    assert_int_equal(rig.client, -1);
    rig.client = accept(rig.listener, NULL, NULL);
    assert_true(rig.client >= 0);
    assert_int_equal(loop_add_fd(rig.loop, rig.client, LOOP_READ, on_client, NULL), ERR_OK);
}

static int bound(int type)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0), on = 1, room = 8 << 20;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* ---- arranging ---- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

#define RESOLV_TEXT "nameserver 127.0.0.1\nsearch corp.test\noptions ndots:2 timeout:1 attempts:1\n"

static int set_up(void **state)
{
    char why[160];

    (void)state;
    rig.udp_n = rig.tcp_n = rig.a_n = rig.done = rig.right = 0;
    rig.asked[0] = rig.text[0] = 0;
    rig.client = -1;
    assert_int_equal(loop_new(&rig.loop), ERR_OK);
    rig.udp = bound(SOCK_DGRAM);
    rig.listener = bound(SOCK_STREAM);
    assert_int_equal(listen(rig.listener, 4), 0);
    assert_int_equal(loop_add_fd(rig.loop, rig.udp, LOOP_READ, on_udp, NULL), ERR_OK);
    assert_int_equal(loop_add_fd(rig.loop, rig.listener, LOOP_READ, on_listener, NULL), ERR_OK);
    snprintf(rig.folder, sizeof rig.folder, "/tmp/names.XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    snprintf(rig.resolv_conf, sizeof rig.resolv_conf, "%s/resolv.conf", rig.folder);
    snprintf(rig.hosts, sizeof rig.hosts, "%s/hosts", rig.folder);
    write_text(rig.resolv_conf, RESOLV_TEXT);
    write_text(rig.hosts, "198.51.100.7 here.example.test\n");
    assert_int_equal(egress_open(&rig.egress, MARK, false, "test", why, sizeof why), ERR_OK);
    assert_int_equal(
        gateway_names_new(&s, rig.loop, &rig.egress, rig.resolv_conf, rig.hosts, why, sizeof why),
        ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_names_free(s);
    egress_close(&rig.egress);
    if (rig.client >= 0) {
        loop_del_fd(rig.loop, rig.client);
        close(rig.client);
    }
    loop_del_fd(rig.loop, rig.udp);
    loop_del_fd(rig.loop, rig.listener);
    close(rig.udp);
    close(rig.listener);
    loop_free(rig.loop);
    unlink(rig.resolv_conf);
    unlink(rig.hosts);
    rmdir(rig.folder);
    return 0;
}

static void on_done(struct gateway_names_query *q, const struct gateway_name_addrs *addrs)
{
    char one[IP_TEXT_MAX];
    size_t len = 0;

    assert_null(q->name);
    rig.done++;
    rig.right += addrs && addrs->n > 0;
    snprintf(rig.text, sizeof rig.text, "%s", addrs ? "" : "-");
    for (unsigned i = 0; addrs && i < addrs->n; i++)
        len += (size_t)snprintf(rig.text + len, sizeof rig.text - len, "%s%s", i > 0 ? " " : "",
                                ip_addr_format(&addrs->ips[i], one, sizeof one));
}

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing has come for 20 s");
}

static unsigned wanted;

static void on_look(void *arg)
{
    if (rig.done >= wanted)
        loop_stop(rig.loop);
    else
        loop_timer_set(rig.loop, arg, clock_now() + NS_PER_MS);
}

/* Until so many have been told in all. */
static void await(unsigned n)
{
    struct loop_timer late, look;

    wanted = n;
    loop_timer_init(&late, too_long, NULL);
    loop_timer_init(&look, on_look, &look);
    loop_timer_set(rig.loop, &late, clock_now() + 20 * NS_PER_SEC);
    loop_timer_set(rig.loop, &look, clock_now());
    assert_int_equal(loop_run(rig.loop), ERR_OK);
    loop_timer_clear(rig.loop, &late);
}

static void ask(struct gateway_names_query *q, const char *name)
{
    q->done = on_done;
    q->name = NULL;
    assert_int_equal(gateway_names_ask(s, q, name), ERR_OK);
}

static const char *resolve(const char *name)
{
    struct gateway_names_query q;
    unsigned before = rig.done;

    ask(&q, name);
    assert_int_equal(rig.done, before); /* from the loop, whatever is known already */
    await(before + 1);
    assert_int_equal(rig.done, before + 1);
    return rig.text;
}

/* ---- what a name gets ---- */

static void test_answers(void **state)
{
    static const struct {
        const char *name, *addrs;
    } cases[] = {
        {"two.example.test", "192.0.2.1 192.0.2.9 2001:db8::1 2001:db8::2"},
        {"only4.example.test", "192.0.2.1"},
        {"only6.example.test", "2001:db8::1"},
        {"half.example.test", "192.0.2.1"}, /* one family fails */
        {"same.example.test", "10.0.0.1 192.0.2.1"},
        {"alias.example.test", "192.0.2.7 c000:207::"},
        {"big.example.test", "192.0.2.1"},
        {"nx.example.test", ""},
        {"fail.example.test", ""},
        {"here.example.test", "198.51.100.7"},
        {"192.0.2.77", "192.0.2.77"},
        {"localhost", ""},
        {"a..b", ""},
        {"bad.example.test", "10.0.0.1 fd00::1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (strcmp(resolve(cases[i].name), cases[i].addrs) != 0)
            fail_msg("%s: '%s'", cases[i].name, rig.text);
    }
    assert_true(rig.tcp_n > 0);
    assert_null(strstr(rig.asked, "here.example.test")); /* the hosts file comes first */
    assert_int_equal(gateway_names_count(s, GATEWAY_NAMES_REFUSED), 16 - 2 + 2 /* of localhost */);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *ip;
        bool allowed;
    } cases[] = {
        {"100.63.255.255", true},
        {"100.64.0.0", false},
        {"100.95.255.255", false},
        {"100.127.255.255", false},
        {"100.128.0.0", true},
        {"10.0.0.1", true},
        {"192.168.1.1", true},
        {"172.16.0.1", true},
        {"0.1.2.3", false},
        {"127.255.0.1", false},
        {"128.0.0.1", true},
        {"169.254.169.254", false},
        {"223.255.255.255", true},
        {"239.1.1.1", false},
        {"255.255.255.255", false},
        {"::", false},
        {"::1", false},
        {"::2", true},
        {"fd00:2021:1111::", false},
        {"fd00:2021:1111::1f:ffff", false},
        {"fd00:2021:1111::20:0", true},
        {"fd00:2021:1111:8000::", false},
        {"fd00:2021:1111:8000::1f:ffff", false},
        {"fd00:2021:1111:8000::20:0", true},
        {"fd00:2021:1111:8000:100:100:111:ff", false},
        {"fd00:2021:1111:8000:100:100:112:0", true},
        {"fc00::1", true},
        {"2001:db8::1", true},
        {"64:ff9b::a00:1", true},
        {"fe80::1", false},
        {"febf::1", false},
        {"fec0::1", true},
        {"ff0e::1", false},
        {"::ffff:192.0.2.1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_addr ip;
        assert_int_equal(ip_addr_parse(&ip, cases[i].ip), ERR_OK);
        if (gateway_names_allowed(&ip) != cases[i].allowed)
            fail_msg("%s", cases[i].ip);
    }
}

/* ndots and the search list are those of the file. */
static void test_search(void **state)
{
    (void)state;
    resolve("nx.test");
    assert_string_equal(rig.asked, "nx.test.corp.test nx.test ");
    rig.asked[0] = 0;
    assert_string_equal(resolve("only4"), "192.0.2.1");
    assert_string_equal(rig.asked, "only4.corp.test ");
}

/* Those that are connected to the server. */
static void test_sockets_are_marked(void **state)
{
    struct gateway_names_query q;
    unsigned n = 0;

    (void)state;
    ask(&q, "silent.example.test");
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in to;
        socklen_t to_len = sizeof to, len = sizeof(uint32_t);
        uint32_t mark = 0;
        if (getpeername(fd, (struct sockaddr *)&to, &to_len) != 0 || to.sin_port != htons(53))
            continue;
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len), 0);
        assert_int_equal(mark, MARK);
        n++;
    }
    assert_true(n > 0);
    gateway_names_cancel(&q);
}

/* ---- how often it is asked ---- */

static void test_asked_once(void **state)
{
    struct gateway_names_query q[3];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(q); i++)
        ask(&q[i], "two.example.test");
    gateway_names_cancel(&q[1]);
    gateway_names_cancel(&q[1]);
    await(2);
    assert_int_equal(rig.done, 2);
    assert_int_equal(rig.a_n, 1);
    resolve("two.example.test");
    assert_int_equal(rig.a_n, 1);
    s->lists[NAME_KEPT].first->until = 1; /* its TTL is over */
    assert_string_equal(resolve("two.example.test"), "192.0.2.1 192.0.2.9 2001:db8::1 2001:db8::2");
    assert_int_equal(rig.a_n, 2);
    assert_int_equal(s->kept, 1);
}

static void test_what_is_not_kept(void **state)
{
    static const char *const names[] = {"nx.example.test", "here.example.test", "fail.example.test",
                                        "192.0.2.77"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        resolve(names[i]);
        assert_null(s->lists[NAME_KEPT].first);
    }
}

static void test_oldest_goes_first(void **state)
{
    char name[64];

    (void)state;
    for (unsigned i = 0; i < GATEWAY_NAMES_CACHE_MAX + 2; i++) {
        snprintf(name, sizeof name, "only4.n%u.test", i);
        resolve(name);
    }
    assert_int_equal(s->kept, GATEWAY_NAMES_CACHE_MAX);
    unsigned before = rig.a_n;
    resolve("only4.n2.test");
    assert_int_equal(rig.a_n, before);
    resolve("only4.n1.test");
    assert_int_equal(rig.a_n, before + 1);
}

static void test_all_are_told_when_many_ask(void **state)
{
    static struct gateway_names_query q[GATEWAY_NAMES_MAX + 1];
    char name[64];

    (void)state;
    for (unsigned i = 0; i < GATEWAY_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "only4.n%u.test", i);
        ask(&q[i], name);
    }
    q[GATEWAY_NAMES_MAX] = (struct gateway_names_query){.done = on_done};
    assert_int_equal(gateway_names_ask(s, &q[GATEWAY_NAMES_MAX], "one.more.test"), ERR_FULL);
    gateway_names_cancel(&q[GATEWAY_NAMES_MAX]);
    ask(&q[GATEWAY_NAMES_MAX], "only4.n5.test"); /* is asked for already */
    await(GATEWAY_NAMES_MAX + 1);
    assert_int_equal(rig.done, GATEWAY_NAMES_MAX + 1);
    assert_int_equal(rig.right, rig.done);
    assert_int_equal(rig.a_n, GATEWAY_NAMES_MAX);
    assert_int_equal(s->questions, 0);
}

/* ---- servers that do not answer, and others ---- */

static void test_silence(void **state)
{
    (void)state;
    assert_string_equal(resolve("silent.example.test"), "-"); /* by c-ares' time-out */
    assert_int_equal(gateway_names_count(s, GATEWAY_NAMES_SILENT), 1);
    assert_null(s->lists[NAME_KEPT].first);
}

/* Its 10 s are over before c-ares gives up. */
static void test_timeout(void **state)
{
    struct gateway_names_query q;

    (void)state;
    ask(&q, "silent.example.test");
    s->lists[NAME_ASKED].first->until = clock_now();
    arm(s);
    await(1);
    assert_string_equal(rig.text, "-");
    assert_int_equal(s->questions, 1);
    resolve("two.example.test"); /* and the late end of that does no harm */
    for (unsigned i = 0; s->questions > 0; i++) {
        assert_in_range(i, 0, 20);
        resolve("fail.example.test");
        usleep(200000);
    }
}

static void test_another_network(void **state)
{
    struct gateway_names_query q;

    (void)state;
    resolve("only4.example.test");
    ask(&q, "two.example.test");
    gateway_names_moved(s);
    assert_null(s->lists[NAME_KEPT].first);
    assert_int_equal(s->questions, 1);
    await(2);
    assert_string_equal(rig.text, "192.0.2.1 192.0.2.9 2001:db8::1 2001:db8::2");
}

static void test_another_resolv_conf(void **state)
{
    (void)state;
    assert_string_equal(resolve("only4"), "192.0.2.1");
    write_text(rig.resolv_conf, "nameserver 127.0.0.1\nsearch other.test\n");
    rig.asked[0] = 0;
    assert_string_equal(resolve("only4"), "192.0.2.1");
    assert_string_equal(rig.asked, "only4.other.test ");
    unlink(rig.resolv_conf); /* 127.0.0.1 then */
    assert_string_equal(resolve("two.example.test"), "192.0.2.1 192.0.2.9 2001:db8::1 2001:db8::2");
}

static void test_free_while_asking(void **state)
{
    struct gateway_names_query q[3];

    (void)state;
    resolve("only4.example.test");
    ask(&q[0], "two.example.test");
    ask(&q[1], "silent.example.test");
    ask(&q[2], "only4.example.test");
    gateway_names_free(s);
    s = NULL;
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        assert_null(q[i].name);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        cmocka_unit_test(test_what_is_refused),
        TEST(test_search),
        TEST(test_sockets_are_marked),
        TEST(test_asked_once),
        TEST(test_what_is_not_kept),
        TEST(test_oldest_goes_first),
        TEST(test_all_are_told_when_many_ask),
        TEST(test_silence),
        TEST(test_timeout),
        TEST(test_another_network),
        TEST(test_another_resolv_conf),
        TEST(test_free_while_asking),
    };

    netns_enter_or_skip();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
