/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a line of the control socket, and as the words of `fzportal ctl`, one a line. What words make is a line that the
 * socket takes and that means the same; what is refused must say why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/ctl/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    WORDS_MAX = 32
};

static void check_line(const char *line, size_t len)
{
    char why[128] = "";
    json_t *json, *reply;
    const char *error;

    if (ctl_parse(&json, line, len, why, sizeof why) == ERR_OK) {
        ASSERT(json_is_string(json_object_get(json, "command")));
        json_decref(json);
        return;
    }
    ASSERT(!json && why[0] && strlen(why) < sizeof why);
    reply = ctl_error(why);
    ASSERT(reply && !ctl_succeeded(reply, &error) && error);
    json_decref(reply);
}

static void check_words(char *text)
{
    char why[128] = "", *words[WORDS_MAX], *line;
    json_t *json, *again;
    int n = 0;

    for (char *word = strtok(text, "\n"); word && n < WORDS_MAX; word = strtok(NULL, "\n"))
        words[n++] = word;
    if (ctl_build(&json, n, words, NULL, why, sizeof why) != ERR_OK) {
        ASSERT(!json && why[0] && strlen(why) < sizeof why);
        return;
    }
    ASSERT(n > 0 && json_object_size(json) == (size_t)n);
    ASSERT(strcmp(json_string_value(json_object_get(json, "command")), words[0]) == 0);
    line = json_dumps(json, JSON_COMPACT);
    ASSERT(line && !strchr(line, '\n'));
    ASSERT(ctl_parse(&again, line, strlen(line), why, sizeof why) == ERR_OK);
    char *same = json_dumps(again, JSON_COMPACT);
    ASSERT(strcmp(line, same) == 0);
    free(same);
    free(line);
    json_decref(json);
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_dup_text((const char *)data, size);

    check_line(text, size);
    check_words(text);
    free(text);
    return 0;
}
