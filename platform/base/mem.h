/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation for set-up and the control thread, where running out of memory is fatal. Never on a packet path.
 * Header only; any thread.
 */
#ifndef FZ_BASE_MEM_H
#define FZ_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"

static inline void *mem_check(void *p)
{
    if (UNLIKELY(!p)) {
        log_error("mem", "out of memory");
        abort();
    }
    return p;
}

/* n zeroed elements; never NULL, also for n = 0. */
static inline void *mem_zalloc(size_t n, size_t size)
{
    return mem_check(calloc(n > 0 ? n : 1, size));
}

/* A terminated copy of `len` bytes. */
static inline char *mem_dup_text(const char *text, size_t len)
{
    char *copy = (char *)mem_zalloc(len + 1, 1);
    memcpy(copy, text, len);
    return copy;
}

/*
 * Room for one more element in an array whose capacity is the power of two at or above n (0 for n = 0): call it with
 * the current count before every append. Returns the array, moved if it was full; the old place is wiped.
 */
static inline void *mem_grow(void *array, size_t n, size_t size)
{
    if (array && (n == 0 || (n & (n - 1)) != 0))
        return array;
    void *bigger = mem_zalloc(n > 0 ? 2 * n : 1, size);
    if (array) {
        memcpy(bigger, array, n * size);
        secure_wipe(array, n * size);
        free(array);
    }
    return bigger;
}

#endif
