/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static enum err fail(char *why, unsigned why_size,
                                                           const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
    return ERR_PARSE;
}

/* NULL: a string. */
static json_t *guess(const char *value)
{
    json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);

    if (json_is_string(json)) {
        json_decref(json);
        json = NULL; /* with its quotes */
    }
    return json;
}

static enum err add(json_t *object, const char *word, ctl_text_fn is_text, char *why,
                    unsigned why_size)
{
    const char *command = json_string_value(json_object_get(object, "command"));
    const char *equals = strchr(word, '=');
    size_t key_len = equals ? (size_t)(equals - word) : 0;
    bool forced = key_len > 0 && word[key_len - 1] == ':';
    json_error_t e;
    json_t *value;

    key_len -= forced;
    if (key_len == 0)
        return fail(why, why_size, "'%s' is not KEY=VALUE", word);
    if (json_object_getn(object, word, key_len))
        return fail(why, why_size, "'%.*s' is said twice", (int)key_len, word);
    if (forced)
        value = json_loads(equals + 1, JSON_DECODE_ANY, &e);
    else
        value = is_text && is_text(command, word, key_len) ? NULL : guess(equals + 1);
    if (forced && !value)
        return fail(why, why_size, "'%s': %s", word, e.text);
    if (!value)
        value = json_string(equals + 1);
    /* Fails for what is not UTF-8. */
    if (!value || json_object_setn_new(object, word, key_len, value) != 0)
        return fail(why, why_size, "'%s' is not UTF-8", word);
    return ERR_OK;
}

enum err ctl_build(json_t **out, int argc, char *const *argv, ctl_text_fn is_text, char *why,
                   unsigned why_size)
{
    json_t *object = json_object();
    enum err err = ERR_OK;

    *out = NULL;
    if (argc < 1 || argv[0][0] == '\0')
        err = fail(why, why_size, "a command is missing");
    else if (strchr(argv[0], '='))
        err = fail(why, why_size, "the first word is the command, not '%s'", argv[0]);
    else if (json_object_set_new(object, "command", json_string(argv[0])) != 0)
        err = fail(why, why_size, "the command is not UTF-8");
    for (int i = 1; i < argc && err == ERR_OK; i++)
        err = add(object, argv[i], is_text, why, why_size);
    if (err == ERR_OK)
        *out = object;
    else
        json_decref(object);
    return err;
}

enum err ctl_parse(json_t **out, const char *line, size_t len, char *why, unsigned why_size)
{
    json_error_t e;
    json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e);

    *out = NULL;
    if (!json)
        return fail(why, why_size, "not JSON: %s", e.text);
    if (!json_is_string(json_object_get(json, "command"))) {
        json_decref(json);
        return fail(why, why_size, "a \"command\" is missing");
    }
    *out = json;
    return ERR_OK;
}

json_t *ctl_error(const char *why)
{
    json_t *json = json_pack("{s:b, s:s}", "ok", 0, "error", why);

    /* A parser may quote bytes that are not UTF-8. */
    return json ? json : json_pack("{s:b, s:s}", "ok", 0, "error", "not UTF-8");
}

bool ctl_succeeded(const json_t *answer, const char **error)
{
    *error = json_string_value(json_object_get(answer, "error"));
    return json_is_true(json_object_get(answer, "ok"));
}
