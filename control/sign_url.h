/* SPDX-License-Identifier: Apache-2.0 */
/* The page to sign in on. Pure; any thread. Source: spec/platform.md 6.2, spec/portal.md 13. */
#ifndef FZ_CONTROL_SIGN_URL_H
#define FZ_CONTROL_SIGN_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"

enum {
    SIGN_SLUG_MAX = 100,
    SIGN_URL_MAX = 1024
};

/* ERR_PARSE: no base of such a page; `why` does not repeat it. */
enum err sign_url_check_base(const char *base, char *why, size_t why_size) MUST_USE;
/* Letters, digits, '_' and '-'. */
bool sign_url_is_slug(const char *slug);

/*
 * "https://app.firezone.dev/<slug>?as=headless-client". base and slug have been checked; slug NULL: the path is the base's
 * own. ERR_NO_SPACE: longer than SIGN_URL_MAX - 1, of which `out` has room for all.
 */
enum err sign_url_make(char *out, const char *base, const char *slug) MUST_USE;

#endif
