/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the method that was chosen, and does what all of them have in common. */
#include "platform/dns_control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/base/sentinel.h"
#include "platform/linux/dns_etc_resolv_conf.h"
#include "platform/linux/dns_method.h"

struct dns_control {
    const struct dns_method_ops *ops;
    void *self;
    struct loop *loop;
    loop_fn changed;
    void *arg;
    struct loop_timer first; /* call of `changed` */
};

static const struct dns_method_ops *method_ops(enum dns_method method)
{
    switch (method) {
    case DNS_METHOD_DISABLED:
        return &dns_disabled;
    case DNS_METHOD_ETC_RESOLV_CONF:
        return &dns_etc_resolv_conf;
    case DNS_METHOD_SYSTEMD_RESOLVED:
        return &dns_systemd_resolved;
    }
    ASSERT(!"a method that there is not");
    return NULL;
}

/* What resolved was told goes with the link. */
void dns_control_recover(void)
{
    dns_etc_resolv_conf_recover(&resolv_paths_system);
}

/* Who writes the file tells. Its link leads nowhere while resolved has not been started. */
enum dns_method dns_control_guess(void)
{
    char *target = realpath(resolv_paths_system.file, NULL), link[256];
    bool resolved = target && strncmp(target, "/run/systemd/", strlen("/run/systemd/")) == 0;
    ssize_t n = target ? 0 : readlink(resolv_paths_system.file, link, sizeof link - 1);

    free(target);
    if (n > 0) {
        link[n] = '\0';
        resolved = strstr(link, "/run/systemd/");
    }
    return resolved ? DNS_METHOD_SYSTEMD_RESOLVED : DNS_METHOD_ETC_RESOLV_CONF;
}

static void call_changed(void *arg)
{
    struct dns_control *c = arg;

    loop_timer_clear(c->loop, &c->first);
    c->changed(c->arg);
}

enum err dns_control_new(struct dns_control **out, enum dns_method method, struct loop *l,
                         loop_fn changed, void *arg, char *why, unsigned why_size)
{
    struct dns_control *c = mem_zalloc(1, sizeof *c);

    *c = (struct dns_control){.ops = method_ops(method), .loop = l, .changed = changed, .arg = arg};
    loop_timer_init(&c->first, call_changed, c);
    enum err err = c->ops->open(&c->self, l, call_changed, c, why, why_size);
    if (err != ERR_OK) {
        free(c);
        return err;
    }
    loop_timer_set(l, &c->first, 0);
    *out = c;
    return ERR_OK;
}

void dns_control_free(struct dns_control *c)
{
    if (!c)
        return;
    loop_timer_clear(c->loop, &c->first);
    c->ops->revert(c->self);
    c->ops->close(c->self);
    free(c);
}

enum err dns_control_set(struct dns_control *c, const struct dns_settings *s, char *why,
                         unsigned why_size)
{
    return c->ops->set(c->self, s, why, why_size);
}

void dns_control_revert(struct dns_control *c)
{
    c->ops->revert(c->self);
}

void dns_control_flush(struct dns_control *c)
{
    c->ops->flush(c->self);
}

enum err dns_control_resolvers(struct dns_control *c, struct sock_addr out[RESOLVERS_MAX],
                               unsigned *n, char *why, unsigned why_size)
{
    unsigned found = 0;
    enum err err = c->ops->resolvers(c->self, out, &found, why, why_size);

    *n = 0;
    if (err != ERR_OK)
        return err;
    for (unsigned i = 0; i < found; i++) {
        if (!sentinel_contains(&out[i].ip))
            out[(*n)++] = out[i];
    }
    return ERR_OK;
}
