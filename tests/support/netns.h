/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace for one test process: nothing a test does reaches the host, and all of it is gone when the
 * process ends. To be called before the process starts threads.
 */
#ifndef FZ_TEST_NETNS_H
#define FZ_TEST_NETNS_H

#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TEST_SKIPPED = 77
};

/* Sets an interface of the current namespace up. */
static inline bool netns_link_up(const char *name)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    bool ok = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &ifr) == 0;
    ifr.ifr_flags |= IFF_UP;
    ok = ok && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Runs `ip` with these arguments. */
static inline bool netns_ip(const char *args)
{
    char command[256];
    snprintf(command, sizeof command, "ip %s >/dev/null 2>&1", args);
    return system(command) == 0;
}

/* The same, in a test of cmocka: it fails if that does. */
#define netns_must(args)                                                                           \
    do {                                                                                           \
        if (!netns_ip(args))                                                                       \
            fail_msg("ip %s", args);                                                               \
    } while (0)

/* Moves the process into a namespace of its own with only `lo`, which is up. False without the privilege. */
static inline bool netns_enter(void)
{
    return unshare(CLONE_NEWNET) == 0 && netns_link_up("lo");
}

/* The same, or ends the program as skipped. */
static inline void netns_enter_or_skip(void)
{
    if (!netns_enter()) {
        fprintf(stderr, "skipped: no privilege to make a network namespace\n");
        exit(TEST_SKIPPED);
    }
}

/* An empty /run that nobody else sees; else notes of a test would be those of the machine. False without the privilege. */
static inline bool netns_private_run(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0;
}

#endif
