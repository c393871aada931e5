/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names against small DNS servers on loopback, each a thread with a UDP and a TCP socket on one port. The first label of a
 * name says what they do with it; addresses end in the number of the server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/names.c" /* looks at its sockets */
#include "platform/clock.h"
#include "platform/linux/addr_os.h"

enum {
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_AAAA = 28,
    MESSAGE_MAX = 2048,
    CLIENTS_MAX = 16
};

/* ---- the server ---- */

struct server {
    unsigned number;
    bool silent; /* to everything */
    struct sock_addr addr;
    int udp, listener, stop;
    pthread_t thread;
    atomic_uint udp_n, tcp_n; /* queries */
    atomic_uint strange;      /* ... for a name that no test has asked for */
    unsigned seen_lost[2];    /* the server's thread only */
};

static unsigned put16(uint8_t *m, unsigned len, unsigned value)
{
    store_be16(m + len, (uint16_t)value);
    return len + 2;
}

/* owner: the offset of a name in the message. */
static unsigned put_rr(uint8_t *m, unsigned len, unsigned owner, unsigned type, const void *data,
                       unsigned data_len)
{
    len = put16(m, len, 0xc000 | owner);
    len = put16(m, len, type);
    len = put16(m, len, 1);
    len = put16(m, len, 0);
    len = put16(m, len, 60);
    len = put16(m, len, data_len);
    memcpy(m + len, data, data_len);
    store_be16(m + 6, (uint16_t)(load_be16(m + 6) + 1));
    return len + data_len;
}

static unsigned put_addr(const struct server *s, uint8_t *m, unsigned len, unsigned owner,
                         unsigned type, unsigned which)
{
    uint8_t v4[4] = {192, 0, 2, 0}, v6[16] = {0x20, 1, 0xd, 0xb8};

    v4[2] = v6[14] = (uint8_t)which;
    v4[3] = v6[15] = (uint8_t)s->number;
    return type == TYPE_A ? put_rr(m, len, owner, type, v4, 4)
                          : put_rr(m, len, owner, type, v6, 16);
}

/* Answers in place. 0: says nothing. */
static unsigned serve(struct server *s, uint8_t *m, unsigned len, bool tcp)
{
    unsigned end = 12;
    char label[64] = "";

    if (len < 17)
        return 0;
    memcpy(label, m + 13, size_min(m[12], 63));
    while (end < len && m[end] != 0)
        end += m[end] + 1u;
    if (end + 5 > len)
        return 0;
    if (end < 18 || memcmp(m + end - 5, "\4test", 5) != 0)
        s->strange++;
    unsigned type = load_be16(m + end + 1);
    bool v4 = type == TYPE_A;
    end += 5;
    *(tcp ? &s->tcp_n : &s->udp_n) += 1;
#define IS(name) (strcmp(label, name) == 0)
    if (s->silent || IS("silent") || (IS("tcponly") && !tcp) || (IS("half") && !v4))
        return 0;
    if (IS("lost") && s->seen_lost[v4]++ == 0)
        return 0;
    store_be16(m + 2, 0x8180);
    memset(m + 6, 0, 6);
    if (IS("nx") || (IS("odd") && s->number == 2))
        m[3] |= 3;
    else if (IS("fail") || (IS("odd") && s->number == 1))
        m[3] |= 2;
    else if (IS("refuse") || (IS("second") && s->number == 1))
        m[3] |= 5;
    else if (IS("big") && !tcp)
        m[2] |= 2;
    else if (IS("garbage"))
        return 15;
    else if (IS("alias")) {
        end = put_rr(m, end, 12, TYPE_CNAME, "\3one\xc0\x12", 6);
        end = put_rr(m, end, end - 6, TYPE_CNAME, "\3two\xc0\x12", 6);
        end = put_addr(s, m, end, end - 6, type, 7);
    } else if (IS("many")) {
        for (unsigned i = 0; i < 20; i++)
            end = put_addr(s, m, end, 12, type, i);
    } else if (IS("same")) {
        end = put_rr(m, end, 12, type, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\5", v4 ? 4 : 16);
    } else if (!IS("empty") && !(IS("only4") && !v4) && !(IS("only6") && v4))
        end = put_addr(s, m, end, 12, type, 1);
#undef IS
    return end;
}

static void serve_udp(struct server *s)
{
    uint8_t m[MESSAGE_MAX];
    union addr_os from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(s->udp, m, 512, 0, &from.sa, &from_len);
    unsigned len = n > 0 ? serve(s, m, (unsigned)n, false) : 0;

    if (len > 0)
        (void)!sendto(s->udp, m, len, 0, &from.sa, from_len);
}

/* False: the client has gone. Queries are expected to come whole. */
static bool serve_tcp(struct server *s, int fd)
{
    uint8_t in[MESSAGE_MAX], m[MESSAGE_MAX + 2];
    ssize_t n = recv(fd, in, sizeof in, 0);

    if (n <= 0)
        return false;
    for (unsigned at = 0; at + 2 <= n;) {
        unsigned len = load_be16(in + at);
        if (at + 2 + len > n)
            return false;
        memcpy(m + 2, in + at + 2, len);
        at += 2 + len;
        len = serve(s, m + 2, len, true);
        store_be16(m, (uint16_t)len);
        if (len > 0)
            (void)!send(fd, m, len + 2, MSG_NOSIGNAL);
    }
    return true;
}

static void *server_run(void *arg)
{
    struct server *s = arg;
    struct pollfd fds[3 + CLIENTS_MAX] = {
        {.fd = s->udp, .events = POLLIN},
        {.fd = s->listener, .events = POLLIN},
        {.fd = s->stop, .events = POLLIN},
    };
    nfds_t n = 3;

    while (poll(fds, n, -1) >= 0 && !fds[2].revents) {
        if (fds[0].revents)
            serve_udp(s);
        for (nfds_t i = n; i-- > 3;) {
            if (!fds[i].revents || serve_tcp(s, fds[i].fd))
                continue;
            close(fds[i].fd);
            fds[i] = fds[--n];
        }
        if (fds[1].revents && n < ARRAY_LEN(fds))
            fds[n++] = (struct pollfd){.fd = accept(s->listener, NULL, NULL), .events = POLLIN};
    }
    while (n-- > 3)
        close(fds[n].fd);
    return NULL;
}

static struct sock_addr address(const char *ip, uint16_t port)
{
    struct sock_addr a;
    assert_int_equal(ip_scoped_parse(&a, ip, strlen(ip), scope_ifindex), ERR_OK);
    a.port = port;
    return a;
}

static bool bind_both(struct server *s, const char *ip)
{
    union addr_os name;
    struct sock_addr a = address(ip, 0);
    socklen_t len = addr_os_to(&name, &a);

    s->udp = socket(name.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    s->listener = socket(name.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->udp, &name.sa, len), 0);
    assert_int_equal(getsockname(s->udp, &name.sa, &len), 0);
    addr_os_from(&s->addr, &name);
    if (bind(s->listener, &name.sa, len) == 0 && listen(s->listener, 8) == 0)
        return true;
    close(s->udp);
    close(s->listener);
    return false;
}

static void server_start_at(struct server *s, unsigned number, const char *ip)
{
    *s = (struct server){.number = number, .silent = number == 0};
    while (!bind_both(s, ip))
        ;
    s->stop = eventfd(0, EFD_CLOEXEC);
    assert_true(s->stop >= 0);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

/* number 0: answers nothing. */
static void server_start(struct server *s, unsigned number)
{
    server_start_at(s, number, "127.0.0.1");
}

static void server_stop(struct server *s)
{
    assert_int_equal(eventfd_write(s->stop, 1), 0);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->udp);
    close(s->listener);
    close(s->stop);
    assert_int_equal(s->strange, 0);
}

/* ---- the client ---- */

struct rig {
    unsigned fds;
    struct loop *loop;
    struct names *names;
    struct names_result results[2];
    unsigned calls, stop_after;
    struct loop_timer guard, probe;
    time_ns began;
    struct server *servers[2];
    bool free_in_done;
    bool udp_marked, tcp_marked;
    struct names_query *query;
};

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void on_done(void *arg, const struct names_result *result)
{
    struct rig *r = arg;

    r->results[r->calls++ % 2] = *result;
    if (r->free_in_done) {
        names_free(r->names);
        r->names = NULL;
    }
    if (r->calls == r->stop_after)
        loop_stop(r->loop);
}

static void on_guard(void *arg)
{
    loop_stop(((struct rig *)arg)->loop);
}

static const char hosts_none[] = "/nonexistent/hosts";
static const struct egress marked = {.mark = 0xfd002021};

static void rig_start(struct rig *r, struct server *first, struct server *second,
                      const struct egress *egress, const char *hosts)
{
    struct sock_addr addrs[2];
    unsigned n = 0;

    *r = (struct rig){.fds = open_fds(), .stop_after = 1, .servers = {first, second}};
    if (first)
        addrs[n++] = first->addr;
    if (second)
        addrs[n++] = second->addr;
    r->fds -= 3 * n; /* theirs */
    assert_int_equal(loop_new(&r->loop), ERR_OK);
    assert_int_equal(names_new(&r->names, r->loop, addrs, n, egress, hosts), ERR_OK);
}

static void rig_stop(struct rig *r)
{
    names_free(r->names);
    loop_free(r->loop);
    for (unsigned i = 0; i < 2; i++) {
        if (r->servers[i])
            server_stop(r->servers[i]);
    }
    assert_int_equal(open_fds(), r->fds);
}

/* At most 20 s, in case nobody calls. */
static void run(struct rig *r)
{
    loop_timer_init(&r->guard, on_guard, r);
    r->began = clock_now();
    loop_timer_set(r->loop, &r->guard, r->began + 20 * NS_PER_SEC);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &r->guard);
}

static void ask_for(struct rig *r, const char *host)
{
    assert_int_equal(names_lookup(r->names, &r->query, host, 443, on_done, r), ERR_OK);
    assert_non_null(r->query);
}

static const char *shown(const struct names_result *result)
{
    static char text[NAMES_ADDRS_MAX * SOCK_ADDR_TEXT_MAX];
    char one[SOCK_ADDR_TEXT_MAX];

    text[0] = '\0';
    for (unsigned i = 0; i < result->n; i++) {
        strcat(text, sock_addr_format(&result->addrs[i], one, sizeof one));
        strcat(text, " ");
    }
    return text;
}

static const struct names_result *lookup(struct rig *r, const char *host)
{
    unsigned calls = r->calls;

    r->stop_after = calls + 1;
    ask_for(r, host);
    assert_int_equal(r->calls, calls); /* never from names_lookup itself */
    run(r);
    assert_int_equal(r->calls, calls + 1);
    const struct names_result *result = &r->results[calls % 2];
    assert_true(result->err == ERR_OK ? result->n > 0 && result->why[0] == '\0'
                                      : result->n == 0 && strstr(result->why, host));
    return result;
}

static void expect(struct rig *r, const char *host, const char *addrs)
{
    const struct names_result *result = lookup(r, host);

    if (result->err != ERR_OK || strcmp(shown(result), addrs) != 0)
        fail_msg("%s: %s; %s", host, shown(result), result->why);
}

static void expect_error(struct rig *r, const char *host, enum err err, const char *why)
{
    const struct names_result *result = lookup(r, host);

    if (result->err != err || !strstr(result->why, why))
        fail_msg("%s: %s; %s", host, err_text(result->err), result->why);
}

/* ---- tests ---- */

static void test_one_server(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    expect(&r, "both.test", "[2001:db8::101]:443 192.0.1.1:443 ");
    expect(&r, "BOTH.test", "[2001:db8::101]:443 192.0.1.1:443 ");
    expect(&r, "both.test.", "[2001:db8::101]:443 192.0.1.1:443 ");
    expect(&r, "only4.test", "192.0.1.1:443 ");
    expect(&r, "only6.test", "[2001:db8::101]:443 ");
    expect(&r, "alias.test", "[2001:db8::701]:443 192.0.7.1:443 ");
    unsigned asked = s.udp_n;
    assert_true(asked >= 12); /* more if the machine is busy */
    assert_int_equal(s.tcp_n, 0);
    /* Asked anew each time: there is no cache. */
    expect(&r, "both.test", "[2001:db8::101]:443 192.0.1.1:443 ");
    assert_true(s.udp_n >= asked + 2);
    rig_stop(&r);
}

static void test_bounded(void **state)
{
    struct server s, t;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    server_start(&t, 2);
    rig_start(&r, &s, &t, NULL, hosts_none);
    const struct names_result *result = lookup(&r, "many.test");
    assert_int_equal(result->err, ERR_OK);
    assert_int_equal(result->n, 2 * FAMILY_MAX);
    for (unsigned i = 0; i < result->n; i++)
        assert_int_equal(result->addrs[i].ip.family, i < FAMILY_MAX ? ADDR_V6 : ADDR_V4);
    rig_stop(&r);
}

static void test_errors(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    expect_error(&r, "nx.test", ERR_NOT_FOUND, "no such host");
    expect_error(&r, "empty.test", ERR_NOT_FOUND, "no address");
    assert_int_equal(s.tcp_n, 0);
    expect_error(&r, "fail.test", ERR_AGAIN, "127.0.0.1:");
    assert_true(s.tcp_n > 0);
    expect_error(&r, "refuse.test", ERR_AGAIN, "refused");
    expect_error(&r, "garbage.test", ERR_AGAIN, "127.0.0.1:");
    expect_error(&r, "a..test", ERR_NOT_FOUND, "no such host");
    rig_stop(&r);
}

static void test_merge(void **state)
{
    struct server s, t;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    server_start(&t, 2);
    rig_start(&r, &s, &t, NULL, hosts_none);
    expect(&r, "both.test", "[2001:db8::101]:443 [2001:db8::102]:443 192.0.1.1:443 192.0.1.2:443 ");
    expect(&r, "same.test", "[2001:db8::5]:443 32.1.13.184:443 ");
    expect(&r, "second.test", "[2001:db8::102]:443 192.0.1.2:443 ");
    expect_error(&r, "odd.test", ERR_AGAIN, "127.0.0.1:"); /* one cannot tell, one says no */
    rig_stop(&r);
}

/* The first server is dead. That costs the grace of 250 ms, not the 2 s it is given if there is no other. */
static void test_silent_and_answering(void **state)
{
    struct server dead, s;
    struct rig r;

    (void)state;
    server_start(&dead, 0);
    server_start(&s, 2);
    rig_start(&r, &dead, &s, NULL, hosts_none);
    expect(&r, "both.test", "[2001:db8::102]:443 192.0.1.2:443 ");
    assert_true(clock_now() - r.began < 1800 * NS_PER_MS);
    assert_int_equal(dead.tcp_n, 0);
    expect_error(&r, "nx.test", ERR_NOT_FOUND, "no such host");
    rig_stop(&r);
}

static void test_silence(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 0);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    expect_error(&r, "both.test", ERR_AGAIN, "has answered, asked 127.0.0.1:");
    assert_int_equal(s.udp_n, 2 * DNS_ASK_UDP_TRIES);
    assert_int_equal(s.tcp_n, 2);
    rig_stop(&r);
}

static void test_lost_and_truncated(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    expect(&r, "lost.test", "[2001:db8::101]:443 192.0.1.1:443 ");
    assert_true(s.udp_n >= 4);
    assert_int_equal(s.tcp_n, 0);
    expect(&r, "big.test", "[2001:db8::101]:443 192.0.1.1:443 ");
    assert_int_equal(s.tcp_n, 2);
    expect(&r, "tcponly.test", "[2001:db8::101]:443 192.0.1.1:443 ");
    expect(&r, "half.test", "192.0.1.1:443 "); /* AAAA is dropped */
    rig_stop(&r);
}

/* Nobody listens: told at once by ICMP, or by the kernel. */
static void test_unreachable(void **state)
{
    struct rig r;
    struct server gone;
    struct sock_addr servers[3];

    (void)state;
    server_start(&gone, 1);
    server_stop(&gone);
    rig_start(&r, NULL, NULL, NULL, hosts_none);
    servers[0] = gone.addr;
    servers[1] = address("255.255.255.255", 53); /* EACCES is no matter of the mark */
    servers[2] = address("fe80::1", 53);
    assert_int_equal(names_set_servers(r.names, servers, 3), ERR_OK);
    expect_error(&r, "both.test", ERR_AGAIN, "255.255.255.255:53");
    rig_stop(&r);
}

static void test_no_servers(void **state)
{
    struct rig r;
    struct sock_addr servers[NAMES_SERVERS_MAX + 1];

    (void)state;
    rig_start(&r, NULL, NULL, NULL, hosts_none);
    expect_error(&r, "both.test", ERR_AGAIN, "no DNS server is known");
    for (unsigned i = 0; i < ARRAY_LEN(servers); i++)
        servers[i] = address("192.0.2.1", 53);
    assert_int_equal(names_set_servers(r.names, servers, NAMES_SERVERS_MAX + 1), ERR_INVALID);
    servers[1] = (struct sock_addr){0};
    assert_int_equal(names_set_servers(r.names, servers, 2), ERR_INVALID);
    expect_error(&r, "both.test", ERR_AGAIN, "no DNS server is known");
    rig_stop(&r);
}

static void test_ipv6_server(void **state)
{
    struct server s;
    struct rig r;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sock_addr loopback = address("::1", 0);
    union addr_os name;
    socklen_t len = addr_os_to(&name, &loopback);
    bool usable = fd >= 0 && bind(fd, &name.sa, len) == 0;

    (void)state;
    if (fd >= 0)
        close(fd);
    if (!usable)
        skip();
    server_start_at(&s, 3, "::1");
    rig_start(&r, &s, NULL, NULL, hosts_none);
    expect(&r, "both.test", "[2001:db8::103]:443 192.0.1.3:443 ");
    expect(&r, "big.test", "[2001:db8::103]:443 192.0.1.3:443 ");
    rig_stop(&r);
}

static void test_literals(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, &marked, hosts_none); /* no socket, no mark */
    expect(&r, "192.0.2.7", "192.0.2.7:443 ");
    expect(&r, "2001:db8::7", "[2001:db8::7]:443 ");
    expect(&r, "fe80::7%lo", "[fe80::7%1]:443 ");
    expect(&r, "fe80::7%1", "[fe80::7%1]:443 ");
    assert_int_equal(s.udp_n + s.tcp_n, 0);
    rig_stop(&r);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_hosts(void **state)
{
    char dir[] = "/tmp/unit_names.XXXXXX", path[64];
    struct server s;
    struct rig r;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/hosts", dir);
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, path);
    write_file(path, "10.0.0.1 both.test nx.test silent.test\n192.0.1.1 both.test\n");
    expect(&r, "both.test", "[2001:db8::101]:443 192.0.1.1:443 10.0.0.1:443 ");
    expect(&r, "nx.test", "10.0.0.1:443 ");
    expect(&r, "silent.test", "10.0.0.1:443 ");
    assert_int_equal(s.tcp_n, 0);
    write_file(path, "fe80::1%lo nx.test\n"); /* read anew */
    expect(&r, "nx.test", "[fe80::1%1]:443 ");
    assert_int_equal(names_set_servers(r.names, NULL, 0), ERR_OK);
    expect(&r, "nx.test", "[fe80::1%1]:443 ");
    unlink(path);
    expect_error(&r, "nx.test", ERR_AGAIN, "hosts file");
    rig_stop(&r);
    rmdir(dir);
}

static void test_directory_as_hosts(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, "/");
    expect(&r, "only4.test", "192.0.1.1:443 ");
    rig_stop(&r);
}

static void test_two_at_once(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    r.stop_after = 2;
    ask_for(&r, "lost.test");
    ask_for(&r, "only4.test");
    run(&r);
    assert_int_equal(r.calls, 2);
    assert_string_equal(shown(&r.results[0]), "192.0.1.1:443 ");
    assert_string_equal(shown(&r.results[1]), "[2001:db8::101]:443 192.0.1.1:443 ");
    rig_stop(&r);
}

static void on_stop(void *arg)
{
    loop_stop(((struct rig *)arg)->loop);
}

/* Until everything has been sent, so that it is under way. */
static void run_a_little(struct rig *r)
{
    struct loop_timer t;

    loop_timer_init(&t, on_stop, r);
    loop_timer_set(r->loop, &t, clock_now() + 50 * NS_PER_MS);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &t);
}

static void test_cancel(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    names_cancel(NULL);
    ask_for(&r, "both.test"); /* before it has begun */
    names_cancel(r.query);
    unsigned idle = open_fds();
    ask_for(&r, "silent.test");
    run_a_little(&r);
    assert_int_equal(open_fds(), idle + 1);
    names_cancel(r.query);
    assert_int_equal(open_fds(), idle);
    assert_int_equal(r.calls, 0);
    expect(&r, "only4.test", "192.0.1.1:443 ");
    assert_int_equal(open_fds(), idle);
    rig_stop(&r);
}

static void test_free_under_way(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    ask_for(&r, "silent.test");
    ask_for(&r, "big.test");
    r.stop_after = 0;
    run_a_little(&r);
    ask_for(&r, "both.test"); /* not begun */
    rig_stop(&r);

    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    r.free_in_done = true;
    ask_for(&r, "silent.test");
    lookup(&r, "both.test");
    assert_null(r.names);
    rig_stop(&r);
    names_free(NULL);
}

static void test_set_servers(void **state)
{
    struct server s, t;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    server_start(&t, 2);
    rig_start(&r, &s, &t, NULL, hosts_none);
    assert_int_equal(names_set_servers(r.names, &s.addr, 1), ERR_OK);
    ask_for(&r, "lost.test");
    r.stop_after = 0;
    run_a_little(&r);
    assert_int_equal(names_set_servers(r.names, &t.addr, 1), ERR_OK);
    r.stop_after = 1;
    run(&r); /* with the old ones */
    assert_string_equal(shown(&r.results[0]), "[2001:db8::101]:443 192.0.1.1:443 ");
    expect(&r, "both.test", "[2001:db8::102]:443 192.0.1.2:443 ");
    rig_stop(&r);
}

static void test_roam(void **state)
{
    struct server s, t;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    server_start(&t, 0);
    rig_start(&r, &t, NULL, NULL, hosts_none);
    r.servers[1] = &s;
    r.fds -= 3;
    names_roam(r.names); /* nothing is under way */
    ask_for(&r, "both.test");
    names_roam(r.names); /* nor has it begun */
    r.stop_after = 0;
    run_a_little(&r);
    while (t.udp_n < 2)
        usleep(1000);
    assert_int_equal(names_set_servers(r.names, &s.addr, 1), ERR_OK);
    names_roam(r.names);
    names_roam(r.names);
    assert_int_equal(r.calls, 0);
    r.stop_after = 1;
    run(&r);
    assert_string_equal(shown(&r.results[0]), "[2001:db8::101]:443 192.0.1.1:443 ");
    assert_true(s.udp_n >= 2);
    rig_stop(&r);
}

/* Variables that the C library and c-ares know change nothing. */
static void test_environment(void **state)
{
    char aliases[] = "/tmp/unit_names.XXXXXX";
    struct server s;
    struct rig r;
    int fd = mkstemp(aliases);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "only4 nx.test\n", 14), 14);
    close(fd);
    setenv("RES_OPTIONS", "use-vc timeout:30 attempts:9 ndots:9 rotate", 1);
    setenv("LOCALDOMAIN", "example.com", 1);
    setenv("HOSTALIASES", aliases, 1);
    setenv("CARES_HOSTS", aliases, 1);
    server_start(&s, 1);
    rig_start(&r, &s, NULL, NULL, hosts_none);
    expect(&r, "only4.test", "192.0.1.1:443 ");
    expect_error(&r, "nx.test", ERR_NOT_FOUND, "no such host");
    assert_true(s.udp_n >= 4);
    assert_int_equal(s.tcp_n, 0);
    rig_stop(&r);
    unsetenv("RES_OPTIONS");
    unsetenv("LOCALDOMAIN");
    unsetenv("HOSTALIASES");
    unsetenv("CARES_HOSTS");
    unlink(aliases);
}

/* ---- the mark ---- */

static void check_mark(struct rig *r, int fd)
{
    uint32_t mark = 0;
    int type = 0;
    socklen_t len = sizeof mark, type_len = sizeof type;

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len), 0);
    assert_int_equal(mark, 0xfd002021);
    r->udp_marked |= type == SOCK_DGRAM;
    r->tcp_marked |= type == SOCK_STREAM;
}

static void on_probe(void *arg)
{
    struct rig *r = arg;

    for (struct names_query *q = r->names->queries.next; q != &r->names->queries; q = q->next) {
        for (unsigned i = 0; i < q->asks_n * CARES_SOCKETS_HASH; i++) {
            const struct cares_io *io = &q->asks[i / CARES_SOCKETS_HASH].io;
            for (const struct cares_socket *k = io->sockets[i % CARES_SOCKETS_HASH]; k; k = k->next)
                check_mark(r, k->fd);
        }
    }
    loop_timer_set(r->loop, &r->probe, loop_now(r->loop) + 20 * NS_PER_MS);
}

static void test_mark(void **state)
{
    struct server s;
    struct rig r;

    (void)state;
    server_start(&s, 1);
    rig_start(&r, &s, NULL, &marked, hosts_none);
    ask_for(&r, "silent.test");
    loop_timer_init(&r.probe, on_probe, &r);
    loop_timer_set(r.loop, &r.probe, clock_now());
    run(&r);
    loop_timer_clear(r.loop, &r.probe);
    if (r.results[0].err != ERR_PERMISSION) { /* privileged */
        assert_int_equal(r.results[0].err, ERR_AGAIN);
        assert_true(r.udp_marked && r.tcp_marked);
    }
    rig_stop(&r);
}

/* Whoever may not mark sends nothing. */
static void test_mark_forbidden(void **state)
{
    struct server s, t;
    struct rig r;

    (void)state;
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    server_start(&s, 1);
    server_start(&t, 2);
    rig_start(&r, &s, &t, &marked, hosts_none);
    expect_error(&r, "both.test", ERR_PERMISSION, "mark 0xfd002021 on a UDP socket");
    assert_int_equal(s.udp_n + s.tcp_n + t.udp_n + t.tcp_n, 0);
    rig_stop(&r);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_server),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_silent_and_answering),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_lost_and_truncated),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_no_servers),
        cmocka_unit_test(test_ipv6_server),
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_directory_as_hosts),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_free_under_way),
        cmocka_unit_test(test_set_servers),
        cmocka_unit_test(test_roam),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_mark_forbidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
