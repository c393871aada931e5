/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text protocol of WireGuard's cross-platform userspace API (the one `wg` speaks over a local socket), as pure
 * functions. A request is lines of `key=value` and ends with an empty line; the first line is `get=1` or `set=1`. The
 * reply ends with `errno=N` and an empty line. Control role. Source: https://www.wireguard.com/xplatform/
 */
#ifndef FZ_CONTROL_UAPI_H
#define FZ_CONTROL_UAPI_H

#include <stdbool.h>
#include <stddef.h>

#include "control/device.h"
#include "platform/base/err.h"

enum {
    UAPI_REQUEST_MAX = 16 << 20, /* bytes; 10,000 peers need about 3 MiB */
    UAPI_LINE_MAX = 320,
    UAPI_CHUNK_MIN = 1024 /* smallest buffer for uapi_get_next and uapi_reply */
};

enum uapi_op {
    UAPI_UNKNOWN,
    UAPI_GET,
    UAPI_SET
};

/*
 * Length of the first whole request in `text`, its empty line included; 0: not yet complete. from: where an earlier
 * search ended (its `len`), 0 at first.
 */
size_t uapi_request_end(const char *text, size_t len, size_t from);

/* What a whole request asks for. */
enum uapi_op uapi_request_op(const char *text, size_t len);

/* A whole set request while it is parsed; `text` and `out` are borrowed until the end. */
struct uapi_set {
    struct device_update *out;
    const char *text;
    size_t len, at; /* at: of the next line */
    unsigned line;  /* the last one that was looked at, from 1 */
};

void uapi_set_init(struct uapi_set *s, struct device_update *out, const char *text, size_t len);
/* Parses up to `lines` more. ERR_AGAIN: there are more. Else the end, as uapi_parse_set. */
enum err uapi_set_next(struct uapi_set *s, unsigned lines) MUST_USE;

/*
 * Parses a whole set request. All or nothing: on ERR_PARSE `out` is empty and `line` (from 1) is the bad one. Prefixes
 * are masked. An endpoint whose scope is a name comes as endpoint_host. Keys in `out`: device_update_fini wipes them.
 */
enum err uapi_parse_set(struct device_update *out, const char *text, size_t len,
                        unsigned *line) MUST_USE;

/* A get reply in the making; holds a position in `status`, which must outlive it. */
struct uapi_get {
    const struct device_status *status;
    bool begun, done;
    size_t peer;    /* the next one, or the one whose prefixes are being written */
    bool in_peer;   /* its own lines are out */
    size_t allowed; /* next prefix */
};

void uapi_get_init(struct uapi_get *g, const struct device_status *status);
/* Writes the next whole lines into `buf`; returns their bytes, 0 after the last. */
size_t uapi_get_next(struct uapi_get *g, char *buf, size_t size);

/*
 * The end of a reply: `errno=N`. The number's sign is what `wg` needs to print the error's name: negative for set,
 * positive for get.
 */
size_t uapi_reply(char *buf, size_t size, enum uapi_op op, enum err err);

#endif
