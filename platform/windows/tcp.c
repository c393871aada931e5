/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform/tcp.h on Windows: bound to the source of the best way that is not the TUN, and with a route to the one host while the connection
 * lives, without which a machine with several interfaces would still follow the default route.
 */
#include "platform/tcp.h"

/* winsock2.h comes before windows.h */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "platform/windows/host_route.h"
#include "platform/windows/source_private.h"

/* Connections that have a route. Control's; the routes are the machine's, so there is one list of them. */
struct connection {
    SOCKET fd;
    struct host_route *route;
    struct connection *next;
};
static struct connection *connections;
static struct host_routes routes;

static enum err why_failed(char *why, unsigned why_size, enum err err, const char *what, int e)
{
    snprintf(why, why_size, "%s: Windows socket error %d", what, e);
    return err;
}

/* Whatever it is: another address may have better luck. */
static enum err connect_failed(char *why, unsigned why_size, int e)
{
    return why_failed(why, why_size, e == WSAETIMEDOUT ? ERR_TIMEOUT : ERR_UNREACHABLE,
                      "cannot connect", e);
}

static int name_of(struct sockaddr_storage *name, const struct sock_addr *a)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)name;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)name;

    memset(name, 0, sizeof *name);
    if (a->ip.family == ADDR_V4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(a->port);
        memcpy(&v4->sin_addr, a->ip.bytes, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(a->port);
    v6->sin6_scope_id = a->scope;
    memcpy(&v6->sin6_addr, a->ip.bytes, 16);
    return sizeof *v6;
}

/* ---- the way ---- */

static enum err keep_out(SOCKET fd, const struct egress *e, const struct sock_addr *to, char *why,
                         unsigned why_size)
{
    struct sockaddr_storage name;
    struct source_best best;
    struct host_route *route = NULL;

    const struct source *source = e->source;
    if (to->scope != 0) { /* a link-local address is on one link, and connect is told on which */
        uint64_t luid = source_best_luid(source->helper, to->scope);
        if (luid != 0 && luid != source->tun_luid)
            return ERR_OK;
        snprintf(why, why_size, "there is no such link but the tunnel");
        return ERR_UNREACHABLE;
    }
    /* What leads to the machine itself never leaves it. */
    if (source_best_interface(source->helper, 0, &to->ip) != 0)
        return ERR_OK;
    if (!routes.helper)
        host_routes_init(&routes, source->helper, own_hosts_process());
    host_routes_sweep(&routes, &to->ip);
    enum err err = source_best(source->helper, source->tun_luid, &to->ip, &best);
    if (err != ERR_OK) {
        snprintf(why, why_size, "there is no way to it but the tunnel (%s)", err_text(err));
        return ERR_UNREACHABLE;
    }
    struct sock_addr local = {.ip = best.source.ip};
    int len = name_of(&name, &local);
    if (bind(fd, (struct sockaddr *)&name, len) != 0)
        return why_failed(why, why_size, ERR_UNREACHABLE, "the source address has just gone",
                          WSAGetLastError());
    err = host_routes_get(&routes, &to->ip, &best.route, &route);
    if (err != ERR_OK) {
        snprintf(
            why, why_size,
            "no route can be made that keeps the connection out of the tunnel; run as administrator");
        return err;
    }
    struct connection *c = mem_zalloc(1, sizeof *c);
    *c = (struct connection){.fd = fd, .route = route, .next = connections};
    connections = c;
    return ERR_OK;
}

static void let_go(SOCKET fd)
{
    struct connection **at = &connections, *c;

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    if (!*at)
        return;
    c = *at;
    *at = c->next;
    host_routes_put(&routes, c->route);
    free(c);
}

/* ---- connections ---- */

static bool winsock_ready(void)
{
    WSADATA data;
    static bool ready;

    ready = ready || WSAStartup(MAKEWORD(2, 2), &data) == 0;
    return ready;
}

static enum err begin(SOCKET fd, const struct sock_addr *to, const struct egress *egress, char *why,
                      unsigned why_size)
{
    struct sockaddr_storage name;
    u_long on = 1;
    int no_delay = 1;

    if (ioctlsocket(fd, FIONBIO, &on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (const char *)&no_delay, sizeof no_delay) != 0)
        return why_failed(why, why_size, ERR_IO, "cannot prepare a socket", WSAGetLastError());
    enum err err = egress && egress->source ? keep_out(fd, egress, to, why, why_size) : ERR_OK;
    if (err != ERR_OK)
        return err;
    int len = name_of(&name, to);
    if (connect(fd, (struct sockaddr *)&name, len) == 0 || WSAGetLastError() == WSAEWOULDBLOCK)
        return ERR_OK;
    return connect_failed(why, why_size, WSAGetLastError());
}

enum err tcp_connect(int *fd, const struct sock_addr *to, const struct egress *egress, char *why,
                     unsigned why_size)
{
    *fd = -1;
    if (to->ip.family == ADDR_NONE) {
        snprintf(why, why_size, "no address");
        return ERR_INVALID;
    }
    if (!winsock_ready())
        return why_failed(why, why_size, ERR_IO, "there are no sockets", WSAGetLastError());
    SOCKET s = WSASocketW((int)ip_helper_family(&to->ip), SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                          WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (s == INVALID_SOCKET)
        return why_failed(why, why_size, ERR_IO, "cannot open a socket", WSAGetLastError());
    enum err err = begin(s, to, egress, why, why_size);
    if (err == ERR_OK)
        *fd = (int)s; /* handles of sockets are small numbers */
    else
        tcp_close((int)s);
    return err;
}

enum err tcp_connected(int fd, char *why, unsigned why_size)
{
    struct timeval no_time = {.tv_sec = 0};
    fd_set connected, failed;
    int e = 0, len = sizeof e;

    /* WSAPoll says nothing of a failure before Windows 10 2004. */
    FD_ZERO(&connected);
    FD_ZERO(&failed);
    FD_SET((SOCKET)fd, &connected);
    FD_SET((SOCKET)fd, &failed);
    int n = select(0, NULL, &connected, &failed, &no_time);
    if (n == 0)
        return ERR_AGAIN;
    if (n == SOCKET_ERROR || getsockopt((SOCKET)fd, SOL_SOCKET, SO_ERROR, (char *)&e, &len) != 0)
        e = WSAGetLastError();
    else if (e == 0 && !FD_ISSET((SOCKET)fd, &failed))
        return ERR_OK;
    return connect_failed(why, why_size, e);
}

struct sock_addr tcp_local(int fd)
{
    struct sock_addr local = {.port = 0};
    struct sockaddr_storage name;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name;
    int len = sizeof name;

    if (getsockname((SOCKET)fd, (struct sockaddr *)&name, &len) != 0)
        return local;
    if (name.ss_family == AF_INET) {
        local.ip = ip_addr_v4((const uint8_t *)&v4->sin_addr);
        local.port = ntohs(v4->sin_port);
    } else if (name.ss_family == AF_INET6) {
        local.ip = ip_addr_v6((const uint8_t *)&v6->sin6_addr);
        local.port = ntohs(v6->sin6_port);
        local.scope = v6->sin6_scope_id;
    }
    return local;
}

void tcp_close(int fd)
{
    if (fd < 0)
        return;
    closesocket((SOCKET)fd);
    let_go((SOCKET)fd);
}
