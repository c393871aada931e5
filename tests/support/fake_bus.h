/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system bus of a test's own, dbus-daemon with a socket in a temporary folder, and services on it that the test plays. A service is
 * a child process: it answers while the test waits. It is told with single letters what to do, and writes down what it is asked.
 */
#ifndef FZ_TEST_FAKE_BUS_H
#define FZ_TEST_FAKE_BUS_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "platform/base/err.h"
#include "platform/clock.h"
#include "platform/loop.h"

enum {
    FAKE_WAIT_MS = 10000,
    FAKE_SKIPPED = 77
};

/* ---- the bus ---- */

struct fake_bus {
    char dir[64], socket[96];
    pid_t daemon; /* 0: does not run */
};

static inline void fake_bus_write_config(const struct fake_bus *f, const char *path)
{
    FILE *file = fopen(path, "we");
    ASSERT(file);
    fprintf(file,
            "<busconfig><type>custom</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>"
            "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
            "<allow send_type=\"method_call\"/><allow send_type=\"signal\"/>"
            "<allow send_requested_reply=\"true\"/><allow receive_requested_reply=\"true\"/>"
            "</policy></busconfig>\n",
            f->socket);
    ASSERT(fclose(file) == 0);
}

static inline bool fake_bus_answers(const struct fake_bus *f)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof name.sun_path, "%s", f->socket);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static inline void fake_bus_start(struct fake_bus *f)
{
    char config[96], option[128];

    snprintf(config, sizeof config, "%s/conf", f->dir);
    snprintf(option, sizeof option, "--config-file=%s", config);
    fake_bus_write_config(f, config);
    unlink(f->socket);
    f->daemon = fork();
    ASSERT(f->daemon >= 0);
    if (f->daemon == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* it complains about its limits */
        if (dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2) < 0)
            _exit(126);
        execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile", "--nosyslog",
               (char *)NULL);
        _exit(127);
    }
    time_ns end = clock_now() + FAKE_WAIT_MS * NS_PER_MS;
    while (!fake_bus_answers(f)) {
        ASSERT(clock_now() < end && waitpid(f->daemon, NULL, WNOHANG) == 0);
        poll(NULL, 0, 5);
    }
}

static inline void fake_bus_stop(struct fake_bus *f)
{
    if (f->daemon > 0) {
        kill(f->daemon, SIGKILL);
        waitpid(f->daemon, NULL, 0);
    }
    f->daemon = 0;
    unlink(f->socket);
}

/* A folder, and the address for whoever opens the system bus; nothing runs yet. Ends the program as skipped without dbus-daemon. */
static inline void fake_bus_init(struct fake_bus *f)
{
    char address[128];

    if (system("command -v dbus-daemon >/dev/null") != 0) {
        fprintf(stderr, "skipped: dbus-daemon is not installed\n");
        exit(FAKE_SKIPPED);
    }
    *f = (struct fake_bus){0};
    snprintf(f->dir, sizeof f->dir, "/tmp/fz-bus.XXXXXX");
    ASSERT(mkdtemp(f->dir));
    snprintf(f->socket, sizeof f->socket, "%s/bus", f->dir);
    snprintf(address, sizeof address, "unix:path=%s", f->socket);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
}

static inline void fake_bus_fini(struct fake_bus *f)
{
    char config[96];

    fake_bus_stop(f);
    snprintf(config, sizeof config, "%s/conf", f->dir);
    unlink(config);
    rmdir(f->dir);
}

/* ---- a service ---- */

struct fake_service;

/* In the child. */
typedef int (*fake_answer_fn)(struct fake_service *s, sd_bus_message *m);
/* In the child: an order that is not one of those below. */
typedef void (*fake_order_fn)(struct fake_service *s, char order);

struct fake_service {
    const char *name, *path; /* of its objects: this one and those below */
    fake_answer_fn answer;
    fake_order_fn order;
    char mode; /* the last order */
    unsigned count;
    sd_bus *bus;
    int orders; /* one letter each, answered by one when it is done */
    int log;    /* one line per line of fake_note */
    pid_t pid;
};

__attribute__((format(printf, 2, 3))) static inline void fake_note(struct fake_service *s,
                                                                   const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0 && (size_t)n < sizeof line - 1);
    line[n] = '\n';
    ASSERT(write(s->log, line, (size_t)n + 1) == n + 1);
}

static inline int fake_incoming(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct fake_service *s = arg;
    (void)error;
    return s->answer(s, m);
}

/* 'q': gives the name back; 'n': takes it; anything else is kept as the mode, after `order` has had it. */
static inline void fake_obey(struct fake_service *s)
{
    char order;

    if (read(s->orders, &order, 1) != 1)
        _exit(0);
    if (order == 'q') {
        ASSERT(sd_bus_release_name(s->bus, s->name) >= 0);
    } else if (order == 'n') {
        ASSERT(sd_bus_request_name(s->bus, s->name, 0) >= 0);
    } else {
        if (s->order)
            s->order(s, order);
        s->mode = order;
        s->count = 0;
    }
    ASSERT(sd_bus_flush(s->bus) >= 0 && write(s->orders, &order, 1) == 1);
}

static inline void fake_service_run(struct fake_service *s)
{
    char ready = '!';

    ASSERT(sd_bus_open_system(&s->bus) >= 0);
    ASSERT(sd_bus_add_fallback(s->bus, NULL, s->path, fake_incoming, s) >= 0);
    if (s->name)
        ASSERT(sd_bus_request_name(s->bus, s->name, 0) >= 0);
    ASSERT(write(s->orders, &ready, 1) == 1);
    for (;;) {
        int r;
        do
            r = sd_bus_process(s->bus, NULL);
        while (r > 0);
        if (r < 0)
            _exit(0); /* the bus has ended */
        struct pollfd fds[] = {{.fd = s->orders, .events = POLLIN},
                               {.fd = sd_bus_get_fd(s->bus), .events = POLLIN}};
        int events = sd_bus_get_events(s->bus);
        fds[1].events = (short)(events > 0 ? events : POLLIN);
        poll(fds, 2, 1000);
        if (fds[0].revents != 0)
            fake_obey(s);
    }
}

static inline void fake_service_await(struct fake_service *s)
{
    struct pollfd p = {.fd = s->orders, .events = POLLIN};
    char done;
    ASSERT(poll(&p, 1, FAKE_WAIT_MS) == 1 && read(s->orders, &done, 1) == 1);
}

static inline void fake_service_stop(struct fake_service *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    close(s->orders);
    close(s->log);
    s->pid = 0;
}

/* s: name (NULL: none), path, answer and perhaps order are set. One that a failed test has left is stopped first. */
static inline void fake_service_start(struct fake_service *s)
{
    int orders[2], log[2];

    fake_service_stop(s);
    ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders) == 0 &&
           pipe2(log, O_CLOEXEC | O_NONBLOCK) == 0);
    s->mode = 0;
    s->pid = fork();
    ASSERT(s->pid >= 0);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(orders[0]);
        s->orders = orders[1];
        s->log = log[1];
        fake_service_run(s);
    }
    close(orders[1]);
    close(log[1]);
    s->orders = orders[0];
    s->log = log[0];
    fake_service_await(s);
}

/* Returns when it is done. */
static inline void fake_service_tell(struct fake_service *s, char order)
{
    ASSERT(write(s->orders, &order, 1) == 1);
    fake_service_await(s);
}

/* Appends what the service has noted since to a text. */
static inline void fake_service_read(struct fake_service *s, char *text, size_t size)
{
    size_t len = strlen(text);
    ssize_t n = read(s->log, text + len, size - len - 1);
    text[len + (size_t)(n > 0 ? n : 0)] = '\0';
}

/* ---- the test's loop ---- */

struct fake_wait {
    struct loop *loop;
    struct loop_timer timer;
    bool (*done)(void *arg);
    void *arg;
    time_ns end;
    bool is_done;
};

static inline void fake_wait_due(void *arg)
{
    struct fake_wait *w = arg;

    w->is_done = w->done && w->done(w->arg);
    if (w->is_done || clock_now() >= w->end)
        loop_stop(w->loop);
    else
        loop_timer_set(w->loop, &w->timer, clock_now() + 2 * NS_PER_MS);
}

/* Runs the loop until `done`, or for so long. */
static inline bool fake_run_ms(struct loop *l, bool (*done)(void *arg), void *arg, unsigned ms)
{
    struct fake_wait w = {.loop = l, .done = done, .arg = arg, .end = clock_now() + ms * NS_PER_MS};

    loop_timer_init(&w.timer, fake_wait_due, &w);
    loop_timer_set(l, &w.timer, 0);
    ASSERT(loop_run(l) == ERR_OK);
    loop_timer_clear(l, &w.timer);
    return w.is_done;
}

static inline bool fake_run(struct loop *l, bool (*done)(void *arg), void *arg)
{
    return fake_run_ms(l, done, arg, FAKE_WAIT_MS);
}

#endif
