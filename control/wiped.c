/* SPDX-License-Identifier: Apache-2.0 */
#include "control/wiped.h"

#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "platform/base/bytes.h"

/* In front of each block, as large as its alignment wants it. */
union header {
    size_t size;
    max_align_t aligned;
};

static union header *header_of(void *block)
{
    return (union header *)block - 1;
}

void *wiped_malloc(size_t size)
{
    union header *h;

    if (size > SIZE_MAX - sizeof *h)
        return NULL;
    h = malloc(sizeof *h + size);
    if (!h)
        return NULL;
    h->size = size;
    return h + 1;
}

void wiped_free(void *block)
{
    if (!block)
        return;
    secure_wipe(block, header_of(block)->size);
    free(header_of(block));
}

void *wiped_realloc(void *block, size_t size)
{
    void *moved = size > 0 ? wiped_malloc(size) : NULL;

    if (size > 0 && !moved)
        return NULL;
    if (block && moved)
        memcpy(moved, block, size_min(size, header_of(block)->size));
    wiped_free(block);
    return moved;
}

void wiped_json(void)
{
    json_set_alloc_funcs(wiped_malloc, wiped_free);
}
