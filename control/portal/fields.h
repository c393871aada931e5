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
    FIELDS_TEXT_MAX = 1024 /* of a text, where nothing else is said */
};

struct fields {
    bool failed;
    /* Of the object that is read, with a '.' at its end; empty: the payload. */
    char path[FIELDS_PATH_MAX + 1];
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

/* Of a member that was renamed: the current name, or the older one if the object has only that. */
const char *fields_spelling(const json_t *object, const char *current, const char *older);

/* A member of the given kind. What is optional is given as null as well as by leaving it out. */
const json_t *fields_object(struct fields *f, const json_t *object, const char *key);
const json_t *fields_object_or_null(struct fields *f, const json_t *object, const char *key);
const json_t *fields_list(struct fields *f, const json_t *object, const char *key);
/* NULL is what jansson's functions take for an empty one. */
const json_t *fields_list_or_null(struct fields *f, const json_t *object, const char *key);
/* Element `i` of a list; the caller has entered it. */
const json_t *fields_element(struct fields *f, const json_t *list, size_t i);

/* Required; not empty, at most FIELDS_TEXT_MAX bytes. "" if it failed. */
const char *fields_text(struct fields *f, const json_t *object, const char *key);
/* The same for what may be longer. */
const char *fields_text_within(struct fields *f, const json_t *object, const char *key,
                               size_t len_max);
/* Absent or empty: NULL. */
const char *fields_text_or_null(struct fields *f, const json_t *object, const char *key);
bool fields_bool_or(struct fields *f, const json_t *object, const char *key, bool absent);
int64_t fields_integer(struct fields *f, const json_t *object, const char *key, int64_t min,
                       int64_t max);
int64_t fields_integer_or(struct fields *f, const json_t *object, const char *key, int64_t min,
                          int64_t max, int64_t absent);
/* Required; which of `n` names it is. `n`: none of them, which is an error only if the caller says so. */
unsigned fields_choice(struct fields *f, const json_t *object, const char *key,
                       const char *const *names, unsigned n);

struct uuid fields_uuid(struct fields *f, const json_t *object, const char *key);
struct uuid fields_uuid_or_nil(struct fields *f, const json_t *object, const char *key);
/* family: ADDR_V4 or ADDR_V6, or ADDR_NONE for either. */
struct ip_addr fields_ip(struct fields *f, const json_t *object, const char *key,
                         enum addr_family family);
/* One address, bare or as a prefix of full length: "100.64.0.42", "100.64.0.42/32". */
struct ip_addr fields_host(struct fields *f, const json_t *object, const char *key,
                           enum addr_family family);
/* Absent: of ADDR_NONE. */
struct ip_addr fields_host_or_none(struct fields *f, const json_t *object, const char *key,
                                   enum addr_family family);
/* With a length and without host bits. */
struct ip_prefix fields_prefix(struct fields *f, const json_t *object, const char *key);
struct sock_addr fields_sock_addr(struct fields *f, const json_t *object, const char *key);
/* 32 bytes in base64. */
void fields_key(struct fields *f, const json_t *object, const char *key, uint8_t out[KEY_LEN]);

#endif
