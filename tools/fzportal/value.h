/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the configuration: text to the types of config.h, by tables that say which key goes where. A target is a
 * zeroed structure; what was set into it is released by portal_value_fini with the same table.
 */
#ifndef FZ_TOOLS_FZPORTAL_VALUE_H
#define FZ_TOOLS_FZPORTAL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum value_kind {
    VALUE_TEXT,      /* char * */
    VALUE_TOKEN,     /* char *: printable ASCII without spaces */
    VALUE_SECRET,    /* char *: 64 lower-case hexadecimal digits */
    VALUE_LIST,      /* struct portal_list: separated by commas, or a line each */
    VALUE_FILTERS,   /* struct portal_filters: likewise, "tcp/443", "udp/1-5", "icmp" */
    VALUE_BOOL,      /* bool: yes, no, on, off, true, false */
    VALUE_NUMBER,    /* uint32_t */
    VALUE_PORT,      /* uint16_t: 1 to 65535 */
    VALUE_DURATION,  /* uint32_t: seconds; "90", "15m", "12h", "30d" */
    VALUE_WORD,      /* int-sized enum: one of `words` */
    VALUE_UUID,      /* struct uuid */
    VALUE_IPV4,      /* struct ip_addr */
    VALUE_IPV6,      /* struct ip_addr */
    VALUE_SOCK_ADDR, /* struct sock_addr */
    VALUE_SLUG       /* char *: letters, digits, '-' and '_' */
};

struct value_word {
    const char *text; /* NULL ends the list */
    int value;
};

struct value_rule {
    const char *key; /* NULL ends the table */
    enum value_kind kind;
    size_t at; /* offset in the target */
    uint32_t min, max;
    const struct value_word *words;
};

/* NULL: not in the table. */
const struct value_rule *portal_value_rule(const struct value_rule *rules, const char *key);
/* Replaces the value; `more`: adds to a list instead. ERR_PARSE: `why` says what it has to be, without repeating it. */
enum err portal_value_set(void *target, const struct value_rule *rule, const char *value, bool more,
                          char *why, size_t why_size) MUST_USE;
/* Copies what the table names; `out` is zeroed. */
void portal_value_copy(void *out, const void *from, const struct value_rule *rules);
/* One value back to zero; what was allocated is freed. */
void portal_value_clear(void *target, const struct value_rule *rule);
void portal_value_fini(void *target, const struct value_rule *rules);
/* The table's keys, separated by commas. */
void portal_value_keys(const struct value_rule *rules, char *out, size_t size);

#endif
