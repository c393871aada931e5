/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An abstract Unix socket: its names belong to the network namespace, and vanish with the last descriptor. It listens, so that the
 * kernel tells whoever connects which process that is; nobody is ever accepted.
 */
#include "platform/instance.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/base/log.h"
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

/* pid 0: not to be learnt, as that of a process in another process namespace. */
static struct ucred process_of_other(void)
{
    struct ucred who = {.pid = 0};
    socklen_t len = sizeof who;
    int fd = open_socket();

    if (fd < 0)
        return who;
    if (connect(fd, (const struct sockaddr *)&address, address_len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        who.pid = 0;
    close(fd);
    return who;
}

/* Whoever wants to keep others from starting can take the name as well, but cannot configure the network. */
static bool may_be_one_of_us(const struct ucred *who)
{
    char path[64], line[128];
    unsigned long long capabilities = 0;
    bool known = false;

    if (who->pid <= 0 || who->uid == 0 || who->uid == geteuid())
        return true;
    snprintf(path, sizeof path, "/proc/%d/status", (int)who->pid);
    FILE *f = fopen(path, "re");
    while (f && !known && fgets(line, sizeof line, f))
        known = sscanf(line, "CapEff: %llx", &capabilities) == 1;
    if (f)
        fclose(f);
    return known && (capabilities >> CAP_NET_ADMIN & 1) != 0;
}

static enum err in_use(struct why why)
{
    char process[32] = "";
    struct ucred who = process_of_other();

    if (!may_be_one_of_us(&who)) {
        log_warn(
            "instance",
            "process %d of user %u has the name by which Firezone clients know each other, and is none: going on",
            (int)who.pid, (unsigned)who.uid);
        return ERR_OK;
    }
    if (who.pid > 0)
        snprintf(process, sizeof process, " (process %d)", (int)who.pid);
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
        enum err err = e == EADDRINUSE ? in_use(why)
                                       : why_fail(why, err_from_errno(e),
                                                  "cannot find out whether another client runs: %s",
                                                  strerror(e));
        if (err != ERR_OK) {
            close(fd);
            return err;
        }
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
