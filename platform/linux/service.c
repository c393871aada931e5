/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd_notify without libsystemd: one datagram of KEY=VALUE lines to the UNIX socket named by NOTIFY_SOCKET; a leading
 * '@' means the abstract namespace.
 */
#include "platform/service.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/base/log.h"

#define MODULE "service"

/* Returns the length for sendto, 0 if `name` cannot be a socket name. */
static socklen_t manager_address(struct sockaddr_un *out, const char *name)
{
    size_t len = strlen(name);

    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof out->sun_path)
        return 0;
    memcpy(out->sun_path, name, len);
    if (name[0] == '@')
        out->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void notify(const char *message)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to;

    if (!name || name[0] == '\0')
        return;
    socklen_t to_len = manager_address(&to, name);
    if (to_len == 0) {
        log_warn(MODULE, "NOTIFY_SOCKET=%s is no UNIX socket name: readiness is not reported",
                 name);
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to, to_len) < 0)
        log_warn(MODULE, "cannot notify the service manager at %s: %s", name, strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* before: lines that come first, with their ends. */
static void notify_status(const char *before, const char *status)
{
    char message[512];
    size_t n = (size_t)snprintf(message, sizeof message, "%sSTATUS=", before);

    snprintf(message + n, sizeof message - n, "%s", status);
    /* a second line would be taken for another assignment */
    message[n + strcspn(message + n, "\r\n")] = '\0';
    notify(message);
}

void service_ready(const char *status)
{
    if (status && status[0] != '\0')
        notify_status("READY=1\n", status);
    else
        notify("READY=1");
}

void service_status(const char *status)
{
    notify_status("", status);
}

void service_stopping(void)
{
    notify("STOPPING=1");
}
