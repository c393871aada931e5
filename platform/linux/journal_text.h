/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a journal (journal.h). Pure; any thread.
 *
 *     firezone-journal 1
 *     boot 7d9f1c2e-0a55-4d7e-9a53-0c5c2f6f4a11
 *     netns 4097
 *     marks
 *     steering v4 mark 51820 table 51820 bypass 32000 steer 32764
 *     sysctl ipv4 forwarding all 0
 *
 * A line counts only with its end: it was written before the change it tells of, so what is torn was not done. What is not exactly as
 * this program writes it makes the whole text worthless, and an entry has room for nothing but what this program does.
 */
#ifndef FZ_LINUX_JOURNAL_TEXT_H
#define FZ_LINUX_JOURNAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/linux/rule.h"
#include "platform/linux/sysctl.h"

enum {
    JOURNAL_BOOT_LEN = 36,
    JOURNAL_ENTRIES_MAX = 32,
    JOURNAL_LINE_MAX = 128,
    JOURNAL_TEXT_MAX = 4096
};

/* Where and how long the entries are true. */
struct journal_scope {
    char boot[JOURNAL_BOOT_LEN + 1]; /* "-": not known, then the folder has to vouch for it */
    uint64_t netns;                  /* cookie of the network namespace */
};

enum journal_kind {
    JOURNAL_MARKS,    /* src_valid_mark was switched on */
    JOURNAL_STEERING, /* the four rules */
    JOURNAL_SYSCTL    /* had this value */
};

struct journal_entry {
    enum journal_kind kind;
    union {
        struct steering steering;
        struct sysctl sysctl;
    };
};

struct journal_text {
    struct journal_scope scope;
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    size_t n;
};

bool journal_text_parse(struct journal_text *out, const char *text, size_t len);
/* Both return the length without the terminating zero; it fits into JOURNAL_LINE_MAX, and a head with all entries into JOURNAL_TEXT_MAX. */
size_t journal_text_head(char *out, size_t size, const struct journal_scope *scope);
size_t journal_text_line(char *out, size_t size, const struct journal_entry *entry);

/* Another boot: what it tells of is gone. */
bool journal_scope_over(const struct journal_scope *then, const struct journal_scope *now);
/* The same boot and namespace. */
bool journal_scope_here(const struct journal_scope *then, const struct journal_scope *now);

#endif
