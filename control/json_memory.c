/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "platform/base/bytes.h"

/* In front of each block, as large as its alignment wants it. */
union header {
    size_t size;
    max_align_t aligned;
};

static void *take(size_t size)
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

static void give_back(void *block)
{
    union header *h;

    if (!block)
        return;
    h = (union header *)block - 1;
    secure_wipe(block, h->size);
    free(h);
}

void json_memory_init(void)
{
    json_set_alloc_funcs(take, give_back);
}
