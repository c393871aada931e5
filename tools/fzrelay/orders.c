/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/orders.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/p2p/stun.h"
#include "platform/base/bytes.h"

struct order {
    const struct orders *o;
    time_ns now;
    const json_t *command;
};

static json_t *done(void)
{
    return json_pack("{s:b}", "ok", 1);
}

__attribute__((format(printf, 1, 2))) static json_t *failed(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *json = json_pack("{s:b, s:s}", "ok", 0, "error", text);
    /* What was quoted may have been cut within a character. */
    return json ? json : json_pack("{s:b, s:s}", "ok", 0, "error", "wrong, and not UTF-8");
}

/* A number from min to max, or its default where the key is missing. */
static bool number(const struct order *o, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const json_t *value = json_object_get(o->command, key);

    if (!value)
        return true;
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= min && *out <= max;
}

static const char *text(const struct order *o, const char *key)
{
    return json_string_value(json_object_get(o->command, key));
}

/* ---- stats ---- */

static void put(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *order_stats(const struct order *o)
{
    json_t *answer = done(), *verdicts = json_object(), *errors = json_object();
    const struct inbox_stats *received = o->o->received;
    const struct outbox_stats *sent = o->o->sent;
    struct relay_stats s;

    relay_stats(o->o->relay, &s);
    put(answer, "allocations", s.allocations);
    put(answer, "channels", s.channels);
    put(answer, "nonces", s.nonces);
    put(answer, "bytes_to_peers", s.bytes_to_peers);
    put(answer, "bytes_to_clients", s.bytes_to_clients);
    for (unsigned i = 0; i < RELAY_VERDICT_COUNT; i++)
        put(verdicts, relay_verdict_text((enum relay_verdict)i), s.verdicts[i]);
    for (unsigned i = 0; i < RELAY_ERROR_COUNT; i++)
        put(errors, relay_error_text((enum relay_error)i), s.errors[i]);
    json_object_set_new(answer, "datagrams", verdicts);
    json_object_set_new(answer, "errors", errors);
    if (received)
        json_object_set_new(answer, "received",
                            json_pack("{s:I, s:I}", "calls", (json_int_t)received->calls, "items",
                                      (json_int_t)received->items));
    if (sent)
        json_object_set_new(
            answer, "sent",
            json_pack("{s:I, s:I, s:I, s:I, s:I}", "datagrams", (json_int_t)sent->datagrams,
                      "calls", (json_int_t)sent->calls, "runs", (json_int_t)sent->runs, "lost_full",
                      (json_int_t)sent->full, "lost_failed", (json_int_t)sent->failed));
    return answer;
}

static json_t *order_list(const struct order *o)
{
    json_t *list = json_array();
    struct relay_allocation a;
    uint32_t cursor = 0;
    char client[SOCK_ADDR_TEXT_MAX];

    while (relay_next_allocation(o->o->relay, &cursor, &a))
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:b, s:b, s:i, s:f}", "client",
                            sock_addr_format(&a.client, client, sizeof client), "port", a.port,
                            "ipv4", a.families & RELAY_V4, "ipv6", a.families & RELAY_V6,
                            "channels", (int)a.channels, "seconds",
                            (double)(time_since(a.expires_at, o->now)) / NS_PER_SEC));
    return json_pack("{s:b, s:o}", "ok", 1, "allocations", list);
}

/* ---- faults ---- */

static json_t *order_drop(const struct order *o)
{
    bool all = json_is_true(json_object_get(o->command, "all"));
    int64_t port = 0;
    unsigned n;

    if (!number(o, "port", 1, UINT16_MAX, &port))
        return failed("port is a number from 1 to 65535");
    if (all == (port != 0))
        return failed("either port=N or all=true");
    n = relay_drop(o->o->relay, (uint16_t)port);
    if (n == 0 && !all)
        return failed("there is no allocation with port %d", (int)port);
    return json_pack("{s:b, s:i}", "ok", 1, "dropped", (int)n);
}

static json_t *order_freeze(const struct order *o)
{
    const char *what = text(o, "what");

    if (!what || strcmp(what, "all") == 0)
        relay_freeze(o->o->relay, RELAY_FREEZE_REQUESTS | RELAY_FREEZE_DATA);
    else if (strcmp(what, "requests") == 0)
        relay_freeze(o->o->relay, RELAY_FREEZE_REQUESTS);
    else if (strcmp(what, "data") == 0)
        relay_freeze(o->o->relay, RELAY_FREEZE_DATA);
    else
        return failed("what is all, requests or data");
    return done();
}

static json_t *order_thaw(const struct order *o)
{
    relay_freeze(o->o->relay, RELAY_FREEZE_NOTHING);
    return done();
}

static const struct {
    const char *name;
    uint16_t method;
} methods[] = {
    {"allocate", STUN_ALLOCATE},
    {"refresh", STUN_REFRESH},
    {"channel-bind", STUN_CHANNEL_BIND},
    {"create-permission", STUN_CREATE_PERMISSION},
};

static json_t *order_fail(const struct order *o)
{
    const char *name = text(o, "method");
    int64_t code = 0, count = 1;

    if (!name && json_object_get(o->command, "method"))
        return failed("method is a text");
    if (!number(o, "code", 300, 699, &code) || code == 0)
        return failed("code is a number from 300 to 699");
    if (!number(o, "count", 1, 1000000, &count))
        return failed("count is a number from 1 to 1000000");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(name ? name : "allocate", methods[i].name) != 0)
            continue;
        return relay_plan_error(o->o->relay, methods[i].method, (uint16_t)code, (uint32_t)count)
                   ? done()
                   : failed("too many errors are planned already");
    }
    return failed("method is allocate, refresh, channel-bind or create-permission");
}

static json_t *order_expire_nonces(const struct order *o)
{
    relay_forget_nonces(o->o->relay);
    return done();
}

/* The relay and the portal know the same one, also when the portal's part of it fails. */
static json_t *order_secret(const struct order *o)
{
    const char *secret = text(o, "secret");
    char why[256] = "", before[RELAY_SECRET_MAX + 1];
    enum err err = ERR_OK;

    snprintf(before, sizeof before, "%s", relay_secret(o->o->relay));
    if (!secret || relay_set_secret(o->o->relay, secret) != ERR_OK) {
        secure_wipe(before, sizeof before);
        return failed("secret is a text of 1 to %d bytes", RELAY_SECRET_MAX);
    }
    if (o->o->secret_changed)
        err = o->o->secret_changed(o->o->arg, secret, why, sizeof why);
    if (err != ERR_OK)
        err = relay_set_secret(o->o->relay, before) == ERR_OK ? err : ERR_INVALID;
    secure_wipe(before, sizeof before);
    return err == ERR_OK ? done() : failed("%s", why);
}

/* ---- the table ---- */

static const struct {
    struct ctl_help help;
    const char *keys[4];
    json_t *(*run)(const struct order *o);
} table[] = {
    {{"stats", "", "what there is, what became of datagrams, and how they were received and sent"},
     {NULL},
     order_stats},
    {{"list", "", "the allocations"}, {NULL}, order_list},
    {{"drop", "port=N | all=true",
      "deletes an allocation, or all, without a word to its client, whose next request gets 437"},
     {"port", "all"},
     order_drop},
    {{"freeze", "[what=all|requests|data]",
      "answers nothing, forwards nothing, as a relay that is dead, until 'thaw'"},
     {"what"},
     order_freeze},
    {{"thaw", "", "ends 'freeze'"}, {NULL}, order_thaw},
    {{"fail", "code=N [method=allocate|refresh|channel-bind|create-permission] [count=1]",
      "the next requests of this method that are authentic get this error, for example 403, 486 or 508; 438 with "
      "another nonce"},
     {"code", "method", "count"},
     order_fail},
    {{"expire-nonces", "", "each client's next request gets 438"}, {NULL}, order_expire_nonces},
    {{"secret", "secret=TEXT",
      "another stamp secret: credentials of before are refused, and the portal sees another relay"},
     {"secret"},
     order_secret},
};

const struct ctl_help *orders_at(size_t i)
{
    return i < ARRAY_LEN(table) ? &table[i].help : NULL;
}

bool orders_is_text(const char *command, const char *key, size_t key_len)
{
    return strcmp(command, "secret") == 0 && key_len == strlen("secret") &&
           memcmp(key, "secret", key_len) == 0;
}

/* NULL: all keys are known. */
static const char *unknown_key(size_t i, const json_t *command)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)(uintptr_t)command, key, value)
    {
        bool known = strcmp(key, "command") == 0;
        for (size_t k = 0; k < ARRAY_LEN(table[i].keys) && table[i].keys[k]; k++)
            known = known || strcmp(key, table[i].keys[k]) == 0;
        if (!known)
            return key;
    }
    return NULL;
}

json_t *orders_handle(const struct orders *o, time_ns now, const json_t *command)
{
    const struct order order = {.o = o, .now = now, .command = command};
    const char *name = json_string_value(json_object_get(command, "command"));

    for (size_t i = 0; name && i < ARRAY_LEN(table); i++) {
        if (strcmp(name, table[i].help.name) != 0)
            continue;
        const char *key = unknown_key(i, command);
        return key ? failed("'%s' takes no '%s'", name, key) : table[i].run(&order);
    }
    return failed("there is no command '%s'", name ? name : "");
}
