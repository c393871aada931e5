/* SPDX-License-Identifier: Apache-2.0 */
/* Authorisations of the development portal: a client asks, a gateway agrees, and what becomes of it. Both generations. */
#include "control/portal/messages.h"
#include "tests/portal_rig.h"
#include "tools/fzportal/derive.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

/* Asks for a resource by name; connected: JSON list. */
static void ask(struct rig *rig, struct portal_session *s, const char *event, const char *name,
                const char *connected)
{
    char payload[512], id[37];
    rig_id(rig, "resources", name, id);
    snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"connected_gateway_ids\":%s}", id,
             connected);
    rig_say(rig, s, "client", event, payload, 7);
}

static void agree(struct rig *rig, struct portal_session *g, const char *event, const char *ref)
{
    char payload[256];
    snprintf(payload, sizeof payload, "{\"ref\":\"%s\"}", ref);
    rig_say(rig, g, "gateway", event, payload, 9);
}

static void expect_reply(struct portal_session *s, const char *status, const char *reason)
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
static json_t *authorize(struct rig *rig, struct portal_session *c, struct portal_session *g,
                         const char *name)
{
    ask(rig, c, "request_authorization", name, "[]");
    json_t *order = rig_expect(g, "create_authorization");
    agree(rig, g, "authorization_created", rig_text(order, "ref"));
    json_decref(order);
    expect_reply(g, "ok", NULL);
    return rig_expect(c, "authorization_created");
}

static void expect_refused(struct rig *rig, struct portal_session *c, const char *name,
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

/* A JWT with the claims that devices insist on. */
static void check_token(const json_t *message, const char *role)
{
    const char *token = rig_text(message, "flow_logs_ingest_token");
    const char *dot = strchr(token, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;
    if (!end) {
        fail_msg("no token: %s", token);
        return;
    }
    assert_true(strlen(end + 1) == 43 && !strpbrk(token, "=+/"));
    size_t len = (size_t)(end - dot - 1), n = 0;
    char *json = calloc(1, len + 1);
    unsigned bits = 0, got = 0;
    for (const char *c = dot + 1; c < end; c++) {
        static const char digits[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        got = got << 6 | (unsigned)(strchr(digits, *c) - digits);
        bits += 6;
        if (bits >= 8)
            json[n++] = (char)(got >> (bits -= 8));
    }
    json_t *claims = json_loadb(json, n, 0, NULL);
    assert_non_null(claims);
    static const char *const needed[] = {"account_id",
                                         "initiator_device_id",
                                         "responder_device_id",
                                         "policy_authorization_id",
                                         "policy_id",
                                         "resource_id",
                                         "resource_name",
                                         "initiator_actor_id",
                                         "authorized_at",
                                         "initiator_actor_name",
                                         "authorization_expires_at"};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        rig_text(claims, needed[i]);
    assert_string_equal(rig_text(claims, "role"), role);
    assert_string_equal(rig_text(claims, "authorized_at"), "2026-07-31T12:13:20.000000Z");
    assert_true(json_is_false(json_object_get(claims, "uploads_enabled")));
    json_int_t exp = json_integer_value(json_object_get(claims, "exp"));
    assert_int_equal(exp, RIG_UNIX + 30 * 86400 + 30 * 86400);
    json_decref(claims);
    free(json);
}

static void test_authorize(void **state)
{
    struct rig rig;
    char client_id[37], gateway_id[37], lab[37], site[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "devices", "g", gateway_id);
    rig_id(&rig, "resources", "Lab", lab);
    rig_id(&rig, "sites", "Main", site);

    ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_expect_nothing(c);
    json_t *order = rig_expect(g, "create_authorization");
    json_t *view = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "type", "cidr", "id", lab, "name", "Lab",
                             "address", "10.20.0.0/16", "filters");
    assert_true(json_equal(json_object_get(order, "resource"), view));
    json_decref(view);
    json_t *client = json_object_get(order, "client");
    assert_string_equal(rig_text(client, "id"), client_id);
    assert_string_equal(rig_text(client, "public_key"), KEY_A);
    assert_string_equal(rig_text(client, "version"), "1.5.12");
    assert_string_equal(rig_text(client, "device_os_name"), "Ubuntu");
    assert_string_equal(rig_text(client, "device_os_version"), "22.4.0");
    assert_true(json_is_null(json_object_get(client, "device_serial")));
    assert_int_equal(json_object_size(client), 12);
    json_t *subject = json_object_get(order, "subject");
    assert_string_equal(rig_text(subject, "actor_name"), "Ada");
    assert_string_equal(rig_text(subject, "actor_type"), "account_user");
    assert_string_equal(rig_text(subject, "ip"), "198.51.100.20");
    assert_int_equal(json_object_size(subject), 11);
    assert_int_equal(json_integer_value(json_object_get(order, "expires_at")),
                     RIG_UNIX + 30 * 86400);
    assert_true(json_is_false(json_object_get(order, "use_iceless")));
    check_token(order, "responder");

    agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    expect_reply(g, "ok", NULL);
    json_t *answer = rig_expect(c, "authorization_created");
    struct fields f = {.failed = false};
    struct message m;
    if (!message_read(&m, "authorization_created", answer, &f))
        fail_msg("%s", f.why);
    message_wipe(&m);
    check_token(answer, "initiator");
    assert_string_equal(rig_text(answer, "resource_id"), lab);
    assert_string_equal(rig_text(answer, "gateway_id"), gateway_id);
    assert_string_equal(rig_text(answer, "site_id"), site);
    assert_string_equal(rig_text(answer, "gateway_public_key"), KEY_B);
    assert_string_equal(rig_text(answer, "preshared_key"), rig_text(client, "preshared_key"));
    assert_true(json_equal(json_object_get(answer, "client_ice_credentials"),
                           json_object_get(order, "client_ice_credentials")));
    assert_true(json_equal(json_object_get(answer, "gateway_ice_credentials"),
                           json_object_get(order, "gateway_ice_credentials")));
    assert_int_equal(json_object_size(answer), 12 - 1);
    struct derive_ice ci, gi;
    struct derive_end ce = {client_id, KEY_A, NULL}, ge = {gateway_id, KEY_B, NULL};
    derive_ice(&ci, &gi, &ce, &ge);
    assert_string_equal(rig_text(json_object_get(answer, "client_ice_credentials"), "username"),
                        ci.username);
    assert_string_equal(rig_text(json_object_get(answer, "gateway_ice_credentials"), "password"),
                        gi.password);
    json_decref(order);

    /* The same keys give the same secrets. */
    json_t *again = authorize(&rig, c, g, "Git");
    assert_string_equal(rig_text(again, "preshared_key"), rig_text(answer, "preshared_key"));
    json_decref(again);
    json_decref(answer);
    rig_stop(&rig);
}

static void test_refusals(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    expect_refused(&rig, c, "Lab", "offline");
    struct portal_session *g =
        rig_gateway_as(&rig, "/gateway/v2/websocket", "g", "X/1 gateway/1.3.9");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    expect_refused(&rig, c, "Lab", "version_mismatch");
    struct portal_session *odd =
        rig_gateway_as(&rig, "/gateway/v2/websocket", "h", "X/1 gateway/one");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    expect_refused(&rig, c, "Lab", "version_mismatch");
    ask(&rig, c, "request_authorization", "Far", "[]");
    expect_refused(&rig, c, "Far", "offline");

    ask(&rig, c, "request_authorization", "Vault", "[]");
    json_t *failed = rig_expect(c, "authorization_creation_failed");
    assert_string_equal(rig_text(failed, "reason"), "forbidden");
    json_t *wanted = json_pack("[s]", "remote_ip");
    assert_true(json_equal(json_object_get(failed, "violated_properties"), wanted));
    json_decref(wanted);
    json_decref(failed);

    rig_say(&rig, c, "client", "request_authorization",
            "{\"resource_id\":\"11111111-1111-4111-8111-111111111111\"}", 1);
    rig_expect_payload(c, "authorization_creation_failed",
                       "{\"resource_id\":\"11111111-1111-4111-8111-111111111111\","
                       "\"reason\":\"not_found\"}");
    struct portal_session *other = rig_client(&rig, "b", ".camera");
    ask(&rig, other, "request_authorization", "Lab", "[]");
    expect_refused(&rig, other, "Lab", "not_found");
    rig_expect_nothing(g);
    rig_expect_nothing(odd);
    rig_stop(&rig);
}

/* Of a request without a ref the real portal's channel crashes, but only where a gateway has to be asked. */
static void test_null_ref(void **state)
{
    struct rig rig;
    char frame[512], id[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_id(&rig, "resources", "Lab", id);
    snprintf(frame, sizeof frame,
             "{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":"
             "{\"resource_id\":\"%s\"},\"ref\":null}",
             id);
    rig_send(&rig, c, frame);
    expect_refused(&rig, c, "Lab", "offline");
    struct portal_session *g = rig_gateway(&rig, "g");
    rig_send(&rig, c, frame);
    rig_expect_payload(c, "phx_error", "{}");
    rig_expect_over(c, 1012);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

static void test_choice(void **state)
{
    struct rig rig;
    char list[128] = "[\"x\",7,\"", id[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    struct portal_session *old =
        rig_gateway_as(&rig, "/gateway/v2/websocket", "old", "X/1 gateway/1.5.0");
    struct portal_session *newer = rig_gateway(&rig, "new");
    /* The newest, unless one is connected already. */
    ask(&rig, c, "request_authorization", "Lab", "[]");
    json_decref(rig_expect(newer, "create_authorization"));
    rig_expect_nothing(old);
    rig_id(&rig, "devices", "old", id);
    strcat(strcat(list, id), "\"]");
    ask(&rig, c, "request_authorization", "Lab", list);
    json_decref(rig_expect(old, "create_authorization"));
    rig_expect_nothing(newer);
    rig_stop(&rig);
}

static void test_timeout(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_wait_ms(&rig, 14999);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 1);
    expect_refused(&rig, c, "Lab", "offline");
    agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    expect_reply(g, "error", "invalid_ref");
    json_decref(order);
    rig_expect_nothing(c);
    rig_stop(&rig);
}

/* A second request takes the place of the first, whose answer then means nothing. */
static void test_repeated(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_wait_ms(&rig, 10000);
    ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *first = rig_expect(g, "create_authorization");
    json_t *second = rig_expect(g, "create_authorization");
    assert_string_not_equal(rig_text(first, "ref"), rig_text(second, "ref"));
    agree(&rig, g, "authorization_created", rig_text(first, "ref"));
    expect_reply(g, "ok", NULL);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 6000); /* past the first one's end */
    rig_expect_nothing(c);
    agree(&rig, g, "authorization_created", rig_text(second, "ref"));
    expect_reply(g, "ok", NULL);
    json_decref(rig_expect(c, "authorization_created"));
    agree(&rig, g, "authorization_created", rig_text(second, "ref"));
    expect_reply(g, "error", "invalid_ref");
    json_decref(first);
    json_decref(second);
    rig_stop(&rig);
}

static void test_wrong_refs(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    struct portal_session *h = rig_gateway(&rig, "h");
    agree(&rig, h, "authorization_created", rig_text(order, "ref"));
    expect_reply(h, "error", "invalid_ref");
    rig_say(&rig, g, "gateway", "authorization_created", "{\"ref\":7}", 1);
    expect_reply(g, "error", "invalid_ref");
    rig_say(&rig, g, "gateway", "authorization_created", "{}", 1);
    expect_reply(g, "error", "unknown_message");
    rig_say(&rig, g, "gateway", "flow_authorized", "{\"ref\":\"x\"}", 1);
    expect_reply(g, "error", "unknown_message");
    rig_expect_nothing(c);
    json_decref(order);
    rig_stop(&rig);
}

/* The client is gone before the gateway agrees, or the gateway before it does. */
static void test_gone(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_close(&rig, c);
    agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    expect_reply(g, "ok", NULL);
    json_decref(order);
    c = rig_client(&rig, "a", ".laptop");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_close(&rig, g);
    rig_wait_ms(&rig, 15000);
    expect_refused(&rig, c, "Lab", "offline");
    rig_stop(&rig);
}

/* The resource is gone before the gateway agrees. */
static void test_removed_meanwhile(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_order(&rig, "{\"command\":\"resource_remove\",\"name\":\"Lab\"}");
    json_decref(rig_expect(c, "resource_deleted"));
    agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    expect_reply(g, "ok", NULL);
    json_decref(order);
    rig_wait_ms(&rig, 15000);
    rig_expect_nothing(c);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* What was granted is repeated to a gateway that comes back, until it expires or is revoked. */
static void test_replay(void **state)
{
    struct rig rig;
    char client_id[37], lab[37];
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\nidle = 1h\n"
                    "[client-token a]\ntoken = .laptop\n[gateway-token gw]\ntoken = .gw\nsite = A\n"
                    "[site A]\n[resource Lab]\ntype = ip\naddress = 10.0.0.1\nsite = A\n"
                    "[policy p]\ngroups = *\nresources = *\nlifetime = 10m\n");
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    json_decref(authorize(&rig, c, g, "Lab"));
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "resources", "Lab", lab);
    rig_close(&rig, g);
    g = rig_upgrade(&rig, "/gateway/v2/websocket", "external_id=g&public_key=" RIG_KEY_B, ".gw",
                    RIG_GATEWAY);
    json_t *init = rig_join(&rig, g, "gateway");
    json_t *wanted = json_pack("[{s:s, s:s, s:I}]", "client_id", client_id, "resource_id", lab,
                               "expires_at", (json_int_t)(RIG_UNIX + 600));
    assert_true(json_equal(json_object_get(init, "authorizations"), wanted));
    json_decref(wanted);
    json_decref(init);
    /* Another one through the same gateway makes it longer, not two. */
    rig_wait_ms(&rig, 60000);
    json_decref(authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"init\",\"role\":\"gateway\"}");
    init = rig_expect(g, "init");
    json_t *list = json_object_get(init, "authorizations");
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "expires_at")),
                     RIG_UNIX + 660);
    json_decref(init);
    rig_wait_ms(&rig, 600000);
    rig_order(&rig, "{\"command\":\"init\",\"role\":\"gateway\"}");
    init = rig_expect(g, "init");
    assert_int_equal(json_array_size(json_object_get(init, "authorizations")), 0);
    json_decref(init);
    rig_wait_ms(&rig, 60000);
    rig_order(&rig, "{\"command\":\"state\",\"part\":\"authorizations\"}");
    rig_stop(&rig);
}

static void test_revoke(void **state)
{
    struct rig rig;
    char client_id[37], lab[37], rejected[256];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "resources", "Lab", lab);
    snprintf(rejected, sizeof rejected, "{\"client_id\":\"%s\",\"resource_id\":\"%s\"}", client_id,
             lab);
    json_decref(authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"revoke\",\"client\":\"a\",\"resource\":\"Lab\"}");
    rig_expect_payload(g, "reject_access", rejected);
    rig_expect_nothing(c);

    /* Filters change in place, an address does not. */
    json_decref(authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Lab\",\"filters\":\"icmp\"}");
    json_t *view = rig_expect(g, "resource_updated");
    assert_string_equal(rig_text(view, "id"), lab);
    assert_int_equal(json_array_size(json_object_get(view, "filters")), 1);
    json_decref(view);
    json_decref(rig_expect(c, "resource_created_or_updated"));
    rig_order(&rig,
              "{\"command\":\"resource_change\",\"name\":\"Lab\",\"address\":\"10.1.0.0/16\"}");
    rig_expect_payload(g, "reject_access", rejected);
    json_decref(rig_expect(c, "resource_created_or_updated"));

    json_decref(authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"resource_remove\",\"name\":\"Lab\"}");
    rig_expect_payload(g, "reject_access", rejected);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* A token that ends takes its authorisations with it. */
static void test_expired_token(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    json_decref(authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"laptop\"}");
    rig_expect_payload(c, "disconnect", "{\"reason\":\"token_expired\"}");
    rig_expect_payload(c, "phx_close", "{}");
    rig_expect_over(c, 1000);
    json_decref(rig_expect(g, "reject_access"));
    rig_stop(&rig);
}

static void test_candidates(void **state)
{
    struct rig rig;
    char payload[512], client_id[37], gateway_id[37], wanted[512];
    static const struct {
        const char *says, *hears;
    } of_client[] = {{"new_gateway_ice_candidates", "ice_candidates"},
                     {"invalidate_gateway_ice_candidates", "invalidate_ice_candidates"}},
      of_both[] = {{"broadcast_ice_candidates", "ice_candidates"},
                   {"broadcast_invalidated_ice_candidates", "invalidate_ice_candidates"}};
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "devices", "g", gateway_id);
    for (size_t i = 0; i < 2; i++) {
        snprintf(wanted, sizeof wanted, "{\"client_id\":\"%s\",\"candidates\":[\"x\",7]}",
                 client_id);
        snprintf(payload, sizeof payload, "{\"gateway_id\":\"%s\",\"candidates\":[\"x\",7]}",
                 gateway_id);
        rig_say(&rig, c, "client", of_client[i].says, payload, 1);
        rig_expect_payload(g, of_client[i].hears, wanted);
        snprintf(payload, sizeof payload,
                 "{\"gateway_ids\":[\"x\",null,\"%s\"],\"candidates\":[\"x\",7]}", gateway_id);
        rig_say(&rig, c, "client", of_both[i].says, payload, 1);
        rig_expect_payload(g, of_both[i].hears, wanted);
        snprintf(wanted, sizeof wanted, "{\"gateway_id\":\"%s\",\"candidates\":[]}", gateway_id);
        snprintf(payload, sizeof payload, "{\"client_ids\":[\"x\",\"%s\"],\"candidates\":[]}",
                 client_id);
        rig_say(&rig, g, "gateway", of_both[i].says, payload, 1);
        rig_expect_payload(c, of_both[i].hears, wanted);
    }
    /* To the wrong kind of device. */
    snprintf(payload, sizeof payload, "{\"gateway_id\":\"%s\",\"candidates\":[]}", client_id);
    rig_say(&rig, c, "client", "new_gateway_ice_candidates", payload, 1);
    snprintf(payload, sizeof payload, "{\"client_ids\":[\"%s\"],\"candidates\":[]}", gateway_id);
    rig_say(&rig, g, "gateway", "broadcast_ice_candidates", payload, 1);
    rig_expect_nothing(c);
    rig_expect_nothing(g);
    rig_say(&rig, g, "gateway", "broadcast_ice_candidates", "{\"client_ids\":[]}", 1);
    expect_reply(g, "error", "unknown_message");
    rig_say(&rig, g, "gateway", "broadcast_ice_candidates", "{\"client_ids\":1,\"candidates\":[]}",
            1);
    rig_expect_payload(g, "phx_error", "{}");
    rig_expect_over(g, 1012);
    rig_stop(&rig);
}

/* The unversioned paths speak of flows; either kind of peer goes with either. */
static void test_older_generation(void **state)
{
    static const struct {
        const char *client_path, *client_agent, *gateway_path, *gateway_agent;
        const char *request, *create, *created, *granted, *site;
    } cases[] = {
        {"/client/websocket", "X/1 headless-client/1.5.8", "/gateway/websocket",
         "X/1 gateway/1.5.2", "create_flow", "authorize_flow", "flow_authorized", "flow_created",
         "site_id"},
        {"/client/websocket", "X/1 headless-client/1.5.5", "/gateway/v2/websocket", RIG_GATEWAY,
         "create_flow", "create_authorization", "authorization_created", "flow_created",
         "gateway_group_id"},
        {"/client/v2/websocket", RIG_CLIENT, "/gateway/websocket", "X/1 gateway/1.5.2",
         "request_authorization", "authorize_flow", "flow_authorized", "authorization_created",
         "site_id"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig rig;
        rig_start(&rig, RIG_CONFIG);
        struct portal_session *c =
            rig_client_as(&rig, cases[i].client_path, "a", ".laptop", cases[i].client_agent);
        json_decref(rig_join(&rig, c, "client"));
        struct portal_session *g =
            rig_gateway_as(&rig, cases[i].gateway_path, "g", cases[i].gateway_agent);
        ask(&rig, c, cases[i].request, "Lab", "[]");
        json_t *order = rig_expect(g, cases[i].create);
        assert_true(json_is_integer(json_object_get(order, "expires_at")));
        agree(&rig, g, cases[i].created, rig_text(order, "ref"));
        json_decref(order);
        expect_reply(g, "ok", NULL);
        json_t *answer = rig_expect(c, cases[i].granted);
        rig_text(answer, cases[i].site);
        assert_null(json_object_get(
            answer, strcmp(cases[i].site, "site_id") == 0 ? "gateway_group_id" : "site_id"));
        json_decref(answer);
        rig_close(&rig, g);
        ask(&rig, c, cases[i].request, "Lab", "[]");
        json_decref(rig_expect(c, strcmp(cases[i].request, "create_flow") == 0
                                      ? "flow_creation_failed"
                                      : "authorization_creation_failed"));
        ask(&rig, c,
            strcmp(cases[i].request, "create_flow") == 0 ? "request_authorization" : "create_flow",
            "Lab", "[]");
        expect_reply(c, "error", "unknown_message");
        rig_stop(&rig);
    }
}

static void test_iceless(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\n[features]\niceless = yes\n"
                    "[client-token a]\ntoken = .laptop\n[gateway-token gw]\ntoken = .gw\nsite = A\n"
                    "[site A]\n[resource Lab]\ntype = internet\nsite = A\n");
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_say(&rig, c, "client", "set_snownet_capabilities", "{\"iceless\":true}", 1);
    json_t *answer = authorize(&rig, c, g, "Lab");
    assert_true(json_is_false(json_object_get(answer, "use_iceless")));
    json_decref(answer);
    rig_say(&rig, g, "gateway", "set_snownet_capabilities", "{\"iceless\":true}", 1);
    answer = authorize(&rig, c, g, "Lab");
    assert_true(json_is_true(json_object_get(answer, "use_iceless")));
    json_decref(answer);
    rig_stop(&rig);
}

/* The client's own reader takes what the portal says. */
static void test_own_reader(void **state)
{
    struct rig rig;
    struct fields f = {.failed = false};
    struct message m;
    (void)state;

    rig_start(&rig, RIG_CONFIG
              "[relay r]\nipv4 = 203.0.113.7\nipv6 = 2001:db8::7\nstamp_secret = " RIG_SECRET "\n"
              "[dns]\nmode = custom\nservers = 9.9.9.9, ::1\n");
    json_t *init = rig_join(
        &rig, rig_client_as(&rig, "/client/v2/websocket", "a", ".laptop", RIG_CLIENT), "client");
    if (!message_read(&m, "init", init, &f))
        fail_msg("%s", f.why);
    assert_int_equal(m.interface_.do53_n, 2);
    assert_int_equal(json_array_size(m.relays), 2);
    for (size_t i = 0; i < json_array_size(m.resources); i++) {
        struct message_resource r;
        if (!message_resource_at(&r, m.resources, i, &f) && f.failed)
            fail_msg("%s", f.why);
    }
    for (size_t i = 0; i < 2; i++) {
        struct message_relay r;
        if (!message_relay_at(&r, m.relays, i, &f))
            fail_msg("%s", f.why);
        assert_int_equal(r.expires_at, RIG_UNIX + 30 * 86400);
    }
    message_wipe(&m);
    json_decref(init);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorize),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_null_ref),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_wrong_refs),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_removed_meanwhile),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_expired_token),
        cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_older_generation),
        cmocka_unit_test(test_iceless),
        cmocka_unit_test(test_own_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
