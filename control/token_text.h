/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a token as it is sent. Pure; any thread. Source: spec/portal.md 1.2 and 3. */
#ifndef FZ_CONTROL_TOKEN_TEXT_H
#define FZ_CONTROL_TOKEN_TEXT_H

#include <stddef.h>

#include "platform/base/err.h"

/*
 * Removes all white space, in place; the zero behind the text is moved along. A token is opaque, but it travels in a header:
 * ERR_INVALID: it has other characters than printable ASCII. ERR_NOT_FOUND: nothing is left.
 */
enum err token_text_clean(char *text, size_t *len) MUST_USE;

#endif
