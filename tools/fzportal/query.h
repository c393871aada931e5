/* SPDX-License-Identifier: Apache-2.0 */
/* The query of a request, decoded. Source: the URL standard's form encoding; spec/portal.md 1.2. */
#ifndef FZ_TOOLS_FZPORTAL_QUERY_H
#define FZ_TOOLS_FZPORTAL_QUERY_H

#include <stdbool.h>
#include <stddef.h>

enum {
    QUERY_PARAMS_MAX = 64,
    QUERY_BYTES_MAX = 16384
};

struct query {
    size_t n;
    const char *names[QUERY_PARAMS_MAX], *values[QUERY_PARAMS_MAX];
    char *bytes;
    size_t bytes_n;
};

/* False: too long, an escape that is none, a zero byte, or no UTF-8. */
bool query_parse(struct query *q, const char *text);
void query_fini(struct query *q);
/* The last one of the name counts; NULL: there is none. */
const char *query_get(const struct query *q, const char *name);

#endif
