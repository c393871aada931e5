/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patterns by which DNS resources name hosts: which are valid, what they match, and which of two is more specific. The
 * client asks it which resources a name belongs to, the gateway whether a name belongs to the resource it is told for.
 *
 * Labels are separated by '.'. `?` is one character and `*` any number of them, also none, but never a '.'; `**`, a whole label,
 * is any number of labels, at the end at least one; `[abc]`, `[a-z]` and `[!a]` are one character of a class. `*.` at the
 * beginning also stands for nothing. Case does not matter, but in that last rule, which upstream's gateways read the same way.
 *
 * Names and patterns are presentation text without a final dot. Pure, no allocation; any thread. Source: spec/tunnel.md 7.3.
 */
#ifndef FZ_CONTROL_DNS_PATTERN_H
#define FZ_CONTROL_DNS_PATTERN_H

#include <stdbool.h>

#include "platform/base/err.h"

struct dns_pattern {
    const char *text; /* borrowed; NULL: matches nothing */
};

/* ERR_INVALID: `why` says what is wrong, and p matches nothing. text: must live as long as p. */
enum err dns_pattern_init(struct dns_pattern *p, const char *text, char *why,
                          unsigned why_size) MUST_USE;

/* Takes at most the product of both lengths. */
bool dns_pattern_match(const struct dns_pattern *p, const char *name);

/* < 0: `a` is more specific; 0: only for equal texts. A total order of all texts. */
int dns_pattern_compare(const char *a, const char *b);

/*
 * The end of a valid pattern's text, whole labels, that has no wildcards: every name it matches is equal to it or ends in '.' and
 * it, whatever the case. All of a pattern without wildcards; "" if even the last label has one.
 */
const char *dns_pattern_literal_end(const char *text);

#endif
