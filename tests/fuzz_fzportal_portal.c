/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the development portal: upgrades, frames, closes, commands and time in any order. Whatever comes, each frame it
 * sends is a JSON object with the four members, to a session that is there; refusals have a status; a session that is over
 * sends no more than what was queued; and time never stands still.
 *
 * Input: steps, each a line of a letter, a digit, which is the number of a peer where one is meant, and text:
 *   u3/path?query TOKEN|USER-AGENT   upgrade as peer 3; token and User-Agent may be left out
 *   f3{"topic":...}                  a text frame of peer 3
 *   c3                               its socket is gone
 *   t0500                            so many milliseconds pass
 *   o0{"command":...}                a command
 * In frames and commands the words @D, @R and @F stand for the id of a device, that of a resource, and the last ref a gateway was
 * sent; a digit behind the first two says which.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "tools/fzportal/portal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PEERS = 10,
    STEPS_MAX = 400
};

static const char config_text[] =
    "[portal]\nconnect_limit = no\n[features]\niceless = yes\n"
    "[client-token a]\ntoken = .a\ngroups = g\nlifetime = 1h\n[client-token b]\ntoken = .b\n"
    "[gateway-token c]\ntoken = .c\nsite = S\n[relay-token d]\ntoken = .d\n[site S]\n[site T]\n"
    "[resource r]\ntype = dns\naddress = *.r.example\nsite = S\n"
    "[resource i]\ntype = internet\nsite = S\n"
    "[resource p]\ntype = static_device_pool\nmembers = b\n"
    "[resource q]\ntype = dynamic_device_pool\naddress = *.q.example\nmembers = b\n"
    "[resource v]\ntype = ip\naddress = ::1\nsite = T\n"
    "[policy x]\ngroups = *\nresources = r, p, q, i\nlifetime = 5m\n"
    "[policy y]\ngroups = g\nresources = v\nviolates = remote_ip\n"
    "[relay z]\nipv4 = 192.0.2.1\nipv6 = 2001:db8::1\n"
    "stamp_secret = 0000000000000000000000000000000000000000000000000000000000000000\n"
    "[relay y]\nipv4 = 192.0.2.2\nusername = u\npassword = p\n";

struct world {
    struct portal *p;
    struct portal_time t;
    struct portal_session *peers[PEERS];
    bool over[PEERS];
    char ref[64];
};

static void check_frame(struct world *w, const char *text, size_t len)
{
    json_t *frame = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    ASSERT(json_object_size(frame) == 4);
    ASSERT(json_is_string(json_object_get(frame, "topic")));
    ASSERT(json_is_string(json_object_get(frame, "event")));
    ASSERT(json_object_get(frame, "ref") && json_object_get(frame, "payload"));
    const char *ref = json_string_value(json_object_get(json_object_get(frame, "payload"), "ref"));
    if (ref)
        snprintf(w->ref, sizeof w->ref, "%s", ref);
    json_decref(frame);
}

static void drain(struct world *w)
{
    struct portal_session *s;
    const char *text;
    size_t len;
    unsigned code;

    while ((s = portal_poll_ready(w->p))) {
        const struct portal_session *const *slot = portal_session_user(s);
        size_t i = (size_t)(slot - (const struct portal_session *const *)w->peers);
        ASSERT(i < PEERS && w->peers[i] == s && !w->over[i]);
        while (portal_poll_transmit(s, &text, &len))
            check_frame(w, text, len);
        w->over[i] = portal_session_over(s, &code);
        ASSERT(code == 0 || (code >= 1000 && code < 5000));
    }
}

/* The id of element `i` of a part of the portal's state. */
static void id_of(struct world *w, const char *part, size_t i, char out[40])
{
    json_t *command = json_pack("{s:s, s:s}", "command", "state", "part", part);
    json_t *answer = portal_control(w->p, w->t, command);
    const char *id =
        json_string_value(json_object_get(json_array_get(json_object_get(answer, part), i), "id"));
    snprintf(out, 40, "%s", id ? id : "none");
    json_decref(answer);
    json_decref(command);
}

/* Replaces @D, @R and @F. */
static char *expand(struct world *w, const char *text, size_t len)
{
    char *out = mem_zalloc(1, 64 * len + 1), word[64];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool more = i + 2 < len;
        if (text[i] == '@' && more && text[i + 1] == 'F') {
            snprintf(word, sizeof word, "%s", w->ref);
            i++;
        } else if (text[i] == '@' && more && (text[i + 1] == 'D' || text[i + 1] == 'R')) {
            id_of(w, text[i + 1] == 'D' ? "devices" : "resources", text[i + 2] & 7, word);
            i += 2;
        } else {
            word[0] = text[i] ? text[i] : ' ';
            word[1] = 0;
        }
        n += (size_t)sprintf(out + n, "%s", word);
    }
    return out;
}

static void upgrade(struct world *w, unsigned peer, char *text)
{
    struct portal_answer answer = {.status = 0};
    struct portal_request r = {
        .path = text, .query = "", .user_agent = "X/1 headless-client/1.5.12"};
    char *agent = strchr(text, '|'), *query, *token;

    if (w->peers[peer])
        return;
    if (agent)
        *agent++ = 0;
    query = strchr(text, '?');
    token = strchr(text, ' ');
    r.from = ip_addr_v4((uint8_t[]){192, 0, 2, 1});
    if (strncmp(text, "/gateway", 8) == 0)
        r.user_agent = "X/1 gateway/1.6.0";
    if (peer == 9)
        r.user_agent = "X/1 gui-client/1.5.8";
    if (agent)
        r.user_agent = agent;
    if (token) {
        *token = 0;
        r.token = token + 1;
    }
    if (query && (!token || query < token)) {
        *query = 0;
        r.query = query + 1;
    }
    w->peers[peer] = portal_upgrade(w->p, w->t, &r, &w->peers[peer], &answer);
    w->over[peer] = false;
    ASSERT(w->peers[peer] || (answer.status >= 300 && answer.status < 600));
}

static void pass(struct world *w, uint64_t ms)
{
    time_ns end = w->t.now + ms * NS_PER_MS;
    for (;;) {
        time_ns at = portal_poll_timeout(w->p);
        w->t.now = time_max(w->t.now, time_min(at, end));
        w->t.unix_seconds = 1785500000 + (int64_t)(w->t.now / NS_PER_SEC);
        if (at > end)
            return;
        portal_handle_timeout(w->p, w->t);
        ASSERT(portal_poll_timeout(w->p) > w->t.now);
        drain(w);
    }
}

static void obey(struct world *w, const char *text)
{
    json_t *command = json_loads(text, 0, NULL);
    if (!command)
        return;
    json_t *answer = portal_control(w->p, w->t, command);
    bool ok = json_is_true(json_object_get(answer, "ok"));
    ASSERT(ok || json_is_string(json_object_get(answer, "error")));
    json_decref(answer);
    json_decref(command);
}

static void step(struct world *w, const char *line, size_t len)
{
    unsigned peer = len > 1 && line[1] >= '0' && line[1] <= '9' ? (unsigned)(line[1] - '0') : 0;
    char *text = len > 2 ? expand(w, line + 2, len - 2) : mem_dup_text("", 0);

    switch (len > 0 ? line[0] : 0) {
    case 'u':
        upgrade(w, peer, text);
        break;
    case 'f':
        if (w->peers[peer])
            portal_handle_input(w->p, w->t, w->peers[peer], text, strlen(text));
        break;
    case 'c':
        if (w->peers[peer])
            portal_closed(w->p, w->t, w->peers[peer]);
        w->peers[peer] = NULL;
        break;
    case 't':
        pass(w, strtoul(text, NULL, 10) % 100000);
        break;
    case 'o':
        obey(w, text);
        break;
    }
    free(text);
    drain(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[32] = {7};
    struct world w = {.t = {0, 1785500000}};
    struct portal_config config;
    char why[256];
    const char *text = (const char *)data, *end = text + size;

    ASSERT(portal_config_parse(&config, config_text, "f", why, sizeof why) == ERR_OK);
    ASSERT(portal_new(&w.p, &config, seed, w.t) == ERR_OK);
    for (int i = 0; i < STEPS_MAX && text < end; i++) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t len = line_end ? (size_t)(line_end - text) : (size_t)(end - text);
        if (len < 2000)
            step(&w, text, len);
        text += len + 1;
    }
    portal_free(w.p);
    portal_config_fini(&config);
    return 0;
}
