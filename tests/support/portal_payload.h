/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads of the portal for tests: an example is read as a message, and again with each of its members missing, null or of
 * another type. A test program has one message at a time; its teardown is payload_tear_down. It is a client's, or a gateway's
 * where PAYLOAD_OF_GATEWAY is defined before.
 */
#ifndef FZ_TESTS_PORTAL_PAYLOAD_H
#define FZ_TESTS_PORTAL_PAYLOAD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/portal/gateway_messages.h"
#include "control/portal/messages.h"
#include "platform/base/bytes.h"

#define R1 "3b0c7a52-0000-4000-8000-000000000001"
#define G1 "9d2e0000-0000-4000-8000-000000000002"
#define S1 "5e1f0000-0000-4000-8000-000000000003"
#define C1 "c0a80000-0000-4000-8000-000000000004"
#define L1 "60e05bd1-b195-4f2f-9411-2fa7197a5c88"

#define PUBLIC_KEY    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=" /* 0x20, 0x21, ... */
#define PRESHARED_KEY "nf/zxFPO6UthXqXx5mQvtNZLT0cwCJiO6nYyJhnspc4="

static json_t *payload;
static struct fields f;

#ifdef PAYLOAD_OF_GATEWAY
static struct gateway_message m;

static inline bool payload_message_read(const char *name, const json_t *whole)
{
    return gateway_message_read(&m, name, whole, &f);
}

static inline bool payload_has_secret(void)
{
    return !ct_is_zero(m.authorization.client.preshared_key, KEY_LEN);
}
#else
static struct message m;

static inline bool payload_message_read(const char *name, const json_t *whole)
{
    return message_read(&m, name, whole, &f);
}

static inline bool payload_has_secret(void)
{
    return !ct_is_zero(m.authorization.preshared_key, KEY_LEN) ||
           !ct_is_zero(m.direct.preshared_key, KEY_LEN);
}
#endif

static inline int payload_tear_down(void **state)
{
    (void)state;
    json_decref(payload);
    payload = NULL;
    return 0;
}

static inline bool payload_read(const char *name, const char *text)
{
    json_decref(payload);
    payload = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(payload);
    bool good = payload_message_read(name, payload);
    assert_int_equal(good, !f.failed);
    assert_string_equal(f.path, "");
    return good;
}

static inline void expect_uuid(const struct uuid *u, const char *text)
{
    char got[UUID_TEXT_MAX];
    uuid_format(u, got);
    assert_string_equal(got, text);
}

static inline void expect_ip(const struct ip_addr *ip, const char *text)
{
    char got[IP_TEXT_MAX];
    assert_string_equal(ip_addr_format(ip, got, sizeof got), text);
}

/* ---- each member ---- */

struct payload_member {
    const char *path; /* "filters[0].protocol" */
    bool optional;
    const char *wrong; /* JSON */
    const char *why;   /* it is refused */
};

enum payload_change {
    PAYLOAD_WITHOUT,
    PAYLOAD_NULL,
    PAYLOAD_WRONG
};

/* The object that has the last part of the path, which is left in *path. */
static inline json_t *payload_parent(json_t *at, const char **path)
{
    char part[64];
    for (const char *dot; (dot = strchr(*path, '.')); *path = dot + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - *path), *path);
        char *index = strchr(part, '[');
        if (index)
            *index = 0;
        at = json_object_get(at, part);
        if (index)
            at = json_array_get(at, (size_t)atoi(index + 1));
        assert_true(json_is_object(at));
    }
    return at;
}

static inline void payload_change(const char *name, const char *text,
                                  const struct payload_member *member, enum payload_change change)
{
    json_t *whole = json_loads(text, 0, NULL);
    const char *key = member->path;
    json_t *parent = payload_parent(whole, &key);
    char why[160];

    assert_non_null(json_object_get(parent, key));
    if (change == PAYLOAD_WITHOUT)
        json_object_del(parent, key);
    else if (change == PAYLOAD_NULL)
        json_object_set_new(parent, key, json_null());
    else
        json_object_set_new(parent, key, json_loads(member->wrong, JSON_DECODE_ANY, NULL));
    bool good = payload_message_read(name, whole);
    snprintf(why, sizeof why, "%s: %s", member->path,
             change == PAYLOAD_WITHOUT ? "missing" : member->why);
    if (change != PAYLOAD_WRONG && member->optional)
        assert_string_equal(f.why, "");
    else if (change != PAYLOAD_NULL)
        assert_string_equal(f.why, why);
    else
        assert_int_equal(strncmp(f.why, why, strlen(member->path) + 2), 0);
    assert_int_equal(good, f.why[0] == 0);
    assert_string_equal(f.path, "");
    assert_true(good || !payload_has_secret());
    json_decref(whole);
}

/* All that is read of the message has to be listed; other members of the example may be anything. */
static inline void expect_members(const char *name, const char *text,
                                  const struct payload_member *members, size_t n)
{
    json_t *whole = json_loads(text, 0, NULL), *value;
    const char *key;

    assert_non_null(whole);
    for (size_t i = 0; i < n; i++) {
        for (int change = PAYLOAD_WITHOUT; change <= PAYLOAD_WRONG; change++)
            payload_change(name, text, &members[i], (enum payload_change)change);
    }
    json_object_foreach(whole, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(members[i].path, key) != 0)
            i++;
        if (i < n)
            continue;
        json_t *other = json_copy(whole);
        json_object_set_new(other, key, json_pack("[i]", 1));
        assert_true(payload_message_read(name, other));
        json_object_del(other, key);
        assert_true(payload_message_read(name, other));
        json_decref(other);
    }
    json_decref(whole);
}

#define EXPECT_MEMBERS(name, text, members) expect_members(name, text, members, ARRAY_LEN(members))

#endif
