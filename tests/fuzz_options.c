/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the command lines and the environment. Whatever they hold, parsing ends, a refusal says why in one line, and what
 * is accepted is in its bounds. Input: words, each behind a line feed; those of the form NAME=value that begin with a capital
 * letter are variables.
 */
#include "control/options.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MAX = 40
};

struct input {
    char *argv[WORDS_MAX + 1], *variables[WORDS_MAX + 1];
    int argc, variables_n;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *ctx, const char *name)
{
    const struct input *in = ctx;
    size_t len = strlen(name);

    for (int i = 0; i < in->variables_n; i++) {
        if (strncmp(in->variables[i], name, len) == 0 && in->variables[i][len] == '=')
            return in->variables[i] + len + 1;
    }
    return NULL;
}

static void split(struct input *in, char *text)
{
    for (char *word = text; word && in->argc < WORDS_MAX && in->variables_n < WORDS_MAX;) {
        char *end = strchr(word, '\n');
        if (end)
            *end++ = '\0';
        if (word[0] >= 'A' && word[0] <= 'Z' && strchr(word, '='))
            in->variables[in->variables_n++] = word;
        else
            in->argv[in->argc++] = word;
        word = end;
    }
}

static void check(const struct options *o)
{
    ASSERT(o->workers <= OPTIONS_WORKERS_MAX);
    ASSERT(strlen(o->tun_name) < TUN_NAME_MAX);
    ASSERT(o->api.host[0] && o->api.port != 0);
    ASSERT(o->help && o->auth_url);
    ASSERT(!o->firezone_name || strlen(o->firezone_name) <= OPTIONS_NAME_MAX);
    ASSERT(o->dns <= DNS_METHOD_SYSTEMD_RESOLVED);
    if (o->action == OPTIONS_RUN_WIREGUARD || o->action == OPTIONS_CHECK_WIREGUARD)
        ASSERT(o->config_path && o->config_path[0]);
}

static void parse(enum options_program program, struct input *words)
{
    const struct options_input in = {.program = program,
                                     .argc = words->argc,
                                     .argv = words->argv,
                                     .lookup = lookup,
                                     .ctx = words};
    struct options o;
    char why[256] = "";

    if (options_parse(&o, &in, why, sizeof why) == ERR_OK)
        check(&o);
    else
        ASSERT(why[0] && strlen(why) < sizeof why);
    if (program == OPTIONS_GATEWAY)
        ASSERT(o.action <= OPTIONS_RUN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = OPTIONS_PROGRAM;
    char *text = malloc(size + 1);
    struct input words = {.argv = {program}, .argc = 1};

    ASSERT(text);
    memcpy(text, data, size);
    text[size] = '\0';
    split(&words, text);
    parse(OPTIONS_CLIENT, &words);
    parse(OPTIONS_GATEWAY, &words);
    free(text);
    return 0;
}
