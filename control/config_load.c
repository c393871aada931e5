/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration from a file: reading, and one sentence for whatever is wrong. */
#include <stdio.h>

#include "control/config.h"
#include "platform/base/mem.h"
#include "platform/file.h"

static void note_exposed(struct config *c, const char *path)
{
    char text[320];
    int n = snprintf(
        text, sizeof text,
        "%.200s is readable by everyone and holds a private key; run 'chmod 600' on it", path);
    c->notices = mem_grow(c->notices, c->notices_n, sizeof *c->notices);
    c->notices[c->notices_n++] = mem_dup_text(text, (size_t)n);
}

static void explain(const struct config_error *e, const char *path, char *why, unsigned why_size)
{
    char line[24] = "";

    if (e->line > 0)
        snprintf(line, sizeof line, " line %u", e->line);
    snprintf(why, why_size, "%s%s: %s%s%s", path, line, e->key, e->key[0] ? ": " : "", e->message);
}

enum err config_load(struct config *out, const char *path, char *why, unsigned why_size)
{
    struct file_content content;
    struct config_error e;
    char reason[128];

    enum err err = file_read(&content, path, CONFIG_FILE_MAX, reason, sizeof reason);
    if (err != ERR_OK) {
        snprintf(why, why_size, "%s: %s", path, reason);
        return err;
    }
    err = config_parse(out, content.bytes, content.len, &e);
    if (err != ERR_OK)
        explain(&e, path, why, why_size);
    else if (content.exposed)
        note_exposed(out, path);
    file_content_wipe(&content);
    return err;
}
