/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of the tools: where it is, who may be at its ends, and what neither end waits for for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/loop.h"
#include "tools/ctl/ctl_client.h"
#include "tools/ctl/ctl_command.h"
#include "tools/ctl/ctl_guard.h"
#include "tools/ctl/ctl_server.h"

enum {
    NOBODY = 65534
};

static char folder[64], path[96], why[256];

static int start(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/unit_ctl-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/socket", folder);
    alarm(60); /* whatever waits for ever */
    return 0;
}

static int stop(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static bool is_root(void)
{
    return geteuid() == 0;
}

static struct sockaddr_un name_of_socket(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    memcpy(addr.sun_path, path, strlen(path) + 1);
    return addr;
}

static int listen_here(int backlog)
{
    struct sockaddr_un addr = name_of_socket();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 &&
                   listen(fd, backlog) == 0
               ? fd
               : -1;
}

/* -1: it cannot be reached at once. */
static int connect_here(void)
{
    struct sockaddr_un addr = name_of_socket();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    close(fd);
    return -1;
}

static enum err call(time_ns timeout)
{
    json_t *command = json_pack("{s:s}", "command", "x"), *answer;

    why[0] = '\0';
    enum err err = ctl_call(&answer, path, command, timeout, why, sizeof why);
    json_decref(command);
    json_decref(answer);
    return err;
}

static void expect_why(const char *text)
{
    if (!strstr(why, text))
        fail_msg("'%s' is not in '%s'", text, why);
}

/* ---- another process ---- */

/* Its function's result is its exit code; user 0: as this one. */
static pid_t start_as(unsigned user, int (*body)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    alarm(60);
    if (user > 0 && (setgid(user) != 0 || setuid(user) != 0))
        _exit(99);
    _exit(body());
}

static int end_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void await_socket(void)
{
    int fd;

    while ((fd = connect_here()) < 0) /* until the alarm */
        usleep(1000);
    close(fd);
}

/* ---- where it is ---- */

static void test_usual_path(void **state)
{
    char got[CTL_PATH_MAX], wanted[CTL_PATH_MAX], run[64];
    const char *before = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    (void)state;

    before = before ? strdup(before) : NULL;
    setenv("XDG_RUNTIME_DIR", folder, 1);
    snprintf(wanted, sizeof wanted, "%s/tool.sock", folder);
    assert_string_equal(ctl_usual_path(got, "tool"), wanted);
    /* A folder of this user or of root, in any other case. */
    snprintf(run, sizeof run, "/run/user/%u", (unsigned)geteuid());
    if (stat(run, &st) == 0 && st.st_uid == geteuid())
        snprintf(wanted, sizeof wanted, "%s/tool.sock", run);
    else if (is_root())
        strcpy(wanted, "/run/tool.sock");
    else
        snprintf(wanted, sizeof wanted, "/tmp/tool-%u/tool.sock", (unsigned)geteuid());
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_string_equal(ctl_usual_path(got, "tool"), wanted);
    unsetenv("XDG_RUNTIME_DIR");
    assert_string_equal(ctl_usual_path(got, "tool"), wanted);
    if (is_root()) {
        assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
        setenv("XDG_RUNTIME_DIR", folder, 1);
        assert_string_equal(ctl_usual_path(got, "tool"), wanted);
    }
    if (before)
        setenv("XDG_RUNTIME_DIR", before, 1);
    else
        unsetenv("XDG_RUNTIME_DIR");
    free((void *)(uintptr_t)before);
}

static enum err guard(const char *what)
{
    why[0] = '\0';
    return ctl_guard_folder(what, why, sizeof why);
}

static void test_folder(void **state)
{
    static const mode_t good[] = {0700, 0755, 01777, 01770}, bad[] = {0777, 0770, 0702, 0720};
    char sub[80], link[80];
    struct stat st;
    (void)state;

    snprintf(sub, sizeof sub, "%s/sub", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(guard(sub), ERR_OK);
    assert_int_equal(stat(sub, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(chmod(sub, good[i]), 0);
        assert_int_equal(guard(sub), ERR_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(sub, bad[i]), 0);
        assert_int_equal(guard(sub), ERR_PERMISSION);
        expect_why("others may write to");
    }
    assert_int_equal(chmod(sub, 0700), 0);
    assert_int_equal(symlink(sub, link), 0);
    assert_int_equal(guard(link), ERR_OK);
    if (is_root()) {
        assert_int_equal(lchown(link, NOBODY, NOBODY), 0);
        assert_int_equal(guard(link), ERR_PERMISSION);
        expect_why("belongs to user 65534");
        assert_int_equal(chown(sub, NOBODY, NOBODY), 0);
        assert_int_equal(guard(sub), ERR_PERMISSION);
        expect_why("belongs to user 65534");
    }
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_int_equal(guard(path), ERR_INVALID);
    expect_why("is not a folder");
    snprintf(sub, sizeof sub, "%s/a/b", folder);
    assert_int_equal(guard(sub), ERR_NOT_FOUND);
    expect_why("cannot create the folder");
}

/* ---- the server ---- */

struct served {
    struct loop *loop;
    struct ctl_server *server;
    struct loop_timer timer;
    pid_t client;
    int code; /* of the client */
    unsigned commands;
};

static json_t *on_command(void *arg, const json_t *command)
{
    struct served *s = arg;

    (void)command;
    s->commands++;
    return json_pack("{s:b}", "ok", 1);
}

static void on_timer(void *arg)
{
    struct served *s = arg;
    int status;

    if (s->client == 0 || waitpid(s->client, &status, WNOHANG) == s->client) {
        s->code = s->client && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        loop_stop(s->loop);
    } else {
        loop_timer_set(s->loop, &s->timer, clock_now() + 5 * NS_PER_MS);
    }
}

static void serve(struct served *s)
{
    *s = (struct served){.code = -1};
    assert_int_equal(loop_new(&s->loop), ERR_OK);
    loop_timer_init(&s->timer, on_timer, s);
    if (ctl_server_new(&s->server, s->loop, path, on_command, s, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
}

static void end(struct served *s)
{
    loop_timer_clear(s->loop, &s->timer);
    ctl_server_free(s->server);
    loop_free(s->loop);
    assert_int_equal(access(path, F_OK), -1);
}

static int answers_well(void)
{
    return call(10 * NS_PER_SEC) == ERR_OK ? 0 : 1;
}

/* A client that asks nobody who listens there. */
static int is_refused(void)
{
    static const char command[] = "{\"command\":\"x\"}\n";
    char answer[256] = "";
    size_t len = 0;
    ssize_t n;
    int fd = connect_here();

    if (fd < 0 || fcntl(fd, F_SETFL, 0) != 0)
        return 1;
    (void)!send(fd, command, sizeof command - 1, MSG_NOSIGNAL); /* it may be dropped already */
    while (len < sizeof answer - 1 && (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0)
        len += (size_t)n;
    return strstr(answer, "\"ok\":false,\"error\":\"only the process's user and root") ? 0 : 2;
}

static void test_clients(void **state)
{
    struct served s;
    (void)state;

    serve(&s);
    s.client = start_as(0, answers_well);
    loop_timer_set(s.loop, &s.timer, clock_now());
    assert_int_equal(loop_run(s.loop), ERR_OK);
    assert_int_equal(s.code, 0);
    assert_int_equal(s.commands, 1);
    if (is_root()) {
        /* As if the mode of the socket did not keep them off. */
        assert_int_equal(chmod(folder, 0711), 0);
        assert_int_equal(chmod(path, 0666), 0);
        s.client = start_as(NOBODY, is_refused);
        loop_timer_set(s.loop, &s.timer, clock_now());
        assert_int_equal(loop_run(s.loop), ERR_OK);
        assert_int_equal(s.code, 0);
        assert_int_equal(s.commands, 1);
    }
    end(&s);
}

static void test_folder_of_others(void **state)
{
    struct served s;
    (void)state;

    assert_int_equal(loop_new(&s.loop), ERR_OK);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(ctl_server_new(&s.server, s.loop, path, on_command, &s, why, sizeof why),
                     ERR_PERMISSION);
    expect_why("others may write to");
    assert_null(s.server);
    loop_free(s.loop);
}

static void test_hangup(void **state)
{
    struct served s;
    sigset_t blocked;
    (void)state;

    /* Ignored, as under nohup: it stays so. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGHUP);
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &blocked, NULL), 0);
    signal(SIGHUP, SIG_IGN);
    serve(&s);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_false(sigismember(&blocked, SIGHUP));
    end(&s);
    signal(SIGHUP, SIG_DFL);
    serve(&s);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(ctl_server_hangup(s.loop), ERR_OK); /* once more */
    raise(SIGHUP);
    assert_int_equal(loop_run(s.loop), ERR_OK);
    end(&s);
}

/* ---- the client ---- */

/* 0: nothing was said to it. */
static int hears_nothing(void)
{
    char byte;
    int fd = listen_here(4), client;

    do
        client = accept(fd, NULL, NULL);
    while (client >= 0 && recv(client, &byte, 1, 0) == 0 && close(client) == 0);
    return 1; /* something was said */
}

static void test_impostor(void **state)
{
    (void)state;

    if (!is_root())
        skip();
    assert_int_equal(chmod(folder, 01777), 0);
    pid_t pid = start_as(NOBODY, hears_nothing);
    await_socket();
    assert_int_equal(call(10 * NS_PER_SEC), ERR_PERMISSION);
    expect_why("user 65534 listens there");
    await_socket(); /* it waits again */
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    assert_int_equal(end_of(pid), 1000 + SIGKILL);
}

static void test_backlog(void **state)
{
    int fds[16], fd, n = 0;
    (void)state;

    fd = listen_here(0);
    assert_true(fd >= 0);
    while (n < 16 && (fds[n] = connect_here()) >= 0)
        n++;
    assert_true(n < 16);
    assert_int_equal(call(50 * NS_PER_MS), ERR_TIMEOUT);
    expect_why("too many clients wait there");
    while (n > 0)
        close(fds[--n]);
    close(fd);
}

/* One line, and no end of it: what is sent again and again, and how long it pauses. */
static char piece[65536];
static size_t piece_len;
static unsigned pause_us;

static int answers_for_ever(void)
{
    int fd = listen_here(4), client;

    while ((client = accept(fd, NULL, NULL)) >= 0) {
        while (send(client, piece, piece_len, MSG_NOSIGNAL) > 0)
            usleep(pause_us);
        close(client);
    }
    return 1;
}

static void test_endless_answer(void **state)
{
    (void)state;

    memset(piece, ' ', sizeof piece);
    piece_len = sizeof piece;
    pause_us = 0;
    pid_t pid = start_as(0, answers_for_ever);
    await_socket();
    assert_int_equal(call(30 * NS_PER_SEC), ERR_NO_SPACE);
    expect_why("the answer is too long");
    kill(pid, SIGKILL);
    assert_int_equal(end_of(pid), 1000 + SIGKILL);
    unlink(path);
    piece_len = 1;
    pause_us = 100;
    pid = start_as(0, answers_for_ever);
    await_socket();
    assert_int_equal(call(50 * NS_PER_MS), ERR_TIMEOUT);
    expect_why("no answer in time");
    kill(pid, SIGKILL);
    assert_int_equal(end_of(pid), 1000 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_usual_path, start, stop),
        cmocka_unit_test_setup_teardown(test_folder, start, stop),
        cmocka_unit_test_setup_teardown(test_clients, start, stop),
        cmocka_unit_test_setup_teardown(test_folder_of_others, start, stop),
        cmocka_unit_test_setup_teardown(test_hangup, start, stop),
        cmocka_unit_test_setup_teardown(test_impostor, start, stop),
        cmocka_unit_test_setup_teardown(test_backlog, start, stop),
        cmocka_unit_test_setup_teardown(test_endless_answer, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
