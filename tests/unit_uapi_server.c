/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The userspace API's server with real sockets: the loop runs here, the clients in a thread that blocks. No tunnel:
 * the operations record what they are asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/uapi_server.c" /* looks at its clients */

#define HEX "77076d0a7318a57d3c16c17251b26645df4c2f92ebc099c4b9f5c0b3d9c8b11a"

struct rig {
    struct loop *loop;
    struct uapi_server *server;
    struct loop_bell finished;
    char folder[64], path[96];
    void (*clients)(struct rig *rig);
    /* the fake device */
    enum err apply_result;
    bool slow; /* a set request is carried out later, by a timer */
    struct loop_timer later;
    struct uapi_pending *pending;
    bool drop; /* the client is gone before that */
    unsigned applied, asked;
    size_t applied_peers;
    uint16_t port;
    size_t peers_n;
};

static void fake_apply(void *ctx, struct device_update *update, struct uapi_pending *pending)
{
    struct rig *rig = ctx;
    rig->applied++;
    rig->applied_peers = update->peers_n;
    if (rig->apply_result == ERR_OK && update->has_listen_port)
        rig->port = update->listen_port;
    device_update_fini(update);
    if (!rig->slow) {
        uapi_server_applied(pending, rig->apply_result);
        return;
    }
    assert_null(rig->pending);
    rig->pending = pending;
    loop_timer_set(rig->loop, &rig->later, loop_now(rig->loop) + 5 * NS_PER_MS);
}

static void fake_later(void *arg)
{
    struct rig *rig = arg;
    struct uapi_pending *pending = rig->pending;

    rig->pending = NULL;
    assert_int_equal(pending->client->replying, false);
    assert_false(loop_timer_armed(&pending->client->idle));
    if (rig->drop) {
        client_drop(pending->client);
        assert_null(pending->client);
    }
    uapi_server_applied(pending, rig->apply_result);
}

static void fake_status(void *ctx, struct device_status *out)
{
    struct rig *rig = ctx;
    rig->asked++;
    out->listen_port = rig->port;
    out->peers = calloc(rig->peers_n + 1, sizeof *out->peers);
    out->peers_n = rig->peers_n;
    for (size_t i = 0; i < rig->peers_n; i++) {
        out->peers[i].allowed = calloc(1, sizeof *out->peers[i].allowed);
        out->peers[i].allowed[0] = (struct ip_prefix){.ip = {ADDR_V4, {10}}, .len = 8};
        out->peers[i].allowed_n = 1;
    }
}

static enum err serve(struct rig *rig, struct uapi_server **out, char *why, unsigned why_size)
{
    const struct uapi_server_ops ops = {
        .apply_give = fake_apply, .status = fake_status, .ctx = rig};
    return uapi_server_new(out, rig->loop, rig->folder, "fz0", &ops, why, why_size);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void rig_start(struct rig *rig)
{
    char why[256];

    *rig = (struct rig){.folder = P_tmpdir "/unit_uapi.XXXXXX", .port = 51820};
    assert_non_null(mkdtemp(rig->folder));
    strcat(rig->folder, "/wireguard"); /* created by the server */
    snprintf(rig->path, sizeof rig->path, "%s/fz0.sock", rig->folder);
    assert_int_equal(loop_new(&rig->loop), ERR_OK);
    assert_int_equal(loop_bell_add(rig->loop, &rig->finished, stop_loop, rig->loop), ERR_OK);
    loop_timer_init(&rig->later, fake_later, rig);
    if (serve(rig, &rig->server, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
}

static void rig_stop(struct rig *rig)
{
    uapi_server_free(rig->server);
    loop_bell_del(rig->loop, &rig->finished);
    loop_free(rig->loop);
    assert_int_equal(access(rig->path, F_OK), -1);
    assert_int_equal(rmdir(rig->folder), 0);
    *strrchr(rig->folder, '/') = '\0';
    assert_int_equal(rmdir(rig->folder), 0);
}

static void *clients_run(void *arg)
{
    struct rig *rig = arg;
    rig->clients(rig);
    loop_bell_ring(&rig->finished);
    return NULL;
}

/* Serves until the clients are done. cmocka's assertions belong to this thread: clients use ASSERT. */
static void with_clients(struct rig *rig, void (*clients)(struct rig *rig))
{
    pthread_t thread;

    rig->clients = clients;
    assert_int_equal(pthread_create(&thread, NULL, clients_run, rig), 0);
    assert_int_equal(loop_run(rig->loop), ERR_OK);
    pthread_join(thread, NULL);
}

static int client_connect(const struct rig *rig)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ASSERT(strlen(rig->path) < sizeof addr.sun_path);
    strcpy(addr.sun_path, rig->path);
    ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    return fd;
}

static void client_write(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        ASSERT(n > 0);
        text += n;
        len -= (size_t)n;
    }
}

/* Reads one reply, to its empty line, at most `piece` bytes at a time; returns its length. */
static size_t client_reply(int fd, char *buf, size_t size, size_t piece)
{
    size_t len = 0;
    while (len < 2 || memcmp(buf + len - 2, "\n\n", 2) != 0) {
        ASSERT(len < size - 1);
        ssize_t n = recv(fd, buf + len, piece < size - 1 - len ? piece : size - 1 - len, 0);
        ASSERT(n > 0);
        len += (size_t)n;
    }
    buf[len] = '\0';
    return len;
}

static void expect(int fd, const char *request, const char *reply)
{
    char buf[512];
    client_write(fd, request, strlen(request));
    client_reply(fd, buf, sizeof buf, 1); /* not a byte of the next reply */
    ASSERT(strcmp(buf, reply) == 0);
}

static void clients_talk(struct rig *rig)
{
    int fd = client_connect(rig);
    expect(fd, "get=1\n\n", "listen_port=51820\nerrno=0\n\n");
    expect(fd, "set=1\nlisten_port=7\n\n", "errno=0\n\n");
    expect(fd, "get=1\n\n", "listen_port=7\nerrno=0\n\n");
    expect(fd, "set=1\nlisten_port=x\n\n", "errno=-22\n\n");
    expect(fd, "get=2\n\n", "errno=-22\n\n");
    expect(fd, "get=1\n\n", "listen_port=7\nerrno=0\n\n");
    close(fd);
}

static void test_get_and_set(void **state)
{
    struct rig rig;
    struct stat st;

    (void)state;
    rig_start(&rig);
    assert_int_equal(stat(rig.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    with_clients(&rig, clients_talk);
    assert_int_equal(rig.applied, 1);
    assert_int_equal(rig.asked, 3);
    rig_stop(&rig);
}

static void clients_port_taken(struct rig *rig)
{
    int fd = client_connect(rig);
    expect(fd, "set=1\nlisten_port=7\n\n", "errno=-98\n\n"); /* EADDRINUSE of Linux */
    close(fd);
}

static void test_apply_fails(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    rig.apply_result = ERR_IN_USE;
    with_clients(&rig, clients_port_taken);
    assert_int_equal(rig.port, 51820);
    rig_stop(&rig);
}

static void clients_dribble(struct rig *rig)
{
    static const char text[] = "set=1\nlisten_port=9\npublic_key=" HEX "\n\nget=1\n\n";
    int fd = client_connect(rig);
    for (size_t i = 0; i < sizeof text - 1; i++)
        client_write(fd, text + i, 1);
    expect(fd, "", "errno=0\n\n");
    expect(fd, "", "listen_port=9\nerrno=0\n\n");
    /* and three requests at once */
    expect(fd, "get=1\n\nset=1\nlisten_port=5\n\nget=1\n\n", "listen_port=9\nerrno=0\n\n");
    expect(fd, "", "errno=0\n\n");
    expect(fd, "", "listen_port=5\nerrno=0\n\n");
    close(fd);
}

static void test_partial_and_pipelined(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    with_clients(&rig, clients_dribble);
    assert_int_equal(rig.applied, 2);
    rig_stop(&rig);
}

static void clients_slow(struct rig *rig)
{
    int fd = client_connect(rig), other = client_connect(rig);
    char text[64];
    /* The second request waits for the reply to the first, another client does not. */
    client_write(fd, "set=1\nlisten_port=7\n\nset=1\nlisten_port=8\n\nget=1\n\n", 49);
    expect(fd, "", "errno=0\n\n");
    client_write(other, "get=1\n\n", 7);
    ASSERT(client_reply(other, text, sizeof text, sizeof text) == 23);
    expect(fd, "", "errno=0\n\n");
    expect(fd, "", "listen_port=8\nerrno=0\n\n");
    close(other);
    close(fd);
}

static void test_carried_out_later(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    rig.slow = true;
    with_clients(&rig, clients_slow);
    assert_int_equal(rig.applied, 2);
    rig_stop(&rig);
}

static void clients_dropped(struct rig *rig)
{
    char byte;
    int fd = client_connect(rig);
    client_write(fd, "set=1\n\n", 7);
    ASSERT(recv(fd, &byte, 1, 0) == 0); /* no reply */
    close(fd);
}

static void test_client_gone_before_it_is_carried_out(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    rig.slow = rig.drop = true;
    with_clients(&rig, clients_dropped);
    assert_int_equal(rig.applied, 1);
    assert_null(rig.pending);
    rig_stop(&rig);
}

enum {
    BIG_PEERS = 10000
};

static void clients_big(struct rig *rig)
{
    size_t size = 8 << 20, len;
    char *buf = malloc(size);
    int fd = client_connect(rig), small = 4096;

    ASSERT(buf);
    len = (size_t)snprintf(buf, size, "set=1\nreplace_peers=true\n");
    for (unsigned i = 0; i < BIG_PEERS; i++)
        len += (size_t)snprintf(
            buf + len, size - len,
            "public_key=%08x%s\nallowed_ip=10.%u.%u.0/24\nreplace_allowed_ips=true\n", i, &HEX[8],
            i >> 8, i & 255);
    buf[len++] = '\n';
    client_write(fd, buf, len);
    client_reply(fd, buf, size, size);
    ASSERT(strcmp(buf, "errno=0\n\n") == 0);
    /* The reply is larger than all socket buffers. */
    ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    client_write(fd, "get=1\n\n", 7);
    len = client_reply(fd, buf, size, 5000);
    ASSERT(len > BIG_PEERS * 200);
    ASSERT(memcmp(buf + len - 9, "errno=0\n\n", 9) == 0);
    free(buf);
    close(fd);
}

static void test_ten_thousand_peers(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    rig.peers_n = BIG_PEERS;
    with_clients(&rig, clients_big);
    assert_int_equal(rig.applied_peers, BIG_PEERS);
    rig_stop(&rig);
}

static void clients_crowd(struct rig *rig)
{
    int fds[UAPI_SERVER_CLIENTS_MAX + 4];
    char buf[64];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = client_connect(rig);
        client_write(fds[i], "get=1\n\n", 7);
    }
    for (size_t i = 0; i < UAPI_SERVER_CLIENTS_MAX; i++)
        client_reply(fds[i], buf, sizeof buf, sizeof buf);
    /* The others are not answered until one leaves. */
    ASSERT(recv(fds[ARRAY_LEN(fds) - 1], buf, sizeof buf, MSG_DONTWAIT) < 0);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (i >= UAPI_SERVER_CLIENTS_MAX)
            client_reply(fds[i], buf, sizeof buf, sizeof buf);
        close(fds[i]);
    }
}

static void test_more_clients_than_slots(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    with_clients(&rig, clients_crowd);
    assert_int_equal(rig.asked, UAPI_SERVER_CLIENTS_MAX + 4);
    rig_stop(&rig);
}

static void clients_vanish(struct rig *rig)
{
    char buf[16];
    for (unsigned i = 0; i < 40; i++) {
        int fd = client_connect(rig);
        client_write(fd, "get=1\n\nset=1\n", i % 14);
        if (i % 14 >= 7)
            ASSERT(recv(fd, buf, sizeof buf, 0) > 0);
        close(fd);
    }
    int fd = client_connect(rig);
    expect(fd, "set=1\n\n", "errno=0\n\n");
    close(fd);
}

static void test_clients_that_vanish(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    rig.peers_n = 5000;
    with_clients(&rig, clients_vanish);
    rig_stop(&rig);
}

static void clients_linger(struct rig *rig)
{
    int fd = client_connect(rig);
    expect(fd, "get=1\n\n", "listen_port=51820\nerrno=0\n\n");
    client_write(fd, "set=1\n", 6);
    /* stays open: the process's end closes it */
}

static void test_idle_client_is_dropped(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    with_clients(&rig, clients_linger);
    struct client *c = &rig.server->clients[0];
    assert_ptr_equal(c->server, rig.server);
    assert_true(loop_timer_armed(&c->idle));
    assert_true(c->idle.deadline <= loop_now(rig.loop) + UAPI_SERVER_IDLE_S * NS_PER_SEC);
    c->idle.fire(c->idle.arg);
    assert_null(c->server);
    assert_int_equal(rig.server->clients_n, 0);
    rig_stop(&rig);
}

static void test_free_with_clients(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig);
    with_clients(&rig, clients_linger);
    rig_stop(&rig);
}

static void test_live_socket_is_respected(void **state)
{
    struct rig rig;
    struct uapi_server *second;
    char why[256];

    (void)state;
    rig_start(&rig);
    assert_int_equal(serve(&rig, &second, why, sizeof why), ERR_IN_USE);
    assert_null(second);
    assert_non_null(strstr(why, "fz0.sock is served by another process"));
    assert_int_equal(access(rig.path, F_OK), 0);
    with_clients(&rig, clients_talk); /* the first goes on */
    rig_stop(&rig);
}

static void test_stale_socket_is_replaced(void **state)
{
    struct rig rig;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct uapi_server *old;
    char why[256];

    (void)state;
    rig_start(&rig);
    /* a name without a process: as after a kill */
    unlink(rig.path);
    strcpy(addr.sun_path, rig.path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    close(fd);
    old = rig.server;
    assert_int_equal(serve(&rig, &rig.server, why, sizeof why), ERR_OK);
    uapi_server_free(old); /* must not remove the name of the new one */
    assert_int_equal(access(rig.path, F_OK), 0);
    with_clients(&rig, clients_talk);
    rig_stop(&rig);
}

static void test_other_file_is_kept(void **state)
{
    struct rig rig;
    struct uapi_server *second;
    char why[256];

    (void)state;
    rig_start(&rig);
    unlink(rig.path);
    FILE *f = fopen(rig.path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(serve(&rig, &second, why, sizeof why), ERR_IN_USE);
    assert_non_null(strstr(why, "is not a socket"));
    assert_int_equal(unlink(rig.path), 0); /* still there */
    snprintf(rig.folder + strlen(rig.folder), 16, "/no/such");
    assert_int_equal(serve(&rig, &second, why, sizeof why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "cannot create the folder"));
    *strrchr(rig.folder, '/') = '\0';
    *strrchr(rig.folder, '/') = '\0';
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_set),
        cmocka_unit_test(test_apply_fails),
        cmocka_unit_test(test_partial_and_pipelined),
        cmocka_unit_test(test_carried_out_later),
        cmocka_unit_test(test_client_gone_before_it_is_carried_out),
        cmocka_unit_test(test_ten_thousand_peers),
        cmocka_unit_test(test_more_clients_than_slots),
        cmocka_unit_test(test_clients_that_vanish),
        cmocka_unit_test(test_idle_client_is_dropped),
        cmocka_unit_test(test_free_with_clients),
        cmocka_unit_test(test_live_socket_is_respected),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_other_file_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
