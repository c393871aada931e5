/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/ctl_guard.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_trusted(uid_t uid)
{
    return uid == geteuid() || uid == 0;
}

enum err ctl_guard_folder(const char *folder, char *why, unsigned why_size)
{
    struct stat st;

    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        snprintf(why, why_size, "cannot create the folder %s: %s", folder, strerror(errno));
        return err_from_errno(errno);
    }
    /* A link counts as what it is, and then as what it leads to. */
    for (unsigned i = 0; i < 2; i++) {
        if ((i == 0 ? lstat(folder, &st) : stat(folder, &st)) != 0) {
            snprintf(why, why_size, "cannot inspect %s: %s", folder, strerror(errno));
            return err_from_errno(errno);
        }
        if (!is_trusted(st.st_uid)) {
            snprintf(why, why_size, "%s belongs to user %u, neither to this one nor to root",
                     folder, (unsigned)st.st_uid);
            return ERR_PERMISSION;
        }
    }
    if (!S_ISDIR(st.st_mode)) {
        snprintf(why, why_size, "%s is not a folder", folder);
        return ERR_INVALID;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX)) {
        snprintf(why, why_size, "others may write to %s: take that from them with chmod go-w",
                 folder);
        return ERR_PERMISSION;
    }
    return ERR_OK;
}

bool ctl_guard_peer(int fd, unsigned *uid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    *uid = UINT_MAX;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *uid = (unsigned)peer.uid;
    return is_trusted(peer.uid);
}
