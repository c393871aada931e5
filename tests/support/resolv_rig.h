/* SPDX-License-Identifier: Apache-2.0 */
/* A folder with a resolv.conf of its own, for the tests of what writes there. */
#ifndef FZ_TEST_RESOLV_RIG_H
#define FZ_TEST_RESOLV_RIG_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/file.h"
#include "platform/linux/resolv_file.h"

struct resolv_rig {
    char folder[64], file[128], backup[160];
    struct resolv_paths paths;
};

/* In memory if there is such a place: a disk takes its time for thousands of fsync calls, and nothing here depends on one. */
static inline bool resolv_rig_begin(struct resolv_rig *r)
{
    snprintf(r->folder, sizeof r->folder, "/dev/shm/unit_resolv.XXXXXX");
    if (!mkdtemp(r->folder)) {
        snprintf(r->folder, sizeof r->folder, "%s/unit_resolv.XXXXXX", P_tmpdir);
        if (!mkdtemp(r->folder))
            return false;
    }
    snprintf(r->file, sizeof r->file, "%s/resolv.conf", r->folder);
    snprintf(r->backup, sizeof r->backup, "%s.before-firezone", r->file);
    r->paths = (struct resolv_paths){.file = r->file, .backup = r->backup};
    return true;
}

static inline void resolv_rig_end(struct resolv_rig *r)
{
    char fresh[192];

    snprintf(fresh, sizeof fresh, "%s.new", r->backup);
    unlink(fresh);
    unlink(r->file);
    unlink(r->backup);
    rmdir(r->folder);
}

/* As others write it: opened, emptied, filled. */
static inline bool resolv_rig_write(const char *path, const char *bytes, size_t len)
{
    FILE *f = fopen(path, "w");
    bool good = f && fwrite(bytes, 1, len, f) == len;
    return f && fclose(f) == 0 && good;
}

static inline bool resolv_rig_has(const char *path, const char *bytes, size_t len)
{
    struct file_content now;
    char why[128];

    if (file_read(&now, path, 1 << 24, why, sizeof why) != ERR_OK)
        return false;
    bool same = now.len == len && memcmp(now.bytes, bytes, len) == 0;
    file_content_wipe(&now);
    return same;
}

/* A file of `len` bytes with one server, and comments; no line feed at its end if `len` is odd. */
static inline char *resolv_rig_text(size_t len)
{
    static const char server[] = "nameserver 192.0.2.1\n", comment[] = "# written by hand\n";
    char *text = calloc(len + 1, 1);

    for (size_t i = 0; text && i < len; i++)
        text[i] = i < sizeof server - 1 ? server[i]
                                        : comment[(i - sizeof server + 1) % (sizeof comment - 1)];
    if (text && len > 0 && len % 2 == 0)
        text[len - 1] = '\n';
    return text;
}

#endif
