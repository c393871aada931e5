/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SO_MARK, and SO_BINDTODEVICE with the source address. The address alone would not do: Linux routes by destination. With an
 * interface given, a route table whose best route leads to another one is passed over, so the rules of the tunnel do no harm.
 */
#include "platform/egress.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/egress_socket.h"

enum err egress_mark(int fd, uint32_t mark, const char *kind, struct why why)
{
    if (mark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0)
        return ERR_OK;
    int e = errno;
    return why_fail(why, err_from_errno(e),
                    "cannot set the firewall mark 0x%x on a %s socket: %s%s", mark, kind,
                    strerror(e), e == EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
}

/* ---- the source ---- */

static enum err bind_device(int fd, uint32_t ifindex, const char *kind, struct why why)
{
    char name[IF_NAMESIZE];

    if (!if_indextoname(ifindex, name))
        return why_fail(why, ERR_UNREACHABLE, "the way out has just gone");
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1) == 0)
        return ERR_OK;
    int e = errno;
    return why_fail(why, e == EPERM ? ERR_PERMISSION : ERR_UNREACHABLE,
                    "cannot bind a %s socket to %s: %s%s", kind, name, strerror(e),
                    e == EPERM ? "; run as root or with CAP_NET_RAW" : "");
}

static enum err bind_source(int fd, const struct ip_source *from, const struct ip_addr *dst,
                            const char *kind, struct why why)
{
    struct sock_addr local = {.ip = from->ip};
    union addr_os name;
    enum err err = ERR_OK;

    /* What leads to the host itself never leaves it, and its answers come by the loopback device. */
    if (!ip_addr_equal(&from->ip, dst))
        err = bind_device(fd, from->ifindex, kind, why);
    if (err != ERR_OK)
        return err;
    socklen_t len = addr_os_to(&name, &local);
    if (bind(fd, &name.sa, len) == 0)
        return ERR_OK;
    return why_fail(why, ERR_UNREACHABLE, "the source address has just gone: %s", strerror(errno));
}

enum err egress_apply(int fd, const struct egress *e, const struct sock_addr *to, const char *kind,
                      struct why why)
{
    struct ip_source from;

    if (!e)
        return ERR_OK;
    enum err err = egress_mark(fd, e->mark, kind, why);
    if (err != ERR_OK || !e->source)
        return err;
    if (to->scope != 0)
        return bind_device(fd, to->scope, kind, why); /* a link-local address is on one link */
    err = source_resolve(e->source, &to->ip, &from);
    if (err != ERR_OK)
        return why_fail(why, ERR_UNREACHABLE, "there is no way to it but the tunnel (%s)",
                        err_text(err));
    return bind_source(fd, &from, &to->ip, kind, why);
}

/* ---- what is permitted ---- */

static enum err probe_device(int fd, struct why why)
{
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") == 0 || errno == ENODEV)
        return ERR_OK;
    return why_fail(why, ERR_PERMISSION,
                    "nothing keeps our own traffic out of the tunnel: neither firewall marks nor "
                    "binding to an interface is permitted (%s); run as root or with CAP_NET_ADMIN",
                    strerror(errno));
}

static enum err open_source(struct egress *e, int fd, bool by_force, struct why why)
{
    const struct source_config config = {.tun_ifindex = 0};
    enum err err = by_force ? probe_device(fd, why) : ERR_OK;

    if (err != ERR_OK)
        return err;
    err = source_new(&e->source, &config);
    return err == ERR_OK ? ERR_OK
                         : why_fail(why, err, "cannot read the routing tables: %s", err_text(err));
}

enum err egress_open(struct egress *e, uint32_t mark, bool resolve, const char *module,
                     char *why_text, unsigned why_size)
{
    struct why why = {why_text, why_size};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    enum err err = ERR_OK;

    *e = (struct egress){.mark = mark};
    if (fd < 0)
        fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return why_fail(why, err_from_errno(errno), "cannot open a UDP socket: %s",
                        strerror(errno));
    bool forbidden = egress_mark(fd, mark, "UDP", why) != ERR_OK;
    if (forbidden)
        e->mark = 0;
    if (resolve || forbidden)
        err = open_source(e, fd, forbidden, why);
    close(fd);
    if (err == ERR_OK && forbidden && !resolve)
        log_warn(module,
                 "%s; source addresses and interfaces are looked up instead (--source-ip resolve)",
                 why_text);
    return err;
}

void egress_close(struct egress *e)
{
    source_free(e->source);
    *e = (struct egress){.mark = 0};
}

void egress_set_tun(struct egress *e, uint32_t ifindex)
{
    if (e->source)
        source_set_tun(e->source, ifindex);
}
