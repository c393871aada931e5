/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/dns_listen.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/linux/addr_os.h"
#include "platform/linux/why.h"

enum {
    BACKLOG = 128
};

static bool set(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* False with errno. */
static bool prepare(int fd, const struct sock_addr *at, bool tcp, const char *device)
{
    bool v6 = at->ip.family == ADDR_V6;
    union addr_os name;
    socklen_t len = addr_os_to(&name, at);

    if (v6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY))
        return false;
    /* A listener's former connections shall not be in the way of the next one. */
    if (tcp && (!set(fd, SOL_SOCKET, SO_REUSEADDR) || !set(fd, IPPROTO_TCP, TCP_NODELAY)))
        return false;
    if (!(v6 ? set(fd, IPPROTO_IPV6, IPV6_FREEBIND) : set(fd, IPPROTO_IP, IP_FREEBIND)))
        return false;
    if (device &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) != 0)
        return false;
    return bind(fd, &name.sa, len) == 0 && (!tcp || listen(fd, BACKLOG) == 0);
}

enum err dns_listen_open(int *fd, const struct sock_addr *at, bool tcp, const char *device,
                         char *why, unsigned why_size)
{
    struct why w = {why, why_size};
    int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int s = socket(addr_os_family(at->ip.family), type, 0);

    *fd = -1;
    if (s < 0 && errno == EAFNOSUPPORT)
        return why_fail(w, ERR_UNSUPPORTED, "%s", strerror(errno));
    if (s < 0 || !prepare(s, at, tcp, device)) {
        int e = errno;
        dns_listen_close(s);
        return why_fail(w, err_from_errno(e), "%s", strerror(e));
    }
    *fd = s;
    return ERR_OK;
}

void dns_listen_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum err dns_listen_receive(int fd, void *bytes, size_t size, size_t *len, struct sock_addr *from)
{
    union addr_os name = {0};
    socklen_t name_len = sizeof name;
    ssize_t n = recvfrom(fd, bytes, size, MSG_TRUNC, &name.sa, &name_len);

    *len = n > 0 && (size_t)n <= size ? (size_t)n : 0;
    if (n < 0) /* others tell of an earlier datagram */
        return errno == EAGAIN ? ERR_AGAIN : ERR_OK;
    addr_os_from(from, &name);
    return ERR_OK;
}

void dns_listen_send(int fd, const void *bytes, size_t len, const struct sock_addr *to)
{
    union addr_os name;
    socklen_t name_len = addr_os_to(&name, to);
    ssize_t n = sendto(fd, bytes, len, MSG_NOSIGNAL, &name.sa, name_len);

    (void)n;
}

enum err dns_listen_accept(int fd, int *client, struct sock_addr *from)
{
    union addr_os name = {0};
    socklen_t len = sizeof name;

    *client = accept4(fd, &name.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*client < 0)
        return errno == EAGAIN || errno == EMFILE || errno == ENFILE ? ERR_AGAIN
                                                                     : err_from_errno(errno);
    addr_os_from(from, &name);
    return ERR_OK;
}
