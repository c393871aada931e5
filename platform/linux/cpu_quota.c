/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the CPU controller's mount and our group in it, and walks up to the mount point.
 *
 * mountinfo(5) line:  36 35 98:0 ROOT MOUNTPOINT rw,noatime [optional fields] - FSTYPE SOURCE SUPEROPTIONS
 * cgroup line:        4:cpu,cpuacct:/GROUP (v1)      0::/GROUP (v2)
 *
 * ROOT is the part of the hierarchy that is visible at MOUNTPOINT; a container without a group namespace of its own
 * sees GROUP with ROOT in front.
 */
#include "platform/linux/cpu_quota.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_LEN_MAX = 512
};

struct hierarchy {
    char group[PATH_LEN_MAX]; /* path of our group, "" if there is none */
    char root[PATH_LEN_MAX];
    char mount[PATH_LEN_MAX];
    bool v2;
};

/* True if the comma-separated list has `word`. */
static bool list_has(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
        if (strncmp(p, word, n) == 0 && (p[n] == '\0' || p[n] == ','))
            return true;
    }
    return false;
}

static void copy_path(char *dst, const char *src)
{
    snprintf(dst, PATH_LEN_MAX, "%s", src);
}

/* Our group's path, of the v1 hierarchy with the cpu controller or of v2. */
static void find_group(struct hierarchy *h, const char *file)
{
    char *line = NULL;
    size_t size = 0;
    FILE *f = fopen(file, "re");

    while (f && getline(&line, &size, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        if (h->v2 ? *controllers == '\0' : list_has(controllers, "cpu"))
            copy_path(h->group, path);
    }
    free(line);
    if (f)
        fclose(f);
}

/* Splits one mountinfo line; true if it is the mount of the wanted hierarchy. */
static bool parse_mount(struct hierarchy *h, char *line)
{
    char *tail = strstr(line, " - "), *save = NULL;
    if (!tail)
        return false;
    *tail = '\0';
    char type[32], super[256];
    if (sscanf(tail + 3, "%31s %*s %255s", type, super) != 2)
        return false;
    if (h->v2 ? strcmp(type, "cgroup2") != 0
              : strcmp(type, "cgroup") != 0 || !list_has(super, "cpu"))
        return false;
    char *field = strtok_r(line, " ", &save);
    for (unsigned i = 0; field && i < 5; i++, field = strtok_r(NULL, " ", &save)) {
        if (i == 3)
            copy_path(h->root, field);
        if (i == 4)
            copy_path(h->mount, field);
    }
    return h->mount[0] != '\0';
}

static bool find_mount(struct hierarchy *h, const char *file)
{
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    FILE *f = fopen(file, "re");

    while (f && !found && getline(&line, &size, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        found = parse_mount(h, line);
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* First line of DIR/NAME. */
static bool read_line(const char *dir, const char *name, char *line, size_t size)
{
    char path[2 * PATH_LEN_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(line, (int)size, f);
    if (f)
        fclose(f);
    return ok;
}

/* Quota of one group in whole CPUs, 0 = unlimited or unreadable. */
static unsigned group_quota(const char *dir, bool v2)
{
    char line[64];
    long long quota = 0, period = 0;

    if (v2) {
        char *rest;
        if (!read_line(dir, "cpu.max", line, sizeof line))
            return 0;
        quota = strtoll(line, &rest, 10); /* 0 for "max 100000", which is right: no limit */
        period = strtoll(rest, NULL, 10);
    } else {
        if (!read_line(dir, "cpu.cfs_quota_us", line, sizeof line))
            return 0;
        quota = strtoll(line, NULL, 10);
        if (!read_line(dir, "cpu.cfs_period_us", line, sizeof line))
            return 0;
        period = strtoll(line, NULL, 10);
    }
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > UINT_MAX ? UINT_MAX : (unsigned)cpus;
}

/* The least quota of `dir` and its parents down to a path of `mount_len` characters. */
static unsigned least_quota(char *dir, size_t mount_len, bool v2)
{
    unsigned least = 0;

    for (;;) {
        unsigned cpus = group_quota(dir, v2);
        if (cpus != 0 && (least == 0 || cpus < least))
            least = cpus;
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < mount_len)
            return least;
        *slash = '\0';
    }
}

static unsigned hierarchy_quota(bool v2, const char *cgroup, const char *mountinfo)
{
    struct hierarchy h = {.v2 = v2};
    char dir[2 * PATH_LEN_MAX];

    find_group(&h, cgroup);
    if (h.group[0] == '\0' || !find_mount(&h, mountinfo))
        return 0;
    /* what lies above ROOT is not visible here */
    size_t root_len = strcmp(h.root, "/") == 0 ? 0 : strlen(h.root);
    bool inside = strncmp(h.group, h.root, root_len) == 0 &&
                  (h.group[root_len] == '/' || h.group[root_len] == '\0');
    snprintf(dir, sizeof dir, "%s%s", h.mount, inside ? h.group + root_len : "");
    return least_quota(dir, strlen(h.mount), v2);
}

unsigned cpu_quota(const char *cgroup, const char *mountinfo)
{
    unsigned v1 = hierarchy_quota(false, cgroup, mountinfo);
    unsigned v2 = hierarchy_quota(true, cgroup, mountinfo);
    return v1 == 0 || (v2 != 0 && v2 < v1) ? v2 : v1;
}
