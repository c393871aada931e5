/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UUIDs, by which the portal names resources, gateways, clients and all else, as plain values with their text form.
 * Pure; any thread.
 */
#ifndef FZ_CONTROL_PORTAL_UUID_H
#define FZ_CONTROL_PORTAL_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    UUID_LEN = 16,
    UUID_TEXT_MAX = 37
};

struct uuid {
    uint8_t bytes[UUID_LEN];
};

/* The hyphenated form. False: it is not one. */
bool uuid_parse(struct uuid *out, const char *text);
/* `out` has UUID_TEXT_MAX bytes. */
void uuid_format(const struct uuid *uuid, char *out);

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, UUID_LEN) == 0;
}

/* All zeros, which stands for none. */
/* As bytes are compared. */
static inline int uuid_compare(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static inline bool uuid_is_nil(const struct uuid *uuid)
{
    static const struct uuid nil = {{0}};
    return uuid_equal(uuid, &nil);
}

#endif
