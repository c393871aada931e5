/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's settings of one interface, or of "all" or "default", that forwarding has to do with. Control thread. Source: the kernel's
 * Documentation/networking/ip-sysctl.rst.
 */
#ifndef FZ_LINUX_SYSCTL_H
#define FZ_LINUX_SYSCTL_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

enum sysctl_key {
    SYSCTL_V4_FORWARDING,
    SYSCTL_V4_ACCEPT_REDIRECTS,
    SYSCTL_V6_FORWARDING,
    SYSCTL_V6_ACCEPT_RA,
    SYSCTL_KEYS
};

struct sysctl {
    enum sysctl_key key;
    char scope[IF_NAMESIZE]; /* the name of an interface, "all" or "default" */
    uint32_t value;
};

/* "ipv4", "forwarding" */
const char *sysctl_family(enum sysctl_key key);
const char *sysctl_name(enum sysctl_key key);

/* Whether the kernel could give an interface this name, so that it is no path to somewhere else. */
bool sysctl_scope_ok(const char *scope);

/* Reads `value`, or writes it. Returns 0 or a positive errno; ENOENT: there is no such interface, or the family is off. */
int sysctl_read(struct sysctl *s);
int sysctl_write(const struct sysctl *s);

/* Calls `each` for all scopes that have this setting and are interfaces or "default". Returns 0 or a positive errno. */
int sysctl_each(enum sysctl_key key, void (*each)(void *arg, const struct sysctl *s), void *arg);

#endif
