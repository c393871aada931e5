/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as quantities, as arguments of fzlink, one a line, and as a command of its control socket. What is refused must say why;
 * what is taken must fit together, and be the same when it is written out and read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/ctl/ctl.h"
#include "tools/fzlink/cli.h"
#include "tools/fzlink/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    WORDS_MAX = 32
};

static void check_settings(const struct settings *s)
{
    char why[256], text[VALUE_TEXT_MAX];
    struct why w = {why, sizeof why};
    struct settings again;

    ASSERT(settings_check(s, w) == ERR_OK);
    settings_init(&again);
    for (unsigned d = 0; d < DIRECTIONS; d++) {
        for (unsigned i = 0; i < SETTINGS; i++) {
            struct settings one;
            settings_format(s, (enum setting)i, (enum direction)d, text);
            ASSERT(strlen(text) > 0 && strlen(text) < VALUE_TEXT_MAX - 1);
            ASSERT(settings_parse(&one, (enum setting)i, text, w) == ERR_OK);
            ASSERT(settings_parse(&again, (enum setting)i, text, w) == ERR_OK);
        }
        ASSERT(memcmp(&again.of[d], &s->of[d], sizeof again.of[d]) == 0);
    }
}

static void check_value(const char *text)
{
    char why[256] = "";

    for (unsigned i = 0; i < SETTINGS; i++) {
        struct settings s;
        settings_init(&s);
        why[0] = '\0';
        if (settings_parse(&s, (enum setting)i, text, (struct why){why, sizeof why}) != ERR_OK) {
            ASSERT(why[0] != '\0');
            continue;
        }
        /* Alone, these two do not fit. */
        for (unsigned d = 0; d < DIRECTIONS; d++)
            s.of[d].delay = s.of[d].delay > s.of[d].jitter ? s.of[d].delay : s.of[d].jitter + 1;
        if (s.of[A_TO_B].delay <= VALUE_DURATION_MAX && s.of[B_TO_A].delay <= VALUE_DURATION_MAX)
            check_settings(&s);
    }
}

static void check_arguments(char *text)
{
    static char program[] = "fzlink";
    char why[512] = "", *words[WORDS_MAX + 2] = {program};
    struct cli c;
    int n = 1;

    for (char *word = strtok(text, "\n"); word && n <= WORDS_MAX; word = strtok(NULL, "\n"))
        words[n++] = word;
    if (cli_parse(&c, n, words, (struct why){why, sizeof why}) != ERR_OK) {
        ASSERT(why[0] != '\0');
        return;
    }
    if (c.action != CLI_LINK)
        return;
    check_settings(&c.link.settings);
    for (unsigned i = 0; i < LINK_ENDS; i++) {
        const struct end_config *e = &c.link.ends[i];
        ASSERT(e->addrs_n > 0 && e->addrs_n <= END_ADDRS_MAX && e->netns[0] && e->device[0]);
    }
    ASSERT(c.link.mtu >= END_MTU_MIN && c.link.mtu <= END_MTU_MAX);
}

static void check_command(const char *text, size_t len)
{
    char why[256] = "";
    struct settings s, before;
    enum command command;
    json_t *json;

    settings_init(&s);
    before = s;
    if (ctl_parse(&json, text, len, why, sizeof why) != ERR_OK)
        return;
    if (command_parse(&command, &s, json, (struct why){why, sizeof why}) == ERR_OK) {
        json_t *answer = command_show(&s);
        ASSERT(json_is_true(json_object_get(answer, "ok")));
        json_decref(answer);
        check_settings(&s);
    } else {
        ASSERT(why[0] != '\0' && memcmp(&s, &before, sizeof s) == 0);
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_dup_text((const char *)data, size);

    check_value(text);
    check_command(text, size);
    check_arguments(text);
    free(text);
    return 0;
}
