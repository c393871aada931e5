/* SPDX-License-Identifier: Apache-2.0 */
/* What each method of platform/dns_control.h brings; dns_control.c calls the one that was chosen. Control role. */
#ifndef FZ_LINUX_DNS_METHOD_H
#define FZ_LINUX_DNS_METHOD_H

#include "platform/dns_control.h"

struct dns_method_ops {
    const char *name; /* as on the command line */
    /* changed: see dns_control_new; the first call is dns_control.c's. */
    enum err (*open)(void **self, struct loop *l, loop_fn changed, void *arg, char *why,
                     unsigned why_size);
    void (*close)(void *self); /* after `revert` */
    enum err (*set)(void *self, const struct dns_settings *s, char *why, unsigned why_size);
    void (*revert)(void *self);
    void (*flush)(void *self);
    enum err (*resolvers)(void *self, struct sock_addr out[RESOLVERS_MAX], unsigned *n, char *why,
                          unsigned why_size);
};

extern const struct dns_method_ops dns_disabled;         /* dns_etc_resolv_conf.c */
extern const struct dns_method_ops dns_etc_resolv_conf;  /* dns_etc_resolv_conf.c */
extern const struct dns_method_ops dns_systemd_resolved; /* dns_systemd_resolved.c */

#endif
