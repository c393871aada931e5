/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets contract: a text in memory that is in no core dump and, where the system allows it, not swapped out; and where such
 * a text comes from. Control thread.
 */
#ifndef FZ_PLATFORM_SECRET_H
#define FZ_PLATFORM_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"

struct secret {
    char *text; /* NULL: none. A zero that `len` does not count ends it */
    size_t len;
    size_t size; /* of the memory */
};

/* Room for `max` bytes and the zero; an empty text. Out of memory is fatal. */
void secret_new(struct secret *s, size_t max);
/* Wiped; no-op on one that holds nothing. */
void secret_free(struct secret *s);

/*
 * Takes a variable out of the environment: its bytes are overwritten, so that nobody finds them in this process. Before any
 * thread exists. False: it is not set, or empty.
 */
bool secret_take_variable(struct secret *out, const char *name);

/*
 * Reads a file that only the administrator can have written and only he can read; no link, unless the service manager keeps
 * it for us. ERR_NOT_FOUND: there is none. ERR_PERMISSION: it cannot be opened. Else it breaks a rule or is larger than `max`.
 * On failure `why` is a phrase without the path.
 */
enum err secret_read_file(struct secret *out, const char *path, size_t max, char *why,
                          unsigned why_size) MUST_USE;

/* The service manager's credential of this name, likewise. ERR_NOT_FOUND: it has none for us. */
enum err secret_read_credential(struct secret *out, const char *name, size_t max, char *why,
                                unsigned why_size) MUST_USE;

#endif
