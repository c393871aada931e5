/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of journals. A lock beside them, which others cannot even read, makes that nobody takes a file that is just being made for one of a dead process, and that
 * who starts does not begin before the others have ended their recovery.
 */
#include "platform/linux/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/time.h"
#include "platform/paths.h"

#define MODULE    "routes"
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
#define LOCK_FILE "lock"
#define PREFIX    "network-"
#define SUFFIX    ".journal"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum {
    NAMES_MAX = 100, /* of one process id */
    LOCK_TRIES = 50,
    LOCK_WAIT_MS = 10
};

/* ---- the folder ---- */

static bool is_ours(const struct stat *st)
{
    return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The descriptor of a lock that nobody has now; -1 with errno. */
static int lock_take(int folder)
{
    struct stat st;

    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        int fd = openat(folder, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1)
            return fd; /* else it has just been given back */
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_MS * (long)NS_PER_MS}, NULL);
    }
    errno = EBUSY;
    return -1;
}

static void lock_give_back(int folder, int lock)
{
    unlinkat(folder, LOCK_FILE, 0);
    close(lock);
}

/* -1 with errno. create: makes it if it is missing. *lock: to be given back before it is closed. */
static int folder_open(bool create, int *lock)
{
    struct stat st;

    if (create && mkdir(paths_run(), 0755) != 0 && errno != EEXIST)
        return -1;
    int fd = open(paths_run(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    errno = EPERM;
    if (fstat(fd, &st) == 0 && is_ours(&st) && (*lock = lock_take(fd)) >= 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

/* False with errno. */
static bool scope_now(struct journal_scope *out)
{
    socklen_t len = sizeof out->netns;
    int fd = open(BOOT_FILE, O_RDONLY | O_CLOEXEC);
    bool boot = fd >= 0 && read(fd, out->boot, JOURNAL_BOOT_LEN) == JOURNAL_BOOT_LEN;

    if (fd >= 0)
        close(fd);
    out->boot[boot ? JOURNAL_BOOT_LEN : 0] = '\0';
    if (!boot) /* units often hide it */
        strcpy(out->boot, "-");
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool ok = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &out->netns, &len) == 0;
    int e = errno;
    close(fd);
    errno = e;
    return ok;
}

/* ---- our own ---- */

void journal_init(struct journal *j)
{
    *j = (struct journal){.fd = -1};
}

/* A name that is taken is that of a process which had the same id, in another namespace perhaps. */
static int create(struct journal *j, int folder)
{
    int fd = -1;

    for (unsigned i = 0; i < NAMES_MAX; i++) {
        snprintf(j->name, sizeof j->name, PREFIX "%d-%u" SUFFIX, (int)getpid(), i);
        fd = openat(folder, j->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            break;
    }
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        unlinkat(folder, j->name, 0);
        fd = -1;
    }
    return fd;
}

static bool append(const struct journal *j, const char *text, size_t len)
{
    return write(j->fd, text, len) == (ssize_t)len;
}

static bool begin(struct journal *j)
{
    char head[JOURNAL_LINE_MAX];
    struct journal_scope scope;

    if (!scope_now(&scope))
        return false;
    int lock, folder = folder_open(true, &lock);
    if (folder < 0)
        return false;
    j->fd = create(j, folder);
    bool ok = j->fd >= 0 && append(j, head, journal_text_head(head, sizeof head, &scope));
    int e = errno;
    lock_give_back(folder, lock);
    close(folder);
    errno = e;
    return ok;
}

void journal_note(struct journal *j, const struct journal_entry *entry)
{
    char line[JOURNAL_LINE_MAX];

    if (j->none)
        return;
    errno = ENOSPC;
    if (j->n < JOURNAL_ENTRIES_MAX && (j->fd >= 0 || begin(j)) &&
        append(j, line, journal_text_line(line, sizeof line, entry))) {
        j->n++;
        return;
    }
    log_info(
        MODULE,
        "%s takes no notes (%s): if this process is killed, its changes of the host stay behind",
        paths_run(), strerror(errno));
    j->none = true;
}

void journal_close(struct journal *j, bool done)
{
    int folder = j->fd >= 0 && done ? open(paths_run(), O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

    if (folder >= 0) {
        unlinkat(folder, j->name, 0);
        close(folder);
    }
    if (j->fd >= 0)
        close(j->fd);
    journal_init(j);
}

/* ---- those of others ---- */

static bool name_ok(const char *name)
{
    size_t len = strlen(name), end = strlen(SUFFIX);
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && len > end &&
           strcmp(name + len - end, SUFFIX) == 0;
}

/* The descriptor of a journal whose process is dead; -1: it is none. */
static int open_dead(int folder, const char *name)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -1;
    /* Without a name it has just been removed by its process. */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_ours(&st) &&
        flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1)
        return fd;
    close(fd);
    return -1;
}

/* Whether it can be removed. */
static bool recover(int fd, const struct journal_scope *here, journal_undo_fn undo, void *arg)
{
    struct journal_text text;
    char *bytes = mem_zalloc(JOURNAL_TEXT_MAX, 1);
    ssize_t len = read(fd, bytes, JOURNAL_TEXT_MAX);
    bool ok = len >= 0 && journal_text_parse(&text, bytes, (size_t)len);

    free(bytes);
    if (len < 0)
        return false;
    if (!ok || journal_scope_over(&text.scope, here))
        return true;
    return journal_scope_here(&text.scope, here) && undo(arg, &text);
}

void journal_recover(journal_undo_fn undo, void *arg)
{
    struct journal_scope here;
    const struct dirent *entry;
    int lock = -1, folder = scope_now(&here) ? folder_open(false, &lock) : -1;
    DIR *dir = folder >= 0 ? fdopendir(folder) : NULL;

    if (!dir) {
        if (folder >= 0) {
            lock_give_back(folder, lock);
            close(folder);
        } else if (errno != ENOENT)
            log_debug(MODULE, "%s cannot be read: %s", paths_run(), strerror(errno));
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        int fd = name_ok(entry->d_name) ? open_dead(folder, entry->d_name) : -1;
        if (fd < 0)
            continue;
        if (recover(fd, &here, undo, arg))
            unlinkat(folder, entry->d_name, 0);
        close(fd);
    }
    lock_give_back(folder, lock);
    closedir(dir);
}
