/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is wiped when it is freed, for libraries through which keys, passwords and the token go: the portal's messages as
 * JSON trees, and the buffers of the WebSocket library. Any thread.
 */
#ifndef FZ_CONTROL_WIPED_H
#define FZ_CONTROL_WIPED_H

#include <stddef.h>

/* NULL: no memory. */
void *wiped_malloc(size_t size);
/* As realloc; size 0 frees and returns NULL. */
void *wiped_realloc(void *block, size_t size);
void wiped_free(void *block);

/* All JSON trees of the process from here on; before the first one. */
void wiped_json(void);

#endif
