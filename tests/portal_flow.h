/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the development portal's authorisations, on top of portal_rig.h: a client asks for a resource, a gateway
 * agrees. Exactly one file of a test program includes this.
 */
#ifndef FZ_TESTS_PORTAL_FLOW_H
#define FZ_TESTS_PORTAL_FLOW_H

#include "tests/portal_rig.h"

/* Asks for a resource by name; connected: JSON list. */
static inline void flow_ask(struct rig *rig, struct portal_session *s, const char *event,
                            const char *name, const char *connected)
{
    char payload[512], id[37];
    rig_id(rig, "resources", name, id);
    snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"connected_gateway_ids\":%s}", id,
             connected);
    rig_say(rig, s, "client", event, payload, 7);
}

static inline void flow_agree(struct rig *rig, struct portal_session *g, const char *event,
                              const char *ref)
{
    char payload[256];
    snprintf(payload, sizeof payload, "{\"ref\":\"%s\"}", ref);
    rig_say(rig, g, "gateway", event, payload, 9);
}

static inline void flow_expect_reply(struct portal_session *s, const char *status,
                                     const char *reason)
{
    json_t *frame = rig_frame(s), *payload = json_object_get(frame, "payload");
    assert_string_equal(rig_text(frame, "event"), "phx_reply");
    assert_string_equal(rig_text(payload, "status"), status);
    if (reason)
        assert_string_equal(rig_text(json_object_get(payload, "response"), "reason"), reason);
    else
        assert_int_equal(json_object_size(json_object_get(payload, "response")), 0);
    json_decref(frame);
}

/* Asks, agrees, and returns what the client gets. */
static inline json_t *flow_authorize(struct rig *rig, struct portal_session *c,
                                     struct portal_session *g, const char *name)
{
    flow_ask(rig, c, "request_authorization", name, "[]");
    json_t *order = rig_expect(g, "create_authorization");
    flow_agree(rig, g, "authorization_created", rig_text(order, "ref"));
    json_decref(order);
    flow_expect_reply(g, "ok", NULL);
    return rig_expect(c, "authorization_created");
}

static inline void flow_expect_refused(struct rig *rig, struct portal_session *c, const char *name,
                                       const char *reason)
{
    char id[37];
    json_t *failed = rig_expect(c, "authorization_creation_failed");
    rig_id(rig, "resources", name, id);
    assert_string_equal(rig_text(failed, "resource_id"), id);
    assert_string_equal(rig_text(failed, "reason"), reason);
    assert_int_equal(json_object_size(failed), 2);
    json_decref(failed);
}

/* What the ingest token of a message claims: the middle part of a JWT; the caller releases it. */
static inline json_t *flow_claims(const json_t *message)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *token = rig_text(message, "flow_logs_ingest_token");
    const char *dot = strchr(token, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;
    if (!end) {
        fail_msg("no token: %s", token);
        return NULL;
    }
    assert_true(strlen(end + 1) == 43 && !strpbrk(token, "=+/"));
    char *json = calloc(1, (size_t)(end - dot));
    size_t n = 0;
    unsigned bits = 0, got = 0;
    for (const char *c = dot + 1; c < end; c++) {
        got = got << 6 | (unsigned)(strchr(digits, *c) - digits);
        bits += 6;
        if (bits >= 8)
            json[n++] = (char)(got >> (bits -= 8));
    }
    json_t *claims = json_loadb(json, n, 0, NULL);
    free(json);
    assert_non_null(claims);
    return claims;
}

/* Its claim of an authorisation is the one that the portal shows last. */
static inline void flow_expect_shown(struct rig *rig, const json_t *message)
{
    json_t *answer = rig_control(rig, "{\"command\":\"state\",\"part\":\"authorizations\"}");
    const json_t *list = json_object_get(answer, "authorizations");
    json_t *claims = flow_claims(message);
    assert_string_equal(rig_text(claims, "policy_authorization_id"),
                        rig_text(json_array_get(list, json_array_size(list) - 1), "id"));
    json_decref(claims);
    json_decref(answer);
}

#endif
