/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An abstract Unix socket: its names belong to the network namespace, and vanish with the last descriptor. It listens, so that the
 * kernel tells whoever connects which process that is; nobody is ever accepted.
 */
#include "platform/instance.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/linux/why.h"

#define NAME "dev.firezone.client"

enum {
    BACKLOG = 1024 /* of those who have asked, and are gone */
};

struct instance {
    int fd;
};

static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0" NAME};
static const socklen_t address_len = offsetof(struct sockaddr_un, sun_path) + sizeof NAME;

static int open_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* 0: not to be learnt, as that of a process in another process namespace. */
static int process_of_other(void)
{
    struct ucred who = {.pid = 0};
    socklen_t len = sizeof who;
    int fd = open_socket();

    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)&address, address_len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        who.pid = 0;
    close(fd);
    return who.pid;
}

static enum err in_use(struct why why)
{
    char process[32] = "";
    int pid = process_of_other();

    if (pid > 0)
        snprintf(process, sizeof process, " (process %d)", pid);
    return why_fail(why, ERR_IN_USE,
                    "another Firezone client or gateway%s runs on this network; stop it first",
                    process);
}

enum err instance_take(struct instance **out, char *why_text, unsigned why_size)
{
    struct why why = {.text = why_text, .size = why_size};
    int fd = open_socket();

    *out = NULL;
    if (fd < 0)
        return why_fail(why, err_from_errno(errno), "cannot open a Unix socket: %s",
                        strerror(errno));
    if (bind(fd, (const struct sockaddr *)&address, address_len) != 0 || listen(fd, BACKLOG) != 0) {
        int e = errno;
        close(fd);
        return e == EADDRINUSE
                   ? in_use(why)
                   : why_fail(why, err_from_errno(e),
                              "cannot find out whether another client runs: %s", strerror(e));
    }
    *out = mem_zalloc(1, sizeof **out);
    (*out)->fd = fd;
    return ERR_OK;
}

void instance_release(struct instance *i)
{
    if (!i)
        return;
    close(i->fd);
    free(i);
}
