/* SPDX-License-Identifier: Apache-2.0 */
/* open and read; buffers that were outgrown are wiped. */
#include "platform/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    READ_FIRST = 16384
};

static enum err read_failed(char *why, unsigned why_size)
{
    enum err err = errno == EISDIR ? ERR_INVALID : err_from_errno(errno);
    snprintf(why, why_size, "%s", strerror(errno));
    return err;
}

static void outgrow(struct file_content *c, size_t *size)
{
    char *bigger = mem_zalloc(2 * *size, 1);
    memcpy(bigger, c->bytes, c->len);
    secure_wipe(c->bytes, c->len);
    free(c->bytes);
    c->bytes = bigger;
    *size *= 2;
}

static enum err read_all(struct file_content *c, int fd, size_t max, char *why, unsigned why_size)
{
    size_t size = READ_FIRST;

    c->bytes = mem_zalloc(size, 1);
    for (;;) {
        if (c->len + 1 >= size)
            outgrow(c, &size);
        ssize_t n = read(fd, c->bytes + c->len, size - c->len - 1);
        if (n == 0)
            return ERR_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return read_failed(why, why_size);
        c->len += (size_t)n;
        if (c->len > max) {
            snprintf(why, why_size, "larger than %zu KiB", max >> 10);
            return ERR_NO_SPACE;
        }
    }
}

enum err file_read_open(struct file_content *out, int file, size_t max, char *why,
                        unsigned why_size)
{
    struct stat st;

    *out = (struct file_content){0};
    enum err err = read_all(out, file, max, why, why_size);
    if (err == ERR_OK && fstat(file, &st) == 0)
        out->exposed = S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0;
    if (err != ERR_OK)
        file_content_wipe(out);
    else
        out->bytes[out->len] = '\0';
    return err;
}

enum err file_read(struct file_content *out, const char *path, size_t max, char *why,
                   unsigned why_size)
{
    *out = (struct file_content){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return read_failed(why, why_size);
    enum err err = file_read_open(out, fd, max, why, why_size);
    close(fd);
    return err;
}

enum err file_open(int *out, const char *path, char *why, unsigned why_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    *out = -1;
    if (fd < 0 && errno == ELOOP) {
        snprintf(why, why_size, "it is a symbolic link");
        return ERR_INVALID;
    }
    if (fd < 0)
        return read_failed(why, why_size);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(why, why_size, "it is not a regular file");
        close(fd);
        return ERR_INVALID;
    }
    *out = fd;
    return ERR_OK;
}

void file_close(int file)
{
    close(file);
}

void file_content_wipe(struct file_content *c)
{
    if (c->bytes)
        secure_wipe(c->bytes, c->len);
    free(c->bytes);
    *c = (struct file_content){0};
}

struct file_stamp file_stamp(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return (struct file_stamp){0};
    return (struct file_stamp){.device = st.st_dev,
                               .inode = st.st_ino,
                               .size = (uint64_t)st.st_size,
                               .changed_s = st.st_ctim.tv_sec,
                               .changed_ns = st.st_ctim.tv_nsec};
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}
