/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the command line, twice the same loop: the program's own flags up to the command, then the command's; after
 * them the variables of what no flag has set. Flags have to be written out: "--token" must not stand for "--token-path".
 */
#include "control/options.h"

#include <stdio.h>
#include <string.h>

#include "control/options_private.h"
#include "platform/base/bytes.h"

enum {
    SETTINGS_MAX = 32 /* of one table */
};

/* Flags that may stand together: two tables, of which only the first has letters and variables. */
struct level {
    const struct setting *own, *shared;
};

static const struct setting none[] = {{.kind = SETTING_END}};

static const struct program_command {
    const char *name;
    struct level level;
    enum options_action action;
    const char *help;
} commands[] = {
    {"standalone", {options_standalone, none}, OPTIONS_RUN, options_help_client},
    {"sign-in", {options_sign_in, none}, OPTIONS_SIGN_IN, options_help_sign_in},
    {"sign-out", {options_sign_out, none}, OPTIONS_SIGN_OUT, options_help_sign_out},
    {"wireguard",
     {options_wireguard, options_engine},
     OPTIONS_RUN_WIREGUARD,
     options_help_wireguard},
};

/* The gateway has no commands: all of its line is flags. */
static const struct program {
    struct level level;
    bool has_commands;
    const char *help;
} programs[] = {
    [OPTIONS_CLIENT] = {{options_client, options_engine}, true, options_help_client},
    [OPTIONS_GATEWAY] = {{options_gateway, options_engine}, false, options_help_gateway},
};

struct parse {
    const struct program *program;
    struct options *o;
    const struct options_input *in;
    struct why why;
    int next;            /* word */
    const char *letters; /* what is left of a word such as "-hV" */
};

static const struct setting *find_long(const struct level *level, const char *name, size_t len)
{
    const struct setting *const tables[] = {level->own, level->shared};

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (const struct setting *s = tables[i]; s->kind != SETTING_END; s++) {
            if (s->name && strlen(s->name) == len && memcmp(s->name, name, len) == 0)
                return s;
        }
    }
    return NULL;
}

static const struct setting *find_letter(const struct level *level, char letter)
{
    const struct setting *s = level->own;

    while (s->kind != SETTING_END && s->letter != letter)
        s++;
    return s->kind != SETTING_END ? s : NULL;
}

static bool takes_value(const struct setting *s)
{
    return s->kind == SETTING_TEXT || s->kind == SETTING_PARSED;
}

/* value: NULL for a switch that is a flag. */
static enum err apply(struct parse *p, const struct setting *s, const char *by, const char *value)
{
    char *field = (char *)p->o + s->offset;
    bool on = true;

    switch (s->kind) {
    case SETTING_HELP:
        p->o->action = OPTIONS_HELP;
        return ERR_OK;
    case SETTING_VERSION:
        p->o->action = OPTIONS_VERSION;
        return ERR_OK;
    case SETTING_ON:
    case SETTING_OFF:
        if (value && options_truth(&on, by, value, &p->why) != ERR_OK)
            return ERR_PARSE;
        *(bool *)(void *)field = on == (s->kind == SETTING_ON);
        return ERR_OK;
    case SETTING_TEXT:
        ASSERT(value);
        *(const char **)(void *)field = value;
        return value[0] ? ERR_OK : options_fail(&p->why, "%s: the value is empty", by);
    case SETTING_PARSED:
        return s->set(p->o, by, value, &p->why);
    case SETTING_END:
        break;
    }
    ASSERT(!"the end of a table is no setting");
    return ERR_PARSE;
}

/* ---- flags ---- */

static const char *next_word(struct parse *p)
{
    return p->next < p->in->argc ? p->in->argv[p->next++] : NULL;
}

/* A word of its own: one that begins with a dash was meant as a flag. NULL: there is none for a value. */
static const char *next_value(struct parse *p)
{
    const char *word = p->next < p->in->argc ? p->in->argv[p->next] : NULL;

    return word && (word[0] != '-' || word[1] == '\0') ? next_word(p) : NULL;
}

static enum err take_long(struct parse *p, const struct level *level, const char *arg,
                          const struct setting **taken)
{
    size_t len = strcspn(arg, "="); /* what is behind it may be a secret */
    const struct setting *s = find_long(level, arg, len);
    const char *value = arg[len] ? arg + len + 1 : NULL;

    if (!s && level->own != options_wireguard && find_long(&p->program->level, arg, len))
        return options_fail(&p->why, "option '%.*s' must stand before the command", (int)len, arg);
    if (!s)
        return options_fail(&p->why, "unknown option '%.*s'", (int)len, arg);
    if (value && !takes_value(s))
        return options_fail(&p->why, "option '%s' takes no value", s->name);
    if (!value && takes_value(s) && !(value = next_value(p)))
        return options_fail(&p->why, "option '%s' needs a value", s->name);
    *taken = s;
    return apply(p, s, s->name, value);
}

/* The next letter of a word such as "-hV", "-cFILE" or "-c=FILE". */
static enum err take_letter(struct parse *p, const struct level *level,
                            const struct setting **taken)
{
    char letter = *p->letters++;
    const struct setting *s = find_letter(level, letter);
    const char *value = NULL;

    if (!s)
        return options_fail(&p->why, "unknown option '-%c'", letter);
    if (takes_value(s)) {
        value = *p->letters ? p->letters + (*p->letters == '=') : next_value(p);
        p->letters = "";
        if (!value)
            return options_fail(&p->why, "option '-%c' needs a value", letter);
    }
    *taken = s;
    return apply(p, s, s->name, value);
}

static bool is_over(const struct options *o)
{
    return o->action == OPTIONS_HELP || o->action == OPTIONS_VERSION;
}

/*
 * Takes the flags up to --help, --version or the end. word: the first that is no flag, or NULL; with `stop`, nothing behind
 * it is looked at.
 */
static enum err take_flags(struct parse *p, const struct level *level, bool *seen, bool stop,
                           const char **word)
{
    bool only_words = false;
    enum err err = ERR_OK;

    *word = NULL;
    while (err == ERR_OK && !is_over(p->o) && !(stop && *word)) {
        const struct setting *taken = NULL;
        const char *arg = *p->letters ? NULL : next_word(p);
        if (*p->letters)
            err = take_letter(p, level, &taken);
        else if (!arg)
            break;
        else if (only_words || arg[0] != '-' || arg[1] == '\0')
            *word = *word ? *word : arg;
        else if (strcmp(arg, "--") == 0)
            only_words = true;
        else if (arg[1] == '-')
            err = take_long(p, level, arg, &taken);
        else
            p->letters = arg + 1;
        for (size_t i = 0; level->own[i].kind != SETTING_END; i++)
            seen[i] |= &level->own[i] == taken;
    }
    return err;
}

/* ---- variables ---- */

/* The first of a setting's variables that is set and not empty, with its name. */
static const char *variable(const struct options_input *in, const struct setting *s,
                            const char **by)
{
    const char *const names[] = {s->env, s->env_alias};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = names[i] ? in->lookup(in->ctx, names[i]) : NULL;
        *by = names[i];
        if (value && value[0])
            return value;
    }
    return NULL;
}

static enum err take_variables(struct parse *p, const struct setting *settings, const bool *seen)
{
    const char *by;
    enum err err = ERR_OK;

    for (size_t i = 0; settings[i].kind != SETTING_END && err == ERR_OK; i++) {
        const char *value = seen[i] ? NULL : variable(p->in, &settings[i], &by);
        if (!value)
            continue;
        err = apply(p, &settings[i], by, value);
        /* Telemetry is what others do unless told not to: only who says that he wants it hears that there is none. */
        if (settings[i].offset == offsetof(struct options, no_telemetry) && !p->o->no_telemetry)
            p->o->telemetry_asked = by;
    }
    return err;
}

/* ---- commands ---- */

static const struct program_command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static enum err finish_wireguard(struct parse *p)
{
    if (!p->o->config_path)
        return options_fail(&p->why, "wireguard: --config FILE is missing");
    if (p->o->tun_name[0] == '\0')
        options_tun_name_derive(p->o);
    if (p->o->check)
        p->o->action = OPTIONS_CHECK_WIREGUARD;
    return ERR_OK;
}

/* What stands behind the command, and the variables of both levels; `wireguard` looks at none. */
static enum err parse_command(struct parse *p, const struct program_command *command,
                              const bool *program_seen)
{
    bool seen[SETTINGS_MAX] = {0};
    const char *word;

    p->o->action = command->action;
    p->o->help = command->help;
    enum err err = take_flags(p, &command->level, seen, false, &word);
    if (err != ERR_OK || is_over(p->o))
        return err;
    if (word)
        return options_fail_word(&p->why, "unexpected argument", word);
    if (command->action == OPTIONS_RUN_WIREGUARD)
        return finish_wireguard(p);
    err = take_variables(p, command->level.own, seen);
    return err != ERR_OK ? err : take_variables(p, p->program->level.own, program_seen);
}

static void set_defaults(struct options *o, enum options_program program)
{
    bool gateway = program == OPTIONS_GATEWAY;
    char why[1];

    *o = (struct options){
        .action = OPTIONS_RUN,
        .help = programs[program].help,
        .steering = true,
        .offloads = true,
        .log_level = LOG_INFO,
        .max_partition_ns = gateway ? 24 * 3600 * NS_PER_SEC : TIME_NEVER,
        .forward = true,
        .permission_check = true,
        .raise_buffers = gateway,
        .dns = DNS_METHOD_SYSTEMD_RESOLVED,
        .auth_url = OPTIONS_AUTH_URL_DEFAULT,
    };
    enum err err = url_parse(&o->api, OPTIONS_API_URL_DEFAULT, why, sizeof why);
    ASSERT(err == ERR_OK);
}

enum err options_parse(struct options *out, const struct options_input *in, char *why,
                       unsigned why_size)
{
    struct parse p = {.program = &programs[in->program],
                      .o = out,
                      .in = in,
                      .why = {why, why_size},
                      .next = 1,
                      .letters = ""};
    bool seen[SETTINGS_MAX] = {0};
    const char *word;

    set_defaults(out, in->program);
    enum err err = take_flags(&p, &p.program->level, seen, p.program->has_commands, &word);
    if (err != ERR_OK || is_over(out))
        return err;
    if (!p.program->has_commands)
        return word ? options_fail_word(&p.why, "unexpected argument", word)
                    : take_variables(&p, p.program->level.own, seen);
    const struct program_command *command = find_command(word ? word : "standalone");
    if (!command)
        return options_fail_word(&p.why, "unknown command", word);
    if (command->action == OPTIONS_RUN_WIREGUARD && p.next > 2)
        return options_fail(&p.why, "the options of 'wireguard' must stand behind it");
    return parse_command(&p, command, seen);
}
