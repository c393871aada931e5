/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the members of JSON objects as the types of the portal's protocol. The first thing that is wrong is noted with its path
 * ("relays[1].addr: not an address and port"), all later reads return defaults, and whoever reads asks once, at the end.
 * Values are never quoted: some are secrets. What is returned as text is borrowed from the JSON tree.
 * Pure; control role. Source: spec/portal.md 6.
 */
#ifndef FZ_CONTROL_PORTAL_FIELDS_H
#define FZ_CONTROL_PORTAL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/key_text.h"
#include "control/portal/uuid.h"
#include "platform/base/addr.h"

enum {
    FIELDS_PATH_MAX = 95,
    FIELDS_WHY_MAX = 191,
    FIELDS_TEXT_MAX = 1024 /* of any text */
};

struct fields {
    bool failed;
    char path[FIELDS_PATH_MAX +
              1]; /* of the object that is read, with a '.' at its end; empty: the payload */
    char why[FIELDS_WHY_MAX + 1];
};

/* Notes what is wrong with a member, if nothing was wrong before; key NULL: the object itself. */
void fields_fail(struct fields *f, const char *key, const char *what);

/* The path continues below member `key`, or its element `index` (-1: it is no list). leave: back to the path before. */
struct fields_mark {
    size_t len;
};
struct fields_mark fields_enter(struct fields *f, const char *key, int index);
void fields_leave(struct fields *f, struct fields_mark mark);

/* A member of the given kind. List: an absent one is NULL, which jansson's functions take for an empty one. */
const json_t *fields_object(struct fields *f, const json_t *object, const char *key);
const json_t *fields_list(struct fields *f, const json_t *object, const char *key);

/* Required; not empty, at most FIELDS_TEXT_MAX bytes. "" if it failed. */
const char *fields_text(struct fields *f, const json_t *object, const char *key);
/* Absent or null: NULL. */
const char *fields_text_or_null(struct fields *f, const json_t *object, const char *key);
bool fields_bool_or(struct fields *f, const json_t *object, const char *key, bool absent);
int64_t fields_integer(struct fields *f, const json_t *object, const char *key, int64_t min,
                       int64_t max);

struct uuid fields_uuid(struct fields *f, const json_t *object, const char *key);
/* family: ADDR_V4 or ADDR_V6, or ADDR_NONE for either. */
struct ip_addr fields_ip(struct fields *f, const json_t *object, const char *key,
                         enum addr_family family);
/* With a length and without host bits. */
struct ip_prefix fields_prefix(struct fields *f, const json_t *object, const char *key);
struct sock_addr fields_sock_addr(struct fields *f, const json_t *object, const char *key);
/* 32 bytes in base64. */
void fields_key(struct fields *f, const json_t *object, const char *key, uint8_t out[KEY_LEN]);

#endif
