/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/command.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

static const char *const names[COMMANDS] = {"set", "show", "stats"};
static const char *const direction_names[DIRECTIONS] = {"a_to_b", "b_to_a"};

const char *command_help(void)
{
    return "Commands:\n"
           "\n"
           "  set NAME=VALUE...  change one or several of delay, jitter, loss, reorder, duplicate,\n"
           "                     rate and queue, as the options of the same names; VALUE/VALUE is\n"
           "                     for a to b and for b to a\n"
           "  show               what is set\n"
           "  stats              counters of both directions since the start\n"
           "\n"
           "stats: offered packets (and bytes) came in, delivered ones went out. lost: by chance;\n"
           "duplicated: copies made; reordered: have overtaken others; dropped_queue: the queue\n"
           "was full; dropped_full: 65,536 packets were under way; queue_packets_max and\n"
           "queue_bytes_max: the longest queue. Apart from those, what was no wish: overruns, which\n"
           "the kernel dropped since fzlink did not get to read them; refused by the other device;\n"
           "malformed. frames: reads and writes, each of one packet or, with offloads, of many.\n";
}

/* ---- in ---- */

/* A value on the command line may look like a number to JSON. */
static enum err take_value(struct settings *s, const char *key, const json_t *value, struct why why)
{
    enum setting setting = settings_find(key);
    enum err err;

    if (setting == SETTINGS)
        return why_fail(why, ERR_PARSE, "there is no setting '%.64s'", key);
    if (json_is_string(value))
        return settings_parse(s, setting, json_string_value(value), why);
    char *text = mem_check(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
    err = settings_parse(s, setting, text, why);
    free(text);
    return err;
}

static enum err take_settings(struct settings *settings, const json_t *command, struct why why)
{
    struct settings s = *settings;
    enum err err = ERR_OK;
    const char *key;
    json_t *value;
    size_t n = 0;

    /* jansson's iteration takes no const object, and changes nothing. */
    union {
        const json_t *in;
        json_t *out;
    } object = {command};
    json_object_foreach(object.out, key, value)
    {
        if (err != ERR_OK || strcmp(key, "command") == 0)
            continue;
        err = take_value(&s, key, value, why);
        n++;
    }
    if (err == ERR_OK && n == 0)
        err = why_fail(why, ERR_PARSE, "set: NAME=VALUE is missing");
    if (err == ERR_OK)
        err = settings_check(&s, why);
    if (err == ERR_OK)
        *settings = s;
    return err;
}

enum err command_parse(enum command *out, struct settings *settings, const json_t *command,
                       struct why why)
{
    const char *name = json_string_value(json_object_get(command, "command"));
    unsigned i = 0;

    while (i < COMMANDS && (!name || strcmp(names[i], name) != 0))
        i++;
    if (i == COMMANDS)
        return why_fail(why, ERR_PARSE, "'%.64s' is none of set, show and stats", name ? name : "");
    *out = (enum command)i;
    if (*out == COMMAND_SET)
        return take_settings(settings, command, why);
    if (json_object_size(command) > 1)
        return why_fail(why, ERR_PARSE, "%s takes no arguments", name);
    return ERR_OK;
}

/* ---- out ---- */

static json_t *answer(json_t *const of[DIRECTIONS])
{
    json_t *json = json_pack("{s:b}", "ok", 1);

    for (unsigned i = 0; i < DIRECTIONS; i++)
        json_object_set_new(json, direction_names[i], of[i]);
    return mem_check(json);
}

json_t *command_show(const struct settings *settings)
{
    json_t *of[DIRECTIONS];
    char text[VALUE_TEXT_MAX];

    for (unsigned d = 0; d < DIRECTIONS; d++) {
        of[d] = json_object();
        for (unsigned i = 0; i < SETTINGS; i++)
            json_object_set_new(
                of[d], settings_name((enum setting)i),
                json_string(settings_format(settings, (enum setting)i, (enum direction)d, text)));
    }
    return answer(of);
}

static void add(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *stats_of(const struct link_stats *s)
{
    const struct impair_stats *i = &s->lane.impair;
    json_t *json = json_object();

    add(json, "offered", i->offered);
    add(json, "offered_bytes", i->offered_bytes);
    add(json, "delivered", i->delivered);
    add(json, "delivered_bytes", i->delivered_bytes);
    add(json, "lost", i->lost);
    add(json, "duplicated", i->duplicated);
    add(json, "reordered", i->reordered);
    add(json, "dropped_queue", i->dropped_queue);
    add(json, "dropped_full", i->dropped_full);
    add(json, "queue_packets_max", i->queue_packets_max);
    add(json, "queue_bytes_max", i->queue_bytes_max);
    add(json, "overruns", s->overruns);
    add(json, "refused", s->lane.refused);
    add(json, "malformed", s->lane.malformed);
    add(json, "frames_in", s->lane.frames_in);
    add(json, "frames_out", s->lane.frames_out);
    return json;
}

json_t *command_stats(const struct link_stats stats[DIRECTIONS])
{
    json_t *of[DIRECTIONS];

    for (unsigned d = 0; d < DIRECTIONS; d++)
        of[d] = stats_of(&stats[d]);
    return answer(of);
}
