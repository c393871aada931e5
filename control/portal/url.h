/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portal's address as the user gives it, and the request target of the WebSocket upgrade made from it.
 * Pure; any thread. Source: spec/portal.md 1.1 and 1.2; RFC 3986; the URL standard's form encoding.
 */
#ifndef FZ_CONTROL_PORTAL_URL_H
#define FZ_CONTROL_PORTAL_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    URL_HOST_MAX = 253,
    URL_PATH_MAX = 511,
    /* For ws:// as well, as upstream has it. DEVIATE: its ws://host:80 also means 443; here what is written counts. */
    URL_PORT_DEFAULT = 443
};

struct url {
    bool tls;
    uint16_t port;
    char host[URL_HOST_MAX + 1]; /* a name, or an address: IPv6 without brackets */
    char path[URL_PATH_MAX +
              1]; /* begins with '/'; one at its end is removed unless there is nothing else */
};

struct url_param {
    const char *name;
    const char *value; /* NULL: left out */
};

/*
 * `text`: ws, wss, http or https; a query and a fragment are dropped; a user is refused. ERR_PARSE: `why` says what is
 * wrong with it, without repeating it, as a URL may hold a password.
 */
enum err url_parse(struct url *url, const char *text, char *why, size_t why_size) MUST_USE;

/* What the Host header says: the host without a port, an IPv6 address in brackets. `out` has URL_HOST_MAX + 3 bytes; returns it. */
const char *url_host_header(const struct url *url, char *out, size_t size);

/*
 * The request target: the base path, `endpoint` ("client/v2/websocket") and the encoded parameters; the list ends with a name
 * of NULL. ERR_NO_SPACE: it does not fit into `size` bytes.
 */
enum err url_target(char *out, size_t size, const struct url *base, const char *endpoint,
                    const struct url_param *params) MUST_USE;

#endif
