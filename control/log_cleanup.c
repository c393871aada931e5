/* SPDX-License-Identifier: Apache-2.0 */
/* One pass from the oldest file on, until the rest is small enough. */
#include "control/log_cleanup.h"

#include <stdlib.h>
#include <string.h>

/* "0" stands for a digit. */
static bool has_shape(const char *text, const char *shape)
{
    size_t i = 0;

    while (shape[i] && (shape[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i]))
        i++;
    return shape[i] == '\0' && text[i] == '\0';
}

bool log_cleanup_counts(const char *name)
{
    static const char *const programs[] = {"firezone-headless-client", "firezone-gateway",
                                           "tunnel-service", "gui-client"};

    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        size_t n = strlen(programs[i]);
        if (strncmp(name, programs[i], n) == 0)
            return has_shape(name + n, ".0000-00-00-00-00-00.log");
    }
    return false;
}

/* Files of the same age by folder and name, so that the plan does not depend on the order of a folder. */
static int by_age(const void *a_, const void *b_)
{
    const struct log_cleanup_file *a = a_, *b = b_;

    if (a->mtime_ns != b->mtime_ns)
        return a->mtime_ns < b->mtime_ns ? -1 : 1;
    if (a->folder != b->folder)
        return a->folder < b->folder ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* So is what changed in the future. */
static bool too_young(const struct log_cleanup_file *f, int64_t now_ns)
{
    return f->mtime_ns > now_ns - LOG_CLEANUP_AGE_MIN_S * INT64_C(1000000000);
}

enum err log_cleanup_plan(struct log_cleanup_file *files, size_t n, uint64_t cap_bytes,
                          int64_t now_ns)
{
    size_t left[LOG_CLEANUP_FOLDERS_MAX] = {0};
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++) {
        files[i].doomed = false;
        ASSERT(files[i].folder < LOG_CLEANUP_FOLDERS_MAX);
        if (!log_cleanup_counts(files[i].name))
            continue;
        left[files[i].folder]++;
        if (__builtin_add_overflow(total, files[i].size, &total))
            return ERR_INVALID; /* no file system holds that much */
    }
    if (cap_bytes == 0)
        return ERR_INVALID;
    if (n > 1)
        qsort(files, n, sizeof files[0], by_age);
    for (size_t i = 0; i < n && total > cap_bytes; i++) {
        struct log_cleanup_file *f = &files[i];
        if (f->stays || !log_cleanup_counts(f->name) || too_young(f, now_ns) ||
            left[f->folder] == 1)
            continue;
        f->doomed = true;
        left[f->folder]--;
        total -= f->size;
    }
    return ERR_OK;
}
