/* SPDX-License-Identifier: Apache-2.0 */
/* See token_text.h. */
#include "control/token_text.h"

#include <string.h>

#include "platform/base/bytes.h"

enum err token_text_clean(char *text, size_t *len)
{
    size_t kept = 0;

    for (size_t i = 0; i < *len; i++) {
        char c = text[i];
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        if (c < '!' || c > '~')
            return ERR_INVALID;
        text[kept++] = c;
    }
    secure_wipe(text + kept, *len + 1 - kept);
    *len = kept;
    return kept > 0 ? ERR_OK : ERR_NOT_FOUND;
}
