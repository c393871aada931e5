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

#endif
