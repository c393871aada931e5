/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of net_options: net_options reads the flags, net_options_impls makes implementations of what they say of them.
 * Pure.
 */
#ifndef FZ_BENCH_NET_OPTIONS_PRIVATE_H
#define FZ_BENCH_NET_OPTIONS_PRIVATE_H

#include <stdio.h>
#include <string.h>

#include "bench/net_options.h"
#include "platform/base/bytes.h"

/* What the options say, before it is known which implementations there are. */
struct net_chosen {
    const char *impl, *client, *rival, *older;
    bool against_go;
    const char *path; /* NULL: none */
    bool firezone;
    const char *resource; /* NULL: none */
    const char *plain;    /* a flag that is for plain tunnels only; NULL: none */
    const char *variants[NET_IMPLS_MAX];
    size_t variants_n;
};

/* Adds those that are meant, `paths` being set. */
enum err net_options_impls(struct net_options *o, const struct net_chosen *c,
                           struct why why) MUST_USE;

/* The next word of a list with commas, copied into `word`; false at the end. A word that is too long is cut. */
static inline bool net_options_word(const char **rest, char word[NET_NAME_MAX])
{
    if (*rest == NULL)
        return false;
    size_t n = strcspn(*rest, ",");
    snprintf(word, NET_NAME_MAX, "%.*s", (int)size_min(n, NET_NAME_MAX - 1), *rest);
    *rest = (*rest)[n] == ',' ? *rest + n + 1 : NULL;
    return true;
}

#endif
