/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP side of the server, as seen from a callback of libwebsockets: what an upgrade request says, and answers other than 101.
 * libwebsockets takes a query string apart and decodes it; here it is put together again, with the same meaning but
 * perhaps another spelling. Control role.
 */
#ifndef FZ_TOOLS_FZPORTAL_UPGRADE_H
#define FZ_TOOLS_FZPORTAL_UPGRADE_H

#include <libwebsockets.h>
#include <stdbool.h>

#include "platform/base/addr.h"
#include "tools/fzportal/portal.h"

enum {
    UPGRADE_HEADERS_MAX =
        32768 /* of a request; libwebsockets drops the connection of a longer one */
};

/* Owns all texts of `request`. */
struct upgrade {
    struct portal_request request;
    char *path, *query, *token, *user_agent, *origin, *host;
};

/* Only while libwebsockets has the headers. wipe: the token is in there. */
void upgrade_read(struct upgrade *u, struct lws *wsi);
void upgrade_wipe(struct upgrade *u);

/* Is this a WebSocket handshake as RFC 6455 4.1 wants it? */
bool upgrade_valid(struct lws *wsi);

/* The name of a status, "Unauthorized". */
const char *upgrade_title(unsigned status);

/* The whole answer as text, to be freed. Of a redirect the detail is the Location, if it can be one. */
char *upgrade_answer(const struct portal_answer *a, size_t *len);

#endif
