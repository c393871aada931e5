/* SPDX-License-Identifier: Apache-2.0 */
/* See sysctl.h. */
#include "platform/linux/sysctl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_LEN_MAX = 96,
    VALUE_LEN_MAX = 16
};

static const struct {
    const char *family, *name;
} keys[SYSCTL_KEYS] = {
    [SYSCTL_V4_FORWARDING] = {"ipv4", "forwarding"},
    [SYSCTL_V4_ACCEPT_REDIRECTS] = {"ipv4", "accept_redirects"},
    [SYSCTL_V6_FORWARDING] = {"ipv6", "forwarding"},
    [SYSCTL_V6_ACCEPT_RA] = {"ipv6", "accept_ra"},
};

const char *sysctl_family(enum sysctl_key key)
{
    return keys[key].family;
}

const char *sysctl_name(enum sysctl_key key)
{
    return keys[key].name;
}

bool sysctl_scope_ok(const char *scope)
{
    size_t len = strlen(scope);

    if (len == 0 || len >= IF_NAMESIZE || strcmp(scope, ".") == 0 || strcmp(scope, "..") == 0)
        return false;
    for (const char *p = scope; *p; p++) {
        if (*p == '/' || *p == ':' || isspace((unsigned char)*p))
            return false;
    }
    return true;
}

static int open_sysctl(const struct sysctl *s, int flags)
{
    char path[PATH_LEN_MAX];

    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", keys[s->key].family, s->scope,
             keys[s->key].name);
    return open(path, flags | O_CLOEXEC);
}

int sysctl_read(struct sysctl *s)
{
    char text[VALUE_LEN_MAX];
    int fd = open_sysctl(s, O_RDONLY);

    if (fd < 0)
        return errno;
    ssize_t len = read(fd, text, sizeof text - 1);
    int e = len < 0 ? errno : 0;
    close(fd);
    if (e != 0)
        return e;
    text[len] = '\0';
    long value = strtol(text, NULL, 10);
    s->value = value < 0 ? 0 : (uint32_t)value; /* as the kernel takes it in these four */
    return 0;
}

int sysctl_write(const struct sysctl *s)
{
    char text[VALUE_LEN_MAX];
    int len = snprintf(text, sizeof text, "%" PRIu32, s->value), fd = open_sysctl(s, O_WRONLY);

    if (fd < 0)
        return errno;
    int e = write(fd, text, (size_t)len) == len ? 0 : errno;
    close(fd);
    return e;
}

int sysctl_each(enum sysctl_key key, void (*each)(void *arg, const struct sysctl *s), void *arg)
{
    char path[PATH_LEN_MAX];
    const struct dirent *entry;

    snprintf(path, sizeof path, "/proc/sys/net/%s/conf", keys[key].family);
    DIR *dir = opendir(path);
    if (!dir)
        return errno;
    while ((entry = readdir(dir)) != NULL) {
        struct sysctl s = {.key = key};
        if (!sysctl_scope_ok(entry->d_name) || strcmp(entry->d_name, "all") == 0)
            continue;
        memcpy(s.scope, entry->d_name, strlen(entry->d_name));
        if (sysctl_read(&s) == 0)
            each(arg, &s);
    }
    closedir(dir);
    return 0;
}
