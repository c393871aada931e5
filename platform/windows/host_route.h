/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes to single hosts that keep TCP connections of ours out of the tunnel: on a machine with several interfaces the source address
 * alone does not steer on Windows. Two connections to one host share a route, so they are counted. Control role.
 * Source: spec/platform.md 3.4.
 */
#ifndef FZ_WINDOWS_HOST_ROUTE_H
#define FZ_WINDOWS_HOST_ROUTE_H

#include "platform/base/err.h"
#include "platform/windows/ip_helper.h"
#include "platform/windows/own_hosts.h"

struct host_route {
    struct ip_helper_route route;
    unsigned users;
    bool ours;  /* false: it was there before, and stays; or it is stale */
    bool stale; /* its network was left while it was in use: it is gone, and nobody else gets it */
    struct host_route *next;
};

struct host_routes {
    const struct ip_helper *helper;
    struct own_hosts *own; /* is told of every host */
    struct host_route *list;
};

void host_routes_init(struct host_routes *r, const struct ip_helper *helper, struct own_hosts *own);
/* Removes those that are left. */
void host_routes_fini(struct host_routes *r);

/*
 * Removes what a run that was killed has left for dst: routes to this host alone that somebody has configured. Not those that are in use here, nor
 * that of an address of the machine. Of those in use here such go to which no other route leads the same way any more. Failures are logged.
 */
void host_routes_sweep(struct host_routes *r, const struct ip_addr *dst);

/*
 * way: the best route to dst (source_best). *out is given back by host_routes_put. ERR_PERMISSION: it cannot be made, so the connection could run
 * into the tunnel; this will not get better.
 */
enum err host_routes_get(struct host_routes *r, const struct ip_addr *dst,
                         const struct ip_helper_route *way, struct host_route **out) MUST_USE;
/* NULL is fine. */
void host_routes_put(struct host_routes *r, struct host_route *route);

#endif
