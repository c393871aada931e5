/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the development portal: a portal with virtual time, peers that speak frames to it, and what they are told. Exactly
 * one file of a test program includes this.
 */
#ifndef FZ_TESTS_PORTAL_RIG_H
#define FZ_TESTS_PORTAL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/portal.h"

#define RIG_UNIX INT64_C(1785500000)
#define RIG_NOW  (1000 * NS_PER_SEC)
#define RIG_KEY_A                                                                                  \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D" /* a public key, encoded for a query */
#define RIG_KEY_B   "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8%3D"
#define RIG_CLIENT  "Ubuntu/22.4.0 headless-client/1.5.12 (x86_64; 6.8.0)"
#define RIG_GATEWAY "Ubuntu/22.4.0 gateway/1.6.1 (x86_64; 6.8.0)"
#define RIG_SECRET  "0000000000000000000000000000000000000000000000000000000000000000"

#define RIG_CONFIG                                                                                 \
    "[portal]\nconnect_limit = no\n"                                                               \
    "[account acme]\n"                                                                             \
    "[client-token laptop]\ntoken = .laptop\ngroups = staff\nactor = Ada\nuser = yes\n"            \
    "[client-token camera]\ntoken = .camera\ngroups = cameras\n"                                   \
    "[gateway-token gw]\ntoken = .gw\nsite = Main\n"                                               \
    "[relay-token relay]\ntoken = .relay\n"                                                        \
    "[site Main]\n[site Other]\n"                                                                  \
    "[resource Lab]\ntype = cidr\naddress = 10.20.0.0/16\nsite = Main\n"                           \
    "[resource Git]\ntype = dns\naddress = *.git.example\nsite = Main\nfilters = tcp/443, icmp\n"  \
    "[resource Vault]\ntype = dns\naddress = vault.example\nsite = Main\n"                         \
    "[resource Far]\ntype = ip\naddress = 10.9.9.9\nsite = Other\n"                                \
    "[resource Cameras]\ntype = static_device_pool\nmembers = camera\n"                            \
    "[resource Cams]\ntype = dynamic_device_pool\naddress = *.cams.example\nmembers = camera\n"    \
    "[policy all]\ngroups = staff\nresources = Lab, Git, Far, Cameras, Cams\n"                     \
    "[policy no]\ngroups = staff\nresources = Vault\nviolates = remote_ip\n"

struct rig {
    struct portal_config config;
    struct portal *p;
    struct portal_time t;
    struct portal_answer answer; /* of the last upgrade that was refused */
};

static inline void rig_start(struct rig *rig, const char *config)
{
    static const uint8_t seed[32] = "a seed for tests";
    char why[256] = "";
    memset(rig, 0, sizeof *rig);
    if (portal_config_parse(&rig->config, config, "config", why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    rig->t = (struct portal_time){RIG_NOW, RIG_UNIX};
    assert_int_equal(portal_new(&rig->p, &rig->config, seed, rig->t), ERR_OK);
}

static inline void rig_stop(struct rig *rig)
{
    portal_free(rig->p);
    portal_config_fini(&rig->config);
}

/* Time passes; what is due happens when it is due. */
static inline void rig_wait_ms(struct rig *rig, uint64_t ms)
{
    time_ns end = rig->t.now + ms * NS_PER_MS;
    for (;;) {
        time_ns at = portal_poll_timeout(rig->p);
        rig->t.now = time_max(rig->t.now, time_min(at, end));
        rig->t.unix_seconds = RIG_UNIX + (int64_t)((rig->t.now - RIG_NOW) / NS_PER_SEC);
        if (at > end)
            return;
        portal_handle_timeout(rig->p, rig->t);
        assert_true(portal_poll_timeout(rig->p) > rig->t.now);
    }
}

/* NULL: refused, see rig->answer. */
static inline struct portal_session *rig_upgrade(struct rig *rig, const char *path,
                                                 const char *query, const char *token,
                                                 const char *agent)
{
    struct portal_request r = {.path = path, .query = query, .token = token, .user_agent = agent};
    assert_int_equal(ip_addr_parse(&r.from, "198.51.100.20"), ERR_OK);
    memset(&rig->answer, 0xee, sizeof rig->answer);
    return portal_upgrade(rig->p, rig->t, &r, rig, &rig->answer);
}

static inline void rig_send(struct rig *rig, struct portal_session *s, const char *text)
{
    portal_handle_input(rig->p, rig->t, s, text, strlen(text));
}

/* A message on the channel; payload: JSON. */
static inline void rig_say(struct rig *rig, struct portal_session *s, const char *topic,
                           const char *event, const char *payload, int ref)
{
    char text[4096];
    int len =
        snprintf(text, sizeof text, "{\"topic\":\"%s\",\"event\":\"%s\",\"payload\":%s,\"ref\":%d}",
                 topic, event, payload, ref);
    assert_true(len > 0 && (size_t)len < sizeof text);
    rig_send(rig, s, text);
}

/* The next frame, which has to be there; the caller releases it. */
static inline json_t *rig_frame(struct portal_session *s)
{
    const char *text;
    size_t len;
    if (!portal_poll_transmit(s, &text, &len))
        fail_msg("nothing was sent");
    json_t *frame = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(frame);
    assert_int_equal(json_object_size(frame), 4);
    assert_non_null(json_object_get(frame, "topic"));
    return frame;
}

/* Its payload, of this event; the caller releases it. */
static inline json_t *rig_expect(struct portal_session *s, const char *event)
{
    json_t *frame = rig_frame(s);
    assert_string_equal(json_string_value(json_object_get(frame, "event")), event);
    assert_true(json_is_null(json_object_get(frame, "ref")));
    json_t *payload = json_incref(json_object_get(frame, "payload"));
    json_decref(frame);
    return payload;
}

/* The whole frame as JSON text. */
static inline void rig_expect_text(struct portal_session *s, const char *text)
{
    const char *sent = "nothing";
    size_t len;
    portal_poll_transmit(s, &sent, &len);
    assert_string_equal(sent, text);
}

/* The payload is exactly this JSON. */
static inline void rig_expect_payload(struct portal_session *s, const char *event, const char *json)
{
    json_t *payload = rig_expect(s, event), *wanted = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(wanted);
    if (!json_equal(payload, wanted)) {
        char *text = json_dumps(payload, JSON_ENCODE_ANY);
        print_error("%s instead of %s\n", text, json);
        free(text);
        fail();
    }
    json_decref(payload);
    json_decref(wanted);
}

static inline void rig_expect_nothing(struct portal_session *s)
{
    const char *text;
    size_t len;
    if (portal_poll_transmit(s, &text, &len))
        fail_msg("sent: %s", text);
}

static inline void rig_expect_over(struct portal_session *s, unsigned code)
{
    unsigned got;
    assert_true(portal_session_over(s, &got));
    assert_int_equal(got, code);
}

static inline void rig_expect_alive(struct portal_session *s)
{
    unsigned code;
    assert_false(portal_session_over(s, &code));
}

static inline void rig_close(struct rig *rig, struct portal_session *s)
{
    portal_closed(rig->p, rig->t, s);
}

/* Joins; the caller releases the init. */
static inline json_t *rig_join(struct rig *rig, struct portal_session *s, const char *topic)
{
    json_t *frame, *wanted;
    assert_non_null(s);
    rig_say(rig, s, topic, "phx_join", "null", 0);
    frame = rig_frame(s);
    wanted = json_pack("{s:s, s:s, s:{s:s, s:{}}, s:i}", "topic", topic, "event", "phx_reply",
                       "payload", "status", "ok", "response", "ref", 0);
    assert_true(json_equal(frame, wanted));
    json_decref(frame);
    json_decref(wanted);
    return rig_expect(s, "init");
}

static inline struct portal_session *rig_client_as(struct rig *rig, const char *path,
                                                   const char *id, const char *token,
                                                   const char *agent)
{
    char query[512];
    snprintf(query, sizeof query, "external_id=%s&name=%s+box&public_key=%s", id, id, RIG_KEY_A);
    return rig_upgrade(rig, path, query, token, agent);
}

/* A client, or a gateway, of today that has joined. */
static inline struct portal_session *rig_client(struct rig *rig, const char *id, const char *token)
{
    struct portal_session *s = rig_client_as(rig, "/client/v2/websocket", id, token, RIG_CLIENT);
    json_decref(rig_join(rig, s, "client"));
    return s;
}

static inline struct portal_session *rig_gateway_as(struct rig *rig, const char *path,
                                                    const char *id, const char *agent)
{
    char query[512];
    snprintf(query, sizeof query, "external_id=%s&name=%s&public_key=%s", id, id, RIG_KEY_B);
    struct portal_session *s = rig_upgrade(rig, path, query, ".gw", agent);
    json_decref(rig_join(rig, s, "gateway"));
    return s;
}

static inline struct portal_session *rig_gateway(struct rig *rig, const char *id)
{
    return rig_gateway_as(rig, "/gateway/v2/websocket", id, RIG_GATEWAY);
}

static inline struct portal_session *rig_relay(struct rig *rig, const char *query,
                                               const char *secret)
{
    char payload[256];
    struct portal_session *s = rig_upgrade(rig, "/relay/websocket", query, ".relay", "relay/1.0.0");
    assert_non_null(s);
    snprintf(payload, sizeof payload, "{\"stamp_secret\":\"%s\"}", secret);
    rig_say(rig, s, "relay", "phx_join", payload, 0);
    json_decref(rig_frame(s));
    rig_expect_payload(s, "init", "{}");
    return s;
}

/* A command given as JSON; the answer, which the caller releases. */
static inline json_t *rig_control(struct rig *rig, const char *json)
{
    json_t *command = json_loads(json, 0, NULL);
    assert_non_null(command);
    json_t *answer = portal_control(rig->p, rig->t, command);
    assert_non_null(answer);
    json_decref(command);
    return answer;
}

static inline void rig_order(struct rig *rig, const char *json)
{
    json_t *answer = rig_control(rig, json);
    if (!json_is_true(json_object_get(answer, "ok")))
        fail_msg("%s: %s", json, json_string_value(json_object_get(answer, "error")));
    json_decref(answer);
}

static inline const char *rig_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        fail_msg("no text called %s", key);
    return text ? text : "";
}

/* The id of something by its name, or external id, from the portal's state. `out` has 37 bytes. */
static inline void rig_id(struct rig *rig, const char *part, const char *name, char *out)
{
    char command[128];
    size_t i;
    json_t *o;
    snprintf(command, sizeof command, "{\"command\":\"state\",\"part\":\"%s\"}", part);
    json_t *answer = rig_control(rig, command);
    out[0] = 0;
    json_array_foreach(json_object_get(answer, part), i, o)
    {
        const char *external = json_string_value(json_object_get(o, "external_id"));
        if (strcmp(external ? external : rig_text(o, "name"), name) == 0)
            snprintf(out, 37, "%s", rig_text(o, "id"));
    }
    json_decref(answer);
    assert_true(out[0]);
}

#endif
