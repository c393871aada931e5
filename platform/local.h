/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local stream sockets contract: a listening socket with a name in the file system, for the owner of the process only.
 * All descriptors are non-blocking and not inherited. Control thread.
 */
#ifndef FZ_PLATFORM_LOCAL_H
#define FZ_PLATFORM_LOCAL_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    LOCAL_PATH_MAX = 108
};

struct local_listener {
    int fd;                    /* -1: closed */
    char path[LOCAL_PATH_MAX]; /* "dir/file" */
    uint64_t device, inode;    /* of what was created, so that only that is removed */
};

/*
 * Creates `dir` (mode 0755) if it is missing and listens on dir/file, mode 0600. A socket that nobody answers any
 * more is replaced. ERR_IN_USE: another process answers, or the path is something else than a socket. On failure
 * `why` holds one clear sentence and l->fd is -1.
 */
enum err local_listen(struct local_listener *l, const char *dir, const char *file, char *why,
                      unsigned why_size) MUST_USE;
/* Closes and removes the name if it is still this socket's. No-op when closed. */
void local_unlisten(struct local_listener *l);

/* A client's descriptor, the caller's to close. ERR_AGAIN: nobody waits. */
enum err local_accept(const struct local_listener *l, int *fd) MUST_USE;
void local_close(int fd);

/* n: bytes moved, > 0 on ERR_OK. ERR_AGAIN: not now; ERR_CLOSED: the other side is gone. */
enum err local_read(int fd, void *buf, size_t size, size_t *n) MUST_USE;
enum err local_write(int fd, const void *buf, size_t size, size_t *n) MUST_USE;

#endif
