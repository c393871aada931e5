/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "platform/linux/addr_os.h"
#include "platform/linux/egress_socket.h"
#include "platform/linux/why.h"

static int set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : errno;
}

/* A firewall, a router or a policy for one family says EPERM and EACCES, too; another address may have better luck. */
static enum err connect_failed(struct why why, int e)
{
    return why_fail(why, e == EPERM || e == EACCES ? ERR_UNREACHABLE : err_from_errno(e), "%s",
                    strerror(e));
}

static enum err begin(int fd, const struct sock_addr *to, const struct egress *egress,
                      struct why why)
{
    union addr_os name;
    socklen_t len = addr_os_to(&name, to);
    enum err err = egress_apply(fd, egress, to, "TCP", why);
    int e;

    if (err != ERR_OK)
        return err;
    if ((e = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1)) != 0)
        return connect_failed(why, e);
    if (connect(fd, &name.sa, len) == 0 || errno == EINPROGRESS)
        return ERR_OK;
    return connect_failed(why, errno);
}

enum err tcp_connect(int *fd, const struct sock_addr *to, const struct egress *egress, char *why,
                     unsigned why_size)
{
    struct why w = {why, why_size};

    *fd = -1;
    if (to->ip.family == ADDR_NONE)
        return why_fail(w, ERR_INVALID, "no address");
    int s = socket(addr_os_family(to->ip.family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return connect_failed(w, errno);
    enum err err = begin(s, to, egress, w);
    if (err == ERR_OK)
        *fd = s;
    else
        close(s);
    return err;
}

enum err tcp_connected(int fd, char *why, unsigned why_size)
{
    struct why w = {why, why_size};
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int e = 0;

    if (poll(&p, 1, 0) == 0)
        return ERR_AGAIN;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
        e = errno;
    if (e == 0)
        return ERR_OK;
    return connect_failed(w, e);
}

struct sock_addr tcp_local(int fd)
{
    struct sock_addr local = {.port = 0};
    union addr_os name = {.sa = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof name;

    if (getsockname(fd, &name.sa, &len) == 0)
        addr_os_from(&local, &name);
    return local;
}

void tcp_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
