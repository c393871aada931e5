/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the portal, or something before it, refused a connection: HTTP status, the problem document in the body (RFC 9457),
 * and when to try again (Retry-After, RFC 9110 10.2.3). Pure; control role. Source: spec/portal.md 1.5.
 */
#ifndef FZ_CONTROL_PORTAL_PROBLEM_H
#define FZ_CONTROL_PORTAL_PROBLEM_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/time.h"

enum {
    PROBLEM_CODE_MAX = 63,
    PROBLEM_DETAIL_MAX = 255
};

struct problem {
    unsigned status;                     /* HTTP */
    char code[PROBLEM_CODE_MAX + 1];     /* "invalid_token"; empty: the body does not say */
    char detail[PROBLEM_DETAIL_MAX + 1]; /* for people; printable ASCII, may be cut; or empty */
    time_ns retry_after_ns;              /* TIME_NEVER: not said */
};

enum problem_class {
    PROBLEM_RETRY,
    PROBLEM_TOKEN, /* the token is of no use any more: fatal */
    PROBLEM_AUTH   /* 401 for another reason, a proxy for example: fatal */
};

/*
 * retry_after: the header's value, or NULL. unix_now: seconds since 1970, for a value that is a date. body: whatever
 * there is of it; anything but a problem document leaves code and detail empty.
 */
void problem_parse(struct problem *p, unsigned status, const char *retry_after, int64_t unix_now,
                   const char *body, size_t len);

enum problem_class problem_class(const struct problem *p);

/* "HTTP status 401 invalid_token: Invalid token" */
void problem_text(const struct problem *p, char *out, size_t size);

#endif
