/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness messages to a socket that stands in for the service manager. */
#include "platform/service.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/log.h"

struct manager {
    int fd;
    char path[64];
};

/* abstract: a name in the abstract namespace, else a file. Sets NOTIFY_SOCKET. */
static void manager_open(struct manager *m, bool abstract)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(m->path, sizeof m->path, "%sunit_service.%d", abstract ? "@" : "/tmp/",
                       (int)getpid());

    memcpy(name.sun_path, m->path, (size_t)len);
    if (abstract)
        name.sun_path[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(m->fd, (struct sockaddr *)&name,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
                     0);
    setenv("NOTIFY_SOCKET", m->path, 1);
}

static void manager_close(struct manager *m)
{
    close(m->fd);
    if (m->path[0] == '/')
        unlink(m->path);
    unsetenv("NOTIFY_SOCKET");
}

static void expect(struct manager *m, const char *message)
{
    char buf[1024] = "";
    ssize_t n = recv(m->fd, buf, sizeof buf - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    assert_string_equal(buf, message);
}

static void run_messages(bool abstract)
{
    struct manager m;
    char line[1024];

    manager_open(&m, abstract);
    service_ready(NULL);
    expect(&m, "READY=1");
    service_ready("");
    expect(&m, "READY=1");
    service_ready("connected, 3 peers");
    expect(&m, "READY=1\nSTATUS=connected, 3 peers");
    service_ready("one line\nMAINPID=1");
    expect(&m, "READY=1\nSTATUS=one line");
    service_status("the portal is away");
    expect(&m, "STATUS=the portal is away");
    service_status("two\nREADY=1");
    expect(&m, "STATUS=two");
    service_stopping();
    expect(&m, "STOPPING=1");
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    service_ready(line); /* cut, not refused */
    assert_true(recv(m.fd, line, sizeof line, MSG_DONTWAIT) > 400);
    assert_memory_equal(line, "READY=1\nSTATUS=xxx", 18);
    manager_close(&m);
}

static void file_socket(void **state)
{
    (void)state;
    run_messages(false);
}

static void abstract_socket(void **state)
{
    (void)state;
    run_messages(true);
}

/* Nobody asked, or nobody is there: nothing happens, no descriptor leaks. */
static void no_manager(void **state)
{
    (void)state;
    char long_name[256];
    int before = dup(0);

    close(before);
    memset(long_name, 'x', sizeof long_name);
    long_name[0] = '/';
    long_name[sizeof long_name - 1] = '\0';
    const char *const names[] = {NULL,      "",       "/", "relative", "/no/such/socket",
                                 "@nobody", long_name};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i])
            setenv("NOTIFY_SOCKET", names[i], 1);
        else
            unsetenv("NOTIFY_SOCKET");
        service_ready("x");
        service_stopping();
    }
    unsetenv("NOTIFY_SOCKET");
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_socket),
        cmocka_unit_test(abstract_socket),
        cmocka_unit_test(no_manager),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
