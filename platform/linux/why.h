/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence that explains a failed set-up call, written into the caller's buffer. Any thread. */
#ifndef FZ_LINUX_WHY_H
#define FZ_LINUX_WHY_H

#include <stdarg.h>
#include <stdio.h>

#include "platform/base/err.h"

struct why {
    char *text;
    unsigned size;
};

/* Writes the sentence and returns `e`, so that a failing function ends with one statement. */
__attribute__((format(printf, 3, 4))) static inline enum err why_fail(struct why why, enum err e,
                                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why.text, why.size, fmt, ap);
    va_end(ap);
    return e;
}

#endif
