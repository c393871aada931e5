/* SPDX-License-Identifier: Apache-2.0 */
/* Lines KEY=VALUE, the value quoted as for a shell. */
#include "platform/linux/os_release.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The value of `key`, without quotes and cut where it does not fit; "" if there is none. The last one counts. */
static void find(char *out, size_t size, const char *text, const char *key)
{
    size_t key_len = strlen(key), n;

    out[0] = '\0';
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        if (strncmp(text, key, key_len) != 0 || text[key_len] != '=')
            continue;
        const char *value = text + key_len + 1;
        char quote = *value == '"' || *value == '\'' ? *value++ : '\0';
        for (n = 0; *value && *value != '\n' && *value != quote && n + 1 < size; value++) {
            if (*value == '\\' && quote != '\'' && value[1] && value[1] != '\n')
                value++;
            out[n++] = *value;
        }
        out[n] = '\0';
    }
}

static bool cut_behind(char *text, const char *ending)
{
    size_t len = strlen(text), n = strlen(ending);

    if (len <= n || strcmp(text + len - n, ending) != 0)
        return false;
    text[len - n] = '\0';
    return true;
}

/* What is no number any more ends it. */
static void make_version(char *out, size_t size, const char *id)
{
    unsigned long parts[3] = {0};

    if (*id < '0' || *id > '9')
        return;
    for (size_t i = 0; i < 3; i++) {
        for (; *id >= '0' && *id <= '9'; id++)
            parts[i] = parts[i] < 100000000 ? parts[i] * 10 + (unsigned)(*id - '0') : parts[i];
        if (*id != '.')
            break;
        id++;
    }
    snprintf(out, size, "%lu.%lu.%lu", parts[0], parts[1], parts[2]);
}

void os_release_parse(struct os_release *out, const char *text)
{
    char version[64];

    *out = (struct os_release){0};
    find(out->name, sizeof out->name, text, "NAME");
    if (!cut_behind(out->name, " GNU/Linux"))
        (void)cut_behind(out->name, " Linux");
    if (out->name[0] == '\0')
        find(out->name, sizeof out->name, text, "ID");
    find(version, sizeof version, text, "VERSION_ID");
    make_version(out->version, sizeof out->version, version);
}
