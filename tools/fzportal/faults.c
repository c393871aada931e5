/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzportal/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "tools/fzportal/server_private.h"

enum {
    RAW_MAX = 65536
};

typedef json_t *(*fault_fn)(struct server *s, const json_t *command);

static json_t *failed(const char *why)
{
    return json_pack("{s:b, s:s}", "ok", 0, "error", why);
}

static json_t *done(int n)
{
    return json_pack("{s:b, s:i}", "ok", 1, "sessions", n);
}

static bool means(const struct conn *c, const json_t *command)
{
    return c->session && !c->killed && portal_session_meant(c->session, command);
}

static bool means_all(const json_t *command)
{
    return json_is_true(json_object_get(command, "all"));
}

static void set_deaf(struct server *s, bool deaf)
{
    s->frozen = deaf;
    for (unsigned i = 0; i < s->listeners_n; i++)
        listener_set_deaf(s->listeners[i], deaf);
}

static json_t *freeze(struct server *s, const json_t *command)
{
    bool all = means_all(command);
    int n = 0;

    if (all)
        set_deaf(s, true);
    for (struct conn *c = s->conns; c; c = c->next) {
        if (means(c, command)) {
            server_freeze(c, true);
            n++;
        }
    }
    return all || n > 0 ? done(n) : failed("no such session");
}

/* All: also those that the portal has given up meanwhile. */
static json_t *thaw(struct server *s, const json_t *command)
{
    bool all = means_all(command);
    int n = 0;

    if (all)
        set_deaf(s, false);
    for (struct conn *c = s->conns; c; c = c->next) {
        if (c->frozen && (all || means(c, command))) {
            server_freeze(c, false);
            n++;
        }
    }
    return all || n > 0 ? done(n) : failed("no such session is frozen");
}

static json_t *drop(struct server *s, const json_t *command)
{
    bool reset = json_is_true(json_object_get(command, "reset"));
    int n = 0;

    for (struct conn *c = s->conns; c; c = c->next) {
        if (means(c, command)) {
            server_kill(c, reset);
            n++;
        }
    }
    return n > 0 ? done(n) : failed("no such session");
}

static json_t *send_to_all(struct server *s, const json_t *command, const uint8_t *bytes,
                           size_t len, bool last)
{
    int n = 0;

    for (struct conn *c = s->conns; c; c = c->next) {
        if (means(c, command))
            n += server_send_raw(c, bytes, len, last);
    }
    return n > 0 ? done(n) : failed("no such session, or it is still sending");
}

/* A text frame that breaks off in the middle. */
static json_t *cut(struct server *s, const json_t *command)
{
    static const char usual[] =
        "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\",\"response\":{}},\"ref\":0}";
    const json_t *json = json_object_get(command, "text");
    const char *text = json ? json_string_value(json) : usual;
    size_t len = text ? strlen(text) : 0;

    if (len == 0 || len > RAW_MAX - 1)
        return failed("text: a string of 1 to 65535 bytes is wanted");
    uint8_t *frame = mem_zalloc(4 + len, 1);
    size_t at = 0;
    frame[at++] = 0x81; /* the only fragment, text */
    if (len < 126) {
        frame[at++] = (uint8_t)len;
    } else {
        frame[at++] = 126;
        store_be16(frame + at, (uint16_t)len);
        at += 2;
    }
    memcpy(frame + at, text, len / 2);
    json_t *reply = send_to_all(s, command, frame, at + len / 2, true);
    free(frame);
    return reply;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: not a whole number of bytes in hexadecimal. */
static bool unhex(const char *hex, uint8_t *out)
{
    for (; hex[0] != '\0'; hex += 2) {
        int high = digit(hex[0]), low = high < 0 ? -1 : digit(hex[1]);
        if (low < 0)
            return false;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return true;
}

static json_t *raw(struct server *s, const json_t *command)
{
    const char *hex = json_string_value(json_object_get(command, "hex"));
    size_t len = hex ? strlen(hex) / 2 : 0;
    json_t *reply;

    if (len == 0 || len > RAW_MAX)
        return failed("hex: 1 to 65536 bytes in hexadecimal are wanted");
    uint8_t *bytes = mem_zalloc(len + 1, 1);
    if (unhex(hex, bytes))
        reply = send_to_all(s, command, bytes, len, json_is_true(json_object_get(command, "last")));
    else
        reply = failed("hex: not hexadecimal");
    free(bytes);
    return reply;
}

#define WHICH "[session=N] [role=ROLE] [device=NAME] [token=NAME] [all=true]"

const struct ctl_help faults_commands[] = {
    {"freeze", WHICH,
     "Keeps connections open without reading or writing; all=true: and accepts no new ones."},
    {"thaw", WHICH, "Ends that; the connections of sessions that ended meanwhile are dropped."},
    {"drop", WHICH " [reset=true]",
     "Ends TCP connections without a closing handshake; reset: with RST."},
    {"cut", WHICH " [text=TEXT]", "Sends half of a text frame, then ends the TCP connection."},
    {"raw", WHICH " hex=BYTES [last=true]",
     "Sends bytes without framing (8900 is a ping); last: then ends the TCP connection."},
};
const size_t faults_commands_n = ARRAY_LEN(faults_commands);

json_t *faults_handle(struct server *s, const json_t *command)
{
    static const fault_fn fns[] = {freeze, thaw, drop, cut, raw}; /* in the order of the help */
    const char *name = json_string_value(json_object_get(command, "command"));

    _Static_assert(ARRAY_LEN(fns) == ARRAY_LEN(faults_commands), "one function each");
    for (size_t i = 0; name && i < ARRAY_LEN(fns); i++) {
        if (strcmp(name, faults_commands[i].name) == 0)
            return fns[i](s, command);
    }
    return NULL;
}
