/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/dns_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/linux/addr_os.h"
#include "platform/linux/egress_socket.h"
#include "platform/linux/why.h"
#include "platform/tcp.h"

/* Only a mark that cannot be set is a matter of permission: a firewall says EPERM and EACCES, too. */
static enum err broken(int e)
{
    if (e == EAGAIN || e == EINTR)
        return ERR_AGAIN;
    return e == EPERM || e == EACCES ? ERR_UNREACHABLE : err_from_errno(e);
}

static enum err udp_begin(int fd, const struct sock_addr *server, const struct egress *egress,
                          struct why why)
{
    union addr_os name;
    socklen_t len = addr_os_to(&name, server);
    enum err err = egress_apply(fd, egress, server, "UDP", why);

    if (err != ERR_OK || connect(fd, &name.sa, len) == 0)
        return err;
    return why_fail(why, broken(errno), "%s", strerror(errno));
}

enum err dns_socket_open(int *fd, const struct sock_addr *server, bool tcp,
                         const struct egress *egress, char *why, unsigned why_size)
{
    struct why w = {why, why_size};

    if (tcp)
        return tcp_connect(fd, server, egress, why, why_size);
    *fd = -1;
    if (server->ip.family == ADDR_NONE)
        return why_fail(w, ERR_INVALID, "no address");
    int s = socket(addr_os_family(server->ip.family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return why_fail(w, broken(errno), "%s", strerror(errno));
    enum err err = udp_begin(s, server, egress, w);
    if (err == ERR_OK)
        *fd = s;
    else
        close(s);
    return err;
}

enum err dns_socket_new(int *fd, enum addr_family family, bool tcp, char *why, unsigned why_size)
{
    *fd = socket(addr_os_family(family),
                 (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd >= 0)
        return ERR_OK;
    return why_fail((struct why){why, why_size}, broken(errno), "%s", strerror(errno));
}

enum err dns_socket_connect(int fd, const void *server_os, size_t server_os_len, bool tcp,
                            const struct egress *egress, char *why, unsigned why_size)
{
    struct why w = {why, why_size};
    union addr_os name = {.sa = {.sa_family = AF_UNSPEC}};
    struct sock_addr server;

    memcpy(&name, server_os, size_min(server_os_len, sizeof name));
    addr_os_from(&server, &name);
    if (server.ip.family == ADDR_NONE)
        return why_fail(w, ERR_INVALID, "no address");
    enum err err = egress_apply(fd, egress, &server, tcp ? "TCP" : "UDP", w);
    if (err != ERR_OK || connect(fd, &name.sa, addr_os_to(&name, &server)) == 0 ||
        (tcp && errno == EINPROGRESS))
        return err;
    return why_fail(w, broken(errno), "%s", strerror(errno));
}

void dns_socket_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum err dns_socket_send(int fd, const void *bytes, size_t len, size_t *sent)
{
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

    *sent = n > 0 ? (size_t)n : 0;
    return n >= 0 ? ERR_OK : broken(errno);
}

enum err dns_socket_recv(int fd, void *bytes, size_t size, size_t *len)
{
    ssize_t n = recv(fd, bytes, size, 0);

    *len = n > 0 ? (size_t)n : 0;
    return n >= 0 ? ERR_OK : broken(errno);
}
