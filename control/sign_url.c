/* SPDX-License-Identifier: Apache-2.0 */
/* See sign_url.h. */
#include "control/sign_url.h"

#include <stdio.h>
#include <string.h>

#include "control/portal/url.h"

enum err sign_url_check_base(const char *base, char *why, size_t why_size)
{
    struct url url;
    enum err err = url_parse(&url, base, why, why_size);

    if ((base[0] | 0x20) == 'h' && err == ERR_OK)
        return ERR_OK;
    if (err == ERR_OK || (base[0] | 0x20) != 'h')
        snprintf(why, why_size, "it must begin with https:// or http://");
    return ERR_PARSE;
}

bool sign_url_is_slug(const char *slug)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(slug);

    return len > 0 && len <= SIGN_SLUG_MAX && strspn(slug, allowed) == len;
}

enum err sign_url_make(char *out, const char *base, const char *slug)
{
    const char *authority = strstr(base, "://");
    size_t authority_end = authority ? (size_t)(authority - base) + 3 : 0;
    authority_end += strcspn(base + authority_end, "/?#");
    size_t path_end = authority_end + strcspn(base + authority_end, "?#");
    bool path = path_end > authority_end && !slug;
    int n =
        snprintf(out, SIGN_URL_MAX, "%.*s%s%s?as=headless-client",
                 (int)(slug ? authority_end : path_end), base, path ? "" : "/", slug ? slug : "");

    return n > 0 && n < SIGN_URL_MAX ? ERR_OK : ERR_NO_SPACE;
}
