/* SPDX-License-Identifier: Apache-2.0 */
/* Journals of hostile origin: what is accepted is what we would have written, and holds nothing but what we would do. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/err.h"
#include "platform/linux/journal_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct journal_text text;
    char line[JOURNAL_LINE_MAX];
    struct rule rules[RULE_STEERING];

    if (!journal_text_parse(&text, (const char *)data, size))
        return 0;
    ASSERT(text.n <= JOURNAL_ENTRIES_MAX);
    size_t at = journal_text_head(line, sizeof line, &text.scope);
    ASSERT(at < sizeof line && at <= size && memcmp(line, data, at) == 0);
    for (size_t i = 0; i < text.n; i++) {
        const struct journal_entry *e = &text.entries[i];
        size_t len = journal_text_line(line, sizeof line, e);
        ASSERT(len < sizeof line && at + len <= size && memcmp(line, data + at, len) == 0);
        at += len;
        if (e->kind == JOURNAL_SYSCTL)
            ASSERT(e->sysctl.key < SYSCTL_KEYS && sysctl_scope_ok(e->sysctl.scope));
        if (e->kind != JOURNAL_STEERING)
            continue;
        ASSERT(rule_steering_ok(&e->steering));
        rule_steering_at(rules, &e->steering);
        for (unsigned k = 0; k < RULE_STEERING; k++)
            ASSERT(rules[k].protocol == RULE_PROTOCOL_STEERING && rules[k].priority >= 32000 &&
                   rules[k].priority <= 32765);
    }
    ASSERT(size == at || !memchr(data + at, '\n', size - at));
    return 0;
}
